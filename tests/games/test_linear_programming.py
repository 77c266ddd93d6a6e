"""Matrix games by linear programming against closed forms, nashpy and quantecon."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games.generators import cyclic, rock_paper_scissors, tournament, uniform, with_condorcet_winner
from games.linear_programming import solve_nash_lp
from theory.errors import InputError


def test_known_games() -> None:
    for weights in ((0.5, 0.5, 0.5), (0.1, 0.2, 0.5), (0.3, 0.01, 0.4)):
        found = solve_nash_lp(rock_paper_scissors(weights=weights).A)
        assert found.row == pytest.approx(np.array(weights)[::-1] / sum(weights), abs=1e-9)
        assert found.column == pytest.approx(found.row, abs=1e-9)
    for K in (3, 5, 9):
        assert solve_nash_lp(cyclic(K=K).A).row == pytest.approx(np.full(K, 1 / K), abs=1e-9)
    winner = solve_nash_lp(with_condorcet_winner(uniform(K=7, seed=2), 0.05).A)
    assert winner.row == pytest.approx(np.eye(7)[0], abs=1e-9)
    saddle = solve_nash_lp([[3.0, 5.0], [1.0, 7.0]])
    assert saddle.value == pytest.approx(3)
    assert solve_nash_lp([[4.0]]).value == pytest.approx(4)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), m=st.integers(1, 12), n=st.integers(1, 12), scale=st.sampled_from([1e-4, 1.0, 1e5]))
def test_the_interval_is_narrow_and_shifts_with_the_game(seed: int, m: int, n: int, scale: float) -> None:
    M = scale * np.random.default_rng(seed).standard_normal((m, n))
    found = solve_nash_lp(M)
    assert found.lower <= found.upper
    assert found.gap <= 1e-9 * scale * 10
    for row in found.row, found.column:
        assert row.min() >= 0
        assert row.sum() == pytest.approx(1)
    turned = solve_nash_lp(-M.T)  # the players change places
    assert max(found.lower, -turned.upper) <= min(found.upper, -turned.lower)
    shifted = solve_nash_lp(M + scale)
    assert shifted.value == pytest.approx(found.value + scale, abs=1e-8 * scale)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), K=st.integers(2, 15))
def test_preference_games_have_the_value_zero(seed: int, K: int) -> None:
    for game in (uniform(K=K, seed=seed), tournament(K=K, seed=seed)):
        found = solve_nash_lp(game.A)
        assert abs(found.value) <= 1e-9
        assert found.lower <= 0 <= found.upper


def test_agreement_with_nashpy() -> None:
    nashpy = pytest.importorskip("nashpy", reason="nashpy gives an independent answer")
    rng = np.random.default_rng(0)
    for _ in range(20):
        M = rng.uniform(-1, 1, size=tuple(rng.integers(2, 7, size=2)))
        row, column = nashpy.Game(M).linear_program()
        assert solve_nash_lp(M).value == pytest.approx(float(row @ M @ column), abs=1e-8)


def test_agreement_with_quantecon() -> None:
    games = pytest.importorskip("quantecon.game_theory", reason="quantecon gives an independent answer")
    rng = np.random.default_rng(1)
    for _ in range(20):
        M = rng.uniform(-1, 1, size=tuple(rng.integers(2, 6, size=2)))
        row, column = games.lemke_howson(games.NormalFormGame([games.Player(M), games.Player(-M.T)]))
        assert solve_nash_lp(M).value == pytest.approx(float(row @ M @ column), abs=1e-8)


@pytest.mark.parametrize(
    ("payoff", "message"),
    [
        (np.zeros((0, 2)), "at least one row"),
        ([1.0, 2.0], r"shape \(2,\)"),
        ([[0.0, np.inf]], r"entry \(0, 1\) .* inf"),
    ],
)
def test_bad_input(payoff, message: str) -> None:
    with pytest.raises(InputError, match=message):
        solve_nash_lp(payoff)
