"""Where preference pairs should come from (claims rso/reference-beats-optimum, rso/own-source-price, rso/mixture-is-safe).

Left: the mean gap of a tabular fit (ridge 0.05) to 1000 labelled pairs, over 300 random bandits of 12 responses, with standard errors.
Right: the limit of n times the expected gap on one bandit of five responses, and (K - 1)/beta, below which pairs of the optimum
cannot fall.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from bandits.preference.comparisons import independent_pairs, labelled, sample_counts
from bandits.preference.families import random_kl_bandit
from bandits.preference.kl_bandit import KLBandit
from bandits.preference.log_linear import fit_log_linear
from bandits.preference.pair_sources import gap_constant
from theory.divergences import kl
from theory.links import bradley_terry
from theory.tilts import log_tilt

K, PAIRS, RUNS = 12, 1000, _style.sized(300, 20)
BETAS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
STYLES = {"reference": "-", "optimum": "--", "half of the pairs from each": "-."}


def sources(bandit: KLBandit) -> list[np.ndarray]:
    """Laws of pairs: of the reference, of the optimum, and the mixture of the two."""
    reference, optimum = (independent_pairs(p) for p in (bandit.reference, np.exp(bandit.log_optimum)))
    return [reference, optimum, (reference + optimum) / 2]


def fitted_gaps(beta: float) -> np.ndarray:
    """The gaps, shape (RUNS, 3)."""
    first, second = np.triu_indices(K, 1)
    unit = np.eye(K)
    z = np.concatenate((unit[first] - unit[second], unit[second] - unit[first]))
    rng = np.random.default_rng(0)
    bandits = [random_kl_bandit(K=K, beta=beta, seed=seed) for seed in range(RUNS)]
    counts = np.array(
        [[sample_counts(labelled(law, bradley_terry(b.reward)), PAIRS, rng) for law in sources(b)] for b in bandits]
    )
    weights = np.concatenate((counts[..., first, second], counts[..., second, first]), axis=-1)
    fit = fit_log_linear(np.broadcast_to(z, (*weights.shape, K)), weights, ridge=0.05)
    reference, truth = (np.array([getattr(b, name) for b in bandits])[:, None] for name in ("log_reference", "log_optimum"))
    return np.asarray(beta * kl(log_tilt(reference, fit.theta, beta), truth, log=True))


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.2))
    gaps = np.array([fitted_gaps(beta) for beta in BETAS])
    for k, (label, dashes) in enumerate(STYLES.items()):
        error = gaps[:, :, k].std(axis=1, ddof=1) / np.sqrt(RUNS)
        left.errorbar(BETAS, gaps[:, :, k].mean(axis=1), error, ls=dashes, marker="o", ms=4, capsize=2, label=label)
    left.set(
        xscale="log", yscale="log", xlabel="temperature β", ylabel="mean gap to the optimum", title="1000 pairs, 12 responses"
    )

    betas = np.geomspace(0.2, 5, _style.sized(30, 8))
    bandits = [random_kl_bandit(K=5, concentration=5.0, beta=float(beta), seed=2) for beta in betas]
    constants = np.array([[gap_constant(b, law) for law in sources(b)] for b in bandits])
    for k, (label, dashes) in enumerate(STYLES.items()):
        right.loglog(betas, constants[:, k], ls=dashes, label=label)
    right.loglog(betas, 4 / betas, color="black", lw=0.8, ls=":", label="(K − 1)/β")
    right.set(xlabel="temperature β", ylabel="lim n · expected gap", title="Many pairs, 5 responses")
    right.set_xticks([0.2, 0.5, 1, 2, 5], ["0.2", "0.5", "1", "2", "5"])
    right.set_xticks([], minor=True)
    handles, texts = right.get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=4)
    for path in _style.save(figure, "pair_sources"):
        print(path)


if __name__ == "__main__":
    main()
