r"""Evidence debates: two sides disclose items in turn, and a judge scores the set that is on the table.

There are n items of evidence. Side A argues for a decision and moves first, B against it; they disclose one item each in turn,
without repetition, until L items are known. The judge's *score* w(S) of the disclosed set S is what A gets and B loses: a
zero-sum game of perfect information, solved by backward induction on subsets. Sets are integers whose bit i says that item i is in
it, so that scores are arrays over 2^n sets; leading axes hold several judges at once.

Decisions that a debate has scored are rewards. :class:`JustifiableMDP` carries them beside the environment's own.

Sukovic and Radanovic (2024), arXiv 2402.15826. What is out of its stated range raises :class:`~theory.errors.InputError`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models import TabularMDP, dirichlet_mdp, fork
from mdplab.solvers import exact_evaluation, rational_twin
from mdplab.solvers.rational import Exact, RationalEvaluation
from theory.claims.families import family
from theory.errors import InputError

Array = NDArray[np.float64]
Sets = NDArray[np.int64]
MOST_ITEMS = 16  # 2^16 scores a judge


@dataclass(frozen=True, eq=False)
class Judge:
    """The ``score`` of every set of n >= 1 items, shape (..., 2^n), finite; leading axes hold several judges.

    ``key`` is the call that rebuilds the instance. Raises :class:`InputError` naming what is out of range.
    """

    score: Array
    key: str | None = None

    def __post_init__(self) -> None:
        score = np.array(self.score, dtype=float)
        sets = score.shape[-1] if score.ndim else 0
        if sets < 2 or sets & (sets - 1) or sets > 2**MOST_ITEMS:
            raise InputError(f"a judge of n items (1 to {MOST_ITEMS}) scores 2^n sets, not {sets}.")
        if not np.isfinite(score).all():
            place = int(np.argwhere(~np.isfinite(score))[0][-1])
            raise InputError(f"the score of the set {_written(place)} is not finite.")
        score.setflags(write=False)
        object.__setattr__(self, "score", score)

    @property
    def items(self) -> int:
        """The number of items n."""
        return self.score.shape[-1].bit_length() - 1

    @property
    def verdict(self) -> Array:
        """The score of all items together, shape (...): what a judge with full information says."""
        return np.asarray(self.score[..., -1])

    def __repr__(self) -> str:
        return f"Judge({self.key or f'{self.items} items'})"


def interacting_scores(weights: ArrayLike, pairs: ArrayLike | None = None) -> Array:
    r"""Scores :math:`w(S) = \sum_{i \in S} w_i + \sum_{i < j \in S} p_{ij}` of all sets, shape (..., 2^n).

    ``weights`` has the shape (..., n), ``pairs`` (..., n, n), of which the part above the diagonal counts; without it the judge is
    *additive*. Items may so corroborate or contradict each other.
    """
    weight = np.asarray(weights, dtype=float)
    if not (weight.ndim and 1 <= weight.shape[-1] <= MOST_ITEMS):
        raise InputError(f"a debate has 1 to {MOST_ITEMS} items on the last axis of the weights, not the shape {weight.shape}.")
    n = weight.shape[-1]
    members = ((np.arange(2**n)[:, None] >> np.arange(n)) & 1).astype(float)
    scores: Array = weight @ members.T
    if pairs is not None:
        pair = np.asarray(pairs, dtype=float)
        if pair.shape[-2:] != (n, n):
            raise InputError(f"{n} items have interactions of shape ({n}, {n}), not {pair.shape[-2:]}.")
        first, second = np.triu_indices(n, 1)
        scores = scores + pair[..., first, second] @ (members[:, first] * members[:, second]).T
    return scores


# --- debates -----------------------------------------------------------------------------------------------------------


def debate_values(judge: Judge, length: int) -> Array:
    r"""The value to A of every position, shape (..., 2^n), in a debate that ends with ``length`` items in 0..n.

    :math:`v(S) = w(S)` for |S| = L; before that v(S) is the maximum (minimum) over the items i not in S of v(S + i) if |S| is even
    (odd). Sets of more than L items are no positions and hold NaN.
    """
    size = _checked_length(judge, length)
    values = np.full(judge.score.shape, np.nan)
    ends = sets_of_size(judge.items, size)
    values[..., ends] = judge.score[..., ends]
    for known in range(size - 1, -1, -1):
        later = values[..., _extensions(judge.items, known)]
        values[..., sets_of_size(judge.items, known)] = later.max(axis=-1) if known % 2 == 0 else later.min(axis=-1)
    return values


def debate_value(judge: Judge, length: int) -> Array:
    """What A gets under optimal play by both sides, shape (...); see :func:`debate_values`."""
    return np.asarray(debate_values(judge, length)[..., 0])


def myopic_value(judge: Judge, length: int) -> Array:
    """What A gets if both sides disclose the item that improves the present score most (the first of several), shape (...)."""
    size = _checked_length(judge, length)
    scores = judge.score.reshape(-1, judge.score.shape[-1])
    rows = np.arange(len(scores))
    position = np.zeros(len(scores), dtype=np.int64)
    for known in range(size):
        sign = 1.0 if known % 2 == 0 else -1.0
        after = position[:, None] | (1 << np.arange(judge.items))
        gain = np.where(after == position[:, None], -np.inf, sign * scores[rows[:, None], after])
        position = after[rows, np.argmax(gain, axis=1)]
    return np.asarray(scores[rows, position].reshape(judge.score.shape[:-1]))


# --- evidence that is committed to --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Commitment:
    """What A is left with after B's best reply: by the set that looks best in isolation, and by the best set there is.

    ``isolated`` and ``resilient`` are sets, int64 (...); ``isolated_value`` and ``value`` what they guarantee, float (...).
    """

    isolated: Sets
    isolated_value: Array
    resilient: Sets
    value: Array


def maximin_evidence(judge: Judge, committed: int, replies: int, *, may_pass: bool = False) -> Commitment:
    r"""A commits to a set E of ``committed`` items, then B adds a set R of ``replies`` others (at most so many if it ``may_pass``).

    The *isolated* choice maximises w(E); the *resilient* one maximises :math:`\min_R w(E \cup R)`. Among several sets the first in
    the order of integers is taken.
    """
    n = judge.items
    if not (committed >= 1 and replies >= 0 and committed + replies <= n):
        raise InputError(f"{n} items are too few for {committed} (at least 1) items and {replies} replies.")
    ours = sets_of_size(n, committed)
    guarantee = np.full((*judge.score.shape[:-1], ours.size), np.inf)
    for size in range(0 if may_pass else replies, replies + 1):
        answers = sets_of_size(n, size)
        for k, chosen in enumerate(ours):
            final = chosen | answers[(answers & chosen) == 0]
            guarantee[..., k] = np.minimum(guarantee[..., k], judge.score[..., final].min(axis=-1))
    isolated = np.argmax(judge.score[..., ours], axis=-1)
    best = np.argmax(guarantee, axis=-1)
    at_isolated, at_best = (np.take_along_axis(guarantee, i[..., None], axis=-1)[..., 0] for i in (isolated, best))
    return Commitment(np.asarray(ours[isolated]), at_isolated, np.asarray(ours[best]), at_best)


# --- sets as integers ----------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=256)
def sets_of_size(items: int, size: int) -> Sets:
    """All sets of ``size`` out of ``items`` items, as increasing integers, int64 (binomial(items, size),)."""
    every = np.arange(2**items)
    chosen = every[np.bitwise_count(every) == size]
    chosen.setflags(write=False)
    return chosen


@functools.lru_cache(maxsize=256)
def _extensions(items: int, size: int) -> Sets:
    """For each set of that size its supersets by one item, int64 (sets, items - size)."""
    sets = sets_of_size(items, size)
    wider = sets[:, None] | (1 << np.arange(items))
    return wider[wider != sets[:, None]].reshape(sets.size, items - size)


def _written(number: int) -> str:
    return "{" + ", ".join(str(i) for i in range(number.bit_length()) if number >> i & 1) + "}"


def _checked_length(judge: Judge, length: int) -> int:
    if not (int(length) == length and 0 <= length <= judge.items):
        raise InputError(f"a debate on {judge.items} items has a length in 0..{judge.items}, not {length}.")
    return int(length)


# --- families of judges ----------------------------------------------------------------------------------------------------

LINKS = ("identity", "tanh")


@family
def additive_judge(weights: tuple[float, ...] = (1.0, -1.0), link: str = "identity") -> Judge:
    """Scores f(sum of weights): f the identity, or tanh, which is what Bradley-Terry makes of a sum (a chance, centred)."""
    if link not in LINKS:
        raise InputError(f"the link of an additive judge is 'identity' or 'tanh', not {link!r}.")
    sums = interacting_scores(np.asarray(weights, dtype=float))
    return Judge(np.tanh(sums) if link == "tanh" else sums)


@family(items=2)
def interacting_judge(items: int = 6, interaction: float = 1.0, mean: float = 0.0, seed: int = 0) -> Judge:
    """Weights normal with that ``mean`` and deviation 1, and a normal interaction of every pair, of deviation ``interaction``."""
    if not (interaction >= 0 and np.isfinite(interaction)):
        raise InputError(f"the size of the interactions is finite and at least 0, not {interaction}.")
    if not 1 <= items <= MOST_ITEMS:
        raise InputError(f"a debate has 1 to {MOST_ITEMS} items, not {items}.")
    rng = np.random.default_rng(seed)
    weights = mean + rng.standard_normal(items)
    return Judge(interacting_scores(weights, interaction * rng.standard_normal((items, items))))


# --- justifiable decisions ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class JustifiableMDP:
    """An ``mdp`` whose reward is the environment's, and what a debate on each decision pays: ``justifiability``, shape (N,).

    ``key`` is the call that rebuilds the instance. Raises :class:`InputError` for a reward of another shape, or not finite.
    """

    mdp: TabularMDP
    justifiability: Array
    key: str | None = None

    def __post_init__(self) -> None:
        reward = np.array(self.justifiability, dtype=float)
        if reward.shape != (self.mdp.pairs,) or not np.isfinite(reward).all():
            raise InputError(f"each of the {self.mdp.pairs} decisions has a finite reward for being justifiable.")
        reward.setflags(write=False)
        object.__setattr__(self, "justifiability", reward)

    def __repr__(self) -> str:
        return f"JustifiableMDP({self.key or self.mdp})"


@dataclass(frozen=True, eq=False)
class TradeOff:
    r"""The two returns of optimal policies along ``weights``: ``environment`` and ``justifiability``, Fractions (W, S).

    ``policies``, int64 (W, S), are optimal for :math:`(1 - \lambda) r_{env} + \lambda r_{debate}`.
    """

    weights: tuple[Fraction, ...]
    policies: Sets
    environment: Exact
    justifiability: Exact


def trade_off(problem: JustifiableMDP, weights: Sequence[Fraction | float], *, report_at: float | None = None) -> TradeOff:
    r"""Solve :math:`(1 - \lambda) r_{env} + \lambda r_{debate}` for each :math:`\lambda` of ``weights`` in [0, 1], exactly.

    Policy iteration in rational arithmetic on the model's rational twin, each time from the last optimum, so that no solver's
    tolerance enters. Both returns are at the model's discount unless they are to be reported at another (``report_at``, below 1).
    """
    shares = tuple(Fraction(w) for w in weights)
    if not shares or not all(0 <= w <= 1 for w in shares):
        raise InputError(f"the weights of a debate's reward lie in [0, 1], not {[float(w) for w in shares]}.")
    if not (report_at is None or 0 <= report_at < 1):
        raise InputError(f"returns are reported at a discount in [0, 1), not {report_at}.")
    own = rational_twin(problem.mdp)
    models = [own, dataclasses.replace(own, reward=tuple(Fraction(r) for r in problem.justifiability.tolist()))]
    pair_state = np.repeat(np.arange(own.states), np.diff(own.state_pointer))

    @functools.cache
    def evaluated(policy: tuple[int, ...]) -> tuple[RationalEvaluation, RationalEvaluation]:
        first, second = (exact_evaluation(model, np.array(policy)) for model in models)
        return first, second

    def improved(policy: tuple[int, ...], share: Fraction) -> tuple[int, ...]:
        of_environment, of_debate = ((found.q - found.value[pair_state]) for found in evaluated(policy))
        gain = (1 - share) * of_environment + share * of_debate
        better = list(policy)
        for state, (first, last) in enumerate(zip(own.state_pointer[:-1], own.state_pointer[1:])):
            best = max(range(first, last), key=gain.__getitem__)
            if gain[best] > 0:
                better[state] = best
        return tuple(better)

    policy = tuple(int(p) for p in own.state_pointer[:-1])
    chosen = []
    for share in shares:
        while (better := improved(policy, share)) != policy:
            policy = better
        chosen.append(policy)
    if report_at is not None:
        models = [dataclasses.replace(model, gamma=Fraction(report_at)) for model in models]
        evaluated.cache_clear()
    returns = [evaluated(policy) for policy in chosen]
    environment, justifiability = (np.array([found[k].value for found in returns]) for k in (0, 1))
    return TradeOff(shares, np.array(chosen), environment, justifiability)


@family(S=1, A=2)
def debated(
    S: int = 5, A: int = 3, gamma: float = 0.9, concentration: float = 0.5, interaction: float = 0.5, seed: int = 0
) -> JustifiableMDP:
    """A dense random MDP; each decision's reward from a debate of two disclosures out of four interacting items, through tanh."""
    mdp = dirichlet_mdp(S=S, A=A, gamma=gamma, concentration=concentration, seed=seed)
    rng = np.random.default_rng([seed, 1])
    weights = rng.standard_normal((mdp.pairs, 4))
    judge = Judge(interacting_scores(weights, interaction * rng.standard_normal((mdp.pairs, 4, 4))))
    return JustifiableMDP(mdp, np.tanh(debate_value(judge, 2)))


@family
def soon_or_later(soon: float = 1.0, later: float = 0.5, argued: float = 4.0, gamma: float = 0.9) -> JustifiableMDP:
    """One decision: ``soon`` once and ``argued`` in its favour, or ``later`` at every step after the first; see :func:`fork`."""
    mdp = fork(left=soon, after_right=later, gamma=gamma)
    return JustifiableMDP(mdp, np.array([argued, 0.0, 0.0, 0.0]))
