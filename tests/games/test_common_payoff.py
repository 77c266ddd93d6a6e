"""Common-payoff games: expectations against enumeration, values against finite differences, and the update's closed form."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games.common_payoff import (
    CommonPayoffGame,
    action_values,
    anti_coordination,
    common_payoff,
    expected_payoff,
    payoff_table,
    simultaneous_best_responses,
    simultaneous_mirror_descent,
    win_or_lose,
)
from games.prox import normalise
from theory.divergences import symmetric_kl
from theory.errors import InputError


def enumerated(game: CommonPayoffGame, policies: list[np.ndarray]) -> float:
    """The expectation as a sum over joint actions, one by one."""
    total = 0.0
    for joint in itertools.product(*(range(k) for k in game.actions)):
        total += game.payoff[joint] * np.prod([np.exp(p[a]) for p, a in zip(policies, joint)])
    return float(total)


def drawn(game: CommonPayoffGame, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [normalise(2 * rng.standard_normal(k)) for k in game.actions]


shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)


@settings(max_examples=60, deadline=None)
@given(shape=shapes, seed=st.integers(0, 10**6), eta=st.floats(0.01, 20))
def test_against_enumeration(shape: tuple[int, ...], seed: int, eta: float) -> None:
    game = common_payoff(actions=shape, seed=seed)
    policies = drawn(game, seed)
    assert expected_payoff(game, policies) == pytest.approx(enumerated(game, policies), abs=1e-14)
    values = action_values(game, policies)
    for player, k in enumerate(shape):
        for action in range(k):  # what the team gets if the player takes this action for sure
            alone = [p.copy() for p in policies]
            alone[player] = np.where(np.arange(k) == action, 0.0, -np.inf)
            assert values[player][action] == pytest.approx(enumerated(game, alone), abs=1e-14)
            assert expected_payoff(game, alone) == pytest.approx(values[player][action], abs=1e-14)
    for before, after, q in zip(policies, simultaneous_mirror_descent(game, policies, eta), values):
        weights = np.exp(before) * np.exp(eta * q)
        assert np.exp(after) == pytest.approx(weights / weights.sum(), rel=1e-11)
        # the first-order improvement is the divergence over the step
        assert (np.exp(after) - np.exp(before)) @ q == pytest.approx(
            float(symmetric_kl(after, before, log=True)) / eta, rel=1e-9, abs=1e-14
        )
    for response, q in zip(simultaneous_best_responses(game, policies), values):
        assert np.exp(response) @ q == q.max()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(2, 4), share=st.floats(0.05, 1.0))
def test_the_payoff_rises_up_to_the_proved_step(seed: int, n: int, share: float) -> None:
    for game in (common_payoff(actions=(2,) * n, seed=seed), win_or_lose(actions=(3,) * n, seed=seed)):
        policies = drawn(game, seed)
        eta = share * 4 / (n - 1)
        after = simultaneous_mirror_descent(game, policies, eta)
        J = sum(float(symmetric_kl(p, q, log=True)) for p, q in zip(after, policies))
        rise = expected_payoff(game, after) - expected_payoff(game, policies)
        assert rise >= (1 / eta - (n - 1) / 4) * J - 1e-13


def test_two_players_who_must_differ() -> None:
    game = anti_coordination(players=2)
    assert np.array_equal(game.payoff, [[0, 1], [1, 0]])
    for e in (0.3, 1.7):
        policies = [normalise([e, 0.0])] * 2
        assert expected_payoff(game, policies) == pytest.approx((1 - np.tanh(e / 2) ** 2) / 2)
        for eta in (0.5, 4.0, 6.0):
            after = simultaneous_mirror_descent(game, policies, eta)
            assert after[0][0] - after[0][1] == pytest.approx(e - eta * np.tanh(e / 2), abs=1e-14)
            rises = expected_payoff(game, after) > expected_payoff(game, policies)
            assert rises == (eta < 2 * e / np.tanh(e / 2))
    three = anti_coordination(players=3)
    assert three.payoff.sum() == 6
    assert three.payoff[1, 1, 1] == three.payoff[0, 0, 0] == 0


def test_families() -> None:
    game = common_payoff(actions=(3, 2, 4), seed=5)
    assert game.actions == (3, 2, 4)
    assert game.players == 3
    assert (game.payoff.min(), game.payoff.max()) == (0, 1)
    assert np.array_equal(game.payoff, common_payoff(actions=(3, 2, 4), seed=5).payoff)
    assert not np.array_equal(game.payoff, common_payoff(actions=(3, 2, 4), seed=6).payoff)
    assert common_payoff(actions=(1, 1)).payoff.tolist() == [[0.0]]
    assert set(np.unique(win_or_lose(actions=(4, 4), seed=1).payoff)) == {0.0, 1.0}
    assert win_or_lose(actions=(4, 4), chance=1.0).payoff.min() == 1
    assert payoff_table(payoff=(1.0, 2.0, 3.0, 4.0), players=2).payoff[1, 0] == 3
    assert game.key == "common_payoff(actions=(3, 2, 4), seed=5)"
    assert not game.payoff.flags.writeable


GAME = anti_coordination(players=2)
HALF = np.log([0.5, 0.5])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CommonPayoffGame(np.zeros(())), r"shape \(\)"),
        (lambda: CommonPayoffGame(np.zeros((2, 0))), r"shape \(2, 0\)"),
        (lambda: CommonPayoffGame(np.array([[0.0, np.nan]])), r"joint action \(0, 1\) is nan"),
        (lambda: expected_payoff(GAME, [HALF]), "2 players needs as many policies, not 1"),
        (lambda: expected_payoff(GAME, [HALF, np.zeros(3)]), r"player 1 has 2 actions; its policy has the shape \(3,\)"),
        (lambda: action_values(GAME, [HALF, np.zeros(2)]), "player 1 sums to 2"),
        (lambda: action_values(GAME, [np.array([np.nan, 0.0]), HALF]), "player 0 sums to nan"),
        (lambda: simultaneous_mirror_descent(GAME, [HALF, HALF], 0.0), "step sizes are positive"),
        (lambda: simultaneous_mirror_descent(GAME, [HALF, HALF], np.inf), "step sizes are positive"),
        (lambda: common_payoff(actions=()), "at least one action"),
        (lambda: common_payoff(actions=(2, 0)), "at least one action"),
        (lambda: win_or_lose(chance=1.2), "chance"),
        (lambda: anti_coordination(players=1), "two players"),
        (lambda: payoff_table(payoff=(1.0, 2.0), players=2), "4 joint actions, not 2"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
