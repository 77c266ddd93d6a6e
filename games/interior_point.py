r"""An interior-point method for matrix games, which meets its accuracy with a linear solve on the supports it has found.

A matrix game M, shape (m, n), is a pair of dual linear programmes: maximise v subject to :math:`s = M^\top x - v 1 \ge 0`, and
minimise u subject to :math:`t = u 1 - M y \ge 0`, x and y in the simplex. The gap is :math:`u - v = x^\top t + y^\top s`. The
uniform strategies, with v a little below and u a little above what they guarantee, are strictly feasible, and every iterate
stays so. A Newton step on :math:`x \circ t = y \circ s = \mu 1` solves

.. math:: \tfrac{t}{x} \circ dx - M\,dy + du\,1 = a, \qquad M^\top dx + \tfrac{s}{y} \circ dy - dv\,1 = b, \qquad
          1^\top dx = 1^\top dy = 0.

Elimination of dx leaves a positive definite system with n unknowns. If M is skew-symmetric, the equilibrium is symmetric, the
iterates stay so (x = y, u = -v), and the two equations are one, with the matrix :math:`\mathrm{diag}(t/x) - M`.

Predictor and corrector as Mehrotra (1992). When x and y have as many actions with x > t as with y > s, these are guessed to be
the supports, and the equations of an equilibrium on them are solved; a right guess gives the vertex to the accuracy of float64.
Where equilibria are not unique, the path leads inside their set, and the supports differ in size: then the nearest solution
of these equations is taken.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, lapack, lstsq

Array = NDArray[np.float64]
Solve = Callable[[Array, Array], tuple[Array, Array, float, float]]

ITERATIONS = 60
STEP = 0.995  # the share of the way to the boundary that a step goes at most
NEAREST = 1e-5  # nearest solutions are taken once the gap is below this share of the largest entry
GUESS = 0.1  # supports are guessed once the gap is below this share of the largest entry over sqrt(K)


def gap(M: Array, x: Array, y: Array) -> float:
    """How much the strategies can be exploited for together, at least 0 but for rounding."""
    return float((M @ y).max() - (x @ M).min())


@np.errstate(over="ignore", divide="ignore", invalid="ignore")  # a step that overflows ends the search; the gap decides
def interior_point(M: Array, accuracy: float) -> tuple[Array, Array]:
    """Strategies of the two players of the game M, shape (m, n), entries of order 1, whose gap is ``accuracy`` if all goes well.

    Returns the best pair that it met; the caller measures the gap.
    """
    if M.shape[0] < M.shape[1]:  # the system has as many unknowns as the game has columns
        y, x = interior_point(np.ascontiguousarray(-M.T), accuracy)
        return x, y
    skew = M.shape[0] == M.shape[1] and np.array_equal(M, -M.T)
    m, n = M.shape
    x, y = np.full(m, 1 / m), np.full(n, 1 / n)
    best, least = (x, y), gap(M, x, y)
    gains, losses = M @ y, x @ M
    u, v = float(gains.max()) + least / 10 + 1e-3, float(losses.min()) - least / 10 - 1e-3
    tried: tuple[bytes, bytes] | None = None
    then = np.inf  # the gap when they were tried
    system = _skew_system if skew else _system
    for _ in range(ITERATIONS):
        # at the end of the path rounding can make the slack of an active constraint 0
        t, s = np.maximum(u - gains, 1e-300), np.maximum(losses - v, 1e-300)
        mu = (u - v) / (m + n)
        solve = system(M, x, y, t, s)
        if solve is None:
            break
        dx, dy, du, dv = solve(-t, -s)
        dt, ds = du - M @ dy, dx @ M - dv
        p, d = _length(x, dx, s, ds), _length(y, dy, t, dt)
        if skew:
            p = d = min(p, d)
        ahead = ((x + p * dx) @ (t + d * dt) + (y + d * dy) @ (s + p * ds)) / (m + n)
        target = (ahead / mu) ** 3 * mu
        dx, dy, du, dv = solve((target - dx * dt) / x - t, (target - dy * ds) / y - s)
        dt, ds = du - M @ dy, dx @ M - dv
        p, d = STEP * _length(x, dx, s, ds), STEP * _length(y, dy, t, dt)
        if skew:
            p = d = min(p, d)
        x, y, u, v = x + p * dx, y + d * dy, u + d * du, v + p * dv
        x, y = x / x.sum(), y / y.sum()
        gains, losses = M @ y, x @ M
        now = float(gains.max() - losses.min())
        if not np.isfinite(now):
            break
        if now < least:
            best, least = (x, y), now
        if least <= accuracy:
            break
        if u - v <= GUESS / np.sqrt(n):
            rows, columns = x > u - gains, y > losses - v
            guess = rows.tobytes(), columns.tobytes()
            if guess != tried or u - v < then / 100:
                tried, then = guess, u - v
                supports = np.flatnonzero(rows), np.flatnonzero(columns)
                end = on_supports(M, *supports)
                if end is None and u - v <= NEAREST:
                    end = nearest_on_supports(M, x, y, *supports)
                if end is not None and gap(M, *end) < least:
                    best, least = end, gap(M, *end)
                    if least <= accuracy:
                        break
        if max(p, d) < 1e-8:
            break
    return best


def on_supports(M: Array, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> tuple[Array, Array] | None:
    """The strategies on these equally many rows and columns that make every one of them equally good, if they are strategies."""
    size = rows.size
    if columns.size != size:
        return None
    bordered = np.ones((size + 1, size + 1), order="F")
    bordered[:size, :size] = M[np.ix_(rows, columns)]
    bordered[size, size] = 0.0
    right = np.zeros(size + 1)
    right[size] = 1.0
    factors, pivots, info = lapack.dgetrf(bordered)
    if info != 0:
        return None
    found = []
    for length, support, transposed in ((M.shape[0], rows, 1), (M.shape[1], columns, 0)):
        solution, _ = lapack.dgetrs(factors, pivots, right, trans=transposed)
        product = bordered.T if transposed else bordered
        correction, _ = lapack.dgetrs(factors, pivots, right - product @ solution, trans=transposed)
        weights = (solution + correction)[:size]
        if not (np.isfinite(weights).all() and weights.min() >= -1e-12 and weights.sum() > 0.5):
            return None
        strategy = np.zeros(length)
        strategy[support] = np.maximum(weights, 0.0)
        found.append(strategy / strategy.sum())
    return found[0], found[1]


def nearest_on_supports(
    M: Array, x: Array, y: Array, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> tuple[Array, Array] | None:
    """The strategies nearest to x and y that make every one of these rows and of these columns equally good, if they are strategies."""
    if min(rows.size, columns.size) == 0:
        return None
    block = M[np.ix_(rows, columns)]
    found = []
    for matrix, strategy, support in ((block.T, x, rows), (block, y, columns)):
        now = strategy[support]
        payoffs = matrix @ now
        # unknown: the change of the strategy, and of the common payoff
        bordered = np.ones((matrix.shape[0] + 1, support.size + 1))
        bordered[:-1, :-1] = matrix
        bordered[-1, -1] = 0.0
        residual = np.append(payoffs.mean() - payoffs, 1.0 - now.sum())
        change = lstsq(bordered, residual, cond=1e-10, lapack_driver="gelsy", overwrite_a=True)[0][:-1]
        if not (np.isfinite(change).all() and (now + change).sum() > 0.5):
            return None
        moved = np.zeros(strategy.size)
        moved[support] = np.maximum(now + change, 0.0)
        found.append(moved / moved.sum())
    return found[0], found[1]


def _length(first: Array, change: Array, second: Array, other: Array) -> float:
    """The longest step, at most 1, along which both vectors stay positive."""
    fall = max(float((-change / first).max()), float((-other / second).max()))
    return 1.0 if fall <= 1.0 else 1.0 / fall


def _system(M: Array, x: Array, y: Array, t: Array, s: Array) -> Solve | None:
    """A solver of the Newton equations for right-hand sides a and b, by Cholesky factors of M^T (x/t) M + diag(s/y)."""
    weight = x / t
    root = np.sqrt(weight)[:, None] * M
    normal = blas.dsyrk(1.0, root.T, lower=1)
    normal[np.diag_indices_from(normal)] += s / y
    factor, info = lapack.dpotrf(normal, lower=1, overwrite_a=1, clean=0)
    if info != 0:
        return None
    total, g = float(weight.sum()), weight @ M
    q, r = lapack.dpotrs(factor, np.column_stack([np.ones(y.size), g]), lower=1)[0].T
    small = np.array([[q.sum(), r.sum()], [g @ q, g @ r - total]])

    def solve(a: Array, b: Array) -> tuple[Array, Array, float, float]:
        weighted = weight * a
        free = lapack.dpotrs(factor, b - weighted @ M, lower=1)[0]
        dv, du = np.linalg.solve(small, [-free.sum(), -(g @ free) - weighted.sum()])
        dy = free + dv * q + du * r
        return weight * (a + M @ dy - du), dy, float(du), float(dv)

    return solve


def _skew_system(M: Array, x: Array, y: Array, t: Array, s: Array) -> Solve | None:
    """A solver of the Newton equations of a skew M at x = y, t = s, by triangular factors of diag(t/x) - M."""
    matrix = np.array(M.T, order="F")  # -M, in the order that LAPACK factorises in place
    matrix[np.diag_indices_from(matrix)] += t / x
    factors, pivots, info = lapack.dgetrf(matrix, overwrite_a=1)
    if info != 0:
        return None
    ones, _ = lapack.dgetrs(factors, pivots, np.ones(x.size))

    def solve(a: Array, b: Array) -> tuple[Array, Array, float, float]:
        free, _ = lapack.dgetrs(factors, pivots, a)
        du = float(free.sum() / ones.sum())
        dx = free - du * ones
        return dx, dx, du, -du

    return solve
