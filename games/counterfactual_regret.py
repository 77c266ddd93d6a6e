r"""Counterfactual regret minimisation: one regret minimiser at each information set, and the averages approach an equilibrium.

With g_t what the sequences of a player gain against the opponent's plan of iteration t, and :math:`\sigma_t` his own behaviour,
counterfactual values are, from the last information sets to the first,

.. math:: q_t(h, a) = g_t(h, a) + \sum_{h': p(h') = (h, a)} v_t(h'), \qquad v_t(h) = \sum_a \sigma_t(a|h)\, q_t(h, a),

and :math:`r_t(h, a) = q_t(h, a) - v_t(h)` are the immediate regrets. *Regret matching* plays in proportion to the positive
parts of :math:`R_T = \sum_{t \le T} r_t`, and all actions alike where there are none (Hart and Mas-Colell 2000). What a plan x
would have earned more than the plans played is exactly :math:`\sum_{h,a} x(h, a) R_T(h, a)`, by the performance difference
lemma, so that small regrets everywhere are a small regret of the player (Zinkevich, Johanson, Bowling and Piccione 2007).

*CFR+* keeps :math:`Q_t = \max(Q_{t-1} + r_t, 0)` in place of :math:`R_t` and weighs iteration t by t (Tammelin 2014, arXiv
1407.5042; Tammelin, Burch, Johanson and Bowling 2015).

What is out of its stated range raises :class:`~theory.errors.InputError`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from games.extensive_form import ExtensiveFormGame, Treeplex
from games.sequence_form import best_plan, nash_conv
from theory.errors import InputError
from theory.random_streams import read_checkpoints

Array = NDArray[np.float64]
Source = TypeVar("Source")
Made = TypeVar("Made")
Pair = tuple[Array, Array]  # the row player's, the column player's


@dataclass(frozen=True, eq=False)
class CFRRun:
    """What came of counterfactual regret minimisation after each of the C ``checkpoints``.

    ``averages``: of both players the weighted average of the plans, shape (C, sequences). ``nash_conv``, shape (C,): what both
    together can gain by best responses to the averages. ``regrets``, shape (C, sequences): of each sequence the sum R_T of
    immediate regrets, or Q_T where they are floored (0 at the empty sequence). ``plays``, shape (iterations, sequences), or no
    rows unless asked for: the plans that were averaged.
    """

    checkpoints: NDArray[np.int64]
    averages: Pair
    nash_conv: Array
    regrets: Pair
    plays: Pair


def cfr(
    game: ExtensiveFormGame,
    iterations: int,
    *,
    floored: bool = False,
    averaging: Literal["uniform", "linear"] = "uniform",
    alternating: bool = False,
    checkpoints: ArrayLike | None = None,
    keep_plays: bool = False,
) -> CFRRun:
    """Counterfactual regret minimisation from uniform behaviour.

    ``floored`` cuts regrets off at 0 (regret matching+). ``averaging`` weighs all plans alike, or plan t by t. With
    ``alternating`` turns the column player answers the row player's new plan, and what is averaged are the pairs in between:
    the row player's new plan with the column player's old one. The results are given after the ``checkpoints``, increasing
    numbers of iterations (the last alone unless given).

    An iteration is a walk over the sequences and the nonzero payoffs, in compiled code.
    """
    from games._kernels_counterfactual_regret import iterate

    marks = read_checkpoints(iterations, checkpoints, "iteration")
    if averaging not in ("uniform", "linear"):
        raise InputError(f"the averaging is 'uniform' or 'linear', not {averaging!r}.")
    trees, matrices, index = game.players, game.gains, np.uint32
    plans = _each(trees, lambda t: t.plan(np.ones(t.sequences)))
    policies = _each(trees, lambda t: t.behaviour(t.plan(np.ones(t.sequences))))
    regrets, totals, gain = (_each(trees, lambda t: np.zeros(t.sequences)) for _ in range(3))
    plays = _each(trees, lambda t: np.empty((iterations if keep_plays else 0, t.sequences)))
    arrays = (
        _each(trees, lambda t: t.parents.astype(index)),
        _each(trees, lambda t: t.starts.astype(index)),
        _each(matrices, lambda m: m.indptr.astype(index)),
        _each(matrices, lambda m: m.indices.astype(index)),
        _each(matrices, lambda m: m.data),
    )
    averages = _each(trees, lambda t: np.empty((marks.size, t.sequences)))
    seen = _each(trees, lambda t: np.empty((marks.size, t.sequences)))
    exploited = np.empty(marks.size)
    least = 0.0 if floored else -np.inf
    past = 0
    for c, mark in enumerate(marks.tolist()):
        iterate(*arrays, policies, plans, regrets, totals, gain, past, mark, least, averaging == "linear", alternating, plays)
        past = mark
        for player in (0, 1):
            averages[player][c] = totals[player] / totals[player][0]
            seen[player][c] = regrets[player]
        exploited[c] = nash_conv(game, averages[0][c], averages[1][c])
    return CFRRun(marks, averages, exploited, seen, plays)


def cfr_plus(
    game: ExtensiveFormGame, iterations: int, *, alternating: bool = True, checkpoints: ArrayLike | None = None
) -> CFRRun:
    """CFR+: :func:`cfr` with floored regrets, linear averaging and, unless told otherwise, alternating turns."""
    return cfr(game, iterations, floored=True, averaging="linear", alternating=alternating, checkpoints=checkpoints)


def regret_scale(treeplex: Treeplex) -> float:
    r"""B such that the regret after T iterations of :func:`cfr` is at most :math:`B \sqrt{T}`, whatever the opponent does.

    .. math:: B = \max_x \sum_h x(p(h))\, D_h \sqrt{|A_h| - 1}

    over the plans x, with the spreads D_h of the counterfactual values. Regret matching is orthogonal to the regrets so far,
    hence :math:`\|R_T^+(h)\|^2 \le \sum_t \|r_t(h)\|^2 \le T (|A_h| - 1) D_h^2`: each r_t(h) is values in an interval of length
    D_h less a mean of them, the squares of which sum to most when one value is that mean and the others are at the opposite
    end. A plan's regret is :math:`\sum_{h,a} x(h, a) R_T(h, a)`.
    """
    weight = np.zeros(treeplex.sequences)
    np.add.at(weight, treeplex.parents, treeplex.spreads * np.sqrt(np.diff(treeplex.starts) - 1))
    return best_plan(treeplex, weight)[0]


def reached_regret(treeplex: Treeplex, regret: ArrayLike) -> float:
    r"""The bound :math:`\max_x \sum_h x(p(h)) \max_a R(h, a)^+` on the regret of a player with immediate regrets R, shape
    (sequences,).

    A pure plan comes to few of the information sets, so that this is less than the sum over all of them.
    """
    given, weight = np.asarray(regret, dtype=float), np.zeros(treeplex.sequences)
    for parent, own in treeplex.blocks():
        weight[parent] += max(float(given[own].max()), 0.0)
    return best_plan(treeplex, weight)[0]


def _each(pair: tuple[Source, Source], make: Callable[[Source], Made]) -> tuple[Made, Made]:
    """``make`` of both players' members of ``pair``."""
    return make(pair[0]), make(pair[1])
