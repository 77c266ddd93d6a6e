"""What flipped labels cost, and what leaving them as they are costs (claims rdpo/asymptotic-covariance, plateau, rate).

Log-linear policies on 20 prompts of 8 responses, 5 features; labels are flipped with the probability ε. Left: the error of robust DPO
falls along the line of the sandwich formula, that of plain DPO ends at a floor. Right: the error of 16 000 labels against the flip rate.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from bandits.preference.robust_dpo import (
    LogLinearBandit,
    fit_labels,
    fit_labels_in_ball,
    label_law,
    random_log_linear,
    sample_labels,
    sandwich,
)
from theory.pair_losses import logistic, robust

SIZES = _style.sized((500, 1000, 2000, 4000, 8000, 16_000, 32_000, 64_000), (500, 2000, 8000))
RUNS = _style.sized(60, 5)
RADIUS = 15.0  # ten times the length of the true parameter


def _root_mean_square(bandit: LogLinearBandit, error: np.ndarray) -> float:
    moment = sandwich(bandit, 0.0).second_moment
    return float(np.sqrt(np.einsum("...i,ij,...j->...", error, moment, error).mean()))


def _error(bandit: LogLinearBandit, flip: float, n: int, *, plain: bool = False) -> float:
    labels = sample_labels(bandit, n, flip, np.random.default_rng([n, round(1000 * flip)]), RUNS)
    fit = fit_labels_in_ball(bandit, labels, logistic() if plain else robust(flip), RADIUS)
    return _root_mean_square(bandit, fit.theta - bandit.theta)


def _predicted(bandit: LogLinearBandit, flip: float, n: np.ndarray | int) -> np.ndarray:
    law = sandwich(bandit, flip)
    return np.sqrt(np.trace(law.second_moment @ law.covariance) / n)


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    bandit = random_log_linear(X=20, K=8, d=5, norm=1.5, seed=3)
    figure, (left, right) = plt.subplots(1, 2, figsize=(11.0, 4.6))
    n = np.array(SIZES)
    for colour, marker, flip in zip(_style.COLOURS, "osD", (0.0, 0.1, 0.3)):
        left.plot(n, _predicted(bandit, flip, n), color=colour)
        left.plot(n, [_error(bandit, flip, size) for size in SIZES], marker, color=colour, label=f"robust DPO, ε = {flip:g}")
        if flip:
            left.plot(
                n, [_error(bandit, flip, size, plain=True) for size in SIZES], marker, color=colour, mfc="white", ls="--",
                label=f"DPO, ε = {flip:g}",
            )  # fmt: skip
            floor = fit_labels(bandit, label_law(bandit, flip), logistic()).theta - bandit.theta
            left.axhline(_root_mean_square(bandit, floor), color=colour, lw=0.8, ls=":")
    left.set(xscale="log", yscale="log", xlabel="labelled pairs n", ylabel="error of θ, root mean square in Σ norm")
    left.set_title("lines: sandwich formula; dotted: the floors of DPO", fontsize=11)
    left.legend(fontsize=9)

    size, flips = _style.sized(16_000, 2000), np.linspace(0.0, 0.4, _style.sized(9, 3))
    dense = np.linspace(0.0, 0.4, 81)
    right.plot(flips, [_error(bandit, flip, size) for flip in flips], "o", color=_style.COLOURS[0], label="robust DPO")
    right.plot(dense, [_predicted(bandit, flip, size) for flip in dense], color=_style.COLOURS[0], label="sandwich formula")
    right.plot(
        dense,
        _predicted(bandit, 0.0, size) / (1 - 2 * dense),
        ls="-.",
        color=_style.COLOURS[2],
        label="error at ε = 0, over 1 − 2ε",
    )
    right.plot(
        flips,
        [_error(bandit, flip, size, plain=True) for flip in flips],
        "s--",
        color=_style.COLOURS[1],
        mfc="white",
        label="DPO",
    )
    right.set(yscale="log", xlabel="flip rate ε", ylabel="error of θ, root mean square in Σ norm", title=f"n = {size}")
    right.legend(fontsize=9)
    for path in _style.save(figure, "robust_dpo"):
        print(path)


if __name__ == "__main__":
    main()
