r"""Exponential tilts: what maximises an expected reward less a multiple of the divergence from a reference.

For a reference :math:`\mu`, rewards r and a temperature :math:`\beta > 0`,

.. math:: \max_\pi\; \mathbb{E}_\pi r - \beta\, \mathrm{KL}(\pi \| \mu) = \beta \ln Z, \qquad Z = \sum_y \mu(y) e^{r(y)/\beta},

and the maximum is attained by the *tilt* :math:`\pi(y) = \mu(y) e^{r(y)/\beta} / Z` alone (Gibbs' variational principle).
Everything works on log-probabilities along the last axis, -inf standing for probability 0, and broadcasts over the others.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.errors import InputError

Array = NDArray[np.float64]


def require_temperature(beta: float, *, zero: bool = False) -> float:
    """``beta`` as a float if it is finite and positive (or 0, where ``zero`` allows it), else :class:`InputError`."""
    number = float(beta)
    if not (np.isfinite(number) and (number > 0 or (zero and number == 0))):
        raise InputError(f"the temperature beta is {'at least 0' if zero else 'positive'} and finite, not {beta}.")
    return number


def log_partition(log_reference: ArrayLike, reward: ArrayLike, beta: float) -> Array:
    r""":math:`\beta \ln \sum_y \mu(y) e^{r(y)/\beta}`, shape (...), for log-probabilities and rewards of shape (..., K)."""
    return np.asarray(beta * np.logaddexp.reduce(_exponents(log_reference, reward, beta), axis=-1))[()]


def log_tilt(log_reference: ArrayLike, reward: ArrayLike, beta: float) -> Array:
    r"""The log-probabilities :math:`\ln \mu + r/\beta - \ln Z`, shape (..., K). Probability 0 stays 0."""
    exponents = _exponents(log_reference, reward, beta)
    return np.asarray(exponents - np.logaddexp.reduce(exponents, axis=-1, keepdims=True))


def implicit_reward(log_policy: ArrayLike, log_reference: ArrayLike, beta: float) -> Array:
    r"""The reward :math:`\beta \ln (\pi/\mu)` whose tilt is the policy and whose partition function is 1, shape (..., K).

    0 where both probabilities are 0, infinite where one of them is.
    """
    policy, reference = np.asarray(log_policy, dtype=float), np.asarray(log_reference, dtype=float)
    with np.errstate(invalid="ignore"):
        ratio = np.where(np.isneginf(policy) & np.isneginf(reference), 0.0, policy - reference)
    return require_temperature(beta) * ratio


def _exponents(log_reference: ArrayLike, reward: ArrayLike, beta: float) -> Array:
    with np.errstate(over="ignore"):  # refused below
        exponents = np.asarray(log_reference, dtype=float) + np.asarray(reward, dtype=float) / require_temperature(beta)
    bad = ~(exponents < np.inf)
    if bad.any():
        place = tuple(int(i) for i in np.argwhere(bad)[0])
        raise InputError(f"entry {place} of log mu + r / beta is {exponents[place]}; it is finite, or -inf for probability 0.")
    return exponents
