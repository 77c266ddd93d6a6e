"""Oblivious adversarial bandits: a sequence of losses fixed in advance, and the families that bounds are tried on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from theory.claims.families import family
from theory.errors import InputError


@dataclass(frozen=True, eq=False)
class LossSequence:
    """An oblivious adversary: in round t arm a costs ``losses[t, a]`` in [0, 1], shape (T, K), T, K >= 1.

    Raises :class:`InputError` naming the round and the arm of a loss outside [0, 1]. ``key`` is the call that rebuilds it.
    """

    losses: NDArray[np.float64]
    key: str | None = None

    def __post_init__(self) -> None:
        losses = np.array(self.losses, dtype=float, order="C")  # one signature of the compiled simulators
        if losses.ndim != 2 or losses.size == 0:
            raise InputError(f"a sequence of losses has the shape (rounds, arms), not {losses.shape}.")
        outside = ~((losses >= 0) & (losses <= 1))
        if outside.any():
            t, arm = (int(i) for i in np.argwhere(outside)[0])
            raise InputError(f"in round {t} arm {arm} has the loss {losses[t, arm]}, outside [0, 1].")
        losses.setflags(write=False)
        object.__setattr__(self, "losses", losses)

    @property
    def arms(self) -> int:
        """The number of arms K."""
        return self.losses.shape[1]

    @property
    def rounds(self) -> int:
        """The length T of the sequence."""
        return self.losses.shape[0]

    @cached_property
    def best_losses(self) -> NDArray[np.float64]:
        """``min_a sum_{s <= t} losses[s, a]`` after each round t, shape (T,): what the best fixed arm has lost."""
        return np.cumsum(self.losses, axis=0).min(axis=1)

    def __repr__(self) -> str:
        return f"LossSequence({self.key or self.losses.shape})"


@family(T=64, K=2)
def iid_losses(T: int = 1000, K: int = 2, gap: float = 0.1, seed: int = 0) -> LossSequence:
    """Independent losses of 0 or 1: mean 1/2, and 1/2 - ``gap`` for one arm, which is drawn."""
    _shape(T, K)
    _half_at_most(gap)
    rng = np.random.default_rng(seed)
    means = np.full(K, 0.5)
    means[rng.integers(K)] -= gap
    return LossSequence((rng.random((T, K)) < means).astype(float))


@family(T=64, K=2)
def switching_losses(T: int = 1000, K: int = 2, gap: float = 0.1, share: float = 0.5, seed: int = 0) -> LossSequence:
    """Independent losses of 0 or 1 of mean 1/2, less ``gap`` for arm 0 in the first ``share`` of the rounds and for arm 1 after it."""
    _shape(T, K)
    if K < 2:
        raise InputError(f"the best arm changes among at least two arms, not {K}.")
    _half_at_most(gap)
    if not 0 <= share <= 1:
        raise InputError(f"the share of the rounds before the change is between 0 and 1, not {share}.")
    change = int(share * T)
    means = np.full((T, K), 0.5)
    means[:change, 0] -= gap
    means[change:, 1] -= gap
    return LossSequence((np.random.default_rng(seed).random((T, K)) < means).astype(float))


@family(T=64, K=2)
def uniform_losses(T: int = 1000, K: int = 2, seed: int = 0) -> LossSequence:
    """Independent losses, uniform on [0, 1]."""
    _shape(T, K)
    return LossSequence(np.random.default_rng(seed).random((T, K)))


@family(T=64, K=2)
def alternating_losses(T: int = 1000, K: int = 2, block: int = 1) -> LossSequence:
    """In blocks of ``block`` rounds one arm after another costs 0 and all others 1: following the leader loses every round."""
    _shape(T, K)
    if block < 1:
        raise InputError(f"a block has at least one round, not {block}.")
    spared = (np.arange(T) // block) % K
    return LossSequence((spared[:, None] != np.arange(K)).astype(float))


@family(T=64, K=2)
def cycling_losses(T: int = 1000, K: int = 2) -> LossSequence:
    """One arm after another costs 1, in turn, and all others 0: UCB1, always paid nothing, pulls in that very order."""
    _shape(T, K)
    return LossSequence((np.arange(T)[:, None] % K == np.arange(K)).astype(float))


def _shape(T: int, K: int) -> None:
    if T < 1 or K < 1:
        raise InputError(f"a sequence of losses has at least one round and one arm, not {T} and {K}.")


def _half_at_most(gap: float) -> None:
    if not 0 <= gap <= 0.5:
        raise InputError(f"the gap of losses about 1/2 is between 0 and 1/2, not {gap}.")
