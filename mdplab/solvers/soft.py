"""Entropy- and KL-regularised MDPs.

With a temperature tau > 0 and a reference policy mu, the regularised value of a policy is

    V^pi(s) = E[ sum_t gamma^t ( R(s_t, a_t) - tau log(pi(a_t|s_t) / mu(a_t|s_t)) ) | s_0 = s ],

and entropy regularisation is the case mu = 1 (not a distribution: then V gains tau times the entropy of pi). Its optimum
is the fixed point of the soft Bellman operator

    (T V)(s) = tau log sum_a mu(a|s) exp( Q(s, a) / tau ),    Q(s, a) = R(s, a) + gamma sum_s' P(s'|s, a) V(s'),

and is attained by pi(a|s) = mu(a|s) exp((Q(s, a) - V(s)) / tau) alone (Todorov 2006; Ziebart 2010; Haarnoja et al.
2017, arXiv 1702.08165; Geist, Scherrer and Pietquin 2019, arXiv 1901.11275).

T is monotone and moves by gamma c when V moves by a constant c. Hence, for every V, and with b = T V - V,

    T V + gamma/(1-gamma) min b  <=  V*  <=  T V + gamma/(1-gamma) max b,

as MacQueen (1966) and Porteus (1971) have it for the hard maximum. The solvers stop on this bracket, return its middle and
half its width, to which bounds on the rounding are added.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mdplab.models import EpisodicMDP, ModelError, TabularMDP
from mdplab.solvers.backward_induction import EpisodicEvaluation, induce
from mdplab.solvers.evaluation import (
    UNIT_ROUNDOFF,
    PairTransitions,
    accumulated_rounding,
    contraction_margin,
    discount_below_one,
    evaluation_error,
    transitions,
)
from mdplab.solvers.policy import (
    Floats,
    as_episodic_probabilities,
    as_probabilities,
    log_normalise,
    log_softmax_policy,
    log_sum_exp,
    state_sum,
    uniform_policy,
)


@dataclass(frozen=True, eq=False)
class SoftSolution:
    """The optimum of a regularised discounted MDP.

    ``value`` (S,), ``q`` (N,) are within ``error`` of the truth in sup norm, ``log_policy`` (N,) within
    ``log_policy_error``. ``converged`` says whether ``error`` got down to the tolerance asked for.
    """

    value: Floats
    q: Floats
    log_policy: Floats
    tau: float
    error: float
    iterations: int
    converged: bool

    @property
    def policy(self) -> Floats:
        """The optimal policy, shape (N,)."""
        return np.exp(self.log_policy)

    @property
    def log_policy_error(self) -> float:
        """A bound on max |log pi - log pi*|: the log-softmax is 2-Lipschitz in sup norm."""
        return 2 * self.error / self.tau

    @property
    def lower(self) -> Floats:
        """A lower bound on V*, shape (S,)."""
        return np.nextafter(self.value - self.error, -np.inf)

    @property
    def upper(self) -> Floats:
        """An upper bound on V*, shape (S,)."""
        return np.nextafter(self.value + self.error, np.inf)


@dataclass(frozen=True, eq=False)
class SoftEvaluation:
    """The regularised ``value`` (S,) and ``q`` (N,) of a policy, both within ``error`` of the truth in sup norm.

    ``q`` is R + gamma P V: the regulariser's charge for the first action is in V, not in Q.
    """

    value: Floats
    q: Floats
    error: float


@dataclass(frozen=True, eq=False)
class SoftEpisodicSolution:
    """The optimum of a regularised episodic MDP: ``q``, ``log_policy`` (H, S, A), ``value`` (H+1, S) with zeros last.

    ``q`` and ``value`` are within ``error`` of the truth.
    """

    q: Floats
    value: Floats
    log_policy: Floats
    tau: float
    error: float

    @property
    def policy(self) -> Floats:
        """The optimal policy, shape (H, S, A)."""
        return np.exp(self.log_policy)


def soft_bellman(mdp: TabularMDP, value: ArrayLike, tau: float, *, reference: ArrayLike | None = None) -> tuple[Floats, Floats]:
    """(T V, Q) for V = ``value`` (S,): shapes (S,) and (N,). Without ``reference``, entropy regularisation."""
    _check_temperature(tau)
    return _soft_bellman(mdp, transitions(mdp), np.asarray(value, dtype=np.float64), tau, log_reference(mdp, reference))


def soft_greedy(mdp: TabularMDP, q: ArrayLike, tau: float, *, reference: ArrayLike | None = None) -> Floats:
    """log of pi(a|s) proportional to mu(a|s) exp(Q(s, a) / tau), shape (N,), for ``q`` (N,)."""
    _check_temperature(tau)
    return log_softmax_policy(mdp, np.asarray(q, dtype=np.float64) / tau + log_reference(mdp, reference))


def soft_value_iteration(
    mdp: TabularMDP,
    tau: float,
    *,
    reference: ArrayLike | None = None,
    tol: float = 1e-10,
    max_iterations: int = 100_000,
    initial: ArrayLike | None = None,
) -> SoftSolution:
    """V_{k+1} = T V_k from ``initial`` (zeros), until V* is known to within ``tol``, or rounding allows no better.

    ``reference`` is the policy mu; without it the entropy is the regulariser. Raises ModelError if gamma is not below 1.
    """
    problem = _Problem(mdp, tau, reference)
    value = np.zeros(mdp.states) if initial is None else np.asarray(initial, dtype=np.float64)
    iteration = 0
    while True:
        iteration += 1
        improved, q = problem.bellman(value)
        shift, error, floor = problem.bracket(improved, value, q)
        if error <= max(tol, 2 * floor) or iteration >= max_iterations:
            return problem.solution(improved + shift, error, iteration, tol)
        value = improved


def soft_policy_iteration(
    mdp: TabularMDP,
    tau: float,
    *,
    reference: ArrayLike | None = None,
    tol: float = 1e-10,
    max_iterations: int = 1000,
) -> SoftSolution:
    """Evaluate pi_k exactly, take pi_{k+1}(a|s) proportional to mu(a|s) exp(Q_k(s, a) / tau), until V* is within ``tol``.

    This is Newton's method on V = T V: it converges monotonically, and quadratically once it is near. It starts from the
    reference policy (the uniform one for entropy). Raises ModelError if gamma is not below 1.
    """
    problem = _Problem(mdp, tau, reference)
    log_policy = log_normalise(mdp, problem.log_mu)
    iteration, best, previous = 0, None, np.inf
    while True:
        iteration += 1
        value = soft_value_of(mdp, problem.kernel, log_policy, tau, problem.log_mu)
        improved, q = problem.bellman(value)
        shift, error, floor = problem.bracket(improved, value, q)
        if best is None or error < best[1]:
            best = (improved + shift, error)
        stalled = error >= previous and error <= 100 * floor  # further steps only shuffle the rounding
        if error <= max(tol, 2 * floor) or stalled or iteration >= max_iterations:
            return problem.solution(*best, iteration, tol)
        previous = error
        log_policy = log_normalise(mdp, q / tau + problem.log_mu)


def soft_evaluate(
    mdp: TabularMDP, policy: ArrayLike, tau: float, *, reference: ArrayLike | None = None, log: bool = False
) -> SoftEvaluation:
    """The regularised value of ``policy``: probabilities in any form, or log-probabilities (N,) with ``log=True``.

    Raises ModelError if gamma is not below 1, or if the policy takes an action that the reference excludes.
    """
    _check_temperature(tau)
    log_policy = log_probabilities(mdp, policy, log=log)
    probabilities = np.exp(log_policy)
    log_mu = log_reference(mdp, reference)
    _check_support(mdp, probabilities, log_mu)
    kernel = transitions(mdp)
    gamma = discount_below_one(mdp)
    charge, charge_size = _charge(probabilities, log_policy, log_mu)
    cost = tau * state_sum(mdp, charge)
    value = kernel.solve(probabilities, state_sum(mdp, probabilities * mdp.reward) - cost, gamma)
    q = mdp.reward + gamma * (kernel.matrix @ value)
    residual = state_sum(mdp, probabilities * q) - cost - value
    error = evaluation_error(
        kernel,
        gamma,
        residual=float(np.abs(residual).max()),
        reward_size=float(np.abs(mdp.reward).max()) + tau * float(state_sum(mdp, charge_size).max()),
        value_size=float(np.abs(value).max()),
        policy_mass=float(state_sum(mdp, probabilities).max()),
    )
    return SoftEvaluation(value, q, error)


def soft_backward_induction(mdp: EpisodicMDP, tau: float, *, reference: ArrayLike | None = None) -> SoftEpisodicSolution:
    """The optimum of the episodic problem with rewards R_h - tau log(pi_h / mu_h); entropy without ``reference``."""
    _check_temperature(tau)
    log_mu = _episodic_log_reference(mdp, reference)
    actions = mdp.R.shape[2]
    q, value, error = induce(
        mdp,
        lambda step, q: _soft_maximum(q, tau, log_mu[step]),
        summands=6,
        weight=1.0,
        absolute=tau * _soft_maximum_rounding(actions, log_mu),
    )
    logits = q / tau + log_mu
    shifted = logits - logits.max(axis=2, keepdims=True)
    log_policy = shifted - np.log(np.exp(shifted).sum(axis=2, keepdims=True))
    return SoftEpisodicSolution(q, value, log_policy, tau, error)


def soft_evaluate_episodic(
    mdp: EpisodicMDP, policy: ArrayLike, tau: float, *, reference: ArrayLike | None = None, log: bool = False
) -> EpisodicEvaluation:
    """The regularised values of an episodic policy (H, S, A); with ``log=True`` it holds log-probabilities."""
    _check_temperature(tau)
    given = np.asarray(policy, dtype=np.float64) if log else policy
    probabilities = as_episodic_probabilities(mdp, np.exp(given) if log else given)
    log_policy = np.broadcast_to(given if log else _log(probabilities), probabilities.shape)
    log_mu = _episodic_log_reference(mdp, reference)
    if ((probabilities > 0) & np.isneginf(log_mu)).any():
        step, state, action = np.argwhere((probabilities > 0) & np.isneginf(log_mu))[0]
        raise ModelError(f"the policy takes action {action} in state {state} at step {step}; the reference never does.")
    charge, charge_size = _charge(probabilities, log_policy, log_mu)
    cost = tau * charge.sum(axis=2)
    weight = float(probabilities.sum(axis=-1).max())
    actions = mdp.R.shape[2]
    q, value, error = induce(
        mdp,
        lambda step, q: np.einsum("sa,sa->s", probabilities[step], q) - cost[step],
        summands=actions + 2,
        weight=weight,
        absolute=accumulated_rounding(actions + 8) * tau * float(charge_size.sum(axis=2).max()),
    )
    return EpisodicEvaluation(q, value, error)


# -- shared with the policy-gradient algorithms ---------------------------------------------------------------------


def log_reference(mdp: TabularMDP, reference: ArrayLike | None) -> Floats:
    """log mu, shape (N,), with -inf where mu is 0; zeros for entropy regularisation (``reference`` None)."""
    return np.zeros(mdp.pairs) if reference is None else _log(as_probabilities(mdp, reference))


def log_probabilities(mdp: TabularMDP, policy: ArrayLike | None, *, log: bool = False) -> Floats:
    """log pi (N,) of a policy in any form (None: uniform), or, with ``log=True``, of checked log-probabilities (N,)."""
    if policy is None:
        return np.log(uniform_policy(mdp))
    if not log:
        return _log(as_probabilities(mdp, policy))
    given = np.asarray(policy, dtype=np.float64)
    as_probabilities(mdp, np.exp(given))
    return given.reshape(-1)


def soft_value_of(mdp: TabularMDP, kernel: PairTransitions, log_policy: Floats, tau: float, log_mu: Floats | None) -> Floats:
    """The regularised value (S,) of a log-policy (N,), without checks and without a certificate."""
    probabilities = np.exp(log_policy)
    with np.errstate(invalid="ignore"):  # 0 * inf, for actions that are never taken
        ratio = log_policy if log_mu is None else log_policy - log_mu
        reward = probabilities * (mdp.reward - tau * ratio)
    reward[probabilities == 0] = 0.0
    return kernel.solve(probabilities, state_sum(mdp, reward), mdp.gamma)


class _Problem:
    """A regularised model, and the bracket of its solution."""

    def __init__(self, mdp: TabularMDP, tau: float, reference: ArrayLike | None):
        _check_temperature(tau)
        self.mdp, self.tau = mdp, tau
        self.gamma = discount_below_one(mdp)
        self.kernel = transitions(mdp)
        self.log_mu = log_reference(mdp, reference)
        self.reward_size = float(np.abs(mdp.reward).max())
        self.absolute = tau * _soft_maximum_rounding(self.kernel.actions, self.log_mu)
        # The sums of rows lie in [1 - defect, 1 + defect]: the constant c in T(V + c) shrinks by no more and no less.
        sums = np.asarray(self.kernel.matrix.sum(axis=1)).reshape(-1)
        defect = float(np.abs(sums - 1).max()) + accumulated_rounding(self.kernel.terms)
        self.most = self.gamma * (1 + defect)
        self.least = max(self.gamma * (1 - defect) - 8 * UNIT_ROUNDOFF, 0.0)
        self.margin = contraction_margin(self.gamma, self.most, self.kernel.terms)

    def bellman(self, value: Floats) -> tuple[Floats, Floats]:
        return _soft_bellman(self.mdp, self.kernel, value, self.tau, self.log_mu)

    def bracket(self, improved: Floats, value: Floats, q: Floats) -> tuple[float, float, float]:
        """(shift, error, floor): |V* - (T V + shift)| <= error, of which ``floor`` is rounding."""
        size = self.reward_size + self.most * float(np.abs(value).max())
        rounding = accumulated_rounding(self.kernel.terms + 12) * max(size, float(np.abs(q).max())) + self.absolute
        change = improved - value
        low, high = float(change.min()) - rounding, float(change.max()) + rounding
        below = low * (self.most / self.margin if low < 0 else self.least / (1 - self.least))
        above = high * (self.most / self.margin if high > 0 else self.least / (1 - self.least))
        floor = rounding / self.margin
        size = max(abs(below), abs(above)) + float(np.abs(improved).max())
        return (below + above) / 2, (above - below) / 2 + 2 * rounding + accumulated_rounding(8) * size, floor

    def solution(self, value: Floats, error: float, iterations: int, tol: float) -> SoftSolution:
        q = self.mdp.reward + self.gamma * (self.kernel.matrix @ value)
        log_policy = log_normalise(self.mdp, q / self.tau + self.log_mu)
        return SoftSolution(value, q, log_policy, self.tau, error, iterations, error <= tol)


def _soft_bellman(mdp: TabularMDP, kernel: PairTransitions, value: Floats, tau: float, log_mu: Floats) -> tuple[Floats, Floats]:
    q = mdp.reward + mdp.gamma * (kernel.matrix @ value)
    return tau * log_sum_exp(mdp, q / tau + log_mu), q


def _soft_maximum(q: Floats, tau: float, log_mu: Floats) -> Floats:
    """tau log sum_a mu exp(q / tau) over the last axis."""
    logits = q / tau + log_mu
    top = logits.max(axis=-1)
    return tau * (top + np.log(np.exp(logits - top[..., None]).sum(axis=-1)))


def _soft_maximum_rounding(actions: int, log_mu: Floats) -> float:
    """The rounding of log-sum-exp beyond a few units of |Q| / tau.

    The shift of the exponents weighs x exp(-x) <= 1/e for each action; the rest is the sum, the logarithm and log mu.
    """
    finite = log_mu[np.isfinite(log_mu)]
    return accumulated_rounding(3 * actions + 12) + accumulated_rounding(4) * float(np.abs(finite).max(initial=0.0))


def _charge(probabilities: Floats, log_policy: Floats, log_mu: Floats) -> tuple[Floats, Floats]:
    """pi log(pi / mu) for each pair, 0 where pi is 0, and pi (|log pi| + |log mu|), on which its rounding depends."""
    taken = probabilities > 0
    log_pi = np.where(taken, log_policy, 0.0)
    log_ref = np.where(taken, log_mu, 0.0)
    return probabilities * (log_pi - log_ref), probabilities * (np.abs(log_pi) + np.abs(log_ref))


def _check_support(mdp: TabularMDP, probabilities: Floats, log_mu: Floats) -> None:
    outside = (probabilities > 0) & np.isneginf(log_mu)
    if outside.any():
        pair = int(np.argmax(outside))
        raise ModelError(
            f"the policy takes pair {pair} of state {mdp.pair_state[pair]} with probability {probabilities[pair]}, "
            "but the reference policy never does."
        )


def _check_temperature(tau: float) -> None:
    if not (np.isfinite(tau) and tau > 0):
        raise ModelError(f"the temperature tau of a regularised problem must be positive and finite, not {tau}.")


def _log(probabilities: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        return np.log(probabilities)


def _episodic_log_reference(mdp: EpisodicMDP, reference: ArrayLike | None) -> Floats:
    return np.zeros(mdp.R.shape) if reference is None else _log(as_episodic_probabilities(mdp, reference))
