"""Sequential advantages against conditional expectations one by one, the tilted policies against their formulas, and refusals."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games.advantage_decomposition import (
    conditionals,
    greedy_refinement,
    joint_awr,
    marginal_advantages,
    prefix_values,
    sequential_advantages,
    sequential_awr,
    simultaneous_awr,
)
from theory.errors import InputError

shapes = st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple)
seeds = st.integers(0, 10**6)
temperatures = st.sampled_from([0.05, 0.3, 1.0, 20.0])


def drawn(shape: tuple[int, ...], seed: int, S: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Joint values and a correlated behaviour law."""
    rng = np.random.default_rng(seed)
    mu = rng.dirichlet(np.ones(int(np.prod(shape))), S).reshape(S, *shape)
    return rng.standard_normal((S, *shape)), np.maximum(mu, 1e-12) / np.maximum(mu, 1e-12).reshape(S, -1).sum(1).reshape(
        -1, *(1,) * len(shape)
    )


@settings(max_examples=60, deadline=None)
@given(shape=shapes, seed=seeds)
def test_against_conditional_expectations(shape: tuple[int, ...], seed: int) -> None:
    Q, mu = drawn(shape, seed)
    values, parts, laws = prefix_values(Q, mu), sequential_advantages(Q, mu), conditionals(mu)
    n = len(shape)
    assert len(values) == n + 1
    assert len(parts) == len(laws) == n
    for m in range(n + 1):
        for s in range(2):
            for prefix in itertools.product(*(range(k) for k in shape[:m])):
                rest = (s, *prefix)
                expected = (mu[rest] * Q[rest]).sum() / mu[rest].sum()
                assert values[m][rest] == pytest.approx(expected, abs=1e-12)
                if m:
                    assert parts[m - 1][rest] == pytest.approx(values[m][rest] - values[m - 1][rest[:-1]], abs=1e-14)
                    assert laws[m - 1][rest] == pytest.approx(mu[rest].sum() / mu[rest[:-1]].sum(), rel=1e-12)
    total = np.zeros((2, *(1,) * n))
    for i, part in enumerate(parts, start=1):
        total = total + part.reshape(*part.shape, *(1,) * (n - i))
    np.testing.assert_allclose(total, Q - values[0].reshape(-1, *(1,) * n), atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(shape=shapes, seed=seeds, beta=temperatures)
def test_policies_against_their_formulas(shape: tuple[int, ...], seed: int, beta: float) -> None:
    Q, mu = drawn(shape, seed)
    flat = (2, -1)
    joint = mu * np.exp((Q - Q.max()) / beta)
    joint /= joint.reshape(flat).sum(axis=1).reshape(-1, *(1,) * len(shape))
    np.testing.assert_allclose(joint_awr(Q, mu, beta), joint, rtol=1e-9, atol=1e-300)
    sequential = sequential_awr(Q, mu, beta)
    np.testing.assert_allclose(sequential.reshape(flat).sum(axis=1), 1.0, rtol=1e-12)
    # pi_S times its normalisers is what pi_J is proportional to
    normalisers = np.ones(mu.shape)
    for i, (law, part) in enumerate(zip(conditionals(mu), sequential_advantages(Q, mu))):
        z = (law * np.exp(part / beta)).sum(axis=-1)
        normalisers = normalisers * z.reshape(*z.shape, *(1,) * (len(shape) - i))
    weights = sequential * normalisers
    weights /= weights.reshape(flat).sum(axis=1).reshape(-1, *(1,) * len(shape))
    np.testing.assert_allclose(weights, joint, rtol=1e-8, atol=1e-250)
    if len(shape) == 1:  # one agent: all three are the same
        np.testing.assert_allclose(sequential, joint, rtol=1e-9, atol=1e-300)
        np.testing.assert_allclose(simultaneous_awr(Q, mu, beta), joint, rtol=1e-9, atol=1e-300)


@settings(max_examples=40, deadline=None)
@given(shape=shapes, seed=seeds, shift=st.floats(-5, 5), scale=st.floats(0.1, 5))
def test_shifts_scales_and_limits(shape: tuple[int, ...], seed: int, shift: float, scale: float) -> None:
    Q, mu = drawn(shape, seed)
    for build in (joint_awr, sequential_awr, simultaneous_awr):
        np.testing.assert_allclose(build(scale * Q + shift, mu, scale * 0.7), build(Q, mu, 0.7), rtol=1e-8, atol=1e-14)
        hot = build(Q, mu, 1e9)  # no tilt is left; the simultaneous policy forgets the correlation
        if build is not simultaneous_awr:
            np.testing.assert_allclose(hot, mu, rtol=1e-7)
    chosen, gained = greedy_refinement(Q, mu)
    cold = sequential_awr(Q, mu, 1e-4)
    A = Q - prefix_values(Q, mu)[0].reshape(-1, *(1,) * len(shape))
    for s in range(2):
        assert A[(s, *chosen[s])] == pytest.approx(gained[s], abs=1e-12)
        assert gained[s] >= -1e-12
        margins = [np.sort(part[(s, *chosen[s][:i])])[::-1] for i, part in enumerate(sequential_advantages(Q, mu))]
        if all(m.size == 1 or m[0] - m[1] > 0.01 for m in margins):
            assert cold[(s, *chosen[s])] == pytest.approx(1.0, abs=1e-9)


def test_marginal_advantages_and_the_clash() -> None:
    """Each of two agents does well to take its first action, and both together earn nothing; by hand."""
    Q = np.array([[[0.0, 1.0], [1.0, -1.0]]])
    mu = np.full((1, 2, 2), 0.25)
    first, second = marginal_advantages(Q, mu)
    np.testing.assert_allclose(first, [[0.25, -0.25]])
    np.testing.assert_allclose(second, [[0.25, -0.25]])
    assert simultaneous_awr(Q, mu, 0.01)[0, 0, 0] == pytest.approx(1.0)
    assert sequential_awr(Q, mu, 0.01)[0, 0, 1] == pytest.approx(1.0)
    chosen, gained = greedy_refinement(Q, mu)
    assert chosen.tolist() == [[0, 1]]
    assert gained.tolist() == [0.75]
    # additive values and independent agents leave no interaction: then all policies agree
    additive = np.add.outer([0.3, -1.0], [0.5, 0.0, 2.0])[None]
    independent = np.multiply.outer([0.2, 0.8], [0.5, 0.25, 0.25])[None]
    for build in (sequential_awr, simultaneous_awr):
        np.testing.assert_allclose(build(additive, independent, 0.5), joint_awr(additive, independent, 0.5), rtol=1e-12)


def test_rational_twin() -> None:
    """The decomposition in rational arithmetic, on a 2 by 3 game with a correlated behaviour."""
    weights = [[3, 1, 4], [1, 5, 2]]
    payoffs = [[2, -1, 0], [7, 3, -4]]
    total = sum(map(sum, weights))
    mean = Fraction(sum(w * q for ws, qs in zip(weights, payoffs) for w, q in zip(ws, qs)), total)
    rows = [Fraction(sum(w * q for w, q in zip(ws, qs)), sum(ws)) for ws, qs in zip(weights, payoffs)]
    first, second = sequential_advantages(np.array([payoffs], dtype=float), np.array([weights]) / total)
    for i in range(2):
        assert first[0, i] == pytest.approx(float(rows[i] - mean), abs=1e-15)
        for j in range(3):
            assert second[0, i, j] == pytest.approx(float(payoffs[i][j] - rows[i]), abs=1e-15)


Q0, MU = np.zeros((1, 2, 2)), np.full((1, 2, 2), 0.25)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: conditionals(np.ones(3)), r"shape \(S, K_1, ..., K_n\), not \(3,\)"),
        (lambda: conditionals(np.array([[[0.5, 0.0], [0.25, 0.25]]])), r"joint action \(0, 1\) in state 0 the probability 0.0"),
        (lambda: conditionals(np.array([[0.5, np.nan]])), r"\(1,\) in state 0 the probability nan"),
        (lambda: conditionals(np.full((1, 2, 2), 0.3)), "sums to 1.2 in state 0"),
        (lambda: prefix_values(np.zeros((1, 2)), MU), r"shape \(1, 2\), the behaviour law \(1, 2, 2\)"),
        (lambda: sequential_advantages(np.full((1, 2, 2), np.inf), MU), r"joint action \(0, 0\) in state 0 is inf"),
        (lambda: joint_awr(Q0, MU, 0.0), "positive and finite, not 0.0"),
        (lambda: sequential_awr(Q0, MU, -1.0), "not -1.0"),
        (lambda: simultaneous_awr(Q0, MU, np.inf), "not inf"),
    ],
)
def test_refusals(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
