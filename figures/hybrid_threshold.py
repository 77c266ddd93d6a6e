"""Without optimism, success depends on offline data through N_off / c2* (claims optac/hybrid-nonoptimistic, hybrid-coverage-necessary).

The share of runs on the lock with a bait whose average regret stays above .3, for data from three mixtures of the optimal and the
uniform policy, whose coefficients are 11, 97 and 244. Left against N_off, right against N_off / c2*, where the curves fall together. Data
that never takes the first optimal action (c2* infinite) does not help at any size.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.declared import stored_or_run
from experiments.optimistic_actor_critic import by_point, lock_coefficient


def failures(rows: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Numbers of offline trajectories, and the share of runs that fail with each."""
    failed = by_point(rows, "regret", "offline") > 0.3 * rows["episodes"].iloc[0]
    return rows["offline"].unique(), failed.mean(axis=1)


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    table = stored_or_run("offline-threshold", quick=_style.is_quick())
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.0, 4.2), sharey=True)
    for colour, mark, mixture in zip(_style.COLOURS, "os^", (0.5, 0.2, 0.1)):
        coefficient = lock_coefficient(mixture)
        sizes, failed = failures(table[table["covered"] & (table["mixture"] == mixture)])
        label = f"{mixture:g} π* + {1 - mixture:g} uniform, c₂* = {coefficient:.0f}"
        left.plot(sizes, failed, color=colour, marker=mark, ms=5, label=label)
        right.plot(sizes / coefficient, failed, color=colour, marker=mark, ms=5)
    left.plot(
        *failures(table[~table["covered"]]),
        color=_style.COLOURS[6],
        ls="--",
        label="first action never covered, c₂* = ∞",
    )
    left.set(xscale="log", xlabel="offline trajectories N_off", ylabel="share of runs that fail", ylim=(-0.03, 1.25))
    right.set(xscale="log", xlabel="N_off / c₂*")
    left.legend(fontsize=8, loc="upper center")
    for path in _style.save(figure, "hybrid_threshold"):
        print(path)


if __name__ == "__main__":
    main()
