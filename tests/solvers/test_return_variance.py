"""The variance of the return against closed forms, enumeration of paths, second moments and simulation."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdplab.models import ModelError, TabularMDP, dirichlet_mdp, garnet
from mdplab.solvers import dense_policy, evaluate_policy, return_variance, uniform_policy


def _soft(mdp, seed):
    """A random stochastic policy, (N,)."""
    weights = np.random.default_rng(seed).exponential(size=mdp.pairs)
    return weights / np.repeat(np.add.reduceat(weights, mdp.state_pointer[:-1]), np.diff(mdp.state_pointer))


def test_one_state():
    """With rewards of variance v and mean m_a: Var = (v + Var_pi m) / (1 - gamma^2) from the state."""
    mdp = TabularMDP.from_dense(np.ones((1, 2, 1)), np.array([[1.0, 3.0]]), 0.5)
    found = return_variance(mdp, np.array([0.25, 0.75]), 2.0)
    assert abs(found.state[0] - (2 + 0.75) / 0.75) <= found.error <= 1e-12
    assert np.allclose(found.pair, 2 + 0.25 * found.state[0], atol=1e-12)


def test_a_deterministic_chain_has_none():
    P = np.zeros((3, 1, 3))
    P[[0, 1, 2], 0, [1, 2, 0]] = 1.0
    found = return_variance(TabularMDP.from_dense(P, np.array([[1.0], [-4.0], [2.0]]), 0.99), np.arange(3))
    assert np.abs(found.state).max() <= found.error <= 1e-8


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), gamma=st.floats(0.0, 0.99))
def test_the_second_moments_by_a_solve_over_pairs(seed, gamma):
    """E G^2 = E r^2 + 2 gamma r P_pi q + gamma^2 P_pi E G^2 over pairs: another linear system."""
    mdp = dirichlet_mdp(S=4, A=3, gamma=gamma, concentration=0.3, seed=seed)
    policy, noise = _soft(mdp, seed), np.random.default_rng(seed).random(mdp.pairs)
    chain = np.repeat(mdp.dense()[0].reshape(12, 4), 3, axis=1) * policy  # (s, a) to (s', a')
    q = evaluate_policy(mdp, policy).q
    r = mdp.reward
    second = np.linalg.solve(np.eye(12) - gamma**2 * chain, noise + r**2 + 2 * gamma * r * (chain @ q))
    found = return_variance(mdp, policy, noise)
    size = 1 + np.abs(second).max()
    assert np.abs(found.pair - (second - q**2)).max() <= found.error + 1e-11 * size
    state = (dense_policy(mdp, policy) * second.reshape(4, 3)).sum(axis=1) - evaluate_policy(mdp, policy).value ** 2
    assert np.abs(found.state - state).max() <= found.error + 1e-11 * size
    assert found.error <= 1e-8 * size


def test_all_paths_of_a_short_discounted_tree():
    """With gamma = 0.05 ten steps hold all but 1e-12 of the return: every path is listed."""
    mdp = dirichlet_mdp(S=2, A=1, gamma=0.05, seed=3)
    P, r = mdp.dense()
    mean = square = 0.0
    for path in itertools.product(range(2), repeat=10):
        states = (0, *path)
        p = np.prod([P[i, 0, j] for i, j in itertools.pairwise(states)])
        total = sum(0.05**t * r[s, 0] for t, s in enumerate(states))
        mean += p * total
        square += p * total**2
    assert abs(return_variance(mdp, np.array([0, 1])).state[0] - (square - mean**2)) <= 1e-11


def test_simulation():
    """4000 returns of 60 steps under the uniform policy, with normal rewards."""
    mdp = dirichlet_mdp(S=3, A=2, gamma=0.8, concentration=0.3, seed=1)
    P, r = mdp.dense()
    rng = np.random.default_rng(0)
    state = np.zeros(4000, dtype=int)
    total = np.zeros(4000)
    for t in range(60):
        action = rng.integers(0, 2, size=4000)
        total += 0.8**t * (r[state, action] + 0.5 * rng.standard_normal(4000))
        state = (rng.random(4000)[:, None] > np.cumsum(P[state, action], axis=1)).sum(axis=1)
    found = return_variance(mdp, uniform_policy(mdp), 0.25).state[0]
    assert abs(total.var() / found - 1) <= 5 * np.sqrt(2 / 4000)


def test_scaling_and_shifting_rewards():
    mdp = garnet(S=6, A=3, b=2, gamma=0.9, seed=4)
    P, r = mdp.dense()
    scaled = TabularMDP.from_dense(P, 10 * r - 7, 0.9)
    policy = _soft(mdp, 0)
    assert np.allclose(return_variance(scaled, policy, 200.0).pair, 100 * return_variance(mdp, policy, 2.0).pair, rtol=1e-9)


def test_large_sparse_models_agree_with_dense_ones():
    mdp = garnet(S=1200, A=2, b=3, gamma=0.95, seed=0)
    policy = uniform_policy(mdp)
    found = return_variance(mdp, policy, 1.0)
    q = evaluate_policy(mdp, policy)
    P = mdp.transition_matrix()
    following = found.state
    again = 1 + 0.95**2 * (P @ (following + q.value**2) - (P @ q.value) ** 2)
    assert np.abs(again - found.pair).max() <= 1e-9
    assert found.error <= 1e-8


@pytest.mark.parametrize(
    ("variance", "sentence"), [(-1.0, "pair 0 is -1.0"), (np.nan, "pair 0 is nan"), ([1.0, 2.0], "one for each of 10 pairs")]
)
def test_bad_variances_are_refused(variance, sentence):
    mdp = dirichlet_mdp()
    with pytest.raises(ModelError, match=sentence):
        return_variance(mdp, uniform_policy(mdp), variance)


def test_an_undiscounted_model_is_refused():
    mdp = dirichlet_mdp(gamma=1.0)
    with pytest.raises(ModelError, match="discount below 1"):
        return_variance(mdp, uniform_policy(mdp))
