r"""Bounds for linear bandits: OFUL's, the elliptical potential, and those of DynLin-UCB for a hidden linear state.

Sources: Abbasi-Yadkori, Pal and Szepesvari 2011 (Improved Algorithms for Linear Stochastic Bandits, NeurIPS 2011) for OFUL;
Mussi, Metelli and Restelli 2023 (Dynamical Linear Bandits, arXiv 2211.08997) for DynLin-UCB, whose radius is the published one with
the number of epochs in place of the number of rounds. The constants of the bound on its regret are derived here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.errors import InputError

Floats = NDArray[np.float64]


def log_volume(rounds: ArrayLike, dimension: int, ridge: float, largest: float) -> Floats:
    r""":math:`d \ln(1 + T L^2 / (\lambda d))`, at least :math:`\ln \det(V_T / \lambda I)` for actions of norm at most L.

    The mean of the eigenvalues of V is its trace over d, and the logarithm is concave. ``rounds`` at least 0, ``largest`` = L.
    """
    T = np.asarray(rounds, dtype=float)
    if dimension < 1 or not (T >= 0).all():
        raise InputError(f"a volume needs a dimension of at least 1 and no negative rounds, not {dimension} and {rounds!r}.")
    if not (ridge > 0 and largest >= 0):
        raise InputError(f"a volume needs a positive ridge and a norm of at least 0, not {ridge} and {largest}.")
    return np.asarray(dimension * np.log1p(T * largest**2 / (ridge * dimension)))[()]


def elliptical_potential_bound(log_det: ArrayLike) -> Floats:
    r""":math:`\ln\det(V_T / \lambda I) / \ln 2`, at least :math:`\sum_t \min(1, \|x_t\|^2_{V_{t-1}^{-1}})`: the textbooks' 2 is 1.443.

    :math:`\min(1, u) \ln 2 \le \ln(1 + u)`, by concavity on [0, 1], with equality at 0 and 1. ``log_det`` at least 0.
    """
    volume = np.asarray(log_det, dtype=float)
    if not (volume >= 0).all():
        raise InputError("the logarithm of det(V / ridge) is at least 0.")
    return np.asarray(volume / math.log(2))[()]


def oful_radius(log_det: ArrayLike, *, deviation: float, ridge: float, norm: float, delta: float) -> Floats:
    r""":math:`\sigma \sqrt{2 \ln(1/\delta) + \ln\det(V/\lambda I)} + \sqrt\lambda\, S`, the radius of OFUL's ellipsoid (Theorem 2).

    With probability 1 - delta every estimate is within it, in the norm of V. ``norm`` = S bounds the norm of the parameter.
    """
    _positive(ridge, delta)
    return np.asarray(
        deviation * np.sqrt(2 * math.log(1 / delta) + np.asarray(log_det, dtype=float)) + math.sqrt(ridge) * norm
    )[()]


def oful_regret(
    rounds: ArrayLike, dimension: int, *, deviation: float, ridge: float, norm: float, largest: float, delta: float
) -> Floats:
    r"""Theorem 3: with probability 1 - delta the regret of OFUL is at most, for mean rewards in [-1, 1] and ridge at least :math:`\max(1, L^2)`,

    .. math:: 4 \sqrt{T d \ln(\lambda + TL/d)}\,
              \bigl(\sqrt\lambda S + \sigma\sqrt{2\ln(1/\delta) + d \ln(1 + TL/(\lambda d))}\bigr).

    Written as published, with L and not its square; the two agree for L = 1.
    """
    _positive(ridge, delta)
    T = np.asarray(rounds, dtype=float)
    if dimension < 1 or not (T >= 1).all():
        raise InputError(f"the regret bound is for a dimension and rounds of at least 1, not {dimension} and {rounds!r}.")
    first = 4 * np.sqrt(T * dimension * np.log(ridge + T * largest / dimension))
    inside = 2 * math.log(1 / delta) + dimension * np.log1p(T * largest / (ridge * dimension))
    return np.asarray(first * (math.sqrt(ridge) * norm + deviation * np.sqrt(inside)))[()]


@dataclass(frozen=True)
class SystemBounds:
    r"""What DynLin-UCB is told of the system :math:`x' = Ax + Bu + \epsilon,\ y = \langle\omega, x\rangle + \langle\theta, u\rangle + \eta`.

    ``rate`` :math:`\bar\rho \in (0, 1)` and ``transient`` :math:`\Phi \ge 1` with :math:`\|A^k\| \le \Phi \bar\rho^k` for all k;
    norms of ``theta``, ``omega``, ``control`` (B, as an operator), ``action`` (u), ``state`` (x, at all times); the subgaussian
    deviations ``state_deviation`` of :math:`\langle v, \epsilon\rangle`, v of norm 1, and ``reward_deviation`` of :math:`\eta`.

    Raises :class:`InputError` naming the number that is out of range.
    """

    rate: float
    transient: float
    theta: float
    omega: float
    control: float
    action: float
    state: float
    state_deviation: float
    reward_deviation: float

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise InputError(f"the rate of a stable system lies strictly between 0 and 1, not {self.rate}.")
        if not (1 <= self.transient < math.inf):
            raise InputError(f"the transient constant is finite and at least 1, not {self.transient}.")
        for field in fields(self)[2:]:
            value = getattr(self, field.name)
            if not (0 <= value < math.inf):
                raise InputError(f"the bound on {field.name} is finite and at least 0, not {value}.")

    @property
    def gain(self) -> float:
        r""":math:`\Omega B \Phi / (1 - \bar\rho)`, at least the norm of what the state adds to the Markov parameter."""
        return self.omega * self.control * self.transient / (1 - self.rate)

    @property
    def bias(self) -> float:
        r"""c_1 = :math:`U \Omega \Phi\, (U B / (1 - \bar\rho) + X)`: the bias of a sample of an epoch with H further rounds is at most
        :math:`c_1 \bar\rho^H / U`."""
        return self.action * self.omega * self.transient * (self.action * self.control / (1 - self.rate) + self.state)

    @property
    def norm(self) -> float:
        r"""c_2 = :math:`\Theta + \Omega B \Phi / (1 - \bar\rho)`, at least the norm of the Markov parameter."""
        return self.theta + self.gain

    @property
    def deviation(self) -> float:
        r"""s with :math:`s^2 = \sigma_y^2 + \sigma_x^2\, \Omega^2 \Phi^2 / (1 - \bar\rho^2)`, of the noise within an epoch."""
        return math.hypot(
            self.reward_deviation,
            self.state_deviation * self.omega * self.transient / math.sqrt(1 - self.rate**2),
        )

    @property
    def truncation(self) -> float:
        r""":math:`\Omega B U \Phi / (1 - \bar\rho)^2`: what the start and the end of time can be worth together."""
        return self.gain * self.action / (1 - self.rate)


def dynlin_radius(
    epochs: ArrayLike, dimension: int, system: SystemBounds, *, ridge: float, delta: float, bias: float = 1.0
) -> Floats:
    r"""DynLin-UCB's radius after m = ``epochs`` samples,

    .. math:: \beta_m = \frac{c_1}{\sqrt\lambda} \ln(e(m+1)) + c_2 \sqrt\lambda
              + \sqrt{2 s^2 \bigl(\ln\tfrac1\delta + \tfrac d2 \ln(1 + \tfrac{m U^2}{d\lambda})\bigr)}.

    If every epoch m has :math:`\bar\rho^{H_m} \le 1/m`, then with probability 1 - delta the Markov parameter is within it for all m, in the
    norm of V. ``bias`` multiplies the first term.
    """
    _positive(ridge, delta)
    m = np.asarray(epochs, dtype=float)
    volume = log_volume(m, dimension, ridge, system.action)
    first = bias * system.bias / math.sqrt(ridge) * (1 + np.log1p(m))
    return np.asarray(first + system.norm * math.sqrt(ridge) + system.deviation * np.sqrt(2 * math.log(1 / delta) + volume))[()]


def dynlin_regret(
    epochs: int, longest: int, dimension: int, system: SystemBounds, *, largest_gap: float, ridge: float, delta: float
) -> float:
    r"""A bound on the regret of DynLin-UCB over M = ``epochs`` epochs of at most ``longest`` rounds, with probability 1 - delta:

    .. math:: L \max(2 \beta_M, \Delta) \sqrt{\tfrac{d}{\ln 2} M \ln\bigl(1 + \tfrac{M U^2}{d\lambda}\bigr)}
              + \frac{\Omega B U \Phi}{(1 - \bar\rho)^2}.

    An epoch's action loses at most min(Delta, 2 beta ||u||_{V^-1}) a round in the long run (optimism), the widths are summed by
    Cauchy-Schwarz and :func:`elliptical_potential_bound`, and the mean state is away from its long-run value by the last term in all.
    ``largest_gap`` = Delta is the largest gap of an action, at least 0.
    """
    if epochs < 1 or longest < 1 or not largest_gap >= 0:
        raise InputError(f"the bound is for epochs and rounds of at least 1 and a gap of at least 0, not {largest_gap}.")
    widths = elliptical_potential_bound(log_volume(epochs, dimension, ridge, system.action))
    beta = dynlin_radius(epochs, dimension, system, ridge=ridge, delta=delta)
    return float(longest * max(2 * float(beta), largest_gap) * math.sqrt(epochs * float(widths)) + system.truncation)


def _positive(ridge: float, delta: float) -> None:
    if not (0 < ridge < math.inf and 0 < delta < 1):
        raise InputError(f"a confidence radius needs a positive ridge and a delta between 0 and 1, not {ridge} and {delta}.")
