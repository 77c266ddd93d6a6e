"""Which pairs to keep (claims fifa/margin, clean-labels): reward and divergence by the rule of selection.

200 of 4000 labelled pairs are kept, at random, by the size of a proxy's margin, or by its signed margin. Means of 100 problems against
the rate of flipped labels. Left: the policy's reward. Right: its divergence from the policy of the true reward.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from bandits.preference.log_linear import fit_log_linear
from bandits.preference.pair_selection import RULES, linear_policy, sample_pool, select
from theory.divergences import kl

RUNS = _style.sized(100, 10)
FLIPS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4)


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    rng = np.random.default_rng(0)
    features, theta = rng.standard_normal((RUNS, 50, 5)), rng.standard_normal((RUNS, 5))
    theta *= 1.5 / np.linalg.norm(theta, axis=1, keepdims=True)
    proxy = theta + 0.3 * rng.standard_normal((RUNS, 5))
    truth, reward = linear_policy(features, theta), (features @ theta[..., None])[..., 0]
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in RULES}
    for flip in FLIPS:
        pool = sample_pool(features, theta, 4000, flip, rng)
        margins = (pool @ proxy[..., None])[..., 0]
        for name, rule in RULES.items():
            scores = rng.random(margins.shape) if name == "random" else rule(margins)
            policy = linear_policy(features, fit_log_linear(select(pool, scores, 200), ridge=1e-3).theta)
            earned = (np.exp(policy) * reward).sum(axis=-1).mean()
            found[name].append((float(earned), float(kl(policy, truth, log=True).mean())))
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.0, 4.0))
    for marker, (name, values) in zip("os^", found.items()):
        label = {"random": "at random", "absolute": "largest absolute margin", "signed": "largest signed margin"}[name]
        for axis, column in ((left, 0), (right, 1)):
            axis.plot(FLIPS, [v[column] for v in values], marker=marker, ms=5, label=label)
    left.axhline(
        float((np.exp(truth) * reward).sum(axis=-1).mean()), color="black", lw=1.0, ls=":", label="policy of the true reward"
    )
    left.set(xlabel="share of flipped labels", ylabel="reward of the policy", ylim=(0, None))
    right.set(xlabel="share of flipped labels", ylabel="KL from the policy of the true reward", ylim=(0, None))
    left.legend()
    for path in _style.save(figure, "pair_selection"):
        print(path)


if __name__ == "__main__":
    main()
