"""Contrastive policy gradients: against sums over pairs, finite differences, a regression, and their own closed forms."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from bandits.preference.comparisons import independent_pairs
from bandits.preference.contrastive_gradient import (
    baseline_ascent,
    baseline_gradient,
    contrastive_ascent,
    contrastive_gradient,
    contrastive_loss,
    regularised_reward,
)
from bandits.preference.families import random_kl_bandit
from bandits.preference.kl_bandit import KLBandit, kl_gap, kl_objective
from theory.errors import InputError

seeds = st.integers(0, 10_000)


def _instance(seed, K=4):
    rng = np.random.default_rng(seed)
    pairs = rng.random((K, K))
    return random_kl_bandit(K=K, seed=seed), log_softmax(rng.standard_normal(K)), pairs / pairs.sum(), rng


def test_by_hand():
    """Two responses, a uniform reference and policy: R = r, one pair in two is mixed, and its contrast is 1."""
    bandit = KLBandit(np.array([1.0, 0.0]), np.log([0.5, 0.5]), 0.7)
    pairs = independent_pairs([0.5, 0.5])
    assert contrastive_loss(bandit, bandit.log_reference, pairs) == 0.5
    np.testing.assert_array_equal(contrastive_gradient(bandit, bandit.log_reference, pairs), [0.5, -0.5])
    np.testing.assert_array_equal(baseline_gradient(bandit, bandit.log_reference, [0.5, 0.5], "sampler"), [0.25, -0.25])
    np.testing.assert_array_equal(baseline_gradient(bandit, bandit.log_reference, [1.0, 0.0], "none"), [0.5, -0.5])


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_the_gradient_of_any_law_of_pairs(seed):
    bandit, policy, pairs, _ = _instance(seed)
    step = 1e-5
    shifted = log_softmax(np.stack([policy + s * step * e for e in np.eye(4) for s in (1, -1)]), axis=-1)
    up, down = contrastive_loss(bandit, shifted, pairs).reshape(4, 2).T
    found = contrastive_gradient(bandit, policy, pairs)
    np.testing.assert_allclose(found, (up - down) / (2 * step) / (-2 * bandit.beta), atol=1e-7)
    assert abs(found.sum()) < 1e-13
    # rewards that pairs tell of themselves
    told = bandit.reward[:, None] - bandit.reward
    np.testing.assert_allclose(contrastive_gradient(bandit, policy, pairs, told), found, atol=1e-13)
    np.testing.assert_allclose(
        contrastive_loss(bandit, policy, pairs, told), contrastive_loss(bandit, policy, pairs), atol=1e-12
    )


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_baselines_against_sums_over_responses(seed):
    bandit, policy, _, rng = _instance(seed)
    m = rng.dirichlet(np.ones(4))
    R = regularised_reward(bandit, policy)
    p = np.exp(policy)
    for name, b in (("sampler", m @ R), ("policy", p @ R), ("none", 0.0)):
        by_hand = sum(m[y] * (R[y] - b) * (np.eye(4)[y] - p) for y in range(4))
        np.testing.assert_allclose(baseline_gradient(bandit, policy, m, name), by_hand, atol=1e-12)
    assert np.isclose(p @ R, kl_objective(bandit, policy), atol=1e-12)


@settings(max_examples=15, deadline=None)
@given(seeds, st.floats(-5, 5))
def test_a_constant_reward_changes_nothing_but_the_plain_direction(seed, c):
    bandit, policy, pairs, rng = _instance(seed)
    moved = KLBandit(bandit.reward + c, bandit.log_reference, bandit.beta)
    m = rng.dirichlet(np.ones(4))
    np.testing.assert_allclose(
        contrastive_gradient(moved, policy, pairs), contrastive_gradient(bandit, policy, pairs), atol=1e-12
    )
    for name in ("sampler", "policy"):
        np.testing.assert_allclose(
            baseline_gradient(moved, policy, m, name), baseline_gradient(bandit, policy, m, name), atol=1e-12
        )
    change = baseline_gradient(moved, policy, m, "none") - baseline_gradient(bandit, policy, m, "none")
    np.testing.assert_allclose(change, c * (m - np.exp(policy)), atol=1e-12)


def test_responses_may_be_relabelled():
    bandit, policy, pairs, _ = _instance(3)
    order = np.array([2, 0, 3, 1])
    other = KLBandit(bandit.reward[order], bandit.log_reference[order], bandit.beta)
    np.testing.assert_allclose(
        contrastive_gradient(other, policy[order], pairs[np.ix_(order, order)]),
        contrastive_gradient(bandit, policy, pairs)[order],
        atol=1e-14,
    )


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_ascent_takes_the_directions_steps(seed):
    bandit, policy, pairs, rng = _instance(seed)
    m = rng.dirichlet(np.ones(4))
    run = contrastive_ascent(bandit, pairs, 3, 0.2, start=policy)
    np.testing.assert_array_equal(run[0], policy)
    for before, after in itertools.pairwise(run):
        np.testing.assert_allclose(after, log_softmax(before + 0.2 * contrastive_gradient(bandit, before, pairs)), atol=1e-12)
    for name in ("sampler", "policy", "none"):
        run = baseline_ascent(bandit, m, 3, 0.2, baseline=name)
        np.testing.assert_array_equal(run[0], bandit.log_reference)
        for before, after in itertools.pairwise(run):
            np.testing.assert_allclose(
                after, log_softmax(before + 0.2 * baseline_gradient(bandit, before, m, name)), atol=1e-12
            )


def test_the_loss_falls_to_nothing_and_the_policy_is_the_optimum():
    bandit, policy, _, _ = _instance(5)
    pairs = independent_pairs([0.7, 0.1, 0.1, 0.1], [0.1, 0.2, 0.3, 0.4])
    run = contrastive_ascent(bandit, pairs, 400, 0.5 / bandit.beta, start=policy)
    loss = contrastive_loss(bandit, run, pairs)
    assert (np.diff(loss) <= 1e-15).all()
    assert loss[-1] < 1e-25
    assert kl_gap(bandit, run[-1]) < 1e-25


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda b, p: contrastive_gradient(b, p, np.full((4, 4), 0.1)), "law of pairs of 4 responses"),
        (lambda b, p: contrastive_gradient(b, p, np.eye(3) / 3), "law of pairs of 4 responses"),
        (lambda b, p: contrastive_loss(b, p, np.eye(4) / 4, np.ones(4)), "shape \\(4, 4\\), not of shape \\(4,\\)"),
        (lambda b, p: contrastive_loss(b, [0, -np.inf, -np.inf, -np.inf], np.eye(4) / 4), "positive probability"),
        (lambda b, p: baseline_gradient(b, p, [1.0, 0.1, 0.0, 0.0], "none"), "sampler of 4 responses"),
        (lambda b, p: baseline_gradient(b, p, [1.0, 0.0, 0.0, 0.0], "mean"), "not 'mean'"),
        (lambda b, p: baseline_ascent(b, [1.0, 0.0, 0.0, 0.0], 5, 0.1, baseline="mean"), "not 'mean'"),
        (lambda b, p: contrastive_ascent(b, np.eye(4) / 4, 5, 0.0), "positive size, not 5 of 0.0"),
        (lambda b, p: contrastive_ascent(b, np.eye(4) / 4, -1, 0.1), "0 or more steps"),
        (lambda b, p: regularised_reward(random_kl_bandit(K=4, prompts=2), p), "prompt axis"),
    ],
)
def test_bad_input(call, message):
    bandit, policy, _, _ = _instance(0)
    with pytest.raises(InputError, match=message):
        call(bandit, policy)
