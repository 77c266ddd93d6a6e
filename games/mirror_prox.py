"""Nash mirror prox (Nash-MP): the extragradient method in log-probabilities.

What is out of its stated range raises :class:`~theory.errors.InputError`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from games.dynamics import kept_iterations, queries_before
from games.oracle import Oracle, as_oracle
from games.preference import PreferenceGame
from games.prox import normalise, prox
from theory.errors import InputError
from theory.tilts import require_temperature

Array = NDArray[np.float64]
ProxSolver = Callable[[Array, Array, Array, float, float], Array]


@dataclass(frozen=True, eq=False)
class MirrorProxRun:
    """A trajectory of Nash mirror prox, as log-probabilities.

    ``log_policies``, shape (T + 1, K) or (T + 1, runs, K), begins with the start; ``log_half_steps``, (T, ...), holds the
    half-step of each iteration; ``queries``, (T + 1,), what had been asked before each policy. Where only each n-th policy was
    kept, these hold those and the last, and the half-steps that led to them.
    """

    log_policies: Array
    log_half_steps: Array
    queries: NDArray[np.int64]
    beta: float
    eta: float


def nash_mirror_prox(
    game: PreferenceGame | Oracle,
    beta: float,
    iterations: int,
    *,
    eta: float | None = None,
    start: ArrayLike | None = None,
    half_steps: Literal[1, 2] = 2,
    second_centre: Literal["current", "half"] = "current",
    second_query: Literal["half", "current"] = "half",
    errors: ArrayLike | None = None,
    solver: ProxSolver | None = None,
    every: int = 1,
) -> MirrorProxRun:
    r"""Nash mirror prox: two proximal steps from the same centre, the second against the result of the first.

    .. math:: \pi_{k+1/2} &= \arg\max_\pi \langle \pi, A \pi_k\rangle - \beta \mathrm{KL}(\pi\|\mu)
                             - (\beta/\eta) \mathrm{KL}(\pi\|\pi_k), \\
              \pi_{k+1} &= \arg\max_\pi \langle \pi, A \pi_{k+1/2}\rangle - \beta \mathrm{KL}(\pi\|\mu)
                             - (\beta/\eta) \mathrm{KL}(\pi\|\pi_k).

    Two queries an iteration. ``eta`` > 0 is :math:`2\beta` unless given; ``start`` is the reference unless given.
    Tiapkin et al. (2025), arXiv 2505.19731 version 1.

    What a proof needs can be switched off: ``half_steps=1`` skips the second step (one query an iteration),
    ``second_centre="half"`` centres it at the half-step, ``second_query="current"`` lets it see the current policy again.

    Steps can be inexact: ``errors``, broadcast to (iterations, 2, K), is added to the log-probabilities of both steps (which
    are normalised again); ``solver(log_reference, log_centre, gain, beta, weight)`` replaces :func:`games.prox.prox`.

    Of a long run, ``every=n`` keeps the start, each n-th policy and the last.
    """
    oracle = as_oracle(game)
    beta = require_temperature(beta)
    step = 2 * beta if eta is None else float(eta)
    if not (0 < step < np.inf):
        raise InputError(f"the step parameter eta is positive and finite, not {eta}.")
    kept = kept_iterations(iterations, every)
    for value, allowed, what in (
        (half_steps, (1, 2), "half_steps"),
        (second_centre, ("current", "half"), "second_centre"),
        (second_query, ("half", "current"), "second_query"),
    ):
        if value not in allowed:
            raise InputError(f"{what} is {allowed[0]!r} or {allowed[1]!r}, not {value!r}.")
    first = oracle.start(start)
    policies = np.empty((kept.size, *first.shape))
    halves = np.empty((kept.size - 1, *first.shape))
    policies[0] = first
    before = oracle.queries
    weight = beta / step
    added = _errors(errors, iterations, first.shape[-1])
    if oracle.exact and first.ndim == 1 and solver is None:
        from games._kernels import mirror_prox_path

        oracle.run_kernel(
            mirror_prox_path,
            oracle.log_reference,
            beta,
            weight,
            half_steps == 1,
            second_centre == "half",
            second_query == "current",
            added,
            iterations,
            every,
            policies,
            halves,
        )
    else:
        solve = solver or prox
        now = first
        for k in range(iterations):
            half = solve(oracle.log_reference, now, oracle.query(now), beta, weight)
            if added.size:
                half = normalise(half + added[k, 0])
            if half_steps == 1:
                after = half
            else:
                gain = oracle.query(half if second_query == "half" else now)
                after = solve(oracle.log_reference, now if second_centre == "current" else half, gain, beta, weight)
                if added.size:
                    after = normalise(after + added[k, 1])
            halves[k // every], policies[k // every + 1] = half, after  # written over until the iteration that is kept
            now = after
    return MirrorProxRun(policies, halves, queries_before(kept, oracle.queries - before), beta, step)


def _errors(errors: ArrayLike | None, iterations: int, actions: int) -> Array:
    if errors is None:
        return np.zeros((0, 2, actions))
    given = np.asarray(errors, dtype=float)
    if not np.isfinite(given).all():
        raise InputError("the errors of the proximal steps are finite.")
    try:
        return np.array(np.broadcast_to(given, (iterations, 2, actions)))
    except ValueError:
        raise InputError(
            f"errors of shape {given.shape} do not fit {iterations} iterations of 2 steps on {actions} actions."
        ) from None
