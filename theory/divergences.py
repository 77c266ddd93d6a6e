r"""Divergences between probability vectors, and the span seminorm.

All functions work along ``axis`` and broadcast over the other axes: ``kl(p, policies)`` with shapes (n,) and (k, n) gives k
numbers. With ``log=True`` both arguments hold log-probabilities, where -inf stands for probability 0; use it when
probabilities can underflow. Arguments are validated: entries at least 0, sums 1.

Conventions: 0 ln 0 = 0 and 0 ln (0/0) = 0. A divergence of p from q that needs p to be absolutely continuous with respect to
q is ``inf`` where it is not; no function returns nan.

Near p = q the divergences are of second order in p - q and a literal transcription of their formulas loses all digits below
1e-16. They are computed here as sums of terms that are at least 0 and keep their relative accuracy, so that a geometric
rate can be followed down to 1e-30.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.errors import InputError

Array = NDArray[np.float64]

# A vector normalised in float64 sums to 1 within a few units in the last place for each entry; 1e-8 leaves room for vectors
# of millions of entries and for those read from a text file with ten digits, and still catches one that is not normalised.
NORMALISATION = 1e-8


def kl(p: ArrayLike, q: ArrayLike, *, log: bool = False, axis: int = -1) -> Array:
    r"""The Kullback-Leibler divergence :math:`\sum_i p_i \ln(p_i / q_i)`, in nats, in [0, inf].

    Infinite where some :math:`p_i > 0 = q_i`. Computed as :math:`\sum_i p_i \ln(p_i/q_i) - p_i + q_i`, which is the same for
    normalised vectors and of the second order in their rounding errors.
    """
    first, second = _distributions(p, q, log, axis)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        if log:
            both = np.isfinite(first) & np.isfinite(second)
            difference = np.where(both, second - first, 0.0)
            here = np.exp(first)
            # p (exp(d) - 1 - d) with d = ln(q / p); for a large d the product would overflow before it is multiplied by p
            terms = np.where(
                difference > 1, np.exp(second) - here * (1 + difference), here * _expm1_minus(np.minimum(difference, 1))
            )
            terms = np.where(np.isneginf(first), np.exp(second), terms)
            terms = np.where(np.isfinite(first) & np.isneginf(second), np.inf, terms)
        else:
            near = (np.abs(second - first) < 0.5 * first) & (first > 0)
            x = np.where(near, (second - first) / np.where(near, first, 1.0), 0.0)
            far = first * (_log(first) - _log(second)) + (second - first)
            terms = np.where(near, first * _minus_log1p(x), far)
            terms = np.where((first > 0) & (second == 0), np.inf, terms)
        return np.asarray(terms.sum(axis=axis))[()]


def symmetric_kl(p: ArrayLike, q: ArrayLike, *, log: bool = False, axis: int = -1) -> Array:
    r"""Jeffreys' divergence :math:`\mathrm{KL}(p\|q) + \mathrm{KL}(q\|p) = \sum_i (p_i - q_i) \ln(p_i/q_i)`, in [0, inf].

    The sum of the two, not their mean. Infinite unless p and q have the same support.
    """
    first, second = _distributions(p, q, log, axis)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        if log:
            one_sided = np.isneginf(first) != np.isneginf(second)
            difference = np.where(np.isfinite(first) & np.isfinite(second), second - first, 0.0)
            smaller = np.minimum(first, second)
            terms = np.exp(smaller) * np.expm1(np.abs(difference)) * np.abs(difference)
            far = np.abs(difference) > 1  # expm1 could overflow there, and the plain difference loses nothing
            terms = np.where(far, np.abs(np.exp(first) - np.exp(second)) * np.abs(difference), terms)
        else:
            one_sided = (first == 0) != (second == 0)
            low, high = np.minimum(first, second), np.maximum(first, second)
            ratio = np.where(low > 0, (high - low) / np.where(low > 0, low, 1.0), 0.0)
            logarithm = np.where(np.isfinite(ratio), np.log1p(ratio), _log(high) - _log(low))
            terms = np.where(low > 0, (high - low) * logarithm, 0.0)
        return np.asarray(np.where(one_sided, np.inf, terms).sum(axis=axis))[()]


def chi_square(p: ArrayLike, q: ArrayLike, *, log: bool = False, axis: int = -1) -> Array:
    r"""The chi-square divergence :math:`\sum_i (p_i - q_i)^2 / q_i = \sum_i p_i^2 / q_i - 1`, in [0, inf].

    Infinite where some :math:`p_i > 0 = q_i`. At least :math:`e^{\mathrm{KL}(p\|q)} - 1`.
    """
    first, second = _distributions(p, q, log, axis)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        if log:
            both = np.isfinite(second)
            difference = np.where(both, first - second, 0.0)
            near = np.exp(second) * np.expm1(np.minimum(difference, 1)) ** 2
            far = np.exp(first + difference) - 2 * np.exp(first) + np.exp(second)
            terms = np.where(difference > 1, far, near)
            terms = np.where(both, terms, np.where(np.isneginf(first), 0.0, np.inf))
        else:
            change = first - second
            terms = np.where(second > 0, change * (change / np.where(second > 0, second, 1.0)), 0.0)
            terms = np.where((second == 0) & (first > 0), np.inf, terms)
        return np.asarray(terms.sum(axis=axis))[()]


def total_variation(p: ArrayLike, q: ArrayLike, *, log: bool = False, axis: int = -1) -> Array:
    r"""The total variation distance :math:`\tfrac12 \sum_i |p_i - q_i| = \max_A |p(A) - q(A)|`, in [0, 1]."""
    first, second = _distributions(p, q, log, axis)
    if log:
        with np.errstate(invalid="ignore", over="ignore", under="ignore"):
            difference = np.abs(np.where(np.isfinite(first) & np.isfinite(second), second - first, np.inf))
            # larger probability times 1 - smaller / larger
            terms = np.exp(np.maximum(first, second)) * -np.expm1(-difference)
    else:
        terms = np.abs(first - second)
    return np.minimum(terms.sum(axis=axis) / 2, 1.0)[()]


def span(values: ArrayLike, *, axis: int = -1) -> Array:
    """The span seminorm max - min, in [0, inf), of any finite vectors; zero exactly for constant ones."""
    array = np.asarray(values, dtype=float)
    if array.size == 0:
        raise InputError("the span of an empty vector is not defined.")
    if not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise InputError(f"entry {place} of a vector whose span is wanted is {array[place]}.")
    return np.asarray(array.max(axis=axis) - array.min(axis=axis))[()]


def _minus_log1p(x: Array) -> Array:
    """x - ln(1 + x) for |x| <= 1/2, with full relative accuracy.

    With r = x / (2 + x), ln(1 + x) = 2 artanh(r), and the leading terms of the difference cancel by hand.
    """
    r = x / (2 + x)
    series = np.zeros_like(r)
    for k in range(33, 1, -2):  # |r| <= 1/3, so the first term left out is below 1e-16 of the sum
        series = series * r**2 + 1 / k
    return r * x - 2 * r**3 * series


def _expm1_minus(x: Array) -> Array:
    """exp(x) - 1 - x for x <= 1, with full relative accuracy."""
    near = np.abs(x) < 0.5
    y = np.where(near, x, 0.0)
    series = np.ones_like(y)
    for k in range(16, 2, -1):  # y^2 / 2 (1 + y/3 (1 + y/4 (...)))
        series = 1 + y / k * series
    return np.where(near, y**2 / 2 * series, np.expm1(x) - x)


def _log(x: Array) -> Array:
    """ln x, and 0 where x = 0."""
    return np.log(np.where(x > 0, x, 1.0))


def _distributions(p: ArrayLike, q: ArrayLike, log: bool, axis: int) -> tuple[Array, Array]:
    first, second = np.asarray(p, dtype=float), np.asarray(q, dtype=float)
    for name, array in (("first", first), ("second", second)):
        if array.ndim == 0 or array.size == 0:
            raise InputError(f"the {name} argument of a divergence is a vector of probabilities, not of shape {array.shape}.")
        # +inf and nan are as wrong among log-probabilities as negative numbers are among probabilities
        bad = ~(array < np.inf) if log else ~((array >= 0) & (array < np.inf))
        if bad.any():
            place = tuple(int(i) for i in np.argwhere(bad)[0])
            raise InputError(f"entry {place} of the {name} argument of a divergence is {array[place]}.")
        total = np.exp(array).sum(axis=axis) if log else array.sum(axis=axis)
        worst = float(np.ravel(total)[np.argmax(np.abs(np.ravel(total) - 1))])
        if abs(worst - 1) > NORMALISATION:
            raise InputError(f"the {name} argument of a divergence sums to {worst:.12g}, not to 1.")
    if first.shape[axis] != second.shape[axis]:
        raise InputError(
            f"the two arguments of a divergence have {first.shape[axis]} and {second.shape[axis]} entries along axis {axis}."
        )
    a, b = np.broadcast_arrays(first, second)
    return a, b
