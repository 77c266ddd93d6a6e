"""Learned schedules and learned update rules, trained by evolution strategies (claims tarl/neural and groove/neural)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bandits.step_size_curriculum import Environment, environments, step_size_table
from experiments.study import Study, grid
from mdplab import neural
from mdplab.learning.noisy_quadratic import NoisyQuadratic
from theory.random_streams import run_seeds

if TYPE_CHECKING:
    from mdplab.neural.training import Device, Training

Array = NDArray[np.float64]

STEP_SIZES = 10 ** (np.arange(-5, 6) / 5)  # 0.1 to 10
PLACES = environments((2, 8), (0.25, 1.0), (0.1, 0.5))  # of learned rules
ROUNDS = 100
SEES = ("blind", "sees k/N")  # the settings of schedules
MIXTURES = ("skewed base", "curriculum", "uniform")  # the settings of rules
HELD_OUT = (55, 170)
LANES = 36


def easy_base(places: tuple[Environment, ...], share: float | None) -> Array:
    """A mixture with ``share`` on the easy environments (gap 1, deviation 0.1) together, the rest even; all even for None."""
    easy = np.array([place.gap == 1.0 and place.deviation == 0.1 for place in places], dtype=float)
    share = easy.mean() if share is None else share
    return np.asarray(share * easy / easy.sum() + (1 - share) * (1 - easy) / (1 - easy).sum())


@functools.lru_cache(maxsize=2)
def reference_table(runs: int) -> Array:
    """Mean regrets of the constant STEP_SIZES in PLACES, (step sizes, environments)."""
    return step_size_table(STEP_SIZES, PLACES, ROUNDS, runs, 0).regret.mean(axis=2)


def train_schedules(
    seeds: NDArray[np.uint64],
    generations: int,
    horizons: tuple[int, ...],
    held_out: tuple[int, ...],
    *,
    device: Device = "any",
    lanes: int | None = None,
) -> Training:
    """Schedules for the default noisy quadratic, under the two settings SEES."""
    fixed = {"learning_rate": 0.1, "deviation": 0.02, "generations": float(generations)}
    return neural.training.train(
        neural.learned_schedules.LearnedSchedule(horizons=horizons, held_out=held_out),
        neural.learned_schedules.stack_quadratics([NoisyQuadratic()] * seeds.size),
        seeds,
        generations,
        hypers=[{"sees_time": float(seen), **fixed} for seen in range(2)],
        device=device,
        lanes=lanes,
    )


def train_rules(
    seeds: NDArray[np.uint64], generations: int, references: int, *, device: Device = "any", lanes: int | None = None
) -> Training:
    """Update rules in PLACES, under the three settings MIXTURES; the antagonist is the step size best on average."""
    table = reference_table(references)
    means = np.full((len(PLACES), 8), np.nan)
    for row, place in zip(means, PLACES):
        row[: place.arms] = 0.0
        row[place.arms - 1] = place.gap
    easy = easy_base(PLACES, 1.0) > 0
    antagonist = table[table.mean(axis=1).argmin()]
    fixed = {"learning_rate": 0.1, "deviation": 0.3, "generations": float(generations)}
    return neural.training.train(
        neural.learned_updates.LearnedUpdate(rounds=ROUNDS, pairs=6),
        neural.learned_updates.stack_bandits(means, [place.deviation for place in PLACES], antagonist, easy, seeds.size),
        seeds,
        generations,
        hypers=[
            {"easy_share": share, "rate": rate, **fixed}
            for share, rate in ((0.95, 0.0), (0.95, 1.0), (float(easy.mean()), 0.0))
        ],
        device=device,
        lanes=lanes,
    )


def worst_cases(training: Training, references: int) -> Array:
    """The largest relative regret of each rule over environments, (settings, runs)."""
    return np.asarray((training.last("regret") - reference_table(references).min(axis=0)).max(axis=2))


def neural_meta_study(runs: int = 12, generations: int = 150, seed: int = 0) -> Study:
    """The study: ``what`` is "schedules" (the step size ``value`` at step k of N) or "rules" (the worst relative regret as ``value``).

    ``setting`` is one of SEES or MIXTURES; for rules N and k are 0.
    """
    points = grid(what=("schedules", "rules"), generations=generations)
    return Study("neural-meta", measure_meta, points, run_seeds(seed, runs), block=runs)


def measure_meta(*, seeds: NDArray[np.uint64], what: str, generations: int) -> Mapping[str, ArrayLike]:
    """One point of :func:`neural_meta_study`; schedules are trained for four times as many generations."""
    if what == "rules":
        trained = train_rules(seeds, generations, 1000, lanes=LANES)
        worst = worst_cases(trained, 1000)
        none = np.zeros(worst.size, dtype=np.int64)
        return {
            "seed": np.tile(seeds, len(MIXTURES)),
            "setting": np.repeat(MIXTURES, seeds.size),
            "N": none,
            "k": none,
            "value": worst.ravel(),
        } | trained.origin(worst.size)
    trained = train_schedules(seeds, 4 * generations, (10, 30, 100, 300), HELD_OUT, lanes=LANES)
    steps = trained.last("schedule")
    rows = [
        (int(run), setting, N, k, float(steps[i, j, steps.shape[2] - N + k, column]))
        for i, setting in enumerate(SEES)
        for j, run in enumerate(seeds)
        for column, N in enumerate(HELD_OUT)
        for k in range(N)
    ]
    seed, setting, N, k, value = zip(*rows)
    table: dict[str, ArrayLike] = {"seed": np.array(seed, dtype=np.uint64), "setting": setting, "N": N, "k": k, "value": value}
    return table | trained.origin(len(rows))
