r"""Non-dominated policies: what a defender must keep ready against attackers that it will meet one after another.

J[i, k] is what the defender's policy i earns against attacker k. A defender who plays policies of a set K only, and mixes among
them, can be behind policy i by no less than the *mixture gap*

.. math:: \mathrm{gap}_i(K) = \min_{w \in \Delta(K)} \max_k \Bigl[ J_{ik} - \sum_{j \in K} w_j J_{jk} \Bigr]
          = \max_{q \in \Delta} \Bigl[ (J q)_i - \max_{j \in K} (J q)_j \Bigr],

the value of a matrix game, the second form being the first's dual. :math:`\mathrm{Gap}(K) = \max_i [\mathrm{gap}_i(K)]_+`. It is
0 exactly if every policy is weakly dominated by a mixture of K; the least such K are the vertices of
:math:`\{z : z \le J^\top w \text{ for some } w \in \Delta\}`, one policy for each. The *pointwise* gap
:math:`\max_{i, k} [J_{ik} - \max_{j \in K} J_{jk}]_+` is no more than Gap(K), and may be 0 where Gap(K) is not.

Liu, Deng, Sun, Liang and Huang (2024), arXiv 2402.12673. What is out of its stated range raises
:class:`~theory.errors.InputError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from games.linear_programming import solve_nash_lp
from theory.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MixtureGap:
    """How far a policy is ahead of all mixtures of a set: at least ``lower`` and at most ``upper`` (negative if it is behind).

    ``weights``, shape (|K|,), is a mixture that no attacker takes further behind than ``upper``; against the mixture ``attackers``,
    shape (m,), no policy of the set comes nearer than ``lower``.
    """

    lower: float
    upper: float
    weights: Array
    attackers: Array

    @property
    def value(self) -> float:
        """The middle of the interval."""
        return (self.lower + self.upper) / 2


@dataclass(frozen=True, eq=False)
class Discovery:
    """The policies ``found``, in order, and ``gaps[i]``, the Gap of the first i + 1 of them, shape (|found|,)."""

    found: tuple[int, ...]
    gaps: Array


def mixture_gap(row: ArrayLike, kept: ArrayLike) -> MixtureGap:
    """The mixture gap of a policy, whose returns are ``row`` (m,), to the policies of returns ``kept`` (k, m), k >= 1."""
    J, ahead = _returns(kept), np.asarray(row, dtype=float)
    if ahead.shape != J.shape[1:] or not np.isfinite(ahead).all():
        raise InputError(
            f"the returns of a policy are {J.shape[1]} finite numbers; those given have shape {ahead.shape} or are not."
        )
    solved = solve_nash_lp(ahead[:, None] - J.T)
    return MixtureGap(solved.lower, solved.upper, solved.column, solved.row)


def class_gap(returns: ArrayLike, kept: Sequence[int]) -> float:
    """Gap(K) of the policies ``kept``, indices of rows of ``returns`` (n, m): the largest mixture gap, at least 0."""
    J = _returns(returns)
    rows = _kept(J, kept)
    others = [i for i in range(J.shape[0]) if i not in rows]
    return max([0.0, *(mixture_gap(J[i], J[rows]).value for i in others)])


def pointwise_gap(returns: ArrayLike, kept: Sequence[int]) -> float:
    """max_{i, k} [J_ik - max_{j in K} J_jk]_+: how far the best of ``kept`` against each attacker is behind the best of all."""
    J = _returns(returns)
    return float((J.max(axis=0) - J[_kept(J, kept)].max(axis=0)).max())


def greedy_discovery(returns: ArrayLike, tol: float = 1e-9, *, start: int | None = None) -> Discovery:
    """Add the policy with the largest gap until no gap is above ``tol``; of equals the first is taken.

    ``returns`` has shape (n, m). The policy ``start`` comes first, by default the one with the largest least return. The gaps do not
    increase. Every policy that is ahead of all mixtures of the others by more than ``tol`` is found. The policy added is a best one
    against the mixture of attackers that attains its gap. If it is the only best one, no mixture of others dominates it: so apart from
    ties, ``start`` is the only policy found that may be superfluous. :func:`prune` removes it, and what ties let in.
    """
    J = _returns(returns)
    if not 0 <= tol < np.inf:
        raise InputError(f"the tolerance of a gap is not negative and finite, not {tol}.")
    found = [int(J.min(axis=1).argmax())] if start is None else _kept(J, [start])
    gaps = []
    open_rows = [i for i in range(J.shape[0]) if i != found[0]]
    while True:
        ahead = np.array([mixture_gap(J[i], J[found]).value for i in open_rows])
        gaps.append(max(0.0, float(ahead.max(initial=0.0))))
        if gaps[-1] <= tol:
            return Discovery(tuple(found), np.array(gaps))
        found.append(open_rows[int(ahead.argmax())])
        open_rows = [i for i, gap in zip(open_rows, ahead) if gap > tol and i != found[-1]]  # gaps only fall


def prune(returns: ArrayLike, kept: Sequence[int], tol: float = 1e-9) -> tuple[int, ...]:
    """Drop from ``kept`` what the rest dominates: policies, in order, whose mixture gap to those left is at most ``tol``.

    What is left of a set with Gap 0 is, up to ``tol`` and copies of a policy, the only set with Gap 0 that has no other inside.
    """
    J = _returns(returns)
    left = _kept(J, kept)
    for i in tuple(left):
        rest = [j for j in left if j != i]
        if rest and mixture_gap(J[i], J[rest]).value <= tol:
            left = rest
    return tuple(left)


def _returns(given: ArrayLike) -> Array:
    J = np.asarray(given, dtype=float)
    if J.ndim != 2 or J.size == 0 or not np.isfinite(J).all():
        raise InputError(
            f"returns are finite numbers, one row a policy and one column an attacker; the shape given is {J.shape}."
        )
    return J


def _kept(J: Array, kept: Sequence[int]) -> list[int]:
    rows = [int(i) for i in kept]
    if not rows or len(set(rows)) < len(rows) or not all(0 <= i < J.shape[0] for i in rows):
        raise InputError(f"the policies kept are different rows of {J.shape[0]}, at least one, not {tuple(rows)}.")
    return rows
