"""Feasible values, delays and kernels: by hand, against brute force and other algorithms, and under relabelling and scaling."""

import itertools
from fractions import Fraction

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import seeds
from scipy.optimize import minimize

from mdplab.models import ModelError
from mdplab.models.deterministic import DeterministicMDP, forbidden_prize, random_violations, violation_chain
from mdplab.solvers import evaluate_policy, value_iteration
from mdplab.solvers.feasibility import (
    constrained_optimum,
    feasible_operator,
    feasible_value,
    masked,
    max_delay,
    safe_actions,
    safe_under,
    viability_kernel,
)
from theory.tilts import log_tilt

discounts = st.sampled_from([0.0, 0.3, 0.9, 0.999])
signals = st.sampled_from(["two-valued", "graded"])
reaches = st.sampled_from([0, 1, 3])


def test_a_corridor_by_hand():
    """Two steps from a violation of 3 at discount 1/2: V = 4/4 - 1 = 0, which is judged feasible; one step: 1."""
    found = feasible_value(violation_chain(S=4, magnitude=3.0), 0.5, exact=True)
    assert found.value.tolist() == [Fraction(-1, 2), 0, 1, 3]
    assert found.region.tolist() == [True, True, False, False]
    assert (found.error, found.sweeps) == (0.0, 3)
    assert max_delay(violation_chain(S=4)).tolist() == [3, 2, 1, 0]
    assert not viability_kernel(violation_chain(S=4)).any()
    assert viability_kernel(violation_chain(S=4, exits="gate")).tolist() == [True, False, False, False]
    assert max_delay(violation_chain(S=4, exits="trapdoors")).tolist() == [3, 2, 1, 0]


def test_a_step_onto_a_violation_passes_the_mask_of_discount_one_half():
    found = feasible_value(violation_chain(S=2, exits="gate"), 0.5, exact=True)
    assert found.region.tolist() == [True, False]
    assert found.q[0].tolist() == [0, -1]


@settings(max_examples=40, deadline=None)
@given(seeds, discounts, signals, reaches, st.integers(1, 12), st.integers(1, 3))
def test_the_float_value_is_as_near_to_the_exact_one_as_it_says(seed, gamma, signal, reach, S, A):
    model = random_violations(S=S, A=A, signal=signal, reach=reach, seed=seed)
    exact, found = feasible_value(model, gamma, exact=True), feasible_value(model, gamma)
    assert found.error < 1e-11
    for ours, theirs in ((found.value, exact.value), (found.q, exact.q)):
        assert max(abs(Fraction(a) - b) for a, b in zip(ours.ravel().tolist(), theirs.ravel())) <= found.error
    assert (feasible_operator(model, exact.value, gamma) == exact.value).all()
    assert (exact.q.min(axis=1) == exact.value).all()
    assert max(exact.sweeps, found.sweeps) <= max(S - 1, 0)


@settings(max_examples=30, deadline=None)
@given(seeds, signals, reaches)
def test_plain_iteration_from_anywhere_ends_at_the_same_value(seed, signal, reach):
    model = random_violations(S=8, signal=signal, reach=reach, seed=seed)
    value = np.random.default_rng(seed).normal(size=8)
    for _ in range(60):
        value = feasible_operator(model, value, 0.5)
    np.testing.assert_allclose(value, feasible_value(model, 0.5).value, rtol=0, atol=1e-14)


@settings(max_examples=40, deadline=None)
@given(seeds, signals, reaches, st.integers(1, 5))
def test_the_undiscounted_value_is_the_least_worst_moment(seed, signal, reach, S):
    """min over deterministic policies of max_t h(s_t), which is at most 0 exactly on the kernel."""
    model = random_violations(S=S, signal=signal, reach=reach, seed=seed)
    best = np.full(S, np.inf)
    for policy in itertools.product(range(2), repeat=S):
        state, worst = np.arange(S), model.violation.copy()
        for _ in range(S):
            state = model.next_state[state, np.array(policy)[state]]
            worst = np.maximum(worst, model.violation[state])
        best = np.minimum(best, worst)
        np.testing.assert_array_equal(safe_under(model, policy), worst <= 0)
    np.testing.assert_array_equal(feasible_value(model, 1.0).value, best)
    np.testing.assert_array_equal(viability_kernel(model), best <= 0)


@settings(max_examples=40, deadline=None)
@given(seeds, reaches, st.integers(1, 30))
def test_the_kernel_reaches_a_safe_cycle_and_delays_are_longest_paths(seed, reach, S):
    """Independent: a state is viable if its safe part of the graph leads to a cycle; otherwise that part has a longest path."""
    model = random_violations(S=S, reach=reach, seed=seed)
    graph = nx.DiGraph()
    safe = np.flatnonzero(~model.violating)
    graph.add_nodes_from(safe.tolist())
    edges = [(int(s), int(t)) for s in safe for t in model.next_state[s]]
    graph.add_edges_from((s, t) for s, t in edges if not model.violating[t])
    cyclic = {s for part in nx.strongly_connected_components(graph) for s in part if len(part) > 1 or graph.has_edge(s, s)}
    viable = cyclic.union(*(nx.ancestors(graph, s) for s in cyclic)) if cyclic else set()
    np.testing.assert_array_equal(np.flatnonzero(viability_kernel(model)), sorted(viable))
    delay = max_delay(model)
    for s in safe:
        if int(s) not in viable:
            ahead = graph.subgraph({int(s)} | nx.descendants(graph, int(s)))
            assert delay[s] == nx.dag_longest_path_length(ahead) + 1
    assert (delay[model.violating] == 0).all()


@settings(max_examples=30, deadline=None)
@given(seeds, discounts)
def test_relabelling_states_and_scaling_the_signal(seed, gamma):
    model = random_violations(S=9, signal="graded", seed=seed)
    order = np.random.default_rng(seed).permutation(9)
    place = np.argsort(order)
    moved = DeterministicMDP(place[model.next_state[order]], model.reward[order], model.violation[order], model.gamma)
    value = feasible_value(model, gamma).value
    np.testing.assert_allclose(feasible_value(moved, gamma).value, value[order], rtol=0, atol=1e-14)
    scaled = model.replace(violation=3.0 * model.violation + 2.0)
    np.testing.assert_allclose(feasible_value(scaled, gamma).value, 3.0 * value + 2.0, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(max_delay(moved), max_delay(model)[order])


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_more_discount_or_more_violations_never_help_the_judgement(seed):
    """Of a two-valued signal V grows with gamma; a state more that violates raises V and shrinks the kernel."""
    model = random_violations(S=10, reach=2, seed=seed)
    values = [feasible_value(model, gamma).value for gamma in (0.0, 0.5, 0.9, 0.99, 1.0)]
    assert (np.diff(values, axis=0) >= -1e-13).all()
    worse = model.replace(violation=np.where(np.arange(10) == seed % 10, 1.0, model.violation))
    assert (feasible_value(worse, 0.9).value >= values[2] - 1e-13).all()
    assert (viability_kernel(worse) <= viability_kernel(model)).all()


@settings(max_examples=10, deadline=None)
@given(seeds, st.sampled_from([0.0, 0.5, 0.95]), reaches)
def test_the_constrained_optimum_is_the_best_safe_policy(seed, gamma, reach):
    model = random_violations(S=4, A=3, reach=reach, gamma=gamma, seed=seed)
    mdp, best = model.tabular(), np.full(4, -np.inf)
    for policy in itertools.product(range(3), repeat=4):
        safe = safe_under(model, policy)
        if safe.any():
            value = evaluate_policy(mdp, 3 * np.arange(4) + np.array(policy)).value
            best = np.maximum(best, np.where(safe, value, -np.inf))
    found = constrained_optimum(model)
    np.testing.assert_array_equal(found.kernel, best > -np.inf)
    np.testing.assert_allclose(found.value[found.kernel], best[found.kernel], rtol=0, atol=1e-9)
    assert np.isnan(found.value[~found.kernel]).all()
    assert (found.policy[~found.kernel] == -1).all()
    assert safe_actions(model)[np.flatnonzero(found.kernel), found.policy[found.kernel]].all()
    assert found.width <= 1e-8


def test_other_solvers_agree_on_the_masked_model():
    model = random_violations(S=30, A=3, seed=11)
    found = constrained_optimum(model)
    again = value_iteration(masked(model, safe_actions(model)), 1e-10)
    assert 0 < found.kernel.sum() < 30
    np.testing.assert_allclose(found.value[found.kernel], again.value[found.kernel], rtol=0, atol=1e-9)
    penalised = model.tabular().replace(reward=(model.reward - 1e4 * model.violating[:, None]).ravel())
    np.testing.assert_allclose(value_iteration(penalised, 1e-8).value[found.kernel], found.value[found.kernel], atol=1e-7)


def test_a_forbidden_prize_by_hand():
    found = constrained_optimum(forbidden_prize(modest=0.5, delay=2))
    np.testing.assert_allclose(found.value[:3], [4.5, 0.0, 5.0], atol=1e-9)
    assert found.policy[:2].tolist() == [1, 0]
    assert found.kernel.tolist() == [True, True, True, False, False, False]


def test_nothing_is_viable_or_everything_is():
    lost = constrained_optimum(violation_chain(S=4))
    assert not lost.kernel.any()
    assert np.isnan(lost.value).all()
    free = random_violations(S=6, bad=0.0, seed=2)
    assert np.isinf(max_delay(free)).all()
    assert safe_actions(free).all()
    assert (feasible_value(free, 0.7).value == -1.0).all()


def test_a_masked_tilt_is_what_a_general_optimiser_finds():
    """max over policies of safe actions of E A - KL / alpha, by SLSQP."""
    behaviour, A, alpha = np.array([0.5, 0.2, 0.2, 0.1]), np.array([3.0, -0.2, 0.0, -1.0]), 2.0
    may = np.array([False, True, True, True])
    tilt = np.exp(log_tilt(np.where(may, np.log(behaviour), -np.inf), A, 1 / alpha))

    def loss(p):
        return -(p @ A[may] - (p * np.log(p / behaviour[may])).sum() / alpha)

    found = minimize(
        loss,
        np.full(3, 1 / 3),
        bounds=[(1e-9, 1.0)] * 3,
        constraints={"type": "eq", "fun": lambda p: p.sum() - 1},
        method="SLSQP",
        options={"ftol": 1e-14},
    )
    np.testing.assert_allclose(tilt[may], found.x, atol=1e-6)
    assert tilt[0] == 0


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m: feasible_value(m, 1.1), "the discount is 1.1"),
        (lambda m: feasible_operator(m, np.zeros(3)), r"has shape \(4,\), not \(3,\)"),
        (lambda m: safe_under(m, [0, 0, 0]), r"integers of shape \(..., 4\), not \(3,\)"),
        (lambda m: safe_under(m, [0.0, 0.0, 0.0, 0.0]), "are integers"),
        (lambda m: safe_under(m, [0, 0, 0, 2]), "outside 0, ..., 1"),
        (lambda m: safe_under(m, [0, 0, 0, -1]), "outside 0, ..., 1"),
        (lambda m: masked(m, np.ones(4)), r"the allowed actions have shape \(4,\), not \(4, 2\)"),
        (lambda m: constrained_optimum(m.replace(gamma=1.0)), "a discount below 1"),
    ],
)
def test_what_is_out_of_range_is_refused_in_one_sentence(call, sentence):
    with pytest.raises(ModelError, match=sentence):
        call(violation_chain(S=4, exits="gate"))
