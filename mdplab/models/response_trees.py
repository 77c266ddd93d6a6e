"""Families of token trees whose responses are paid with their last token. The key of a tree is the call that rebuilds it."""

from __future__ import annotations

import numpy as np
from scipy.special import log_expit

from mdplab.models.token_tree import TokenTree
from theory.claims.families import family
from theory.errors import InputError


@family(A=2, H=1)
def bounded_tree(
    A: int = 2, H: int = 2, rare: float = 0.0, concentration: float = 1.0, scale: float = 1.0, seed: int = 0
) -> TokenTree:
    """Responses earn uniform numbers in [0, ``scale``]; with ``rare`` > 0, ``scale`` with that chance (one always) and else 0.

    The reference's rows are drawn from Dirichlet(``concentration``), floored at 1e-12.
    """
    rng = np.random.default_rng(seed)
    reference = []
    for t in range(H):
        rows = np.maximum(rng.dirichlet(np.full(A, concentration), size=A**t), 1e-12)
        reference.append(np.log(rows / rows.sum(axis=1, keepdims=True)))
    leaf = rng.random(A**H)
    if rare > 0:
        leaf = np.where((leaf < rare) | (leaf == leaf.min()), 1.0, 0.0)
    return _with_leaves(scale * leaf, reference)


@family()
def chosen_tree(leaf: tuple[float, ...] = (0.0, 1.0), logits: tuple[float, ...] = (0.0,)) -> TokenTree:
    """Two tokens; ``leaf`` holds the rewards of the 2^H responses, ``logits`` the log-odds of token 1.

    They come prefix by prefix, 2^H - 1 of them: the empty one, those of one token, and so on.
    """
    H = len(leaf).bit_length() - 1
    if H < 1 or len(leaf) != 2**H or len(logits) != 2**H - 1:
        raise InputError(f"2^H responses need 2^H - 1 log-odds; these are {len(leaf)} and {len(logits)}.")
    odds = np.array(logits)
    rows = np.stack([log_expit(-odds), log_expit(odds)], axis=1)
    return _with_leaves(np.array(leaf), [rows[2**t - 1 : 2 ** (t + 1) - 1] for t in range(H)])


@family(H=1)
def long_shot(H: int = 2, surprise: float = 10.0, scale: float = 1.0) -> TokenTree:
    """Two tokens; the response of zeros alone pays ``scale``; the reference writes it with probability exp(-``surprise``).

    All its tokens are equally surprising; the rest of the reference is uniform. ``surprise`` > 0.
    """
    if not surprise > 0:
        raise InputError(f"the surprise of a long shot is positive, not {surprise}.")
    reference = [np.full((2**t, 2), -np.log(2)) for t in range(H)]
    for rows in reference:
        rows[0] = -surprise / H, np.log(-np.expm1(-surprise / H))
    return _with_leaves(scale * (np.arange(2**H) == 0), reference)


@family()
def misjudged() -> TokenTree:
    """After token 0 come a 1 that the reference hardly ever writes, and 0.2; after token 1, seldom chosen, come 0.7 and 0.

    The reference's mean is larger after token 0. A policy aligned at a moderate temperature finds the 0.7 and not the 1, so
    that its mean is larger after token 1; a cold decoder would find the 1.
    """
    return chosen_tree(leaf=(1.0, 0.2, 0.7, 0.0), logits=(-4.0, 5.0, 1.0))


def _with_leaves(leaf: np.ndarray, reference: list[np.ndarray]) -> TokenTree:
    rewards = [np.zeros_like(rows) for rows in reference]
    rewards[-1] = leaf.reshape(reference[-1].shape)
    return TokenTree(tuple(rewards), tuple(reference))
