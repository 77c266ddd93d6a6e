"""Numba kernel of optimistic play of linear bandits, with a hidden linear state behind the rewards or without one.

A run has three streams: the noise of the reward of round t is entry t of stream 0, the context of round t entry t of stream 1, the
noise of coordinate i of the state entry t * n + i of stream 2. So a run depends on its seed alone, and two algorithms with the
same seed meet the same luck.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from theory.random_streams import normal, stream, uniform


@numba.njit(cache=True, error_model="numpy")
def form(matrix, x):
    """x' matrix x."""
    total = 0.0
    for i in range(x.size):
        row = 0.0
        for j in range(x.size):
            row += matrix[i, j] * x[j]
        total += row * x[i]
    return total


@numba.njit(cache=True, error_model="numpy")
def advance(A, B, x, u, scratch):
    """Put A x + B u into x."""
    for i in range(x.size):
        total = 0.0
        for j in range(x.size):
            total += A[i, j] * x[j]
        for j in range(u.size):
            total += B[i, j] * u[j]
        scratch[i] = total
    for i in range(x.size):
        x[i] = scratch[i]


@numba.njit(cache=True, error_model="numpy")
def optimistic_runs(
    A,
    B,
    omega,
    theta,
    actions,
    best,
    target,
    spread,
    deviation,
    lengths,
    radius,
    volume,
    confidence,
    width,
    ridge,
    script,
    seeds,
    checkpoints,
):
    """Regret, largest error over its radius, log det(V / ridge) and plays, each up to the checkpoints, of every seed.

    Epoch m = 0, 1, ... lasts ``lengths[m]`` rounds of one action, and its last reward alone is used. The action has the largest index
    <estimate, u> + width * beta_m * ||u||_{V^-1}, the first of several, with beta_m = radius[m] + volume * sqrt(confidence + log
    det(V / ridge)), or is ``script[m % script.size]`` if the script is not empty. The error is ||estimate - target||_V. In context
    x the actions are ``actions[x]`` and the regret is ``best[x]`` less the mean reward given the actions played so far.
    """
    runs, marks = seeds.size, checkpoints.size
    contexts, arms, d = actions.shape
    n = A.shape[0]
    regret, worst, log_det = np.zeros((runs, marks)), np.zeros((runs, marks)), np.zeros((runs, marks))
    plays = np.zeros((runs, marks, arms), dtype=np.int64)
    V, inverse = np.empty((d, d)), np.empty((d, d))
    b, estimate, along, missed = np.empty(d), np.empty(d), np.empty(d), np.empty(d)
    mean, noise, scratch, still = np.empty(n), np.empty(n), np.empty(n), np.zeros(d)
    taken = np.zeros(arms, dtype=np.int64)
    for run in range(runs):
        at_reward, at_context, at_state = stream(seeds[run], 0), stream(seeds[run], 1), stream(seeds[run], 2)
        V[:] = 0.0
        inverse[:] = 0.0
        for i in range(d):
            V[i, i] = ridge
            inverse[i, i] = 1.0 / ridge
            missed[i] = -target[i]
        b[:], estimate[:], mean[:], noise[:], taken[:] = 0.0, 0.0, 0.0, 0.0, 0
        lost, grown, epoch, left, arm, x = 0.0, 0.0, 0, 0, 0, 0
        beta = radius[0] + volume * math.sqrt(confidence)
        ratio = math.sqrt(form(V, missed)) / beta if beta > 0.0 else 0.0
        t = 0
        for mark in range(marks):
            while t < checkpoints[mark]:
                if left == 0:
                    left = lengths[epoch]
                    if contexts > 1:
                        x = min(int(uniform(at_context, t) * contexts), contexts - 1)
                    if script.size > 0:
                        arm = script[epoch % script.size]
                    else:
                        largest = -math.inf
                        for a in range(arms):
                            u = actions[x, a]
                            index, size = 0.0, 0.0
                            for i in range(d):
                                along_u = 0.5 * inverse[i, i] * u[i]
                                for j in range(i):
                                    along_u += inverse[i, j] * u[j]
                                size += along_u * u[i]
                                index += estimate[i] * u[i]
                            index += width * beta * math.sqrt(max(2.0 * size, 0.0))
                            if index > largest:
                                largest, arm = index, a
                u = actions[x, arm]
                paid = 0.0
                for i in range(n):
                    paid += omega[i] * mean[i]
                for i in range(d):
                    paid += theta[i] * u[i]
                lost += best[x] - paid
                taken[arm] += 1
                left -= 1
                if left == 0:
                    for i in range(n):
                        paid += omega[i] * noise[i]
                    if deviation > 0.0:
                        paid += deviation * normal(at_reward, t)
                    seen = 1.0
                    for i in range(d):
                        total = 0.0
                        for j in range(d):
                            total += inverse[i, j] * u[j]
                            V[i, j] += u[i] * u[j]
                        along[i] = total
                        seen += total * u[i]
                        b[i] += u[i] * paid
                    for i in range(d):
                        for j in range(d):
                            inverse[i, j] -= along[i] * along[j] / seen
                    for i in range(d):
                        total = 0.0
                        for j in range(d):
                            total += inverse[i, j] * b[j]
                        estimate[i] = total
                        missed[i] = total - target[i]
                    grown += math.log(seen)
                    epoch += 1
                    beta = radius[epoch] + volume * math.sqrt(confidence + grown)
                    if beta > 0.0:
                        ratio = max(ratio, math.sqrt(form(V, missed)) / beta)
                advance(A, B, mean, u, scratch)
                if spread > 0.0:
                    advance(A, B, noise, still, scratch)
                    for i in range(n):
                        noise[i] += spread * (2.0 * uniform(at_state, t * n + i) - 1.0)
                t += 1
            regret[run, mark], worst[run, mark], log_det[run, mark] = lost, ratio, grown
            plays[run, mark] = taken
    return regret, worst, log_det, plays
