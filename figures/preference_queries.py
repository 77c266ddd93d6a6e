"""What a comparison buys: regret against queries of PR-LSVI over its threshold (claims prefrand/tradeoff, tuned-arms, query-budget).

T = 16000 rounds, one point for each threshold epsilon from 1.0 down to 0.025, sigma = 1/2, slope 4. Random contexts: means
over 64 runs on 256 contexts of ten unit vectors in R^5, new policy against the previous one, and against itself, where
nothing is ever asked. Tuned arms: for each threshold the largest exact expected regret over all gaps, at the gap that is just
not queried, against the largest number of queries that the threshold can lead to on two arms. The dashed line, of slope -1/2,
is below every algorithm on two arms tuned to its number of queries q: 0.19 T / (s sqrt q).
"""

import _style
import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize_scalar

from mdplab.learning.preference_lsvi import most_queries, pr_lsvi, query_width, unit_contexts
from theory.random_streams import run_seeds

ROUNDS, RUNS, SLOPE, SIGMA = _style.sized(16_000, 1000), _style.sized(64, 8), 4.0, 0.5
EPSILONS = np.geomspace(1.0, 0.025, 11)


def budget_constant() -> float:
    """max_u (u/2) (1 - sqrt(1 - exp(-u^2/2))).

    The bound of prefrand/query-budget at the gap u/(s sqrt q), where kappa q = u sqrt(q) tanh(u / (2 sqrt q)) <= u^2/2.
    """
    found = minimize_scalar(lambda u: -u / 2 * (1 - np.sqrt(-np.expm1(-(u**2) / 2))), bounds=(0.01, 5), method="bounded")
    return -float(found.fun)


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    problem, seeds = unit_contexts(seed=0), run_seeds(0, RUNS)
    runs = [pr_lsvi(problem, ROUNDS, float(epsilon), seeds, sigma=SIGMA) for epsilon in EPSILONS]
    queries = np.array([r.queries.mean() for r in runs])
    regret = np.array([r.pseudo_regret.mean() for r in runs])
    blind = pr_lsvi(problem, ROUNDS, 0.1, seeds, sigma=SIGMA, comparator="same").pseudo_regret.mean()
    widths = np.array([query_width(float(epsilon), SIGMA) for epsilon in EPSILONS])
    most = np.array([most_queries(1, 2.0, float(width)) for width in widths])

    figure, axes = plt.subplots()
    axes.plot(queries, regret, "o-", color=_style.COLOURS[0], label="random contexts, new against previous policy")
    axes.axhline(blind, color=_style.COLOURS[1], ls=":", label="random contexts, two copies of the new policy: no query")
    axes.plot(most, ROUNDS * widths / 2, "s-", color=_style.COLOURS[2], label="two arms, tuned to the threshold: T c / 2")
    budget = np.geomspace(1, 4000, 50)
    axes.plot(
        budget,
        budget_constant() * ROUNDS / (SLOPE * np.sqrt(budget)),
        "--",
        color="black",
        label="no algorithm below, on arms tuned to q: slope -1/2",
    )
    for i in (0, 5, 10):
        axes.annotate(
            rf"$\epsilon = {EPSILONS[i]:.2g}$", (queries[i], regret[i]), textcoords="offset points", xytext=(8, 4), fontsize=9
        )
    axes.set(xscale="log", yscale="log", xlabel="queries q", ylabel=f"regret in {ROUNDS} rounds")
    axes.legend(fontsize=8.5, loc="lower left")
    for path in _style.save(figure, "preference_queries"):
        print(path)


if __name__ == "__main__":
    main()
