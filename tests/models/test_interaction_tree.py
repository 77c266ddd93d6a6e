"""Rewards that are sums of interactions of pairs of tokens."""

import numpy as np
import pytest

from mdplab.models.interaction_tree import interaction_rewards, interaction_tree
from mdplab.models.token_tree import leaf_rewards
from theory.errors import InputError


def test_rewards_are_sums_over_pairs():
    """A function of pairs has no interaction of three: its third mixed differences vanish, its second ones do not."""
    r = interaction_rewards(3, 4, 1.0, np.random.default_rng(0)).reshape(3, 3, 3, 3)
    second = np.diff(np.diff(r, axis=0), axis=1)
    assert np.abs(second).max() > 0.1
    for third in (2, 3):
        np.testing.assert_allclose(np.diff(second, axis=third), 0, rtol=0, atol=1e-14)


def test_every_response_has_the_variance_that_is_asked_for():
    draws = np.stack([interaction_rewards(2, 3, 2.0, np.random.default_rng(seed)) for seed in range(4000)])
    np.testing.assert_allclose(draws.std(axis=0), 2.0, rtol=0.05)


def test_the_tree_pays_with_the_last_token():
    tree = interaction_tree(A=3, H=3, spread=0.5, seed=1)
    assert not any(level.any() for level in tree.rewards[:-1])
    np.testing.assert_array_equal(leaf_rewards(tree), tree.rewards[-1].ravel())
    assert repr(tree) == "TokenTree(interaction_tree(A=3, H=3, concentration=1.0, spread=0.5, seed=1))"


@pytest.mark.parametrize("size", [(1, 3), (3, 1)])
def test_pairs_need_two_tokens_and_two_steps(size):
    with pytest.raises(InputError, match=f"not {size[0]} and {size[1]}"):
        interaction_rewards(*size, 1.0, np.random.default_rng(0))
