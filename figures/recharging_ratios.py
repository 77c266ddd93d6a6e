"""Rounding by independent renewals keeps 1 - 1/e of the optimum, and neither coins nor greed do (lsd-bandits/one-minus-1-over-e).

Left: n equal arms that pay 1 only at a delay of n rounds, so that playing them in turn earns LP = OPT = 1. Rounding attains
1 - (1 - 1/n)^n (lsd-bandits/n-arms; points: 5000 runs from fresh phases), coins of the same play rates fall below 1 - 1/e, and
greedy play happens to be optimal. Right: two arms of which greedy play never lets the better one rest (lsd-bandits/greedy-fails).
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from bandits.last_switch import greedy_trap, round_robin_arms
from bandits.last_switch_planning import (
    greedy_average_reward,
    lp_relaxation,
    memoryless_value,
    optimal_average_reward,
    schedule_average_reward,
    virtual_value,
)
from bandits.last_switch_rounding import simulate_lp_round
from theory.random_streams import run_seeds

SIZES = _style.sized((2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 30, 40, 50), (2, 3, 5, 10))
DEPTHS = _style.sized((2, 3, 4, 6, 8, 10, 13, 16, 20), (2, 3, 6, 10))
RUNS = _style.sized(5000, 500)
SMALL = 0.01


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.2))
    blue, red, green, pink, *_ = _style.COLOURS

    bandits = [round_robin_arms(n=n) for n in SIZES]
    plans = [lp_relaxation(bandit) for bandit in bandits]
    optimum = np.array([schedule_average_reward(b, range(b.arms)) for b in bandits])
    left.plot(SIZES, [p.value for p in plans], color="0.3", lw=5, alpha=0.35, label="LP")
    left.plot(SIZES, optimum, color="black", label="OPT (play in turn)")
    left.plot(SIZES, [greedy_average_reward(b) for b in bandits], color=pink, ls=":", lw=3, label="greedy")
    left.plot(SIZES, [virtual_value(p) for p in plans], color=blue, label="rounding, exact")
    runs = [simulate_lp_round(p, 2 * p.bandit.arms, run_seeds(n, RUNS)).reward.mean() for n, p in zip(SIZES, plans)]
    left.plot(SIZES, runs, "o", color=blue, ms=5, mfc="white", label="rounding, run")
    left.plot(SIZES, [memoryless_value(p) for p in plans], color=red, ls="-.", label="independent coins")
    left.axhline(1 - 1 / np.e, color=green, ls="--", lw=1.2, label=r"$1 - 1/e$")
    left.set(xscale="log", ylim=(0, 1.08), xlabel="arms n", ylabel="average reward", title="equal arms, ready after n rounds")
    left.set_xticks([2, 5, 10, 20, 50], ["2", "5", "10", "20", "50"])
    left.minorticks_off()
    left.legend(loc="lower left", fontsize=9, ncols=2)

    traps = [greedy_trap(D=D, small=SMALL) for D in DEPTHS]
    best = np.array([optimal_average_reward(trap).gain for trap in traps])
    plans = [lp_relaxation(trap) for trap in traps]
    right.plot(DEPTHS, np.array([p.value for p in plans]) / best, color="0.3", lw=5, alpha=0.35, label="LP")
    right.plot(DEPTHS, [virtual_value(p) for p in plans] / best, color=blue, label="rounding, exact")
    right.plot(DEPTHS, [memoryless_value(p) for p in plans] / best, color=red, ls="-.", label="independent coins")
    right.plot(DEPTHS, [greedy_average_reward(t) for t in traps] / best, color=pink, ls=":", lw=3, label="greedy")
    right.axhline(1 - 1 / np.e, color=green, ls="--", lw=1.2, label=r"$1 - 1/e$")
    right.set(
        ylim=(0, 1.08), xlabel="rounds of rest D that the better arm needs", ylabel="share of OPT", title="a trap for greed"
    )
    right.set_xticks(DEPTHS)
    for path in _style.save(figure, "recharging_ratios"):
        print(path)


if __name__ == "__main__":
    main()
