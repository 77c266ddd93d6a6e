"""Inner loops of the dynamics on an exact oracle. Only :func:`query` reads the preference matrix, and it counts."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def query(matrix, counter, log_opponent, gain):
    """gain = matrix @ exp(log_opponent), and one more query on the counter."""
    counter[0] += 1
    gain[:] = np.dot(matrix, np.exp(log_opponent))


@njit(cache=True)
def normalise(out):
    """Shift log-weights so that they are log-probabilities."""
    largest = out.max()
    total = 0.0
    for i in range(out.size):
        out[i] -= largest
        total += np.exp(out[i])
    shift = np.log(total)
    for i in range(out.size):
        out[i] -= shift


@njit(cache=True)
def prox_into(log_reference, log_centre, gain, beta, weight, out):
    """The proximal step of games.prox, written to ``out``."""
    for i in range(out.size):
        out[i] = (beta * log_reference[i] + weight * log_centre[i] + gain[i]) / (beta + weight)
    normalise(out)


@njit(cache=True)
def mirror_prox_path(
    matrix, counter, log_reference, beta, weight, one_step, centre_at_half, query_current, errors, policies, halves
):
    """Nash mirror prox from policies[0]: fills policies[1:] and halves; errors has shape (iterations, 2, K) or is empty."""
    gain = np.empty(log_reference.size)
    for k in range(halves.shape[0]):
        query(matrix, counter, policies[k], gain)
        prox_into(log_reference, policies[k], gain, beta, weight, halves[k])
        if errors.shape[0] > 0:
            halves[k] += errors[k, 0]
            normalise(halves[k])
        if one_step:
            policies[k + 1] = halves[k]
            continue
        query(matrix, counter, policies[k] if query_current else halves[k], gain)
        centre = halves[k] if centre_at_half else policies[k]
        prox_into(log_reference, centre, gain, beta, weight, policies[k + 1])
        if errors.shape[0] > 0:
            policies[k + 1] += errors[k, 1]
            normalise(policies[k + 1])


@njit(cache=True)
def one_query_path(matrix, counter, log_reference, beta, weight, mixture, policies):
    """One proximal step an iteration, from and against the geometric mixture of policy and reference; fills policies[1:]."""
    gain = np.empty(log_reference.size)
    opponent = np.empty(log_reference.size)
    nothing = np.zeros(log_reference.size)
    for k in range(weight.size):
        if mixture[k] == 0.0:
            opponent[:] = policies[k]
        else:
            prox_into(log_reference, policies[k], nothing, mixture[k], 1.0 - mixture[k], opponent)
        query(matrix, counter, opponent, gain)
        prox_into(log_reference, opponent, gain, beta[k], weight[k], policies[k + 1])
