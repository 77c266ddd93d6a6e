r"""Common-payoff games: every player wants the same thing, and all of them move at once.

With the payoff tensor U and independent policies :math:`\pi_1, \dots, \pi_n` the team expects

.. math:: U(\pi) = \sum_a \pi_1(a_1) \cdots \pi_n(a_n)\, U(a),

and player i values its actions, given what the others do now, by :math:`q_i(a_i) = \mathbb{E}_{a_{-i} \sim \pi_{-i}} U(a)`, the
gradient of U in :math:`\pi_i`. Policies are given and returned as one vector of log-probabilities for each player.

What is out of its stated range raises :class:`~theory.errors.InputError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from games.prox import normalise, require_step
from theory.claims.families import family
from theory.divergences import NORMALISATION
from theory.errors import InputError

Array = NDArray[np.float64]
Policies = Sequence[ArrayLike]


@dataclass(frozen=True, eq=False)
class CommonPayoffGame:
    """The payoff of every joint action: ``payoff``, shape (K_1, ..., K_n), one axis for each of n >= 1 players, finite.

    ``key`` is the call that rebuilds the instance. Raises :class:`InputError` for a tensor that is empty or not finite.
    """

    payoff: Array
    key: str | None = None

    def __post_init__(self) -> None:
        payoff = np.array(self.payoff, dtype=float)
        if payoff.ndim < 1 or payoff.size == 0:
            raise InputError(f"a common-payoff game has a player with an action, not a payoff of shape {payoff.shape}.")
        if not np.isfinite(payoff).all():
            place = tuple(int(i) for i in np.argwhere(~np.isfinite(payoff))[0])
            raise InputError(f"the payoff of the joint action {place} is {payoff[place]}, which is not finite.")
        payoff.setflags(write=False)
        object.__setattr__(self, "payoff", payoff)

    @property
    def players(self) -> int:
        """The number of players n."""
        return self.payoff.ndim

    @property
    def actions(self) -> tuple[int, ...]:
        """The number of actions of each player."""
        return self.payoff.shape

    def __repr__(self) -> str:
        return f"CommonPayoffGame({self.key or ' by '.join(map(str, self.actions))})"


def expected_payoff(game: CommonPayoffGame, log_policies: Policies) -> float:
    """The payoff that the team expects; policies may hold -inf for an action that is never played."""
    value: Array = game.payoff
    for policy in reversed(_checked(game, log_policies)):  # the last axis first
        value = value @ np.exp(policy)
    return float(value)


def action_values(game: CommonPayoffGame, log_policies: Policies) -> tuple[Array, ...]:
    """For each player the expected payoff of each of its actions while the others keep to their policies."""
    policies = _checked(game, log_policies)
    values = []
    for player in range(game.players):
        value = np.moveaxis(game.payoff, player, 0)
        others = policies[:player] + policies[player + 1 :]
        for policy in reversed(others):
            value = value @ np.exp(policy)
        values.append(value)
    return tuple(values)


def simultaneous_mirror_descent(game: CommonPayoffGame, log_policies: Policies, eta: float) -> tuple[Array, ...]:
    r"""All players at once: :math:`\pi_i' \propto \pi_i \exp(\eta\, q_i)`, with the step ``eta`` > 0.

    Each player's values are those under the policies that all players hold now. With actions called by information sets this
    is the update of Sokota, Farina, Wu, Hu, Wang, Kolter and Brown (2023), arXiv 2304.13138.
    """
    step = require_step(eta)
    policies = _checked(game, log_policies)
    return tuple(normalise(p + step * q) for p, q in zip(policies, action_values(game, policies)))


def simultaneous_best_responses(game: CommonPayoffGame, log_policies: Policies) -> tuple[Array, ...]:
    """All players at once move to their first best action against the present policies; log-probabilities 0 and -inf."""
    return tuple(
        np.where(np.arange(q.size) == np.argmax(q), 0.0, -np.inf) for q in action_values(game, _checked(game, log_policies))
    )


def _checked(game: CommonPayoffGame, log_policies: Policies) -> list[Array]:
    policies = [np.asarray(p, dtype=float) for p in log_policies]
    if len(policies) != game.players:
        raise InputError(f"a game of {game.players} players needs as many policies, not {len(policies)}.")
    for player, (policy, actions) in enumerate(zip(policies, game.actions)):
        if policy.shape != (actions,):
            raise InputError(f"player {player} has {actions} actions; its policy has the shape {policy.shape}.")
        total = float(np.exp(policy).sum())
        if not abs(total - 1) <= NORMALISATION:  # a nan is wrong too
            raise InputError(f"the policy of player {player} sums to {total:.12g}, not to 1.")
    return policies


# --- families ----------------------------------------------------------------------------------------------------------


def _shape(actions: Sequence[int]) -> tuple[int, ...]:
    if not actions or min(actions) < 1:
        raise InputError(f"every player of a common-payoff game has at least one action, not {tuple(actions)}.")
    return tuple(int(k) for k in actions)


@family
def common_payoff(actions: tuple[int, ...] = (2, 2), seed: int = 0) -> CommonPayoffGame:
    """Payoffs uniform in [0, 1], stretched so that the least is 0 and the largest 1; ``actions`` has one entry a player."""
    payoff = np.random.default_rng(seed).uniform(size=_shape(actions))
    payoff -= payoff.min()
    return CommonPayoffGame(payoff / (payoff.max() or 1.0))


@family
def win_or_lose(actions: tuple[int, ...] = (2, 2), chance: float = 0.5, seed: int = 0) -> CommonPayoffGame:
    """Each joint action wins (payoff 1) with probability ``chance`` in [0, 1], drawn once for all; else the payoff is 0."""
    if not 0 <= chance <= 1:
        raise InputError(f"the chance that a joint action wins lies in [0, 1], not at {chance}.")
    payoff = (np.random.default_rng(seed).uniform(size=_shape(actions)) < chance).astype(float)
    return CommonPayoffGame(payoff)


@family(players=2)
def anti_coordination(players: int = 2) -> CommonPayoffGame:
    """Two actions each; the payoff is 0 if all players take the same action, else 1. For two players [[0, 1], [1, 0]]."""
    if players < 2:
        raise InputError(f"it takes at least two players to differ, not {players}.")
    payoff = np.ones((2,) * players)
    payoff[(0,) * players] = payoff[(1,) * players] = 0.0
    return CommonPayoffGame(payoff)


@family
def payoff_table(payoff: tuple[float, ...] = (0.0, 1.0, 1.0, 0.0), players: int = 2) -> CommonPayoffGame:
    """Any game of ``players`` players with two actions each: ``payoff`` holds 2^players numbers, last player's action first."""
    if players < 1 or len(payoff) != 2**players:
        raise InputError(f"{players} players with two actions have {2 ** max(players, 0)} joint actions, not {len(payoff)}.")
    return CommonPayoffGame(np.reshape(payoff, (2,) * players))
