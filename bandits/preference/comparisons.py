"""Labelled pairs: their population law, and samples of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from bandits.preference.kl_bandit import KLBandit
from theory.divergences import NORMALISATION
from theory.errors import InputError
from theory.links import bradley_terry, flipped

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


def independent_pairs(first: ArrayLike, second: ArrayLike | None = None, *, distinct: bool = False) -> Array:
    """The law of a pair of independent responses, shape (..., K, K): outer products of probabilities (..., K).

    With ``distinct`` the pair is conditioned on being of two different responses.
    """
    p = np.asarray(first, dtype=float)
    q = p if second is None else np.asarray(second, dtype=float)
    law = p[..., :, None] * q[..., None, :]
    if distinct:
        law = law * (1 - np.eye(p.shape[-1]))
        law = law / law.sum(axis=(-2, -1), keepdims=True)
    return law


def labelled(pairs: ArrayLike, wins: ArrayLike) -> Array:
    """How often i is preferred to j: ``pairs * wins`` plus the transpose of ``pairs * (1 - wins)``, shape (..., K, K).

    ``pairs`` is the law of the (ordered) pairs, ``wins`` the probabilities that the first of a pair is preferred. The result sums
    to 1 as ``pairs`` does: it is a law of (winner, loser).
    """
    law, P = np.asarray(pairs, dtype=float), np.asarray(wins, dtype=float)
    if law.ndim < 2 or law.shape[-2:] != P.shape[-2:] or law.shape[-1] != law.shape[-2]:
        raise InputError(f"a law of pairs and win probabilities (..., K, K) are needed, not {law.shape} and {P.shape}.")
    total = law.sum(axis=(-2, -1))
    if not (np.abs(total - 1) <= NORMALISATION).all():
        raise InputError(f"a law of pairs sums to {np.ravel(total)[np.argmax(np.abs(np.ravel(total) - 1))]:.12g}, not to 1.")
    return np.asarray(law * P + np.swapaxes(law * (1 - P), -1, -2))


def population_weights(bandit: KLBandit, flip: float = 0.0) -> Array:
    """The law of (winner, loser) for pairs of the bandit's law with Bradley-Terry labels, shape (K, K) or (X, K, K).

    Labels are flipped with the probability ``flip``. The entries of a prompt sum to 1.
    """
    return labelled(independent_pairs(np.exp(bandit.log_pairs)), flipped(bradley_terry(bandit.reward), flip))


def sample_counts(weights: ArrayLike, n: int, rng: np.random.Generator, runs: int | None = None) -> Integers:
    """Counts of n labelled pairs, shape (K, K) or (runs, K, K): entry (i, j) is how often i was preferred to j.

    ``weights`` (K, K) is the law of (winner, loser), from :func:`labelled` or :func:`population_weights`.
    """
    law = np.asarray(weights, dtype=float)
    if law.ndim != 2 or law.shape[0] != law.shape[1] or not abs(law.sum() - 1) <= NORMALISATION:
        raise InputError(f"a law of winners and losers is a matrix (K, K) with the sum 1, not of shape {law.shape}.")
    if n < 0:
        raise InputError(f"the number of pairs is at least 0, not {n}.")
    drawn = rng.multinomial(n, law.ravel() / law.sum(), size=runs)
    return np.asarray(drawn.reshape(*drawn.shape[:-1], *law.shape), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Comparisons:
    """n labelled pairs: ``prompt``, ``winner`` and ``loser``, each of shape (n,)."""

    prompt: Integers
    winner: Integers
    loser: Integers


def sample_comparisons(bandit: KLBandit, n: int, rng: np.random.Generator, *, flip: float = 0.0) -> Comparisons:
    """n pairs of the bandit's law with Bradley-Terry labels, each flipped with the probability ``flip``.

    Prompts are drawn from their law (prompt 0 without a prompt axis).
    """
    reward, laws = np.atleast_2d(bandit.reward), np.atleast_2d(np.exp(bandit.log_pairs))
    prompt = np.zeros(n, dtype=np.int64) if bandit.prompts is None else rng.choice(len(reward), size=n, p=bandit.prompts)
    edges = np.cumsum(laws, axis=-1)
    edges /= edges[:, -1:]
    first, second = ((rng.random(n)[:, None] >= edges[prompt]).sum(axis=1) for _ in range(2))
    chance = flipped(expit(reward[prompt, first] - reward[prompt, second]), flip)
    wins = rng.random(n) < chance
    return Comparisons(prompt, np.where(wins, first, second), np.where(wins, second, first))
