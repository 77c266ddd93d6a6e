"""Episodic models: optimal values by dynamic programming, and the values of a given policy.

With V_H = 0 and, for h = H-1, ..., 0,

    Q_h(s, a) = R_h(s, a) + sum_s' P_h(s' | s, a) V_{h+1}(s'),
    V_h(s) = max_a Q_h(s, a)    or    V_h(s) = sum_a pi_h(a|s) Q_h(s, a)

(Bellman 1957). Steps are counted from 0 here. Nothing is iterated to convergence, so that the only error is rounding:
a step adds at most the rounding of one sum of S products, and passes on at most the error of the step after it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models import EpisodicMDP
from mdplab.solvers.evaluation import accumulated_rounding
from mdplab.solvers.policy import Floats, as_episodic_probabilities


@dataclass(frozen=True, eq=False)
class EpisodicSolution:
    """Optimal values: ``q`` (H, S, A), ``value`` (H+1, S) with zeros last, the first greedy action ``policy`` (H, S).

    Every entry of ``q`` and ``value`` is within ``error`` of the truth.
    """

    q: Floats
    value: Floats
    policy: NDArray[np.int64]
    error: float

    @property
    def advantage(self) -> Floats:
        """Q - V, shape (H, S, A), never positive."""
        return self.q - self.value[:-1, :, None]


@dataclass(frozen=True, eq=False)
class EpisodicEvaluation:
    """The values of a policy: ``q`` (H, S, A) and ``value`` (H+1, S) with zeros last, each entry within ``error``."""

    q: Floats
    value: Floats
    error: float

    @property
    def advantage(self) -> Floats:
        """Q - V, shape (H, S, A)."""
        return self.q - self.value[:-1, :, None]


def backward_induction(mdp: EpisodicMDP) -> EpisodicSolution:
    """Q*, V* and an optimal deterministic policy (the first greedy action at every step and state)."""
    q, value, error = induce(mdp, lambda step, q: q.max(axis=1), summands=0, weight=1.0)
    return EpisodicSolution(q, value, q.argmax(axis=2), error)


def evaluate_episodic_policy(mdp: EpisodicMDP, policy: ArrayLike) -> EpisodicEvaluation:
    """Q^pi and V^pi of a policy: float (H, S, A) or (S, A), or the actions taken, integer (H, S) or (S,)."""
    probabilities = as_episodic_probabilities(mdp, policy)
    weight = float(probabilities.sum(axis=-1).max())
    actions = mdp.R.shape[2]
    q, value, error = induce(
        mdp, lambda step, q: np.einsum("sa,sa->s", probabilities[step], q), summands=actions + 1, weight=weight
    )
    return EpisodicEvaluation(q, value, error)


def induce(
    mdp: EpisodicMDP,
    state_value: Callable[[int, Floats], Floats],
    *,
    summands: int,
    weight: float,
    absolute: float = 0.0,
) -> tuple[Floats, Floats, float]:
    """Q (H, S, A), V (H+1, S) and the error bound of the recursion whose state value is ``state_value(step, Q_step)``.

    ``state_value`` must be monotone and ``weight``-Lipschitz in sup norm, and computed with a relative rounding error
    of ``summands`` operations and an absolute one of ``absolute``.
    """
    horizon, states, actions = mdp.R.shape
    q = np.empty((horizon, states, actions))
    value = np.zeros((horizon + 1, states))
    mass = largest_row_sum(mdp)
    rounding = accumulated_rounding(states + 3)
    error = worst = 0.0
    for step in range(horizon - 1, -1, -1):
        q[step] = mdp.R[step] + mdp.P[step] @ value[step + 1]
        value[step] = state_value(step, q[step])
        reward_size = float(np.abs(mdp.R[step]).max())
        next_size = mass * float(np.abs(value[step + 1]).max())
        error_of_q = mass * error + rounding * (reward_size + next_size)
        size = weight * float(np.abs(q[step]).max())
        error = weight * error_of_q + accumulated_rounding(summands) * size + absolute
        worst = max(worst, error, error_of_q)
    return q, value, worst * (1 + accumulated_rounding(4 * horizon + 8))


def largest_row_sum(mdp: EpisodicMDP) -> float:
    """An upper bound on sum_s' P_h(s'|s, a) over all h, s, a: 1 up to what validation let pass."""
    kernels = mdp.P[:1] if mdp.P.strides[0] == 0 else mdp.P
    return float(kernels.sum(axis=-1).max()) * (1 + accumulated_rounding(kernels.shape[-1]))
