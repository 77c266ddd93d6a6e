r"""Mixtures of Gaussian experts and the modes they keep (claims pmoe/unimodal-gap, pmoe/neural, pmoe/neural-gumbel).

Top left, exact: the optimal policy of an entropy bonus of 0.1 for two equal bumps at -2 and 2, the best single Gaussian,
which loses alpha ln 2 = 0.0693 and a little more, and the best two, which lose 0.0004. The rest are networks of width 32 on
rings of four bumps in the plane, turned and widened as the context says: 96 runs of 1000 steps of 4 contexts, on a CPU.
Bottom: the mass near each bump in the middle context, as the area of a disc, for one to four experts on bumps of equal
height; each run's bumps are sorted by their mass (the largest on the right, then counter-clockwise) and averaged over runs.
Rings are the optimal policy's mass. Top right: modes covered (more than half of the optimal mass), mean over runs with 3
standard errors, by how the weights of four experts learn; "held" are weights that are not trained.
"""

import math

import _style
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Circle

from bandits.continuous import best_gaussian, fit_mixture, objective, soft_optimum, two_bumps

LABELS = {
    "score": "score function",
    "surrogate": "PMOE's surrogate",
    "held": "held",
    "gumbel": "Gumbel",
    "blind": "context unseen",
}


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    table = _style.table("neural-mixtures")
    figure = plt.figure(figsize=(10.0, 6.3))
    rows = figure.add_gridspec(2, 1, height_ratios=(1.25, 1))
    halves = rows[0].subgridspec(1, 2, width_ratios=(1.15, 1))
    left, right = (figure.add_subplot(part) for part in (halves[0], halves[1]))
    _line(left)
    _settings(right, table)
    rings = rows[1].subgridspec(1, 4)
    for experts in range(1, 5):
        setting = "1 expert" if experts == 1 else "score" if experts == 4 else f"{experts} experts"
        axes = figure.add_subplot(rings[experts - 1])
        _ring(axes, table[(table["setting"] == setting) & (table["uneven"] == 0)], experts)
    for path in _style.save(figure, "neural_mixtures"):
        print(path)


def _line(axes: Axes) -> None:
    """The densities on the line."""
    bandit = two_bumps(separation=2.0, temperature=0.1)
    optimum = soft_optimum(bandit)
    single, pair = best_gaussian(bandit, tolerance=_style.sized(2e-5, 1e-3)), fit_mixture(bandit, 2, starts=1)
    a = np.linspace(-3.2, 3.2, _style.sized(1200, 300))
    axes.fill_between(a, np.exp(bandit.reward(a) / 0.1 - optimum.log_partition), color="0.85", lw=0, label="optimal policy")
    one = np.exp(-0.5 * ((a - single.mean) / single.deviation) ** 2) / (single.deviation * math.sqrt(2 * math.pi))
    losses = optimum.value - single.lower, optimum.value - objective(bandit, pair, optimum).value
    axes.plot(a, one, color=_style.COLOURS[1], ls="--", label=f"best Gaussian, loses {losses[0]:.4f}")
    axes.plot(a, np.exp(pair.log_density(a)), color=_style.COLOURS[0], label=f"best two, lose {losses[1]:.4f}")
    axes.set(xlabel="action", ylabel="density", ylim=(0, 3.4), title="two modes on the line")
    axes.legend(loc="upper right", fontsize=10)


def _settings(axes: Axes, table: pd.DataFrame) -> None:
    """Modes covered by how the weights learn, for equal and for unequal bumps."""
    rows = np.arange(len(LABELS))[::-1]
    for shift, marker, colour, uneven, label in (
        (0.13, "o", _style.COLOURS[0], 0.0, "equal heights"),
        (-0.13, "s", _style.COLOURS[1], 0.15, "heights in [0.85, 1]"),
    ):
        part = table[table["uneven"] == uneven].groupby("setting")["covered"]
        mean, error = part.mean()[list(LABELS)], 3 * part.sem()[list(LABELS)]
        axes.errorbar(mean, rows + shift, xerr=error, fmt=marker, color=colour, ms=5, lw=1.5, capsize=2, label=label)
    axes.set_yticks(rows, list(LABELS.values()))
    axes.set(xlim=(0, 4.05), ylim=(-0.6, len(LABELS) + 0.1), xlabel="modes covered, of 4", title="four experts on a ring")
    axes.grid(axis="y", visible=False)
    axes.legend(loc="upper left", fontsize=9, ncols=2, columnspacing=1.0, handletextpad=0.3)


def _ring(axes: Axes, rows: pd.DataFrame, experts: int) -> None:
    """The mean mass near each bump, the bumps of every run sorted by it."""
    mass = np.sort(rows[[f"mass_{j}" for j in range(4)]].to_numpy(), axis=1)[:, ::-1].mean(axis=0)
    for j, share in enumerate(mass):
        place = (math.cos(math.pi * j / 2), math.sin(math.pi * j / 2))
        axes.add_patch(Circle(place, 0.8 * math.sqrt(share), color=_style.COLOURS[0], alpha=0.75, lw=0))
        axes.add_patch(Circle(place, 0.8 * math.sqrt(0.246), fill=False, color="0.4", lw=1, ls=":"))
        axes.text(*place, f"{share:.2f}", ha="center", va="center", fontsize=9)
    axes.set(xlim=(-1.8, 1.95), ylim=(-1.5, 1.5), aspect="equal")
    axes.set_title(f"{experts} expert{'s' * (experts > 1)}: {rows['covered'].mean():.2f} covered", fontsize=12)
    axes.set_axis_off()


if __name__ == "__main__":
    main()
