r"""Planning in last-switch-dependent bandits: the exact optimum, the relaxation by linear programming, and simple policies.

The relaxation counts cycles. Let x(i, d, m) be how often in a round arm i begins to "rest d rounds, then play m times in a
row", 1 <= d <= D and 1 <= m <= D + 1, and x(i, 0, 1) how often it is played once more after D + 1 plays or more, at p_i(-D):

    maximise sum v(i, d, m) x(i, d, m),  v(i, d, m) = p_i(d) + p_i(-1) + ... + p_i(1 - m),  v(i, 0, 1) = p_i(-D),
    subject to  sum_{d,m} (d + m) x(i, d, m) <= 1 for every arm,  sum_{i,d,m} m x(i, d, m) <= 1,  x >= 0.

Every schedule is such a list of cycles (longer rests count as D and idle time), so that no policy earns more in the long run.
At a price lambda >= 0 of a play the arms come apart, and by duality the value of the programme is

    min_{lambda >= 0} lambda + sum_i max(0, max_{d,m} (v(i, d, m) - lambda m) / (d + m)),

a convex function of one number, linear between breakpoints. Any lambda bounds the programme from above.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bandits.last_switch import Floats, LastSwitchBandit, after_play, after_rest
from mdplab.models import TabularMDP
from mdplab.solvers.average_reward import AverageRewardSolution, relative_value_iteration
from mdplab.solvers.evaluation import accumulated_rounding
from theory.errors import InputError

LARGEST_MODEL = 300_000  # states of the exact model
CRUMB = 1e-14  # a share of time this small is what rounding left of none
LONGEST_ORBIT = 1_000_000  # rounds after which a deterministic policy must have come back to a state

Whole = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CyclePlan:
    """A feasible point of the relaxation of ``bandit``, and the interval that contains the value of the programme.

    Cycle k is "arm ``arm[k]`` rests ``idle[k]`` rounds, then plays ``run[k]`` times" and begins ``rate[k]`` > 0 times a round,
    arrays of shape (K,), the arms in increasing order; idle 0 stands for a play at p(-D) without a rest. ``lower`` is what the
    plan earns, ``upper`` the dual value at the price ``price`` of a play. At most one arm has two kinds of cycles.
    """

    bandit: LastSwitchBandit
    arm: Whole
    idle: Whole
    run: Whole
    rate: Floats
    price: float
    lower: float
    upper: float

    @property
    def value(self) -> float:
        """The middle of the interval, within half of its width of the value of the programme."""
        return (self.lower + self.upper) / 2

    @property
    def width(self) -> float:
        """``upper - lower``, a few units of rounding."""
        return self.upper - self.lower

    @property
    def play_share(self) -> Floats:
        """The share of the rounds in which each arm plans to play, shape (n,); they add up to at most 1."""
        return np.asarray(np.bincount(self.arm, weights=self.rate * self.run, minlength=self.bandit.arms), dtype=float)

    def events(self) -> tuple[Whole, Whole, Floats]:
        """The planned plays: arm, column of the planned state, and probability in a round; shape (sum of ``run``,) each."""
        D = self.bandit.depth
        cycle = np.repeat(np.arange(self.run.size), self.run)
        place = np.arange(cycle.size) - np.repeat(np.cumsum(self.run) - self.run, self.run)
        first = np.where(self.idle > 0, D - 1 + self.idle, 0)
        column = np.where(place == 0, first[cycle], D - place)
        return self.arm[cycle], column, self.rate[cycle]


def last_switch_mdp(bandit: LastSwitchBandit) -> TabularMDP:
    """The bandit as a model of (2D)^n states; action i < n plays arm i, action n none. Raises InputError above 300,000 states.

    State s has the columns of the arms as its digits to the base 2D, that of arm 0 first. The discount is 1.
    """
    n, D = bandit.arms, bandit.depth
    if (2 * D) ** n > LARGEST_MODEL:
        raise InputError(f"{n} arms of depth {D} have {(2 * D) ** n} states together, more than {LARGEST_MODEL}.")
    states = (2 * D) ** n
    weights = (2 * D) ** np.arange(n - 1, -1, -1)
    columns = np.arange(states)[:, None] // weights % (2 * D)
    rested = after_rest(columns, D)
    following = np.repeat((rested @ weights)[:, None], n + 1, axis=1)
    following[:, :n] += (after_play(columns, D) - rested) * weights
    reward = np.hstack([bandit.payoffs[np.arange(n), columns], np.zeros((states, 1))])
    return TabularMDP(
        state_pointer=np.arange(states + 1) * (n + 1),
        row_pointer=np.arange(states * (n + 1) + 1),
        next_state=following.ravel().astype(np.int32),
        probability=np.ones(states * (n + 1)),
        reward=reward.ravel(),
        gamma=1.0,
    )


def optimal_average_reward(bandit: LastSwitchBandit, *, tol: float = 1e-9) -> AverageRewardSolution:
    """The largest long-run average reward, within a bracket of width ``tol`` (of the largest payoff), and a policy.

    Relative value iteration on :func:`last_switch_mdp`, made aperiodic by staying put with probability 1/2. All states have
    the same optimal gain, since D rounds of rest lead from each to one.
    """
    largest = float(bandit.payoffs.max())
    return relative_value_iteration(last_switch_mdp(bandit), tol=tol * (largest or 1.0), laziness=0.5)


def lp_relaxation(bandit: LastSwitchBandit, *, longest_run: int | None = None) -> CyclePlan:
    """An optimal vertex of the relaxation, with the price of a play that proves it.

    The dual function is minimised by cutting planes: the lines of a price that is too low and of one that is too high meet at
    the next price. This ends after finitely many steps, with two optimal choices of cycles at the final price; one arm mixes
    the two so that the plays add up to 1. ``longest_run`` (D + 1 unless given) leaves out cycles of more plays; with fewer than
    D + 1 the programme is no relaxation any more. Raises :class:`InputError` for a run of fewer than 1 or more than D + 1 plays.
    """
    n, D = bandit.arms, bandit.depth
    longest = D + 1 if longest_run is None else longest_run
    if not 1 <= longest <= D + 1:
        raise InputError(f"the longest run of plays in a cycle lies between 1 and D + 1 = {D + 1}, not at {longest}.")
    # the choice 0 is to leave the arm alone, the choice 1 to play it without a rest
    idle = np.concatenate([[1, 0], np.repeat(np.arange(1, D + 1), longest)])
    run = np.concatenate([[0, 1], np.tile(np.arange(1, longest + 1), D)])
    values = np.hstack([np.zeros((n, 1)), bandit.payoffs[:, :1], _cycle_values(bandit)[:, :, :longest].reshape(n, -1)])
    length = (idle + run).astype(float)
    each = np.arange(n)

    def best(price: float) -> tuple[Whole, float]:
        profit = (values - price * run) / length
        choice = profit.argmax(axis=1)
        return choice, price + float(profit[each, choice].sum())

    def share(choice: Whole) -> Floats:
        return run[choice] / length[choice]

    price = 0.0
    many, dual = best(price)
    few = np.zeros(n, dtype=np.int64)  # optimal where a play costs more than it ever pays
    rounding = accumulated_rounding(4 * (n + D + 4)) * (n + 1) * float(bandit.payoffs.max())
    if share(many).sum() <= 1:
        few = many
    while share(many).sum() > 1:
        earned = [float((values[each, choice] / length[choice]).sum()) for choice in (many, few)]
        price = (earned[0] - earned[1]) / float(share(many).sum() - share(few).sum())
        choice, dual = best(price)
        line = price + earned[1] - price * float(share(few).sum())
        # where the function is above the line its slope lies strictly between the two; rounding alone can have it otherwise
        if dual <= line + rounding or not share(few).sum() < share(choice).sum() < share(many).sum():
            break
        if share(choice).sum() > 1:
            many = choice
        else:
            few = choice
    return _mixed_plan(bandit, idle, run, values, (many, few), price, dual, rounding)


def _cycle_values(bandit: LastSwitchBandit) -> Floats:
    """v(i, d, m), shape (n, D, D + 1), for d = 1, ..., D and m = 1, ..., D + 1."""
    D = bandit.depth
    repeated = np.cumsum(bandit.payoffs[:, D - 1 :: -1], axis=1)
    return bandit.payoffs[:, D:, None] + np.pad(repeated, ((0, 0), (1, 0)))[:, None, :]


def _mixed_plan(
    bandit: LastSwitchBandit,
    idle: Whole,
    run: Whole,
    values: Floats,
    choices: tuple[Whole, Whole],
    price: float,
    dual: float,
    rounding: float,
) -> CyclePlan:
    """Of two optimal choices of cycles, the first with too many plays, a mixture whose plays add up to 1.

    The arms change from the second choice to the first in turn, until the next one would play too much and mixes both.
    """
    many, few = choices
    shares = [run[c] / (idle[c] + run[c]) for c in (many, few)]
    room = max(1 - float(shares[1].sum()), 0.0)
    entries: list[tuple[int, int, float]] = []  # arm, cycle, share of time
    for i in range(bandit.arms):
        more = float(shares[0][i] - shares[1][i])
        weight = 1.0 if more <= room else room / more
        room = max(room - weight * more, 0.0)
        entries += [(i, int(many[i]), weight), (i, int(few[i]), 1 - weight)]
    kept = [(i, c, w) for i, c, w in entries if w > CRUMB and run[c] > 0]
    arm = np.array([i for i, _, _ in kept], dtype=np.int64)
    cycle = np.array([c for _, c, _ in kept], dtype=np.int64)
    rate = np.array([w for _, _, w in kept]) / (idle[cycle] + run[cycle])
    earned = float(rate @ values[arm, cycle])
    return CyclePlan(bandit, arm, idle[cycle], run[cycle], rate, price, earned - rounding, max(dual, earned) + rounding)


def virtual_value(plan: CyclePlan, payoffs: LastSwitchBandit | None = None) -> float:
    """E[max_i V_i]: what the best planned play of a round is worth on average if the arms are independent, exactly.

    In a round, arm i plans the play of planned state tau with the probability that ``plan`` gives it, at most one; the play
    that is best by the plan's own payoffs is chosen (of equals the lowest arm) and worth p_i(tau), of ``payoffs`` if given.
    """
    owner, column, chance = plan.events()
    worth = plan.bandit.payoffs if payoffs is None else payoffs.payoffs
    if worth.shape != plan.bandit.payoffs.shape:
        raise InputError(f"the plan is for payoffs of shape {plan.bandit.payoffs.shape}, not {worth.shape}.")
    absent = np.ones(plan.bandit.arms)  # the probability that an arm has no better play than those still to come
    total = 0.0
    for e in np.lexsort((owner, -plan.bandit.payoffs[owner, column])):
        i = owner[e]
        total += float(chance[e] * np.prod(np.delete(absent, i)) * worth[i, column[e]])
        absent[i] -= chance[e]
    return total


def memoryless_value(plan: CyclePlan) -> float:
    """The average reward of independent coins, exactly: in each round arm i is a candidate with its planned share of plays.

    Of the candidates the one with the largest planned reward a play is played (of equals the lowest arm). So arm i is played
    with the same probability r in every round, and has rested d < D rounds with probability r (1 - r)^d.
    """
    n, D = plan.bandit.arms, plan.bandit.depth
    owner, column, chance = plan.events()
    share = plan.play_share
    earned = np.bincount(owner, weights=chance * plan.bandit.payoffs[owner, column], minlength=n)
    order = np.argsort(-earned / np.where(share > 0, share, np.inf), kind="stable")
    ahead = np.cumprod(np.append(1.0, 1 - share[order]))[:-1]
    r = np.empty(n)
    r[order] = share[order] * ahead
    r = r[:, None]
    m = np.arange(1, D)
    law = np.hstack([r**D, ((1 - r) * r**m)[:, ::-1], r * (1 - r) ** m, (1 - r) ** D])
    return float((r * law * plan.bandit.payoffs).sum())


def greedy_average_reward(bandit: LastSwitchBandit) -> float:
    """The long-run average of always playing the arm that pays most now (of equals the lowest), from full rest, exactly."""
    arms = np.arange(bandit.arms)
    return _orbit_mean(bandit, lambda columns: int(np.argmax(bandit.payoffs[arms, columns])))


def schedule_average_reward(bandit: LastSwitchBandit, schedule: Sequence[int]) -> float:
    """The long-run average of a schedule of arms (n stands for none) that is repeated for ever, exactly."""
    slots = [int(i) for i in schedule]
    if not slots or not all(0 <= i <= bandit.arms for i in slots):
        raise InputError(f"a schedule is a list of arms 0 to {bandit.arms - 1}, or {bandit.arms} for none, not {schedule}.")
    warm = -(-(bandit.depth + 1) // len(slots))  # after D + 1 rounds the state is that of the slots before
    total = 0.0
    columns = np.full(bandit.arms, 2 * bandit.depth - 1)
    for _ in range(warm + 1):
        total = 0.0
        for slot in slots:
            reward, columns = _step(bandit, columns, slot)
            total += reward
    return total / len(slots)


def _step(bandit: LastSwitchBandit, columns: Whole, chosen: int) -> tuple[float, Whole]:
    """The reward of playing arm ``chosen`` (n for none), and the columns after the round."""
    after = after_rest(columns, bandit.depth)
    if chosen == bandit.arms:
        return 0.0, after
    after[chosen] = after_play(columns[chosen], bandit.depth)
    return float(bandit.payoffs[chosen, columns[chosen]]), after


def _orbit_mean(bandit: LastSwitchBandit, rule: Callable[[Whole], int]) -> float:
    """The mean reward on the cycle that a deterministic rule, arm by columns, falls into from full rest."""
    columns: Whole = np.full(bandit.arms, 2 * bandit.depth - 1)
    seen: dict[bytes, int] = {}
    rewards: list[float] = []
    while columns.tobytes() not in seen:
        if len(rewards) == LONGEST_ORBIT:
            raise InputError(f"the policy has not come back to a state within {LONGEST_ORBIT} rounds.")
        seen[columns.tobytes()] = len(rewards)
        reward, columns = _step(bandit, columns, rule(columns))
        rewards.append(reward)
    return float(np.mean(rewards[seen[columns.tobytes()] :]))
