"""Weighted sums find corners of the Pareto front; constrained extension fills its faces (claims c-morl/scalarisation-vertices,
beyond-scalarisation, extension-rate).

Left: the values of all policies of a random model of five states with two objectives (grey), its deterministic policies (dots; black
those that no other one dominates) and the exact front. Stage 1 of C-MORL maximises weighted sums for five preferences. Stage 2
starts from there and maximises the first objective subject to a lower bound on the second, in the middle of the sparsest segment,
twelve times. Right: the share of the hypervolume of the front that is missed after n steps from the front's two ends, with the
bound 2a/(n + 2), a the box between the ends; and what all deterministic policies miss (dashed), which no number of weighted sums
improves.
"""

import itertools

import _style
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from mdplab.models.multi_objective import MultiObjectiveMDP, random_objectives
from mdplab.solvers.c_morl import extend_front, preference_solutions
from mdplab.solvers.hypervolume import dominated_volume, hypervolume, nondominated
from mdplab.solvers.pareto import pareto_front, value_vector

STATES, ACTIONS, SEED = 5, 2, 25
STEPS = 12
LONG = _style.sized(100, 20)
Floats = NDArray[np.float64]


def deterministic(model: MultiObjectiveMDP) -> Floats:
    """The value vectors of all deterministic policies."""
    choices = itertools.product(range(ACTIONS), repeat=STATES)
    return np.array([value_vector(model, model.mdp.state_pointer[:-1] + np.array(c)).value for c in choices])


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    model = random_objectives(S=STATES, A=ACTIONS, seed=SEED)
    front = pareto_front(model)
    policies = deterministic(model)
    first = np.unique(
        np.array([s.value for s in preference_solutions(model, [[w, 1 - w] for w in np.linspace(0, 1, 5)])]).round(12), axis=0
    )
    extended = extend_front(model, first[nondominated(first)], STEPS, front=front)
    second = extended[nondominated(first).sum() :]
    best = nondominated(policies)
    blue, orange, green = _style.COLOURS[0], _style.COLOURS[1], _style.COLOURS[2]

    figure, (left, right) = plt.subplots(1, 2, figsize=(11.5, 5.0), width_ratios=(1.25, 1))
    hull = policies[ConvexHull(policies).vertices]
    left.fill(*hull.T, color="0.92", lw=0, label="values of all policies")
    left.plot(*policies[~best].T, "o", color="0.65", ms=4, label="deterministic, dominated")
    left.plot(*front.vertices.T, color=blue, lw=2.4, label="exact Pareto front", zorder=2)
    left.plot(*policies[best].T, "o", color="black", ms=5.5, label="deterministic, not dominated", zorder=3)
    left.plot(*first.T, "s", mfc="none", mec=orange, mew=2.0, ms=12, label="stage 1: weighted sums", zorder=4)
    left.plot(*second.T, "D", color=green, ms=6, mec="white", mew=0.6, label="stage 2: constrained extension", zorder=4)
    left.set(xlabel="value of objective 1", ylabel="value of objective 2")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower left", ncols=3, fontsize=9.5)

    floor = model.floor - 1.0
    whole = dominated_volume(front.vertices, floor)
    points, missed = front.vertices[[0, -1]], []
    box = float(np.abs(points[0] - points[1]).prod())
    for _ in range(LONG + 1):
        missed.append(whole - hypervolume(points, floor))
        points = extend_front(model, points, 1, front=front)
    n = np.arange(LONG + 1)
    right.loglog(n + 2, np.array(missed) / whole, color=green, label="constrained extension")
    right.loglog(n + 2, 2 * box / (n + 2) / whole, color="black", lw=1.2, label="bound 2a / (n + 2)")
    right.axhline((whole - hypervolume(policies, floor)) / whole, color=orange, ls="--", label="all deterministic policies")
    right.set(xlabel="n + 2, number of points", ylabel="share of the hypervolume missed")
    right.legend(loc="lower left", fontsize=9)
    for path in _style.save(figure, "c_morl_front"):
        print(path)


if __name__ == "__main__":
    main()
