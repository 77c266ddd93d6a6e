"""Pairwise and clipped policy gradients: against the surrogate's own derivative, sampled variances, and hand calculations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from bandits.preference.comparisons import independent_pairs
from bandits.preference.pairwise_ppo import (
    clipped_pair_gradients,
    clipped_ppo_gradients,
    moments,
    pair_gradients,
    pairwise_variance,
    policy_gradient_variance,
)
from theory.errors import InputError

seeds = st.integers(0, 10_000)


def _instance(seed, K=4):
    rng = np.random.default_rng(seed)
    old = log_softmax(rng.standard_normal(K))
    return log_softmax(old + 0.4 * rng.standard_normal(K)), old, rng.standard_normal(K)


def test_by_hand():
    """Two responses of probability 1/2 with the rewards 1 and 0: the gradient is (1/4, -1/4)."""
    policy, reward = np.log([0.5, 0.5]), np.array([1.0, 0.0])
    np.testing.assert_array_equal(pair_gradients(reward)[0, 1], [0.5, -0.5])
    np.testing.assert_array_equal(pair_gradients(reward)[0, 0], [0, 0])
    found = moments(pair_gradients(reward), np.full((2, 2), 0.25))
    np.testing.assert_array_equal(found.mean, [0.25, -0.25])
    # |G|^2 is 1/2 for one pair in two, |mean|^2 is 1/8
    assert found.variance == pytest.approx(0.125)
    assert pairwise_variance(policy, reward) == pytest.approx(0.125)
    # (r - 1/2) s is (1/4, -1/4) for both responses: the baseline 1/2 leaves no variance
    assert policy_gradient_variance(policy, reward, 0.5) == pytest.approx(0, abs=1e-16)
    assert policy_gradient_variance(policy, reward) == pytest.approx(0.0625)


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from([0.05, 0.2, np.inf]), st.floats(-2, 2))
def test_clipped_ppo_is_the_derivative_of_its_surrogate(seed, clip, critic):
    policy, old, reward = _instance(seed)

    def surrogate(logits):
        w = np.exp(log_softmax(logits) - old)
        A = reward - critic
        return np.exp(old) @ np.minimum(w * A, np.clip(w, 1 - min(clip, 1), 1 + clip) * A if np.isfinite(clip) else w * A)

    step = 1e-6
    numeric = [(surrogate(policy + step * e) - surrogate(policy - step * e)) / (2 * step) for e in np.eye(4)]
    found = moments(clipped_ppo_gradients(policy, old, reward, clip, critic), np.exp(old)).mean
    np.testing.assert_allclose(found, numeric, atol=1e-8)


@settings(max_examples=25, deadline=None)
@given(seeds, st.floats(0.01, 0.9))
def test_what_is_clipped(seed, clip):
    policy, old, reward = _instance(seed)
    ratio = np.exp(policy - old)
    found = clipped_pair_gradients(policy, old, reward, clip)
    free = clipped_pair_gradients(policy, old, reward, np.inf)
    for i in range(4):
        for j in range(4):
            contrast, pushed = ratio[i] / ratio[j], reward[i] - reward[j]
            dropped = (pushed > 0 and contrast > 1 + clip) or (pushed < 0 and contrast < 1 - clip)
            expected = 0 if dropped else ratio[i] * ratio[j] * pushed / 2 * (np.eye(4)[i] - np.eye(4)[j])
            np.testing.assert_allclose(found[i, j], expected, atol=1e-13)
    np.testing.assert_allclose(free, ratio[:, None, None] * ratio[None, :, None] * pair_gradients(reward), atol=1e-12)
    # nothing is clipped before the policy has moved
    np.testing.assert_array_equal(clipped_pair_gradients(old, old, reward, clip), pair_gradients(reward))


@settings(max_examples=25, deadline=None)
@given(seeds, st.floats(-3, 3))
def test_closed_forms_of_variances(seed, critic):
    policy, _, reward = _instance(seed)
    pair = moments(pair_gradients(reward), independent_pairs(np.exp(policy)))
    single = moments(clipped_ppo_gradients(policy, policy, reward, np.inf, critic), np.exp(policy))
    np.testing.assert_allclose(pair.mean, single.mean, atol=1e-13)
    assert pair.variance == pytest.approx(pairwise_variance(policy, reward), abs=1e-12)
    assert single.variance / 2 == pytest.approx(policy_gradient_variance(policy, reward, critic), abs=1e-12)
    assert policy_gradient_variance(policy, reward + 1, critic + 1) == pytest.approx(single.variance / 2, abs=1e-12)


def test_variances_are_those_of_samples():
    policy, _, reward = _instance(1)
    rng = np.random.default_rng(0)
    y, other = rng.choice(4, size=(2, 200_000), p=np.exp(policy))
    sampled = pair_gradients(reward)[y, other].var(axis=0).sum()
    assert sampled == pytest.approx(pairwise_variance(policy, reward), rel=0.02)
    both = clipped_ppo_gradients(policy, policy, reward, np.inf)
    assert ((both[y] + both[other]) / 2).var(axis=0).sum() == pytest.approx(policy_gradient_variance(policy, reward), rel=0.02)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p, o, r: clipped_pair_gradients(p, o, r, 0.0), "not 0.0"),
        (lambda p, o, r: clipped_ppo_gradients(p, o, r, 1.0), "not 1.0"),
        (lambda p, o, r: clipped_pair_gradients(p, o[:3], r, 0.2), "policy over 4 responses"),
        (lambda p, o, r: clipped_pair_gradients(p + 1, o, r, 0.2), "sum to 1"),
        (lambda p, o, r: pair_gradients([1.0, np.nan]), "finite vector"),
        (lambda p, o, r: pairwise_variance(p, [[1.0]]), "rewards are a finite vector"),
        (lambda p, o, r: moments(np.ones((2, 3)), [0.5, 0.5, 0.0]), "not \\(3,\\) for \\(2, 3\\)"),
        (lambda p, o, r: moments(np.ones((2, 3)), [0.5, 0.4]), "sum to 1, not to 0.9"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call(*_instance(0))
