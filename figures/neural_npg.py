"""Natural policy gradient with neural critics of 1 to 64 hidden units (claims nnpg/width-removes-error, certified-bound-neural).

Left: the mean gap to the optimum by iteration, on 32 random models of 8 states and 4 actions, discount 0.9 and η = 0.05. The critic is exact
(tabular, dashed), or a network of one hidden layer of tanh units, fitted to Q by 10 steps of Adam in every iteration and trained on a CPU; to the
last one states look alike in pairs. Bands hold 80% of the runs. Right, after 1000 iterations, by width: how far the gap is from that of the exact
critic in the same run, and the critic's error, |E_{d*}⟨Q − f, π* − π_t⟩| averaged over iterations, which is what the bound charges for. The
root mean square of Q − f hardly depends on the width from four units on. Means over runs; horizontal lines: states that look alike in pairs.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

SHOWN = {1: "one unit", 2: "two units", 64: "64 units"}


def _curves(axes: Axes, table: pd.DataFrame) -> None:
    kinds = [(table["critic"].eq("network") & table["units"].eq(units), label) for units, label in SHOWN.items()]
    kinds.insert(0, (table["critic"].eq("pairs"), "64 units, states alike in pairs"))
    for (rows, label), colour in zip(kinds, ("#CC79A7", *_style.COLOURS)):
        each = table[rows].groupby("step")["gap"]
        mean = each.mean()
        axes.plot(mean.index, mean, color=colour, label=label)
        axes.fill_between(mean.index, each.quantile(0.1), each.quantile(0.9), color=colour, alpha=0.15, lw=0)
    exact = table[table["critic"].eq("tabular")].groupby("step")["gap"].mean()
    axes.plot(exact.index, exact, color="black", ls="--", lw=1.2, label="tabular")
    axes.set(xscale="log", yscale="log", xlabel="iteration t", ylabel="gap to the optimum, V*(ρ) − V(ρ)", ylim=(2e-3, 5))
    axes.legend(loc="lower left", fontsize=10)


def _widths(axes: Axes, table: pd.DataFrame) -> None:
    last = table[table["step"] == table["step"].max()].set_index("seed")
    exact = last[last["critic"].eq("tabular")]["gap"]
    last = last.assign(away=(last["gap"] - exact.reindex(last.index)).abs(), error=last["error"].abs())
    networks, pairs = last[last["critic"].eq("network")].groupby("units"), last[last["critic"].eq("pairs")]
    kinds = (("away", "o-", "gap, from the tabular one"), ("error", "s-", "error"), ("misfit", "^:", "misfit of Q"))
    for (name, dashes, label), colour in zip(kinds, ("#0072B2", "#D55E00", "#E69F00")):
        mean = networks[name].mean()
        axes.plot(mean.index, mean, dashes, color=colour, label=label)
        if name != "misfit":
            level = float(pairs[name].mean())
            axes.axhline(level, color=colour, lw=0.9, ls="-.")
            axes.annotate(
                "states alike in pairs", (64, level), (4, 4), textcoords="offset points", fontsize=9, ha="right", color=colour
            )
    axes.set(xscale="log", yscale="log", xlabel="hidden units", title="after 1000 iterations")
    widths = np.array(sorted(networks.groups))
    axes.set_xticks(widths, [str(w) for w in widths])
    axes.minorticks_off()
    axes.legend(loc="lower left", fontsize=10)


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    table = _style.table("neural-npg")
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.4, 4.5))
    _curves(left, table)
    _widths(right, table)
    for path in _style.save(figure, "neural_npg"):
        print(path)


if __name__ == "__main__":
    main()
