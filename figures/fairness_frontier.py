"""The price of a reported pair moves a learner from accuracy to fairness (claim onesided-fairness/frontier).

Exponential weights with one-sided feedback, 2000 rounds of three people, on problems that are drawn anew; mean over problems with
three standard errors. Left: the frontier by the price C. Right: rounds with a report as time goes by.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from bandits.exp2_fairness import exp2_fairness
from bandits.one_sided_feedback import applicants
from theory.random_streams import run_seeds

PRICES = (0.0, 1.0, 3.0, 10.0, 30.0)
ROUNDS = _style.sized(2000, 400)
PROBLEMS = _style.sized(200, 10)


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    marks = np.unique(np.geomspace(10, ROUNDS, 25).astype(int))
    errors, reports = np.empty((2, len(PRICES), PROBLEMS, marks.size))
    for n, seed in enumerate(run_seeds(0, PROBLEMS)):
        problem = applicants(T=ROUNDS, seed=int(seed))
        for c, price in enumerate(PRICES):
            kept = exp2_fairness(problem, price, seed[None], checkpoints=marks)
            errors[c, n], reports[c, n] = kept.errors[0], kept.violations[0]
    share = errors[:, :, -1] / (ROUNDS * problem.group)
    rate = reports[:, :, -1] / ROUNDS
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.2))
    left.plot(rate.mean(axis=1), share.mean(axis=1), color="0.7", zorder=0)
    for c, (price, colour) in enumerate(zip(PRICES, _style.COLOURS)):
        spread = [3 * values.std(ddof=1) / np.sqrt(PROBLEMS) for values in (rate[c], share[c])]
        left.errorbar(rate[c].mean(), share[c].mean(), xerr=spread[0], yerr=spread[1], color=colour, marker="o", lw=1)
        left.annotate(f"C = {price:g}", (rate[c].mean(), share[c].mean()), (9, 6), textcoords="offset points", color=colour)
        right.plot(marks, reports[c].mean(axis=0), color=colour, label=f"C = {price:g}")
    left.set(xlabel="rounds with a report, share", ylabel="errors, share of the people", title="Fewer reports, more errors")
    left.set_xlim(-0.02, 1.2 * rate[0].mean())
    right.set(xscale="log", yscale="log", xlabel="round", ylabel="rounds with a report so far", title="Reports as time goes by")
    right.set_ylim(0.5, None)
    right.legend()
    for path in _style.save(figure, "fairness_frontier"):
        print(path)


if __name__ == "__main__":
    main()
