r"""Feasibility of hard constraints in deterministic models (Zheng et al. 2024, arXiv 2401.10700).

With a violation signal h, positive exactly on the states that must never be visited, the discounted feasible value is the fixed
point of

    (T V)(s) = min_a Q(s, a),      Q(s, a) = (1 - gamma) h(s) + gamma max{h(s), V(s')},      s' = next(s, a).

At gamma = 1 it is min_pi max_t h(s_t), which is at most 0 exactly on the viability kernel, the states from which some policy
never violates. For gamma < 1 it is the value of a game: one player moves, the other stops the run at a time tau, and is paid
(1 - gamma) sum_{t < tau} gamma^t h(s_t) + gamma^tau h(s_tau).

Sweeps from V = h are exact after S - 1 of them, at any discount. T^n h is the value of the game that must stop after n steps: the
least, over paths, of the largest payoff of a tau <= n. It grows with n. A path of S - 1 steps repeats a state, or shows all of
them and repeats one at its next step. Who goes round the loop so closed for ever concedes no more: let h_m be its largest h, met
in the first round. Stopping in a later round is worth what stopping at m is, with h_m replaced by a mean of numbers of the loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models import ModelError, TabularMDP
from mdplab.models.deterministic import DeterministicMDP
from mdplab.models.validation import check_discount
from mdplab.solvers.bounds import UNIT_ROUNDOFF
from mdplab.solvers.policy_iteration import policy_iteration


@dataclass(frozen=True, eq=False)
class FeasibleValue:
    """A discounted feasible value with its proof.

    ``value`` (S,) and ``q`` (S, A) are float64, or Fractions if exact arithmetic was asked for; every entry is within ``error``
    (0 for Fractions) of that of the fixed point. ``sweeps`` were made until nothing changed, S - 1 of them at most.
    """

    value: NDArray[Any]
    q: NDArray[Any]
    error: float
    sweeps: int

    @property
    def region(self) -> NDArray[np.bool_]:
        """The states that the value judges feasible, V <= 0; bool[S]."""
        return np.asarray(self.value <= 0, dtype=bool)


@dataclass(frozen=True, eq=False)
class ConstrainedSolution:
    """The best rewards without any violation: ``value`` float64[S], NaN off the viability ``kernel`` bool[S].

    ``policy`` int64[S] holds actions, -1 off the kernel. On the kernel the optimum is within ``width`` of ``value``, and the
    policy loses at most ``width``.
    """

    kernel: NDArray[np.bool_]
    value: NDArray[np.float64]
    policy: NDArray[np.int64]
    width: float


def max_delay(model: DeterministicMDP) -> NDArray[np.float64]:
    """The number of steps for which a violation can be put off: 0 on violating states, inf on the viability kernel; float64[S]."""
    delay = np.where(model.violating, 0.0, np.inf)
    step = 0.0
    while True:
        step += 1.0
        lost = np.isinf(delay) & np.isfinite(delay[model.next_state]).all(axis=1)
        if not lost.any():
            return delay
        delay[lost] = step


def viability_kernel(model: DeterministicMDP) -> NDArray[np.bool_]:
    """The states from which some policy never violates, bool[S]: those where a violation can be put off for ever."""
    return np.isinf(max_delay(model))


def safe_actions(model: DeterministicMDP) -> NDArray[np.bool_]:
    """The actions that keep a state of the viability kernel in it, bool[S, A]; none outside."""
    kernel = viability_kernel(model)
    return np.asarray(kernel[:, None] & kernel[model.next_state])


def safe_under(model: DeterministicMDP, policy: ArrayLike) -> NDArray[np.bool_]:
    """From which states the deterministic ``policy`` (actions, integers (..., S)) never violates; bool of the same shape.

    Raises :class:`ModelError` for a shape that does not fit or an action out of range.
    """
    actions = np.asarray(policy)
    if actions.dtype.kind not in "iu" or actions.shape[-1:] != (model.states,):
        raise ModelError(f"policies of this model are integers of shape (..., {model.states}), not {actions.shape}.")
    if actions.size and (actions.min() < 0 or actions.max() >= model.actions):
        raise ModelError(f"a policy takes an action outside 0, ..., {model.actions - 1}.")
    after = model.next_state[np.arange(model.states), actions]
    safe = np.broadcast_to(~model.violating, actions.shape)
    for _ in range((model.states - 1).bit_length()):  # safe for 2^i steps, and a run of S - 1 steps has seen all it will
        safe = safe & np.take_along_axis(safe, after, axis=-1)
        after = np.take_along_axis(after, after, axis=-1)
    return np.asarray(safe)


def feasible_operator(model: DeterministicMDP, value: ArrayLike, gamma: float | None = None) -> NDArray[Any]:
    """(T V)(s) = (1 - gamma) h(s) + gamma max{h(s), min_a V(s')}, shape (S,).

    Computed in Fractions if ``value`` holds them. ``gamma`` in [0, 1] is the model's unless given. Raises :class:`ModelError` for
    a value of another shape and a discount out of its range.
    """
    V = np.asarray(value)
    if V.shape != (model.states,):
        raise ModelError(f"a feasible value of this model has shape ({model.states},), not {V.shape}.")
    signal, discount = _numbers(model, gamma, V.dtype == object)
    return _backup(signal, V[model.next_state].min(axis=1), discount)


def feasible_value(model: DeterministicMDP, gamma: float | None = None, *, exact: bool = False) -> FeasibleValue:
    """The fixed point of :func:`feasible_operator`: T^(S-1) h (at gamma = 1 the least of the fixed points).

    ``gamma`` in [0, 1] is the model's unless given. With ``exact`` the arithmetic is that of Fractions, for models of up to about
    50 states. Raises :class:`ModelError` for a discount out of its range.
    """
    signal, discount = _numbers(model, gamma, exact)
    value = signal
    sweeps = 0
    while sweeps < model.states - 1:
        backed_up = _backup(signal, value[model.next_state].min(axis=1), discount)
        if np.array_equal(backed_up, value):
            break
        value = backed_up
        sweeps += 1
    q = _backup(signal[:, None], value[model.next_state], discount)
    if exact:
        return FeasibleValue(value, q, 0.0, sweeps)
    # a sweep makes five roundings of numbers no larger than h, and passes on at most gamma times the error before it; q is one more
    passes = model.states if discount == 1 else min(model.states, 1 / (1 - discount))
    return FeasibleValue(value, q, 5 * UNIT_ROUNDOFF * float(np.abs(model.violation).max()) * passes, sweeps)


def masked(model: DeterministicMDP, allowed: ArrayLike) -> TabularMDP:
    """The rewards of ``model`` with only the ``allowed`` actions, bool[S, A]; states without any keep all of theirs.

    Where no allowed action leads to such a state, they are out of reach. Raises :class:`ModelError` for another shape.
    """
    mask = np.asarray(allowed, dtype=bool)
    if mask.shape != model.next_state.shape:
        raise ModelError(f"the allowed actions have shape {mask.shape}, not {model.next_state.shape}.")
    return model.tabular().keep_pairs((mask | ~mask.any(axis=1, keepdims=True)).ravel())


def constrained_optimum(model: DeterministicMDP, tol: float = 1e-8) -> ConstrainedSolution:
    """The largest discounted reward of a policy that never violates, from every state that has one.

    On the viability kernel such policies are those that take :func:`safe_actions` only; policy iteration on the model
    :func:`masked` by them finds the best, with a bracket at most ``tol`` wide. Raises :class:`ModelError` for gamma = 1 and for
    a tolerance that float64 cannot certify.
    """
    allowed = safe_actions(model)
    kernel = viability_kernel(model)
    mdp = masked(model, allowed)
    found = policy_iteration(mdp, tol)
    assert mdp.action is not None
    actions = mdp.action[found.policy].astype(np.int64)
    return ConstrainedSolution(kernel, np.where(kernel, found.value, np.nan), np.where(kernel, actions, -1), found.width)


def _numbers(model: DeterministicMDP, gamma: float | None, exact: bool) -> tuple[NDArray[Any], Any]:
    """The violation signal and the discount, as floats or as Fractions."""
    discount = model.gamma if gamma is None else check_discount(gamma)
    if not exact:
        return model.violation, discount
    return np.array([Fraction(x) for x in model.violation.tolist()], dtype=object), Fraction(discount)


def _backup(signal: NDArray[Any], later: NDArray[Any], discount: Any) -> NDArray[Any]:
    """(1 - gamma) h + gamma max{h, V'}."""
    return np.asarray((1 - discount) * signal + discount * np.maximum(signal, later))
