r"""Certificates: upper confidence bounds on a mean harm with their true level, and Gaussian smoothing of a total reward.

A policy is *unsafe* when its mean harm is above a threshold :math:`\tau`. It is returned when an upper confidence bound of
level :math:`\delta` on the mean harm is at most :math:`\tau`. The bound is valid if an unsafe policy is returned with
probability at most :math:`\delta`. For harms of 0 or 1 that probability is a sum of binomial terms, which
:func:`exact_binomial_level` computes.

Under Gaussian noise an event of probability p keeps at least the probability :math:`\Phi(\Phi^{-1}(p) - B/\sigma)` when the
mean of the noise is moved by at most B in the Euclidean norm (Neyman and Pearson; Cohen, Rosenfeld and Kolter 2019, arXiv
1902.02918), also by an adversary who adapts to what was seen before (Kumar, Levine and Feizi 2022, arXiv 2106.11420).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from theory.concentration import empirical_bernstein_radius, hoeffding_radius
from theory.errors import InputError
from theory.statistics import clopper_pearson

Array = NDArray[np.float64]
Counts = NDArray[np.int64]
Kind = Literal["hoeffding", "empirical bernstein", "clopper-pearson", "student"]
KINDS: tuple[Kind, ...] = get_args(Kind)


# --- upper confidence bounds on a mean harm ----------------------------------------------------------------------------


def upper_bound(harms: ArrayLike, level: float, kind: Kind, multiple: float = 1.0) -> Array:
    r"""Upper confidence bounds of ``level`` on the expectation of independent ``harms`` (..., n), n >= 2; shape (...).

    :math:`\bar x + c\,(U - \bar x)` with c = ``multiple`` >= 0 (1 is the bound itself, more is more pessimistic) and

    * ``hoeffding``: :math:`U = \bar x + \sqrt{\ln(1/\delta) / (2n)}`, valid for harms in [0, 1];
    * ``empirical bernstein``: Maurer and Pontil (2009), valid for harms in [0, 1];
    * ``clopper-pearson``: Clopper and Pearson (1934), valid for harms of 0 or 1;
    * ``student``: :math:`U = \bar x + t_{n-1}(1-\delta)\, s / \sqrt n`, exact for normal harms, not valid for others.

    No bound is cut off at 1. Raises :class:`InputError` for a level outside (0, 1/2], a negative multiple, fewer than two
    harms, and harms for which the bound is not stated.
    """
    x = np.asarray(harms, dtype=float)
    if x.ndim == 0 or x.shape[-1] < 2:
        raise InputError("an upper bound on a mean harm needs at least two harms.")
    n = x.shape[-1]
    if kind == "clopper-pearson":
        if not ((x == 0) | (x == 1)).all():
            raise InputError("Clopper and Pearson's bound is for harms of 0 or 1.")
        return binomial_upper_bound(x.sum(axis=-1).astype(np.int64), n, level, kind, multiple)
    if not np.isfinite(x).all():
        raise InputError("a harm is not a finite number.")
    if kind != "student" and not ((x >= 0) & (x <= 1)).all():
        raise InputError(f"the {kind} bound is for harms in [0, 1].")
    mean = x.mean(axis=-1)
    return _widened(mean, _from_moments(mean, x.var(axis=-1, ddof=1), n, level, kind), level, multiple)


def binomial_upper_bound(counts: ArrayLike, samples: int, level: float, kind: Kind, multiple: float = 1.0) -> Array:
    """:func:`upper_bound` for harms of 0 or 1, of which ``counts`` (integers in 0 .. samples, any shape) were 1."""
    k = np.asarray(counts)
    if samples < 2:
        raise InputError(f"an upper bound on a mean harm needs at least two harms, not {samples}.")
    if not np.issubdtype(k.dtype, np.integer) or (k < 0).any() or (k > samples).any():
        raise InputError(f"counts of harms are whole numbers from 0 to {samples}.")
    mean = np.asarray(k / samples, dtype=float)
    if kind == "clopper-pearson":
        ends = [clopper_pearson(c, samples, level, "upper").high for c in k.ravel().tolist()]
        upper = np.array(ends, dtype=float).reshape(k.shape)
    else:
        upper = _from_moments(mean, k * (samples - k) / (samples * (samples - 1)), samples, level, kind)
    return _widened(mean, upper, level, multiple)


def _from_moments(mean: Array, variance: Array, samples: int, level: float, kind: Kind) -> Array:
    if kind == "hoeffding":
        return mean + hoeffding_radius(samples, level)
    if kind == "empirical bernstein":
        return mean + empirical_bernstein_radius(samples, variance, level)
    if kind == "student":
        return np.asarray(mean - special.stdtrit(samples - 1, level) * np.sqrt(variance / samples))
    raise InputError(f"an upper bound is one of {', '.join(KINDS)}, not {kind!r}.")


def _widened(mean: Array, upper: Array, level: float, multiple: float) -> Array:
    if not 0 < level <= 0.5:
        raise InputError(f"the level of an upper bound lies in (0, 1/2], not at {level}.")
    if not multiple >= 0:
        raise InputError(f"the width of a bound is multiplied by at least 0, not by {multiple}.")
    return np.asarray(mean + multiple * (upper - mean))


def exact_binomial_level(bound: Callable[[Counts], Array], samples: int, threshold: float) -> float:
    r"""The largest chance that an unsafe policy is returned: :math:`\sup_{p > \tau} P_p(U(X) \le \tau)`, X ~ Bin(n, p).

    ``bound`` maps the counts 0 .. n, shape (n + 1,), to upper bounds of the same shape. The counts for which a policy is
    returned must be the lowest ones, as for every bound of :data:`KINDS`; then the probability falls with p, and the supremum
    is its value at the threshold :math:`\tau` itself, :math:`\sum_{k: U(k) \le \tau} \binom nk \tau^k (1-\tau)^{n-k}`.

    Raises :class:`InputError` for a threshold outside (0, 1), fewer than one sample, bounds of another shape, and bounds that
    accept a count but not a lower one.
    """
    if samples < 1:
        raise InputError(f"a level needs at least one sample, not {samples}.")
    if not 0 < threshold < 1:
        raise InputError(f"the threshold of a mean harm lies in (0, 1), not at {threshold}.")
    upper = np.asarray(bound(np.arange(samples + 1)), dtype=float)
    if upper.shape != (samples + 1,):
        raise InputError(f"the bounds have shape {upper.shape}, the counts have {(samples + 1,)}.")
    accepted = upper <= threshold
    returned = int(np.count_nonzero(accepted))
    if not accepted[:returned].all():
        raise InputError(f"the bound accepts {returned} counts of {samples + 1}, but not the lowest ones.")
    return float(special.bdtr(returned - 1, samples, threshold)) if returned else 0.0


# --- Gaussian smoothing ------------------------------------------------------------------------------------------------


def gaussian_certificate(probability: ArrayLike, shift: ArrayLike) -> Array:
    r"""The least probability :math:`\Phi(\Phi^{-1}(p) - b)` that an event of ``probability`` p keeps under a Gaussian shift.

    ``shift`` b >= 0 is the Euclidean norm of the change of the mean over the standard deviation of the noise. Events of
    probability 0 and 1 keep theirs. Attained by half-spaces. Arrays are broadcast.

    Raises :class:`InputError` for a probability outside [0, 1] and a negative shift.
    """
    p, b = np.broadcast_arrays(np.asarray(probability, dtype=float), np.asarray(shift, dtype=float))
    if not ((p >= 0) & (p <= 1)).all():
        raise InputError("a Gaussian certificate is for probabilities in [0, 1].")
    if not ((b >= 0) & np.isfinite(b)).all():
        raise InputError("the shift of a Gaussian certificate is finite and at least 0.")
    return np.asarray(special.ndtr(special.ndtri(p) - b))


def reward_certificate(tails: ArrayLike, shift: float) -> Array:
    r"""The least expectation that a total reward R keeps under a Gaussian shift, from its ``tails`` (..., R_max); shape (...).

    For R in 0 .. R_max with :math:`p_k = P(R \ge k)`, k = 1 .. R_max: :math:`\sum_k \Phi(\Phi^{-1}(p_k) - b)`, as
    :math:`\mathbb{E} R = \sum_k P(R \ge k)` and each tail is an event (Kumar, Levine and Feizi 2022, arXiv 2106.11420).

    Raises :class:`InputError` for tails outside [0, 1] or that increase with k.
    """
    p = np.asarray(tails, dtype=float)
    if p.ndim == 0 or (np.diff(p, axis=-1) > 0).any():
        raise InputError("the tails P(R >= k) of a total reward do not increase with k.")
    return np.asarray(gaussian_certificate(p, shift).sum(axis=-1))


def lower_tails(rewards: ArrayLike, largest: int, level: float) -> Array:
    r"""Lower confidence bounds on all tails P(R >= k), k = 1 .. ``largest``, at once; shape (..., largest).

    ``rewards`` are whole numbers in 0 .. largest from N independent roll-outs, shape (..., N). The bounds are :math:`\max(\hat
    p_k - \sqrt{\ln(1/\delta) / (2N)},\, 0)`. All of them hold together with probability at least 1 - ``level``, by the
    one-sided inequality of Dvoretzky, Kiefer and Wolfowitz with Massart's (1990) constant, which needs a level of at most 1/2.
    The two-sided inequality, with :math:`\ln(2/\delta)`, is this one at half the level.

    Raises :class:`InputError` for a level outside (0, 1/2] and rewards outside the range.
    """
    R = np.asarray(rewards)
    if not 0 < level <= 0.5:
        raise InputError(f"the level of simultaneous tails lies in (0, 1/2], not at {level}.")
    if largest < 1 or R.ndim == 0 or R.shape[-1] < 1:
        raise InputError("tails need at least one roll-out and a largest reward of at least 1.")
    if not np.issubdtype(R.dtype, np.integer) or (R < 0).any() or (largest < R).any():
        raise InputError(f"total rewards are whole numbers from 0 to {largest}.")
    share = np.stack([(k <= R).mean(axis=-1) for k in range(1, largest + 1)], axis=-1)
    return np.maximum(share - hoeffding_radius(R.shape[-1], level), 0.0)


def sampled_reward_certificate(rewards: ArrayLike, largest: int, shift: float, level: float) -> Array:
    """:func:`reward_certificate` of the :func:`lower_tails`: holds with probability at least 1 - ``level``."""
    return reward_certificate(lower_tails(rewards, largest, level), shift)
