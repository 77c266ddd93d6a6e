"""Rejection sampling: its exact law against every sequence of candidates, against runs of the algorithm, and in closed forms."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandits.preference.best_of_n import best_of_n
from bandits.preference.families import hole_bandit, kl_bandit, random_kl_bandit
from bandits.preference.kl_bandit import KLBandit
from bandits.preference.rejection_sampling import accept_candidates, candidate_law, rejection_law
from theory.errors import InputError

seeds = st.integers(0, 10_000)


def _accepted(kinds, wanted, weights, taken=()):
    """Expected numbers of accepted samples by kind for one sequence of candidates, by the algorithm's own words."""
    if wanted == len(taken):
        return np.bincount(taken, minlength=len(weights)).astype(float)
    top = max(weights[k] for k in kinds)

    def sweep(position, left, got):
        if len(taken) + len(got) == wanted:
            return np.bincount([*taken, *got], minlength=len(weights)).astype(float)
        if position == len(kinds):
            return _accepted(left, wanted, weights, (*taken, *got))
        kind = kinds[position]
        chance = weights[kind] / top
        total = chance * sweep(position + 1, left, (*got, kind))
        if chance < 1:
            total = total + (1 - chance) * sweep(position + 1, (*left, kind), got)
        return total

    return sweep(0, (), ())


@pytest.mark.parametrize(("K", "N"), [(2, 1), (2, 4), (3, 4)])
def test_every_sequence_of_candidates(K, N):
    bandit = random_kl_bandit(K=K, seed=4, beta=1.0)
    weights = np.exp(bandit.reward / bandit.beta)
    for M in range(1, N + 1):
        total = np.zeros(K)
        for kinds in itertools.product(range(K), repeat=N):
            total += bandit.reference[list(kinds)].prod() * _accepted(kinds, M, weights)
        np.testing.assert_allclose(candidate_law(bandit, N, M), total / M, atol=1e-13)


@pytest.mark.parametrize(("K", "N", "M"), [(2, 30, 12), (3, 10, 7), (4, 6, 3)])
def test_runs_of_the_algorithm(K, N, M):
    bandit = random_kl_bandit(K=K, seed=2, beta=0.8)
    rng = np.random.default_rng(0)
    shares = np.zeros((1000, K))
    for run in range(1000):
        candidates = rng.choice(K, size=N, p=bandit.reference)
        accepted = accept_candidates(bandit.reward[candidates], bandit.beta, M, rng)
        assert len(set(accepted.tolist())) == M
        shares[run] = np.bincount(candidates[accepted], minlength=K) / M
    error = shares.std(axis=0, ddof=1) / np.sqrt(1000)
    assert (np.abs(shares.mean(axis=0) - candidate_law(bandit, N, M)) <= 5 * error + 1e-12).all()


def test_two_candidates_by_hand():
    """Rewards 1 and 0, beta = 1, even odds, one of two accepted: a low one only if both are, or it comes first and is accepted."""
    bandit = kl_bandit(reward=(1.0, 0.0), beta=1.0)
    low = 1 / 4 + 1 / 2 * 1 / 2 * np.exp(-1)
    np.testing.assert_allclose(candidate_law(bandit, 2, 1), [1 - low, low], rtol=1e-14)


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(1, 7))
def test_ends(seed, N):
    bandit = random_kl_bandit(K=3, seed=seed)
    np.testing.assert_allclose(candidate_law(bandit, N, N), bandit.reference, atol=1e-12)
    cold = KLBandit(bandit.reward, bandit.log_reference, 1e-4)
    np.testing.assert_allclose(candidate_law(cold, N, 1), np.exp(best_of_n(bandit.log_reference, bandit.reward, N)), atol=1e-9)
    moved = KLBandit(bandit.reward + 3, bandit.log_reference, bandit.beta)
    np.testing.assert_allclose(candidate_law(moved, N, 1), candidate_law(bandit, N, 1), atol=1e-12)


def test_equal_rewards_share_by_the_reference():
    bandit = kl_bandit(reward=(1.0, 0.0, 1.0), logits=(0.0, 0.3, 1.0), beta=0.6)
    merged = KLBandit([0.0, 1.0], np.log([bandit.reference[1], bandit.reference[[0, 2]].sum()]), 0.6)
    law, pair = candidate_law(bandit, 9, 4), candidate_law(merged, 9, 4)
    np.testing.assert_allclose([law[1], law[0] + law[2]], pair, rtol=1e-12)
    assert law[0] / law[2] == pytest.approx(np.exp(-1.0))


def test_responses_outside_the_reference_do_not_count():
    bandit = hole_bandit(K=3, delta=0.0, hole=50.0, seed=1)
    found = rejection_law(bandit)
    np.testing.assert_allclose(np.exp(found.log_law), np.exp(bandit.log_optimum), atol=1e-14)
    law = candidate_law(bandit, 6, 2)
    assert law[-1] == 0
    assert law.sum() == pytest.approx(1)


@settings(max_examples=25, deadline=None)
@given(seeds, st.floats(0, 3))
def test_rejection_with_a_bound(seed, above):
    bandit = random_kl_bandit(K=4, seed=seed)
    found = rejection_law(bandit, float(bandit.reward.max()) + above)
    np.testing.assert_allclose(found.log_law, bandit.log_optimum, atol=1e-12)
    assert found.acceptance == pytest.approx(np.exp(-above / bandit.beta) * rejection_law(bandit).acceptance, rel=1e-10)
    # far too low a bound accepts everything
    low = rejection_law(bandit, float(bandit.reward.min()))
    np.testing.assert_allclose(np.exp(low.log_law), bandit.reference, atol=1e-13)
    assert low.acceptance == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda b: candidate_law(b, 4, 5), "between 1 and 4 of 4 candidates can be accepted, not 5"),
        (lambda b: candidate_law(b, 4, 0), "not 0"),
        (lambda b: accept_candidates([1.0, np.nan], 1.0, 1, np.random.default_rng(0)), "finite vector"),
        (lambda b: accept_candidates([1.0], 0.0, 1, np.random.default_rng(0)), "temperature"),
        (lambda b: rejection_law(random_kl_bandit(prompts=2)), "prompt axis"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call(random_kl_bandit(K=3))
