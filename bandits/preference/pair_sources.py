r"""Where preference pairs come from, and what that costs: the gap of a maximum-likelihood fit, to first order in 1/n.

From n labelled pairs of the law :math:`\nu` the rewards' fit has the error :math:`\delta` with the covariance :math:`I^+/n`,
I being the Fisher information of one pair: the Laplacian with the weights :math:`(\nu_{ij} + \nu_{ji})\,
\sigma'(r_i - r_j)`. The fitted policy loses :math:`\beta\,\mathrm{KL}(\pi_{r + \delta} \| \pi^\star) = \mathrm{Var}_{\pi^\star}(\delta)/(2\beta) +
O(\delta^3)`. So n times the expected gap tends to

.. math:: c(\nu) = \frac{1}{2\beta} \operatorname{tr}\bigl(\Sigma_{\pi^\star} I^+\bigr), \qquad \Sigma_\pi = \operatorname{diag}(\pi) - \pi\pi^\top .
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from bandits.preference.kl_bandit import KLBandit
from theory.divergences import NORMALISATION
from theory.errors import InputError

Array = NDArray[np.float64]


def pair_information(reward: ArrayLike, pairs: ArrayLike) -> Array:
    """The Fisher information about rewards (K,) of one labelled pair of the law ``pairs`` (K, K): a Laplacian, shape (K, K)."""
    r, law = np.asarray(reward, dtype=float), np.asarray(pairs, dtype=float)
    if r.ndim != 1 or law.shape != (r.size, r.size) or not np.isfinite(r).all():
        raise InputError(f"finite rewards (K,) and a law of pairs (K, K) are needed, not {r.shape} and {law.shape}.")
    if not (law >= 0).all() or not abs(law.sum() - 1) <= NORMALISATION:
        raise InputError(f"a law of pairs has entries of at least 0 that sum to 1, not to {law.sum():.12g}.")
    margin = r[:, None] - r
    weights = (law + law.T) * expit(margin) * expit(-margin)
    np.fill_diagonal(weights, 0.0)
    return np.asarray(np.diag(weights.sum(axis=1)) - weights)


def gap_constant(bandit: KLBandit, pairs: ArrayLike) -> float:
    r"""The limit c of n times the expected gap of the fit from n pairs of the law ``pairs`` (K, K), at least 0.

    Raises :class:`InputError` unless the pairs connect all responses, with information enough for float64.
    """
    if bandit.prompts is not None:
        raise InputError("the cost of a source of pairs is computed for one prompt; this bandit has a prompt axis.")
    information = pair_information(bandit.reward, pairs)
    K = bandit.responses
    # rewards relative to the last one, and responses scaled to an information of 1, which halves the digits that are lost
    scale = 1 / np.sqrt(np.maximum(np.diag(information)[:-1], 1e-300))
    reduced = information[:-1, :-1] * scale[:, None] * scale
    values = np.linalg.eigvalsh(reduced) if K > 1 else np.ones(1)
    if values[0] <= 1e-12:
        raise InputError("the pairs do not tell the rewards of all responses apart.")
    p = np.exp(bandit.log_optimum)[:-1]
    spread = (np.diag(p) - np.outer(p, p)) * scale[:, None] * scale
    return float(np.trace(np.linalg.solve(reduced, spread)) / (2 * bandit.beta)) if K > 1 else 0.0
