"""Learners of token policies: their pulls in expectation against enumeration, exact values against the house's dynamic
program."""

import functools

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs the extra neural")

import jax
import jax.numpy as jnp

from mdplab.learning.group_advantages import expected_group_advantage, pair_fixed_point
from mdplab.models.interaction_tree import interaction_tree
from mdplab.models.token_tree import leaf_rewards
from mdplab.neural.token_learners import (
    LEARNERS,
    TokenLearning,
    policy_pulls,
    setting,
    soft_bellman_error,
    token_problems,
    token_trees,
)
from mdplab.neural.transformer import levels_of
from mdplab.solvers.token_tree import leaf_log_probabilities, logit_gradient, policy_value, soft_backup, token_policy
from theory.divergences import kl
from theory.errors import InputError
from theory.links import bradley_terry
from theory.random_streams import run_seeds

BETA = 0.4


@pytest.fixture(scope="module")
def drawn():
    """A tree of nine responses, a policy on it, and the pulls of every learner for many keys."""
    tree = interaction_tree(A=3, H=2, seed=4)
    policy = token_policy(np.log(np.random.default_rng(1).dirichlet(np.ones(9))), 3)
    logs, mu, r = leaf_log_probabilities(policy), leaf_log_probabilities(tree.log_reference), leaf_rewards(tree)
    weights = {name: np.array([setting(learner)[name] for learner in LEARNERS], dtype=np.float32) for name in setting("exact")}
    inputs = [jnp.asarray(x, jnp.float32) for x in (logs, mu, r, BETA)]

    @functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 1})
    def means(keys):
        def one(key, hyper):
            return policy_pulls(key, *inputs, hyper, 4)

        pulls = jax.vmap(lambda hyper: jax.vmap(lambda key: one(key, hyper))(keys))(weights)
        return pulls.mean(axis=1), pulls.std(axis=1) / jnp.sqrt(len(keys))

    mean, error = (dict(zip(LEARNERS, np.asarray(x, dtype=float))) for x in means(jax.random.split(jax.random.key(0), 8000)))
    return tree, policy, mean, error


def expected_pulls(tree, policy):
    """What the pulls are on average, by enumeration of responses and of pairs."""
    logs, mu, r = leaf_log_probabilities(policy), leaf_log_probabilities(tree.log_reference), leaf_rewards(tree)
    law, ratio = np.exp(logs), logs - mu
    advantage = r - BETA * ratio
    exact = law * (advantage - law @ advantage)
    penalty = -BETA * law * (ratio - law @ ratio)

    def dpo(sampling):
        wins = bradley_terry(r)
        margin = BETA * (ratio[:, None] - ratio)
        # half of the two responses of a pair win, hence once for each response of the batch
        up = sampling[:, None] * sampling * wins * BETA / (1 + np.exp(margin))
        return up.sum(axis=1) - up.sum(axis=0)

    return {
        "exact": exact,
        "reinforce": exact,
        "online_dpo": dpo(law),
        "offline_dpo": dpo(np.exp(mu)),
        "grpo_pairs": law * expected_group_advantage(r, logs, 2) + penalty,
        "grpo_batch": law * expected_group_advantage(r, logs, 4) + penalty,
        "path": (advantage - advantage.mean()) / r.size,
        "soft_q": np.zeros(9),
    }


@pytest.mark.parametrize("learner", LEARNERS)
def test_pulls_on_average(drawn, learner):
    tree, policy, mean, error = drawn
    # six standard errors; a constant times the law moves no weights, but all of these are centred alike; EQUAL shifts by 1e-3
    allowed = 6 * error[learner] + 2e-3 * np.abs(mean[learner]).max() + 1e-6
    assert (np.abs(mean[learner] - expected_pulls(tree, policy)[learner]) <= allowed).all()


def test_the_exact_pull_is_the_gradient_of_the_objective(drawn):
    tree, policy, mean, _ = drawn
    gradient = logit_gradient(policy, mean["exact"])
    for t, s, a in ((0, 0, 1), (1, 2, 0), (1, 1, 2)):
        sides = []
        for step in (1e-5, -1e-5):
            logits = [level.copy() for level in policy]
            logits[t][s, a] += step
            moved = tuple(level - np.logaddexp.reduce(level, axis=1, keepdims=True) for level in logits)
            sides.append(policy_value(tree, moved, BETA))
        assert gradient[t][s, a] == pytest.approx((sides[0] - sides[1]) / 2e-5, abs=1e-6)


def test_soft_optimal_logits_have_no_bellman_error():
    tree = interaction_tree(A=3, H=3, seed=2)
    found = soft_backup(tree, BETA)
    reference = np.concatenate(tree.log_reference)
    q = np.concatenate(found.q)
    # log mu + log pi*/mu is Q - V: the policy alone does not tell V
    logits = np.stack([reference + q / BETA, np.concatenate(found.log_policy)])

    @jax.jit
    def errors(logits):
        def error(lookahead):
            return jax.vmap(lambda l: soft_bellman_error(l, reference, leaf_rewards(tree), BETA, lookahead))(logits)

        return error(1.0), error(0.0)

    with jax.enable_x64(True):
        (right, policy_alone), (blind, _) = (np.asarray(x) for x in errors(jnp.asarray(logits)))
    assert right < 1e-25
    assert policy_alone > 1e-3
    assert blind > 1e-3


def test_measurements_are_the_house_s():
    seeds = run_seeds(3, 2)
    problems = token_problems(seeds, tokens=2, length=3, width=4, beta=BETA)
    experiment = TokenLearning(tokens=2, length=3, width=4, batch=4, policies=True)
    hypers = {
        name: np.array([[setting("exact", width=4, fresh=fresh)[name]] * 2 for fresh in (False, True)], np.float32)
        for name in setting("exact")
    }

    def run(problem, hyper):
        return experiment.measure(experiment.init(jax.random.key(0), problem, hyper), problem, hyper)

    with jax.enable_x64(True):
        runs = jax.vmap(jax.vmap(run), in_axes=(None, 0))
        compiled = jax.jit(runs, compiler_options={"xla_backend_optimization_level": 0})
        # the reference itself, and fresh weights
        last = {name: np.asarray(values) for name, values in compiled(problems, hypers).items()}
    for i, tree in enumerate(token_trees(problems.log_reference, problems.reward)):
        soft = soft_backup(tree, BETA)
        assert problems.value[i] == pytest.approx(soft.value[0][0], abs=1e-14)
        np.testing.assert_allclose(levels_of(last["policy"][0, i])[1], tree.log_reference[1], rtol=0, atol=1e-12)
        for h in range(2):
            policy = levels_of(last["policy"][h, i])
            gap = soft.value[0][0] - policy_value(tree, policy, BETA)
            assert last["gap"][h, i] == pytest.approx(gap, abs=1e-12)
            logs = leaf_log_probabilities(policy)
            pairs = pair_fixed_point(leaf_log_probabilities(tree.log_reference), leaf_rewards(tree), BETA)
            assert last["kl_pairs"][h, i] == pytest.approx(float(kl(logs, pairs.log_policy, log=True)), abs=1e-10)
            assert last["best"][h, i] == pytest.approx(np.exp(logs).max(), abs=1e-12)
        reference = leaf_log_probabilities(tree.log_reference)
        assert last["initial"][0, i] == pytest.approx(soft.value[0][0] - np.exp(reference) @ leaf_rewards(tree), abs=1e-12)
        assert last["gap"][1, i] != pytest.approx(last["gap"][0, i], abs=1e-4)


def test_bad_input_is_one_sentence():
    with pytest.raises(InputError, match="no learner 'ppo'"):
        setting("ppo")  # type: ignore[arg-type]
    for batch in (2, 7):
        with pytest.raises(InputError, match=f"not {batch}"):
            TokenLearning(batch=batch)
    with pytest.raises(InputError, match="temperature beta"):
        token_problems(run_seeds(0, 1), beta=0.0)
