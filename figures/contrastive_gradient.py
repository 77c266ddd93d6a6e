"""CoPG off policy: the distance to the optimum by step, for the contrast and three baselines (claim copg/off-policy-converges).

One bandit of four responses; every sample comes from the law (.7, .1, .1, .1), whatever the policy. The contrast of two samples is,
on average, twice the one-sample gradient with the sampler's mean as the baseline. The policy's own value is a sound baseline too;
without one, ascent ends elsewhere. Thin: the bound of copg/linear-rate for the contrast.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from bandits.preference.comparisons import independent_pairs
from bandits.preference.contrastive_gradient import baseline_ascent, contrastive_ascent, regularised_reward
from bandits.preference.families import random_kl_bandit
from theory.divergences import kl

STEPS, STEP_SIZE = 1200, 0.5
SAMPLER = np.array([0.7, 0.1, 0.1, 0.1])


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    bandit = random_kl_bandit(K=4, beta=0.3, seed=1)
    runs = {
        "contrast of two samples": contrastive_ascent(bandit, independent_pairs(SAMPLER), STEPS, STEP_SIZE),
        "sampler's mean": baseline_ascent(bandit, SAMPLER, STEPS, STEP_SIZE, baseline="sampler"),
        "policy's value": baseline_ascent(bandit, SAMPLER, STEPS, STEP_SIZE, baseline="policy"),
        "no baseline": baseline_ascent(bandit, SAMPLER, STEPS, STEP_SIZE, baseline="none"),
    }
    figure, axes = plt.subplots()
    t = np.arange(STEPS + 1)
    for (label, run), colour, dashes in zip(runs.items(), _style.COLOURS, ("-", "--", "-.", ":")):
        axes.semilogy(t, kl(run, bandit.log_optimum, log=True), color=colour, ls=dashes, label=label)
    R = regularised_reward(bandit, bandit.log_reference)
    contraction = 1 - STEP_SIZE * bandit.beta * 2 * SAMPLER.min()
    bound = contraction ** (2 * t) * ((R - R.mean()) ** 2).sum() / (4 * bandit.beta**2)
    axes.semilogy(t, bound, color="black", lw=0.8, label="bound for the contrast")
    axes.set(
        xlabel="step", ylabel="KL(policy ‖ optimum), nats", ylim=(1e-14, 30), title="Samples of another policy, no weights"
    )
    axes.legend(loc="upper right", bbox_to_anchor=(1, 0.86))
    for path in _style.save(figure, "contrastive_gradient"):
        print(path)


if __name__ == "__main__":
    main()
