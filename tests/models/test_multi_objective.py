"""Models with several objectives: what is refused, the families by hand, and agreement with Storm's multi-objective answers."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from mdplab.models import ModelError, TabularMDP, two_state
from mdplab.models.multi_objective import (
    DEPTHS,
    TREASURES,
    MultiObjectiveMDP,
    deep_sea_treasure,
    duplicated_action,
    from_models,
    prism_objectives,
    random_objectives,
    trade_off,
)
from mdplab.models.storm import PROGRAMS, storm_constrained_total
from mdplab.solvers.c_morl import constrained_extension
from mdplab.solvers.hypervolume import hypervolume
from mdplab.solvers.pareto import pareto_front, value_vector


@pytest.mark.parametrize(
    ("rewards", "names", "sentence"),
    [
        (np.ones((2, 3)), None, "the rewards have shape (2, 3); they must be (m, 4)"),
        (np.ones(4), None, "the rewards have shape (4,)"),
        (np.empty((0, 4)), None, "the rewards have shape (0, 4)"),
        ([[0, 1, 2, 3], [0, 1, np.nan, 3]], None, "the reward of objective 1 and pair 2 is nan; it must be finite."),
        (np.ones((2, 4)), ("a",), "the names a do not fit 2 objectives"),
        (np.ones((2, 4)), ("a", "a"), "the names a, a do not fit 2 objectives"),
        ([["x"] * 4], None, "rewards must hold real numbers"),
    ],
)
def test_bad_models_get_one_sentence(rewards: Any, names: Any, sentence: str) -> None:
    with pytest.raises(ModelError, match=re.escape(sentence)):
        MultiObjectiveMDP(two_state(), rewards, names)


def test_the_rewards_are_kept_and_read_only() -> None:
    model = MultiObjectiveMDP(two_state(gamma=0.5), [[0, 1, 2, 3], [-4, 0, 0, 0]], ["first", "second"])
    assert (model.objectives, model.names, model.floor.tolist()) == (2, ("first", "second"), [0.0, -8.0])
    assert model.scalarised([1, 0.5]).reward.tolist() == [-2.0, 1.0, 2.0, 3.0]
    with pytest.raises(ValueError, match="read-only"):
        model.rewards[0, 0] = 1.0
    assert model.replace(names=None).names is None


@pytest.mark.parametrize("weights", [[1.0], [1.0, np.inf], [[1.0, 2.0]]])
def test_weights_that_do_not_fit_are_refused(weights: Any) -> None:
    with pytest.raises(ModelError, match="are not 2 finite numbers"):
        random_objectives().scalarised(weights)


def test_values_have_no_floor_without_a_discount() -> None:
    model = random_objectives()
    with pytest.raises(ModelError, match="this model's is 1"):
        _ = model.replace(mdp=model.mdp.replace(gamma=1.0)).floor


def test_several_models_become_one() -> None:
    first = two_state(reward=(0, 1, 2, 3))
    second = two_state(reward=(3, 2, 1, 0))
    model = from_models([first, second], ("up", "down"))
    assert model.rewards.tolist() == [[0, 1, 2, 3], [3, 2, 1, 0]]
    with pytest.raises(ModelError, match="model 1 has other dynamics"):
        from_models([first, two_state(gamma=0.5)])
    with pytest.raises(ModelError, match="at least one objective"):
        from_models([])


def test_families_refuse_bad_parameters() -> None:
    for build, sentence in (
        (lambda: random_objectives(m=0), "m >= 1 objectives, not 0"),
        (lambda: duplicated_action(loss=0.0), "the twin loses 0.0"),
        (lambda: trade_off(points=(1.0, 2.0, 3.0)), "3 numbers are not points of 2"),
        (lambda: prism_objectives(objectives=()), "at least one reward structure"),
    ):
        with pytest.raises(ModelError, match=sentence):
            build()


def test_a_duplicate_differs_in_the_other_objectives_alone() -> None:
    model = duplicated_action(S=3, A=2, m=3, loss=0.25, seed=4)
    P, _ = model.mdp.dense()
    R = model.rewards.reshape(3, 3, 3)
    np.testing.assert_array_equal(P[:, 0], P[:, 1])
    np.testing.assert_allclose((R[:, :, 1] - R[:, :, 0])[:, 0], [0.0, 0.25, 0.25], atol=1e-15)


def test_one_state_earns_its_points() -> None:
    model = trade_off(points=(1.0, 2.0, 3.0, 4.0, 5.0, 6.0), m=3, gamma=0.75)
    assert [value_vector(model, [a]).value.tolist() for a in (0, 1)] == [[4.0, 8.0, 12.0], [16.0, 20.0, 24.0]]


@pytest.mark.parametrize("gamma", [0.9, 0.999])
def test_ways_to_the_treasures(gamma: float) -> None:
    """Right along the surface to a column, then down: the value vectors by hand, and 1155 as the known hypervolume."""
    model = deep_sea_treasure(gamma)
    mdp = model.mdp
    assert (mdp.states, mdp.max_actions) == (sum(DEPTHS) + 1, 4)
    found = []
    for column in range(10):
        actions = np.array(
            [3 if name.startswith("row 0") and int(name.split()[-1]) < column else 1 for name in mdp.state_names]
        )
        found.append(value_vector(model, mdp.state_pointer[:-1] + actions).value)
    t = np.array([c + d for c, d in enumerate(DEPTHS)])
    wanted = np.stack((np.array(TREASURES) * gamma ** (t - 1.0), -(1 - gamma**t) / (1 - gamma)), axis=1)
    np.testing.assert_allclose(found, wanted, rtol=1e-10)
    assert hypervolume(np.stack((TREASURES, -t), axis=1), (0.0, -25.0)) == 1155.0


# -- Storm -------------------------------------------------------------------------------------------------------------


def total_rewards(objectives: tuple[str, ...]) -> tuple[Any, np.ndarray, np.ndarray]:
    """The occupancy program of the courier without a discount, whose every shift ends: E, rho and rewards without the last state."""
    model = prism_objectives(objectives=objectives, gamma=1.0, constants="stop=0.05")
    mdp = model.mdp
    going = np.array(["at=2" not in str(name) for name in mdp.state_names])
    pairs = going[mdp.pair_state]
    owner = np.zeros((mdp.states, mdp.pairs))
    owner[mdp.pair_state, np.arange(mdp.pairs)] = 1.0
    flow = owner - mdp.transition_matrix().toarray().T
    return flow[np.ix_(going, pairs)], mdp.start_distribution[going], model.rewards[:, pairs]


def courier(objectives: tuple[str, ...] = ("parcels", "ease")) -> MultiObjectiveMDP:
    pytest.importorskip("stormpy", reason="reading PRISM programs needs stormpy")
    return prism_objectives(objectives=objectives, gamma=0.95, constants="stop=0")


def test_a_discount_is_a_chance_of_stopping() -> None:
    """The front of discounted values, and the linear program of total rewards of the program that stops with 1 - gamma."""
    front = pareto_front(courier())
    assert front.gap < 1e-9
    assert len(front.vertices) >= 4
    flow, rho, rewards = total_rewards(("parcels", "ease"))
    for threshold in np.linspace(front.vertices[-1, 1], front.vertices[0, 1], 7):
        program = linprog(-rewards[0], A_ub=-rewards[1:], b_ub=[-threshold + 1e-12], A_eq=flow, b_eq=rho, method="highs")
        assert -program.fun == pytest.approx(front.best(0, threshold), rel=1e-8)


def test_constrained_optima_agree_with_storm() -> None:
    model = courier()
    front = pareto_front(model)
    low, high = front.vertices[[-1, 0], 1]
    for share in (0.2, 0.5, 0.9):
        threshold = float(low + share * (high - low))
        found = storm_constrained_total(PROGRAMS / "courier.nm", "parcels", {"ease": threshold}, constants="stop=0.05")
        assert constrained_extension(model, 0, [0.0, threshold]).value[0] == pytest.approx(front.best(0, threshold), rel=1e-9)
        assert found == pytest.approx(front.best(0, threshold), rel=1e-5)  # Storm's precision is 1e-6
    with pytest.raises(ModelError, match=r"no policy has totals of at least 1000 \(ease\)\.$"):
        storm_constrained_total(PROGRAMS / "courier.nm", "parcels", {"ease": 1000.0}, constants="stop=0.05")
    with pytest.raises(ModelError, match="the constants stop have no value"):
        storm_constrained_total(PROGRAMS / "courier.nm", "parcels", {})


def test_the_vertices_agree_with_storm() -> None:
    front = pareto_front(courier())
    import stormpy

    program, _ = stormpy.instantiate_constants(stormpy.parse_prism_program(str(PROGRAMS / "courier.nm")), "stop=0.05")
    formulas = stormpy.parse_properties('multi(R{"parcels"}max=? [C], R{"ease"}max=? [C])', program)
    found = stormpy.model_checking(stormpy.build_model(program, formulas), formulas[0])
    told = str(found).split("Pareto optimal points found:")[1]
    points = np.array([[float(x) for x in row.split(",")] for row in re.findall(r"\(([^()]*,[^()]*)\)", told)])
    points = points[np.argsort(points[:, 0])]
    np.testing.assert_allclose(front.excess(points), 0.0, atol=1e-3)
    np.testing.assert_allclose(points, front.vertices, rtol=1e-4)


def test_three_objectives_of_the_courier() -> None:
    model = courier(("parcels", "ease", "safety"))
    assert isinstance(model.mdp, TabularMDP)
    front = pareto_front(model)
    assert front.gap < 1e-8
    flow, rho, rewards = total_rewards(("parcels", "ease", "safety"))
    for weights in np.random.default_rng(0).dirichlet(np.ones(3), size=10):
        program = linprog(-weights @ rewards, A_eq=flow, b_eq=rho, method="highs")
        assert (front.vertices @ weights).max() == pytest.approx(-program.fun, rel=1e-9)
