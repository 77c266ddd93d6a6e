"""Pessimistic problems whose true reward is known: what the guarantees of RPO and VPO are quantified over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from bandits.preference.adversarial_reward import RewardGame
from bandits.preference.comparisons import labelled, sample_counts
from bandits.preference.families import SMALLEST_PROBABILITY
from bandits.preference.kl_bandit import KLBandit
from bandits.preference.lucky_loser import lucky_loser
from theory.claims.families import family
from theory.links import bradley_terry

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class KnownGame:
    """A game against an adversarial reward, and the bandit with the true reward, which lies in the game's box."""

    game: RewardGame
    bandit: KLBandit
    key: str | None = None

    def __repr__(self) -> str:
        return f"KnownGame({self.key or f'{self.bandit.responses} responses'})"


@family(K=2, N=0)
def random_game(
    K: int = 5,
    N: int = 100,
    eta: float = 10.0,
    beta: float = 0.5,
    high: float = 3.0,
    concentration: float = 1.0,
    seed: int = 0,
) -> KnownGame:
    """Rewards uniform in [0, ``high``]; ``N`` labels of pairs whose law is drawn from Dirichlet(0.3), many pairs being rare.

    The reference and the baseline are drawn from Dirichlet(``concentration``), floored at 1e-12.
    """
    rng = np.random.default_rng(seed)
    reference, base = np.maximum(rng.dirichlet(np.full(K, concentration), size=2), SMALLEST_PROBABILITY)
    reward = rng.uniform(0, high, K)
    pairs = np.triu(np.ones((K, K)), 1)
    pairs[pairs > 0] = rng.dirichlet(np.full(K * (K - 1) // 2, 0.3))
    counts = sample_counts(labelled(pairs, bradley_terry(reward)), N, rng).astype(float)
    log_reference = np.log(reference / reference.sum())
    game = RewardGame(counts, log_reference, base / base.sum(), beta, eta, 0.0, high)
    return KnownGame(game, KLBandit(reward, log_reference, beta))


@family
def searched_game(
    reward: tuple[float, ...] = (0.0, 1.0),
    logits: tuple[float, ...] = (0.0, 0.0),
    base: tuple[float, ...] = (0.0, 0.0),
    wins: tuple[float, ...] = (1.0, 1.0),
    eta: float = 1.0,
    beta: float = 0.5,
    high: float = 1.0,
) -> KnownGame:
    """Rewards as shares of ``high``; ``logits`` of the reference and of the baseline; ``wins`` for i over j, row by row without i = j."""
    K = len(reward)
    counts = np.zeros((K, K))
    counts[~np.eye(K, dtype=bool)] = wins
    r, reference = high * np.array(reward), log_softmax(np.array(logits))
    return KnownGame(RewardGame(counts, reference, softmax(np.array(base)), beta, eta, 0.0, high), KLBandit(r, reference, beta))


@family
def lucky_game(N: int = 1600, upsets: int = 3, losers: int = 20, beta: float = 0.05) -> KnownGame:
    """The lucky loser with ``upsets`` losers that won, the expected number of wins (rounded) otherwise, and eta = sqrt(N)."""
    instance = lucky_loser(N=N, losers=losers, beta=beta)
    counts = np.zeros((losers + 2, losers + 2))
    counts[0, 1] = round((N - losers) * instance.win)
    counts[1, 0] = N - losers - counts[0, 1]
    counts[2 : 2 + upsets, 1] = 1
    counts[1, 2 + upsets :] = 1
    game = RewardGame(counts, instance.bandit.log_reference, instance.base, beta, float(np.sqrt(N)), 0.0, instance.high)
    return KnownGame(game, instance.bandit)


@family
def one_best(others: tuple[float, ...] = (1.0, 1.0), best: float = 2.0, beta: float = 0.1) -> KLBandit:
    """The rewards ``others``, then ``best``, and a uniform reference: where a learner must not give up the last response."""
    K = len(others) + 1
    return KLBandit(np.array([*others, best]), np.full(K, -np.log(K)), beta)
