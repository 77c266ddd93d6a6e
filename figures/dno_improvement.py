"""Whom the policies of DNO beat (claims dno/one-step-improvement, monotone-improvement, monotone-only-if-transitive).

The chance that policy t beats policy s. Left: rock-paper-scissors, where every policy beats the one before it and yet loses to
earlier ones. Right: Bradley-Terry preferences, where every policy beats all earlier ones.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from games.direct_nash import direct_nash_optimization
from games.generators import bradley_terry, rock_paper_scissors

STEPS = _style.sized(200, 50)


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    panels = {
        "rock-paper-scissors": (rock_paper_scissors(logits=(1.0, 0.0, 0.0)), 2.0),
        "Bradley-Terry, 10 actions": (bradley_terry(K=10, spread=2.0, scale=1.0, seed=1), 10.0),
    }
    figure, all_axes = plt.subplots(1, 2, figsize=(9.6, 4.4))
    for axes, (title, (game, eta)) in zip(all_axes, panels.items()):
        p = np.exp(direct_nash_optimization(game, eta, STEPS).log_policies)
        chances = 0.5 + p @ game.A @ p.T
        image = axes.imshow(chances.T, origin="lower", cmap="RdBu", vmin=0.0, vmax=1.0, interpolation="nearest")
        axes.plot([0, STEPS], [0, STEPS], color="black", lw=0.8)
        axes.set(title=title, xlabel="policy t", ylabel="against policy s")
        axes.text(0.97, 0.04, "later against earlier", transform=axes.transAxes, ha="right", fontsize=10)
        axes.grid(False)
    figure.colorbar(image, ax=all_axes, label="chance that t beats s", shrink=0.85)
    for path in _style.save(figure, "dno_improvement"):
        print(path)


if __name__ == "__main__":
    main()
