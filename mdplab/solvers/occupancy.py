"""How often a policy visits each state and pair.

The discounted occupancy of a policy pi from the start distribution rho is

    d(s, a) = (1 - gamma) sum_t gamma^t Pr(s_t = s, a_t = a),

a distribution over pairs. It is the only solution of the flow equations

    sum_a d(s, a) = (1 - gamma) rho(s) + gamma sum_{s', a'} P(s | s', a') d(s', a'),    d(s, a) = pi(a|s) sum_b d(s, b),

the constraints of the dual linear program (d'Epenoux 1963; Puterman 1994, section 6.9). The flow is a contraction in
L1, so that ||d - d_true||_1 <= ||residual||_1 / (1 - gamma); rounding is added. The truth meant is that of the numbers as
they are given: where rows, start or policy miss 1 by a rounding, so does the occupancy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mdplab.models import EpisodicMDP, ModelError, TabularMDP
from mdplab.solvers.backward_induction import largest_row_sum
from mdplab.solvers.evaluation import (
    accumulated_rounding,
    contraction_margin,
    dense_solve,
    discount_below_one,
    discounted_matrix,
    start_vector,
    transitions,
)
from mdplab.solvers.policy import (
    Floats,
    as_episodic_probabilities,
    as_probabilities,
    state_sum,
    uniform_policy,
)


@dataclass(frozen=True, eq=False)
class Occupancy:
    """An occupancy measure: ``pair`` float (N,), ``state`` float (S,); both are within ``error`` of the truth in L1."""

    pair: Floats
    state: Floats
    error: float


@dataclass(frozen=True, eq=False)
class EpisodicOccupancy:
    """d_h(s, a): ``pair`` float (H, S, A) and ``state`` float (H, S), each step within ``error`` of the truth in L1."""

    pair: Floats
    state: Floats
    error: float


def discounted_occupancy(
    mdp: TabularMDP, policy: ArrayLike, *, start: ArrayLike | None = None, normalised: bool = True
) -> Occupancy:
    """The discounted occupancy of ``policy`` from ``start`` (S,) (the model's start distribution unless given).

    Normalised, it sums to 1; otherwise to 1 / (1 - gamma). Raises ModelError if gamma is not below 1.
    """
    probabilities = as_probabilities(mdp, policy)
    rho = start_vector(mdp, start)
    gamma = discount_below_one(mdp)
    kernel = transitions(mdp)
    source = (1 - gamma) * rho
    # the truth is not negative: cutting off what rounding put below zero only brings us nearer
    state = np.maximum(kernel.solve(probabilities, source, gamma, transpose=True), 0.0)
    pair = probabilities * state[mdp.pair_state]
    inflow = source + gamma * (kernel.matrix.T @ pair)
    policy_mass = float(state_sum(mdp, probabilities).max())
    mass = float(state.sum())
    contraction = gamma * kernel.mass * policy_mass
    # so many transitions at the most enter a state, and so long can a sum be
    rounding = accumulated_rounding(kernel.incoming + 6) * (1 - gamma + (1 + contraction) * mass)
    residual = float(np.abs(inflow - state).sum()) * (1 + accumulated_rounding(mdp.states))
    error = (residual + rounding) / contraction_margin(gamma, contraction, kernel.terms + kernel.actions)
    error = policy_mass * error + accumulated_rounding(2) * mass
    if normalised:
        return Occupancy(pair, state, error)
    scale = 1 / (1 - gamma)
    rounding = accumulated_rounding(3) * mass
    return Occupancy(pair * scale, state * scale, (error + rounding) * scale)


def occupancy_from_every_state(mdp: TabularMDP, policy: ArrayLike, *, normalised: bool = True) -> Floats:
    """The matrix D (S, S) whose row s is the state occupancy of ``policy`` started in s: (1 - gamma)(I - gamma P_pi)^-1.

    Only for models small enough for dense algebra; ModelError otherwise. It carries no error bound.
    """
    gamma = discount_below_one(mdp)
    kernel = transitions(mdp)
    if not kernel.dense:
        raise ModelError(f"occupancies from every state need a dense matrix, too large with {mdp.states} states.")
    matrix = discounted_matrix(kernel.under(as_probabilities(mdp, policy)), gamma)
    scale = 1 - gamma if normalised else 1.0
    return np.maximum(dense_solve(matrix, scale * np.eye(mdp.states)), 0.0)


def flow_residual(mdp: TabularMDP, pair: ArrayLike, *, start: ArrayLike | None = None, normalised: bool = True) -> Floats:
    """How far ``pair`` (N,) is from a flow: sum_a d(s,a) - (1 - gamma) rho(s) - gamma sum P(s|s',a') d(s',a'), (S,).

    It is zero exactly for the occupancies of policies, if no entry is negative. With ``normalised=False`` the factor
    1 - gamma is left out.
    """
    flow = np.asarray(pair, dtype=np.float64).reshape(-1)
    if flow.shape != (mdp.pairs,):
        raise ModelError(f"an occupancy of this model has {mdp.pairs} entries, not {flow.size}.")
    source = start_vector(mdp, start) * ((1 - mdp.gamma) if normalised else 1.0)
    return state_sum(mdp, flow) - source - mdp.gamma * (transitions(mdp).matrix.T @ flow)


def policy_from_occupancy(mdp: TabularMDP, pair: ArrayLike) -> Floats:
    """pi(a|s) = d(s, a) / sum_b d(s, b), shape (N,); uniform in states that are not visited.

    Raises ModelError for a negative or non-finite entry.
    """
    flow = np.asarray(pair, dtype=np.float64).reshape(-1)
    if flow.shape != (mdp.pairs,):
        raise ModelError(f"an occupancy of this model has {mdp.pairs} entries, not {flow.size}.")
    bad = ~((flow >= 0) & np.isfinite(flow))
    if bad.any():
        number = int(np.argmax(bad))
        raise ModelError(f"the occupancy of pair {number} (state {mdp.pair_state[number]}) is {flow[number]}.")
    visits = state_sum(mdp, flow)[mdp.pair_state]
    policy = uniform_policy(mdp)
    # the quotient of two subnormal numbers has no digits left, and need not sum to 1
    return np.divide(flow, visits, out=policy, where=visits >= np.finfo(np.float64).tiny / np.finfo(np.float64).eps)


def episodic_occupancy(mdp: EpisodicMDP, policy: ArrayLike, *, start: ArrayLike | None = None) -> EpisodicOccupancy:
    """d_h(s, a) = Pr(s_h = s, a_h = a) under ``policy`` (H, S, A) from ``start`` (S,), the model's own unless given."""
    probabilities = as_episodic_probabilities(mdp, policy)
    horizon, states, actions = mdp.R.shape
    pair = np.empty((horizon, states, actions))
    state = np.empty((horizon, states))
    here = np.asarray(mdp.start if start is None else start, dtype=np.float64)
    if here.shape != (states,) or not here.min() >= 0 or not abs(here.sum() - 1) <= 1e-9:
        raise ModelError(f"a start distribution of this model is {states} probabilities that sum to 1.")
    mass = largest_row_sum(mdp)
    policy_mass = float(probabilities.sum(axis=-1).max())
    error = worst = 0.0
    for step in range(horizon):
        state[step] = here
        pair[step] = here[:, None] * probabilities[step]
        worst = max(worst, error)
        here = pair[step].reshape(-1) @ mdp.P[step].reshape(-1, states)
        # the error made so far is carried on; then a state's probability is a sum of S A products of three factors
        arriving = mass * policy_mass * float(state[step].sum())
        error = mass * policy_mass * error + accumulated_rounding(states * actions + 6) * arriving
    visits = float(state.sum(axis=1).max()) * policy_mass
    return EpisodicOccupancy(pair, state, policy_mass * worst + accumulated_rounding(2) * visits)
