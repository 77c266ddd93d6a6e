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
    if not (isinstance(count, (int, np.integer)) and 1 <= count <= MOST):
        raise InputError(f"the maximum is of a whole number of variables from 1 to 10^12, not of {count}.")
    x = np.arange(-REACH, np.sqrt(2 * np.log(count)) + REACH, STEP)
    log_density = np.log(count) - x**2 / 2 - np.log(2 * np.pi) / 2 + (count - 1) * log_ndtr(x)
    return float(STEP * (x @ np.exp(log_density)))
