"""Two stages: closed forms in one state, soft policy iteration in disguise, samples against their limit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdplab.learning.two_stage_actor_critic import (
    AuxiliaryRewards,
    auxiliary_policies,
    blend,
    closing_gap,
    divergences,
    main_critic,
    multiplier_actor,
    priced_critic,
    random_auxiliary,
    sampled_critic,
    stage_two,
)
from mdplab.models import ModelError, TabularMDP
from mdplab.solvers import evaluate_policy, soft_policy_iteration
from mdplab.solvers.policy import state_sum
from theory.divergences import kl
from theory.errors import InputError

seeds = st.integers(0, 2**32 - 1)


def test_one_state_by_hand():
    """Two auxiliary policies, one state: pi ~ sqrt(pi_1 pi_2) exp(r / L), with the multipliers 1 and 1."""
    reward = np.array([1.0, 0.0, 0.5])
    mdp = TabularMDP.from_dense(np.ones((1, 3, 1)), reward[None], 0.0)
    auxiliary = np.log([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
    run = stage_two(mdp, multiplier_actor(mdp, auxiliary, (1.0, 1.0)), main_critic(mdp), 2)
    weights = np.sqrt(np.exp(auxiliary).prod(axis=0)) * np.exp(reward / 2)
    np.testing.assert_allclose(np.exp(run.log_policies[1:]), np.tile(weights / weights.sum(), (2, 1)), atol=1e-14)
    np.testing.assert_allclose(run.critics, np.tile(reward, (2, 1)), atol=1e-14)


def test_the_gap_closes_by_hand():
    """L = 1/2: after the first step the good action of state 1 has the odds e^2, and in state 0 action 1 those of e^0.9."""
    problem = closing_gap()
    auxiliary = auxiliary_policies(problem)
    np.testing.assert_allclose(auxiliary, np.log(0.5), atol=1e-14)
    run = stage_two(problem.mdp, multiplier_actor(problem.mdp, auxiliary, (0.5,)), main_critic(problem.mdp), 3)
    good = 1 / (1 + np.exp(-2.0))
    values = [evaluate_policy(problem.mdp, np.exp(p)).value[0] for p in run.log_policies]
    first, second = 1 / (1 + np.exp(-0.9)), 1 / (1 + np.exp(-1.8 * (1 - good)))
    assert values == pytest.approx([0.675, *(0.9 * (p + (1 - p) * good) for p in (first, second, second))])
    assert values[2] < values[1]


@settings(max_examples=15, deadline=None)
@given(seeds, st.sampled_from([0.1, 1.0, 10.0]), st.sampled_from([0.0, 0.5, 0.9]))
def test_one_auxiliary_policy_and_its_price_is_soft_policy_iteration(seed, temperature, gamma):
    problem = random_auxiliary(m=1, gamma=gamma, seed=seed)
    mdp, auxiliary = problem.mdp, auxiliary_policies(problem)
    critic = priced_critic(mdp, auxiliary, (temperature,))
    run = stage_two(mdp, multiplier_actor(mdp, auxiliary, (temperature,)), critic, 15)
    soft = soft_policy_iteration(mdp, temperature, reference=np.exp(auxiliary[0]))
    np.testing.assert_allclose(np.exp(run.log_policies[-1]), soft.policy, atol=1e-7)
    np.testing.assert_allclose(run.critics[-1], soft.q, atol=1e-7 * (1 + np.abs(soft.q).max()))


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_blends_and_divergences(seed):
    problem = random_auxiliary(seed=seed)
    mdp, auxiliary = problem.mdp, auxiliary_policies(problem)
    soup = blend(mdp, auxiliary, (0.3, 0.7))
    np.testing.assert_allclose(state_sum(mdp, np.exp(soup)), 1.0, atol=1e-12)
    np.testing.assert_allclose(blend(mdp, auxiliary, (1.0, 0.0)), auxiliary[0], atol=1e-12)
    far = divergences(mdp, soup, auxiliary)
    shape = (mdp.states, mdp.max_actions)
    for i in range(2):
        np.testing.assert_allclose(far[i], kl(soup.reshape(shape), auxiliary[i].reshape(shape), log=True), atol=1e-12)
    # weights of two equal policies do not matter
    twice = np.stack([auxiliary[0]] * 2)
    q = np.random.default_rng(seed).normal(size=mdp.pairs)
    by_two, by_one = (multiplier_actor(mdp, a, w)(q) for a, w in ((twice, (0.2, 0.8)), (auxiliary[:1], (1.0,))))
    np.testing.assert_allclose(by_two, by_one, atol=1e-12)


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_stage_one_improves_on_the_uniform_policy(seed):
    problem = random_auxiliary(seed=seed)
    for reward, log_policy in zip(problem.rewards, auxiliary_policies(problem)):
        model = problem.mdp.replace(reward=reward)
        before = evaluate_policy(model, np.full(problem.mdp.pairs, 1 / 3)).value
        assert (evaluate_policy(model, np.exp(log_policy)).value >= before - 1e-12).all()


def test_many_samples_are_the_exact_critic():
    problem = random_auxiliary(gamma=0.5, seed=7)
    mdp, auxiliary = problem.mdp, auxiliary_policies(problem)
    policy = blend(mdp, auxiliary, (0.5, 0.5))
    weights = (0.3, 0.2)
    exact = priced_critic(mdp, auxiliary, weights)(policy)
    rng = np.random.default_rng(0)
    learned = sampled_critic(mdp, auxiliary, weights, samples=10**9, sweeps=40, rate=1.0, rng=rng)(policy)
    np.testing.assert_allclose(learned, exact, atol=1e-3)


def test_samples_come_from_the_seed_alone():
    problem = random_auxiliary(seed=7)
    mdp, auxiliary = problem.mdp, auxiliary_policies(problem)

    def run() -> np.ndarray:
        critic = sampled_critic(mdp, auxiliary, (1.0, 1.0), samples=2, sweeps=2, rate=0.3, rng=np.random.default_rng(3))
        return stage_two(mdp, multiplier_actor(mdp, auxiliary, (1.0, 1.0)), critic, 4).log_policies

    np.testing.assert_array_equal(run(), run())


def test_bad_input_is_refused():
    problem = random_auxiliary(seed=1)
    mdp, auxiliary = problem.mdp, auxiliary_policies(problem)
    with pytest.raises(ModelError, match=r"auxiliary rewards of this model are finite, of shape \(m, 12\), not \(12,\)"):
        AuxiliaryRewards(mdp, np.ones(12))
    for weights in ((0.0, 0.0), (-1.0, 2.0), (1.0,)):
        with pytest.raises(InputError, match="2 multipliers are at least 0"):
            multiplier_actor(mdp, auxiliary, weights)
    with pytest.raises(InputError, match="the number of iterations is 0"):
        stage_two(mdp, multiplier_actor(mdp, auxiliary, (1.0, 1.0)), main_critic(mdp), 0)
    with pytest.raises(InputError, match="samples and sweeps are at least 1"):
        sampled_critic(mdp, auxiliary, (1.0, 1.0), samples=0, sweeps=1, rate=0.5, rng=np.random.default_rng(0))
