"""A misspecified model that is retrained on its own log gets better and worse for ever (claim adyen-igw/oscillation).

Left: the expected reward of each generation on the smallest example, two contexts and one feature, with inverse-gap weighting of
learning rate 200. Weighting the log by 1/p ends the oscillation, at a value below the average of the cycle; so does exploration (gamma = 5),
and so does a feature that represents the means (claim adyen-igw/realizable-no-oscillation). Right: the values of the last 20 of 200
generations, by the learning rate: below about 15 they agree, above it they alternate between two.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from bandits.contextual import ContextualBandit
from bandits.retraining import LinearProblem, alternating, retrain


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.0), width_ratios=(1.25, 1))
    problem = alternating()
    exact = LinearProblem(ContextualBandit(problem.bandit.means), problem.bandit.means[..., None])
    generations = np.arange(13)
    lines = (
        ("realizable: the feature is the mean", retrain(exact, 200.0, 12), "s-", 2),
        ("misspecified, $\\gamma = 200$", retrain(problem, 200.0, 12), "o-", 1),
        ("misspecified, log weighted by 1/p", retrain(problem, 200.0, 12, reweighted=True), "^-", 3),
        ("misspecified, $\\gamma = 5$", retrain(problem, 5.0, 12), "d-", 0),
    )
    for label, history, marker, colour in lines:
        left.plot(generations, history.values, marker, ms=5, color=_style.COLOURS[colour], label=label)
    left.set(xlabel="generation", ylabel="expected reward", ylim=(0.1, 1.32), xticks=generations[::2])
    left.legend(fontsize=9, loc="upper center", ncols=1)

    rates = np.geomspace(2, 1000, _style.sized(240, 40))
    late = np.array([retrain(problem, float(gamma), _style.sized(200, 60)).values[-20:] for gamma in rates])
    right.plot(np.repeat(rates, 20), late.ravel(), ".", ms=2.5, color=_style.COLOURS[1])
    right.set(xscale="log", xlabel=r"learning rate $\gamma$", ylabel="expected reward of late generations")
    for path in _style.save(figure, "igw_generations"):
        print(path)


if __name__ == "__main__":
    main()
