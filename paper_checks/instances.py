"""Instances and reference answers that several papers share: the real models, structured and random ones, their optima."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models import (
    TabularMDP,
    chain,
    cliff_walking,
    combination_lock,
    deep_sea,
    delayed_reward_chain,
    dirichlet_mdp,
    frozen_lake,
    garnet,
    grid_world,
    inventory,
    prism_model,
    queue_admission,
    river_swim,
    taxi,
    tied_optima,
)
from mdplab.solvers import Solution, policy_iteration, softmax_policy
from mdplab.solvers.bounds import UNIT_ROUNDOFF, row_facts
from theory.claims import Sweep, by_profile

Floats = NDArray[np.float64]
TOLERANCE = 1e-8  # of the optima asked for; policy iteration mostly ends far below it, at the rounding of one sweep
LARGE = 100  # states from which on an optimum is worth remembering
_optima: dict[str, Solution] = {}


def gym_models(gamma: Any = 0.99) -> Sweep:
    """FrozenLake 4x4 and 8x8, Taxi and CliffWalking, from Gymnasium's own tables."""
    lakes = frozen_lake.sweep(map_name=("4x4", "8x8"), gamma=gamma)
    return lakes | taxi.sweep(gamma=gamma) | cliff_walking.sweep(gamma=gamma)


def prism_models(gamma: Any = 0.99) -> Sweep:
    """The PRISM programs, built by Storm; skipped where stormpy is missing."""
    return prism_model.sweep(name=("coin", "zeroconf", "scheduler", "robot"), gamma=gamma)


def real_models(gamma: Any = 0.99) -> Sweep:
    """Gymnasium's tables and the PRISM programs."""
    return gym_models(gamma) | prism_models(gamma)


def small_real_models(gamma: Any = 0.99) -> Sweep:
    """The real models of less than a hundred states."""
    lakes = frozen_lake.sweep(map_name=("4x4", "8x8"), gamma=gamma)
    return lakes | cliff_walking.sweep(gamma=gamma) | prism_model.sweep(name=("zeroconf", "scheduler"), gamma=gamma)


def structured_models() -> Sweep:
    """Chains, locks, seas, grids, stock and queue: models in which what is far away matters."""
    return (
        river_swim.sweep(S=6, gamma=(0.5, 0.95))
        | chain.sweep(S=6, slip=(0.0, 0.2))
        | delayed_reward_chain.sweep(S=6)
        | deep_sea.sweep(N=5, seed=0)
        | combination_lock.sweep(A=3, H=4, seed=0)
        | grid_world.sweep(slip=(0.0, 0.2))
        | inventory.sweep(capacity=8, most=4)
        | queue_admission.sweep(capacity=8)
    )


def random_models(draws: Any = by_profile(quick=2, full=30)) -> Sweep:
    """Sparse, ragged, dense, nearly deterministic and tied random models of up to 20 states."""
    return (
        garnet.sweep(S=(3, 20), A=3, b=2, gamma=(0.5, 0.95), draws=draws)
        | garnet.sweep(S=8, A=4, b=2, ragged=True, rewards="normal", draws=draws)
        | dirichlet_mdp.sweep(S=5, A=2, concentration=(0.05, 1.0), draws=draws)
        | tied_optima.sweep(S=4, A=3, draws=draws)
    )


@functools.lru_cache(maxsize=4)  # a claim and its controls ask for the same model
def optimum(mdp: TabularMDP) -> Solution:
    """V* with its bracket; those of large models are remembered by the key that rebuilds them."""
    if mdp.states < LARGE or mdp.key is None:
        return policy_iteration(mdp, certifiable(mdp))
    if mdp.key not in _optima:
        _optima[mdp.key] = policy_iteration(mdp, certifiable(mdp))
    return _optima[mdp.key]


def certifiable(mdp: TabularMDP) -> float:
    """TOLERANCE, or where float64 cannot certify it several times what it can: the rounding of a sweep over 1 - gamma."""
    horizon = 1 / (1 - mdp.gamma)
    return max(TOLERANCE, 16 * sweep_rounding(mdp, [row_facts(mdp).reward * horizon]) * horizon)


def sweep_rounding(mdp: TabularMDP, *values: ArrayLike) -> float:
    """How far a computed TV, T_pi V or R + gamma PV may be from the true one, for the largest of ``values``."""
    facts = row_facts(mdp)
    size = max(float(np.abs(v).max()) for v in values)
    # (terms + 4) roundings in R + gamma PV, as many as a state has actions (at most) in averaging them over a policy
    return (facts.terms + mdp.max_actions + 6) * UNIT_ROUNDOFF * (facts.reward + (1 + mdp.gamma) * (1 + facts.defect) * size)


def random_policy(mdp: TabularMDP, rng: np.random.Generator, sharpness: float = 2.0) -> Floats:
    """A softmax policy of normal logits, float64[N]; every action has a chance."""
    return softmax_policy(mdp, sharpness * rng.standard_normal(mdp.pairs))


def random_value(mdp: TabularMDP, rng: np.random.Generator) -> Floats:
    """A vector of the size that values have, float64[S]."""
    return rng.standard_normal(mdp.states) * max(float(np.abs(mdp.reward).max()), 1.0)
