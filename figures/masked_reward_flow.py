"""Gradient flows on a masked reward (claims cgpo/monotone-training, cgpo/vanilla-gradient, cgpo/plateau).

Two accepted responses, of rewards 0.1 (mediocre) and 1 (good), and a rejected one at the top, which is paid 0: height is the mass of
violations. Left: natural gradient; every path descends. Middle: plain softmax policy gradient from the same starts; in the shaded region
violations grow. Right: the mass of violations along plain flows in which only a rare good response is paid, from one violation in a
thousand; it comes near 1/2 (dotted) before the good response takes over.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from simplex_trajectories import CORNERS, path

from bandits.preference.gradient_flows import follow, on_policy
from bandits.preference.mixture_of_judges import natural_gradient, plateau_path, plateau_start, violation_speed

REWARD = np.array([0.1, 1.0, 0.0])
FEASIBLE = np.array([True, True, False])
STARTS = ((0.80, 0.03, 0.17), (0.94, 0.02, 0.04), (0.55, 0.05, 0.40), (0.25, 0.03, 0.72), (0.57, 0.33, 0.10))
GOOD = (1e-2, 1e-4, 1e-6, 1e-8)
MASS = 1e-3


def triangle(axes: Axes, title: str) -> None:
    """The empty simplex, with a level line at each quarter of the mass of violations."""
    axes.set(aspect="equal", title=title, xlim=(-0.16, 1.16), ylim=(-0.16, 0.98))
    axes.axis("off")
    axes.fill(*CORNERS.T, facecolor="none", edgecolor="0.35", lw=1.0)
    for level in (0.25, 0.5, 0.75):
        axes.plot(*np.array([level * CORNERS[2] + (1 - level) * CORNERS[j] for j in (0, 1)]).T, color="0.88", lw=0.7, zorder=0)
    for corner, name, place in zip(CORNERS, ("mediocre, 0.1", "good, 1", "rejected, 0"), ("top", "top", "bottom")):
        axes.text(corner[0], corner[1] + (0.03 if place == "bottom" else -0.04), name, ha="center", va=place)


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12.0, 4.0), width_ratios=(1, 1, 0.95))
    n = _style.sized(161, 31)
    grid = np.stack(np.meshgrid(np.linspace(0, 1, n), np.linspace(0, 1, n)), axis=-1).reshape(-1, 2)
    inside = grid[(grid.min(axis=1) > 0) & (grid.sum(axis=1) < 1)]
    laws = np.column_stack([1 - inside.sum(axis=1), inside])
    logs = np.log(laws)
    steps = _style.sized(3000, 300)
    for axes, title, direction, time in (
        (left, "natural gradient", natural_gradient, 12.0),
        (middle, "plain policy gradient", on_policy, 120.0),
    ):
        triangle(axes, title)
        speed = violation_speed(logs, direction(logs, REWARD), FEASIBLE)
        axes.tricontourf(
            *(laws @ CORNERS).T, speed, levels=[1e-9, max(speed.max(), 1e-6) + 1.0], colors=["#D55E00"], alpha=0.22
        )
        runs = np.exp(follow(lambda p, d=direction: d(p, REWARD), np.log(STARTS), time / steps, steps))
        for run in runs.swapaxes(0, 1):
            path(axes, run, color=_style.COLOURS[0], lw=1.5)
            points = run @ CORNERS
            length = np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))
            at = int(np.searchsorted(length, 0.25 * length[-1])) + 1
            ahead = min(at + max(1, steps // 60), steps)
            axes.annotate("", points[ahead], points[at], arrowprops={"arrowstyle": "-|>", "color": _style.COLOURS[0]})
        path(axes, np.array(STARTS), color="black", marker="o", ms=4, ls="none", zorder=5)
    middle.text(0.12, 0.66, "violations\ngrow", color="#B04A00", ha="center", va="center")
    middle.plot([0.12, 0.21], [0.57, 0.09], color="#B04A00", lw=0.8)

    falls = np.linspace(0, 25, _style.sized(1500, 200))
    for colour, good in zip(_style.COLOURS, GOOD):
        run = np.exp(plateau_path(plateau_start(1, MASS, good), falls))
        right.plot(run[:, 1], run[:, 2], color=colour)
        right.plot(run[0, 1], run[0, 2], "o", color=colour, ms=5)
    right.axhline(0.5, color="0.4", ls=":", lw=1.2)
    right.set(
        xscale="logit", yscale="log", ylim=(3e-4, 1), xlim=(3e-9, 1 - 1e-3), xlabel="probability of the good response",
        ylabel="mass of violations", title="plain flow from a plateau",
    )  # fmt: skip
    right.set_xticks([1e-8, 1e-6, 1e-4, 1e-2, 0.5], ["$10^{-8}$", "$10^{-6}$", "$10^{-4}$", "$10^{-2}$", "0.5"])
    right.minorticks_off()
    right.text(3e-8, 4.5e-4, "dots: starts", color="0.35", fontsize=9)
    for written in _style.save(figure, "masked_reward_flow"):
        print(written)


if __name__ == "__main__":
    main()
