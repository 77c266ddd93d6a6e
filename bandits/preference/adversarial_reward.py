r"""Pessimism against an adversarial reward: RPO, and offline VPO.

A policy :math:`\pi` plays against a reward r of the box :math:`[l, h]^K`, for

.. math:: \phi(\pi, r) = \mathbb{E}_\pi r - \mathbb{E}_{b} r - \beta\,\mathrm{KL}(\pi\|\mu) + \eta L_D(r),

b being the baseline policy and :math:`L_D` the mean Bradley-Terry loss of labelled pairs: a reward may be the worse for the policy
the less it contradicts the data. The payoff is strictly concave in :math:`\pi` and convex in r, so that there is a saddle
point :math:`(\hat\pi, \hat r)`, in which :math:`\hat\pi` is the tilt of :math:`\mu` by

.. math:: \hat r = \arg\min_r\; \eta L_D(r) + \beta \ln \sum_y \mu(y) e^{r(y)/\beta} - \mathbb{E}_b r .

In terms of the tilt :math:`\pi_r` that is :math:`\eta` times the DPO loss plus :math:`\beta` times the cross-entropy of b: the
regulariser is supervised fine-tuning on the baseline (Liu et al. 2024, arXiv 2405.16436, RPO). Cen et al. (2024, arXiv 2405.19320,
VPO) minimise :math:`L_D(r) + \alpha\beta\ln Z_r` over rewards with :math:`\mathbb{E}_b r = 0`. Nothing here changes when r is shifted by a
constant, so that this is the same problem with :math:`\eta = 1/\alpha`, where b is their calibration policy.

**Certificate.** The gradient of the objective of :math:`\hat r` and that of :math:`\phi(\hat\pi, \cdot)` agree at
:math:`\hat r`. So the Frank-Wolfe gap :math:`\varepsilon` (:mod:`bandits.preference.box_likelihood`) bounds the suboptimality of
both, and :math:`\hat\pi` is a maximin policy up to :math:`\varepsilon`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bandits.preference.box_likelihood import BoxFit, fit_in_box, minimise, read_box, read_weights
from theory.divergences import NORMALISATION, kl
from theory.errors import InputError
from theory.pair_losses import expected_pair_loss, logistic
from theory.tilts import log_tilt, require_temperature

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RewardGame:
    """The game between a policy and an adversarial reward.

    ``comparisons`` (K, K): counts of i preferred to j, or their law; they are divided by their sum (no comparison at all is allowed).
    ``log_reference`` (K,): log-probabilities of the reference. ``base`` (K,): the probabilities of the baseline policy. ``beta`` > 0:
    the temperature. ``eta`` >= 0: the weight of the data. ``low`` < ``high``: the box of rewards.
    """

    comparisons: Array
    log_reference: Array
    base: Array
    beta: float
    eta: float
    low: float
    high: float

    def __post_init__(self) -> None:
        w = read_weights(self.comparisons)
        total = w.sum()
        w = w / total if total > 0 else w.copy()
        reference, base = np.array(self.log_reference, dtype=float), np.array(self.base, dtype=float)
        if reference.shape != (len(w),) or base.shape != (len(w),):
            raise InputError(
                f"the policies of {len(w)} responses are vectors, not of shapes {reference.shape} and {base.shape}."
            )
        for law, name in ((np.exp(reference), "reference"), (base, "baseline")):
            if not (law >= 0).all() or not abs(law.sum() - 1) <= NORMALISATION:
                raise InputError(
                    f"the probabilities of the {name} policy are at least 0 and sum to 1, not to {law.sum():.12g}."
                )
        require_temperature(self.beta)
        if not 0 <= self.eta < np.inf:
            raise InputError(f"the weight eta of the data is at least 0 and finite, not {self.eta}.")
        read_box(self.low, self.high)
        for array, name in ((w, "comparisons"), (reference, "log_reference"), (base, "base")):
            array.setflags(write=False)
            object.__setattr__(self, name, array)


@dataclass(frozen=True, eq=False)
class AdversarialReward:
    """The saddle point: ``fit`` holds the reward with its certificate, ``log_policy`` (K,) is the tilt by it.

    The value of the game lies in [fit.value - fit.gap, fit.value].
    """

    fit: BoxFit
    log_policy: Array

    @property
    def reward(self) -> Array:
        """The adversarial reward, shape (K,), up to a common constant that the problem leaves open."""
        return self.fit.reward


def adversarial_reward(game: RewardGame) -> AdversarialReward:
    """The saddle point of the game, by minimising the convex objective of the reward."""
    fit = minimise(
        game.eta * game.comparisons, game.log_reference, game.base, float(game.beta), 1.0, float(game.low), float(game.high)
    )
    return AdversarialReward(fit, log_tilt(game.log_reference, fit.reward, game.beta))


def payoff(game: RewardGame, log_policy: ArrayLike, reward: ArrayLike) -> Array:
    """phi(pi, r), shape (...), for log-probabilities (..., K) and rewards (..., K)."""
    policy, r = np.asarray(log_policy, dtype=float), np.asarray(reward, dtype=float)
    earned = ((np.exp(policy) - game.base) * r).sum(axis=-1)
    return np.asarray(earned - game.beta * kl(policy, game.log_reference, log=True) + game.eta * mean_loss(game, r))[()]


def mean_loss(game: RewardGame, reward: ArrayLike) -> Array:
    """L_D(r), shape (...), for rewards (..., K)."""
    return expected_pair_loss(reward, game.comparisons, logistic())


def worst_reward(game: RewardGame, log_policy: ArrayLike) -> BoxFit:
    """The reward of the box that minimises phi(pi, .); its value leaves out the divergence, which is the same for all rewards."""
    policy = np.exp(np.asarray(log_policy, dtype=float))
    return fit_in_box(game.eta * game.comparisons, game.low, game.high, linear=game.base - policy)
