"""Numba kernel of the contextual bandit algorithms that play by inverse-gap weighting of a regression.

A run has three streams: the context, the action and the reward of round t are read from entry t of streams 0, 1 and 2. So a
run depends on its seed alone, and two algorithms with the same seed see the same contexts and the same luck.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from theory.random_streams import normal, stream, uniform


@numba.njit(cache=True)
def regression_play(
    means: NDArray[np.float64],
    law: NDArray[np.float64],
    deviation: float,
    functions: NDArray[np.float64],
    seeds: NDArray[np.uint64],
    checkpoints: NDArray[np.int64],
    gamma: NDArray[np.float64],
    refit: NDArray[np.bool_],
    rate: float,
    forget: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pseudo-regret and estimation error up to the checkpoints, each of shape (seeds, checkpoints).

    ``functions`` has shape (X, K, F). Before round t, where ``refit[t]``, the prediction is recomputed from the squared losses
    since the last ``forget`` (or all of them): the mean of the functions with weights exp(-rate * loss), or for an infinite rate the first
    function of least loss. Round t plays inverse-gap weighting of the prediction with ``gamma[t]``. A negative ``deviation``
    stands for Bernoulli rewards.
    """
    runs, contexts, arms, size = seeds.size, means.shape[0], means.shape[1], functions.shape[2]
    regret = np.zeros((runs, checkpoints.size))
    error = np.zeros((runs, checkpoints.size))
    loss = np.empty(size)
    weight = np.empty(size)
    prediction = np.empty((contexts, arms))
    fitted = np.empty(contexts, dtype=np.int64)  # the round at which a context's predictions were last computed
    play = np.empty(arms)
    for run in range(runs):
        at_context, at_action, at_reward = stream(seeds[run], 0), stream(seeds[run], 1), stream(seeds[run], 2)
        loss[:] = 0.0
        fitted[:] = -1
        last = 0
        spent, missed = 0.0, 0.0
        t = 0
        for mark in range(checkpoints.size):
            while t < checkpoints[mark]:
                if refit[t]:
                    last = t
                    least = 0
                    for f in range(1, size):
                        if loss[f] < loss[least]:
                            least = f
                    if math.isinf(rate):
                        weight[:] = 0.0
                        weight[least] = 1.0
                    else:
                        total = 0.0
                        for f in range(size):
                            weight[f] = math.exp(-rate * (loss[f] - loss[least]))
                            total += weight[f]
                        for f in range(size):
                            weight[f] /= total
                    if forget:
                        loss[:] = 0.0
                x = 0
                left = uniform(at_context, t) - law[0]
                while left >= 0.0 and x < contexts - 1:
                    x += 1
                    left -= law[x]
                if fitted[x] < last:
                    fitted[x] = last
                    for a in range(arms):
                        mean = 0.0
                        for f in range(size):
                            mean += weight[f] * functions[x, a, f]
                        prediction[x, a] = mean
                best, top = 0, means[x, 0]
                for a in range(1, arms):
                    top = max(top, means[x, a])
                    if prediction[x, a] > prediction[x, best]:
                        best = a
                rest = 1.0
                for a in range(arms):
                    if a != best:
                        play[a] = 1.0 / (arms + gamma[t] * (prediction[x, best] - prediction[x, a]))
                        rest -= play[a]
                play[best] = rest
                chosen = -1
                left = uniform(at_action, t)
                for a in range(arms):
                    spent += play[a] * (top - means[x, a])
                    missed += play[a] * (prediction[x, a] - means[x, a]) ** 2
                    left -= play[a]
                    if chosen < 0 and left < 0.0:
                        chosen = a
                if chosen < 0:
                    chosen = best
                if deviation < 0.0:
                    reward = 1.0 if uniform(at_reward, t) < means[x, chosen] else 0.0
                else:
                    reward = means[x, chosen] + deviation * normal(at_reward, t)
                for f in range(size):
                    loss[f] += (functions[x, chosen, f] - reward) ** 2
                t += 1
            regret[run, mark] = spent
            error[run, mark] = missed
    return regret, error
