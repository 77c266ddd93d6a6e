"""Gold and proxy curves: derivatives by finite differences, Descartes' bound by brute force, fits by another optimiser."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from bandits.preference.overoptimisation import (
    ProxyProblem,
    covariance,
    fit_tabular_reward,
    noisy_proxy,
    overoptimisation_curve,
    proxy_problem,
    tilt_path,
    turning_bound,
)
from theory.errors import InputError
from theory.tilts import log_tilt

seeds = st.integers(0, 2**32 - 1)


def test_the_path_is_made_of_tilts_and_starts_at_the_reference():
    problem = noisy_proxy(K=5, seed=1)
    path = tilt_path(problem.log_reference, problem.proxy, [0.0, 0.5, 4.0])
    np.testing.assert_allclose(path[0], problem.log_reference, atol=1e-14)
    np.testing.assert_allclose(path[2], log_tilt(problem.log_reference, problem.proxy, 0.25), atol=1e-13)


@settings(max_examples=30, deadline=None)
@given(seeds, st.floats(-3.0, 3.0))
def test_the_slope_of_an_expectation_is_a_covariance(seed, eta):
    problem = noisy_proxy(K=6, seed=seed)
    around = overoptimisation_curve(problem.log_reference, problem.gold, problem.proxy, [eta - 1e-5, eta, eta + 1e-5])
    policy = tilt_path(problem.log_reference, problem.proxy, [eta])[0]
    assert (around.gold[2] - around.gold[0]) / 2e-5 == pytest.approx(covariance(policy, problem.gold, problem.proxy), abs=1e-6)
    assert (around.kl[2] - around.kl[0]) / 2e-5 == pytest.approx(
        eta * covariance(policy, problem.proxy, problem.proxy), abs=1e-6
    )


def test_covariance_against_numpy():
    rng = np.random.default_rng(0)
    weights = rng.integers(1, 5, 7)
    f, g = rng.standard_normal((2, 7))
    expected = np.cov(np.repeat(f, weights), np.repeat(g, weights), bias=True)[0, 1]
    assert covariance(np.log(weights / weights.sum()), f, g) == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(2, 6))
def test_the_gold_reward_turns_no_more_often_than_the_signs_change(seed, K):
    problem = noisy_proxy(K=K, seed=seed)
    gold = overoptimisation_curve(problem.log_reference, problem.gold, problem.proxy, np.linspace(-6, 6, 400)).gold
    moves = np.sign(np.diff(gold))[np.abs(np.diff(gold)) > 1e-12]
    assert np.count_nonzero(moves[1:] != moves[:-1]) <= turning_bound(problem)


def test_turning_bounds_by_hand():
    assert turning_bound(proxy_problem(logits=(0.0, 0.0), gold=(1.0, 0.0), proxy=(0.0, 1.0))) == 0  # one pair
    assert turning_bound(proxy_problem(gold=(0.0, 1.0, 2.0), proxy=(0.0, 3.0, 7.0))) == 0  # all pairs in order
    assert turning_bound(proxy_problem(gold=(0.0, 2.0, 1.0), proxy=(0.0, 1.0, 2.0))) == 1  # the two best exchanged
    # 0.3 and 0.4 of one proxy against another: the two middle pairs have the same exponent and count as one
    tied = ProxyProblem(np.log(np.full(4, 0.25)), np.array([0.0, 1.0, 1.0, 0.0]), np.array([0.0, 1.0, 2.0, 3.0]))
    assert turning_bound(tied) == 1


def test_the_drop_is_measured_from_the_peak():
    problem = proxy_problem()
    curve = overoptimisation_curve(problem.log_reference, problem.gold, problem.proxy, np.linspace(0, 30, 300))
    assert curve.drop == pytest.approx(curve.gold.max() - 1.0, abs=1e-6)
    assert (np.diff(curve.proxy) >= 0).all()
    several = overoptimisation_curve(
        np.stack([problem.log_reference] * 2), np.stack([problem.gold] * 2), np.stack([problem.proxy] * 2), [0.0, 1.0]
    )
    assert several.gold.shape == several.kl.shape == (2, 2)


def test_the_fit_against_another_optimiser():
    counts = np.random.default_rng(2).poisson(2.0, (3, 4, 4)).astype(float)
    counts[:, range(4), range(4)] = 0.0
    found = fit_tabular_reward(counts, ridge=0.01)
    for c, theta in zip(counts, found.theta):

        def loss(t, c=c):
            return (c * np.logaddexp(0.0, t[None, :] - t[:, None])).sum() / c.sum() + 0.005 * t @ t

        np.testing.assert_allclose(theta, minimize(loss, np.zeros(4), tol=1e-12).x, atol=1e-5)
    assert found.converged.all()
    np.testing.assert_allclose(found.theta.sum(axis=1), 0.0, atol=1e-10)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: ProxyProblem(np.zeros(2), np.zeros(3), np.zeros(3)), "log_reference"),
        (lambda: ProxyProblem(np.zeros(2), np.zeros(2), np.array([0.0, np.nan])), "proxy"),
        (lambda: proxy_problem(gold=(1.0,)), "as many proxies"),
        (lambda: tilt_path(np.zeros(2), np.zeros(2), [np.inf]), "inverse temperatures"),
        (lambda: fit_tabular_reward(np.zeros((2, 2)), 0.1), "some pair was compared"),
        (lambda: fit_tabular_reward(np.zeros((2, 3)), 0.1), "K, K"),
    ],
)
def test_bad_input_is_refused(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()
