"""What a TabularMDP accepts, what it refuses and how it says so."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_strategies import same_tabular, tabular_models
from scipy.sparse import csr_array

from mdplab.models import ModelError, TabularMDP
from mdplab.models.validation import ROUNDING_UNITS

GOOD = {
    "state_pointer": [0, 2, 3],
    "row_pointer": [0, 2, 3, 4],
    "next_state": [0, 1, 1, 0],
    "probability": [0.25, 0.75, 1.0, 1.0],
    "reward": [1.0, 2.0, 3.0],
    "gamma": 0.9,
    "state_names": ("up", "down"),
    "action_names": ("go", "stop"),
}


def test_the_properties_of_a_small_ragged_model() -> None:
    mdp = TabularMDP(**GOOD)
    assert (mdp.states, mdp.pairs, mdp.transitions, mdp.max_actions, mdp.is_rectangular) == (2, 3, 4, 2, False)
    assert mdp.pair_state.tolist() == [0, 0, 1]
    assert mdp.action.tolist() == [0, 1, 0]
    assert mdp.start_distribution.tolist() == [0.5, 0.5]
    assert mdp.transition_matrix().toarray().tolist() == [[0.25, 0.75], [0, 1], [1, 0]]
    assert mdp.next_state.dtype == np.int32
    assert mdp.row_pointer.dtype == np.int64
    with pytest.raises(ModelError, match="ragged"):
        mdp.dense()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"probability": [0.25, 0.65, 1, 1]},
            "the probabilities of state 0 (up), action 0 (go) sum to 0.9, which is -0.1 off 1.",
        ),
        (
            {"probability": [0.25, 0.75, 1, 1.5]},
            "the probabilities of state 1 (down), action 0 (go) sum to 1.5, which is +0.5 off 1.",
        ),
        ({"row_pointer": [0, 2, 4, 4]}, "the probabilities of state 0 (up), action 1 (stop) sum to 2, which is +1 off 1."),
        ({"probability": [1.25, -0.25, 1, 1]}, "state 0 (up), action 0 (go) leads to state 1 (down) with probability -0.25."),
        ({"probability": [0.25, np.nan, 1, 1]}, "state 0 (up), action 0 (go) leads to state 1 (down) with probability nan."),
        ({"probability": [0.25, 0.75, 1]}, "there are 4 next states but 3 probabilities."),
        ({"reward": [1, np.nan, 3]}, "the reward of state 0 (up), action 1 (stop) is nan."),
        ({"reward": [1, 2, np.inf]}, "the reward of state 1 (down), action 0 (go) is inf."),
        ({"reward": [1, 2]}, "there are 3 state-action pairs but 2 rewards."),
        ({"next_state": [0, 1, 2, 0]}, "state 0 (up), action 1 (stop) leads to state 2, but the states are 0 to 1."),
        ({"next_state": [0, 1, 1, -1]}, "state 1 (down), action 0 (go) leads to state -1, but the states are 0 to 1."),
        ({"next_state": [0, 0.5, 1, 0]}, "next_state holds 0.5, which is no int32."),
        ({"next_state": [0, 1, 2**40, 0]}, "next_state holds 1099511627776, which is no int32."),
        ({"state_pointer": [0, 3, 3]}, "state 1 (down) has no action."),
        ({"state_pointer": [0, 0, 3]}, "state 0 (up) has no action."),
        (
            {"state_pointer": [0, 2, 4]},
            "state_pointer must rise from 0 to the number of state-action pairs, 3; it runs from 0 to 4.",
        ),
        ({"state_pointer": [0, 4, 3]}, "state_pointer falls from 4 to 3 at position 2; it must rise."),
        ({"state_pointer": [0]}, "the model has no state."),
        ({"row_pointer": [0, 3, 2, 4]}, "row_pointer falls from 3 to 2 at position 2; it must rise."),
        ({"row_pointer": [1, 2, 3, 4]}, "row_pointer must rise from 0 to the number of transitions, 4; it runs from 1 to 4."),
        ({"gamma": 1.5}, "the discount is 1.5; it must lie between 0 and 1."),
        ({"gamma": float("nan")}, "the discount is nan; it must lie between 0 and 1."),
        ({"gamma": "high"}, "the discount is 'high'; it must be a number between 0 and 1."),
        ({"start": [0.5, 0.6]}, "the start distribution sums to 1.1, which is +0.1 off 1."),
        ({"start": [1.5, -0.5]}, "the start distribution gives state 1 the probability -0.5."),
        ({"start": [1.0]}, "the start distribution has shape (1,); it must have 2 entries, one for each state."),
        ({"state_names": ("one",)}, "there are 2 states but 1 state names."),
        ({"action_names": ("go",)}, "there are 1 action names, but state 0 (up) has an action labelled 1."),
        ({"action": [1, 0, 0]}, "the action labels of state 0 (up) must rise from 0 upwards; 0 is out of order."),
        ({"action": [0, 1, -1]}, "the action labels of state 1 (down) must rise from 0 upwards; -1 is out of order."),
        ({"action": [0, 1]}, "there are 3 state-action pairs but 2 action labels."),
        ({"reward": [[1, 2, 3]]}, "reward has 2 dimensions; it must have one."),
        ({"reward": ["a", "b", "c"]}, "reward must hold real numbers, not <U1."),
        ({"reward": [1j, 2, 3]}, "reward must hold real numbers, not complex128."),
        ({"reward": [[1], [2, 3]]}, "reward is not an array of numbers"),
    ],
)
def test_bad_input_gets_one_sentence(change: dict, sentence: str) -> None:
    with pytest.raises(ModelError) as told:
        TabularMDP(**GOOD | change)
    assert str(told.value).startswith(sentence)


@pytest.mark.parametrize("terms", [3, 10, 1000, 100_000])
def test_rows_that_are_rounded_to_float64_pass_and_worse_ones_do_not(terms: int) -> None:
    row = np.full(terms, 1 / terms)
    model = {"state_pointer": [0, 1], "row_pointer": [0, terms], "next_state": np.zeros(terms), "reward": [0], "gamma": 0.5}
    TabularMDP(**model, probability=row)
    row[0] += 2 * ROUNDING_UNITS * (terms + 1)
    with pytest.raises(ModelError, match="off 1"):
        TabularMDP(**model, probability=row)


def test_arrays_are_read_only_and_those_of_the_caller_are_not() -> None:
    reward = np.array([1.0, 2.0, 3.0])
    mdp = TabularMDP(**GOOD | {"reward": reward})
    assert np.shares_memory(mdp.reward, reward)
    assert reward.flags.writeable
    for name in ("reward", "probability", "next_state", "state_pointer", "row_pointer", "action", "pair_state"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(mdp, name)[0] = 0
    with pytest.raises(AttributeError):
        mdp.gamma = 0.5  # type: ignore[misc]


def test_replace_checks_again_and_drops_the_key() -> None:
    mdp = TabularMDP(**GOOD, key="made(seed=1)")
    assert mdp.replace(gamma=0.5).key is None
    assert mdp.replace(gamma=0.5).gamma == 0.5
    assert mdp.with_key("other()").key == "other()"
    assert mdp.key == "made(seed=1)"
    with pytest.raises(ModelError, match="discount"):
        mdp.replace(gamma=-1)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 3))
def test_dense_and_sparse_builders_agree(seed: int, S: int, A: int) -> None:
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.full(S, 0.3), size=(S, A))
    P[P < 0.05] = 0
    P /= P.sum(axis=2, keepdims=True)
    R3 = rng.normal(size=(S, A, S))
    R = (P * R3).sum(axis=2)
    start = rng.dirichlet(np.ones(S))
    dense = TabularMDP.from_dense(P, R, 0.9, start=start)
    assert np.array_equal(dense.dense()[0], P)
    assert np.array_equal(dense.dense()[1], R)
    assert (dense.probability > 0).all()
    one = TabularMDP.from_sparse(csr_array(P.reshape(S * A, S)), R.ravel(), 0.9, start=start)
    owned = TabularMDP.from_sparse(csr_array(P.reshape(S * A, S)), R.ravel(), 0.9, np.repeat(np.arange(S), A), start=start)
    many = TabularMDP.from_sparse([csr_array(P[:, a]) for a in range(A)], R, 0.9, start=start)
    for other in (one, owned, many):
        assert same_tabular(dense, other)
    averaged = TabularMDP.from_dense(P, np.where(P == 0, np.nan, R3), 0.9, start=start)
    assert np.array_equal(averaged.reward, np.where(P == 0, 0, P * R3).sum(axis=2).ravel())


def test_from_sparse_leaves_the_callers_matrix_alone() -> None:
    given_matrix = csr_array((np.array([0.5, 0.5, 0.0, 1.0]), np.array([0, 0, 1, 1]), np.array([0, 3, 4])), shape=(2, 2))
    mdp = TabularMDP.from_sparse(given_matrix, [0.0, 1.0], 0.9)
    assert mdp.transitions == 2
    assert given_matrix.nnz == 4


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: TabularMDP.from_dense(np.ones((2, 2)), np.ones((2, 2)), 0.9), "P has shape (2, 2); it must be (S, A, S)."),
        (
            lambda: TabularMDP.from_dense(np.ones((1, 1, 1)), np.ones((2, 1)), 0.9),
            "R has shape (2, 1); it must be (1, 1) or (1, 1, 1) to go with P.",
        ),
        (
            lambda: TabularMDP.from_dense([[[0.5, 0.4]], [[0, 1]]], np.ones((2, 1)), 0.9),
            "the probabilities of state 0, action 0 sum to 0.9, which is -0.1 off 1.",
        ),
        (
            lambda: TabularMDP.from_sparse(csr_array(np.ones((3, 2)) / 2), np.ones(3), 0.9),
            "3 rows cannot be shared evenly by 2 states; say state_of_pair.",
        ),
        (
            lambda: TabularMDP.from_sparse(csr_array(np.ones((3, 2)) / 2), np.ones(3), 0.9, [0, 1, 0]),
            "state_of_pair must hold 3 nondecreasing state numbers below 2.",
        ),
        (
            lambda: TabularMDP.from_sparse([np.eye(2), np.eye(3)], np.ones((2, 2)), 0.9),
            "the transition matrices have the shapes [(2, 2), (3, 3)]; each must be (S, S).",
        ),
        (
            lambda: TabularMDP.from_sparse([np.eye(2)], np.ones((2, 2)), 0.9),
            "the rewards have shape (2, 2); they must be (2, 1) to go with 1 matrices.",
        ),
        (lambda: TabularMDP.from_sparse("no", np.ones(2), 0.9), "the transitions cannot be read as a sparse matrix"),
    ],
)
def test_builders_refuse_shapes_that_do_not_fit(build, sentence: str) -> None:
    with pytest.raises(ModelError, match="^" + re.escape(sentence)):
        build()


@settings(deadline=None, max_examples=30)
@given(tabular_models())
def test_transition_matrix_holds_every_transition(mdp: TabularMDP) -> None:
    assert np.allclose(mdp.transition_matrix().toarray().sum(axis=1), 1)
    if mdp.is_rectangular:
        P, R = mdp.dense()
        assert np.allclose(P.reshape(mdp.pairs, mdp.states), mdp.transition_matrix().toarray(), rtol=1e-15, atol=0)
        assert np.array_equal(R.ravel(), mdp.reward)


def test_keeping_some_pairs() -> None:
    mdp = TabularMDP.from_dense(np.full((2, 3, 2), 0.5), np.arange(6.0).reshape(2, 3), 0.9)
    smaller = mdp.keep_pairs([True, False, True, False, False, True])
    assert smaller.reward.tolist() == [0.0, 2.0, 5.0]
    assert smaller.action is not None
    assert smaller.action.tolist() == [0, 2, 2]
    assert smaller.pair_state.tolist() == [0, 0, 1]
    assert smaller.transitions == 6
    assert not smaller.is_rectangular
    with pytest.raises(ModelError, match="state 1"):
        mdp.keep_pairs([True, True, True, False, False, False])
    with pytest.raises(ModelError, match="shape"):
        mdp.keep_pairs([True])
