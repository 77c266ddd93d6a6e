r"""Losses of a labelled pair, as functions of the margin :math:`h = s_w - s_l` by which the winner's score exceeds the loser's.

==================  ==========================================================================  =============================
logistic            :math:`\ell(h) = \ln(1 + e^{-h})`                                           Bradley-Terry, DPO
conservative        :math:`(1 - \epsilon)\, \ell(h) + \epsilon\, \ell(-h)`                      smoothed labels
robust              :math:`[(1 - \epsilon)\, \ell(h) - \epsilon\, \ell(-h)] / (1 - 2\epsilon)`  unbiased for flipped labels
squared             :math:`(h - m)^2`                                                           IPO at :math:`m = 1/(2\tau)`
hinge               :math:`\max(0, m - h)`                                                      SLiC
==================  ==========================================================================  =============================

A *weighted* set of labelled pairs is a matrix ``weights``, shape (K, K), entries at least 0: entry (i, j) says how often i
was preferred to j. Counts are one, and so is the population law ``pairs * P`` of pairs (i, j) drawn with the probability
``pairs[i, j]`` of which i wins with the probability P[i, j].

Rafailov et al. (2023), arXiv 2305.18290; Azar et al. (2023), arXiv 2310.12036; Chowdhury et al. (2024), arXiv 2403.00409; Zhao et
al. (2023), arXiv 2305.10425.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from theory.errors import InputError
from theory.tilts import require_temperature

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PairLoss:
    """A loss of the margin h, with its first derivative and its second (of the smooth parts); all act entry by entry."""

    name: str
    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    curvature: Callable[[Array], Array]


def logistic() -> PairLoss:
    """ln(1 + exp(-h)), in (0, inf)."""
    return robust(0.0)


def robust(flip: float) -> PairLoss:
    r"""The unbiased loss under labels that are flipped with the probability ``flip`` :math:`\epsilon` in [0, 1/2).

    Its mean over the flip is the logistic loss, and its curvature :math:`\sigma(h)\sigma(-h)` depends neither on labels nor on
    the flip rate, so that it is convex. It falls to minus infinity as h grows if the flip rate is positive.
    """
    if not 0 <= flip < 0.5:
        raise InputError(f"labels are flipped with a probability in [0, 1/2), not {flip}.")
    return _mixture("robust" if flip else "logistic", (1 - flip) / (1 - 2 * flip), -flip / (1 - 2 * flip))


def conservative(flip: float) -> PairLoss:
    """The logistic loss of a label that is believed with the probability 1 - ``flip``; flip in [0, 1/2]."""
    if not 0 <= flip <= 0.5:
        raise InputError(f"the share taken from a label lies in [0, 1/2], not at {flip}.")
    return _mixture("conservative", 1 - flip, flip)


def squared(margin: float) -> PairLoss:
    """(h - margin)^2: IPO at the temperature tau has the margin 1/(2 tau)."""
    if not np.isfinite(margin):
        raise InputError(f"the margin of a squared loss is finite, not {margin}.")
    return PairLoss("squared", lambda h: (h - margin) ** 2, lambda h: 2 * (h - margin), lambda h: np.full_like(h, 2.0))


def ipo(tau: float) -> PairLoss:
    """The squared loss with the margin 1/(2 tau), tau > 0, of scores that are log-ratios."""
    return squared(1 / (2 * require_temperature(tau)))


def hinge(margin: float = 1.0) -> PairLoss:
    """max(0, margin - h), margin > 0; its slope at the kink is -1."""
    if not 0 < margin < np.inf:
        raise InputError(f"the margin of a hinge loss is positive and finite, not {margin}.")
    return PairLoss("hinge", lambda h: np.maximum(0.0, margin - h), lambda h: np.where(h <= margin, -1.0, 0.0), np.zeros_like)


def expected_pair_loss(scores: ArrayLike, weights: ArrayLike, loss: PairLoss) -> Array:
    r""":math:`\sum_{ij} w_{ij}\, \ell(s_i - s_j)`, shape (...), for ``scores`` (..., K) and ``weights`` (K, K)."""
    s, w = _sides(scores, weights)
    return np.asarray((w * loss.value(s[..., :, None] - s[..., None, :])).sum(axis=(-2, -1)))[()]


def expected_pair_gradient(scores: ArrayLike, weights: ArrayLike, loss: PairLoss) -> Array:
    r"""The gradient of :func:`expected_pair_loss` with respect to the scores, shape (..., K); its entries sum to 0.

    With scores :math:`\beta \ln(\pi/\mu)` of a softmax policy the gradient with respect to its logits is :math:`\beta` times it:
    the normaliser cancels because the sum is 0.
    """
    s, w = _sides(scores, weights)
    flow = w * loss.slope(s[..., :, None] - s[..., None, :])
    return np.asarray(flow.sum(axis=-1) - flow.sum(axis=-2))


def _mixture(name: str, kept: float, turned: float) -> PairLoss:
    """kept l(h) + turned l(-h) of the logistic loss l; l(-h) = l(h) + h."""

    def value(h: Array) -> Array:
        return np.asarray((kept + turned) * np.logaddexp(0.0, -h) + turned * h)

    def slope(h: Array) -> Array:
        return np.asarray(turned - (kept + turned) * expit(-h))

    def curvature(h: Array) -> Array:
        return np.asarray((kept + turned) * expit(h) * expit(-h))

    return PairLoss(name, value, slope, curvature)


def _sides(scores: ArrayLike, weights: ArrayLike) -> tuple[Array, Array]:
    s, w = np.asarray(scores, dtype=float), np.asarray(weights, dtype=float)
    if s.ndim == 0 or w.shape != (s.shape[-1], s.shape[-1]):
        raise InputError(f"scores (..., K) and weights (K, K) are needed, not {s.shape} and {w.shape}.")
    if not ((w >= 0) & np.isfinite(w)).all():
        i, j = (int(n) for n in np.argwhere(~((w >= 0) & np.isfinite(w)))[0])
        raise InputError(f"entry ({i}, {j}) of the weights of pairs is {w[i, j]}; it is a finite number of at least 0.")
    return s, w
