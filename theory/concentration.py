r"""Concentration inequalities for means of independent variables, and the Bernoulli divergence that they rest on.

All radii are *one-sided*: the mean of n independent samples with values in an interval of the given width exceeds its
expectation by more than the radius with probability at most ``level`` (and, by symmetry, falls short of it by more than the
radius with at most that probability). A two-sided interval spends level / 2 on each side. Arguments may be arrays, which are
broadcast.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.errors import InputError

Array = NDArray[np.float64]

BISECTIONS = 80  # halvings of [p, 1] or [0, p], past the resolution of float64 at any ordinary p


def hoeffding_radius(samples: ArrayLike, level: ArrayLike, width: ArrayLike = 1.0) -> Array:
    r"""Hoeffding (1963, Theorem 2): :math:`w \sqrt{\ln(1/\alpha) / (2n)}`, for values in an interval of width w."""
    n, alpha, w = _sizes(samples, level, width)
    return w * np.sqrt(-np.log(alpha) / (2 * n))


def hoeffding_tail(samples: ArrayLike, deviation: ArrayLike, width: ArrayLike = 1.0) -> Array:
    r"""Hoeffding (1963, Theorem 2): :math:`P(\bar X - \mu \ge \epsilon) \le \exp(-2 n \epsilon^2 / w^2)`, for epsilon >= 0."""
    n, epsilon, w = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (samples, deviation, width)))
    if (n < 1).any() or (epsilon < 0).any() or (w <= 0).any():
        raise InputError("Hoeffding's tail needs at least one sample, a deviation of at least 0 and a positive width.")
    return np.exp(-2 * n * (epsilon / w) ** 2)


def chernoff_tail(samples: ArrayLike, expectation: ArrayLike, mean: ArrayLike) -> Array:
    r"""Hoeffding (1963, Theorem 1): n samples in [0, 1] with this expectation have a mean at least as far from it as ``mean``,
    on the same side, with probability at most :math:`\exp(-n\,\mathrm{kl}(\text{mean}, \text{expectation}))`.

    The best exponential bound for Bernoulli samples (Chernoff 1952); never above :func:`hoeffding_tail`, by Pinsker.
    """
    return np.exp(-np.asarray(samples, dtype=float) * bernoulli_kl(mean, expectation))


def bernstein_radius(samples: ArrayLike, level: ArrayLike, variance: ArrayLike, width: ArrayLike = 1.0) -> Array:
    r"""Bernstein: :math:`\sqrt{2 \sigma^2 L / n} + w L / (3 n)` with :math:`L = \ln(1/\alpha)` and a *known* variance.

    In this form, from a moment generating function that is sub-gamma with scale w/3: Boucheron, Lugosi and Massart,
    Concentration Inequalities (2013), Corollary 2.11.
    """
    n, alpha, w = _sizes(samples, level, width)
    v = np.asarray(variance, dtype=float)
    if not (v >= 0).all():
        raise InputError("a variance is at least 0.")
    exponent = -np.log(alpha) / n
    return np.sqrt(2 * v * exponent) + w * exponent / 3


def empirical_bernstein_radius(
    samples: ArrayLike, sample_variance: ArrayLike, level: ArrayLike, width: ArrayLike = 1.0
) -> Array:
    r"""Maurer and Pontil (2009, Theorem 4, arXiv 0907.3740): :math:`\sqrt{2 V_n L / n} + 7 w L / (3 (n-1))`, L = ln(2/alpha).

    ``sample_variance`` :math:`V_n` is the unbiased one (divided by n - 1). Needs n >= 2.
    """
    n, alpha, w = _sizes(samples, level, width)
    v = np.asarray(sample_variance, dtype=float)
    if (n < 2).any() or not (v >= 0).all():
        raise InputError("an empirical Bernstein bound needs at least two samples and a variance of at least 0.")
    exponent = np.log(2 / alpha)
    return np.sqrt(2 * v * exponent / n) + 7 * w * exponent / (3 * (n - 1))


def bernoulli_kl(p: ArrayLike, q: ArrayLike) -> Array:
    r""":math:`\mathrm{kl}(p, q) = p \ln(p/q) + (1-p) \ln((1-p)/(1-q))`, in nats, for p and q in [0, 1].

    0 ln 0 = 0; infinite when q is 0 or 1 and p is not equal to it. At least :math:`2 (p-q)^2` (Pinsker).
    """
    first, second = np.broadcast_arrays(np.asarray(p, dtype=float), np.asarray(q, dtype=float))
    if not (((first >= 0) & (first <= 1)).all() and ((second >= 0) & (second <= 1)).all()):
        raise InputError("the Bernoulli divergence is between two probabilities.")
    halves = _log_ratio_term(first, second, second - first) + _log_ratio_term(1 - first, 1 - second, first - second)
    return np.maximum(halves, 0.0)[()]


def _log_ratio_term(p: Array, q: Array, difference: Array) -> Array:
    """p ln(p / q); ``difference`` is q - p, from which two nearby numbers get a ratio without losing digits."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        near = -np.log1p(difference / p)
        far = np.log(p) - np.log(q)
        return np.where(p > 0, p * np.where(np.abs(difference) < 0.5 * p, near, far), 0.0)


def bernoulli_kl_upper(p: ArrayLike, divergence: ArrayLike) -> Array:
    """The largest q >= p with kl(p, q) <= ``divergence``, rounded up: the upper confidence bound of kl-UCB.

    With divergence = ln(1/level)/n it is an upper confidence bound of level ``level`` on the expectation of n samples in
    [0, 1] with mean p (Hoeffding 1963, Theorem 1; Garivier and Cappe 2011, arXiv 1102.2490).
    """
    return _invert(p, divergence, 1.0)


def bernoulli_kl_lower(p: ArrayLike, divergence: ArrayLike) -> Array:
    """The smallest q <= p with kl(p, q) <= ``divergence``, rounded down; mirror image of :func:`bernoulli_kl_upper`."""
    return _invert(p, divergence, 0.0)


def _invert(p: ArrayLike, divergence: ArrayLike, far_end: float) -> Array:
    """The point between p and ``far_end`` where kl(p, q) reaches the divergence, by bisection; the far one of the last two."""
    first, radius = _inverse_arguments(p, divergence)
    if first.ndim == 0:
        return np.float64(_invert_scalar(float(first), float(radius), far_end))  # type: ignore[return-value]
    inside, outside = first, np.full_like(first, far_end)
    for _ in range(BISECTIONS):
        middle = (inside + outside) / 2
        within = bernoulli_kl(first, middle) <= radius
        inside, outside = np.where(within, middle, inside), np.where(within, outside, middle)
    return outside


def _invert_scalar(p: float, radius: float, far_end: float) -> float:
    """The same for one number, fifty times faster than with arrays of one entry."""

    def term(a: float, b: float, difference: float) -> float:
        if a == 0:
            return 0.0
        if abs(difference) < 0.5 * a:
            return -a * math.log1p(difference / a)
        return a * (math.log(a) - math.log(b)) if b > 0 else math.inf

    inside, outside = p, far_end
    for _ in range(BISECTIONS):
        middle = (inside + outside) / 2
        if term(p, middle, middle - p) + term(1 - p, 1 - middle, p - middle) <= radius:
            inside = middle
        else:
            outside = middle
    return outside


def _inverse_arguments(p: ArrayLike, divergence: ArrayLike) -> tuple[Array, Array]:
    first, radius = np.broadcast_arrays(np.asarray(p, dtype=float), np.asarray(divergence, dtype=float))
    if not ((first >= 0) & (first <= 1)).all():
        raise InputError("the Bernoulli divergence is inverted at a probability.")
    if not (radius >= 0).all():
        raise InputError("a divergence is at least 0.")
    return first, radius


def _sizes(samples: ArrayLike, level: ArrayLike, width: ArrayLike) -> tuple[Array, Array, Array]:
    n, alpha, w = (np.asarray(v, dtype=float) for v in (samples, level, width))
    if not (n >= 1).all():
        raise InputError("a concentration inequality needs at least one sample.")
    if not ((alpha > 0) & (alpha <= 1)).all():
        raise InputError("the level of a concentration inequality lies in (0, 1].")
    if not (w > 0).all():
        raise InputError("the width of a support is positive.")
    return n, alpha, w
