"""The simplex method for matrix games, on a dense tableau."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Reduced costs and pivots smaller than this are rounding: the entries of the tableau are of order 1.
ZERO = 1e-12


@njit(cache=True, error_model="numpy")
def exchange(tableau: Array, r: int, c: int, pivot: Array) -> None:
    """Exchange the basic variable of row r for the nonbasic one of column c, in place; ``pivot`` is room for a row."""
    height, width = tableau.shape
    inverse = 1.0 / tableau[r, c]
    for j in range(width):
        pivot[j] = tableau[r, j] * inverse
    pivot[c] = inverse
    for i in range(height):
        row = tableau[i]
        factor = row[c]
        if i != r and factor != 0.0:
            row[c] = 0.0
            for j in range(width):
                row[j] -= factor * pivot[j]
    tableau[r] = pivot


@njit(cache=True, error_model="numpy")
def simplex(tableau: Array, left: NDArray[np.int64], above: NDArray[np.int64], most: int) -> bool:
    """Maximise the sum of z subject to B z <= 1, z >= 0 for a positive B; says whether it ended within ``most`` exchanges.

    ``tableau``, shape (m + 1, n + 1), starts as [[B, 1], [-1, 0]]. ``left`` (m,) and ``above`` (n,) hold the variables of its
    rows and columns and start as n .. n + m - 1 (the slacks) and 0 .. n - 1 (z). At the end the last column holds the basic
    variables, the last row the dual ones of the nonbasic.
    """
    m, n = left.size, above.size
    pivot = np.empty(n + 1)
    for _ in range(most):
        c = 0
        for j in range(1, n):
            if tableau[m, j] < tableau[m, c]:
                c = j
        if tableau[m, c] >= -ZERO:
            return True
        r = -1
        least = np.inf
        for i in range(m):
            if tableau[i, c] > ZERO:
                ratio = tableau[i, n] / tableau[i, c]
                # among equal ratios the largest pivot
                if ratio < least or (ratio == least and tableau[i, c] > tableau[r, c]):
                    least, r = ratio, i
        if r < 0:
            return False
        exchange(tableau, r, c, pivot)
        left[r], above[c] = above[c], left[r]
    return False


@njit(cache=True, error_model="numpy")
def extremes(M: Array) -> tuple[float, float]:
    """The smallest and the largest entry; nan for both if any entry is not finite."""
    lowest, highest = np.inf, -np.inf
    for i in range(M.shape[0]):
        for j in range(M.shape[1]):
            entry = M[i, j]
            if not np.isfinite(entry):
                return np.nan, np.nan
            lowest, highest = min(lowest, entry), max(highest, entry)
    return lowest, highest


@njit(cache=True, error_model="numpy")
def matrix_game(M: Array, centre: float, half: float, row: Array, column: Array, most: int) -> bool:
    """Optimal strategies of a game with payoffs in [centre - half, centre + half], within ``most`` exchanges; says whether it
    found them.

    With B = (M - centre) / half + 2 the column player's y = z / sum(z) maximises the sum of z subject to B z <= 1, and the row
    player's strategy is the dual solution over the same sum.
    """
    m, n = M.shape
    tableau = np.empty((m + 1, n + 1))
    for i in range(m):
        for j in range(n):
            tableau[i, j] = (M[i, j] - centre) / half + 2.0
        tableau[i, n] = 1.0
    tableau[m, :] = -1.0
    tableau[m, n] = 0.0
    left, above = np.arange(n, n + m), np.arange(n)
    if not simplex(tableau, left, above, most):
        return False
    row[:] = 0.0
    column[:] = 0.0
    rows, columns = 0.0, 0.0
    for i in range(m):
        if left[i] < n:
            column[left[i]] = max(tableau[i, n], 0.0)
            columns += column[left[i]]
    for j in range(n):
        if above[j] >= n:
            row[above[j] - n] = max(tableau[m, j], 0.0)
            rows += row[above[j] - n]
    for i in range(m):
        row[i] /= rows
    for j in range(n):
        column[j] /= columns
    return True
