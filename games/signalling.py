r"""Signalling games with a common payoff: one player knows, the other acts, and they can only talk.

A state s is drawn from the prior :math:`\rho`; the sender sees it and sends a message m drawn from :math:`\sigma(\cdot|s)`; the
receiver sees m alone and takes an action a drawn from :math:`\tau(\cdot|m)`; both receive U(s, a). They expect

.. math:: F(\sigma, \tau) = \sum_{s,m,a} \rho(s)\, \sigma(m|s)\, \tau(a|m)\, U(s, a).

The information sets are the states (the sender's) and the messages (the receiver's). Given that one is reached, actions are
worth

.. math:: q(s, m) = \sum_a \tau(a|m)\, U(s, a), \qquad q(m, a) = \sum_s \Pr(s|m)\, U(s, a), \quad \Pr(s|m) \propto \rho(s)\,\sigma(m|s).

A *learner* updates all information sets at once (:func:`learner_update`). *Decision-time search* (:class:`DecisionTimeSearch`)
never holds a new joint policy: it updates an information set when play comes to it, by values under the blueprint. Sokota,
Farina, Wu, Hu, Wang, Kolter and Brown (2023), arXiv 2304.13138.

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


@dataclass(frozen=True, eq=False)
class SignallingGame:
    """``prior``, shape (S,), positive probabilities of the states; ``payoff``, shape (S, A), finite; the number of ``messages``.

    ``key`` is the call that rebuilds the instance. Raises :class:`InputError` naming what is out of range.
    """

    prior: Array
    payoff: Array
    messages: int
    key: str | None = None

    def __post_init__(self) -> None:
        prior, payoff = np.array(self.prior, dtype=float), np.array(self.payoff, dtype=float)
        if payoff.ndim != 2 or payoff.size == 0:
            raise InputError(f"a signalling game has payoffs of shape (states, actions), not {payoff.shape}.")
        if prior.shape != payoff.shape[:1]:
            raise InputError(f"{payoff.shape[0]} states need as many prior probabilities, not the shape {prior.shape}.")
        if not (prior > 0).all():
            state = int(np.argmin(prior > 0))
            raise InputError(f"state {state} has the prior probability {prior[state]}, which must be positive.")
        if abs(float(prior.sum()) - 1) > NORMALISATION:
            raise InputError(f"the prior sums to {prior.sum():.12g}, not to 1.")
        if not np.isfinite(payoff).all():
            s, a = (int(i) for i in np.argwhere(~np.isfinite(payoff))[0])
            raise InputError(f"the payoff of action {a} in state {s} is {payoff[s, a]}, which is not finite.")
        if int(self.messages) != self.messages or self.messages < 1:
            raise InputError(f"a signalling game has a positive whole number of messages, not {self.messages}.")
        prior /= prior.sum()
        for array, name in ((prior, "prior"), (payoff, "payoff")):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def states(self) -> int:
        """The number of states S."""
        return self.payoff.shape[0]

    @property
    def actions(self) -> int:
        """The number of the receiver's actions A."""
        return self.payoff.shape[1]

    def __repr__(self) -> str:
        return f"SignallingGame({self.key or f'{self.states} states, {self.messages} messages, {self.actions} actions'})"


@dataclass(frozen=True, eq=False)
class Profile:
    """What both players do, as finite log-probabilities: ``log_sender``, shape (S, M), and ``log_receiver``, shape (M, A).

    Raises :class:`InputError` naming the information set whose probabilities are not finite logarithms or do not sum to 1.
    """

    log_sender: Array
    log_receiver: Array

    def __post_init__(self) -> None:
        for name, place in (("log_sender", "state"), ("log_receiver", "message")):
            table = np.array(getattr(self, name), dtype=float)
            if table.ndim != 2 or table.size == 0:
                raise InputError(f"{name} has one row of log-probabilities for each {place}, not the shape {table.shape}.")
            totals = np.exp(table).sum(axis=1)
            bad = ~(np.isfinite(table).all(axis=1) & (np.abs(totals - 1) <= NORMALISATION))
            if bad.any():
                row = int(np.argmax(bad))
                raise InputError(
                    f"{place} {row} has no policy of finite log-probabilities: the probabilities sum to {totals[row]:.12g}."
                )
            table.setflags(write=False)
            object.__setattr__(self, name, table)


def expected_payoff(game: SignallingGame, profile: Profile) -> float:
    """The payoff F that both players expect."""
    _fit(game, profile)
    return float(game.prior @ (np.exp(profile.log_sender) * sender_values(game, profile)).sum(axis=1))


def message_law(game: SignallingGame, profile: Profile) -> Array:
    """The probability of each message, shape (M,)."""
    _fit(game, profile)
    return game.prior @ np.exp(profile.log_sender)


def posterior(game: SignallingGame, profile: Profile) -> Array:
    """Pr(state | message) under the sender's policy, shape (M, S), rows summing to 1."""
    _fit(game, profile)
    return np.exp(normalise(np.log(game.prior) + profile.log_sender.T))


def sender_values(game: SignallingGame, profile: Profile) -> Array:
    """What each message is worth in each state while the receiver keeps to its policy, shape (S, M)."""
    _fit(game, profile)
    return game.payoff @ np.exp(profile.log_receiver).T


def receiver_values(game: SignallingGame, profile: Profile) -> Array:
    """What each action is worth after each message, by the posterior under the sender's policy, shape (M, A)."""
    return posterior(game, profile) @ game.payoff


def learner_update(game: SignallingGame, profile: Profile, eta: float) -> Profile:
    r"""One step of mirror descent at all information sets at once: log-policies gain ``eta`` times their values.

    Both players' values are those under ``profile``; ``eta`` > 0.
    """
    step = require_step(eta)
    return Profile(
        normalise(profile.log_sender + step * sender_values(game, profile)),
        normalise(profile.log_receiver + step * receiver_values(game, profile)),
    )


class DecisionTimeSearch:
    """Play by a blueprint that is improved only where play comes, when it comes there.

    ``sender(s)`` and ``receiver(m)`` return the log-policy of an information set: the blueprint's, moved by ``eta`` times the
    values of its actions under the blueprint (of *both* players, whatever other information sets have become). What has been
    computed once is kept; ``visited`` lists the information sets in the order of their first visit, as ("state", s) or
    ("message", m).

    Values are sums over the histories that lead through the information set. With ``rollouts`` they are means of that many
    simulated plays of each action instead, drawn from ``seed``: of the blueprint's receiver for the sender's messages, of
    states from the posterior for the receiver's actions.
    """

    def __init__(
        self,
        game: SignallingGame,
        blueprint: Profile,
        eta: float,
        *,
        rollouts: int | None = None,
        seed: int | np.random.Generator = 0,
    ):
        _fit(game, blueprint)
        if rollouts is not None and rollouts < 1:
            raise InputError(f"a value is estimated from at least one rollout, not {rollouts}.")
        self.game = game
        self.blueprint = blueprint
        self.eta = require_step(eta)
        self.rollouts = rollouts
        self.visited: list[tuple[str, int]] = []
        self._rng = np.random.default_rng(seed)
        self._policies: dict[tuple[str, int], Array] = {}

    def sender(self, state: int) -> Array:
        """The log-probabilities of the messages in ``state``, shape (M,)."""
        return self._policy("state", state)

    def receiver(self, message: int) -> Array:
        """The log-probabilities of the actions after ``message``, shape (A,)."""
        return self._policy("message", message)

    def play(self, seed: int | np.random.Generator) -> tuple[int, int, int]:
        """One play of the game, searching as it goes: the state, the message and the action."""
        rng = np.random.default_rng(seed)
        state = int(rng.choice(self.game.states, p=self.game.prior))
        message = int(rng.choice(self.game.messages, p=np.exp(self.sender(state))))
        return state, message, int(rng.choice(self.game.actions, p=np.exp(self.receiver(message))))

    def values(self, kind: str, place: int) -> Array:
        """The values of the actions at an information set, ("state", s) or ("message", m), under the blueprint."""
        game, blueprint = self.game, self.blueprint
        if kind == "state":
            laws = [np.exp(blueprint.log_receiver[m]) for m in range(game.messages)]
            return np.array([self._mean(law, game.payoff[place]) for law in laws])
        reach = np.array([game.prior[s] * np.exp(blueprint.log_sender[s, place]) for s in range(game.states)])
        if not reach.sum() > 0:
            raise InputError(f"message {place} is never sent under the blueprint, to the accuracy of float64.")
        belief = reach / reach.sum()
        return np.array([self._mean(belief, game.payoff[:, a]) for a in range(game.actions)])

    def _mean(self, law: Array, outcome: Array) -> float:
        if self.rollouts is None:
            return float(sum(p * u for p, u in zip(law.tolist(), outcome.tolist())))
        return float(self._rng.multinomial(self.rollouts, law / law.sum()) @ outcome) / self.rollouts

    def _policy(self, kind: str, place: int) -> Array:
        size = self.game.states if kind == "state" else self.game.messages
        if not 0 <= place < size:
            raise InputError(f"there is no {kind} {place}: the game has {size}.")
        if (kind, place) not in self._policies:
            before = self.blueprint.log_sender if kind == "state" else self.blueprint.log_receiver
            self._policies[kind, place] = normalise(before[place] + self.eta * self.values(kind, place))
            self.visited.append((kind, place))
        return self._policies[kind, place]


def random_profile(game: SignallingGame, scale: float, seed: int | np.random.Generator) -> Profile:
    """Policies that are softmaxes of independent normal numbers of the standard deviation ``scale`` >= 0."""
    if not 0 <= scale < np.inf:
        raise InputError(f"the scale of a random profile is at least 0 and finite, not {scale}.")
    rng = np.random.default_rng(seed)
    return Profile(
        normalise(scale * rng.standard_normal((game.states, game.messages))),
        normalise(scale * rng.standard_normal((game.messages, game.actions))),
    )


def two_action_profile(sender: ArrayLike, receiver: ArrayLike) -> Profile:
    """A profile with two messages and two actions, from the log-odds of the first message and of the first action.

    ``sender`` has one number for each state, ``receiver`` one for each of the two messages.
    """
    tables = [normalise(np.stack([np.asarray(v, dtype=float), np.zeros(np.shape(v))], axis=-1)) for v in (sender, receiver)]
    return Profile(*tables)


def _fit(game: SignallingGame, profile: Profile) -> None:
    shapes = profile.log_sender.shape, profile.log_receiver.shape
    wanted = (game.states, game.messages), (game.messages, game.actions)
    if shapes != wanted:
        raise InputError(
            f"the policies of this game have the shapes {wanted[0]} and {wanted[1]}, not {shapes[0]} and {shapes[1]}."
        )


# --- families ----------------------------------------------------------------------------------------------------------


@family(states=2, messages=2, actions=2)
def signalling(states: int = 3, messages: int = 3, actions: int = 3, seed: int = 0) -> SignallingGame:
    """Payoffs uniform in [0, 1] and a prior uniform on the simplex."""
    _sizes(states, messages, actions)
    rng = np.random.default_rng(seed)
    prior = rng.dirichlet(np.ones(states)) + 1e-6
    payoff = rng.uniform(size=(states, actions))
    return SignallingGame(prior / prior.sum(), payoff, messages)


@family(states=2, messages=2, actions=2)
def sparse_signalling(states: int = 3, messages: int = 3, actions: int = 3, seed: int = 0) -> SignallingGame:
    """In each state one action, drawn at random, pays 1 and the others 0; the prior is skewed (weights 2, 4, 8, ...)."""
    _sizes(states, messages, actions)
    rng = np.random.default_rng(seed)
    payoff = np.zeros((states, actions))
    payoff[np.arange(states), rng.integers(actions, size=states)] = 1.0
    prior = 2.0 ** np.arange(1, states + 1)
    return SignallingGame(prior / prior.sum(), payoff, messages)


@family(states=2)
def name_the_state(states: int = 2) -> SignallingGame:
    """The receiver is paid 1 for naming the state and 0 otherwise; as many messages as states, all equally likely."""
    _sizes(states, states, states)
    return SignallingGame(np.full(states, 1 / states), np.eye(states), states)


@family
def signalling_table(payoff: Sequence[float] = (1.0, 0.0, 0.0, 1.0), prior: float = 0.5) -> SignallingGame:
    """Any game with two states, messages and actions: ``payoff`` row by row, ``prior`` in (0, 1) that of the first state."""
    if len(payoff) != 4:
        raise InputError(f"two states and two actions have 4 payoffs, not {len(payoff)}.")
    return SignallingGame(
        np.array([prior, 1 - prior]),
        np.reshape(payoff, (2, 2)),
        2,
    )


def _sizes(*sizes: int) -> None:
    if min(sizes) < 1:
        raise InputError(f"a signalling game has at least one state, message and action, not {min(sizes)}.")
