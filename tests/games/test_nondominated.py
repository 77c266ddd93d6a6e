"""Non-dominated policies and the hidden code: linear programmes of another library, brute force, closed forms, and what is refused."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from games.hidden_code import least_regret, memoryless_regret, play_search, search_regret, uninformed_regret
from games.nondominated import class_gap, greedy_discovery, mixture_gap, pointwise_gap, prune
from theory.errors import InputError

seeds = st.integers(0, 10**6)


def returns(seed: int, levels: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shape = (rng.integers(3, 12), rng.integers(2, 5))
    return rng.integers(0, levels + 1, size=shape) / levels if levels else rng.random(shape)


def gap_by_programme(row: np.ndarray, kept: np.ndarray) -> float:
    """min t with row - w kept <= t, w in the simplex, by HiGHS."""
    k, m = kept.shape
    found = linprog(
        np.append(np.zeros(k), 1.0),
        A_ub=np.hstack([-kept.T, -np.ones((m, 1))]),
        b_ub=-row,
        A_eq=np.append(np.ones(k), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0, None)] * k + [(None, None)],
        method="highs",
    )
    return float(found.fun)


@given(seed=seeds, k=st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_the_mixture_gap_is_the_linear_programme_and_both_its_proofs_hold(seed: int, k: int) -> None:
    J = returns(seed)
    found = mixture_gap(J[-1], J[:k])
    expected = gap_by_programme(J[-1], J[:k])
    assert found.lower - 1e-9 <= expected <= found.upper + 1e-9
    assert found.upper - found.lower < 1e-9
    assert found.weights.sum() == pytest.approx(1)
    assert (J[-1] - found.weights @ J[:k]).max() <= found.upper + 1e-12
    assert J[-1] @ found.attackers - (J[:k] @ found.attackers).max() >= found.lower - 1e-12
    assert found.value == (found.lower + found.upper) / 2


@given(seed=seeds, levels=st.sampled_from([0, 1, 3]))
@settings(max_examples=8, deadline=None)
def test_discovery_and_pruning_against_brute_force(seed: int, levels: int) -> None:
    J = np.unique(returns(seed, levels), axis=0)[:5]
    J = J[np.random.default_rng(seed).permutation(len(J))]
    found = greedy_discovery(J)
    gaps = [class_gap(J, found.found[: i + 1]) for i in range(len(found.found))]
    np.testing.assert_allclose(found.gaps, gaps, atol=1e-9)
    assert (np.diff(found.gaps) <= 1e-9).all()
    assert found.gaps[-1] <= 1e-9
    assert len(set(found.found)) == len(found.found)
    assert found.found[0] == J.min(axis=1).argmax()
    smallest = next(
        set(kept)
        for size in range(1, len(J) + 1)
        for kept in itertools.combinations(range(len(J)), size)
        if max([0.0, *(gap_by_programme(J[i], J[list(kept)]) for i in range(len(J)) if i not in kept)]) <= 1e-9
    )
    assert set(prune(J, found.found)) == smallest
    assert set(prune(J, range(len(J)))) == smallest


def test_greedy_discovery_keeps_a_policy_that_later_ones_dominate() -> None:
    J = [[3, 0], [0, 3], [1, 1]]
    found = greedy_discovery(J)
    assert found.found == (2, 0, 1)
    np.testing.assert_allclose(found.gaps, [2, 2, 0], atol=1e-12)
    assert prune(J, found.found) == (0, 1)


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_without_ties_only_the_start_is_superfluous(seed: int) -> None:
    J = returns(seed)
    least = set(prune(J, range(len(J))))
    assert set(greedy_discovery(J).found[1:]) <= least
    assert set(greedy_discovery(J, start=int(J.mean(axis=1).argmax())).found) == least
    for start in range(len(J)):
        assert set(greedy_discovery(J, start=start).found) == least | {start}


def test_two_specialists_and_one_who_is_good_enough() -> None:
    J = np.array([[1, 0], [0, 1], [0.9, 0.9]])
    assert pointwise_gap(J, (0, 1)) == 0
    assert class_gap(J, (0, 1)) == pytest.approx(0.4)
    found = mixture_gap(J[2], J[:2])
    np.testing.assert_allclose(found.weights, 0.5, atol=1e-9)
    np.testing.assert_allclose(found.attackers, 0.5, atol=1e-9)
    assert mixture_gap([0.2, 0.3], J[:2]).value == pytest.approx(-0.25)  # a mixture is ahead by a quarter against both


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_gaps_move_with_the_returns(seed: int) -> None:
    J = returns(seed)
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(len(J)), rng.permutation(J.shape[1])
    kept = [0, 1]
    gap = class_gap(J, kept)
    renamed = J[np.ix_(rows, columns)]
    inverse = np.argsort(rows)
    assert class_gap(renamed, [int(inverse[i]) for i in kept]) == pytest.approx(gap, abs=1e-9)
    assert class_gap(3 * J + rng.random(J.shape[1]), kept) == pytest.approx(3 * gap, abs=1e-9)
    assert class_gap(J, [0, 1, 2]) <= gap + 1e-9
    assert pointwise_gap(J, kept) <= gap + 1e-9
    assert class_gap(np.hstack([J, J[:, :1]]), kept) == pytest.approx(gap, abs=1e-9)
    assert class_gap(J, range(len(J))) == 0 == pointwise_gap(J, range(len(J)))


def all_policies_return(length: int) -> np.ndarray:
    """P(no error) of each a_h = obs_h xor b_h against each code, by playing all x."""
    words = list(itertools.product((0, 1), repeat=length))
    return np.array(
        [
            [np.mean([all((x ^ c ^ b) == x for x, c, b in zip(bits, code, policy)) for bits in words]) for code in words]
            for policy in words
        ]
    )


@pytest.mark.parametrize("length", [1, 2, 3])
def test_every_policy_against_the_hidden_code_is_non_dominated(length: int) -> None:
    J = all_policies_return(length)
    np.testing.assert_array_equal(J, np.eye(1 << length))
    assert sorted(greedy_discovery(J).found) == list(range(1 << length))
    assert class_gap(J, range((1 << length) - 1)) == pytest.approx(1)


@pytest.mark.parametrize(("length", "episodes"), [(1, 1), (1, 3), (2, 1), (2, 4), (3, 3)])
def test_no_learner_beats_the_search(length: int, episodes: int) -> None:
    codes = 1 << length
    expected = sum((max(Fraction(0), 1 - Fraction(t, codes)) for t in range(1, episodes + 1)), Fraction(0))
    assert search_regret(length, episodes) == expected
    assert least_regret(length, episodes) == expected
    assert least_regret(length, episodes, reveal=True) == 1 - Fraction(1, codes)
    played = play_search(length, episodes, seed=3)
    assert played.shape == (codes, episodes)
    assert Fraction(int(played[:, -1].sum()), codes) == expected


@given(length=st.integers(1, 5), episodes=st.integers(1, 80))
@settings(max_examples=30, deadline=None)
def test_the_more_is_remembered_the_less_is_lost(length: int, episodes: int) -> None:
    chance = Fraction(1, 1 << length)
    assert memoryless_regret(length, episodes) == sum(((1 - chance) ** t for t in range(1, episodes + 1)), Fraction(0))
    assert search_regret(length, episodes) <= memoryless_regret(length, episodes) <= uninformed_regret(length, episodes)
    assert uninformed_regret(length, episodes) == episodes * (1 - chance)
    if episodes <= 1 << length:
        assert search_regret(length, episodes) >= Fraction(episodes - 1, 2)


def test_random_play_costs_what_the_formulae_say() -> None:
    rng = np.random.default_rng(0)
    length, episodes, runs = 3, 12, 20_000
    right = rng.integers(8, size=(runs, episodes)) == rng.integers(8, size=(runs, 1))
    kept = np.maximum.accumulate(right, axis=1)
    for earned, regret in ((right, uninformed_regret), (kept, memoryless_regret)):
        lost = episodes - earned.sum(axis=1)
        assert abs(lost.mean() - float(regret(length, episodes))) < 5 * lost.std() / np.sqrt(runs)


def test_what_is_refused() -> None:
    J = np.eye(3)
    with pytest.raises(InputError, match=r"returns are finite numbers.*shape given is \(3,\)"):
        class_gap([1.0, 2.0, 3.0], [0])
    with pytest.raises(InputError, match=r"returns are finite numbers"):
        greedy_discovery([[1.0, float("nan")]])
    with pytest.raises(InputError, match=r"different rows of 3, at least one, not \(3,\)"):
        class_gap(J, [3])
    with pytest.raises(InputError, match=r"at least one, not \(\)"):
        prune(J, [])
    with pytest.raises(InputError, match=r"at least one, not \(1, 1\)"):
        pointwise_gap(J, [1, 1])
    with pytest.raises(InputError, match=r"returns of a policy are 3 finite numbers; those given have shape \(2,\)"):
        mixture_gap([1.0, 2.0], J)
    with pytest.raises(InputError, match=r"tolerance of a gap is not negative and finite, not -1"):
        greedy_discovery(J, tol=-1)
    with pytest.raises(InputError, match=r"different rows of 3, at least one, not \(5,\)"):
        greedy_discovery(J, start=5)
    with pytest.raises(InputError, match=r"a code has 1 to 20 bits, not 0"):
        search_regret(0, 3)
    with pytest.raises(InputError, match=r"number of episodes is at least 0, not -1"):
        memoryless_regret(3, -1)
    with pytest.raises(InputError, match=r"codes of at most 3 bits, not 4"):
        least_regret(4, 2)
