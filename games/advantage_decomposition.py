r"""The advantage of a joint action, taken apart agent by agent, and the policies that are made of the parts.

A behaviour law :math:`\mu(a \mid s)` of the joint action :math:`a = (a_1, \dots, a_n)`, which may be correlated, and joint values
Q(s, a) give

.. math:: Q_m(s, a_{1..m}) = \mathbb{E}_\mu[Q(s, a) \mid a_1, \dots, a_m], \qquad
          A_i(s, a_{1..i}) = Q_i(s, a_{1..i}) - Q_{i-1}(s, a_{1..i-1}),

with :math:`Q_0 = V` and :math:`Q_n = Q`. The sum of the A_i telescopes to :math:`A = Q - V`, and
:math:`\mathbb{E}_\mu[A_i \mid a_{1..i-1}] = 0`. Advantage-weighted regression tilts the behaviour by one of them: jointly, or one
agent after the other,

.. math:: \pi_J(a) \propto \mu(a)\, e^{A(a)/\beta}, \qquad
          \pi_S(a) = \prod_i \frac{\mu(a_i \mid a_{<i})\, e^{A_i(a_{1..i})/\beta}}{Z_i(a_{<i})}.

Kuba, Chen, Wen, Wen, Sun, Wang and Yang (2022), arXiv 2109.11251, for the decomposition; Zhang, Yang, Bai, Wu, Li, Wang and Li
(2024), arXiv 2405.14314, for the regression.

Arrays: Q, mu and joint policies have shape (S, K_1, ..., K_n); the agents come in the order of the axes, so that another order
is a transposition. mu is positive, sums to 1 in each state, and beta > 0. What is out of its stated range raises
:class:`~theory.errors.InputError`.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.divergences import NORMALISATION
from theory.errors import InputError
from theory.tilts import log_tilt

Array = NDArray[np.float64]


def conditionals(mu: ArrayLike) -> list[Array]:
    r"""Each agent's law given those before it, :math:`\mu(a_i \mid s, a_{<i})`: arrays of shape (S, K_1, ..., K_i)."""
    return _conditionals(_behaviour(mu))


def prefix_values(Q: ArrayLike, mu: ArrayLike) -> list[Array]:
    """Q_0, ..., Q_n: the expected Q once m agents have chosen and the others follow mu; shapes (S,), (S, K_1), and so on."""
    behaviour, values = _checked(Q, mu)
    return _prefix_values(values, _conditionals(behaviour))


def sequential_advantages(Q: ArrayLike, mu: ArrayLike) -> list[Array]:
    """A_1, ..., A_n: what each agent's choice adds to the prefix before it; arrays of shape (S, K_1, ..., K_i)."""
    values = prefix_values(Q, mu)
    return [after - before[..., None] for before, after in itertools.pairwise(values)]


def marginal_advantages(Q: ArrayLike, mu: ArrayLike) -> list[Array]:
    r"""What each agent's choice adds on its own, :math:`\mathbb{E}_\mu[A \mid a_i]`: arrays of shape (S, K_i).

    They do not look at what the others chose, and do not add up to A.
    """
    behaviour, values = _checked(Q, mu)
    mean = (behaviour * values).reshape(values.shape[0], -1).sum(axis=1)
    advantages = []
    for agent in range(1, values.ndim):
        others = tuple(axis for axis in range(1, values.ndim) if axis != agent)
        advantages.append((behaviour * values).sum(axis=others) / behaviour.sum(axis=others) - mean[:, None])
    return advantages


def joint_awr(Q: ArrayLike, mu: ArrayLike, beta: float) -> Array:
    r"""The joint policy :math:`\pi_J \propto \mu \exp(A/\beta)`, shape (S, K_1, ..., K_n).

    It maximises :math:`\mathbb{E}_\pi A - \beta\,\mathrm{KL}(\pi \| \mu)` in every state, and is the only one to do so.
    """
    behaviour, values = _checked(Q, mu)
    flat = (values.shape[0], -1)
    tilted = log_tilt(np.log(behaviour).reshape(flat), values.reshape(flat), beta)
    return np.asarray(np.exp(tilted).reshape(values.shape))


def sequential_awr(Q: ArrayLike, mu: ArrayLike, beta: float) -> Array:
    r"""One agent after the other tilts by its own sequential advantage: :math:`\pi_S`, shape (S, K_1, ..., K_n)."""
    laws = conditionals(mu)
    policy = np.ones(laws[0].shape[:1])
    for law, advantage in zip(laws, sequential_advantages(Q, mu)):
        policy = policy[..., None] * np.exp(log_tilt(np.log(law), advantage, beta))
    return policy


def simultaneous_awr(Q: ArrayLike, mu: ArrayLike, beta: float) -> Array:
    r"""Every agent tilts by :func:`marginal_advantages` without regard to the others, shape (S, K_1, ..., K_n).

    :math:`\prod_i \mu_i(a_i) \exp(\mathbb{E}_\mu[A \mid a_i]/\beta)/Z_i` with the marginals of mu. Unlike the other two it may do
    worse than mu.
    """
    behaviour, _ = _checked(Q, mu)
    policy = np.ones((behaviour.shape[0], *(1,) * (behaviour.ndim - 1)))
    for agent, advantage in enumerate(marginal_advantages(Q, mu), start=1):
        others = tuple(axis for axis in range(1, behaviour.ndim) if axis != agent)
        tilted = np.exp(log_tilt(np.log(behaviour.sum(axis=others)), advantage, beta))
        policy = policy * np.expand_dims(tilted, others)
    return policy


def greedy_refinement(Q: ArrayLike, mu: ArrayLike) -> tuple[NDArray[np.int64], Array]:
    r"""One agent after the other takes the action of largest A_i: the joint actions, int (S, n), and A at them, shape (S,).

    The limit of :func:`sequential_awr` for beta -> 0 where no two actions tie; the first action is taken where they do.
    """
    advantages = sequential_advantages(Q, mu)
    states = np.arange(advantages[0].shape[0])
    chosen: list[NDArray[np.int64]] = []
    total = np.zeros(states.size)
    for advantage in advantages:
        here = advantage[(states, *chosen)]
        chosen.append(here.argmax(axis=1))
        total += here.max(axis=1)
    return np.stack(chosen, axis=1), total


def _conditionals(behaviour: Array) -> list[Array]:
    laws, prefix = [], behaviour
    for _ in range(behaviour.ndim - 1):
        shorter = prefix.sum(axis=-1)
        laws.append(prefix / shorter[..., None])
        prefix = shorter
    return laws[::-1]


def _prefix_values(values: Array, laws: list[Array]) -> list[Array]:
    found = [values]
    for law in reversed(laws):
        found.append((law * found[-1]).sum(axis=-1))
    return found[::-1]


def _behaviour(mu: ArrayLike) -> Array:
    behaviour = np.asarray(mu, dtype=float)
    if behaviour.ndim < 2 or behaviour.size == 0:
        raise InputError(f"a behaviour law has shape (S, K_1, ..., K_n), not {behaviour.shape}.")
    bad = ~((behaviour > 0) & np.isfinite(behaviour))
    if bad.any():
        state, *joint = (int(k) for k in np.argwhere(bad)[0])
        raise InputError(
            f"the behaviour law gives the joint action {tuple(joint)} in state {state} the probability "
            f"{behaviour[(state, *joint)]}; it must be positive."
        )
    sums = behaviour.reshape(behaviour.shape[0], -1).sum(axis=1)
    state = int(np.abs(sums - 1).argmax())
    if abs(sums[state] - 1) > NORMALISATION:
        raise InputError(f"the behaviour law sums to {sums[state]:.12g} in state {state}, not to 1.")
    return behaviour


def _checked(Q: ArrayLike, mu: ArrayLike) -> tuple[Array, Array]:
    behaviour, values = _behaviour(mu), np.asarray(Q, dtype=float)
    if values.shape != behaviour.shape:
        raise InputError(f"the joint values have shape {values.shape}, the behaviour law {behaviour.shape}.")
    if not np.isfinite(values).all():
        state, *joint = (int(k) for k in np.argwhere(~np.isfinite(values))[0])
        raise InputError(
            f"the value of the joint action {tuple(joint)} in state {state} is {values[(state, *joint)]}, which is not finite."
        )
    return behaviour, values
