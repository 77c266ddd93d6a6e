r"""Pairwise proximal policy optimisation (P3O), and the clipped surrogate of PPO that it is compared with.

P3O learns from two responses to the same prompt,

.. math:: G(y, y') = \tfrac12 (r(y) - r(y'))\,(\nabla\ln\pi(y) - \nabla\ln\pi(y')), \qquad \mathbb{E}_{y, y' \sim \pi} G = \nabla \mathbb{E}_\pi r,

which a constant added to the reward leaves alone. With pairs of an older policy o the gradient carries the weight
:math:`\pi(y)\pi(y')/(o(y)o(y'))`, and a pair is left out (*clipped*) once its log-ratio contrast
:math:`h = \ln\frac{\pi(y)}{o(y)} - \ln\frac{\pi(y')}{o(y')}` has passed :math:`\ln(1 \pm \epsilon)` in the direction in which its reward
difference pushes. PPO maximises :math:`\mathbb{E}_o \min(wA,\, \mathrm{clip}(w, 1 - \epsilon, 1 + \epsilon) A)` with
:math:`w = \pi/o` and :math:`A = r - b` for a critic's constant b.

Estimators are returned whole, one gradient for each outcome, so that means and covariances are finite sums. Gradients are
with respect to softmax logits; policies are log-probabilities (K,), finite.

Wu et al. (2023), arXiv 2310.00212; Schulman et al. (2017), arXiv 1707.06347.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.divergences import NORMALISATION
from theory.errors import InputError

Array = NDArray[np.float64]


def pair_gradients(reward: ArrayLike) -> Array:
    """G for every pair of responses, shape (K, K, K): entry (i, j) is the gradient from the pair (i, j).

    It does not depend on the policy: the scores of a softmax differ by the difference of two unit vectors.
    """
    r = _vector(reward, "rewards")
    unit = np.eye(r.size)
    return np.asarray((r[:, None] - r)[:, :, None] * (unit[:, None] - unit) / 2)


def clipped_pair_gradients(log_policy: ArrayLike, log_old: ArrayLike, reward: ArrayLike, clip: float) -> Array:
    """P3O's gradient for every pair of an older policy's responses, shape (K, K, K); 0 for a pair that is clipped.

    ``clip`` in (0, 1), or infinity for no clipping.
    """
    r = _vector(reward, "rewards")
    log_ratio = _log_ratio(log_policy, log_old, r.size)
    h = log_ratio[:, None] - log_ratio
    upper, lower = _log_clips(clip)
    pushed = r[:, None] - r
    kept = ~(((pushed > 0) & (h > upper)) | ((pushed < 0) & (h < lower)))
    weight = np.exp(log_ratio[:, None] + log_ratio)
    return np.asarray((kept * weight)[:, :, None] * pair_gradients(r))


def clipped_ppo_gradients(
    log_policy: ArrayLike, log_old: ArrayLike, reward: ArrayLike, clip: float, critic: float = 0.0
) -> Array:
    """PPO's gradient for every response of an older policy, shape (K, K): row i is the gradient from the response i.

    0 for a response whose ratio has passed 1 + clip with a positive advantage or 1 - clip with a negative one. ``clip`` as in
    :func:`clipped_pair_gradients`; at infinity this is the policy gradient with the baseline ``critic``.
    """
    r = _vector(reward, "rewards")
    log_ratio = _log_ratio(log_policy, log_old, r.size)
    advantage = r - float(critic)
    upper, lower = _log_clips(clip)
    kept = ~(((advantage > 0) & (log_ratio > upper)) | ((advantage < 0) & (log_ratio < lower)))
    score = np.eye(r.size) - np.exp(np.asarray(log_policy, dtype=float))
    return np.asarray((kept * np.exp(log_ratio) * advantage)[:, None] * score)


@dataclass(frozen=True, eq=False)
class Moments:
    """The ``mean`` (d,) of an estimator, and ``variance``, the trace of its covariance matrix, at least 0."""

    mean: Array
    variance: float


def moments(gradients: ArrayLike, law: ArrayLike) -> Moments:
    """Mean and total variance of an estimator with ``gradients`` (..., d), one for each outcome, of the ``law`` (...).

    Independent outcomes average: n of them have the same mean and the variance divided by n.
    """
    values, p = np.asarray(gradients, dtype=float), np.asarray(law, dtype=float)
    if values.ndim < 2 or values.shape[:-1] != p.shape:
        raise InputError(f"a law with a probability for each gradient is needed, not {p.shape} for {values.shape}.")
    if not (p >= 0).all() or not abs(p.sum() - 1) <= NORMALISATION:
        raise InputError(f"the probabilities of the outcomes are at least 0 and sum to 1, not to {p.sum():.12g}.")
    axes = tuple(range(p.ndim))
    mean = (p[..., None] * values).sum(axis=axes)
    return Moments(mean, float((p[..., None] * (values - mean) ** 2).sum()))


def pairwise_variance(log_policy: ArrayLike, reward: ArrayLike) -> float:
    r"""The total variance of G for one pair of the policy's own responses: :math:`\mathrm{Var}_\pi r - \|\nabla \mathbb{E}_\pi r\|^2`.

    With :math:`\nabla_i = \pi_i (r_i - \mathbb{E}_\pi r)`. Two unit vectors are :math:`\sqrt2` apart, hence :math:`\mathbb{E}\|G\|^2 =
    \tfrac12 \mathbb{E}(r - r')^2`. A constant added to the reward changes nothing.
    """
    p, centred = _policy(log_policy, reward)
    return float(p @ centred**2 - ((p * centred) ** 2).sum())


def policy_gradient_variance(log_policy: ArrayLike, reward: ArrayLike, critic: float = 0.0) -> float:
    r"""The total variance of :math:`(r(y) - b)\nabla\ln\pi(y)`, averaged over two of the policy's own responses.

    :math:`\tfrac12(\mathbb{E}_\pi (r - b)^2 \|\nabla\ln\pi\|^2 - \|\nabla\mathbb{E}_\pi r\|^2)` with
    :math:`\|\nabla\ln\pi(y)\|^2 = 1 - 2\pi(y) + \|\pi\|^2`: quadratic in the ``critic`` b.
    """
    p, centred = _policy(log_policy, reward)
    size = 1 - 2 * p + p @ p
    advantage = _vector(reward, "rewards") - float(critic)
    return float((p @ (advantage**2 * size) - ((p * centred) ** 2).sum()) / 2)


def _policy(log_policy: ArrayLike, reward: ArrayLike) -> tuple[Array, Array]:
    r = _vector(reward, "rewards")
    p = np.exp(_log_law(log_policy, r.size))
    return p, r - p @ r


def _log_ratio(log_policy: ArrayLike, log_old: ArrayLike, K: int) -> Array:
    return _log_law(log_policy, K) - _log_law(log_old, K)


def _log_clips(clip: float) -> tuple[float, float]:
    """ln(1 + clip) and ln(1 - clip), infinite without clipping."""
    if np.isposinf(clip):
        return np.inf, -np.inf
    if not 0 < clip < 1:
        raise InputError(f"ratios are clipped at a distance in (0, 1), or infinity for never, not {clip}.")
    return float(np.log1p(clip)), float(np.log1p(-clip))


def _log_law(values: ArrayLike, K: int) -> Array:
    law = _vector(values, "log-probabilities")
    if law.size != K or not abs(np.exp(law).sum() - 1) <= NORMALISATION:
        raise InputError(f"a policy over {K} responses has as many log-probabilities, whose exponentials sum to 1.")
    return law


def _vector(values: ArrayLike, what: str) -> Array:
    vector = np.asarray(values, dtype=float)
    if vector.ndim != 1 or vector.size == 0 or not np.isfinite(vector).all():
        raise InputError(f"{what} are a finite vector with an entry for each response, not {values!r}.")
    return vector
