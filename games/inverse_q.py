r"""Inverse soft Q-learning with exact expectations: rewards and policies from an expert's demonstrations.

A policy :math:`\pi_E` that is soft-optimal at the inverse temperature :math:`\lambda` was made by values
:math:`Q = \tfrac{1}{\lambda} \ln \pi_E + V`, where demonstrations leave V(s) open. Any Q is the soft optimum of exactly one reward,

.. math:: r = Q - \gamma P V, \qquad V(s) = \tfrac{1}{\lambda} \ln \sum_a e^{\lambda Q(s, a)},

the inverse soft Bellman operator of Garg, Chakraborty, Cundy, Song and Ermon (2021), arXiv 2106.12142. Their objective, with the
expert's normalised occupancy d from the start distribution :math:`\rho` and the chi-square regulariser, is

.. math:: F_\alpha(Q) = \mathbb{E}_d\bigl[x - \alpha x^2\bigr] - (1 - \gamma)\, \mathbb{E}_\rho V, \qquad x = Q - \gamma P V.

What is out of its stated range raises :class:`~theory.errors.InputError`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from games.logit_equilibrium import require_inverse_temperature
from games.newton import damped_newton
from mdplab.models import TabularMDP
from mdplab.solvers.occupancy import discounted_occupancy
from mdplab.solvers.policy import log_normalise, log_sum_exp
from mdplab.solvers.soft import log_probabilities
from theory.errors import InputError

Array = NDArray[np.float64]

GROWTH = 1.5  # by this factor alpha rises to its target where Newton's method fails from the expert's own values
EASY = 1e-3  # an alpha at which it does not


@dataclass(frozen=True, eq=False)
class InverseQOptimum:
    """A stationary point ``q`` (N,) of the objective at ``alpha``, its ``log_policy`` (N,), and its recovered ``reward`` (N,).

    ``gradient`` is the largest entry of the gradient there, and ``curvature`` the largest eigenvalue of the Hessian: a strict local
    maximum if that is negative.
    """

    q: Array
    log_policy: Array
    reward: Array
    alpha: float
    gradient: float
    curvature: float


def inverse_soft_bellman(mdp: TabularMDP, q: ArrayLike, inverse_temperature: float) -> Array:
    r"""The reward whose soft-optimal values are ``q``: :math:`Q - \gamma P V`, shape (N,), V the log-sum-exp of Q.

    ``q`` has shape (N,) or (S, A) and is finite; of ``mdp`` the transitions and the discount are used, not the reward.
    """
    rate = require_inverse_temperature(inverse_temperature)
    values = _values(mdp, q)
    return np.asarray(values - mdp.gamma * (mdp.transition_matrix() @ (log_sum_exp(mdp, rate * values) / rate)))


def demonstrated_values(mdp: TabularMDP, policy: ArrayLike, value: ArrayLike, inverse_temperature: float) -> Array:
    r"""The soft values :math:`\tfrac{1}{\lambda} \ln \pi(a \mid s) + V(s)`, shape (N,): those with this softmax and log-sum-exp.

    ``policy``, in any form, is positive; ``value``, shape (S,), is free: it is what demonstrations do not tell.
    """
    rate = require_inverse_temperature(inverse_temperature)
    log_policy = _log_positive(mdp, policy)
    level = np.asarray(value, dtype=float)
    if level.shape != (mdp.states,) or not np.isfinite(level).all():
        raise InputError(
            f"values of this model are {mdp.states} finite numbers; the array given has shape {level.shape} or is not finite."
        )
    return np.asarray(log_policy / rate + level[mdp.pair_state])


def inverse_q_objective(
    mdp: TabularMDP,
    policy: ArrayLike,
    q: ArrayLike,
    inverse_temperature: float,
    alpha: float = 0.0,
    *,
    start: ArrayLike | None = None,
) -> float:
    r""":math:`F_\alpha(Q)` for the expert ``policy``, whose occupancy begins in ``start`` (S,), the model's own unless given.

    The expectation over :math:`\rho` is always one over the model's start distribution.
    """
    rate = require_inverse_temperature(inverse_temperature)
    values = _values(mdp, q)
    d = discounted_occupancy(mdp, policy, start=start).pair
    x = inverse_soft_bellman(mdp, values, rate)
    value = log_sum_exp(mdp, rate * values) / rate
    return float(d @ (x - require_penalty(alpha) * x**2) - (1 - mdp.gamma) * (mdp.start_distribution @ value))


def expert_values(mdp: TabularMDP, policy: ArrayLike, inverse_temperature: float) -> tuple[Array, float]:
    r"""Of all :func:`demonstrated_values` those with the least :math:`m = \mathbb{E}_d\, x^2`, shape (N,), and m.

    They maximise the objective without regulariser, and are the limit of its maximisers as alpha -> 0. A weighted least-squares
    problem in V: x is linear in it. The expert must visit every state.
    """
    flat = demonstrated_values(mdp, policy, np.zeros(mdp.states), inverse_temperature)
    d = discounted_occupancy(mdp, policy).pair
    if not (d > 0).all():
        pair = int(np.argmin(d))
        raise InputError(f"the expert never visits pair {pair} of state {mdp.pair_state[pair]}, which leaves its values open.")
    weights = np.sqrt(d)
    effect = np.eye(mdp.states)[mdp.pair_state] - mdp.gamma * mdp.transition_matrix().toarray()
    value = np.linalg.lstsq(weights[:, None] * effect, -weights * flat, rcond=None)[0]
    return flat + value[mdp.pair_state], float(d @ (flat + effect @ value) ** 2)


def inverse_q_optimum(mdp: TabularMDP, policy: ArrayLike, inverse_temperature: float, alpha: float) -> InverseQOptimum:
    r"""The stationary point of :math:`F_\alpha` that Newton's method finds from the expert's own values, if need be along alpha.

    ``policy``, in any form, is positive; ``alpha`` >= 0, and at 0 the result is :func:`expert_values`. With D the diagonal matrix of
    d, :math:`\Pi` the mean over the policy of Q and :math:`C = \lambda (\mathrm{diag}\,\pi - \pi \pi^\top)` in each state, the gradient is

    .. math:: d - \Pi^\top d_S - 2 \alpha B^\top D x, \qquad B = I - \gamma P \Pi,

    and the Hessian :math:`-d_S C - 2 \alpha B^\top D B + 2 \alpha \gamma\, c\, C` with c(s) the sum of d x P(s | .). Raises
    ArithmeticError if Newton's method loses the path.
    """
    rate = require_inverse_temperature(inverse_temperature)
    target = require_penalty(alpha)
    expert = discounted_occupancy(mdp, policy)
    start, _ = expert_values(mdp, policy, rate)
    kernel = mdp.transition_matrix().toarray()
    states = np.eye(mdp.states)[mdp.pair_state]  # (N, S): the state of each pair
    d = expert.pair

    def gradient(q: Array, now: float) -> tuple[Array, Array, Array, Array]:
        law = np.exp(log_normalise(mdp, rate * q))
        mean = states.T * law  # (S, N)
        x = q - mdp.gamma * kernel @ (log_sum_exp(mdp, rate * q) / rate)
        B = np.eye(mdp.pairs) - mdp.gamma * kernel @ mean
        return d - law * expert.state[mdp.pair_state] - 2 * now * (B.T @ (d * x)), law, x, B

    def hessian(law: Array, x: Array, B: Array, now: float) -> Array:
        same = states @ states.T
        C = rate * (np.diag(law) - same * np.outer(law, law))
        bent = expert.state - 2 * now * mdp.gamma * (kernel.T @ (d * x))
        return -bent[mdp.pair_state][:, None] * C - 2 * now * (B.T * d) @ B

    def newton(now: float, begin: Array) -> tuple[Array, bool]:
        def residual(q: Array) -> tuple[Array, float, tuple[Array, Array, Array]]:
            g, *state = gradient(q, now)
            return g, float(np.abs(g).max()), (state[0], state[1], state[2])

        found, done, _ = damped_newton(
            residual, lambda s, g: np.asarray(np.linalg.solve(hessian(*s, now), g), dtype=float), begin, 1e-13
        )
        return found, done

    q, done = (start, True) if target == 0 else newton(target, start)
    if not done:
        now, q = 0.0, start
        while now < target:
            following = min(target, max(EASY, GROWTH * now))
            q, done = newton(following, q)
            if not done:
                raise ArithmeticError(f"the optimum of inverse Q-learning could not be followed beyond alpha = {now:g}.")
            now = following
    g, law, x, B = gradient(q, target)
    curvature = float(np.linalg.eigvalsh(hessian(law, x, B, target)).max())
    return InverseQOptimum(q, log_normalise(mdp, rate * q), x, target, float(np.abs(g).max()), curvature)


def require_penalty(alpha: float) -> float:
    """``alpha`` as a float if it is at least 0 and finite, else :class:`InputError`."""
    number = float(alpha)
    if not 0 <= number < np.inf:
        raise InputError(f"the weight alpha of the chi-square regulariser is at least 0 and finite, not {alpha}.")
    return number


def _values(mdp: TabularMDP, q: ArrayLike) -> Array:
    values = np.asarray(q, dtype=float).reshape(-1)
    if values.shape != (mdp.pairs,) or not np.isfinite(values).all():
        raise InputError(
            f"soft values of this model are {mdp.pairs} finite numbers; the array given has shape {np.shape(q)} or is not finite."
        )
    return values


def _log_positive(mdp: TabularMDP, policy: ArrayLike) -> Array:
    log_policy = log_probabilities(mdp, policy)
    if not np.isfinite(log_policy).all():
        pair = int(np.argmin(log_policy))
        raise InputError(f"the policy never takes pair {pair} of state {mdp.pair_state[pair]}; soft policies are positive.")
    return log_policy
