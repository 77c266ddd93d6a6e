"""Matrix games by linear programming against closed forms, each other, nashpy, quantecon and OpenSpiel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games import interior_point, linear_programming
from games.generators import (
    additive,
    bradley_terry,
    cyclic,
    low_rank,
    rock_paper_scissors,
    tournament,
    uniform,
    with_condorcet_winner,
)
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


# --- the methods -------------------------------------------------------------------------------------------------------

METHODS = ("simplex", "interior-point", "highs")
DEGENERATE = {
    "constant": lambda m, n, rng: np.full((m, n), 3.0),
    "zero": lambda m, n, rng: np.zeros((m, n)),
    "signs": lambda m, n, rng: rng.choice([-1.0, 1.0], (m, n)),
    "small integers": lambda m, n, rng: rng.integers(-1, 2, (m, n)).astype(float),
    "rank one": lambda m, n, rng: np.outer(rng.standard_normal(m), rng.standard_normal(n)),
    "twin rows and columns": lambda m, n, rng: rng.standard_normal((m, n))[rng.integers(0, m, m)][:, rng.integers(0, n, n)],
    "identity": lambda m, n, rng: np.eye(m, n),
    "nearly equal": lambda m, n, rng: 1e3 + 1e-6 * rng.standard_normal((m, n)),
    "wide range": lambda m, n, rng: rng.standard_normal((m, n)) * 10.0 ** rng.uniform(-6, 0, (m, n)),
}


def assert_solves(M: np.ndarray, found: linear_programming.MatrixGameSolution, share: float = 1e-9) -> None:
    """The strategies are strategies, and what they guarantee, summed in extended precision, is at least what is promised."""
    for strategy, size in zip((found.row, found.column), M.shape):
        assert strategy.shape == (size,)
        assert strategy.min() >= 0
        assert strategy.sum() == pytest.approx(1, abs=1e-12)
    exact = M.astype(np.longdouble)
    row, column = (p.astype(np.longdouble) / p.astype(np.longdouble).sum() for p in (found.row, found.column))
    assert found.lower <= (row @ exact).min()
    assert (exact @ column).max() <= found.upper
    rounding = 3 * (sum(M.shape) + 4) * np.finfo(float).eps * np.abs(M).max()
    assert found.gap <= share * (M.max() - M.min()) + rounding


@pytest.mark.parametrize("kind", DEGENERATE)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_solves_degenerate_games(kind: str, method: linear_programming.Method) -> None:
    rng = np.random.default_rng(0)
    for m, n in ((1, 1), (1, 7), (6, 1), (2, 3), (9, 9), (25, 40)):
        M = DEGENERATE[kind](m, n, rng)
        found = solve_nash_lp(M, method=method)
        assert found.method == method
        assert_solves(M, found, 1e-9)
        assert_solves(M, solve_nash_lp(M))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), m=st.integers(1, 30), n=st.integers(1, 30))
def test_the_methods_agree(seed: int, m: int, n: int) -> None:
    M = np.random.default_rng(seed).standard_normal((m, n))
    found = [solve_nash_lp(M, method=method) for method in METHODS]
    assert max(f.lower for f in found) <= min(f.upper for f in found)
    for f in found:
        assert_solves(M, f)
        # payoffs from a continuous law: the equilibrium is unique, so that strategies can be compared (its conditioning varies)
        assert found[0].row == pytest.approx(f.row, abs=1e-6)
        assert found[0].column == pytest.approx(f.column, abs=1e-6)


@pytest.mark.parametrize("shape", [(210, 210), (260, 170), (170, 260)])
def test_larger_games_with_large_supports(shape: tuple[int, int]) -> None:
    M = np.random.default_rng(0).uniform(-1, 1, shape)
    found = solve_nash_lp(M)
    assert found.method == "interior-point"
    assert_solves(M, found, 1e-14)
    assert (found.row > 0).sum() == (found.column > 0).sum()


@pytest.mark.parametrize("generate", [uniform, tournament, cyclic])
def test_larger_preference_games(generate) -> None:
    game = generate(K=231, seed=3)
    found = solve_nash_lp(game.A, method="interior-point")
    assert_solves(game.A, found, 1e-13)
    assert found.lower <= 0 <= found.upper
    assert found.row == pytest.approx(found.column, abs=1e-9)
    if generate is not uniform:  # the equilibrium of a tournament is unique, and 1/K on the cycle
        assert found.row == pytest.approx(solve_nash_lp(game.A, method="highs").row, abs=1e-9)


def test_small_supports_are_found_by_the_double_oracle() -> None:
    for game in (bradley_terry(K=300, seed=0), additive(K=300, seed=0), low_rank(K=600, pairs=3, seed=0)):
        for M in (game.A, 5 * game.A[:, : game.actions // 2] + 1):
            found = solve_nash_lp(M)
            assert found.method == "double-oracle"
            assert_solves(M, found, 1e-11)
    with pytest.raises(InputError, match="double-oracle method did not solve the 210 by 210"):
        solve_nash_lp(uniform(K=210, seed=0).A, method="double-oracle")


def test_a_method_that_fails_is_followed_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    M = uniform(K=12, seed=0).A
    monkeypatch.setattr(linear_programming, "EXCHANGES", 0)
    assert solve_nash_lp(M).method == "interior-point"
    monkeypatch.setattr(interior_point, "ITERATIONS", 2)
    found = solve_nash_lp(M)
    assert found.method == "highs"
    assert_solves(M, found)
    monkeypatch.setitem(linear_programming.METHODS, "highs", lambda *_: None)
    rough = solve_nash_lp(M)
    assert rough.method == "interior-point"
    assert 1e-6 < rough.gap < 0.5  # the best there is, with an honest interval
    assert rough.lower <= 0 <= rough.upper


def simplex_numpy(tableau: np.ndarray, left: list[int], above: list[int]) -> None:
    """The twin of the kernel: whole-array exchanges by the formulas of the textbook."""
    n = len(above)
    while tableau[-1, :n].min() < -1e-12:
        c = int(tableau[-1, :n].argmin())
        with np.errstate(divide="ignore"):
            ratios = np.where(tableau[:-1, c] > 1e-12, tableau[:-1, n] / tableau[:-1, c], np.inf)
        r = int(np.lexsort((-tableau[:-1, c], ratios))[0])
        p = tableau[r, c]
        after = tableau - np.outer(tableau[:, c], tableau[r]) / p
        after[r], after[:, c] = tableau[r] / p, -tableau[:, c] / p
        after[r, c] = 1 / p
        tableau[:] = after
        left[r], above[c] = above[c], left[r]


@pytest.mark.parametrize(("m", "n"), [(1, 1), (2, 5), (7, 4), (20, 20)])
def test_the_simplex_kernels_equal_their_numpy_twins(m: int, n: int) -> None:
    from games._kernels_simplex import extremes, matrix_game, simplex

    M = np.random.default_rng(m).uniform(-3, 5, (m, n))
    assert extremes(M) == (M.min(), M.max())
    assert np.isnan(extremes(np.where(M.max() == M, np.inf, M))).all()
    tableau = np.block([[(M - 1) / 4 + 2, np.ones((m, 1))], [-np.ones((1, n)), np.zeros((1, 1))]])
    twin, left, above = tableau.copy(), list(range(n, n + m)), list(range(n))
    simplex_numpy(twin, left, above)
    compiled = np.arange(n, n + m), np.arange(n)
    assert simplex(tableau, *compiled, 1000)
    assert compiled[0].tolist() == left
    assert compiled[1].tolist() == above
    assert np.allclose(tableau, twin, rtol=0, atol=1e-11)
    row, column = np.empty(m), np.empty(n)
    assert matrix_game(M, 1.0, 4.0, row, column, 1000)
    total = twin[-1, -1]
    assert column == pytest.approx([twin[left.index(j), -1] / total if j in left else 0.0 for j in range(n)], abs=1e-12)
    assert row == pytest.approx([twin[-1, above.index(n + i)] / total if n + i in above else 0.0 for i in range(m)], abs=1e-12)


@pytest.mark.parametrize("skew", [False, True])
def test_newton_steps_solve_their_equations(skew: bool) -> None:
    rng = np.random.default_rng(0)
    M = uniform(K=9, seed=0).A if skew else rng.uniform(-1, 1, (9, 6))
    x, t, a = rng.uniform(0.1, 1, (3, 9))
    y, s, b = (x, t, a) if skew else rng.uniform(0.1, 1, (3, 6))
    for system in (interior_point._system, interior_point._skew_system)[: 1 + skew]:
        solve = system(M, x, y, t, s)
        assert solve is not None
        dx, dy, du, dv = solve(a, b)
        assert t / x * dx - M @ dy + du == pytest.approx(a, abs=1e-12)
        assert M.T @ dx + s / y * dy - dv == pytest.approx(b, abs=1e-12)
        assert [dx.sum(), dy.sum()] == pytest.approx([0, 0], abs=1e-12)


# --- invariances -------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    m=st.integers(1, 20),
    n=st.integers(1, 20),
    shift=st.floats(-10, 10),
    scale=st.sampled_from([1e-6, 0.3, 7.0, 1e6]),
    method=st.sampled_from(METHODS),
)
def test_relabelling_shifting_and_scaling(seed: int, m: int, n: int, shift: float, scale: float, method) -> None:
    rng = np.random.default_rng(seed)
    M = rng.standard_normal((m, n))
    rows, columns = rng.permutation(m), rng.permutation(n)
    plain, other = solve_nash_lp(M, method=method), solve_nash_lp(scale * (M[rows][:, columns] + shift), method=method)
    assert other.lower / scale - shift <= plain.upper + 1e-12
    assert plain.lower <= other.upper / scale - shift + 1e-12
    assert other.value / scale - shift == pytest.approx(plain.value, abs=1e-9)
    assert other.row == pytest.approx(plain.row[rows], abs=1e-6)
    assert other.column == pytest.approx(plain.column[columns], abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), m=st.integers(1, 12), n=st.integers(1, 12))
def test_actions_that_nobody_needs_change_nothing(seed: int, m: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    M = rng.standard_normal((m, n))
    larger = np.vstack([M, M[rng.integers(m)], M.min(axis=0) - 0.1])  # a twin, and a dominated action
    assert solve_nash_lp(larger).value == pytest.approx(solve_nash_lp(M).value, abs=1e-10)
    assert solve_nash_lp(larger).row[-1] == pytest.approx(0, abs=1e-10)


# --- other libraries ---------------------------------------------------------------------------------------------------


def random_games(seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1, 1, size=tuple(rng.integers(2, 12, size=2))) for _ in range(15)] + [
        np.array(generate(K=K, seed=seed).A) for generate in (uniform, tournament) for K in (4, 15)
    ]


def test_agreement_with_nashpy() -> None:
    nashpy = pytest.importorskip("nashpy", reason="nashpy gives an independent answer")
    for M in random_games(0):
        row, column = nashpy.Game(M).linear_program()
        found = solve_nash_lp(M)
        assert found.value == pytest.approx(float(row @ M @ column), abs=1e-8)
        # exchanging one player's strategy for the other library's leaves an equilibrium
        assert (M @ column).max() - (found.row @ M).min() <= 1e-7


def test_agreement_with_quantecon(quantecon: Any) -> None:
    games = quantecon.game_theory
    from quantecon.optimize.minmax import minmax

    for M in random_games(1):
        row, column = games.lemke_howson(games.NormalFormGame([games.Player(M), games.Player(np.ascontiguousarray(-M.T))]))
        found = solve_nash_lp(M)
        assert found.value == pytest.approx(float(row @ M @ column), abs=1e-8)
        assert (M @ column).max() - (found.row @ M).min() <= 1e-8
        assert found.value == pytest.approx(minmax(M)[0], abs=1e-8)


def test_agreement_with_openspiel(monkeypatch: pytest.MonkeyPatch) -> None:
    spiel = pytest.importorskip("pyspiel", reason="OpenSpiel gives an independent answer")
    solver = pytest.importorskip(
        "open_spiel.python.algorithms.lp_solver", reason="OpenSpiel gives an independent answer (through cvxpy)"
    )
    solve = solver.LinearProgram.solve  # it asks for a cone solver that cvxpy no longer brings along
    monkeypatch.setattr(solver.LinearProgram, "solve", lambda lp: solve(lp, solver="CLARABEL", solver_kwargs={}))
    for M in random_games(2)[::2]:
        game = spiel.create_matrix_game(M.tolist(), (-M).tolist())
        _, column, value, _ = solver.solve_zero_sum_matrix_game(game)
        found = solve_nash_lp(M)
        assert found.value == pytest.approx(float(value), abs=1e-6)
        assert (M @ np.ravel(column)).max() - (found.row @ M).min() <= 1e-6


@pytest.mark.parametrize(
    ("payoff", "message"),
    [
        (np.zeros((0, 2)), "at least one row"),
        ([1.0, 2.0], r"shape \(2,\)"),
        ([[0.0, np.inf]], r"entry \(0, 1\) .* inf"),
        ([[0.0, 1.0], [np.nan, -np.inf]], r"entry \(1, 0\) .* nan"),
    ],
)
def test_bad_input(payoff, message: str) -> None:
    with pytest.raises(InputError, match=message):
        solve_nash_lp(payoff)


def test_an_unknown_method() -> None:
    with pytest.raises(InputError, match="not 'guess'"):
        solve_nash_lp([[1.0]], method="guess")  # type: ignore[arg-type]
