"""What sources of pairs cost: the information against a second derivative, the constant against its trace and simulated fits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandits.preference.comparisons import independent_pairs, labelled, sample_counts
from bandits.preference.families import random_kl_bandit
from bandits.preference.kl_bandit import KLBandit, kl_gap
from bandits.preference.pair_sources import gap_constant, pair_information
from theory.bradley_terry_fit import fit_bradley_terry
from theory.errors import InputError
from theory.links import bradley_terry
from theory.pair_losses import expected_pair_gradient, logistic
from theory.tilts import log_tilt

seeds = st.integers(0, 10_000)


def _law(seed, K):
    pairs = np.random.default_rng(seed).random((K, K)) + 0.1
    return pairs / pairs.sum()


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_information_is_the_hessian_of_the_population_loss(seed):
    bandit, pairs, step = random_kl_bandit(K=4, seed=seed), _law(seed, 4), 1e-5
    weights = labelled(pairs, bradley_terry(bandit.reward))
    numeric = [
        (
            expected_pair_gradient(bandit.reward + step * e, weights, logistic())
            - expected_pair_gradient(bandit.reward - step * e, weights, logistic())
        )
        / (2 * step)
        for e in np.eye(4)
    ]
    found = pair_information(bandit.reward, pairs)
    np.testing.assert_allclose(found, numeric, atol=1e-9)
    np.testing.assert_allclose(found.sum(axis=0), 0, atol=1e-15)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_the_constant_is_a_trace(seed):
    bandit, pairs = random_kl_bandit(K=5, seed=seed, concentration=5.0), _law(seed, 5)
    p = np.exp(bandit.log_optimum)
    trace = np.trace((np.diag(p) - np.outer(p, p)) @ np.linalg.pinv(pair_information(bandit.reward, pairs)))
    assert gap_constant(bandit, pairs) == pytest.approx(trace / (2 * bandit.beta), rel=1e-8)
    order = np.random.default_rng(seed).permutation(5)
    other = KLBandit(bandit.reward[order], bandit.log_reference[order], bandit.beta)
    assert gap_constant(other, pairs[np.ix_(order, order)]) == pytest.approx(gap_constant(bandit, pairs), rel=1e-10)


def test_two_responses_by_hand():
    """Equal rewards, even odds, beta = 1: pi_1 pi_2 / (2 beta * 1/2 * 1/4) = 1."""
    bandit = KLBandit(np.zeros(2), np.log([0.5, 0.5]), 1.0)
    assert gap_constant(bandit, independent_pairs([0.5, 0.5])) == pytest.approx(1.0)
    assert gap_constant(KLBandit([0.3], [0.0], 1.0), [[1.0]]) == 0


def test_the_constant_predicts_fits():
    bandit = random_kl_bandit(K=3, seed=1, concentration=5.0, spread=0.5, beta=1.0)
    pairs = independent_pairs(bandit.reference)
    counts = sample_counts(labelled(pairs, bradley_terry(bandit.reward)), 4000, np.random.default_rng(0), runs=100)
    gaps = [4000 * kl_gap(bandit, log_tilt(bandit.log_reference, fit_bradley_terry(c).theta, 1.0)) for c in counts]
    error = np.std(gaps, ddof=1) / np.sqrt(100)
    assert abs(np.mean(gaps) - gap_constant(bandit, pairs)) < 5 * error


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda b: pair_information([1.0, np.inf], np.eye(2) / 2), "finite rewards"),
        (lambda b: pair_information([1.0, 0.0], np.eye(3) / 3), "not \\(2,\\) and \\(3, 3\\)"),
        (lambda b: pair_information([1.0, 0.0], np.eye(2)), "sum to 1, not to 2"),
        (lambda b: gap_constant(b, independent_pairs([0.5, 0.5, 0.0])), "do not tell the rewards"),
        (lambda b: gap_constant(random_kl_bandit(K=2, prompts=2), np.eye(2) / 2), "prompt axis"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call(random_kl_bandit(K=3))
