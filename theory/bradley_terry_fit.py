r"""The Bradley-Terry model of pairwise comparisons: its maximum-likelihood fit, and the Borda scores that it is compared with.

Item i beats j with probability :math:`\sigma(\theta_i - \theta_j)`, :math:`\sigma(x) = 1/(1 + e^{-x})`; a reward model fitted to
preferences is one. With :math:`w_{ij}` the number (or expected number) of times that i beats j, the log-likelihood
:math:`\sum_{ij} w_{ij} \ln \sigma(\theta_i - \theta_j)` is concave, and its gradient is

.. math:: r_i = \sum_j w_{ij} - n_{ij}\,\sigma(\theta_i - \theta_j), \qquad n_{ij} = w_{ij} + w_{ji},

wins seen less wins expected. It has a maximum, unique up to a common constant, exactly when the items cannot be split into two
groups of which the first never beat the second: when the graph with an edge from i to j where :math:`w_{ij} > 0` is strongly
connected. Zermelo (1929), Ford (1957), Hunter (2004, Annals of Statistics 32).

**Error bound.** Minus the Hessian is the Laplacian H with the weights :math:`n_{ij}\sigma'(\theta_i - \theta_j)`. As
:math:`|\sigma''| \le \sigma'`, it falls at most by the factor :math:`e^{-s d}` on the way s of the segment from
:math:`\theta` to the maximum :math:`\theta + \Delta`, whose span is d. So :math:`\langle\Delta, r\rangle \ge
\|\Delta\|_H^2 (1 - e^{-d})/d`, hence :math:`\|\Delta\|_H (1 - e^{-d})/d \le \|r\|_{H^+}`; and :math:`d \le
\sqrt{2/\lambda_2}\,\|\Delta\|_H` with the second smallest eigenvalue :math:`\lambda_2` of H. Together

.. math:: 1 - e^{-d} \le c := \sqrt{2/\lambda_2}\,\|r\|_{H^+}, \qquad d \le -\ln(1 - c) \text{ if } c < 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from theory.errors import InputError

Array = NDArray[np.float64]

EPS = float(np.finfo(float).eps)
NEWTON_STEPS = 1000


@dataclass(frozen=True, eq=False)
class BradleyTerryFit:
    """A maximum-likelihood fit, and how good it is.

    ``theta``, shape (K,): the strengths, which sum to 0. ``error_bound``: an upper bound on the error of any difference of two
    strengths (the module's docstring; infinite if the comparisons are too lopsided for float64 to certify one).
    ``residual``: the largest difference between the wins of an item and its expected wins. ``steps`` counts Newton steps.
    """

    theta: Array
    error_bound: float
    residual: float
    steps: int

    @property
    def win_probabilities(self) -> Array:
        """The fitted preference matrix, shape (K, K): entry (i, j) is sigmoid(theta_i - theta_j)."""
        return np.asarray(expit(self.theta[:, None] - self.theta))


def fit_bradley_terry(wins: ArrayLike, weights: ArrayLike | None = None) -> BradleyTerryFit:
    r"""The strengths that maximise :math:`\sum_{ij} w_{ij} \ln\sigma(\theta_i - \theta_j)`.

    ``wins``, shape (K, K), entries at least 0: how often i beat j, or the probability that it does. ``weights``, the same shape
    and symmetric, multiply it: how often each pair is compared (a matrix of win probabilities without weights stands for
    sampling every pair equally often). Diagonals are ignored.

    Newton's method with the step :math:`\ln(1 + \delta)/\delta`, where :math:`\delta` is the span of the Newton direction.
    Along it the curvature grows by at most :math:`e^{s}` where the span of the move is s, and this step maximises the gain that
    is left after that; so the likelihood rises in every step, and convergence is quadratic in the end.

    Raises :class:`InputError` for matrices that are not square, finite, nonnegative or symmetric (weights), and where there is
    no maximum, naming two items between which no chain of wins leads.
    """
    counts = _counts(wins, "wins")
    if weights is not None:
        times = _counts(weights, "weights")
        if times.shape != counts.shape:
            raise InputError(f"wins of shape {counts.shape} cannot be weighted by weights of shape {times.shape}.")
        if not np.array_equal(times, times.T):
            i, j = (int(n) for n in np.argwhere(times != times.T)[0])
            raise InputError(f"how often a pair is compared has one value, but weights ({i}, {j}) and ({j}, {i}) differ.")
        counts = counts * times
    _require_connected(counts)
    K = counts.shape[0]
    if K == 1:
        return BradleyTerryFit(np.zeros(1), 0.0, 0.0, 0)
    scale = float(counts.max())
    counts = counts / scale
    theta, smallest, steps = np.zeros(K), np.inf, 0
    while steps < NEWTON_STEPS:
        steps += 1
        gradient, laplacian = _derivatives(counts, theta)
        direction = np.linalg.solve(laplacian + np.trace(laplacian) / K**2, gradient)
        length = float(np.ptp(direction))
        if length <= 4 * EPS * (1 + float(np.ptp(theta))) or (length < 1e-6 and length >= smallest):
            break  # rounding has the word
        smallest = length
        moved = theta + np.log1p(length) / length * direction
        theta = moved - moved.mean()
    bound, residual = _certificate(counts, theta)
    return BradleyTerryFit(theta, bound, residual * scale, steps)


def borda_scores(wins: ArrayLike) -> Array:
    r"""The average probability of beating another item, :math:`\frac{1}{K-1}\sum_{j \ne i} P_{ij}`, shape (K,), in [0, 1].

    ``wins``, shape (K, K), holds win probabilities, or counts in which every pair was compared (their shares count then).
    Raises :class:`InputError` if a pair was never compared, or there is only one item.
    """
    counts = _counts(wins, "wins")
    K = counts.shape[0]
    if K < 2:
        raise InputError("Borda scores compare at least two items.")
    total = counts + counts.T + np.eye(K)
    if not (total > 0).all():
        i, j = (int(n) for n in np.argwhere(total == 0)[0])
        raise InputError(f"items {i} and {j} were never compared, so that they have no Borda scores.")
    return np.asarray((counts / total).sum(axis=1) / (K - 1))


def _counts(values: ArrayLike, what: str) -> Array:
    counts = np.array(values, dtype=float)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.size == 0:
        raise InputError(f"{what} form a square matrix with a row for each item, not an array of shape {counts.shape}.")
    bad = ~((counts >= 0) & (counts < np.inf))
    if bad.any():
        i, j = (int(n) for n in np.argwhere(bad)[0])
        raise InputError(f"entry ({i}, {j}) of the {what} is {counts[i, j]}; it is a finite number of at least 0.")
    np.fill_diagonal(counts, 0.0)
    return counts


def _require_connected(counts: Array) -> None:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    if connected_components(csr_array(counts > 0), connection="strong")[0] == 1:
        return
    import networkx as nx

    graph = nx.from_numpy_array((counts > 0).astype(int), create_using=nx.DiGraph)
    parts = nx.condensation(graph)
    losers = next(part for part in parts if parts.out_degree(part) == 0)
    loser = min(parts.nodes[losers]["members"])
    other = min(item for item in range(counts.shape[0]) if item not in parts.nodes[losers]["members"])
    raise InputError(
        f"no Bradley-Terry fit maximises the likelihood: no chain of wins leads from item {loser} to item {other}, "
        "so that their strengths would move apart for ever."
    )


def _derivatives(counts: Array, theta: Array) -> tuple[Array, Array]:
    """Gradient of the log-likelihood and minus its Hessian."""
    p = expit(theta[:, None] - theta)
    flow = counts * p.T  # wins that were not expected: w_ij - n_ij p_ij = w_ij p_ji - w_ji p_ij
    curvature = (counts + counts.T) * p * p.T
    return (flow - flow.T).sum(axis=1), np.diag(curvature.sum(axis=1)) - curvature


def _certificate(counts: Array, theta: Array) -> tuple[float, float]:
    """The bound on the span of the error of ``theta``, with the rounding of its evaluation, and the largest residual."""
    K = theta.size
    gradient, laplacian = _derivatives(counts, theta)
    # theta_i - theta_j is rounded to the size of theta, which moves a sigmoid by as much relative to itself
    flow = counts * expit(theta[:, None] - theta).T
    rounding = EPS * (K + 8 + 2 * np.abs(theta).max()) * (flow + flow.T).sum(axis=1)
    values, vectors = np.linalg.eigh(laplacian)
    smallest = values[1] - 4 * K * EPS * values[-1]  # the eigenvalues of a symmetric matrix are found to a backward error
    if smallest <= 0:
        return float("inf"), float(np.abs(gradient).max())
    along = vectors[:, 1:].T @ gradient
    size = np.sqrt(np.sum(along**2 / (values[1:] - 4 * K * EPS * values[-1]))) + np.linalg.norm(rounding) / np.sqrt(smallest)
    c = np.sqrt(2 / smallest) * size
    return (float(-np.log1p(-c)) if c < 1 else float("inf")), float(np.abs(gradient).max())
