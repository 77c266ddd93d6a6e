r"""DPO and IPO over all policies of a finite set of responses: their fits to labelled pairs, and what bounds on scores do to them.

With the implicit reward :math:`r_\pi = \beta \ln(\pi/\mu)` of a policy, DPO minimises

.. math:: L(\pi) = \sum_{ij} w_{ij}\, \ell\bigl(r_\pi(i) - r_\pi(j)\bigr), \qquad \ell(h) = \ln(1 + e^{-h}),

where :math:`w_{ij}` says how often i was preferred to j. Every vector is an implicit reward up to a constant, so that the minimiser
is the tilt of the reference by the Bradley-Terry fit, for every :math:`\beta`. IPO replaces the loss by :math:`(h - 1/(2\tau))^2` of the
differences h of log-ratios, whose minimiser solves a linear equation.

Rafailov et al. (2023), arXiv 2305.18290; Azar et al. (2023), arXiv 2310.12036.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.bradley_terry_fit import fit_bradley_terry
from theory.errors import InputError
from theory.pair_losses import PairLoss, expected_pair_gradient, logistic
from theory.tilts import implicit_reward, log_tilt, require_temperature

Array = NDArray[np.float64]
EPS = float(np.finfo(float).eps)
NEWTON_STEPS = 500
ENOUGH = 1e-12  # of the relative residual of a fit in a box


@dataclass(frozen=True, eq=False)
class DPOFit:
    """The DPO policy of a data set.

    ``log_policy`` (K,); ``reward`` (K,): the Bradley-Terry fit, which is its implicit reward up to a constant, with the sum 0;
    ``error``: a bound on the error of every log-probability (infinite where the fit has no certificate).
    """

    log_policy: Array
    reward: Array
    error: float


@dataclass(frozen=True, eq=False)
class AnchoredFit:
    """Minimisers ``scores`` (K,) of bounded size, one of which is 0, and the largest ``residual`` of the conditions of optimality there, in [0, 1].

    The residual of a score is its derivative (only the part that points into the box, at an end) over the sum of the absolute values
    of the terms that the derivative adds up. By convexity a residual of 0 proves the minimum.
    """

    scores: Array
    residual: float


def fit_dpo(log_reference: ArrayLike, wins: ArrayLike, beta: float) -> DPOFit:
    """The policy that minimises the DPO loss of ``wins``, shape (K, K): entry (i, j) says how often i was preferred to j.

    ``log_reference``, shape (K,): finite log-probabilities (a response without probability has no implicit reward). Raises
    :class:`InputError` for those, for wins that are no counts, and where the loss has no minimiser because no chain of wins leads from one
    response to another.
    """
    reference = _reference(log_reference)
    fit = fit_bradley_terry(wins)
    if fit.theta.shape != reference.shape:
        raise InputError(f"wins between {fit.theta.size} responses do not fit a reference of the shape {reference.shape}.")
    # logits that are off by vectors of span e move no log-probability by more than e
    return DPOFit(log_tilt(reference, fit.theta, beta), fit.theta, fit.error_bound / beta)


def dpo_gradient(
    log_policy: ArrayLike, log_reference: ArrayLike, weights: ArrayLike, beta: float, loss: PairLoss | None = None
) -> Array:
    r"""The gradient of L with respect to the logits of softmax policies, shape (..., K) as ``log_policy``.

    With the logistic loss :math:`-\beta \sum_{ij} w_{ij}\, \sigma(r_\pi(j) - r_\pi(i))\, (e_i - e_j)`, as the policy's own mean of the
    gradients of log-probabilities cancels. Another ``loss`` takes its slope in place of :math:`-\sigma`.
    """
    scores = implicit_reward(log_policy, log_reference, beta)
    return beta * expected_pair_gradient(scores, weights, logistic() if loss is None else loss)


def fit_ipo(log_reference: ArrayLike, weights: ArrayLike, tau: float) -> Array:
    r"""The log-probabilities (K,) that minimise the IPO loss :math:`\sum_{ij} w_{ij} (h_i - h_j - 1/(2\tau))^2`, :math:`h = \ln(\pi/\mu)`.

    The derivative vanishes where :math:`\sum_j n_{ij}(h_i - h_j) = \sum_j (w_{ij} - w_{ji})/(2\tau)` with :math:`n = w + w^\top`: a linear
    equation with the Laplacian of the graph of comparisons. ``weights`` (K, K), at least 0. Raises :class:`InputError` if the graph falls
    apart, so that there is no unique solution.
    """
    reference, w = _reference(log_reference), np.asarray(weights, dtype=float)
    require_temperature(tau)
    K = reference.size
    if w.shape != (K, K) or not ((w >= 0) & np.isfinite(w)).all():
        raise InputError(
            f"the weights of pairs of {K} responses are a matrix of finite numbers of at least 0 with as many rows."
        )
    n = w + w.T
    np.fill_diagonal(n, 0.0)
    _require_one_piece(n)
    laplacian = np.diag(n.sum(axis=1)) - n
    target = (w - w.T).sum(axis=1) / (2 * tau)
    ratios = np.linalg.solve(laplacian + np.trace(laplacian) / K**2, target)
    return log_tilt(reference, ratios, 1.0)


def fit_anchored(weights: ArrayLike, loss: PairLoss, bound: float, *, anchor: int = 0) -> AnchoredFit:
    r"""The scores s with :math:`s_{\text{anchor}} = 0` and :math:`|s_j| \le` ``bound`` that minimise :math:`\sum_{ij} w_{ij}\,\ell(s_i - s_j)`.

    ``weights`` (K, K), at least 0, and a smooth convex ``loss`` with :math:`|\ell'''| \le \ell''` (the logistic one and its mixtures, and
    the squared one). Each step minimises the quadratic model in the box, d being the move to its minimiser, and goes the part
    :math:`\ln(1 + \delta)/\delta` of it, :math:`\delta` the span of d: the curvature grows by at most :math:`e^{s\delta}` on the way, so that
    the loss falls. Raises :class:`InputError` for a bound that is not positive and finite, an anchor that is none of the responses, and
    weights that leave some response without a path of comparisons to it.
    """
    from scipy.optimize import lsq_linear

    w = np.asarray(weights, dtype=float)
    K = w.shape[0] if w.ndim else 0
    if not 0 < bound < np.inf:
        raise InputError(f"the bound on scores is positive and finite, not {bound}.")
    if not 0 <= anchor < K:
        raise InputError(f"the anchor is one of {K} responses, not {anchor}.")
    expected_pair_gradient(np.zeros(K), w, loss)  # refuses what is no matrix of weights
    _require_one_piece(w + w.T)
    free = np.flatnonzero(np.arange(K) != anchor)
    scores = np.zeros(K)
    best, residual = scores, np.inf
    for _ in range(NEWTON_STEPS):
        gradient, hessian, sizes = _derivatives(scores, w, loss)
        ends = np.where(scores >= bound, gradient > 0, np.where(scores <= -bound, gradient < 0, True))
        # an end of the box is left only where the derivative points inwards
        misfit = float((np.abs(gradient) * ends / np.where(sizes > 0, sizes, 1.0))[free].max(initial=0.0))
        if misfit < residual:
            best, residual = scores, misfit
        if residual <= ENOUGH:
            break
        factor = np.linalg.cholesky(hessian[np.ix_(free, free)])
        target = -np.linalg.solve(factor, gradient[free])
        move = np.linalg.solve(factor.T, target)
        low, high = -bound - scores[free], bound - scores[free]
        if not ((low <= move) & (move <= high)).all():
            box = (np.minimum(low, -1e-300), np.maximum(high, 1e-300))  # its ends must differ
            move = lsq_linear(factor.T, target, bounds=box, method="bvls", tol=1e-15).x
        direction = np.zeros(K)
        direction[free] = move
        length = float(np.ptp(direction))
        if length == 0:
            break
        moved = scores + np.log1p(length) / length * direction
        scores = np.where(np.abs(moved) >= bound * (1 - 4 * EPS), np.copysign(bound, moved), moved)
    return AnchoredFit(best, residual)


def _derivatives(scores: Array, w: Array, loss: PairLoss) -> tuple[Array, Array, Array]:
    """Gradient and Hessian of the weighted loss, and the sums of the absolute values of the terms of the gradient."""
    h = scores[:, None] - scores
    flow, curvature = w * loss.slope(h), w * loss.curvature(h)
    np.fill_diagonal(flow, 0.0)
    both = curvature + curvature.T
    np.fill_diagonal(both, 0.0)
    hessian = np.diag(both.sum(axis=1)) - both
    return flow.sum(axis=1) - flow.sum(axis=0), hessian, np.abs(flow).sum(axis=1) + np.abs(flow).sum(axis=0)


def _reference(log_reference: ArrayLike) -> Array:
    reference = np.asarray(log_reference, dtype=float)
    if reference.ndim != 1 or not np.isfinite(reference).all():
        raise InputError(
            f"the reference gives every response a probability: finite log-probabilities (K,), not those of shape {reference.shape}."
        )
    return reference


def _require_one_piece(compared: Array) -> None:
    """InputError unless every response is connected to every other one by comparisons."""
    reached = np.zeros(compared.shape[0], dtype=bool)
    reached[:1] = True
    for _ in range(compared.shape[0]):
        reached = reached | (compared[reached] > 0).any(axis=0)
    if not reached.all():
        raise InputError(f"no chain of comparisons leads from response 0 to response {int(np.argmin(reached))}.")
