r"""Stochastic gradient descent on noisy quadratics: the expected loss of a schedule of step sizes, exactly, and the best schedules.

The loss is :math:`\frac12 \sum_i h_i x_i^2`, and a step is :math:`x_i \leftarrow x_i - \eta_k (h_i x_i + \xi_i)` with independent noise of mean
0 and variance :math:`n_i`. The second moments :math:`e_i = \mathbb{E} x_i^2` follow

.. math:: e_i \leftarrow (1 - \eta_k h_i)^2 e_i + \eta_k^2 n_i,

so that the expected loss after N steps, :math:`\frac12 \sum_i h_i e_i`, is a polynomial of the step sizes. In each single step size it is
a quadratic, whose minimum has a closed form.

The problem is that of Wu, Ren, Liao and Grosse (2018, 1803.02021), who show with it why step sizes that look a few steps ahead are
too short. What is out of its stated range raises :class:`~theory.errors.InputError`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class NoisyQuadratic:
    r"""A quadratic of ``curvatures`` :math:`h_i > 0`, gradients with the variances ``noise`` :math:`n_i \ge 0`.

    ``start`` holds the second moments :math:`e_i \ge 0` before the first step. The three are equally long.
    """

    curvatures: tuple[float, ...] = (1.0, 0.01)
    noise: tuple[float, ...] = (1.0, 0.01)
    start: tuple[float, ...] = (100.0, 100.0)

    def __post_init__(self) -> None:
        if not len(self.curvatures) == len(self.noise) == len(self.start) > 0:
            raise InputError("a noisy quadratic has a curvature, a variance and a start for each coordinate, at least one.")
        for what, values, least in (
            ("curvature", self.curvatures, "above"),
            ("variance", self.noise, "at least"),
            ("start", self.start, "at least"),
        ):
            for value in values:
                if not (math.isfinite(value) and (value > 0 if least == "above" else value >= 0)):
                    raise InputError(f"a {what} of a noisy quadratic is a number {least} 0, not {value}.")

    @property
    def stable(self) -> float:
        r"""The largest step size that does not make a coordinate oscillate with growing amplitude, :math:`2/\max_i h_i`."""
        return 2 / max(self.curvatures)


def expected_loss(problem: NoisyQuadratic, schedules: ArrayLike) -> Array:
    """The expected loss after all steps of each schedule; ``schedules`` (N, ...), the result (...)."""
    steps = np.asarray(schedules, dtype=float)
    if steps.ndim == 0:
        raise InputError("a schedule is a list of step sizes.")
    return _bounded_loss(problem, steps, steps)


def _bounded_loss(problem: NoisyQuadratic, low: Array, high: Array) -> Array:
    """A lower bound of the loss of all schedules between ``low`` and ``high`` (N, ...): each term at its best, for e grows with e."""
    h, n = np.array(problem.curvatures), np.array(problem.noise)
    moments = np.broadcast_to(np.array(problem.start), (*low.shape[1:], h.size))
    for a, b in zip(low[..., None], high[..., None]):
        shrink = np.maximum(np.maximum(1 - b * h, a * h - 1), 0.0)
        moments = shrink**2 * moments + a**2 * n
    return np.asarray(0.5 * moments @ h)


def _forward(problem: NoisyQuadratic, schedule: Sequence[float]) -> list[list[float]]:
    """The second moments before each step, and after the last, one list for each coordinate."""
    found = []
    for h, n, e in zip(problem.curvatures, problem.noise, problem.start):
        path = [e]
        for step in schedule:
            shrink = 1.0 - step * h
            e = shrink * shrink * e + step * step * n
            path.append(e)
        found.append(path)
    return found


def greedy_schedule(problem: NoisyQuadratic, steps: int, most: float = math.inf) -> Array:
    r"""The schedule, shape (steps,), whose every step makes the loss right after it as small as it can, within [0, ``most``].

    :math:`\eta = \sum_i h_i^2 e_i / \sum_i h_i (h_i^2 e_i + n_i)`: a meta-gradient that looks one step ahead. 0 where nothing is left to gain.
    """
    _require_steps(steps, most)
    return _switching_schedules(problem, most, np.zeros(1), steps)[:, 0]


@dataclass(frozen=True)
class ScaledOptimum:
    """The best ``scale`` of given shapes: its ``value``, and a ``lower`` bound for the values of all scales."""

    scale: float
    value: float
    lower: float


def best_scale(
    problem: NoisyQuadratic,
    shapes: Sequence[ArrayLike],
    *,
    most: float,
    references: Sequence[float] = (1.0,),
    tolerance: float = 1e-3,
) -> ScaledOptimum:
    r"""The scale c in [0, ``most``] with the smallest :math:`\max_j L(c \cdot \text{shape}_j) / \text{reference}_j`.

    A shape is a vector of step sizes, 0 or more, a constant schedule being ``np.ones(N)``. Several shapes (of several lengths) and references
    ask for one scale that serves all. By branch and bound: on a cell of scales, each contraction takes its smallest and each noise
    its smallest value, which bounds the loss from below; cells are split until no bound is below (1 - ``tolerance``) of the best value.
    """
    _require_steps(len(shapes), most)
    if len(references) != len(shapes) or not all(r > 0 for r in references):
        raise InputError("every shape needs a reference above 0.")
    if not math.isfinite(most):
        raise InputError("the scales of a schedule are searched in a bounded interval.")
    forms = [np.asarray(shape, dtype=float) for shape in shapes]
    if any(form.ndim != 1 or form.size == 0 or not (form >= 0).all() for form in forms):
        raise InputError("the shape of a schedule is a vector of step sizes, 0 or more.")

    def ratio(low: Array, high: Array) -> Array:
        """The bound for scales in [low, high], shape (cells,)."""
        parts = [_bounded_loss(problem, f[:, None] * low, f[:, None] * high) / r for f, r in zip(forms, references)]
        return np.asarray(np.max(parts, axis=0))

    edges = np.linspace(0.0, most, 65)
    low, high = edges[:-1], edges[1:]
    best, scale, settled = math.inf, 0.0, math.inf
    while low.size:
        middle = (low + high) / 2
        values = ratio(middle, middle)
        if values.min() < best:
            best, scale = float(values.min()), float(middle[values.argmin()])
        bound = ratio(low, high)
        done = bound >= (1 - tolerance) * best
        settled = min(settled, float(bound[done].min(initial=math.inf)))
        cuts = np.linspace(low[~done], high[~done], 5)
        low, high = cuts[:-1].ravel(), cuts[1:].ravel()
    return ScaledOptimum(scale, best, min(settled, best))


def linear_decay(steps: int) -> Array:
    """The shape 1 - k/N for k = 0 .. N - 1."""
    return 1 - np.arange(steps) / steps


@dataclass(frozen=True, eq=False)
class FreeOptimum:
    """A ``schedule`` (N,), its ``loss``, and the certificate of its stationarity.

    ``gain`` is the most that any change of one step size within its bounds takes off the loss, as a share of the loss.
    """

    schedule: Array
    loss: float
    gain: float


def best_schedule(problem: NoisyQuadratic, steps: int, *, most: float) -> FreeOptimum:
    """The best schedule found of N = ``steps`` step sizes in [0, ``most``].

    Begins with ``most`` for the first m steps and the greedy schedule for the rest, for the two best m; then sweeps give each step size
    its best value, the others fixed, until none gains more than 1e-9 of the loss. That certifies a stationary point, and not that there is no
    better one: the loss is not convex. (A looser ``most`` has more and worse of them: see the claim tarl/beyond-stability.)
    """
    _require_steps(steps, most)
    if not math.isfinite(most):
        raise InputError("the step sizes of a schedule are optimised in a bounded interval.")
    starts = _switching_schedules(problem, most, np.arange(steps + 1.0), steps)
    chosen = np.argsort(expected_loss(problem, starts), kind="stable")[:2]
    return min((_settle(problem, starts[:, m].tolist(), most) for m in chosen), key=lambda found: found.loss)


def _switching_schedules(problem: NoisyQuadratic, most: float, switches: Array, steps: int) -> Array:
    """Schedules of ``most`` until step m and then the greedy ones, (steps, switches), for each m of ``switches``."""
    h, n = np.array(problem.curvatures), np.array(problem.noise)
    moments = np.tile(np.array(problem.start), (switches.size, 1))
    schedules = np.empty((steps, switches.size))
    for k in range(steps):
        cost = (h**2 * moments + n) @ h
        greedy = np.divide(moments @ h**2, cost, out=np.zeros(switches.size), where=cost > 0)
        schedules[k] = np.where(k < switches, most, np.minimum(greedy, most))
        moments = (1 - schedules[k][:, None] * h) ** 2 * moments + schedules[k][:, None] ** 2 * n
    return schedules


def _settle(problem: NoisyQuadratic, schedule: list[float], most: float) -> FreeOptimum:
    """Sweeps from a schedule until no step size gains more than 1e-9 of the loss, at most 1000 of them."""
    gain = math.inf
    for _ in range(1000):
        before, gain, schedule = _sweep(problem, schedule, most)
        if gain <= 1e-9 * before:
            break
    loss = float(expected_loss(problem, schedule))
    return FreeOptimum(np.array(schedule), loss, gain / loss if loss > 0 else 0.0)


def _sweep(problem: NoisyQuadratic, schedule: list[float], most: float) -> tuple[float, float, list[float]]:
    """The loss of a schedule, the largest gain of one step size, and the schedule with every one, last to first, at its best given the others."""
    paths = _forward(problem, schedule)
    weights = [0.5 * h for h in problem.curvatures]
    each = list(zip(problem.curvatures, problem.noise))
    schedule, largest = schedule.copy(), 0.0
    for k in range(len(schedule) - 1, -1, -1):
        linear = sum(w * h * path[k] for w, (h, _), path in zip(weights, each, paths))
        square = sum(w * (h * h * path[k] + n) for w, (h, n), path in zip(weights, each, paths))
        old = schedule[k]
        if square > 0:
            new = min(max(linear / square, 0.0), most)
            largest = max(largest, 2 * linear * (new - old) - square * (new * new - old * old))
            schedule[k] = new
        weights = [w * (1 - schedule[k] * h) ** 2 for w, (h, _) in zip(weights, each)]
    return sum(0.5 * h * path[-1] for (h, _), path in zip(each, paths)), largest, schedule


def coordinate_bound(problem: NoisyQuadratic, steps: int) -> float:
    r"""A lower bound for every schedule without any bound on its step sizes: each coordinate as if it had the schedule to itself.

    Alone, a coordinate is at its best under the gains of a Kalman filter, :math:`1/e \leftarrow 1/e + h^2/n`; without noise it is 0.
    """
    _require_steps(steps, 1.0)
    total = 0.0
    for h, n, e in zip(problem.curvatures, problem.noise, problem.start):
        if n > 0 and e > 0:
            total += 0.5 * h / (1 / e + steps * h * h / n)
    return total


def long_steps_schedule(problem: NoisyQuadratic, steps: int, long: int) -> Array:
    r"""For two curvatures: ``long`` steps that serve the flatter coordinate alone, and the rest that serve the steeper one alone, (steps,).

    The long steps, of a size near 1/h of the flatter one, throw the steeper coordinate far out; the one after them, :math:`1/h` of the steeper,
    brings it back at once.
    """
    _require_steps(steps, 1.0)
    if len(problem.curvatures) != 2:
        raise InputError(f"long steps are for two curvatures, not {len(problem.curvatures)}.")
    if not 0 <= long < steps:
        raise InputError(f"of {steps} steps at least 0 and fewer than all are long, not {long}.")
    flat = int(np.argmin(problem.curvatures))
    h, n, e = (np.array(values) for values in (problem.curvatures, problem.noise, problem.start))
    schedule = np.zeros(steps)
    for k in range(steps):
        if k == long > 0:
            step = 1 / h[1 - flat]
        else:
            i = flat if k < long else 1 - flat
            step = h[i] * e[i] / (h[i] ** 2 * e[i] + n[i])
        schedule[k] = step
        e = (1 - step * h) ** 2 * e + step**2 * n
    return schedule


def _require_steps(steps: int, most: float) -> None:
    if steps < 1:
        raise InputError(f"a schedule has at least one step, not {steps}.")
    if not most > 0:
        raise InputError(f"the largest step size is above 0, not {most}.")
