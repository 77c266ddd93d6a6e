r"""Off-policy evaluation: what a policy would have earned, from the log of another.

A log holds n independent records (x, a, r, p): a context, the action that the logging policy :math:`\mu` drew, its reward, and the
*propensity* :math:`p = \mu(a|x)`. With the weight :math:`w = \pi(a|x) / p` and a model :math:`\hat q(x, a)` of the mean rewards, the value
of :math:`\pi` is estimated by the mean over the records of

=====================  ==============================================================================================
inverse propensity     :math:`w r`, or with weights clipped at c :math:`\min(w, c)\, r` (Horvitz and Thompson 1952)
self-normalised        :math:`w r`, divided by the mean weight (Swaminathan and Joachims 2015)
direct method          :math:`\hat V(x) = \sum_b \pi(b|x)\, \hat q(x, b)`
doubly robust          :math:`\hat V(x) + w\,(r - \hat q(x, a))` (Dudik, Langford and Li 2011, arXiv:1103.4601)
switch doubly robust   :math:`\hat V(x) + w\, 1\{w \le \tau\}\,(r - \hat q(x, a))` (Wang, Agarwal and Dudik 2017, arXiv:1612.01205)
=====================  ==============================================================================================

Each estimator comes twice: on a :class:`Log`, and with its exact mean and variance on a
:class:`~bandits.contextual.ContextualBandit` whose logging policy is known.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from math import lgamma

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bandits.contextual import ContextualBandit, read_policy
from theory.errors import InputError
from theory.statistics import Interval, mean_interval

Array = NDArray[np.float64]
MOST_LOGS = 2_000_000  # logs, or tables of counts, that an exact enumeration may visit


@dataclass(frozen=True, eq=False)
class Log:
    """n records of a logging policy: ``contexts`` and ``actions`` (whole numbers from 0), ``rewards`` and ``propensities``, shape (n,).

    Raises :class:`InputError` naming the record whose reward is not finite or whose propensity is not in (0, 1].
    """

    contexts: NDArray[np.int64]
    actions: NDArray[np.int64]
    rewards: Array
    propensities: Array

    def __post_init__(self) -> None:
        whole = [np.asarray(v) for v in (self.contexts, self.actions)]
        real = [np.array(v, dtype=float) for v in (self.rewards, self.propensities)]
        n = whole[0].shape
        if len(n) != 1 or n[0] == 0 or any(v.shape != n for v in (*whole, *real)):
            raise InputError("a log has contexts, actions, rewards and propensities of one length, at least 1.")
        for values, name in zip(whole, ("context", "action")):
            if not np.issubdtype(values.dtype, np.integer) or values.min() < 0:
                raise InputError(f"every {name} of a log is a whole number, 0 or more.")
        for values, bad, name in (
            (real[0], ~np.isfinite(real[0]), "reward"),
            (real[1], ~((real[1] > 0) & (real[1] <= 1)), "propensity"),
        ):
            if bad.any():
                i = int(np.argmax(bad))
                what = "which is not finite" if name == "reward" else "outside (0, 1]"
                raise InputError(f"record {i} of a log has the {name} {values[i]}, {what}.")
        arrays = (*(v.astype(np.int64) for v in whole), *real)
        for array, name in zip(arrays, ("contexts", "actions", "rewards", "propensities")):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def size(self) -> int:
        """The number of records n."""
        return self.rewards.size

    def weights(self, target: ArrayLike) -> Array:
        r"""The weights :math:`\pi(a_i|x_i) / p_i` of the records, shape (n,), for a policy of shape (X, K)."""
        return self._table(target, "the target policy", policy=True)[self.contexts, self.actions] / self.propensities

    def _table(self, table: ArrayLike, name: str, *, policy: bool = False) -> Array:
        values = np.asarray(table, dtype=float)
        if values.ndim != 2 or values.shape[0] <= self.contexts.max() or values.shape[1] <= self.actions.max():
            least = (int(self.contexts.max()) + 1, int(self.actions.max()) + 1)
            raise InputError(
                f"{name} has a row for each context and a column for each action, at least {least}, not {values.shape}."
            )
        return read_policy(values, values.shape, name) if policy else values


def draw_log(bandit: ContextualBandit, logging: ArrayLike, size: int, rng: np.random.Generator) -> Log:
    """``size`` independent records of the policy ``logging``, shape (X, K)."""
    mu = read_policy(logging, bandit.means.shape, "the logging policy")
    contexts = rng.choice(bandit.contexts, size=size, p=bandit.law)
    actions = np.minimum((rng.random((size, 1)) >= np.cumsum(mu[contexts], axis=1)).sum(axis=1), bandit.actions - 1)
    means = bandit.means[contexts, actions]
    if bandit.deviation is None:
        rewards = (rng.random(size) < means).astype(float)
    else:
        rewards = means + bandit.deviation * rng.standard_normal(size)
    return Log(contexts, actions, rewards, mu[contexts, actions])


@dataclass(frozen=True, eq=False)
class OffPolicyEstimate:
    """An estimate of a policy's value, the mean of ``terms``, shape (n,).

    ``standard_error`` is that of a mean of n independent terms; for the self-normalised estimator the terms are its linearisation.
    """

    value: float
    standard_error: float
    terms: Array

    def interval(self, level: float, support: tuple[float, float] | None = None) -> Interval:
        """A confidence interval for the expectation of a term: Student's, or one that is valid for every law on ``support``.

        See :func:`theory.statistics.mean_interval`. The unclipped weighted rewards of rewards in [0, 1] lie in [0, max w].
        """
        return mean_interval(self.terms, level, support)


def inverse_propensity(log: Log, target: ArrayLike, *, clip: float = np.inf) -> OffPolicyEstimate:
    """The mean of min(w, ``clip``) times the reward; unbiased without clipping if the log covers the target policy, shape (X, K)."""
    return _estimate(_clipped(log.weights(target), clip) * log.rewards)


def self_normalised(log: Log, target: ArrayLike) -> OffPolicyEstimate:
    """The weighted mean of the rewards, sum w r / sum w: between the least and the largest reward, and biased.

    0 (and no error) for a log none of whose actions the target policy takes.
    """
    weights = log.weights(target)
    total = float(weights.sum())
    if total == 0:
        return _estimate(np.zeros(log.size))
    value = float(weights @ log.rewards) / total
    return _estimate(value + weights * (log.rewards - value) * log.size / total)


def direct_method(log: Log, target: ArrayLike, model: ArrayLike) -> OffPolicyEstimate:
    """The mean over the log's contexts of what ``model``, shape (X, K), says that the target policy earns."""
    return switch_doubly_robust(log, target, model, threshold=-np.inf)


def doubly_robust(log: Log, target: ArrayLike, model: ArrayLike) -> OffPolicyEstimate:
    """The direct method, corrected by the weighted residuals of ``model``, shape (X, K), on the log."""
    return switch_doubly_robust(log, target, model, threshold=np.inf)


def switch_doubly_robust(log: Log, target: ArrayLike, model: ArrayLike, threshold: float) -> OffPolicyEstimate:
    """Doubly robust where the weight is at most ``threshold``, the direct method elsewhere."""
    weights = log.weights(target)
    q = log._table(model, "the model of the rewards")
    base = (np.asarray(target, dtype=float) * q).sum(axis=1)
    residual = log.rewards - q[log.contexts, log.actions]
    return _estimate(base[log.contexts] + _switched(weights, threshold) * residual)


@dataclass(frozen=True)
class Moments:
    """Exact ``mean``, ``bias`` (mean less true value) and ``variance`` of a record's term; a mean of n terms has variance / n."""

    mean: float
    bias: float
    variance: float

    def mean_squared_error(self, size: int) -> float:
        """The mean squared error of the estimator on ``size`` records."""
        return self.bias**2 + self.variance / size


def exact_inverse_propensity(
    bandit: ContextualBandit,
    logging: ArrayLike,
    target: ArrayLike,
    *,
    clip: float = np.inf,
    propensities: ArrayLike | None = None,
) -> Moments:
    """Moments of :func:`inverse_propensity` for logs of the policy ``logging``, shape (X, K).

    ``propensities``, shape (X, K): those that the log states, if they are not the true ones.
    """
    weights = _weight_table(bandit, logging, target, propensities)
    return _moments(bandit, logging, target, np.zeros(bandit.means.shape), _clipped(weights, clip))


def exact_direct_method(bandit: ContextualBandit, logging: ArrayLike, target: ArrayLike, model: ArrayLike) -> Moments:
    """Moments of :func:`direct_method`."""
    return exact_switch_doubly_robust(bandit, logging, target, model, threshold=-np.inf)


def exact_doubly_robust(
    bandit: ContextualBandit, logging: ArrayLike, target: ArrayLike, model: ArrayLike, *, propensities: ArrayLike | None = None
) -> Moments:
    """Moments of :func:`doubly_robust`; ``propensities`` as in :func:`exact_inverse_propensity`."""
    return exact_switch_doubly_robust(bandit, logging, target, model, threshold=np.inf, propensities=propensities)


def exact_switch_doubly_robust(
    bandit: ContextualBandit,
    logging: ArrayLike,
    target: ArrayLike,
    model: ArrayLike,
    threshold: float,
    *,
    propensities: ArrayLike | None = None,
) -> Moments:
    """Moments of :func:`switch_doubly_robust`; ``propensities`` as in :func:`exact_inverse_propensity`."""
    weights = _weight_table(bandit, logging, target, propensities)
    return _moments(bandit, logging, target, np.asarray(model, dtype=float), _switched(weights, threshold))


def exact_self_normalised(bandit: ContextualBandit, logging: ArrayLike, target: ArrayLike, size: int) -> tuple[float, float]:
    """Exact mean and variance of :func:`self_normalised` on logs of ``size`` records of Bernoulli rewards.

    The estimate depends on the log through the number of records of each (weight, reward) only; the sum runs over all tables of such
    counts, with their multinomial probabilities. Raises :class:`InputError` where there are more than two million.
    """
    weights, rewards, law = _kinds(bandit, logging, target)
    tables = _counts(size, weights.size)
    log_probability = np.array([lgamma(size + 1)]) - _log_factorials(size)[tables].sum(axis=1) + tables @ np.log(law)
    probability = np.exp(log_probability)
    total = tables @ weights
    value = np.where(total > 0, tables @ (weights * rewards) / np.where(total > 0, total, 1.0), 0.0)
    mean = float(probability @ value)
    return mean, float(probability @ (value - mean) ** 2)


def all_logs(bandit: ContextualBandit, logging: ArrayLike, size: int) -> Iterator[tuple[float, Log]]:
    """Every log of ``size`` records of Bernoulli rewards that has positive probability, with its probability."""
    mu = read_policy(logging, bandit.means.shape, "the logging policy")
    means, records = _bernoulli_means(bandit), []
    for x, a, r in itertools.product(range(bandit.contexts), range(bandit.actions), (0, 1)):
        mean = means[x, a]
        chance = float(bandit.law[x] * mu[x, a] * (mean if r else 1 - mean))
        if chance > 0:
            records.append((chance, x, a, float(r), float(mu[x, a])))
    if len(records) ** size > MOST_LOGS:
        raise InputError(f"there are {len(records) ** size} logs of {size} records; at most {MOST_LOGS} are enumerated.")
    for drawn in itertools.product(records, repeat=size):
        chances, contexts, actions, rewards, propensities = zip(*drawn)
        log = Log(np.array(contexts), np.array(actions), np.array(rewards), np.array(propensities))
        yield float(np.prod(chances)), log


def _estimate(terms: Array) -> OffPolicyEstimate:
    n = terms.size
    error = float(terms.std(ddof=1) / np.sqrt(n)) if n > 1 else np.inf
    return OffPolicyEstimate(float(terms.mean()), error, terms)


def _clipped(weights: Array, clip: float) -> Array:
    if not clip > 0:
        raise InputError(f"weights are clipped at a positive number, not at {clip}.")
    return np.minimum(weights, clip)


def _switched(weights: Array, threshold: float) -> Array:
    if np.isnan(threshold):
        raise InputError("the threshold of a switch estimator is a number.")
    return np.where(weights <= threshold, weights, 0.0)


def _weight_table(bandit: ContextualBandit, logging: ArrayLike, target: ArrayLike, propensities: ArrayLike | None) -> Array:
    """pi / p where the logging policy plays, 0 elsewhere (there is no such record)."""
    mu = read_policy(logging, bandit.means.shape, "the logging policy")
    pi = read_policy(target, bandit.means.shape, "the target policy")
    stated = mu if propensities is None else np.asarray(propensities, dtype=float)
    if stated.shape != mu.shape or not (stated[mu > 0] > 0).all() or not (stated <= 1).all():
        raise InputError(
            f"the stated propensities have the shape {mu.shape} and lie in (0, 1] wherever the logging policy plays."
        )
    return np.where(mu > 0, pi / np.where(mu > 0, stated, 1.0), 0.0)


def _moments(bandit: ContextualBandit, logging: ArrayLike, target: ArrayLike, model: Array, weights: Array) -> Moments:
    r"""Moments of :math:`\hat V(x) + c(x, a) (r - \hat q(x, a))`, from the law of total variance."""
    if model.shape != bandit.means.shape or not np.isfinite(model).all():
        raise InputError(f"a model of the rewards has finite entries and the shape {bandit.means.shape}, not {model.shape}.")
    mu, pi = np.asarray(logging, dtype=float), np.asarray(target, dtype=float)
    joint = bandit.law[:, None] * mu
    expected = (pi * model).sum(axis=1, keepdims=True) + weights * (bandit.means - model)  # given context and action
    mean = float((joint * expected).sum())
    variance = float((joint * (weights**2 * bandit.variances + (expected - mean) ** 2)).sum())
    return Moments(mean, mean - float(bandit.value(pi)), variance)


def _bernoulli_means(bandit: ContextualBandit) -> Array:
    if bandit.deviation is not None:
        raise InputError("logs are enumerated for Bernoulli rewards only.")
    return bandit.means


def _kinds(bandit: ContextualBandit, logging: ArrayLike, target: ArrayLike) -> tuple[Array, Array, Array]:
    """The different (weight, reward) of a record, with their probabilities, all positive."""
    means = _bernoulli_means(bandit)
    weights = _weight_table(bandit, logging, target, None)
    joint = bandit.law[:, None] * np.asarray(logging, dtype=float)
    pairs = np.stack([np.tile(weights.ravel(), 2), np.repeat([0.0, 1.0], weights.size)], axis=1)
    chance = np.concatenate([(joint * (1 - means)).ravel(), (joint * means).ravel()])
    kinds, which = np.unique(pairs[chance > 0], axis=0, return_inverse=True)
    law = np.bincount(which.ravel(), weights=chance[chance > 0]).astype(float)
    return kinds[:, 0], kinds[:, 1], law


def _counts(size: int, kinds: int) -> NDArray[np.int64]:
    """All vectors of ``kinds`` counts with the sum ``size``, one a row: the gaps between kinds - 1 bars among size + kinds - 1 places."""
    if size < 1:
        raise InputError(f"a log has at least 1 record, not {size}.")
    number = round(np.exp(lgamma(size + kinds) - lgamma(size + 1) - lgamma(kinds)))
    if number > MOST_LOGS:
        raise InputError(f"there are {number} tables of counts of {size} records; at most {MOST_LOGS} are enumerated.")
    places = itertools.combinations(range(size + kinds - 1), kinds - 1)
    bars = np.fromiter(itertools.chain.from_iterable(places), dtype=np.int64).reshape(number, kinds - 1)
    edges = np.concatenate([np.full((number, 1), -1), bars, np.full((number, 1), size + kinds - 1)], axis=1)
    return np.diff(edges, axis=1) - 1


def _log_factorials(size: int) -> Array:
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, size + 1)))])
