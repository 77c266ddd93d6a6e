"""Policy gradients with critics: plain re-implementations, projections by another routine, and the account added up by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import random_mdp, random_policy, seeds

from mdplab.models import ModelError, TabularMDP, dirichlet_mdp
from mdplab.solvers.evaluation import evaluate_policy
from mdplab.solvers.occupancy import discounted_occupancy
from mdplab.solvers.policy import softmax_policy, state_sum
from mdplab.solvers.policy_gradient import policy_mirror_descent
from mdplab.solvers.policy_iteration import policy_iteration
from mdplab.solvers.projected_policy_gradient import (
    critic_policy_gradient,
    gap_account,
    least_squares_critic,
    state_features,
)
from theory.errors import InputError


def test_an_exact_critic_is_mirror_descent():
    mdp = random_mdp(1, ragged=True)
    run = critic_policy_gradient(mdp, lambda t, q: q, 0.4, 15)
    alone = policy_mirror_descent(mdp, 0.4, 15)
    assert np.allclose(run.run.log_policies, alone.log_policies, rtol=0, atol=1e-11)
    assert np.array_equal(run.critics, run.run.q[:-1])


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_policies_are_the_softmax_of_the_sum_of_critics(seed):
    mdp = random_mdp(seed, ragged=True)
    rng = np.random.default_rng(seed)
    said = rng.standard_normal((6, mdp.pairs))
    first = softmax_policy(mdp, rng.standard_normal(mdp.pairs))
    run = critic_policy_gradient(mdp, lambda t, q: said[t], 0.7, 6, start=first)
    assert np.array_equal(run.critics, said)
    for t in range(7):
        assert np.allclose(run.run.policies[t], softmax_policy(mdp, np.log(first) + 0.7 * said[:t].sum(axis=0)), atol=1e-13)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_critic_projects_like_a_least_squares_routine(weighted):
    rng = np.random.default_rng(3)
    features, q = rng.standard_normal((12, 4)), rng.standard_normal(12)
    weight = rng.uniform(0.1, 2.0, 12) if weighted else np.ones(12)
    root = np.sqrt(weight)
    solution = np.linalg.lstsq(root[:, None] * features, root * q, rcond=None)[0]
    critic = least_squares_critic(features, weight if weighted else None)
    assert np.allclose(critic(0, q), features @ solution, atol=1e-13)
    assert np.allclose(critic(1, critic(0, q)), critic(0, q), atol=1e-13)
    assert np.allclose(features.T @ (weight * (q - critic(0, q))), 0.0, atol=1e-13)


def test_features_that_repeat_count_once_and_enough_of_them_leave_no_error():
    rng = np.random.default_rng(4)
    features, q = rng.standard_normal((6, 2)), rng.standard_normal(6)
    twice = np.hstack([features, features, np.zeros((6, 1))])
    assert np.allclose(least_squares_critic(twice)(0, q), least_squares_critic(features)(0, q), atol=1e-13)
    assert np.allclose(least_squares_critic(rng.standard_normal((6, 6)))(0, q), q, atol=1e-11)
    assert np.array_equal(least_squares_critic(np.zeros((6, 2)))(0, q), np.zeros(6))


def test_features_of_states_give_every_action_its_own_function():
    rng = np.random.default_rng(5)
    mdp = dirichlet_mdp(S=4, A=3, seed=5)
    features, weights = rng.standard_normal((4, 2)), rng.standard_normal((2, 3))
    assert np.allclose(state_features(mdp, features) @ weights.ravel(), (features @ weights).ravel())
    ragged = random_mdp(8, ragged=True)
    place = np.concatenate([np.arange(n) for n in np.diff(ragged.state_pointer)])
    table = state_features(ragged, np.arange(1.0, ragged.states + 1)[:, None])
    assert np.array_equal(table.argmax(axis=1), place)
    assert np.array_equal(table.sum(axis=1), ragged.pair_state + 1.0)


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from([0.0, 0.5, 0.95]), st.sampled_from([0.05, 1.0, 5.0]), st.booleans())
def test_the_account_adds_up_and_is_what_a_loop_over_steps_finds(seed, gamma, step, optimal):
    mdp = random_mdp(seed, gamma=gamma, ragged=True)
    rng = np.random.default_rng(seed)
    rho = rng.dirichlet(np.ones(mdp.states))
    run = critic_policy_gradient(mdp, lambda t, q: q + rng.standard_normal(q.size), step, 7)
    target = policy_iteration(mdp).policy if optimal else random_policy(mdp, rng)
    account = gap_account(mdp, run, target, start=rho)
    total = account.travel + account.spread + account.error
    assert abs((1 - gamma) * account.gap - total) <= account.inexact <= 1e-7

    best, visits = evaluate_policy(mdp, target).value, discounted_occupancy(mdp, target, start=rho).state
    full = np.zeros(mdp.pairs)
    if optimal:
        full[target] = 1.0
    else:
        full = target
    gaps, errors, spreads, ranges = [], [], [], []
    for t in range(7):
        policy, f = run.run.policies[t], run.critics[t]
        values = evaluate_policy(mdp, policy)
        gaps.append(rho @ (best - values.value))
        errors.append(visits @ state_sum(mdp, (values.q - f) * (full - policy)))
        by_state = [slice(a, b) for a, b in zip(mdp.state_pointer[:-1], mdp.state_pointer[1:])]
        spreads.append(
            sum(d * (np.log(policy[i] @ np.exp(step * (f[i] - policy[i] @ f[i])))) for d, i in zip(visits, by_state)) / step
        )
        ranges.append([np.ptp(f[i]) for i in by_state])
    assert np.isclose(account.gap, np.mean(gaps), atol=1e-10)
    assert np.isclose(account.error, np.mean(errors), atol=1e-10)
    assert np.isclose(account.spread, np.mean(spreads), atol=1e-9)
    assert np.isclose(account.widest, np.max(ranges), atol=1e-12)
    assert np.isclose(account.mean_square, np.mean(np.square(ranges) @ visits), atol=1e-10)
    assert np.isclose(account.travel * step * 7, account.first - account.last, atol=1e-10)
    assert account.spread <= step * account.mean_square / 8 + account.inexact


def test_a_constant_in_a_state_changes_no_part_but_the_rounding():
    mdp = dirichlet_mdp(S=5, A=3, seed=2)
    rng = np.random.default_rng(0)
    said, shift = rng.standard_normal((5, mdp.pairs)), rng.standard_normal((5, mdp.states))[:, mdp.pair_state]
    best = policy_iteration(mdp).policy
    one, other = (
        gap_account(mdp, critic_policy_gradient(mdp, lambda t, q, f=f: f[t], 0.5, 5), best) for f in (said, said + shift)
    )
    for name in ("gap", "travel", "spread", "error", "widest", "mean_square"):
        assert np.isclose(getattr(one, name), getattr(other, name), atol=1e-12)


def test_bad_input_is_refused():
    mdp = dirichlet_mdp(S=3, A=2, seed=0)
    with pytest.raises(InputError, match=r"a finite matrix \(pairs, k\); got the shape \(6,\)"):
        least_squares_critic(np.ones(6))
    with pytest.raises(InputError, match="a positive weight for each of 6 pairs"):
        least_squares_critic(np.ones((6, 1)), np.zeros(6))
    with pytest.raises(InputError, match=r"the shape \(3, d\), not \(6, 1\)"):
        state_features(mdp, np.ones((6, 1)))
    with pytest.raises(InputError, match=r"says 6 finite numbers; got the shape \(3,\) at iteration 0"):
        critic_policy_gradient(mdp, lambda t, q: q[:3], 0.1, 2)
    with pytest.raises(InputError, match="6 finite numbers"):
        critic_policy_gradient(mdp, lambda t, q: q * np.nan, 0.1, 2)
    with pytest.raises(InputError, match="a step size must be positive and finite, not 0"):
        critic_policy_gradient(mdp, lambda t, q: q, 0.0, 2)
    with pytest.raises(ModelError, match="a discount below 1"):
        critic_policy_gradient(TabularMDP.from_dense(np.ones((1, 1, 1)), np.zeros((1, 1)), 1.0), lambda t, q: q, 0.1, 1)
    with pytest.raises(InputError, match="needs at least one step"):
        gap_account(mdp, critic_policy_gradient(mdp, lambda t, q: q, 0.1, 0), [0, 2, 4])
    with pytest.raises(InputError, match="never takes an action of the comparator"):
        gap_account(mdp, critic_policy_gradient(mdp, lambda t, q: q, 0.1, 1, start=np.array([1, 3, 5])), [0, 2, 4])
