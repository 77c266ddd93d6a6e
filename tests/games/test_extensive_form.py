"""The sequence form: what it says of small trees, of poker and of OpenSpiel's games, and what it refuses."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from games.extensive_form import (
    Chance,
    Decision,
    ExtensiveFormGame,
    Leaf,
    Treeplex,
    open_spiel_game,
    private_types,
    to_sequence_form,
    without_actions,
)
from games.linear_programming import solve_nash_lp
from games.poker import kuhn, leduc
from games.sequence_form import expected_payoff, solve_sequence_form
from theory.errors import InputError


def test_a_tree_by_hand() -> None:
    """The row player sees a coin; the column player sees whether he speaks."""

    def after(coin: int) -> Decision:
        silent = Decision(1, "silent", (("guess 0", Leaf(coin)), ("guess 1", Leaf(1 - coin))))
        return Decision(0, f"coin {coin}", (("speak", Leaf(0.25)), ("keep quiet", silent)))

    game = to_sequence_form(Chance(((0.25, after(0)), (0.75, after(1)))))
    assert game.row.names == ("coin 0", "coin 1")
    assert game.column.names == ("silent",)
    assert (game.row.sequences, game.column.sequences) == (5, 3)
    expected = [[0, 0, 0], [0.0625, 0, 0], [0, 0, 0.25], [0.1875, 0, 0], [0, 0.75, 0]]
    assert np.array_equal(game.payoff.toarray(), expected)
    assert np.array_equal(game.row.spreads, [0.25, 0.75])
    assert np.array_equal(game.column.spreads, [1.0])
    assert game.payoff_range == 1
    assert game.row.sequence("coin 1", "keep quiet") == 4
    row = game.row.plan([1, 0.5, 0.5, 0, 1])
    assert expected_payoff(game, row, [1, 0.5, 0.5]) == pytest.approx(0.25 * (0.5 * 0.25 + 0.5 * 0.5) + 0.75 * 0.5)


def payoff_of_kuhn(cards: tuple[int, int], first: list, second: list) -> int:
    """The rules once more: of each card the first action and that after check and bet, the replies to a check and to a bet."""
    won = 1 if cards[0] > cards[1] else -1
    opening, answer = first[cards[0]]
    reply = second[cards[1]][opening == "bet"]
    if opening == "bet":
        return 2 * won if reply == "call" else 1
    if reply == "check":
        return won
    return 2 * won if answer == "call" else -1


def test_kuhn_is_what_the_rules_say_for_all_pure_strategies() -> None:
    game = kuhn()
    two, three = ("check", "bet"), ("fold", "call")
    pairs = list(itertools.product(itertools.product(two, repeat=3), itertools.product(three, repeat=3)))
    strategies = [list(zip(before, after)) for before, after in pairs]  # of either player: a pair of actions for each card
    deals = list(itertools.permutations(range(3), 2))
    normal = np.array([[sum(payoff_of_kuhn(d, f, s) for d in deals) / 6 for s in strategies] for f in strategies])

    def plan(tree: Treeplex, choices: dict[str, str]) -> np.ndarray:
        weights = np.zeros(tree.sequences)
        weights[[tree.sequence(name, action) for name, action in choices.items()]] = 1
        return tree.plan(weights)

    def plans(tree: Treeplex, names: tuple[str, str]) -> np.ndarray:
        return np.array(
            [plan(tree, {n.format(c): s[i][k] for i, c in enumerate("JQK") for k, n in enumerate(names)}) for s in strategies]
        )

    X, Y = plans(game.row, ("{}", "{}:check bet")), plans(game.column, ("{}:check", "{}:bet"))
    assert np.allclose(X @ game.payoff.toarray() @ Y.T, normal, rtol=0, atol=1e-15)
    assert solve_nash_lp(normal).value == pytest.approx(-1 / 18, abs=1e-12)


def test_sizes_of_poker() -> None:
    assert [(t.information_sets, t.sequences) for t in kuhn().players] == [(6, 13), (6, 13)]
    assert [(t.information_sets, t.sequences) for t in leduc().players] == [(144, 337), (144, 337)]
    assert [(t.information_sets, t.sequences) for t in leduc(suits=True).players] == [(468, 1093), (468, 1093)]
    assert leduc().payoff_range == 26
    assert kuhn(row_cards=(0, 0, 1)).row.names == ("JQ", "JQ:check bet", "K", "K:check bet")
    assert leduc(max_bets=0).row.information_sets == 3 + 9  # the card, and the open card


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("kuhn_poker", kuhn),
        ("leduc_poker", lambda: leduc(suits=True)),
        ("leduc_poker(suit_isomorphism=true)", leduc),
    ],
)
def test_poker_is_openspiels(name: str, ours: object) -> None:
    pytest.importorskip("pyspiel")
    game, theirs = ours(), open_spiel_game(name)  # type: ignore[operator]
    assert theirs.payoff.shape == game.payoff.shape
    for mine, other in zip(game.players, theirs.players):
        assert np.array_equal(mine.parents, other.parents)  # both walk the tree in the same order
        assert np.array_equal(mine.starts, other.starts)
        assert np.allclose(mine.spreads, other.spreads, rtol=1e-12, atol=0)
    assert abs(game.payoff - theirs.payoff).max() < 1e-15


def test_other_games_of_openspiel() -> None:
    pytest.importorskip("pyspiel")
    assert solve_sequence_form(open_spiel_game("liars_dice(dice_sides=3)")).gap < 1e-9
    with pytest.raises(InputError, match="does not load the game 'no_such_game'"):
        open_spiel_game("no_such_game")
    with pytest.raises(InputError, match="'matrix_rps' is not a sequential zero-sum game of two players"):
        open_spiel_game("matrix_rps")


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), types=st.integers(1, 3), moves=st.integers(1, 4))
def test_plans_and_behaviour(seed: int, types: int, moves: int) -> None:
    game = private_types(types=types, moves=moves, actions=3, seed=seed)
    rng = np.random.default_rng(seed)
    for tree in game.players:
        plan = tree.plan(rng.exponential(size=tree.sequences))
        residual = tree.constraints() @ plan
        assert residual[0] == 1
        assert np.allclose(residual[1:], 0, rtol=0, atol=1e-15)
        assert np.allclose(tree.plan(tree.behaviour(plan)), plan, rtol=1e-14, atol=0)
        idle = tree.plan(np.zeros(tree.sequences))  # uniform
        assert np.allclose(tree.behaviour(idle)[1:], np.repeat(1 / np.diff(tree.starts), np.diff(tree.starts)))
    # the payoff of uniform play is the mean of what chance deals, and between the extremes
    uniform = [t.plan(np.ones(t.sequences)) for t in game.players]
    assert abs(expected_payoff(game, *uniform)) <= abs(game.payoff).max() * game.payoff.nnz


def test_dropped_actions() -> None:
    game = kuhn()
    smaller = without_actions(game, 0, [("J", "check"), ("Q:check bet", "call")])
    assert smaller.row.names == ("J", "Q", "Q:check bet", "K", "K:check bet")  # J's second choice went with his check
    assert smaller.row.actions == (("bet",), ("check", "bet"), ("fold",), ("check", "bet"), ("fold", "call"))
    assert smaller.column is game.column
    kept = [0, *(game.row.sequence(n, a) for n, actions in zip(smaller.row.names, smaller.row.actions) for a in actions)]
    assert kept == [0, 2, 5, 6, 7, 9, 10, 11, 12]
    assert abs(smaller.payoff - game.payoff[kept]).max() == 0
    other = without_actions(game, 1, [("K:check", "check")])
    assert other.column.sequences == 12
    assert kuhn(column_drops=(("K:check", "check"),)).payoff.shape == other.payoff.shape
    with pytest.raises(InputError, match="no information set 'A'"):
        without_actions(game, 0, [("A", "bet")])
    with pytest.raises(InputError, match="'J' has the actions check, bet, and no 'raise'"):
        without_actions(game, 0, [("J", "raise")])
    with pytest.raises(InputError, match="'J' has no action"):
        without_actions(game, 0, [("J", "bet"), ("J", "check")])


def test_phrasings_change_payoffs_by_their_spread_alone() -> None:
    spoken = private_types(types=2, moves=3, actions=2, phrasings=2, spread=0.5, seed=3)
    kept = [(n, a) for n, acts in zip(spoken.row.names, spoken.row.actions) for a in acts if not a.endswith(".0")]
    first = without_actions(spoken, 0, kept)
    plain = private_types(types=2, moves=3, actions=2, seed=3)
    reached = np.flatnonzero(abs(first.payoff).sum(axis=0))
    assert np.allclose(first.payoff.toarray()[:, reached], plain.payoff.toarray()[:, abs(plain.payoff).sum(axis=0) > 0])


def test_bad_trees_are_refused() -> None:
    end = Leaf(0.0)
    two = (("a", end), ("b", end))
    with pytest.raises(InputError, match="two different sequences lead to the information set 'again'"):
        to_sequence_form(Decision(0, "start", (("a", Decision(0, "again", two)), ("b", Decision(0, "again", two)))))
    with pytest.raises(InputError, match="'x' has the actions"):
        to_sequence_form(Chance(((0.5, Decision(0, "x", two)), (0.5, Decision(0, "x", (("a", end),))))))
    with pytest.raises(InputError, match=r"sum to 0\.9, not to 1"):
        to_sequence_form(Chance(((0.5, end), (0.4, end))))
    with pytest.raises(InputError, match=r"probability -0\.5, which is not positive"):
        to_sequence_form(Chance(((1.5, end), (-0.5, end))))
    with pytest.raises(InputError, match="payoff nan, which is not finite"):
        to_sequence_form(Leaf(float("nan")))
    with pytest.raises(InputError, match="0 or 1, not 2"):
        to_sequence_form(Decision(2, "x", two))
    with pytest.raises(InputError, match="one or more different actions"):
        to_sequence_form(Decision(0, "x", (("a", end), ("a", end))))
    with pytest.raises(InputError, match="three numbers, not 2"):
        kuhn(row_cards=(0, 1))
    with pytest.raises(InputError, match="at least 2 ranks, not 1"):
        leduc(ranks=1)
    with pytest.raises(InputError, match="at least 0, not -1"):
        leduc(max_bets=-1)
    with pytest.raises(InputError, match="2 actions and 1 phrasing"):
        private_types(actions=1)
    with pytest.raises(InputError, match=r"at least 0 and finite, not -1"):
        private_types(spread=-1)


def test_bad_treeplexes_and_payoffs_are_refused() -> None:
    def treeplex(**changed: object) -> Treeplex:
        fields = {"names": ("x", "y"), "actions": (("a", "b"), ("c",)), "parents": [0, 1], "spreads": [1.0, 1.0]}
        return Treeplex(**{**fields, **changed})  # type: ignore[arg-type]

    tree = treeplex()
    with pytest.raises(InputError, match="'x' follows sequence 1, which does not precede it"):
        treeplex(parents=[1, 0])
    with pytest.raises(InputError, match="'y' has no action"):
        treeplex(actions=(("a",), ()))
    with pytest.raises(InputError, match="two information sets are called 'x'"):
        treeplex(names=("x", "x"))
    with pytest.raises(InputError, match=r"the spread -1.0"):
        treeplex(spreads=[1.0, -1.0])
    with pytest.raises(InputError, match="as many tuples of actions, parents and spreads, not 2, 1 and 2"):
        treeplex(parents=[0])
    with pytest.raises(InputError, match=r"as many weights, not the shape \(2,\)"):
        tree.plan([1, 2])
    with pytest.raises(InputError, match="sequence 2 has the weight -1"):
        tree.plan([1, 1, -1, 1])
    with pytest.raises(InputError, match=r"shape \(2, 2\), the players have 4 and 4"):
        ExtensiveFormGame(tree, tree, csr_array(np.eye(2)), 1.0)
    with pytest.raises(InputError, match="not finite"):
        ExtensiveFormGame(tree, tree, csr_array(np.diag([1.0, np.inf, 0, 0])), 1.0)
