"""With switching costs more observations buy nothing until there are of order T^{2/3} (claim switching-costs/phase-transition).

Two arms, independent losses of 0 or 1, T = 2^15 rounds (2^9 in the quick size); the worst of several gaps at each point. Batched
EXP3 sees the played arm alone; with more batches it learns faster, but switches more, and its best is at about T^{2/3} batches
(claim switching-costs/bexp3-rate; three standard errors). The shrinking dartboard sees the other arm once in each of B_ex
batches, and is lazy; its regret is exact. The better of the two (grey) has a plateau, a kink at about T^{2/3}/4 and then the
slope -1/2.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from bandits.switching_costs import batched_exp3, two_armed_dartboard
from theory.random_streams import run_seeds

GAPS = (0.25, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)  # in units of 1 / sqrt(N) for the dartboard, and sqrt(2 / N) for EXP3


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    T = _style.sized(2**15, 2**9)
    runs = _style.sized(300, 20)
    unit = round(T ** (2 / 3))
    counts = unit * 2 ** np.arange(0, 10) // 64
    dartboard, bandit, error = np.empty((3, counts.size))
    for i, N in enumerate(counts.tolist()):
        tau = T // N
        eta = float(np.sqrt(2 * np.log(2) / N))
        dartboard[i] = max(float(two_armed_dartboard((0.5, 0.5 - min(0.5, g * N**-0.5)), N, tau, eta).regret) for g in GAPS)
        worst = []
        for g in GAPS:
            means = np.tile([0.5, 0.5 - min(0.5, g * (2 / N) ** 0.5)], (N, 1))
            worst.append(batched_exp3(means, tau, eta / np.sqrt(2), run_seeds(1, runs), coins=True).regret)
        means_of_gaps = [w.mean() for w in worst]
        bandit[i] = max(means_of_gaps)
        error[i] = 3 * worst[int(np.argmax(means_of_gaps))].std(ddof=1) / np.sqrt(runs)
    figure, axes = plt.subplots()
    better = np.minimum(dartboard, bandit.min())
    axes.plot(
        counts,
        better,
        color="0.8",
        lw=9,
        solid_capstyle="round",
        zorder=0,
        label="the better of the two, EXP3 with its best $N$",
    )
    axes.plot(
        counts,
        dartboard,
        color=_style.COLOURS[0],
        marker="o",
        ms=4,
        label=r"shrinking dartboard with $B_{\mathrm{ex}}$ extra observations",
    )
    axes.errorbar(
        counts,
        bandit,
        yerr=error,
        color=_style.COLOURS[1],
        marker="s",
        ms=4,
        label="EXP3 in $N$ batches, no extra observations",
    )
    guide = counts[4:]
    axes.plot(guide, 0.7 * dartboard[4] * (guide / guide[0]) ** -0.5, color="black", ls=":", lw=1.2)
    axes.text(guide[1], 0.5 * dartboard[5], r"slope $-1/2$", ha="right")
    axes.axvline(unit, ymax=0.72, color="0.5", ls="--", lw=1)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel=r"observations beyond those of the played arms, $B_{\mathrm{ex}}$ or batches $N$",
    )
    axes.set(ylabel=f"regret after $2^{{{T.bit_length() - 1}}}$ rounds, worst gap")
    axes.annotate(r"$T^{2/3}$", (unit, axes.get_ylim()[0]), (4, 4), textcoords="offset points", color="0.35")
    axes.legend(loc="upper center")
    axes.set_ylim(top=3.5 * max(bandit.max(), dartboard.max()))
    for path in _style.save(figure, "switching_observations"):
        print(path)


if __name__ == "__main__":
    main()
