"""Mixtures of experts on a ring: closed forms against SciPy and grids, the loss's gradients against what they should be on average."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs the extra neural")

import jax
import jax.numpy as jnp
from scipy import stats

from mdplab.neural import mixture_policies as mp
from mdplab.neural.networks import MLP
from theory.errors import InputError
from theory.random_streams import run_seeds

RING = mp.Ring(bumps=3, temperature=0.2)
HEIGHTS = np.array([1.0, 0.9, 0.8])


def grid_of_the_plane(step: float, half: float = 6.0) -> np.ndarray:
    axis = np.arange(-half, half + step / 2, step)
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)


def centres(radius: float = 1.75) -> np.ndarray:
    angle = 2 * np.pi * np.arange(3) / 3
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def reward(actions: np.ndarray) -> np.ndarray:
    squares = ((actions[:, None] - centres()) ** 2).sum(-1)
    return np.exp(-RING.sharpness * squares) @ HEIGHTS - RING.curvature * (actions**2).sum(-1)


def policy() -> mp.Mixture:
    return mp.Mixture(
        np.log(np.array([0.5, 0.3, 0.2])), np.array([[1.6, 0.1], [-0.7, 1.4], [0.0, -0.5]]), np.log(np.array([0.3, 0.35, 0.8]))
    )


def test_the_optimum_is_the_integral() -> None:
    value, mass = mp.ring_optimum(RING, 1.75, HEIGHTS)
    cells = grid_of_the_plane(0.04, half=14.0)
    density = np.exp(reward(cells) / RING.temperature) * 0.04**2
    assert value == pytest.approx(RING.temperature * math.log(density.sum()), abs=1e-9)
    near = ((cells[:, None] - centres()) ** 2).sum(-1) <= RING.near**2
    assert mass == pytest.approx(density @ near / density.sum(), abs=2e-3)  # a grid's cells cross the rim
    assert mp.ring_optimum(RING, 1.75, HEIGHTS, step=0.05)[0] == pytest.approx(value, abs=1e-11)


def compiled(function: Any, *arguments: Any) -> Any:
    """The function's arrays in NumPy, compiled in haste, in 64 bits."""
    with jax.enable_x64(True):
        found = jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})(*arguments)
        return jax.tree.map(np.asarray, found)


def test_measurements_are_integrals() -> None:
    cells = grid_of_the_plane(0.05)

    def measured(mixture: mp.Mixture) -> Any:
        return (
            mixture.log_density(cells),
            mp.mixture_objective(RING, mixture, jnp.asarray(centres()), HEIGHTS),
            RING.reward(cells, centres(), HEIGHTS),
        )

    log_pi, found, reward_of_ring = compiled(measured, policy())
    mass = np.exp(log_pi) * 0.05**2
    assert mass.sum() == pytest.approx(1.0, abs=1e-12)
    assert reward_of_ring == pytest.approx(reward(cells), abs=1e-12)
    # the Gauss-Hermite sum of ln pi meets the seams between the experts
    assert found == pytest.approx(mass @ (reward(cells) - RING.temperature * log_pi), abs=2e-4)


def test_mass_of_a_disc_is_a_noncentral_chi_square() -> None:
    distance, deviation = np.meshgrid([0.0, 0.2, 0.6, 1.5, 4.0], [0.04, 0.15, 0.5, 2.0])
    found = compiled(lambda d, s: mp.disc_mass(d, s, 0.6), distance, deviation)
    exact = stats.ncx2.cdf((0.6 / deviation) ** 2, 2, np.maximum((distance / deviation) ** 2, 1e-12))
    assert found == pytest.approx(exact, abs=1e-7)


def network_of(mixture: mp.Mixture) -> MLP:
    """A network that gives this mixture in every context."""
    bias = np.concatenate([mixture.log_weights, mixture.means.ravel() / 2, mixture.log_deviations + 0.5]).astype(np.float32)
    K = mixture.log_weights.size
    return MLP((np.zeros((2, 4), np.float32), np.zeros((4, 4 * K), np.float32)), (np.zeros(4, np.float32), bias), "tanh")


def test_gradients_of_the_weights_by_estimator() -> None:
    """On average the score function has the gradient of J, held weights have none, and the surrogate goes to the odds of the best."""
    ring, draws = mp.Ring(bumps=3, temperature=0.2, swell=0.0, turn=0.0), 8000
    experiment = mp.RingMixture(ring=ring, experts=3, batch=draws, samples=2)
    flags = {"experts": 3.0, "learning_rate": 0.0, "sees": 0.0, "score": 0.0, "surrogate": 0.0, "gumbel": 0.0}
    settings = [flags, *(flags | {name: 1.0} for name in ("score", "surrogate", "gumbel"))]
    mixture, rng = policy(), np.random.default_rng(0)
    context, noise = np.zeros((draws, 2), np.float32), rng.standard_normal((draws, 2, 3, 2)).astype(np.float32)
    gumbel = rng.gumbel(size=(draws, 2, 3)).astype(np.float32)
    problem = mp.RingProblem(np.zeros(()), HEIGHTS, np.zeros((1, 2)), np.zeros(1), np.ones((1, 3)))

    def slope(network: MLP, problem: mp.RingProblem, hyper: Any) -> Any:
        """Of the last layer's biases."""
        return jax.grad(experiment.loss)(
            network, jnp.asarray(context), jnp.asarray(noise), jnp.asarray(gumbel), problem, hyper
        ).biases[-1]

    def value(moved: mp.Mixture) -> Any:
        normal = mp.Mixture(jax.nn.log_softmax(moved.log_weights), moved.means, moved.log_deviations)
        return mp.mixture_objective(ring, normal, jnp.asarray(centres()), jnp.asarray(HEIGHTS), nodes=24)

    hypers = {name: np.array([setting[name] for setting in settings], np.float32) for name in flags}
    with jax.enable_x64(True):
        arguments = jax.tree.map(jnp.asarray, (network_of(mixture), problem, hypers))
        each = jax.jit(lambda net, p, h: jax.lax.map(lambda setting: slope(net, p, setting), h))(*arguments)
        held, score, surrogate, relaxed = np.asarray(each, dtype=float)
    by_part = compiled(jax.grad(value), jax.tree.map(jnp.asarray, mixture))
    exact = np.concatenate([by_part.log_weights, 2 * by_part.means.ravel(), by_part.log_deviations])
    assert score == pytest.approx(-exact, abs=0.03)
    assert held[:3] == pytest.approx(np.zeros(3), abs=1e-7)
    assert held[3:] == pytest.approx(-exact[3:], abs=0.03)
    actions = mixture.means + np.exp(mixture.log_deviations)[:, None] * noise.reshape(-1, 3, 2)
    odds = np.bincount(reward(actions.reshape(-1, 2)).reshape(-1, 3).argmax(axis=1), minlength=3) / (2 * draws)
    weights = np.exp(mixture.log_weights)
    towards = weights * ((weights - odds) - weights @ (weights - odds))  # the square's slope through the softmax
    assert surrogate[:3] == pytest.approx(towards, abs=1e-4)
    assert np.isfinite(relaxed).all()
    assert np.abs(relaxed[:3]).max() > 0


def test_what_is_measured_of_a_state() -> None:
    ring = mp.Ring(bumps=3, temperature=0.2)
    problems = mp.ring_problems(ring, run_seeds(3, 1), uneven=0.2)
    problem = jax.tree.map(lambda leaf: leaf[0], problems)
    mixture, experiment = policy(), mp.RingMixture(ring=ring, experts=3)
    hyper = {"experts": np.float32(2.0), "sees": np.float32(1.0)}

    def measured(network: MLP, problem: mp.RingProblem, hyper: Any) -> Any:
        return experiment.measure(mp.RingState(network, None), problem, hyper)

    found = compiled(measured, network_of(mixture), problem, hyper)
    two = np.array([0.5, 0.3]) / 0.8  # the third expert is not in use
    middle = np.array(ring.centres(problem.contexts[4], problem.phase))
    distance = np.linalg.norm(mixture.means[:2] - middle[:, None], axis=2)
    deviation = np.exp(mixture.log_deviations[:2])
    near = stats.ncx2.cdf((ring.near / deviation) ** 2, 2, (distance / deviation) ** 2) @ two
    assert found["mass"] == pytest.approx(near, abs=1e-6)
    assert [found[f"mass_{j}"] for j in range(3)] == pytest.approx(found["mass"], abs=0)
    assert found["heaviest"] == pytest.approx(two[0], abs=1e-6)
    assert found["gap"] > 0
    assert 0 <= found["covered"] <= 2
    assert found["collapsed"] in (0.0, 1.0)


def test_bad_input_is_refused() -> None:
    for wrong in (
        lambda: mp.Ring(bumps=0),
        lambda: mp.Ring(temperature=0.0),
        lambda: mp.Ring(radius=0.3),
        lambda: mp.ring_problems(RING, run_seeds(0, 2), uneven=1.0),
        lambda: mp.RingMixture(samples=1),
    ):
        with pytest.raises(InputError) as caught:
            wrong()
        assert str(caught.value).endswith(".")
