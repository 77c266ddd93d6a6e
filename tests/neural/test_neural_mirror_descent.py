"""Neural natural policy gradient and MDPO, beside the exact solvers: the same policies, the same accounts, the same gradients."""

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs the extra neural")

import jax
import jax.numpy as jnp

from mdplab.models import dirichlet_mdp
from mdplab.neural.mirror_descent import NeuralMDPO, NeuralNPG, compared_problems, narrowed, seen
from mdplab.neural.networks import MLP, mlp
from mdplab.solvers.evaluation import evaluate_policy
from mdplab.solvers.mirror_descent_policy_optimisation import proximal_gradient
from mdplab.solvers.occupancy import discounted_occupancy
from mdplab.solvers.policy_gradient import policy_mirror_descent
from mdplab.solvers.policy_iteration import policy_iteration
from mdplab.solvers.projected_policy_gradient import critic_policy_gradient, gap_account
from theory.divergences import kl
from theory.errors import InputError

MDPS = [dirichlet_mdp(S=4, A=3, gamma=0.8, seed=s) for s in range(2)]
PROBLEMS = compared_problems(MDPS)
CRITICS = NeuralNPG(width=5, fits=3)


def quickly(function):
    """The function compiled, without optimisations."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


begin, update = quickly(CRITICS.init), quickly(CRITICS.update)


def _one(problems):
    return jax.tree.map(lambda leaf: leaf[0], problems)


def _hyper(**numbers):
    return {name: jnp.float32(value) for name, value in numbers.items()}


def _outputs(network):
    """What a network says of states that it sees one-hot, by NumPy in float64."""
    into, out = (np.asarray(weight, dtype=float) for weight in network.weights)
    return np.tanh(into + np.asarray(network.biases[0])) @ out + np.asarray(network.biases[1])


def _log_policy(network):
    logits = _outputs(network)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def test_problems_come_with_what_they_are_compared_with():
    problems = PROBLEMS
    for i, mdp in enumerate(MDPS):
        optimum = policy_iteration(mdp)
        assert np.isclose(problems.optimum[i], optimum.value @ mdp.start_distribution, atol=1e-9)
        assert np.array_equal(problems.target[i].argmax(axis=1) + 3 * np.arange(4), optimum.policy)
        assert np.allclose(problems.visits[i], discounted_occupancy(mdp, optimum.policy).state, atol=1e-12)
    with pytest.raises(InputError, match="the same number of states"):
        compared_problems([MDPS[0], dirichlet_mdp(S=5, A=3)])


def test_a_narrowed_network_is_one_so_narrow_and_stays_it():
    x = np.eye(4, dtype=np.float32)

    def compare(key):
        wide = mlp(key, (4, 6, 3))
        cut = narrowed(wide, 2)
        small = MLP((wide.weights[0][:, :2], wide.weights[1][:2] * 3**0.5), (wide.biases[0][:2], wide.biases[1]), "tanh")
        return cut(x), small(x), jax.grad(lambda net: (net(x) ** 2).sum())(cut)

    with jax.enable_x64(True):
        outputs, expected, gradient = quickly(compare)(jax.random.key(0))
        assert np.allclose(outputs, expected, atol=1e-6)
        assert np.asarray(gradient.weights[0])[:, :2].all()
        for absent in (gradient.weights[0].T, gradient.biases[0], gradient.weights[1]):
            assert not np.asarray(absent)[2:].any()


def test_states_look_alike_in_pairs():
    problem = _one(PROBLEMS)
    assert np.array_equal(seen(problem.tabular, 0.0), np.eye(4))
    assert np.array_equal(seen(problem.tabular, 1.0), np.eye(4)[[0, 0, 2, 2]])


def test_the_account_of_a_network_is_that_of_the_solver():
    mdp, experiment, T = MDPS[0], CRITICS, 6
    with jax.enable_x64(True):
        problem, hyper = _one(PROBLEMS), _hyper(eta=0.5, learning_rate=0.03, units=3, aliased=0, exact=0)
        state = begin(jax.random.key(1), problem, hyper)
        said = []
        for _ in range(T):
            state = update(state, jax.random.key(0), problem, hyper)
            said.append(_outputs(state.network).ravel() / (1 - mdp.gamma))
        measured = {name: float(v) for name, v in quickly(experiment.measure)(state, problem, hyper).items()}
        log_policy = np.asarray(state.log_policy).ravel()
    run = critic_policy_gradient(mdp, lambda t, q: said[t], 0.5, T)
    account = gap_account(mdp, run, policy_iteration(mdp).policy)
    # the outputs are float32, and recomputed here: they agree to its rounding
    assert np.allclose(log_policy, run.run.log_policies[-1], atol=1e-5)
    assert np.isclose(measured["mean_gap"], account.gap, atol=1e-5)
    for name in ("error", "widest", "mean_square"):
        assert np.isclose(measured[name], getattr(account, name), atol=1e-5), name
    assert np.isclose(measured["remaining"], account.last, atol=1e-5)
    assert np.isclose(measured["misfit"], np.sqrt(np.mean((run.run.q[:-1] - run.critics) ** 2)), atol=1e-5)
    assert np.isclose(measured["gap"], (policy_iteration(mdp).value - run.run.values[-1]) @ mdp.start_distribution, atol=1e-5)


def test_one_step_of_the_actor_is_a_step_along_the_proximal_gradient():
    mdp, experiment, rate = MDPS[0], NeuralMDPO(width=5), 0.125
    with jax.enable_x64(True):
        problem, hyper = _one(PROBLEMS), _hyper(eta=0.5, learning_rate=rate, inner=1, adam=0, aliased=0)
        before = mlp(jax.random.key(2), (4, 5, 3))
        begun = quickly(experiment.init)(jax.random.key(3), problem, hyper)
        assert not np.any(begun.network.weights[-1])
        state = type(begun)(before, before, jnp.zeros(()), jnp.zeros(()))
        state = quickly(experiment.update)(state, jax.random.key(0), problem, hyper)
        measured = quickly(experiment.measure)(state, problem, hyper)
        now, after = (_log_policy(net) for net in (before, state.network))
        values = evaluate_policy(mdp, np.exp(now).ravel())
        visits = discounted_occupancy(mdp, np.exp(now).ravel()).state
        by_logits = 0.5 * proximal_gradient(mdp, now.ravel(), values.advantage, visits, 0.5, now.ravel())
        x, weight = np.eye(4, dtype=np.float32), by_logits.reshape(4, 3).astype(np.float32)
        aim = quickly(jax.grad(lambda net: (net(x) * weight).sum()))(before)
        for old, new, direction in zip(*(jax.tree.leaves(tree) for tree in (before, state.network, aim))):
            assert np.allclose((np.asarray(new) - np.asarray(old)) / rate, direction, atol=1e-5)
    best = now + 0.5 * values.advantage.reshape(4, 3)
    best -= np.log(np.exp(best).sum(axis=1, keepdims=True))
    missed, asked = (visits @ kl(log, best, log=True) for log in (after, now))
    assert np.isclose(float(measured["shortfall"]), missed / asked, atol=1e-6)
    assert abs(float(measured["cosine"]) - 1) < 1e-6
    assert np.isclose(
        float(measured["gap"]),
        (policy_iteration(mdp).value - evaluate_policy(mdp, np.exp(after).ravel()).value) @ mdp.start_distribution,
        atol=1e-9,
    )


def test_an_exact_critic_is_mirror_descent():
    mdp = MDPS[0]
    with jax.enable_x64(True):
        problem, hyper = _one(PROBLEMS), _hyper(eta=0.5, learning_rate=0.03, units=3, aliased=1, exact=1)
        state = begin(jax.random.key(1), problem, hyper)
        for _ in range(8):
            state = update(state, jax.random.key(0), problem, hyper)
        run = policy_mirror_descent(mdp, 0.5, 8)
        assert np.allclose(state.log_policy.ravel(), run.log_policies[-1], atol=1e-9)
    gaps = (policy_iteration(mdp).value - run.values) @ mdp.start_distribution
    assert np.isclose(float(state.gaps) / 8, gaps[:-1].mean(), atol=1e-9)
    assert float(state.errors) == float(state.squares) == 0


def test_networks_without_units_are_refused():
    with pytest.raises(InputError, match="at least 1 hidden unit and 1 step a fit, not 0 and 10"):
        NeuralNPG(width=0)
    with pytest.raises(InputError, match="not 32 and 0"):
        NeuralNPG(fits=0)
    with pytest.raises(InputError, match="at least 1 hidden unit, not 0"):
        NeuralMDPO(width=0)
