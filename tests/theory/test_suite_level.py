"""One run of the whole suite raises a false alarm less often than once in 1000 runs, and its controls are seen."""

import numpy as np
import pytest
from scipy import stats

from theory.statistics import (
    CLAIM_LEVEL,
    SAMPLED_CLAIMS,
    SUITE_LEVEL,
    critical_count,
    mean_test,
    split_level,
    violation_test,
)

# Claims as the suite has them: a failure probability, a number of seeds, a number of instances that share the claim's level.
DELTAS, SEEDS, INSTANCES = (0.01, 0.05, 0.1, 0.3), (200, 1000, 4000), (1, 8, 50)


def _claims() -> list[tuple[float, int, int]]:
    kinds = [(d, n, m) for d in DELTAS for n in SEEDS for m in INSTANCES]
    return [kinds[i % len(kinds)] for i in range(SAMPLED_CLAIMS)]


def test_the_levels_add_up() -> None:
    assert SUITE_LEVEL == 1e-3
    assert SAMPLED_CLAIMS * CLAIM_LEVEL <= SUITE_LEVEL
    assert sum(instances * split_level(CLAIM_LEVEL, instances) for _, _, instances in _claims()) <= SUITE_LEVEL * (1 + 1e-12)


def test_exact_false_alarm_probability_of_a_suite_of_true_claims_at_their_boundary() -> None:
    """1 - prod(1 - P(claim is refuted)), from exact binomial tails; every claim has a violation probability equal to delta."""
    quiet = 0.0
    for delta, seeds, instances in _claims():
        critical = critical_count(seeds, delta, split_level(CLAIM_LEVEL, instances))
        quiet += instances * np.log1p(-stats.binom.sf(critical - 1, seeds, delta))
    alarm = -np.expm1(quiet)
    assert 1e-4 < alarm <= SUITE_LEVEL  # below it because counts are whole numbers, but not idle


def test_simulated_false_alarm_frequency_of_the_suite() -> None:
    """20000 runs of a suite of 500 true claims at their boundary; the count of alarms is judged by our own test."""
    rng = np.random.default_rng(20260)
    runs = 20_000
    alarms = np.zeros(runs, dtype=bool)
    for delta, seeds, _ in _claims():
        alarms |= rng.binomial(seeds, delta, size=runs) >= critical_count(seeds, delta, CLAIM_LEVEL)
    verdict = violation_test(int(alarms.sum()), runs, SUITE_LEVEL, 1e-6)
    assert verdict.outcome == "holds"
    assert verdict.power is not None
    assert verdict.power > 0.95


def test_the_simulation_would_notice_levels_that_do_not_add_up() -> None:
    """The same suite with every claim tested at the suite's level raises an alarm in about a third of the runs."""
    rng = np.random.default_rng(20261)
    runs = 2000
    alarms = np.zeros(runs, dtype=bool)
    for delta, seeds, _ in _claims():
        alarms |= rng.binomial(seeds, delta, size=runs) >= critical_count(seeds, delta, SUITE_LEVEL)
    assert 0.15 < alarms.mean() < SAMPLED_CLAIMS * SUITE_LEVEL
    assert violation_test(int(alarms.sum()), runs, SUITE_LEVEL, 1e-6).outcome == "refuted"


def test_exact_false_alarm_probability_of_claims_about_bounded_means() -> None:
    """Means of zeros and ones at the boundary, refuted with at most the claim's level, for each law and number of seeds."""
    for n in (30, 200):
        for p in (0.02, 0.3, 0.5, 0.97):
            refuted = [mean_test(np.repeat([1.0, 0.0], [k, n - k]), p, CLAIM_LEVEL, (0.0, 1.0)).rejected for k in range(n + 1)]
            assert stats.binom.pmf(np.arange(n + 1), n, p)[refuted].sum() <= CLAIM_LEVEL


@pytest.mark.parametrize(("delta", "seeds"), [(0.05, 500), (0.1, 250), (0.01, 2500)])
def test_power_against_controls(delta: float, seeds: int) -> None:
    """A control that fails three times as often (in odds) is refuted in nine runs of ten; one that always fails, always."""
    rng = np.random.default_rng(5)
    result = violation_test(0, seeds, delta, CLAIM_LEVEL)
    assert result.outcome == "holds"
    assert result.alternative is not None
    counts = rng.binomial(seeds, result.alternative, size=3000)
    refuted = counts >= critical_count(seeds, delta, CLAIM_LEVEL)
    assert refuted.mean() == pytest.approx(result.power, abs=0.02)
    assert refuted.mean() > 0.88
    assert violation_test(seeds, seeds, delta, CLAIM_LEVEL).outcome == "refuted"
