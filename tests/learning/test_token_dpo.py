"""DPO on token trees: the minimiser against the soft optimum, gradients against differences, beams against sorting."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdplab.learning.token_dpo import (
    beam_search,
    dpo_gradient_descent,
    population_dpo,
    preference_law,
    prefix_beam,
    response_scores,
    token_credit,
)
from mdplab.models.token_tree import TokenTree, leaf_rewards, path_sums, random_token_tree, with_rewards
from mdplab.solvers.token_tree import leaf_log_probabilities, prefix_sums, soft_backup
from theory.errors import InputError
from theory.links import bradley_terry

seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=15, deadline=None)
@given(seeds, st.integers(2, 3), st.integers(1, 3), st.sampled_from([0.2, 1.0]))
def test_the_population_minimiser_is_the_soft_optimum(seed, A, H, beta):
    tree = random_token_tree(A=A, H=H, seed=seed)
    found = population_dpo(tree, preference_law(tree), beta)
    rewards = leaf_rewards(tree)
    np.testing.assert_allclose(found.scores, rewards - rewards.mean(), rtol=0, atol=found.error_bound + 1e-12)
    assert found.error_bound < 1e-4
    best = leaf_log_probabilities(soft_backup(tree, beta).log_policy)
    off = np.abs(leaf_log_probabilities(found.log_policy) - best).max()
    assert off <= 2 * found.error_bound / beta + 1e-10


def test_the_law_of_winners_and_losers():
    tree = random_token_tree(A=2, H=2, seed=1)
    law = preference_law(tree)
    mu = np.exp(path_sums(tree.log_reference))
    assert abs(law.sum() - 1) < 1e-14
    np.testing.assert_allclose(law + law.T, 2 * np.outer(mu, mu), rtol=1e-13)
    np.testing.assert_allclose(law / (law + law.T), bradley_terry(leaf_rewards(tree)), rtol=1e-12)
    uniform = preference_law(tree, np.full(4, -np.log(4)))
    np.testing.assert_allclose(np.diag(uniform), 1 / 16)


def test_counts_are_fitted_by_matching_wins():
    tree = random_token_tree(A=2, H=2, seed=2)
    counts = np.array([[0, 3, 1, 2], [1, 0, 4, 1], [2, 1, 0, 3], [1, 2, 1, 0]])
    found = population_dpo(tree, counts, 0.7)
    scores = response_scores(tree, found.log_policy, 0.7)
    expected = (counts + counts.T) * bradley_terry(scores)
    np.testing.assert_allclose(expected.sum(axis=1), counts.sum(axis=1), rtol=1e-8)


def test_responses_that_are_never_written_stay_so():
    with np.errstate(divide="ignore"):
        tree = TokenTree(
            (np.zeros((1, 2)), np.array([[1.0, 5.0], [0.0, 2.0]])), (np.log([[0.5, 0.5]]), np.log([[1.0, 0.0], [0.5, 0.5]]))
        )
    found = population_dpo(tree, preference_law(tree), 1.0)
    law, best = (np.exp(leaf_log_probabilities(p)) for p in (found.log_policy, soft_backup(tree, 1.0).log_policy))
    assert law[1] == 0
    np.testing.assert_allclose(law, best, rtol=0, atol=1e-9)
    with pytest.raises(InputError, match="never writes was compared"):
        population_dpo(tree, np.ones((4, 4)), 1.0)


def test_gradient_descent_follows_the_gradient():
    """Its first step against central differences of the loss, written out from its definition."""
    tree, beta, h = random_token_tree(A=3, H=2, seed=3), 0.6, 1e-6
    law = preference_law(tree)
    reference = path_sums(tree.log_reference)

    def loss(logits):
        logs = tuple(level - np.logaddexp.reduce(level, axis=1, keepdims=True) for level in logits)
        s = beta * (path_sums(logs) - reference)
        return (law * np.logaddexp(0, s[None, :] - s[:, None])).sum()

    run = dpo_gradient_descent(tree, law, beta, step=1e-3, steps=1)
    assert abs(run.loss[0] - np.log(2)) < 1e-14
    for t, level in enumerate(tree.log_reference):
        moved = run.log_policy[t] - level
        slopes = np.empty_like(moved)
        for s, a in np.ndindex(*level.shape):
            ends = []
            for sign in (1, -1):
                logits = [np.array(x) for x in tree.log_reference]
                logits[t][s, a] += sign * h
                ends.append(loss(logits))
            slopes[s, a] = (ends[0] - ends[1]) / (2 * h)
        # the policy is the new logits, normalised
        moved -= moved.mean(axis=1, keepdims=True)
        np.testing.assert_allclose(moved, -1e-3 * (slopes - slopes.mean(axis=1, keepdims=True)), rtol=0, atol=1e-11)


def test_gradient_descent_reaches_the_minimiser():
    tree = random_token_tree(A=2, H=2, seed=4)
    run = dpo_gradient_descent(tree, 7 * preference_law(tree), 1.0, step=5.0, steps=4000)
    best = soft_backup(tree, 1.0).log_policy
    for a, b in zip(run.log_policy, best):
        np.testing.assert_allclose(np.exp(a), np.exp(b), rtol=0, atol=1e-4)
    assert (np.diff(run.loss) <= 1e-15).all()
    assert (run.chosen[1:] > run.rejected[1:]).all()
    assert run.loss.shape == (4001,)


def expected_sizes(A, H, width):
    sizes = [1]
    for _ in range(H):
        sizes.append(min(width, sizes[-1] * A))
    return sizes


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(2, 3), st.integers(1, 4))
def test_beams(seed, A, H):
    tree = random_token_tree(A=A, H=H, seed=seed)
    full = beam_search(tree.rewards, tree.leaves)
    np.testing.assert_array_equal(full.prefixes[-1], np.argsort(-leaf_rewards(tree), kind="stable"))
    assert full.response == np.argmax(leaf_rewards(tree))
    greedy = beam_search(tree.rewards, 1)
    prefix = 0
    for level, kept in zip(tree.rewards, greedy.prefixes[1:]):
        prefix = prefix * A + int(np.argmax(level[prefix]))
        assert kept.tolist() == [prefix]
    scores = prefix_sums(tree.rewards)
    for width in (1, 2, 3):
        beam = prefix_beam(scores, width)
        assert [p.size for p in beam.prefixes] == expected_sizes(A, H, width)
        for t in range(H):
            assert set((beam.prefixes[t + 1] // A).tolist()) <= set(beam.prefixes[t].tolist())


def test_ties_are_broken_lexicographically():
    beam = beam_search((np.zeros((1, 3)), np.zeros((3, 3))), 2)
    assert [p.tolist() for p in beam.prefixes] == [[0], [0, 1], [0, 1]]


def test_credit_adds_up_to_scores():
    tree = random_token_tree(A=2, H=3, seed=5)
    found = soft_backup(tree, 0.5)
    scores = response_scores(tree, found.log_policy, 0.5)
    np.testing.assert_allclose(scores, leaf_rewards(tree) - found.value[0][0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(path_sums(token_credit(tree, found.log_policy, 0.5)), scores)


def test_bad_input():
    tree = random_token_tree(A=2, H=1)
    law = preference_law(tree)
    with pytest.raises(InputError, match="square matrix"):
        population_dpo(tree, np.ones((3, 3)), 1.0)
    with pytest.raises(InputError, match="finite and at least 0"):
        population_dpo(tree, -law, 1.0)
    with pytest.raises(InputError, match="not always 0"):
        population_dpo(tree, np.zeros((2, 2)), 1.0)
    with pytest.raises(InputError, match="no chain of wins"):
        population_dpo(tree, np.array([[0, 1], [0, 0]]), 1.0)
    with pytest.raises(InputError, match="temperature"):
        population_dpo(tree, law, 0.0)
    with pytest.raises(InputError, match="log-probabilities of the 2 responses"):
        preference_law(tree, np.log([0.5, 0.4]))
    for step, steps in ((0.0, 1), (np.inf, 1), (1.0, -1)):
        with pytest.raises(InputError, match="takes a step above 0"):
            dpo_gradient_descent(tree, law, 1.0, step=step, steps=steps)
    with np.errstate(divide="ignore"):
        closed = TokenTree((np.zeros((1, 2)),), (np.log([[1.0, 0.0]]),))
    with pytest.raises(InputError, match="positive probability"):
        dpo_gradient_descent(closed, np.array([[1.0, 0.0], [0.0, 0.0]]), 1.0, step=1.0, steps=1)
    with pytest.raises(InputError, match="at least one prefix wide"):
        beam_search(with_rewards(tree, tree.rewards).rewards, 0)
