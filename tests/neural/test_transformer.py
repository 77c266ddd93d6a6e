"""The transformer on a tree: against one written out in NumPy for every sequence by itself; narrow networks within wide ones;
layouts."""

import functools

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs the extra neural")

import jax
import jax.numpy as jnp

from mdplab.models.token_tree import path_sums
from mdplab.neural.transformer import leaf_sums, levels_of, next_token_logits, prefixes, transformer
from theory.errors import InputError

A, H, D, HEADS = 3, 4, 8, 2
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})  # compiling is all the time there is


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def unit(x):
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-6)


def last_logits(network, sequence):
    """The logits after a prefix: causal attention over its tokens, from the formulas."""
    symbols = [A, *sequence]
    stream = np.array([network.token[a] + network.place[t] for t, a in enumerate(symbols)])
    seen, added = unit(stream), 0
    for h in range(HEADS):
        q, k, v = seen @ network.query[h], seen @ network.key[h], seen @ network.value[h]
        score = k @ q[-1] / np.sqrt(k.shape[1])
        weight = np.exp(score - score.max())
        added = added + (weight / weight.sum()) @ v @ network.out[h]
    x = stream[-1] + added
    x = x + gelu(unit(x) @ network.inward + network.bias) @ network.outward
    return unit(x) @ network.logits


def prefix_of(node):
    """The tokens of a prefix, from its number in the heap."""
    tokens = []
    while node:
        node, a = divmod(node - 1, A)
        tokens.append(a)
    return tokens[::-1]


@pytest.fixture(scope="module")
def double():
    """Random weights of every kind, biases too, in float64."""
    with jax.enable_x64(True):
        network = jit(lambda key: transformer(key, A, H, D, heads=HEADS))(jax.random.key(1))
        rng = np.random.default_rng(0)
        network = jax.tree.map(lambda w: np.asarray(w, dtype=float) + 0.1 * rng.standard_normal(w.shape), network)
        logits = np.asarray(jit(next_token_logits)(network))
    return network, logits


def test_all_prefixes_at_once_are_each_by_itself(double):
    network, logits = double
    assert logits.shape == ((A**H - 1) // (A - 1), A)
    expected = np.array([last_logits(network, prefix_of(n)) for n in range(len(logits))])
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-12)


def test_narrow_networks_are_wide_ones_with_zeros():
    wide = jax.tree.map(np.asarray, jit(lambda key: transformer(key, A, 3, D, heads=HEADS, active=4))(jax.random.key(2)))
    narrow = type(wide)(
        token=wide.token[:, :4],
        place=wide.place[:, :4],
        query=wide.query[:, :4, :2],
        key=wide.key[:, :4, :2],
        value=wide.value[:, :4, :2],
        out=wide.out[:, :2, :4],
        inward=wide.inward[:4, :8],
        bias=wide.bias[:8],
        outward=wide.outward[:8, :4],
        logits=wide.logits[:4],
    )
    assert (
        sum(int((np.asarray(leaf) != 0).sum()) for leaf in jax.tree.leaves(wide))
        == sum(leaf.size for leaf in jax.tree.leaves(narrow)) - narrow.bias.size
    )

    @jit
    def both(wide, narrow):
        gradient = jax.grad(lambda network: (next_token_logits(network, 4.0) ** 2).sum())(wide)
        return next_token_logits(wide, 4.0), next_token_logits(narrow), gradient

    first, second, gradient = both(wide, narrow)
    np.testing.assert_allclose(first, second, rtol=0, atol=2e-6)
    for weight, slope in zip(jax.tree.leaves(wide), jax.tree.leaves(gradient)):
        if weight.ndim > 1:
            assert not np.asarray(slope)[np.asarray(weight) == 0].any()
    assert not np.asarray(gradient.bias)[8:].any()


def test_weights_have_the_variance_of_lecun():
    network = jit(lambda key: transformer(key, 3, 2, 64, active=32))(jax.random.key(0))
    assert np.asarray(network.inward)[:32, :64].std() == pytest.approx(1 / np.sqrt(32), rel=0.1)
    assert np.asarray(network.outward)[:64, :32].std() == pytest.approx(1 / 8, rel=0.1)


def test_sums_along_responses_and_levels():
    nodes = np.random.default_rng(0).standard_normal((13, 3))
    levels = levels_of(nodes)
    assert [level.shape for level in levels] == [(1, 3), (3, 3), (9, 3)]
    with jax.enable_x64(True):
        np.testing.assert_allclose(leaf_sums(jnp.asarray(nodes)), path_sums(levels), rtol=0, atol=1e-14)


def test_masks_say_what_a_prefix_reads():
    token, place, last, read = prefixes(3, 4)
    assert token.shape == (10, 4)
    assert place.shape == (10, 4)
    for n in (0, 1, 7, 39):
        tokens = prefix_of(n)
        symbols = [0, *(1 + 3 * t + a for t, a in enumerate(tokens))]
        np.testing.assert_array_equal(np.flatnonzero(read[n]), symbols)
        assert np.flatnonzero(last[n]) == symbols[-1]
        assert list(np.argmax(token[symbols[1:]], axis=1)) == tokens


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: transformer(jax.random.key(0), 3, 2, 5), "5 channels cannot have 2 heads"),
        (lambda: prefixes(1, 3), "tree of 1 tokens"),
        (lambda: prefixes(4, 10), "more than 131072 prefixes"),
        (lambda: levels_of(np.zeros((5, 3))), "not 5"),
    ],
)
def test_bad_input_is_one_sentence(call, message):
    with pytest.raises(InputError, match=message):
        call()
