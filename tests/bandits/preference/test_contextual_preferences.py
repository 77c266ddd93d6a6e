"""Contextual preference problems with holes: what descent and HyPO make of them, against the general solvers."""

from dataclasses import replace

import numpy as np
import pytest

from bandits.preference.comparisons import population_weights
from bandits.preference.contextual import contextual_hole_bandit, descended_policy, descended_scores, hypo_policy
from bandits.preference.gradient_descent import descend
from bandits.preference.hypo import minimise_hypo
from theory.errors import InputError


def test_the_reference_and_the_pairs_have_the_stated_mass_on_the_holes() -> None:
    made = contextual_hole_bandit(X=5, K=6, holes=3, delta=0.1, weight=0.4, seed=1)
    assert made.holes.tolist() == [True] * 3 + [False] * 3
    np.testing.assert_allclose(made.bandit.reference[:, :3].sum(axis=1), 0.1)
    pairs = np.exp(made.bandit.log_pairs)
    np.testing.assert_allclose(pairs[:, :3].sum(axis=1), 0.4)
    np.testing.assert_allclose(pairs[:, 3:] / 0.6, made.bandit.reference[:, 3:] / 0.9)
    assert np.abs(made.bandit.reward).max() <= 2
    assert made.contexts.shape == (5, 6)


def test_settings_change_what_they_say_and_nothing_else() -> None:
    first = contextual_hole_bandit(seed=4, concentration=1.0)
    second = contextual_hole_bandit(seed=4, hole=-2.0, delta=1e-3, beta=0.5, shared=2.0, concentration=1.0)
    np.testing.assert_array_equal(first.contexts, second.contexts)
    np.testing.assert_array_equal(first.bandit.reward[:, 2:], second.bandit.reward[:, 2:])
    np.testing.assert_array_equal(first.bandit.prompts, second.bandit.prompts)
    np.testing.assert_array_equal(first.bandit.log_pairs, second.bandit.log_pairs)
    np.testing.assert_array_equal(first.features, np.eye(8))
    assert (second.bandit.reward[:, :2] == -2).all()
    assert (second.features[:2, 2:] != 0).all()
    assert repr(second).startswith("ContextualBandit(contextual_hole_bandit(")
    assert "seed=4" in repr(second)


@pytest.mark.parametrize("shared", [0.0, 1.5])
def test_descent_tends_to_the_stated_limit(shared: float) -> None:
    made = contextual_hole_bandit(X=2, K=5, holes=1, delta=0.1, beta=1.0, shared=shared, seed=2)
    bandit, W = made.bandit, population_weights(made.bandit)
    limit = descended_policy(made)
    for x in range(2):
        run = descend(
            bandit.log_reference[x], W[x], bandit.beta, step=1.0, steps=60_000, features=made.features, tolerance=1e-12
        )
        np.testing.assert_allclose(run.log_policy, limit[x], atol=1e-7)


def test_the_limit_of_full_support_is_the_optimum() -> None:
    made = contextual_hole_bandit(X=3, weight=0.25, shared=1.0, seed=5)
    np.testing.assert_allclose(descended_policy(made), made.bandit.log_optimum, atol=1e-12)
    assert np.abs(descended_scores(made).sum(axis=1)).max() < 1e-12


def test_hypo_is_that_of_every_context() -> None:
    made = contextual_hole_bandit(X=3, K=4, holes=1, seed=6)
    W = population_weights(made.bandit)
    found = hypo_policy(made, 0.01)
    for x in range(3):
        alone = minimise_hypo(made.bandit.log_reference[x], W[x], made.bandit.beta, 0.01)
        np.testing.assert_allclose(found[x], alone.log_policy, atol=1e-7)


def test_what_is_out_of_range_is_refused() -> None:
    with pytest.raises(InputError, match=r"not at 0 and 0.0"):
        contextual_hole_bandit(delta=0)
    with pytest.raises(InputError, match="responses are holes, not 7"):
        contextual_hole_bandit(holes=7)
    made = contextual_hole_bandit(X=2)
    with pytest.raises(InputError, match="features are unit vectors"):
        descended_scores(replace(made, features=np.ones((8, 8))))
    pairs = np.stack((made.bandit.log_pairs[0], made.bandit.log_reference[1]))
    with pytest.raises(InputError, match="the same responses"):
        descended_scores(replace(made, bandit=replace(made.bandit, log_pairs=pairs)))
