r"""Symmetric games with two actions among any number of players: what a population plays, and latent policies that serve several.

A game of n players is a table :math:`u(a, k)`: the payoff of action a in {0, 1} when k of the n - 1 others take action 1. If all play
action 1 with probability x, an action is worth :math:`u(a, x) = \sum_k \binom{n-1}{k} x^k (1-x)^{n-1-k} u(a, k)`, and

.. math:: d(x) = u(1, x) - u(0, x), \qquad \mathrm{ex}(x) = \max_a u(a, x) - u(x, x) = \max\{(1 - x)\, d(x),\; -x\, d(x)\}

are the advantage of action 1 and the exploitability. Symmetric equilibria are the x with ex(x) = 0. A set of m *latent policies*
serves a family of games, of which each is played by the latent that is least exploitable there.

Zhang, Shen, Han and Shen (2021), arXiv 2108.12988. What is out of its stated range raises :class:`~theory.errors.InputError`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.claims.families import family
from theory.errors import InputError

Array = NDArray[np.float64]
MOST_PLAYERS = 200  # binomial coefficients of more players lose digits in float64
FINEST = 2.0**-40  # intervals in which the advantage touches 0 are not divided further


@dataclass(frozen=True, eq=False)
class SymmetricGame:
    """``payoff`` u(a, k), shape (2, n), finite: row a for action a, column k for k others on action 1; 2 <= n <= 200 players.

    ``key`` is the call that rebuilds the instance. Raises :class:`InputError` naming what is out of range.
    """

    payoff: Array
    key: str | None = None

    def __post_init__(self) -> None:
        payoff = np.array(self.payoff, dtype=float)
        if payoff.ndim != 2 or payoff.shape[0] != 2 or not 2 <= payoff.shape[1] <= MOST_PLAYERS:
            raise InputError(f"payoffs have the shape (2, players) with 2 to {MOST_PLAYERS} players, not {payoff.shape}.")
        if not np.isfinite(payoff).all():
            a, k = (int(i) for i in np.argwhere(~np.isfinite(payoff))[0])
            raise InputError(f"the payoff of action {a} against {k} others on action 1 is {payoff[a, k]}, which is not finite.")
        payoff.setflags(write=False)
        object.__setattr__(self, "payoff", payoff)

    @property
    def players(self) -> int:
        """The number of players n."""
        return self.payoff.shape[1]

    @property
    def span(self) -> float:
        """The largest less the least payoff."""
        return float(np.ptp(self.payoff))

    @property
    def advantages(self) -> Array:
        """d(k) = u(1, k) - u(0, k) against pure profiles, shape (n,)."""
        return np.asarray(self.payoff[1] - self.payoff[0])

    def __repr__(self) -> str:
        return f"SymmetricGame({self.key or f'{self.players} players'})"


def advantage(game: SymmetricGame, policy: ArrayLike) -> Array:
    """d(x) = u(1, x) - u(0, x) of probabilities x in [0, 1] of action 1, any shape: the exact binomial sum."""
    x = _probabilities(policy)
    return np.asarray(_binomial(game.players - 1, x) @ game.advantages)


def exploitability(game: SymmetricGame, policy: ArrayLike) -> Array:
    """ex(x) = max_a u(a, x) - u(x, x) >= 0 of probabilities x in [0, 1] of action 1, any shape."""
    x = _probabilities(policy)
    d = advantage(game, x)
    return np.asarray(np.maximum((1 - x) * d, -x * d))


def gradient_step(game: SymmetricGame, policy: ArrayLike, eta: float) -> Array:
    """The projected gradient step x + eta d(x), kept in [0, 1], of a population that plays x; eta > 0."""
    if not (eta > 0 and np.isfinite(eta)):
        raise InputError(f"a gradient step has a positive finite size, not {eta}.")
    x = _probabilities(policy)
    return np.asarray(np.clip(x + eta * advantage(game, x), 0.0, 1.0))


def symmetric_equilibria(game: SymmetricGame) -> Array:
    r"""All symmetric equilibria, increasing: the zeros of d in (0, 1), 0 if d(0) <= 0 and 1 if d(1) >= 0.

    d is a polynomial whose Bernstein coefficients are d(k). An interval on which its coefficients (by de Casteljau's subdivision)
    do not change sign holds no zero, one where they change once holds just one, found by bisection; others are halved. A double zero is
    found to about 1e-12. Raises :class:`InputError` if the two actions are worth the same against everything, so that all x are
    equilibria.
    """
    coefficients = game.advantages
    if not coefficients.any():
        raise InputError("both actions are always worth the same in this game: every policy is an equilibrium.")
    found = [0.0] if coefficients[0] <= 0 else []
    pieces = [(0.0, 1.0, coefficients)]
    inner = []
    while pieces:
        low, high, c = pieces.pop()
        signs = np.sign(c[c != 0])
        changes = int(np.count_nonzero(np.diff(signs)))
        middle = (low + high) / 2
        if changes == 0 and c[0] != 0 and c[-1] != 0:
            continue
        if changes == 1 and c[0] * c[-1] < 0:
            inner.append(_bisected(game, low, high))
        elif high - low < FINEST:
            inner.append(middle)
        else:
            left, right = _subdivided(c)
            if right[0] == 0:
                inner.append(middle)
            pieces += [(low, middle, left), (middle, high, right)]
    inside = [x for x in sorted(inner) if FINEST < x < 1 - FINEST]
    found += [x for k, x in enumerate(inside) if k == 0 or x - inside[k - 1] > 4 * FINEST]
    return np.array(found + ([1.0] if coefficients[-1] >= 0 else []))


def _bisected(game: SymmetricGame, low: float, high: float) -> float:
    """The one zero of d between two points of which exactly one is above."""
    rising = advantage(game, low) < advantage(game, high)
    while high - low > 1e-16 * (low + high):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if (advantage(game, middle) < 0) == rising:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _subdivided(coefficients: Array) -> tuple[Array, Array]:
    """Bernstein coefficients of the polynomial on the two halves of its interval (de Casteljau)."""
    row = coefficients
    left, right = [row[0]], [row[-1]]
    while row.size > 1:
        row = (row[:-1] + row[1:]) / 2
        left.append(row[0])
        right.append(row[-1])
    return np.array(left), np.array(right[::-1])


def exploitability_slope(players: int) -> float:
    r"""The least c with ex(x) <= c span |x - x*| in all games of n ``players``: :math:`c = 1 / (1 - 2^{-1/(n-1)})`.

    It is between 0.66 and 0.73 times (2n - 1), and about (n - 1)/ln 2 + 1/2. :func:`first_come` attains it.
    """
    _checked_players(players)
    return float(-1 / np.expm1(-np.log(2) / (players - 1)))


# --- latent policies --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Latents:
    """A set of latent policies, float (m,), and the worst of the games' exploitabilities, each played by its best latent."""

    policies: Array
    worst: float


def served_exploitability(games: Sequence[SymmetricGame], policies: ArrayLike) -> Array:
    """For each game the least exploitability among the latent ``policies`` (m,), shape (games,)."""
    latents = np.atleast_1d(_probabilities(policies))
    if not games or latents.ndim != 1 or latents.size == 0:
        raise InputError("latent policies are a list of at least one probability, for at least one game.")
    return np.array([exploitability(game, latents).min() for game in games])


def greedy_latents(games: Sequence[SymmetricGame], most: int, candidates: ArrayLike) -> tuple[Latents, ...]:
    """Sets of 1, ..., ``most`` latents: first the best single one, then each time the best one for the game that is served worst.

    ``candidates`` are probabilities, shape (C,). The farthest-first traversal of Gonzalez (1985), with exploitabilities for distances.
    """
    points, table = _table(games, most, candidates)
    chosen = [int(np.argmin(table.max(axis=0)))]
    served = table[:, chosen[0]]
    sets = [Latents(points[chosen], float(served.max()))]
    for _ in range(most - 1):
        chosen.append(int(np.argmin(table[np.argmax(served)])))
        served = np.minimum(served, table[:, chosen[-1]])
        sets.append(Latents(points[chosen], float(served.max())))
    return tuple(sets)


def best_latents(games: Sequence[SymmetricGame], count: int, candidates: ArrayLike) -> Latents:
    """The best set of at most ``count`` latents among the increasing ``candidates`` (C,), for games that are served by intervals.

    A game accepts the candidates at which it is exploitable by at most epsilon. Where these are runs of neighbours, the fewest points
    that hit every run are found from left to right, and the least epsilon for which ``count`` suffice by bisection over the values
    that occur. Raises :class:`InputError` for a game whose exploitability is not first falling, then rising along the candidates.
    """
    points, table = _table(games, count, candidates)
    if not (np.diff(points) > 0).all():
        raise InputError("the candidates for latent policies are given in increasing order.")
    for k, row in enumerate(table):
        least = int(np.argmin(row))
        if (np.diff(row[: least + 1]) > 0).any() or (np.diff(row[least:]) < 0).any():
            raise InputError(
                f"game {k} is served by more than one interval of policies: its exploitability rises and falls again."
            )

    def hitting(epsilon: float) -> list[int]:
        accepted = table <= epsilon
        first = np.argmax(accepted, axis=1)
        last = table.shape[1] - 1 - np.argmax(accepted[:, ::-1], axis=1)
        points_hit: list[int] = []
        for game in np.argsort(last):
            if not points_hit or points_hit[-1] < first[game]:
                points_hit.append(int(last[game]))
        return points_hit

    values = np.unique(table)
    low, high = int(np.searchsorted(values, table.min(axis=1).max())), values.size - 1  # every game must accept a candidate
    while low < high:
        middle = (low + high) // 2
        if len(hitting(values[middle])) <= count:
            high = middle
        else:
            low = middle + 1
    return Latents(points[hitting(values[low])], float(values[low]))


def _table(games: Sequence[SymmetricGame], count: int, candidates: ArrayLike) -> tuple[Array, Array]:
    """The candidates as an array (C,), and the exploitability of every game at each, (games, C)."""
    points = np.atleast_1d(_probabilities(candidates))
    if not games or points.ndim != 1 or points.size == 0:
        raise InputError("latent policies are chosen from a list of at least one candidate, for at least one game.")
    if int(count) != count or count < 1:
        raise InputError(f"the number of latent policies is a whole number of at least 1, not {count}.")
    return points, np.array([exploitability(game, points) for game in games])


# --- binomial sums ------------------------------------------------------------------------------------------------------


def _binomial(trials: int, x: Array) -> Array:
    """The probabilities of 0..trials successes, shape (..., trials + 1); products of powers, so that 0 and 1 are exact."""
    k = np.arange(trials + 1)
    return np.asarray(_choices(trials) * x[..., None] ** k * (1 - x[..., None]) ** (trials - k))


@functools.lru_cache(maxsize=256)
def _choices(trials: int) -> Array:
    return np.array([float(comb(trials, k)) for k in range(trials + 1)])


def _probabilities(policy: ArrayLike) -> Array:
    x = np.asarray(policy, dtype=float)
    inside = (x >= 0) & (x <= 1)
    if not inside.all():
        raise InputError(f"a policy is a probability of action 1, in [0, 1], not {x[~inside][0]}.")
    return x


def _checked_players(players: int) -> int:
    if int(players) != players or not 2 <= players <= MOST_PLAYERS:
        raise InputError(f"a population has 2 to {MOST_PLAYERS} players, not {players}.")
    return int(players)


# --- families ----------------------------------------------------------------------------------------------------------


@family(players=2)
def crowding(players: int = 3) -> SymmetricGame:
    """Action 0 pays 1/2; action 1 pays 1 alone and 1/2 less for every other on it, at least -1. Payoffs in [-1, 1].

    The equilibrium moves to 0 as the population grows: 1/2, 1/4, 1/9 at n = 3, 5, 10.
    """
    others = np.arange(_checked_players(players))
    return SymmetricGame(np.array([np.full(others.size, 0.5), np.maximum(-1.0, 1 - others / 2)]))


@family(players=2)
def first_come(players: int = 3) -> SymmetricGame:
    """Action 1 pays 1 to who is alone on it and 0 otherwise; action 0 pays 0 if nobody took action 1 and 1 otherwise.

    The only interior equilibrium is x* = 1 - 2^(-1/(n-1)); at x = 0 the exploitability is 1.
    """
    n = _checked_players(players)
    payoff = np.zeros((2, n))
    payoff[1, 0] = 1.0
    payoff[0, 1:] = 1.0
    return SymmetricGame(payoff)


@family(players=2)
def shared_road(players: int = 3, at: float = 0.3) -> SymmetricGame:
    """Action 1 is worth more than action 0 by (``at`` - share of the others on it)/2: the same equilibrium ``at`` for every n."""
    if not 0 <= at <= 1:
        raise InputError(f"the equilibrium of a shared road lies in [0, 1], not at {at}.")
    n = _checked_players(players)
    return SymmetricGame(np.array([np.full(n, 0.5), 0.5 + (at - np.arange(n) / (n - 1)) / 2]))


@family(players=2)
def random_population(players: int = 3, monotone: bool = False, seed: int = 0) -> SymmetricGame:
    """Payoffs uniform on [0, 1]; ``monotone`` sorts each row so that action 1 pays less, and action 0 more, the more take 1."""
    payoff = np.random.default_rng(seed).uniform(size=(2, _checked_players(players)))
    if monotone:
        payoff = np.array([np.sort(payoff[0]), np.sort(payoff[1])[::-1]])
    return SymmetricGame(payoff)


@family
def population_table(payoff: tuple[float, ...] = (0.5, 0.5, 1.0, 0.0)) -> SymmetricGame:
    """Any game: the n payoffs of action 0 against 0, ..., n - 1 others on action 1, then those of action 1."""
    if len(payoff) % 2:
        raise InputError(f"the two actions have equally many payoffs, not {len(payoff)} in all.")
    return SymmetricGame(np.reshape(payoff, (2, -1)))
