r"""Victims of cheap talk: Q-learning on a table over (state, message), and linear regression on features with a message.

The tabular victim keeps :math:`Q(s, m, \cdot)` and learns, with m = f(s),

.. math:: Q(s, m, a) \leftarrow Q(s, m, a) + \alpha \bigl(r + \gamma \max_b Q(s', f(s'), b) - Q(s, m, a)\bigr).

The linear victim has the features :math:`x(s) = (\mathbf 1_s, m(s))`, a number m(s) as message, and learns values v by
:math:`w \leftarrow w + \alpha\, x (v(s) - x^\top w)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models.cheap_talk import CheapTalkMDP
from theory.errors import InputError

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class VictimRuns:
    """``reward`` (N, T) earned in each step, ``states`` (N, T + 1) visited, ``rows`` (N, S, A): the final rows Q(s, f(s), .)."""

    reward: Floats
    states: NDArray[np.int64]
    rows: Floats


def victim_q_learning(
    talk: CheapTalkMDP,
    tables: ArrayLike,
    steps: int,
    seeds: ArrayLike,
    *,
    step_size: float = 0.2,
    exploration: float = 0.2,
) -> VictimRuns:
    """N runs of T = ``steps`` steps of Q-learning from the initial ``tables`` (N, S, M, A); rewards are the expected ones.

    ``talk`` holds one map, or one for each run. ``seeds`` (one, or one for each run) decide start, exploration and transitions: runs
    with the same seed have common random numbers. With probability ``exploration`` the action is uniform, otherwise the first
    greedy one. ``step_size`` is alpha in [0, 1].

    Raises :class:`InputError` for tables of another shape, and numbers out of range.
    """
    P, R = talk.mdp.dense()
    S, A = R.shape
    q = np.array(tables, dtype=float)
    if q.ndim != 4 or q.shape[1:] != (S, talk.messages, A) or not np.isfinite(q).all():
        raise InputError(f"initial tables are finite, of shape (N, {S}, {talk.messages}, {A}), not {q.shape}.")
    N = q.shape[0]
    if talk.message.ndim == 2 and talk.message.shape[0] != N:
        raise InputError(f"there are {N} tables but {talk.message.shape[0]} maps of messages.")
    each = np.asarray(seeds)
    if each.dtype.kind not in "iu" or each.shape not in ((), (N,)) or (each < 0).any():
        raise InputError(f"seeds are one whole number of 0 or more, or {N} of them.")
    if steps < 1:
        raise InputError(f"a victim learns for at least one step, not {steps}.")
    if not (0 <= step_size <= 1 and 0 <= exploration <= 1):
        raise InputError(f"step size and exploration lie in [0, 1], not at {step_size} and {exploration}.")
    seen, which = np.unique(each, return_inverse=True)
    luck = np.stack([np.random.default_rng(int(seed)).random((steps + 1, 3)) for seed in seen])
    run = np.arange(N)
    luck_of = np.broadcast_to(which.reshape(each.shape), N)
    message = np.broadcast_to(talk.message, (N, S))
    q = q[run[:, None], np.arange(S), message]  # only these rows are ever read or written
    ends = np.cumsum(P, axis=2)[:, :, :-1]
    first = np.cumsum(talk.mdp.start_distribution)[:-1]
    states = np.empty((N, steps + 1), dtype=np.int64)
    reward = np.empty((N, steps))
    states[:, 0] = s = (luck[luck_of, 0, 0][:, None] >= first).sum(axis=1)
    for t in range(steps):
        u = luck[luck_of, t + 1]
        a = np.where(u[:, 0] < exploration, (u[:, 1] * A).astype(np.int64), q[run, s].argmax(axis=1))
        to = (u[:, 2][:, None] >= ends[s, a]).sum(axis=1)
        reward[:, t] = R[s, a]
        target = reward[:, t] + talk.mdp.gamma * q[run, to].max(axis=1)
        q[run, s, a] += step_size * (target - q[run, s, a])
        states[:, t + 1] = s = to
    return VictimRuns(reward, states, q)


def linear_features(message: ArrayLike) -> Floats:
    """The features (1_s, m(s)) of states with messages ``message`` (S,), shape (S, S + 1)."""
    m = np.asarray(message, dtype=float)
    if m.ndim != 1 or not np.isfinite(m).all():
        raise InputError(f"the messages of a linear victim are finite numbers, one for each state, not of shape {m.shape}.")
    return np.concatenate((np.eye(m.size), m[:, None]), axis=1)


def feature_moment(features: ArrayLike, law: ArrayLike) -> Floats:
    """E[x x^T] for states of probabilities ``law`` (S,) and ``features`` (S, d); shape (d, d)."""
    x, d = np.asarray(features, dtype=float), np.asarray(law, dtype=float)
    if x.ndim != 2 or d.shape != x.shape[:1] or not (d >= 0).all() or abs(d.sum() - 1) > 1e-9:
        raise InputError(f"features of {x.shape[0]} states need a law of as many states.")
    return np.asarray(x.T @ (d[:, None] * x))


def linear_victim(features: ArrayLike, values: ArrayLike, steps: int, seeds: ArrayLike, *, step_size: float) -> Floats:
    """Root mean square errors of the linear victim's values, shape (N, T + 1), in N runs of T = ``steps`` updates from w = 0.

    The states are uniform, drawn afresh for each update, the same ones for runs with the same seed. A run that diverges grows
    to infinity. Raises :class:`InputError` for values of another shape and a step size that is negative.
    """
    x, v = np.asarray(features, dtype=float), np.asarray(values, dtype=float)
    if x.ndim != 2 or v.shape != x.shape[:1]:
        raise InputError(f"there are {x.shape[0]} states with features, and values of shape {v.shape}.")
    if not (np.isfinite(step_size) and step_size >= 0):
        raise InputError(f"the step size is finite and at least 0, not {step_size}.")
    each = np.atleast_1d(np.asarray(seeds))
    drawn = np.stack([np.random.default_rng(int(seed)).integers(v.size, size=steps) for seed in each])
    w = np.zeros((each.size, x.shape[1]))
    error = np.empty((each.size, steps + 1))
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(steps + 1):
            error[:, t] = np.sqrt(((v - w @ x.T) ** 2).mean(axis=1))
            if t < steps:
                now = x[drawn[:, t]]
                w += step_size * now * (v[drawn[:, t]] - np.einsum("nd,nd->n", now, w))[:, None]
    return error
