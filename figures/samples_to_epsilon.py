"""Episodes to an average regret of epsilon: of the order 1/epsilon^2 at the worst gap (claim optac/eps-exponent).

The last exit above epsilon, at the worst of the gaps m epsilon / (H - 2), and, for comparison, on an instance that does not change
with epsilon, where the regret is logarithmic.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from experiments.declared import stored_or_run
from experiments.optimistic_actor_critic import FIXED_GAP
from theory.statistics import last_exit


def arrivals(rows: pd.DataFrame, epsilon: float) -> np.ndarray:
    """The number of episodes after which each run stays below ``epsilon``."""
    marks = rows["episode"].unique()
    return np.array([last_exit(marks, curve / marks, epsilon) for curve in rows["regret"].to_numpy().reshape(-1, marks.size)])


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, axes = plt.subplots()
    table = stored_or_run("samples-to-epsilon", quick=_style.is_quick())
    inverse, worst, fixed = [], [], []
    for episodes, at_epsilon in table.groupby("episodes", sort=False):
        epsilon = round(float(np.sqrt(300 / episodes)), 3)  # the runs have 300 / epsilon^2 episodes
        found = {gap: arrivals(rows, epsilon) for gap, rows in at_epsilon.groupby("gap", sort=False)}
        inverse.append(1 / epsilon)
        fixed.append(found.pop(FIXED_GAP))
        worst.append(max(found.values(), key=np.mean))
    for colour, mark, label, runs in (
        (_style.COLOURS[0], "o", "worst gap, re-tuned to ε", worst),
        (_style.COLOURS[1], "s", "the gap .35", fixed),
    ):
        mean = np.mean(runs, axis=1)
        axes.errorbar(
            inverse,
            mean,
            3 * np.std(runs, axis=1, ddof=1) / np.sqrt(np.shape(runs)[1]),
            color=colour,
            marker=mark,
            capsize=3,
            label=label,
        )
    axes.plot(inverse, 100 * np.square(inverse), color="black", ls="--", lw=1.2, label="100 / ε²")
    axes.plot(inverse, 600 * np.array(inverse), color="black", ls=":", lw=1.2, label="600 / ε")
    axes.set(xscale="log", yscale="log", xlabel="1/ε", ylabel="episodes N(ε)")
    axes.set_xticks(inverse, [f"{x:g}" for x in inverse])
    axes.minorticks_off()
    axes.legend()
    for path in _style.save(figure, "samples_to_epsilon"):
        print(path)


if __name__ == "__main__":
    main()
