"""Gittins indices against independent calibration, and two arms against brute force over policies."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandits.gittins import gittins_index, index_table, two_armed_value
from theory.errors import InputError


def _calibrated(a: float, b: float, discount: float, pulls: int) -> float:
    """The index by the largest ratio of discounted reward to discounted time over stopping rules (Dinkelbach's iteration)."""
    rate = 0.0
    for _ in range(60):
        reward, time = np.zeros(pulls + 2), np.zeros(pulls + 2)
        for n in range(pulls - 1, -1, -1):
            s = np.arange(n + 1)
            p = (a + s) / (a + b + n)
            gain = p + discount * (p * reward[1 : n + 2] + (1 - p) * reward[: n + 1])
            spent = 1 + discount * (p * time[1 : n + 2] + (1 - p) * time[: n + 1])
            go = (gain - rate * spent > 0) | (n == 0)
            reward[: n + 1], time[: n + 1] = np.where(go, gain, 0), np.where(go, spent, 0)
        if abs(reward[0] / time[0] - rate) < 1e-13:
            break
        rate = reward[0] / time[0]
    return float(rate)


@pytest.mark.parametrize("discount", [0.3, 0.7, 0.9])
@pytest.mark.parametrize(("a", "b"), [(1, 1), (1, 5), (7, 2), (0.5, 0.5)])
def test_the_index_is_the_best_ratio_of_reward_to_time(a: float, b: float, discount: float) -> None:
    low, high = gittins_index(a, b, discount)
    assert 0 <= high - low <= 1e-5
    assert low - 1e-9 <= _calibrated(a, b, discount, 250) <= high + 1e-9


@given(st.floats(0.5, 20), st.floats(0.5, 20), st.floats(0.1, 0.9))
@settings(max_examples=30, deadline=None)
def test_the_index_exceeds_the_mean_and_grows_with_success_and_discount(a: float, b: float, discount: float) -> None:
    low, high = gittins_index(a, b, discount)
    assert a / (a + b) <= high + 1e-12
    assert gittins_index(a + 1, b, discount)[1] >= low
    assert gittins_index(a, b + 1, discount)[0] <= high
    assert gittins_index(a, b, min(discount + 0.05, 0.95))[1] >= low


def _best(states: tuple[tuple[Fraction, Fraction], ...], discount: Fraction, left: int) -> Fraction:
    """Exact dynamic programming over two arms by recursion in rational arithmetic."""
    if left == 0:
        return Fraction(0)
    values = []
    for i, (a, b) in enumerate(states):
        p = a / (a + b)
        won = tuple((a + 1, b) if j == i else s for j, s in enumerate(states))
        lost = tuple((a, b + 1) if j == i else s for j, s in enumerate(states))
        values.append(p + discount * (p * _best(won, discount, left - 1) + (1 - p) * _best(lost, discount, left - 1)))
    return max(values)


@pytest.mark.parametrize(("first", "second"), [((1, 1), (1, 1)), ((1, 1), (3, 2)), ((2, 5), (1, 3))])
def test_two_arms_agree_with_rational_recursion(first: tuple[int, int], second: tuple[int, int]) -> None:
    exact = _best(tuple((Fraction(a), Fraction(b)) for a, b in (first, second)), Fraction(9, 10), 7)
    low, high = two_armed_value(first, second, 0.9, 7)
    assert low == pytest.approx(float(exact), abs=1e-13)
    assert high - low == pytest.approx(0.9**7 / 0.1, rel=1e-12)  # whatever is done, the rest is worth the same


def test_no_scores_beat_the_best_value() -> None:
    best = two_armed_value((1, 1), (1, 2), 0.8, 4)[0]
    rng = np.random.default_rng(0)
    found = [two_armed_value((1, 1), (1, 2), 0.8, 4, rng.random((2, 4, 4)))[0] for _ in range(200)]
    assert max(found) <= best + 1e-12
    indices = np.stack([index_table(1, 1, 0.8, 4, 60), index_table(1, 2, 0.8, 4, 60)])
    assert two_armed_value((1, 1), (1, 2), 0.8, 4, indices)[1] >= best  # optimal but for the cut after four pulls


def test_relabelling_the_arms() -> None:
    here, there = (two_armed_value(*arms, 0.9, 6)[0] for arms in (((1, 1), (2, 3)), ((2, 3), (1, 1))))
    assert here == pytest.approx(there, abs=1e-13)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gittins_index(0, 1, 0.9), "above 0, not 0 and 1"),
        (lambda: gittins_index(1, 1, 1.0), "between 0 and 1, not 1.0"),
        (lambda: gittins_index(1, 1, 0.9, accuracy=0), "accuracy"),
        (lambda: two_armed_value((1, 1), (1, 1), 0.9, 0), "1 to 200 pulls, not 0"),
        (lambda: two_armed_value((1, 1), (1, 1), 0.9, 3, np.zeros((2, 2, 2))), r"shape \(2, 3, 3\)"),
        (lambda: two_armed_value((1, -1), (1, 1), 0.9, 3), "above 0"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
