r"""Storage on a scenario tree: extensive forms, forward problems with targets, and training of targets by duality.

Given targets x for the levels v, the *forward problem* of a scenario with the penalty C is the linear program

.. math:: Q_C(x) = \min_{v, u} \sum_t c_t (D - u_t) + C \sum_t |v_t - x_t|,

convex and piecewise linear in x, with the multipliers :math:`\lambda_t` of the rows :math:`v_t + \delta^+_t - \delta^-_t = x_t` for a
subgradient. It sees the whole scenario, while a target sees the past alone: targets are trained to minimise E Q_C(x), and used by
:func:`follow`, which does not look ahead.

Rosemberg, Street, Valladao and Van Hentenryck (2024), "Efficiently Training Deep-Learning Parametric Policies using Lagrangian
Duality", arXiv 2405.14973.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog
from scipy.sparse import csr_array

from mdplab.models.scenario_tree import StorageTree
from theory.errors import InputError

Floats = NDArray[np.float64]
OPTIMAL_FACE = 1e-10  # how far below the optimum, relative to its size, a dual solution may lie


@dataclass(frozen=True, eq=False)
class FollowedTargets:
    """What is done at each node, ``level`` and ``release`` (n,), and the expected ``cost``, without any penalty."""

    level: Floats
    release: Floats
    cost: float


@dataclass(frozen=True, eq=False)
class ForwardPass:
    """Forward problems of all scenarios: ``value`` (..., N), ``level`` (..., N, T), and the duals of their rows (..., N, T).

    ``target_dual`` is a subgradient of the value in the targets, ``balance_dual`` one in the inflows.
    """

    value: Floats
    level: Floats
    target_dual: Floats
    balance_dual: Floats


@dataclass(frozen=True, eq=False)
class ExtensiveForm:
    """The optimum ``value`` over scenarios, its ``level`` (N, T), and ``multipliers`` (N, T) of non-anticipativity.

    The multipliers are per unit of probability, and their conditional means at every node are 0. Without non-anticipativity, which
    is the wait-and-see bound, they are 0.
    """

    value: float
    level: Floats
    multipliers: Floats


@dataclass(frozen=True, eq=False)
class TrainedTargets:
    """Targets (n,) and the training objective E Q_C at every iterate, ``objectives`` (steps + 1,), the last of them theirs.

    ``squared_slopes`` (steps,) holds the squared norms of the subgradients, in the norm of :func:`train_targets`.
    """

    targets: Floats
    objectives: Floats
    squared_slopes: Floats


def follow(tree: StorageTree, targets: ArrayLike) -> FollowedTargets:
    r"""Follow targets (n,) without looking ahead: the level nearest to the target, then the largest release that it leaves.

    The level is :math:`v_t = \min\{\max\{x_t, 0\}, \bar v, v_{t-1} + w_t\}`, the release :math:`\min\{\bar u, D, v_{t-1} + w_t - v_t\}`.
    Raises InputError for another shape, or a target that is not a number.
    """
    x = _targets(tree, targets)
    level, release = np.empty(tree.nodes), np.empty(tree.nodes)
    for node, before in enumerate(tree.parent):
        water = (level[before] if before >= 0 else tree.start) + tree.inflow[node]
        level[node] = min(max(x[node], 0.0), tree.capacity, water)
        release[node] = min(tree.usable, water - level[node])
    return FollowedTargets(level, release, float(tree.probability @ (tree.price * (tree.demand - release))))


def forward_pass(tree: StorageTree, targets: ArrayLike, penalty: float) -> ForwardPass:
    """The forward problems of all scenarios with a ``penalty`` >= 0, in one sparse linear program.

    ``targets`` are (n,), one for each node, or (..., N, T), any for each scenario. Raises InputError for another shape, a target
    that is not a number, a penalty out of its range.
    """
    C = _penalty(penalty)
    x = np.asarray(targets, dtype=float)
    x = _targets(tree, x)[tree.paths] if x.ndim == 1 else x
    if x.shape[-2:] != tree.paths.shape or not np.isfinite(x).all():
        raise InputError(
            f"targets of this tree are finite, of shape ({tree.nodes},) or (..., N, T) = (..., {tree.paths.shape})."
        )
    B = x.size
    price = np.broadcast_to(tree.price[tree.paths], x.shape).ravel()
    found = _solve(tree, x[..., 0, 0].size, -price, np.full(B, C), targets=x.ravel())
    level, release = found.x[:B], found.x[B : 2 * B]
    paid = price * (tree.demand - release) + C * (found.x[2 * B : 3 * B] + found.x[3 * B :])
    return ForwardPass(
        paid.reshape(x.shape).sum(axis=-1),
        level.reshape(x.shape),
        np.asarray(found.eqlin.marginals).reshape(x.shape),
        np.asarray(found.ineqlin.marginals).reshape(x.shape),
    )


def training_objective(tree: StorageTree, targets: ArrayLike, penalty: float) -> float:
    """E Q_C(x), for targets (n,)."""
    return float(tree.scenario_probability @ forward_pass(tree, _targets(tree, targets), penalty).value)


def extensive_form(tree: StorageTree, *, non_anticipative: bool = True) -> ExtensiveForm:
    """The multistage optimum; with ``non_anticipative=False`` the wait-and-see bound, where every scenario is known at once."""
    weight = np.repeat(tree.scenario_probability, tree.paths.shape[1])
    price = weight * tree.price[tree.paths].ravel()
    found = _solve(tree, 1, -price, np.zeros(weight.size), tied=non_anticipative)
    return ExtensiveForm(
        tree.demand * float(price.sum()) + float(found.fun),
        found.x[: weight.size].reshape(tree.paths.shape),
        (np.asarray(found.eqlin.marginals) / weight).reshape(tree.paths.shape),
    )


def training_optimum(tree: StorageTree, penalty: ArrayLike) -> tuple[Floats, Floats]:
    """The least training objective min_x E Q_C(x) over one target for each node, and targets (..., n) that attain it.

    This is the extensive form with its non-anticipativity paid for at the price C, so it lies between the wait-and-see bound and
    the multistage optimum. Penalties (...) are solved for at once. Raises InputError for one out of its range.
    """
    C = np.array([_penalty(c) for c in np.ravel(penalty)])
    weight = np.repeat(tree.scenario_probability, tree.paths.shape[1])
    price = weight * tree.price[tree.paths].ravel()
    found = _solve(tree, C.size, np.tile(-price, C.size), np.outer(C, weight).ravel())
    B = C.size * weight.size
    paid = -np.tile(price, C.size) * found.x[B : 2 * B] + np.outer(C, weight).ravel() * (
        found.x[2 * B : 3 * B] + found.x[3 * B : 4 * B]
    )
    value = tree.demand * float(price.sum()) + paid.reshape(C.size, -1).sum(axis=1)
    shape = np.shape(penalty)
    return value.reshape(shape)[()], found.x[4 * B :].reshape(*shape, tree.nodes)


def exact_penalty(tree: StorageTree) -> float:
    r"""The least C at which the least training objective is the multistage optimum.

    It is the least :math:`\max_{s,t} |\lambda_{s,t}|` among the optimal multipliers of non-anticipativity, per unit of probability,
    found by a second linear program over the optimal face of the dual.
    """
    weight = np.repeat(tree.scenario_probability, tree.paths.shape[1])
    B, n = weight.size, tree.nodes
    row, column, entry, water = _balance(tree, 1)
    price = weight * tree.price[tree.paths].ravel()
    each, one = np.arange(B), np.ones(B)
    # minimise tau over y (of the balance), p (of the capacity), z (of the largest release), all >= 0, and l with |l| <= tau:
    #   balance' y + p + w l >= 0,  y + z >= w c,  sum of w l at a node = 0,  demand w c - (water y + capacity p + usable z) >= V
    levels = column < B
    blocks = [
        (column[levels], row[levels], -entry[levels]),
        (each, B + each, -one),
        (each, 3 * B + each, -weight),
        (B + each, each, -one),
        (B + each, 2 * B + each, -one),
        (2 * B + each, 3 * B + each, one),
        (2 * B + each, np.full(B, 4 * B), -one),
        (3 * B + each, 3 * B + each, -one),
        (3 * B + each, np.full(B, 4 * B), -one),
        (np.full(B, 4 * B), each, water),
        (np.full(B, 4 * B), B + each, tree.capacity * one),
        (np.full(B, 4 * B), 2 * B + each, tree.usable * one),
    ]
    r, c, e = (np.concatenate(parts) for parts in zip(*blocks))
    room = tree.demand * float(price.sum()) - extensive_form(tree).value
    found = linprog(
        np.concatenate([np.zeros(4 * B), [1.0]]),
        A_ub=csr_array((e, (r, c)), shape=(4 * B + 1, 4 * B + 1)),
        b_ub=np.concatenate([np.zeros(B), -price, np.zeros(2 * B), [room + OPTIMAL_FACE * (1 + abs(room))]]),
        A_eq=csr_array((weight, (tree.paths.ravel(), 3 * B + each)), shape=(n, 4 * B + 1)),
        b_eq=np.zeros(n),
        bounds=np.concatenate([np.tile([0.0, np.inf], (3 * B, 1)), np.tile([-np.inf, np.inf], (B, 1)), [[0.0, np.inf]]]),
        method="highs",
    )
    return float(found.x[-1])


def train_targets(tree: StorageTree, penalty: float, *, steps: int, size: float, start: ArrayLike) -> TrainedTargets:
    r"""Subgradient descent on E Q_C over one target for each node, with a constant step ``size`` > 0.

    The target of node n moves by the conditional mean of the duals of the scenarios through n, which is the subgradient in the norm
    :math:`\|x\|^2 = \sum_n p_n x_n^2`. Raises InputError for numbers out of their range.
    """
    C = _penalty(penalty)
    if not size > 0 or not steps >= 1:
        raise InputError(f"descent needs a positive step size and at least one step, not {size} and {steps}.")
    x = _targets(tree, start).copy()
    weight = tree.scenario_probability
    objectives, slopes = [], []
    for k in range(steps + 1):
        passed = forward_pass(tree, x, C)
        objectives.append(float(weight @ passed.value))
        if k == steps:
            break
        duals = (weight[:, None] * passed.target_dual).ravel()
        mean = np.bincount(tree.paths.ravel(), weights=duals, minlength=tree.nodes) / tree.probability
        slopes.append(float(tree.probability @ mean**2))
        x -= size * mean
    return TrainedTargets(x, np.array(objectives), np.array(slopes))


def _solve(
    tree: StorageTree,
    copies: int,
    release_cost: Floats,
    miss_cost: Floats,
    *,
    targets: Floats | None = None,
    tied: bool | None = None,
) -> Any:
    """The linear program over levels, releases and misses from above and below, B each, of ``copies`` of all scenarios.

    Without ``targets`` these are variables, too, one for each node and copy, unless ``tied`` says that there are no misses (True) or
    that there are only misses, at no cost (False).
    """
    row, column, entry, water = _balance(tree, copies)
    B, n = water.size, copies * tree.nodes if targets is None else 0
    each, one = np.arange(B), np.ones(B)
    r, c, e = [each] * 3, [each, 2 * B + each, 3 * B + each], [one, one, -one]
    if targets is None:
        r.append(each)
        c.append(4 * B + (tree.paths.ravel() + tree.nodes * np.arange(copies)[:, None]).ravel())
        e.append(-one)
    largest = np.repeat([tree.capacity, tree.usable, 0.0 if tied else np.inf, np.inf], [B, B, 2 * B, n])
    return linprog(
        np.concatenate([np.zeros(B), release_cost, miss_cost, miss_cost, np.zeros(n)]),
        A_ub=csr_array((entry, (row, column)), shape=(B, 4 * B + n)),
        b_ub=water,
        A_eq=csr_array((np.concatenate(e), (np.concatenate(r), np.concatenate(c))), shape=(B, 4 * B + n)),
        b_eq=np.zeros(B) if targets is None else targets,
        bounds=np.stack([np.repeat([0.0, -np.inf], [4 * B, n]), largest], axis=1),
        method="highs",
    )


def _balance(tree: StorageTree, copies: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats, Floats]:
    """Rows, columns and entries of v_t - v_{t-1} + u_t over all scenarios and stages; what flows in, the start in stage 1 included."""
    scenarios, T = tree.paths.shape
    B = copies * scenarios * T
    each = np.arange(B)
    later = each[each % T > 0]
    water = tree.inflow[tree.paths]
    water[:, 0] += tree.start
    return (
        np.concatenate([each, later, each]),
        np.concatenate([each, later - 1, B + each]),
        np.concatenate([np.ones(B), -np.ones(later.size), np.ones(B)]),
        np.tile(water.ravel(), copies),
    )


def _targets(tree: StorageTree, targets: ArrayLike) -> Floats:
    x = np.asarray(targets, dtype=float)
    if x.shape != (tree.nodes,) or not np.isfinite(x).all():
        raise InputError(
            f"the targets of this tree are {tree.nodes} finite numbers, one for each node, not an array {x.shape}."
        )
    return x


def _penalty(penalty: float) -> float:
    if not 0 <= penalty < np.inf:
        raise InputError(f"the penalty is at least 0 and finite, not {penalty}.")
    return float(penalty)
