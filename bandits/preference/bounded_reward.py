r"""Learning a policy through a bounded reward, and how far from the reference that can lead.

A tilt by rewards of range w has density ratios in :math:`[e^{-t}, e^t]`, :math:`t = w/\beta`, whatever the rewards are: the second
stage of RLHF, solved exactly, never leaves a ball about the reference, while a minimiser of a preference loss may be anywhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.errors import InputError
from theory.tilts import require_temperature

Array = NDArray[np.float64]


def clipped_reward(log_reference: ArrayLike, reward: ArrayLike, width: float) -> Array:
    r"""The rewards (..., K), centred to the mean 0 under the reference and cut off at ``width``/2 on both sides.

    ``log_reference`` (..., K): log-probabilities. ``width`` > 0: the range that is left at most.
    """
    reference, r = np.asarray(log_reference, dtype=float), np.asarray(reward, dtype=float)
    if not 0 < width < np.inf:
        raise InputError(f"the range of a bounded reward is positive and finite, not {width}.")
    if not np.isfinite(r).all():
        raise InputError("a reward to be clipped is finite.")
    return np.asarray(np.clip(r - (np.exp(reference) * r).sum(axis=-1, keepdims=True), -width / 2, width / 2))


def tilt_radius(width: ArrayLike, beta: float) -> Array:
    r"""The largest :math:`\mathrm{KL}(\pi_r \| \mu)` of a tilt by rewards of range ``width`` :math:`w \ge 0`, shape (...).

    .. math:: \zeta - 1 - \ln\zeta, \qquad \zeta = \frac{t}{1 - e^{-t}}, \qquad t = w/\beta,

    over all rewards and references. Let u = e^{r/\beta}, r in [0, w]: the divergence is :math:`E_\mu[u \ln u]/E_\mu u -
    \ln E_\mu u`, and :math:`u \ln u \le \zeta (u - 1)` on :math:`[1, e^t]` (a chord). So it is at most :math:`\zeta(1 - 1/Z) -
    \ln Z`, :math:`Z = E_\mu u`, which is largest at :math:`Z = \zeta`. A reward of two values, the higher one of probability
    :math:`(\zeta - 1)/(e^t - 1)` under the reference, attains it.
    """
    w = np.asarray(width, dtype=float)
    if not ((w >= 0) & np.isfinite(w)).all():
        raise InputError("the range of a bounded reward is finite and at least 0.")
    t = w / require_temperature(beta)
    # zeta - 1 loses its digits to cancellation for a small t; the series is t/2 + t^2/12 - t^4/720 + t^6/30240
    small = np.minimum(t, 0.1)
    series = small / 2 + small**2 / 12 - small**4 / 720 + small**6 / 30240
    excess = np.where(t < 0.1, series, np.where(t > 0, t, 1.0) / -np.expm1(-np.where(t > 0, t, 1.0)) - 1)
    # x - ln(1 + x) likewise, alternating with decreasing terms
    x = np.minimum(excess, 0.1)
    terms = sum((-1) ** k * x**k / k for k in range(2, 18))
    return np.asarray(np.where(excess < 0.1, terms, excess - np.log1p(excess)))[()]
