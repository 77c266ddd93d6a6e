r"""Markov jump processes on finitely many states and the time interval [0, 1]: what a discrete diffusion model is when it samples.

The rates are constant on each of m pieces of equal length: from t to t + dt the process goes from x to :math:`y \ne x` with
probability :math:`q_t(x, y)\,dt`. With the reward r at time 1 and a temperature :math:`\alpha > 0` its rates may be tuned, at the price
of :math:`\alpha` times the divergence of the laws of paths (Wang et al. 2024, arXiv 2410.13643).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mdplab.models.errors import ModelError
from mdplab.models.finite_chain import require_probabilities
from theory.claims.families import family

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class JumpProcess:
    """``start``, shape (S,), ``rates``, shape (m, S, S), and ``reward``, shape (S,).

    ``rates[k][x, y]``, for y other than x, is the rate of jumps from x to y at times in [k/m, (k + 1)/m); the diagonal is filled in so
    that rows sum to 0. ``key`` is the call that rebuilds the process.

    Raises :class:`ModelError` for other shapes, a start law that is none, and rates or rewards that are negative or not finite.
    """

    start: Array
    rates: Array
    reward: Array
    key: str | None = None

    def __post_init__(self) -> None:
        start, rates, reward = (np.array(a, dtype=float) for a in (self.start, self.rates, self.reward))
        if start.ndim != 1 or start.size == 0:
            raise ModelError(f"the start law of a process has the shape (S,), not {start.shape}.")
        S = start.size
        if rates.ndim != 3 or rates.shape[0] == 0 or rates.shape[1:] != (S, S):
            raise ModelError(f"the rates of a process of {S} states have the shape (m, {S}, {S}), not {rates.shape}.")
        if reward.shape != (S,) or not np.isfinite(reward).all():
            raise ModelError(f"a process of {S} states has {S} finite rewards, not {reward!r}.")
        require_probabilities(start, "the start law")
        rates[:, np.arange(S), np.arange(S)] = 0.0
        if not ((rates >= 0) & np.isfinite(rates)).all():
            k, x, y = (int(i) for i in np.argwhere(~((rates >= 0) & np.isfinite(rates)))[0])
            raise ModelError(f"the rate from state {x} to state {y} on piece {k} is {rates[k, x, y]}.")
        rates = complete(rates)
        for array, name in ((start, "start"), (rates, "rates"), (reward, "reward")):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def states(self) -> int:
        """The number of states S."""
        return self.start.size

    @property
    def pieces(self) -> int:
        """The number m of pieces of constant rates."""
        return self.rates.shape[0]

    def __repr__(self) -> str:
        return f"JumpProcess({self.key or f'{self.states} states, {self.pieces} pieces'})"


def complete(rates: Array) -> Array:
    """The generators (..., S, S) with these rates off the diagonal: the diagonal makes the rows sum to 0."""
    generator = np.array(rates, dtype=float)
    diagonal = np.arange(generator.shape[-1])
    generator[..., diagonal, diagonal] = 0.0
    generator[..., diagonal, diagonal] = -generator.sum(axis=-1)
    return generator


@family(S=2, pieces=1)
def random_jump_process(
    S: int = 4,
    pieces: int = 4,
    speed: float = 1.0,
    spread: float = 1.0,
    point: bool = True,
    sparse: bool = False,
    seed: int = 0,
) -> JumpProcess:
    """Exponential rates of mean ``speed``; rewards normal with standard deviation ``spread``.

    The start is state 0, or without ``point`` drawn from Dirichlet(1). ``sparse`` leaves only jumps to the next state, round a ring.
    """
    rng = np.random.default_rng(seed)
    rates = speed * rng.exponential(size=(pieces, S, S))
    if sparse:
        rates = rates * np.roll(np.eye(S), 1, axis=1)
    start = np.eye(S)[0] if point else rng.dirichlet(np.ones(S))
    return JumpProcess(start, rates, spread * rng.standard_normal(S))


@family(tokens=2)
def masked_diffusion(
    tokens: int = 3, pieces: int = 4, unmasking: float = 3.0, spread: float = 1.0, seed: int = 0
) -> JumpProcess:
    """Two positions that start masked and are unmasked independently, each once: state a (tokens + 1) + b, 0 being the mask.

    A position takes token a > 0 at the rate ``unmasking`` (k + 1)/``pieces`` times a probability that depends on the position and on
    the piece k; rewards of pairs are normal with standard deviation ``spread``.
    """
    rng = np.random.default_rng(seed)
    size = tokens + 1
    rates = np.zeros((pieces, size, size, size, size))
    for k in range(pieces):
        laws = unmasking * (k + 1) / pieces * rng.dirichlet(np.ones(tokens), size=2)
        for other in range(size):
            rates[k, 0, other, np.arange(1, size), other] = laws[0]
            rates[k, other, 0, other, np.arange(1, size)] = laws[1]
    return JumpProcess(np.eye(size**2)[0], rates.reshape(pieces, size**2, size**2), spread * rng.standard_normal(size**2))
