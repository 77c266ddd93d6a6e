"""Optimal policies jump where the reward passes a tie; entropy-regularised ones slide (claims policy-cliff/selection,
true-value-jump, value-continuous, entropy-lipschitz, entropy-cost).

At a fork at discount 0.9, going left pays x in every step in the eyes of the learner and going right 0. In truth left pays -1. Left
to right: how the policy chooses, what the learner thinks that it is worth, and what it is truly worth.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from mdplab.models import fork
from mdplab.solvers import evaluate_policy, soft_policy_iteration, solve, uniform_policy

GAMMA = 0.9
ALPHAS = (0.1, 0.5, 2.0)
EDGE = 0.5  # rewards from -EDGE to EDGE


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    half = np.linspace(0.0, EDGE, _style.sized(121, 21))[1:]
    truth = fork(left=-1.0, right=0.0, after_left=-1.0, after_right=0.0, gamma=GAMMA)
    rewards = np.concatenate((-half[::-1], half))  # the tie itself is left out: there, every policy is optimal

    def row(x: float, alpha: float | None) -> tuple[float, float, float]:
        mdp = fork(left=x, right=0.0, after_left=x, after_right=0.0, gamma=GAMMA)
        policy = uniform_policy(mdp) * 0.0
        if alpha is None:
            policy[solve(mdp).policy] = 1.0
        else:
            policy = soft_policy_iteration(mdp, alpha).policy
        return policy[0], evaluate_policy(mdp, policy).value[0], evaluate_policy(truth, policy).value[0]

    figure, all_axes = plt.subplots(1, 3, figsize=(11.5, 4.2))
    names: dict[float | None, str] = {None: "optimal"} | {alpha: f"with entropy, α = {alpha:g}" for alpha in ALPHAS}
    for colour, dashes, (alpha, name) in zip(_style.COLOURS, ("-", "-.", "--", ":"), names.items()):
        curves = np.array([row(x, alpha) for x in rewards]).T
        for axes, curve in zip(all_axes, curves):
            if alpha is None and axes is not all_axes[1]:  # a jump is no line
                sides = (rewards < 0, rewards > 0)
                for side, label in zip(sides, (name, None)):
                    axes.plot(rewards[side], curve[side], color=colour, ls=dashes, label=label, zorder=3)
                axes.plot([0, 0], [curve[sides[0]][-1], curve[sides[1]][0]], "o", color=colour, mfc="white", zorder=4)
            else:
                axes.plot(rewards, curve, color=colour, ls=dashes, label=name)
    titles = ("policy", "return under the learner's reward", "true return")
    labels = ("probability of going left", "expected discounted return", "expected discounted return")
    for axes, title, label in zip(all_axes, titles, labels):
        axes.axvline(0.0, color="black", lw=0.8, alpha=0.4)
        axes.set(xlabel="learner's reward x of left, per step", ylabel=label, title=title, xlim=(-EDGE, EDGE))
    handles, texts = all_axes[0].get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=4)
    for path in _style.save(figure, "policy_cliff"):
        print(path)


if __name__ == "__main__":
    main()
