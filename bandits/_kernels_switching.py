"""The simulators of learners that pay for switches and whose play is random: batched EXP3, and a sequential test of two arms.

Stream 0 of a run draws the arm of batch b in entry b (batched EXP3), or the step of round t in entry t - 1 (the test). Stream 1
draws the 0/1 losses that batched EXP3 sees, in the order of the rounds.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from theory.random_streams import normal, stream, uniform


@numba.njit(cache=True)
def batched_exp3(
    losses: NDArray[np.float64], draws: int, eta: float, seeds: NDArray[np.uint64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Expected loss, as a sum over batches, and expected switches; (runs,) each.

    Run r meets the sequence r mod n of ``losses``, shape (n, N, K). With ``draws`` = 0 the played arm's loss is seen; otherwise
    the mean of so many losses of 0 or 1 with that mean. Expectations are over the arm of a batch, given what came before.
    """
    sequences, batches, arms = losses.shape
    runs = seeds.size
    loss, switches = np.zeros(runs), np.ones(runs)
    weights, total = np.empty(arms), np.empty(arms)
    for r in range(runs):
        q = r % sequences
        choice, coins = stream(seeds[r], 0), stream(seeds[r], 1)
        toss, before = 0, -1
        total[:] = 0.0
        for b in range(batches):
            least = total[0]
            for k in range(1, arms):
                least = min(least, total[k])
            norm = 0.0
            for k in range(arms):
                weights[k] = math.exp(-eta * (total[k] - least))
                norm += weights[k]
            u, arm, reached = uniform(choice, b) * norm, arms - 1, 0.0
            for k in range(arms - 1):
                reached += weights[k]
                if u < reached:
                    arm = k
                    break
            for k in range(arms):
                weights[k] /= norm
                loss[r] += weights[k] * losses[q, b, k]
            if before >= 0:
                switches[r] += 1.0 - weights[before]
            before = arm
            seen = losses[q, b, arm]
            if draws > 0:
                hits = 0
                for _ in range(draws):
                    hits += uniform(coins, toss) < losses[q, b, arm]
                    toss += 1
                seen = hits / draws
            total[arm] += seen / weights[arm]
    return loss, switches


@numba.njit(cache=True)
def sequential_test(
    parents: NDArray[np.int64], best: int, gap: float, block: int, threshold: float, seeds: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rounds at the worse arm and switches, the first play counted; (runs,) each.

    The arms 0 and 1 are played in turn for ``block`` rounds each until the absolute log-likelihood ratio of the observations
    reaches ``threshold``, then the likelier one for ever.
    """
    rounds = parents.size - 1
    runs = seeds.size
    worse, switches = np.zeros(runs, dtype=np.int64), np.ones(runs, dtype=np.int64)
    sign = np.zeros(rounds + 1)
    for t in range(1, rounds + 1):
        sign[t] = 1.0 - 2.0 * (((t - 1) // block) % 2)
    truth = 1.0 - 2.0 * best
    for r in range(runs):
        steps = stream(seeds[r], 0)
        ratio, before = 0.0, 1.0  # log-likelihood of arm 0 the better one, less that of arm 1
        for t in range(1, rounds + 1):
            if abs(ratio) >= threshold:
                chosen = 1.0 if ratio > 0.0 else -1.0
                switches[r] += chosen != before
                if chosen != truth:
                    worse[r] += rounds - t + 1
                break
            chosen = sign[t]
            if t > 1:
                switches[r] += chosen != before
            worse[r] += chosen != truth
            difference = chosen - sign[parents[t]]
            if difference != 0.0:
                # the observed step, but for a gap / 2 at the root, which both hypotheses share
                observed = normal(steps, t - 1) - gap / 2 * truth * difference
                ratio -= gap * difference * observed
            before = chosen
    return worse, switches
