"""Grid worlds: from a map drawn in text, or large ones with random obstacles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mdplab.models.errors import ModelError
from mdplab.models.families import model_family, require, require_probability
from mdplab.models.tabular import TabularMDP

# up, right, down, left: the neighbours of an action in this order are its two perpendiculars
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))
NAMES = ("up", "right", "down", "left")


@model_family
def grid_world(
    map: str = "S..\n.#.\n..G", slip: float = 0.1, step: float = 0.0, goal: float = 1.0, pit: float = -1.0, gamma: float = 0.95
) -> TabularMDP:
    """A slippery grid from a text map: ``#`` wall, ``.`` floor, ``S`` start (floor), ``G`` goal, ``P`` pit; rows end with newlines.

    A move goes where it was meant with probability 1 - ``slip`` and to either side with ``slip`` / 2; walls and edges keep it in
    place. Every move pays ``step``; entering the goal or a pit pays ``goal`` or ``pit`` on top and ends the episode in an
    absorbing state. States are the cells that are no wall, in reading order, then the end; goals and pits are among them, for
    pictures, but are never stood on. The start is uniform over the cells marked ``S``, or over the floor if there is none.
    """
    rows = map.strip("\n").split("\n")
    if len({len(r) for r in rows}) != 1 or not rows[0]:
        widths = sorted({len(r) for r in rows})
        raise ModelError(f"the rows of the map must be of one length, and not empty; they are {widths} characters long.")
    strange = sorted(set("".join(rows)) - set("#.SGP"))
    require(not strange, f"the map holds {strange[0] if strange else ''!r}; only # . S G P are known.")
    cells = np.array([list(r) for r in rows])
    pay = np.select([cells == "G", cells == "P"], [goal, pit], 0.0)
    ends = np.isin(cells, ["G", "P"])
    require(bool((~ends & (cells != "#")).any()), "the map has no floor to stand on.")
    return _build(cells == "#", ends, pay, slip, step, gamma, cells == "S")


@model_family(rows=2, columns=2)
def slippery_grid(
    rows: int = 10, columns: int = 10, slip: float = 0.2, obstacles: float = 0.1, gamma: float = 0.99, seed: int = 0
) -> TabularMDP:
    """A large slippery grid with random obstacles: every move costs 1, the goal in the far corner ends the episode with 0.

    The start is the near corner; each other cell is a wall with probability ``obstacles``, so that the goal may be out of reach
    (then -1 / (1 - gamma) is all there is). States and moves are those of :func:`grid_world`.
    """
    require(rows >= 2 and columns >= 2, f"a grid needs two rows and two columns or more, not {rows} and {columns}.")
    require_probability("the fraction of obstacles", obstacles)
    wall = np.random.default_rng(seed).random((rows, columns)) < obstacles
    wall[0, 0] = wall[-1, -1] = False
    ends, start = np.zeros((rows, columns), dtype=bool), np.zeros((rows, columns), dtype=bool)
    ends[-1, -1] = start[0, 0] = True
    return _build(wall, ends, np.zeros((rows, columns)), slip, -1.0, gamma, start)


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
    require_probability("the slip probability", slip)
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
    weights = np.array([1 - slip, slip / 2, slip / 2])
    nexts, reward = np.full((S, 4, 3), end, dtype=np.int32), np.zeros((S, 4))
    for a in range(4):
        ways = [a, (a + 1) % 4, (a - 1) % 4]
        nexts[:-1, a] = arrive[:, ways]
        reward[:-1, a] = earn[:, ways] @ weights
    probability = np.broadcast_to(weights, nexts.shape).copy()
    for later, earlier in ((1, 0), (2, 0), (2, 1)):  # ways that end in the same cell are one transition
        same = nexts[:, :, later] == nexts[:, :, earlier]
        probability[:, :, earlier] += np.where(same, probability[:, :, later], 0.0)
        probability[:, :, later][same] = 0.0
    keep = probability > 0
    where = number[start] if start.any() else number[~wall & ~ends]
    law = np.zeros(S)
    law[where] = 1.0 / where.size
    return TabularMDP(
        state_pointer=np.arange(S + 1) * 4,
        row_pointer=np.concatenate(([0], np.cumsum(keep.sum(axis=2).ravel()))),
        next_state=nexts[keep],
        probability=probability[keep],
        reward=reward.ravel(),
        gamma=gamma,
        start=law,
        action_names=NAMES,
    )
