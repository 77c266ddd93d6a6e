"""REFUEL: closed forms, agreement with mirror descent on the tree as an MDP, a plain twin of the chain, and refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdplab.learning.relative_future import chain_value, refuel, refuel_on_chain
from mdplab.models.errors import ModelError
from mdplab.models.token_tree import TokenTree, episodic_model, random_token_tree, shaped
from mdplab.solvers.episodic_policy_gradient import episodic_mirror_descent
from theory.errors import InputError

seeds = st.integers(0, 10_000)


def test_a_bandit_by_hand():
    """With one turn pi_t is proportional to exp(t eta r)."""
    tree = random_token_tree(A=4, H=1, seed=3)
    run = refuel(tree, 0.7, 5)
    for t, (log_policy,) in enumerate(run.log_policies):
        logits = 0.7 * t * tree.rewards[0][0]
        np.testing.assert_allclose(log_policy[0], logits - np.logaddexp.reduce(logits), rtol=0, atol=1e-14)
        np.testing.assert_allclose(run.values[t], np.exp(log_policy[0]) @ tree.rewards[0][0], rtol=1e-14)


@settings(max_examples=15, deadline=None)
@given(seeds, st.integers(2, 3), st.integers(1, 4), st.sampled_from([0.1, 3.0]))
def test_it_is_mirror_descent_on_the_tree_as_an_mdp(seed, A, H, step):
    tree = random_token_tree(A=A, H=H, seed=seed)
    run = refuel(tree, step, 6)
    mdp = episodic_model(tree)
    other = episodic_mirror_descent(mdp, step, 6)
    first = np.concatenate(([0], np.cumsum([A**t for t in range(H)])))
    for t in range(7):
        for h in range(H):
            ours, theirs = run.log_policies[t][h], other.log_policies[t][h, first[h] : first[h + 1]]
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-11)


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_q_by_enumeration_and_the_error_is_added(seed):
    """Q of a token is the mean of what responses that begin so earn from there on."""
    tree = random_token_tree(A=2, H=3, seed=seed)
    rng = np.random.default_rng(seed)
    start = tuple(np.log(rng.dirichlet(np.ones(2), size=2**t)) for t in range(3))
    noise = tuple(rng.standard_normal(level.shape) for level in tree.rewards)
    run = refuel(tree, 0.5, 1, start=start, error=lambda t, policy: noise)
    for t in range(3):
        for s in range(2**t):
            for a in range(2):
                mean, prefix = tree.rewards[t][s, a], 2 * s + a
                for end in range(2 ** (2 - t)):
                    here, chance, earned = prefix, 1.0, 0.0
                    for k in range(t + 1, 3):
                        token = (end >> (2 - k)) & 1
                        chance *= np.exp(start[k][here, token])
                        earned += tree.rewards[k][here, token]
                        here = 2 * here + token
                    mean += chance * earned
                np.testing.assert_allclose(run.q[0][t][s, a], mean, rtol=0, atol=1e-13)
        np.testing.assert_allclose(run.regressed[0][t], run.q[0][t] + noise[t], rtol=0, atol=1e-15)
        logits = start[t] + 0.5 * run.regressed[0][t]
        expected = logits - np.logaddexp.reduce(logits, axis=1)[:, None]
        np.testing.assert_allclose(run.log_policies[1][t], expected, rtol=0, atol=1e-14)


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_shaping_and_errors_that_do_not_depend_on_the_action_change_nothing(seed):
    """Q moves by -Phi(s), which the normalisation cancels; so does an error of the prefix alone."""
    tree = random_token_tree(A=3, H=3, seed=seed)
    rng = np.random.default_rng(seed)
    potential = (*(rng.standard_normal(3**t) for t in range(3)), np.zeros(27))
    plain = refuel(tree, 0.4, 5)
    moved = refuel(shaped(tree, potential), 0.4, 5)
    shifted = refuel(tree, 0.4, 5, error=lambda t, policy: tuple(rng.standard_normal((level.shape[0], 1)) for level in policy))
    for other in (moved, shifted):
        for ours, theirs in zip(plain.log_policies[-1], other.log_policies[-1]):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
    np.testing.assert_allclose(moved.values, plain.values - potential[0][0], rtol=0, atol=1e-12)
    assert (np.diff(plain.values) >= -1e-14).all()


def chain_twin(horizon, reference, histories, step, iterations, draws, runs, seed):
    """One comparison at a time, with the same random numbers."""
    rng = np.random.default_rng(seed)
    logits = np.full((runs, horizon), np.log(reference / (1 - reference)))
    for _ in range(iterations):
        right = 1 / (1 + np.exp(-logits))
        turn = rng.integers(horizon, size=(runs, draws))
        history, first, second, lasting = (rng.random((runs, draws)) for _ in range(4))
        for run in range(runs):
            gains = [[] for _ in range(horizon)]
            for i in range(draws):
                h, p = turn[run, i], right[run]
                reach = 1.0
                for k in range(h):
                    reach *= p[k] if histories == "learner" else reference
                if history[run, i] >= reach or (first[run, i] < p[h]) == (second[run, i] < p[h]):
                    continue
                # the completion after a right action: further right actions while the product of their chances exceeds the draw
                further, chance = 0, 1.0
                while h + 1 + further < horizon and chance * p[h + 1 + further] > lasting[run, i]:
                    chance *= p[h + 1 + further]
                    further += 1
                gains[h].append((h + 1 + further) / horizon - h / horizon)
            for h in range(horizon):
                if gains[h]:
                    logits[run, h] += step * np.mean(gains[h])
    return 1 / (1 + np.exp(-logits))


@pytest.mark.parametrize("histories", ["learner", "reference"])
@pytest.mark.parametrize("horizon", [1, 5])
def test_the_chain_equals_its_plain_twin(horizon, histories):
    fast = refuel_on_chain(horizon, 0.4, histories=histories, step=2.0, iterations=8, draws=20, runs=4, seed=7)
    slow = chain_twin(horizon, 0.4, histories, 2.0, 8, 20, 4, 7)
    np.testing.assert_allclose(fast, slow, rtol=1e-12)


@pytest.mark.parametrize("histories", ["learner", "reference"])
def test_one_step_on_the_chain_follows_the_mean_difference_of_rewards_to_go(histories):
    """Right less wrong at turn h is (1 + p + p^2 + ...)/H with the turns that are left."""
    p, H = 0.6, 4
    found = refuel_on_chain(H, p, histories=histories, step=1.0, iterations=1, draws=100_000, runs=1, seed=1)[0]
    moved = np.log(found / (1 - found)) - np.log(p / (1 - p))
    expected = np.array([sum(p**k for k in range(H - h)) for h in range(H)]) / H
    # at least 100,000/4 * 0.6^3 * 0.48 = 2592 comparisons of a number in [0, 1] tell something at each turn
    np.testing.assert_allclose(moved, expected, rtol=0, atol=5 * 0.5 / np.sqrt(2592))
    assert moved[-1] == pytest.approx(1 / H)


def test_the_value_of_the_chain():
    np.testing.assert_allclose(chain_value([0.5, 0.5]), (0.5 + 0.25) / 2)
    np.testing.assert_allclose(chain_value(np.ones((3, 7))), np.ones(3))
    first = refuel_on_chain(3, 0.4, histories="learner", runs=2, seed=5)
    np.testing.assert_array_equal(first, refuel_on_chain(3, 0.4, histories="learner", runs=2, seed=5))


def test_bad_input():
    tree = random_token_tree(A=2, H=2)
    for step in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(InputError, match="step"):
            refuel(tree, step, 3)
    with pytest.raises(InputError, match="at least one iteration is needed, not 0"):
        refuel(tree, 1.0, 0)
    with pytest.raises(ModelError, match="shape"):
        refuel(tree, 1.0, 3, start=TokenTree(tree.rewards[:1], tree.log_reference[:1]).log_reference)
    for sizes in ({"iterations": 0}, {"draws": 0}, {"runs": 0}):
        with pytest.raises(InputError, match="at least 1"):
            refuel_on_chain(3, 0.5, histories="learner", **sizes)
    with pytest.raises(InputError, match="at least 1"):
        refuel_on_chain(0, 0.5, histories="learner")
    for reference in (0.0, 1.0, np.nan):
        with pytest.raises(InputError, match="probability in"):
            refuel_on_chain(3, reference, histories="learner")
    with pytest.raises(InputError, match="'nobody'"):
        refuel_on_chain(3, 0.5, histories="nobody")  # type: ignore[arg-type]
