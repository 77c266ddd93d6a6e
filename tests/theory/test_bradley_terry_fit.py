"""The Bradley-Terry fit against closed forms, a general optimiser and 50 digits; existence; Borda scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from games.generators import bradley_terry, uniform
from theory.bradley_terry_fit import borda_scores, fit_bradley_terry
from theory.errors import InputError


def counts(K: int, seed: int, low: int = 1, high: int = 20) -> np.ndarray:
    wins = np.random.default_rng(seed).integers(low, high, (K, K)).astype(float)
    np.fill_diagonal(wins, 0)
    return wins


@pytest.mark.parametrize(("first", "second"), [(1, 1), (3, 1), (7, 200), (1, 10**6), (1e-9, 1.0)])
def test_two_items_in_closed_form(first: float, second: float) -> None:
    fit = fit_bradley_terry([[0, first], [second, 0]])
    assert fit.theta[0] - fit.theta[1] == pytest.approx(np.log(first / second), rel=1e-9, abs=fit.error_bound + 1e-15)
    assert abs(fit.theta[0] - fit.theta[1] - np.log(first / second)) <= fit.error_bound
    assert fit.theta.sum() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("K", [3, 6, 15])
def test_against_a_general_optimiser(K: int) -> None:
    wins = counts(K, K)

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        difference = theta[:, None] - theta
        flow = wins * expit(-difference)
        return -(wins * log_expit(difference)).sum(), -(flow - flow.T).sum(axis=1)

    found = minimize(loss, np.zeros(K), jac=True, method="BFGS", options={"gtol": 1e-9})
    fit = fit_bradley_terry(wins)
    assert fit.theta == pytest.approx(found.x - found.x.mean(), abs=1e-6)
    assert loss(fit.theta)[0] <= found.fun * (1 + 1e-15)
    assert fit.residual <= 1e-11 * wins.sum()
    assert fit.error_bound < 1e-10


def test_the_error_bound_is_one() -> None:
    """Where the fit is not the maximum because it was stopped early, the bound covers the distance from it."""
    import theory.bradley_terry_fit as module

    for seed in range(20):
        wins = counts(5, seed)
        exact = fit_bradley_terry(wins).theta
        for size in (1e-6, 1e-3, 0.05):
            theta = exact + size * np.random.default_rng(seed).standard_normal(5)
            bound, _ = module._certificate(wins, theta)
            assert np.ptp(theta - exact) <= bound
            if size <= 1e-3:  # and is of the right size
                assert bound <= 10 * np.ptp(theta - exact)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), K=st.integers(2, 12), spread=st.floats(0.1, 3.0))
def test_a_bradley_terry_matrix_is_fitted_exactly_however_pairs_are_weighted(seed: int, K: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    theta = spread * rng.standard_normal(K)
    P = expit(theta[:, None] - theta)
    weights = rng.uniform(0.1, 10, (K, K))
    fit = fit_bradley_terry(P, weights + weights.T)
    assert fit.win_probabilities == pytest.approx(P, abs=1e-9)
    assert np.ptp(fit.theta - theta) <= fit.error_bound + 1e-12 * (1 + np.ptp(theta))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), K=st.integers(2, 10), factor=st.floats(1e-3, 1e3))
def test_the_fit_is_relabelled_with_its_items_and_knows_no_units(seed: int, K: int, factor: float) -> None:
    wins = counts(K, seed)
    order = np.random.default_rng(seed).permutation(K)
    theta = fit_bradley_terry(wins).theta
    assert fit_bradley_terry(wins[np.ix_(order, order)]).theta == pytest.approx(theta[order], abs=1e-10)
    assert fit_bradley_terry(factor * wins).theta == pytest.approx(theta, abs=1e-10)
    assert fit_bradley_terry(wins.T).theta == pytest.approx(-theta, abs=1e-10)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), K=st.integers(2, 12))
def test_the_order_is_that_of_the_borda_scores(seed: int, K: int) -> None:
    P = uniform(K=K, seed=seed).A * 0.999 + 0.5
    assert np.array_equal(np.argsort(fit_bradley_terry(P).theta), np.argsort(borda_scores(P)))


def test_a_reward_model_that_ranks_a_loser_first() -> None:
    P = [[0.5, 0.55, 0.55, 0.55], [0.45, 0.5, 0.95, 0.95], [0.45, 0.05, 0.5, 0.5], [0.45, 0.05, 0.5, 0.5]]
    theta = fit_bradley_terry(P).theta
    assert theta[1] - theta[0] == pytest.approx(0.835, abs=5e-4)
    assert theta[2] == pytest.approx(theta[3], abs=1e-12)


def test_lopsided_comparisons_converge() -> None:
    """A chain in which each item beats the next a million times for each loss: strengths far apart, tiny curvature elsewhere."""
    K = 8
    wins = np.diag(np.full(K - 1, 1e6), 1) + np.diag(np.ones(K - 1), -1)
    fit = fit_bradley_terry(wins)
    assert -np.diff(fit.theta) == pytest.approx(np.full(K - 1, np.log(1e6)), rel=1e-9)
    assert fit.error_bound < 1e-6
    cycle = np.roll(np.eye(6), 1, axis=1)  # each beats the next and is beaten by nobody else: all are equal
    assert fit_bradley_terry(cycle).theta == pytest.approx(np.zeros(6), abs=1e-12)
    assert fit_bradley_terry(bradley_terry(K=30, spread=5.0, seed=1).A + 0.5).error_bound < 1e-3


def test_counts_give_borda_scores() -> None:
    assert borda_scores([[0, 3, 1], [1, 0, 0], [1, 2, 0]]) == pytest.approx([(0.75 + 0.5) / 2, 0.125, 0.75])
    assert fit_bradley_terry([[0.5]]).theta.tolist() == [0.0]


CHAIN = [[0, 1, 1], [0, 0, 1], [0, 0, 0]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit_bradley_terry(CHAIN), "no chain of wins leads from item 2 to item 0"),
        (lambda: fit_bradley_terry([[0, 1], [1, 0]], np.zeros((2, 2))), "no chain of wins"),
        (lambda: fit_bradley_terry([[0, 1], [-1, 0]]), r"entry \(1, 0\) of the wins is -1.0"),
        (lambda: fit_bradley_terry([[0, np.nan], [1, 0]]), r"entry \(0, 1\)"),
        (lambda: fit_bradley_terry(np.zeros((2, 3))), r"shape \(2, 3\)"),
        (lambda: fit_bradley_terry(np.ones((2, 2)), np.ones((3, 3))), "cannot be weighted"),
        (lambda: fit_bradley_terry(np.ones((2, 2)), [[1, 2], [1, 1]]), r"weights \(0, 1\) and \(1, 0\) differ"),
        (lambda: borda_scores([[0.5]]), "at least two"),
        (lambda: borda_scores([[0, 1, 0], [1, 0, 1], [0, 1, 0]]), "items 0 and 2 were never compared"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
