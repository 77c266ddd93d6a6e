"""Markov decision processes with several rewards at once.

A policy pi has one value for each objective, J_i = E sum_t gamma^t R_i(s_t, a_t) from the start law. Its value vector is R mu, mu
the unnormalised discounted occupancy of pi, so that the vectors of all stationary policies form a polytope.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models.errors import ModelError
from mdplab.models.families import require
from mdplab.models.random_mdps import dirichlet_mdp
from mdplab.models.storm import PROGRAMS, from_prism_program
from mdplab.models.tabular import TabularMDP
from mdplab.models.validation import as_array
from theory.claims.families import family


@dataclass(frozen=True, eq=False)
class MultiObjectiveMDP:
    """The dynamics, discount and start law of ``mdp`` with m reward functions, all to be maximised.

    ``rewards`` float64[m, N] holds a reward for each objective and pair (its own reward is not used), ``names`` m names or None.
    The array is read-only.

    Raises :class:`ModelError` for rewards of another shape or not finite, names that are too few, too many or not distinct.
    """

    mdp: TabularMDP
    rewards: NDArray[np.float64]
    names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        rewards = as_array("rewards", self.rewards, np.float64)
        N = self.mdp.pairs
        require(
            rewards.ndim == 2 and rewards.shape[0] >= 1 and rewards.shape[1] == N,
            f"the rewards have shape {rewards.shape}; they must be (m, {N}), a row for each objective and an entry for each pair.",
        )
        bad = ~np.isfinite(rewards)
        if bad.any():
            i, n = (int(k) for k in np.argwhere(bad)[0])
            raise ModelError(f"the reward of objective {i} and pair {n} is {rewards[i, n]}; it must be finite.")
        rewards.flags.writeable = False
        object.__setattr__(self, "rewards", rewards)
        if self.names is not None:
            names = tuple(str(n) for n in self.names)
            require(
                len(names) == len(rewards) and len(set(names)) == len(names),
                f"the names {', '.join(names)} do not fit {len(rewards)} objectives; each needs one of its own.",
            )
            object.__setattr__(self, "names", names)

    @property
    def objectives(self) -> int:
        """Number of objectives m."""
        return int(self.rewards.shape[0])

    def scalarised(self, weights: ArrayLike) -> TabularMDP:
        """The model with the one reward sum_i w_i R_i; ``weights`` are m finite numbers of any sign (ModelError)."""
        w = np.asarray(weights, dtype=np.float64)
        require(
            w.shape == (self.objectives,) and bool(np.isfinite(w).all()),
            f"the weights {w.tolist()} are not {self.objectives} finite numbers, one for each objective.",
        )
        return self.mdp.replace(reward=w @ self.rewards)

    def replace(self, **changes: Any) -> MultiObjectiveMDP:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    @property
    def floor(self) -> NDArray[np.float64]:
        """min(R_i) / (1 - gamma), which no policy's value falls below; float64[m]. Raises ModelError unless gamma < 1."""
        require(self.mdp.gamma < 1, f"values are bounded for a discount below 1; this model's is {self.mdp.gamma}.")
        return self.rewards.min(axis=1) / (1 - self.mdp.gamma)


@family(S=1, A=1, m=1)
def random_objectives(
    S: int = 4, A: int = 2, m: int = 2, gamma: float = 0.9, concentration: float = 0.3, seed: int = 0
) -> MultiObjectiveMDP:
    """A dense random MDP (:func:`dirichlet_mdp`, random start law) with m rewards, each uniform on [0, 1]."""
    require(m >= 1, f"a model needs m >= 1 objectives, not {m}.")
    mdp = dirichlet_mdp(S=S, A=A, gamma=gamma, concentration=concentration, seed=seed)
    return MultiObjectiveMDP(mdp, np.random.default_rng((seed, 1)).random((m, S * A)))


@family(S=1, A=1)
def duplicated_action(
    S: int = 3, A: int = 2, m: int = 2, gamma: float = 0.9, loss: float = 0.5, seed: int = 0
) -> MultiObjectiveMDP:
    """:func:`random_objectives` whose first action has a twin that pays ``loss`` less in every objective but the first.

    The twin stands first in each state. Policies that differ in it alone are tied in the first objective.
    """
    require(loss > 0, f"the twin loses {loss}; it must lose more than 0.")
    base = random_objectives(S=S, A=A, m=m, gamma=gamma, seed=seed)
    P, _ = base.mdp.dense()
    R = base.rewards.reshape(m, S, A)
    twin = R[:, :, :1].copy()
    twin[1:] -= loss
    rewards = np.concatenate((twin, R), axis=2)
    mdp = TabularMDP.from_dense(np.concatenate((P[:, :1], P), axis=1), rewards[0], gamma, start=base.mdp.start)
    return MultiObjectiveMDP(mdp, rewards.reshape(m, -1))


@family
def trade_off(points: tuple[float, ...] = (0.0, 1.0, 1.0, 0.0), m: int = 2, gamma: float = 0.5) -> MultiObjectiveMDP:
    """One state with an action for each of the ``points`` (m numbers each, one after another): action k always earns point k.

    The value vectors are the mixtures of the points, times 1 / (1 - gamma).
    """
    require(m >= 1 and len(points) >= m and len(points) % m == 0, f"{len(points)} numbers are not points of {m} numbers each.")
    rewards = np.array(points, dtype=float).reshape(-1, m).T
    A = rewards.shape[1]
    return MultiObjectiveMDP(TabularMDP.from_dense(np.ones((1, A, 1)), rewards[:1], gamma, start=np.ones(1)), rewards)


TREASURES = (1, 2, 3, 5, 8, 16, 24, 50, 74, 124)
DEPTHS = (1, 2, 3, 4, 4, 4, 7, 7, 9, 10)


@family
def deep_sea_treasure(gamma: float = 0.99) -> MultiObjectiveMDP:
    """Deep sea treasure (Vamplew, Dazeley, Berry, Issabekov and Dekker 2011): a submarine looks for treasure, and time is short.

    Ten columns of water, :data:`DEPTHS` rows deep, each with one of the :data:`TREASURES` at its bottom. The submarine starts
    at the surface on the left and moves up, down, left or right; moves off the water do nothing. Each move costs 1 of the
    objective "time"; a move onto a treasure earns it, and the run is over (an absorbing state without rewards). The t-step way
    to a treasure v is worth (gamma^(t-1) v, -(1 - gamma^t) / (1 - gamma)).
    """
    cells = [(row, column) for column, depth in enumerate(DEPTHS) for row in range(depth)]
    number = {cell: k for k, cell in enumerate(cells)}
    over = len(cells)
    P = np.zeros((over + 1, 4, over + 1))
    R = np.zeros((2, over + 1, 4))
    P[over, :, over] = 1.0
    R[1, :over] = -1.0
    for (row, column), s in number.items():
        for a, (down, right) in enumerate(((-1, 0), (1, 0), (0, -1), (0, 1))):
            to = (row + down, column + right)
            if 0 <= to[1] < len(DEPTHS) and to[0] == DEPTHS[to[1]]:
                P[s, a, over] = 1.0
                R[0, s, a] = TREASURES[to[1]]
            else:
                P[s, a, number.get(to, s)] = 1.0
    names = (*(f"row {r}, column {c}" for r, c in cells), "over")
    mdp = TabularMDP.from_dense(
        P, R[0], gamma, start=np.eye(over + 1)[number[0, 0]], state_names=names, action_names=("up", "down", "left", "right")
    )
    return MultiObjectiveMDP(mdp, R.reshape(2, -1), ("treasure", "time"))


@family
def prism_objectives(
    name: str = "courier", objectives: tuple[str, ...] = ("parcels", "ease"), gamma: float = 0.99, constants: str = ""
) -> MultiObjectiveMDP:
    """One of the PRISM programs that come with mdplab, with several of its reward structures (see :func:`prism_model`).

    Raises what :func:`from_prism_program` raises.
    """
    require(len(objectives) >= 1, "a model needs at least one reward structure.")
    built = [from_prism_program(PROGRAMS / f"{name}.nm", reward_model=o, gamma=gamma, constants=constants) for o in objectives]
    return from_models(built, objectives)


def from_models(models: Sequence[TabularMDP], names: Sequence[str] | None = None) -> MultiObjectiveMDP:
    """One model of several that differ in nothing but their rewards; ModelError if they do, or if there is none."""
    require(len(models) >= 1, "a model needs at least one objective.")
    first = models[0]
    for k, other in enumerate(models[1:], 1):
        same = all(
            np.array_equal(getattr(first, f), getattr(other, f))
            for f in ("state_pointer", "row_pointer", "next_state", "probability", "start_distribution", "gamma")
        )
        require(same, f"model {k} has other dynamics, another discount or another start than model 0.")
    return MultiObjectiveMDP(first, np.stack([m.reward for m in models]), None if names is None else tuple(names))
