"""Reward against cost: the front of a constrained MDP, and the iterates of natural policy gradient primal-dual (claims
cmdp-core/strong-duality, cmdp-core/npg-pd-rate and cmdp-core/dual-descent).

A random model (5 states, 3 actions, gamma = 0.9); the budget is the vertical line. Dots are all deterministic policies, the curve is the
front of their mixtures, from the occupancy program. Iterates run round the optimum and jump across the budget for ever; the
average of their returns converges to it. Right: how far average and last iterate exceed the budget.
"""

import itertools

import _style
import matplotlib.pyplot as plt
import numpy as np

from mdplab.models import TabularMDP, random_costs
from mdplab.solvers.constrained import between_thresholds, slater_point, solve_constrained
from mdplab.solvers.evaluation import evaluate_policies
from mdplab.solvers.npg_primal_dual import npg_primal_dual
from theory.bounds.primal_dual import multiplier_bound


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    free = random_costs(S=5, A=3, seed=1)
    cmdp = between_thresholds(free, 0.5)
    assert isinstance(cmdp.mdp, TabularMDP)
    mdp, budget = cmdp.mdp, float(cmdp.threshold[0])
    policies = np.array(list(itertools.product(*(range(a, b) for a, b in itertools.pairwise(mdp.state_pointer.tolist())))))
    rho = mdp.start_distribution
    cloud = [evaluate_policies(mdp.replace(reward=x), policies)[0] @ rho for x in (cmdp.cost[0], mdp.reward)]
    models = [between_thresholds(free, s) for s in np.linspace(0.0, 1.0, _style.sized(40, 8))]
    front = np.array([(float(m.threshold[0]), solve_constrained(m).value) for m in models])
    optimum = solve_constrained(cmdp)
    T = _style.sized(1600, 200)
    cap = 2 * multiplier_bound(mdp.gamma, slater_point(cmdp).lower)
    run = npg_primal_dual(cmdp, 0.05, 0.01, T, cap=cap)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.2, 4.4), width_ratios=(1.25, 1))
    left.plot(*cloud, ".", color="0.6", ms=4, label="deterministic policies")
    left.plot(*front.T, color=_style.COLOURS[6], label="front")
    left.plot(run.costs[:, 0], run.rewards, color=_style.COLOURS[5], lw=0.9, label="NPG primal-dual, iterates")
    left.plot(run.average_costs[:, 0], run.average_rewards, color=_style.COLOURS[1], label="their average")
    left.plot([budget], [optimum.value], "*", color=_style.COLOURS[1], ms=14, mec="white", zorder=5, label="optimum")
    left.axvline(budget, color=_style.COLOURS[3], ls="--", lw=1.2, label="budget")
    left.set(xlabel="cost $J_c$", ylabel="reward $J_r$")
    left.set_xlim(2.3, 8.0)
    t = np.arange(1, T + 1)
    right.plot(t, run.costs[:, 0] - budget, color=_style.COLOURS[5], lw=0.9, label="iterate")
    right.plot(t, run.average_costs[:, 0] - budget, color=_style.COLOURS[1], label="average")
    right.axhline(0, color=_style.COLOURS[3], ls="--", lw=1.2)
    right.set(xlabel="iterations", ylabel="cost above the budget")
    right.legend(loc="lower right")
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=6, fontsize=9, columnspacing=1.2)
    for path in _style.save(figure, "primal_dual_plane"):
        print(path)


if __name__ == "__main__":
    main()
