"""EpisodicMDP: validation, and the way to and from tabular models."""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_strategies import episodic_models

from mdplab.models import EpisodicMDP, ModelError, TabularMDP, dirichlet_mdp, inventory, to_episodic, to_tabular

P = np.array([[[0.5, 0.5], [1.0, 0.0]], [[0.0, 1.0], [0.25, 0.75]]])
R = np.array([[1.0, 0.0], [0.0, 2.0]])


def optimal_values(P: np.ndarray, R: np.ndarray) -> list[list[Fraction]]:
    """V_0, ..., V_H by backward induction over fractions, exactly."""
    H, S, A = R.shape
    values = [[Fraction(0)] * S]
    for h in reversed(range(H)):
        after = values[0]
        values.insert(
            0,
            [
                max(Fraction(R[h, s, a]) + sum(Fraction(P[h, s, a, t]) * after[t] for t in range(S)) for a in range(A))
                for s in range(S)
            ],
        )
    return values


def test_a_stationary_kernel_is_shared_by_all_steps() -> None:
    mdp = EpisodicMDP(P, R, horizon=1000)
    assert (mdp.P.shape, mdp.R.shape, mdp.states, mdp.actions, mdp.horizon) == ((1000, 2, 2, 2), (1000, 2, 2), 2, 2, 1000)
    assert np.shares_memory(mdp.P, P)
    assert mdp.is_stationary
    assert mdp.start.tolist() == [0.5, 0.5]
    with pytest.raises(ValueError, match="read-only"):
        mdp.P[0, 0, 0, 0] = 0
    longer = mdp.replace(horizon=2000)
    assert longer.P.shape[0] == 2000
    assert longer.is_stationary
    changed = mdp.replace(R=np.zeros((1000, 2, 2)))
    assert np.shares_memory(changed.P, P)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"P": P[0]}, "P has shape (2, 2) and R has (2, 2); they must be (H, S, A, S) or (S, A, S), and (H, S, A) or (S, A)."),
        ({"R": R[:, :1]}, "P has shape (2, 2, 2) and R has (2, 1)"),
        ({"horizon": 0}, "the horizon must be one number of steps, 1 or more; the arguments tell none."),
        ({"horizon": -2}, "the horizon must be one number of steps, 1 or more; the arguments tell -2."),
        ({"horizon": 2.5}, "the horizon is 2.5; it must be a whole number of steps."),
        ({"P": np.stack([P] * 4)}, "the horizon must be one number of steps, 1 or more; the arguments tell 3 and 4."),
        ({"P": P * 0.9}, "the probabilities of state 0, action 0 sum to 0.9, which is -0.1 off 1."),
        ({"P": np.stack([P, P, P * [[[1], [1]], [[1], [0.5]]]])}, "the probabilities of step 2, state 1, action 1 sum to 0.5"),
        ({"P": np.add(P, [[[1, -1], [0, 0]], [[0, 0], [0, 0]]])}, "state 0, action 0 leads to state 1 with probability -0.5."),
        ({"R": np.add(R, [[np.nan, 0], [0, 0]])}, "the reward of state 0, action 0 is nan."),
        ({"R": np.stack([R, R, np.add(R, [[0, 0], [np.inf, 0]])])}, "the reward of step 2, state 1, action 0 is inf."),
        ({"start": [0.5, 0.4]}, "the start distribution sums to 0.9, which is -0.1 off 1."),
        ({"start": [1.0]}, "the start distribution has shape (1,)"),
        ({"P": np.empty((0, 2, 0)), "R": np.empty((0, 2))}, "the model has no state."),
    ],
)
def test_bad_input_gets_one_sentence(arguments: dict, sentence: str) -> None:
    with pytest.raises(ModelError, match="^" + re.escape(sentence)):
        EpisodicMDP(**{"P": P, "R": R, "horizon": 3} | arguments)


@settings(deadline=None, max_examples=60)
@given(episodic_models())
def test_time_expansion_keeps_every_number(mdp: EpisodicMDP) -> None:
    H, S, A = mdp.R.shape
    flat = to_tabular(mdp, 0.7)
    assert (flat.states, flat.gamma) == (H * S + 1, 0.7)
    kernel, rewards = flat.dense()
    for h in range(H - 1):
        assert np.array_equal(kernel[h * S : (h + 1) * S, :, (h + 1) * S : (h + 2) * S], mdp.P[h])
    assert (kernel[(H - 1) * S :, :, -1] == 1).all()
    assert np.array_equal(rewards[:-1].reshape(H, S, A), mdp.R)
    assert (rewards[-1] == 0).all()
    assert np.array_equal(flat.start_distribution[:S], mdp.start)


@settings(deadline=None, max_examples=40)
@given(episodic_models())
def test_the_expansion_has_the_same_optimal_values(mdp: EpisodicMDP) -> None:
    """Both over fractions, so that equality is equality: the expansion is solved in H + 1 sweeps because it has no cycles."""
    H, S, _ = mdp.R.shape
    exact = optimal_values(mdp.P, mdp.R)
    flat = to_tabular(mdp)
    value = [Fraction(0)] * flat.states
    for _ in range(H + 1):
        value = [
            max(
                Fraction(flat.reward[n])
                + sum(
                    Fraction(flat.probability[k]) * value[flat.next_state[k]]
                    for k in range(flat.row_pointer[n], flat.row_pointer[n + 1])
                )
                for n in range(flat.state_pointer[s], flat.state_pointer[s + 1])
            )
            for s in range(flat.states)
        ]
    for h in range(H):
        assert value[h * S : (h + 1) * S] == exact[h]
    assert value[-1] == 0


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 5))
def test_tabular_to_episodic_keeps_kernel_and_rewards(seed: int, horizon: int) -> None:
    tabular = dirichlet_mdp(S=3, A=2, gamma=0.5, seed=seed)
    mdp = to_episodic(tabular, horizon)
    kernel, rewards = tabular.dense()
    assert mdp.horizon == horizon
    assert mdp.is_stationary
    assert all(np.array_equal(mdp.P[h], kernel) and np.array_equal(mdp.R[h], rewards) for h in range(horizon))
    assert np.array_equal(mdp.start, tabular.start)
    weighted = to_episodic(tabular, horizon, discounted=True)
    assert all(np.array_equal(weighted.R[h], 0.5**h * rewards) for h in range(horizon))  # powers of 1/2 are exact


def test_a_discounted_expansion_and_discounted_rewards_agree() -> None:
    """gamma on the expansion's steps, or gamma^h on the rewards: gamma 1/2 scales exactly, so do the values."""
    tabular = dirichlet_mdp(S=3, A=2, gamma=0.5, seed=3)
    inside = optimal_values(to_episodic(tabular, 4, discounted=True).P, to_episodic(tabular, 4, discounted=True).R)[0]
    flat = to_tabular(to_episodic(tabular, 4), gamma=0.5)
    kernel, rewards = flat.dense()
    value = np.zeros(flat.states)
    for _ in range(5):
        value = (rewards + 0.5 * kernel @ value).max(axis=1)
    assert np.allclose(value[:3], [float(v) for v in inside], rtol=1e-14)


def test_a_ragged_model_has_no_dense_form() -> None:
    with pytest.raises(ModelError, match="ragged"):
        to_episodic(inventory(capacity=4, most=2), 3)
    assert isinstance(to_tabular(EpisodicMDP(P, R, horizon=1)), TabularMDP)
