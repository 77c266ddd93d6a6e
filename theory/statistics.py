r"""Tests of statements about samples: exact where the law is known, at levels that add up over the whole suite.

A sampled claim is judged by a test with a stated *level*: the probability that a true statement is refuted. A run of the
whole suite makes many tests, and is allowed one false alarm in a thousand runs. By the union bound this is so when the levels
of all tests add up to at most 1/1000, whatever the dependence between them:

* :data:`SUITE_LEVEL` ``= 1e-3`` is the chance that one run of the whole suite raises any false alarm.
* :data:`SAMPLED_CLAIMS` ``= 500`` is the number of sampled claims for which there is room.
* :data:`CLAIM_LEVEL` ``= SUITE_LEVEL / SAMPLED_CLAIMS = 2e-6`` is what one claim may spend, on all its instances together; a
  claim that makes :math:`m` tests gives each :math:`2 \cdot 10^{-6} / m` (:func:`split_level`).

Such levels cost little: the critical distance grows like :math:`\sqrt{2 \ln(1/\text{level})}`, so that a test at 2e-6 needs
about four times the samples of one at 0.05 for a power of 0.9. They do rule out percentiles of a bootstrap, which cannot see
beyond 1 / resamples.

Every test ends in one of three outcomes. ``refuted``: the data contradict the statement at the level. ``holds``: they do not,
and they would have (violation tests, by their power), or they establish it at the same level (means, paired comparisons,
slopes). ``inconclusive``: neither.

Which statements are exact in finite samples? Clopper-Pearson, the violation test, the sign test, and means of variables
with a known support. Student's interval is exact for normal samples and an approximation for others, and slopes are
approximations that tests/theory measures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from theory.concentration import bernoulli_kl, bernoulli_kl_lower, bernoulli_kl_upper, empirical_bernstein_radius
from theory.errors import InputError

SUITE_LEVEL = 1e-3
SAMPLED_CLAIMS = 500
CLAIM_LEVEL = SUITE_LEVEL / SAMPLED_CLAIMS
ENOUGH_POWER = 0.9  # a test that is not rejected counts in favour of a statement only if it has this power

Side = Literal["both", "lower", "upper"]
Outcome = Literal["holds", "refuted", "inconclusive"]
Statistic = Callable[..., NDArray[np.float64]]


@dataclass(frozen=True)
class Interval:
    """A confidence interval ``[low, high]``, which misses the truth with probability at most ``level``.

    ``level`` counts both ends together; a one-sided interval has one infinite (or trivial) end, and spends it all on the other.
    """

    low: float
    high: float
    level: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True)
class TestResult:
    """What a test says about a statement.

    ``estimate`` is compared with ``bound``; ``p_value`` is the smallest level at which the data would have refuted the
    statement, and ``rejected`` says that it is at most ``level``. ``interval`` is for the estimated quantity. ``power`` is the
    probability of a rejection if ``alternative`` were true (None for tests that establish a statement by their interval).
    ``trials`` counts the independent samples.
    """

    __test__ = False  # not a test case for pytest

    name: str
    estimate: float
    bound: float
    p_value: float
    interval: Interval
    level: float
    rejected: bool
    trials: int
    outcome: Outcome
    power: float | None = None
    alternative: float | None = None


@dataclass(frozen=True)
class SlopeFit:
    """A power law ``y = exp(intercept) * x ** slope`` fitted on log-log axes, with an interval for its exponent."""

    slope: float
    intercept: float
    interval: Interval
    standard_error: float
    seeds: int


def split_level(level: float, tests: int) -> float:
    """The level of each of ``tests`` tests that may together err with probability ``level`` (Bonferroni: level / tests)."""
    _check_level(level)
    if tests < 1:
        raise InputError(f"a level is split over at least 1 test, not {tests}.")
    return level / tests


# --- probabilities -----------------------------------------------------------------------------------------------------


def clopper_pearson(successes: int, trials: int, level: float, side: Side = "both") -> Interval:
    r"""The exact interval of Clopper and Pearson (1934) for a success probability.

    Two-sided: the ends are the quantiles :math:`\alpha/2` of Beta(x, n-x+1) and :math:`1-\alpha/2` of Beta(x+1, n-x), where x
    successes were seen in n trials; one-sided intervals spend all of :math:`\alpha` on their end ("lower" means [low, 1],
    "upper" means [0, high]). It covers the true probability with probability at least 1 - level, for every probability.
    """
    _check_counts(successes, trials)
    _check_level(level)
    _check_side(side)
    tail = level / 2 if side == "both" else level
    low, high = 0.0, 1.0
    if side != "upper" and successes > 0:
        low = float(special.betaincinv(successes, trials - successes + 1, tail))
    if side != "lower" and successes < trials:
        high = float(special.betainccinv(successes + 1, trials - successes, tail))
    return Interval(low, high, level)


def violation_test(violations: int, trials: int, delta: float, level: float, alternative: float | None = None) -> TestResult:
    r"""The exact one-sided binomial test of "a violation has probability at most ``delta``".

    With x violations in n independent trials the p-value is :math:`P(\mathrm{Bin}(n, \delta) \ge x)`; the statement is
    ``refuted`` when that is at most ``level``, which is the same as the one-sided Clopper-Pearson bound lying above delta.
    Otherwise it ``holds`` if the test would have refuted a violation probability of ``alternative`` with probability at least
    0.9, and is ``inconclusive`` if it would not.

    ``alternative`` defaults to the probability with three times the odds of delta,
    :math:`3\delta / (1 + 2\delta)`: about :math:`3\delta` for a small delta, and below 1 for every delta, where
    :math:`3\delta` itself would turn into "always violated". For delta = 0 (a statement that one violation refutes) it must
    be given.

    Raises :class:`InputError` for delta outside [0, 1) or an alternative outside (delta, 1].
    """
    _check_counts(violations, trials)
    _check_level(level)
    if not 0 <= delta < 1:
        raise InputError(f"a violation probability to be tested lies in [0, 1), not {delta}.")
    if alternative is None:
        if delta == 0:
            raise InputError("a statement that is never violated (delta = 0) needs the alternative to be told.")
        alternative = 3 * delta / (1 + 2 * delta)
    if not delta < alternative <= 1:
        raise InputError(f"the alternative lies in ({delta}, 1], not at {alternative}.")
    p_value = float(_binomial_tail(violations, trials, delta))
    rejected = p_value <= level
    power = float(_binomial_tail(critical_count(trials, delta, level), trials, alternative))
    outcome: Outcome = "refuted" if rejected else "holds" if power >= ENOUGH_POWER else "inconclusive"
    return TestResult(
        name="exact binomial test",
        estimate=violations / trials,
        bound=delta,
        p_value=p_value,
        interval=clopper_pearson(violations, trials, level, "lower"),
        level=level,
        rejected=rejected,
        trials=trials,
        outcome=outcome,
        power=power,
        alternative=alternative,
    )


def critical_count(trials: int, delta: float, level: float) -> int:
    r"""The smallest x with :math:`P(\mathrm{Bin}(n, \delta) \ge x) \le` level; n + 1 if there is none."""
    low, high = 0, trials + 1  # the tail at low exceeds the level, the one at high does not
    while high - low > 1:
        middle = (low + high) // 2
        if _binomial_tail(middle, trials, delta) <= level:
            high = middle
        else:
            low = middle
    return high


def _binomial_tail(count: ArrayLike, trials: int, probability: ArrayLike) -> NDArray[np.float64]:
    """P(Bin(trials, probability) >= count), accurate in the far tail."""
    count, probability = np.broadcast_arrays(np.asarray(count, dtype=float), np.asarray(probability, dtype=float))
    inside = np.clip(count, 1, trials)
    tail = special.betainc(inside, trials - inside + 1, probability)
    return np.where(count <= 0, 1.0, np.where(count > trials, 0.0, tail))


# --- means -------------------------------------------------------------------------------------------------------------


def mean_interval(
    samples: ArrayLike, level: float, support: tuple[float, float] | None = None, side: Side = "both"
) -> Interval:
    r"""A confidence interval for the expectation of independent, identically distributed ``samples``, shape (n,).

    Without ``support``: Student's interval, :math:`\bar x \pm t_{n-1}(1-\alpha/2)\, s/\sqrt n`. It is exact for normal samples.
    For a law skewed to the right (a regret that is rarely very large) its lower end, which refutes, is conservative, and its
    upper end is not, the more so the smaller the level: what n samples have not seen, no such interval contains. Give the
    support where it is known.

    With ``support`` (a, b), an interval that is valid for every law on [a, b] and every n: the intersection of

    * Hoeffding's (1963, Theorem 1) in its sharp form :math:`\{\mu : n\,\mathrm{kl}(\bar x, \mu) \le \ln(1/\alpha')\}` (on the
      scale of [0, 1]), which contains no range that the better known :math:`\sqrt{\ln(1/\alpha')/2n}` leaves out;
    * the empirical Bernstein bound of Maurer and Pontil (2009, Theorem 4), better when the variance is small for the mean.

    Each of the (one or two) ends spends half of its share of ``level`` on each of the two bounds.

    A rounding error of the mean is added at both ends.
    """
    values = _samples(samples)
    _check_level(level)
    _check_side(side)
    n = values.size
    tail = level / 2 if side == "both" else level
    centre = float(values.mean())
    # pairwise summation loses at most about log2(n) units in the last place of the largest partial mean
    rounding = float((2 + np.log2(n)) * np.finfo(float).eps * np.abs(values).max())
    if support is None:
        radius = float(-special.stdtrit(n - 1, tail) * values.std(ddof=1) / np.sqrt(n))
        low, high = centre - radius, centre + radius
    else:
        a, b = _check_support(values, support)
        unit = min(max((centre - a) / (b - a), 0.0), 1.0)
        exponent = np.log(2 / tail) / n
        radius = float(empirical_bernstein_radius(n, values.var(ddof=1), tail / 2, b - a))
        low, high = centre - radius, centre + radius
        if side != "upper":
            low = max(low, a + (b - a) * float(bernoulli_kl_lower(unit, exponent)))
        if side != "lower":
            high = min(high, a + (b - a) * float(bernoulli_kl_upper(unit, exponent)))
    return Interval(-np.inf if side == "upper" else low - rounding, np.inf if side == "lower" else high + rounding, level)


def mean_test(samples: ArrayLike, bound: float, level: float, support: tuple[float, float] | None = None) -> TestResult:
    """Test of the statement E[X] <= ``bound`` from independent ``samples``, shape (n,) with n >= 2.

    ``refuted`` when the lower confidence end lies above the bound, ``holds`` when the upper end lies at or below it, and
    ``inconclusive`` in between. Each end errs with probability at most ``level``: a true statement is refuted, and a false
    one said to hold, at most that often (only one of the two errors can occur, so neither has to be paid for with the
    other). The interval's own level, for both ends, is twice that. See :func:`mean_interval` for ``support``.
    """
    values = _samples(samples)
    _check_level(level)
    if not np.isfinite(bound):
        raise InputError(f"a mean is compared with a finite bound, not {bound}.")
    lower = mean_interval(values, level, support, "lower")
    upper = mean_interval(values, level, support, "upper")
    rejected = bool(lower.low > bound)
    return TestResult(
        name="Student's t" if support is None else "Hoeffding and empirical Bernstein",
        estimate=float(values.mean()),
        bound=float(bound),
        p_value=_mean_p_value(values, float(bound), support),
        interval=Interval(lower.low, upper.high, 2 * level),
        level=level,
        rejected=rejected,
        trials=values.size,
        outcome="refuted" if rejected else "holds" if upper.high <= bound else "inconclusive",
    )


def _mean_p_value(values: NDArray[np.float64], bound: float, support: tuple[float, float] | None) -> float:
    """The smallest level at which the lower end of the interval passes ``bound`` (up to rounding)."""
    n, excess = values.size, float(values.mean()) - bound
    spread = float(values.std(ddof=1))
    if support is None:
        if spread == 0:
            return 1.0 if excess <= 0 else 0.0
        return float(special.stdtr(n - 1, -excess * np.sqrt(n) / spread))
    if excess <= 0:
        return 1.0
    a, b = support
    width = b - a
    p_hoeffding = np.exp(-n * float(bernoulli_kl(min((excess + bound - a) / width, 1.0), max((bound - a) / width, 0.0))))
    # excess = s sqrt(2 L / n) + 7 width L / (3 (n - 1)) is a quadratic equation in sqrt(L), where L = ln(2 / p)
    linear, square = spread * np.sqrt(2 / n), 7 * width / (3 * (n - 1))
    root = 2 * excess / (linear + np.sqrt(linear**2 + 4 * square * excess))
    p_bernstein = 2 * np.exp(-(root**2))
    return float(min(1.0, 2 * min(p_hoeffding, p_bernstein)))


def paired_test(first: ArrayLike, second: ArrayLike, level: float, margin: float = 0.0) -> TestResult:
    """Student's test of E[first - second] <= -``margin`` (the first is smaller by at least the margin), on pairs, shape (n,).

    The pairs are independent of each other; the two members of a pair need not be, and the more alike they are made (the same
    seed, the same instance) the sharper the test. Estimate, bound and interval are those of first - second. Outcomes and
    levels as in :func:`mean_test`; :func:`sign_test` is its twin that assumes nothing about the law.
    """
    difference = _pairs(first, second)
    result = mean_test(difference, -float(margin), level)
    return TestResult(**{**result.__dict__, "name": "paired t"})


def sign_test(first: ArrayLike, second: ArrayLike, level: float, margin: float = 0.0) -> TestResult:
    """Exact sign test of "first - second is above -``margin`` no more often than below it", on pairs, shape (n,).

    Pairs at exactly -margin count for neither. The estimate is the share of the other pairs that lie above, its bound 1/2.
    ``refuted`` when the lower Clopper-Pearson end passes 1/2, ``holds`` when the upper end is at or below 1/2, each end at
    ``level``.
    """
    shifted = _pairs(first, second) + float(margin)
    _check_level(level)
    above, trials = int(np.count_nonzero(shifted > 0)), int(np.count_nonzero(shifted))
    if trials == 0:
        interval, p_value = Interval(0.0, 1.0, 2 * level), 1.0
    else:
        ends = [clopper_pearson(above, trials, level, "lower").low, clopper_pearson(above, trials, level, "upper").high]
        interval, p_value = Interval(ends[0], ends[1], 2 * level), float(_binomial_tail(above, trials, 0.5))
    rejected = p_value <= level
    below = trials > 0 and float(_binomial_tail(trials - above, trials, 0.5)) <= level
    return TestResult(
        name="sign test",
        estimate=above / trials if trials else 0.5,
        bound=0.5,
        p_value=p_value,
        interval=interval,
        level=level,
        rejected=rejected,
        trials=trials,
        outcome="refuted" if rejected else "holds" if below else "inconclusive",
    )


# --- exponents ---------------------------------------------------------------------------------------------------------


def log_log_slope(x: ArrayLike, y: ArrayLike) -> float:
    """The exponent of the power law nearest to ``y`` (least squares of ln y on ln x), both positive, shape (points,)."""
    axis = _axis(x)
    return float(_fit(axis, _logarithm(np.asarray(y, dtype=float), axis))[0])


def slope_interval(
    x: ArrayLike,
    samples: ArrayLike,
    level: float,
    statistic: Statistic = np.mean,
    resamples: int = 2000,
    seed: int | np.random.Generator = 0,
) -> SlopeFit:
    r"""The log-log slope of a curve that is a mean over seeds, with a confidence interval.

    ``samples`` has shape (seeds, points): one curve over ``x`` for each independent seed. What is estimated is the least
    squares slope of the logarithm of ``statistic`` over seeds (the mean; anything that takes ``axis`` will do), which is the
    exponent if the curve is a power law.

    The points of one curve are dependent, so whole rows are resampled. The interval is

    .. math:: \text{slope} \pm t_{n-1}(1 - \alpha/2)\,\widehat{\mathrm{se}}, \qquad
              \widehat{\mathrm{se}}^2 = \tfrac{n}{n-1}\,\mathrm{Var}_{\text{bootstrap}}(\text{slope}),

    n being the number of seeds. Percentiles of the bootstrap are not used: with tens of seeds and thousands of resamples they
    cannot reach the levels of 1e-6 and less that are needed here, while a standard error can be estimated, and the slope is a
    smooth function of means and so nearly normal. The factor n/(n-1) undoes the bootstrap's downward bias.

    The level is nominal. Simulated with 20 seeds at 0.001, it is 0.001 for normal noise, 0.002 for gamma noise of half the
    mean's size, 0.009 for lognormal noise of 1.3 times the mean's size; and if one run in ten is bad and dominates the mean, 20 seeds
    contain none of them one time in eight and the interval knows nothing of it. Take many more seeds than one over the
    frequency of the runs that matter, and a window with room around the claimed exponent.

    One row is taken for a *deterministic* curve. Then there is nothing to resample, and the interval is the one of ordinary
    least squares over the m points,

    .. math:: \text{slope} \pm t_{m-2}(1-\alpha/2)\,\sqrt{\mathrm{RSS} / (m-2) / \textstyle\sum(\ln x - \overline{\ln x})^2}.

    It measures how far the curve is from a power law on this range, not sampling error, and ``seeds`` is 1.
    """
    axis, values = _axis(x), _curves(samples, 2)
    if values.shape[-1] != axis.size:
        raise InputError(f"the curves have {values.shape[-1]} points, their axis has {axis.size}.")
    _check_level(level)
    if values.shape[0] == 1:
        return _deterministic_slope(axis, values[0], level)
    return _bootstrap_slope(axis, values[None], level, statistic, resamples, seed)


def worst_case_slope(
    x: ArrayLike,
    samples: ArrayLike,
    level: float,
    statistic: Statistic = np.mean,
    resamples: int = 2000,
    seed: int | np.random.Generator = 0,
) -> SlopeFit:
    r"""The log-log slope of :math:`x \mapsto \sup_g \mathrm{mean}(Y_g(x))`, with a confidence interval.

    ``samples`` has shape (gaps, seeds, points). A minimax rate is a supremum over instances that changes with the horizon, so
    the largest over the gaps is taken at each point, anew in every resample. A row is resampled with all its gaps: that is
    right whether the gaps share their random numbers or not. Otherwise as :func:`slope_interval`.

    The largest of several noisy means is biased upwards. If the noise shrinks relative to the mean as x grows, the bias lowers
    the slope; take enough seeds for the standard errors of the means to be small beside their differences.
    """
    axis, values = _axis(x), _curves(samples, 3)
    if values.shape[-1] != axis.size:
        raise InputError(f"the curves have {values.shape[-1]} points, their axis has {axis.size}.")
    _check_level(level)
    if values.shape[1] == 1:
        return _deterministic_slope(axis, values[:, 0].max(axis=0), level)
    return _bootstrap_slope(axis, values, level, statistic, resamples, seed)


def slope_test(fit: SlopeFit, low: float, high: float) -> Outcome:
    """Whether the exponent lies in [low, high]: ``holds`` if the whole interval does, ``refuted`` if it lies outside."""
    if not low <= high:
        raise InputError(f"a slope's window needs low <= high, not [{low}, {high}].")
    if low <= fit.interval.low and fit.interval.high <= high:
        return "holds"
    return "refuted" if fit.interval.low > high or fit.interval.high < low else "inconclusive"


def last_exit(x: ArrayLike, curve: ArrayLike, threshold: float) -> float:
    """The first ``x`` from which on ``curve`` stays at or below ``threshold`` for good; nan if its last point is above.

    The sample complexity of a curve that may come back: the first entry below the threshold would be the wrong number, because
    a noisy or oscillating curve enters long before it stays, and the more noise the earlier. Both arguments have shape
    (points,), ``x`` increasing; a nan in the curve counts as above.
    """
    axis, values = np.asarray(x, dtype=float), np.asarray(curve, dtype=float)
    if axis.ndim != 1 or axis.shape != values.shape or axis.size == 0:
        raise InputError(f"a curve and its axis have the same length, not the shapes {values.shape} and {axis.shape}.")
    if not (np.diff(axis) > 0).all():
        raise InputError("the axis of a curve increases.")
    outside = np.flatnonzero(~(values <= threshold))
    if outside.size == 0:
        return float(axis[0])
    return float(axis[outside[-1] + 1]) if outside[-1] + 1 < axis.size else float("nan")


def _fit(axis: NDArray[np.float64], logarithm: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Slopes and intercepts of least squares over the last axis."""
    u = np.log(axis)
    centred = u - u.mean()
    slope = logarithm @ (centred / (centred @ centred))
    return slope, logarithm.mean(axis=-1) - slope * u.mean()


def _bootstrap_slope(
    axis: NDArray[np.float64],
    values: NDArray[np.float64],
    level: float,
    statistic: Statistic,
    resamples: int,
    seed: int | np.random.Generator,
) -> SlopeFit:
    """Slope of the largest over gaps of a statistic over seeds; ``values`` has shape (gaps, seeds, points)."""
    if resamples < 100:
        raise InputError(f"a bootstrap standard error needs at least 100 resamples, not {resamples}.")
    _, n, points = values.shape
    rng = np.random.default_rng(seed)
    curve = np.max(statistic(values, axis=1), axis=0)
    slope, intercept = _fit(axis, _logarithm(curve, axis))
    if statistic is np.mean:
        weights = rng.multinomial(n, np.full(n, 1 / n), size=resamples) / n
        resampled = np.max(np.einsum("rn,gnp->grp", weights, values, optimize=True), axis=0)
    else:
        resampled = np.empty((resamples, points))
        chunk = max(1, 4_000_000 // values.size)
        for start in range(0, resamples, chunk):
            rows = rng.integers(n, size=(min(chunk, resamples - start), n))
            resampled[start : start + chunk] = np.max(statistic(values[:, rows], axis=2), axis=0)
    slopes, _ = _fit(axis, _logarithm(resampled, axis))
    error = float(slopes.std(ddof=1) * np.sqrt(n / (n - 1)))
    radius = float(-special.stdtrit(n - 1, level / 2)) * error
    return SlopeFit(float(slope), float(intercept), Interval(float(slope) - radius, float(slope) + radius, level), error, n)


def _deterministic_slope(axis: NDArray[np.float64], curve: NDArray[np.float64], level: float) -> SlopeFit:
    if axis.size < 3:
        raise InputError(f"the slope of one curve needs at least 3 points for its interval, not {axis.size}.")
    logarithm = _logarithm(curve, axis)
    slope, intercept = _fit(axis, logarithm)
    u = np.log(axis)
    residual = logarithm - intercept - slope * u
    error = float(np.sqrt(residual @ residual / (axis.size - 2) / np.sum((u - u.mean()) ** 2)))
    radius = float(-special.stdtrit(axis.size - 2, level / 2)) * error
    return SlopeFit(float(slope), float(intercept), Interval(float(slope) - radius, float(slope) + radius, level), error, 1)


# --- checks of the arguments -------------------------------------------------------------------------------------------


def _check_level(level: float) -> None:
    if not 0 < level < 0.5:
        raise InputError(f"the level of a test lies strictly between 0 and 1/2, not at {level}.")


def _check_side(side: str) -> None:
    if side not in ("both", "lower", "upper"):
        raise InputError(f"an interval's side is 'both', 'lower' or 'upper', not {side!r}.")


def _check_counts(successes: int, trials: int) -> None:
    if trials < 1 or not 0 <= successes <= trials:
        raise InputError(f"{successes} successes in {trials} trials is not a count.")


def _check_support(values: NDArray[np.float64], support: tuple[float, float]) -> tuple[float, float]:
    a, b = float(support[0]), float(support[1])
    if not (np.isfinite([a, b]).all() and a < b):
        raise InputError(f"a support is a finite interval (low, high) with low < high, not {support}.")
    outside = (values < a) | (values > b)
    if outside.any():
        first = int(np.argmax(outside))
        raise InputError(f"sample {first} is {values[first]}, outside the support [{a}, {b}].")
    return a, b


def _samples(samples: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(samples, dtype=float)
    if values.ndim != 1 or values.size < 2:
        raise InputError(
            f"a mean is judged from at least 2 samples in one dimension, not from an array of shape {values.shape}."
        )
    if not np.isfinite(values).all():
        first = int(np.argmax(~np.isfinite(values)))
        raise InputError(f"sample {first} is {values[first]}.")
    return values


def _pairs(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    left, right = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if left.shape != right.shape or left.ndim != 1:
        raise InputError(f"paired samples have the same length, not the shapes {left.shape} and {right.shape}.")
    return _samples(left - right)


def _axis(x: ArrayLike) -> NDArray[np.float64]:
    axis = np.asarray(x, dtype=float)
    if axis.ndim != 1 or np.unique(axis).size < 2:
        raise InputError("a slope needs at least 2 different points on its axis.")
    if not (np.isfinite(axis).all() and (axis > 0).all()):
        raise InputError("the axis of a log-log slope is positive and finite.")
    return axis


def _curves(samples: ArrayLike, dimension: int) -> NDArray[np.float64]:
    values = np.asarray(samples, dtype=float)
    if values.ndim != dimension or values.size == 0:
        wanted = "(seeds, points)" if dimension == 2 else "(gaps, seeds, points)"
        raise InputError(f"the curves of a slope have the shape {wanted}, not {values.shape}.")
    if not np.isfinite(values).all():
        raise InputError("the curves of a slope are finite.")
    return values


def _logarithm(curve: NDArray[np.float64], axis: NDArray[np.float64]) -> NDArray[np.float64]:
    if curve.shape[-1:] != axis.shape:
        raise InputError(f"the curve has the shape {curve.shape}, its axis has {axis.size} points.")
    bad = ~((curve > 0) & np.isfinite(curve))
    if bad.any():
        place = axis[np.argwhere(bad)[0][-1]]
        raise InputError(f"the curve of a log-log slope is not positive at {place:g}; start it where its mean is.")
    return np.log(curve)
