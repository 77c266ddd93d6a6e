r"""The temperature at which the optimal policy of an entropy-regularised MDP has a wanted entropy.

Soft Actor-Critic's automatic temperature (Haarnoja et al. 2018, arXiv 1812.05905, section 5) is the multiplier of the
constraint that the policy's entropy is at least a target. On average over the discounted visits from the start law, the entropy
of the optimal policy does not fall as the temperature rises (it is the derivative of the optimal value, a convex function of
the temperature), so that the temperature is unique. On average over a fixed law of states, as that of a replay memory, it need
not be monotone.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from mdplab.models import TabularMDP
from mdplab.solvers.occupancy import discounted_occupancy
from mdplab.solvers.policy import Floats, state_sum
from mdplab.solvers.soft import soft_policy_iteration
from theory.errors import InputError

COLDEST, HOTTEST = 1e-4, 1e4


def state_entropies(mdp: TabularMDP, log_policy: ArrayLike) -> Floats:
    """The entropy of a policy's actions at every state, (S,), in nats; ``log_policy`` (N,)."""
    return state_sum(mdp, special.entr(np.exp(np.asarray(log_policy, dtype=np.float64))))


def optimal_entropy(mdp: TabularMDP, tau: float, weights: ArrayLike | None = None) -> float:
    """The entropy of the optimal policy at the temperature ``tau``, averaged over states with ``weights`` (S,).

    Without weights, over its normalised discounted visits from the model's start law.
    """
    best = soft_policy_iteration(mdp, tau, tol=1e-13)  # or as near as rounding allows: cold policies magnify the error
    law = discounted_occupancy(mdp, best.policy).state if weights is None else np.asarray(weights, dtype=np.float64)
    return float(law @ state_entropies(mdp, best.log_policy))


def target_temperature(mdp: TabularMDP, entropy: float, weights: ArrayLike | None = None, *, rtol: float = 1e-10) -> float:
    """A temperature at which :func:`optimal_entropy` equals ``entropy`` (nats), within a relative ``rtol``.

    Without ``weights`` it is unique; with them, one of several, perhaps. Raises :class:`InputError` if the entropies at the
    temperatures 1e-4 and 1e4 do not lie on both sides of ``entropy``.
    """
    low, high = (optimal_entropy(mdp, tau, weights) for tau in (COLDEST, HOTTEST))
    if not low < entropy < high:
        raise InputError(
            f"an entropy of {entropy:g} is not between {low:g} and {high:g}, those at the ends of the temperatures."
        )
    root = optimize.brentq(
        lambda log: optimal_entropy(mdp, math.exp(log), weights) - entropy,
        math.log(COLDEST),
        math.log(HOTTEST),
        xtol=rtol,
        rtol=rtol,
    )
    return math.exp(root)
