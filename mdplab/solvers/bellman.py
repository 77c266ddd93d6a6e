"""Bellman operators, and the sweeps that solvers are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models import ModelError, TabularMDP
from mdplab.solvers import _kernels
from mdplab.solvers.bounds import bracket_shifts
from mdplab.solvers.policy import as_probabilities, state_sum
from mdplab.solvers.solution import Solution

Floats = NDArray[np.float64]
BLOCKS = 16  # fixed, so that results do not depend on the number of threads
PARALLEL_TRANSITIONS = 400_000  # below, starting threads costs more than a sweep


def bellman_operator(mdp: TabularMDP, value: ArrayLike) -> Floats:
    """(TV)(s) = max_a R(s, a) + gamma sum_s' P(s'|s, a) V(s'), shape (S,); any gamma in [0, 1]."""
    return Sweeper(mdp).backup(_as_value(mdp, value))


def q_values(mdp: TabularMDP, value: ArrayLike) -> Floats:
    """Q(s, a) = R(s, a) + gamma sum_s' P(s'|s, a) V(s') for every pair, shape (N,)."""
    out = np.empty(mdp.pairs)
    _kernels.pair_values(mdp.row_pointer, mdp.next_state, mdp.probability, mdp.reward, mdp.gamma, _as_value(mdp, value), out)
    return out


def policy_operator(mdp: TabularMDP, policy: ArrayLike, value: ArrayLike) -> Floats:
    """(T_pi V)(s) = sum_a pi(a|s) [R(s, a) + gamma sum_s' P(s'|s, a) V(s')], shape (S,)."""
    return state_sum(mdp, as_probabilities(mdp, policy) * q_values(mdp, value))


def _as_value(mdp: TabularMDP, value: ArrayLike) -> Floats:
    vector = np.ascontiguousarray(value, dtype=np.float64)
    if vector.shape != (mdp.states,):
        raise ModelError(f"a value of this model has shape ({mdp.states},), not {vector.shape}.")
    return vector


def check_solvable(mdp: TabularMDP, tol: float) -> None:
    """ModelError unless gamma < 1 and tol > 0."""
    if not mdp.gamma < 1:
        raise ModelError(f"a discounted solver needs a discount below 1, but this model's is {mdp.gamma}.")
    if not tol > 0:
        raise ModelError(f"the tolerance is {tol}; it must be positive.")


class Sweeper:
    """The arrays that sweeps over one model need, and the choice between serial and parallel kernels."""

    def __init__(self, mdp: TabularMDP):
        self.mdp = mdp
        self.parallel = mdp.transitions >= PARALLEL_TRANSITIONS
        blocks = BLOCKS if self.parallel else 1
        self.low, self.high = np.empty(blocks), np.empty(blocks)
        self.changed = np.empty(blocks, dtype=np.int64)
        self.policy = np.full(mdp.states, -1, dtype=np.int64)
        self.restricted: tuple[NDArray, ...] | None = None
        self.rows = (
            mdp.row_pointer.view(np.uint64),
            mdp.next_state.view(np.uint32),
            mdp.probability,
            mdp.reward,
            mdp.gamma,
        )
        self._model = (mdp.state_pointer.view(np.uint64), *self.rows)

    @property
    def share(self) -> float:
        """The work of a sweep of one policy in units of a sweep over all actions."""
        return self.mdp.states / self.mdp.pairs

    def backup(self, value: Floats, out: Floats | None = None) -> Floats:
        """out = T value; fills ``policy`` and the extremes of the change."""
        out = np.empty_like(value) if out is None else out
        kernel: Any = _kernels.backup_parallel if self.parallel else _kernels.backup_serial
        kernel(*self._model, value, out, self.policy, self.low, self.high, self.changed)
        return out

    def improve(self, value: Floats, old: Floats, forward: bool) -> None:
        """One Gauss-Seidel sweep of the optimality operator on ``value``; ``old`` is overwritten."""
        if self.parallel:
            old[:] = value
        kernel: Any = _kernels.improve_parallel if self.parallel else _kernels.improve_serial
        kernel(*self._model, value, old if self.parallel else value, self.policy, forward, self.changed)

    def follow(self, value: Floats, other: Floats, target: float, most: int) -> tuple[Floats, Floats, int, float, float]:
        """Jacobi sweeps of the policy's operator until the span of the change is ``target`` times the first, ``most`` at most.

        Returns the new values, the array of the values before, the number of sweeps, and the first and the last span.
        """
        kernel: Any = _kernels.follow_parallel if self.parallel else _kernels.follow_serial
        policy = self.policy.view(np.uint64)
        sweeps, first, last = kernel(*self.rows, policy, value, other, self.low, self.high, target, most)
        return (other, value, sweeps, first, last) if sweeps % 2 else (value, other, sweeps, first, last)

    def restrict(self) -> None:
        """Copy out the rows of the current policy, without self-loops, for :meth:`evaluate`."""
        if self.restricted is None:
            m = self.mdp
            longest = np.maximum.reduceat(np.diff(m.row_pointer), m.state_pointer[:-1])
            size = int(longest.sum())  # no policy has more transitions
            rows = np.empty(m.states + 1, dtype=np.uint64)
            self.restricted = (rows, np.empty(size, np.uint32), np.empty(size), np.empty(m.states), np.empty(m.states))
        kernel: Any = _kernels.restrict
        kernel(*self.rows, self.policy.view(np.uint64), *self.restricted)

    def evaluate(self, value: Floats, old: Floats, forward: bool) -> float:
        """One Gauss-Seidel sweep of the restricted policy's operator on ``value``; returns the span of the change."""
        assert self.restricted is not None
        if self.parallel:
            old[:] = value
        kernel: Any = _kernels.evaluate_parallel if self.parallel else _kernels.evaluate_serial
        kernel(*self.restricted, value, old if self.parallel else value, forward, self.low, self.high)
        return float(self.high.max() - self.low.min())

    @property
    def extremes(self) -> tuple[float, float]:
        """The smallest and largest change of the last Jacobi sweep."""
        return float(self.low.min()), float(self.high.max())


def certify(sweeper: Sweeper, value: Floats, backed_up: Floats, iterations: int, method: str) -> Solution:
    """The solution that the Jacobi sweep just made proves: V, TV, its greedy policy and extremes."""
    m, M = sweeper.extremes
    size = float(max(value.max(), -value.min()))
    low, high, _ = bracket_shifts(sweeper.mdp, size, m, M)
    middle = (low + high) / 2
    return Solution(backed_up + middle, backed_up + low, backed_up + high, sweeper.policy.copy(), iterations, method)


def bracket_width(sweeper: Sweeper, value: Floats, tol: float) -> float:
    """The width of the bracket after a Jacobi sweep; ModelError if float64 cannot certify ``tol`` on this model."""
    m, M = sweeper.extremes
    size = float(max(value.max(), -value.min()))
    low, high, rounding = bracket_shifts(sweeper.mdp, size, m, M)
    if high - low > tol and 2 * rounding >= 0.5 * tol and (M - m) / (1 - sweeper.mdp.gamma) <= 100 * rounding:
        raise ModelError(f"a bracket of {tol:g} is finer than float64 can certify here; {3 * rounding:.1g} can be had.")
    return high - low
