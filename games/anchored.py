r"""Anchored methods for monotone inclusions, which pull every iterate back to the start, and the extragradient method without.

With D the distance of the start from a zero of F and L the constant in question:

================================  ==========================  ==========================================  ===========
method                            F is                        residual :math:`\|F(z_k)\|` at most         evaluations
================================  ==========================  ==========================================  ===========
:func:`halpern`                   L-cocoercive                :math:`L D / (k + 1)`                       1
:func:`fast_extragradient`        monotone, L-Lipschitz       :math:`2 L D / k`                           2
:func:`eag_v`                     monotone, L-Lipschitz       :math:`\sqrt{27} L D / \sqrt{(k+1)(k+2)}`   2
:func:`eag_c`                     monotone, L-Lipschitz       :math:`\sqrt{260} L D / (k + 1)`            2
:func:`extragradient`             monotone, L-Lipschitz       of the order :math:`1/\sqrt{k}` only        2
================================  ==========================  ==========================================  ===========

An operator is any function of points, or the :class:`games.inclusions.Calls` of a finite sum, which charges n calls for an
evaluation; on these and on a :class:`games.inclusions.LinearOperator` the loops are compiled. A run that leaves every bound (its
residual passes 1e100 times the first one) is broken off.

What is out of its stated range raises :class:`~theory.errors.InputError`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from games.dynamics import require_iterations
from games.inclusions import Calls, LinearOperator
from theory.errors import InputError

Array = NDArray[Any]
Reals = NDArray[np.float64]
OperatorLike = Callable[[Array], Array] | Calls | LinearOperator

DIVERGED = 1e100  # times the first residual: far enough to be sure, near enough that nothing overflows
EAG_V_FIRST_STEP = 0.618
EAG_C_STEP = 1 / 8


@dataclass(frozen=True, eq=False)
class AnchoredRun:
    """A trajectory: ``points`` z_0, ..., z_T and ``residuals`` F(z_0), ..., F(z_T), each of shape (T + 1, *shape of the start).

    ``calls``, shape (T + 1,), is what had been charged when a point was reached: calls of components on a finite sum,
    evaluations of the function otherwise. The residual at the last point is not charged, unless ``until`` ended the run there: then
    the counter of the operator, but not ``calls``, includes it.
    """

    points: Array
    residuals: Array
    calls: NDArray[np.int64]

    @property
    def iterations(self) -> int:
        """T, the number of iterations made."""
        return int(self.calls.size) - 1

    @property
    def norms(self) -> Reals:
        """The Euclidean norms of the residuals, shape (T + 1,)."""
        return np.asarray(np.linalg.norm(self.residuals.reshape(self.calls.size, -1), axis=1))

    def iterations_to(self, epsilon: float) -> float:
        """The first k at which the residual is at most ``epsilon``; infinite if there is none in the run."""
        below = np.flatnonzero(self.norms <= epsilon)
        return float(below[0]) if below.size else float("inf")

    def calls_to(self, epsilon: float) -> float:
        """What had been charged at the first point whose residual is at most ``epsilon``; infinite if there is none."""
        k = self.iterations_to(epsilon)
        return float(self.calls[int(k)]) if np.isfinite(k) else float("inf")


def halpern(
    operator: OperatorLike,
    u0: ArrayLike,
    L: float,
    iterations: int,
    *,
    anchor: ArrayLike | None = None,
    step: float = 2.0,
    until: float | None = None,
) -> AnchoredRun:
    r"""The Halpern iteration for an L-cocoercive operator: :math:`\|F(u_k)\| \le L D / (k + 1)`. Lieder (2021).

    .. math:: u_{k+1} = b_k u_0 + (1 - b_k) \bigl(u_k - \tfrac{2}{L} F(u_k)\bigr), \qquad b_k = \frac{1}{k + 2}

    One evaluation an iteration. ``anchor`` replaces the weights b, a number or one for each iteration, in [0, 1]; ``step``
    replaces the 2. The run ends early at a residual of norm at most ``until``.
    """
    require_iterations(iterations)
    k = np.arange(iterations)
    b = _schedule(1 / (k + 2) if anchor is None else anchor, iterations)
    if not 0 < step < np.inf:
        raise InputError(f"the step of the Halpern iteration is positive and finite, not {step}.")
    return _run(operator, u0, b, ((1 - b) * (step / _constant(L)),), until)


def fast_extragradient(
    operator: OperatorLike, u0: ArrayLike, L: float, iterations: int, *, until: float | None = None
) -> AnchoredRun:
    r"""The fast extragradient method for a monotone L-Lipschitz operator: :math:`\|F(z_k)\| \le 2 L D / k`. Lee and Kim (2021).

    .. math:: z_{k+1/2} &= z_k + b_k (z_0 - z_k) - \tfrac{1 - b_k}{L} F(z_k), \\
              z_{k+1} &= z_k + b_k (z_0 - z_k) - \tfrac1L F(z_{k+1/2}), \qquad b_k = \frac{1}{k + 1}

    Two evaluations an iteration. arXiv 2106.02326, with the parameter rho = 0.
    """
    require_iterations(iterations)
    b = 1 / (np.arange(iterations) + 1.0)
    return _run(operator, u0, b, ((1 - b) / _constant(L), np.full(iterations, 1 / L)), until)


def eag_v(operator: OperatorLike, u0: ArrayLike, L: float, iterations: int, *, until: float | None = None) -> AnchoredRun:
    r"""The extra-anchored gradient method with a varying step, for a monotone L-Lipschitz operator. Yoon and Ryu (2021).

    .. math:: z_{k+1/2} &= z_k + b_k (z_0 - z_k) - a_k F(z_k), \\
              z_{k+1} &= z_k + b_k (z_0 - z_k) - a_k F(z_{k+1/2}), \qquad b_k = \frac{1}{k + 2}

    with the steps of :func:`eag_v_steps`; :math:`\|F(z_k)\|^2 \le 27 L^2 D^2 / ((k + 1)(k + 2))`. arXiv 2102.07922.
    """
    require_iterations(iterations)
    steps = eag_v_steps(iterations) / _constant(L)
    return _run(operator, u0, 1 / (np.arange(iterations) + 2.0), (steps, steps), until)


def eag_v_steps(iterations: int) -> Reals:
    r"""The steps of EAG-V times L, shape (iterations,): from .618 down to a limit of .437.

    .. math:: a_{k+1} = a_k \Bigl(1 - \frac{a_k^2}{(k + 1)(k + 3)(1 - a_k^2)}\Bigr)
    """
    require_iterations(iterations)
    steps = np.empty(iterations)
    a = EAG_V_FIRST_STEP
    for k in range(iterations):
        steps[k] = a
        a *= 1 - a**2 / ((k + 1) * (k + 3) * (1 - a**2))
    return steps


def eag_c(operator: OperatorLike, u0: ArrayLike, L: float, iterations: int, *, until: float | None = None) -> AnchoredRun:
    r"""The extra-anchored gradient method with the constant step 1/(8 L): :math:`\|F(z_k)\|^2 \le 260 L^2 D^2 / (k + 1)^2`.

    As :func:`eag_v` otherwise. Yoon and Ryu (2021), arXiv 2102.07922.
    """
    require_iterations(iterations)
    steps = np.full(iterations, EAG_C_STEP / _constant(L))
    return _run(operator, u0, 1 / (np.arange(iterations) + 2.0), (steps, steps), until)


def extragradient(
    operator: OperatorLike, u0: ArrayLike, L: float, iterations: int, *, step: float = 0.5, until: float | None = None
) -> AnchoredRun:
    r"""Korpelevich's extragradient method, :math:`z_{k+1} = z_k - \frac{s}{L} F(z_k - \frac{s}{L} F(z_k))`: no anchor.

    ``step`` is s. For s < 1 the residual of the last iterate decreases, in the worst case no faster than :math:`1/\sqrt{k}`; with
    s = 1 it need not: on :math:`F(z) = \mathrm{i} L z` the iterates go round for ever.
    """
    require_iterations(iterations)
    if not 0 < step < np.inf:
        raise InputError(f"the step of the extragradient method is positive and finite, not {step}.")
    steps = np.full(iterations, step / _constant(L))
    return _run(operator, u0, np.zeros(iterations), (steps, steps), until)


def _run(operator: OperatorLike, u0: ArrayLike, anchor: Reals, steps: tuple[Reals, ...], until: float | None) -> AnchoredRun:
    """Anchored steps with one or two evaluations: as many as there are schedules of step sizes.

    The last schedule, t, takes an iterate z to z + b (z_0 - z) - t F(h), where h is z, or, if there is another schedule s,
    z + b (z_0 - z) - s F(z).
    """
    start = np.asarray(u0)
    start = start.astype(np.complex128 if isinstance(operator, Calls) or start.dtype.kind == "c" else float)
    if start.size == 0 or not np.isfinite(start).all():
        raise InputError("the start of a method is a point with finite coordinates.")
    if until is not None and not 0 <= until < np.inf:
        raise InputError(f"a run ends at a residual of at least 0, not {until}.")
    enough = -1.0 if until is None else float(until)  # a run may pass through a zero and leave it again
    points = np.empty((anchor.size + 1, *start.shape), dtype=start.dtype)
    residuals = np.empty_like(points)
    calls = np.zeros(anchor.size + 1, dtype=np.int64)
    points[0] = start
    if isinstance(operator, Calls):
        from games._kernels_anchored import finite_sum_path

        if start.shape != (operator.problem.dimension,):
            raise InputError(f"a point of this sum has the shape {(operator.problem.dimension,)}, not {start.shape}.")
        at, rule = operator.problem.diagnostic, (anchor, steps[0], steps[-1], len(steps) == 2, enough)
        largest = DIVERGED * float(np.linalg.norm(at(start)))
        made = int(operator.run_kernel(finite_sum_path, *rule, largest, points, residuals, calls))
        residuals[made] = at(points[made])
    elif isinstance(operator, LinearOperator) and start.dtype.kind == "f":
        from games._kernels_anchored import matrix_path

        if start.ndim > 2 or start.shape[0] != operator.dimension:
            raise InputError(f"an operator on {operator.dimension} dimensions cannot start from the shape {start.shape}.")
        columns = (anchor.size + 1, operator.dimension, -1)
        made = matrix_path(
            operator.matrix,
            np.zeros(1, dtype=np.int64),
            anchor,
            steps[0],
            steps[-1],
            len(steps) == 2,
            enough,
            DIVERGED * float(np.linalg.norm(operator(start))),
            points.reshape(columns),
            residuals.reshape(columns),
            calls,
        )
        residuals[made] = operator(points[made])
    else:
        made = _walk(operator, anchor, steps, enough, points, residuals, calls)
    return AnchoredRun(points[: made + 1], residuals[: made + 1], calls[: made + 1])


def _walk(
    operator: Callable[[Array], Array],
    anchor: Reals,
    steps: tuple[Reals, ...],
    enough: float,
    points: Array,
    residuals: Array,
    calls: NDArray[np.int64],
) -> int:
    """The loop for a function; returns the number of iterations made."""
    start, largest = points[0], np.inf
    for k in range(anchor.size + 1):
        z = points[k]
        residuals[k] = F = operator(z)
        size = float(np.sqrt(np.vdot(residuals[k], residuals[k]).real))
        if k == 0:
            largest = DIVERGED * size
        if k == anchor.size or size <= enough or not size <= largest:
            return k
        pulled = z + anchor[k] * (start - z)
        if len(steps) == 2:
            F = operator(pulled - steps[0][k] * F)
        points[k + 1] = pulled - steps[-1][k] * F
        calls[k + 1] = calls[k] + len(steps)
    raise AssertionError("the loop returns")


def _constant(L: float) -> float:
    if not 0 < L < np.inf:
        raise InputError(f"the constant L of an operator is positive and finite, not {L}.")
    return float(L)


def _schedule(weights: ArrayLike, iterations: int) -> Reals:
    try:
        schedule = np.array(np.broadcast_to(np.asarray(weights, dtype=float), (iterations,)))
    except ValueError:
        raise InputError(f"the anchor needs one weight, or one for each of the {iterations} iterations.") from None
    if not ((schedule >= 0) & (schedule <= 1)).all():
        raise InputError("the weights of the anchor lie in [0, 1].")
    return schedule
