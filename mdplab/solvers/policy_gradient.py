"""Exact policy-gradient trajectories: natural policy gradient and policy mirror descent on a known model.

With softmax parameters and exact evaluation, the natural gradient (Kakade 2001) multiplies a policy by exponentials of
its own advantages, which is mirror descent with the Kullback-Leibler divergence in every state:

    natural policy gradient    pi_{k+1}(a|s)  ~  pi_k(a|s) exp(eta A_k(s, a) / (1 - gamma))
        (Agarwal, Kakade, Lee and Mahajan 2021, arXiv 1908.00261)
    policy mirror descent      pi_{k+1}(a|s)  ~  pi_k(a|s) exp(eta_k Q_k(s, a))
        (Xiao 2022, arXiv 2201.07443; Johnson, Pike-Burke and Rebeschini 2023, arXiv 2302.11381)
    entropy-regularised        pi_{k+1}(a|s)  ~  pi_k(a|s)^(1 - eta tau/(1-gamma)) exp(eta Q_k(s, a) / (1 - gamma))
        (Cen, Cheng, Chen, Wei and Chi 2021, arXiv 2007.06558), Q_k the regularised values; with steps that vary it is
        the regularised mirror descent of Shani, Efroni and Mannor (2020, arXiv 1909.02769)

Note the two normalisations: a step eta of the first is a step eta / (1 - gamma) of the second. Policies are kept as
normalised log-probabilities, since steps may grow geometrically and probabilities then underflow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models import ModelError, TabularMDP
from mdplab.solvers.evaluation import accumulated_rounding, contraction_margin, discount_below_one, transitions
from mdplab.solvers.policy import Floats, log_normalise, state_max, state_sum
from mdplab.solvers.soft import log_probabilities, soft_value_of
from theory.errors import InputError

LONGEST_STEP = 1e200  # beyond, the product of a step and a value may overflow
StepRule = Callable[[int, Floats, Floats], float]
"""A step size from the iteration k = 0, 1, ..., Q_k (N,) and log pi_k (N,)."""
Update = Callable[[Floats, Floats, float], Floats]
"""The next log-policy (N,) from log pi_k (N,), the advantage A_k (N,) and the step size."""
Critic = Callable[[int, Floats], Floats]
"""What an actor is told in place of Q_k (N,), from the iteration k = 0, 1, ... and Q_k: an approximation f_k (N,)."""


@dataclass(frozen=True, eq=False)
class PolicyTrajectory:
    """K + 1 policies and their exact values.

    ``log_policies`` (K+1, N) and ``q`` (K+1, N) are over pairs, ``values`` is (K+1, S). ``steps`` (K,) holds the factors
    of Q in the exponent: eta_k for mirror descent, eta / (1 - gamma) for the two natural gradients. Values and q of
    iterate k are within ``errors[k]`` of those of the policy exp(log_policies[k]) in sup norm. If ``tau`` is positive,
    they are regularised by tau times the entropy.
    """

    log_policies: Floats
    values: Floats
    q: Floats
    steps: Floats
    errors: Floats
    tau: float

    @property
    def policies(self) -> Floats:
        """Probabilities (K+1, N); those below 1e-308 are 0 here."""
        return np.exp(self.log_policies)

    @property
    def iterations(self) -> int:
        """K."""
        return len(self.steps)


def natural_policy_gradient(
    mdp: TabularMDP,
    step: float,
    iterations: int,
    *,
    start: ArrayLike | None = None,
    log: bool = False,
) -> PolicyTrajectory:
    """``iterations`` steps of size ``step`` > 0: pi_{k+1} ~ pi_k exp(step A_k / (1 - gamma)).

    ``start`` is the first policy (uniform unless given; log-probabilities with ``log=True``). Raises ModelError if gamma
    is not below 1.
    """
    scale = 1 - discount_below_one(mdp)
    return follow_updates(mdp, check_step(step) / scale, iterations, start, log)


def policy_mirror_descent(
    mdp: TabularMDP,
    steps: float | Sequence[float] | NDArray[np.float64] | StepRule,
    iterations: int | None = None,
    *,
    tau: float = 0.0,
    start: ArrayLike | None = None,
    log: bool = False,
) -> PolicyTrajectory:
    """pi_{k+1} ~ pi_k exp(eta_k Q_k), with ``steps`` a number, K numbers, or a rule (k, Q_k, log pi_k) -> eta_k.

    ``iterations`` may be left out only if ``steps`` is a sequence. See :func:`geometric_steps` and
    :func:`discount_rate_steps` for rules. With ``tau`` > 0 the values are regularised by tau times the entropy, and so is the
    step: pi_{k+1} ~ pi_k^(1 - eta_k tau) exp(eta_k Q_k), for steps of at most 1 / tau.

    Raises ModelError if gamma is not below 1, InputError for a step or a temperature out of range.
    """
    discount_below_one(mdp)
    if callable(steps):
        rule: StepRule | float | Floats = steps
    else:
        sizes = np.asarray(steps, dtype=np.float64)
        if sizes.ndim == 1:
            iterations = len(sizes) if iterations is None else iterations
            if iterations > len(sizes):
                raise InputError(f"{iterations} iterations need as many steps, not {len(sizes)}.")
            rule = sizes
        else:
            rule = check_step(float(sizes))
    if iterations is None:
        raise InputError("the number of iterations is needed unless the steps are listed.")
    if not 0 <= tau < np.inf:
        raise InputError(f"the temperature tau must be finite and not negative, and is {tau}.")
    return follow_updates(mdp, rule, iterations, start, log, tau=tau)


def entropy_regularised_npg(
    mdp: TabularMDP,
    tau: float,
    step: float,
    iterations: int,
    *,
    start: ArrayLike | None = None,
    log: bool = False,
) -> PolicyTrajectory:
    """pi_{k+1} ~ pi_k^(1 - step tau/(1-gamma)) exp(step Q_k/(1-gamma)), with Q_k regularised by tau > 0.

    Needs 0 < step <= (1 - gamma) / tau; at the upper end it is soft policy iteration. The first policy must take every
    action. Raises ModelError if gamma is not below 1, InputError for a step or a temperature out of range.
    """
    scale = 1 - discount_below_one(mdp)
    check_step(step)
    if not (np.isfinite(tau) and tau > 0):
        raise InputError(f"the temperature tau must be positive and finite, not {tau}.")
    # a step computed as (1 - gamma) / tau may exceed it by rounding
    if step * tau > scale * (1 + 1e-12):
        raise InputError(f"the step {step:g} exceeds (1 - gamma) / tau = {scale / tau:g}.")
    return follow_updates(mdp, step / scale, iterations, start, log, tau=tau)


def mirror_step(
    mdp: TabularMDP,
    log_policy: Floats,
    q: Floats,
    step: float,
    *,
    tau: float = 0.0,
    log_reference: Floats | None = None,
) -> Floats:
    """The policy p that maximises <Q, p> - tau KL(p || mu) - KL(p || pi) / step in every state, as log-probabilities (N,).

    It is p ~ pi^(1/c) mu^(step tau/c) exp(step Q/c) with c = 1 + step tau. ``log_reference`` is log mu (N,); without it
    the entropy takes the place of -KL(p || mu). With tau = 0 it is the plain mirror step.
    """
    check_step(step)
    if tau < 0:
        raise InputError(f"the temperature tau must not be negative, and is {tau}.")
    logits = log_policy + step * q
    if tau > 0 and log_reference is not None:
        logits = logits + step * tau * log_reference
    return log_normalise(mdp, logits / (1 + step * tau))


def geometric_steps(first: float, factor: float, *, cap: float = LONGEST_STEP) -> StepRule:
    """eta_k = min(first factor^k, cap). Raises InputError for a first step that is not positive and finite."""
    check_step(first)
    log_first, log_factor, log_cap = np.log(first), np.log(factor), np.log(cap)

    def rule(k: int, q: Floats, log_policy: Floats) -> float:
        exponent = log_first + k * log_factor
        return float(cap) if exponent >= log_cap else float(np.exp(exponent))

    return rule


def discount_rate_steps(mdp: TabularMDP, constant: float, *, cap: float = LONGEST_STEP, smallest: float = 1e-12) -> StepRule:
    """eta_k = max_s KL(greedy(Q_k)(.|s) || pi_k(.|s)) / (constant gamma^(2(k+1))), under which PMD converges like gamma^k.

    The greedy policy takes the first best action, so that the divergence is -log pi_k of it. The step is kept between
    ``smallest`` (a greedy pi_k would ask for 0) and ``cap``: where actions tie, each switch between them multiplies the step,
    at last beyond float64. (Johnson, Pike-Burke and Rebeschini 2023.)
    """
    if not constant > 0:
        raise InputError(f"the constant of the step rule must be positive, not {constant}.")
    state = mdp.pair_state

    def rule(k: int, q: Floats, log_policy: Floats) -> float:
        best = np.flatnonzero(q == state_max(mdp, q)[state])
        first = best[np.searchsorted(best, mdp.state_pointer[:-1])]
        divergence = max(-float(log_policy[first].min()), 0.0)
        if divergence == 0.0:
            return smallest
        if mdp.gamma == 0.0:
            return cap
        exponent = np.log(divergence) - np.log(constant) - 2 * (k + 1) * np.log(mdp.gamma)
        return float(cap) if exponent >= np.log(cap) else max(float(np.exp(exponent)), smallest)

    return rule


def follow_updates(
    mdp: TabularMDP,
    steps: StepRule | float | Floats,
    iterations: int,
    start: ArrayLike | None,
    log: bool,
    *,
    tau: float = 0.0,
    update: Update | None = None,
    critic: Critic | None = None,
) -> PolicyTrajectory:
    """The trajectory log pi_{k+1} = ``update``(log pi_k, A_k, eta_k), with the exact advantages of each policy.

    The update is normalise((1 - eta_k tau) log pi_k + eta_k A_k) unless given; A and Q differ by a constant of the state. What a
    ``critic`` makes of Q_k takes the place of A_k.
    """
    if iterations < 0:
        raise InputError(f"the number of iterations must not be negative, and is {iterations}.")
    kernel = transitions(mdp)
    gamma, reward, state = mdp.gamma, mdp.reward, mdp.pair_state
    log_policy = log_normalise(mdp, log_probabilities(mdp, start, log=log))
    if tau > 0 and np.isneginf(log_policy).any():
        pair = int(np.argmin(log_policy))
        raise ModelError(f"the first policy never takes pair {pair} of state {state[pair]}, so that its logarithm is -inf.")
    rule = steps if callable(steps) else None
    sizes = np.empty(iterations)
    if rule is None:
        sizes[:] = steps if np.isscalar(steps) else np.asarray(steps)[:iterations]
    logs = np.empty((iterations + 1, mdp.pairs))
    values = np.empty((iterations + 1, mdp.states))
    qs = np.empty((iterations + 1, mdp.pairs))
    for k in range(iterations + 1):
        if tau > 0:
            value = soft_value_of(mdp, kernel, log_policy, tau, None)
        else:
            probabilities = np.exp(log_policy)
            value = kernel.solve(probabilities, state_sum(mdp, probabilities * reward), gamma)
        q = reward + gamma * (kernel.matrix @ value)
        logs[k], values[k], qs[k] = log_policy, value, q
        if k == iterations:
            break
        if rule is not None:
            sizes[k] = rule(k, q, log_policy)
        step = check_step(sizes[k])
        # the advantage is small where it matters: the best action's is near 0
        advantage = q - value[state] if critic is None else critic(k, q)
        if update is not None:
            log_policy = update(log_policy, advantage, step)
            continue
        if step * tau > 1 + 1e-12:  # a step computed as 1 / tau may exceed it by rounding
            raise InputError(f"the step {step:g} of iteration {k} exceeds 1 / tau = {1 / tau:g}.")
        kept = log_policy if tau == 0 else max(1 - step * tau, 0.0) * log_policy
        log_policy = log_normalise(mdp, kept + step * advantage)
    errors = _errors(mdp, logs, values, qs, tau)
    return PolicyTrajectory(logs, values, qs, sizes, errors, tau)


def _errors(mdp: TabularMDP, logs: Floats, values: Floats, qs: Floats, tau: float) -> Floats:
    """The certificate of ``evaluation.evaluation_error`` for all iterates at once, shape (K+1,)."""
    kernel = transitions(mdp)
    probabilities = np.exp(logs)
    masses = state_sum(mdp, probabilities)
    mass = float(masses.max())
    residual = state_sum(mdp, probabilities * qs) - values
    reward_size = np.full(len(logs), np.abs(mdp.reward).max())
    if tau > 0:
        entropy = -probabilities * np.where(probabilities > 0, logs, 0.0)
        bonus = tau * state_sum(mdp, entropy)
        residual += bonus
        reward_size += bonus.max(axis=1)
    contraction = mdp.gamma * kernel.mass * mass
    value_size = np.abs(values).max(axis=1)
    size = mass * (reward_size + mdp.gamma * kernel.mass * value_size) + value_size
    rounding = accumulated_rounding(kernel.terms + kernel.actions + 6) * size
    margin = contraction_margin(mdp.gamma, contraction, kernel.terms + kernel.actions)
    return (np.abs(residual).max(axis=1) + rounding) / margin


def check_step(step: float) -> float:
    """``step``; InputError unless it is positive and finite."""
    if not (np.isfinite(step) and step > 0):
        raise InputError(f"a step size must be positive and finite, not {step}.")
    return float(step)
