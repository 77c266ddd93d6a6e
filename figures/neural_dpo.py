"""Networks learn from pairs that miss two of eight responses (claims ndpo/coverage-separation, hypo-repairs, neural-vs-exact).

Left, the two are the best responses, which the reference takes with probability 1/4. Right, they are the worst ones, the
reference takes them with probability 0.001, and their features are those of the others, enlarged. Above, the mass that the
policy gives them; below, its gap to the optimum. Lines are means of 32 instances of 16 contexts: a network of 48 tanh units
under Adam on population losses (its band holds 80% of the runs), trained on a CPU, and a table of scores in its place
(dashed; at a rate of its own). Open marks: where the exact theory says that each ends, offline DPO under gradient descent
(upper right, two of them are far below the axis). Dotted: the reference.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

METHODS = {
    "offline": "offline DPO",
    "HyPO": "HyPO, λ = 0.01",
    "seen": "offline DPO, pairs show all",
    "online": "online DPO",
}
TITLES = {"good": "the unseen are good and common", "shared": "the unseen are bad, rare, and share features"}
EXACT_AT = 640  # beyond the last step
LEAST_MASS = 1e-6  # that the logarithmic axis shows


def _draw(axes: Axes, rows: pd.DataFrame, what: str, lowest: float) -> None:
    for (method, _), colour, marker in zip(METHODS.items(), _style.COLOURS, "osD^"):
        own = rows[rows["method"] == method]
        for policy, dashes in (("network", "-"), ("table", "--")):
            each = own[own["policy"] == policy]
            steps = np.unique(each["step"])
            runs = each[what].to_numpy(dtype=float).reshape(-1, steps.size)
            axes.plot(steps, runs.mean(axis=0), color=colour, ls=dashes, lw=1.8 if policy == "network" else 1.2)
            if policy == "network":
                axes.fill_between(steps, *np.quantile(runs, (0.1, 0.9), axis=0), color=colour, alpha=0.13, lw=0)
        end = own[f"exact_{what}"].mean()
        if end >= lowest:
            axes.plot(EXACT_AT, end, marker, color=colour, mfc="white", ms=6.5, clip_on=False, zorder=5)


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    table = _style.table("neural-dpo")
    figure, grid = plt.subplots(2, 2, figsize=(10.4, 7.2), sharex=True)
    for column, (family, title) in enumerate(TITLES.items()):
        rows = table[table["family"] == family]
        for axes, what in zip(grid[:, column], ("mass", "gap")):
            _draw(axes, rows, what, LEAST_MASS if (family, what) == ("shared", "mass") else 0.0)
            axes.set_xscale("log")
        delta = 0.25 if family == "good" else 1e-3
        grid[0, column].axhline(delta, color="black", lw=0.9, ls=":")
        grid[1, column].axhline(rows["start_gap"].mean(), color="black", lw=0.9, ls=":")
        grid[0, column].set_title(title)
        grid[1, column].set(xlabel="training step", ylim=(0, None))
    grid[0, 0].set(ylabel="mass on the unseen responses", ylim=(0, 1))
    grid[0, 1].set(yscale="log", ylim=(LEAST_MASS, 1))
    grid[1, 0].set(ylabel="gap J(π*) − J(π)")
    start = table[table["family"] == "good"]["start_gap"].mean()
    for axes, place, shift in ((grid[0, 0], 0.25, 3), (grid[0, 1], 1e-3, -11), (grid[1, 0], start, 3)):
        axes.annotate("the reference", (450, place), (0, shift), textcoords="offset points", fontsize=9, ha="right")
    handles = [
        Line2D([], [], color=c, marker=m, mfc="white", label=n) for n, c, m in zip(METHODS.values(), _style.COLOURS, "osD^")
    ]
    handles += [
        Line2D([], [], color="0.3", ls=ls, lw=lw, label=label)
        for ls, lw, label in (("-", 1.8, "network"), ("--", 1.2, "table"))
    ]
    handles.append(Line2D([], [], color="0.3", marker="o", mfc="white", ls="", label="exact end"))
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=10)
    for path in _style.save(figure, "neural_dpo"):
        print(path)


if __name__ == "__main__":
    main()
