r"""Bradley-Terry rewards fitted within a box, which also holds where the likelihood has no maximum.

Over rewards r in :math:`[l, h]^K` this minimises

.. math:: \sum_{ij} w_{ij} \ln\bigl(1 + e^{-(r_i - r_j)}\bigr) - \sum_i b_i r_i,

where w says how often i was preferred to j. With b = 0 it is maximum likelihood. A response that won, or lost, every comparison
has no finite estimate without the box (:func:`theory.bradley_terry_fit.fit_bradley_terry` refuses such data); here it ends at a
side of it. What the data and b leave open, such as a common shift, stays near the middle of the box, where the search starts.

**Certificate.** The objective f is convex, so that for every r in the box

.. math:: f(r) - \min f \le \max_{r'} \langle \nabla f(r), r - r' \rangle
          = \sum_i \max\{g_i (r_i - l), g_i (r_i - h)\}, \qquad g = \nabla f(r),

the Frank-Wolfe gap, to which a bound on the rounding of g is added. The method is Bertsekas' (1982) projected Newton method with
Levenberg's damping.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bandits.preference import _kernels
from theory.errors import InputError

Array = NDArray[np.float64]
EPS = float(np.finfo(float).eps)
TOLERANCE = 1e-15  # of the gap, relative to one plus the size of the objective's terms: as far as rounding lets it
STEPS = 500


@dataclass(frozen=True, eq=False)
class BoxFit:
    """A point of the box and a certificate: the minimum of the objective lies in [value - gap, value].

    ``reward``, shape (K,). ``residual``: the largest entry of :math:`r - \\Pi(r - \\nabla f(r))`, the projected gradient, which is
    0 exactly at the minimisers. ``steps`` counts Newton steps.
    """

    reward: Array
    value: float
    gap: float
    residual: float
    steps: int


def fit_in_box(weights: ArrayLike, low: float, high: float, *, linear: ArrayLike | None = None) -> BoxFit:
    """The minimiser of the module's objective.

    ``weights`` (K, K), at least 0: counts, or a law of (winner, loser). ``low`` < ``high``: the box. ``linear`` (K,): b, by
    default 0. Raises :class:`InputError` for anything else.
    """
    w = read_weights(weights)
    b = np.zeros(len(w)) if linear is None else np.asarray(linear, dtype=float)
    return minimise(w, np.zeros(len(w)), b, 1.0, 0.0, *read_box(low, high))


def minimise(weights: Array, log_reference: Array, linear: Array, beta: float, tilt: float, low: float, high: float) -> BoxFit:
    r"""The minimiser of the module's objective plus :math:`t \beta \ln \sum_y \mu(y) e^{r(y)/\beta}`, t = ``tilt`` >= 0.

    For the fits of this package, which have validated their arguments; ``log_reference`` (K,) is :math:`\ln \mu`.
    """
    if linear.shape != (len(weights),) or not np.isfinite(linear).all():
        raise InputError(f"the linear part of a fit of {len(weights)} rewards is a finite vector, not of shape {linear.shape}.")
    middle = np.full(len(weights), (low + high) / 2)
    # copies, so that the kernel is compiled for writable arrays alone
    problem = (np.array(weights), np.array(log_reference), np.array(linear), beta, tilt)
    reward, _, steps = _kernels.box_newton(*problem, low, high, middle, TOLERANCE, STEPS)
    gap, residual = certificate(reward, *problem, low, high)
    value, size = _kernels.box_objective(reward, *problem)
    return BoxFit(reward, value, gap + EPS * (len(weights) ** 2 + 8) * size, residual, steps)


def certificate(
    reward: Array, weights: Array, log_reference: Array, linear: Array, beta: float, tilt: float, low: float, high: float
) -> tuple[float, float]:
    """The Frank-Wolfe gap of a point of the box, with the rounding of the gradient, and its projected-gradient residual."""
    K = len(reward)
    gradient, hessian = np.empty(K), np.empty((K, K))
    _kernels.box_derivatives(reward, weights, log_reference, linear, beta, tilt, gradient, hessian)
    reach = np.maximum(gradient * (reward - low), gradient * (reward - high)).sum()
    # a win's share is rounded with its exponent, a probability of the tilt with its own
    terms = (weights + weights.T).sum() * (K + 8 + 2 * np.abs(reward).max()) + np.abs(linear).sum()
    finite = log_reference[np.isfinite(log_reference)]
    terms += abs(tilt) * (K + 8 + 2 * np.abs(finite).max(initial=0.0) + 2 * np.abs(reward).max() / beta)
    residual = np.abs(reward - np.clip(reward - gradient, low, high)).max()
    return float(reach + (high - low) * EPS * terms), float(residual)


def read_weights(weights: ArrayLike) -> Array:
    """``weights`` as a float matrix (K, K) of finite entries of at least 0, else :class:`InputError`."""
    w = np.ascontiguousarray(weights, dtype=float)
    if w.ndim != 2 or w.shape[0] != w.shape[1] or w.size == 0:
        raise InputError(f"comparisons form a square matrix with a row for each response, not an array of shape {w.shape}.")
    bad = ~((w >= 0) & (w < np.inf))
    if bad.any():
        i, j = (int(n) for n in np.argwhere(bad)[0])
        raise InputError(f"entry ({i}, {j}) of the comparisons is {w[i, j]}; it is a finite number of at least 0.")
    return w


def read_box(low: float, high: float) -> tuple[float, float]:
    """The sides of a box, else :class:`InputError`."""
    if not (np.isfinite([low, high]).all() and low < high):
        raise InputError(f"a box of rewards has finite sides low < high, not {low} and {high}.")
    return float(low), float(high)
