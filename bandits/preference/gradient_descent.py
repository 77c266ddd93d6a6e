r"""Gradient descent of softmax policies on a loss of labelled pairs.

The policy is :math:`\pi_\theta \propto \mu\, e^{\langle\theta, \phi\rangle}`, its scores are the implicit rewards
:math:`\beta \ln(\pi_\theta/\mu)`, of which only differences matter, and

.. math:: \theta_{k+1} = \theta_k - \eta \beta \sum_{ij} w_{ij}\, \ell'(\beta \langle\theta_k, \phi_i - \phi_j\rangle)\,
          (\phi_i - \phi_j)

for weights :math:`w_{ij}` that say how often i was preferred to j. For the logistic loss this is DPO (Rafailov et al. 2023, arXiv
2305.18290). Without features every response has a logit of its own; a logit of a response that is in no pair never moves, and
the sum of the others never changes. This is what decides which of the loss's many minimisers is found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax

from theory.errors import InputError
from theory.pair_losses import PairLoss, logistic
from theory.tilts import require_temperature

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Descent:
    """The last parameters ``theta`` (d,), their policy ``log_policy`` (K,), and how the descent ended.

    ``residual`` is the largest entry of the last gradient with respect to theta, ``steps`` the number of steps made.
    """

    theta: Array
    log_policy: Array
    residual: float
    steps: int


def descend(
    log_reference: ArrayLike,
    weights: ArrayLike,
    beta: float,
    *,
    step: float,
    steps: int,
    features: ArrayLike | None = None,
    start: ArrayLike | None = None,
    loss: PairLoss | None = None,
    tolerance: float = 0.0,
) -> Descent:
    r"""At most ``steps`` steps of the size ``step`` :math:`\eta > 0`, fewer if no entry of the gradient exceeds ``tolerance``.

    ``log_reference`` (K,): log-probabilities, finite or -inf. ``weights`` (K, K), at least 0. ``features`` (K, d): the identity
    (tabular) if not given. ``start`` (d,): 0, the reference, if not given. The logistic loss unless ``loss`` says otherwise.
    With weights that sum to 1, tabular DPO descends for every step below :math:`8/\beta^2`, as the loss has a curvature of
    at most :math:`\beta^2/4`.
    """
    reference, w = np.asarray(log_reference, dtype=float), np.asarray(weights, dtype=float)
    if reference.ndim != 1 or w.shape != (reference.size, reference.size):
        raise InputError(f"a reference (K,) and weights (K, K) are needed, not {reference.shape} and {w.shape}.")
    if not ((w >= 0) & np.isfinite(w)).all():
        raise InputError("the weights of pairs are finite and at least 0.")
    if not 0 < step < np.inf or steps < 0:
        raise InputError(f"steps have a positive finite size, and there are at least 0 of them, not {step} and {steps}.")
    phi = np.eye(reference.size) if features is None else np.asarray(features, dtype=float)
    if phi.ndim != 2 or phi.shape[0] != reference.size or not np.isfinite(phi).all():
        raise InputError(f"features are a finite matrix ({reference.size}, d), not of shape {phi.shape}.")
    theta = np.zeros(phi.shape[1]) if start is None else np.array(start, dtype=float)
    if theta.shape != (phi.shape[1],) or not np.isfinite(theta).all():
        raise InputError(f"a start has {phi.shape[1]} finite parameters, not the shape {theta.shape}.")
    temperature, pair = require_temperature(beta), logistic() if loss is None else loss
    done = 0
    while True:
        scores = temperature * (phi @ theta)
        flow = w * pair.slope(scores[:, None] - scores)
        gradient = temperature * ((flow.sum(axis=1) - flow.sum(axis=0)) @ phi)
        residual = float(np.abs(gradient).max())
        if done == steps or residual <= tolerance:
            break
        theta = theta - step * gradient
        done += 1
    return Descent(theta, np.asarray(log_softmax(reference + phi @ theta)), residual, done)
