"""Playing K-armed bandits: one run round by round, or thousands of runs without Python in the loop.

:class:`Player` and :class:`Table` are a policy and a bandit round by round (``select``, ``update``; ``pull``), and
:func:`play` puts any two such objects together, a user's own included. :func:`simulate` is the compiled path. For the same
seed both make the same numbers to the last bit, since both call the same functions for a round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bandits import _kernels_play as kernels
from bandits.adversarial import LossSequence
from bandits.rules import Policy
from bandits.stochastic import BernoulliBandit, GaussianBandit, ParetoBandit, StochasticBandit
from theory.errors import InputError
from theory.random_streams import read_checkpoints, read_seeds, stream

Bandit = StochasticBandit | LossSequence
WEIGHING = (kernels.EXPONENTIAL, kernels.TSALLIS)
BOUNDED = (kernels.KL_UCB, *WEIGHING)


@dataclass(frozen=True)
class Feedback:
    """When rewards are seen: that of round t (from 0) at the end of its batch of ``batch`` rounds and ``delay`` rounds later."""

    delay: int = 0
    batch: int = 1

    def __post_init__(self) -> None:
        if self.delay < 0 or self.batch < 1:
            raise InputError(
                f"feedback has a delay of at least 0 and batches of at least 1 round, not {self.delay} and {self.batch}."
            )

    def seen_after(self, t: int) -> int:
        """The round at whose end the reward of round t is seen."""
        return (t // self.batch + 1) * self.batch - 1 + self.delay


IMMEDIATE = Feedback()


@dataclass(frozen=True, eq=False)
class BanditRuns:
    """Independent runs of one policy on one bandit.

    ``pulls[i, j, a]`` is the number of times that run i (of seed ``seeds[i]``) pulled arm a in the first ``checkpoints[j]``
    rounds, ``switches[i, j]`` how often it changed the arm in them, the first pull included, and ``earned[i, j]`` the sum of the
    rewards.

    ``pseudo_regret[i, j]``: against a stochastic bandit the sum of the gaps of the arms that were pulled; against a sequence of
    losses the losses incurred less those of the arm that is best in the first ``checkpoints[j]`` rounds. Where the policy draws its
    arm from weights p, p takes the arm's place (sum_a p_a gap_a): the same expectation without the noise of the draw.
    """

    bandit: Bandit
    checkpoints: NDArray[np.int64]
    seeds: NDArray[np.uint64]
    pulls: NDArray[np.int64]
    switches: NDArray[np.int64]
    pseudo_regret: NDArray[np.float64]
    earned: NDArray[np.float64]

    @property
    def regret(self) -> NDArray[np.float64]:
        """What the arm that is best in hindsight of a sequence of losses lost less than the run did, shape (runs, checkpoints).

        Raises :class:`InputError` for a stochastic bandit, whose arms that were not pulled paid nothing.
        """
        if not isinstance(self.bandit, LossSequence):
            raise InputError("the realised regret is defined against a sequence of losses.")
        return self.checkpoints - self.earned - self.bandit.best_losses[self.checkpoints - 1]


def simulate(
    policy: Policy,
    bandit: Bandit,
    horizon: int,
    seeds: ArrayLike,
    checkpoints: ArrayLike | None = None,
    feedback: Feedback = IMMEDIATE,
) -> BanditRuns:
    """Independent runs of ``policy`` for ``horizon`` rounds, one for each of ``seeds``, shape (runs,), in parallel.

    ``checkpoints`` (increasing, within [1, horizon]; by default the horizon alone) are the rounds after which is counted.
    A run depends on its seed alone: not on the other seeds, the number of threads, the checkpoints, or (for a policy that does
    not use it) the horizon beyond it. Seeds come from :func:`theory.random_streams.run_seeds`. Raises :class:`InputError` for
    a horizon beyond the end of a sequence of losses, and for a bandit whose rewards are not what the policy is for.
    """
    marks, each = read_checkpoints(horizon, checkpoints, "round"), read_seeds(seeds)
    world = _world(bandit, horizon)
    rule = policy.rule(bandit.arms, horizon)
    _require_rewards(rule.code, bandit)
    pulls, cost, earned, switches = kernels.runs(
        rule.code, rule.numbers, rule.by_round, rule.by_count, *world, each, marks, feedback.delay, feedback.batch
    )
    return BanditRuns(bandit, marks, each, pulls, switches, _less_the_best(cost, bandit, marks), earned)


class PlaysArms(Protocol):
    """A policy round by round."""

    def select(self) -> int:
        """The arm to pull now."""
        ...

    def update(self, arm: int, reward: float) -> None:
        """Learn that ``arm``, pulled at the earliest round whose reward was not told yet, paid ``reward``."""
        ...


class PaysArms(Protocol):
    """A bandit round by round."""

    def pull(self, arm: int) -> float:
        """The reward of ``arm`` in this round."""
        ...

    def cost(self, player: PlaysArms, arm: int) -> float:
        """What this round adds to the pseudo-regret, or to the losses against a sequence of losses; call it before ``pull``."""
        ...


class Player:
    """One run of a policy of this package, round by round.

    ``weights`` is the law that the latest arm was drawn from, shape (K,), for a policy that weighs, and None otherwise.
    """

    def __init__(self, policy: Policy, arms: int, horizon: int, seed: int) -> None:
        self.rule = policy.rule(arms, horizon)
        self._horizon, self._t, self._last = horizon, 0, -1
        self._own, self._draws = np.uint64(stream(np.uint64(seed), arms)), np.zeros(2, dtype=np.int64)
        self._state = np.zeros((kernels.ROWS, arms))
        self._untold: list[tuple[int, float]] = []

    @property
    def weights(self) -> NDArray[np.float64] | None:
        """See the class."""
        return self._state[kernels.WEIGHT] if self.rule.code in WEIGHING else None

    def select(self) -> int:
        """The arm of the next round. Raises :class:`InputError` beyond the horizon."""
        rule = self.rule
        if self._t >= self._horizon:
            raise InputError(f"the player was made for {self._horizon} rounds, and they have been played.")
        arm = int(
            kernels.choose(rule.code, self._t, self._last, rule.numbers, rule.by_round, self._state, self._own, self._draws)
        )
        kernels.played(rule.code, rule.numbers, self._state)
        self._untold.append((arm, float(self._state[kernels.WEIGHT, arm])))
        self._t, self._last = self._t + 1, arm
        return arm

    def update(self, arm: int, reward: float) -> None:
        """Book the reward of the earliest round that has none yet. Raises :class:`InputError` if another arm was pulled in it."""
        if not self._untold or self._untold[0][0] != arm:
            raise InputError(f"no reward of arm {arm} is due: the next is of {self._untold[0][0] if self._untold else 'none'}.")
        _, weight = self._untold.pop(0)
        kernels.update(
            self.rule.code, arm, float(reward), weight, self.rule.numbers, self.rule.by_count, self._state, self._draws
        )


class Table:
    """One run of a bandit of this package, round by round: the reward of an arm, and what it costs in expectation."""

    def __init__(self, bandit: Bandit, horizon: int, seed: int) -> None:
        self._kind, self._means, self._gaps, self._noise, self._losses = _world(bandit, horizon)
        self._starts = [np.uint64(stream(np.uint64(seed), a)) for a in range(bandit.arms)]
        self._taken, self._t = [0] * bandit.arms, 0
        self._state = np.zeros((kernels.ROWS, bandit.arms))

    def cost(self, player: PlaysArms, arm: int) -> float:
        """The gap (or loss) of ``arm``; its expectation under the player's ``weights`` where it has such."""
        law = getattr(player, "weights", None)
        if law is not None:
            self._state[kernels.WEIGHT] = law
        return float(kernels.incurred(law is not None, self._kind, self._gaps, self._losses, self._state, arm, self._t))

    def pull(self, arm: int) -> float:
        """The reward of ``arm`` in this round."""
        n, t = self._taken[arm], self._t
        self._taken[arm], self._t = n + 1, t + 1
        return float(kernels.reward(self._kind, self._means, self._noise, self._losses, self._starts[arm], arm, n, t))


def play(player: PlaysArms, table: PaysArms, horizon: int, feedback: Feedback = IMMEDIATE) -> NDArray[np.float64]:
    """Play ``horizon`` rounds and return the cumulative costs after each, shape (horizon,).

    Against a stochastic bandit this is the pseudo-regret; against a sequence of losses, take :attr:`LossSequence.best_losses` off.
    """
    costs, total = np.zeros(horizon), 0.0
    waiting: list[tuple[int, float]] = []
    told = 0
    for t in range(horizon):
        arm = player.select()
        total += table.cost(player, arm)
        waiting.append((arm, table.pull(arm)))
        while waiting and feedback.seen_after(told) <= t:
            player.update(*waiting.pop(0))
            told += 1
        costs[t] = total
    return costs


def _world(
    bandit: Bandit, horizon: int
) -> tuple[int, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The kernel's words for a bandit: kind, means, gaps, the noise's scale and tail, losses."""
    none, silent = _read_only(np.zeros((0, bandit.arms))), np.zeros(2)
    match bandit:
        case LossSequence():
            if horizon > bandit.rounds:
                raise InputError(f"the sequence of losses has {bandit.rounds} rounds, fewer than the horizon {horizon}.")
            return kernels.LOSSES, _read_only(np.zeros(bandit.arms)), np.zeros(bandit.arms), silent, bandit.losses
        case BernoulliBandit():
            return kernels.BERNOULLI, bandit.means, bandit.gaps, silent, none
        case GaussianBandit():
            return kernels.GAUSSIAN, bandit.means, bandit.gaps, np.array([bandit.deviation, 0.0]), none
        case ParetoBandit():
            return kernels.PARETO, bandit.means, bandit.gaps, np.array([bandit.scale, bandit.tail]), none
    raise InputError(f"{type(bandit).__name__} is not a bandit that can be simulated.")


def _read_only(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """Like the arrays of a bandit: the kernels would be compiled once more for others."""
    array.setflags(write=False)
    return array


def _require_rewards(code: int, bandit: Bandit) -> None:
    if code == kernels.BETA_THOMPSON and not isinstance(bandit, BernoulliBandit):
        raise InputError("Thompson sampling with a Beta prior is for rewards of 0 or 1, a Bernoulli bandit.")
    if code in BOUNDED and not isinstance(bandit, BernoulliBandit | LossSequence):
        raise InputError(f"the policy is for rewards in [0, 1], which a {type(bandit).__name__} does not pay.")


def _less_the_best(cost: NDArray[np.float64], bandit: Bandit, marks: NDArray[np.int64]) -> NDArray[np.float64]:
    return cost - bandit.best_losses[marks - 1] if isinstance(bandit, LossSequence) else cost
