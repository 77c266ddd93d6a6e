r"""Contrastive policy gradients: RLHF as regression on pairs from any sampler, without importance weights.

For a KL-regularised bandit with the reference :math:`\mu` and a policy :math:`\pi` let :math:`R(y) = r(y) - \beta \ln(\pi/\mu)(y)`,
the *regularised reward*; it is constant exactly at the optimum. CoPG ascends

.. math:: g = \mathbb{E}_{y, y'} (R(y) - R(y'))\, (\nabla\ln\pi(y) - \nabla\ln\pi(y'))
            = -\tfrac{1}{2\beta} \nabla\, \mathbb{E}_{y, y'} (R(y) - R(y'))^2 .

Gradients are with respect to the logits of a softmax policy, for which the score :math:`\nabla\ln\pi(y)` is
:math:`e_y - \pi`. A law of pairs :math:`\nu` then gives :math:`g = L R`, L being the Laplacian of the graph with the weights
:math:`\nu_{ij} + \nu_{ji}`: the loss is a convex quadratic in the logits.

Laws of pairs are matrices (K, K) of probabilities, such as :func:`~bandits.preference.comparisons.independent_pairs`; policies
are log-probabilities (..., K). The bandits have no prompt axis (prompts do not interact).

Flet-Berliac et al. (2024), arXiv 2406.19185.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bandits.preference.kl_bandit import KLBandit
from theory.divergences import NORMALISATION
from theory.errors import InputError
from theory.tilts import implicit_reward

Array = NDArray[np.float64]
Baseline = Literal["sampler", "policy", "none"]


def regularised_reward(bandit: KLBandit, log_policy: ArrayLike) -> Array:
    r""":math:`R = r - \beta \ln(\pi/\mu)`, shape (..., K): the reward less the price of the policy's own choice.

    Its mean under the policy is the policy's value. Raises :class:`InputError` unless policy and reference are positive.
    """
    _require_one_prompt(bandit)
    reward = bandit.reward - implicit_reward(log_policy, bandit.log_reference, bandit.beta)
    if not np.isfinite(reward).all() or np.isneginf(bandit.log_reference).any():
        raise InputError("a regularised reward needs a policy and a reference that give every response a positive probability.")
    return np.asarray(reward)


def contrastive_loss(bandit: KLBandit, log_policy: ArrayLike, pairs: ArrayLike, differences: ArrayLike | None = None) -> Array:
    r""":math:`\mathbb{E}_{(i, j) \sim \nu} (R_i - R_j)^2`, shape (...), at least 0, for the law ``pairs`` :math:`\nu` (K, K).

    ``differences`` (K, K) replaces :math:`r_i - r_j` where a pair tells a difference of rewards of its own: +1/2 for each pair
    (winner, loser) makes it IPO's loss at the temperature beta, times beta squared.
    """
    law, contrast = _contrasts(bandit, log_policy, pairs, differences)
    return np.asarray((law * contrast**2).sum(axis=(-2, -1)))[()]


def contrastive_gradient(
    bandit: KLBandit, log_policy: ArrayLike, pairs: ArrayLike, differences: ArrayLike | None = None
) -> Array:
    r"""CoPG's direction of ascent :math:`\mathbb{E}_{(i, j) \sim \nu} (R_i - R_j)(e_i - e_j)`, shape (..., K); it sums to 0.

    Arguments as in :func:`contrastive_loss`, of which it is the gradient times :math:`-1/(2\beta)`.
    """
    law, contrast = _contrasts(bandit, log_policy, pairs, differences)
    flow = law * contrast
    return np.asarray(flow.sum(axis=-1) - flow.sum(axis=-2))


def baseline_gradient(bandit: KLBandit, log_policy: ArrayLike, sampler: ArrayLike, baseline: Baseline) -> Array:
    r"""The one-sample direction :math:`\mathbb{E}_{y \sim m} (R(y) - b) \nabla\ln\pi(y)`, shape (..., K).

    ``sampler``: probabilities m, shape (K,). The ``baseline`` b is the sampler's mean of R (then this is half of CoPG's direction
    for two independent samples of m), the policy's, or none.
    """
    m, R = _law(sampler, bandit.responses), regularised_reward(bandit, log_policy)
    policy = np.exp(np.asarray(log_policy, dtype=float))
    means = {"sampler": R @ m, "policy": (policy * R).sum(axis=-1), "none": np.zeros(R.shape[:-1])}
    if baseline not in means:
        raise InputError(f"a baseline is one of {', '.join(map(repr, means))}, not {baseline!r}.")
    rest = R - np.asarray(means[baseline])[..., None]
    return np.asarray(m * rest - policy * (rest @ m)[..., None])


def contrastive_ascent(
    bandit: KLBandit, pairs: ArrayLike, steps: int, step_size: float, *, start: ArrayLike | None = None
) -> Array:
    """The policies of gradient ascent on the logits along :func:`contrastive_gradient`, log-probabilities (steps + 1, K).

    It begins at the reference unless ``start`` (K,), log-probabilities, is given. ``step_size`` > 0.
    """
    law = _pair_law(pairs, bandit.responses)
    both = law + law.T
    laplacian = np.diag(both.sum(axis=1)) - both
    return _ascend(bandit, steps, step_size, start, lambda R, policy: laplacian @ R)


def baseline_ascent(
    bandit: KLBandit,
    sampler: ArrayLike,
    steps: int,
    step_size: float,
    *,
    baseline: Baseline,
    start: ArrayLike | None = None,
) -> Array:
    """The policies of gradient ascent along :func:`baseline_gradient`; otherwise as :func:`contrastive_ascent`."""
    m = _law(sampler, bandit.responses)

    def direction(R: Array, policy: Array) -> Array:
        rest = R - (m @ R if baseline == "sampler" else policy @ R if baseline == "policy" else 0.0)
        return np.asarray(m * rest - policy * (m @ rest))

    baseline_gradient(bandit, bandit.log_reference, m, baseline)  # refuses what is out of range
    return _ascend(bandit, steps, step_size, start, direction)


def _ascend(
    bandit: KLBandit,
    steps: int,
    step_size: float,
    start: ArrayLike | None,
    direction: Callable[[Array, Array], Array],
) -> Array:
    if steps < 0 or not 0 < step_size < np.inf:
        raise InputError(f"ascent takes 0 or more steps of a positive size, not {steps} of {step_size}.")
    policies = np.empty((steps + 1, bandit.responses))
    policies[0] = bandit.log_reference if start is None else np.asarray(start, dtype=float)
    regularised_reward(bandit, policies[0])  # refuses a start outside the range
    tilted = bandit.reward + bandit.beta * bandit.log_reference
    policy = np.exp(policies[0])
    for t in range(steps):
        ahead = policies[t] + step_size * direction(tilted - bandit.beta * policies[t], policy)
        ahead -= ahead.max()  # normalised by hand: a call of scipy's log_softmax takes longer than all the rest
        policy = np.exp(ahead)
        total = policy.sum()
        policy /= total
        policies[t + 1] = ahead - np.log(total)
    return policies


def _contrasts(bandit: KLBandit, log_policy: ArrayLike, pairs: ArrayLike, differences: ArrayLike | None) -> tuple[Array, Array]:
    R = regularised_reward(bandit, log_policy)
    law = _pair_law(pairs, bandit.responses)
    contrast = R[..., :, None] - R[..., None, :]
    if differences is not None:
        told = np.asarray(differences, dtype=float)
        if told.shape != law.shape or not np.isfinite(told).all():
            raise InputError(f"differences of rewards are a finite matrix of shape {law.shape}, not of shape {told.shape}.")
        contrast = contrast + (told - (bandit.reward[:, None] - bandit.reward))
    return law, contrast


def _pair_law(pairs: ArrayLike, K: int) -> Array:
    law = np.asarray(pairs, dtype=float)
    if law.shape != (K, K) or not (law >= 0).all() or not abs(law.sum() - 1) <= NORMALISATION:
        raise InputError(f"a law of pairs of {K} responses is a matrix ({K}, {K}) of probabilities with the sum 1.")
    return law


def _law(sampler: ArrayLike, K: int) -> Array:
    law = np.asarray(sampler, dtype=float)
    if law.shape != (K,) or not (law >= 0).all() or not abs(law.sum() - 1) <= NORMALISATION:
        raise InputError(f"a sampler of {K} responses has as many probabilities with the sum 1, not {sampler!r}.")
    return law


def _require_one_prompt(bandit: KLBandit) -> None:
    if bandit.prompts is not None:
        raise InputError("contrastive policy gradients are computed for one prompt; this bandit has a prompt axis.")
