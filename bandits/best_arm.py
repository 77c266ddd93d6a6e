r"""Finding the best arm with confidence: successive elimination, and track-and-stop with its characteristic time.

Successive elimination: Even-Dar, Mannor and Mansour, JMLR 7, 2006. Track-and-stop: Garivier and Kaufmann, COLT 2016, 1602.04589;
threshold of Kaufmann and Koolen, JMLR 22, 2021, 1811.11419.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bandits import _kernels_best_arm as kernels
from bandits.stochastic import BernoulliBandit, GaussianBandit
from theory.errors import InputError
from theory.random_streams import read_seeds


@dataclass(frozen=True, eq=False)
class BestArmRuns:
    """Independent runs: the arm that each answers (-1 if it was undecided at the limit) and its samples, shape (runs,).

    For successive elimination ``broken`` says whether some average ever left its confidence radius, and ``pulls``, shape
    (runs, K), how often each arm was pulled.
    """

    answers: NDArray[np.int64]
    samples: NDArray[np.int64]
    broken: NDArray[np.bool_] | None = None
    pulls: NDArray[np.int64] | None = None


def elimination_radius(pulls: ArrayLike, arms: int, delta: float, factor: float = math.pi**2 / 3) -> NDArray[np.float64]:
    r""":math:`\sqrt{\ln(c K t^2 / \delta) / (2t)}` after t = ``pulls`` pulls of each arm, c = ``factor``.

    By Hoeffding's inequality the averages of all arms stay within it of their means, for all t at once, with probability at
    least :math:`1 - 2\delta \sum_t 1/(c t^2) = 1 - \delta` for c = pi^2/3.
    """
    t = np.asarray(pulls, dtype=float)
    return np.asarray(np.sqrt(np.log(factor * arms * t**2 / delta) / (2 * t)))


def successive_elimination(
    bandit: BernoulliBandit, delta: float, seeds: ArrayLike, factor: float = math.pi**2 / 3, limit: int = 1_000_000
) -> BestArmRuns:
    """Pull every arm that is left once a round; drop those whose average is 2 radii (:func:`elimination_radius`) below the best.

    Stops when one arm is left, or undecided after ``limit`` rounds.
    """
    _confidence(delta)
    each = read_seeds(seeds)
    found = [kernels.successive_elimination(bandit.means, s, factor * bandit.arms / delta, limit) for s in each]
    return BestArmRuns(
        answers=np.array([f[0] for f in found]),
        samples=np.array([f[1] for f in found]),
        broken=np.array([f[2] for f in found]),
        pulls=np.stack([f[3] for f in found]),
    )


def elimination_time(gap: float, arms: int, delta: float, factor: float = math.pi**2 / 3) -> int:
    """The least t with 4 radii of at most ``gap`` > 0: while no radius is broken, an arm of that gap is dropped by then."""
    if not gap > 0:
        raise InputError(f"an arm is told from the best in finite time for a gap above 0, not {gap}.")
    low, high = 1, 2
    while 4 * elimination_radius(high, arms, delta, factor) > gap:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if 4 * elimination_radius(middle, arms, delta, factor) > gap:
            low = middle
        else:
            high = middle
    return high


def characteristic_time(means: ArrayLike) -> tuple[float, NDArray[np.float64]]:
    r"""T*(mu) of unit-variance normal arms and the optimal proportions of samples, shape (K,).

    :math:`1/T^* = \max_w \min_{a \ne a^*} \frac{w_{a^*} w_a}{w_{a^*} + w_a} \frac{\Delta_a^2}{2}`. Raises :class:`InputError` unless the best arm is unique.
    """
    mu = np.array(means, dtype=float)
    if mu.ndim != 1 or mu.size < 2 or not np.isfinite(mu).all():
        raise InputError("the characteristic time is of a vector of at least two finite means.")
    shares = np.zeros(mu.size)
    time = float(kernels.optimal_shares(mu, shares))
    if math.isinf(time):
        raise InputError("the characteristic time is finite only where the best arm is unique.")
    return time, shares


def track_and_stop(
    bandit: GaussianBandit, delta: float, seeds: ArrayLike, limit: int = 1_000_000, threshold: float | None = None
) -> BestArmRuns:
    """D-tracking of the estimated optimal proportions until every rival's likelihood ratio exceeds the threshold.

    The threshold after t samples is 2 C(ln((K-1)/delta)/2) + 4 ln(4 + ln(t/2)), C being :func:`gaussian_threshold`; a number
    in its place is a threshold that does not grow with t. For normal arms of unit variance.
    """
    _confidence(delta)
    if bandit.deviation != 1.0:
        raise InputError(f"track-and-stop is written for arms of unit variance, not of deviation {bandit.deviation}.")
    characteristic_time(bandit.means)
    proved = threshold is None
    base = 2 * gaussian_threshold(math.log((bandit.arms - 1) / delta) / 2) if threshold is None else threshold
    found = [kernels.track_and_stop(bandit.means, s, base, 4.0 if proved else 0.0, limit) for s in read_seeds(seeds)]
    return BestArmRuns(answers=np.array([f[0] for f in found]), samples=np.array([f[1] for f in found]))


def gaussian_threshold(x: float) -> float:
    r""":math:`C(x) = \min_{\lambda \in (1/2, 1)} (g(\lambda) + x)/\lambda`, about x + ln x.

    :math:`g(\lambda) = 2\lambda - 2\lambda \ln(4\lambda) + \ln\zeta(2\lambda) - \frac12 \ln(1-\lambda)` (Kaufmann and Koolen 2021, recalled).
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import zeta

    def value(lam: float) -> float:
        g = 2 * lam - 2 * lam * math.log(4 * lam) + math.log(float(zeta(2 * lam))) - 0.5 * math.log1p(-lam)
        return (g + x) / lam

    return float(minimize_scalar(value, bounds=(0.5 + 1e-9, 1 - 1e-9), method="bounded", options={"xatol": 1e-10}).fun)


def _confidence(delta: float) -> None:
    if not 0 < delta < 1:
        raise InputError(f"a probability of error is between 0 and 1, not {delta}.")
