r"""The adversary's problem of a robust Bellman update: min of p . v over a set of rows p, with a certified bracket.

All functions work on many rows at once: ``probability`` holds nominal rows q, float64[N, B], ``values`` the numbers v of the B
places that each may lead to, float64[N, B], and ``radius`` is float64[N]. Rows shorter than B are filled up with places of
probability 0.

- :func:`worst_l1`: take mass radius / 2 from the places of largest v and put it on the one of least v; by sorting.
- :func:`worst_kl`: the row is q exp(-beta v), normalised, with beta such that its relative entropy is the radius. The dual

  .. math:: \sup_{\beta > 0} -\frac{1}{\beta} \Bigl(\ln \sum q\, e^{-\beta v} + r\Bigr)

  bounds the answer from below at every beta, the row of a beta whose entropy is at most the radius from above.
- :func:`worst_chi_square`: the row is q (c - v)_+, normalised. On the places it keeps, of nominal mass Q, mean m and variance s^2,
  c = m + s / sqrt(D) with D = (1 + r) Q - 1, and the answer is m - s sqrt(D); sorting tells which places.

The bracket allows for rounding in all operations, elementary functions taken to be right to four units in the last place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mdplab.solvers.bounds import UNIT_ROUNDOFF

Floats = NDArray[np.float64]
NEWTON_STEPS = 100  # of safeguarded steps; a dozen suffice unless a bracket must be bisected
CENTRED = 30.0  # largest beta (mean - min) at which exponents are measured from the mean


@dataclass(frozen=True, eq=False)
class WorstRows:
    """The least p . v of each row lies between ``lower`` and ``upper``, float64[N]; ``row`` float64[N, B] attains ``upper``.

    ``row`` is feasible, and its p . v is ``upper`` up to the rounding that ``upper`` allows for.
    """

    lower: Floats
    upper: Floats
    row: Floats


def inner_rounding(terms: int, values: Floats) -> Floats:
    """What rounding can do to the answer of each inner problem, float64[N]: (8 terms + 64) u max |v|."""
    return np.asarray((8 * terms + 64) * UNIT_ROUNDOFF * np.abs(values).max(axis=1))


def worst_l1(probability: Floats, values: Floats, radius: Floats, anywhere: bool = False) -> WorstRows:
    """The least p . v over rows with sum |p - q| <= radius (in [0, 2]).

    p may use only places with q > 0, unless ``anywhere`` lets it use all B.
    """
    usable = np.where((probability > 0) | anywhere, values, np.inf)
    least = usable.argmin(axis=1)
    low = np.take_along_axis(values, least[:, None], axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    sorted_q = np.take_along_axis(probability, order, axis=1)
    above = np.cumsum(sorted_q, axis=1) - sorted_q
    taken_sorted = np.clip(radius[:, None] / 2 - above, 0.0, sorted_q)
    taken = np.empty_like(taken_sorted)
    np.put_along_axis(taken, order, taken_sorted, axis=1)
    taken[np.arange(len(taken)), least] = 0.0
    answer = (probability * values).sum(axis=1) - (taken * (values - low)).sum(axis=1)
    row = probability - taken
    row[np.arange(len(row)), least] += taken.sum(axis=1)
    error = inner_rounding(values.shape[1], values)
    return WorstRows(answer - error, answer + error, row)


def worst_kl(probability: Floats, values: Floats, radius: Floats) -> WorstRows:
    """The least p . v over rows with sum p ln(p / q) <= radius."""
    used = probability > 0
    q = probability / probability.sum(axis=1, keepdims=True)
    low = np.where(used, values, np.inf).min(axis=1)
    span = np.where(used, values, -np.inf).max(axis=1) - low
    w = np.where(used, values - low[:, None], 0.0) / np.where(span > 0, span, 1.0)[:, None]
    mean = (q * w).sum(axis=1)
    centred = np.where(used, w - mean[:, None], 0.0)
    bottom = np.where(used & (w == 0), q, 0.0).sum(axis=1)
    error = inner_rounding(values.shape[1], np.where(used, values, 0.0))

    # Rows on which nothing is to be found: v constant, radius 0, or a ball that reaches the least v itself.
    reach = -np.log(bottom)
    at_least = (span > 0) & (radius >= reach)
    trivial = (span == 0) | (radius == 0)
    open_rows = np.flatnonzero(~at_least & ~trivial)
    lower, upper = np.where(trivial, mean, 0.0), np.where(trivial, mean, 0.0)
    row = np.where(at_least[:, None], np.where(used & (w == 0), q / bottom[:, None], 0.0), q)
    if open_rows.size:
        found = _tilts(q[open_rows], w[open_rows], centred[open_rows], mean[open_rows], radius[open_rows])
        lower[open_rows], upper[open_rows], row[open_rows] = found
    return WorstRows(low + span * lower - error, low + span * upper + error, row)


def _tilts(q: Floats, w: Floats, centred: Floats, mean: Floats, radius: Floats) -> tuple[Floats, Floats, Floats]:
    """Best dual value, primal value and row of the rows that need a search; w in [0, 1], least 0."""
    size = len(q)
    lower, upper = np.zeros(size), mean.copy()
    row = q.copy()
    small, large = np.zeros(size), np.full(size, np.inf)
    variance = (q * centred**2).sum(axis=1)
    beta = np.sqrt(2 * radius / np.maximum(variance, 1e-300))
    active = np.arange(size)
    for _ in range(NEWTON_STEPS):
        b, r, m = beta[active], radius[active], mean[active]
        near = b * m <= CENTRED
        x = b[:, None] * np.where(near[:, None], centred[active], w[active])
        p = q[active] * np.exp(-x)
        total = p.sum(axis=1)
        p /= total[:, None]
        # log E exp(-beta (w - mean)), of which the first form keeps the digits where it is small
        growth = np.where(near, (q[active] * np.expm1(-x)).sum(axis=1), 0.0)
        log_mean = np.where(near, np.log1p(growth), np.log(total) + b * m)
        drift = (p * centred[active]).sum(axis=1)
        entropy = -b * drift - log_mean
        lower[active] = np.maximum(lower[active], m - (log_mean + r) / b)
        inside = entropy <= r
        better = inside & (m + drift < upper[active])
        upper[active[better]] = (m + drift)[better]
        row[active[better]] = p[better]
        small[active[inside]] = b[inside]
        large[active[~inside]] = b[~inside]
        slope = b * np.maximum((p * (centred[active] - drift[:, None]) ** 2).sum(axis=1), 1e-300)
        step = b * np.exp(np.clip((r - entropy) / (b * slope), -3.0, 3.0))  # Newton's step in the logarithm of beta
        # near the end, a step to the boundary is shortened by what rounding can do to beta, so that the primal side closes too
        noise = 8 * UNIT_ROUNDOFF * (1 + 1 / np.sqrt(r))
        step = np.where(np.abs(entropy - r) <= (1e-9 + 8 * noise) * r, step * (1 - noise), step)
        middle = np.where(np.isinf(large[active]), 2 * b, np.sqrt(np.maximum(small[active], b / 8) * large[active]))
        wild = (step <= small[active]) | (step >= large[active])
        beta[active] = np.where(wild, middle, step)
        tight = large[active] <= small[active] * (1 + 4 * UNIT_ROUNDOFF)
        active = active[(upper[active] - lower[active] > 8 * UNIT_ROUNDOFF) & ~tight]
        if not active.size:
            break
    return lower, np.maximum(upper, lower), row


def worst_chi_square(probability: Floats, values: Floats, radius: Floats) -> WorstRows:
    """The least p . v over rows with sum (p - q)^2 / q <= radius."""
    used = probability > 0
    q = probability / probability.sum(axis=1, keepdims=True)
    order = np.argsort(np.where(used, values, np.inf), axis=1, kind="stable")
    low = np.take_along_axis(values, order[:, :1], axis=1)
    sorted_q = np.take_along_axis(q, order, axis=1)
    w = np.where(sorted_q > 0, np.take_along_axis(values, order, axis=1) - low, 0.0)
    mass = np.cumsum(sorted_q, axis=1)
    mean = np.cumsum(sorted_q * w, axis=1) / mass
    # the variance of a growing set (Chan, Golub and LeVeque 1983) and the mass left out, without cancellation
    share = sorted_q[:, 1:] * mass[:, :-1] / mass[:, 1:]
    square = np.zeros_like(w)
    square[:, 1:] = np.cumsum(share * (w[:, 1:] - mean[:, :-1]) ** 2, axis=1)
    beyond = np.zeros_like(w)
    beyond[:, :-1] = np.cumsum(sorted_q[:, :0:-1], axis=1)[:, ::-1]
    grown = radius[:, None] - (1 + radius)[:, None] * beyond
    deviation = np.sqrt(square / mass)
    following = np.concatenate((w[:, 1:], np.full((len(q), 1), np.inf)), axis=1)
    following[:, :-1] = np.where(sorted_q[:, 1:] > 0, following[:, :-1], np.inf)
    with np.errstate(invalid="ignore", divide="ignore"):
        enough = (grown > 0) & ((following - mean) * np.sqrt(np.maximum(grown, 0.0)) >= deviation)
    kept = np.where((radius == 0)[:, None], np.isinf(following), enough).argmax(axis=1)[:, None]
    m, s, D = (np.take_along_axis(a, kept, axis=1)[:, 0] for a in (mean, deviation, grown))
    flat = (s == 0) | (radius == 0)
    root = np.sqrt(np.maximum(D, 0.0))
    answer = np.where(flat, m, m - s * root)
    with np.errstate(invalid="ignore", divide="ignore"):
        weight = np.where(flat[:, None], 1.0, np.maximum(1 + (m[:, None] - w) * np.where(flat, 0.0, root / s)[:, None], 0.0))
    weight = np.where(np.arange(w.shape[1]) <= kept, weight, 0.0) * sorted_q
    row = np.empty_like(weight)
    np.put_along_axis(row, order, weight / weight.sum(axis=1, keepdims=True), axis=1)
    error = inner_rounding(values.shape[1], np.where(used, values, 0.0))
    return WorstRows(low[:, 0] + answer - error, low[:, 0] + answer + error, row)


def worst_vertex(vertices: Floats, value: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """The least p . value over the vertices p of each row, and which vertex: ``vertices`` float64[..., K, S], results (...)."""
    products = vertices @ value
    return products.min(axis=-1), products.argmin(axis=-1)
