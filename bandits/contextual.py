r"""Contextual bandits with finitely many contexts, and finite classes of regression functions for them.

A context x is drawn from a known law, an action a is chosen, and a reward of mean :math:`f^\star(x, a)` is paid. With X
contexts and K actions everything is a table of shape (X, K), a policy included: row x holds the probabilities of the actions
in context x. Expectations over contexts and actions are therefore finite sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.claims.families import family
from theory.divergences import NORMALISATION
from theory.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ContextualBandit:
    """Mean rewards of each action in each context, the law of the contexts, and the law of the rewards around their means.

    ``means``, shape (X, K): finite, and in [0, 1] for Bernoulli rewards. ``law``, shape (X,): probabilities of the contexts
    (uniform if not given). ``deviation``: the standard deviation of Gaussian rewards, finite and at least 0; None for Bernoulli
    rewards. ``key`` is the call that rebuilds the instance.

    Raises :class:`InputError` for anything else.
    """

    means: Array
    law: Array = None  # type: ignore[assignment]  # __post_init__ fills it in
    deviation: float | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        means = np.array(self.means, dtype=float)
        if means.ndim != 2 or means.size == 0:
            raise InputError(
                f"a contextual bandit has a table of means, contexts by actions, not an array of shape {means.shape}."
            )
        bad = ~np.isfinite(means) if self.deviation is not None else ~((means >= 0) & (means <= 1))
        if bad.any():
            x, a = (int(i) for i in np.argwhere(bad)[0])
            allowed = "[0, 1]" if self.deviation is None else "the real numbers"
            raise InputError(f"action {a} in context {x} has the mean reward {means[x, a]}, outside {allowed}.")
        X = means.shape[0]
        law = np.full(X, 1 / X) if self.law is None else np.array(self.law, dtype=float)
        if law.shape != (X,) or not (law >= 0).all() or not abs(law.sum() - 1) <= NORMALISATION:
            raise InputError(f"the law of {X} contexts has as many probabilities with the sum 1, not {self.law!r}.")
        if self.deviation is not None and not (np.isfinite(self.deviation) and self.deviation >= 0):
            raise InputError(f"the standard deviation of Gaussian rewards is finite and at least 0, not {self.deviation}.")
        for array, name in ((means, "means"), (law, "law")):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def contexts(self) -> int:
        """The number of contexts X."""
        return self.means.shape[0]

    @property
    def actions(self) -> int:
        """The number of actions K."""
        return self.means.shape[1]

    @cached_property
    def variances(self) -> Array:
        """The variance of the reward given context and action, shape (X, K)."""
        if self.deviation is None:
            return self.means * (1 - self.means)
        return np.full(self.means.shape, float(self.deviation) ** 2)

    @cached_property
    def gaps(self) -> Array:
        """What each action costs in each context, ``max_b means[x, b] - means[x, a]``, shape (X, K)."""
        return self.means.max(axis=1, keepdims=True) - self.means

    def value(self, policy: ArrayLike) -> Array:
        r"""The expected reward :math:`\sum_x P(x) \sum_a \pi(a|x) f^\star(x, a)` of policies of shape (..., X, K), shape (...)."""
        return np.asarray((read_policy(policy, self.means.shape) * self.means).sum(axis=-1) @ self.law)[()]

    def __repr__(self) -> str:
        return f"ContextualBandit({self.key or f'{self.contexts} contexts, {self.actions} actions'})"


def read_policy(policy: ArrayLike, shape: tuple[int, ...], name: str = "a policy") -> Array:
    """``policy`` as float64[..., X, K]; InputError naming the row that is no probability vector, or a shape not ending in ``shape``."""
    table = np.asarray(policy, dtype=float)
    if table.shape[-2:] != tuple(shape):
        raise InputError(f"{name} has the shape {tuple(shape)}, contexts by actions, not {table.shape}.")
    wrong = ~((table >= 0).all(axis=-1) & (np.abs(table.sum(axis=-1) - 1) <= NORMALISATION))
    if wrong.any():
        row = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise InputError(f"{name} has the row {table[row].tolist()} in context {row[-1]}, which is no probability vector.")
    return table


@dataclass(frozen=True, eq=False)
class RegressionProblem:
    """A contextual bandit and a finite class of candidates for its mean rewards.

    ``functions``, shape (F, X, K), F >= 1: entries in [0, 1]. The problem is *realizable* when one of them is the table of means.
    """

    bandit: ContextualBandit
    functions: Array
    key: str | None = None

    def __post_init__(self) -> None:
        functions = np.array(self.functions, dtype=float)
        shape = self.bandit.means.shape
        if functions.ndim != 3 or functions.shape[0] == 0 or functions.shape[1:] != shape:
            raise InputError(
                f"a class of functions has the shape (F, {shape[0]}, {shape[1]}) with F >= 1, not {functions.shape}."
            )
        outside = ~((functions >= 0) & (functions <= 1))
        if outside.any():
            f, x, a = (int(i) for i in np.argwhere(outside)[0])
            raise InputError(f"function {f} predicts {functions[f, x, a]} for action {a} in context {x}, outside [0, 1].")
        functions.setflags(write=False)
        object.__setattr__(self, "functions", functions)

    @property
    def size(self) -> int:
        """The number of functions F."""
        return self.functions.shape[0]

    @property
    def realizable(self) -> bool:
        """Whether the class contains the means."""
        return bool((self.functions == self.bandit.means).all(axis=(1, 2)).any())

    def __repr__(self) -> str:
        return f"RegressionProblem({self.key or f'{self.size} functions for {self.bandit!r}'})"


@family(X=1, K=2)
def contextual_bandit(
    X: int = 3, K: int = 3, deviation: float | None = None, skewed: bool = False, seed: int = 0
) -> ContextualBandit:
    """Means drawn uniformly from [0, 1]; contexts equally likely, or ``skewed``: their law drawn uniformly from the simplex."""
    rng = np.random.default_rng(seed)
    means = rng.uniform(size=(X, K))
    return ContextualBandit(means, rng.dirichlet(np.ones(X)) if skewed else np.full(X, 1 / X), deviation)


@family(X=1, K=2, size=2)
def random_class(
    X: int = 4,
    K: int = 3,
    size: int = 20,
    low: float = 0.0,
    high: float = 1.0,
    two_valued: bool = False,
    dropped: bool = False,
    seed: int = 0,
) -> RegressionProblem:
    """``size`` tables with independent entries, uniform on [low, high] or (``two_valued``) on its ends; the last is the truth.

    ``dropped``: the class is left without the truth, and has ``size`` - 1 functions.
    """
    if size < 2 and dropped:
        raise InputError(f"a class of {size} functions has none left when the truth is dropped.")
    rng = np.random.default_rng(seed)
    shape = (size, X, K)
    functions = rng.choice((low, high), size=shape) if two_valued else rng.uniform(low, high, size=shape)
    return RegressionProblem(ContextualBandit(functions[-1]), functions[:-1] if dropped else functions)


@family(size=2)
def outvoted(
    size: int = 2, common: float = 0.5, truth: float = 0.7, rival: float = 0.0, actual: float | None = None
) -> RegressionProblem:
    """One context, two actions: all functions predict ``common`` for action 0; for action 1 one predicts ``truth``, the others ``rival``.

    Where ``actual`` is given, it is the mean of action 1, and the class need not contain the truth.
    """
    if size < 2:
        raise InputError(f"to be outvoted takes a class of at least 2 functions, not {size}.")
    functions = np.full((size, 1, 2), common)
    functions[:, 0, 1] = rival
    functions[-1, 0, 1] = truth
    means = np.array([[common, truth if actual is None else actual]])
    return RegressionProblem(ContextualBandit(means), functions)


@family(X=1, K=2, size=2)
def fixed_gap(X: int = 8, K: int = 4, size: int = 100, gap: float = 0.3, seed: int = 0) -> RegressionProblem:
    """In every function each context has one best action, drawn uniformly, of mean (1 + gap) / 2; all others have (1 - gap) / 2."""
    if not 0 <= gap <= 1:
        raise InputError(f"the gap between means in [0, 1] lies in [0, 1], not at {gap}.")
    best = np.random.default_rng(seed).integers(K, size=(size, X))
    functions = np.where(np.arange(K) == best[..., None], (1 + gap) / 2, (1 - gap) / 2)
    return RegressionProblem(ContextualBandit(functions[-1]), functions)
