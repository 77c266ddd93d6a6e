r"""Two-player zero-sum matrix games, also with different action sets, and mirror descent of both players.

The row player maximises and the column player minimises :math:`x^\top M y`. Regularised at the temperature :math:`\beta`, with a
reference for each player, the payoff is

.. math:: f(x, y) = x^\top M y - \beta\,\mathrm{KL}(x\|\mu) + \beta\,\mathrm{KL}(y\|\nu),

which is strictly concave in x and convex in y: exactly one equilibrium, with
:math:`\ln x^\star = \ln\mu + M y^\star/\beta + \text{const}` and :math:`\ln y^\star = \ln\nu - M^\top x^\star/\beta + \text{const}`.

**Certificate.** Write R for the range of M, :math:`b(y) \propto \mu \exp(M y/\beta)`, :math:`b(x) \propto \nu \exp(-M^\top x/\beta)`,
and :math:`c^2 = c_x^2 + c_y^2` with :math:`c_x = \beta\,\mathrm{span}(\ln x - \ln b(y))`, :math:`c_y` likewise. The duality gap
is :math:`\max_u f(u, y) - \min_v f(x, v) = \beta\,\mathrm{KL}(x\|b(y)) + \beta\,\mathrm{KL}(y\|b(x)) \le c^2/(8\beta)`, by
Hoeffding's lemma, and at least :math:`f(x^\star, y) - f(x, y^\star) = \beta\,\mathrm{KL}(x\|x^\star) + \beta\,\mathrm{KL}(y\|y^\star)`. So

.. math:: \mathrm{KL}(x\|x^\star) + \mathrm{KL}(y\|y^\star) \le \frac{c^2}{8\beta^2}, \qquad
          \|x - x^\star\|_1 \le \frac{c}{2\beta}, \qquad
          \mathrm{span}(\ln x - \ln x^\star) \le \frac{c}{\beta} + \frac{R c}{2\beta^2},

and the same for y; the last because the span of M z is at most :math:`R\,\|z\|_1` for a vector z that sums to 0.

What is out of its stated range raises :class:`~theory.errors.InputError`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from games.dynamics import require_iterations
from games.newton import damped_newton, follow_temperature
from games.prox import normalise, require_steps
from theory.claims.families import family
from theory.divergences import NORMALISATION, span
from theory.errors import InputError
from theory.tilts import require_temperature

Array = NDArray[np.float64]

EPS = float(np.finfo(float).eps)


@dataclass(frozen=True, eq=False)
class ZeroSumGame:
    """A payoff matrix with a reference for each player.

    ``payoff``, shape (m, n), finite: what the row player receives from the column player. ``log_row_reference``, shape (m,),
    and ``log_column_reference``, shape (n,): finite log-probabilities (uniform if not given). ``key`` is the call that rebuilds
    the instance, ``beta`` the temperature that it was made for, if it was made for one.

    Raises :class:`InputError` naming the entry that is not finite, or the sum of a reference.
    """

    payoff: Array
    log_row_reference: Array = None  # type: ignore[assignment]  # __post_init__ fills both in
    log_column_reference: Array = None  # type: ignore[assignment]
    key: str | None = None
    beta: float | None = None

    def __post_init__(self) -> None:
        payoff = np.array(self.payoff, dtype=float, order="C")
        if payoff.ndim != 2 or payoff.size == 0:
            raise InputError(f"a zero-sum game has a matrix of payoffs with a row and a column, not the shape {payoff.shape}.")
        if not np.isfinite(payoff).all():
            i, j = (int(k) for k in np.argwhere(~np.isfinite(payoff))[0])
            raise InputError(f"entry ({i}, {j}) of a payoff matrix is {payoff[i, j]}, which is not finite.")
        if self.beta is not None:
            require_temperature(self.beta)
        payoff.setflags(write=False)
        object.__setattr__(self, "payoff", payoff)
        for name, size in (("log_row_reference", payoff.shape[0]), ("log_column_reference", payoff.shape[1])):
            given = getattr(self, name)
            reference = np.full(size, -np.log(size)) if given is None else _policy(given, size, name)
            reference.setflags(write=False)
            object.__setattr__(self, name, reference)

    @property
    def payoff_range(self) -> float:
        """R, the largest entry of the payoff less the smallest."""
        return float(self.payoff.max() - self.payoff.min())

    def __repr__(self) -> str:
        return f"ZeroSumGame({self.key or f'{self.payoff.shape[0]} by {self.payoff.shape[1]} actions'})"


@dataclass(frozen=True, eq=False)
class ZeroSumRun:
    """A trajectory as log-probabilities: ``log_rows``, shape (T + 1, m), and ``log_columns``, shape (T + 1, n)."""

    log_rows: Array
    log_columns: Array


def zero_sum_descent(
    game: ZeroSumGame,
    beta: float,
    iterations: int,
    *,
    step: float | tuple[float, float],
    start: tuple[ArrayLike, ArrayLike] | None = None,
) -> ZeroSumRun:
    r"""Magnetic mirror descent of both players at once; with ``beta`` = 0, Hedge against Hedge.

    .. math:: \ln x_{t+1} &= \frac{\ln x_t + g \beta \ln \mu + g M y_t}{1 + g\beta} + \text{const}, \\
              \ln y_{t+1} &= \frac{\ln y_t + g \beta \ln \nu - g M^\top x_t}{1 + g\beta} + \text{const}

    with the ``step`` g > 0, or one for each player. Starts from the references unless given log-probabilities to ``start`` from.
    Sokota, D'Orazio, Kolter, Loizou, Lanctot, Mitliagkas, Brown and Kroer (2022), arXiv 2206.05825.
    """
    temperature = require_temperature(beta, zero=True)
    given = require_steps(step)
    if given.shape not in ((), (2,)):
        raise InputError(f"there is one step size, or one for each of the two players, not an array of shape {given.shape}.")
    steps = np.broadcast_to(given, (2,))
    require_iterations(iterations)
    m, n = game.payoff.shape
    rows, columns = np.empty((iterations + 1, m)), np.empty((iterations + 1, n))
    rows[0] = game.log_row_reference if start is None else _policy(start[0], m, "the rows' start")
    columns[0] = game.log_column_reference if start is None else _policy(start[1], n, "the columns' start")
    from games._kernels_zero_sum import descent_path

    descent_path(
        game.payoff,
        game.payoff.T.copy(),  # writable in every shape: one signature
        game.log_row_reference,
        game.log_column_reference,
        temperature,
        1 / steps[0],
        1 / steps[1],
        rows,
        columns,
    )
    return ZeroSumRun(rows, columns)


def hedge_steps(game: ZeroSumGame, iterations: int) -> tuple[float, float]:
    r"""The steps :math:`\sqrt{8 \ln m / T} / R` and :math:`\sqrt{8 \ln n / T} / R` that minimise Hedge's regret bound.

    With them a player's regret over T = ``iterations`` >= 1 rounds from the uniform policy is at most
    :math:`R \sqrt{T \ln m / 2}`. A player with one action, or a game with a constant payoff, gets the step 1.
    """
    if iterations < 1:
        raise InputError(f"steps are tuned to at least one iteration, not {iterations}.")
    size = game.payoff_range or 1.0
    row, column = (float(np.sqrt(8 * np.log(k) / iterations) / size) or 1.0 for k in game.payoff.shape)
    return row, column


def hedge_self_play(
    game: ZeroSumGame,
    iterations: int,
    *,
    step: float | tuple[float, float] | None = None,
    start: tuple[ArrayLike, ArrayLike] | None = None,
) -> ZeroSumRun:
    """Hedge against Hedge from the uniform policies, or from ``start``; steps as in :func:`hedge_steps` unless given."""
    chosen = hedge_steps(game, max(1, iterations)) if step is None else step
    return zero_sum_descent(ZeroSumGame(game.payoff), 0.0, iterations, step=chosen, start=start)


def row_guarantee(game: ZeroSumGame, log_row: ArrayLike) -> Array:
    """What a row policy receives at worst, min_j (M^T x)_j: shape (...) for log-probabilities of shape (..., m)."""
    return np.asarray((np.exp(np.asarray(log_row, dtype=float)) @ game.payoff).min(axis=-1))[()]


@dataclass(frozen=True, eq=False)
class RegularisedZeroSumNash:
    """A pair of policies that is nearly the equilibrium, and how nearly.

    ``log_row`` and ``log_column`` are log-probabilities; ``certificate`` is the number c of the module's docstring, an upper
    bound that includes the rounding of its evaluation.
    """

    game: ZeroSumGame
    beta: float
    log_row: Array
    log_column: Array
    certificate: float
    steps: int

    @property
    def gap_bound(self) -> float:
        """An upper bound on the duality gap of the pair."""
        return self.certificate**2 / (8 * self.beta)

    @property
    def distance_bound(self) -> float:
        """An upper bound on the l1 distance of either policy from the equilibrium's."""
        return self.certificate / (2 * self.beta)

    @property
    def span_bound(self) -> float:
        """An upper bound on the span of the error of either policy's log-probabilities."""
        return self.certificate / self.beta + self.game.payoff_range * self.certificate / (2 * self.beta**2)

    def divergence_error(self, log_rows: ArrayLike, log_columns: ArrayLike) -> Array:
        r"""How wrong KL(x* || p) + KL(y* || q) can be when this result stands for the equilibrium and p, q, of shapes (..., m)
        and (..., n), were computed in float64.

        :math:`\mathrm{KL}(x^\star\|p) - \mathrm{KL}(\hat x\|p) = \langle x^\star - \hat x, \ln x^\star - \ln p\rangle -
        \mathrm{KL}(\hat x\|x^\star)`, and an inner product of a zero-sum vector with another is at most half the l1 norm of the
        first times the span of the second. Rounding of log-probabilities adds a relative error of probabilities.
        """
        total = np.asarray(self.certificate**2 / (8 * self.beta**2))
        for found, given in ((self.log_row, log_rows), (self.log_column, log_columns)):
            p = np.asarray(given, dtype=float)
            ratio = span(p - found)
            distance = np.abs(np.exp(p) - np.exp(found)).sum(axis=-1)
            # a proximal step rounds numbers of the size of the log-probabilities about four times
            rounding = 8 * EPS * (1 + max(float(np.abs(p).max()), float(np.abs(found).max())))
            total = total + self.distance_bound / 2 * (ratio + self.span_bound) + rounding * (ratio + distance)
        return total


def solve_regularised_zero_sum(game: ZeroSumGame, beta: float) -> RegularisedZeroSumNash:
    r"""The equilibrium of the game regularised at ``beta`` > 0, to the accuracy of float64.

    Newton's method in logits e, f with :math:`x = \mathrm{softmax}(\ln\mu + e)`, :math:`y = \mathrm{softmax}(\ln\nu + f)`, on
    :math:`G = (e - M y/\beta,\; f + M^\top x/\beta)`. Its Jacobian is the identity plus a skew times a positive semidefinite
    matrix, hence never singular. Steps are halved until the span of G falls; where that fails, the equilibrium is followed from
    a large beta downwards.
    """
    target = require_temperature(beta)
    size = sum(game.payoff.shape)
    logits, steps = follow_temperature(functools.partial(_newton, game), target, game.payoff_range, size)
    m = game.payoff.shape[0]
    row, column = normalise(game.log_row_reference + logits[:m]), normalise(game.log_column_reference + logits[m:])
    return RegularisedZeroSumNash(game, target, row, column, zero_sum_certificate(game, target, row, column), steps)


def zero_sum_certificate(game: ZeroSumGame, beta: float, log_row: ArrayLike, log_column: ArrayLike) -> float:
    """The number c of the module's docstring for a pair of policies, with an upper bound on the rounding of its evaluation."""
    row, column = np.asarray(log_row, dtype=float), np.asarray(log_column, dtype=float)
    residuals = (
        row - game.log_row_reference - game.payoff @ np.exp(column) / beta,
        column - game.log_column_reference + game.payoff.T @ np.exp(row) / beta,
    )
    size = max(float(np.abs(v).max()) for v in (row, column, game.log_row_reference, game.log_column_reference))
    entries = float(np.abs(game.payoff).max())
    rounding = EPS * ((max(game.payoff.shape) + 4) * entries + 4 * beta * size)
    return float(np.hypot(*(beta * float(span(r)) + rounding for r in residuals)))


def _newton(game: ZeroSumGame, beta: float, start: Array) -> tuple[Array, bool, int]:
    """Newton's method from ``start``, both players' logits in one vector; says whether it converged, and in how many steps."""
    M, m = game.payoff, game.payoff.shape[0]

    def residual(logits: Array) -> tuple[Array, float, tuple[Array, Array]]:
        x = np.exp(normalise(game.log_row_reference + logits[:m]))
        y = np.exp(normalise(game.log_column_reference + logits[m:]))
        g = logits - np.concatenate([M @ y, -(M.T @ x)]) / beta
        return g, float(max(span(g[:m]), span(g[m:]))), (x, y)

    def direction(policies: tuple[Array, Array], g: Array) -> Array:
        x, y = policies
        jacobian = np.eye(g.size)
        jacobian[:m, m:] -= (M * y - np.outer(M @ y, y)) / beta
        jacobian[m:, :m] += (M.T * x - np.outer(M.T @ x, x)) / beta
        return np.asarray(np.linalg.solve(jacobian, g), dtype=float)

    return damped_newton(residual, direction, start, 1e-13 * max(1.0, float(np.abs(M).max()) / beta))


def _policy(values: ArrayLike, size: int, what: str) -> Array:
    policy = np.array(values, dtype=float)
    if policy.shape != (size,):
        raise InputError(f"{what} has {size} log-probabilities, not the shape {policy.shape}.")
    if not np.isfinite(policy).all():
        action = int(np.argmin(np.isfinite(policy)))
        raise InputError(f"{what} gives action {action} the log-probability {policy[action]}, which must be finite.")
    total = float(np.logaddexp.reduce(policy))
    if abs(total) > NORMALISATION:
        raise InputError(f"{what} sums to {np.exp(total):.12g}, not to 1.")
    return policy - total


# --- families ----------------------------------------------------------------------------------------------------------


def _sizes(rows: int, columns: int, size: float) -> None:
    if min(rows, columns) < 1:
        raise InputError(f"each player has at least one action, not {min(rows, columns)}.")
    if not 0 < size < np.inf:
        raise InputError(f"the range of payoffs is positive and finite, not {size}.")


@family(rows=2, columns=2)
def zero_sum(rows: int = 3, columns: int = 4, size: float = 1.0, scale: float = 1.0, seed: int = 0) -> ZeroSumGame:
    """Payoffs independent and uniform in [0, size]; references are softmaxes of normal numbers of the deviation ``scale``."""
    _sizes(rows, columns, size)
    rng = np.random.default_rng(seed)
    mu, nu = (normalise(scale * rng.standard_normal(k)) for k in (rows, columns))
    return ZeroSumGame(size * rng.uniform(size=(rows, columns)), mu, nu)


@family
def matching_pennies(size: float = 1.0) -> ZeroSumGame:
    """The row player wins ``size``/2 if the two agree and loses as much if they differ; uniform references and equilibrium.

    The game in which small deviations rotate fastest for its payoff range.
    """
    _sizes(2, 2, size)
    return ZeroSumGame(size / 2 * np.array([[1.0, -1.0], [-1.0, 1.0]]))


@family(rows=2, columns=2)
def interior_zero_sum(rows: int = 3, columns: int = 3, scale: float = 1.0, seed: int = 0) -> ZeroSumGame:
    """A game whose unregularised equilibrium is the pair of references, both interior; value 0 and range 1.

    (I - 1 mu^T) B (I - nu 1^T) for a normal matrix B: against nu every row earns 0, against mu every column. Needs two actions
    of each player.
    """
    _sizes(rows, columns, 1.0)
    if min(rows, columns) < 2:
        raise InputError("a game with an interior equilibrium and a payoff that varies has two actions of each player.")
    rng = np.random.default_rng(seed)
    mu, nu = (normalise(scale * rng.standard_normal(k)) for k in (rows, columns))
    B = rng.standard_normal((rows, columns))
    M = B - np.exp(mu) @ B
    M = M - (M @ np.exp(nu))[:, None]
    return ZeroSumGame(M / (M.max() - M.min()), mu, nu)


@family
def zero_sum_table(
    payoff: Sequence[float] = (0.5, -0.5, -0.5, 0.5), tilt: Sequence[float] = (0.0, 0.0), beta: float = 0.1
) -> ZeroSumGame:
    """Any game of two actions each: ``payoff`` row by row, and ``tilt`` / beta the log-odds of the players' references.

    Payoffs and ``beta`` times the references' logits are on one scale, so that a search has a box. Made for ``beta``.
    """
    if len(payoff) != 4 or len(tilt) != 2:
        raise InputError(f"two by two actions have 4 payoffs and 2 log-odds, not {len(payoff)} and {len(tilt)}.")
    odds = np.array(tilt, dtype=float) / require_temperature(beta)
    mu, nu = (normalise([o, 0.0]) for o in odds.tolist())
    return ZeroSumGame(np.reshape(payoff, (2, 2)), mu, nu, beta=float(beta))


@family(critics=2, errors=2)
def detection(critics: int = 6, errors: int = 8, seed: int = 0) -> ZeroSumGame:
    """Probabilities M[c, e], independent and uniform in [0, 1], that critic c detects an error of the type e.

    The critic, the row player, maximises; the generator of errors minimises.
    """
    _sizes(critics, errors, 1.0)
    payoff = np.random.default_rng(seed).uniform(size=(critics, errors))
    return ZeroSumGame(payoff)


@family(errors=2)
def specialists(errors: int = 4, rate: float = 1.0, noise: float = 0.1, seed: int = 0) -> ZeroSumGame:
    """One critic for each type of error, which detects it with probability ``rate`` and the others with less than ``noise``.

    Both in [0, 1]. Whoever knows the critic commits another error: only mixtures of specialists guarantee anything.
    """
    _sizes(errors, errors, 1.0)
    if not (0 <= noise <= 1 and 0 <= rate <= 1):
        raise InputError(f"probabilities of detection lie in [0, 1], not at {rate} and {noise}.")
    payoff = noise * np.random.default_rng(seed).uniform(size=(errors, errors))
    np.fill_diagonal(payoff, rate)
    return ZeroSumGame(payoff)


@family
def detection_table(payoff: Sequence[float] = (1.0, 0.0, 0.0, 1.0), critics: int = 2) -> ZeroSumGame:
    """Any matrix of detection probabilities, row by row, one row for each of ``critics``."""
    if critics < 1 or len(payoff) == 0 or len(payoff) % critics:
        raise InputError(f"{len(payoff)} probabilities do not make {critics} rows.")
    return ZeroSumGame(np.reshape(payoff, (critics, -1)))
