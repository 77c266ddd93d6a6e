"""Constrained models: shapes, sentences of refusal, constraints from below."""

import numpy as np
import pytest

from mdplab.models import ConstrainedMDP, EpisodicMDP, ModelError, TabularMDP, random_costs
from mdplab.models.random_mdps import garnet

MDP = TabularMDP.from_dense(np.full((2, 3, 2), 0.5), np.zeros((2, 3)), 0.9)
RAGGED = garnet(S=4, A=3, ragged=True, seed=1)
EPISODIC = EpisodicMDP(np.full((2, 3, 2), 0.5), np.zeros((2, 3)), horizon=4)


@pytest.mark.parametrize("shape", [(2, 6), (2, 2, 3)])
def test_costs_of_a_rectangular_model_come_over_pairs_or_states_and_actions(shape):
    given = np.arange(12.0)
    model = ConstrainedMDP(MDP, given.reshape(shape), [1.0, 2.0])
    assert model.cost.shape == (2, 6)
    np.testing.assert_array_equal(model.cost.ravel(), given)
    assert model.constraints == 2
    assert model.steps == pytest.approx(10)


def test_a_single_cost_needs_no_axis_of_its_own():
    assert ConstrainedMDP(MDP, np.ones(6), 1.0).cost.shape == (1, 6)
    assert ConstrainedMDP(MDP, np.ones((2, 3)), 1.0).cost.shape == (1, 6)
    assert ConstrainedMDP(EPISODIC, np.ones((2, 3)), 1.0).cost.shape == (1, 4, 2, 3)
    assert ConstrainedMDP(EPISODIC, np.ones((4, 2, 3)), 1.0).cost.shape == (1, 4, 2, 3)


def test_costs_that_are_the_same_at_every_step_are_repeated():
    model = ConstrainedMDP(EPISODIC, np.arange(12.0).reshape(2, 2, 3), [1.0, 1.0])
    assert model.steps == 4
    for step in range(4):
        np.testing.assert_array_equal(model.cost[:, step].ravel(), np.arange(12.0))


def test_arrays_are_read_only_and_replace_drops_the_key():
    model = random_costs(m=2, seed=3)
    assert model.key == random_costs(m=2, seed=3).key
    with pytest.raises(ValueError, match="read-only"):
        model.cost[0, 0] = 1.0
    changed = model.replace(threshold=[1.0, 2.0])
    assert changed.key is None
    assert changed.mdp is model.mdp


def test_constraints_from_below_are_those_of_the_negatives():
    model = ConstrainedMDP.at_least(MDP, np.arange(6.0), 3.0, ("income",))
    np.testing.assert_array_equal(model.cost, -np.arange(6.0)[None])
    np.testing.assert_array_equal(model.threshold, [-3.0])
    assert model.cost_name(0) == "cost 0 (income)"


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: ConstrainedMDP("walk", np.ones(6), 1.0), "made of a TabularMDP or an EpisodicMDP, not of a str"),
        (
            lambda: ConstrainedMDP(MDP, np.ones(5), 1.0),
            r"the costs have shape \(5,\); with 1 threshold they must have shape \(1, 6\)",
        ),
        (lambda: ConstrainedMDP(MDP, np.ones(6), [1.0, 2.0]), r"with 2 thresholds they must have shape \(2, 6\)"),
        (lambda: ConstrainedMDP(RAGGED, np.ones((1, 4, 3)), 1.0), r"the costs have shape \(1, 4, 3\)"),
        (lambda: ConstrainedMDP(EPISODIC, np.ones((3, 2, 3)), 1.0), r"\(1, 4, 2, 3\) or \(1, 2, 3\)"),
        (lambda: ConstrainedMDP(MDP, np.ones((0, 6)), []), r"the thresholds have shape \(0,\)"),
        (lambda: ConstrainedMDP(MDP, np.ones(6), np.nan), "the threshold of cost 0 is nan; it must be finite"),
        (lambda: ConstrainedMDP(MDP, np.ones(6), np.inf), "the threshold of cost 0 is inf; it must be finite"),
        (lambda: ConstrainedMDP(MDP, [0, 0, 0, 0, np.nan, 0], 1.0), "cost 0 of state 1, action 1 is nan"),
        (
            lambda: ConstrainedMDP(EPISODIC, np.where(np.arange(24) == 7, -np.inf, 0.0).reshape(4, 2, 3), 1.0, ("risk",)),
            r"cost 0 \(risk\) of step 1, state 0, action 1 is -inf",
        ),
        (lambda: ConstrainedMDP(MDP, np.ones(6), 1.0, ("a", "b")), "there are 1 costs but 2 cost names"),
        (lambda: ConstrainedMDP(MDP, ["a"] * 6, 1.0), "cost must hold real numbers"),
        (lambda: random_costs(m=0), "the number of costs is 0"),
        (lambda: random_costs(gamma=1.0), "the discount is 1.0; it must be below 1"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(build, sentence):
    with pytest.raises(ModelError, match=sentence) as refusal:
        build()
    assert str(refusal.value).count(". ") == 0


def test_random_costs_rebuild_from_their_key():
    model = random_costs(S=4, A=2, m=2, b=2, ragged=True, seed=7)
    again = random_costs(S=4, A=2, m=2, b=2, ragged=True, seed=7)
    np.testing.assert_array_equal(model.cost, again.cost)
    np.testing.assert_array_equal(model.mdp.probability, again.mdp.probability)
    assert "seed=7" in model.key
