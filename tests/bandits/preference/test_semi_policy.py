"""Semi-policy optimisation: directions against finite differences, accuracies against sampling, rules by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from bandits.preference.semi_policy import (
    RULES,
    WinnersOnly,
    anchor_labels,
    label_accuracy,
    semi_policy_direction,
    semi_policy_optimisation,
    tilted_winners,
    winners,
    worse,
)
from theory.errors import InputError

seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=30, deadline=None)
@given(seeds, st.sampled_from([0.1, 1.0, 2.0]))
def test_the_direction_is_the_negative_gradient(seed, beta):
    rng = np.random.default_rng(seed)
    K = 4
    checkpoint, law, logits = log_softmax(rng.standard_normal(K)), log_softmax(rng.standard_normal(K)), rng.standard_normal(K)
    losers = rng.random((K, K)) < 0.5
    weights = np.exp(law[:, None] + checkpoint)

    def loss(theta):
        u = log_softmax(theta) - checkpoint
        return (weights * np.logaddexp(0.0, -beta * (u[:, None] - np.where(losers, 1, -1) * u))).sum()

    expected = [(loss(logits - s) - loss(logits + s)) / 2e-6 for s in 1e-6 * np.eye(K)]
    found = semi_policy_direction(log_softmax(logits), checkpoint, law, losers, beta)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)


def test_at_the_checkpoint_losers_lead_to_the_winners_law():
    problem = tilted_winners(K=3, seed=0)
    found = semi_policy_direction(problem.log_start, problem.log_start, problem.log_winners, np.ones((3, 3), dtype=bool), 0.8)
    np.testing.assert_allclose(found, 0.4 * (np.exp(problem.log_winners) - np.exp(problem.log_start)), atol=1e-14)


def test_accuracy_is_the_share_of_right_labels():
    problem = tilted_winners(K=5, start=0.7, seed=1)
    losers = np.random.default_rng(0).random((5, 5)) < 0.5
    rng = np.random.default_rng(2)
    w = rng.choice(5, 200_000, p=np.exp(problem.log_winners))
    sample = rng.choice(5, 200_000, p=np.exp(problem.log_start))
    right = losers[w, sample] == (problem.reward[sample] < problem.reward[w])
    assert label_accuracy(problem, problem.log_start, losers) == pytest.approx(right.mean(), abs=0.005)


def test_labels_by_hand():
    np.testing.assert_array_equal(worse([1.0, 0.0, 1.0]), [[0, 1, 0], [0, 0, 0], [0, 1, 0]])
    half = np.log([0.5, 0.5])
    np.testing.assert_array_equal(anchor_labels(np.log([0.6, 0.4]), half), [[1, 1], [0, 0]])
    assert anchor_labels(half, half).all()


def test_a_run():
    problem = tilted_winners(K=4, seed=3)
    run = semi_policy_optimisation(problem, "always", steps=400, every=10)
    assert run.log_policies.shape == (401, 4)
    assert run.accuracy.shape == (400,)
    np.testing.assert_allclose(np.exp(run.log_policies).sum(axis=1), 1.0)
    # losers alone lead to the law of the winners
    np.testing.assert_allclose(run.log_policies[-1], problem.log_winners, atol=1e-3)
    at_rest = WinnersOnly(problem.reward, problem.log_winners, problem.log_winners)
    np.testing.assert_allclose(semi_policy_optimisation(at_rest, "always").log_policies[-1], problem.log_winners, atol=1e-12)
    assert semi_policy_optimisation(problem, "oracle").accuracy == pytest.approx(1.0)
    both = [semi_policy_optimisation(problem, rule, steps=1).accuracy[0] for rule in ("anchor", "reversed")]
    assert sum(both) == pytest.approx(1.0)
    assert set(RULES) == {"always", "anchor", "reversed", "oracle"}


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: WinnersOnly(np.zeros(2), np.zeros(2), np.log([0.5, 0.5])), "log_winners sum to 2"),
        (lambda: WinnersOnly(np.zeros(2), np.log([0.5, 0.5]), np.zeros(3)), "log_start"),
        (lambda: semi_policy_optimisation(winners(), "anchors"), "always, anchor, reversed, oracle"),
        (lambda: semi_policy_optimisation(winners(), "always", steps=-1), "steps >= 0"),
        (lambda: semi_policy_optimisation(winners(), "always", every=0), "every >= 1"),
        (lambda: semi_policy_optimisation(winners(), "always", step=0.0), "step of gradient descent"),
    ],
)
def test_bad_input_is_refused(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()
