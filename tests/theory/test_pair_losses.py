"""Losses of labelled pairs: derivatives by differences, unbiasedness, sums against loops, and limits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from theory.errors import InputError
from theory.pair_losses import (
    conservative,
    expected_pair_gradient,
    expected_pair_loss,
    hinge,
    ipo,
    logistic,
    robust,
    squared,
)
from theory.tilts import implicit_reward

SMOOTH = [logistic(), robust(0.2), robust(0.45), conservative(0.2), conservative(0.5), squared(0.7), ipo(0.3)]
seeds = st.integers(0, 2**32 - 1)
flips = st.floats(0, 0.49)
margins = np.linspace(-30, 30, 121)


@pytest.mark.parametrize("loss", SMOOTH, ids=lambda loss: loss.name)
def test_slopes_and_curvatures_are_differences(loss):
    """Central differences with the step s err by s^2 / 6 of a third derivative of 10 at most, and 1e-16 / s of the values."""
    h, step = np.linspace(-6, 6, 49), 1e-5
    slope = (loss.value(h + step) - loss.value(h - step)) / (2 * step)
    np.testing.assert_allclose(loss.slope(h), slope, rtol=0, atol=2e-8)
    curvature = (loss.slope(h + step) - loss.slope(h - step)) / (2 * step)
    np.testing.assert_allclose(loss.curvature(h), curvature, rtol=0, atol=2e-8)


def test_values_by_hand():
    assert logistic().value(np.array(0.0)) == pytest.approx(np.log(2), rel=1e-15)
    assert ipo(0.25).value(np.array(1.0)) == 1.0  # (1 - 2)^2
    assert squared(3.0).slope(np.array(1.0)) == -4.0
    loss = hinge(2.0)
    np.testing.assert_array_equal(loss.value(np.array([0.0, 2.0, 3.0])), [2.0, 0.0, 0.0])
    np.testing.assert_array_equal(loss.slope(np.array([0.0, 2.0, 3.0])), [-1.0, -1.0, 0.0])
    np.testing.assert_array_equal(loss.curvature(np.array([0.0, 3.0])), [0.0, 0.0])
    assert (logistic().name, robust(0.1).name, conservative(0.1).name) == ("logistic", "robust", "conservative")


@given(flips)
def test_the_robust_loss_is_unbiased_and_the_conservative_one_is_not(flip):
    clean = np.logaddexp(0, -margins)
    size = 1e-13 * 31 / (1 - 2 * flip)
    for loss, bias in ((robust(flip), 0.0), (conservative(flip), 2 * flip * (1 - flip))):
        mean = (1 - flip) * loss.value(margins) + flip * loss.value(-margins)
        np.testing.assert_allclose(mean, clean + bias * margins, rtol=0, atol=size)
        slope = (1 - flip) * loss.slope(margins) - flip * loss.slope(-margins)
        np.testing.assert_allclose(slope, logistic().slope(margins) + bias, rtol=0, atol=size)
    np.testing.assert_allclose(robust(flip).curvature(margins), logistic().curvature(margins), rtol=1e-12)


def test_far_margins_keep_their_digits():
    loss = logistic()
    np.testing.assert_array_equal(loss.value(np.array([-1e4, 1e4])), [1e4, 0.0])
    np.testing.assert_allclose(loss.value(np.array(40.0)), np.exp(-40.0), rtol=1e-15)
    np.testing.assert_allclose(loss.slope(np.array([-700.0, 700.0])), [-1.0, -np.exp(-700.0)], rtol=1e-13)
    falling = robust(0.25)
    np.testing.assert_allclose(falling.value(np.array(1e6)), -0.5e6, rtol=1e-15)


@settings(deadline=None, max_examples=30)
@given(seeds, st.integers(1, 5))
def test_sums_equal_loops(seed, K):
    rng = np.random.default_rng(seed)
    scores, weights = rng.standard_normal((2, K)), rng.integers(0, 4, (K, K)).astype(float)
    for loss in (robust(0.3), squared(1.0), hinge(0.5)):
        total = np.zeros(2)
        gradient = np.zeros((2, K))
        for run in range(2):
            for i in range(K):
                for j in range(K):
                    h = scores[run, i] - scores[run, j]
                    total[run] += weights[i, j] * float(loss.value(np.array(h)))
                    gradient[run, i] += weights[i, j] * float(loss.slope(np.array(h)))
                    gradient[run, j] -= weights[i, j] * float(loss.slope(np.array(h)))
        np.testing.assert_allclose(expected_pair_loss(scores, weights, loss), total, rtol=1e-12, atol=1e-12)
        found = expected_pair_gradient(scores, weights, loss)
        np.testing.assert_allclose(found, gradient, rtol=0, atol=1e-11)
        np.testing.assert_allclose(found.sum(axis=-1), 0.0, rtol=0, atol=1e-11)
        shifted = expected_pair_loss(scores + 5.0, weights, loss)
        np.testing.assert_allclose(shifted, total, rtol=1e-11, atol=1e-11)


def test_the_gradient_in_logits_is_beta_times_the_one_in_scores():
    rng = np.random.default_rng(3)
    K, beta, step = 4, 0.3, 1e-6
    reference, logits = log_softmax(rng.standard_normal(K)), rng.standard_normal(K)
    weights = rng.random((K, K))

    def loss(x):
        return float(expected_pair_loss(implicit_reward(log_softmax(x), reference, beta), weights, logistic()))

    differences = [(loss(logits + step * e) - loss(logits - step * e)) / (2 * step) for e in np.eye(K)]
    scores = implicit_reward(log_softmax(logits), reference, beta)
    np.testing.assert_allclose(beta * expected_pair_gradient(scores, weights, logistic()), differences, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: robust(0.5), "not 0.5"),
        (lambda: robust(-0.1), "not -0.1"),
        (lambda: robust(np.nan), "not nan"),
        (lambda: conservative(0.6), "not at 0.6"),
        (lambda: squared(np.inf), "not inf"),
        (lambda: ipo(0.0), "not 0.0"),
        (lambda: hinge(0.0), "not 0.0"),
        (lambda: hinge(np.inf), "not inf"),
        (lambda: expected_pair_loss(1.0, [[1.0]], logistic()), "are needed"),
        (lambda: expected_pair_loss([0.0, 1.0], [[1.0]], logistic()), r"not \(2,\) and \(1, 1\)"),
        (lambda: expected_pair_gradient([0.0, 1.0], [[0.0, -1.0], [0.0, 0.0]], logistic()), r"entry \(0, 1\) .* -1.0"),
        (lambda: expected_pair_loss([0.0, 1.0], [[0.0, 0.0], [np.nan, 0.0]], logistic()), r"entry \(1, 0\)"),
    ],
)
def test_bad_input_is_refused_with_one_sentence(call, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        call()
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)
