r"""The proximal step that every dynamics here is made of.

Maximising :math:`\langle \pi, g\rangle - \beta\,\mathrm{KL}(\pi\|\mu) - w\,\mathrm{KL}(\pi\|c)` over the simplex, with a gain
vector g, a reference :math:`\mu` and a centre c, has the closed form

.. math:: \ln \pi = \frac{\beta \ln \mu + w \ln c + g}{\beta + w} + \text{const}.

Hedge (beta = 0, w = 1 / step), magnetic mirror descent (w = 1 / step), INPO (w = 1 / step - beta), Nash-MD (beta = 0, the
centre a geometric mixture) and both half-steps of Nash mirror prox (w = beta / eta) are calls of it.

What is out of its stated range raises :class:`~theory.errors.InputError`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.errors import InputError

Array = NDArray[np.float64]


def normalise(log_weights: ArrayLike) -> Array:
    """Log-probabilities proportional to ``exp(log_weights)``, shape (..., K)."""
    values = np.asarray(log_weights, dtype=float)
    shifted = values - values.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def prox(log_reference: ArrayLike, log_centre: ArrayLike, gain: ArrayLike, beta: float, weight: float) -> Array:
    """The policy that maximises ``<pi, gain> - beta KL(pi||reference) - weight KL(pi||centre)``.

    All arrays have shape (..., K) and broadcast; the result holds normalised log-probabilities. ``beta`` and ``weight`` are
    at least 0, and one of them is positive.
    """
    if not (beta >= 0 and weight >= 0 and 0 < beta + weight < np.inf):
        raise InputError(f"a proximal step needs beta >= 0 and weight >= 0 with a positive sum, not {beta} and {weight}.")
    return normalise((beta * np.asarray(log_reference) + weight * np.asarray(log_centre) + np.asarray(gain)) / (beta + weight))


def require_steps(step: ArrayLike) -> Array:
    """``step``, a number or several, as an array if all are positive and finite, else :class:`InputError`."""
    steps = np.asarray(step, dtype=float)
    if not ((steps > 0) & np.isfinite(steps)).all():
        raise InputError(f"step sizes are positive and finite, not {step!r}.")
    return steps


def require_step(step: float) -> float:
    """``step`` as a float if it is positive and finite, else :class:`InputError`."""
    return float(require_steps(float(step)))


def natural_gradient_prox(
    log_reference: ArrayLike,
    log_centre: ArrayLike,
    gain: ArrayLike,
    beta: float,
    weight: float,
    *,
    step: float,
    steps: int,
    start: ArrayLike | None = None,
) -> Array:
    r"""An approximate :func:`prox`: ``steps`` natural-gradient ascent steps of size ``step`` on its objective.

    A step adds ``step`` times the objective's gradient to the log-probabilities. The gradient at :math:`\pi` is
    :math:`(\beta + w)(\ln \pi^{\text{prox}} - \ln \pi)` up to a constant, so that the span of the error shrinks by exactly
    :math:`|1 - \text{step}\,(\beta + w)|` per step. Starts from ``start``, or from the centre.
    """
    if steps < 0:
        raise InputError(f"the number of inner steps is at least 0, not {steps}.")
    reference, centre = np.asarray(log_reference, dtype=float), np.asarray(log_centre, dtype=float)
    policy = centre if start is None else np.asarray(start, dtype=float)
    for _ in range(steps):
        gradient = np.asarray(gain) - beta * (policy - reference) - weight * (policy - centre)
        policy = normalise(policy + step * gradient)
    return policy
