"""The one door to the discounted solvers."""

from __future__ import annotations

from typing import Literal, get_args

from mdplab.models import ModelError, TabularMDP
from mdplab.solvers.linear_programming import linear_programming
from mdplab.solvers.modified_policy_iteration import modified_policy_iteration
from mdplab.solvers.policy_iteration import policy_iteration
from mdplab.solvers.solution import Solution
from mdplab.solvers.value_iteration import value_iteration

Method = Literal[
    "auto", "value-iteration", "gauss-seidel", "policy-iteration", "modified-policy-iteration", "linear-programming"
]


def solve(mdp: TabularMDP, tol: float = 1e-8, method: Method = "auto") -> Solution:
    """Solve a discounted MDP to a certified bracket of width ``tol`` in sup norm; "auto" is modified policy iteration.

    Raises :class:`ModelError` for gamma = 1, an unknown method, or a tolerance that cannot be certified.
    """
    match method:
        case "auto" | "modified-policy-iteration":
            return modified_policy_iteration(mdp, tol)
        case "value-iteration":
            return value_iteration(mdp, tol)
        case "gauss-seidel":
            return value_iteration(mdp, tol, sweep="gauss-seidel")
        case "policy-iteration":
            return policy_iteration(mdp, tol)
        case "linear-programming":
            return linear_programming(mdp, tol)
    raise ModelError(f"there is no method {method!r}; there are {', '.join(get_args(Method))}.")
