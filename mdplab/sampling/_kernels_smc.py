"""The inner loop of particle steering: propagate, weight, resample."""

from __future__ import annotations

import math

import numba
import numpy as np

from theory.random_streams import stream, uniform

NONE, DIFFERENCE, MAXIMUM, SUM = 0, 1, 2, 3  # the potentials
MOVES, ANCESTORS = 0, 1  # the streams of a run


@numba.njit(cache=True)
def invert(cumulative, length, level):
    """The first of the first ``length`` entries of an increasing vector that exceeds ``level``; the last one if none does."""
    low, high = 0, length - 1
    while low < high:
        middle = (low + high) // 2
        if cumulative[middle] > level:
            high = middle
        else:
            low = middle + 1
    return low


@numba.njit(cache=True)
def steering_run(first, cumulative, first_ratio, ratio, scores, potential, corrected, resampled, seed, states, room, counts):
    """One run of ``states.size`` particles; counts where they end in ``counts`` and returns the logarithm of Z_hat.

    ``first`` and ``cumulative`` are running sums of the proposals' probabilities, ``first_ratio`` and ``ratio`` what the logarithm of
    the weight gains for drawing from them, ``scores`` are multiplied by lambda. ``room``, shape (8, N), is working space.
    """
    particles, horizon, size = states.size, cumulative.shape[0], first.size
    moves, ancestors = stream(seed, MOVES), stream(seed, ANCESTORS)
    statistic, product, weight, running = room[0], room[1], room[2], room[3]
    log_normaliser = 0.0
    for i in range(particles):
        product[i] = 0.0
        weight[i] = 0.0
        statistic[i] = -np.inf if potential == MAXIMUM else 0.0
    for t in range(horizon + 1):
        largest = -np.inf
        for i in range(particles):
            u = uniform(moves, t * particles + i)
            if t == 0:
                x = invert(first, size, u)
                weight[i] += first_ratio[x]
            else:
                x = invert(cumulative[t - 1, states[i]], size, u)
                weight[i] += ratio[t - 1, states[i], x]
            score = scores[t, x]
            if potential == DIFFERENCE:
                gain = score - statistic[i]
                statistic[i] = score
            elif potential == MAXIMUM:
                statistic[i] = max(statistic[i], score)
                gain = statistic[i]
            elif potential == SUM:
                statistic[i] += score
                gain = statistic[i] / (horizon + 1)
            else:
                gain = 0.0
            if t == horizon and corrected:
                gain = score - product[i]
            product[i] += gain
            weight[i] += gain
            states[i] = x
            largest = max(largest, weight[i])
        if resampled[t]:
            total = 0.0
            for i in range(particles):
                total += math.exp(weight[i] - largest)
                running[i] = total
            log_normaliser += largest + math.log(total / particles)
            # where to begin looking: the first particle whose running sum exceeds b / N of the total
            place = 0
            for b in range(particles):
                while running[place] <= b / particles * total:
                    place += 1
                room[7, b] = place
            for i in range(particles):
                u = uniform(ancestors, t * particles + i)
                parent = int(room[7, int(u * particles)])
                while parent < particles - 1 and running[parent] <= u * total:
                    parent += 1
                room[4, i] = states[parent]
                room[5, i] = statistic[parent]
                room[6, i] = product[parent]
            for i in range(particles):
                states[i] = int(room[4, i])
                statistic[i] = room[5, i]
                product[i] = room[6, i]
                weight[i] = 0.0
    for i in range(particles):
        counts[states[i]] += 1
    return log_normaliser


@numba.njit(cache=True)
def steering_runs(
    first, cumulative, first_ratio, ratio, scores, potential, corrected, resampled, seeds, particles, counts, log_normaliser
):
    """Independent runs, one for each seed: the rows of ``counts`` and the entries of ``log_normaliser``."""
    states = np.empty(particles, dtype=np.int64)
    room = np.empty((8, particles))
    for run in range(seeds.size):
        log_normaliser[run] = steering_run(
            first, cumulative, first_ratio, ratio, scores, potential, corrected, resampled,
            seeds[run], states, room, counts[run],
        )  # fmt: skip
