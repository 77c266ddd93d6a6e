r"""Rewards masked by judges: what only responses that every judge accepts are paid for, and what it does to the others.

Responses y have calibrated rewards R(y) in [0, 1] and F is the set of those that all judges accept. The masked reward is
:math:`\tilde R = R\,1_F`, and the policy to be trained towards is the tilt of the reference :math:`\mu` by it, whose odds of a violation are

.. math:: \frac{\pi(\bar F)}{\pi(F)} = \frac{\mu(\bar F)}{\mu(F)} \Big/ \mathbb{E}_\mu[e^{R/\beta} \mid F].

Directions are those of :mod:`bandits.preference.gradient_flows`, on logits; policies are log-probabilities along the last axis.

Xu, Helenowski, Sankararaman, Jin, Peng, Han and others (2024), "The Perfect Blend: Redefining RLHF with Mixture of Judges",
arXiv 2409.20370. The formulas are derived here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import expit, log_softmax

from bandits.preference.kl_bandit import KLBandit
from theory.claims.families import family
from theory.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class JudgedBandit:
    """A KL-regularised bandit without prompts, whose rewards need not be calibrated, and the responses that are accepted.

    ``feasible``, shape (K,): booleans, of both kinds.
    """

    bandit: KLBandit
    feasible: NDArray[np.bool_]
    key: str | None = None

    def __post_init__(self) -> None:
        feasible = _set(self.feasible)
        if feasible.shape != self.bandit.reward.shape or feasible.ndim != 1:
            raise InputError(
                f"{self.bandit.reward.shape} rewards without prompts need as many judgements, not {feasible.shape}."
            )
        feasible.setflags(write=False)
        object.__setattr__(self, "feasible", feasible)

    @property
    def masked(self) -> Array:
        """The masked rewards, shape (K,)."""
        return masked_reward(self.bandit.reward, self.feasible)

    def __repr__(self) -> str:
        return f"JudgedBandit({self.key or f'{self.bandit.responses} responses'})"


@family(K=2)
def random_judged_bandit(
    K: int = 5, concentration: float = 1.0, low: float = 0.0, high: float = 1.0, beta: float = 0.5, seed: int = 0
) -> JudgedBandit:
    """K >= 2 responses of uniform rewards in [``low``, ``high``], a Dirichlet reference, and judgements of fair coins.

    The first response is always accepted, the last never. No probability of the reference is below about 1e-12.
    """
    if K < 2:
        raise InputError(f"an accepted and a rejected response are 2 responses, not {K}.")
    rng = np.random.default_rng(seed)
    law = np.maximum(rng.dirichlet(np.full(K, concentration)), 1e-12)
    feasible = rng.random(K) < 0.5
    feasible[0], feasible[-1] = True, False
    return JudgedBandit(KLBandit(rng.uniform(low, high, K), np.log(law / law.sum()), beta), feasible)


@family()
def judged_bandit(
    accepted: tuple[float, ...] = (0.1, 1.0),
    rejected: tuple[float, ...] = (0.5,),
    logits: tuple[float, ...] = (0.0, 0.0, 0.0),
    beta: float = 0.5,
) -> JudgedBandit:
    """The rewards of accepted responses and of rejected ones, and a softmax reference: for searches over instances."""
    K = len(accepted) + len(rejected)
    if len(logits) != K:
        raise InputError(f"{K} rewards need as many logits, not {len(logits)}.")
    feasible = np.arange(K) < len(accepted)
    return JudgedBandit(KLBandit(np.array([*accepted, *rejected]), log_softmax(np.array(logits)), beta), feasible)


def calibrated_reward(score: ArrayLike, baseline: ArrayLike) -> Array:
    """The probability in [0, 1] of beating the prompt's baseline response: sigmoid(score - baseline), shape (..., K).

    ``score`` (..., K) and the baseline's score (...) are finite.
    """
    scores, base = np.asarray(score, dtype=float), np.asarray(baseline, dtype=float)
    if not (np.isfinite(scores).all() and np.isfinite(base).all()):
        raise InputError("a score that is not finite cannot be calibrated.")
    return np.asarray(expit(scores - base[..., None]))


def masked_reward(reward: ArrayLike, feasible: ArrayLike) -> Array:
    """The ``reward`` (..., K) where ``feasible``, 0 elsewhere."""
    return np.where(np.asarray(feasible, dtype=bool), np.asarray(reward, dtype=float), 0.0)


def violation_log_odds(log_policy: ArrayLike, feasible: ArrayLike) -> Array:
    """The log-odds that a response of the policy (..., K) is rejected, shape (...)."""
    policy, accepted = np.asarray(log_policy, dtype=float), _set(feasible)
    return np.asarray(
        np.logaddexp.reduce(policy[..., ~accepted], axis=-1) - np.logaddexp.reduce(policy[..., accepted], axis=-1)
    )[()]


def accepted_mean(log_policy: ArrayLike, values: ArrayLike, feasible: ArrayLike) -> Array:
    """The mean of ``values`` (..., K) under the policy (..., K), given that the response is accepted, shape (...)."""
    accepted = _set(feasible)
    law = np.asarray(log_policy, dtype=float)[..., accepted]
    law = law - np.logaddexp.reduce(law, axis=-1, keepdims=True)
    return np.asarray((np.exp(law) * np.asarray(values, dtype=float)[..., accepted]).sum(axis=-1))[()]


def critical_temperature(judged: JudgedBandit) -> float:
    r"""The temperature above which masking raises the odds of a violation, and below which it lowers them, in [0, inf].

    With :math:`t = 1/\beta` the log-odds change by :math:`-\ln \mathbb{E}_\mu[e^{t R} \mid F]`, which is concave in t and 0 at t = 0.
    Infinite if the mean of R over accepted responses is at least 0, and 0 if it is negative and no reward is positive.
    """
    accepted = judged.feasible
    law = log_softmax(judged.bandit.log_reference[accepted])
    reward = judged.bandit.reward[accepted]
    mean, best = float(np.exp(law) @ reward), float(reward.max())
    if mean >= 0:
        return np.inf
    if best <= 0:
        return 0.0

    def growth(t: float) -> float:
        """The cumulant ln E exp(t R), divided by t."""
        return float(np.logaddexp.reduce(law + t * reward)) / t

    most = -float(law[np.argmax(reward)]) / best  # there the best response alone outweighs the loss of all
    low = most
    while growth(low) > 0:
        low /= 2
    return float(1 / brentq(growth, low, max(most, 2 * low), xtol=1e-15, rtol=1e-14))


def natural_gradient(log_policy: ArrayLike, reward: ArrayLike) -> Array:
    r"""The natural policy gradient of the expected ``reward`` (..., K) in the logits: the advantages :math:`r - \mathbb{E}_\pi r`.

    A step multiplies the policy by :math:`e^{\eta r}` and normalises it.
    """
    r = np.asarray(reward, dtype=float)
    return np.asarray(r - (np.exp(np.asarray(log_policy, dtype=float)) * r).sum(axis=-1, keepdims=True))


def violation_speed(log_policy: ArrayLike, direction: ArrayLike, feasible: ArrayLike) -> Array:
    r"""How fast the mass of rejected responses grows when the logits move in a ``direction`` u (..., K), shape (...).

    :math:`\tfrac{d}{dt} \pi(\bar F) = \pi(\bar F) \pi(F) (\mathbb{E}_\pi[u \mid \bar F] - \mathbb{E}_\pi[u \mid F])`.
    """
    policy, u, accepted = np.asarray(log_policy, dtype=float), np.asarray(direction, dtype=float), _set(feasible)
    odds = violation_log_odds(policy, accepted)
    return np.asarray(expit(odds) * expit(-odds) * (accepted_mean(policy, u, ~accepted) - accepted_mean(policy, u, accepted)))[
        ()
    ]


def plateau_start(rejected: int, mass: float, best: float) -> Array:
    """Log-probabilities (rejected + 2,) of a policy on a plateau: accepted responses first, the good one of ``best`` second.

    ``mass`` in (0, 1) is shared evenly by the rejected responses, and the first response has what is left, which must be positive.
    """
    if rejected < 1 or not (mass > 0 and best > 0 and mass + best < 1):
        raise InputError(
            f"a plateau has rejected responses and positive masses of a sum below 1, not {rejected}, {mass} and {best}."
        )
    return np.log(np.array([1 - mass - best, best] + [mass / rejected] * rejected))


def plateau_path(log_start: ArrayLike, fall: ArrayLike) -> Array:
    r"""The policies that the policy gradient passes through when only the second response is paid, log-probabilities (..., K).

    ``fall`` (...), at least 0: by how much the first logit has gone down. Along the flow :math:`\dot\theta_i = \pi_i (r_i - J)` with
    r = (0, 1, 0, ...) all :math:`e^{-\theta_i}` but the second grow alike, since :math:`\dot\theta_i e^{-\theta_i}` is the same for
    them, and the logits keep their sum:

    .. math:: e^{-\theta_i} = \frac1{p_i} + \frac{e^{a} - 1}{p_1} \;\; (i \ne 2), \qquad \theta_2 = \ln p_2 - \sum_{i \ne 2} (\theta_i - \ln p_i).
    """
    start, a = np.asarray(log_start, dtype=float), np.asarray(fall, dtype=float)
    if start.ndim != 1 or start.size < 2 or not np.isfinite(start).all() or not (a >= 0).all():
        raise InputError("a path starts at finite log-probabilities (K,), K >= 2, and the first logit falls by at least 0.")
    change = -np.log1p(np.exp(start - start[0]) * np.expm1(a)[..., None])
    change[..., 1] = 0.0
    change[..., 1] = -change.sum(axis=-1)
    return np.asarray(log_softmax(start + change, axis=-1))


def _set(feasible: ArrayLike) -> NDArray[np.bool_]:
    accepted = np.array(feasible, dtype=bool)
    if accepted.ndim != 1 or accepted.all() or not accepted.any():
        raise InputError("judges accept at least one response and reject at least one.")
    return accepted
