"""Self-play in the simplex of three actions (claims spo/rate, sppo/last-iterate-repelled, nash-mp/kl-contraction).

Left and middle: Hedge against itself on rock-paper-scissors, even and weighted. The last iterate spirals away from the
equilibrium, its running average converges to it. Right: the weighted game regularised towards a reference, where the last
iterates of Nash-MP and magnetic mirror descent converge. Arrows point at the winner of the two actions that an edge joins.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from games.generators import rock_paper_scissors
from games.mirror_descent import hedge, magnetic_mirror_descent
from games.mirror_prox import nash_mirror_prox
from games.preference import PreferenceGame
from games.prox import normalise
from games.regularised import solve_regularised

CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])
WEIGHTS = (0.5, 0.2, 0.4)
START = (1.0, 0.0, -0.6)
STEP, ROUNDS = 0.1, 1200
BETA, ITERATIONS = 0.05, 120


def triangle(axes: Axes, game: PreferenceGame, title: str) -> None:
    """The empty simplex: corners named after actions, and on each edge who beats whom, and by how much."""
    axes.set(aspect="equal", title=title, xlim=(-0.2, 1.2), ylim=(-0.14, 1.0))
    axes.axis("off")
    axes.fill(*CORNERS.T, facecolor="none", edgecolor="0.35", lw=1.0)
    for level in (0.25, 0.5, 0.75):
        for k in range(3):
            ends = [level * CORNERS[k] + (1 - level) * CORNERS[j] for j in range(3) if j != k]
            axes.plot(*np.array(ends).T, color="0.9", lw=0.7, zorder=0)
    centre = CORNERS.mean(axis=0)
    for k, name in enumerate(("rock", "scissors", "paper")):
        axes.text(*(centre + 1.15 * (CORNERS[k] - centre)), name, ha="center", va="center")
    for i in range(3):
        j = (i + 1) % 3
        winner, loser = (i, j) if game.A[i, j] > 0 else (j, i)
        middle = (CORNERS[i] + CORNERS[j]) / 2
        along = (CORNERS[winner] - CORNERS[loser]) * 0.06
        place = middle + 0.1 * (middle - centre)
        axes.annotate("", place + along, place - along, arrowprops={"arrowstyle": "->", "color": "0.35"})
        outside = middle + 0.44 * (middle - centre)
        axes.text(*outside, f"{0.5 + game.A[winner, loser]:.0%}", ha="center", va="center", color="0.35", fontsize=9)


def path(axes: Axes, probabilities: NDArray[np.float64], **style: object) -> None:
    """A trajectory of probabilities, shape (T, 3)."""
    axes.plot(*(probabilities @ CORNERS).T, **style)


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    even = rock_paper_scissors(weights=(0.5, 0.5, 0.5))
    weighted = rock_paper_scissors(weights=WEIGHTS)
    start = normalise(START)
    figure, all_axes = plt.subplots(1, 3, figsize=(11.5, 4.4))

    for axes, game, title in ((all_axes[0], even, "Hedge, even game"), (all_axes[1], weighted, "Hedge, weighted game")):
        triangle(axes, game, title)
        plays = np.exp(hedge(game, ROUNDS, step=STEP, start=start).log_policies)
        averages = np.cumsum(plays, axis=0) / np.arange(1, ROUNDS + 2)[:, None]
        path(axes, plays, color=_style.COLOURS[0], lw=0.8, label="last iterate")
        path(axes, averages, color=_style.COLOURS[1], lw=2.0, label="running average")
        nash = np.array([game.A[1, 2], -game.A[0, 2], game.A[0, 1]])
        path(axes, nash[None] / nash.sum(), color="black", marker="*", ms=11, ls="none", zorder=5, label="equilibrium")

    axes = all_axes[2]
    regularised = PreferenceGame(weighted.A, start)
    triangle(axes, regularised, f"regularised towards the start, β = {BETA}")
    for colour, dashes, name, run in (
        (_style.COLOURS[2], "-", "Nash-MP", nash_mirror_prox(regularised, BETA, ITERATIONS)),
        (_style.COLOURS[3], "--", "MMD, step 4β", magnetic_mirror_descent(regularised, BETA, 2 * ITERATIONS, step=4 * BETA)),
    ):
        path(axes, np.exp(run.log_policies), color=colour, ls=dashes, lw=1.5, label=name)
    star = solve_regularised(regularised, BETA).policy
    path(axes, star[None], color="black", marker="*", ms=11, ls="none", zorder=5)
    for each in all_axes:
        path(each, np.exp(start)[None], color="black", marker="o", ms=5, ls="none", zorder=5, label="start")

    found = {label: handle for a in all_axes for handle, label in zip(*a.get_legend_handles_labels())}
    figure.legend(
        found.values(),
        found.keys(),
        loc="outside lower center",
        ncols=6,
        title="arrows point at the winner of a pair, with its probability of winning",
        title_fontsize=9,
    )
    for written in _style.save(figure, "simplex_trajectories"):
        print(written)


if __name__ == "__main__":
    main()
