"""Networks: multilayer perceptrons as pytrees of arrays, and their optimiser.

Weights are float32 (:data:`REAL`), whatever the precision around them is. A network acts on the last axis of its input, so that
batches need no ``vmap``; an ensemble is a network whose leaves have a leading axis (:func:`ensemble`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

REAL = jnp.float32
Activation = Literal["tanh", "relu", "gelu"]
ACTIVATIONS: dict[Activation, Callable[[jax.Array], jax.Array]] = {"tanh": jnp.tanh, "relu": jax.nn.relu, "gelu": jax.nn.gelu}
Tree = TypeVar("Tree")


class MLP(eqx.Module):
    r"""A multilayer perceptron :math:`x \mapsto W_L\, \sigma(\dots \sigma(W_1 x + b_1) \dots) + b_L`, (..., d_0) to (..., d_L).

    ``weights[l]`` has the shape (d_{l-1}, d_l), ``biases[l]`` (d_l,).
    """

    weights: tuple[jax.Array, ...]
    biases: tuple[jax.Array, ...]
    activation: Activation = eqx.field(static=True)

    def __call__(self, x: jax.Array) -> jax.Array:
        act = ACTIVATIONS[self.activation]
        for weight, bias in zip(self.weights[:-1], self.biases[:-1]):
            x = act(x @ weight + bias)
        return x @ self.weights[-1] + self.biases[-1]


def mlp(key: jax.Array, sizes: Sequence[int], *, activation: Activation = "tanh", last: float = 1.0) -> MLP:
    r"""A fresh :class:`MLP` with layers of the ``sizes`` (d_0, ..., d_L).

    Weights are normal with variance :math:`1/d_{l-1}` (LeCun's), times ``last``\ :sup:`2` in the last layer: 0 begins with the constant 0.
    Biases are 0.
    """
    keys = jax.random.split(key, len(sizes) - 1)
    scales = [1 / math.sqrt(inward) for inward in sizes[:-1]]
    scales[-1] *= last
    weights = tuple(
        scale * jax.random.normal(k, (inward, outward), dtype=REAL)
        for k, scale, inward, outward in zip(keys, scales, sizes[:-1], sizes[1:])
    )
    return MLP(weights, tuple(jnp.zeros(outward, dtype=REAL) for outward in sizes[1:]), activation)


def ensemble(make: Callable[[jax.Array], Tree], key: jax.Array, members: int) -> Tree:
    """``members`` networks made from independent keys, with the member as the leading axis of every leaf."""
    return jax.vmap(make)(jax.random.split(key, members))


def adam_step(
    network: Tree, gradient: Tree, state: optax.OptState, learning_rate: jax.Array | float, **options: float
) -> tuple[Tree, optax.OptState]:
    """One step of Adam (Kingma and Ba 2015) downwards: the network and the optimiser's state after it.

    ``state`` begins as ``adam_state(network)``; ``options`` are those of ``optax.adam`` (b1, b2, eps). The rate may be traced.
    """
    updates, state = optax.scale_by_adam(**options).update(gradient, state)
    moved = jax.tree.map(lambda w, u: w - jnp.asarray(learning_rate, REAL) * u, network, updates)
    return moved, state


def adam_state(network: object) -> optax.OptState:
    """The state of :func:`adam_step` before its first step."""
    return optax.scale_by_adam().init(network)


def polyak(target: Tree, network: Tree, rate: jax.Array | float) -> Tree:
    """The exponential average: (1 - rate) target + rate network, leaf by leaf."""
    return jax.tree.map(lambda old, new: old + jnp.asarray(rate, REAL) * (new - old), target, network)
