"""Storage on scenario trees: by hand, against dynamic programming and dense programs, duals against differences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdplab.models import ModelError
from mdplab.models.scenario_tree import StorageTree, random_storage, storage, wet_or_dry
from mdplab.solvers.scenario_tree import (
    exact_penalty,
    extensive_form,
    follow,
    forward_pass,
    train_targets,
    training_objective,
    training_optimum,
)
from theory.errors import InputError

seeds = st.integers(0, 2**32 - 1)


def _by_dynamic_programming(tree: StorageTree, grid: np.ndarray, scenario: np.ndarray | None = None) -> float:
    """The least cost with levels on a grid: over the tree, or along one scenario."""
    children: dict[int, list[int]] = {}
    for node, before in enumerate(tree.parent):
        if scenario is None or node in scenario:
            children.setdefault(int(before), []).append(node)

    def cost_to_go(node: int) -> np.ndarray:
        """For every level at the end of the stage of ``node``."""
        total = np.zeros(grid.size)
        for child in children.get(node, []):
            water = grid[:, None] + tree.inflow[child]
            left = water - grid[None, :]
            stage = tree.price[child] * (tree.demand - np.minimum(tree.usable, left))
            share = tree.probability[child] / (tree.probability[node] if node >= 0 else 1.0) if scenario is None else 1.0
            total += share * np.where(left >= -1e-12, stage + cost_to_go(child)[None, :], np.inf).min(axis=1)
        return total

    return float(cost_to_go(-1)[np.abs(grid - tree.start).argmin()])


def test_two_stages_by_hand():
    """Keep everything: a price of 0.98 for sure. Who knows of the wet scenario pays nothing in it. F(C) = 0.99 * 0.98 + 0.01 C."""
    tree = wet_or_dry(wet=0.01, first=0.98)
    assert extensive_form(tree).value == pytest.approx(0.98, abs=1e-9)
    assert extensive_form(tree, non_anticipative=False).value == pytest.approx(0.99 * 0.98, abs=1e-9)
    assert training_optimum(tree, 0.5)[0] == pytest.approx(0.99 * 0.98 + 0.005, abs=1e-9)
    assert exact_penalty(tree) == pytest.approx(0.98, abs=1e-6)
    assert follow(tree, [1.0, 0.0, 0.0]).cost == pytest.approx(0.98)
    assert follow(tree, [0.0, 0.0, 0.0]).cost == pytest.approx(0.99)


def test_the_tree_of_the_example():
    tree = storage()
    assert (tree.nodes, tree.paths.shape) == (14, (8, 3))
    np.testing.assert_allclose(tree.scenario_probability, 1 / 8)
    np.testing.assert_array_equal(tree.stage[tree.paths], np.tile([1, 2, 3], (8, 1)))
    np.testing.assert_array_equal(tree.parent[tree.paths[:, 1:]], tree.paths[:, :-1])
    assert tree.key == "storage(capacity=2.0, demand=1.0, inflows=(0.1, 0.9), prices=(1.0, 3.0, 2.5), release=0.8, start=1.0)"


@pytest.mark.parametrize("prices", [(1.0, 3.0, 2.5), (3.0, 1.0, 3.0), (2.0, 2.5, 1.0)])
def test_extensive_forms_agree_with_dynamic_programming(prices):
    """All numbers are multiples of 1/10, and so are optimal levels."""
    tree = storage(prices=prices)
    grid = np.arange(21) / 10
    assert extensive_form(tree).value == pytest.approx(_by_dynamic_programming(tree, grid), abs=1e-8)
    each = [_by_dynamic_programming(tree, grid, path) for path in tree.paths]
    known = extensive_form(tree, non_anticipative=False)
    assert known.value == pytest.approx(float(tree.scenario_probability @ each), abs=1e-8)
    assert not known.multipliers.any()
    np.testing.assert_allclose(training_optimum(tree, [0.0, 100.0])[0], [known.value, extensive_form(tree).value], atol=1e-8)


@settings(max_examples=10, deadline=None)
@given(seeds, st.floats(0.1, 5.0), st.sampled_from([0.5, 2.0]))
def test_multipliers_of_non_anticipativity_average_to_zero(seed, penalty, capacity):
    tree = random_storage(T=3, capacity=capacity, seed=seed)
    form = extensive_form(tree)
    mean = np.bincount(tree.paths.ravel(), (tree.scenario_probability[:, None] * form.multipliers).ravel(), tree.nodes)
    np.testing.assert_allclose(mean / tree.probability, 0.0, atol=1e-7)
    same = np.array([form.level[tree.paths == node] for node in tree.paths[:1].ravel()], dtype=object)
    assert all(np.ptp(np.asarray(levels, dtype=float)) < 1e-7 for levels in same)
    value, targets = training_optimum(tree, penalty)
    assert training_objective(tree, targets, penalty) == pytest.approx(value, abs=1e-7)
    assert value <= form.value + 1e-7
    assert training_optimum(tree, exact_penalty(tree) + 1e-5)[0] == pytest.approx(form.value, abs=1e-7)


@settings(max_examples=10, deadline=None)
@given(seeds, st.floats(0.1, 5.0))
def test_the_forward_pass_of_one_stage_is_best_at_a_kink(seed, penalty):
    tree = random_storage(T=1, branches=1, seed=seed)
    x = float(np.random.default_rng(seed).uniform(-0.5, 2.5))
    passed = forward_pass(tree, [x], penalty)
    water = tree.start + tree.inflow[0]

    def cost(level: float) -> float:
        return float(tree.price[0] * (1.0 - min(0.8, water - level)) + penalty * abs(level - x))

    top = min(tree.capacity, water)
    best = min(cost(min(max(kink, 0.0), top)) for kink in (0.0, top, x, water - 0.8))
    assert passed.value[0] == pytest.approx(best, abs=1e-6)
    assert cost(passed.level[0, 0]) == pytest.approx(best, abs=1e-6)
    assert abs(passed.target_dual[0, 0]) <= penalty + 1e-9
    assert -tree.price[0] - penalty - 1e-9 <= passed.balance_dual[0, 0] <= 1e-9


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_a_batch_is_its_members(seed):
    tree = random_storage(T=2, seed=seed)
    x = np.random.default_rng(seed).uniform(0, 2, (3, *tree.paths.shape))
    together = forward_pass(tree, x, 1.5)
    for i in range(3):
        np.testing.assert_allclose(forward_pass(tree, x[i], 1.5).value, together.value[i], atol=1e-8)
    by_node = np.random.default_rng(seed).uniform(0, 2, tree.nodes)
    np.testing.assert_allclose(
        forward_pass(tree, by_node, 1.5).value, forward_pass(tree, by_node[tree.paths], 1.5).value, atol=1e-9
    )


@settings(max_examples=10, deadline=None)
@given(seeds, st.sampled_from([0.5, 2.0]))
def test_following_obeys_the_water(seed, capacity):
    tree = random_storage(T=3, capacity=capacity, seed=seed)
    x = np.random.default_rng(seed).uniform(-1, 3, tree.nodes)
    done = follow(tree, x)
    before = np.where(tree.parent >= 0, done.level[tree.parent], tree.start)
    assert (done.level + done.release <= before + tree.inflow + 1e-12).all()
    assert (np.clip(done.level, 0, capacity) == done.level).all()
    assert (np.clip(done.release, -1e-15, 0.8) == done.release).all()
    assert done.cost >= extensive_form(tree).value - 1e-8
    again = follow(tree, done.level)
    np.testing.assert_array_equal(again.level, done.level)


def test_training_descends_to_the_optimum():
    tree = storage()
    trained = train_targets(tree, 0.2, steps=30, size=0.5, start=np.ones(tree.nodes))
    assert (trained.objectives.shape, trained.squared_slopes.shape) == ((31,), (30,))
    assert trained.objectives[-1] == pytest.approx(training_objective(tree, trained.targets, 0.2), abs=1e-9)
    assert 1.67375 - 1e-8 <= trained.objectives[-1] <= 1.70


def test_scaling_the_prices_scales_everything():
    tree = storage()
    double = StorageTree(tree.parent, tree.probability, tree.inflow, 2 * tree.price)
    assert extensive_form(double).value == pytest.approx(2 * extensive_form(tree).value, abs=1e-8)
    assert exact_penalty(double) == pytest.approx(2 * exact_penalty(tree), abs=1e-6)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"parent": np.array([-1, 1])}, "the parent of node 1 is 1; it must be an earlier node, or -1."),
        ({"probability": np.array([1.0, 0.5])}, "the probabilities of the children of node 0 sum to 0.5, not to 1."),
        ({"inflow": np.array([1.0, -1.0])}, "the inflow of node 1 is -1.0; it must be finite and at least 0."),
        ({"price": np.ones(3)}, "the price has shape (3,); the tree has 2 nodes."),
        ({"start": 3.0}, "the start 3.0 lies above the capacity 2.0."),
        ({"demand": -1.0}, "the demand is -1.0; it must be finite and at least 0."),
    ],
)
def test_bad_trees_are_refused(change, sentence):
    good = {"parent": np.array([-1, 0]), "probability": np.ones(2), "inflow": np.ones(2), "price": np.ones(2)}
    StorageTree(**good)
    with pytest.raises(ModelError) as caught:
        StorageTree(**(good | change))
    assert str(caught.value) == sentence


def test_leaves_of_different_stages_are_refused():
    with pytest.raises(ModelError, match="the leaves lie in stages 1 to 2"):
        StorageTree(np.array([-1, -1, 0]), np.array([0.5, 0.5, 0.5]), np.ones(3), np.ones(3))
    with pytest.raises(ModelError, match=r"the nodes of stage 1 sum to 0\.5"):
        StorageTree(np.array([-1]), np.array([0.5]), np.ones(1), np.ones(1))
    with pytest.raises(ModelError, match="strictly between 0 and 1"):
        wet_or_dry(wet=0.0)


def test_bad_arguments_are_refused():
    tree = storage()
    with pytest.raises(InputError, match="14 finite numbers"):
        follow(tree, np.ones(3))
    with pytest.raises(InputError, match="the penalty is at least 0 and finite, not -1"):
        forward_pass(tree, np.ones(14), -1.0)
    with pytest.raises(InputError, match="targets of this tree"):
        forward_pass(tree, np.ones((3, 3)), 1.0)
    with pytest.raises(InputError, match="a positive step size"):
        train_targets(tree, 1.0, steps=1, size=0.0, start=np.ones(14))
    with pytest.raises(InputError, match="the penalty"):
        training_optimum(tree, np.inf)
