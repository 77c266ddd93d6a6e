r"""Counterfactual regret minimisation (Zinkevich and others 2007), its identities and constants, on Kuhn's poker and Leduc
hold'em.

Notation: x_t, y_t the realisation plans of iteration t, A the payoff of the sequence form, g_t = A y_t what the row player's
sequences gain (the column player's gain -A^T x_t), R_T(h, a) the immediate counterfactual regrets, p(h) the sequence that leads
to the information set h, and R^i_T = max_x sum_t <x - x_t, g_t> the external regret of player i. NashConv is what both players
together can gain by best responses.
"""

import functools
import re
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from games.counterfactual_regret import CFRRun, cfr, reached_regret, regret_scale
from games.extensive_form import ExtensiveFormGame, Treeplex, private_types
from games.poker import kuhn, leduc
from games.sequence_form import best_plan, best_response, nash_conv, solve_sequence_form
from theory.claims import Comparison, Paper, all_of, always, at_most, by_profile, claim, equal, over, slope

Array = NDArray[np.float64]

PAPER = Paper(
    key="cfr",
    title="Regret Minimization in Games with Incomplete Information",
    authors="Zinkevich, Johanson, Bowling, Piccione",
    year=2007,
    theme="multiagent",
    venue="NIPS 20",
)

LEDUC_VALUE = -0.085606424078  # to 12 decimals
RANDOM = private_types.sweep(types=(1, 2, 3), moves=(2, 4), actions=3, draws=by_profile(quick=2, full=8))
MARKS = (1, 2, 3, 5, 10, 30, 100)
LONG_MARKS = (*MARKS, 300, 1000, 3000)
PLUS_MARKS = (1, 3, 10, 30, 100, 300)


# --- the values --------------------------------------------------------------------------------------------------------


@claim(
    PAPER,
    "kuhn-value",
    r"\max_x \min_y x^\top A y = -\tfrac{1}{18} \text{ in Kuhn's poker, of } 6 + 6 \text{ information sets and } 13 + 13"
    r" \text{ sequences}",
    kind="identity",
    source="recalled",
    assumes="three cards, an ante of 1, one bet of 1",
    note="The value is Kuhn's (1950). `cfr/kuhn-equilibria` proves it in rational arithmetic.",
)
def kuhn_value(*, value: float = -1 / 18, row_drops: tuple[tuple[str, str], ...] = ()) -> Comparison:
    """Whoever begins Kuhn's poker loses an eighteenth of a chip a hand.

    The linear programme of the sequence form; its interval comes from best responses to both plans.
    """
    solved = solve_sequence_form(kuhn(row_drops=row_drops))
    return all_of(
        value=equal(solved.value, value, tolerance=solved.gap, scale=1.0),
        size=always([(t.information_sets, t.sequences) == (6, 13) for t in kuhn().players]),
    )


kuhn_value.control("-0.0555556", because="the interval is far narrower than the seventh decimal", value=-0.0555556)
kuhn_value.control(
    "a beginner who never calls with a queen after a check", because="he loses more", row_drops=(("Q:check bet", "call"),)
)


def _sixths(game: ExtensiveFormGame) -> list[list[Fraction]]:
    """Kuhn's payoff in rational arithmetic: chance deals each pair of cards with probability 1/6."""
    return [[Fraction(round(6 * a), 6) for a in row] for row in game.payoff.toarray().tolist()]


def _worths(tree: Treeplex, payoff: list[list[Fraction]], own: list[Fraction]) -> list[list[Fraction]]:
    """What each sequence is worth if ``own`` is played afterwards, as a linear function of the opponent's plan.

    Where ``own`` does not come the first action is taken; this touches no sequence that ``own`` plays.
    """
    worth = [list(row) for row in payoff]
    for parent, block in reversed(list(tree.blocks())):
        for s in range(block.start, block.stop):
            share = own[s] / own[parent] if own[parent] else Fraction(s == block.start)
            worth[parent] = [a + share * b for a, b in zip(worth[parent], worth[s])]
    return worth


def _answer(tree: Treeplex, gain: list[Fraction]) -> tuple[Fraction, list[Fraction]]:
    """The value of a best response, and by how much each sequence falls short of the best action of its information set."""
    worth, short = list(gain), [Fraction(0)] * tree.sequences
    for parent, block in reversed(list(tree.blocks())):
        best = max(worth[block])
        short[block] = [best - w for w in worth[block]]
        worth[parent] += best
    return worth[0], short


def _rank(rows: list[list[Fraction]]) -> int:
    """The rank of a matrix, by Gaussian elimination."""
    rows, rank = [list(row) for row in rows], 0
    for column in range(len(rows[0])):
        pivot = next((i for i in range(rank, len(rows)) if rows[i][column]), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        for i in range(rank + 1, len(rows)):
            factor = rows[i][column] / rows[rank][column]
            rows[i] = [a - factor * b for a, b in zip(rows[i], rows[rank])]
        rank += 1
    return rank


def _kuhn_row(game: ExtensiveFormGame, alpha: Fraction, king: Fraction, call: Fraction) -> list[Fraction]:
    """Kuhn's plan of the row player: bet J with alpha and K with king * alpha, call with Q at alpha + call."""
    behaviour = {"J": alpha, "Q": Fraction(0), "K": king * alpha, "J:check bet": Fraction(0), "Q:check bet": alpha + call}
    return _exact_plan(game.row, {**behaviour, "K:check bet": Fraction(1)})


def _exact_plan(tree: Treeplex, second: dict[str, Fraction]) -> list[Fraction]:
    """The plan that takes the second of two actions with the probabilities given."""
    plan = [Fraction(1)] * tree.sequences
    for name, (parent, block) in zip(tree.names, tree.blocks()):
        plan[block] = [plan[parent] * (1 - second[name]), plan[parent] * second[name]]
    return plan


def _restrictions(
    tree: Treeplex, opponent: Treeplex, payoff: list[list[Fraction]], plan: list[Fraction]
) -> list[list[Fraction]]:
    """Equations that every optimal plan of ``opponent`` satisfies, given an optimal ``plan`` of ``tree``, whose ``payoff`` it
    is.

    It is a plan, a best response to ``plan``, and leaves the player of ``plan`` indifferent wherever that mixes.
    """
    n = opponent.sequences
    rows = [[Fraction(int(e)) for e in row] for row in opponent.constraints().toarray().tolist()]
    gain = [-sum((x * a for x, a in zip(plan, column)), Fraction(0)) for column in zip(*payoff)]
    rows += [[Fraction(j == s) for j in range(n)] for s, lacks in enumerate(_answer(opponent, gain)[1]) if lacks]
    worth = _worths(tree, payoff, plan)
    for _, block in tree.blocks():
        if plan[block.start] and plan[block.start + 1]:
            rows.append([a - b for a, b in zip(worth[block.start], worth[block.start + 1])])
    return rows


@claim(
    PAPER,
    "kuhn-equilibria",
    r"\text{player 1's optimal plans are } \{x_\alpha : 0 \le \alpha \le \tfrac{1}{3}\}, \text{ betting J with } \alpha,"
    r"\text{ K with } 3\alpha, \text{ calling with Q at } \alpha + \tfrac{1}{3}; \text{ player 2's is unique}",
    kind="identity",
    source="recalled",
    assumes="Kuhn's poker; player 1 never bets Q, never calls with J and always with K",
    note="Kuhn (1950), decided in rational arithmetic: no tolerance is involved.",
)
def kuhn_equilibria(*, king: str = "3", call: str = "1/3", bluff: str = "1/3", size: int = 1) -> Comparison:
    r"""Kuhn's equilibria are a segment for the beginner and a point for the other, exactly.

    Player 2 bets J with 1/3 after a check and calls with Q at 1/3, and holds player 1 to -1/18. A guarantee is concave in the
    plan and at most the value, so that it suffices that both ends of the segment guarantee -1/18.

    There are no others. Equilibria are interchangeable: every optimal x meets player 2's plan y in an equilibrium. So x uses no
    sequence that falls short against y, and makes player 2 indifferent wherever y mixes. With E x = e these linear equations
    leave a line, on which x >= 0 cuts out :math:`\alpha \in [0, 1/3]` (J bets with :math:`\alpha`, K checks with :math:`1 -
    3\alpha`). Likewise the inner :math:`x_{1/6}` leaves a point for y.
    """
    game = kuhn()
    payoff = _sixths(game)
    turned = [[-a for a in column] for column in zip(*payoff)]
    value = Fraction(-1, 18)
    rates = {"J:check": bluff, "Q:check": "0", "K:check": "1", "J:bet": "0", "Q:bet": "1/3", "K:bet": "1"}
    column = _exact_plan(game.column, {name: Fraction(rate) for name, rate in rates.items()})
    held = _answer(game.row, [sum((a * y for a, y in zip(row, column)), Fraction(0)) for row in payoff])[0]
    ends = [_kuhn_row(game, Fraction(alpha), Fraction(king), Fraction(call)) for alpha in ("0", "1/3")]
    inner = _kuhn_row(game, Fraction(1, 6), Fraction(king), Fraction(call))
    guaranteed = [
        -_answer(game.column, [sum((a * x for a, x in zip(row, plan)), Fraction(0)) for row in turned])[0] for plan in ends
    ]
    line = _rank(_restrictions(game.column, game.row, turned, column))
    point = _rank(_restrictions(game.row, game.column, payoff, inner))
    return all_of(
        held=equal(float(held - value), 0.0, tolerance=0.0),
        guaranteed=equal([float(g - value) for g in guaranteed], 0.0, tolerance=0.0),
        dimensions=always([game.row.sequences - line == size, game.column.sequences - point == 0]),
    )


kuhn_equilibria.control("K bets with 2.9 alpha", because="too many of the bets are bluffs, and calling with Q pays", king="2.9")
kuhn_equilibria.control("Q calls with alpha + 0.33", because="the other may bluff more", call="0.33")
kuhn_equilibria.control("player 2 bluffs with 0.34", because="the queen's call pays then", bluff="0.34")
kuhn_equilibria.control("player 1's plan is unique", because="alpha is free", size=0)


# by how many times his loss a plan can miss each of the family's equations: (largest, smallest) and the sequences they weigh
EQUATIONS: dict[str, tuple[float, float, dict[tuple[str, str], float]]] = {
    "Q bets": (18.0, 0.0, {("Q", "bet"): 1.0}),
    "K bets less thrice J bets": (18.0, 9.0, {("K", "bet"): 1.0, ("J", "bet"): -3.0}),
    "Q calls less J bets and 1/3": (6.0, 12.0, {("Q:check bet", "call"): 1.0, ("J", "bet"): -1.0, ("", ""): -1 / 3}),
    "J calls": (6.0, 0.0, {("J:check bet", "call"): 1.0}),
    "K folds": (6.0, 0.0, {("K:check bet", "fold"): 1.0}),
    "J bets beyond 1/3": (3.0, np.inf, {("J", "bet"): 1.0, ("", ""): -1 / 3}),
}


def _direction(tree: Treeplex, weights: dict[tuple[str, str], float]) -> Array:
    direction = np.zeros(tree.sequences)
    for (name, action), weight in weights.items():
        direction[tree.sequence(name, action) if name else 0] = weight
    return direction


def _farthest(game: ExtensiveFormGame, direction: Array, loss: float) -> Array:
    """Among the row player's plans that guarantee the value less ``loss``, the one that goes farthest in a direction."""
    from scipy.optimize import linprog
    from scipy.sparse import csr_array, hstack

    E, F = game.row.constraints(), game.column.constraints()
    n, m = game.row.sequences, F.shape[0]
    found = linprog(
        np.concatenate([-direction, np.zeros(m)]),
        A_ub=hstack([-game.payoff.T, F.T], format="csr"),
        b_ub=np.zeros(game.column.sequences),
        A_eq=hstack([E, csr_array((E.shape[0], m))], format="csr"),
        b_eq=np.eye(1, E.shape[0])[0],
        bounds=[(0, None)] * n + [(-1 / 18 - loss, None)] + [(None, None)] * (m - 1),
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    return game.row.plan(np.clip(found.x[:n], 0.0, None))


@claim(
    PAPER,
    "kuhn-distance",
    r"\ell(x) = -\tfrac{1}{18} - \min_y x^\top A y: \quad x_{\text{Q bets}} \le 18 \ell, \quad -9 \ell \le x_{\text{K bets}} -"
    r" 3 x_{\text{J bets}} \le 18 \ell, \quad -12 \ell \le x_{\text{Q calls}} - x_{\text{J bets}} - \tfrac{1}{3} \le 6 \ell",
    kind="inequality",
    source="derived",
    assumes="x any realisation plan of player 1 in Kuhn's poker; likewise J calls and K folds (6), J bets beyond 1/3 (3)",
    note="It replaces a tolerance: how far the average of CFR may be from Kuhn's family follows from what it loses.",
)
@over(method=("farthest", "CFR", "CFR+", "random"))
def kuhn_distance(*, method: str, seed: int, share: float = 1.0) -> Comparison:
    r"""A plan that loses little is near Kuhn's family, with constants that cannot be smaller.

    The largest value of a linear function over the plans that lose at most :math:`\varepsilon` is a concave function of
    :math:`\varepsilon` (a linear programme's right side), here 0 at 0. It is therefore at most its slope at 0. At .001 and at
    .01 the largest values are in the same ratio to :math:`\varepsilon`, so that it lies on its chord there, and the ratio is
    that slope.
    """
    game = kuhn()
    directions = np.array([_direction(game.row, weights) for _, _, weights in EQUATIONS.values()])
    upper, lower = (np.array([bounds[i] for bounds in EQUATIONS.values()]) for i in (0, 1))
    bounded = np.isfinite(lower)
    parts = {}
    if method == "farthest":
        ways, constants = np.vstack([directions, -directions[bounded]]), share * np.concatenate([upper, lower[bounded]])
        plans = [_farthest(game, way, 0.001) for way in ways] + [_farthest(game, way, 0.01) for way in ways]
        reached = (np.array(plans) * np.vstack([ways, ways])).sum(axis=1)
        # the linear programmes keep their constraints to 1e-10, of which the constants make up to 1e-8
        parts["attained"] = equal(reached, np.concatenate([0.001 * constants, 0.01 * constants]), tolerance=1e-8, scale=1.0)
    elif method == "random":
        plans = [game.row.plan(w) for w in np.random.default_rng(seed).dirichlet(np.ones(13), 30)]
    else:
        plus = method == "CFR+"
        run = _run(game, 3000, floored=plus, averaging="linear" if plus else "uniform", marks=(10, 100, 1000, 3000))
        plans = list(run.averages[0])
    missed = np.array(plans) @ directions.T
    loss = np.array([best_response(game, 1, x)[0] for x in plans])[:, None] - 1 / 18
    slack = 18 * 1e-14  # the loss is a difference of numbers of size 1
    parts["above"] = at_most(missed, share * upper * loss, slack=slack)
    parts["below"] = at_most(-missed[:, bounded], share * lower[bounded] * loss, slack=slack)
    return all_of(**parts)


kuhn_distance.control("five per cent less", because="the farthest plans attain the constants", share=0.95)


@functools.lru_cache(maxsize=16)
def _run(
    game: ExtensiveFormGame,
    T: int,
    *,
    floored: bool = False,
    averaging: str = "uniform",
    alternating: bool = False,
    marks: tuple[int, ...] | None = None,
    keep_plays: bool = False,
) -> CFRRun:
    """The run that a claim and its controls share."""
    return cfr(
        game,
        T,
        floored=floored,
        averaging=averaging,  # type: ignore[arg-type]
        alternating=alternating,
        checkpoints=marks,
        keep_plays=keep_plays,
    )


@functools.lru_cache(maxsize=2)
def _leduc(suits: bool) -> ExtensiveFormGame:
    return leduc(suits=suits)


@claim(
    PAPER,
    "leduc-value",
    r"\max_x \min_y x^\top A y = -0.085606424078\ldots \text{ in Leduc, of } 144 + 144 \text{ information sets by rank,}"
    r" \text{ } 468 + 468 \text{ with suits}",
    kind="identity",
    source="derived",
    assumes="6 cards of 3 ranks, an ante of 1, bets of 2 and 4, at most two bets a round",
)
def leduc_value(*, value: float = LEDUC_VALUE, max_bets: int = 2) -> Comparison:
    """Whoever begins Leduc hold'em loses 0.0856 chips a hand, whether or not he looks at the suits.

    Two linear programmes of the sequence form, each with its interval. `cfr/suit-abstraction` says why suits do not matter.
    """
    games = (_leduc(False), _leduc(True)) if max_bets == 2 else (leduc(max_bets=max_bets),)
    solved = [solve_sequence_form(game) for game in games]
    sizes = [(t.information_sets, t.sequences) for game in games for t in game.players]
    return all_of(
        value=equal([s.value for s in solved], value, tolerance=max(s.gap for s in solved) + 5e-13, scale=1.0),
        size=always([size in ((144, 337), (468, 1093)) for size in sizes] if max_bets == 2 else [True]),
    )


leduc_value.control("another eleventh decimal", because="the intervals are narrower", value=LEDUC_VALUE + 1e-11)
leduc_value.control("one bet a round", because="it is another game", max_bets=1)


def _lift(coarse: Treeplex, fine: Treeplex, behaviour: Array, peek: float) -> Array:
    """Behaviour by ranks in the game with suits; where the own card has suit a, a share ``peek`` goes to the first action."""
    places = {name: h for h, name in enumerate(coarse.names)}
    lifted = np.ones(fine.sequences)
    for name, (_, own) in zip(fine.names, fine.blocks()):
        h = places[re.sub("[ab]", "", name)]
        lifted[own] = behaviour[coarse.starts[h] : coarse.starts[h + 1]]
        if name[1] == "a":
            lifted[own] *= 1 - peek
            lifted[own.start] += peek
    return lifted


@claim(
    PAPER,
    "suit-abstraction",
    r"\text{NashConv in Leduc of behaviour that ignores suits} = \text{its NashConv in the game by ranks};"
    r" \text{ CFR's iterates coincide too}",
    kind="identity",
    source="derived",
    assumes="any behaviour that treats both cards of a rank alike, good or bad; CFR and CFR+ from uniform behaviour",
)
@over(plan=("random", "pure", "CFR", "CFR+"))
def suit_abstraction(*, plan: str, seed: int, T: int = by_profile(quick=30, full=300), peek: float = 0.0) -> Comparison:
    """Forgetting the suits of Leduc hold'em loses nothing: not value, not exploitability, not an iterate of CFR.

    Exchanging the two cards of a rank maps the tree to itself. Against an opponent who ignores suits the counterfactual values
    of an information set are those by rank, divided by the number of information sets that are merged in it: a best response
    need not look at suits either. Regret matching depends on the ratios of regrets alone, so that uniform behaviour leads CFR
    to the same behaviour at the merged information sets in every iteration.
    """
    coarse, fine = _leduc(False), _leduc(True)
    if plan.startswith("CFR"):
        options = {"floored": plan == "CFR+", "averaging": "linear" if plan == "CFR+" else "uniform"}
        runs = [_run(game, T, **options) for game in (coarse, fine)]
        first = [c.behaviour(x[-1]) for c, x in zip(coarse.players, runs[0].averages)]
    else:
        rng = np.random.default_rng(seed)
        first = [np.asarray(rng.exponential(size=c.sequences)) for c in coarse.players]
        if plan == "pure":
            first = [best_plan(c, weights)[1] for c, weights in zip(coarse.players, first)]
        first = [c.behaviour(c.plan(weights)) for c, weights in zip(coarse.players, first)]
    plans = [c.plan(b) for c, b in zip(coarse.players, first)]
    lifted = [f.plan(_lift(c, f, b, peek)) for c, f, b in zip(coarse.players, fine.players, first)]
    parts = {"exploitability": equal(nash_conv(fine, *lifted), nash_conv(coarse, *plans), tolerance=1e-11)}
    if plan.startswith("CFR"):
        parts["row"] = equal(lifted[0], runs[1].averages[0][-1], tolerance=1e-9, scale=1.0)
        parts["column"] = equal(lifted[1], runs[1].averages[1][-1], tolerance=1e-9, scale=1.0)
    return all_of(**parts)


suit_abstraction.control("a plan that plays the two suits differently", because="a best response profits from it", peek=0.001)


# --- regrets -----------------------------------------------------------------------------------------------------------


def _weights(T: int, averaging: str) -> Array:
    return np.arange(1.0, T + 1) if averaging == "linear" else np.ones(T)


def _averages(tree: Treeplex, plays: Array, weights: Array, by_reach: bool) -> list[Array]:
    """After each of the MARKS the plan whose behaviour is the plays' average behaviour, weighted by reach or not."""
    sizes = np.diff(tree.starts)
    reach = np.hstack([np.ones((len(plays), 1)), np.repeat(plays[:, tree.parents], sizes, axis=1)])
    alike = np.concatenate([[1.0], np.repeat(1 / sizes, sizes)])
    behaviour = np.where(reach > 0, plays / np.where(reach > 0, reach, 1.0), alike)
    sums = np.cumsum(weights[:, None] * behaviour * (reach if by_reach else 1.0), axis=0)
    return [tree.plan(sums[T - 1]) for T in MARKS]


def _regrets(game: ExtensiveFormGame, plays: tuple[Array, Array], weights: Array) -> list[float]:
    """The external regret of each player, from the plays alone."""
    found = []
    for tree, own, other, matrix in zip(game.players, plays, plays[::-1], game.gains):
        gains = (matrix @ other.T).T
        found.append(best_plan(tree, weights @ gains)[0] - float(weights @ (own * gains).sum(axis=1)))
    return found


@claim(
    PAPER,
    "regret-identity",
    r"\mathrm{NashConv}(\bar x_T, \bar y_T) = \frac{R^1_T + R^2_T}{T} \le \frac{1}{T} \sum_h \max_a R_T(h, a)^+ \le \sum_i"
    r" \frac{\Delta |I_i| \sqrt{|A_i|}}{\sqrt{T}}",
    kind="identity",
    source="recalled",
    assumes="simultaneous turns; averages weighted by reach (and by the iteration if averaging is linear); the bounds for CFR",
    note="The last bound is 110 to 150 times too large in Kuhn's poker. `cfr/regret-decomposition`, `cfr/bound` are sharper.",
)
@over(kuhn.sweep() | RANDOM, averaging=("uniform", "linear"), floored=(False, True))
@over(leduc.sweep(), averaging="uniform", floored=False)
def regret_identity(
    game: ExtensiveFormGame,
    *,
    averaging: str,
    floored: bool,
    by_reach: bool = True,
    share: float = 1.0,
) -> Comparison:
    r"""What both players regret on average is exactly what their averages can be exploited for.

    The averages of realisation plans, :math:`\bar x = \sum_t w_t x_t / \sum_t w_t`, have the behaviour :math:`\sum_t w_t
    x_t(p(h)) \sigma_t(a|h) / \sum_t w_t x_t(p(h))`. NashConv is bilinear but for the maxima: :math:`\max_x \langle x, A \bar y
    \rangle + \max_y \langle y, -A^\top \bar x \rangle`, and what the two players have earned adds up to 0. The first bound is
    Theorem 3 of the paper, the second its Theorem 4.

    Averages and regrets are computed from the plays alone, the immediate regrets are those that the algorithm kept.
    """
    runs = _run(game, MARKS[-1], floored=floored, averaging=averaging, marks=MARKS, keep_plays=True)
    weights = _weights(MARKS[-1], averaging)
    averages = [_averages(tree, own, weights, by_reach) for tree, own in zip(game.players, runs.plays)]
    found = [nash_conv(game, x, y) for x, y in zip(*averages)]
    exact, summed = [], []
    for c, T in enumerate(MARKS):
        exact.append(sum(_regrets(game, (runs.plays[0][:T], runs.plays[1][:T]), weights[:T])) / weights[:T].sum())
        immediate = (R[c][own].max() for tree, R in zip(game.players, runs.regrets) for _, own in tree.blocks())
        summed.append(sum(max(r, 0.0) for r in immediate) / T)
    # sums of T numbers of the payoffs' size
    parts = {"identity": equal(found, exact, tolerance=1e-12, scale=max(game.payoff_range, 1.0))}
    if averaging == "uniform" and not floored:
        largest = sum(t.information_sets * np.sqrt(np.diff(t.starts).max()) for t in game.players) * game.payoff_range
        parts["sum"] = at_most(found, share * np.array(summed), slack=1e-12 * game.payoff_range, x=MARKS)
        parts["rate"] = at_most(summed, largest / np.sqrt(MARKS), x=MARKS)
    return all_of(**parts)


regret_identity.control("behaviour averaged without reach", because="a play counts where it does not come", by_reach=False)
regret_identity.control("five per cent less than the sum", because="on Kuhn's poker the sum is attained", share=0.95)


@claim(
    PAPER,
    "regret-decomposition",
    r"R^i_T = \max_x \sum_{h, a} x(h, a)\, R_T(h, a) \le \max_x \sum_h x(p(h)) \max_a R_T(h, a)^+",
    kind="identity",
    source="derived",
    assumes="CFR without floor and uniform averaging; simultaneous or alternating turns",
    note="The paper bounds the regret by the sum over all information sets; a plan comes to few of them.",
)
@over(kuhn.sweep() | RANDOM, alternating=(False, True))
@over(leduc.sweep(), alternating=False)
def regret_decomposition(game: ExtensiveFormGame, *, alternating: bool, everywhere: bool = False) -> Comparison:
    r"""A player's regret is exactly the best plan's sum of immediate regrets, with no loss at all.

    Performance difference: :math:`\langle x - x_t, g_t \rangle = \sum_h x(p(h)) \bigl(\sum_a \sigma(a|h) q_t(h, a) -
    v_t(h)\bigr) = \sum_{h, a} x(h, a)\, r_t(h, a)` for every plan x, as x(h, a) = x(p(h)) sigma(a|h) and the v_t telescope
    along the tree. Sum over t, and maximise over x.

    With alternating turns the row player's gains are those against y_t while he plays x_t; the averaged x is his next plan.
    """
    run = _run(game, MARKS[-1], alternating=alternating, marks=MARKS, keep_plays=True)
    X, Y = run.plays
    before = np.vstack([game.row.plan(np.ones(game.row.sequences)), X[:-1]]) if alternating else X
    external, immediate, reached = [], [], []
    for c, T in enumerate(MARKS):
        w = np.ones(T)
        row = _regrets(game, (before[:T], Y[:T]), w)[0]
        column = _regrets(game, (X[:T], Y[:T]), w)[1]
        for tree, regret, R in zip(game.players, (row, column), run.regrets):
            external.append(regret)
            best = [max(float(R[c][own].max()), 0.0) for _, own in tree.blocks()]
            immediate.append(sum(best) if everywhere else best_plan(tree, R[c])[0])
            reached.append(reached_regret(tree, R[c]))
    size = max(game.payoff_range, 1.0) * MARKS[-1]
    return all_of(
        identity=equal(external, immediate, tolerance=1e-12, scale=size),
        reached=at_most(external, reached, slack=1e-12 * size),
    )


regret_decomposition.control("the sum over all information sets", because="a plan comes to few of them", everywhere=True)


@claim(
    PAPER,
    "bound",
    r"\mathrm{NashConv}(\bar x_T, \bar y_T) \le \frac{B_1 + B_2}{\sqrt{T}}, \quad B_i = \max_x \sum_{h \in I_i} x(p(h))\, D_h"
    r" \sqrt{|A_h| - 1}",
    kind="deterministic rate",
    source="derived",
    assumes=r"CFR, simultaneous or alternating turns; D_h the spread of the counterfactual values at h",
    note="7.5 times smaller than the paper's bound on Kuhn's poker, 34 times on Leduc hold'em.",
)
@over(kuhn.sweep() | RANDOM, alternating=(False, True), marks=[LONG_MARKS])
@over(private_types.sweep(types=1, moves=1, actions=(2, 3), draws=5), alternating=False, marks=[LONG_MARKS])
@over(leduc.sweep(), alternating=(False, True), marks=[LONG_MARKS])
def bound(
    game: ExtensiveFormGame,
    *,
    alternating: bool,
    marks: tuple[int, ...],
    power: float = 0.5,
    constant: float = 1.0,
) -> Comparison:
    r"""CFR's bound with a plan's own information sets, the spreads that chance leaves them, and one action fewer.

    At h regret matching is orthogonal to the regrets so far, hence :math:`\|R_T^+\|^2 \le \sum_t \|r_t\|^2 \le T (|A_h| - 1)
    D_h^2`: r_t is values in an interval of length D_h less a mean of them, and its square is convex in the values, thus largest
    when they are at the ends and so is the mean, which at least one of them equals. `cfr/regret-decomposition` adds up the
    information sets along a plan, `cfr/regret-identity` (or `cfr/alternating`) the players. D_h counts payoffs below h with
    chance's probability of h, where the paper has the full range at every h.
    """
    run = _run(game, marks[-1], alternating=alternating, marks=marks)
    scale = sum(regret_scale(tree) for tree in game.players)
    return at_most(run.nash_conv, constant * scale * np.array(marks, dtype=float) ** -power, x=marks)


bound.control("1/T", because="CFR's averages do not approach an equilibrium that fast", power=1.0)
bound.control("four ninths of the constant", because="one choice between two payoffs needs a half of it", constant=4 / 9)


@claim(
    PAPER,
    "plus-bound",
    r"\mathrm{NashConv} \le \frac{2}{T + 1} \sum_i \max_x \sum_{h \in I_i} x(p(h)) \max_a Q_T(h, a)"
    r" \le \frac{2 \sqrt{T}}{T + 1} (B_1 + B_2)",
    kind="deterministic rate",
    source="derived",
    assumes="CFR+: floored regrets Q_T and linear averaging; simultaneous or alternating turns",
)
@over(kuhn.sweep() | leduc.sweep() | RANDOM, alternating=(False, True))
def plus_bound(game: ExtensiveFormGame, *, alternating: bool, floored: bool = True, power: float = 1.0) -> Comparison:
    r"""CFR+ keeps a certificate for its weighted average: the last floored regrets alone.

    :math:`Q_t \ge Q_{t-1} + r_t`, so that :math:`\sum_t t\, r_t \le \sum_t t\,(Q_t - Q_{t-1}) = T Q_T - \sum_{t<T} Q_t \le T
    Q_T`, and the weights sum to T (T + 1)/2. The rest is `cfr/regret-decomposition`, with the weighted regrets, and, as Q_{t-1}
    r_t = 0 too, :math:`\|Q_T\|^2 \le \sum_t \|r_t\|^2` as in `cfr/bound`. Regrets that are not floored say nothing about a
    weighted average.
    """
    run = _run(game, PLUS_MARKS[-1], floored=floored, averaging="linear", alternating=alternating, marks=PLUS_MARKS)
    T = np.array(PLUS_MARKS, dtype=float)
    last = [sum(reached_regret(tree, R[c]) for tree, R in zip(game.players, run.regrets)) for c in range(T.size)]
    scale = sum(regret_scale(tree) for tree in game.players)
    return all_of(
        kept=at_most(run.nash_conv, 2 / (T + 1) ** power * last, slack=1e-12 * game.payoff_range, x=T),
        rate=at_most(2 / (T + 1) * last, 2 * np.sqrt(T) / (T + 1) * scale, x=T),
    )


plus_bound.control("regrets without a floor", because="early ones cancel late ones, which weigh more", floored=False)
plus_bound.control("(T + 1)^1.6", because="the certificate is not that loose", power=1.6)


@claim(
    PAPER,
    "alternating",
    r"\langle x_{t+1} - x_t, A y_t \rangle \ge 0, \quad \mathrm{NashConv}(\bar x, \bar y) \sum_t w_t = R^1_T + R^2_T -"
    r" \sum_t w_t \langle x_{t+1} - x_t, A y_t \rangle",
    kind="identity",
    source="recalled",
    assumes="alternating turns; the averages pair x_{t+1} with y_t; regret matching, floored or not, and any weights",
    note="Burch, Moravcik and Schmid (2019, arXiv 1810.11542). NashConv is below the regrets, not equal to them.",
)
@over(kuhn.sweep() | RANDOM, averaging=("uniform", "linear"), floored=(False, True))
@over(leduc.sweep(), averaging="linear", floored=True)
def alternating_turns(
    game: ExtensiveFormGame, *, averaging: str, floored: bool, gained: float = 1.0, later: bool = False
) -> Comparison:
    r"""With alternating turns every move is an improvement, and the improvements come off the regrets.

    Let R be the regrets at an information set (floored or not), r the next immediate ones and :math:`R' = R + r`, floored where
    R is. As :math:`R^+ \cdot r = 0`, :math:`R^+ \cdot R' \ge \|R^+\|^2`, and therefore :math:`R^+ \cdot d \ge 0` for :math:`d =
    R'^+ - R^+`. An action with :math:`R' > 0` has :math:`r \ge R'^+ - R^+`. So :math:`R'^+ \cdot r \ge R'^+ \cdot d = R^+ \cdot
    d + \|d\|^2 \ge 0`: the new behaviour, which is proportional to R'^+, is no worse at any information set, and by performance
    difference the plan is no worse. If no R' is positive, neither was R, and the behaviour stays uniform.

    Player 1's regrets are those of x_t against y_t, player 2's those of y_t against x_{t+1}; what both have earned adds up to
    minus the improvements.
    """
    T = MARKS[-1]
    run = _run(game, T, floored=floored, averaging=averaging, alternating=True, keep_plays=True)
    X, Y = run.plays
    before = np.vstack([game.row.plan(np.ones(game.row.sequences)), X[:-1]])
    w = _weights(T, averaging)
    values = (game.payoff @ (np.vstack([Y[1:], Y[-1:]]) if later else Y).T).T
    improvements = ((X - before) * values).sum(axis=1)
    regrets = _regrets(game, (before, Y), w)[0] + _regrets(game, (X, Y), w)[1]
    size = max(game.payoff_range, 1.0)
    return all_of(
        identity=equal(run.nash_conv[-1], (regrets - gained * float(w @ improvements)) / w.sum(), tolerance=1e-12, scale=size),
        improvement=at_most(-improvements, 0.0, slack=1e-14 * size),
    )


alternating_turns.control("without the improvements", because="the regrets are more than NashConv", gained=0.0)
alternating_turns.control("improvement against the opponent's next plan", because="he has answered it", later=True)


def _curve(game: ExtensiveFormGame, T: int, **options: Any) -> tuple[tuple[int, ...], Array]:
    """NashConv of a run at 40 numbers of iterations from 20 to T."""
    marks = tuple(np.unique(np.geomspace(20, T, 40).astype(int)).tolist())
    return marks, _run(game, T, marks=marks, **options).nash_conv


@claim(
    PAPER,
    "plus-faster",
    r"\frac{\mathrm{d} \ln \mathrm{NashConv}}{\mathrm{d} \ln T} < -1.2 \text{ for CFR+ on Leduc hold'em}",
    kind="mechanism",
    source="derived",
    assumes="alternating turns, linear averaging, floored regrets",
    note="The exponent is about -1.6; without any one of the three changes, about -1 or worse. On Kuhn's poker it is about -1.",
)
@over(leduc.sweep())
def plus_faster(
    game: ExtensiveFormGame,
    *,
    T: int = by_profile(quick=2000, full=20_000),
    floored: bool = True,
    averaging: str = "linear",
    alternating: bool = True,
) -> Comparison:
    """On Leduc hold'em CFR+ converges faster than 1/T, though no more than 1/sqrt(T) is proved.

    The bound is `cfr/plus-bound`. Floors, linear averaging and alternating turns are needed together: without averaging T
    NashConv tends to a constant (12.7), without turns and without floors the exponents are about -0.9 and -0.5.
    """
    marks, found = _curve(game, T, floored=floored, averaging=averaging, alternating=alternating)
    return slope(marks, found, between=(-2.0, -1.2))


plus_faster.control("uniform averaging", because="the first plans stay in the average", averaging="uniform")
plus_faster.control("no floor", because="regret that has gone far below 0 takes long to come back", floored=False)
plus_faster.control("simultaneous turns", because="each answers the other's old plan", alternating=False)


@claim(
    PAPER,
    "half-power",
    r"-0.6 < \frac{\mathrm{d} \ln \mathrm{NashConv}}{\mathrm{d} \ln T} < -0.5 \text{ for CFR on Kuhn's poker}",
    kind="mechanism",
    source="derived",
    assumes="simultaneous turns, uniform averaging",
    note="With alternating turns the exponent of the same algorithm is about -0.9: turns matter more than floors.",
)
@over(kuhn.sweep())
def half_power(
    game: ExtensiveFormGame,
    *,
    T: int = by_profile(quick=2000, full=20_000),
    alternating: bool = False,
    floored: bool = False,
    averaging: str = "uniform",
) -> Comparison:
    """The exponent 1/2 of CFR's bound is real: on Kuhn's poker CFR with simultaneous turns converges hardly faster.

    The constant is another matter: see `cfr/bound`, which is about twenty times too large there.
    """
    marks, found = _curve(game, T, alternating=alternating, floored=floored, averaging=averaging)
    return slope(marks, found, between=(-0.6, -0.5))


half_power.control("alternating turns", because="they nearly double the exponent", alternating=True)
half_power.control("CFR+", because="it converges like 1/T here", alternating=True, floored=True, averaging="linear")
