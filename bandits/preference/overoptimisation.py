r"""Overoptimisation: what happens to the true (gold) reward along the policies that a wrong (proxy) reward makes.

The path is :math:`\pi_\eta \propto \mu e^{\eta \hat r}` with the inverse temperature :math:`\eta = 1/\beta`. Along it

.. math:: \frac{d}{d\eta} \mathbb{E}_{\pi_\eta} f = \mathrm{Cov}_{\pi_\eta}(f, \hat r), \qquad
          \frac{d}{d\eta} \mathrm{KL}(\pi_\eta\|\mu) = \eta\, \mathrm{Var}_{\pi_\eta}(\hat r),

so that the proxy reward and the divergence never fall. Rafailov et al. (2024), arXiv 2406.02900; Gao, Schulman and Hilton (2022),
arXiv 2210.10760.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax

from bandits.preference.families import SMALLEST_PROBABILITY
from bandits.preference.log_linear import LogLinearFit, fit_log_linear
from theory.claims.families import family
from theory.divergences import kl
from theory.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ProxyProblem:
    """A reference, a gold reward and the proxy that stands for it: ``log_reference``, ``gold`` and ``proxy``, shape (K,).

    Log-probabilities and rewards are finite.
    """

    log_reference: Array
    gold: Array
    proxy: Array
    key: str | None = None

    def __post_init__(self) -> None:
        for name in ("log_reference", "gold", "proxy"):
            values = np.array(getattr(self, name), dtype=float)
            if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all() or values.shape != np.shape(self.gold):
                raise InputError(f"{name} is a finite vector with an entry for each response, not {getattr(self, name)!r}.")
            values.setflags(write=False)
            object.__setattr__(self, name, values)

    def __repr__(self) -> str:
        return f"ProxyProblem({self.key or f'{self.gold.size} responses'})"


@family(K=2)
def noisy_proxy(K: int = 20, noise: float = 1.5, concentration: float = 1.0, seed: int = 0) -> ProxyProblem:
    """Standard normal gold rewards, a proxy with normal errors of standard deviation ``noise``, a Dirichlet reference."""
    rng = np.random.default_rng(seed)
    law = np.maximum(rng.dirichlet(np.full(K, concentration)), SMALLEST_PROBABILITY)
    gold = rng.standard_normal(K)
    return ProxyProblem(np.log(law / law.sum()), gold, gold + noise * rng.standard_normal(K))


@family()
def proxy_problem(
    logits: tuple[float, ...] = (0.0, 0.0, 0.0),
    gold: tuple[float, ...] = (0.0, 2.0, 1.0),
    proxy: tuple[float, ...] = (0.0, 1.0, 2.0),
) -> ProxyProblem:
    """The problem with these rewards, and the softmax of these logits as its reference: for searches over instances."""
    if not len(logits) == len(gold) == len(proxy):
        raise InputError(f"{len(gold)} rewards need as many proxies and logits, not {len(proxy)} and {len(logits)}.")
    return ProxyProblem(log_softmax(np.array(logits)), np.array(gold), np.array(proxy))


def tilt_path(log_reference: ArrayLike, proxy: ArrayLike, inverse_temperatures: ArrayLike) -> Array:
    r"""The policies :math:`\pi_\eta`, log-probabilities (..., T, K), at ``inverse_temperatures`` (T,), which may be negative or 0."""
    eta = np.asarray(inverse_temperatures, dtype=float)
    if eta.ndim != 1 or not np.isfinite(eta).all():
        raise InputError(f"inverse temperatures are a finite vector, not of shape {eta.shape}.")
    mu, r = np.asarray(log_reference, dtype=float), np.asarray(proxy, dtype=float)
    return np.asarray(log_softmax(mu[..., None, :] + eta[:, None] * r[..., None, :], axis=-1))


def covariance(log_policy: ArrayLike, first: ArrayLike, second: ArrayLike) -> Array:
    """The covariance of two functions of the response under a policy, shape (...), all of shape (..., K)."""
    p = np.exp(np.asarray(log_policy, dtype=float))
    f, g = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    centred = f - (p * f).sum(axis=-1, keepdims=True)
    return np.asarray((p * centred * (g - (p * g).sum(axis=-1, keepdims=True))).sum(axis=-1))[()]


@dataclass(frozen=True, eq=False)
class OveroptimisationCurve:
    """Along a path: expected ``gold`` and ``proxy`` rewards and the divergence ``kl`` from the reference, shape (..., T)."""

    gold: Array
    proxy: Array
    kl: Array

    @property
    def drop(self) -> Array:
        """How far the gold reward has fallen from its peak at the end of the path, at least 0, shape (...)."""
        return np.asarray(self.gold.max(axis=-1) - self.gold[..., -1])


def overoptimisation_curve(
    log_reference: ArrayLike, gold: ArrayLike, proxy: ArrayLike, inverse_temperatures: ArrayLike
) -> OveroptimisationCurve:
    """The curve of one problem or several, (..., K), along the path of the module."""
    path = tilt_path(log_reference, proxy, inverse_temperatures)
    p = np.exp(path)
    earned = [(p * np.asarray(f, dtype=float)[..., None, :]).sum(axis=-1) for f in (gold, proxy)]
    return OveroptimisationCurve(earned[0], earned[1], kl(path, np.asarray(log_reference, dtype=float)[..., None, :], log=True))


def turning_bound(problem: ProxyProblem) -> int:
    r"""The largest number of times that the gold reward can turn, over all :math:`\eta` in R: an integer of at least 0.

    The slope of the gold reward times :math:`Z_\eta^2` is a sum of exponentials,

    .. math:: Z_\eta^2\, \mathrm{Cov}_{\pi_\eta}(r, \hat r) = \sum_{i < j} \mu_i \mu_j (r_i - r_j)(\hat r_i - \hat r_j)
              e^{\eta (\hat r_i + \hat r_j)},

    which has no more real zeros than its coefficients, in the order of the exponents, have changes of sign (Descartes' rule;
    Laguerre 1883). Pairs of the same exponent count as one term, of the sum of their coefficients.
    """
    i, j = np.triu_indices(problem.gold.size, 1)
    mu, r, proxy = np.exp(problem.log_reference), problem.gold, problem.proxy
    exponents = proxy[i] + proxy[j]
    coefficients = mu[i] * mu[j] * (r[i] - r[j]) * (proxy[i] - proxy[j])
    _, group = np.unique(exponents, return_inverse=True)
    signs = np.sign(np.bincount(group, coefficients))
    signs = signs[signs != 0]
    return int(np.count_nonzero(signs[1:] != signs[:-1]))


def fit_tabular_reward(counts: ArrayLike, ridge: float) -> LogLinearFit:
    r"""Bradley-Terry rewards fitted to counts (..., K, K) of (winner, loser), ``theta`` of shape (..., K), by the mean loss with a ridge.

    Tabular DPO at any temperature :math:`\beta` has these for its implicit rewards :math:`\beta \ln(\pi/\mu)`, up to a constant. The
    ridge, positive, keeps rewards finite that the data leave free, and their mean 0.
    """
    c = np.asarray(counts, dtype=float)
    if c.ndim < 2 or c.shape[-1] != c.shape[-2]:
        raise InputError(f"counts of (winner, loser) have the shape (..., K, K), not {c.shape}.")
    K = c.shape[-1]
    total = c.sum(axis=(-2, -1), keepdims=True)
    if not ((c >= 0).all() and (total > 0).all()):
        raise InputError("counts are at least 0, and some pair was compared.")
    winner, loser = np.nonzero(~np.eye(K, dtype=bool))
    differences = np.eye(K)[winner] - np.eye(K)[loser]
    weights = (c / total)[..., winner, loser]
    return fit_log_linear(np.broadcast_to(differences, (*weights.shape, K)), weights, ridge=ridge)
