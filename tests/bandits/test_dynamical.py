"""Dynamical linear bandits: the Markov parameter, the finite-time optimum, the constants of a system, what is refused."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandits.dynamical import (
    DynamicalLinearBandit,
    best_total,
    delayed_effect,
    mean_rewards,
    random_system,
    scalar_system,
    structured_system,
)
from theory.errors import InputError


def test_the_structured_system() -> None:
    bandit = structured_system()
    assert bandit.markov_parameter == pytest.approx([0.5625, 0.5, 1 / 9])
    assert bandit.actions[bandit.gaps.argmin()] == pytest.approx([1, 0.5, 0])
    assert (bandit.actions @ bandit.markov_parameter).max() == pytest.approx(0.8125)
    assert (bandit.actions @ bandit.theta).max() == pytest.approx(0.55)
    assert bandit.actions[(bandit.actions @ bandit.theta).argmax()] == pytest.approx([0, 1, 0.5])


def test_the_markov_parameter_of_a_scalar_system_in_rational_arithmetic() -> None:
    rho = Fraction(3, 7)
    steps = [sum((rho**j for j in range(m)), Fraction(0)) for m in range(12)]
    bandit = scalar_system(rho=float(rho))
    assert bandit.markov_parameters(12)[:, 0] == pytest.approx([float(s) for s in steps], rel=1e-14)
    assert bandit.markov_parameter[0] == pytest.approx(float(1 / (1 - rho)), rel=1e-14)
    assert best_total(bandit, 12) == pytest.approx(float(sum(steps)), rel=1e-14)


@given(st.integers(0, 1000), st.integers(1, 4), st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_the_best_total_is_that_of_the_best_sequence(seed: int, n: int, d: int) -> None:
    bandit = random_system(n=n, d=d, K=3, rho=0.8, seed=seed)
    sequences = np.array(list(itertools.product(range(3), repeat=4)))
    assert mean_rewards(bandit, sequences).sum(axis=1).max() == pytest.approx(best_total(bandit, 4), abs=1e-11)


@given(st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_coordinates_of_the_state_do_not_matter(seed: int) -> None:
    bandit = random_system(n=3, d=2, rho=0.7, seed=seed)
    T = np.random.default_rng(seed).standard_normal((3, 3)) + 3 * np.eye(3)
    moved = DynamicalLinearBandit(
        T @ bandit.A @ np.linalg.inv(T), T @ bandit.B, np.linalg.solve(T.T, bandit.omega), bandit.theta, bandit.actions
    )
    assert moved.markov_parameters(9) == pytest.approx(bandit.markov_parameters(9), abs=1e-8)
    assert moved.markov_parameter == pytest.approx(bandit.markov_parameter, abs=1e-8)


@given(st.integers(0, 1000), st.sampled_from([0.3, 0.9]), st.booleans())
@settings(max_examples=25, deadline=None)
def test_the_transient_constant_bounds_all_powers(seed: int, rho: float, normal: bool) -> None:
    bandit = random_system(n=4, rho=rho, normal=normal, seed=seed)
    sizes = [np.linalg.norm(np.linalg.matrix_power(bandit.A, k), 2) / bandit.rate**k for k in range(200)]
    assert max(sizes) == pytest.approx(bandit.transient, rel=1e-6)
    if normal:
        assert bandit.transient == pytest.approx(1.0)
        assert bandit.rate == rho


def test_the_bounds_of_a_system() -> None:
    bounds = scalar_system(rho=0.5, noise=0.2).bounds
    assert (bounds.transient, bounds.omega, bounds.control, bounds.action, bounds.theta) == (1.0, 1.0, 1.0, 1.0, 0.0)
    assert bounds.gain == pytest.approx(2.0)
    assert bounds.norm == pytest.approx(2.0)
    assert bounds.state == pytest.approx(2 * (1 + np.sqrt(3) * 0.2))
    assert bounds.bias == pytest.approx(2.0 + bounds.state)
    assert bounds.deviation == pytest.approx(0.2 * np.sqrt(1 + 1 / 0.75))
    assert bounds.truncation == pytest.approx(4.0)


def test_the_delayed_effect() -> None:
    bandit = delayed_effect(rho=0.01)
    assert bandit.markov_parameter == pytest.approx([0.5, 1 / 0.99])
    # the second action is seen a round after it was played, when the first one is
    assert mean_rewards(bandit, np.array([0, 1, 0, 0])) == pytest.approx([0.5, 0.0, 1.5, 0.51])


SQUARE = np.eye(2)


def system(**changes) -> DynamicalLinearBandit:
    parts = {"A": 0.5 * SQUARE, "B": SQUARE, "omega": np.ones(2), "theta": np.ones(2), "actions": SQUARE}
    return DynamicalLinearBandit(**(parts | changes))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: system(A=SQUARE), "below 1, not 1"),
        (lambda: system(A=np.ones((2, 3))), r"A of shape \(2, 2\)"),
        (lambda: system(B=np.ones((3, 2))), r"B of shape \(2, 2\)"),
        (lambda: system(actions=np.ones((1, 2, 2))), "a table of actions"),
        (lambda: system(omega=np.array([1.0, np.inf])), "finite"),
        (lambda: system(theta=np.ones(3)), "of its length"),
        (lambda: system(state_deviation=-1.0), "not -1.0"),
        (lambda: system(rate=0.4), "between the spectral radius 0.5 and 1"),
        (lambda: system(rate=1.0), "it is 1"),
        (lambda: system(A=np.array([[0.5, 1.0], [0.0, 0.5]]), rate=0.5).transient, "larger rate"),
        (lambda: structured_system().markov_parameters(0), "at least one step"),
        (lambda: scalar_system(rho=1.0), "strictly between 0 and 1"),
        (lambda: delayed_effect(rho=0.0), "strictly between 0 and 1"),
        (lambda: random_system(n=0), "at least 1"),
    ],
)
def test_bad_input_is_refused(build, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build()
