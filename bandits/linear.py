r"""Linear bandits, :math:`r_t = \langle\theta, u_t\rangle + \eta_t`, and OFUL (LinUCB), the optimistic algorithm for them.

After t rounds the ridge estimate is :math:`\hat\theta_t = V_t^{-1} \sum_{i \le t} u_i r_i` with :math:`V_t = \lambda I + \sum_i u_i u_i^\top`,
and OFUL plays :math:`\arg\max_u \langle\hat\theta_t, u\rangle + \beta_t \|u\|_{V_t^{-1}}`.

Source: Abbasi-Yadkori, Pal and Szepesvari 2011, Improved Algorithms for Linear Stochastic Bandits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bandits import _kernels_linear as kernels
from theory.claims.families import family
from theory.errors import InputError
from theory.random_streams import read_checkpoints, read_seeds

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LinearBandit:
    """Mean rewards ``<theta, u>`` of actions u in R^d, with normal noise of standard deviation ``deviation`` >= 0.

    ``theta``, shape (d,). ``actions``, shape (K, d), or (X, K, d): each round draws one of X contexts uniformly, and row a of its
    table is action a. ``key`` is the call that rebuilds the instance. Raises :class:`InputError` for anything else.
    """

    theta: Floats
    actions: Floats
    deviation: float = 1.0
    key: str | None = None

    def __post_init__(self) -> None:
        theta, actions = read_actions(self.theta, self.actions)
        if not (0 <= self.deviation < math.inf):
            raise InputError(f"the standard deviation of the rewards is finite and at least 0, not {self.deviation}.")
        object.__setattr__(self, "theta", theta)
        object.__setattr__(self, "actions", actions)

    @property
    def dimension(self) -> int:
        """The dimension d of the actions."""
        return self.theta.size

    @cached_property
    def means(self) -> Floats:
        """Mean rewards by context and action, shape (X, K)."""
        return np.atleast_2d(self.actions @ self.theta)

    @cached_property
    def gaps(self) -> Floats:
        """What each action costs in each context, shape (X, K)."""
        return self.means.max(axis=1, keepdims=True) - self.means

    @cached_property
    def largest_action(self) -> float:
        """The largest norm of an action, L."""
        return float(np.linalg.norm(self.actions, axis=-1).max())

    @cached_property
    def norm(self) -> float:
        """The norm of theta."""
        return float(np.linalg.norm(self.theta))

    def __repr__(self) -> str:
        return f"LinearBandit({self.key or f'theta={self.theta.tolist()}'})"


@dataclass(frozen=True, eq=False)
class LinearRuns:
    """Independent runs of an optimistic algorithm; run i has the seed ``seeds[i]``.

    Up to ``checkpoints[j]`` rounds: ``regret[i, j]``, what the best constant action earns in the long run less the mean rewards given
    the actions played; ``worst_error[i, j]``, the largest :math:`\\|\\hat\\theta - \\theta\\|_V / \\beta` of all estimates so far;
    ``log_volume[i, j]``, :math:`\\ln\\det(V/\\lambda I)`; ``plays[i, j, a]``, how often action a was played.
    """

    checkpoints: Ints
    seeds: NDArray[np.uint64]
    regret: Floats
    worst_error: Floats
    log_volume: Floats
    plays: Ints


def oful(
    bandit: LinearBandit,
    horizon: int,
    seeds: ArrayLike,
    checkpoints: ArrayLike | None = None,
    *,
    ridge: float = 1.0,
    norm: float | None = None,
    delta: float = 0.05,
    width: float = 1.0,
    actions_played: ArrayLike | None = None,
) -> LinearRuns:
    r"""Runs of OFUL with :math:`\beta_t = \sigma\sqrt{2\ln(1/\delta) + \ln\det(V_t/\lambda I)} + \sqrt\lambda\, S`, one for each seed.

    ``ridge`` = lambda > 0; ``norm`` = S >= 0, by default the norm of theta; ``delta`` in (0, 1). The index adds ``width`` >= 0 times
    beta; errors are divided by beta itself. ``actions_played`` fixes the design instead: round t plays its entry t modulo its
    length. Raises :class:`InputError` for anything else.
    """
    marks, each = read_checkpoints(horizon, checkpoints, "round"), read_seeds(seeds)
    d = bandit.dimension
    bound = bandit.norm if norm is None else norm
    require_learner(ridge, delta, width)
    if not (0 <= bound < math.inf):
        raise InputError(f"the bound on the norm of theta is finite and at least 0, not {bound}.")
    actions = bandit.actions.reshape(-1, *bandit.actions.shape[-2:]).copy()
    found = kernels.optimistic_runs(
        np.zeros((0, 0)),
        np.zeros((0, d)),
        np.zeros(0),
        bandit.theta.copy(),
        actions,
        bandit.means.max(axis=1),
        bandit.theta.copy(),
        0.0,
        float(bandit.deviation),
        np.ones(horizon, dtype=np.int64),
        np.full(horizon + 1, math.sqrt(ridge) * bound),
        float(bandit.deviation),
        2 * math.log(1 / delta),
        float(width),
        float(ridge),
        read_script(actions_played, actions.shape[1]),
        each,
        marks,
    )
    return LinearRuns(marks, each, *found)


def read_actions(theta: ArrayLike, actions: ArrayLike) -> tuple[Floats, Floats]:
    """Read-only ``theta`` (d,) and ``actions`` (K, d) or (X, K, d), finite; InputError for anything else."""
    vector, table = np.array(theta, dtype=float), np.array(actions, dtype=float)
    if vector.ndim != 1 or vector.size == 0 or table.ndim not in (2, 3) or table.size == 0 or table.shape[-1] != vector.size:
        raise InputError(
            f"a linear bandit has a vector theta and actions of its length, not of the shapes {vector.shape} and {table.shape}."
        )
    if not (np.isfinite(vector).all() and np.isfinite(table).all()):
        raise InputError("theta and the actions of a linear bandit are finite.")
    vector.setflags(write=False)
    table.setflags(write=False)
    return vector, table


def read_script(actions_played: ArrayLike | None, arms: int) -> Ints:
    """A fixed sequence of actions as int64[...], empty if there is none; InputError for one that is no action."""
    script = np.atleast_1d(np.asarray([] if actions_played is None else actions_played))
    if script.size and (script.ndim != 1 or not np.issubdtype(script.dtype, np.integer)):
        raise InputError("a fixed sequence of actions is a vector of their numbers.")
    if script.size and not (script.min() >= 0 and script.max() < arms):
        raise InputError(
            f"the actions have the numbers 0 to {arms - 1}, and the sequence has {script.min()} to {script.max()}."
        )
    return script.astype(np.int64)


def require_learner(ridge: float, delta: float, width: float) -> None:
    """InputError unless ridge > 0, delta in (0, 1) and width >= 0, all finite."""
    if not (0 < ridge < math.inf and 0 < delta < 1 and 0 <= width < math.inf):
        raise InputError(
            f"an optimistic learner needs a ridge > 0, a delta between 0 and 1 and a width >= 0, not {ridge}, {delta}, {width}."
        )


@family(d=1, K=1, X=1)
def linear_bandit(
    d: int = 3, K: int = 10, X: int = 1, norm: float = 1.0, largest: float = 1.0, deviation: float = 0.5, seed: int = 0
) -> LinearBandit:
    """A parameter of norm ``norm`` and K actions of norm ``largest`` in each of X contexts, in uniformly drawn directions."""
    if min(d, K, X) < 1 or norm < 0 or largest < 0:
        raise InputError(
            f"a linear bandit needs d, K and X of at least 1 and norms of at least 0, not {d}, {K}, {X}, {norm}, {largest}."
        )
    rng = np.random.default_rng(seed)
    drawn = rng.standard_normal((1 + X * K, d))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    actions = largest * drawn[1:].reshape(X, K, d)
    return LinearBandit(norm * drawn[0], actions[0] if X == 1 else actions, deviation)


@family(d=1)
def unit_vectors(d: int = 1, size: float = 1.0, norm: float = 0.0, deviation: float = 1.0) -> LinearBandit:
    """The d unit vectors times ``size``, and theta = ``norm`` (1, ..., 1) / sqrt d; all are optimal."""
    if d < 1:
        raise InputError(f"a linear bandit has a dimension of at least 1, not {d}.")
    return LinearBandit(np.full(d, norm / math.sqrt(d)), size * np.eye(d), deviation)
