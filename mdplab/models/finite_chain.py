r"""Finite Markov chains whose kernel changes from step to step, with a score for every state at every time.

In sampling order :math:`x_0 \to x_1 \to \dots \to x_T`: :math:`x_0` is drawn from the start law, :math:`x_t` from
:math:`P_t(\cdot|x_{t-1})`, and :math:`x_T` is the sample that is wanted. The last score :math:`r_T` is the reward, the scores before
it are guesses at what the reward will be. With the strength :math:`\lambda > 0`, the *tilted target* is

.. math:: p_T(x)\, e^{\lambda r_T(x)} / Z, \qquad Z = \mathbb{E}\, e^{\lambda r_T(x_T)},

and the *soft value* :math:`v_t(x) = \tfrac{1}{\lambda} \ln \mathbb{E}[e^{\lambda r_T(x_T)} | x_t = x]`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from mdplab.models.errors import ModelError
from theory.claims.families import family
from theory.divergences import NORMALISATION
from theory.tilts import log_partition, log_tilt

Array = NDArray[np.float64]
MOST_PATHS = 1 << 20
Guess = Literal["informed", "useless", "misleading"]


@dataclass(frozen=True, eq=False)
class FiniteChain:
    """``start``, shape (S,), ``kernels``, shape (T, S, S), and ``scores``, shape (T + 1, S), with T at least 1.

    ``kernels[t - 1][x, y]`` is the probability of going from x at time t - 1 to y at time t; ``scores[t, x]``, finite, is the score
    of x at time t. ``key`` is the call that rebuilds the chain.

    Raises :class:`ModelError` for other shapes, rows that are not probabilities, and scores that are not finite.
    """

    start: Array
    kernels: Array
    scores: Array
    key: str | None = None

    def __post_init__(self) -> None:
        start, kernels = np.array(self.start, dtype=float), np.array(self.kernels, dtype=float)
        scores = np.array(self.scores, dtype=float)
        if start.ndim != 1 or start.size == 0:
            raise ModelError(f"the start law of a chain has the shape (S,), not {start.shape}.")
        S = start.size
        if kernels.ndim != 3 or kernels.shape[0] == 0 or kernels.shape[1:] != (S, S):
            raise ModelError(f"the kernels of a chain of {S} states have the shape (T, {S}, {S}), not {kernels.shape}.")
        if scores.shape != (kernels.shape[0] + 1, S):
            raise ModelError(f"a chain of {kernels.shape[0]} steps has scores (T + 1, S), not of shape {scores.shape}.")
        if not np.isfinite(scores).all():
            t, x = (int(i) for i in np.argwhere(~np.isfinite(scores))[0])
            raise ModelError(f"the score of state {x} at time {t} is {scores[t, x]}.")
        require_probabilities(start, "the start law")
        for t, kernel in enumerate(kernels):
            for x, row in enumerate(kernel):
                require_probabilities(row, f"the row of state {x} in step {t + 1}")
        for array, name in ((start, "start"), (kernels, "kernels"), (scores, "scores")):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def states(self) -> int:
        """The number of states S."""
        return self.start.size

    @property
    def steps(self) -> int:
        """The number of steps T."""
        return self.kernels.shape[0]

    @property
    def reward(self) -> Array:
        """The last score, shape (S,)."""
        return self.scores[-1]

    def __repr__(self) -> str:
        return f"FiniteChain({self.key or f'{self.states} states, {self.steps} steps'})"


def require_probabilities(row: Array, what: str) -> None:
    """:class:`ModelError` unless ``row`` (S,) is a probability vector."""
    if not ((row >= 0) & np.isfinite(row)).all():
        y = int(np.argmin((row >= 0) & np.isfinite(row)))
        raise ModelError(f"{what} gives state {y} the probability {row[y]}.")
    if not abs(row.sum() - 1) <= NORMALISATION:
        raise ModelError(f"{what} sums to {row.sum():.12g}, not to 1.")


def marginals(chain: FiniteChain) -> Array:
    """The law of x_t for t = 0 .. T, shape (T + 1, S)."""
    laws = [chain.start]
    for kernel in chain.kernels:
        laws.append(laws[-1] @ kernel)
    return np.array(laws)


def tilted_target(chain: FiniteChain, strength: float) -> Array:
    """The probabilities of the tilted target at ``strength`` lambda > 0, shape (S,)."""
    return np.exp(log_tilt(_log(marginals(chain)[-1]), chain.reward, 1 / require_strength(strength)))


def log_normaliser(chain: FiniteChain, strength: float) -> float:
    """ln Z = ln E exp(lambda r_T(x_T)) at ``strength`` lambda > 0."""
    return require_strength(strength) * float(log_partition(_log(marginals(chain)[-1]), chain.reward, 1 / strength))


def soft_values(chain: FiniteChain, strength: float) -> Array:
    """The soft values v_t(x), shape (T + 1, S), at ``strength`` lambda > 0; the last row is the reward."""
    values = [chain.reward * require_strength(strength)]
    for kernel in reversed(chain.kernels):
        values.append(logsumexp(_log(kernel) + values[-1], axis=1))
    return np.array(values[::-1]) / strength


def expected_rewards(chain: FiniteChain) -> Array:
    """E[r_T(x_T) | x_t = x], shape (T + 1, S): the limit of the soft values as the strength falls to 0."""
    values = [chain.reward]
    for kernel in reversed(chain.kernels):
        values.append(kernel @ values[-1])
    return np.array(values[::-1])


def with_scores(chain: FiniteChain, scores: ArrayLike) -> FiniteChain:
    """The same chain with other scores (T + 1, S)."""
    return FiniteChain(chain.start, chain.kernels, np.asarray(scores, dtype=float))


def twisted(chain: FiniteChain, strength: float, *, start: bool = True) -> FiniteChain:
    r"""The chain tilted towards the target, :math:`P_t(y|x)\, e^{\lambda(v_t(y) - v_{t-1}(x))}`, with the soft values v as scores.

    The start law is tilted alike, :math:`p_0(x) e^{\lambda v_0(x)} / Z`, unless ``start`` is False; x_T then has exactly the tilted
    target as its law (and without the tilt of the start in general not).
    """
    values = strength * soft_values(chain, strength)
    kernels = np.array([np.exp(log_tilt(_log(kernel), values[t + 1], 1.0)) for t, kernel in enumerate(chain.kernels)])
    first = np.exp(log_tilt(_log(chain.start), values[0], 1.0)) if start else chain.start
    return FiniteChain(first, kernels, values / strength)


def paths(chain: FiniteChain) -> NDArray[np.int64]:
    """All S^(T+1) sequences of states in lexicographic order, shape (S^(T+1), T + 1); :class:`ModelError` for over 2^20 of them."""
    count = chain.states ** (chain.steps + 1)
    if count > MOST_PATHS:
        raise ModelError(f"a chain of {chain.states} states and {chain.steps} steps has more than {MOST_PATHS} paths.")
    return np.stack(np.unravel_index(np.arange(count), (chain.states,) * (chain.steps + 1)), axis=1).astype(np.int64)


def path_log_probabilities(chain: FiniteChain) -> Array:
    """The log-probability of each of :func:`paths`, shape (S^(T+1),)."""
    route = paths(chain)
    total = _log(chain.start)[route[:, 0]]
    for t, kernel in enumerate(chain.kernels):
        total = total + _log(kernel)[route[:, t], route[:, t + 1]]
    return total


def require_strength(strength: float) -> float:
    """``strength`` as a float if it is positive and finite, else :class:`ModelError`."""
    if not 0 < strength < np.inf:
        raise ModelError(f"the strength lambda of a tilt is positive and finite, not {strength}.")
    return float(strength)


@family(S=2, T=1)
def scored_chain(
    S: int = 6,
    T: int = 5,
    concentration: float = 1.0,
    spread: float = 1.0,
    guess: Guess = "informed",
    noise: float = 0.3,
    point: bool = False,
    seed: int = 0,
) -> FiniteChain:
    """Rows and start law from Dirichlet(``concentration``), rewards normal with standard deviation ``spread``.

    The scores before the last are guesses: the expected reward (``"informed"``), nothing (``"useless"``), or minus the expected
    reward (``"misleading"``), each plus normal noise of standard deviation ``noise``. With ``point`` the chain starts in state 0.
    """
    rng = np.random.default_rng(seed)
    start = np.eye(S)[0] if point else rng.dirichlet(np.full(S, concentration))
    kernels = rng.dirichlet(np.full(S, concentration), size=(T, S))
    reward = spread * rng.standard_normal(S)
    blank = FiniteChain(start, kernels, np.vstack((np.zeros((T, S)), reward)))
    sign = {"informed": 1.0, "useless": 0.0, "misleading": -1.0}[guess]
    guesses = sign * expected_rewards(blank)[:-1] + noise * rng.standard_normal((T, S))
    return with_scores(blank, np.vstack((guesses, reward)))


@family(T=1)
def counting_chain(T: int = 5, p: float = 0.3) -> FiniteChain:
    """x_t counts the successes among t tosses of a coin that shows success with probability ``p``; every score is the count."""
    kernel = (1 - p) * np.eye(T + 1) + p * np.eye(T + 1, k=1)
    kernel[-1] = np.eye(T + 1)[-1]  # never left, and reached at time T at the earliest
    return FiniteChain(np.eye(T + 1)[0], np.repeat(kernel[None], T, axis=0), np.tile(np.arange(T + 1.0), (T + 1, 1)))


def _log(probabilities: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.log(probabilities)
