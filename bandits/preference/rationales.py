r"""Preferences with rationales: labels that name the coordinates which they depend on.

Pairs have standard normal differences of features z in d dimensions, and labels of Bradley-Terry for :math:`\langle\theta, z\rangle`
with a parameter of k coordinates that are not 0. A rationale names them, so that only those are fitted.

Just et al. (2024), arXiv 2407.14477, add rationales to preference data; the model is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import quad
from scipy.special import expit, gammaln

from bandits.preference.log_linear import fit_log_linear
from theory.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SparsePreferences:
    """Labelled pairs of several problems: ``differences`` (S, n, d), winner minus loser, the ``parameter`` (S, d), and ``named``
    (S, k), the coordinates of the parameter that are not 0."""

    differences: Array
    parameter: Array
    named: NDArray[np.int64]


def sparse_preferences(S: int, n: int, d: int, k: int, size: float, rng: np.random.Generator) -> SparsePreferences:
    """n labelled pairs for each of S problems, whose k coordinates at random places are +-``size``; 1 <= k <= d."""
    if not 1 <= k <= d:
        raise InputError(f"between 1 and {d} coordinates matter, not {k}.")
    named = np.argsort(rng.random((S, d)), axis=1)[:, :k]
    parameter = np.zeros((S, d))
    np.put_along_axis(parameter, named, size * rng.choice((-1.0, 1.0), (S, k)), axis=1)
    z = rng.standard_normal((S, n, d))
    wins = rng.random((S, n)) < expit((z @ parameter[..., None])[..., 0])
    return SparsePreferences(np.where(wins[..., None], z, -z), parameter, named)


def fit_named(differences: ArrayLike, named: ArrayLike, ridge: float) -> Array:
    """Maximum likelihood with a ridge in the ``named`` coordinates (S, k) alone, the others 0; shape (S, d)."""
    z, chosen = np.asarray(differences, dtype=float), np.asarray(named)
    if z.ndim != 3 or chosen.ndim != 2 or len(chosen) != len(z):
        raise InputError(f"differences (S, n, d) and names (S, k) are needed, not {z.shape} and {chosen.shape}.")
    if chosen.size and not (chosen.min() >= 0 and chosen.max() < z.shape[2]):
        raise InputError(f"coordinates are named from 0 to {z.shape[2] - 1}.")
    fitted = fit_log_linear(np.take_along_axis(z, chosen[:, None, :], axis=2), ridge=ridge).theta
    theta = np.zeros((z.shape[0], z.shape[2]))
    np.put_along_axis(theta, chosen, fitted, axis=1)
    return theta


def ranking_error(estimate: ArrayLike, parameter: ArrayLike) -> Array:
    r"""How often a linear reward misorders a normal pair, shape (...), in [0, 1]: the angle of the two parameters over :math:`\pi`.

    1/2 for an estimate of 0.
    """
    u, v = np.asarray(estimate, dtype=float), np.asarray(parameter, dtype=float)
    lengths = np.linalg.norm(u, axis=-1), np.linalg.norm(v, axis=-1)
    if not (lengths[1] > 0).all():
        raise InputError("the true parameter is not 0.")
    unit = u / np.where(lengths[0] > 0, lengths[0], 1.0)[..., None]
    other = v / lengths[1][..., None]
    # the angle by its half, which keeps small angles: 2 atan2(|a - b|, |a + b|)
    angle = 2 * np.arctan2(np.linalg.norm(unit - other, axis=-1), np.linalg.norm(unit + other, axis=-1))
    return np.asarray(np.where(lengths[0] > 0, angle / np.pi, 0.5))[()]


def expected_chi(degrees: int) -> float:
    r""":math:`\mathbb{E} \chi_k = \sqrt2\, \Gamma(\tfrac{k+1}2) / \Gamma(\tfrac k2)`, the mean length of a normal vector; k >= 1."""
    if degrees < 1:
        raise InputError(f"a chi law has at least 1 degree of freedom, not {degrees}.")
    return float(np.sqrt(2) * np.exp(gammaln((degrees + 1) / 2) - gammaln(degrees / 2)))


def label_information(length: float) -> float:
    r""":math:`c = \mathbb{E}\, \sigma'(\lambda g)` for a standard normal g: the Fisher information of a label across the parameter.

    ``length`` is :math:`\lambda = |\theta|`, at least 0; c lies in (0, 1/4].
    """
    if not 0 <= length < np.inf:
        raise InputError(f"the length of a parameter is at least 0 and finite, not {length}.")

    def density(g: float) -> float:
        return float(expit(length * g) * expit(-length * g) * np.exp(-g * g / 2) / np.sqrt(2 * np.pi))

    return float(2 * quad(density, 0.0, 12.0, epsabs=1e-13, points=[min(1.0, 5 / max(length, 1.0))])[0])


def asymptotic_error(d: int, length: float, n: int) -> float:
    r"""The expected :func:`ranking_error` of maximum likelihood to leading order: :math:`\mathbb{E}\chi_{d-1} / (\pi \lambda \sqrt{c n})`.

    The error across :math:`\theta`, of d - 1 >= 1 dimensions, is normal with the variance 1 / (c n) in each; over the length
    :math:`\lambda > 0` it is the angle. ``n`` >= 1 pairs.
    """
    if d < 2 or not length > 0 or n < 1:
        raise InputError(f"an angle has d >= 2, a positive length and n >= 1 pairs, not {d}, {length} and {n}.")
    return expected_chi(d - 1) / (np.pi * length * float(np.sqrt(label_information(length) * n)))
