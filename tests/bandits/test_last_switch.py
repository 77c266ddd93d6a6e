"""Last-switch-dependent bandits: the states and how they move, the recharging case, the families, what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandits.last_switch import (
    LastSwitchBandit,
    after_play,
    after_rest,
    fully_rested_payoffs,
    greedy_trap,
    pinwheel_arms,
    round_robin_arms,
    saturating_payoffs,
    sorted_payoffs,
    stacked_payoffs,
    step_payoffs,
)
from theory.errors import InputError

DRAWN = (sorted_payoffs, step_payoffs, saturating_payoffs, fully_rested_payoffs)


def state_of(column: int, depth: int) -> int:
    return column - depth if column < depth else column - depth + 1


def column_of(tau: int, depth: int) -> int:
    cut = max(-depth, min(tau, depth))
    return cut + depth if cut < 0 else cut + depth - 1


@given(st.integers(1, 12), st.data())
def test_states_move_as_the_definition_says(depth: int, data: st.DataObject) -> None:
    column = data.draw(st.integers(0, 2 * depth - 1))
    tau = state_of(column, depth)
    assert column_of(tau, depth) == column
    assert after_play(column, depth) == column_of(-1 if tau > 0 else tau - 1, depth)
    assert after_rest(column, depth) == column_of(tau + 1 if tau > 0 else 1, depth)


@pytest.mark.parametrize("make", DRAWN)
@pytest.mark.parametrize(("n", "D"), [(1, 1), (2, 4), (5, 3)])
def test_drawn_payoffs_are_monotone_and_in_the_unit_interval(make, n: int, D: int) -> None:
    bandit = make(n=n, D=D, seed=3)
    assert (bandit.arms, bandit.depth) == (n, D)
    assert bandit.monotone
    assert bandit.payoffs.min() >= 0
    assert bandit.payoffs.max() <= 1
    assert np.array_equal(make(n=n, D=D, seed=3).payoffs, bandit.payoffs)
    assert not np.array_equal(make(n=n, D=D, seed=4).payoffs, bandit.payoffs)
    assert bandit.key is not None
    assert f"seed={3}" in repr(bandit)


def test_the_shapes_of_the_families() -> None:
    saturating = saturating_payoffs(n=2, D=3, seed=1).payoffs
    assert np.ptp(saturating[:, 3:]) > 0  # the arms differ
    assert np.ptp(saturating[:, 3:], axis=1).max() == 0  # and do not mind how long they rest
    ratio = saturating[:, :3] / saturating[:, 1:4]
    assert np.allclose(ratio, ratio[:, :1])
    assert np.count_nonzero(fully_rested_payoffs(n=4, D=3, seed=0).payoffs) == 4
    step = step_payoffs(n=6, D=4, seed=0).payoffs
    assert all(np.unique(row[row > 0]).size == 1 for row in step)
    assert np.array_equal(greedy_trap(D=3, small=0.1).payoffs, [[0, 0, 0, 0.1, 0.1, 1], [0.9 * 0.1] * 6])


def test_recharging_arms_forget_how_often_they_were_played() -> None:
    bandit = LastSwitchBandit.recharging([[0.1, 0.4, 0.9], [0.0, 0.0, 1.0]])
    assert np.array_equal(bandit.payoffs, [[0.1, 0.1, 0.4, 0.9], [0, 0, 0, 1]])
    assert np.array_equal(round_robin_arms(n=3).payoffs, np.tile([0, 0, 0, 1], (3, 1)))
    assert np.array_equal(pinwheel_arms(delays=(3, 3, 3)).payoffs, round_robin_arms(n=3).payoffs)
    always_ready = pinwheel_arms(delays=(1,), payoffs=(0.3,)).payoffs
    assert np.array_equal(always_ready, [[0.3, 0.3]])


@given(st.lists(st.floats(0, 10), min_size=12, max_size=12))
def test_stacked_payoffs_are_the_monotone_bandits(increments: list[float]) -> None:
    bandit = stacked_payoffs(n=3, increments=tuple(increments))
    assert bandit.payoffs.shape == (3, 4)
    assert bandit.monotone
    assert np.array_equal(bandit.payoffs[1], np.cumsum(increments[4:8]))


def test_payoffs_are_copied_and_read_only() -> None:
    given_table = np.ones((2, 4))
    bandit = LastSwitchBandit(given_table)
    given_table[0, 0] = 5.0
    assert bandit.payoffs.max() == 1
    with pytest.raises(ValueError, match="read-only"):
        bandit.payoffs[0, 0] = 2.0
    assert not LastSwitchBandit(np.array([[1.0, 0.0]])).monotone
    assert "1.0" in repr(bandit)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: LastSwitchBandit(np.ones(4)), r"shape \(n, 2D\), not \(4,\)"),
        (lambda: LastSwitchBandit(np.ones((2, 3))), r"shape \(n, 2D\), not \(2, 3\)"),
        (lambda: LastSwitchBandit(np.empty((0, 2))), r"not \(0, 2\)"),
        (lambda: LastSwitchBandit(np.array([[0, 0, 0, 0], [0, -0.5, 0, 0]])), r"arm 1 pays -0\.5 in the state -1;"),
        (lambda: LastSwitchBandit(np.array([[0, 0, 0, np.nan]])), r"arm 0 pays nan in the state 2;"),
        (lambda: LastSwitchBandit(np.array([[0, 0, np.inf, 0]])), r"arm 0 pays inf in the state 1;"),
        (lambda: LastSwitchBandit(np.array([[0, 0, 0, 1e101]])), r"arm 0 pays 1e\+101 in the state 2; payoffs lie in"),
        (lambda: LastSwitchBandit.recharging([[1.0]]), r"D >= 1, not \(1, 1\)"),
        (lambda: LastSwitchBandit.recharging([1.0, 2.0]), r"not \(2,\)"),
        (lambda: sorted_payoffs(n=0), "not 0 and 3"),
        (lambda: step_payoffs(D=0), "not 3 and 0"),
        (lambda: saturating_payoffs(n=-1), "not -1 and 3"),
        (lambda: fully_rested_payoffs(D=-2), "not 3 and -2"),
        (lambda: round_robin_arms(n=1), "at least 2, not 1"),
        (lambda: greedy_trap(D=1), "not 1 and 0.01"),
        (lambda: greedy_trap(small=1.5), "not 3 and 1.5"),
        (lambda: pinwheel_arms(delays=(0, 2)), r"not \(0, 2\) and None"),
        (lambda: pinwheel_arms(delays=(2, 3), payoffs=(1.0,)), r"not \(2, 3\) and \(1\.0,\)"),
        (lambda: stacked_payoffs(n=2, increments=(1.0, 2.0)), "2 arms need a multiple of 4 increments, not 2"),
    ],
)
def test_what_is_no_bandit_is_refused_in_one_sentence(call, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        call()
