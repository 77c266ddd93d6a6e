"""Networks that learn equilibria, against the house's solvers: the same steps, the same gradients, the same measurements."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs the extra neural")

import jax
import jax.numpy as jnp

from experiments.neural_nash import BETA, games_of_runs
from games.generators import logistic
from games.mirror_descent import nash_mirror_descent, online_ipo
from games.mirror_prox import nash_mirror_prox
from games.preference import PreferenceGame
from games.prox import normalise, prox
from games.regularised import exploitability, solve_regularised
from mdplab.neural import nash_learning as nl
from mdplab.neural.networks import mlp
from mdplab.neural.training import train
from theory.divergences import kl, span
from theory.errors import InputError
from theory.random_streams import run_seeds

GAMES = [logistic(K=3, seed=1), logistic(K=3, rotating=True, seed=2)]
SHAPES: dict[str, tuple[int, ...]] = {
    "matrices": (2, 3, 4, 4),
    "log_references": (2, 3, 4),
    "log_nash": (2, 3, 4),
    "features": (2, 3, 5),
}


def problem() -> nl.ContextualGames:
    """The two contexts as a problem of one run."""
    stacked = nl.stack_games(
        [[g.A for g in GAMES]],
        [[g.log_reference for g in GAMES]],
        [[solve_regularised(g, BETA).log_policy for g in GAMES]],
        np.random.default_rng(0).standard_normal((1, 2, 4)),
        BETA,
    )
    return jax.tree.map(lambda leaf: leaf[0], stacked)


@functools.cache
def pieces() -> dict[str, Any]:
    """What the learner makes of two networks on the two contexts, in one compiled function."""
    learner = nl.NashLearning(width=8, fit_steps=0)
    settings = nl.nash_md(0.5), nl.nash_mp()
    hypers = {name: np.array([setting[name] for setting in settings], dtype=np.float32) for name in settings[0]}

    def compute(p: nl.ContextualGames, hypers: Any) -> dict[str, Any]:
        key = jax.random.key(3)
        first, other = (mlp(jax.random.key(seed), (4, 8, 3)) for seed in (4, 5))  # neither is the reference
        start = dataclasses.replace(learner.init(key, p, {}), network=first)
        found = {"policies": [jax.nn.log_softmax(p.log_reference + nl.logits(n, p)) for n in (first, other)]}

        def twice(hyper: Any) -> Any:
            once = learner.update(start, key, p, hyper)
            # the second update begins wherever a poor fit of the first may have led to
            return once.target, learner.update(dataclasses.replace(once, network=other), key, p, hyper).target

        found["targets"] = jax.vmap(twice)(hypers)
        network = nl.in_float64(first)
        own = jnp.exp(found["policies"][0])

        def loss(last: jax.Array) -> jax.Array:
            return nl.ipo_loss(dataclasses.replace(network, biases=(network.biases[0], network.biases[1] + last)), p, own)

        moved = jax.vmap(loss)(1e-5 * jnp.concatenate([jnp.eye(3), -jnp.eye(3)]))
        return found | {
            "measured": learner.measure(start, p, {}),
            "ipo": nl.ipo_gradient(p, nl.logits(first, p), own),
            "differences": (moved[:3] - moved[3:]) / 2e-5,
        }

    with jax.enable_x64(True):
        compiled = jax.jit(compute, compiler_options={"xla_backend_optimization_level": 0})
        return dict(jax.tree.map(np.asarray, compiled(problem(), hypers)))


@pytest.mark.parametrize("c", range(len(GAMES)))
def test_targets_are_the_steps_of_the_tabular_methods(c: int) -> None:
    game, (start, half) = GAMES[c], [policy[c] for policy in pieces()["policies"]]
    first, second = pieces()["targets"]  # by method
    for target, now in zip((first[0], second[0]), (start, half)):
        np.testing.assert_allclose(
            target[c], nash_mirror_descent(game, BETA, 1, step=0.5, start=now).log_policies[1], atol=1e-13
        )
    np.testing.assert_allclose(first[1, c], nash_mirror_prox(game, BETA, 1, start=start).log_half_steps[0], atol=1e-13)
    # from the start of the iteration, against the half-step that was really reached
    np.testing.assert_allclose(second[1, c], prox(game.log_reference, start, game.A @ np.exp(half), BETA, 0.5), atol=1e-13)


def test_the_gradient_of_ipo_is_that_of_differences_and_of_self_play() -> None:
    found = pieces()
    np.testing.assert_allclose(found["ipo"].mean(axis=0), found["differences"], atol=1e-8)
    assert float(found["measured"]["ipo_constant"]) == pytest.approx(4.0, abs=1e-12)
    assert float(found["measured"]["ipo_residual"]) < 1e-12
    assert float(found["measured"]["offline_residual"]) > 1e-3
    for c, game in enumerate(GAMES):
        # a step of the house's online IPO subtracts g gradient / pi from the log-probabilities
        start = found["policies"][0][c]
        moved = online_ipo(game, BETA, 1, step=0.05, start=start).log_policies[1]
        np.testing.assert_allclose(moved, normalise(start - 0.05 * found["ipo"][c] / np.exp(start)), atol=1e-12)


def test_measurements_are_those_of_the_house() -> None:
    measured, policies = pieces()["measured"], pieces()["policies"][0]
    for c, game in enumerate(GAMES):
        nash = solve_regularised(game, BETA).log_policy
        assert measured["kl"][c] == pytest.approx(float(kl(nash, policies[c], log=True)), rel=1e-10)
        assert measured["exploitability"][c] == pytest.approx(float(exploitability(game, BETA, policies[c])), rel=1e-10)
        assert measured["fit"][c] == pytest.approx(float(span(policies[c] - game.log_reference)), rel=1e-12)


def test_training_ends_near_the_equilibrium_and_is_measured_exactly() -> None:
    seeds = run_seeds(0, 2)
    problems = games_of_runs(seeds)
    settings = [nl.nash_mp(), nl.nash_md(0.5), nl.best_response()]
    marks = [1, 2, 20]
    training = train(nl.NashLearning(width=32), problems, seeds, 20, hypers=settings, checkpoints=marks)
    D = training.measured["kl"]
    assert D.shape == (3, 2, 3, 8)
    start = kl(problems.log_nash, problems.log_reference, log=True)
    assert (D[0, :, -1].mean(axis=1) < 1e-2 * start.mean(axis=1)).all()
    assert (D[2, :, -1].mean(axis=1) > start.mean(axis=1)).all()
    assert (training.measured["fit"][:2] < 0.5).all()
    # an iteration of Nash-MP is what the tabular one makes of it, but for the fits
    for r in range(2):
        for c in range(8):
            game = PreferenceGame(problems.matrix[r, c], problems.log_reference[r, c])
            exact = nash_mirror_prox(game, BETA, 1).log_policies[1]
            reached = float(kl(problems.log_nash[r, c], exact, log=True))
            a, b = training.measured["fit"][0, r, :2, c]
            assert abs(np.sqrt(D[0, r, 1, c]) - np.sqrt(reached)) <= (a + b) / (2 * BETA)


@pytest.mark.parametrize(
    ("change", "beta", "says"),
    [
        ({"matrices": np.zeros((2, 3, 4, 5))}, 0.2, "not (2, 3, 4, 5)"),
        ({"log_nash": np.zeros((2, 3, 5))}, 0.2, "equilibria of the shape (2, 3, 4), not (2, 3, 5)"),
        ({"features": np.zeros((2, 4, 5))}, 0.2, "not (2, 4, 5)"),
        ({"features": np.full((2, 3, 5), np.nan)}, 0.2, "are finite"),
        ({"matrices": np.ones((2, 3, 4, 4))}, 0.2, "size 2"),
        ({}, 0.0, "not 0.0"),
    ],
)
def test_bad_games_are_refused(change: dict[str, Any], beta: float, says: str) -> None:
    arrays: dict[str, Any] = {name: np.zeros(shape) for name, shape in SHAPES.items()} | change
    with pytest.raises(InputError) as error:
        nl.stack_games(**arrays, beta=beta)
    assert says in str(error.value)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(InputError, match="step is positive and finite, not 0"):
        nl.nash_md(0)
    with pytest.raises(InputError, match="rate is positive and finite, not -1"):
        nl.nash_mp(rate=-1)
