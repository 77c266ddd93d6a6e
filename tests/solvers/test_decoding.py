"""Decoders: enumeration of responses, closed forms at one step, the soft backup, symmetries and refusals."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdplab.models.errors import ModelError
from mdplab.models.token_tree import TokenTree, leaf_rewards, random_token_tree, terminal_rewards, with_rewards
from mdplab.solvers.decoding import (
    completion_values,
    controlled_decoding,
    decode,
    plug_in_values,
    response_divergence,
    transfer_decoding,
    value_augmented_sampling,
)
from mdplab.solvers.token_tree import (
    leaf_log_probabilities,
    policy_q,
    prefix_sums,
    soft_backup,
    token_policy,
)
from theory.divergences import kl
from theory.errors import InputError
from theory.tilts import log_tilt

seeds = st.integers(0, 10_000)
temperatures = st.sampled_from([0.05, 0.7, 5.0])


def conditional_means(tree, law, values):
    """The mean of ``values`` (A^H,) under ``law`` (A^H,) given each prefix and token, by going through all responses."""
    A, H = tree.tokens, tree.horizon
    levels = []
    for t in range(H):
        level = np.empty((A**t, A))
        for s, a in itertools.product(range(A**t), range(A)):
            below = [y for y in range(A**H) if y // A ** (H - t - 1) == s * A + a]
            level[s, a] = law[below] @ values[below] / law[below].sum()
        levels.append(level)
    return tuple(levels)


def assert_levels(first, second, atol=1e-11):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)


@settings(max_examples=15, deadline=None)
@given(seeds, temperatures)
def test_completion_values_by_enumeration(seed, beta):
    tree = random_token_tree(A=2, H=3, seed=seed)
    law = np.exp(leaf_log_probabilities(tree.log_reference))
    reward = leaf_rewards(tree)
    top = reward.max()
    means = conditional_means(tree, law, np.exp((reward - top) / beta))
    with np.errstate(divide="ignore"):
        assert_levels(completion_values(tree, beta), tuple(top + beta * np.log(level) for level in means), 1e-9)


@settings(max_examples=15, deadline=None)
@given(seeds, temperatures, st.integers(2, 3), st.integers(1, 3))
def test_completion_values_are_soft_values_plus_what_was_earned_before(seed, beta, A, H):
    tree = random_token_tree(A=A, H=H, seed=seed)
    earned = prefix_sums(tree.rewards)
    soft = soft_backup(tree, beta)
    values = completion_values(tree, beta)
    assert_levels(values, tuple(q + before[:, None] for q, before in zip(soft.q, earned)))
    # also with rewards on every token: what was earned before is the same for all tokens
    assert_levels(value_augmented_sampling(tree, beta), soft.log_policy, 1e-11 / beta)


@settings(max_examples=15, deadline=None)
@given(seeds, temperatures, temperatures)
def test_one_step_decoders_are_tilts(seed, beta, alpha):
    tree = random_token_tree(A=4, H=1, seed=seed)
    reference, reward = tree.log_reference[0][0], tree.rewards[0][0]
    for values in ("mean", "soft"):
        np.testing.assert_allclose(
            value_augmented_sampling(tree, beta, values)[0][0], log_tilt(reference, reward, beta), rtol=0, atol=1e-11
        )
    np.testing.assert_allclose(controlled_decoding(tree, alpha)[0][0], log_tilt(reference, reward, alpha), rtol=0, atol=1e-11)
    both = 1 / (1 / alpha + 1 / beta)
    found = transfer_decoding(tree, beta, alpha).log_policy[0][0]
    np.testing.assert_allclose(found, log_tilt(reference, reward, both), rtol=0, atol=1e-10)


@settings(max_examples=15, deadline=None)
@given(seeds, temperatures)
def test_transfer_values_are_means_under_the_tilted_responses(seed, beta):
    tree = random_token_tree(A=2, H=3, terminal=True, seed=seed)
    reward = leaf_rewards(tree)
    law = np.exp(log_tilt(leaf_log_probabilities(tree.log_reference), reward, beta))
    found = transfer_decoding(tree, beta, 0.3)
    if law.min() > 1e-200:  # otherwise a prefix may underflow, of which the enumeration knows nothing
        assert_levels(found.q, conditional_means(tree, law, reward), 1e-9)
    np.testing.assert_allclose(found.value[0][0], law @ reward, rtol=0, atol=1e-11)
    assert_levels(found.log_policy, decode(found.baseline, found.q, 0.3), 0.0)
    other = np.random.default_rng(seed).standard_normal(tree.leaves)
    assert_levels(transfer_decoding(tree, beta, 0.3, baseline_reward=other).log_policy, found.log_policy, 1e-11 / beta)


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_divergences_of_responses(seed):
    tree = random_token_tree(A=3, H=3, seed=seed)
    rng = np.random.default_rng(seed)
    policy = tuple(np.log(rng.dirichlet(np.ones(3), size=3**t)) for t in range(3))
    ahead, behind = response_divergence(tree, policy, tree.log_reference)
    laws = [leaf_log_probabilities(p) for p in (policy, tree.log_reference)]
    np.testing.assert_allclose(ahead, kl(*laws, log=True), rtol=1e-11)
    expected = 0.0
    for t, prefixes in enumerate(prefix_sums(policy)[:-1]):
        expected += np.exp(prefixes) @ kl(tree.log_reference[t], policy[t], log=True)
    np.testing.assert_allclose(behind, expected, rtol=1e-11)
    assert response_divergence(tree, policy, policy) == (0.0, 0.0)


@settings(max_examples=10, deadline=None)
@given(seeds, st.permutations(range(3)))
def test_relabelled_tokens_and_shifted_rewards(seed, order):
    """A new order of the tokens only permutes the decoder; a constant added to all responses changes nothing."""
    tree = random_token_tree(A=3, H=2, terminal=True, seed=seed)

    def relabel(levels):
        first, second = levels
        return first[:, order], second[order][:, order]

    renamed = TokenTree(relabel(tree.rewards), relabel(tree.log_reference))
    lifted = with_rewards(tree, terminal_rewards(tree, leaf_rewards(tree) + 5))
    for decoder in (
        lambda t: value_augmented_sampling(t, 0.5),
        lambda t: controlled_decoding(t, 0.5),
        lambda t: transfer_decoding(t, 0.5, 0.2).log_policy,
    ):
        plain = decoder(tree)
        assert_levels(decoder(renamed), relabel(plain))
        assert_levels(decoder(lifted), plain)


def test_tokens_that_the_reference_never_writes_stay_unwritten():
    with np.errstate(divide="ignore"):
        law = np.log([0.5, 0.5, 0.0, 0.0, 0.3, 0.7, 0.0, 1.0])
    reference = (np.log([[0.5, 0.5]]), *token_policy(law - np.log(2), 2)[1:])
    tree = TokenTree(tuple(np.ones_like(level) for level in reference), reference)
    for policy in (
        value_augmented_sampling(tree, 0.1),
        value_augmented_sampling(tree, 0.1, "mean"),
        transfer_decoding(tree, 0.1, 0.1).log_policy,
        decode(tree.log_reference, plug_in_values(tree, 0.1, 5, 0), 0.1),
    ):
        for level, before in zip(policy, tree.log_reference):
            np.testing.assert_array_equal(np.isneginf(level), np.isneginf(before))
            np.testing.assert_allclose(np.exp(level).sum(axis=1), 1, rtol=1e-13)


def test_plug_in_values():
    tree = random_token_tree(A=2, H=3, terminal=True, seed=4)
    exact = completion_values(tree, 0.5)
    estimates = plug_in_values(tree, 0.5, 50, 1, runs=4000)
    assert [level.shape for level in estimates] == [(4000, 1, 2), (4000, 2, 2), (4000, 4, 2)]
    np.testing.assert_allclose(estimates[2], np.broadcast_to(exact[2], (4000, 4, 2)), rtol=1e-13)  # nothing is left to complete
    for found, truth in zip(estimates[:2], exact[:2]):
        error = found.std(axis=0) / np.sqrt(4000)
        # biased down, by an amount of the order 1/50
        assert (found.mean(axis=0) - truth <= 5 * error).all()
        assert (found.mean(axis=0) - truth >= -0.1 - 5 * error).all()
    single = plug_in_values(tree, 0.5, 50, 1)
    assert [level.shape for level in single] == [(1, 2), (2, 2), (4, 2)]
    for first, second in zip(single, plug_in_values(tree, 0.5, 50, 1)):
        np.testing.assert_array_equal(first, second)
    flat = with_rewards(tree, terminal_rewards(tree, np.full(8, 3.0)))
    for level in plug_in_values(flat, 0.01, 7, 0):
        np.testing.assert_allclose(level, 3.0, rtol=1e-14)


def test_extreme_temperatures_do_not_overflow():
    tree = random_token_tree(A=2, H=3, terminal=True, seed=0)
    best = np.argmax(leaf_rewards(tree))
    cold = value_augmented_sampling(tree, 1e-4)
    assert leaf_log_probabilities(cold)[best] == pytest.approx(0.0, abs=1e-12)
    colder = transfer_decoding(tree, 1e-4, 1e-5)
    assert leaf_log_probabilities(colder.log_policy)[best] == pytest.approx(0.0, abs=1e-12)
    hot = transfer_decoding(tree, 1e9, 1e9).log_policy
    assert_levels(hot, tree.log_reference, 1e-7)
    assert_levels(policy_q(tree, hot)[0], policy_q(tree, tree.log_reference)[0], 1e-7)


def test_bad_input():
    tree = random_token_tree(A=2, H=2)
    for beta in (0.0, -1.0, np.nan):
        for call in (
            lambda b: completion_values(tree, b),
            lambda b: controlled_decoding(tree, b),
            lambda b: plug_in_values(tree, b, 3, 0),
            lambda b: transfer_decoding(tree, b, 1.0),
            lambda b: transfer_decoding(tree, 1.0, b),
        ):
            with pytest.raises(InputError, match="temperature"):
                call(beta)
    with pytest.raises(InputError, match="'median'"):
        value_augmented_sampling(tree, 1.0, "median")  # type: ignore[arg-type]
    for sizes in ({"samples": 0}, {"samples": 3, "runs": 0}):
        with pytest.raises(InputError, match="at least 1"):
            plug_in_values(tree, 1.0, seed=0, **sizes)
    with pytest.raises(InputError, match="4 responses"):
        transfer_decoding(tree, 1.0, 1.0, baseline_reward=np.zeros(3))
    with pytest.raises(ModelError, match="shape"):
        response_divergence(tree, tree.log_reference[:1], tree.log_reference)
