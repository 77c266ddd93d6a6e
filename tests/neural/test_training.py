"""Many runs at once are the runs one by one: lanes, checkpoints, kills, keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs the extra neural")

import jax
import jax.numpy as jnp

from mdplab import neural
from mdplab.models import ModelError, dirichlet_mdp, garnet
from mdplab.neural.networks import REAL, adam_state, adam_step, ensemble, mlp, polyak
from mdplab.neural.problems import backup, soft_policy_value, stack_tabular, state_visits
from mdplab.neural.training import Experiment, Training, train
from mdplab.solvers import discounted_occupancy, q_values, soft_evaluate
from theory.errors import InputError, Unavailable
from theory.random_streams import run_seeds


@dataclass(frozen=True)
class Walk(Experiment):
    """A walk with drift: the problem's drift, a setting's noise. ``fails`` makes the last record infinite."""

    dimension: int = 2
    fails: bool = False

    def init(self, key: jax.Array, problem: Any, hyper: Mapping[str, Any]) -> Any:
        return jax.random.normal(key, (self.dimension,), dtype=REAL), jnp.zeros((), jnp.int32)

    def update(self, state: Any, key: jax.Array, problem: Any, hyper: Mapping[str, Any]) -> Any:
        place, count = state
        noise = hyper["noise"] * jax.random.normal(key, (self.dimension,), dtype=REAL)
        return place + problem.astype(REAL) + noise, count + 1

    def measure(self, state: Any, problem: Any, hyper: Mapping[str, Any]) -> dict[str, Any]:
        place, count = state
        value = place.astype(jnp.float64).sum()
        return {"value": jnp.where(self.fails & (problem > 0.25), jnp.inf, value), "steps": count, "place": place}


DRIFT = np.linspace(0.0, 0.3, 5)
SETTINGS = ({"noise": 0.0}, {"noise": 1.0})


def _walk(runs: slice = slice(None), **options: Any) -> Training:
    options = {"hypers": SETTINGS, "checkpoints": [1, 4, 10], "lanes": 4} | options
    return train(Walk(), DRIFT[runs], run_seeds(7, 5)[runs], 10, **options)


@pytest.fixture(scope="module")
def whole() -> Training:
    return _walk()


def test_shapes_steps_and_the_final_record(whole: Training) -> None:
    assert whole.measured["value"].shape == (2, 5, 3)
    assert whole.measured["place"].shape == (2, 5, 3, 2)
    assert whole.steps.tolist() == [1, 4, 10]
    assert (whole.measured["steps"] == [1, 4, 10]).all()
    assert np.array_equal(whole.last("value"), whole.measured["value"][:, :, -1])
    assert all(values.dtype == np.float64 for values in whole.measured.values())


def test_settings_are_paired(whole: Training) -> None:
    """Without noise a run moves by its drift alone, from the start that the same run has with noise."""
    places = whole.measured["place"]
    still = places[0, :, 1:] - places[0, :, :-1]
    np.testing.assert_allclose(still[:, 0], 3 * DRIFT[:, None] * np.ones(2), rtol=0, atol=2e-6)
    begin = places[0, :, 0] - DRIFT[:, None]
    first = places[1, :, 0] - DRIFT[:, None] - begin
    assert np.abs(first).max() > 0.5
    again = _walk(hypers=({"noise": 1.0}, {"noise": 2.0})).measured["place"][1, :, 0] - DRIFT[:, None] - begin
    np.testing.assert_allclose(again, 2 * first, atol=2e-6)


def test_a_run_depends_on_its_seed_alone(whole: Training) -> None:
    """Not on the other runs, nor on the other settings, nor on when it was measured."""
    some = _walk(slice(1, 4))
    assert np.array_equal(some.measured["value"], whole.measured["value"][:, 1:4])
    assert np.array_equal(_walk(hypers=SETTINGS[1:]).measured["value"][0], whole.measured["value"][1])
    assert np.array_equal(_walk(checkpoints=None).last("value"), whole.last("value"))


def test_a_killed_training_goes_on_where_it_was(whole: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after any of its writes; and a damaged file is computed again."""
    store = neural.training._Store
    write = store.write
    for writes in (1, 4, 7):
        left = [writes]

        def once(self: Any, *arguments: Any, left: list[int] = left) -> None:
            write(self, *arguments)
            left[0] -= 1
            if not left[0]:
                raise KeyboardInterrupt

        folder = tmp_path / str(writes)
        monkeypatch.setattr(store, "write", once)
        with pytest.raises(KeyboardInterrupt):
            _walk(folder=folder)
        monkeypatch.setattr(store, "write", write)
        resumed = _walk(folder=folder)
        for name, values in whole.measured.items():
            assert np.array_equal(resumed.measured[name], values)
    chunk = folder / "chunk-00001.npz"
    chunk.write_bytes(chunk.read_bytes()[:-30])
    assert np.array_equal(_walk(folder=folder).measured["value"], whole.measured["value"])
    with pytest.raises(InputError, match="keeps the checkpoints of other runs"):
        _walk(folder=folder, hypers=({"noise": 0.5},))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot keep checkpoints"):
        _walk(folder=tmp_path / "file")


def test_the_table_has_a_row_for_each_seed_setting_and_step(whole: Training) -> None:
    table = whole.columns()
    assert {"seed", "noise", "step", "value", "steps", "device", "jax"} == set(table)
    assert all(values.shape == (30,) for values in table.values())
    row = int(np.flatnonzero((table["seed"] == whole.seeds[3]) & (table["noise"] == 1) & (table["step"] == 4))[0])
    assert table["value"][row] == whole.measured["value"][1, 3, 1]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"hypers": ()}, "one setting of the hyperparameters or more"),
        ({"hypers": ({"noise": 1.0}, {"step": 1.0})}, "of the same names"),
        ({"hypers": ({"noise": float("nan")},)}, "the hyperparameter noise is nan"),
        ({"checkpoints": [4, 4]}, "checkpoints of a run increase"),
        ({"checkpoints": [11]}, "checkpoints of a run increase"),
        ({"lanes": 0}, "at least one lane"),
    ],
)
def test_bad_input_is_told(options: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=re.escape(told)):
        _walk(**options)


def test_as_many_problems_as_seeds() -> None:
    with pytest.raises(InputError, match="3 seeds need as many problems"):
        train(Walk(), DRIFT, run_seeds(0, 3), 1, hypers=SETTINGS)


def test_what_is_not_finite_is_an_error_that_names_the_seed() -> None:
    with pytest.raises(FloatingPointError, match=f"value of the seed {run_seeds(7, 5)[4]} under .* is not finite"):
        train(Walk(fails=True), DRIFT, run_seeds(7, 5), 1, hypers=SETTINGS[:1])


def test_without_a_gpu_what_needs_one_says_so() -> None:
    if jax.devices()[0].platform == "gpu":
        pytest.skip("there is a GPU")
    with pytest.raises(Unavailable, match="needs a GPU that JAX can use"):
        _walk(device="gpu")


def test_a_perceptron_is_the_formula() -> None:
    network = mlp(jax.random.key(0), (3, 5, 2))
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    W, b = [np.asarray(w) for w in network.weights], [np.asarray(v) for v in network.biases]
    np.testing.assert_allclose(network(x), np.tanh(x @ W[0] + b[0]) @ W[1] + b[1], rtol=1e-5)
    assert not np.asarray(mlp(jax.random.key(0), (3, 5, 2), last=0.0)(x)).any()
    twins = ensemble(lambda key: mlp(key, (3, 2)), jax.random.key(1), 2)
    assert twins.weights[0].shape == (2, 3, 2)
    assert not np.array_equal(twins.weights[0][0], twins.weights[0][1])


def test_adam_and_polyak_are_their_formulas() -> None:
    """Adam's first step is the rate times the gradient's sign, its second Kingma and Ba's formula."""
    weight, gradients = np.array([1.0, -2.0], np.float32), np.array([[0.3, -4.0], [0.1, 2.0]], np.float32)
    state, moved = adam_state(jnp.asarray(weight)), jnp.asarray(weight)
    m = v = np.zeros(2)
    expected = weight.astype(float)
    for t, gradient in enumerate(gradients, 1):
        moved, state = adam_step(moved, jnp.asarray(gradient), state, 0.1)
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        expected = expected - 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    np.testing.assert_allclose(moved, expected, rtol=1e-5)
    np.testing.assert_allclose(polyak(jnp.asarray(weight), moved, 0.25), 0.75 * weight + 0.25 * np.asarray(moved), rtol=1e-6)


def test_exact_answers_are_the_solvers() -> None:
    mdp = garnet(S=6, A=3, b=2, gamma=0.9, seed=1)
    problem = jax.tree.map(lambda leaf: leaf[0], stack_tabular([mdp]))
    logits = np.random.default_rng(1).normal(size=(6, 3))
    log_policy = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    policy = np.exp(log_policy)
    with jax.enable_x64(True):
        value = soft_policy_value(problem, jnp.asarray(log_policy), 0.3)
        visits = state_visits(problem, jnp.asarray(log_policy))
        q = backup(problem, value)
    np.testing.assert_allclose(value, soft_evaluate(mdp, policy, 0.3).value, rtol=1e-12)
    np.testing.assert_allclose(visits, discounted_occupancy(mdp, policy).state, rtol=1e-12)
    np.testing.assert_allclose(np.ravel(q), q_values(mdp, np.asarray(value)), rtol=1e-12)


def test_stacks_refuse_what_does_not_fit() -> None:
    small, large = dirichlet_mdp(S=3, A=2, seed=0), dirichlet_mdp(S=4, A=2, seed=0)
    with pytest.raises(InputError, match="at least one model"):
        stack_tabular([])
    with pytest.raises(InputError, match="same number of states and of actions"):
        stack_tabular([small, large])
    with pytest.raises(InputError, match="as many arrays of features"):
        stack_tabular([small, small], [np.eye(3)])
    with pytest.raises(ModelError, match="ragged"):
        stack_tabular([garnet(S=8, A=4, b=2, ragged=True, seed=0)])
