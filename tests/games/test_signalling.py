"""Signalling games against brute force: every history, every pair of pure strategies, finite differences, simulated play."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games.prox import normalise
from games.signalling import (
    DecisionTimeSearch,
    Profile,
    SignallingGame,
    expected_payoff,
    learner_update,
    message_law,
    name_the_state,
    posterior,
    random_profile,
    receiver_values,
    sender_values,
    signalling,
    signalling_table,
    sparse_signalling,
    two_action_profile,
)
from theory.divergences import span
from theory.errors import InputError


def histories(game: SignallingGame, sender: np.ndarray, receiver: np.ndarray) -> float:
    """The expected payoff, history by history, of policies given as probabilities (not necessarily normalised)."""
    return sum(
        game.prior[s] * sender[s, m] * receiver[m, a] * game.payoff[s, a]
        for s, m, a in itertools.product(range(game.states), range(game.messages), range(game.actions))
    )


def pure(choices: tuple[int, ...], size: int) -> np.ndarray:
    return np.eye(size)[list(choices)]


sizes = st.integers(1, 3)


@settings(max_examples=30, deadline=None)
@given(S=sizes, M=sizes, A=sizes, seed=st.integers(0, 10**6))
def test_the_payoff_is_the_mean_over_all_pairs_of_pure_strategies(S: int, M: int, A: int, seed: int) -> None:
    """A behaviour policy is the mixed strategy that chooses at every information set independently (Kuhn)."""
    game = signalling(states=S, messages=M, actions=A, seed=seed)
    profile = random_profile(game, 1.5, seed)
    sender, receiver = np.exp(profile.log_sender), np.exp(profile.log_receiver)
    total = 0.0
    for sends in itertools.product(range(M), repeat=S):
        chance = np.prod([sender[s, m] for s, m in enumerate(sends)])
        for acts in itertools.product(range(A), repeat=M):
            likely = chance * np.prod([receiver[m, a] for m, a in enumerate(acts)])
            total += likely * histories(game, pure(sends, M), pure(acts, A))
    assert expected_payoff(game, profile) == pytest.approx(total, abs=1e-13)
    assert expected_payoff(game, profile) == pytest.approx(histories(game, sender, receiver), abs=1e-14)


@settings(max_examples=40, deadline=None)
@given(S=st.integers(1, 4), M=st.integers(1, 4), A=st.integers(1, 4), seed=st.integers(0, 10**6))
def test_values_are_the_gradient_over_the_reach(S: int, M: int, A: int, seed: int) -> None:
    game = signalling(states=S, messages=M, actions=A, seed=seed)
    profile = random_profile(game, 1.5, seed)
    sender, receiver = np.exp(profile.log_sender), np.exp(profile.log_receiver)
    reach = message_law(game, profile)
    assert reach.sum() == pytest.approx(1)
    for (s, m), q in np.ndenumerate(sender_values(game, profile)):
        bumped = sender.copy()
        bumped[s, m] += 0.25  # the payoff is linear in each policy: a difference is a derivative
        slope = (histories(game, bumped, receiver) - histories(game, sender, receiver)) / 0.25
        assert game.prior[s] * q == pytest.approx(slope, abs=1e-13)
    for (m, a), q in np.ndenumerate(receiver_values(game, profile)):
        bumped = receiver.copy()
        bumped[m, a] += 0.25
        slope = (histories(game, sender, bumped) - histories(game, sender, receiver)) / 0.25
        assert reach[m] * q == pytest.approx(slope, abs=1e-13)
    beliefs = posterior(game, profile)
    assert beliefs.sum(axis=1) == pytest.approx(1)
    assert beliefs * reach[:, None] == pytest.approx((game.prior[:, None] * sender).T, abs=1e-15)


@settings(max_examples=40, deadline=None)
@given(S=st.integers(1, 4), M=st.integers(1, 4), A=st.integers(1, 4), seed=st.integers(0, 10**6), eta=st.floats(0.01, 30))
def test_search_plays_as_the_learner_has_learnt(S: int, M: int, A: int, seed: int, eta: float) -> None:
    game = signalling(states=S, messages=M, actions=A, seed=seed)
    blueprint = random_profile(game, 1.5, seed)
    learner = learner_update(game, blueprint, eta)
    search = DecisionTimeSearch(game, blueprint, eta)
    for m in reversed(range(M)):  # in an order in which no play would come to them
        assert np.exp(search.receiver(m)) == pytest.approx(np.exp(learner.log_receiver[m]), abs=1e-12)
    for s in range(S):
        assert np.exp(search.sender(s)) == pytest.approx(np.exp(learner.log_sender[s]), abs=1e-12)
    assert len(search.visited) == S + M


def test_search_looks_only_where_play_comes() -> None:
    game = name_the_state(states=4)
    log_sender = normalise(np.where(np.eye(4) > 0, 60.0, 0.0))  # the message names the state, save once in 1e26
    search = DecisionTimeSearch(game, Profile(log_sender, normalise(np.zeros((4, 4)))), 0.5)
    assert search.visited == []
    state, message, action = search.play(3)
    assert search.visited == [("state", state), ("message", message)]
    assert message == state
    assert 0 <= action < 4
    before = search.receiver(message)
    assert search.receiver(message) is before
    assert len(search.visited) == 2
    assert [search.play(s) for s in range(20)] == [search.play(s) for s in range(20)]


def test_play_has_the_law_of_the_policies() -> None:
    game, n = signalling(states=2, messages=2, actions=2, seed=4), 4000
    search = DecisionTimeSearch(game, random_profile(game, 1.0, 4), 1.0)
    rng = np.random.default_rng(0)
    counts = np.zeros((2, 2, 2))
    for _ in range(n):
        counts[search.play(rng)] += 1
    sender = np.exp([search.sender(s) for s in range(2)])
    receiver = np.exp([search.receiver(m) for m in range(2)])
    law = game.prior[:, None, None] * sender[:, :, None] * receiver
    assert np.abs(counts / n - law).max() < 6 * 0.5 / np.sqrt(n)


def test_rollouts_have_the_right_mean_and_spread() -> None:
    game, m, n = signalling(states=3, messages=2, actions=3, seed=2), 20, 3000
    blueprint = random_profile(game, 1.0, 2)
    rng = np.random.default_rng(1)
    for kind, place in (("state", 1), ("message", 0)):
        exact = DecisionTimeSearch(game, blueprint, 1.0).values(kind, place)
        search = DecisionTimeSearch(game, blueprint, 1.0, rollouts=m, seed=rng)
        drawn = np.array([search.values(kind, place) for _ in range(n)])
        if kind == "state":
            law, outcome = np.exp(blueprint.log_receiver), np.tile(game.payoff[place], (2, 1))
        else:
            law, outcome = np.tile(posterior(game, blueprint)[place], (3, 1)), game.payoff.T
        variance = ((law * outcome**2).sum(axis=1) - exact**2) / m
        assert (np.abs(drawn.mean(axis=0) - exact) < 6 * np.sqrt(variance / n)).all()
        assert drawn.var(axis=0) == pytest.approx(variance, rel=0.25)
        assert np.abs(np.corrcoef(drawn.T)[0, 1]) < 0.12  # each action has its own rollouts
    one, same, other = (DecisionTimeSearch(game, blueprint, 2.0, rollouts=m, seed=s).receiver(1) for s in (5, 5, 6))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    # what the update does to an error of the values
    values = DecisionTimeSearch(game, blueprint, 2.0, rollouts=m, seed=5).values("message", 1)
    gap = values - DecisionTimeSearch(game, blueprint, 2.0).values("message", 1)
    assert span(one - learner_update(game, blueprint, 2.0).log_receiver[1]) == pytest.approx(2 * span(gap), abs=1e-13)


def test_opposed_conventions_are_the_game_of_two_players_who_must_differ() -> None:
    game = name_the_state(states=2)
    for e, eta in ((0.2, 3.9), (0.2, 4.2), (1.0, 1.0)):
        profile = two_action_profile((e, -e), (-e, e))
        assert expected_payoff(game, profile) == pytest.approx((1 - np.tanh(e / 2) ** 2) / 2)
        after = learner_update(game, profile, eta)
        odds = e - eta * np.tanh(e / 2)
        expected = two_action_profile((odds, -odds), (-odds, odds))
        assert after.log_sender == pytest.approx(expected.log_sender, abs=1e-13)
        assert after.log_receiver == pytest.approx(expected.log_receiver, abs=1e-13)


def test_families() -> None:
    game = signalling(states=4, messages=2, actions=3, seed=9)
    assert (game.states, game.messages, game.actions) == (4, 2, 3)
    assert game.prior.sum() == pytest.approx(1)
    assert np.array_equal(game.payoff, signalling(states=4, messages=2, actions=3, seed=9).payoff)
    assert (sparse_signalling(states=5, seed=1).payoff.sum(axis=1) == 1).all()
    assert np.array_equal(name_the_state(states=3).payoff, np.eye(3))
    table = signalling_table(payoff=(1.0, 2.0, 3.0, 4.0), prior=0.3)
    assert table.payoff.tolist() == [[1, 2], [3, 4]]
    assert table.prior.tolist() == [0.3, 0.7]
    assert random_profile(game, 1.0, 3).log_sender.tolist() == random_profile(game, 1.0, 3).log_sender.tolist()


GAME = name_the_state(states=2)
UNIFORM = two_action_profile((0.0, 0.0), (0.0, 0.0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SignallingGame(np.ones(2) / 2, np.ones(2), 2), r"not \(2,\)"),
        (lambda: SignallingGame(np.ones(3) / 3, np.eye(2), 2), r"2 states need as many prior probabilities"),
        (lambda: SignallingGame(np.array([1.0, 0.0]), np.eye(2), 2), "state 1 has the prior probability 0.0"),
        (lambda: SignallingGame(np.array([0.5, 0.4]), np.eye(2), 2), "sums to 0.9"),
        (lambda: SignallingGame(np.array([0.5, 0.5]), np.array([[0, 1], [np.inf, 0]]), 2), "action 0 in state 1 is inf"),
        (lambda: SignallingGame(np.array([0.5, 0.5]), np.eye(2), 0), "number of messages, not 0"),
        (lambda: Profile(np.zeros((2, 2)), UNIFORM.log_receiver), "state 0 .* sum to 2"),
        (lambda: Profile(UNIFORM.log_sender, np.array([[0.0, -np.inf], [0.0, -np.inf]])), "message 0"),
        (lambda: Profile(np.zeros(2), UNIFORM.log_receiver), "log_sender"),
        (lambda: expected_payoff(name_the_state(states=3), UNIFORM), r"shapes \(3, 3\) and \(3, 3\)"),
        (lambda: learner_update(GAME, UNIFORM, -1.0), "step sizes are positive"),
        (lambda: DecisionTimeSearch(GAME, UNIFORM, 0.0), "step sizes are positive"),
        (lambda: DecisionTimeSearch(GAME, UNIFORM, 1.0, rollouts=0), "at least one rollout"),
        (lambda: DecisionTimeSearch(GAME, UNIFORM, 1.0).sender(2), "no state 2"),
        (lambda: DecisionTimeSearch(GAME, UNIFORM, 1.0).receiver(-1), "no message -1"),
        (lambda: DecisionTimeSearch(GAME, two_action_profile((900.0, 900.0), (0.0, 0.0)), 1.0).receiver(1), "never sent"),
        (lambda: random_profile(GAME, -1.0, 0), "scale"),
        (lambda: signalling(states=0), "at least one state"),
        (lambda: signalling_table(payoff=(1.0,)), "4 payoffs, not 1"),
        (lambda: signalling_table(prior=1.0), "state 1 has the prior probability 0.0"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
