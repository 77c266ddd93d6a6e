r"""Which category to train on next: bandits that follow the learning signal of groups of binary rollouts.

A group of G rollouts has s successes, :math:`\hat p = s/G`, and the advantages :math:`A_i = r_i - \hat p`, or these divided by their
standard deviation :math:`\sqrt{\hat p (1 - \hat p)}` (0 where all rollouts agree). The curriculum is a bandit over K categories of
success probability :math:`p_c = \sigma(\theta_c)`, whose payoff is the mean of :math:`|A_i|`:

* SEC (Chen et al. 2025, 2505.14970): softmax of Q / temperature, :math:`Q_c \mathrel{+}= \alpha (\text{signal} - Q_c)`;
* DUMP (Wang et al. 2025, 2504.09710): the same, with :math:`\sqrt{2 \ln n / (n_c + 1)}` added to Q.

What is out of its stated range raises :class:`~theory.errors.InputError`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, gammaln, xlog1py, xlogy

from theory.errors import InputError

Array = NDArray[np.float64]


def group_advantages(rewards: ArrayLike, normalised: bool = False) -> Array:
    """The advantages of binary ``rewards`` (..., G) in their groups, shape (..., G); ``normalised`` divides by the deviation."""
    r = np.asarray(rewards, dtype=float)
    if r.ndim == 0 or r.shape[-1] == 0 or not np.isin(r, (0.0, 1.0)).all():
        raise InputError("the rewards of a group are 0 or 1, along the last axis.")
    advantage = r - r.mean(axis=-1, keepdims=True)
    if not normalised:
        return np.asarray(advantage)
    deviation = r.std(axis=-1, keepdims=True)
    return np.asarray(np.divide(advantage, deviation, out=np.zeros_like(advantage), where=deviation > 0))


def learning_signal(share: ArrayLike, normalised: bool = False) -> Array:
    r"""The mean absolute advantage of groups with the ``share`` of successes p: 2 p (1 - p), normalised 2 sqrt(p (1 - p))."""
    p = np.asarray(share, dtype=float)
    if not ((p >= 0) & (p <= 1)).all():
        raise InputError("a share of successes lies in [0, 1].")
    return np.asarray(2 * np.sqrt(p * (1 - p)) if normalised else 2 * p * (1 - p), dtype=float)


def expected_signal(probability: ArrayLike, group: int, normalised: bool = False) -> Array:
    """The expected :func:`learning_signal` of ``group`` rollouts that each succeed with ``probability``, by the binomial sum."""
    p = np.asarray(probability, dtype=float)
    if not ((p >= 0) & (p <= 1)).all():
        raise InputError("a success probability lies in [0, 1].")
    _require_group(group)
    s = np.arange(group + 1)
    choose = gammaln(group + 1) - gammaln(s + 1) - gammaln(group - s + 1)
    law: Array = np.exp(choose + xlogy(s, p[..., None]) + xlog1py(group - s, -p[..., None]))
    return np.asarray(law @ learning_signal(s / group, normalised))


@dataclass(frozen=True)
class Ladder:
    r"""Categories of falling ease, :math:`\theta_c = \text{first} - \text{drop} \cdot c`, c = 0 .. ``categories`` - 1.

    Training on category c adds ``step`` times the mean of :math:`A_i (r_i - p)` to :math:`\theta_c`, and
    :math:`e^{-|j - c|/\text{reach}}` of that to :math:`\theta_j`.
    """

    categories: int = 6
    first: float = -1.5
    drop: float = 2.2
    step: float = 2.4
    reach: float = 0.8

    def __post_init__(self) -> None:
        if self.categories < 1:
            raise InputError(f"a ladder has at least one category, not {self.categories}.")
        if not (self.step > 0 and self.reach > 0):
            raise InputError(f"a ladder's step and reach are positive, not {self.step} and {self.reach}.")

    @property
    def logits(self) -> Array:
        """The logits before training, shape (K,)."""
        return np.asarray(self.first - self.drop * np.arange(self.categories), dtype=float)

    @property
    def transfer(self) -> Array:
        """What training on category c (row) does to category j (column), shape (K, K)."""
        c = np.arange(self.categories)
        return np.exp(-np.abs(c[:, None] - c) / self.reach)


@dataclass(frozen=True)
class Curriculum:
    """Softmax of (Q + ``exploration`` * bonus) / ``temperature``; Q follows the ``signal`` at the ``rate`` alpha in (0, 1].

    The bonus is sqrt(2 ln n / (n_c + 1)), n counting all steps so far. ``signal`` is the mean absolute advantage or, for a
    curriculum that prefers what succeeds, the share of successes. An infinite temperature is the uniform choice.
    """

    temperature: float
    rate: float = 0.3
    exploration: float = 0.0
    signal: Literal["advantage", "success"] = "advantage"

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise InputError(f"a curriculum's temperature is positive, not {self.temperature}.")
        if not 0 < self.rate <= 1:
            raise InputError(f"a curriculum's rate lies in (0, 1], not at {self.rate}.")
        if self.exploration < 0:
            raise InputError(f"a curriculum's exploration is at least 0, not {self.exploration}.")


UNIFORM = Curriculum(temperature=math.inf)
SEC = Curriculum(temperature=0.1)
DUMP = Curriculum(temperature=0.1, exploration=1.0)


@dataclass(frozen=True, eq=False)
class CurriculumRuns:
    """Runs of one curriculum: the ``choices`` (steps, runs), and the mean success over categories (steps + 1, runs)."""

    choices: NDArray[np.int64]
    mean_success: Array

    def steps_to(self, threshold: float) -> NDArray[np.int64]:
        """How many steps until the mean success exceeds ``threshold``, shape (runs,); the number of steps where it never does."""
        above = self.mean_success[:-1] > threshold
        return np.where(above.any(axis=0), above.argmax(axis=0), above.shape[0])

    @property
    def area(self) -> Array:
        """The mean over time of the mean success, shape (runs,)."""
        return np.asarray(self.mean_success[:-1].mean(axis=0))

    def shares(self, categories: int) -> Array:
        """The share of the runs that train on each category at each step, shape (steps, categories)."""
        return np.asarray((self.choices[:, :, None] == np.arange(categories)).mean(axis=1))


def train(
    ladder: Ladder, curriculum: Curriculum, steps: int, runs: int, seed: int | np.random.Generator, group: int = 16
) -> CurriculumRuns:
    """``runs`` independent runs of ``steps`` steps, each on a ``group`` of G >= 2 rollouts of the category that is chosen."""
    if steps < 1 or runs < 1:
        raise InputError(f"training takes at least one step and one run, not {steps} and {runs}.")
    _require_group(group)
    rng = np.random.default_rng(seed)
    K = ladder.categories
    theta, transfer = np.tile(ladder.logits, (runs, 1)), ladder.transfer
    Q, count = np.zeros((runs, K)), np.zeros((runs, K))
    choices = np.empty((steps, runs), dtype=np.int64)
    mean_success = np.empty((steps + 1, runs))
    every = np.arange(runs)
    for n in range(steps):
        p = expit(theta)
        mean_success[n] = p.mean(axis=1)
        score = Q + curriculum.exploration * np.sqrt(2 * math.log(max(n, 1)) / (count + 1))
        weight = np.exp((score - score.max(axis=1, keepdims=True)) / curriculum.temperature)
        cumulative = weight.cumsum(axis=1)
        point = rng.random(runs) * cumulative[:, -1]
        chosen = np.minimum((point[:, None] >= cumulative).sum(axis=1), K - 1)
        share = rng.binomial(group, p[every, chosen]) / group
        signal = share if curriculum.signal == "success" else learning_signal(share)
        Q[every, chosen] += curriculum.rate * (signal - Q[every, chosen])
        count[every, chosen] += 1
        # the mean of A (r - p) is share - share^2, whatever p is
        theta += ladder.step * (share * (1 - share))[:, None] * transfer[chosen]
        choices[n] = chosen
    mean_success[steps] = expit(theta).mean(axis=1)
    return CurriculumRuns(choices, mean_success)


def _require_group(group: int) -> None:
    if group < 2:
        raise InputError(f"a group has at least 2 rollouts, not {group}.")
