"""What feedback on tokens saves (claims rto/token-vs-sentence, sample-efficiency, fisher-constant).

Left: the expected queries until a hidden response of 8 tokens out of 2 is found, if each is told how many of its leading blocks
of xi + 1 tokens are right; xi = 7 is feedback on sentences. Exact. Right: rewards that are sums over 6 tokens, fitted to n
comparisons with a parameter for each token, and for each of the 64 responses: J(pi*) - J(pi), the means and the middle 80% of
40 runs.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from experiments.declared import stored_or_run
from mdplab.learning.token_rewards import expected_queries

TOKENS, HORIZON = 2, 8


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

    table = stored_or_run("token-feedback", quick=_style.is_quick())
    for fit, dashes, label in (("responses", "s--", "64 rewards of responses"), ("tokens", "o-", "6 rewards of tokens")):
        gaps = table[table["fit"] == fit].groupby("n")["gap"]
        mean = gaps.mean()
        (curve,) = right.plot(mean.index, mean, dashes, label=label)
        right.fill_between(mean.index, gaps.quantile(0.1), gaps.quantile(0.9), color=curve.get_color(), alpha=0.2, lw=0)
    numbers = mean.index.to_numpy()
    line = mean.iloc[-1] * numbers[-1] / numbers
    right.plot(numbers, line, color="black", lw=1.0, alpha=0.6)
    right.annotate("slope −1", (numbers[-2], line[-2]), (4, 8), textcoords="offset points", fontsize=10)
    right.set(
        xscale="log", yscale="log", xlabel="comparisons n", ylabel=r"$J(\pi^\star) - J(\hat\pi)$", title="additive rewards"
    )
    right.set_xticks(numbers, [str(n) for n in numbers])
    right.minorticks_off()
    right.legend(loc="lower left")
    for path in _style.save(figure, "token_feedback"):
        print(path)


if __name__ == "__main__":
    main()
