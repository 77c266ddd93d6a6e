"""Policy iteration (Howard 1960): exact evaluation, greedy improvement, and a certified bracket at the end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models import ModelError, TabularMDP
from mdplab.solvers.bellman import Sweeper, bracket_width, certify, check_solvable, q_values
from mdplab.solvers.bounds import UNIT_ROUNDOFF, row_facts
from mdplab.solvers.evaluation import evaluate_policy
from mdplab.solvers.policy import as_pairs, state_max
from mdplab.solvers.solution import Solution


@dataclass(frozen=True, eq=False)
class PolicyIterates:
    """Howard's policies, int64[K, S], with their values, float64[K, S], and the error of each value in sup norm, float64[K]."""

    policies: NDArray[np.int64]
    values: NDArray[np.float64]
    errors: NDArray[np.float64]


def policy_iteration(
    mdp: TabularMDP, tol: float = 1e-8, *, start: ArrayLike | None = None, max_iterations: int = 100_000
) -> Solution:
    """Evaluate the policy by a linear solve, improve it greedily, until a Bellman sweep certifies a bracket of ``tol``.

    Small models are solved densely, larger ones by BiCGSTAB with refinement and sparse LU where that stalls (see
    :mod:`mdplab.solvers.evaluation`). An action is kept unless another is better by more than rounding, so ties do not cycle.
    Starts from the pairs ``start`` (the first action of each state by default). Raises :class:`ModelError` as
    :func:`~mdplab.solvers.value_iteration.value_iteration` does.
    """
    check_solvable(mdp, tol)
    policy = mdp.state_pointer[:-1].copy() if start is None else as_pairs(mdp, start)
    sweeper = Sweeper(mdp)
    for k in range(1, max_iterations + 1):
        value = evaluate_policy(mdp, policy).value
        backed_up = sweeper.backup(value)
        if bracket_width(sweeper, value, tol) <= tol:
            return certify(sweeper, value, backed_up, k, "policy iteration")
        improved = improve(mdp, policy, value)
        if np.array_equal(improved, policy):
            raise ModelError(f"policy iteration has converged, but float64 cannot certify a bracket of {tol:g} on this model.")
        policy = improved
    raise ModelError(f"policy iteration did not reach a bracket of {tol:g} within {max_iterations} policies.")


def policy_iterates(mdp: TabularMDP, *, start: ArrayLike | None = None, max_iterations: int = 10_000) -> PolicyIterates:
    """All policies that Howard's iteration visits, from ``start`` to the optimal one, with their values."""
    check_solvable(mdp, 1.0)
    policy = mdp.state_pointer[:-1].copy() if start is None else as_pairs(mdp, start)
    policies, values, errors = [], [], []
    for _ in range(max_iterations):
        found = evaluate_policy(mdp, policy)
        policies.append(policy)
        values.append(found.value)
        errors.append(found.error)
        improved = improve(mdp, policy, found.value)
        if np.array_equal(improved, policy):
            return PolicyIterates(np.array(policies), np.array(values), np.array(errors))
        policy = improved
    raise ModelError(f"policy iteration did not converge within {max_iterations} policies.")


def improve(mdp: TabularMDP, policy: NDArray[np.int64], value: NDArray[np.float64]) -> NDArray[np.int64]:
    """The greedy policy, int64[S], that keeps an action unless another is better by more than rounding can explain."""
    q = q_values(mdp, value)
    best = state_max(mdp, q)
    facts = row_facts(mdp)
    rounding = 4 * (facts.terms + 4) * UNIT_ROUNDOFF * (facts.reward + float(np.abs(value).max()))
    better = best > q[policy] + rounding / (1 - mdp.gamma)
    first = np.full(mdp.states, mdp.pairs, dtype=np.int64)
    at_best = np.flatnonzero(q == best[mdp.pair_state])
    np.minimum.at(first, mdp.pair_state[at_best], at_best)
    return np.where(better, first, policy)
