"""Inner loops of games.accelerated; the preference matrix is read, and counted, by ``ask`` alone."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from games._kernels import ask, softmax

Array = NDArray[np.float64]


@njit(cache=True)
def momentum_step(
    gain: Array, beta: float, momentum: float, carried: Array, policy: Array, after: Array, extrapolated: Array, ahead: Array
) -> None:
    """One iteration from ``policy``; ``carried`` holds how far the extrapolated policy is ahead of it, before and after.

    ``ahead`` receives the probabilities of the extrapolated policy.
    """
    for i in range(gain.size):
        increment = carried[i] + gain[i] / beta
        after[i] = policy[i] + increment
        carried[i] = momentum * increment
    softmax(after, ahead)
    for i in range(gain.size):
        extrapolated[i] = after[i] + carried[i]
    softmax(extrapolated, ahead)


@njit(cache=True)
def self_play_path(
    matrix: Array, counter: NDArray[np.int64], beta: float, momentum: Array, policies: Array, extrapolated: Array
) -> None:
    """From policies[0] = extrapolated[0], against the extrapolated policy itself; fills the rest of both."""
    gain = np.empty(policies.shape[1])
    carried = np.zeros(policies.shape[1])
    ahead = np.exp(extrapolated[0])
    for t in range(momentum.size):
        ask(matrix, counter, ahead, gain)
        momentum_step(gain, beta, momentum[t], carried, policies[t], policies[t + 1], extrapolated[t + 1], ahead)


@njit(cache=True)
def reward_path(rewards: Array, beta: float, momentum: Array, policies: Array, extrapolated: Array) -> None:
    """The same with gains that do not depend on the policy."""
    carried, ahead = np.zeros(policies.shape[1]), np.empty(policies.shape[1])
    for t in range(momentum.size):
        momentum_step(rewards, beta, momentum[t], carried, policies[t], policies[t + 1], extrapolated[t + 1], ahead)
