r"""Distributional Soft Actor-Critic with finitely many actions, with its three refinements and without, and ordinary critics.

Duan, Wang et al. (2023, arXiv 2310.05858), DSAC-T, and Duan et al. (2021, arXiv 2001.02811), the first version. A critic
gives for each pair the mean mu and the standard deviation sigma of a normal law of the soft return. One step draws a batch
(:func:`mdplab.neural.replay.draw`) with normal rewards, a' from the policy at s', and from the member i of smaller mean at
(s', a'), of the Polyak averages,

.. math:: y = r + \gamma (\mu_i(s', a') - \alpha \log \pi(a'|s')), \qquad y_z = y + \gamma\, \sigma_i(s', a')\, \xi,

xi being a standard normal number.

Each critic then moves, by Adam, along

.. math:: \omega\, \frac{y - \mu}{\sigma^2} \nabla \mu + \omega\, \frac{(C(y_z) - \mu)^2 - \sigma^2}{\sigma^3} \nabla \sigma,

where C clips at mu +- b. DSAC-T has two critics, omega and b / 3 being running averages of sigma^2 and sigma. The first
version has one critic, omega = 1, a fixed b, and y_z in place of y. Ordinary critics move along (y - mu) nabla mu. The actor
follows the combined means as in :mod:`mdplab.neural.discrete_sac`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from mdplab.neural.discrete_sac import SoftProblem
from mdplab.neural.networks import MLP, REAL, adam_state, adam_step, ensemble, mlp, polyak
from mdplab.neural.problems import TabularProblem, backup, soft_policy_value
from mdplab.neural.replay import draw
from mdplab.neural.training import Experiment, Hyper, Measured

LEAST_SIGMA = 1e-3

# The algorithms by name, as hyperparameters.
ALGORITHMS: dict[str, dict[str, float]] = {
    "single SAC": {"members": 1.0, "average": 0.0, "distributional": 0.0, "sampled": 0.0, "adjusted": 0.0},
    "twin SAC": {"members": 2.0, "average": 0.0, "distributional": 0.0, "sampled": 0.0, "adjusted": 0.0},
    "DSAC v1": {"members": 1.0, "average": 0.0, "distributional": 1.0, "sampled": 1.0, "adjusted": 0.0},
    "DSAC-T": {"members": 2.0, "average": 0.0, "distributional": 1.0, "sampled": 0.0, "adjusted": 1.0},
}


def centred(problem: SoftProblem) -> SoftProblem:
    """The same problems with a constant taken from the rewards of each run, so that the optimal soft value is 0 on average.

    Values of all policies move by one constant. A critic that begins near 0 has then no bias to lose before that of its noise
    shows.
    """
    level = problem.value.mean(axis=(-2, -1))
    fewer = (1 - problem.tabular.gamma) * level
    tabular = eqx.tree_at(lambda t: t.reward, problem.tabular, problem.tabular.reward - fewer[..., None, None])
    return SoftProblem(
        tabular=tabular,
        temperatures=problem.temperatures,
        value=problem.value - level[..., None, None],
        q=problem.q - level[..., None, None, None],
        log_policy=problem.log_policy,
        uniform=problem.uniform - level[..., None, None],
    )


class Learner(eqx.Module):
    """The state of a run; ``square`` and ``spread`` (K,) are the running averages of sigma^2 and of sigma."""

    actor: MLP
    critics: MLP
    averages: MLP
    square: jax.Array
    spread: jax.Array
    optimisers: Any


@dataclass(frozen=True)
class DistributionalSAC(Experiment):
    """DSAC and its relatives on a :class:`~mdplab.neural.discrete_sac.SoftProblem`, at the first of its temperatures.

    Fields: ``critics`` K there are, ``hidden`` widths of all networks (tanh), ``batch`` size, ``learning_rate`` of Adam,
    ``averaging`` the rate of all running averages, ``clip`` the fixed b. Hyperparameters (:data:`ALGORITHMS` holds
    combinations of the first five):

    * ``members``: how many of the critics are combined, by their minimum, or with ``average`` = 1 by their average (the
      sigma is then the first one's). The other critics learn from the same targets and are not used.
    * ``distributional``: 1, or 0 for ordinary critics.
    * ``sampled``: 1 to put y_z in the place of y.
    * ``adjusted``: 1 for the running omega and b, 0 for omega = 1 and the fixed b.
    * ``noise``: the standard deviation of a reward around its mean. With ``separate`` = 1 every critic sees rewards with a
      noise of its own, with 0 all see the same.
    * ``scale``: a factor c of the rewards, of their noise and of the temperature. What is measured is divided by it again.
    * ``units``: 1 to multiply what the critics put out by c as well, 0 not to.
    * ``substituted``: 1 to put y in the place of y_z for sigma as well, 0 not to.
    """

    critics: int = 2
    hidden: tuple[int, ...] = (32,)
    batch: int = 64
    learning_rate: float = 3e-3
    averaging: float = 0.02
    clip: float = 20.0

    def init(self, key: jax.Array, problem: SoftProblem, hyper: Hyper) -> Learner:
        features, actions = problem.tabular.features.shape[1], problem.tabular.reward.shape[1]
        of_actor, of_critics = jax.random.split(key)
        actor = mlp(of_actor, (features, *self.hidden, actions))
        critics = ensemble(lambda one: mlp(one, (features, *self.hidden, 2 * actions)), of_critics, self.critics)
        _, sigma = laws(critics, problem.tabular.features.astype(REAL), hyper)
        optimisers = (adam_state(actor), adam_state(critics))
        averages = jax.tree.map(jnp.copy, critics)
        return Learner(actor, critics, averages, (sigma**2).mean(axis=(1, 2)), sigma.mean(axis=(1, 2)), optimisers)

    def update(self, state: Learner, key: jax.Array, problem: SoftProblem, hyper: Hyper) -> Learner:
        S, A = problem.tabular.reward.shape
        K = self.critics
        seen = problem.tabular.features.astype(REAL)
        of_batch, of_action, of_return, of_reward = jax.random.split(key, 4)
        batch = draw(of_batch, problem.tabular, self.batch, law="gaussian")
        noise = jax.random.normal(of_reward, (K, self.batch), dtype=REAL)
        noise = hyper["noise"] * jnp.where(hyper["separate"] > 0, noise, noise[:1])
        temperature = hyper["scale"] * problem.temperatures[0].astype(REAL)
        gamma = problem.tabular.gamma.astype(REAL)
        of_actor, of_critics = state.optimisers

        log_policy = jax.nn.log_softmax(state.actor(seen))
        cumulative = jnp.cumsum(jnp.exp(log_policy), axis=1)[batch.next_state, :-1]
        chosen = (jax.random.uniform(of_action, (self.batch, 1), dtype=REAL) >= cumulative).sum(axis=1)
        mean, sigma = combined(*laws(state.averages, seen, hyper), hyper)
        later = (mean - temperature * log_policy)[batch.next_state, chosen]
        target = hyper["scale"] * (batch.reward + noise) + gamma * later  # (K, batch)
        drawn = jax.random.normal(of_return, (self.batch,), dtype=REAL)
        sampled = target + gamma * sigma[batch.next_state, chosen] * drawn
        aim = jnp.where(hyper["sampled"] > 0, sampled, target)
        pairs = jax.nn.one_hot(batch.state * A + batch.action, S * A, dtype=REAL, axis=0)  # (S A, batch)

        adjusted, distributional = hyper["adjusted"] > 0, hyper["distributional"] > 0
        omega = jnp.where(adjusted, state.square, 1.0)[:, None]
        clip = jnp.where(adjusted, 3 * state.spread, self.clip)[:, None]

        def critic_loss(critics: MLP) -> tuple[jax.Array, jax.Array]:
            mu, spread = (table.reshape(K, S * A) @ pairs for table in laws(critics, seen, hyper))  # (K, batch)
            fixed, still = jax.lax.stop_gradient(mu), jax.lax.stop_gradient(spread)
            error = jnp.clip(jnp.where(hyper["substituted"] > 0, target, sampled) - fixed, -clip, clip)
            by_mean = (aim - mu) ** 2 / jnp.where(distributional, still**2, 1.0)
            by_spread = jnp.where(distributional, error**2 / spread**2 + 2 * jnp.log(spread), 0.0)
            weight = jnp.where(distributional, omega, 1.0)
            return 0.5 * (weight * (by_mean + by_spread)).mean(axis=1).sum(), still

        slope, still = jax.grad(critic_loss, has_aux=True)(state.critics)
        critics, of_critics = adam_step(state.critics, slope, of_critics, self.learning_rate)
        q, _ = combined(*laws(critics, seen, hyper), hyper)
        visits = pairs.reshape(S, A, self.batch).sum(axis=(1, 2)) / self.batch

        def actor_loss(actor: MLP) -> jax.Array:
            logs = jax.nn.log_softmax(actor(seen))
            return (visits * (jnp.exp(logs) * (temperature * logs - q)).sum(axis=1)).sum()

        actor, of_actor = adam_step(state.actor, jax.grad(actor_loss)(state.actor), of_actor, self.learning_rate)
        square = state.square + self.averaging * ((still**2).mean(axis=1) - state.square)
        spread = state.spread + self.averaging * (still.mean(axis=1) - state.spread)
        averages = polyak(state.averages, critics, self.averaging)
        return Learner(actor, critics, averages, square, spread, (of_actor, of_critics))

    def measure(self, state: Learner, problem: SoftProblem, hyper: Hyper) -> Measured:
        r"""Averages over states (or pairs) of what is exact, in units of the rewards before they were scaled.

        ``gap`` V* - V^pi and ``uniform``, the same of the uniform policy; ``bias`` q - Q* and ``own_bias`` q - Q^pi of the
        combined means q, ``first_bias`` q_1 - Q* of the first critic; ``error``, the standard deviation over pairs of q_1 -
        Q^pi; ``disagreement``, the root mean square of (q_1 - q_K) / sqrt(2), K the last critic, and ``averaged``, that of
        the Polyak averages; ``variance`` and ``true_variance``, of sigma^2 (the combined one) and of the exact variance of
        the soft return of pi; ``variance_error``, their root mean square difference.
        """
        scale = hyper["scale"].astype(jnp.float64)
        alpha = problem.temperatures[0]
        seen = problem.tabular.features.astype(REAL)
        log_policy = jax.nn.log_softmax(state.actor(seen).astype(jnp.float64))
        both = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), state.critics, state.averages)
        means, sigmas = (table.astype(jnp.float64) / scale for table in laws(both, seen, hyper))
        mu, sigma, slow = means[: self.critics], sigmas[: self.critics], means[self.critics :]
        q, spread = combined(mu, sigma, hyper)
        value = soft_policy_value(problem.tabular, log_policy, alpha)
        exact = soft_return_variance(problem.tabular, log_policy, alpha, hyper["noise"].astype(jnp.float64) ** 2, value)
        return {
            "gap": (problem.value[0] - value).mean(),
            "uniform": (problem.value[0] - problem.uniform[0]).mean(),
            "bias": (q - problem.q[0]).mean(),
            "own_bias": (q - backup(problem.tabular, value)).mean(),
            "first_bias": (mu[0] - problem.q[0]).mean(),
            "error": jnp.std(mu[0] - backup(problem.tabular, value)),
            "disagreement": jnp.sqrt(((mu[0] - mu[-1]) ** 2).mean() / 2),
            "averaged": jnp.sqrt(((slow[0] - slow[-1]) ** 2).mean() / 2),
            "variance": (spread**2).mean(),
            "true_variance": exact.mean(),
            "variance_error": jnp.sqrt(((spread**2 - exact) ** 2).mean()),
        }


def laws(critics: MLP, seen: jax.Array, hyper: Hyper) -> tuple[jax.Array, jax.Array]:
    """The means and the standard deviations that K critics give, each (K, S, A); softplus makes the latter positive."""
    out = jax.vmap(lambda critic: critic(seen))(critics)
    mu, raw = jnp.split(out, 2, axis=2)
    unit = jnp.where(hyper["units"] > 0, hyper["scale"], 1.0)
    return unit * mu, unit * (jax.nn.softplus(raw) + LEAST_SIGMA)


def combined(mu: jax.Array, sigma: jax.Array, hyper: Hyper) -> tuple[jax.Array, jax.Array]:
    """The mean and the standard deviation (S, A) that the first ``members`` of K critics (K, S, A) give together."""
    used = (jnp.arange(mu.shape[0]) < hyper["members"])[:, None, None]
    least = jnp.where(used, mu, jnp.inf).argmin(axis=0)[None]
    smallest, its = jnp.take_along_axis(mu, least, axis=0)[0], jnp.take_along_axis(sigma, least, axis=0)[0]
    middle = jnp.where(used, mu, 0.0).sum(axis=0) / hyper["members"].astype(mu.dtype)
    averaging = hyper["average"] > 0
    return jnp.where(averaging, middle, smallest), jnp.where(averaging, sigma[0], its)


def soft_return_variance(
    problem: TabularProblem,
    log_policy: jax.Array,
    temperature: jax.Array | float,
    reward_variance: jax.Array | float,
    value: jax.Array,
) -> jax.Array:
    r"""The variance of the soft return :math:`r + \sum_{t \ge 1} \gamma^t (r_t - \alpha \log \pi(a_t|s_t))` from every pair,
    (S, A), by a linear solve.

    The bonus of a pair does not vary, so that it is the variance of the return with rewards :math:`r - \alpha \log \pi`: the
    twin of :func:`mdplab.solvers.return_variance`. Rewards have the ``reward_variance`` around their means; ``value`` (S,) is
    the policy's soft value.
    """
    p = jnp.exp(log_policy)
    centred = value - (value.max() + value.min()) / 2
    square = problem.gamma**2
    fresh = reward_variance + square * (problem.transition @ centred**2 - (problem.transition @ centred) ** 2)
    bonus = jnp.where(p > 0, -temperature * log_policy, 0.0)
    source = (p * ((backup(problem, value) + bonus - value[:, None]) ** 2 + fresh)).sum(axis=1)
    chain = jnp.einsum("sa,sat->st", p, problem.transition)
    state = jnp.linalg.solve(jnp.eye(p.shape[0]) - square * chain, source)
    return fresh + square * problem.transition @ state
