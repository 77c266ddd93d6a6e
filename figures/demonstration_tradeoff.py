"""Demonstrations, samples and the temperature between them (claims demoreg/product-rate, tradeoff, tradeoff-quadratic).

Two Bernoulli arms, the clone of N demonstrations of the better one, and n samples of each; every loss is exact, and the largest
over all gaps. Left: V* - V^pi against the temperature, for n = 50. With demonstrations it is U-shaped, and with many of them the
best temperature is 1/sqrt(2n); along the samples that an accuracy eps needs, that is proportional to eps N. Right: the least n
for eps = 0.01 with lambda = eps (N + 1) / 3, and the two bounds.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from mdplab.learning.demonstration_regularised import demonstration_temperature, two_armed_loss

SAMPLES = 50
EPSILON = 0.01
GAPS = np.geomspace(EPSILON / 3, 1.0, _style.sized(40, 8))


def worst_loss(samples: int, temperature: float, demonstrations: int) -> float:
    """The largest E[V* - V^pi] over gaps."""
    odds = np.log(demonstrations + 1.0)
    return max(float(two_armed_loss(((1 + g) / 2, (1 - g) / 2), samples, temperature, odds)[0]) for g in GAPS)


def samples_needed(demonstrations: int) -> int:
    """The least n whose worst loss is at most EPSILON, by bisection below the bound 3 / (32 lambda eps)."""
    temperature = demonstration_temperature(EPSILON, demonstrations, 1, 1, 2)
    low, high = 0, int(np.ceil(3 / (32 * temperature * EPSILON)))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if worst_loss(middle, temperature, demonstrations) <= EPSILON else (middle, high)
    return high


def draw_temperatures(axes: Axes) -> None:
    """The losses against lambda."""
    temperatures = np.geomspace(0.003, 30, _style.sized(60, 15))
    for colour, dashes, demonstrations in zip(_style.COLOURS, ("-", "--", "-.", ":"), (0, 3, 30, 300)):
        losses = [worst_loss(SAMPLES, t, demonstrations) for t in temperatures]
        axes.plot(temperatures, losses, color=colour, ls=dashes, label=f"N = {demonstrations}")
    axes.axvline(1 / np.sqrt(2 * SAMPLES), color="black", lw=0.8, alpha=0.5)
    axes.annotate(r"$1/\sqrt{2n}$", (1 / np.sqrt(2 * SAMPLES), 0.4), xytext=(4, 0), textcoords="offset points")
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="temperature λ",
        ylabel="worst expected loss",
        title=f"{SAMPLES} samples of each arm",
    )
    axes.legend()


def draw_samples(axes: Axes) -> None:
    """The samples needed against N, and the bounds."""
    shown = np.unique(np.round(np.geomspace(_style.sized(1, 30), 150, _style.sized(16, 4))).astype(int))
    temperature = np.array([demonstration_temperature(EPSILON, int(N), 1, 1, 2) for N in shown])
    axes.plot(shown, [samples_needed(int(N)) for N in shown], "o-", color=_style.COLOURS[0], ms=4, label="needed")
    axes.plot(shown, 3 / (32 * temperature * EPSILON), "--", color=_style.COLOURS[1], label=r"$3/(32 λ ε) \propto 1/N$")
    axes.plot(
        shown, 1 / (4 * np.log(3 * np.e) * temperature**2), ":", color=_style.COLOURS[2], label=r"$1/(8.4 λ^2) \propto 1/N^2$"
    )
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="demonstrations N",
        ylabel="samples of each arm, n",
        title=f"accuracy ε = {EPSILON:g}",
    )
    axes.legend()


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.0, 4.2))
    draw_temperatures(left)
    draw_samples(right)
    for path in _style.save(figure, "demonstration_tradeoff"):
        print(path)


if __name__ == "__main__":
    main()
