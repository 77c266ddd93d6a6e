"""Comparisons: both sides of a statement on one instance, and what follows from them.

A check returns one :class:`Comparison`. *Exact* comparisons (:func:`at_most`, :func:`equal`, :func:`always`) are decided
up to a stated slack, the numerical error of the two sides. *Sampled* ones (:func:`violation_rate`, :func:`mean_at_most`,
:func:`less_on_average`, :func:`slope`) are decided by a test at the level that the engine hands out, so that all sampled
claims together stay within the suite's level (:mod:`theory.statistics`).

``ratio`` is at most 1 exactly when the statement is not violated; 1 means that the bound is attained.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory import statistics
from theory.errors import InputError

Outcome = Literal["holds", "refuted", "inconclusive"]
Measure = Literal["ratio", "residual", "failures", "slope", "violations", "mean", "difference"]
SEVERITY: dict[str, int] = {"holds": 0, "inconclusive": 1, "refuted": 2}

# A formula evaluated in float64 through solves and sums of a few hundred terms keeps more than nine digits; two sides that
# agree to nine digits are therefore not told apart, and a claimed constant must be wrong by more than that to be refuted.
RELATIVE_ROUNDING = 1e-9
LONGEST_SERIES = 120  # points of a curve kept for the ledger's plot

_level: contextvars.ContextVar[float] = contextvars.ContextVar("level", default=statistics.CLAIM_LEVEL)


class EvidenceError(ArithmeticError):
    """A check produced something that is no evidence: a NaN, an infinite bound, nothing to compare."""


@dataclass(frozen=True)
class Series:
    """A curve for the plot: both sides against ``x`` (an iteration, a horizon, a size)."""

    label: str
    x: tuple[float, ...]
    lhs: tuple[float, ...]
    rhs: tuple[float, ...]


@dataclass(frozen=True)
class Test:
    """The statistical test behind a sampled comparison."""

    __test__ = False  # not a test case for pytest

    name: str
    level: float
    low: float
    high: float
    samples: int
    p_value: float | None = None
    power: float | None = None


@dataclass(frozen=True)
class Comparison:
    """What one instance says about a statement.

    ``lhs`` and ``rhs`` are the two sides at the entry where the statement is tightest, ``slack`` the numerical error allowed
    there, ``entries`` the number of scalar comparisons made and ``undecided`` how many of them the slack leaves open,
    ``seeds`` the number of independent samples behind them.
    """

    outcome: Outcome
    measure: Measure
    lhs: float
    rhs: float
    slack: float
    ratio: float
    where: str = ""
    entries: int = 1
    undecided: int = 0
    seeds: int = 0
    tests: tuple[Test, ...] = ()
    series: Series | None = None

    @property
    def rank(self) -> tuple[int, bool, float]:
        """Orders comparisons by how much they say against the statement; inequalities come before identities.

        An exact comparison that decides nothing (0 against 0, within the slack) comes last.
        """
        severity = -1 if self.outcome == "inconclusive" and not self.tests else SEVERITY[self.outcome]
        return (severity, self.measure not in ("residual", "failures"), self.ratio)


@contextlib.contextmanager
def testing_at(level: float) -> Iterator[None]:
    """Within this context sampled comparisons are tested at ``level``."""
    token = _level.set(level)
    try:
        yield
    finally:
        _level.reset(token)


def current_level() -> float:
    """The error probability that a sampled comparison may spend here."""
    return _level.get()


def at_most(
    lhs: ArrayLike,
    rhs: ArrayLike,
    *,
    slack: ArrayLike = 0.0,
    x: ArrayLike | None = None,
    label: str = "",
    vacuous: bool = False,
) -> Comparison:
    """``lhs <= rhs`` for every entry of two arrays (broadcast against each other).

    ``slack`` is the numerical error of both sides together (a solver's bracket or residual), added to the relative rounding
    of :data:`RELATIVE_ROUNDING`. An entry refutes the statement when ``lhs > rhs + slack``. The ratio reported is
    ``lhs / (rhs + slack)``, so it passes 1 only when the statement is refuted; where the right side is not positive it is one
    plus the excess over the larger side. Entries whose slack is as large as their right side decide nothing; if no entry
    decides, the outcome is inconclusive. ``x`` (same length, one-dimensional) makes a curve for the ledger's plot.

    Raises :class:`EvidenceError` for a NaN, and for an infinite right side unless ``vacuous`` says that it may be one.
    An infinite left side is a violation.
    """
    left, right, error = np.broadcast_arrays(
        np.asarray(lhs, dtype=float), np.asarray(rhs, dtype=float), np.asarray(slack, dtype=float)
    )
    if left.size == 0:
        raise EvidenceError("nothing to compare: both sides are empty.")
    if np.isnan(left).any() or np.isnan(right).any() or np.isnan(error).any() or (error < 0).any():
        raise EvidenceError("a side of the comparison is not a number.")
    if not vacuous and np.isposinf(right).any():
        raise EvidenceError("the right side is infinite; say vacuous=True if the statement is about infinity.")
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        largest = np.maximum(np.abs(left), np.abs(right))
        allowed = error + RELATIVE_ROUNDING * np.where(np.isfinite(largest), largest, 0.0)
        top = right + allowed
        ratio = np.where(top > 0, left / top, np.where(left > top, 1.0, 0.0) + (left - top) / np.maximum(largest, 1e-300))
        ratio = np.where((top > 0) & np.isinf(top), np.where(np.isinf(left), 1.0, 0.0), ratio)
        ratio = np.where((left == 0) & (right == 0), 0.0, ratio)
        ratio = np.where(np.isposinf(left) & ~np.isposinf(right), np.inf, ratio)
        ratio = np.maximum(ratio, 0.0)
    refuted = left > top
    deciding = refuted | (allowed < np.abs(right)) | (left <= right - allowed)
    if refuted.any():
        chosen, outcome = np.where(refuted, ratio, -1.0), "refuted"
    elif deciding.any():
        chosen, outcome = np.where(deciding, ratio, -1.0), "holds"
    else:
        chosen, outcome = ratio, "inconclusive"
    worst = int(np.argmax(chosen))
    series = None
    place = f"{label} " if label else ""
    if x is not None:
        axis = np.asarray(x, dtype=float)
        if axis.shape != left.shape or axis.ndim != 1:
            raise EvidenceError(f"x has shape {axis.shape}, the sides have {left.shape}; a curve needs one axis.")
        series = _series(label, axis, left, right)
        place += f"at {axis[worst]:.6g}"
    elif left.size > 1:
        place += f"entry {tuple(int(i) for i in np.unravel_index(worst, left.shape))}"
    return Comparison(
        outcome=outcome,  # type: ignore[arg-type]
        measure="ratio",
        lhs=float(left.flat[worst]),
        rhs=float(right.flat[worst]),
        slack=float(allowed.flat[worst]),
        ratio=float(ratio.flat[worst]),
        where=place.strip(),
        entries=int(left.size),
        undecided=int(left.size - np.count_nonzero(deciding)),
        series=series,
    )


def at_least(lhs: ArrayLike, rhs: ArrayLike, **options: Any) -> Comparison:
    """``lhs >= rhs``: :func:`at_most` with the sides exchanged, so the ratio is ``rhs / lhs``."""
    return at_most(rhs, lhs, **options)


def equal(
    lhs: ArrayLike, rhs: ArrayLike, *, tolerance: float = 1e-9, scale: float | None = None, label: str = ""
) -> Comparison:
    """``lhs = rhs`` for every entry, up to ``tolerance * scale``.

    ``scale`` is the size that the rounding error is measured against: the largest absolute entry of either side unless given
    (give it when the entries are small differences of large numbers). The ratio is the largest residual over what is allowed.
    """
    left, right = np.broadcast_arrays(np.asarray(lhs, dtype=float), np.asarray(rhs, dtype=float))
    if left.size == 0:
        raise EvidenceError("nothing to compare: both sides are empty.")
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        raise EvidenceError("a side of the identity is not finite.")
    size = float(max(np.abs(left).max(), np.abs(right).max())) if scale is None else float(scale)
    allowed = tolerance * size
    residual = np.abs(left - right)
    worst = int(np.argmax(residual))
    gap = float(residual.flat[worst])
    ratio = gap / allowed if allowed > 0 else (0.0 if gap == 0 else float("inf"))
    place = f"{label} " if label else ""
    if left.size > 1:
        place += f"entry {tuple(int(i) for i in np.unravel_index(worst, left.shape))}"
    return Comparison(
        outcome="refuted" if gap > allowed else "holds",
        measure="residual",
        lhs=float(left.flat[worst]),
        rhs=float(right.flat[worst]),
        slack=allowed,
        ratio=ratio,
        where=place.strip(),
        entries=int(left.size),
    )


def always(conditions: ArrayLike, what: str = "") -> Comparison:
    """Every one of ``conditions`` (booleans) is true; the left side is the number that fail, the right side 0."""
    truth = np.asarray(conditions, dtype=bool)
    if truth.size == 0:
        raise EvidenceError("nothing to compare: no condition was given.")
    failures = int(truth.size - np.count_nonzero(truth))
    first = ""
    if failures and truth.ndim:
        first = f"entry {tuple(int(i) for i in np.unravel_index(int(np.argmin(truth)), truth.shape))}"
    return Comparison(
        outcome="refuted" if failures else "holds",
        measure="failures",
        lhs=float(failures),
        rhs=0.0,
        slack=0.0,
        ratio=1.0 + failures if failures else 0.0,
        where=f"{what} {first}".strip(),
        entries=int(truth.size),
    )


def violation_rate(violations: ArrayLike, delta: float, *, alternative: float | None = None, label: str = "") -> Comparison:
    """A high-probability bound: the chance of a violation is at most ``delta``.

    ``violations`` holds a boolean for each independent seed. Judged by the exact one-sided binomial test (Clopper-Pearson);
    not being rejected counts only if the test would have rejected ``alternative`` with probability 0.9.
    """
    seen = np.asarray(violations, dtype=bool).ravel()
    result = statistics.violation_test(int(seen.sum()), seen.size, delta, current_level(), alternative)
    return Comparison(
        outcome=result.outcome,
        measure="violations",
        lhs=float(seen.mean()),
        rhs=float(delta),
        slack=0.0,
        ratio=_test_ratio(float(seen.mean()), float(delta), result.outcome),
        where=label,
        seeds=seen.size,
        tests=(_test(result),),
    )


def mean_at_most(
    samples: ArrayLike, bound: float, *, support: tuple[float, float] | None = None, label: str = ""
) -> Comparison:
    """An expectation is at most ``bound``, from independent ``samples`` (one for each seed).

    With ``support`` the interval holds for any law on it (Hoeffding and empirical Bernstein); without, it is Student's.
    """
    values = np.asarray(samples, dtype=float).ravel()
    if not np.isfinite(values).all():
        raise EvidenceError("a sample is not finite.")
    result = statistics.mean_test(values, bound, current_level(), support)
    return Comparison(
        outcome=result.outcome,
        measure="mean",
        lhs=float(values.mean()),
        rhs=float(bound),
        slack=0.0,
        ratio=_test_ratio(float(values.mean()), float(bound), result.outcome),
        where=label,
        seeds=values.size,
        tests=(_test(result),),
    )


def less_on_average(first: ArrayLike, second: ArrayLike, *, margin: float = 0.0, label: str = "") -> Comparison:
    """On average ``first`` is below ``second`` by at least ``margin``; the two are paired, one pair for each seed."""
    left, right = np.asarray(first, dtype=float).ravel(), np.asarray(second, dtype=float).ravel()
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        raise EvidenceError("a sample is not finite.")
    result = statistics.paired_test(left, right, current_level(), margin)
    low, high = float(left.mean()), float(right.mean()) - margin
    return Comparison(
        outcome=result.outcome,
        measure="difference",
        lhs=low,
        rhs=high,
        slack=0.0,
        ratio=_test_ratio(low, high, result.outcome),
        where=label,
        seeds=left.size,
        tests=(_test(result),),
    )


def slope(
    x: ArrayLike, samples: ArrayLike, *, between: tuple[float, float], worst_case: bool = False, label: str = ""
) -> Comparison:
    """The log-log slope of a curve lies in the interval ``between``.

    ``samples`` has shape (seeds, points), or (gaps, seeds, points) with ``worst_case`` (the supremum over gaps, re-tuned to
    each point, is taken inside every resample), or (points,) for a deterministic curve. Holds when the whole confidence
    interval lies inside, refuted when it lies outside. The ratio is the distance from the middle over the half width.
    """
    low, high = between
    if not low < high:
        raise InputError(f"a slope's window needs low < high, not {between}.")
    axis, values = np.asarray(x, dtype=float), np.asarray(samples, dtype=float)
    curves = values.mean(axis=-2) if values.ndim > 1 else values
    if not np.isfinite(values).all() or (curves <= 0).any() or (axis <= 0).any():
        raise EvidenceError("a slope on log-log axes needs finite samples, and positive means of them.")
    if worst_case:
        fit, curve = statistics.worst_case_slope(axis, values, current_level()), values.mean(axis=1).max(axis=0)
    else:
        rows = values[None, :] if values.ndim == 1 else values
        fit, curve = statistics.slope_interval(axis, rows, current_level()), rows.mean(axis=0)
    interval, outcome = fit.interval, statistics.slope_test(fit, low, high)
    middle = (low + high) / 2
    line = np.exp(fit.intercept + fit.slope * np.log(axis))
    return Comparison(
        outcome=outcome,
        measure="slope",
        lhs=float(fit.slope),
        rhs=middle,
        slack=(high - low) / 2,
        ratio=abs(float(fit.slope) - middle) / ((high - low) / 2),
        where=f"{label} in [{low:g}, {high:g}]".strip(),
        entries=axis.size,
        seeds=fit.seeds if values.ndim > 1 else 0,
        tests=(Test("log-log fit", current_level(), float(interval.low), float(interval.high), fit.seeds),),
        series=_series(label, axis, curve, line),
    )


def all_of(*comparisons: Comparison, **named: Comparison) -> Comparison:
    """All of several comparisons; names label the parts. What is reported is the part that speaks most against it."""
    parts = [*comparisons]
    parts += [replace(c, where=f"{name.replace('_', ' ')}: {c.where}".rstrip(": ")) for name, c in named.items()]
    if not parts:
        raise EvidenceError("nothing to compare: no comparison was given.")
    worst = max(parts, key=lambda c: c.rank)
    return replace(
        worst,
        outcome=max((c.outcome for c in parts), key=SEVERITY.__getitem__),
        entries=sum(c.entries for c in parts),
        undecided=sum(c.undecided for c in parts),
        seeds=max(c.seeds for c in parts),
        tests=tuple(t for c in parts for t in c.tests),
        series=worst.series or next((c.series for c in parts if c.series), None),
    )


def _test(result: statistics.TestResult) -> Test:
    return Test(
        result.name,
        result.level,
        float(result.interval.low),
        float(result.interval.high),
        result.trials,
        float(result.p_value),
        result.power,
    )


def _test_ratio(value: float, bound: float, outcome: Outcome) -> float:
    """value / bound where that makes sense, kept at 1 or below unless the test refutes the bound."""
    raw = max(value, 0.0) / bound if bound > 0 else 1.0 + (value - bound) / max(abs(value), abs(bound), 1e-300)
    return max(raw, 1.0 + 1e-12) if outcome == "refuted" else min(max(raw, 0.0), 1.0)


def _series(label: str, x: NDArray[np.float64], lhs: NDArray[np.float64], rhs: NDArray[np.float64]) -> Series:
    """The curve, thinned to at most LONGEST_SERIES points, evenly on a logarithmic scale of positions."""
    if x.size > LONGEST_SERIES:
        keep: Sequence[int] = np.unique(np.geomspace(1, x.size, LONGEST_SERIES).astype(int) - 1).tolist()
        x, lhs, rhs = x[keep], lhs[keep], rhs[keep]
    return Series(label, tuple(x.tolist()), tuple(lhs.tolist()), tuple(rhs.tolist()))
