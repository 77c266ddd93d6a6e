r"""Policies for adversarial bandits: the arm is drawn from weights that follow estimated cumulative losses.

In round t (from 1) the arm is drawn from p, which depends on the estimates :math:`\hat L_a` of the arms' cumulative losses. A loss is
1 minus a reward, in [0, 1]. T is the horizon, K the number of arms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bandits import _kernels_play as kernels
from bandits.rules import Rule, require_at_least, rule
from theory.errors import InputError


@dataclass(frozen=True)
class EXP3:
    r""":math:`p \propto e^{-\eta \hat L}`, :math:`\hat L_a \mathrel{+}= \ell 1\{a\} / p_a`: exponential weights without mixing.

    ``rate`` is eta, by default sqrt(2 ln K / (T K)); with ``anytime`` it is sqrt(ln K / (t K)) in round t.
    Auer, Cesa-Bianchi, Freund and Schapire 2002; Bubeck and Cesa-Bianchi 2012, 1204.5721, Section 3.1.
    """

    rate: float | None = None
    anytime: bool = False

    def rule(self, arms: int, horizon: int) -> Rule:
        """See :class:`bandits.rules.Policy`."""
        if self.anytime:
            return rule(kernels.EXPONENTIAL, horizon, np.sqrt(math.log(arms) / (np.arange(1, horizon + 1) * arms)), 1.0)
        rate = math.sqrt(2 * math.log(arms) / (horizon * arms)) if self.rate is None else self.rate
        require_at_least(0, rate, "the learning rate of EXP3")
        return rule(kernels.EXPONENTIAL, horizon, rate, 1.0)


@dataclass(frozen=True)
class EXP3P:
    r"""Gains with a bonus, :math:`\hat G_a \mathrel{+}= (g 1\{a\} + \beta) / p_a`, and p mixed with gamma of the uniform law.

    beta = sqrt(ln(K/delta) / (TK)), eta = .95 sqrt(ln K / (TK)), gamma = 1.05 sqrt(K ln K / T), at most 1.
    Auer, Cesa-Bianchi, Freund and Schapire 2002; constants of Bubeck and Cesa-Bianchi 2012, 1204.5721, Theorem 3.3.
    """

    delta: float = 0.05

    def rule(self, arms: int, horizon: int) -> Rule:
        """See :class:`bandits.rules.Policy`."""
        if not 0 < self.delta < 1:
            raise InputError(f"a probability of failure is between 0 and 1, not {self.delta}.")
        bonus = math.sqrt(math.log(arms / self.delta) / (horizon * arms))
        rate = 0.95 * math.sqrt(math.log(arms) / (horizon * arms))
        mixing = min(1.05 * math.sqrt(arms * math.log(arms) / horizon), 1.0)
        return rule(kernels.EXPONENTIAL, horizon, rate, 1.0, mixing, 0.0, bonus)


@dataclass(frozen=True)
class EXP3IX:
    r"""Implicit exploration, :math:`\hat L_a \mathrel{+}= \ell 1\{a\} / (p_a + \gamma)` with eta = 2 gamma = sqrt(2 ln K / (KT)).

    Kocak, Neu, Valko and Munos 2014; Neu 2015, 1506.03271.
    """

    def rule(self, arms: int, horizon: int) -> Rule:
        """See :class:`bandits.rules.Policy`."""
        rate = math.sqrt(2 * math.log(arms) / (horizon * arms))
        return rule(kernels.EXPONENTIAL, horizon, rate, 1.0, 0.0, rate / 2)


@dataclass(frozen=True)
class TsallisINF:
    r""":math:`p_a = 4 / (\eta_t (\hat L_a - x))^2` with :math:`\eta_t = 2 / \sqrt t` and x such that p sums to 1.

    Follow the regularised leader with Tsallis entropy of power 1/2 and plain importance weights; the same tuning is optimal
    against an adversary and for independent losses. Zimmert and Seldin 2021, 1807.07623.
    """

    def rule(self, arms: int, horizon: int) -> Rule:
        """See :class:`bandits.rules.Policy`."""
        return rule(kernels.TSALLIS, horizon, 2 / np.sqrt(np.arange(1, horizon + 1)), 1.0)
