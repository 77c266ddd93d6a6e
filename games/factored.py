r"""Preference games of low rank, kept as factors: a query costs O(K r) instead of O(K^2), and no K x K matrix is stored.

A skew-symmetric matrix of rank 2 r is :math:`A = U W^\top - W U^\top` with U and W of shape (K, r). At K = 10^4 and r = 5 a
product with the factors takes about a hundredth of the time of one with A.

What is out of its stated range raises :class:`~theory.errors.InputError`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from games.generators import drawn_reference
from games.oracle import Oracle
from games.preference import SKEWNESS, PreferenceGame
from games.prox import normalise
from games.regularised import RegularisedNash, run_to_stagnation
from theory.claims.families import family
from theory.divergences import kl, span
from theory.errors import InputError
from theory.tilts import require_temperature

Array = NDArray[np.float64]

EPS = float(np.finfo(float).eps)
BLOCK = 256  # rows of A that are formed at a time to find its largest entry


@dataclass(frozen=True, eq=False)
class LowRankGame:
    """A preference game whose centred matrix is ``U W^T - W U^T``.

    ``U`` and ``W``, shape (K, r); the entries of the matrix lie in [-1/2, 1/2]. ``log_reference``, shape (K,): log-probabilities
    of the reference policy, all finite. Raises :class:`InputError` for factors of different shapes, for an entry that is out of
    range or not finite, and for a reference that is not a policy.
    """

    U: Array
    W: Array
    log_reference: Array
    key: str | None = None

    def __post_init__(self) -> None:
        U, W, reference = (np.ascontiguousarray(v, dtype=float) for v in (self.U, self.W, self.log_reference))
        if U.ndim != 2 or U.shape != W.shape or U.size == 0:
            raise InputError(f"the factors of a low-rank game have one shape (K, r), not {U.shape} and {W.shape}.")
        if reference.shape != U.shape[:1]:
            raise InputError(
                f"the reference of a game with {len(U)} actions has {len(U)} log-probabilities, not {reference.shape}."
            )
        if not (np.isfinite(reference).all() and abs(np.logaddexp.reduce(reference)) <= 1e-8):
            raise InputError("the reference is not given by finite log-probabilities that sum to probability 1.")
        largest = largest_entry(U, W)
        if not largest <= 0.5 + SKEWNESS:  # a nan is bad too
            raise InputError(f"the largest entry of a centred preference matrix is {largest}, above 1/2.")
        for array, name in ((U, "U"), (W, "W"), (normalise(reference), "log_reference")):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def actions(self) -> int:
        """The number of actions K."""
        return self.U.shape[0]

    def gains(self, policy: ArrayLike) -> Array:
        """``A q`` for probabilities ``policy``, shapes (..., K)."""
        q = np.asarray(policy, dtype=float)
        return (q @ self.W) @ self.U.T - (q @ self.U) @ self.W.T

    def oracle(self) -> Oracle:
        """The oracle that answers ``A q`` itself, through the factors."""
        return Oracle(self.log_reference, self.gains)

    def dense(self) -> PreferenceGame:
        """The same game with its matrix."""
        A = self.U @ self.W.T
        return PreferenceGame(A - A.T, self.log_reference)

    def exploitability(self, beta: float, log_policy: ArrayLike) -> Array:
        """As :func:`games.regularised.exploitability`, for ``beta`` > 0 and log-probabilities of shape (..., K)."""
        values = np.asarray(log_policy, dtype=float)
        best = normalise(self.log_reference + self.gains(np.exp(values)) / require_temperature(beta))
        return beta * kl(values, best, log=True)

    def certificate(self, beta: float, log_policy: ArrayLike) -> float:
        """As :func:`games.regularised.certificate`: ``beta span(log pi - log mu - A pi / beta)`` and the rounding of it."""
        policy = np.asarray(log_policy, dtype=float)
        p = np.exp(policy)
        residual = policy - self.log_reference - self.gains(p) / require_temperature(beta)
        size = max(float(np.abs(policy).max()), float(np.abs(self.log_reference).max()))
        # each product with a factor rounds sums of this size, over K actions and then over r features
        sums = np.abs(self.U) @ (p @ np.abs(self.W)) + np.abs(self.W) @ (p @ np.abs(self.U))
        rounding = 2 * (sum(self.U.shape) + 4) * float(sums.max()) + 4 * beta * size
        return float(beta * span(residual)) + EPS * rounding


def largest_entry(U: Array, W: Array) -> float:
    """The largest entry of ``U W^T - W U^T`` in size, from blocks of its rows."""
    blocks = (slice(i, i + BLOCK) for i in range(0, len(U), BLOCK))
    return max(float(np.abs(U[b] @ W.T - W[b] @ U.T).max()) for b in blocks)


def solve_low_rank(game: LowRankGame, beta: float) -> RegularisedNash:
    """The equilibrium regularised at ``beta`` > 0, with its certificate, by Nash mirror prox until it stagnates."""
    policy, least, steps = run_to_stagnation(game.oracle(), require_temperature(beta), game.certificate)
    return RegularisedNash(game, float(beta), policy, least, "mirror-prox", steps)


@family(K=2)
def low_rank_factors(K: int = 100, pairs: int = 1, scale: float = 1.0, seed: int = 0) -> LowRankGame:
    """The game of the family ``low_rank`` (:mod:`games.generators`) with the same arguments, as factors."""
    if K < 2 or pairs < 1:
        raise InputError(f"a low-rank game has at least two actions and one pair of features, not {K} and {pairs}.")
    rng, reference = drawn_reference(K, scale, seed)
    U, W = rng.standard_normal((2, K, pairs))
    return LowRankGame(U / (2 * largest_entry(U, W)), W, reference)
