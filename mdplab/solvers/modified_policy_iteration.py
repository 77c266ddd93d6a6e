"""Modified policy iteration (Puterman and Shin 1978) with accelerated Gauss-Seidel evaluation and a certified bracket."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mdplab.models import ModelError, TabularMDP
from mdplab.solvers.bellman import Sweeper, _as_value, bracket_width, certify, check_solvable
from mdplab.solvers.krylov_evaluation import evaluate
from mdplab.solvers.solution import Solution

UNSETTLED = 0.001  # while more than this share of states changes its action, the policy is not worth an accurate evaluation
REDUCTION = 0.02  # an evaluation of a settled policy stops when its changes have fallen by this factor


def modified_policy_iteration(
    mdp: TabularMDP,
    tol: float = 1e-8,
    *,
    steps: int = 40,
    start: ArrayLike | None = None,
    max_iterations: int = 1_000_000,
) -> Solution:
    """Improve the policy by one Jacobi sweep (which also gives the bracket), evaluate it by up to ``steps`` steps, repeat.

    While the policy still changes in many states, two Gauss-Seidel sweeps of the optimality operator come first: they carry
    news of a distant reward through the whole model at once. A step of the evaluation is a backward and a forward Gauss-Seidel
    sweep under Anderson acceleration. Stops when the bracket is at most ``tol`` wide. Raises :class:`ModelError` for gamma = 1,
    for a tolerance that float64 cannot certify, and when ``max_iterations`` improvements do not suffice.
    """
    check_solvable(mdp, tol)
    if steps < 1:
        raise ModelError(f"an evaluation needs one step or more, not {steps}.")
    sweeper = Sweeper(mdp)
    value = np.zeros(mdp.states) if start is None else _as_value(mdp, start).copy()
    other = np.empty_like(value)
    for k in range(1, max_iterations + 1):
        sweeper.backup(value, other)
        if bracket_width(sweeper, value, tol) <= tol:
            return certify(sweeper, value, other, k, "modified policy iteration")
        value, other = other, value
        settled = int(sweeper.changed.sum()) <= UNSETTLED * mdp.states
        if not settled:
            sweeper.improve(value, other, forward=False)
            sweeper.improve(value, other, forward=True)
        sweeper.restrict()
        reduction, most = (REDUCTION, steps) if settled else (0.1, min(steps, 12))
        value = evaluate(sweeper, value, other, reduction=reduction, most=most)
    raise ModelError(f"modified policy iteration did not reach a bracket of {tol:g} within {max_iterations} improvements.")
