"""Hypervolumes against inclusion and exclusion, and the properties that a quality indicator must have."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdplab.solvers.hypervolume import dominated_volume, hypervolume, nondominated, sparsity, upper_hull
from theory.errors import InputError

Points = list[list[int]]


def sets(m: int, largest: int = 9) -> st.SearchStrategy[Points]:
    return st.lists(st.lists(st.integers(1, largest), min_size=m, max_size=m), min_size=1, max_size=7)


def by_inclusion_and_exclusion(points: Points) -> int:
    """The volume above 0 of the union of boxes, in whole numbers."""
    total = 0
    for size in range(1, len(points) + 1):
        for chosen in itertools.combinations(points, size):
            total += (-1) ** (size + 1) * int(np.prod(np.min(chosen, axis=0)))
    return total


@given(st.integers(1, 4).flatmap(sets))
@settings(max_examples=40, deadline=None)
def test_against_inclusion_and_exclusion(points: Points) -> None:
    assert hypervolume(points, [0] * len(points[0])) == by_inclusion_and_exclusion(points)


@given(st.integers(1, 4).flatmap(sets))
@settings(max_examples=30, deadline=None)
def test_nondominated_against_the_definition(points: Points) -> None:
    wanted = [not any(all(a >= b for a, b in zip(q, p)) and any(a > b for a, b in zip(q, p)) for q in points) for p in points]
    assert nondominated(points).tolist() == wanted


@given(sets(3), st.permutations(range(3)), st.randoms(use_true_random=False), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_order_scale_and_shift(points: Points, axes: list[int], random: Any, factor: int) -> None:
    x = np.array(points, dtype=float)
    volume = hypervolume(x, np.zeros(3))
    shuffled = points[:]
    random.shuffle(shuffled)
    assert hypervolume(shuffled, np.zeros(3)) == volume
    assert hypervolume(x[:, axes], np.zeros(3)) == volume
    assert hypervolume(factor * x, np.zeros(3)) == factor**3 * volume
    assert hypervolume(x - 7.0, np.full(3, -7.0)) == volume


@given(st.integers(2, 3).flatmap(lambda m: st.tuples(sets(m), st.lists(st.integers(1, 9), min_size=m, max_size=m))))
@settings(max_examples=30, deadline=None)
def test_what_is_dominated_adds_nothing_and_what_is_not_adds(case: tuple[Points, list[int]]) -> None:
    points, p = case
    low = np.zeros(len(p))
    inside = any(all(a >= b for a, b in zip(q, p)) for q in points)
    before, after = hypervolume(points, low), hypervolume([*points, p], low)
    assert after == before if inside else after > before
    mixed = dominated_volume(points, low)
    assert dominated_volume([*points, p], low) >= mixed * (1 - 1e-12)
    assert mixed >= before * (1 - 1e-12)


@given(sets(2))
@settings(max_examples=30, deadline=None)
def test_mixtures_of_two_objectives_against_three(points: Points) -> None:
    """A third entry that is always 1 makes a prism: trapezoids against Qhull."""
    low = np.zeros(3)
    prism = np.column_stack((points, np.ones(len(points))))
    assert dominated_volume(prism, low) == pytest.approx(dominated_volume(points, low[:2]), rel=1e-9)


@given(sets(2))
@settings(max_examples=30, deadline=None)
def test_the_upper_hull_supports_every_weight(points: Points) -> None:
    hull = upper_hull(points)
    assert (np.diff(hull[:, 0]) > 0).all()
    assert (np.diff(hull[:, 1]) < 0).all()
    slopes = np.diff(hull[:, 1]) / np.diff(hull[:, 0])
    assert (np.diff(slopes) < 0).all()
    for w in np.linspace(0, 1, 7):
        assert (hull @ [w, 1 - w]).max() == pytest.approx((np.array(points) @ [w, 1 - w]).max(), rel=1e-12)


def test_by_hand() -> None:
    points = [[1.0, 3.0], [2.0, 2.0], [3.0, 1.0], [1.0, 1.0]]
    assert nondominated(points).tolist() == [True, True, True, False]
    assert hypervolume(points, [0.0, 0.0]) == 6.0
    assert dominated_volume(points, [0.0, 0.0]) == 7.0
    assert upper_hull(points).tolist() == [[1.0, 3.0], [3.0, 1.0]]
    assert sparsity(points[:3]) == 2.0
    assert hypervolume([[2.0, 3.0], [-1.0, 9.0]], [0.0, 0.0]) == 6.0
    assert hypervolume([], [0.0, 0.0]) == 0.0 == dominated_volume([], [0.0, 0.0])
    assert dominated_volume([[2.0], [5.0]], [1.0]) == 4.0
    assert (sparsity([[1.0, 2.0]]), nondominated(np.empty((0, 2))).size) == (0.0, 0)


def test_a_corner_of_a_cube_is_a_simplex() -> None:
    assert dominated_volume(np.eye(3) + 1e-12, np.zeros(3)) == pytest.approx(1 / 6, rel=1e-9)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: hypervolume([1.0, 2.0], [0.0, 0.0]), r"not of shape \(2,\)"),
        (lambda: hypervolume([[1.0, np.nan]], [0.0, 0.0]), "point 0 has an entry that is not finite"),
        (lambda: hypervolume([[1.0, 2.0]], [0.0, 0.0, 0.0]), "2 entries and the reference point 3"),
        (lambda: hypervolume([[1.0, 2.0]], [0.0, np.inf]), "must be m finite numbers"),
        (lambda: dominated_volume([[1.0, 0.0]], [0.0, 0.0]), "point 0 is not above the reference point"),
        (lambda: upper_hull([[1.0, 0.0, 0.0]]), "points of two entries"),
        (lambda: sparsity([1.0]), r"not of shape \(1,\)"),
    ],
)
def test_bad_input_gets_one_sentence(call: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        call()
