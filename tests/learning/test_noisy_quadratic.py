"""Noisy quadratics: expected losses against simulation and rational arithmetic, optima against finer searches."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime, minimize_scalar

from mdplab.learning import noisy_quadratic as nq
from mdplab.learning.noisy_quadratic import NoisyQuadratic
from theory.errors import InputError

STEPS = st.lists(st.floats(0.0, 2.0), min_size=1, max_size=6)


def _problem(seed: int) -> NoisyQuadratic:
    rng = np.random.default_rng(seed)
    return NoisyQuadratic(tuple(rng.uniform(0.05, 1.0, 3)), tuple(rng.uniform(0.0, 1.0, 3)), tuple(rng.uniform(0.0, 10.0, 3)))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.fractions(0, 2, max_denominator=16), min_size=1, max_size=4))
def test_loss_is_that_of_rational_arithmetic(steps: list[Fraction]) -> None:
    h, n, e = [Fraction(1), Fraction(1, 4)], [Fraction(1), Fraction(1, 8)], [Fraction(9), Fraction(5)]
    for step in steps:
        e = [(1 - step * h[i]) ** 2 * e[i] + step**2 * n[i] for i in range(2)]
    problem = NoisyQuadratic((1.0, 0.25), (1.0, 0.125), (9.0, 5.0))
    assert float(nq.expected_loss(problem, [float(s) for s in steps])) == pytest.approx(
        float(sum(h[i] * e[i] for i in range(2)) / 2), rel=1e-12
    )


def test_loss_is_the_mean_of_simulations() -> None:
    problem, rng = NoisyQuadratic(start=(4.0, 9.0)), np.random.default_rng(0)
    h, deviation = np.array(problem.curvatures), np.sqrt(problem.noise)
    x = np.tile(np.sqrt(problem.start), (200_000, 1))
    steps = (0.9, 0.5, 0.2)
    for step in steps:
        x -= step * (h * x + deviation * rng.standard_normal(x.shape))
    losses = 0.5 * x**2 @ h
    assert abs(losses.mean() - nq.expected_loss(problem, steps)) < 5 * losses.std() / np.sqrt(losses.size)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 50), st.floats(0.0, 3.0))
def test_greedy_steps_are_the_best_next_ones(seed: int, other: float) -> None:
    problem = _problem(seed)
    schedule = nq.greedy_schedule(problem, 4)
    for k in range(1, 5):
        changed = np.append(schedule[: k - 1], other)
        assert nq.expected_loss(problem, schedule[:k]) <= nq.expected_loss(problem, changed) + 1e-12
    assert (nq.greedy_schedule(problem, 4, 0.3) <= 0.3).all()


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_the_best_scale_is_the_least_of_a_fine_grid(noise: float) -> None:
    problem = NoisyQuadratic(noise=(noise, 0.01 * noise))
    for shape in (np.ones(20), nq.linear_decay(20)):
        found = nq.best_scale(problem, [shape], most=2.0)
        grid = nq.expected_loss(problem, shape[:, None] * np.linspace(0, 2, 20_001))
        assert found.lower <= grid.min() <= found.value * (1 + 1e-9) or found.value <= grid.min()
        assert found.lower >= 0.999 * found.value - 1e-12
        assert float(nq.expected_loss(problem, found.scale * shape)) == pytest.approx(found.value)


def test_a_shared_scale_is_no_better_than_each_of_its_own() -> None:
    problem = NoisyQuadratic()
    shapes = [np.ones(10), np.ones(60)]
    each = [nq.best_scale(problem, [shape], most=2.0).value for shape in shapes]
    shared = nq.best_scale(problem, shapes, most=2.0, references=each)
    assert 1 - 1e-3 <= shared.lower <= shared.value
    assert shared.value == pytest.approx(
        max(float(nq.expected_loss(problem, shared.scale * shape)) / r for shape, r in zip(shapes, each))
    )


def test_one_step_is_solved_and_two_are_as_good_as_a_grid() -> None:
    problem = NoisyQuadratic(curvatures=(1.0, 0.2), noise=(1.0, 0.1), start=(4.0, 9.0))
    one = nq.best_schedule(problem, 1, most=2.0)
    line = minimize_scalar(lambda s: float(nq.expected_loss(problem, [s])), bounds=(0, 2), method="bounded")
    assert one.loss == pytest.approx(line.fun, rel=1e-8)
    grid = np.linspace(0, 2, 401)
    pairs = np.stack(np.meshgrid(grid, grid))
    best = nq.best_schedule(problem, 2, most=2.0)
    assert best.loss <= nq.expected_loss(problem, pairs).min() + 1e-12
    assert best.gain <= 1e-9


def test_the_best_schedule_is_stationary() -> None:
    problem = NoisyQuadratic()
    best = nq.best_schedule(problem, 12, most=2.0)
    loss = float(nq.expected_loss(problem, best.schedule))
    gradient = approx_fprime(best.schedule, lambda s: float(nq.expected_loss(problem, s)), 1e-7)
    inside = (best.schedule > 0) & (best.schedule < 2)
    assert loss == pytest.approx(best.loss)
    assert np.abs(gradient[inside]).max() < 1e-3 * loss
    assert (gradient[best.schedule == 2] <= 0).all()
    for k in range(12):
        for other in np.linspace(0, 2, 41):
            changed = best.schedule.copy()
            changed[k] = other
            assert nq.expected_loss(problem, changed) >= loss * (1 - 1e-8)


def test_a_coordinate_alone_attains_its_bound() -> None:
    problem = NoisyQuadratic((0.5,), (0.3,), (7.0,))
    assert float(nq.expected_loss(problem, nq.greedy_schedule(problem, 9))) == pytest.approx(nq.coordinate_bound(problem, 9))
    assert nq.coordinate_bound(NoisyQuadratic((1.0,), (0.0,), (1.0,)), 3) == 0.0


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0.0, 60.0), min_size=5, max_size=5))
def test_no_schedule_is_below_the_bound_of_coordinates(steps: list[float]) -> None:
    assert nq.expected_loss(NoisyQuadratic(), steps) >= nq.coordinate_bound(NoisyQuadratic(), 5) * (1 - 1e-9)


def test_long_steps_end_with_the_gains_of_the_steep_direction() -> None:
    schedule = nq.long_steps_schedule(NoisyQuadratic(), 8, 3)
    assert (schedule[:3] > 20).all()
    assert schedule[3:] == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5])
    assert nq.long_steps_schedule(NoisyQuadratic(), 3, 0) == pytest.approx([100 / 101, 100 / 201, 100 / 301])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: NoisyQuadratic((1.0,), (1.0, 1.0), (1.0,)), "a curvature, a variance and a start"),
        (lambda: NoisyQuadratic((0.0,), (1.0,), (1.0,)), "a number above 0, not 0"),
        (lambda: NoisyQuadratic((1.0,), (-1.0,), (1.0,)), "variance of a noisy quadratic is a number at least 0, not -1"),
        (lambda: nq.expected_loss(NoisyQuadratic(), 0.5), "a list of step sizes"),
        (lambda: nq.greedy_schedule(NoisyQuadratic(), 0), "at least one step, not 0"),
        (lambda: nq.best_schedule(NoisyQuadratic(), 3, most=0.0), "above 0, not 0"),
        (lambda: nq.best_schedule(NoisyQuadratic(), 3, most=float("inf")), "a bounded interval"),
        (lambda: nq.best_scale(NoisyQuadratic(), [np.ones(2)], most=float("inf")), "a bounded interval"),
        (lambda: nq.best_scale(NoisyQuadratic(), [np.ones(2)] * 2, most=1.0), "a reference above 0"),
        (lambda: nq.best_scale(NoisyQuadratic(), [-np.ones(2)], most=1.0), "a vector of step sizes, 0 or more"),
        (lambda: nq.long_steps_schedule(NoisyQuadratic(), 3, 3), "fewer than all are long, not 3"),
        (lambda: nq.long_steps_schedule(NoisyQuadratic((1.0,), (1.0,), (1.0,)), 3, 1), "two curvatures, not 1"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, says: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=says):
        call()
