"""Counter-based random streams for compiled simulators, and the seeds and checkpoints of independent runs.

A stream is a starting point, and entry n of it a pure function of that point and n: SplitMix64 (Steele, Lea and Flood 2014)
jumps to any entry at once. A simulator that gives every run its own streams therefore makes the same numbers whatever batch,
thread or process the run is part of, and two algorithms that read the same entries see the same randomness, which makes their
comparison a paired one.

The functions are for Numba kernels, which inline them. Called from Python they compute the same, but for words given as
``numpy.uint64``, since Numba hands a word back as a Python integer.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.errors import InputError

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
UNIT = 2.0**-53


def run_seeds(seed: int, runs: int) -> NDArray[np.uint64]:
    """``runs`` seeds of independent runs, derived from ``seed``; a longer list begins with the shorter one.

    Raises :class:`InputError` for fewer than one run.
    """
    if runs < 1:
        raise InputError(f"at least one run is needed, not {runs}.")
    return np.asarray(np.random.SeedSequence(int(seed)).generate_state(runs, dtype=np.uint64), dtype=np.uint64)


def read_seeds(seeds: ArrayLike) -> NDArray[np.uint64]:
    """``seeds`` as uint64[runs]; InputError unless they are a vector of whole numbers, 0 or more."""
    each = np.asarray(seeds)
    if each.ndim != 1 or each.size == 0 or not np.issubdtype(each.dtype, np.integer) or each.min() < 0:
        raise InputError("the seeds of the runs are a vector of whole numbers, one for each run.")
    return np.ascontiguousarray(each, dtype=np.uint64)


def read_checkpoints(length: int, checkpoints: ArrayLike | None, unit: str = "episode") -> NDArray[np.int64]:
    """Increasing whole numbers within [1, ``length``], the last alone unless given; InputError for anything else."""
    if length < 1:
        raise InputError(f"a run has at least 1 {unit}, not {length}.")
    marks = np.atleast_1d(np.asarray(length if checkpoints is None else checkpoints))
    if marks.ndim != 1 or marks.size == 0 or not np.issubdtype(marks.dtype, np.integer):
        raise InputError(f"the checkpoints of a run are whole numbers of {unit}s.")
    if marks[0] < 1 or marks[-1] > length or (np.diff(marks) <= 0).any():
        raise InputError(f"the checkpoints of a run increase within [1, {length}].")
    return marks.astype(np.int64)


@numba.njit(cache=True, inline="always")
def mix(z):  # type: ignore[no-untyped-def]
    """SplitMix64's finaliser: a bijection of 64-bit words in which every input bit moves every output bit."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@numba.njit(cache=True, inline="always")
def stream(seed, number):  # type: ignore[no-untyped-def]
    """The starting point of stream ``number`` (0, 1, ...) of the run of ``seed``, both 64-bit words."""
    return mix(mix(seed + GOLDEN) + GOLDEN * np.uint64(number + 1))


@numba.njit(cache=True, inline="always")
def uniform(start, n):  # type: ignore[no-untyped-def]
    """Entry n of a stream, uniform on [0, 1) with 53 bits."""
    return (mix(start + GOLDEN * np.uint64(n + 1)) >> np.uint64(11)) * UNIT


@numba.njit(cache=True, inline="always")
def normal(start, n):  # type: ignore[no-untyped-def]
    """Entry n of a stream of standard normal numbers, by Box and Muller (1958) from the uniform entries 2n and 2n + 1."""
    radius = math.sqrt(-2.0 * math.log(1.0 - uniform(start, 2 * n)))
    return radius * math.cos(2.0 * math.pi * uniform(start, 2 * n + 1))
