"""The reward-difference loss and its bounds on the gap: by hand, by brute force, over searches, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from bandits.preference.comparisons import independent_pairs
from bandits.preference.families import hole_bandit, random_kl_bandit
from bandits.preference.kl_bandit import KLBandit, kl_gap
from bandits.preference.reward_difference import (
    gap_bounds,
    reward_difference_loss,
    reward_error,
    weighted_reward_difference_loss,
)
from theory.errors import InputError

seeds = st.integers(0, 10**6)


def test_two_responses_by_hand():
    bandit = KLBandit(np.array([1.0, 0.0]), np.log([0.25, 0.75]), 0.5)
    policy = np.log([0.5, 0.5])
    difference = 0.5 * np.log(2) - 1 - 0.5 * np.log(2 / 3)
    np.testing.assert_allclose(reward_difference_loss(bandit, policy), 2 * 0.25 * 0.75 * difference**2, rtol=1e-14)
    loss = 2 * 0.25 * 0.75 * difference**2
    bounds = gap_bounds(bandit, policy)
    np.testing.assert_allclose(bounds.linear, loss / (8 * 0.5 * 0.25), rtol=1e-14)
    star = np.exp(bandit.log_optimum)
    first, second = np.array([2, 2 / 3]), star / [0.25, 0.75]
    np.testing.assert_allclose(bounds.pair, np.sqrt(2 * second.max() * loss), rtol=1e-14)
    np.testing.assert_allclose(bounds.symmetric, np.sqrt((first[0] * second[1] + first[1] * second[0]) / 2 * loss), rtol=1e-14)


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(2, 6), st.sampled_from([0.1, 1.0, 5.0]))
def test_the_loss_is_the_double_sum_and_the_bounds_hold(seed, K, noise):
    rng = np.random.default_rng(seed)
    plain = random_kl_bandit(K=K, beta=0.4, concentration=float(rng.choice((0.3, 2.0))), seed=seed)
    law = log_softmax(rng.standard_normal(K))
    bandit = KLBandit(plain.reward, plain.log_reference, plain.beta, law)
    policies = log_softmax(bandit.log_optimum + noise * rng.standard_normal((5, K)), axis=-1)
    loss = reward_difference_loss(bandit, policies)
    error = reward_error(bandit, policies)
    by_hand = np.einsum("i,j,nij->n", np.exp(law), np.exp(law), (error[:, :, None] - error[:, None, :]) ** 2)
    np.testing.assert_allclose(loss, by_hand, rtol=1e-10)
    pairs = independent_pairs(np.exp(law))
    np.testing.assert_allclose(weighted_reward_difference_loss(bandit, policies, pairs), by_hand, rtol=1e-10)
    gap, bounds = kl_gap(bandit, policies), gap_bounds(bandit, policies)
    assert (gap <= bounds.symmetric * (1 + 1e-9)).all()
    assert (gap <= bounds.linear * (1 + 1e-9)).all()
    assert (bounds.symmetric <= bounds.pair * (1 + 1e-12)).all()
    # a shift of the rewards changes nothing, and a scale of rewards and temperature scales the loss by its square
    moved = KLBandit(3 * plain.reward + 2, plain.log_reference, 3 * plain.beta, law)
    np.testing.assert_allclose(reward_difference_loss(moved, policies), 9 * loss, rtol=1e-9)
    np.testing.assert_allclose(gap_bounds(moved, policies).linear, 3 * bounds.linear, rtol=1e-9)


def test_the_optimum_alone_has_no_loss():
    bandit = random_kl_bandit(K=5, seed=3)
    assert reward_difference_loss(bandit, bandit.log_optimum) < 1e-28
    other = log_softmax(bandit.log_optimum + np.eye(5)[2] * 1e-3)
    assert reward_difference_loss(bandit, other) > 1e-8


def test_prompts_are_averaged():
    bandit = random_kl_bandit(K=3, prompts=4, seed=1)
    policy = log_softmax(bandit.log_optimum + np.random.default_rng(0).standard_normal((4, 3)), axis=-1)
    rows = [KLBandit(bandit.reward[x], bandit.log_reference[x], bandit.beta) for x in range(4)]
    for name in ("pair", "symmetric", "linear"):
        whole = getattr(gap_bounds(bandit, policy), name)
        np.testing.assert_allclose(whole, np.mean([getattr(gap_bounds(b, p), name) for b, p in zip(rows, policy)]), rtol=1e-13)
    one = np.mean([reward_difference_loss(b, p) for b, p in zip(rows, policy)])
    np.testing.assert_allclose(reward_difference_loss(bandit, policy), one, rtol=1e-13)


def test_without_coverage_there_is_no_bound():
    bandit = hole_bandit(K=3, delta=0.1, seed=2)  # no pair shows the last response
    lost = log_softmax(bandit.log_optimum + np.array([0.0, 0.0, 0.0, 2.0]))
    assert reward_difference_loss(bandit, lost) < 1e-28
    assert kl_gap(bandit, lost) > 0
    bounds = gap_bounds(bandit, lost)
    assert np.isinf([bounds.pair, bounds.symmetric, bounds.linear]).all()


def test_bad_input_gets_one_sentence():
    bandit = random_kl_bandit(K=3, seed=1)
    with pytest.raises(InputError, match="different supports"):
        reward_difference_loss(bandit, np.array([0.0, -np.inf, -np.inf]))
    prompted = random_kl_bandit(K=3, prompts=2, seed=1)
    with pytest.raises(InputError, match="of one prompt"):
        weighted_reward_difference_loss(prompted, prompted.log_reference, np.ones((3, 3)))
    with pytest.raises(InputError, match="weights"):
        weighted_reward_difference_loss(bandit, bandit.log_reference, np.ones((2, 2)))
