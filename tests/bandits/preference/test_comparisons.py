"""Labelled pairs: laws by enumeration, samples against their laws, and bad input."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import chisquare

from bandits.preference.comparisons import (
    independent_pairs,
    labelled,
    population_weights,
    sample_comparisons,
    sample_counts,
)
from bandits.preference.families import hole_bandit, random_kl_bandit
from bandits.preference.kl_bandit import KLBandit
from theory.errors import InputError


def test_independent_pairs() -> None:
    p, q = np.array([0.2, 0.8]), np.array([0.5, 0.5])
    np.testing.assert_allclose(independent_pairs(p, q), [[0.1, 0.1], [0.4, 0.4]])
    np.testing.assert_allclose(independent_pairs(p), np.outer(p, p))
    np.testing.assert_allclose(independent_pairs([0.5, 0.3, 0.2], distinct=True).sum(), 1.0)
    assert not np.diag(independent_pairs(p, distinct=True)).any()
    many = np.random.default_rng(0).dirichlet(np.ones(3), 4)
    assert independent_pairs(many, distinct=True).shape == (4, 3, 3)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.2, 0.5]))
def test_the_law_by_enumeration(seed: int, flip: float) -> None:
    bandit = random_kl_bandit(K=3, seed=seed)
    law = np.zeros((3, 3))
    mu, r = bandit.reference, bandit.reward
    for i, j, flipped in itertools.product(range(3), range(3), (False, True)):
        chance = mu[i] * mu[j] * (flip if flipped else 1 - flip)
        wins = expit(r[i] - r[j])
        law[(j, i) if flipped else (i, j)] += chance * wins
        law[(i, j) if flipped else (j, i)] += chance * (1 - wins)
    W = population_weights(bandit, flip)
    np.testing.assert_allclose(W, law, atol=1e-14)
    assert W.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(W + W.T, 2 * np.outer(mu, mu), atol=1e-14)  # how often a pair is compared
    if flip == 0.5:
        np.testing.assert_allclose(W, W.T, atol=1e-15)


def test_pairs_have_their_own_law() -> None:
    bandit = hole_bandit(K=3, delta=0.1, seed=1)
    W = population_weights(bandit)
    assert not W[-1].any()
    assert not W[:, -1].any()
    prompted = random_kl_bandit(K=3, prompts=2, seed=1)
    np.testing.assert_allclose(population_weights(prompted).sum(axis=(-2, -1)), 1.0)


def test_labels_need_not_be_transitive() -> None:
    wins = np.array([[0.5, 1.0, 0.0], [0.0, 0.5, 1.0], [1.0, 0.0, 0.5]])
    W = labelled(np.full((3, 3), 1 / 9), wins)
    np.testing.assert_allclose(W * 9, 2 * wins + 0 * np.eye(3))


def test_counts_follow_the_law() -> None:
    rng = np.random.default_rng(0)
    W = population_weights(random_kl_bandit(K=3, concentration=5.0, seed=3))
    counts = sample_counts(W, 20_000, rng)
    assert counts.sum() == 20_000
    assert chisquare(counts.ravel(), 20_000 * W.ravel()).pvalue > 1e-6
    assert sample_counts(W, 10, rng, runs=7).shape == (7, 3, 3)
    assert (sample_counts(W, 10, rng, runs=7).sum(axis=(1, 2)) == 10).all()
    assert not sample_counts(W, 0, rng).any()


@pytest.mark.parametrize("flip", [0.0, 0.3])
def test_comparisons_follow_the_law(flip: float) -> None:
    bandit = random_kl_bandit(K=3, concentration=5.0, seed=4)
    data = sample_comparisons(bandit, 20_000, np.random.default_rng(1), flip=flip)
    counts = np.zeros((3, 3))
    np.add.at(counts, (data.winner, data.loser), 1)
    assert chisquare(counts.ravel(), 20_000 * population_weights(bandit, flip).ravel()).pvalue > 1e-6
    assert not data.prompt.any()


def test_comparisons_of_several_prompts() -> None:
    one = random_kl_bandit(K=3, prompts=2, concentration=5.0, seed=5)
    bandit = KLBandit(one.reward, one.log_reference, one.beta, prompts=np.array([0.25, 0.75]))
    data = sample_comparisons(bandit, 40_000, np.random.default_rng(2))
    counts = np.zeros((2, 3, 3))
    np.add.at(counts, (data.prompt, data.winner, data.loser), 1)
    expected = bandit.prompts[:, None, None] * population_weights(bandit)
    assert chisquare(counts.ravel(), 40_000 * expected.ravel()).pvalue > 1e-6


def test_a_seed_decides_everything() -> None:
    bandit = random_kl_bandit(K=4, seed=6)
    first, second = (sample_comparisons(bandit, 50, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first.winner, second.winner)
    np.testing.assert_array_equal(first.loser, second.loser)


def test_nothing_is_drawn_that_has_no_probability() -> None:
    bandit = hole_bandit(K=3, delta=0.5, seed=1)
    data = sample_comparisons(bandit, 5000, np.random.default_rng(4))
    assert max(data.winner.max(), data.loser.max()) == 2


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: labelled(np.ones(2), np.ones((2, 2))), "law of pairs and win probabilities"),
        (lambda: labelled(np.ones((2, 2)), np.ones((2, 2))), "sums to 4"),
        (lambda: sample_counts(np.ones((2, 2)), 1, np.random.default_rng(0)), "sum 1"),
        (lambda: sample_counts(np.full((2, 2), 0.25), -1, np.random.default_rng(0)), "at least 0"),
        (lambda: population_weights(random_kl_bandit(), 1.5), "flipped"),
        (lambda: sample_comparisons(random_kl_bandit(), 1, np.random.default_rng(0), flip=-0.5), "flipped"),
    ],
)
def test_bad_input_gets_one_sentence(call, says: str) -> None:
    with pytest.raises(InputError, match=says):
        call()
