"""Noisy maxima, targets and recursions of distributional critics against order statistics, simulation and plain loops."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdplab.learning.distributional_critic import (
    VARIANTS,
    double_estimate,
    error_std,
    noisy_fixed_point,
    noisy_maximum,
    scaled_critics,
    target_moments,
)
from mdplab.models import ModelError, TabularMDP, dirichlet_mdp
from mdplab.solvers import evaluate_policy, return_variance, soft_policy_iteration, solve, uniform_policy
from theory.errors import InputError
from theory.order_statistics import expected_maximum_of_minima, expected_normal_maximum


@pytest.mark.parametrize("members", [1, 2, 5])
@pytest.mark.parametrize("count", [1, 2, 3, 20])
def test_ties_are_order_statistics(count, members):
    found = noisy_maximum(np.full((2, count), 3.0), 0.7, members=members)
    assert np.abs(found - 3 - 0.7 * expected_maximum_of_minima(count, members)).max() <= 1e-12
    averaged = noisy_maximum(np.zeros(count), 0.7, members=members, rule="average")
    assert abs(averaged - 0.7 * expected_normal_maximum(count) / math.sqrt(members)) <= 1e-12


@pytest.mark.parametrize("temperature", [0.0, 0.05, 0.5, 3.0])
@pytest.mark.parametrize(("members", "rule"), [(1, "minimum"), (3, "minimum"), (2, "average")])
def test_against_simulation(temperature, members, rule):
    q, std = np.array([0.0, 0.4, -1.0]), 0.5
    noise = std * np.random.default_rng(0).standard_normal((40_000, 3, members))
    x = q + (noise.min(axis=2) if rule == "minimum" else noise.mean(axis=2))
    top = x.max(axis=1)
    drawn = top if temperature == 0 else top + temperature * np.log(np.exp((x - top[:, None]) / temperature).sum(axis=1))
    exact = noisy_maximum(q, std, members=members, rule=rule, temperature=temperature)
    assert abs(drawn.mean() - exact) <= 5 * drawn.std() / 200


def test_one_action_with_a_temperature_has_no_bonus():
    for std, temperature in ((0.01, 1.0), (1.0, 0.01), (1.0, 1.0)):
        assert abs(noisy_maximum([2.0], std, temperature=temperature) - 2.0) <= 1e-9


@settings(max_examples=8, deadline=None)
@given(
    q=st.lists(st.floats(-5, 5), min_size=2, max_size=4),
    shift=st.floats(-10, 10),
    std=st.floats(0.1, 3),
    temperature=st.sampled_from([0.0, 0.2]),
)
def test_it_commutes_with_constants_and_is_monotone(q, shift, std, temperature):
    values = np.array(q)
    found = noisy_maximum(values, std, members=2, temperature=temperature)
    assert abs(noisy_maximum(values + shift, std, members=2, temperature=temperature) - found - shift) <= 1e-7
    raised = values.copy()
    raised[0] += 0.5
    assert noisy_maximum(raised, std, members=2, temperature=temperature) >= found - 1e-7


def test_small_noise_gives_the_optimum_and_the_soft_optimum():
    mdp = dirichlet_mdp(S=5, A=3, gamma=0.9, concentration=0.3, seed=2)
    hard = mdp.reward + mdp.gamma * mdp.transition_matrix() @ solve(mdp, tol=1e-11).value
    assert np.abs(noisy_fixed_point(mdp, 0.0).ravel() - hard).max() <= 1e-8
    assert np.abs(noisy_fixed_point(mdp, 1e-9).ravel() - hard).max() <= 1e-7
    soft = soft_policy_iteration(mdp, 0.3).q
    assert np.abs(noisy_fixed_point(mdp, 0.0, temperature=0.3).ravel() - soft).max() <= 1e-8
    assert np.abs(noisy_fixed_point(mdp, 1e-3, temperature=0.3).ravel() - soft).max() <= 1e-4


def test_the_fixed_point_is_one():
    mdp = dirichlet_mdp(S=4, A=3, gamma=0.8, seed=0)
    P, r = mdp.dense()
    q = noisy_fixed_point(mdp, 0.4, members=2, temperature=0.1)
    again = r + 0.8 * P @ noisy_maximum(q, 0.4, members=2, temperature=0.1)
    assert np.abs(again - q).max() <= 1e-8


def test_double_estimates():
    """By simulation, and 0 for ties."""
    assert abs(double_estimate([1.0, 1.0, 1.0], 0.3) - 1.0) <= 1e-12
    means = np.array([0.0, 0.3, -0.2])
    noise = np.random.default_rng(1).standard_normal((40_000, 3))
    chosen = means[(means + 0.5 * noise).argmax(axis=1)]
    assert abs(chosen.mean() - double_estimate(means, 0.5)) <= 5 * chosen.std() / 200


@pytest.mark.parametrize("step", [0.01, 0.5, 1.0, 1.7])
def test_errors_step_by_step(step):
    variance = 0.0
    for t in range(60):
        assert abs(error_std(step, 2.0, t) - math.sqrt(variance)) <= 1e-12
        variance = (1 - step) ** 2 * variance + step**2 * 4.0
    assert abs(error_std(step, 2.0) - 2 * math.sqrt(step / (2 - step))) <= 1e-12


def test_target_moments_by_drawing():
    mdp = dirichlet_mdp(S=3, A=2, gamma=0.9, seed=5)
    rng = np.random.default_rng(0)
    mu, sigma, policy = rng.normal(size=6), rng.random(6), uniform_policy(mdp)
    P, r = mdp.dense()
    state = rng.choice(3, size=40_000, p=P[1, 0])
    pair = 2 * state + rng.integers(2, size=state.size)
    reward = r[1, 0] + 0.5 * rng.standard_normal(state.size)
    for target, drawn in (("substituted", mu[pair]), ("sampled", mu[pair] + sigma[pair] * rng.standard_normal(state.size))):
        y = reward + 0.9 * drawn
        found = target_moments(mdp, policy, mu, sigma, 0.25, target)
        assert abs(y.mean() - found.mean[2]) <= 5 * y.std() / 200
        assert abs(y.var() / found.variance[2] - 1) <= 0.05


def test_the_exact_law_has_its_own_variance():
    """Means and variances of the return are a fixed point of the sampled target's moments."""
    mdp = dirichlet_mdp(S=4, A=2, gamma=0.9, concentration=0.3, seed=1)
    policy = uniform_policy(mdp)
    exact = return_variance(mdp, policy, 1.5)
    found = target_moments(mdp, policy, evaluate_policy(mdp, policy).q, np.sqrt(exact.pair), 1.5)
    assert np.abs(found.variance - exact.pair).max() <= 1e-9
    assert np.abs(found.mean - evaluate_policy(mdp, policy).q).max() <= 1e-9


def test_one_step_of_the_recursion_by_hand():
    """One state and one action: mu = 0, sigma = 2, omega = 4, so the step in mu is rate * 4 * y / 4, with y = r."""
    mdp = TabularMDP.from_dense(np.ones((1, 1, 1)), np.array([[3.0]]), 0.5)
    mu, sigma = scaled_critics(mdp, np.array([0]), 1.0, 7, steps=1, rate=0.1, noise=0.0)
    z = 3.0 + 0.5 * 2.0 * _second_normal(7)
    assert np.allclose(mu[0], 0.1 * 3.0)
    assert np.allclose(sigma[0], 2 + 0.1 * 4 * (np.clip(z, -6, 6) ** 2 - 4) / 8)


def _second_normal(seed):
    """The draw of the return in the first of one steps: after the pair, the next pair and the reward."""
    rng = np.random.default_rng(seed)
    rng.integers(1, size=1)
    rng.random((1, 1))
    rng.standard_normal(1)
    return rng.standard_normal(1)[0]


def test_scales():
    """The adjusted steps do not see the scale, the others do."""
    mdp = dirichlet_mdp(S=3, A=2, gamma=0.9, seed=3)
    for variant in VARIANTS:
        one, other = (np.stack(scaled_critics(mdp, uniform_policy(mdp), c, 0, steps=50, variant=variant)) for c in (1.0, 4.0))
        assert (np.abs(one - other).max() <= 1e-13) == (variant == "adjusted")


def test_means_settle_near_the_values():
    mdp = dirichlet_mdp(S=2, A=2, gamma=0.5, seed=3)
    policy = uniform_policy(mdp)
    mu, sigma = scaled_critics(mdp, policy, 5.0, 1, steps=4000, rate=0.02, noise=0.3)
    assert np.abs(mu[-2000:].mean(axis=(0, 1)) - evaluate_policy(mdp, policy).q).max() <= 0.1
    spread = return_variance(mdp, policy, 0.09).pair
    assert np.abs((sigma[-2000:] ** 2).mean(axis=(0, 1)) / spread - 1).max() <= 0.25


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: noisy_maximum([1.0, np.nan], 1.0), "finite numbers"),
        (lambda: noisy_maximum([1.0], -1.0), "at least 0 and finite"),
        (lambda: noisy_maximum([1.0], 1.0, members=0), "at least one critic"),
        (lambda: noisy_maximum([1.0], 1.0, rule="median"), "'median'"),
        (lambda: double_estimate([1.0], 0.0), "positive standard deviation"),
        (lambda: error_std(2.0, 1.0), r"step in \(0, 2\)"),
        (lambda: noisy_fixed_point(dirichlet_mdp(gamma=1.0), 1.0), "discount below 1"),
        (lambda: noisy_fixed_point(dirichlet_mdp(), 1.0, tol=0.0), "positive tolerance"),
        (lambda: target_moments(dirichlet_mdp(), uniform_policy(dirichlet_mdp()), [1.0], [1.0], 0.0), "each of 10 pairs"),
        (
            lambda: target_moments(dirichlet_mdp(), uniform_policy(dirichlet_mdp()), np.ones(10), np.ones(10), -1.0),
            "at least 0",
        ),
        (lambda: scaled_critics(dirichlet_mdp(), uniform_policy(dirichlet_mdp()), 0.0, 0), "a scale > 0"),
        (lambda: scaled_critics(dirichlet_mdp(), uniform_policy(dirichlet_mdp()), 1.0, 0, variant="other"), "'other'"),
    ],
)
def test_bad_input_is_refused(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()


def test_a_policy_of_another_model_is_refused():
    with pytest.raises(ModelError):
        target_moments(dirichlet_mdp(), np.ones(3), np.ones(10), np.ones(10), 0.0)


def test_divergence_is_told():
    mdp = dirichlet_mdp(S=4, A=2, gamma=0.9, concentration=0.3, seed=0)
    with pytest.raises(FloatingPointError, match=r"diverged at the scale 0\.01"):
        scaled_critics(mdp, uniform_policy(mdp), 0.01, 0, rate=0.02, variant="root")
