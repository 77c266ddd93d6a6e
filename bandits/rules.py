"""What a policy of a K-armed bandit is to the simulators: a rule of the kernel with its tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from theory.errors import InputError


@dataclass(frozen=True, eq=False)
class Rule:
    """A rule of the kernel: its ``code``, scalars and tables by round (from 0) and by number of pulls.

    ``by_round`` has an entry for each round of the horizon and ``by_count`` one for 0 up to as many pulls.
    """

    code: int
    by_round: NDArray[np.float64]
    by_count: NDArray[np.float64]
    numbers: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))


class Policy(Protocol):
    """The parameters of a policy. ``rule`` is what it does on ``arms`` arms for ``horizon`` rounds."""

    def rule(self, arms: int, horizon: int) -> Rule:
        """The kernel's rule. Raises :class:`InputError` for parameters that are out of their range."""
        ...


def rule(
    code: int, horizon: int, by_round: NDArray[np.float64] | float, by_count: NDArray[np.float64] | float, *numbers: float
) -> Rule:
    """A rule with its tables written out; a number stands for a table of equal entries."""
    scalars = np.zeros(3)
    scalars[: len(numbers)] = numbers
    # copies: the kernels would be compiled once more for read-only tables
    rounds = np.array(np.broadcast_to(by_round, horizon), dtype=float)
    counts = np.array(np.broadcast_to(by_count, horizon + 1), dtype=float)
    return Rule(code, rounds, counts, scalars)


def inverse_roots(horizon: int) -> NDArray[np.float64]:
    """1 / sqrt(n) for n = 0 .. horizon (1 for n = 0, which is never used); NumPy's, so that every caller breaks ties alike."""
    return 1 / np.sqrt(np.maximum(np.arange(horizon + 1), 1))


def require_at_least(least: float, value: float, what: str) -> None:
    """Raise :class:`InputError` unless ``value`` is a finite number of at least ``least``."""
    if not (np.isfinite(value) and value >= least):
        raise InputError(f"{what} is at least {least:g}, not {value}.")
