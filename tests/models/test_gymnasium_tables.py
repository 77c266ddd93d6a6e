"""Gymnasium's tables: the same process, exactly, with nothing earned after the end."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest

from mdplab.models import ModelError, TabularMDP, cliff_walking, from_gymnasium, frozen_lake, taxi


def toy(table: Any, start: Any = None) -> Any:
    """What the reader needs of an environment."""
    made = SimpleNamespace(P=table, spec=SimpleNamespace(id="Toy-v0"))
    if start is not None:
        made.initial_state_distrib = start
    made.unwrapped = made
    return made


def solve(mdp: TabularMDP, sweeps: int) -> np.ndarray:
    matrix, value = mdp.transition_matrix(), np.zeros(mdp.states)
    for _ in range(sweeps):
        value = np.maximum.reduceat(mdp.reward + mdp.gamma * (matrix @ value), mdp.state_pointer[:-1])
    return value


def table_values(table: Any, gamma: float, sweeps: int) -> np.ndarray:
    """Value iteration on the table as it stands: after a transition that terminates there is nothing."""
    value = np.zeros(len(table))
    for _ in range(sweeps):
        value = np.array(
            [
                max(sum(p * (r + gamma * (0 if done else value[to])) for p, to, r, done in ways) for ways in table[s].values())
                for s in range(len(table))
            ]
        )
    return value


@pytest.mark.parametrize(
    ("build", "environment_id", "options", "shape"),
    [
        (lambda: frozen_lake(gamma=0.9), "FrozenLake", {}, (16, 4)),
        (lambda: frozen_lake(map_name="8x8", gamma=0.9), "FrozenLake", {"map_name": "8x8"}, (64, 4)),
        (lambda: frozen_lake(is_slippery=False, gamma=0.9), "FrozenLake", {"is_slippery": False}, (16, 4)),
        (lambda: taxi(gamma=0.9), "Taxi", {}, (501, 6)),
        (lambda: cliff_walking(gamma=0.9), "CliffWalking", {}, (49, 4)),
        (lambda: cliff_walking(is_slippery=True, gamma=0.9), "CliffWalking", {"is_slippery": True}, (49, 4)),
    ],
)
def test_real_environments_have_the_values_of_their_tables(build, environment_id: str, options: dict, shape: tuple) -> None:
    mdp = build()
    name = next(i for i in sorted(gymnasium.registry, reverse=True) if i.startswith(f"{environment_id}-v"))
    core = gymnasium.make(name, **options).unwrapped
    assert (mdp.states, mdp.max_actions, mdp.is_rectangular) == (*shape, True)
    known = len(core.P)
    sweeps = 40
    exact = table_values(core.P, 0.9, sweeps)
    assert np.allclose(solve(mdp, sweeps)[:known], exact, rtol=1e-12, atol=1e-13)  # sums of thirds in another order
    assert np.allclose(mdp.start_distribution[:known], core.initial_state_distrib, rtol=1e-15)
    assert mdp.start_distribution[known:].sum() == 0
    assert mdp.key == build().key
    assert np.array_equal(from_gymnasium(name, 0.9, **options).probability, mdp.probability)


def test_frozen_lake_needs_no_added_end_and_taxi_does() -> None:
    lake = frozen_lake()
    P, R = lake.dense()
    for end in (5, 7, 11, 12, 15):
        assert (P[end, :, end] == 1).all()
        assert (R[end] == 0).all()
    P, R = taxi().dense()
    assert (P[500, :, 500] == 1).all()
    assert (R[500] == 0).all()
    assert P[:500, :, 500].sum() == 4  # the right drop-off, at each of the four places


def test_the_optimal_path_along_the_cliff_costs_thirteen() -> None:
    mdp = cliff_walking(gamma=1.0)
    assert solve(mdp, 100)[36] == -13


def test_terminations_are_exact() -> None:
    walks_on = {0: {0: [(0.5, 1, 1.0, True), (0.5, 1, 3.0, False)]}, 1: {0: [(1.0, 0, 5.0, False)]}}
    mdp = from_gymnasium(toy(walks_on, [1, 0]), 0.5)
    assert mdp.states == 3
    assert mdp.transition_matrix().toarray().tolist() == [[0, 0.5, 0.5], [1, 0, 0], [0, 0, 1]]
    assert mdp.reward.tolist() == [2, 5, 0]
    assert mdp.start.tolist() == [1, 0, 0]
    absorbs = {0: {0: [(1.0, 1, 1.0, True)]}, 1: {0: [(1.0, 1, 0.0, True)]}}
    assert from_gymnasium(toy(absorbs), 0.5).states == 2
    pays_for_ever = {0: {0: [(1.0, 1, 1.0, True)]}, 1: {0: [(1.0, 1, 0.5, False)]}}
    assert from_gymnasium(toy(pays_for_ever), 0.5).states == 3
    has_a_way_out = {0: {0: [(1.0, 1, 1.0, True)]}, 1: {0: [(1.0, 1, 0.0, True)], 1: [(1.0, 0, 0.0, False)]}}
    mdp = from_gymnasium(toy(has_a_way_out), 0.5)
    assert mdp.states == 3
    assert mdp.transition_matrix().toarray().tolist() == [[0, 0, 1], [0, 0, 1], [1, 0, 0], [0, 0, 1], [0, 0, 1]]
    never = {0: {0: [(0.0, 1, 1.0, True), (1.0, 0, 0.0, False)]}, 1: {0: [(1.0, 0, 0.0, False)]}}
    assert from_gymnasium(toy(never), 0.5).states == 2
    assert from_gymnasium(toy([[[(1.0, 0, 0.0, False)]]]), 0.5).states == 1  # lists instead of dictionaries


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ("CartPole-v1", "the environment CartPole-v1 has no transition table `P`; its model cannot be read exactly."),
        ("NoLake-v1", "Gymnasium cannot make 'NoLake-v1': NameNotFound"),
        ("FrozenLake-v1:map_name=9x9", "Gymnasium cannot make 'FrozenLake-v1:map_name=9x9': KeyError"),
        ("FrozenLake-v1:map_name", "the option 'map_name' of 'FrozenLake-v1:map_name' is not of the form key=value."),
        (
            toy({0: {0: [(0.9, 0, 1.0, False)]}}),
            "the table of Toy-v0 is no model: the probabilities of state 0, action 0 sum to 0.9, which is -0.1 off 1.",
        ),
        (
            toy({0: {0: [(1.0, 3, 1.0, False)]}}),
            "the table of Toy-v0 is no model: state 0 leads to state 3, but the states are 0 to 0.",
        ),
        (
            toy({0: {0: [(1.0, 0, float("nan"), False)]}}),
            "the table of Toy-v0 is no model: the reward of state 0, action 0 is nan.",
        ),
        (toy({0: {0: [(1.0, 0)]}}), "the table of Toy-v0 does not list (probability, next state, reward, terminated)"),
        (toy({0: {}}), "the table of Toy-v0 is no model: it has no transitions."),
        (toy({1: {0: [(1.0, 0, 1.0, False)]}}), "the table of Toy-v0 does not list"),
    ],
)
def test_bad_environments_get_one_sentence(environment: Any, sentence: str) -> None:
    with pytest.raises(ModelError, match="^" + re.escape(sentence)) as told:
        from_gymnasium(environment)
    assert "\n" not in str(told.value)


def test_an_instance_stays_open_and_thirds_with_few_decimals_pass() -> None:
    environment = gymnasium.make("FrozenLake-v1")
    assert from_gymnasium(environment).states == 16
    environment.reset(seed=0)
    rounded = toy({0: {0: [(0.333333, 0, 1.0, False), (0.333333, 0, 1.0, False), (0.333333, 0, 1.0, False)]}})
    assert from_gymnasium(rounded).probability.tolist() == pytest.approx([1.0], rel=1e-15)
