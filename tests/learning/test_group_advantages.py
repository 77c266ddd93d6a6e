"""Fixed points of group-normalised advantages: against brute force, other starts, closed forms; and what is refused."""

import itertools

import numpy as np
import pytest

from mdplab.learning.group_advantages import (
    collapse_threshold,
    expected_group_advantage,
    pair_fixed_point,
    population_fixed_point,
)
from theory.errors import InputError
from theory.tilts import log_tilt

RNG = np.random.default_rng(0)
MU = np.log(RNG.dirichlet(np.ones(5)))
R = RNG.standard_normal(5)


@pytest.mark.parametrize(("group", "normalised"), [(2, True), (3, True), (3, False), (4, True)])
def test_expected_advantage_is_the_mean_over_all_groups(group, normalised):
    rewards = np.array([1.0, 0.0, 1.0, -2.0])
    logs = MU[:4] - np.logaddexp.reduce(MU[:4])
    expected = np.zeros(4)
    for y in range(4):
        for others in itertools.product(range(4), repeat=group - 1):
            r = rewards[[y, *others]]
            a = r[0] - r.mean()
            if normalised:
                a = a / r.std() if r.std() > 0 else 0.0
            expected[y] += np.exp(logs[list(others)].sum()) * a
    np.testing.assert_allclose(
        expected_group_advantage(rewards, logs, group, normalised=normalised), expected, rtol=0, atol=1e-14
    )


def test_equal_rewards_have_no_advantage_whatever_their_rounding():
    assert not expected_group_advantage(np.full(3, 0.1), np.log(np.full(3, 1 / 3)), 7).any()


@pytest.mark.parametrize("beta", [0.2, 1.0, 5.0])
def test_groups_of_two_do_not_see_the_size_of_rewards(beta):
    first = pair_fixed_point(MU, R, beta)
    second = pair_fixed_point(MU, np.exp(3 * R), beta)
    np.testing.assert_allclose(first.log_policy, second.log_policy, rtol=0, atol=1e-12 / beta)
    assert first.temperature is None
    target = log_tilt(MU, expected_group_advantage(R, first.log_policy, 2), beta)
    np.testing.assert_allclose(target, first.log_policy, rtol=0, atol=2e-12 / beta)


def test_many_responses_reach_the_limit_that_knows_quantiles_alone():
    """dF/du = c e^{2F/beta} in the quantile u under mu: F = -beta/2 ln(1 - (1 - e^{-2/beta}) u)."""
    beta, K = 0.8, 2000
    found = np.exp(pair_fixed_point(np.full(K, -np.log(K)), np.arange(K, dtype=float), beta).log_policy)
    u = (np.arange(K) + 1) / K
    np.testing.assert_allclose(np.cumsum(found), -beta / 2 * np.log1p(-(1 - np.exp(-2 / beta)) * u), rtol=0, atol=1e-3)


def test_large_groups_of_two_equal_responses_by_hand():
    """With x = 1/b the fixed point has beta x = 1/sigma = 2 cosh(x/2); the threshold is one over Laplace's limit."""
    mu, r = np.log([0.5, 0.5]), np.array([0.0, 1.0])
    assert collapse_threshold(mu, r) == pytest.approx(1 / 0.66274341934918158, rel=1e-9)
    found = population_fixed_point(mu, r, 2.0)
    assert found is not None
    x = 1 / found.temperature
    assert 2.0 * x == pytest.approx(2 * np.cosh(x / 2), rel=1e-12)
    assert found.residual < 1e-12
    assert population_fixed_point(mu, r, 1.5) is None


def test_fixed_points_begin_at_the_threshold_and_scale_with_nothing():
    least = collapse_threshold(MU, R)
    assert population_fixed_point(MU, R, 0.99 * least) is None
    assert population_fixed_point(MU, R, 1.01 * least) is not None
    assert collapse_threshold(MU, 7 * R + 3) == pytest.approx(least, rel=1e-9)  # the deviation takes the scale away


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: expected_group_advantage(R, MU, 1), "not 1"),
        (lambda: expected_group_advantage(np.arange(100.0), np.full(100, -np.log(100)), 5), "too many to enumerate"),
        (lambda: expected_group_advantage(R[:4], MU, 2), "as many finite rewards"),
        (lambda: pair_fixed_point(MU, R * np.nan, 1.0), "as many finite rewards"),
        (lambda: pair_fixed_point(MU, R, 0.0), "temperature beta"),
        (lambda: population_fixed_point(MU, np.ones(5), 1.0), "rewards are equal"),
        (lambda: collapse_threshold(MU, np.ones(5)), "rewards are equal"),
    ],
)
def test_bad_input_is_one_sentence(call, message):
    with pytest.raises(InputError, match=message):
        call()
