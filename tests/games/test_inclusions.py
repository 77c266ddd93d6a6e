"""Monotone inclusions: zeros and constants against brute force, invariances, call counting, and bad input."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games.inclusions import (
    Calls,
    FiniteSum,
    LinearOperator,
    Operator,
    bilinear,
    clipped_rotation,
    frequencies,
    huber,
    huber_sum,
    identity_minus_orthogonal,
    identity_minus_rotation,
    monotone_matrix,
    planar,
    rotational_games,
    rotations_cocoercive,
    saddle,
    semidefinite,
    sparse_heavy,
)
from theory.errors import InputError

SUMS = (
    rotations_cocoercive(n=7, m=4, seed=1),
    rotational_games(n=6, m=3, seed=2),
    sparse_heavy(n=30, s=5.0, m=2, seed=3),
    frequencies(count=4, lowest=0.1, damping=0.3),
)
MATRICES = (
    semidefinite(d=4, spread=30.0, seed=0),
    identity_minus_orthogonal(d=3, seed=1),  # an odd dimension: with eigenvalue 0 when the determinant is 1
    identity_minus_orthogonal(d=3, seed=2),
    identity_minus_rotation(angle=0.7),
    planar(stretch=(0.2, 0.9), rotation=0.4),
    monotone_matrix(d=4, rank=5, skew=2.0, seed=3),
    bilinear(d=2, modulus=0.3, seed=4),
)
OPERATORS = (
    huber(k=4, L=3.0, radius=2.0),
    huber_sum(d=3, terms=6, width=0.5, seed=0),
    clipped_rotation(d=4, width=0.4, seed=1),
    saddle(d=3, width=0.2, strength=0.7, seed=2),
)


def real(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.vdot(a, b).real)


# --- finite sums -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", SUMS, ids=lambda p: str(p.key))
def test_the_mean_of_the_components_and_its_zero(problem: FiniteSum) -> None:
    rng = np.random.default_rng(0)
    u = rng.standard_normal(problem.dimension) + 1j * rng.standard_normal(problem.dimension)
    calls = Calls(problem)
    components = calls.components(np.arange(problem.components), u)
    by_hand = [[w * (x - c) for w, x, c in zip(*row)] for row in zip(problem.weight, [u] * problem.components, problem.centre)]
    assert np.allclose(components, by_hand, rtol=1e-14, atol=0)
    assert np.allclose(components.mean(axis=0), calls.full(u), rtol=0, atol=1e-13)
    assert np.array_equal(calls.full(u), problem.diagnostic(u))
    assert np.allclose(problem.diagnostic(problem.solution), 0, atol=1e-13)


@pytest.mark.parametrize("problem", SUMS, ids=lambda p: str(p.key))
def test_the_constants_of_a_sum_are_the_least_ones(problem: FiniteSum) -> None:
    """Of many directions none needs a larger constant, and a coordinate direction attains it."""
    rng = np.random.default_rng(1)
    calls, m, everything = Calls(problem), problem.dimension, np.arange(problem.components)
    directions = [rng.standard_normal(m) + 1j * rng.standard_normal(m) for _ in range(100)] + list(np.eye(m, dtype=complex))
    averages, fulls, average_steps, full_steps = [], [], [], []
    v = rng.standard_normal(m) + 1j * rng.standard_normal(m)
    for d in directions:
        parts = calls.components(everything, v + d) - calls.components(everything, v)
        mean = parts.mean(axis=0)
        inner, squares = real(mean, d), float((np.abs(parts) ** 2).sum(axis=1).mean())
        average_steps.append(np.sqrt(squares / real(d, d)))
        full_steps.append(np.linalg.norm(mean) / np.linalg.norm(d))
        averages.append(squares / inner if inner > 1e-12 else np.inf)
        fulls.append(real(mean, mean) / inner if inner > 1e-12 else np.inf)
    for least, needed in (
        (problem.average_cocoercivity, averages),
        (problem.full_cocoercivity, fulls),
        (problem.average_lipschitz, average_steps),
        (problem.lipschitz, full_steps),
    ):
        assert max(needed) == pytest.approx(least, rel=1e-10)
    assert problem.full_cocoercivity <= problem.average_cocoercivity
    assert problem.lipschitz <= problem.average_lipschitz


def test_a_sum_worked_out_by_hand() -> None:
    problem = FiniteSum(np.array([[1.0], [1j]]), np.array([[2.0], [0.0]]))
    assert problem.mean_weight[0] == 0.5 + 0.5j
    assert problem.solution[0] == pytest.approx(1 / (0.5 + 0.5j))
    assert problem.average_cocoercivity == pytest.approx(2.0)
    assert problem.full_cocoercivity == pytest.approx(1.0)
    assert problem.average_lipschitz == pytest.approx(1.0)
    assert problem.lipschitz == pytest.approx(np.sqrt(0.5))


def test_rotations_are_cocoercive_with_two_and_games_are_not() -> None:
    for n in (1, 5, 1000):
        problem = rotations_cocoercive(n=n, m=5, seed=n)
        assert problem.average_cocoercivity == pytest.approx(2.0, rel=1e-12)
        assert problem.full_cocoercivity <= 2 * (1 + 1e-12)
        assert np.allclose(np.abs(1 - problem.weight), 1)
    assert rotational_games(n=9).full_cocoercivity == float("inf")
    assert (rotational_games(n=9).weight.real == 0).all()


def test_sparse_components_need_an_average_constant_that_is_s_times_as_large() -> None:
    problem, dense = sparse_heavy(n=4000, s=40.0, seed=0), sparse_heavy(n=4000, s=1.0, seed=0)
    assert (np.count_nonzero(problem.weight, axis=0) == 100).all()
    assert dense.average_cocoercivity == pytest.approx(2.0)
    assert problem.average_cocoercivity == pytest.approx(80.0)
    assert problem.full_cocoercivity <= 2.2


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 12), m=st.integers(1, 4), size=st.floats(0.01, 100.0))
def test_translation_scaling_and_order(seed: int, n: int, m: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    problem = rotations_cocoercive(n=n, m=m, seed=seed)
    shift = rng.standard_normal(m) + 1j * rng.standard_normal(m)
    moved = FiniteSum(problem.weight, problem.centre + shift)
    away = 1e-12 * (1 + np.abs(problem.weight * problem.centre).max() / np.abs(problem.mean_weight).min())
    assert np.allclose(moved.solution, problem.solution + shift, rtol=0, atol=10 * away)
    assert np.array_equal(moved.mean_weight, problem.mean_weight)
    scaled = FiniteSum(size * problem.weight, problem.centre)
    assert np.allclose(scaled.solution, problem.solution, rtol=0, atol=away)
    for name in ("average_cocoercivity", "full_cocoercivity", "average_lipschitz", "lipschitz"):
        assert getattr(scaled, name) == pytest.approx(size * getattr(problem, name), rel=1e-12)
    order = rng.permutation(n)
    shuffled = FiniteSum(problem.weight[order], problem.centre[order])
    assert np.allclose(shuffled.solution, problem.solution, rtol=0, atol=away)
    assert shuffled.average_cocoercivity == pytest.approx(problem.average_cocoercivity, rel=1e-12)
    same = rotations_cocoercive(n=n, m=m, seed=seed)
    assert np.array_equal(same.weight, problem.weight)
    assert np.array_equal(same.centre, problem.centre)


def test_what_has_been_computed_cannot_be_written_to() -> None:
    weight = np.ones((2, 2), dtype=complex)
    problem = FiniteSum(weight, np.zeros((2, 2)))
    weight[0, 0] = 7
    assert problem.weight[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        problem.weight[0, 0] = 7


def test_calls_are_counted_and_diagnostics_are_not() -> None:
    calls = Calls(rotations_cocoercive(n=10, m=2, seed=0))
    u = np.zeros(2)
    assert calls.count == 0
    calls.full(u)
    calls(u)
    assert calls.count == 20
    assert calls.components([3, 3, 9], u).shape == (3, 2)
    assert calls.count == 23
    assert calls.components(np.array([], dtype=int), u).shape == (0, 2)
    calls.problem.diagnostic(u)
    assert calls.count == 23
    for bad in ([10], [-1], [0.5], [[1]]):
        with pytest.raises(InputError):
            calls.components(bad, u)
    with pytest.raises(InputError, match=re.escape("not (3,)")):
        calls.full(np.zeros(3))
    assert calls.count == 23


# --- operators ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", MATRICES, ids=lambda o: str(o.key))
def test_the_constants_of_a_matrix_are_the_least_ones(operator: LinearOperator) -> None:
    """L sym(M) - M^T M is positive semidefinite for the least L, and for no smaller one."""
    M, L = operator.matrix, operator.cocoercivity
    for factor, wanted in ((1 + 1e-9, True), (1 - 1e-6, False)):
        lowest = np.linalg.eigvalsh(factor * L * (M + M.T) / 2 - M.T @ M)[0]
        assert (lowest >= -1e-12 * L**2) == wanted
    assert operator.lipschitz == pytest.approx(np.sqrt(np.linalg.eigvalsh(M.T @ M)[-1]))
    assert np.array_equal(operator(np.eye(operator.dimension)), M)


def test_known_constants_of_matrices() -> None:
    assert semidefinite(d=5, spread=50.0, seed=1).cocoercivity == pytest.approx(1.0)
    assert identity_minus_orthogonal(d=6, seed=1).cocoercivity == pytest.approx(2.0)
    assert identity_minus_rotation(angle=1e-3).cocoercivity == pytest.approx(2.0, rel=1e-9)
    game = bilinear(d=3, modulus=0.5, seed=0)
    assert game.cocoercivity == pytest.approx(game.lipschitz**2 / 0.5)
    for skew in (bilinear(d=3, seed=0), monotone_matrix(rank=0), monotone_matrix(d=4, rank=1)):
        assert skew.cocoercivity == float("inf")
    assert np.allclose(monotone_matrix(rank=0).matrix, -monotone_matrix(rank=0).matrix.T)


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda o: str(o.key))
def test_the_constants_of_functions_hold(operator: Operator) -> None:
    rng = np.random.default_rng(0)
    assert np.allclose(operator(operator.solution), 0)
    assert operator.distance == pytest.approx(np.linalg.norm(operator.start - operator.solution))
    for _ in range(500):
        u, v = rng.standard_normal((2, operator.start.size)) * rng.uniform(0.01, 3)
        dF, d = operator(u) - operator(v), u - v
        assert real(dF, d) >= real(dF, dF) / operator.cocoercivity - 1e-12
        assert np.linalg.norm(dF) <= operator.lipschitz * np.linalg.norm(d) * (1 + 1e-12)


# --- bad input ---------------------------------------------------------------------------------------------------------

ONE = np.ones((2, 2))
HOLE = np.array([[1.0, np.nan], [1.0, 1.0]])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: FiniteSum(np.ones(3), np.ones(3)), "not the shape (3,)"),
        (lambda: FiniteSum(np.ones((0, 2)), np.ones((0, 2))), "not the shape (0, 2)"),
        (lambda: FiniteSum(ONE, np.ones((2, 3))), "(2, 2) and the centres (2, 3)"),
        (lambda: FiniteSum(HOLE, ONE), "component 0 has the weight (nan+0j) in coordinate 1"),
        (lambda: FiniteSum(ONE, HOLE * 1j), "component 0 has the centre"),
        (lambda: FiniteSum([[1, -2], [1, 1]], ONE), "coordinate 1 has the mean weight -0.5"),
        (lambda: FiniteSum([[1, -1], [1, 1]], ONE), "coordinate 1 has the mean weight 0,"),
        (lambda: LinearOperator(np.ones((2, 3))), "the shape (2, 3)"),
        (lambda: LinearOperator(HOLE), "entry (0, 1) is nan"),
        (lambda: LinearOperator(np.zeros((2, 2))), "not 0"),
        (lambda: LinearOperator(np.diag([1.0, -0.25])), "the eigenvalue -0.25"),
        (lambda: rotations_cocoercive(n=0), "not 0 and 3"),
        (lambda: rotations_cocoercive(scales=(1.0, 2.0)), "not 2"),
        (lambda: rotational_games(scales=(1.0, 0.0)), "(1.0, 0.0)"),
        (lambda: rotational_games(scales=()), "positive and finite"),
        (lambda: sparse_heavy(s=0.5), "not 0.5"),
        (lambda: frequencies(count=0), "not 0, 0.0001 and 0.0"),
        (lambda: frequencies(damping=-1.0), "-1.0"),
        (lambda: semidefinite(spread=0.5), "not 0.5"),
        (lambda: identity_minus_orthogonal(d=0), "not 0"),
        (lambda: monotone_matrix(d=1), "not 1, 5 and 1.0"),
        (lambda: planar(stretch=(-1.0, 0.0)), "the eigenvalue -1"),
        (lambda: bilinear(modulus=-0.1), "not 3 and -0.1"),
        (lambda: huber(L=0.0), "not 10, 0.0 and 1.0"),
        (lambda: huber_sum(terms=0), "not 5, 0, 0.1"),
        (lambda: clipped_rotation(width=0.0), "not 4 and 0.0"),
        (lambda: saddle(strength=-1.0), "not 2, 0.3 and -1.0"),
    ],
)
def test_bad_input_is_named(build: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as raised:
        build()
    assert str(raised.value).endswith(".")
