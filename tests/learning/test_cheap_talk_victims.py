"""Victims of cheap talk: a plain loop of Q-learning, fixed points, moments of features, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdplab.learning.cheap_talk import feature_moment, linear_features, linear_victim, victim_q_learning
from mdplab.models import dirichlet_mdp
from mdplab.models.cheap_talk import CheapTalkMDP
from mdplab.solvers import policy_iteration, q_values
from theory.errors import InputError

MDP = dirichlet_mdp(S=3, A=2, gamma=0.9, seed=1)


def _plain(mdp, message, table, steps, seed, step_size, exploration):
    """One run with scalars: rewards, states and the table."""
    P, R = mdp.dense()
    luck = np.random.default_rng(seed).random((steps + 1, 3))
    q = table.copy()
    s = int(np.searchsorted(np.cumsum(mdp.start_distribution)[:-1], luck[0, 0], side="right"))
    rewards, states = [], [s]
    for u in luck[1:]:
        row = q[s, message[s]]
        a = int(u[1] * row.size) if u[0] < exploration else int(np.argmax(row))
        to = int(np.searchsorted(np.cumsum(P[s, a])[:-1], u[2], side="right"))
        row[a] += step_size * (R[s, a] + mdp.gamma * q[to, message[to]].max() - row[a])
        rewards.append(R[s, a])
        s = to
        states.append(s)
    return rewards, states, q


@pytest.mark.parametrize("step_size", [0.2, 1.0])
def test_q_learning_equals_a_plain_loop(step_size):
    rng = np.random.default_rng(0)
    tables, maps = rng.normal(size=(4, 3, 2, 2)), rng.integers(2, size=(4, 3))
    seeds = np.array([5, 6, 5, 7])
    found = victim_q_learning(CheapTalkMDP(MDP, maps, 2), tables, 60, seeds, step_size=step_size, exploration=0.3)
    for n in range(4):
        rewards, states, q = _plain(MDP, maps[n], tables[n], 60, seeds[n], step_size, 0.3)
        np.testing.assert_array_equal(found.reward[n], rewards)
        np.testing.assert_array_equal(found.states[n], states)
        np.testing.assert_array_equal(found.rows[n], q[np.arange(3), maps[n]])


def test_q_learning_finds_the_optimum():
    talk = CheapTalkMDP(MDP, [1, 0, 1], 2)
    found = victim_q_learning(talk, np.zeros((20, 3, 2, 2)), 4000, np.arange(20), step_size=0.05, exploration=1.0)
    optimum = q_values(MDP, policy_iteration(MDP).value).reshape(3, 2)
    assert np.abs(found.rows.mean(axis=0) - optimum).max() < 0.25
    one = victim_q_learning(talk, np.zeros((1, 3, 2, 2)), 50, 3, step_size=0.0)
    assert (one.rows == 0).all()


@settings(deadline=None, max_examples=20)
@given(st.permutations(range(3)), st.integers(0, 100))
def test_names_of_messages_do_not_matter(order, seed):
    rng = np.random.default_rng(seed)
    table, message = rng.normal(size=(1, 3, 3, 2)), rng.integers(3, size=3)
    renamed = np.empty_like(table)
    renamed[:, :, list(order)] = table
    first = victim_q_learning(CheapTalkMDP(MDP, message, 3), table, 40, seed)
    second = victim_q_learning(CheapTalkMDP(MDP, np.array(order)[message], 3), renamed, 40, seed)
    np.testing.assert_array_equal(first.reward, second.reward)


def test_moments_of_features_by_hand():
    x = linear_features([2.0, -1.0])
    np.testing.assert_array_equal(x, [[1, 0, 2], [0, 1, -1]])
    expected = 0.25 * np.outer(x[0], x[0]) + 0.75 * np.outer(x[1], x[1])
    np.testing.assert_allclose(feature_moment(x, [0.25, 0.75]), expected)


def test_the_linear_victim():
    v = np.array([1.0, -1.0, 0.5])
    features = linear_features(np.zeros(3))
    error = linear_victim(features, v, 200, [0, 1], step_size=1.0)
    assert error.shape == (2, 201)
    assert error[:, 0] == pytest.approx(np.sqrt((v**2).mean()))
    assert error[:, -1] == pytest.approx(0.0, abs=1e-12)  # with step 1 a state is learnt when it is first seen
    assert (linear_victim(linear_features(np.full(3, 2.0)), v, 200, [0, 1], step_size=1.0)[:, -1] > 1e6).all()
    by_hand = np.zeros(4)
    x = linear_features([0.3, 0.3, -0.2])
    for s in np.random.default_rng(4).integers(3, size=30):
        by_hand += 0.2 * x[s] * (v[s] - x[s] @ by_hand)
    found = linear_victim(x, v, 30, 4, step_size=0.2)
    assert found[0, -1] == pytest.approx(np.sqrt(((v - x @ by_hand) ** 2).mean()))


def test_what_is_refused():
    talk, tables = CheapTalkMDP(MDP, [0, 1, 0], 2), np.zeros((2, 3, 2, 2))
    for arguments, sentence in (
        ((talk, np.zeros((2, 3, 1, 2)), 5, 0), "initial tables"),
        ((talk, np.full((2, 3, 2, 2), np.nan), 5, 0), "initial tables"),
        ((talk.replace(message=np.zeros((3, 3), dtype=int)), tables, 5, 0), "2 tables but 3 maps"),
        ((talk, tables, 5, [0]), "or 2 of them"),
        ((talk, tables, 5, -1), "seeds"),
        ((talk, tables, 0, 0), "not 0"),
    ):
        with pytest.raises(InputError, match=sentence):
            victim_q_learning(*arguments)
    with pytest.raises(InputError, match=r"1\.5"):
        victim_q_learning(talk, tables, 5, 0, step_size=1.5)
    with pytest.raises(InputError, match="one for each state"):
        linear_features([[1.0]])
    with pytest.raises(InputError, match="a law"):
        feature_moment(np.eye(2), [0.5, 0.6])
    with pytest.raises(InputError, match="values of shape"):
        linear_victim(np.eye(2), [1.0], 5, 0, step_size=0.1)
    with pytest.raises(InputError, match=r"not -0\.1"):
        linear_victim(np.eye(2), [1.0, 0.0], 5, 0, step_size=-0.1)
