"""Preference games that several papers are checked on, and their equilibria."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from games.datasets import DATASETS, open_spiel_matrix, open_spiel_metagame, ranked
from games.generators import additive, bradley_terry, cyclic, low_rank, tournament, uniform
from games.preference import PreferenceGame
from games.regularised import RegularisedNash, solve_regularised
from games.zero_sum import ZeroSumGame
from theory.claims import Sweep, by_profile

Array = NDArray[np.float64]


def every_family(K: tuple[int, ...], scale: Any, draws: Any = 1) -> Sweep:
    """Games of every random family and, of the next odd size, cyclic tournaments; ``scale`` is that of the references' logits."""
    families = (uniform, tournament, bradley_terry, additive, low_rank)
    sweeps = [f.sweep(K=K, scale=scale, draws=draws) for f in families]
    odd = tuple(sorted({k if k % 2 else k + 1 for k in K}))
    return functools.reduce(Sweep.__or__, sweeps, cyclic.sweep(K=odd, scale=scale, draws=draws))


def real_games(scale: Any) -> Sweep:
    """Elections and races; Colonel Blotto, biased rock-paper-scissors and policies of poker, skipped where OpenSpiel is missing."""
    draws = by_profile(quick=1, full=6)
    return (
        ranked.sweep(dataset=DATASETS, scale=scale, draws=draws)
        | open_spiel_matrix.sweep(game=("matrix_brps", "blotto(coins=5,fields=3,players=2)"), scale=scale)
        | open_spiel_metagame.sweep(game=("kuhn_poker", "leduc_poker"), K=10, mixed=(False, True), scale=scale, draws=draws)
    )


@functools.lru_cache(maxsize=8)
def equilibrium(game: PreferenceGame, beta: float) -> RegularisedNash:
    """The equilibrium regularised at ``beta``; the controls of a claim ask for those of the same instances again."""
    return solve_regularised(game, beta)


def interior_equilibrium(game: PreferenceGame) -> Array:
    """The policy of full support with A p = 0, as log-probabilities, shape (K,); the game must have exactly one."""
    null = np.linalg.svd(game.A)[2][-1]
    p = null / null.sum()
    assert (p > 0).all()
    assert np.abs(game.A @ p).max() < 1e-15
    return np.log(p)


def temperature(game: PreferenceGame | ZeroSumGame, beta: float | None) -> float:
    """The axis beta, or the temperature that the game was made for."""
    chosen = game.beta if beta is None else beta
    assert chosen is not None
    return chosen
