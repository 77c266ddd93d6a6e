"""Inner loops of the dynamics on an exact oracle. Only :func:`ask` reads the preference matrix, and it counts."""

from __future__ import annotations

import numpy as np
from numba import njit

# Up to this many actions a loop of our own is over before BLAS has looked at its arguments.
FEW = 40


@njit(cache=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")
def short_product(rows, policy, gain):
    """gain = rows @ policy, one by one; sums may be reordered, which lets them run in vector registers."""
    for i in range(gain.size):
        row = rows[i]
        total = 0.0
        for j in range(policy.size):
            total += row[j] * policy[j]
        gain[i] = total


@njit(cache=True)
def ask(matrix, counter, policy, gain):
    """gain = matrix @ policy for probabilities, and one more query on the counter."""
    counter[0] += 1
    if gain.size <= FEW:
        short_product(matrix, policy, gain)
    else:
        np.dot(matrix, policy, gain)


@njit(cache=True, error_model="numpy")
def softmax(out, policy):
    """Shift the log-weights ``out`` so that they are log-probabilities, and write the probabilities to ``policy``."""
    largest = -np.inf
    for i in range(out.size):
        largest = max(largest, out[i])
    total = 0.0
    for i in range(out.size):
        out[i] -= largest
        policy[i] = np.exp(out[i])
        total += policy[i]
    shift = np.log(total)
    share = 1.0 / total
    for i in range(out.size):
        out[i] -= shift
        policy[i] *= share


@njit(cache=True, error_model="numpy")
def step_into(log_reference, log_centre, gain, beta, weight, out, policy):
    """The proximal step of games.prox: log-probabilities to ``out``, probabilities to ``policy``."""
    size = beta + weight
    for i in range(out.size):
        out[i] = (beta * log_reference[i] + weight * log_centre[i] + gain[i]) / size
    softmax(out, policy)


@njit(cache=True)
def mirror_prox_path(
    matrix,
    counter,
    log_reference,
    beta,
    weight,
    one_step,
    centre_at_half,
    query_current,
    errors,
    iterations,
    every,
    policies,
    halves,
):
    """Nash mirror prox from policies[0]: fills the rest of policies with each ``every``-th one and the last, and halves with the
    half-steps that led to them; errors has shape (iterations, 2, K) or is empty.
    """
    gain = np.empty(log_reference.size)
    p, p_half = np.exp(policies[0]), np.empty(log_reference.size)  # the policies as probabilities
    now = policies[0]
    for k in range(iterations):
        # a row is written over until the iteration that is kept; entry by entry, so that now and after may be one row
        half, after = halves[k // every], policies[k // every + 1]
        ask(matrix, counter, p, gain)
        step_into(log_reference, now, gain, beta, weight, half, p_half)
        if errors.shape[0] > 0:
            for i in range(half.size):
                half[i] += errors[k, 0, i]
            softmax(half, p_half)
        if one_step:
            for i in range(half.size):
                after[i] = half[i]
                p[i] = p_half[i]
        else:
            ask(matrix, counter, p if query_current else p_half, gain)
            step_into(log_reference, half if centre_at_half else now, gain, beta, weight, after, p)
            if errors.shape[0] > 0:
                for i in range(after.size):
                    after[i] += errors[k, 1, i]
                softmax(after, p)
        now = after


@njit(cache=True)
def one_query_path(matrix, counter, log_reference, beta, weight, mixture, every, policies):
    """One proximal step an iteration, from and against the geometric mixture of policy and reference; fills the rest of policies
    with each ``every``-th one and the last.
    """
    gain = np.empty(log_reference.size)
    opponent, nothing = np.empty(log_reference.size), np.zeros(log_reference.size)
    p = np.exp(policies[0])
    now = policies[0]
    for k in range(weight.size):
        after = policies[k // every + 1]  # written over until the iteration that is kept
        centre = now
        if mixture[k] > 0.0:
            step_into(log_reference, now, nothing, mixture[k], 1.0 - mixture[k], opponent, p)
            centre = opponent
        ask(matrix, counter, p, gain)
        step_into(log_reference, centre, gain, beta[k], weight[k], after, p)
        now = after
