"""KL-regularised bandits: values against sums by hand and a general optimiser, gaps as divergences, and bad input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import log_softmax

from bandits.preference.families import random_kl_bandit
from bandits.preference.kl_bandit import KLBandit, average, expected_reward, kl_gap, kl_objective
from theory.divergences import kl
from theory.errors import InputError

HALF = np.log([0.5, 0.5])


def _policies(bandit: KLBandit, seed: int, number: int = 20) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return log_softmax(3 * rng.standard_normal((number, *bandit.reward.shape)), axis=-1)


def test_two_responses_by_hand() -> None:
    bandit = KLBandit(np.array([1.0, 0.0]), HALF, 0.5)
    p = 0.8
    policy = np.log([p, 1 - p])
    divergence = p * np.log(2 * p) + (1 - p) * np.log(2 * (1 - p))
    assert expected_reward(bandit, policy) == pytest.approx(p)
    assert kl_objective(bandit, policy) == pytest.approx(p - 0.5 * divergence)
    assert bandit.optimal_value == pytest.approx(0.5 * np.log((np.e**2 + 1) / 2))
    np.testing.assert_allclose(np.exp(bandit.log_optimum), [np.e**2 / (1 + np.e**2), 1 / (1 + np.e**2)])
    np.testing.assert_allclose(bandit.log_pairs, bandit.log_reference)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0, 3]), st.sampled_from([0.1, 2.0]))
def test_the_gap_is_a_divergence(seed: int, prompts: int, beta: float) -> None:
    bandit = random_kl_bandit(K=4, prompts=prompts, beta=beta, seed=seed)
    policies = _policies(bandit, seed)
    values = kl_objective(bandit, policies)
    assert values.shape == (20,)
    scale = np.abs(values).max() + abs(bandit.optimal_value)
    np.testing.assert_allclose(kl_gap(bandit, policies), bandit.optimal_value - values, atol=1e-12 * scale)
    assert (values <= bandit.optimal_value + 1e-12 * scale).all()
    assert kl_objective(bandit, bandit.log_optimum) == pytest.approx(bandit.optimal_value, abs=1e-12 * scale)
    assert kl_gap(bandit, bandit.log_optimum) == 0.0


def test_a_general_optimiser_finds_the_optimum() -> None:
    bandit = random_kl_bandit(K=5, beta=0.5, seed=1)
    found = minimize(lambda x: -float(kl_objective(bandit, log_softmax(x))), np.zeros(5), tol=1e-12)
    np.testing.assert_allclose(log_softmax(found.x), bandit.log_optimum, atol=1e-4)
    assert -found.fun == pytest.approx(bandit.optimal_value, abs=1e-9)


@given(st.integers(0, 10_000), st.floats(-5, 5), st.permutations(range(5)))
@settings(max_examples=30, deadline=None)
def test_shifts_and_names(seed: int, shift: float, order: list[int]) -> None:
    bandit = random_kl_bandit(K=5, seed=seed)
    moved = KLBandit(bandit.reward[order] + shift, bandit.log_reference[order], bandit.beta)
    np.testing.assert_allclose(moved.log_optimum, bandit.log_optimum[order], atol=1e-10)
    policy = _policies(bandit, seed, 1)[0]
    assert kl_objective(moved, policy[order]) == pytest.approx(float(kl_objective(bandit, policy)) + shift)
    assert kl_gap(moved, policy[order]) == pytest.approx(float(kl_gap(bandit, policy)), rel=1e-9)


def test_prompts_are_averaged() -> None:
    rng = np.random.default_rng(2)
    prompts = np.array([0.2, 0.5, 0.3])
    one = random_kl_bandit(K=4, prompts=3, seed=2)
    bandit = KLBandit(one.reward, one.log_reference, one.beta, prompts=prompts)
    policy = log_softmax(rng.standard_normal((3, 4)), axis=-1)
    rows = [KLBandit(r, m, one.beta) for r, m in zip(one.reward, one.log_reference)]
    for function in (kl_objective, kl_gap, expected_reward):
        assert function(bandit, policy) == pytest.approx(prompts @ [function(b, p) for b, p in zip(rows, policy)])
    assert bandit.optimal_value == pytest.approx(prompts @ [b.optimal_value for b in rows])
    np.testing.assert_allclose(average(bandit, np.eye(3)), prompts)
    assert average(rows[0], 3.0) == 3.0


def test_outside_the_support() -> None:
    with np.errstate(divide="ignore"):
        bandit = KLBandit(np.array([0.0, 0.0, 100.0]), np.log([0.5, 0.5, 0.0]), 0.5)
    assert bandit.log_optimum[-1] == -np.inf
    assert kl_objective(bandit, np.log([0.4, 0.4, 0.2])) == -np.inf
    assert kl_gap(bandit, np.log([0.4, 0.4, 0.2])) == np.inf
    assert bandit.optimal_value == 0.0


def test_tiny_gaps_keep_their_digits() -> None:
    bandit = random_kl_bandit(K=4, concentration=5.0, beta=0.5, seed=3)
    direction = np.array([1.0, -1.0, 0.5, 0.0])
    p = np.exp(bandit.log_optimum)
    variance = p @ (direction - p @ direction) ** 2
    for size in (1e-4, 1e-8):
        policy = log_softmax(bandit.log_optimum + size * direction)
        assert kl_gap(bandit, policy) == pytest.approx(0.5 * size**2 * variance / 2, rel=10 * size + 1e-7)


def test_it_is_frozen() -> None:
    bandit = KLBandit(np.array([1.0, 0.0]), HALF, 0.5)
    with pytest.raises(ValueError, match="read-only"):
        bandit.reward[0] = 2.0
    assert repr(random_kl_bandit(K=2, seed=1)).startswith("KLBandit(random_kl_bandit(")
    assert repr(bandit) == "KLBandit(2 responses)"
    assert kl(bandit.log_pairs, HALF, log=True) == 0


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: KLBandit(np.zeros((2, 2, 2)), HALF, 0.5), "rewards have the shape"),
        (lambda: KLBandit(np.array([0.0, np.nan]), HALF, 0.5), "reward of response 1"),
        (lambda: KLBandit(np.zeros(2), np.log([0.5, 0.4]), 0.5), "sum to 0.9"),
        (lambda: KLBandit(np.zeros(2), np.zeros(3), 0.5), "rewards' shape"),
        (lambda: KLBandit(np.zeros(2), np.array([0.0, np.nan]), 0.5), "not a log-probability"),
        (lambda: KLBandit(np.zeros(2), HALF, 0.5, np.log([0.5, 0.6])), "law of pairs"),
        (lambda: KLBandit(np.zeros(2), HALF, 0.0), "temperature"),
        (lambda: KLBandit(np.zeros(2), HALF, np.inf), "temperature"),
        (lambda: KLBandit(np.zeros(2), HALF, 0.5, prompts=np.ones(1)), "no law of prompts"),
        (lambda: KLBandit(np.zeros((2, 2)), np.array([HALF, HALF]), 0.5, prompts=np.ones(2)), "law of 2 prompts"),
    ],
)
def test_bad_input_gets_one_sentence(call, says: str) -> None:
    with pytest.raises(InputError, match=says):
        call()
