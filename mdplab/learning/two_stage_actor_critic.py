r"""Two-stage constrained actor-critic: learn a policy for each auxiliary reward, then the main one near all of them.

Stage 1 learns policies :math:`\pi_1, \ldots, \pi_m`, one for each auxiliary reward, by an actor-critic of its own. Stage 2 keeps
them, and alternates a critic of the main reward with the actor step

.. math:: \pi(\cdot|s) \propto \prod_i \pi_i(\cdot|s)^{\lambda_i/L} e^{Q(s, \cdot)/L}, \qquad L = \sum_i \lambda_i,

which maximises :math:`\mathbb{E}_\pi Q - \sum_i \lambda_i \mathrm{KL}(\pi\|\pi_i)` in every state. Actors and critics are functions, so that
others fit in: an actor with a trust region in every state, a critic that learns from samples.

Cai, Xue, Zhang and others (2023), "Two-Stage Constrained Actor-Critic for Short Video Recommendation", arXiv 2302.01680, where the
multipliers are constants and the critic is that of the main reward alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models import ModelError, TabularMDP
from mdplab.models.random_mdps import dirichlet_mdp
from mdplab.solvers.evaluation import evaluate_policy
from mdplab.solvers.policy import log_normalise, state_sum, uniform_policy
from mdplab.solvers.policy_gradient import natural_policy_gradient
from theory.claims.families import family
from theory.errors import InputError

Floats = NDArray[np.float64]
Critic = Callable[[Floats], Floats]  # log-probabilities (N,) of the policy -> the values of pairs, (N,)
Actor = Callable[[Floats], Floats]  # values of pairs (N,) -> log-probabilities (N,) of the next policy


@dataclass(frozen=True, eq=False)
class AuxiliaryRewards:
    """A model of the main reward, and m >= 1 auxiliary ``rewards`` (m, N) of its pairs. ModelError for another shape, or a NaN."""

    mdp: TabularMDP
    rewards: Floats
    key: str | None = None

    def __post_init__(self) -> None:
        rewards = np.array(self.rewards, dtype=float)
        if rewards.ndim != 2 or rewards.shape[1] != self.mdp.pairs or not rewards.size or not np.isfinite(rewards).all():
            raise ModelError(
                f"auxiliary rewards of this model are finite, of shape (m, {self.mdp.pairs}), not {rewards.shape}."
            )
        rewards.flags.writeable = False
        object.__setattr__(self, "rewards", rewards)


@dataclass(frozen=True, eq=False)
class StageTwo:
    """The policies of stage 2, ``log_policies`` (K + 1, N), the first of them its start, and what the critic said of each, (K, N)."""

    log_policies: Floats
    critics: Floats


@family(S=1, A=1, m=1)
def random_auxiliary(S: int = 4, A: int = 3, m: int = 2, gamma: float = 0.9, seed: int = 0) -> AuxiliaryRewards:
    """Dirichlet(1) rows; main and auxiliary rewards uniform on [0, 1]."""
    rng = np.random.default_rng(seed)
    mdp = dirichlet_mdp(S, A, gamma, seed=rng)
    return AuxiliaryRewards(mdp, rng.random((m, mdp.pairs)))


@family
def closing_gap(gamma: float = 0.9) -> AuxiliaryRewards:
    """A choice that matters until the worse place is put right.

    From state 0, action 0 leads to state 1 and action 1 to state 2. In state 1 action 0 pays 1 and action 1 nothing, in state 2 both
    pay 1; both lead to state 3, the end. The auxiliary reward is 0, and its policy uniform.
    """
    P = np.zeros((4, 2, 4))
    P[0, 0, 1] = P[0, 1, 2] = 1.0
    P[1:, :, 3] = 1.0
    R = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    return AuxiliaryRewards(TabularMDP.from_dense(P, R, gamma, start=(1.0, 0.0, 0.0, 0.0)), np.zeros((1, 8)))


def auxiliary_policies(problem: AuxiliaryRewards, *, step: float = 0.05, iterations: int = 10) -> Floats:
    """Stage 1, exact: log-policies (m, N), each after ``iterations`` natural gradient steps on its reward from the uniform policy.

    They have full support. Raises what :func:`~mdplab.solvers.natural_policy_gradient` raises.
    """
    learned = [natural_policy_gradient(problem.mdp.replace(reward=r), step, iterations) for r in problem.rewards]
    return np.stack([trajectory.log_policies[-1] for trajectory in learned])


def blend(mdp: TabularMDP, log_auxiliary: ArrayLike, weights: ArrayLike) -> Floats:
    """The normalised geometric mean of policies (m, N) with ``weights`` (m,) of the sum 1, as log-probabilities (N,)."""
    return log_normalise(mdp, np.asarray(weights, dtype=float) @ np.asarray(log_auxiliary, dtype=float))


def divergences(mdp: TabularMDP, log_policy: ArrayLike, log_auxiliary: ArrayLike) -> Floats:
    """KL(pi || pi_i) in every state, (m, S), for log-probabilities (N,) and (m, N) of full support."""
    p = np.asarray(log_policy, dtype=float)
    return np.stack([state_sum(mdp, np.exp(p) * (p - q)) for q in np.asarray(log_auxiliary, dtype=float)])


def multiplier_actor(mdp: TabularMDP, log_auxiliary: ArrayLike, multipliers: ArrayLike) -> Actor:
    """The actor step with constant ``multipliers`` (m,), at least 0 and with a positive sum; InputError otherwise."""
    weights = _multipliers(multipliers, log_auxiliary)
    soup = blend(mdp, log_auxiliary, weights / weights.sum())
    return lambda q: log_normalise(mdp, soup + q / weights.sum())


def main_critic(mdp: TabularMDP) -> Critic:
    """The exact values of pairs for the main reward."""
    return lambda log_policy: evaluate_policy(mdp, np.exp(log_policy)).q


def priced_critic(mdp: TabularMDP, log_auxiliary: ArrayLike, multipliers: ArrayLike) -> Critic:
    """The exact values of pairs when in every later state sum_i lambda_i KL(pi || pi_i) is paid for."""
    weights = _multipliers(multipliers, log_auxiliary)

    def values(log_policy: Floats) -> Floats:
        price = (weights @ divergences(mdp, log_policy, log_auxiliary))[mdp.pair_state]
        return evaluate_policy(mdp.replace(reward=mdp.reward - price), np.exp(log_policy)).q + price

    return values


def sampled_critic(
    mdp: TabularMDP,
    log_auxiliary: ArrayLike,
    multipliers: ArrayLike,
    *,
    samples: int,
    sweeps: int,
    rate: float,
    rng: np.random.Generator,
) -> Critic:
    """A critic with prices that learns by temporal differences, and starts from what it learned of the last policy.

    In each of ``sweeps`` it draws ``samples`` next states of every pair and moves by ``rate`` in (0, 1] towards the mean of reward
    plus discounted value, the value being the policy's mean of q - sum_i lambda_i log(pi / pi_i). InputError for numbers out of range.
    """
    weights = _multipliers(multipliers, log_auxiliary)
    if samples < 1 or sweeps < 1 or not 0 < rate <= 1:
        raise InputError(f"samples and sweeps are at least 1, and a rate in (0, 1], not {samples}, {sweeps} and {rate}.")
    rows = mdp.transition_matrix().toarray()
    auxiliary = np.asarray(log_auxiliary, dtype=float)
    learned = np.zeros(mdp.pairs)

    def values(log_policy: Floats) -> Floats:
        probability = np.exp(log_policy)
        price = weights @ (log_policy - auxiliary)
        for _ in range(sweeps):
            drawn = rng.multinomial(samples, rows) / samples
            target = mdp.reward + mdp.gamma * drawn @ state_sum(mdp, probability * (learned - price))
            learned[:] = learned + rate * (target - learned)
        return learned.copy()

    return values


def stage_two(mdp: TabularMDP, actor: Actor, critic: Critic, iterations: int, *, start: ArrayLike | None = None) -> StageTwo:
    """``iterations`` >= 1 rounds of critic and actor, from log-probabilities ``start`` (N,), of the uniform policy unless given."""
    if iterations < 1:
        raise InputError(f"the number of iterations is {iterations}; it must be 1 or more.")
    policies = [np.log(uniform_policy(mdp)) if start is None else np.asarray(start, dtype=float)]
    critics = []
    for _ in range(iterations):
        critics.append(critic(policies[-1]))
        policies.append(actor(critics[-1]))
    return StageTwo(np.stack(policies), np.stack(critics))


def _multipliers(multipliers: ArrayLike, log_auxiliary: ArrayLike) -> Floats:
    weights = np.atleast_1d(np.asarray(multipliers, dtype=float))
    m = np.shape(log_auxiliary)[0]
    if weights.shape != (m,) or not (weights >= 0).all() or not 0 < weights.sum() < np.inf:
        raise InputError(f"{m} multipliers are at least 0 and have a positive finite sum, not {multipliers!r}.")
    return weights
