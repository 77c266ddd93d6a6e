r"""Links: from scores to the probabilities of preferences and rankings.

Bradley-Terry: i is preferred to j with probability :math:`\sigma(s_i - s_j)`. Plackett-Luce: a ranking is drawn from the top, each
place from those that are left in proportion to :math:`e^{s}`; its first choice between two is Bradley-Terry's.
Scores shifted by a common constant have the same laws.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logsumexp

from theory.errors import InputError

Array = NDArray[np.float64]


def bradley_terry(scores: ArrayLike) -> Array:
    r"""Win probabilities :math:`P_{ij} = \sigma(s_i - s_j)`, shape (..., K, K), of scores (..., K)."""
    s = _scores(scores)
    return np.asarray(expit(s[..., :, None] - s[..., None, :]))


def flipped(wins: ArrayLike, rate: float) -> Array:
    """Win probabilities after each label has been flipped with the probability ``rate`` in [0, 1]: P + rate (1 - 2 P)."""
    P = np.asarray(wins, dtype=float)
    if not 0 <= rate <= 1:
        raise InputError(f"labels are flipped with a probability in [0, 1], not {rate}.")
    return P + rate * (1 - 2 * P)


def plackett_luce(scores: ArrayLike, rankings: ArrayLike) -> Array:
    r"""Log-probabilities :math:`\sum_k s_{y_k} - \ln \sum_{j \ge k} e^{s_{y_j}}` of rankings y.

    ``scores`` (..., K) and ``rankings`` (n, K), permutations of 0 .. K-1 with the best first; the result has shape (..., n).
    """
    s, order = _scores(scores), np.asarray(rankings)
    K = s.shape[-1]
    if order.ndim != 2 or order.shape[1] != K or not (np.sort(order, axis=1) == np.arange(K)).all():
        raise InputError(f"rankings of {K} items are permutations of 0 .. {K - 1}, one a row, not of shape {order.shape}.")
    ranked = s[..., order]
    rest = np.stack([logsumexp(ranked[..., k:], axis=-1) for k in range(K)], axis=-1)
    return np.asarray((ranked - rest).sum(axis=-1))


def _scores(scores: ArrayLike) -> Array:
    s = np.asarray(scores, dtype=float)
    if s.ndim == 0 or s.shape[-1] == 0 or not np.isfinite(s).all():
        raise InputError(
            f"scores are finite vectors with at least one entry; these have the shape {s.shape} or an entry that is not finite."
        )
    return s
