"""Policy evaluation against closed forms, plain linear algebra, exact fractions and identities."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import dense_chain, discounts, random_mdp, random_policy, seeds

from mdplab.models import ModelError, TabularMDP
from mdplab.solvers import evaluation
from mdplab.solvers.evaluation import (
    evaluate_policies,
    evaluate_policy,
    expected_return,
    policy_model,
    sparse_solve,
)
from mdplab.solvers.occupancy import discounted_occupancy
from mdplab.solvers.policy import state_sum
from mdplab.solvers.rational import exact_evaluation


def two_states(p, q, gamma):
    """0 -> 1 with probability p, 1 -> 0 with probability q; reward 1 in state 1."""
    return TabularMDP.from_dense(np.array([[[1 - p, p]], [[q, 1 - q]]]), np.array([[0.0], [1.0]]), gamma)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.99, 0.9999])
def test_two_states_by_hand(gamma):
    p, q = 0.25, 0.5
    result = evaluate_policy(two_states(p, q, gamma), np.array([0, 1]))
    scale = (1 - gamma) * (1 - gamma * (1 - p - q))
    exact = np.array([gamma * p, 1 - gamma * (1 - p)]) / scale
    assert np.abs(result.value - exact).max() <= result.error + 4e-16 * exact.max() / (1 - gamma)
    assert result.error <= 1e-14 / (1 - gamma) ** 2
    np.testing.assert_allclose(result.advantage, 0, atol=2 * result.error)


@settings(max_examples=60, deadline=None)
@given(seeds, discounts, st.booleans(), st.sampled_from([1e-6, 1.0, 1e6]))
def test_the_truth_lies_within_the_error(seed, gamma, ragged, scale):
    mdp = random_mdp(seed, gamma=gamma, ragged=ragged, reward_scale=scale)
    policy = random_policy(mdp, seed)
    result = evaluate_policy(mdp, policy)
    exact = exact_evaluation(mdp, policy)
    allowed = result.error + float(exact.float_distance)
    assert all(abs(v - float(x)) <= allowed for v, x in zip(result.value, exact.value))
    assert all(abs(v - float(x)) <= allowed for v, x in zip(result.q, exact.q))
    assert (result.lower <= result.value).all()
    assert (result.value <= result.upper).all()
    # the certificate is a few hundred roundings wide, not more
    assert result.error <= 300 * 2.0**-53 * (np.abs(mdp.reward).max() + np.abs(result.value).max()) / (1 - gamma)


@settings(max_examples=30, deadline=None)
@given(seeds, discounts)
def test_the_performance_difference_identity(seed, gamma):
    """J(pi) - J(mu) = E_{d^pi}[A^mu] / (1 - gamma) (Kakade and Langford 2002)."""
    mdp = random_mdp(seed, gamma=gamma, ragged=True)
    pi, mu = random_policy(mdp, seed), random_policy(mdp, seed + 1)
    of_pi, of_mu = evaluate_policy(mdp, pi), evaluate_policy(mdp, mu)
    visits = discounted_occupancy(mdp, pi, normalised=False)
    difference = mdp.start_distribution @ (of_pi.value - of_mu.value)
    slack = of_pi.error + of_mu.error + of_mu.advantage_error * visits.pair.sum()
    slack += visits.error * np.abs(of_mu.advantage).max() + 1e-14 * np.abs(of_mu.advantage).max() * visits.pair.sum()
    assert abs(difference - visits.pair @ of_mu.advantage) <= slack
    assert expected_return(mdp, pi) == pytest.approx(mdp.start_distribution @ of_pi.value, abs=of_pi.error)


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 4))
def test_relabelling_shaping_and_scaling(seed, states):
    mdp = random_mdp(seed, states=states, actions=2)
    policy = random_policy(mdp, seed)
    value = evaluate_policy(mdp, policy)
    potential = np.random.default_rng(seed).standard_normal(states)
    shaped = mdp.replace(reward=mdp.reward + mdp.gamma * (mdp.transition_matrix() @ potential) - potential[mdp.pair_state])
    close = {"rtol": 0, "atol": 1e-12}
    np.testing.assert_allclose(evaluate_policy(shaped, policy).value, value.value - potential, **close)
    np.testing.assert_allclose(evaluate_policy(shaped, policy).advantage, value.advantage, **close)
    np.testing.assert_array_equal(evaluate_policy(mdp.replace(reward=4 * mdp.reward), policy).value, 4 * value.value)
    P, R = mdp.dense()
    order = np.random.default_rng(seed).permutation(states)
    relabelled = TabularMDP.from_dense(P[order][:, :, order], R[order], mdp.gamma)
    table = policy.reshape(states, 2)[order]
    np.testing.assert_allclose(evaluate_policy(relabelled, table).value, value.value[order], **close)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_many_policies_at_once(seed):
    mdp = random_mdp(seed, ragged=True)
    policies = np.stack([random_policy(mdp, seed + k) for k in range(5)])
    values, q, errors = evaluate_policies(mdp, policies)
    for k, policy in enumerate(policies):
        alone = evaluate_policy(mdp, policy)
        assert np.abs(values[k] - alone.value).max() <= errors[k] + alone.error
        assert np.abs(q[k] - alone.q).max() <= errors[k] + alone.error
    chain, reward = policy_model(mdp, policies[0])
    by_loops = dense_chain(mdp, policies[0])
    np.testing.assert_allclose(chain, by_loops[0], rtol=0, atol=1e-15)
    np.testing.assert_allclose(reward, by_loops[1], rtol=0, atol=1e-14)


@pytest.mark.parametrize("gamma", [0.5, 0.99, 0.9999])
@pytest.mark.parametrize("operations", [0, 10**9], ids=["iterated", "factorised"])
def test_large_models_take_the_sparse_road_and_agree(monkeypatch, gamma, operations):
    mdp = random_mdp(5, states=60, actions=3, gamma=gamma, ragged=True)
    policy = random_policy(mdp, 5)
    dense = evaluate_policy(mdp, policy)
    visits = discounted_occupancy(mdp, policy)
    monkeypatch.setattr(evaluation, "DENSE_STATES", 10)
    monkeypatch.setattr(evaluation, "BAND_OPERATIONS", operations)
    again = mdp.replace()
    assert not evaluation.transitions(again).dense
    sparse = evaluate_policy(again, policy)
    assert np.abs(sparse.value - dense.value).max() <= dense.error + sparse.error
    assert sparse.error <= 4 * dense.error
    thin = discounted_occupancy(again, policy)
    assert np.abs(thin.pair - visits.pair).sum() <= thin.error + visits.error
    assert thin.error <= 4 * visits.error
    with pytest.raises(ModelError, match="small models"):
        evaluate_policies(again, policy[None])


@pytest.mark.parametrize("operations", [0, 10**9])
def test_a_slowly_mixing_chain_is_factorised(monkeypatch, operations):
    """A deterministic walk of 3000 states: BiCGSTAB stagnates if it is tried, the banded factorisation is exact."""
    monkeypatch.setattr(evaluation, "BAND_OPERATIONS", operations)
    states, gamma = 3000, 0.9999
    mdp = TabularMDP(
        state_pointer=np.arange(states + 1, dtype=np.int64),
        row_pointer=np.arange(states + 1, dtype=np.int64),
        next_state=np.minimum(np.arange(states) + 1, states - 1).astype(np.int32),
        probability=np.ones(states),
        reward=(np.arange(states) == states - 1).astype(float),
        gamma=gamma,
    )
    result = evaluate_policy(mdp, np.arange(states))
    exact = gamma ** (states - 1 - np.arange(states)) / (1 - gamma)
    assert np.abs(result.value - exact).max() <= result.error + 1e-11 * exact.max()
    assert result.error <= 1e-6


def test_sparse_solve_of_the_zero_right_hand_side():
    from scipy.sparse import eye_array

    np.testing.assert_array_equal(sparse_solve(eye_array(5, format="csr") * 2.0, np.zeros(5)), np.zeros(5))


def test_bad_input():
    mdp = random_mdp(0)
    with pytest.raises(ModelError, match=r"discount below 1, but this model's is 1"):
        evaluate_policy(mdp.replace(gamma=1.0), random_policy(mdp, 0))
    with pytest.raises(ModelError, match="too close to 1"):
        evaluate_policy(mdp.replace(gamma=1 - 2.0**-53), random_policy(mdp, 0))
    with pytest.raises(ModelError, match="state 1 the probability -1"):
        expected_return(mdp, random_policy(mdp, 0), [1, -1, 1, 0, 0])
    with pytest.raises(ModelError, match=r"sums to 0.5"):
        expected_return(mdp, random_policy(mdp, 0), [0.5, 0, 0, 0, 0])


def test_an_advantage_averages_to_zero_under_its_own_policy():
    mdp = random_mdp(11, ragged=True)
    policy = random_policy(mdp, 2)
    result = evaluate_policy(mdp, policy)
    assert np.abs(state_sum(mdp, policy * result.advantage)).max() <= result.advantage_error
