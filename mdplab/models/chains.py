"""Chains, locks and seas: structured models in which exploration or a long horizon is what is hard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdplab.models.families import model_family, require, require_probability
from mdplab.models.tabular import TabularMDP


@model_family(S=2)
def river_swim(S: int = 6, gamma: float = 0.95) -> TabularMDP:
    """A chain against the current (Strehl and Littman 2008): swimming right may fail, drifting left never does.

    Action 0 moves left (reward 0.005 at the left end). Action 1 moves right with probability 0.35 (0.6 at the left end), stays
    with 0.6 (0.4 at the left end), is swept left with 0.05; at the right end, where it earns 1, it stays with 0.6 and is swept
    left with 0.4. The start is the left end.
    """
    require(S >= 2, f"a river needs two states or more, not {S}.")
    s, inner = np.arange(S), np.arange(1, S - 1)
    reward = np.zeros((S, 2))
    reward[0, 0], reward[-1, 1] = 0.005, 1.0
    ways = [
        (s, 0, np.maximum(s - 1, 0), 1.0),
        ([0], 1, [0], 0.4),
        ([0], 1, [1], 0.6),
        (inner, 1, inner - 1, 0.05),
        (inner, 1, inner, 0.6),
        (inner, 1, inner + 1, 0.35),
        ([S - 1], 1, [S - 2], 0.4),
        ([S - 1], 1, [S - 1], 0.6),
    ]
    return _from_ways(ways, reward, gamma, action_names=("left", "right"))


@model_family(S=2)
def chain(S: int = 5, gamma: float = 0.9, slip: float = 0.0) -> TabularMDP:
    """A corridor of S states: action 1 moves right, action 0 left, the other way with probability ``slip``.

    The ends hold whoever walks into them; action 1 at the right end pays 1. The start is the left end. Without slipping
    V*(s) = gamma^(S - 1 - s) / (1 - gamma).
    """
    require(S >= 2, f"a chain needs two states or more, not {S}.")
    require_probability("the slip probability", slip)
    s = np.arange(S)
    left, right = np.maximum(s - 1, 0), np.minimum(s + 1, S - 1)
    reward = np.zeros((S, 2))
    reward[-1, 1] = 1.0
    ways = [(s, 0, left, 1 - slip), (s, 0, right, slip), (s, 1, right, 1 - slip), (s, 1, left, slip)]
    return _from_ways(ways, reward, gamma, action_names=("left", "right"))


@model_family(S=2, A=2)
def delayed_reward_chain(S: int = 8, A: int = 2, gamma: float = 0.9, bait: float = 0.1) -> TabularMDP:
    """A deterministic chain whose reward 1 waits at the end; every other action pays ``bait`` and goes back to the start.

    Action 0 advances (and stays in the last state, where it pays 1). From the start, patience earns gamma^(S-1) / (1 - gamma)
    and the bait bait / (1 - gamma).
    """
    require(S >= 2 and A >= 2, f"a delayed-reward chain needs S >= 2 and A >= 2, not S={S}, A={A}.")
    nexts, reward = np.zeros((S, A), dtype=np.int64), np.full((S, A), float(bait))
    nexts[:, 0] = np.minimum(np.arange(S) + 1, S - 1)
    reward[:, 0] = 0.0
    reward[-1, 0] = 1.0
    return _deterministic(nexts, reward, gamma)


@model_family(N=2)
def deep_sea(N: int = 8, gamma: float = 0.99, seed: int = 0) -> TabularMDP:
    """DeepSea (Osband, Van Roy, Russo and Wen 2019): an N x N grid entered at the top left; each step goes one row down.

    The cell in row i and column j is state N i + j. One action goes right (and costs 0.01 / N), the other left; which is which
    is drawn for each cell. A right move in the last cell of the diagonal pays 1; after the last row waits an absorbing state of
    reward 0. Undiscounted, the best return is 0.99, and only one of 2^N ways down finds it.
    """
    require(N >= 2, f"deep sea needs N >= 2, not {N}.")
    nexts, reward = deep_sea_tables(N, np.random.default_rng(seed))
    return _deterministic(nexts, reward, gamma)


def deep_sea_tables(N: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Next states int64[N^2 + 1, 2] and rewards float64[N^2 + 1, 2] of DeepSea, the absorbing end last."""
    right = rng.integers(2, size=N * N)
    cell = np.arange(N * N)
    row, column = cell // N, cell % N
    end = N * N
    nexts, reward = np.full((end + 1, 2), end), np.zeros((end + 1, 2))
    below = row < N - 1
    nexts[cell, right] = np.where(below, (row + 1) * N + np.minimum(column + 1, N - 1), end)
    nexts[cell, 1 - right] = np.where(below, (row + 1) * N + np.maximum(column - 1, 0), end)
    reward[cell, right] = -0.01 / N
    reward[end - 1, right[-1]] += 1.0
    return nexts, reward


@model_family(A=2, H=1)
def combination_lock(
    A: int = 3, H: int = 4, bait: float = 0.1, top: float = 1.0, gamma: float = 0.99, seed: int = 0
) -> TabularMDP:
    """A lock of H dials: at each dial one hidden action keeps it open; any other loses it and pays ``bait`` at once.

    State h < H is the dial h, state H the absorbing end of reward 0; the hidden action of the last dial pays ``top``. A uniform
    policy opens the lock with probability A^-H. Its finite-horizon form is
    :func:`~mdplab.models.episodic_families.episodic_lock`.
    """
    require(A >= 2 and H >= 1, f"a lock needs A >= 2 and H >= 1, not A={A}, H={H}.")
    code = np.random.default_rng(seed).integers(A, size=H)
    nexts, reward = np.full((H + 1, A), H), np.zeros((H + 1, A))
    reward[:H] = bait
    nexts[np.arange(H), code] = np.arange(1, H + 1)
    reward[np.arange(H), code] = 0.0
    reward[H - 1, code[H - 1]] = top
    return _deterministic(nexts, reward, gamma)


def _first(S: int) -> NDArray[np.float64]:
    """The start distribution that begins in state 0."""
    start = np.zeros(S)
    start[0] = 1.0
    return start


def _deterministic(nexts: NDArray[np.int64], reward: NDArray[np.float64], gamma: float) -> TabularMDP:
    """The model in which pair (s, a) leads to ``nexts[s, a]`` for sure, started in state 0."""
    S, A = nexts.shape
    return TabularMDP(
        state_pointer=np.arange(S + 1) * A,
        row_pointer=np.arange(S * A + 1),
        next_state=nexts.ravel().astype(np.int32),
        probability=np.ones(S * A),
        reward=reward.ravel(),
        gamma=gamma,
        start=_first(S),
    )


def _from_ways(
    ways: Sequence[tuple[Any, int, Any, float]], reward: NDArray[np.float64], gamma: float, **names: Any
) -> TabularMDP:
    """The model with transitions (states, action, next states, probability), started in state 0; equal next states are merged."""
    from scipy.sparse import coo_array

    S, A = reward.shape
    pair = np.concatenate([np.asarray(s) * A + a for s, a, _, _ in ways])
    to = np.concatenate([np.asarray(t) for _, _, t, _ in ways])
    probability = np.concatenate([np.full(len(s), p) for s, _, _, p in ways])
    matrix = coo_array((probability, (pair, to)), shape=(S * A, S))
    return TabularMDP.from_sparse(matrix, reward.ravel(), gamma, start=_first(S), **names)
