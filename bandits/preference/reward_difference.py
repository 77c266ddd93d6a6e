r"""Reward-difference prediction (PRDP; Deng et al. 2024, arXiv 2402.08714), and what its loss says of a policy.

A policy :math:`\pi` has the implicit reward :math:`\beta \ln (\pi/\mu)`, and the *error* :math:`\Delta = \beta \ln(\pi/\mu) - r`. On pairs of responses
drawn from a law :math:`\nu`, independently for the same prompt, the loss is

.. math:: \mathrm{RDP}(\pi) = \mathbb{E}_{y, y' \sim \nu} \bigl[(\Delta(y) - \Delta(y'))^2\bigr] = 2\, \mathrm{Var}_\nu(\Delta),

which is 0 exactly at the optimum of the KL-regularised bandit if :math:`\nu` has full support. Responses may be whole trajectories.

The paper minimises it with log-ratios that are clipped near those of the previous policy ("proximal" updates). That stabilises
training, and no guarantee is stated for it; it is not part of this module.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bandits.preference.kl_bandit import KLBandit, average
from theory.coverage import largest_ratio
from theory.errors import InputError
from theory.pair_losses import expected_pair_loss, squared
from theory.tilts import implicit_reward

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GapBounds:
    r"""Upper bounds on J(optimum) - J(policy) from the reward-difference loss, averaged over prompts; infinite without coverage.

    With :math:`\rho = \pi/\nu`, :math:`\rho^\star = \pi^\star/\nu` and their largest values C and C*: ``pair`` is :math:`\sqrt{C C^\star\,
    \mathrm{RDP}}`, ``symmetric`` the smaller :math:`\sqrt{\tfrac12 \max_{y \ne y'} [\rho(y) \rho^\star(y') + \rho^\star(y) \rho(y')]\,
    \mathrm{RDP}}`, and ``linear`` is :math:`\mathrm{RDP} / (8 \beta \min_y \nu(y))`.
    """

    pair: Array
    symmetric: Array
    linear: Array


def reward_error(bandit: KLBandit, log_policy: ArrayLike) -> Array:
    """The error Delta = beta ln(policy / reference) - r, shape (..., K); :class:`InputError` where it is infinite."""
    error = implicit_reward(log_policy, bandit.log_reference, bandit.beta) - bandit.reward
    if not np.isfinite(error).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(error))[0])
        raise InputError(f"the policy and the reference have different supports at {place}: the implicit reward is not finite.")
    return error


def reward_difference_loss(bandit: KLBandit, log_policy: ArrayLike) -> Array:
    """RDP of policies, shape (...) for log-probabilities (..., K) or (..., X, K), on pairs from the bandit's law of pairs."""
    error = reward_error(bandit, log_policy)
    return average(bandit, _loss(bandit, error))


def weighted_reward_difference_loss(bandit: KLBandit, log_policy: ArrayLike, weights: ArrayLike) -> Array:
    """RDP on weighted pairs (K, K) of one prompt, :math:`\\sum_{ij} w_{ij} (\\Delta_i - \\Delta_j)^2`: any joint law, or counts."""
    if bandit.prompts is not None:
        raise InputError("weighted pairs are those of one prompt, in a bandit without a prompt axis.")
    return expected_pair_loss(reward_error(bandit, log_policy), weights, squared(0.0))


def gap_bounds(bandit: KLBandit, log_policy: ArrayLike) -> GapBounds:
    """The bounds on the gap of policies, each of shape (...); see :class:`GapBounds`.

    Proof. The policy is optimal for its implicit reward, so that gap + beta KL(optimum || policy) is :math:`\\mathbb{E}_\\pi \\Delta -
    \\mathbb{E}_{\\pi^\\star} \\Delta`, the mean difference over pairs (y, y') from :math:`\\pi \\times \\pi^\\star`: at most the root of its mean square, which
    is symmetric in the pair. For the last bound, gap :math:`= \\tfrac1\\beta \\int_0^1 s\\, \\mathrm{Var}_{\\pi_s}(\\Delta)\\, ds` along the tilts of the
    reference by :math:`r + s \\Delta`; a variance is at most a quarter of the squared range, and the range, between the responses i and
    j, gives Delta under :math:`\\nu` a variance of at least :math:`\\frac{\\nu_i \\nu_j}{\\nu_i + \\nu_j} \\ge \\tfrac12 \\min \\nu` times its square.
    """
    loss = _loss(bandit, reward_error(bandit, log_policy))
    policy = np.asarray(log_policy, dtype=float)
    with np.errstate(invalid="ignore", over="ignore"):
        first = np.exp(np.where(np.isneginf(policy), -np.inf, policy - bandit.log_pairs))
        second = np.exp(np.where(np.isneginf(bandit.log_optimum), -np.inf, bandit.log_optimum - bandit.log_pairs))
    products = first[..., :, None] * second[..., None, :]
    products = products + np.swapaxes(products, -1, -2)
    off = ~np.eye(bandit.responses, dtype=np.bool_)
    largest = np.where(off, products, 0.0).max(axis=(-1, -2))
    pair = largest_ratio(policy, bandit.log_pairs) * largest_ratio(bandit.log_optimum, bandit.log_pairs)
    smallest = np.exp(bandit.log_pairs).min(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        linear = loss / (8 * bandit.beta * smallest)
        bounds = [np.sqrt(pair * loss), np.sqrt(largest * loss / 2), linear]
    unknown = np.isnan(bounds)  # no loss, but no coverage either
    made = [average(bandit, np.where(u, np.inf, b)) for u, b in zip(unknown, bounds)]
    return GapBounds(*made)


def _loss(bandit: KLBandit, error: Array) -> Array:
    """2 Var(error) under the law of pairs, for each prompt."""
    law = np.exp(bandit.log_pairs)
    centred = error - (law * error).sum(axis=-1, keepdims=True)
    return np.asarray(2 * (law * centred**2).sum(axis=-1))
