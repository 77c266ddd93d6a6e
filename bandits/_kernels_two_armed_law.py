"""Numba kernels of the exact laws of UCB1 and of Thompson sampling on two Bernoulli arms."""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(cache=True)
def beta_exceeds(a: int, b: int, c: int, d: int, log_factorial: NDArray[np.float64]) -> float:
    """P(X > Y) for independent X ~ Beta(a, b) and Y ~ Beta(c, d), whole parameters: a sum of positive terms."""
    # X > Y: sum over i < a of B(c + i, b + d) / ((b + i) B(1 + i, b) B(c, d)), with B(x, y) = (x-1)! (y-1)! / (x+y-1)!
    base = log_factorial[b + d - 1] - log_factorial[b - 1] - log_factorial[c - 1] - log_factorial[d - 1]
    base += log_factorial[c + d - 1]
    chance = 0.0
    for i in range(a):
        log = log_factorial[c + i - 1] - log_factorial[b + c + d + i - 1] + log_factorial[b + i] - log_factorial[i]
        chance += math.exp(base + log) / (b + i)
    return min(chance, 1.0)


@numba.njit(cache=True)
def two_armed_law(
    means: NDArray[np.float64],
    horizon: int,
    posterior: bool,
    radius: NDArray[np.float64],
    inverse_root: NDArray[np.float64],
    log_factorial: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The law of the pulls of arm 0, shape (horizon + 1, horizon + 1): entry [t, n] is P(N_0 = n after t rounds).

    Follows the law of the state (pulls of arm 0, successes of either arm) from round to round. With ``posterior`` the arms are
    those of Thompson sampling, by ``log_factorial``; otherwise UCB1's, by ``radius`` and ``inverse_root``. The rest is not read.
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
                    if posterior:
                        first = weight * beta_exceeds(1 + s, 1 + n - s, 1 + r, 1 + m - r, log_factorial)
                    elif t < 2:
                        first = weight if t == 0 else 0.0
                    else:
                        behind = s / n + radius[t] * inverse_root[n] < r / m + radius[t] * inverse_root[m]
                        first = 0.0 if behind else weight
                    second = weight - first
                    there[n + 1, s + 1, r] += first * means[0]
                    there[n + 1, s, r] += first * (1 - means[0])
                    law[t + 1, n + 1] += first
                    there[n, s, r + 1] += second * means[1]
                    there[n, s, r] += second * (1 - means[1])
                    law[t + 1, n] += second
        here, there = there, here
    return law
