"""The variance-reduced methods: the compiled loops beside plain ones, the counts, the exit test, and bad input."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games.anchored import halpern
from games.inclusions import Calls, FiniteSum, rotational_games, rotations_cocoercive, sparse_heavy
from games.variance_reduction import (
    InexactRun,
    PageRun,
    PageSchedule,
    inexact_halpern,
    page_halpern,
    page_schedule,
    resolvent,
)
from theory.errors import InputError


def _start(problem: FiniteSum, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    d = rng.standard_normal(problem.dimension) + 1j * rng.standard_normal(problem.dimension)
    return problem.solution + d / np.linalg.norm(d)


def _page_twin(
    calls: Calls, u0: np.ndarray, schedule: PageSchedule, seed: int, recursive: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """PAGE-Halpern written down plainly, on the same draws."""
    rng = np.random.default_rng(seed)
    n = calls.problem.components
    u = before = u0
    G = np.zeros_like(u0)
    residuals, counts = [np.linalg.norm(calls.problem.diagnostic(u))], [0]
    for k in range(schedule.iterations):
        if rng.random() < (schedule.refresh[k] if k else 1.0):
            G = calls.full(u)
        else:
            chosen = np.array([int(rng.random() * n) for _ in range(schedule.batch)])
            here = calls.components(chosen, u).mean(axis=0)
            G = G + here - calls.components(chosen, before).mean(axis=0) if recursive else here
        before, u = u, schedule.anchor[k] * u0 + (1 - schedule.anchor[k]) * u - schedule.step * G
        residuals.append(np.linalg.norm(calls.problem.diagnostic(u)))
        counts.append(calls.count)
    return np.array(residuals), np.array(counts), u


def _inexact_twin(
    calls: Calls, u0: np.ndarray, outer: int, seed: int, corrected: bool = True, inner_limit: int = 10**9
) -> tuple[list[np.ndarray], list[np.ndarray], list[int], list[int]]:
    """Inexact Halpern written down plainly, on the same draws."""
    rng = np.random.default_rng(seed)
    n, L = calls.problem.components, calls.problem.average_lipschitz
    eta, p = math.sqrt(n) / L, min(1.0, 2 / n)
    tau = math.sqrt(p) / (eta * L)
    u, w, at_w = u0, u0, calls.full(u0)
    centres: list[np.ndarray] = []
    points: list[np.ndarray] = []
    counts: list[int] = []
    inner: list[int] = []
    steps = 0
    for k in range(outer):
        z = w
        while np.linalg.norm(w + eta * at_w - u) > np.linalg.norm(w - u) / (k + 2) ** 2:
            while True:
                if steps == inner_limit:
                    return centres, points, counts, inner
                steps += 1
                i = [int(rng.random() * n)]
                mixed = (1 - p) * z + p * w + tau * u
                at_sample = calls.components(i, w)[0]
                half = (mixed - tau * eta * (at_w if corrected else at_sample)) / (1 + tau)
                estimate = calls.components(i, half)[0] + (at_w - at_sample if corrected else 0)
                z = (mixed - tau * eta * estimate) / (1 + tau)
                if rng.random() < p:
                    w, at_w = z, calls.full(z)
                    break
        centres.append(u)
        points.append(w)
        counts.append(calls.count)
        inner.append(steps)
        u = u0 / (k + 2) + (k + 1) / (k + 2) * w
    return centres, points, counts, inner


@pytest.mark.parametrize("kind", ["theory", "tuned"])
@pytest.mark.parametrize("recursive", [True, False])
@pytest.mark.parametrize("n", [1, 2, 17, 100])
def test_page_equals_its_twin(n: int, kind: str, recursive: bool) -> None:
    problem = rotations_cocoercive(n=n, seed=n)
    u0 = _start(problem)
    twin = Calls(problem)
    schedule = page_schedule(n, problem.average_cocoercivity, 80, kind)  # type: ignore[arg-type]
    residuals, counts, point = _page_twin(twin, u0, schedule, 5, recursive)
    counted = Calls(problem)
    run = page_halpern(counted, u0, 80, 5, schedule=kind, recursive=recursive)  # type: ignore[arg-type]
    np.testing.assert_array_equal(run.calls, counts)
    assert counted.count == twin.count == run.calls[-1]
    np.testing.assert_allclose(run.residuals, residuals, rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(run.point, point, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("n", [1, 2, 3, 40])
@pytest.mark.parametrize("corrected", [True, False])
def test_inexact_equals_its_twin(n: int, corrected: bool) -> None:
    problem = rotational_games(n=n, seed=n)
    u0 = _start(problem)
    twin = Calls(problem)
    centres, points, counts, inner = _inexact_twin(twin, u0, 5, 7, corrected, 3000)
    counted = Calls(problem)
    run = inexact_halpern(counted, u0, 5, 7, corrected=corrected, inner_limit=3000)
    assert run.accepted == len(points)
    assert run.accepted == 5 or not corrected
    assert counted.count == twin.count == run.calls_made
    np.testing.assert_array_equal(run.calls, counts)
    np.testing.assert_array_equal(run.inner_steps, inner)
    if points:
        np.testing.assert_allclose(run.centres, centres, rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(run.points, points, rtol=1e-8, atol=1e-12)
        norms = np.linalg.norm(problem.diagnostic(np.array(points)), axis=1)
        np.testing.assert_allclose(run.residuals, norms, rtol=1e-7, atol=1e-12)


def test_the_same_seed_gives_the_same_numbers() -> None:
    problem = rotations_cocoercive(n=50, seed=1)
    u0 = _start(problem)
    first, again, other = (page_halpern(problem, u0, 200, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.residuals, again.residuals)
    assert (first.residuals != other.residuals).any()
    game = rotational_games(n=50, seed=1)
    one, two = (inexact_halpern(game, _start(game), 10, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one.points, two.points)


def test_a_refresh_in_every_step_is_the_deterministic_iteration() -> None:
    problem = rotations_cocoercive(n=20, seed=2)
    u0, T = _start(problem), 150
    L = problem.full_cocoercivity
    k = np.arange(T)
    # Halpern's step (k+1)/(k+2) * 2/L is not constant; with the constant step s it is u+ = b u0 + (1-b)(u - s/(1-b) F(u))
    run = page_halpern(problem, u0, T, 0, schedule=PageSchedule(1 / (k + 2), np.ones(T), 1 / L, 3))
    u = u0
    for j in range(T):
        u = u0 / (j + 2) + (j + 1) / (j + 2) * u - problem.diagnostic(u) / L
    np.testing.assert_allclose(run.point, u, rtol=1e-10)
    np.testing.assert_array_equal(run.calls, problem.components * np.arange(T + 1))
    same = page_halpern(problem, u0, T, 9, schedule="tuned", refresh=1.0, L=L)
    np.testing.assert_array_equal(same.residuals, run.residuals)
    # one constant weight: then the step of games.anchored.halpern is constant, too
    pulled = PageSchedule(np.full(T, 0.25), np.ones(T), 0.75 * 2 / L, 1)
    ours = page_halpern(problem, u0, T, 0, schedule=pulled)
    theirs = halpern(Calls(problem), u0, L, T, anchor=0.25)
    np.testing.assert_allclose(ours.residuals, theirs.norms, rtol=1e-9)
    np.testing.assert_array_equal(ours.calls, theirs.calls)


def test_one_component_needs_no_refresh() -> None:
    """With n = 1 differences are exact, so that refreshing or not makes no difference but for rounding."""
    problem = rotations_cocoercive(n=1, seed=3)
    runs = [page_halpern(problem, _start(problem), 300, 0, refresh=p) for p in (0.0, 1.0)]
    np.testing.assert_allclose(runs[0].residuals, runs[1].residuals, rtol=1e-9)


def test_schedules() -> None:
    theory = page_schedule(100, 2.0, 30)
    assert (theory.step, theory.batch) == (1 / 8, 10)
    np.testing.assert_allclose(theory.anchor[:3], [2 / 4, 2 / 5, 2 / 6])
    np.testing.assert_allclose(theory.refresh[[1, 10, 11, 29]], [4 / 6, 4 / 15, 4 / 15, 4 / 15])
    assert page_schedule(101, 1.0, 1).batch == 11
    assert page_schedule(10**12 + 1, 1.0, 1).batch == 10**6 + 1
    tuned = page_schedule(100, 2.0, 30, "tuned")
    assert (tuned.step, tuned.batch) == (1 / 2, 10)
    np.testing.assert_allclose(tuned.anchor[:2], [1 / 2, 1 / 3])
    np.testing.assert_allclose(tuned.refresh, 1 / 11)


def test_mean_calls_of_an_iteration() -> None:
    """n p + 2 b (1 - p) calls on average."""
    n, T = 400, 20_000
    problem = rotations_cocoercive(n=n, seed=0)
    run = page_halpern(problem, _start(problem), T, 1, schedule="tuned")
    p = 1 / (1 + math.sqrt(n))
    spread = (n - 2 * 20) * math.sqrt(p * (1 - p) * T)
    assert abs(run.calls[-1] - n - (T - 1) * (n * p + 40 * (1 - p))) < 5 * spread
    made = np.diff(run.calls)
    assert set(made.tolist()) == {n, 40}


def test_calls_to_counts_the_last_entry() -> None:
    run = PageRun(np.array([3.0, 0.5, 2.0, 0.5, 0.4]), np.array([0, 10, 20, 30, 40]), np.zeros(1, dtype=complex))
    assert run.calls_to(1.0) == 30
    assert run.calls_to(5.0) == 0
    assert run.calls_to(0.1) == math.inf
    assert run.iterations == 4


@pytest.mark.parametrize("patience", [1.0, 1.25, 2.0])
def test_a_run_ends_when_it_has_stayed_below(patience: float) -> None:
    problem = rotations_cocoercive(n=30, seed=4)
    u0, L = _start(problem), problem.average_cocoercivity
    long = page_halpern(problem, u0, 5000, 0)
    run = page_halpern(problem, u0, 5000, 0, until=0.01 * L, patience=patience)
    np.testing.assert_array_equal(run.residuals, long.residuals[: run.iterations + 1])
    entered = int(np.flatnonzero(run.residuals > 0.01 * L)[-1]) + 1
    assert run.iterations == math.ceil(patience * entered)
    assert run.calls_to(0.01 * L) == run.calls[entered]


def test_a_diverging_run_is_broken_off() -> None:
    problem = sparse_heavy(n=400, s=80.0, seed=0)
    run = page_halpern(problem, _start(problem), 100_000, 0, schedule="tuned", L=problem.full_cocoercivity)
    assert run.iterations < 100_000
    assert np.isfinite(run.residuals).all()
    assert run.residuals[-1] > 1e90


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 60), seed=st.integers(0, 10**6), slow=st.floats(0.001, 1.0), cocoercive=st.booleans())
def test_the_exit_certifies_the_resolvent(n: int, seed: int, slow: float, cocoercive: bool) -> None:
    make = rotations_cocoercive if cocoercive else rotational_games
    problem = make(n=n, m=2, scales=(1.0, slow), seed=seed)
    run = inexact_halpern(problem, _start(problem, seed), 15, seed, inner_limit=200_000)
    k = np.arange(run.accepted)
    error = np.linalg.norm(run.points - resolvent(problem, run.eta, run.centres), axis=1)
    moved = np.linalg.norm(run.points - run.centres, axis=1)
    size = 1 + np.abs(run.points).max(initial=0) + np.abs(problem.solution).max()
    assert (error <= moved / (k + 2) ** 2 + 1e-13 * size * (1 + run.eta * problem.lipschitz)).all()
    np.testing.assert_allclose(run.residuals, np.linalg.norm(problem.diagnostic(run.points), axis=1), rtol=1e-6, atol=1e-12)


def test_the_resolvent_is_one() -> None:
    problem = rotational_games(n=9, m=3, scales=(1.0, 0.3, 0.01), seed=1)
    u = np.arange(6).reshape(2, 3) * (1 + 2j)
    z = resolvent(problem, 2.5, u)
    np.testing.assert_allclose(z + 2.5 * problem.diagnostic(z), u, rtol=1e-12, atol=1e-14)


def test_outer_iterates_are_anchored() -> None:
    problem = rotational_games(n=25, seed=6)
    u0 = _start(problem)
    run = inexact_halpern(problem, u0, 8, 0)
    k = np.arange(7)[:, None]
    np.testing.assert_allclose(run.centres[1:], u0 / (k + 2) + (k + 1) / (k + 2) * run.points[:-1], rtol=1e-12)
    assert run.eta == pytest.approx(5 / problem.average_lipschitz)


def test_the_run_ends_at_a_small_residual_and_at_its_limits() -> None:
    problem = rotational_games(n=25, seed=6)
    u0 = _start(problem)
    run = inexact_halpern(problem, u0, 1000, 0, until=0.05)
    assert run.residuals[-1] <= 0.05 < run.residuals[:-1].min()
    assert run.calls_to(0.05) == run.calls[-1] == run.calls_made
    cut = inexact_halpern(problem, u0, 1000, 0, inner_limit=10)
    assert cut.accepted < 1000
    assert cut.calls_made >= 25 + 20
    at_rest = inexact_halpern(problem, problem.solution, 3, 0, inner_limit=10**5)
    assert at_rest.accepted == 3
    assert at_rest.residuals.max() < 1e-14
    nowhere = np.empty((0, 2), dtype=complex)
    none = InexactRun(nowhere, nowhere, np.empty(0), np.empty(0, int), np.empty(0, int), 7, 1.0)
    assert none.calls_to(1.0) == math.inf


@settings(max_examples=20, deadline=None)
@given(n=st.integers(2, 200), seed=st.integers(0, 10**6))
def test_the_residual_stays_below_its_bound(n: int, seed: int) -> None:
    """16 L D / (k + 19) holds in expectation; these runs stay below twice that."""
    problem = rotations_cocoercive(n=n, seed=seed)
    run = page_halpern(problem, _start(problem, seed), 1000, seed)
    k = np.arange(1, run.iterations + 1)
    assert (run.residuals[1:] <= 2 * 16 * problem.average_cocoercivity / (k + 19)).all()


def test_a_million_components() -> None:
    problem = rotations_cocoercive(n=10**6, seed=0)
    run = page_halpern(problem, _start(problem), 200, 0, schedule="tuned")
    assert run.residuals[-1] < 0.02
    assert run.calls[-1] < 3 * 10**6
    assert set(np.diff(run.calls).tolist()) <= {10**6, 2000}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"u0": np.zeros(2)}, r"shape \(3,\), not \(2,\)"),
        ({"u0": np.array([0, np.nan, 0])}, "coordinate 1 of the start"),
        ({"iterations": -1}, "at least 0, not -1"),
        ({"schedule": "best"}, "not 'best'"),
        ({"schedule": page_schedule(10, 2.0, 4)}, "for 4 iterations, the run for 5"),
        ({"L": 0.0}, "positive and finite"),
        ({"refresh": 1.5}, "at iteration 0 it is 1.5"),
        ({"until": -1.0}, "at least 0"),
        ({"patience": 0.5}, "patience of at least 1"),
    ],
)
def test_bad_input_to_page(arguments: dict[str, Any], message: str) -> None:
    given_arguments = {"u0": np.zeros(3), "iterations": 5, "seed": 0, **arguments}
    with pytest.raises(InputError, match=message):
        page_halpern(rotations_cocoercive(n=10), **given_arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"u0": np.zeros(3)}, r"shape \(2,\), not \(3,\)"),
        ({"iterations": -2}, "not -2"),
        ({"inner_limit": -2}, "inner steps is at least 0, not -2"),
        ({"eta": 0.0}, "eta of a resolvent"),
        ({"refresh": 0.0}, r"lies in \(0, 1\]"),
        ({"looseness": 0.0}, "looseness above 0"),
        ({"until": np.inf}, "residual of at least 0"),
    ],
)
def test_bad_input_to_inexact(arguments: dict[str, Any], message: str) -> None:
    given_arguments = {"u0": np.zeros(2), "iterations": 5, "seed": 0, **arguments}
    with pytest.raises(InputError, match=message):
        inexact_halpern(rotational_games(n=10), **given_arguments)


def test_bad_schedules() -> None:
    good = page_schedule(10, 1.0, 3)
    for change, message in (
        ({"anchor": np.ones(2)}, "shapes"),
        ({"anchor": np.full(3, -0.1)}, "weight of the anchor"),
        ({"refresh": np.full(3, np.nan)}, "at iteration 0 it is nan"),
        ({"step": 0.0}, "step of a schedule"),
        ({"batch": 0}, "at least 1 component"),
    ):
        with pytest.raises(InputError, match=message):
            dataclasses.replace(good, **change)
    with pytest.raises(InputError, match="at least one component"):
        page_schedule(0, 1.0, 3)
    with pytest.raises(InputError, match="average cocoercivity, not inf"):
        page_halpern(rotational_games(n=10), np.zeros(2), 3, 0)
