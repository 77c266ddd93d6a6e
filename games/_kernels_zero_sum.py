"""Inner loops of games.zero_sum."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from games._kernels import step_into

Array = NDArray[np.float64]


@njit(cache=True)
def descent_path(
    payoff: Array,
    transposed: Array,
    row_reference: Array,
    column_reference: Array,
    beta: float,
    row_weight: float,
    column_weight: float,
    rows: Array,
    columns: Array,
) -> None:
    """One proximal step of both players an iteration, from rows[0] and columns[0]; fills the rest."""
    row_gain = np.empty(rows.shape[1])
    column_gain = np.empty(columns.shape[1])
    x, y = np.exp(rows[0]), np.exp(columns[0])  # the policies as probabilities
    for k in range(rows.shape[0] - 1):
        np.dot(payoff, y, row_gain)
        np.dot(transposed, x, column_gain)
        for j in range(column_gain.size):
            column_gain[j] = -column_gain[j]
        step_into(row_reference, rows[k], row_gain, beta, row_weight, rows[k + 1], x)
        step_into(column_reference, columns[k], column_gain, beta, column_weight, columns[k + 1], y)
