"""A loser that won its only comparison is forgotten by RPO and trusted for ever by maximum likelihood (claims rpo/rate,
rpo/expected-rate).

The lucky loser: two good responses share N - 20 labels, each of 20 bad ones has a single label. What a policy is expected to lose to
the optimum, over all data, exactly. Left: learners against the number N of labels. Right: RPO at N = 1600 against the weight of the
data.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np
from scipy.special import expit

from bandits.preference.lucky_loser import learnt_policies, lucky_loser
from theory.divergences import kl


def expected_loss(N: int, eta: float | None) -> float:
    """E J(optimum) - J(policy) of RPO with the weight ``eta``, or of the maximum-likelihood tilt (None)."""
    instance = lucky_loser(N=N)
    learnt = learnt_policies(instance, eta)
    return float(learnt.law @ (instance.bandit.beta * kl(learnt.log_policies, learnt.log_optimum, log=True)))


def bound(N: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """(C^2 + eta^2 d/(4N))/(2 eta sigma'(B)) with C^2 about 1/4, d = 21 and B = 3."""
    squared = 0.25 * N / (N - 20)  # pi* is nearly the first response, the baseline half of each of the two good ones
    return (squared + eta**2 * 21 / (4 * N)) / (2 * eta * expit(3) * expit(-3))


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, (left, right) = plt.subplots(1, 2, figsize=(11.5, 4.2))
    labels = 50 * 2 ** np.arange(_style.sized(8, 3))
    curves = {
        "maximum likelihood": [expected_loss(int(N), None) for N in labels],
        "RPO, η = N^0.75": [expected_loss(int(N), N**0.75) for N in labels],
        "RPO, η = √N": [expected_loss(int(N), np.sqrt(N)) for N in labels],
    }
    for colour, marker, (name, curve) in zip(_style.COLOURS[1:], "s^o", curves.items()):
        left.plot(labels, curve, color=colour, marker=marker, label=name)
    left.plot(labels, bound(labels, np.sqrt(labels)), color=_style.COLOURS[3], ls="--", label="bound for η = √N")
    last = np.array([labels[2], labels[-1]])
    left.plot(last, 1.5 / np.sqrt(last), color="black", lw=0.9, ls=":", label="slope −1/2")
    left.set(
        xscale="log",
        yscale="log",
        xlabel="labels N",
        ylabel="expected loss to the optimum",
        title="number of labels",
        ylim=(2e-3, 20),
    )
    N = _style.sized(1600, 50)
    weights = np.geomspace(0.05, N, _style.sized(25, 7))
    right.plot(weights, [expected_loss(N, float(eta)) for eta in weights], color=_style.COLOURS[0], label=f"RPO, N = {N}")
    right.plot(weights, bound(np.array(N), weights), color=_style.COLOURS[0], ls="--", label="bound")
    right.axhline(expected_loss(N, None), color=_style.COLOURS[1], ls="-.", label="maximum likelihood")
    right.axvline(np.sqrt(N), ymax=0.68, color="black", lw=0.9, ls=":", label="√N")
    right.set(xscale="log", yscale="log", xlabel="weight η of the data", title="weight of the data", ylim=(4e-3, 900))
    for axes in (left, right):
        axes.legend()
    for path in _style.save(figure, "pessimism"):
        print(path)


if __name__ == "__main__":
    main()
