r"""Anchored value iteration (Lee and Ryu 2023, arXiv 2305.16569): Halpern's iteration on the Bellman operator.

    U^k = beta_k U^0 + (1 - beta_k) T U^{k-1},      beta_k = 1 / (1 + gamma^{-2} + ... + gamma^{-2k})

drives the Bellman residual ||TU^k - U^k|| down at an O(1/k) rate even as gamma tends to 1, where that of value iteration,
gamma^k, says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models import ModelError, TabularMDP
from mdplab.solvers.bellman import _as_value, bellman_operator, policy_operator


@dataclass(frozen=True, eq=False)
class AnchoredIterates:
    """``values`` float64[K + 1, S] with U^0 first, and the sup-norm Bellman residuals ||TU^k - U^k||, float64[K + 1]."""

    values: NDArray[np.float64]
    residuals: NDArray[np.float64]


def anchor_weights(gamma: float, iterations: int) -> NDArray[np.float64]:
    """beta_1, ..., beta_K; for gamma = 1 they are 1 / (k + 1)."""
    if not 0 < gamma <= 1:
        raise ModelError(f"anchoring needs a discount in (0, 1], not {gamma}.")
    # 1 / beta_k = 1 + gamma^{-2} (1 / beta_{k-1}) read backwards: the sum grows by its newest, largest term
    with np.errstate(over="ignore"):  # an anchor that weighs nothing is one that float64 writes as 0
        return 1.0 / (1.0 + np.cumsum(gamma ** (-2.0 * np.arange(1, iterations + 1))))


def anchored_value_iteration(
    mdp: TabularMDP, iterations: int, *, start: ArrayLike | None = None, policy: ArrayLike | None = None
) -> AnchoredIterates:
    """The iterates U^0, ..., U^K of the optimality operator, or of ``policy``'s operator if one is given.

    ``start`` is U^0, zero by default. gamma = 1 is allowed: the residual still falls as 1 / (k + 1) if a fixed point exists.
    """
    anchor = np.zeros(mdp.states) if start is None else _as_value(mdp, start)
    weights = anchor_weights(mdp.gamma, iterations)
    values, residuals = np.empty((iterations + 1, mdp.states)), np.empty(iterations + 1)
    values[0] = anchor
    for k in range(iterations + 1):
        image = bellman_operator(mdp, values[k]) if policy is None else policy_operator(mdp, policy, values[k])
        residuals[k] = np.abs(image - values[k]).max()
        if k < iterations:
            values[k + 1] = weights[k] * anchor + (1 - weights[k]) * image
    return AnchoredIterates(values, residuals)
