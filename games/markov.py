r"""Markov games: states, players who move at the same time, a discount.

In state s the players take :math:`a = (a_1, \dots, a_n)`, player i earns :math:`r_i(s, a)`, and the next state is drawn from
:math:`P(\cdot \mid s, a)`. Every player discounts by :math:`\gamma < 1`. A *profile* is one policy for each player,
:math:`\pi_i` of shape (S, K_i); a *joint policy* is a law of the whole a in each state, shape (S, K_1, ..., K_n), which may be
correlated.

To a player whose opponents keep to their policies the game is a Markov decision process, its *marginal model*

.. math:: \bar r_i(s, a_i) = \mathbb{E}_{a_{-i} \sim \pi_{-i}(s)}\, r_i(s, a), \qquad
          \bar P_i(s' \mid s, a_i) = \mathbb{E}_{a_{-i} \sim \pi_{-i}(s)}\, P(s' \mid s, a),

and to players who act as one it is another, whose actions are the a. Both are given here as
:class:`~mdplab.models.TabularMDP`, for the solvers of :mod:`mdplab.solvers`.

A game that is none raises :class:`~mdplab.models.ModelError`, a policy that does not fit it
:class:`~theory.errors.InputError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models import ModelError, TabularMDP
from mdplab.models.random_mdps import dirichlet_rows
from mdplab.models.validation import as_array, check_discount, check_distribution, row_tolerance
from mdplab.solvers.evaluation import evaluate_policy
from theory.claims.families import family
from theory.divergences import NORMALISATION
from theory.errors import InputError

Array = NDArray[np.float64]
Profile = Sequence[ArrayLike]

PAYOFFS = ("shared", "own", "zero-sum")
REWARDS = ("uniform", "normal")


@dataclass(frozen=True, eq=False)
class MarkovGame:
    """A discounted Markov game of n >= 1 players; every player has the same actions in all states.

    ``transition``, shape (S, K_1, ..., K_n, S): probabilities of the next state. ``reward``, shape (n, S, K_1, ..., K_n), finite;
    of shape (S, K_1, ..., K_n) it is every player's. ``gamma`` in [0, 1). ``start``, shape (S,): the law of the first state,
    uniform if not given. ``key`` is the call that rebuilds the instance.

    Raises :class:`ModelError` for shapes that do not fit, a reward that is not finite, a row of probabilities that is none, or
    a discount outside [0, 1), naming the state, the joint action and the number.
    """

    transition: Array
    reward: Array
    gamma: float
    start: Array | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        transition = as_array("transition", self.transition, np.float64).copy()
        if transition.ndim < 3 or transition.size == 0 or transition.shape[0] != transition.shape[-1]:
            raise ModelError(f"the transitions of a Markov game have shape (S, K_1, ..., K_n, S), not {transition.shape}.")
        reward = as_array("reward", self.reward, np.float64)
        players = transition.ndim - 2
        if reward.shape == transition.shape[:-1]:
            reward = np.broadcast_to(reward, (players, *reward.shape))
        if reward.shape != (players, *transition.shape[:-1]):
            raise ModelError(
                f"the rewards have shape {reward.shape}; with these transitions they need {transition.shape[:-1]}, "
                f"or {(players, *transition.shape[:-1])} for each player's own."
            )
        reward = reward.copy()
        if not np.isfinite(reward).all():
            player, state, *joint = (int(k) for k in np.argwhere(~np.isfinite(reward))[0])
            raise ModelError(
                f"the reward of player {player} in state {state} for the joint action {tuple(joint)} is "
                f"{reward[(player, state, *joint)]}, which is not finite."
            )
        bad = ~((transition >= 0) & np.isfinite(transition))
        if bad.any():
            state, *joint, after = (int(k) for k in np.argwhere(bad)[0])
            raise ModelError(
                f"the joint action {tuple(joint)} in state {state} leads to state {after} with probability "
                f"{transition[(state, *joint, after)]}."
            )
        off = np.abs(transition.sum(axis=-1) - 1)
        if off.max() > row_tolerance(transition.shape[-1]):
            state, *joint = (int(k) for k in np.unravel_index(int(off.argmax()), off.shape))
            total = transition[(state, *joint)].sum()
            raise ModelError(
                f"the probabilities of the joint action {tuple(joint)} in state {state} sum to {total:.12g}, not to 1."
            )
        if not check_discount(self.gamma) < 1:
            raise ModelError(f"the discount of a Markov game is below 1, not {self.gamma}.")
        object.__setattr__(self, "gamma", float(self.gamma))
        states = transition.shape[0]
        start = np.full(states, 1 / states) if self.start is None else as_array("start", self.start, np.float64).copy()
        check_distribution("the start distribution", start, states)
        for name, array in (("transition", transition), ("reward", reward), ("start", start)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def states(self) -> int:
        """The number of states S."""
        return int(self.transition.shape[0])

    @property
    def players(self) -> int:
        """The number of players n."""
        return self.transition.ndim - 2

    @property
    def actions(self) -> tuple[int, ...]:
        """The number of actions of each player, (K_1, ..., K_n)."""
        return self.transition.shape[1:-1]

    @property
    def start_distribution(self) -> Array:
        """The law of the first state, shape (S,)."""
        assert self.start is not None
        return self.start

    @property
    def is_zero_sum(self) -> bool:
        """Whether there are two players, one of whom earns exactly what the other loses."""
        return self.players == 2 and bool((self.reward[0] == -self.reward[1]).all())

    @property
    def is_shared(self) -> bool:
        """Whether all players earn the same."""
        return bool((self.reward == self.reward[0]).all())

    def __repr__(self) -> str:
        size = f"{self.states} states, {' by '.join(map(str, self.actions))} actions"
        return f"MarkovGame({self.key or size})"


def joint_policy(game: MarkovGame, profile: Profile) -> Array:
    r"""The players choose independently: :math:`\prod_i \pi_i(a_i \mid s)`, shape (S, K_1, ..., K_n)."""
    joint = np.ones((game.states, *(1,) * game.players))
    for player, policy in enumerate(as_profile(game, profile)):
        shape = [1] * game.players
        shape[player] = game.actions[player]
        joint = joint * policy.reshape(game.states, *shape)
    return joint


def joint_mdp(game: MarkovGame, player: int = 0) -> TabularMDP:
    """The model of players who act as one for the reward of ``player``; action k is ``numpy.unravel_index(k, game.actions)``."""
    reward = game.reward[_require_player(game, player)].reshape(game.states, -1)
    return TabularMDP.from_dense(
        game.transition.reshape(game.states, -1, game.states), reward, game.gamma, start=game.start_distribution
    )


def marginal_mdp(game: MarkovGame, player: int, profile: Profile) -> TabularMDP:
    """The Markov decision process of ``player`` whose opponents keep to ``profile``; the player's own entry is not used."""
    reward, transition = marginal_model(game, player, as_profile(game, profile, skip=_require_player(game, player)))
    return TabularMDP.from_dense(transition, reward, game.gamma, start=game.start_distribution)


def marginal_model(game: MarkovGame, player: int, policies: Sequence[Array]) -> tuple[Array, Array]:
    """The arrays of :func:`marginal_mdp`: rewards (S, K_i) and transitions (S, K_i, S), of policies that are not checked."""
    reward, transition = game.reward[player], game.transition
    for other in reversed(range(game.players)):  # the last axis first, so that the axes before it stay where they are
        if other != player:
            reward = _average(reward, other, policies[other])
            transition = _average(transition, other, policies[other])
    return reward, transition


def _average(table: Array, player: int, policy: Array) -> Array:
    """The mean of ``table`` over the action of ``player``, whose axis is the one after the state and the players before."""
    weights = policy.reshape(policy.shape[0], *(1,) * player, policy.shape[1], *(1,) * (table.ndim - player - 2))
    return np.asarray((table * weights).sum(axis=player + 1))


@dataclass(frozen=True, eq=False)
class JointEvaluation:
    """What a joint policy is worth: ``value`` (S,), ``q`` (S, K_1, ..., K_n), both within ``error`` of the truth in sup norm."""

    value: Array
    q: Array
    error: float

    @property
    def advantage(self) -> Array:
        """A = Q - V, shape (S, K_1, ..., K_n), within twice the error."""
        return self.q - self.value.reshape(-1, *(1,) * (self.q.ndim - 1))


def evaluate_joint(game: MarkovGame, policy: ArrayLike, player: int = 0) -> JointEvaluation:
    """V and Q of the joint ``policy``, shape (S, K_1, ..., K_n), for the reward of ``player``."""
    given = as_joint_policy(game, policy)
    found = evaluate_policy(joint_mdp(game, player), given.reshape(-1))
    return JointEvaluation(found.value, found.q.reshape(given.shape), found.error)


def as_profile(game: MarkovGame, profile: Profile, *, skip: int | None = None) -> list[Array]:
    """The policies of ``profile``, shape (S, K_i) each, normalised to the last digit; that of player ``skip`` is not looked at.

    Raises :class:`InputError` for a number of policies, a shape, a probability or a sum that does not fit.
    """
    if len(profile) != game.players:
        raise InputError(f"a game of {game.players} players needs as many policies, not {len(profile)}.")
    policies = []
    for player, given in enumerate(profile):
        if player == skip:
            policies.append(np.empty((game.states, 0)))
            continue
        policy = np.asarray(given, dtype=float)
        if policy.shape != (game.states, game.actions[player]):
            raise InputError(
                f"a policy of player {player} has shape ({game.states}, {game.actions[player]}), not {policy.shape}."
            )
        policies.append(_normalised(policy, f"the policy of player {player}"))
    return policies


def as_joint_policy(game: MarkovGame, policy: ArrayLike) -> Array:
    """``policy`` as a law of the joint action in each state, shape (S, K_1, ..., K_n), normalised to the last digit."""
    given = np.asarray(policy, dtype=float)
    if given.shape != (game.states, *game.actions):
        raise InputError(f"a joint policy of this game has shape {(game.states, *game.actions)}, not {given.shape}.")
    return _normalised(given, "the joint policy")


def _normalised(policy: Array, name: str) -> Array:
    bad = ~((policy >= 0) & np.isfinite(policy))
    if bad.any():
        state, *action = (int(k) for k in np.argwhere(bad)[0])
        label = action[0] if len(action) == 1 else tuple(action)
        raise InputError(f"{name} gives action {label} in state {state} the probability {policy[(state, *action)]}.")
    sums = policy.reshape(policy.shape[0], -1).sum(axis=1)
    state = int(np.abs(sums - 1).argmax())
    if abs(sums[state] - 1) > NORMALISATION:
        raise InputError(f"{name} sums to {sums[state]:.12g} in state {state}, not to 1.")
    return np.asarray(policy / sums.reshape(-1, *(1,) * (policy.ndim - 1)))


def _require_player(game: MarkovGame, player: int) -> int:
    if not (isinstance(player, (int, np.integer)) and 0 <= player < game.players):
        raise InputError(f"the players of this game are 0 to {game.players - 1}; there is no player {player!r}.")
    return int(player)


# --- families ----------------------------------------------------------------------------------------------------------


@family(S=1)
def markov_game(
    S: int = 4,
    actions: tuple[int, ...] = (3, 3),
    gamma: float = 0.9,
    payoff: str = "shared",
    rewards: str = "uniform",
    scale: float = 1.0,
    concentration: float = 0.5,
    seed: int = 0,
) -> MarkovGame:
    """A random game: Dirichlet(``concentration``) transitions, rewards "uniform" on [0, 1] or standard "normal" times ``scale``.

    ``payoff`` says whose the rewards are: one for all ("shared"), each player's "own", or "zero-sum" between two. The start
    distribution is uniform on the simplex.
    """
    if S < 1 or not actions or min(actions) < 1:
        raise ModelError(f"a Markov game has a state, and players with an action each, not S={S} and actions={tuple(actions)}.")
    if not 0 < concentration < np.inf:
        raise ModelError(f"the concentration of a Dirichlet law is positive and finite, not {concentration}.")
    if payoff not in PAYOFFS or rewards not in REWARDS:
        raise ModelError(f"payoff is one of {PAYOFFS} and rewards one of {REWARDS}, not {payoff!r} and {rewards!r}.")
    if payoff == "zero-sum" and len(actions) != 2:
        raise ModelError(f"a zero-sum game is between two players, not {len(actions)}.")
    rng = np.random.default_rng(seed)
    shape = (S, *(int(k) for k in actions))
    transition = dirichlet_rows(rng, int(np.prod(shape)), S, concentration).reshape(*shape, S)
    drawn = (len(actions), *shape) if payoff == "own" else shape
    reward = scale * (rng.uniform(size=drawn) if rewards == "uniform" else rng.standard_normal(drawn))
    if payoff == "zero-sum":
        reward = np.stack([reward, -reward])
    return MarkovGame(transition, reward, gamma, dirichlet_rows(rng, 1, S, 1.0)[0])
