r"""Bounds on the regret of exponential weights and its relatives against K arms with losses in [0, 1], over T rounds.

The *pseudo*-regret is the expected loss less that of the best fixed arm. Sources: Bubeck and Cesa-Bianchi 2012 (1204.5721) for EXP3 and
EXP3.P, Neu 2015 (1506.03271) for EXP3-IX, Zimmert and Seldin 2021 (1807.07623) for Tsallis-INF.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.errors import InputError

Floats = NDArray[np.float64]


def exp3(rounds: ArrayLike, arms: int) -> Floats:
    r""":math:`\sqrt{2 T K \ln K}`, on the pseudo-regret of EXP3 with :math:`\eta = \sqrt{2 \ln K / (TK)}`."""
    return np.sqrt(2 * _rounds(rounds, arms) * arms * math.log(arms))


def exp3p(rounds: ArrayLike, arms: int, delta: float) -> Floats:
    r""":math:`5.15 \sqrt{T K \ln(K/\delta)}`, on the regret of EXP3.P with probability at least :math:`1 - \delta`."""
    return 5.15 * np.sqrt(_rounds(rounds, arms) * arms * math.log(arms / _chance(delta)))


def exp3_ix(rounds: ArrayLike, arms: int, delta: float) -> Floats:
    r""":math:`2\sqrt{2KT \ln K} + (\sqrt{2KT/\ln K} + 1) \ln(2/\delta)`, on the regret of EXP3-IX with probability :math:`1 - \delta`."""
    T, log = _rounds(rounds, arms), math.log(arms)
    return 2 * np.sqrt(2 * arms * T * log) + (np.sqrt(2 * arms * T / log) + 1) * math.log(2 / _chance(delta))


def tsallis_inf(rounds: ArrayLike, arms: int) -> Floats:
    r""":math:`4\sqrt{KT} + 1`, on the pseudo-regret of Tsallis-INF with importance weights."""
    return 4 * np.sqrt(arms * _rounds(rounds, arms)) + 1


def _rounds(rounds: ArrayLike, arms: int) -> Floats:
    T = np.asarray(rounds, dtype=float)
    if arms < 2 or not (T >= 1).all():
        raise InputError(f"the bound is for at least two arms and one round, not {arms} and {T.min()}.")
    return T


def _chance(delta: float) -> float:
    if not 0 < delta < 1:
        raise InputError(f"a probability of failure is between 0 and 1, not {delta}.")
    return delta
