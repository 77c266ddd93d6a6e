"""Values and best responses of the sequence form against brute force, rational arithmetic, matrix games and OpenSpiel."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games.extensive_form import Decision, ExtensiveFormGame, Leaf, Treeplex, open_spiel_game, private_types, to_sequence_form
from games.linear_programming import solve_nash_lp
from games.poker import kuhn, leduc
from games.sequence_form import best_plan, best_response, expected_payoff, guarantees, nash_conv, solve_sequence_form
from theory.errors import InputError


def matrix_game(M: np.ndarray) -> ExtensiveFormGame:
    """A matrix game as a tree: the column player does not see the row."""

    def column(payoffs: list[float]) -> Decision:
        return Decision(1, "column", tuple((str(j), Leaf(v)) for j, v in enumerate(payoffs)))

    return to_sequence_form(Decision(0, "row", tuple((str(i), column(row)) for i, row in enumerate(M.tolist()))))


def pure_plans(tree: Treeplex) -> np.ndarray:
    plans = set()
    for choice in itertools.product(*(range(len(a)) for a in tree.actions)):
        weights = np.zeros(tree.sequences)
        weights[tree.starts[:-1] + np.array(choice, dtype=int)] = 1
        plans.add(tuple(tree.plan(weights)))
    return np.array(sorted(plans))


def exact_best(tree: Treeplex, gain: list[Fraction]) -> Fraction:
    worth = list(gain)
    for parent, own in reversed(list(tree.blocks())):
        worth[parent] += max(worth[own])
    return worth[0]


def test_known_values() -> None:
    for game, value in (
        (kuhn(), -1 / 18),
        (leduc(), -0.085606424078),
        (kuhn(row_cards=(0, 0, 0)), -1 / 3),
        (leduc(max_bets=0), 0.0),
    ):
        solved = solve_sequence_form(game)
        assert solved.lower <= solved.upper
        assert solved.value == pytest.approx(value, abs=1e-12)
        assert solved.gap < 1e-11
        assert nash_conv(game, solved.row, solved.column) < 1e-12


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), m=st.integers(1, 5), n=st.integers(1, 5))
def test_matrix_games(seed: int, m: int, n: int) -> None:
    M = np.random.default_rng(seed).standard_normal((m, n))
    solved, matrix = solve_sequence_form(matrix_game(M)), solve_nash_lp(M)
    assert max(solved.lower, matrix.lower) <= min(solved.upper, matrix.upper)
    assert nash_conv(matrix_game(M), [1, *matrix.row], [1, *matrix.column]) == pytest.approx(0, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), types=st.integers(1, 2), moves=st.integers(1, 3))
def test_best_responses_and_values_by_brute_force(seed: int, types: int, moves: int) -> None:
    game = private_types(types=types, moves=moves, actions=2, seed=seed)
    rng = np.random.default_rng(seed)
    plans = [pure_plans(tree) for tree in game.players]
    mixed = [tree.plan(rng.exponential(size=tree.sequences)) for tree in game.players]
    for player in (0, 1):
        value, plan = best_response(game, player, mixed[1 - player])
        gain = game.gains[player] @ mixed[1 - player]
        assert value == pytest.approx((plans[player] @ gain).max(), abs=1e-12)
        assert plan @ gain == pytest.approx(value, abs=1e-12)
        assert tuple(plan) in set(map(tuple, plans[player]))
        assert value == pytest.approx(float(exact_best(game.players[player], [Fraction(g) for g in gain.tolist()])), abs=1e-13)
    normal = solve_nash_lp(plans[0] @ game.payoff.toarray() @ plans[1].T)
    solved = solve_sequence_form(game)
    assert max(solved.lower, normal.lower) <= min(solved.upper, normal.upper)
    assert nash_conv(game, *mixed) >= 0
    lower, upper = guarantees(game, *mixed)
    assert lower <= solved.upper
    assert solved.lower <= upper
    assert lower <= expected_payoff(game, *mixed) <= upper


@pytest.mark.parametrize("seed", range(5))
def test_players_change_places_and_payoffs_scale(seed: int) -> None:
    game = private_types(types=2, moves=4, actions=3, seed=seed)
    solved = solve_sequence_form(game)
    turned = solve_sequence_form(ExtensiveFormGame(game.column, game.row, -game.payoff.T, game.payoff_range))
    assert turned.value == pytest.approx(-solved.value, abs=1e-11)
    scaled = solve_sequence_form(ExtensiveFormGame(game.row, game.column, 1e6 * game.payoff, 1e6 * game.payoff_range))
    assert scaled.value == pytest.approx(1e6 * solved.value, rel=1e-9, abs=1e-5)
    assert scaled.gap < 1e-4


def test_the_interval_contains_the_value_in_rational_arithmetic() -> None:
    """Every float is a rational number: what the plans guarantee, as they stand, lies within the interval."""
    game = kuhn()
    solved = solve_sequence_form(game)
    A = [[Fraction(round(6 * a), 6) for a in row] for row in game.payoff.toarray().tolist()]
    x, y = ([Fraction(v) for v in plan.tolist()] for plan in (solved.row, solved.column))
    lower = -exact_best(game.column, [-sum(a * b for a, b in zip(x, column)) for column in zip(*A)])
    upper = exact_best(game.row, [sum(a * b for a, b in zip(row, y)) for row in A])
    assert solved.lower <= lower <= Fraction(-1, 18) + Fraction(1, 10**14)
    assert Fraction(-1, 18) - Fraction(1, 10**14) <= upper <= solved.upper
    assert solved.lower <= Fraction(-1, 18) <= solved.upper


def test_openspiel_agrees_on_exploitability() -> None:
    pyspiel = pytest.importorskip("pyspiel")
    from open_spiel.python import policy as policies
    from open_spiel.python.algorithms import exploitability

    theirs, game = (
        pyspiel.load_game("leduc_poker(suit_isomorphism=true)"),
        open_spiel_game("leduc_poker(suit_isomorphism=true)"),
    )
    uniform = [tree.plan(np.ones(tree.sequences)) for tree in game.players]
    assert nash_conv(game, *uniform) == pytest.approx(
        exploitability.nash_conv(theirs, policies.UniformRandomPolicy(theirs)), abs=1e-12
    )


def test_bad_input_is_refused() -> None:
    game = kuhn()
    with pytest.raises(InputError, match=r"13 sequences does not have the shape \(2,\)"):
        nash_conv(game, [1, 1], [1, 1])
    with pytest.raises(InputError, match="as many finite gains"):
        best_plan(game.row, np.full(13, np.nan))
    with pytest.raises(InputError, match="as many finite gains"):
        best_plan(game.row, [1.0])
