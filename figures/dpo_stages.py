"""DPO in one stage, and a reward model and a tilt in two: the same policy (claim dpo/one-stage-equals-two-stage).

Each point is a response of one of 30 data sets of 200 pairs of six responses. Left: descent on the logits of the policy against the tilt of the
reference by the maximum-likelihood reward, for three temperatures. Right: the policy is kept to four features, one less than five would
need: then the two stages part.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

from bandits.preference.comparisons import independent_pairs, labelled, sample_counts
from bandits.preference.dpo import dpo_gradient, fit_dpo
from theory.links import bradley_terry
from theory.pair_losses import expected_pair_loss, logistic
from theory.tilts import implicit_reward

K, PAIRS, DATA_SETS = 6, 200, _style.sized(30, 3)


def _one_stage(reference: np.ndarray, wins: np.ndarray, beta: float, features: np.ndarray) -> np.ndarray:
    def loss(u: np.ndarray) -> tuple[float, np.ndarray]:
        policy = log_softmax(reference + features @ u / beta)
        value = expected_pair_loss(implicit_reward(policy, reference, beta), wins / PAIRS, logistic())
        return float(value), features.T @ dpo_gradient(policy, reference, wins / PAIRS, beta) / beta

    found = minimize(loss, np.zeros(features.shape[1]), jac=True, method="BFGS", options={"gtol": 1e-9})
    return log_softmax(reference + features @ found.x / beta)


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, all_axes = plt.subplots(1, 2, figsize=(9.4, 4.6))
    law = independent_pairs(np.full(K, 1 / K), distinct=True)
    titles = ("all policies", "four features of the policy")
    for axes, title, features_of in zip(all_axes, titles, (lambda rng: np.eye(K), lambda rng: rng.standard_normal((K, K - 2)))):
        low = 0.0
        for colour, marker, beta in zip(_style.COLOURS, "osD", (0.2, 0.5, 2.0)):
            rng = np.random.default_rng(0)
            points = []
            for _ in range(DATA_SETS):
                wins = sample_counts(labelled(law, bradley_terry(rng.standard_normal(K))), PAIRS, rng).astype(float)
                reference = log_softmax(rng.standard_normal(K))
                two = fit_dpo(reference, wins, beta).log_policy
                points.append((two, _one_stage(reference, wins, beta, features_of(rng))))
            two_stage, one_stage = np.array(points).transpose(1, 0, 2).reshape(2, -1)
            axes.plot(two_stage, one_stage, marker, color=colour, ms=3.5, alpha=0.6, mew=0, label=f"β = {beta:g}")
            low = min(low, two_stage.min(), one_stage.min())
        axes.plot([low, 0], [low, 0], color="black", lw=0.8)
        axes.set(title=title, xlabel="log-probability, two stages", ylabel="log-probability, one stage")
        axes.legend()
    for path in _style.save(figure, "dpo_stages"):
        print(path)


if __name__ == "__main__":
    main()
