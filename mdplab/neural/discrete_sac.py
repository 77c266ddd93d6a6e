r"""Soft Actor-Critic with finitely many actions: networks for the actor and for twin critics, fed from a replay memory.

Haarnoja et al. (2018, arXiv 1812.05905), with sums over the actions in place of samples of them (Christodoulou 2019, arXiv
1910.07207). One step draws a batch (:func:`mdplab.neural.replay.draw`) and then moves, by Adam,

* the critics :math:`q_1, q_2` towards :math:`y = r + \gamma \sum_b \pi(b|s') (\bar q(s', b) - \alpha \log \pi(b|s'))`, in the
  mean square over the batch, where :math:`\bar q` combines the twins' Polyak averages, by their minimum in the paper;
* the actor down :math:`\sum_a \pi(a|s) (\alpha \log \pi(a|s) - q(s, a))`, on average over the states of the batch;
* and, where the temperature is automatic, :math:`\log \alpha` down :math:`(H - \bar H) \log \alpha`, H being the policy's
  entropy on average over the states of the batch.

What is measured compares with the entropy-regularised optimum at a temperature for which the problem carries it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from mdplab.models import TabularMDP
from mdplab.neural.networks import MLP, REAL, adam_state, adam_step, ensemble, mlp, polyak
from mdplab.neural.problems import TabularProblem, backup, soft_policy_value, stack_tabular
from mdplab.neural.replay import RewardLaw, draw
from mdplab.neural.training import Experiment, Hyper, Measured
from mdplab.solvers import soft_evaluate, soft_policy_iteration, uniform_policy
from theory.errors import InputError

MINIMUM, SINGLE, MAXIMUM = 1.0, 0.0, -1.0  # of the hyperparameter "pessimism"


class SoftProblem(eqx.Module):
    """An MDP with its entropy-regularised optima at L temperatures; a stack has a leading axis of runs in every field.

    ``temperatures`` (L,), ``value`` (L, S), ``q`` (L, S, A), ``log_policy`` (L, S, A) the optima, ``uniform`` (L, S) the
    regularised values of the uniform policy.
    """

    tabular: TabularProblem
    temperatures: Any
    value: Any
    q: Any
    log_policy: Any
    uniform: Any


def stack_soft(mdps: Sequence[TabularMDP], temperatures: ArrayLike) -> SoftProblem:
    """The problems of ``mdps`` with their optima, stacked; ``temperatures`` (L,), or (runs, L) for each model its own.

    The optima are the certified ones of :func:`mdplab.solvers.soft_policy_iteration`. Raises :class:`InputError` for
    temperatures of another shape, and as :func:`~mdplab.neural.problems.stack_tabular` does.
    """
    tabular = stack_tabular(mdps)
    S, A = tabular.reward.shape[1:]
    given = np.asarray(temperatures, dtype=float)
    if given.ndim not in (1, 2) or given.size == 0 or (given.ndim == 2 and len(given) != len(mdps)):
        raise InputError(f"{len(mdps)} models need temperatures (L,) or ({len(mdps)}, L), not of the shape {given.shape}.")
    levels = np.broadcast_to(given, (len(mdps), given.shape[-1]))
    found = [[soft_policy_iteration(mdp, tau) for tau in row] for mdp, row in zip(mdps, levels)]
    return SoftProblem(
        tabular=tabular,
        temperatures=levels.copy(),
        value=np.array([[each.value for each in row] for row in found]),
        q=np.array([[each.q for each in row] for row in found]).reshape(*levels.shape, S, A),
        log_policy=np.array([[each.log_policy for each in row] for row in found]).reshape(*levels.shape, S, A),
        uniform=np.array(
            [[soft_evaluate(mdp, uniform_policy(mdp), tau).value for tau in row] for mdp, row in zip(mdps, levels)]
        ),
    )


class Learner(eqx.Module):
    """The state of a run: the networks, their optimisers, and the logarithm of the temperature that is learned."""

    actor: MLP
    critics: MLP
    averages: MLP
    log_temperature: jax.Array
    optimisers: Any


@dataclass(frozen=True)
class DiscreteSAC(Experiment):
    """Soft Actor-Critic on a :class:`SoftProblem`.

    Fields: ``hidden`` widths of all networks (tanh), ``batch`` size, ``learning_rate`` of Adam, ``averaging`` the rate of the
    Polyak averages, the ``rewards``' law. Hyperparameters:

    * ``level``: which of the problem's temperatures, an index. It is the temperature of training unless that is automatic, and
      the one at which the run is measured.
    * ``pessimism``: 1 (:data:`MINIMUM`) for the minimum of the twins, -1 (:data:`MAXIMUM`) for their maximum, in the target and
      for the actor; 0 (:data:`SINGLE`): each critic learns from its own average, and the actor from the first.
    * ``bonus``: 1, or 0 to leave the entropy out of the critics' target.
    * ``automatic``: 0, or 1 to learn the temperature, from 1 on, for the entropy ``target`` (in units of log A).
    """

    hidden: tuple[int, ...] = (32,)
    batch: int = 64
    learning_rate: float = 3e-3
    averaging: float = 0.02
    rewards: RewardLaw = "bernoulli"

    def init(self, key: jax.Array, problem: SoftProblem, hyper: Hyper) -> Learner:
        sizes = (problem.tabular.features.shape[1], *self.hidden, problem.tabular.reward.shape[1])
        of_actor, of_critics = jax.random.split(key)
        actor = mlp(of_actor, sizes)
        critics = ensemble(lambda one: mlp(one, sizes), of_critics, 2)
        log_temperature = jnp.zeros((), REAL)
        optimisers = tuple(adam_state(each) for each in (actor, critics, log_temperature))
        return Learner(actor, critics, jax.tree.map(jnp.copy, critics), log_temperature, optimisers)

    def update(self, state: Learner, key: jax.Array, problem: SoftProblem, hyper: Hyper) -> Learner:
        S, A = problem.tabular.reward.shape
        seen = problem.tabular.features.astype(REAL)
        batch = draw(key, problem.tabular, self.batch, law=self.rewards)
        temperature = _temperature(state, problem, hyper)
        of_actor, of_critics, of_temperature = state.optimisers

        # Networks are evaluated once for each state, and the batch enters as weights: the same gradients, for less.
        log_policy = jax.nn.log_softmax(state.actor(seen))
        policy = jnp.exp(log_policy)
        entropy = -(policy * log_policy).sum(axis=1)
        expected = (policy * combined(_critics(state.averages, seen), hyper)).sum(axis=2)  # (2, S)
        later = expected + hyper["bonus"] * temperature * entropy
        target = batch.reward + problem.tabular.gamma.astype(REAL) * later[:, batch.next_state]  # (2, batch)
        pairs = jax.nn.one_hot(batch.state * A + batch.action, S * A, dtype=REAL) / self.batch
        weight = pairs.sum(axis=0).reshape(S, A)
        aim = (target @ pairs).reshape(2, S, A)

        def critic_loss(critics: MLP) -> jax.Array:
            q = _critics(critics, seen)
            return (weight * q**2 - 2 * aim * q).sum()  # the mean square, up to a constant

        q = combined(_critics(state.critics, seen), hyper)[0]
        critics, of_critics = adam_step(state.critics, jax.grad(critic_loss)(state.critics), of_critics, self.learning_rate)

        def actor_loss(actor: MLP) -> jax.Array:
            logs = jax.nn.log_softmax(actor(seen))
            return (weight.sum(axis=1) * (jnp.exp(logs) * (temperature * logs - q)).sum(axis=1)).sum()

        actor, of_actor = adam_step(state.actor, jax.grad(actor_loss)(state.actor), of_actor, self.learning_rate)
        excess = (weight.sum(axis=1) * entropy).sum() - hyper["target"] * math.log(A)
        log_temperature, of_temperature = adam_step(state.log_temperature, excess, of_temperature, self.learning_rate)
        averages = polyak(state.averages, critics, self.averaging)
        return Learner(actor, critics, averages, log_temperature, (of_actor, of_critics, of_temperature))

    def measure(self, state: Learner, problem: SoftProblem, hyper: Hyper) -> Measured:
        r"""Averages over the states (or pairs) of what is exact, but for ``values`` and ``optima`` (S,).

        ``gap`` V* - V^pi and ``uniform``, the same of the uniform policy; ``bias`` q - Q* and ``own_bias`` q - Q^pi of the
        combined critics q; ``divergence`` KL(pi* || pi); ``entropy`` of pi; ``temperature``, that of training; ``values`` the
        critics' :math:`\sum_a \pi (q - \alpha \log \pi)`, and ``optima`` V*. The optimum, V^pi and Q^pi are those at the
        temperature of ``level``.
        """
        level = hyper["level"].astype(jnp.int32)
        alpha, value = problem.temperatures[level], problem.value[level]
        seen = problem.tabular.features.astype(REAL)
        log_policy = jax.nn.log_softmax(state.actor(seen).astype(jnp.float64))
        policy = jnp.exp(log_policy)
        q = combined(_critics(state.critics, seen), hyper)[0].astype(jnp.float64)
        own = soft_policy_value(problem.tabular, log_policy, alpha)
        optimal = problem.log_policy[level]
        return {
            "gap": (value - own).mean(),
            "uniform": (value - problem.uniform[level]).mean(),
            "bias": (q - problem.q[level]).mean(),
            "own_bias": (q - backup(problem.tabular, own)).mean(),
            "divergence": (jnp.exp(optimal) * (optimal - log_policy)).sum(axis=1).mean(),
            "entropy": -(policy * log_policy).sum(axis=1).mean(),
            "temperature": _temperature(state, problem, hyper).astype(jnp.float64),
            "values": (policy * (q - alpha * log_policy)).sum(axis=1),
            "optima": value,
        }


def combined(q: jax.Array, hyper: Hyper) -> jax.Array:
    """What each of the twins ``q`` (2, S, A) is replaced by in the target: their minimum, their maximum, or itself."""
    middle, half = q.mean(axis=0), jnp.abs(q[0] - q[1]) / 2
    return jnp.where(hyper["pessimism"] == SINGLE, q, middle - hyper["pessimism"] * half)


def _critics(critics: MLP, seen: jax.Array) -> jax.Array:
    """The values of both critics, (2, S, A)."""
    q: jax.Array = jax.vmap(lambda critic: critic(seen))(critics)
    return q


def _temperature(state: Learner, problem: SoftProblem, hyper: Hyper) -> jax.Array:
    fixed = problem.temperatures[hyper["level"].astype(jnp.int32)].astype(REAL)
    return jnp.where(hyper["automatic"] > 0, jnp.exp(state.log_temperature), fixed)
