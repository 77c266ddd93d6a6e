"""The minimum of critics lowers trained values by what they disagree, not by what they err (dsact/neural-twins-err-together).

The mean over states and actions of q - Q*, after 1000 steps of training on a CPU; means of 24 random models of 8 states and 4 actions,
with bands of two standard errors. One hidden layer of 32 tanh units, Adam, batches of 64, temperature 0.2; rewards are centred so that
Q* is near 0. Left, by the standard deviation of the rewards: single and twin critics, the first version of DSAC, and DSAC with its three
refinements. Right, by the number of critics at a standard deviation of 4. Dashed: the exact fixed point with fresh noise of as many
critics in every backup, at the disagreement that each run shows (dsact/neural-tabular-prediction). "Separate noise": every critic sees rewards with a noise of its own.
"""

import _style
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

LEFT = {
    "single critic": ("single SAC", 0.0),
    "twins": ("twin SAC", 0.0),
    "twins, separate noise": ("twin SAC", 1.0),
    "DSAC, first version": ("DSAC v1", 0.0),
    "DSAC-T": ("DSAC-T", 0.0),
}
RIGHT = {
    "average": (1.0, 0.0),
    "minimum": (0.0, 0.0),
    "minimum, separate noise": (0.0, 1.0),
    "average, separate noise": (1.0, 1.0),
}


def _curve(axes: Axes, rows: pd.DataFrame, x: str, colour: str, marker: str) -> Line2D:
    """What was measured, with its band, and the prediction dashed."""
    found = rows.groupby(x).agg(bias=("bias", "mean"), error=("bias", "sem"), predicted=("predicted", "mean"))
    axes.fill_between(
        found.index, found["bias"] - 2 * found["error"], found["bias"] + 2 * found["error"], color=colour, alpha=0.15, lw=0
    )
    axes.plot(found.index, found["predicted"], color=colour, ls="--", lw=1.2)
    return axes.plot(found.index, found["bias"], color=colour, marker=marker, ms=5)[0]


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    table = _style.table("neural-overestimation")
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.4, 4.4))
    lines = []
    by_noise = table[table["algorithm"] != "SAC"]
    for (algorithm, separate), colour, marker in zip(LEFT.values(), _style.COLOURS, "os^Dv"):
        rows = by_noise[(by_noise["algorithm"] == algorithm) & (by_noise["separate"] == separate)]
        lines.append(_curve(left, rows, "noise", colour, marker))
    dashed = Line2D([], [], color="black", ls="--", lw=1.2)
    left.legend([*lines, dashed], [*LEFT, "exact, at the disagreement"], fontsize=9, loc="lower left")
    left.set(
        xscale="log",
        xticks=sorted(by_noise["noise"].unique()),
        xlabel="standard deviation of rewards",
        ylabel="bias, mean of q − Q*",
        title="by noise",
    )
    left.set_xticks([], minor=True)
    left.xaxis.set_major_formatter("{x:g}")
    lines = []
    by_members = table[table["algorithm"] == "SAC"]
    for (average, separate), colour, marker in zip(RIGHT.values(), (*_style.COLOURS[:3], _style.COLOURS[5]), "os^D"):
        one = by_members["members"] == 1  # the minimum of one critic is its average
        rows = by_members[(by_members["separate"] == separate) & (one | (by_members["average"] == average))]
        lines.append(_curve(right, rows, "members", colour, marker))
    right.legend(lines, list(RIGHT), fontsize=9, loc="lower left")
    right.set(xticks=[1, 2, 3, 4], xlabel="number of critics", title="by number of critics, at a standard deviation of 4")
    for axes in (left, right):
        axes.axhline(0.0, color="black", lw=0.8)
    for path in _style.save(figure, "neural_overestimation"):
        print(path)


if __name__ == "__main__":
    main()
