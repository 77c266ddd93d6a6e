r"""Iterated improvement: a policy that is asked to beat a reference response, and then its own.

The reward of a response y against a reference response y' is a gap, :math:`g(y, y') = r(y) - r(y')`, and a round maximises
:math:`\mathbb{E}\, g(y, y') - \beta\, \mathrm{KL}(\pi(\cdot|y') \| \pi_0(\cdot|y'))`. Wang et al. (2023), arXiv 2310.00898.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.errors import InputError
from theory.tilts import log_tilt

Array = NDArray[np.float64]


def gap_rewards(reward: ArrayLike) -> Array:
    """g(y, y') = r(y) - r(y') for rewards (K,), shape (K, K): a row for each reference response y'."""
    r = np.asarray(reward, dtype=float)
    if r.ndim != 1 or not np.isfinite(r).all():
        raise InputError(f"rewards are a finite vector, not of shape {r.shape}.")
    return np.asarray(r[None, :] - r[:, None])


def improved(log_base: ArrayLike, gaps: ArrayLike, beta: float) -> Array:
    """The optimum of a round for every reference response, log-probabilities (K, K).

    ``gaps`` (K, K) as :func:`gap_rewards` gives them; ``log_base`` (K,) is one base policy for all reference responses, or (K, K).
    """
    g = np.asarray(gaps, dtype=float)
    if g.ndim != 2 or g.shape[0] != g.shape[1]:
        raise InputError(f"gaps have a row for each reference response, (K, K), not {g.shape}.")
    return log_tilt(log_base, g, beta)


def iterated_tilts(log_base: ArrayLike, rewards: ArrayLike, beta: float) -> Array:
    """The policies of rounds each of which has the previous policy for its base: (rounds + 1, K), the first base included.

    ``rewards`` (rounds, K): what each round maximises.
    """
    r, base = np.asarray(rewards, dtype=float), np.asarray(log_base, dtype=float)
    if r.ndim != 2 or base.shape != r.shape[1:]:
        raise InputError(f"rounds have rewards (rounds, K) and the base (K,), not {r.shape} and {base.shape}.")
    policies = np.empty((len(r) + 1, base.size))
    policies[0] = base
    for k, reward in enumerate(r):
        policies[k + 1] = log_tilt(policies[k], reward, beta)
    return policies
