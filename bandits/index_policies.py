r"""Policies for stochastic bandits: an index for each arm, and the arm of the largest index is pulled.

In the first K rounds every arm is pulled once, in order (Thompson sampling with a Beta prior needs no such start); of several
arms with the largest index the lowest-numbered is pulled. :math:`\bar x_a` is the mean of the :math:`n_a` rewards of arm a that have
been seen, and t the number of rounds that have been played.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bandits import _kernels_play as kernels
from bandits.rules import Rule, inverse_roots, require_at_least, rule
from theory.errors import InputError


@dataclass(frozen=True)
class UCB1:
    r""":math:`\bar x_a + \sqrt{c \ln t / n_a}` with c = ``exploration``, 2 in the paper; 0 is the greedy rule.

    Auer, Cesa-Bianchi and Fischer, Machine Learning 47, 2002; for rewards in [0, 1].
    """

    exploration: float = 2.0

    def rule(self, arms: int, horizon: int) -> Rule:
        """See :class:`bandits.rules.Policy`."""
        require_at_least(0, self.exploration, "UCB1's exploration constant")
        rounds = np.maximum(np.arange(horizon), 1)
        return rule(kernels.UPPER_CONFIDENCE, horizon, np.sqrt(self.exploration * np.log(rounds)), inverse_roots(horizon))


@dataclass(frozen=True)
class MOSS:
    r""":math:`\bar x_a + \sqrt{\max(\ln(T / (K n_a)), 0) / n_a}`, T being the horizon.

    Audibert and Bubeck, COLT 2009; the worst-case regret is of the order sqrt(KT).
    """

    def rule(self, arms: int, horizon: int) -> Rule:
        """See :class:`bandits.rules.Policy`."""
        pulls = np.maximum(np.arange(horizon + 1), 1)
        return rule(kernels.UPPER_CONFIDENCE, horizon, 1.0, np.sqrt(np.maximum(np.log(horizon / (arms * pulls)), 0) / pulls))


@dataclass(frozen=True)
class KLUCB:
    r""":math:`\max\{q : n_a\, \mathrm{kl}(\bar x_a, q) \le \ln t + c \ln\ln t\}` for rewards in [0, 1], c = ``loglog``.

    kl is the divergence of Bernoulli laws; c = 3 in the proofs and 0 in practice. Garivier and Cappe, COLT 2011, 1102.2490.
    """

    loglog: float = 0.0

    def rule(self, arms: int, horizon: int) -> Rule:
        """See :class:`bandits.rules.Policy`."""
        require_at_least(0, self.loglog, "KL-UCB's constant of ln ln t")
        logs = np.log(np.maximum(np.arange(horizon), 1))
        level = logs + self.loglog * np.log(np.maximum(logs, 1))
        return rule(kernels.KL_UCB, horizon, level, 1.0)


@dataclass(frozen=True)
class BetaThompson:
    r"""Thompson sampling: the index is drawn from arm a's posterior Beta(a + successes, b + failures); rewards are 0 or 1.

    ``a``, ``b`` >= 1 are the prior's. Thompson 1933; Kaufmann, Korda and Munos 2012, 1205.4217; Agrawal and Goyal 2013, 1209.3353.
    """

    a: float = 1.0
    b: float = 1.0

    def rule(self, arms: int, horizon: int) -> Rule:
        """See :class:`bandits.rules.Policy`."""
        require_at_least(1, self.a, "the Beta prior's a")
        require_at_least(1, self.b, "the Beta prior's b")
        return rule(kernels.BETA_THOMPSON, horizon, 1.0, 1.0, self.a, self.b)


@dataclass(frozen=True)
class GaussianThompson:
    r"""Thompson sampling for normal rewards of known ``deviation`` under a flat prior: N(mean, deviation^2 / n_a) is the posterior."""

    deviation: float = 1.0

    def rule(self, arms: int, horizon: int) -> Rule:
        """See :class:`bandits.rules.Policy`."""
        require_at_least(0, self.deviation, "the rewards' standard deviation")
        return rule(kernels.GAUSSIAN_THOMPSON, horizon, 1.0, self.deviation * inverse_roots(horizon))


@dataclass(frozen=True)
class EpsilonGreedy:
    """A uniform arm with probability ``min(1, epsilon t^-decay)`` after t rounds, the best mean so far otherwise."""

    epsilon: float = 0.1
    decay: float = 0.0

    def rule(self, arms: int, horizon: int) -> Rule:
        """See :class:`bandits.rules.Policy`."""
        require_at_least(0, self.epsilon, "epsilon")
        require_at_least(0, self.decay, "the decay of epsilon")
        rounds = np.maximum(np.arange(horizon), 1.0)
        return rule(kernels.EPSILON_GREEDY, horizon, np.minimum(1, self.epsilon * rounds**-self.decay), 1.0)


@dataclass(frozen=True)
class ExploreThenCommit:
    """Every arm ``pulls`` times in turn, then the arm of the best mean so far for ever."""

    pulls: int = 100

    def rule(self, arms: int, horizon: int) -> Rule:
        """See :class:`bandits.rules.Policy`."""
        if self.pulls < 1:
            raise InputError(f"exploration pulls every arm at least once, not {self.pulls} times.")
        return rule(kernels.COMMIT, horizon, 1.0, 1.0, self.pulls)
