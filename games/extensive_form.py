r"""Two-player zero-sum games in extensive form with perfect recall, kept in sequence form.

A player's *sequence* is what he has done on the way to a place of the tree: one action at each of his information sets there.
With perfect recall every information set h has one sequence p(h) that leads to it, so that his sequences are the empty one and
a pair (h, a) for every action a at h. A *realisation plan* gives each sequence the probability that the player, for his part,
plays it:

.. math:: x(\varnothing) = 1, \qquad \sum_a x(h, a) = x(p(h)), \qquad x \ge 0.

The set of plans is a *treeplex* (:class:`Treeplex`). Behaviour is recovered as x(h, a) / x(p(h)). Leaves add chance's
probability times the payoff to entry (sequence of the row player, sequence of the column player) of a sparse matrix A, and the
row player expects :math:`x^\top A y`: bilinear, and of the tree's size, where the normal form is exponentially large. Koller,
Megiddo and von Stengel (1996); von Stengel (1996).

A tree is written down as nested :class:`Chance`, :class:`Decision` and :class:`Leaf`; :func:`to_sequence_form` reads it once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array, csr_array

from theory.claims.families import family
from theory.divergences import NORMALISATION
from theory.errors import InputError, Unavailable

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Leaf:
    """The end of a play: the ``payoff`` that the row player receives from the column player."""

    payoff: float


@dataclass(frozen=True)
class Chance:
    """A draw: pairs of a probability and what follows."""

    outcomes: Iterable[tuple[float, Node]]


@dataclass(frozen=True)
class Decision:
    """A choice of ``player`` (0: row, 1: column), who sees ``information`` and nothing else: pairs of an action and what
    follows.

    The player's nodes of the same ``information`` are one information set.
    """

    player: int
    information: str
    choices: Iterable[tuple[str, Node]]


Node = Leaf | Chance | Decision


@dataclass(frozen=True, eq=False)
class Treeplex:
    """A player's information sets and sequences.

    ``names``, length I: the information sets, each after those that lead to it. ``actions``, length I: the names of the actions
    at each. ``parents``, shape (I,): the sequence p(h) that leads to each. Sequence 0 is the empty one; those of information
    set h are ``starts[h], ..., starts[h + 1] - 1``. ``spreads``, shape (I,): by how much the counterfactual values of two
    actions at h can differ at most, whatever both players do (see :func:`to_sequence_form`); not negative.

    Raises :class:`InputError` naming the information set that is out of order, or has no action, or has the name of another.
    """

    names: tuple[str, ...]
    actions: tuple[tuple[str, ...], ...]
    parents: Indices
    spreads: Array
    starts: Indices = field(init=False)

    def __post_init__(self) -> None:
        sizes = [len(a) for a in self.actions]
        parents, spreads = np.array(self.parents, dtype=np.int64), np.array(self.spreads, dtype=float)
        if not len(self.names) == len(sizes) == parents.size == spreads.size:
            raise InputError(
                f"a treeplex of {len(self.names)} information sets has as many tuples of actions, parents and spreads, "
                f"not {len(sizes)}, {parents.size} and {spreads.size}."
            )
        starts = np.cumsum([1, *sizes])
        for h, name in enumerate(self.names):
            if sizes[h] == 0:
                raise InputError(f"the information set {name!r} has no action.")
            if not 0 <= parents[h] < starts[h]:
                raise InputError(f"the information set {name!r} follows sequence {parents[h]}, which does not precede it.")
            if not 0 <= spreads[h] < np.inf:
                raise InputError(f"the information set {name!r} has the spread {spreads[h]}, which is negative or not finite.")
        if len(set(self.names)) < len(self.names):
            twice = next(n for n in self.names if self.names.count(n) > 1)
            raise InputError(f"two information sets are called {twice!r}.")
        for name, array in (("parents", parents), ("spreads", spreads), ("starts", starts)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def information_sets(self) -> int:
        """The number I of information sets."""
        return len(self.names)

    @property
    def sequences(self) -> int:
        """The number of sequences, the empty one included."""
        return int(self.starts[-1])

    @cached_property
    def longest_sum(self) -> int:
        """How many numbers are added up at most along a path: for each of its sequences 1, and the information sets that follow
        it.

        A number is rounded at most so often while a best response or a plan is worked out.
        """
        following = np.bincount(self.parents, minlength=self.sequences) + 1
        for parent, own in self.blocks():
            following[own] += following[parent]
        return int(following.max())

    def sequence(self, name: str, action: str) -> int:
        """The sequence that takes ``action`` at the information set ``name``; :class:`InputError` if there is none."""
        h = self._places.get(name)
        if h is None:
            raise InputError(f"there is no information set {name!r}.")
        if action not in self.actions[h]:
            raise InputError(f"the information set {name!r} has the actions {', '.join(self.actions[h])}, and no {action!r}.")
        return int(self.starts[h]) + self.actions[h].index(action)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: h for h, name in enumerate(self.names)}

    def blocks(self) -> Iterator[tuple[int, slice]]:
        """For each information set in order: the sequence that leads to it, and the slice of its own."""
        for h, parent in enumerate(self.parents.tolist()):
            yield parent, slice(int(self.starts[h]), int(self.starts[h + 1]))

    def plan(self, weights: ArrayLike) -> Array:
        """The realisation plan, shape (sequences,), that plays the actions of each information set in proportion to
        ``weights``.

        ``weights``, shape (sequences,), not negative: behaviour probabilities, or a plan known up to rounding. Where all
        weights of an information set are 0 its actions are played alike.
        """
        given = np.asarray(weights, dtype=float)
        if given.shape != (self.sequences,):
            raise InputError(f"a treeplex of {self.sequences} sequences has as many weights, not the shape {given.shape}.")
        if not ((given >= 0) & np.isfinite(given)).all():
            worst = int(np.argmin(np.where(np.isfinite(given), given, -np.inf)))
            raise InputError(f"sequence {worst} has the weight {given[worst]}, which is negative or not finite.")
        plan = np.ones(self.sequences)
        for parent, own in self.blocks():
            total = given[own].sum()
            plan[own] = plan[parent] * (given[own] / total if total > 0 else 1 / (own.stop - own.start))
        return plan

    def behaviour(self, plan: ArrayLike) -> Array:
        """The probability of each action at its information set under a realisation plan, shape (sequences,); entry 0 is 1.

        Where the plan does not come its behaviour is undefined, and taken to be uniform.
        """
        reached = np.asarray(plan, dtype=float)
        behaviour = np.ones(self.sequences)
        for parent, own in self.blocks():
            behaviour[own] = reached[own] / reached[parent] if reached[parent] > 0 else 1 / (own.stop - own.start)
        return behaviour

    def constraints(self) -> csr_array:
        """The matrix E, shape (I + 1, sequences), of the plans: E x = (1, 0, ..., 0)."""
        count, owners = self.information_sets, np.repeat(np.arange(self.information_sets) + 1, np.diff(self.starts))
        rows = np.concatenate([[0], owners, np.arange(count) + 1])
        columns = np.concatenate([np.arange(self.sequences), self.parents])
        entries = np.concatenate([np.ones(self.sequences), -np.ones(count)])
        return csr_array(coo_array((entries, (rows, columns)), shape=(count + 1, self.sequences)))


@dataclass(frozen=True, eq=False)
class ExtensiveFormGame:
    """A zero-sum game in sequence form: the treeplexes of ``row`` and ``column`` and the sparse ``payoff`` of their sequences.

    The row player receives :math:`x^\\top A y` from the column player. ``payoff_range``: the largest payoff of a leaf less the
    smallest. ``key`` is the call that rebuilds the instance.

    Raises :class:`InputError` for a payoff of another shape, or one that is not finite.
    """

    row: Treeplex
    column: Treeplex
    payoff: csr_array
    payoff_range: float
    key: str | None = None

    def __post_init__(self) -> None:
        payoff = csr_array(self.payoff, dtype=float)
        if payoff.shape != (self.row.sequences, self.column.sequences):
            raise InputError(
                f"the payoff has the shape {payoff.shape}, the players have {self.row.sequences} and {self.column.sequences} "
                "sequences."
            )
        if not np.isfinite(payoff.data).all():
            raise InputError("an entry of the payoff is not finite.")
        payoff.sum_duplicates()
        payoff.eliminate_zeros()
        object.__setattr__(self, "payoff", payoff)

    @property
    def players(self) -> tuple[Treeplex, Treeplex]:
        """Both treeplexes."""
        return self.row, self.column

    @cached_property
    def gains(self) -> tuple[csr_array, csr_array]:
        """For each player the matrix that turns the opponent's plan into what his sequences gain: A, and -A transposed."""
        return self.payoff, csr_array(-self.payoff.T)

    def __repr__(self) -> str:
        return f"ExtensiveFormGame({self.key or f'{self.row.sequences} by {self.column.sequences} sequences'})"


class _Player:
    """What :func:`to_sequence_form` has seen of a player."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}
        self.actions: list[tuple[str, ...]] = []
        self.parents: list[int] = []
        self.starts: list[int] = [1]
        self.spreads: list[float] = []

    def place(self, name: str, parent: int, actions: tuple[str, ...]) -> int:
        """The number of an information set; refused if it was seen after another sequence, or with other actions."""
        h = self.places.get(name)
        if h is None:
            if not actions or len(set(actions)) < len(actions):
                raise InputError(f"the information set {name!r} needs one or more different actions, not {actions}.")
            h = self.places[name] = len(self.parents)
            self.parents.append(parent)
            self.actions.append(actions)
            self.starts.append(self.starts[-1] + len(actions))
            self.spreads.append(0.0)
        elif self.parents[h] != parent:
            raise InputError(f"perfect recall fails: two different sequences lead to the information set {name!r}.")
        elif self.actions[h] != actions:
            raise InputError(
                f"the information set {name!r} has the actions {self.actions[h]} at one node, {actions} at another."
            )
        return h

    def treeplex(self) -> Treeplex:
        return Treeplex(tuple(self.places), tuple(self.actions), np.array(self.parents), np.array(self.spreads))


def to_sequence_form(root: Node) -> ExtensiveFormGame:
    r"""The sequence form of the tree below ``root``; information sets come in the order of a depth-first walk.

    Iterables of nodes are read once, so that a large tree may be generated on the way. The spread of an information set h is
    :math:`D_h = \sum_{z \in h} \Pr(\text{chance leads to } z)\,(\max - \min \text{ payoff below } z)`: the counterfactual value
    of an action is a sum over the nodes z of the opponent's and chance's probability of z times a mean of payoffs below z.

    Raises :class:`InputError` naming the information set whose nodes differ in their actions, or in the player's own past
    (perfect recall), the chance node's probabilities that do not sum to 1, the payoff that is not finite, or the player that is
    neither 0 nor 1.
    """
    players = _Player(), _Player()
    entries: dict[tuple[int, int], float] = {}

    def walk(node: Node, chance: float, row: int, column: int) -> tuple[float, float]:
        """The smallest and the largest payoff below the node."""
        if isinstance(node, Leaf):
            payoff = float(node.payoff)
            if not np.isfinite(payoff):
                raise InputError(f"a leaf has the payoff {payoff}, which is not finite.")
            entries[row, column] = entries.get((row, column), 0.0) + chance * payoff
            return payoff, payoff
        if isinstance(node, Chance):
            below, total = [], 0.0
            for probability, child in node.outcomes:
                if not probability > 0:
                    raise InputError(f"an outcome of chance has the probability {probability}, which is not positive.")
                total += probability
                below.append(walk(child, chance * probability, row, column))
            if abs(total - 1) > NORMALISATION:
                raise InputError(f"the probabilities of a chance node sum to {total:.12g}, not to 1.")
        else:
            if node.player not in (0, 1):
                raise InputError(f"the player of a decision is 0 or 1, not {node.player}.")
            choices = tuple(node.choices)
            player = players[node.player]
            h = player.place(node.information, (row, column)[node.player], tuple(a for a, _ in choices))
            below = []
            for own, (_, child) in enumerate(choices, player.starts[h]):
                below.append(walk(child, chance, *((own, column) if node.player == 0 else (row, own))))
        lowest, highest = min(low for low, _ in below), max(high for _, high in below)
        if isinstance(node, Decision):
            player.spreads[h] += chance * (highest - lowest)
        return lowest, highest

    lowest, highest = walk(root, 1.0, 0, 0)
    row, column = (p.treeplex() for p in players)
    places = np.array(list(entries), dtype=np.int64).reshape(-1, 2)
    values = np.array(list(entries.values()))
    payoff = csr_array(coo_array((values, (places[:, 0], places[:, 1])), shape=(row.sequences, column.sequences)))
    return ExtensiveFormGame(row, column, payoff, highest - lowest)


def without_actions(game: ExtensiveFormGame, player: int, dropped: Collection[tuple[str, str]]) -> ExtensiveFormGame:
    """The game in which ``player`` (0: row, 1: column) may not take the ``dropped`` actions, pairs (information set, action).

    His information sets that only a dropped action leads to go with it. The opponent keeps his, also those that are no longer
    reached. Spreads are those of the full game, and bound those of the smaller one.

    Raises :class:`InputError` for an action that does not exist, or if all actions of an information set are dropped.
    """
    tree = game.players[player]
    gone = np.zeros(tree.sequences, dtype=bool)
    gone[[tree.sequence(name, action) for name, action in dropped]] = True
    kept = [h for h, _ in enumerate(tree.names)]
    for h, (parent, own) in enumerate(tree.blocks()):
        if gone[parent]:
            gone[own] = True
            kept.remove(h)
    number = np.cumsum(~gone) - 1
    smaller = Treeplex(
        tuple(tree.names[h] for h in kept),
        tuple(
            tuple(a for a, s in zip(tree.actions[h], range(tree.starts[h], tree.starts[h + 1])) if not gone[s]) for h in kept
        ),
        number[tree.parents[kept]],
        tree.spreads[kept],
    )
    left = np.flatnonzero(~gone)
    if player == 0:
        return ExtensiveFormGame(smaller, game.column, game.payoff[left], game.payoff_range)
    return ExtensiveFormGame(game.row, smaller, game.payoff[:, left], game.payoff_range)


def open_spiel_game(name: str) -> ExtensiveFormGame:
    """A two-player zero-sum game of OpenSpiel, such as ``kuhn_poker`` or ``leduc_poker(suit_isomorphism=true)``, in sequence
    form.

    The names of information sets are OpenSpiel's information state strings, those of actions its action strings. The whole tree
    is walked, so that it must be small (100,000 histories take about a second).

    Raises :class:`~theory.errors.Unavailable` where OpenSpiel is not installed, :class:`InputError` for a game that it does not
    have, that is not sequential and zero-sum, or not for two players.
    """
    try:
        import pyspiel
    except ImportError as error:
        raise Unavailable("OpenSpiel is not installed (pip install open-spiel).") from error
    try:
        game = pyspiel.load_game(name)
    except pyspiel.SpielError as error:
        raise InputError(f"OpenSpiel does not load the game {name!r}.") from error
    kind = game.get_type()
    sequential = kind.dynamics == pyspiel.GameType.Dynamics.SEQUENTIAL
    if not sequential or game.num_players() != 2 or kind.utility != pyspiel.GameType.Utility.ZERO_SUM:
        raise InputError(f"the game {name!r} is not a sequential zero-sum game of two players.")

    def node(state: Any) -> Node:
        if state.is_terminal():
            return Leaf(state.player_return(0))
        if state.is_chance_node():
            return Chance((p, node(state.child(a))) for a, p in state.chance_outcomes())
        player = state.current_player()
        choices = ((state.action_to_string(player, a), node(state.child(a))) for a in state.legal_actions())
        return Decision(player, state.information_state_string(player), choices)

    return to_sequence_form(node(game.new_initial_state()))


@family(types=1, moves=1, actions=2, phrasings=1)
def private_types(
    types: int = 2, moves: int = 4, actions: int = 2, phrasings: int = 1, spread: float = 0.0, seed: int = 0
) -> ExtensiveFormGame:
    """A random game: each player is dealt one of some ``types``, which he alone sees, and both move in turn, the row player
    first.

    The law of the types is drawn uniformly. Move d has 2 to ``actions`` actions, the same whatever went before, and with
    probability 1/2 the opponent does not see which is taken. Payoffs are normal. Each action of the row player has
    ``phrasings``, of which the opponent hears the very one: they change payoffs by 0 or ``spread``, for the first phrasings
    throughout by 0. Information sets are called by the player, his type and what he knows of the past, actions by their number
    and, after a dot, their phrasing.

    Raises :class:`InputError` for sizes that are not positive, fewer than 2 actions, or a negative spread.
    """
    if min(types, moves, phrasings) < 1 or actions < 2:
        raise InputError(
            "a random game has at least 1 type, 1 move, 2 actions and 1 phrasing, "
            f"not {types}, {moves}, {actions} and {phrasings}."
        )
    if not 0 <= spread < np.inf:
        raise InputError(f"the spread of the phrasings is at least 0 and finite, not {spread}.")
    rng = np.random.default_rng(seed)
    law = rng.dirichlet(np.ones(types**2)).reshape(types, types)
    sizes = rng.integers(2, actions + 1, moves).tolist()
    seen = (rng.random(moves) < 0.5).tolist()
    payoffs = rng.standard_normal((types, types, *sizes))
    spoken = [phrasings if d % 2 == 0 else 1 for d in range(moves)]
    changes = rng.integers(2, size=(types, types, *sizes, *spoken)) * spread
    changes[(slice(None),) * (2 + moves) + (0,) * moves] = 0.0  # every action in its first phrasing

    def node(dealt: tuple[int, int], taken: tuple[int, ...], words: tuple[int, ...], known: tuple[str, str]) -> Node:
        d = len(taken)
        if d == moves:
            return Leaf(float(payoffs[dealt + taken] + changes[dealt + taken + words]))
        player = d % 2
        choices = []
        for a in range(sizes[d]):
            for word in range(spoken[d]):
                name = f"{a}.{word}" if spoken[d] > 1 else f"{a}"
                told = [known[0] + " " + name, known[1] + " " + name]
                if not seen[d]:
                    told[1 - player] = known[1 - player] + " ?"
                choices.append((name, node(dealt, (*taken, a), (*words, word), (told[0], told[1]))))
        return Decision(player, f"{['row', 'column'][player]} {dealt[player]}:{known[player]}", tuple(choices))

    deals = ((float(law[i, j]), node((i, j), (), (), ("", ""))) for i in range(types) for j in range(types))
    return to_sequence_form(Chance(deals))
