"""What the reward-difference loss says of a policy (claims prdp/zero-loss-iff-optimal, sharper-gap).

Each dot is a policy on 4 responses, a tilt of the reference with an error of some size. The gap to the optimum against the bound
from pairs and against the linear one: the first is better for large losses, the second for small ones. Neither is ever passed. The
line through small losses has the slope 1, not 1/2.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from bandits.preference.families import random_kl_bandit
from bandits.preference.kl_bandit import kl_gap
from bandits.preference.reward_difference import gap_bounds, reward_difference_loss
from theory.tilts import log_tilt

POLICIES = _style.sized(500, 100)


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    bandit = random_kl_bandit(K=4, beta=0.3, concentration=5.0, seed=4)
    rng = np.random.default_rng(0)
    sizes = 10 ** rng.uniform(-2.5, 1.2, POLICIES)
    errors = sizes[:, None] * rng.standard_normal((POLICIES, bandit.responses))
    policies = log_tilt(bandit.log_reference, bandit.reward + bandit.beta * errors, bandit.beta)
    loss, gap, bounds = reward_difference_loss(bandit, policies), kl_gap(bandit, policies), gap_bounds(bandit, policies)
    order = np.argsort(loss)
    figure, (against, ratio) = plt.subplots(1, 2, figsize=(10.2, 4.4))
    against.plot(loss, gap, ".", color=_style.COLOURS[0], ms=5, label="gap")
    against.plot(loss[order], bounds.linear[order], color=_style.COLOURS[2], label="linear bound")
    against.plot(loss, bounds.symmetric, ".", color=_style.COLOURS[1], ms=2.5, label="bound by pairs")
    against.set(xscale="log", yscale="log", xlabel="reward-difference loss", ylabel="gap to the optimum")
    against.legend()
    for bound, name, colour in ((bounds.symmetric, "by pairs", 1), (bounds.linear, "linear", 2)):
        ratio.plot(loss, gap / bound, ".", ms=5, color=_style.COLOURS[colour], label=name)
    ratio.axhline(1, color="black", lw=1.0)
    ratio.set(xscale="log", yscale="log", ylim=(1e-4, 2), xlabel="reward-difference loss", ylabel="gap / bound")
    figure.legend(*ratio.get_legend_handles_labels(), loc="outside upper right", ncols=2, markerscale=2)
    for path in _style.save(figure, "reward_difference"):
        print(path)


if __name__ == "__main__":
    main()
