r"""Exact expectations of particle steering (:mod:`mdplab.sampling.smc`).

Write :math:`\gamma^N(f) = \hat Z \cdot \tfrac1N \sum_i f(X^i)` for the unnormalised estimate that N particles make of
:math:`\gamma(f) = \mathbb{E}[f(x_T) e^{\lambda r_T(x_T)}]`. It has no bias (Del Moral 2004). Given the weighted particles at one time of
resampling, those at the next are drawn independently. A pair of them, chosen at random, is therefore one particle twice with
probability 1/N, and otherwise two independent ones. If :math:`Q g = G \cdot K g` is a step of weights and moves, pairs of
particles thus carry functions F of two arguments backwards by

.. math:: F \;\mapsto\; (1 - \tfrac1N)\, (Q \otimes Q) F + \tfrac1N\, (Q\, \mathrm{diag} F) \otimes G,

starting from :math:`f \otimes f` (Cerou, Del Moral and Guyader 2011). F stays a sum of products of functions of one argument, one more
for each time of resampling, so that the second moment costs as many applications of Q as there are pairs of times, whatever N.

A particle is here a *node*: its state, and what it remembers of its path. There are up to S^(t+1) nodes at time t for the potentials
"max" and "sum", and S^2 for the others.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix

from mdplab.models.finite_chain import MOST_PATHS, FiniteChain, require_strength
from mdplab.sampling.smc import Potential, read_proposal, read_resampling, require_particles
from theory.errors import InputError

Array = NDArray[np.float64]
# for the enumeration: state, statistic, log product of potentials, log-weight since the last resampling
Particle = tuple[int, float, float, float]
# configurations, sorted as particles are alike, with their probability, and the expectations of Z_hat so far and its square on them
Masses = dict[tuple[Particle, ...], Array]


@dataclass(frozen=True, eq=False)
class ParticleLaw:
    """What a run ends in, by enumeration: C outcomes.

    ``counts`` int64[C, S] are the particles in each state, ``probability`` float64[C] is the chance of the outcome, ``first`` and
    ``second`` are the expectations of Z_hat and of its square on it (zero elsewhere).
    """

    counts: NDArray[np.int64]
    probability: Array
    first: Array
    second: Array

    @property
    def law(self) -> Array:
        """The law of the particles in each outcome, shape (C, S)."""
        return self.counts / self.counts.sum(axis=1, keepdims=True)


def enumerate_particles(
    chain: FiniteChain,
    potential: Potential,
    strength: float,
    particles: int,
    *,
    proposal: FiniteChain | None = None,
    resampled: ArrayLike | None = None,
    corrected: bool = True,
    carried: bool = True,
) -> ParticleLaw:
    """The exact law of what :func:`~mdplab.sampling.smc.steer` returns, by going through all moves and all choices of ancestors.

    The cost grows like S^(N (T+1)) N^N: for two or three particles on two or three states. Without ``carried``, what a particle
    remembers of its path stays in its place when its state is replaced: a mistake, kept for comparison.
    """
    moves, when = read_proposal(chain, proposal), read_resampling(chain, potential, resampled)
    N, S, T = require_particles(particles), chain.states, chain.steps
    scores = require_strength(strength) * chain.scores
    now: Masses = {((-1, -np.inf if potential == "max" else 0.0, 0.0, 0.0),) * N: np.ones(3)}
    for t in range(T + 1):

        def options(particle: Particle, t: int = t) -> list[tuple[float, Particle]]:
            x, statistic, product, weight = particle
            law, ratio = (moves.start, moves.start_ratio) if t == 0 else (moves.kernels[t - 1, x], moves.ratios[t - 1, x])
            found = []
            for y in np.flatnonzero(law).tolist():
                after, gain = _potential(potential, statistic, float(scores[t, y]), T)
                if t == T and corrected:
                    gain = float(scores[t, y]) - product
                found.append((float(law[y]), (y, after, product + gain, weight + gain + float(ratio[y]))))
            return found

        moved: Masses = {}
        for configuration, mass in now.items():
            for drawn in itertools.product(*(options(particle) for particle in configuration)):
                chance = math.prod(p for p, _ in drawn)
                _add(moved, tuple(sorted(particle for _, particle in drawn)), chance * mass)
        now = _resettled(moved, carried) if when[t] else moved
    outcomes: dict[tuple[int, ...], Array] = {}
    for configuration, mass in now.items():
        _add(outcomes, tuple(np.bincount([particle[0] for particle in configuration], minlength=S).tolist()), mass)
    masses = np.array(list(outcomes.values()))
    return ParticleLaw(np.array(list(outcomes), dtype=np.int64), masses[:, 0], masses[:, 1], masses[:, 2])


def _resettled(masses: Masses, carried: bool) -> Masses:
    """The configurations after a resampling; masses are multiplied by powers 0, 1 and 2 of the mean weight."""
    found: Masses = {}
    for configuration, mass in masses.items():
        weights = np.exp([particle[3] for particle in configuration])
        mean, shares = weights.mean(), (weights / weights.sum()).tolist()
        places = range(len(configuration))
        for parents in itertools.product(places, repeat=len(configuration)):
            remembered = parents if carried else places
            drawn = ((configuration[i][0], *configuration[k][1:3], 0.0) for i, k in zip(parents, remembered))
            _add(found, tuple(sorted(drawn)), math.prod(shares[i] for i in parents) * mass * mean ** np.arange(3))
    return found


def second_moment(
    chain: FiniteChain,
    potential: Potential,
    strength: float,
    particles: int,
    values: ArrayLike | None = None,
    *,
    proposal: FiniteChain | None = None,
    resampled: ArrayLike | None = None,
    corrected: bool = True,
) -> Array:
    r""":math:`\mathbb{E}[\gamma^N(f)^2]` for each column f of ``values`` (S,) or (S, F), shape () or (F,), for any number of particles.

    The particles are those after the last resampling. Without ``values``, f = 1: the second moment of :math:`\hat Z`.
    """
    share = 1 / require_particles(particles)
    levels = _levels(chain, potential, strength, proposal, resampled, corrected)
    f, shape = _columns(chain, values)
    pairs = [(f, f)]
    for kernel, weight in reversed(levels):
        twice = sum((u * v for u, v in pairs), np.zeros_like(pairs[0][0]))
        pairs = [((1 - share) * weight * (kernel @ u), weight * (kernel @ v)) for u, v in pairs]
        pairs.append((share * weight * (kernel @ twice), np.broadcast_to(weight, pairs[0][0].shape)))
    return np.asarray(sum(u[0] * v[0] for u, v in pairs)).reshape(shape)[()]


def asymptotic_variance(
    chain: FiniteChain,
    potential: Potential,
    strength: float,
    values: ArrayLike | None = None,
    *,
    proposal: FiniteChain | None = None,
    resampled: ArrayLike | None = None,
) -> Array:
    r""":math:`\lim_N N\, \mathrm{Var}\, \gamma^N(f)`, the same shapes as in :func:`second_moment`.

    It is :math:`\sum_\ell \gamma_\ell(1)\, \gamma_\ell(h_\ell^2) - \gamma(f)^2` over the times of drawing particles: of pairs that are one particle
    once. :math:`\gamma_\ell` is the unnormalised law of particles before they are weighted there, and :math:`h_\ell` what one of them is
    expected to gain from there on.
    """
    levels = _levels(chain, potential, strength, proposal, resampled, True)
    f, shape = _columns(chain, values)
    gains = [f]
    for kernel, weight in reversed(levels):
        gains.append(weight * (kernel @ gains[-1]))
    gains.reverse()  # gains[0] is at the root: gamma(f)
    law, total = np.ones(1), np.zeros(f.shape[1])
    for (kernel, weight), later in zip(levels, gains[1:]):
        law = (law * weight[:, 0]) @ kernel
        total += law.sum() * (law @ later**2) - gains[0][0] ** 2
    return np.asarray(total).reshape(shape)[()]


def _columns(chain: FiniteChain, values: ArrayLike | None) -> tuple[Array, tuple[int, ...]]:
    f = np.ones(chain.states) if values is None else np.asarray(values, dtype=float)
    if f.ndim not in (1, 2) or f.shape[0] != chain.states or not np.isfinite(f).all():
        raise InputError(f"a function on {chain.states} states has finite values ({chain.states},) or ({chain.states}, F).")
    return f.reshape(chain.states, -1), f.shape[1:]


def _levels(
    chain: FiniteChain,
    potential: Potential,
    strength: float,
    proposal: FiniteChain | None,
    resampled: ArrayLike | None,
    corrected: bool,
) -> list[tuple[csr_matrix, Array]]:
    """Pairs (K, G): the moves from the nodes of one time of resampling to those of the next, and the weights (n, 1) of the former.

    The first starts from a single root of weight 1, the last ends in the states.
    """
    moves, when = read_proposal(chain, proposal), read_resampling(chain, potential, resampled)
    S, T = chain.states, chain.steps
    scores = require_strength(strength) * chain.scores
    # rows of nodes: state, statistic, log product of potentials, log-weight since the last resampling
    nodes = np.array([[0.0, -np.inf if potential == "max" else 0.0, 0.0, 0.0]])
    root_weight = np.ones((1, 1))
    levels: list[tuple[csr_matrix, Array]] = []
    reach: csr_matrix | None = None
    for t in range(T + 1):
        if nodes.shape[0] * S > MOST_PATHS:
            raise InputError(f"steering with {potential!r} through {T} steps needs more than {MOST_PATHS} nodes.")
        x = nodes[:, 0].astype(int)
        chance = moves.start[None] if t == 0 else moves.kernels[t - 1][x]
        ratio = moves.start_ratio[None] if t == 0 else moves.ratios[t - 1][x]
        parent, y = np.nonzero(chance > 0)
        statistic, gain = _potential(potential, nodes[parent, 1], scores[t, y], T)
        if t == T and corrected:
            gain = scores[t, y] - nodes[parent, 2]
        product = nodes[parent, 2] + gain
        if potential == "difference":
            product = scores[t, y]  # the product telescopes; without rounding more nodes are alike
        children = np.column_stack((y, statistic, product, nodes[parent, 3] + gain + ratio[parent, y]))
        merged, place = np.unique(children, axis=0, return_inverse=True)
        step = csr_matrix((chance[parent, y], (parent, place.ravel())), shape=(nodes.shape[0], merged.shape[0]))
        reach = step if reach is None else reach @ step
        nodes = merged
        if when[t]:
            levels.append((reach, root_weight))
            root_weight = np.exp(nodes[:, [3]])
            reach = None
            nodes = nodes.copy()
            nodes[:, 3] = 0.0
    ends = csr_matrix(
        (np.ones(nodes.shape[0]), (np.arange(nodes.shape[0]), nodes[:, 0].astype(int))), shape=(nodes.shape[0], S)
    )
    levels.append((ends, root_weight))
    return levels


def _potential(potential: Potential, statistic: Any, score: Any, steps: int) -> tuple[Any, Any]:
    """The new statistic and ln G_t of particles with this statistic and a new score (numbers or arrays)."""
    if potential == "difference":
        return score, score - statistic
    if potential == "max":
        highest = np.maximum(statistic, score)
        return highest, highest
    if potential == "sum":
        return statistic + score, (statistic + score) / (steps + 1)
    return 0.0 * score, 0.0 * score


def _add(masses: dict[Any, Array], key: Any, mass: Array) -> None:
    masses[key] = masses.get(key, 0.0) + mass
