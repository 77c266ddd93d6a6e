r"""Adversarial training in zero-sum Markov games by exact projected gradients, one time-scale for each player.

The victim x (player 0) climbs :math:`J(x, y) = \rho \cdot V^{x, y}` and the attacker y (player 1) descends it, both directly
parametrised by the probabilities of their actions, both projected to the simplex of each state after a step:

.. math:: x_{k+1} = \Pi\bigl(x_k + \eta^x_k \nabla_x J(x_k, y_k)\bigr), \qquad y_{k+1} = \Pi\bigl(y_k - \eta^y_k \nabla_y J(x_k, y_k)\bigr),

with :math:`\nabla_x J(s, a) = \mu(s) \sum_b y(b \mid s)\, Q^{x, y}(s, a, b)`, :math:`\mu` the unnormalised occupancy of states under
(x, y). A *slow victim* has :math:`\eta^x \ll \eta^y`, so that the attacker is always near a best response; in the limit the attacker is an
oracle, :math:`y_k \in \arg\min_y J(x_k, y)`, and the victim climbs :math:`\Phi(x) = \min_y J(x, y)`. Daskalakis, Foster and Golowich
(2020), arXiv 2101.04233; for adversarial policies Liu, Chakraborty, Sun and Huang (2024), arXiv 2305.17342.

Games of one shape are trained side by side. What is out of its stated range raises :class:`~theory.errors.InputError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from games.dynamics import kept_iterations
from games.markov import MarkovGame
from games.self_play import project_to_simplex
from games.shapley import require_zero_sum
from theory.errors import InputError

Array = NDArray[np.float64]

IMPROVEMENT = 1e-13  # an action replaces another in the best response only if it is better by this share of the value


@dataclass(frozen=True, eq=False)
class TrainingRun:
    """Victims and attackers after ``steps`` (K,) of G games: shapes (K, G, S, A) and (K, G, S, B)."""

    steps: NDArray[np.int64]
    victims: Array
    attackers: Array


def two_timescale_training(
    games: Sequence[MarkovGame],
    iterations: int,
    *,
    victim_step: ArrayLike,
    attacker_step: ArrayLike | None,
    every: int = 1,
) -> TrainingRun:
    """Projected gradient steps of both players in each of ``games``, all zero-sum and of one shape, from uniform policies.

    The steps, not negative, broadcast to the shape (iterations, G). ``attacker_step`` None is the oracle: the attacker is an exact
    best response to the current victim in each step. The policies at the start, after each ``every``-th step and at the end are kept.
    """
    tables = _tables(games)
    kept = kept_iterations(iterations, every)
    victim_steps = _steps(victim_step, iterations, len(games), "victim")
    oracle = attacker_step is None
    attacker_steps = _steps(0.0 if attacker_step is None else attacker_step, iterations, len(games), "attacker")
    count, states, rows, columns = tables.reward.shape
    x, y = np.full((count, states, rows), 1 / rows), np.full((count, states, columns), 1 / columns)
    if oracle:
        y = _best_responses(tables, x, y)[1]
    victims, attackers = np.empty((kept.size, *x.shape)), np.empty((kept.size, *y.shape))
    victims[0], attackers[0] = x, y
    following = 1
    for k in range(iterations):
        value, occupancy = _evaluate(tables, x, y)
        q = tables.reward + tables.gamma[:, None, None, None] * _ahead(tables, value)
        ascent = occupancy[:, :, None] * (q @ y[:, :, :, None])[..., 0]
        descent = occupancy[:, :, None] * (x[:, :, None, :] @ q)[:, :, 0]
        x = project_to_simplex(x + victim_steps[k][:, None, None] * ascent)
        y = _best_responses(tables, x, y)[1] if oracle else project_to_simplex(y - attacker_steps[k][:, None, None] * descent)
        if k + 1 == kept[following]:
            victims[following], attackers[following] = x, y
            following += 1
    return TrainingRun(kept, victims, attackers)


def guaranteed_returns(games: Sequence[MarkovGame], victims: ArrayLike) -> Array:
    r""":math:`\Phi(x) = \min_y \rho \cdot V^{x, y}` of victims of shape (K, G, S, A), one of each game in a row; shape (K, G).

    By policy iteration, whose last policy no action improves on by more than a relative 1e-13 in any state: so the error of a value is
    at most a few roundings over 1 - gamma.
    """
    tables = _tables(games)
    x = np.asarray(victims, dtype=float)
    if x.ndim != 4 or x.shape[1:] != tables.reward.shape[:3]:
        raise InputError(
            f"victims of these games have the shape (K, {', '.join(map(str, tables.reward.shape[:3]))}), not {x.shape}."
        )
    return np.array([(_best_responses(tables, each, None)[0] * tables.start).sum(axis=1) for each in x])


@dataclass(frozen=True, eq=False)
class _Tables:
    """G games side by side: rewards (G, S, A, B), transitions (G, S, A, B, S), discounts (G,) and start laws (G, S)."""

    reward: Array
    transition: Array
    gamma: Array
    start: Array


def _tables(games: Sequence[MarkovGame]) -> _Tables:
    if not games:
        raise InputError("there is no game to train in.")
    for game in games:
        require_zero_sum(game)
        if game.transition.shape != games[0].transition.shape:
            raise InputError(
                f"games that are trained side by side have one shape, not {games[0].transition.shape} and {game.transition.shape}."
            )
    return _Tables(
        np.stack([game.reward[0] for game in games]),
        np.stack([game.transition for game in games]),
        np.array([game.gamma for game in games]),
        np.stack([game.start_distribution for game in games]),
    )


def _steps(given: ArrayLike, iterations: int, count: int, name: str) -> Array:
    steps = np.asarray(given, dtype=float)
    if steps.ndim == 1 and steps.size == iterations:
        steps = steps[:, None]
    try:
        steps = np.broadcast_to(steps, (iterations, count))
    except ValueError as error:
        raise InputError(f"the steps of the {name} broadcast to the shape {(iterations, count)}, not {steps.shape}.") from error
    if not ((steps >= 0) & np.isfinite(steps)).all():
        raise InputError(
            f"a step of the {name} is not negative and finite, not {steps[~((steps >= 0) & np.isfinite(steps))][0]}."
        )
    return steps


def _evaluate(tables: _Tables, x: Array, y: Array) -> tuple[Array, Array]:
    """The values (G, S) of (x, y), and its unnormalised occupancies of states (G, S)."""
    count, states = x.shape[:2]
    weights = (x[:, :, :, None] * y[:, :, None, :]).reshape(count, states, 1, -1)
    chains = (weights @ tables.transition.reshape(count, states, -1, states))[:, :, 0]
    inverse = np.linalg.inv(np.eye(states) - tables.gamma[:, None, None] * chains)
    rewards = weights @ tables.reward.reshape(count, states, -1, 1)
    return (inverse @ rewards[:, :, 0])[..., 0], (tables.start[:, None] @ inverse)[:, 0]


def _ahead(tables: _Tables, value: Array) -> Array:
    """The expected value of the next state, shape (G, S, A, B)."""
    count, states = value.shape
    flat = tables.transition.reshape(count, -1, states)
    return np.asarray((flat @ value[:, :, None]).reshape(tables.reward.shape))


def _best_responses(tables: _Tables, x: Array, first: Array | None) -> tuple[Array, Array]:
    """The least values (G, S) against x, and pure attackers (G, S, B) with them, by policy iteration from ``first``."""
    count, states, _, columns = tables.reward.shape
    reward = (x[:, :, None, :] @ tables.reward)[:, :, 0]
    transition = (x[:, :, None, :] @ tables.transition.reshape(count, states, x.shape[2], -1)).reshape(
        count, states, columns, states
    )
    game, state = np.arange(count)[:, None], np.arange(states)
    chosen = reward.argmin(axis=2) if first is None else first.argmax(axis=2)
    while True:
        system = np.eye(states) - tables.gamma[:, None, None] * transition[game, state, chosen]
        value = np.linalg.solve(system, reward[game, state, chosen][:, :, None])[..., 0]
        q = reward + tables.gamma[:, None, None] * (transition.reshape(count, -1, states) @ value[:, :, None]).reshape(
            reward.shape
        )
        scale = IMPROVEMENT * np.maximum(np.abs(value).max(axis=1), np.abs(reward).max(axis=(1, 2)))
        better = q.min(axis=2) < q[game, state, chosen] - scale[:, None]
        if not better.any():
            return value, np.eye(columns)[chosen]
        chosen = np.where(better, q.argmin(axis=2), chosen)
