"""D3PO's losses: against enumeration of pairs, rational minimisers at the root, and a grid over two logits."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdplab.learning.stepwise_dpo import fit_stepwise, step_loss, step_weights
from mdplab.learning.token_dpo import preference_law
from mdplab.models.token_tree import TokenTree, leaf_rewards, path_sums, random_token_tree, terminal_rewards, with_rewards
from mdplab.solvers.token_tree import soft_backup
from theory.errors import InputError

seeds = st.integers(0, 2**32 - 1)


def tree_of(odds, second=((0.5, 0.5), (0.5, 0.5))):
    blank = TokenTree((np.zeros((1, 2)), np.zeros((2, 2))), (np.log([[0.5, 0.5]]), np.log(second)))
    return with_rewards(blank, terminal_rewards(blank, np.log([float(x) for x in odds])))


@settings(max_examples=15, deadline=None)
@given(seeds, st.integers(2, 3), st.integers(1, 3), st.sampled_from([0.3, 1.0, 2.0]))
def test_the_losses_are_means_over_pairs_of_responses(seed, A, H, beta):
    tree = random_token_tree(A=A, H=H, seed=seed)
    rng = np.random.default_rng(seed)
    law = preference_law(tree)
    responses = list(itertools.product(range(A), repeat=H))
    for t in range(H):
        policy = np.log(rng.dirichlet(np.ones(A), size=A**t))
        u = beta * (policy - tree.log_reference[t])
        on_way = [u[int(np.ravel_multi_index(y[:t], (A,) * t)) if t else 0, y[t]] for y in responses]
        expected = sum(
            law[w, l] * np.logaddexp(0, on_way[l] - on_way[w]) for w in range(len(responses)) for l in range(len(responses))
        )
        value, gradient = step_loss(policy + 3.0, tree.log_reference[t], step_weights(law, A, t), beta)
        assert abs(value - expected) < 1e-12
        np.testing.assert_allclose(gradient.sum(axis=1), 0, atol=1e-14)


def test_the_gradient_against_differences():
    tree, beta, h = random_token_tree(A=3, H=2, seed=0), 0.7, 1e-6
    weights = step_weights(preference_law(tree), 3, 1)
    logits = np.random.default_rng(1).standard_normal((3, 3))
    _, gradient = step_loss(logits, tree.log_reference[1], weights, beta)
    for place in np.ndindex(3, 3):
        bump = np.zeros((3, 3))
        bump[place] = h
        ends = [step_loss(logits + sign * bump, tree.log_reference[1], weights, beta)[0] for sign in (1, -1)]
        assert abs((ends[0] - ends[1]) / (2 * h) - gradient[place]) < 1e-9


@pytest.mark.parametrize(
    ("odds", "learnt", "optimal"),
    [
        ((3, 1, 1, 1), Fraction(5, 3), Fraction(2)),
        ((2, Fraction(1, 3), 1, 1), Fraction(11, 13), Fraction(7, 6)),
        ((5, 5, 1, 1), Fraction(5), Fraction(5)),
    ],
)
def test_rational_odds_at_the_root(odds, learnt, optimal):
    odds = tuple(Fraction(x) for x in odds)
    # E sigma(R - R') over completions, with sigma(ln x - ln y) = x / (x + y)
    chance = sum(x / (x + y) for x in odds[:2] for y in odds[2:]) / 4
    assert chance / (1 - chance) == learnt
    assert sum(odds[:2]) / sum(odds[2:]) == optimal
    tree = tree_of(odds)
    fit = fit_stepwise(tree, preference_law(tree), 1.0)
    assert fit.root_error < 1e-10
    root = np.exp(fit.log_policy[0][0])
    assert root[0] / root[1] == pytest.approx(float(learnt), rel=1e-12)
    best = np.exp(soft_backup(tree, 1.0).log_policy[0][0])
    assert best[0] / best[1] == pytest.approx(float(optimal), rel=1e-12)


@settings(max_examples=10, deadline=None)
@given(seeds, st.sampled_from([0.5, 1.0]))
def test_one_step_is_dpo(seed, beta):
    tree = random_token_tree(A=4, H=1, seed=seed)
    fit = fit_stepwise(tree, preference_law(tree), beta)
    np.testing.assert_allclose(
        np.exp(fit.log_policy[0]), np.exp(soft_backup(tree, beta).log_policy[0]), rtol=0, atol=2 * fit.root_error / beta + 1e-12
    )
    assert fit.residual.shape == (1,)


@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_the_second_step_against_a_grid(beta):
    """Rewards decided by the first token; the reference is stationary, and the minimum lies elsewhere."""
    tree = tree_of((1, 1, np.exp(-1), np.exp(-1)), ((0.5, 0.5), (0.99, 0.01)))
    law = preference_law(tree)
    weights = step_weights(law, 2, 1)
    value, gradient = step_loss(tree.log_reference[1], tree.log_reference[1], weights, beta)
    assert abs(value - np.log(2)) < 1e-14
    assert np.abs(gradient).max() < 1e-15
    fit = fit_stepwise(tree, law, beta)
    assert fit.residual.max() < 1e-7
    grid = np.linspace(-12, 12, 49)
    lowest = min(step_loss(np.array([[x, 0.0], [y, 0.0]]), tree.log_reference[1], weights, beta)[0] for x in grid for y in grid)
    assert fit.loss[1] <= lowest + 1e-12
    assert lowest < fit.loss[1] + 0.01
    assert fit.loss[1] < value - 0.01
    assert np.exp(fit.log_policy[1][1, 1]) > 0.3  # the rare token, which was written with probability 0.01


def test_weights_of_steps_add_up():
    tree = random_token_tree(A=2, H=3, seed=2)
    law = preference_law(tree)
    np.testing.assert_array_equal(step_weights(law, 2, 2), law)
    root = step_weights(law, 2, 0)
    assert abs(root.sum() - 1) < 1e-14
    mu = np.exp(path_sums(tree.log_reference)).reshape(2, -1)
    assert abs(root[0].sum() - law[:4].sum()) < 1e-14
    np.testing.assert_allclose(root + root.T, 2 * np.outer(mu.sum(axis=1), mu.sum(axis=1)), rtol=1e-13)
    assert leaf_rewards(tree).size == 8


def test_bad_input():
    tree = random_token_tree(A=2, H=2)
    law = preference_law(tree)
    with pytest.raises(InputError, match="have no step 2 of 2 tokens"):
        step_weights(law, 2, 2)
    with pytest.raises(InputError, match="have no step -1"):
        step_weights(law, 2, -1)
    with pytest.raises(InputError, match="at least 0, not of shape"):
        step_weights(-law, 2, 0)
    with pytest.raises(InputError, match="square matrix of that size"):
        fit_stepwise(tree, law[:2, :2], 1.0)
    with pytest.raises(InputError, match="random starts"):
        fit_stepwise(tree, law, 1.0, starts=-1)
    with pytest.raises(InputError, match="temperature"):
        fit_stepwise(tree, law, 0.0)
    with np.errstate(divide="ignore"):
        closed = tree_of((1, 1, 1, 1), ((1.0, 0.0), (0.5, 0.5)))
    with pytest.raises(InputError, match="positive probability"):
        fit_stepwise(closed, law, 1.0)
