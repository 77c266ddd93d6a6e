r"""Newton's method for the equilibria of regularised games, with halved steps and continuation in the temperature.

An equilibrium is a zero of :math:`G(z) = z - g(z)/\beta`, where z are logits relative to the reference and g(z) the gains of the
policies that they make. The Jacobian of G is the identity less a product of a skew and a positive semidefinite matrix, over
:math:`\beta`; such products have imaginary eigenvalues, so that it is never singular.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
State = TypeVar("State")

CONTINUATION = 1.3  # by this factor beta falls towards its target where Newton's method fails from the reference
STEPS = 60
SMALLEST_STEP = 1e-6


def damped_newton(
    residual: Callable[[Array], tuple[Array, float, State]],
    direction: Callable[[State, Array], Array | None],
    start: Array,
    enough: float,
) -> tuple[Array, bool, int]:
    """Newton's method from ``start``, its steps halved until the size of the residual falls.

    ``residual(z)`` is G(z), its size, and what ``direction(state, G)`` needs to solve the Newton equation (None if it cannot be
    solved). Goes on until rounding ends the fall. Returns the point, whether the size is at most ``enough`` there, and the
    number of steps.
    """
    z = start
    g, size, state = residual(z)
    for count in range(STEPS):
        step = direction(state, g)
        if step is None:  # pragma: no cover - the Jacobian is never singular, but an overflow in it could be
            return z, False, count
        t = 1.0
        while True:
            trial = z - t * step
            new_g, new_size, new_state = residual(trial)
            if new_size < (1 - 0.1 * t) * size:
                break
            if size <= enough:  # as small as rounding lets it become
                return z, True, count
            t /= 2
            if t < SMALLEST_STEP:
                return z, False, count
        z, g, size, state = trial, new_g, new_size, new_state
        if size == 0:
            return z, True, count + 1
    return z, size <= enough, STEPS


def follow_temperature(
    solve: Callable[[float, Array], tuple[Array, bool, int]], beta: float, easy: float, dimension: int
) -> tuple[Array, int]:
    """The zero at ``beta`` by ``solve(beta, start)``: from 0, or where that fails along zeros from the temperature ``easy`` down.

    Logits grow like 1/beta, and each zero is scaled so for a start at the next. Returns the zero, shape (dimension,), and the
    number of Newton steps made. Raises :class:`ArithmeticError` if the path is lost, which it is not if it is smooth.
    """
    z, done, steps = solve(beta, np.zeros(dimension))
    if done:
        return z, steps
    now, factor = max(easy, beta), CONTINUATION
    z, _, count = solve(now, np.zeros(dimension))
    steps += count
    while now > beta:
        following = max(beta, now / factor)
        guess, done, count = solve(following, z * now / following)
        steps += count
        if done:
            z, now, factor = guess, following, CONTINUATION
        elif factor < 1.001:  # pragma: no cover - the path is smooth, so that short enough steps succeed
            raise ArithmeticError(f"the equilibrium could not be followed below beta = {now:g}.")
        else:
            factor = 1 + (factor - 1) / 3
    return z, steps
