"""DPO and IPO fits: descent on the policy, least squares, a generic constrained optimiser, differences, and bad input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import log_softmax

from bandits.preference.comparisons import independent_pairs
from bandits.preference.dpo import dpo_gradient, fit_anchored, fit_dpo, fit_ipo
from theory.errors import InputError
from theory.pair_losses import conservative, expected_pair_loss, ipo, logistic, robust, squared
from theory.tilts import implicit_reward

seeds = st.integers(0, 2**32 - 1)


def drawn(seed, K):
    """Counts of which every pair has some either way, and a reference."""
    rng = np.random.default_rng(seed)
    return rng.integers(1, 20, (K, K)).astype(float), log_softmax(rng.standard_normal(K)), rng


def test_two_responses_by_hand():
    """3 wins of 4: the log-ratio is log 3 / beta on top of the reference's."""
    fit = fit_dpo(np.log([0.25, 0.75]), [[0, 3], [1, 0]], 0.5)
    assert abs((fit.log_policy[0] - fit.log_policy[1]) - (np.log(1 / 3) + np.log(3) / 0.5)) <= 1e-14
    assert abs(fit.reward[0] - np.log(3) / 2) <= 1e-14
    assert abs(fit.reward.sum()) <= 1e-14
    assert fit.error <= 1e-13


@settings(max_examples=15, deadline=None)
@given(seeds, st.integers(2, 5), st.sampled_from([0.1, 1.0, 5.0]))
def test_descent_on_the_logits_of_the_policy_ends_there_too(seed, K, beta):
    wins, reference, _ = drawn(seed, K)
    fit = fit_dpo(reference, wins, beta)

    def loss(x):
        return float(expected_pair_loss(implicit_reward(log_softmax(x / beta), reference, beta), wins / wins.sum(), logistic()))

    found = minimize(loss, np.zeros(K), method="BFGS", options={"gtol": 1e-9})
    np.testing.assert_allclose(beta * log_softmax(found.x / beta), beta * fit.log_policy, rtol=0, atol=1e-5)
    np.testing.assert_allclose(dpo_gradient(fit.log_policy, reference, wins, beta), 0.0, rtol=0, atol=1e-9 * wins.sum())


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(2, 5))
def test_relabelling_and_scaling(seed, K):
    wins, reference, rng = drawn(seed, K)
    fit, order = fit_dpo(reference, wins, 0.7), rng.permutation(K)
    again = fit_dpo(reference[order], 3 * wins[np.ix_(order, order)], 0.7)
    np.testing.assert_allclose(again.log_policy, fit.log_policy[order], rtol=0, atol=1e-10)
    weights = wins / wins.sum()
    swapped = fit_ipo(reference[order], weights[np.ix_(order, order)], 0.7)
    np.testing.assert_allclose(swapped, fit_ipo(reference, weights, 0.7)[order], rtol=0, atol=1e-10)


@pytest.mark.parametrize("loss", [None, robust(0.2), conservative(0.1), squared(0.5)])
def test_gradients_are_differences(loss):
    wins, reference, rng = drawn(4, 4)
    beta, logits, step = 0.6, rng.standard_normal(4), 1e-6

    def value(x):
        scores = implicit_reward(log_softmax(x), reference, beta)
        return float(expected_pair_loss(scores, wins, logistic() if loss is None else loss))

    differences = [(value(logits + step * e) - value(logits - step * e)) / (2 * step) for e in np.eye(4)]
    found = dpo_gradient(log_softmax(logits), reference, wins, beta, loss)
    np.testing.assert_allclose(found, differences, rtol=0, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(2, 6), st.sampled_from([0.1, 2.0]))
def test_ipo_is_least_squares(seed, K, tau):
    wins, reference, _ = drawn(seed, K)
    first, second = np.nonzero(wins * (1 - np.eye(K)))
    rows = np.sqrt(wins[first, second])[:, None] * (np.eye(K)[first] - np.eye(K)[second])
    target = np.sqrt(wins[first, second]) / (2 * tau)
    ratios = np.linalg.lstsq(rows, target, rcond=None)[0]
    np.testing.assert_allclose(fit_ipo(reference, wins, tau), log_softmax(reference + ratios), rtol=0, atol=1e-9)


def test_ipo_with_independent_pairs_tilts_by_the_win_rate():
    """Azar et al.: mu exp(p / tau) with p(y) the chance of beating a response of the pairs' law."""
    rng = np.random.default_rng(2)
    law, tau = rng.dirichlet(np.ones(4)), 0.3
    P = rng.random((4, 4))
    P = np.triu(P, 1) + np.tril(1 - P.T, -1) + 0.5 * np.eye(4)
    weights = 2 * independent_pairs(law) * P
    expected = log_softmax(np.log([0.1, 0.2, 0.3, 0.4]) + P @ law / tau)
    np.testing.assert_allclose(fit_ipo(np.log([0.1, 0.2, 0.3, 0.4]), weights, tau), expected, rtol=0, atol=1e-12)


@settings(max_examples=15, deadline=None)
@given(seeds, st.integers(2, 5), st.sampled_from([0.1, 1.0, 10.0]), st.sampled_from(["logistic", "squared", "robust"]))
def test_fits_in_a_box_against_a_generic_optimiser(seed, K, bound, name):
    wins, _, rng = drawn(seed, K)
    weights = wins / wins.sum()
    loss = {"logistic": logistic(), "squared": squared(2.0), "robust": robust(0.1)}[name]
    anchor = int(rng.integers(K))
    fit = fit_anchored(weights, loss, bound, anchor=anchor)
    assert fit.residual <= 1e-9
    assert fit.scores[anchor] == 0
    assert np.abs(fit.scores).max() <= bound
    free = np.arange(K) != anchor

    def value(x):
        scores = np.zeros(K)
        scores[free] = x
        return float(expected_pair_loss(scores, weights, loss))

    other = minimize(value, np.zeros(K - 1), method="L-BFGS-B", bounds=[(-bound, bound)] * (K - 1))
    assert value(fit.scores[free]) <= other.fun + 1e-12


def test_a_wide_box_changes_nothing():
    wins, reference, _ = drawn(7, 4)
    fit = fit_anchored(wins, logistic(), 50.0, anchor=2)
    reward = fit_dpo(reference, wins, 1.0).reward
    np.testing.assert_allclose(fit.scores, reward - reward[2], rtol=0, atol=1e-10)
    ratios = fit_ipo(np.full(4, -np.log(4)), wins, 0.5)
    np.testing.assert_allclose(fit_anchored(wins, ipo(0.5), 50.0).scores, ratios - ratios[0], rtol=0, atol=1e-10)


def test_scores_run_to_the_end_of_the_box_where_nothing_holds_them():
    wins = np.array([[0.0, 1.0], [0.0, 0.0]])
    for bound in (0.5, 20.0, 150.0):
        assert fit_anchored(wins, logistic(), bound).scores[1] == -bound
        assert fit_anchored(wins, squared(1.0), bound).scores[1] == -min(bound, 1.0)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: fit_dpo([0.0, -np.inf], [[0, 1], [1, 0]], 1.0), "every response a probability"),
        (lambda: fit_dpo(np.log([0.5, 0.5]), [[0, 1], [0, 0]], 1.0), "no chain of wins"),
        (lambda: fit_dpo(np.log([0.5, 0.5]), [[0, 1, 1], [1, 0, 1], [1, 1, 0]], 1.0), "between 3 responses"),
        (lambda: fit_dpo(np.log([0.5, 0.5]), [[0, 1], [1, 0]], 0.0), "temperature"),
        (lambda: fit_ipo(np.log([0.5, 0.5]), [[0, 1], [1, 0]], -1.0), "temperature"),
        (lambda: fit_ipo(np.log([0.5, 0.5]), [[0, -1], [1, 0]], 1.0), "at least 0"),
        (lambda: fit_ipo(np.log([0.5, 0.5]), np.zeros((2, 2)), 1.0), "no chain of comparisons .* response 1"),
        (lambda: fit_anchored([[0, 1], [1, 0]], logistic(), 0.0), "not 0.0"),
        (lambda: fit_anchored([[0, 1], [1, 0]], logistic(), 1.0, anchor=2), "not 2"),
        (lambda: fit_anchored([[0, -1], [1, 0]], logistic(), 1.0), r"entry \(0, 1\)"),
        (lambda: fit_anchored(np.zeros((2, 2)), logistic(), 1.0), "no chain of comparisons"),
    ],
)
def test_bad_input_is_refused_with_one_sentence(call, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        call()
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)
