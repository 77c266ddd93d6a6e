"""The fractional knapsack against linear programs, the dual formula and packings by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from theory.errors import InputError
from theory.fractional_knapsack import knapsack_fractions, knapsack_front

items = st.lists(st.tuples(st.floats(0.01, 5), st.floats(-3, 3)), min_size=1, max_size=7)


def test_by_hand():
    """Densities 3, 2, 2, -1: the last item is never packed, and of the equal ones the first comes first."""
    front = knapsack_front([1.0, 2.0, 4.0, 1.0], [2.0, 3.0, 2.0, -1.0])
    np.testing.assert_array_equal(front.order, [1, 0, 2])
    np.testing.assert_allclose(front.capacities, [0, 2, 3, 7], rtol=0, atol=1e-15)
    np.testing.assert_allclose(front.values, [0, 6, 8, 16], rtol=0, atol=1e-15)
    np.testing.assert_allclose(front.value([0, 1, 2.5, 5, 7, 100]), [0, 3, 7, 12, 16, 16], rtol=0, atol=1e-14)
    np.testing.assert_allclose(knapsack_fractions([1.0, 2.0, 4.0, 1.0], [2.0, 3.0, 2.0, -1.0], 5.0), [1, 1, 0.5, 0])


def test_nothing_worth_packing():
    front = knapsack_front([1.0, 2.0], [-1.0, 0.0])
    assert front.order.size == 0
    assert front.value(3.0) == 0
    np.testing.assert_array_equal(knapsack_fractions([1.0, 2.0], [-1.0, 0.0], 3.0), [0, 0])


@settings(deadline=None, max_examples=60)
@given(items, st.floats(0, 20))
def test_linear_program_and_dual(drawn, capacity):
    w, g = (np.array(column) for column in zip(*drawn))
    value = knapsack_front(w, g).value(capacity)
    program = linprog(-w * g, A_ub=w[None, :], b_ub=[capacity], bounds=(0, 1))
    assert abs(-program.fun - value) <= 1e-7
    prices = np.append(g[g > 0], 0.0)
    assert abs(min(price * capacity + w @ np.maximum(g - price, 0) for price in prices) - value) <= 1e-10
    x = knapsack_fractions(w, g, capacity)
    assert abs(w * g @ x - value) <= 1e-10
    assert w @ x <= capacity + 1e-12
    assert ((x > 0) & (x < 1)).sum() <= 1


@settings(deadline=None, max_examples=40)
@given(items, st.floats(0.1, 10), st.randoms(use_true_random=False))
def test_scaling_and_relabelling(drawn, scale, shuffler):
    w, g = (np.array(column) for column in zip(*drawn))
    capacities = np.linspace(0, w.sum(), 9)
    values = knapsack_front(w, g).value(capacities)
    np.testing.assert_allclose(knapsack_front(scale * w, g).value(scale * capacities), scale * values, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(knapsack_front(w, scale * g).value(capacities), scale * values, rtol=1e-10, atol=1e-10)
    order = list(range(w.size))
    shuffler.shuffle(order)
    np.testing.assert_allclose(knapsack_front(w[order], g[order]).value(capacities), values, rtol=1e-10, atol=1e-10)
    assert (np.diff(values) >= -1e-12).all()
    assert (np.diff(values, 2) <= 1e-10).all()


@pytest.mark.parametrize(
    ("weights", "densities", "message"),
    [
        ([1.0], [1.0, 2.0], "one weight and one density"),
        ([], [], "one weight and one density"),
        ([0.0], [1.0], "finite positive weights"),
        ([np.inf], [1.0], "finite positive weights"),
        ([1.0], [np.nan], "finite positive weights"),
    ],
)
def test_bad_items_are_refused(weights, densities, message):
    with pytest.raises(InputError, match=message):
        knapsack_front(weights, densities)
    with pytest.raises(InputError, match=message):
        knapsack_fractions(weights, densities, 1.0)


def test_bad_capacities_are_refused():
    front = knapsack_front([1.0], [1.0])
    for capacity in (-0.1, np.nan):
        with pytest.raises(InputError, match="at least 0"):
            front.value(capacity)
        with pytest.raises(InputError, match="at least 0"):
            knapsack_fractions([1.0], [1.0], capacity)
