"""Best of N: enumeration in rational arithmetic, composition, the binary case, symmetries and refusals."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from bandits.preference.best_of_n import (
    best_of_n,
    best_of_n_divergence_bound,
    best_of_n_success,
    matching_inverse_temperature,
)
from theory.divergences import kl
from theory.errors import InputError
from theory.tilts import log_tilt

seeds = st.integers(0, 10_000)
draws = st.integers(1, 60)


def random_bandit(seed, K=6, levels=3):
    rng = np.random.default_rng(seed)
    return np.log(rng.dirichlet(np.ones(K))), rng.integers(levels, size=K).astype(float)


def enumerated(weights, reward, N):
    """The law of a random one of the best among N draws, by going through all K^N of them."""
    total = sum(weights)
    kept = [Fraction(0)] * len(weights)
    for drawn in itertools.product(range(len(weights)), repeat=N):
        chance = Fraction(1)
        for y in drawn:
            chance *= Fraction(weights[y], total)
        top = max(reward[y] for y in drawn)
        best = [y for y in drawn if reward[y] == top]
        for y in best:
            kept[y] += chance / len(best)
    return kept


@pytest.mark.parametrize("reward", [(0, 1, 2, 3), (1, 1, 0, 2), (0, 1, 0, 1), (5, 5, 5, 5), (-2, 0, 0, -2)])
@pytest.mark.parametrize("N", [1, 2, 3, 5])
def test_enumeration(reward, N):
    weights = (1, 4, 2, 3)
    found = best_of_n(np.log(np.array(weights) / 10), reward, N)
    np.testing.assert_allclose(np.exp(found), [float(x) for x in enumerated(weights, reward, N)], rtol=1e-13)


@settings(max_examples=30, deadline=None)
@given(seeds, draws, draws)
def test_best_of_n_of_best_of_m_is_best_of_their_product(seed, N, M):
    log_policy, reward = random_bandit(seed)
    twice = best_of_n(best_of_n(log_policy, reward, M), reward, N)
    np.testing.assert_allclose(twice, best_of_n(log_policy, reward, N * M), rtol=1e-10, atol=1e-10)


@settings(max_examples=30, deadline=None)
@given(seeds, draws)
def test_properties(seed, N):
    log_policy, reward = random_bandit(seed)
    kept = best_of_n(log_policy, reward, N)
    assert np.exp(kept).sum() == pytest.approx(1, rel=1e-12)
    np.testing.assert_allclose(best_of_n(log_policy, np.exp(3 * reward), N), kept, rtol=1e-12, atol=1e-13)  # only ranks count
    order = np.random.default_rng(seed).permutation(6)
    np.testing.assert_allclose(best_of_n(log_policy[order], reward[order], N), kept[order], rtol=1e-12, atol=1e-13)
    assert float(kl(kept, log_policy, log=True)) <= best_of_n_divergence_bound(N) + 1e-12
    earned = [float(np.exp(best_of_n(log_policy, reward, n)) @ reward) for n in (N, N + 1)]
    assert earned[1] >= earned[0] - 1e-12
    batch = best_of_n(np.stack([log_policy, log_policy[order]]), np.stack([reward, reward[order]]), N)
    np.testing.assert_array_equal(batch, np.stack([kept, best_of_n(log_policy[order], reward[order], N)]))


def test_one_draw_changes_nothing_and_many_find_the_best():
    log_policy, reward = random_bandit(1)
    np.testing.assert_allclose(best_of_n(log_policy, reward, 1), log_policy, rtol=1e-14)
    best = reward == reward.max()
    conditional = np.where(best, log_policy - np.logaddexp.reduce(log_policy[best]), -np.inf)
    np.testing.assert_allclose(np.exp(best_of_n(log_policy, reward, 10**6)), np.exp(conditional), rtol=1e-12, atol=1e-300)


def test_probabilities_zero_and_tiny():
    with np.errstate(divide="ignore"):
        log_policy = np.log([0.0, 0.5, 0.5, 0.0])
    for reward in ([3.0, 1.0, 2.0, 0.0], [0.0, 1.0, 1.0, 2.0]):
        kept = best_of_n(log_policy, reward, 4)
        np.testing.assert_array_equal(np.isneginf(kept), [True, False, False, True])
        assert np.exp(kept).sum() == pytest.approx(1)
    rare = best_of_n(np.array([-700.0, np.log1p(-np.exp(-700))]), [1.0, 0.0], 1000)
    assert rare[0] == pytest.approx(-700 + np.log(1000), rel=1e-13)
    # a rare response between two others: it is kept if all N draws are it or the worst, and not all the worst
    for log_chance in (-20.0, -60.0, -800.0):
        middle = best_of_n(np.array([np.log(0.5), log_chance, np.log(0.5)]), [0.0, 1.0, 2.0], 3)
        assert middle[1] == pytest.approx(log_chance + np.log(3 * 0.25), rel=1e-9)
    assert best_of_n_success(1e-300, 7) == pytest.approx(7e-300, rel=1e-13)
    np.testing.assert_array_equal(best_of_n_success([0.0, 1.0], 3), [0.0, 1.0])


@settings(max_examples=30, deadline=None)
@given(st.floats(1e-12, 1 - 1e-6), st.integers(1, 300))
def test_the_binary_case(p, N):
    success = best_of_n_success(p, N)
    assert success == pytest.approx(float(1 - (1 - Fraction(p)) ** N), rel=1e-12)
    inverse = matching_inverse_temperature(p, N)
    if success < 1 - 1e-9:  # otherwise its log-odds have lost their digits
        assert expit(logit(p) + inverse) == pytest.approx(success, rel=1e-9)
    assert inverse >= np.log(N) - 1e-12
    assert matching_inverse_temperature(p, 1) == 0
    log_policy = np.array([np.log(p) - np.log(2), np.log(p) - np.log(2), np.log1p(-p)])
    tilt = log_tilt(log_policy, inverse * np.array([1.0, 1.0, 0.0]), 1.0)
    np.testing.assert_allclose(best_of_n(log_policy, [1.0, 1.0, 0.0], N), tilt, rtol=1e-9, atol=1e-9)


def test_the_temperatures_of_the_specification():
    inverse = matching_inverse_temperature([0.05, 0.2, 0.5, 0.8], 4)
    np.testing.assert_allclose(1 / inverse, [0.683, 0.571, 0.369, 0.198], atol=5e-4)
    assert matching_inverse_temperature(0.0, 4) == pytest.approx(np.log(4))


def test_many_different_rewards_attain_the_divergence_bound():
    K = 20_000
    kept = best_of_n(np.full(K, -np.log(K)), np.arange(K), 8)
    assert float(kl(kept, np.full(K, -np.log(K)), log=True)) == pytest.approx(best_of_n_divergence_bound(8), rel=1e-5)
    assert best_of_n_divergence_bound(1) == 0


def test_bad_input():
    half = np.log([0.5, 0.5])
    with pytest.raises(InputError, match="at least one draw, not 0"):
        best_of_n(half, [0.0, 1.0], 0)
    with pytest.raises(InputError, match="same shape"):
        best_of_n(half, [0.0, 1.0, 2.0], 2)
    with pytest.raises(InputError, match="finite"):
        best_of_n(half, [0.0, np.nan], 2)
    with pytest.raises(InputError, match="sum to 1"):
        best_of_n([-1.0, -1.0], [0.0, 1.0], 2)
    for p in (-0.1, 1.1, np.nan):
        with pytest.raises(InputError, match=r"\[0, 1\]"):
            best_of_n_success(p, 2)
    with pytest.raises(InputError, match=r"\[0, 1\)"):
        matching_inverse_temperature(1.0, 2)
    for call in (lambda: best_of_n_success(0.5, 0), lambda: best_of_n_divergence_bound(0)):
        with pytest.raises(InputError, match="at least one draw"):
            call()
