"""Finite Markov decision processes in state-action-pair form, ragged and sparse.

The pairs (s, a) of all states stand in one list, state by state. Pair n earns the expected reward ``reward[n]`` and leads to
``next_state[j]`` with probability ``probability[j]`` for the j in ``row_pointer[n] : row_pointer[n + 1]``. States may have
different numbers of actions, and only transitions of positive probability need be stored.
"""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models.errors import ModelError
from mdplab.models.validation import as_array, check_discount, check_pointers, validate_tabular

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True, eq=False)
class TabularMDP:
    """A finite MDP with discount ``gamma``.

    Arrays, with S states, N pairs and nnz stored transitions: ``state_pointer`` int64[S+1] (the pairs of state s are
    ``state_pointer[s] : state_pointer[s+1]``), ``row_pointer`` int64[N+1], ``next_state`` int32[nnz], ``probability``
    float64[nnz], ``reward`` float64[N], ``gamma`` in [0, 1], ``start`` float64[S] or None, ``action`` int32[N] (the label of
    each pair's action, increasing within a state; positions 0, 1, ... when None is given). ``key`` rebuilds a generated model.

    A next state may occur more than once in a row; its probabilities then add up. The arrays are not copied when they already
    have the right type, and the model's views of them are read-only.

    Raises :class:`ModelError` when the arrays do not describe an MDP: shapes or types, an index out of range, a state without
    actions, numbers that are negative or not finite, a row that does not sum to 1, a discount outside [0, 1].
    """

    state_pointer: NDArray[np.int64]
    row_pointer: NDArray[np.int64]
    next_state: NDArray[np.int32]
    probability: NDArray[np.float64]
    reward: NDArray[np.float64]
    gamma: float
    start: NDArray[np.float64] | None = None
    state_names: tuple[str, ...] | None = None
    action_names: tuple[str, ...] | None = None
    action: NDArray[np.int32] | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        arrays = {
            "state_pointer": np.int64,
            "row_pointer": np.int64,
            "next_state": np.int32,
            "probability": np.float64,
            "reward": np.float64,
            "start": np.float64,
            "action": np.int32,
        }
        for name, dtype in arrays.items():
            if getattr(self, name) is not None:
                object.__setattr__(self, name, as_array(name, getattr(self, name), dtype))
        object.__setattr__(self, "gamma", check_discount(self.gamma))
        for name in ("state_names", "action_names"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, tuple(str(n) for n in getattr(self, name)))
        check_pointers(self)
        if self.action is None:
            counts = np.diff(self.state_pointer)
            object.__setattr__(self, "action", positions(counts).astype(np.int32))
        validate_tabular(self)
        for name in arrays:
            if getattr(self, name) is not None:
                getattr(self, name).flags.writeable = False

    @property
    def states(self) -> int:
        """Number of states S."""
        return self.state_pointer.size - 1

    @property
    def pairs(self) -> int:
        """Number of state-action pairs N."""
        return self.row_pointer.size - 1

    @property
    def transitions(self) -> int:
        """Number of stored transitions nnz."""
        return self.next_state.size

    @cached_property
    def pair_state(self) -> NDArray[np.int32]:
        """The state of each pair, int32[N]."""
        owner = np.repeat(np.arange(self.states, dtype=np.int32), np.diff(self.state_pointer))
        owner.flags.writeable = False
        return owner

    @cached_property
    def max_actions(self) -> int:
        """The largest number of actions in a state."""
        return int(np.diff(self.state_pointer).max())

    @cached_property
    def is_rectangular(self) -> bool:
        """Whether every state has the actions 0, ..., A - 1."""
        counts = np.diff(self.state_pointer)
        if counts.min() != counts.max():
            return False
        assert self.action is not None
        return bool((self.action.reshape(self.states, -1) == np.arange(counts[0])).all())

    @property
    def start_distribution(self) -> NDArray[np.float64]:
        """The start distribution, uniform when none was given; float64[S]."""
        return np.full(self.states, 1.0 / self.states) if self.start is None else self.start

    def transition_matrix(self) -> csr_array:
        """The transition probabilities as a scipy CSR array of shape (N, S)."""
        from scipy.sparse import csr_array

        return csr_array((self.probability, self.next_state, self.row_pointer), shape=(self.pairs, self.states))

    def dense(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """``P[S, A, S]`` and ``R[S, A]``; ModelError unless every state has the same actions."""
        if not self.is_rectangular:
            raise ModelError("the model is ragged (states differ in their actions) and has no dense arrays P[S, A, S].")
        P = np.zeros((self.pairs, self.states))
        rows = np.repeat(np.arange(self.pairs), np.diff(self.row_pointer))
        np.add.at(P, (rows, self.next_state), self.probability)
        return P.reshape(self.states, -1, self.states), self.reward.reshape(self.states, -1).copy()

    def replace(self, **changes: Any) -> TabularMDP:
        """A copy with some fields changed; the key is dropped unless a new one is given, since it no longer rebuilds it."""
        changes.setdefault("key", None)
        return dataclasses.replace(self, **changes)

    def with_key(self, key: str | None) -> TabularMDP:
        """The same model (its arrays are shared, nothing is checked again) under the key that rebuilds it."""
        twin = copy.copy(self)
        object.__setattr__(twin, "key", key)
        return twin

    def keep_pairs(self, kept: ArrayLike) -> TabularMDP:
        """The model with the pairs where ``kept`` (bool[N]) is true, and no others; each state must keep one (ModelError)."""
        mask = np.asarray(kept, dtype=bool)
        if mask.shape != (self.pairs,):
            raise ModelError(f"the pairs to keep have shape {mask.shape}, not ({self.pairs},).")
        lengths = np.diff(self.row_pointer)
        stays = np.repeat(mask, lengths)
        assert self.action is not None
        return self.replace(
            state_pointer=np.append(0, np.cumsum(np.add.reduceat(mask, self.state_pointer[:-1], dtype=np.int64))),
            row_pointer=np.append(0, np.cumsum(lengths[mask])),
            next_state=self.next_state[stays],
            probability=self.probability[stays],
            reward=self.reward[mask],
            action=self.action[mask],
        )

    def state_name(self, state: int) -> str:
        """The name of a state as messages give it."""
        return f"{state}" if self.state_names is None else f"{state} ({self.state_names[state]})"

    def action_name(self, pair: int) -> str:
        """The name of a pair's action as messages give it."""
        assert self.action is not None
        label = int(self.action[pair])
        return f"{label}" if self.action_names is None else f"{label} ({self.action_names[label]})"

    @classmethod
    def from_dense(cls, P: ArrayLike, R: ArrayLike, gamma: float, start: ArrayLike | None = None, **names: Any) -> TabularMDP:
        """From ``P[S, A, S]`` and ``R[S, A]``, or ``R[S, A, S]`` (then averaged over next states); zeros are not stored.

        ``R[s, a, s']`` may be anything (even NaN) where ``P[s, a, s']`` is 0. Further keywords: ``state_names``,
        ``action_names``, ``key``. Raises ModelError for shapes that do not fit, and whatever the constructor refuses.
        """
        kernel, rewards = as_array("P", P, np.float64), as_array("R", R, np.float64)
        if kernel.ndim != 3 or kernel.shape[0] != kernel.shape[2] or 0 in kernel.shape:
            raise ModelError(f"P has shape {kernel.shape}; it must be (S, A, S).")
        S, A, _ = kernel.shape
        if rewards.shape == (S, A, S):
            with np.errstate(invalid="ignore", over="ignore"):
                rewards = np.where(kernel == 0, 0.0, kernel * rewards).sum(axis=2)
        elif rewards.shape != (S, A):
            raise ModelError(f"R has shape {rewards.shape}; it must be {(S, A)} or {(S, A, S)} to go with P.")
        rows = kernel.reshape(S * A, S)
        stored = rows != 0
        counts = stored.sum(axis=1)
        return cls(
            state_pointer=np.arange(S + 1) * A,
            row_pointer=np.concatenate(([0], np.cumsum(counts))),
            next_state=np.nonzero(stored)[1].astype(np.int32),
            probability=rows[stored],
            reward=rewards.ravel(),
            gamma=gamma,
            start=None if start is None else as_array("start", start, np.float64),
            **names,
        )

    @classmethod
    def from_sparse(
        cls,
        transitions: Any,
        reward: ArrayLike,
        gamma: float,
        state_of_pair: ArrayLike | None = None,
        start: ArrayLike | None = None,
        **names: Any,
    ) -> TabularMDP:
        """From a scipy sparse matrix of shape (N, S), or a sequence of A matrices of shape (S, S), one for each action.

        For one matrix ``reward`` has shape (N,) and ``state_of_pair`` (nondecreasing, int[N]) says whose pairs the rows are; it
        may be left out when N is a multiple of S (then every state has N / S actions). For a sequence ``reward`` is (S, A).
        What is given stays as it is. Raises ModelError for shapes that do not fit, and whatever the constructor refuses.
        """
        from scipy.sparse import csr_array, vstack

        rewards = as_array("reward", reward, np.float64)
        try:
            if isinstance(transitions, (list, tuple)):
                shapes = sorted({tuple(t.shape) for t in transitions})
                if len(shapes) != 1 or len(shapes[0]) != 2 or shapes[0][0] != shapes[0][1]:
                    raise ModelError(f"the transition matrices have the shapes {shapes}; each must be (S, S).")
                A, S = len(transitions), shapes[0][0]
                stacked = csr_array(vstack([csr_array(t) for t in transitions], format="csr"))
                matrix = csr_array(stacked[(np.arange(S)[:, None] + S * np.arange(A)).ravel()])
                if rewards.shape != (S, A):
                    raise ModelError(f"the rewards have shape {rewards.shape}; they must be {(S, A)} to go with {A} matrices.")
                rewards = rewards.ravel()
            else:
                matrix = csr_array(transitions, copy=True)
        except (TypeError, ValueError, AttributeError) as error:
            if isinstance(error, ModelError):
                raise
            raise ModelError(f"the transitions cannot be read as a sparse matrix: {error}.") from error
        if matrix.ndim != 2 or 0 in matrix.shape:
            raise ModelError(f"the transition matrix has shape {matrix.shape}; it must be (N, S).")
        N, S = matrix.shape
        if state_of_pair is None:
            if N % S:
                raise ModelError(f"{N} rows cannot be shared evenly by {S} states; say state_of_pair.")
            owner = np.repeat(np.arange(S), N // S)
        else:
            owner = as_array("state_of_pair", state_of_pair, np.int64)
            if owner.shape != (N,) or (np.diff(owner) < 0).any() or owner.min() < 0 or owner.max() >= S:
                raise ModelError(f"state_of_pair must hold {N} nondecreasing state numbers below {S}.")
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        return cls(
            state_pointer=np.searchsorted(owner, np.arange(S + 1)),
            row_pointer=matrix.indptr,
            next_state=matrix.indices,
            probability=matrix.data,
            reward=rewards,
            gamma=gamma,
            start=None if start is None else as_array("start", start, np.float64),
            **names,
        )


def positions(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, ..., counts[0] - 1, 0, 1, ..., counts[1] - 1, and so on: the place of each item within its group."""
    starts = np.cumsum(counts) - counts
    return np.arange(int(counts.sum())) - np.repeat(starts, counts)
