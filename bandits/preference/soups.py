r"""Soups of policies: what averaging the parameters of log-linear policies does to them as references.

The soup of policies :math:`\pi_1, \ldots, \pi_m` with weights w (at least 0, sum 1) is :math:`\prod_i \pi_i^{w_i} / B`: softmax
policies with averaged logits. Its normaliser :math:`B \le 1` measures how much the policies agree, and for every p

.. math:: \mathrm{KL}(p \| \text{soup}) = \sum_i w_i \mathrm{KL}(p \| \pi_i) - \ln\tfrac1B.

For two policies and equal weights :math:`\ln\tfrac1B` is the Bhattacharyya distance. Policies are log-probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax, logsumexp

from theory.claims.families import family
from theory.errors import InputError
from theory.tilts import require_temperature

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SoupProblem:
    """Policies to be averaged, ``log_policies`` (m, K), and the ``reward`` (K,) and temperature ``beta`` that come after."""

    log_policies: Array
    reward: Array
    beta: float
    key: str | None = None

    def __post_init__(self) -> None:
        policies, reward = np.array(self.log_policies, dtype=float), np.array(self.reward, dtype=float)
        if policies.ndim != 2 or reward.shape != policies.shape[1:] or not np.isfinite(policies).all():
            raise InputError(
                f"policies of full support (m, K) and rewards (K,) are needed, not {policies.shape} and {reward.shape}."
            )
        require_temperature(self.beta)
        for array, name in ((policies, "log_policies"), (reward, "reward")):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def __repr__(self) -> str:
        return f"SoupProblem({self.key or '{} policies of {} responses'.format(*self.log_policies.shape)})"


@family(K=2, models=2)
def noisy_copies(
    K: int = 8, models: int = 2, noise: float = 1.0, spread: float = 1.0, beta: float = 0.5, seed: int = 0
) -> SoupProblem:
    """Softmax policies whose standard normal logits carry independent normal errors; rewards normal of deviation ``spread``."""
    rng = np.random.default_rng(seed)
    truth, reward = rng.standard_normal(K), spread * rng.standard_normal(K)
    return SoupProblem(log_softmax(truth + noise * rng.standard_normal((models, K)), axis=-1), reward, beta)


@family()
def two_policies(
    first: tuple[float, ...] = (0.0, 0.0),
    second: tuple[float, ...] = (0.0, 1.0),
    reward: tuple[float, ...] = (0.0, 1.0),
    beta: float = 0.5,
) -> SoupProblem:
    """The softmax policies of these logits: for searches over instances."""
    if not len(first) == len(second) == len(reward):
        raise InputError(f"{len(reward)} rewards need as many logits, not {len(first)} and {len(second)}.")
    return SoupProblem(log_softmax(np.array([first, second]), axis=-1), np.array(reward), beta)


def soup(log_policies: ArrayLike, weights: ArrayLike | None = None) -> Array:
    """The soup of policies (..., m, K), log-probabilities (..., K); equal ``weights`` (m,) unless given."""
    return np.asarray(log_softmax(_mixed(log_policies, weights), axis=-1))


def disagreement(log_policies: ArrayLike, weights: ArrayLike | None = None) -> Array:
    r""":math:`\ln(1/B)` of the soup of policies (..., m, K), shape (...), in [0, inf): 0 exactly if the policies agree."""
    return np.asarray(-logsumexp(_mixed(log_policies, weights), axis=-1))[()]


def gini(log_policy: ArrayLike) -> Array:
    r"""Gini's impurity :math:`1 - \sum_y \pi(y)^2`, shape (...), in [0, 1): the trace of the Fisher information in the logits."""
    return np.asarray(-np.expm1(logsumexp(2 * np.asarray(log_policy, dtype=float), axis=-1)))[()]


def _mixed(log_policies: ArrayLike, weights: ArrayLike | None) -> Array:
    policies = np.asarray(log_policies, dtype=float)
    if policies.ndim < 2 or not (policies < np.inf).all():
        raise InputError(f"policies to be averaged are log-probabilities (..., m, K), not of shape {policies.shape}.")
    m = policies.shape[-2]
    w = np.full(m, 1 / m) if weights is None else np.asarray(weights, dtype=float)
    if w.shape != (m,) or not (w >= 0).all() or not abs(w.sum() - 1) <= 1e-12:
        raise InputError(f"the weights of {m} policies are as many numbers of at least 0 with the sum 1, not {weights!r}.")
    used = w > 0  # 0 times -inf
    return np.asarray((w[used, None] * policies[..., used, :]).sum(axis=-2))
