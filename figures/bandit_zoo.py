r"""Eight algorithms beside the limit of Lai and Robbins (claims anchor/lai-robbins, anchor/kl-ucb, anchor/thompson).

Mean pseudo-regret over independent runs, with three standard errors, on Bernoulli bandits of the means above the panels. Where
the vertical axis is linear and the horizontal one logarithmic, a regret of the order ln T becomes a straight line, and its slope
can be compared with that of the dashed one, :math:`\ln T \sum_a \Delta_a / \mathrm{kl}(\mu_a, \mu^\star)`. This is a limit, not a
bound at finite T: Thompson sampling and KL-UCB lie below it here, and no theorem is broken. What tends to its slope is theirs, that
of Thompson sampling from below and that of KL-UCB from above. EXP3 (with the step :math:`\sqrt{\ln K/(tK)}`) and Tsallis-INF guard
against any losses, independent or not. MOSS is tuned to the last round. Epsilon-greedy with :math:`\epsilon = .1` explores for ever,
and explore-then-commit (200 pulls of each arm) now and then commits to a wrong arm: both are linear in T at last.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from bandits.index_policies import KLUCB, MOSS, UCB1, BetaThompson, EpsilonGreedy, ExploreThenCommit
from bandits.play import simulate
from bandits.stochastic import BernoulliBandit, bernoulli_arms
from bandits.weight_policies import EXP3, TsallisINF
from theory.concentration import bernoulli_kl
from theory.random_streams import run_seeds

ZOO = (
    ("UCB1", UCB1(), _style.COLOURS[0], "-"),
    ("MOSS", MOSS(), _style.COLOURS[5], "-"),
    ("KL-UCB", KLUCB(), _style.COLOURS[2], "-"),
    ("Thompson", BetaThompson(), _style.COLOURS[1], "-"),
    ("EXP3", EXP3(anytime=True), _style.COLOURS[3], "-."),
    ("Tsallis-INF", TsallisINF(), _style.COLOURS[4], "-."),
    ("$\\epsilon$-greedy", EpsilonGreedy(0.1), "0.55", ":"),
    ("explore-then-commit", ExploreThenCommit(200), "0.2", ":"),
)


def limit(bandit: BernoulliBandit) -> float:
    """The constant of Lai and Robbins, sum_a gap_a / kl(mu_a, mu*)."""
    worse = bandit.gaps > 0
    return float((bandit.gaps[worse] / bernoulli_kl(bandit.means[worse], bandit.optimal_mean)).sum())


def draw(axes: Axes, bandit: BernoulliBandit, T: int, runs: int, top: float) -> None:
    """The regret of all on one bandit, up to ``top``."""
    marks = np.unique(np.geomspace(10, T, 50).astype(int))
    for name, policy, colour, dashes in ZOO:
        regret = simulate(policy, bandit, T, run_seeds(0, runs), marks).pseudo_regret
        mean, error = regret.mean(axis=0), 3 * regret.std(axis=0, ddof=1) / np.sqrt(runs)
        axes.plot(marks, mean, color=colour, ls=dashes, label=name)
        axes.fill_between(marks, mean - error, mean + error, color=colour, alpha=0.2, lw=0)
    axes.plot(marks, limit(bandit) * np.log(marks), color="black", ls="--", lw=1.4, label="Lai and Robbins: limit")
    means = ", ".join(f"{mean:g}" for mean in bandit.means)
    axes.set(xscale="log", xlabel="round T", title=f"means {means}", xlim=(marks[0], T), ylim=(0, top))


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    T, runs = _style.sized((20_000, 400), (600, 6))
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 5.0))
    draw(left, bernoulli_arms(means=(0.9, 0.8)), T, runs, _style.sized(120, 40))
    draw(right, bernoulli_arms(means=(0.1, 0.05, 0.05, 0.02)), T, runs, _style.sized(400, 40))
    left.set_ylabel("expected regret")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=10)
    for path in _style.save(figure, "bandit_zoo"):
        print(path)


if __name__ == "__main__":
    main()
