r"""Logit equilibria of Markov games.

At the inverse temperature :math:`\lambda` player i, whose opponents keep to their policies, solves the entropy-regularised problem
of its marginal model (:func:`games.markov.marginal_mdp`),

.. math:: \bar Q_i = \bar r_i + \gamma \bar P_i V_i, \qquad
          V_i(s) = \tfrac{1}{\lambda} \ln \sum_a e^{\lambda \bar Q_i(s, a)}, \qquad
          \pi_i(a \mid s) = e^{\lambda (\bar Q_i(s, a) - V_i(s))},

which is the soft optimum of :mod:`mdplab.solvers.soft` at the temperature :math:`1/\lambda`. In a *logit equilibrium* all players
do so at once: the quantal response equilibrium of McKelvey and Palfrey (1995), with the soft values of a Markov game. One exists
for every :math:`\lambda > 0`; it is unique if :math:`\lambda` is small.

What is out of its stated range raises :class:`~theory.errors.InputError`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from games.markov import MarkovGame, Profile, as_profile, marginal_mdp, marginal_model
from games.prox import normalise
from mdplab.solvers.soft import SoftSolution, soft_policy_iteration
from theory.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LogitEquilibrium:
    """A profile, shape (S, K_i) for each player, and how far it is from a logit equilibrium.

    ``responses`` are the players' certified soft optima against it. ``residual`` is an upper bound on the largest change of a
    probability from the profile to these responses, the solver's error included: 0 exactly at an equilibrium.
    """

    profile: tuple[Array, ...]
    responses: tuple[SoftSolution, ...]
    residual: float
    iterations: int
    converged: bool


def require_inverse_temperature(value: float) -> float:
    """``value`` as a float if it is positive and finite, else :class:`InputError`."""
    number = float(value)
    if not 0 < number < np.inf:
        raise InputError(f"the inverse temperature is positive and finite, not {value}.")
    return number


def soft_response(game: MarkovGame, player: int, profile: Profile, inverse_temperature: float) -> SoftSolution:
    """The soft optimum of ``player`` against ``profile``, whose entry for the player itself is not used."""
    tau = 1 / require_inverse_temperature(inverse_temperature)
    return soft_policy_iteration(marginal_mdp(game, player, profile), tau, tol=1e-13)  # as well as rounding lets it


def logit_equilibrium(
    game: MarkovGame,
    inverse_temperature: float,
    *,
    damping: float = 0.5,
    tol: float = 1e-12,
    max_iterations: int = 10_000,
    initial: Profile | None = None,
) -> LogitEquilibrium:
    r"""Damped soft policy iteration of all players at once, from ``initial`` (uniform).

    In every round player i evaluates its policy in the marginal model, with the entropy, and moves the share ``damping`` in
    (0, 1] of the way to :math:`\exp(\lambda \bar Q_i) / Z`. A fixed point is a logit equilibrium, as soft policy iteration stops
    only at soft optima. The rounds end when no probability would move by more than ``tol``. At a large inverse temperature the
    map need not contract: damp more, and look at the ``residual``.
    """
    rate = require_inverse_temperature(inverse_temperature)
    if not 0 < damping <= 1:
        raise InputError(f"the damping is the share of the way in (0, 1], not {damping}.")
    if not 0 <= tol < np.inf:
        raise InputError(f"the tolerance is at least 0 and finite, not {tol}.")
    if initial is None:
        initial = [np.full((game.states, k), 1 / k) for k in game.actions]
    policies = as_profile(game, initial)
    iterations, moved = 0, np.inf
    while moved > tol and iterations < max_iterations:
        iterations += 1
        targets = [_soft_improvement(game, player, policies, rate) for player in range(game.players)]
        moved = max(float(np.abs(target - policy).max()) for target, policy in zip(targets, policies))
        policies = [policy + damping * (target - policy) for target, policy in zip(targets, policies)]
    responses = tuple(soft_response(game, player, policies, rate) for player in range(game.players))
    # a bound on |log pi - log pi*| bounds |pi - pi*| / pi, hence the probability's error itself
    residual = max(
        float(np.abs(best.policy.reshape(policy.shape) - policy).max()) + float(np.expm1(best.log_policy_error))
        for best, policy in zip(responses, policies)
    )
    return LogitEquilibrium(tuple(policies), responses, residual, iterations, moved <= tol)


def _soft_improvement(game: MarkovGame, player: int, policies: list[Array], rate: float) -> Array:
    """The softmax of the soft Q of the player's present policy, shape (S, K_i)."""
    reward, transition = marginal_model(game, player, policies)
    own = policies[player]
    # an action whose probability has underflown contributes no entropy
    entropy = -(own * np.log(np.where(own > 0, own, 1.0))).sum(axis=1)
    chain = np.einsum("sa,sat->st", own, transition)
    value = np.linalg.solve(np.eye(game.states) - game.gamma * chain, (own * reward).sum(axis=1) + entropy / rate)
    return np.exp(normalise(rate * (reward + game.gamma * transition @ value)))
