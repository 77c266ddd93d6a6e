"""Jump processes: exponentials against SciPy, the h-transform against its definition, divergences of paths, families, errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from mdplab.models.errors import ModelError
from mdplab.models.jump_process import JumpProcess, complete, masked_diffusion, random_jump_process
from mdplab.solvers.continuous_time import (
    controlled_rates,
    divergence_rate,
    exponentials,
    h_transform,
    objective,
    path_divergence,
    pretrained_rates,
    process_marginals,
    quadrature,
    transitions,
)
from theory.divergences import kl
from theory.errors import InputError

seeds = st.integers(0, 10**6)


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 6), st.sampled_from([0.0, 1e-6, 0.3, 5.0, 60.0]))
def test_exponentials_agree_with_scipy(seed, S, speed):
    Q = complete(speed * np.random.default_rng(seed).exponential(size=(4, S, S)))
    ours = exponentials(Q)
    np.testing.assert_allclose(ours, expm(Q), atol=1e-12)
    np.testing.assert_allclose(ours.sum(axis=-1), 1, atol=1e-12)
    assert (ours >= 0).all()


def test_what_cannot_be_reached_stays_unreachable():
    p = masked_diffusion(tokens=2, seed=1)
    move = transitions(p, [0.0, 1.0])[0]
    size = 3
    a, b = np.divmod(np.arange(size**2), size)
    for x in range(size**2):
        lost = ((a[x] > 0) & (a != a[x])) | ((b[x] > 0) & (b != b[x]))
        assert (move[x, lost] == 0).all()
        assert (move[x, ~lost] > 0).all()


def test_two_states_by_hand():
    """Constant rates q and s between two states: the law relaxes like exp(-(q + s) t)."""
    q, s = 0.7, 1.6
    p = JumpProcess([1.0, 0.0], [[[0.0, q], [s, 0.0]]], [0.0, 1.0])
    times = np.array([0.0, 0.1, 0.5, 1.0])
    law = q / (q + s) * (1 - np.exp(-(q + s) * times))
    np.testing.assert_allclose(process_marginals(p, times)[:, 1], law, atol=1e-14)
    alpha = 0.4
    solved = h_transform(p, alpha, times)
    for t, log_h in zip(times, solved.log_h):
        up = q / (q + s) * (1 - np.exp(-(q + s) * (1 - t)))
        np.testing.assert_allclose(log_h[0], np.log(1 - up + up * np.exp(1 / alpha)), atol=1e-13)
    np.testing.assert_array_equal(solved.value, alpha * solved.log_h)


@settings(max_examples=15, deadline=None)
@given(seeds, st.booleans(), st.sampled_from([0.5, 3.0]))
def test_refining_the_grid_changes_nothing(seed, point, alpha):
    p = random_jump_process(S=3, pieces=3, point=point, seed=seed)
    coarse = h_transform(p, alpha)
    grid = np.unique(np.concatenate(([0.05, 0.4, 0.41], coarse.times)))
    fine = h_transform(p, alpha, grid)
    shared = np.isin(grid, coarse.times)
    np.testing.assert_allclose(fine.log_h[shared], coarse.log_h, atol=1e-12)
    np.testing.assert_allclose(fine.marginals[shared], coarse.marginals, atol=1e-12)
    np.testing.assert_allclose(np.exp(fine.log_kernels).sum(axis=-1), 1, atol=1e-12)
    # the reward's scale and the temperature cancel; a constant reward is no reward
    twice = JumpProcess(p.start, p.rates * (1 - np.eye(3)), 2 * p.reward + 7)
    np.testing.assert_allclose(h_transform(twice, 2 * alpha).marginals, coarse.marginals, atol=1e-12)


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_rates_are_the_derivative_of_the_kernels(seed):
    p = random_jump_process(S=3, pieces=2, seed=seed)
    d = 1e-6
    for t in (0.2, 0.7):
        solved = h_transform(p, 1.0, [0.0, t, t + d, 1.0])
        slope = (np.exp(solved.log_kernels[1]) - np.eye(3)) / d
        np.testing.assert_allclose(slope, controlled_rates(p, solved.log_h[1], t), atol=1e-3)
    np.testing.assert_array_equal(pretrained_rates(p, [0.0, 0.5, 1.0]), p.rates[[0, 1, 1]])


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_divergence_of_paths_is_the_limit_of_skeletons(seed):
    """The divergence of the laws at n times, a Markov chain's, increases with n to that of the paths."""
    p = random_jump_process(S=3, pieces=2, seed=seed)
    other = JumpProcess(
        p.start, p.rates * (1 - np.eye(3)) * np.exp(np.random.default_rng(seed).standard_normal(p.rates.shape)), p.reward
    )
    whole = path_divergence(other, p)
    seen = []
    for n in (2, 20, 200, 400):
        times = np.linspace(0, 1, n + 1)
        laws, u, q = process_marginals(other, times), transitions(other, times), transitions(p, times)
        seen.append(float((laws[:-1] * kl(u, q)).sum()))
    assert (np.diff([*seen, whole]) >= -1e-12).all()
    # what is missing is of the order 1/n: extrapolation leaves the order 1/n^2
    np.testing.assert_allclose(2 * seen[3] - seen[2], whole, rtol=0.01)
    assert path_divergence(p, p) == 0
    end = process_marginals(other, [0.0, 1.0])[-1]
    np.testing.assert_allclose(objective(other, p, 0.3), end @ p.reward - 0.3 * whole, rtol=1e-13)


def test_divergence_rate_by_hand():
    u, q = np.array([[-2.0, 2.0], [0.0, 0.0]]), np.array([[-1.0, 1.0], [3.0, -3.0]])
    np.testing.assert_allclose(divergence_rate(u, q), [2 * np.log(2) - 1, 3.0], atol=1e-15)
    assert divergence_rate(q, u)[1] == np.inf


def test_quadrature_is_exact_for_polynomials_on_pieces():
    p = random_jump_process(S=2, pieces=3, seed=0)
    for depth in (0, 5):
        times, weights = quadrature(p, 6, depth)
        assert (np.diff(times) > 0).all()
        for k in range(12):
            np.testing.assert_allclose(weights @ times**k, 1 / (k + 1), rtol=1e-13)
        kink = np.maximum(times - 2 / 3, 0) ** 3
        np.testing.assert_allclose(weights @ kink, (1 / 3) ** 4 / 4, rtol=1e-12)


def test_families():
    ring = random_jump_process(S=4, sparse=True, seed=2)
    assert (np.count_nonzero(ring.rates[0], axis=1) == 2).all()
    assert ring.start[0] == 1
    assert random_jump_process(point=False, seed=2).start.min() > 0
    assert masked_diffusion(tokens=3, seed=1).states == 16
    assert random_jump_process(seed=1).key is not None
    np.testing.assert_allclose(ring.rates.sum(axis=-1), 0, atol=1e-15)


@pytest.mark.parametrize(
    ("start", "rates", "reward", "match"),
    [
        (np.ones((1, 1)), np.zeros((1, 1, 1)), [0.0], "start law"),
        ([1.0], np.zeros((1, 2, 2)), [0.0], r"\(m, 1, 1\)"),
        ([1.0, 0.0], np.zeros((1, 2, 2)), [0.0, np.inf], "2 finite rewards"),
        ([0.5, 0.4], np.zeros((1, 2, 2)), [0.0, 0.0], "sums to 0.9"),
        ([1.0, 0.0], [[[0.0, -1.0], [0.0, 0.0]]], [0.0, 0.0], "from state 0 to state 1 on piece 0 is -1"),
    ],
)
def test_what_is_no_process_is_refused(start, rates, reward, match):
    with pytest.raises(ModelError, match=match):
        JumpProcess(np.asarray(start), np.asarray(rates), np.asarray(reward))


def test_bad_input_gets_one_sentence():
    p = random_jump_process(S=2, seed=0)
    for times in ([0.0], [0.0, 0.5], [0.1, 1.0], [0.0, 0.5, 0.5, 1.0]):
        with pytest.raises(InputError, match="increase from 0 to 1"):
            h_transform(p, 1.0, times)
    with pytest.raises(InputError, match="temperature"):
        h_transform(p, 0.0)
    with pytest.raises(InputError, match=r"1\.5 is not among"):
        controlled_rates(p, np.zeros(2), 1.5)
    with pytest.raises(InputError, match="same pieces"):
        path_divergence(p, random_jump_process(S=2, pieces=2, seed=0))


def test_impossible_paths_are_infinitely_far():
    p, full = random_jump_process(S=3, sparse=True, seed=1), random_jump_process(S=3, seed=1)
    assert path_divergence(full, p) == np.inf
    assert np.isfinite(path_divergence(p, full))
    # a jump that is impossible under the reference, from a state that is never reached
    rates = np.zeros((1, 3, 3))
    rates[0, 0, 1] = 1.0
    other = rates.copy()
    other[0, 2, 0] = 1.0
    first, second = (JumpProcess([1.0, 0.0, 0.0], r, np.zeros(3)) for r in (other, rates))
    assert path_divergence(first, second) == 0
