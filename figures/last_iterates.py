"""Last iterates of all the preference dynamics against queries (claims nash-md/rate, inpo/linear-rate, nash-mp/kl-contraction).

KL from the regularised equilibrium to the last iterate, on weighted rock-paper-scissors and on a low-rank game of 1000 actions.
Constant steps leave Nash-MD on a floor, where INPO and magnetic mirror descent (MMD) go on; Hedge, which is SPPO's ideal update,
ignores the reference and is driven away; Nash-MP stays below its proved rate, which does not depend on the number of actions.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from games.dynamics import Run
from games.generators import low_rank, rock_paper_scissors
from games.mirror_descent import hedge, inpo, magnetic_mirror_descent, nash_mirror_descent
from games.mirror_prox import MirrorProxRun, nash_mirror_prox
from games.preference import PreferenceGame
from games.regularised import solve_regularised
from theory.divergences import kl

BETA = 0.05
QUERIES, QUERIES_OF_MANY = _style.sized(20_000, 1000), _style.sized(1500, 100)
ACTIONS = _style.sized(1000, 100)


def runs(game: PreferenceGame, queries: int) -> dict[str, Run | MirrorProxRun]:
    """Every dynamics from the reference, with the same number of queries."""
    decreasing = 2 / (BETA * (np.arange(queries) + 2.0))
    return {
        "Nash-MP, η = 2β": nash_mirror_prox(game, BETA, queries // 2),
        "MMD, step 4β": magnetic_mirror_descent(game, BETA, queries, step=4 * BETA),
        "INPO, step 0.5": inpo(game, BETA, queries, step=0.5),
        "Nash-MD, step 1": nash_mirror_descent(game, BETA, queries, step=1.0),
        "Nash-MD, step 0.1": nash_mirror_descent(game, BETA, queries, step=0.1),
        "Nash-MD, step 2/(β(t+2))": nash_mirror_descent(game, BETA, queries, step=decreasing),
        "Hedge (SPPO), step 0.1": hedge(game, queries, step=0.1),
    }


DASHES = ("-", "--", ":", "-", "--", "-.", "-")


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    panels = {
        "weighted rock-paper-scissors": (rock_paper_scissors(weights=(0.5, 0.4, 0.3), logits=(0.5, 0.0, -0.5)), QUERIES),
        f"{ACTIONS} actions, low rank": (low_rank(K=ACTIONS, pairs=2, scale=3.0, seed=0), QUERIES_OF_MANY),
    }
    figure, all_axes = plt.subplots(1, 2, figsize=(11.0, 5.0), sharey=True)
    for axes, (title, (game, most)) in zip(all_axes, panels.items()):
        star = solve_regularised(game, BETA)
        for colour, dashes, (name, run) in zip(_style.COLOURS, DASHES, runs(game, most).items()):
            divergence = kl(star.log_policy, run.log_policies, log=True)
            shown = np.unique(np.geomspace(1, run.queries.size - 1, 1500).astype(int))
            axes.plot(run.queries[shown], np.maximum(divergence[shown], 1e-300), color=colour, ls=dashes, label=name)
        queries = np.arange(1, most + 1)
        start = float(kl(star.log_policy, game.log_reference, log=True))
        axes.plot(queries, start * (1 + 2 * BETA) ** (-queries / 2), color="grey", lw=1.1, label="proved for Nash-MP")
        axes.plot(
            queries,
            1 / (6 * BETA**2 * (queries + 1)),
            color="grey",
            lw=1.1,
            ls="--",
            label="proved for Nash-MD, decreasing step",
        )
        axes.set(xscale="log", yscale="log", title=title, xlabel="preference queries", xlim=(1, most), ylim=(1e-13, 1e3))
    all_axes[0].set_ylabel("KL from the equilibrium to the last iterate")
    handles, labels = all_axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    for path in _style.save(figure, "last_iterates"):
        print(path)


if __name__ == "__main__":
    main()
