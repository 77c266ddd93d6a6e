"""Density ratios: the reward they hide, accuracies against numerical integration and samples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from bandits.preference.density_ratio import (
    alignment_gap,
    density_ratio,
    mean_ranking_accuracy,
    ranking_accuracy,
    sample_rankings,
)
from bandits.preference.families import random_kl_bandit
from theory.errors import InputError
from theory.tilts import log_tilt


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 1.0), st.floats(1.1, 20))
def test_the_ratio_is_the_reward(seed, strong, factor):
    bandit = random_kl_bandit(K=6, seed=seed)
    weak = factor * strong
    score = density_ratio(*(log_tilt(bandit.log_reference, bandit.reward, b) for b in (strong, weak)))
    slope = alignment_gap(strong, weak)
    np.testing.assert_allclose(score - score[0], slope * (bandit.reward - bandit.reward[0]), atol=1e-10)
    np.testing.assert_array_equal(np.argsort(score), np.argsort(bandit.reward))


@pytest.mark.parametrize(("gap", "noise", "spread"), [(0.1, 0.5, 1.0), (3.0, 0.5, 1.0), (-1.0, 2.0, 0.3)])
def test_the_average_is_an_integral(gap, noise, spread):
    def integrand(d):
        return ranking_accuracy(d, gap, noise) * norm.pdf(d, scale=np.sqrt(2) * spread)

    assert 2 * quad(integrand, 0, 20 * spread)[0] == pytest.approx(mean_ranking_accuracy(gap, noise, spread), abs=1e-9)


def test_by_hand():
    assert ranking_accuracy(0.0, 2.0, 1.0) == 0.5
    assert ranking_accuracy([-1.0, 1.0], 2.0, 1.0) == pytest.approx(norm.cdf([1.0, 1.0]))
    assert mean_ranking_accuracy(np.sqrt(2), 1.0) == pytest.approx(0.75)
    assert mean_ranking_accuracy(-1.0, 0.5) == pytest.approx(1 - mean_ranking_accuracy(1.0, 0.5))


@pytest.mark.parametrize(("strong", "weak", "noise"), [(0.2, 0.25, 0.5), (0.2, 1.0, 3.0), (1.0, 0.2, 3.0)])
def test_samples_have_the_accuracy(strong, weak, noise):
    right = sample_rankings(strong, weak, noise, 100_000, np.random.default_rng(0))
    accuracy = mean_ranking_accuracy(alignment_gap(strong, weak), noise)
    assert abs(right.mean() - accuracy) < 5 * np.sqrt(accuracy * (1 - accuracy) / 100_000)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: alignment_gap(0.0, 1.0), "temperature"),
        (lambda: density_ratio([0.0, -np.inf], [-1.0, -1.0]), "positive probability"),
        (lambda: density_ratio([0.0, 0.0, 0.0], [-1.0, -1.0]), "same responses"),
        (lambda: ranking_accuracy(1.0, np.inf, 1.0), "finite, not inf"),
        (lambda: ranking_accuracy(1.0, 1.0, 0.0), "positive and finite, not 0.0"),
        (lambda: mean_ranking_accuracy(1.0, 1.0, -1.0), "not -1.0"),
        (lambda: sample_rankings(0.1, 1.0, 1.0, 0, np.random.default_rng(0)), "not 0"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call()
