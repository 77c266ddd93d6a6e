r"""Storage problems on scenario trees: water that is released now saves the price of now, and cannot be released later.

In stage t, after the inflow w_t is seen, a release u_t and a level v_t at the end of the stage are chosen,

.. math:: 0 \le v_t \le \bar v, \qquad 0 \le u_t \le \bar u, \qquad v_t + u_t \le v_{t-1} + w_t,

what is missing from the last inequality being spilt; a demand D is met by the release and, at the price c_t, by D - u_t. The
inflows (and prices) are those of the nodes of a tree, whose leaves are the scenarios. A decision is *non-anticipative* if it is
one number for each node, so that it depends on the past alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mdplab.models.errors import ModelError
from mdplab.models.families import require
from mdplab.models.validation import as_array
from theory.claims.families import family

Floats = NDArray[np.float64]
PROBABILITY_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class StorageTree:
    """A storage problem on a tree of n nodes, whose leaves all have the same stage T.

    Arrays over nodes: ``parent`` int64[n] (smaller than the node, -1 in stage 1), ``probability`` (of reaching the node), ``inflow``
    and ``price``, float64[n]. Numbers: ``demand`` D, the ``capacity`` of the store, the largest ``release`` and the level at the
    ``start``. ``key`` rebuilds a generated tree. The arrays are read-only.

    Raises :class:`ModelError` for a parent that does not come first, probabilities that do not add up, leaves of different stages,
    a number that is negative or not finite, a start above the capacity.
    """

    parent: NDArray[np.int64]
    probability: Floats
    inflow: Floats
    price: Floats
    demand: float = 1.0
    capacity: float = 2.0
    release: float = 0.8
    start: float = 1.0
    key: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "parent", as_array("parent", self.parent, np.int64))
        n = self.parent.size
        require(self.parent.ndim == 1 and n > 0, f"parents have shape {self.parent.shape}; they must be a list of nodes.")
        early = (self.parent < -1) | (self.parent >= np.arange(n))
        if early.any():
            node = int(np.argmax(early))
            raise ModelError(f"the parent of node {node} is {self.parent[node]}; it must be an earlier node, or -1.")
        for name in ("probability", "inflow", "price"):
            values = as_array(name, getattr(self, name), np.float64)
            require(values.shape == (n,), f"the {name} has shape {values.shape}; the tree has {n} nodes.")
            bad = ~(np.isfinite(values) & (values >= 0))
            if bad.any():
                node = int(np.argmax(bad))
                raise ModelError(f"the {name} of node {node} is {values[node]}; it must be finite and at least 0.")
            object.__setattr__(self, name, values)
        for name in ("demand", "capacity", "release", "start"):
            number = float(getattr(self, name))
            require(bool(np.isfinite(number)) and number >= 0, f"the {name} is {number}; it must be finite and at least 0.")
            object.__setattr__(self, name, number)
        require(self.start <= self.capacity, f"the start {self.start} lies above the capacity {self.capacity}.")
        onward = np.bincount(self.parent + 1, weights=self.probability, minlength=n + 1)
        total = np.concatenate([[1.0], self.probability])
        inner = np.bincount(self.parent + 1, minlength=n + 1) > 0
        off = inner & (np.abs(onward - total) > PROBABILITY_ROUNDING)
        if off.any():
            node = int(np.argmax(off)) - 1
            place = f"the children of node {node}" if node >= 0 else "the nodes of stage 1"
            raise ModelError(f"the probabilities of {place} sum to {onward[node + 1]:.12g}, not to {total[node + 1]:.12g}.")
        stages = np.unique(self.stage[~inner[1:]])
        require(stages.size == 1, f"the leaves lie in stages {stages[0]} to {stages[-1]}; they must lie in one.")
        for name in ("parent", "probability", "inflow", "price"):
            getattr(self, name).flags.writeable = False

    @property
    def nodes(self) -> int:
        """Number of nodes n."""
        return int(self.parent.size)

    @cached_property
    def stage(self) -> NDArray[np.int64]:
        """The stage of each node, from 1 on, int64[n]."""
        stage = np.ones(self.nodes, dtype=np.int64)
        for node, before in enumerate(self.parent):
            if before >= 0:
                stage[node] = stage[before] + 1
        return stage

    @cached_property
    def paths(self) -> NDArray[np.int64]:
        """The nodes of each scenario, int64[N, T], one scenario for each leaf."""
        T = int(self.stage.max())
        path = np.empty((int((self.stage == T).sum()), T), dtype=np.int64)
        path[:, T - 1] = np.flatnonzero(self.stage == T)
        for t in range(T - 1, 0, -1):
            path[:, t - 1] = self.parent[path[:, t]]
        return path

    @property
    def scenario_probability(self) -> Floats:
        """The probability of each scenario, float64[N]."""
        return np.asarray(self.probability[self.paths[:, -1]])

    @property
    def usable(self) -> float:
        """The most that a stage can use, min{largest release, demand}."""
        return min(self.release, self.demand)


@family
def storage(
    inflows: tuple[float, ...] = (0.1, 0.9),
    prices: tuple[float, ...] = (1.0, 3.0, 2.5),
    demand: float = 1.0,
    capacity: float = 2.0,
    release: float = 0.8,
    start: float = 1.0,
) -> StorageTree:
    """Independent inflows, uniform on ``inflows`` in every stage, and one price for each stage."""
    b, T = len(inflows), len(prices)
    require(b >= 1 and T >= 1, f"a tree needs an inflow and a price, not {b} and {T}.")
    parent, stage = _complete(b, T)
    return StorageTree(
        parent,
        float(b) ** -stage.astype(float),
        np.tile(np.asarray(inflows, dtype=float), stage.size // b),
        np.asarray(prices, dtype=float)[stage - 1],
        demand,
        capacity,
        release,
        start,
    )


@family(T=1, branches=1)
def random_storage(
    T: int = 3, branches: int = 2, wet: float = 1.0, capacity: float = 2.0, release: float = 0.8, seed: int = 0
) -> StorageTree:
    """Every node has ``branches`` children of random probabilities, an inflow uniform on [0, ``wet``] and a price on [0, 3].

    The demand is 1, the start uniform on [0, ``capacity``].
    """
    require(T >= 1 and branches >= 1, f"a tree needs T >= 1 and branches >= 1, not T={T}, branches={branches}.")
    rng = np.random.default_rng(seed)
    parent, _ = _complete(branches, T)
    n = parent.size
    share = rng.dirichlet(np.full(branches, 2.0), size=n // branches).ravel()
    probability = np.empty(n)
    for node in range(n):
        probability[node] = share[node] * (probability[parent[node]] if parent[node] >= 0 else 1.0)
    return StorageTree(
        parent,
        probability,
        wet * rng.random(n),
        3 * rng.random(n),
        1.0,
        capacity,
        release,
        capacity * float(rng.random()),
    )


@family
def wet_or_dry(wet: float = 0.01, first: float = 0.98, second: float = 1.0) -> StorageTree:
    """A full store and two stages: the second is dry, or with probability ``wet`` so wet that what was kept is of no use.

    The prices are ``first`` and ``second``. Where first < (1 - wet) second, keeping everything is optimal and costs ``first``; who
    knows a wet scenario at once releases everything and pays nothing in it.
    """
    require(0 < wet < 1, f"the probability of the wet scenario is {wet}; it must lie strictly between 0 and 1.")
    return StorageTree(
        np.array([-1, 0, 0]),
        np.array([1.0, 1 - wet, wet]),
        np.array([0.0, 0.0, 1.0]),
        np.array([first, second, second]),
        capacity=1.0,
        release=1.0,
    )


def _complete(branches: int, T: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Parents and stages of the nodes of a complete tree, stage by stage."""
    stage = np.repeat(np.arange(1, T + 1), branches ** np.arange(1, T + 1))
    return np.arange(stage.size) // branches - 1, stage
