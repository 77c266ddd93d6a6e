"""How many groups of actions a budget of samples can afford (claims actgroup/u-shape, greedy-selection, typical-selection).

Mean loss of the certainty-equivalent plan over G nested groups of 64 actions, for budgets of n samples in all (200 runs, three standard
errors shaded); dashed, what remains with samples without end. The filled circle is the number of groups that the expected error
chooses, the open square the one that the worst-case bound chooses.
"""

from __future__ import annotations

import _style
import matplotlib.pyplot as plt
import numpy as np

from mdplab.learning.grouping_planner import approximation_bound, estimation_bound, plan_groups
from mdplab.models.grouped_actions import GroupedMDP, dyadic_groups, group_mdp, nested_actions, within_group_spread
from mdplab.solvers import policy_iteration

BUDGETS = _style.sized((80, 320, 2560, 20_480, 163_840), (80, 320, 2560))
RUNS = _style.sized(200, 10)


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    mdp = nested_actions(seed=0)
    best = policy_iteration(mdp).value
    numbers = 2 ** np.arange(7)
    models = [GroupedMDP(mdp, dyadic_groups(mdp.max_actions, int(G))) for G in numbers]
    spreads = np.array([within_group_spread(model) for model in models])
    span = float(np.ptp(best))
    approximation = approximation_bound(spreads[:, 0], spreads[:, 1], span, mdp.gamma)
    figure, axes = plt.subplots(figsize=(7.6, 4.8))
    for colour, budget in zip(_style.COLOURS, BUDGETS):
        affordable = numbers[mdp.states * numbers <= budget]
        losses = np.array([(best - plan_groups(m, budget, RUNS, 1).values).mean(axis=1) for m in models[: affordable.size]])
        mean, error = losses.mean(axis=1), losses.std(axis=1, ddof=1) / np.sqrt(RUNS)
        axes.plot(affordable, mean, color=colour, label=f"n = {budget:,}".replace(",", " "))
        axes.fill_between(affordable, mean - 3 * error, mean + 3 * error, color=colour, alpha=0.25, lw=0)
        for union, marker, face in ((False, "o", colour), (True, "s", "none")):
            bound = estimation_bound(mdp.states, affordable, budget, span, mdp.gamma, union=union)
            chosen = int(np.argmin(approximation[: affordable.size] + bound))
            axes.plot(affordable[chosen], mean[chosen], marker=marker, ms=8, mfc=face, mec=colour, ls="none")
    rest = [float((best - policy_iteration(group_mdp(model)).value).mean()) for model in models[:-1]]
    axes.plot(numbers[:-1], rest, color="black", ls="--", lw=1.2, label="without end")
    axes.plot([], [], "o", color="grey", label="chosen by the expected error")
    axes.plot([], [], "s", color="grey", mfc="none", label="chosen by the worst case")
    axes.set(xscale="log", yscale="log", xlabel="groups G", ylabel="loss V* − V from a uniform start")
    axes.set_xticks(numbers, [str(G) for G in numbers])
    axes.minorticks_off()
    figure.legend(loc="outside right upper")
    for path in _style.save(figure, "action_grouping"):
        print(path)


if __name__ == "__main__":
    main()
