"""A curriculum that follows the advantages moves through the categories as a wave (claim sec-dump/speedup).

Share of runs that train on each of six categories of falling ease, by step (smoothed over 9 steps), for SEC, DUMP and a curriculum
that follows the success rate; the black line is the mean success over categories, the dotted one that of the uniform choice.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from bandits.curriculum import DUMP, SEC, UNIFORM, Curriculum, Ladder, train

STEPS = _style.sized(1500, 500)
RUNS = _style.sized(400, 30)
WINDOW = 9


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    ladder = Ladder()
    figure, rows = plt.subplots(3, 1, figsize=(7.2, 7.0), sharex=True, sharey=True)
    uniform = train(ladder, UNIFORM, STEPS, RUNS, seed=0).mean_success.mean(axis=1)
    curricula = {"SEC": SEC, "DUMP": DUMP, "Success rate": Curriculum(SEC.temperature, signal="success")}
    for n, (axes, (name, curriculum)) in enumerate(zip(rows, curricula.items())):
        made = train(ladder, curriculum, STEPS, RUNS, seed=n + 1)
        share = np.apply_along_axis(np.convolve, 0, made.shares(6), np.full(WINDOW, 1 / WINDOW), mode="valid")
        steps = np.arange(len(share)) + 1 + WINDOW // 2
        every = np.arange(STEPS + 1) + 1
        for c, colour in enumerate(_style.COLOURS[:6]):
            axes.plot(steps, share[:, c], color=colour, lw=1.3, label=f"category {c + 1}" if n == 0 else None)
        axes.plot(every, made.mean_success.mean(axis=1), color="black", lw=2.2, label="mean success" if n == 0 else None)
        axes.plot(every, uniform, color="black", lw=1.2, ls=":", label="the same, uniform choice" if n == 0 else None)
        axes.set(ylabel="share", ylim=(0, 1.02), title=name)
    rows[-1].set(xscale="log", xlabel="step", xlim=(8, STEPS))
    figure.legend(loc="outside lower center", ncols=4)
    for path in _style.save(figure, "curriculum_wave"):
        print(path)


if __name__ == "__main__":
    main()
