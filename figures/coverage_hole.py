"""What one response that no pair shows does to a policy (claims coverage/necessity-quantified, rlhf-vs-dpo, hypo-selects).

A bad response, the hole, has the probability delta under the reference. Left: the gap to the optimum of a minimiser of DPO's
loss and of IPO's that give the hole the probability 1/2, of RLHF whose learnt reward takes the hole for the best response,
and of HyPO. Right: the coverage that bounds refer to, and the density ratios that the policies have.
"""

from typing import Any

import _style
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from bandits.preference.comparisons import population_weights
from bandits.preference.families import hole_bandit
from bandits.preference.hypo import minimise_hypo
from bandits.preference.kl_bandit import kl_gap
from theory.coverage import kl_ball_ratio, largest_ratio
from theory.divergences import kl
from theory.links import bradley_terry
from theory.tilts import log_tilt

DELTAS = 10.0 ** -np.arange(1, 17)
TAU = 0.1
COEFFICIENT = 0.01


def half_on_the_hole(log_policy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half of a policy of the covered responses, and half of the mass on the hole."""
    covered = log_policy[:-1] - np.logaddexp.reduce(log_policy[:-1])
    return np.append(covered, 0.0) + np.log(0.5)


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    gaps: dict[str, list[float]] = {"DPO, a minimiser": [], "IPO, a minimiser": [], "RLHF, worst guess": [], "HyPO": []}
    coverage: dict[str, list[float]] = {"$C_{glo}$": [], "$C_{loc}$": [], "DPO": [], "RLHF": [], "HyPO": []}
    for delta in DELTAS:
        bandit = hole_bandit(K=4, delta=float(delta), beta=0.5, hole=-3.0, concentration=float("inf"), seed=2)
        reference, reward = bandit.log_reference, bandit.reward
        guess = np.append(reward[:-1], reward.max())
        wins = bradley_terry(reward[:-1]).mean(axis=1)  # the covered responses are equally likely
        hybrid = minimise_hypo(reference, population_weights(bandit), bandit.beta, COEFFICIENT).log_policy
        policies = {
            "DPO, a minimiser": half_on_the_hole(bandit.log_optimum),
            "IPO, a minimiser": half_on_the_hole(log_tilt(reference, np.append(wins, 0.0), TAU)),
            "RLHF, worst guess": log_tilt(reference, guess, bandit.beta),
            "HyPO": hybrid,
        }
        for name, policy in policies.items():
            gaps[name].append(float(kl_gap(bandit, policy)))
            short = name.split(",")[0]
            if short in coverage:
                coverage[short].append(float(largest_ratio(policy, reference)))
        radius = kl(bandit.log_optimum, reference, log=True)
        coverage["$C_{glo}$"].append(1 / float(delta))
        coverage["$C_{loc}$"].append(float(kl_ball_ratio(delta, radius)))

    colours = dict(zip(("DPO", "IPO", "RLHF", "HyPO"), _style.COLOURS))
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.6, 4.4))
    # the first two curves nearly coincide
    looks: dict[str, dict[str, Any]] = {
        "DPO": {"marker": "o", "ms": 8, "mfc": "none"},
        "IPO": {"marker": "s", "ms": 3.5, "ls": "--"},
        "RLHF": {"marker": "^", "ms": 5},
        "HyPO": {"marker": "D", "ms": 4},
    }
    for name, values in gaps.items():
        short = name.split(",")[0]
        left.plot(DELTAS, values, color=colours[short], label=name, **looks[short])
    left.annotate(
        "grows like (β/2) ln(1/δ)", (1e-13, gaps["DPO, a minimiser"][12]), (0, 14), textcoords="offset points", ha="center"
    )
    left.annotate("falls like δ", (1e-9, gaps["RLHF, worst guess"][8]), (10, 10), textcoords="offset points")
    left.annotate("its bias, of the order λ²", (1e-13, gaps["HyPO"][12]), (0, 7), textcoords="offset points", ha="center")
    left.set(ylabel="gap J(π*) − J(π)", title="the gap", ylim=(1e-17, 3e3))
    left.legend(loc="lower left", fontsize=10)

    styles = {
        "$C_{glo}$": ("black", "-", "$C_{glo} = 1/δ$"),
        "$C_{loc}$": ("0.45", "--", "$C_{loc}$ of the ball that holds π*"),
        "DPO": (colours["DPO"], ":", "max π/μ of DPO's minimiser"),
        "RLHF": (colours["RLHF"], "-.", "max π/μ of RLHF"),
        "HyPO": (colours["HyPO"], (0, (5, 1)), "max π/μ of HyPO"),
    }
    for name, values in coverage.items():
        colour, dashes, label = styles[name]
        right.plot(DELTAS, values, color=colour, ls=dashes, label=label)
    right.set(title="coverage", ylim=(0.5, 1e18))
    right.legend(loc="upper left", fontsize=10)
    for axes in (left, right):
        axes.set(xscale="log", yscale="log", xlabel="probability δ of the hole under the reference")
        axes.invert_xaxis()
    for path in _style.save(figure, "coverage_hole"):
        print(path)


if __name__ == "__main__":
    main()
