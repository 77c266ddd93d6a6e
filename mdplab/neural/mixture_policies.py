r"""Mixtures of Gaussian experts, conditioned on a context, for rewards with several modes (Ren et al. 2021, arXiv 2104.09122).

The task is a ring of bumps in the plane, whose radius and rotation are the context. A network maps the context to the
weights, means and deviations of K experts, and ascends :math:`\mathbb{E}[r(a)] + \alpha H(\pi)`, one step of Adam for each
batch of contexts. The experts learn by reparametrised samples. The weights learn in one of several ways, the settings of one
compiled program (:class:`RingMixture`).

What is measured has no samples: rewards of Gaussians are closed forms, entropies Gauss-Hermite sums around the experts, and the
mass of a Gaussian in a disc is a sum over the disc's rim that converges geometrically (:func:`disc_mass`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import erf_inv
from jax.scipy.special import erf
from numpy.typing import NDArray

from mdplab.neural.networks import MLP, REAL, adam_state, adam_step, mlp
from mdplab.neural.training import Experiment, Hyper, Measured
from theory.errors import InputError

Array = NDArray[np.float64]
LOG_TWO_PI = math.log(2 * math.pi)
LEAST_LOG_DEVIATION, LARGEST_LOG_DEVIATION = -3.5, 1.0


@dataclass(frozen=True)
class Ring:
    r"""Bumps :math:`h_j e^{-\kappa |a - c_j|^2}` in the plane, less :math:`\rho |a|^2`, with the entropy's weight
    ``temperature``.

    In the context (u, v), in [-1, 1]^2, the centre j = 0, ..., ``bumps`` - 1 has the angle phase + 2 pi j / bumps + ``turn``
    u and the radius ``radius`` + ``swell`` v. Raises :class:`InputError` for fewer than one bump and for numbers that are not
    positive.
    """

    bumps: int = 4
    sharpness: float = 2.0
    curvature: float = 0.02
    temperature: float = 0.1
    radius: float = 1.75
    swell: float = 0.4
    turn: float = math.pi / 6
    near: float = 0.6  # the radius of the disc around a bump in which mass counts as its own

    def __post_init__(self) -> None:
        if self.bumps < 1:
            raise InputError(f"a ring has at least 1 bump, not {self.bumps}.")
        for name in ("sharpness", "curvature", "temperature", "near"):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"the {name} of a ring is positive, not {getattr(self, name)}.")
        if not self.radius > abs(self.swell):
            raise InputError(f"a ring's radius of {self.radius} must be larger than its swell, {self.swell}.")

    def centres(self, context: Any, phase: Any) -> Any:
        """The centres in the contexts (..., 2): shape (..., bumps, 2)."""
        angle = phase + self.turn * context[..., :1] + np.arange(self.bumps) * (2 * math.pi / self.bumps)
        radius = self.radius + self.swell * context[..., 1:]
        return jnp.stack([radius * jnp.cos(angle), radius * jnp.sin(angle)], axis=-1)

    def reward(self, action: Any, centres: Any, heights: Any) -> Any:
        """r of actions (..., 2), for centres (..., bumps, 2) that are broadcast against them, and heights (bumps,)."""
        square = ((action[..., None, :] - centres) ** 2).sum(-1)
        return (heights * jnp.exp(-self.sharpness * square)).sum(-1) - self.curvature * (action**2).sum(-1)

    def expected_reward(self, mean: Any, deviation: Any, centres: Any, heights: Any) -> Any:
        """The expected reward of round Gaussians of mean (..., 2) and deviation (...), in closed form."""
        spread = 1 + 2 * self.sharpness * deviation[..., None] ** 2
        square = ((mean[..., None, :] - centres) ** 2).sum(-1)
        bumps = (heights * jnp.exp(-self.sharpness * square / spread) / spread).sum(-1)
        return bumps - self.curvature * ((mean**2).sum(-1) + 2 * deviation**2)


class RingProblem(eqx.Module):
    """Rings with phases and heights of their own, a run each: ``phase`` (), ``heights`` (bumps,), ``contexts`` (C, 2) in
    which a policy is measured, and there the optimum ``optimum`` (C,) and ``best_mass`` (C, bumps), the optimal policy's mass
    near each bump.
    """

    phase: Any
    heights: Any
    contexts: Any
    optimum: Any
    best_mass: Any


def evaluation_contexts(per_axis: int = 3) -> Array:
    """A grid of contexts, (per_axis^2, 2), at the Gauss-Legendre nodes of either axis."""
    nodes = np.polynomial.legendre.leggauss(per_axis)[0]
    return np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, 2)


def ring_problems(ring: Ring, seeds: NDArray[np.uint64], *, uneven: float = 0.0) -> RingProblem:
    r"""A ring for each seed, with a random phase and heights uniform in [1 - ``uneven``, 1], stacked.

    The optimum :math:`\alpha \ln \int e^{r/\alpha}` is a trapezoidal sum in NumPy; it does not depend on the rotation. Raises
    :class:`InputError` for ``uneven`` outside [0, 1).
    """
    if not 0 <= uneven < 1:
        raise InputError(f"heights between 1 - uneven and 1 need uneven in [0, 1), not {uneven}.")
    draws = [np.random.default_rng(int(seed)) for seed in seeds]
    phase = np.array([rng.uniform(0, 2 * np.pi / ring.bumps) for rng in draws])
    heights = np.array([1 - uneven * rng.uniform(size=ring.bumps) for rng in draws])
    contexts = evaluation_contexts()
    radii, which = np.unique(contexts[:, 1], return_inverse=True)
    solved: dict[bytes, tuple[Array, Array]] = {}
    for row in heights:
        if row.tobytes() not in solved:
            found = [ring_optimum(ring, ring.radius + ring.swell * v, row) for v in radii]
            solved[row.tobytes()] = np.array([f[0] for f in found]), np.array([f[1] for f in found])
    return RingProblem(
        phase=phase,
        heights=heights,
        contexts=np.broadcast_to(contexts, (len(draws), *contexts.shape)),
        optimum=np.stack([solved[row.tobytes()][0][which] for row in heights]),
        best_mass=np.stack([solved[row.tobytes()][1][which] for row in heights]),
    )


def ring_optimum(ring: Ring, radius: float, heights: Array, step: float = 0.11) -> tuple[float, Array]:
    r"""The optimal value of a ring of this ``radius``, and the optimal policy's mass near each bump, (bumps,).

    :math:`\int e^{r/\alpha} = \pi \alpha / \rho + \int (e^{\text{bumps}/\alpha} - 1) e^{-\rho |a|^2/\alpha}`, where the last
    is a trapezoidal sum with this ``step`` over the square that holds the bumps; masses of discs are sums over rays,
    Gauss-Legendre along each. All converge geometrically.
    """
    alpha = ring.temperature
    half = radius + 8 / math.sqrt(2 * ring.sharpness)
    axis = np.arange(-math.ceil(half / step), math.ceil(half / step) + 1) * step
    angle = 2 * np.pi * np.arange(ring.bumps) / ring.bumps
    centres = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)

    def bumps(actions: Array) -> Array:
        squares = ((actions[..., None, :] - centres) ** 2).sum(-1)
        return np.asarray(np.exp(-ring.sharpness * squares) @ heights)

    def plain(actions: Array) -> Array:
        return np.asarray(np.exp(-ring.curvature * (actions**2).sum(-1) / alpha))

    square = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    partition = float((np.expm1(bumps(square) / alpha) * plain(square)).sum()) * step**2 + math.pi * alpha / ring.curvature
    node, weight = np.polynomial.legendre.leggauss(24)
    length, rays = ring.near * (1 + node) / 2, 2 * np.pi * np.arange(32) / 32
    offsets = length[:, None, None] * np.stack([np.cos(rays), np.sin(rays)], axis=-1)
    inside = centres[:, None, None, :] + offsets
    density = np.exp(bumps(inside) / alpha) * plain(inside) / partition
    mass = np.einsum("jlr,l->j", density, weight * length) * ring.near / 2 * 2 * np.pi / 32
    return alpha * math.log(partition), mass


# --- the policy --------------------------------------------------------------------------------------------------------


class Mixture(eqx.Module):
    """Round Gaussians in the plane: ``log_weights`` (..., K), ``means`` (..., K, 2), ``log_deviations`` (..., K)."""

    log_weights: Any
    means: Any
    log_deviations: Any

    def log_densities(self, actions: Any) -> Any:
        """The experts' log-densities at actions (..., 2), whose leading axes are broadcast against the mixture's: (..., K)."""
        square = ((actions[..., None, :] - self.means) ** 2).sum(-1)
        return -0.5 * square * jnp.exp(-2 * self.log_deviations) - 2 * self.log_deviations - LOG_TWO_PI

    def log_density(self, actions: Any) -> Any:
        """The mixture's log-density at actions (..., 2), shape (...)."""
        logs = self.log_weights + self.log_densities(actions)
        largest = jax.lax.stop_gradient(logs.max(axis=-1))
        return largest + jnp.log(jnp.exp(logs - largest[..., None]).sum(axis=-1))

    def at(self, *leading: Any) -> Mixture:
        """The mixture with new axes in front of that of the experts, by indexing as of arrays."""
        return jax.tree.map(lambda x, n=leading: x[n], self)


def mixture_of(network: MLP, contexts: Any, experts: Any) -> Mixture:
    """The network's mixture in the contexts (..., 2); of its K experts only the first ``experts`` have a weight that is not 0."""
    out = network(contexts.astype(REAL))
    K = out.shape[-1] // 4
    logits = jnp.where(jnp.arange(K) < experts, out[..., :K], -1e9)
    means = 2.0 * out[..., K : 3 * K].reshape(*out.shape[:-1], K, 2)
    deviations = jnp.clip(out[..., 3 * K :] - 0.5, LEAST_LOG_DEVIATION, LARGEST_LOG_DEVIATION)
    return Mixture(jax.nn.log_softmax(logits, axis=-1), means, deviations)


class RingState(eqx.Module):
    """A run: the policy's network and its optimiser's state."""

    network: MLP
    optimiser: Any


@dataclass(frozen=True)
class RingMixture(Experiment):
    r"""Training of a mixture of at most ``experts`` Gaussians on a :class:`Ring`, ``batch`` contexts a step, ``samples`` >= 2
    actions of each expert.

    The experts ascend :math:`\sum_k w_k \, \mathbb{E}_\varepsilon[r(a_k) - \alpha \ln \pi(a_k)]`, :math:`a_k = \mu_k + s_k
    \varepsilon`, with the weights held. The weights learn by the estimator whose flag in ``hyper`` is 1:

    * ``score``: one of the samples' experts is drawn, and its :math:`r - \alpha \ln \pi`, less the mean of the other samples', multiplies the score. Unbiased.
    * ``surrogate``: the square of w - v is descended, v the one-hot of the expert whose action has the largest reward (Ren et al.).
    * ``gumbel``: the straight-through Gumbel-softmax relaxation at the temperature ``relaxation``, for weights and experts alike.

    None of them: the weights stay where the network begins, but for what the shared layers change. Other settings:
    ``experts`` <= the field of that name, ``learning_rate``, ``sees`` (0: the network does not see the context).
    """

    ring: Ring = Ring()
    experts: int = 4
    width: int = 32
    batch: int = 8
    samples: int = 2
    relaxation: float = 0.5

    def __post_init__(self) -> None:
        if self.samples < 2 or self.experts < 1:
            raise InputError(f"a mixture has 1 expert and 2 samples or more, not {self.experts} and {self.samples}.")

    def init(self, key: jax.Array, problem: RingProblem, hyper: Hyper) -> RingState:
        """A fresh network, whose experts begin scattered over the disc of the ring."""
        network = mlp(key, (2, self.width, 4 * self.experts))
        start = jax.random.normal(jax.random.fold_in(key, 1), (2 * self.experts,), dtype=REAL)
        bias = network.biases[-1].at[self.experts : 3 * self.experts].set(0.5 * start)
        network = eqx.tree_at(lambda n: n.biases[-1], network, bias)
        return RingState(network, adam_state(network))

    def update(self, state: RingState, key: jax.Array, problem: RingProblem, hyper: Hyper) -> RingState:
        """One step of Adam on a fresh batch of contexts and actions."""
        shape = (self.batch, self.samples, self.experts)
        # one draw of bits, as every draw of its own takes the compiler a second
        uniform = jax.random.uniform(key, (self.batch, 2 + 3 * self.samples * self.experts), dtype=REAL, minval=1e-7)
        context = 2 * uniform[:, :2] - 1
        normal, other = jnp.split(uniform[:, 2:], [2 * self.samples * self.experts], axis=1)
        noise = math.sqrt(2) * erf_inv(2 * normal - 1).reshape(*shape, 2)
        gumbel = -jnp.log(-jnp.log(other)).reshape(shape)
        gradient = jax.grad(self.loss)(state.network, context, noise, gumbel, problem, hyper)
        network, optimiser = adam_step(state.network, gradient, state.optimiser, hyper["learning_rate"])
        return RingState(network, optimiser)

    def loss(self, network: MLP, context: Any, noise: Any, gumbel: Any, problem: RingProblem, hyper: Mapping[str, Any]) -> Any:
        """What Adam descends: context (B, 2), noise (B, S, K, 2) of the actions and gumbel (B, S, K) of the draws of experts."""
        ring, held = self.ring, jax.lax.stop_gradient
        centres = ring.centres(context, problem.phase).astype(REAL)[:, None]
        heights = problem.heights.astype(REAL)
        policy = mixture_of(network, hyper["sees"] * context, hyper["experts"])
        frozen = held(policy)  # the mean of the score is 0: densities need a gradient in the action alone
        actions = policy.means[:, None] + jnp.exp(policy.log_deviations)[:, None, :, None] * noise
        weights, log_weights = jnp.exp(policy.log_weights)[:, None], policy.log_weights[:, None]
        drawn = held(jax.nn.one_hot(jnp.argmax(log_weights + gumbel, axis=-1), self.experts, dtype=REAL))
        soft = jax.nn.softmax((log_weights + gumbel) / self.relaxation, axis=-1)
        relaxed = ((drawn + soft - held(soft))[..., None] * actions).sum(-2, keepdims=True)

        everywhere = jnp.concatenate([actions, relaxed], axis=-2)
        rewards = ring.reward(everywhere, centres[:, :, None], heights)
        earned = rewards - ring.temperature * frozen.at(slice(None), None, None).log_density(everywhere)
        rewards, earned, blend = held(rewards[..., :-1]), earned[..., :-1], earned[..., -1].mean()

        best = jnp.argmax(jnp.where(held(log_weights) > -1e8, rewards, -jnp.inf), axis=-1)
        surrogate = 0.5 * ((weights - jax.nn.one_hot(best, self.experts, dtype=REAL)) ** 2).sum(-1).mean()

        gain = held((drawn * earned).sum(-1))
        gain = (gain - gain.mean(axis=1, keepdims=True)) * (self.samples / (self.samples - 1))
        score = (gain * (drawn * jnp.maximum(log_weights, -1e4)).sum(-1)).mean()
        expected = (held(weights) * earned).sum(-1).mean()
        return (
            hyper["surrogate"] * surrogate - hyper["score"] * score - hyper["gumbel"] * blend - (1 - hyper["gumbel"]) * expected
        )

    def measure(self, state: RingState, problem: RingProblem, hyper: Hyper) -> Measured:
        """Averages over the contexts of ``problem``.

        ``gap`` = J* - J; ``covered``, the number of bumps that have more than half the mass nearby that the optimal policy
        has; ``collapsed``, whether in most contexts it is fewer than the experts in use (or than the bumps); ``heaviest``,
        the largest weight; ``mass`` (bumps,), the mass near each in the middle context, and ``mass_0``, ``mass_1``, ... its
        entries.
        """
        policy = mixture_of(state.network, hyper["sees"] * problem.contexts, hyper["experts"])
        policy = jax.tree.map(lambda x: x.astype(jnp.float64), policy)
        centres = self.ring.centres(problem.contexts, problem.phase)
        gap = problem.optimum - mixture_objective(self.ring, policy, centres, problem.heights)
        mass = mixture_mass(self.ring, policy, centres)
        covered = (mass > 0.5 * problem.best_mass).sum(axis=-1)
        whole = jnp.minimum(hyper["experts"], self.ring.bumps)
        middle = mass[problem.contexts.shape[0] // 2]
        return {
            "gap": gap.mean(),
            "covered": covered.mean(),
            "collapsed": ((covered < whole).mean() > 0.5) * 1.0,
            "heaviest": jnp.exp(policy.log_weights).max(axis=-1).mean(),
            "mass": middle,
            **{f"mass_{j}": middle[j] for j in range(self.ring.bumps)},
        }


def mixture_objective(ring: Ring, policy: Mixture, centres: Any, heights: Any, nodes: int = 20) -> Any:
    """J of mixtures (..., K) of experts, shape (...): rewards in closed form, entropies by Gauss-Hermite sums around each
    expert.

    Where experts of different deviations overlap, the sums converge slowly: the entropy is then off by up to 1e-3 with 20
    nodes an axis.
    """
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    cloud = np.stack(np.meshgrid(x, x, indexing="ij"), axis=-1).reshape(-1, 2)
    mass = np.outer(w, w).ravel() / (2 * math.pi)
    weights, deviations = jnp.exp(policy.log_weights), jnp.exp(policy.log_deviations)
    rewards = ring.expected_reward(policy.means, deviations, centres[..., None, :, :], heights)
    actions = policy.means[..., None, :] + deviations[..., None, None] * cloud
    spread = Mixture(
        policy.log_weights[..., None, None, :], policy.means[..., None, None, :, :], policy.log_deviations[..., None, None, :]
    )
    logs = spread.log_density(actions)
    return (weights * (rewards - ring.temperature * logs @ mass)).sum(-1)


def mixture_mass(ring: Ring, policy: Mixture, centres: Any) -> Any:
    """The mass of mixtures (..., K) within ``ring.near`` of each of the centres (..., bumps, 2): shape (..., bumps)."""
    distance = jnp.sqrt(((policy.means[..., None, :, :] - centres[..., :, None, :]) ** 2).sum(-1))
    within = disc_mass(distance, jnp.exp(policy.log_deviations)[..., None, :], ring.near)
    return (jnp.exp(policy.log_weights)[..., None, :] * within).sum(-1)


def disc_mass(distance: Any, deviation: Any, radius: float, nodes: int = 160) -> Any:
    r"""The mass that a round Gaussian in the plane has in a disc whose centre is at ``distance`` from its own.

    With s its ``deviation``: :math:`\int_{-\pi/2}^{\pi/2} \varphi_s(R \sin t - d)\, \mathrm{erf}\bigl(R \cos t/(s \sqrt
    2)\bigr) R \cos t\, dt`, by chords across the line of the centres. The integrand is analytic, has the period 2 pi and is
    even about pi/2, so that the sum over ``nodes`` even points converges geometrically.
    """
    t = (np.arange(nodes) + 0.5) * (math.pi / nodes) - math.pi / 2
    s, d = deviation[..., None], distance[..., None]
    density = jnp.exp(-0.5 * ((radius * np.sin(t) - d) / s) ** 2) / (s * math.sqrt(2 * math.pi))
    return (density * erf(radius * np.cos(t) / (s * math.sqrt(2))) * radius * np.cos(t)).sum(-1) * (math.pi / nodes)
