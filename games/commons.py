r"""A commons: harvesters who take from one stock that grows back, as in GovSim.

A month begins with the stock h. The N harvesters demand amounts :math:`x_i \ge 0`; if they sum to more than h everybody gets the
same fraction of the demand. What is left, y, grows to :math:`h' = \min(\rho y, C)` with the growth factor :math:`\rho > 1` and the
capacity C. If h' is below the ``floor`` the stock has collapsed, and nothing can be taken any more. The month of the collapse is
the last that counts as survived.

The total that keeps a stock h constant is :math:`(1 - 1/\rho) h`; at the capacity each may take :math:`f = (1 - 1/\rho) C / N`.

Everything is computed in the numbers that are given: in Fractions, if the demands and the parameters are.

Piatti, Jin, Kleiman-Weiner, Schoelkopf, Sachan and Mihalcea (2024), arXiv 2404.16698. What is out of its stated range raises
:class:`~theory.errors.InputError`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from numbers import Rational

import numpy as np
from numpy.typing import NDArray

from theory.errors import InputError

Number = Fraction | float | int
Rule = Callable[[Number], Sequence[Number]]
Array = NDArray[np.float64]
MOST_STOCK = 1000  # units of stock, in what enumerates whole numbers
TIES = 1e-9  # payoffs are ratios of whole numbers below MOST_STOCK^2, and differ by more, or not at all


@dataclass(frozen=True)
class Commons:
    """``harvesters`` N >= 1, ``capacity`` C > 0, ``growth`` > 1, and the ``floor`` in [0, C] below which the stock is lost.

    Raises :class:`InputError` naming what is out of range.
    """

    harvesters: int = 5
    capacity: Number = 100
    growth: Number = 2
    floor: Number = 5

    def __post_init__(self) -> None:
        if int(self.harvesters) != self.harvesters or self.harvesters < 1:
            raise InputError(f"a commons has a positive whole number of harvesters, not {self.harvesters}.")
        if not (self.growth > 1 and np.isfinite(float(self.growth))):
            raise InputError(f"what is left of the stock grows by a factor above 1, not {self.growth}.")
        if not (self.capacity > 0 and np.isfinite(float(self.capacity))):
            raise InputError(f"the capacity of a commons is positive and finite, not {self.capacity}.")
        if not 0 <= self.floor <= self.capacity:
            raise InputError(f"the stock collapses below a floor in [0, {self.capacity}], not {self.floor}.")

    @property
    def yield_share(self) -> Fraction:
        r"""The share of a stock that can be taken without lowering it, :math:`1 - 1/\rho`."""
        return 1 - 1 / Fraction(self.growth)

    @property
    def sustainable_share(self) -> Fraction:
        r"""What each may take in every month from a full stock, :math:`f = (1 - 1/\rho) C / N`."""
        return self.yield_share * Fraction(self.capacity) / self.harvesters


@dataclass(frozen=True)
class Harvest:
    """``stocks`` at the beginning of each month and after the last, what each took (``takes``, months x N), months ``survived``.

    After a collapse the harvest ends: ``survived`` counts its month too, and equals the number of rows of ``takes``.
    """

    stocks: tuple[Number, ...]
    takes: tuple[tuple[Number, ...], ...]
    survived: int

    @property
    def total(self) -> Number:
        """What everybody took together."""
        return sum(sum(month) for month in self.takes)

    @property
    def by_harvester(self) -> tuple[Number, ...]:
        """R_i, what each took in all months."""
        return tuple(sum(month[i] for month in self.takes) for i in range(len(self.takes[0])))

    @property
    def equality(self) -> Number:
        r""":math:`1 - \sum_{i,j} |R_i - R_j| / (2 N \sum_i R_i)`: 1 where all got the same, 1/N where one got everything."""
        shares, total = self.by_harvester, self.total
        if total == 0:
            raise InputError("nothing was taken, so that nothing was shared.")
        apart: list[Number] = [max(a, b) - min(a, b) for a in shares for b in shares]
        return 1 - sum(apart) / (2 * len(shares) * total)

    def efficiency(self, benchmark: Number) -> Number:
        r""":math:`1 - \max(0, B - \text{total}) / B` for the ``benchmark`` B > 0, in GovSim the months times N f."""
        if not benchmark > 0:
            raise InputError(f"the benchmark of an efficiency is positive, not {benchmark}.")
        return 1 - max(0, benchmark - self.total) / benchmark


def simulate(commons: Commons, rule: Rule, months: int, *, start: Number | None = None) -> Harvest:
    """Play ``rule``, which maps the stock to N demands of at least 0, for ``months`` >= 1 or until the stock collapses.

    The stock begins at the capacity unless ``start`` in [floor, C] is given.
    """
    stock = commons.capacity if start is None else start
    if not commons.floor <= stock <= commons.capacity:
        raise InputError(f"the stock begins between {commons.floor} and {commons.capacity}, not at {stock}.")
    _require_months(months)
    stocks, takes = [stock], []
    for _ in range(months):
        demands: tuple[Number, ...] = tuple(rule(stock))
        if len(demands) != commons.harvesters or min(map(float, demands)) < 0:
            raise InputError(f"a rule gives {commons.harvesters} demands of at least 0, not {list(map(float, demands))}.")
        wanted = sum(demands)
        if wanted > stock:
            demands = tuple(d * stock / wanted for d in demands)
        left = max(stock - sum(demands), 0)
        stock = min(commons.growth * left, commons.capacity)
        takes.append(demands)
        stocks.append(stock)
        if stock < commons.floor:
            break
    return Harvest(tuple(stocks), tuple(takes), len(takes))


def share_of_stock(commons: Commons, multiples: Sequence[Number]) -> Rule:
    r"""The rule by which harvester i demands ``multiples[i]`` times its share of what grows back, :math:`(1 - 1/\rho) h / N`."""
    return lambda stock: [m * commons.yield_share * stock / commons.harvesters for m in multiples]


def fixed_amounts(amounts: Sequence[Number]) -> Rule:
    """The rule by which harvester i demands ``amounts[i]`` whatever the stock is."""
    return lambda stock: list(amounts)


# --- what is best, for all and for each -----------------------------------------------------------------------------------


def max_yield(commons: Commons, months: int) -> list[int]:
    """The most that can be taken together in 1, ..., ``months`` months from a full stock, in whole units, by dynamic programming.

    The capacity, the growth and the floor have to be whole numbers, the capacity at most 1000.
    """
    capacity, growth, floor = _whole(commons)
    _require_months(months)
    stock = np.arange(capacity + 1)
    left = stock[None, :]
    later = np.zeros(capacity + 1, dtype=np.int64)  # the value of a stock with no month to go
    best = []
    after = np.minimum(growth * stock, capacity)
    for _ in range(months):
        kept = np.where(after >= floor, later[after], 0)
        value = np.where(left <= stock[:, None], stock[:, None] - left + kept[None, :], -1)
        later = value.max(axis=1)
        best.append(int(later[capacity]))
    return best


@dataclass(frozen=True, eq=False)
class SymmetricPlay:
    """Symmetric subgame-perfect play in whole units: for t = 1..T months to go and every stock h = 0..C.

    ``demand`` is what each demands in equilibrium, the least if there are several, int64 (T, C + 1); ``equilibria`` counts the
    symmetric equilibria, (T, C + 1); ``value`` is what each expects in the one that is best for all, float (T, C + 1).
    """

    demand: NDArray[np.int64]
    equilibria: NDArray[np.int64]
    value: Array


def symmetric_play(commons: Commons, months: int) -> SymmetricPlay:
    """Backward induction over months to go: all pure symmetric equilibria of the month's game, with demands 0, 1, ..., h.

    With several equilibria play goes on with the one that is best for all. Whole numbers as in :func:`max_yield`.
    """
    capacity, growth, floor = _whole(commons)
    _require_months(months)
    N = commons.harvesters
    demand, count = np.zeros((2, months, capacity + 1), dtype=np.int64)
    value = np.zeros((months, capacity + 1))
    later = np.zeros(capacity + 1)
    for t in range(months):
        for h in range(capacity + 1):
            mine, theirs = np.arange(h + 1)[None, :], np.arange(h + 1)[:, None]
            wanted = mine + (N - 1) * theirs
            got = np.where(wanted > h, mine * h / np.maximum(wanted, 1), mine)
            after = np.minimum(growth * np.maximum(h - wanted, 0), capacity)
            payoff = got + np.where(after >= floor, later[after], 0.0)
            played = np.diagonal(payoff)
            found = np.flatnonzero(played >= payoff.max(axis=1) - TIES)
            if found.size == 0:
                raise InputError(
                    f"with {t + 1} months to go and the stock {h} no symmetric demand in whole units is an equilibrium."
                )
            best = found[played[found] >= played[found].max() - TIES][0]
            demand[t, h], count[t, h], value[t, h] = best, found.size, played[best]
        later = value[t]
    return SymmetricPlay(demand, count, value)


def grim_trigger_threshold(commons: Commons, *, outbidding: bool = False) -> Fraction:
    r"""The least discount at which sustainable play is an equilibrium under grim trigger.

    Continuous amounts, an infinite horizon, :math:`N \ge \rho`; after a deviation everybody demands everything. Taking f for ever is
    worth :math:`f / (1 - \delta)`. A deviator who gets at most what the others leave, :math:`C - (N - 1) f`, is held off by
    :math:`\delta \ge N / (N + \rho - 1)`. With ``outbidding`` it may demand the entire stock and be rationed like all others, which gives
    it :math:`C / (1 + (N-1) s/N)` for :math:`s = 1 - 1/\rho`; then :math:`1 - \delta \le (s/N) (1 + (N-1) s/N)` is needed.
    """
    N, s = commons.harvesters, commons.yield_share
    if commons.growth > N:
        raise InputError(f"with fewer harvesters ({N}) than the growth factor ({commons.growth}) a deviator leaves some.")
    if outbidding:
        return 1 - s / N * (1 + (N - 1) * s / N)
    return N / (N + Fraction(commons.growth) - 1)


def deviation_gain(commons: Commons, discount: Number, demand: Number) -> Number:
    r"""What a harvester gains by demanding ``demand`` once instead of f, when all others take f and from then on everybody everything.

    :math:`x + \delta h'/N - f/(1 - \delta)`, where x is what it gets, rationed if the demands exceed the stock, and h' the stock that is
    left, lost if below the floor. ``discount`` in [0, 1), ``demand`` in [0, C]. With Fractions the answer is exact.
    """
    f, N, C = commons.sustainable_share, commons.harvesters, commons.capacity
    if not 0 <= discount < 1 or not 0 <= demand <= C:
        raise InputError(f"a deviator demands between 0 and {C} at a discount in [0, 1), not {demand} at {discount}.")
    month = simulate(commons, fixed_amounts([demand] + [f] * (N - 1)), 1)
    left = month.stocks[-1]
    return month.takes[0][0] + (discount * left / N if left >= commons.floor else 0) - f / (1 - discount)


def _whole(commons: Commons) -> tuple[int, int, int]:
    numbers = (commons.capacity, commons.growth, commons.floor)
    if not all(isinstance(n, Rational) and n.denominator == 1 for n in numbers) or commons.capacity > MOST_STOCK:
        raise InputError(f"capacity (at most {MOST_STOCK}), growth and floor have to be whole here, not {numbers}.")
    return int(numbers[0]), int(numbers[1]), int(numbers[2])


def _require_months(months: int) -> None:
    if int(months) != months or months < 1:
        raise InputError(f"a commons is used for a positive whole number of months, not {months}.")
