"""The exact law of Thompson sampling against enumeration with exact chances and against simulation."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from scipy import stats

from bandits.index_policies import BetaThompson
from bandits.play import simulate
from bandits.stochastic import bernoulli_arms, bernoulli_bandit, two_armed
from bandits.thompson import thompson_two_armed_law
from theory.errors import InputError
from theory.random_streams import run_seeds


def _exceeds(a: int, b: int, c: int, d: int) -> Fraction:
    """P(X > Y), X ~ Beta(a, b), Y ~ Beta(c, d): X is the a-th of a+b-1 uniform numbers, Y the c-th of c+d-1; ranks are counted."""
    m, n = a + b - 1, c + d - 1
    # X > Y if at least c of the second numbers lie below the a-th of the first
    return sum(
        (Fraction(comb(a - 1 + k, k) * comb(m - a + n - k, n - k), comb(m + n, n)) for k in range(c, n + 1)), Fraction(0)
    )


def test_the_law_agrees_with_enumeration_in_rational_arithmetic() -> None:
    means = (Fraction(1, 4), Fraction(2, 3))
    law: dict[tuple[int, int, int, int], Fraction] = {(0, 0, 0, 0): Fraction(1)}
    for _ in range(8):
        following: dict[tuple[int, int, int, int], Fraction] = {}
        for (n, s, m, r), weight in law.items():
            first = _exceeds(1 + s, 1 + n - s, 1 + r, 1 + m - r)
            for state, chance in (
                ((n + 1, s + 1, m, r), first * means[0]),
                ((n + 1, s, m, r), first * (1 - means[0])),
                ((n, s, m + 1, r + 1), (1 - first) * means[1]),
                ((n, s, m + 1, r), (1 - first) * (1 - means[1])),
            ):
                following[state] = following.get(state, Fraction(0)) + weight * chance
        law = following
    exact = np.zeros(9)
    for (n, *_), weight in law.items():
        exact[n] += float(weight)
    found = thompson_two_armed_law(bernoulli_arms(means=(0.25, 2 / 3)), 8)
    assert found[8] == pytest.approx(exact, abs=1e-13)
    assert found.sum(axis=1) == pytest.approx(np.ones(9))


def test_the_law_agrees_with_simulation() -> None:
    bandit = bernoulli_arms(means=(0.45, 0.6))
    law = thompson_two_armed_law(bandit, 40)[40]
    seen = np.bincount(simulate(BetaThompson(), bandit, 40, run_seeds(4, 30_000)).pulls[:, 0, 0], minlength=41)
    common = law * 30_000 >= 8
    expected = np.append(law[common], law[~common].sum()) * 30_000
    observed = np.append(seen[common], seen[~common].sum())
    assert stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 1e-6


def test_equal_arms_are_exchangeable() -> None:
    law = thompson_two_armed_law(two_armed(gap=0.0, mean=0.3), 30)[30]
    assert law == pytest.approx(law[::-1], abs=1e-13)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: thompson_two_armed_law(bernoulli_bandit(K=3), 10), "two arms, not for 3"),
        (lambda: thompson_two_armed_law(two_armed(), 151), "1 to 150 rounds, not 151"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
