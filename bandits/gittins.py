r"""Gittins indices of Bernoulli arms with Beta posteriors, certified, and the exact value of two such arms.

The index of Beta(a, b) at the discount :math:`\gamma` is the largest rate :math:`\lambda` for which it is worth to pull the arm at the
price :math:`\lambda` a pull, free to stop for ever at any time. Pulling the arm of the largest index maximises the expected discounted
reward. Gittins, Journal of the Royal Statistical Society B 41 (1979); Gittins, Glazebrook and Weber 2011.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bandits import _kernels_gittins as kernels
from theory.errors import InputError

HALVINGS = 40


def gittins_index(a: float, b: float, discount: float, accuracy: float = 1e-6) -> tuple[float, float]:
    """An interval that contains the Gittins index of Beta(a, b), a, b > 0, at a discount in (0, 1).

    Backward induction over as many pulls as leave ``accuracy`` * (1 - discount) of the discounted time, with nothing (lower end)
    or the largest reward 1 for ever (upper end) after the last; the time is quadratic in 1 / (1 - discount).
    """
    _check(a, b, discount)
    if not 0 < accuracy < 1:
        raise InputError(f"an accuracy is between 0 and 1, not {accuracy}.")
    pulls = max(1, math.ceil(math.log(accuracy * (1 - discount)) / math.log(discount)))
    low, high = (float(kernels.index(float(a), float(b), discount, pulls, end, HALVINGS)) for end in (0.0, 1.0))
    return low, high


def index_table(a: float, b: float, discount: float, pulls: int, horizon: int) -> NDArray[np.float64]:
    """Indices from below of Beta(a + s, b + f) for s + f < ``pulls``, shape (pulls, pulls), by ``horizon`` pulls; 0 elsewhere."""
    _check(a, b, discount)
    table = np.zeros((pulls, pulls))
    for s in range(pulls):
        for f in range(pulls - s):
            table[s, f] = kernels.index(float(a + s), float(b + f), discount, horizon, 0.0, 18)
    return table


def posterior_means(a: float, b: float, pulls: int) -> NDArray[np.float64]:
    """(a + s) / (a + b + s + f) for s, f < ``pulls``, shape (pulls, pulls): the score of the greedy policy."""
    s, f = np.meshgrid(np.arange(pulls), np.arange(pulls), indexing="ij")
    return np.asarray((a + s) / (a + b + s + f))


def two_armed_value(
    first: tuple[float, float],
    second: tuple[float, float],
    discount: float,
    pulls: int,
    scores: NDArray[np.float64] | None = None,
) -> tuple[float, float]:
    """An interval that contains the best expected discounted reward of two arms with the priors Beta(*first), Beta(*second).

    With ``scores``, shape (2, pulls, pulls), it is the value of the policy that pulls the arm i of the larger ``scores[i, s, f]``, s and f
    being its successes and failures (arm 0 on ties). Exact for the first ``pulls`` pulls, of which there are at most 200; later
    ones pay between 0 and 1. Takes time and memory of the order pulls^4 / 24 and 8 * (pulls + 1)^3 bytes.
    """
    _check(*first, discount)
    _check(*second, discount)
    if not 1 <= pulls <= 200:
        raise InputError(f"two arms are solved over 1 to 200 pulls, not {pulls}.")
    table = np.zeros((0, 0, 0)) if scores is None else np.ascontiguousarray(scores, dtype=float)
    if scores is not None and table.shape != (2, pulls, pulls):
        raise InputError(f"the scores of two arms over {pulls} pulls have the shape (2, {pulls}, {pulls}), not {table.shape}.")
    arms = np.array(first, dtype=float), np.array(second, dtype=float)
    low, high = (float(kernels.two_arms(*arms, discount, pulls, table, end / (1 - discount))) for end in (0.0, 1.0))
    return low, high


def _check(a: float, b: float, discount: float) -> None:
    if not (a > 0 and b > 0 and math.isfinite(a + b)):
        raise InputError(f"the parameters of a Beta law are above 0, not {a} and {b}.")
    if not 0 < discount < 1:
        raise InputError(f"the discount of an index is between 0 and 1, not {discount}.")
