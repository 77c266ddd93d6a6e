"""Successive elimination and track-and-stop against plain twins, and the characteristic time against another optimiser."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from bandits.best_arm import (
    characteristic_time,
    elimination_radius,
    elimination_time,
    gaussian_threshold,
    successive_elimination,
    track_and_stop,
)
from bandits.stochastic import BernoulliBandit, GaussianBandit
from theory.errors import InputError
from theory.random_streams import normal, run_seeds, stream, uniform


def _eliminate(means: list[float], seed: int, delta: float) -> tuple[int, int]:
    """A plain twin: the answer and the number of samples."""
    K = len(means)
    starts = [np.uint64(stream(np.uint64(seed), a)) for a in range(K)]
    alive, total, samples, t = list(range(K)), [0] * K, 0, 0
    while len(alive) > 1:
        t += 1
        for a in alive:
            total[a] += uniform(starts[a], t - 1) < means[a]
        samples += len(alive)
        radius = math.sqrt(math.log(math.pi**2 / 3 * K / delta * t * t) / (2 * t))
        best = max(total[a] / t for a in alive)
        alive = [a for a in alive if best - total[a] / t < 2 * radius]
    return alive[0], samples


def test_successive_elimination_equals_its_twin() -> None:
    means = [0.7, 0.5, 0.4, 0.3]
    seeds = run_seeds(1, 5)
    runs = successive_elimination(BernoulliBandit(np.array(means)), 0.05, seeds)
    twins = [_eliminate(means, seed, 0.05) for seed in seeds.tolist()]
    assert list(zip(runs.answers.tolist(), runs.samples.tolist())) == twins
    assert runs.pulls is not None
    assert np.array_equal(runs.pulls.sum(axis=1), runs.samples)


def test_elimination_that_does_not_end_says_so() -> None:
    runs = successive_elimination(BernoulliBandit(np.array([0.5, 0.5])), 0.05, [1], limit=50)
    assert runs.answers.tolist() == [-1]
    assert runs.samples.tolist() == [100]


@given(st.floats(0.01, 1), st.integers(2, 20), st.floats(0.001, 0.5))
@settings(max_examples=100, deadline=None)
def test_the_elimination_time_is_the_first(gap: float, arms: int, delta: float) -> None:
    t = elimination_time(gap, arms, delta)
    assert 4 * elimination_radius(t, arms, delta) <= gap < 4 * elimination_radius(t - 1, arms, delta)


@given(st.lists(st.floats(0.1, 2), min_size=1, max_size=5), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_the_characteristic_time_agrees_with_a_general_optimiser(gaps: list[float], place: int) -> None:
    means = np.insert(-np.array(gaps), place % (len(gaps) + 1), 0.0)
    best = int(np.argmax(means))
    time, shares = characteristic_time(means)
    assert shares.sum() == pytest.approx(1)

    def information(w: np.ndarray) -> float:
        rivals = np.delete(w, best)
        return float((w[best] * rivals / (w[best] + rivals) * np.array(gaps) ** 2 / 2).min())

    assert information(shares) * time == pytest.approx(1, rel=1e-9)
    found = optimize.minimize(
        lambda v: -information(np.exp(v) / np.exp(v).sum()),
        np.log(shares + 1e-9),
        method="Nelder-Mead",
        options={"maxiter": 500},
    )
    assert -found.fun <= (1 + 1e-9) / time


def test_the_characteristic_time_scales() -> None:
    time, shares = characteristic_time([1.0, 0.3, -0.5])
    larger, same = characteristic_time([12.0, 10.6, 9.0])  # a shift by 10, gaps doubled
    assert larger == pytest.approx(time / 4)
    assert same == pytest.approx(shares)


def _tracked(means: list[float], seed: int, threshold: float) -> tuple[int, int]:
    K = len(means)
    starts = [np.uint64(stream(np.uint64(seed), a)) for a in range(K)]
    count, total, t = np.zeros(K), np.zeros(K), 0
    while True:
        if t < K:
            arm = t
        elif count.min() < math.sqrt(t) - K / 2:
            arm = int(np.argmin(count))
        else:
            arm = int(np.argmax(t * characteristic_time(total / count)[1] - count))
        total[arm] += means[arm] + normal(starts[arm], int(count[arm]))
        count[arm] += 1
        t += 1
        if t >= K:
            average, best = total / count, int(np.argmax(total / count))
            ratios = [(average[best] - average[a]) ** 2 / 2 / (1 / count[best] + 1 / count[a]) for a in range(K) if a != best]
            if min(ratios) > threshold:
                return best, t


def test_track_and_stop_equals_its_twin() -> None:
    means = [0.0, 1.5, 0.5]
    seeds = run_seeds(3, 4)
    runs = track_and_stop(GaussianBandit(np.array(means)), 0.1, seeds, threshold=4.0)
    assert list(zip(runs.answers.tolist(), runs.samples.tolist())) == [_tracked(means, s, 4.0) for s in seeds.tolist()]


def test_track_and_stop_tracks_the_optimal_shares_and_stops_later_for_smaller_errors() -> None:
    bandit, seeds = GaussianBandit(np.array([1.0, 0.0])), run_seeds(2, 50)
    few, many = (track_and_stop(bandit, delta, seeds).samples.mean() for delta in (0.1, 1e-6))
    assert many > few
    assert track_and_stop(bandit, 0.1, seeds, limit=5).answers.tolist() == [-1] * 50


def test_the_threshold_is_about_x_plus_its_logarithm() -> None:
    for x in (5.0, 20.0, 100.0):
        assert x < gaussian_threshold(x) < x + 2 * math.log(x) + 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: successive_elimination(BernoulliBandit(np.array([0.5, 0.4])), 0, [1]), "between 0 and 1, not 0"),
        (lambda: elimination_time(0, 2, 0.1), "gap above 0"),
        (lambda: characteristic_time([1.0, 1.0]), "best arm is unique"),
        (lambda: characteristic_time([1.0]), "at least two"),
        (lambda: track_and_stop(GaussianBandit(np.array([1.0, 0.0]), deviation=2.0), 0.1, [1]), "unit variance"),
        (lambda: track_and_stop(GaussianBandit(np.array([1.0, 1.0])), 0.1, [1]), "unique"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
