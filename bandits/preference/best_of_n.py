r"""Best of N: draw N responses from a policy and keep one of the best, a tie being broken at random.

With F(y) the probability of a draw with at most the reward of y, and F_-(y) of one with less, the law of the response kept is

.. math:: \pi_N(y) = \pi(y)\, \frac{F(y)^N - F_-(y)^N}{F(y) - F_-(y)},

and :math:`\mathrm{KL}(\pi_N \| \pi) \le \ln N - (N-1)/N`, with equality for a continuous reward (Beirami et al. 2024, arXiv
2401.01879).

If the reward is 1 for success and 0 else, with the probability p of success, best of N succeeds with :math:`1 - (1-p)^N`. Given
success or failure it has the policy's conditional law, as the tilt :math:`\pi e^{r/\beta}/Z` has, so that it *is* the tilt at

.. math:: \frac1\beta = \ln \frac{1 - (1-p)^N}{p (1-p)^{N-1}} = \ln \sum_{j < N} (1-p)^{-j}

(Lyu et al. 2025, arXiv 2502.06781). Policies are log-probabilities along the last axis. What is out of its stated range raises
InputError.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.divergences import NORMALISATION
from theory.errors import InputError

Array = NDArray[np.float64]


def best_of_n(log_policy: ArrayLike, reward: ArrayLike, N: int) -> Array:
    """Log-probabilities of the best of ``N`` >= 1 draws, shape (K,) or (X, K), for a policy and rewards of that shape.

    A response that the policy never draws keeps the probability 0.
    """
    logs, gains = np.asarray(log_policy, dtype=float), np.asarray(reward, dtype=float)
    _require_draws(N)
    if logs.ndim not in (1, 2) or logs.shape != gains.shape or logs.size == 0:
        raise InputError(f"a policy and its rewards have the same shape (K,) or (X, K), not {logs.shape} and {gains.shape}.")
    if not np.isfinite(gains).all():
        raise InputError("the rewards of best of N are finite.")
    if not (logs < np.inf).all() or not (np.abs(np.exp(logs).sum(axis=-1) - 1) <= NORMALISATION).all():
        raise InputError("a policy is given by log-probabilities whose exponentials sum to 1.")
    if logs.ndim == 2:
        return np.stack([best_of_n(row, gain, N) for row, gain in zip(logs, gains)])
    _, level = np.unique(gains, return_inverse=True)
    mass = np.full(level.max() + 1, -np.inf)
    np.logaddexp.at(mass, level, logs)
    most = np.logaddexp.accumulate(mass)
    most -= most[-1]  # ln F of each level of the reward, exactly 0 at the top, for N multiplies its rounding
    with np.errstate(invalid="ignore", divide="ignore"):
        # (F^N - F_-^N) / (F - F_-) = F^(N-1) (1 - (1 - q)^N) / q, where q is the level's share of F; the last factor nears N
        log_share = mass - most
        share = np.exp(np.minimum(log_share, 0.0))
        kept = np.where(N * share < 1e-17, np.log(N), np.log(-np.expm1(N * np.log1p(-share))) - log_share)
        gained = (N - 1) * most + kept
    return np.asarray(np.where(np.isneginf(logs), -np.inf, logs + gained[level]))


def best_of_n_success(p: ArrayLike, N: int) -> Array:
    """The probability 1 - (1 - p)^N that one of ``N`` >= 1 draws succeeds, if one does with ``p`` in [0, 1]."""
    chance = np.asarray(p, dtype=float)
    _require_draws(N)
    if not ((chance >= 0) & (chance <= 1)).all():
        raise InputError(f"a probability of success lies in [0, 1], not at {chance!r}.")
    with np.errstate(divide="ignore"):
        return np.asarray(-np.expm1(N * np.log1p(-chance)))[()]


def matching_inverse_temperature(p: ArrayLike, N: int) -> Array:
    r""":math:`1/\beta = \ln \sum_{j<N} (1-p)^{-j}`, at which the tilt by success is best of ``N`` >= 1, for ``p`` in [0, 1).

    Increasing in p, from ln N; at N = 1 it is 0, an infinite temperature.
    """
    chance = np.asarray(p, dtype=float)
    _require_draws(N)
    if not ((chance >= 0) & (chance < 1)).all():
        raise InputError(f"a tilt matches best of N for a probability of success in [0, 1), not at {chance!r}.")
    exponents = -np.log1p(-chance)[..., None] * np.arange(N)
    return np.asarray(np.logaddexp.reduce(exponents, axis=-1))[()]


def best_of_n_divergence_bound(N: int) -> float:
    """ln N - (N - 1)/N, the largest divergence of best of ``N`` >= 1 from the policy, in nats."""
    _require_draws(N)
    return float(np.log(N) - (N - 1) / N)


def _require_draws(N: int) -> None:
    if N < 1:
        raise InputError(f"best of N needs at least one draw, not {N}.")
