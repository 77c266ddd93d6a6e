r"""Two-player zero-sum Markov games: Shapley's iteration, Hoffman and Karp's, and stationary strategies with their guarantees.

Player 0 (the row player) maximises the discounted sum of r and player 1 (the column player) minimises it. With val M for the value
of the matrix game M, Shapley's operator

.. math:: (T V)(s) = \mathrm{val}_{a, b}\Bigl[ r(s, a, b) + \gamma \sum_{s'} P(s' \mid s, a, b)\, V(s') \Bigr]

is monotone and :math:`T(V + c) = T V + \gamma c`, hence a :math:`\gamma`-contraction. Its fixed point V* is the value of the game,
and optimal strategies of the matrix games at V*, used in every period, are optimal for both players (Shapley 1953).

**Certificate.** A stationary strategy of the row player leaves the column player a Markov decision process, whose value is what the
strategy guarantees; likewise the other way round. So for any two strategies x and y

.. math:: \min_{y'} V^{x, y'} \;\le\; V^\star \;\le\; \max_{x'} V^{x', y},

and both ends come from :mod:`mdplab.solvers` with their own brackets. What the two can be exploited for, NashConv, is the distance
of the ends. If x and y are optimal in the matrix games at a V then, with b = T V - V, MacQueen's argument gives

.. math:: T V + \tfrac{\gamma}{1 - \gamma} \min b \;\le\; \min_{y'} V^{x, y'}, \qquad
          \max_{x'} V^{x', y} \;\le\; T V + \tfrac{\gamma}{1 - \gamma} \max b.

Games that are not zero-sum, and what is out of its stated range, raise :class:`~theory.errors.InputError`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from games.linear_programming import solve_nash_lp
from games.markov import MarkovGame, as_profile, marginal_mdp
from mdplab.solvers.bounds import UNIT_ROUNDOFF
from mdplab.solvers.solution import Solution
from mdplab.solvers.solve import solve
from theory.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ShapleyStep:
    """T V for one V: ``value`` (S,) within ``error``, and strategies optimal in the matrix games, up to twice that, at V."""

    value: Array
    row: Array
    column: Array
    error: float


@dataclass(frozen=True, eq=False)
class Guarantees:
    """What two stationary strategies guarantee, whatever the other player does: shapes (S,).

    Against ``row`` the column player cannot get below ``lower``, against ``column`` the row player not above ``upper``; each is
    safe against rounding. The value of the game lies between them.
    """

    row: Array
    column: Array
    lower: Array
    upper: Array

    @property
    def exploitability(self) -> Array:
        """An upper bound on NashConv from each state: what both players could gain by a best response, added up; shape (S,)."""
        return self.upper - self.lower


@dataclass(frozen=True, eq=False)
class ShapleySolution(Guarantees):
    """Stationary strategies, shapes (S, m) and (S, n), and the interval [``lower``, ``upper``] that contains the value.

    ``iterations`` were made by ``method``; ``converged`` says whether the interval is as narrow as was asked for.
    """

    iterations: int
    method: str
    converged: bool

    @property
    def value(self) -> Array:
        """The middle of the interval, shape (S,), within half its width of the value of the game."""
        return (self.lower + self.upper) / 2

    @property
    def width(self) -> float:
        """The largest width of the interval."""
        return float(self.exploitability.max())


def shapley_operator(game: MarkovGame, value: ArrayLike) -> ShapleyStep:
    """T V for V = ``value`` (S,): one matrix game a state, each with its own primal-dual gap."""
    require_zero_sum(game)
    V = np.asarray(value, dtype=float)
    if V.shape != (game.states,) or not np.isfinite(V).all():
        raise InputError(
            f"a value of this game is {game.states} finite numbers; the array given has shape {V.shape} or is not finite."
        )
    stage = game.reward[0] + game.gamma * (game.transition @ V)
    solved = [solve_nash_lp(M) for M in stage]
    size = float(np.abs(game.reward[0]).max()) + float(np.abs(V).max())
    error = max(s.gap for s in solved) / 2 + (game.states + 4) * UNIT_ROUNDOFF * size
    return ShapleyStep(
        np.array([s.value for s in solved]), np.stack([s.row for s in solved]), np.stack([s.column for s in solved]), error
    )


def shapley_iterates(game: MarkovGame, iterations: int, *, initial: ArrayLike | None = None) -> Array:
    """V_0, ..., V_k of V_{k+1} = T V_k, shape (k + 1, S), from ``initial`` (zeros)."""
    values = [_initial(game, initial)]
    for _ in range(iterations):
        values.append(shapley_operator(game, values[-1]).value)
    return np.array(values)


def stationary_guarantees(game: MarkovGame, row: ArrayLike, column: ArrayLike, *, tol: float = 1e-10) -> Guarantees:
    """Solve both players' best-response problems against ``row`` (S, m) and ``column`` (S, n), each to ``tol`` or to rounding."""
    require_zero_sum(game)
    x, y = as_profile(game, (row, column))
    reward = float(np.abs(game.reward[0]).max())
    horizon = 1 / (1 - game.gamma)
    # The marginal model is computed from sums of K_i products: relative errors of that many roundings in its rewards and
    # transitions, and in the strategies' own sums, change a value by that share of max |r| at most twice over the horizon.
    rounding = 4 * (max(game.actions) + 8) * UNIT_ROUNDOFF * reward * horizon**2
    against_row, against_column = (_best_reply(game, player, (x, y), tol) for player in (1, 0))
    return Guarantees(x, y, -against_row.upper - rounding, against_column.upper + rounding)


def shapley_iteration(
    game: MarkovGame, tol: float = 1e-8, *, initial: ArrayLike | None = None, max_iterations: int = 100_000
) -> ShapleySolution:
    """Iterate V <- T V from ``initial`` (zeros) until the strategies of the last matrix games are good enough, and certify them.

    The iteration ends when MacQueen's bracket is narrower than ``tol`` / 2 (or than rounding allows); the rest of ``tol`` is for
    the best-response problems. Shapley (1953), "Stochastic games".
    """
    return _solve(game, tol, initial, max_iterations, "Shapley iteration", lambda step: step.value)


def hoffman_karp(
    game: MarkovGame, tol: float = 1e-8, *, initial: ArrayLike | None = None, max_iterations: int = 1000
) -> ShapleySolution:
    """Iterate V <- min_y V^{x, y}, x the row player's strategies in the matrix games at V; then as :func:`shapley_iteration`.

    From the second value on the sequence rises to V*, and every step goes at least as far as Shapley's from the same V. With a column
    player of one action it is Howard's policy iteration. Hoffman and Karp (1966), "On nonterminating stochastic games".
    """

    def respond(step: ShapleyStep) -> Array:
        return -_best_reply(game, 1, (step.row, step.column), tol / 8).value

    return _solve(game, tol, initial, max_iterations, "Hoffman-Karp", respond)


def require_zero_sum(game: MarkovGame) -> None:
    """:class:`InputError` unless there are two players and one earns exactly what the other loses."""
    if not game.is_zero_sum:
        raise InputError(
            f"a zero-sum game has two players whose rewards add up to 0; this one has {game.players} and they do not."
        )


def _solve(
    game: MarkovGame,
    tol: float,
    initial: ArrayLike | None,
    max_iterations: int,
    method: str,
    following: Callable[[ShapleyStep], Array],
) -> ShapleySolution:
    require_zero_sum(game)
    if not 0 < tol < np.inf:
        raise InputError(f"the tolerance is positive and finite, not {tol}.")
    if max_iterations < 1:
        raise InputError(f"the number of iterations is at least 1, not {max_iterations}.")
    value = _initial(game, initial)
    factor = game.gamma / (1 - game.gamma)
    iterations = 0
    while True:
        iterations += 1
        step = shapley_operator(game, value)
        change = step.value - value
        rounding = 4 * step.error / (1 - game.gamma)
        if factor * float(change.max() - change.min()) <= max(tol / 2 - rounding, rounding) or iterations >= max_iterations:
            break
        value = following(step)
    found = stationary_guarantees(game, step.row, step.column, tol=tol / 8)
    converged = float(found.exploitability.max()) <= tol
    return ShapleySolution(found.row, found.column, found.lower, found.upper, iterations, method, converged)


def _best_reply(game: MarkovGame, player: int, strategies: tuple[Array, Array], tol: float) -> Solution:
    """The optimum of ``player`` against the other's strategy, to ``tol`` or to several times what a sweep of the solver rounds away."""
    rounding = 32 * (game.states + max(game.actions) + 8) * UNIT_ROUNDOFF * float(np.abs(game.reward[0]).max())
    return solve(marginal_mdp(game, player, strategies), max(tol, rounding / (1 - game.gamma) ** 2, 1e-300))


def _initial(game: MarkovGame, initial: ArrayLike | None) -> Array:
    value = np.zeros(game.states) if initial is None else np.array(initial, dtype=float)
    if value.shape != (game.states,):
        raise InputError(f"a value of this game has shape ({game.states},), not {value.shape}.")
    return value
