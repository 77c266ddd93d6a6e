"""Numba kernels of the reward fits in a box and of online preference learning.

A label and its two responses come from three counter-based streams of the run's seed, read at the number of the round: a run
depends on its seed alone, and two learners with the same seed see the same random numbers, which makes their comparison a
paired one.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from theory.random_streams import stream, uniform

FIRST, SECOND, LABEL = 0, 1, 2  # the streams of a run
EPS = 2.0**-52
SUFFICIENT = 0.1  # the share of the linear model's change that a step has to lower the objective by
NEAR = 1e-3  # how near to a bound, in widths of the box, a coordinate that is pushed out counts as being there
LARGEST = 1e15  # the damping, in units of the largest curvature, at which a step is too short to matter
SETTLED, PATIENCE = 1e-8, 6  # once the gap is this small, so many steps without progress mean that rounding has the word


@numba.njit(cache=True)
def box_objective(
    r: NDArray[np.float64],
    weights: NDArray[np.float64],
    log_reference: NDArray[np.float64],
    linear: NDArray[np.float64],
    beta: float,
    tilt: float,
) -> tuple[float, float]:
    """sum_ij w_ij ln(1 + exp(r_j - r_i)) + tilt beta ln sum_y mu(y) exp(r_y / beta) - <linear, r>, and the size of its terms."""
    K = r.size
    value = 0.0
    size = 0.0
    for i in range(K):
        value -= linear[i] * r[i]
        size += abs(linear[i] * r[i])
        for j in range(i):
            n = weights[i, j] + weights[j, i]
            if n > 0.0:
                h = r[i] - r[j]
                term = n * (np.log1p(np.exp(-abs(h))) + max(-h, 0.0)) + weights[j, i] * h
                value += term
                size += abs(term)
    if tilt != 0.0:
        top = -np.inf
        for i in range(K):
            top = max(top, log_reference[i] + r[i] / beta)
        total = 0.0
        for i in range(K):
            total += np.exp(log_reference[i] + r[i] / beta - top)
        term = tilt * beta * (top + np.log(total))
        value += term
        size += abs(term)
    return value, size


@numba.njit(cache=True)
def box_derivatives(
    r: NDArray[np.float64],
    weights: NDArray[np.float64],
    log_reference: NDArray[np.float64],
    linear: NDArray[np.float64],
    beta: float,
    tilt: float,
    gradient: NDArray[np.float64],
    hessian: NDArray[np.float64],
) -> None:
    """Fills in the gradient of the objective and the Hessian of its convex part (without the tilt if that is negative)."""
    K = r.size
    hessian[:, :] = 0.0
    for i in range(K):
        gradient[i] = -linear[i]
    for i in range(K):
        for j in range(i):
            n = weights[i, j] + weights[j, i]
            if n > 0.0:
                h = r[i] - r[j]
                e = np.exp(-abs(h))
                p = 1.0 / (1.0 + e) if h >= 0.0 else e / (1.0 + e)  # that i wins
                q = e / (1.0 + e) if h >= 0.0 else 1.0 / (1.0 + e)
                flow = weights[j, i] * p - weights[i, j] * q
                gradient[i] += flow
                gradient[j] -= flow
                c = n * p * q
                hessian[i, i] += c
                hessian[j, j] += c
                hessian[i, j] -= c
                hessian[j, i] -= c
    if tilt != 0.0:
        top = -np.inf
        for i in range(K):
            top = max(top, log_reference[i] + r[i] / beta)
        policy = np.exp(log_reference + r / beta - top)
        policy /= policy.sum()
        for i in range(K):
            gradient[i] += tilt * policy[i]
        if tilt > 0.0:
            for i in range(K):
                hessian[i, i] += tilt / beta * policy[i]
                for j in range(K):
                    hessian[i, j] -= tilt / beta * policy[i] * policy[j]


@numba.njit(cache=True)
def solve_damped(
    hessian: NDArray[np.float64],
    damping: float,
    target: NDArray[np.float64],
    factor: NDArray[np.float64],
    x: NDArray[np.float64],
) -> bool:
    """Fills x with the solution of (hessian + damping I) x = target by Cholesky's method; false if a pivot is not positive."""
    K = target.size
    for j in range(K):
        pivot = hessian[j, j] + damping
        for k in range(j):
            pivot -= factor[j, k] * factor[j, k]
        if not pivot > EPS * (hessian[j, j] + damping):
            return False
        factor[j, j] = np.sqrt(pivot)
        for i in range(j + 1, K):
            entry = hessian[i, j]
            for k in range(j):
                entry -= factor[i, k] * factor[j, k]
            factor[i, j] = entry / factor[j, j]
    for j in range(K):
        entry = target[j]
        for k in range(j):
            entry -= factor[j, k] * x[k]
        x[j] = entry / factor[j, j]
    for j in range(K - 1, -1, -1):
        entry = x[j]
        for k in range(j + 1, K):
            entry -= factor[k, j] * x[k]
        x[j] = entry / factor[j, j]
    return True


@numba.njit(cache=True)
def box_newton(
    weights: NDArray[np.float64],
    log_reference: NDArray[np.float64],
    linear: NDArray[np.float64],
    beta: float,
    tilt: float,
    low: float,
    high: float,
    start: NDArray[np.float64],
    tolerance: float,
    limit: int,
) -> tuple[NDArray[np.float64], float, int]:
    """Projected Newton method (Bertsekas 1982) for :func:`box_objective` on the box [low, high]^K, from ``start``.

    Returns the point with the smallest Frank-Wolfe gap max over r' in the box of <gradient, r - r'>, that gap, and the number of
    steps. Stops at a gap of ``tolerance`` (1 + the size of the terms), when rounding allows no progress, or after ``limit`` steps.
    """
    K = start.size
    width = high - low
    r = np.minimum(np.maximum(start, low), high)
    gradient = np.empty(K)
    hessian = np.empty((K, K))
    factor = np.empty((K, K))
    direction = np.empty(K)
    trial = r
    best, best_gap, idle, steps, damping = r.copy(), np.inf, 0, 0, 0.0
    while True:
        value, size = box_objective(r, weights, log_reference, linear, beta, tilt)
        box_derivatives(r, weights, log_reference, linear, beta, tilt, gradient, hessian)
        gap = 0.0
        residual = 0.0
        for i in range(K):
            gap += max(gradient[i] * (r[i] - low), gradient[i] * (r[i] - high))
            residual = max(residual, abs(r[i] - min(max(r[i] - gradient[i], low), high)))
        if gap < best_gap:
            if gap < 0.9 * best_gap:
                idle = 0
            best_gap = gap
            best[:] = r
        idle += 1
        if gap <= tolerance * (1.0 + size) or steps == limit:
            break
        if idle > PATIENCE and best_gap <= SETTLED * (1.0 + size):
            break
        near = min(NEAR * width, residual)
        scale = 0.0
        target = -gradient
        for i in range(K):
            scale = max(scale, hessian[i, i])
        for i in range(K):
            if (r[i] <= low + near and gradient[i] > 0.0) or (r[i] >= high - near and gradient[i] < 0.0):
                hessian[i, :] = 0.0
                hessian[:, i] = 0.0
                hessian[i, i] = 1.0
                target[i] = (low if gradient[i] > 0.0 else high) - r[i]  # onto the bound, apart from the others
        damping = max(damping / 100.0, 1e-14 * (1.0 + scale))
        while True:
            solved = solve_damped(hessian, damping, target, factor, direction)
            if solved and np.abs(direction).max() <= width:
                trial = np.minimum(np.maximum(r + direction, low), high)
                predicted = 0.0
                for i in range(K):
                    predicted += gradient[i] * (trial[i] - r[i])
                after, _ = box_objective(trial, weights, log_reference, linear, beta, tilt)
                if after <= value - SUFFICIENT * abs(predicted) + 8 * EPS * (1.0 + size):
                    break
            if damping > LARGEST * (1.0 + scale):
                break
            damping *= 10.0
        r = trial
        steps += 1
    return best, best_gap, steps


@numba.njit(cache=True)
def box_newton_each(
    weights: NDArray[np.float64],
    log_reference: NDArray[np.float64],
    linear: NDArray[np.float64],
    beta: float,
    tilt: float,
    low: float,
    high: float,
    tolerance: float,
    limit: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """:func:`box_newton` from the middle of the box for ``weights`` (n, K, K) and ``log_reference`` (n, K): points and gaps."""
    n, K = log_reference.shape
    points, gaps = np.empty((n, K)), np.empty(n)
    middle = np.full(K, (low + high) / 2)
    for k in range(n):
        points[k], gaps[k], _ = box_newton(
            weights[k], log_reference[k], linear, beta, tilt, low, high, middle, tolerance, limit
        )
    return points, gaps


@numba.njit(cache=True)
def online_regret(
    reward: NDArray[np.float64],
    log_reference: NDArray[np.float64],
    beta: float,
    calibration: NDArray[np.float64],
    coefficient: float,
    low: float,
    high: float,
    refits: NDArray[np.int64],
    checkpoints: NDArray[np.int64],
    seeds: NDArray[np.uint64],
    starts: NDArray[np.float64],
    tolerance: float,
    limit: int,
) -> NDArray[np.float64]:
    """The regret of online VPO after each of ``checkpoints``, shape (seeds, checkpoints).

    Before each of the rounds ``refits`` (from 0) the reward is fitted to all labels so far with the optimism ``coefficient`` times
    the root of the number of the round (from 1), from the middle of the box; both responses of a round are drawn from its tilt.
    """
    K = reward.size
    ideal = np.exp(log_reference + reward / beta - (log_reference + reward / beta).max())
    ideal /= ideal.sum()
    regret = np.zeros((seeds.size, checkpoints.size))
    for run in range(seeds.size):
        first, second, label = stream(seeds[run], FIRST), stream(seeds[run], SECOND), stream(seeds[run], LABEL)
        counts = np.zeros((K, K))
        edges = np.zeros(K)
        gap, total, refit, mark = 0.0, 0.0, 0, 0
        for t in range(checkpoints[-1]):
            if refit < refits.size and t == refits[refit]:
                refit += 1
                alpha = coefficient * np.sqrt(t + 1.0)
                fitted = starts[0]
                lowest = np.inf
                for start in starts:
                    point, _, _ = box_newton(
                        counts, log_reference, -alpha * calibration, beta, -alpha, low, high, start, tolerance, limit
                    )
                    value, _ = box_objective(point, counts, log_reference, -alpha * calibration, beta, -alpha)
                    if value < lowest:
                        lowest = value
                        fitted = point
                policy = np.exp(log_reference + fitted / beta - (log_reference + fitted / beta).max())
                policy /= policy.sum()
                gap = 0.0
                mass = 0.0
                for a in range(K):
                    if policy[a] > 0.0:
                        gap += beta * policy[a] * np.log(policy[a] / ideal[a])
                    mass += policy[a]
                    edges[a] = mass
            u, v = uniform(first, t) * edges[-1], uniform(second, t) * edges[-1]
            one, other = 0, 0
            while one < K - 1 and u >= edges[one]:
                one += 1
            while other < K - 1 and v >= edges[other]:
                other += 1
            if uniform(label, t) * (1.0 + np.exp(reward[other] - reward[one])) < 1.0:
                counts[one, other] += 1.0
            else:
                counts[other, one] += 1.0
            total += gap
            if t + 1 == checkpoints[mark]:
                regret[run, mark] = total
                mark += 1
    return regret
