"""Gradients of functions of logits without a formula for them: the complex step."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

STEP = 1e-30


def complex_step(function: Callable[[NDArray[np.complex128]], NDArray[np.complex128]], point: ArrayLike) -> NDArray[np.float64]:
    """The gradient, shape (K, ...), of a real analytic function at ``point`` (K,): the imaginary part of f(x + ih e_k) over h.

    Nothing is subtracted, so that the gradient is as accurate as the function. ``function`` takes points (K, K), one a row, to
    values (K, ...): numbers, or arrays of them.
    """
    x = np.asarray(point, dtype=float)
    return np.asarray(function(x + 1j * STEP * np.eye(x.size)).imag / STEP)


def log_softmax(logits: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Logits (..., K) less the logarithm of the sum of their exponentials."""
    top = logits.real.max(axis=-1, keepdims=True)
    return np.asarray(logits - top - np.log(np.exp(logits - top).sum(axis=-1, keepdims=True)))
