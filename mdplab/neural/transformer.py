r"""A small causal transformer that is evaluated on every prefix of a token tree at once.

One layer: the embedding of the last token and of its position, attention to the prefix, a multilayer perceptron, both added to
the residual stream, and the logits of the next token. The inputs of both blocks and of the logits have root mean square 1.

With one layer, what attention reads at a place depends on the place and the token there alone. All prefixes of the tree
together read only 1 + (H-1) A such *symbols* (the beginning of the sequence, and A tokens at each later place), though there
are (A^H - 1)/(A - 1) prefixes: queries, keys and values are computed once for each symbol, and a prefix is a mask over them.
The evaluation is exact, all of it dense products of matrices, and costs as much for the tree as a multilayer perceptron on its
prefixes.

A prefix is a node of a heap: the empty one is 0, and prefix n continued by token a is number A n + 1 + a, so that levels come
one after another, each in the order of :class:`mdplab.models.token_tree.TokenTree`.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from mdplab.neural.networks import REAL
from theory.errors import InputError

Floats = NDArray[np.float32]
MOST_PREFIXES = 1 << 17


class Transformer(eqx.Module):
    """Weights of a transformer over A tokens and H steps, with D channels, h heads and F hidden units.

    ``token`` (A + 1, D), the last row for the beginning of the sequence; ``place`` (H, D); ``query``, ``key``, ``value``
    (h, D, D/h), ``out`` (h, D/h, D); ``inward`` (D, F), ``bias`` (F,), ``outward`` (F, D); ``logits`` (D, A).
    """

    token: Any
    place: Any
    query: Any
    key: Any
    value: Any
    out: Any
    inward: Any
    bias: Any
    outward: Any
    logits: Any


def transformer(
    key: jax.Array, tokens: int, length: int, width: int, *, heads: int = 2, active: jax.Array | float | None = None
) -> Transformer:
    """A fresh :class:`Transformer` of ``width`` channels and twice as many hidden units, normal weights of LeCun's variance.

    With ``active`` (a number up to ``width``, a multiple of ``heads``; it may be traced) all weights from and to the other
    channels are 0: that is the transformer of ``active`` channels, and gradient descent keeps it so, because the gradients by
    these weights are 0 as well. So networks of several widths are trained by one compiled program.

    Raises :class:`InputError` for a width that the heads do not divide.
    """
    if width % heads or min(tokens, length, width, heads) < 1:
        raise InputError(f"a transformer of {width} channels cannot have {heads} heads: they share the channels evenly.")
    d = width // heads
    live = width if active is None else active
    channel = jnp.arange(width) < live
    inner = jnp.arange(d) * heads < live
    hidden = jnp.arange(2 * width) < 2 * jnp.asarray(live)
    shapes: dict[str, tuple[tuple[int, ...], Any, tuple[Any, ...]]] = {
        # the shape, the number of channels that are summed, and which rows and columns live
        "token": ((tokens + 1, width), 1, (True, channel)),
        "place": ((length, width), 1, (True, channel)),
        "query": ((heads, width, d), live, (channel, inner)),
        "key": ((heads, width, d), live, (channel, inner)),
        "value": ((heads, width, d), live, (channel, inner)),
        "out": ((heads, d, width), live, (inner, channel)),
        "inward": ((width, 2 * width), live, (channel, hidden)),
        "outward": ((2 * width, width), 2 * live, (hidden, channel)),
        "logits": ((width, tokens), live, (channel, True)),
    }
    sizes = [math.prod(shape) for shape, _, _ in shapes.values()]
    drawn = jax.random.normal(key, (sum(sizes),), dtype=REAL)
    weights, first = {}, 0
    for size, (name, (shape, inward, (rows, columns))) in zip(sizes, shapes.items()):
        alive = jnp.reshape(rows, (-1, 1)) & jnp.reshape(columns, (1, -1))
        scaled = drawn[first : first + size].reshape(shape) / jnp.sqrt(jnp.asarray(inward, REAL))
        weights[name] = jnp.where(alive, scaled, jnp.zeros((), REAL))
        first += size
    return Transformer(bias=jnp.zeros(2 * width, dtype=REAL), **weights)


@functools.lru_cache(maxsize=16)
def prefixes(tokens: int, length: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Which symbols the prefixes of a tree read, as masks of zeros and ones.

    The symbols' tokens (W, A + 1) and places (W, H), and of each prefix the last symbol (N, W) and all symbols (N, W), for W =
    1 + (H-1) A and N = (A^H - 1)/(A - 1) prefixes of up to H - 1 tokens. Raises :class:`InputError` for trees of fewer than two
    tokens or one step, and of more than 131072 prefixes.
    """
    A, H = tokens, length
    if A < 2 or H < 1 or (A**H - 1) // (A - 1) > MOST_PREFIXES:
        raise InputError(f"a tree of {A} tokens and {H} steps is too small or has more than {MOST_PREFIXES} prefixes.")
    N, W = (A**H - 1) // (A - 1), 1 + (H - 1) * A
    token, place = np.zeros((W, A + 1), np.float32), np.zeros((W, H), np.float32)
    token[0, A] = place[0, 0] = 1
    for w in range(1, W):
        token[w, (w - 1) % A] = place[w, 1 + (w - 1) // A] = 1
    last, read = np.zeros((N, W), np.float32), np.zeros((N, W), np.float32)
    last[0, 0] = read[0, 0] = 1
    depth = np.zeros(N, dtype=int)
    for n in range(1, N):
        parent, a = divmod(n - 1, A)
        depth[n] = depth[parent] + 1
        w = 1 + (depth[n] - 1) * A + a
        last[n, w] = 1
        read[n] = read[parent]
        read[n, w] = 1
    return token, place, last, read


def next_token_logits(network: Transformer, active: jax.Array | float | None = None) -> jax.Array:
    """The logits of the next token after every prefix, (N, A); in the precision of the weights.

    ``active`` is what :func:`transformer` was told.
    """
    length, width = network.place.shape
    real = network.token.dtype
    token, place, last, read = (jnp.asarray(mask, real) for mask in prefixes(network.logits.shape[1], length))
    live = jnp.asarray(width if active is None else active, real)
    symbol = token @ network.token + place @ network.place  # (W, D)
    seen = _unit(symbol, live)
    q, k, v = (jnp.einsum("wd,hde->hwe", seen, weight) for weight in (network.query, network.key, network.value))
    scale = jnp.sqrt(network.query.shape[0] / live)  # one over the root of the channels of a head
    score = jnp.einsum("hue,hwe->huw", q, k) * scale
    weight = jax.nn.softmax(jnp.einsum("nu,huw->hnw", last, score), axis=-1, where=read > 0)
    stream = last @ symbol + jnp.einsum("hnw,hwd->nd", weight, jnp.einsum("hwe,hed->hwd", v, network.out))
    stream = stream + jax.nn.gelu(_unit(stream, live) @ network.inward + network.bias) @ network.outward
    return _unit(stream, live) @ network.logits


def log_policy(network: Transformer, active: jax.Array | float | None = None) -> jax.Array:
    """The log-probabilities of the next token after every prefix, (N, A)."""
    return jax.nn.log_softmax(next_token_logits(network, active), axis=-1)


def leaf_sums(nodes: jax.Array) -> jax.Array:
    """For numbers on edges, (N, A), their sums along each response, (A^H,): :func:`mdplab.models.token_tree.path_sums` of a
    heap."""
    total = jnp.zeros(1, dtype=nodes.dtype)
    first, A = 0, nodes.shape[1]
    while first < nodes.shape[0]:
        size = total.size
        total = (total[:, None] + nodes[first : first + size]).reshape(size * A)
        first += size
    return total


def levels_of(nodes: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """An array (N, A) over the heap of prefixes as the levels (A^t, A) of a token tree, t = 0 .. H-1."""
    N, A = nodes.shape
    H = round(math.log(N * (A - 1) + 1, A))
    ends = [(A**t - 1) // (A - 1) for t in range(H + 1)]
    if ends[-1] != N:
        raise InputError(f"the prefixes of a tree of {A} tokens are 1 + {A} + ... in number, not {N}.")
    return tuple(nodes[low:high] for low, high in itertools.pairwise(ends))


def _unit(x: jax.Array, live: jax.Array) -> jax.Array:
    """Rows of root mean square 1 over the live channels."""
    return x * jax.lax.rsqrt((x * x).sum(axis=-1, keepdims=True) / live + jnp.asarray(1e-6, x.dtype))
