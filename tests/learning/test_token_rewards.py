"""Rewards of tokens: features, the pessimistic policy against a direct maximisation, and searches for a hidden response."""

import itertools

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdplab.learning.token_rewards import additive_features, blocks_of, expected_queries, pessimistic_policy, search_queries
from mdplab.models.token_tree import leaf_rewards, path_sums, random_token_tree, with_rewards
from mdplab.solvers.token_tree import leaf_log_probabilities, soft_backup
from theory.divergences import kl
from theory.errors import InputError
from theory.tilts import log_tilt

seeds = st.integers(0, 2**32 - 1)


def test_additive_features_describe_additive_rewards():
    A, H = 3, 3
    rng = np.random.default_rng(0)
    earned = rng.standard_normal((H, A))
    tree = with_rewards(random_token_tree(A=A, H=H), tuple(np.tile(earned[t], (A**t, 1)) for t in range(H)))
    theta = (earned[:, 1:] - earned[:, :1]).ravel()
    np.testing.assert_allclose(additive_features(A, H) @ theta + earned[:, 0].sum(), leaf_rewards(tree), rtol=0, atol=1e-13)


def problem(seed, width, beta):
    rng = np.random.default_rng(seed)
    tree = random_token_tree(A=2, H=2, seed=seed)
    phi, theta, nu = rng.standard_normal((4, 2)), rng.standard_normal(2), rng.standard_normal(2)
    root = rng.standard_normal((2, 2))
    S = root @ root.T + 0.1 * np.eye(2)
    return tree, phi, theta, (S + S.T) / 2, width, beta, nu


def pessimistic_value(law, log_reference, phi, theta, S, width, beta, nu):
    away = law @ phi - nu
    return (
        law @ phi @ theta - width * np.sqrt(away @ np.linalg.solve(S, away)) - beta * kl(np.log(law), log_reference, log=True)
    )


@settings(max_examples=8, deadline=None)
@given(seeds, st.sampled_from([0.1, 1.0, 10.0]), st.sampled_from([0.1, 1.0]))
def test_the_pessimistic_policy_against_a_conic_solver(seed, width, beta):
    tree, phi, theta, S, width, beta, nu = problem(seed, width, beta)
    found = pessimistic_policy(tree, phi, theta, S, width, beta, nu)
    log_reference = path_sums(tree.log_reference)
    law = np.exp(leaf_log_probabilities(found.log_policy))
    own = pessimistic_value(law, log_reference, phi, theta, S, width, beta, nu)
    assert abs(own - found.value) < 1e-9 * (1 + abs(own))
    assert found.gap < 1e-9 * (1 + abs(own))
    assert np.sqrt(found.shift @ S @ found.shift) <= width * (1 + 1e-9)
    # the dual's point is a lower reward: the policy is soft-optimal for it
    np.testing.assert_allclose(np.log(law), log_tilt(log_reference, phi @ (theta - found.shift), beta), rtol=0, atol=1e-8)
    pi = cp.Variable(4, nonneg=True)
    whitened = np.linalg.solve(np.linalg.cholesky(S), (phi - nu).T)
    objective = pi @ (phi @ theta) - width * cp.norm(whitened @ pi) - beta * cp.sum(cp.kl_div(pi, np.exp(log_reference)))
    best = cp.Problem(cp.Maximize(objective), [cp.sum(pi) == 1]).solve()
    assert abs(best - own) < 1e-5 * (1 + abs(best))


def test_no_width_is_no_pessimism():
    tree, phi, theta, S, _, beta, nu = problem(3, 0.0, 0.4)
    found = pessimistic_policy(tree, phi, theta, S, 0.0, beta, nu)
    optimum = log_tilt(path_sums(tree.log_reference), phi @ theta, beta)
    np.testing.assert_allclose(leaf_log_probabilities(found.log_policy), optimum, rtol=0, atol=1e-12)
    assert (found.shift == 0).all()
    assert found.gap == 0


def test_a_certain_policy_does_not_move():
    """Where one response is better by 2000 temperatures, the dual's gradient is constant, and v ends on the ellipsoid."""
    tree = random_token_tree(A=2, H=1, seed=0)
    found = pessimistic_policy(tree, np.array([[0.0], [1.0]]), np.array([100.0]), np.eye(1), 0.1, 0.05, np.zeros(1))
    np.testing.assert_allclose(found.shift, [0.1], rtol=1e-9)
    assert found.gap < 1e-12
    assert np.exp(leaf_log_probabilities(found.log_policy))[1] == 1.0


def test_a_wide_set_leaves_the_reference_that_the_centre_describes():
    """Where nu = E_mu phi and the set is wide, the policy does not move its features."""
    tree, phi, theta, S, _, beta, _ = problem(4, 0.0, 0.4)
    mu = np.exp(path_sums(tree.log_reference))
    found = pessimistic_policy(tree, phi, theta, S, 1e3, beta, mu @ phi)
    np.testing.assert_allclose(np.exp(leaf_log_probabilities(found.log_policy)), mu, rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.shift, theta, rtol=0, atol=1e-6)


def test_it_is_the_soft_optimum_of_shifted_tokens():
    """With additive features the pessimistic policy solves a token MDP whose tokens earn less."""
    tree = random_token_tree(A=2, H=3, seed=5)
    phi = additive_features(2, 3)
    theta = np.array([1.0, -0.5, 0.3])
    found = pessimistic_policy(tree, phi, theta, np.eye(3), 0.4, 0.5, np.zeros(3))
    left = theta - found.shift
    tokens = tuple(np.tile([0.0, left[t]], (2**t, 1)) for t in range(3))
    best = soft_backup(with_rewards(tree, tokens), 0.5).log_policy
    for a, b in zip(found.log_policy, best):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-10)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(("A", "H", "size"), [(2, 1, 1), (2, 4, 1), (2, 4, 3), (3, 3, 2), (3, 2, 2)])
def test_expected_queries_by_enumeration(A, H, size, whole):
    rng = np.random.default_rng(0)
    guesses = [list(itertools.product(range(A), repeat=b)) for b in blocks_of(H, size)]
    orders = [[g[i] for i in rng.permutation(len(g))] for g in guesses]
    found = [search_queries(hidden, orders, whole=whole) for hidden in itertools.product(*guesses)]
    assert np.mean(found) == pytest.approx(expected_queries(A, H, size, whole=whole), rel=1e-13)


def test_a_search_by_hand():
    orders = [[(0,), (1,)], [(0,), (1,)], [(0,), (1,)]]
    assert search_queries([(0,), (0,), (0,)], orders) == 3
    assert search_queries([(0,), (0,), (0,)], orders, whole=True) == 1
    # 000 (one block right), 010 (all right)
    assert search_queries([(0,), (1,), (0,)], orders, whole=True) == 2
    # 000, 100 (right, wrong), 110, 111
    assert search_queries([(1,), (1,), (1,)], orders, whole=True) == 4
    assert search_queries([(1,), (1,), (1,)], orders) == 6


def test_the_figures_of_eight_binary_tokens():
    assert [expected_queries(2, 8, k) for k in range(1, 9)] == [12, 10, 11.5, 17, 21, 35, 66, 128.5]
    assert [expected_queries(2, 8, k, whole=True) for k in range(1, 9)] == [5, 7, 9.5, 16, 20, 34, 65, 128.5]
    assert blocks_of(8, 3) == (3, 3, 2)


def test_bad_input():
    tree, phi, theta, S, width, beta, nu = problem(0, 1.0, 0.5)
    with pytest.raises(InputError, match="are needed, not"):
        pessimistic_policy(tree, phi[:3], theta, S, width, beta, nu)
    with pytest.raises(InputError, match="are finite"):
        pessimistic_policy(tree, phi, theta * np.nan, S, width, beta, nu)
    with pytest.raises(InputError, match="symmetric and positive definite"):
        pessimistic_policy(tree, phi, theta, -S, width, beta, nu)
    with pytest.raises(InputError, match="symmetric and positive definite"):
        pessimistic_policy(tree, phi, theta, S + np.array([[0, 1], [0, 0]]), width, beta, nu)
    with pytest.raises(InputError, match="width of a confidence set"):
        pessimistic_policy(tree, phi, theta, S, -1.0, beta, nu)
    with pytest.raises(InputError, match="temperature"):
        pessimistic_policy(tree, phi, theta, S, width, 0.0, nu)
    with pytest.raises(InputError, match="at least two tokens"):
        additive_features(1, 3)
    for size in (0, 4):
        with pytest.raises(InputError, match="between 1 and 3 tokens"):
            blocks_of(3, size)
    with pytest.raises(InputError, match="among the guesses"):
        search_queries([(2,)], [[(0,), (1,)]])
    with pytest.raises(InputError, match="among the guesses"):
        search_queries([(0,), (0,)], [[(0,)]])
