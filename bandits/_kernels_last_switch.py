"""The simulator of independent virtual renewal processes in last-switch-dependent bandits.

Each pair of a run and an arm has a counter-based stream of its own: entry 0 draws the cycle under way in the first round,
entry 1 the place in it, and entry 2, 3, ... the cycles that follow.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from theory.random_streams import stream, uniform


@numba.njit(cache=True)
def _drawn(cumulative: NDArray[np.float64], first: int, last: int, u: float) -> int:
    """The first cycle k in [first, last] with u < cumulative[k]; ``last`` if there is none."""
    k = first
    while k < last and u >= cumulative[k]:
        k += 1
    return k


@numba.njit(cache=True)
def independent_renewals(
    pointer: NDArray[np.int64],
    idle: NDArray[np.int64],
    run: NDArray[np.int64],
    by_time: NDArray[np.float64],
    by_cycle: NDArray[np.float64],
    planned: NDArray[np.float64],
    payoffs: NDArray[np.float64],
    stationary: bool,
    burn_in: int,
    rounds: int,
    seeds: NDArray[np.uint64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Mean reward, mean planned payoff of the plays, and planned plays of an arm below its planned state; (runs,) each.

    Arm i has the cycles ``pointer[i] : pointer[i + 1]``; ``by_time`` and ``by_cycle`` are cumulative probabilities within an
    arm, of the cycle under way at a fixed time and of the next cycle. Without ``stationary`` every arm starts a cycle in the
    first round. All arms start at full rest.
    """
    arms, columns = payoffs.shape
    depth = columns // 2
    runs = seeds.size
    reward, virtual, below = np.zeros(runs), np.zeros(runs), np.zeros(runs, dtype=np.int64)
    start = np.empty(arms, dtype=np.uint64)
    counter, cycle, place = np.empty(arms, dtype=np.int64), np.empty(arms, dtype=np.int64), np.empty(arms, dtype=np.int64)
    state = np.empty(arms, dtype=np.int64)
    for r in range(runs):
        for i in range(arms):
            start[i] = stream(seeds[r], i)
            counter[i] = 2
            law = by_time if stationary else by_cycle
            cycle[i] = _drawn(law, pointer[i], pointer[i + 1] - 1, uniform(start[i], 0))
            length = idle[cycle[i]] + run[cycle[i]]
            place[i] = int(uniform(start[i], 1) * length) if stationary else 0
            state[i] = columns - 1
        for t in range(burn_in + rounds):
            chosen, chosen_column, best = -1, 0, 0.0
            for i in range(arms):
                k = cycle[i]
                if place[i] >= idle[k]:
                    if idle[k] == 0:
                        column = 0
                    elif place[i] == idle[k]:
                        column = depth - 1 + idle[k]
                    else:
                        column = depth - (place[i] - idle[k])
                    if state[i] < column:
                        below[r] += 1
                    if chosen < 0 or planned[i, column] > best:
                        chosen, chosen_column, best = i, column, planned[i, column]
            if t >= burn_in and chosen >= 0:
                reward[r] += payoffs[chosen, state[chosen]]
                virtual[r] += payoffs[chosen, chosen_column]
            for i in range(arms):
                if i == chosen:
                    state[i] = depth - 1 if state[i] >= depth else max(state[i] - 1, 0)
                else:
                    state[i] = min(state[i] + 1, columns - 1) if state[i] >= depth else depth
                place[i] += 1
                if place[i] == idle[cycle[i]] + run[cycle[i]]:
                    cycle[i] = _drawn(by_cycle, pointer[i], pointer[i + 1] - 1, uniform(start[i], counter[i]))
                    counter[i] += 1
                    place[i] = 0
        reward[r] /= rounds
        virtual[r] /= rounds
    return reward, virtual, below
