"""Symmetric population games against enumeration of profiles, rational arithmetic, polynomial roots and exhaustive search."""

from __future__ import annotations

import itertools
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games.symmetric_population import (
    SymmetricGame,
    advantage,
    best_latents,
    crowding,
    exploitability,
    exploitability_slope,
    first_come,
    gradient_step,
    greedy_latents,
    population_table,
    random_population,
    served_exploitability,
    shared_road,
    symmetric_equilibria,
)
from theory.errors import InputError

games = st.builds(random_population, players=st.integers(2, 6), monotone=st.booleans(), seed=st.integers(0, 10**6))


def enumerated(game: SymmetricGame, action: int, x: float) -> float:
    """What an action is worth, as a sum over the actions of the others, one by one."""
    total = 0.0
    for others in itertools.product((0, 1), repeat=game.players - 1):
        total += game.payoff[action, sum(others)] * np.prod([x if a else 1 - x for a in others])
    return float(total)


@settings(max_examples=60, deadline=None)
@given(game=games, x=st.floats(0, 1))
def test_against_enumeration(game: SymmetricGame, x: float) -> None:
    worth = [enumerated(game, action, x) for action in (0, 1)]
    assert advantage(game, x) == pytest.approx(worth[1] - worth[0], abs=1e-13)
    assert exploitability(game, x) == pytest.approx(max(worth) - (1 - x) * worth[0] - x * worth[1], abs=1e-13)
    swapped = SymmetricGame(game.payoff[::-1, ::-1])  # the actions exchange their names
    assert exploitability(swapped, 1 - x) == pytest.approx(float(exploitability(game, x)), abs=1e-13)
    assert gradient_step(game, x, 0.1) == pytest.approx(np.clip(x + 0.1 * (worth[1] - worth[0]), 0, 1), abs=1e-13)


@settings(max_examples=60, deadline=None)
@given(game=games)
def test_equilibria_against_the_roots_of_the_polynomial(game: SymmetricGame) -> None:
    m = game.players - 1
    polynomial = sum(
        (
            np.polynomial.Polynomial([0, 1]) ** k * np.polynomial.Polynomial([1, -1]) ** (m - k) * comb(m, k) * float(v)
            for k, v in enumerate(game.advantages)
        ),
        np.polynomial.Polynomial([0.0]),
    )
    roots = polynomial.roots()
    inner = sorted(r.real for r in roots if abs(r.imag) < 1e-9 and 1e-9 < r.real < 1 - 1e-9)
    ends = ([0.0] if game.advantages[0] <= 0 else []) + ([1.0] if game.advantages[-1] >= 0 else [])
    found = symmetric_equilibria(game)
    assert found == pytest.approx(sorted(inner + ends), abs=1e-7)
    assert exploitability(game, found).max() < 1e-12
    assert found.size >= 1


def test_equilibria_in_closed_form() -> None:
    assert symmetric_equilibria(crowding(players=3)) == pytest.approx([0.5], abs=1e-15)
    assert symmetric_equilibria(crowding(players=5)) == pytest.approx([0.25], abs=1e-15)
    assert symmetric_equilibria(crowding(players=10)) == pytest.approx([0.111], abs=5e-4)
    for n in (2, 3, 30, 200):
        assert symmetric_equilibria(first_come(players=n)) == pytest.approx([1 - 2 ** (-1 / (n - 1))], rel=1e-12)
        assert symmetric_equilibria(shared_road(players=n, at=0.3)) == pytest.approx([0.3], abs=1e-13)
    coordination = population_table(payoff=(1.0, 0.0, 0.0, 1.0))
    assert symmetric_equilibria(coordination) == pytest.approx([0.0, 0.5, 1.0])
    # d(x) = (1 - 2x)^2 touches 0 at 1/2 without changing sign; d(k) = 1, -1, 1
    touching = SymmetricGame(np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]]))
    assert symmetric_equilibria(touching) == pytest.approx([0.5, 1.0], abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(2, 25), x=st.fractions(0, 1, max_denominator=50))
def test_the_binomial_sum_in_fractions(n: int, x: Fraction) -> None:
    game = crowding(players=n)
    exact = sum(comb(n - 1, k) * x**k * (1 - x) ** (n - 1 - k) * Fraction(float(v)) for k, v in enumerate(game.advantages))
    assert advantage(game, float(x)) == pytest.approx(float(exact), abs=1e-13)


@settings(max_examples=40, deadline=None)
@given(game=games)
def test_the_slope(game: SymmetricGame) -> None:
    x = np.linspace(0, 1, 41)
    for star in symmetric_equilibria(game):
        bound = exploitability_slope(game.players) * game.span * np.abs(x - star)
        assert (exploitability(game, x) <= bound + 1e-9).all()
    assert exploitability_slope(2) == pytest.approx(2)
    assert exploitability_slope(3) == pytest.approx(2 + np.sqrt(2))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 3))
def test_best_latents_by_exhaustion(seed: int, count: int) -> None:
    family = [random_population(players=n, monotone=True, seed=seed + n) for n in (2, 3, 5, 8)]
    candidates = np.linspace(0, 1, 12)
    found = best_latents(family, count, candidates)
    exhausted = min(float(served_exploitability(family, chosen).max()) for chosen in itertools.combinations(candidates, count))
    assert found.worst == pytest.approx(exhausted)
    assert served_exploitability(family, found.policies).max() == pytest.approx(found.worst)
    assert found.policies.size <= count
    greedy = greedy_latents(family, 4, candidates)
    for m, latents in enumerate(greedy, start=1):
        assert latents.policies.size == m
        assert served_exploitability(family, latents.policies).max() == pytest.approx(latents.worst)
        assert latents.worst >= best_latents(family, m, candidates).worst - 1e-15
    assert greedy[0].worst == best_latents(family, 1, candidates).worst


GAME = crowding(players=4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SymmetricGame(np.zeros((3, 2))), r"\(3, 2\)"),
        (lambda: SymmetricGame(np.zeros((2, 1))), r"\(2, 1\)"),
        (lambda: SymmetricGame(np.array([[0.0, 1.0], [np.inf, 0.0]])), "action 1 against 0 others"),
        (lambda: advantage(GAME, 1.2), "not 1.2"),
        (lambda: exploitability(GAME, [0.5, np.nan]), "not nan"),
        (lambda: gradient_step(GAME, 0.5, 0.0), "not 0.0"),
        (lambda: symmetric_equilibria(SymmetricGame(np.ones((2, 3)))), "every policy is an equilibrium"),
        (lambda: exploitability_slope(1), "not 1"),
        (lambda: served_exploitability([], [0.5]), "at least one game"),
        (lambda: greedy_latents([GAME], 0, [0.5]), "not 0"),
        (lambda: greedy_latents([GAME], 1, []), "at least one candidate"),
        (lambda: best_latents([GAME], 1, [0.5, 0.2]), "increasing order"),
        (lambda: best_latents([population_table(payoff=(1.0, 0.0, 0.0, 1.0))], 1, np.linspace(0, 1, 11)), "game 0"),
        (lambda: shared_road(at=1.5), "not at 1.5"),
        (lambda: population_table(payoff=(1.0, 0.0, 0.0)), "not 3"),
        (lambda: crowding(players=1), "not 1"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
