"""Evaluation of a policy by Gauss-Seidel sweeps under Anderson acceleration.

For a fixed policy a sweep is an affine map, and Anderson's mixing of its iterates is GMRES with the sweep as preconditioner
(Walker and Ni 2011): the sweeps carry values along the paths of the chain, and the mixing removes the few slow directions that
they leave, above all the common level of all values, which contracts by gamma only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mdplab.solvers import _kernels
from mdplab.solvers.bellman import Sweeper

DEPTH = 5  # earlier differences that are mixed
Floats = NDArray[np.float64]


def evaluate(sweeper: Sweeper, value: Floats, old: Floats, *, reduction: float, most: int) -> tuple[Floats, int]:
    """Move ``value`` towards the value of the sweeper's policy (its rows must have been restricted).

    One step is a backward and a forward sweep. Stops when the largest change of a step has fallen by ``reduction``, or after
    ``most`` steps. Returns the new values and the number of steps; ``value`` and ``old`` are overwritten.
    """
    S = value.size
    changes, images = np.empty((DEPTH, S)), np.empty((DEPTH, S))
    gram, right = np.zeros((DEPTH, DEPTH)), np.zeros(DEPTH)
    image, change = np.empty(S), np.empty(S)
    previous_image, previous_change = np.empty(S), np.empty(S)
    first = 0.0
    for k in range(most):
        image[:] = value
        sweeper.evaluate(image, old, forward=False)
        sweeper.evaluate(image, old, forward=True)
        size = float(_kernels.difference(image, value, change))
        if k == 0:
            first = size
        if size <= reduction * first:
            return image, k + 1
        kept = min(k, DEPTH)
        if kept:
            slot = (k - 1) % DEPTH
            _kernels.difference(change, previous_change, changes[slot])
            _kernels.difference(image, previous_image, images[slot])
            for j in range(kept):
                gram[slot, j] = gram[j, slot] = _kernels.dot(changes[slot], changes[j])
            for j in range(kept):
                right[j] = _kernels.dot(changes[j], change)
            weights = np.linalg.lstsq(gram[:kept, :kept], right[:kept], rcond=1e-13)[0]
            np.copyto(value, image)
            for j in range(kept):
                _kernels.subtract(value, float(weights[j]), images[j])
        else:
            np.copyto(value, image)
        image, previous_image = previous_image, image
        change, previous_change = previous_change, change
    return value, most
