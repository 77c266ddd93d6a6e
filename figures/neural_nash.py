"""Networks that learn the equilibria of contextual preference games (claims nnash/neural, nnash/mirror-prox-neural,
nnash/online-ipo).

Networks of one hidden layer of 32 units, 60 steps of Adam in each update, on 8 contexts of 5 actions (half of them
rock-paper-scissors) at the temperature 0.2; 24 runs with games of their own, on a CPU. Left: the divergence from the
equilibrium, mean over contexts. Lines are medians over runs, bands run from the 10th to the 90th percentile; dotted are the
tabular methods on the same games, mean over runs. An update is a query of win rates, but for online IPO, which asks in every
step of Adam. Nash-MD with the constant step 1/2 ends at its bias (nnash/bias), whose exact level is marked. Nash-MP, two
updates an iteration of which the second is shown, goes on faster than its theorem down to what the fits leave; with a
hundredth of Adam's rate its fits are too poor for that. Right: the regularised exploitability, in shares of the reference's
mean.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from experiments.neural_nash import BETA, STEP, contextual_games
from games.mirror_descent import nash_mirror_descent
from games.mirror_prox import nash_mirror_prox
from games.prox import normalise
from games.regularised import exploitability, solve_regularised
from theory.divergences import kl

LABELS = {
    "nash-md": "Nash-MD, step 1/2",
    "nash-mp": "Nash-MP",
    "online-ipo": "online IPO",
    "nash-mp barely fitted": "Nash-MP, barely fitted",
}


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    table = _style.table("neural-nash")
    updates = int(table["step"].max())
    seeds = np.sort(table["seed"].unique())[: _style.sized(24, 2)].tolist()
    tabular: dict[str, list[np.ndarray]] = {"nash-md": [], "nash-mp": []}
    starts, floors, exploited = [], [], []
    for game in (game for seed in seeds for game in contextual_games(seed)):
        star = solve_regularised(game, BETA).log_policy
        limit = normalise(game.log_reference + game.A @ solve_regularised(game, BETA / (1 - STEP * BETA)).policy / BETA)
        runs = {
            "nash-md": nash_mirror_descent(game, BETA, updates, step=STEP).log_policies,
            "nash-mp": nash_mirror_prox(game, BETA, updates // 2).log_policies,
        }
        for name, policies in runs.items():
            tabular[name].append(kl(star, policies, log=True))
        starts.append(float(kl(star, game.log_reference, log=True)))
        floors.append(float(kl(star, limit, log=True)))
        exploited.append(float(exploitability(game, BETA, game.log_reference)))

    figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.4), sharex=True)
    for colour, dashes, (name, label) in zip(_style.COLOURS, ("-", "-", "-", "--"), LABELS.items()):
        rows = table[table["method"] == name]
        if "nash-mp" in name:
            rows = rows[rows["step"] % 2 == 0]
        for axes, column, unit in ((left, "kl", 1.0), (right, "exploitability", float(np.mean(exploited)))):
            curve = rows.groupby("step")[column].quantile([0.1, 0.5, 0.9]).unstack() / unit
            axes.plot(curve.index, curve[0.5], color=colour, ls=dashes, label=label)
            axes.fill_between(curve.index, curve[0.1], curve[0.9], color=colour, alpha=0.2, lw=0)
        if name in tabular:
            mean = np.mean(tabular[name], axis=0)
            left.plot(np.linspace(0, updates, mean.size), mean, color=colour, ls=":", lw=1.2)
    left.plot([], [], color="grey", ls=":", lw=1.2, label="tabular")
    x = np.arange(updates + 1)
    left.plot(
        x, np.mean(starts) * (1 + 2 * BETA) ** (-x / 2), color="black", lw=1.2, ls="-.", label="$(1 + 2\\beta)^{-N/2} D_0$"
    )
    left.axhline(np.mean(floors), color=_style.COLOURS[0], lw=0.8)
    left.annotate(
        "bias of Nash-MD", (updates, np.mean(floors)), xytext=(0, 4), textcoords="offset points", ha="right", fontsize=9
    )
    left.set(yscale="log", xlabel="updates N", ylabel="KL from the equilibrium", xlim=(0, updates), ylim=(1e-8, 1))
    right.axhline(0.05, color="grey", lw=1.2, ls="-.")
    right.annotate(
        "5%: the tolerance claimed", (updates, 0.05), xytext=(0, 4), textcoords="offset points", ha="right", fontsize=9
    )
    right.set(yscale="log", xlabel="updates N", ylabel="exploitability / that of the reference", ylim=(1e-7, 3))
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    for path in _style.save(figure, "neural_nash"):
        print(path)


if __name__ == "__main__":
    main()
