"""A constant added to the rewards (claims p3o/variance, p3o/crossover, p3o/ppo-shift).

Left: the variance of the policy gradient from two samples, without a critic, is quadratic in the constant; that of P3O's pairs does not
depend on it. Right of the vertical line P3O is proved to be the better one. Right: how far the mean gradient of PPO's clipped
surrogate moves (1-norm); it grows in proportion to the constant once all advantages have one sign, and clipping alone is to blame.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np
from scipy.special import log_softmax

from bandits.preference.comparisons import independent_pairs
from bandits.preference.families import random_kl_bandit
from bandits.preference.pairwise_ppo import (
    clipped_pair_gradients,
    clipped_ppo_gradients,
    moments,
    pairwise_variance,
    policy_gradient_variance,
)

SHIFTS = np.geomspace(0.01, 100, _style.sized(81, 13))


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    bandit = random_kl_bandit(K=6, concentration=5.0, seed=3)
    old, reward = bandit.log_reference, bandit.reward - bandit.reference @ bandit.reward
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.2))

    left.loglog(SHIFTS, [policy_gradient_variance(old, reward + c) for c in SHIFTS], label="policy gradient, no critic")
    left.loglog(SHIFTS, [pairwise_variance(old, reward + c) for c in SHIFTS], ls="--", label="P3O")
    p = bandit.reference
    size = 1 - 2 * p + p @ p
    best = p @ (reward * size) / (p @ size)
    edge = np.sqrt(2 * (p @ reward**2)) + 2 * abs(best)
    left.axvline(edge, color="black", lw=0.8, ls=":")
    left.set(xlabel="constant c, the mean reward without it being 0", ylabel="trace of the covariance", title="Variance")
    left.legend()

    policy = log_softmax(old + np.random.default_rng(0).standard_normal(6))

    def moved(c: float, clip: float, pairwise: bool) -> float:
        means = []
        for r in (reward, reward + c):
            if pairwise:
                means.append(moments(clipped_pair_gradients(policy, old, r, clip), independent_pairs(p)).mean)
            else:
                means.append(moments(clipped_ppo_gradients(policy, old, r, clip), p).mean)
        return float(np.abs(means[1] - means[0]).sum())

    right.loglog(SHIFTS, [moved(c, 0.2, False) for c in SHIFTS], label="PPO, clipped at 0.2")
    for label, clip, pairwise, dashes in (("P3O, clipped", 0.2, True, "--"), ("PPO, not clipped", np.inf, False, ":")):
        change = np.maximum([moved(c, clip, pairwise) for c in SHIFTS], 1e-17)
        right.loglog(SHIFTS, change, ls=dashes, label=f"{label} (rounding)")
    right.set(xlabel="constant c", ylabel="change of the mean gradient", title="The mean gradient", ylim=(1e-17, 1e3))
    right.legend(loc="center right")
    for path in _style.save(figure, "reward_shift"):
        print(path)


if __name__ == "__main__":
    main()
