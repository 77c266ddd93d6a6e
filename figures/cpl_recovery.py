"""Contrastive preference learning recovers the optimal policy from preferences by regret, and not from partial returns (claim
cpl/consistency).

Each point is the probability of an action in a state of one of 15 random models of three states. All segments of two steps are compared, with exact
probabilities, as people would by regret (left) or by the discounted sum of rewards (right).
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from mdplab.learning.contrastive_preference import all_segments, discounted_counts, fit_contrastive
from mdplab.models import garnet
from mdplab.solvers import soft_policy_iteration
from theory.links import bradley_terry

ALPHA, MODELS = 0.5, 15


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    truth: list[float] = []
    found: dict[str, list[float]] = {"regret": [], "partial return": []}
    for seed in range(MODELS):
        mdp = garnet(S=3, A=2, b=2, gamma=0.9, rewards="normal", seed=seed)
        solution = soft_policy_iteration(mdp, ALPHA)
        segments = all_segments(mdp, 2)
        counts = discounted_counts(mdp, segments)
        truth += solution.policy.tolist()
        scores = {"regret": solution.q - solution.value[mdp.pair_state], "partial return": mdp.reward}
        for name, values in scores.items():
            fit = fit_contrastive(mdp, segments, bradley_terry(counts @ values), ALPHA)
            found[name] += np.exp(fit.log_policy).tolist()
    figure, all_axes = plt.subplots(1, 2, figsize=(8.8, 4.5))
    for axes, colour, (name, probabilities) in zip(all_axes, _style.COLOURS, found.items()):
        axes.plot([0, 1], [0, 1], color="black", lw=0.8)
        axes.plot(truth, probabilities, "o", color=colour, ms=5, alpha=0.7, mew=0)
        error = np.abs(np.array(truth) - probabilities).max()
        title = f"preferences by {name}\nlargest error {'below 1e-6' if error < 1e-6 else f'{error:.2f}'}"
        axes.set(title=title, xlabel="optimal policy", ylabel="learnt policy", aspect="equal")
    for path in _style.save(figure, "cpl_recovery"):
        print(path)


if __name__ == "__main__":
    main()
