r"""A replay memory without end: transitions of a tabular problem, fresh in every batch.

The pair (s, a) is uniform, the next state follows the kernel, the reward its law given (s, a). A learner fed with these knows
every pair equally well, so that what it still gets wrong is not the fault of its exploration.

Random numbers are the house's (:mod:`theory.random_streams`, SplitMix64): on a CPU, JAX's own take longer than the networks.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from mdplab.neural.networks import REAL
from mdplab.neural.problems import TabularProblem
from theory.errors import InputError

RewardLaw = Literal["bernoulli", "gaussian"]


class Batch(NamedTuple):
    """Transitions, each field of shape (batch,): ``state``, ``action``, ``next_state`` int32, ``reward`` float32."""

    state: jax.Array
    action: jax.Array
    reward: jax.Array
    next_state: jax.Array


def draw(
    key: jax.Array, problem: TabularProblem, batch: int, *, law: RewardLaw = "bernoulli", noise: jax.Array | float = 0.0
) -> Batch:
    """``batch`` independent transitions of one problem (S, A), the pair (s, a) uniform; with 64-bit types switched on.

    ``law`` says how a reward is drawn around its mean r(s, a): ``"bernoulli"`` is 1 with this probability (rewards in [0, 1]),
    else 0; ``"gaussian"`` adds ``noise``, a standard deviation, which may be traced and may be 0. Raises :class:`InputError`
    for another law.
    """
    if law not in ("bernoulli", "gaussian"):
        raise InputError(f'rewards are "bernoulli" or "gaussian"; got {law!r}.')
    S, A = problem.reward.shape
    which, of_reward, where = uniforms(key, 3, batch)
    pair = (which * (S * A)).astype(jnp.int32)
    # The cumulative kernel does not change between steps: the compiler computes it once, before the loop.
    cumulative = jnp.cumsum(jnp.asarray(problem.transition), axis=2).astype(REAL).reshape(S * A, S)
    next_state = (where[:, None] >= cumulative[pair, :-1]).sum(axis=1, dtype=jnp.int32)
    mean = jnp.asarray(problem.reward, REAL).reshape(S * A)[pair]
    if law == "bernoulli":
        reward = (of_reward < mean).astype(REAL)
    else:
        inside = 2 * of_reward - (1 - 2.0**-24)  # symmetric about 0, and away from the ends
        reward = mean + jnp.asarray(noise, REAL) * (2**0.5 * jax.lax.erf_inv(inside))
    return Batch(pair // A, pair % A, reward, next_state)


def uniforms(key: jax.Array, rows: int, size: int) -> jax.Array:
    """Independent numbers of a key, uniform on the multiples of 2^-24 in [0, 1), (rows, size) in float32.

    They are the upper and the lower 24 bits of the entries 0, 1, ... of the SplitMix64 stream that starts at the key's word, as
    :mod:`theory.random_streams` has it. Raises :class:`InputError` unless JAX's 64-bit types are switched on.
    """
    if not jax.config.jax_enable_x64:
        raise InputError("the streams are made of words of 64 bits; switch them on with jax.enable_x64(True).")
    upper, lower = jax.random.key_data(key).astype(jnp.uint64)
    half = (rows + 1) // 2
    entry = jnp.arange(1, half * size + 1, dtype=jnp.uint64).reshape(half, size)
    word = (upper << 32 | lower) + jnp.uint64(0x9E3779B97F4A7C15) * entry
    word = (word ^ word >> 30) * jnp.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ word >> 27) * jnp.uint64(0x94D049BB133111EB)
    word = word ^ word >> 31
    bits = jnp.concatenate([word >> 40, word & 0xFFFFFF])[:rows]
    return bits.astype(jnp.int32).astype(REAL) * 2.0**-24
