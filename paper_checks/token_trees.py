"""Token trees that several papers are checked on."""

from __future__ import annotations

from mdplab.models.response_trees import bounded_tree
from theory.claims import Sweep, by_profile


def bounded_trees(horizons: tuple[int, ...] = (1, 2, 3, 4), quick: int = 1, full: int = 6) -> Sweep:
    """Random trees of two and three tokens, with dense and with rare rewards, and with even and uneven references."""
    return bounded_tree.sweep(
        A=(2, 3), H=horizons, rare=(0.0, 0.1), concentration=(0.1, 1.0), draws=by_profile(quick=quick, full=full)
    )
