r"""Preference games of the real world: elections and races that are shipped as tables, and games of OpenSpiel.

Where the tables come from is told in ``data/README.md`` beside this file. OpenSpiel (Lanctot et al. 2019, arXiv:1908.09453) is an
optional package; the families that need it raise :class:`~theory.errors.Unavailable` without it.

As in :mod:`games.generators`, the reference is the softmax of K independent normal numbers of the standard deviation ``scale``,
drawn from ``seed``, and a game's key is the call that rebuilds it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from games.generators import drawn_reference, rescaled
from games.preference import PreferenceGame
from games.rankings import PairwiseCounts, read_pairwise_csv
from theory.claims.families import family
from theory.errors import InputError, Unavailable

Array = NDArray[np.float64]

DATA = Path(__file__).parent / "data"
DATASETS = ("burlington_2009", "formula_one_2012", "minneapolis_2021")


def load_counts(dataset: str) -> PairwiseCounts:
    """The table of counts called ``dataset``, one of ``DATASETS``.

    ``burlington_2009``: the ballots for mayor of Burlington, Vermont (K = 6), which have a Condorcet winner.
    ``minneapolis_2021``: the leading three candidates of Minneapolis' Ward 2, whose majorities run in a cycle.
    ``formula_one_2012``: the finishing orders of the twenty Grands Prix of a season (K = 25 drivers), with 41 cycles of three.
    Raises :class:`InputError` for another name.
    """
    if dataset not in DATASETS:
        raise InputError(f"there is no data set {dataset!r}; there are {', '.join(DATASETS)}.")
    return read_pairwise_csv(DATA / f"{dataset}.csv")


@family
def ranked(dataset: str = "burlington_2009", smoothing: float = 1.0, scale: float = 1.0, seed: int = 0) -> PreferenceGame:
    """The game of a data set's counts, P_ij = (w_ij + a) / (w_ij + w_ji + 2a) with a = ``smoothing``; 1/2 for a pair never met."""
    counts = load_counts(dataset)
    _, log_reference = drawn_reference(len(counts.names), scale, seed)
    game = counts.to_game(smoothing=smoothing, uncompared="even")
    return PreferenceGame(game.A, log_reference)


@family
def open_spiel_matrix(game: str = "matrix_rps", scale: float = 1.0, seed: int = 0) -> PreferenceGame:
    r"""A symmetric zero-sum game that OpenSpiel ships in normal form, rescaled so that its largest entry is 1/2.

    ``game`` is OpenSpiel's name of it with its parameters, such as ``matrix_rps``, ``matrix_brps`` (its biased form),
    ``matrix_rpsw`` (with water, which draws with all) or ``blotto(coins=5,fields=3,players=2)`` (Colonel Blotto, K = 21).

    Raises :class:`InputError` if the game is none of two players who have the same actions and payoffs U with U + U^T = 0.
    """
    spiel, loaded = _open_spiel(game)
    if loaded.num_players() != 2 or loaded.get_type().dynamics != spiel.GameType.Dynamics.SIMULTANEOUS:
        raise InputError(f"{game!r} is not a game of two players who move at once.")
    root = loaded.new_initial_state()
    rows, columns = root.legal_actions(0), root.legal_actions(1)
    U = np.empty((len(rows), len(columns)))
    other = np.empty_like(U)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            state = root.clone()
            state.apply_actions([row, column])
            if not state.is_terminal():
                raise InputError(f"{game!r} goes on after one move, so it is not in normal form.")
            U[i, j], other[i, j] = state.returns()
    if U.shape[0] != U.shape[1] or not (np.array_equal(U, -U.T) and np.array_equal(other, -U)):
        raise InputError(f"{game!r} is not a symmetric zero-sum game.")
    _, log_reference = drawn_reference(len(rows), scale, seed)
    return PreferenceGame(rescaled(U), log_reference)


@family(K=2)
def open_spiel_metagame(
    game: str = "kuhn_poker", K: int = 8, mixed: bool = False, scale: float = 1.0, seed: int = 0
) -> PreferenceGame:
    r"""The game of choosing among K random policies of a two-player zero-sum game in OpenSpiel, such as Kuhn or Leduc poker.

    A policy tells what to do in every information state of either seat: one action drawn uniformly, or with ``mixed`` a
    distribution drawn uniformly from the simplex. Seats are drawn by lot, so with the expected payoff u(i, j) of the first
    seat under i against j

    .. math:: A_{ij} = \frac{c}{2} \bigl(u(i, j) - u(j, i)\bigr),

    and c > 0 is such that the largest entry is 1/2.
    """
    if K < 1:
        raise InputError(f"a preference game has at least one action, not {K}.")
    tree = _game_tree(game)
    rng, log_reference = drawn_reference(K, scale, seed)
    U = tree.payoffs(random_behaviour(tree, K, mixed, rng))
    return PreferenceGame(rescaled(U - U.T), log_reference)


@dataclass(frozen=True, eq=False)
class GameTree:
    """The terminal histories of a sequential zero-sum game of two players, and the choices on the way to each.

    ``information_states``: the texts of both players' information states, sorted, with the number of their legal actions in
    ``choices``; the choices of information state s have the numbers ``offset[s] .. offset[s] + choices[s] - 1`` and the legal
    actions of OpenSpiel in its order. ``weight``, shape (T,): the probability of chance's moves times the first player's
    payoff. ``paths[p]``, shape (T, depth): the numbers of the choices that player p makes, padded with the total of choices.
    """

    information_states: tuple[str, ...]
    choices: NDArray[np.int64]
    weight: Array
    paths: tuple[NDArray[np.int64], NDArray[np.int64]]

    @property
    def offset(self) -> NDArray[np.int64]:
        """The number of the first choice of each information state."""
        return np.cumsum(self.choices) - self.choices

    def payoffs(self, behaviour: Array) -> Array:
        """u(i, j), shape (K, K), of K behaviour policies, shape (K, total number of choices)."""
        padded = np.column_stack([behaviour, np.ones(len(behaviour))])
        first, second = (padded[:, path].prod(axis=2) for path in self.paths)
        return np.asarray((first * self.weight) @ second.T)


def random_behaviour(tree: GameTree, K: int, mixed: bool, rng: np.random.Generator) -> Array:
    """K random behaviour policies, shape (K, total number of choices): deterministic, or ``mixed`` and uniform on simplices."""
    blocks = []
    for choices in tree.choices.tolist():
        if mixed:
            blocks.append(rng.dirichlet(np.ones(choices), size=K))
        else:
            blocks.append(np.eye(choices)[rng.integers(choices, size=K)])
    return np.concatenate(blocks, axis=1)


@functools.lru_cache(maxsize=4)
def _game_tree(game: str) -> GameTree:
    spiel, loaded = _open_spiel(game)
    kind = loaded.get_type()
    if (
        loaded.num_players() != 2
        or kind.dynamics != spiel.GameType.Dynamics.SEQUENTIAL
        or kind.utility != spiel.GameType.Utility.ZERO_SUM
        or not kind.provides_information_state_string
    ):
        raise InputError(f"{game!r} is not a sequential zero-sum game of two players with information states.")
    legal: dict[str, int] = {}
    ends: list[tuple[float, list[list[tuple[str, int]]]]] = []

    def visit(state: Any, chance: float, paths: list[list[tuple[str, int]]]) -> None:
        if state.is_terminal():
            ends.append((chance * state.returns()[0], paths))
        elif state.is_chance_node():
            for action, probability in state.chance_outcomes():
                visit(state.child(action), chance * probability, paths)
        else:
            player = state.current_player()
            where, actions = f"{player} {state.information_state_string()}", state.legal_actions()
            legal[where] = len(actions)
            for choice, action in enumerate(actions):
                longer = list(paths)
                longer[player] = [*paths[player], (where, choice)]
                visit(state.child(action), chance, longer)

    visit(loaded.new_initial_state(), 1.0, [[], []])
    states = tuple(sorted(legal))
    choices = np.array([legal[s] for s in states])
    first = dict(zip(states, (np.cumsum(choices) - choices).tolist()))
    padding = int(choices.sum())
    numbered = []
    for player in (0, 1):
        taken = [[first[where] + choice for where, choice in paths[player]] for _, paths in ends]
        depth = max(map(len, taken))
        numbered.append(np.array([path + [padding] * (depth - len(path)) for path in taken], dtype=np.int64))
    return GameTree(states, choices, np.array([weight for weight, _ in ends]), (numbered[0], numbered[1]))


def _open_spiel(game: str) -> tuple[Any, Any]:
    """The module pyspiel and the game."""
    try:
        import pyspiel
    except ImportError as error:
        raise Unavailable("games of OpenSpiel need the package open-spiel: pip install mdplab[peers]") from error
    try:
        return pyspiel, pyspiel.load_game(game)
    except pyspiel.SpielError as error:
        raise InputError(f"OpenSpiel has no game {game!r}: {str(error).splitlines()[0]}") from error
