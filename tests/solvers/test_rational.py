"""The rational twin: hand-solved models, its own equations, brute force, and both ways of solving linear systems."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import deterministic_policies, discounts, random_episodic, random_mdp, random_policy, seeds

from mdplab.models import ModelError, TabularMDP
from mdplab.solvers import rational
from mdplab.solvers.rational import (
    RationalMDP,
    exact_average_reward,
    exact_backward_induction,
    exact_evaluation,
    exact_policy_iteration,
    normalised_fractions,
    rational_twin,
    solve_rational,
)
from theory.errors import InputError

third = Fraction(1, 3)


def hand_model(gamma=Fraction(1, 2)):
    """State 0: stay (reward 1), or go to state 1 with probability 1/3 (reward 0). State 1: stay (reward 2)."""
    rows = (((0, Fraction(1)),), ((0, 2 * third), (1, third)), ((1, Fraction(1)),))
    return RationalMDP(np.array([0, 2, 3]), rows, (Fraction(1), Fraction(0), Fraction(2)), gamma)


def test_a_model_by_hand():
    """gamma = 1/2: V(1) = 4; staying is worth 2, going (1/2)(2/3 V + 4/3) = 1 at its own value: stay."""
    result = exact_policy_iteration(hand_model())
    assert list(result.value) == [2, 4]
    assert list(result.q) == [2, Fraction(4, 3), 4]
    np.testing.assert_array_equal(result.policy, [0, 2])
    assert result.action_gap == Fraction(2, 3)
    assert result.float_distance == 0
    patient = exact_policy_iteration(hand_model(Fraction(9, 10)))
    assert list(patient.value) == [Fraction(15), 20]  # V = .6 V + .3 * 20
    assert exact_evaluation(hand_model(), [Fraction(1, 2), Fraction(1, 2), Fraction(1)]).value[1] == 4


def test_ties_are_ties():
    mdp = TabularMDP.from_dense(np.full((2, 3, 2), 0.5), np.array([[0.1, 0.1, 0.1 - 2.0**-56], [0.3, 0, 0.3]]), 0.7)
    result = exact_policy_iteration(mdp)
    np.testing.assert_array_equal(result.optimal, [True, True, False, True, False, True])
    np.testing.assert_array_equal(result.policy, [0, 3])
    assert result.action_gap == Fraction(0.1) - Fraction(0.1 - 2.0**-56)
    everything = exact_policy_iteration(mdp.replace(reward=np.zeros(6)))
    assert everything.optimal.all()
    assert everything.action_gap is None


@settings(max_examples=40, deadline=None)
@given(seeds, st.booleans())
def test_the_twin_is_the_float_model_but_for_the_largest_entry(seed, ragged):
    mdp = random_mdp(seed, ragged=ragged)
    twin = rational_twin(mdp)
    for n, row in enumerate(twin.rows):
        own = slice(mdp.row_pointer[n], mdp.row_pointer[n + 1])
        floats = dict(zip(mdp.next_state[own].tolist(), mdp.probability[own].tolist()))
        assert sum(p for _, p in row) == 1
        off = [abs(p - Fraction(floats[s])) for s, p in row]
        assert max(off) <= twin.defect <= Fraction(1e-15)
        assert sum(x > 0 for x in off) <= 1
    assert twin.gamma == Fraction(mdp.gamma)
    assert list(twin.reward) == [Fraction(x) for x in mdp.reward.tolist()]


def test_ten_tenths_are_not_one():
    exact, off = normalised_fractions([0.1] * 10)
    assert off == 10 * Fraction(0.1) - 1
    assert off > 0
    assert sum(exact) == 1
    assert exact[1:] == [Fraction(0.1)] * 9
    with pytest.raises(ModelError, match="too far from 1"):
        normalised_fractions([3.0, 3.0, 3.0])


@settings(max_examples=15, deadline=None)
@given(seeds, discounts)
def test_the_optimum_solves_its_equation_and_beats_every_policy(seed, gamma):
    mdp = random_mdp(seed, states=3, actions=3, gamma=gamma, ragged=True)
    twin = rational_twin(mdp)
    result = exact_policy_iteration(mdp)
    for n, row in enumerate(twin.rows):
        assert result.q[n] == twin.reward[n] + twin.gamma * sum(p * result.value[s] for s, p in row)
    for s in range(3):
        assert result.value[s] == max(result.q[mdp.state_pointer[s] : mdp.state_pointer[s + 1]])
    values = [exact_evaluation(mdp, policy).value for policy in deterministic_policies(mdp)]
    assert list(np.max(values, axis=0)) == list(result.value)
    own = exact_evaluation(mdp, result.policy)
    assert list(own.value) == list(result.value)
    assert list(own.q) == list(result.q)
    # without the float guess the answer is the same
    again = exact_policy_iteration(twin)
    assert list(again.value) == list(result.value)
    np.testing.assert_array_equal(again.policy, result.policy)


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_the_distance_to_the_float_model_is_a_bound(seed):
    """The float model itself, rows uncorrected, solved exactly: its value is as near as stated, and not always equal."""
    mdp = random_mdp(seed, gamma=0.99, ragged=True)
    policy = random_policy(mdp, seed)
    twin = rational_twin(mdp)
    rows = tuple(
        tuple(
            (int(mdp.next_state[k]), Fraction(float(mdp.probability[k])))
            for k in range(mdp.row_pointer[n], mdp.row_pointer[n + 1])
        )
        for n in range(mdp.pairs)
    )
    uncorrected = RationalMDP(twin.state_pointer, rows, twin.reward, twin.gamma)
    weights = [Fraction(x) for x in policy.tolist()]
    choices = [[(n, weights[n]) for n in range(mdp.state_pointer[s], mdp.state_pointer[s + 1])] for s in range(mdp.states)]
    numerators, denominator = rational._chain_values(uncorrected, choices)
    result = exact_evaluation(mdp, policy)
    distance = max(abs(Fraction(n, denominator) - v) for n, v in zip(numerators, result.value))
    assert 0 < distance <= result.float_distance
    assert result.float_distance <= Fraction(1, 10**10)


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 6))
def test_both_ways_of_solving_agree(seed, size):
    pytest.importorskip("flint", reason="python-flint is the other way")
    rng = np.random.default_rng(seed)
    matrix = [[int(x) for x in row] for row in rng.integers(-9, 10, size=(size, size))]
    matrix[0][0] = 0  # a pivot that has to be looked for
    right = [int(x) for x in rng.integers(-9, 10, size=size)]
    try:
        numerators, denominator = rational._solve_integers(matrix, right)
    except ZeroDivisionError:
        with pytest.raises(ZeroDivisionError):
            rational._solve_flint(matrix, right)
        assert round(np.linalg.det(np.array(matrix, dtype=float))) == 0
        return
    assert denominator > 0
    for row, entry in zip(matrix, right):
        assert sum(a * n for a, n in zip(row, numerators)) == entry * denominator
    other, other_denominator = rational._solve_flint(matrix, right)
    assert [Fraction(n, denominator) for n in numerators] == [Fraction(n, other_denominator) for n in other]


def test_without_flint_the_answers_are_the_same(monkeypatch):
    mdp = random_mdp(1, states=8, ragged=True)
    with_flint = exact_policy_iteration(mdp)
    monkeypatch.setattr(rational, "flint", None)
    without = exact_policy_iteration(mdp)
    assert list(with_flint.value) == list(without.value)
    numerators, denominator = solve_rational([[Fraction(1, 2), third], [0 * third, -third]], [Fraction(1), Fraction(2)])
    assert [Fraction(n, denominator) for n in numerators] == [6, -6]


def test_an_average_reward_by_hand():
    """State 0 reaches state 1 at rate 1/3 or, at a cost of 1, surely; state 1 pays 2 and falls back at rate 1/2.

    The slow way earns 2 * (1/3) / (1/3 + 1/2) = 4/5, the dear way (2 - 1/2) / (3/2) = 1.
    """
    rows = (((0, 2 * third), (1, third)), ((1, Fraction(1)),), ((0, Fraction(1, 2)), (1, Fraction(1, 2))))
    model = RationalMDP(np.array([0, 2, 3]), rows, (Fraction(0), Fraction(-1), Fraction(2)), Fraction(0))
    result = exact_average_reward(model)
    assert result.gain == 1
    assert list(result.bias) == [0, 2]
    np.testing.assert_array_equal(result.policy, [1, 2])
    dear = RationalMDP(model.state_pointer, rows, (Fraction(0), Fraction(-2), Fraction(2)), Fraction(0))
    assert exact_average_reward(dear).gain == Fraction(4, 5)
    with pytest.raises(InputError, match="recurrent classes"):
        exact_average_reward(hand_model())


def test_fifty_states_take_moments():
    mdp = random_mdp(0, states=50, actions=4, gamma=0.999)
    result = exact_policy_iteration(mdp)
    assert result.iterations <= 3
    assert result.float_distance < Fraction(1, 10**8)


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_exact_backward_induction_solves_its_equations(seed):
    mdp = random_episodic(seed, horizon=3)
    best = exact_backward_induction(mdp)
    policy = np.random.default_rng(seed).dirichlet(np.ones(2), size=(3, 3))
    given_policy = exact_backward_induction(mdp, policy)
    assert (best.value == [*best.q.max(axis=2).tolist(), [Fraction(0)] * 3]).all()
    assert (given_policy.value <= best.value).all()
    greedy = exact_backward_induction(mdp, best.policy)
    assert (greedy.value == best.value).all()


def test_bad_input():
    mdp = random_mdp(0, states=2, actions=2)
    with pytest.raises(ModelError, match="below 1"):
        exact_policy_iteration(mdp.replace(gamma=1.0))
    twin = rational_twin(mdp)
    with pytest.raises(ModelError, match="pair 2 in state 0"):
        exact_evaluation(twin, np.array([2, 2]))
    with pytest.raises(ModelError, match="4 probabilities, not 3"):
        exact_evaluation(twin, [third, third, third])
    with pytest.raises(ModelError, match=r"state 0 sum to 2/3"):
        exact_evaluation(twin, [third, third, third, 2 * third])
    with pytest.raises(ModelError, match=r"pair 1 with probability -1/3"):
        exact_evaluation(twin, [4 * third, -third, third, 2 * third])
    with pytest.raises(ModelError, match="Fractions"):
        exact_evaluation(twin, np.full(4, 0.5))
    with pytest.raises(InputError, match="within 1 iterations"):
        exact_policy_iteration(hand_model(Fraction(9, 10)), max_iterations=1)
