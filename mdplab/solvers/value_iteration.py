"""Value iteration with a certified bracket."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models import ModelError, TabularMDP
from mdplab.solvers.bellman import Sweeper, _as_value, bracket_width, certify, check_solvable, q_values
from mdplab.solvers.bounds import UNIT_ROUNDOFF, eliminate_actions, row_facts
from mdplab.solvers.solution import Solution

FIRST_LOOK = 8  # sweeps before the first look for suboptimal actions; each look costs about three sweeps
WORTHWHILE = 0.25  # the share of pairs whose elimination pays for a smaller copy of the model


def value_iteration(
    mdp: TabularMDP,
    tol: float = 1e-8,
    *,
    sweep: Literal["jacobi", "gauss-seidel"] = "jacobi",
    start: ArrayLike | None = None,
    eliminate: bool = False,
    max_iterations: int = 10_000_000,
) -> Solution:
    """V <- TV until the MacQueen-Porteus bracket is at most ``tol`` wide in sup norm.

    With "gauss-seidel" sweeps use new values as soon as they exist, forwards and backwards in turn, and every fourth sweep is a
    Jacobi sweep, which the bracket needs. Stopping by the bracket takes as many sweeps as the differences of values need,
    which for mixing models is far fewer than their absolute level needs. With ``eliminate``, actions that the bracket proves
    suboptimal are left out of later sweeps (they are looked for after 8, 16, 32, ... sweeps), which pays where states have dozens
    of actions. Raises :class:`ModelError` for gamma = 1, for a tolerance that float64 cannot certify, and when
    ``max_iterations`` sweeps do not suffice.
    """
    check_solvable(mdp, tol)
    if sweep not in ("jacobi", "gauss-seidel"):
        raise ModelError(f"the sweep is {sweep!r}; it must be 'jacobi' or 'gauss-seidel'.")
    sweeper = Sweeper(mdp)
    value = np.zeros(mdp.states) if start is None else _as_value(mdp, start).copy()
    other = np.empty_like(value)
    pairs: NDArray[np.int64] | None = None  # the pairs of ``mdp`` that the sweeps still look at; all if None
    look = FIRST_LOOK
    for k in range(1, max_iterations + 1):
        if sweep == "gauss-seidel" and k % 4:
            sweeper.improve(value, other, forward=bool(k % 2))
            continue
        sweeper.backup(value, other)
        width = bracket_width(sweeper, value, tol)
        if width <= tol or (eliminate and k >= look):
            found = certify(sweeper, value, other, k, f"value iteration ({sweep})")
            if width <= tol:
                return found if pairs is None else dataclasses.replace(found, policy=pairs[found.policy])
            look *= 2
            sweeper, kept = _without_suboptimal(sweeper, found)
            pairs = kept if pairs is None else pairs[kept]
        value, other = other, value
        # Shifting by the nearer end of the bracket keeps the iteration monotone and never overshoots.
        low, high = sweeper.extremes
        if sweep == "gauss-seidel" and (low > 0 or high < 0):
            value += mdp.gamma / (1 - mdp.gamma) * (low if low > 0 else high)
    raise ModelError(f"value iteration did not reach a bracket of {tol:g} within {max_iterations} sweeps.")


def _without_suboptimal(sweeper: Sweeper, found: Solution) -> tuple[Sweeper, NDArray[np.int64]]:
    """A sweeper over the pairs that ``found`` does not prove suboptimal (if a quarter or more are), and which they are."""
    mdp = sweeper.mdp
    q = q_values(mdp, found.upper)
    facts = row_facts(mdp)
    rounding = (facts.terms + 4) * UNIT_ROUNDOFF * (facts.reward + (1 + facts.defect) * float(np.abs(found.upper).max()))
    kept = np.flatnonzero(~eliminate_actions(mdp, q + rounding, found.lower))
    if kept.size > (1 - WORTHWHILE) * mdp.pairs:
        return sweeper, np.arange(mdp.pairs)
    mask = np.zeros(mdp.pairs, dtype=bool)
    mask[kept] = True
    smaller = Sweeper(mdp.keep_pairs(mask))
    smaller.low[:], smaller.high[:] = sweeper.extremes  # of the sweep just made
    return smaller, kept


def value_iterates(mdp: TabularMDP, iterations: int, start: ArrayLike | None = None) -> NDArray[np.float64]:
    """V_0 = ``start`` (zero by default) and V_k = T V_{k-1} for k up to ``iterations``; shape (iterations + 1, S)."""
    sweeper = Sweeper(mdp)
    values = np.zeros((iterations + 1, mdp.states))
    if start is not None:
        values[0] = _as_value(mdp, start)
    for k in range(iterations):
        sweeper.backup(values[k], values[k + 1])
    return values
