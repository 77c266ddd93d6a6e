"""Two-player zero-sum games: the kernel against NumPy, closed forms, preference games, certificates that contain the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games.dynamics import average_policy
from games.generators import rock_paper_scissors, tight_pair, tournament, uniform
from games.linear_programming import solve_nash_lp
from games.mirror_descent import hedge, magnetic_mirror_descent
from games.prox import normalise
from games.regularised import solve_regularised
from games.zero_sum import (
    ZeroSumGame,
    detection,
    detection_table,
    hedge_self_play,
    hedge_steps,
    interior_zero_sum,
    matching_pennies,
    row_guarantee,
    solve_regularised_zero_sum,
    specialists,
    zero_sum,
    zero_sum_certificate,
    zero_sum_descent,
    zero_sum_table,
)
from theory.divergences import kl, span
from theory.errors import InputError


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


@pytest.mark.parametrize(("m", "n"), [(1, 1), (2, 2), (1, 5), (7, 3), (20, 30)])
@pytest.mark.parametrize("beta", [0.0, 0.3])
def test_the_kernel_equals_its_numpy_twin(m: int, n: int, beta: float) -> None:
    game = zero_sum(rows=m, columns=n, size=2.0, seed=m * n)
    rng = np.random.default_rng(1)
    start = normalise(rng.standard_normal(m)), normalise(rng.standard_normal(n))
    steps = (0.7, 0.2)
    run = zero_sum_descent(game, beta, 25, step=steps, start=start)
    mu, nu = np.exp(game.log_row_reference), np.exp(game.log_column_reference)
    x, y = np.exp(start[0]), np.exp(start[1])
    for k in range(26):
        assert np.exp(run.log_rows[k]) == pytest.approx(x, rel=1e-11)
        assert np.exp(run.log_columns[k]) == pytest.approx(y, rel=1e-11)
        g, h = steps
        x, y = (
            softmax((np.log(x) + g * beta * np.log(mu) + g * game.payoff @ y) / (1 + g * beta)),
            softmax((np.log(y) + h * beta * np.log(nu) - h * game.payoff.T @ x) / (1 + h * beta)),
        )
    alone = zero_sum_descent(game, beta, 0, step=1.0)
    assert alone.log_rows[0] == pytest.approx(game.log_row_reference, abs=1e-15)
    assert alone.log_columns.shape == (1, n)


@pytest.mark.parametrize("K", [2, 5, 12])
def test_a_preference_game_is_the_skew_case(K: int) -> None:
    game, beta = uniform(K=K, seed=K), 0.2
    both = ZeroSumGame(game.A, game.log_reference, game.log_reference)
    run = zero_sum_descent(both, beta, 40, step=0.5)
    alone = magnetic_mirror_descent(game, beta, 40, step=0.5).log_policies
    assert run.log_rows == pytest.approx(alone, abs=1e-12)
    assert run.log_columns == pytest.approx(alone, abs=1e-12)
    assert zero_sum_descent(both, 0.0, 40, step=0.5).log_rows == pytest.approx(
        hedge(game, 40, step=0.5).log_policies, abs=1e-12
    )
    star, pair = solve_regularised(game, beta), solve_regularised_zero_sum(both, beta)
    for policy in (pair.log_row, pair.log_column):
        assert span(policy - star.log_policy) <= star.span_bound + pair.span_bound
    assert pair.span_bound <= 1e-11


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    m=st.integers(1, 8),
    n=st.integers(1, 8),
    size=st.sampled_from([0.1, 1.0, 5.0]),
    beta=st.sampled_from([0.003, 0.05, 1.0]),
)
def test_the_regularised_equilibrium_is_certified(seed: int, m: int, n: int, size: float, beta: float) -> None:
    game = zero_sum(rows=m, columns=n, size=size, scale=3.0, seed=seed)
    found = solve_regularised_zero_sum(game, beta)
    x, y = np.exp(found.log_row), np.exp(found.log_column)
    # the fixed point, in probabilities
    assert x == pytest.approx(softmax(game.log_row_reference + game.payoff @ y / beta), abs=1e-9)
    assert y == pytest.approx(softmax(game.log_column_reference - game.payoff.T @ x / beta), abs=1e-9)
    assert found.certificate <= 1e-12 * (1 + size)
    # bounds at other pairs contain the truth, for which the solution stands
    rng = np.random.default_rng(seed)
    for spread in (1e-4, 0.1, 2.0):
        p, q = (
            normalise(found.log_row + spread * rng.standard_normal(m)),
            normalise(found.log_column + spread * rng.standard_normal(n)),
        )
        c = zero_sum_certificate(game, beta, p, q)
        gap = _value(game, beta, None, q) - _value(game, beta, p, None)
        divergences = float(kl(p, found.log_row, log=True) + kl(q, found.log_column, log=True))
        rounding = 1e-11 * (size + beta)
        assert beta * divergences <= gap + rounding
        assert gap <= c**2 / (8 * beta) + rounding
        for policy, star in ((p, found.log_row), (q, found.log_column)):
            assert np.abs(np.exp(policy) - np.exp(star)).sum() <= c / (2 * beta) + 1e-9
            assert span(policy - star) <= c / beta + game.payoff_range * c / (2 * beta**2) + 1e-8


def _value(game: ZeroSumGame, beta: float, p: np.ndarray | None, q: np.ndarray | None) -> float:
    """max_u f(u, q) for p = None, min_v f(p, v) for q = None, by log-sum-exp."""
    if p is None:
        best = beta * np.logaddexp.reduce(game.log_row_reference + game.payoff @ np.exp(q) / beta)
        return float(best + beta * kl(q, game.log_column_reference, log=True))
    worst = -beta * np.logaddexp.reduce(game.log_column_reference - game.payoff.T @ np.exp(p) / beta)
    return float(worst - beta * kl(p, game.log_row_reference, log=True))


def test_divergence_errors_cover_a_rough_solution() -> None:
    game, beta = zero_sum(rows=4, columns=3, seed=8), 0.1
    fine = solve_regularised_zero_sum(game, beta)
    rng = np.random.default_rng(0)
    for spread in (1e-8, 1e-5, 1e-3):
        x, y = (
            normalise(fine.log_row + spread * rng.standard_normal(4)),
            normalise(fine.log_column + spread * rng.standard_normal(3)),
        )
        rough = type(fine)(game, beta, x, y, zero_sum_certificate(game, beta, x, y), 0)
        p, q = normalise(rng.standard_normal((30, 4))), normalise(rng.standard_normal((30, 3)))
        truth = kl(fine.log_row, p, log=True) + kl(fine.log_column, q, log=True)
        seen = kl(x, p, log=True) + kl(y, q, log=True)
        assert (np.abs(truth - seen) <= rough.divergence_error(p, q)).all()
        assert kl(x, fine.log_row, log=True) + kl(y, fine.log_column, log=True) <= rough.gap_bound / beta


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), m=st.integers(2, 6), n=st.integers(2, 6), beta=st.floats(0.02, 1.0))
def test_magnetic_mirror_descent_contracts_up_to_its_largest_step(seed: int, m: int, n: int, beta: float) -> None:
    game = zero_sum(rows=m, columns=n, size=2.0, seed=seed)
    star = solve_regularised_zero_sum(game, beta)
    step = 4 * beta / game.payoff_range**2
    run = zero_sum_descent(game, beta, 30, step=step)
    D = kl(star.log_row, run.log_rows, log=True) + kl(star.log_column, run.log_columns, log=True)
    slack = star.divergence_error(run.log_rows, run.log_columns)
    assert (D[1:] <= D[:-1] / (1 + step * beta) * (1 + 1e-12) + slack[1:] + slack[:-1]).all()


def test_matching_pennies_rotates_as_predicted() -> None:
    """Log-odds (e, f) near 0 go to (e + g f / 2, f - g e / 2) / (1 + g beta) at the range 1."""
    game, beta, g = matching_pennies(size=1.0), 0.3, 0.8
    run = zero_sum_descent(game, beta, 1, step=g, start=(normalise([1e-5, 0.0]), normalise([-3e-5, 0.0])))
    assert run.log_rows[1, 0] - run.log_rows[1, 1] == pytest.approx((1e-5 - g * 1.5e-5) / (1 + g * beta), rel=1e-8)
    assert run.log_columns[1, 0] - run.log_columns[1, 1] == pytest.approx((-3e-5 - g * 0.5e-5) / (1 + g * beta), rel=1e-8)
    tight = tight_pair(beta=0.1)
    found = solve_regularised_zero_sum(ZeroSumGame(tight.A, tight.log_reference, tight.log_reference), 0.1)
    assert np.exp(found.log_row) == pytest.approx([0.5, 0.5], abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), m=st.integers(1, 6), n=st.integers(1, 8), rounds=st.sampled_from([1, 7, 300]))
def test_averages_of_hedge_guarantee_nearly_the_value(seed: int, m: int, n: int, rounds: int) -> None:
    game = detection(critics=m, errors=n, seed=seed)
    value = solve_nash_lp(game.payoff)
    run = hedge_self_play(game, rounds)
    average = average_policy(run.log_rows[:-1])
    radius = np.sqrt(np.log(m) / (2 * rounds)) + np.sqrt(np.log(n) / (2 * rounds))
    worst = float(row_guarantee(game, average))
    assert value.lower - radius - 1e-12 <= worst <= value.upper
    assert worst == pytest.approx(min(np.exp(average) @ game.payoff[:, e] for e in range(n)), abs=1e-14)
    # the last query is not followed by a round: the average is over the policies that played
    assert run.log_rows.shape == (rounds + 1, m)


def test_steps_of_hedge() -> None:
    game = ZeroSumGame(3 * np.eye(4))
    assert hedge_steps(game, 50) == pytest.approx((np.sqrt(8 * np.log(4) / 50) / 3,) * 2)
    assert hedge_steps(ZeroSumGame(np.ones((1, 2))), 50)[0] == 1.0
    assert hedge_self_play(game, 0).log_rows.shape == (1, 4)


def test_families() -> None:
    game = interior_zero_sum(rows=4, columns=3, seed=2)
    x, y = np.exp(game.log_row_reference), np.exp(game.log_column_reference)
    assert game.payoff @ y == pytest.approx(np.zeros(4), abs=1e-14)
    assert x @ game.payoff == pytest.approx(np.zeros(3), abs=1e-14)
    assert game.payoff_range == pytest.approx(1)
    assert solve_nash_lp(game.payoff).value == pytest.approx(0, abs=1e-9)
    assert matching_pennies(size=3.0).payoff_range == 3
    assert zero_sum_table(payoff=(1.0, 2.0, 3.0, 4.0), tilt=(0.1, 0.0), beta=0.1).log_row_reference == pytest.approx(
        normalise([1.0, 0.0])
    )
    assert detection(critics=3, errors=5, seed=1).payoff.shape == (3, 5)
    sure = specialists(errors=4, noise=0.2, seed=3).payoff
    assert np.array_equal(np.diag(sure), np.ones(4))
    assert np.sort(sure, axis=None)[-5] <= 0.2
    assert detection_table(payoff=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6), critics=2).payoff.tolist() == [
        [0.1, 0.2, 0.3],
        [0.4, 0.5, 0.6],
    ]
    assert np.array_equal(zero_sum(seed=4).payoff, zero_sum(seed=4).payoff)
    skew = rock_paper_scissors().A
    assert ZeroSumGame(skew).log_row_reference == pytest.approx(np.full(3, -np.log(3)))
    assert solve_nash_lp(tournament(K=5, seed=0).A).value == pytest.approx(0, abs=1e-9)


GAME = matching_pennies()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ZeroSumGame(np.zeros(3)), r"shape \(3,\)"),
        (lambda: ZeroSumGame(np.array([[0.0, np.nan]])), r"entry \(0, 1\) of a payoff matrix is nan"),
        (lambda: ZeroSumGame(np.eye(2), np.zeros(2)), "log_row_reference sums to 2"),
        (lambda: ZeroSumGame(np.eye(2), None, np.array([0.0, -np.inf])), "action 1 the log-probability -inf"),
        (lambda: ZeroSumGame(np.eye(2), np.zeros(3)), "2 log-probabilities"),
        (lambda: zero_sum_descent(GAME, -0.1, 3, step=1.0), "temperature"),
        (lambda: zero_sum_descent(GAME, 0.1, 3, step=0.0), "step sizes"),
        (lambda: zero_sum_descent(GAME, 0.1, 3, step=(1.0, np.inf)), "step sizes"),
        (lambda: zero_sum_descent(GAME, 0.1, 3, step=np.ones(3)), "one for each of the two players"),  # type: ignore[arg-type]
        (lambda: zero_sum_descent(GAME, 0.1, -3, step=1.0), "iterations"),
        (lambda: zero_sum_descent(GAME, 0.1, 3, step=1.0, start=(np.zeros(2), np.log([0.5, 0.5]))), "rows' start sums to 2"),
        (lambda: hedge_steps(GAME, 0), "at least one iteration"),
        (lambda: solve_regularised_zero_sum(GAME, 0.0), "temperature"),
        (lambda: zero_sum(rows=0), "at least one action"),
        (lambda: zero_sum(size=-1.0), "range of payoffs"),
        (lambda: interior_zero_sum(rows=1), "two actions"),
        (lambda: zero_sum_table(payoff=(1.0,)), "4 payoffs"),
        (lambda: specialists(noise=2.0), "probabilities"),
        (lambda: detection_table(payoff=(1.0, 0.0, 0.5), critics=2), "do not make 2 rows"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
