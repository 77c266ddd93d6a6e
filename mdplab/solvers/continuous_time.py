r"""The h-transform of a Markov jump process: the rates that maximise a terminal reward less a divergence of paths.

For rates q of the process and rates u that may replace them,

.. math:: J(u) = \mathbb{E}_u\, r(x_1) - \alpha\, \mathrm{KL}(P^u \| P^q), \qquad
          \mathrm{KL}(P^u \| P^q) = \int_0^1 \mathbb{E}_u \sum_{y \ne x_t} \Bigl[u_t \ln \frac{u_t}{q_t} - u_t + q_t\Bigr](x_t, y)\, dt.

With :math:`h_t(x) = \mathbb{E}_q[e^{r(x_1)/\alpha} | x_t = x]` the maximum is :math:`\alpha\, \mathbb{E} \ln h_0(x_0)`, attained by
:math:`u_t(x, y) = q_t(x, y) h_t(y)/h_t(x)` (Wang et al. 2024, arXiv 2410.13643). :math:`\alpha \ln h_t` is the value function.

Rates are constant on pieces, so that everything at a finite set of times is exact up to the rounding of matrix exponentials, and so is
the divergence of paths between two such processes. The optimal rates are not constant; integrals along them take a quadrature. What is
out of its stated range raises InputError.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models.jump_process import JumpProcess, complete
from theory.errors import InputError
from theory.tilts import require_temperature

Array = NDArray[np.float64]
TERMS = 22  # 1 / 22! is below 1e-21


@dataclass(frozen=True, eq=False)
class HTransform:
    """``log_h``, shape (n + 1, S), at ``times`` 0 = t_0 < ... < t_n = 1, of the process at the temperature ``alpha``.

    ``log_kernels`` (n, S, S) are the log-probabilities with which the tuned process goes from one of these times to the next, and
    ``marginals`` (n + 1, S) its laws there, from the process's start law: all exact.
    """

    times: Array
    log_h: Array
    log_kernels: Array
    marginals: Array
    alpha: float

    @property
    def value(self) -> Array:
        """The value function alpha ln h at the times, shape (n + 1, S)."""
        return self.alpha * self.log_h


def h_transform(process: JumpProcess, alpha: float, times: ArrayLike | None = None) -> HTransform:
    """The tuned process at ``times`` (increasing from 0 to 1; by default the ends of the pieces)."""
    grid = np.linspace(0, 1, process.pieces + 1) if times is None else _times(times)
    moves = transitions(process, grid)
    log_h = np.empty((grid.size, process.states))
    log_h[-1] = process.reward / require_temperature(alpha)
    log_kernels = np.empty_like(moves)
    with np.errstate(divide="ignore"):
        for k in range(grid.size - 2, -1, -1):
            largest = log_h[k + 1].max()
            log_h[k] = largest + np.log(moves[k] @ np.exp(log_h[k + 1] - largest))
            log_kernels[k] = np.log(moves[k]) + log_h[k + 1] - log_h[k][:, None]
    marginals = [process.start]
    for kernel in np.exp(log_kernels):
        marginals.append(marginals[-1] @ kernel)
    return HTransform(grid, log_h, log_kernels, np.array(marginals), float(alpha))


def transitions(process: JumpProcess, times: ArrayLike) -> Array:
    """The probabilities (n, S, S) with which the process goes from each of ``times`` (n + 1, increasing) to the next."""
    grid = np.asarray(times, dtype=float)
    ends = np.linspace(0, 1, process.pieces + 1)
    cuts = np.union1d(grid, ends[(ends > grid[0]) & (ends < grid[-1])])
    middles = (cuts[:-1] + cuts[1:]) / 2
    generators = process.rates[np.minimum((middles * process.pieces).astype(int), process.pieces - 1)]
    steps = exponentials(np.diff(cuts)[:, None, None] * generators)
    place = np.searchsorted(cuts, grid)
    return np.array([functools.reduce(np.matmul, steps[i:j]) for i, j in itertools.pairwise(place)])


def exponentials(matrices: ArrayLike) -> Array:
    r"""The exponentials, shape (n, S, S), of matrices (n, S, S) whose off-diagonal entries are at least 0, such as generators.

    By uniformisation, :math:`e^A = e^{-c} \sum_k (A + cI)^k / k!` with c the largest :math:`-A_{xx}`, of A halved until the rows of
    :math:`A + cI` sum to at most 1, and squared as often. No term is negative, so that every entry keeps its relative accuracy and 0 stays 0.
    """
    A = np.asarray(matrices, dtype=float)
    identity = np.eye(A.shape[-1])
    c = max(0.0, float(-np.einsum("nxx->nx", A).min()))
    shifted = np.maximum(A + c * identity, 0.0)
    largest = float(shifted.sum(axis=-1).max())
    halvings = max(0, int(np.ceil(np.log2(largest)))) if largest > 0 else 0
    shifted = shifted / 2**halvings
    power = np.broadcast_to(identity, A.shape)
    total = power
    for k in range(1, TERMS):
        power = power @ shifted / k
        total = total + power
    total = np.exp(-c / 2**halvings) * total
    for _ in range(halvings):
        total = total @ total
    return np.asarray(total)


def process_marginals(process: JumpProcess, times: ArrayLike) -> Array:
    """The laws of the process itself at ``times`` (increasing from 0), shape (n + 1, S)."""
    laws = [process.start]
    for move in transitions(process, times):
        laws.append(laws[-1] @ move)
    return np.array(laws)


def controlled_rates(process: JumpProcess, log_h: ArrayLike, times: ArrayLike) -> Array:
    r"""The generators of the tuned process, :math:`u_t(x, y) = q_t(x, y) h_t(y)/h_t(x)`, shape (..., S, S).

    ``times`` (...) in [0, 1], and ``log_h`` (..., S) at these times. At the end of a piece the rates are those of the next one.
    """
    values = np.asarray(log_h, dtype=float)
    rates = np.maximum(pretrained_rates(process, times), 0.0)
    return complete(rates * np.exp(np.where(rates > 0, values[..., None, :] - values[..., :, None], 0.0)))


def pretrained_rates(process: JumpProcess, times: ArrayLike) -> Array:
    """The generators of the process itself at ``times`` (...) in [0, 1], shape (..., S, S)."""
    when = np.asarray(times, dtype=float)
    outside = ~((when >= 0) & (when <= 1))
    if outside.any():
        raise InputError(f"the process runs through the times [0, 1], which {when[outside].flat[0]} is not among.")
    return process.rates[np.minimum((when * process.pieces).astype(int), process.pieces - 1)]


def divergence_rate(rates: ArrayLike, reference: ArrayLike) -> Array:
    r""":math:`\sum_{y \ne x} u \ln(u/q) - u + q`, shape (..., S), for generators u and q (..., S, S); infinite where only u jumps.

    The rate at which a process with the rates u in the state x moves away, in divergence, from one with the rates q.
    """
    u, q = np.asarray(rates, dtype=float), np.asarray(reference, dtype=float)
    off = ~np.eye(u.shape[-1], dtype=np.bool_)
    u, q = np.where(off, u, 0.0), np.where(off, q, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(u > 0, u * (np.log(u) - np.log(q)), 0.0) - u + q
    return np.asarray(terms.sum(axis=-1))


def quadrature(process: JumpProcess, nodes: int = 24, depth: int = 0) -> tuple[Array, Array]:
    """Times in (0, 1) and weights: a Gauss-Legendre rule of so many nodes on each piece.

    ``depth`` halves every piece so many times towards its end. At low temperatures the tuned rates change there within a time of the
    order of exp(-(range of r) / alpha), which has to be resolved.
    """
    points, weights = np.polynomial.legendre.leggauss(nodes)
    inner = np.concatenate((1 - 0.5 ** np.arange(depth + 1), [1.0]))  # 0, 1/2, 3/4, ..., 1
    begins = (np.arange(process.pieces)[:, None] + inner[:-1]).ravel() / process.pieces
    lengths = np.tile(np.diff(inner), process.pieces)[:, None] / process.pieces
    return (begins[:, None] + lengths * (points + 1) / 2).ravel(), (lengths * weights / 2).ravel()


def path_divergence(tuned: JumpProcess, process: JumpProcess) -> float:
    r"""KL(P^u || P^q) of the laws of paths, for the rates u of ``tuned``, which has the pieces and the start law of ``process``.

    On a piece the rate c of :func:`divergence_rate` is constant, and :math:`\int_0^L e^{sQ} c\, ds` is a block of the exponential of
    :math:`L \begin{pmatrix} Q & c \\ 0 & 0 \end{pmatrix}` (Van Loan 1978). Infinite if paths of u are impossible under q.
    """
    if tuned.rates.shape != process.rates.shape or not np.array_equal(tuned.start, process.start):
        raise InputError("two processes whose paths are compared have the same pieces, states and start law.")
    S, m = process.states, process.pieces
    rate = divergence_rate(tuned.rates, process.rates)
    impossible = np.isinf(rate)
    blocks = np.zeros((m, S + 2, S + 2))
    blocks[:, :S, :S] = tuned.rates
    blocks[:, :S, S] = np.where(impossible, 0.0, rate)
    blocks[:, :S, S + 1] = impossible
    laws = process_marginals(tuned, np.linspace(0, 1, m + 1))[:-1]
    total, time_lost = np.einsum("ks,ksj->j", laws, exponentials(blocks / m)[:, :S, S:])
    return float("inf") if time_lost > 0 and impossible.any() else float(total)


def objective(tuned: JumpProcess, process: JumpProcess, alpha: float) -> float:
    """J(u) of the rates u of ``tuned``, which has the pieces and the start law of ``process``."""
    end = process_marginals(tuned, [0.0, 1.0])[-1]
    return float(end @ process.reward) - require_temperature(alpha) * path_divergence(tuned, process)


def _times(times: ArrayLike) -> Array:
    grid = np.asarray(times, dtype=float)
    if grid.ndim != 1 or grid.size < 2 or grid[0] != 0 or grid[-1] != 1 or not (np.diff(grid) > 0).all():
        raise InputError("the times of an h-transform increase from 0 to 1.")
    return grid
