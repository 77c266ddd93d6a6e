"""UCB1's regret grows like log T and stays below the bound of Theorem 1 (claim ucb1/regret).

Mean pseudo-regret over 400 runs on two-armed Bernoulli bandits, with the bound dashed in the same colour.
"""

import _style
import matplotlib.pyplot as plt

from experiments.ucb1_regret import ucb1_regret


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    table = ucb1_regret()
    figure, axes = plt.subplots()
    for colour, (gap, rows) in zip(_style.COLOURS, table.groupby("gap")):
        axes.plot(rows["round"], rows["regret"], color=colour, label=f"UCB1, gap {gap}")
        axes.fill_between(
            rows["round"],
            rows["regret"] - 3 * rows["error"],
            rows["regret"] + 3 * rows["error"],
            color=colour,
            alpha=0.25,
            lw=0,
        )
        axes.plot(rows["round"], rows["bound"], color=colour, ls="--", label=f"bound, gap {gap}")
    axes.set(xscale="log", yscale="log", xlabel="round T", ylabel="expected regret")
    axes.legend()
    for path in _style.save(figure, "ucb1_regret"):
        print(path)


if __name__ == "__main__":
    main()
