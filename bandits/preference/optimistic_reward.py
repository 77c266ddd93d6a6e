r"""Optimism by an incentive for values: online VPO (Cen et al. 2024, arXiv 2405.19320).

Before round t, with :math:`n_{ij}` labels so far for i over j, the learner fits a reward of the box :math:`[l, h]^K` by

.. math:: r_t = \arg\min_r\; \sum_{ij} n_{ij} \ln\bigl(1 + e^{-(r_i - r_j)}\bigr) - \alpha_t \bigl(J^\star(r) - \mathbb{E}_b r\bigr),
          \qquad J^\star(r) = \beta \ln \sum_y \mu(y) e^{r(y)/\beta},

b being the calibration policy (rewards shifted to :math:`\mathbb{E}_b r = 0` make the last term 0), draws two responses from the tilt of
:math:`\mu` by :math:`r_t`, and sees which of them is preferred. Here :math:`\alpha_t = c \sqrt t`; c = 0 is the greedy learner.

For :math:`\alpha > 0` the objective is not convex. The search (Newton steps that leave the concave part out of the Hessian) is
started from the middle of the box and from each of its corners where one response has the reward h and all others l: these are
the rewards that speak most for a response. The best of the stationary points found is returned.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bandits.preference import _kernels
from bandits.preference.box_likelihood import STEPS, TOLERANCE, certificate, read_box, read_weights
from bandits.preference.kl_bandit import KLBandit
from theory.divergences import NORMALISATION
from theory.errors import InputError
from theory.random_streams import read_checkpoints, read_seeds
from theory.tilts import require_temperature

Array = NDArray[np.float64]
ROUND_TOLERANCE, ROUND_STEPS = 1e-6, 100  # of the fits within a simulation, where the next label matters more


@dataclass(frozen=True, eq=False)
class OptimisticReward:
    """A stationary point of the optimistic objective.

    ``reward`` (K,), ``value`` the objective there. ``gap`` bounds how much any direction within the box could lower the objective
    to the first order; for alpha <= 0, where the objective is convex, the minimum lies in [value - gap, value]. ``starts`` (K+1,):
    the values reached from the different starts, the middle of the box first.
    """

    reward: Array
    value: float
    gap: float
    starts: Array


def optimistic_reward(
    counts: ArrayLike,
    log_reference: ArrayLike,
    calibration: ArrayLike,
    beta: float,
    alpha: float,
    low: float,
    high: float,
) -> OptimisticReward:
    """The reward that fits ``counts`` (K, K) and promises much: the best stationary point found of the module's objective.

    ``log_reference`` (K,): log-probabilities. ``calibration`` (K,): the probabilities of b. ``alpha``: any finite number; below 0
    the fit is pessimistic. ``low`` < ``high``: the box.
    """
    n = read_weights(counts)
    low, high = read_box(low, high)
    reference = np.array(log_reference, dtype=float)
    b = _calibration(calibration, len(n))
    if reference.shape != b.shape:
        raise InputError(f"the reference of {len(n)} responses has as many log-probabilities, not the shape {reference.shape}.")
    if not np.isfinite(alpha):
        raise InputError(f"the weight alpha of the value is finite, not {alpha}.")
    problem = (n, reference, -alpha * b, require_temperature(beta), -float(alpha))
    points = [
        _kernels.box_newton(*problem, low, high, start, TOLERANCE, STEPS)[0] for start in search_starts(len(n), low, high)
    ]
    values = np.array([_kernels.box_objective(point, *problem)[0] for point in points])
    best = int(np.argmin(values))
    gap, _ = certificate(points[best], *problem, low, high)
    return OptimisticReward(points[best], float(values[best]), gap, values)


def online_regret(
    bandit: KLBandit,
    calibration: ArrayLike,
    coefficient: float,
    box: tuple[float, float],
    horizon: int,
    seeds: ArrayLike,
    *,
    checkpoints: ArrayLike | None = None,
    growth: float = 0.1,
) -> Array:
    r"""The regret :math:`\sum_{s \le t} J(\pi^\star) - J(\pi_s)` of independent runs of online VPO, shape (runs, checkpoints).

    ``coefficient`` is c, of either sign; ``calibration`` (K,) the probabilities of b. The reward is fitted anew at round 1 and then
    whenever the number of rounds has grown by the share ``growth`` (0 for every round). A learner that is not optimistic has a convex
    objective, and starts its fits from the middle of the box alone. ``seeds`` come from
    :func:`theory.random_streams.run_seeds`; a run depends on its seed alone, and learners with the same seed read the same random
    numbers. ``checkpoints`` increase within [1, horizon]; by default the horizon alone.
    """
    if bandit.prompts is not None:
        raise InputError("online VPO is simulated for a bandit without a prompt axis.")
    marks, each = read_checkpoints(horizon, checkpoints, "round"), read_seeds(seeds)
    low, high = read_box(*box)
    b = _calibration(calibration, bandit.responses)
    if not np.isfinite(coefficient):
        raise InputError(f"the coefficient of the optimism is finite, not {coefficient}.")
    if not 0 <= growth < np.inf:
        raise InputError(f"the share of new rounds between two fits is at least 0, not {growth}.")
    starts = search_starts(bandit.responses, low, high)
    return np.asarray(
        _kernels.online_regret(
            np.array(bandit.reward),  # a copy, so that the kernel is compiled for writable arrays alone
            np.array(bandit.log_reference),
            float(bandit.beta),
            b,
            float(coefficient),
            low,
            high,
            refit_rounds(horizon, growth),
            marks,
            each,
            starts if coefficient > 0 else starts[:1],
            ROUND_TOLERANCE,
            ROUND_STEPS,
        )
    )


def refit_rounds(horizon: int, growth: float) -> NDArray[np.int64]:
    """The rounds (from 0) before which the reward is fitted: each the last one times 1 + ``growth``, at least one later."""
    rounds = [0]
    while rounds[-1] < horizon:
        rounds.append(max(rounds[-1] + 1, int(np.ceil((1 + growth) * rounds[-1]))))
    return np.array(rounds[:-1], dtype=np.int64)


def search_starts(K: int, low: float, high: float) -> Array:
    """Where the search for a minimum starts, shape (K + 1, K): the middle of the box, and ``high`` for one response alone."""
    return np.concatenate((np.full((1, K), (low + high) / 2), low + (high - low) * np.eye(K)))


def _calibration(calibration: ArrayLike, K: int) -> Array:
    b = np.array(calibration, dtype=float)
    if b.shape != (K,) or not (b >= 0).all() or not abs(b.sum() - 1) <= NORMALISATION:
        raise InputError(f"a calibration policy has {K} probabilities of at least 0 with the sum 1, not {calibration!r}.")
    return b
