"""How many latent policies serve populations of any size: the exploitability left by m latents (meta-population/few-latents).

Crowding games for populations of 3 to n. Solid: the best sets of m latents among two thousand candidates; dashed: sets that grow by the
best policy for the game that is served worst. A single latent leaves a quarter for 3 to 30 players (meta-population/unimodal-fails).
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from games.symmetric_population import best_latents, crowding, greedy_latents


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, axes = plt.subplots()
    candidates = np.unique(np.concatenate([np.linspace(0.0, 1.0, 201), np.geomspace(0.005, 0.6, _style.sized(2000, 100))]))
    counts = np.array([1, 2, 3, 4, 6, 8, 11, 16, 22])
    for colour, most in zip(_style.COLOURS, _style.sized((10, 30, 100), (10, 30))):
        games = [crowding(players=n) for n in range(3, most + 1)]
        shown = counts[counts <= most - 3]
        best = [best_latents(games, int(m), candidates).worst for m in shown]
        greedy = [latents.worst for latents in greedy_latents(games, int(shown[-1]), candidates)]
        axes.plot(shown, best, "o-", color=colour, label=f"best, 3 to {most} players")
        axes.plot(np.arange(1, len(greedy) + 1), greedy, "--", color=colour, lw=1.2)
    axes.plot([], [], "--", color="0.3", lw=1.2, label="greedy")
    axes.axhline(0.01, color="0.5", lw=0.8)
    axes.set(xscale="log", yscale="log", xlabel="latent policies m", ylabel="worst exploitability", ylim=(1e-3, 0.5))
    axes.set_xticks([1, 2, 4, 8, 16], ["1", "2", "4", "8", "16"])
    axes.minorticks_off()
    axes.legend(loc="lower left")
    for path in _style.save(figure, "latent_policies"):
        print(path)


if __name__ == "__main__":
    main()
