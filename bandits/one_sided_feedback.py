r"""Decisions about people, with one-sided feedback and auditors of individual fairness (Bechavod and Roth 2023, 2206.04475).

In each round k people from a finite pool of X apply. A randomised policy accepts person x with probability q(x); the label y in
{0, 1} (1: acceptance was right) is seen only of those who are accepted. Policies are mixtures of a finite class of N binary ones.

Auditors look at the mean policy q, not at the draw. Auditor m, with the metric d_m, objects to the ordered pair (i, j) when
:math:`q(i) - q(j) > d_m(i, j) + \alpha`: two people who are alike are treated unlike. A panel reports the pair when at least r of
its auditors object.

Losses of a decision about one person, linear in it and so defined for probabilities as well:

* error: 1{decision != label},
* surrogate: 1 - y for an acceptance and 1/2 for a rejection, which needs no label where none is seen. It is half the error plus
  (1 - y)/2, so that regret in it is half the regret in errors.

What is out of its stated range raises :class:`~theory.errors.InputError`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.claims.families import family
from theory.errors import InputError

Array = NDArray[np.float64]


def error(decision: ArrayLike, label: ArrayLike) -> Array:
    """The probability of an error, q (1 - y) + (1 - q) y, of accepting with probability ``decision`` q; broadcasts."""
    q, y = np.asarray(decision, dtype=float), np.asarray(label, dtype=float)
    return q * (1 - y) + (1 - q) * y


def surrogate_loss(decision: ArrayLike, label: ArrayLike, rejection: float = 0.5) -> Array:
    """The surrogate q (1 - y) + (1 - q) ``rejection`` of accepting with probability ``decision`` q; broadcasts.

    It is (error + 1 - y) / 2 when a rejection costs 1/2.
    """
    q, y = np.asarray(decision, dtype=float), np.asarray(label, dtype=float)
    return q * (1 - y) + (1 - q) * rejection


@dataclass(frozen=True, eq=False)
class Panel:
    """M auditors of a pool of X people: ``metrics`` (M, X, X), the sensitivity ``alpha`` and the number ``threshold`` r.

    Metrics are at least 0, finite, symmetric, and 0 on the diagonal; alpha is at least 0 and r in 1 .. M. The triangle inequality
    is not asked for.
    """

    metrics: Array
    alpha: float
    threshold: int = 1

    def __post_init__(self) -> None:
        metrics = np.array(self.metrics, dtype=float)
        if metrics.ndim != 3 or metrics.size == 0 or metrics.shape[1] != metrics.shape[2]:
            raise InputError(f"the metrics of a panel have the shape (auditors, people, people), not {metrics.shape}.")
        if not (np.isfinite(metrics) & (metrics >= 0)).all():
            m, i, j = (int(n) for n in np.argwhere(~(np.isfinite(metrics) & (metrics >= 0)))[0])
            raise InputError(f"auditor {m} puts people {i} and {j} at the distance {metrics[m, i, j]}.")
        if (metrics != metrics.transpose(0, 2, 1)).any() or np.einsum("mii->mi", metrics).any():
            raise InputError("a metric is symmetric, and 0 between a person and the same person.")
        if not 0 <= self.alpha < np.inf:
            raise InputError(f"the sensitivity of a panel is at least 0, not {self.alpha}.")
        if not 1 <= self.threshold <= metrics.shape[0]:
            raise InputError(
                f"a panel of {metrics.shape[0]} auditors reports at 1 to {metrics.shape[0]} votes, not {self.threshold}."
            )
        metrics.setflags(write=False)
        object.__setattr__(self, "metrics", metrics)

    @property
    def people(self) -> int:
        """The size X of the pool."""
        return self.metrics.shape[1]

    @cached_property
    def metric(self) -> Array:
        """The r-th smallest metric, pair by pair, shape (X, X): that of the one auditor who reports what the panel reports."""
        return np.sort(self.metrics, axis=0)[self.threshold - 1]

    def reports(self, acceptance: ArrayLike) -> NDArray[np.bool_]:
        """Which ordered pairs the panel reports of acceptance probabilities (..., X), by counting votes: shape (..., X, X)."""
        q = np.asarray(acceptance, dtype=float)
        gaps = q[..., :, None] - q[..., None, :]
        votes = (gaps[..., None, :, :] > self.metrics + self.alpha).sum(axis=-3)
        return np.asarray(votes >= self.threshold)


@dataclass(frozen=True, eq=False)
class OneSidedProblem:
    """A class of policies, a sequence of applicants with their labels, and a panel; all fixed in advance (oblivious).

    ``policies`` (N, X) and ``labels`` (T, k) hold 0 and 1; ``people`` (T, k) hold members 0 .. X-1 of the pool. ``key`` is the call
    that rebuilds the problem.
    """

    policies: Array
    people: NDArray[np.int64]
    labels: Array
    panel: Panel
    key: str | None = None

    def __post_init__(self) -> None:
        policies, labels = np.array(self.policies, dtype=float, order="C"), np.array(self.labels, dtype=float)
        people = np.array(self.people)
        X = self.panel.people
        if policies.ndim != 2 or policies.shape[0] == 0 or policies.shape[1] != X:
            raise InputError(f"the policies of a pool of {X} people have the shape (policies, {X}), not {policies.shape}.")
        if people.ndim != 2 or people.size == 0 or people.shape != labels.shape or not np.issubdtype(people.dtype, np.integer):
            raise InputError(f"people and labels have one shape (rounds, k), not {people.shape} and {labels.shape}.")
        if not ((people >= 0) & (people < X)).all():
            t, i = (int(n) for n in np.argwhere((people < 0) | (people >= X))[0])
            raise InputError(f"in round {t} person {people[t, i]} applies, who is not in the pool of {X}.")
        for name, array in (("policy", policies), ("label of round", labels)):
            if not np.isin(array, (0.0, 1.0)).all():
                row, column = (int(n) for n in np.argwhere(~np.isin(array, (0.0, 1.0)))[0])
                raise InputError(f"{name} {row} has the entry {array[row, column]}, where 0 or 1 is wanted.")
        for name, array in (("policies", policies), ("people", people.astype(np.int64)), ("labels", labels)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def size(self) -> int:
        """The number N of policies."""
        return self.policies.shape[0]

    @property
    def rounds(self) -> int:
        """The number T of rounds."""
        return self.people.shape[0]

    @property
    def group(self) -> int:
        """The number k of people in a round."""
        return self.people.shape[1]

    @cached_property
    def policy_errors(self) -> Array:
        """Errors of each policy after each round, shape (T, N)."""
        wrong = self.policies.T[self.people] != self.labels[:, :, None]
        return np.cumsum(wrong.sum(axis=1), axis=0).astype(float)

    def fair_policies(self, sensitivity: float) -> NDArray[np.bool_]:
        """Which policies the panel would not report at ``sensitivity`` for any pair of the pool, shape (N,)."""
        gaps = self.policies[:, :, None] - self.policies[:, None, :]
        return np.asarray((gaps <= self.panel.metric + sensitivity).all(axis=(1, 2)))

    def __repr__(self) -> str:
        return f"OneSidedProblem({self.key or f'{self.size} policies, {self.rounds} rounds of {self.group}'})"


def reported_pairs(panel: Panel, acceptance: ArrayLike, people: ArrayLike) -> tuple[NDArray[np.bool_], Array]:
    """Of each row, whether the panel reports a pair, shape (n,), and the pair, as signs of the people's positions, shape (n, k).

    ``acceptance`` (n, k) are the probabilities with which the ``people``, (n, k) or (k,), are accepted. The pair (i, j) is the one
    whose gap q(i) - q(j) exceeds metric + alpha most, the first of equal ones; i has the sign +1 and j -1, so that the product
    with any decisions is their gap. Where nothing is reported all signs are 0.
    """
    q = np.asarray(acceptance, dtype=float)
    x = np.broadcast_to(np.asarray(people), q.shape)
    n, k = q.shape
    allowed = panel.metric[x[:, :, None], x[:, None, :]]
    excess = (q[:, :, None] - q[:, None, :] - allowed - panel.alpha).reshape(n, k * k)
    largest = excess.argmax(axis=1)
    reported = excess[np.arange(n), largest] > 0
    signs = np.zeros((n, k))
    signs[reported, largest[reported] // k] = 1.0
    signs[reported, largest[reported] % k] = -1.0
    return reported, signs


@dataclass(frozen=True, eq=False)
class Account:
    """What a sequence of mixtures of policies has cost, and the policies beside it, after each of ``checkpoints`` (m,).

    ``errors`` (..., m) are expected errors given the mixtures, ``violations`` (..., m) the rounds with a reported pair, and
    ``gaps`` (..., m) the sum of q(i) - q(j) over reported pairs. ``policy_errors`` (m, N) and ``policy_gaps`` (..., m, N) are the
    same of each policy, at the pairs that were reported of the learner. ``penalty`` is the price C of a violation.
    """

    checkpoints: NDArray[np.int64]
    penalty: float
    errors: Array
    violations: Array
    gaps: Array
    policy_errors: Array
    policy_gaps: Array

    @property
    def error_regret(self) -> Array:
        """Expected errors above those of each policy, shape (..., m, N)."""
        return self.errors[..., None] - self.policy_errors

    @property
    def lagrangian_regret(self) -> Array:
        """Regret of surrogate loss plus C times the gap of the reported pair, against each policy, shape (..., m, N)."""
        return self.error_regret / 2 + self.penalty * (self.gaps[..., None] - self.policy_gaps)


def account(problem: OneSidedProblem, mixtures: ArrayLike, penalty: float) -> Account:
    """The :class:`Account` after every round of any sequence of ``mixtures`` (T, N) of the policies, for the ``penalty`` C >= 0."""
    weights = np.asarray(mixtures, dtype=float)
    T, N = problem.rounds, problem.size
    if weights.shape != (T, N):
        raise InputError(f"the mixtures of {N} policies over {T} rounds have the shape ({T}, {N}), not {weights.shape}.")
    require_penalty(penalty)
    decisions = problem.policies.T[problem.people]  # (T, k, N)
    q = np.einsum("tkn,tn->tk", decisions, weights)
    reported, signs = reported_pairs(problem.panel, q, problem.people)
    return Account(
        checkpoints=np.arange(1, T + 1),
        penalty=penalty,
        errors=np.cumsum(error(q, problem.labels).sum(axis=1)),
        violations=np.cumsum(reported).astype(float),
        gaps=np.cumsum((signs * q).sum(axis=1)),
        policy_errors=problem.policy_errors,
        policy_gaps=np.cumsum(np.einsum("tk,tkn->tn", signs, decisions), axis=0),
    )


def require_penalty(penalty: float) -> None:
    """:class:`InputError` for a penalty C that is negative or not finite."""
    if not 0 <= penalty < np.inf:
        raise InputError(f"the penalty of a violation is at least 0, not {penalty}.")


@family(X=4, N=3, k=2)
def applicants(
    X: int = 12,
    N: int = 20,
    k: int = 3,
    T: int = 2000,
    auditors: int = 3,
    threshold: int = 2,
    alpha: float = 0.1,
    scale: float = 0.5,
    noise: float = 0.1,
    seed: int = 0,
) -> OneSidedProblem:
    """People at random points of the unit square, policies that accept on one side of a line, and auditors of differing sight.

    The first two policies accept nobody and everybody. Labels are the decisions of the third, but for a share ``noise`` of them,
    which are turned round. Auditor m's metric is ``scale`` times a weighted 1-norm of the
    difference of features, with weights drawn from [0, 2].
    """
    if N < 3:
        raise InputError(f"the class holds two constant policies and at least one line, not {N} policies.")
    rng = np.random.default_rng(seed)
    features = rng.random((X, 2))
    normals = rng.standard_normal((N - 2, 2))
    lines = ((features - rng.uniform(0.3, 0.7, size=(N - 2, 1, 2))) * normals[:, None]).sum(axis=2) > 0
    policies = np.vstack((np.zeros(X), np.ones(X), lines))
    weights = rng.uniform(0, 2, size=(auditors, 1, 1, 2))
    metrics = scale * (weights * np.abs(features[:, None] - features[None, :])).sum(axis=3)
    people = rng.integers(X, size=(T, k))
    labels = np.where(rng.random((T, k)) < noise, 1 - policies[2][people], policies[2][people])
    return OneSidedProblem(policies, people, labels, Panel(metrics, alpha, threshold))


@family(k=1)
def all_or_nobody(T: int = 500, k: int = 1, good: float = 0.0, seed: int = 0) -> OneSidedProblem:
    """Two policies, which accept nobody and everybody; each label is 1 with probability ``good``. Nothing can be unfair."""
    people = np.zeros((T, k), dtype=np.int64)
    labels = (np.random.default_rng(seed).random((T, k)) < good).astype(float)
    return OneSidedProblem(np.array([[0.0], [1.0]]), people, labels, Panel(np.zeros((1, 1, 1)), 0.0))


@family
def two_alike(T: int = 500, alpha: float = 0.1, distance: float = 0.0, flip: bool = False) -> OneSidedProblem:
    """Two people, one worth accepting and one not, whom the auditor sees at ``distance``; all four policies.

    They apply together in every round. With ``flip`` they change roles after half of the rounds.
    """
    policies = np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    labels = np.tile([1.0, 0.0], (T, 1))
    if flip:
        labels[T // 2 :] = [0.0, 1.0]
    metric = distance * np.array([[[0.0, 1.0], [1.0, 0.0]]])
    return OneSidedProblem(policies, np.tile([0, 1], (T, 1)), labels, Panel(metric, alpha))
