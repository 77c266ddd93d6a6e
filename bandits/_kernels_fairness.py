"""Numba kernels of the learners with one-sided feedback.

A run draws from one counter-based stream of its seed, so that it depends on its seed alone.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from theory.random_streams import stream, uniform


@numba.njit(cache=True)
def exp2(policies, people, labels, metric, alpha, penalty, step, weighted, seeds, marks):  # type: ignore[no-untyped-def]
    """Exponential weights over policies: expected errors, violations, gaps (runs, marks) and policies' gaps (runs, marks, N).

    Round t reads entry t of the run's stream, to draw the policy that is played.
    """
    runs, N = seeds.size, policies.shape[0]
    k = people.shape[1]
    errors = np.zeros((runs, marks.size))
    violations = np.zeros((runs, marks.size))
    gaps = np.zeros((runs, marks.size))
    policy_gaps = np.zeros((runs, marks.size, N))
    loss = np.empty(N)
    weight = np.empty(N)
    against = np.empty(N)
    q = np.empty(k)
    for run in range(runs):
        luck = stream(seeds[run], 0)
        loss[:] = 0.0
        against[:] = 0.0
        mistakes = 0.0
        reported = 0.0
        gap = 0.0
        t = 0
        for mark in range(marks.size):
            while t < marks[mark]:
                least = loss.min()
                total = 0.0
                for h in range(N):
                    weight[h] = math.exp(step * (least - loss[h]))
                    total += weight[h]
                for i in range(k):
                    accepted = 0.0
                    for h in range(N):
                        accepted += weight[h] * policies[h, people[t, i]]
                    q[i] = accepted / total
                    mistakes += q[i] * (1.0 - labels[t, i]) + (1.0 - q[i]) * labels[t, i]
                # the policy that is played, by inversion
                point = uniform(luck, t) * total
                played = 0
                while played < N - 1 and point >= weight[played]:
                    point -= weight[played]
                    played += 1
                # the pair whose gap exceeds the metric most
                largest = 0.0
                first = -1
                second = -1
                for i in range(k):
                    for j in range(k):
                        excess = q[i] - q[j] - metric[people[t, i], people[t, j]] - alpha
                        if excess > largest:
                            largest = excess
                            first = i
                            second = j
                for i in range(k):
                    x = people[t, i]
                    seen = 0.0
                    if policies[played, x] == 1.0 and labels[t, i] == 0.0:
                        seen = 1.0 / q[i] if weighted else 1.0
                    for h in range(N):
                        loss[h] += seen if policies[h, x] == 1.0 else 0.5
                if first >= 0:
                    reported += 1.0
                    gap += q[first] - q[second]
                    for h in range(N):
                        difference = policies[h, people[t, first]] - policies[h, people[t, second]]
                        against[h] += difference
                        loss[h] += penalty * (1.0 + difference)
                t += 1
            errors[run, mark] = mistakes
            violations[run, mark] = reported
            gaps[run, mark] = gap
            policy_gaps[run, mark] = against
    return errors, violations, gaps, policy_gaps


@numba.njit(cache=True, inline="always")
def laplace(luck, n, scale):  # type: ignore[no-untyped-def]
    """Entry n of a stream of Laplace numbers of the given scale, by inversion."""
    u = uniform(luck, n) - (0.5 - 2.0**-54)  # in (-1/2, 1/2), neither end included
    return -scale * math.log(1.0 - 2.0 * u) if u > 0 else scale * math.log(1.0 + 2.0 * u)


@numba.njit(cache=True)
def leader(policies, separator, losses, luck, n, scale, shift):  # type: ignore[no-untyped-def]
    """The policy of least perturbed loss; reads entries n, n + 1, ... of the stream, one for each context of the separator."""
    for s in range(separator.size):
        shift[s] = laplace(luck, n + s, scale)
    best = -1
    lowest = np.inf
    for h in range(policies.shape[0]):
        value = losses[h]
        for s in range(separator.size):
            value += policies[h, separator[s]] * shift[s]
        if value < lowest:
            lowest = value
            best = h
    return best


@numba.njit(cache=True)
def perturbed_leader(policies, people, labels, separator, scale, resamples, seeds, marks):  # type: ignore[no-untyped-def]
    """Context-Semi-Bandit-FTPL: errors of the policies played (runs, marks), and the calls of the oracle (runs, marks).

    ``scale`` is that of the Laplace law. The stream is read in the order of the calls of the oracle.
    """
    runs, N, d = seeds.size, policies.shape[0], separator.size
    k = people.shape[1]
    errors = np.zeros((runs, marks.size))
    calls = np.zeros((runs, marks.size), dtype=np.int64)
    loss = np.empty(N)
    estimate = np.empty(k)
    shift = np.empty(d)
    for run in range(runs):
        luck = stream(seeds[run], 0)
        loss[:] = 0.0
        mistakes = 0.0
        asked = 0
        t = 0
        for mark in range(marks.size):
            while t < marks[mark]:
                played = leader(policies, separator, loss, luck, asked * d, scale, shift)
                asked += 1
                for i in range(k):
                    x = people[t, i]
                    mistakes += abs(policies[played, x] - labels[t, i])
                    estimate[i] = 0.0
                    if policies[played, x] == 1.0 and labels[t, i] == 0.0:
                        tries = 0
                        while tries < resamples:
                            again = leader(policies, separator, loss, luck, asked * d, scale, shift)
                            asked += 1
                            tries += 1
                            if policies[again, x] == 1.0:
                                break
                        estimate[i] = tries
                for i in range(k):
                    for h in range(N):
                        loss[h] += estimate[i] if policies[h, people[t, i]] == 1.0 else 0.5
                t += 1
            errors[run, mark] = mistakes
            calls[run, mark] = asked
    return errors, calls
