"""Compiled sweeps over the states of a tabular MDP; no allocation inside a sweep.

States are cut into a fixed number of blocks, whatever the number of threads. Jacobi sweeps read the old values only.
Gauss-Seidel sweeps read the new values of their own block and the old ones of the others, so that the numbers do not depend
on which block is swept first; with one block this is plain Gauss-Seidel.

Pointers and indices come as unsigned views of the model's arrays: Numba tests every signed index for being negative, which
costs as much as the arithmetic of a sweep.
"""

import numpy as np
from numba import njit, prange


def _backup(state_pointer, row_pointer, next_state, probability, reward, gamma, value, out, policy, low, high, changed):
    """Jacobi sweep of the optimality operator: out = T value, policy greedy; extremes of out - value for each block."""
    blocks = low.size
    S = state_pointer.size - 1
    for k in prange(blocks):
        smallest, largest, moved = np.inf, -np.inf, 0
        for s in range(k * S // blocks, (k + 1) * S // blocks):
            best, choice = -np.inf, -1
            for n in range(state_pointer[s], state_pointer[s + 1]):
                total = 0.0
                for j in range(row_pointer[n], row_pointer[n + 1]):
                    total += probability[j] * value[next_state[j]]
                total = reward[n] + gamma * total
                if total > best:
                    best, choice = total, n
            out[s] = best
            if policy[s] != choice:
                policy[s] = choice
                moved += 1
            difference = best - value[s]
            smallest = min(smallest, difference)
            largest = max(largest, difference)
        low[k], high[k], changed[k] = smallest, largest, moved


def _improve(state_pointer, row_pointer, next_state, probability, reward, gamma, value, old, policy, forward, changed):
    """Gauss-Seidel sweep of the optimality operator, in place; ``old`` holds the values before it. Self-loops are solved for."""
    blocks = changed.size
    S = state_pointer.size - 1
    for k in prange(blocks):
        first, last, moved = k * S // blocks, (k + 1) * S // blocks, 0
        for i in range(last - first):
            s = first + i if forward else last - 1 - i
            best, choice = -np.inf, -1
            for n in range(state_pointer[s], state_pointer[s + 1]):
                total, stay = 0.0, 0.0
                for j in range(row_pointer[n], row_pointer[n + 1]):
                    t = next_state[j]
                    if t == s:
                        stay += probability[j]
                    elif first <= t < last:
                        total += probability[j] * value[t]
                    else:
                        total += probability[j] * old[t]
                total = (reward[n] + gamma * total) / (1.0 - gamma * stay)
                if total > best:
                    best, choice = total, n
            value[s] = best
            if policy[s] != choice:
                policy[s] = choice
                moved += 1
        changed[k] = moved


def _evaluate(row_pointer, next_state, probability, reward, scale, value, old, forward, low, high):
    """Gauss-Seidel sweep of a policy's own rows (see restrict), in place; extremes of the change for each block."""
    blocks = low.size
    S = row_pointer.size - 1
    for k in prange(blocks):
        first, last = k * S // blocks, (k + 1) * S // blocks
        smallest, largest = np.inf, -np.inf
        for i in range(last - first):
            s = first + i if forward else last - 1 - i
            total = 0.0
            for j in range(row_pointer[s], row_pointer[s + 1]):
                t = next_state[j]
                total += probability[j] * (value[t] if first <= t < last else old[t])
            total = reward[s] + scale[s] * total
            difference = total - value[s]
            smallest = min(smallest, difference)
            largest = max(largest, difference)
            value[s] = total
        low[k], high[k] = smallest, largest


def _follow(row_pointer, next_state, probability, reward, gamma, policy, value, out, low, high, target, most):
    """Jacobi sweeps of a policy, out = T_policy value, to and fro between the two arrays, until the span of the change is at
    most ``target`` times the first one, or ``most`` sweeps are done. Returns their number and the first and the last span; the
    newest values are in ``out`` if the number is odd, else in ``value``."""
    blocks = low.size
    S = policy.size
    first, span = 0.0, 0.0
    for i in range(most):
        for k in prange(blocks):
            smallest, largest = np.inf, -np.inf
            for s in range(k * S // blocks, (k + 1) * S // blocks):
                n = policy[s]
                total = 0.0
                for j in range(row_pointer[n], row_pointer[n + 1]):
                    total += probability[j] * value[next_state[j]]
                total = reward[n] + gamma * total
                difference = total - value[s]
                smallest = min(smallest, difference)
                largest = max(largest, difference)
                out[s] = total
            low[k], high[k] = smallest, largest
        value, out = out, value
        span = high.max() - low.min()
        if i == 0:
            first = span
        if span <= target * first:
            return i + 1, first, span
    return most, first, span


def _record(image, value, old_image, old_change, change, images, changes, slot, kept, sums, sizes):
    """Anderson's bookkeeping in one pass: change = image - value, and in row ``slot`` of images and changes the differences to
    the step before. By block: the largest |change|, and the products of the first ``kept`` rows of changes with row ``slot``
    (sums[k, :kept]) and with change (sums[k, kept:2 kept]). Without ``kept`` there is no step before."""
    blocks = sizes.size
    S = value.size
    for k in prange(blocks):
        largest = 0.0
        sums[k, :] = 0.0
        for s in range(k * S // blocks, (k + 1) * S // blocks):
            c = image[s] - value[s]
            change[s] = c
            largest = max(largest, abs(c))
            if kept > 0:
                d = c - old_change[s]
                changes[slot, s] = d
                images[slot, s] = image[s] - old_image[s]
                for j in range(kept):
                    sums[k, j] += changes[j, s] * d
                    sums[k, kept + j] += changes[j, s] * c
        sizes[k] = largest


def _mix(image, images, weights, value, blocks):
    """value = image - sum_j weights[j] images[j]."""
    S = value.size
    for k in prange(blocks):
        for s in range(k * S // blocks, (k + 1) * S // blocks):
            total = image[s]
            for j in range(weights.size):
                total -= weights[j] * images[j, s]
            value[s] = total


follow_serial = njit(cache=True)(_follow)
follow_parallel = njit(cache=True, parallel=True)(_follow)
backup_serial = njit(cache=True)(_backup)
backup_parallel = njit(cache=True, parallel=True)(_backup)
improve_serial = njit(cache=True)(_improve)
improve_parallel = njit(cache=True, parallel=True)(_improve)
evaluate_serial = njit(cache=True)(_evaluate)
evaluate_parallel = njit(cache=True, parallel=True)(_evaluate)
record_serial = njit(cache=True)(_record)
record_parallel = njit(cache=True, parallel=True)(_record)
mix_serial = njit(cache=True)(_mix)
mix_parallel = njit(cache=True, parallel=True)(_mix)


@njit(cache=True)
def restrict(row_pointer, next_state, probability, reward, gamma, policy, rows, nexts, chances, rewards, scale):
    """The rows of a policy, without self-loops: value = rewards + scale * (chances . value[nexts]); the self-loop's geometric
    series is in rewards and scale. Returns the number of transitions written."""
    count = 0
    for s in range(policy.size):
        rows[s] = count
        n = policy[s]
        stay = 0.0
        for j in range(row_pointer[n], row_pointer[n + 1]):
            if next_state[j] == s:
                stay += probability[j]
            else:
                nexts[count] = next_state[j]
                chances[count] = probability[j]
                count += 1
        factor = 1.0 / (1.0 - gamma * stay)
        rewards[s] = reward[n] * factor
        scale[s] = gamma * factor
    rows[policy.size] = count
    return count


@njit(cache=True)
def band_extent(pair_state, row_pointer, next_state):
    """How far the next states lie below and above their state, at most."""
    below, above = 0, 0
    for n in range(pair_state.size):
        s = pair_state[n]
        for j in range(row_pointer[n], row_pointer[n + 1]):
            distance = np.int64(next_state[j]) - s
            below = max(below, -distance)
            above = max(above, distance)
    return below, above


@njit(cache=True)
def eliminate_band(row_pointer, next_state, probability, reward, gamma, policy, below, band, value):
    """value = the value of a policy whose next states lie within a band, by elimination without pivoting.

    Next states lie between s - below and s + above; band[S, below + above + 1] is overwritten by the triangular factors.
    I - gamma P is diagonally dominant, so the factors do not grow.
    """
    S, width = band.shape
    above = width - 1 - below
    for s in range(S):
        n = policy[s]
        for k in range(width):
            band[s, k] = 0.0
        band[s, below] = 1.0
        for j in range(row_pointer[n], row_pointer[n + 1]):
            band[s, below + next_state[j] - s] -= gamma * probability[j]
        value[s] = reward[n]
        for t in range(max(0, s - below), s):
            factor = band[s, below + t - s]
            if factor != 0.0:
                factor /= band[t, below]
                for u in range(1, min(S - 1 - t, above) + 1):
                    band[s, below + t + u - s] -= factor * band[t, below + u]
                value[s] -= factor * value[t]
    for s in range(S - 1, -1, -1):
        total = value[s]
        for u in range(1, min(S - 1 - s, above) + 1):
            total -= band[s, below + u] * value[s + u]
        value[s] = total / band[s, below]


@njit(cache=True)
def pair_values(row_pointer, next_state, probability, reward, gamma, value, out):
    """out[n] = reward[n] + gamma * sum_j probability[j] value[next_state[j]] for every pair."""
    for n in range(reward.size):
        total = 0.0
        for j in range(row_pointer[n], row_pointer[n + 1]):
            total += probability[j] * value[next_state[j]]
        out[n] = reward[n] + gamma * total
