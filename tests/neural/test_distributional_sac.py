"""Distributional SAC against the exact solvers, and its combinations of critics by hand."""

import pytest

pytest.importorskip("jax", reason="needs the extra neural")

import jax
import jax.numpy as jnp
import numpy as np

from mdplab.models import TabularMDP, dirichlet_mdp
from mdplab.neural.discrete_sac import stack_soft
from mdplab.neural.distributional_sac import centred, combined, laws, soft_return_variance
from mdplab.neural.networks import MLP
from mdplab.neural.problems import soft_policy_value
from mdplab.solvers import evaluate_policy, return_variance, soft_evaluate


def _mdp(seed=0):
    return dirichlet_mdp(S=4, A=3, gamma=0.8, concentration=0.3, seed=seed)


def _one(problem):
    """The problem of the first run of a stack."""
    return jax.tree.map(lambda leaf: leaf[0], problem)


def test_the_soft_return_variance_is_that_of_rewards_with_the_bonus():
    mdp = _mdp()
    logits = np.random.default_rng(0).normal(size=(4, 3))
    log_policy = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    P, r = mdp.dense()
    bonus = TabularMDP.from_dense(P, r - 0.4 * log_policy, 0.8)
    exact = return_variance(bonus, np.exp(log_policy), 2.0)
    stacked = stack_soft([mdp], [0.4])
    with jax.enable_x64(True):
        problem = _one(stacked).tabular
        logs = jnp.asarray(log_policy)
        value = soft_policy_value(problem, logs, 0.4)
        found = soft_return_variance(problem, logs, 0.4, 2.0, value)
    assert np.abs(np.ravel(found) - exact.pair).max() <= 1e-12 + exact.error
    assert np.abs(value - evaluate_policy(bonus, np.exp(log_policy)).value).max() <= 1e-12


def test_a_policy_that_excludes_actions_has_a_variance():
    mdp = _mdp(1)
    policy = np.tile([1.0, 0.0, 0.0], (4, 1))
    with jax.enable_x64(True):
        problem = _one(stack_soft([mdp], [0.4])).tabular
        logs = jnp.asarray(np.where(policy > 0, 0.0, -np.inf))
        found = soft_return_variance(problem, logs, 0.4, 0.5, soft_policy_value(problem, logs, 0.4))
    assert np.abs(np.ravel(found) - return_variance(mdp, policy, 0.5).pair).max() <= 1e-10


def test_centred_problems_have_the_optimum_0_on_average_and_the_same_policies():
    mdps = [_mdp(0), _mdp(1)]
    problem = stack_soft(mdps, [0.2])
    moved = centred(problem)
    assert np.abs(moved.value.mean(axis=2)).max() <= 1e-12
    assert np.array_equal(moved.log_policy, problem.log_policy)
    for run in range(2):
        again = TabularMDP.from_dense(moved.tabular.transition[run], moved.tabular.reward[run], 0.8)
        assert np.abs(soft_evaluate(again, None, 0.2).value - moved.uniform[run, 0]).max() <= 1e-9
        kept = soft_evaluate(again, np.exp(moved.log_policy[run, 0]), 0.2)
        assert np.abs(kept.q - moved.q[run, 0].ravel()).max() <= 1e-7


def test_critics_are_combined_by_their_minimum_or_their_average():
    mu = np.array([[[3.0, 1.0]], [[2.0, 5.0]], [[0.0, 0.0]]])
    sigma = np.array([[[1.0, 2.0]], [[3.0, 4.0]], [[5.0, 6.0]]])
    for members, average, means, spreads in (
        (1.0, 0.0, [3.0, 1.0], [1.0, 2.0]),
        (2.0, 0.0, [2.0, 1.0], [3.0, 2.0]),
        (3.0, 0.0, [0.0, 0.0], [5.0, 6.0]),
        (2.0, 1.0, [2.5, 3.0], [1.0, 2.0]),
    ):
        with jax.enable_x64(True):
            q, s = combined(jnp.asarray(mu), jnp.asarray(sigma), {"members": jnp.float32(members), "average": average})
        assert np.array_equal(q[0], means)
        assert np.array_equal(s[0], spreads)


def test_laws_are_in_the_units_asked_for():
    weight = np.random.default_rng(0).normal(size=(2, 4, 6)).astype(np.float32)
    critics = MLP((weight,), (np.zeros((2, 6), dtype=np.float32),), "tanh")
    mu, sigma = laws(critics, np.eye(4, dtype=np.float32), {"units": jnp.float32(0), "scale": jnp.float32(8)})
    large = laws(critics, np.eye(4, dtype=np.float32), {"units": jnp.float32(1), "scale": jnp.float32(8)})
    assert mu.shape == sigma.shape == (2, 4, 3)
    assert (sigma > 0).all()
    assert np.array_equal(large[0], 8 * mu)
    assert np.array_equal(large[1], 8 * sigma)
