"""A soup of two models as the reference (claims salsa/optimum, tendency, optimum-identity).

How much more the best policy is worth from the soup than from the two models on average, on 20 000 random instances: where the models
know nothing of the reward, and where they favour the worse responses.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np
from scipy.special import log_softmax

from bandits.preference.soups import soup
from theory.tilts import log_partition

RUNS, K, BETA = _style.sized(20_000, 1000), 8, 0.5


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    rng = np.random.default_rng(0)
    figure, axes = plt.subplots(1, 2, figsize=(10.0, 4.0), sharex=True, sharey=True)
    for axis, against, title in zip(axes, (0.0, 2.0), ("unrelated to the reward", "favour the worse responses")):
        reward = 2 * rng.standard_normal((RUNS, K))
        logits = rng.standard_normal((RUNS, K)) - against * reward
        models = log_softmax(logits[:, None] + 2 * rng.standard_normal((RUNS, 2, K)), axis=-1)
        alone = log_partition(models, reward[:, None], BETA).mean(axis=1)
        gain = log_partition(soup(models), reward, BETA) - alone
        bins = np.linspace(-1.3, 1.3, 53)
        axis.hist(gain[gain < 0], bins, color=_style.COLOURS[1], label=f"worse: {np.mean(gain < 0):.0%}")
        axis.hist(gain[gain >= 0], bins, color=_style.COLOURS[0], label=f"better: {np.mean(gain >= 0):.0%}")
        axis.axvline(gain.mean(), color="black", lw=1.2, ls="--", label=f"mean {gain.mean():+.2f}".replace("-", "−"))
        axis.set(
            title=f"models that {title}" if against else f"models {title}", xlabel=r"$J^\star$(soup) − mean of $J^\star$(model)"
        )
        axis.legend(loc="upper left")
    axes[0].set_ylabel("instances")
    for path in _style.save(figure, "policy_soups"):
        print(path)


if __name__ == "__main__":
    main()
