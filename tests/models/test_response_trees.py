"""Token trees with bounded rewards of whole responses: what their parameters promise."""

import numpy as np
import pytest

from mdplab.models.response_trees import bounded_tree, chosen_tree, long_shot, misjudged
from mdplab.models.token_tree import leaf_rewards
from mdplab.solvers.token_tree import leaf_log_probabilities, policy_q, soft_backup
from theory.errors import InputError


@pytest.mark.parametrize("rare", [0.0, 0.3])
def test_bounded_trees_earn_at_most_the_scale_with_the_last_token(rare):
    for seed in range(20):
        tree = bounded_tree(A=2, H=3, rare=rare, scale=2.0, seed=seed)
        reward = leaf_rewards(tree)
        assert all((level == 0).all() for level in tree.rewards[:-1])
        assert reward.min() >= 0
        assert reward.max() <= 2
        if rare > 0:
            assert set(reward) <= {0.0, 2.0}
            assert reward.max() == 2
    assert bounded_tree(A=2, H=1, seed=3).key == "bounded_tree(A=2, H=1, concentration=1.0, rare=0.0, scale=1.0, seed=3)"


def test_chosen_trees_have_the_rewards_and_odds_that_were_chosen():
    tree = chosen_tree(leaf=(1.0, 2.0, 3.0, 4.0), logits=(0.5, -1.0, 30.0))
    np.testing.assert_array_equal(leaf_rewards(tree), [1, 2, 3, 4])
    odds = [level[:, 1] - level[:, 0] for level in tree.log_reference]
    np.testing.assert_allclose(np.concatenate(odds), [0.5, -1.0, 30.0], rtol=1e-12)
    for leaf, logits in (((1.0, 2.0, 3.0), (0.0, 0.0)), ((1.0,), ()), ((1.0, 2.0, 3.0, 4.0), (0.0,))):
        with pytest.raises(InputError, match="log-odds"):
            chosen_tree(leaf=leaf, logits=logits)


@pytest.mark.parametrize("H", [1, 2, 4])
def test_a_long_shot_is_as_surprising_as_it_says(H):
    tree = long_shot(H=H, surprise=600.0, scale=3.0)
    law = leaf_log_probabilities(tree.log_reference)
    assert law[0] == pytest.approx(-600.0)
    np.testing.assert_array_equal(np.flatnonzero(leaf_rewards(tree)), [0])
    assert leaf_rewards(tree)[0] == 3
    assert np.exp(law).sum() == pytest.approx(1)
    with pytest.raises(InputError, match="positive, not 0"):
        long_shot(H=H, surprise=0.0)


def test_the_misjudged_tree():
    tree = misjudged()
    assert tree.log_reference[0][0, 1] - tree.log_reference[0][0, 0] == pytest.approx(-4)
    means = policy_q(tree, tree.log_reference)[0][0][0]
    aligned = policy_q(tree, soft_backup(tree, 0.3).log_policy)[0][0][0]
    assert means[0] > means[1]
    assert aligned[0] < aligned[1]
    np.testing.assert_array_equal(leaf_rewards(tree), [1.0, 0.2, 0.7, 0.0])
