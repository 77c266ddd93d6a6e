"""Small poker games in sequence form: Kuhn's and Leduc hold'em.

The row player acts first. Payoffs are what he wins, in chips.
"""

from __future__ import annotations

from collections.abc import Iterator

from games.extensive_form import Chance, Decision, ExtensiveFormGame, Leaf, Node, to_sequence_form, without_actions
from theory.claims.families import family
from theory.errors import InputError

CARDS = "JQK"
Drops = tuple[tuple[str, str], ...]


@family
def kuhn(
    row_cards: tuple[int, ...] = (0, 1, 2),
    column_cards: tuple[int, ...] = (0, 1, 2),
    row_drops: Drops = (),
    column_drops: Drops = (),
) -> ExtensiveFormGame:
    """Kuhn's poker (1950): three cards, an ante of 1, one bet of 1.

    Each player is dealt one of J, Q, K. The first checks or bets. After a bet the other folds or calls; after a check he
    checks, for a showdown, or bets, and the first folds or calls.

    ``row_cards`` and ``column_cards`` say what a player can tell of the cards J, Q, K: cards of the same number look alike to
    him. Information sets are called by those cards and the history, such as ``"Q"``, ``"Q:check bet"`` or, with ``row_cards=(0,
    0, 1)``, ``"JQ"``. ``row_drops`` and ``column_drops`` are actions that a player may not take, pairs such as ``("J",
    "bet")``.

    Raises :class:`InputError` for a map that is not of three cards, or an action that does not exist or is the last one left.
    """
    seen = [_labels(row_cards), _labels(column_cards)]

    def play(cards: tuple[int, int], history: tuple[str, ...] = ()) -> Node:
        player = len(history) % 2
        won = 1 if cards[0] > cards[1] else -1
        if history in ((), ("check",)):
            actions = ("check", "bet")
        elif history[-1] == "bet":
            actions = ("fold", "call")
        elif history[-1] == "fold":
            return Leaf(-1 if player == 1 else 1)  # it would be the other's turn
        else:
            return Leaf(won * (2 if history[-1] == "call" else 1))
        card = seen[player][cards[player]]
        name = f"{card}:{' '.join(history)}" if history else card
        return Decision(player, name, tuple((a, play(cards, (*history, a))) for a in actions))

    deals = tuple((1 / 6, play((i, j))) for i in range(3) for j in range(3) if i != j)
    game = to_sequence_form(Chance(deals))
    if row_drops:
        game = without_actions(game, 0, row_drops)
    return without_actions(game, 1, column_drops) if column_drops else game


def _labels(cards: tuple[int, ...]) -> list[str]:
    """What a player calls each card: all the cards that look like it."""
    if len(cards) != len(CARDS):
        raise InputError(f"a map of Kuhn's three cards has three numbers, not {len(cards)}.")
    return ["".join(c for c, d in zip(CARDS, cards) if d == number) for number in cards]


ANTE = 1
BETS = (2, 4)


@family
def leduc(ranks: int = 3, max_bets: int = 2, suits: bool = False) -> ExtensiveFormGame:
    """Leduc hold'em (Southey and others 2005): two cards of each of the ``ranks``, an ante of 1, two rounds of betting.

    Each player is dealt a card; after the first round one of the rest is laid open. A round is over when both have checked, or
    a bet is called; it has at most ``max_bets`` bets (a bet and raises), of 2 in the first round and 4 in the second, and the
    row player begins both. At the showdown a pair with the open card wins, otherwise the higher rank; equal ranks share the
    pot.

    With ``suits`` the players see which of the two cards of a rank they have, otherwise its rank alone. Information sets are
    called by the own card, the actions of the first round (c: check or call, r: bet or raise, f: fold), the open card, and the
    actions of the second, such as ``"0:crc"`` or ``"0:rc/2:r"``; with suits the cards are 0a, 0b, 1a, ...

    Raises :class:`InputError` for fewer than two ranks, or a negative number of bets.
    """
    if ranks < 2:
        raise InputError(f"Leduc hold'em has at least 2 ranks, not {ranks}.")
    if max_bets < 0:
        raise InputError(f"the number of bets of a round is at least 0, not {max_bets}.")
    deck = [(rank, suit) for rank in range(ranks) for suit in "ab"]
    kinds = [f"{rank}{suit}" if suits else f"{rank}" for rank, suit in deck]

    def payoff(cards: tuple[int, ...], stake: int) -> int:
        mine, theirs, board = (deck[c][0] for c in cards)
        if mine == theirs:
            return 0
        return stake if mine == board or (theirs != board and mine > theirs) else -stake

    def play(cards: tuple[int, ...], past: str, actions: str, stakes: tuple[int, int]) -> Node:
        """``past``: the first round and the open card, if there is one; ``stakes``: what each has paid."""
        if actions.endswith("f"):
            return Leaf(stakes[1] if len(actions) % 2 == 0 else -stakes[0])
        if actions.endswith("c") and len(actions) > 1:
            if len(cards) == 3:
                return Leaf(payoff(cards, stakes[0]))
            left = [c for c in range(len(deck)) if c not in cards]
            return Chance(tuple((1 / len(left), play((*cards, c), f"{actions}/{kinds[c]}:", "", stakes)) for c in left))
        player = len(actions) % 2
        return Decision(player, f"{kinds[cards[player]]}:{past}{actions}", tuple(choices(cards, past, actions, stakes, player)))

    def choices(
        cards: tuple[int, ...], past: str, actions: str, stakes: tuple[int, int], player: int
    ) -> Iterator[tuple[str, Node]]:
        highest = max(stakes)
        if stakes[player] < highest:
            yield "fold", play(cards, past, actions + "f", stakes)
        yield "call", play(cards, past, actions + "c", (highest, highest))
        if actions.count("r") < max_bets:
            raised = highest + BETS[len(cards) - 2]
            yield "raise", play(cards, past, actions + "r", (raised, stakes[1]) if player == 0 else (stakes[0], raised))

    pairs = len(deck) * (len(deck) - 1)
    deals = ((1 / pairs, play((i, j), "", "", (ANTE, ANTE))) for i in range(len(deck)) for j in range(len(deck)) if i != j)
    return to_sequence_form(Chance(deals))
