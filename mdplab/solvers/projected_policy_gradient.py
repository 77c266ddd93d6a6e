r"""Natural policy gradient with a critic that errs, and an exact account of what its errors cost.

The actor is told :math:`f_t` in place of :math:`Q^{\pi_t}`,

.. math:: \pi_{t+1}(a|s) \propto \pi_t(a|s)\, e^{\eta f_t(s, a)},

so that :math:`\log \pi_T` is a sum of critics (Agarwal, Kakade, Lee and Mahajan 2021, arXiv 1908.00261, section 6; Wang, Cai, Yang and
Wang 2020, arXiv 1909.01150, for neural critics). For every policy :math:`\pi` with the visits :math:`d = d^\pi_\rho`, every
sequence of critics and every T,

.. math::

    \frac{1-\gamma}{T} \sum_{t<T} (V^\pi - V^{\pi_t})(\rho)
        = \frac{E_d [KL(\pi \| \pi_0) - KL(\pi \| \pi_T)]}{\eta T}
        + \frac{1}{\eta T} \sum_{t<T} E_d \log E_{\pi_t} e^{\eta (f_t - \langle f_t, \pi_t \rangle)}
        + \frac1T \sum_{t<T} E_d \langle Q^{\pi_t} - f_t, \pi - \pi_t \rangle :

what mirror descent had to travel, what its steps spread, and what the critic got wrong. It is the performance difference
:math:`(1-\gamma)(V^\pi - V^{\pi_t})(\rho) = E_d \langle Q^{\pi_t}, \pi - \pi_t \rangle`, with :math:`\eta \langle f_t, \pi - \pi_t \rangle =
E_\pi \log(\pi_{t+1} / \pi_t) + \log E_{\pi_t} e^{\eta (f_t - \langle f_t, \pi_t \rangle)}`, summed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mdplab.models import TabularMDP
from mdplab.solvers.evaluation import discount_below_one, evaluate_policy, start_vector
from mdplab.solvers.occupancy import discounted_occupancy
from mdplab.solvers.policy import Floats, as_probabilities, log_sum_exp, state_max, state_sum
from mdplab.solvers.policy_gradient import Critic, PolicyTrajectory, check_step, follow_updates
from theory.errors import InputError


@dataclass(frozen=True, eq=False)
class CriticTrajectory:
    """The policies of an actor with a critic: their exact values in ``run`` (T + 1 of them), and what was said, ``critics`` (T, N)."""

    run: PolicyTrajectory
    critics: Floats


@dataclass(frozen=True, eq=False)
class GapAccount:
    """The parts of (1 - gamma) times the mean ``gap`` of T policies to a comparator: ``travel`` + ``spread`` + ``error``.

    ``gap`` is mean_t (V^pi - V^{pi_t})(rho). ``widest`` is the largest range max_a f - min_a f of a critic in a state, ``mean_square`` the
    mean of its square over iterations and the comparator's visits. ``first`` and ``last`` are E_d KL(pi || pi_0) and E_d KL(pi || pi_T).
    ``inexact`` bounds the rounding and evaluation errors of (1 - gamma) gap - error.
    """

    gap: float
    travel: float
    spread: float
    error: float
    widest: float
    mean_square: float
    first: float
    last: float
    inexact: float


def least_squares_critic(features: ArrayLike, weight: ArrayLike | None = None) -> Critic:
    """The critic that projects Q (N,) on the span of ``features`` (N, k), in least squares with a ``weight`` (N,) for each pair.

    Weights are equal unless given. Directions that the features do not tell apart from rounding count as none. Raises InputError for
    features that are not a finite matrix, and for weights that are not positive.
    """
    table = np.asarray(features, dtype=np.float64)
    if table.ndim != 2 or not np.isfinite(table).all():
        raise InputError(f"features are a finite matrix (pairs, k); got the shape {table.shape}.")
    weights = np.ones(len(table)) if weight is None else np.asarray(weight, dtype=np.float64)
    if weights.shape != (len(table),) or not (np.isfinite(weights).all() and weights.min() > 0):
        raise InputError(f"a least-squares critic needs a positive weight for each of {len(table)} pairs.")
    root = np.sqrt(weights)
    left, sizes, _ = np.linalg.svd(root[:, None] * table, full_matrices=False)
    basis = left[:, sizes > sizes.max(initial=0.0) * max(table.shape) * np.finfo(np.float64).eps]

    def critic(k: int, q: Floats) -> Floats:
        return np.asarray(basis @ (basis.T @ (root * q)) / root)

    return critic


def state_features(mdp: TabularMDP, features: ArrayLike) -> Floats:
    """Features of states, (S, d), as features of pairs, (N, d A): with a linear function of its own for each action.

    Actions of different states are the same if they come in the same place. Raises InputError for features that do not fit the model.
    """
    table = np.asarray(features, dtype=np.float64)
    if table.ndim != 2 or len(table) != mdp.states:
        raise InputError(f"features of this model's states have the shape ({mdp.states}, d), not {table.shape}.")
    place = np.arange(mdp.pairs) - mdp.state_pointer[mdp.pair_state]
    taken = np.eye(mdp.max_actions)[place]
    return np.asarray((table[mdp.pair_state][:, :, None] * taken[:, None, :]).reshape(mdp.pairs, -1))


def critic_policy_gradient(
    mdp: TabularMDP,
    critic: Critic,
    step: float,
    iterations: int,
    *,
    start: ArrayLike | None = None,
    log: bool = False,
) -> CriticTrajectory:
    """``iterations`` steps pi_{t+1} ~ pi_t exp(``step`` f_t) with f_t = ``critic`` (t, Q^{pi_t}), Q computed exactly.

    ``start`` is the first policy (uniform unless given; log-probabilities with ``log=True``). Raises ModelError if gamma is not
    below 1, InputError for a step that is not positive and for a critic that does not answer with N finite numbers.
    """
    discount_below_one(mdp)
    check_step(step)
    said: list[Floats] = []

    def asked(k: int, q: Floats) -> Floats:
        answer = np.asarray(critic(k, q), dtype=np.float64)
        if answer.shape != (mdp.pairs,) or not np.isfinite(answer).all():
            raise InputError(
                f"a critic of this model says {mdp.pairs} finite numbers; got the shape {answer.shape} at iteration {k}."
            )
        said.append(answer)
        return answer

    run = follow_updates(mdp, step, iterations, start, log, critic=asked)
    return CriticTrajectory(run, np.array(said).reshape(iterations, mdp.pairs))


def gap_account(
    mdp: TabularMDP, trajectory: CriticTrajectory, comparator: ArrayLike, *, start: ArrayLike | None = None
) -> GapAccount:
    """The identity above for a ``comparator`` policy, from ``start`` (S,) (the model's own unless given).

    Raises InputError for a trajectory without a step, and where the first policy never does what the comparator does.
    """
    run, f = trajectory.run, trajectory.critics
    if run.iterations < 1:
        raise InputError("the mean gap of a trajectory needs at least one step.")
    target, rho = as_probabilities(mdp, comparator), start_vector(mdp, start)
    taken = target > 0
    if np.isneginf(run.log_policies[0][taken]).any():
        raise InputError("the first policy never takes an action of the comparator, so that it can never come near it.")
    step, T = float(run.steps[0]), run.iterations
    optimum = evaluate_policy(mdp, target)
    occupancy = discounted_occupancy(mdp, target, start=rho)
    visits = occupancy.state / occupancy.state.sum()
    log_policies, policies = run.log_policies[:-1], np.exp(run.log_policies[:-1])
    surprise = np.zeros(mdp.pairs)
    divergences = []
    for log_policy in (run.log_policies[0], run.log_policies[-1]):
        surprise[taken] = np.log(target[taken]) - log_policy[taken]
        divergences.append(float(visits @ state_sum(mdp, target * surprise)))
    centred = f - state_sum(mdp, policies * f)[:, mdp.pair_state]
    spread = log_sum_exp(mdp, log_policies + step * centred) / step
    missed = state_sum(mdp, (run.q[:-1] - f) * (target - policies))
    ranges = state_max(mdp, f) + state_max(mdp, -f)
    # values off by e move the gap by e, and the critic's error by 2 e and by the error of the visits; a step rounds log pi, and
    # what a change of f by 1 / step would undo, a dozen times
    sizes = np.abs(log_policies).max() + np.abs(run.log_policies[-1][taken]).max() + np.log(mdp.pairs) + step * np.abs(f).max()
    size_q = float(np.abs(run.q).max() + np.abs(f).max())
    rounding = 16 * np.finfo(np.float64).eps * (sizes / step + 4 * size_q)
    inexact = (
        (1 - mdp.gamma) * (optimum.error + run.errors.max()) + 2 * run.errors.max() + 4 * occupancy.error * size_q + rounding
    )
    return GapAccount(
        gap=float(np.mean((optimum.value - run.values[:-1]) @ rho)),
        travel=(divergences[0] - divergences[1]) / (step * T),
        spread=float(np.mean(spread @ visits)),
        error=float(np.mean(missed @ visits)),
        widest=float(ranges.max()),
        mean_square=float(np.mean(ranges**2 @ visits)),
        first=divergences[0],
        last=divergences[1],
        inexact=float(inexact),
    )
