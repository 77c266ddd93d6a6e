"""Exact evaluation of a policy whose next states lie near their state, by elimination within the band."""

from __future__ import annotations

from typing import Any

import numpy as np

from mdplab.models import TabularMDP
from mdplab.solvers import _kernels
from mdplab.solvers.bellman import Floats, Sweeper

OPERATIONS = 8  # an elimination may cost as many multiplications as this many sweeps over all actions ...
FREE = 40_000  # ... or this many, some tens of microseconds
ENTRIES = 2**26  # numbers the band may hold: 512 MiB


class Band:
    """The room for the factors of I - gamma P_pi of a model whose next states lie between s - below and s + above."""

    def __init__(self, states: int, below: int, above: int):
        self.below = below
        self.factors = np.empty((states, below + above + 1))

    @staticmethod
    def of(mdp: TabularMDP) -> Band | None:
        """The band of a model, or None if it is so wide that an elimination would cost more than it is worth."""
        below, above = _kernels.band_extent(mdp.pair_state, mdp.row_pointer, mdp.next_state)
        cost = mdp.states * (below * (above + 1) + below + above + 1)
        narrow = cost <= max(FREE, OPERATIONS * mdp.transitions) and mdp.states * (below + above + 1) <= ENTRIES
        return Band(mdp.states, below, above) if narrow else None

    def evaluate(self, sweeper: Sweeper, value: Floats) -> None:
        """value = the value of the sweeper's policy, up to rounding."""
        kernel: Any = _kernels.eliminate_band
        kernel(*sweeper.rows, sweeper.policy.view(np.uint64), self.below, self.factors, value)
