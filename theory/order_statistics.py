"""Order statistics of independent standard normal variables."""

from __future__ import annotations

import numpy as np
from scipy.special import log_ndtr

from theory.errors import InputError

MOST = 10**12
STEP = 1 / 64
REACH = 10.0


def expected_normal_maximum(count: int) -> float:
    r"""The expectation :math:`e_K = \int x\, K \varphi(x) \Phi(x)^{K-1} dx` of the largest of K independent N(0, 1) numbers.

    Between 0 (K = 1) and :math:`\sqrt{2 \ln K}`; e_2 = 1/sqrt(pi). K = ``count`` is an integer from 1 to 10^12. The trapezoidal
    rule, whose error falls faster than any power of the step for such integrands, gives it to about 1e-12.

    Raises :class:`InputError` for other counts.
    """
    _check_count("the maximum", count)
    x = np.arange(-REACH, np.sqrt(2 * np.log(count)) + REACH, STEP)
    log_density = np.log(count) - x**2 / 2 - np.log(2 * np.pi) / 2 + (count - 1) * log_ndtr(x)
    return float(STEP * (x @ np.exp(log_density)))


def expected_maximum_of_minima(count: int, members: int = 2) -> float:
    r"""The expectation of :math:`\max_{i \le n} \min_{j \le m} X_{ij}` of n m independent N(0, 1) numbers.

    n = ``count``, m = ``members``, integers from 1 to 10^12. The minima have the survival function :math:`(1 - \Phi)^m`, so
    that their maximum has the density :math:`n m \varphi (1 - \Phi)^{m-1} [1 - (1 - \Phi)^m]^{n-1}`, which is integrated as
    in :func:`expected_normal_maximum`; it is -e_m for n = 1 and e_n for m = 1.

    Raises :class:`InputError` for other counts.
    """
    _check_count("the maximum", count)
    _check_count("the minimum", members)
    x = np.arange(-np.sqrt(2 * np.log(members)) - REACH, np.sqrt(2 * np.log(count)) + REACH, STEP)
    log_above = log_ndtr(-x)
    log_all_above = members * log_above
    with np.errstate(divide="ignore"):  # where a minimum surely lies above, the density of the maximum is 0
        log_below = np.where(log_all_above < -0.7, np.log1p(-np.exp(log_all_above)), np.log(-np.expm1(log_all_above)))
    log_density = np.log(count) + np.log(members) - x**2 / 2 - np.log(2 * np.pi) / 2 + (members - 1) * log_above
    if count > 1:
        log_density = log_density + (count - 1) * log_below
    return float(STEP * (x @ np.exp(log_density)))


def _check_count(what: str, count: int) -> None:
    if not (isinstance(count, (int, np.integer)) and 1 <= count <= MOST):
        raise InputError(f"{what} is of a whole number of variables from 1 to 10^12, not of {count}.")
