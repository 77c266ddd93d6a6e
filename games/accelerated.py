r"""Accelerated preference optimization (APO): iterated DPO with momentum.

Iterated DPO is the proximal point method :math:`\pi_{t+1} \propto \pi_t \exp(g / \beta)` with gains g: a reward r, or the
centred win rates :math:`A \pi_t` in self-play. APO (He, Yuan and Gu 2024, arXiv 2410.06293) steps from an extrapolated policy,

.. math:: \hat\pi_{t+1} \propto \pi_t \exp(g_t/\beta), \qquad
          \pi_{t+1} \propto \hat\pi_{t+1} \bigl(\hat\pi_{t+1} / \hat\pi_t\bigr)^{\alpha_{t+1}}, \qquad \hat\pi_0 = \pi_0 = \mu.

The increments :math:`d_t = \ln \hat\pi_{t+1} - \ln \hat\pi_t` satisfy :math:`d_t = g_t/\beta + \alpha_t d_{t-1}` up to constants.
With a reward, :math:`\hat\pi_T \propto \mu \exp(s_T r / \beta)`: momentum does nothing but to run proximal point for the
*effective time* :math:`s_T` (:func:`effective_time`), which for a constant :math:`\alpha` is

.. math:: s_T = \frac{T}{1 - \alpha} - \frac{\alpha (1 - \alpha^T)}{(1 - \alpha)^2},

and :math:`(T^2 + 5T + 2)/8` for Nesterov's :math:`\alpha_t = (t-1)/(t+2)`.

What is out of its stated range raises :class:`~theory.errors.InputError`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from games.dynamics import queries_before, require_iterations
from games.oracle import Oracle, as_oracle
from games.preference import PreferenceGame
from games.prox import normalise
from theory.errors import InputError
from theory.tilts import require_temperature

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AcceleratedRun:
    r"""A trajectory of APO, as log-probabilities.

    ``log_policies``, shape (T + 1, K) or (T + 1, runs, K): :math:`\hat\pi_0, \dots, \hat\pi_T`, the results of the proximal
    steps, which the method returns. ``log_extrapolated``, the same shape: :math:`\pi_0, \dots, \pi_T`, from which it steps.
    ``queries``, shape (T + 1,): vectors of gains asked for before each.
    """

    log_policies: Array
    log_extrapolated: Array
    queries: NDArray[np.int64]


def accelerated_preference_optimization(
    gains: ArrayLike | PreferenceGame | Oracle,
    beta: float,
    iterations: int,
    *,
    momentum: ArrayLike = 0.0,
    start: ArrayLike | None = None,
) -> AcceleratedRun:
    r"""APO on a reward or in self-play; the module's docstring has its formula.

    ``gains`` is a reward for each action, shape (K,), finite; or a game (or its oracle), whose gains are the centred win rates
    :math:`A \pi_t` against the extrapolated policy. ``beta`` > 0 is the temperature of a step, so 1 / beta is the step size.
    ``momentum`` is :math:`\alpha` in [0, 1), or :math:`\alpha_1, \dots, \alpha_T`, shape (iterations,), such as
    :func:`nesterov_momentum`; 0 is proximal point, that is Hedge with the step 1 / beta in self-play. ``start`` are
    log-probabilities, shape (K,): the game's reference unless given, the uniform policy for a reward.

    Raises :class:`InputError` for a momentum or temperature out of range, a reward that is not finite or not a vector, a number
    of iterations below 0, or a start that does not fit.
    """
    temperature = require_temperature(beta)
    schedule = _schedule(momentum, iterations)
    if isinstance(gains, PreferenceGame | Oracle):
        rewards, oracle = None, as_oracle(gains)
    else:
        rewards = _rewards(gains)
        oracle = _constant_oracle(rewards)
    first = oracle.start(start)
    policies = np.empty((iterations + 1, *first.shape))
    policies[0] = normalise(first)
    extrapolated = policies.copy()
    before = oracle.queries
    if rewards is not None:
        from games._kernels_accelerated import reward_path

        reward_path(rewards, temperature, schedule, policies, extrapolated)
        return AcceleratedRun(policies, extrapolated, np.arange(iterations + 1))
    if oracle.exact and first.ndim == 1:
        from games._kernels_accelerated import self_play_path

        oracle.run_kernel(self_play_path, temperature, schedule, policies, extrapolated)
    else:
        carried = np.zeros(first.shape)  # ln pi_t - ln pihat_t, kept apart from both: their difference would lose digits
        for t in range(iterations):
            increment = carried + oracle.query(extrapolated[t]) / temperature
            policies[t + 1] = normalise(policies[t] + increment)
            carried = schedule[t] * increment
            extrapolated[t + 1] = normalise(policies[t + 1] + carried)
    return AcceleratedRun(policies, extrapolated, queries_before(np.arange(iterations + 1), oracle.queries - before))


def nesterov_momentum(iterations: int) -> Array:
    r"""Nesterov's schedule :math:`\alpha_t = (t - 1)/(t + 2)` for t = 1, ..., ``iterations``; entries in [0, 1)."""
    require_iterations(iterations)
    t = np.arange(1, iterations + 1)
    return np.asarray((t - 1) / (t + 2))


def effective_time(iterations: int, momentum: ArrayLike = 0.0) -> Array:
    r"""How long proximal point would have run: :math:`s_0, \dots, s_T`, shape (iterations + 1,), for APO on a reward.

    :math:`s_T = \sum_{t<T} c_t` with :math:`c_0 = 1` and :math:`c_t = 1 + \alpha_t c_{t-1}`, so that
    :math:`\hat\pi_T \propto \mu \exp(s_T r/\beta)`. ``momentum`` as in :func:`accelerated_preference_optimization`. Summed by
    this recurrence, all of whose terms are positive; the closed form cancels for momentum near 1.
    """
    schedule = _schedule(momentum, iterations)
    times = np.zeros(iterations + 1)
    carried = 0.0
    for t in range(iterations):
        increment = 1 + carried
        times[t + 1] = times[t] + increment
        carried = schedule[t] * increment
    return times


def _schedule(momentum: ArrayLike, iterations: int) -> Array:
    require_iterations(iterations)
    given = np.asarray(momentum, dtype=float)
    if given.shape not in ((), (iterations,)):
        raise InputError(f"the momentum is one number, or {iterations} of them, not an array of shape {given.shape}.")
    schedule = np.array(np.broadcast_to(given, (iterations,)))
    bad = np.atleast_1d(~((given >= 0) & (given < 1)))  # a nan is bad too
    if bad.any():
        t = int(np.argmax(bad))
        place = "the momentum alpha" if given.ndim == 0 else f"alpha_{t + 1} of the momentum schedule"
        raise InputError(f"{place} is {np.atleast_1d(given)[t]}, outside [0, 1).")
    return schedule


def _rewards(values: ArrayLike) -> Array:
    rewards = np.array(values, dtype=float)
    if rewards.ndim != 1 or rewards.size == 0:
        raise InputError(f"rewards are a vector with an entry for each action, not an array of shape {rewards.shape}.")
    if not np.isfinite(rewards).all():
        action = int(np.argmin(np.isfinite(rewards)))
        raise InputError(f"the reward of action {action} is {rewards[action]}, which is not finite.")
    return rewards


def _constant_oracle(rewards: Array) -> Oracle:
    uniform = np.full(rewards.size, -np.log(rewards.size))
    return Oracle(uniform, lambda q: np.broadcast_to(rewards, q.shape))
