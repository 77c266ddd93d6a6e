"""Disturbed observations: laws of actions against integrals, the attacker's MDP against brute force, families, and what is refused."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from mdplab.models import EpisodicMDP, ModelError, dirichlet_mdp, garnet
from mdplab.models.cheap_talk import CheapTalkMDP
from mdplab.models.state_adversary import (
    SmoothedAgent,
    StateAdversary,
    decision_chain,
    noisy_accumulator,
    one_decision,
    random_smoothed_agent,
)
from mdplab.solvers import evaluate_policy, policy_iteration


def _agent(**changes):
    mdp = EpisodicMDP(np.full((2, 2, 2), 0.5), np.zeros((2, 2)), horizon=2)
    given = {"mdp": mdp, "observation": [0.0, 1.0], "cuts": [0.0], "choice": [0, 1], "sigma": 1.0}
    return SmoothedAgent(**(given | changes))


def test_action_probabilities_are_integrals_of_the_density():
    agent = random_smoothed_agent(S=3, A=3, M=4, sigma=0.7, seed=5)
    edges = np.concatenate(([-np.inf], agent.cuts, [np.inf]))
    for shift in (0.0, -0.4, 1.3):
        law = agent.action_probabilities(shift)
        for s in range(3):
            expected = np.zeros(3)
            for i, a in enumerate(agent.choice):
                mean = agent.observation[s] + shift
                expected[a] += integrate.quad(stats.norm(mean, 0.7).pdf, max(edges[i], mean - 9), min(edges[i + 1], mean + 9))[
                    0
                ]
            np.testing.assert_allclose(law[s], expected, atol=1e-9)
        np.testing.assert_allclose(agent.above(shift), 1 - stats.norm.cdf(agent.cuts, agent.observation[:, None] + shift, 0.7))
    assert agent.action_probabilities(np.zeros((4, 5))).shape == (4, 5, 3, 3)


def test_tiny_probabilities_keep_their_digits():
    agent = _agent(observation=[20.0, -20.0])
    law = agent.action_probabilities()
    assert law[0, 0] == pytest.approx(stats.norm.sf(20.0), rel=1e-10)
    assert law[1, 1] == pytest.approx(stats.norm.sf(20.0), rel=1e-10)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 4), st.integers(1, 3), st.floats(-3.0, 3.0), st.integers(0, 1000))
def test_action_probabilities_are_laws(cuts, actions, shift, seed):
    law = random_smoothed_agent(A=actions, M=cuts, seed=seed).action_probabilities(shift)
    assert (law >= -1e-15).all()
    np.testing.assert_allclose(law.sum(axis=-1), 1.0, atol=1e-12)


def test_a_shift_moves_the_observation():
    agent = random_smoothed_agent(S=3, A=3, M=2, seed=1)
    moved = agent.replace(observation=agent.observation + 0.3)
    np.testing.assert_allclose(agent.action_probabilities(0.3), moved.action_probabilities(), atol=1e-15)
    assert agent.key is not None
    assert moved.key is None


def test_families():
    chain = decision_chain(margins=(1.0, 0.5, 2.0), spare=1)
    assert chain.mdp.horizon == 3
    assert chain.mdp.R.max() == 1
    for actions in itertools.product(range(2), repeat=3):
        s, won = 0, 0.0
        for t, a in enumerate(actions):
            won, s = won + chain.mdp.R[t, s, a], int(chain.mdp.P[t, s, a].argmax())
        assert won == float(sum(actions) >= 2)
    total = noisy_accumulator(H=2, levels=3, share=0.5)
    assert total.mdp.R[1, 1].tolist() == [1.0, 1.0, 0.0]
    assert one_decision(cuts=(1.0, -1.0), first=2).mdp.R[0, 0].tolist() == [2.0, 3.0, 4.0]
    drawn = random_smoothed_agent(mixed=0.0, start="random", largest=3, seed=4)
    assert set(np.unique(drawn.mdp.P)) <= {0.0, 1.0}
    assert drawn.mdp.R.max() == 3


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"observation": [0.0]}, "there must be 2"),
        ({"observation": [0.0, np.inf]}, "entry 1 of observation is inf"),
        ({"cuts": [[0.0]]}, "list of numbers"),
        ({"cuts": [np.nan]}, "entry 0 of cuts is nan"),
        ({"cuts": [1.0, 1.0], "choice": [0, 1, 0]}, "must increase; 1.0 follows 1.0"),
        ({"choice": [0]}, "1 cuts need 2 choices"),
        ({"choice": [0, 2]}, "action 2; there are 2"),
        ({"sigma": 0.0}, "deviation 0.0"),
    ],
)
def test_agents_that_are_refused(changes, sentence):
    with pytest.raises(ModelError, match=sentence):
        _agent(**changes)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: random_smoothed_agent(S=0), "S=0"),
        (lambda: random_smoothed_agent(mixed=-1.0), "-1.0"),
        (lambda: random_smoothed_agent(start="last"), "'last'"),
        (lambda: decision_chain(margins=(1.0,), spare=1), "not 1 and 1"),
        (lambda: noisy_accumulator(levels=1), "levels=1"),
        (lambda: noisy_accumulator(reach=0.0), "0.0"),
        (lambda: noisy_accumulator(share=1.5), "1.5"),
        (lambda: one_decision(first=-1), "-1"),
    ],
)
def test_families_refuse(build, sentence):
    with pytest.raises(ModelError, match=sentence):
        build()


# --- an adversary who shows another state ----------------------------------------------------------------------------------


def test_the_attack_is_an_mdp_whose_optimum_is_the_worst_of_all_maps():
    mdp = dirichlet_mdp(S=3, A=2, gamma=0.8, seed=2)
    shown = np.array([[1, 1, 0], [0, 1, 1], [1, 1, 1]], dtype=bool)
    policy = np.random.default_rng(0).dirichlet(np.ones(2), size=3)
    attack = StateAdversary(mdp, shown).attack(policy)
    worst = -policy_iteration(attack).value
    values = []
    for nu in itertools.product(*(np.flatnonzero(row) for row in shown)):
        values.append(evaluate_policy(mdp, policy[list(nu)]).value)
    np.testing.assert_allclose(worst, np.min(values, axis=0), atol=1e-9)
    truthful = StateAdversary(mdp, np.eye(3, dtype=bool)).attack(policy)
    np.testing.assert_allclose(-policy_iteration(truthful).value, evaluate_policy(mdp, policy).value, atol=1e-9)
    assert attack.action.tolist() == [0, 1, 1, 2, 0, 1, 2]


def test_more_states_to_show_are_worse():
    mdp = garnet(S=5, A=3, seed=1)
    policy = np.random.default_rng(1).dirichlet(np.ones(3), size=5)
    near = np.abs(np.subtract.outer(np.arange(5), np.arange(5)))
    values = [-policy_iteration(StateAdversary(mdp, near <= reach).attack(policy)).value for reach in (0, 1, 4)]
    assert (values[0] >= values[1] - 1e-9).all()
    assert (values[1] >= values[2] - 1e-9).all()


def test_state_adversaries_that_are_refused():
    mdp = dirichlet_mdp(S=2, A=2, seed=0)
    with pytest.raises(ModelError, match="ragged"):
        StateAdversary(garnet(S=5, A=3, ragged=True, seed=1), np.eye(5, dtype=bool))
    with pytest.raises(ModelError, match=r"must be \(2, 2\)"):
        StateAdversary(mdp, np.eye(3, dtype=bool))
    with pytest.raises(ModelError, match="state 1 is shown as no state"):
        StateAdversary(mdp, np.array([[True, False], [False, False]]))
    adversary = StateAdversary(mdp, np.eye(2, dtype=bool))
    with pytest.raises(ModelError, match=r"shape \(2,\)"):
        adversary.attack(np.ones(2))
    with pytest.raises(ModelError, match="policy in state 1"):
        adversary.attack(np.array([[0.5, 0.5], [0.5, 0.6]]))


# --- cheap talk --------------------------------------------------------------------------------------------------------------


def test_observations_of_a_cheap_talk_mdp():
    talk = CheapTalkMDP(dirichlet_mdp(S=3, A=2, seed=0), [2, 0, 1], 3)
    assert talk.observation.tolist() == [2, 3, 7]
    assert talk.replace(message=[[0, 0, 0], [1, 1, 1]]).observation.tolist() == [[0, 3, 6], [1, 4, 7]]


@pytest.mark.parametrize(
    ("message", "messages", "sentence"),
    [([0, 0], 1, r"must be \(3,\)"), ([0, 0, 1], 1, "message"), ([0, 0, -1], 1, "message"), ([0, 0, 0], 0, "0 messages")],
)
def test_messages_that_are_refused(message, messages, sentence):
    with pytest.raises(ModelError, match=sentence):
        CheapTalkMDP(dirichlet_mdp(S=3, A=2, seed=0), message, messages)
    with pytest.raises(ModelError, match="ragged"):
        CheapTalkMDP(garnet(S=5, A=3, ragged=True, seed=1), np.zeros(5, dtype=int), 1)
