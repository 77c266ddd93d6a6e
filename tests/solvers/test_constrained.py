"""Constrained solvers against brute force, cvxpy, rational arithmetic, each other, and bad input."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdplab.models import ConstrainedMDP, EpisodicMDP, ModelError, TabularMDP, random_costs
from mdplab.solvers import evaluate_policy, policy_iteration
from mdplab.solvers.constrained import (
    InfeasibleError,
    between_thresholds,
    constrained_returns,
    deterministic_mixture,
    dual_function,
    infeasibility_margin,
    slater_point,
    solve_constrained,
)
from theory.errors import InputError

METHODS = ("linear-programming", "column-generation")
seeds = st.integers(0, 2**31)


def binding(seed: int, m: int = 1, share: float = 0.5, **options) -> ConstrainedMDP:
    options = {"S": 4, "A": 3} | options
    return between_thresholds(random_costs(m=m, seed=seed, **options), share)


def episodic(seed: int, m: int = 1, H: int = 3, S: int = 3, A: int = 2) -> ConstrainedMDP:
    rng = np.random.default_rng(seed)
    mdp = EpisodicMDP(rng.dirichlet(np.ones(S), size=(H, S, A)), rng.random((H, S, A)), start=rng.dirichlet(np.ones(S)))
    return between_thresholds(ConstrainedMDP(mdp, rng.random((m, H, S, A)), np.full(m, H)), 0.5)


def all_returns(cmdp: ConstrainedMDP) -> np.ndarray:
    """(J_r, J_c) of every deterministic policy, evaluated one reward at a time."""
    mdp = cmdp.mdp
    pairs = itertools.product(*(range(a, b) for a, b in itertools.pairwise(mdp.state_pointer.tolist())))
    models = [mdp.replace(reward=x) for x in (mdp.reward, *cmdp.cost)]
    return np.array([[mdp.start_distribution @ evaluate_policy(x, np.array(p)).value for x in models] for p in pairs])


def best_of_pairs(returns: np.ndarray, threshold: float) -> float:
    """The best reward of a mixture of two returns that costs at most the threshold, one constraint."""
    best = -np.inf
    for (r, c), (s, e) in itertools.combinations_with_replacement(returns, 2):
        if c <= threshold:
            best = max(best, r)
        if e <= threshold:
            best = max(best, s)
        if min(c, e) < threshold < max(c, e):
            weight = (threshold - e) / (c - e)
            best = max(best, weight * r + (1 - weight) * s)
    return best


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(3))
def test_one_constraint_against_all_mixtures_of_two_deterministic_policies(method, seed):
    cmdp = binding(seed, S=3, ragged=seed == 2, b=2)
    found = solve_constrained(cmdp, method=method)
    best = best_of_pairs(all_returns(cmdp), float(cmdp.threshold[0]))
    assert found.value == pytest.approx(best, abs=1e-7)
    assert found.lower - 1e-7 <= best <= found.upper + 1e-9


@pytest.mark.parametrize("m", [1, 3])
def test_cvxpy_solves_the_same_program(m):
    cvxpy = pytest.importorskip("cvxpy")
    cmdp = binding(11, m=m, share=0.4)
    P, R = cmdp.mdp.dense()
    d = cvxpy.Variable(R.shape, nonneg=True)
    flow = [
        cvxpy.sum(d[s]) - cmdp.mdp.gamma * cvxpy.sum(cvxpy.multiply(P[:, :, s], d)) == cmdp.mdp.start_distribution[s]
        for s in range(cmdp.mdp.states)
    ]
    budgets = [cvxpy.sum(cvxpy.multiply(c.reshape(R.shape), d)) <= t for c, t in zip(cmdp.cost, cmdp.threshold)]
    program = cvxpy.Problem(cvxpy.Maximize(cvxpy.sum(cvxpy.multiply(R, d))), flow + budgets)
    program.solve(solver="CLARABEL")
    found = solve_constrained(cmdp)
    assert found.value == pytest.approx(program.value, abs=1e-5)
    # multipliers need not be unique: those of the twin must be optimal as well
    assert dual_function(cmdp, [max(float(b.dual_value), 0.0) for b in budgets]).upper == pytest.approx(found.value, abs=1e-4)


def test_two_states_in_rational_arithmetic():
    # state 0: stay (pays 2, costs 3) or go (pays 0, costs 0); state 1: come back (pays 1, costs 1) or wait (pays 0, costs 0)
    P = np.zeros((2, 2, 2))
    P[0, 0, 0] = P[0, 1, 1] = P[1, 0, 0] = P[1, 1, 1] = 1
    mdp = TabularMDP.from_dense(P, [[2.0, 0.0], [1.0, 0.0]], 0.5, start=[1.0, 0.0])
    cmdp = ConstrainedMDP(mdp, np.array([[3.0, 0.0], [1.0, 0.0]]), 3.0)
    half = Fraction(1, 2)
    # of the deterministic policies: stay; go and come back; go and wait
    rewards = {"stay": 2 / (1 - half), "round": half / (1 - half**2), "wait": Fraction(0)}
    costs = {"stay": 3 / (1 - half), "round": half / (1 - half**2), "wait": Fraction(0)}
    weight = (3 - costs["round"]) / (costs["stay"] - costs["round"])
    value = weight * rewards["stay"] + (1 - weight) * rewards["round"]
    price = (rewards["stay"] - rewards["round"]) / (costs["stay"] - costs["round"])
    for method in METHODS:
        found = solve_constrained(cmdp, method=method)
        assert found.value == pytest.approx(float(value), abs=1e-9)
        assert found.costs[0] == pytest.approx(3.0, abs=1e-9)
        assert found.multipliers[0] == pytest.approx(float(price), abs=1e-7)
    assert slater_point(cmdp).lower == pytest.approx(3.0)


@pytest.mark.parametrize("m", [1, 2, 4])
@pytest.mark.parametrize("build", [binding, episodic])
def test_the_two_methods_agree_and_certify(build, m):
    cmdp = build(5, m=m)
    one, two = (solve_constrained(cmdp, method=method) for method in METHODS)
    assert one.value == pytest.approx(two.value, abs=1e-6)
    for found in (one, two):
        assert found.policy.shape == found.occupancy.shape == cmdp.reward.shape
        assert found.width <= 1e-7 * cmdp.steps
        assert (found.multipliers >= 0).all()
        assert (found.violation <= 1e-7 * cmdp.steps).all()
        returns, _ = constrained_returns(cmdp, found.policy)
        np.testing.assert_array_equal(returns, np.append(found.value, found.costs))
        flows = [(found.occupancy * x).sum() for x in (cmdp.reward, *cmdp.cost)]
        np.testing.assert_allclose(flows, returns, atol=1e-9)
        np.testing.assert_allclose(found.multipliers * (cmdp.threshold - found.costs), 0, atol=1e-6)
        dual = dual_function(cmdp, found.multipliers)
        assert dual.lower <= dual.upper
        assert dual.upper == pytest.approx(found.upper, abs=1e-7)


def test_the_two_methods_agree_on_a_model_that_is_kept_sparse():
    cmdp = binding(3, m=2, S=150, b=3, gamma=0.8, concentration=1.0)
    one, two = (solve_constrained(cmdp, method=method) for method in METHODS)
    assert one.value == pytest.approx(two.value, abs=1e-6)
    assert (two.violation <= 1e-7 * cmdp.steps).all()


@pytest.mark.parametrize("build", [binding, episodic])
def test_the_mixture_of_deterministic_policies_has_the_same_returns(build):
    cmdp = build(3, m=2)
    found = solve_constrained(cmdp, method="linear-programming")
    mixture = deterministic_mixture(cmdp, found.occupancy)
    assert len(mixture.weights) <= cmdp.constraints + 1
    assert mixture.weights.sum() == pytest.approx(1)
    single = np.array([constrained_returns(cmdp, p)[0] for p in mixture.policies])
    np.testing.assert_allclose(mixture.weights @ single, np.append(found.value, found.costs), atol=1e-8)


@given(seed=seeds, share=st.integers(1, 9))
@settings(max_examples=12, deadline=None)
def test_relabelled_states_change_nothing(seed, share):
    cmdp = binding(seed, share=share / 10)
    order = np.random.default_rng(seed).permutation(cmdp.mdp.states)
    P, R = cmdp.mdp.dense()
    costs = cmdp.cost[0].reshape(R.shape)[order]
    twin = TabularMDP.from_dense(P[order][:, :, order], R[order], cmdp.mdp.gamma, cmdp.mdp.start_distribution[order])
    again = solve_constrained(ConstrainedMDP(twin, costs, cmdp.threshold))
    assert again.value == pytest.approx(solve_constrained(cmdp).value, abs=1e-6)


@given(seed=seeds, power=st.integers(-6, 6))
@settings(max_examples=12, deadline=None)
def test_a_cost_and_its_threshold_in_another_unit_change_the_multiplier_only(seed, power):
    cmdp = binding(seed, m=2)
    unit = np.array([10.0**power, 1.0])
    scaled = cmdp.replace(cost=cmdp.cost * unit[:, None], threshold=cmdp.threshold * unit)
    one, two = solve_constrained(cmdp), solve_constrained(scaled)
    assert one.value == pytest.approx(two.value, abs=2e-6)
    assert dual_function(cmdp, two.multipliers * unit).upper == pytest.approx(one.value, abs=2e-6)


@given(seed=seeds, room=st.floats(1e-6, 1e6))
@settings(max_examples=12, deadline=None)
def test_a_slack_constraint_changes_nothing(seed, room):
    cmdp = binding(seed)
    more = ConstrainedMDP(
        cmdp.mdp,
        np.vstack([cmdp.cost, np.random.default_rng(seed).random((1, cmdp.mdp.pairs))]),
        np.append(cmdp.threshold, cmdp.steps + room),
    )
    one, two = solve_constrained(cmdp), solve_constrained(more)
    assert one.value == pytest.approx(two.value, abs=2e-6)
    assert two.multipliers[1] == pytest.approx(0, abs=1e-9)


@given(seed=seeds)
@settings(max_examples=8, deadline=None)
def test_the_optimum_grows_with_the_threshold_up_to_the_unconstrained_one(seed):
    cmdp = random_costs(S=4, A=3, seed=seed)
    values = [solve_constrained(between_thresholds(cmdp, s)).value for s in (0.1, 0.4, 0.7, 1.0)]
    assert (np.diff(values) >= -2e-6).all()
    assert values[-1] == pytest.approx(cmdp.mdp.start_distribution @ policy_iteration(cmdp.mdp).value, abs=2e-6)


# -- infeasible, unbounded, badly scaled ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_an_infeasible_constraint_is_refused_with_its_certificate(method):
    cmdp = binding(0)
    least = float(cmdp.mdp.start_distribution @ -policy_iteration(cmdp.mdp.replace(reward=-cmdp.cost[0])).value)
    with pytest.raises(
        InfeasibleError, match=r"no policy meets the constraints: cost 0 has the threshold .* at least"
    ) as refusal:
        solve_constrained(cmdp.replace(threshold=least - 0.25), method=method)
    error = refusal.value
    np.testing.assert_array_equal(error.multipliers, [1.0])
    assert error.margin == pytest.approx(0.25, abs=1e-8)
    assert "\n" not in str(error)
    solve_constrained(cmdp.replace(threshold=least + 1e-6), method=method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("build", [binding, episodic])
def test_constraints_that_can_only_be_met_one_at_a_time(method, build):
    cmdp = build(2, m=2)
    alone = [slater_point(ConstrainedMDP(cmdp.mdp, c, 0.0)).upper for c in cmdp.cost]
    tight = cmdp.replace(threshold=-np.array(alone) + 1e-3)
    with pytest.raises(InfeasibleError, match="but the thresholds allow") as refusal:
        solve_constrained(tight, method=method)
    error = refusal.value
    assert (error.multipliers > 0).all()
    assert error.margin > 0
    assert infeasibility_margin(tight, error.multipliers) == pytest.approx(error.margin)
    assert infeasibility_margin(tight, [1.0, 0.0]) < 0
    assert slater_point(tight).upper < 0


def test_a_threshold_below_every_possible_cost_needs_no_program():
    cmdp = random_costs(seed=1)
    with pytest.raises(InfeasibleError, match="its return is at least"):
        solve_constrained(cmdp.replace(threshold=-1e12))
    assert solve_constrained(cmdp.replace(threshold=1e300)).multipliers[0] == 0


def test_a_discount_of_one_is_refused():
    mdp = random_costs(seed=1).mdp.replace(gamma=1.0)
    cmdp = ConstrainedMDP(mdp, np.ones(mdp.pairs), 1.0)
    for ask in (solve_constrained, slater_point, lambda c: dual_function(c, 1.0)):
        with pytest.raises(ModelError, match="a discounted solver needs a discount below 1"):
            ask(cmdp)


@pytest.mark.parametrize("method", METHODS)
def test_costs_of_very_different_sizes(method):
    cmdp = binding(4, m=2)
    unit = np.array([1e9, 1e-9])
    huge = ConstrainedMDP(cmdp.mdp.replace(reward=1e6 * cmdp.mdp.reward), cmdp.cost * unit[:, None], cmdp.threshold * unit)
    found, plain = solve_constrained(huge, method=method), solve_constrained(cmdp, method=method)
    assert found.value == pytest.approx(1e6 * plain.value, rel=1e-6)
    assert (found.violation <= 1e-6 * unit * cmdp.steps).all()
    assert found.upper - found.lower <= 1e-7 * 1e6 * cmdp.steps


def test_a_threshold_finer_than_float64_programs_is_refused():
    cmdp = random_costs(seed=1)
    cost = np.append(1e9, np.full(cmdp.mdp.pairs - 1, 0.0))
    with pytest.raises(ModelError, match="finer than float64 programs resolve"):
        solve_constrained(ConstrainedMDP(cmdp.mdp, cost, 1e-6))
    assert solve_constrained(ConstrainedMDP(cmdp.mdp, cost, 0.0)).costs[0] <= 1e-7


def test_a_cost_with_a_large_offset_is_the_same_problem():
    cmdp = binding(9)
    moved = cmdp.replace(cost=cmdp.cost + 1e3, threshold=cmdp.threshold + 1e3 * cmdp.steps)
    assert solve_constrained(moved).value == pytest.approx(solve_constrained(cmdp).value, abs=1e-6)


@pytest.mark.parametrize(
    ("ask", "error", "sentence"),
    [
        (lambda c: solve_constrained(c, 0.0), ModelError, "the tolerance is 0.0; it must be positive"),
        (lambda c: solve_constrained(c, method="simplex"), InputError, "there is no method 'simplex'"),
        (lambda c: dual_function(c, -1.0), InputError, "a multiplier is finite and not negative, unlike -1.0"),
        (lambda c: dual_function(c, [1.0, 2.0]), InputError, "has 1 constraints, and 2 multipliers were given"),
        (lambda c: dual_function(c, np.nan), InputError, "a multiplier is finite and not negative, unlike nan"),
        (lambda c: infeasibility_margin(c, -1.0), InputError, "a certificate of infeasibility is 1 finite numbers"),
        (lambda c: between_thresholds(c, 1.5), InputError, "the share lies between 0 and 1, not at 1.5"),
        (lambda c: deterministic_mixture(c, np.ones(3)), ModelError, "an occupancy of this model has 12 entries, not 3"),
        (lambda c: deterministic_mixture(c, np.zeros(12)), ModelError, "has the sum 10, not 0"),
        (lambda c: solve_constrained(c.replace(mdp=c.mdp.replace(reward=1e308 * c.mdp.reward))), ModelError, "overflow"),
    ],
)
def test_bad_arguments_are_refused_in_one_sentence(ask, error, sentence):
    with pytest.raises(error, match=sentence) as refusal:
        ask(binding(0))
    assert str(refusal.value).count(". ") == 0


def test_an_array_that_is_no_flow_is_no_mixture():
    cmdp = binding(0)
    with pytest.raises(ModelError, match="is no occupancy of this model"):
        deterministic_mixture(cmdp, np.eye(12)[5] * 10)
