"""Learners in self-play: kernels against their NumPy twins, the projection against a quadratic programme, regret bounds."""

from __future__ import annotations

import ast
import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

import games._kernels_self_play
from games.dynamics import average_policy
from games.generators import cyclic, rock_paper_scissors, tournament, uniform
from games.mirror_descent import hedge
from games.oracle import Oracle, exact_oracle, sampled_oracle
from games.prox import normalise
from games.regularised import exploitability
from games.self_play import project_to_simplex, projected_gradient_ascent, regret, regret_matching
from theory.errors import InputError


def projected_gradient_numpy(A: np.ndarray, start: np.ndarray, steps: np.ndarray) -> np.ndarray:
    plays = [start]
    for step in steps:
        plays.append(project_to_simplex(plays[-1] + step * A @ plays[-1]))
    return np.array(plays)


def regret_matching_numpy(A: np.ndarray, start: np.ndarray, rounds: int, plus: bool) -> np.ndarray:
    plays, total = [start], np.zeros(start.size)
    for _ in range(rounds):
        gain = A @ plays[-1]
        total = total + gain - plays[-1] @ gain
        if plus:
            total = np.maximum(total, 0)
        positive = np.maximum(total, 0)
        plays.append(positive / positive.sum() if positive.sum() > 0 else start)
    return np.array(plays)


@pytest.mark.parametrize("K", [1, 2, 5, 40])
def test_the_kernels_equal_their_numpy_twins(K: int) -> None:
    game = uniform(K=K, scale=1.0, seed=K)
    start = normalise(np.random.default_rng(K).standard_normal(K))
    steps = np.linspace(0.1, 1.0, 30)
    runs = {
        "gradient": projected_gradient_ascent(game, 30, step=steps, start=start),
        "matching": regret_matching(game, 30, start=start),
        "matching+": regret_matching(game, 30, plus=True, start=start),
    }
    twins = {
        "gradient": projected_gradient_numpy(game.A, np.exp(start), steps),
        "matching": regret_matching_numpy(game.A, np.exp(start), 30, False),
        "matching+": regret_matching_numpy(game.A, np.exp(start), 30, True),
    }
    for name, run in runs.items():
        assert np.allclose(np.exp(run.log_policies), twins[name], rtol=0, atol=1e-12), name
        assert np.array_equal(run.queries, np.arange(31)), name


def test_the_loop_for_several_runs_equals_the_kernel() -> None:
    game = tournament(K=6, scale=1.0, seed=3)
    starts = normalise(np.random.default_rng(0).standard_normal((4, 6)))
    for learner in (
        lambda oracle, start: projected_gradient_ascent(oracle, 25, step=0.4, start=start),
        lambda oracle, start: regret_matching(oracle, 25, start=start),
        lambda oracle, start: regret_matching(oracle, 25, plus=True, start=start),
    ):
        several = learner(Oracle(game.log_reference, lambda q: q @ game.A.T, runs=4), starts)
        assert several.log_policies.shape == (26, 4, 6)
        assert several.queries[-1] == 25
        for r in range(4):
            alone = np.exp(learner(game, starts[r]).log_policies)
            assert np.allclose(np.exp(several.log_policies[:, r]), alone, rtol=0, atol=1e-12)


def test_queries_are_counted_and_the_matrix_is_seen_through_them_only() -> None:
    oracle = exact_oracle(uniform(K=3, seed=0))
    projected_gradient_ascent(oracle, 7, step=0.1)
    regret_matching(oracle, 5)
    assert oracle.queries == 12
    tree = ast.parse(inspect.getsource(games.self_play))
    assert not [n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and n.attr in ("A", "_matrix")]
    for function in (n for n in ast.parse(inspect.getsource(games._kernels_self_play)).body if isinstance(n, ast.FunctionDef)):
        uses = [n for n in ast.walk(function) if isinstance(n, ast.Name) and n.id == "matrix"]
        handed = [n for n in ast.walk(function) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "ask"]
        assert len(uses) == len(handed), function.name


# --- projection --------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), K=st.integers(1, 12), size=st.floats(0.01, 100))
def test_the_projection_satisfies_its_optimality_condition(seed: int, K: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    point = size * rng.standard_normal((3, K))
    nearest = project_to_simplex(point)
    assert (nearest >= 0).all()
    assert nearest.sum(axis=-1) == pytest.approx(np.ones(3), abs=1e-12 * size + 1e-14)
    # <u - p, v - p> <= 0 for every vertex u
    towards = point - nearest
    assert (towards.max(axis=-1) <= (nearest * towards).sum(axis=-1) + 1e-12 * size * K).all()
    assert np.allclose(project_to_simplex(nearest), nearest, rtol=0, atol=1e-12 * size)


def test_the_projection_against_a_general_solver() -> None:
    point = np.array([0.9, 0.3, -0.2, 0.4])
    found = minimize(
        lambda p: ((p - point) ** 2).sum(),
        np.full(4, 0.25),
        bounds=[(0, 1)] * 4,
        constraints={"type": "eq", "fun": lambda p: p.sum() - 1},
        tol=1e-14,
    )
    assert project_to_simplex(point) == pytest.approx(found.x, abs=1e-6)


# --- regret ------------------------------------------------------------------------------------------------------------


def test_regret_by_hand() -> None:
    gains = np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 1.0]])
    plays = np.log(np.array([[0.5, 0.5], [0.5, 0.5], [0.25, 0.75]]))
    # earned .5, 1, .75; the first action earns 1, 0, 0, the second 0, 2, 1
    assert regret(gains, plays) == pytest.approx([0.5, 0.5, 0.75])
    with np.errstate(divide="ignore"):
        assert regret(gains[:, None], np.log([[[0.0, 1.0]]] * 3)) == pytest.approx(np.array([[1.0], [0.0], [0.0]]))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), K=st.integers(2, 8), rounds=st.integers(1, 200))
def test_learners_have_the_regret_that_they_promise(seed: int, K: int, rounds: int) -> None:
    """On gains that somebody else chooses, an adversary's among them, not only in self-play."""
    rng = np.random.default_rng(seed)
    game = tournament(K=K, seed=seed)
    told: list[np.ndarray] = []

    def adversary(q: np.ndarray) -> np.ndarray:
        told.append(0.5 - (np.arange(K) == np.argmax(q)) if seed % 2 else rng.uniform(-0.5, 0.5, K))
        return told[-1]

    uniform_start = np.full(K, -np.log(K))
    learners = {
        2 / np.sqrt(8 / K) * np.sqrt(rounds): lambda o: projected_gradient_ascent(
            o, rounds, step=np.sqrt(8 / (K * rounds)), start=uniform_start
        ),
        np.sqrt(rounds * K): lambda o: regret_matching(o, rounds, start=uniform_start),
        np.sqrt(rounds * K) * (1 + 1e-12): lambda o: regret_matching(o, rounds, plus=True, start=uniform_start),
    }
    for bound, learner in learners.items():
        told.clear()
        run = learner(Oracle(game.log_reference, adversary))
        assert regret(np.array(told), run.log_policies[:-1])[-1] <= bound * (1 + 1e-9)


def test_averages_find_the_minimax_winner() -> None:
    for game in (rock_paper_scissors(weights=(0.1, 0.3, 0.5)), cyclic(K=5, scale=1.0, seed=1)):
        for run in (
            projected_gradient_ascent(game, 4000, step=0.03),
            regret_matching(game, 4000),
            regret_matching(game, 4000, plus=True),
            hedge(game, 4000, step=0.05),
        ):
            assert exploitability(game, 0.0, average_policy(run.log_policies)) < 0.02


def test_sampling_is_replayable() -> None:
    game = rock_paper_scissors()
    first, second, other = (regret_matching(sampled_oracle(game, 1, s, runs=3), 20, plus=True).log_policies for s in (1, 1, 2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


GAME = rock_paper_scissors()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: projected_gradient_ascent(GAME, 5, step=0.0), "step sizes"),
        (lambda: projected_gradient_ascent(GAME, 5, step=np.ones(4)), "one step size, or 5"),
        (lambda: projected_gradient_ascent(GAME, -1, step=0.1), "iterations"),
        (lambda: regret_matching(GAME, -1), "iterations"),
        (lambda: regret_matching(GAME, 3, start=[0.0, 0.0, 0.0]), "sum to probability 1"),
        (lambda: project_to_simplex([np.nan, 1.0]), "finite"),
        (lambda: regret(np.zeros((3, 2)), np.zeros((2, 2))), "one shape"),
        (lambda: regret(np.full((1, 2), np.inf), np.zeros((1, 2))), r"entry \(0, 0\)"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
