"""Deterministic models with a violation signal: what they refuse, their views, and what their families build."""

import numpy as np
import pytest

from mdplab.models import ModelError, TabularMDP, garnet, grid_world
from mdplab.models.deterministic import DeterministicMDP, forbidden_prize, random_violations, violation_chain

NEXT, REWARD, SIGNAL = [[0, 1], [1, 1]], [[0.0, 1.0], [0.5, 0.5]], [-1.0, 2.0]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"next_state": [0, 1]}, r"next_state has shape \(2,\); it must be \(S, A\)"),
        ({"next_state": np.zeros((2, 0), dtype=int)}, r"next_state has shape \(2, 0\)"),
        ({"next_state": [[0, 2], [1, 1]]}, "action 1 in state 0 leads to state 2; there are 2 states"),
        ({"next_state": [[0, 1], [-1, 1]]}, "action 0 in state 1 leads to state -1"),
        ({"next_state": [[0.5, 1], [1, 1]]}, "next_state holds 0.5"),
        ({"reward": [[0.0], [1.0]]}, r"the rewards have shape \(2, 1\); they must be \(2, 2\)"),
        ({"reward": [[0.0, np.inf], [0.0, 0.0]]}, r"the reward of \(0, 1\) is inf; it must be finite"),
        ({"violation": [-1.0]}, r"the violation signal has shape \(1,\); it must have 2 entries"),
        ({"violation": [-1.0, np.nan]}, "the violation of 1 is nan; it must be finite"),
        ({"gamma": 1.5}, "the discount is 1.5"),
    ],
)
def test_what_is_no_model_is_refused_in_one_sentence(changes, sentence):
    given = {"next_state": NEXT, "reward": REWARD, "violation": SIGNAL, "gamma": 0.9} | changes
    with pytest.raises(ModelError, match=sentence) as told:
        DeterministicMDP(**given)
    assert str(told.value).count(". ") == 0


def test_the_arrays_are_read_only_and_a_copy_is_checked():
    model = DeterministicMDP(np.array(NEXT), np.array(REWARD), np.array(SIGNAL), 0.9)
    assert (model.states, model.actions, model.violating.tolist()) == (2, 2, [False, True])
    with pytest.raises(ValueError, match="read-only"):
        model.violation[0] = 3.0
    assert model.replace(gamma=0.5).gamma == 0.5
    with pytest.raises(ModelError, match="there are 2 states"):
        model.replace(next_state=[[0, 7], [1, 1]])


def test_there_and_back_through_a_tabular_model():
    model = random_violations(S=6, A=3, seed=4)
    P, R = model.tabular().dense()
    np.testing.assert_array_equal(P.argmax(axis=2), model.next_state)
    np.testing.assert_array_equal(P.sum(axis=2), 1.0)
    np.testing.assert_array_equal(R, model.reward)
    back = DeterministicMDP.from_tabular(model.tabular(), model.violation)
    np.testing.assert_array_equal(back.next_state, model.next_state)
    np.testing.assert_array_equal(back.reward, model.reward)
    assert back.gamma == model.gamma


def test_from_tabular_merges_repeated_next_states_and_refuses_chance():
    split = TabularMDP(
        state_pointer=[0, 1, 2],
        row_pointer=[0, 2, 4],
        next_state=[1, 1, 0, 1],
        probability=[0.5, 0.5, 1.0, 0.0],
        reward=[0.0, 0.0],
        gamma=0.9,
    )
    assert DeterministicMDP.from_tabular(split, SIGNAL).next_state.tolist() == [[1], [0]]
    with pytest.raises(ModelError, match=r"action 0 \(up\) in state 0 may lead to 2 states; it must lead to one"):
        DeterministicMDP.from_tabular(grid_world(map="...\n...\n...", slip=0.2), -np.ones(10))
    assert DeterministicMDP.from_tabular(grid_world(slip=0.0), -np.ones(9)).actions == 4
    with pytest.raises(ModelError, match="the model is ragged"):
        DeterministicMDP.from_tabular(garnet(S=5, A=3, b=1, ragged=True, seed=1), -np.ones(5))


def test_random_violations():
    model = random_violations(S=10, A=3, bad=0.4, magnitude=5.0, reach=2, seed=3)
    assert model.violating.sum() == 4
    assert set(model.violation) == {-1.0, 5.0}
    assert np.abs(model.next_state - np.arange(10)[:, None]).max() <= 2
    assert model.key == (
        "random_violations(A=3, S=10, bad=0.4, gamma=0.9, magnitude=5.0, reach=2, signal='two-valued', seed=3)"
    )
    graded = random_violations(S=10, A=3, bad=0.4, magnitude=5.0, reach=2, signal="graded", seed=3)
    np.testing.assert_array_equal(graded.violating, model.violating)
    assert len(set(graded.violation)) == 10
    assert (np.abs(graded.violation) <= np.abs(model.violation)).all()


def test_the_structured_families():
    assert violation_chain(S=3).next_state.tolist() == [[1], [2], [2]]
    assert violation_chain(S=3, exits="gate").next_state.tolist() == [[1, 0], [2, 2], [2, 2]]
    assert violation_chain(S=3, exits="trapdoors").next_state.tolist() == [[1, 2], [2, 2], [2, 2]]
    prize = forbidden_prize(delay=1)
    assert prize.next_state.tolist() == [[1, 2], [1, 3], [2, 2], [4, 4], [4, 4]]
    assert prize.violating.tolist() == [False, False, False, False, True]


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: random_violations(S=0), "S >= 1 and A >= 1, not S=0"),
        (lambda: random_violations(bad=1.2), "the fraction of bad states is 1.2"),
        (lambda: random_violations(magnitude=0.0), "the magnitude of a violation is 0.0"),
        (lambda: random_violations(reach=-1), "the reach is -1"),
        (lambda: random_violations(signal="loud"), "not 'loud'"),
        (lambda: violation_chain(S=1), "S >= 2, not 1"),
        (lambda: violation_chain(magnitude=-1.0), "the magnitude of a violation is -1.0"),
        (lambda: violation_chain(exits="window"), "not 'window'"),
        (lambda: forbidden_prize(delay=-1), "the delay of the violation is -1"),
        (lambda: forbidden_prize(magnitude=0.0), "the magnitude of a violation is 0.0"),
    ],
)
def test_families_refuse_what_is_out_of_range(build, sentence):
    with pytest.raises(ModelError, match=sentence):
        build()
