r"""LSPO (Xu, Gu, Yu, Wu and Wang 2025): language agents solve, by CFR, a game with few latent actions, and add to them.

What can be said for certain of such an iteration concerns abstractions: games in which a player has fewer actions (phrasings
are clustered, and one action stands for a cluster) or cannot tell some of his information apart. The claims are derived, and
known to belong to the paper by their subject alone. The games are Kuhn's poker, random ones with private types, and matrix
games; the algorithm's own claims are those of `cfr/regret-identity` and its neighbours.
"""

import functools
import itertools

import numpy as np
from numpy.typing import NDArray

from games.extensive_form import ExtensiveFormGame, private_types, without_actions
from games.linear_programming import solve_nash_lp
from games.poker import kuhn
from games.sequence_form import solve_sequence_form
from theory.claims import Comparison, Paper, Range, all_of, at_most, by_profile, claim, equal, family, over

Array = NDArray[np.float64]

PAPER = Paper(
    key="werewolf-lspo",
    title="Learning Strategic Language Agents in the Werewolf Game with Iterative Latent Space Policy Optimization",
    authors="Xu, Gu, Yu, Wu, Wang",
    year=2025,
    theme="multiagent",
    arxiv="2502.04686v3",
)

PARTITIONS = ((0, 1, 2), (0, 0, 1), (0, 1, 1), (0, 1, 0), (0, 0, 0))  # of the cards J, Q, K
Drops = tuple[tuple[str, str], ...]


# --- fewer actions -----------------------------------------------------------------------------------------------------

ROOTS = (("check", "bet"), ("check",), ("bet",))  # what a card may do first,
ANSWERS = (("fold", "call"), ("fold",), ("call",))  # and after a check that was answered by a bet


@functools.lru_cache(maxsize=1)
def _kuhn_values() -> dict[tuple[int, ...], tuple[float, float]]:
    """For all 3^6 sets of player 1's actions, the interval of the value: indices into ROOTS and ANSWERS for J, Q, K in turn."""
    game = kuhn()
    payoff = game.payoff.toarray()
    columns = [game.column.plan(_pure(game, 1, choice)) for choice in itertools.product((0, 1), repeat=6)]
    against = payoff @ np.array(columns).T
    values = {}
    for allowed in itertools.product(range(3), repeat=6):
        options = []
        for card, root, answer in zip("JQK", allowed[::2], allowed[1::2]):
            plans = []
            for first in ROOTS[root]:
                start = game.row.sequence(card, first)
                if first == "bet":
                    plans.append(against[start])
                else:
                    plans += [against[start] + against[game.row.sequence(f"{card}:check bet", a)] for a in ANSWERS[answer]]
            options.append(plans)
        matrix = np.array([sum(parts) for parts in itertools.product(*options)])
        solved = solve_nash_lp(matrix)
        values[allowed] = solved.lower, solved.upper
    return values


def _pure(game: ExtensiveFormGame, player: int, choice: tuple[int, ...]) -> Array:
    tree = game.players[player]
    weights = np.zeros(tree.sequences)
    weights[tree.starts[:-1] + np.array(choice)] = 1.0
    return weights


@claim(
    PAPER,
    "abstraction-monotone",
    r"B \subseteq C \subseteq \text{player 1's actions} \implies v(C) \ge v(B); \quad \text{for every one of the } 3^6"
    r" \text{ sets in Kuhn's poker}",
    kind="inequality",
    source="derived",
    assumes="the opponent keeps all his actions, and both play the smaller game optimally",
)
def abstraction_monotone(*, strict: float = 0.0) -> Comparison:
    r"""A player with fewer actions never has more: taking actions away one after the other never raises his value.

    A plan of the smaller game is a plan of the larger one with the same guarantee. What is compared is the loss
    v(all) - v(set): of each set with that of every set from which one action more is missing.

    The values are those of the normal form, a matrix of the pure plans, each with its interval.
    """
    values = _kuhn_values()
    full = values[(0,) * 6]
    less, more, slack = [], [], []
    for allowed, (lower, upper) in values.items():
        for place in np.flatnonzero(np.array(allowed) == 0):
            for left in (1, 2):
                fewer = values[(*allowed[:place], left, *allowed[place + 1 :])]
                less.append((full[0] + full[1] - lower - upper) / 2 + strict)
                more.append((full[0] + full[1] - fewer[0] - fewer[1]) / 2)
                slack.append((upper - lower + fewer[1] - fewer[0]) / 2)
    return at_most(less, more, slack=slack)


abstraction_monotone.control(
    "every action taken away costs a thousandth", because="many are not needed, bluffs among them", strict=0.001
)


def _chain(game: ExtensiveFormGame, player: int, rng: np.random.Generator, length: int) -> list[ExtensiveFormGame]:
    """The game, and what is left of it as one random action of ``player`` after the other is taken away."""
    chain = [game]
    for _ in range(length):
        tree = chain[-1].players[player]
        left = [(name, a) for name, actions in zip(tree.names, tree.actions) if len(actions) > 1 for a in actions]
        if not left:
            break
        chain.append(without_actions(chain[-1], player, [left[rng.integers(len(left))]]))
    return chain


@claim(
    PAPER,
    "nested-actions",
    r"\text{actions of player 1 are taken away one by one} \implies v \text{ does not rise}",
    kind="inequality",
    source="derived",
    assumes="games with private types, hidden moves and perfect recall",
)
@over(private_types.sweep(types=(1, 2), moves=(2, 4), actions=3, draws=by_profile(quick=3, full=20)))
def nested_actions(game: ExtensiveFormGame, *, seed: int, player: int = 0, length: int = 6) -> Comparison:
    """The same along random chains of abstractions of random games.

    As in `werewolf-lspo/abstraction-monotone`. So a latent space that only grows never loses value, against an opponent whose
    own does not grow. What is compared is the loss after each action with the loss after the next.
    """
    solved = [solve_sequence_form(g) for g in _chain(game, player, np.random.default_rng(seed), length)]
    loss = np.array([solved[0].value - s.value for s in solved])
    slack = np.array([s.gap for s in solved])
    return at_most(loss[:-1], loss[1:], slack=slack[:-1] + slack[1:])


nested_actions.control("the opponent's actions are taken away", because="that can only help player 1", player=1)


@claim(
    PAPER,
    "kuhn-abstractions",
    r"v = -\tfrac{1}{18} \text{ without J's bluff, and without any bet}; \; -\tfrac{1}{6} \text{ without bets and Q's call}; \;"
    r" -\tfrac{1}{9} \text{ if J = Q or Q = K}; \; -\tfrac{2}{9} \text{ if J = K}; \; -\tfrac{1}{3} \text{ if all look alike}",
    kind="identity",
    source="derived",
    assumes="abstractions of player 1 in Kuhn's poker; the opponent plays the full game",
    note="Bluffing is not needed for the value of Kuhn's poker, nor is betting: a beginner who always checks loses no more.",
)
def kuhn_abstractions(*, needed: float = 0.0) -> Comparison:
    """Bluffs and bets add nothing to what the beginner of Kuhn's poker is worth; calls and what he can tell of his cards do.

    The optimal plan of alpha = 0 (`cfr/kuhn-equilibria`) never bets. Extra latent actions help only where they were needed.
    """
    bets = (("J", "bet"), ("Q", "bet"), ("K", "bet"))
    games = {
        "no bluff": (kuhn(row_drops=bets[:1]), -1 / 18 - needed),
        "no bet": (kuhn(row_drops=bets), -1 / 18 - needed),
        "no bet, no call": (kuhn(row_drops=(*bets, ("Q:check bet", "call"))), -1 / 6),
        "J = Q": (kuhn(row_cards=(0, 0, 1)), -1 / 9),
        "Q = K": (kuhn(row_cards=(0, 1, 1)), -1 / 9),
        "J = K": (kuhn(row_cards=(0, 1, 0)), -2 / 9),
        "all alike": (kuhn(row_cards=(0, 0, 0)), -1 / 3),
    }
    solved = [solve_sequence_form(game) for game, _ in games.values()]
    stated = [value for _, value in games.values()]
    return equal([s.value for s in solved], stated, tolerance=max(s.gap for s in solved), scale=1.0)


kuhn_abstractions.control("bluffing is worth a millionth", because="it is worth nothing", needed=1e-6)


# --- less information --------------------------------------------------------------------------------------------------


def _refines(fine: tuple[int, ...], coarse: tuple[int, ...]) -> bool:
    return all(coarse[i] == coarse[j] for i, j in itertools.combinations(range(3), 2) if fine[i] == fine[j])


@claim(
    PAPER,
    "information-monotone",
    r"\text{player 1 can tell more of his cards apart} \implies v \text{ does not fall}",
    kind="inequality",
    source="derived",
    assumes="all pairs of nested partitions of the cards J, Q, K; the opponent's partition any, but the same",
)
@over(opponent=[*PARTITIONS])
def information_monotone(*, opponent: tuple[int, ...], own: bool = True) -> Comparison:
    """A player who can tell more of his information apart never has less, while the opponent can tell the same.

    A plan that may not look is a plan that does not.
    """
    values = {
        cards: solve_sequence_form(kuhn(row_cards=cards, column_cards=opponent) if own else kuhn(opponent, cards))
        for cards in PARTITIONS
    }
    pairs = [(f, c) for f in PARTITIONS for c in PARTITIONS if f != c and _refines(f, c)]
    fine, coarse = ([values[pair[i]] for pair in pairs] for i in (0, 1))
    # the payoffs of Kuhn's poker are at least -2, so that what is compared is positive
    return at_most(
        [2 + c.value for c in coarse], [2 + f.value for f in fine], slack=[f.gap + c.gap for f, c in zip(fine, coarse)]
    )


information_monotone.control("the opponent can tell more apart", because="that can only help the opponent", own=False)


@functools.lru_cache(maxsize=8)
def _solving_plans(row_cards: tuple[int, ...], column_cards: tuple[int, ...]) -> tuple[float, float]:
    """What player 1's optimal plans of an abstract game of Kuhn's poker guarantee in the real one: the least and the most of
    them.

    The most is one linear programme, with the guarantees in both games as constraints; the least is the smallest, over the
    opponent's pure plans, of a linear programme over the optimal plans.
    """
    from scipy.optimize import linprog
    from scipy.sparse import block_array

    abstract, real = kuhn(row_cards=row_cards, column_cards=column_cards), kuhn(row_cards=row_cards)
    E, F, G = abstract.row.constraints(), abstract.column.constraints(), real.column.constraints()
    n, m, k = abstract.row.sequences, F.shape[0], G.shape[0]
    solved = solve_sequence_form(abstract)
    inequalities = block_array([[-abstract.payoff.T, F.T, None], [-real.payoff.T, None, G.T]], format="csr")
    equalities = block_array([[E, np.zeros((E.shape[0], m + k))]], format="csr")
    bounds = [(0, None)] * n + [(solved.lower - 1e-9, None)] + [(None, None)] * (m - 1 + k)

    def solve(cost: Array) -> float:
        found = linprog(
            cost,
            A_ub=inequalities,
            b_ub=np.zeros(inequalities.shape[0]),
            A_eq=equalities,
            b_eq=np.eye(1, E.shape[0])[0],
            bounds=bounds,
            options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
        )
        return float(found.fun)

    most = -solve(-np.eye(n + m + k)[n + m])
    answers = {tuple(real.column.plan(_pure(real, 1, c))) for c in itertools.product((0, 1), repeat=6)}
    least = min(solve(np.concatenate([real.payoff @ np.array(y), np.zeros(m + k)])) for y in answers)
    return least, most


@claim(
    PAPER,
    "abstraction-pathology",
    r"\text{cards Q = K alike to player 1. The opponent's cards all alike: his solution guarantees } -\tfrac{1}{6};"
    r"\text{ only J = Q alike, a finer game: } -\tfrac{1}{3}",
    kind="separation",
    source="derived",
    assumes="player 1 plays any optimal plan of the abstract game in Kuhn's poker itself, against the unrestricted opponent",
    note="Abstractions of both players are not monotone (Waugh and others 2009, in Leduc hold'em); these are smaller examples.",
)
def abstraction_pathology(*, finer: tuple[int, ...] = (0, 0, 1)) -> Comparison:
    """Solving a finer abstraction of the opponent can give a plan that is twice as bad in the real game.

    `werewolf-lspo/nested-actions` and `werewolf-lspo/information-monotone` need an opponent who is the same in both games. If
    the abstract opponent is refined too, the plans that solve the game are others: each of those of the finer game guarantees
    -1/3, each of those of the coarser one -1/6. A latent space that grows for both is no guarantee.
    """
    coarse, fine = _solving_plans((0, 1, 1), (0, 0, 0)), _solving_plans((0, 1, 1), finer)
    tolerance = 1e-6  # optimal up to 1e-9 in the abstract game; a plan moves by at most some tens of times its loss there
    return all_of(
        coarse=equal(coarse, -1 / 6, tolerance=tolerance, scale=1.0),
        fine=equal(fine, -1 / 3, tolerance=tolerance, scale=1.0),
    )


abstraction_pathology.control(
    "the opponent can tell all cards apart", because="against the real opponent the plan is the best there is", finer=(0, 1, 2)
)


# --- clusters ----------------------------------------------------------------------------------------------------------


@family(clusters=1, columns=1, copies=1)
def clustered(
    clusters: int = 3, copies: int = 3, columns: int = 4, spread: float = 0.1, corners: bool = True, seed: int = 0
) -> tuple[Array, NDArray[np.int64]]:
    """A payoff matrix whose rows come in clusters, and the kept row of each: (matrix, kept).

    Rows of a cluster differ from its normal centre by numbers in [0, ``spread``], at the ``corners`` by 0 or all of it. The
    rows kept are the first of each cluster, the rest of which is better at corners.
    """
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((clusters, 1, columns))
    noise = rng.random((clusters, copies, columns))
    if corners:
        noise = np.round(noise)
        noise[:, 0] = 0.0
    matrix = (centres + spread * noise).reshape(clusters * copies, columns)
    return matrix, np.arange(clusters) * copies


@claim(
    PAPER,
    "cluster-loss",
    r"|M_{ij} - M_{i'j}| \le \varepsilon \text{ within clusters} \implies 0 \le v(M) - v(M_{\text{kept}}) \le \varepsilon",
    kind="inequality",
    source="derived",
    assumes="one row of each cluster is kept, whichever; nothing is lost at epsilon = 0",
)
@over(
    clustered.sweep(clusters=(1, 2, 5), copies=(2, 4), columns=(1, 3, 6), spread=(0.1, 1.0), draws=by_profile(quick=8, full=60))
)
@over(clustered.sweep(clusters=(2, 5), copies=3, columns=4, spread=0.0, draws=5))
@over(
    clustered.sweep(clusters=(2, 5), copies=3, columns=4, spread=Range(0.01, 2.0), corners=(True, False)),
    budget=by_profile(quick=30, full=300),
)
def cluster_loss(game: tuple[Array, NDArray[np.int64]], *, share: float = 1.0) -> Comparison:
    r"""Keeping one phrasing of each cluster loses at most the spread of payoffs within a cluster.

    Move the weight of an optimal x to the kept rows: in each column the payoff changes by a mean of differences within
    clusters.
    """
    matrix, kept = game
    spread = np.ptp(matrix.reshape(kept.size, -1, matrix.shape[1]), axis=1).max()
    full, less = solve_nash_lp(matrix), solve_nash_lp(matrix[kept])
    slack = full.gap + less.gap
    loss = full.value - less.value
    return all_of(never_negative=at_most(-loss, 0.0, slack=slack), loss=at_most(loss, share * spread, slack=slack))


cluster_loss.control("half the spread", because="a cluster whose kept row is worst everywhere loses all of it", share=0.5)
cluster_loss.control("five per cent less", because="a cluster whose kept row is worst everywhere loses all of it", share=0.95)


@claim(
    PAPER,
    "cluster-loss-by-play",
    r"v(M) - v(M_{\text{kept}}) \le \max_j \sum_i x^\star_i \bigl(M_{ij} - M_{k(i) j}\bigr)",
    kind="inequality",
    source="derived",
    assumes="x* optimal in M, k(i) the kept row of i's cluster",
    note="Uniform differences: on average a third to a half of the spread. At the corners: 0.8 to 0.93.",
)
@over(
    clustered.sweep(
        clusters=(1, 2, 5),
        copies=(2, 4),
        columns=(1, 3, 6),
        spread=(0.1, 1.0),
        corners=(True, False),
        draws=by_profile(quick=8, full=60),
    )
)
def cluster_loss_by_play(game: tuple[Array, NDArray[np.int64]], *, share: float = 1.0) -> Comparison:
    """What is lost by keeping one row of each cluster is at most what the optimal play itself loses in the worst column.

    The moved plan x' guarantees min_j (x'M)_j, and v = min_j (x*M)_j is at most that plus the largest difference in a column.
    """
    matrix, kept = game
    full, less = solve_nash_lp(matrix), solve_nash_lp(matrix[kept])
    moved = np.repeat(matrix[kept], len(matrix) // kept.size, axis=0)
    differences = full.row @ (matrix - moved)
    return at_most(full.value - less.value, share * differences.max(), slack=full.gap + less.gap)


cluster_loss_by_play.control("five per cent less", because="with one column the bound is the loss", share=0.95)


@claim(
    PAPER,
    "latent-actions",
    r"\text{phrasings of an action change leaves' payoffs by at most } \varepsilon"
    r" \implies 0 \le v - v_{\text{one phrasing each}} \le \varepsilon",
    kind="inequality",
    source="derived",
    assumes="all leaves that differ by player 1's phrasings alone differ by at most epsilon; the opponent hears the phrasing",
)
@over(types=(1, 2), moves=(1, 3), phrasings=2, spread=(0.0, 0.1, 1.0), draw=by_profile(quick=(1, 2), full=tuple(range(20))))
@over(types=1, moves=1, phrasings=4, spread=0.5, draw=by_profile(quick=tuple(range(5)), full=tuple(range(40))))
def latent_actions(
    *, types: int, moves: int, phrasings: int, spread: float, draw: int, seed: int, share: float = 1.0
) -> Comparison:
    """The same in games of several moves: one phrasing of each action is enough, up to the spread.

    Player 1 keeps in mind which phrasings his optimal plan would have used and says the kept ones; the opponent, who answers
    what he hears, then plays a strategy of the full game that ignores phrasings. Play ends in leaves that differ by the
    phrasings alone. With perfect recall there is a behaviour that does what such a mixed strategy does (Kuhn 1953).
    """
    game = private_types(types=types, moves=moves, phrasings=phrasings, spread=spread, seed=seed)
    further = [(name, a) for name, actions in zip(game.row.names, game.row.actions) for a in actions if not a.endswith(".0")]
    full, less = solve_sequence_form(game), solve_sequence_form(without_actions(game, 0, further))
    slack = full.gap + less.gap
    loss = full.value - less.value
    return all_of(never_negative=at_most(-loss, 0.0, slack=slack), loss=at_most(loss, share * spread, slack=slack))


latent_actions.control("half the spread", because="a kept phrasing that is always worse loses all of it", share=0.5)
