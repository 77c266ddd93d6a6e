"""Numba kernels of Bernoulli arms with Beta posteriors: Gittins indices, and two arms solved exactly."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, error_model="numpy")
def stopping_value(a, b, rate, discount, horizon, end, values):
    """The value of an arm Beta(a, b) that may be left for ever, for rewards less ``rate`` each, over ``horizon`` pulls.

    ``end`` is what a pull after the horizon is thought to pay at most (0 for a value from below), ``values`` room for horizon + 1.
    """
    for s in range(horizon + 1):
        values[s] = max(0.0, end - rate) / (1.0 - discount)
    for n in range(horizon - 1, -1, -1):
        for s in range(n + 1):
            p = (a + s) / (a + b + n)
            go = p - rate + discount * (p * values[s + 1] + (1.0 - p) * values[s])
            values[s] = max(go, 0.0)
    return values[0]


@numba.njit(cache=True, error_model="numpy")
def index(a, b, discount, horizon, end, halvings):
    """The largest rate in [0, 1] at which the arm is worth a pull, within 2^-halvings; from the side that ``end`` gives."""
    values = np.empty(horizon + 1)
    low, high = 0.0, 1.0
    for _ in range(halvings):
        rate = 0.5 * (low + high)
        if stopping_value(a, b, rate, discount, horizon, end, values) > 0.0:
            low = rate
        else:
            high = rate
    return high if end > 0.0 else low


@numba.njit(cache=True, error_model="numpy")
def two_arms(first, second, discount, pulls, scores, end):
    """The best value of two arms over ``pulls`` pulls (pass no ``scores``), or that of pulling the arm of the larger score.

    ``first``, ``second`` hold the Beta parameters; ``scores[i, s, f]`` is the score of arm i after s successes and f failures, and
    ``end`` the value after the last pull.
    """
    follow = scores.shape[0] > 0
    later = np.full((pulls + 1, pulls + 1, pulls + 1), end)  # successes and failures of arm 0, successes of arm 1
    for t in range(pulls - 1, -1, -1):
        for s in range(t + 1):
            for f in range(t - s + 1):
                rest = t - s - f
                p = (first[0] + s) / (first[0] + first[1] + s + f)
                for r in range(rest + 1):
                    q = (second[0] + r) / (second[0] + second[1] + rest)
                    one = p + discount * (p * later[s + 1, f, r] + (1.0 - p) * later[s, f + 1, r])
                    # arm 1 fails: its failures are what remains of t + 1 pulls
                    two = q + discount * (q * later[s, f, r + 1] + (1.0 - q) * later[s, f, r])
                    if follow:
                        later[s, f, r] = one if scores[0, s, f] >= scores[1, r, rest - r] else two
                    else:
                        later[s, f, r] = max(one, two)
    return later[0, 0, 0]
