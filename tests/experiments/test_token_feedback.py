"""Fits of rewards to sampled comparisons: the asymptotic constant of the token fit, and the same draws for the same seed."""

import numpy as np

from experiments.study import run_study
from experiments.token_feedback import feedback_study, sentence_gaps, token_gaps
from mdplab.learning.token_rewards import additive_features
from mdplab.models.token_tree import TokenTree, leaf_rewards
from theory.links import bradley_terry


def additive(steps: int) -> TokenTree:
    rng = np.random.default_rng(0)
    reference = tuple(np.full((2**t, 2), -np.log(2)) for t in range(steps))
    return TokenTree(tuple(np.tile(rng.standard_normal(2), (2**t, 1)) for t in range(steps)), reference)


def test_the_gap_of_the_token_fit_has_the_constant_of_the_delta_method():
    tree, beta, n, runs = additive(3), 0.5, 20_000, 2000
    features, rewards = additive_features(2, 3), leaf_rewards(tree)
    wins = bradley_terry(rewards)
    z = features[:, None] - features
    information = np.einsum("ijk,ijl,ij->kl", z, z, wins * wins.T) / 64
    law = np.exp(rewards / beta)
    law /= law.sum()
    centred = features - law @ features
    constant = np.trace(np.linalg.solve(information, (centred * law[:, None]).T @ centred)) / (2 * beta)
    gaps = n * token_gaps(tree, beta, n, runs, 0)
    assert abs(gaps.mean() - constant) < 5 * gaps.std() / np.sqrt(runs)


def test_more_parameters_need_more_comparisons_and_both_learn():
    tree = additive(3)
    few, many = (sentence_gaps(tree, 0.5, n, 40, 1).mean() for n in (200, 20_000))
    assert many < few / 30
    assert token_gaps(tree, 0.5, 200, 40, 1).mean() < few


def test_a_seed_decides_the_draws():
    first = token_gaps(additive(2), 0.5, 100, 5, 3)
    np.testing.assert_array_equal(first, token_gaps(additive(2), 0.5, 100, 5, 3))
    assert (first != token_gaps(additive(2), 0.5, 100, 5, 4)).all()


def test_rows_of_the_study_are_fits_to_the_same_comparisons():
    table = run_study(feedback_study((200, 20_000), seed=3, runs=4, steps=3))
    gaps = table.pivot_table("gap", "n", "fit")
    assert (gaps["tokens"] < gaps["responses"]).all()
    assert (gaps.loc[20_000] < gaps.loc[200] / 30).all()
    rows = table[(table["fit"] == "tokens") & (table["n"] == 200)]
    np.testing.assert_array_equal(rows["gap"], [token_gaps(additive(3), 0.5, 200, 1, int(seed))[0] for seed in rows["seed"]])
