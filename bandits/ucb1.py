"""The exact law of what UCB1 (:class:`bandits.index_policies.UCB1`) pulls on two Bernoulli arms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bandits import _kernels_two_armed_law as kernels
from bandits.index_policies import UCB1
from bandits.stochastic import BernoulliBandit
from theory.errors import InputError


def ucb1_two_armed_law(bandit: BernoulliBandit, horizon: int, exploration: float = 2.0) -> NDArray[np.float64]:
    """The exact law of UCB1's pulls on a two-armed bandit, shape (horizon + 1, horizon + 1).

    Entry [t, n] is the probability that arm 0 has been pulled n times after t rounds (and arm 1 the other t - n times). It is
    a sum of positive terms over all histories, grouped by pulls and successes, and exact up to a relative rounding error of
    about 3 * horizon * 2.2e-16. Takes time of the order horizon^4 / 24 and 16 * (horizon + 1)^3 bytes: 0.05 s and 16 MB for
    100 rounds.
    """
    if bandit.arms != 2:
        raise InputError(f"the law of the pulls is computed for two arms, not for {bandit.arms}.")
    if not 1 <= horizon <= 400:
        raise InputError(f"the law of the pulls is computed for a horizon between 1 and 400 rounds, not {horizon}.")
    rule = UCB1(exploration).rule(2, horizon)
    return kernels.two_armed_law(bandit.means, horizon, False, rule.by_round, rule.by_count, np.empty(0))
