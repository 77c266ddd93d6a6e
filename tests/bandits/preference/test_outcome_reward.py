"""Gradients from outcomes: finite differences, sums over responses, the identity of the two means, and refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from bandits.preference.outcome_reward import mean_scores, outcome_gradient
from theory.errors import InputError

seeds = st.integers(0, 10_000)


def drawn(seed, K=5):
    rng = np.random.default_rng(seed)
    success = np.arange(K) < rng.integers(1, K)
    return log_softmax(rng.standard_normal(K)), rng.permutation(success), np.log(rng.dirichlet(np.ones(K)))


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_means_and_gradients_by_sums_over_responses(seed):
    log_policy, success, behaviour = drawn(seed)
    score = np.eye(5) - np.exp(log_policy)  # row y: the gradient of log pi(y)
    for law in (None, behaviour):
        mu = np.exp(log_policy if law is None else law)
        won, lost = mean_scores(log_policy, success, law)
        np.testing.assert_allclose(won, mu[success] @ score[success] / mu[success].sum(), rtol=0, atol=1e-13)
        np.testing.assert_allclose(lost, mu[~success] @ score[~success] / mu[~success].sum(), rtol=0, atol=1e-13)
        weights = np.where(success, 2.0, -0.5)
        np.testing.assert_allclose(
            outcome_gradient(log_policy, success, (2.0, -0.5), law), (mu * weights) @ score, rtol=0, atol=1e-13
        )


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_on_policy_the_gradient_is_that_of_the_probability_of_success(seed):
    log_policy, success, _ = drawn(seed)
    found = outcome_gradient(log_policy, success, (1.0, 0.0))
    h = 1e-6
    numeric = [
        (np.exp(log_softmax(log_policy + h * e))[success].sum() - np.exp(log_softmax(log_policy - h * e))[success].sum())
        / (2 * h)
        for e in np.eye(5)
    ]
    np.testing.assert_allclose(found, numeric, rtol=0, atol=1e-9)
    np.testing.assert_allclose(outcome_gradient(log_policy, success, (3.0, 3.0)), np.zeros(5), rtol=0, atol=1e-14)
    won, lost = mean_scores(log_policy, success)
    p = np.exp(log_policy)[success].sum()
    np.testing.assert_allclose(p * won, -(1 - p) * lost, rtol=0, atol=1e-14)


def test_bad_input():
    half = np.log([0.5, 0.5])
    with pytest.raises(InputError, match="one length"):
        mean_scores(half, [True, False, True])
    for success in ([True, True], [False, False]):
        with pytest.raises(InputError, match="positive probability"):
            mean_scores(half, success)
    with pytest.raises(InputError, match="positive probability"), np.errstate(divide="ignore"):
        outcome_gradient(half, [True, False], (1.0, 0.0), np.log([0.0, 1.0]))
