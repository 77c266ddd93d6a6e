"""The compiled sweep of robust value iteration over balls in L1.

Pointers and indices come as unsigned views, as in :mod:`mdplab.solvers._kernels`.
"""

import numba
import numpy as np


@numba.njit(cache=True)
def l1_backup(state_pointer, row_pointer, next_state, probability, reward, gamma, half_radius, floor, value, out, policy):
    """out = T value, policy greedy, where each row loses ``half_radius`` of its mass at large values to the least one.

    The least value is that of the row, or ``floor`` if that is smaller. Returns the extremes of out - value.
    """
    smallest, largest = np.inf, -np.inf
    for s in range(state_pointer.size - 1):
        best, choice = -np.inf, -1
        for n in range(state_pointer[s], state_pointer[s + 1]):
            total, least, top = 0.0, floor, -np.inf
            for j in range(row_pointer[n], row_pointer[n + 1]):
                v = value[next_state[j]]
                total += probability[j] * v
                least = min(least, v)
                top = max(top, v)
            left = half_radius[n]
            while left > 0.0 and top > least:
                mass, following = 0.0, least
                for j in range(row_pointer[n], row_pointer[n + 1]):
                    v = value[next_state[j]]
                    if v == top:
                        mass += probability[j]
                    elif v < top:
                        following = max(following, v)
                total -= min(mass, left) * (top - least)
                left -= mass
                top = following
            total = reward[n] + gamma * total
            if total > best:
                best, choice = total, n
        out[s] = best
        policy[s] = choice
        smallest = min(smallest, best - value[s])
        largest = max(largest, best - value[s])
    return smallest, largest
