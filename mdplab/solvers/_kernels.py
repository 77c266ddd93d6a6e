"""Compiled sweeps over the states of a tabular MDP; no allocation inside a sweep.

States are cut into a fixed number of blocks, whatever the number of threads. Jacobi sweeps read the old values only.
Gauss-Seidel sweeps read the new values of their own block and the old ones of the others, so that the numbers do not depend
on which block is swept first; with one block this is plain Gauss-Seidel.
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


def _follow(row_pointer, next_state, probability, reward, scale, value, out, low, high):
    """Jacobi sweep of a policy's own rows (see restrict): out = T_pi value; extremes of out - value for each block."""
    blocks = low.size
    S = row_pointer.size - 1
    for k in prange(blocks):
        smallest, largest = np.inf, -np.inf
        for s in range(k * S // blocks, (k + 1) * S // blocks):
            total = 0.0
            for j in range(row_pointer[s], row_pointer[s + 1]):
                total += probability[j] * value[next_state[j]]
            total = reward[s] + scale[s] * total
            out[s] = total
            difference = total - value[s]
            smallest = min(smallest, difference)
            largest = max(largest, difference)
        low[k], high[k] = smallest, largest


backup_serial = njit(cache=True)(_backup)
backup_parallel = njit(cache=True, parallel=True)(_backup)
improve_serial = njit(cache=True)(_improve)
improve_parallel = njit(cache=True, parallel=True)(_improve)
evaluate_serial = njit(cache=True)(_evaluate)
evaluate_parallel = njit(cache=True, parallel=True)(_evaluate)
follow_serial = njit(cache=True)(_follow)
follow_parallel = njit(cache=True, parallel=True)(_follow)


@njit(cache=True)
def restrict(row_pointer, next_state, probability, reward, gamma, policy, loops, rows, nexts, chances, rewards, scale):
    """The rows of a policy: value = rewards + scale * (chances . value[nexts]). Unless ``loops``, self-loops are left out and
    their geometric series is in rewards and scale. Returns the number of transitions written."""
    count = 0
    for s in range(policy.size):
        rows[s] = count
        n = policy[s]
        stay = 0.0
        for j in range(row_pointer[n], row_pointer[n + 1]):
            if next_state[j] == s and not loops:
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
def policy_length(row_pointer, next_state, policy, loops):
    """How many transitions restrict will write."""
    count = 0
    for s in range(policy.size):
        for j in range(row_pointer[policy[s]], row_pointer[policy[s] + 1]):
            count += loops or next_state[j] != s
    return count


@njit(cache=True)
def pair_values(row_pointer, next_state, probability, reward, gamma, value, out):
    """out[n] = reward[n] + gamma * sum_j probability[j] value[next_state[j]] for every pair."""
    for n in range(reward.size):
        total = 0.0
        for j in range(row_pointer[n], row_pointer[n + 1]):
            total += probability[j] * value[next_state[j]]
        out[n] = reward[n] + gamma * total


@njit(cache=True)
def difference(first, second, out):
    """out = first - second; returns the largest absolute entry."""
    largest = 0.0
    for s in range(out.size):
        out[s] = first[s] - second[s]
        largest = max(largest, abs(out[s]))
    return largest


@njit(cache=True)
def dot(first, second):
    """The inner product, summed in one fixed order."""
    total = 0.0
    for s in range(first.size):
        total += first[s] * second[s]
    return total


@njit(cache=True)
def subtract(target, factor, vector):
    """target -= factor * vector."""
    for s in range(target.size):
        target[s] -= factor * vector[s]
