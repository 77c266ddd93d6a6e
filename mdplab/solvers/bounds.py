r"""Bounds on the optimal values from one Bellman sweep (MacQueen 1966, Porteus 1971), made safe against rounding.

With m = min (TV - V) and M = max (TV - V),

    TV + gamma m / (1 - gamma)  <=  V^greedy  <=  V*  <=  TV + gamma M / (1 - gamma),

for the policy greedy with respect to V. The float versions below are widened by what rounding can do: the error of computing
TV, at most ``(b + 4) u (max |R| + gamma max |V|)`` for rows of b terms (u is half a unit in the last place), and the defect of
rows that sum only nearly to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models import ModelError, TabularMDP

UNIT_ROUNDOFF = 2.0**-53


@dataclass(frozen=True)
class RowFacts:
    """What the rounding bounds need to know of a model: its longest row, largest |reward|, largest defect |row sum - 1|."""

    terms: int
    reward: float
    defect: float


_FACTS: WeakKeyDictionary[TabularMDP, RowFacts] = WeakKeyDictionary()


def row_facts(mdp: TabularMDP) -> RowFacts:
    """The :class:`RowFacts` of a model, remembered while it lives."""
    known = _FACTS.get(mdp)
    if known is None:
        terms = int(np.diff(mdp.row_pointer).max())
        sums = np.add.reduceat(mdp.probability, mdp.row_pointer[:-1])
        defect = float(np.abs(sums - 1.0).max()) + (terms + 1) * UNIT_ROUNDOFF
        known = _FACTS[mdp] = RowFacts(terms, float(np.abs(mdp.reward).max()), defect)
    return known


def macqueen_porteus(value: ArrayLike, backed_up: ArrayLike, gamma: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The MacQueen-Porteus bounds in exact arithmetic: (lower, upper) on V* from V and TV, arrays of shape (S,)."""
    v, tv = np.asarray(value, dtype=float), np.asarray(backed_up, dtype=float)
    if not 0 <= gamma < 1:
        raise ModelError(f"the bounds need a discount in [0, 1), not {gamma}.")
    difference = tv - v
    factor = gamma / (1 - gamma)
    return tv + factor * difference.min(), tv + factor * difference.max()


def bracket_shifts(mdp: TabularMDP, value_size: float, smallest: float, largest: float) -> tuple[float, float, float]:
    """Shifts (lower, upper) to be added to a computed TV so that the ends surely enclose V*, and the part due to rounding.

    ``value_size`` is max |V|, ``smallest`` and ``largest`` the computed extremes of TV - V.
    """
    facts = row_facts(mdp)
    sweep = (facts.terms + 4) * UNIT_ROUNDOFF * (facts.reward + mdp.gamma * (1 + facts.defect) * value_size)
    return contraction_shifts(mdp.gamma, facts.defect, sweep, value_size, smallest, largest)


def contraction_shifts(
    gamma: float, defect: float, sweep: float, value_size: float, smallest: float, largest: float
) -> tuple[float, float, float]:
    """:func:`bracket_shifts` for any monotone operator T with T(V + c) = TV + gamma c, up to rows that sum to 1 +- ``defect``.

    ``sweep`` bounds the error of a computed TV.
    """
    u = UNIT_ROUNDOFF
    room = 1 - gamma - 4 * u
    if room <= 0:
        raise ModelError(f"the discount {gamma!r} is too close to 1: rounding leaves nothing of 1 - gamma to divide by.")
    m, M = smallest - sweep - u * abs(smallest), largest + sweep + u * abs(largest)
    size = max(abs(m), abs(M))
    # With rows summing to 1 +- e, T(V + c) differs from TV + gamma c by gamma e |c|, which adds gamma e |m| / (1 - gamma)^2.
    skew = gamma * defect * size / room**2
    widening = sweep + 2 * skew + 8 * u * (value_size + size / room)
    return (
        gamma * m / room * (1 if m < 0 else room / (1 - gamma + 4 * u)) - widening,
        (gamma * M / room * (1 if M > 0 else room / (1 - gamma + 4 * u)) + widening),
        sweep / room + widening,
    )


def eliminate_actions(mdp: TabularMDP, q_upper: ArrayLike, value_lower: ArrayLike) -> NDArray[np.bool_]:
    """The pairs (bool[N]) proved suboptimal: an upper bound on Q*(s, a) lies below a lower bound on V*(s) (MacQueen 1967)."""
    return np.asarray(q_upper, dtype=float) < np.asarray(value_lower, dtype=float)[mdp.pair_state]
