r"""A learned schedule of step sizes: a network maps (k/N, log N) to the step size of step k of N.

Jackson et al. (2024, 2402.05828) let a discovered algorithm see how much of its training is left. In miniature the algorithm is a schedule for
gradient descent on a noisy quadratic (:mod:`mdplab.learning.noisy_quadratic`), where the expected loss of a schedule is exact,
and the best constant and the best schedule are known. The network is trained by evolution strategies on the mean of the log-losses of a few
horizons N, and measured on others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mdplab.learning.noisy_quadratic import NoisyQuadratic
from mdplab.neural.evolution import antithetic_gradient
from mdplab.neural.networks import MLP, REAL, adam_state, adam_step, mlp
from mdplab.neural.training import Experiment, Hyper, Measured
from theory.errors import InputError


class QuadraticProblem(eqx.Module):
    """A noisy quadratic as arrays: ``curvatures``, ``noise``, ``start`` (d,), and the largest step size ``most`` ()."""

    curvatures: Any
    noise: Any
    start: Any
    most: Any


def stack_quadratics(problems: Sequence[NoisyQuadratic], most: float | None = None) -> QuadraticProblem:
    """The problems, stacked; step sizes up to ``most``, or up to where each is stable. InputError unless of one dimension."""
    if len({len(problem.curvatures) for problem in problems}) != 1:
        raise InputError("the quadratics of a stack have the same number of coordinates, and there is at least one.")
    return QuadraticProblem(
        curvatures=np.array([problem.curvatures for problem in problems]),
        noise=np.array([problem.noise for problem in problems]),
        start=np.array([problem.start for problem in problems]),
        most=np.array([problem.stable if most is None else most for problem in problems]),
    )


def schedules(
    network: MLP, problem: QuadraticProblem, horizons: Sequence[int], sees_time: jax.Array | float = 1.0
) -> jax.Array:
    """The step sizes of the network for each horizon, (longest, horizons), with zeros at the front of the shorter ones.

    A step size is ``most`` times the sigmoid of the output. The inputs are 3 (2 k/N - 1) (times ``sees_time``, so that 0 hides it) and log(N/50).
    """
    longest = max(horizons)
    N = np.concatenate([np.full(n, n) for n in horizons])
    k = np.concatenate([np.arange(n) for n in horizons])
    seen = jnp.asarray(3 * (2 * k / N - 1), REAL) * jnp.asarray(sees_time, REAL)
    output = network(jnp.stack([seen, jnp.asarray(np.log(N / 50), REAL)], axis=1))[:, 0]
    steps = problem.most.astype(REAL) * jax.nn.sigmoid(output)
    # the place of each entry in the padded table, or one past the end, where a 0 stands
    place = np.full((longest, len(horizons)), N.size)
    for column, n in enumerate(horizons):
        place[longest - n :, column] = sum(horizons[:column]) + np.arange(n)
    return jnp.append(steps, jnp.zeros(1, REAL))[place]


def final_losses(problem: QuadraticProblem, steps: jax.Array) -> jax.Array:
    """The expected loss after the schedules ``steps`` (N, ...), in the precision of these; the twin of ``noisy_quadratic.expected_loss``."""
    kind = steps.dtype
    h, n, e = (jnp.asarray(a, kind) for a in (problem.curvatures, problem.noise, problem.start))

    def step(moments: jax.Array, rate: jax.Array) -> tuple[jax.Array, None]:
        return (1 - rate[..., None] * h) ** 2 * moments + rate[..., None] ** 2 * n, None

    moments, _ = jax.lax.scan(step, jnp.broadcast_to(e, (*steps.shape[1:], e.size)), steps)
    return 0.5 * moments @ h


@dataclass(frozen=True)
class LearnedSchedule(Experiment):
    """Meta-training of a schedule by evolution strategies; one update is a generation of 2 ``pairs`` networks of ``width`` hidden units.

    Problems are a :class:`QuadraticProblem`. Hyperparameters: ``sees_time`` (1: the network sees k/N; 0: it does not), ``learning_rate`` (of
    Adam, falling linearly to a hundredth), ``deviation`` of the population, ``generations`` after which the rate has fallen. Measured: the expected loss ``trained`` at
    the horizons trained on and ``held_out`` at the others, and the step sizes at these as ``schedule`` (longest,
    horizons), as :func:`schedules` lays them out.
    """

    horizons: tuple[int, ...] = (10, 30, 100)
    held_out: tuple[int, ...] = (17, 55)
    width: int = 16
    pairs: int = 16

    def init(self, key: jax.Array, problem: QuadraticProblem, hyper: Hyper) -> Any:
        network = mlp(key, (2, self.width, 1), last=0.1)
        return network, adam_state(network), jnp.zeros((), jnp.int32)

    def update(self, state: Any, key: jax.Array, problem: QuadraticProblem, hyper: Hyper) -> Any:
        network, adam, generation = state

        def loss(member: MLP) -> tuple[jax.Array, None]:
            return jnp.log(final_losses(problem, schedules(member, problem, self.horizons, hyper["sees_time"]))).mean(), None

        gradient, _ = antithetic_gradient(key, network, loss, self.pairs, hyper["deviation"])
        left = jnp.maximum(1 - generation / hyper["generations"], 0.01)
        network, adam = adam_step(network, gradient, adam, hyper["learning_rate"] * left)
        return network, adam, generation + 1

    def measure(self, state: Any, problem: QuadraticProblem, hyper: Hyper) -> Measured:
        network, _, _ = state

        def steps(horizons: tuple[int, ...]) -> jax.Array:
            return schedules(network, problem, horizons, hyper["sees_time"]).astype(jnp.float64)

        held_out = steps(self.held_out)
        return {
            "trained": final_losses(problem, steps(self.horizons)),
            "held_out": final_losses(problem, held_out),
            "schedule": held_out,
        }
