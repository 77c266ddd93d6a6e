"""Rounds of improvement (claims pit/iterate, round-gain): reward and divergence by round.

Eight responses, beta = 2, means of 200 instances with standard normal rewards. The gap model is exact, or has an error of deviation 1 or
2 that is uncorrelated with the reward under the base policy.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from bandits.preference.families import random_kl_bandit
from bandits.preference.iterated_improvement import iterated_tilts
from bandits.preference.overoptimisation import covariance
from theory.divergences import kl

ROUNDS, INSTANCES = 12, _style.sized(200, 20)


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.0, 4.0))
    for colour, dashes, noise in zip(_style.COLOURS, ("-", "--", "-."), (0.0, 1.0, 2.0)):
        earned, far, fell = [], [], 0
        for seed in range(INSTANCES):
            bandit = random_kl_bandit(K=8, beta=2.0, seed=seed)
            error = noise * np.random.default_rng([seed, 1]).standard_normal(8)
            shared = covariance(bandit.log_reference, bandit.reward, error)
            error -= shared / covariance(bandit.log_reference, bandit.reward, bandit.reward) * bandit.reward
            seen = np.broadcast_to(bandit.reward + error, (ROUNDS, 8))
            policies = iterated_tilts(bandit.log_reference, seen, bandit.beta)
            reward = np.exp(policies) @ bandit.reward
            earned.append(reward - reward[0])
            far.append(kl(policies, bandit.log_reference, log=True))
            fell += bool((np.diff(reward) < -1e-12).any())
        label = "exact gap model" if noise == 0 else f"error of deviation {noise:g} (falls on {fell / INSTANCES:.0%})"
        left.plot(np.mean(earned, axis=0), "o", ls=dashes, ms=4, color=colour, label=label)
        right.plot(np.mean(far, axis=0), "o", ls=dashes, ms=4, color=colour, label=label)
    left.set(xlabel="round k", ylabel="gain in reward over the base")
    right.set(xlabel="round k", ylabel=r"KL($\pi_k$ || $\pi_0$)")
    right.legend(loc="lower right")
    for path in _style.save(figure, "iterated_improvement"):
        print(path)


if __name__ == "__main__":
    main()
