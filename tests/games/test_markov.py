"""Markov games: marginal and joint models against sums over joint actions, and what is refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games.markov import (
    MarkovGame,
    as_joint_policy,
    evaluate_joint,
    joint_mdp,
    joint_policy,
    marginal_mdp,
    markov_game,
)
from mdplab.models import ModelError
from mdplab.solvers import evaluate_policy
from theory.errors import InputError

shapes = st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple)
seeds = st.integers(0, 10**6)


def drawn(game: MarkovGame, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.dirichlet(np.ones(k), game.states) for k in game.actions]


@settings(max_examples=40, deadline=None)
@given(shape=shapes, S=st.integers(1, 3), seed=seeds)
def test_models_against_sums_over_joint_actions(shape: tuple[int, ...], S: int, seed: int) -> None:
    game = markov_game(S=S, actions=shape, payoff="own", rewards="normal", seed=seed)
    profile = drawn(game, seed)
    joint = joint_policy(game, profile)
    for player, k in enumerate(shape):
        P, R = marginal_mdp(game, player, profile).dense()
        expected_P, expected_R = np.zeros((S, k, S)), np.zeros((S, k))
        for state in range(S):
            for a in itertools.product(*(range(n) for n in shape)):
                weight = np.prod([profile[j][state, a[j]] for j in range(len(shape)) if j != player])
                expected_P[state, a[player]] += weight * game.transition[(state, *a)]
                expected_R[state, a[player]] += weight * game.reward[(player, state, *a)]
                assert joint[(state, *a)] == pytest.approx(weight * profile[player][state, a[player]], abs=1e-15)
        np.testing.assert_allclose(P, expected_P, atol=1e-14)
        np.testing.assert_allclose(R, expected_R, atol=1e-13)
        # a player's own policy in its marginal model is worth what the joint policy is worth to it
        alone = evaluate_policy(marginal_mdp(game, player, profile), profile[player])
        together = evaluate_joint(game, joint, player)
        np.testing.assert_allclose(alone.value, together.value, atol=1e-12)
        assert together.q.shape == (S, *shape)
        np.testing.assert_allclose((joint * together.advantage).reshape(S, -1).sum(axis=1), 0.0, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_players_in_another_order(seed: int) -> None:
    game = markov_game(S=3, actions=(2, 3), payoff="own", seed=seed)
    swapped = MarkovGame(game.transition.swapaxes(1, 2), game.reward[::-1].swapaxes(2, 3), game.gamma, game.start)
    profile = drawn(game, seed)
    for player in (0, 1):
        here, there = marginal_mdp(game, player, profile), marginal_mdp(swapped, 1 - player, profile[::-1])
        np.testing.assert_allclose(here.reward, there.reward, atol=1e-15)
        np.testing.assert_allclose(here.dense()[0], there.dense()[0], atol=1e-15)


def test_the_own_entry_of_a_profile_is_not_looked_at() -> None:
    game = markov_game(S=2, actions=(2, 3), seed=1)
    _, other = drawn(game, 0)
    nothing = np.full((7, 9), np.nan)
    assert np.array_equal(marginal_mdp(game, 0, (nothing, other)).reward, marginal_mdp(game, 0, (other, other)).reward)


def test_shared_own_and_zero_sum_rewards() -> None:
    shared = markov_game(actions=(2, 2), payoff="shared", seed=3)
    assert shared.is_shared
    assert not shared.is_zero_sum
    assert shared.reward.shape == (2, 4, 2, 2)
    opposed = markov_game(actions=(2, 3), payoff="zero-sum", rewards="normal", seed=3)
    assert opposed.is_zero_sum
    assert not opposed.is_shared
    own = markov_game(actions=(2, 2, 2), payoff="own", seed=3)
    assert not own.is_zero_sum
    assert not own.is_shared
    assert own.players == 3
    assert own.actions == (2, 2, 2)
    assert markov_game(rewards="uniform", scale=2.0, seed=1).reward.max() > 1
    again = markov_game(S=3, actions=(2, 4), seed=8)
    assert np.array_equal(again.transition, markov_game(S=3, actions=(2, 4), seed=8).transition)
    assert again.key is not None
    assert again.key.startswith("markov_game(")
    assert not again.reward.flags.writeable
    assert repr(MarkovGame(np.ones((1, 2, 2, 1)), np.zeros((1, 2, 2)), 0.0)) == "MarkovGame(1 states, 2 by 2 actions)"


def test_joint_actions_are_numbered_as_numpy_does() -> None:
    game = markov_game(S=2, actions=(2, 3), payoff="own", seed=5)
    mdp = joint_mdp(game, 1)
    for k in range(6):
        a = np.unravel_index(k, game.actions)
        assert mdp.reward.reshape(2, 6)[1, k] == game.reward[(1, 1, *a)]
        np.testing.assert_array_equal(mdp.dense()[0][1, k], game.transition[(1, *a)])


P = np.full((2, 2, 2, 2), 0.5)
R = np.zeros((2, 2, 2))


def put(array: np.ndarray, place: tuple[int, ...], value: float) -> np.ndarray:
    changed = array.copy()
    changed[place] = value
    return changed


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MarkovGame(np.ones((2, 2)), R, 0.9), r"shape \(S, K_1, ..., K_n, S\), not \(2, 2\)"),
        (lambda: MarkovGame(np.ones((2, 2, 3)), R, 0.9), r"not \(2, 2, 3\)"),
        (lambda: MarkovGame(P, np.zeros((2, 2)), 0.9), r"the rewards have shape \(2, 2\)"),
        (lambda: MarkovGame(P, put(R, (1, 0, 1), np.nan), 0.9), r"player 0 in state 1 for the joint action \(0, 1\) is nan"),
        (lambda: MarkovGame(put(P, (0, 1, 0, 1), -0.5), R, 0.9), r"joint action \(1, 0\) in state 0 leads to state 1 .* -0.5"),
        (lambda: MarkovGame(put(P, (1, 1, 1, 1), 0.4), R, 0.9), r"joint action \(1, 1\) in state 1 sum to 0.9, not to 1"),
        (lambda: MarkovGame(P, R, 1.0), "below 1, not 1.0"),
        (lambda: MarkovGame(P, R, -0.1), "between 0 and 1"),
        (lambda: MarkovGame(P, R, 0.9, np.array([0.5, 0.6])), "start distribution sums to 1.1"),
        (lambda: markov_game(S=0), "S=0"),
        (lambda: markov_game(actions=()), "with an action each"),
        (lambda: markov_game(actions=(2, 0)), r"actions=\(2, 0\)"),
        (lambda: markov_game(concentration=0.0), "not 0.0"),
        (lambda: markov_game(payoff="mine"), "'mine'"),
        (lambda: markov_game(rewards="cauchy"), "'cauchy'"),
        (lambda: markov_game(actions=(2, 2, 2), payoff="zero-sum"), "between two players, not 3"),
    ],
)
def test_a_game_that_is_none(call, message: str) -> None:
    with pytest.raises(ModelError, match=message) as told:
        call()
    assert str(told.value).count("\n") == 0


GAME = MarkovGame(P, R, 0.9)
EVEN = np.full((2, 2), 0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: joint_policy(GAME, [EVEN]), "2 players needs as many policies, not 1"),
        (lambda: joint_policy(GAME, [EVEN, EVEN[:1]]), r"player 1 has shape \(2, 2\), not \(1, 2\)"),
        (lambda: joint_policy(GAME, [put(EVEN, (1, 0), -0.5), EVEN]), "action 0 in state 1 the probability -0.5"),
        (lambda: joint_policy(GAME, [put(EVEN, (1, 0), np.nan), EVEN]), "the probability nan"),
        (lambda: joint_policy(GAME, [EVEN, put(EVEN, (0, 1), 0.6)]), "policy of player 1 sums to 1.1 in state 0, not to 1"),
        (lambda: as_joint_policy(GAME, EVEN), r"shape \(2, 2, 2\), not \(2, 2\)"),
        (lambda: as_joint_policy(GAME, np.full((2, 2, 2), 0.3)), "the joint policy sums to 1.2 in state 0"),
        (lambda: as_joint_policy(GAME, put(np.full((2, 2, 2), 0.25), (1, 0, 1), -1.0)), r"action \(0, 1\) in state 1"),
        (lambda: marginal_mdp(GAME, 2, [EVEN, EVEN]), "there is no player 2"),
        (lambda: joint_mdp(GAME, -1), "there is no player -1"),
    ],
)
def test_a_policy_that_does_not_fit(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
