"""Sequences of static problems: the rounds by hand, the stall, the repair, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdplab.models import ModelError
from mdplab.models.robust import RobustPolytopeMDP
from mdplab.models.robust_families import random_polytope, stalling_loop
from mdplab.solvers import policy_iteration
from mdplab.solvers.iwocs import static_sequence
from mdplab.solvers.robust import robust_evaluation, robust_policy_iteration


def test_the_stall_by_hand():
    """V_i is 164/25 in both rounds, the policy (1, 0, 0) is worth 809/190, the same worst kernel comes back."""
    run = static_sequence(stalling_loop(), 1e-9)
    assert run.outcome == "stalled"
    assert run.upper == pytest.approx([164 / 25] * 2, abs=1e-9)
    assert run.lower == pytest.approx([809 / 190] * 2, abs=1e-9)
    assert (run.policies % 2).tolist() == [[1, 0, 0]] * 2
    assert run.kernels.tolist() == [[[0, 0]] * 3, [[1, 0], [0, 0], [1, 1]], [[1, 0], [0, 0], [1, 1]]]
    assert run.gap == pytest.approx(164 / 25 - 809 / 190, abs=1e-9)


def test_the_repair_by_hand():
    """The hull of the two kernels holds the worst rows of the robust policy, worth 1619/271."""
    run = static_sequence(stalling_loop(), 1e-9, repaired=True)
    assert run.outcome == "closed"
    assert run.upper == pytest.approx([164 / 25, 1619 / 271], abs=1e-9)
    assert run.lower[-1] == pytest.approx(1619 / 271, abs=1e-9)
    assert (run.policies[-1] % 2).tolist() == [1, 0, 1]


def test_one_vertex_closes_at_once():
    """Without uncertainty the first static problem is the whole problem."""
    model = random_polytope(K=1, seed=3)
    run = static_sequence(model, 1e-8)
    static = policy_iteration(model.kernel(np.zeros((4, 2), dtype=int)))
    assert (run.outcome, len(run.upper)) == ("closed", 1)
    assert run.upper[0] == pytest.approx(static.value.mean(), abs=1e-7)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.booleans(), st.sampled_from([0.0, 0.3]))
def test_rounds_do_what_they_say(seed, repaired, concentration):
    """Bounds, policies and kernels of every round belong together, and the start law weights them."""
    model = random_polytope(S=3, A=2, K=2, concentration=concentration, gamma=0.8, seed=seed)
    law = np.random.default_rng(seed).dirichlet(np.ones(3))
    run = static_sequence(model, start=law, repaired=repaired)
    optimum = robust_policy_iteration(model)
    assert len(run.kernels) == len(run.upper) + 1
    for upper, lower, policy, kernel in zip(run.upper, run.lower, run.policies, run.kernels[1:]):
        found = robust_evaluation(model, policy)
        assert lower == pytest.approx(law @ found.value, abs=1e-6)
        assert lower <= law @ optimum.upper
        assert upper >= law @ optimum.lower
        static = policy_iteration(model.kernel(kernel).keep_pairs(np.isin(np.arange(6), policy)))
        assert law @ static.value == pytest.approx(lower, abs=1e-6)
    if repaired:
        assert run.outcome == "closed"
        assert run.gap <= 1e-6


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 9))
def test_scaling_rewards_scales_the_bounds(seed, factor):
    """The sequence is the same with all rewards multiplied."""
    model = random_polytope(S=3, A=2, K=2, gamma=0.8, seed=seed)
    larger = RobustPolytopeMDP(model.vertices, factor * model.reward, 0.8)
    first, second = static_sequence(model, 1e-7), static_sequence(larger, factor * 1e-7)
    assert np.allclose(factor * first.upper, second.upper, atol=1e-5)
    assert np.allclose(factor * first.lower, second.lower, atol=1e-5)


def test_bad_input_is_refused():
    """One sentence each."""
    model = stalling_loop()
    with pytest.raises(ModelError, match="the accuracy asked for is 0; it must be positive"):
        static_sequence(model, 0)
    with pytest.raises(ModelError, match="the choice names vertex 2; there are 2"):
        static_sequence(model, first=np.full((3, 2), 2))
    with pytest.raises(ModelError, match="a discounted solver needs a discount below 1"):
        static_sequence(stalling_loop(gamma=1.0))
    with pytest.raises(ModelError, match="a start distribution of this model has shape"):
        static_sequence(model, start=np.ones(2) / 2)
    with pytest.raises(ModelError, match="not within 1e-06 after 1 rounds"):
        static_sequence(model, repaired=True, max_rounds=1)
