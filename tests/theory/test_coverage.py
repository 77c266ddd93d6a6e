"""Coverage: closed forms, brute force over test functions, and the inequalities between the senses of concentrability."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from theory.coverage import (
    bellman_rank,
    elliptical_potential,
    eluder_sequence,
    kl_ball_ratio,
    largest_ratio,
    single_policy_concentrability,
    trajectory_kl,
)
from theory.divergences import kl
from theory.errors import InputError

laws = arrays(np.float64, (2, 5), elements=st.floats(0.01, 1.0)).map(lambda x: x / x.sum(axis=1, keepdims=True))


def test_hand_computed_coefficients() -> None:
    mu, d = np.array([[0.5, 0.25, 0.25]]), np.array([[0.5, 0.5, 0.0]])
    chi = Fraction(1, 4) / Fraction(1, 2) + Fraction(1, 4) / Fraction(1, 4)
    assert single_policy_concentrability(mu, d) == float(chi) == 1.5
    assert single_policy_concentrability(mu, d, "max") == 2.0
    assert single_policy_concentrability(d, mu) == np.inf
    assert single_policy_concentrability(d, mu, "max") == np.inf


@given(laws, laws)
def test_senses_are_ordered(mu: np.ndarray, d: np.ndarray) -> None:
    chi, most = single_policy_concentrability(mu, d), single_policy_concentrability(mu, d, "max")
    assert 1 - 1e-12 <= chi <= most * (1 + 1e-12)
    features = np.column_stack((np.ones(5), np.arange(5.0)))
    linear = single_policy_concentrability(mu, d, "linear", features)
    assert 1 - 1e-7 <= linear <= chi * (1 + 1e-7)
    assert single_policy_concentrability(mu, d, "linear", np.eye(5)) == pytest.approx(chi, rel=1e-7)


@given(laws, laws, st.integers(0, 100))
def test_no_function_exceeds_the_coefficient(mu: np.ndarray, d: np.ndarray, seed: int) -> None:
    g = np.random.default_rng(seed).normal(size=(50, 2, 5))
    ratio = (d * g).sum(axis=2) ** 2 / (mu * g**2).sum(axis=2)
    assert ratio.max() <= single_policy_concentrability(mu, d) * (1 + 1e-12)


def test_linear_coverage_needs_only_the_directions() -> None:
    """Data on one pair covers another of the same features, and no pair of other ones."""
    mu, d = np.array([[1.0, 0.0, 0.0]]), np.array([[0.0, 1.0, 0.0]])
    features = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert single_policy_concentrability(mu, d, "linear", features) == pytest.approx(1.0)
    assert single_policy_concentrability(mu, np.array([[0.0, 0.0, 1.0]]), "linear", features) == np.inf


def test_trajectory_kl_is_the_divergence_of_trajectories() -> None:
    """By enumeration of the trajectories of a two-step problem in which the action is the next state."""
    p = np.array([[[0.3, 0.7], [0.5, 0.5]], [[0.2, 0.8], [0.9, 0.1]]])
    q = np.array([[[0.6, 0.4], [0.1, 0.9]], [[0.5, 0.5], [0.3, 0.7]]])
    visits = np.array([[1.0, 0.0], [0.3, 0.7]])
    paths = [(a, b, p[0, 0, a] * p[1, a, b], q[0, 0, a] * q[1, a, b]) for a in range(2) for b in range(2)]
    expected = sum(x * np.log(x / y) for _, _, x, y in paths)
    assert trajectory_kl(p, q, visits) == pytest.approx(expected)
    assert trajectory_kl(np.log(p), np.log(q), visits, log=True) == pytest.approx(expected)
    q[0, 1] = [0.0, 1.0]  # in a state that is not visited at that step
    assert trajectory_kl(p, q, visits) == pytest.approx(expected)
    q[0, 0] = [0.0, 1.0]
    assert trajectory_kl(p, q, visits) == np.inf


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 60), st.floats(0.1, 3.0), st.integers(0, 1000))
def test_elliptical_potential(d: int, n: int, ridge: float, seed: int) -> None:
    phi = np.random.default_rng(seed).normal(size=(n, d))
    total, bound = elliptical_potential(phi, ridge)
    gram = ridge * np.eye(d) + phi.T @ phi
    assert bound == pytest.approx(2 * (np.linalg.slogdet(gram)[1] - d * np.log(ridge)), abs=1e-8)
    widths = [x @ np.linalg.solve(ridge * np.eye(d) + phi[:i].T @ phi[:i], x) for i, x in enumerate(phi)]
    assert total == pytest.approx(np.minimum(widths, 1).sum())
    assert total <= bound * (1 + 1e-12)


def test_rank_and_sequence_of_a_known_matrix() -> None:
    assert bellman_rank(np.outer([1, 2, 3], [1, 1])) == 1
    assert bellman_rank(np.eye(4)) == 4
    found = eluder_sequence(np.eye(4), 0.5)  # each distribution is told by a function of its own
    assert found.length == 4
    assert eluder_sequence(np.ones((3, 5)), 0.5).length == 1  # all distributions look alike to every function
    assert eluder_sequence(np.eye(4), 2.0).length == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(0.05, 1.0))
def test_sequence_is_independent(seed: int, epsilon: float) -> None:
    matrix = np.random.default_rng(seed).normal(size=(12, 8))
    order = eluder_sequence(matrix, epsilon).order
    for k in range(order.size):
        spent = np.sqrt((matrix[:, order[:k]] ** 2).sum(axis=1))
        assert ((spent <= epsilon) & (np.abs(matrix[:, order[k]]) > epsilon)).any()


@given(laws)
def test_largest_ratio_is_the_coefficient_of_one_step(pair: np.ndarray) -> None:
    mu, d = pair
    assert largest_ratio(np.log(d), np.log(mu)) == pytest.approx(single_policy_concentrability(mu[None], d[None], "max"))
    assert largest_ratio(np.log(mu), np.log(mu)) == 1.0


def test_largest_ratio_beyond_the_support() -> None:
    with np.errstate(divide="ignore"):
        policies, reference = np.log([[0.5, 0.5, 0.0], [0.5, 0.0, 0.5]]), np.log([0.25, 0.75, 0.0])
    np.testing.assert_array_equal(largest_ratio(policies, reference), [2.0, np.inf])


@settings(max_examples=40, deadline=None)
@given(laws, st.sampled_from([1e-4, 0.01, 0.3, 1.0, 5.0]), st.integers(0, 1000))
def test_no_policy_of_the_ball_exceeds_its_ratio(pair: np.ndarray, radius: float, seed: int) -> None:
    """Random policies, moved along a segment to the boundary; and the mixture with a point mass attains the ratio."""
    mu = pair[0]
    ends = np.concatenate((np.eye(5), np.random.default_rng(seed).dirichlet(np.full(5, 0.3), 60), pair[1:]))
    low, high = np.zeros(len(ends)), np.ones(len(ends))
    for _ in range(60):
        middle = (low + high) / 2
        inside = kl(mu + middle[:, None] * (ends - mu), mu) <= radius
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    ratios = (mu + high[:, None] * (ends - mu)) / mu
    largest = kl_ball_ratio(mu, radius)
    assert (ratios <= largest * (1 + 1e-8)).all()
    np.testing.assert_allclose(np.diag(ratios), largest, rtol=1e-7)
    assert largest.max() == largest[np.argmin(mu)]


def test_ball_ratio_in_closed_form() -> None:
    assert kl_ball_ratio(0.5, np.log(2)) == pytest.approx(2.0)
    assert kl_ball_ratio(1e-3, 10.0) == pytest.approx(1000.0)  # the ball holds the point mass
    assert kl_ball_ratio(0.3, 0.0) == pytest.approx(1.0)
    np.testing.assert_array_equal(kl_ball_ratio([0.0, 1.0], 3.0), 1.0)
    q = 0.7  # of a coin that should have shown 0.2: the root of its own divergence
    assert kl_ball_ratio(0.2, kl([q, 1 - q], [0.2, 0.8])) == pytest.approx(q / 0.2)
    small = 1e-9  # near the reference: (q - p)^2 / 2 p (1 - p) = e
    assert kl_ball_ratio(0.2, small) - 1 == pytest.approx(np.sqrt(2 * small * 0.2 * 0.8) / 0.2, rel=1e-4)


def test_ball_ratio_of_rare_responses() -> None:
    """e / (p ln(1/p)), from above, with an error of the order ln ln(1/p) / ln(1/p)."""
    p = 10.0 ** -np.array([10, 30, 100, 300])
    log = np.log(1 / p)
    for radius in (0.1, 1.0):
        scaled = kl_ball_ratio(p, radius) * p * log / radius
        assert (scaled >= 1).all()
        assert (scaled <= log / (log - 1 - np.log(log / radius))).all()
        assert (np.diff(scaled) < 0).all()
        assert scaled[-1] < 1.02
    assert kl_ball_ratio(1e-8, 1.0) == pytest.approx(6.8e6, rel=0.01)


@given(st.floats(1e-300, 0.999), st.floats(0, 20), st.floats(0, 20))
def test_larger_balls_have_larger_ratios(p: float, first: float, second: float) -> None:
    small, large = (kl_ball_ratio(p, e) for e in sorted((first, second)))
    assert 1 <= small <= large <= 1 / p * (1 + 1e-12)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: kl_ball_ratio([0.5, 1.5], 1.0), "probabilities in"),
        (lambda: kl_ball_ratio(np.nan, 1.0), "probabilities in"),
        (lambda: kl_ball_ratio(0.5, -1.0), "radius of at least 0"),
        (lambda: kl_ball_ratio(0.5, np.nan), "radius of at least 0"),
        (lambda: single_policy_concentrability(np.ones((1, 2)), np.full((1, 2), 0.5)), "data occupancy"),
        (lambda: single_policy_concentrability(np.full((1, 2), 0.5), [[-1.0, 2.0]]), "target occupancy"),
        (lambda: single_policy_concentrability([0.5, 0.5], [0.5, 0.5]), "same shape"),
        (lambda: single_policy_concentrability([[1.0]], [[1.0]], "mean"), "kind"),  # type: ignore[arg-type]
        (lambda: single_policy_concentrability([[1.0]], [[1.0]], "linear"), "needs features"),
        (lambda: single_policy_concentrability([[1.0]], [[1.0]], "linear", np.eye(2)), "2 pairs"),
        (lambda: trajectory_kl(np.ones((1, 1, 1)), np.ones((1, 1, 1)), np.ones((1, 2))), "two policies"),
        (lambda: trajectory_kl(np.ones((1, 1, 1)), np.ones((1, 1, 1)), -np.ones((1, 1))), "negative"),
        (lambda: elliptical_potential([[np.nan]]), "finite matrix"),
        (lambda: elliptical_potential([[1.0]], 0.0), "ridge"),
        (lambda: eluder_sequence(np.eye(2), 0.0), "epsilon"),
        (lambda: bellman_rank(np.zeros((0, 2))), "finite matrix"),
    ],
)
def test_bad_input_gets_one_sentence(call, says: str) -> None:
    with pytest.raises(InputError, match=says):
        call()
