"""Inner loops of the variance-reduced methods. Only :func:`full` and :func:`component` evaluate the operator, and they count.

Random numbers come from the generator that is passed, one ``random()`` for every decision and every index.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from games._kernels_anchored import full, norm

Complex = NDArray[np.complex128]
Reals = NDArray[np.float64]
Counts = NDArray[np.int64]


@njit(cache=True)
def component(weight: Complex, centre: Complex, counter: Counts, i: int, u: Complex, out: Complex) -> None:
    """out = F_i(u), one call."""
    counter[0] += 1
    for j in range(u.size):
        out[j] = weight[i, j] * (u[j] - centre[i, j])


@njit(cache=True)
def affine_residual(mean_weight: Complex, offset: Complex, u: Complex) -> float:
    """The norm of F(u), for the record only: no call."""
    total = 0.0
    for j in range(u.size):
        value = mean_weight[j] * u[j] - offset[j]
        total += value.real**2 + value.imag**2
    return np.sqrt(total)


@njit(cache=True)
def page_path(
    weight: Complex,
    centre: Complex,
    mean_weight: Complex,
    offset: Complex,
    counter: Counts,
    u0: Complex,
    anchor: Reals,
    step: float,
    refresh: Reals,
    batch: int,
    recursive: bool,
    rng: Any,
    until: float,
    patience: float,
    largest: float,
    residuals: Reals,
    calls: Counts,
    u: Complex,
) -> int:
    """PAGE-Halpern from u0; fills residuals and calls, leaves the last iterate in ``u``, returns the iterations made.

    Ends when the residual has been at most ``until`` since the iteration k0 and the iteration patience * k0 is reached, or when
    it passes ``largest``.
    """
    n, m = weight.shape
    before = np.empty(m, dtype=np.complex128)
    estimate = np.zeros(m, dtype=np.complex128)
    change = np.empty(m, dtype=np.complex128)
    now = np.empty(m, dtype=np.complex128)
    then = np.empty(m, dtype=np.complex128)
    share = 1.0 / batch
    charged = counter[0]
    u[:] = u0
    before[:] = u0
    residuals[0] = affine_residual(mean_weight, offset, u)
    calls[0] = 0
    entered = 0  # the first iterate of the present stretch at or below ``until``
    if not residuals[0] <= until:
        entered = 1
    for k in range(anchor.size):
        if rng.random() < refresh[k]:
            full(mean_weight, offset, n, counter, u, estimate)
        else:
            for j in range(m):
                change[j] = 0.0
            for _ in range(batch):
                i = int(rng.random() * n)
                component(weight, centre, counter, i, u, now)
                if recursive:
                    component(weight, centre, counter, i, before, then)
                    for j in range(m):
                        change[j] += now[j] - then[j]
                else:
                    for j in range(m):
                        change[j] += now[j]
            for j in range(m):
                if recursive:
                    estimate[j] += share * change[j]
                else:
                    estimate[j] = share * change[j]
        b = anchor[k]
        for j in range(m):
            before[j] = u[j]
            u[j] = b * u0[j] + (1.0 - b) * u[j] - step * estimate[j]
        residuals[k + 1] = affine_residual(mean_weight, offset, u)
        calls[k + 1] = counter[0] - charged
        if not residuals[k + 1] <= largest:
            return k + 1
        if not residuals[k + 1] <= until:
            entered = k + 2
        elif k + 1 >= patience * entered:
            return k + 1
    return anchor.size


@njit(cache=True)
def resolvent_path(
    weight: Complex,
    centre: Complex,
    mean_weight: Complex,
    offset: Complex,
    counter: Counts,
    u0: Complex,
    eta: float,
    step: float,
    refresh: float,
    corrected: bool,
    looseness: float,
    rounding: float,
    until: float,
    inner_limit: int,
    rng: Any,
    centres: Complex,
    points: Complex,
    residuals: Reals,
    calls: Counts,
    inner: Counts,
) -> int:
    """Inexact Halpern from u0; row k of the outputs belongs to the k-th resolvent. Returns how many were accepted."""
    n, m = weight.shape
    charged = counter[0]
    u = u0.copy()  # the argument of the resolvent
    w = u0.copy()  # the point at which F is known
    at_w = np.empty(m, dtype=np.complex128)
    z = np.empty(m, dtype=np.complex128)
    half = np.empty(m, dtype=np.complex128)
    fixed = np.empty(m, dtype=np.complex128)
    sampled = np.empty(m, dtype=np.complex128)
    sampled_w = np.empty(m, dtype=np.complex128)
    shrink = 1.0 / (1.0 + step)
    length = shrink * step * eta
    full(mean_weight, offset, n, counter, w, at_w)
    steps = 0
    for k in range(points.shape[0]):
        z[:] = w
        while True:
            gap = 0.0
            move = 0.0
            for j in range(m):
                moved = w[j] - u[j]
                left = moved + eta * at_w[j]
                gap += left.real**2 + left.imag**2
                move += moved.real**2 + moved.imag**2
            if np.sqrt(gap) <= max(looseness * np.sqrt(move) / (k + 2.0) ** 2, rounding * (norm(w) + norm(u))):
                break
            while True:
                if steps >= inner_limit:
                    return k
                steps += 1
                i = int(rng.random() * n)
                component(weight, centre, counter, i, w, sampled_w)
                for j in range(m):
                    fixed[j] = shrink * ((1.0 - refresh) * z[j] + refresh * w[j] + step * u[j])
                    half[j] = fixed[j] - length * (at_w[j] if corrected else sampled_w[j])
                component(weight, centre, counter, i, half, sampled)
                for j in range(m):
                    z[j] = fixed[j] - length * (at_w[j] + sampled[j] - sampled_w[j] if corrected else sampled[j])
                if rng.random() < refresh:
                    w[:] = z
                    full(mean_weight, offset, n, counter, w, at_w)
                    break
        centres[k] = u
        points[k] = w
        residuals[k] = norm(at_w)
        calls[k] = counter[0] - charged
        inner[k] = steps
        if residuals[k] <= until:
            return k + 1
        for j in range(m):
            u[j] = w[j] + (u0[j] - w[j]) * (1.0 / (k + 2.0))
    return points.shape[0]
