r"""Gradient flows of a softmax policy: cloning, DPO, on-policy gradients, and the two directions of the KL divergence.

Each function gives the direction in which gradient descent moves the logits of a policy :math:`\pi`, exactly (in expectation over
data and samples). With target p, reference :math:`\mu`, weights w of (winner, loser) and the margins :math:`h_{ij} = \beta
(\ln\tfrac{\pi_i}{\mu_i} - \ln\tfrac{\pi_j}{\mu_j})`:

============  ===================================================  =========================================================
forward KL    :math:`\mathrm{KL}(p\|\pi)`                          :math:`p - \pi`
reverse KL    :math:`\mathrm{KL}(\pi\|p)`                          :math:`\pi_i (\ln\tfrac{p_i}{\pi_i} + \mathrm{KL}(\pi\|p))`
on-policy     :math:`-\mathbb{E}_\pi r`                            :math:`\pi_i (r_i - \mathbb{E}_\pi r)`
DPO           :math:`\sum_{ij} w_{ij} \ln(1 + e^{-h_{ij}})`        :math:`\beta \sum_j (w_{ij} \sigma(-h_{ij}) - w_{ji} \sigma(-h_{ji}))`
============  ===================================================  =========================================================

Cloning the winners is the forward KL to their law. The reverse KL to the tilt of :math:`\mu` by r at the temperature
:math:`\beta` is, up to the factor :math:`\beta`, the on-policy gradient of :math:`\mathbb{E}_\pi r - \beta \mathrm{KL}(\pi\|\mu)`.

Policies are log-probabilities along the last axis. Rafailov et al. (2023), arXiv 2305.18290; Tajwar et al. (2024), arXiv 2404.14367.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from bandits.preference.kl_bandit import KLBandit
from theory.claims.families import family
from theory.errors import InputError
from theory.pair_losses import expected_pair_gradient, logistic
from theory.tilts import implicit_reward

Array = NDArray[np.float64]
Direction = Callable[[Array], Array]


def winner_law(weights: ArrayLike) -> Array:
    """The law of the preferred response, shape (..., K), of weights (..., K, K) of (winner, loser): their normalised row sums."""
    w = np.asarray(weights, dtype=float)
    if w.ndim < 2 or w.shape[-1] != w.shape[-2] or not (w >= 0).all():
        raise InputError(f"weights of (winner, loser) are at least 0 and have the shape (..., K, K), not {w.shape}.")
    law = w.sum(axis=-1)
    total = law.sum(axis=-1, keepdims=True)
    if not (total > 0).all():
        raise InputError("weights of (winner, loser) that are all 0 have no winners.")
    return np.asarray(law / total)


def forward_kl(log_policy: ArrayLike, target: ArrayLike) -> Array:
    """The descent direction of KL(target || policy) in the logits; ``target`` holds probabilities (..., K)."""
    return np.asarray(np.asarray(target, dtype=float) - np.exp(np.asarray(log_policy, dtype=float)))


def reverse_kl(log_policy: ArrayLike, log_target: ArrayLike) -> Array:
    """The descent direction of KL(policy || target) in the logits; ``log_target`` holds finite log-probabilities (..., K)."""
    policy = np.asarray(log_policy, dtype=float)
    return on_policy(policy, np.asarray(log_target, dtype=float) - policy)


def on_policy(log_policy: ArrayLike, reward: ArrayLike) -> Array:
    """The policy gradient of the expected ``reward`` (..., K) in the logits: pi (r - E_pi r)."""
    p, r = np.exp(np.asarray(log_policy, dtype=float)), np.asarray(reward, dtype=float)
    return np.asarray(p * (r - (p * r).sum(axis=-1, keepdims=True)))


def dpo(
    log_policy: ArrayLike, log_reference: ArrayLike, weights: ArrayLike, beta: float, *, negative_gradient: bool = True
) -> Array:
    r"""The descent direction of the DPO loss in the logits, for weights (K, K) of (winner, loser).

    Without the ``negative_gradient`` the loser's log-probability counts as a constant, so that nothing pushes it down but the
    normalisation: :math:`\beta (\sum_j s_{ij} - \pi_i \sum_{kj} s_{kj})` with :math:`s_{ij} = w_{ij} \sigma(-h_{ij})`.
    """
    scores = implicit_reward(log_policy, log_reference, beta)
    if negative_gradient:
        return -beta * expected_pair_gradient(scores, weights, logistic())
    pull = np.asarray(weights, dtype=float) * expit(scores[..., None, :] - scores[..., :, None])
    total = pull.sum(axis=(-2, -1))[..., None]
    return np.asarray(beta * (pull.sum(axis=-1) - np.exp(np.asarray(log_policy, dtype=float)) * total))


def follow(direction: Direction, log_start: ArrayLike, step: float, steps: int) -> Array:
    """The policies of ``steps`` Euler steps on the logits, log-probabilities (steps + 1, ..., K), the start first."""
    if steps < 0:
        raise InputError(f"the number of steps is at least 0, not {steps}.")
    require_step(step)
    start = np.asarray(log_start, dtype=float)
    path = np.empty((steps + 1, *start.shape))
    path[0] = _normalised(start)
    for t in range(steps):
        path[t + 1] = _normalised(path[t] + step * direction(path[t]))
    return path


def _normalised(logits: Array) -> Array:
    """log_softmax of finite logits, without scipy's overhead for small arrays."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def require_step(step: float) -> float:
    """``step`` if it is positive and finite, else :class:`InputError`."""
    if not 0 < step < np.inf:
        raise InputError(f"the step of gradient descent is positive and finite, not {step}.")
    return float(step)


def mode_seeking_threshold(gap: float) -> float:
    r"""The probability of the better of two responses above which the reverse KL moves it up faster than the forward KL.

    The target is the tilt of the policy by ``gap`` g > 0, the difference of rewards over the temperature: the log-odds x of the
    policy are to become x + g. The forward flow raises them by :math:`2 (\sigma(x + g) - \sigma(x))`, the reverse flow by
    :math:`2 \sigma'(x) g`. With :math:`u = e^x` these compare as :math:`(e^g - 1)(1 + u)` and :math:`g (1 + u e^g)`, equal at

    .. math:: \sigma(x) = \frac1g - \frac{1}{e^g - 1},

    which is below 1/2 and below 1/g, and falls in g.
    """
    g = float(gap)
    if not 0 < g < np.inf:
        raise InputError(f"the gap of the log-odds is positive and finite, not {gap}.")
    if g < 1e-2:  # the difference would cancel; the next term of the series is g^5 / 30240
        return 0.5 - g / 12 + g**3 / 720
    return float(1 / g + np.exp(-g) / np.expm1(-g))


@family(K=3)
def bad_mode(K: int = 10, best: float = 0.1, bad: float = 0.5, beta: float = 1.0) -> KLBandit:
    """K >= 3 responses: the first has the reward -1 and the mass ``bad``, the last the reward 1 and the mass ``best``.

    The others have the reward 0 and share the remaining mass, which must be positive, evenly.
    """
    if K < 3 or not (best > 0 and bad > 0 and best + bad < 1):
        raise InputError(f"a bad mode needs 3 responses and masses of a sum below 1, not K = {K}, best {best} and bad {bad}.")
    law = np.full(K, (1 - best - bad) / (K - 2))
    law[0], law[-1] = bad, best
    reward = np.zeros(K)
    reward[0], reward[-1] = -1.0, 1.0
    return KLBandit(reward, np.log(law), beta)
