"""Rounding: the kernel against its twin and against exact expectations; exploring first."""

import numpy as np
import pytest

from bandits.last_switch import (
    LastSwitchBandit,
    after_play,
    after_rest,
    fully_rested_payoffs,
    pinwheel_arms,
    round_robin_arms,
    saturating_payoffs,
    sorted_payoffs,
    stacked_payoffs,
    step_payoffs,
)
from bandits.last_switch_planning import CyclePlan, lp_relaxation, optimal_average_reward, virtual_value
from bandits.last_switch_rounding import (
    exploration_rounds,
    explore_then_commit,
    renewals,
    simulate_lp_round,
    sweeps_for,
)
from theory.errors import InputError
from theory.random_streams import run_seeds
from theory.statistics import mean_interval

U64 = np.uint64
GOLDEN = U64(0x9E3779B97F4A7C15)
DRAWN = (sorted_payoffs, step_payoffs, saturating_payoffs, fully_rested_payoffs)
CROSS = stacked_payoffs(n=2, increments=(0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0))
BANDITS = [*(make(n=3, D=3, seed=1) for make in DRAWN), CROSS, round_robin_arms(n=4), saturating_payoffs(n=1, D=2, seed=6)]


def _mix(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> U64(30))) * U64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> U64(27))) * U64(0x94D049BB133111EB)
    return z ^ (z >> U64(31))


def numbers(seed: int, arm: int, size: int) -> np.ndarray:
    """The first entries of the stream of a run and an arm."""
    one = np.array([seed], dtype=U64)
    start = _mix(_mix(one + GOLDEN) + GOLDEN * np.array([arm + 1], dtype=U64))
    return (_mix(start + GOLDEN * np.arange(1, size + 1, dtype=U64)) >> U64(11)) * 2.0**-53


def twin(
    plan: CyclePlan, payoffs: np.ndarray, rounds: int, seed: int, burn_in: int, stationary: bool
) -> tuple[float, float, int]:
    """One run, arm by arm: first the virtual process as a list of planned columns, then the rounds."""
    process, D, n = renewals(plan), plan.bandit.depth, plan.bandit.arms
    length = burn_in + rounds
    planned = np.full((n, length), -1)
    for i in range(n):
        u = numbers(seed, i, length + 3)
        own = np.arange(process.pointer[i], process.pointer[i + 1])
        by_time, by_cycle = np.cumsum(process.time_share[own]), np.cumsum(process.chance[own])
        law = by_time if stationary else by_cycle
        track: list[int] = []
        k = own[min(np.searchsorted(law, u[0], side="right"), own.size - 1)]
        place = int(u[1] * (process.idle[k] + process.run[k])) if stationary else 0
        used = 2
        while len(track) < length:
            first = D - 1 + process.idle[k] if process.idle[k] else 0
            columns = [-1] * process.idle[k] + [first, *range(D - 1, -1, -1)][: process.run[k]]
            track += columns[place:]
            k = own[min(np.searchsorted(by_cycle, u[used], side="right"), own.size - 1)]
            used, place = used + 1, 0
        planned[i] = track[:length]
    state = np.full(n, 2 * D - 1)
    reward = virtual = 0.0
    below = 0
    for t in range(length):
        ready = [i for i in range(n) if planned[i, t] >= 0]
        below += sum(state[i] < planned[i, t] for i in ready)
        after = after_rest(state, D)
        if ready:
            i = max(ready, key=lambda j: plan.bandit.payoffs[j, planned[j, t]])
            if t >= burn_in:
                reward += payoffs[i, state[i]]
                virtual += payoffs[i, planned[i, t]]
            after[i] = after_play(state[i], D)
        state = after
    return reward / rounds, virtual / rounds, below


@pytest.mark.parametrize("bandit", BANDITS)
@pytest.mark.parametrize(("burn_in", "stationary"), [(0, True), (7, True), (3, False)])
def test_the_kernel_equals_its_twin(bandit: LastSwitchBandit, burn_in: int, stationary: bool) -> None:
    paid = LastSwitchBandit(bandit.payoffs[:, ::-1])  # not monotone: planned states are missed and counted
    plan, seeds = lp_relaxation(bandit), run_seeds(5, 12)
    for payoffs in (bandit, paid):
        runs = simulate_lp_round(plan, 40, seeds, payoffs=payoffs, burn_in=burn_in, stationary=stationary)
        expected = [twin(plan, payoffs.payoffs, 40, int(s), burn_in, stationary) for s in seeds]
        np.testing.assert_allclose(runs.reward, [e[0] for e in expected], rtol=1e-12)
        np.testing.assert_allclose(runs.virtual, [e[1] for e in expected], rtol=1e-12)
        assert runs.below.tolist() == [e[2] for e in expected]


@pytest.mark.parametrize("bandit", BANDITS)
def test_planned_plays_are_worth_the_exact_expectation(bandit: LastSwitchBandit) -> None:
    plan = lp_relaxation(bandit)
    runs = simulate_lp_round(plan, 30, run_seeds(2, 20_000))
    assert virtual_value(plan) in mean_interval(runs.virtual, 1e-6, (0.0, float(bandit.payoffs.max())))
    assert (runs.below == 0).all()
    assert (runs.reward >= runs.virtual - 1e-12).all()


def test_rounding_earns_less_than_the_optimum() -> None:
    for bandit in BANDITS[:5]:
        runs = simulate_lp_round(lp_relaxation(bandit), 400, run_seeds(2, 2000), burn_in=20)
        low = mean_interval(runs.reward, 1e-6).low
        assert low <= optimal_average_reward(bandit).upper


def test_a_run_depends_on_its_seed_alone() -> None:
    plan, seeds = lp_relaxation(sorted_payoffs(n=4, D=3, seed=3)), run_seeds(9, 20)
    whole = simulate_lp_round(plan, 50, seeds)
    assert np.array_equal(simulate_lp_round(plan, 50, seeds[::-1]).reward[::-1], whole.reward)
    assert np.array_equal(simulate_lp_round(plan, 50, seeds[4:5]).virtual, whole.virtual[4:5])


@pytest.mark.parametrize("bandit", BANDITS)
def test_the_shares_of_the_renewals_add_up(bandit: LastSwitchBandit) -> None:
    plan = lp_relaxation(bandit)
    process = renewals(plan)
    for i in range(bandit.arms):
        own = slice(process.pointer[i], process.pointer[i + 1])
        assert process.time_share[own].sum() == pytest.approx(1)
        assert process.chance[own].sum() == pytest.approx(1)
        assert (process.idle[own][-1], process.run[own][-1]) == (1, 0)
        plays = (process.time_share * process.run / (process.idle + process.run))[own].sum()
        assert plays == pytest.approx(plan.play_share[i])


def exploration(n: int, D: int, sweeps: int) -> list[int]:
    """The arms played while exploring, -1 for none."""
    played: list[int] = []
    for i in range(n):
        played.append(i)
        for _ in range(sweeps):
            for d in range(1, D + 1):
                played += [-1] * d + [i] * (D + 1)
    return played + [-1] * D


@pytest.mark.parametrize(("n", "D", "sweeps"), [(1, 1, 1), (2, 3, 2), (3, 2, 4)])
def test_exploration_visits_what_it_says(n: int, D: int, sweeps: int) -> None:
    """The schedule is played out: its length, its reward, and that it ends in full rest."""
    bandit = sorted_payoffs(n=n, D=D, seed=7)
    state, visits, reward = np.full(n, 2 * D - 1), np.zeros((n, 2 * D), dtype=int), 0.0
    schedule = exploration(n, D, sweeps)
    for arm in schedule:
        after = after_rest(state, D)
        if arm >= 0:
            visits[arm, state[arm]] += 1
            reward += bandit.payoffs[arm, state[arm]]
            after[arm] = after_play(state[arm], D)
        state = after
    assert len(schedule) == exploration_rounds(n, D, sweeps)
    assert (state == 2 * D - 1).all()
    visits[:, -1] -= 1  # the first play of an arm is not used
    assert np.array_equal(visits, np.tile(np.repeat([sweeps * D, sweeps], D), (n, 1)))
    # what is left after one round of commitment is the reward of exploration and of that round
    run = explore_then_commit(bandit, len(schedule) + 1, run_seeds(1, 5), sweeps=sweeps)
    assert run.exploration == len(schedule)
    assert ((run.reward >= reward - 1e-12) & (run.reward <= reward + bandit.payoffs.max() + 1e-12)).all()


def test_errors_of_estimates_shrink_and_certain_payoffs_are_learnt_at_once() -> None:
    bandit = sorted_payoffs(n=3, D=2, seed=2)
    errors = [explore_then_commit(bandit, 200_000, run_seeds(3, 20), sweeps=N).error.mean() for N in (10, 1000)]
    assert errors[1] < 0.2 * errors[0]
    certain = explore_then_commit(round_robin_arms(n=3), 5000, run_seeds(3, 200), sweeps=1)
    assert certain.error.max() == 0
    plan = lp_relaxation(round_robin_arms(n=3))
    explored = exploration_rounds(3, 2, 1)
    later = simulate_lp_round(plan, 5000 - explored, run_seeds(3, 200)).reward * (5000 - explored)
    assert np.ptp(certain.reward - later) <= 1e-9


def test_sweeps_grow_like_the_horizon_to_the_two_thirds() -> None:
    counts = [sweeps_for(3, 2, T) for T in (10**6, 10**9)]
    assert counts[1] / counts[0] == pytest.approx(100, rel=0.01)
    assert sweeps_for(50, 20, 10) == 1


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda plan: simulate_lp_round(plan, 0, [1]), "at least 1 round, after a burn-in of 0 or more, not 0 after 0"),
        (lambda plan: simulate_lp_round(plan, 5, [1], burn_in=-1), "not 5 after -1"),
        (lambda plan: simulate_lp_round(plan, 5, [1], payoffs=sorted_payoffs(n=2)), r"\(3, 6\), not \(2, 6\)"),
        (lambda plan: simulate_lp_round(plan, 5, [-1]), "whole numbers"),
        (lambda plan: explore_then_commit(plan.bandit, 5000, [1], sweeps=0), "at least one sweep is needed, not 0"),
        (lambda plan: explore_then_commit(plan.bandit, 60, [1], sweeps=1), "1 sweeps take 60 rounds of a horizon of 60"),
        (lambda plan: explore_then_commit(pinwheel_arms(payoffs=(1.0, 3.0)), 5000, [1]), "at most 1, not 3.0"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_sentence(call, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        call(lp_relaxation(sorted_payoffs()))
