"""Stochastic bandits (Bernoulli, Gaussian and heavy-tailed rewards) and families of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from theory.claims.families import family
from theory.errors import InputError


@dataclass(frozen=True, eq=False)
class StochasticBandit:
    """A bandit whose pulls of arm a pay independent rewards of mean ``means[a]``, shape (K,), K >= 1.

    What the rewards' law is, a subclass says. Raises :class:`InputError` naming the arm whose mean is not finite. ``key`` is
    the call that rebuilds the instance.
    """

    means: NDArray[np.float64]
    key: str | None = None

    def __post_init__(self) -> None:
        means = np.array(self.means, dtype=float)
        if means.ndim != 1 or means.size == 0:
            raise InputError(f"a bandit has a vector of means, one for each arm, not an array of shape {means.shape}.")
        if not np.isfinite(means).all():
            arm = int(np.argmin(np.isfinite(means)))
            raise InputError(f"arm {arm} of a bandit has the mean {means[arm]}, which is not a number.")
        means.setflags(write=False)
        object.__setattr__(self, "means", means)

    @property
    def arms(self) -> int:
        """The number of arms K."""
        return self.means.size

    @cached_property
    def optimal_mean(self) -> float:
        """The largest mean."""
        return float(self.means.max())

    @cached_property
    def gaps(self) -> NDArray[np.float64]:
        """What a pull of each arm costs in expectation, ``optimal_mean - means``, shape (K,); 0 for an optimal arm."""
        return self.optimal_mean - self.means

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.key or self.means.tolist()})"


@dataclass(frozen=True, eq=False, repr=False)
class BernoulliBandit(StochasticBandit):
    """Arm a pays 1 with probability ``means[a]`` and 0 otherwise. Raises :class:`InputError` for a mean outside [0, 1]."""

    def __post_init__(self) -> None:
        super().__post_init__()
        outside = ~((self.means >= 0) & (self.means <= 1))
        if outside.any():
            arm = int(np.argmax(outside))
            raise InputError(f"arm {arm} of a Bernoulli bandit has the mean {self.means[arm]}, outside [0, 1].")


@dataclass(frozen=True, eq=False, repr=False)
class GaussianBandit(StochasticBandit):
    """Arm a pays a normal number of mean ``means[a]`` and standard deviation ``deviation`` >= 0."""

    deviation: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (np.isfinite(self.deviation) and self.deviation >= 0):
            raise InputError(f"the standard deviation of a Gaussian bandit is at least 0, not {self.deviation}.")


@dataclass(frozen=True, eq=False, repr=False)
class ParetoBandit(StochasticBandit):
    """Arm a pays ``means[a]`` plus or minus, with equal chances, ``scale`` times a Pareto number on [1, inf) of index ``tail``.

    Moments of order p are finite for p < ``tail``, which is above 1: heavy tails without a variance from 2 downwards.
    """

    tail: float = 1.5
    scale: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (np.isfinite(self.tail) and self.tail > 1):
            raise InputError(f"the tail index of a Pareto bandit is above 1, so that means exist, not {self.tail}.")
        if not (np.isfinite(self.scale) and self.scale >= 0):
            raise InputError(f"the scale of a Pareto bandit is at least 0, not {self.scale}.")


@family(K=2)
def bernoulli_bandit(K: int = 5, low: float = 0.0, high: float = 1.0, seed: int = 0) -> BernoulliBandit:
    """K means drawn independently and uniformly from [low, high]."""
    if K < 1:
        raise InputError(f"a bandit has at least one arm, not {K}.")
    if not 0 <= low <= high <= 1:
        raise InputError(f"the means of a Bernoulli bandit are drawn from an interval within [0, 1], not [{low}, {high}].")
    means = np.random.default_rng(seed).uniform(low, high, size=K)
    return BernoulliBandit(means)


@family
def two_armed(gap: float = 0.1, mean: float = 0.5) -> BernoulliBandit:
    """Two arms of means ``mean - gap`` and ``mean``: the better one comes last, so that ties do not favour it."""
    if gap < 0:
        raise InputError(f"the gap of a two-armed bandit is at least 0, not {gap}.")
    return BernoulliBandit(np.array([mean - gap, mean]))


@family(K=2)
def one_good_arm(K: int = 10, gap: float = 0.1, mean: float = 0.5) -> BernoulliBandit:
    """K - 1 arms of mean ``mean - gap`` and, last, one of mean ``mean``: the hard instance of lower bounds."""
    if K < 2:
        raise InputError(f"one good arm among others needs at least two arms, not {K}.")
    return BernoulliBandit(np.append(np.full(K - 1, mean - gap), mean))


@family
def bernoulli_arms(means: tuple[float, ...] = (0.4, 0.6)) -> BernoulliBandit:
    """The Bernoulli bandit of the given means."""
    return BernoulliBandit(np.array(means, dtype=float))
