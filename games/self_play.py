r"""No-regret learners in self-play, other than Hedge (which is :func:`games.mirror_descent.hedge`), and their regret.

A learner that plays itself is fed the centred win rates :math:`g_t = A p_t` against its own policy. As
:math:`\langle p_t, A p_t\rangle = 0`, its regret is T times the exploitability of its average policy,

.. math:: \max_u \sum_{t<T} \langle u - p_t, g_t\rangle = T \max_u \langle u, A \bar p_T\rangle, \qquad
          \bar p_T = \frac1T \sum_{t<T} p_t,

so that one learner without regret finds a minimax winner (Swamy et al. 2024, arXiv 2401.04056). The learners here can give an
action the probability 0, whose log-probability is -inf.

What is out of its stated range raises :class:`~theory.errors.InputError`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from games.dynamics import Run, queries_before, require_iterations
from games.oracle import Oracle, as_oracle
from games.preference import PreferenceGame
from games.prox import require_steps
from theory.errors import InputError

Array = NDArray[np.float64]


def project_to_simplex(values: ArrayLike) -> Array:
    r"""The nearest probability vectors, :math:`\arg\min_p \|p - v\|_2` along the last axis; shapes (..., K).

    Subtracts the level at which the positive parts sum to 1. Held, Wolfe and Crowder (1974).
    """
    given = np.asarray(values, dtype=float)
    if given.ndim == 0 or given.size == 0 or not np.isfinite(given).all():
        raise InputError("what is projected to the simplex is a vector of finite numbers with at least one entry.")
    descending = -np.sort(-given, axis=-1)
    levels = (np.cumsum(descending, axis=-1) - 1) / np.arange(1, given.shape[-1] + 1)
    support = (descending > levels).sum(axis=-1, keepdims=True)
    return np.maximum(given - np.take_along_axis(levels, support - 1, axis=-1), 0.0)


def projected_gradient_ascent(
    game: PreferenceGame | Oracle, iterations: int, *, step: ArrayLike, start: ArrayLike | None = None
) -> Run:
    r"""Gradient ascent in self-play, projected to the simplex: :math:`p_{t+1} = \Pi(p_t + g_t A p_t)`.

    ``step`` :math:`g_t > 0` is a number, or one for each iteration; ``start`` are log-probabilities, the reference unless
    given. One query an iteration. With a constant step g the regret is at most :math:`1/g + g T K / 8`: half the squared
    diameter of the simplex over g, and g/2 times the squared norm of the gains. Zinkevich (2003).
    """
    oracle = as_oracle(game)
    require_iterations(iterations)
    given = require_steps(step)
    if given.shape not in ((), (iterations,)):
        raise InputError(f"there is one step size, or {iterations} of them, not an array of shape {given.shape}.")
    steps = np.array(np.broadcast_to(given, (iterations,)))
    policies, before = _trajectory(oracle, iterations, start), oracle.queries
    if oracle.exact and policies.ndim == 2:
        from games._kernels_self_play import projected_gradient_path

        oracle.run_kernel(projected_gradient_path, steps, policies)
    else:
        now = np.exp(policies[0])
        for k in range(iterations):
            now = project_to_simplex(now + steps[k] * oracle.query(policies[k]))
            policies[k + 1] = _log(now)
    return _run(oracle, before, policies)


def regret_matching(
    game: PreferenceGame | Oracle, iterations: int, *, plus: bool = False, start: ArrayLike | None = None
) -> Run:
    r"""Regret matching in self-play: :math:`p_{t+1} \propto [R_t]_+`, where :math:`R_t` holds each action's regret so far.

    :math:`R_t = R_{t-1} + g_t - \langle p_t, g_t\rangle`; where no regret is positive it plays ``start`` (log-probabilities,
    the reference unless given). ``plus`` cuts the sums off at 0 after every round. One query an iteration, no step size.
    Regret at most :math:`\sqrt{T K}` times the span of the gains, which is at most 1. Hart and Mas-Colell (2000); Tammelin
    (2014) for ``plus``, arXiv 1407.5042.
    """
    oracle = as_oracle(game)
    require_iterations(iterations)
    policies, before = _trajectory(oracle, iterations, start), oracle.queries
    if oracle.exact and policies.ndim == 2:
        from games._kernels_self_play import regret_matching_path

        oracle.run_kernel(regret_matching_path, plus, policies)
    else:
        regrets = np.zeros_like(policies[0])
        for k in range(iterations):
            gain = oracle.query(policies[k])
            regrets = regrets + gain - (np.exp(policies[k]) * gain).sum(axis=-1, keepdims=True)
            if plus:
                regrets = np.maximum(regrets, 0.0)
            positive = np.maximum(regrets, 0.0)
            total = positive.sum(axis=-1, keepdims=True)
            matched = _log(positive / np.where(total > 0, total, 1.0))
            policies[k + 1] = np.where(total > 0, matched, policies[0])
    return _run(oracle, before, policies)


def regret(gains: ArrayLike, log_policies: ArrayLike) -> Array:
    r"""The regret after each round, :math:`\max_i \sum_{s \le t} (g_{s,i} - \langle p_s, g_s\rangle)`.

    ``gains`` and the plays ``log_policies`` (log-probabilities) have the shape (T, K) or (T, runs, K); the result (T,) or
    (T, runs), in units of the gains. It can be negative.
    """
    given, plays = np.asarray(gains, dtype=float), np.asarray(log_policies, dtype=float)
    if given.shape != plays.shape or given.ndim < 2 or given.size == 0:
        raise InputError(f"regret needs gains and plays of one shape (T, ..., K), not {given.shape} and {plays.shape}.")
    if not np.isfinite(given).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(given))[0])
        raise InputError(f"entry {place} of the gains is {given[place]}, which is not finite.")
    earned = (np.exp(plays) * given).sum(axis=-1, keepdims=True)
    return np.asarray(np.cumsum(given - earned, axis=0).max(axis=-1))


def _trajectory(oracle: Oracle, iterations: int, start: ArrayLike | None) -> Array:
    """Room for a trajectory, which begins with the start."""
    first = oracle.start(start)
    policies = np.empty((iterations + 1, *first.shape))
    policies[0] = first
    return policies


def _run(oracle: Oracle, before: int, policies: Array) -> Run:
    return Run(policies, queries_before(np.arange(len(policies)), oracle.queries - before))


def _log(probabilities: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.log(probabilities)
