"""Rewards fitted token by token and response by response, from the same comparisons (claim rto/sample-efficiency)."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bandits.preference.log_linear import fit_log_linear
from experiments.study import Study, grid
from mdplab.learning.token_dpo import preference_law
from mdplab.learning.token_rewards import additive_features
from mdplab.models.token_tree import TokenTree, leaf_rewards
from mdplab.solvers.token_tree import leaf_log_probabilities
from theory.bradley_terry_fit import fit_bradley_terry
from theory.divergences import kl
from theory.random_streams import run_seeds
from theory.tilts import log_tilt

Array = NDArray[np.float64]
# imagined comparisons of every response, won and lost in equal parts: without them a fitted reward may be infinite
TIES = 1.0


def _counts(tree: TokenTree, n: int, runs: int, seed: int) -> Array:
    law = preference_law(tree)
    drawn = np.random.default_rng([seed, n]).multinomial(n, law.ravel() / law.sum(), size=runs)
    return drawn.reshape(runs, *law.shape).astype(float)


def _gaps(tree: TokenTree, rewards: Array, beta: float) -> Array:
    reference = leaf_log_probabilities(tree.log_reference)
    optimum = log_tilt(reference, leaf_rewards(tree), beta)
    return beta * kl(log_tilt(reference, rewards, beta), optimum, log=True)


@functools.lru_cache(maxsize=64)
def token_gaps(tree: TokenTree, beta: float, n: int, runs: int, seed: int) -> Array:
    """J(pi*) - J(pi) where pi tilts by an additive fit of H (A - 1) parameters to ``n`` comparisons, shape (runs,)."""
    features = additive_features(tree.tokens, tree.horizon)
    differences = (features[:, None] - features).reshape(-1, features.shape[1])
    kinds, kind = np.unique(differences, axis=0, return_inverse=True)
    order = np.argsort(kind.ravel(), kind="stable")
    first = np.searchsorted(kind.ravel()[order], np.arange(len(kinds)))
    weights = np.add.reduceat(_counts(tree, n, runs, seed).reshape(runs, -1)[:, order], first, axis=1)
    fit = fit_log_linear(np.broadcast_to(kinds, (runs, *kinds.shape)), weights / n)
    assert fit.converged.all()
    return _gaps(tree, fit.theta @ features.T, beta)


@functools.lru_cache(maxsize=64)
def sentence_gaps(tree: TokenTree, beta: float, n: int, runs: int, seed: int) -> Array:
    """The same with a parameter for each response, fitted to the same comparisons and the imagined ties, shape (runs,)."""
    imagined = TIES / (2 * tree.leaves)
    fits = [fit_bradley_terry(counts + imagined).theta for counts in _counts(tree, n, runs, seed)]
    return _gaps(tree, np.array(fits), beta)


def feedback_study(
    numbers: Sequence[int] = (250, 500, 1000, 2000, 4000, 8000), *, seed: int, runs: int, steps: int = 6
) -> Study:
    """Both fits to ``n`` comparisons of two-token responses of so many ``steps``, rewards additive: rows ``seed, gap``.

    ``fit`` is "tokens" or "responses"; beta = 1/2. Fits of the same seed and n are to the same comparisons.
    """
    points = grid(fit=("responses", "tokens"), n=numbers, steps=steps)
    return Study("token-feedback", measure_feedback, points, run_seeds(seed, runs), block=10)


def measure_feedback(*, seeds: NDArray[np.uint64], fit: str, n: int, steps: int) -> dict[str, ArrayLike]:
    """One point of :func:`feedback_study`; every run is fitted by itself."""
    rewards = np.random.default_rng(0).standard_normal((steps, 2))
    reference = tuple(np.full((2**t, 2), -np.log(2)) for t in range(steps))
    tree = TokenTree(tuple(np.tile(row, (2**t, 1)) for t, row in enumerate(rewards)), reference)
    gaps = {"tokens": token_gaps, "responses": sentence_gaps}[fit]
    return {"seed": seeds, "gap": np.concatenate([gaps(tree, 0.5, n, 1, int(seed)) for seed in seeds])}
