"""Token trees whose responses earn a sum of interactions between pairs of their tokens."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mdplab.models.token_tree import TokenTree, terminal_rewards
from theory.claims.families import family
from theory.errors import InputError

Array = NDArray[np.float64]


def interaction_rewards(tokens: int, horizon: int, spread: float, rng: np.random.Generator) -> Array:
    r"""Rewards of responses, (A^H,) in lexicographic order: :math:`r(y) = \sum_{i<j} B_{ij}(y_i, y_j)`.

    The B are normal with a variance that gives every response one of ``spread`` squared. Raises :class:`InputError` for less
    than two tokens or two steps.
    """
    if tokens < 2 or horizon < 2:
        raise InputError(f"pairs of tokens need at least two tokens and two steps, not {tokens} and {horizon}.")
    total = np.zeros((tokens,) * horizon)
    pairs = list(combinations(range(horizon), 2))
    for i, j in pairs:
        table = rng.standard_normal((tokens, tokens)) * (spread / np.sqrt(len(pairs)))
        total += table.reshape([tokens if place in (i, j) else 1 for place in range(horizon)])
    return total.ravel()


@family(A=2, H=2)
def interaction_tree(A: int = 2, H: int = 3, spread: float = 1.0, concentration: float = 1.0, seed: int = 0) -> TokenTree:
    """:func:`interaction_rewards`, paid with the last token; reference rows from Dirichlet(``concentration``), floored at
    1e-12."""
    rng = np.random.default_rng(seed)
    reference = []
    for t in range(H):
        rows = np.maximum(rng.dirichlet(np.full(A, concentration), size=A**t), 1e-12)
        reference.append(np.log(rows / rows.sum(axis=1, keepdims=True)))
    blank = TokenTree(tuple(np.zeros_like(rows) for rows in reference), tuple(reference))
    return TokenTree(terminal_rewards(blank, interaction_rewards(A, H, spread, rng)), tuple(reference))
