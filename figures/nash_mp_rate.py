"""Nash mirror prox against its proved bounds and against one-query dynamics (claims nash-mp/kl-contraction, exploitability, span).

Rock-paper-scissors regularised at beta = 0.02 with a reference tilted by about half of 1/beta. Left to right: the divergence of
the last iterate from the equilibrium, its exploitability, and the span of the error of its log-probabilities.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from games.generators import tilted
from games.mirror_descent import magnetic_mirror_descent, nash_mirror_descent
from games.mirror_prox import nash_mirror_prox
from games.regularised import exploitability, solve_regularised
from theory.divergences import kl, span

BETA = 0.02
QUERIES = 1600


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    game = tilted(upper=(0.5, -0.5, 0.5), tilt=(-0.5, 0.0, 0.25), beta=BETA)
    star = solve_regularised(game, BETA)
    runs = {
        "Nash-MP": nash_mirror_prox(game, BETA, QUERIES // 2),
        "MMD, step 4β": magnetic_mirror_descent(game, BETA, QUERIES, step=4 * BETA),
        "MMD, step 12β": magnetic_mirror_descent(game, BETA, QUERIES, step=12 * BETA),
        "Nash-MD, step 12β": nash_mirror_descent(game, BETA, QUERIES, step=12 * BETA),
    }

    queries = np.arange(QUERIES + 1)
    start, widest = float(kl(star.log_policy, game.log_reference, log=True)), float(span(star.log_policy - game.log_reference))
    rate = (1 + 2 * BETA) ** (-queries / 2)
    root = np.sqrt(2 * start * rate) / BETA
    spans = rate * widest + root
    panels = [
        ("KL from the equilibrium", lambda p: kl(star.log_policy, p, log=True), rate * start),
        ("exploitability", lambda p: exploitability(game, BETA, p), BETA / 8 * (spans + root) ** 2),
        ("span of log-probability errors", lambda p: span(p - star.log_policy), spans),
    ]

    figure, all_axes = plt.subplots(1, 3, figsize=(11.5, 4.2))
    for axes, (title, measure, bound) in zip(all_axes, panels):
        for colour, dashes, (name, run) in zip(_style.COLOURS, ("-", "-.", "--", ":"), runs.items()):
            axes.plot(run.queries, np.maximum(measure(run.log_policies), 1e-300), color=colour, ls=dashes, label=name)
        axes.plot(queries, bound, color="black", lw=1.2, label="proved for Nash-MP")
        axes.set(yscale="log", xlabel="preference queries N", title=title, xlim=(0, QUERIES))
    all_axes[0].set_ylim(1e-13, 1e2)
    all_axes[1].set_ylim(1e-14, 2e4)
    all_axes[2].set_ylim(1e-7, 1e3)
    handles, labels = all_axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5)
    for path in _style.save(figure, "nash_mp_rate"):
        print(path)


if __name__ == "__main__":
    main()
