"""The regret of UCB1 over time on two-armed bandits, beside the bound of Auer, Cesa-Bianchi and Fischer (2002)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bandits.index_policies import UCB1
from bandits.play import simulate
from bandits.stochastic import two_armed
from experiments.study import Study, grid
from theory.bounds.ucb1 import regret_bound
from theory.random_streams import run_seeds


def ucb1_regret(
    gaps: Sequence[float] = (0.1, 0.3), horizon: int = 100_000, runs: int = 400, seed: int = 0, checkpoints: int = 30
) -> Study:
    """The study: for each gap, run and checkpoint (evenly spaced in log time) the ``round``, pseudo-``regret`` and ``bound``.

    ``bound`` is the theorem's right side. Both arms have means symmetric about 1/2.
    """
    points = grid(gap=gaps, horizon=horizon, checkpoints=checkpoints)
    return Study("ucb1-regret", measure_regret, points, run_seeds(seed, runs))


def measure_regret(*, seeds: NDArray[np.uint64], gap: float, horizon: int, checkpoints: int) -> dict[str, ArrayLike]:
    """Runs of UCB1 on two arms, ``seed, round, regret, bound``, one row for each run and checkpoint."""
    bandit = two_armed(gap=gap, mean=0.5 + gap / 2)
    rounds = np.unique(np.geomspace(10, horizon, checkpoints).astype(np.int64))
    regret = simulate(UCB1(), bandit, horizon, seeds, rounds).pseudo_regret
    return {
        "seed": np.repeat(seeds, rounds.size),
        "round": np.tile(rounds, seeds.size),
        "regret": regret.ravel(),
        "bound": np.tile(regret_bound(rounds, bandit.gaps), seeds.size),
    }
