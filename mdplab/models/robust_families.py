"""Generators of robust models: random vertices and kernels, and a lake to put balls around."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mdplab.models.families import model_family, require, require_probability
from mdplab.models.gymnasium_tables import frozen_lake
from mdplab.models.random_mdps import dirichlet_rows
from mdplab.models.robust import RobustKernelSet, RobustPolytopeMDP, RobustStatePolytopeMDP
from mdplab.models.tabular import TabularMDP
from theory.claims.families import family


def _draw(
    shape: tuple[int, ...], S: int, A: int, concentration: float, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows float64[*shape, S] and rewards float64[S, A], uniform on [0, 1]."""
    require(min(S, A, *shape) >= 1, f"a robust model needs at least one state, action and vertex, not {(S, A, *shape)}.")
    require(concentration >= 0, f"the concentration is {concentration}; it must be 0 (deterministic rows) or more.")
    rng = np.random.default_rng(seed)
    rows = int(np.prod(shape))
    drawn = dirichlet_rows(rng, rows, S, concentration) if concentration else np.eye(S)[rng.integers(S, size=rows)]
    return drawn.reshape(*shape, S), rng.random((S, A))


@family(S=1, A=1, K=1)
def random_polytope(
    S: int = 4, A: int = 2, K: int = 3, concentration: float = 0.3, gamma: float = 0.9, seed: int = 0
) -> RobustPolytopeMDP:
    """An (s,a)-rectangular model: K Dirichlet rows a pair (deterministic at ``concentration`` 0), rewards in [0, 1]."""
    vertices, reward = _draw((S, A, K), S, A, concentration, seed)
    return RobustPolytopeMDP(vertices, reward, gamma)


@family(S=1, A=1, K=1)
def random_state_polytope(
    S: int = 4, A: int = 2, K: int = 3, concentration: float = 0.3, gamma: float = 0.9, seed: int = 0
) -> RobustStatePolytopeMDP:
    """An s-rectangular model: K joint vertices for each state, rows and rewards as in :func:`random_polytope`."""
    vertices, reward = _draw((S, K, A), S, A, concentration, seed)
    return RobustStatePolytopeMDP(vertices, reward, gamma)


@family(S=1, A=1, K=1)
def random_kernels(
    S: int = 4, A: int = 2, K: int = 2, concentration: float = 0.3, gamma: float = 0.9, seed: int = 0
) -> RobustKernelSet:
    """K whole kernels, rows and rewards as in :func:`random_polytope`."""
    kernels, reward = _draw((K, S, A), S, A, concentration, seed)
    return RobustKernelSet(kernels, reward, gamma)


@family
def stalling_loop(gamma: float = 0.9) -> RobustPolytopeMDP:
    """Three states, two actions, two deterministic rows a pair: here the sequence of static problems stalls from state 0.

    See :func:`mdplab.solvers.iwocs.static_sequence`.
    """
    nexts = np.array([[[0, 1], [1, 2]], [[2, 2], [1, 0]], [[2, 1], [0, 2]]])
    reward = np.array([[0.5, 0.8], [0.1, 0.0], [0.7, 0.9]])
    return RobustPolytopeMDP(np.eye(3)[nexts], reward, gamma, start=np.eye(3)[0])


@model_family
def rarely_slippery_lake(map_name: str = "8x8", slip: float = 0.01, gamma: float = 0.99) -> TabularMDP:
    """FrozenLake that is slippery with probability ``slip`` in each step: a nominal model for balls on its support.

    At ``slip`` 1 it is Gymnasium's slippery lake, where the move asked for and the two beside it are equally likely.
    """
    require_probability("the probability of slipping", slip)
    dry, wet = (frozen_lake(map_name=map_name, is_slippery=slippery, gamma=gamma) for slippery in (False, True))
    (P, R), (Q, reward) = dry.dense(), wet.dense()
    return TabularMDP.from_dense((1 - slip) * P + slip * Q, (1 - slip) * R + slip * reward, gamma, wet.start_distribution)
