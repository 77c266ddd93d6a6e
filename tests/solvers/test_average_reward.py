"""Average reward: closed forms, brute force, exact fractions, the vanishing discount, and honest failure."""

import numpy as np
import pytest
from hypothesis import given, settings
from random_models import deterministic_policies, random_mdp, random_policy, seeds

from mdplab.models import TabularMDP
from mdplab.solvers import evaluation
from mdplab.solvers.average_reward import average_reward_evaluation, relative_value_iteration
from mdplab.solvers.policy import state_max, uniform_policy
from mdplab.solvers.rational import exact_average_reward, exact_policy_iteration
from theory.errors import InputError


def connected(seed, **options):
    """A random model in which every pair can reach every state: all its policies are unichain and aperiodic."""
    mdp = random_mdp(seed, **options)
    rng = np.random.default_rng(seed)
    kernel = 0.9 * mdp.transition_matrix().toarray() + 0.1 * rng.dirichlet(np.ones(mdp.states), size=mdp.pairs)
    return TabularMDP.from_sparse(kernel, mdp.reward, mdp.gamma, state_of_pair=mdp.pair_state)


@pytest.mark.parametrize("p", [0.1, 0.5, 1.0])
def test_two_states_by_hand(p):
    """0 -> 1 with probability p or q = p/2, 1 -> 0 with probability 1/4; only state 1 pays: gain p / (p + 1/4)."""
    mdp = TabularMDP.from_dense(
        np.array([[[1 - p, p], [1 - p / 2, p / 2]], [[0.25, 0.75], [0.25, 0.75]]]), np.array([[0.0, 0], [1, 1]]), 0.5
    )
    result = relative_value_iteration(mdp, tol=1e-10)
    exact = p / (p + 0.25)
    assert result.lower - 1e-15 <= exact <= result.upper + 1e-15
    assert result.upper - result.lower <= 1e-10
    assert result.bias[0] == 0
    assert result.bias[1] == pytest.approx(1 / (p + 0.25), abs=1e-8)
    assert result.policy[0] == 0
    fixed = average_reward_evaluation(mdp, result.policy)
    assert fixed.lower - 1e-15 <= exact <= fixed.upper + 1e-15
    np.testing.assert_allclose(fixed.stationary, [0.25 / (p + 0.25), p / (p + 0.25)], rtol=1e-14)
    assert fixed.stationary @ fixed.bias == pytest.approx(0, abs=1e-15)


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_no_deterministic_policy_has_a_larger_gain(seed):
    mdp = connected(seed, states=3, actions=3, ragged=True)
    result = relative_value_iteration(mdp)
    gains = [average_reward_evaluation(mdp, policy) for policy in deterministic_policies(mdp)]
    assert max(g.lower for g in gains) <= result.upper
    assert max(g.upper for g in gains) >= result.lower
    own = average_reward_evaluation(mdp, result.policy)
    assert own.upper >= result.lower
    assert own.gain == pytest.approx(result.gain, abs=2e-9)


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_the_exact_gain_lies_in_the_bracket(seed):
    mdp = connected(seed, ragged=True)
    result = relative_value_iteration(mdp, tol=1e-11)
    exact = exact_average_reward(mdp)
    assert result.lower <= float(exact.gain) <= result.upper
    assert result.upper - result.lower <= 1e-11
    np.testing.assert_allclose(result.bias, exact.bias.astype(float), rtol=0, atol=1e-8)
    # gain + bias = T bias
    np.testing.assert_allclose(state_max(mdp, result.q), result.gain + result.bias, rtol=0, atol=1e-11)


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_the_discounted_value_times_one_minus_gamma_tends_to_the_gain(seed):
    mdp = connected(seed, ragged=True, gamma=1 - 2.0**-20)
    result = relative_value_iteration(mdp)
    discounted = exact_policy_iteration(mdp).value.astype(float) * 2.0**-20
    span = np.ptp(result.bias)
    assert np.abs(discounted - result.gain).max() <= 2.0**-20 * (span + 1) * 2 + 1e-9


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_shifting_and_scaling_rewards(seed):
    mdp = connected(seed)
    gain = relative_value_iteration(mdp).gain
    assert relative_value_iteration(mdp.replace(reward=mdp.reward + 3)).gain == pytest.approx(gain + 3, abs=2e-9)
    assert relative_value_iteration(mdp.replace(reward=2 * mdp.reward)).gain == pytest.approx(2 * gain, abs=3e-9)
    lazy = relative_value_iteration(mdp, laziness=0.6, reference=2)
    assert lazy.gain == pytest.approx(gain, abs=2e-9)
    assert lazy.bias[2] == 0


def cycle(n):
    return TabularMDP.from_dense(np.roll(np.eye(n), 1, axis=1)[:, None, :], np.arange(n, dtype=float)[:, None], 0.9)


def test_a_periodic_model_needs_laziness():
    mdp = cycle(4)
    with pytest.raises(InputError, match=r"lie in \[.*, 3\].*may be periodic"):
        relative_value_iteration(mdp, laziness=0, max_iterations=500)
    assert relative_value_iteration(mdp).gain == pytest.approx(1.5, abs=1e-9)
    assert average_reward_evaluation(mdp, np.arange(4)).gain == pytest.approx(1.5, abs=1e-14)


def test_several_recurrent_classes_are_refused():
    mdp = TabularMDP.from_dense(np.eye(2)[:, None, :], np.array([[0.0], [1.0]]), 0.9)
    with pytest.raises(InputError, match=r"after 200 sweeps .* \[-?[0-9.e-]+, 1\], .*several recurrent classes"):
        relative_value_iteration(mdp, max_iterations=200)
    with pytest.raises(InputError, match="2 recurrent classes"):
        average_reward_evaluation(mdp, np.array([0, 1]))
    with pytest.raises(InputError, match="several recurrent classes"):
        exact_average_reward(mdp)


def test_transient_states_do_not_matter():
    """State 0 leads to state 1, which stays: one recurrent class, gain 2."""
    mdp = TabularMDP.from_dense(np.array([[[0.0, 1]], [[0, 1]]]), np.array([[7.0], [2.0]]), 0.9)
    result = average_reward_evaluation(mdp, np.array([0, 1]))
    assert result.lower <= 2 <= result.upper
    np.testing.assert_allclose(result.bias, [5, 0], rtol=0, atol=1e-14)
    assert relative_value_iteration(mdp).gain == pytest.approx(2, abs=1e-9)


def test_the_sparse_road_agrees(monkeypatch):
    mdp = connected(7, states=40)
    policy = random_policy(mdp, 0)
    dense, best = average_reward_evaluation(mdp, policy), relative_value_iteration(mdp)
    monkeypatch.setattr(evaluation, "DENSE_STATES", 10)
    monkeypatch.setattr(evaluation, "BAND_OPERATIONS", 0)
    again = mdp.replace()
    sparse = average_reward_evaluation(again, policy)
    assert sparse.gain == pytest.approx(dense.gain, abs=1e-13)
    np.testing.assert_allclose(sparse.stationary, dense.stationary, rtol=0, atol=1e-14)
    np.testing.assert_allclose(sparse.bias, dense.bias, rtol=0, atol=1e-11)
    assert relative_value_iteration(again).gain == pytest.approx(best.gain, abs=2e-9)


def test_bad_input():
    mdp = cycle(3)
    with pytest.raises(InputError, match="laziness"):
        relative_value_iteration(mdp, laziness=1.0)
    with pytest.raises(InputError, match="no reference state 3"):
        relative_value_iteration(mdp, reference=3)
    with pytest.raises(InputError, match="wider than tol"):
        relative_value_iteration(mdp, tol=0.0, max_iterations=50)
    assert average_reward_evaluation(mdp.replace(gamma=1.0), uniform_policy(mdp)).gain == pytest.approx(1)
