r"""Lists of responses: discounted cumulative gain, the lambda loss, ListMLE (LiPO).

K responses of a prompt have labels :math:`\psi_i` in [0, 1] and scores :math:`s_i`, in LiPO :math:`\beta \ln (\pi/\mu)(y_i)`. The
rank :math:`\tau_i` of a response counts from 1 for the highest score (of equal scores, the first listed comes first). With the gains
:math:`G_i = 2^{\psi_i} - 1` and the discounts :math:`D(\tau) = \ln(1 + \tau)`,

.. math:: \mathrm{DCG}(s) = \sum_i \frac{G_i}{D(\tau_i)}, \qquad
          \Delta_{ij} = |G_i - G_j| \left|\frac{1}{D(\tau_i)} - \frac{1}{D(\tau_j)}\right|, \qquad
          L_\lambda(s) = \sum_{\psi_i > \psi_j} \Delta_{ij} \ln\bigl(1 + e^{-(s_i - s_j)}\bigr).

:math:`\Delta_{ij}` is what exchanging i and j in the ranking changes the DCG by. ListMLE is minus the log-likelihood of the order of
the labels in the Plackett-Luce model (:func:`theory.links.plackett_luce`).

T. Liu et al. (2024), arXiv 2402.01878; Burges (2010), the lambda loss; Xia et al. (2008), ListMLE.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.errors import InputError
from theory.links import plackett_luce
from theory.pair_losses import PairLoss, expected_pair_loss, logistic

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
Discount = Callable[[Array], Array]


def logarithmic(rank: Array) -> Array:
    """1 / ln(1 + rank), the weight of a place in the DCG."""
    return np.asarray(1 / np.log1p(rank))


def ranks(scores: ArrayLike) -> Integers:
    """Ranks from 1 for the highest score, shape (..., K) for ``scores`` (..., K); of equal scores, the first listed comes first."""
    s = np.asarray(scores, dtype=float)
    if s.ndim == 0 or s.shape[-1] == 0 or not np.isfinite(s).all():
        raise InputError(f"a list has finite scores, at least one, not an array of shape {s.shape} or an infinite entry.")
    return np.argsort(np.argsort(-s, axis=-1, kind="stable"), axis=-1) + 1


def gains(labels: ArrayLike) -> Array:
    r""":math:`2^\psi - 1`, for ``labels`` in [0, 1]."""
    psi = np.asarray(labels, dtype=float)
    if not ((psi >= 0) & (psi <= 1)).all():
        raise InputError("the labels of a list lie in [0, 1].")
    return np.exp2(psi) - 1


def dcg(scores: ArrayLike, labels: ArrayLike, discount: Discount = logarithmic) -> Array:
    """The discounted cumulative gain of the ranking by ``scores``, shape (...), for scores and labels (..., K).

    ``discount`` maps ranks to the weights 1/D of places.
    """
    return np.asarray((gains(labels) * discount(ranks(scores).astype(float))).sum(axis=-1))[()]


def dcg_regret(scores: ArrayLike, labels: ArrayLike, discount: Discount = logarithmic) -> Array:
    """What the DCG of the ranking by ``scores`` lacks to the ranking by ``labels``, which is the best if the discount falls."""
    return np.asarray(dcg(labels, labels, discount) - dcg(scores, labels, discount))[()]


def lambda_weights(scores: ArrayLike, labels: ArrayLike, discount: Discount = logarithmic) -> Array:
    r"""The matrix (..., K, K) with :math:`\Delta_{ij}` where :math:`\psi_i > \psi_j`, and 0 elsewhere.

    It is a set of weighted pairs (winner, loser) in the sense of :mod:`theory.pair_losses`.
    """
    G, weight = gains(labels), discount(ranks(scores).astype(float))
    psi = np.asarray(labels, dtype=float)
    if psi.shape != weight.shape:
        raise InputError(f"scores and labels of a list have one shape, not {weight.shape} and {psi.shape}.")
    change = np.abs(G[..., :, None] - G[..., None, :]) * np.abs(weight[..., :, None] - weight[..., None, :])
    return np.where(psi[..., :, None] > psi[..., None, :], change, 0.0)


def lambda_loss(scores: ArrayLike, labels: ArrayLike, loss: PairLoss | None = None) -> float:
    """The lambda loss of one list, scores and labels (K,): a pair loss, by default the logistic one, weighted by Delta."""
    return float(expected_pair_loss(scores, lambda_weights(scores, labels), loss or logistic()))


def pairwise_loss(scores: ArrayLike, labels: ArrayLike, loss: PairLoss | None = None) -> float:
    """A pair loss, by default the logistic one, summed over all pairs of one list with different labels, unweighted."""
    psi = np.asarray(labels, dtype=float)
    return float(expected_pair_loss(scores, (psi[:, None] > psi).astype(float), loss or logistic()))


def list_mle(scores: ArrayLike, labels: ArrayLike) -> float:
    """Minus the Plackett-Luce log-likelihood of the order of the labels of one list; equal labels in the order listed."""
    order = np.argsort(-np.asarray(labels, dtype=float), kind="stable")
    return -float(plackett_luce(scores, order[None])[0])
