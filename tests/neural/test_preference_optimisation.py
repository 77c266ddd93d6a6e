"""Preference optimisation in JAX: measurements and steps against the NumPy room, the paired arms, and what is refused."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs the extra neural")

import jax
import jax.numpy as jnp

from bandits.preference.comparisons import independent_pairs, labelled, population_weights
from bandits.preference.gradient_descent import descend
from bandits.preference.kl_bandit import average, kl_gap, kl_objective
from experiments.neural_dpo import VARIANTS, fields, instance, setting, stacked
from mdplab.neural.preference_optimisation import PreferenceOptimisation, PreferenceProblem, stack_preferences
from mdplab.neural.training import Hyper, Measured, Training, train
from theory.divergences import kl
from theory.errors import InputError
from theory.links import bradley_terry
from theory.pair_losses import expected_pair_gradient, expected_pair_loss, logistic
from theory.random_streams import run_seeds
from theory.tilts import log_tilt

SEEDS = run_seeds(3, 2)
TABLE = (2 * np.random.default_rng(0).standard_normal((16, 8))).astype(np.float32)


@dataclass(frozen=True)
class FromTable(PreferenceOptimisation):
    """Begins with a given table, times ``begin``, and records the table."""

    def init(self, key: jax.Array, problem: PreferenceProblem, hyper: Hyper) -> Any:
        (network, _), optimiser = super().init(key, problem, hyper)
        return (network, hyper["begin"] * jnp.asarray(TABLE)), optimiser

    def measure(self, state: Any, problem: PreferenceProblem, hyper: Hyper) -> Measured:
        return {**super().measure(state, problem, hyper), "table": state[0][1]}


STILL = {"begin": 1.0, "table": 1.0, "plain": 1.0, "learning_rate": 0.0}
MOVING = {**STILL, "learning_rate": 1.0}
ARMS = {
    "still, bad": setting("bad", **STILL),
    "still, shared": setting("shared", **STILL),
    "offline": setting("shared", **MOVING),
    "online": setting("shared", **MOVING, online=1.0),
    "mixed": setting("shared", **MOVING, online=0.25, coefficient=0.1),
    "descent": setting("good", begin=0.0, table=1.0, plain=1.0, learning_rate=2.0),
    "good, HyPO": setting("good", begin=0.0, coefficient=0.01),
    "bad, HyPO": setting("bad", begin=0.0, coefficient=0.01),
    "network": setting("shared", begin=0.0, plain=1.0),
}


@pytest.fixture(scope="module")
def trained() -> Training:
    """All arms after one step and after twelve."""
    return train(FromTable(width=8), stacked(SEEDS), SEEDS, 12, hypers=list(ARMS.values()), checkpoints=(1, 12))


def _seen(trained: Training, arm: str, record: int = 0) -> dict[str, np.ndarray]:
    """What was measured of the first run."""
    return {name: values[list(ARMS).index(arm), 0, record] for name, values in trained.measured.items()}


@pytest.mark.parametrize(("variant", "arm"), [("bad", "still, bad"), ("shared", "still, shared")])
def test_measurements_are_those_of_the_numpy_room(trained: Training, variant: str, arm: str) -> None:
    made, found = instance(int(SEEDS[0]), variant), _seen(trained, arm)
    bandit = made.bandit
    scores = TABLE @ made.features.astype(np.float32).T
    policy = log_tilt(bandit.log_reference, scores.astype(float), bandit.beta)
    weights = population_weights(bandit)
    losses = [
        [expected_pair_loss(s[x].astype(float), weights[x], logistic()) for x in range(16)] for s in (scores, bandit.reward)
    ]
    near = functools.partial(pytest.approx, rel=1e-5, abs=1e-9)  # the scores are float32's
    assert found["gap"] == near(kl_gap(bandit, policy))
    assert found["gap"] == near(bandit.optimal_value - kl_objective(bandit, policy))
    assert found["mass"] == near(average(bandit, np.exp(policy)[:, :2].sum(axis=1)))
    assert found["divergence"] == near(average(bandit, kl(policy, bandit.log_reference, log=True)))
    assert found["excess"] == near(np.mean(losses[0]) - np.mean(losses[1]))
    assert found["unseen"] == np.abs(TABLE[:, :2]).max()
    assert found["drift"] == near(np.abs(TABLE[:, 2:].sum(axis=1)).max())
    assert found["start_gap"] == pytest.approx(kl_gap(bandit, bandit.log_reference), rel=1e-12)
    best = bandit.log_optimum
    assert found["best_mass"] == pytest.approx(average(bandit, np.exp(best)[:, :2].sum(axis=1)), rel=1e-12)
    assert found["best_divergence"] == pytest.approx(average(bandit, kl(best, bandit.log_reference, log=True)), rel=1e-12)


@pytest.mark.parametrize("arm", ["offline", "online", "mixed"])
def test_a_step_goes_down_the_exact_gradient(trained: Training, arm: str) -> None:
    made, moved = instance(int(SEEDS[0]), "shared"), _seen(trained, arm)["table"]
    bandit, online, coefficient = made.bandit, ARMS[arm]["online"], ARMS[arm]["coefficient"]
    scores = TABLE @ made.features.T
    policy = log_tilt(bandit.log_reference, scores, bandit.beta)
    p, mu = np.exp(policy), bandit.reference
    law = (1 - online) * independent_pairs(np.exp(bandit.log_pairs)) + online * independent_pairs(p, mu)
    weights = labelled(law, bradley_terry(bandit.reward))
    down = np.array([expected_pair_gradient(scores[x], weights[x], logistic()) for x in range(16)])
    ratios = policy - bandit.log_reference
    down += coefficient / bandit.beta * p * (ratios - (p * ratios).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(TABLE - moved, down @ made.features / 16, atol=2e-6)


def test_training_a_table_is_descent(trained: Training) -> None:
    bandit = instance(int(SEEDS[0]), "good").bandit
    weights = population_weights(bandit)
    step = 2.0 / 16 / bandit.beta**2  # of log-ratios in place of scores, for one context in 16
    policies = [descend(bandit.log_reference[x], weights[x], bandit.beta, step=step, steps=12).log_policy for x in range(16)]
    assert _seen(trained, "descent", 1)["gap"] == pytest.approx(kl_gap(bandit, np.array(policies)), rel=1e-4)


def test_what_training_cannot_know_or_move(trained: Training) -> None:
    good, bad = (_seen(trained, arm, 1) for arm in ("good, HyPO", "bad, HyPO"))
    assert good["mass"] == bad["mass"]
    assert good["gap"] != bad["gap"]
    for arm in ("descent", "network"):
        assert _seen(trained, arm, 1)["unseen"] == 0
        assert _seen(trained, arm, 1)["drift"] < 1e-5
    assert good["unseen"] > 0


def test_what_is_no_stack_is_refused() -> None:
    good = fields(instance(0, "good"))
    with pytest.raises(InputError, match="at least one run and one variant"):
        stack_preferences([])
    with pytest.raises(InputError, match="reward differs"):
        stack_preferences([[good, {**good, "reward": np.zeros((3, 8))}]])
    with pytest.raises(InputError, match="as many in every run"):
        stack_preferences([[good, good], [good]])
    with pytest.raises(InputError, match="every response a probability"):
        stack_preferences([[{**good, "log_reference": np.full((16, 8), -np.inf)}]])
    with pytest.raises(InputError, match="positive, not -1"):
        stack_preferences([[{**good, "beta": -1.0}]])
    assert stack_preferences([[good] * len(VARIANTS)]).reward.shape == (1, len(VARIANTS), 16, 8)
