r"""Preference oracles: the only way by which a learning algorithm sees a game, and where its queries are counted.

One query asks for the vector of centred win rates :math:`A q` of all actions against an opponent policy q. Algorithms are
given an :class:`Oracle`, not the game, so that no comparison goes uncounted; what is computed *about* a run (exploitability,
divergence from the equilibrium) uses the game and costs no query.

What is out of its stated range raises :class:`~theory.errors.InputError`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from games.preference import PreferenceGame
from theory.errors import InputError

Array = NDArray[np.float64]


class Oracle:
    """Answers queries about one game and counts them.

    ``query(log_q)`` takes log-probabilities of shape (K,), or (runs, K) for several independent runs side by side, and returns
    centred win rates of the same shape, in [-1/2, 1/2]. ``queries`` is the number asked so far (for each run).
    """

    def __init__(
        self, log_reference: Array, answer: Callable[[Array], Array], matrix: Array | None = None, runs: int | None = None
    ):
        self._answer = answer
        self._matrix = matrix
        self._counter = np.zeros(1, dtype=np.int64)
        self.log_reference = log_reference
        self.runs = runs

    @property
    def queries(self) -> int:
        """How many queries have been asked (of each run)."""
        return int(self._counter[0])

    @property
    def exact(self) -> bool:
        """Whether the answers are free of noise, so that a kernel can ask for them."""
        return self._matrix is not None

    def query(self, log_opponent: ArrayLike) -> Array:
        """The centred win rates against ``log_opponent``; one query."""
        self._counter[0] += 1
        return self._answer(np.exp(np.asarray(log_opponent, dtype=float)))

    def run_kernel(self, kernel: Callable[..., None], *arguments: Any) -> None:
        """Run a compiled loop that asks its queries through :func:`games._kernels.ask`, which counts them here."""
        if self._matrix is None:
            raise InputError("compiled loops need an exact oracle.")
        kernel(self._matrix, self._counter, *arguments)

    def start(self, policy: ArrayLike | None) -> Array:
        """Where an algorithm starts: ``policy``, or else the reference, once for each run; log-probabilities."""
        first = self.log_reference if policy is None else np.asarray(policy, dtype=float)
        shape = self.log_reference.shape if self.runs is None else (self.runs, *self.log_reference.shape)
        if first.shape not in (self.log_reference.shape, shape):
            raise InputError(f"the starting policy has the shape {first.shape}; the game needs {shape}.")
        total = np.logaddexp.reduce(first, axis=-1)
        if not (np.isfinite(first).all() and np.abs(total).max() <= 1e-8):
            raise InputError("the starting policy is not given by finite log-probabilities that sum to probability 1.")
        return np.array(np.broadcast_to(first, shape))


def exact_oracle(game: PreferenceGame) -> Oracle:
    """The oracle that answers ``A q`` itself."""
    return Oracle(game.log_reference, lambda q: q @ game.A.T, matrix=game.A)


def sampled_oracle(
    game: PreferenceGame,
    comparisons: int,
    seed: int | np.random.Generator,
    *,
    runs: int | None = None,
    flip: float = 0.0,
) -> Oracle:
    r"""The oracle that estimates ``A q`` by comparing every action once with each of ``comparisons`` opponents drawn from q.

    A comparison of i with j is won with probability :math:`1/2 + A_{ij}`; its outcome is reported wrong with probability
    ``flip``, which makes the mean answer :math:`(1 - 2\,\text{flip}) A q`. The comparisons of different actions are
    independent given the opponents. With ``runs`` the oracle serves that many independent runs at once.
    """
    if comparisons < 1:
        raise InputError(f"an estimate needs at least one comparison of each action, not {comparisons}.")
    if not 0 <= flip <= 1:
        raise InputError(f"the probability that a comparison is flipped lies in [0, 1], not at {flip}.")
    rng = np.random.default_rng(seed)
    chances = 0.5 + (1 - 2 * flip) * game.A

    def answer(q: Array) -> Array:
        # drawing how often each opponent comes, then how many of those comparisons are won, has the law of one by one
        met = rng.multinomial(comparisons, q / q.sum(axis=-1, keepdims=True))
        won = rng.binomial(met[..., None, :], chances)
        return won.sum(axis=-1) / comparisons - 0.5

    return Oracle(game.log_reference, answer, runs=runs)


def as_oracle(game: PreferenceGame | Oracle) -> Oracle:
    """An oracle as it is; for a game, its exact one."""
    return exact_oracle(game) if isinstance(game, PreferenceGame) else game
