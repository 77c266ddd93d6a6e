"""What a small residual costs with and without variance reduction (claims vr-halpern/oracle-n, crossover,
monotone-oracle, monotone-crossover).

Calls of one component to a residual of L D / 1000 against the number n of components, means over random problems. Left: sums that
are cocoercive on average (the identity minus rotations at three scales, L = 2); right: rotational games at two scales. Dotted
lines have the slopes 1 and 1/2; a circle marks where variance reduction begins to pay.
"""

from __future__ import annotations

from typing import Any

import _style
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from games.anchored import fast_extragradient, halpern
from games.inclusions import Calls, FiniteSum, rotational_games, rotations_cocoercive
from games.variance_reduction import inexact_halpern, page_halpern

EPSILON = 1e-3
SEEDS = _style.sized(3, 1)

Array = NDArray[np.floating[Any]]


def cocoercive(n: int, seed: int) -> dict[str, float]:
    """Calls of the three methods on one sum of rotations."""
    problem = rotations_cocoercive(n=n, seed=seed)
    u0, target = start(problem), EPSILON * problem.average_cocoercivity
    most = int(20 / EPSILON)
    return {
        "full batch (Halpern, FEG)": halpern(Calls(problem), u0, problem.full_cocoercivity, most, until=target).calls_to(
            target
        ),
        "variance-reduced": page_halpern(problem, u0, most, seed, until=target, patience=1.1).calls_to(target),
        "variance-reduced, tuned": page_halpern(problem, u0, most, seed, schedule="tuned", until=target, patience=1.1).calls_to(
            target
        ),
    }


def monotone(n: int, seed: int) -> dict[str, float]:
    """Calls of the two methods on one rotational game."""
    problem = rotational_games(n=n, seed=seed)
    u0, target = start(problem), EPSILON * problem.average_lipschitz
    full = fast_extragradient(Calls(problem), u0, problem.lipschitz, int(4 / EPSILON), until=target)
    reduced = inexact_halpern(problem, u0, int(4 / EPSILON), seed, until=target)
    return {"full batch (Halpern, FEG)": full.calls_to(target), "variance-reduced": reduced.calls_to(target)}


def start(problem: FiniteSum) -> NDArray[np.complex128]:
    """A start at distance 1 from the zero."""
    return np.asarray(problem.solution + np.ones(problem.dimension) / np.sqrt(problem.dimension))


def crossing(n: Array, first: Array, second: Array) -> tuple[float, float] | None:
    """Where the second curve falls below the first, by interpolation on log-log axes."""
    gap = np.log(second / first)
    falls = np.flatnonzero((gap[:-1] > 0) & (gap[1:] <= 0))
    if not falls.size:
        return None
    i = int(falls[-1])
    share = gap[i] / (gap[i] - gap[i + 1])
    at = np.log(n[i]) + share * np.log(n[i + 1] / n[i])
    return float(np.exp(at)), float(np.exp(np.interp(at, np.log(n), np.log(first))))


def panel(axes: Axes, sizes: Array, curves: dict[str, Array], title: str) -> None:
    """One kind of problem: its curves, the two slopes, the crossovers."""
    full = curves["full batch (Halpern, FEG)"]
    styles = zip(curves.items(), _style.COLOURS, ("-", "-.", "--"), ("o", "s", "^"))
    for (name, calls), colour, dashes, marker in styles:
        axes.plot(sizes, calls, color=colour, ls=dashes, marker=marker, ms=4, label=name)
        place = crossing(sizes, full, calls) if calls is not full else None
        if place is not None:
            axes.plot(*place, marker="o", ms=13, mfc="none", mec="black", mew=1.2)
            size = float(f"{place[0]:.2g}")
            axes.annotate(f"n ≈ {size:,.0f}", place, (10, -14), textcoords="offset points", fontsize=10)
    ends = sizes[[0, -1]]
    for anchor, slope, text in ((0.35 * full[-1], 1.0, "slope 1"), (2.2 * curves["variance-reduced"][-1], 0.5, "slope 1/2")):
        axes.plot(ends, anchor * (ends / sizes[-1]) ** slope, color="grey", ls=":", lw=1.2)
        axes.text(sizes[-1] * 1.15, anchor, text, color="dimgrey", fontsize=10, va="center")
    axes.set(xscale="log", yscale="log", title=title, xlabel="components n", xlim=(sizes[0] / 1.3, sizes[-1] * 6))


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, both = plt.subplots(1, 2, figsize=(10.5, 4.4))
    panels = (
        (both[0], cocoercive, 25.0 * 4.0 ** np.arange(_style.sized(8, 3)), "cocoercive on average"),
        (both[1], monotone, 25.0 * 4.0 ** np.arange(_style.sized(7, 3)), "monotone (rotational games)"),
    )
    for axes, solve, sizes, title in panels:
        runs = [[solve(int(n), seed) for seed in range(SEEDS)] for n in sizes]
        means = {name: np.array([[run[name] for run in row] for row in runs]).mean(axis=1) for name in runs[0][0]}
        panel(axes, sizes, means, title)
    both[0].set_ylabel("component calls to a residual of LD/1000")
    handles, labels = both[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    for path in _style.save(figure, "halpern_calls"):
        print(path)


if __name__ == "__main__":
    main()
