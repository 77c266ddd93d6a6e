"""Resets to the data make a lock learnable for a policy that begins uniform, not for one that begins at the reference
(claims drpo/reset-separation, reset-growth, reset-separation-from-reference).

Roll-outs until a lock of H steps and three actions opens with probability 0.9: medians and the middle 80% of 40 runs, arrows where the
median run was not done after 180,000. Left: uniform first policy, references with C_ST = 81 for every H; the crosses belong to a
reference that never takes the first right action, for which C_ST is infinite. Right: the first policy is the reference, as in DR-PO,
right with probability 0.533 at every step, so that C_ST grows with H as the upper axis says.
"""

import _style
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from experiments.dataset_resets import FADING, lock_reference
from experiments.declared import stored_or_run
from mdplab.models import episodic_lock
from mdplab.solvers import backward_induction, episodic_occupancy
from theory.coverage import single_policy_concentrability


def coverage(H: int, chance: float) -> float:
    """C_ST of the optimal policy, for a reference that is right with probability ``chance``."""
    mdp = episodic_lock(A=3, H=H, seed=H)
    best, data = (episodic_occupancy(mdp, p).pair for p in (backward_induction(mdp).policy, lock_reference(mdp, chance)))
    return single_policy_concentrability(data, best, "max")


def draw(axes: Axes, rows: pd.DataFrame, colour: str, style: str, label: str) -> None:
    """Medians, the middle 80%, and arrows at medians that are only known to be larger."""
    by_height = rows.groupby("H")
    low, median, high = (by_height["roll_outs"].quantile(q) for q in (0.1, 0.5, 0.9))
    axes.plot(median.index, median, style, color=colour, label=label)
    axes.fill_between(median.index, low, high, color=colour, alpha=0.2, lw=0)
    axes.plot(1.28 * median[by_height["solved"].mean() < 0.5], "^", color=colour, ms=9)


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    table = stored_or_run("dataset-resets", quick=_style.is_quick())
    heights, most = table["H"].unique(), table["most"].iloc[0]
    lacking = table["first"] == 0
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.0, 4.4), sharey=True)
    for axes, start in ((left, "uniform"), (right, "mu")):
        for resets, colour, style, label in (
            (True, _style.COLOURS[0], "o-", "resets to states of the data"),
            (False, _style.COLOURS[1], "s--", "from the initial state"),
        ):
            draw(axes, table[(table["start"] == start) & (table["resets"] == resets) & ~lacking], colour, style, label)
        axes.set(yscale="log", xlabel="steps H of the lock", xticks=heights, ylim=(1200, 3e5))
        axes.axhline(most, color="black", lw=0.8, ls=":")
    left.plot(
        table[lacking].groupby("H")["roll_outs"].median(), "x", color="black", label="resets, but the data lack the first step"
    )
    left.set(ylabel="roll-outs until solved", title=r"$\pi_1$ uniform, $C_{ST} = 81$")
    right.set(title=r"$\pi_1 = \mu$ as in DR-PO; $C_{ST}$:")
    above = right.secondary_xaxis("top")
    above.set_xticks(heights, [f"{coverage(H, FADING):.0f}" for H in heights])
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    for path in _style.save(figure, "dataset_resets"):
        print(path)


if __name__ == "__main__":
    main()
