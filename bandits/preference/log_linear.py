r"""Log-linear policies and rewards: scores :math:`\langle\theta, \phi(y)\rangle`, fitted to labelled pairs.

With the differences of features :math:`z = \phi(w) - \phi(l)` of the winner and the loser, the fit minimises

.. math:: \sum_i w_i\, \ell(\langle\theta, z_i\rangle) + \tfrac{\lambda}{2} \|\theta - c\|^2

for the logistic loss or one of its mixtures (:mod:`theory.pair_losses`), whose curvature is that of the logistic loss. DPO of a
log-linear policy with the temperature :math:`\beta` is this fit: its parameter is :math:`\theta/\beta`.

Newton's method with the step :math:`\ln(1 + \delta)/\delta`, :math:`\delta = \max_i |\langle d, z_i\rangle|` for the direction
d. On the way the curvature of every term grows by at most :math:`e^{s\delta}`, and this step maximises the gain that is left
after that, so that the loss falls in every step; convergence is quadratic in the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.errors import InputError
from theory.pair_losses import PairLoss, logistic

Array = NDArray[np.float64]
NEWTON_STEPS = 100


@dataclass(frozen=True, eq=False)
class LogLinearFit:
    """Minimisers ``theta`` (..., d) with the largest entry of the gradient there, ``residual`` (...).

    ``converged`` (...) is false where Newton's method has not come to rest within 100 steps: there the data have no minimiser,
    or one too far away for the ridge to hold.
    """

    theta: Array
    residual: Array
    converged: NDArray[np.bool_]


def fit_log_linear(
    differences: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    loss: PairLoss | None = None,
    ridge: ArrayLike = 0.0,
    centre: ArrayLike | None = None,
) -> LogLinearFit:
    """The minimiser of the module's objective for each of several data sets at once.

    ``differences`` (..., n, d): z of each pair. ``weights`` (..., n), at least 0: by default 1/n, the mean loss. ``loss``: the
    logistic loss unless another smooth one of :mod:`theory.pair_losses` is given. ``ridge`` is lambda >= 0, one number or one for
    each data set (...), ``centre`` (..., d) its centre c (0 by default). Without a ridge the differences must span all directions.
    """
    z = np.asarray(differences, dtype=float)
    if z.ndim < 2 or 0 in z.shape or not np.isfinite(z).all():
        raise InputError(f"differences of features are finite and have the shape (..., n, d), not {z.shape}.")
    n, d = z.shape[-2:]
    w = np.broadcast_to(1 / n if weights is None else np.asarray(weights, dtype=float), z.shape[:-1])
    if not ((w >= 0) & np.isfinite(w)).all():
        raise InputError("the weights of pairs are finite and at least 0.")
    penalty = np.asarray(ridge, dtype=float)[..., None]
    if not ((penalty >= 0) & np.isfinite(penalty)).all():
        wrong = float(penalty[~((penalty >= 0) & np.isfinite(penalty))][0])
        raise InputError(f"the ridge is at least 0 and finite, not {wrong}.")
    pair = logistic() if loss is None else loss
    start = np.zeros(d) if centre is None else np.asarray(centre, dtype=float)
    theta = np.broadcast_to(start, (*z.shape[:-2], d)).copy()
    middle = theta.copy()
    transposed = np.swapaxes(z, -1, -2)
    settled = np.zeros(theta.shape[:-1], dtype=bool)
    best = np.full(theta.shape[:-1], np.inf)
    for _ in range(NEWTON_STEPS):
        h = (z @ theta[..., None])[..., 0]
        gradient = (transposed @ (w * pair.slope(h))[..., None])[..., 0] + penalty * (theta - middle)
        hessian = (transposed * (w * pair.curvature(h))[..., None, :]) @ z + penalty[..., None] * np.eye(d)
        try:
            direction = -np.linalg.solve(hessian, gradient[..., None])[..., 0]
        except np.linalg.LinAlgError:
            raise InputError("the differences of features do not span all directions; a ridge is needed.") from None
        length = np.abs((z @ direction[..., None])[..., 0]).max(axis=-1)
        usable = np.isfinite(length)
        scale = 1 + np.abs(h).max(axis=-1)
        # a step at the level of rounding, or one that has stopped shrinking there
        settled |= usable & ((length <= 1e-14 * scale) | ((length <= 1e-8 * scale) & (length >= best)))
        best = np.minimum(best, np.where(usable, length, np.inf))
        moving = usable & ~settled
        if not moving.any():
            break
        step = np.where(moving, np.log1p(np.where(moving, length, 1.0)) / np.where(length > 0, length, 1.0), 0.0)
        theta = theta + step[..., None] * np.where(moving[..., None], direction, 0.0)
    h = (z @ theta[..., None])[..., 0]
    gradient = (transposed @ (w * pair.slope(h))[..., None])[..., 0] + penalty * (theta - middle)
    return LogLinearFit(theta, np.abs(gradient).max(axis=-1), settled)
