"""One-sided feedback: losses, panels, accounts, and both learners against their NumPy twins and exact answers."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandits.contextual_semi_bandit_ftpl import (
    contextual_semi_bandit_ftpl,
    perturbation_cost,
    read_separator,
    regret_bound,
    resampled_weight,
    tuned_epsilon,
)
from bandits.exp2_fairness import exp2_expectation, exp2_fairness, second_moment_bound, split_moment_bound, tuned_step
from bandits.one_sided_feedback import (
    OneSidedProblem,
    Panel,
    account,
    all_or_nobody,
    applicants,
    error,
    reported_pairs,
    surrogate_loss,
    two_alike,
)
from theory.errors import InputError
from theory.random_streams import run_seeds, stream, uniform
from theory.statistics import mean_interval

SEEDS = st.integers(0, 2**32 - 1)


def entries(seed: int, start: int, count: int) -> np.ndarray:
    """Entries of stream 0 of a run, by the functions that the kernels inline."""
    point = np.uint64(stream(np.uint64(seed), 0))
    return np.array([uniform(point, start + n) for n in range(count)])


# --- losses, panels, accounts ------------------------------------------------------------------------------------------


def test_losses_by_hand() -> None:
    decisions, labels = np.array([1, 1, 0, 0]), np.array([1, 0, 1, 0])
    assert error(decisions, labels).tolist() == [0, 1, 1, 0]
    assert surrogate_loss(decisions, labels).tolist() == [0, 1, 0.5, 0.5]
    assert surrogate_loss(0.25, 0.0) == 0.25 + 0.75 / 2


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(1, 4), st.integers(2, 5))
def test_votes_are_counted(seed: int, M: int, X: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.random((M, X))
    panel = Panel(np.abs(points[:, :, None] - points[:, None, :]), 0.05, int(rng.integers(1, M + 1)))
    q = rng.random(X)
    reports = panel.reports(q)
    for i, j in itertools.product(range(X), repeat=2):
        votes = sum(q[i] - q[j] > panel.metrics[m, i, j] + 0.05 for m in range(M))
        assert reports[i, j] == (votes >= panel.threshold)
    order = rng.permutation(X)
    relabelled = Panel(panel.metrics[:, order][:, :, order], 0.05, panel.threshold)
    np.testing.assert_array_equal(relabelled.reports(q[order]), reports[np.ix_(order, order)])


def worst_pair(panel: Panel, q: np.ndarray, people: np.ndarray) -> tuple[int, int] | None:
    """The pair of largest excess, by going through all of them."""
    best, pair = 0.0, None
    for i, j in itertools.product(range(q.size), repeat=2):
        excess = q[i] - q[j] - panel.metric[people[i], people[j]] - panel.alpha
        if excess > best:
            best, pair = excess, (i, j)
    return pair


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_accounts_and_reported_pairs_by_going_through_the_rounds(seed: int) -> None:
    problem = applicants(X=6, N=5, k=3, T=15, alpha=0.02, scale=0.2, seed=seed)
    mixtures = np.random.default_rng(seed).dirichlet(np.full(5, 0.3), size=15)
    kept = account(problem, mixtures, 2.0)
    lagrangian, violations = np.zeros(5), 0
    for w, x, y in zip(mixtures, problem.people, problem.labels):
        q = w @ problem.policies[:, x]
        pair = worst_pair(problem.panel, q, x)
        reported, signs = reported_pairs(problem.panel, q[None], x)
        assert reported[0] == (pair is not None)
        lagrangian += surrogate_loss(q, y).sum() - surrogate_loss(problem.policies[:, x], y).sum(axis=1)
        if pair is not None:
            i, j = pair
            assert signs[0, i] == 1
            assert signs[0, j] == -1
            violations += 1
            lagrangian += 2.0 * (q[i] - q[j] - problem.policies[:, x[i]] + problem.policies[:, x[j]])
    assert kept.violations[-1] == violations
    np.testing.assert_allclose(kept.lagrangian_regret[-1], lagrangian, atol=1e-12)


def test_a_pure_play_has_no_regret_against_itself() -> None:
    problem = applicants(T=30, seed=4)
    for h in (0, 1, 7):
        kept = account(problem, np.tile(np.eye(20)[h], (30, 1)), 5.0)
        np.testing.assert_allclose(kept.lagrangian_regret[:, h], 0, atol=1e-12)
        assert kept.errors[-1] == pytest.approx(problem.policy_errors[-1, h])
    assert problem.fair_policies(0.0)[:2].all()
    assert problem.fair_policies(1.0).all()


# --- exponential weights -----------------------------------------------------------------------------------------------


def exp2_numpy(problem: OneSidedProblem, C: float, step: float, seed: int, weighted: bool = True) -> np.ndarray:
    """The mixtures of all rounds of one run of exponential weights, shape (T, N), in NumPy."""
    loss, mixtures = np.zeros(problem.size), []
    luck = entries(seed, 0, problem.rounds)
    for t, (x, y) in enumerate(zip(problem.people, problem.labels)):
        raw = np.exp(-step * (loss - loss.min()))
        w = raw / raw.sum()
        mixtures.append(w)
        h = problem.policies[:, x]
        q = w @ h
        played = min(int(np.searchsorted(np.cumsum(raw), luck[t] * raw.sum(), side="right")), problem.size - 1)
        seen = h[played] * (1 - y) / (np.where(q > 0, q, 1.0) if weighted else 1.0)
        loss += h @ seen + (1 - h).sum(axis=1) / 2
        pair = worst_pair(problem.panel, q, x)
        if pair is not None:
            loss += C * (1 + h[:, pair[0]] - h[:, pair[1]])
    return np.array(mixtures)


@pytest.mark.parametrize("C", [0.0, 3.0])
@pytest.mark.parametrize("weighted", [True, False])
def test_the_exp2_kernel_equals_its_numpy_twin(C: float, weighted: bool) -> None:
    problem, seeds = applicants(X=6, N=7, k=3, T=120, scale=0.2, alpha=0.05, seed=1), run_seeds(5, 4)
    marks = np.array([1, 50, 120])
    runs = exp2_fairness(problem, C, seeds, checkpoints=marks, weighted=weighted)
    step = tuned_step(problem, second_moment_bound(3, C))
    for n, seed in enumerate(seeds):
        twin = account(problem, exp2_numpy(problem, C, step, int(seed), weighted), C)
        np.testing.assert_allclose(runs.errors[n], twin.errors[marks - 1], rtol=1e-12)
        np.testing.assert_array_equal(runs.violations[n], twin.violations[marks - 1])
        np.testing.assert_allclose(runs.lagrangian_regret[n], twin.lagrangian_regret[marks - 1], atol=1e-9)


def test_a_run_depends_on_its_seed_alone() -> None:
    problem, seeds = applicants(T=60, seed=2), run_seeds(9, 6)
    whole = exp2_fairness(problem, 2.0, seeds)
    part = exp2_fairness(problem, 2.0, seeds[2:4][::-1])
    np.testing.assert_array_equal(whole.errors[2:4][::-1], part.errors)
    separator = np.arange(1)
    lone = all_or_nobody(T=60)
    options = {"epsilon": 0.5, "resamples": 8}
    both = contextual_semi_bandit_ftpl(lone, separator, seeds, **options)
    assert np.array_equal(contextual_semi_bandit_ftpl(lone, separator, seeds[3:4], **options).errors, both.errors[3:4])


@pytest.mark.parametrize("C", [0.0, 2.0])
def test_simulated_means_agree_with_the_exact_expectation(C: float) -> None:
    problem = applicants(X=4, N=5, k=2, T=8, scale=0.1, alpha=0.0, noise=0.3, seed=3)
    exact, moments = exp2_expectation(problem, C, step=0.4)
    runs = exp2_fairness(problem, C, run_seeds(1, 20_000), step=0.4)
    assert exact.errors[-1] in mean_interval(runs.errors[:, 0], 1e-6)
    assert exact.violations[-1] in mean_interval(runs.violations[:, 0], 1e-6)
    for h in range(5):
        assert exact.lagrangian_regret[-1, h] in mean_interval(
            runs.lagrangian_regret[:, 0, h] + 1e-12 * np.arange(20_000), 1e-6
        )
    assert (moments <= 1.25 * 4 + 1e-12).all()


def test_the_exact_expectation_by_hand() -> None:
    """Two policies, labels of 0, two rounds: accept with 1/2; then the loss of 2 for acceptance, or 0, against 1/2 for rejection."""
    exact, moments = exp2_expectation(all_or_nobody(T=2), 0.0, step=1.0)
    after = [math.exp(-2) / (math.exp(-2) + math.exp(-0.5)), 1 / (1 + math.exp(-0.5))]
    np.testing.assert_allclose(exact.errors, [0.5, 0.5 + np.mean(after)], rtol=1e-14)
    np.testing.assert_allclose(moments, [1 + 1 / 8, 1 + (1 - np.mean(after)) / 4], rtol=1e-14)


def test_labels_of_one_are_deterministic() -> None:
    problem = all_or_nobody(T=200, good=1.0)
    exact, _ = exp2_expectation(problem, 0.0)
    runs = exp2_fairness(problem, 0.0, run_seeds(0, 3))
    np.testing.assert_allclose(runs.errors[:, 0], exact.errors[-1], rtol=1e-12)


def test_moment_bounds() -> None:
    assert second_moment_bound(3, 2.0) == 2.5 * 9 + 32
    assert split_moment_bound(3, 2.0) == 2.5 * 9 + 8


# --- the perturbed leader ----------------------------------------------------------------------------------------------


def ftpl_numpy(problem: OneSidedProblem, separator: np.ndarray, epsilon: float, L: int, seed: int) -> tuple[float, int]:
    """Errors and calls of one run of the perturbed leader, in NumPy."""
    loss, calls, mistakes, d = np.zeros(problem.size), 0, 0.0, separator.size

    def lead() -> int:
        nonlocal calls
        u = entries(seed, calls * d, d) - (0.5 - 2.0**-54)
        calls += 1
        z = -np.sign(u) * np.log(1 - 2 * np.abs(u)) / epsilon
        return int(np.argmin(loss + problem.policies[:, separator] @ z))

    for x, y in zip(problem.people, problem.labels):
        h = problem.policies[:, x]
        played = lead()
        mistakes += np.abs(h[played] - y).sum()
        estimate = np.zeros(x.size)
        for i in range(x.size):
            if h[played, i] == 1 and y[i] == 0:
                while estimate[i] < L:
                    estimate[i] += 1
                    if h[lead(), i] == 1:
                        break
        loss += h @ estimate + (1 - h).sum(axis=1) / 2
    return mistakes, calls


@pytest.mark.parametrize("L", [1, 5])
def test_the_perturbed_leader_equals_its_numpy_twin(L: int) -> None:
    problem, seeds = two_alike(T=80, flip=True), run_seeds(2, 4)
    separator = np.array([1, 0])
    runs = contextual_semi_bandit_ftpl(problem, separator, seeds, epsilon=0.3, resamples=L)
    for n, seed in enumerate(seeds):
        assert ftpl_numpy(problem, separator, 0.3, L, int(seed)) == (runs.errors[n, 0], runs.calls[n, 0])


def test_one_context_follows_the_laplace_law() -> None:
    """With labels of 1 an acceptance costs nothing and a rejection 1/2: it is rejected in round t (from 0) if z < -t/2."""
    T, epsilon = 6, 0.7
    runs = contextual_semi_bandit_ftpl(
        all_or_nobody(T=T, good=1.0), [0], run_seeds(3, 40_000), epsilon=epsilon, resamples=3, checkpoints=np.arange(1, T + 1)
    )
    rejected = np.diff(runs.errors, axis=1, prepend=0.0)
    exact = np.exp(-epsilon * np.arange(T) / 2) / 2
    for t in range(T):
        assert exact[t] in mean_interval(rejected[:, t], 1e-6, (0.0, 1.0))
    assert (runs.calls == np.arange(1, T + 1)).all()


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 1), st.integers(1, 60))
def test_geometric_resampling_is_biased_by_its_truncation_alone(q: float, L: int) -> None:
    series = sum((1 - q) ** n for n in range(L))
    assert float(resampled_weight(q, L)) == pytest.approx(series, rel=1e-10)
    bias = q * (1 - q * float(resampled_weight(q, L)))
    assert -1e-12 <= bias <= 1 / (math.e * L) + 1e-12


def test_regret_is_sublinear_in_a_small_game() -> None:
    """Regret over T falls as T grows, and stays below the bound."""
    ratio = []
    for T in (250, 1000, 4000):
        problem = two_alike(T=T, flip=False)
        epsilon, L = tuned_epsilon(problem, 2), math.ceil(math.sqrt(T))
        runs = contextual_semi_bandit_ftpl(problem, [0, 1], run_seeds(4, 20), epsilon=epsilon, resamples=L)
        regret = runs.regret[:, 0].mean(axis=0).max()
        assert 0 < regret <= regret_bound(problem, 2, epsilon, L)
        ratio.append(regret / T)
    assert ratio[1] < 0.7 * ratio[0]
    assert ratio[2] < 0.7 * ratio[1]


def test_the_cost_of_perturbations_is_a_bound() -> None:
    rng = np.random.default_rng(0)
    for d, N in ((1, 2), (3, 8), (8, 20), (40, 10)):
        policies = np.unique(rng.integers(2, size=(N, d)), axis=0)
        best = (rng.laplace(size=(20_000, d)) @ policies.T).max(axis=1)
        assert mean_interval(best, 1e-6).low <= perturbation_cost(len(policies), d)
    assert perturbation_cost(2**6, 6) == 3.0
    assert perturbation_cost(4, 1000) < 50 < 1000 / 2


# --- what is refused ---------------------------------------------------------------------------------------------------


def test_bad_input() -> None:
    metric = np.array([[[0.0, 0.3], [0.3, 0.0]]])
    with pytest.raises(InputError, match="symmetric"):
        Panel(np.array([[[0.0, 0.3], [0.2, 0.0]]]), 0.1)
    with pytest.raises(InputError, match=r"auditor 0 puts people 0 and 1 at the distance -1"):
        Panel(np.array([[[0.0, -1.0], [-1.0, 0.0]]]), 0.1)
    with pytest.raises(InputError, match=r"shape"):
        Panel(metric[0], 0.1)
    with pytest.raises(InputError, match=r"1 to 1 votes, not 2"):
        Panel(metric, 0.1, threshold=2)
    with pytest.raises(InputError, match=r"at least 0, not -0.1"):
        Panel(metric, -0.1)
    panel, policies = Panel(metric, 0.1), np.array([[0.0, 1.0], [1.0, 1.0]])
    with pytest.raises(InputError, match=r"round 1 person 2 applies"):
        OneSidedProblem(policies, np.array([[0], [2]]), np.zeros((2, 1)), panel)
    with pytest.raises(InputError, match=r"policy 0 has the entry 0.5"):
        OneSidedProblem(policies / 2 + 0.0, np.array([[0]]), np.zeros((1, 1)), panel)
    with pytest.raises(InputError, match=r"label of round 0 has the entry 2"):
        OneSidedProblem(policies, np.array([[0]]), np.full((1, 1), 2.0), panel)
    with pytest.raises(InputError, match=r"one shape"):
        OneSidedProblem(policies, np.array([[0]]), np.zeros((2, 1)), panel)
    with pytest.raises(InputError, match=r"\(policies, 2\)"):
        OneSidedProblem(policies[:, :1], np.array([[0]]), np.zeros((1, 1)), panel)
    problem = two_alike(T=20)
    with pytest.raises(InputError, match=r"at least 0, not -1"):
        exp2_fairness(problem, -1.0, run_seeds(0, 1))
    with pytest.raises(InputError, match=r"positive, not 0"):
        exp2_fairness(problem, 1.0, run_seeds(0, 1), step=0.0)
    with pytest.raises(InputError, match=r"20 labels of 0"):
        exp2_expectation(problem, 1.0)
    with pytest.raises(InputError, match=r"shape \(20, 4\)"):
        account(problem, np.ones((20, 3)), 1.0)
    with pytest.raises(InputError, match=r"policy 2 agrees"):
        read_separator(problem, [1])
    with pytest.raises(InputError, match=r"no member 5"):
        read_separator(problem, [0, 5])
    with pytest.raises(InputError, match=r"vector of members"):
        read_separator(problem, [0.5])
    with pytest.raises(InputError, match=r"positive and finite, not 0"):
        contextual_semi_bandit_ftpl(problem, [0, 1], run_seeds(0, 1), epsilon=0.0, resamples=2)
    with pytest.raises(InputError, match=r"at least once, not 0"):
        contextual_semi_bandit_ftpl(problem, [0, 1], run_seeds(0, 1), epsilon=1.0, resamples=0)
    with pytest.raises(InputError, match=r"lies in \[0, 1\]"):
        resampled_weight(1.5, 3)
    with pytest.raises(InputError, match="two constant policies"):
        applicants(N=2)
