r"""Robust Markov decision processes: known rewards, and a set of transition kernels that an adversary chooses from.

The set is *(s,a)-rectangular* if the adversary chooses the row of every pair (s, a) independently (:class:`RobustPolytopeMDP`,
:class:`RobustBallMDP`), *s-rectangular* if it chooses jointly for the actions of a state, but independently for each state
(:class:`RobustStatePolytopeMDP`), and otherwise a set of whole kernels (:class:`RobustKernelSet`). See Iyengar (2005), Nilim
and El Ghaoui (2005), and Wiesemann, Kuhn and Rustem (2013).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models.errors import ModelError
from mdplab.models.families import require
from mdplab.models.tabular import TabularMDP
from mdplab.models.validation import as_array, check_discount, check_distribution, row_tolerance

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Distance = Literal["l1", "tv", "kl", "chi-square"]
Support = Literal["nominal", "all"]


@dataclass(frozen=True, eq=False)
class RobustPolytopeMDP:
    """An (s,a)-rectangular set: the row of each pair is a convex combination of K given ones.

    Arrays, with S states, A actions and K vertices: ``vertices`` float64[S, A, K, S], ``reward`` float64[S, A], ``start``
    float64[S] or None (uniform). ``gamma`` in [0, 1]. Pair (s, a) has the number s A + a. The arrays are read-only.

    Raises :class:`ModelError` for shapes that do not fit, numbers that are negative or not finite, a vertex that does not sum
    to 1, a discount outside [0, 1].
    """

    vertices: Floats
    reward: Floats
    gamma: float
    start: Floats | None = None

    def __post_init__(self) -> None:
        _check(self, "vertices", ("S", "A", "K", "S"), lambda i: f"vertex {i[2]} of action {i[1]} in state {i[0]}")

    @property
    def states(self) -> int:
        """Number of states S."""
        return int(self.vertices.shape[0])

    @property
    def actions(self) -> int:
        """Number of actions A."""
        return int(self.vertices.shape[1])

    def kernel(self, choice: ArrayLike) -> TabularMDP:
        """The model in which pair (s, a) moves by its vertex ``choice[s, a]``, integers (S, A); ModelError if out of range."""
        chosen = _choice(choice, self.vertices.shape[:2], self.vertices.shape[2])
        rows = np.take_along_axis(self.vertices, chosen[:, :, None, None], axis=2)[:, :, 0]
        return TabularMDP.from_dense(rows, self.reward, self.gamma, self.start)


@dataclass(frozen=True, eq=False)
class RobustStatePolytopeMDP:
    """An s-rectangular set: the rows of all actions of a state together are a convex combination of K given ones.

    Arrays: ``vertices`` float64[S, K, A, S], one transition matrix (A, S) for each state and vertex; the rest as in
    :class:`RobustPolytopeMDP`, errors too.
    """

    vertices: Floats
    reward: Floats
    gamma: float
    start: Floats | None = None

    def __post_init__(self) -> None:
        _check(self, "vertices", ("S", "K", "A", "S"), lambda i: f"action {i[2]} of vertex {i[1]} in state {i[0]}")

    @property
    def states(self) -> int:
        """Number of states S."""
        return int(self.vertices.shape[0])

    @property
    def actions(self) -> int:
        """Number of actions A."""
        return int(self.vertices.shape[2])

    def kernel(self, choice: ArrayLike) -> TabularMDP:
        """The model in which state s moves by its vertex ``choice[s]`` (integers (S,)); ModelError if one is out of range."""
        chosen = _choice(choice, self.vertices.shape[:1], self.vertices.shape[1])
        return TabularMDP.from_dense(self.vertices[np.arange(self.states), chosen], self.reward, self.gamma, self.start)


@dataclass(frozen=True, eq=False)
class RobustKernelSet:
    """A finite set of whole kernels, of which the adversary chooses one for good: not rectangular.

    Arrays: ``kernels`` float64[K, S, A, S]; the rest as in :class:`RobustPolytopeMDP`, errors too.
    """

    kernels: Floats
    reward: Floats
    gamma: float
    start: Floats | None = None

    def __post_init__(self) -> None:
        _check(self, "kernels", ("K", "S", "A", "S"), lambda i: f"action {i[2]} in state {i[1]} of kernel {i[0]}")

    @property
    def states(self) -> int:
        """Number of states S."""
        return int(self.kernels.shape[1])

    @property
    def actions(self) -> int:
        """Number of actions A."""
        return int(self.kernels.shape[2])

    def kernel(self, index: int) -> TabularMDP:
        """The model that moves by kernel ``index``; ModelError if it is out of range."""
        chosen = _choice(index, (), self.kernels.shape[0])
        return TabularMDP.from_dense(self.kernels[chosen], self.reward, self.gamma, self.start)

    def hull(self) -> RobustPolytopeMDP:
        """The smallest (s,a)-rectangular convex set that contains the kernels: the adversary mixes their rows pair by pair."""
        return RobustPolytopeMDP(self.kernels.transpose(1, 2, 0, 3), self.reward, self.gamma, self.start)

    def state_hull(self) -> RobustStatePolytopeMDP:
        """The smallest s-rectangular convex set that contains the kernels: the adversary mixes them state by state."""
        return RobustStatePolytopeMDP(self.kernels.transpose(1, 0, 2, 3), self.reward, self.gamma, self.start)


@dataclass(frozen=True, eq=False)
class RobustBallMDP:
    r"""An (s,a)-rectangular set of balls: the row p of each pair lies within ``radius`` of the row q of a model ``mdp``.

    The ``distance`` of p from q is

    - "l1": :math:`\sum |p - q|`, with a radius in [0, 2];
    - "tv": the total variation, half of that, with a radius in [0, 1];
    - "kl": the relative entropy :math:`\sum p \ln(p / q)`, with a radius of 0 or more;
    - "chi-square": :math:`\sum (p - q)^2 / q`, with a radius of 0 or more.

    With ``support`` "nominal" p may put mass only where q does; with "all", for "l1" and "tv" only, on any state. ``radius`` is
    one number, or one for each pair, float64[N] (or (S, A)); it is stored as float64[N], read-only.

    Raises :class:`ModelError` for an unknown distance or support, and for a radius of another shape or out of its range.
    """

    mdp: TabularMDP
    distance: Distance
    radius: Any
    support: Support = "nominal"

    def __post_init__(self) -> None:
        largest = {"l1": 2.0, "tv": 1.0, "kl": np.inf, "chi-square": np.inf}
        require(self.distance in largest, f"the distance is {self.distance!r}; it must be 'l1', 'tv', 'kl' or 'chi-square'.")
        require(self.support in ("nominal", "all"), f"the support is {self.support!r}; it must be 'nominal' or 'all'.")
        require(
            self.support == "nominal" or self.distance in ("l1", "tv"),
            f"a ball in {self.distance} has no rows outside the nominal support; its support must be 'nominal'.",
        )
        given = as_array("radius", self.radius, np.float64)
        shapes = [(), (self.mdp.pairs,)]
        if self.mdp.is_rectangular:
            shapes.append((self.mdp.states, self.mdp.max_actions))
        require(
            np.shape(self.radius) in shapes,
            f"the radius has shape {np.shape(self.radius)}; it must be one number or one for each of {self.mdp.pairs} pairs.",
        )
        radius = np.broadcast_to(given.ravel(), (self.mdp.pairs,)).copy()
        limit = largest[self.distance]
        bad = ~((radius >= 0) & (radius <= limit) & np.isfinite(radius))
        if bad.any():
            pair = int(np.argmax(bad))
            state = self.mdp.state_name(int(self.mdp.pair_state[pair]))
            bounds = f"between 0 and {limit:g}" if np.isfinite(limit) else "0 or more, and finite"
            raise ModelError(
                f"the radius of action {self.mdp.action_name(pair)} in state {state} is {radius[pair]}; "
                f"in {self.distance} it must be {bounds}."
            )
        radius.flags.writeable = False
        object.__setattr__(self, "radius", radius)

    @property
    def states(self) -> int:
        """Number of states S."""
        return self.mdp.states

    @property
    def gamma(self) -> float:
        """The discount of the nominal model."""
        return self.mdp.gamma


RectangularMDP = RobustPolytopeMDP | RobustBallMDP
RobustMDP = RobustPolytopeMDP | RobustBallMDP | RobustStatePolytopeMDP


def _check(
    model: RobustPolytopeMDP | RobustStatePolytopeMDP | RobustKernelSet,
    name: str,
    axes: tuple[str, ...],
    place: Callable[[tuple[int, ...]], str],
) -> None:
    """Validate and freeze a model's arrays; ``place`` puts the indices of a row into words."""
    rows = as_array(name, getattr(model, name), np.float64)
    reward = as_array("reward", model.reward, np.float64)
    sizes = dict(zip(axes, rows.shape))
    require(
        rows.ndim == 4 and 0 not in rows.shape and sizes["S"] == rows.shape[axes.index("S")],
        f"the {name} have shape {rows.shape}; they must be ({', '.join(axes)}).",
    )
    shape = (sizes["S"], sizes["A"])
    require(reward.shape == shape, f"the rewards have shape {reward.shape}; they must be {shape} to go with the {name}.")
    wrong = ~(rows >= 0) | np.isinf(rows)
    if wrong.any():
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ModelError(f"{place(index)} leads to state {index[3]} with probability {rows[index]}.")
    sums = rows.sum(axis=3)
    off = np.abs(sums - 1) > row_tolerance(rows.shape[3])
    if off.any():
        index = tuple(int(i) for i in np.argwhere(off)[0])
        raise ModelError(f"the probabilities of {place(index)} sum to {sums[index]:.12g}, not to 1.")
    bad = ~np.isfinite(reward)
    if bad.any():
        s, a = (int(i) for i in np.argwhere(bad)[0])
        raise ModelError(f"the reward of action {a} in state {s} is {reward[s, a]}; it must be finite.")
    object.__setattr__(model, "gamma", check_discount(model.gamma))
    if model.start is not None:
        start = as_array("start", model.start, np.float64)
        check_distribution("start", start, shape[0])
        start.flags.writeable = False
        object.__setattr__(model, "start", start)
    for field, array in ((name, rows), ("reward", reward)):
        array.flags.writeable = False
        object.__setattr__(model, field, array)


def _choice(choice: ArrayLike, shape: tuple[int, ...], limit: int) -> Integers:
    """A choice of vertices, checked."""
    chosen = as_array("choice", choice, np.int64).reshape(np.shape(choice))
    require(chosen.shape == shape, f"the choice of vertices has shape {chosen.shape}; it must be {shape}.")
    outside = (chosen < 0) | (chosen >= limit)
    if outside.any():
        raise ModelError(f"the choice names vertex {chosen[outside].ravel()[0]}; there are {limit}.")
    return chosen
