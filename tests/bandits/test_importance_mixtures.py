"""Mixtures of importance proposals: moments by sampling and in rational arithmetic, the fit against another solver, path weights."""

from fractions import Fraction

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandits.importance_mixtures import MixtureProblem, fit_mixture, path_law, weight_second_moment
from mdplab.models.finite_chain import FiniteChain
from theory.errors import InputError
from theory.statistics import mean_interval

SEEDS = st.integers(0, 2**32 - 1)


def drawn(seed: int, X: int = 8, K: int = 3) -> MixtureProblem:
    rng = np.random.default_rng(seed)
    return MixtureProblem(rng.dirichlet(np.ones(X)), rng.random(X) < 0.5, rng.dirichlet(np.ones(X), size=K))


def test_the_variance_in_rational_arithmetic() -> None:
    p, f, q = (Fraction(1, 4), Fraction(3, 4)), (Fraction(1), Fraction(2)), (Fraction(1, 2), Fraction(1, 2))
    mean = sum(a * b for a, b in zip(p, f))
    exact = sum((a * b) ** 2 / c for a, b, c in zip(p, f, q)) - mean**2
    problem = MixtureProblem(*(np.array([float(v) for v in row]) for row in (p, f)), np.array([[0.5, 0.5], [0.25, 0.75]]))
    assert float(problem.variance([1.0, 0.0])) == pytest.approx(float(exact), rel=1e-14)
    assert float(problem.variance([0.0, 1.0])) == pytest.approx(problem.crude_variance, rel=1e-13)


def test_sampling_agrees() -> None:
    problem, rng, n = drawn(1), np.random.default_rng(0), 100_000
    weights = np.array([0.2, 0.5, 0.3])
    q = problem.density(weights)
    x = rng.choice(q.size, size=n, p=q)
    sample = (problem.p * problem.f / q)[x]
    assert problem.mean in mean_interval(sample, 1e-6)
    assert float(problem.variance(weights)) in mean_interval((sample - problem.mean) ** 2, 1e-6)


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_the_fit_is_the_optimum_of_another_solver(seed: int) -> None:
    problem = drawn(seed)
    if problem.mean == 0:
        return
    fit = fit_mixture(problem)
    c = (problem.p * problem.f) ** 2
    alpha = cp.Variable(3, nonneg=True)
    live = c > 0
    moment = cp.sum(cp.multiply(c[live], cp.inv_pos(problem.proposals[:, live].T @ alpha)))
    other = cp.Problem(cp.Minimize(moment), [cp.sum(alpha) == 1]).solve(solver="CLARABEL") - problem.mean**2
    scale = fit.variance + problem.mean**2
    assert fit.variance <= other + 1e-6 * scale
    assert other >= fit.variance - fit.gap - 1e-6 * scale
    assert 0 <= fit.gap <= 1e-9 * scale
    assert abs(fit.weights.sum() - 1) < 1e-12
    order = np.array([2, 0, 1])
    moved = fit_mixture(MixtureProblem(problem.p, problem.f, problem.proposals[order]))
    assert moved.variance == pytest.approx(fit.variance, rel=1e-9, abs=1e-12)


def test_special_mixtures() -> None:
    p, f = np.array([0.5, 0.3, 0.2]), np.array([0.0, 1.0, 1.0])
    ideal = p * f / (p @ f)
    fit = fit_mixture(MixtureProblem(p, f, np.vstack((p, ideal))))
    assert fit.variance == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(fit.weights, [0, 1], atol=1e-6)
    nothing = fit_mixture(MixtureProblem(p, np.zeros(3), p[None]))
    assert (nothing.variance, nothing.gap) == (0.0, 0.0)
    blind = MixtureProblem(p, f, np.array([[0.5, 0.5, 0.0]]))
    assert blind.variance([1.0]) == np.inf
    assert float(blind.expectation([1.0])) == pytest.approx(0.3)


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_the_second_moment_of_a_path_weight(seed: int) -> None:
    rng = np.random.default_rng(seed)
    chain, proposal = (
        FiniteChain(rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(3), size=(4, 3)), np.zeros((5, 3))) for _ in range(2)
    )
    p, q = path_law(chain), path_law(proposal)
    assert weight_second_moment(chain, proposal) == pytest.approx(float((p**2 / q).sum()), rel=1e-12)
    assert weight_second_moment(chain, chain) == pytest.approx(1.0, rel=1e-13)


def test_bad_input() -> None:
    p = np.array([0.5, 0.5])
    with pytest.raises(InputError, match=r"\(X,\), \(X,\) and \(K, X\)"):
        MixtureProblem(p, np.ones(3), p[None])
    with pytest.raises(InputError, match="integrand is nan"):
        MixtureProblem(p, np.array([np.nan, 1.0]), p[None])
    with pytest.raises(InputError, match="proposal 0 is no probability vector"):
        MixtureProblem(p, np.ones(2), np.array([[0.5, 0.6]]))
    with pytest.raises(InputError, match="no proposal draws"):
        fit_mixture(MixtureProblem(p, np.ones(2), np.array([[1.0, 0.0]])))
    with pytest.raises(InputError, match="probability vectors of length 1"):
        MixtureProblem(p, np.ones(2), p[None]).variance([0.5])
    still = FiniteChain(p, np.tile(np.eye(2), (2, 1, 1)), np.zeros((3, 2)))
    longer = FiniteChain(p, np.tile(np.eye(2), (3, 1, 1)), np.zeros((4, 2)))
    with pytest.raises(InputError, match="one shape"):
        weight_second_moment(still, longer)
    moving = FiniteChain(p, np.tile(np.full((2, 2), 0.5), (2, 1, 1)), np.zeros((3, 2)))
    assert weight_second_moment(moving, still) == np.inf
