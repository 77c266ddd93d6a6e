r"""Monotone inclusions: find :math:`u^\star` with :math:`F(u^\star) = 0` for a monotone operator F, and count what it costs.

F is *monotone* if :math:`\langle F(u) - F(v), u - v\rangle \ge 0` for all u and v, and *cocoercive* with the constant L if this
inner product is at least :math:`\|F(u) - F(v)\|^2 / L`. The inner product of complex vectors is the real part of the usual
one, so that :math:`\mathbb{C}^m` stands for :math:`\mathbb{R}^{2m}`.

Three kinds of problem, each with its zero and its constants known:

- :class:`FiniteSum`, the average of n affine components on :math:`\mathbb{C}^m`. The unit of cost is **one evaluation of one
  component at one point**; :class:`Calls` hands out evaluations and counts them.
- :class:`LinearOperator`, a square matrix.
- :class:`Operator`, any function, with the point that an algorithm is to start from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.claims.families import family
from theory.errors import InputError

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

# An eigenvalue of a symmetric part that is negative by no more than this fraction of the norm is rounding.
MONOTONICITY = 1e-12


@dataclass(frozen=True, eq=False)
class FiniteSum:
    r"""The operator :math:`F = \frac1n \sum_i F_i` with :math:`F_i(u)_j = W_{ij} (u_j - c_{ij})` on :math:`\mathbb{C}^m`.

    ``weight`` and ``centre``, complex, shape (n, m), hold W and c. A component need not be monotone; their mean must be: the
    real part of every coordinate's mean weight is at least 0, and no mean weight is 0, so that the zero is unique. ``key`` is
    the call that rebuilds the instance.

    Raises :class:`InputError` naming the entry that is not finite, the shapes that differ, or the coordinate whose mean weight
    is 0 or has a negative real part.
    """

    weight: Complex
    centre: Complex
    key: str | None = None

    def __post_init__(self) -> None:
        weight, centre = _table(self.weight, "weight"), _table(self.centre, "centre")
        if weight.shape != centre.shape:
            raise InputError(f"the weights have the shape {weight.shape} and the centres {centre.shape}; they must agree.")
        object.__setattr__(self, "weight", weight)
        object.__setattr__(self, "centre", centre)
        for j, mean in enumerate(self.mean_weight.tolist()):
            if mean.real < 0:
                raise InputError(
                    f"coordinate {j} has the mean weight {mean:.6g}, whose real part is negative: the sum is not monotone."
                )
            if mean == 0:
                raise InputError(f"coordinate {j} has the mean weight 0, so that the sum has no zero or more than one.")

    @property
    def components(self) -> int:
        """The number n of components."""
        return int(self.weight.shape[0])

    @property
    def dimension(self) -> int:
        """The number m of complex coordinates."""
        return int(self.weight.shape[1])

    @cached_property
    def mean_weight(self) -> Complex:
        """The mean over components of W, shape (m,)."""
        return _mean(self.weight)

    @cached_property
    def offset(self) -> Complex:
        """The mean over components of W c, shape (m,): F(u) = mean_weight * u - offset."""
        return _mean(self.weight * self.centre)

    @cached_property
    def solution(self) -> Complex:
        """The zero u* of F, shape (m,)."""
        return self.offset / self.mean_weight

    @cached_property
    def average_cocoercivity(self) -> float:
        r"""The least L with :math:`\langle F(u)-F(v), u-v\rangle \ge \frac1L \cdot \frac1n \sum_i \|F_i(u)-F_i(v)\|^2`.

        It is the largest over j of mean |W_j|^2 / Re mean W_j; infinite if some real part is 0.
        """
        return self._largest(_mean(np.abs(self.weight) ** 2))

    @cached_property
    def full_cocoercivity(self) -> float:
        """The least L for which F itself is cocoercive: the largest |mean W_j|^2 / Re mean W_j, possibly infinite."""
        return self._largest(np.abs(self.mean_weight) ** 2)

    @cached_property
    def average_lipschitz(self) -> float:
        r"""The least L with :math:`\frac1n \sum_i \|F_i(u)-F_i(v)\|^2 \le L^2 \|u-v\|^2`: the largest sqrt(mean |W_j|^2)."""
        return float(np.sqrt(_mean(np.abs(self.weight) ** 2).max()))

    @cached_property
    def lipschitz(self) -> float:
        """The Lipschitz constant of F: the largest |mean W_j|."""
        return float(np.abs(self.mean_weight).max())

    def diagnostic(self, u: ArrayLike) -> Complex:
        """F(u), shape (..., m), for what is said *about* an algorithm: no call is counted, and n does not enter the cost."""
        return np.asarray(self.mean_weight * np.asarray(u) - self.offset)

    def _largest(self, squares: Array) -> float:
        real = self.mean_weight.real
        return float((squares / real).max()) if (real > 0).all() else float("inf")


class Calls:
    """Evaluations of a :class:`FiniteSum`, counted: the only way by which an algorithm sees it.

    ``count`` is the number of component evaluations made so far. Calling the object is :meth:`full`.
    """

    def __init__(self, problem: FiniteSum):
        self.problem = problem
        self._counter = np.zeros(1, dtype=np.int64)

    @property
    def count(self) -> int:
        """How many evaluations of one component at one point have been made."""
        return int(self._counter[0])

    def full(self, u: ArrayLike) -> Complex:
        """F(u), shape (m,), at the price of n calls (it is computed from the averages, which an algorithm does not know)."""
        point = self._point(u)
        self._counter[0] += self.problem.components
        return self.problem.diagnostic(point)

    __call__ = full

    def components(self, indices: ArrayLike, u: ArrayLike) -> Complex:
        """The components F_i(u) for i in ``indices``, shape (len(indices), m), at the price of one call each."""
        chosen, point = np.asarray(indices), self._point(u)
        n = self.problem.components
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
            raise InputError("the components to evaluate are given by a list of whole numbers.")
        if chosen.size and (chosen.min() < 0 or chosen.max() >= n):
            wrong = int(chosen[(chosen < 0) | (chosen >= n)][0])
            raise InputError(f"there is no component {wrong}; the {n} components are numbered from 0.")
        self._counter[0] += chosen.size
        return np.asarray(self.problem.weight[chosen] * (point - self.problem.centre[chosen]))

    def run_kernel(self, kernel: Callable[..., Any], *arguments: Any) -> Any:
        """``kernel(weight, centre, mean_weight, offset, counter, *arguments)``: a compiled loop, which adds to the counter."""
        p = self.problem
        return kernel(p.weight, p.centre, p.mean_weight, p.offset, self._counter, *arguments)

    def _point(self, u: ArrayLike) -> Complex:
        point = np.asarray(u, dtype=np.complex128)
        if point.shape != (self.problem.dimension,):
            raise InputError(f"a point of this sum has the shape {(self.problem.dimension,)}, not {point.shape}.")
        return point


@dataclass(frozen=True, eq=False)
class LinearOperator:
    """The operator F(u) = ``matrix`` @ u, with zero 0. The matrix, shape (d, d), has a positive semidefinite symmetric part.

    Applied to the identity instead of a vector an algorithm computes the map from its start to its iterate, and the spectral
    norm of that is its worst case over all starts.

    Raises :class:`InputError` for a matrix that is not square, not finite, 0, or not monotone.
    """

    matrix: Array
    key: str | None = None

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, dtype=float)
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
            raise InputError(f"a linear operator is given by a square matrix, not one of the shape {matrix.shape}.")
        if not np.isfinite(matrix).all():
            i, j = np.argwhere(~np.isfinite(matrix))[0]
            raise InputError(f"the matrix of an operator is finite; its entry ({i}, {j}) is {matrix[i, j]}.")
        if not matrix.any():
            raise InputError("the matrix of an operator is not 0.")
        lowest = float(np.linalg.eigvalsh((matrix + matrix.T) / 2)[0])
        if lowest < -MONOTONICITY * np.linalg.norm(matrix, 2):
            raise InputError(f"the operator is not monotone: its symmetric part has the eigenvalue {lowest:.6g}.")
        matrix.setflags(write=False)
        object.__setattr__(self, "matrix", matrix)

    def __call__(self, u: Array) -> Array:
        return np.asarray(self.matrix @ u)

    @property
    def dimension(self) -> int:
        """The dimension d."""
        return int(self.matrix.shape[0])

    @cached_property
    def lipschitz(self) -> float:
        """The spectral norm of the matrix."""
        return float(np.linalg.norm(self.matrix, 2))

    @cached_property
    def cocoercivity(self) -> float:
        r"""The least L for which the operator is cocoercive, possibly infinite.

        A monotone matrix has the same kernel as its transpose. On the complement of the kernel it is invertible, and with
        e = M d the condition :math:`\langle M d, d\rangle \ge \|M d\|^2/L` reads
        :math:`\langle e, M^{-1} e\rangle \ge \|e\|^2/L`: 1/L is the least eigenvalue of the symmetric part of the inverse.
        """
        left, values, _ = np.linalg.svd(self.matrix)
        basis = left[:, values > MONOTONICITY * values[0]]
        inverse = np.linalg.inv(basis.T @ self.matrix @ basis)
        lowest = float(np.linalg.eigvalsh((inverse + inverse.T) / 2)[0])
        return 1 / lowest if lowest > MONOTONICITY * np.linalg.norm(inverse, 2) else float("inf")


@dataclass(frozen=True, eq=False)
class Operator:
    """A monotone operator given by a function, with a ``start``, a ``solution`` (its zero) and its constants.

    ``evaluate`` maps (d,) to (d,). ``cocoercivity`` is a constant L for which it is cocoercive (infinite if there is none),
    ``lipschitz`` a Lipschitz constant.
    """

    evaluate: Callable[[Array], Array]
    start: Array
    solution: Array
    cocoercivity: float
    lipschitz: float
    key: str | None = None

    def __call__(self, u: Array) -> Array:
        return self.evaluate(u)

    @property
    def distance(self) -> float:
        """D, the distance of the start from the solution."""
        return float(np.linalg.norm(self.start - self.solution))


# ---- finite sums -----------------------------------------------------------------------------------------------------------


@family(n=1, m=1)
def rotations_cocoercive(n: int = 100, m: int = 3, scales: tuple[float, ...] = (1.0, 0.3, 0.1), seed: int = 0) -> FiniteSum:
    r"""Components that are the identity minus a rotation: :math:`W_{ij} = 1 - e^{\mathrm{i}\theta_{ij}}`, not a gradient.

    The angles are uniform in :math:`(-\pi, \pi) s_j`, where the scales s (in (0, 1]) are taken in turn; centres are standard
    normal. Each component is cocoercive with L = 2 exactly, as |1 - e^{i theta}|^2 = 2 Re(1 - e^{i theta}).
    """
    rng, size = _start(n, m, scales, seed)
    if size.max() > 1:
        raise InputError(f"angles lie between -pi and pi, so that a scale is at most 1, not {size.max():g}.")
    weight = _remainder(rng.uniform(-np.pi, np.pi, (n, m)) * size)
    return FiniteSum(weight, _normal(rng, n, m))


@family(n=1, m=1)
def rotational_games(n: int = 100, m: int = 2, scales: tuple[float, ...] = (1.0, 0.02), seed: int = 0) -> FiniteSum:
    r"""Purely rotational games: :math:`W_{ij} = \mathrm{i} s_j (1 + \xi_{ij})` with standard normal xi; not cocoercive.

    The scales s > 0 are taken in turn. A component with xi < -1 rotates against the others.
    """
    rng, size = _start(n, m, scales, seed)
    weight = np.asarray(1j * size * (1 + rng.standard_normal((n, m))), dtype=np.complex128)
    return FiniteSum(weight, _normal(rng, n, m))


@family(n=1, m=1)
def sparse_heavy(
    n: int = 400, s: float = 40.0, m: int = 3, scales: tuple[float, ...] = (1.0, 0.3, 0.1), seed: int = 0
) -> FiniteSum:
    """The family ``rotations_cocoercive`` with, in every coordinate, all but about n / s weights set to 0.

    The ceil(n / s) that remain, drawn at random, are multiplied so as to leave the scale of the mean; that raises
    ``average_cocoercivity`` to about s times ``full_cocoercivity``. s is at least 1.
    """
    if not 1 <= s < np.inf:
        raise InputError(f"the sparsity s is at least 1 and finite, not {s}.")
    rng, size = _start(n, m, scales, seed)
    weight = _remainder(rng.uniform(-np.pi, np.pi, (n, m)) * size)
    heavy = int(np.ceil(n / s))
    kept = rng.permuted(np.arange(n)[:, None] < np.full(m, heavy), axis=0)
    return FiniteSum(np.where(kept, weight * (n / heavy), 0), _normal(rng, n, m))


@family(count=1)
def frequencies(count: int = 60, lowest: float = 1e-4, damping: float = 0.0) -> FiniteSum:
    """One component that rotates every coordinate at its own rate: W_j = damping + i rate_j, with zero 0.

    The ``count`` rates are log-spaced from 1 down to ``lowest``. Undamped it is a rotational (bilinear) game on many time
    scales, with Lipschitz constant 1; with ``damping`` > 0 it is strongly monotone.
    """
    if count < 1 or not 0 < lowest <= 1 or not 0 <= damping < np.inf:
        raise InputError(
            f"frequencies need count >= 1, 0 < lowest <= 1 and 0 <= damping < inf, not {count}, {lowest} and {damping}."
        )
    weight = np.asarray(damping + 1j * np.geomspace(1.0, lowest, count)[None], dtype=np.complex128)
    return FiniteSum(weight, np.zeros_like(weight))


# ---- linear operators ------------------------------------------------------------------------------------------------------


@family(d=1)
def semidefinite(d: int = 5, spread: float = 100.0, seed: int = 0) -> LinearOperator:
    """A symmetric matrix with eigenvalues log-spaced from 1 to 1 / ``spread`` (>= 1) and random eigenvectors: a quadratic."""
    if not 1 <= spread < np.inf:
        raise InputError(f"the spread of the eigenvalues is at least 1 and finite, not {spread}.")
    Q = _orthogonal(np.random.default_rng(seed), d)
    matrix = (Q * np.geomspace(1.0, 1 / spread, d)) @ Q.T
    return LinearOperator((matrix + matrix.T) / 2)


@family(d=2)
def identity_minus_orthogonal(d: int = 5, seed: int = 0) -> LinearOperator:
    """The identity minus a random orthogonal matrix: cocoercive with L = 2, and no better."""
    matrix = np.eye(d) - _orthogonal(np.random.default_rng(seed), d)
    return LinearOperator(matrix)


@family
def identity_minus_rotation(angle: float = 0.1) -> LinearOperator:
    """The identity of the plane minus the rotation by ``angle``, not a multiple of 2 pi: cocoercive with L = 2, and no better."""
    c, s = np.cos(angle), np.sin(angle)
    return LinearOperator(np.array([[1 - c, s], [-s, 1 - c]]))


@family
def planar(stretch: tuple[float, float] = (1.0, 0.0), rotation: float = 1.0) -> LinearOperator:
    """[[p, w], [-w, q]] with p, q >= 0 from ``stretch`` and w the ``rotation``: up to coordinates, every monotone 2 x 2 matrix."""
    p, q = stretch
    return LinearOperator(np.array([[p, rotation], [-rotation, q]]))


@family(d=2)
def monotone_matrix(d: int = 5, rank: int = 5, skew: float = 1.0, seed: int = 0) -> LinearOperator:
    """A random monotone matrix that is not normal: B B^T / rank + ``skew`` (K - K^T) / 2 with Gaussian B, (d, rank), and K.

    Of rank 0 it is skew; of rank d or more it is cocoercive.
    """
    if d < 2 or rank < 0 or not 0 <= skew < np.inf:
        raise InputError(f"a monotone matrix needs d >= 2, rank >= 0 and 0 <= skew < inf, not {d}, {rank} and {skew}.")
    rng = np.random.default_rng(seed)
    B, K = rng.standard_normal((d, rank)), rng.standard_normal((d, d))
    matrix = B @ B.T / max(rank, 1) + skew * (K - K.T) / 2
    return LinearOperator(matrix)


@family(d=1)
def bilinear(d: int = 3, modulus: float = 0.0, seed: int = 0) -> LinearOperator:
    """The game min_x max_y x^T A y + modulus (|x|^2 - |y|^2)/2 with a Gaussian d x d matrix A: [[mI, A], [-A^T, mI]].

    With ``modulus`` > 0 it is cocoercive with the constant |M|^2 / modulus.
    """
    if d < 1 or not 0 <= modulus < np.inf:
        raise InputError(f"a bilinear game needs d >= 1 and 0 <= modulus < inf, not {d} and {modulus}.")
    A = np.random.default_rng(seed).standard_normal((d, d))
    matrix = np.block([[modulus * np.eye(d), A], [-A.T, modulus * np.eye(d)]])
    return LinearOperator(matrix)


# ---- operators that are not linear -----------------------------------------------------------------------------------------


@family
def huber(k: float = 10, L: float = 1.0, radius: float = 1.0) -> Operator:
    """The derivative of Huber's function, clip(L u, -L d/2, L d/2) with d = 2 radius / (k + 1), from the start ``radius``.

    The worst case of the Halpern iteration, as its k-th residual is exactly L radius / (k + 1) for a whole k. Lieder (2021).
    """
    if not (0 <= k < np.inf and 0 < L < np.inf and 0 < radius < np.inf):
        raise InputError(f"Huber's worst case needs k >= 0, L > 0 and radius > 0, all finite, not {k}, {L} and {radius}.")
    top = L * radius / (k + 1)
    return Operator(lambda u: _clip(L * u, -top, top), np.array([radius]), np.zeros(1), L, L)


@family(d=1, terms=1)
def huber_sum(d: int = 5, terms: int = 10, width: float = 0.1, seed: int = 0) -> Operator:
    """The gradient of a sum of Huber functions of random projections, sum_j a_j clip(<a_j, u>, -low_j, high_j).

    low and high are uniform in (0, ``width``); the start is a random unit vector. L is the largest eigenvalue of sum a a^T.
    """
    if d < 1 or terms < 1 or not 0 < width < np.inf:
        raise InputError(f"a sum of Huber functions needs d >= 1, terms >= 1 and 0 < width < inf, not {d}, {terms}, {width}.")
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((terms, d))
    low, high = rng.uniform(0, width, (2, terms))
    L = float(np.linalg.norm(a, 2) ** 2)
    return Operator(lambda u: a.T @ _clip(a @ u, -low, high), _unit(rng, d), np.zeros(d), L, L)


@family(d=1)
def clipped_rotation(d: int = 4, width: float = 0.5, seed: int = 0) -> Operator:
    """u - T(u) for the nonexpansive map T(u) = clip(Q u, -width, width), Q random orthogonal: L = 2, zero 0; not linear."""
    if d < 1 or not 0 < width < np.inf:
        raise InputError(f"a clipped rotation needs d >= 1 and 0 < width < inf, not {d} and {width}.")
    rng = np.random.default_rng(seed)
    Q = _orthogonal(rng, d)
    return Operator(lambda u: u - _clip(Q @ u, -width, width), _unit(rng, d), np.zeros(d), 2.0, 2.0)


@family(d=1)
def saddle(d: int = 2, width: float = 0.3, strength: float = 1.0, seed: int = 0) -> Operator:
    """The game min_x max_y x^T A y + f(x) - f(y), f a sum of Huber functions of the coordinates; monotone, not linear.

    A is a Gaussian d x d matrix of spectral norm 1, f has slope at most ``strength`` ``width``. The start is a random unit
    vector. The Lipschitz constant is 1 + strength.
    """
    if d < 1 or not (0 < width < np.inf and 0 <= strength < np.inf):
        raise InputError(f"a saddle needs d >= 1, width > 0 and strength >= 0, all finite, not {d}, {width} and {strength}.")
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((d, d))
    A /= np.linalg.norm(A, 2)
    M = np.block([[np.zeros((d, d)), A], [-A.T, np.zeros((d, d))]])
    return Operator(
        lambda u: M @ u + strength * _clip(u, -width, width),
        _unit(rng, 2 * d),
        np.zeros(2 * d),
        float("inf"),
        1 + strength,
    )


def _clip(u: Array, low: ArrayLike, high: ArrayLike) -> Array:
    return np.minimum(np.maximum(u, low), high)  # a quarter of the time that np.clip needs on small arrays


def _table(values: ArrayLike, what: str) -> Complex:
    table = np.array(values, dtype=np.complex128)
    if table.ndim != 2 or table.size == 0:
        raise InputError(f"a finite sum needs one {what} for each component and coordinate, not the shape {table.shape}.")
    if not np.isfinite(table).all():
        i, j = np.argwhere(~np.isfinite(table))[0]
        raise InputError(f"component {i} has the {what} {table[i, j]} in coordinate {j}, which must be finite.")
    table.setflags(write=False)
    return table


def _mean(table: NDArray[Any]) -> NDArray[Any]:
    """The mean over components, summed pairwise, which needs them contiguous: the error is that of log n additions."""
    return np.ascontiguousarray(table.T).mean(axis=1)


def _start(n: int, m: int, scales: tuple[float, ...], seed: int) -> tuple[np.random.Generator, Array]:
    """A generator, and the scale of each of the m coordinates."""
    if n < 1 or m < 1:
        raise InputError(f"a finite sum has at least one component and one coordinate, not {n} and {m}.")
    given = np.array(scales, dtype=float)
    if given.ndim != 1 or given.size == 0 or not ((given > 0) & np.isfinite(given)).all():
        raise InputError(f"the scales of the coordinates are positive and finite, not {scales}.")
    return np.random.default_rng(seed), np.resize(given, m)


def _remainder(angle: Array) -> Complex:
    """1 - e^{i angle}; the real part 2 sin^2(angle/2) is computed without cancellation."""
    return 2 * np.sin(angle / 2) ** 2 - 1j * np.sin(angle)


def _normal(rng: np.random.Generator, n: int, m: int) -> Complex:
    return rng.standard_normal((n, m)) + 1j * rng.standard_normal((n, m))


def _orthogonal(rng: np.random.Generator, d: int) -> Array:
    """A random orthogonal matrix, uniform (Haar)."""
    if d < 1:
        raise InputError(f"an operator acts on at least one dimension, not {d}.")
    Q, R = np.linalg.qr(rng.standard_normal((d, d)))
    return np.asarray(Q * np.sign(np.diag(R)))


def _unit(rng: np.random.Generator, d: int) -> Array:
    direction = rng.standard_normal(d)
    return np.asarray(direction / np.linalg.norm(direction))
