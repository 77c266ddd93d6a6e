"""Concentration inequalities against exact binomial tails, and the inverses of the Bernoulli divergence."""

from decimal import Decimal, getcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from theory.concentration import (
    bernoulli_kl,
    bernoulli_kl_lower,
    bernoulli_kl_upper,
    bernstein_radius,
    chernoff_tail,
    empirical_bernstein_radius,
    hoeffding_radius,
    hoeffding_tail,
)
from theory.errors import InputError

getcontext().prec = 60
LEVELS = np.array([0.3, 0.05, 1e-3, 2e-6, 1e-9])


@settings(max_examples=200, deadline=None)
@given(st.floats(0.001, 0.999), st.floats(0.001, 0.999))
def test_bernoulli_divergence_against_sixty_digits(p: float, q: float) -> None:
    a, b = Decimal(p), Decimal(q)
    exact = float(a * (a / b).ln() + (1 - a) * ((1 - a) / (1 - b)).ln())
    # 1e-15 |p - q|: the two halves nearly cancel when p and q are close
    assert bernoulli_kl(p, q) == pytest.approx(exact, rel=1e-12, abs=4e-15 * abs(p - q) + 1e-30)
    assert bernoulli_kl(p, q) >= 2 * (p - q) ** 2 * (1 - 1e-9) - 4e-15 * abs(p - q)
    assert bernoulli_kl(p, q) == pytest.approx(bernoulli_kl(1 - p, 1 - q), rel=1e-6, abs=1e-15)


def test_bernoulli_divergence_at_the_ends() -> None:
    assert bernoulli_kl(0.0, 0.0) == bernoulli_kl(1.0, 1.0) == 0
    assert bernoulli_kl(0.0, 0.25) == pytest.approx(-np.log(0.75))
    assert bernoulli_kl(1.0, 0.25) == pytest.approx(-np.log(0.25))
    assert bernoulli_kl(0.5, 0.0) == bernoulli_kl(0.5, 1.0) == bernoulli_kl(1.0, 0.0) == np.inf
    assert bernoulli_kl([0.1, 0.2], [[0.3], [0.4], [0.5]]).shape == (3, 2)
    with pytest.raises(InputError, match="two probabilities"):
        bernoulli_kl(1.1, 0.5)


@settings(max_examples=150, deadline=None)
@given(st.floats(0.0, 1.0), st.floats(1e-8, 20.0))
def test_inverses_of_the_bernoulli_divergence(p: float, radius: float) -> None:
    upper, lower = float(bernoulli_kl_upper(p, radius)), float(bernoulli_kl_lower(p, radius))
    assert 0 <= lower <= p <= upper <= 1
    # the returned end is on the far side of the exact one, by no more than the spacing of floats
    if upper < 1:
        assert bernoulli_kl(p, upper) >= radius * (1 - 1e-7)
        assert bernoulli_kl(p, max(p, upper - 4e-16)) <= radius * (1 + 1e-7)
    if lower > 0:
        assert bernoulli_kl(p, lower) >= radius * (1 - 1e-7)
        assert bernoulli_kl(p, min(p, lower * (1 + 1e-14) + 1e-20)) <= radius * (1 + 1e-6)
    if 1e-3 < p < 1 - 1e-3 and bernoulli_kl(p, 1 - 1e-12) > radius > 1e-6:
        root = optimize.brentq(lambda q: bernoulli_kl(p, q) - radius, p, 1 - 1e-12, xtol=1e-14)
        assert upper == pytest.approx(root, abs=1e-9)


def test_known_values_of_the_inverses() -> None:
    assert bernoulli_kl_upper(0.0, 0.7) == pytest.approx(-np.expm1(-0.7))
    assert bernoulli_kl_lower(1.0, 0.7) == pytest.approx(np.exp(-0.7))
    assert bernoulli_kl_upper(1.0, 0.7) == 1
    assert bernoulli_kl_lower(0.0, 0.7) == 0
    assert bernoulli_kl_upper(0.3, 0.0) == pytest.approx(0.3, abs=1e-8)
    assert np.all(np.diff(bernoulli_kl_upper(0.3, np.linspace(0, 3, 50))) > 0)


@pytest.mark.parametrize("n", [1, 2, 7, 60, 400])
@pytest.mark.parametrize("p", [0.01, 0.2, 0.5, 0.9])
def test_every_bound_covers_the_exact_binomial_tail(n: int, p: float) -> None:
    """P(mean - p > radius) <= level, summed exactly over the binomial law of the mean."""
    k = np.arange(n + 1)
    mass = stats.binom.pmf(k, n, p)
    for level in LEVELS:
        assert mass[k / n - p > hoeffding_radius(n, level)].sum() <= level
        assert mass[k / n - p > bernstein_radius(n, level, p * (1 - p))].sum() <= level
        if n > 1:
            variance = k * (n - k) / (n * (n - 1))
            assert mass[k / n - p > empirical_bernstein_radius(n, variance, level)].sum() <= level
        assert mass[p > bernoulli_kl_upper(k / n, -np.log(level) / n)].sum() <= level
        assert mass[p < bernoulli_kl_lower(k / n, -np.log(level) / n)].sum() <= level
    above = k >= n * p
    exact = stats.binom.sf(k[above] - 1, n, p)
    assert (exact <= chernoff_tail(n, p, k[above] / n) * (1 + 1e-12)).all()
    assert (chernoff_tail(n, p, k[above] / n) <= hoeffding_tail(n, np.maximum(k[above] / n - p, 0)) * (1 + 1e-12)).all()


def test_radii_scale_with_the_width_and_invert_the_tails() -> None:
    for radius in (hoeffding_radius(50, LEVELS, 3.0), bernstein_radius(50, LEVELS, 9 * 0.04, 3.0)):
        narrow = (
            hoeffding_radius(50, LEVELS)
            if radius[0] == hoeffding_radius(50, LEVELS[0], 3.0)
            else bernstein_radius(50, LEVELS, 0.04)
        )
        assert np.allclose(radius, 3 * narrow)
    assert np.allclose(hoeffding_tail(50, hoeffding_radius(50, LEVELS, 3.0), 3.0), LEVELS)
    assert hoeffding_radius(200, 0.05) == pytest.approx(np.sqrt(np.log(20) / 400))
    # the second-order term fades: with many samples Bernstein knows the variance, Hoeffding assumes 1/4
    assert empirical_bernstein_radius(10**6, 0.01, 1e-6) < 0.25 * hoeffding_radius(10**6, 1e-6)
    assert empirical_bernstein_radius(10, 0.25, 0.05) > hoeffding_radius(10, 0.05)


def test_bernstein_is_what_its_moment_generating_function_gives() -> None:
    """The radius is the Legendre transform of the sub-gamma exponent v l^2 / (2 (1 - c l)), minimised numerically."""
    n, variance, width = 30, 0.07, 1.5
    for level in LEVELS:
        grid = np.linspace(1e-6, 1 - 1e-9, 400_001) * 3 / width
        exponent = (-np.log(level) / n + variance * grid**2 / (2 * (1 - width / 3 * grid))) / grid
        assert bernstein_radius(n, level, variance, width) == pytest.approx(exponent.min(), rel=1e-6)


@pytest.mark.parametrize(
    "call",
    [
        lambda: hoeffding_radius(0, 0.1),
        lambda: hoeffding_radius(5, 0.0),
        lambda: hoeffding_radius(5, 0.1, -1.0),
        lambda: hoeffding_tail(5, -0.1),
        lambda: bernstein_radius(5, 0.1, -1.0),
        lambda: empirical_bernstein_radius(1, 0.1, 0.1),
        lambda: bernoulli_kl_upper(-0.1, 0.1),
        lambda: bernoulli_kl_lower(0.1, -0.1),
    ],
)
def test_bad_input(call) -> None:
    with pytest.raises(InputError):
        call()
