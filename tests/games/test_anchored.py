"""The anchored methods: plain twins of the kernels, known trajectories, counting, broken-off runs, and bad input."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import games._kernels_anchored
from games.anchored import AnchoredRun, eag_c, eag_v, eag_v_steps, extragradient, fast_extragradient, halpern
from games.inclusions import (
    Calls,
    FiniteSum,
    LinearOperator,
    frequencies,
    huber,
    identity_minus_rotation,
    monotone_matrix,
    rotations_cocoercive,
    saddle,
)
from theory.errors import InputError

METHODS = (halpern, fast_extragradient, eag_v, eag_c, extragradient)
Evaluate = Callable[[np.ndarray], np.ndarray]


def twin(method: Callable[..., AnchoredRun], F: Evaluate, z0: np.ndarray, L: float, T: int) -> list[np.ndarray]:
    """The five methods as their papers write them."""
    z, points, a = z0, [z0], 0.618 / L
    for k in range(T):
        if method is halpern:
            z = z0 / (k + 2) + (k + 1) / (k + 2) * (z - 2 / L * F(z))
        elif method is fast_extragradient:
            b = 1 / (k + 1)
            half = z + b * (z0 - z) - (1 - b) / L * F(z)
            z = z + b * (z0 - z) - F(half) / L
        elif method is extragradient:
            z = z - 0.5 / L * F(z - 0.5 / L * F(z))
        else:
            b, step = 1 / (k + 2), a if method is eag_v else 1 / (8 * L)
            half = z + b * (z0 - z) - step * F(z)
            z = z + b * (z0 - z) - step * F(half)
            s = (a * L) ** 2
            a = a / (1 - s) * (1 - (k + 2) ** 2 / ((k + 1) * (k + 3)) * s)
        points.append(z)
    return points


@pytest.mark.parametrize("method", METHODS)
def test_compiled_and_plain_loops_equal_their_numpy_twins(method: Callable[..., AnchoredRun]) -> None:
    rng = np.random.default_rng(0)
    total = rotations_cocoercive(n=5, m=3, seed=1)
    matrix = monotone_matrix(d=4, rank=4, seed=2)
    curved = saddle(d=2, seed=3)
    u0 = rng.standard_normal(3) + 1j * rng.standard_normal(3)
    wanted = twin(method, total.diagnostic, u0, 2.0, 40)
    compiled = method(Calls(total), u0, 2.0, 40)
    assert np.allclose(compiled.points, wanted, rtol=0, atol=1e-13)
    assert np.allclose(method(total.diagnostic, u0, 2.0, 40).points, wanted, rtol=0, atol=1e-13)
    assert np.allclose(compiled.residuals, [total.diagnostic(u) for u in wanted], rtol=0, atol=1e-12)
    L = 1.2 * (matrix.cocoercivity if method is halpern else matrix.lipschitz)
    for start in (rng.standard_normal(4), np.eye(4)):
        wanted = twin(method, matrix, start, L, 40)
        run = method(matrix, start, L, 40)
        assert np.allclose(run.points, wanted, rtol=0, atol=1e-12)
        assert np.allclose(run.residuals, [matrix(z) for z in wanted], rtol=0, atol=1e-12)
        assert np.array_equal(run.calls, method(lambda z: matrix(z), start, L, 40).calls)
    if method is not halpern:
        run = method(curved, curved.start, curved.lipschitz, 40)
        assert np.allclose(run.points, twin(method, curved, curved.start, curved.lipschitz, 40), rtol=0, atol=1e-13)


@pytest.mark.parametrize("method", METHODS)
def test_all_starts_at_once(method: Callable[..., AnchoredRun]) -> None:
    """Run from the identity, the residual is the map that takes a start to its residual."""
    operator, start = monotone_matrix(d=3, rank=3, seed=5), np.array([1.0, -2.0, 0.5])
    L = operator.cocoercivity
    maps, one = method(operator, np.eye(3), L, 25), method(operator, start, L, 25)
    assert np.allclose(maps.residuals @ start, one.residuals, rtol=0, atol=1e-12)
    assert maps.norms.shape == (26,)
    assert maps.norms[3] == pytest.approx(np.linalg.norm(maps.residuals[3]))


def test_calls_are_counted() -> None:
    problem = rotations_cocoercive(n=11, m=2, seed=0)
    for method in METHODS:
        each = 11 if method is halpern else 22
        calls = Calls(problem)
        run = method(calls, np.ones(2), 2.0, 9)
        assert np.array_equal(run.calls, each * np.arange(10))
        assert calls.count == 9 * each
        again = method(calls, np.ones(2), 2.0, 1)
        assert calls.count == 10 * each
        assert again.calls[-1] == each
        evaluated: list[np.ndarray] = []

        def function(u: np.ndarray, seen: list[np.ndarray] = evaluated) -> np.ndarray:
            seen.append(u)
            return problem.diagnostic(u)

        plain = method(function, np.ones(2, complex), 2.0, 9)
        assert np.array_equal(plain.calls * 11, run.calls)
        assert len(evaluated) == plain.calls[-1] + 1  # the last residual is for the observer
        assert np.allclose(plain.norms, run.norms, rtol=1e-12)


def test_kernels_read_weights_only_where_they_count() -> None:
    """Outside ``full`` and ``multiply`` the kernels hand weights and offset on, or ask for their shape."""
    tree = ast.parse(inspect.getsource(games._kernels_anchored))
    for function in (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name not in ("full", "multiply")):
        names = [n.id for n in ast.walk(function) if isinstance(n, ast.Name)]
        handed = [
            a.id
            for n in ast.walk(function)
            if isinstance(n, ast.Call) and getattr(n.func, "id", "") in ("full", "multiply")
            for a in n.args
            if isinstance(a, ast.Name)
        ]
        for name in ("mean_weight", "offset", "matrix"):
            assert names.count(name) == handed.count(name), (function.name, name)
        assert "centre" not in names


def test_the_first_point_within_reach() -> None:
    problem = rotations_cocoercive(n=8, m=2, seed=3)
    run = halpern(Calls(problem), np.ones(2), 2.0, 500)
    epsilon = float(np.sort(run.norms)[250])
    k = int(run.iterations_to(epsilon))
    assert run.norms[k] <= epsilon < run.norms[:k].min()
    assert run.calls_to(epsilon) == 8 * k
    assert run.calls_to(0.0) == run.iterations_to(0.0) == float("inf")
    calls = Calls(problem)
    stopped = halpern(calls, np.ones(2), 2.0, 500, until=epsilon)
    assert stopped.iterations == k
    assert calls.count == 8 * (k + 1)
    assert np.array_equal(stopped.points, run.points[: k + 1])
    plain = halpern(problem.diagnostic, np.ones(2, complex), 2.0, 500, until=epsilon)
    assert plain.iterations == k


def test_a_run_passes_through_a_zero() -> None:
    """FEG on a quarter turn is at the zero at k = 4, and must leave it: it does not know."""
    game = frequencies(count=1)
    for operator in (Calls(game), game.diagnostic):
        run = fast_extragradient(operator, np.ones(1, complex), 1.0, 6)
        assert run.norms[4] == pytest.approx(0.0, abs=1e-15)
        assert run.norms[6] == pytest.approx(2 / 6)
        assert fast_extragradient(operator, np.ones(1, complex), 1.0, 6, until=1e-12).iterations == 4


# --- known trajectories ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [0, 1, 5, 50, 500])
def test_halpern_is_exact_on_huber(k: int) -> None:
    problem = huber(k=k, L=3.0, radius=2.0)
    run = halpern(problem, problem.start, 3.0, k + 3)
    assert run.norms[k] == pytest.approx(3.0 * 2.0 / (k + 1), rel=1e-12)
    assert run.points[: k + 1, 0] == pytest.approx(2.0 * (1 - np.arange(k + 1) / (k + 1)), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(angle=st.floats(0.01, 3.1), k=st.integers(0, 60))
def test_halpern_on_a_rotation_averages_its_powers(angle: float, k: int) -> None:
    operator = identity_minus_rotation(angle=angle)
    run = halpern(operator, np.array([1.0, 0.0]), 2.0, k)
    powers = np.exp(1j * angle * np.arange(k + 1)).mean()
    assert run.points[k] == pytest.approx([powers.real, powers.imag], abs=1e-12)
    assert run.norms[k] == pytest.approx(abs(1 - np.exp(1j * angle * (k + 1))) / (k + 1), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(rate=st.floats(0.01, 1.0), k=st.integers(1, 60), L=st.floats(0.1, 10.0))
def test_feg_on_a_rotation_in_closed_form(rate: float, k: int, L: float) -> None:
    run = fast_extragradient(lambda z: 1j * rate * L * z, np.ones(1, complex), L, k)
    q = 1 - 1j * rate - rate**2
    assert run.norms[k] == pytest.approx(L * abs(1 - q**k) / k, abs=1e-11 * L)


def test_the_steps_of_eag_v() -> None:
    steps = eag_v_steps(5000)
    assert steps[0] == 0.618
    assert (np.diff(steps) < 0).all()
    assert steps[-1] == pytest.approx(0.437, abs=5e-4)
    assert steps[-1] > 0.4365


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.floats(0.05, 20.0), method=st.sampled_from(METHODS))
def test_translation_and_scaling_of_the_problem(seed: int, size: float, method: Callable[..., AnchoredRun]) -> None:
    rng = np.random.default_rng(seed)
    problem = rotations_cocoercive(n=4, m=2, scales=(1.0, 0.5), seed=seed)
    start, shift = rng.standard_normal((2, 2)) + 1j * rng.standard_normal((2, 2))
    run = method(Calls(problem), start, 2.0, 30)
    moved = method(Calls(FiniteSum(problem.weight, problem.centre + shift)), start + shift, 2.0, 30)
    assert np.allclose(moved.residuals, run.residuals, rtol=0, atol=1e-11)
    scaled = method(Calls(FiniteSum(size * problem.weight, problem.centre)), start, 2.0 * size, 30)
    assert np.allclose(scaled.points, run.points, rtol=0, atol=1e-10)
    order = rng.permutation(4)
    shuffled = method(Calls(FiniteSum(problem.weight[order], problem.centre[order])), start, 2.0, 30)
    assert np.allclose(shuffled.points, run.points, rtol=0, atol=1e-11)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), d=st.integers(2, 6), rank=st.integers(0, 6), skew=st.floats(0.01, 5.0))
def test_bounds_on_random_matrices_for_every_start(seed: int, d: int, rank: int, skew: float) -> None:
    operator, k = monotone_matrix(d=d, rank=rank, skew=skew, seed=seed), np.arange(1, 61)
    L = operator.lipschitz
    for method, bound in ((fast_extragradient, 2 / k), (eag_v, (27 / ((k + 1) * (k + 2))) ** 0.5), (eag_c, 260**0.5 / (k + 1))):
        norms = np.linalg.norm(method(operator, np.eye(d), L, 60).residuals, 2, axis=(1, 2))[1:]
        assert (norms <= L * bound * (1 + 1e-9)).all()
    if rank >= d and operator.cocoercivity < 1e6 * L:
        L = operator.cocoercivity
        norms = np.linalg.norm(halpern(operator, np.eye(d), L, 60).residuals, 2, axis=(1, 2))[1:]
        assert (norms <= L / (k + 1) * (1 + 1e-9)).all()


# --- runs that are broken off, and bad input ---------------------------------------------------------------------------


def test_a_diverging_run_is_broken_off() -> None:
    operator = LinearOperator(np.array([[0.0, 1.0], [-1.0, 0.0]]))
    game = frequencies(count=1)
    runs = [halpern(F, np.ones(2), 1.0, 5000) for F in (operator, lambda u: operator(u))]
    runs += [halpern(Calls(game), np.ones(1), 1.0, 5000)]
    for run in runs:
        assert run.iterations < 1000
        assert np.isfinite(run.norms).all()
        assert run.norms[-1] > 1e100
        assert run.norms[-2] <= 1e100 * run.norms[0]
    assert runs[0].iterations == runs[1].iterations


def test_no_anchor_and_no_iterations() -> None:
    turn = identity_minus_rotation(angle=1.0)
    free = halpern(turn, np.array([1.0, 0.0]), 2.0, 50, anchor=0.0)
    assert np.ptp(free.norms) <= 1e-12
    none = halpern(turn, np.array([1.0, 0.0]), 2.0, 0)
    assert none.iterations == 0
    assert none.norms[0] == pytest.approx(2 * np.sin(0.5))


TURN = identity_minus_rotation(angle=1.0)
ZERO = np.zeros(2)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: halpern(TURN, ZERO, 0.0, 3), "not 0.0"),
        (lambda: fast_extragradient(TURN, ZERO, float("nan"), 3), "not nan"),
        (lambda: eag_v(TURN, ZERO, float("inf"), 3), "not inf"),
        (lambda: eag_c(TURN, ZERO, 1.0, -1), "not -1"),
        (lambda: eag_v_steps(-2), "not -2"),
        (lambda: extragradient(TURN, ZERO, 1.0, 3, step=0.0), "not 0.0"),
        (lambda: halpern(TURN, ZERO, 1.0, 3, step=-1.0), "not -1.0"),
        (lambda: halpern(TURN, ZERO, 1.0, 3, anchor=[0.1, 0.2]), "each of the 3 iterations"),
        (lambda: halpern(TURN, ZERO, 1.0, 3, anchor=1.5), "lie in [0, 1]"),
        (lambda: halpern(TURN, ZERO, 1.0, 3, anchor=float("nan")), "lie in [0, 1]"),
        (lambda: halpern(TURN, np.array([1.0, np.inf]), 1.0, 3), "finite coordinates"),
        (lambda: halpern(TURN, np.zeros(3), 1.0, 3), "2 dimensions cannot start from the shape (3,)"),
        (lambda: halpern(Calls(frequencies(count=2)), np.zeros(3), 1.0, 3), "not (3,)"),
        (lambda: halpern(TURN, ZERO, 1.0, 3, until=-1.0), "not -1.0"),
    ],
)
def test_bad_input_is_named(run: Callable[[], AnchoredRun], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        run()
