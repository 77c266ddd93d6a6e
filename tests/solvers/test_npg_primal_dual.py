"""Primal-dual methods for constrained models: one step by hand, their limits, their rates, bad input."""

import numpy as np
import pytest

from mdplab.models import ConstrainedMDP, EpisodicMDP, ModelError, random_costs
from mdplab.solvers import natural_policy_gradient, solve_constrained
from mdplab.solvers.constrained import between_thresholds, constrained_returns, dual_function, slater_point
from mdplab.solvers.npg_primal_dual import dual_descent, npg_primal_dual
from theory.bounds.primal_dual import (
    dual_descent_gap_bound,
    dual_descent_violation_bound,
    multiplier_bound,
    npg_gap_bound,
    npg_sharp_gap_bound,
    npg_sharp_violation_bound,
    npg_violation_bound,
)
from theory.errors import InputError

TIGHT = between_thresholds(random_costs(S=4, A=3, m=2, seed=5), 0.5)
MODEL = TIGHT.replace(threshold=TIGHT.threshold + 0.1)


def test_multipliers_frozen_at_zero_leave_natural_policy_gradient():
    run = npg_primal_dual(MODEL, 0.3, 0.0, 20, cap=5.0)
    plain = natural_policy_gradient(MODEL.mdp, 0.3, 19)
    np.testing.assert_allclose(run.policies, plain.policies, atol=1e-10)
    np.testing.assert_allclose(run.rewards, plain.values @ MODEL.mdp.start_distribution, atol=1e-9)
    assert (run.multipliers == 0).all()


def test_each_step_is_natural_policy_gradient_of_the_lagrangian_and_a_clipped_subgradient():
    run = npg_primal_dual(MODEL, 0.5, 0.4, 6, cap=0.7, multipliers=[0.1, 0.0])
    for t in range(5):
        lagrangian = MODEL.mdp.replace(reward=MODEL.mdp.reward - run.multipliers[t] @ MODEL.cost)
        step = natural_policy_gradient(lagrangian, 0.5, 1, start=run.policies[t])
        np.testing.assert_allclose(run.policies[t + 1], step.policies[1], atol=1e-10)
        returns, _ = constrained_returns(MODEL, run.policies[t])
        np.testing.assert_allclose(np.append(run.rewards[t], run.costs[t]), returns, atol=1e-9)
        moved = np.clip(run.multipliers[t] + 0.4 * (returns[1:] - MODEL.threshold), 0, 0.7)
        np.testing.assert_allclose(run.multipliers[t + 1], moved, atol=1e-9)


def test_sparse_and_dense_models_take_the_same_steps(monkeypatch):
    dense = npg_primal_dual(MODEL, 0.5, 0.1, 5, cap=1.0)
    monkeypatch.setattr("mdplab.solvers.evaluation.DENSE_STATES", 1)
    fresh = MODEL.replace(mdp=MODEL.mdp.replace())
    np.testing.assert_allclose(npg_primal_dual(fresh, 0.5, 0.1, 5, cap=1.0).policies, dense.policies, atol=1e-9)


def test_dual_descent_follows_subgradients_and_its_average_converges():
    run = dual_descent(MODEL, 0.05, 150)
    for t in (0, 7):
        point = dual_function(MODEL, run.multipliers[t])
        np.testing.assert_array_equal(run.policies[t], point.policy)
        np.testing.assert_allclose(run.multipliers[t + 1], np.maximum(run.multipliers[t] - 0.05 * point.subgradient, 0))
    optimum = solve_constrained(MODEL)
    bound = dual_descent_violation_bound(0.05, 15.0, 150, float(np.linalg.norm(optimum.multipliers)))
    assert run.average_rewards[-1] >= optimum.value - dual_descent_gap_bound(0.05, 3.0)
    assert (run.average_costs[-1] <= MODEL.threshold + bound).all()
    assert (run.average_costs[-1] <= run.average_costs[20]).all()
    np.testing.assert_allclose(run.average_costs[-1], run.costs.mean(axis=0))


def test_dual_descent_solves_episodic_models():
    rng = np.random.default_rng(0)
    mdp = EpisodicMDP(rng.dirichlet(np.ones(3), size=(4, 3, 2)), rng.random((4, 3, 2)))
    cmdp = between_thresholds(ConstrainedMDP(mdp, rng.random((4, 3, 2)), 4.0), 0.5)
    run = dual_descent(cmdp, 0.02, 300)
    assert run.policies.shape == (300, 4, 3)
    assert run.average_rewards[-1] == pytest.approx(solve_constrained(cmdp).value, abs=0.05)


def test_bounds_are_what_they_say():
    assert npg_gap_bound(0.5, 100) == pytest.approx(7 / (0.25 * 10))
    assert npg_violation_bound(0.5, 100, 2.0) == pytest.approx(9 / 2.5)
    assert multiplier_bound(0.9, 2.0) == pytest.approx(5)
    assert dual_descent_gap_bound(0.1, 3.0) == pytest.approx(0.45)
    assert dual_descent_violation_bound(0.5, 3.0, 4, 0.0) == pytest.approx(1.5)
    # M = 2, D = 1.5: (1/2 + 4)/10 + 0.1 (4 * 1.5 + 1.125)
    assert npg_sharp_gap_bound(0.5, 10, 0.5, 2.0, 0.1, 1.0) == pytest.approx(0.45 + 0.7125)


def test_the_sharp_violation_is_the_least_over_multipliers():
    tried = np.linspace(0.5, 4.0, 200_001)[1:]
    curve = (0.3 + tried**2 / (2 * 0.1 * 50)) / (tried - 0.5)
    assert npg_sharp_violation_bound(0.3, 50, 0.1, 0.5, 4.0) == pytest.approx(curve.min(), abs=1e-8)
    assert npg_sharp_violation_bound(0.3, 50, 0.1, 0.5, 0.8) == pytest.approx((0.3 + 0.64 / 10) / 0.3)


def test_the_sharp_bound_is_below_the_papers_at_its_steps():
    gamma, T = 0.9, 400
    slack = slater_point(MODEL).lower
    assert slack > 0
    sharp = max(npg_sharp_gap_bound(gamma, T, d, 2 * np.log(3), 2 * (1 - gamma) / T**0.5, np.log(3)) for d in (0.0, 3.0, 10.0))
    assert sharp < 4.5 / 7 * npg_gap_bound(gamma, T)


@pytest.mark.parametrize(
    ("ask", "error", "sentence"),
    [
        (lambda: npg_primal_dual(MODEL, 0.0, 0.1, 5, cap=1.0), InputError, "a step size must be positive and finite, not 0.0"),
        (lambda: npg_primal_dual(MODEL, 1.0, -0.1, 5, cap=1.0), InputError, "the step of the multipliers is -0.1"),
        (lambda: npg_primal_dual(MODEL, 1.0, 0.1, 0, cap=1.0), InputError, "the number of iterations is 0"),
        (lambda: npg_primal_dual(MODEL, 1.0, 0.1, 5, cap=-1.0), InputError, "the cap of the multipliers is -1.0"),
        (
            lambda: npg_primal_dual(MODEL, 1.0, 0.1, 5, cap=1.0, multipliers=[1.0]),
            InputError,
            "the first multipliers are 2 finite",
        ),
        (lambda: dual_descent(MODEL, np.inf, 5), InputError, "a step size must be positive and finite"),
        (lambda: npg_gap_bound(1.0, 5), InputError, "the discount is 1.0"),
        (lambda: npg_gap_bound(0.5, 0), InputError, "at least one iteration, not 0"),
        (lambda: npg_violation_bound(0.5, 5, 0.0), InputError, "the slack of the constraint is 0.0"),
        (lambda: multiplier_bound(0.5, -1.0), InputError, "the slack of the constraint is -1.0"),
        (lambda: dual_descent_gap_bound(0.0, 1.0), InputError, "a step is positive"),
        (lambda: dual_descent_violation_bound(1.0, 1.0, 0, 1.0), InputError, "at least one iteration"),
        (lambda: npg_sharp_gap_bound(0.5, 5, 1.0, 0.0, 1.0, 1.0), InputError, "a step of policies is positive"),
        (lambda: npg_sharp_violation_bound(1.0, 5, 1.0, 2.0, 2.0), InputError, "their cap above the optimal one"),
    ],
)
def test_bad_input_is_refused(ask, error, sentence):
    with pytest.raises(error, match=sentence):
        ask()


def test_an_episodic_model_is_refused():
    mdp = EpisodicMDP(np.full((2, 2, 2), 0.5), np.zeros((2, 2)), horizon=3)
    with pytest.raises(ModelError, match="needs a discounted model, and this one is episodic"):
        npg_primal_dual(ConstrainedMDP(mdp, np.ones((2, 2)), 1.0), 1.0, 0.1, 5, cap=1.0)
