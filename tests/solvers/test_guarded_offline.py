"""Guarded offline policies: by hand, against enumeration of rows of the truth, and the bound under random truths."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdplab.models import ModelError, TabularMDP
from mdplab.models.learned import LearnedModel, leaking_loop, misjudged_model, rival_loops, tempting_gap, unknown_ditch
from mdplab.solvers import solve, uniform_policy
from mdplab.solvers.constrained import InfeasibleError
from mdplab.solvers.guarded_offline import normalised_return, return_error, solve_guarded, worst_truth

seeds = st.integers(0, 2**32 - 1)


def _random_truth(model: LearnedModel, rng: np.random.Generator) -> TabularMDP:
    """A truth that agrees with what is known: mixtures with random rows."""
    P, R = model.mdp.dense()
    rows = rng.dirichlet(np.full(model.mdp.states, 0.3), size=P.shape[:2])
    weight = np.where(model.supported, model.error * rng.random(model.mdp.pairs), 1.0).reshape(R.shape)[:, :, None]
    return TabularMDP.from_dense((1 - weight) * P + weight * rows, R, model.mdp.gamma, start=model.mdp.start)


def test_the_leaking_loop_by_hand():
    """One leak of 1/10 at discount 1/2: the share of time in the sink is .05 / .55."""
    model = leaking_loop(error=0.1, gamma=0.5)
    found = solve_guarded(model, 0.5, 0.5)
    assert (found.reward, found.cost, found.outside) == pytest.approx((1.0, 0.0, 0.0))
    truth = worst_truth(model, found.policy, -model.cost)
    assert normalised_return(truth, found.policy, model.cost) == pytest.approx(0.05 / 0.55)
    assert found.guarantee == pytest.approx(0.05 / 0.55)
    assert return_error(0.5, 0.1) == pytest.approx(0.05 / 0.55)


def test_the_bound_at_its_ends():
    assert return_error(0.0, 1.0, 1.0) == 0.0
    assert return_error(0.9, 0.0) == 0.0
    assert return_error(0.9, 0.0, 1.0) == 1.0
    assert return_error(0.9, 1.0) == pytest.approx(0.9)
    outside = np.linspace(0, 1, 11)
    bounds = np.array([return_error(0.9, 0.01, o) for o in outside])
    assert (np.diff(bounds) >= 0).all()
    published = 0.9 / 0.1 * ((1 - outside) * 0.01 + outside)
    assert (bounds <= published).all()


def test_a_gap_in_the_data_tempts_who_is_not_guarded():
    model = tempting_gap()
    free, guarded = solve_guarded(model, 0.2), solve_guarded(model, 0.2, 0.02)
    assert (free.reward, free.outside) == pytest.approx((1.0, 1.0))
    assert guarded.outside == pytest.approx(0.02, abs=1e-8)
    costs = [normalised_return(worst_truth(model, g.policy, -model.cost), g.policy, model.cost) for g in (free, guarded)]
    assert costs[0] == pytest.approx(0.9)
    assert costs[1] <= 0.2 + return_error(0.9, 0.01, 0.02)
    assert guarded.multipliers[1] > 0


def test_without_bounds_it_is_the_unconstrained_optimum():
    model = misjudged_model(seed=3)
    best = float(solve(model.mdp, tol=1e-10).value @ model.mdp.start_distribution) * (1 - model.mdp.gamma)
    assert solve_guarded(model, 1.0).reward == pytest.approx(best, abs=1e-8)


def test_the_ditch_closes_the_road():
    model = unknown_ditch(error=0.01)
    inside = return_error(0.9, 0.01)
    assert solve_guarded(model, 1.0, 0.1 * inside).reward == pytest.approx(0.1 * (1 - inside), abs=1e-8)
    assert solve_guarded(model, 1.0, 1.001 * inside).reward == pytest.approx(1 - inside, abs=1e-8)
    rivals = solve_guarded(rival_loops(), 1.0, 0.5)
    assert rivals.policy[:2] == pytest.approx([0.0, 1.0], abs=1e-9)


@settings(max_examples=15, deadline=None)
@given(seeds, st.sampled_from([0.01, 0.2]), st.sampled_from([0.5, 0.9]), st.sampled_from([0.02, 0.3]))
def test_random_truths_keep_the_bound_and_the_worst_is_worse(seed, error, gamma, outside):
    model = misjudged_model(S=4, A=2, error=error, gamma=gamma, seed=seed)
    rng = np.random.default_rng(seed)
    found = solve_guarded(model, 0.99, outside)
    assert found.outside <= outside + 1e-7
    assert found.cost <= 0.99 + 1e-7
    worst = normalised_return(worst_truth(model, found.policy, -model.cost), found.policy, model.cost)
    for _ in range(5):
        cost = normalised_return(_random_truth(model, rng), found.policy, model.cost)
        assert abs(cost - found.cost) <= found.guarantee + 1e-9
        assert cost <= worst + 1e-9
    assert worst <= found.cost + found.guarantee + 1e-9


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_the_worst_truth_is_a_possible_one(seed):
    model = misjudged_model(S=4, A=2, error=0.1, seed=seed)
    truth = worst_truth(model, uniform_policy(model.mdp), model.mdp.reward)
    away = np.abs(truth.dense()[0] - model.mdp.dense()[0]).sum(axis=2).ravel() / 2
    assert (away[model.supported] <= 0.1 + 1e-9).all()
    np.testing.assert_array_equal(truth.reward, model.mdp.reward)


def test_constraints_that_no_policy_meets():
    with pytest.raises(InfeasibleError, match="time outside"):
        solve_guarded(leaking_loop(entrance=0.5), 0.5, 0.01)


def test_bad_input_is_refused():
    model = leaking_loop()
    with pytest.raises(ModelError, match=r"the budget and the time outside lie between 0 and 1, not -0\.1 and 1"):
        solve_guarded(model, -0.1)
    with pytest.raises(ModelError, match="the discount lies in"):
        return_error(1.0, 0.1)
    with pytest.raises(ModelError, match=r"the cost of pair 0 is 2\.0; it must lie between 0 and 1\."):
        LearnedModel(model.mdp, np.array([2.0, 0.0, 0.0]), model.supported, 0.1)
    with pytest.raises(ModelError, match="the model has 3 pairs"):
        LearnedModel(model.mdp, np.zeros(2), model.supported, 0.1)
    with pytest.raises(ModelError, match=r"the error of the model is 1\.5"):
        LearnedModel(model.mdp, model.cost, model.supported, 1.5)
    with pytest.raises(ModelError, match=r"the discount is 1\.0; it must be below 1\."):
        LearnedModel(model.mdp.replace(gamma=1.0), model.cost, model.supported, 0.1)
