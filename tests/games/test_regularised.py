"""The regularised equilibrium against closed forms, invariances and its own certificate; exploitability."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games.generators import (
    additive,
    bradley_terry,
    clone,
    cloned,
    cyclic,
    low_rank,
    rock_paper_scissors,
    tight_pair,
    tilted,
    tournament,
    uniform,
    with_condorcet_winner,
)
from games.preference import PreferenceGame
from games.prox import normalise
from games.regularised import certificate, exploitability, smoothed_best_response, solve_regularised
from theory.divergences import kl, span
from theory.errors import InputError

FAMILIES = (uniform, tournament, bradley_terry, additive, low_rank, cyclic, cloned)
BETAS = (1e-3, 1e-2, 0.1, 1.0, 10.0)


def policies_equal(log_p: np.ndarray, log_q: np.ndarray, error: float) -> None:
    assert float(span(log_p - log_q)) <= error


# --- known answers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("game", [rock_paper_scissors(), *(cyclic(K=k, scale=0.0) for k in (3, 5, 11))])
def test_cyclic_games_with_a_uniform_reference_have_a_uniform_equilibrium(game: PreferenceGame, beta: float) -> None:
    found = solve_regularised(game, beta)
    policies_equal(found.log_policy, np.full(game.actions, -np.log(game.actions)), found.span_bound + 1e-14)


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("advantage", [0.5, -0.5, 0.13, 0.0])
@pytest.mark.parametrize("odds", [0.0, 3.0, -20.0])
def test_two_actions_add_the_advantage_to_the_log_odds(advantage: float, odds: float, beta: float) -> None:
    game = PreferenceGame(np.array([[0, advantage], [-advantage, 0]]), normalise([odds, 0.0]))
    found = solve_regularised(game, beta)
    exact = odds + advantage / beta
    assert found.log_policy[0] - found.log_policy[1] == pytest.approx(exact, abs=found.span_bound + 1e-13 * (1 + abs(exact)))


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("K", [2, 5, 30])
def test_additive_preferences_have_a_closed_form(K: int, beta: float) -> None:
    game = additive(K=K, scale=1.0, seed=4)
    reward = 2 * game.A[:, 0]
    found = solve_regularised(game, beta)
    policies_equal(found.log_policy, normalise(game.log_reference + reward / (2 * beta)), found.span_bound + 1e-13 / beta)


@pytest.mark.parametrize("beta", [1e-3, 3e-3, 0.1])
def test_the_tight_pair_mixes_evenly(beta: float) -> None:
    game = tight_pair(beta=beta)
    assert game.beta == beta
    policies_equal(solve_regularised(game, beta).log_policy, np.log([0.5, 0.5]), 1e-12 / beta)


def test_a_condorcet_winner_takes_all_as_beta_vanishes() -> None:
    game = with_condorcet_winner(uniform(K=6, seed=3), 0.1)
    assert exploitability(game, 0.0, normalise([800.0, 0, 0, 0, 0, 0])) == 0
    assert solve_regularised(game, 1e-3).policy[0] > 1 - 1e-12


@pytest.mark.parametrize("beta", [0.01, 0.1, 1.0])
def test_clones_share_what_their_original_has(beta: float) -> None:
    game = tournament(K=5, scale=2.0, seed=2)
    split, original = clone(game, [1, 4, 2, 9, 1], np.random.default_rng(0).uniform(0.1, 1, 17))
    whole, parts = solve_regularised(game, beta), solve_regularised(split, beta)
    together = np.bincount(original, weights=parts.policy)
    assert np.abs(together - whole.policy).sum() <= whole.distance_bound + parts.distance_bound + 1e-14


# --- the certificate ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("generate", FAMILIES, ids=lambda f: f.name)
def test_newton_reaches_rounding_on_every_family(generate) -> None:
    for K, scale, beta in itertools.product((2, 3, 17, 40), (0.1, 1.0, 4.0), BETAS):
        game = generate(K=K, scale=scale, seed=7)
        found = solve_regularised(game, beta)
        assert found.certificate <= 2e-13 * max(1.0, beta)
        assert found.method == "newton"
        assert exploitability(game, beta, found.log_policy) <= found.exploitability_bound + 1e-28


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    K=st.integers(2, 12),
    beta=st.floats(0.003, 3.0),
    size=st.floats(1e-6, 3.0),
)
def test_the_bounds_hold_for_any_policy(seed: int, K: int, beta: float, size: float) -> None:
    """What the certificate of a policy promises, checked where the policy is far from the equilibrium too."""
    game = uniform(K=K, scale=2.0, seed=seed)
    star = solve_regularised(game, beta)
    policy = normalise(star.log_policy + size * np.random.default_rng(seed).standard_normal(K))
    c = certificate(game, beta, policy)
    room = 1 + 1e-9
    assert exploitability(game, beta, policy) <= c**2 / (8 * beta) * room
    assert kl(policy, star.log_policy, log=True) <= c**2 / (8 * beta**2) * room
    assert np.abs(np.exp(policy) - star.policy).sum() <= c / (2 * beta) * room
    assert span(policy - star.log_policy) <= (c / beta + c / (2 * beta**2)) * room
    assert beta * kl(policy, star.log_policy, log=True) <= exploitability(game, beta, policy) * room + 1e-20


def test_the_divergence_error_covers_a_policy_that_is_off() -> None:
    game, beta = uniform(K=6, scale=2.0, seed=1), 0.2
    star = solve_regularised(game, beta)
    rng = np.random.default_rng(0)
    for size in (1e-8, 1e-4, 1e-2):
        policy = normalise(star.log_policy + size * rng.standard_normal(6))
        rough = type(star)(game, beta, policy, certificate(game, beta, policy), "newton", 0)
        others = normalise(star.log_policy + rng.standard_normal((50, 6)))
        error = rough.divergence_error(others)
        assert (np.abs(kl(policy, others, log=True) - kl(star.log_policy, others, log=True)) <= error).all()
        assert (np.abs(kl(others, policy, log=True) - kl(others, star.log_policy, log=True)) <= error).all()


@pytest.mark.parametrize(("K", "beta"), [(3, 0.03), (30, 0.1), (200, 1.0)])
def test_mirror_prox_and_newton_agree(K: int, beta: float) -> None:
    game = uniform(K=K, scale=1.0, seed=5)
    newton, run = solve_regularised(game, beta, method="newton"), solve_regularised(game, beta, method="mirror-prox")
    assert run.certificate <= 1e-12
    policies_equal(newton.log_policy, run.log_policy, newton.span_bound + run.span_bound)


def test_many_actions_are_solved_by_mirror_prox() -> None:
    found = solve_regularised(low_rank(K=1001, seed=1), 0.5)
    assert found.method == "mirror-prox"
    assert found.certificate <= 1e-12


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), K=st.integers(1, 10), beta=st.floats(0.003, 3.0))
def test_relabelling_relabels_the_equilibrium(seed: int, K: int, beta: float) -> None:
    game = uniform(K=K, scale=2.0, seed=seed)
    order = np.random.default_rng(seed).permutation(K)
    first, second = solve_regularised(game, beta), solve_regularised(game.relabelled(order), beta)
    policies_equal(first.log_policy[order], second.log_policy, first.span_bound + second.span_bound)


# --- exploitability ----------------------------------------------------------------------------------------------------


def test_exploitability_is_its_definition_and_no_reply_does_better() -> None:
    game, beta = rock_paper_scissors(weights=(0.5, 0.2, 0.4), logits=(1.0, 0.0, -2.0)), 0.15
    rng = np.random.default_rng(3)
    policies = normalise(3 * rng.standard_normal((20, 3)))
    replies = normalise(3 * rng.standard_normal((2000, 3)))
    gains = np.exp(policies) @ game.A.T
    reference = game.log_reference
    value = beta * np.logaddexp.reduce(reference + gains / beta, axis=-1) + beta * kl(policies, reference, log=True)
    found = exploitability(game, beta, policies)
    assert np.allclose(found, value, rtol=0, atol=1e-13)
    best = smoothed_best_response(game, beta, policies)

    def payoff(reply: np.ndarray, p: int) -> np.ndarray:
        return np.exp(reply) @ gains[p] - beta * kl(reply, reference, log=True) + beta * kl(policies[p], reference, log=True)

    for p in range(20):
        assert payoff(best[p], p) == pytest.approx(found[p], abs=1e-13)
        assert (payoff(replies, p) <= found[p] + 1e-13).all()


def test_exploitability_without_regularisation_is_the_best_reply() -> None:
    game = rock_paper_scissors(weights=(0.5, 0.2, 0.4))
    assert exploitability(game, 0.0, np.log([0.4, 0.2, 0.5]) - np.log(1.1)) == pytest.approx(0, abs=1e-16)
    assert exploitability(game, 0.0, normalise([0.0, -800.0, -800.0])) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: solve_regularised(tight_pair(), 0.0), "positive and finite, not 0.0"),
        (lambda: solve_regularised(tight_pair(), np.nan), "not nan"),
        (lambda: solve_regularised(tight_pair(), 0.1, method="guess"), "not 'guess'"),  # type: ignore[arg-type]
        (lambda: exploitability(tight_pair(), -0.1, [0.0, 0.0]), "at least 0"),
        (lambda: smoothed_best_response(tight_pair(), 0.0, [0.0, 0.0]), "positive"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_a_hard_path_needs_continuation_and_is_found() -> None:
    """References of order 1/beta put the start of Newton's method far from the equilibrium."""
    for tilt in ((-0.5, 0.0, 0.25), (0.9, -0.9, 0.1), (-1.0, 1.0, 0.0)):
        for beta in (3e-4, 1e-3, 1e-2):
            found = solve_regularised(tilted(upper=(0.5, -0.5, 0.5), tilt=tilt, beta=beta), beta)
            assert found.certificate <= 1e-12
