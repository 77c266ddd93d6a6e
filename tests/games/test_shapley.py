"""Zero-sum Markov games: closed forms, the one-player case, brute force, agreement of two algorithms, and what is refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games.linear_programming import solve_nash_lp
from games.markov import MarkovGame, joint_mdp, joint_policy, markov_game
from games.shapley import (
    hoffman_karp,
    shapley_iterates,
    shapley_iteration,
    shapley_operator,
    stationary_guarantees,
)
from mdplab.models import dirichlet_mdp
from mdplab.solvers import bellman_operator, evaluate_policy, solve
from theory.errors import InputError

SOLVERS = (shapley_iteration, hoffman_karp)
seeds = st.integers(0, 10**6)


def zero_sum_game(transition: np.ndarray, payoff: np.ndarray, gamma: float) -> MarkovGame:
    return MarkovGame(transition, np.stack([payoff, -payoff]), gamma)


def repeated(payoff: np.ndarray, gamma: float) -> MarkovGame:
    """One state: the same matrix game for ever."""
    payoff = np.asarray(payoff, dtype=float)[None]
    return zero_sum_game(np.ones((*payoff.shape, 1)), payoff, gamma)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.99])
def test_repeated_games_are_worth_the_matrix_game_over_the_horizon(solver, gamma: float) -> None:
    rock_paper_scissors = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    found = solver(repeated(rock_paper_scissors, gamma), 1e-9)
    assert found.converged
    assert found.lower[0] <= 0 <= found.upper[0]
    np.testing.assert_allclose(found.row, 1 / 3, atol=1e-7)
    np.testing.assert_allclose(found.column, 1 / 3, atol=1e-7)
    # without a saddle point a 2 by 2 game has the value (ad - bc) / (a + d - b - c)
    a, b, c, d = 3.0, -1.0, 0.0, 2.0
    found = solver(repeated([[a, b], [c, d]], gamma), 1e-8)
    value = (a * d - b * c) / (a + d - b - c) / (1 - gamma)
    assert found.lower[0] <= value <= found.upper[0]
    assert found.row[0, 0] == pytest.approx((d - c) / (a + d - b - c), abs=1e-7)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_game_that_may_end_has_an_irrational_value(solver) -> None:
    """(0, 0) pays 1 and goes on, the rest ends: (1, 1) with 1, the others with 0. V = val [[1 + g V, 0], [0, 1]], so

    V = (1 + g V) / (2 + g V), and g V^2 + (2 - g) V - 1 = 0: rational data, an irrational value (Shapley's remark).
    """
    gamma = 0.5
    transition = np.zeros((2, 2, 2, 2))
    transition[..., 1] = 1.0
    transition[0, 0, 0] = [1.0, 0.0]
    payoff = np.zeros((2, 2, 2))
    payoff[0] = np.eye(2)
    found = solver(zero_sum_game(transition, payoff, gamma), 1e-10)
    value = (-(2 - gamma) + np.sqrt((2 - gamma) ** 2 + 4 * gamma)) / (2 * gamma)
    assert found.converged
    assert found.lower[0] <= value <= found.upper[0]
    assert found.upper[0] - found.lower[0] <= 1e-10
    assert found.lower[1] <= 0 <= found.upper[1]
    assert found.row[0, 0] == pytest.approx(1 / (2 + gamma * value), abs=1e-8)


@pytest.mark.parametrize("gamma", [0.5, 0.9])
def test_the_discounted_big_match(gamma: float) -> None:
    """Gillette's Big Match: Top stops for ever at a reward of 0 or 1 by the column, Bottom goes on and pays 1 or 0.

    Its discounted value is 1 / (2 (1 - g)) for every discount; the row player stops with probability (1 - g) / (2 - g).
    """
    transition = np.zeros((3, 2, 2, 3))
    transition[0, 1, :, 0] = 1.0
    transition[0, 0, 0, 1] = transition[0, 0, 1, 2] = 1.0
    transition[1, :, :, 1] = transition[2, :, :, 2] = 1.0
    payoff = np.zeros((3, 2, 2))
    payoff[0] = [[1, 0], [0, 1]]
    payoff[1] = 1.0
    found = shapley_iteration(zero_sum_game(transition, payoff, gamma), 1e-9)
    assert found.converged
    assert found.lower[0] <= 0.5 / (1 - gamma) <= found.upper[0]
    assert found.row[0, 0] == pytest.approx((1 - gamma) / (2 - gamma), abs=1e-6)
    np.testing.assert_allclose(found.column[0], 0.5, atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(seed=seeds, gamma=st.sampled_from([0.0, 0.6, 0.95]), player=st.sampled_from([0, 1]))
def test_one_player_is_a_decision_process(seed: int, gamma: float, player: int) -> None:
    mdp = dirichlet_mdp(S=4, A=3, gamma=gamma, seed=seed)
    P, R = mdp.dense()
    shape = (4, 3, 1) if player == 0 else (4, 1, 3)
    game = zero_sum_game(P.reshape(*shape, 4), R.reshape(shape) * (1 - 2 * player), gamma)
    exact = (1 - 2 * player) * solve(mdp, 1e-10).value
    for solver in SOLVERS:
        found = solver(game, 1e-9)
        assert found.converged
        assert (found.lower <= exact + 1e-10).all()
        assert (exact <= found.upper + 1e-10).all()
    V = np.random.default_rng(seed).normal(size=4)
    mine = shapley_operator(game, V if player == 0 else -V)
    np.testing.assert_allclose(mine.value, (1 - 2 * player) * bellman_operator(mdp, V), atol=1e-10)


@settings(max_examples=15, deadline=None)
@given(seed=seeds, m=st.integers(1, 3), n=st.integers(1, 3), gamma=st.sampled_from([0.3, 0.9]))
def test_two_algorithms_and_both_seats_agree(seed: int, m: int, n: int, gamma: float) -> None:
    game = markov_game(S=3, actions=(m, n), gamma=gamma, payoff="zero-sum", rewards="normal", seed=seed)
    first, second = (solver(game, 1e-8) for solver in SOLVERS)
    mirrored = MarkovGame(game.transition.swapaxes(1, 2), game.reward[::-1].swapaxes(2, 3), gamma)
    third = shapley_iteration(mirrored, 1e-8)
    for found in (first, second, third):
        assert found.converged
        assert (found.lower <= found.value).all()
        assert found.width <= 1e-8
    assert (first.lower <= second.upper).all()
    assert (second.lower <= first.upper).all()
    assert (-third.upper <= first.upper).all()
    assert (first.lower <= -third.lower).all()
    # rewards times 2 and plus 1: twice the value and the horizon
    moved = zero_sum_game(game.transition, 2 * game.reward[0] + 1, gamma)
    np.testing.assert_allclose(shapley_iteration(moved, 1e-8).value, 2 * first.value + 1 / (1 - gamma), atol=1e-7)


@settings(max_examples=15, deadline=None)
@given(seed=seeds)
def test_guarantees_against_every_pure_reply(seed: int) -> None:
    game = markov_game(S=3, actions=(2, 3), payoff="zero-sum", rewards="normal", seed=seed)
    rng = np.random.default_rng(seed)
    x, y = rng.dirichlet(np.ones(2), 3), rng.dirichlet(np.ones(3), 3)
    found = stationary_guarantees(game, x, y)
    mdp = joint_mdp(game)
    held = [
        evaluate_policy(mdp, joint_policy(game, (x, np.eye(3)[list(b)])).reshape(-1)).value
        for b in itertools.product(range(3), repeat=3)
    ]
    reached = [
        evaluate_policy(mdp, joint_policy(game, (np.eye(2)[list(a)], y)).reshape(-1)).value
        for a in itertools.product(range(2), repeat=3)
    ]
    lower, upper = np.min(held, axis=0), np.max(reached, axis=0)
    assert (found.lower <= lower).all()
    assert (found.upper >= upper).all()
    np.testing.assert_allclose(found.lower, lower, atol=1e-8)
    np.testing.assert_allclose(found.upper, upper, atol=1e-8)
    value = evaluate_policy(mdp, joint_policy(game, (x, y)).reshape(-1)).value
    assert ((lower <= value + 1e-12) & (value <= upper + 1e-12)).all()
    np.testing.assert_allclose(found.exploitability, upper - lower, atol=1e-8)


def test_the_operator_solves_one_matrix_game_a_state() -> None:
    game = markov_game(S=3, actions=(3, 2), payoff="zero-sum", rewards="normal", seed=2)
    V = np.array([1.0, -2.0, 0.5])
    step = shapley_operator(game, V)
    for s in range(3):
        M = game.reward[0, s] + game.gamma * game.transition[s] @ V
        exact = solve_nash_lp(M, method="highs")
        assert abs(step.value[s] - exact.value) <= step.error + exact.gap
        assert (step.row[s] @ M).min() >= exact.value - 1e-9
        assert (M @ step.column[s]).max() <= exact.value + 1e-9
    iterates = shapley_iterates(game, 3, initial=V)
    assert iterates.shape == (4, 3)
    np.testing.assert_array_equal(iterates[0], V)
    np.testing.assert_array_equal(iterates[1], step.value)


def test_what_is_not_reached_is_said() -> None:
    game = markov_game(S=3, actions=(3, 3), gamma=0.99, payoff="zero-sum", seed=2)
    for solver in SOLVERS:
        short = solver(game, 1e-9, max_iterations=1)
        long = solver(game, 1e-9)
        assert (short.iterations, short.converged, long.converged) == (1, False, True)
        assert (short.lower <= long.upper).all()
        assert (long.lower <= short.upper).all()
        tiny = solver(game, 1e-300)
        assert not tiny.converged
        assert tiny.width < 1e-6


GAME = markov_game(S=2, actions=(2, 2), payoff="zero-sum", seed=0)
EVEN = np.full((2, 2), 0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: shapley_iteration(markov_game(S=2, actions=(2, 2))), "add up to 0; this one has 2"),
        (lambda: hoffman_karp(markov_game(S=2, actions=(2, 2, 2))), "this one has 3"),
        (lambda: shapley_operator(markov_game(S=2, actions=(2, 2)), np.zeros(2)), "add up to 0"),
        (lambda: stationary_guarantees(markov_game(S=2, actions=(2, 2)), EVEN, EVEN), "add up to 0"),
        (lambda: shapley_iteration(GAME, 0.0), "positive and finite, not 0.0"),
        (lambda: shapley_iteration(GAME, np.nan), "not nan"),
        (lambda: hoffman_karp(GAME, max_iterations=0), "at least 1, not 0"),
        (lambda: shapley_operator(GAME, np.zeros(3)), r"2 finite numbers; the array given has shape \(3,\)"),
        (lambda: shapley_operator(GAME, np.array([0.0, np.inf])), "finite"),
        (lambda: shapley_iteration(GAME, initial=np.zeros(3)), r"shape \(2,\), not \(3,\)"),
        (lambda: stationary_guarantees(GAME, EVEN, np.ones((2, 2))), "sums to 2 in state 0"),
    ],
)
def test_refusals(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
