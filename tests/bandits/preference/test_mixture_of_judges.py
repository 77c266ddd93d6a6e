"""Masked rewards: against enumeration, root finding by other means, finite differences and numerical integration."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from bandits.preference.gradient_flows import follow, on_policy
from bandits.preference.kl_bandit import KLBandit
from bandits.preference.mixture_of_judges import (
    JudgedBandit,
    accepted_mean,
    calibrated_reward,
    critical_temperature,
    judged_bandit,
    masked_reward,
    natural_gradient,
    plateau_path,
    plateau_start,
    random_judged_bandit,
    violation_log_odds,
    violation_speed,
)
from theory.errors import InputError

seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.integers(2, 8))
def test_odds_and_means_are_those_of_the_probabilities(seed, K):
    judged = random_judged_bandit(K=K, seed=seed)
    p, F = judged.bandit.reference, judged.feasible
    np.testing.assert_allclose(np.exp(violation_log_odds(np.log(p), F)), p[~F].sum() / p[F].sum(), rtol=1e-10)
    r = judged.bandit.reward
    np.testing.assert_allclose(accepted_mean(np.log(p), r, F), (p * r)[F].sum() / p[F].sum(), rtol=1e-10)
    np.testing.assert_array_equal(judged.masked, r * F)
    assert F[0]
    assert not F[-1]


@settings(max_examples=20)
@given(seeds)
def test_the_speed_is_a_derivative(seed):
    judged = random_judged_bandit(K=5, seed=seed)
    logits, u = judged.bandit.log_reference, np.random.default_rng(seed).standard_normal(5)

    def mass(t):
        return np.exp(log_softmax(logits + t * u))[~judged.feasible].sum()

    expected = (mass(1e-5) - mass(-1e-5)) / 2e-5
    np.testing.assert_allclose(violation_speed(logits, u, judged.feasible), expected, rtol=1e-6, atol=1e-9)


def test_the_known_counterexample_in_figures():
    policy, reward = np.log([0.8, 0.1, 0.1]), np.array([0.1, 1.0, 0.0])
    feasible = [True, True, False]
    # J m S - J S_N - m sum_F pi^2 R with J = .18, S = .66
    expected = 0.18 * 0.1 * 0.66 - 0.18 * 0.01 - 0.1 * (0.064 + 0.01)
    assert violation_speed(policy, on_policy(policy, reward), feasible) == pytest.approx(expected, rel=1e-12)
    assert violation_speed(policy, natural_gradient(policy, reward), feasible) < 0


def test_a_natural_gradient_step_multiplies_by_exponentials():
    reward, start = np.array([0.2, 0.9, 0.0]), np.log([0.5, 0.2, 0.3])
    path = follow(lambda p: natural_gradient(p, reward), start, 0.7, 3)
    np.testing.assert_allclose(path[-1], log_softmax(start + 2.1 * reward), atol=1e-14)


def test_critical_temperatures():
    even = (0.0, 0.0, 0.0)
    # (x + x^-2) / 2 = 1 for x = e^(t/2): x^3 - 2 x^2 + 1 = (x - 1)(x^2 - x - 1), the golden ratio
    found = critical_temperature(judged_bandit(accepted=(0.5, -1.0), rejected=(0.0,), logits=even))
    assert found == pytest.approx(0.5 / np.log((1 + 5**0.5) / 2), rel=1e-12)
    assert critical_temperature(judged_bandit(accepted=(0.5, -0.5), logits=even)) == np.inf
    assert critical_temperature(judged_bandit(accepted=(0.0, -0.5), logits=even)) == 0
    almost = critical_temperature(judged_bandit(accepted=(0.5, -0.5001), logits=even))
    assert almost == pytest.approx(0.5**2 / 2 / 0.5e-4, rel=1e-3)  # mean + t variance / 2 = 0


@pytest.mark.parametrize("rejected", [1, 3])
def test_the_plateau_path_is_where_small_gradient_steps_go(rejected):
    start = plateau_start(rejected, 0.1, 0.05)
    reward = np.zeros(rejected + 2)
    reward[1] = 1.0
    logits, ends = start.copy(), []
    for _ in range(4000):
        logits = logits + 0.01 * on_policy(log_softmax(logits), reward)
    ends = log_softmax(logits)
    np.testing.assert_allclose(ends, plateau_path(start, start[0] - logits[0]), atol=5e-3)
    np.testing.assert_allclose(plateau_path(start, 0.0), start, atol=1e-14)
    assert np.exp(start).sum() == pytest.approx(1)


def test_calibration_is_a_probability_of_winning():
    score = np.array([[1.0, 2.0], [0.0, -1.0]])
    reward = calibrated_reward(score, [1.0, 0.0])
    np.testing.assert_allclose(reward, [[0.5, 1 / (1 + np.exp(-1))], [0.5, 1 / (1 + np.e)]])
    np.testing.assert_allclose(calibrated_reward(score + 7.0, [8.0, 7.0]), reward)
    np.testing.assert_array_equal(masked_reward([1.0, 2.0], [True, False]), [1.0, 0.0])


def test_bad_input_gets_one_sentence():
    bandit = KLBandit(np.zeros(2), np.log([0.5, 0.5]), 1.0)
    with pytest.raises(InputError, match="accept at least one response"):
        JudgedBandit(bandit, np.array([True, True]))
    with pytest.raises(InputError, match="as many judgements"):
        JudgedBandit(bandit, np.array([True, False, True]))
    with pytest.raises(InputError, match="not 1"):
        random_judged_bandit(K=1)
    with pytest.raises(InputError, match="as many logits"):
        judged_bandit(logits=(0.0,))
    with pytest.raises(InputError, match="not finite"):
        calibrated_reward([np.nan], 0.0)
    with pytest.raises(InputError, match="a sum below 1"):
        plateau_start(1, 0.5, 0.5)
    with pytest.raises(InputError, match="falls by at least 0"):
        plateau_path(np.log([0.5, 0.5]), -1.0)
