"""Rewards fitted in a box: closed forms, cvxpy, the unrestricted fit, certificates, and the kernels' plain twins."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logsumexp, softmax

from bandits.preference import _kernels
from bandits.preference.box_likelihood import BoxFit, certificate, fit_in_box, minimise
from theory.bradley_terry_fit import fit_bradley_terry
from theory.errors import InputError

seeds = st.integers(0, 2**32 - 1)


def objective(r: np.ndarray, w: np.ndarray, log_mu: np.ndarray, b: np.ndarray, beta: float, tilt: float) -> float:
    """The plain twin of the kernel's objective."""
    loss = (w * np.logaddexp(0, r[None, :] - r[:, None])).sum() - w.trace() * np.log(2)
    return float(loss + (tilt * beta * logsumexp(log_mu + r / beta) if tilt else 0.0) - b @ r)


def derivatives(
    r: np.ndarray, w: np.ndarray, log_mu: np.ndarray, b: np.ndarray, beta: float, tilt: float
) -> tuple[np.ndarray, np.ndarray]:
    """The plain twin of the kernel's derivatives: the gradient, and the Hessian of the convex part."""
    n = w + w.T
    np.fill_diagonal(n, 0.0)
    p = expit(r[:, None] - r)
    off = w * (1 - np.eye(len(r)))
    pi = softmax(log_mu + r / beta)
    gradient = (n * p - off).sum(axis=1) + tilt * pi - b
    c = n * p * p.T
    return gradient, np.diag(c.sum(axis=1)) - c + max(tilt, 0.0) / beta * (np.diag(pi) - np.outer(pi, pi))


def problem(seed: int, tilt: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, float]:
    """Comparisons of which many are missing, a reference with a zero, a linear part, a temperature, and the tilt."""
    rng = np.random.default_rng(seed)
    K = int(rng.integers(2, 9))
    w = rng.uniform(0, 3, (K, K)) * (rng.random((K, K)) < 0.4) * rng.choice([0.01, 1.0, 100.0])
    np.fill_diagonal(w, 0.0)
    mu = rng.dirichlet(np.full(K, 0.5)) * (np.arange(K) != (K - 1 if K > 2 else K))
    with np.errstate(divide="ignore"):
        log_mu = np.log(mu / mu.sum())
    return w, log_mu, rng.dirichlet(np.ones(K)), float(rng.choice([0.01, 0.1, 1.0])), tilt


@settings(max_examples=60, deadline=None)
@given(seeds, st.sampled_from([-2.0, 0.0, 1.5]))
def test_the_kernels_equal_their_plain_twins(seed: int, tilt: float) -> None:
    arguments = problem(seed, tilt)
    K = len(arguments[0])
    r = np.random.default_rng(seed).uniform(-1, 2, K)
    value, size = _kernels.box_objective(r, *arguments)
    assert value == pytest.approx(objective(r, *arguments), rel=1e-12, abs=1e-12)
    assert size >= abs(value) * (1 - 1e-12)
    gradient, hessian = np.empty(K), np.empty((K, K))
    _kernels.box_derivatives(r, *arguments, gradient, hessian)
    g, h = derivatives(r, *arguments)
    np.testing.assert_allclose(gradient, g, atol=1e-12 * (1 + size))
    np.testing.assert_allclose(hessian, h, atol=1e-12 * (1 + size / arguments[3]))
    moved = np.eye(K) * 1e-6
    differences = [(objective(r + d, *arguments) - objective(r - d, *arguments)) / 2e-6 for d in moved]
    np.testing.assert_allclose(gradient, differences, atol=1e-6 * (1 + size) / arguments[3])


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_damped_systems_are_solved_as_numpy_solves_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    K = int(rng.integers(1, 9))
    root = rng.standard_normal((K, int(rng.integers(1, K + 1))))
    hessian, target, x = root @ root.T, rng.standard_normal(K), np.empty(K)
    assert _kernels.solve_damped(hessian, 0.1, target, np.empty((K, K)), x)
    np.testing.assert_allclose(x, np.linalg.solve(hessian + 0.1 * np.eye(K), target), atol=1e-9)
    assert not _kernels.solve_damped(-np.eye(K), 0.5, target, np.empty((K, K)), x)


def projected_gradient(arguments: tuple, low: float, high: float, start: np.ndarray, steps: int) -> np.ndarray:
    """The plain twin of the Newton kernel in what it computes: the minimiser, by the slow method that needs no care."""
    w, _, _, beta, tilt = arguments
    step = 1 / (2 * ((w + w.T).sum(axis=1).max() / 4 + tilt / beta) + 1e-9)
    r, y, momentum = start.copy(), start.copy(), 1.0
    for _ in range(steps):
        after = np.clip(y - step * derivatives(y, *arguments)[0], low, high)
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        y = after + (momentum - 1) / following * (after - r)
        r, momentum = after, following
    return r


@pytest.mark.parametrize("seed", range(12))
def test_newton_finds_what_projected_gradients_find(seed: int) -> None:
    w, log_mu, b, _, tilt = problem(seed)
    arguments = (w, log_mu, b, 0.5, tilt)
    fit = minimise(*arguments, 0.0, 3.0)
    slow = projected_gradient(arguments, 0.0, 3.0, np.full(len(w), 1.5), 2000)
    assert objective(slow, *arguments) >= fit.value - fit.gap
    assert objective(slow, *arguments) == pytest.approx(fit.value, abs=1e-7 * (1 + abs(fit.value)))


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from([0.3, 3.0, 10.0]), st.sampled_from([0.0, 1.0]))
def test_the_certificate_is_small_and_true(seed: int, high: float, tilt: float) -> None:
    arguments = problem(seed, tilt)
    fit = minimise(*arguments, 0.0, high)
    _, size = _kernels.box_objective(fit.reward, *arguments)
    assert fit.gap <= 1e-11 * (1 + size) * (1 + high)
    assert ((fit.reward >= 0) & (fit.reward <= high)).all()
    others = np.random.default_rng(seed).uniform(0, high, (15, len(fit.reward)))
    near = np.clip(fit.reward + 1e-3 * (others - fit.reward), 0, high)
    for point in (*others, *near):
        assert objective(point, *arguments) >= fit.value - fit.gap
        assert certificate(point, *arguments, 0.0, high)[0] >= objective(point, *arguments) - fit.value
    again = _kernels.box_newton(*arguments, 0.0, high, others[0], 1e-15, 500)[0]
    assert objective(again, *arguments) == pytest.approx(fit.value, abs=1e-10 * (1 + size))


@pytest.mark.parametrize("seed", range(6))
def test_cvxpy_agrees(seed: int) -> None:
    w, _, b, _, _ = problem(seed, 0.0)
    r = cp.Variable(len(w))
    i, j = np.nonzero(w)
    loss = (w[i, j] @ cp.logistic(r[j] - r[i]) if len(i) else 0.0) - 0.1 * (b @ r)
    solution = cp.Problem(cp.Minimize(loss), [r >= -1, r <= 1])
    solution.solve(solver=cp.CLARABEL)
    assert fit_in_box(w, -1.0, 1.0, linear=0.1 * b).value == pytest.approx(solution.value, abs=1e-6 * (1 + w.sum()))


@pytest.mark.parametrize(("wins", "losses", "expected"), [(3, 1, np.log(3)), (50, 0, 4.0), (0, 2, -4.0), (1, 1, 0.0)])
def test_two_responses_by_hand(wins: float, losses: float, expected: float) -> None:
    fit = fit_in_box([[0, wins], [losses, 0]], -2.0, 2.0)
    assert fit.reward[0] - fit.reward[1] == pytest.approx(expected, abs=1e-7)
    assert isinstance(fit, BoxFit)


def test_a_large_box_gives_the_maximum_likelihood_estimate() -> None:
    wins = np.random.default_rng(0).integers(1, 9, (5, 5)).astype(float)
    free = fit_bradley_terry(wins)
    fit = fit_in_box(wins - np.diag(np.diag(wins)), -20.0, 20.0)
    np.testing.assert_allclose(fit.reward - fit.reward.mean(), free.theta, atol=1e-7)


def test_without_data_the_middle_of_the_box_stays() -> None:
    np.testing.assert_array_equal(fit_in_box(np.zeros((4, 4)), 1.0, 3.0).reward, np.full(4, 2.0))


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_relabelling_and_shifting(seed: int) -> None:
    w, log_mu, b, beta, tilt = problem(seed)
    order = np.random.default_rng(seed).permutation(len(w))
    fit, other = (
        minimise(w, log_mu, b, beta, tilt, 0.0, 2.0),
        minimise(w[np.ix_(order, order)], log_mu[order], b[order], beta, tilt, 5.0, 7.0),
    )
    # a shift of the box by 5 adds 5 to beta ln Z, and takes 5 off with the linear part, whose entries sum to 1
    assert other.value == pytest.approx(fit.value, abs=1e-9 * (1 + w.sum()))


def test_many_problems_at_once() -> None:
    ones = [problem(seed) for seed in range(30)]
    K = len(ones[0][0])
    alike = [p for p in ones if len(p[0]) == K]
    weights, references = np.stack([p[0] for p in alike]), np.stack([p[1] for p in alike])
    points, gaps = _kernels.box_newton_each(weights, references, alike[0][2], 0.3, 1.0, 0.0, 2.0, 1e-15, 500)
    for point, gap, w, reference in zip(points, gaps, weights, references):
        alone, alone_gap, _ = _kernels.box_newton(w, reference, alike[0][2], 0.3, 1.0, 0.0, 2.0, np.full(K, 1.0), 1e-15, 500)
        np.testing.assert_array_equal(point, alone)
        assert gap == alone_gap


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit_in_box(np.zeros((2, 3)), 0, 1), "square matrix"),
        (lambda: fit_in_box([[0, -1], [1, 0]], 0, 1), r"entry \(0, 1\) of the comparisons is -1"),
        (lambda: fit_in_box([[0, np.inf], [1, 0]], 0, 1), "inf"),
        (lambda: fit_in_box(np.zeros((2, 2)), 1, 1), "low < high"),
        (lambda: fit_in_box(np.zeros((2, 2)), 0, np.inf), "low < high"),
        (lambda: fit_in_box(np.zeros((2, 2)), 0, 1, linear=[1.0]), "finite vector"),
        (lambda: fit_in_box(np.zeros((2, 2)), 0, 1, linear=[1.0, np.nan]), "finite vector"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
