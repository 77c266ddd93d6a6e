"""What it costs to be justifiable: the two returns of optimal policies as the debate's reward weighs more (debate/scalarisation).

Left: the returns of a random model (5 states, 3 actions, discount 0.9) run down a concave staircase; each corner is optimal for an
interval of weights, and a step's slope is the exchange rate at which its two policies tie. Right: how often a debate's outcome is the
verdict on all six items (debate/agreement), and evidence drawn at random for comparison.
"""

from fractions import Fraction

import _style
import matplotlib.pyplot as plt
import numpy as np

from games.debate import Judge, debate_value, debated, interacting_scores, trade_off


def _agreement(runs: int) -> dict[str, list[float]]:
    """The share of judges (weights N(0.4, 1)) whose debate, or random evidence, of 2, 4 and 6 items agrees with the verdict."""
    rng = np.random.default_rng(1)
    judge = Judge(interacting_scores(0.4 + rng.standard_normal((runs, 6))))
    order = rng.permuted(np.tile(1 << np.arange(6), (runs, 1)), axis=1)
    verdict = np.sign(judge.verdict)
    drawn = [judge.score[np.arange(runs), order[:, :length].sum(axis=1)] for length in (2, 4, 6)]
    return {
        "debate": [float(np.mean(np.sign(debate_value(judge, length)) == verdict)) for length in (2, 4, 6)],
        "random evidence": [float(np.mean(np.sign(value) == verdict)) for value in drawn],
    }


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 4.0), width_ratios=(1.5, 1))
    weights = [Fraction(k, _style.sized(200, 20)) for k in range(_style.sized(200, 20) + 1)]
    found = trade_off(debated(S=5, A=3, interaction=0.5, seed=3), weights)
    justifiability, environment = (np.mean(v.astype(float), axis=1) for v in (found.justifiability, found.environment))
    left.plot(justifiability, environment, "o-", color=_style.COLOURS[0])
    corners = np.flatnonzero(np.diff(environment, prepend=np.inf) != 0)
    for first in corners:
        left.annotate(
            f"from $\\lambda$ = {float(weights[first]):.2f}" if first else "$\\lambda$ = 0",
            (justifiability[first], environment[first]),
            textcoords="offset points",
            xytext=(8, 3),
            fontsize=9,
        )
    left.set(xlabel="return of the debate's reward", ylabel="return of the environment's reward", title="optimal policies")
    left.margins(x=0.3, y=0.12)
    left.set_xlim(left=justifiability.min() - 0.3)
    for colour, marker, (label, shares) in zip(_style.COLOURS[1:], ("o", "s"), _agreement(_style.sized(100_000, 2000)).items()):
        right.plot((2, 4, 6), shares, marker=marker, color=colour, label=label)
    right.set(xlabel="items disclosed, of six", ylabel="agreement with the verdict", xticks=(2, 4, 6), title="additive judges")
    right.legend(loc="lower right")
    for path in _style.save(figure, "scalarised_justifiability"):
        print(path)


if __name__ == "__main__":
    main()
