"""Soft values on token trees: against episodic solvers, against brute force over responses, and as laws."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdplab.models import ModelError
from mdplab.models.token_tree import TokenTree, episodic_model, leaf_rewards, path_sums, random_token_tree, shaped, with_rewards
from mdplab.solvers.backward_induction import backward_induction
from mdplab.solvers.soft import soft_backward_induction, soft_evaluate_episodic
from mdplab.solvers.token_tree import (
    as_token_policy,
    leaf_log_probabilities,
    logit_gradient,
    policy_q,
    policy_value,
    prefix_sums,
    soft_backup,
    token_policy,
)
from theory.divergences import kl
from theory.errors import InputError

temperatures = st.sampled_from([0.05, 0.5, 3.0])
trees = st.builds(
    random_token_tree,
    A=st.integers(2, 3),
    H=st.integers(1, 3),
    spread=st.sampled_from([0.1, 1.0, 5.0]),
    terminal=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)


def random_policy(tree, seed):
    rng = np.random.default_rng(seed)
    return tuple(np.log(rng.dirichlet(np.ones(tree.tokens), size=level.shape[0])) for level in tree.rewards)


def episodic_policy(tree, levels):
    """The same policy for the episodic twin, whose states are prefixes: one row for each state, at every step."""
    rows = np.exp(np.concatenate(levels))
    return np.tile(rows, (tree.horizon, 1, 1))


@settings(max_examples=25, deadline=None)
@given(trees, temperatures)
def test_agrees_with_the_soft_episodic_solver(tree, beta):
    mdp = episodic_model(tree)
    found = soft_backup(tree, beta)
    reference = episodic_policy(tree, tree.log_reference)
    twin = soft_backward_induction(mdp, beta, reference=reference)
    first = 0
    for t in range(tree.horizon):
        here = slice(first, first + tree.tokens**t)
        np.testing.assert_allclose(found.value[t], twin.value[t, here], rtol=0, atol=twin.error + 1e-10)
        np.testing.assert_allclose(found.q[t], twin.q[t, here], rtol=0, atol=twin.error + 1e-10)
        np.testing.assert_allclose(found.log_policy[t], twin.log_policy[t, here], rtol=0, atol=1e-9)
        first = here.stop
    policy = random_policy(tree, 1)
    own = soft_evaluate_episodic(mdp, episodic_policy(tree, policy), beta, reference=reference)
    assert abs(policy_value(tree, policy, beta) - own.value[0, 0]) <= own.error + 1e-10


@settings(max_examples=25, deadline=None)
@given(trees, temperatures)
def test_agrees_with_brute_force_over_responses(tree, beta):
    found = soft_backup(tree, beta)
    weights = np.exp(path_sums(tree.log_reference))
    rewards = leaf_rewards(tree)
    top = rewards.max()
    total = weights @ np.exp((rewards - top) / beta)
    assert abs(found.value[0][0] - (top + beta * np.log(total))) < 1e-9
    law = weights * np.exp((rewards - top) / beta) / total
    np.testing.assert_allclose(np.exp(leaf_log_probabilities(found.log_policy)), law, rtol=0, atol=1e-11)
    policy = random_policy(tree, 2)
    leaves = leaf_log_probabilities(policy)
    assert abs(policy_value(tree, policy) - np.exp(leaves) @ rewards) < 1e-10
    value = np.exp(leaves) @ rewards - beta * kl(leaves, path_sums(tree.log_reference), log=True)
    assert abs(policy_value(tree, policy, beta) - value) < 1e-9 * (1 + abs(value))
    # J(pi*) - J(pi) = beta KL(pi || pi*)
    gap = beta * kl(leaves, leaf_log_probabilities(found.log_policy), log=True)
    assert abs(found.value[0][0] - value - gap) < 1e-9 * (1 + abs(gap))


@settings(max_examples=25, deadline=None)
@given(trees, temperatures)
def test_the_optimum_is_evaluated_to_its_own_value(tree, beta):
    found = soft_backup(tree, beta)
    q, value = policy_q(tree, found.log_policy, beta)
    for t in range(tree.horizon):
        np.testing.assert_allclose(q[t], found.q[t], rtol=0, atol=1e-9)
        np.testing.assert_allclose(value[t], found.value[t], rtol=0, atol=1e-9)
    assert (value[-1] == 0).all()


@settings(max_examples=20, deadline=None)
@given(trees, temperatures)
def test_a_potential_moves_values_and_no_policy(tree, beta):
    rng = np.random.default_rng(3)
    potential = tuple(rng.standard_normal(tree.tokens**t) * (t < tree.horizon) for t in range(tree.horizon + 1))
    plain, moved = soft_backup(tree, beta), soft_backup(shaped(tree, potential), beta)
    for t in range(tree.horizon):
        np.testing.assert_allclose(moved.log_policy[t], plain.log_policy[t], rtol=0, atol=1e-10)
        np.testing.assert_allclose(moved.value[t], plain.value[t] - potential[t], rtol=0, atol=1e-10)


@settings(max_examples=20, deadline=None)
@given(trees)
def test_a_cold_tree_is_backward_induction(tree):
    hard = backward_induction(episodic_model(tree))
    cold = soft_backup(tree, 1e-8)
    assert abs(cold.value[0][0] - hard.value[0, 0]) < 1e-6
    assert abs(leaf_rewards(tree).max() - hard.value[0, 0]) < 1e-9


@settings(max_examples=30, deadline=None)
@given(trees)
def test_policies_and_laws_of_responses_determine_each_other(tree):
    policy = random_policy(tree, 4)
    back = token_policy(leaf_log_probabilities(policy) + 5.0, tree.tokens)
    for a, b in zip(policy, back):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-10)
    prefixes = prefix_sums(policy)
    np.testing.assert_array_equal(prefixes[-1], leaf_log_probabilities(policy))
    for t, level in enumerate(prefixes):
        assert level.shape == (tree.tokens**t,)
        assert abs(np.exp(level).sum() - 1) < 1e-12


def test_a_rational_example():
    """Uniform reference, beta = 1, rewards ln 3, 0, 0, 0: V = ln(6/4), V(0) = ln 2, pi* = 2/3 and then 3/4."""
    half = -np.log(2.0)
    tree = TokenTree((np.zeros((1, 2)), np.log([[3.0, 1.0], [1.0, 1.0]])), (np.full((1, 2), half), np.full((2, 2), half)))
    found = soft_backup(tree, 1.0)
    assert abs(np.exp(found.value[0][0]) - float(Fraction(6, 4))) < 1e-15
    np.testing.assert_allclose(np.exp(found.value[1]), [2, 1], rtol=1e-15)
    np.testing.assert_allclose(np.exp(found.log_policy[0][0]), [2 / 3, 1 / 3], rtol=1e-15)
    np.testing.assert_allclose(np.exp(found.log_policy[1]), [[3 / 4, 1 / 4], [1 / 2, 1 / 2]], rtol=1e-15)


def test_zeros_of_the_reference():
    with np.errstate(divide="ignore"):
        tree = TokenTree(
            (np.zeros((1, 2)), np.array([[0.0, 9.0], [1.0, 2.0]])), (np.log([[0.4, 0.6]]), np.log([[1.0, 0.0], [0.5, 0.5]]))
        )
    found = soft_backup(tree, 0.5)
    law = np.exp(leaf_log_probabilities(found.log_policy))
    assert law[1] == 0
    assert abs(law.sum() - 1) < 1e-14
    assert np.isfinite(policy_value(tree, found.log_policy, 0.5))
    astray = (tree.log_reference[0], np.full((2, 2), -np.log(2)))
    assert policy_value(tree, astray, 0.5) == -np.inf
    assert policy_value(tree, astray) == pytest.approx(0.4 * 4.5 + 0.6 * 1.5)
    with np.errstate(divide="ignore"):
        rows = token_policy(np.log([0.5, 0.5, 0.0, 0.0]), 2)
    np.testing.assert_allclose(np.exp(rows[1]), [[0.5, 0.5], [0.5, 0.5]])
    np.testing.assert_allclose(np.exp(rows[0]), [[1.0, 0.0]])


def test_bad_input():
    tree = random_token_tree(A=2, H=2)
    for beta in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(InputError, match="temperature"):
            soft_backup(tree, beta)
    with pytest.raises(ModelError, match=r"shape \(A\^t, A\)"):
        policy_value(tree, tree.log_reference[:1])
    with pytest.raises(ModelError, match=r"shape \(A\^t, A\)"):
        as_token_policy(tree, (np.zeros((1, 2)), np.zeros((1, 2))))
    with pytest.raises(ModelError, match="at least two tokens"):
        token_policy(np.zeros(1), 1)
    with pytest.raises(ModelError, match="a power of 2 entries, not 6"):
        token_policy(np.zeros(6), 2)
    with pytest.raises(InputError, match=r"log mu \+ r / beta"):
        soft_backup(with_rewards(tree, tuple(1e300 * np.ones_like(level) for level in tree.rewards)), 1e-20)


@settings(deadline=None, max_examples=20)
@given(trees, st.integers(0, 1000))
def test_logit_gradient_is_the_policy_gradient(tree, seed):
    """Of the expected reward it is pi(s) pi(a|s) (Q(s, a) - V(s)); of any function the sum over tokens of a prefix is 0."""
    policy = random_policy(tree, seed)
    leaves = leaf_log_probabilities(policy)
    found = logit_gradient(policy, np.exp(leaves) * leaf_rewards(tree))
    q, value = policy_q(tree, policy)
    for level, logs, Q, V, reach in zip(found, policy, q, value, prefix_sums(policy)):
        np.testing.assert_allclose(level, np.exp(reach[:, None] + logs) * (Q - V[:, None]), rtol=0, atol=1e-12)
        np.testing.assert_allclose(level.sum(axis=1), 0.0, rtol=0, atol=1e-12)


def test_logit_gradient_by_differences():
    """The derivative of a log-likelihood by one logit, by a central difference."""
    rng = np.random.default_rng(4)
    logits = tuple(rng.standard_normal((3**t, 3)) for t in range(3))
    law = rng.dirichlet(np.ones(27))

    def normalised(levels):
        return tuple(level - np.logaddexp.reduce(level, axis=1, keepdims=True) for level in levels)

    found = logit_gradient(normalised(logits), law)
    for t, s, a in ((0, 0, 1), (1, 2, 0), (2, 7, 2)):
        ends = []
        for sign in (1, -1):
            moved = [level.copy() for level in logits]
            moved[t][s, a] += sign * 1e-5
            ends.append(law @ leaf_log_probabilities(normalised(moved)))
        assert abs((ends[0] - ends[1]) / 2e-5 - found[t][s, a]) <= 1e-9


def test_logit_gradient_refuses_another_number_of_derivatives():
    with pytest.raises(ModelError, match="4 responses"):
        logit_gradient((np.log([[0.5, 0.5]]), np.log(np.full((2, 2), 0.5))), np.ones(3))
