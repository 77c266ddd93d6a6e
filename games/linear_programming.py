"""Zero-sum matrix games by linear programming, with the primal-dual gap as the proof."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.errors import InputError

Array = NDArray[np.float64]
Method = Literal["auto", "simplex", "double-oracle", "interior-point", "highs"]

EPS = float(np.finfo(float).eps)
ACCURACY = 1e-11  # the gap asked for, as a share of half the range of the payoffs
SMALL = 200**2  # up to about this many entries the simplex method is faster than the interior-point method
EXCHANGES = 20  # the simplex method needs about one exchange for each action; with this many times as many it gives up
LARGEST_SHARE = 8  # the double oracle gives up when its subgame has more than this fraction of a player's actions


@dataclass(frozen=True, eq=False)
class MatrixGameSolution:
    """Mixed strategies of a zero-sum game and the interval that contains its value.

    ``row``, shape (m,), guarantees the maximising row player at least ``lower``; ``column``, shape (n,), holds it to at most
    ``upper``. The value of the game lies in [lower, upper]; both ends account for the rounding of their own evaluation.
    ``method`` says which method found them.
    """

    row: Array
    column: Array
    lower: float
    upper: float
    method: str = "auto"

    @property
    def value(self) -> float:
        """The middle of the interval, within ``gap / 2`` of the value."""
        return (self.lower + self.upper) / 2

    @property
    def gap(self) -> float:
        """``upper - lower``: how much the two strategies together can be exploited for."""
        return self.upper - self.lower


def solve_nash_lp(payoff: ArrayLike, *, method: Method = "auto") -> MatrixGameSolution:
    r"""Solve :math:`\max_x \min_y x^\top M y` for any payoff matrix M, shape (m, n).

    The row player's programme is: maximise v subject to :math:`M^\top x \ge v`, x in the simplex; the column player's is its
    dual. An equilibrium need not be unique: compare values, not strategies.

    ``method`` "auto" takes the first of these that reaches a gap of 1e-11 times half the range of the payoffs, whatever it
    was that found the strategies; if none does, the best answer is returned with its gap.

    - "simplex", for small games: the simplex method on a dense tableau.
    - "double-oracle", for games with a small support: the game of the actions that have been a best response so far, until no
      further action is one. McMahan, Gordon and Blum (2003).
    - "interior-point": :mod:`games.interior_point`.
    - "highs": the HiGHS solver through SciPy.

    Raises :class:`InputError` for an empty matrix or one that is not finite.
    """
    from games._kernels_simplex import extremes

    M = np.ascontiguousarray(payoff, dtype=float)
    if M.ndim != 2 or M.size == 0:
        raise InputError(f"a matrix game has a matrix of payoffs with at least one row and column, not the shape {M.shape}.")
    lowest, highest = extremes(M)
    if not np.isfinite(lowest):
        i, j = (int(n) for n in np.argwhere(~np.isfinite(M))[0])
        raise InputError(f"entry ({i}, {j}) of a payoff matrix is {M[i, j]}, which is not finite.")
    chosen: tuple[str, ...]
    if method == "auto":
        chosen = ("simplex" if M.size <= SMALL else "double-oracle", "interior-point", "highs")
    elif method in METHODS:
        chosen = (method,)
    else:
        raise InputError(f"the method is 'auto', {', '.join(map(repr, METHODS))}, not {method!r}.")
    centre, half = highest / 2 + lowest / 2, (highest / 2 - lowest / 2) or 1.0
    # what the evaluation of a strategy's payoffs rounds away: of the product, and of the strategy's sum
    rounding = (M.shape[0] + M.shape[1] + 4) * EPS * max(abs(highest), abs(lowest))
    best: MatrixGameSolution | None = None
    for name in chosen:
        found = METHODS[name](M, centre, half)
        if found is None:
            continue
        row, column = found
        lower, upper = float((row @ M).min()) - rounding, float((M @ column).max()) + rounding
        if best is None or upper - lower < best.gap:
            best = MatrixGameSolution(row, column, lower, upper, name)
        if best.gap <= ACCURACY * half + 3 * rounding:
            break
    if best is None:
        raise InputError(f"the {method} method did not solve the {M.shape[0]} by {M.shape[1]} matrix game.")
    return best


def _simplex(M: Array, centre: float, half: float) -> tuple[Array, Array] | None:
    from games._kernels_simplex import matrix_game

    m, n = M.shape
    row, column = np.empty(m), np.empty(n)
    return (row, column) if matrix_game(M, centre, half, row, column, EXCHANGES * (m + n)) else None


def _double_oracle(M: Array, centre: float, half: float) -> tuple[Array, Array] | None:
    """Grow a subgame by best responses to its equilibrium until there is none outside; None if it grows too large."""
    m, n = M.shape
    room = (m // LARGEST_SHARE + 2, n // LARGEST_SHARE + 2)
    rows, columns = np.array([int(M.mean(axis=1).argmax())]), np.array([int(M.mean(axis=0).argmin())])
    by_rows, by_columns = M[rows], M[:, columns].T.copy()  # what the subgame's actions meet in the whole game
    while rows.size <= room[0] and columns.size <= room[1]:
        found = _simplex(np.ascontiguousarray(by_rows[:, columns]), centre, half)
        if found is None:
            return None
        x, y = found
        gains, losses = y @ by_columns, x @ by_rows
        if gains.max() - losses.min() <= ACCURACY * half:
            return _spread(m, rows, x), _spread(n, columns, y)
        more_rows = _outside(gains - gains[rows].max(), rows)
        more_columns = _outside(losses[columns].min() - losses, columns)
        if more_rows.size + more_columns.size == 0:
            return _spread(m, rows, x), _spread(n, columns, y)
        rows, columns = np.append(rows, more_rows), np.append(columns, more_columns)
        by_rows, by_columns = np.vstack([by_rows, M[more_rows]]), np.vstack([by_columns, M[:, more_columns].T])
    return None


def _outside(advantage: Array, inside: NDArray[np.int64]) -> NDArray[np.int64]:
    """The best responses outside the subgame: the best, and of the others a quarter as many as it has actions."""
    advantage[inside] = 0.0
    count = min(1 + inside.size // 4, advantage.size)
    leading = np.argpartition(-advantage, count - 1)[:count]
    return leading[advantage[leading] > 0]


def _spread(size: int, support: NDArray[np.int64], weights: Array) -> Array:
    strategy = np.zeros(size)
    strategy[support] = weights
    return strategy


def _interior_point(M: Array, centre: float, half: float) -> tuple[Array, Array] | None:
    from games.interior_point import interior_point

    return interior_point(
        _centred(M, centre, half), ACCURACY / 100
    )  # it converges fast, and a vertex is better than the accuracy


def _highs(M: Array, centre: float, half: float) -> tuple[Array, Array] | None:
    from scipy.optimize import linprog

    m, n = M.shape
    found = linprog(
        np.append(np.zeros(m), -1.0),
        A_ub=np.hstack([-_centred(M, centre, half).T, np.ones((n, 1))]),  # HiGHS has absolute tolerances
        b_ub=np.zeros(n),
        A_eq=np.append(np.ones(m), 0.0)[None, :],
        b_eq=[1.0],
        bounds=[(0, None)] * m + [(None, None)],
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if found.status != 0:  # pragma: no cover - the programme is always feasible and bounded
        return None
    return _strategy(found.x[:m]), _strategy(-found.ineqlin.marginals)


def _centred(M: Array, centre: float, half: float) -> Array:
    """The payoffs, shifted and scaled into [-1, 1]; a skew matrix stays skew."""
    return M if centre == 0 and half == 1 else (M - centre) / half


def _strategy(weights: Array) -> Array:
    kept = np.clip(weights, 0.0, None)
    return kept / kept.sum()


METHODS = {"simplex": _simplex, "double-oracle": _double_oracle, "interior-point": _interior_point, "highs": _highs}
