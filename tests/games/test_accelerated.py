"""APO and DNO: kernels against their NumPy twins, closed forms, invariances, and what is refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from games.accelerated import accelerated_preference_optimization, effective_time, nesterov_momentum
from games.direct_nash import direct_nash_optimization, fit_finite_class, pairwise_cross_entropy, squared_preference_error
from games.generators import rock_paper_scissors, tournament, uniform
from games.mirror_descent import hedge
from games.oracle import Oracle, exact_oracle, sampled_oracle
from games.preference import PreferenceGame
from games.prox import normalise, prox
from theory.divergences import span
from theory.errors import InputError


def apo_numpy(gains, beta, schedule, start):
    """APO in probabilities, by its definition: the twin of both kernels. ``gains`` maps pi_t to its gains."""
    now, hats, extrapolated = np.exp(start), [np.exp(start)], [np.exp(start)]
    for alpha in schedule:
        hat = now * np.exp(gains(now) / beta)
        hat = hat / hat.sum()
        now = hat * (hat / hats[-1]) ** alpha
        now = now / now.sum()
        hats.append(hat)
        extrapolated.append(now)
    return np.array(hats), np.array(extrapolated)


SCHEDULES = {
    "none": lambda T: np.zeros(T),
    "constant": lambda T: np.full(T, 0.7),
    "Nesterov": nesterov_momentum,
    "drawn": lambda T: np.random.default_rng(T).uniform(0, 0.95, T),
}


@pytest.mark.parametrize("K", [1, 2, 5, 40])
@pytest.mark.parametrize("name", SCHEDULES)
def test_the_kernels_equal_their_numpy_twin(K: int, name: str) -> None:
    game, rng, T = uniform(K=K, seed=K), np.random.default_rng(K), 25
    schedule, start = SCHEDULES[name](T), normalise(rng.standard_normal(K))
    rewards = rng.uniform(size=K)
    for given_gains, gains in ((game, lambda p: game.A @ p), (rewards, lambda p: rewards)):
        run = accelerated_preference_optimization(given_gains, 2.0, T, momentum=schedule, start=start)
        hats, extrapolated = apo_numpy(gains, 2.0, schedule, start)
        assert np.allclose(np.exp(run.log_policies), hats, rtol=1e-10, atol=0)
        assert np.allclose(np.exp(run.log_extrapolated), extrapolated, rtol=1e-10, atol=0)
        assert np.array_equal(run.queries, np.arange(T + 1))
        # the loop that serves inexact oracles
        pretended = Oracle(start, lambda q, gains=gains: np.broadcast_to(gains(q), q.shape))
        loop = accelerated_preference_optimization(pretended, 2.0, T, momentum=schedule)
        assert np.allclose(loop.log_policies, run.log_policies, rtol=0, atol=1e-12)
        assert np.allclose(loop.log_extrapolated, run.log_extrapolated, rtol=0, atol=1e-12)
        assert pretended.queries == T


def test_without_momentum_it_is_proximal_point() -> None:
    game, beta = tournament(K=6, seed=1), 0.7
    run = accelerated_preference_optimization(game, beta, 30)
    assert np.allclose(run.log_policies, hedge(game, 30, step=1 / beta).log_policies, rtol=0, atol=1e-12)
    assert np.allclose(run.log_extrapolated, run.log_policies, rtol=0, atol=1e-13)
    rewards = np.random.default_rng(0).uniform(size=6)
    policies = accelerated_preference_optimization(rewards, beta, 10, start=game.log_reference).log_policies
    for before, after in itertools.pairwise(policies):
        assert np.allclose(after, prox(game.log_reference, before, rewards, 0.0, beta), rtol=0, atol=1e-13)


def test_two_actions_have_a_closed_form() -> None:
    """Log-odds grow by s_T (r_0 - r_1) / beta; with alpha = 1/2, s_T = 1, 2.5, 4.25, ..., which is 2T - 2 + 2^(1-T)."""
    run = accelerated_preference_optimization([0.9, 0.4], 0.25, 12, momentum=0.5, start=np.log([0.2, 0.8]))
    T = np.arange(13)
    odds = run.log_policies[:, 0] - run.log_policies[:, 1]
    assert odds == pytest.approx(np.log(0.25) + (2 * T - 2 + 2.0 ** (1 - T)) * 2.0, abs=1e-12)
    assert effective_time(3, 0.5) == pytest.approx([0, 1, 2.5, 4.25])
    # the extrapolated policy is ahead by alpha times the last increment
    ahead = run.log_extrapolated[:, 0] - run.log_extrapolated[:, 1] - odds
    assert ahead[1:] == pytest.approx(0.5 * np.diff(odds), abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(alpha=st.floats(0, 0.999), T=st.integers(0, 60))
def test_effective_time_has_a_closed_form(alpha: float, T: int) -> None:
    t = np.arange(T + 1)
    expected = t / (1 - alpha) - alpha * (1 - alpha**t) / (1 - alpha) ** 2
    found = effective_time(T, alpha)
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-13 / (1 - alpha) ** 2)  # the closed form cancels
    assert (found >= t * (1 - 1e-12)).all()
    assert (found <= t / (1 - alpha) * (1 + 1e-12)).all()
    if T > 0:
        nesterov = effective_time(T, nesterov_momentum(T))
        assert nesterov[1:] == pytest.approx((t[1:] ** 2 + 5 * t[1:] + 2) / 8, rel=1e-13)


def test_effective_time_keeps_its_digits_near_one() -> None:
    """At alpha = 1 - 1e-12 the closed form has lost all digits; the time is T (T + 1) / 2 up to 1e-12 relative to it."""
    assert effective_time(50, 1 - 1e-12)[-1] == pytest.approx(50 * 51 / 2, rel=1e-9)
    assert effective_time(0, 0.3) == pytest.approx([0.0])


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6), K=st.integers(1, 8), shift=st.floats(-5, 5), beta=st.floats(0.1, 5), alpha=st.floats(0, 0.95)
)
def test_rewards_count_up_to_a_constant_and_labels_not_at_all(
    seed: int, K: int, shift: float, beta: float, alpha: float
) -> None:
    rng = np.random.default_rng(seed)
    rewards, start, order = rng.uniform(size=K), normalise(rng.standard_normal(K)), rng.permutation(K)

    def run(gains, begin):
        return accelerated_preference_optimization(gains, beta, 20, momentum=alpha, start=begin).log_policies

    plain = run(rewards, start)
    size = 1 + np.abs(plain).max() + 20 * (abs(shift) + 1) / beta / (1 - alpha)
    assert np.allclose(run(rewards + shift, start), plain, rtol=0, atol=1e-13 * size)
    assert np.allclose(run(rewards[order], start[order]), plain[:, order], rtol=0, atol=1e-13 * size)
    closed = start + np.multiply.outer(effective_time(20, alpha), rewards) / beta
    assert span(plain - closed).max() <= 1e-13 * size
    game = PreferenceGame(uniform(K=K, seed=seed).A, start)
    relabelled = run(game.relabelled(order), None)
    assert np.allclose(np.exp(relabelled), np.exp(run(game, None))[:, order], rtol=0, atol=1e-9)


def test_independent_runs_side_by_side() -> None:
    game = rock_paper_scissors(logits=(0.5, 0.0, -0.5))
    first, second, other = (
        accelerated_preference_optimization(sampled_oracle(game, 5, s, runs=4), 2.0, 20, momentum=0.5).log_policies
        for s in (1, 1, 2)
    )
    assert first.shape == (21, 4, 3)
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first[:, 0], first[:, 1])


def test_momentum_amplifies_rotation() -> None:
    """The growth near the equilibrium of rock-paper-scissors is that of the roots of z^2 = (1 + i w)((1 + a) z - a)."""
    beta, alpha = 5.0, 0.6
    w = 1 / (2 * np.sqrt(3)) / beta
    growth = np.abs(np.roots([1, -(1 + alpha) * (1 + 1j * w), alpha * (1 + 1j * w)])).max()
    start = normalise([1e-6, 0.0, 0.0])
    sizes = span(
        accelerated_preference_optimization(rock_paper_scissors(), beta, 600, momentum=alpha, start=start).log_policies
    )
    # the span of a rotating vector is not constant: compare full turns, about 2 pi (1 - alpha) / w = 43.5 iterations
    peaks = [sizes[k : k + 44].max() for k in (100, 550)]
    assert np.log(peaks[1] / peaks[0]) / 450 == pytest.approx(np.log(growth), rel=0.02)


# --- direct Nash optimization ------------------------------------------------------------------------------------------


def test_the_cross_entropy_is_a_sum_over_pairs() -> None:
    rng = np.random.default_rng(0)
    policies, current = normalise(rng.standard_normal((3, 4))), normalise(rng.standard_normal(4))
    rates, law, eta = rng.uniform(size=4), rng.dirichlet(np.ones(4)), 0.7
    for log_policy, found in zip(policies, pairwise_cross_entropy(policies, current, rates, eta, law)):
        total = 0.0
        for i in range(4):
            for j in range(4):
                q = expit(eta * ((log_policy - current)[i] - (log_policy - current)[j]))
                p = expit(rates[i] - rates[j])
                total -= law[i] * law[j] * (p * np.log(q) + (1 - p) * np.log(1 - q))
        assert found == pytest.approx(total, rel=1e-13)
    shifted = pairwise_cross_entropy(policies, current, rates + 0.3, eta, law)
    assert np.allclose(shifted, pairwise_cross_entropy(policies, current, rates, eta, law), rtol=1e-13)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), K=st.integers(2, 8), eta=st.floats(0.1, 10))
def test_a_step_minimises_the_cross_entropy(seed: int, K: int, eta: float) -> None:
    rng = np.random.default_rng(seed)
    game, law = uniform(K=K, seed=seed), rng.dirichlet(np.ones(K) * 5)
    now, after = direct_nash_optimization(game, eta, 1).log_policies
    rates = game.A @ np.exp(now) + 0.5
    best = pairwise_cross_entropy(after, now, rates, eta, law)
    others = normalise(after + rng.standard_normal((50, K)))
    assert (pairwise_cross_entropy(others, now, rates, eta, law) >= best - 1e-14).all()
    # stationary: central differences in every log-probability
    for action in np.eye(K) * 1e-5:
        ends = pairwise_cross_entropy(np.stack([after + action, after - action]), now, rates, eta, law)
        assert abs(ends[0] - ends[1]) / 2e-5 <= 1e-9


def test_dno_is_hedge() -> None:
    game = tournament(K=5, seed=3)
    exact = exact_oracle(game)
    assert np.array_equal(direct_nash_optimization(exact, 4.0, 20).log_policies, hedge(game, 20, step=0.25).log_policies)
    assert exact.queries == 20


def test_the_simulated_regression_has_the_law_of_single_comparisons() -> None:
    """How often the wrong of two rewards is chosen, against drawing pairs and labels one by one."""
    truth, wrong = np.array([0.6, 0.1, 0.0]), np.array([0.0, 0.3, 0.2])
    law, samples, runs = np.array([0.5, 0.3, 0.2]), 30, 20_000
    chosen = fit_finite_class(np.stack([truth, wrong]), truth, law, samples, 0, runs=runs)
    rng = np.random.default_rng(1)
    i, j = rng.choice(3, p=law, size=(2, runs, samples))
    label = np.where(rng.uniform(size=i.shape) < expit(truth[i] - truth[j]), 1.0, -1.0)
    losses = [np.logaddexp(0, -label * (r[i] - r[j])).sum(axis=1) for r in (truth, wrong)]
    brute = losses[1] < losses[0]
    error = np.sqrt(2 * 0.25 / runs)
    assert abs(chosen.mean() - brute.mean()) <= 5 * error
    assert 0.05 < brute.mean() < 0.5
    assert np.array_equal(chosen, fit_finite_class(np.stack([truth, wrong]), truth, law, samples, 0, runs=runs))


def test_the_regression_finds_the_truth_in_the_limit() -> None:
    rng = np.random.default_rng(5)
    truth, law = rng.uniform(size=6), rng.dirichlet(np.ones(6))
    candidates = np.concatenate([truth + rng.standard_normal((40, 6)), truth[None]])
    assert (fit_finite_class(candidates, truth, law, 10**6, rng, runs=20) == 40).all()
    errors = squared_preference_error(candidates, truth, law)
    assert errors[40] == 0
    i, j = np.meshgrid(range(6), range(6), indexing="ij")
    by_hand = sum(
        law[a] * law[b] * (expit(candidates[0, a] - candidates[0, b]) - expit(truth[a] - truth[b])) ** 2
        for a, b in zip(i.flat, j.flat)
    )
    assert errors[0] == pytest.approx(by_hand, rel=1e-13)


RPS = rock_paper_scissors()
UNIFORM = np.full(3, 1 / 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: accelerated_preference_optimization(RPS, 1.0, 5, momentum=1.0),
            r"the momentum alpha is 1.0, outside \[0, 1\)",
        ),
        (lambda: accelerated_preference_optimization(RPS, 1.0, 5, momentum=-0.1), "alpha is -0.1"),
        (lambda: accelerated_preference_optimization(RPS, 1.0, 5, momentum=np.nan), "alpha is nan"),
        (
            lambda: accelerated_preference_optimization(RPS, 1.0, 3, momentum=[0.1, 0.2, 1.5]),
            "alpha_3 of the momentum schedule is 1.5",
        ),
        (lambda: accelerated_preference_optimization(RPS, 1.0, 5, momentum=[0.1, 0.2]), r"shape \(2,\)"),
        (lambda: accelerated_preference_optimization(RPS, 0.0, 5), "temperature"),
        (lambda: accelerated_preference_optimization(RPS, 1.0, -1), "iterations"),
        (lambda: accelerated_preference_optimization([0.0, np.inf], 1.0, 5), "reward of action 1 is inf"),
        (lambda: accelerated_preference_optimization([[0.0, 1.0]], 1.0, 5), r"shape \(1, 2\)"),
        (lambda: accelerated_preference_optimization([0.0, 1.0], 1.0, 5, start=[0.0, 0.0]), "sum to probability 1"),
        (lambda: effective_time(-1), "iterations"),
        (lambda: effective_time(3, 1.0), "outside"),
        (lambda: nesterov_momentum(-1), "iterations"),
        (lambda: direct_nash_optimization(RPS, 0.0, 5), "positive"),
        (lambda: pairwise_cross_entropy(np.zeros(2), np.zeros(3), UNIFORM, 1.0, UNIFORM), "same actions"),
        (lambda: pairwise_cross_entropy(np.zeros(3), np.zeros(3), UNIFORM, 1.0, 2 * UNIFORM), "sums to 2"),
        (lambda: squared_preference_error(UNIFORM, UNIFORM, [0.5, 0.6, -0.1]), "negative entry"),
        (lambda: squared_preference_error(np.zeros((2, 4)), UNIFORM, UNIFORM), "not about the same actions"),
        (lambda: fit_finite_class(np.zeros((2, 4)), UNIFORM, UNIFORM, 5, 0), "no rewards for the 3 actions"),
        (lambda: fit_finite_class(np.zeros((2, 3)), UNIFORM, UNIFORM, 0, 0), "at least one sample"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
