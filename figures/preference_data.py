"""Where the responses of labelled pairs come from: the reference, the learner, or one half of the pairs each (claims
rso/mixture-is-safe, vpo/online-regret).

Eight covered responses with normal rewards (deviation 0.5) and a reference drawn from Dirichlet(0.5), and a bad response (reward -1)
that the reference takes with probability 0.003; beta = 0.1. The learner maximises the Bradley-Terry likelihood over rewards in a box
of width 8 and plays the tilt of the reference by them (the tabular DPO policy, where the box is not felt). It is fitted anew whenever
the number of labels has grown by 20 %; both responses of a pair come from the same law. 300 runs: 10 on each of 30 bandits.

Left: what the policy loses to the optimum, the median over runs and the upper quartile (thin). Right: the share of runs that lose more
than 0.3. A learner that sees pairs of its own alone never tries again what looked bad, and half of the runs stay where they are. Pairs
of the reference lead to the optimum; with half of each the learner comes nearer in the end, the more so in its worse runs.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np
from scipy.special import log_softmax

from bandits.preference.box_likelihood import fit_in_box
from bandits.preference.comparisons import independent_pairs, labelled, sample_counts
from bandits.preference.families import hole_bandit
from bandits.preference.kl_bandit import KLBandit, kl_gap
from bandits.preference.optimistic_reward import refit_rounds
from theory.links import bradley_terry
from theory.tilts import log_tilt

BANDITS, RUNS, LABELS = _style.sized(30, 3), _style.sized(10, 2), _style.sized(10_000, 1000)
SOURCES = {
    "pairs of the reference": 0.0,
    "half of each": 0.5,
    "pairs of the learner": 1.0,
}  # the share of the learner's own pairs


def losses(bandit: KLBandit, share: float, marks: np.ndarray, rng: np.random.Generator) -> list[float]:
    """What one run's policy loses when it has seen each number of labels."""
    wins = bradley_terry(bandit.reward)
    offline = independent_pairs(bandit.reference)
    counts, policy, found = np.zeros_like(wins), bandit.log_reference, []
    for new in np.diff(marks, prepend=0):
        law = (1 - share) * offline + share * independent_pairs(np.exp(policy))
        counts = counts + sample_counts(labelled(law, wins), int(new), rng)
        policy = log_softmax(log_tilt(bandit.log_reference, fit_in_box(counts, -4.0, 4.0).reward, bandit.beta))
        found.append(float(kl_gap(bandit, policy)))
    return found


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    marks = refit_rounds(LABELS, 0.2)
    marks = marks[marks >= 10]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11.5, 4.4))
    for colour, dashes, (name, share) in zip(_style.COLOURS, ("--", "-", "-."), SOURCES.items()):
        rows = np.array(
            [
                losses(
                    hole_bandit(K=8, delta=0.003, beta=0.1, hole=-1.0, spread=0.5, concentration=0.5, seed=b),
                    share,
                    marks,
                    np.random.default_rng([b, run]),
                )
                for b in range(BANDITS)
                for run in range(RUNS)
            ]
        )
        middle, high = np.quantile(rows, (0.5, 0.75), axis=0)
        left.plot(marks, middle, color=colour, ls=dashes, label=name)
        left.plot(marks, high, color=colour, ls=dashes, lw=0.8)
        right.plot(marks, (rows > 0.3).mean(axis=0), color=colour, ls=dashes, label=name)
    left.set(xscale="log", yscale="log", xlabel="labels", ylabel="loss to the optimum", title="median and upper quartile")
    right.set(xscale="log", xlabel="labels", ylabel="share of runs", title="runs that lose more than 0.3", ylim=(0, 1))
    for axes in (left, right):
        axes.legend()
    for path in _style.save(figure, "preference_data"):
        print(path)


if __name__ == "__main__":
    main()
