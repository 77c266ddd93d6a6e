"""Episodic values against brute force, exact fractions and identities."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import random_episodic, seeds

from mdplab.models import EpisodicMDP
from mdplab.solvers.backward_induction import backward_induction, evaluate_episodic_policy
from mdplab.solvers.occupancy import episodic_occupancy
from mdplab.solvers.rational import exact_backward_induction


def test_a_lock_by_hand():
    """Two states (on, off): the right action keeps `on`, which pays 1 at the last step."""
    horizon, right = 3, [1, 0, 1]
    P = np.zeros((horizon, 2, 2, 2))
    P[:, 1, :, 1] = 1
    R = np.zeros((horizon, 2, 2))
    for h, a in enumerate(right):
        P[h, 0, a, 0] = P[h, 0, 1 - a, 1] = 1
    R[horizon - 1, 0, right[-1]] = 1
    mdp = EpisodicMDP(P=P, R=R, start=np.array([1.0, 0]))
    best = backward_induction(mdp)
    np.testing.assert_array_equal(best.policy[:, 0], right)
    np.testing.assert_array_equal(best.value[:, 0], [1, 1, 1, 0])
    np.testing.assert_array_equal(best.value[:, 1], 0)
    uniform = evaluate_episodic_policy(mdp, np.full((2, 2), 0.5))
    np.testing.assert_array_equal(uniform.value[:, 0], [0.125, 0.25, 0.5, 0])


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_no_policy_beats_the_optimum(seed):
    mdp = random_episodic(seed, horizon=2, states=2, actions=2)
    best = backward_induction(mdp)
    values = [
        evaluate_episodic_policy(mdp, np.array(choice).reshape(2, 2)).value[0]
        for choice in itertools.product(range(2), repeat=4)
    ]
    np.testing.assert_allclose(np.max(values, axis=0), best.value[0], rtol=0, atol=2 * best.error)
    np.testing.assert_allclose(evaluate_episodic_policy(mdp, best.policy).value, best.value, rtol=0, atol=3 * best.error)
    assert best.advantage.max() == 0


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(1, 5))
def test_the_exact_values_lie_within_the_error(seed, horizon):
    mdp = random_episodic(seed, horizon=horizon)
    policy = np.random.default_rng(seed).dirichlet(np.ones(2), size=(horizon, 3))
    for floats, exact in (
        (backward_induction(mdp), exact_backward_induction(mdp)),
        (evaluate_episodic_policy(mdp, policy), exact_backward_induction(mdp, policy)),
    ):
        # the twin's rows and policies are corrected by less than 1e-15, which moves no value by more than H^2 times that
        slack = floats.error + 1e-15 * horizon**2
        assert np.abs(floats.q - exact.q.astype(float)).max() <= slack
        assert np.abs(floats.value - exact.value.astype(float)).max() <= slack
        assert floats.error <= 1e-14 * horizon**2


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_the_performance_difference_identity(seed):
    mdp = random_episodic(seed)
    rng = np.random.default_rng(seed)
    pi, mu = rng.dirichlet(np.ones(2), size=(2, 4, 3))
    of_mu = evaluate_episodic_policy(mdp, mu)
    difference = mdp.start @ (evaluate_episodic_policy(mdp, pi).value[0] - of_mu.value[0])
    assert np.sum(episodic_occupancy(mdp, pi).pair * of_mu.advantage) == pytest.approx(difference, abs=1e-13)


def test_a_stationary_kernel_may_be_a_view():
    P = np.random.default_rng(0).dirichlet(np.ones(3), size=(3, 2))
    R = np.random.default_rng(1).random((5, 3, 2))
    view = EpisodicMDP(P=np.broadcast_to(P, (5, 3, 2, 3)), R=R, start=np.array([1.0, 0, 0]))
    copy = EpisodicMDP(P=np.broadcast_to(P, (5, 3, 2, 3)).copy(), R=R, start=np.array([1.0, 0, 0]))
    np.testing.assert_array_equal(backward_induction(view).value, backward_induction(copy).value)
    assert backward_induction(view).error == backward_induction(copy).error
