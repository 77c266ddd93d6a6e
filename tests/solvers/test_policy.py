"""Representations of policies and operations per state."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import random_episodic, random_mdp, random_policy, seeds

from mdplab.models import ModelError
from mdplab.solvers.policy import (
    as_episodic_probabilities,
    as_pairs,
    as_probabilities,
    dense_policy,
    greedy_policy,
    log_softmax_policy,
    log_sum_exp,
    pairs_of_actions,
    softmax_policy,
    state_max,
    state_sum,
    uniform_policy,
)


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_a_deterministic_policy_survives_the_round_trip(seed):
    mdp = random_mdp(seed, ragged=True)
    rng = np.random.default_rng(seed)
    pairs = rng.integers(mdp.state_pointer[:-1], mdp.state_pointer[1:])
    vector = as_probabilities(mdp, pairs)
    assert vector.sum() == mdp.states
    np.testing.assert_array_equal(as_pairs(mdp, vector), pairs)
    np.testing.assert_array_equal(pairs_of_actions(mdp, pairs - mdp.state_pointer[:-1]), pairs)
    np.testing.assert_array_equal(greedy_policy(mdp, vector), pairs)


def test_the_dense_view_has_one_row_a_state():
    mdp = random_mdp(0, states=4, actions=3)
    policy = random_policy(mdp, 1)
    table = dense_policy(mdp, policy)
    assert table.shape == (4, 3)
    np.testing.assert_array_equal(as_probabilities(mdp, table), policy)
    ragged = random_mdp(4, ragged=True)
    assert not ragged.is_rectangular
    with pytest.raises(ModelError, match="differ in their actions"):
        dense_policy(ragged, uniform_policy(ragged))


def test_messages_name_state_action_and_number():
    mdp = random_mdp(0, states=3, actions=2)
    with pytest.raises(ModelError, match=r"pair 5 in state 0, whose pairs are 0 to 1"):
        as_probabilities(mdp, np.array([5, 2, 4]))
    with pytest.raises(ModelError, match=r"state 1 sum to 0.9, not to 1"):
        as_probabilities(mdp, np.array([0.5, 0.5, 0.5, 0.4, 1.0, 0.0]))
    with pytest.raises(ModelError, match=r"action 1 in state 2 the probability -0.5"):
        as_probabilities(mdp, np.array([0.5, 0.5, 0.5, 0.5, 1.5, -0.5]))
    with pytest.raises(ModelError, match="probability nan"):
        as_probabilities(mdp, np.array([0.5, 0.5, np.nan, 0.5, 1.0, 0.0]))
    with pytest.raises(ModelError, match="probability inf"):
        as_probabilities(mdp, np.array([0.5, 0.5, np.inf, 0.5, 1.0, 0.0]))
    with pytest.raises(ModelError, match=r"3 states and 6 state-action pairs"):
        as_probabilities(mdp, np.ones(5))
    with pytest.raises(ModelError, match="bool"):
        as_probabilities(mdp, np.ones(6, dtype=bool))
    with pytest.raises(ModelError, match="takes 2 actions in state 0"):
        as_pairs(mdp, uniform_policy(mdp))
    with pytest.raises(ModelError, match="state 1 has no action 7"):
        pairs_of_actions(mdp, np.array([0, 7, 1]))
    with pytest.raises(ModelError, match="largest logit of state 1 is -inf"):
        softmax_policy(mdp, np.array([0, 0, -np.inf, -np.inf, 0, 0]))
    with pytest.raises(ModelError, match="temperature"):
        softmax_policy(mdp, np.zeros(6), temperature=0.0)
    with pytest.raises(ModelError, match="NaN"):
        greedy_policy(mdp, np.array([0, 0, np.nan, 1, 0, 0]))


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from([1e-3, 1.0, 1e3, 1e12]))
def test_softmax_agrees_with_its_definition_and_ignores_shifts(seed, scale):
    mdp = random_mdp(seed, ragged=True)
    rng = np.random.default_rng(seed)
    logits = scale * rng.standard_normal(mdp.pairs)
    log_policy = log_softmax_policy(mdp, logits)
    for s in range(mdp.states):
        own = slice(mdp.state_pointer[s], mdp.state_pointer[s + 1])
        expected = logits[own] - np.logaddexp.reduce(logits[own])
        np.testing.assert_allclose(log_policy[own], expected, rtol=0, atol=4e-16 * max(scale, 1) * 8)
    np.testing.assert_allclose(state_sum(mdp, np.exp(log_policy)), 1, rtol=1e-15)
    shift = np.floor(rng.uniform(-5, 5, mdp.states))[mdp.pair_state]
    np.testing.assert_allclose(
        softmax_policy(mdp, 64 * np.round(logits / 64) + shift), softmax_policy(mdp, 64 * np.round(logits / 64)), rtol=1e-9
    )
    np.testing.assert_array_equal(log_softmax_policy(mdp, logits, temperature=2.0), log_softmax_policy(mdp, logits / 2))


def test_an_infinitely_bad_action_is_never_taken():
    mdp = random_mdp(0, states=3, actions=2)
    policy = softmax_policy(mdp, np.array([0, -np.inf, 1, 1, -np.inf, 3]))
    np.testing.assert_array_equal(policy, [1, 0, 0.5, 0.5, 0, 1])


def test_operations_work_on_stacks_of_policies():
    mdp = random_mdp(3, ragged=True)
    x = np.random.default_rng(0).standard_normal((4, mdp.pairs))
    for operation in (state_sum, state_max, log_sum_exp, log_softmax_policy):
        np.testing.assert_array_equal(operation(mdp, x), np.stack([operation(mdp, row) for row in x]))


def test_greedy_takes_the_first_of_equals():
    mdp = random_mdp(0, states=2, actions=3)
    np.testing.assert_array_equal(greedy_policy(mdp, np.array([1.0, 2.0, 2.0, 0.0, 0.0, -1.0])), [1, 3])


def test_episodic_policies_in_every_form():
    mdp = random_episodic(0, horizon=2, states=3, actions=2)
    actions = np.array([[0, 1, 1], [1, 1, 0]])
    table = as_episodic_probabilities(mdp, actions)
    assert table.shape == (2, 3, 2)
    np.testing.assert_array_equal(table.argmax(axis=2), actions)
    np.testing.assert_array_equal(as_episodic_probabilities(mdp, actions[0]), np.stack([table[0], table[0]]))
    np.testing.assert_array_equal(as_episodic_probabilities(mdp, table[1]), np.stack([table[1], table[1]]))
    with pytest.raises(ModelError, match="action 2 in state 1"):
        as_episodic_probabilities(mdp, np.array([0, 2, 0]))
    bad = table.copy()
    bad[1, 2] = [0.5, 1.0]
    with pytest.raises(ModelError, match=r"state 2 at step 1 sum to 1.5"):
        as_episodic_probabilities(mdp, bad)
    with pytest.raises(ModelError, match=r"shape \(2, 3\)"):
        as_episodic_probabilities(mdp, np.array([0, 1]))
    with pytest.raises(ModelError, match="probability nan"):
        as_episodic_probabilities(mdp, np.full((3, 2), np.nan))
