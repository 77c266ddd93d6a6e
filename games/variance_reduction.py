r"""Variance-reduced Halpern iterations for the zero of a finite sum, at a cost of about sqrt(n) instead of n for a step.

The problem is a :class:`games.inclusions.FiniteSum`, D the distance of the start from its zero, and the cost the number of
component evaluations; a full evaluation costs n.

=========================  ==================================  ================================================
method                     F is                                calls to a residual :math:`\epsilon`
=========================  ==================================  ================================================
:func:`page_halpern`       cocoercive on average, constant L   :math:`\tilde O(n + \sqrt n L D / \epsilon)`
:func:`inexact_halpern`    monotone, L-Lipschitz on average    :math:`\tilde O(n + \sqrt n L D / \epsilon)`
=========================  ==================================  ================================================

The full-batch methods of :mod:`games.anchored` need :math:`O(n L_F D / \epsilon)` with the constant :math:`L_F \le L` of the sum
itself, and smaller factors: on small sums they are the cheaper ones. Cai, Alacaoglu and Diakonikolas (2023), arXiv 2310.02987.

What is out of its stated range raises :class:`~theory.errors.InputError`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from games.anchored import DIVERGED
from games.dynamics import require_iterations
from games.inclusions import Calls, FiniteSum
from theory.errors import InputError

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class PageSchedule:
    r"""The parameters of :func:`page_halpern`.

    ``anchor`` and ``refresh``, shape (iterations,), hold the weights :math:`\lambda_k` of the start and the probabilities
    :math:`p_k` of a full evaluation, all in [0, 1] (:math:`p_0` is taken as 1); ``step`` is :math:`\eta > 0` and ``batch`` the
    number b >= 1 of components drawn otherwise.

    Raises :class:`InputError` naming the number that is out of its range.
    """

    anchor: Array
    refresh: Array
    step: float
    batch: int

    def __post_init__(self) -> None:
        anchor, refresh = np.array(self.anchor, dtype=float), np.array(self.refresh, dtype=float)
        if anchor.ndim != 1 or anchor.shape != refresh.shape:
            raise InputError(
                f"a schedule has one weight and one probability for each iteration, not the shapes {anchor.shape} and {refresh.shape}."
            )
        for values, what in ((anchor, "weight of the anchor"), (refresh, "probability of a full evaluation")):
            bad = ~((values >= 0) & (values <= 1))
            if bad.any():
                k = int(np.argmax(bad))
                raise InputError(f"the {what} lies in [0, 1]; at iteration {k} it is {values[k]:g}.")
        if not 0 < self.step < np.inf:
            raise InputError(f"the step of a schedule is positive and finite, not {self.step}.")
        if self.batch < 1:
            raise InputError(f"a batch holds at least 1 component, not {self.batch}.")
        object.__setattr__(self, "anchor", anchor)
        object.__setattr__(self, "refresh", refresh)

    @property
    def iterations(self) -> int:
        """The number of iterations."""
        return int(self.anchor.size)


def page_schedule(n: int, L: float, iterations: int, kind: Literal["theory", "tuned"] = "theory") -> PageSchedule:
    r"""The schedule for n components whose average cocoercivity constant is L; batches of ceil(sqrt n).

    ``theory``: :math:`\lambda_k = 2/(k+4)`, :math:`\eta = 1/(4L)`, :math:`p_k = 4/(k+5)` while :math:`k \le \sqrt n` and
    :math:`4/(\sqrt n + 5)` from then on; this is the one with a proof. ``tuned``: :math:`\lambda_k = 1/(k+2)`,
    :math:`\eta = 1/L`, :math:`p_k = 1/(1 + \sqrt n)`; it takes an eighth of the iterations and half the calls for each.
    """
    if n < 1:
        raise InputError(f"a finite sum has at least one component, not {n}.")
    require_iterations(iterations)
    if not 0 < L < np.inf:
        raise InputError(f"variance reduction needs a positive and finite constant of average cocoercivity, not {L}.")
    root, k = math.sqrt(n), np.arange(iterations)
    batch = math.isqrt(n - 1) + 1
    if kind == "theory":
        refresh = 4 / (np.where(k <= root, k, root) + 5.0)
        return PageSchedule(2 / (k + 4.0), refresh, 1 / (4 * L), batch)
    if kind == "tuned":
        return PageSchedule(1 / (k + 2.0), np.full(iterations, 1 / (1 + root)), 1 / L, batch)
    raise InputError(f"the schedule is 'theory' or 'tuned', not {kind!r}.")


@dataclass(frozen=True, eq=False)
class PageRun:
    """A run of :func:`page_halpern`.

    ``residuals``, shape (T + 1,), are the norms of F at u_0, ..., u_T, recorded at no charge; ``calls`` what had been charged
    when the iterate was reached; ``point`` is u_T.
    """

    residuals: Array
    calls: NDArray[np.int64]
    point: Complex

    @property
    def iterations(self) -> int:
        """T, the number of iterations made."""
        return int(self.calls.size) - 1

    def calls_to(self, epsilon: float) -> float:
        """What had been charged when the residual fell to ``epsilon`` for the rest of the run; infinite if it did not.

        The first time would be the wrong number: a noisy residual is below ``epsilon`` by chance long before it stays there.
        """
        return _calls_to(self.residuals, self.calls, epsilon)


def page_halpern(
    problem: FiniteSum | Calls,
    u0: ArrayLike,
    iterations: int,
    seed: int | np.random.Generator,
    *,
    schedule: Literal["theory", "tuned"] | PageSchedule = "theory",
    L: float | None = None,
    refresh: float | None = None,
    recursive: bool = True,
    until: float = 0.0,
    patience: float = 1.25,
) -> PageRun:
    r"""Halpern iteration on the PAGE estimator, for a sum that is cocoercive on average.

    .. math:: u_{k+1} = \lambda_k u_0 + (1 - \lambda_k) u_k - \eta G_k, \qquad
              G_k = \begin{cases} F(u_k) & \text{with probability } p_k, \text{ and for } k = 0, \\
              G_{k-1} + \frac1b \sum_{i \in S_k} (F_i(u_k) - F_i(u_{k-1})) & \text{otherwise,}\end{cases}

    where S_k holds b components drawn with replacement: n calls or 2 b calls. With the theory's schedule
    :math:`\mathbb{E}\|F(u_k)\| \le 16 L D/(k + 4)`.

    ``L`` is the constant that the schedule is made for, the problem's average cocoercivity unless given; ``refresh`` replaces
    all its probabilities but the first. With ``recursive=False`` the estimator is the mean of the batch at u_k alone, b calls.
    The run ends early when the residual has been at most ``until`` from some iteration k on up to ``patience`` k, or when it has
    grown beyond 1e100 times the first one. ``seed`` determines the draws.
    """
    from games._kernels_variance_reduction import page_path

    calls, start = _calls(problem), _start(problem, u0)
    n = calls.problem.components
    if not isinstance(schedule, PageSchedule):
        schedule = page_schedule(n, calls.problem.average_cocoercivity if L is None else L, iterations, schedule)
    if schedule.iterations != iterations:
        raise InputError(f"the schedule is for {schedule.iterations} iterations, the run for {iterations}.")
    if refresh is not None:
        schedule = replace(schedule, refresh=np.full(iterations, float(refresh)))
    if not 0 <= until < np.inf or not 1 <= patience < np.inf:
        raise InputError(f"a run ends at a residual of at least 0 with a patience of at least 1, not {until} and {patience}.")
    probabilities = schedule.refresh.copy()
    probabilities[:1] = 1.0
    residuals, counts = np.empty(iterations + 1), np.zeros(iterations + 1, dtype=np.int64)
    point = np.empty_like(start)
    made = calls.run_kernel(
        page_path,
        start,
        schedule.anchor,
        float(schedule.step),
        probabilities,
        int(schedule.batch),
        bool(recursive),
        np.random.default_rng(seed),
        float(until),
        float(patience),
        DIVERGED * float(np.linalg.norm(calls.problem.diagnostic(start))),
        residuals,
        counts,
        point,
    )
    return PageRun(residuals[: made + 1], counts[: made + 1], point)


@dataclass(frozen=True, eq=False)
class InexactRun:
    """A run of :func:`inexact_halpern` that accepted ``accepted`` resolvents.

    Row k belongs to the k-th: ``centres`` u_k and ``points`` z_k, shape (accepted, m); ``residuals`` the norm of F(z_k), which the
    method knows; ``calls`` what had been charged when z_k was accepted, and ``inner_steps`` the inner steps made until then.
    ``calls_made`` is the whole charge, also of a resolvent that was not finished. ``eta`` is the resolvent's.
    """

    centres: Complex
    points: Complex
    residuals: Array
    calls: NDArray[np.int64]
    inner_steps: NDArray[np.int64]
    calls_made: int
    eta: float

    @property
    def accepted(self) -> int:
        """The number of resolvents accepted."""
        return int(self.calls.size)

    def calls_to(self, epsilon: float) -> float:
        """What had been charged when the residual fell to ``epsilon`` for the rest of the run; infinite if it did not."""
        return _calls_to(self.residuals, self.calls, epsilon)


def inexact_halpern(
    problem: FiniteSum | Calls,
    u0: ArrayLike,
    iterations: int,
    seed: int | np.random.Generator,
    *,
    eta: float | None = None,
    refresh: float | None = None,
    corrected: bool = True,
    looseness: float = 1.0,
    until: float = 0.0,
    inner_limit: int = 10**8,
) -> InexactRun:
    r"""Halpern iteration on the resolvent :math:`J = (I + \eta F)^{-1}`, computed by variance-reduced extragradient steps.

    .. math:: u_{k+1} = \frac{u_0}{k+2} + \frac{k+1}{k+2} z_k, \qquad z_k \approx J u_k, \qquad \eta = \sqrt n / L,

    for a monotone sum with :math:`\frac1n \sum_i \|F_i(u) - F_i(v)\|^2 \le L^2 \|u - v\|^2`; at most ``iterations`` resolvents.

    An inner step draws one component i. With the snapshot w, p = ``refresh`` (min(1, 2/n) unless given) and
    :math:`\tau = \sqrt p/(\eta L)`,

    .. math:: h &= \frac{(1-p) z + p w + \tau u_k - \tau\eta F(w)}{1 + \tau}, \\
              z^+ &= \frac{(1-p) z + p w + \tau u_k - \tau\eta (F(w) + F_i(h) - F_i(w))}{1 + \tau},

    two calls; then w becomes :math:`z^+` with probability p, for n calls. (Alacaoglu and Malitsky 2022, arXiv 2102.08352; the
    strongly monotone part w - u_k of the resolvent is taken in a proximal step.) A resolvent starts from the last one's w.

    **The exit can be computed.** Whenever F(w) is known, w is accepted if

    .. math:: \|w + \eta F(w) - u_k\| \le \|w - u_k\| / (k+2)^2.

    As :math:`I + \eta F` is strongly monotone with modulus 1, the left side is at least :math:`\|w - J u_k\|`. A left side that is
    mere rounding passes, too: at most 64 units in the last place of :math:`(1 + \eta L)(\|w\| + \|u_k\|)`. The run ends when the
    residual, which is known then as well, is at most ``until``, after ``iterations``, or after ``inner_limit`` inner steps.

    For controls: ``corrected=False`` replaces F(w) - F_i(w) by 0 (and F(w) by F_i(w) in the first line), ``looseness`` multiplies
    the right side of the exit test. ``seed`` determines the draws.
    """
    from games._kernels_variance_reduction import resolvent_path

    calls, start = _calls(problem), _start(problem, u0)
    n, L = calls.problem.components, calls.problem.average_lipschitz
    require_iterations(iterations)
    if inner_limit < 0:
        raise InputError(f"the limit of inner steps is at least 0, not {inner_limit}.")
    size = math.sqrt(n) / L if eta is None else float(eta)
    if not 0 < size < np.inf:
        raise InputError(f"the parameter eta of a resolvent is positive and finite, not {eta}.")
    p = min(1.0, 2 / n) if refresh is None else float(refresh)
    if not 0 < p <= 1:
        raise InputError(f"the probability of a full evaluation lies in (0, 1], not at {refresh}.")
    if not 0 < looseness < np.inf or not 0 <= until < np.inf:
        raise InputError(f"the exits need a looseness above 0 and a residual of at least 0, not {looseness} and {until}.")
    centres = np.empty((iterations, start.size), dtype=np.complex128)
    points = np.empty_like(centres)
    residuals = np.empty(iterations)
    counts, inner = np.zeros(iterations, dtype=np.int64), np.zeros(iterations, dtype=np.int64)
    before = calls.count
    made = calls.run_kernel(
        resolvent_path,
        start,
        size,
        math.sqrt(p) / (size * L),
        p,
        bool(corrected),
        float(looseness),
        64 * float(np.finfo(float).eps) * (1 + size * L),
        float(until),
        int(inner_limit),
        np.random.default_rng(seed),
        centres,
        points,
        residuals,
        counts,
        inner,
    )
    return InexactRun(centres[:made], points[:made], residuals[:made], counts[:made], inner[:made], calls.count - before, size)


def resolvent(problem: FiniteSum, eta: float, u: ArrayLike) -> Complex:
    """The exact (I + eta F)^(-1) u, shape (..., m), to compare with: no call is counted."""
    return np.asarray((np.asarray(u) + eta * problem.offset) / (1 + eta * problem.mean_weight))


def _calls_to(residuals: Array, calls: NDArray[np.int64], epsilon: float) -> float:
    above = np.flatnonzero(~(residuals <= epsilon))
    first = int(above[-1]) + 1 if above.size else 0
    return float(calls[first]) if first < calls.size else float("inf")


def _calls(problem: FiniteSum | Calls) -> Calls:
    return problem if isinstance(problem, Calls) else Calls(problem)


def _start(problem: FiniteSum | Calls, u0: ArrayLike) -> Complex:
    dimension = (problem.problem if isinstance(problem, Calls) else problem).dimension
    start = np.array(u0, dtype=np.complex128)
    if start.shape != (dimension,):
        raise InputError(f"a point of this sum has the shape {(dimension,)}, not {start.shape}.")
    if not np.isfinite(start).all():
        raise InputError(f"coordinate {int(np.argmin(np.isfinite(start)))} of the start is not finite.")
    return start
