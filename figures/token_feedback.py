"""What feedback on tokens saves (claims rto/token-vs-sentence, sample-efficiency, fisher-constant).

Left: the expected queries until a hidden response of 8 tokens out of 2 is found, if each is told how many of its leading blocks
of xi + 1 tokens are right; xi = 7 is feedback on sentences. Exact. Right: rewards that are sums over 6 tokens, fitted to n
comparisons with a parameter for each token, and for each of the 64 responses: J(pi*) - J(pi), the means and the middle 80% of
40 runs.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from experiments.token_feedback import sentence_gaps, token_gaps
from mdplab.learning.token_rewards import expected_queries
from mdplab.models.token_tree import TokenTree

TOKENS, HORIZON = 2, 8
STEPS = 6
NUMBERS = (250, 500, 1000, 2000, 4000, 8000)
RUNS = 40


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.4))
    delays = np.arange(HORIZON)
    for whole, dashes, label in ((False, "o-", "queries of prefixes"), (True, "s--", "queries of whole responses")):
        left.plot(delays, [expected_queries(TOKENS, HORIZON, xi + 1, whole=whole) for xi in delays], dashes, label=label)
    left.axhline((TOKENS**HORIZON + 1) / 2, color="black", lw=1.0, ls=":", label="feedback on sentences")
    left.set(yscale="log", xlabel="delay ξ of the feedback", ylabel="expected queries", title="a hidden response, A = 2, H = 8")
    left.legend(loc="upper left", bbox_to_anchor=(0.0, 0.93))

    rng = np.random.default_rng(0)
    reference = tuple(np.full((2**t, 2), -np.log(2)) for t in range(STEPS))
    tree = TokenTree(tuple(np.tile(rng.standard_normal(2), (2**t, 1)) for t in range(STEPS)), reference)
    for gaps, dashes, label in ((sentence_gaps, "s--", "64 rewards of responses"), (token_gaps, "o-", "6 rewards of tokens")):
        found = np.array([gaps(tree, 0.5, n, RUNS, 1) for n in NUMBERS])
        (curve,) = right.plot(NUMBERS, found.mean(axis=1), dashes, label=label)
        right.fill_between(NUMBERS, *np.quantile(found, (0.1, 0.9), axis=1), color=curve.get_color(), alpha=0.2, lw=0)
    line = found.mean(axis=1)[-1] * NUMBERS[-1] / np.array(NUMBERS)
    right.plot(NUMBERS, line, color="black", lw=1.0, alpha=0.6)
    right.annotate("slope −1", (NUMBERS[-2], line[-2]), (4, 8), textcoords="offset points", fontsize=10)
    right.set(
        xscale="log", yscale="log", xlabel="comparisons n", ylabel=r"$J(\pi^\star) - J(\hat\pi)$", title="additive rewards"
    )
    right.set_xticks(NUMBERS, [str(n) for n in NUMBERS])
    right.minorticks_off()
    right.legend(loc="lower left")
    for path in _style.save(figure, "token_feedback"):
        print(path)


if __name__ == "__main__":
    main()
