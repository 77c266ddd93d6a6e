"""The bias of BRAIn's update against the number of samples (claims brain/bias, brain/bias-bound).

Relative to the norm of the true gradient q - p, on three random instances of four responses; exact expectations. Dotted: the limit
constant over n.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from bandits.preference.amortised_posterior import expected_gradient, limiting_bias
from bandits.preference.families import random_kl_bandit

SIZES = np.array([1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64])


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, axes = plt.subplots()
    for seed, colour, marker in zip((1, 2, 3), _style.COLOURS, "os^"):
        bandit = random_kl_bandit(K=4, concentration=5.0, beta=1.0, seed=seed)
        policy, proposal = np.log(np.random.default_rng(seed).dirichlet(np.full(4, 5.0), size=2))
        truth = np.exp(policy) - np.exp(bandit.log_optimum)
        size = np.linalg.norm(truth)
        bias = [np.linalg.norm(expected_gradient(policy, bandit.log_optimum, proposal, int(n)) - truth) / size for n in SIZES]
        limit = np.linalg.norm(limiting_bias(policy, bandit.log_optimum, proposal)) / size
        axes.loglog(SIZES, bias, color=colour, marker=marker, ms=4, label=f"instance {seed}: limit of n · bias {limit:.2f}")
        axes.loglog(SIZES, limit / SIZES, color=colour, ls=":", lw=1)
        print(seed, np.round(bias[:6], 3))
    axes.set(
        xlabel="samples n", ylabel="bias / size of the gradient", title="Self-normalised importance sampling is biased by c/n"
    )
    axes.legend()
    for path in _style.save(figure, "posterior_bias"):
        print(path)


if __name__ == "__main__":
    main()
