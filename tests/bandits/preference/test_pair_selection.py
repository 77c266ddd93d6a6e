"""Selection of pairs: populations against large samples, ties, shares, refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from bandits.preference.pair_selection import (
    RULES,
    FilteringProblem,
    keep_share,
    labelled_differences,
    ladder,
    line,
    linear_policy,
    linear_rewards,
    sample_pool,
    select,
)
from theory.errors import InputError

seeds = st.integers(0, 2**32 - 1)


def test_labels_of_two_responses_by_hand():
    differences, law = labelled_differences(line(rewards=(0.0, 2.0)), flip=0.1)
    right = 0.9 * expit(2.0) + 0.1 * expit(-2.0)
    by_difference = dict(zip(differences[:, 0].tolist(), law.tolist()))
    assert by_difference == pytest.approx({2.0: right, -2.0: 1 - right})


def test_a_ladder_is_a_line():
    problem = ladder(gaps=(1.0, 0.5))
    np.testing.assert_allclose(problem.features[:, 0], [0.0, 1.0, 1.5])


@settings(max_examples=50, deadline=None)
@given(seeds, st.floats(0.01, 1.0), st.integers(1, 30))
def test_the_kept_share(seed, share, n):
    rng = np.random.default_rng(seed)
    law, scores = rng.dirichlet(np.ones(n)), rng.integers(0, 5, n).astype(float)
    kept = keep_share(law, scores, share)
    assert kept.sum() == pytest.approx(1.0)
    part = kept * share / law
    assert (part <= 1 + 1e-9).all()
    for low in range(5):  # a score is kept only if every larger one is kept whole
        if (part[scores == low] > 1e-12).any():
            np.testing.assert_allclose(part[scores > low], 1.0, atol=1e-9)
        np.testing.assert_allclose(part[scores == low], part[scores == low][:1].sum(), atol=1e-9)  # ties alike


def test_all_pairs_at_random_are_the_law_itself():
    law = np.array([0.2, 0.3, 0.5])
    np.testing.assert_allclose(keep_share(law, np.zeros(3), 0.25), law)
    np.testing.assert_allclose(keep_share(law, np.arange(3.0), 1.0), law)


def test_a_large_pool_has_the_population_law():
    problem = line(rewards=(0.0, 1.0, 3.0))
    differences, law = labelled_differences(problem, flip=0.2)
    pool = sample_pool(problem.features[None], problem.parameter[None], 200_000, 0.2, np.random.default_rng(0))[0, :, 0]
    for z, p in zip(differences[:, 0], law):
        assert np.mean(np.abs(pool - z) < 1e-9) == pytest.approx(p, abs=0.005)


def test_selection_takes_the_largest_scores():
    rng = np.random.default_rng(1)
    z, scores = rng.standard_normal((3, 50, 2)), rng.standard_normal((3, 50))
    chosen = select(z, scores, 7)
    for s in range(3):
        expected = z[s, np.argsort(-scores[s])[:7]]
        np.testing.assert_array_equal(np.sort(chosen[s], axis=0), np.sort(expected, axis=0))


def test_rules():
    margins = np.array([-3.0, 1.0])
    np.testing.assert_array_equal(RULES["absolute"](margins), [3.0, 1.0])
    np.testing.assert_array_equal(RULES["signed"](margins), margins)
    np.testing.assert_array_equal(RULES["random"](margins), [0.0, 0.0])


def test_policies_of_several_problems():
    problems = [linear_rewards(K=4, d=2, seed=s) for s in range(3)]
    together = linear_policy(np.stack([p.features for p in problems]), np.stack([p.parameter for p in problems]))
    for policy, p in zip(together, problems):
        scores = np.exp(p.features @ p.parameter)
        np.testing.assert_allclose(np.exp(policy), scores / scores.sum())


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: FilteringProblem(np.zeros((1, 2)), np.zeros(2), np.zeros(2)), "features"),
        (lambda: FilteringProblem(np.zeros((3, 2)), np.zeros(3), np.zeros(2)), "parameters"),
        (lambda: FilteringProblem(np.full((3, 1), np.nan), np.zeros(1), np.zeros(1)), "finite"),
        (lambda: ladder(gaps=(1.0, 0.0)), "positive"),
        (lambda: keep_share([0.5, 0.4], [0.0, 1.0], 0.5), "sum 1"),
        (lambda: keep_share([0.5, 0.5], [0.0, 1.0], 0.0), r"\(0, 1\]"),
        (lambda: sample_pool(np.zeros((2, 3)), np.zeros((2, 3)), 5, 0.0, np.random.default_rng(0)), "S, K, d"),
        (lambda: select(np.zeros((1, 3, 2)), np.zeros((1, 3)), 4), "kept"),
        (lambda: select(np.zeros((1, 3, 2)), np.zeros((1, 4)), 1), "scores"),
    ],
)
def test_bad_input_is_refused(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()
