"""Regularised MDPs: closed forms, contraction, optimality, the limits of the temperature, and agreement of solvers."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import discounts, random_episodic, random_mdp, random_policy, seeds

from mdplab.models import ModelError, TabularMDP
from mdplab.solvers.backward_induction import backward_induction
from mdplab.solvers.evaluation import evaluate_policy
from mdplab.solvers.policy import log_softmax_policy, state_max, state_sum, uniform_policy
from mdplab.solvers.rational import exact_policy_iteration
from mdplab.solvers.soft import (
    soft_backward_induction,
    soft_bellman,
    soft_evaluate,
    soft_evaluate_episodic,
    soft_greedy,
    soft_policy_iteration,
    soft_value_iteration,
)

temperatures = st.sampled_from([1e-3, 0.1, 1.0, 30.0])


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("tau", [1e-3, 1.0, 10.0])
def test_one_state_by_hand(gamma, tau):
    """V = tau log sum exp(R / tau) / (1 - gamma), since V cancels from the policy."""
    reward = np.array([1.0, 0.5, -2.0])
    mdp = TabularMDP.from_dense(np.ones((1, 3, 1)), reward[None], gamma)
    exact = tau * np.logaddexp.reduce(reward / tau) / (1 - gamma)
    mean = tau * (np.logaddexp.reduce(reward / tau) - np.log(3)) / (1 - gamma)
    for solve in (soft_value_iteration, soft_policy_iteration):
        result = solve(mdp, tau, tol=1e-9)  # V is 1090 at the most, and rounding allows 1.4e-10 there
        assert result.converged
        assert abs(result.value[0] - exact) <= result.error + 1e-14 * abs(exact)
        closed = np.exp(reward / tau - np.logaddexp.reduce(reward / tau))
        np.testing.assert_allclose(result.policy, closed, rtol=0, atol=result.log_policy_error)
        assert abs(solve(mdp, tau, reference=uniform_policy(mdp), tol=1e-9).value[0] - mean) <= 1.1e-9


@settings(max_examples=40, deadline=None)
@given(seeds, discounts, temperatures, st.booleans(), st.booleans())
def test_value_and_policy_iteration_agree(seed, gamma, tau, ragged, kl):
    mdp = random_mdp(seed, gamma=gamma, ragged=ragged)
    reference = random_policy(mdp, seed) if kl else None
    by_value = soft_value_iteration(mdp, tau, reference=reference, tol=1e-8)
    by_policy = soft_policy_iteration(mdp, tau, reference=reference)
    assert by_value.converged
    assert np.abs(by_value.value - by_policy.value).max() <= by_value.error + by_policy.error
    assert np.abs(by_value.q - by_policy.q).max() <= by_value.error + by_policy.error
    finite = np.isfinite(by_value.log_policy)
    gap = np.abs(by_value.log_policy[finite] - by_policy.log_policy[finite]).max()
    assert gap <= by_value.log_policy_error + by_policy.log_policy_error
    np.testing.assert_array_equal(finite, np.ones_like(finite) if reference is None else reference > 0)
    # the closed form: its regularised value is the optimum
    own = soft_evaluate(mdp, by_policy.log_policy, tau, reference=reference, log=True)
    assert np.abs(own.value - by_policy.value).max() <= own.error + (2 / (1 - gamma)) * by_policy.error
    assert by_policy.error <= max(1e-10, 1e-12 * (1 + tau) * (1 + np.abs(by_policy.value).max()) / (1 - gamma))


@settings(max_examples=30, deadline=None)
@given(seeds, temperatures)
def test_no_policy_has_a_larger_regularised_value(seed, tau):
    mdp = random_mdp(seed, ragged=True)
    best = soft_policy_iteration(mdp, tau)
    for k in range(5):
        other = soft_evaluate(mdp, random_policy(mdp, seed + k), tau)
        assert (other.value <= best.value + best.error + other.error).all()


@settings(max_examples=30, deadline=None)
@given(seeds, discounts, temperatures)
def test_the_operator_is_a_monotone_contraction(seed, gamma, tau):
    mdp = random_mdp(seed, gamma=gamma, ragged=True)
    rng = np.random.default_rng(seed)
    v = rng.standard_normal(mdp.states)
    w = v + rng.random(mdp.states)
    (tv, qv), (tw, _) = soft_bellman(mdp, v, tau), soft_bellman(mdp, w, tau)
    rounding = 1e-13 * (1 + tau)
    assert (tw >= tv - rounding).all()
    assert np.abs(tw - tv).max() <= gamma * np.abs(w - v).max() + rounding
    np.testing.assert_allclose(soft_bellman(mdp, v + 2, tau)[0], tv + 2 * gamma, rtol=0, atol=rounding)
    # log-sum-exp is the maximum of <pi, Q> + tau entropy, and softmax attains it
    log_policy = soft_greedy(mdp, qv, tau)
    attained = state_sum(mdp, np.exp(log_policy) * (qv - tau * log_policy))
    np.testing.assert_allclose(attained, tv, rtol=0, atol=rounding)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_soft_becomes_hard_as_the_temperature_falls(seed):
    """V* <= V*_tau <= V* + tau log(A) / (1 - gamma); with a reference, V* - tau max log(1/mu)/(1-gamma) <= V*_tau <= V*."""
    mdp = random_mdp(seed, ragged=True)
    hard = exact_policy_iteration(mdp)
    value = hard.value.astype(float)
    largest = np.log(mdp.max_actions)
    reference = 0.5 * random_policy(mdp, seed) + 0.5 * uniform_policy(mdp)
    known = float(hard.float_distance) + 1e-14 * np.abs(value).max()
    for tau in (1.0, 1e-2, 1e-5, 1e-9):
        result = soft_policy_iteration(mdp, tau)
        assert (result.value >= value - result.error - known).all()
        assert (result.value <= value + tau * largest / (1 - mdp.gamma) + result.error + known).all()
        result = soft_policy_iteration(mdp, tau, reference=reference)
        assert (result.value <= value + result.error + known).all()
        assert (result.value >= value + tau * np.log(reference.min()) / (1 - mdp.gamma) - result.error - known).all()
    if hard.action_gap is not None and hard.action_gap > Fraction(1, 10**6) and hard.optimal.sum() == mdp.states:
        np.testing.assert_allclose(soft_policy_iteration(mdp, 1e-9).policy, hard.optimal, rtol=0, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_a_hot_problem_follows_the_reference(seed):
    mdp = random_mdp(seed, ragged=True)
    reference = random_policy(mdp, seed)
    result = soft_policy_iteration(mdp, 1e6, reference=reference, tol=1e-8)
    np.testing.assert_allclose(result.policy, reference, rtol=0, atol=1e-4)
    plain = evaluate_policy(mdp, reference)
    free = soft_evaluate(mdp, reference, 1e6, reference=reference)
    assert np.abs(free.value - plain.value).max() <= free.error + plain.error


@settings(max_examples=20, deadline=None)
@given(seeds, temperatures)
def test_entropy_is_kl_to_the_uniform_policy_up_to_a_constant(seed, tau):
    mdp = random_mdp(seed)
    policy = random_policy(mdp, seed)
    shift = tau * np.log(3) / (1 - mdp.gamma)
    entropy = soft_evaluate(mdp, policy, tau)
    kl = soft_evaluate(mdp, policy, tau, reference=uniform_policy(mdp))
    assert np.abs(entropy.value - shift - kl.value).max() <= entropy.error + kl.error + 1e-14 * shift
    assert entropy.error <= 1e-11 * (1 + tau)


def test_the_bracket_contains_the_truth_when_stopped_early():
    mdp = random_mdp(3, gamma=0.95)
    truth = soft_policy_iteration(mdp, 0.5)
    for sweeps in (1, 2, 5, 20):
        early = soft_value_iteration(mdp, 0.5, max_iterations=sweeps)
        assert not early.converged
        assert early.iterations == sweeps
        assert (early.lower <= truth.upper).all()
        assert (truth.lower <= early.upper).all()


def test_constant_rewards_are_solved_at_once():
    """The bracket is a point after one sweep, whatever the discount: only rounding is left."""
    mdp = random_mdp(0, gamma=0.999).replace(reward=np.full(15, 2.0))
    result = soft_value_iteration(mdp, 0.1, tol=1e-6)
    assert result.iterations == 1
    exact = (2 + 0.1 * np.log(3)) / (1 - 0.999)
    assert np.abs(result.value - exact).max() <= result.error + 1e-12 * exact


@settings(max_examples=20, deadline=None)
@given(seeds, temperatures, st.booleans())
def test_episodic_twin(seed, tau, kl):
    mdp = random_episodic(seed)
    rng = np.random.default_rng(seed)
    reference = rng.dirichlet(np.ones(2), size=(4, 3)) if kl else None
    best = soft_backward_induction(mdp, tau, reference=reference)
    log_mu = 0 if reference is None else np.log(reference)
    own = soft_evaluate_episodic(mdp, best.log_policy, tau, reference=reference, log=True)
    assert np.abs(own.value - best.value).max() <= own.error + best.error + 1e-13 * (1 + tau)
    other = soft_evaluate_episodic(mdp, rng.dirichlet(np.ones(2), size=(4, 3)), tau, reference=reference)
    assert (other.value <= best.value + best.error + other.error).all()
    closed = tau * np.logaddexp.reduce(best.q / tau + log_mu, axis=2)
    np.testing.assert_allclose(best.value[:-1], closed, rtol=0, atol=1e-13 * (1 + tau))
    np.testing.assert_allclose(best.policy.sum(axis=2), 1, rtol=0, atol=1e-14)
    assert best.error <= 1e-12 * (1 + tau)
    cold = soft_backward_induction(mdp, 1e-9)
    np.testing.assert_allclose(cold.value, backward_induction(mdp).value, rtol=0, atol=4e-9 * np.log(2) + cold.error)


def test_log_policies_may_underflow():
    """Probabilities of exp(-1000) and below count as 0 log 0 = 0."""
    mdp = random_mdp(0, states=3, actions=2)
    log_policy = log_softmax_policy(mdp, np.array([0, -1000.0, 0, -5000.0, -1e12, 0]))
    deterministic = np.exp(log_policy)
    np.testing.assert_array_equal(deterministic, [1, 0, 1, 0, 0, 1])
    soft = soft_evaluate(mdp, log_policy, 1.0, log=True)
    np.testing.assert_allclose(soft.value, evaluate_policy(mdp, deterministic).value, rtol=1e-13)
    assert (state_max(mdp, log_policy) == 0).all()


def test_bad_input():
    mdp = random_mdp(0, states=2, actions=2)
    for tau in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ModelError, match="temperature"):
            soft_policy_iteration(mdp, tau)
    with pytest.raises(ModelError, match="below 1"):
        soft_value_iteration(mdp.replace(gamma=1.0), 1.0)
    with pytest.raises(ModelError, match=r"pair 1 of state 0 with probability 0.5"):
        soft_evaluate(mdp, uniform_policy(mdp), 1.0, reference=np.array([0, 3]))
    with pytest.raises(ModelError, match=r"action 1 in state 0 at step 0"):
        soft_evaluate_episodic(random_episodic(0), np.full((3, 2), 0.5), 1.0, reference=np.array([0, 0, 0]))
