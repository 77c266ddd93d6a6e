"""BRAIn's gradient: its expectation against every sample, its bias against the expansion, its divergence by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from bandits.preference.amortised_posterior import (
    amortised_gradient,
    bias_bound,
    bias_remainder_bound,
    expected_gradient,
    limiting_bias,
    sample_shares,
    self_normalised_divergence,
)
from theory.errors import InputError

seeds = st.integers(0, 10_000)


def _laws(seed, K=3):
    return log_softmax(np.random.default_rng(seed).standard_normal((3, K)), axis=-1)


def test_by_hand():
    """Two samples, of weights 3 and 1 under the posterior, 1 and 1 under the policy."""
    posterior, proposal = np.log([3.0, 1.0]), np.zeros(2)  # up to constants
    policy = np.log([0.5, 0.5])
    np.testing.assert_allclose(sample_shares(posterior, proposal, [0, 1]), [0.75, 0.25])
    divergence = 0.75 * np.log(0.75 / 0.5) + 0.25 * np.log(0.25 / 0.5)
    assert self_normalised_divergence(policy, posterior, proposal, [0, 1]) == pytest.approx(divergence)
    np.testing.assert_allclose(amortised_gradient(policy, posterior, proposal, [0, 1]), [-0.25, 0.25])
    np.testing.assert_allclose(amortised_gradient(policy, posterior, proposal, [0, 1], baseline=False), [-0.25, 0.25])
    np.testing.assert_allclose(amortised_gradient(policy, posterior, proposal, [0, 0], baseline=False), [-0.5, 0.5])


@pytest.mark.parametrize(("K", "n"), [(2, 1), (2, 5), (3, 4), (4, 3)])
def test_expectation_against_every_sample(K, n):
    policy, posterior, proposal = _laws(K + n, K)
    samples = np.array(list(itertools.product(range(K), repeat=n)))
    chance = np.exp(proposal[samples].sum(axis=1))
    by_hand = chance @ amortised_gradient(policy, posterior, proposal, samples)
    np.testing.assert_allclose(expected_gradient(policy, posterior, proposal, n), by_hand, atol=1e-13)


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(1, 12))
def test_bounds_hold_for_every_number_of_samples(seed, n):
    policy, posterior, proposal = _laws(seed)
    truth = np.exp(policy) - np.exp(posterior)
    off = expected_gradient(policy, posterior, proposal, n) - truth
    bound = bias_bound(policy, proposal, n) + bias_bound(posterior, proposal, n)
    assert (np.abs(off) <= bound + 1e-12).all()
    rest = bias_remainder_bound(policy, proposal, n) + bias_remainder_bound(posterior, proposal, n)
    assert (np.abs(n * off - limiting_bias(policy, posterior, proposal)) <= rest + 1e-11).all()


def test_the_limit_is_reached():
    policy, posterior, proposal = _laws(3, 2)
    truth = np.exp(policy) - np.exp(posterior)
    limit = limiting_bias(policy, posterior, proposal)
    rest = [np.abs(n * (expected_gradient(policy, posterior, proposal, n) - truth) - limit).sum() for n in (1000, 4000, 16000)]
    np.testing.assert_allclose(np.array(rest[:-1]) / rest[1:], 4, rtol=0.01)


@settings(max_examples=25, deadline=None)
@given(seeds, st.floats(-5, 5))
def test_constants_of_the_posterior_do_not_matter(seed, c):
    policy, posterior, proposal = _laws(seed)
    samples = np.array([[0, 1, 2, 2], [1, 1, 1, 0]])
    moved = amortised_gradient(policy, posterior + c, proposal - c, samples)
    np.testing.assert_allclose(moved, amortised_gradient(policy, posterior, proposal, samples), atol=1e-12)
    assert (self_normalised_divergence(policy, posterior, proposal, samples) >= 0).all()
    np.testing.assert_allclose(self_normalised_divergence(policy, policy + c, proposal, samples), 0, atol=1e-13)
    # a learner equal to the proposal shares evenly, without bias
    even = sample_shares(proposal, proposal, samples)
    np.testing.assert_allclose(even, 0.25, atol=1e-14)
    np.testing.assert_allclose(expected_gradient(proposal, proposal, proposal, 4), 0, atol=1e-14)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: expected_gradient(p, p, p, 0), "0 samples of 3 responses"),
        (lambda p: expected_gradient(p, p, p, 10_000), "can be enumerated"),
        (lambda p: bias_bound(p, p, 0), "at least one sample, not 0"),
        (lambda p: bias_remainder_bound(p, p, 0), "at least one sample, not 0"),
        (lambda p: sample_shares(p, p[:2], [0]), "over 3 responses has a proposal over as many, not 2"),
        (lambda p: sample_shares([0.0, -np.inf], [0.0, 0.0], [0]), "finite log-probabilities"),
        (lambda p: sample_shares(p, p, [0, 3]), "one is 3"),
        (lambda p: sample_shares(p, p, [0.5]), "whole numbers"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call(_laws(0)[0])
