"""The commons: months by hand, yields and equilibria by recursion over Fractions, thresholds by long play."""

from __future__ import annotations

import functools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games.commons import (
    Commons,
    Harvest,
    deviation_gain,
    fixed_amounts,
    grim_trigger_threshold,
    max_yield,
    share_of_stock,
    simulate,
    symmetric_play,
)
from theory.errors import InputError

SMALL = Commons(harvesters=3, capacity=12, growth=2, floor=2)


def test_a_few_months_by_hand() -> None:
    run = simulate(Commons(harvesters=2), fixed_amounts([30, 30]), 12)
    assert run.stocks == (100, 80, 40, 0)  # 40 left, 20 left, and then 60 of 40 are asked for
    assert run.takes == ((30, 30), (30, 30), (20.0, 20.0))
    assert (run.survived, run.total, run.by_harvester, run.equality) == (3, 160, (80, 80), 1)
    uneven = simulate(Commons(harvesters=2), fixed_amounts([Fraction(150), 50]), 1)
    assert uneven.takes == ((75, 25),)
    assert uneven.equality == Fraction(3, 4)
    assert uneven.efficiency(200) == Fraction(1, 2)
    assert uneven.efficiency(50) == 1
    alone = Harvest(stocks=(10, 0), takes=((4, 0, 0),), survived=1)
    assert alone.equality == pytest.approx(1 / 3)


@settings(max_examples=50, deadline=None)
@given(
    multiples=st.lists(st.fractions(0, 3, max_denominator=20), min_size=1, max_size=5),
    growth=st.sampled_from([Fraction(3, 2), 2, 3]),
    months=st.integers(1, 8),
)
def test_stock_and_catch_add_up(multiples: list[Fraction], growth: Fraction, months: int) -> None:
    commons = Commons(len(multiples), 60, growth, 3)
    run = simulate(commons, share_of_stock(commons, multiples), months)
    assert len(run.takes) == run.survived <= months
    for before, after, takes in zip(run.stocks, run.stocks[1:], run.takes):
        assert sum(takes) <= before
        assert after == min(growth * (before - sum(takes)), 60)
    assert all(h >= 3 for h in run.stocks[:-1])
    turned = simulate(commons, share_of_stock(commons, multiples[::-1]), months)
    assert turned.stocks == run.stocks
    if sum(multiples) > 0:
        assert turned.equality == run.equality
        assert Fraction(1, len(multiples)) <= run.equality <= 1


def test_yield_by_recursion() -> None:
    @functools.cache
    def most(stock: int, months: int) -> int:
        if months == 0 or stock < SMALL.floor:
            return 0
        return max(x + most(min(2 * (stock - x), 12), months - 1) for x in range(stock + 1))

    assert max_yield(SMALL, 6) == [most(12, t) for t in range(1, 7)]
    assert max_yield(Commons(5, 12, 3, 5), 3) == [12, 20, 28]


@pytest.mark.parametrize("harvesters", [1, 2, 3, 4])
def test_equilibria_in_fractions(harvesters: int) -> None:
    commons = Commons(harvesters, 12, 2, 2)
    play = symmetric_play(commons, 3)
    later = [Fraction(0)] * 13
    for t in range(3):
        now = []
        for h in range(13):

            def payoff(mine: int, theirs: int, h: int = h, later: list[Fraction] = later) -> Fraction:
                wanted = mine + (harvesters - 1) * theirs
                got = Fraction(mine * h, wanted) if wanted > h else Fraction(mine)
                after = min(2 * max(h - wanted, 0), 12)
                return got + (later[after] if after >= 2 else 0)

            equilibria = [x for x in range(h + 1) if all(payoff(y, x) <= payoff(x, x) for y in range(h + 1))]
            best = max(equilibria, key=lambda x: payoff(x, x))  # the first of the best
            assert play.equilibria[t, h] == len(equilibria)
            assert play.demand[t, h] == best
            assert play.value[t, h] == pytest.approx(float(payoff(best, best)))
            now.append(payoff(best, best))
        later = now


@pytest.mark.parametrize(("harvesters", "growth"), [(2, 2), (5, 2), (5, 3), (4, Fraction(3, 2))])
@pytest.mark.parametrize("outbidding", [False, True])
def test_thresholds_against_long_play(harvesters: int, growth: Fraction, outbidding: bool) -> None:
    """A deviator in the first month, simulated for long enough that the rest of a discounted sum does not matter."""
    commons = Commons(harvesters, 100, growth, 5)
    f = commons.sustainable_share
    threshold = grim_trigger_threshold(commons, outbidding=outbidding)
    demand = 100 if outbidding else 100 - (harvesters - 1) * f
    for discount, pays in ((threshold - Fraction(1, 1000), True), (threshold + Fraction(1, 1000), False)):
        deviator = simulate(commons, fixed_amounts([demand] + [f] * (harvesters - 1)), 1)
        gain = deviator.takes[0][0]
        if deviator.stocks[-1] >= 5:
            punished = simulate(commons, lambda stock: [stock] * harvesters, 1, start=deviator.stocks[-1])
            gain += discount * punished.takes[0][0]
        forever = sum(float(discount) ** t * float(f) for t in range(2000))
        assert (float(gain) > forever) == pays
        assert float(deviation_gain(commons, discount, demand)) == pytest.approx(float(gain) - forever, rel=1e-6)
        assert (deviation_gain(commons, discount, demand) > 0) == pays
    assert deviation_gain(commons, threshold, f) <= 0


def test_shares() -> None:
    assert Commons().sustainable_share == 10
    assert Commons(4, 90, 3).sustainable_share == 15
    assert np.array_equal(symmetric_play(Commons(), 1).demand[0], np.arange(101))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Commons(harvesters=0), "harvesters, not 0"),
        (lambda: Commons(growth=1), "above 1, not 1"),
        (lambda: Commons(capacity=0), "capacity of a commons is positive"),
        (lambda: Commons(floor=101), "not 101"),
        (lambda: simulate(Commons(), fixed_amounts([1.0]), 3), "5 demands"),
        (lambda: simulate(Commons(), fixed_amounts([-1, 1, 1, 1, 1]), 3), "at least 0"),
        (lambda: simulate(Commons(), fixed_amounts([1] * 5), 0), "not 0"),
        (lambda: simulate(Commons(), fixed_amounts([1] * 5), 3, start=2), "not at 2"),
        (lambda: simulate(Commons(), fixed_amounts([0] * 5), 3).equality, "nothing was taken"),
        (lambda: simulate(Commons(), fixed_amounts([1] * 5), 3).efficiency(0), "benchmark"),
        (lambda: max_yield(Commons(growth=1.5), 3), "whole"),
        (lambda: symmetric_play(Commons(capacity=2000), 3), "at most 1000"),
        (lambda: grim_trigger_threshold(Commons(harvesters=2, growth=3)), "fewer harvesters"),
        (lambda: deviation_gain(Commons(), Fraction(1, 2), 101), "not 101"),
        (lambda: deviation_gain(Commons(), 1.0, 10), "at 1.0"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
