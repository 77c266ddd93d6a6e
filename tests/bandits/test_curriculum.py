"""Curricula: the learning signal by enumeration, the training loop against a plain twin, and limits."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from bandits.curriculum import (
    DUMP,
    SEC,
    UNIFORM,
    Curriculum,
    Ladder,
    expected_signal,
    group_advantages,
    learning_signal,
    train,
)
from theory.errors import InputError


@pytest.mark.parametrize("normalised", [False, True])
def test_the_signal_of_every_group(normalised: bool) -> None:
    for G in (2, 3, 7):
        for rewards in product((0, 1), repeat=G):
            r = np.array(rewards)
            mean, deviation = r.mean(), r.std()
            direct = np.abs(r - mean).mean() / (deviation if normalised and deviation > 0 else 1)
            assert np.abs(group_advantages(r, normalised)).mean() == pytest.approx(direct, abs=1e-14)
            assert float(learning_signal(mean, normalised)) == pytest.approx(direct, abs=1e-14)


@settings(max_examples=40, deadline=None)
@given(st.just(0.0) | st.floats(1e-12, 1), st.integers(2, 200), st.booleans())  # scipy's pmf overflows at p near 1e-307
def test_the_expected_signal_is_a_binomial_sum(p: float, G: int, normalised: bool) -> None:
    s = np.arange(G + 1)
    assert float(expected_signal(p, G, normalised)) == pytest.approx(
        float(binom.pmf(s, G, p) @ learning_signal(s / G, normalised)), rel=1e-9, abs=1e-12
    )
    assert float(expected_signal(p, G, normalised)) == pytest.approx(float(expected_signal(1 - p, G, normalised)), abs=1e-10)


def train_plainly(ladder: Ladder, curriculum: Curriculum, steps: int, runs: int, seed: int, G: int) -> np.ndarray:
    """Choices of every step and run, with explicit rewards' mean of A (r - p), drawing what the library draws."""
    rng = np.random.default_rng(seed)
    theta = [list(ladder.logits) for _ in range(runs)]
    Q = [[0.0] * ladder.categories for _ in range(runs)]
    count = [[0] * ladder.categories for _ in range(runs)]
    choices = []
    for n in range(steps):
        points = rng.random(runs)
        chosen = []
        for i in range(runs):
            bonus = [curriculum.exploration * math.sqrt(2 * math.log(max(n, 1)) / (m + 1)) for m in count[i]]
            raw = [(v + b) / curriculum.temperature for v, b in zip(Q[i], bonus)]
            weights = [math.exp(v - max(raw)) for v in raw]
            point, c = points[i] * sum(weights), 0
            while c < len(weights) - 1 and point >= sum(weights[: c + 1]):
                c += 1
            chosen.append(c)
        p = np.array([1 / (1 + math.exp(-theta[i][c])) for i, c in enumerate(chosen)])
        for i, (c, s) in enumerate(zip(chosen, rng.binomial(G, p))):
            r = np.array([1.0] * s + [0.0] * (G - s))
            advantage = group_advantages(r)
            signal = r.mean() if curriculum.signal == "success" else np.abs(advantage).mean()
            Q[i][c] += curriculum.rate * (signal - Q[i][c])
            count[i][c] += 1
            for j in range(ladder.categories):
                theta[i][j] += ladder.step * (advantage * (r - p[i])).mean() * math.exp(-abs(j - c) / ladder.reach)
        choices.append(chosen)
    return np.array(choices)


@pytest.mark.parametrize("curriculum", [UNIFORM, SEC, DUMP, Curriculum(0.2, signal="success")])
def test_training_equals_its_plain_twin(curriculum: Curriculum) -> None:
    ladder = Ladder(categories=4, first=0.0, drop=1.0)
    made = train(ladder, curriculum, 60, 5, seed=3, group=8)
    np.testing.assert_array_equal(made.choices, train_plainly(ladder, curriculum, 60, 5, 3, 8))


def test_runs_are_recorded() -> None:
    made = train(Ladder(), UNIFORM, 200, 50, seed=0)
    assert made.mean_success.shape == (201, 50)
    assert (np.diff(made.mean_success, axis=0) >= 0).all()  # steps are never down
    np.testing.assert_allclose(made.shares(6).sum(axis=1), 1)
    np.testing.assert_allclose(made.shares(6).mean(axis=0), 1 / 6, atol=0.03)
    for threshold in (0.1, 2.0):
        for i, steps in enumerate(made.steps_to(threshold)):
            above = np.flatnonzero(made.mean_success[:-1, i] > threshold)
            assert steps == (above[0] if above.size else 200)
    np.testing.assert_allclose(made.area, made.mean_success[:-1].mean(axis=0))
    again = train(Ladder(), UNIFORM, 200, 50, seed=0)
    np.testing.assert_array_equal(again.choices, made.choices)


def test_the_wave_travels() -> None:
    """The mean category that SEC trains on rises with time."""
    share = train(Ladder(), SEC, 900, 100, seed=1).shares(6) @ np.arange(6)
    parts = share.reshape(3, 300).mean(axis=1)
    assert parts[0] < parts[1] < parts[2]


def test_bad_input() -> None:
    with pytest.raises(InputError, match="0 or 1"):
        group_advantages([0.5, 1.0])
    with pytest.raises(InputError, match=r"share of successes lies in \[0, 1\]"):
        learning_signal(1.2)
    with pytest.raises(InputError, match=r"success probability lies in \[0, 1\]"):
        expected_signal(-0.1, 4)
    with pytest.raises(InputError, match="at least 2 rollouts, not 1"):
        expected_signal(0.5, 1)
    with pytest.raises(InputError, match="at least one category"):
        Ladder(categories=0)
    with pytest.raises(InputError, match="step and reach are positive"):
        Ladder(reach=0.0)
    with pytest.raises(InputError, match="temperature is positive, not 0"):
        Curriculum(temperature=0.0)
    with pytest.raises(InputError, match=r"rate lies in \(0, 1\], not at 2"):
        Curriculum(temperature=1.0, rate=2.0)
    with pytest.raises(InputError, match="exploration is at least 0, not -1"):
        Curriculum(temperature=1.0, exploration=-1.0)
    with pytest.raises(InputError, match="at least one step and one run, not 0 and 1"):
        train(Ladder(), SEC, 0, 1, seed=0)
