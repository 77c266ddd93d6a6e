"""Learned schedules of step sizes, and learned update rules by curriculum (claims tarl/neural, tarl/neural-blind, groove/neural,
groove/worst-case).

Left and middle: the schedules of networks that see k/N and log N, trained by evolution strategies (600 generations of 32 members) on a noisy
quadratic at 10, 30, 100 and 300 steps, and shown at two other horizons; thin lines are 12 runs, black is the best schedule found of steps up to the
bound of stability, dashed the best constant, which the networks without k/N can only approach (dotted, median). Expected losses are exact and stand in
shares of the best schedule's, medians over runs. Right: the largest regret of a learned update rule over 8 bandits, relative to the best constant step
size of each, by the mixture of environments it was trained on (150 generations of 12 members); dots are 12 runs with 64 plays in each
environment, bars their medians. Dashed are constant step sizes: the best for the skewed base and the one of the smallest worst case. All on a CPU.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from bandits.step_size_curriculum import relative_regret
from experiments.neural_meta import HELD_OUT, MIXTURES, PLACES, SEES, STEP_SIZES, easy_base, reference_table
from mdplab.learning.noisy_quadratic import NoisyQuadratic, best_scale, best_schedule, expected_loss


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    table = _style.table("neural-meta")
    problem = NoisyQuadratic()
    figure, panels = plt.subplots(1, 3, figsize=(11.0, 3.8), width_ratios=(1, 1, 1.15))
    for axes, N in zip(panels, HELD_OUT):
        best = best_schedule(problem, N, most=problem.stable)
        constant = best_scale(problem, [np.ones(N)], most=problem.stable)
        shares = {}
        for setting in SEES:
            rows = table[(table["setting"] == setting) & (table["N"] == N)]
            steps = rows.pivot_table(index="k", columns="seed", values="value").to_numpy()
            shares[setting] = float(np.median(expected_loss(problem, steps))) / best.loss
            if setting == "blind":
                axes.axhline(float(np.median(steps)), color=_style.COLOURS[1], ls=":")
            else:
                axes.plot(np.arange(N), steps, color=_style.COLOURS[0], lw=0.7, alpha=0.7)
        axes.plot(np.arange(N), best.schedule, color="black", lw=1.4)
        axes.axhline(constant.scale, color=_style.COLOURS[4], ls="--")
        named = (
            ("best schedule: loss 1", "black", "-"),
            (f"network: {shares[SEES[1]]:.2f}", _style.COLOURS[0], "-"),
            (f"best constant: {constant.value / best.loss:.1f}", _style.COLOURS[4], "--"),
            (f"network without k/N: {shares[SEES[0]]:.1f}", _style.COLOURS[1], ":"),
        )
        for label, colour, dashes in named:
            axes.plot([], [], color=colour, ls=dashes, label=label)
        axes.set(yscale="log", ylim=(3e-3, 3), xlabel=f"step k of N = {N}")
        axes.legend(loc="lower left", fontsize=9)
    panels[0].set_ylabel("step size")

    axes = panels[2]
    for place, setting in enumerate(MIXTURES):
        worst = table.loc[table["setting"] == setting, "value"].to_numpy()
        axes.plot(place + np.linspace(-0.15, 0.15, worst.size), worst, "o", ms=4, alpha=0.7, color=_style.COLOURS[place])
        axes.plot([place - 0.25, place + 0.25], [np.median(worst)] * 2, color=_style.COLOURS[place])
    regret = reference_table(_style.sized(1000, 50))
    worst = relative_regret(regret).max(axis=1)
    tuned = int((regret @ easy_base(PLACES, 0.95)).argmin())
    for k, says, x, side in (
        (tuned, "best for the skewed base", 2.45, "right"),
        (int(worst.argmin()), "smallest worst case", -0.45, "left"),
    ):
        axes.axhline(worst[k], color="black", ls="--", lw=1)
        label = f"step size {STEP_SIZES[k]:.1f}: {says}"
        axes.annotate(label, (x, worst[k]), xytext=(0, 3), textcoords="offset points", ha=side, fontsize=9)
    axes.set(xlim=(-0.5, 2.5), ylabel="worst relative regret", yscale="log")
    axes.set_xticks(range(len(MIXTURES)), MIXTURES)
    axes.set_yticks([0.03, 0.1, 0.3], ["0.03", "0.1", "0.3"])
    axes.minorticks_off()
    axes.grid(axis="x", visible=False)
    for path in _style.save(figure, "neural_meta"):
        print(path)


if __name__ == "__main__":
    main()
