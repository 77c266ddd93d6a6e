"""Grid worlds: from a map drawn in text, or large ones with random obstacles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mdplab.models.errors import ModelError
from mdplab.models.tabular import TabularMDP
from theory.claims.families import Call, family

# up, right, down, left: the neighbours of an action in this order are its two perpendiculars
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))
NAMES = ("up", "right", "down", "left")


@family
def grid_world(
    map: str = "S..\n.#.\n..G", slip: float = 0.1, step: float = 0.0, goal: float = 1.0, pit: float = -1.0, gamma: float = 0.95
) -> TabularMDP:
    """A slippery grid from a text map: ``#`` wall, ``.`` floor, ``S`` start (floor), ``G`` goal, ``P`` pit; rows end with newlines.

    A move goes where it was meant with probability 1 - ``slip`` and to either side with ``slip`` / 2; walls and edges keep it in
    place. Every move pays ``step``; entering the goal or a pit pays ``goal`` or ``pit`` on top and ends the episode in an
    absorbing state. States are the cells that are no wall, in reading order, then the end.
    """
    rows = map.split("\n")
    if len({len(r) for r in rows}) != 1 or not rows[0]:
        raise ModelError("the rows of the map must be of one length, and not empty.")
    strange = sorted(set(map) - set("#.SGP\n"))
    if strange:
        raise ModelError(f"the map holds {strange[0]!r}; only # . S G P are known.")
    cells = np.array([list(r) for r in rows])
    pay = np.select([cells == "G", cells == "P"], [goal, pit], 0.0)
    built = _build(cells == "#", np.isin(cells, ["G", "P"]), pay, slip, step, gamma, cells == "S")
    key = str(Call("grid_world", {"map": map, "slip": slip, "step": step, "goal": goal, "pit": pit, "gamma": gamma}))
    return built.replace(key=key)


@family(rows=2, columns=2)
def slippery_grid(
    rows: int = 10, columns: int = 10, slip: float = 0.2, obstacles: float = 0.1, gamma: float = 0.99, seed: int = 0
) -> TabularMDP:
    """A large slippery grid with random obstacles: every move costs 1, the goal in the far corner ends the episode with 0.

    A fraction ``obstacles`` of the cells (never the two corners) is wall.
    """
    if rows < 2 or columns < 2:
        raise ModelError(f"a grid needs two rows and two columns or more, not {rows} and {columns}.")
    wall = np.random.default_rng(seed).random((rows, columns)) < obstacles
    wall[0, 0] = wall[-1, -1] = False
    ends, start = np.zeros((rows, columns), dtype=bool), np.zeros((rows, columns), dtype=bool)
    ends[-1, -1] = start[0, 0] = True
    built = _build(wall, ends, np.zeros((rows, columns)), slip, -1.0, gamma, start)
    parameters = {"rows": rows, "columns": columns, "slip": slip, "obstacles": obstacles, "gamma": gamma, "seed": seed}
    return built.replace(key=str(Call("slippery_grid", parameters)))


def _build(
    wall: NDArray[np.bool_],
    ends: NDArray[np.bool_],
    pay: NDArray[np.float64],
    slip: float,
    step: float,
    gamma: float,
    start: NDArray[np.bool_],
) -> TabularMDP:
    """The model of a grid: open cells in reading order, then one absorbing end; vectorised over cells."""
    if not 0 <= slip <= 1:
        raise ModelError(f"the slip probability is {slip}; it must lie between 0 and 1.")
    height, width = wall.shape
    number = np.full(wall.shape, -1, dtype=np.int64)
    number[~wall] = np.arange(int((~wall).sum()))
    y, x = np.nonzero(~wall)
    S, end = y.size + 1, y.size
    arrive = np.empty((S - 1, 4), dtype=np.int64)  # where a move in each direction ends
    earn = np.empty((S - 1, 4))
    for a, (dy, dx) in enumerate(MOVES):
        ty, tx = np.clip(y + dy, 0, height - 1), np.clip(x + dx, 0, width - 1)
        blocked = wall[ty, tx]
        ty, tx = np.where(blocked, y, ty), np.where(blocked, x, tx)
        arrive[:, a] = np.where(ends[ty, tx] & ((ty != y) | (tx != x)), end, number[ty, tx])
        earn[:, a] = step + pay[ty, tx] * ((ty != y) | (tx != x))
    closed = ends[y, x]  # a cell that ends the episode is never stood on; it leads to the end
    arrive[closed], earn[closed] = end, 0.0
    nexts = np.empty((S, 4, 3), dtype=np.int32)
    reward = np.zeros((S, 4))
    weights = np.array([1 - slip, slip / 2, slip / 2])
    for a in range(4):
        ways = [a, (a + 1) % 4, (a - 1) % 4]
        nexts[:-1, a] = arrive[:, ways]
        reward[:-1, a] = earn[:, ways] @ weights
    nexts[-1] = end
    where = number[start]
    law = np.zeros(S)
    law[where if where.size else slice(0, S - 1)] = 1.0 / (where.size or S - 1)
    keep = weights > 0
    return TabularMDP(
        state_pointer=np.arange(S + 1) * 4,
        row_pointer=np.arange(4 * S + 1) * int(keep.sum()),
        next_state=np.ascontiguousarray(nexts[:, :, keep]).ravel(),
        probability=np.tile(weights[keep], 4 * S),
        reward=reward.ravel(),
        gamma=gamma,
        start=law,
        action_names=NAMES,
    )
