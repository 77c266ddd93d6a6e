r"""The worst regret over gaps: T^{2/3} for a fixed time of exploration, sqrt(T) for those who adapt (claim anchor/tsallis-inf).

Two Bernoulli arms of means .75 - gap and .75; for each T the gap of the largest expected regret is chosen anew, and that regret
is divided by :math:`\sqrt{KT}`, so that the minimax rate is flat. Explore-then-commit with :math:`T^{2/3}` rounds of exploration is
exact: it explores too long where the gap is large and too briefly where it is small, and its slope here is
:math:`2/3 - 1/2 = 1/6`. UCB1 rises by the root of a logarithm. MOSS, which knows T, and Tsallis-INF, which does not, are flat.
These three are means over runs, with three standard errors at the worst gap.
"""

import math

import _style
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from bandits.index_policies import MOSS, UCB1
from bandits.play import simulate
from bandits.rules import Policy
from bandits.stochastic import two_armed
from bandits.weight_policies import TsallisINF
from theory.random_streams import run_seeds

MEAN, SHARPEST, WIDEST = 0.75, 0.7, 16.0  # gap sqrt(T) of the smallest and largest gap that is tried with a horizon


def committed(T: int, gap: float) -> float:
    """The exact expected regret of T^{2/3} rounds of exploration, both arms in turn, and the better mean for ever."""
    pulls = math.ceil(T ** (2 / 3) / 2)
    counts = np.arange(pulls + 1)
    # ties go to the first arm, the worse
    wrong = float(binom.pmf(counts, pulls, MEAN) @ binom.sf(counts - 1, pulls, MEAN - gap))
    return gap * (pulls + (T - 2 * pulls) * wrong)


def worst(policy: Policy, horizons: list[int], gaps: NDArray[np.float64], runs: int) -> NDArray[np.float64]:
    """The largest mean regret over the gaps for each horizon, and its standard error, shape (2, horizons)."""
    found = np.zeros((2, len(horizons)))
    knows = isinstance(policy, MOSS)  # the horizon: a run of its own for each
    for gap in gaps.tolist():
        tried = [T for T in horizons if SHARPEST <= gap * math.sqrt(T) <= WIDEST]
        for asked in [[T] for T in tried] if knows else [tried] if tried else []:
            made = simulate(policy, two_armed(gap=gap, mean=MEAN), asked[-1], run_seeds(0, runs), asked).pseudo_regret
            for T, regret in zip(asked, made.T):
                at = horizons.index(T)
                if regret.mean() > found[0, at]:
                    found[:, at] = regret.mean(), regret.std(ddof=1) / math.sqrt(runs)
    return found


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    doublings, runs = _style.sized((8, 128), (3, 8))
    horizons = [256 * 2**k for k in range(doublings + 1)]
    gaps = 0.5 * 2 ** (-np.arange(0, doublings + 8) / 2)
    figure, axes = plt.subplots(figsize=(7.2, 4.6))
    T, scale = np.array(horizons), np.sqrt(2 * np.array(horizons))
    exact = np.array([max(committed(n, gap) for gap in gaps.tolist()) for n in horizons])
    axes.plot(T, exact / scale, "o-", color=_style.COLOURS[6], ms=4, label="explore-then-commit, $T^{2/3}$ rounds")
    guide = exact[-1] / scale[-1] * (T / T[-1]) ** (1 / 6)
    axes.plot(T, 1.12 * guide, ls=":", lw=1.4, color=_style.COLOURS[6], label="slope of $T^{2/3}$")
    for (name, policy), colour, mark in zip(
        (("UCB1", UCB1()), ("MOSS", MOSS()), ("Tsallis-INF", TsallisINF())),
        (_style.COLOURS[0], _style.COLOURS[5], _style.COLOURS[4]),
        "s^D",
    ):
        mean, error = worst(policy, horizons, gaps, runs) / scale
        axes.plot(T, mean, mark + "-", ms=4, color=colour, label=name)
        axes.fill_between(T, mean - 3 * error, mean + 3 * error, color=colour, alpha=0.2, lw=0)
    axes.set(xscale="log", yscale="log", xlabel="rounds T", ylabel=r"worst regret over gaps / $\sqrt{KT}$")
    ticks = (0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.2)
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.legend()
    for path in _style.save(figure, "bandit_worst_case"):
        print(path)


if __name__ == "__main__":
    main()
