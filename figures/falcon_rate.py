"""FALCON's regret grows like the square root of the horizon, at a constant that one has to choose (claim adyen-igw/falcon).

Mean pseudo-regret with gap 0.3, 4 actions, 8 contexts and 100 functions, refitted at doubling rounds. With the published constant
c = 1/30 in the learning rate play is all but uniform at these horizons (claim adyen-igw/falcon-published-constant). Shaded: three standard
errors; the dashed lines have the slopes 1 and 1/2.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from bandits.contextual import fixed_gap
from bandits.inverse_gap_weighting import falcon
from theory.random_streams import run_seeds


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    problem = fixed_gap(gap=0.3, seed=0)
    horizons = 2 ** np.arange(8, _style.sized(19, 14))
    seeds = run_seeds(0, _style.sized(200, 20))
    figure, axes = plt.subplots()
    for colour, marker, scale, label in zip(_style.COLOURS, "osd^", (1 / 30, 1.0, 4.0), ("1/30 (published)", "1", "4")):
        regret = falcon(problem, int(horizons[-1]), seeds, scale=scale, checkpoints=horizons).pseudo_regret
        mean, error = regret.mean(axis=0), regret.std(axis=0, ddof=1) / np.sqrt(len(regret))
        axes.plot(horizons, mean, marker + "-", ms=4, color=colour, label=f"c = {label}")
        axes.fill_between(horizons, mean - 3 * error, mean + 3 * error, color=colour, alpha=0.25, lw=0)
    last = horizons[[-5, -1]].astype(float)
    for power, top, text in ((1.0, 0.33 * last[1], "slope 1 "), (0.5, 0.25 * mean[-1], "slope 1/2 ")):  # mean: the lowest curve
        line = top * (last / last[1]) ** power
        axes.plot(last, line, "k--", lw=1)
        axes.text(last[0], line[0], text, ha="right", va="center", fontsize=10)
    axes.set(xscale="log", yscale="log", xlabel="round T", ylabel="expected regret")
    axes.legend()
    for path in _style.save(figure, "falcon_rate"):
        print(path)


if __name__ == "__main__":
    main()
