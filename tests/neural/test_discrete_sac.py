"""Soft Actor-Critic on tabular problems: its optima, the replay memory, one step of it, and what is measured."""

import math

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs the extra neural")

import jax
import jax.numpy as jnp

from mdplab.models import dirichlet_mdp
from mdplab.neural import replay
from mdplab.neural.discrete_sac import MAXIMUM, MINIMUM, SINGLE, DiscreteSAC, combined, stack_soft
from mdplab.solvers import soft_evaluate, soft_policy_iteration
from mdplab.solvers.target_entropy import optimal_entropy, state_entropies, target_temperature
from theory.errors import InputError
from theory.random_streams import GOLDEN

MDPS = [dirichlet_mdp(S=3, A=2, gamma=0.8, concentration=0.3, seed=seed) for seed in range(2)]
BASE = {"level": 0.0, "pessimism": MINIMUM, "bonus": 1.0, "automatic": 0.0, "target": 0.5}
SMALL = DiscreteSAC(hidden=(4,), batch=8)
BATCH = 60_000


def _one(tree, run=0):
    return jax.tree.map(lambda leaf: leaf[run], tree)


def _compiled(function, *arguments):
    """Its value in NumPy, compiled at once, with 64-bit types and without optimisation (which would take longer)."""
    with jax.enable_x64(True):
        found = jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})(*arguments)
    return jax.tree.map(np.asarray, found)


def test_optima_and_entropies_are_those_of_the_solvers():
    problem = stack_soft(MDPS, [[0.1, 1.0], [0.1, 2.0]])
    best = soft_policy_iteration(MDPS[1], 2.0)
    np.testing.assert_array_equal(problem.temperatures, [[0.1, 1.0], [0.1, 2.0]])
    np.testing.assert_array_equal(problem.q[1, 1].ravel(), best.q)
    np.testing.assert_array_equal(problem.value[1, 1], best.value)
    np.testing.assert_array_equal(problem.uniform[1, 1], soft_evaluate(MDPS[1], None, 2.0).value)
    np.testing.assert_allclose(problem.log_policy[0, 0], np.log(soft_policy_iteration(MDPS[0], 0.1).policy).reshape(3, 2))


def test_the_temperature_of_a_target_entropy():
    """Its optimal policy has the entropy, also over a fixed law of states; a bandit's is known in closed form."""
    mdp = MDPS[0]
    for weights in (None, np.array([0.2, 0.3, 0.5])):
        tau = target_temperature(mdp, 0.4, weights)
        assert optimal_entropy(mdp, tau, weights) == pytest.approx(0.4, abs=1e-9)
    p = 0.2
    entropy = -p * math.log(p) - (1 - p) * math.log(1 - p)
    bandit = mdp.from_dense(np.ones((1, 2, 1)), np.array([[0.0, 1.0]]), 0.9)
    assert target_temperature(bandit, entropy) == pytest.approx(1 / math.log((1 - p) / p), rel=1e-9)
    np.testing.assert_allclose(state_entropies(bandit, np.log([p, 1 - p])), [entropy])
    np.testing.assert_array_equal(state_entropies(bandit, np.array([0.0, -np.inf])), [0.0])
    with pytest.raises(InputError, match=r"an entropy of 0.8 is not between"):
        target_temperature(bandit, 0.8)


@pytest.fixture(scope="module")
def drawn():
    """Uniform numbers of a key, and batches of both laws of the rewards."""
    problem = _one(stack_soft(MDPS, [1.0])).tabular

    def draw(data):
        key = jax.random.wrap_key_data(data, impl="threefry2x32")
        laws = {law: replay.draw(key, problem, BATCH, law=law, noise=0.5) for law in ("bernoulli", "gaussian")}
        return replay.uniforms(key, 3, 5), laws

    return problem, *_compiled(draw, np.array([7, 9], dtype=np.uint32))


def test_uniforms_are_the_house_s_stream(drawn):
    """SplitMix64 in whole numbers, which is what theory.random_streams computes."""
    words = []
    for n in range(10):
        z = ((7 << 32) + 9 + int(GOLDEN) * (n + 1)) % 2**64
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        words.append(z ^ z >> 31)
    found = drawn[1]
    np.testing.assert_array_equal(found[:2].ravel(), [(z >> 40) / 2**24 for z in words])
    np.testing.assert_array_equal(found[2], [(z % 2**24) / 2**24 for z in words[:5]])
    assert found.dtype == np.float32


@pytest.mark.parametrize("law", ["bernoulli", "gaussian"])
def test_replayed_transitions_follow_the_model(drawn, law):
    problem, _, batches = drawn
    batch = batches[law]
    seen, total, pair = np.zeros((3, 2, 3)), np.zeros((3, 2)), (batch.state, batch.action)
    np.add.at(seen, (*pair, batch.next_state), 1)
    visits = seen.sum(axis=2)
    few = math.sqrt(BATCH / 6)
    assert np.abs(visits - BATCH / 6).max() < 5 * few
    assert np.abs(seen / visits[:, :, None] - problem.transition).max() < 5 * 0.5 / few
    error = batch.reward.astype(float) - problem.reward[pair]
    np.add.at(total, pair, error)
    assert np.abs(total / visits).max() < 5 * 0.5 / few
    if law == "gaussian":
        assert error.std() == pytest.approx(0.5, rel=0.03)
        assert (error**4).mean() == pytest.approx(3 * 0.5**4, rel=0.1)
    else:
        assert set(np.unique(batch.reward)) == {0.0, 1.0}


@pytest.fixture(scope="module")
def stepped():
    """A learner of its temperature before and after a step; the batch; gradients of the plain losses; what is measured."""
    problem = _one(stack_soft(MDPS, [0.5, 2.0]))

    def step(problem, hyper):
        key, seen = jax.random.key(5), jnp.eye(3, dtype=jnp.float32)
        before = SMALL.init(jax.random.key(1), problem, hyper)
        after = SMALL.update(before, key, problem, hyper)
        batch = replay.draw(key, problem.tabular, SMALL.batch)
        logs = jax.nn.log_softmax(before.actor(seen))
        later = (jnp.exp(logs) * (both(before.averages).min(axis=0) - logs)).sum(axis=1)  # it learns from the temperature 1 on
        target = batch.reward + 0.8 * later[batch.next_state]

        def critic_loss(critics):
            return sum(jnp.mean((q[batch.state, batch.action] - target) ** 2) for q in both(critics))

        def actor_loss(actor):
            q, own = both(before.critics).min(axis=0), jax.nn.log_softmax(actor(seen))
            return jnp.mean((jnp.exp(own) * (own - q))[batch.state].sum(axis=1))

        gradients = jax.grad(actor_loss)(before.actor), jax.grad(critic_loss)(before.critics)
        final = jax.nn.log_softmax(after.actor(seen)), both(after.critics)
        return before, after, batch, gradients, (logs, final), SMALL.measure(after, problem, hyper)

    def both(critics):
        return jnp.stack([_one(critics, i)(jnp.eye(3, dtype=jnp.float32)) for i in range(2)])

    return _compiled(
        step, problem, {name: np.float32(value) for name, value in {**BASE, "automatic": 1.0, "level": 1.0}.items()}
    )


def test_one_step_is_the_textbook_s(stepped):
    """The gradients of the plain losses, one transition at a time, give the same step; Adam begins with +-rate."""
    before, after, batch, gradients, (logs, _), _ = stepped
    for gradient, name in zip(gradients, ("actor", "critics")):
        trees = (gradient, getattr(before, name), getattr(after, name))
        for g, old, new in zip(*(jax.tree.leaves(tree) for tree in trees)):
            clear = np.abs(g) > 1e-4
            np.testing.assert_allclose((old - new)[clear], 3e-3 * np.sign(g[clear]), rtol=2e-3)
            assert clear.any()
    entropy = -(np.exp(logs) * logs).sum(axis=1)[batch.state].mean()
    assert float(after.log_temperature) == pytest.approx(-3e-3 * np.sign(entropy - 0.5 * math.log(2)), rel=1e-3)
    for old, moved, new in zip(*(jax.tree.leaves(tree) for tree in (before.critics, after.critics, after.averages))):
        np.testing.assert_allclose(new, old + 0.02 * (moved - old), atol=1e-7)


def test_what_is_measured_is_what_the_solvers_say(stepped):
    *_, (_, (log_policy, q)), measured = stepped
    mdp, tau = MDPS[0], 2.0  # measured at the problem's temperature, whatever is learned
    logs = log_policy.astype(float)
    logs -= np.log(np.exp(logs).sum(axis=1, keepdims=True))
    best, own = soft_policy_iteration(mdp, tau), soft_evaluate(mdp, np.exp(logs).ravel(), tau)
    q = q.min(axis=0).astype(float)
    expected = {
        "gap": (best.value - own.value).mean(),
        "uniform": (best.value - soft_evaluate(mdp, None, tau).value).mean(),
        "bias": q.mean() - best.q.mean(),
        "own_bias": q.mean() - own.q.mean(),
        "divergence": (best.policy * (best.log_policy - logs.ravel())).sum() / 3,
        "entropy": state_entropies(mdp, logs.ravel()).mean(),
        "values": (np.exp(logs) * (q - tau * logs)).sum(axis=1),
        "optima": best.value,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(measured[name], value, rtol=1e-6, err_msg=name)
    assert measured["temperature"] == pytest.approx(math.exp(stepped[1].log_temperature))


def test_what_replaces_the_twins():
    q = np.array([[[1.0, 5.0]], [[3.0, 4.0]]])
    found = _compiled(lambda p: jax.vmap(lambda one: combined(q, {"pessimism": one}))(p), np.array([MINIMUM, SINGLE, MAXIMUM]))
    np.testing.assert_array_equal(found, [[[[1.0, 4.0]]] * 2, q, [[[3.0, 5.0]]] * 2])


def test_bad_input():
    with pytest.raises(InputError, match=r"2 models need temperatures \(L,\) or \(2, L\)"):
        stack_soft(MDPS, [[1.0]])
    with pytest.raises(InputError, match=r"2 models need temperatures"):
        stack_soft(MDPS, [])
    problem = _one(stack_soft(MDPS, [1.0])).tabular
    with pytest.raises(InputError, match='"bernoulli" or "gaussian"'):
        replay.draw(jax.random.key(0), problem, 2, law="uniform")
    with jax.enable_x64(False), pytest.raises(InputError, match="words of 64 bits"):
        replay.uniforms(jax.random.key(0), 1, 1)
