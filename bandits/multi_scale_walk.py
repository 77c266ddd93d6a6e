r"""The multi-scale random walk of Dekel, Ding, Koren and Peres (2014, arXiv 1310.2997): losses that only a switch can tell apart.

Round t = 1 .. T has the parent rho(t) = t - 2^(number of trailing zeros of t), and W_t = W_rho(t) + N(0, sigma^2) with W_0 = 0.
All arms cost W_t in round t, but for one that costs eps less. As the arms share the walk, the loss of the played arm in round t
says something about that arm only where another one was played in round rho(t).

- The *cut* of a round t is the number of rounds s with rho(s) < t <= s, those that look back across a switch at t. The largest
  one is the *width*: floor(log2 T) + 1, at t = 1.
- The *depth* is the largest number of steps to the root: floor(log2(T + 1)), so that the walk stays small.

Parents are arrays of shape (T + 1,), in which entry t is the parent of round t and entry 0 (the root's) is 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bandits.adversarial import LossSequence
from bandits.rules import require_at_least
from theory.claims.families import family
from theory.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def multi_scale_parents(rounds: int) -> Ints:
    """rho(t) = t less its lowest bit, for t = 0 .. T; shape (T + 1,)."""
    t = _times(rounds)
    return t & np.maximum(t - 1, 0)


def chain_parents(rounds: int) -> Ints:
    """rho(t) = t - 1: the ordinary random walk, of width 1 and depth T."""
    return np.maximum(_times(rounds) - 1, 0)


def star_parents(rounds: int) -> Ints:
    """rho(t) = 0: independent losses, of depth 1 and width T."""
    return np.zeros_like(_times(rounds))


def cuts(parents: ArrayLike) -> Ints:
    """The number of rounds s with rho(s) < t <= s, for t = 1 .. T, shape (T,)."""
    tree = read_parents(parents)
    change = np.bincount(tree[1:] + 1, minlength=tree.size)
    change[2:] -= 1  # round s no longer looks across a switch at s + 1
    return np.cumsum(change[1:])


def width(parents: ArrayLike) -> int:
    """The largest cut."""
    return int(cuts(parents).max())


def depths(parents: ArrayLike) -> Ints:
    """The number of steps to the root, for t = 0 .. T, shape (T + 1,)."""
    tree = read_parents(parents).tolist()
    steps = [0] * len(tree)
    for t in range(1, len(tree)):
        steps[t] = steps[tree[t]] + 1
    return np.array(steps)


def depth(parents: ArrayLike) -> int:
    """The largest number of steps to the root."""
    return int(depths(parents).max())


def walk_covariance(parents: ArrayLike, sigma: float = 1.0) -> Floats:
    """Cov(W_s, W_t) = sigma^2 times the number of steps that the ways of s and t to the root share; shape (T, T)."""
    tree = read_parents(parents)
    require_at_least(0, sigma, "the step of a walk")
    ways = np.zeros((tree.size, tree.size))
    for t in range(1, tree.size):
        ways[t] = ways[tree[t]]
        ways[t, t] = sigma
    return ways[1:, 1:] @ ways[1:, 1:].T


def sampled_walk(parents: ArrayLike, steps: ArrayLike) -> Floats:
    """W_1 .. W_T for given ``steps`` W_t - W_rho(t), shape (..., T); the same shape."""
    tree, each = read_parents(parents), np.asarray(steps, dtype=float)
    if each.shape[-1:] != (tree.size - 1,):
        raise InputError(f"a walk of {tree.size - 1} rounds has as many steps, not the shape {each.shape}.")
    walk = np.zeros((*each.shape[:-1], tree.size))
    levels = depths(tree)
    order = np.argsort(levels, kind="stable")
    for level in np.split(order, np.cumsum(np.bincount(levels))[:-1])[1:]:
        walk[..., level] = walk[..., tree[level]] + each[..., level - 1]
    return walk[..., 1:]


def walk_losses(
    parents: ArrayLike,
    best: int,
    *,
    arms: int = 2,
    gap: float,
    sigma: float = 1.0,
    noise: float = 0.0,
    start: float = 0.0,
    clip: bool = False,
    seed: int | np.random.Generator = 0,
) -> Floats:
    """Losses ``start`` + W_t - ``gap`` [k = ``best``] + n_tk with n_tk independent N(0, ``noise``^2), shape (T, K).

    With ``clip`` they are moved to the nearer end of [0, 1] where they lie outside. Raises :class:`InputError` unless
    0 <= best < K, and gap, sigma and noise are at least 0.
    """
    tree = read_parents(parents)
    if not 0 <= best < arms:
        raise InputError(f"the best arm is one of 0 .. {arms - 1}, not {best}.")
    for value, what in ((gap, "the gap"), (sigma, "the step of a walk"), (noise, "the noise of an arm")):
        require_at_least(0, value, what)
    rng = np.random.default_rng(seed)
    walk = start + sampled_walk(tree, sigma * rng.normal(size=tree.size - 1))
    losses = walk[:, None] - gap * (np.arange(arms) == best) + noise * rng.normal(size=(walk.size, arms))
    return np.clip(losses, 0.0, 1.0) if clip else losses


@family(T=16, K=2)
def clipped_walk_losses(T: int = 1024, K: int = 2, noise: float = 0.0, seed: int = 0) -> LossSequence:
    """The literature's adversary: the walk from 1/2 with steps 1/(9 log2 T), clipped to [0, 1], and a drawn arm that is better.

    The gap is K^(1/3) T^(-1/3) / (9 log2 T); ``noise`` is the standard deviation of each arm's own noise. For T, K >= 2.
    """
    if T < 2 or K < 2:
        raise InputError(f"the walk has at least two rounds and two arms, not {T} and {K}.")
    sigma = 1 / (9 * np.log2(T))
    rng = np.random.default_rng(seed)
    gap, best = float((K / T) ** (1 / 3) * sigma), int(rng.integers(K))
    parents = multi_scale_parents(T)
    return LossSequence(walk_losses(parents, best, arms=K, gap=gap, sigma=sigma, noise=noise, start=0.5, clip=True, seed=rng))


def looks(played: ArrayLike, extra: ArrayLike | None = None) -> Floats:
    """What a round says about the two arms: +1 where arm 0 is played, -1 where arm 1 is, 0 where both are seen; (..., T).

    ``played`` holds 0 and 1; ``extra`` marks the rounds at which both arms are seen. The mean of the observed losses is
    W_t less ``gap`` times (1 + r)/2 if arm 0 is the better one, and (1 - r)/2 if arm 1 is.
    """
    arms = np.asarray(played)
    if not np.isin(arms, (0, 1)).all():
        raise InputError("the played arms of a game of two arms are 0 and 1.")
    sign = 1.0 - 2.0 * arms
    return sign if extra is None else np.where(np.asarray(extra, dtype=bool), 0.0, sign)


def walk_divergence(parents: ArrayLike, r: ArrayLike, gap: float, sigma: float = 1.0) -> Floats:
    r"""The divergence of the observations without per-arm noise, arm 0 against arm 1 the better one; shape (...).

    .. math:: \mathrm{KL} = \frac{\varepsilon^2}{2 \sigma^2} \sum_t (r_t - r_{\rho(t)})^2, \qquad r_0 = 0,

    for the ``looks`` r, shape (..., T), as the steps W_t - W_rho(t) are independent. Where both arms are seen this counts the
    mean of their losses alone, and not the difference.
    """
    tree, each = read_parents(parents), np.asarray(r, dtype=float)
    if each.shape[-1:] != (tree.size - 1,):
        raise InputError(f"a pattern of {tree.size - 1} rounds is needed, not one of the shape {each.shape}.")
    whole = np.concatenate([np.zeros((*each.shape[:-1], 1)), each], axis=-1)
    return np.asarray(gap**2 / (2 * sigma**2) * ((whole - whole[..., tree])[..., 1:] ** 2).sum(axis=-1))


def observation_divergence(
    parents: ArrayLike, played: ArrayLike, extra: ArrayLike, gap: float, noise: float, sigma: float = 1.0
) -> float:
    r"""The exact divergence of all that is seen, arm 0 against arm 1 the better one, with per-arm noise.

    The observations are Gaussian of the same covariance Sigma (the walk's, plus ``noise``^2 on the diagonal) and of means that
    differ by d: KL = d' Sigma^{-1} d / 2. ``played`` holds 0 and 1, ``extra`` the rounds at which the other arm is seen as
    well, both of shape (T,). Takes time of the order T^3. Raises :class:`InputError` unless ``noise`` > 0.
    """
    tree, arms, both = read_parents(parents), np.asarray(played), np.asarray(extra, dtype=bool)
    if arms.shape != (tree.size - 1,) or both.shape != arms.shape or not np.isin(arms, (0, 1)).all():
        raise InputError(f"the plays are a vector of {tree.size - 1} arms 0 and 1, with a mark for each extra look.")
    if not (np.isfinite(noise) and noise > 0):
        raise InputError(f"the noise of an arm is positive here, not {noise}.")
    rounds = np.concatenate([np.arange(arms.size), np.flatnonzero(both)])
    seen = np.concatenate([arms, 1 - arms[both]])
    covariance = walk_covariance(tree, sigma)[np.ix_(rounds, rounds)] + noise**2 * np.eye(rounds.size)
    shift = gap * (1.0 - 2.0 * seen)
    return float(shift @ np.linalg.solve(covariance, shift) / 2)


def read_parents(parents: ArrayLike) -> Ints:
    """``parents`` as int64[T + 1]; InputError unless T >= 1, entry 0 is 0 and every other parent is an earlier round or 0."""
    tree = np.asarray(parents)
    if tree.ndim != 1 or tree.size < 2 or not np.issubdtype(tree.dtype, np.integer):
        raise InputError("the parents of a walk are a vector of whole numbers, one for the root and one for each round.")
    late = np.flatnonzero((tree[1:] < 0) | (tree[1:] >= np.arange(1, tree.size)))
    if tree[0] != 0 or late.size:
        t = int(late[0]) + 1 if late.size else 0
        raise InputError(f"round {t} has the parent {tree[t]}, which is not earlier.")
    return tree.astype(np.int64)


def _times(rounds: int) -> Ints:
    if rounds < 1:
        raise InputError(f"a walk has at least one round, not {rounds}.")
    return np.arange(rounds + 1)
