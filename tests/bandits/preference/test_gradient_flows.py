"""Flows: against finite differences of the losses, known limits, and each other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import expit, log_softmax

from bandits.preference.comparisons import population_weights
from bandits.preference.families import random_kl_bandit
from bandits.preference.gradient_flows import (
    bad_mode,
    dpo,
    follow,
    forward_kl,
    mode_seeking_threshold,
    on_policy,
    reverse_kl,
    winner_law,
)
from bandits.preference.kl_bandit import kl_objective
from theory.divergences import kl
from theory.errors import InputError

seeds = st.integers(0, 2**32 - 1)


def slope(loss, logits):
    """The negative gradient, by central differences."""
    size = 1e-6
    steps = size * np.eye(logits.size)
    return np.array([loss(log_softmax(logits - s)) - loss(log_softmax(logits + s)) for s in steps]) / (2 * size)


@settings(max_examples=15, deadline=None)
@given(seeds, st.integers(2, 6), st.sampled_from([0.1, 1.0, 3.0]))
def test_every_direction_is_the_negative_gradient_of_its_loss(seed, K, beta):
    bandit = random_kl_bandit(K=K, beta=beta, seed=seed)
    rng = np.random.default_rng(seed)
    logits, target = rng.standard_normal(K), log_softmax(rng.standard_normal(K))
    policy, weights = log_softmax(logits), population_weights(bandit)

    def dpo_loss(p):
        margin = beta * (p - bandit.log_reference)
        return (weights * np.logaddexp(0.0, margin[None, :] - margin[:, None])).sum()

    for direction, loss in (
        (forward_kl(policy, np.exp(target)), lambda p: kl(target, p, log=True)),
        (reverse_kl(policy, target), lambda p: kl(p, target, log=True)),
        (on_policy(policy, bandit.reward), lambda p: -np.exp(p) @ bandit.reward),
        (dpo(policy, bandit.log_reference, weights, beta), dpo_loss),
    ):
        np.testing.assert_allclose(direction, slope(loss, logits), rtol=1e-5, atol=1e-7 * (1 + beta))


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_the_reverse_kl_is_the_regularised_policy_gradient(seed):
    bandit = random_kl_bandit(K=5, beta=0.7, seed=seed)
    policy = log_softmax(np.random.default_rng(seed).standard_normal(5))
    regularised = on_policy(policy, bandit.reward - bandit.beta * (policy - bandit.log_reference))
    np.testing.assert_allclose(bandit.beta * reverse_kl(policy, bandit.log_optimum), regularised, atol=1e-12)


def test_a_detached_loser_leaves_the_winners_gradient():
    """Only the winner's log-probability is differentiated."""
    bandit = random_kl_bandit(K=4, seed=3)
    weights, start = population_weights(bandit), np.array([0.3, -1.0, 0.5, 0.0])
    frozen = log_softmax(start)

    def loss(p):
        return (
            weights * np.logaddexp(0.0, -(p - bandit.log_reference)[:, None] + (frozen - bandit.log_reference)[None, :])
        ).sum()

    found = dpo(frozen, bandit.log_reference, weights, 1.0, negative_gradient=False)
    np.testing.assert_allclose(found, slope(loss, start), rtol=1e-5, atol=1e-8)


def test_flows_reach_their_targets():
    bandit = bad_mode(K=4, best=0.2, beta=0.5)
    weights = population_weights(bandit)
    for direction, end, step in (
        (lambda p: forward_kl(p, winner_law(weights)), np.log(winner_law(weights)), 1.0),
        (lambda p: dpo(p, bandit.log_reference, weights, 0.5), bandit.log_optimum, 10.0),
        (lambda p: reverse_kl(p, bandit.log_optimum), bandit.log_optimum, 1.0),
    ):
        path = follow(direction, bandit.log_reference, step, 1500)
        np.testing.assert_allclose(path[-1], end, atol=1e-5)
        np.testing.assert_allclose(np.exp(path).sum(axis=-1), 1.0, atol=1e-13)
    assert kl_objective(bandit, path[-1]) == pytest.approx(bandit.optimal_value, abs=1e-9)


def test_several_policies_at_once():
    starts = log_softmax(np.random.default_rng(0).standard_normal((3, 4)), axis=-1)
    target = np.full(4, 0.25)
    together = follow(lambda p: forward_kl(p, target), starts, 0.2, 5)
    for k, start in enumerate(starts):
        np.testing.assert_allclose(together[:, k], follow(lambda p: forward_kl(p, target), start, 0.2, 5), atol=1e-15)


@settings(max_examples=60, deadline=None)
@given(st.floats(1e-4, 600.0))
def test_the_threshold_is_where_the_two_flows_are_equal(gap):
    def difference(x):
        return expit(x) * expit(-x) * gap - (expit(x + gap) - expit(x))

    root = brentq(difference, -gap - 40.0, 0.5, xtol=1e-13) if gap > 0.05 else None
    q = mode_seeking_threshold(gap)
    assert 0 < q <= min(0.5, 1 / gap)
    if root is not None:
        assert q == pytest.approx(expit(root), rel=1e-6)
    # the series and the closed form meet
    assert mode_seeking_threshold(0.01 - 1e-12) == pytest.approx(mode_seeking_threshold(0.01 + 1e-12), abs=1e-12)


def test_the_bad_mode_as_described():
    bandit = bad_mode(K=10, best=0.1)
    np.testing.assert_allclose(bandit.reference, [0.5, *([0.05] * 8), 0.1])
    np.testing.assert_array_equal(bandit.reward, [-1, *([0] * 8), 1])


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: bad_mode(K=2), "a bad mode needs 3 responses"),
        (lambda: bad_mode(best=0.5), "sum below 1"),
        (lambda: winner_law(np.zeros((2, 2))), "have no winners"),
        (lambda: winner_law(np.ones((2, 3))), r"\(\.\.\., K, K\)"),
        (lambda: winner_law(-np.ones((2, 2))), "at least 0"),
        (lambda: follow(lambda p: p, np.zeros(2), 0.1, -1), "number of steps"),
        (lambda: follow(lambda p: p, np.zeros(2), 0.0, 1), "step of gradient descent"),
        (lambda: mode_seeking_threshold(0.0), "positive"),
    ],
)
def test_bad_input_is_refused(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()
