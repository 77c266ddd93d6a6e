"""Speed of counterfactual regret minimisation beside OpenSpiel's compiled solvers.

    python benchmarks/counterfactual_regret.py                      # a minute
    python benchmarks/counterfactual_regret.py --seconds 1 --markdown benchmarks/README.md

Both sides run the same algorithm on the same game in one process: CFR and CFR+ with alternating turns, whose policies agree to
nine digits (a test compares them after 20 iterations, or 5). mdplab's game is the sequence form of OpenSpiel's own tree.
Reading it, and OpenSpiel's set-up of its tables, are not timed. CPU seconds; turn by turn, and the fastest of five runs counts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from report import machine, rewrite_section

from games.counterfactual_regret import cfr
from games.extensive_form import open_spiel_game

GAMES = ("kuhn_poker", "leduc_poker(suit_isomorphism=true)", "leduc_poker", "liars_dice(dice_sides=4)")
RUNS = 5


def each(run: Callable[[int], object], count: int) -> float:
    """CPU seconds of one iteration in a run of ``count``."""
    began = time.process_time()
    run(count)
    return (time.process_time() - began) / count


def enough(run: Callable[[int], object], seconds: float) -> int:
    """How many iterations take about that many seconds."""
    count = 1
    while True:
        spent = each(run, count) * count
        if spent > seconds / 3:
            return max(1, int(count * seconds / spent))
        count *= 3


def rates(name: str, plus: bool, seconds: float) -> tuple[float, float]:
    """Iterations a second of mdplab and of OpenSpiel on the game ``name``."""
    import pyspiel

    game = open_spiel_game(name)
    solver = (pyspiel.CFRPlusSolver if plus else pyspiel.CFRSolver)(pyspiel.load_game(name))

    def ours(count: int) -> None:
        cfr(game, count, floored=plus, averaging="linear" if plus else "uniform", alternating=True)

    def theirs(count: int) -> None:
        for _ in range(count):
            solver.evaluate_and_update_policy()

    ours(1)  # compiles
    sides = [(side, enough(side, seconds / RUNS)) for side in (ours, theirs)]
    best = [np.inf, np.inf]
    for _ in range(RUNS):
        for i, (side, count) in enumerate(sides):
            best[i] = min(best[i], each(side, count))
    return 1 / best[0], 1 / best[1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="CPU seconds for each side of each line")
    parser.add_argument("--games", nargs="+", default=list(GAMES), help="OpenSpiel's names of two-player zero-sum games")
    parser.add_argument("--markdown", type=Path, help="rewrite the table between the markers of this file")
    options = parser.parse_args()
    lines = [
        "| game | information sets | payoffs | algorithm | mdplab, iterations/s | OpenSpiel, iterations/s | ratio |",
        "| --- " * 7 + "|",
    ]
    print("\n".join(lines), flush=True)
    ratios = []
    for name in options.games:
        game = open_spiel_game(name)
        size = f"{sum(t.information_sets for t in game.players):,} | {game.payoff.nnz:,}"
        for plus in (False, True):
            ours, theirs = rates(name, plus, options.seconds)
            ratios.append(ours / theirs)
            found = f"{ours:,.0f} | {theirs:,.3g} | {ours / theirs:,.0f}"
            lines.append(f"| {name} | {size} | {'CFR+' if plus else 'CFR'} | {found} |")
            print(lines[-1], flush=True)
    mean = float(np.exp(np.mean(np.log(ratios))))
    summary = f"Geometric mean of the ratios {mean:,.0f}, smallest {min(ratios):,.0f}. Machine: {machine()}."
    print(summary)
    if options.markdown:
        rewrite_section(options.markdown, "counterfactual regret", [*lines, "", summary])


if __name__ == "__main__":
    main()
