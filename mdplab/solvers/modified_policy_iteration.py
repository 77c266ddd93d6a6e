"""Modified policy iteration (Puterman and Shin 1978) that chooses how to evaluate, with a certified bracket.

What an improvement costs and gains depends on how the model mixes. Plain Jacobi sweeps of the policy shrink the *span* of the
error as fast as the chain mixes, whatever the discount: unbeatable on models that mix within some tens of steps. Where next
states lie near their state (walks, queues, inventories), elimination within the band is exact for the price of some sweeps. On
the others (a grid with a distant goal), Gauss-Seidel sweeps under Anderson acceleration carry values along paths and remove slow
directions; they and the plain sweeps are both tried, the one whose work shrinks the bracket faster goes on, and the other is
tried again at growing intervals. An accelerated evaluation that leaves the bracket wider than before is undone.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from mdplab.models import ModelError, TabularMDP
from mdplab.solvers.banded_evaluation import Band
from mdplab.solvers.bellman import Floats, Sweeper, _as_value, bracket_width, certify, check_solvable
from mdplab.solvers.krylov_evaluation import evaluate
from mdplab.solvers.solution import Solution

UNSETTLED = 0.001  # while more than this share of states changes its action, the policy is not worth an accurate evaluation
PLAIN_SWEEPS = 30  # the most sweeps of a plain evaluation
MIXING = 0.2  # a loss of log span a plain sweep that nothing else can beat
STALLED = 0.02  # a rate (of log span an improvement) below which plain evaluation counts as standing still


def modified_policy_iteration(
    mdp: TabularMDP,
    tol: float = 1e-8,
    *,
    steps: int = 40,
    start: ArrayLike | None = None,
    max_iterations: int = 1_000_000,
) -> Solution:
    """Improve the policy by one Jacobi sweep (which also gives the bracket), evaluate it, exactly or not, repeat.

    ``steps`` limits an accelerated evaluation (a step is a backward and a forward Gauss-Seidel sweep). Stops when the bracket
    is at most ``tol`` wide. Raises :class:`ModelError` for gamma = 1, for a tolerance that float64 cannot certify, and when
    ``max_iterations`` improvements do not suffice.
    """
    check_solvable(mdp, tol)
    if steps < 1:
        raise ModelError(f"an evaluation needs one step or more, not {steps}.")
    sweeper = Sweeper(mdp)
    band = Band.of(mdp)
    value = np.zeros(mdp.states) if start is None else _as_value(mdp, start).copy()
    other = np.empty_like(value)
    enough = 0.5 * tol * (1 - mdp.gamma)  # a span of changes that surely gives the bracket
    chooser = _Chooser()
    saved: Floats | None = None
    accelerated, decay, depth = False, 0.0, 0.1
    span, work = math.inf, 1.0
    for k in range(1, max_iterations + 1):
        sweeper.backup(value, other)
        if bracket_width(sweeper, value, tol) <= tol:
            return certify(sweeper, value, other, k, "modified policy iteration")
        low, high = sweeper.extremes
        before, span = span, high - low
        gained = math.log(before / span) if math.isfinite(before) and span > 0 else 0.0
        if k > 1 and band is None:
            chooser.learn(accelerated, gained, work)
        if accelerated and gained < 0 and chooser.plain_gain > STALLED and saved is not None:
            np.copyto(value, saved)  # undo, and go on plainly from where the detour began
            sweeper.backup(value, other)
            span = sweeper.extremes[1] - sweeper.extremes[0]
        value, other = other, value
        if band is not None and sweeper.changed.any():  # an unchanged policy has no better value than its exact one
            band.evaluate(sweeper, value)
            continue
        if not accelerated:  # the deeper a plain evaluation goes, the more the improvement after it must confirm
            depth = max(depth**2, 1e-4) if gained > -0.7 * math.log(depth) else min(math.sqrt(depth), 0.3)
        accelerated = band is None and decay < MIXING and chooser.choose()
        if accelerated:
            saved = value.copy() if saved is None else saved
            np.copyto(saved, value)
            settled = int(sweeper.changed.sum()) <= UNSETTLED * mdp.states
            if not settled:
                sweeper.improve(value, other, forward=False)
                sweeper.improve(value, other, forward=True)
            sweeper.restrict()
            reduction, most = (0.02, steps) if settled else (0.1, min(steps, 12))
            value, taken = evaluate(sweeper, value, other, reduction=reduction, most=most)
            work = sweeper.share * 4 * taken + (1 if settled else 3)
        else:
            target = max(depth, enough / span)
            value, other, sweeps, first, last = sweeper.follow(value, other, target, PLAIN_SWEEPS)
            decay = math.log(first / last) / (sweeps - 1) if sweeps > 1 and last > 0 else math.inf
            work = sweeper.share * sweeps + 1
    raise ModelError(f"modified policy iteration did not reach a bracket of {tol:g} within {max_iterations} improvements.")


class _Chooser:
    """Which evaluation shrinks the span more for its work; the loser is tried again after 2, 4, 8, ... improvements."""

    def __init__(self) -> None:
        self.rates = {False: math.nan, True: math.nan}
        self.plain_gain = 0.0
        self.patience, self.waited = 2, 0

    def learn(self, accelerated: bool, gained: float, work: float) -> None:
        """Note what an evaluation and the improvement after it gained in log span, for how many sweeps' work."""
        if not accelerated:
            self.plain_gain = gained
        known = self.rates[accelerated]
        rate = gained / work
        self.rates[accelerated] = rate if math.isnan(known) else 0.5 * (known + rate)

    def choose(self) -> bool:
        """Whether the next evaluation is accelerated."""
        plain, fast = self.rates[False], self.rates[True]
        if math.isnan(plain) or (math.isnan(fast) and self.waited < 1):
            self.waited += 0 if math.isnan(plain) else 1
            return False
        if math.isnan(fast):
            self.waited = 0
            return plain < 0.3  # a plain sweep that shrinks the span by a quarter leaves nothing to gain
        better = fast > plain
        self.waited += 1
        if self.waited > self.patience:
            self.waited, self.patience = 0, 2 * self.patience
            return not better
        return better
