"""The regret of UCB1 over time on two-armed bandits, beside the bound of Auer, Cesa-Bianchi and Fischer (2002)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bandits.stochastic import run_seeds, two_armed
from bandits.ucb1 import ucb1
from theory.bounds.ucb1 import regret_bound


def ucb1_regret(
    gaps: Sequence[float] = (0.1, 0.3), horizon: int = 100_000, runs: int = 400, seed: int = 0, points: int = 30
) -> pd.DataFrame:
    """One row for each gap and checkpoint (evenly spaced in log time): ``gap, round, regret, error, bound, runs, seed``.

    ``regret`` is the mean pseudo-regret over the runs, ``error`` its standard error, ``bound`` the theorem's right side. Both
    arms have means symmetric about 1/2.
    """
    rounds = np.unique(np.geomspace(10, horizon, points).astype(np.int64))
    rows = []
    for gap in gaps:
        bandit = two_armed(gap=gap, mean=0.5 + gap / 2)
        found = ucb1(bandit, horizon, run_seeds(seed, runs), checkpoints=rounds).pseudo_regret
        rows.append(
            pd.DataFrame(
                {
                    "gap": gap,
                    "round": rounds,
                    "regret": found.mean(axis=0),
                    "error": found.std(axis=0, ddof=1) / np.sqrt(runs),
                    "bound": regret_bound(rounds, bandit.gaps),
                    "runs": runs,
                    "seed": seed,
                }
            )
        )
    return pd.concat(rows, ignore_index=True)
