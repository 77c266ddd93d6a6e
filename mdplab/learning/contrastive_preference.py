r"""Contrastive preference learning: a policy learnt from comparisons of segments, without a reward and without values.

A *segment* of length k is :math:`(s_0, a_0, \ldots, s_{k-1}, a_{k-1})`. With the optimal advantage :math:`A^\star = Q^\star - V^\star` of the
entropy-regularised problem at the temperature :math:`\alpha`, the regret model says that segment i is preferred to j with the probability
:math:`\sigma(c_i - c_j)`, :math:`c = \sum_t \gamma^t A^\star(s_t, a_t)`; the older model of partial returns puts :math:`\sum_t \gamma^t R(s_t, a_t)` in
the place of c.

As :math:`A^\star = \alpha \ln \pi^\star`, the learner minimises the logistic loss of the scores

.. math:: \sum_t \gamma^t \alpha \ln \pi(a_t | s_t)

over policies. Scores of unnormalised logarithms f are linear, and the loss convex, in f; a policy is an f with
:math:`\sum_a e^{f(s, a)/\alpha} = 1` in each state.

Hejna, Rafailov, Sikchi, Finn, Niekum, Knox and Sadigh (2023), arXiv 2310.13639.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models import ModelError, TabularMDP
from mdplab.solvers.policy import log_softmax_policy, state_sum
from theory.errors import InputError
from theory.pair_losses import expected_pair_gradient, expected_pair_loss, logistic
from theory.tilts import require_temperature

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
MOST_SEGMENTS = 100_000


def all_segments(mdp: TabularMDP, length: int) -> Integers:
    """Every sequence of ``length`` state-action pairs that has a positive probability, shape (n, length), as indices of pairs.

    In lexicographic order, from every start state. Raises InputError for a length below 1 or more than 100 000 segments.
    """
    if length < 1:
        raise InputError(f"a segment has at least one step, not {length}.")
    matrix = mdp.transition_matrix()
    following = []
    for pair in range(mdp.pairs):
        row = slice(matrix.indptr[pair], matrix.indptr[pair + 1])
        states = np.unique(matrix.indices[row][matrix.data[row] > 0])
        following.append(np.concatenate([np.arange(mdp.state_pointer[s], mdp.state_pointer[s + 1]) for s in states]))
    segments = np.arange(mdp.pairs, dtype=np.int64)[:, None]
    for _ in range(length - 1):
        counts = np.array([following[last].size for last in segments[:, -1]])
        if counts.sum() > MOST_SEGMENTS:
            raise InputError(f"there are {counts.sum()} segments of this model, more than {MOST_SEGMENTS}.")
        later = np.concatenate([following[last] for last in segments[:, -1]])
        segments = np.hstack((np.repeat(segments, counts, axis=0), later[:, None]))
    return segments


def discounted_counts(mdp: TabularMDP, segments: ArrayLike) -> Floats:
    r"""How often each segment takes each pair, its t-th step weighed by :math:`\gamma^t`, shape (n, N), for segments (n, k).

    The score of a segment under a function f of pairs is the product with f.
    """
    index = np.asarray(segments)
    if index.ndim != 2 or index.size == 0 or index.dtype.kind not in "iu":
        raise InputError(f"segments are indices of pairs, one segment a row, not an array of shape {index.shape}.")
    if not ((index >= 0) & (index < mdp.pairs)).all():
        wrong = int(index[(index < 0) | (index >= mdp.pairs)][0])
        raise ModelError(f"a segment takes the pair {wrong}; the model has the pairs 0 .. {mdp.pairs - 1}.")
    counts = np.zeros((len(index), mdp.pairs))
    for t in range(index.shape[1]):
        counts[np.arange(len(index)), index[:, t]] += mdp.gamma**t
    return counts


def contrastive_loss(mdp: TabularMDP, segments: ArrayLike, weights: ArrayLike, log_policy: ArrayLike, alpha: float) -> float:
    r"""The loss :math:`\sum_{ij} w_{ij} \ln(1 + e^{-(c_i - c_j)})`, :math:`c = \sum_t \gamma^t \alpha \ln\pi(a_t|s_t)`.

    ``weights`` (n, n), at least 0: how often segment i was preferred to j, counts or probabilities. ``log_policy`` (N,): finite.
    """
    scores = require_temperature(alpha) * discounted_counts(mdp, segments) @ _log_policy(mdp, log_policy)
    return float(expected_pair_loss(scores, weights, logistic()))


@dataclass(frozen=True, eq=False)
class ContrastiveFit:
    """A stationary point of the contrastive loss among the policies.

    ``log_policy`` (N,); ``loss`` there; ``residual``: the largest entry of the gradient in the policy's logits, over the sum of
    the weights.
    """

    log_policy: Floats
    loss: float
    residual: float


def fit_contrastive(
    mdp: TabularMDP, segments: ArrayLike, weights: ArrayLike, alpha: float, *, start: ArrayLike | None = None
) -> ContrastiveFit:
    """The softmax policy that quasi-Newton descent (BFGS) on the contrastive loss ends at.

    ``weights`` (n, n) as in :func:`contrastive_loss`. ``start`` (N,): logits to start from, 0 (the uniform policy) if not given.
    In the logits of normalised policies the loss need not be convex: another start may find another stationary point.
    """
    from scipy.optimize import minimize

    counts = discounted_counts(mdp, segments)
    w = np.asarray(weights, dtype=float)
    total = float(w.sum())
    if not (np.isfinite(total) and total > 0):
        raise InputError(f"the weights of comparisons have a positive and finite sum, not {total}.")
    require_temperature(alpha)
    logits = np.zeros(mdp.pairs) if start is None else np.asarray(start, dtype=float)
    if logits.shape != (mdp.pairs,):
        raise InputError(f"a start has a logit for each of the {mdp.pairs} pairs, not the shape {logits.shape}.")

    def value_and_gradient(point: Floats) -> tuple[float, Floats]:
        log_policy = log_softmax_policy(mdp, point)
        scores = alpha * counts @ log_policy
        slope = alpha * expected_pair_gradient(scores, w / total, logistic()) @ counts
        # the derivative of ln pi(a|s) in the logits of s is e_a - pi(.|s)
        per_state = state_sum(mdp, slope)
        gradient = slope - np.exp(log_policy) * per_state[mdp.pair_state]
        return float(expected_pair_loss(scores, w / total, logistic())), gradient

    found = minimize(value_and_gradient, logits, jac=True, method="BFGS", options={"gtol": 1e-11, "maxiter": 5000})
    loss, gradient = value_and_gradient(found.x)
    return ContrastiveFit(log_softmax_policy(mdp, found.x), total * loss, float(np.abs(gradient).max()))


def _log_policy(mdp: TabularMDP, log_policy: ArrayLike) -> Floats:
    given = np.asarray(log_policy, dtype=float)
    if given.shape != (mdp.pairs,) or not np.isfinite(given).all():
        raise ModelError(
            f"a policy has a finite log-probability for each of the {mdp.pairs} pairs, not the shape {given.shape}."
        )
    return given
