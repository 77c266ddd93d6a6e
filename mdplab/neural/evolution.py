"""Evolution strategies: the gradient of a loss that is smoothed over the weights, from losses alone (Salimans et al. 2017, 1703.03864)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from mdplab.neural.networks import REAL
from theory.errors import InputError

Tree = TypeVar("Tree")


def antithetic_gradient(
    key: jax.Array, network: Tree, loss: Callable[[Tree], tuple[jax.Array, Any]], pairs: int, deviation: jax.Array | float
) -> tuple[Tree, Any]:
    r"""An unbiased estimate of the gradient of :math:`\mathbb{E}\, \text{loss}(w + \sigma \varepsilon)`, :math:`\varepsilon` standard normal.

    :math:`\frac{1}{2 \sigma n} \sum_j (\text{loss}(w + \sigma \varepsilon_j) - \text{loss}(w - \sigma \varepsilon_j)) \varepsilon_j` over n = ``pairs`` mirrored pairs:
    a population of 2n networks, evaluated at once. What is even in a move, such as the curvature of the loss, drops out. ``deviation`` is
    :math:`\sigma > 0` and may be traced. ``loss`` maps a network to its loss and to whatever else is to be kept; the second result has that of all members,
    with a leading axis of 2n. What is random in the loss should be the same for every member.
    """
    if pairs < 1:
        raise InputError(f"a population has at least one pair, not {pairs}.")
    flat, rebuild = ravel_pytree(network)
    sigma = jnp.asarray(deviation, REAL)
    moves = jax.random.normal(key, (pairs, flat.size), dtype=REAL)
    members = flat + sigma * jnp.concatenate([moves, -moves])
    losses, kept = jax.vmap(lambda member: loss(rebuild(member)))(members)
    gradient: Tree = rebuild((losses[:pairs] - losses[pairs:]).astype(REAL) @ moves / (2 * pairs * sigma))
    return gradient, kept
