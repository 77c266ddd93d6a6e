"""Occupancy measures against series, flow equations and identities."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import dense_chain, discounts, random_episodic, random_mdp, random_policy, seeds
from scipy.sparse import csr_array, diags_array

from mdplab.models import ModelError, TabularMDP
from mdplab.solvers.evaluation import discounted_visits, evaluate_policy
from mdplab.solvers.occupancy import (
    discounted_occupancy,
    episodic_occupancy,
    flow_residual,
    occupancy_from_every_state,
    policy_from_occupancy,
)


def test_two_states_by_hand():
    """0 -> 1 -> 1: from state 0, d(0) = 1 - gamma and d(1) = gamma."""
    mdp = TabularMDP.from_dense(np.array([[[0.0, 1.0]], [[0.0, 1.0]]]), np.zeros((2, 1)), 0.75, start=np.array([1.0, 0]))
    result = discounted_occupancy(mdp, np.array([0, 1]))
    np.testing.assert_array_equal(result.state, [0.25, 0.75])
    np.testing.assert_array_equal(result.pair, [0.25, 0.75])
    np.testing.assert_array_equal(discounted_occupancy(mdp, np.array([0, 1]), normalised=False).pair, [1, 3])
    np.testing.assert_array_equal(discounted_occupancy(mdp, np.array([0, 1]), start=[0, 1.0]).pair, [0, 1])


@settings(max_examples=50, deadline=None)
@given(seeds, discounts, st.booleans())
def test_occupancies_are_flows_and_sum_to_one(seed, gamma, ragged):
    mdp = random_mdp(seed, gamma=gamma, ragged=ragged)
    policy = random_policy(mdp, seed)
    result = discounted_occupancy(mdp, policy)
    assert (result.pair >= 0).all()
    # start, policy and rows sum to 1 only up to rounding themselves
    assert abs(result.pair.sum() - 1) <= result.error + 1e-15 / (1 - gamma)
    assert abs(result.state.sum() - 1) <= result.error + 1e-15 / (1 - gamma)
    assert np.abs(flow_residual(mdp, result.pair)).sum() <= 2 * result.error
    assert result.error <= 1e-13 / (1 - gamma)
    # the series, cut where what is left of it is below 1e-14
    chain, _ = dense_chain(mdp, policy)
    state, series, weight = mdp.start_distribution, np.zeros(mdp.states), 1 - gamma
    while weight > 1e-14 * (1 - gamma) and weight > 0:
        series, state, weight = series + weight * state, state @ chain, weight * gamma
    assert np.abs(series - result.state).sum() <= result.error + 1e-14 + 1e-15 / (1 - gamma)


@settings(max_examples=30, deadline=None)
@given(seeds, discounts)
def test_policy_and_occupancy_determine_each_other(seed, gamma):
    mdp = random_mdp(seed, gamma=gamma, ragged=True)
    policy = random_policy(mdp, seed)
    result = discounted_occupancy(mdp, policy)
    visited = result.state[mdp.pair_state] > 1e-6
    np.testing.assert_allclose(policy_from_occupancy(mdp, result.pair)[visited], policy[visited], rtol=0, atol=1e-7)
    again = discounted_occupancy(mdp, policy_from_occupancy(mdp, result.pair))
    assert np.abs(again.pair - result.pair).sum() <= 2 * (again.error + result.error)


@settings(max_examples=30, deadline=None)
@given(seeds, discounts)
def test_the_return_is_linear_in_the_occupancy(seed, gamma):
    mdp = random_mdp(seed, gamma=gamma, ragged=True)
    policy = random_policy(mdp, seed)
    visits = discounted_occupancy(mdp, policy, normalised=False)
    value = evaluate_policy(mdp, policy)
    slack = value.error + visits.error * np.abs(mdp.reward).max() + 1e-13 / (1 - gamma)
    assert abs(visits.pair @ mdp.reward - mdp.start_distribution @ value.value) <= slack
    assert np.abs(flow_residual(mdp, visits.pair, normalised=False)).sum() <= 2 * visits.error


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_every_start_state_at_once(seed):
    mdp = random_mdp(seed, ragged=True)
    policy = random_policy(mdp, seed)
    matrix = occupancy_from_every_state(mdp, policy)
    for s in range(mdp.states):
        one = discounted_occupancy(mdp, policy, start=np.eye(mdp.states)[s])
        np.testing.assert_allclose(matrix[s], one.state, rtol=0, atol=2 * one.error)
    unnormalised = occupancy_from_every_state(mdp, policy, normalised=False)
    np.testing.assert_allclose(unnormalised, matrix / (1 - mdp.gamma), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["mixing", "periodic", "walk", "absorbing"])
@pytest.mark.parametrize("gamma", [0.0, 0.9, 0.9999])
def test_visits_of_sparse_chains(kind, gamma):
    """Chains that mix, that never do, and that do so in ten thousand steps: all agree with a dense solution."""
    S, rng = 60, np.random.default_rng(3)
    dense = {
        "mixing": rng.dirichlet(np.full(S, 0.1), size=S),
        "periodic": np.eye(S)[np.roll(np.arange(S), -1)],
        "walk": diags_array(
            [np.full(S - 1, 0.5), np.eye(S)[0] / 2 + np.eye(S)[-1] / 2, np.full(S - 1, 0.5)], offsets=[-1, 0, 1]
        ).toarray(),
        "absorbing": np.eye(S)[np.append(np.arange(1, S), S - 1)],
    }[kind]
    source = np.eye(S)[0]
    expected = np.linalg.solve(np.eye(S) - gamma * dense.T, source)
    found = discounted_visits(csr_array(dense), source, gamma)
    assert np.abs(found - expected).sum() <= 1e-11 / (1 - gamma)
    assert found.sum() == pytest.approx(1 / (1 - gamma), rel=1e-12)


def test_a_random_vector_is_no_flow():
    mdp = random_mdp(1)
    pair = np.random.default_rng(0).dirichlet(np.ones(mdp.pairs))
    assert np.abs(flow_residual(mdp, pair)).sum() > 1e-3


def test_states_that_are_not_visited_get_the_uniform_policy():
    mdp = random_mdp(0, states=2, actions=2)
    np.testing.assert_array_equal(policy_from_occupancy(mdp, np.array([0.25, 0.75, 0.0, 0.0])), [0.25, 0.75, 0.5, 0.5])
    np.testing.assert_array_equal(policy_from_occupancy(mdp, np.array([1, 0, 5e-324, 5e-324])), [1, 0, 0.5, 0.5])
    with pytest.raises(ModelError, match=r"pair 1 \(state 0\) is -0.5"):
        policy_from_occupancy(mdp, np.array([1.5, -0.5, 0, 0]))
    with pytest.raises(ModelError, match="4 entries, not 3"):
        policy_from_occupancy(mdp, np.ones(3))
    with pytest.raises(ModelError, match="4 entries, not 3"):
        flow_residual(mdp, np.ones(3))


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 5))
def test_episodic_occupancies(seed, horizon):
    mdp = random_episodic(seed, horizon=horizon)
    policy = np.random.default_rng(seed).dirichlet(np.ones(2), size=(horizon, 3))
    result = episodic_occupancy(mdp, policy)
    # start, policy and rows sum to 1 only up to rounding themselves
    rounding = 1e-15 * (horizon + 1)
    assert np.abs(result.pair.sum(axis=(1, 2)) - 1).max() <= result.error + rounding
    state = mdp.start
    for h in range(horizon):
        assert np.abs(result.state[h] - state).sum() <= result.error + rounding
        state = np.einsum("s,sa,sat->t", state, policy[h], mdp.P[h])
    assert result.error <= 1e-14 * (horizon + 1)
    fixed = episodic_occupancy(mdp, policy[0], start=[0, 0, 1.0])
    np.testing.assert_array_equal(fixed.state[0], [0, 0, 1])
    with pytest.raises(ModelError, match="3 probabilities"):
        episodic_occupancy(mdp, policy, start=[0.5, 0.5])
