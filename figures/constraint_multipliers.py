"""The optimum of a constrained MDP against its threshold, with multipliers as slopes (claims cmdp-core/multiplier-slopes and
cmdp-core/cliff-walking).

CliffWalking with every tenth action at random, gamma = 0.95. Left: the largest discounted return (a step costs 1) with at most d
expected discounted falls; the tangents have the slope of the optimal multiplier, and touch the curve. Dots are deterministic policies
(best responses to multipliers); between two of them the optimum mixes both. Right: the multiplier, the price of a fall in steps.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from mdplab.models import ConstrainedMDP, TabularMDP, cliff_walking
from mdplab.solvers.constrained import dual_function, solve_constrained

TREMBLE, GAMMA = 0.1, 0.95


def model() -> ConstrainedMDP:
    """The walk with its trembling hand; the cost is the expected number of falls of a step."""
    mdp = cliff_walking(gamma=GAMMA)
    P, R = mdp.dense()
    falls = (R <= -100).astype(float)
    P = (1 - TREMBLE) * P + TREMBLE * P.mean(axis=1, keepdims=True)
    falls = (1 - TREMBLE) * falls + TREMBLE * falls.mean(axis=1, keepdims=True)
    walk = TabularMDP.from_dense(P, np.where(R < 0, -1.0, 0.0), GAMMA, mdp.start)
    return ConstrainedMDP(walk, falls, np.array([1 / (1 - GAMMA)]))


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    cmdp = model()
    low, high = 0.0285, 0.062  # below, the curve falls off a cliff of its own; above, it is a line up to 0.206
    budgets = np.linspace(low, high, _style.sized(68, 9))
    optima = [solve_constrained(cmdp.replace(threshold=d)) for d in budgets]
    values = np.array([o.value for o in optima])
    prices = np.array([o.multipliers[0] for o in optima])
    responses = [dual_function(cmdp, x) for x in np.geomspace(2.0, 300, _style.sized(60, 8))]
    corners = {(round(p.costs[0], 9), round(p.value, 9)) for p in responses if low <= p.costs[0] <= high}
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.2))
    left.plot(budgets, values, color=_style.COLOURS[0], label="optimum", zorder=3)
    left.plot(*zip(*sorted(corners)), "o", color=_style.COLOURS[6], ms=5, label="deterministic policies", zorder=4)
    for colour, d, reach in zip(_style.COLOURS[1:4], (0.0305, 0.035, 0.054), (0.0035, 0.009, 0.011)):
        found = solve_constrained(cmdp.replace(threshold=d))
        price = found.multipliers[0]
        ends = np.array([-reach, reach])
        left.plot(
            d + ends, found.value + price * ends, color=colour, ls="--", lw=1.4, label=f"slope $\\lambda^\\star$ = {price:.3g}"
        )
        left.plot([d], [found.value], "s", color=colour, ms=6, zorder=5)
    left.set(xlabel="budget d of expected discounted falls", ylabel="largest discounted return", ylim=(-12.45, -11.3))
    left.legend(loc="lower right")
    right.step(budgets, prices, where="mid", color=_style.COLOURS[0])
    right.set(xlabel="budget d of expected discounted falls", ylabel="price of a fall, in discounted steps", yscale="log")
    for path in _style.save(figure, "constraint_multipliers"):
        print(path)


if __name__ == "__main__":
    main()
