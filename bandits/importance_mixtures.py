r"""Importance sampling from a mixture of proposals, with all moments exact by enumeration.

Outcomes x have the probability p(x), and proposal k draws x with probability :math:`q_k(x)`. The mixture
:math:`q_\alpha = \sum_k \alpha_k q_k` estimates :math:`\mu = \sum_x p(x) f(x)` by the mean of :math:`p f / q_\alpha`, whose variance is
:math:`\sum_x p(x)^2 f(x)^2 / q_\alpha(x) - \mu^2`. It is convex in alpha, as 1/q is convex in q.

What is out of its stated range raises :class:`~theory.errors.InputError`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from mdplab.models.finite_chain import FiniteChain, path_log_probabilities
from theory.divergences import NORMALISATION
from theory.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MixtureProblem:
    """A law ``p`` (X,), an integrand ``f`` (X,) and ``proposals`` (K, X), each a probability vector.

    An outcome with p f != 0 that a mixture never draws makes its estimate biased; the variance counts as infinite there.
    """

    p: Array
    f: Array
    proposals: Array

    def __post_init__(self) -> None:
        p, f, proposals = (np.array(a, dtype=float) for a in (self.p, self.f, self.proposals))
        if p.ndim != 1 or f.shape != p.shape or proposals.ndim != 2 or proposals.shape[1:] != p.shape or not proposals.size:
            raise InputError(
                f"p, f and the proposals have the shapes (X,), (X,) and (K, X), not {p.shape}, {f.shape} and {proposals.shape}."
            )
        if not np.isfinite(f).all():
            raise InputError(f"the integrand is {f[~np.isfinite(f)][0]} somewhere.")
        for name, row in (("the law", p), *((f"proposal {k}", q) for k, q in enumerate(proposals))):
            if not (row >= 0).all() or not abs(row.sum() - 1) <= NORMALISATION:
                raise InputError(
                    f"{name} is no probability vector: it sums to {row.sum():.12g}, its least entry is {row.min():.3g}."
                )
        for name, array in (("p", p), ("f", f), ("proposals", proposals)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @cached_property
    def mean(self) -> float:
        """The mean mu = sum p f that is estimated."""
        return float(self.p @ self.f)

    @cached_property
    def crude_variance(self) -> float:
        """The variance of sampling from p itself."""
        return float(self.p @ self.f**2) - self.mean**2

    def density(self, weights: ArrayLike) -> Array:
        """The mixture with ``weights`` (..., K) on the simplex, shape (..., X)."""
        alpha = np.asarray(weights, dtype=float)
        K = self.proposals.shape[0]
        if alpha.shape[-1:] != (K,) or not (alpha >= 0).all() or not (np.abs(alpha.sum(axis=-1) - 1) <= NORMALISATION).all():
            raise InputError(f"the weights of {K} proposals are probability vectors of length {K}.")
        return np.asarray(alpha @ self.proposals)

    def variance(self, weights: ArrayLike) -> Array:
        """The variance of one weighted sample of the mixture, shape (...); infinite where an outcome that counts is never drawn."""
        q = self.density(weights)
        counts = (self.p * self.f) ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(counts > 0, counts / q, 0.0)
        return np.asarray(terms.sum(axis=-1) - self.mean**2)[()]

    def expectation(self, weights: ArrayLike) -> Array:
        """The expectation of one weighted sample, :math:`\\sum_x q (p f / q)` over the outcomes that are drawn, shape (...)."""
        q = self.density(weights)
        return np.asarray((q * np.divide(self.p * self.f, q, out=np.zeros_like(q), where=q > 0)).sum(axis=-1))[()]


@dataclass(frozen=True, eq=False)
class FittedMixture:
    """``weights`` (K,), their ``variance``, and the ``gap``: no weights have a variance below ``variance - gap``."""

    weights: Array
    variance: float
    gap: float


def fit_mixture(problem: MixtureProblem, iterations: int = 200) -> FittedMixture:
    r"""The weights of least variance, with a certificate.

    For a convex function on the simplex the optimum is at least :math:`V(\alpha) - \max_k \langle \nabla V, \alpha - e_k \rangle`;
    here that is :math:`\max_k \sum_x c\, q_k / q_\alpha^2 - \sum_x c / q_\alpha` with c = (p f)^2. Raises :class:`InputError` where some
    outcome with c > 0 is drawn by no proposal.
    """
    counts = (problem.p * problem.f) ** 2
    live = counts > 0
    c, rows = counts[live], problem.proposals[:, live]
    K = rows.shape[0]
    if not c.size:
        return FittedMixture(np.full(K, 1 / K), 0.0, 0.0)
    if (rows.max(axis=0) == 0).any():
        raise InputError("no proposal draws some outcome that counts: every mixture is biased.")
    scale = float((c / rows.mean(axis=0)).sum())

    def value(alpha: Array) -> tuple[float, Array]:
        q = np.maximum(alpha @ rows, 1e-300)
        return float((c / q).sum()) / scale, -(rows @ (c / q**2)) / scale

    found = minimize(
        value,
        np.full(K, 1 / K),
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * K,
        constraints={"type": "eq", "fun": lambda a: a.sum() - 1, "jac": lambda a: np.ones(K)},
        options={"maxiter": iterations, "ftol": 1e-15},
    )
    alpha = np.clip(found.x, 0, None)
    alpha /= alpha.sum()
    alpha = _polished(alpha, c, rows)
    moment, slope = value(alpha)
    return FittedMixture(alpha, float(problem.variance(alpha)), max(float((-slope).max()) - moment, 0.0) * scale)


def _polished(alpha: Array, c: Array, rows: Array, steps: int = 3) -> Array:
    """``alpha`` after Newton steps among the proposals that are in use; the quasi-Newton fit stops at half of the digits."""
    used = alpha > 1e-6
    m = int(used.sum())
    for _ in range(steps):
        q = alpha @ rows
        slope = rows[used] @ (c / q**2)
        system = np.ones((m + 1, m + 1))
        system[:m, :m] = 2 * (rows[used] * (c / q**3)) @ rows[used].T
        system[m, m] = 0.0
        move = np.linalg.lstsq(system, np.append(slope - slope.mean(), 0.0), rcond=None)[0][:m]
        after = alpha.copy()
        after[used] += move
        if (after[used] <= 0).any():
            break
        alpha = after / after.sum()
    return alpha


def path_law(chain: FiniteChain) -> Array:
    """The probabilities of all paths of a chain, in the order of :func:`mdplab.models.finite_chain.paths`."""
    return np.exp(path_log_probabilities(chain))


def weight_second_moment(chain: FiniteChain, proposal: FiniteChain) -> float:
    r"""The second moment of the importance weight of a whole path, :math:`E_q[W^2] = \sum p^2/q`, by products of matrices.

    With the matrices :math:`P_t^2 / Q_t` (entry by entry) in the place of the kernels: no paths are enumerated. Infinite where the
    chain goes and the proposal does not.
    """
    if chain.kernels.shape != proposal.kernels.shape:
        raise InputError(f"a chain and its proposal have one shape, not {chain.kernels.shape} and {proposal.kernels.shape}.")
    with np.errstate(divide="ignore", invalid="ignore"):
        factors = [
            np.where(a > 0, a**2 / b, 0.0) for a, b in zip((chain.start, *chain.kernels), (proposal.start, *proposal.kernels))
        ]
    if np.isinf(np.concatenate([f.ravel() for f in factors])).any():
        return float("inf")
    total = factors[0]
    for factor in factors[1:]:
        total = total @ factor
    return float(total.sum())
