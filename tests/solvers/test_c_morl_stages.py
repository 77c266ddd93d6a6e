"""The two stages of C-MORL against interpolation on the exact front, enumeration and other optimisers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from mdplab.models import ModelError
from mdplab.models.multi_objective import duplicated_action, random_objectives, trade_off
from mdplab.solvers.c_morl import (
    barrier_point,
    constrained_extension,
    crowding_distance,
    extend_front,
    preference_solutions,
    sparsest_segment,
)
from mdplab.solvers.hypervolume import hypervolume, nondominated
from mdplab.solvers.pareto import pareto_certificate, pareto_front
from theory.errors import InputError


def test_stage_1_finds_vertices() -> None:
    model = random_objectives(S=4, A=2, seed=1)
    front = pareto_front(model)
    for found in preference_solutions(model, [[1.0, 1.0], [0.2, 0.8], [3.0, 1.0]]):
        assert np.abs(front.vertices - found.value).max(axis=1).min() < 1e-10
        assert found.value @ found.weights == pytest.approx((front.vertices @ found.weights).max(), rel=1e-12)


def test_stage_2_finds_points_of_the_front() -> None:
    model = random_objectives(S=4, A=2, seed=1)
    front = pareto_front(model)
    for i in (0, 1):
        b = front.vertices.mean(axis=0)
        found = constrained_extension(model, i, b)
        assert found.value[i] == pytest.approx(front.best(i, b[1 - i]), rel=1e-9)
        assert abs(pareto_certificate(model, found.value).bound) < 1e-8


def test_ties_between_solutions() -> None:
    model = duplicated_action(S=3, m=3, seed=2)
    low = model.floor - 1.0
    best, worst, some = (constrained_extension(model, 0, low, ties=t).value for t in ("best", "worst", "any"))
    assert best[0] == pytest.approx(worst[0], rel=1e-8)
    assert worst[1:].sum() - 1e-7 <= some[1:].sum() <= best[1:].sum() + 1e-7
    assert best[1:].sum() - worst[1:].sum() > 0.1
    assert pareto_certificate(model, best).slack < 1e-6
    assert pareto_certificate(model, worst).slack > 0.1
    assert pareto_certificate(model, worst, weak=True).slack < 1e-6


@given(st.integers(0, 10**6), st.integers(1, 5))
@settings(max_examples=6, deadline=None)
def test_extensions_by_programs_and_by_interpolation_lie_on_the_front(seed: int, steps: int) -> None:
    model = random_objectives(S=3, A=2, gamma=0.5, seed=seed)
    front = pareto_front(model)
    ends = front.vertices[[0, -1]]
    if len(front.vertices) == 1 or np.abs(ends[0] - ends[1]).min() < 1e-2:  # nothing to extend
        return
    exact = extend_front(model, ends, steps, front=front)
    programs = extend_front(model, ends, steps)
    assert len(exact) == len(programs) == steps + 2
    for found in (exact, programs):  # which of two equal boxes comes first is left to rounding
        assert nondominated(found).all()
        np.testing.assert_allclose(found[:, 0], [front.best(0, y) for y in found[:, 1]], atol=1e-6)
        volumes = [hypervolume(found[: n + 1], model.floor - 1.0) for n in range(1, len(found))]
        assert (np.diff(volumes) > 0).all()


def test_straight_face_is_halved() -> None:
    """2^d - 1 steps put points at equal distances on a straight face."""
    model = trade_off()
    front = pareto_front(model)
    found = extend_front(model, front.vertices, 7, front=front)
    np.testing.assert_allclose(np.sort(found[:, 0]), np.linspace(0.0, 2.0, 9), atol=1e-14)
    one = pareto_front(trade_off(points=(1.0, 1.0)))
    assert len(one.vertices) == 1


def test_segments_and_crowding_by_hand() -> None:
    points = [[0.0, 4.0], [1.0, 3.0], [4.0, 0.0]]
    assert sparsest_segment(points) == sparsest_segment(points, "length") == (2, 1)
    assert crowding_distance(points).tolist() == [np.inf, 2.0, np.inf]
    wide, square = [[0.0, 10.0], [9.0, 9.9], [11.0, 0.0]], [[0.0, 10.0], [5.0, 9.0], [6.0, 0.0]]
    assert sparsest_segment(wide) == (2, 1)
    assert sparsest_segment(square) == (2, 1)
    assert crowding_distance([[1.0, 1.0]] * 3).tolist() == [np.inf, 0.0, np.inf]


@pytest.mark.parametrize("t", [0.1, 3.0, 100.0])
@pytest.mark.parametrize("m", [2, 3])
def test_barriers_against_another_optimiser(t: float, m: int) -> None:
    vertices = pareto_front(random_objectives(S=3, A=2, m=m, seed=1)).vertices
    b = vertices.mean(axis=0) - 0.1

    def objective(share: np.ndarray) -> float:
        v = share @ vertices
        return float(-v[0] - np.log((v - b)[1:]).sum() / t) if (v > b)[1:].all() else 1e3

    found = barrier_point(vertices, 0, b, t)
    k = len(vertices)
    simplex = {"type": "eq", "fun": lambda x: x.sum() - 1}
    other = minimize(objective, np.full(k, 1 / k), bounds=[(0, 1)] * k, constraints=simplex, options={"ftol": 1e-12})
    assert objective(found.mixture) <= other.fun + 1e-9
    assert objective(found.mixture) == pytest.approx(other.fun, rel=1e-5)
    assert found.gap < 1e-8
    assert found.mixture.sum() == pytest.approx(1.0)
    assert (found.mixture >= 0).all()


def test_newton_agrees_with_the_closed_form() -> None:
    """A third objective that is constant adds nothing but a constant to the barrier."""
    vertices = pareto_front(random_objectives(S=4, A=2, seed=1)).vertices
    b = vertices.mean(axis=0)
    three = np.column_stack((vertices, np.full(len(vertices), 2.0)))
    for t in (0.5, 5.0, 500.0):
        two = barrier_point(vertices, 0, b, t)
        np.testing.assert_allclose(barrier_point(three, 0, [*b, 1.0], t).value[:2], two.value, atol=1e-7)


def test_the_barrier_on_a_straight_face() -> None:
    """J_0 + J_1 = 2 and b_1 = 0.5: J_1 = 0.5 + 1/t as long as that is at most 2."""
    for t, wanted in ((4.0, 0.75), (0.5, 2.0), (1e6, 0.5 + 1e-6)):
        found = barrier_point([[0.0, 2.0], [2.0, 0.0]], 0, [0.0, 0.5], t)
        np.testing.assert_allclose(found.value, [2.0 - wanted, wanted], atol=1e-12)


MODEL = random_objectives(S=2, seed=0)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: preference_solutions(MODEL, [[-1.0, 2.0]]), InputError, "rows of 2 nonnegative numbers"),
        (lambda: preference_solutions(MODEL, [1.0, 2.0]), InputError, r"not an array of shape \(2,\)"),
        (lambda: constrained_extension(MODEL, 2, [0.0, 0.0]), InputError, "no objective 2 beside others among 2"),
        (lambda: constrained_extension(MODEL, 0, [0.0]), InputError, "thresholds are 2 finite numbers"),
        (lambda: constrained_extension(MODEL, 0, [0.0, 0.0], ties="all"), InputError, "not 'all'"),
        (lambda: constrained_extension(MODEL, 0, [0.0, 99.0]), ModelError, "no policy meets the constraints"),
        (lambda: extend_front(random_objectives(m=3), np.eye(2), 1), InputError, "two objectives, not 3"),
        (lambda: sparsest_segment([[1.0, 1.0], [2.0, 2.0]]), InputError, "two or more nondominated points"),
        (lambda: sparsest_segment([[1.0, 2.0], [2.0, 1.0]], "volume"), InputError, "not 'volume'"),
        (lambda: crowding_distance([]), InputError, "crowding is measured"),
        (lambda: barrier_point([[1.0, 2.0]], 0, [0.0, 0.0], 0.0), InputError, "sharpness of a barrier is 0.0"),
        (lambda: barrier_point([[1.0, 2.0]], 0, [0.0, 2.0], 1.0), InputError, "no mixture of the vertices exceeds"),
        (lambda: barrier_point(np.eye(3), 0, [0.0, 0.6, 0.6], 1.0), InputError, "no mixture of the vertices exceeds"),
        (lambda: barrier_point([1.0, 2.0], 0, [0.0, 0.0], 1.0), InputError, "vertices are given one a row"),
    ],
)
def test_bad_input_gets_one_sentence(call: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        call()
