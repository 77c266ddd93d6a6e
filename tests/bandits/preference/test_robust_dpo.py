"""Log-linear fits to flipped labels: closed forms, generic optimisers, enumerated moments, and data without a minimiser."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, logit

from bandits.preference.kl_bandit import expected_reward, kl_gap
from bandits.preference.robust_dpo import (
    LogLinearBandit,
    empirical_second_moment,
    fisher_information,
    fit_labels,
    fit_labels_in_ball,
    label_law,
    random_log_linear,
    recession,
    sample_labels,
    sandwich,
    separate_pairs,
)
from theory.divergences import kl
from theory.errors import InputError
from theory.pair_losses import conservative, logistic, robust

seeds = st.integers(0, 2**32 - 1)
flips = st.sampled_from([0.0, 0.1, 0.4])


def mean_loss(bandit, labels, loss):
    z, w = bandit.beta * bandit.differences, labels / labels.sum()
    return lambda theta: float(w[0] @ loss.value(z @ theta) + w[1] @ loss.value(-(z @ theta)))


@settings(max_examples=20, deadline=None)
@given(seeds, flips)
def test_the_law_of_labels_against_loops(seed, flip):
    bandit = random_log_linear(X=2, K=3, d=2, concentration=1.0, seed=seed)
    law, place = label_law(bandit, flip), 0
    p = np.exp(bandit.log_reference)
    for x in range(2):
        same = (p[x] ** 2).sum()
        for i in range(3):
            for j in range(i + 1, 3):
                z = bandit.features[x, i] - bandit.features[x, j]
                drawn = p[x, i] * p[x, j] / (1 - same)  # as (i, j), and as much again as (j, i)
                first = (1 - 2 * flip) * expit(bandit.beta * z @ bandit.theta) + flip
                np.testing.assert_allclose(bandit.differences[place], z, rtol=1e-14, atol=1e-14)
                np.testing.assert_allclose(law[:, place], drawn * np.array([first, 1 - first]), rtol=1e-9)
                place += 1
    assert abs(law.sum() - 1) <= 1e-12


def test_the_truth_is_the_optimum_of_the_bandit():
    bandit = random_log_linear(X=3, K=4, d=2, concentration=1.0, seed=1)
    np.testing.assert_allclose(bandit.log_policy(bandit.theta), bandit.kl_bandit.log_optimum, rtol=0, atol=1e-13)
    assert bandit.log_policy(np.zeros((5, 2))).shape == (5, 3, 4)


def test_samples_have_their_law():
    bandit = random_log_linear(X=2, K=3, d=2, seed=0)
    labels = sample_labels(bandit, 1000, 0.2, np.random.default_rng(0), 200)
    assert labels.shape == (200, 2, 6)
    assert (labels.sum(axis=(1, 2)) == 1000).all()
    law = label_law(bandit, 0.2)
    error = np.sqrt(law * (1 - law) / 200_000)
    assert (np.abs(labels.mean(axis=0) / 1000 - law) <= 5 * error).all()


def test_separate_pairs_are_fitted_by_log_odds():
    """q = share; DPO: logit q; robust: logit((q - eps)/(1 - 2 eps)); conservative: logit(q + eps - 2 eps q)."""
    bandit = separate_pairs(d=2, beta=0.5)
    counts, share = np.array([[60, 30], [40, 70]]), np.array([0.6, 0.3])
    for loss, odds in (
        (logistic(), logit(share)),
        (robust(0.2), logit((share - 0.2) / 0.6)),
        (conservative(0.2), logit(share + 0.2 - 0.4 * share)),
    ):
        fit = fit_labels(bandit, counts, loss)
        assert fit.converged
        np.testing.assert_allclose(fit.theta, odds / 0.5, rtol=1e-12)


@settings(max_examples=20, deadline=None)
@given(seeds, flips)
def test_the_population_fit_is_the_truth(seed, flip):
    bandit = random_log_linear(X=4, K=3, d=2, seed=seed)
    fit = fit_labels(bandit, label_law(bandit, flip), robust(flip))
    np.testing.assert_allclose(fit.theta, bandit.theta, rtol=0, atol=1e-8)


@settings(max_examples=10, deadline=None)
@given(seeds, flips, st.sampled_from([0.3, 3.0]))
def test_fits_in_a_ball_against_a_generic_optimiser(seed, flip, radius):
    bandit = random_log_linear(X=4, K=3, d=2, seed=seed)
    labels = sample_labels(bandit, 60, flip, np.random.default_rng(seed), 4)
    fit = fit_labels_in_ball(bandit, labels, robust(flip), radius)
    length = np.linalg.norm(fit.theta, axis=1)
    assert (length <= radius * (1 + 1e-6)).all()
    assert (np.abs(length - radius)[fit.multiplier > 0] <= 1e-9 * radius).all()
    assert (fit.residual <= 1e-9).all()
    for counts, theta in zip(labels, fit.theta):
        loss = mean_loss(bandit, counts, robust(flip))
        limit = {"type": "ineq", "fun": lambda x: radius**2 - x @ x}
        other = minimize(loss, np.zeros(2), method="SLSQP", constraints=limit, options={"ftol": 1e-12})
        assert loss(theta) <= other.fun + 1e-8


def test_a_ball_holds_what_has_no_minimiser():
    bandit = separate_pairs(d=1)
    counts = np.array([[[10], [0]], [[5], [5]]])
    fit = fit_labels_in_ball(bandit, counts, robust(0.3), 7.0)
    np.testing.assert_allclose(fit.theta[:, 0], [7.0, 0.0], rtol=1e-10, atol=1e-12)
    # at the boundary the multiplier is minus the slope over the length
    assert abs(fit.multiplier[0] + robust(0.3).slope(np.array(7.0)) / 7.0) <= 1e-10
    assert fit.multiplier[1] == 0


@pytest.mark.parametrize(("wins", "falls"), [(9, True), (8, True), (7, False), (4, False), (2, True)])
def test_recession_of_one_pair_is_the_share_of_the_rarer_label(wins, falls):
    """Ten labels at the flip rate 0.25: below 2.5 labels of a kind the loss falls without end."""
    bandit = separate_pairs(d=1, beta=2.0)
    found = recession(bandit, np.array([[wins], [10 - wins]]), 0.25)
    rarer = min(wins, 10 - wins) / 10
    assert (found.rate < 0) == falls
    assert abs(found.rate - min(0.0, 2.0 * (0.75 * rarer - 0.25 * (1 - rarer)) / 0.5)) <= 1e-9
    assert found.direction[0] == (0.0 if not falls else np.sign(wins - 5))


def test_a_share_that_equals_the_flip_rate_is_a_tie_and_no_fall():
    """Two labels of five at the flip rate 0.4: rounding makes the rate -5.6e-17, which is not told from 0."""
    found = recession(separate_pairs(d=2), np.array([[3, 1], [2, 1]]), 0.4)
    assert found.rate == 0
    np.testing.assert_array_equal(found.direction, 0.0)


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_recession_in_the_plane_against_all_kinks(seed):
    """The rate is linear between the directions orthogonal to some z; in max norm it is least there or at a corner."""
    bandit, flip = random_log_linear(X=3, K=3, d=2, norm=4.0, seed=seed), 0.3
    labels = sample_labels(bandit, 15, flip, np.random.default_rng(seed), 1)[0]
    z, w = np.concatenate((bandit.differences, -bandit.differences)), labels.ravel() / 15
    kinks = np.concatenate((bandit.differences[:, ::-1] * [1, -1], [[1.0, 1.0], [1.0, -1.0]]))
    kinks = np.concatenate((kinks, -kinks))
    along = z @ (kinks / np.abs(kinks).max(axis=1, keepdims=True)).T
    rates = (w @ np.maximum(-along, 0) * (1 - flip) - flip * (w @ np.maximum(along, 0))) / (1 - 2 * flip)
    assert abs(recession(bandit, labels, flip).rate - min(rates.min(), 0.0)) <= 1e-8


@settings(max_examples=15, deadline=None)
@given(seeds, flips)
def test_the_sandwich_is_made_of_enumerated_moments(seed, flip):
    bandit = random_log_linear(X=2, K=3, d=2, beta=1.7, concentration=1.0, seed=seed)
    law, loss = label_law(bandit, flip), robust(flip)
    z = np.concatenate((bandit.differences, -bandit.differences))
    h = bandit.beta * z @ bandit.theta
    gradients = bandit.beta * loss.slope(h)[:, None] * z
    w = law.ravel()
    np.testing.assert_allclose(w @ gradients, 0.0, rtol=0, atol=1e-13)
    found = sandwich(bandit, flip)
    np.testing.assert_allclose(found.score, (w[:, None] * gradients).T @ gradients, rtol=1e-10, atol=1e-13)
    curvature = (w * bandit.beta**2 * loss.curvature(h))[:, None]
    np.testing.assert_allclose(found.hessian, (curvature * z).T @ z, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(found.hessian @ found.covariance @ found.hessian, found.score, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(found.second_moment, empirical_second_moment(bandit, law), rtol=1e-10)


def test_the_sandwich_of_one_pair_is_the_delta_method():
    """theta-hat = logit((share - eps)/(1 - 2 eps)), whose derivative at q is 1/((1 - 2 eps) p (1 - p))."""
    bandit, flip = separate_pairs(d=1, margin=0.8), 0.15
    p = expit(0.8)
    q = flip + (1 - 2 * flip) * p
    expected = q * (1 - q) / ((1 - 2 * flip) * p * (1 - p)) ** 2
    np.testing.assert_allclose(sandwich(bandit, flip).covariance, [[expected]], rtol=1e-12)


def test_fisher_information_is_the_curvature_of_the_divergence():
    bandit = random_log_linear(X=3, K=4, d=2, concentration=1.0, seed=4)
    F, base = fisher_information(bandit), bandit.log_policy(bandit.theta)
    for direction in np.eye(2):
        step = 1e-4
        moved = bandit.log_policy(bandit.theta + step * direction)
        divergence = kl(base, moved, log=True).mean()
        assert abs(2 * divergence / step**2 - direction @ F @ direction) <= 1e-3


def test_too_large_an_estimate_earns_more_and_is_worth_less():
    bandit = separate_pairs(d=1, margin=1.0)
    regular = bandit.kl_bandit
    moved = bandit.log_policy(np.log([[3.0]]))[0]
    raw = expected_reward(regular, regular.log_optimum) - expected_reward(regular, moved)
    assert abs(raw - (expit(1.0) - 0.75)) <= 1e-14
    assert raw < 0 < kl_gap(regular, moved)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: LogLinearBandit(np.zeros((2, 3)), np.zeros(3)), r"not \(2, 3\) and \(3,\)"),
        (lambda: LogLinearBandit(np.zeros((1, 2, 3)), np.zeros(2)), r"not \(1, 2, 3\) and \(2,\)"),
        (lambda: LogLinearBandit(np.full((1, 2, 1), np.nan), np.zeros(1)), "finite"),
        (lambda: LogLinearBandit(np.zeros((1, 2, 1)), np.zeros(1), beta=0.0), "temperature"),
        (lambda: LogLinearBandit(np.zeros((1, 2, 1)), np.zeros(1), 1.0, np.zeros((1, 2))), "sum to 2"),
        (lambda: sample_labels(separate_pairs(), 0, 0.1, np.random.default_rng(0), 1), "not 0 and 1"),
        (lambda: label_law(separate_pairs(), 1.5), "not 1.5"),
        (lambda: fit_labels(separate_pairs(), [[1, 2]], logistic()), r"\(\.\.\., 2, 1\), not \(1, 2\)"),
        (lambda: fit_labels(separate_pairs(), [[1], [-1]], logistic()), "at least 0"),
        (lambda: fit_labels(separate_pairs(), [[0], [0]], logistic()), "some label is there"),
        (lambda: fit_labels_in_ball(separate_pairs(), [[[1], [1]]], logistic(), 0.0), "not 0.0"),
        (lambda: fit_labels_in_ball(separate_pairs(), [[1], [1]], logistic(), 1.0), r"not \(2, 1\)"),
        (lambda: recession(separate_pairs(), [[1], [1]], 0.5), "not 0.5"),
        (lambda: sandwich(separate_pairs(), 0.5), "not 0.5"),
    ],
)
def test_bad_input_is_refused_with_one_sentence(call, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        call()
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)
