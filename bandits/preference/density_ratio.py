r"""The density ratio of a strong and a weak policy as a reward.

If both are tilts of one reference by one reward, at the temperatures :math:`\beta_s < \beta_w`, then

.. math:: \ln\frac{\pi_s(y)}{\pi_w(y)} = \kappa\, r(y) + \mathrm{const}, \qquad \kappa = \frac1{\beta_s} - \frac1{\beta_w} > 0,

the reward up to scale and shift: it labels every pair as the reward does. :math:`\kappa` is the *alignment gap*. If each of the
log-probabilities carries an independent normal error of deviation t, then the ratio's difference on a pair with the reward
difference d has the mean :math:`\kappa d` and four errors in it, hence the deviation 2t.

Xu et al. (2024), arXiv 2411.02481.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from theory.errors import InputError
from theory.tilts import require_temperature

Array = NDArray[np.float64]


def alignment_gap(beta_strong: float, beta_weak: float) -> float:
    """1/beta_strong - 1/beta_weak, for two positive temperatures: positive if the strong policy is the colder one."""
    return 1 / require_temperature(beta_strong) - 1 / require_temperature(beta_weak)


def density_ratio(log_strong: ArrayLike, log_weak: ArrayLike) -> Array:
    """The score ln(strong / weak), shape (..., K), of log-probabilities (..., K), which must be finite."""
    strong, weak = np.asarray(log_strong, dtype=float), np.asarray(log_weak, dtype=float)
    if strong.shape[-1:] != weak.shape[-1:] or not (np.isfinite(strong).all() and np.isfinite(weak).all()):
        raise InputError(
            "a density ratio needs two policies over the same responses that give each of them a positive probability."
        )
    return np.asarray(strong - weak)


def ranking_accuracy(difference: ArrayLike, gap: float, noise: float) -> Array:
    r"""The probability :math:`\Phi(\kappa |d| / (2t))` that a noisy ratio ranks a pair as its rewards do, in (0, 1).

    ``difference`` d of the pair's rewards, any shape; ``gap`` :math:`\kappa`, finite; ``noise`` t > 0, the deviation of the error of
    each of the four log-probabilities. 1/2 at d = 0.
    """
    return np.asarray(ndtr(_finite(gap) * np.abs(np.asarray(difference, dtype=float)) / (2 * _deviation(noise))))[()]


def mean_ranking_accuracy(gap: float, noise: float, spread: float = 1.0) -> float:
    r""":func:`ranking_accuracy` averaged over pairs with independent normal rewards of deviation ``spread`` :math:`s > 0`.

    The difference is normal with the deviation :math:`\sqrt2 s`, and the signs of two normal numbers with the correlation
    :math:`\rho` agree with the probability :math:`\tfrac12 + \tfrac1\pi \arcsin\rho` (Sheppard 1899); here that is
    :math:`\tfrac12 + \tfrac1\pi \arctan\frac{\kappa s}{\sqrt2\, t}`.
    """
    return float(0.5 + np.arctan(_finite(gap) * _deviation(spread) / (np.sqrt(2) * _deviation(noise))) / np.pi)


def sample_rankings(
    beta_strong: float, beta_weak: float, noise: float, pairs: int, rng: np.random.Generator, spread: float = 1.0
) -> NDArray[np.bool_]:
    """Whether the noisy ratio ranks each of several disjoint pairs as its rewards do, shape (pairs,).

    Every pair is a bandit of its own with two responses, normal rewards of deviation ``spread`` and a uniform reference; its
    strong and weak policies are normalised tilts, and each of their four log-probabilities gets a normal error of deviation
    ``noise``.
    """
    if pairs < 1:
        raise InputError(f"at least one pair is ranked, not {pairs}.")
    reward = _deviation(spread) * rng.standard_normal((pairs, 2))
    half = (reward[:, 0] - reward[:, 1]) / 2
    scores = np.zeros((pairs, 2))
    for sign, beta in ((1, beta_strong), (-1, beta_weak)):
        tilt = np.stack((half, -half), axis=1) / require_temperature(beta)
        tilt -= np.logaddexp(tilt[:, 0], tilt[:, 1])[:, None]
        scores += sign * (tilt + _deviation(noise) * rng.standard_normal((pairs, 2)))
    return np.asarray((scores[:, 0] > scores[:, 1]) == (half > 0))


def _deviation(value: float) -> float:
    if not 0 < value < np.inf:
        raise InputError(f"a standard deviation is positive and finite, not {value}.")
    return float(value)


def _finite(gap: float) -> float:
    if not np.isfinite(gap):
        raise InputError(f"the alignment gap is finite, not {gap}.")
    return float(gap)
