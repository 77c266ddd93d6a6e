r"""The lucky loser: an instance on which maximum likelihood never recovers from labels it saw once.

Two good responses are compared with each other :math:`N - m` times. Each of m bad ones is compared once, with the second of the
good ones, and by luck may win. A bad response that won its only comparison looks as good as the box of rewards allows, however
large N is.

Bad responses that won are alike, and so are those that lost. The convex fits of this package therefore have solutions in which
they have the same reward, and depend on the data only through two binomial numbers: expectations over data are sums over
these, and each fit has four rewards in place of :math:`m + 2`.

Liu et al. (2024), arXiv 2405.16436, describe the failure; the instance is built for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import binom

from bandits.preference import _kernels
from bandits.preference.box_likelihood import STEPS, TOLERANCE
from bandits.preference.kl_bandit import KLBandit
from theory.claims.families import family
from theory.errors import InputError
from theory.tilts import log_tilt

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
NEGLIGIBLE = 1e-13  # the probability below which an outcome of the data is left out


@dataclass(frozen=True, eq=False)
class LuckyLoser:
    """The instance: responses 0 and 1 are good, the ``losers`` others are bad.

    ``bandit``: rewards (0 for the bad ones), a uniform reference, the temperature. ``base`` (K,): the baseline policy, on the good ones.
    ``comparisons``: N, the number of labels, at least as many as there are losers. ``high``: the box of rewards is [0, high].
    """

    bandit: KLBandit
    base: Array
    comparisons: int
    high: float
    key: str | None = None

    @property
    def losers(self) -> int:
        """The number m of bad responses."""
        return self.bandit.responses - 2

    @property
    def upset(self) -> float:
        """The probability that a bad response wins its comparison."""
        return float(expit(self.bandit.reward[-1] - self.bandit.reward[1]))

    @property
    def win(self) -> float:
        """The probability that response 0 wins against response 1."""
        return float(expit(self.bandit.reward[0] - self.bandit.reward[1]))


@family(N=30, losers=1)
def lucky_loser(N: int = 100, losers: int = 20, scale: float = 3.0, beta: float = 0.05) -> LuckyLoser:
    """``scale`` times the rewards .8, .6, 0, ..., 0, in the box [0, ``scale``]; a uniform reference."""
    if losers < 1 or losers > N:
        raise InputError(f"{losers} losers, at least 1, need as many labels, not {N}.")
    K = losers + 2
    reward = np.zeros(K)
    reward[:2] = 0.8 * scale, 0.6 * scale
    base = np.zeros(K)
    base[:2] = 0.5
    return LuckyLoser(KLBandit(reward, np.full(K, -np.log(K)), beta), base, N, scale)


def sample_lucky_loser(instance: LuckyLoser, rng: np.random.Generator) -> Array:
    """Counts of labels, shape (K, K): entry (i, j) is how often i was preferred to j."""
    counts = np.zeros((instance.losers + 2, instance.losers + 2))
    rounds = instance.comparisons - instance.losers
    counts[0, 1] = rng.binomial(rounds, instance.win)
    counts[1, 0] = rounds - counts[0, 1]
    counts[2:, 1] = rng.random(instance.losers) < instance.upset
    counts[1, 2:] = 1 - counts[2:, 1]
    return counts


def outcome_law(instance: LuckyLoser) -> tuple[Integers, Integers, Array]:
    """What the data can be: upsets (n,), wins of response 0 over 1 (n,), and their probabilities (n,).

    Outcomes with a probability below 1e-13 are left out: in all less than 1e-12 (n + 1).
    """
    rounds = instance.comparisons - instance.losers

    def bulk(trials: int, p: float) -> Integers:
        return np.arange(max(binom.ppf(NEGLIGIBLE, trials, p), 0), binom.isf(NEGLIGIBLE, trials, p) + 1).astype(np.int64)

    upsets, wins = np.meshgrid(bulk(instance.losers, instance.upset), bulk(rounds, instance.win), indexing="ij")
    law = binom.pmf(upsets, instance.losers, instance.upset) * binom.pmf(wins, rounds, instance.win)
    kept = law >= NEGLIGIBLE
    return upsets[kept], wins[kept], law[kept]


@dataclass(frozen=True, eq=False)
class LearntPolicies:
    """What a learner makes of every outcome of the data.

    ``law`` (n,): the probabilities of the outcomes. ``log_policies`` (n, 4): the policies learnt, as log-probabilities of the two
    good responses, of all losers that won, and of all that lost. ``log_optimum`` (n, 4): the optimal policy, grouped alike.
    ``reward`` (4,): the true rewards of the groups. ``certificate``: the largest gap of a fit.
    """

    law: Array
    log_policies: Array
    log_optimum: Array
    reward: Array
    certificate: float


def learnt_policies(instance: LuckyLoser, eta: float | None) -> LearntPolicies:
    """The policies of RPO with the weight ``eta`` >= 0 of the data; with None, the tilts by the maximum-likelihood reward in the box.

    The fits have one reward for a group of alike responses, and give it the reference probability of all of them.
    """
    upsets, wins, law = outcome_law(instance)
    m, N = instance.losers, instance.comparisons
    counts = np.zeros((law.size, 4, 4))
    counts[:, 0, 1], counts[:, 1, 0] = wins, N - m - wins
    counts[:, 2, 1], counts[:, 1, 3] = upsets, m - upsets
    good = np.full(law.size, 1.0)
    with np.errstate(divide="ignore"):
        reference = np.log(np.stack((good, good, upsets, m - upsets), axis=1) / (m + 2))
    base, beta = np.append(instance.base[:2], (0.0, 0.0)), float(instance.bandit.beta)
    if eta is not None and not 0 <= eta < np.inf:
        raise InputError(f"the weight eta of the data is at least 0 and finite, not {eta}.")
    data, tilt, linear = (1.0, 0.0, 0 * base) if eta is None else (eta, 1.0, base)
    fitted, gaps = _kernels.box_newton_each(
        data / N * counts, reference, linear, beta, tilt, 0.0, float(instance.high), TOLERANCE, STEPS
    )
    reward = np.append(instance.bandit.reward[:2], (0.0, 0.0))
    return LearntPolicies(law, log_tilt(reference, fitted, beta), log_tilt(reference, reward, beta), reward, float(gaps.max()))
