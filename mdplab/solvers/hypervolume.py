"""Quality of a finite set of value vectors, each entry to be maximised: what it dominates, and how evenly it is spread.

A vector v dominates w if v >= w in every entry and v > w in one. The hypervolume of a set above a reference point is the volume
of {x >= reference: x <= v for some v of the set} (Zitzler and Thiele 1998).
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.errors import InputError

Floats = NDArray[np.float64]
_PAIRS_AT_ONCE = 4_000_000  # comparisons of two vectors held in memory


def nondominated(points: ArrayLike) -> NDArray[np.bool_]:
    """Which of the ``points`` (n, m) no other dominates; bool[n]. Of equal points all are kept or none.

    Raises :class:`InputError` unless the points are finite and of that shape, n >= 0 and m >= 1.
    """
    x = _points(points)
    n, m = x.shape
    if m == 2 and n:
        order = np.lexsort((x[:, 1], x[:, 0]))[::-1]  # the first entry falls, and so does the second among equal ones
        a, b = x[order, 0], x[order, 1]
        opens = np.append(True, a[1:] != a[:-1])
        best = np.maximum.accumulate(b)
        group = np.flatnonzero(opens)[np.cumsum(opens) - 1]  # where the group of equal first entries begins
        before = np.where(group > 0, best[group - 1], -np.inf)
        kept = np.empty(n, dtype=bool)
        kept[order] = (b > before) & (b == b[group])
        return kept
    kept = np.ones(n, dtype=bool)
    block = max(1, _PAIRS_AT_ONCE // max(n * m, 1))
    for low in range(0, n, block):
        mine = x[low : low + block, None, :]
        dominated = np.all(x >= mine, axis=2) & np.any(x > mine, axis=2)
        kept[low : low + block] = ~dominated.any(axis=1)
    return kept


def hypervolume(points: ArrayLike, reference: ArrayLike) -> float:
    """The hypervolume of the ``points`` (n, m) above ``reference`` (m,); 0 without points.

    By a sweep in two dimensions, O(n log n), and by slabs of the last entry in more, O(n^(m-1) log n). Points not above the
    reference in every entry add nothing. Raises :class:`InputError` for shapes that do not fit and numbers that are not finite.
    """
    x, low = _above(points, reference)
    return _volume(x[(x > low).all(axis=1)] - low)


def dominated_volume(points: ArrayLike, reference: ArrayLike) -> float:
    """The volume above ``reference`` (m,) that mixtures of the ``points`` (n, m) dominate: the limit of the hypervolumes of mixtures.

    Exact up to rounding: trapezoids for m = 2, Qhull for more. Raises :class:`InputError` as :func:`hypervolume` does, and for a
    point that is not above the reference in every entry.
    """
    x, low = _above(points, reference)
    if not (x > low).all():
        where = int(np.argmin((x > low).all(axis=1)))
        raise InputError(f"point {where} is not above the reference point in every entry.")
    m = low.size
    if not len(x):
        return 0.0
    if m == 1:
        return float((x - low).max())
    if m == 2:
        corners = upper_hull(x - low)
        ends = np.concatenate(([[0.0, corners[0, 1]]], corners))
        return float((np.diff(ends[:, 0]) * (ends[1:, 1] + ends[:-1, 1]) / 2).sum())
    from scipy.spatial import ConvexHull

    return float(ConvexHull(box_corners(x - low, np.zeros(m))).volume)


def upper_hull(points: ArrayLike) -> Floats:
    """The vertices (k, 2) of what mixtures of the ``points`` (n, 2) dominate, the first entry rising and the second falling.

    Raises :class:`InputError` unless there is a point and each has two entries.
    """
    x = _points(points)
    if x.shape[1] != 2 or not len(x):
        raise InputError(f"an upper hull needs points of two entries each, not an array of shape {x.shape}.")
    x = np.unique(x[nondominated(x)], axis=0)
    hull: list[Floats] = []
    for p in x:
        while len(hull) >= 2 and _turn(hull[-2], hull[-1], p) >= 0:
            hull.pop()
        hull.append(p)
    return np.array(hull)


def box_corners(points: Floats, floor: Floats) -> Floats:
    """The points (n, m) with every subset of their entries lowered to ``floor`` (m,): their hull is what they dominate above it."""
    choices = np.array(list(itertools.product((False, True), repeat=floor.size)))
    return np.unique(np.where(choices[:, None, :], floor, points[None]).reshape(-1, floor.size), axis=0)


def sparsity(points: ArrayLike) -> float:
    """1/(n - 1) sum_j sum_k (x_j(k+1) - x_j(k))^2 over the sorted entries x_j(1) <= ... <= x_j(n) of each objective j.

    As in Xu et al. (2020) and C-MORL (Liu et al. 2025, arXiv 2410.02236), of ``points`` (n, m) that should not dominate one
    another; 0 for fewer than two. Small is dense. Raises :class:`InputError` for another shape and numbers that are not finite.
    """
    x = _points(points)
    if len(x) < 2:
        return 0.0
    return float((np.diff(np.sort(x, axis=0), axis=0) ** 2).sum() / (len(x) - 1))


def _turn(a: Floats, b: Floats, c: Floats) -> float:
    """Positive if a, b, c turn left."""
    return float((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))


def _volume(x: Floats) -> float:
    """The hypervolume of positive points above 0."""
    if not len(x):
        return 0.0
    m = x.shape[1]
    if m == 1:
        return float(x.max())
    if m == 2:
        area = top = 0.0
        for width, height in sorted(x.tolist(), reverse=True):
            if height > top:
                area += width * (height - top)
                top = height
        return area
    levels = np.unique(x[:, -1])
    heights = np.diff(levels, prepend=0.0)
    return float(sum(h * _volume(x[x[:, -1] >= level, :-1]) for level, h in zip(levels, heights)))


def _points(points: ArrayLike) -> Floats:
    x = np.asarray(points, dtype=np.float64)
    if x.ndim != 2 or x.shape[1] < 1:
        raise InputError(f"value vectors are given one a row, as an array (n, m) with m >= 1, not of shape {x.shape}.")
    if not np.isfinite(x).all():
        raise InputError(f"point {int(np.argmin(np.isfinite(x).all(axis=1)))} has an entry that is not finite.")
    return x


def _above(points: ArrayLike, reference: ArrayLike) -> tuple[Floats, Floats]:
    low = np.asarray(reference, dtype=np.float64)
    if low.ndim != 1 or not low.size or not np.isfinite(low).all():
        raise InputError(f"the reference point must be m finite numbers, not {low.tolist()}.")
    given = np.asarray(points, dtype=np.float64)
    x = _points(given.reshape(0, low.size) if given.size == 0 else given)
    if x.shape[1] != low.size:
        raise InputError(f"the points have {x.shape[1]} entries and the reference point {low.size}.")
    return x, low
