r"""Rounding a plan of cycles by independent virtual processes, and exploring first when the payoffs are unknown.

Each arm runs a *virtual* renewal process of its own: cycles of the plan in proportion to their rates, and idle rounds in
proportion to the time that the plan leaves over. At a random time, cycle k of an arm is under way with probability
rate[k] (idle[k] + run[k]), its place in it uniform; started there the process is stationary, and in every round it plays for
the j-th time in cycle k with probability rate[k] exactly. Of the arms whose virtual processes play, the one with the largest
planned payoff is played. So real plays are virtual plays, an arm is never less rested than it virtually is, and with monotone
payoffs never pays less.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bandits import _kernels_last_switch
from bandits.last_switch import Floats, LastSwitchBandit
from bandits.last_switch_planning import CyclePlan, Whole, lp_relaxation
from theory.errors import InputError
from theory.random_streams import read_seeds


@dataclass(frozen=True, eq=False)
class Renewals:
    """The virtual processes of a plan: the cycles of arm i are ``pointer[i] : pointer[i + 1]``, idle rounds the last of them.

    ``idle`` and ``run`` are the rounds of rest and the plays of a cycle, ``time_share`` the probability that it is under way
    at a fixed time, ``chance`` that it is the next to begin, shape (cycles,) each; the latter two add up to 1 for each arm.
    """

    pointer: Whole
    idle: Whole
    run: Whole
    time_share: Floats
    chance: Floats


@dataclass(frozen=True, eq=False)
class RoundingRuns:
    """Independent runs of the rounding, shape (runs,) each.

    ``reward`` is the expected reward a round, given the plays; ``virtual`` what the same plays pay in their planned states;
    ``below`` counts the virtual plays, made or not, of arms that were less rested than planned: 0 by construction.
    """

    reward: Floats
    virtual: Floats
    below: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CommitRuns:
    """Independent runs of exploring first: ``reward`` is the expected reward of all ``horizon`` rounds given the plays, (runs,).

    ``exploration`` is the number of rounds before the commitment, ``error`` the largest error of an estimated payoff, (runs,).
    """

    horizon: int
    exploration: int
    reward: Floats
    error: Floats


def renewals(plan: CyclePlan) -> Renewals:
    """The virtual renewal processes of ``plan``."""
    n = plan.bandit.arms
    busy = np.asarray(np.bincount(plan.arm, weights=plan.rate * (plan.idle + plan.run), minlength=n), dtype=float)
    arm = np.append(plan.arm, np.arange(n))
    order = np.argsort(arm, kind="stable")  # an arm's idle rounds come after its cycles
    idle, run = np.append(plan.idle, np.ones(n, dtype=np.int64))[order], np.append(plan.run, np.zeros(n, dtype=np.int64))[order]
    rate: Floats = np.append(plan.rate, np.clip(1 - busy, 0.0, None))[order]
    time: Floats = rate * (idle + run)
    arm = arm[order]
    return Renewals(
        pointer=np.append(0, np.cumsum(np.bincount(arm, minlength=n))),
        idle=idle,
        run=run,
        time_share=time / np.bincount(arm, weights=time)[arm],
        chance=rate / np.bincount(arm, weights=rate)[arm],
    )


def simulate_lp_round(
    plan: CyclePlan,
    rounds: int,
    seeds: ArrayLike,
    *,
    payoffs: LastSwitchBandit | None = None,
    burn_in: int = 0,
    stationary: bool = True,
) -> RoundingRuns:
    """Independent runs of the rounding of ``plan``, one for each of ``seeds``, averaged over ``rounds`` after ``burn_in``.

    Every run draws its own phases, and starts with all arms at full rest. ``payoffs`` (the plan's own unless given) are what
    plays earn, while the plan's decide which arm is played. With ``stationary`` False all virtual processes begin a cycle in
    the first round instead. A run depends on its seed alone. Raises :class:`InputError` for fewer than 1 round, or
    payoffs of another shape than the plan's.
    """
    paid = plan.bandit if payoffs is None else payoffs
    if rounds < 1 or burn_in < 0:
        raise InputError(f"a run has at least 1 round, after a burn-in of 0 or more, not {rounds} after {burn_in}.")
    if paid.payoffs.shape != plan.bandit.payoffs.shape:
        raise InputError(f"the plan is for payoffs of shape {plan.bandit.payoffs.shape}, not {paid.payoffs.shape}.")
    virtual = renewals(plan)
    reward, planned, below = _kernels_last_switch.independent_renewals(
        virtual.pointer,
        virtual.idle,
        virtual.run,
        _cumulative(virtual.time_share, virtual.pointer),
        _cumulative(virtual.chance, virtual.pointer),
        plan.bandit.payoffs,
        paid.payoffs,
        stationary,
        burn_in,
        rounds,
        read_seeds(seeds),
    )
    return RoundingRuns(reward, planned, below)


def _cumulative(weights: Floats, pointer: Whole) -> Floats:
    """Partial sums of ``weights``, begun anew for each arm."""
    return np.concatenate([np.cumsum(weights[a:b]) for a, b in itertools.pairwise(pointer)])


def exploration_rounds(arms: int, depth: int, sweeps: int) -> int:
    """The rounds that ``sweeps`` sweeps of :func:`explore_then_commit` take, n (1 + 3 D (D + 1) sweeps / 2) + D."""
    return arms * (1 + sweeps * 3 * depth * (depth + 1) // 2) + depth


def sweeps_for(arms: int, depth: int, horizon: int) -> int:
    r"""The number N of sweeps, about T^(2/3), that balances 3nD(D+1)N/2 rounds and :math:`2T\sqrt{\ln(4nD)/(2N)}`; at least 1."""
    cost = 1.5 * arms * depth * (depth + 1)
    return max(round(float((horizon * np.sqrt(np.log(4 * arms * depth) / 2) / cost) ** (2 / 3))), 1)


def explore_then_commit(bandit: LastSwitchBandit, horizon: int, seeds: ArrayLike, *, sweeps: int | None = None) -> CommitRuns:
    """Estimate all payoffs first, then round the plan that is optimal for the estimates; rewards are 0 or 1.

    Arms are explored one after another, from full rest: a play, and then, ``sweeps`` times over (:func:`sweeps_for` unless
    given), d rounds of rest and D + 1 plays for d = 1, ..., D. Each sweep shows a reward of every p(d), and D of every p(-m).
    After D rounds without a play, in which all arms come to full rest, the plan for the mean rewards is rounded to the end.

    Raises :class:`InputError` for payoffs above 1, fewer than 1 sweep, and a horizon that leaves no round after exploration.
    """
    n, D = bandit.arms, bandit.depth
    count = sweeps_for(n, D, horizon) if sweeps is None else sweeps
    if bandit.payoffs.max() > 1:
        raise InputError(f"rewards of 0 or 1 need payoffs of at most 1, not {bandit.payoffs.max()}.")
    if count < 1:
        raise InputError(f"at least one sweep is needed, not {count}.")
    exploration = exploration_rounds(n, D, count)
    if exploration >= horizon:
        raise InputError(f"{count} sweeps take {exploration} rounds of a horizon of {horizon}.")
    samples = np.repeat([count * D, count], D)
    explored = float((bandit.payoffs @ samples).sum() + bandit.payoffs[:, -1].sum())
    each = read_seeds(seeds)
    reward, error = np.empty(each.size), np.empty(each.size)
    for r, seed in enumerate(each):
        estimate = np.random.default_rng(int(seed)).binomial(samples, bandit.payoffs) / samples
        error[r] = np.abs(estimate - bandit.payoffs).max()
        plan = lp_relaxation(LastSwitchBandit(estimate))
        committed = simulate_lp_round(plan, horizon - exploration, each[r : r + 1], payoffs=bandit)
        reward[r] = explored + (horizon - exploration) * committed.reward[0]
    return CommitRuns(horizon, exploration, reward, error)
