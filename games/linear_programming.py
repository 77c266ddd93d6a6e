"""Zero-sum matrix games by linear programming, with the primal-dual gap as the proof."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MatrixGameSolution:
    """Mixed strategies of a zero-sum game and the interval that contains its value.

    ``row``, shape (m,), guarantees the maximising row player at least ``lower``; ``column``, shape (n,), holds it to at most
    ``upper``. The value of the game lies in [lower, upper]; both ends account for the rounding of their own evaluation.
    """

    row: Array
    column: Array
    lower: float
    upper: float

    @property
    def value(self) -> float:
        """The middle of the interval, within ``gap / 2`` of the value."""
        return (self.lower + self.upper) / 2

    @property
    def gap(self) -> float:
        """``upper - lower``: how much the two strategies together can be exploited for."""
        return self.upper - self.lower


def solve_nash_lp(payoff: ArrayLike) -> MatrixGameSolution:
    r"""Solve :math:`\max_x \min_y x^\top M y` for any payoff matrix M, shape (m, n), by HiGHS.

    The row player's programme is: maximise v subject to :math:`M^\top x \ge v`, x in the simplex; the column player's strategy
    is its dual solution. An equilibrium need not be unique: compare values, not strategies.

    Raises :class:`InputError` for an empty matrix or one that is not finite.
    """
    from scipy.optimize import linprog

    M = np.asarray(payoff, dtype=float)
    if M.ndim != 2 or M.size == 0:
        raise InputError(f"a matrix game has a matrix of payoffs with at least one row and column, not the shape {M.shape}.")
    if not np.isfinite(M).all():
        i, j = (int(n) for n in np.argwhere(~np.isfinite(M))[0])
        raise InputError(f"entry ({i}, {j}) of a payoff matrix is {M[i, j]}, which is not finite.")
    m, n = M.shape
    size = float(np.abs(M).max()) or 1.0  # HiGHS has absolute tolerances
    found = linprog(
        np.append(np.zeros(m), -1.0),
        A_ub=np.hstack([-M.T / size, np.ones((n, 1))]),
        b_ub=np.zeros(n),
        A_eq=np.append(np.ones(m), 0.0)[None, :],
        b_eq=[1.0],
        bounds=[(0, None)] * m + [(None, None)],
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if found.status != 0:  # pragma: no cover - the programme is always feasible and bounded
        raise InputError(f"the linear programme of a {m} by {n} matrix game was not solved: {found.message}.")
    row, column = (_strategy(v) for v in (found.x[:m], -found.ineqlin.marginals))
    rounding = (m + n + 4) * np.finfo(float).eps * size
    return MatrixGameSolution(row, column, float((M.T @ row).min()) - rounding, float((M @ column).max()) + rounding)


def _strategy(weights: Array) -> Array:
    kept = np.clip(weights, 0.0, None)
    return kept / kept.sum()
