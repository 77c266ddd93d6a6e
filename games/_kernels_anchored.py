"""Inner loops of the anchored methods, on a finite sum and on a matrix. Only :func:`full` and :func:`multiply` evaluate, and count."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def full(mean_weight, offset, components, counter, u, out):
    """out = F(u) of a finite sum, at the price of every component once."""
    counter[0] += components
    for j in range(u.size):
        out[j] = mean_weight[j] * u[j] - offset[j]


@njit(cache=True)
def multiply(matrix, counter, u, out):
    """out = matrix @ u for the columns of u, one evaluation."""
    counter[0] += 1
    for i in range(u.shape[0]):
        for c in range(u.shape[1]):
            total = 0.0
            for j in range(u.shape[0]):
                total += matrix[i, j] * u[j, c]
            out[i, c] = total


@njit(cache=True)
def norm(u):
    """The Euclidean norm of all entries."""
    total = 0.0
    for x in u.flat:
        total += x.real**2 + x.imag**2
    return np.sqrt(total)


@njit(cache=True)
def anchored(z, start, weight, step, direction, out):
    """out = z + weight (start - z) - step direction, entry by entry."""
    for index in np.ndindex(z.shape):
        out[index] = z[index] + weight * (start[index] - z[index]) - step * direction[index]


@njit(cache=True)
def finite_sum_path(
    weight, centre, mean_weight, offset, counter, anchor, first, second, half_step, enough, largest, points, residuals, calls
):
    """h = z + b (z0 - z) - s F(z), or z itself without ``half_step``; z + = z + b (z0 - z) - t F(h): from points[0].

    Fills points[1:], calls[1:] and all residuals but the last; returns the number of iterations made. Stops at a residual norm
    of at most ``enough`` or above ``largest``; the evaluation that showed it is counted too.
    """
    n = weight.shape[0]
    half, at_half = np.empty_like(points[0]), np.empty_like(points[0])
    before = counter[0]
    for k in range(anchor.size):
        z, F = points[k], residuals[k]
        full(mean_weight, offset, n, counter, z, F)
        size = norm(F)
        if size <= enough or not size <= largest:
            return k
        if half_step:
            anchored(z, points[0], anchor[k], first[k], F, half)
            full(mean_weight, offset, n, counter, half, at_half)
            F = at_half
        anchored(z, points[0], anchor[k], second[k], F, points[k + 1])
        calls[k + 1] = counter[0] - before
    return anchor.size


@njit(cache=True)
def matrix_path(matrix, counter, anchor, first, second, half_step, enough, largest, points, residuals, calls):
    """The same on a matrix and the columns of points[0]."""
    half, at_half = np.empty_like(points[0]), np.empty_like(points[0])
    for k in range(anchor.size):
        z, F = points[k], residuals[k]
        multiply(matrix, counter, z, F)
        size = norm(F)
        if size <= enough or not size <= largest:
            return k
        if half_step:
            anchored(z, points[0], anchor[k], first[k], F, half)
            multiply(matrix, counter, half, at_half)
            F = at_half
        anchored(z, points[0], anchor[k], second[k], F, points[k + 1])
        calls[k + 1] = counter[0]
    return anchor.size
