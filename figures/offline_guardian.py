"""A guardian makes the costs that a learned model promises believable (claims ogsrl/transfer, safety).

Each point is the policy that a learned model likes best within a budget of cost: what the model believes it to cost, and what it costs
in the worst truth that agrees with the data. The models are random, wrong by at most e = 0.01 in a row where there are data, and by
anything elsewhere, where they are too fond of what they do not know. With the guardian, who allows 2% of the time outside the data,
the true cost stays below the dashed line, budget plus gamma (e + (1 - e) 0.02) / (1 - gamma + gamma e), which is known in advance.
Without, it does not: the diamond is a model that believes one unknown action to be free. On the right, a loop that may
leak: there the bound is attained, and the published one (dotted) passes 1 where the model is poor.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from mdplab.models.learned import LearnedModel, leaking_loop, misjudged_model, tempting_gap
from mdplab.solvers.guarded_offline import normalised_return, return_error, solve_guarded, worst_truth

BUDGET, OUTSIDE, ERROR, GAMMA = 0.2, 0.02, 0.01, 0.9


def believed_and_true(model: LearnedModel, outside: float) -> tuple[float, float]:
    """Cost of the best policy within the budget, in the model and in the worst truth."""
    found = solve_guarded(model, BUDGET, outside)
    return found.cost, normalised_return(worst_truth(model, found.policy, -model.cost), found.policy, model.cost)


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    models = [misjudged_model(A=4, outside=0.5, error=ERROR, gamma=GAMMA, seed=k) for k in range(_style.sized(150, 8))]
    kept = []
    for model in models:
        frugal = LearnedModel(model.mdp.replace(reward=1 - model.cost), model.cost, model.supported, model.error)
        if 1 - solve_guarded(frugal, 1.0, OUTSIDE).reward < BUDGET - 1e-6:
            kept.append(model)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.4, 4.3), width_ratios=(3, 2))
    shift = np.random.default_rng(0).uniform(-0.004, 0.004, len(kept))
    for outside, colour, mark, name in ((1.0, 1, "^", "without the guardian"), (OUTSIDE, 0, "o", "with the guardian")):
        points = np.array([believed_and_true(model, outside) for model in kept])
        left.plot(points[:, 0] + shift, points[:, 1], mark, color=_style.COLOURS[colour], ms=4.5, alpha=0.6, label=name)
        tempted = believed_and_true(tempting_gap(ERROR, GAMMA), outside)
        left.plot(*tempted, "D", color=_style.COLOURS[colour], ms=8, mec="black")
    bound = BUDGET + return_error(GAMMA, ERROR, OUTSIDE)
    left.axhline(bound, color="black", ls="--", lw=1.3, label="budget + bound known in advance")
    left.axvline(BUDGET, color="grey", lw=1.0)
    left.text(BUDGET - 0.003, 0.97, "budget", ha="right", va="top", fontsize=9.5)
    left.set(xlabel="cost in the model (jittered)", ylabel="cost in the worst truth", ylim=(0, 1.0))
    leaks = np.geomspace(1e-3, 0.5, _style.sized(25, 6))
    loops = [leaking_loop(e, 0.0, GAMMA) for e in leaks]
    true = [normalised_return(worst_truth(m, np.ones(3), -m.cost), np.ones(3), m.cost) for m in loops]
    right.plot(leaks, GAMMA * leaks / (1 - GAMMA), ":", color="black", label="published bound")
    right.plot(leaks, [return_error(GAMMA, e) for e in leaks], "--", color="black", label="bound")
    right.plot(leaks, true, "o", color=_style.COLOURS[2], ms=4.5, label="worst truth of a loop")
    right.set(
        xscale="log", yscale="log", xlabel="error e of the model", ylabel="true cost of a policy believed free", ylim=(0.005, 5)
    )
    right.legend(loc="upper left")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower left", ncols=3)
    for path in _style.save(figure, "offline_guardian"):
        print(path)


if __name__ == "__main__":
    main()
