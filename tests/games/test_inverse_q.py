"""Inverse soft Q-learning: inverses of the soft Bellman equation, gradients against differences, optima against SciPy, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from games.inverse_q import (
    demonstrated_values,
    expert_values,
    inverse_q_objective,
    inverse_q_optimum,
    inverse_soft_bellman,
)
from mdplab.models import TabularMDP, dirichlet_mdp, garnet
from mdplab.solvers import discounted_occupancy, soft_policy_iteration, softmax_policy
from mdplab.solvers.policy import log_normalise
from theory.errors import InputError

seeds = st.integers(0, 10**6)
rates = st.sampled_from([0.5, 1.0, 4.0])


@settings(max_examples=30, deadline=None)
@given(seed=seeds, rate=rates, ragged=st.booleans())
def test_inverse_and_forward_undo_each_other(seed: int, rate: float, ragged: bool) -> None:
    mdp = garnet(S=4, A=3, b=2, gamma=0.8, ragged=ragged, seed=seed)
    rng = np.random.default_rng(seed)
    solved = soft_policy_iteration(mdp, 1 / rate)
    np.testing.assert_allclose(inverse_soft_bellman(mdp, solved.q, rate), mdp.reward, atol=1e-9)
    q = 3 * rng.standard_normal(mdp.pairs)
    again = soft_policy_iteration(mdp.replace(reward=inverse_soft_bellman(mdp, q, rate)), 1 / rate)
    np.testing.assert_allclose(again.q, q, atol=1e-8)
    level = rng.standard_normal(mdp.states)
    np.testing.assert_allclose(demonstrated_values(mdp, solved.policy, solved.value, rate), solved.q, atol=1e-8)
    made = demonstrated_values(mdp, solved.policy, level, rate)
    np.testing.assert_allclose(np.exp(log_normalise(mdp, rate * made)), solved.policy, atol=1e-12)


@settings(max_examples=6, deadline=None)
@given(seed=seeds, rate=rates, alpha=st.sampled_from([0.01, 0.3, 3.0]))
def test_optimum_against_scipy(seed: int, rate: float, alpha: float) -> None:
    mdp = dirichlet_mdp(S=3, A=2, gamma=0.8, seed=seed)
    expert = softmax_policy(mdp, np.random.default_rng(seed).standard_normal(mdp.pairs))
    found = inverse_q_optimum(mdp, expert, rate, alpha)
    assert found.gradient < 1e-12
    assert found.curvature < 0
    np.testing.assert_allclose(found.reward, inverse_soft_bellman(mdp, found.q, rate), atol=1e-12)
    np.testing.assert_allclose(found.log_policy, log_normalise(mdp, rate * found.q), atol=1e-12)

    def loss(q: np.ndarray) -> float:
        return -inverse_q_objective(mdp, expert, q, rate, alpha)

    best = -loss(found.q)
    assert -minimize(loss, np.zeros(mdp.pairs), method="BFGS").fun <= best + 1e-9
    # the Hessian's largest eigenvalue and the gradient, by differences of the objective
    rng = np.random.default_rng(seed)
    step = 1e-3 / rate
    for direction in rng.standard_normal((3, mdp.pairs)):
        direction /= np.linalg.norm(direction)
        ahead, behind = loss(found.q + step * direction), loss(found.q - step * direction)
        assert (ahead - behind) / (2 * step) == pytest.approx(0.0, abs=1e-5 * (1 + alpha))
        assert -(ahead + behind + 2 * best) / step**2 <= found.curvature + 1e-4 * (1 + alpha)


def test_expert_values_are_the_limit_and_the_least_squares() -> None:
    mdp = dirichlet_mdp(S=3, A=3, gamma=0.9, seed=7)
    expert = softmax_policy(mdp, np.random.default_rng(1).standard_normal(mdp.pairs))
    own, m = expert_values(mdp, expert, 2.0)
    d = discounted_occupancy(mdp, expert).pair
    assert d @ inverse_soft_bellman(mdp, own, 2.0) ** 2 == pytest.approx(m, rel=1e-12)
    for level in np.random.default_rng(2).standard_normal((50, mdp.states)):
        moved = demonstrated_values(mdp, expert, level, 2.0)
        assert d @ inverse_soft_bellman(mdp, moved, 2.0) ** 2 >= m
    np.testing.assert_allclose(np.exp(log_normalise(mdp, 2 * own)), expert, atol=1e-14)
    zero = inverse_q_optimum(mdp, expert, 2.0, 0.0)
    np.testing.assert_array_equal(zero.q, own)
    assert zero.gradient < 1e-15
    np.testing.assert_allclose(inverse_q_optimum(mdp, expert, 2.0, 1e-8).q, own, atol=1e-6)
    # nothing beats the expert where there is no regulariser, and the objective is the likelihood
    best = inverse_q_objective(mdp, expert, own, 2.0)
    assert best == pytest.approx(float(d @ np.log(expert)) / 2.0, rel=1e-12)
    for q in np.random.default_rng(3).standard_normal((20, mdp.pairs)):
        assert inverse_q_objective(mdp, expert, q, 2.0) <= best


def test_a_uniform_expert_is_recovered_at_every_weight() -> None:
    mdp = dirichlet_mdp(S=3, A=3, gamma=0.9, seed=7)
    expert = np.full(mdp.pairs, 1 / 3)
    own, m = expert_values(mdp, expert, 1.5)
    assert m == pytest.approx(0.0, abs=1e-20)
    np.testing.assert_allclose(own, 0.9 * np.log(3) / 1.5 / 0.1, rtol=1e-10)
    np.testing.assert_allclose(np.exp(inverse_q_optimum(mdp, expert, 1.5, 2.0).log_policy), expert, atol=1e-10)


MDP = dirichlet_mdp(S=2, A=2, gamma=0.5, seed=1)
EVEN = np.full((2, 2), 0.5)
TRAP = TabularMDP.from_dense(np.array([[[1.0, 0.0]] * 2, [[1.0, 0.0]] * 2]), np.zeros((2, 2)), 0.5, start=np.array([1.0, 0.0]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: inverse_soft_bellman(MDP, np.zeros(3), 1.0), r"4 finite numbers; the array given has shape \(3,\)"),
        (lambda: inverse_soft_bellman(MDP, np.full(4, np.nan), 1.0), "finite"),
        (lambda: inverse_soft_bellman(MDP, np.zeros(4), 0.0), "positive and finite, not 0.0"),
        (lambda: demonstrated_values(MDP, EVEN, np.zeros(3), 1.0), r"2 finite numbers; the array given has shape \(3,\)"),
        (
            lambda: demonstrated_values(MDP, np.array([[1.0, 0.0], [0.5, 0.5]]), np.zeros(2), 1.0),
            "never takes pair 1 of state 0",
        ),
        (lambda: inverse_q_objective(MDP, EVEN, np.zeros(4), 1.0, -0.1), "at least 0 and finite, not -0.1"),
        (lambda: inverse_q_optimum(MDP, EVEN, 1.0, np.nan), "not nan"),
        (lambda: expert_values(TRAP, EVEN, 1.0), "never visits pair 2 of state 1"),
    ],
)
def test_refusals(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
