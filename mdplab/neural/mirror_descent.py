r"""Natural policy gradient with a neural critic, and mirror descent policy optimisation with a neural actor.

Both take their values exactly from the model, so that what a network does to them is all that is seen.

:class:`NeuralNPG` adds up critics (Agarwal, Kakade, Lee and Mahajan 2021, arXiv 1908.00261; Wang, Cai, Yang and Wang 2020, arXiv
1909.01150): :math:`\log \pi_{t+1} = \log \pi_t + \eta f_t + \text{const}`, where the network :math:`f_t` is fitted to
:math:`Q^{\pi_t}` at every state. The sum is kept as a table, which loses nothing on a tabular problem. It also adds up the
parts of the account of :mod:`mdplab.solvers.projected_policy_gradient`.

:class:`NeuralMDPO` distils every step into one network (Tomar, Shani, Efroni and Ghavamzadeh 2020, arXiv 2005.09814): m gradient
steps from :math:`\theta_k` on :math:`\sum_s d^{\pi_k}(s) (\eta \langle A^{\pi_k}, \pi_\theta \rangle - KL(\pi_\theta \| \pi_k))(s)`,
whose maximiser over all policies is :math:`\pi^+ \propto \pi_k e^{\eta A^{\pi_k}}`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from mdplab.models import TabularMDP
from mdplab.neural.networks import MLP, REAL, adam_state, adam_step, mlp
from mdplab.neural.problems import TabularProblem, backup, soft_policy_value, stack_tabular, state_visits
from mdplab.neural.training import Experiment, Hyper, Measured
from mdplab.solvers.evaluation import evaluate_policy
from mdplab.solvers.occupancy import discounted_occupancy
from mdplab.solvers.policy import dense_policy
from mdplab.solvers.policy_iteration import policy_iteration
from theory.errors import InputError


class ComparedProblem(eqx.Module):
    """A model with what its policies are compared with: an optimal policy, what it visits and what it earns.

    ``tabular`` is the model, ``target`` (S, A) an optimal policy, ``visits`` (S,) its normalised discounted visits from the start law,
    ``optimum`` () its value there.
    """

    tabular: TabularProblem
    target: Any
    visits: Any
    optimum: Any


def compared_problems(mdps: Sequence[TabularMDP], features: Sequence[NDArray[np.float64]] | None = None) -> ComparedProblem:
    """The problems of ``mdps`` stacked, each with an optimal policy from policy iteration; ``features`` as for ``stack_tabular``."""
    tabular = stack_tabular(mdps, features)
    policies = [dense_policy(mdp, policy_iteration(mdp).policy) for mdp in mdps]
    occupancies = [discounted_occupancy(mdp, policy).state for mdp, policy in zip(mdps, policies)]
    values = [evaluate_policy(mdp, policy).value @ mdp.start_distribution for mdp, policy in zip(mdps, policies)]
    return ComparedProblem(tabular, np.stack(policies), np.stack([d / d.sum() for d in occupancies]), np.array(values))


def narrowed(network: MLP, units: jax.Array | float) -> MLP:
    """A network of one hidden layer of which only the first ``units`` hidden units are there, at the scale of a network so narrow.

    The others have no weight into them or out of them, and no bias. With an activation that is 0 at 0 their gradients are 0, so that gradient
    descent, and Adam, leave them so: the width need not be known when the program is compiled. The number may be traced.
    """
    width = network.biases[0].size
    there = (jnp.arange(width) < units).astype(REAL)
    into, out = network.weights
    scale = jnp.sqrt(width / jnp.asarray(units, REAL))
    return MLP((into * there, out * there[:, None] * scale), (network.biases[0] * there, network.biases[1]), network.activation)


def seen(problem: TabularProblem, aliased: jax.Array | float) -> jax.Array:
    """What a network sees of the states, (S, d) in float32; where ``aliased`` is 1, states 2k and 2k + 1 look like state 2k."""
    features = problem.features.astype(REAL)
    first = jnp.arange(features.shape[0]) // 2 * 2
    return jnp.where(jnp.asarray(aliased) > 0, features[first], features)


def relative_entropy(visits: jax.Array, log_policy: jax.Array, log_other: jax.Array) -> jax.Array:
    """sum_s visits(s) KL(pi || other)(s) of log-policies (S, A)."""
    return (visits[:, None] * jnp.exp(log_policy) * (log_policy - log_other)).sum()


class _Critics(eqx.Module):
    """A run of :class:`NeuralNPG`: the sum of its critics as a log-policy, the critic, its optimiser, and sums over iterations."""

    log_policy: jax.Array
    network: MLP
    optimiser: Any
    taken: jax.Array
    gaps: jax.Array
    errors: jax.Array
    squares: jax.Array
    ranges: jax.Array
    widest: jax.Array


@dataclass(frozen=True)
class NeuralNPG(Experiment):
    r"""Natural policy gradient with a critic of one hidden layer, refitted in every iteration by ``fits`` full steps of Adam.

    The critic's output, divided by :math:`1 - \gamma`, is fitted to Q at all pairs in least squares; it begins with the weights of the
    iteration before. Hyperparameters: ``eta``, ``learning_rate`` of the critic, ``units`` of its hidden layer (up to
    ``width``), ``aliased`` (1: two states look the same to it, :func:`seen`), ``exact`` (1: it says Q itself).

    Measured after T iterations: ``gap`` (V* - V)(rho) of the last policy; and of the policies 0, ..., T - 1, ``mean_gap``, the mean
    ``error`` :math:`E_{d^*} \langle Q - f, \pi^* - \pi_t \rangle`, the root mean square of Q - f over pairs and iterations as ``misfit``,
    and of the ranges max_a f - min_a f the largest, ``widest``, and the mean square under :math:`d^*`, ``mean_square``; last
    :math:`E_{d^*} KL(\pi^* \| \pi_T)` as ``remaining``.
    """

    width: int = 32
    fits: int = 10

    def __post_init__(self) -> None:
        if self.width < 1 or self.fits < 1:
            raise InputError(f"a critic has at least 1 hidden unit and 1 step a fit, not {self.width} and {self.fits}.")

    def init(self, key: jax.Array, problem: ComparedProblem, hyper: Hyper) -> _Critics:
        """The uniform policy and a fresh critic."""
        S, A = problem.target.shape
        network = narrowed(mlp(key, (problem.tabular.features.shape[1], self.width, A), last=0.0), hyper["units"])
        zero = jnp.zeros((), dtype=jnp.float64)
        return _Critics(jnp.full((S, A), -jnp.log(float(A)), dtype=jnp.float64), network, adam_state(network), *(zero,) * 6)

    def update(self, state: _Critics, key: jax.Array, problem: ComparedProblem, hyper: Hyper) -> _Critics:
        """Fit the critic to Q, take the account, and add the critic to the log-policy."""
        model, log_policy = problem.tabular, state.log_policy
        value = soft_policy_value(model, log_policy, 0.0)
        q = backup(model, value)
        inputs, aim = seen(model, hyper["aliased"]), ((1 - model.gamma) * q).astype(REAL)

        def fit(_: jax.Array, pair: tuple[MLP, Any]) -> tuple[MLP, Any]:
            network, optimiser = pair
            gradient = jax.grad(lambda net: ((net(inputs) - aim) ** 2).mean())(network)
            return adam_step(network, gradient, optimiser, hyper["learning_rate"])

        network, optimiser = jax.lax.fori_loop(0, self.fits, fit, (state.network, state.optimiser))
        f = jnp.where(hyper["exact"] > 0, q, network(inputs) / (1 - model.gamma))
        missed = ((q - f) * (problem.target - jnp.exp(log_policy))).sum(axis=1)
        ranges = f.max(axis=1) - f.min(axis=1)
        return _Critics(
            log_policy=jax.nn.log_softmax(log_policy + hyper["eta"] * f, axis=1),
            network=network,
            optimiser=optimiser,
            taken=state.taken + 1,
            gaps=state.gaps + problem.optimum - model.start @ value,
            errors=state.errors + problem.visits @ missed,
            squares=state.squares + ((q - f) ** 2).mean(),
            ranges=state.ranges + problem.visits @ ranges**2,
            widest=jnp.maximum(state.widest, ranges.max()),
        )

    def measure(self, state: _Critics, problem: ComparedProblem, hyper: Hyper) -> Measured:
        """The account so far, and the gap of the policy that has been reached."""
        log_target = jnp.log(jnp.where(problem.target > 0, problem.target, 1.0))
        surprise = (problem.target * (log_target - state.log_policy)).sum(axis=1)
        return {
            "gap": problem.optimum - problem.tabular.start @ soft_policy_value(problem.tabular, state.log_policy, 0.0),
            "mean_gap": state.gaps / state.taken,
            "error": state.errors / state.taken,
            "misfit": jnp.sqrt(state.squares / state.taken),
            "widest": state.widest,
            "mean_square": state.ranges / state.taken,
            "remaining": problem.visits @ surprise,
        }


class _Actor(eqx.Module):
    """A run of :class:`NeuralMDPO`: the actor, the actor before its last update, and sums over updates."""

    network: MLP
    before: MLP
    missed: jax.Array
    asked: jax.Array


@dataclass(frozen=True)
class NeuralMDPO(Experiment):
    r"""MDPO with one actor of one hidden layer (``width`` units) and exact advantages; its last layer begins at 0.

    Hyperparameters: ``eta``, ``inner`` (the number m of gradient steps an update), ``learning_rate`` of these steps,
    ``adam`` (1: they are Adam's, begun afresh in every update; 0: plain gradient ascent), ``aliased`` (:func:`seen`).

    Measured: the ``gap`` (V* - V)(rho) of the last policy; the ``cosine`` between the last update of the parameters and the policy
    gradient :math:`\nabla_\theta V^{\pi_\theta}(\rho)` where it began, by automatic differentiation of the value; and over all updates
    the ``shortfall`` :math:`\sum_k E_{d^k} KL(\pi_{k+1} \| \pi_k^+) / \sum_k E_{d^k} KL(\pi_k \| \pi_k^+)`, which is 0 where every
    update reaches the closed form and 1 where none moves.
    """

    width: int = 32

    def __post_init__(self) -> None:
        if self.width < 1:
            raise InputError(f"an actor has at least 1 hidden unit, not {self.width}.")

    def init(self, key: jax.Array, problem: ComparedProblem, hyper: Hyper) -> _Actor:
        """An actor that plays the uniform policy."""
        network = mlp(key, (problem.tabular.features.shape[1], self.width, problem.target.shape[1]), last=0.0)
        zero = jnp.zeros((), dtype=jnp.float64)
        return _Actor(network, network, zero, zero)

    def update(self, state: _Actor, key: jax.Array, problem: ComparedProblem, hyper: Hyper) -> _Actor:
        """``inner`` steps on the proximal objective of the present policy."""
        model, inputs = problem.tabular, seen(problem.tabular, hyper["aliased"])
        eta = hyper["eta"].astype(jnp.float64)
        now = _log_policy(state.network, inputs)
        value = soft_policy_value(model, now, 0.0)
        advantage = backup(model, value) - value[:, None]
        visits = state_visits(model, now)

        def loss(network: MLP) -> jax.Array:
            log_policy = _log_policy(network, inputs)
            gain = eta * (visits[:, None] * jnp.exp(log_policy) * advantage).sum()
            return relative_entropy(visits, log_policy, now) - gain

        def climb(_: jax.Array, pair: tuple[MLP, Any]) -> tuple[MLP, Any]:
            network, optimiser = pair
            gradient = jax.grad(loss)(network)
            by_adam, optimiser = adam_step(network, gradient, optimiser, hyper["learning_rate"])
            plain = jax.tree.map(lambda w, g: w - hyper["learning_rate"] * g, network, gradient)
            return jax.tree.map(lambda a, b: jnp.where(hyper["adam"] > 0, a, b), by_adam, plain), optimiser

        inner = hyper["inner"].astype(jnp.int32)
        network, _ = jax.lax.fori_loop(0, inner, climb, (state.network, adam_state(state.network)))
        best = jax.nn.log_softmax(now + eta * advantage, axis=1)
        return _Actor(
            network=network,
            before=state.network,
            missed=state.missed + relative_entropy(visits, _log_policy(network, inputs), best),
            asked=state.asked + relative_entropy(visits, now, best),
        )

    def measure(self, state: _Actor, problem: ComparedProblem, hyper: Hyper) -> Measured:
        """The gap that has been reached, the direction of the last update, and how far updates fell short."""
        model, inputs = problem.tabular, seen(problem.tabular, hyper["aliased"])

        def value(network: MLP) -> jax.Array:
            return model.start @ soft_policy_value(model, _log_policy(network, inputs), 0.0)

        moved = jax.tree.map(lambda a, b: a.astype(jnp.float64) - b, state.network, state.before)
        return {
            "gap": problem.optimum - value(state.network),
            "cosine": _cosine(moved, jax.grad(value)(state.before)),
            "shortfall": state.missed / state.asked,
        }


def _log_policy(network: MLP, inputs: jax.Array) -> jax.Array:
    """The policy of an actor, (S, A): its logits are float32, normalised in float64."""
    return jax.nn.log_softmax(network(inputs).astype(jnp.float64), axis=1)


def _cosine(first: MLP, second: MLP) -> jax.Array:
    """The cosine of the angle between two networks as vectors, in float64."""
    one, other = (
        jnp.concatenate([leaf.astype(jnp.float64).ravel() for leaf in jax.tree.leaves(tree)]) for tree in (first, second)
    )
    return one @ other / jnp.sqrt((one @ one) * (other @ other))
