"""Evaluation of a policy by Gauss-Seidel sweeps under Anderson acceleration.

For a fixed policy a sweep is an affine map, and Anderson's mixing of its iterates is GMRES with the sweep as preconditioner
(Walker and Ni 2011): the sweeps carry values along the paths of the chain, and the mixing removes the few slow directions that
they leave, above all the common level of all values, which contracts by gamma only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdplab.solvers import _kernels
from mdplab.solvers.bellman import BLOCKS, Sweeper

DEPTH = 5  # earlier differences that are mixed
Floats = NDArray[np.float64]


def evaluate(sweeper: Sweeper, value: Floats, old: Floats, *, reduction: float, most: int) -> tuple[Floats, int]:
    """Move ``value`` towards the value of the sweeper's policy (its rows must have been restricted).

    One step is a backward and a forward sweep. Stops when the largest change of a step has fallen by ``reduction``, or after
    ``most`` steps. Returns the new values and the number of steps; ``value`` and ``old`` are overwritten.
    """
    S = value.size
    blocks = BLOCKS if sweeper.parallel else 1
    record: Any = _kernels.record_parallel if sweeper.parallel else _kernels.record_serial
    mix: Any = _kernels.mix_parallel if sweeper.parallel else _kernels.mix_serial
    changes, images = np.empty((DEPTH, S)), np.empty((DEPTH, S))
    gram, sums, sizes = np.zeros((DEPTH, DEPTH)), np.empty((blocks, 2 * DEPTH)), np.empty(blocks)
    image, change = np.empty(S), np.empty(S)
    old_image, old_change = np.empty(S), np.empty(S)
    first = 0.0
    for k in range(most):
        image[:] = value
        sweeper.evaluate(image, old, forward=False)
        sweeper.evaluate(image, old, forward=True)
        kept, slot = min(k, DEPTH), (k - 1) % DEPTH
        record(image, value, old_image, old_change, change, images, changes, slot, kept, sums, sizes)
        size = float(sizes.max())
        if k == 0:
            first = size
        if size <= reduction * first:
            return image, k + 1
        products = sums.sum(axis=0)
        gram[slot, :kept] = gram[:kept, slot] = products[:kept]
        weights = np.linalg.lstsq(gram[:kept, :kept], products[kept : 2 * kept], rcond=1e-13)[0] if kept else np.empty(0)
        mix(image, images, weights, value, blocks)
        image, old_image = old_image, image
        change, old_change = old_change, change
    return value, most
