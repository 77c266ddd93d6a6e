"""Tilts: the variational principle against an optimiser, closed forms, support, and extreme temperatures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import log_softmax

from theory.divergences import kl
from theory.errors import InputError
from theory.tilts import implicit_reward, log_partition, log_tilt, require_temperature

seeds = st.integers(0, 2**32 - 1)
temperatures = st.sampled_from([0.01, 0.5, 1.0, 30.0])


def drawn(seed, *shape):
    rng = np.random.default_rng(seed)
    return log_softmax(2 * rng.standard_normal(shape), axis=-1), rng.standard_normal(shape), rng


def test_two_responses_by_hand():
    """mu = (3/4, 1/4), r = (0, beta log 3): both weights are 3/4, and Z = 3/2."""
    beta = 0.7
    reference, reward = np.log([0.75, 0.25]), [0.0, beta * np.log(3)]
    np.testing.assert_allclose(np.exp(log_tilt(reference, reward, beta)), [0.5, 0.5], rtol=1e-15)
    assert abs(log_partition(reference, reward, beta) - beta * np.log(1.5)) <= 1e-15


@settings(deadline=None)
@given(seeds, temperatures)
def test_no_policy_is_worth_more_than_the_tilt(seed, beta):
    reference, reward, rng = drawn(seed, 4)

    def worth(policy):
        return np.exp(policy) @ reward - beta * kl(policy, reference, log=True)

    tilt, best = log_tilt(reference, reward, beta), log_partition(reference, reward, beta)
    assert abs(worth(tilt) - best) <= 1e-12 * (1 + beta)
    for size in (0.01, 1.0, 10.0):
        assert worth(log_softmax(tilt + size * rng.standard_normal(4))) <= best + 1e-12 * (1 + beta)


def test_an_optimiser_finds_the_tilt():
    reference, reward, _ = drawn(5, 4)
    beta = 0.5
    found = minimize(
        lambda x: beta * kl(log_softmax(x), reference, log=True) - np.exp(log_softmax(x)) @ reward, np.zeros(4), tol=1e-12
    )
    np.testing.assert_allclose(np.exp(log_softmax(found.x)), np.exp(log_tilt(reference, reward, beta)), rtol=0, atol=1e-6)


@given(seeds, temperatures)
def test_the_implicit_reward_is_the_reward_less_its_log_partition(seed, beta):
    reference, reward, _ = drawn(seed, 3, 5)
    tilt = log_tilt(reference, reward, beta)
    implied = implicit_reward(tilt, reference, beta)
    np.testing.assert_allclose(
        implied, reward - log_partition(reference, reward, beta)[:, None], rtol=0, atol=1e-13 * (1 + beta) * 50
    )
    np.testing.assert_allclose(log_partition(reference, implied, beta), 0.0, rtol=0, atol=1e-13 * (1 + beta) * 50)
    np.testing.assert_allclose(log_tilt(reference, implied + 7.0, beta), tilt, rtol=0, atol=1e-11)


@given(seeds, temperatures)
def test_tilts_add_up(seed, beta):
    reference, reward, rng = drawn(seed, 4)
    other = rng.standard_normal(4)
    twice = log_tilt(log_tilt(reference, reward, beta), other, beta)
    np.testing.assert_allclose(twice, log_tilt(reference, reward + other, beta), rtol=0, atol=1e-10)


def test_zero_probabilities_stay_zero_and_have_no_say():
    reference = np.array([np.log(0.5), np.log(0.5), -np.inf])
    tilt = log_tilt(reference, [1.0, 2.0, 1e6], 1.0)
    assert np.isneginf(tilt[2])
    np.testing.assert_allclose(tilt[:2], log_tilt(reference[:2], [1.0, 2.0], 1.0), rtol=1e-15)
    np.testing.assert_array_equal(implicit_reward(tilt, reference, 1.0)[2], 0.0)
    outside = implicit_reward(np.log([1 / 3, 1 / 3, 1 / 3]), reference, 1.0)
    assert np.isposinf(outside[2])
    with np.errstate(divide="ignore"):
        assert np.isneginf(implicit_reward(np.log([1.0, 0.0, 0.0]), reference, 1.0)[1])


def test_nothing_overflows_when_it_is_cold():
    tilt = log_tilt(np.log([0.5, 0.5]), [0.0, 1.0], 1e-6)
    np.testing.assert_allclose(tilt, [-1e6, 0.0], rtol=1e-12)
    assert abs(log_partition(np.log([0.5, 0.5]), [0.0, 1.0], 1e-6) - 1.0) <= 1e-6
    hot = log_tilt(np.log([0.2, 0.8]), [0.0, 1.0], 1e12)
    np.testing.assert_allclose(np.exp(hot), [0.2, 0.8], rtol=1e-11)


@pytest.mark.parametrize("beta", [0.0, -1.0, np.inf, np.nan])
def test_a_temperature_out_of_range_is_refused(beta):
    for call in (log_tilt, log_partition, implicit_reward):
        with pytest.raises(InputError, match=r"temperature beta is positive and finite, not .*\.$"):
            call(np.log([0.5, 0.5]), np.log([0.5, 0.5]), beta)
    if beta != 0:
        with pytest.raises(InputError, match="at least 0"):
            require_temperature(beta, zero=True)


def test_temperatures_that_are_fine():
    assert require_temperature(0, zero=True) == 0.0
    assert require_temperature(np.float32(2.5)) == 2.5


@pytest.mark.parametrize("reward", [[0.0, np.nan], [0.0, np.inf]])
def test_rewards_that_are_none_are_refused_by_their_place(reward):
    for call in (log_tilt, log_partition):
        with pytest.raises(InputError, match=r"entry \(1,\) .*\.$"):
            call(np.log([0.5, 0.5]), reward, 1.0)
