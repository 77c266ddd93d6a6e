r"""The linear program of a discounted MDP (d'Epenoux 1963), primal and dual.

    primal  min rho . V   subject to   V(s) >= R(s, a) + gamma sum_s' P(s'|s, a) V(s')  for every pair
    dual    max d . R     subject to   sum_a d(s', a) - gamma sum_{s,a} d(s, a) P(s'|s, a) = rho(s'),  d >= 0

The optimal V is V*, the optimal d the (unnormalised) discounted occupancy of an optimal policy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models import ModelError, TabularMDP
from mdplab.solvers.bellman import Sweeper, bracket_width, certify, check_solvable
from mdplab.solvers.evaluation import start_vector
from mdplab.solvers.solution import Solution


@dataclass(frozen=True, eq=False)
class LinearProgramSolution(Solution):
    """A :class:`Solution` with the program's own answer: ``primal`` V, ``occupancy`` d (float64[N], unnormalised, mass
    1 / (1 - gamma)), and both objectives. ``gap`` is their distance; it certifies the start-weighted value, the bracket all."""

    primal: NDArray[np.float64]
    occupancy: NDArray[np.float64]
    primal_objective: float
    dual_objective: float

    @property
    def gap(self) -> float:
        """|rho . V - d . R|."""
        return abs(self.primal_objective - self.dual_objective)


def linear_programming(mdp: TabularMDP, tol: float = 1e-6, *, start: ArrayLike | None = None) -> LinearProgramSolution:
    """Solve the linear program with HiGHS and certify its values by a Bellman sweep.

    The start weights rho are the model's (or ``start``), with a uniform part of one in a thousand mixed in so that every
    state's value is determined. HiGHS drops tiny coefficients, so that its objective can be off by some 1e-7 of its size: the
    bracket says what the answer is worth. Raises :class:`ModelError` if HiGHS fails or the bracket is wider than ``tol``; large
    discounts need a looser one.
    """
    from scipy.optimize import linprog
    from scipy.sparse import csr_array

    check_solvable(mdp, tol)
    rho = 0.999 * start_vector(mdp, start) + 0.001 / mdp.states
    owner = csr_array((np.ones(mdp.pairs), mdp.pair_state, np.arange(mdp.pairs + 1)), shape=(mdp.pairs, mdp.states))
    matrix = mdp.gamma * mdp.transition_matrix() - owner
    found = linprog(
        rho,
        A_ub=matrix,
        b_ub=-mdp.reward,
        bounds=(None, None),
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if found.status != 0:
        raise ModelError(f"the linear program was not solved: {found.message.strip()}")
    value = np.ascontiguousarray(found.x, dtype=np.float64)
    occupancy = np.maximum(-found.ineqlin.marginals, 0.0)
    sweeper = Sweeper(mdp)
    backed_up = sweeper.backup(value)
    width = bracket_width(sweeper, value, tol)
    if width > tol:
        raise ModelError(f"the linear program certifies a bracket of {width:.2g}, not of {tol:g}; use another method.")
    base = certify(sweeper, value, backed_up, int(found.nit), "linear programming")
    return LinearProgramSolution(
        **{f: getattr(base, f) for f in ("value", "lower", "upper", "policy", "iterations", "method")},
        primal=value,
        occupancy=occupancy,
        primal_objective=float(rho @ value),
        dual_objective=float(occupancy @ mdp.reward),
    )
