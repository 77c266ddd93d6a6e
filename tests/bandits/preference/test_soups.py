"""Soups: identities with divergences computed apart, special cases by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from bandits.preference.soups import SoupProblem, disagreement, gini, noisy_copies, soup, two_policies
from theory.divergences import kl
from theory.errors import InputError

seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 4), st.integers(2, 6))
def test_the_soup_averages_logits_and_minimises_the_mean_divergence(seed, m, K):
    rng = np.random.default_rng(seed)
    logits, weights = 2 * rng.standard_normal((m, K)), rng.dirichlet(np.ones(m))
    policies = log_softmax(logits, axis=-1)
    mixed = soup(policies, weights)
    np.testing.assert_allclose(mixed, log_softmax(weights @ logits), atol=1e-12)
    apart = float(disagreement(policies, weights))
    assert apart == pytest.approx(weights @ kl(mixed, policies, log=True), abs=1e-12)
    others = log_softmax(mixed + rng.standard_normal((10, K)), axis=-1)
    assert (kl(others[:, None], policies, log=True) @ weights >= apart - 1e-12).all()


def test_disagreement_by_hand():
    """-ln(sqrt(.5 .9) + sqrt(.5 .1)) is the Bhattacharyya distance of two coins."""
    policies = np.log([[0.5, 0.5], [0.9, 0.1]])
    assert disagreement(policies) == pytest.approx(-np.log(np.sqrt(0.45) + np.sqrt(0.05)))
    assert disagreement(policies[[0, 0]]) == pytest.approx(0.0, abs=1e-15)
    assert disagreement(np.stack([policies, policies[::-1]])).shape == (2,)


def test_a_weight_of_zero_leaves_a_policy_out():
    policies = np.log([[0.5, 0.5], [1.0, 1e-300]])
    policies[1, 1] = -np.inf
    np.testing.assert_allclose(soup(policies, [1.0, 0.0]), policies[0])
    np.testing.assert_allclose(np.exp(soup(policies)), [1.0, 0.0])


def test_impurity():
    assert gini(np.log([0.2, 0.3, 0.5])) == pytest.approx(1 - 0.04 - 0.09 - 0.25)
    assert gini(np.array([0.0, -np.inf])) == 0.0
    law = np.array([0.2, 0.3, 0.5])
    assert gini(np.log(law)) == pytest.approx(np.trace(np.diag(law) - np.outer(law, law)))


def test_copies_without_noise_agree():
    problem = noisy_copies(K=4, models=3, noise=0.0, seed=5)
    assert disagreement(problem.log_policies) == pytest.approx(0.0, abs=1e-14)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: soup(np.zeros(3)), "log-probabilities"),
        (lambda: soup(np.zeros((2, 3)), [0.5, 0.6]), "sum 1"),
        (lambda: soup(np.zeros((2, 3)), [1.5, -0.5]), "at least 0"),
        (lambda: disagreement(np.full((2, 2), np.nan)), "log-probabilities"),
        (lambda: two_policies(first=(0.0,)), "as many logits"),
        (lambda: SoupProblem(np.zeros((2, 3)), np.zeros(2), 1.0), "full support"),
        (lambda: SoupProblem(np.zeros((2, 3)), np.zeros(3), 0.0), "temperature"),
    ],
)
def test_bad_input_is_refused(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()
