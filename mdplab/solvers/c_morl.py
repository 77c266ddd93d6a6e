r"""The two stages of C-MORL (Liu, Pan, Xu, Song, You, Chen and Bian 2025, arXiv 2410.02236), each step solved exactly.

Stage 1 maximises weighted sums for a few preference vectors; that finds vertices of the front only. Stage 2 goes where the
vectors found are sparsest, and maximises one objective subject to lower bounds on the others, a constrained MDP, which reaches
points inside the front's faces. The interior-point version replaces the constraints by a logarithmic barrier,

.. math:: \max_\pi J_i(\pi) + \frac{1}{t} \sum_{j \ne i} \log(J_j(\pi) - b_j),

which loses at most (m - 1) / t in J_i.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models.constrained import ConstrainedMDP
from mdplab.models.multi_objective import MultiObjectiveMDP
from mdplab.solvers.constrained import FINEST_THRESHOLD, solve_constrained
from mdplab.solvers.hypervolume import nondominated
from mdplab.solvers.pareto import ParetoFront, WeightedSum, value_vector, weighted_sum
from theory.errors import InputError

Floats = NDArray[np.float64]
Choice = Literal["area", "length"]
Ties = Literal["best", "worst", "any"]


@dataclass(frozen=True, eq=False)
class Extension:
    """A solution of max J_i subject to J_j >= b_j for j != i: the ``value`` vector (m,) of the ``policy`` (N probabilities)."""

    value: Floats
    policy: Floats


@dataclass(frozen=True, eq=False)
class BarrierPoint:
    """The maximiser of the barrier objective over mixtures of a front's vertices.

    ``value`` float64[m] is its vector, ``mixture`` float64[k] its weights, ``multipliers`` float64[m] are 1 for the objective and
    1 / (t (J_j - b_j)) for the others. The barrier objective of the maximiser exceeds that of ``value`` by at most ``gap``.
    """

    value: Floats
    mixture: Floats
    multipliers: Floats
    gap: float


def preference_solutions(momdp: MultiObjectiveMDP, preferences: ArrayLike, tol: float = 1e-8) -> list[WeightedSum]:
    """Stage 1: the solution of the weighted sum for each row of ``preferences`` (k, m).

    Raises what :func:`~mdplab.solvers.pareto.weighted_sum` raises, and :class:`InputError` for a negative preference.
    """
    rows = np.asarray(preferences, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != momdp.objectives or not (rows >= 0).all():
        raise InputError(f"preferences are rows of {momdp.objectives} nonnegative numbers, not an array of shape {rows.shape}.")
    return [weighted_sum(momdp, row, tol) for row in rows]


def constrained_extension(
    momdp: MultiObjectiveMDP, objective: int, thresholds: ArrayLike, *, ties: Ties = "best", tol: float = 1e-7
) -> Extension:
    """Stage 2: maximise objective i subject to J_j >= ``thresholds``[j] for all j != i (entry i is not used; m numbers, m >= 2).

    Every solution is weakly Pareto-optimal. Among several, ``ties`` takes that with the "best" sum of the other objectives, by a
    second program that keeps J_i at what was found: it is Pareto-optimal. "worst" takes the least sum, "any" the first found.
    ``tol`` is that of :func:`~mdplab.solvers.constrained.solve_constrained`, which raises for thresholds that no policy meets.
    Raises :class:`InputError` for an objective, thresholds or ties that do not fit.
    """
    m = momdp.objectives
    b = np.asarray(thresholds, dtype=np.float64)
    _check_objective(m, objective, b)
    if ties not in get_args(Ties):
        raise InputError(f"ties are 'best', 'worst' or 'any', not {ties!r}.")
    others = np.arange(m) != objective
    mdp = momdp.mdp.replace(reward=momdp.rewards[objective])
    found = solve_constrained(ConstrainedMDP.at_least(mdp, momdp.rewards[others], b[others]), tol)
    reached = value_vector(momdp, found.policy)
    if ties == "any":
        return Extension(reached.value, found.policy)
    floor = np.where(others, np.minimum(b, reached.value), reached.value) - reached.error
    # what exceeds the floor must be more than a linear program can tell from nothing
    top, low = momdp.rewards.max(axis=1), momdp.rewards.min(axis=1)
    floor = np.minimum(floor, (top - 2 * FINEST_THRESHOLD * (top - low)) / (1 - momdp.mdp.gamma))
    sign = 1.0 if ties == "best" else -1.0
    mdp = momdp.mdp.replace(reward=sign * momdp.rewards[others].sum(axis=0))
    found = solve_constrained(ConstrainedMDP.at_least(mdp, momdp.rewards, floor), tol)
    return Extension(value_vector(momdp, found.policy).value, found.policy)


def crowding_distance(points: ArrayLike) -> Floats:
    """The crowding distance (Deb et al. 2002) of each of the ``points`` (n, m): C-MORL extends the least crowded.

    The sum over objectives of the distance between the two neighbours in that objective, divided by its range; inf at the ends.
    """
    x = np.asarray(points, dtype=np.float64)
    if x.ndim != 2 or not x.size:
        raise InputError(f"crowding is measured of points (n, m), not of an array of shape {x.shape}.")
    distance = np.zeros(len(x))
    for column in x.T:
        order = np.argsort(column, kind="stable")
        distance[order[[0, -1]]] = np.inf
        spread = float(column[order[-1]] - column[order[0]])
        if spread > 0:
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / spread
    return distance


def sparsest_segment(points: ArrayLike, choice: Choice = "area") -> tuple[int, int]:
    """The numbers of the two neighbours, among nondominated ``points`` (n, 2), n >= 2, with the most room between them.

    "area" is that of the box between them, "length" the sum of its sides, each divided by the range of its objective. The
    second has more of the second objective.
    """
    x = np.asarray(points, dtype=np.float64)
    if x.ndim != 2 or x.shape[1] != 2 or len(x) < 2 or not nondominated(x).all():
        raise InputError(
            f"segments lie between two or more nondominated points of two entries, not in an array of shape {x.shape}."
        )
    if choice not in get_args(Choice):
        raise InputError(f"segments are chosen by 'area' or 'length', not {choice!r}.")
    order = np.argsort(-x[:, 0], kind="stable")
    sides = np.abs(np.diff(x[order], axis=0))
    room = sides.prod(axis=1) if choice == "area" else (sides / np.maximum(np.ptp(x, axis=0), 1e-300)).sum(axis=1)
    k = int(np.argmax(room))
    return int(order[k]), int(order[k + 1])


def extend_front(
    momdp: MultiObjectiveMDP, points: ArrayLike, steps: int, *, choice: Choice = "area", front: ParetoFront | None = None
) -> Floats:
    """Stage 2 for two objectives: ``steps`` points more, each in the middle of the sparsest segment; (n + steps, 2).

    Between neighbours p and q it maximises J_0 subject to J_1 >= (p_1 + q_1) / 2, by a linear program, or by interpolation if the
    ``front`` is given. The ``points`` (n, 2), n >= 2, are those of stage 1 and must not dominate one another. Stops early where the
    largest segment has no area.
    """
    if momdp.objectives != 2:
        raise InputError(f"segments are for two objectives, not {momdp.objectives}; use constrained_extension.")
    x = np.asarray(points, dtype=np.float64)
    for _ in range(steps):
        p, q = sparsest_segment(x, choice)
        if not np.abs(x[p] - x[q]).prod() > 0:
            break
        middle = float((x[p, 1] + x[q, 1]) / 2)
        if front is None:
            new = constrained_extension(momdp, 0, [0.0, middle]).value
        else:
            new = np.array([front.best(0, middle), middle])
        if not nondominated(np.vstack((x, new))).all():  # as good as one that is there, to within rounding
            break
        x = np.vstack((x, new))
    return x


def barrier_point(vertices: ArrayLike, objective: int, thresholds: ArrayLike, t: float) -> BarrierPoint:
    """Maximise J_i + (1/t) sum_{j != i} log(J_j - b_j) over the mixtures of ``vertices`` (k, m), as of a Pareto front.

    For two objectives in closed form: on an edge along which J_i falls by s for each unit of J_j the maximiser has
    J_j = b_j + 1 / (t s), or is an end. For more by Newton's method, whose ``gap`` is computed afterwards. Raises
    :class:`InputError` unless t > 0, the arguments fit, and some mixture exceeds all thresholds (entry i is not used).
    """
    x = np.asarray(vertices, dtype=np.float64)
    b = np.asarray(thresholds, dtype=np.float64)
    if x.ndim != 2 or not x.size:
        raise InputError(f"vertices are given one a row, as an array (k, m), not of shape {x.shape}.")
    m = x.shape[1]
    _check_objective(m, objective, b)
    if not t > 0 or not np.isfinite(t):
        raise InputError(f"the sharpness of a barrier is {t}; it must be positive.")
    others = np.arange(m) != objective
    if (x[:, others].max(axis=0) <= b[others]).any():
        raise InputError("no mixture of the vertices exceeds all thresholds.")
    mixture = _on_edges(x, objective, b, t) if m == 2 else _by_newton(x, objective, b, t, others)
    value = mixture @ x
    if not (value > b)[others].all():
        raise InputError("no mixture of the vertices exceeds all thresholds.")
    multipliers = np.ones(m)
    multipliers[others] = 1 / (t * (value - b)[others])
    return BarrierPoint(value, mixture, multipliers, float((x @ multipliers).max() - multipliers @ value))


def _on_edges(x: Floats, i: int, b: Floats, t: float) -> Floats:
    """The best mixture of the vertices of a front of two objectives."""
    order = np.argsort(x[:, 1 - i])
    y, z = x[order, 1 - i], x[order, i]
    best, chosen = -np.inf, np.zeros(len(x))
    for k in range(len(x)):
        low, high = max(y[k], b[1 - i]), y[min(k + 1, len(x) - 1)]
        if high < low or high <= b[1 - i]:
            continue
        fall = (z[k] - z[k + 1]) / (y[k + 1] - y[k]) if k + 1 < len(x) else 0.0
        at = min(max(b[1 - i] + 1 / (t * fall), low), high) if fall > 0 else high
        share = (at - y[k]) / (y[k + 1] - y[k]) if k + 1 < len(x) else 0.0
        reached = z[k] - fall * (at - y[k]) + np.log(at - b[1 - i]) / t
        if reached > best:
            best, chosen = reached, np.zeros(len(x))
            chosen[order[k]] = 1 - share
            if k + 1 < len(x):
                chosen[order[k + 1]] = share
    return chosen


def _by_newton(x: Floats, i: int, b: Floats, t: float, others: NDArray[np.bool_]) -> Floats:
    """The best mixture for any number of objectives.

    By an interior-point method on the dual, min z - (1/t) sum_j log(lambda_j) with z at least each vertex's J_i + lambda . (J - b);
    the mixture is what its own barrier of weight mu leaves as multipliers.
    """
    scale = np.abs(x - b).max(axis=0)
    scale[i] = float(np.ptp(x[:, i])) or 1.0
    gain, room = (x[:, i] - x[:, i].max()) / scale[i], ((x - b) / scale)[:, others]
    sharpness = t * scale[i]
    planes = np.column_stack((np.ones(len(x)), -room))

    def objective(point: Floats, mu: float) -> float:
        slack = planes @ point - gain
        if not (slack > 0).all() or not (point[1:] > 0).all():
            return np.inf
        return float(point[0] - np.log(point[1:]).sum() / sharpness - mu * np.log(slack).sum())

    point = np.ones(room.shape[1] + 1)
    point[0] = float((gain + room.sum(axis=1)).max()) + 1.0
    mu = 1.0
    while mu > 1e-11:
        for _ in range(50):
            slack, multipliers = planes @ point - gain, point[1:]
            gradient = -mu * (planes.T @ (1 / slack))
            gradient[0] += 1.0
            gradient[1:] -= 1 / (sharpness * multipliers)
            curvature = mu * (planes / slack[:, None] ** 2).T @ planes
            curvature[range(1, point.size), range(1, point.size)] += 1 / (sharpness * multipliers**2)
            step = -np.linalg.lstsq(curvature, gradient, rcond=None)[0]
            slope, length, here = float(gradient @ step), 1.0, objective(point, mu)
            while length > 1e-12 and not objective(point + length * step, mu) <= here + 0.25 * length * slope:
                length /= 2
            if length <= 1e-12 or -slope < 1e-14:
                break
            point = point + length * step
        mu *= 0.1
    weights = 1 / (planes @ point - gain)
    return _polished(weights / weights.sum(), x, i, b, t, others)


def _polished(mixture: Floats, x: Floats, i: int, b: Floats, t: float, others: NDArray[np.bool_]) -> Floats:
    """Newton's method on the face that the mixture spans, which keeps all digits; the mixture itself if that leaves the face."""
    used = np.flatnonzero(mixture > 1e-4)
    share = mixture[used] / mixture[used].sum()
    room, k = (x[:, others] - b[others])[used], used.size
    for _ in range(20):
        slack = share @ room
        if not (slack > 0).all():
            return mixture
        gradient = x[used, i] + room @ (1 / slack) / t
        system = np.ones((k + 1, k + 1))
        system[:k, :k] = -(room / slack**2) @ room.T / t
        system[k, k] = 0.0
        share = share + np.linalg.lstsq(system, np.append(gradient.mean() - gradient, 0.0), rcond=1e-13)[0][:k]
    if not (share >= 0).all() or not (share @ room > 0).all():
        return mixture
    polished = np.zeros(len(x))
    polished[used] = share / share.sum()
    return polished


def _check_objective(m: int, objective: int, thresholds: Floats) -> None:
    if m < 2 or not 0 <= objective < m:
        raise InputError(f"there is no objective {objective} beside others among {m}.")
    if thresholds.shape != (m,) or not np.isfinite(thresholds).all():
        raise InputError(f"the thresholds are {m} finite numbers, one for each objective, not {thresholds.tolist()}.")
