r"""The finite-time bounds of UCB1: Auer, Cesa-Bianchi and Fischer, Finite-time Analysis of the Multiarmed Bandit Problem,
Machine Learning 47 (2002), Theorem 1.

For rewards in [0, 1] and the index :math:`\bar x_a + \sqrt{2 \ln t / n_a}`, an arm whose gap is :math:`\Delta_a > 0` is pulled

.. math:: \mathbb{E}[N_a(T)] \le \frac{8 \ln T}{\Delta_a^2} + 1 + \frac{\pi^2}{3}

times in expectation (the last line of the theorem's proof), so that the regret is at most

.. math:: \mathbb{E}[R(T)] \le \sum_{a : \Delta_a > 0} \frac{8 \ln T}{\Delta_a}
          + \Bigl(1 + \frac{\pi^2}{3}\Bigr) \sum_a \Delta_a .
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.errors import InputError

LOGARITHMIC = 8.0
CONSTANT = 1 + np.pi**2 / 3


def pulls_bound(
    horizon: ArrayLike, gaps: ArrayLike, *, logarithmic: float = LOGARITHMIC, constant: float = CONSTANT
) -> NDArray[np.float64]:
    """Bound on the expected number of pulls of each arm, shape ``horizon.shape + gaps.shape``; inf where the gap is 0.

    ``logarithmic`` and ``constant`` replace the theorem's 8 and 1 + pi^2/3 (in checks of smaller constants).
    """
    log_horizon, delta = _arguments(horizon, gaps)
    with np.errstate(divide="ignore"):
        inverse = 1 / delta**2
    # ln 1 = 0 times the infinity of an optimal arm says nothing, as for every other horizon
    leading = np.where(delta > 0, logarithmic * log_horizon[..., None] * np.where(delta > 0, inverse, 0.0), np.inf)
    return leading + constant


def regret_bound(
    horizon: ArrayLike, gaps: ArrayLike, *, logarithmic: float = LOGARITHMIC, constant: float = CONSTANT
) -> NDArray[np.float64]:
    """Bound on the expected pseudo-regret after ``horizon`` rounds, of the horizon's shape; arms of gap 0 add nothing."""
    log_horizon, delta = _arguments(horizon, gaps)
    suboptimal = delta[delta > 0]
    return np.asarray(logarithmic * log_horizon * np.sum(1 / suboptimal) + constant * suboptimal.sum())[()]


def _arguments(horizon: ArrayLike, gaps: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rounds, delta = np.asarray(horizon, dtype=float), np.asarray(gaps, dtype=float)
    if not (rounds >= 1).all():
        raise InputError("UCB1's bound is for a horizon of at least one round.")
    if delta.ndim != 1 or not ((delta >= 0) & (delta <= 1)).all():
        raise InputError("UCB1's bound is for a vector of gaps between 0 and 1.")
    return np.log(rounds), delta
