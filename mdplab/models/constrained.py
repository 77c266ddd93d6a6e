r"""Constrained MDPs (Altman 1999): as much reward as a budget for each of several costs allows.

.. math:: \max_\pi J_r(\pi) \quad \text{subject to} \quad J_{c_i}(\pi) \le d_i, \quad i = 1, \dots, m,

with J_x(pi) = E sum_t gamma^t x(s_t, a_t) for a discounted model (not multiplied by 1 - gamma) and E sum_{h<H} x_h(s_h, a_h) for an
episodic one, both from the model's start distribution. Policies may be random; the best one usually is.
"""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models.episodic import EpisodicMDP, pair_name
from mdplab.models.errors import ModelError
from mdplab.models.families import require
from mdplab.models.random_mdps import dirichlet_mdp, garnet
from mdplab.models.tabular import TabularMDP
from mdplab.models.validation import as_array
from theory.claims.families import family


@dataclass(frozen=True, eq=False)
class ConstrainedMDP:
    """A model with m >= 1 costs and their thresholds: J_c <= threshold for each.

    ``mdp`` holds dynamics, rewards and start distribution. ``cost`` is float64[m, N] over the pairs of a tabular model (given as
    (m, S, A) where it is rectangular), float64[m, H, S, A] of an episodic one (given as (m, S, A) if it is the same at every
    step); for a single cost the first axis may be left out. ``threshold`` is float64[m] (or one number), in units of
    unnormalised returns. ``cost_names`` name the costs in messages. ``key`` rebuilds a generated model. Arrays are read-only.

    Raises :class:`ModelError` for shapes that do not fit and for numbers that are not finite.
    """

    mdp: TabularMDP | EpisodicMDP
    cost: NDArray[np.float64]
    threshold: NDArray[np.float64]
    cost_names: tuple[str, ...] | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.mdp, (TabularMDP, EpisodicMDP)):
            raise ModelError(
                f"a constrained model is made of a TabularMDP or an EpisodicMDP, not of a {type(self.mdp).__name__}."
            )
        threshold = np.atleast_1d(as_array("threshold", self.threshold, np.float64)).view()
        require(
            threshold.ndim == 1 and threshold.size > 0,
            f"the thresholds have shape {threshold.shape}; they must be m >= 1 numbers, one for each cost.",
        )
        cost = _over_rewards(self.mdp, as_array("cost", self.cost, np.float64), threshold.size)
        if self.cost_names is not None:
            object.__setattr__(self, "cost_names", tuple(str(n) for n in self.cost_names))
            assert self.cost_names is not None
            require(
                len(self.cost_names) == threshold.size,
                f"there are {threshold.size} costs but {len(self.cost_names)} cost names.",
            )
        bad = ~np.isfinite(cost)
        if bad.any():
            i, *place = (int(k) for k in np.argwhere(bad)[0])
            raise ModelError(f"{self.cost_name(i)} of {_place(self.mdp, place)} is {cost[(i, *place)]}.")
        if not np.isfinite(threshold).all():
            i = int(np.argmin(np.isfinite(threshold)))
            raise ModelError(f"the threshold of {self.cost_name(i)} is {threshold[i]}; it must be finite.")
        cost.flags.writeable = threshold.flags.writeable = False
        object.__setattr__(self, "cost", cost)
        object.__setattr__(self, "threshold", threshold)

    @property
    def constraints(self) -> int:
        """Number of constraints m."""
        return int(self.threshold.size)

    @property
    def reward(self) -> NDArray[np.float64]:
        """The model's rewards, float64[N] or float64[H, S, A]."""
        return self.mdp.reward if isinstance(self.mdp, TabularMDP) else self.mdp.R

    @property
    def steps(self) -> float:
        """The sum of all discounts: 1 / (1 - gamma) (infinity at gamma = 1), or the horizon."""
        if isinstance(self.mdp, EpisodicMDP):
            return float(self.mdp.horizon)
        return 1 / (1 - self.mdp.gamma) if self.mdp.gamma < 1 else np.inf

    def cost_name(self, i: int) -> str:
        """The name of a cost as messages give it."""
        return f"cost {i}" if self.cost_names is None else f"cost {i} ({self.cost_names[i]})"

    def replace(self, **changes: Any) -> ConstrainedMDP:
        """A copy with some fields changed; the key is dropped unless a new one is given, since it no longer rebuilds it."""
        changes.setdefault("key", None)
        return dataclasses.replace(self, **changes)

    def with_key(self, key: str | None) -> ConstrainedMDP:
        """The same model (its arrays are shared, nothing is checked again) under the key that rebuilds it."""
        twin = copy.copy(self)
        object.__setattr__(twin, "key", key)
        return twin

    @classmethod
    def at_least(
        cls, mdp: TabularMDP | EpisodicMDP, gain: ArrayLike, floor: ArrayLike, names: tuple[str, ...] | None = None
    ) -> ConstrainedMDP:
        """The model whose constraints are J_gain >= ``floor``: costs and thresholds are the negatives of what is given."""
        gains, floors = as_array("gain", gain, np.float64), as_array("floor", floor, np.float64)
        return cls(mdp, -gains, -floors, names)


@family(S=1, A=1, m=1)
def random_costs(
    S: int = 5,
    A: int = 3,
    m: int = 1,
    gamma: float = 0.9,
    concentration: float = 0.3,
    b: int = 0,
    ragged: bool = False,
    seed: int = 0,
) -> ConstrainedMDP:
    """Random dynamics, rewards and ``m`` costs uniform on [0, 1], and thresholds of 1 / (1 - gamma), which no policy exceeds.

    The rows are Dirichlet(``concentration``) over all states, or over ``b`` of them if b > 0 (a garnet, ragged if asked for).
    Thresholds that bind are set afterwards, as :func:`~mdplab.solvers.constrained.between_thresholds` does.
    """
    require(m >= 1, f"the number of costs is {m}; it must be 1 or more.")
    require(gamma < 1, f"the discount is {gamma}; it must be below 1.")
    rng = np.random.default_rng(seed)
    if b or ragged:
        mdp = garnet(S, A, b or S, gamma, concentration, ragged=ragged, seed=rng)
    else:
        mdp = dirichlet_mdp(S, A, gamma, concentration, seed=rng)
    return ConstrainedMDP(mdp, rng.random((m, mdp.pairs)), np.full(m, 1 / (1 - gamma)))


def _over_rewards(mdp: TabularMDP | EpisodicMDP, cost: NDArray[np.float64], m: int) -> NDArray[np.float64]:
    """The costs with one axis for the constraints and then those of the rewards."""
    own = mdp.reward.shape if isinstance(mdp, TabularMDP) else mdp.R.shape
    shapes = [own]
    if isinstance(mdp, EpisodicMDP):
        shapes.append(own[1:])
    elif mdp.is_rectangular:
        shapes.append((mdp.states, mdp.max_actions))
    for shape in shapes:
        if cost.shape == (m, *shape) or (m == 1 and cost.shape == shape):
            if isinstance(mdp, EpisodicMDP):
                per_step = cost.reshape((m, -1, *own[1:]))
                return np.broadcast_to(per_step, (m, *own)).copy()
            return cost.reshape(m, *own)
    wanted = " or ".join(str((m, *shape)) for shape in shapes)
    raise ModelError(f"the costs have shape {cost.shape}; with {m} threshold{'s' * (m > 1)} they must have shape {wanted}.")


def _place(mdp: TabularMDP | EpisodicMDP, place: list[int]) -> str:
    """How messages name a pair, or a step, state and action."""
    if isinstance(mdp, EpisodicMDP):
        return pair_name(place)
    return f"state {mdp.state_name(int(mdp.pair_state[place[0]]))}, action {mdp.action_name(place[0])}"
