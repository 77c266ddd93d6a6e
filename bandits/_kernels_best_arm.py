"""Numba kernels that look for the best arm of a bandit: successive elimination and track-and-stop."""

from __future__ import annotations

import math

import numba
import numpy as np

from theory.random_streams import normal, stream, uniform


@numba.njit(cache=True, error_model="numpy")
def successive_elimination(means, seed, inflation, limit):
    """The answer (-1 if undecided), the samples, whether some average left its radius, and each arm's pulls.

    The radius after t pulls of each arm that is left is sqrt(ln(inflation t^2) / (2t)).
    """
    arms = means.size
    start = np.empty(arms, dtype=np.uint64)
    for a in range(arms):
        start[a] = stream(seed, a)
    total, alive, pulls = np.zeros(arms), np.ones(arms, dtype=np.bool_), np.zeros(arms, dtype=np.int64)
    left, samples, broken = arms, 0, False
    for t in range(1, limit + 1):
        radius = math.sqrt(math.log(inflation * t * t) / (2.0 * t))
        best = -1.0
        for a in range(arms):
            if alive[a]:
                total[a] += 1.0 if uniform(start[a], t - 1) < means[a] else 0.0
                pulls[a] = t
                samples += 1
                broken = broken or abs(total[a] / t - means[a]) > radius
                best = max(best, total[a] / t)
        for a in range(arms):
            if alive[a] and best - total[a] / t >= 2.0 * radius and left > 1:
                alive[a] = False
                left -= 1
        if left == 1:
            break
    answer = -1
    for a in range(arms):
        if alive[a] and left == 1:
            answer = a
    return answer, samples, broken, pulls


@numba.njit(cache=True, error_model="numpy")
def optimal_shares(means, shares):
    """Fill ``shares`` with the optimal proportions of unit-variance normal arms; return the characteristic time T*.

    0 and inf where the best arm is not unique. With r_a(y) = y / (gap_a^2 / 2 - y) the proportions are 1 : r_a for the best arm
    and the others, at the y for which the squares of the r_a sum to 1.
    """
    best = np.argmax(means)
    least = math.inf
    for a in range(means.size):
        if a != best:
            least = min(least, 0.5 * (means[best] - means[a]) ** 2)
    if least <= 0.0:
        shares[:] = 0.0
        return math.inf
    low, high = 0.0, least
    for _ in range(200):
        y = 0.5 * (low + high)
        if y in (low, high):
            break
        total = 0.0
        for a in range(means.size):
            if a != best:
                total += (y / (0.5 * (means[best] - means[a]) ** 2 - y)) ** 2
        if total > 1.0:
            high = y
        else:
            low = y
    total = 1.0
    for a in range(means.size):
        shares[a] = 1.0 if a == best else low / (0.5 * (means[best] - means[a]) ** 2 - low)
        total += shares[a] if a != best else 0.0
    shares /= total
    return total / low


@numba.njit(cache=True, error_model="numpy")
def track_and_stop(means, seed, threshold, slack, limit):
    """The answer and the number of samples of one run on normal arms of unit variance: D-tracking.

    Stops when the likelihood ratio of every rival exceeds ``threshold + slack * ln(4 + ln(t / 2))``.
    """
    arms = means.size
    start = np.empty(arms, dtype=np.uint64)
    for a in range(arms):
        start[a] = stream(seed, a)
    count, total, shares = np.zeros(arms), np.zeros(arms), np.zeros(arms)
    for t in range(limit):
        chosen = t
        if t >= arms:
            least = int(np.argmin(count))
            if count[least] < math.sqrt(t) - 0.5 * arms or math.isinf(optimal_shares(total / count, shares)):
                chosen = least
            else:
                chosen = int(np.argmax(t * shares - count))
        total[chosen] += means[chosen] + normal(start[chosen], int(count[chosen]))
        count[chosen] += 1.0
        if t + 1 >= arms:
            best = np.argmax(total / count)
            statistic = math.inf
            for a in range(arms):
                if a != best:
                    gap = total[best] / count[best] - total[a] / count[a]
                    statistic = min(statistic, 0.5 * gap * gap * count[best] * count[a] / (count[best] + count[a]))
            if statistic > threshold + slack * math.log(4.0 + math.log(0.5 * (t + 1))):
                return best, t + 1
    return -1, limit
