"""One-query dynamics: what magnetic mirror descent, Hedge, INPO and Nash-MD have in common."""

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
    """A trajectory: ``log_policies``, shape (T + 1, K) or (T + 1, runs, K), and the ``queries`` asked before each, (T + 1,)."""

    log_policies: Array
    queries: NDArray[np.int64]


def one_query_dynamics(
    oracle: Oracle, beta: ArrayLike, weight: ArrayLike, mixture: ArrayLike, iterations: int, start: ArrayLike | None = None
) -> Run:
    r"""Proximal steps :math:`\pi_{t+1} = \mathrm{prox}(\mu, c_t, A c_t; \beta_t, w_t)`, one query each.

    The centre, and the opponent of the query, is the geometric mixture :math:`c_t \propto \pi_t^{1-m_t} \mu^{m_t}`. ``beta``,
    ``weight`` and ``mixture`` are numbers or have one entry for each iteration. Starts from the reference unless told.
    """
    if iterations < 0:
        raise InputError(f"the number of iterations is at least 0, not {iterations}.")
    schedules = [np.array(np.broadcast_to(np.asarray(v, dtype=float), (iterations,))) for v in (beta, weight, mixture)]
    betas, weights, mixtures = schedules
    if not ((mixtures >= 0) & (mixtures <= 1)).all():
        raise InputError("the share of the reference in a geometric mixture lies in [0, 1].")
    if not ((betas >= 0) & (weights >= 0) & (betas + weights > 0) & np.isfinite(betas + weights)).all():
        raise InputError("a proximal step needs beta >= 0 and weight >= 0 with a positive sum.")
    first = oracle.start(start)
    policies = np.empty((iterations + 1, *first.shape))
    policies[0] = first
    before = oracle.queries
    if oracle.exact and first.ndim == 1:
        from games._kernels import one_query_path

        oracle.run_kernel(one_query_path, oracle.log_reference, betas, weights, mixtures, policies)
    else:
        for k in range(iterations):
            centre = policies[k]
            if mixtures[k] > 0:
                centre = prox(oracle.log_reference, centre, 0.0, mixtures[k], 1 - mixtures[k])
            policies[k + 1] = prox(oracle.log_reference, centre, oracle.query(centre), betas[k], weights[k])
    asked = oracle.queries - before
    return Run(policies, np.linspace(0, asked, iterations + 1).round().astype(np.int64))


def average_policy(log_policies: ArrayLike, *, axis: int = 0) -> Array:
    """The arithmetic mean over ``axis`` of policies given, and returned, as log-probabilities."""
    values = np.asarray(log_policies, dtype=float)
    return np.asarray(np.logaddexp.reduce(values, axis=axis) - np.log(values.shape[axis]))
