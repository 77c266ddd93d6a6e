r"""What group-normalised advantages optimise: the fixed points of GRPO (Shao et al. 2024, arXiv 2402.03300) on finite sets of
responses.

A group of G responses is drawn from the policy. The advantage of response i is :math:`(r_i - \bar r)/\hat\sigma`, the mean and
the deviation (with 1/G) those of the group itself; 0 where all rewards are equal. The step follows the advantages' policy
gradient less that of :math:`\beta\,\mathrm{KL}(\pi\|\mu)`. With :math:`a_\pi(y)` the expected advantage of response y beside G
- 1 others from the policy, it vanishes over all policies where

.. math:: \pi(y) \propto \mu(y)\, e^{a_\pi(y)/\beta}.

That is the soft-optimal policy for rewards which depend on the policy. Two cases are explicit.

* **Groups of two**: :math:`a_\pi(y) = P_\pi(r' < r(y)) - P_\pi(r' > r(y))`, so that the fixed point is the symmetric
  equilibrium of the regularised game of preferences in which the larger reward always wins. Only the order of the rewards
  matters.
* **Large groups**: :math:`a_\pi(y) = (r(y) - \mathbb{E}_\pi r)/\sigma_\pi(r)`, so that the fixed point is the tilt at the
  temperature :math:`b = \beta\,\sigma_{\pi_b}(r)`. The deviation of a cold tilt vanishes faster than its temperature. So there
  is no such b for :math:`\beta < \min_b b/\sigma_{\pi_b}(r)` (:func:`collapse_threshold`), and nothing stops the policy before
  it writes best responses only.

Policies are log-probabilities of responses, shape (K,).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, minimize_scalar
from scipy.special import gammaln

from theory.errors import InputError
from theory.tilts import log_tilt, require_temperature

Array = NDArray[np.float64]
MOST_GROUPS = 200_000
MOST_STEPS = 200_000
COLDEST = 1e-3  # temperatures below this fraction of beta times the range of rewards are not looked at
GRID = 400


@dataclass(frozen=True, eq=False)
class GroupFixedPoint:
    """``log_policy`` (K,), the effective ``temperature`` if it is a tilt of the rewards, and the ``residual``.

    The residual is the largest error of the fixed point equation in log-probabilities.
    """

    log_policy: Array
    temperature: float | None
    residual: float


def expected_group_advantage(rewards: ArrayLike, log_policy: ArrayLike, group: int, *, normalised: bool = True) -> Array:
    """a_pi(y), shape (K,): the expected advantage of each response beside ``group`` - 1 others from the policy, by enumeration.

    Without ``normalised`` the reward less the group's mean. Raises :class:`InputError` for fewer than two responses in a group
    and for more than 200000 groups.
    """
    r, logs = _read(rewards, log_policy)
    if group < 2:
        raise InputError(f"a group has at least two responses, not {group}.")
    if math.comb(r.size + group - 2, group - 1) > MOST_GROUPS:
        raise InputError(f"groups of {group} out of {r.size} responses are more than {MOST_GROUPS}, too many to enumerate.")
    others = np.array(list(combinations_with_replacement(range(r.size), group - 1)))
    counts = (others[:, :, None] == np.arange(r.size)).sum(axis=1)
    with np.errstate(invalid="ignore"):
        exponents = np.where(counts > 0, counts * logs, 0.0).sum(axis=1)
    chance = np.exp(gammaln(group) - gammaln(counts + 1).sum(axis=1) + exponents)
    found = np.empty(r.size)
    for y in range(r.size):
        members = np.concatenate((np.full((others.shape[0], 1), r[y]), r[others]), axis=1)
        advantage = r[y] - members.mean(axis=1)
        if normalised:
            spread = members.std(axis=1)
            equal = (members == members[:, :1]).all(axis=1)
            advantage = np.divide(advantage, spread, out=np.zeros_like(advantage), where=~equal)
        found[y] = chance @ advantage
    return found


def pair_fixed_point(log_reference: ArrayLike, rewards: ArrayLike, beta: float, *, tolerance: float = 1e-12) -> GroupFixedPoint:
    r"""The fixed point of groups of two, by damped iteration until its ``residual`` is at most ``tolerance`` / beta.

    With the step :math:`\eta = \beta^2/(1 + \beta^2)` towards the right side of the equation the linearised iteration shrinks
    by :math:`\sqrt{1-\eta}`, as a preference is antisymmetric and at most 1. Raises :class:`InputError` for a beta that is not
    positive, and for one so small that 200000 steps do not do.
    """
    r, reference = _read(rewards, log_reference)
    beta = require_temperature(beta)
    step = beta**2 / (1 + beta**2)
    _, place = np.unique(r, return_inverse=True)
    log_policy = reference
    for _ in range(MOST_STEPS):
        mass = np.bincount(place, weights=np.exp(log_policy))
        target = log_tilt(reference, (2 * np.cumsum(mass) - mass - 1)[place], beta)
        residual = float(np.abs(target - log_policy).max())
        if residual <= tolerance / beta:
            return GroupFixedPoint(log_policy, None, residual)
        log_policy = (1 - step) * log_policy + step * target
        log_policy = log_policy - np.logaddexp.reduce(log_policy)
    raise InputError(f"beta = {beta} is so small that {MOST_STEPS} steps leave the error {residual:.1e}.")


def population_fixed_point(log_reference: ArrayLike, rewards: ArrayLike, beta: float) -> GroupFixedPoint | None:
    r"""The fixed point of large groups that the flow from the reference reaches: the hottest tilt with b = beta sigma(b).

    None if there is none: the deviation of a tilt vanishes faster than its temperature, so that for a small beta
    :math:`\beta\,\sigma(b) < b` for all b. Raises :class:`InputError` for rewards that are all equal.
    """
    r, reference = _read(rewards, log_reference)
    beta = require_temperature(beta)
    _require_rewards_differ(r)

    def excess(log_b: float) -> float:
        return beta * _deviation(r, log_tilt(reference, r, math.exp(log_b))) - math.exp(log_b)

    grid = _temperatures(r, beta)
    signs = np.array([excess(x) for x in grid]) >= 0
    if not signs.any():
        return None
    first = int(np.argmax(signs))
    b = math.exp(brentq(excess, grid[first], grid[first - 1], xtol=1e-15))
    log_policy = log_tilt(reference, r, b)
    target = log_tilt(reference, r / _deviation(r, log_policy), beta)
    return GroupFixedPoint(log_policy, b, float(np.abs(target - log_policy).max()))


def collapse_threshold(log_reference: ArrayLike, rewards: ArrayLike) -> float:
    r"""The smallest beta at which large groups have a fixed point, :math:`\min_b b/\sigma_{\pi_b}(r)` over temperatures b.

    Raises :class:`InputError` for rewards that are all equal.
    """
    r, reference = _read(rewards, log_reference)
    _require_rewards_differ(r)

    def needed(log_b: float) -> float:
        deviation = _deviation(r, log_tilt(reference, r, math.exp(log_b)))
        return math.exp(log_b) / deviation if deviation > 0 else math.inf

    grid = _temperatures(r, 4.0)
    best = int(np.argmin([needed(x) for x in grid]))
    low, high = grid[min(best + 1, grid.size - 1)], grid[max(best - 1, 0)]
    found = minimize_scalar(needed, bounds=(low, high), method="bounded", options={"xatol": 1e-10})
    return float(found.fun)


def _temperatures(rewards: Array, beta: float) -> Array:
    """Logarithms of temperatures, falling. A deviation is at most half of the range, so that b = beta sigma(b) lies below the
    first."""
    spread = float(np.ptp(rewards))
    return np.log(np.geomspace(beta * spread, COLDEST * beta * spread, GRID))


def _require_rewards_differ(rewards: Array) -> None:
    if np.ptp(rewards) == 0:
        raise InputError("all rewards are equal, so that the deviation of every policy is 0.")


def _deviation(rewards: Array, log_policy: Array) -> float:
    p = np.exp(log_policy)
    return math.sqrt(float(p @ (rewards - p @ rewards) ** 2))


def _read(rewards: ArrayLike, log_policy: ArrayLike) -> tuple[Array, Array]:
    r, logs = np.asarray(rewards, dtype=float), np.asarray(log_policy, dtype=float)
    if r.ndim != 1 or r.size < 2 or r.shape != logs.shape or not (np.isfinite(r).all() and np.isfinite(logs).all()):
        raise InputError("two or more responses have as many finite rewards as log-probabilities.")
    return r, logs
