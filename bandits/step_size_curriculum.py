r"""The step size of a policy gradient as an algorithm to be chosen, and the bandits to choose it on.

The algorithm is a softmax policy gradient with a running baseline on a bandit with Gaussian rewards,

.. math:: \theta \mathrel{+}= \eta\, (r - b) (e_a - \pi), \qquad b = \text{mean of the rewards before},

begun at the uniform policy; :math:`b` is the reward itself in the first round, which so changes nothing. Its regret in an environment is
the mean over the rounds of :math:`\max_a \mu_a - \langle \pi_t, \mu \rangle`, an expectation given the policy.

Choosing :math:`\eta` for a mixture of environments is what meta-learning of an algorithm does; choosing the mixture against it is the curriculum
of Jackson et al. (2023, 2310.02782), environments by their regret. What is out of its stated range raises
:class:`~theory.errors.InputError`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog

from theory.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Environment:
    """A bandit of ``arms`` >= 2 arms: the last has the mean ``gap`` > 0, the others 0, rewards the ``deviation`` >= 0."""

    arms: int
    gap: float
    deviation: float

    def __post_init__(self) -> None:
        if self.arms < 2:
            raise InputError(f"an environment has at least two arms, not {self.arms}.")
        if not (self.gap > 0 and np.isfinite(self.gap)):
            raise InputError(f"the gap of an environment is above 0, not {self.gap}.")
        if not (self.deviation >= 0 and np.isfinite(self.deviation)):
            raise InputError(f"the deviation of an environment's rewards is at least 0, not {self.deviation}.")


def environments(arms: Sequence[int], gaps: Sequence[float], deviations: Sequence[float]) -> tuple[Environment, ...]:
    """All combinations, the deviation changing fastest and the number of arms slowest."""
    return tuple(itertools.starmap(Environment, itertools.product(arms, gaps, deviations)))


@dataclass(frozen=True, eq=False)
class StepSizeTable:
    """Runs of every step size in every environment: ``regret`` and ``surprise``, each of shape (step sizes, environments, runs).

    The surprise is the mean over the rounds of :math:`|r - b|`, the value loss that a run can see by itself. Run i of an environment
    meets the same random numbers under every step size.
    """

    regret: Array
    surprise: Array


def step_size_table(
    step_sizes: ArrayLike, places: Sequence[Environment], steps: int, runs: int, seed: int | np.random.Generator
) -> StepSizeTable:
    """``runs`` runs of ``steps`` rounds of each of the ``step_sizes`` (vector, 0 or more) in each environment of ``places``."""
    eta = np.asarray(step_sizes, dtype=float)
    if eta.ndim != 1 or eta.size == 0 or not (np.isfinite(eta) & (eta >= 0)).all():
        raise InputError("the step sizes are a vector of numbers, 0 or more.")
    if not places:
        raise InputError("a table of step sizes needs an environment.")
    if steps < 1 or runs < 1:
        raise InputError(f"a table of step sizes needs a step and a run at least, not {steps} and {runs}.")
    rng = np.random.default_rng(seed)
    regret = np.zeros((eta.size, len(places), runs))
    surprise = np.zeros_like(regret)
    for arms in sorted({place.arms for place in places}):
        alike = [i for i, place in enumerate(places) if place.arms == arms]
        gap = np.array([places[i].gap for i in alike])[:, None]
        deviation = np.array([places[i].deviation for i in alike])[:, None]
        regret[:, alike], surprise[:, alike] = _alike(eta[:, None, None], arms, gap, deviation, steps, runs, rng)
    return StepSizeTable(regret, surprise)


def _alike(
    eta: Array, arms: int, gap: Array, deviation: Array, steps: int, runs: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """The regret and the surprise in environments of as many arms, (step sizes, environments, runs); ``gap`` (environments, 1)."""
    shape = (eta.shape[0], gap.shape[0], runs)
    logits = np.zeros((arms, *shape))  # the arm first: sums over arms are sums of few large blocks
    mean, regret, surprise = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    each = np.arange(arms)[:, None, None, None]
    for t in range(steps):
        policy = np.exp(logits - logits.max(axis=0))
        policy /= policy.sum(axis=0)
        regret += gap * (1 - policy[-1])
        point = rng.random(shape[1:])
        arm = (np.cumsum(policy[:-1], axis=0) <= point).sum(axis=0)
        reward = gap * (arm == arms - 1) + deviation * rng.standard_normal(shape[1:])
        advantage = reward - mean if t else np.zeros(shape)
        surprise += np.abs(advantage)
        mean += (reward - mean) / (t + 1)
        logits += (eta * advantage) * ((arm == each) - policy)
    return regret / steps, surprise / steps


def relative_regret(regret: ArrayLike) -> Array:
    """A table (step sizes, environments) of mean regrets less the smallest of each environment."""
    table = np.asarray(regret, dtype=float)
    return np.asarray(table - table.min(axis=0))


@dataclass(frozen=True, eq=False)
class Minimax:
    """Against each other: a ``mixture`` of environments (E,) and a ``response``, a mixture of step sizes (K,).

    The response's largest regret over environments is ``upper``, the smallest regret of a step size under the mixture ``lower``: the value lies between.
    """

    mixture: Array
    response: Array
    lower: float
    upper: float


def minimax(table: ArrayLike) -> Minimax:
    """The equilibrium of a table (step sizes, environments) of regrets, by linear programming."""
    regret = np.asarray(table, dtype=float)
    if regret.ndim != 2 or regret.size == 0 or not np.isfinite(regret).all():
        raise InputError("a table of regrets is a matrix of numbers: step sizes by environments.")
    K, E = regret.shape
    solved = linprog(
        np.append(np.zeros(K), 1.0),
        A_ub=np.hstack([regret.T, -np.ones((E, 1))]),
        b_ub=np.zeros(E),
        A_eq=np.append(np.ones(K), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0, None)] * K + [(None, None)],
        method="highs",
    )
    if solved.status != 0:
        raise ArithmeticError(f"the linear program of a table of regrets was not solved: {solved.message}")
    response = np.clip(solved.x[:K], 0, None)
    mixture = np.clip(-solved.ineqlin.marginals, 0, None)
    response, mixture = response / response.sum(), mixture / mixture.sum()
    return Minimax(mixture, response, float((regret @ mixture).min()), float((response @ regret).max()))
