"""Several trust regions: against cvxpy, closed forms of one region, and weak duality."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from bandits.preference.soups import soup
from bandits.preference.trust_regions import (
    TrustRegions,
    dual_value,
    feasibility_margin,
    geometric_tilt,
    random_trust_regions,
    solve_trust_regions,
)
from theory.divergences import kl
from theory.errors import InputError
from theory.tilts import log_tilt

seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("seed", range(6))
def test_optimum_is_that_of_a_conic_solver(seed):
    problem = random_trust_regions(K=4, references=1 + seed % 3, seed=seed)
    found = solve_trust_regions(problem)
    p = cp.Variable(4)
    far = [cp.sum(cp.kl_div(p, np.exp(q))) <= e for q, e in zip(problem.log_references, problem.radii)]
    best = cp.Problem(cp.Maximize(problem.advantage @ p), [cp.sum(p) == 1, *far]).solve(solver=cp.CLARABEL)
    assert found.value == pytest.approx(best, abs=1e-6)
    assert (kl(found.log_policy, problem.log_references, log=True) < problem.radii).all()
    assert 0 <= found.width <= 1e-10 * np.ptp(problem.advantage)


def test_one_region_is_a_tilt_whose_temperature_exhausts_it():
    reference, advantage = np.log([0.5, 0.3, 0.2]), np.array([0.0, 1.0, 2.0])
    found = solve_trust_regions(TrustRegions(advantage, reference[None], np.array([0.2])))
    beta = brentq(lambda b: kl(log_tilt(reference, advantage, b), reference, log=True) - 0.2, 0.05, 50)
    assert found.multipliers[0] == pytest.approx(beta, rel=1e-6)
    np.testing.assert_allclose(found.log_policy, log_tilt(reference, advantage, beta), atol=1e-6)


def test_a_best_response_within_all_regions_is_the_limit_without_multipliers():
    problem = TrustRegions([0.0, 1.0], np.log([[0.5, 0.5], [0.4, 0.6]]), [1.0, 1.0])
    found = solve_trust_regions(problem)
    assert found.value == pytest.approx(1.0, abs=1e-9)
    assert found.multipliers.max() < 1e-8


@settings(max_examples=25)
@given(seeds)
def test_the_dual_bounds_every_policy_in_the_regions(seed):
    problem = random_trust_regions(seed=seed)
    rng = np.random.default_rng(seed)
    weights = rng.exponential(size=2)
    inside = soup(problem.log_references)
    assert dual_value(problem, weights) >= np.exp(inside) @ problem.advantage - 1e-12
    tilt = geometric_tilt(problem, weights)
    slack = problem.radii - kl(tilt, problem.log_references, log=True)
    for i in range(2):
        step = 1e-6 * np.eye(2)[i]
        slope = (dual_value(problem, weights + step) - dual_value(problem, weights - step)) / 2e-6
        assert slope == pytest.approx(slack[i], abs=1e-6 * (1 + 1 / weights.sum()))
    share = rng.dirichlet(np.ones(2))
    assert feasibility_margin(problem, share) >= (problem.radii - kl(inside, problem.log_references, log=True)).min() - 1e-12


def test_bad_input_gets_one_sentence():
    apart = np.log([[0.9, 0.1], [0.1, 0.9]])
    with pytest.raises(InputError, match="no policy lies in all trust regions"):
        solve_trust_regions(TrustRegions([0.0, 1.0], apart, [0.1, 0.1]))
    fine = TrustRegions([0.0, 1.0], apart, [2.0, 2.0])
    with pytest.raises(InputError, match="the tolerance is positive"):
        solve_trust_regions(fine, tol=0.0)
    with pytest.raises(InputError, match="2 multipliers"):
        dual_value(fine, [0.0, 0.0])
    with pytest.raises(InputError, match="full support"):
        TrustRegions([0.0, 1.0], [[0.0, -np.inf]], [1.0])
    with pytest.raises(InputError, match="sum to"):
        TrustRegions([0.0, 1.0], [[0.0, 0.0]], [1.0])
    with pytest.raises(InputError, match="radii are at least 0"):
        TrustRegions([0.0, 1.0], apart, [-1.0, 1.0])
    with pytest.raises(InputError, match="are needed"):
        TrustRegions([0.0, 1.0], apart, [1.0])
