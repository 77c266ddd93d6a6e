"""Learned schedules and update rules, and the evolution strategies that train them, against NumPy and closed forms."""

import pytest

pytest.importorskip("jax", reason="needs the extra neural")
import jax
import jax.numpy as jnp
import numpy as np

from mdplab.learning.noisy_quadratic import NoisyQuadratic, expected_loss
from mdplab.neural.evolution import antithetic_gradient
from mdplab.neural.learned_schedules import (
    QuadraticProblem,
    final_losses,
    schedules,
    stack_quadratics,
)
from mdplab.neural.learned_updates import LearnedUpdate, play, stack_bandits
from mdplab.neural.networks import REAL, mlp
from mdplab.neural.training import train
from theory.errors import InputError


def _one(problem: NoisyQuadratic) -> QuadraticProblem:
    return QuadraticProblem(*(np.array(a) for a in (problem.curvatures, problem.noise, problem.start, problem.stable)))


def test_evolution_finds_the_gradient_of_a_quadratic() -> None:
    with jax.enable_x64(True):
        network = {"a": jnp.array([1.0, -2.0], REAL), "b": jnp.array(3.0, REAL)}

        def loss(member):  # type: ignore[no-untyped-def]
            return (member["a"] ** 2).sum() + 3 * member["b"], member["b"]

        gradient, kept = jax.jit(lambda key: antithetic_gradient(key, network, loss, 20_000, 0.5))(jax.random.key(0))
    # the curvature drops out of every pair: the estimate is gradient times a sample covariance of 20 000 normal moves
    size = np.linalg.norm([2.0, -4.0, 3.0])
    found = np.append(gradient["a"], gradient["b"])
    assert np.abs(found - [2.0, -4.0, 3.0]).max() < 5 * size * np.sqrt(2 / 20_000)
    assert kept.shape == (40_000,)
    assert float(kept[:20_000].mean() + kept[20_000:].mean()) == pytest.approx(6.0, abs=1e-4)


def test_losses_of_schedules_are_those_of_numpy() -> None:
    problem = NoisyQuadratic((1.0, 0.3), (0.5, 0.1), (4.0, 9.0))
    steps = np.random.default_rng(0).uniform(0, 2, (6, 3))
    with jax.enable_x64(True):
        found = final_losses(_one(problem), jnp.asarray(steps))
    assert np.asarray(found) == pytest.approx(expected_loss(problem, steps), rel=1e-12)


def test_schedules_of_short_horizons_are_padded_at_the_front() -> None:
    with jax.enable_x64(True):
        network = mlp(jax.random.key(1), (2, 4, 1))
        of = jax.jit(schedules, static_argnums=2)
        table, blind = (np.asarray(of(network, _one(NoisyQuadratic()), (3, 5), seen)) for seen in (1.0, 0.0))
    assert table.shape == (5, 2)
    assert (table[:2, 0] == 0).all()
    assert (table[2:] > 0).all()
    assert ((table[:, 1] > 0) & (table[:, 1] < 2)).all()
    assert np.ptp(blind[:, 1]) == 0
    assert np.ptp(table[:, 1]) > 0


def _play_twin(log_step: float, means: np.ndarray, deviation: float, uniform: np.ndarray, normal: np.ndarray) -> float:
    theta, mean, regret = np.zeros(means.size), 0.0, 0.0
    for t, (point, noise) in enumerate(zip(uniform, normal)):
        policy = np.exp(theta) / np.exp(theta).sum()
        regret += float(means.max() - policy @ means)
        arm = int((np.cumsum(policy[:-1]) <= point).sum())
        reward = means[arm] + deviation * noise
        surprise = reward - mean if t else 0.0
        mean += (reward - mean) / (t + 1)
        theta = theta + surprise * np.exp(log_step) * (np.eye(means.size)[arm] - policy)
    return regret / uniform.size


def test_a_constant_network_is_the_policy_gradient_of_its_step_size() -> None:
    rng = np.random.default_rng(2)
    uniform, normal = rng.random((12, 2, 3)), rng.standard_normal((12, 2, 3))
    means = np.array([[0.0, 1.0, np.nan], [0.2, 0.0, 0.5]])
    bandits = stack_bandits(means, [0.1, 0.4], [0.0, 0.0], [1.0, 0.0], 1)
    with jax.enable_x64(True):
        network = mlp(jax.random.key(3), (3, 4, 1), last=0.0)
        network = jax.tree.map(lambda leaf: leaf if leaf.shape != (1,) else jnp.array([0.7], REAL), network)
        luck = (jnp.asarray(uniform, REAL), jnp.asarray(normal, REAL))
        found = np.asarray(jax.jit(play)(network, jax.tree.map(lambda leaf: leaf[0], bandits), luck))
    for e, deviation in enumerate((0.1, 0.4)):
        for run in range(3):
            real = means[e][np.isfinite(means[e])]
            assert found[e, run] == pytest.approx(
                _play_twin(0.7, real, deviation, uniform[:, e, run], normal[:, e, run]), rel=1e-4
            )


def test_training_is_paired_and_moves_the_mixture() -> None:
    bandits = stack_bandits([[0.0, 1.0], [0.0, 0.5]], [0.1, 0.1], [0.0, 0.5], [1.0, 0.0], 2)
    fixed = {"learning_rate": 0.1, "deviation": 0.3, "generations": 4, "easy_share": 0.8}
    experiment = LearnedUpdate(rounds=5, pairs=2, width=3, judged=4)
    run = train(experiment, bandits, [1, 2], 4, hypers=[{"rate": 0.0, **fixed}, {"rate": 2.0, **fixed}])
    assert run.last("mixture")[0] == pytest.approx(np.tile([0.8, 0.2], (2, 1)))
    assert (run.last("mixture")[1][:, 0] > 0.8).all()  # the antagonist is perfect in the first, and poor in the second
    assert run.last("regret").shape == (2, 2, 2)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: stack_quadratics([]), "there is at least one"),
        (
            lambda: stack_quadratics([NoisyQuadratic(), NoisyQuadratic((1.0,), (1.0,), (1.0,))]),
            "the same number of coordinates",
        ),
        (lambda: stack_bandits([[0.0, 1.0]], [0.1, 0.2], [0.0], [1.0], 1), "three numbers for each environment"),
        (lambda: stack_bandits([[0.0, np.nan]], [0.1], [0.0], [1.0], 1), "at least two arms"),
        (lambda: stack_bandits([[0.0, 1.0]], [0.1], [0.0], [1.0], 0), "at least one run, not 0"),
        (lambda: antithetic_gradient(None, None, None, 0, 0.1), "at least one pair, not 0"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, says: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=says):
        call()
