"""Planning: the relaxation against HiGHS and rational arithmetic, the optimum against all cycles, policies by simulation."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

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
from bandits.last_switch_planning import (
    greedy_average_reward,
    last_switch_mdp,
    lp_relaxation,
    memoryless_value,
    optimal_average_reward,
    schedule_average_reward,
    virtual_value,
)
from theory.errors import InputError

DRAWN = (sorted_payoffs, step_payoffs, saturating_payoffs, fully_rested_payoffs)
CROSS = stacked_payoffs(n=2, increments=(0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0))
tables = st.tuples(st.integers(1, 3), st.integers(1, 3)).flatmap(
    lambda size: st.lists(st.integers(0, 6), min_size=2 * size[0] * size[1], max_size=2 * size[0] * size[1]).map(
        lambda cells: LastSwitchBandit(np.reshape(cells, (size[0], -1)) / 4)
    )
)  # payoffs need not be monotone here, and have many ties


def cycles_of(bandit: LastSwitchBandit, longest: int) -> list[tuple[int, int, int, Fraction]]:
    """(arm, rest, plays, value) of every cycle, as the definition has it."""
    D, p = bandit.depth, bandit.payoffs
    listed = []
    for i in range(bandit.arms):
        listed.append((i, 0, 1, Fraction(p[i, 0])))
        for d, m in itertools.product(range(1, D + 1), range(1, longest + 1)):
            listed.append((i, d, m, Fraction(p[i, D - 1 + d]) + sum(Fraction(p[i, D - j]) for j in range(1, m))))
    return listed


def highs(bandit: LastSwitchBandit, longest: int) -> float:
    cycles = cycles_of(bandit, longest)
    A = np.zeros((bandit.arms + 1, len(cycles)))
    for k, (i, d, m, _) in enumerate(cycles):
        A[i, k], A[-1, k] = d + m, m
    return -linprog([-float(v) for *_, v in cycles], A_ub=A, b_ub=np.ones(bandit.arms + 1), method="highs").fun


def exact_dual(bandit: LastSwitchBandit) -> Fraction:
    """The least value of the dual function, over all of its breakpoints, in rational arithmetic."""
    lines = [[(Fraction(0), Fraction(0))] for _ in range(bandit.arms)]
    for i, d, m, v in cycles_of(bandit, bandit.depth + 1):
        lines[i].append((v / (d + m), Fraction(m, d + m)))
    prices = {Fraction(0)}
    for arm in lines:
        prices |= {(a - c) / (b - e) for (a, b), (c, e) in itertools.combinations(arm, 2) if b != e}
    return min(q + sum(max(a - q * b for a, b in arm) for arm in lines) for q in prices if q >= 0)


@settings(max_examples=60, deadline=None)
@given(tables)
def test_the_relaxation_brackets_the_exact_value(bandit: LastSwitchBandit) -> None:
    plan = lp_relaxation(bandit)
    exact = float(exact_dual(bandit)) if bandit.depth < 3 else highs(bandit, bandit.depth + 1)
    assert plan.lower - 1e-9 <= exact <= plan.upper + 1e-9
    assert plan.width <= 1e-11
    if bandit.depth < 3:
        assert plan.lower <= exact <= plan.upper


@settings(max_examples=60, deadline=None)
@given(tables, st.integers(1, 4))
def test_plans_are_feasible_vertices(bandit: LastSwitchBandit, longest: int) -> None:
    longest = min(longest, bandit.depth + 1)
    plan = lp_relaxation(bandit, longest_run=longest)
    assert abs(plan.value - highs(bandit, longest)) <= 1e-9
    assert (plan.rate > 0).all()
    busy = np.bincount(plan.arm, weights=plan.rate * (plan.idle + plan.run), minlength=bandit.arms)
    assert busy.max(initial=0) <= 1 + 1e-12
    assert plan.play_share.sum() <= 1 + 1e-12
    assert (plan.run <= longest).all()
    assert np.count_nonzero(np.bincount(plan.arm) > 1) <= 1  # one arm at most has two kinds of cycles
    values = {(i, d, m): float(v) for i, d, m, v in cycles_of(bandit, longest)}
    keys = zip(plan.arm.tolist(), plan.idle.tolist(), plan.run.tolist())
    assert sum(r * values[key] for r, key in zip(plan.rate, keys)) == pytest.approx(plan.value, abs=1e-12)
    arm, column, chance = plan.events()
    assert (chance * bandit.payoffs[arm, column]).sum() == pytest.approx(plan.value, abs=1e-12)


@pytest.mark.parametrize("make", DRAWN)
@pytest.mark.parametrize("scale", [5e-324, 1e-310, 1e-200, 1e90])
def test_payoffs_of_any_size_have_a_plan(make, scale: float) -> None:
    bandit = LastSwitchBandit(scale * (1 + 5 * make(n=5, D=4, seed=1).payoffs))
    plan = lp_relaxation(bandit)
    assert plan.lower <= plan.upper <= 6 * scale * (1 + 1e-9) + 1e-322  # some steps of the smallest float64
    assert plan.width <= max(1e-11 * plan.upper, 1e-300)


@pytest.mark.parametrize("make", DRAWN)
def test_scaling_and_relabelling_change_nothing_but_the_scale(make) -> None:
    bandit = make(n=4, D=3, seed=8)
    plan, scaled = lp_relaxation(bandit), lp_relaxation(LastSwitchBandit(1e-6 * bandit.payoffs))
    turned = lp_relaxation(LastSwitchBandit(bandit.payoffs[::-1]))
    assert scaled.value == pytest.approx(1e-6 * plan.value, rel=1e-9)
    assert turned.value == pytest.approx(plan.value, rel=1e-12)
    assert virtual_value(scaled) == pytest.approx(1e-6 * virtual_value(plan), rel=1e-9)
    more = lp_relaxation(LastSwitchBandit(bandit.payoffs + 0.01))
    assert plan.value <= more.value <= plan.value + 0.01 + 1e-12


def best_cycle(bandit: LastSwitchBandit) -> Fraction:
    """The largest cycle mean of the graph of joint states by Karp's theorem (1978), in rational arithmetic."""
    n, D = bandit.arms, bandit.depth
    start = (2 * D - 1,) * n
    states, edges = [start], []
    position = {start: 0}
    for state in states:  # grows while it is read
        for chosen in range(n + 1):
            after = after_rest(state, D)
            if chosen < n:
                after[chosen] = after_play(state[chosen], D)
            follower = tuple(after.tolist())
            if follower not in position:
                position[follower] = len(states)
                states.append(follower)
            reward = Fraction(bandit.payoffs[chosen, state[chosen]]) if chosen < n else Fraction(0)
            edges.append((position[state], position[follower], reward))
    best: list[list[Fraction | None]] = [[Fraction(0)] + [None] * (len(states) - 1)]
    for _ in states:
        row: list[Fraction | None] = [None] * len(states)
        for a, b, reward in edges:
            before = best[-1][a]
            if before is not None and (row[b] is None or before + reward > row[b]):
                row[b] = before + reward
        best.append(row)
    N = len(states)
    return max(
        min((last - row[v]) / (N - k) for k, row in enumerate(best[:N]) if row[v] is not None)
        for v, last in enumerate(best[N])
        if last is not None
    )


@pytest.mark.parametrize(
    "bandit",
    [
        *(make(n=2, D=2, seed=s) for make in DRAWN for s in (0, 1)),
        LastSwitchBandit(np.array([[0, 1, 0, 0], [0, 0, 0.5, 0.75]])),
    ],
)
def test_the_optimum_is_the_largest_cycle_mean(bandit: LastSwitchBandit) -> None:
    optimum = optimal_average_reward(bandit)
    assert optimum.lower <= float(best_cycle(bandit)) <= optimum.upper
    assert optimum.upper - optimum.lower <= 1e-9


def test_optima_known_by_hand() -> None:
    assert optimal_average_reward(CROSS).gain == pytest.approx(1.0, abs=1e-9)
    assert lp_relaxation(CROSS).value == pytest.approx(1.25, abs=1e-12)
    weighted = pinwheel_arms(delays=(2, 3), payoffs=(1.0, 2.0))
    assert optimal_average_reward(weighted).gain == pytest.approx(1.0, abs=1e-8)
    assert lp_relaxation(weighted).value == pytest.approx(7 / 6, abs=1e-12)
    assert optimal_average_reward(greedy_trap(D=3)).gain == pytest.approx((1 + 3 * 0.009) / 4, abs=1e-9)
    nothing = LastSwitchBandit(np.zeros((2, 4)))
    assert optimal_average_reward(nothing).gain == 0
    plan = lp_relaxation(nothing)
    assert (plan.value, plan.arm.size, virtual_value(plan), memoryless_value(plan)) == (0, 0, 0, 0)


def test_the_model_has_every_move() -> None:
    mdp = last_switch_mdp(sorted_payoffs(n=2, D=2, seed=5))
    payoffs = sorted_payoffs(n=2, D=2, seed=5).payoffs
    assert (mdp.states, mdp.pairs) == (16, 48)
    state = 3 * 4 + 1  # arm 0 has rested two rounds or more, arm 1 was just played
    pairs = slice(3 * state, 3 * state + 3)
    assert mdp.reward[pairs].tolist() == [payoffs[0, 3], payoffs[1, 1], 0]
    assert mdp.next_state[pairs].tolist() == [1 * 4 + 2, 3 * 4 + 0, 3 * 4 + 2]


@pytest.mark.parametrize("n", [2, 3, 5, 10, 50])
def test_equal_arms_in_closed_form(n: int) -> None:
    bandit = round_robin_arms(n=n)
    plan = lp_relaxation(bandit)
    assert plan.value == pytest.approx(1, abs=1e-12)
    assert virtual_value(plan) == pytest.approx(1 - (1 - 1 / n) ** n, abs=1e-12)
    r = (1 - 1 / n) ** np.arange(n) / n
    assert memoryless_value(plan) == pytest.approx((r * (1 - r) ** (n - 1)).sum(), abs=1e-12)
    assert schedule_average_reward(bandit, range(n)) == 1
    assert schedule_average_reward(bandit, [0]) == 0
    assert schedule_average_reward(bandit, [0] + [n] * (n - 1)) == pytest.approx(1 / n)
    assert greedy_average_reward(bandit) == 1


@settings(max_examples=40, deadline=None)
@given(tables)
def test_the_virtual_value_is_the_expected_maximum(bandit: LastSwitchBandit) -> None:
    """Against enumeration of what all arms may plan at once."""
    plan = lp_relaxation(bandit)
    arm, column, chance = plan.events()
    choices = []
    for i in range(bandit.arms):
        own = [(bandit.payoffs[i, c], p) for a, c, p in zip(arm, column, chance) if a == i]
        choices.append([*own, (0.0, 1 - sum(p for _, p in own))])
    expected = sum(max(v for v, _ in joint) * np.prod([p for _, p in joint]) for joint in itertools.product(*choices))
    assert virtual_value(plan) == pytest.approx(expected, abs=1e-12)
    doubled = LastSwitchBandit(2 * bandit.payoffs)
    assert virtual_value(plan, doubled) == pytest.approx(2 * expected, abs=1e-12)


def test_coins_by_simulation() -> None:
    bandit = sorted_payoffs(n=3, D=3, seed=2)
    plan = lp_relaxation(bandit)
    arm, column, chance = plan.events()
    earned = np.bincount(arm, weights=chance * bandit.payoffs[arm, column], minlength=3)
    density = np.divide(earned, plan.play_share, out=np.zeros(3), where=plan.play_share > 0)
    rng = np.random.default_rng(4)
    runs, total = 20_000, 0.0
    state = np.full((runs, 3), 5)
    for t in range(60):
        candidates = rng.uniform(size=(runs, 3)) < plan.play_share
        chosen = np.argmax(np.where(candidates, density, -1.0), axis=1)
        played = candidates.any(axis=1)
        rows = np.flatnonzero(played)
        if t >= 30:
            total += bandit.payoffs[chosen[rows], state[rows, chosen[rows]]].sum() / runs / 30
        after = after_rest(state, 3)
        after[rows, chosen[rows]] = after_play(state[rows, chosen[rows]], 3)
        state = after
    assert total == pytest.approx(memoryless_value(plan), abs=0.004)


def test_schedules_and_greedy_play_by_hand() -> None:
    bandit = LastSwitchBandit(np.array([[0.0, 0.25, 0.5, 1.0], [0.125, 0.125, 0.125, 0.125]]))
    assert schedule_average_reward(bandit, [0, 0, 1, 1]) == (1 + 0.25 + 0.25) / 4
    assert schedule_average_reward(bandit, [0, 1, 2]) == (1 + 0.125) / 3
    assert schedule_average_reward(bandit, [0]) == 0
    assert greedy_average_reward(bandit) == pytest.approx((0.5 + 0.25 + 0.125) / 3)
    assert greedy_average_reward(greedy_trap(D=6)) == pytest.approx(0.0095)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: last_switch_mdp(sorted_payoffs(n=8, D=3)), "8 arms of depth 3 have 1679616 states together, more than 300000"),
        (lambda: lp_relaxation(sorted_payoffs(), longest_run=0), r"between 1 and D \+ 1 = 4, not at 0"),
        (lambda: lp_relaxation(sorted_payoffs(), longest_run=5), "not at 5"),
        (lambda: virtual_value(lp_relaxation(sorted_payoffs()), sorted_payoffs(n=2)), r"\(3, 6\), not \(2, 6\)"),
        (lambda: schedule_average_reward(sorted_payoffs(), []), "a schedule is a list of arms 0 to 2, or 3 for none"),
        (lambda: schedule_average_reward(sorted_payoffs(), [0, 4]), "a schedule is a list of arms 0 to 2, or 3 for none"),
    ],
)
def test_what_cannot_be_planned_is_refused_in_one_sentence(call, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        call()
