"""How many roll-outs a lock takes with and without resets to the states of data (claims drpo/reset-...).

Locks of three actions, batches of 1500 roll-outs, uniform first actions, mirror steps of size 5 without a pull to the reference.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.measuring import Point
from experiments.study import Study, grid
from mdplab.learning.dataset_reset import SolvingTimes, roll_outs_until_solved
from mdplab.models import EpisodicMDP, episodic_lock
from mdplab.solvers import backward_induction
from theory.random_streams import run_seeds

Floats = NDArray[np.float64]

CAP = 180_000
COVERAGE = 81.0  # C_ST: the right action has probability 0.415, 0.534 and 0.614 in locks of 5, 7 and 9 steps
FADING = 0.3 + 0.7 / 3  # the right action of a reference whose coverage fades with H: right in 0.3, and by luck


def lock_reference(mdp: EpisodicMDP, right: float, first: float | None = None) -> Floats:
    """The policy (H, 2, A) that takes the right action of a lock with probability ``right`` (``first`` at the first step)."""
    H, A = mdp.horizon, mdp.actions
    chance = np.full(H, right)
    chance[0] = right if first is None else first
    code = backward_induction(mdp).policy[:, 0]
    policy = np.full(mdp.R.shape, 1 / A)
    policy[:, 0] = ((1 - chance) / (A - 1))[:, None]
    policy[np.arange(H), 0, code] = chance
    return policy


@functools.lru_cache(maxsize=32)
def solving_times(
    H: int,
    right: float,
    seed: int,
    runs: int,
    *,
    most: int,
    start: str = "uniform",
    first: float | None = None,
    resets: bool = True,
) -> SolvingTimes:
    """Roll-outs until the chance of opening a lock of ``H`` steps passes 0.9, in ``runs`` runs of at most ``most`` roll-outs.

    The reference is :func:`lock_reference`; the first policy is the "uniform" one or the reference ("mu"). Without ``resets`` every
    roll-out begins in the initial state.
    """
    return _solve(seed, run_seeds(seed, runs), H, right, right if first is None else first, start, most, resets)


def resets_study(heights: Sequence[int] = (3, 5, 7, 9, 11, 13), *, seed: int, runs: int, most: int = CAP) -> Study:
    """Roll-outs until locks of these heights open, with and without resets: rows ``seed, roll_outs, solved``.

    The first policy is uniform and the reference has C_ST = 81 at every height, or the first policy is the reference, which is
    right with probability :data:`FADING` at every step. A third sort of point has a reference that never takes the ``first`` right
    action. The lock of ``H`` steps is that of seed ``H``.
    """
    points: list[Point] = []
    for H in heights:
        right = COVERAGE ** (-1 / H)
        points += grid(H=H, right=right, first=right, start="uniform", most=most, resets=(True, False))
        points += grid(H=H, right=FADING, first=FADING, start="mu", most=most, resets=(True, False))
        points += grid(H=H, right=right, first=0.0, start="uniform", most=most, resets=True)
    return Study("dataset-resets", measure_resets, points, run_seeds(seed, runs))


def measure_resets(
    *, seeds: NDArray[np.uint64], H: int, right: float, first: float, start: str, most: int, resets: bool
) -> dict[str, ArrayLike]:
    """One point of :func:`resets_study`."""
    found = _solve(H, seeds, H, right, first, start, most, resets)
    return {"seed": seeds, "roll_outs": found.roll_outs, "solved": found.solved}


def _solve(
    lock: int, seeds: NDArray[np.uint64], H: int, right: float, first: float, start: str, most: int, resets: bool
) -> SolvingTimes:
    mdp = episodic_lock(A=3, H=H, seed=lock)
    return roll_outs_until_solved(
        mdp,
        lock_reference(mdp, right, first),
        seeds,
        target=0.9,
        step=5.0,
        batch=1500,
        most=most,
        resets=resets,
        start=np.full(mdp.R.shape, 1 / 3) if start == "uniform" else None,
    )
