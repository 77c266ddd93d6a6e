r"""The variance of the discounted return of a policy, by the Bellman equation of variances (Sobel 1982), with a certified
error.

The return from a pair is G(s, a) = R(s, a) + gamma G(s', a'), where the reward has the mean r(s, a) and the variance rho(s,
a), given the pair independent of the next state. By the law of total variance, with q and V the values of the policy,

    Var G(s, a) = rho(s, a) + gamma^2 [ Var_{s' ~ P(s, a)} V(s') + sum_s' P(s'|s, a) u(s') ],
    u(s) = sum_a pi(a|s) [ (q(s, a) - V(s))^2 + Var G(s, a) ],

and u(s) is the variance of the return from the state s. Put together, u = d + gamma^2 P_pi u: a policy's value, with the
discount gamma^2 and rewards d >= 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mdplab.models import ModelError, TabularMDP
from mdplab.solvers.evaluation import accumulated_rounding, contraction_margin, evaluate_policy, transitions
from mdplab.solvers.policy import Floats, as_probabilities, state_sum


@dataclass(frozen=True, eq=False)
class ReturnVariance:
    """The variance of the return from each state, ``state`` (S,), and from each pair, ``pair`` (N,), in units of reward
    squared.

    Both are within ``error`` of the truth in sup norm.
    """

    state: Floats
    pair: Floats
    error: float


def return_variance(mdp: TabularMDP, policy: ArrayLike, reward_variance: ArrayLike = 0.0) -> ReturnVariance:
    """The variance of the discounted return of ``policy`` (deterministic int (S,), or stochastic float (N,) or (S, A)).

    ``reward_variance`` is that of a reward given its pair: a number, (N,), or (S, A) if every state has A actions; at least 0.
    Raises ModelError if gamma is not below 1, the policy is not one of this model, or a variance is negative or not finite.
    """
    probabilities = as_probabilities(mdp, policy)
    noise = _over_pairs(mdp, reward_variance)
    values = evaluate_policy(mdp, probabilities)
    kernel = transitions(mdp)
    square = mdp.gamma**2
    spread = _next_value_variance(kernel.matrix, values.value)
    fresh = noise + square * spread
    source = state_sum(mdp, probabilities * (values.advantage**2 + fresh))
    state = kernel.solve(probabilities, source, square)
    pair = fresh + square * (kernel.matrix @ state)
    residual = float(np.abs(state_sum(mdp, probabilities * (values.advantage**2 + pair)) - state).max())

    # An error e of the values moves a variance by at most 2 e (range of the values) + 4 e^2, a squared advantage likewise.
    e = values.error
    mass = float(state_sum(mdp, probabilities).max())
    reach = float(np.ptp(values.value)) + 2 * float(np.abs(values.advantage).max())
    moved = mass * (1 + square * kernel.mass) * (2 * e * reach + 4 * e**2)
    # Each number behind the residual is a sum of at most `terms` + `actions` products of such sizes.
    size = float(np.abs(values.advantage).max() ** 2 + fresh.max() + (1 + square) * np.abs(state).max())
    size += square * float(np.ptp(values.value)) ** 2
    operations = kernel.terms + kernel.actions
    rounding = accumulated_rounding(2 * operations + 16) * (kernel.mass * mass + 1) * size
    contraction = square * kernel.mass * mass
    error = (residual + moved + rounding) / contraction_margin(square, contraction, operations)
    return ReturnVariance(state, pair, error)


def _next_value_variance(matrix: Floats, value: Floats) -> Floats:
    """Var_{s' ~ P(s, a)} V(s') for each pair, (N,), about a middle value, so that it does not cancel where V is nearly
    constant."""
    centred = value - (value.max() + value.min()) / 2
    return np.maximum(matrix @ centred**2 - (matrix @ centred) ** 2, 0.0)


def _over_pairs(mdp: TabularMDP, variance: ArrayLike) -> Floats:
    given = np.asarray(variance, dtype=np.float64)
    if given.ndim == 0:
        given = np.full(mdp.pairs, float(given))
    if given.size != mdp.pairs:
        raise ModelError(f"the variance of the rewards is one number, or one for each of {mdp.pairs} pairs, not {given.shape}.")
    flat = given.reshape(-1)
    if not (np.isfinite(flat).all() and flat.min() >= 0):
        pair = int(np.argmax(~(np.isfinite(flat) & (flat >= 0))))
        raise ModelError(f"the variance of the reward of pair {pair} is {flat[pair]}; it must be finite and at least 0.")
    return flat
