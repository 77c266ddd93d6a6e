"""Rounds of improvement: each against a numerical optimum, and all against one tilt."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax

from bandits.preference.families import random_kl_bandit
from bandits.preference.iterated_improvement import gap_rewards, improved, iterated_tilts
from theory.divergences import kl
from theory.errors import InputError
from theory.tilts import log_tilt


def test_a_round_is_the_optimum_for_every_reference_response():
    bandit = random_kl_bandit(K=3, beta=0.8, seed=2)
    base = log_softmax(bandit.log_reference + np.eye(3), axis=-1)
    gaps = gap_rewards(bandit.reward)
    found = improved(base, gaps, bandit.beta)
    for y in range(3):

        def loss(logits, y=y):
            policy = log_softmax(logits)
            return bandit.beta * kl(policy, base[y], log=True) - np.exp(policy) @ (bandit.reward - bandit.reward[y])

        best = log_softmax(minimize(loss, np.zeros(3), tol=1e-12).x)
        np.testing.assert_allclose(found[y], best, atol=1e-4)


def test_gaps_are_differences():
    np.testing.assert_array_equal(gap_rewards([1.0, 4.0]), [[0.0, 3.0], [-3.0, 0.0]])


def test_rounds_with_different_rewards_add_up():
    rng = np.random.default_rng(0)
    base, rewards = log_softmax(rng.standard_normal(4)), rng.standard_normal((5, 4))
    policies = iterated_tilts(base, rewards, 0.5)
    for k in range(6):
        np.testing.assert_allclose(policies[k], log_tilt(base, rewards[:k].sum(axis=0), 0.5), atol=1e-12)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: gap_rewards(np.zeros((2, 2))), "finite vector"),
        (lambda: improved(np.zeros(2), np.zeros((2, 3)), 1.0), r"\(K, K\)"),
        (lambda: improved(np.zeros(2), np.zeros((2, 2)), 0.0), "temperature"),
        (lambda: iterated_tilts(np.zeros(2), np.zeros(2), 1.0), "rounds"),
    ],
)
def test_bad_input_is_refused(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()
