r"""Inverse-gap weighting, and the two algorithms that turn a regression into a contextual bandit algorithm with it.

Given estimates :math:`\hat f(a)` of the mean rewards of K actions and a learning rate :math:`\gamma \ge 0`, let b be the action
that looks best (the lowest-numbered of those). *Inverse-gap weighting* (Abe and Long 1999; Foster and Rakhlin 2020,
arXiv:2002.04926) plays

.. math:: p(a) = \frac{1}{K + \gamma (\hat f(b) - \hat f(a))} \quad (a \ne b), \qquad p(b) = 1 - \sum_{a \ne b} p(a).

It makes the *decision-estimation value*

.. math:: \sup_{f} \Bigl[\max_a f(a) - \langle p, f \rangle - \frac{\gamma}{4} \sum_a p(a) (\hat f(a) - f(a))^2\Bigr]

at most :math:`2(K-1)/\gamma`, so that regret is paid for by estimation error. *SquareCB* (Foster and Rakhlin 2020) takes the
estimates from an online regression, *FALCON* (Simchi-Levi and Xu 2020, arXiv:2003.12699) from least squares on the previous epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bandits import _kernels_contextual
from bandits.contextual import RegressionProblem
from theory.errors import InputError
from theory.random_streams import read_checkpoints, read_seeds

Array = NDArray[np.float64]
Schedule = Literal["doubling", "log log"]
PUBLISHED_SCALE = 1 / 30  # the constant in front of FALCON's learning rate


def inverse_gap_weights(estimates: ArrayLike, gamma: float) -> Array:
    """The probabilities of inverse-gap weighting, shape (..., K) as ``estimates`` (finite); ``gamma`` is finite and at least 0.

    Of several actions that look best the lowest-numbered one receives what the others leave. ``gamma`` = 0 plays uniformly.
    """
    values, gaps, best = _gaps(estimates, gamma)
    weights = 1 / (values.shape[-1] + gamma * gaps)
    np.put_along_axis(weights, best, 0.0, axis=-1)
    np.put_along_axis(weights, best, 1 - weights.sum(axis=-1, keepdims=True), axis=-1)
    return weights


def normalised_inverse_gap_weights(estimates: ArrayLike, gamma: float) -> Array:
    r"""The play p that minimises :func:`decision_value`: :math:`p(a) = 1 / (\lambda + \gamma(\hat f(b) - \hat f(a)))`, shape (..., K).

    The number :math:`\lambda \in [1, K]` that makes the probabilities add up to 1 is found by bisection.
    """
    values, gaps, _ = _gaps(estimates, gamma)
    low = np.ones((*values.shape[:-1], 1))
    high = low * values.shape[-1]
    for _ in range(60):
        middle = (low + high) / 2
        above = (1 / (middle + gamma * gaps)).sum(axis=-1, keepdims=True) > 1
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return 1 / (high + gamma * gaps)


def decision_value(estimates: ArrayLike, play: ArrayLike, gamma: float) -> Array:
    r"""The decision-estimation value of ``play`` (..., K) at ``estimates`` (..., K): shape (...), the supremum over all f in R^K.

    For each candidate a of the best action the supremum is that of a concave quadratic in f, and the value is

    .. math:: \max_a\; \hat f(a) - \langle p, \hat f \rangle + \frac{1 - p(a)}{\gamma\, p(a)},

    infinite where some p(a) = 0. Needs ``gamma`` > 0.
    """
    return rival_values(estimates, play, gamma).max(axis=-1)


def rival_values(estimates: ArrayLike, play: ArrayLike, gamma: float) -> Array:
    """The K numbers whose largest is :func:`decision_value`: entry a is the supremum over the f whose best action is taken to be a."""
    values, _, _ = _gaps(estimates, gamma)
    p = np.asarray(play, dtype=float)
    if gamma == 0:
        raise InputError("the decision-estimation value needs a learning rate gamma above 0.")
    if p.shape != values.shape or not (p >= 0).all():
        raise InputError(f"a play of {values.shape[-1]} actions has the estimates' shape {values.shape} and no negative entry.")
    with np.errstate(divide="ignore", over="ignore"):  # an action that is never played is infinitely bad
        return values - (p * values).sum(axis=-1, keepdims=True) + (1 - p) / (gamma * p)


def _gaps(estimates: ArrayLike, gamma: float) -> tuple[Array, Array, NDArray[np.int64]]:
    values = np.asarray(estimates, dtype=float)
    if values.ndim == 0 or values.size == 0 or not np.isfinite(values).all():
        raise InputError("the estimates of the actions' rewards are finite numbers, one for each action.")
    if not (np.isfinite(gamma) and gamma >= 0):
        raise InputError(f"the learning rate gamma is finite and at least 0, not {gamma}.")
    best = np.argmax(values, axis=-1)[..., None]
    return values, np.take_along_axis(values, best, axis=-1) - values, best


@dataclass(frozen=True, eq=False)
class RegressionRuns:
    """Independent runs of an algorithm on a regression problem, with what happened in the first ``checkpoints[j]`` rounds.

    ``pseudo_regret[i, j]``: run i's sum over rounds of the expected loss of its play against the best action, given context and
    play. ``estimation_error[i, j]``: the sum of :math:`\\mathbb{E}_{a \\sim p_t} (\\hat f_t(x_t, a) - f^\\star(x_t, a))^2`. ``refits`` is
    the number of times in the whole run that a prediction was computed from data.
    """

    problem: RegressionProblem
    checkpoints: NDArray[np.int64]
    seeds: NDArray[np.uint64]
    pseudo_regret: Array
    estimation_error: Array
    refits: int


def estimation_bound(size: int, delay: int = 1) -> float:
    r"""What the estimation error of exponential weights over ``size`` functions, updated every ``delay`` rounds, is at most.

    In expectation, with the rate 1/2 and the truth among the functions, rewards in [0, 1]:
    :math:`b \ln F \cdot \min(2, 1 / (1 - e^{-3b/8}))` for b = ``delay``. See the claim `adyen-igw/batched-delay` for the proof.
    """
    _require_counts(size=size, delay=delay)
    return float(delay * np.log(size) * min(2.0, -1 / np.expm1(-3 * delay / 8)))


def squarecb_rate(actions: int, horizon: int, size: int, delay: int = 1) -> float:
    r"""The learning rate :math:`\gamma = \sqrt{8 (K-1) T / E}` that minimises :math:`2(K-1)T/\gamma + \gamma E / 4`.

    E is :func:`estimation_bound`. Raises :class:`InputError` for a class of one function, which leaves nothing to be estimated.
    """
    _require_counts(actions=actions, horizon=horizon)
    if size < 2:
        raise InputError(f"the learning rate is tuned for a class of at least 2 functions, not {size}.")
    return float(np.sqrt(8 * (actions - 1) * horizon / estimation_bound(size, delay)))


def squarecb_bound(actions: int, horizon: int, size: int, delay: int = 1) -> float:
    r"""The minimum :math:`\sqrt{2 (K-1) T E}`: the bound on SquareCB's expected regret; for delay 1 :math:`2\sqrt{(K-1) T \ln F}`."""
    _require_counts(actions=actions, horizon=horizon)
    return float(np.sqrt(2 * (actions - 1) * horizon * estimation_bound(size, delay)))


def squarecb(
    problem: RegressionProblem,
    horizon: int,
    seeds: ArrayLike,
    gamma: float | None = None,
    delay: int = 1,
    rate: float = 0.5,
    checkpoints: ArrayLike | None = None,
) -> RegressionRuns:
    """Runs of SquareCB whose oracle is the mean of the class under exponential weights in the squared loss.

    ``gamma`` is the learning rate of the play (:func:`squarecb_rate` if not given), ``rate`` >= 0 that of the weights, which are
    updated before rounds 0, ``delay``, 2 ``delay``, ...: a batch is played with what was known before it. ``checkpoints`` and
    ``seeds`` as in :func:`bandits.ucb1.ucb1`; a run depends on its seed alone.
    """
    marks, each = read_checkpoints(horizon, checkpoints, "round"), read_seeds(seeds)
    _require_counts(delay=delay)
    if not rate >= 0:
        raise InputError(f"the rate of exponential weights is at least 0, not {rate}.")
    speed = squarecb_rate(problem.bandit.actions, horizon, problem.size, delay) if gamma is None else gamma
    if not (np.isfinite(speed) and speed >= 0):
        raise InputError(f"the learning rate gamma is finite and at least 0, not {speed}.")
    refit = np.arange(horizon) % delay == 0
    return _play(problem, marks, each, np.full(horizon, float(speed)), refit, rate, forget=False)


def squarecb_expectation(
    common: float, truth: float, rival: float, horizon: int, gamma: float, rate: float = 0.5
) -> tuple[Array, Array]:
    """Exact expected pseudo-regret and estimation error of SquareCB on :func:`bandits.contextual.outvoted` with two functions.

    Both have shape (horizon + 1,), entry t for the first t rounds. The functions differ on action 1 only, so that the weights
    depend on its pulls and successes alone, whose law is followed from round to round. Takes time of the order horizon^3.
    """
    if not (1 <= horizon <= 1000 and all(0 <= v <= 1 for v in (common, truth, rival))):
        raise InputError("the expectation is computed for predictions in [0, 1] and a horizon between 1 and 1000 rounds.")
    n, s = np.ogrid[: horizon + 1, : horizon + 1]
    excess = s * ((1 - rival) ** 2 - (1 - truth) ** 2) + (n - s) * (rival**2 - truth**2)  # loss of the rival less the truth's
    with np.errstate(over="ignore"):
        estimate = rival + (truth - rival) / (1 + np.exp(-rate * excess))
    weights = inverse_gap_weights(np.stack([np.full_like(estimate, common), estimate], axis=-1), gamma)[..., 1]
    cost = np.where(truth > common, (1 - weights) * (truth - common), weights * (common - truth))
    miss = weights * (estimate - truth) ** 2
    law = np.zeros_like(weights)
    law[0, 0] = 1.0
    regret, error = np.zeros(horizon + 1), np.zeros(horizon + 1)
    for t in range(horizon):
        here = law[: t + 1, : t + 1]
        regret[t + 1] = regret[t] + (here * cost[: t + 1, : t + 1]).sum()
        error[t + 1] = error[t] + (here * miss[: t + 1, : t + 1]).sum()
        pulled = here * weights[: t + 1, : t + 1]
        law[: t + 1, : t + 1] -= pulled
        law[1 : t + 2, 1 : t + 2] += truth * pulled
        law[1 : t + 2, : t + 1] += (1 - truth) * pulled
    return regret, error


def falcon_epochs(horizon: int, schedule: Schedule = "doubling") -> NDArray[np.int64]:
    r"""The last rounds of FALCON's epochs, increasing, the last one ``horizon``.

    ``doubling``: :math:`\tau_m = 2^m`. ``log log``: :math:`\tau_m = \lceil 2 T^{1 - 2^{-m}} \rceil`, which needs the horizon T to be
    known and takes :math:`\lceil \log_2 \log_2 T \rceil` epochs.
    """
    _require_counts(horizon=horizon)
    if schedule not in ("doubling", "log log"):
        raise InputError(f"FALCON's schedule is 'doubling' or 'log log', not {schedule!r}.")
    ends: list[int] = []
    m = 1
    while not ends or ends[-1] < horizon:
        # a whole number that is computed in floating point may come out a few ulps too large
        end = 2**m if schedule == "doubling" else int(np.ceil(2 * horizon ** (1 - 2.0**-m) * (1 - 1e-14)))
        ends.append(min(end, horizon))
        m += 1
    return np.array(ends, dtype=np.int64)


def falcon_rates(
    ends: ArrayLike, actions: int, size: int, delta: float, scale: float = PUBLISHED_SCALE, power: float = 0.5
) -> Array:
    r"""FALCON's learning rates, one an epoch: 0 in the first (uniform play), then

    .. math:: \gamma_m = c \sqrt{K \tau_{m-1} / \ln(F \tau_{m-1} / \delta)}.

    The paper has c = 1/30 and takes :math:`\gamma_1 = 1`. ``power`` replaces the square root.
    """
    last = np.asarray(ends, dtype=float)
    if not (0 < delta < 1 and scale >= 0 and np.isfinite(scale)):
        raise InputError(f"FALCON's learning rate needs delta in (0, 1) and a scale of at least 0, not {delta} and {scale}.")
    before = last[:-1]
    return np.concatenate([[0.0], scale * (actions * before / np.log(size * before / delta)) ** power])


def falcon(
    problem: RegressionProblem,
    horizon: int,
    seeds: ArrayLike,
    schedule: Schedule = "doubling",
    scale: float = PUBLISHED_SCALE,
    delta: float = 0.05,
    power: float = 0.5,
    checkpoints: ArrayLike | None = None,
) -> RegressionRuns:
    """Runs of FALCON: each epoch plays inverse-gap weighting of the least-squares fit to the previous epoch's rounds.

    Epochs from :func:`falcon_epochs`, learning rates from :func:`falcon_rates`; of several functions of least loss the lowest-
    numbered is taken. Otherwise as :func:`squarecb`.
    """
    marks, each = read_checkpoints(horizon, checkpoints, "round"), read_seeds(seeds)
    ends = falcon_epochs(horizon, schedule)
    starts = np.concatenate([[0], ends[:-1]])
    rates = falcon_rates(ends, problem.bandit.actions, problem.size, delta, scale, power)
    refit = np.zeros(horizon, dtype=np.bool_)
    refit[starts] = True
    return _play(problem, marks, each, np.repeat(rates, ends - starts), refit, np.inf, forget=True)


def _play(
    problem: RegressionProblem,
    marks: NDArray[np.int64],
    seeds: NDArray[np.uint64],
    gamma: Array,
    refit: NDArray[np.bool_],
    rate: float,
    *,
    forget: bool,
) -> RegressionRuns:
    bandit = problem.bandit
    by_context = np.ascontiguousarray(np.moveaxis(problem.functions, 0, -1))
    deviation = -1.0 if bandit.deviation is None else float(bandit.deviation)
    regret, error = _kernels_contextual.regression_play(
        bandit.means, bandit.law, deviation, by_context, seeds, marks, gamma, refit, float(rate), forget
    )
    return RegressionRuns(problem, marks, seeds, regret, error, int(refit.sum()) - 1)


def _require_counts(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise InputError(f"the number called {name} is at least 1, not {count}.")
