"""Logit equilibria: fixed points, closed forms, limits of the temperature, agreement with other methods, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from games.logit_equilibrium import logit_equilibrium, soft_response
from games.markov import MarkovGame, joint_policy, marginal_mdp, markov_game
from games.zero_sum import ZeroSumGame, solve_regularised_zero_sum
from mdplab.models import dirichlet_mdp
from mdplab.solvers import soft_policy_iteration
from theory.errors import InputError

seeds = st.integers(0, 10**6)


def one_step(*payoffs: np.ndarray) -> MarkovGame:
    reward = np.array(payoffs, dtype=float)[:, None]
    return MarkovGame(np.ones((*reward.shape[1:], 1)), reward, 0.0)


@settings(max_examples=10, deadline=None)
@given(seed=seeds, rate=st.sampled_from([0.3, 1.0, 3.0]), shape=st.sampled_from([(3, 3), (2, 4), (2, 2, 2), (3,)]))
def test_every_player_answers_the_others(seed: int, rate: float, shape: tuple[int, ...]) -> None:
    game = markov_game(S=3, actions=shape, payoff="own", rewards="normal", scale=0.3, seed=seed)
    found = logit_equilibrium(game, rate)
    assert found.converged
    assert found.residual < 1e-9
    for player, policy in enumerate(found.profile):
        best = soft_policy_iteration(marginal_mdp(game, player, found.profile), 1 / rate)
        np.testing.assert_allclose(best.policy, policy.reshape(-1), atol=1e-9)
        np.testing.assert_allclose(best.value, found.responses[player].value, atol=1e-9)
    # another damping and another start find it too
    rng = np.random.default_rng(seed)
    other = logit_equilibrium(game, rate, damping=0.3, initial=[rng.dirichlet(np.ones(k), 3) for k in shape])
    np.testing.assert_allclose(joint_policy(game, other.profile), joint_policy(game, found.profile), atol=1e-9)


@pytest.mark.parametrize("rate", [0.5, 2.0, 6.0])
def test_one_step_closed_forms(rate: float) -> None:
    # by symmetry matching pennies are played evenly at every temperature
    pennies = np.array([[1, -1], [-1, 1]])
    found = logit_equilibrium(one_step(pennies, -pennies), rate, damping=0.3)
    for policy in found.profile:
        np.testing.assert_allclose(policy, 0.5, atol=1e-11)
    # a symmetric game with payoffs (2, 0; 3, 1): the difference of the two actions is always 1
    dilemma = np.array([[2, 0], [3, 1]])
    found = logit_equilibrium(one_step(dilemma, dilemma.T), rate)
    for policy in found.profile:
        assert policy[0, 1] == pytest.approx(1 / (1 + np.exp(-rate)), abs=1e-10)
    # hawk and dove with a mixed equilibrium: one scalar equation for the symmetric solution
    hawk = np.array([[-1.0, 2.0], [0.0, 1.0]])
    share = brentq(lambda p: p - 1 / (1 + np.exp(-rate * (1 - 2 * p))), 0, 1, xtol=1e-14)
    found = logit_equilibrium(one_step(hawk, hawk.T), rate, damping=0.2)
    for policy in found.profile:
        assert policy[0, 0] == pytest.approx(share, abs=1e-9)


@settings(max_examples=10, deadline=None)
@given(seed=seeds, rate=st.sampled_from([0.5, 2.0]))
def test_one_step_zero_sum_games_against_their_own_solver(seed: int, rate: float) -> None:
    M = np.random.default_rng(seed).uniform(-1, 1, (3, 4))
    found = logit_equilibrium(one_step(M, -M), rate, damping=0.3)
    exact = solve_regularised_zero_sum(ZeroSumGame(M), 1 / rate)
    np.testing.assert_allclose(found.profile[0][0], np.exp(exact.log_row), atol=1e-8)
    np.testing.assert_allclose(found.profile[1][0], np.exp(exact.log_column), atol=1e-8)


def test_one_player_is_the_soft_optimum_and_limits() -> None:
    mdp = dirichlet_mdp(S=4, A=3, gamma=0.8, seed=3)
    P, R = mdp.dense()
    game = MarkovGame(P, R[None], 0.8)
    for rate in (0.2, 5.0):
        found = logit_equilibrium(game, rate, damping=1.0)
        exact = soft_policy_iteration(mdp, 1 / rate)
        np.testing.assert_allclose(found.profile[0].ravel(), exact.policy, atol=1e-9)
        np.testing.assert_allclose(soft_response(game, 0, found.profile, rate).q, exact.q, atol=1e-9)
    many = markov_game(S=2, actions=(2, 3), payoff="own", seed=4)
    for policy in logit_equilibrium(many, 1e-9).profile:
        np.testing.assert_allclose(policy, 1 / policy.shape[1], atol=1e-7)
    # actions that dominate are all that is left at a low temperature
    dominant = one_step([[1, 1], [0, 0]], [[0, 1], [0, 1]])
    found = logit_equilibrium(dominant, 1000.0)
    assert found.profile[0][0, 0] == found.profile[1][0, 1] == pytest.approx(1.0)


def test_what_is_not_reached_is_said() -> None:
    game = markov_game(S=2, actions=(3, 3), payoff="own", rewards="normal", seed=1)
    short = logit_equilibrium(game, 1.0, max_iterations=1)
    assert not short.converged
    assert short.iterations == 1
    assert short.residual > 1e-4
    # without damping sharp matching pennies run in a cycle, and the residual says so
    pennies = np.array([[1, -1], [-1, 1]])
    start = ([[0.9, 0.1]], [[0.5, 0.5]])
    cycle = logit_equilibrium(one_step(pennies, -pennies), 20.0, damping=1.0, initial=start, max_iterations=200)
    assert not cycle.converged
    assert cycle.residual > 0.5


GAME = markov_game(S=2, actions=(2, 2), payoff="own", seed=0)
EVEN = np.full((2, 2), 0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: logit_equilibrium(GAME, 0.0), "positive and finite, not 0.0"),
        (lambda: logit_equilibrium(GAME, np.inf), "not inf"),
        (lambda: logit_equilibrium(GAME, 1.0, damping=0.0), r"\(0, 1\], not 0.0"),
        (lambda: logit_equilibrium(GAME, 1.0, damping=1.5), "not 1.5"),
        (lambda: logit_equilibrium(GAME, 1.0, tol=-1.0), "at least 0 and finite, not -1.0"),
        (lambda: logit_equilibrium(GAME, 1.0, initial=[EVEN]), "as many policies, not 1"),
        (lambda: soft_response(GAME, 0, [EVEN, EVEN], -1.0), "not -1.0"),
        (lambda: soft_response(GAME, 3, [EVEN, EVEN], 1.0), "there is no player 3"),
    ],
)
def test_refusals(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
