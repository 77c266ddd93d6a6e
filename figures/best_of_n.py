"""Best of N with a binary reward is a tilt whose temperature depends on the prompt.

Claims oreal/bon-is-tilt, beta-range, beta-per-prompt and bon-kl. Left: the inverse temperature 1/beta at which the tilt of the
reference is best of N, against the probability p that one draw succeeds; dotted, its limit log N. Right: the divergence of best
of N from the reference; dotted, log N - (N-1)/N, which only rewards with many values attain.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from bandits.preference.best_of_n import (
    best_of_n,
    best_of_n_divergence_bound,
    matching_inverse_temperature,
)
from theory.divergences import kl


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.2))
    p = 1 / (1 + np.exp(-np.linspace(-7, 5, 241)))
    reference = np.log(np.stack([p, 1 - p], axis=1))
    outcome = np.broadcast_to([1.0, 0.0], reference.shape)
    for N, colour, style in zip((2, 4, 8, 16), _style.COLOURS, ("-", "--", "-.", (0, (5, 1, 1, 1, 1, 1)))):
        left.plot(p, matching_inverse_temperature(p, N), color=colour, ls=style, label=f"N = {N}")
        left.axhline(np.log(N), color=colour, ls=":", lw=1.0)
        right.plot(p, kl(best_of_n(reference, outcome, N), reference, log=True), color=colour, ls=style)
        right.axhline(best_of_n_divergence_bound(N), color=colour, ls=":", lw=1.0)
    ticks = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99)
    for axes in (left, right):
        axes.set_xscale("logit")
        axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
        axes.xaxis.set_minor_locator(plt.NullLocator())
        axes.set_xlabel("probability p that one draw succeeds")
    left.set(ylabel="1/β", yscale="log", title="matching inverse temperature")
    left.set_yticks((1, 2, 5, 10, 20, 50), ["1", "2", "5", "10", "20", "50"])
    left.yaxis.set_minor_locator(plt.NullLocator())
    right.set(ylabel="nats", title="divergence from the reference", ylim=(0, None))
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    for path in _style.save(figure, "best_of_n"):
        print(path)


if __name__ == "__main__":
    main()
