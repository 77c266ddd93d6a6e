r"""Feynman-Kac steering (Singhal et al. 2025, arXiv 2501.06848): particles that are drawn towards a reward while a chain runs.

At each time t every particle moves by the chain, is weighted by a potential :math:`G_t`, and N particles are drawn from the weighted
ones with replacement (multinomial resampling). The normaliser :math:`Z = \mathbb{E}\, e^{\lambda r_T(x_T)}` is estimated by the product
:math:`\hat Z` of the mean weights. A potential is *admissible* if :math:`\prod_t G_t = e^{\lambda r_T(x_T)}` along every path:

==============  ==================================================================  ==========================================
difference      :math:`G_t = e^{\lambda(r_t - r_{t-1})}, \; G_0 = e^{\lambda r_0}`  all the way
max             :math:`G_t = e^{\lambda \max_{s \le t} r_s}`                        :math:`G_T = e^{\lambda r_T} / \prod_{t<T} G_t`
sum             :math:`G_t = e^{\lambda \sum_{s \le t} r_s / (T+1)}`                :math:`G_T = e^{\lambda r_T} / \prod_{t<T} G_t`
none            :math:`G_t = 1`                                                     :math:`G_T = e^{\lambda r_T}`
==============  ==================================================================  ==========================================

*None* is importance sampling: its particles are resampled at the end alone. What a particle remembers of its path (its maximum, its
sum, the product of its potentials, its last score) is resampled with it.

Exact expectations of what these runs return are in :mod:`mdplab.sampling.smc_moments`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models.finite_chain import FiniteChain, require_strength
from theory.errors import InputError
from theory.random_streams import read_seeds

Array = NDArray[np.float64]
Potential = Literal["none", "difference", "max", "sum"]
POTENTIALS: tuple[Potential, ...] = get_args(Potential)


@dataclass(frozen=True, eq=False)
class SteeredParticles:
    """``counts`` int64[runs, S], how many particles of each run end in each state, and ``log_normaliser`` float64[runs], ln Z_hat."""

    counts: NDArray[np.int64]
    log_normaliser: Array

    @property
    def law(self) -> Array:
        """The law of each run's particles, shape (runs, S)."""
        return self.counts / self.counts.sum(axis=1, keepdims=True)


@dataclass(frozen=True, eq=False)
class Proposal:
    """What particles are moved by, and what their log-weights gain for it.

    ``start`` (S,) and ``kernels`` (T, S, S) are probabilities; ``start_ratio`` and ``ratios``, of the same shapes, the logarithms of
    the chain's probabilities over them (0 where both are 0).
    """

    start: Array
    kernels: Array
    start_ratio: Array
    ratios: Array


def steer(
    chain: FiniteChain,
    potential: Potential,
    strength: float,
    particles: int,
    seeds: ArrayLike,
    *,
    proposal: FiniteChain | None = None,
    resampled: ArrayLike | None = None,
    corrected: bool = True,
) -> SteeredParticles:
    """Independent runs of ``particles`` particles, one for each of ``seeds``, at ``strength`` lambda > 0.

    Particles move by the chain, or by another ``proposal`` of the same shape, whose weights are multiplied by the ratio of the
    chain's probabilities to the proposal's. ``resampled`` (T + 1 booleans, the last of them true) says after which times particles
    are resampled; weights gather in between. By default that is every time, and the last one alone for the potential "none".
    Without ``corrected`` the last potential follows the rule of those before it, and the potential is not admissible (but for
    "difference"): a mistake, kept for comparison.
    """
    from mdplab.sampling._kernels_smc import steering_runs

    moves = read_proposal(chain, proposal)
    each, when = read_seeds(seeds), read_resampling(chain, potential, resampled)
    count = require_particles(particles)
    counts = np.zeros((each.size, chain.states), dtype=np.int64)
    log_normaliser = np.empty(each.size)
    steering_runs(
        _running_sums(moves.start),
        _running_sums(moves.kernels),
        moves.start_ratio,
        moves.ratios,
        require_strength(strength) * chain.scores,
        POTENTIALS.index(potential),
        corrected,
        when,
        each,
        count,
        counts,
        log_normaliser,
    )
    return SteeredParticles(counts, log_normaliser)


def read_proposal(chain: FiniteChain, proposal: FiniteChain | None) -> Proposal:
    """The chain itself, or ``proposal`` with its ratios; :class:`InputError` for another shape, or where it cannot follow."""
    if proposal is None:
        return Proposal(chain.start, chain.kernels, np.zeros_like(chain.start), np.zeros_like(chain.kernels))
    if proposal.kernels.shape != chain.kernels.shape:
        raise InputError(f"a proposal has the kernels' shape {chain.kernels.shape} of its chain, not {proposal.kernels.shape}.")
    return Proposal(
        proposal.start,
        proposal.kernels,
        _log_ratio(chain.start, proposal.start),
        _log_ratio(chain.kernels, proposal.kernels),
    )


def read_resampling(chain: FiniteChain, potential: Potential, resampled: ArrayLike | None) -> NDArray[np.bool_]:
    """After which of the times 0 .. T particles are resampled, bool[T + 1]; :class:`InputError` for what is no such schedule."""
    if potential not in POTENTIALS:
        raise InputError(f"a potential is one of {', '.join(POTENTIALS)}, not {potential!r}.")
    times = chain.steps + 1
    if resampled is None:
        return np.arange(times) >= (chain.steps if potential == "none" else 0)
    schedule = np.asarray(resampled)
    if schedule.shape != (times,) or schedule.dtype != np.bool_ or not schedule[-1]:
        raise InputError(f"a schedule of resampling is {times} booleans, the last of them true.")
    return schedule


def require_particles(particles: int) -> int:
    """``particles`` if there is at least one, else :class:`InputError`."""
    if particles < 1:
        raise InputError(f"at least one particle is needed, not {particles}.")
    return int(particles)


def _log_ratio(wanted: Array, proposed: Array) -> Array:
    missing = (wanted > 0) & (proposed == 0)
    if missing.any():
        place = tuple(int(i) for i in np.argwhere(missing)[0])
        raise InputError(f"the proposal gives probability 0 to entry {place}, to which the chain gives {wanted[place]}.")
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(proposed > 0, np.log(wanted) - np.log(proposed), 0.0)


def _running_sums(probabilities: Array) -> Array:
    sums = np.cumsum(probabilities, axis=-1)
    return sums / sums[..., -1:]
