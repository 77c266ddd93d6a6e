"""Expected maxima of normal variables against closed forms, adaptive quadrature, tables and simulation."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import log_ndtr

from theory.errors import InputError
from theory.order_statistics import expected_maximum_of_minima, expected_normal_maximum


def test_closed_forms():
    """e_2 = 1/sqrt(pi), e_3 = 3/(2 sqrt(pi)), e_4 and e_5 with an arctangent (Bose and Gupta 1959)."""
    root = math.sqrt(math.pi)
    expected = {
        1: 0.0,
        2: 1 / root,
        3: 1.5 / root,
        4: 6 / root * math.atan(math.sqrt(2)) / math.pi,
        5: 5 / (2 * root) * (6 / math.pi * math.atan(math.sqrt(2)) - 1),
    }
    for count, value in expected.items():
        assert abs(expected_normal_maximum(count) - value) <= 1e-13


@pytest.mark.parametrize("count", [10, 1000, 10**6, 10**12])
def test_against_the_tail_formula_by_adaptive_quadrature(count):
    """E max = int_0^inf [1 - Phi^K] - int_-inf^0 Phi^K, which does not use the density."""
    middle = math.sqrt(2 * math.log(count))
    upper, _ = quad(lambda x: -np.expm1(count * log_ndtr(x)), 0, middle + 10, points=[middle], epsabs=1e-13, limit=400)
    lower, _ = quad(lambda x: np.exp(count * log_ndtr(x)), -40, 0, epsabs=1e-13, limit=400)
    assert abs(expected_normal_maximum(count) - (upper - lower)) <= 1e-10


def test_grows_slower_and_slower_and_stays_below_its_bound():
    values = np.array([expected_normal_maximum(count) for count in range(1, 60)])
    assert (np.diff(values) > 0).all()
    assert (np.diff(values, 2) < 0).all()
    assert (values[1:] < np.sqrt(2 * np.log(np.arange(2, 60)))).all()


def test_simulation():
    """30,000 maxima of 10: their mean has a standard error of 0.0034."""
    draws = np.random.default_rng(0).standard_normal((30_000, 10)).max(axis=1)
    assert abs(draws.mean() - expected_normal_maximum(10)) <= 5 * draws.std() / math.sqrt(draws.size)


@pytest.mark.parametrize("count", [0, -1, 2.5, 10**13, math.nan])
def test_other_counts_are_refused(count):
    with pytest.raises(InputError, match="from 1 to 10"):
        expected_normal_maximum(count)


@pytest.mark.parametrize("members", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_maxima_of_minima_by_inclusion_and_exclusion(count, members):
    """The maximum is the alternating sum of the minima over subsets; the smallest of k m numbers has mean -e_{km}."""
    terms = [math.comb(count, k) * (-1) ** k * expected_normal_maximum(k * members) for k in range(1, count + 1)]
    assert abs(expected_maximum_of_minima(count, members) - math.fsum(terms)) <= 1e-12


def test_maxima_of_minima_by_simulation():
    draws = np.random.default_rng(0).standard_normal((30_000, 4, 2)).min(axis=2).max(axis=1)
    assert abs(draws.mean() - expected_maximum_of_minima(4, 2)) <= 5 * draws.std() / math.sqrt(draws.size)


def test_maxima_of_minima_of_very_many():
    """With one member it is the maximum, with one action the negative of it; the duality of games bounds the rest."""
    assert abs(expected_maximum_of_minima(10**9, 1) - expected_normal_maximum(10**9)) <= 1e-10
    assert abs(expected_maximum_of_minima(1, 10**9) + expected_normal_maximum(10**9)) <= 1e-10
    for count in (2, 10, 1000):
        assert expected_maximum_of_minima(count, count) < 0


@pytest.mark.parametrize(("count", "members", "what"), [(0, 2, "maximum"), (2, 0, "minimum"), (2, 1.5, "minimum")])
def test_other_counts_of_minima_are_refused(count, members, what):
    with pytest.raises(InputError, match=f"the {what} is of a whole number"):
        expected_maximum_of_minima(count, members)
