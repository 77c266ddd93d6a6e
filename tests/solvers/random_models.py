"""Small random models and policies, and brute force over deterministic policies, for the tests of the solvers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from hypothesis import strategies as st

from mdplab.models import EpisodicMDP, TabularMDP

seeds = st.integers(0, 2**32 - 1)
discounts = st.sampled_from([0.0, 0.3, 0.9, 0.99])


def random_mdp(
    seed: int,
    *,
    states: int = 5,
    actions: int = 3,
    gamma: float = 0.9,
    ragged: bool = False,
    concentration: float = 1.0,
    reward_scale: float = 1.0,
) -> TabularMDP:
    """Dirichlet rows over random supports, normal rewards; ragged: 1 to ``actions`` actions in each state."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, actions + 1, size=states) if ragged else np.full(states, actions)
    pairs = int(counts.sum())
    supports = [np.sort(rng.choice(states, size=rng.integers(1, states + 1), replace=False)) for _ in range(pairs)]
    return TabularMDP(
        state_pointer=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        row_pointer=np.concatenate([[0], np.cumsum([len(s) for s in supports])]).astype(np.int64),
        next_state=np.concatenate(supports).astype(np.int32),
        probability=np.concatenate([rng.dirichlet(np.full(len(s), concentration)) for s in supports]),
        reward=reward_scale * rng.standard_normal(pairs),
        gamma=gamma,
        start=rng.dirichlet(np.ones(states)),
    )


def random_policy(mdp: TabularMDP, seed: int) -> np.ndarray:
    """A stochastic policy (N,) with exponential weights, some of them zero."""
    rng = np.random.default_rng(seed)
    weights = rng.standard_exponential(mdp.pairs) * (rng.random(mdp.pairs) < 0.8)
    weights[mdp.state_pointer[:-1]] += 0.1
    return weights / np.repeat(np.add.reduceat(weights, mdp.state_pointer[:-1]), np.diff(mdp.state_pointer))


def random_episodic(seed: int, *, horizon: int = 4, states: int = 3, actions: int = 2) -> EpisodicMDP:
    """Time-dependent Dirichlet kernels, rewards uniform on [-1, 1]."""
    rng = np.random.default_rng(seed)
    return EpisodicMDP(
        P=rng.dirichlet(np.ones(states), size=(horizon, states, actions)),
        R=rng.uniform(-1, 1, size=(horizon, states, actions)),
        start=rng.dirichlet(np.ones(states)),
    )


def deterministic_policies(mdp: TabularMDP) -> Iterator[np.ndarray]:
    """All of them, as pair indices (S,)."""
    pointer = mdp.state_pointer
    for choice in itertools.product(*(range(pointer[s], pointer[s + 1]) for s in range(mdp.states))):
        yield np.array(choice, dtype=np.int64)


def dense_chain(mdp: TabularMDP, policy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """P_pi (S, S) and r_pi (S,) by plain loops, of probabilities (N,)."""
    chain, reward = np.zeros((mdp.states, mdp.states)), np.zeros(mdp.states)
    for s in range(mdp.states):
        for n in range(mdp.state_pointer[s], mdp.state_pointer[s + 1]):
            reward[s] += policy[n] * mdp.reward[n]
            for k in range(mdp.row_pointer[n], mdp.row_pointer[n + 1]):
                chain[s, mdp.next_state[k]] += policy[n] * mdp.probability[k]
    return chain, reward
