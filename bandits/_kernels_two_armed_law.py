"""The Numba kernel of the exact law of UCB1."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(cache=True)
def ucb1_two_armed_law(
    means: NDArray[np.float64], horizon: int, radius: NDArray[np.float64], inverse_root: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The law of the pulls of arm 0, shape (horizon + 1, horizon + 1): entry [t, n] is P(N_0 = n after t rounds).

    Follows the law of the state (pulls of arm 0, successes of either arm) from round to round.
    """
    law = np.zeros((horizon + 1, horizon + 1))
    law[0, 0] = 1.0
    here = np.zeros((horizon + 1, horizon + 1, horizon + 1))  # pulls of arm 0, successes of arm 0, of arm 1
    there = np.zeros((horizon + 1, horizon + 1, horizon + 1))
    here[0, 0, 0] = 1.0
    for t in range(horizon):
        for n in range(t + 1):
            m = t - n
            for s in range(n + 1):
                for r in range(m + 1):
                    weight = here[n, s, r]
                    here[n, s, r] = 0.0
                    if weight == 0.0:
                        continue
                    if t < 2:
                        chosen = t
                    else:
                        first = s / n + radius[t] * inverse_root[n]
                        second = r / m + radius[t] * inverse_root[m]
                        chosen = 1 if second > first else 0
                    if chosen == 0:
                        there[n + 1, s + 1, r] += weight * means[0]
                        there[n + 1, s, r] += weight * (1 - means[0])
                        law[t + 1, n + 1] += weight
                    else:
                        there[n, s, r + 1] += weight * means[1]
                        there[n, s, r] += weight * (1 - means[1])
                        law[t + 1, n] += weight
        here, there = there, here
    return law
