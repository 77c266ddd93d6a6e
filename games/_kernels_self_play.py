"""Inner loops of the learners of games.self_play on an exact oracle; the matrix is read, and counted, by ``ask`` alone."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from games._kernels import ask

Array = NDArray[np.float64]


@njit(cache=True)
def project_into(values: Array, sorted_values: Array, out: Array) -> None:
    """The point of the simplex that is nearest to ``values``; ``sorted_values`` is room for a sorted copy."""
    sorted_values[:] = values
    sorted_values.sort()
    total, level = 0.0, 0.0
    for count in range(1, values.size + 1):
        entry = sorted_values[values.size - count]
        total += entry
        if entry > (total - 1.0) / count:
            level = (total - 1.0) / count
    for i in range(out.size):
        out[i] = max(values[i] - level, 0.0)


@njit(cache=True)
def projected_gradient_path(matrix: Array, counter: NDArray[np.int64], steps: Array, policies: Array) -> None:
    """Projected gradient ascent from the log-probabilities policies[0]; fills policies[1:]."""
    gain = np.empty(policies.shape[1])
    room = np.empty(policies.shape[1])
    now = np.exp(policies[0])
    for k in range(steps.size):
        ask(matrix, counter, now, gain)
        for i in range(now.size):
            gain[i] = now[i] + steps[k] * gain[i]
        project_into(gain, room, now)
        policies[k + 1] = np.log(now)


@njit(cache=True)
def regret_matching_path(matrix: Array, counter: NDArray[np.int64], floor: bool, policies: Array) -> None:
    """Regret matching from the log-probabilities policies[0] (with ``floor``: regret matching+); fills policies[1:]."""
    size = policies.shape[1]
    gain = np.empty(size)
    regrets = np.zeros(size)
    p = np.exp(policies[0])
    for k in range(policies.shape[0] - 1):
        ask(matrix, counter, p, gain)
        value = 0.0
        for i in range(size):
            value += p[i] * gain[i]
        total = 0.0
        for i in range(size):
            regrets[i] += gain[i] - value
            if floor and regrets[i] < 0.0:
                regrets[i] = 0.0
            if regrets[i] > 0.0:
                total += regrets[i]
        for i in range(size):
            if total > 0.0:
                p[i] = max(regrets[i], 0.0) / total
                policies[k + 1, i] = np.log(p[i])
            else:
                policies[k + 1, i] = policies[0, i]
                p[i] = np.exp(policies[0, i])
