"""Seeded families of MDPs, small enough to solve by hand or large enough to measure; what claims run over.

Every generator is a :class:`~theory.claims.families.Family`: ``garnet(S=10, A=2, seed=7)`` builds a model whose ``key`` is the
text of that call, ``garnet.sweep(S=(3, 10), draws=20)`` is a set of instances.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdplab.models.errors import ModelError
from mdplab.models.tabular import TabularMDP
from theory.claims.families import Call, family


def _need(condition: bool, sentence: str) -> None:
    if not condition:
        raise ModelError(sentence)


def _key(name: str, **parameters: Any) -> str:
    return str(Call(name, parameters))


def _simplex_rows(rng: np.random.Generator, rows: int, width: int) -> NDArray[np.float64]:
    """Rows uniform on the simplex: gaps between sorted uniforms, which sum to 1 up to rounding."""
    cuts = np.sort(rng.random((rows, width - 1)), axis=1)
    return np.diff(cuts, axis=1, prepend=0.0, append=1.0)


@family(S=1, A=1, b=1)
def garnet(
    S: int = 10, A: int = 3, b: int = 2, gamma: float = 0.9, sparsity: float = 0.0, ragged: bool = False, seed: int = 0
) -> TabularMDP:
    """A random MDP (Archibald, McKinnon, Thomas 1995): every pair leads to ``b`` distinct states, rewards uniform on [0, 1].

    Transition probabilities are uniform on the simplex. A fraction ``sparsity`` of the rewards is set to 0. With ``ragged`` a
    state has between 1 and ``A`` actions. Next states are b positions in b equal blocks of states, shifted at random, so that
    they are distinct and a model of a million states is drawn in a second.
    """
    _need(S >= 1 and A >= 1 and 1 <= b <= S, f"a garnet needs S >= 1, A >= 1 and 1 <= b <= S, not S={S}, A={A}, b={b}.")
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, A + 1, size=S) if ragged else np.full(S, A)
    N = int(counts.sum())
    edges = (np.arange(b + 1) * S) // b
    nexts = edges[:-1] + (rng.random((N, b)) * np.diff(edges)).astype(np.int64)
    nexts = np.sort((nexts + rng.integers(S, size=(N, 1))) % S, axis=1)
    reward = rng.random(N)
    if sparsity:
        reward[rng.random(N) < sparsity] = 0.0
    return TabularMDP(
        state_pointer=np.concatenate(([0], np.cumsum(counts))),
        row_pointer=np.arange(N + 1, dtype=np.int64) * b,
        next_state=nexts.ravel().astype(np.int32),
        probability=_simplex_rows(rng, N, b).ravel(),
        reward=reward,
        gamma=gamma,
        key=_key("garnet", S=S, A=A, b=b, gamma=gamma, sparsity=sparsity, ragged=ragged, seed=seed),
    )


@family(S=1, A=1)
def dirichlet_mdp(S: int = 5, A: int = 2, gamma: float = 0.9, concentration: float = 1.0, seed: int = 0) -> TabularMDP:
    """A dense random MDP: Dirichlet(concentration) rows over all states, rewards uniform on [0, 1], random start law.

    A small concentration gives nearly deterministic rows.
    """
    _need(concentration > 0, f"the concentration is {concentration}; it must be positive.")
    rng = np.random.default_rng(seed)
    weights = rng.gamma(concentration, size=(S, A, S)) + 1e-300
    P = weights / weights.sum(axis=2, keepdims=True)
    return TabularMDP.from_dense(
        P,
        rng.random((S, A)),
        gamma,
        start=_simplex_rows(rng, 1, S)[0] if S > 1 else np.ones(1),
        key=_key("dirichlet_mdp", S=S, A=A, gamma=gamma, concentration=concentration, seed=seed),
    )


@family
def two_state(
    gamma: float = 0.9,
    stay: tuple[float, ...] = (1.0, 0.5, 0.5, 1.0),
    reward: tuple[float, ...] = (0.0, 1.0, 0.0, 1.0),
) -> TabularMDP:
    """Two states with two actions each, every number free: the smallest model on which most theorems can fail.

    ``stay[2 s + a]`` is the probability of remaining in state s under action a, ``reward[2 s + a]`` the reward.
    """
    _need(len(stay) == 4 and len(reward) == 4, "a two-state model needs four numbers for stay and four for reward.")
    p, r = np.array(stay, dtype=float).reshape(2, 2), np.array(reward, dtype=float).reshape(2, 2)
    P = np.zeros((2, 2, 2))
    for s in range(2):
        P[s, :, s], P[s, :, 1 - s] = p[s], 1 - p[s]
    return TabularMDP.from_dense(
        P, r, gamma, start=np.array([1.0, 0.0]), key=_key("two_state", gamma=gamma, stay=stay, reward=reward)
    )


@family(S=2)
def river_swim(S: int = 6, gamma: float = 0.95) -> TabularMDP:
    """A chain against the current (Strehl and Littman 2008): swimming right may fail, drifting left never does.

    Action 0 moves left (reward 0.005 at the left end). Action 1 moves right with probability 0.35 (0.6 at the left end), stays
    with 0.6 (0.4 at the left end), is swept left with 0.05 (0.4 at the right end, where it earns 1).
    """
    _need(S >= 2, f"a river needs two states or more, not {S}.")
    P, R = np.zeros((S, 2, S)), np.zeros((S, 2))
    P[np.arange(S), 0, np.maximum(np.arange(S) - 1, 0)] = 1.0
    R[0, 0] = 0.005
    P[0, 1, 0], P[0, 1, 1] = 0.4, 0.6
    for s in range(1, S - 1):
        P[s, 1, s - 1], P[s, 1, s], P[s, 1, s + 1] = 0.05, 0.6, 0.35
    P[S - 1, 1, S - 2], P[S - 1, 1, S - 1], R[S - 1, 1] = 0.4, 0.6, 1.0
    start = np.zeros(S)
    start[0] = 1.0
    return TabularMDP.from_dense(
        P, R, gamma, start=start, action_names=("left", "right"), key=_key("river_swim", S=S, gamma=gamma)
    )


@family(S=2)
def delayed_reward_chain(S: int = 8, A: int = 2, gamma: float = 0.9, bait: float = 0.1) -> TabularMDP:
    """A deterministic chain whose reward 1 waits at the end; every other action pays ``bait`` and goes back to the start."""
    _need(S >= 2 and A >= 2, f"a delayed-reward chain needs S >= 2 and A >= 2, not S={S}, A={A}.")
    P, R = np.zeros((S, A, S)), np.full((S, A), float(bait))
    P[:, 1:, 0] = 1.0
    P[np.arange(S), 0, np.minimum(np.arange(S) + 1, S - 1)] = 1.0
    R[:, 0] = 0.0
    R[S - 1, 0] = 1.0
    start = np.zeros(S)
    start[0] = 1.0
    return TabularMDP.from_dense(P, R, gamma, start=start, key=_key("delayed_reward_chain", S=S, A=A, gamma=gamma, bait=bait))


@family(S=2)
def chain(S: int = 5, gamma: float = 0.9, slip: float = 0.0) -> TabularMDP:
    """A corridor of S states: action 1 moves right, action 0 left, the other way with probability ``slip``; the right end pays 1."""
    _need(S >= 2, f"a chain needs two states or more, not {S}.")
    P, R = np.zeros((S, 2, S)), np.zeros((S, 2))
    left, right = np.maximum(np.arange(S) - 1, 0), np.minimum(np.arange(S) + 1, S - 1)
    for a, (ahead, back) in enumerate(((left, right), (right, left))):
        np.add.at(P[:, a], (np.arange(S), ahead), 1 - slip)
        np.add.at(P[:, a], (np.arange(S), back), slip)
    R[S - 1, 1] = 1.0
    start = np.zeros(S)
    start[0] = 1.0
    return TabularMDP.from_dense(P, R, gamma, start=start, key=_key("chain", S=S, gamma=gamma, slip=slip))


@family(N=2)
def deep_sea(N: int = 8, gamma: float = 0.99, seed: int = 0) -> TabularMDP:
    """DeepSea (Osband et al. 2019): an N x N grid entered at the top left; each step goes one row down, left or right.

    Which action means right is drawn for each cell. Moving right costs 0.01 / N; the last cell of the diagonal pays 1 for a
    further move right; below the last row waits an absorbing state.
    """
    _need(N >= 2, f"deep sea needs N >= 2, not {N}.")
    right = np.random.default_rng(seed).integers(2, size=(N, N))
    end, S = N * N, N * N + 1
    nexts, reward = np.full((S, 2), end), np.zeros((S, 2))
    for row in range(N):
        for column in range(N):
            cell, a = row * N + column, right[row, column]
            reward[cell, a] = -0.01 / N + (1.0 if row == column == N - 1 else 0.0)
            if row < N - 1:
                nexts[cell, a] = (row + 1) * N + min(column + 1, N - 1)
                nexts[cell, 1 - a] = (row + 1) * N + max(column - 1, 0)
    return _deterministic(nexts, reward, gamma, _key("deep_sea", N=N, gamma=gamma, seed=seed))


@family(A=2, H=1)
def combination_lock(
    A: int = 3, H: int = 4, bait: float = 0.1, top: float = 1.0, gamma: float = 0.99, seed: int = 0
) -> TabularMDP:
    """A lock of H dials: one hidden action at each keeps it open and the last pays ``top``; any other loses it and pays ``bait``."""
    _need(A >= 2 and H >= 1, f"a lock needs A >= 2 and H >= 1, not A={A}, H={H}.")
    code = np.random.default_rng(seed).integers(A, size=H)
    nexts, reward = np.full((H + 1, A), H), np.zeros((H + 1, A))
    reward[:H] = bait
    nexts[np.arange(H), code] = np.arange(1, H + 1)
    reward[np.arange(H), code] = 0.0
    reward[H - 1, code[H - 1]] = top
    return _deterministic(nexts, reward, gamma, _key("combination_lock", A=A, H=H, bait=bait, top=top, gamma=gamma, seed=seed))


def _deterministic(nexts: NDArray[np.int64], reward: NDArray[np.float64], gamma: float, key: str) -> TabularMDP:
    """A model in which pair (s, a) leads to ``nexts[s, a]`` for sure, started in state 0."""
    S, A = nexts.shape
    start = np.zeros(S)
    start[0] = 1.0
    return TabularMDP(
        state_pointer=np.arange(S + 1) * A,
        row_pointer=np.arange(S * A + 1),
        next_state=nexts.ravel(),
        probability=np.ones(S * A),
        reward=reward.ravel(),
        gamma=gamma,
        start=start,
        key=key,
    )


@family(S=1, A=2)
def tied_optima(S: int = 4, A: int = 3, gamma: float = 0.9, seed: int = 0) -> TabularMDP:
    """A random MDP with exactly two optimal actions in each state.

    The optimal values V and a nonpositive advantage with two zeros in each row are chosen first; then R = Adv + V - gamma P V
    makes them so.
    """
    _need(A >= 2, f"two tied actions need A >= 2, not {A}.")
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.ones(S), size=(S, A))
    value = rng.normal(size=S)
    advantage = -rng.uniform(0.1, 1.0, size=(S, A))
    for s in range(S):
        advantage[s, rng.choice(A, size=2, replace=False)] = 0.0
    R = advantage + value[:, None] - gamma * P @ value
    return TabularMDP.from_dense(P, R, gamma, key=_key("tied_optima", S=S, A=A, gamma=gamma, seed=seed))


@family(capacity=2)
def inventory(
    capacity: int = 20,
    demand: float = 0.3,
    price: float = 4.0,
    order_cost: float = 2.0,
    fixed_cost: float = 3.0,
    holding: float = 0.1,
    most: int = 10,
    gamma: float = 0.95,
) -> TabularMDP:
    """Stock control with lost sales: hold up to ``capacity`` units, order up to ``most``, then a geometric demand arrives.

    Demand is at least k with probability (1 - demand)^k, cut off at ``3 most`` units, so the transition matrix is banded. Rewards:
    ``price`` for each unit sold, less the cost of the order and of what is held. States differ in how much may be ordered.
    """
    _need(
        capacity >= 2 and 1 <= most <= capacity,
        f"inventory needs capacity >= 2 and 1 <= most <= capacity, not {capacity}, {most}.",
    )
    _need(0 < demand < 1, f"the demand parameter is {demand}; it must lie strictly between 0 and 1.")
    longest = 3 * most
    law = demand * (1 - demand) ** np.arange(longest + 1)
    law[-1] = (1 - demand) ** longest
    stock = np.arange(capacity + 1)
    counts = np.minimum(most, capacity - stock) + 1
    state = np.repeat(stock, counts)
    pointer = np.concatenate(([0], np.cumsum(counts)))
    order = np.arange(state.size) - np.repeat(pointer[:-1], counts)
    level = state + order
    width = np.minimum(level, longest) + 1  # the last entry of a row collects all demand that empties the shelf
    rows = np.concatenate(([0], np.cumsum(width)))
    d = np.arange(rows[-1]) - np.repeat(rows[:-1], width)
    last = d == np.repeat(width, width) - 1
    tail = np.concatenate((np.cumsum(law[::-1])[::-1], [0.0]))
    probability = np.where(last, tail[d], law[d])
    sold = np.add.reduceat(probability * d, rows[:-1])
    reward = price * sold - order_cost * order - fixed_cost * (order > 0) - holding * level
    return TabularMDP(
        state_pointer=pointer,
        row_pointer=rows,
        next_state=np.repeat(level, width) - d,
        probability=probability,
        reward=reward,
        gamma=gamma,
        key=_key(
            "inventory",
            capacity=capacity,
            demand=demand,
            price=price,
            order_cost=order_cost,
            fixed_cost=fixed_cost,
            holding=holding,
            most=most,
            gamma=gamma,
        ),
    )


@family(capacity=1)
def queue_admission(
    capacity: int = 10, arrival: float = 0.6, service: float = 0.5, fee: float = 5.0, holding: float = 0.3, gamma: float = 0.95
) -> TabularMDP:
    """Admission to a queue in discrete time: an arrival may be admitted for ``fee`` (action 1) or turned away (action 0).

    Each step the customer in service leaves with probability ``service``, then a newcomer arrives with probability ``arrival``;
    holding costs ``holding`` for each customer. A full queue can only turn away.
    """
    _need(0 < arrival < 1 and 0 < service < 1, f"arrival {arrival} and service {service} must lie strictly between 0 and 1.")
    starts, rows, nexts, chances, rewards = [0], [0], [], [], []
    for n in range(capacity + 1):
        for admit in (0, 1) if n < capacity else (0,):
            law: dict[int, float] = {}
            for done, p in ((1, service), (0, 1 - service)) if n else ((0, 1.0),):
                for come, q in ((1, arrival), (0, 1 - arrival)):
                    to = n - done + come * admit
                    law[to] = law.get(to, 0.0) + p * q
            nexts += list(law)
            chances += list(law.values())
            rows.append(len(nexts))
            rewards.append(fee * arrival * admit - holding * n)
        starts.append(len(rewards))
    return TabularMDP(
        state_pointer=np.array(starts),
        row_pointer=np.array(rows),
        next_state=np.array(nexts),
        probability=np.array(chances),
        reward=np.array(rewards),
        gamma=gamma,
        action_names=("turn away", "admit"),
        key=_key("queue_admission", capacity=capacity, arrival=arrival, service=service, fee=fee, holding=holding, gamma=gamma),
    )
