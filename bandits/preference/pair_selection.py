r"""Which labelled pairs to train on: by the margin that a proxy reward gives to the winner over the loser.

Responses have features :math:`\phi`, the reward is :math:`\langle\theta, \phi\rangle`, and a proxy has another parameter. Labels are
Bradley-Terry's, flipped at some rate. A rule gives each labelled pair a score and keeps those with the largest:

==========  =============================================================================  =====================
random      0                                                                              blind to labels
absolute    the size of the proxy's margin                                                 blind to labels
signed      the proxy's margin of the winner over the loser                                sees labels
==========  =============================================================================  =====================

Yang et al. (2024), arXiv 2410.10166, filter by a margin, among other things.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, log_softmax

from theory.claims.families import family
from theory.errors import InputError
from theory.links import flipped

Array = NDArray[np.float64]

RULES: dict[str, Callable[[Array], Array]] = {"random": np.zeros_like, "absolute": np.abs, "signed": np.array}


@dataclass(frozen=True, eq=False)
class FilteringProblem:
    """``features`` (K, d) of K >= 2 responses, the true ``parameter`` (d,) and the ``proxy`` (d,) of linear rewards; all finite."""

    features: Array
    parameter: Array
    proxy: Array
    key: str | None = None

    def __post_init__(self) -> None:
        for name in ("features", "parameter", "proxy"):
            array = np.array(getattr(self, name), dtype=float)
            if not np.isfinite(array).all():
                raise InputError(f"the {name} of a filtering problem are finite.")
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        K_d = self.features.shape
        if len(K_d) != 2 or K_d[0] < 2 or not self.parameter.shape == self.proxy.shape == K_d[1:]:
            raise InputError(
                f"features (K, d) and parameters (d,) are needed, not {K_d}, {self.parameter.shape} and {self.proxy.shape}."
            )

    def __repr__(self) -> str:
        return f"FilteringProblem({self.key or '{} responses, {} features'.format(*self.features.shape)})"


@family(K=2, d=1)
def linear_rewards(K: int = 20, d: int = 5, norm: float = 1.5, proxy_noise: float = 0.3, seed: int = 0) -> FilteringProblem:
    """Standard normal features, a parameter of length ``norm`` and random direction, a proxy with normal errors in each entry."""
    rng = np.random.default_rng(seed)
    features, direction = rng.standard_normal((K, d)), rng.standard_normal(d)
    parameter = norm * direction / np.linalg.norm(direction)
    return FilteringProblem(features, parameter, parameter + proxy_noise * rng.standard_normal(d))


@family()
def line(rewards: tuple[float, ...] = (0.0, 1.0, 3.0)) -> FilteringProblem:
    """One feature, the reward itself, and a perfect proxy."""
    return FilteringProblem(np.array(rewards)[:, None], np.ones(1), np.ones(1))


@family()
def ladder(gaps: tuple[float, ...] = (1.0, 2.0)) -> FilteringProblem:
    """The :func:`line` whose rewards start at 0 and rise by ``gaps`` > 0: for searches over instances."""
    if not min(gaps, default=0.0) > 0:
        raise InputError(f"the gaps between rewards are positive, not {gaps}.")
    return line(rewards=(0.0, *np.cumsum(gaps).tolist()))


def labelled_differences(problem: FilteringProblem, flip: float = 0.0) -> tuple[Array, Array]:
    """The differences of features (n, d) of all n = K (K - 1) pairs (winner, loser), and their law (n,).

    Pairs of two different responses are uniform; labels are flipped with the probability ``flip``.
    """
    winner, loser = np.nonzero(~np.eye(len(problem.features), dtype=bool))
    differences = problem.features[winner] - problem.features[loser]
    chances = flipped(expit(differences @ problem.parameter), flip)
    return differences, chances / chances.sum()


def keep_share(law: ArrayLike, scores: ArrayLike, share: float) -> Array:
    """The law (n,) of a labelled pair, given that it is among the ``share``, in (0, 1], of largest ``scores`` (n,).

    Pairs of the same score are kept in the same proportion.
    """
    p, s = np.asarray(law, dtype=float), np.asarray(scores, dtype=float)
    if p.ndim != 1 or p.shape != s.shape or not (p >= 0).all() or not abs(p.sum() - 1) <= 1e-8:
        raise InputError(f"a law (n,) of sum 1 and as many scores are needed, not shapes {p.shape} and {s.shape}.")
    if not 0 < share <= 1:
        raise InputError(f"the share of pairs that is kept lies in (0, 1], not at {share}.")
    _, group = np.unique(-s, return_inverse=True)  # the largest score first
    masses = np.bincount(group, p)
    before = np.cumsum(masses) - masses
    kept = np.clip(share - before, 0.0, masses)
    part = np.divide(kept, masses, out=np.zeros_like(kept), where=masses > 0)
    return np.asarray(p * part[group] / kept.sum())


def sample_pool(features: ArrayLike, parameter: ArrayLike, pool: int, flip: float, rng: np.random.Generator) -> Array:
    """Differences of features (S, pool, d), winner minus loser, of labelled pairs for each of S problems.

    ``features`` (S, K, d), ``parameter`` (S, d); pairs of two different responses are uniform.
    """
    phi, theta = np.asarray(features, dtype=float), np.asarray(parameter, dtype=float)
    if phi.ndim != 3 or theta.shape != (phi.shape[0], phi.shape[2]) or phi.shape[1] < 2:
        raise InputError(f"features (S, K, d) and parameters (S, d) are needed, not {phi.shape} and {theta.shape}.")
    S, K, _ = phi.shape
    first = rng.integers(0, K, (S, pool))
    second = (first + rng.integers(1, K, (S, pool))) % K
    rows = np.arange(S)[:, None]
    z = phi[rows, first] - phi[rows, second]
    wins = rng.random((S, pool)) < flipped(expit((z @ theta[..., None])[..., 0]), flip)
    return np.asarray(np.where(wins[..., None], z, -z))


def select(differences: ArrayLike, scores: ArrayLike, kept: int) -> Array:
    """The ``kept`` differences (S, kept, d) of (S, pool, d) with the largest scores (S, pool), in no particular order."""
    z, s = np.asarray(differences, dtype=float), np.asarray(scores, dtype=float)
    if z.ndim != 3 or s.shape != z.shape[:2]:
        raise InputError(f"differences (S, pool, d) and scores (S, pool) are needed, not {z.shape} and {s.shape}.")
    if not 1 <= kept <= s.shape[1]:
        raise InputError(f"of a pool of {s.shape[1]} pairs between 1 and all can be kept, not {kept}.")
    chosen = np.argpartition(-s, kept - 1, axis=1)[:, :kept]
    return np.asarray(np.take_along_axis(z, chosen[..., None], axis=1))


def linear_policy(features: ArrayLike, parameter: ArrayLike) -> Array:
    """The softmax policy of the linear reward, log-probabilities (..., K), for features (..., K, d) and parameters (..., d)."""
    phi, theta = np.asarray(features, dtype=float), np.asarray(parameter, dtype=float)
    return np.asarray(log_softmax((phi @ theta[..., None])[..., 0], axis=-1))
