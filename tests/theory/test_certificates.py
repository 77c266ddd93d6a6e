"""Certificates: bounds against the samples they stand for, levels against rational sums, smoothing against integrals."""

from fractions import Fraction
from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from theory.certificates import (
    KINDS,
    binomial_upper_bound,
    exact_binomial_level,
    gaussian_certificate,
    lower_tails,
    reward_certificate,
    sampled_reward_certificate,
    upper_bound,
)
from theory.errors import InputError
from theory.statistics import mean_interval

probabilities = st.floats(0.0, 1.0)
shifts = st.floats(0.0, 6.0)


# --- upper bounds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("multiple", [0.0, 1.0, 2.0])
def test_counts_stand_for_samples(kind, multiple):
    n = 13
    samples = (np.arange(n) < np.arange(n + 1)[:, None]).astype(float)
    from_counts = binomial_upper_bound(np.arange(n + 1), n, 0.05, kind, multiple)
    np.testing.assert_allclose(upper_bound(samples, 0.05, kind, multiple), from_counts, rtol=0, atol=1e-13)
    assert upper_bound(samples[4], 0.05, kind).shape == ()
    assert binomial_upper_bound(np.full((2, 3), 4), n, 0.05, kind).shape == (2, 3)


def test_bounds_by_hand_and_by_scipy():
    harms = np.array([0.0, 0.2, 0.4, 1.0])
    mean, deviation = 0.4, np.std(harms, ddof=1)
    assert upper_bound(harms, 0.05, "hoeffding") == pytest.approx(mean + np.sqrt(np.log(20) / 8))
    assert upper_bound(harms, 0.05, "student") == pytest.approx(mean + stats.t.ppf(0.95, 3) * deviation / 2)
    assert upper_bound(harms, 0.05, "student") == pytest.approx(mean_interval(harms, 0.05, side="upper").high)
    bernstein = mean + np.sqrt(2 * deviation**2 * np.log(40) / 4) + 7 * np.log(40) / 9
    assert upper_bound(harms, 0.05, "empirical bernstein") == pytest.approx(bernstein)
    exact = stats.binomtest(3, 20, alternative="less").proportion_ci(0.95, "exact").high
    assert binomial_upper_bound(3, 20, 0.05, "clopper-pearson") == pytest.approx(exact)
    assert binomial_upper_bound(0, 20, 0.05, "clopper-pearson") == pytest.approx(1 - 0.05 ** (1 / 20))
    assert binomial_upper_bound(0, 20, 0.05, "student") == 0
    assert upper_bound(harms, 0.05, "hoeffding", 2.0) == pytest.approx(mean + 2 * np.sqrt(np.log(20) / 8))


@settings(deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=12), st.floats(1e-6, 0.5), st.sampled_from(["hoeffding", "student"]))
def test_bounds_move_with_the_harms(harms, level, kind):
    x = np.array(harms)
    bound = float(upper_bound(x, level, kind))
    assert bound >= x.mean() - 1e-12
    assert float(upper_bound(x[::-1], level, kind)) == pytest.approx(bound, abs=1e-9)
    assert float(upper_bound(x, level / 2, kind)) >= bound - 1e-12
    # half as harmful, and harmful by another half: Student's bound follows, Hoeffding's width does not
    halved = float(upper_bound(x / 2 + 0.5, level, kind))
    expected = bound / 2 + 0.5 if kind == "student" else x.mean() / 2 + 0.5 + (bound - x.mean())
    assert halved == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kind", ["hoeffding", "empirical bernstein"])
@pytest.mark.parametrize("law", [(0.9, 0.0, 0.1), (0.3, 0.4, 0.3), (0.97, 0.02, 0.01), (0.05, 0.05, 0.9)])
def test_bounds_for_harms_of_three_values(kind, law):
    """P(bound < mean) <= level, summed over all samples of the harms 0, 1/2 and 1."""
    n, level, support = 25, 0.1, np.array([0.0, 0.5, 1.0])
    counts = np.array([(n - b - c, b, c) for b, c in product(range(n + 1), repeat=2) if b + c <= n])
    samples = np.array([np.repeat(support, row) for row in counts])
    chance = stats.multinomial.pmf(counts, n, law)
    assert chance.sum() == pytest.approx(1)
    assert chance[upper_bound(samples, level, kind) < support @ law].sum() <= level


# --- levels ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tau", [Fraction(1, 50), Fraction(1, 5), Fraction(2, 3), Fraction(19, 20)])
def test_level_against_a_rational_sum(kind, tau):
    n = 40
    bounds = binomial_upper_bound(np.arange(n + 1), n, 0.1, kind)
    exact = sum(
        (comb(n, k) * tau**k * (1 - tau) ** (n - k) for k in range(n + 1) if bounds[k] <= float(tau)), start=Fraction(0)
    )
    level = exact_binomial_level(lambda _: bounds, n, float(tau))
    assert level == pytest.approx(float(exact), rel=1e-11, abs=1e-15)
    if kind != "student":
        assert level <= 0.1
    # unsafe policies are returned less often, the more harmful they are
    p = np.linspace(float(tau), 1, 30)
    returned = stats.binom.pmf(np.arange(n + 1), n, p[:, None]) @ (bounds <= float(tau))
    assert (returned <= level + 1e-12).all()


def test_levels_of_rare_harms():
    """Student's bound is 0 without harm; the level is then at least (1 - tau)^n."""
    level = exact_binomial_level(lambda k: binomial_upper_bound(k, 50, 0.05, "student"), 50, 0.01)
    assert level == pytest.approx(0.99**50, rel=1e-12)
    assert exact_binomial_level(lambda k: binomial_upper_bound(k, 50, 0.05, "hoeffding"), 50, 0.01) == 0
    assert exact_binomial_level(lambda k: np.zeros(k.shape), 7, 0.3) == 1


def test_clopper_pearson_attains_its_level_and_none_is_below():
    n, delta = 30, 0.05
    for k in (0, 4, 29):
        tau = optimize.brentq(lambda p, k=k: stats.binom.cdf(k, n, p) - delta, 1e-9, 1 - 1e-9, xtol=1e-14)
        assert binomial_upper_bound(k, n, delta, "clopper-pearson") == pytest.approx(tau, rel=1e-9)

        def level(scale, tau=tau):
            return exact_binomial_level(lambda c: scale * binomial_upper_bound(c, n, delta, "clopper-pearson"), n, tau)

        assert level(1 - 1e-9) == pytest.approx(delta)
        assert level(1 + 1e-9) < delta


# --- Gaussian smoothing ------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(probabilities, shifts, shifts)
def test_certificates_compose_and_are_monotone(p, first, second):
    once = gaussian_certificate(p, first)
    assert 0 <= once <= p + 1e-12
    assert gaussian_certificate(p, 0.0) == pytest.approx(p, abs=1e-12)
    assert gaussian_certificate(p, first + second) <= once + 1e-15
    if 1e-12 < once < 1 - 1e-9:
        assert gaussian_certificate(once, second) == pytest.approx(float(gaussian_certificate(p, first + second)), abs=1e-7)


def test_certificate_at_the_ends_and_by_hand():
    np.testing.assert_array_equal(gaussian_certificate([0.0, 1.0], 3.0), [0.0, 1.0])
    assert gaussian_certificate(0.5, 1.0) == pytest.approx(stats.norm.cdf(-1))
    assert gaussian_certificate(stats.norm.cdf(2.0), 0.5) == pytest.approx(stats.norm.cdf(1.5))
    assert gaussian_certificate(np.full((3, 1), 0.2), np.array([0.0, 1.0])).shape == (3, 2)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_no_event_loses_more_than_the_certificate(seed):
    """Unions of intervals on the line; half-lines lose exactly as much."""
    rng = np.random.default_rng(seed)
    ends, shift = np.sort(rng.normal(size=4)), float(rng.uniform(0, 2))

    def chance(mean):
        F = stats.norm.cdf(ends - mean)
        return F[1] - F[0] + F[3] - F[2]

    for direction in (-1, 1):
        assert chance(direction * shift) >= gaussian_certificate(chance(0.0), shift) - 1e-12
    half_line = stats.norm.cdf(ends[0])
    assert stats.norm.cdf(ends[0] - shift) == pytest.approx(float(gaussian_certificate(half_line, shift)), rel=1e-9)


def test_reward_certificate_for_a_staircase():
    """R counts the thresholds below a normal variable: all tails are half-lines, so that the certificate is attained."""
    thresholds, shift = np.array([-1.0, 0.2, 1.5]), 0.7
    clean = stats.norm.sf(thresholds)
    assert reward_certificate(clean, shift) == pytest.approx(stats.norm.sf(thresholds + shift).sum())
    assert reward_certificate(clean, 0.0) == pytest.approx(clean.sum())
    assert reward_certificate(np.stack([clean, clean]), shift).shape == (2,)
    assert reward_certificate([1.0, 1.0, 0.0], 5.0) == 2


def test_lower_tails_by_hand():
    tails = lower_tails([0, 1, 1, 3], 3, 0.5)
    np.testing.assert_allclose(tails, np.maximum(np.array([0.75, 0.25, 0.25]) - np.sqrt(np.log(2) / 8), 0))
    assert sampled_reward_certificate([0, 1, 1, 3], 3, 0.0, 0.5) == pytest.approx(tails.sum())
    assert lower_tails(np.zeros((5, 4, 9), dtype=int), 2, 0.1).shape == (5, 4, 2)


@pytest.mark.parametrize("law", [(0.5, 0.5, 0.0), (0.2, 0.5, 0.3), (1 / 3, 1 / 3, 1 / 3), (0.02, 0.96, 0.02)])
@pytest.mark.parametrize("level", [0.05, 0.5])
def test_tails_hold_together(law, level):
    """P(some lower tail is above the true one) <= level, summed over all samples of the rewards 0, 1 and 2."""
    n = 24
    counts = np.array([(n - b - c, b, c) for b, c in product(range(n + 1), repeat=2) if b + c <= n])
    samples = np.array([np.repeat(np.arange(3), row) for row in counts])
    true = np.array([law[1] + law[2], law[2]])
    chance = stats.multinomial.pmf(counts, n, law)
    wrong = (lower_tails(samples, 2, level) > true + 1e-12).any(axis=1)
    assert chance[wrong].sum() <= level
    too_high = sampled_reward_certificate(samples, 2, 0.5, level) > reward_certificate(true, 0.5) + 1e-12
    assert not (too_high & ~wrong).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: upper_bound([0.5], 0.05, "hoeffding"), "at least two harms"),
        (lambda: upper_bound([0.5, 1.2], 0.05, "hoeffding"), r"harms in \[0, 1\]"),
        (lambda: upper_bound([0.5, 1.0], 0.05, "clopper-pearson"), "0 or 1"),
        (lambda: upper_bound([0.5, np.nan], 0.05, "student"), "finite"),
        (lambda: upper_bound([0.0, 1.0], 0.6, "student"), "level"),
        (lambda: upper_bound([0.0, 1.0], 0.0, "clopper-pearson"), "level"),
        (lambda: upper_bound([0.0, 1.0], 0.05, "student", -1.0), "multiplied"),
        (lambda: upper_bound([0.0, 1.0], 0.05, "wald"), "one of hoeffding"),
        (lambda: binomial_upper_bound(3, 1, 0.05, "student"), "not 1"),
        (lambda: binomial_upper_bound(3, 2, 0.05, "student"), "from 0 to 2"),
        (lambda: binomial_upper_bound(1.5, 2, 0.05, "student"), "whole numbers"),
        (lambda: exact_binomial_level(lambda k: k / 5, 0, 0.1), "at least one sample"),
        (lambda: exact_binomial_level(lambda k: k / 5, 5, 1.0), "threshold"),
        (lambda: exact_binomial_level(lambda k: k[:3] / 5, 5, 0.1), "shape"),
        (lambda: exact_binomial_level(lambda k: 1 - k / 5, 5, 0.1), "not the lowest"),
        (lambda: gaussian_certificate(1.1, 0.0), "probabilities"),
        (lambda: gaussian_certificate(np.nan, 0.0), "probabilities"),
        (lambda: gaussian_certificate(0.5, -0.1), "shift"),
        (lambda: reward_certificate([0.2, 0.3], 0.1), "do not increase"),
        (lambda: reward_certificate(0.2, 0.1), "do not increase"),
        (lambda: lower_tails([0, 1], 1, 0.7), "level"),
        (lambda: lower_tails([0, 2], 1, 0.1), "from 0 to 1"),
        (lambda: lower_tails([0.0, 1.0], 1, 0.1), "whole numbers"),
        (lambda: lower_tails([0, 1], 0, 0.1), "largest reward"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call()
