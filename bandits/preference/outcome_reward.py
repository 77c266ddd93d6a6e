r"""Policy gradients from outcome rewards: what weighting successes and failures does to a softmax policy.

For the policy :math:`\pi = \mathrm{softmax}(\theta)`, successes S and :math:`p = \pi(S)`, let E_+ and E_- be the means of
:math:`\nabla_\theta \ln \pi(y)` over successes and over failures. On policy

.. math:: \nabla p = p E_+ = p (1-p) (E_+ - E_-), \qquad E_- = -\tfrac{p}{1-p} E_+,

so that a success weighted by :math:`a_+` and a failure by :math:`a_-` (a constant of the prompt each) make the step :math:`p
a_+ E_+ + (1-p) a_- E_- = (a_+ - a_-) \nabla p`: the gradient of f(p) with :math:`f' = a_+ - a_-` (Lyu et al. 2025, arXiv
2502.06781, weigh failures anew). What is out of its stated range raises InputError.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.errors import InputError

Array = NDArray[np.float64]


def mean_scores(log_policy: ArrayLike, success: ArrayLike, log_behaviour: ArrayLike | None = None) -> tuple[Array, Array]:
    r"""The means of :math:`\nabla_\theta \ln \pi(y) = e_y - \pi` over successes and over failures, each of shape (K,).

    ``log_policy`` (K,), ``success`` bool[K] with at least one success and one failure of positive probability. Responses are
    drawn from the policy itself, or from ``log_behaviour`` (K,).
    """
    pi = np.exp(np.asarray(log_policy, dtype=float))
    drawn = pi if log_behaviour is None else np.exp(np.asarray(log_behaviour, dtype=float))
    wins = np.asarray(success, dtype=bool)
    if pi.ndim != 1 or wins.shape != pi.shape or drawn.shape != pi.shape:
        raise InputError(f"policies and successes are vectors of one length, not {pi.shape}, {drawn.shape} and {wins.shape}.")
    means = []
    for chosen in (wins, ~wins):
        mass = drawn[chosen].sum()
        if not mass > 0:
            raise InputError("successes and failures both have a positive probability.")
        means.append(np.where(chosen, drawn, 0.0) / mass - pi)
    return means[0], means[1]


def outcome_gradient(
    log_policy: ArrayLike,
    success: ArrayLike,
    weights: tuple[float, float],
    log_behaviour: ArrayLike | None = None,
) -> Array:
    r""":math:`\mathbb{E}[a(y) \nabla_\theta \ln \pi(y)]`, shape (K,), with ``weights`` (a of a success, a of a failure).

    Otherwise as :func:`mean_scores`.
    """
    won, lost = mean_scores(log_policy, success, log_behaviour)
    drawn = np.exp(np.asarray(log_policy if log_behaviour is None else log_behaviour, dtype=float))
    p = float(drawn[np.asarray(success, dtype=bool)].sum())
    return np.asarray(p * weights[0] * won + (1 - p) * weights[1] * lost)
