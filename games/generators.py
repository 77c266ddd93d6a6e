r"""Families of preference games.

Random families take a ``scale``: the reference is the softmax of K independent normal numbers of that standard deviation
(uniform for 0). Everything is drawn from ``seed``, and the key of a game is the call that rebuilds it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from games.preference import PreferenceGame
from games.prox import normalise
from theory.claims.families import family
from theory.errors import InputError
from theory.tilts import require_temperature

Array = NDArray[np.float64]


def drawn_reference(K: int, scale: float, seed: int) -> tuple[np.random.Generator, Array]:
    """A generator seeded with ``seed``, and the reference that it drew: log-probabilities, shape (K,), the softmax of normal
    numbers of the standard deviation ``scale`` >= 0; :class:`InputError` for K < 1 or another scale.
    """
    if K < 1:
        raise InputError(f"a preference game has at least one action, not {K}.")
    if not 0 <= scale < np.inf:
        raise InputError(f"the scale of a reference's logits is at least 0 and finite, not {scale}.")
    rng = np.random.default_rng(seed)
    return rng, normalise(scale * rng.standard_normal(K))


def rescaled(payoff: Array) -> Array:
    """``payoff``, scaled so that its largest entry in size is 1/2; zeros stay zeros."""
    largest = float(np.abs(payoff).max())
    return payoff / (2 * largest) if largest > 0 else payoff


def _skew(upper: NDArray[Any], K: int) -> Array:
    """The skew matrix whose entries above the diagonal, row by row, are ``upper``."""
    A = np.zeros((K, K))
    A[np.triu_indices(K, 1)] = upper
    return A - A.T


@family(K=2)
def uniform(K: int = 5, scale: float = 1.0, seed: int = 0) -> PreferenceGame:
    """Entries above the diagonal independent and uniform in [-1/2, 1/2]."""
    rng, reference = drawn_reference(K, scale, seed)
    A = _skew(rng.uniform(-0.5, 0.5, K * (K - 1) // 2), K)
    return PreferenceGame(A, reference)


@family(K=2)
def tournament(K: int = 5, scale: float = 1.0, seed: int = 0) -> PreferenceGame:
    """A random tournament: of any two actions one always wins, each with probability 1/2 (entries 1/2 and -1/2)."""
    rng, reference = drawn_reference(K, scale, seed)
    A = _skew(rng.integers(2, size=K * (K - 1) // 2) - 0.5, K)
    return PreferenceGame(A, reference)


@family(K=2)
def transitive_tournament(K: int = 5) -> PreferenceGame:
    """A linear order: every action always beats those after it; the reference is uniform.

    Its win rates against the uniform policy tend, as K grows, to the uniform law on [-1/2, 1/2]: in no game can those against
    one's own policy be more spread out.
    """
    return PreferenceGame(_skew(np.full(K * (K - 1) // 2, 0.5), K))


@family(K=2)
def bradley_terry(K: int = 5, spread: float = 3.0, scale: float = 1.0, seed: int = 0) -> PreferenceGame:
    """Bradley-Terry preferences: i beats j with probability sigmoid(theta_i - theta_j), theta normal of deviation ``spread``."""
    rng, reference = drawn_reference(K, scale, seed)
    theta = spread * rng.standard_normal(K)
    A = np.tanh((theta[:, None] - theta) / 2) / 2  # sigmoid(x) - 1/2
    return PreferenceGame(A, reference)


@family(K=2)
def logistic(K: int = 5, spread: float = 1.0, scale: float = 1.0, rotating: bool = False, seed: int = 0) -> PreferenceGame:
    """P = sigmoid(2 (B - B^T)) for a B with independent normal entries of deviation ``spread``: no order, no rewards behind it.

    ``rotating``: with the signs of the cyclic tournament, rock-paper-scissors with strengths of its own for each pair.
    """
    rng, reference = drawn_reference(K, scale, seed)
    B = spread * rng.standard_normal((K, K))
    A = np.tanh(B - B.T) / 2  # sigmoid(2 x) - 1/2
    return PreferenceGame(np.abs(A) * np.sign(cyclic(K=K).A) if rotating else A, reference)


@family(K=2)
def additive(K: int = 5, scale: float = 1.0, seed: int = 0) -> PreferenceGame:
    """Additive preferences (r_i - r_j) / 2 for rewards r uniform in [0, 1].

    The regularised equilibrium is mu exp(r / (2 beta)), normalised.
    """
    rng, reference = drawn_reference(K, scale, seed)
    reward = rng.uniform(size=K)
    return PreferenceGame((reward[:, None] - reward) / 2, reference)


@family(K=2)
def low_rank(K: int = 5, pairs: int = 1, scale: float = 1.0, seed: int = 0) -> PreferenceGame:
    """X S X^T with X normal of shape (K, 2 pairs) and S symplectic, rescaled so that its largest entry is 1/2."""
    if pairs < 1:
        raise InputError(f"a low-rank game has at least one pair of features, not {pairs}.")
    rng, reference = drawn_reference(K, scale, seed)
    first, second = rng.standard_normal((2, K, pairs))
    A = first @ second.T
    return PreferenceGame(rescaled(A - A.T), reference)


@family(K=3)
def cyclic(K: int = 5, scale: float = 1.0, seed: int = 0) -> PreferenceGame:
    """The cyclic tournament: i always beats the next (K - 1) // 2 actions round the circle (for even K it ties the opposite).

    The unregularised equilibrium is uniform.
    """
    _, reference = drawn_reference(K, scale, seed)
    ahead = (np.arange(K) - np.arange(K)[:, None]) % K
    A = np.where((ahead > 0) & (2 * ahead < K), 0.5, 0.0)
    return PreferenceGame(A - A.T, reference)


@family
def rock_paper_scissors(
    weights: tuple[float, float, float] = (0.5, 0.5, 0.5), logits: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> PreferenceGame:
    """Weighted rock-paper-scissors [[0, a, -b], [-a, 0, c], [b, -c, 0]] with the weights (a, b, c) in (0, 1/2].

    The unregularised equilibrium is (c, b, a) / (a + b + c), the only one. The reference is the softmax of ``logits``.
    """
    a, b, c = weights
    if not min(a, b, c) > 0:
        raise InputError(f"the weights of rock-paper-scissors are positive, not {weights}.")
    A = np.array([[0, a, -b], [-a, 0, c], [b, -c, 0]])
    return PreferenceGame(A, normalise(logits))


@family
def tight_pair(beta: float = 0.1) -> PreferenceGame:
    """Two actions, the first always preferred, and a reference so far on the second that the equilibrium is (1/2, 1/2).

    The log-odds of the reference are -1 / (2 beta): the instance on which Nash mirror prox attains its rate. Made for ``beta``.
    """
    odds = 1 / (2 * require_temperature(beta))
    A = np.array([[0.0, 0.5], [-0.5, 0.0]])
    return PreferenceGame(A, normalise([0.0, odds]), beta=float(beta))


@family
def tilted(upper: tuple[float, ...] = (0.5,), tilt: tuple[float, ...] = (0.0, 0.5), beta: float = 0.1) -> PreferenceGame:
    """Any game: ``upper`` are the entries above the diagonal, row by row, and the reference is the softmax of tilt / beta.

    Gains and ``beta`` times the logits of the reference are on one scale, so that a search for the worst game has a box:
    upper in [-1/2, 1/2], tilt in [-1, 1]. Made for ``beta``.
    """
    K = len(tilt)
    if len(upper) != K * (K - 1) // 2:
        raise InputError(f"a game with {K} actions has {K * (K - 1) // 2} entries above the diagonal, not {len(upper)}.")
    reference = normalise(np.array(tilt) / require_temperature(beta))
    return PreferenceGame(_skew(np.array(upper, dtype=float), K), reference, beta=float(beta))


@family(K=2)
def cloned(K: int = 3, clones: int = 10, scale: float = 1.0, seed: int = 0) -> PreferenceGame:
    """A game of the family ``uniform`` in which ``clones`` further copies of randomly chosen actions stand.

    The reference of an action is divided among its copies at random.
    """
    if clones < 0:
        raise InputError(f"the number of clones is at least 0, not {clones}.")
    game = uniform(K=K, scale=scale, seed=seed)
    rng = np.random.default_rng([seed, clones])
    counts = 1 + rng.multinomial(clones, np.full(K, 1 / K))
    return clone(game, counts, rng.uniform(0.1, 1.0, size=int(counts.sum())))[0]


def clone(
    game: PreferenceGame, counts: ArrayLike, weights: ArrayLike | None = None
) -> tuple[PreferenceGame, NDArray[np.int64]]:
    """Split action i into ``counts[i]`` copies that nobody can tell apart; returns the game and the original of each copy.

    ``weights`` (positive, one for each copy; equal unless given) say in which proportion the copies of an action share its
    reference. Copies tie with each other, so the equilibrium, summed over copies, is that of ``game``.
    """
    copies = np.asarray(counts)
    if copies.shape != (game.actions,) or copies.dtype.kind not in "iu" or (copies < 1).any():
        raise InputError(f"each of the {game.actions} actions is split into a positive whole number of copies, not {counts!r}.")
    original = np.repeat(np.arange(game.actions), copies)
    share = np.ones(original.size) if weights is None else np.asarray(weights, dtype=float)
    if share.shape != original.shape or not ((share > 0) & np.isfinite(share)).all():
        raise InputError(f"the {original.size} copies need as many positive weights.")
    total = np.bincount(original, weights=share)
    reference = game.log_reference[original] + np.log(share / total[original])
    return PreferenceGame(game.A[np.ix_(original, original)], reference, None, game.beta), original


def with_condorcet_winner(game: PreferenceGame, margin: float) -> PreferenceGame:
    """The game changed so that action 0 beats every other by at least ``margin`` in (0, 1/2]."""
    if not 0 < margin <= 0.5:
        raise InputError(f"the margin of a Condorcet winner lies in (0, 1/2], not at {margin}.")
    A = game.A.copy()
    A[0, 1:] = np.maximum(A[0, 1:], margin)
    A[1:, 0] = -A[0, 1:]
    return PreferenceGame(A, game.log_reference, None, game.beta)
