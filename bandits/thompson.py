"""The exact law of what Thompson sampling (:class:`bandits.index_policies.BetaThompson`) pulls on two Bernoulli arms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from bandits import _kernels_two_armed_law as kernels
from bandits.stochastic import BernoulliBandit
from theory.errors import InputError


def thompson_two_armed_law(bandit: BernoulliBandit, horizon: int) -> NDArray[np.float64]:
    """The exact law of the pulls of Thompson sampling with uniform priors, shape (horizon + 1, horizon + 1).

    Entry [t, n] is the probability that arm 0 has been pulled n times after t rounds. The chance that one posterior's draw
    exceeds the other's is a finite sum for whole Beta parameters. Takes time of the order horizon^5 / 120: 0.3 s for 60 rounds.
    """
    if bandit.arms != 2:
        raise InputError(f"the law of the pulls is computed for two arms, not for {bandit.arms}.")
    if not 1 <= horizon <= 150:
        raise InputError(f"the law of Thompson sampling is computed for 1 to 150 rounds, not {horizon}.")
    log_factorial = gammaln(np.arange(1, 2 * horizon + 12, dtype=float))
    return kernels.two_armed_law(bandit.means, horizon, True, np.empty(0), np.empty(0), log_factorial)
