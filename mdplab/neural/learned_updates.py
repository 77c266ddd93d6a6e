r"""A learned update rule: how far a policy gradient steps is the output of a network, trained on a curriculum of bandits.

The rule keeps the direction of the policy gradient with a running baseline b and learns its length,

.. math:: \theta \mathrel{+}= u\, (e_a - \pi), \qquad u = (r - b)\, e^{f(r - b,\, \pi(a),\, b)},

where f is a network: f = log eta is the policy gradient of the step size eta (in NumPy and without a network:
:mod:`bandits.step_size_curriculum`, whose environments these are). It is trained by evolution strategies on a mixture of environments, which stays as it is or
follows the regrets: multiplicative weights on the regret less that of a fixed antagonist, the algorithmic regret of Jackson et al. (2023,
2310.02782).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from mdplab.neural.evolution import antithetic_gradient
from mdplab.neural.networks import MLP, REAL, adam_state, adam_step, mlp
from mdplab.neural.training import Experiment, Hyper, Measured
from theory.errors import InputError

NONE = -1e9  # the logit of an arm that an environment does not have


class BanditSet(eqx.Module):
    """Gaussian bandits to learn on, as arrays; a stack of sets has a leading axis of runs in every field.

    ``means`` (E, A), NaN where an environment has no such arm; ``deviation`` (E,) of the rewards; ``antagonist`` (E,) the regret of
    a fixed algorithm in each environment, ``easy`` (E,) which of them are the easy ones (1.0 or 0.0).
    """

    means: Any
    deviation: Any
    antagonist: Any
    easy: Any


def stack_bandits(means: ArrayLike, deviation: ArrayLike, antagonist: ArrayLike, easy: ArrayLike, runs: int) -> BanditSet:
    """The same set of bandits for each of ``runs`` runs; InputError for arrays of different lengths or an environment with one arm."""
    fields = [np.asarray(a, dtype=float) for a in (means, deviation, antagonist, easy)]
    if fields[0].ndim != 2 or any(a.shape != fields[0].shape[:1] for a in fields[1:]):
        raise InputError("a set of bandits has means (environments, arms), and three numbers for each environment.")
    if (np.isfinite(fields[0]).sum(axis=1) < 2).any():
        raise InputError("an environment of a set of bandits has at least two arms.")
    if runs < 1:
        raise InputError(f"a stack of sets of bandits is for at least one run, not {runs}.")
    return BanditSet(*(np.broadcast_to(a, (runs, *a.shape)) for a in fields))


def play(network: MLP, problem: BanditSet, luck: tuple[jax.Array, jax.Array]) -> jax.Array:
    """The regret of the rule in each environment, the mean over the rounds, (E, ...).

    ``luck`` holds uniform and standard normal numbers, each (T, E, ...): for each round, environment and run.
    """
    exists = jnp.isfinite(problem.means)
    means = jnp.where(exists, problem.means, 0.0).astype(REAL)
    arms = jnp.arange(means.shape[1], dtype=jnp.int32)
    spread = (...,) + (None,) * (luck[0].ndim - 2)
    deviation = problem.deviation.astype(REAL)[spread]
    # one trailing axis of arms; runs lie between environments and arms
    rewards = means.reshape(means.shape[0], *(1,) * (luck[0].ndim - 2), means.shape[1])
    gaps = jnp.where(exists, means.max(axis=1, keepdims=True) - means, 0.0).reshape(rewards.shape)
    start = jnp.where(exists, 0.0, NONE).astype(REAL).reshape(rewards.shape)
    shape = luck[0].shape[1:]

    def step(state: tuple[jax.Array, ...], drawn: tuple[jax.Array, ...]) -> tuple[tuple[jax.Array, ...], None]:
        logits, baseline, regret = state
        point, noise, t = drawn
        policy = jax.nn.softmax(logits)
        arm = (jnp.cumsum(policy[..., :-1], axis=-1) <= point[..., None]).sum(axis=-1, dtype=jnp.int32)
        taken = (arm[..., None] == arms).astype(REAL)
        reward = (taken * rewards).sum(axis=-1) + deviation * noise
        surprise = jnp.where(t > 0, reward - baseline, 0.0)
        log_step = network(jnp.stack([surprise, 2 * (taken * policy).sum(axis=-1) - 1, baseline], axis=-1))[..., 0]
        moved = logits + (surprise * jnp.exp(jnp.clip(log_step, -6.0, 6.0)))[..., None] * (taken - policy)
        return (moved, baseline + (reward - baseline) / (t + 1), regret + (policy * gaps).sum(axis=-1)), None

    begin = (jnp.broadcast_to(start, (*shape, means.shape[1])), jnp.zeros(shape, REAL), jnp.zeros(shape, REAL))
    rounds = luck[0].shape[0]
    (_, _, regret), _ = jax.lax.scan(step, begin, (*luck, jnp.arange(rounds, dtype=REAL)))
    return regret / rounds


def draw_luck(key: jax.Array, rounds: int, environments: int, runs: int) -> tuple[jax.Array, jax.Array]:
    """The random numbers of :func:`play`, (rounds, environments, runs)."""
    first, second = jax.random.split(key)
    shape = (rounds, environments, runs)
    return jax.random.uniform(first, shape, dtype=REAL), jax.random.normal(second, shape, dtype=REAL)


@dataclass(frozen=True)
class LearnedUpdate(Experiment):
    """Meta-training of an update rule; one update is a generation of 2 ``pairs`` networks that play ``rounds`` rounds ``plays`` times each.

    Problems are a :class:`BanditSet`. Hyperparameters: ``easy_share`` of the easy environments in the first mixture, ``rate`` of the multiplicative weights on the algorithmic
    regret (0: the mixture stays), ``learning_rate`` of Adam, ``deviation`` of the population. The rule that is measured is the mean of the networks of the second half of
    ``generations``, as it is for the play of games. Measured: ``regret`` (E,) in each environment, the mean of ``judged`` plays, and the ``mixture`` (E,).
    """

    rounds: int = 150
    plays: int = 1
    pairs: int = 8
    width: int = 8
    judged: int = 64

    def init(self, key: jax.Array, problem: BanditSet, hyper: Hyper) -> Any:
        of_network, of_judge = jax.random.split(key)
        network = mlp(of_network, (3, self.width, 1), last=0.1)
        shares = jnp.asarray(problem.easy, REAL)
        share = hyper["easy_share"]
        mixture = share * shares / shares.sum() + (1 - share) * (1 - shares) / (1 - shares).sum()
        return (
            network,
            adam_state(network),
            jnp.log(mixture),
            jnp.zeros((), jnp.int32),
            jax.tree.map(jnp.zeros_like, network),
            jax.random.key_data(of_judge),
        )

    def update(self, state: Any, key: jax.Array, problem: BanditSet, hyper: Hyper) -> Any:
        network, adam, weights, generation, total, judge = state
        of_luck, of_moves = jax.random.split(key)
        environments = problem.deviation.shape[0]
        mixture = jax.nn.softmax(weights)
        luck = draw_luck(of_luck, self.rounds, environments, self.plays)

        def loss(member: MLP) -> tuple[jax.Array, jax.Array]:
            regret = play(member, problem, luck).mean(axis=1)
            return mixture @ regret, regret

        gradient, regrets = antithetic_gradient(of_moves, network, loss, self.pairs, hyper["deviation"])
        weights = weights + hyper["rate"] * (regrets.mean(axis=0) - problem.antagonist.astype(REAL))
        network, adam = adam_step(network, gradient, adam, hyper["learning_rate"])
        late = (generation >= hyper["generations"] / 2).astype(REAL)
        total = jax.tree.map(lambda so_far, leaf: so_far + late * leaf, total, network)
        return network, adam, weights, generation + 1, total, judge

    def measure(self, state: Any, problem: BanditSet, hyper: Hyper) -> Measured:
        _, _, weights, generation, total, judge = state
        late = jnp.maximum(generation - jnp.ceil(hyper["generations"] / 2), 1).astype(REAL)
        mean = jax.tree.map(lambda so_far: so_far / late, total)
        luck = draw_luck(jax.random.wrap_key_data(judge), self.rounds, problem.deviation.shape[0], self.judged)
        return {
            "regret": play(mean, problem, luck).mean(axis=1).astype(jnp.float64),
            "mixture": jax.nn.softmax(weights).astype(jnp.float64),
        }
