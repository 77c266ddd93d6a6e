r"""Semi-policy preference optimisation: winners from data, losers from an earlier checkpoint of the policy itself.

A pair is a winner w of the law W of the data and a sample l of the checkpoint c. With log-ratios :math:`u = \ln(\pi/c)` its loss is
:math:`\ln(1 + e^{-\beta(u_w - s u_l)})`, where s = 1 treats the sample as a loser and s = -1 as a second winner:

==========  ======================================================
always      s = 1
anchor      s = 1 if the policy has raised the winner, u_w >= 0
reversed    s = 1 if it has not, u_w < 0
oracle      s = 1 if the sample is worse than the winner
==========  ======================================================

Everything is exact in expectation over pairs. Zhang et al. (2024), arXiv 2410.05255, propose the anchor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, log_softmax

from bandits.preference.gradient_flows import require_step
from theory.claims.families import family
from theory.errors import InputError
from theory.tilts import log_tilt, require_temperature

Array = NDArray[np.float64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class WinnersOnly:
    """``reward`` (K,), the law of the data's winners ``log_winners`` (K,), and the policy to start from, ``log_start`` (K,)."""

    reward: Array
    log_winners: Array
    log_start: Array
    key: str | None = None

    def __post_init__(self) -> None:
        shape = np.shape(self.reward)
        for name in ("reward", "log_winners", "log_start"):
            array = np.array(getattr(self, name), dtype=float)
            if array.ndim != 1 or array.shape != shape or not np.isfinite(array).all():
                raise InputError(f"{name} is a finite vector with an entry for each response, not {getattr(self, name)!r}.")
            if name != "reward" and not abs(np.exp(array).sum() - 1) <= 1e-8:
                raise InputError(f"the probabilities of {name} sum to {np.exp(array).sum():.12g}, not to 1.")
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def __repr__(self) -> str:
        return f"WinnersOnly({self.key or f'{self.reward.size} responses'})"


@family(K=2)
def tilted_winners(K: int = 10, temperature: float = 2.0, start: float = 0.0, seed: int = 0) -> WinnersOnly:
    """Standard normal rewards; the winners' law is the tilt of the uniform law at ``temperature``, the start that at 1/``start``.

    ``start`` 0 is the uniform policy, 1/temperature a policy as good as the data.
    """
    reward = np.random.default_rng(seed).standard_normal(K)
    return WinnersOnly(reward, log_tilt(np.zeros(K), reward, temperature), log_softmax(start * reward))


@family()
def winners(reward: tuple[float, ...] = (0.0, 1.0), temperature: float = 2.0, start: float = 0.0) -> WinnersOnly:
    """As :func:`tilted_winners`, with these rewards: for searches over instances."""
    r = np.array(reward, dtype=float)
    return WinnersOnly(r, log_tilt(np.zeros(r.size), r, temperature), log_softmax(start * r))


def worse(reward: ArrayLike) -> Booleans:
    """Whether the second of a pair is worse than the first: (K, K), entry (w, l) true if r(l) < r(w)."""
    r = np.asarray(reward, dtype=float)
    return np.asarray(r[None, :] < r[:, None])


def anchor_labels(log_policy: ArrayLike, log_checkpoint: ArrayLike) -> Booleans:
    """The anchor rule, (K, K): entry (w, l) true, "l is a loser", if the policy gives w at least its checkpoint's probability."""
    raised = np.asarray(log_policy, dtype=float) >= np.asarray(log_checkpoint, dtype=float)
    return np.asarray(np.broadcast_to(raised[:, None], (raised.size, raised.size)))


RULES: dict[str, Callable[[WinnersOnly, Array, Array], Booleans]] = {
    "always": lambda problem, policy, checkpoint: np.ones((policy.size, policy.size), dtype=bool),
    "anchor": lambda problem, policy, checkpoint: anchor_labels(policy, checkpoint),
    "reversed": lambda problem, policy, checkpoint: ~anchor_labels(policy, checkpoint),
    "oracle": lambda problem, policy, checkpoint: worse(problem.reward),
}


def label_accuracy(problem: WinnersOnly, log_checkpoint: ArrayLike, losers: ArrayLike) -> float:
    """How often a label "loser" is given exactly to samples that are worse than the winner, in [0, 1]; ``losers`` (K, K)."""
    law = np.exp(problem.log_winners[:, None] + np.asarray(log_checkpoint, dtype=float))
    return float((law * (np.asarray(losers, dtype=bool) == worse(problem.reward))).sum())


def semi_policy_direction(
    log_policy: ArrayLike, log_checkpoint: ArrayLike, log_winners: ArrayLike, losers: ArrayLike, beta: float
) -> Array:
    """The descent direction (K,) of the module's loss in the logits; ``losers`` (K, K), ``beta`` > 0."""
    policy, checkpoint = np.asarray(log_policy, dtype=float), np.asarray(log_checkpoint, dtype=float)
    sign = np.where(np.asarray(losers, dtype=bool), 1.0, -1.0)
    ratio = policy - checkpoint
    margins = require_temperature(beta) * (ratio[:, None] - sign * ratio)
    pull = beta * np.exp(np.asarray(log_winners, dtype=float)[:, None] + checkpoint) * expit(-margins)
    signed = sign * pull
    # the gradient of u_w - s u_l is e_w - s e_l - (1 - s) pi
    return np.asarray(pull.sum(axis=1) - signed.sum(axis=0) - np.exp(policy) * (pull - signed).sum())


@dataclass(frozen=True, eq=False)
class SemiPolicyRun:
    """``log_policies`` (T + 1, K), their expected ``reward`` (T + 1,), and the ``accuracy`` of labels in each step (T,)."""

    log_policies: Array
    reward: Array
    accuracy: Array


def semi_policy_optimisation(
    problem: WinnersOnly, rule: str, *, step: float = 0.5, steps: int = 200, every: int = 20, beta: float = 1.0
) -> SemiPolicyRun:
    """``steps`` >= 0 steps of gradient descent; each ``every``-th makes the policy its own checkpoint. ``rule``: see the module."""
    if rule not in RULES:
        raise InputError(f"samples are labelled by one of the rules {', '.join(RULES)}, not by {rule!r}.")
    if steps < 0 or every < 1:
        raise InputError(f"a run has steps >= 0 and a new checkpoint every >= 1 steps, not {steps} and {every}.")
    require_step(step)
    policies = np.empty((steps + 1, problem.reward.size))
    policies[0] = checkpoint = problem.log_start
    accuracy = np.empty(steps)
    for t in range(steps):
        now = policies[t]
        if t % every == 0:
            checkpoint = now
        losers = RULES[rule](problem, now, checkpoint)
        accuracy[t] = label_accuracy(problem, checkpoint, losers)
        moved = now + step * semi_policy_direction(now, checkpoint, problem.log_winners, losers, beta)
        policies[t + 1] = moved - np.logaddexp.reduce(moved)
    return SemiPolicyRun(policies, np.exp(policies) @ problem.reward, accuracy)
