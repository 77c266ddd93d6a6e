"""Test regret against the width of the kernel that spreads training levels (claims dred/grounded-generator, kernel-limits).

Left: one line of levels, their density, the gap between the two actions, 15 training levels and the generator made of them with a width of 2
levels. Right: mean test regret over 200 lines and training sets (three standard errors shaded), with the two limits of the width, the
hardest levels, and the true density for a generator.
"""

from __future__ import annotations

import _style
import matplotlib.pyplot as plt
import numpy as np

from mdplab.learning.level_generators import (
    expected_regret,
    hardest_levels,
    level_line,
    resampling_regret,
    smoothed_generator,
)

RUNS, TRAINING, SAMPLES = _style.sized(200, 10), 15, 1000
WIDTHS = np.geomspace(0.25, 60.0, 17)


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    rng = np.random.default_rng(0)
    regrets, references = np.empty((RUNS, WIDTHS.size)), np.empty((RUNS, 4))
    for run in range(RUNS):
        line = level_line(seed=run)
        levels = rng.choice(line.levels, size=TRAINING, p=line.density)
        generators = np.stack([smoothed_generator(line.levels, levels, float(width)) for width in WIDTHS])
        regrets[run] = expected_regret(line, generators, SAMPLES)
        others = np.stack(
            (np.full(line.levels, 1 / line.levels), hardest_levels(line, TRAINING, SAMPLES), line.density),
        )
        references[run] = resampling_regret(line, TRAINING, SAMPLES), *expected_regret(line, others, SAMPLES)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.2))

    line = level_line(seed=0)
    levels = np.random.default_rng(3).choice(line.levels, size=TRAINING, p=line.density)
    left.fill_between(range(line.levels), line.density, color="black", alpha=0.15, lw=0, label="density of levels")
    left.plot(smoothed_generator(line.levels, levels, 2.0), color=_style.COLOURS[0], label="generator, width 2")
    left.plot(levels, np.full(TRAINING, -0.002), "|", color="black", ms=9, label="training levels")
    left.plot(0.02 * np.abs(line.gap), color=_style.COLOURS[1], ls=":", label="|gap| (scaled)")
    left.set(xlabel="level", ylabel="probability", ylim=(-0.004, 0.095), title="one line of levels")
    left.legend(fontsize=9, ncols=2)

    mean, error = regrets.mean(axis=0), regrets.std(axis=0, ddof=1) / np.sqrt(RUNS)
    right.plot(WIDTHS, mean, color=_style.COLOURS[0], label="smoothed training levels")
    right.fill_between(WIDTHS, mean - 3 * error, mean + 3 * error, color=_style.COLOURS[0], alpha=0.25, lw=0)
    names = ("training levels resampled (width 0)", "all levels alike (infinite width)", "hardest levels", "true density")
    for name, value, colour, dashes in zip(names, references.mean(axis=0), _style.COLOURS[1:], ("--", "-.", ":", (0, (5, 1)))):
        right.axhline(value, color=colour, ls=dashes, lw=1.4, label=name)
    right.set(
        xscale="log", xlabel="width of the kernel (levels)", ylabel="test regret", ylim=(0, 0.32), title="mean over lines"
    )
    right.legend(fontsize=9, loc="upper right")
    for path in _style.save(figure, "data_regularised_levels"):
        print(path)


if __name__ == "__main__":
    main()
