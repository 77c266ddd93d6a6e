r"""First-order methods for constrained MDPs, from exact values: natural policy gradient primal-dual, and dual descent.

For max J_r subject to J_c <= d, with Lagrangian rewards r - lambda . c and their advantages A_lambda,

    NPG primal-dual    pi_{t+1} ~ pi_t exp(eta_1 A_lambda_t / (1 - gamma)),    lambda_{t+1} = clip(lambda_t + eta_2 (J_c(pi_t) - d), 0, cap)
        (Ding, Zhang, Basar and Jovanovic 2020)
    dual descent       pi_t a best response to lambda_t,                       lambda_{t+1} = [lambda_t + eta (J_c(pi_t) - d)]_+
        (Arrow, Hurwicz and Uzawa 1958; averages of primal iterates: Nedic and Ozdaglar 2009)

Neither converges in its last iterate in general: multipliers circle round the optimal ones, and best responses are deterministic
where the optimum is not. What converges is the average of the returns, which belongs to the mixture that draws one of the iterates
at the start. Rates stand in :mod:`theory.bounds.primal_dual`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mdplab.models import ModelError, TabularMDP
from mdplab.models.constrained import ConstrainedMDP
from mdplab.solvers.constrained import dual_function
from mdplab.solvers.evaluation import discount_below_one, transitions
from mdplab.solvers.policy import Floats, log_normalise, state_sum
from mdplab.solvers.policy_gradient import check_step
from mdplab.solvers.soft import log_probabilities
from theory.errors import InputError


@dataclass(frozen=True, eq=False)
class PrimalDualTrajectory:
    """T iterates: policies, their returns from the start distribution, and the multipliers under which they were found.

    ``policies`` float64[T, N] (probabilities) or int64[T, S] (pairs, best responses), ``rewards`` J_r float64[T], ``costs`` J_c
    float64[T, m], ``multipliers`` float64[T, m].
    """

    policies: np.ndarray
    rewards: Floats
    costs: Floats
    multipliers: Floats

    @property
    def average_rewards(self) -> Floats:
        """The mean of J_r over the first t iterates, float64[T]."""
        return np.cumsum(self.rewards) / np.arange(1, self.rewards.size + 1)

    @property
    def average_costs(self) -> Floats:
        """The means of J_c over the first t iterates, float64[T, m]."""
        return np.cumsum(self.costs, axis=0) / np.arange(1, self.rewards.size + 1)[:, None]


def npg_primal_dual(
    cmdp: ConstrainedMDP,
    policy_step: float,
    multiplier_step: float,
    iterations: int,
    *,
    cap: float,
    start: ArrayLike | None = None,
    multipliers: ArrayLike | None = None,
) -> PrimalDualTrajectory:
    """T = ``iterations`` iterates of natural policy gradient primal-dual on a discounted model.

    ``policy_step`` eta_1 > 0, ``multiplier_step`` eta_2 >= 0 (0 keeps the multipliers as they are), ``cap`` >= 0 bounds each
    multiplier. ``start`` is the first policy, uniform unless given; ``multipliers`` are the first ones, 0 unless given.
    Raises :class:`ModelError` for an episodic model or gamma = 1, :class:`InputError` for a number out of range.
    """
    mdp = _discounted(cmdp)
    gamma = discount_below_one(mdp)
    step = check_step(policy_step) / (1 - gamma)
    _require(iterations, multiplier_step)
    if not cap >= 0:
        raise InputError(f"the cap of the multipliers is {cap}; it must not be negative.")
    kernel, state, rho = transitions(mdp), mdp.pair_state, mdp.start_distribution
    rows = np.vstack([mdp.reward, cmdp.cost])
    log_policy = log_normalise(mdp, log_probabilities(mdp, start, log=False))
    current = _multipliers(cmdp, multipliers)
    policies = np.empty((iterations, mdp.pairs))
    returns = np.empty((iterations, 1 + cmdp.constraints))
    path = np.empty((iterations, cmdp.constraints))
    for t in range(iterations):
        probabilities = np.exp(log_policy)
        right = state_sum(mdp, probabilities * rows).T
        if kernel.dense:
            values = kernel.solve(probabilities, right, gamma)
        else:
            values = np.column_stack([kernel.solve(probabilities, column, gamma) for column in right.T])
        policies[t], returns[t], path[t] = probabilities, rho @ values, current
        signs = np.append(1.0, -current)
        value = values @ signs
        advantage = signs @ rows + gamma * (kernel.matrix @ value) - value[state]
        log_policy = log_normalise(mdp, log_policy + step * advantage)
        current = np.clip(current + multiplier_step * (returns[t, 1:] - cmdp.threshold), 0.0, cap)
    return PrimalDualTrajectory(policies, returns[:, 0], returns[:, 1:], path)


def dual_descent(
    cmdp: ConstrainedMDP, step: float, iterations: int, *, multipliers: ArrayLike | None = None, tol: float = 1e-9
) -> PrimalDualTrajectory:
    """T = ``iterations`` steps of projected subgradient descent on the dual function, with its best responses.

    ``step`` eta > 0; ``multipliers`` are the first ones, 0 unless given. The best responses are found to ``tol``, as
    :func:`~mdplab.solvers.constrained.dual_function` finds them. For discounted and episodic models; policies of the latter are
    actions int64[T, H, S]. Raises :class:`InputError` for a number out of range.
    """
    check_step(step)
    _require(iterations, step)
    current = _multipliers(cmdp, multipliers)
    policies, rewards, costs, path = [], [], [], []
    for _ in range(iterations):
        point = dual_function(cmdp, current, tol)
        policies.append(point.policy)
        rewards.append(point.value)
        costs.append(point.costs)
        path.append(current)
        current = np.maximum(current - step * point.subgradient, 0.0)
    return PrimalDualTrajectory(np.array(policies), np.array(rewards), np.array(costs), np.array(path))


def _discounted(cmdp: ConstrainedMDP) -> TabularMDP:
    if not isinstance(cmdp.mdp, TabularMDP):
        raise ModelError("natural policy gradient primal-dual needs a discounted model, and this one is episodic.")
    return cmdp.mdp


def _require(iterations: int, step: float) -> None:
    if iterations < 1:
        raise InputError(f"the number of iterations is {iterations}; it must be 1 or more.")
    if not (np.isfinite(step) and step >= 0):
        raise InputError(f"the step of the multipliers is {step}; it must be finite and not negative.")


def _multipliers(cmdp: ConstrainedMDP, given: ArrayLike | None) -> Floats:
    first = np.zeros(cmdp.constraints) if given is None else np.atleast_1d(np.asarray(given, dtype=np.float64))
    if first.shape != (cmdp.constraints,) or not (np.isfinite(first) & (first >= 0)).all():
        raise InputError(f"the first multipliers are {cmdp.constraints} finite numbers, 0 or more, not {first.tolist()}.")
    return first
