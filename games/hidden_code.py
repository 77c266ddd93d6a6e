r"""The hidden code: an observation attack under which an episode tests one policy in :math:`2^H`.

An episode has H steps with a fresh uniform bit x_h each. The attacker knows a *code* c in :math:`\{0, 1\}^H`, drawn once, uniformly,
and shows :math:`x_h \oplus c_h`. The reward is 1 at the end if :math:`a_h = x_h` in all steps, and 0 otherwise; x is never shown. The
policy :math:`a_h = \mathrm{obs}_h \oplus b_h` earns 1 if b = c and 0 otherwise: the returns of these :math:`2^H` policies against these
:math:`2^H` attackers are the identity matrix. What is shown is uniform whatever c is, so an episode tells a learner, who acts on it
in any way, whether :math:`\mathrm{obs} \oplus a` is the code, and nothing else.

The regret of T episodes against the best policy in hindsight, averaged over codes, is at least :math:`\sum_{t \le T} [1 - t / 2^H]_+`.
Liu, Deng, Sun, Liang and Huang (2024), arXiv 2402.12673. What is out of its stated range raises
:class:`~theory.errors.InputError`.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import numpy as np
from numpy.typing import NDArray

from theory.errors import InputError

Array = NDArray[np.float64]
LONGEST = 20  # steps of an episode, so that the codes can be listed
LONGEST_PLANNED = 3  # ... and so that everything that a learner can know of the code can be


def search_regret(length: int, episodes: int) -> Fraction:
    r"""The expected regret of search without repetition, :math:`\sum_{t=1}^{T} [1 - t / N]_+` with :math:`N = 2^H`; exact.

    The code is the U-th tried, U uniform on 1 .. N, and is used from then on. No learner does better.
    """
    codes = _codes(length, episodes)
    lost = min(episodes, codes)
    return lost - Fraction(lost * (lost + 1), 2 * codes)


def memoryless_regret(length: int, episodes: int) -> Fraction:
    r"""The expected regret of a learner that tries a random code until one works, and keeps that: :math:`\sum_{t=1}^{T} (1 - 1/N)^t`."""
    codes = _codes(length, episodes)
    return (codes - 1) * (1 - Fraction(codes - 1, codes) ** episodes)


def uninformed_regret(length: int, episodes: int) -> Fraction:
    """The expected regret of random play for ever: T (1 - 1/N)."""
    codes = _codes(length, episodes)
    return episodes * (1 - Fraction(1, codes))


def play_search(length: int, episodes: int, seed: int = 0) -> NDArray[np.int64]:
    """The regret after each episode of the search itself, played bit by bit against every code, shape (2^H, episodes).

    The codes are tried in the order of the numbers 0 .. 2^H - 1. The bits x are drawn from ``seed``; they make no difference.
    """
    codes = _codes(length, episodes)
    rng = np.random.default_rng(seed)
    lost = np.empty((codes, episodes), dtype=np.int64)
    for code in range(codes):
        tried, found = 0, False
        for t in range(episodes):
            bits = int(rng.integers(codes))  # x, all of its H bits
            shown = bits ^ code
            action = shown ^ tried
            found = action == bits
            lost[code, t] = not found
            tried = tried if found else (tried + 1) % codes
    return lost.cumsum(axis=1)


def least_regret(length: int, episodes: int, *, reveal: bool = False) -> Fraction:
    """The least expected regret of any learner, by dynamic programming on what it knows of the code; exact, for tiny instances.

    Nothing is assumed of the learner: in each step it sees what is shown and acts, knowing everything before, and at the end it sees the
    reward. With ``reveal`` it is also told x_h after step h. For 1 <= ``length`` <= 3.
    """
    codes = _codes(length, episodes)
    if length > LONGEST_PLANNED:
        raise InputError(f"the dynamic programme is for codes of at most {LONGEST_PLANNED} bits, not {length}.")
    half = Fraction(1, 2)

    @cache
    def earned(left: int, possible: frozenset[int]) -> Fraction:
        """The largest reward of ``left`` episodes, in expectation over x, summed over the codes that are ``possible``."""
        return within(left, possible, possible, 0) if left and possible else Fraction(0)

    def within(left: int, possible: frozenset[int], right: frozenset[int], step: int) -> Fraction:
        """The same from ``step`` of an episode on, with no error so far if the code is one of ``right``."""
        if step == length:
            return len(right) + earned(left - 1, right) + earned(left - 1, possible - right)
        total = Fraction(0)
        for shown in (0, 1):  # each with probability 1/2, whatever the code
            best = Fraction(0)
            for action in (0, 1):
                still = frozenset(code for code in right if shown ^ (code >> step & 1) == action)
                if reveal:
                    told = [frozenset(code for code in possible if code >> step & 1 == bit) for bit in (0, 1)]
                    value = sum((within(left, known, still & known, step + 1) for known in told), Fraction(0))
                else:
                    value = within(left, possible, still, step + 1)
                best = max(best, value)
            total += half * best
        return total

    return episodes - earned(episodes, frozenset(range(codes))) / codes


def _codes(length: int, episodes: int) -> int:
    if not (1 <= length <= LONGEST):
        raise InputError(f"a code has 1 to {LONGEST} bits, not {length}.")
    if episodes < 0:
        raise InputError(f"the number of episodes is at least 0, not {episodes}.")
    return 1 << length
