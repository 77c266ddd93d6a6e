r"""Robust value and policy iteration: the best worst-case value over a rectangular set of kernels, with a certified bracket.

For an (s,a)-rectangular set (Iyengar 2005; Nilim and El Ghaoui 2005) and for an s-rectangular one (Wiesemann, Kuhn and Rustem
2013),

    (TV)(s) = max_a [ R(s, a) + gamma min_p p . V ],
    (TV)(s) = max_pi(.|s) min_k sum_a pi(a|s) [ R(s, a) + gamma p_k(.|s, a) . V ].

Both are monotone, and T(V + c) = TV + gamma c, so that one sweep bounds the robust optimum as it does without an adversary (see
:mod:`mdplab.solvers.bounds`): between TV + gamma m / (1 - gamma) and TV + gamma M / (1 - gamma), m and M the extremes of TV -
V. The greedy policy's worst value is at least the lower end; in an (s,a)-rectangular set the kernel worst for V gives no policy
more than the upper end.

The set of a finite number of whole kernels is not rectangular, and has no such operator: :func:`static_optimum` tries all
deterministic policies.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models import ModelError, TabularMDP
from mdplab.models.robust import (
    RobustBallMDP,
    RobustKernelSet,
    RobustMDP,
    RobustPolytopeMDP,
    RobustStatePolytopeMDP,
)
from mdplab.models.tabular import positions
from mdplab.solvers import _kernels_robust
from mdplab.solvers.bellman import check_solvable
from mdplab.solvers.bounds import UNIT_ROUNDOFF, contraction_shifts
from mdplab.solvers.evaluation import dense_solve, discounted_matrix, evaluate_policies, evaluate_policy, start_vector
from mdplab.solvers.inner_problems import WorstRows, inner_rounding, worst_chi_square, worst_kl, worst_l1, worst_vertex
from mdplab.solvers.policy import as_probabilities, state_max, state_sum, uniform_policy

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
SPARSE_TERMS = 64  # rows up to this length go to the compiled sweep, which looks at a row once for each value it removes
MOST_POLICIES = 200_000  # that static_optimum tries
PATIENCE = 20  # policies that may fail to improve, by less than their evaluation is accurate to


@dataclass(frozen=True, eq=False)
class RobustSolution:
    """The robust optimum with its proof.

    ``lower <= V <= upper`` holds for every state, rounding included, and ``value`` lies in between (float64[S]). ``policy``
    holds pairs, int64[S], or for an s-rectangular set the probabilities of pairs, float64[N]; its worst value is at least
    ``lower``. ``iterations`` counts what the ``method`` iterates.
    """

    value: Floats
    lower: Floats
    upper: Floats
    policy: NDArray[Any]
    iterations: int
    method: str
    model: RobustMDP

    @cached_property
    def worst(self) -> TabularMDP:
        """The kernel of the set that is worst for ``value`` (for an s-rectangular set: and the policy); made when asked for."""
        return worst_kernel(self.model, self.value, self.policy)

    @property
    def width(self) -> float:
        """The largest width of the bracket, max (upper - lower)."""
        return float((self.upper - self.lower).max())


@dataclass(frozen=True, eq=False)
class RobustEvaluation:
    """The worst value of a policy in all states, ``lower <= min_P V_P <= upper``, and the kernel ``worst`` that gives ``value``."""

    value: Floats
    lower: Floats
    upper: Floats
    worst: TabularMDP

    @property
    def width(self) -> float:
        """The largest width of the bracket, max (upper - lower)."""
        return float((self.upper - self.lower).max())


@dataclass(frozen=True, eq=False)
class StaticOptimum:
    """The best deterministic policy against a finite set of kernels, of which one is chosen for good.

    ``policy`` int64[S] holds pairs, ``value`` is its least start-weighted value, ``values`` float64[K] are those of all
    kernels. Each number is right to within ``error``.
    """

    policy: Integers
    value: float
    values: Floats
    error: float


def robust_operator(model: RobustMDP, value: ArrayLike) -> Floats:
    """TV, float64[S], for any discount in [0, 1]; :class:`ModelError` for a value of another shape."""
    adversary = _adversary(model)
    return adversary.improve(_as_value(adversary, value))[0]


def robust_value_iteration(
    model: RobustMDP, tol: float = 1e-8, *, start: ArrayLike | None = None, max_iterations: int = 1_000_000
) -> RobustSolution:
    """V <- TV until the bracket is at most ``tol`` wide in sup norm.

    Balls in L1 of short rows are swept by compiled code; an s-rectangular set costs one linear program a state and sweep, for
    which :func:`robust_policy_iteration` is the better choice. Raises :class:`ModelError` for gamma = 1, for a tolerance that
    float64 cannot certify, and when ``max_iterations`` sweeps do not suffice.
    """
    adversary = _adversary(model)
    check_solvable(adversary.frame, tol)
    gamma = adversary.frame.gamma
    value = np.zeros(adversary.frame.states) if start is None else _as_value(adversary, start)
    for k in range(1, max_iterations + 1):
        backed_up, error, policy = adversary.improve(value)
        low, high = _bracket(adversary, value, backed_up, error, tol)
        if high - low <= tol:
            return _solution(model, backed_up, (low, high), policy, k, "robust value iteration")
        change = backed_up - value
        # As without an adversary, a shift by the nearer end of the bracket keeps the iteration monotone.
        shift = float(change.min()) if change.min() > 0 else min(float(change.max()), 0.0)
        value = backed_up + gamma / (1 - gamma) * shift
    raise ModelError(f"robust value iteration did not reach a bracket of {tol:g} within {max_iterations} sweeps.")


def robust_policy_iteration(
    model: RobustMDP, tol: float = 1e-8, *, start: ArrayLike | None = None, max_iterations: int = 10_000
) -> RobustSolution:
    """Evaluate the policy against the worst kernel, improve it greedily, until a sweep certifies a bracket of ``tol``.

    The evaluation is policy iteration of the adversary, with a linear solve for each of its kernels. For an s-rectangular set
    the improved policy solves one linear program a state. Starts from the policy ``start`` (pairs, or probabilities; the first
    action of each state by default). Raises :class:`ModelError` as :func:`robust_value_iteration` does.
    """
    adversary = _adversary(model)
    check_solvable(adversary.frame, tol)
    frame = adversary.frame
    policy: NDArray[Any] = frame.state_pointer[:-1] if start is None else np.asarray(start)
    best, idle = -np.inf, 0
    for k in range(1, max_iterations + 1):
        probabilities = as_probabilities(frame, policy)
        value, _, _ = _worst_value(adversary, probabilities, tol)
        backed_up, error, greedy = adversary.improve(value)
        low, high = _bracket(adversary, value, backed_up, error, tol)
        if high - low <= tol:
            return _solution(model, backed_up, (low, high), greedy, k, "robust policy iteration")
        total, policy = float(value.sum()), greedy
        best, idle = (total, 0) if total > best else (best, idle + 1)
        if idle > PATIENCE:
            raise ModelError(f"robust policy iteration has converged, but float64 can certify no bracket of {tol:g} here.")
    raise ModelError(f"robust policy iteration did not reach a bracket of {tol:g} within {max_iterations} policies.")


def robust_evaluation(model: RobustMDP, policy: ArrayLike, tol: float = 1e-8) -> RobustEvaluation:
    """The worst value of a stationary ``policy`` (pairs (S,), or probabilities (N,) or (S, A)), and a kernel that attains it.

    One kernel is worst in all states at once. Raises :class:`ModelError` for gamma = 1, for something that is no policy, and
    for a tolerance that float64 cannot certify.
    """
    adversary = _adversary(model)
    check_solvable(adversary.frame, tol)
    probabilities = as_probabilities(adversary.frame, policy)
    value, backed_up, error = _worst_value(adversary, probabilities, tol)
    low, high = _bracket(adversary, value, backed_up, error, tol)
    if high - low > tol:
        raise ModelError(f"the worst value of this policy is certified to {high - low:.2g} only, not to {tol:g}.")
    return RobustEvaluation(value, backed_up + low, backed_up + high, adversary.worst(value, probabilities))


def worst_kernel(model: RobustMDP, value: ArrayLike, policy: ArrayLike | None = None) -> TabularMDP:
    """The model of the set whose rows make the next values least: of every pair, or for an s-rectangular set under ``policy``.

    Raises :class:`ModelError` for a value or a policy that does not fit, and for an s-rectangular set without a policy.
    """
    adversary = _adversary(model)
    if policy is None and isinstance(adversary, _StateAdversary):
        raise ModelError("the worst kernel of an s-rectangular set depends on the policy; give one.")
    chosen = uniform_policy(adversary.frame) if policy is None else as_probabilities(adversary.frame, policy)
    return adversary.worst(_as_value(adversary, value), chosen)


def static_optimum(model: RobustKernelSet, start: ArrayLike | None = None) -> StaticOptimum:
    """max over deterministic policies of min over the kernels of the value at the start law (``start``, or the model's).

    By evaluating every policy in every kernel. Raises :class:`ModelError` for gamma = 1 and for more than 200000 policies.
    """
    S, A = model.states, model.actions
    if A**S > MOST_POLICIES:
        raise ModelError(f"{A}^{S} deterministic policies are too many to try; at most {MOST_POLICIES} are tried.")
    models = [model.kernel(k) for k in range(len(model.kernels))]
    check_solvable(models[0], 1.0)
    rho = start_vector(models[0], start)
    policies = np.array(list(itertools.product(range(A), repeat=S))) + A * np.arange(S)
    found = [evaluate_policies(each, policies) for each in models]
    values = np.array([v @ rho for v, _, _ in found])
    best = int(values.min(axis=0).argmax())
    error = max(float(errors.max()) for _, _, errors in found) + 2 * S * UNIT_ROUNDOFF * float(np.abs(values).max())
    return StaticOptimum(policies[best], float(values[:, best].min()), values[:, best], error)


# -- the adversary of each kind of set ------------------------------------------------------------------------------------


class Adversary(Protocol):
    """What the solvers need of a set of kernels; ``frame`` is one model of it, for its states, pairs and rewards."""

    frame: TabularMDP
    terms: int

    def improve(self, value: Floats) -> tuple[Floats, float, NDArray[Any]]:
        """TV, a bound on its error, and a policy that is greedy for it."""

    def follow(self, probabilities: Floats, value: Floats) -> tuple[Floats, float]:
        """T_pi V and a bound on its error."""

    def worst(self, value: Floats, probabilities: Floats) -> TabularMDP:
        """The model of the set that is worst for V and the policy."""

    def reply(self, probabilities: Floats, value: Floats) -> Floats:
        """V_pi in that model."""


class _Pairwise:
    """The adversary of an (s,a)-rectangular set, from the least p . V of every pair."""

    frame: TabularMDP
    terms: int

    def least(self, value: Floats) -> tuple[Floats, float]:
        """The least p . V of every pair, float64[N], and a bound on its error."""
        raise NotImplementedError

    def pair_values(self, value: Floats) -> tuple[Floats, float]:
        """R + gamma min p . V, float64[N], and a bound on its error."""
        least, error = self.least(value)
        q = self.frame.reward + self.frame.gamma * least
        return q, self.frame.gamma * error + 4 * UNIT_ROUNDOFF * float(np.abs(q).max())

    def improve(self, value: Floats) -> tuple[Floats, float, NDArray[Any]]:
        q, error = self.pair_values(value)
        best = state_max(self.frame, q)
        first = np.full(self.frame.states, self.frame.pairs, dtype=np.int64)
        at_best = np.flatnonzero(q == best[self.frame.pair_state])
        np.minimum.at(first, self.frame.pair_state[at_best], at_best)
        return best, error, first

    def follow(self, probabilities: Floats, value: Floats) -> tuple[Floats, float]:
        q, error = self.pair_values(value)
        rounding = (self.frame.max_actions + 4) * UNIT_ROUNDOFF * float(np.abs(q).max())
        return state_sum(self.frame, probabilities * q), error + rounding


class _PolytopeAdversary(_Pairwise):
    def __init__(self, model: RobustPolytopeMDP):
        self.frame = model.kernel(np.zeros(model.vertices.shape[:2], dtype=np.int64))
        self.model = model
        self.terms = model.states

    def least(self, value: Floats) -> tuple[Floats, float]:
        least, _ = worst_vertex(self.model.vertices, value)
        return least.ravel(), float(inner_rounding(self.terms, value[None])[0])

    def worst(self, value: Floats, probabilities: Floats) -> TabularMDP:
        return self.model.kernel(worst_vertex(self.model.vertices, value)[1])

    def reply(self, probabilities: Floats, value: Floats) -> Floats:
        _, choice = worst_vertex(self.model.vertices, value)
        rows = np.take_along_axis(self.model.vertices, choice[:, :, None, None], axis=2)[:, :, 0]
        return _chain_value(rows, probabilities, self.model.reward, self.model.gamma)


class _BallAdversary(_Pairwise):
    """Rows are padded to one length; with support "all" one place more holds the state of least value."""

    def __init__(self, model: RobustBallMDP):
        rows = model.mdp.transition_matrix().copy()  # that one shares the model's arrays
        rows.sum_duplicates()
        rows.eliminate_zeros()
        self.sparse, self.frame = rows, model.mdp
        self.distance, self.radius = model.distance, model.radius * (2.0 if model.distance == "tv" else 1.0)
        self.anywhere = model.support == "all"
        self.pointer = rows.indptr.astype(np.uint64)  # unsigned for the kernel
        self.nexts = rows.indices.astype(np.uint32)
        self.terms = int(np.diff(rows.indptr).max()) + self.anywhere
        self.compiled = model.distance in ("l1", "tv") and self.terms <= SPARSE_TERMS
        self.padded: tuple[Integers, Floats] | None = None

    def rows(self) -> tuple[Integers, Floats]:
        """Next states int64[N, B] and nominal probabilities float64[N, B]."""
        if self.padded is None:
            lengths = np.diff(self.sparse.indptr)
            pair, place = np.repeat(np.arange(lengths.size), lengths), positions(lengths.astype(np.int64))
            nexts = np.repeat(self.sparse.indices[self.sparse.indptr[:-1], None].astype(np.int64), self.terms, axis=1)
            chance = np.zeros(nexts.shape)
            nexts[pair, place], chance[pair, place] = self.sparse.indices, self.sparse.data
            self.padded = nexts, chance
        return self.padded

    def solve(self, value: Floats) -> tuple[WorstRows, Integers]:
        """The inner problems of all pairs, and the states their places stand for."""
        nexts, chance = self.rows()
        if self.anywhere:
            nexts = nexts.copy()
            nexts[:, -1] = value.argmin()
        v = value[nexts]
        if self.distance == "kl":
            return worst_kl(chance, v, self.radius), nexts
        if self.distance == "chi-square":
            return worst_chi_square(chance, v, self.radius), nexts
        return worst_l1(chance, v, self.radius, self.anywhere), nexts

    def least(self, value: Floats) -> tuple[Floats, float]:
        found, _ = self.solve(value)
        return (found.lower + found.upper) / 2, float((found.upper - found.lower).max())

    def improve(self, value: Floats) -> tuple[Floats, float, NDArray[Any]]:
        if not self.compiled:
            return super().improve(value)
        mdp, rows = self.frame, self.sparse
        out, policy = np.empty_like(value), np.empty(mdp.states, dtype=np.int64)
        _kernels_robust.l1_backup(
            mdp.state_pointer.view(np.uint64),
            self.pointer,
            self.nexts,
            rows.data,
            mdp.reward,
            mdp.gamma,
            self.radius / 2,
            float(value.min()) if self.anywhere else np.inf,
            value,
            out,
            policy,
        )
        rounding = float(inner_rounding(self.terms, value[None])[0])
        return out, mdp.gamma * rounding + 4 * UNIT_ROUNDOFF * float(np.abs(out).max() + np.abs(mdp.reward).max()), policy

    def worst(self, value: Floats, probabilities: Floats) -> TabularMDP:
        found, nexts = self.solve(value)
        return self.frame.replace(
            row_pointer=np.arange(self.frame.pairs + 1) * self.terms,
            next_state=nexts.ravel().astype(np.int32),
            probability=found.row.ravel(),
        )

    def reply(self, probabilities: Floats, value: Floats) -> Floats:
        return evaluate_policy(self.worst(value, probabilities), probabilities).value


class _StateAdversary:
    """The adversary of an s-rectangular set: a matrix game in every state, whose rows are the joint vertices."""

    def __init__(self, model: RobustStatePolytopeMDP):
        self.model = model
        self.frame = model.kernel(np.zeros(model.states, dtype=np.int64))
        self.terms = model.states

    def games(self, value: Floats) -> tuple[Floats, float]:
        """R + gamma p_k . V, float64[S, K, A], and a bound on its error."""
        games = self.model.reward[:, None] + self.model.gamma * (self.model.vertices @ value)
        error = self.model.gamma * float(inner_rounding(self.terms, value[None])[0])
        return games, error + (4 + games.shape[2] + games.shape[1]) * UNIT_ROUNDOFF * float(np.abs(games).max())

    def improve(self, value: Floats) -> tuple[Floats, float, NDArray[Any]]:
        games, error = self.games(value)
        policy, mixture = zip(*(_maximin(game) for game in games))
        lower = np.einsum("ska,sa->sk", games, np.array(policy)).min(axis=1)
        upper = np.einsum("ska,sk->sa", games, np.array(mixture)).max(axis=1)
        return (lower + upper) / 2, error + float((upper - lower).max()), np.concatenate(policy)

    def follow(self, probabilities: Floats, value: Floats) -> tuple[Floats, float]:
        games, error = self.games(value)
        return np.einsum("ska,sa->sk", games, probabilities.reshape(self.model.reward.shape)).min(axis=1), error

    def choice(self, value: Floats, probabilities: Floats) -> Integers:
        """The worst vertex of each state for V and the policy."""
        games, _ = self.games(value)
        return np.einsum("ska,sa->sk", games, probabilities.reshape(self.model.reward.shape)).argmin(axis=1)

    def worst(self, value: Floats, probabilities: Floats) -> TabularMDP:
        return self.model.kernel(self.choice(value, probabilities))

    def reply(self, probabilities: Floats, value: Floats) -> Floats:
        rows = self.model.vertices[np.arange(self.model.states), self.choice(value, probabilities)]
        return _chain_value(rows, probabilities, self.model.reward, self.model.gamma)


def _maximin(game: Floats) -> tuple[Floats, Floats]:
    """Optimal mixtures (A,) of the maximising columns and (K,) of the minimising rows of a matrix game (K, A), by HiGHS."""
    from scipy.optimize import linprog

    K, A = game.shape
    found = linprog(
        np.append(np.zeros(A), -1.0),
        A_ub=np.column_stack((-game, np.ones(K))),
        b_ub=np.zeros(K),
        A_eq=np.append(np.ones(A), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0, None)] * A + [(None, None)],
        method="highs-ds",
    )
    if found.status != 0:
        raise ModelError(f"the linear program of a state was not solved: {found.message.strip()}")
    policy, mixture = np.maximum(found.x[:A], 0.0), np.maximum(-found.ineqlin.marginals, 0.0)
    return policy / policy.sum(), mixture / mixture.sum()


def _adversary(model: RobustMDP) -> Adversary:
    if isinstance(model, RobustPolytopeMDP):
        return _PolytopeAdversary(model)
    if isinstance(model, RobustBallMDP):
        return _BallAdversary(model)
    if isinstance(model, RobustStatePolytopeMDP):
        return _StateAdversary(model)
    raise ModelError(f"a robust solver needs a rectangular model, not a {type(model).__name__}.")


def _as_value(adversary: Adversary, value: ArrayLike) -> Floats:
    vector = np.ascontiguousarray(value, dtype=np.float64)
    if vector.shape != (adversary.frame.states,):
        raise ModelError(f"a value of this model has shape ({adversary.frame.states},), not {vector.shape}.")
    return vector


def _bracket(adversary: Adversary, value: Floats, backed_up: Floats, error: float, tol: float) -> tuple[float, float]:
    """What to add to a computed TV (or T_pi V) to enclose the fixed point; ModelError if rounding leaves more than ``tol``."""
    change = backed_up - value
    defect = (16 * adversary.terms + 32) * UNIT_ROUNDOFF  # of rows that pass for distributions
    size = float(np.abs(value).max())
    m, M = float(change.min()), float(change.max())
    low, high, rounding = contraction_shifts(adversary.frame.gamma, 2 * defect, error, size, m, M)
    if high - low > tol and 2 * rounding >= 0.5 * tol and (M - m) / (1 - adversary.frame.gamma) <= 100 * rounding:
        raise ModelError(f"a bracket of {tol:g} is finer than float64 can certify here; {3 * rounding:.1g} can be had.")
    return low, high


def _solution(
    model: RobustMDP, backed_up: Floats, shifts: tuple[float, float], policy: NDArray[Any], iterations: int, method: str
) -> RobustSolution:
    low, high = shifts
    return RobustSolution(backed_up + (low + high) / 2, backed_up + low, backed_up + high, policy, iterations, method, model)


def _worst_value(adversary: Adversary, probabilities: Floats, tol: float) -> tuple[Floats, Floats, float]:
    """V_pi against the worst kernel, T_pi V, and a bound on the error of that, by policy iteration of the adversary."""
    gamma = adversary.frame.gamma
    earlier = np.full(adversary.frame.states, np.inf)
    value = adversary.reply(probabilities, np.zeros(adversary.frame.states))
    while True:
        backed_up, error = adversary.follow(probabilities, value)
        settled = np.abs(backed_up - value).max() <= max(4 * error, tol * (1 - gamma) / 16)
        if settled or not (value < earlier - error).any():
            return value, backed_up, error
        earlier, value = value, adversary.reply(probabilities, value)


def _chain_value(rows: Floats, probabilities: Floats, reward: Floats, gamma: float) -> Floats:
    """V_pi of rows float64[S, A, S] and rewards float64[S, A], by a dense solve."""
    policy = probabilities.reshape(reward.shape)
    system = discounted_matrix(np.einsum("sa,sat->st", policy, rows), gamma)
    return dense_solve(system, (policy * reward).sum(axis=1))
