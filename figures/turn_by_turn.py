"""Histories of the data do not teach the late turns of a dialogue (claims refuel/covariate-shift, reference-histories).

A chain of H right actions; the reference, which is also the first policy, is right with probability 0.3 (left) or 0.9 (right).
Learner A draws its histories with the current policy, learner B takes them from the reference; both complete with the current
policy. Means and the middle 80% of 200 runs of 40 iterations of 50 comparisons. Dotted: no learner on the reference's histories
is above it on average.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from mdplab.learning.relative_future import Histories, chain_value, refuel_on_chain

HORIZONS = _style.sized((1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20), (1, 2, 4, 8))
RUNS = _style.sized(200, 20)
COMPARISONS = 40 * 50
LEARNERS: tuple[tuple[Histories, str, str, str], ...] = (
    ("learner", _style.COLOURS[0], "o-", "A: histories of the learner"),
    ("reference", _style.COLOURS[1], "s--", "B: histories of the reference"),
)


def ceiling(H: int, rho: float) -> float:
    """The bound of refuel/reference-histories on what learner B is worth on average."""
    k = np.arange(H + 1)
    moved = np.minimum(1.0, 2 * COMPARISONS / H * (rho ** (k + 1) - rho ** (H + 1)))
    return float((k / H + rho * (1 - rho ** (H - k)) / (1 - rho) / H + (H - k) / H * moved).min())


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, all_axes = plt.subplots(1, 2, figsize=(9.6, 4.2), sharey=True)
    for axes, rho in zip(all_axes, (0.3, 0.9)):
        for histories, colour, style, name in LEARNERS:
            runs = [refuel_on_chain(H, rho, histories=histories, runs=RUNS, seed=H) for H in HORIZONS]
            values = np.array([chain_value(right) for right in runs])
            low, high = np.quantile(values, (0.1, 0.9), axis=1)
            axes.plot(HORIZONS, values.mean(axis=1), style, color=colour, label=name)
            axes.fill_between(HORIZONS, low, high, color=colour, alpha=0.2, lw=0)
        first = [float(chain_value(np.full(H, rho))) for H in HORIZONS]
        axes.plot(HORIZONS, first, "-.", color=_style.COLOURS[6], lw=1.2, label="the reference itself")
        axes.plot(HORIZONS, [ceiling(H, rho) for H in HORIZONS], ":", color=_style.COLOURS[1], label="bound on B")
        axes.set(
            xlabel="turns H",
            xticks=(1, 4, 8, 12, 16, 20),
            ylim=(0, 1.03),
            title=f"the reference is right with probability {rho:g}",
        )
    all_axes[0].set_ylabel("share of the turns before the first error")
    handles, labels = all_axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    for path in _style.save(figure, "turn_by_turn"):
        print(path)


if __name__ == "__main__":
    main()
