"""Games kept as factors against the same games with their matrices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games.factored import LowRankGame, largest_entry, low_rank_factors, solve_low_rank
from games.generators import low_rank
from games.mirror_prox import nash_mirror_prox
from games.prox import normalise
from games.regularised import certificate, exploitability, solve_regularised
from theory.divergences import span
from theory.errors import InputError


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), K=st.integers(2, 40), pairs=st.integers(1, 4), beta=st.floats(0.01, 1.0))
def test_factors_and_matrix_are_one_game(seed: int, K: int, pairs: int, beta: float) -> None:
    game, dense = low_rank_factors(K=K, pairs=pairs, seed=seed), low_rank(K=K, pairs=pairs, seed=seed)
    assert np.allclose(game.dense().A, dense.A, rtol=0, atol=1e-14)
    assert np.allclose(game.log_reference, dense.log_reference, rtol=0, atol=1e-14)
    policies = normalise(np.random.default_rng(seed).standard_normal((5, K)))
    assert np.allclose(game.gains(np.exp(policies)), np.exp(policies) @ dense.A.T, rtol=0, atol=1e-14)
    assert np.allclose(game.exploitability(beta, policies), exploitability(dense, beta, policies), rtol=1e-9, atol=1e-14)
    assert game.certificate(beta, policies[0]) == pytest.approx(certificate(dense, beta, policies[0]), abs=1e-10)
    oracle = game.oracle()
    run, other = nash_mirror_prox(oracle, beta, 20), nash_mirror_prox(dense, beta, 20)
    assert np.allclose(run.log_policies, other.log_policies, rtol=0, atol=1e-10 / beta)
    assert oracle.queries == 40


@pytest.mark.parametrize(("K", "pairs", "beta"), [(2, 1, 1.0), (30, 2, 0.05), (300, 5, 0.3)])
def test_the_equilibrium_is_that_of_the_matrix(K: int, pairs: int, beta: float) -> None:
    game = low_rank_factors(K=K, pairs=pairs, seed=1)
    found, star = solve_low_rank(game, beta), solve_regularised(game.dense(), beta)
    assert found.certificate <= 1e-11
    assert span(found.log_policy - star.log_policy) <= found.span_bound + star.span_bound


def test_ten_thousand_actions() -> None:
    game = low_rank_factors(K=10_000, pairs=5, seed=0)
    found = solve_low_rank(game, 0.3)
    assert found.certificate <= 1e-9
    assert game.exploitability(0.3, found.log_policy) <= found.exploitability_bound + 1e-20


def test_the_largest_entry_is_found_across_blocks() -> None:
    rng = np.random.default_rng(0)
    U, W = rng.standard_normal((2, 600, 2))
    U[555] *= 10
    A = U @ W.T
    assert largest_entry(U, W) == pytest.approx(np.abs(A - A.T).max(), rel=1e-14)


@pytest.mark.parametrize(
    ("U", "W", "reference", "message"),
    [
        (np.ones((3, 1)), np.ones((3, 2)), np.log([1 / 3] * 3), r"\(3, 1\) and \(3, 2\)"),
        (np.ones(3), np.ones(3), np.log([1 / 3] * 3), "one shape"),
        ([[2.0], [0.0]], [[0.0], [1.0]], np.log([0.5, 0.5]), "is 2.0, above"),
        ([[np.nan], [0.0]], [[0.0], [1.0]], np.log([0.5, 0.5]), "nan"),
        ([[0.5], [0.0]], [[0.0], [1.0]], np.log([0.5, 0.4]), "sum to probability 1"),
        ([[0.5], [0.0]], [[0.0], [1.0]], [0.0], "2 log-probabilities"),
    ],
)
def test_bad_input(U, W, reference, message: str) -> None:
    with pytest.raises(InputError, match=message):
        LowRankGame(U, W, reference)


def test_a_family_of_nothing() -> None:
    with pytest.raises(InputError, match="at least two actions"):
        low_rank_factors(K=1)
