"""Pareto fronts against the enumeration of deterministic policies, rational arithmetic and linear programs."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from mdplab.models import ModelError, garnet, two_state
from mdplab.models.multi_objective import (
    MultiObjectiveMDP,
    deep_sea_treasure,
    duplicated_action,
    random_objectives,
    trade_off,
)
from mdplab.solvers import evaluate_policy, flow_residual, uniform_policy
from mdplab.solvers.hypervolume import dominated_volume
from mdplab.solvers.pareto import (
    exact_pareto_vertices,
    occupancy_constraints,
    pareto_certificate,
    pareto_front,
    value_vector,
    weighted_sum,
)
from theory.errors import InputError


def deterministic(model: MultiObjectiveMDP) -> np.ndarray:
    """The value vectors of all deterministic policies, by one dense solve each; ragged models too."""
    mdp = model.mdp
    P, rho = mdp.transition_matrix().toarray(), mdp.start_distribution
    choices = [range(a, b) for a, b in zip(mdp.state_pointer[:-1], mdp.state_pointer[1:])]
    found = []
    for policy in itertools.product(*choices):
        pairs = np.array(policy)
        visits = np.linalg.solve((np.eye(mdp.states) - mdp.gamma * P[pairs]).T, rho)
        found.append(model.rewards[:, pairs] @ visits)
    return np.array(found)


def ragged(seed: int, m: int) -> MultiObjectiveMDP:
    mdp = garnet(S=4, A=3, b=2, gamma=0.8, ragged=True, seed=seed)
    return MultiObjectiveMDP(mdp, np.random.default_rng(seed).normal(size=(m, mdp.pairs)))


MODELS = [
    *(random_objectives(S=3, A=3, gamma=g, seed=s) for s, g in enumerate((0.0, 0.5, 0.9, 0.99))),
    *(ragged(s, 2) for s in range(3)),
    duplicated_action(S=3, seed=1),
    trade_off(points=(0.0, 1.0, 0.5, 0.5, 0.25, 0.75, 1.0, 0.0)),  # three on a line
    trade_off(points=(1.0, 1.0, 1.0, 0.5, 0.0, 1.0)),  # one vertex, tied with others in each objective
    trade_off(points=(2.0, 2.0, 2.0, 2.0)),
    MultiObjectiveMDP(two_state(), [[0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.0, 1.0]]),  # no conflict
    MultiObjectiveMDP(two_state(), [[0.0, 1.0, 0.0, 1.0], [0.0, -1.0, 0.0, -1.0]]),  # nothing but conflict
]


@pytest.mark.parametrize("model", MODELS)
def test_two_objectives_against_enumeration_and_fractions(model: MultiObjectiveMDP) -> None:
    front = pareto_front(model)
    policies = deterministic(model)
    size = float(np.abs(model.rewards).max()) / (1 - model.mdp.gamma)
    exact = np.array(exact_pareto_vertices(model), dtype=float)
    np.testing.assert_allclose(front.vertices, exact, atol=1e-11 * size)
    assert front.excess(policies).max() <= 1e-11 * size
    assert -1e-12 * size <= front.gap <= 1e-10 * size
    floor = model.floor - 1.0
    assert dominated_volume(front.vertices, floor) == pytest.approx(dominated_volume(policies, floor), rel=1e-11)
    for vertex, policy in zip(front.vertices, front.policies):
        np.testing.assert_allclose(value_vector(model, policy).value, vertex, atol=front.error)
    np.testing.assert_allclose(front.weights.sum(axis=1), 1.0, atol=1e-12)


@pytest.mark.parametrize(("seed", "m"), [(0, 3), (1, 3), (2, 4)])
def test_more_objectives_against_enumeration(seed: int, m: int) -> None:
    for model in (random_objectives(S=3, A=2, m=m, seed=seed), ragged(seed, m)):
        front = pareto_front(model)
        policies, floor = deterministic(model), model.floor - 1.0
        assert front.excess(policies).max() <= 1e-10
        assert front.gap <= 1e-8
        assert dominated_volume(front.vertices, floor) == pytest.approx(dominated_volume(policies, floor), rel=1e-9)
        for w in np.random.default_rng(seed).dirichlet(np.ones(m), size=5):
            assert (front.vertices @ w).max() == pytest.approx((policies @ w).max(), rel=1e-9, abs=1e-9)


def test_two_objectives_as_three() -> None:
    """A third objective that is always 1 changes nothing: splitting chords against facets."""
    model = random_objectives(S=4, A=3, seed=5)
    three = model.replace(rewards=np.vstack((model.rewards, np.ones(model.mdp.pairs))))
    np.testing.assert_allclose(pareto_front(three).vertices[:, :2], pareto_front(model).vertices, atol=1e-10)


def test_one_objective() -> None:
    model = random_objectives(m=1, seed=3)
    front = pareto_front(model)
    assert front.vertices.shape == (1, 1)
    assert front.vertices[0, 0] == pytest.approx(deterministic(model).max(), rel=1e-12)


@given(st.integers(0, 10**6), st.integers(1, 100), st.integers(-50, 50))
@settings(max_examples=6, deadline=None)
def test_swapping_scaling_and_shifting_the_objectives(seed: int, factor: int, shift: int) -> None:
    model = random_objectives(S=3, A=2, gamma=0.5, seed=seed)
    vertices = pareto_front(model).vertices
    swapped = pareto_front(model.replace(rewards=model.rewards[::-1])).vertices
    np.testing.assert_allclose(swapped[::-1, ::-1], vertices, atol=1e-9)
    moved = pareto_front(model.replace(rewards=factor * model.rewards + shift)).vertices
    np.testing.assert_allclose(moved, factor * vertices + 2 * shift, atol=1e-7)


@given(st.integers(0, 10**6))
@settings(max_examples=5, deadline=None)
def test_a_dominated_action_changes_nothing(seed: int) -> None:
    model = random_objectives(S=3, A=2, gamma=0.5, seed=seed)
    P, _ = model.mdp.dense()
    R = model.rewards.reshape(2, 3, 2)
    worse = np.concatenate((R, R[:, :, :1] - 0.25), axis=2)
    mdp = type(model.mdp).from_dense(np.concatenate((P, P[:, :1]), axis=1), worse[0], 0.5, start=model.mdp.start)
    larger = MultiObjectiveMDP(mdp, worse.reshape(2, -1))
    np.testing.assert_allclose(pareto_front(larger).vertices, pareto_front(model).vertices, atol=1e-9)


def test_the_best_for_a_threshold_against_a_linear_program() -> None:
    model = random_objectives(S=4, A=3, seed=8)
    front = pareto_front(model)
    flow, rho = occupancy_constraints(model.mdp)
    for i, share in itertools.product((0, 1), (0.1, 0.5, 0.99)):
        low, high = np.sort(front.vertices[[0, -1], 1 - i])
        b = float(low + share * (high - low))
        program = linprog(-model.rewards[i], A_ub=-model.rewards[[1 - i]], b_ub=[-b], A_eq=flow, b_eq=rho, method="highs")
        assert front.best(i, b) == pytest.approx(-program.fun, rel=1e-8)
        assert front.best(i, low - 5.0) == pytest.approx(front.vertices[:, i].max(), rel=1e-12)
    with pytest.raises(InputError, match="no policy brings objective 1 to"):
        front.best(0, high + 1.0)
    with pytest.raises(InputError, match="objectives 0 and 1 of two, not 2"):
        front.best(2, 0.0)


def test_value_vectors_of_random_policies() -> None:
    model = ragged(3, 3)
    found = value_vector(model, uniform_policy(model.mdp))
    for i, reward in enumerate(model.rewards):
        value = evaluate_policy(model.mdp.replace(reward=reward), uniform_policy(model.mdp)).value
        assert abs(found.value[i] - model.mdp.start_distribution @ value) <= found.error < 1e-10


def test_certificates() -> None:
    model = random_objectives(S=4, A=2, seed=1)
    front = pareto_front(model)
    middle = front.vertices[:2].mean(axis=0)
    for v in (*front.vertices, middle):
        for weak in (False, True):
            found = pareto_certificate(model, v, weak=weak)
            assert abs(found.slack) < 1e-7
            assert -1e-7 < found.bound < 1e-7
    below = middle - [0.5, 0.25]
    found = pareto_certificate(model, below)
    assert found.slack == pytest.approx(found.bound, rel=1e-7)
    assert found.slack >= 0.75 - 1e-9
    assert (found.dominating >= below - 1e-7).all()
    assert np.abs(flow_residual(model.mdp, found.occupancy, normalised=False)).max() < 1e-9
    assert (found.weights >= 1).all()
    weak = pareto_certificate(model, below, weak=True)
    assert 0.25 <= weak.slack == pytest.approx(weak.bound, rel=1e-7)
    assert weak.weights.sum() == pytest.approx(1.0)


def test_a_weakly_optimal_vector_is_told_from_an_optimal_one() -> None:
    model = trade_off(points=(1.0, 0.0, 1.0, 0.5, 0.0, 1.0))
    assert pareto_certificate(model, [2.0, 0.0], weak=True).slack == pytest.approx(0.0, abs=1e-9)
    assert pareto_certificate(model, [2.0, 0.0]).slack == pytest.approx(1.0)


def test_weighted_sums_carry_their_bound() -> None:
    model = random_objectives(S=4, A=3, gamma=0.99, seed=2)
    found = weighted_sum(model, [0.3, 0.7])
    best = (deterministic(model) @ [0.3, 0.7]).max()
    assert best <= found.bound <= best + 1e-8
    assert found.value @ [0.3, 0.7] == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: pareto_front(random_objectives(gamma=1.0)), ModelError, "needs a discount below 1"),
        (lambda: pareto_front(random_objectives(), tol=0.0), ModelError, "must be positive"),
        (lambda: weighted_sum(random_objectives(), [1.0]), ModelError, "are not 2 finite numbers"),
        (lambda: exact_pareto_vertices(random_objectives(m=3)), InputError, "two objectives, not 3"),
        (lambda: pareto_certificate(random_objectives(), [1.0]), InputError, "is 2 finite numbers"),
        (lambda: pareto_certificate(random_objectives(), [99.0, 0.0]), InputError, "no policy achieves or dominates"),
    ],
)
def test_bad_input_gets_one_sentence(call: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        call()


def test_the_treasures_that_weighted_sums_find() -> None:
    front = pareto_front(deep_sea_treasure(0.99), tol=1e-6)
    np.testing.assert_allclose(front.vertices[0], [1.0, -1.0], rtol=1e-12)
    np.testing.assert_allclose(front.vertices[-1], [124 * 0.99**18, -(1 - 0.99**19) / 0.01], rtol=1e-10)
    assert len(front.vertices) == 2
