"""Generations of a retrained model: least squares against NumPy's, the two-cycle by hand, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandits.contextual import ContextualBandit
from bandits.inverse_gap_weighting import inverse_gap_weights
from bandits.retraining import (
    LinearProblem,
    alternating,
    linear_bandit,
    next_generation,
    population_least_squares,
    retrain,
)
from theory.errors import InputError

seeds = st.integers(0, 2**31)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_least_squares_agrees_with_numpy_row_by_row(seed):
    rng = np.random.default_rng(seed)
    phi, y, w = rng.normal(size=(5, 3, 2, 2)), rng.normal(size=(5, 3, 2)), rng.uniform(size=(5, 3, 2))
    found = population_least_squares(phi, y, w)
    for i in range(5):
        root = np.sqrt(w[i]).reshape(-1, 1)
        exact = np.linalg.lstsq(root * phi[i].reshape(-1, 2), root[:, 0] * y[i].ravel(), rcond=None)[0]
        np.testing.assert_allclose(found[i], exact, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(population_least_squares(phi, y, 3 * w), found, rtol=1e-8, atol=1e-10)


def test_one_generation_of_the_two_cycle_by_hand():
    """theta = (.45 - q) / (1 + q + 4 (1 - q)), where q is the probability of the good action in context 1."""
    problem = alternating()
    for q in (0.05, 0.5, 0.95):
        policy = np.array([[0.5, 0.5], [q, 1 - q]])
        theta, following = next_generation(problem.features, problem.bandit.means, problem.bandit.law, policy, 200.0)
        np.testing.assert_allclose(theta, [(0.45 - q) / (1 + q + 4 * (1 - q))], rtol=1e-12)
        np.testing.assert_allclose(following, inverse_gap_weights(problem.features[..., 0] * theta, 200.0))
        assert (following[1, 0] > 0.5) == (q < 0.45)


def test_generations_record_what_they_played():
    history = retrain(alternating(), 200.0, 9)
    assert history.policies.shape == (10, 2, 2)
    assert history.coefficients.shape == (9, 1)
    np.testing.assert_allclose(history.policies[0], 0.5)
    np.testing.assert_allclose(history.values, 0.225 + history.policies[:, 1, 0] / 2, rtol=1e-12)
    np.testing.assert_allclose(history.policies[1:], inverse_gap_weights(history.fits, 200.0))


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_reweighted_logs_forget_who_logged(seed):
    problem, rng = linear_bandit(X=3, K=3, d=2, misfit=1.0, seed=seed), np.random.default_rng(seed)
    shape = problem.bandit.means.shape
    starts = [0.9 * rng.dirichlet(np.ones(3), size=3) + 0.1 / 3 for _ in range(2)]
    first, second = (retrain(problem, 20.0, 3, start, reweighted=True) for start in starts)
    np.testing.assert_allclose(first.coefficients, second.coefficients, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(first.policies[1:], np.broadcast_to(first.policies[1], (3, *shape)), atol=1e-10)


def test_a_realizable_model_is_found_at_once():
    problem = linear_bandit(X=5, K=3, d=2, seed=4)
    history = retrain(problem, 50.0, 3)
    np.testing.assert_allclose(history.fits, np.broadcast_to(problem.bandit.means, (3, 5, 3)), atol=1e-12)
    assert np.abs(retrain(linear_bandit(X=5, K=3, d=2, misfit=0.5, seed=4), 50.0, 1).fits - problem.bandit.means).max() > 0.01


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: LinearProblem(ContextualBandit(np.zeros((2, 2))), np.zeros((2, 3, 1))),
            r"shape \(2, 2\) have the shape \(X, K, d\)",
        ),
        (lambda: LinearProblem(ContextualBandit(np.zeros((1, 1))), np.full((1, 1, 1), np.inf)), "are finite"),
        (lambda: retrain(alternating(), 1.0, 0), "at least once, not 0 times"),
        (lambda: retrain(alternating(), -1.0, 1), r"at least 0, not -1\.0"),
        (lambda: retrain(alternating(), 1.0, 1, np.ones((2, 2))), "the first policy has the row"),
        (lambda: population_least_squares(np.zeros((2, 2, 1)), np.zeros((3, 2)), np.ones((2, 2))), "need targets and weights"),
        (lambda: population_least_squares(np.zeros((1, 1, 1)), np.zeros((1, 1)), -np.ones((1, 1))), "finite and at least 0"),
    ],
)
def test_bad_input(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()
