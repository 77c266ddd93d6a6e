"""A discounted feasible value sees a violation only so far ahead: its safe region is too large (claims fisor/feasible-region,
delay-horizon, safe-level).

A river carries a boat one column to the right in every step, towards a waterfall; meanwhile the boat may move one row up or down,
and it is safe for ever once it reaches the bank or an island (green). Colour: the feasible value V with h = -1 on safe cells and 1
on the fall. Inside the black line the fall is inevitable; this is the complement of the viability kernel. The discounted value
judges a cell infeasible where V > 0, inside the dashed line, and misses those between the lines: at discount 0.8 and 0.9 the fall
is seen 3 and 6 steps ahead.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from mdplab.models.deterministic import DeterministicMDP
from mdplab.solvers.feasibility import feasible_value, viability_kernel

DISCOUNTS = (0.8, 0.9, 0.97)
ROWS, COLUMNS = _style.sized((27, 26), (13, 14))
LAND = "#7FB77E"
Mask = NDArray[np.bool_]


def river() -> tuple[DeterministicMDP, Mask]:
    """The model, states in reading order, and which cells are land."""
    row, column = np.indices((ROWS, COLUMNS))
    middle = ROWS // 2
    land = (row == 0) | (row == ROWS - 1)
    land |= (np.abs(row - middle + 4) <= 1) & (np.abs(column - COLUMNS + 9) <= 1)
    land |= (np.abs(row - middle - 5) <= 1) & (np.abs(column - COLUMNS + 11) <= 2)
    fall = (column == COLUMNS - 1) & ~land
    stay = land | fall
    cell = row * COLUMNS + column
    moves = [np.clip(row + step, 0, ROWS - 1) * COLUMNS + np.minimum(column + 1, COLUMNS - 1) for step in (-1, 0, 1)]
    nexts = np.stack([np.where(stay, cell, move) for move in moves], axis=-1).reshape(-1, 3)
    violation = np.where(fall, 1.0, -1.0).ravel()
    return DeterministicMDP(nexts, np.zeros(nexts.shape), violation, DISCOUNTS[0]), land


def outline(axes: Axes, inside: Mask, colour: str, dashes: str, width: float) -> None:
    """The line along the cells between ``inside`` and outside, the edge of the map left out."""
    down = np.argwhere(inside[:-1] != inside[1:])
    across = np.argwhere(inside[:, :-1] != inside[:, 1:])
    xs = [value for _, x in down for value in (x - 0.5, x + 0.5, np.nan)] + [
        v for _, x in across for v in (x + 0.5, x + 0.5, np.nan)
    ]
    ys = [value for y, _ in down for value in (y + 0.5, y + 0.5, np.nan)] + [
        v for y, _ in across for v in (y - 0.5, y + 0.5, np.nan)
    ]
    axes.plot(xs, ys, color=colour, ls=dashes, lw=width, solid_capstyle="projecting")


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    model, land = river()
    doomed = ~viability_kernel(model).reshape(land.shape)
    figure, all_axes = plt.subplots(1, 3, figsize=(11.5, 4.4), sharey=True)
    image = None
    for axes, gamma in zip(all_axes, DISCOUNTS):
        found = feasible_value(model, gamma)
        value = np.ma.array(found.value.reshape(land.shape), mask=land)
        axes.set_facecolor(LAND)
        image = axes.imshow(value, cmap="RdBu_r", vmin=-1.0, vmax=1.0, interpolation="nearest", aspect="auto")
        outline(axes, doomed, "black", "-", 2.4)
        outline(axes, ~found.region.reshape(land.shape), _style.COLOURS[4], "--", 1.8)
        missed = int((doomed & found.region.reshape(land.shape)).sum())
        axes.set(title=f"γ = {gamma:g} misses {missed} cells", xlabel="column (the current flows right)")
        axes.grid(False)
    all_axes[0].set_ylabel("row")
    assert image is not None
    figure.colorbar(image, ax=list(all_axes), label="feasible value V", shrink=0.9)
    handles = [
        Line2D([], [], color="black", lw=2.4, label="boundary of the viability kernel"),
        Line2D([], [], color=_style.COLOURS[4], lw=1.8, ls="--", label="boundary of V ≤ 0"),
        Patch(color=LAND, label="land"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    for path in _style.save(figure, "feasible_value"):
        print(path)


if __name__ == "__main__":
    main()
