"""Momentum in iterated DPO: a constant factor, an order, or harm (claims apo/constant-factor-only, order, effective-time,
hurts-cyclic-games).

Left to right: the gap to the best reward against iterations, with near-optimal actions at every scale; the same gaps against
the effective time, where the curves are one; and, where preferences cycle, the divergence of self-play from the equilibrium
of rock-paper-scissors.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from games.accelerated import accelerated_preference_optimization, effective_time, nesterov_momentum
from games.generators import rock_paper_scissors
from games.prox import normalise
from theory.divergences import kl

ITERATIONS = _style.sized(1000, 200)
ROUNDS = _style.sized(400, 100)
BETA = 5.0  # of self-play


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    gaps = 2.0 ** -np.arange(60)
    reference = normalise(np.log(gaps))  # action j: reward 1 - 2^-j, reference proportional to 2^-j
    times = np.unique(np.geomspace(1, ITERATIONS, 60).round().astype(int))
    schedules = {
        "α = 0 (iterated DPO)": (0.0, "-", "o"),
        "α = 0.5": (0.5, "-.", "s"),
        "α = 0.9": (0.9, "--", "^"),
        "α = (t − 1)/(t + 2)": (nesterov_momentum(ITERATIONS), ":", "D"),
    }

    figure, (raw, collapsed, cyclic) = plt.subplots(1, 3, figsize=(11.5, 4.2))
    for colour, (name, (momentum, dashes, marker)) in zip(_style.COLOURS, schedules.items()):
        run = accelerated_preference_optimization(1 - gaps, 1.0, ITERATIONS, momentum=momentum, start=reference)
        gap = (np.exp(run.log_policies) @ (gaps - gaps[-1]))[times]
        clock = effective_time(ITERATIONS, momentum)[times]
        raw.plot(times, gap, color=colour, ls=dashes, label=name)
        some = slice(None, None, 5)
        collapsed.plot(clock[some], gap[some], color=colour, ls="none", marker=marker, mfc="none", ms=7, mew=1.5)
        if np.ndim(momentum) == 0:
            self_play = accelerated_preference_optimization(
                rock_paper_scissors(logits=(0.304, 0.0, 0.0)), BETA, ROUNDS, momentum=momentum
            )
            distance = kl(np.full(3, -np.log(3)), self_play.log_policies, log=True)
            cyclic.plot(np.arange(ROUNDS + 1), distance, color=colour, ls=dashes)
    for power, anchor, label, at, place in ((1, 3.0, "slope −1", 60, (4, 6)), (2, 1.2, "slope −2", 60, (-6, -14))):
        line = np.array([10.0, ITERATIONS])
        raw.plot(line, anchor / line**power, color="black", lw=1.0, alpha=0.6)
        ends = "left" if power == 1 else "right"
        raw.annotate(label, (at, anchor / at**power), place, textcoords="offset points", ha=ends, fontsize=10)
    clock = np.geomspace(1, effective_time(ITERATIONS, nesterov_momentum(ITERATIONS))[-1], 100)
    collapsed.plot(clock, 1 / clock, color="black", lw=1.0, alpha=0.6, label="β/s")
    collapsed.legend(loc="lower left")

    raw.set(xscale="log", yscale="log", xlabel="iterations T", ylabel="gap to the best reward", title="rewards, by iterations")
    collapsed.set(xscale="log", yscale="log", xlabel="effective time s", title="rewards, by effective time")
    cyclic.set(yscale="log", xlabel="iterations T", title="self-play, cyclic preferences")
    cyclic.set_ylabel("KL from the equilibrium")
    handles, labels = raw.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    for path in _style.save(figure, "apo_regimes"):
        print(path)


if __name__ == "__main__":
    main()
