r"""Last-switch-dependent bandits: what an arm pays depends on how long it has rested, or for how long it has been played.

The state of an arm is tau = d >= 1 after d rounds of rest and tau = -m after m plays in a row. In each round one arm is played,
or none. A play pays p_i(tau) and leads from tau > 0 to -1, from tau < 0 to tau - 1; an arm that is not played goes from
tau > 0 to tau + 1, from tau < 0 to 1. States are cut at |tau| = D, beyond which nothing changes. Payoffs are *monotone* when
p_i is non-decreasing along -D, ..., -1, 1, ..., D: rest never hurts and repetition never helps.

Recharging bandits, whose payoff depends on the delay since the last play alone, are the case in which all p_i(-m) are equal.

Laforgue, Clerici, Cesa-Bianchi and Gilad-Bachrach (2022, arXiv 2110.02717) introduced the model; Foussoul, Goyal,
Papadigenopoulos and Zeevi (2023, arXiv 2306.00338) plan and learn in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.claims.families import family
from theory.errors import InputError

Floats = NDArray[np.float64]
LARGEST_PAYOFF = 1e100  # sums of larger ones could overflow


@dataclass(frozen=True, eq=False)
class LastSwitchBandit:
    """A bandit with the payoffs ``payoffs[i, c]``, shape (n, 2D): c = 0, ..., 2D - 1 stands for tau = -D, ..., -1, 1, ..., D.

    Payoffs lie in [0, 1e100]; :class:`InputError` names the arm and the state of one that does not. They need not be monotone.
    ``key`` is the call that rebuilds the instance.
    """

    payoffs: Floats
    key: str | None = None

    def __post_init__(self) -> None:
        payoffs = np.array(self.payoffs, dtype=float, order="C")
        if payoffs.ndim != 2 or payoffs.size == 0 or payoffs.shape[1] % 2:
            raise InputError(f"a last-switch bandit has a table of payoffs of shape (n, 2D), not {payoffs.shape}.")
        bad = ~((payoffs >= 0) & (payoffs <= LARGEST_PAYOFF))
        if bad.any():
            arm, at = (int(k) for k in np.argwhere(bad)[0])
            tau = at - payoffs.shape[1] // 2 + (at >= payoffs.shape[1] // 2)
            raise InputError(f"arm {arm} pays {payoffs[arm, at]} in the state {tau}; payoffs lie in [0, 1e100].")
        payoffs.setflags(write=False)
        object.__setattr__(self, "payoffs", payoffs)

    @classmethod
    def recharging(cls, by_delay: ArrayLike) -> LastSwitchBandit:
        """The recharging bandit that pays ``by_delay[i, k - 1]`` k rounds after the last play, k = 1, ..., D + 1 or more.

        Shape (n, D + 1), D >= 1: p_i(-m) is the payoff at delay 1 for every m, and p_i(d) the payoff at delay d + 1.
        """
        table = np.asarray(by_delay, dtype=float)
        if table.ndim != 2 or table.shape[1] < 2:
            raise InputError(f"a recharging bandit has a table of payoffs of shape (n, D + 1) with D >= 1, not {table.shape}.")
        return cls(np.hstack([np.repeat(table[:, :1], table.shape[1] - 1, axis=1), table[:, 1:]]))

    @property
    def arms(self) -> int:
        """The number of arms n."""
        return self.payoffs.shape[0]

    @property
    def depth(self) -> int:
        """D, the largest number of rounds of rest, or of plays, that is told from larger ones."""
        return self.payoffs.shape[1] // 2

    @property
    def monotone(self) -> bool:
        """Whether every arm's payoffs are non-decreasing along -D, ..., -1, 1, ..., D."""
        return bool((np.diff(self.payoffs, axis=1) >= 0).all())

    def __repr__(self) -> str:
        return f"LastSwitchBandit({self.key or self.payoffs.tolist()})"


def after_play(columns: ArrayLike, depth: int) -> NDArray[np.int64]:
    """The columns of the states that follow a play in the states of the given ``columns`` (of any shape)."""
    at = np.asarray(columns, dtype=np.int64)
    return np.where(at >= depth, depth - 1, np.maximum(at - 1, 0))


def after_rest(columns: ArrayLike, depth: int) -> NDArray[np.int64]:
    """The columns of the states that follow a round of rest in the states of the given ``columns`` (of any shape)."""
    at = np.asarray(columns, dtype=np.int64)
    return np.where(at >= depth, np.minimum(at + 1, 2 * depth - 1), depth)


def _require_sizes(n: int, D: int) -> None:
    if n < 1 or D < 1:
        raise InputError(f"a last-switch bandit has at least 1 arm and a depth of at least 1, not {n} and {D}.")


@family(n=1, D=1)
def sorted_payoffs(n: int = 3, D: int = 3, seed: int = 0) -> LastSwitchBandit:
    """Each arm's payoffs are 2D sorted uniform numbers, times one uniform number of its own."""
    _require_sizes(n, D)
    rng = np.random.default_rng(seed)
    return LastSwitchBandit(np.sort(rng.uniform(size=(n, 2 * D)), axis=1) * rng.uniform(size=(n, 1)))


@family(n=1, D=1)
def step_payoffs(n: int = 3, D: int = 3, seed: int = 0) -> LastSwitchBandit:
    """Each arm pays nothing below a state drawn at random, and a uniform number from that state on."""
    _require_sizes(n, D)
    rng = np.random.default_rng(seed)
    first = rng.integers(2 * D, size=(n, 1))
    return LastSwitchBandit((np.arange(2 * D) >= first) * rng.uniform(size=(n, 1)))


@family(n=1, D=1)
def saturating_payoffs(n: int = 3, D: int = 3, seed: int = 0) -> LastSwitchBandit:
    """Each arm pays c_i after any rest and c_i q_i^m after m plays in a row, c_i and q_i uniform in [0, 1]."""
    _require_sizes(n, D)
    rng = np.random.default_rng(seed)
    level, decay = rng.uniform(size=(2, n, 1))
    return LastSwitchBandit(level * np.hstack([decay ** np.arange(D, 0, -1), np.ones((n, D))]))


@family(n=1, D=1)
def fully_rested_payoffs(n: int = 3, D: int = 3, seed: int = 0) -> LastSwitchBandit:
    """Each arm pays a uniform number after D rounds of rest, and nothing before."""
    _require_sizes(n, D)
    payoffs = np.zeros((n, 2 * D))
    payoffs[:, -1] = np.random.default_rng(seed).uniform(size=n)
    return LastSwitchBandit(payoffs)


@family(n=2)
def round_robin_arms(n: int = 3) -> LastSwitchBandit:
    """n equal recharging arms that pay 1 from a delay of n rounds on, and nothing before: playing them in turn earns 1."""
    if n < 2:
        raise InputError(f"arms that are played in turn are at least 2, not {n}.")
    return LastSwitchBandit.recharging(np.tile(np.arange(1, n + 1) == n, (n, 1)))


@family(D=2)
def greedy_trap(D: int = 3, small: float = 0.01) -> LastSwitchBandit:
    """Arm 0 pays 0 when repeated, ``small`` after 1 to D - 1 rounds of rest and 1 after D; arm 1 always 0.9 ``small``."""
    if D < 2 or not 0 <= small <= 1:
        raise InputError(f"the trap for greedy play needs D >= 2 and a small payoff in [0, 1], not {D} and {small}.")
    payoffs = np.full((2, 2 * D), 0.9 * small)
    payoffs[0] = np.repeat([0.0, small], D)
    payoffs[0, -1] = 1.0
    return LastSwitchBandit(payoffs)


@family
def pinwheel_arms(delays: tuple[int, ...] = (2, 3), payoffs: tuple[float, ...] | None = None) -> LastSwitchBandit:
    """Recharging arms that pay ``payoffs[i]`` (1 unless given) from a delay of ``delays[i]`` >= 1 on, and nothing before."""
    rewards = (1.0,) * len(delays) if payoffs is None else payoffs
    if not delays or min(delays) < 1 or len(rewards) != len(delays):
        raise InputError(f"a pinwheel has a delay of at least 1 and a payoff for each arm, not {delays} and {payoffs}.")
    delay = np.arange(1, max(*delays, 2) + 1)
    return LastSwitchBandit.recharging((delay >= np.array(delays)[:, None]) * np.array(rewards)[:, None])


@family
def stacked_payoffs(n: int = 2, increments: tuple[float, ...] = (0.0, 0.5, 0.5, 1.0)) -> LastSwitchBandit:
    """The monotone bandit whose arms in turn have these increments, at least 0: p_i(-D), p_i(1 - D) - p_i(-D), and so on."""
    if n < 1 or len(increments) == 0 or len(increments) % (2 * n):
        raise InputError(f"{n} arms need a multiple of {2 * n} increments, not {len(increments)}.")
    return LastSwitchBandit(np.cumsum(np.reshape(increments, (n, -1)), axis=1))
