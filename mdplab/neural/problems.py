"""Models of the other rooms as arrays of JAX, stacked so that every run has an instance of its own.

The models are checked where they are made (:class:`mdplab.models.TabularMDP` and its like); what stands here only lays them out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from mdplab.models import TabularMDP
from theory.errors import InputError

Array = NDArray[np.float64]


class TabularProblem(eqx.Module):
    """A discounted MDP as dense arrays in float64; a stack of them has a leading axis of runs in every field.

    ``transition`` (S, A, S), ``reward`` (S, A), ``start`` (S,) the start law, ``gamma`` (), ``features`` (S, d): what a network
    sees of a state.
    """

    transition: Any
    reward: Any
    start: Any
    gamma: Any
    features: Any


def stack_tabular(mdps: Sequence[TabularMDP], features: Sequence[Array] | None = None) -> TabularProblem:
    """The problems of ``mdps``, stacked; without ``features`` a network sees the state one-hot.

    Raises :class:`InputError` for models of different sizes, :class:`~mdplab.models.ModelError` for a ragged one.
    """
    if not mdps:
        raise InputError("a stack of problems has at least one model.")
    models = [mdp.dense() for mdp in mdps]
    if len({kernel.shape for kernel, _ in models}) > 1:
        raise InputError("the models of a stack have the same number of states and of actions.")
    S = models[0][0].shape[0]
    seen = [np.eye(S)] * len(mdps) if features is None else [np.asarray(f, dtype=float) for f in features]
    if len(seen) != len(mdps) or len({f.shape for f in seen}) > 1 or seen[0].ndim != 2 or seen[0].shape[0] != S:
        raise InputError(f"a stack of {len(mdps)} models of {S} states needs as many arrays of features, of one shape (S, d).")
    return TabularProblem(
        transition=np.stack([kernel for kernel, _ in models]),
        reward=np.stack([reward for _, reward in models]),
        start=np.stack([mdp.start_distribution for mdp in mdps]),
        gamma=np.array([mdp.gamma for mdp in mdps]),
        features=np.stack(seen),
    )


def soft_policy_value(problem: TabularProblem, log_policy: jax.Array, temperature: jax.Array | float) -> jax.Array:
    r"""The entropy-regularised value of a policy at every state, (S,), by a linear solve.

    :math:`V = (I - \gamma P_\pi)^{-1} (r_\pi + \alpha H(\pi))` with :math:`\alpha` = ``temperature`` (0: the plain value), for
    ``log_policy`` (S, A). The float64 twin of :func:`mdplab.solvers.soft_evaluate`.
    """
    log_policy = log_policy.astype(jnp.float64)
    p = jnp.exp(log_policy)
    charge = jnp.where(p > 0, p * log_policy, 0.0).sum(axis=1)
    rewards = (p * problem.reward).sum(axis=1) - temperature * charge
    chain = jnp.einsum("sa,sat->st", p, problem.transition)
    return jnp.linalg.solve(jnp.eye(p.shape[0]) - problem.gamma * chain, rewards)


def backup(problem: TabularProblem, value: jax.Array) -> jax.Array:
    r"""Q (S, A) from V (S,): :math:`r + \gamma P V`."""
    return problem.reward + problem.gamma * problem.transition @ value


def state_visits(problem: TabularProblem, log_policy: jax.Array) -> jax.Array:
    r"""The normalised discounted law of states, (S,): :math:`d = (1-\gamma)\, \rho (I - \gamma P_\pi)^{-1}`, by a linear solve."""
    chain = jnp.einsum("sa,sat->st", jnp.exp(log_policy.astype(jnp.float64)), problem.transition)
    return (1 - problem.gamma) * jnp.linalg.solve((jnp.eye(chain.shape[0]) - problem.gamma * chain).T, problem.start)
