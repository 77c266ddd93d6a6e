"""Random MDPs: sparse (garnet), dense (Dirichlet rows), and with two optimal actions in every state."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mdplab.models.families import model_family, require, require_probability
from mdplab.models.tabular import TabularMDP


def distinct_states(rng: np.random.Generator, rows: int, S: int, b: int) -> NDArray[np.int32]:
    """``rows`` independent subsets of b of the states 0, ..., S - 1, each uniform and sorted; int32[rows, b].

    Floyd's algorithm (Bentley and Floyd 1987) on all rows at once: b draws a row, b^2 / 2 comparisons. Above S / 2 it draws
    the states that are left out.
    """
    if b == S:
        return np.broadcast_to(np.arange(S, dtype=np.int32), (rows, S)).copy()
    if 2 * b > S:
        keep = np.ones((rows, S), dtype=bool)
        np.put_along_axis(keep, distinct_states(rng, rows, S, S - b).astype(np.int64), False, axis=1)
        return np.nonzero(keep)[1].astype(np.int32).reshape(rows, b)
    chosen = np.empty((b, rows), dtype=np.int32)
    for k, last in enumerate(range(S - b, S)):
        drawn = rng.integers(last + 1, size=rows, dtype=np.int32)
        taken = np.zeros(rows, dtype=bool)
        for earlier in chosen[:k]:
            taken |= earlier == drawn
        chosen[k] = np.where(taken, last, drawn)  # the newest candidate cannot have been chosen before
    return np.sort(chosen.T, axis=1)


def dirichlet_rows(rng: np.random.Generator, rows: int, width: int, concentration: float) -> NDArray[np.float64]:
    """Rows from the symmetric Dirichlet law; float64[rows, width].

    Through logarithms of gamma variables, Gamma(c) = Gamma(c + 1) U^(1/c), so that no row vanishes however small the
    concentration is.
    """
    if concentration == 1:  # uniform on the simplex: the gaps between sorted uniforms
        cuts = np.sort(rng.random((rows, width - 1)), axis=1)
        return np.diff(cuts, axis=1, prepend=0.0, append=1.0)
    logs = np.log(rng.gamma(concentration + 1.0, size=(rows, width))) - rng.exponential(size=(rows, width)) / concentration
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


@model_family(S=1, A=1, b=1)
def garnet(
    S: int = 10,
    A: int = 3,
    b: int = 2,
    gamma: float = 0.9,
    concentration: float = 1.0,
    rewards: str = "uniform",
    sparsity: float = 0.0,
    ragged: bool = False,
    seed: int = 0,
) -> TabularMDP:
    """A random MDP whose pairs each lead to ``b`` distinct states (Archibald, McKinnon and Thomas 1995).

    The next states are a uniform subset, their probabilities Dirichlet(``concentration``): 1 is uniform on the simplex, a small
    number makes the model nearly deterministic. Rewards are "uniform" on [0, 1] or standard "normal"; each is set to 0 with
    probability ``sparsity``. With ``ragged`` every state has a uniformly drawn number of actions between 1 and ``A``.
    """
    require(S >= 1 and A >= 1 and 1 <= b <= S, f"a garnet needs S >= 1, A >= 1 and 1 <= b <= S, not S={S}, A={A}, b={b}.")
    require(concentration > 0, f"the concentration is {concentration}; it must be positive.")
    require(rewards in ("uniform", "normal"), f"the rewards of a garnet are 'uniform' or 'normal', not {rewards!r}.")
    require_probability("the sparsity", sparsity)
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, A + 1, size=S) if ragged else np.full(S, A)
    N = int(counts.sum())
    nexts = distinct_states(rng, N, S, b)
    probability = dirichlet_rows(rng, N, b, concentration)
    reward = rng.random(N) if rewards == "uniform" else rng.standard_normal(N)
    if sparsity:
        reward[rng.random(N) < sparsity] = 0.0
    return TabularMDP(
        state_pointer=np.concatenate(([0], np.cumsum(counts))),
        row_pointer=np.arange(N + 1) * b,
        next_state=nexts.ravel(),
        probability=probability.ravel(),
        reward=reward,
        gamma=gamma,
    )


@model_family(S=1, A=1)
def dirichlet_mdp(S: int = 5, A: int = 2, gamma: float = 0.9, concentration: float = 1.0, seed: int = 0) -> TabularMDP:
    """A dense random MDP: Dirichlet(``concentration``) rows over all states, rewards uniform on [0, 1], random start law.

    A small concentration gives nearly deterministic rows.
    """
    require(S >= 1 and A >= 1, f"a model needs S >= 1 and A >= 1, not S={S}, A={A}.")
    require(concentration > 0, f"the concentration is {concentration}; it must be positive.")
    rng = np.random.default_rng(seed)
    P = dirichlet_rows(rng, S * A, S, concentration).reshape(S, A, S)
    return TabularMDP.from_dense(P, rng.random((S, A)), gamma, start=dirichlet_rows(rng, 1, S, 1.0)[0])


@model_family(S=1, A=2)
def tied_optima(S: int = 4, A: int = 3, gamma: float = 0.9, seed: int = 0) -> TabularMDP:
    """A random MDP with exactly two optimal actions in each state (tied up to the rounding of the rewards).

    The optimal values V (standard normal) and an advantage Adv with two zeros in each row and the rest in [-1, -0.1] are drawn
    first; then R = Adv + V - gamma P V makes V and Adv optimal, since max_a Adv(s, a) = 0 is Bellman's equation.
    """
    require(S >= 1 and A >= 2, f"two tied actions need S >= 1 and A >= 2, not S={S}, A={A}.")
    rng = np.random.default_rng(seed)
    P = dirichlet_rows(rng, S * A, S, 1.0).reshape(S, A, S)
    value = rng.standard_normal(S)
    advantage = -rng.uniform(0.1, 1.0, size=(S, A))
    np.put_along_axis(advantage, distinct_states(rng, S, A, 2).astype(np.int64), 0.0, axis=1)
    return TabularMDP.from_dense(P, advantage + value[:, None] - gamma * P @ value, gamma)
