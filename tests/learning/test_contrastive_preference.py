"""Contrastive preference learning: segments against brute force, gradients, one-step closed forms, and bad input."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdplab.learning.contrastive_preference import all_segments, contrastive_loss, discounted_counts, fit_contrastive
from mdplab.models import TabularMDP, chain, garnet
from mdplab.solvers import soft_policy_iteration
from mdplab.solvers.policy import log_softmax_policy
from theory.errors import InputError
from theory.links import bradley_terry

seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=15, deadline=None)
@given(seeds, st.integers(1, 3), st.booleans())
def test_segments_are_what_can_happen(seed, length, ragged):
    mdp = garnet(S=4, A=2, b=2, ragged=ragged, seed=seed)
    matrix = mdp.transition_matrix().toarray()
    expected = [
        segment
        for segment in itertools.product(range(mdp.pairs), repeat=length)
        if all(matrix[x, mdp.pair_state[y]] > 0 for x, y in itertools.pairwise(segment))
    ]
    assert all_segments(mdp, length).tolist() == [list(segment) for segment in expected]


def test_all_two_step_segments_of_a_dense_model():
    assert len(all_segments(garnet(S=3, A=2, b=3, seed=0), 2)) == 36


def test_impossible_transitions_are_left_out():
    """A stored probability of 0 is no way to go."""
    mdp = TabularMDP(np.array([0, 1, 2]), np.array([0, 2, 3]), np.array([0, 1, 1]), np.array([1.0, 0.0, 1.0]), np.zeros(2), 0.9)
    assert all_segments(mdp, 2).tolist() == [[0, 0], [1, 1]]


def test_discounted_counts_by_hand():
    mdp = garnet(S=2, A=2, b=2, gamma=0.5, seed=0)
    np.testing.assert_array_equal(discounted_counts(mdp, [[0, 3, 0], [2, 2, 2]]), [[1.25, 0, 0, 0.5], [0, 0, 1.75, 0]])


def test_the_loss_is_its_formula():
    mdp = garnet(S=3, A=2, b=2, seed=1)
    rng = np.random.default_rng(1)
    segments, alpha = all_segments(mdp, 2)[:5], 0.4
    weights = rng.random((5, 5))
    log_policy = log_softmax_policy(mdp, rng.standard_normal(mdp.pairs))
    scores = [alpha * sum(mdp.gamma**t * log_policy[x] for t, x in enumerate(segment)) for segment in segments]
    total = sum(weights[i, j] * np.log1p(np.exp(scores[j] - scores[i])) for i in range(5) for j in range(5))
    assert abs(contrastive_loss(mdp, segments, weights, log_policy, alpha) - total) <= 1e-12


@settings(max_examples=10, deadline=None)
@given(seeds, st.sampled_from([0.3, 2.0]))
def test_regret_preferences_give_the_optimal_policy(seed, alpha):
    mdp = garnet(S=3, A=2, b=2, gamma=0.8, rewards="normal", seed=seed)
    solution = soft_policy_iteration(mdp, alpha)
    segments = all_segments(mdp, 2)
    advantage = solution.q - solution.value[mdp.pair_state]
    weights = bradley_terry(discounted_counts(mdp, segments) @ advantage)
    fit = fit_contrastive(mdp, segments, weights, alpha)
    np.testing.assert_allclose(np.exp(fit.log_policy), solution.policy, rtol=0, atol=1e-6)
    assert fit.residual <= 1e-8
    assert abs(fit.loss - contrastive_loss(mdp, segments, weights, fit.log_policy, alpha)) <= 1e-9 * weights.sum()
    # the stationary point is no worse than policies near it
    rng = np.random.default_rng(seed)
    for size in (1e-3, 0.1):
        other = log_softmax_policy(mdp, fit.log_policy + size * rng.standard_normal(mdp.pairs))
        assert contrastive_loss(mdp, segments, weights, other, alpha) >= fit.loss - 1e-10 * weights.sum()


def test_one_state_is_a_bandit():
    """Segments of one step: pi is the softmax of the scores over alpha."""
    reward = np.array([1.0, 0.0, -0.5])
    mdp = TabularMDP.from_dense(np.ones((1, 3, 1)), reward[None], 0.0)
    fit = fit_contrastive(mdp, all_segments(mdp, 1), bradley_terry(reward), 0.5)
    np.testing.assert_allclose(fit.log_policy, log_softmax_policy(mdp, reward / 0.5), rtol=0, atol=1e-7)


def test_another_start_ends_at_the_same_policy_and_counts_scale():
    mdp = garnet(S=3, A=2, b=3, seed=3)
    rng = np.random.default_rng(3)
    segments = all_segments(mdp, 1)
    weights = bradley_terry(rng.standard_normal(len(segments)) / 5)
    fit = fit_contrastive(mdp, segments, weights, 1.0)
    again = fit_contrastive(mdp, segments, 10 * weights, 1.0, start=rng.standard_normal(mdp.pairs))
    np.testing.assert_allclose(again.log_policy, fit.log_policy, rtol=0, atol=1e-6)
    assert abs(again.loss - 10 * fit.loss) <= 1e-8 * fit.loss


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda mdp: all_segments(mdp, 0), "not 0"),
        (lambda mdp: all_segments(mdp, 40), "more than 100000"),
        (lambda mdp: discounted_counts(mdp, [0, 1]), r"shape \(2,\)"),
        (lambda mdp: discounted_counts(mdp, [[0.5]]), "indices of pairs"),
        (lambda mdp: discounted_counts(mdp, [[0, 99]]), "takes the pair 99"),
        (lambda mdp: contrastive_loss(mdp, [[0], [1]], np.ones((2, 2)), [0.0], 1.0), "finite log-probability"),
        (lambda mdp: contrastive_loss(mdp, [[0], [1]], np.ones((2, 2)), np.zeros(mdp.pairs), 0.0), "temperature"),
        (lambda mdp: fit_contrastive(mdp, [[0], [1]], np.zeros((2, 2)), 1.0), "not 0.0"),
        (lambda mdp: fit_contrastive(mdp, [[0], [1]], [[0, -1], [2, 0]], 1.0), r"entry \(0, 1\)"),
        (lambda mdp: fit_contrastive(mdp, [[0], [1]], np.ones((2, 2)), -1.0), "temperature"),
        (lambda mdp: fit_contrastive(mdp, [[0], [1]], np.ones((2, 2)), 1.0, start=[0.0]), r"not the shape \(1,\)"),
    ],
)
def test_bad_input_is_refused_with_one_sentence(call, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        call(chain(S=3, slip=0.1))
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)
