r"""The value vectors of policies with several objectives: the exact Pareto front, and certificates of its points.

The vectors that stationary policies achieve form the polytope K = {R mu : mu a discounted occupancy}. Its support function
h(w) = max_{v in K} w . v is the value of the MDP with reward w . R, which the discounted solvers certify. The front is built
between vertices (the values of deterministic policies) and supporting planes: the plane through neighbouring vertices has a
normal w; solving w either proves that nothing lies beyond it or finds a vertex that does (Cohon 1978; Benson 1998). As the normals
are scaled to sum to 1, planes that are all exceeded by at most g prove that no achievable vector v does better than the front by
more than g in every objective: v - (g, ..., g) is dominated by a mixture of the vertices.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models import ModelError, TabularMDP
from mdplab.models.multi_objective import MultiObjectiveMDP
from mdplab.solvers.evaluation import accumulated_rounding, evaluate_rewards
from mdplab.solvers.hypervolume import box_corners
from mdplab.solvers.policy import as_probabilities
from mdplab.solvers.policy_iteration import policy_iteration
from mdplab.solvers.rational import RationalMDP, exact_evaluation, exact_policy_iteration, normalised_fractions, rational_twin
from theory.errors import InputError

Floats = NDArray[np.float64]
T = TypeVar("T")
# HiGHS takes coefficients below 1e-9 for 0: in these units no probability is that small. A vector on the boundary of what is feasible
# may still be refused for rounding: a certificate's program then starts so far inside, in units of the largest value.
_GRAIN = 1e4
_FINE_ROOM, _ROOM = 1e-9, 1e-7


@dataclass(frozen=True, eq=False)
class ValueVector:
    """J(pi), float64[m], each entry within ``error`` of the truth."""

    value: Floats
    error: float


@dataclass(frozen=True, eq=False)
class WeightedSum:
    """A policy (S pairs) that maximises ``weights`` . J: its ``value`` (m,), within ``error`` of the truth in every entry.

    No policy's weighted sum exceeds ``bound``.
    """

    weights: Floats
    policy: NDArray[np.int64]
    value: Floats
    error: float
    bound: float


@dataclass(frozen=True, eq=False)
class ParetoFront:
    """The front of a model with m objectives: mixtures of ``vertices``, with the proof that nothing lies beyond them.

    ``vertices`` float64[k, m], sorted so that the first objective rises, are the value vectors of the deterministic ``policies``
    int64[k, S] (pairs), each entry within ``error`` of the truth. ``weights`` float64[f, m] are nonnegative and sum to 1 in each
    row; no achievable vector v has weights[i] . v > ``bounds[i]``. They are the normals of the front's faces, and unit vectors.
    """

    vertices: Floats
    policies: NDArray[np.int64]
    error: float
    weights: Floats
    bounds: Floats

    @property
    def gap(self) -> float:
        """No achievable vector does better than the mixtures of the vertices by more than this in every objective."""
        return float((self.bounds - (self.weights @ self.vertices.T).max(axis=1)).max() + self.error)

    def excess(self, points: ArrayLike) -> Floats:
        """max_i weights[i] . v - bounds[i] of the ``points`` (..., m): positive for what no policy achieves, 0 on the front."""
        return np.asarray((np.asarray(points, dtype=np.float64) @ self.weights.T - self.bounds).max(axis=-1))

    def best(self, objective: int, threshold: float) -> float:
        """max J_i subject to J_j >= ``threshold`` for the other one of two objectives, i = ``objective``.

        By interpolation between the vertices. Raises :class:`InputError` for other than two objectives, and for a threshold
        above the largest J_j.
        """
        if self.vertices.shape[1] != 2 or objective not in (0, 1):
            raise InputError(f"this is for objectives 0 and 1 of two, not {objective} of {self.vertices.shape[1]}.")
        order = np.argsort(self.vertices[:, 1 - objective])
        x, y = self.vertices[order, 1 - objective], self.vertices[order, objective]
        if threshold > x[-1]:
            raise InputError(f"no policy brings objective {1 - objective} to {threshold}; the largest value is {x[-1]}.")
        return float(np.interp(threshold, x, y))


@dataclass(frozen=True, eq=False)
class ParetoCertificate:
    """How far a value vector v is from being undominated.

    ``slack`` is the largest sum_i s_i, s >= 0, for which some policy achieves v + s or more (the largest min_i s_i if ``weak``);
    v is Pareto-optimal (weakly) if and only if it is 0. ``dominating`` float64[m] is the vector that has it, to within 1e-7 of the
    largest value, of the unnormalised ``occupancy`` (N,). ``weights`` float64[m] prove it: h(weights) - weights . v = slack, with
    all weights at least 1 (or nonnegative, summing to 1, if ``weak``), and h certified, so that no slack exceeds ``bound``.
    """

    slack: float
    dominating: Floats
    occupancy: Floats
    weights: Floats
    bound: float
    weak: bool


def value_vector(momdp: MultiObjectiveMDP, policy: ArrayLike) -> ValueVector:
    """The m values of one policy, in any of the forms of :mod:`mdplab.solvers.policy`, from the model's start law."""
    mdp = momdp.mdp
    probabilities = as_probabilities(mdp, policy)
    rho = mdp.start_distribution
    found = [evaluate_rewards(mdp, probabilities, reward) for reward in momdp.rewards]
    rounding = accumulated_rounding(mdp.states + 2) * max(float(rho @ np.abs(e.value)) for e in found)
    return ValueVector(np.array([rho @ e.value for e in found]), max(e.error for e in found) + rounding)


def weighted_sum(
    momdp: MultiObjectiveMDP, weights: ArrayLike, tol: float = 1e-8, *, start: ArrayLike | None = None
) -> WeightedSum:
    """The best policy for the reward sum_i w_i R_i, by policy iteration (from the policy ``start``) to a bracket of ``tol``.

    Raises :class:`ModelError` for weights that do not fit, for gamma = 1, and for a tolerance that float64 cannot certify.
    """
    mdp = momdp.scalarised(weights)
    found = policy_iteration(mdp, tol, start=start)
    reached = value_vector(momdp, found.policy)
    rho = mdp.start_distribution
    bound = float(rho @ found.upper) + accumulated_rounding(mdp.states) * float(rho @ np.abs(found.upper))
    return WeightedSum(np.asarray(weights, dtype=np.float64), found.policy, reached.value, reached.error, bound)


def pareto_front(momdp: MultiObjectiveMDP, tol: float = 1e-8) -> ParetoFront:
    """The front to within ``tol``: no achievable vector exceeds a face's plane, its normal scaled to sum to 1, by more.

    For two objectives by splitting chords, one weighted sum for each vertex and each edge. For more, by the facets of the hull
    of what the vertices dominate (Qhull), until each facet's weighted sum is certified; meant for m <= 4. What came out is told by
    the front's ``gap``, which may exceed ``tol`` by rounding. Raises :class:`ModelError` as :func:`weighted_sum` does.
    """
    m = momdp.objectives
    latest: NDArray[np.int64] | None = None  # neighbouring weights have similar policies

    def best(weights: Sequence[float]) -> tuple[_Point[WeightedSum], float]:
        nonlocal latest
        found = weighted_sum(momdp, weights, tol / 4, start=latest)
        latest = found.policy
        return _Point(tuple(found.value.tolist()), found), found.bound

    if m == 1:
        point, bound = best([1.0])
        points, planes = [point], [((1.0,), bound)]
    elif m == 2:
        points, planes = _split_chords(best, (1.0, 0.0), (0.0, 1.0), tol)
    else:
        points, planes = _facets(best, momdp.floor, tol)
    points.sort(key=lambda p: p.at)
    return ParetoFront(
        np.array([p.at for p in points]),
        np.array([p.what.policy for p in points]),
        max(p.what.error for p in points),
        np.array([w for w, _ in planes], dtype=np.float64),
        np.array([b for _, b in planes], dtype=np.float64),
    )


def exact_pareto_vertices(momdp: MultiObjectiveMDP) -> list[tuple[Fraction, Fraction]]:
    """The vertices of the front of two objectives in rational arithmetic, the first objective rising.

    Of the rational twin of the model, its start law corrected likewise (:mod:`mdplab.solvers.rational`): ties are ties, and the list is
    complete. For models of up to about 20 states. Raises :class:`InputError` for other than two objectives.
    """
    if momdp.objectives != 2:
        raise InputError(f"exact vertices are for two objectives, not {momdp.objectives}.")
    twin = rational_twin(momdp.mdp)
    rewards = [tuple(Fraction(x) for x in row) for row in momdp.rewards.tolist()]
    each = [replace(twin, reward=row) for row in rewards]
    rho, _ = normalised_fractions(momdp.mdp.start_distribution)

    def at_start(value: Any) -> Fraction:
        return sum((p * v for p, v in zip(rho, value)), Fraction(0))

    def best(weights: Sequence[Fraction]) -> tuple[_Point[RationalMDP], Fraction]:
        mixed = replace(twin, reward=tuple(weights[0] * a + weights[1] * b for a, b in zip(*rewards)))
        found = exact_policy_iteration(mixed)
        values = tuple(at_start(exact_evaluation(e, found.policy).value) for e in each)
        return _Point(values, mixed), at_start(found.value)

    points, _ = _split_chords(best, (Fraction(1), Fraction(0)), (Fraction(0), Fraction(1)), Fraction(0))
    return sorted((p.at[0], p.at[1]) for p in points)


def pareto_certificate(
    momdp: MultiObjectiveMDP, value: ArrayLike, *, weak: bool = False, tol: float = 1e-8
) -> ParetoCertificate:
    """The :class:`ParetoCertificate` of a ``value`` vector (m,), by a linear program over occupancies (HiGHS).

    Its answers are accurate to some 1e-7 of their size; ``bound`` is certified by policy iteration to ``tol``. Raises
    :class:`InputError` for a vector of another length or not finite, and for one that no policy achieves or dominates to that
    accuracy.
    """
    from scipy.optimize import linprog
    from scipy.sparse import block_array, csr_array

    v = np.asarray(value, dtype=np.float64)
    m = momdp.objectives
    if v.shape != (m,) or not np.isfinite(v).all():
        raise InputError(f"a value vector of this model is {m} finite numbers, not {v.tolist()}.")
    N = momdp.mdp.pairs
    gain = csr_array(np.ones((m, 1)) if weak else np.eye(m))
    spread = gain.shape[1]
    flow, source = occupancy_constraints(momdp.mdp)
    size = float(np.abs(momdp.rewards).max()) / (1 - momdp.mdp.gamma)
    for room in (0.0,) if weak else (0.0, _FINE_ROOM * size, _ROOM * size):
        found = linprog(
            -np.concatenate((np.zeros(N), np.ones(spread))),
            A_ub=block_array([[csr_array(-momdp.rewards), gain]], format="csr"),
            b_ub=room - v,
            A_eq=_GRAIN * block_array([[flow, csr_array((flow.shape[0], spread))]], format="csr"),
            b_eq=_GRAIN * source,
            bounds=np.array([[0.0, np.inf]] * N + [[-np.inf if weak else 0.0, np.inf]] * spread),
            method="highs",
        )
        if found.status != 2:
            break
    if found.status == 2 or (weak and found.status == 0 and -found.fun < -_ROOM * size):
        raise InputError(f"no policy achieves or dominates the value vector {v.tolist()}.")
    if found.status != 0:
        raise ModelError(f"the linear program of the certificate was not solved: {found.message.strip()}")
    weights = np.maximum(-found.ineqlin.marginals, 0.0)
    weights = weights / weights.sum() if weak else np.maximum(weights, 1.0)
    bound = weighted_sum(momdp, weights, tol).bound - float(weights @ v)
    occupancy = np.maximum(found.x[:N], 0.0)
    slack = max(0.0, float(-found.fun - room * weights.sum()))
    return ParetoCertificate(slack, momdp.rewards @ occupancy, occupancy, weights, bound, weak)


def occupancy_constraints(mdp: TabularMDP) -> tuple[Any, Floats]:
    """E and rho with E mu = rho, mu >= 0, for the unnormalised occupancies mu (N,): a SciPy CSR array (S, N) and (S,)."""
    from scipy.sparse import csr_array

    owner = csr_array((np.ones(mdp.pairs), (mdp.pair_state, np.arange(mdp.pairs))), shape=(mdp.states, mdp.pairs))
    return csr_array(owner - mdp.gamma * mdp.transition_matrix().T), mdp.start_distribution


@dataclass(frozen=True, eq=False)
class _Point(Generic[T]):
    """A value vector (floats or Fractions) and what achieves it."""

    at: tuple[Any, ...]
    what: T


Oracle = Callable[[Any], tuple[_Point[T], Any]]  # weights to a best point and to a bound on all weighted sums
Plane = tuple[tuple[Any, ...], Any]


def _normal(p: _Point[T], q: _Point[T]) -> tuple[Any, Any]:
    """The normal of the chord from p to q, which has more of the second objective; it sums to 1."""
    up, back = q.at[1] - p.at[1], p.at[0] - q.at[0]
    return up / (up + back), back / (up + back)


def _dot(weights: Sequence[Any], point: _Point[T]) -> Any:
    return sum(w * x for w, x in zip(weights, point.at))


def _split_chords(best: Oracle[T], first: Any, second: Any, tol: Any) -> tuple[list[_Point[T]], list[Plane]]:
    """Vertices and planes of the front of two objectives; exact if the numbers are Fractions and ``tol`` is 0."""
    p, bound = best(first)
    q, other = best(second)
    planes: list[Plane] = [(first, bound), (second, other)]
    certified: dict[tuple[int, int], Plane] = {}
    found, pending = [p], [(p, q)]
    while pending:
        a, b = pending.pop()
        if a.at[0] > b.at[0] and b.at[1] > a.at[1]:
            weights = _normal(a, b)
            r, bound = best(weights)
            if bound - _dot(weights, a) > tol and r.at not in (a.at, b.at):
                pending += [(r, b), (a, r)]
                continue
            certified[id(a), id(b)] = (weights, bound)
        found.append(b)
    kept = _corners(found, tol / 4)
    for a, b in itertools.pairwise(kept):
        known = certified.get((id(a), id(b)))
        planes.append(known or (_normal(a, b), best(_normal(a, b))[1]))
    return kept, planes


def _corners(found: list[_Point[T]], tol: Any) -> list[_Point[T]]:
    """The points, the first objective falling, without those that another or a chord dominates to within ``tol``."""
    kept: list[_Point[T]] = []
    for r in sorted(found, key=lambda p: (-p.at[0], -p.at[1])):
        if kept and r.at[1] <= kept[-1].at[1] + tol:
            continue
        while kept and r.at[0] >= kept[-1].at[0] - tol:
            kept.pop()
        while len(kept) >= 2:
            weights = _normal(kept[-2], r)
            if _dot(weights, kept[-1]) - _dot(weights, r) > tol:
                break
            kept.pop()
        kept.append(r)
    return kept


def _facets(best: Oracle[WeightedSum], floor: Floats, tol: float) -> tuple[list[_Point[WeightedSum]], list[Plane]]:
    """Vertices and planes of the front of three or more objectives."""
    from scipy.spatial import ConvexHull

    m = floor.size
    points: list[_Point[WeightedSum]] = []
    planes: dict[tuple[float, ...], Plane] = {}
    for unit in np.eye(m):
        point, bound = best(unit)
        points.append(point)
        planes[tuple(unit)] = (tuple(unit), bound)
    while True:
        x = np.array([p.at for p in points])
        scale = np.maximum(x.max(axis=0) - floor, np.finfo(float).tiny)
        scaled = (x - floor) / scale + 1.0  # between 1 and 2, well above the floor of the hull at 0
        corners = box_corners(scaled, np.zeros(m))
        hull = ConvexHull(corners)
        normals = hull.equations[:, :-1]
        normals = np.unique(normals[(normals >= -1e-9).all(axis=1)].round(12), axis=0)
        missing = False
        faces = [planes[tuple(unit)] for unit in np.eye(m)]
        for normal in np.maximum(normals, 0.0) / scale:
            weights = tuple((normal / normal.sum()).tolist())
            key = tuple(round(w, 10) for w in weights)
            if key not in planes:
                point, bound = best(weights)
                planes[key] = (weights, bound)
                if bound - max(_dot(weights, p) for p in points) > tol:
                    points.append(point)
                    missing = True
            faces.append(planes[key])
        if not missing:
            vertices = set(map(tuple, corners[hull.vertices].tolist()))
            kept = {row: p for p, row in zip(points, map(tuple, scaled.tolist())) if row in vertices}
            return list(kept.values()), list(dict.fromkeys(faces))
