"""Inverse-gap weighting against an optimiser and rational arithmetic; SquareCB and FALCON against a Python twin."""

from fractions import Fraction

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from scipy.optimize import minimize
from scipy.stats import norm

from bandits.contextual import ContextualBandit, RegressionProblem, outvoted, random_class
from bandits.inverse_gap_weighting import (
    _play,
    decision_value,
    estimation_bound,
    falcon,
    falcon_epochs,
    falcon_rates,
    inverse_gap_weights,
    normalised_inverse_gap_weights,
    rival_values,
    squarecb,
    squarecb_bound,
    squarecb_expectation,
    squarecb_rate,
)
from theory.errors import InputError
from theory.random_streams import run_seeds

U64 = np.uint64
GOLDEN = U64(0x9E3779B97F4A7C15)
estimates = st_numpy.arrays(float, st.integers(1, 7), elements=st.floats(-2, 2, width=32))
rates = st.floats(0.01, 1e4)


def _mix(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> U64(30))) * U64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> U64(27))) * U64(0x94D049BB133111EB)
    return z ^ (z >> U64(31))


def _uniforms(seed: int, number: int, length: int) -> np.ndarray:
    start = _mix(_mix(np.array([seed], dtype=U64) + GOLDEN) + GOLDEN * np.array([number + 1], dtype=U64))
    return (_mix(start + GOLDEN * np.arange(1, length + 1, dtype=U64)) >> U64(11)) * 2.0**-53


def twin(problem: RegressionProblem, gamma: np.ndarray, refit: np.ndarray, rate: float, forget: bool, seed: int) -> np.ndarray:
    """Cumulative pseudo-regret and estimation error of one run after every round, shape (T, 2): the twin of the kernel."""
    bandit, T = problem.bandit, gamma.size
    contexts = np.searchsorted(np.cumsum(bandit.law), _uniforms(seed, 0, T), side="right").clip(max=bandit.contexts - 1)
    at_action = _uniforms(seed, 1, T)
    if bandit.deviation is None:
        luck = _uniforms(seed, 2, T)
    else:
        pairs = _uniforms(seed, 2, 2 * T).reshape(T, 2)
        luck = np.sqrt(-2 * np.log(1 - pairs[:, 0])) * np.cos(2 * np.pi * pairs[:, 1])
    loss, history = np.zeros(problem.size), np.zeros((T, 2))
    for t, x in enumerate(contexts):
        if refit[t]:
            if np.isinf(rate):
                prediction = problem.functions[np.argmin(loss)]
            else:
                weight = np.exp(-rate * (loss - loss.min()))
                prediction = np.einsum("f,fxa->xa", weight / weight.sum(), problem.functions)
            if forget:
                loss = np.zeros(problem.size)
        p = inverse_gap_weights(prediction[x], gamma[t])
        a = min(int(np.searchsorted(np.cumsum(p), at_action[t], side="right")), bandit.actions - 1)
        mean = bandit.means[x, a]
        reward = float(luck[t] < mean) if bandit.deviation is None else mean + bandit.deviation * luck[t]
        loss = loss + (problem.functions[:, x, a] - reward) ** 2
        history[t] = p @ bandit.gaps[x], p @ (prediction[x] - bandit.means[x]) ** 2
    return history.cumsum(axis=0)


@settings(max_examples=60, deadline=None)
@given(estimates, rates)
def test_weights_are_the_formula_in_rational_arithmetic(f, gamma):
    p = inverse_gap_weights(f, gamma)
    best = int(np.argmax(f))
    exact = [1 / (f.size + Fraction(gamma) * (Fraction(float(f[best])) - Fraction(float(v)))) for v in f]
    exact[best] = 1 - sum(exact[:best] + exact[best + 1 :])
    np.testing.assert_allclose(p, [float(v) for v in exact], rtol=1e-12)
    assert p[best] >= 1 / f.size - 1e-15
    q = normalised_inverse_gap_weights(f, gamma)
    assert abs(q.sum() - 1) <= 1e-12
    assert q[best] >= q.max() - 1e-15


@settings(max_examples=30, deadline=None)
@given(estimates, rates, st.floats(-3, 3), st.randoms(use_true_random=False))
def test_weights_do_not_see_shifts_or_names(f, gamma, shift, random):
    order = list(range(f.size))
    random.shuffle(order)
    p = normalised_inverse_gap_weights(f, gamma)
    np.testing.assert_allclose(normalised_inverse_gap_weights(f[order], gamma), p[order], rtol=1e-9)
    np.testing.assert_allclose(inverse_gap_weights(f + shift, gamma), inverse_gap_weights(f, gamma), atol=1e-9 * (1 + gamma))
    np.testing.assert_allclose(inverse_gap_weights(f / 3, 3 * gamma), inverse_gap_weights(f, gamma), rtol=1e-9)
    np.testing.assert_allclose(inverse_gap_weights(np.stack([f, 2 * f]), gamma)[0], inverse_gap_weights(f, gamma))


@pytest.mark.parametrize("seed", range(4))
def test_the_decision_value_is_a_supremum(seed):
    """A numerical optimiser over f finds the same number, and no more."""
    rng = np.random.default_rng(seed)
    f, p, gamma = rng.normal(size=3), rng.dirichlet(np.ones(3)), 2.0
    best = []
    for a in range(3):

        def loss(g: np.ndarray, a: int = a) -> float:
            return -(g[a] - p @ g - gamma / 4 * p @ (f - g) ** 2)

        best.append(-minimize(loss, f, method="BFGS", tol=1e-12).fun)
    np.testing.assert_allclose(rival_values(f, p, gamma), best, rtol=1e-6)
    assert decision_value(f, p, gamma) == rival_values(f, p, gamma).max()
    assert np.isinf(decision_value(f, np.array([0.0, 0.5, 0.5]), gamma))


@pytest.mark.parametrize("seed", range(3))
def test_normalised_weights_are_minimax(seed):
    """A convex solver, told nothing of the closed form, finds the same play and the value (K - 1) / gamma."""
    f, gamma = np.random.default_rng(seed).normal(size=4), 3.0
    q, value = cp.Variable(4), cp.Variable()
    constraints = [f[a] - q @ f + (cp.inv_pos(q[a]) - 1) / gamma <= value for a in range(4)]
    cp.Problem(cp.Minimize(value), [*constraints, cp.sum(q) == 1]).solve()
    assert float(value.value) == pytest.approx(3 / gamma, rel=1e-6)
    np.testing.assert_allclose(q.value, normalised_inverse_gap_weights(f, gamma), atol=1e-4)


@pytest.mark.parametrize(("rate", "forget"), [(0.5, False), (np.inf, True), (2.0, True)])
@pytest.mark.parametrize("deviation", [None, 0.3])
def test_the_kernel_equals_its_python_twin(rate, forget, deviation):
    drawn = random_class(X=3, K=4, size=6, seed=8)
    bandit = ContextualBandit(drawn.bandit.means, np.array([0.2, 0.5, 0.3]), deviation)
    problem = RegressionProblem(bandit, drawn.functions)
    T, seeds = 120, run_seeds(4, 5)
    gamma, refit = np.linspace(0, 50, T), np.arange(T) % 7 == 0
    marks = np.array([1, 10, 64, 120])
    runs = _play(problem, marks, seeds, gamma, refit, rate, forget=forget)
    for i, seed in enumerate(seeds):
        history = twin(problem, gamma, refit, rate, forget, int(seed))
        np.testing.assert_allclose(runs.pseudo_regret[i], history[marks - 1, 0], rtol=1e-10)
        np.testing.assert_allclose(runs.estimation_error[i], history[marks - 1, 1], rtol=1e-10)
    assert runs.refits == 17


def test_a_run_depends_on_its_seed_alone():
    problem, seeds = random_class(seed=2), run_seeds(1, 9)
    whole = squarecb(problem, 200, seeds, gamma=30.0, checkpoints=[50, 200])
    np.testing.assert_array_equal(
        squarecb(problem, 200, seeds[3:5], gamma=30.0).pseudo_regret[:, 0], whole.pseudo_regret[3:5, 1]
    )
    np.testing.assert_array_equal(squarecb(problem, 50, seeds, gamma=30.0).pseudo_regret[:, 0], whole.pseudo_regret[:, 0])


def test_the_exact_expectation_is_the_mean_of_runs():
    problem, T = outvoted(common=0.5, truth=0.7, rival=0.2), 100
    gamma = squarecb_rate(2, T, 2)
    regret, error = squarecb_expectation(0.5, 0.7, 0.2, T, gamma)
    runs = squarecb(problem, T, run_seeds(0, 40_000), gamma=gamma, checkpoints=[1, 10, T])
    for exact, sampled in ((regret, runs.pseudo_regret), (error, runs.estimation_error)):
        z = (sampled.mean(axis=0) - exact[[1, 10, T]]) / np.maximum(sampled.std(axis=0) / 200, 1e-12)
        assert np.abs(z[1:]).max() < norm.isf(1e-6)
        assert abs(sampled[:, 0].mean() - exact[1]) < 1e-12  # the first round is the same in all runs


def test_the_expectation_by_hand():
    """Two rounds by enumeration: the play of the second depends on what the first saw."""
    gamma, truth, rival, common = 10.0, 0.8, 0.0, 0.5

    def play(difference: float) -> float:
        estimate = rival + (truth - rival) / (1 + np.exp(-0.5 * difference))
        return float(inverse_gap_weights(np.array([common, estimate]), gamma)[1])

    first = play(0.0)
    success = (1 - rival) ** 2 - (1 - truth) ** 2
    failure = rival**2 - truth**2
    later = (1 - first) * play(0.0) + first * (truth * play(success) + (1 - truth) * play(failure))
    regret, _ = squarecb_expectation(common, truth, rival, 2, gamma)
    np.testing.assert_allclose(regret, [0, (1 - first) * 0.3, (1 - first) * 0.3 + (1 - later) * 0.3], rtol=1e-12)


def test_falcon_is_greedy_least_squares_with_its_schedule():
    problem = random_class(X=2, K=3, size=5, seed=6)
    ends = falcon_epochs(50)
    np.testing.assert_array_equal(ends, [2, 4, 8, 16, 32, 50])
    np.testing.assert_array_equal(falcon_epochs(65536, "log log"), [512, 8192, 32768, 65536])
    rates = falcon_rates(ends, 3, 5, 0.05, 1.0)
    np.testing.assert_allclose(rates[[0, 3]], [0.0, np.sqrt(3 * 8 / np.log(5 * 8 / 0.05))])
    gamma, refit = np.repeat(rates, np.diff(ends, prepend=0)), np.zeros(50, dtype=bool)
    refit[[0, *ends[:-1]]] = True
    runs = falcon(problem, 50, run_seeds(3, 4), scale=1.0)
    for i, seed in enumerate(run_seeds(3, 4)):
        np.testing.assert_allclose(runs.pseudo_regret[i, 0], twin(problem, gamma, refit, np.inf, True, int(seed))[-1, 0])
    assert runs.refits == 5


def test_bounds():
    assert estimation_bound(10) == pytest.approx(2 * np.log(10))
    assert estimation_bound(10, 400) == pytest.approx(400 * np.log(10))
    assert squarecb_bound(3, 100, 10) == pytest.approx(2 * np.sqrt(200 * np.log(10)))
    gamma, T, E = squarecb_rate(3, 100, 10, 7), 100, estimation_bound(10, 7)
    assert 2 * 2 * T / gamma + gamma * E / 4 == pytest.approx(squarecb_bound(3, T, 10, 7))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: inverse_gap_weights([], 1.0), "finite numbers, one for each action"),
        (lambda: inverse_gap_weights([0.0, np.nan], 1.0), "finite numbers, one for each action"),
        (lambda: inverse_gap_weights([0.0], -1.0), r"gamma is finite and at least 0, not -1\.0"),
        (lambda: decision_value([0.0, 1.0], [0.5, 0.5], 0.0), "gamma above 0"),
        (lambda: decision_value([0.0, 1.0], [1.5, -0.5], 1.0), "no negative entry"),
        (lambda: decision_value([0.0, 1.0], [1.0], 1.0), "a play of 2 actions"),
        (lambda: squarecb_rate(2, 10, 1), "at least 2 functions, not 1"),
        (lambda: estimation_bound(5, 0), "called delay is at least 1, not 0"),
        (lambda: squarecb(outvoted(), 10, [1], delay=0), "called delay is at least 1, not 0"),
        (lambda: squarecb(outvoted(), 10, [1], rate=-1.0), r"rate of exponential weights is at least 0, not -1\.0"),
        (lambda: squarecb(outvoted(), 10, [1], gamma=np.inf), "finite and at least 0, not inf"),
        (lambda: squarecb_expectation(0.5, 1.5, 0.0, 10, 1.0), r"predictions in \[0, 1\]"),
        (lambda: falcon_epochs(10, "weekly"), "'doubling' or 'log log', not 'weekly'"),
        (lambda: falcon(outvoted(), 10, [1], delta=0.0), r"delta in \(0, 1\)"),
    ],
)
def test_bad_input(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()
