"""The statistical tests: agreement with scipy and with exact sums, their level, and their power."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from theory.concentration import bernoulli_kl
from theory.errors import InputError
from theory.statistics import (
    CLAIM_LEVEL,
    Interval,
    SlopeFit,
    clopper_pearson,
    critical_count,
    last_exit,
    log_log_slope,
    mean_interval,
    mean_test,
    paired_test,
    sign_test,
    slope_interval,
    slope_test,
    split_level,
    violation_test,
    worst_case_slope,
)


def _compatible(errors: int, trials: int, level: float) -> bool:
    """Whether a simulated error frequency is compatible with a level (a test at 1e-6 of the simulation itself)."""
    return stats.binom.sf(errors - 1, trials, level) > 1e-6


# --- probabilities -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (1, 10), (5, 100), (100, 100), (999, 1000), (3, 10**6)])
@pytest.mark.parametrize("level", [0.05, 1e-3])
def test_clopper_pearson_agrees_with_scipy(successes: int, trials: int, level: float) -> None:
    for side, alternative in (("both", "two-sided"), ("lower", "greater"), ("upper", "less")):
        ours = clopper_pearson(successes, trials, level, side)  # type: ignore[arg-type]
        theirs = stats.binomtest(successes, trials, alternative=alternative).proportion_ci(1 - level)
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-8, abs=1e-11)


def test_clopper_pearson_closed_forms_at_the_ends() -> None:
    for level in (0.05, CLAIM_LEVEL, 1e-9):
        assert clopper_pearson(0, 50, level, "upper").high == pytest.approx(-np.expm1(np.log(level) / 50))
        assert clopper_pearson(50, 50, level, "lower").low == pytest.approx(level ** (1 / 50))
    assert clopper_pearson(0, 5, 0.1) == Interval(0.0, pytest.approx(1 - 0.05**0.2), 0.1)


@pytest.mark.parametrize("side", ["both", "lower", "upper"])
def test_clopper_pearson_covers_every_probability(side: str) -> None:
    for trials in (1, 7, 40):
        ends = [clopper_pearson(k, trials, 0.03, side) for k in range(trials + 1)]  # type: ignore[arg-type]
        # coverage has its minima just beside the ends of the intervals
        places = np.array([e + d for i in ends for e in (i.low, i.high) for d in (-1e-9, 0, 1e-9)]).clip(0, 1)
        low, high = np.array([i.low for i in ends]), np.array([i.high for i in ends])
        mass = stats.binom.pmf(np.arange(trials + 1), trials, places[:, None])
        covered = (mass * ((low <= places[:, None]) & (places[:, None] <= high))).sum(axis=1)
        # an end is a rounded number, and at the end itself rounding decides whether the point is inside
        assert covered[np.arange(covered.size) % 3 != 1].min() >= 1 - 0.03 - 1e-9


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.data())
def test_violation_p_value_against_rational_sums(trials: int, data: st.DataObject) -> None:
    seen = data.draw(st.integers(0, trials))
    delta = Fraction(data.draw(st.integers(1, 60)), 64)
    tail = sum(comb(trials, k) * delta**k * (1 - delta) ** (trials - k) for k in range(seen, trials + 1))
    result = violation_test(seen, trials, float(delta), 0.01)
    assert result.p_value == pytest.approx(float(tail), rel=1e-10)
    assert result.rejected == (float(tail) <= 0.01) == (result.interval.low > float(delta))
    assert result.rejected == (seen >= critical_count(trials, float(delta), 0.01))


def test_violation_test_keeps_its_level_and_knows_its_power() -> None:
    """Level and power summed exactly over the binomial law, at levels that no simulation reaches."""
    for trials in (20, 200, 3000):
        for delta in (0.01, 0.05, 0.3):
            for level in (0.05, 1e-3, CLAIM_LEVEL, CLAIM_LEVEL / 1000):
                results = [violation_test(k, trials, delta, level) for k in range(0, trials + 1, max(1, trials // 200))]
                critical = critical_count(trials, delta, level)
                assert stats.binom.sf(critical - 1, trials, delta) <= level * (1 + 1e-9)
                assert critical == 0 or stats.binom.sf(critical - 2, trials, delta) > level * (1 - 1e-9)
                other = results[0].alternative
                assert other is not None
                assert other / (1 - other) == pytest.approx(3 * delta / (1 - delta))
                assert results[0].power == pytest.approx(stats.binom.sf(critical - 1, trials, other), rel=1e-8, abs=1e-300)
                for result in results:
                    expected = "holds" if result.power is not None and result.power >= 0.9 else "inconclusive"
                    assert result.outcome == ("refuted" if result.rejected else expected)


def test_violation_outcomes() -> None:
    assert violation_test(10, 200, 0.05, 0.01).outcome == "holds"
    assert violation_test(0, 20, 0.05, 0.01).outcome == "inconclusive"  # nothing seen, but too little was looked at
    assert violation_test(60, 200, 0.05, 0.01).outcome == "refuted"
    assert violation_test(1, 5, 0.0, 0.01, alternative=0.5).outcome == "refuted"
    assert violation_test(0, 5, 0.0, 0.01, alternative=0.5).power == pytest.approx(1 - 0.5**5)
    assert violation_test(0, 3, 0.9, 1e-6).power == 0.0  # no count of three could refute it
    # the number of seeds that a claim with delta = .05 needs at its whole level, and split over ten instances
    assert [
        next(n for n in range(10, 2000, 10) if violation_test(0, n, 0.05, level).outcome == "holds")
        for level in (CLAIM_LEVEL, CLAIM_LEVEL / 10)
    ] == [350, 400]


# --- means -------------------------------------------------------------------------------------------------------------


def test_student_interval_and_test_agree_with_scipy() -> None:
    rng = np.random.default_rng(1)
    for n in (2, 5, 80):
        x = rng.normal(2.0, 3.0, size=n)
        for level in (0.05, 1e-6):
            ours, theirs = mean_interval(x, level), stats.ttest_1samp(x, 0).confidence_interval(1 - level)
            assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-6)
        assert mean_interval(x, 0.1).low == pytest.approx(mean_interval(x, 0.05, side="lower").low)
        assert mean_interval(x, 0.05, side="lower").high == np.inf
        assert mean_interval(x, 0.05, side="upper").low == -np.inf
        ours_p = mean_test(x, 1.5, 0.05).p_value
        assert ours_p == pytest.approx(stats.ttest_1samp(x, 1.5, alternative="greater").pvalue)


def test_student_test_has_its_level_and_its_power() -> None:
    rng = np.random.default_rng(2)
    n, runs, level = 10, 6000, 0.01
    null = [mean_test(x, 0.0, level).outcome for x in rng.normal(size=(runs, n))]
    for outcome in ("refuted", "holds"):  # at the boundary either end errs with probability exactly the level
        assert abs(null.count(outcome) - level * runs) < 5 * np.sqrt(level * runs)
    away = [mean_test(x, 0.0, level).rejected for x in rng.normal(1.2, size=(1500, n))]
    critical = stats.t.isf(level, n - 1)
    power = stats.nct.sf(critical, n - 1, 1.2 * np.sqrt(n))
    assert np.mean(away) == pytest.approx(power, abs=5 * np.sqrt(power * (1 - power) / 1500))
    assert power > 0.7


def test_bounded_interval_covers_every_bernoulli_law() -> None:
    """Coverage summed exactly over the number of ones, down to levels that no simulation reaches."""
    for n in (2, 12, 100):
        samples = [np.repeat([1.0, 0.0], [k, n - k]) for k in range(n + 1)]
        for level in (0.1, 1e-3, CLAIM_LEVEL):
            ends = [mean_interval(x, level, (0.0, 1.0)) for x in samples]
            low, high = np.array([e.low for e in ends]), np.array([e.high for e in ends])
            p = np.concatenate([np.linspace(0, 1, 101), low.clip(0, 1), high.clip(0, 1)])[:, None]
            mass = stats.binom.pmf(np.arange(n + 1), n, p)
            assert (mass * (low > p)).sum(axis=1).max() <= level / 2
            assert (mass * (high < p)).sum(axis=1).max() <= level / 2


def test_bounded_interval_covers_skewed_laws_that_student_does_not() -> None:
    """A rare large value: Student's upper end misses it in almost every sample, the bounded one does not."""
    rng = np.random.default_rng(3)
    rare, n, level = 0.02, 30, 0.05
    samples = np.where(rng.random((800, n)) < rare, 1.0, 1e-3 * rng.random((800, n)))
    truth = rare + (1 - rare) * 0.5e-3
    bounded = [truth in mean_interval(x, level, (0.0, 1.0)) for x in samples]
    student = [truth in mean_interval(x, level) for x in samples]
    assert _compatible(bounded.count(False), len(bounded), level)
    assert np.mean(student) < 0.6


def test_bounded_interval_is_the_better_of_its_two_parts() -> None:
    rng = np.random.default_rng(4)
    for scale, n in ((1.0, 50), (0.01, 5000)):
        x = 2.0 + 4 * (0.5 + scale * (rng.random(n) - 0.5))
        interval = mean_interval(x, 1e-4, (2.0, 6.0))
        centre, radius = x.mean(), (interval.high - interval.low) / 2
        hoeffding = 4 * np.sqrt(np.log(4 / 1e-4) / (2 * n))
        bernstein = x.std(ddof=1) * np.sqrt(2 * np.log(8 / 1e-4) / n) + 28 * np.log(8 / 1e-4) / (3 * (n - 1))
        assert radius <= min(hoeffding, bernstein) * (1 + 1e-9)
        if bernstein < hoeffding:
            assert radius == pytest.approx(bernstein)
        else:
            divergence = bernoulli_kl((centre - 2) / 4, [(interval.low - 2) / 4, (interval.high - 2) / 4])
            assert divergence == pytest.approx(np.log(4 / 1e-4) / n)
        assert 2.0 - 1e-9 <= interval.low <= centre <= interval.high <= 6.0 + 1e-9


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 200), st.floats(0.01, 0.99), st.integers(0, 2**32 - 1))
def test_bounded_p_value_is_where_the_interval_passes_the_bound(n: int, bound: float, seed: int) -> None:
    x = np.random.default_rng(seed).beta(0.5, 2.0, size=n)
    p = mean_test(x, bound, 0.01, (0.0, 1.0)).p_value
    if 1e-250 < p < 0.45:
        assert mean_interval(x, p * 1.001, (0.0, 1.0), "lower").low > bound * (1 - 1e-9)
        assert mean_interval(x, p * 0.999, (0.0, 1.0), "lower").low < bound * (1 + 1e-9)
    scaled = mean_test(5 * x - 3, 5 * bound - 3, 0.01, (-3.0, 2.0))
    assert scaled.p_value == pytest.approx(p, rel=1e-6)


def test_mean_test_outcomes() -> None:
    x = np.array([0.4, 0.5, 0.6] * 100)
    assert mean_test(x, 0.6, 1e-6).outcome == "holds"
    assert mean_test(x, 0.501, 1e-6).outcome == "inconclusive"
    assert mean_test(x, 0.45, 1e-6).outcome == "refuted"
    assert mean_test(x, 0.75, 1e-6, (0.0, 1.0)).outcome == "holds"
    assert mean_test(x, 0.6, 1e-6, (0.0, 1.0)).outcome == "inconclusive"
    assert mean_test(x, 0.25, 1e-6, (0.0, 1.0)).outcome == "refuted"
    # a constant sample is its own mean, up to rounding
    constant = np.full(7, 0.1)
    assert mean_test(constant, 0.1, 1e-6).outcome != "refuted"
    assert mean_test(constant, 0.1 + 1e-12, 1e-6).outcome == "holds"
    assert mean_test(constant, 0.1 - 1e-12, 1e-6).outcome == "refuted"


def test_paired_tests_agree_with_scipy() -> None:
    rng = np.random.default_rng(5)
    first = rng.normal(size=40)
    second = first + 0.3 + 0.5 * rng.normal(size=40)
    for margin in (0.0, 0.2):
        t = paired_test(first, second, 0.01, margin)
        assert t.p_value == pytest.approx(stats.ttest_rel(first, second - margin, alternative="greater").pvalue)
        sign = sign_test(first, second, 0.01, margin)
        above = int(np.sum(first - second > -margin))
        assert sign.p_value == pytest.approx(stats.binomtest(above, 40, alternative="greater").pvalue)
        assert (t.bound, sign.bound, sign.estimate) == (-margin, 0.5, above / 40)
    assert paired_test(first, second, 0.01).outcome == "holds"
    assert paired_test(second, first, 0.01).outcome == "refuted"
    assert paired_test(first, second, 0.01, margin=0.3).outcome == "inconclusive"
    assert sign_test(first, first + 1, 1e-6).outcome == "holds"
    assert sign_test(first + 1, first, 1e-6).outcome == "refuted"
    ties = sign_test(first, first, 1e-6)
    assert (ties.outcome, ties.trials, ties.p_value) == ("inconclusive", 0, 1.0)


def test_sign_test_keeps_its_level_exactly() -> None:
    for trials in (5, 30, 200):
        for level in (0.05, CLAIM_LEVEL):
            signs = [np.repeat([1.0, -1.0], [k, trials - k]) for k in range(trials + 1)]
            outcomes = np.array([sign_test(s, np.zeros(trials), level).outcome for s in signs])
            mass = stats.binom.pmf(np.arange(trials + 1), trials, 0.5)
            assert mass[outcomes == "refuted"].sum() <= level
            assert mass[outcomes == "holds"].sum() <= level


# --- exponents ---------------------------------------------------------------------------------------------------------

HORIZONS = 2.0 ** np.arange(6, 13)


def test_log_log_slope_agrees_with_polyfit() -> None:
    y = np.random.default_rng(6).lognormal(size=HORIZONS.size)
    assert log_log_slope(HORIZONS, y) == pytest.approx(np.polyfit(np.log(HORIZONS), np.log(y), 1)[0])
    assert log_log_slope(HORIZONS, 3 * HORIZONS**0.7) == pytest.approx(0.7, abs=1e-12)


def test_a_deterministic_curve_gets_the_interval_of_least_squares() -> None:
    curve = np.sqrt(HORIZONS) + 3 * np.log(HORIZONS)
    fit, theirs = slope_interval(HORIZONS, curve[None], 1e-3), stats.linregress(np.log(HORIZONS), np.log(curve))
    assert (fit.slope, fit.intercept, fit.standard_error) == pytest.approx((theirs.slope, theirs.intercept, theirs.stderr))
    assert fit.interval.high - fit.slope == pytest.approx(stats.t.isf(5e-4, HORIZONS.size - 2) * theirs.stderr)
    assert fit.seeds == 1
    exact = slope_interval(HORIZONS, HORIZONS[None] ** (2 / 3), 1e-6)
    assert slope_test(exact, 0.66, 0.67) == "holds"


def _curves(rng: np.random.Generator, runs: int, seeds: int, points: int, noise: str = "gamma") -> np.ndarray:
    """Square-root curves times noise of mean 1 whose points are dependent, as those of a regret curve are."""
    steps = np.arange(1, points + 1)
    if noise == "gamma":
        factor = rng.gamma(0.8, size=(runs, seeds, points)).cumsum(axis=-1) / (0.8 * steps)
    else:
        factor = 1 + 0.3 * rng.normal(size=(runs, seeds, points)).cumsum(axis=-1) / np.sqrt(steps)
    return np.sqrt(HORIZONS[:points]) * factor


@pytest.mark.parametrize(("noise", "excess"), [("normal", 1.0), ("gamma", 3.0)])
def test_slope_interval_has_its_level(noise: str, excess: float) -> None:
    """Simulated miss rates, for symmetric noise at the level itself; gamma noise was measured at 1.6 and 2.2 times it."""
    runs, seeds, points = 2500, 20, 5
    curves = _curves(np.random.default_rng(7), runs, seeds, points, noise)
    fits = [slope_interval(HORIZONS[:points], c, 0.01, resamples=400, seed=1) for c in curves]
    score = np.array([(f.slope - 0.5) / f.standard_error for f in fits])
    for level in (0.01, 0.001):
        missed = int(np.sum(np.abs(score) > stats.t.isf(level / 2, seeds - 1)))
        assert _compatible(missed, runs, excess * level)
    assert np.sum([0.5 not in f.interval for f in fits]) == np.sum(np.abs(score) > stats.t.isf(0.005, seeds - 1))
    assert np.std(score) == pytest.approx(np.sqrt(19 / 17), abs=0.12)  # Student's t with 19 degrees of freedom


def test_slope_interval_has_power_against_wrong_exponents() -> None:
    """At the level of a whole claim and with 40 noisy seeds the exponent is told apart from 1 and from 0, every time."""
    curves = _curves(np.random.default_rng(8), 40, 40, 7)
    fits = [slope_interval(HORIZONS, c, CLAIM_LEVEL, resamples=500) for c in curves]
    assert all(slope_test(f, 0.05, 0.95) == "holds" for f in fits)
    for low, high in ((0.95, 1.05), (-0.05, 0.05)):
        assert all(slope_test(f, low, high) == "refuted" for f in fits)


def test_slope_of_another_statistic_and_reproducibility() -> None:
    curves = _curves(np.random.default_rng(9), 1, 30, 7)[0]
    a, b = (slope_interval(HORIZONS, curves, 0.01, statistic=np.median, resamples=300, seed=4) for _ in range(2))
    assert a == b
    assert a.slope == pytest.approx(log_log_slope(HORIZONS, np.median(curves, axis=0)))
    # the mean through the general path, which resamples rows one by one, has the same standard error
    general = slope_interval(HORIZONS, curves, 0.01, statistic=lambda v, axis: np.mean(v, axis=axis), resamples=4000)
    assert general.standard_error == pytest.approx(slope_interval(HORIZONS, curves, 0.01).standard_error, rel=0.08)


def test_bootstrap_error_is_the_delta_method_s() -> None:
    curves = _curves(np.random.default_rng(10), 1, 200, 7)[0]
    weights = np.log(HORIZONS) - np.log(HORIZONS).mean()
    influence = (curves / curves.mean(axis=0)) @ (weights / (weights @ weights))
    expected = influence.std(ddof=1) / np.sqrt(200)
    assert slope_interval(HORIZONS, curves, 0.01).standard_error == pytest.approx(expected, rel=0.06)


def test_worst_case_slope_finds_the_minimax_exponent() -> None:
    """For each gap regret is min(gap x, 1/gap), with slope 1 and then 0; only the supremum over gaps has the slope 1/2."""
    gaps = 1 / np.sqrt(HORIZONS)
    rng = np.random.default_rng(11)
    mean = np.minimum(gaps[:, None] * HORIZONS, 1 / gaps[:, None])
    samples = mean[:, None, :] * rng.gamma(20.0, 1 / 20.0, size=(gaps.size, 50, HORIZONS.size))
    fit = worst_case_slope(HORIZONS, samples, 1e-6)
    assert slope_test(fit, 0.4, 0.6) == "holds"
    assert slope_interval(HORIZONS, samples[0], 1e-6).interval.high < 0.2
    assert slope_interval(HORIZONS, samples[-1], 1e-6).interval.low > 0.8
    assert worst_case_slope(HORIZONS, mean[:, None, :], 1e-6).slope == pytest.approx(0.5)
    single = worst_case_slope(HORIZONS, samples[:1], 1e-3, seed=5)
    assert single == slope_interval(HORIZONS, samples[0], 1e-3, seed=5)


def test_slope_outcomes() -> None:
    fit = SlopeFit(0.5, 0.0, Interval(0.45, 0.55, 1e-3), 0.01, 20)
    assert slope_test(fit, 0.4, 0.6) == "holds"
    assert slope_test(fit, 0.5, 0.6) == "inconclusive"
    assert slope_test(fit, 0.6, 0.7) == slope_test(fit, 0.1, 0.4) == "refuted"


def test_last_exit_is_not_the_first_entry() -> None:
    x, curve = [1, 2, 3, 4, 5], [5.0, 1.0, 4.0, 1.0, 0.5]
    assert last_exit(x, curve, 2.0) == 4  # it enters at 2 and comes back
    assert last_exit(x, curve, 10.0) == 1
    assert np.isnan(last_exit(x, curve, 0.1))
    assert last_exit(x, curve, 0.5) == 5
    assert last_exit(x, [np.nan, 1, 1, np.nan, 0], 2.0) == 5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: clopper_pearson(6, 5, 0.1), "6 successes in 5 trials"),
        (lambda: clopper_pearson(1, 5, 0.0), "level"),
        (lambda: clopper_pearson(1, 5, 0.1, "left"), "side"),  # type: ignore[arg-type]
        (lambda: violation_test(1, 5, 1.0, 0.1), "violation probability"),
        (lambda: violation_test(1, 5, 0.0, 0.1), "alternative to be told"),
        (lambda: violation_test(1, 5, 0.2, 0.1, 0.1), "alternative lies in"),
        (lambda: mean_interval([1.0], 0.1), "at least 2 samples"),
        (lambda: mean_interval([1.0, np.nan], 0.1), "sample 1 is nan"),
        (lambda: mean_interval([1.0, 3.0], 0.1, (0.0, 2.0)), "sample 1 is 3.0, outside"),
        (lambda: mean_interval([1.0, 3.0], 0.1, (2.0, 2.0)), "low < high"),
        (lambda: mean_test([1.0, 3.0], np.inf, 0.1), "finite bound"),
        (lambda: paired_test([1.0, 3.0], [1.0], 0.1), "same length"),
        (lambda: slope_interval([1, 2], [[1.0, 2.0, 3.0]], 0.1), "3 points"),
        (lambda: slope_interval([1, 2], [[1.0, 2.0]], 0.1), "at least 3 points"),
        (lambda: slope_interval([1, 2, 3], [[1.0, -2.0, 3.0]], 0.1), "not positive at 2"),
        (lambda: slope_interval([1, 2, 3], [1.0, 2.0, 3.0], 0.1), "shape"),
        (lambda: slope_interval([1, 2], np.ones((4, 2)), 0.1, resamples=3), "100 resamples"),
        (lambda: worst_case_slope([1, 2], np.ones((4, 2)), 0.1), "gaps"),
        (lambda: log_log_slope([0, 2], [1.0, 2.0]), "axis of a log-log slope"),
        (lambda: log_log_slope([2, 2], [1.0, 2.0]), "2 different points"),
        (lambda: last_exit([1, 1], [1.0, 2.0], 0.5), "increases"),
        (lambda: slope_test(SlopeFit(0.5, 0, Interval(0, 1, 0.1), 0.1, 2), 0.6, 0.4), "window"),
        (lambda: split_level(0.1, 0), "at least 1 test"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
