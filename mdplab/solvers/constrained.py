r"""Constrained MDPs: optimal policies, multipliers and certificates (Altman 1999).

In the occupancy d(s, a) of a policy (unnormalised; of step, state and action in an episodic model) the problem is a linear program,

.. math:: \max_{d \ge 0} d \cdot r \quad \text{subject to} \quad d \cdot c_i \le d_i \ (i = 1, \dots, m) \ \text{and the flow equations},

so that strong duality holds although J is not concave in the policy. With the dual function

.. math:: g(\lambda) = \max_\pi J_{r - \sum_i \lambda_i c_i}(\pi) + \lambda \cdot d, \qquad \lambda \ge 0,

every g(lambda) is an upper bound on the optimum, which a solver of unconstrained MDPs certifies. If no policy meets the
constraints, some y >= 0 has min_pi sum_i y_i (J_{c_i}(pi) - d_i) > 0, and the same solver certifies that.

Two methods find the policy and the multipliers. One hands the program to HiGHS. The other is column generation (Dantzig and Wolfe
1961): a small program mixes the returns of the deterministic policies found so far, and the policy that is best for its
multipliers is added, until the bound closes. The second needs a solver of MDPs only, and suits large models.

Rewards and costs are brought to the range [0, 1] first, each by itself; thresholds move with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array, csr_array, vstack

from mdplab.models import EpisodicMDP, ModelError, TabularMDP
from mdplab.models.constrained import ConstrainedMDP
from mdplab.solvers.backward_induction import backward_induction, evaluate_episodic_policy
from mdplab.solvers.bellman import check_solvable
from mdplab.solvers.bounds import UNIT_ROUNDOFF
from mdplab.solvers.evaluation import accumulated_rounding, discounted_visits, evaluate_rewards
from mdplab.solvers.modified_policy_iteration import modified_policy_iteration
from mdplab.solvers.occupancy import discounted_occupancy, episodic_occupancy, policy_from_occupancy
from mdplab.solvers.policy import Floats, as_episodic_probabilities, as_probabilities
from mdplab.solvers.policy_iteration import policy_iteration
from theory.errors import InputError

Method = Literal["auto", "linear-programming", "column-generation"]
Integers = NDArray[np.int64]

PROGRAM_TOLERANCE = 1e-10  # the finest that HiGHS offers
FINEST_THRESHOLD = 1e-9  # HiGHS drops smaller coefficients, so that a smaller distance from the least cost is none to it
LARGEST_PROGRAM = 1200  # pairs; beyond, column generation is the faster one
DENSE_STATES = 100  # up to which Howard's policies, solved densely, are found faster than by sweeps
MOST_COLUMNS = 2000
SUPPORT = 1e-13  # what is visited less, as a share of all visits, is not visited


class InfeasibleError(ModelError):
    """No policy meets the constraints.

    ``multipliers`` y float64[m], nonnegative with sum 1, prove it: sum_i y_i (J_{c_i} - d_i) >= ``margin`` > 0 under every policy,
    certified by a solver of MDPs.
    """

    def __init__(self, sentence: str, multipliers: Floats, margin: float):
        super().__init__(sentence)
        self.multipliers = multipliers
        self.margin = margin


class _Uncertified(ModelError):
    """The answer is not as good as was asked for."""


@dataclass(frozen=True, eq=False)
class ConstrainedOptimum:
    """A policy for a constrained model, multipliers, and the bracket that proves both.

    ``policy`` holds probabilities, float64[N] (episodic: [H, S, A]), and ``occupancy`` its unnormalised visits, of the same shape.
    ``value`` J_r and ``costs`` float64[m] are those of that policy, evaluated by linear solves (backward induction) and within
    ``error`` and ``cost_errors`` float64[m] of the truth. ``multipliers`` lambda float64[m] are nonnegative. ``upper`` is the
    dual function at lambda, which no policy that meets the constraints exceeds; ``lower`` is ``value`` - ``error``, which the
    policy attains. It exceeds the thresholds by ``violation`` float64[m] (0 where it does not), rounding of the linear program.
    """

    policy: Floats
    occupancy: Floats
    value: float
    costs: Floats
    multipliers: Floats
    lower: float
    upper: float
    violation: Floats
    error: float
    cost_errors: Floats
    iterations: int
    method: str

    @property
    def width(self) -> float:
        """The width of the bracket, ``upper`` - ``lower``."""
        return self.upper - self.lower


@dataclass(frozen=True, eq=False)
class DualPoint:
    """The dual function at ``multipliers``: ``lower`` <= g <= ``upper``.

    ``policy`` is a deterministic policy that is best for r - lambda . c (pairs int64[S]; episodic: actions int64[H, S]), with
    returns ``value`` J_r and ``costs`` J_c float64[m]; ``subgradient`` = threshold - costs is one of g.
    """

    multipliers: Floats
    lower: float
    upper: float
    policy: Integers
    value: float
    costs: Floats
    subgradient: Floats


@dataclass(frozen=True, eq=False)
class SlaterPoint:
    """The largest xi such that some policy has J_{c_i} <= d_i - xi for every i: ``lower`` <= xi <= ``upper``.

    ``policy`` (probabilities, as in :class:`ConstrainedOptimum`) attains ``lower``; ``multipliers`` y float64[m], nonnegative with
    sum 1, prove ``upper`` = -min_pi sum_i y_i (J_{c_i} - d_i). A negative xi means that no policy meets the constraints.
    """

    lower: float
    upper: float
    policy: Floats
    multipliers: Floats


@dataclass(frozen=True, eq=False)
class DeterministicMixture:
    """A policy that draws one of K deterministic policies once, at the start, and follows it.

    ``weights`` float64[K] sum to 1, ``policies`` are pairs int64[K, S] (episodic: actions int64[K, H, S]).
    """

    weights: Floats
    policies: Integers


# -- the public functions -------------------------------------------------------------------------------------------


def solve_constrained(cmdp: ConstrainedMDP, tol: float = 1e-7, method: Method = "auto") -> ConstrainedOptimum:
    """An optimal policy of a constrained model, with multipliers and a certified bracket.

    The bracket is at most ``tol`` times the span of all possible returns wide, which is (max r - min r) / (1 - gamma), or H times
    the span of the rewards; a constraint is violated by at most ``tol`` times the span of its cost. ``method`` is
    "linear-programming", "column-generation", or "auto": the first for up to 1200 pairs, the second where that fails.

    Raises :class:`InfeasibleError` where no policy meets the constraints, with a certificate; :class:`ModelError` for gamma = 1,
    for a threshold that float64 cannot tell from the least cost, and where ``tol`` cannot be certified.
    """
    if method not in get_args(Method):
        raise InputError(f"there is no method {method!r}; there are {', '.join(get_args(Method))}.")
    problem = _scaled(cmdp, tol)
    _refuse_impossible(problem)
    if method != "auto":
        return _certified(problem, method)
    if problem.reward.size <= LARGEST_PROGRAM:
        try:
            return _certified(problem, "linear-programming")
        except _Uncertified:  # HiGHS sometimes leaves errors of a few 1e-9; mixtures of policies are exact up to rounding
            pass
    return _certified(problem, "column-generation")


def constrained_returns(cmdp: ConstrainedMDP, policy: ArrayLike) -> tuple[Floats, Floats]:
    """J_r and J_c of a policy (in any form that the model takes), float64[m+1], and bounds on their errors, float64[m+1].

    Raises :class:`ModelError` for a policy that is none of this model, and for gamma = 1.
    """
    mdp = cmdp.mdp
    known = as_probabilities(mdp, policy) if isinstance(mdp, TabularMDP) else as_episodic_probabilities(mdp, policy)
    return _scaled(cmdp, 1e-7).evaluate(known)


def dual_function(cmdp: ConstrainedMDP, multipliers: ArrayLike, tol: float = 1e-7) -> DualPoint:
    """g(lambda) = max_pi J_{r - lambda . c} + lambda . threshold at ``multipliers`` (m numbers, 0 or more), with a subgradient.

    ``tol`` is as in :func:`solve_constrained`. Raises :class:`InputError` for multipliers that are negative or not finite.
    """
    values = np.atleast_1d(np.asarray(multipliers, dtype=np.float64))
    if values.shape != (cmdp.constraints,):
        raise InputError(f"this model has {cmdp.constraints} constraints, and {values.size} multipliers were given.")
    if not (np.isfinite(values) & (values >= 0)).all():
        raise InputError(
            f"a multiplier is finite and not negative, unlike {values[~(np.isfinite(values) & (values >= 0))][0]}."
        )
    return _scaled(cmdp, tol).dual(values)


def slater_point(cmdp: ConstrainedMDP, tol: float = 1e-9) -> SlaterPoint:
    """By how much all constraints can be met with room to spare; the certificate of infeasibility where they cannot be met.

    The bracket of xi is at most ``tol`` times the span of the returns of the costs wide.
    """
    problem = _scaled(cmdp, tol)
    unit = problem.spans[1:].max()
    found = _least_excess(problem, problem.spans[1:] / unit, stop_early=False)
    scale = float(problem.steps * unit)
    policy = problem.mixed(found.weights, found.policies)
    returns, errors = problem.evaluate(policy)
    lower = float(np.min(cmdp.threshold - returns[1:] - errors[1:]))
    upper = -problem.margin(found.multipliers)
    if upper - lower > 4 * max(tol, 1e-12) * scale:
        raise ModelError(f"the room that the constraints leave is bracketed to {upper - lower:.2g} only.")
    return SlaterPoint(lower, upper, policy, found.multipliers)


def infeasibility_margin(cmdp: ConstrainedMDP, multipliers: ArrayLike, tol: float = 1e-9) -> float:
    """A certified lower bound on min_pi sum_i y_i (J_{c_i}(pi) - d_i) for ``multipliers`` y (m numbers, 0 or more).

    A positive one proves that no policy meets the constraints. Raises :class:`InputError` for a negative multiplier.
    """
    y = np.atleast_1d(np.asarray(multipliers, dtype=np.float64))
    if y.shape != (cmdp.constraints,) or not (np.isfinite(y) & (y >= 0)).all():
        raise InputError(f"a certificate of infeasibility is {cmdp.constraints} finite numbers, 0 or more, not {y.tolist()}.")
    return _scaled(cmdp, tol).margin(y)


def deterministic_mixture(cmdp: ConstrainedMDP, occupancy: ArrayLike) -> DeterministicMixture:
    """An ``occupancy`` (of the shape of the rewards) as that of a mixture of deterministic policies.

    A policy whose actions the occupancy takes is given the largest weight that leaves no entry negative; what is left is an
    occupancy, times the weight that is left, with one pair less. So there are at most as many policies as there are pairs visited
    beyond one in each state, plus one: m + 1 for a basic solution of the linear program. Raises :class:`ModelError` for an array
    that is no occupancy of this model.
    """
    problem = _scaled(cmdp, 1e-7)
    left = np.asarray(occupancy, dtype=np.float64).reshape(-1).copy()
    if left.shape != problem.reward.shape:
        raise ModelError(f"an occupancy of this model has {problem.reward.size} entries, not {left.size}.")
    mass = float(left.sum())
    if not (np.isfinite(left).all() and left.min() >= 0 and abs(mass - problem.steps) <= 1e-6 * problem.steps):
        raise ModelError(f"an occupancy of this model is not negative and has the sum {problem.steps:.6g}, not {mass:.6g}.")
    small = SUPPORT * mass
    left[left < small] = 0.0
    weights: list[float] = []
    policies: list[Integers] = []
    rest = 1.0
    while rest > 1e-12 and len(weights) <= problem.reward.size:
        policy = problem.largest(left)
        visits = problem.occupancy(problem.probabilities(policy)).reshape(-1)
        taken = visits > small
        weight = min(float(np.min(left[taken] / visits[taken])), rest)
        if weight <= 0:
            break
        left -= weight * visits
        left[taken & (left < small)] = 0.0
        np.maximum(left, 0.0, out=left)
        rest -= weight
        weights.append(weight)
        policies.append(policy)
    if rest > 1e-6:
        raise ModelError(f"the array is no occupancy of this model: {rest:.3g} of it is not that of any policy.")
    return DeterministicMixture(np.array(weights) / sum(weights), np.array(policies))


def between_thresholds(cmdp: ConstrainedMDP, share: float = 0.5) -> ConstrainedMDP:
    """The model with thresholds that bind and can be met: ``share`` of the way from a frugal policy's costs to a greedy one's.

    The frugal policy minimises the sum of the costs, the greedy one maximises the reward (the first best one). A mixture of the
    two meets all constraints. ``share`` lies in [0, 1]; with one cost, 0 is the least that can be asked for.
    """
    if not 0 <= share <= 1:
        raise InputError(f"the share lies between 0 and 1, not at {share}.")
    problem = _scaled(cmdp, 1e-9)
    frugal, _ = problem.best(-problem.raw_costs.sum(axis=0))
    greedy, _ = problem.best(problem.raw_reward)
    low, high = (problem.evaluate(problem.probabilities(p))[0][1:] for p in (frugal, greedy))
    return cmdp.replace(threshold=(1 - share) * low + share * high)


# -- a model of either kind, scaled ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Problem:
    """A constrained model with rewards and costs in [0, 1] beside the raw ones, all flat; ``steps`` is the mass of occupancies.

    ``spans`` (m+1,) are the ranges of rewards and costs; in scaled units an occupancy has mass 1.
    """

    cmdp: ConstrainedMDP
    tol: float
    steps: float
    reward: Floats
    costs: Floats
    threshold: Floats
    spans: Floats

    @property
    def raw_reward(self) -> Floats:
        return self.cmdp.reward.reshape(-1)

    @property
    def raw_costs(self) -> Floats:
        return self.cmdp.cost.reshape(self.cmdp.constraints, -1)

    @cached_property
    def start(self) -> Floats:
        mdp = self.cmdp.mdp
        start = mdp.start_distribution if isinstance(mdp, TabularMDP) else mdp.start
        assert start is not None
        return start

    def best(self, reward: Floats, guess: Integers | None = None) -> tuple[Integers, float]:
        """A deterministic policy that maximises the return of ``reward`` (flat, raw units), and an upper bound on all returns."""
        raise NotImplementedError

    def evaluate(self, policy: Floats) -> tuple[Floats, Floats]:
        """J of the raw reward and costs (m+1,) under a policy (probabilities), and bounds on their errors."""
        raise NotImplementedError

    def occupancy(self, policy: Floats) -> Floats:
        """The unnormalised occupancy of a policy (probabilities), in the shape of the rewards."""
        raise NotImplementedError

    def probabilities(self, policy: Integers) -> Floats:
        """A deterministic policy as probabilities."""
        raise NotImplementedError

    def largest(self, occupancy: Floats) -> Integers:
        """The deterministic policy that takes the action with the largest entry of a flat occupancy."""
        raise NotImplementedError

    def conditional(self, occupancy: Floats) -> Floats:
        """The policy (probabilities) with this flat occupancy."""
        raise NotImplementedError

    def flow(self) -> tuple[Any, Floats]:
        """The flow equations of occupancies of mass 1: a sparse matrix and the right side."""
        raise NotImplementedError

    def mixed(self, weights: Floats, policies: list[Integers]) -> Floats:
        """The policy (probabilities) with the occupancy of a mixture."""
        return self.conditional(np.asarray(sum(w * self.visits(p) for w, p in zip(weights, policies) if w > 0)))

    def visits(self, policy: Integers) -> Floats:
        """The unnormalised occupancy of a deterministic policy, flat."""
        return self.occupancy(self.probabilities(policy)).reshape(-1)

    def upper_bound(self, multipliers: Floats) -> tuple[float, Integers]:
        """An upper bound on the dual function (raw units), and a best response."""
        policy, bound = self.best(self.raw_reward - np.tensordot(multipliers, self.raw_costs, axes=1))
        threshold = self.cmdp.threshold
        # the sum of reward and costs is rounded at every step, that of the bound and the thresholds once
        sizes = np.abs(self.raw_reward) + np.tensordot(multipliers, np.abs(self.raw_costs), axes=1)
        slack = self.steps * float(sizes.max()) * 1.01 + float(multipliers @ np.abs(threshold))
        upper = bound + float(multipliers @ threshold) + accumulated_rounding(self.cmdp.constraints + 4) * slack
        return float(np.nextafter(upper + UNIT_ROUNDOFF * abs(upper), np.inf)), policy

    def dual(self, multipliers: Floats) -> DualPoint:
        """The dual function in raw units."""
        upper, policy = self.upper_bound(multipliers)
        returns, errors = self.evaluate(self.probabilities(policy))
        subgradient = self.cmdp.threshold - returns[1:]
        size = np.abs(returns) @ np.append(1.0, multipliers) + multipliers @ np.abs(self.cmdp.threshold)
        lower = returns[0] + multipliers @ subgradient - errors @ np.append(1.0, multipliers)
        lower -= accumulated_rounding(2 * self.cmdp.constraints + 4) * size
        return DualPoint(multipliers, float(lower), upper, policy, float(returns[0]), returns[1:], subgradient)

    def margin(self, y: Floats) -> float:
        """A lower bound on min_pi sum_i y_i (J_{c_i} - d_i), raw units."""
        cost = np.tensordot(y, self.raw_costs, axes=1)
        _, bound = self.best(-cost)
        sizes = np.tensordot(y, np.abs(self.raw_costs), axes=1)
        size = self.steps * float(sizes.max()) * 1.01 + float(y @ np.abs(self.cmdp.threshold))
        return -bound - float(y @ self.cmdp.threshold) - accumulated_rounding(self.cmdp.constraints + 4) * size


class _Discounted(_Problem):
    @property
    def mdp(self) -> TabularMDP:
        assert isinstance(self.cmdp.mdp, TabularMDP)
        return self.cmdp.mdp

    def best(self, reward: Floats, guess: Integers | None = None) -> tuple[Integers, float]:
        mdp = self.mdp.with_key(None)  # a copy that shares the dynamics, which need not be checked again
        object.__setattr__(mdp, "reward", np.ascontiguousarray(reward))
        size = float(np.abs(reward).max())
        # what a bracket can be is known beforehand: rounding, once in every step, of numbers as large as values
        rounding = 40 * (int(np.diff(self.mdp.row_pointer).max()) + 4) * UNIT_ROUNDOFF * size * self.steps**2
        span = float(reward.max() - reward.min()) * self.steps
        wanted = max(0.02 * self.tol * span, rounding, 1e-290)
        if mdp.states <= DENSE_STATES:
            found = policy_iteration(mdp, wanted, start=guess)
        else:
            found = modified_policy_iteration(mdp, wanted)
        upper = float(self.start @ found.upper)
        return found.policy, upper + accumulated_rounding(mdp.states + 2) * float(self.start @ np.abs(found.upper))

    def evaluate(self, policy: Floats) -> tuple[Floats, Floats]:
        found = [evaluate_rewards(self.mdp, policy, x) for x in (self.raw_reward, *self.raw_costs)]
        returns = np.array([self.start @ e.value for e in found])
        sizes = np.array([self.start @ np.abs(e.value) for e in found])
        return returns, np.array([e.error for e in found]) + accumulated_rounding(self.mdp.states + 2) * sizes

    def occupancy(self, policy: Floats) -> Floats:
        return discounted_occupancy(self.mdp, policy, normalised=False).pair

    def visits(self, policy: Integers) -> Floats:
        mdp = self.mdp
        if mdp.states <= DENSE_STATES:
            return super().visits(policy)
        pair = np.zeros(mdp.pairs)
        pair[policy] = np.maximum(discounted_visits(self.rows[policy], self.start, mdp.gamma), 0.0)
        return pair

    @cached_property
    def rows(self) -> Any:
        """The transitions of all pairs, sparse."""
        return self.mdp.transition_matrix()

    def probabilities(self, policy: Integers) -> Floats:
        return as_probabilities(self.mdp, policy)

    def largest(self, occupancy: Floats) -> Integers:
        state = self.mdp.pair_state
        order = np.lexsort((-occupancy, state))
        return order[self.mdp.state_pointer[:-1]].astype(np.int64)

    def conditional(self, occupancy: Floats) -> Floats:
        return policy_from_occupancy(self.mdp, occupancy)

    def flow(self) -> tuple[Any, Floats]:
        mdp = self.mdp
        owner = csr_array((np.ones(mdp.pairs), mdp.pair_state, np.arange(mdp.pairs + 1)), shape=(mdp.pairs, mdp.states))
        return (owner - mdp.gamma * mdp.transition_matrix()).T, (1 - mdp.gamma) * self.start


class _Episodic(_Problem):
    @property
    def mdp(self) -> EpisodicMDP:
        assert isinstance(self.cmdp.mdp, EpisodicMDP)
        return self.cmdp.mdp

    def best(self, reward: Floats, guess: Integers | None = None) -> tuple[Integers, float]:
        mdp = self.mdp.replace(R=reward.reshape(self.mdp.R.shape))
        found = backward_induction(mdp)
        bound = float(self.start @ found.value[0]) + found.error * (1 + accumulated_rounding(mdp.states + 2))
        return found.policy, bound + accumulated_rounding(mdp.states + 2) * float(self.start @ np.abs(found.value[0]))

    def evaluate(self, policy: Floats) -> tuple[Floats, Floats]:
        returns, errors = [], []
        for rewards in (self.mdp.R, *self.cmdp.cost):
            found = evaluate_episodic_policy(self.mdp.replace(R=rewards), policy)
            returns.append(self.start @ found.value[0])
            size = float(self.start @ np.abs(found.value[0]))
            errors.append(found.error * 1.01 + accumulated_rounding(self.mdp.states + 2) * size)
        return np.array(returns), np.array(errors)

    def occupancy(self, policy: Floats) -> Floats:
        return episodic_occupancy(self.mdp, policy).pair

    def probabilities(self, policy: Integers) -> Floats:
        return as_episodic_probabilities(self.mdp, policy)

    def largest(self, occupancy: Floats) -> Integers:
        return occupancy.reshape(self.mdp.R.shape).argmax(axis=-1)

    def conditional(self, occupancy: Floats) -> Floats:
        pair = occupancy.reshape(self.mdp.R.shape)
        visits = pair.sum(axis=-1, keepdims=True)
        uniform = np.full(pair.shape, 1 / self.mdp.actions)
        return np.divide(pair, visits, out=uniform, where=visits >= np.finfo(np.float64).tiny / np.finfo(np.float64).eps)

    def flow(self) -> tuple[Any, Floats]:
        H, S, A = self.mdp.R.shape
        block = S * A
        owner = coo_array(
            (np.ones(H * block), (np.repeat(np.arange(H * S), A), np.arange(H * block))), shape=(H * S, H * block)
        )
        step, state, action, to = np.nonzero(self.mdp.P[:-1])
        arrive = coo_array(
            (self.mdp.P[:-1][step, state, action, to], ((step + 1) * S + to, (step * S + state) * A + action)),
            shape=owner.shape,
        )
        return (owner.tocsr() - arrive.tocsr()), np.append(self.start, np.zeros((H - 1) * S)) / H


def _scaled(cmdp: ConstrainedMDP, tol: float) -> _Problem:
    mdp = cmdp.mdp
    if not tol > 0:
        raise ModelError(f"the tolerance is {tol}; it must be positive.")
    if isinstance(mdp, TabularMDP):
        check_solvable(mdp, tol)
    raw = np.vstack([cmdp.reward.reshape(1, -1), cmdp.cost.reshape(cmdp.constraints, -1)])
    low = raw.min(axis=1)
    spans = raw.max(axis=1) - low
    if not (np.abs(raw).max(axis=1) <= np.finfo(np.float64).max / (8 * cmdp.steps)).all():
        raise ModelError("rewards or costs are so large that their returns overflow; divide them by a constant.")
    # the returns of constant rewards or costs are known beforehand, and any unit will do
    spans = np.where(spans > 0, spans, np.where(low != 0, np.abs(low), 1.0))
    scaled = (raw - low[:, None]) / spans[:, None]
    threshold = cmdp.threshold / cmdp.steps
    distance = (threshold - low[1:]) / spans[1:]
    rounding = 8 * UNIT_ROUNDOFF * (np.abs(threshold) + np.abs(low[1:])) / spans[1:]
    distance = np.where(np.abs(distance) <= rounding, 0.0, np.minimum(distance, 2.0))
    kind = _Discounted if isinstance(mdp, TabularMDP) else _Episodic
    return kind(cmdp, tol, cmdp.steps, scaled[0], scaled[1:], distance, spans)


def _certified(problem: _Problem, method: str) -> ConstrainedOptimum:
    """The optimum that a method finds, with its bracket; _Uncertified where that is too wide."""
    cmdp = problem.cmdp
    policy, multipliers, iterations = _by_program(problem) if method == "linear-programming" else _by_columns(problem)
    multipliers = multipliers * problem.spans[0] / problem.spans[1:]
    upper, _ = problem.upper_bound(multipliers)
    returns, errors = problem.evaluate(policy)
    occupancy = problem.occupancy(policy)
    violation = np.maximum(returns[1:] - cmdp.threshold, 0.0)
    lower = float(np.nextafter(returns[0] - errors[0], -np.inf))
    allowed = problem.tol * problem.steps * problem.spans
    if upper - lower > allowed[0]:
        raise _Uncertified(f"{method} certifies a bracket of {upper - lower:.2g}, not of {allowed[0]:.2g}.")
    if (violation > allowed[1:]).any():
        i = int(np.argmax(violation / allowed[1:]))
        raise _Uncertified(
            f"{method} found a policy that exceeds the threshold of {cmdp.cost_name(i)} by {violation[i]:.2g}; "
            f"{allowed[1 + i]:.2g} was allowed."
        )
    return ConstrainedOptimum(
        policy=policy,
        occupancy=occupancy,
        value=float(returns[0]),
        costs=returns[1:],
        multipliers=multipliers,
        lower=lower,
        upper=upper,
        violation=violation,
        error=float(errors[0]),
        cost_errors=errors[1:],
        iterations=iterations,
        method=method.replace("-", " "),
    )


def _refuse_impossible(problem: _Problem) -> None:
    """The thresholds that no linear program is needed for."""
    cmdp = problem.cmdp
    if (problem.threshold < 0).any():
        _refuse_infeasible(problem, (np.arange(cmdp.constraints) == np.argmin(problem.threshold)).astype(np.float64))
    fine = (problem.threshold > 0) & (problem.threshold < FINEST_THRESHOLD)
    if fine.any():
        i = int(np.argmax(fine))
        raise ModelError(
            f"the threshold {cmdp.threshold[i]:g} of {cmdp.cost_name(i)} is above the least possible return by {problem.threshold[i]:.2g} "
            f"of the span of its returns, which is finer than float64 programs resolve; {FINEST_THRESHOLD:g} is needed."
        )


def _refuse_infeasible(problem: _Problem, y: Floats) -> None:
    """InfeasibleError with the certificate y (raw units), if it is one."""
    y = y / y.sum()
    margin = problem.margin(y)
    cmdp = problem.cmdp
    if not margin > 0:
        raise ModelError(
            f"whether any policy meets the constraints cannot be decided in float64: it depends on {abs(margin):.1g} of a cost."
        )
    allowed = float(y @ cmdp.threshold)
    used = np.flatnonzero(y)
    if used.size == 1:
        i = int(used[0])
        sentence = f"no policy meets the constraints: {cmdp.cost_name(i)} has the threshold {allowed:.6g}, but"
        sentence += f" its return is at least {allowed + margin:.6g} under every policy."
    else:
        mean = " + ".join(f"{y[i]:.4g} times {cmdp.cost_name(int(i))}" for i in used)
        sentence = (
            f"no policy meets the constraints: the return of {mean} is at least {allowed + margin:.6g} under every policy,"
        )
        sentence += f" but the thresholds allow {allowed:.6g}."
    raise InfeasibleError(sentence, y, margin)


# -- the linear program ---------------------------------------------------------------------------------------------


def _by_program(problem: _Problem) -> tuple[Floats, Floats, int]:
    """Policy, multipliers (scaled units) and simplex steps of the occupancy program."""
    matrix, source = problem.flow()
    found = _highs(-problem.reward, problem.costs, problem.threshold, matrix, source)
    if found.status in (2, 4):
        # the least excess over all thresholds, as a program of its own: its multipliers are the certificate
        m, pairs = problem.costs.shape
        excess = _highs(
            np.append(np.zeros(pairs), 1.0),
            np.hstack([problem.costs, -np.ones((m, 1))]),
            problem.threshold,
            csr_array(vstack([csr_array(matrix).T, csr_array((1, matrix.shape[0]))]).T),
            source,
            np.vstack([np.tile([0.0, np.inf], (pairs, 1)), [-np.inf, np.inf]]),
        )
        if excess.status == 0:
            _refuse_infeasible(problem, np.maximum(-excess.ineqlin.marginals, 0.0) / problem.spans[1:])
        raise ModelError(f"the linear program was not solved: {excess.message.strip()}")
    if found.status != 0:
        raise ModelError(f"the linear program was not solved: {found.message.strip()}")
    occupancy = np.maximum(found.x, 0.0)
    return problem.conditional(occupancy), np.maximum(-found.ineqlin.marginals, 0.0), int(found.nit)


def _highs(objective: Floats, upper: Any, bound: Floats, equal: Any, right: Floats, box: Any = (0, None)) -> Any:
    from scipy.optimize import linprog

    options = {"primal_feasibility_tolerance": PROGRAM_TOLERANCE, "dual_feasibility_tolerance": PROGRAM_TOLERANCE}
    return linprog(objective, A_ub=upper, b_ub=bound, A_eq=equal, b_eq=right, bounds=box, method="highs", options=options)


# -- column generation ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Excess:
    """The mixture with the least excess over the thresholds found so far, and the multipliers y (sum 1, raw units) beside it."""

    policies: list[Integers]
    returns: list[Floats]
    weights: Floats
    multipliers: Floats
    excess: float


def _returns(problem: _Problem, policy: Integers) -> Floats:
    """Reward and costs (m+1,) of a deterministic policy, scaled units: those of its occupancy of mass 1."""
    visits = problem.visits(policy) / problem.steps
    return np.append(problem.reward @ visits, problem.costs @ visits)


def _least_excess(problem: _Problem, units: Floats, *, stop_early: bool) -> _Excess:
    """Minimise t with J_{c_i} <= d_i + t / units_i (scaled units) over mixtures of deterministic policies.

    The dual of the program is a game: max_y min_pi sum_i y_i units_i (J_{c_i} - d_i) over distributions y.
    """
    m = units.size
    policies: list[Integers] = []
    returns: list[Floats] = []
    y = np.full(m, 1 / m)
    found = None
    while len(policies) < MOST_COLUMNS:
        policy, _ = problem.best(-(y * units / problem.spans[1:]) @ problem.raw_costs, policies[-1] if policies else None)
        new = _returns(problem, policy)
        bound = float((y * units) @ (new[1:] - problem.threshold))
        raw = y * units / problem.spans[1:]
        if found is not None and found.excess - bound <= 0.1 * problem.tol:
            return _Excess(policies, returns, found.weights, raw / raw.sum(), found.excess)
        policies.append(policy)
        returns.append(new)
        if m == 1:  # the policy that costs least
            return _Excess(policies, returns, np.ones(1), np.ones(1), bound)
        table = (np.array(returns)[:, 1:] - problem.threshold) * units
        program = _highs(
            np.append(np.zeros(len(policies)), 1.0),
            np.hstack([table.T, -np.ones((m, 1))]),
            np.zeros(m),
            np.append(np.ones(len(policies)), 0.0)[None, :],
            np.ones(1),
            np.vstack([np.tile([0.0, np.inf], (len(policies), 1)), [-np.inf, np.inf]]),
        )
        if program.status != 0:
            raise ModelError(f"the master program was not solved: {program.message.strip()}")
        y = np.maximum(-program.ineqlin.marginals, 0.0)
        y = y / y.sum()
        raw = y * units / problem.spans[1:]
        found = _Excess(policies, returns, np.maximum(program.x[:-1], 0.0), raw / raw.sum(), float(program.x[-1]))
        if stop_early and found.excess <= 0:
            return found
    raise ModelError(f"column generation did not close the bracket with {MOST_COLUMNS} policies.")


def _by_columns(problem: _Problem) -> tuple[Floats, Floats, int]:
    """Policy, multipliers (scaled units) and number of policies of column generation."""
    m = problem.cmdp.constraints
    greedy, _ = problem.best(problem.raw_reward)
    first = _returns(problem, greedy)
    if (first[1:] <= problem.threshold).all():
        return problem.probabilities(greedy), np.zeros(m), 1
    feasible = _least_excess(problem, np.ones(m), stop_early=True)
    if feasible.excess > problem.tol / 2:
        _refuse_infeasible(problem, feasible.multipliers)
    threshold = problem.threshold + max(feasible.excess, 0.0)
    policies, returns = [greedy, *feasible.policies], [first, *feasible.returns]
    upper = np.inf
    best: tuple[float, Floats] = (np.inf, np.zeros(m))
    while len(policies) < MOST_COLUMNS:
        table = np.array(returns)
        program = _highs(-table[:, 0], table[:, 1:].T, threshold, np.ones((1, len(policies))), np.ones(1))
        if program.status != 0:
            raise ModelError(f"the master program was not solved: {program.message.strip()}")
        multipliers = np.maximum(-program.ineqlin.marginals, 0.0)
        raw = multipliers * problem.spans[0] / problem.spans[1:]
        policy, _ = problem.best(problem.raw_reward - raw @ problem.raw_costs, policies[-1])
        new = _returns(problem, policy)
        upper = float(new[0] + multipliers @ (problem.threshold - new[1:]))
        if upper < best[0]:
            best = (upper, multipliers)
        if best[0] + program.fun <= 0.2 * problem.tol:
            weights = np.maximum(program.x, 0.0)
            return problem.mixed(weights / weights.sum(), policies), best[1], len(policies)
        policies.append(policy)
        returns.append(new)
    raise ModelError(f"column generation did not close the bracket with {MOST_COLUMNS} policies.")
