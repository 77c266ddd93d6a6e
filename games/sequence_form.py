r"""Extensive-form games by linear programming in the sequence form, with best responses as the proof.

Against a realisation plan of the opponent a sequence s gains g(s), and the best plan takes at each information set the action
with the largest :math:`g(h, a) + \sum_{h': p(h') = (h, a)} \max_{a'} (\cdots)`: one walk from the last information sets to the
first.

The sum of what both players can gain by best responses is NashConv; it is 0 exactly at equilibria.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from games.extensive_form import ExtensiveFormGame, Treeplex
from theory.errors import InputError

Array = NDArray[np.float64]

EPS = float(np.finfo(float).eps)


@dataclass(frozen=True, eq=False)
class SequenceFormSolution:
    """Realisation plans of both players and the interval that contains the value of the game.

    ``row``, shape (sequences of the row player,), guarantees him at least ``lower``; ``column`` holds him to at most ``upper``.
    Both ends account for the rounding of their own evaluation.
    """

    row: Array
    column: Array
    lower: float
    upper: float

    @property
    def value(self) -> float:
        """The middle of the interval, within ``gap / 2`` of the value."""
        return (self.lower + self.upper) / 2

    @property
    def gap(self) -> float:
        """``upper - lower``: how much the two plans together can be exploited for."""
        return self.upper - self.lower


def best_plan(treeplex: Treeplex, gain: ArrayLike) -> tuple[float, Array]:
    """The largest value of <x, gain> over the plans x, and a pure plan that attains it, shape (sequences,).

    ``gain``, shape (sequences,), finite: what each sequence gains. Of equally good actions the first is taken.
    """
    worth = np.array(gain, dtype=float)
    if worth.shape != (treeplex.sequences,) or not np.isfinite(worth).all():
        raise InputError(f"{treeplex.sequences} sequences have as many finite gains, not an array of shape {worth.shape}.")
    blocks = list(treeplex.blocks())
    chosen = np.zeros(treeplex.sequences)
    for parent, own in reversed(blocks):
        best = own.start + int(worth[own].argmax())
        chosen[best] = 1.0
        worth[parent] += worth[best]
    chosen[0] = 1.0
    for parent, own in blocks:
        chosen[own] *= chosen[parent]
    return float(worth[0]), chosen


def best_response(game: ExtensiveFormGame, player: int, opponent: ArrayLike) -> tuple[float, Array]:
    """What ``player`` (0: row, 1: column) gains at most against the ``opponent``'s plan, and a pure plan that attains it."""
    return best_plan(game.players[player], game.gains[player] @ _plan(game.players[1 - player], opponent))


def expected_payoff(game: ExtensiveFormGame, row: ArrayLike, column: ArrayLike) -> float:
    """What the row player receives when the two plans meet."""
    return float(_plan(game.row, row) @ (game.payoff @ _plan(game.column, column)))


def nash_conv(game: ExtensiveFormGame, row: ArrayLike, column: ArrayLike) -> float:
    """What both players together can gain by best responses to the plans ``row`` and ``column``: 0 exactly at equilibria.

    Of matrix games it is the duality gap.
    """
    return best_response(game, 0, column)[0] + best_response(game, 1, row)[0]


def solve_sequence_form(game: ExtensiveFormGame) -> SequenceFormSolution:
    r"""Solve the game by the linear programme of Koller, Megiddo and von Stengel (1996).

    With E x = e and F y = f the constraints of the plans: maximise :math:`f^\top v` subject to :math:`F^\top v \le A^\top x`, E
    x = e, x >= 0. The column player's plan is the dual solution. Equilibria need not be unique: compare values, not plans.

    The interval comes from best responses to the two plans, whatever the programme says.
    """
    from scipy.optimize import linprog
    from scipy.sparse import csr_array, hstack

    E, F = game.row.constraints(), game.column.constraints()
    n, m = game.row.sequences, game.column.information_sets + 1
    scale = float(np.abs(game.payoff.data).max(initial=0.0)) or 1.0  # HiGHS has absolute tolerances
    cost = np.zeros(n + m)
    cost[n] = -1.0
    start = np.zeros(E.shape[0])
    start[0] = 1.0
    found = linprog(
        cost,
        A_ub=hstack([-game.payoff.T / scale, F.T], format="csr"),
        b_ub=np.zeros(game.column.sequences),
        A_eq=hstack([E, csr_array((E.shape[0], m))], format="csr"),
        b_eq=start,
        bounds=[(0, None)] * n + [(None, None)] * m,
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if found.status != 0:  # pragma: no cover - the programme is always feasible and bounded
        raise InputError(f"the linear programme of the sequence form was not solved: {found.message}")
    row = game.row.plan(np.clip(found.x[:n], 0.0, None))
    column = game.column.plan(np.clip(-found.ineqlin.marginals, 0.0, None))
    lower, upper = guarantees(game, row, column)
    return SequenceFormSolution(row, column, lower, upper)


def guarantees(game: ExtensiveFormGame, row: ArrayLike, column: ArrayLike) -> tuple[float, float]:
    """The interval [lower, upper] that contains the value, by best responses to the plans ``row`` and ``column``.

    ``row`` guarantees ``lower``, ``column`` holds the row player to ``upper``; the interval is widened by what the evaluation
    rounds away, and its width is NashConv otherwise.
    """
    bounds = []
    for player, opponent in ((1, row), (0, column)):
        matrix, tree = game.gains[player], game.players[player]
        plan = _plan(game.players[1 - player], opponent)
        value, _ = best_plan(tree, matrix @ plan)
        # a term of the value is rounded in a product, in a row's sum and in the sums over information sets, and so are plans
        roundings = int(np.diff(matrix.indptr).max(initial=0)) + sum(2 * t.longest_sum for t in game.players)
        bounds.append(value + roundings * EPS * best_plan(tree, abs(matrix) @ plan)[0])
    return -bounds[0], bounds[1]


def _plan(treeplex: Treeplex, plan: ArrayLike) -> Array:
    given = np.asarray(plan, dtype=float)
    if given.shape != (treeplex.sequences,):
        raise InputError(f"a plan of {treeplex.sequences} sequences does not have the shape {given.shape}.")
    return given
