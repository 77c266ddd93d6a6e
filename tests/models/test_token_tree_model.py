"""Token trees: sums along responses against a walk, shaping, the episodic twin's shape, and what is refused."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdplab.models import ModelError
from mdplab.models.token_tree import (
    TokenTree,
    episodic_model,
    leaf_rewards,
    path_sums,
    random_token_tree,
    shaped,
    terminal_rewards,
    with_rewards,
)

trees = st.builds(
    random_token_tree,
    A=st.integers(2, 3),
    H=st.integers(1, 4),
    spread=st.sampled_from([0.1, 1.0, 10.0]),
    terminal=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)


def walk(levels, response):
    """The sum along one response, prefix by prefix."""
    total, prefix = 0.0, 0
    for level, token in zip(levels, response):
        total += level[prefix, token]
        prefix = prefix * level.shape[1] + token
    return total


@settings(max_examples=30, deadline=None)
@given(trees)
def test_sums_along_responses_come_in_lexicographic_order(tree):
    responses = list(itertools.product(range(tree.tokens), repeat=tree.horizon))
    assert tree.leaves == len(responses)
    np.testing.assert_allclose(leaf_rewards(tree), [walk(tree.rewards, y) for y in responses], rtol=0, atol=1e-13)
    np.testing.assert_allclose(path_sums(tree.log_reference), [walk(tree.log_reference, y) for y in responses], atol=1e-12)
    assert abs(np.exp(path_sums(tree.log_reference)).sum() - 1) < 1e-12


@settings(max_examples=30, deadline=None)
@given(trees)
def test_terminal_rewards_are_those_of_the_responses(tree):
    rng = np.random.default_rng(0)
    wanted = rng.standard_normal(tree.leaves)
    terminal = with_rewards(tree, terminal_rewards(tree, wanted))
    np.testing.assert_array_equal(leaf_rewards(terminal), wanted)
    assert all((level == 0).all() for level in terminal.rewards[:-1])
    assert terminal.log_reference[0] is not tree.log_reference[0]
    np.testing.assert_array_equal(terminal.log_reference[-1], tree.log_reference[-1])


@settings(max_examples=30, deadline=None)
@given(trees)
def test_shaping_adds_the_potential_of_the_leaf_less_that_of_the_root(tree):
    rng = np.random.default_rng(1)
    potential = tuple(rng.standard_normal(tree.tokens**t) for t in range(tree.horizon + 1))
    moved = leaf_rewards(shaped(tree, potential)) - leaf_rewards(tree)
    np.testing.assert_allclose(moved, potential[-1] - potential[0][0], rtol=0, atol=1e-12)
    back = shaped(shaped(tree, potential), tuple(-level for level in potential))
    for a, b in zip(back.rewards, tree.rewards):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-13)


def test_the_episodic_twin_appends_tokens():
    tree = random_token_tree(A=2, H=3, seed=0)
    mdp = episodic_model(tree)
    assert (mdp.horizon, mdp.states, mdp.actions) == (3, 7, 2)
    assert mdp.start[0] == 1
    # prefix 1 of one token is state 2; continued by token 0 it is prefix 2 of two tokens, state 3 + 2
    assert mdp.P[0, 2, 0, 5] == 1
    assert mdp.R[0, 2, 0] == tree.rewards[1][1, 0]


def test_families_rebuild_and_draw_what_they_say():
    tree = random_token_tree(A=3, H=2, terminal=True, concentration=0.1, seed=7)
    assert tree.key == "random_token_tree(A=3, H=2, concentration=0.1, spread=1.0, terminal=True, seed=7)"
    assert (tree.rewards[0] == 0).all()
    assert (tree.rewards[1] != 0).all()
    again = random_token_tree(A=3, H=2, terminal=True, concentration=0.1, seed=7)
    np.testing.assert_array_equal(again.log_reference[1], tree.log_reference[1])
    # paying all rewards last does not draw others
    np.testing.assert_array_equal(random_token_tree(A=3, H=2, concentration=0.1, seed=7).rewards[1], tree.rewards[1])


def test_zeros_of_the_reference_are_kept():
    with np.errstate(divide="ignore"):
        tree = TokenTree((np.zeros((1, 2)), np.zeros((2, 2))), (np.log([[1.0, 0.0]]), np.log([[0.5, 0.5], [0.0, 1.0]])))
    np.testing.assert_array_equal(np.exp(path_sums(tree.log_reference)), [0.5, 0.5, 0.0, 0.0])


def test_arrays_are_copies_and_read_only():
    rewards = np.zeros((1, 2))
    tree = TokenTree((rewards,), (np.log([[0.5, 0.5]]),))
    rewards[0, 0] = 5
    assert tree.rewards[0][0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        tree.rewards[0][0, 0] = 1


def test_bad_input():
    half = np.log([[0.5, 0.5]])
    zero = np.zeros((1, 2))
    for rewards, reference, said in (
        ((), (), "at least one step"),
        ((np.zeros((2, 2)),), (half,), r"shape \(1, A\)"),
        ((zero, np.zeros((1, 2))), (half, half), r"step t of rewards"),
        ((zero,), (half, half), "step t of the reference"),
        ((np.array([[0.0, np.inf]]),), (half,), "the reward of token 1 after prefix 0 of 0 tokens is inf"),
        ((zero,), (np.log([[0.5, 0.4]]),), "after prefix 0 of 0 tokens sums to 0.9"),
        ((zero,), (np.array([[np.nan, 0.0]]),), "sums to nan"),
    ):
        with pytest.raises(ModelError, match=said):
            TokenTree(rewards, reference)
    with pytest.raises(ModelError, match="more than"):
        TokenTree((np.zeros((1, 2)),) * 21, (half,) * 21)
    tree = random_token_tree(A=2, H=2)
    with pytest.raises(ModelError, match="as many leaf rewards"):
        terminal_rewards(tree, np.zeros(3))
    with pytest.raises(ModelError, match="a number for every prefix"):
        shaped(tree, (np.zeros(1), np.zeros(2)))
