r"""KL-regularised bandits: responses y with rewards r(y), and a reference policy that it costs to leave.

A policy :math:`\pi` is worth :math:`J(\pi) = \mathbb{E}_\pi r - \beta\,\mathrm{KL}(\pi\|\mu)`. The optimum is the tilt
:math:`\pi^\star \propto \mu e^{r/\beta}` with the value :math:`\beta \ln Z`, and :math:`J(\pi^\star) - J(\pi) =
\beta\,\mathrm{KL}(\pi\|\pi^\star)` for every policy. With several prompts everything is averaged over their law.

Policies are log-probabilities; -inf stands for probability 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.divergences import NORMALISATION, kl
from theory.errors import InputError
from theory.tilts import log_partition, log_tilt, require_temperature

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class KLBandit:
    """Rewards, a reference policy and a temperature.

    ``reward``, shape (K,) or (X, K) with a row for each prompt: finite. ``log_reference``, the same shape: log-probabilities of
    the reference, -inf allowed, rows summing to 1. ``beta`` > 0: the temperature. ``log_pairs``, the same shape: the law that
    the two responses of a labelled pair are drawn from, independently (the reference if not given). ``prompts``, shape (X,):
    their probabilities (uniform if not given; absent without a prompt axis). ``key`` is the call that rebuilds the instance.
    """

    reward: Array
    log_reference: Array
    beta: float
    log_pairs: Array = None  # type: ignore[assignment]  # __post_init__ fills it in
    prompts: Array | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        reward = np.array(self.reward, dtype=float)
        if reward.ndim not in (1, 2) or reward.size == 0:
            raise InputError(f"rewards have the shape (K,) or (X, K), not {reward.shape}.")
        if not np.isfinite(reward).all():
            place = tuple(int(i) for i in np.argwhere(~np.isfinite(reward))[0])
            raise InputError(f"the reward of response {place[-1]} is {reward[place]}, which is not finite.")
        reference = _log_law(self.log_reference, reward.shape, "the reference")
        pairs = reference.copy() if self.log_pairs is None else _log_law(self.log_pairs, reward.shape, "the law of pairs")
        prompts = None
        if reward.ndim == 2:
            X = reward.shape[0]
            prompts = np.full(X, 1 / X) if self.prompts is None else np.array(self.prompts, dtype=float)
            if prompts.shape != (X,) or not (prompts >= 0).all() or not abs(prompts.sum() - 1) <= NORMALISATION:
                raise InputError(f"the law of {X} prompts has as many probabilities with the sum 1, not {self.prompts!r}.")
        elif self.prompts is not None:
            raise InputError("a bandit without a prompt axis has no law of prompts.")
        require_temperature(self.beta)
        for array, name in ((reward, "reward"), (reference, "log_reference"), (pairs, "log_pairs"), (prompts, "prompts")):
            if array is not None:
                array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def responses(self) -> int:
        """The number of responses K."""
        return self.reward.shape[-1]

    @property
    def reference(self) -> Array:
        """The probabilities of the reference policy."""
        return np.exp(self.log_reference)

    @property
    def log_optimum(self) -> Array:
        """The log-probabilities of the optimal policy, the tilt of the reference by the reward."""
        return log_tilt(self.log_reference, self.reward, self.beta)

    @property
    def optimal_value(self) -> float:
        r""":math:`\beta \ln Z`, averaged over prompts: the value of the optimum."""
        return float(average(self, log_partition(self.log_reference, self.reward, self.beta)))

    def __repr__(self) -> str:
        return f"KLBandit({self.key or f'{self.responses} responses'})"


def average(bandit: KLBandit, values: ArrayLike) -> Array:
    """The average of ``values`` (..., X) over the prompts; without a prompt axis, the values themselves."""
    return np.asarray(values)[()] if bandit.prompts is None else np.asarray(np.asarray(values) @ bandit.prompts)[()]


def kl_objective(bandit: KLBandit, log_policy: ArrayLike) -> Array:
    """J of one policy or several, shape (...) for log-probabilities (..., K) or (..., X, K).

    Minus infinity for a policy that leaves the support of the reference.
    """
    policy = np.asarray(log_policy, dtype=float)
    earned = (np.exp(policy) * bandit.reward).sum(axis=-1)
    return average(bandit, earned - bandit.beta * kl(policy, bandit.log_reference, log=True))


def kl_gap(bandit: KLBandit, log_policy: ArrayLike) -> Array:
    """J(optimum) - J(policy) = beta KL(policy || optimum), at least 0, shape (...): exact also where the gap is tiny."""
    policy = np.asarray(log_policy, dtype=float)
    return average(bandit, bandit.beta * kl(policy, bandit.log_optimum, log=True))


def expected_reward(bandit: KLBandit, log_policy: ArrayLike) -> Array:
    """The expected reward of one policy or several, shape (...)."""
    return average(bandit, (np.exp(np.asarray(log_policy, dtype=float)) * bandit.reward).sum(axis=-1))


def _log_law(values: ArrayLike, shape: tuple[int, ...], what: str) -> Array:
    law = np.array(values, dtype=float)
    if law.shape != shape:
        raise InputError(f"{what} has log-probabilities of the rewards' shape {shape}, not {law.shape}.")
    if not (law < np.inf).all():
        raise InputError(f"{what} has an entry that is not a log-probability.")
    total = np.exp(law).sum(axis=-1)
    worst = float(np.ravel(total)[np.argmax(np.abs(np.ravel(total) - 1))])
    if not abs(worst - 1) <= NORMALISATION:
        raise InputError(f"the probabilities of {what} sum to {worst:.12g}, not to 1.")
    return law
