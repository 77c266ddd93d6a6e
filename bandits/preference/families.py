"""Families of KL-regularised bandits. The key of an instance is the call that rebuilds it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from bandits.preference.kl_bandit import KLBandit
from theory.claims.families import family
from theory.errors import InputError

SMALLEST_PROBABILITY = 1e-12  # of a random reference: no response is beyond float64's reach


@family(K=2)
def random_kl_bandit(
    K: int = 5, concentration: float = 1.0, spread: float = 1.0, beta: float = 0.5, prompts: int = 0, seed: int = 0
) -> KLBandit:
    """A reference drawn from Dirichlet(``concentration``), floored at 1e-12; rewards normal with standard deviation ``spread``.

    ``prompts`` = 0 leaves the prompt axis out; otherwise each prompt has rewards and a reference of its own.
    """
    rng = np.random.default_rng(seed)
    shape = (prompts, K) if prompts else (K,)
    law = np.maximum(rng.dirichlet(np.full(K, concentration), size=prompts or None), SMALLEST_PROBABILITY)
    return KLBandit(spread * rng.standard_normal(shape), np.log(law / law.sum(axis=-1, keepdims=True)), beta)


@family()
def kl_bandit(reward: tuple[float, ...] = (0.0, 1.0), logits: tuple[float, ...] = (0.0, 0.0), beta: float = 0.5) -> KLBandit:
    """The bandit with these rewards, and the softmax of these logits as its reference: for searches over instances."""
    if len(reward) != len(logits):
        raise InputError(f"{len(reward)} rewards need as many logits, not {len(logits)}.")
    return KLBandit(np.array(reward), log_softmax(np.array(logits)), beta)


@family(K=2)
def hole_bandit(
    K: int = 4,
    delta: float = 0.0,
    beta: float = 0.5,
    hole: float = -3.0,
    weight: float = 0.0,
    spread: float = 1.0,
    concentration: float = 1.0,
    seed: int = 0,
) -> KLBandit:
    """``K`` covered responses of law q, and a last one, the *hole*, that the reference takes with probability ``delta`` >= 0.

    q is drawn from Dirichlet(``concentration``) (uniform for infinity), the covered rewards are normal with standard deviation
    ``spread``, and the hole's reward is ``hole``. The reference is (1 - delta) q on the covered responses. The responses of
    labelled pairs have the law (1 - weight) q on covered responses and ``weight`` on the hole, by default 0: no label ever tells
    how good the hole is.
    """
    if not (0 <= delta < 1 and 0 <= weight < 1):
        raise InputError(f"the hole's probabilities delta and weight lie in [0, 1), not at {delta} and {weight}.")
    rng = np.random.default_rng(seed)
    q = rng.dirichlet(np.full(K, concentration)) if np.isfinite(concentration) else np.full(K, 1 / K)
    q = np.maximum(q, SMALLEST_PROBABILITY)
    q /= q.sum()
    reward = np.append(spread * rng.standard_normal(K), hole)
    return KLBandit(reward, _with_hole(q, delta), beta, _with_hole(q, weight))


def _with_hole(q: NDArray[np.float64], mass: float) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        return np.append(np.log(q) + np.log1p(-mass), np.log(mass))
