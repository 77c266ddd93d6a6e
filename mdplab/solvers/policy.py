"""Policies of a tabular MDP, and the operations per state that they need.

The state-action pairs of a model are numbered 0..N-1, state by state. A *deterministic* policy is an integer array of
shape (S,) that holds the index of the pair chosen in each state; a *stochastic* policy is a float array of shape (N,)
that sums to 1 within each state. For a model in which every state has the same number A of actions, an array of shape
(S, A) is understood as well. Functions that take a policy accept all three.

Policies of an episodic model are indexed by step: float (H, S, A), or integer (H, S) with the action taken; a policy
that does not change with the step may leave out the first axis.

Arrays over pairs may carry leading axes (a trajectory of policies is (K, N)); the operations per state work on the last.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models import EpisodicMDP, ModelError, TabularMDP

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# How far the probabilities of a state may sum from 1. Rounding moves a sum of 1000 terms by less than 1e-13; decimals
# typed by hand, such as 0.333, are off by far more and are meant to be refused.
SUM_TOLERANCE = 1e-9


def as_probabilities(mdp: TabularMDP, policy: ArrayLike) -> Floats:
    """Any policy as probabilities over pairs, float64 of shape (N,).

    Raises ModelError if the policy has the wrong shape, chooses a pair of another state, has a negative or non-finite
    probability, or does not sum to 1 in some state.
    """
    given = np.asarray(policy)
    if given.dtype.kind in "iu":
        pairs = _checked_pairs(mdp, given)
        vector = np.zeros(mdp.pairs)
        vector[pairs] = 1.0
        return vector
    if given.dtype.kind != "f":
        raise ModelError(f"a policy is an array of integers or floats, not of {given.dtype}.")
    vector = _over_pairs(mdp, given)
    sums = np.add.reduceat(vector, mdp.state_pointer[:-1])
    # one comparison catches NaN as well: every comparison with NaN is false
    if not (vector.min() >= 0 and np.abs(sums - 1).max() <= SUM_TOLERANCE):
        _refuse_probabilities(mdp, vector, sums)
    return vector


def as_pairs(mdp: TabularMDP, policy: ArrayLike) -> Integers:
    """A deterministic policy as pair indices, int64 of shape (S,).

    Raises ModelError if the policy is not deterministic, naming a state in which it takes several actions.
    """
    given = np.asarray(policy)
    if given.dtype.kind in "iu":
        return _checked_pairs(mdp, given)
    vector = as_probabilities(mdp, given)
    taken = np.flatnonzero(vector)
    counts = np.bincount(mdp.pair_state[taken], minlength=mdp.states)
    if taken.size != mdp.states:
        state = int(np.argmax(counts > 1))
        raise ModelError(f"the policy is not deterministic: it takes {counts[state]} actions in {_state(mdp, state)}.")
    return taken.astype(np.int64)


def pairs_of_actions(mdp: TabularMDP, actions: ArrayLike) -> Integers:
    """The pair indices, int64 of shape (S,), of the actions with labels ``actions`` (S integers).

    Raises ModelError if a state does not have the action asked for.
    """
    labels = np.asarray(actions)
    if labels.shape != (mdp.states,) or labels.dtype.kind not in "iu":
        raise ModelError(f"{mdp.states} integer action labels are needed, one for each state, not {labels.shape}.")
    chosen = np.flatnonzero(mdp.action == labels[mdp.pair_state])
    if chosen.size != mdp.states:
        state = int(np.argmin(np.bincount(mdp.pair_state[chosen], minlength=mdp.states)))
        raise ModelError(f"{_state(mdp, state)} has no action {labels[state]}.")
    return chosen.astype(np.int64)


def uniform_policy(mdp: TabularMDP) -> Floats:
    """The policy that takes every action of a state with the same probability, shape (N,)."""
    counts = np.diff(mdp.state_pointer)
    return np.repeat(1.0 / counts, counts)


def dense_policy(mdp: TabularMDP, policy: ArrayLike) -> Floats:
    """The policy as an array (S, A); only for models whose states all have the same number of actions."""
    return as_probabilities(mdp, policy).reshape(_rectangle(mdp))


def softmax_policy(mdp: TabularMDP, logits: ArrayLike, temperature: float = 1.0) -> Floats:
    """pi(a|s) proportional to exp(logits(s, a) / temperature), shape (..., N); ``temperature`` must be positive."""
    return np.exp(log_softmax_policy(mdp, logits, temperature))


def log_softmax_policy(mdp: TabularMDP, logits: ArrayLike, temperature: float = 1.0) -> Floats:
    """log of :func:`softmax_policy`, computed without leaving log space; a logit of -inf excludes an action.

    Raises ModelError for a NaN, for +inf, and for a state whose logits are all -inf.
    """
    if not temperature > 0 or not np.isfinite(temperature):
        raise ModelError(f"the temperature of a softmax policy must be positive and finite, not {temperature}.")
    values = np.asarray(logits, dtype=np.float64)
    if values.shape[-1:] != (mdp.pairs,):
        values = _over_pairs(mdp, values)
    tops = state_max(mdp, values)
    if not np.isfinite(tops).all():
        state = int(np.argwhere(~np.isfinite(tops))[0][-1])
        raise ModelError(f"the largest logit of {_state(mdp, state)} is {tops[~np.isfinite(tops)][0]}.")
    return log_normalise(mdp, values / temperature)


def greedy_policy(mdp: TabularMDP, q: ArrayLike) -> Integers:
    """The first pair of largest ``q`` (N numbers) in each state, int64 of shape (S,)."""
    values = _over_pairs(mdp, np.asarray(q, dtype=np.float64))
    if np.isnan(values).any():
        pair = int(np.argmax(np.isnan(values)))
        raise ModelError(f"a greedy policy cannot be read off a NaN, which {_pair(mdp, pair)} has.")
    best = np.flatnonzero(values == state_max(mdp, values)[mdp.pair_state])
    return best[np.searchsorted(best, mdp.state_pointer[:-1])].astype(np.int64)


# -- operations per state -------------------------------------------------------------------------------------------


def state_sum(mdp: TabularMDP, x: Floats) -> Floats:
    """sum_a x(s, a), from (..., N) to (..., S)."""
    return np.add.reduceat(x, mdp.state_pointer[:-1], axis=-1)


def state_max(mdp: TabularMDP, x: Floats) -> Floats:
    """max_a x(s, a), from (..., N) to (..., S)."""
    return np.maximum.reduceat(x, mdp.state_pointer[:-1], axis=-1)


def log_sum_exp(mdp: TabularMDP, x: Floats) -> Floats:
    """log sum_a exp x(s, a), from (..., N) to (..., S), each state shifted by its largest entry, which must be finite."""
    top = state_max(mdp, x)
    return top + np.log(state_sum(mdp, np.exp(x - top[..., mdp.pair_state])))


def log_normalise(mdp: TabularMDP, x: Floats) -> Floats:
    """x(s, a) - log sum_b exp x(s, b), shape (..., N): the log-softmax within each state.

    The largest entry of each state must be finite. It is subtracted first, so that entries of size 1e12 keep the
    digits of the differences that matter.
    """
    state = mdp.pair_state
    shifted = x - state_max(mdp, x)[..., state]
    return shifted - np.log(state_sum(mdp, np.exp(shifted)))[..., state]


# -- episodic models ------------------------------------------------------------------------------------------------


def as_episodic_probabilities(mdp: EpisodicMDP, policy: ArrayLike) -> Floats:
    """Any policy of an episodic model as probabilities, float64 of shape (H, S, A) (possibly a broadcast view).

    Raises ModelError if it has the wrong shape, names an action that does not exist, has a negative or non-finite
    probability, or does not sum to 1 in some state at some step.
    """
    given = np.asarray(policy)
    horizon, states, actions = mdp.R.shape
    if given.dtype.kind in "iu":
        if given.shape not in ((horizon, states), (states,)):
            raise ModelError(f"a deterministic policy of this model has shape ({horizon}, {states}), not {given.shape}.")
        if given.size and (given.min() < 0 or given.max() >= actions):
            where = np.argwhere((given < 0) | (given >= actions))[0]
            raise ModelError(
                f"the policy takes action {given[tuple(where)]} in state {where[-1]}, but there are {actions} actions."
            )
        probabilities = (given[..., None] == np.arange(actions)).astype(np.float64)
    else:
        if given.dtype.kind != "f" or given.shape not in ((horizon, states, actions), (states, actions)):
            raise ModelError(
                f"a stochastic policy of this model is a float array of shape ({horizon}, {states}, {actions}), "
                f"not {given.dtype} of shape {given.shape}."
            )
        probabilities = given.astype(np.float64, copy=False)
        bad = ~(probabilities >= 0) | np.isinf(probabilities)
        if bad.any():
            where = np.argwhere(bad)[0]
            raise ModelError(
                f"the policy takes action {where[-1]} in state {where[-2]} with probability {given[tuple(where)]}."
            )
        sums = probabilities.sum(axis=-1)
        if np.abs(sums - 1).max() > SUM_TOLERANCE:
            where = np.unravel_index(int(np.argmax(np.abs(sums - 1))), sums.shape)
            step = f" at step {where[0]}" if sums.ndim == 2 else ""
            raise ModelError(f"the policy's probabilities in state {where[-1]}{step} sum to {sums[where]}, not to 1.")
    return np.broadcast_to(probabilities, (horizon, states, actions))


# -- messages -------------------------------------------------------------------------------------------------------


def _rectangle(mdp: TabularMDP) -> tuple[int, int]:
    if not mdp.is_rectangular:
        raise ModelError("this model has no view by state and action: its states differ in their actions.")
    return mdp.states, mdp.pairs // mdp.states


def _over_pairs(mdp: TabularMDP, values: NDArray[Any]) -> Floats:
    """A float array over pairs, from one over pairs or over (states, actions)."""
    if values.shape != (mdp.pairs,):
        if values.ndim != 2 or not mdp.is_rectangular or values.shape != _rectangle(mdp):
            raise ModelError(
                f"this model has {mdp.states} states and {mdp.pairs} state-action pairs; "
                f"an array of shape {values.shape} does not fit them."
            )
        values = values.reshape(mdp.pairs)
    return values.astype(np.float64, copy=False)


def _checked_pairs(mdp: TabularMDP, given: NDArray[Any]) -> Integers:
    if given.shape != (mdp.states,):
        raise ModelError(f"a deterministic policy of this model has shape ({mdp.states},), not {given.shape}.")
    pairs = given.astype(np.int64, copy=False)
    pointer = mdp.state_pointer
    wrong = (pairs < pointer[:-1]) | (pairs >= pointer[1:])
    if wrong.any():
        state = int(np.argmax(wrong))
        raise ModelError(
            f"the policy chooses pair {pairs[state]} in {_state(mdp, state)}, "
            f"whose pairs are {pointer[state]} to {pointer[state + 1] - 1}."
        )
    return pairs


def _refuse_probabilities(mdp: TabularMDP, vector: Floats, sums: Floats) -> None:
    bad = ~(vector >= 0) | np.isinf(vector)
    if bad.any():
        pair = int(np.argmax(bad))
        raise ModelError(f"the policy gives {_pair(mdp, pair)} the probability {vector[pair]}.")
    state = int(np.argmax(np.abs(sums - 1)))
    raise ModelError(f"the policy's probabilities in {_state(mdp, state)} sum to {sums[state]}, not to 1.")


def _state(mdp: TabularMDP, state: int) -> str:
    return f"state {mdp.state_name(state)}"


def _pair(mdp: TabularMDP, pair: int) -> str:
    return f"action {mdp.action_name(pair)} in {_state(mdp, int(mdp.pair_state[pair]))}"
