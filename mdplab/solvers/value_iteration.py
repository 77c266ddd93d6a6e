"""Value iteration with a certified bracket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models import ModelError, TabularMDP
from mdplab.solvers.bellman import Sweeper, _as_value, bracket_width, certify, check_solvable
from mdplab.solvers.solution import Solution


def value_iteration(
    mdp: TabularMDP,
    tol: float = 1e-8,
    *,
    sweep: Literal["jacobi", "gauss-seidel"] = "jacobi",
    start: ArrayLike | None = None,
    max_iterations: int = 10_000_000,
) -> Solution:
    """V <- TV until the MacQueen-Porteus bracket is at most ``tol`` wide in sup norm.

    With "gauss-seidel" sweeps use new values as soon as they exist, forwards and backwards in turn, and every fourth sweep is a
    Jacobi sweep, which the bracket needs. Stopping by the bracket takes as many sweeps as the differences of values need,
    which for mixing models is far fewer than their absolute level needs. Raises :class:`ModelError` for gamma = 1, for a
    tolerance that float64 cannot certify, and when ``max_iterations`` sweeps do not suffice.
    """
    check_solvable(mdp, tol)
    if sweep not in ("jacobi", "gauss-seidel"):
        raise ModelError(f"the sweep is {sweep!r}; it must be 'jacobi' or 'gauss-seidel'.")
    sweeper = Sweeper(mdp)
    value = np.zeros(mdp.states) if start is None else _as_value(mdp, start).copy()
    other = np.empty_like(value)
    for k in range(1, max_iterations + 1):
        if sweep == "gauss-seidel" and k % 4:
            sweeper.improve(value, other, forward=bool(k % 2))
            continue
        sweeper.backup(value, other)
        if bracket_width(sweeper, value, tol) <= tol:
            return certify(sweeper, value, other, k, f"value iteration ({sweep})")
        value, other = other, value
        # Shifting by the nearer end of the bracket keeps the iteration monotone and never overshoots.
        low, high = sweeper.extremes
        if sweep == "gauss-seidel" and (low > 0 or high < 0):
            value += mdp.gamma / (1 - mdp.gamma) * (low if low > 0 else high)
    raise ModelError(f"value iteration did not reach a bracket of {tol:g} within {max_iterations} sweeps.")


def value_iterates(mdp: TabularMDP, iterations: int, start: ArrayLike | None = None) -> NDArray[np.float64]:
    """V_0 = ``start`` (zero by default) and V_k = T V_{k-1} for k up to ``iterations``; shape (iterations + 1, S)."""
    sweeper = Sweeper(mdp)
    values = np.zeros((iterations + 1, mdp.states))
    if start is not None:
        values[0] = _as_value(mdp, start)
    for k in range(iterations):
        sweeper.backup(values[k], values[k + 1])
    return values


def directions() -> Iterator[bool]:
    """Backward, forward, backward, ...: goals tend to have high numbers."""
    forward = False
    while True:
        yield forward
        forward = not forward
