"""The gap against the error of the implicit reward: linear for a fixed temperature, a square root over all temperatures.

Claims coverage/fast-rate-global, sufficiency-sharp, half-power-needed. Two equally likely responses, so that C_glo = 2; the gap
is the worst over rewards at the given error.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np
from scipy.special import log_expit

from theory.divergences import kl

BETAS = (1.0, 0.1, 0.01)
ERRORS = np.geomspace(1e-5, 1e1, 61)  # e: the rewards are off by -e and e, and the variance is e^2
SHARES = np.linspace(0.0, 1.0, 4001)  # rewards h and -h are searched over h in [0, e]


def worst_gap(error: float, beta: float) -> float:
    """The largest beta KL(pi || pi*) over rewards (h, -h), 0 <= h <= e, if pi tilts by (h - e, e - h)."""
    right, wrong = (2 * h / beta for h in (error * SHARES, error * (SHARES - 1)))
    best, policy = (np.stack((log_expit(x), log_expit(-x)), axis=-1) for x in (right, wrong))
    return beta * float(kl(policy, best, log=True).max())


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, axes = plt.subplots(figsize=(7.2, 4.8))
    variance = ERRORS**2
    axes.plot(variance, np.sqrt(4 * variance), color="black", lw=1.2)
    axes.annotate(
        r"$\sqrt{2\,C_{glo}\,\varepsilon}$, slope 1/2",
        (1e-7, 6.3e-4),
        (-4, 8),
        textcoords="offset points",
        ha="center",
        rotation=23,
    )
    for colour, dashes, marker, beta in zip(_style.COLOURS, ("--", "-.", ":"), "os^", BETAS):
        axes.plot(variance, variance / (2 * beta), color=colour, ls=dashes, lw=1.2)
        gaps = [worst_gap(float(e), beta) for e in ERRORS]
        axes.plot(variance[::3], gaps[::3], color=colour, ls="none", marker=marker, ms=5, label=f"worst gap, β = {beta:g}")
    axes.annotate(
        r"$\frac{C_{glo}}{4\beta}\,\varepsilon$, slope 1", (1e-7, 1e-7 / 2), (10, -16), textcoords="offset points", fontsize=12
    )
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="error ε of the implicit reward under the reference",
        ylabel="gap J(π*) − J(π)",
        xlim=(1e-10, 1e2),
        ylim=(1e-11, 1e2),
    )
    axes.legend(loc="upper left")
    for path in _style.save(figure, "coverage_rates"):
        print(path)


if __name__ == "__main__":
    main()
