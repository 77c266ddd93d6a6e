"""UCB1's regret grows like log T and stays below the bound of Theorem 1 (claim ucb1/regret).

Mean pseudo-regret over 400 runs on two-armed Bernoulli bandits, with the bound dashed in the same colour.
"""

import _style
import matplotlib.pyplot as plt

from experiments.declared import stored_or_run


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    table = stored_or_run("ucb1-regret", quick=_style.is_quick())
    figure, axes = plt.subplots()
    for colour, (gap, rows) in zip(_style.COLOURS, table.groupby("gap")):
        curve = rows.groupby("round").agg(regret=("regret", "mean"), error=("regret", "sem"), bound=("bound", "first"))
        axes.plot(curve.index, curve["regret"], color=colour, label=f"UCB1, gap {gap}")
        low, high = curve["regret"] - 3 * curve["error"], curve["regret"] + 3 * curve["error"]
        axes.fill_between(curve.index, low, high, color=colour, alpha=0.25, lw=0)
        axes.plot(curve.index, curve["bound"], color=colour, ls="--", label=f"bound, gap {gap}")
    axes.set(xscale="log", yscale="log", xlabel="round T", ylabel="expected regret")
    axes.legend()
    for path in _style.save(figure, "ucb1_regret"):
        print(path)


if __name__ == "__main__":
    main()
