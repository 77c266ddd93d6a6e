r"""Generations of a deployed model: play, log, fit, play again.

Generation g plays a policy :math:`\pi_g`; its log is (here: the whole population of rounds) fitted by a linear model
:math:`\hat f_\theta(x, a) = \langle \phi(x, a), \theta \rangle`,

.. math:: \theta_{g+1} = \arg\min_\theta \sum_x P(x) \sum_a \pi_g(a|x)\, v(x, a)\, (\hat f_\theta(x, a) - f^\star(x, a))^2,

with weights v = 1, or v = 1 / :math:`\pi_g` to undo the choice of the logging policy; and generation g + 1 plays inverse-gap weighting of
the fit. When the class contains :math:`f^\star` every fit is :math:`f^\star`. When it does not, the best fit depends on who logged
the data, and the generations need not converge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bandits.contextual import ContextualBandit, read_policy
from bandits.inverse_gap_weighting import inverse_gap_weights
from theory.claims.families import family
from theory.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LinearProblem:
    """A contextual bandit and the features, shape (X, K, d), of a linear model of its mean rewards.

    Raises :class:`InputError` for features of another shape, or not finite.
    """

    bandit: ContextualBandit
    features: Array
    key: str | None = None

    def __post_init__(self) -> None:
        features = np.array(self.features, dtype=float)
        shape = self.bandit.means.shape
        if features.ndim != 3 or features.shape[:2] != shape or features.shape[2] == 0:
            raise InputError(f"the features of a bandit of shape {shape} have the shape (X, K, d), not {features.shape}.")
        if not np.isfinite(features).all():
            raise InputError("the features of a linear model are finite.")
        features.setflags(write=False)
        object.__setattr__(self, "features", features)

    def __repr__(self) -> str:
        return f"LinearProblem({self.key or f'{self.features.shape[2]} features for {self.bandit!r}'})"


@family(X=1, K=2, d=1)
def linear_bandit(X: int = 3, K: int = 3, d: int = 2, misfit: float = 0.0, seed: int = 0) -> LinearProblem:
    """Standard normal features and coefficients, the law of the contexts uniform on the simplex, Gaussian rewards.

    The means are linear in the features, plus ``misfit`` times standard normal numbers that no linear model explains.
    """
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((X, K, d))
    means = features @ rng.standard_normal(d) + misfit * rng.standard_normal((X, K))
    return LinearProblem(ContextualBandit(means, rng.dirichlet(np.full(X, 2.0)), deviation=1.0), features)


@family
def alternating(first: float = 0.45, second: float = 1.0) -> LinearProblem:
    """Two equally likely contexts, two actions, one feature: (1, 1) in context 0 and (-1, -2) in context 1.

    The means are ``first`` -+ 0.25 in context 0 and ``second``, 0 in context 1.
    """
    means = np.array([[first - 0.25, first + 0.25], [second, 0.0]])
    return LinearProblem(ContextualBandit(means), np.array([[[1.0], [1.0]], [[-1.0], [-2.0]]]))


@dataclass(frozen=True, eq=False)
class Generations:
    """The history of a model that is refitted G times.

    ``policies``, shape (G + 1, X, K), the first being what the first log was made with; ``coefficients``, shape (G, d), and
    ``fits``, shape (G, X, K), of the models; ``values``, shape (G + 1,), the expected reward of each policy.
    """

    policies: Array
    coefficients: Array
    fits: Array
    values: Array


def population_least_squares(features: ArrayLike, targets: ArrayLike, weights: ArrayLike) -> Array:
    """The least-squares coefficients, shape (..., d), of ``targets`` (..., X, K) on ``features`` (..., X, K, d).

    ``weights`` (..., X, K), at least 0, is the mass of each pair. Of several solutions the one of least Euclidean norm.
    """
    phi, y, mass = (np.asarray(v, dtype=float) for v in (features, targets, weights))
    if phi.ndim < 3 or y.shape[-2:] != phi.shape[-3:-1] or mass.shape[-2:] != phi.shape[-3:-1]:
        raise InputError(
            f"features of shape {phi.shape} need targets and weights of shape {phi.shape[-3:-1]}, not {y.shape} and {mass.shape}."
        )
    if not (np.isfinite(phi).all() and np.isfinite(y).all() and np.isfinite(mass).all() and (mass >= 0).all()):
        raise InputError("features and targets of a least-squares fit are finite, its weights finite and at least 0.")
    root = np.sqrt(mass)
    design = (root[..., None] * phi).reshape(*np.broadcast_shapes(phi.shape[:-3], mass.shape[:-2]), -1, phi.shape[-1])
    target = (root * y).reshape(*np.broadcast_shapes(y.shape[:-2], mass.shape[:-2]), -1, 1)
    return (np.linalg.pinv(design) @ target)[..., 0]


def next_generation(
    features: ArrayLike, means: ArrayLike, law: ArrayLike, logging: ArrayLike, gamma: float, *, reweighted: bool = False
) -> tuple[Array, Array]:
    """Coefficients (..., d) of the fit to the log of the policy ``logging`` (..., X, K), and the policy that follows it.

    ``features`` (..., X, K, d), ``means`` (..., X, K), ``law`` (..., X); ``reweighted`` divides by the logging probabilities, so
    that pairs are weighted by ``law`` alone (pairs that are never logged stay out).
    """
    phi, policy = np.asarray(features, dtype=float), np.asarray(logging, dtype=float)
    mass = np.asarray(law, dtype=float)[..., None] * ((policy > 0) if reweighted else policy)
    theta = population_least_squares(phi, means, mass)
    return theta, inverse_gap_weights(np.einsum("...xad,...d->...xa", phi, theta), gamma)


def retrain(
    problem: LinearProblem, gamma: float, generations: int, start: ArrayLike | None = None, *, reweighted: bool = False
) -> Generations:
    """Refit ``generations`` times, beginning with the log of the policy ``start`` (uniform play if not given), shape (X, K).

    ``gamma`` >= 0 is the learning rate of inverse-gap weighting; ``reweighted`` as in :func:`next_generation`.
    """
    if generations < 1:
        raise InputError(f"a model is refitted at least once, not {generations} times.")
    bandit, phi = problem.bandit, problem.features
    shape = bandit.means.shape
    policies = [np.full(shape, 1 / shape[1]) if start is None else read_policy(start, shape, "the first policy")]
    coefficients = []
    for _ in range(generations):
        theta, policy = next_generation(phi, bandit.means, bandit.law, policies[-1], gamma, reweighted=reweighted)
        coefficients.append(theta)
        policies.append(policy)
    every, thetas = np.array(policies), np.array(coefficients)
    return Generations(every, thetas, np.einsum("xad,gd->gxa", phi, thetas), np.asarray(bandit.value(every)))
