"""Inner loops of games.counterfactual_regret.

Of each player: ``parents`` and ``starts`` of the treeplex, and the matrix of gains as compressed sparse rows (``rows``,
``columns``, ``entries``). Indices are unsigned, which spares the wrap-around of negative ones, and the loops avoid branches
that depend on numbers, which a processor would often guess wrong.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.uint32]


@njit(cache=True)
def gains(rows: Index, columns: Index, entries: Array, opponent: Array, gain: Array) -> None:
    """What each sequence gains against the opponent's plan: the product of the sparse matrix and the plan."""
    for s in range(gain.size):
        total = 0.0
        for k in range(rows[s], rows[s + 1]):
            total += entries[k] * opponent[columns[k]]
        gain[s] = total


@njit(cache=True, error_model="numpy")
def match_regrets(parents: Index, starts: Index, gain: Array, policy: Array, regret: Array, least: float) -> None:
    """Counterfactual values from the last information sets to the first; regrets grow by them; the ``policy`` matches the
    regrets.

    ``gain`` holds what each sequence gains by itself, and in the end its counterfactual value. Regrets are cut off below
    ``least``.
    """
    for turn in range(parents.size):
        h = parents.size - 1 - turn
        first, last = starts[h], starts[h + 1]
        value = 0.0
        for s in range(first, last):
            value += policy[s] * gain[s]
        gain[parents[h]] += value
        total = 0.0
        for s in range(first, last):
            now = max(regret[s] + gain[s] - value, least)
            regret[s] = now
            now = max(now, 0.0)
            policy[s] = now
            total += now
        some = total > 0.0
        scale = 1.0 / (total if some else 1.0)
        alike = 0.0 if some else 1.0 / (last - first)
        for s in range(first, last):
            policy[s] = policy[s] * scale + alike


@njit(cache=True)
def realise(parents: Index, starts: Index, policy: Array, plan: Array) -> None:
    """The realisation plan of a behaviour ``policy``."""
    for h in range(parents.size):
        reach = plan[parents[h]]
        for s in range(starts[h], starts[h + 1]):
            plan[s] = reach * policy[s]


@njit(cache=True)
def iterate(
    parents: tuple[Index, Index],
    starts: tuple[Index, Index],
    rows: tuple[Index, Index],
    columns: tuple[Index, Index],
    entries: tuple[Array, Array],
    policies: tuple[Array, Array],
    plans: tuple[Array, Array],
    regrets: tuple[Array, Array],
    totals: tuple[Array, Array],
    gain: tuple[Array, Array],
    past: int,
    last: int,
    least: float,
    linear: bool,
    alternating: bool,
    plays: tuple[Array, Array],
) -> None:
    """Iterations ``past`` + 1 to ``last``, in place; ``plays``, if they have rows, receive the plans that are averaged.

    ``totals`` gather the plans, weighted by the iteration if ``linear``. With ``alternating`` turns the row player has moved
    before the pair is averaged and the column player moves.
    """
    for t in range(past, last):
        gains(rows[0], columns[0], entries[0], plans[1], gain[0])
        if alternating:
            match_regrets(parents[0], starts[0], gain[0], policies[0], regrets[0], least)
            realise(parents[0], starts[0], policies[0], plans[0])
        weight = t + 1.0 if linear else 1.0
        for player in range(2):
            for s in range(totals[player].size):
                totals[player][s] += weight * plans[player][s]
            if plays[player].shape[0] > 0:
                plays[player][t] = plans[player]
        gains(rows[1], columns[1], entries[1], plans[0], gain[1])
        if not alternating:
            match_regrets(parents[0], starts[0], gain[0], policies[0], regrets[0], least)
            realise(parents[0], starts[0], policies[0], plans[0])
        match_regrets(parents[1], starts[1], gain[1], policies[1], regrets[1], least)
        realise(parents[1], starts[1], policies[1], plans[1])
