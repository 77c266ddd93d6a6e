"""One-query dynamics: what magnetic mirror descent, Hedge, INPO and Nash-MD have in common.

What is out of its stated range raises :class:`~theory.errors.InputError`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from games.oracle import Oracle
from games.prox import prox
from theory.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Run:
    """A trajectory: ``log_policies``, shape (T + 1, K) or (T + 1, runs, K), and the ``queries`` asked before each, (T + 1,).

    Where only each n-th policy was kept, the two hold those, and the last.
    """

    log_policies: Array
    queries: NDArray[np.int64]


def one_query_dynamics(
    oracle: Oracle,
    beta: ArrayLike,
    weight: ArrayLike,
    mixture: ArrayLike,
    iterations: int,
    start: ArrayLike | None = None,
    *,
    every: int = 1,
) -> Run:
    r"""Proximal steps :math:`\pi_{t+1} = \mathrm{prox}(\mu, c_t, A c_t; \beta_t, w_t)`, one query each.

    The centre, and the opponent of the query, is the geometric mixture :math:`c_t \propto \pi_t^{1-m_t} \mu^{m_t}`. ``beta``,
    ``weight`` and ``mixture`` are numbers or have one entry for each iteration. Starts from the reference unless told. Of a long
    run, ``every=n`` keeps the start, each n-th policy and the last.
    """
    kept = kept_iterations(iterations, every)
    schedules = [np.array(np.broadcast_to(np.asarray(v, dtype=float), (iterations,))) for v in (beta, weight, mixture)]
    betas, weights, mixtures = schedules
    if not ((mixtures >= 0) & (mixtures <= 1)).all():
        raise InputError("the share of the reference in a geometric mixture lies in [0, 1].")
    if not ((betas >= 0) & (weights >= 0) & (betas + weights > 0) & np.isfinite(betas + weights)).all():
        raise InputError("a proximal step needs beta >= 0 and weight >= 0 with a positive sum.")
    first = oracle.start(start)
    policies = np.empty((kept.size, *first.shape))
    policies[0] = first
    before = oracle.queries
    if oracle.exact and first.ndim == 1:
        from games._kernels import one_query_path

        oracle.run_kernel(one_query_path, oracle.log_reference, betas, weights, mixtures, every, policies)
    else:
        now = first
        for k in range(iterations):
            centre = now
            if mixtures[k] > 0:
                centre = prox(oracle.log_reference, centre, 0.0, mixtures[k], 1 - mixtures[k])
            now = prox(oracle.log_reference, centre, oracle.query(centre), betas[k], weights[k])
            policies[k // every + 1] = now  # written over until the iteration that is kept
    return Run(policies, queries_before(kept, oracle.queries - before))


def require_iterations(iterations: int) -> None:
    """:class:`InputError` for a number of iterations below 0."""
    if iterations < 0:
        raise InputError(f"the number of iterations is at least 0, not {iterations}.")


def kept_iterations(iterations: int, every: int) -> NDArray[np.int64]:
    """After how many iterations the kept policies come: 0, each multiple of ``every``, and the last; :class:`InputError` for
    fewer than no iterations, or ``every`` < 1.
    """
    require_iterations(iterations)
    if every < 1:
        raise InputError(f"each n-th policy is kept for an n of at least 1, not {every}.")
    kept = np.arange(0, iterations + every, every)
    return np.minimum(kept, iterations)


def queries_before(kept: NDArray[np.int64], asked: int) -> NDArray[np.int64]:
    """How many queries had been asked after each of the ``kept`` iterations, each of which asks equally many, ``asked`` in all."""
    return kept * (asked // max(int(kept[-1]), 1))


def average_policy(log_policies: ArrayLike, *, axis: int = 0) -> Array:
    """The arithmetic mean over ``axis`` of policies given, and returned, as log-probabilities."""
    values = np.asarray(log_policies, dtype=float)
    return np.asarray(np.logaddexp.reduce(values, axis=axis) - np.log(values.shape[axis]))
