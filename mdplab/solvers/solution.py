"""What a discounted solver returns: values, a policy, and the bracket that proves them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Solution:
    """Optimal values of a discounted MDP with their proof.

    ``lower <= V* <= upper`` holds for every state, rounding included; ``value`` lies in between. ``policy`` holds the pair
    chosen in each state, int64[S]; its own value is at least ``lower`` as well (so it loses at most ``width``). ``iterations``
    counts what the ``method`` iterates (sweeps, policies, or simplex steps).
    """

    value: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    policy: NDArray[np.int64]
    iterations: int
    method: str

    @property
    def width(self) -> float:
        """The largest width of the bracket, max (upper - lower)."""
        return float((self.upper - self.lower).max())
