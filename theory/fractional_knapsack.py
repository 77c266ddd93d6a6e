r"""The fractional knapsack: the best value of divisible items at every capacity.

Item i has a weight :math:`w_i > 0` and a value :math:`g_i` for each unit of weight, which may be negative. The front

.. math:: F(c) = \max \Bigl\{ \sum_i w_i g_i x_i : \sum_i w_i x_i \le c,\; 0 \le x_i \le 1 \Bigr\}
          = \min_{\alpha \ge 0} \Bigl[ \alpha c + \sum_i w_i (g_i - \alpha)_+ \Bigr]

is concave and piecewise linear. Items of positive value are packed in falling order of :math:`g_i`, at most one of them in part
(Dantzig 1957).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class KnapsackFront:
    """The corners of the front, which joins them by lines and is constant after the last.

    ``order`` (k,): the items of positive value, the best first. ``capacities``, ``values`` (k + 1,): what the first 0 .. k of them
    weigh and are worth together.
    """

    order: NDArray[np.int64]
    capacities: Array
    values: Array

    def value(self, capacity: ArrayLike) -> Array:
        """F at each ``capacity`` >= 0, in the shape of ``capacity``."""
        return np.asarray(np.interp(_capacity(capacity), self.capacities, self.values))[()]


def knapsack_front(weights: ArrayLike, densities: ArrayLike) -> KnapsackFront:
    """The front of items with ``weights`` (n,), positive, and ``densities`` (n,), the values for each unit of weight.

    Items of equal density are taken in the order given. Raises :class:`InputError` for anything else.
    """
    w, g = _items(weights, densities)
    order = np.argsort(-g, kind="stable")
    order = order[g[order] > 0]
    capacities = np.concatenate(([0.0], np.cumsum(w[order])))
    return KnapsackFront(order, capacities, np.concatenate(([0.0], np.cumsum(w[order] * g[order]))))


def knapsack_fractions(weights: ArrayLike, densities: ArrayLike, capacity: float) -> Array:
    """How much of each item is packed at the ``capacity`` >= 0: numbers in [0, 1], shape (n,), at most one inside."""
    w, _ = _items(weights, densities)
    front = knapsack_front(weights, densities)
    fractions = np.zeros(w.size)
    room = float(_capacity(capacity)) - front.capacities[:-1]
    fractions[front.order] = np.clip(room / w[front.order], 0.0, 1.0)
    return fractions


def _items(weights: ArrayLike, densities: ArrayLike) -> tuple[Array, Array]:
    w, g = np.asarray(weights, dtype=float), np.asarray(densities, dtype=float)
    if w.ndim != 1 or w.shape != g.shape or w.size == 0:
        raise InputError(f"a knapsack has one weight and one density for each item, not the shapes {w.shape} and {g.shape}.")
    if not (np.isfinite(w).all() and (w > 0).all() and np.isfinite(g).all()):
        raise InputError("items of a knapsack have finite positive weights and finite densities.")
    return w, g


def _capacity(capacity: ArrayLike) -> Array:
    c = np.asarray(capacity, dtype=float)
    if not (c >= 0).all():
        raise InputError(f"the capacity of a knapsack is at least 0, not {float(np.min(c))}.")
    return c
