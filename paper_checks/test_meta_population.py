r"""Learning Meta Representations for Agents in MARL (MRA; Zhang, Shen, Han, Shen 2021): latent policies for populations of any size.

Notation: symmetric games of n players with two actions; x the probability of action 1, d_n(x) its advantage over action 0 if all play
x, d_n(k) that against k others on it, ex_n(x) the exploitability, x*_n a symmetric equilibrium, span_n the largest less the least
payoff. A set of m latents serves a family of games, of which each is played by its best latent. The paper's theorem (Nash in every
evaluation game if the latent space is large enough and the games are Lipschitz) is known here from its abstract; below is what it
means for these games, with proofs. All expectations are exact binomial sums.
"""

import functools
from fractions import Fraction
from math import comb

import numpy as np
from numpy.typing import NDArray

from games.symmetric_population import (
    SymmetricGame,
    best_latents,
    crowding,
    exploitability,
    exploitability_slope,
    first_come,
    gradient_step,
    greedy_latents,
    population_table,
    random_population,
    served_exploitability,
    shared_road,
    symmetric_equilibria,
)
from theory.claims import Comparison, Paper, Range, all_of, always, at_least, at_most, by_profile, claim, domain, over

Array = NDArray[np.float64]

PAPER = Paper(
    key="meta-population",
    title="Learning Meta Representations for Agents in Multi-Agent Reinforcement Learning",
    authors="Zhang, Shen, Han, Shen",
    year=2021,
    theme="multiagent",
    arxiv="2108.12988",
)
GRID = np.linspace(0.0, 1.0, 201)
# equilibria are found to a few units of 2^-52, double zeros of d to 2^-38
LOCATED = 2.0**-37


def _against_distance(game: SymmetricGame, tried: Array, constant: float) -> Comparison:
    """ex(x) <= constant span |x - x*| for every symmetric equilibrium x* and every x that is tried."""
    if not game.advantages.any():
        return at_most(exploitability(game, tried), 0.0)  # every policy is an equilibrium
    equilibria = symmetric_equilibria(game)
    distance = np.abs(tried - equilibria[:, None])
    bound = constant * game.span
    return at_most(np.broadcast_to(exploitability(game, tried), distance.shape), bound * distance, slack=bound * LOCATED)


@claim(
    PAPER,
    "lipschitz",
    r"\mathrm{ex}_n(x) \le (2n - 1)\, \mathrm{span}_n\, |x - x^\star|",
    kind="inequality",
    source="derived",
    assumes="two actions, every symmetric equilibrium x*",
    note="Sharp is 1/(1 - 2^(-1/(n-1))), two thirds to three fourths of it: `meta-population/lipschitz-sharp`.",
)
@over(first_come.sweep(players=(2, 3, 5, 30)))
@over(crowding.sweep(players=(5, 10, 30)))
@over(random_population.sweep(players=(2, 3, 4, 8), monotone=(False, True), draws=by_profile(quick=10, full=100)))
@over(population_table.sweep(payoff=Range(0.0, 1.0, size=6)), budget=by_profile(quick=60, full=600))
def lipschitz(game: SymmetricGame, *, growing: bool = True, factor: float = 1.0) -> Comparison:
    r"""The exploitability of a policy grows at most linearly with its distance from an equilibrium, and with the population.

    u(a, x) is a mean over n - 1 independent others, so that its slope in x is at most (n - 1) span. With x* one changes
    :math:`\max_a u(a, x)` by at most (n - 1) span |x - x*| and u(x, x), in which one plays x too, by n span |x - x*|.
    """
    constant = 2 * game.players - 1 if growing else 5.0
    return _against_distance(game, GRID, factor * constant)


lipschitz.control("the constant of three players", because="it has to grow with the population", growing=False)
lipschitz.control("0.65 of it", because="two players attain two thirds", factor=0.65)


@claim(
    PAPER,
    "lipschitz-sharp",
    r"\mathrm{ex}_n(x) \le \frac{\mathrm{span}_n}{1 - 2^{-1/(n-1)}}\, |x - x^\star|, \quad \text{attained}",
    kind="inequality",
    source="derived",
    assumes="two actions, every symmetric equilibrium x*",
    note="About (n - 1)/ln 2 + 1/2. Attained where who is alone on action 1 wins, and the others lose: x = 0 against the equilibrium at"
    " 1 - 2^(-1/(n-1)).",
)
@over(first_come.sweep(players=(2, 3, 5, 30, 100)))
@over(crowding.sweep(players=(5, 10, 30)))
@over(random_population.sweep(players=(2, 3, 4, 8), monotone=(False, True), draws=by_profile(quick=10, full=100)))
@over(population_table.sweep(payoff=Range(0.0, 1.0, size=6)), budget=by_profile(quick=60, full=600))
def lipschitz_sharp(game: SymmetricGame, *, factor: float = 1.0, linear: bool = False) -> Comparison:
    r"""The exact constant: exploitability is at most the distance over 1 - 2^(-1/(n-1)).

    Scale the span to 1 and let d(x) > 0, so that ex(x) = (1 - x) d(x); the other sign is the same with the actions exchanged. Write
    p = (1 - q)^{n-1} for the chance that none of n - 1 players is moved by a coin of probability q.

    If x* > x and x* < 1, then d(x*) = 0 (at x* = 1 the claim is ex <= 1 - x). Draw each of the others' actions at x and, with the
    coin q = (x* - x)/(1 - x), replace it by action 1: it is then distributed as at x*. The same channel makes Bernoulli(x) out of 0
    and Bernoulli(x*) out of the coin alone; so, whatever d is, there is an e(k) with values in [-1, 1] whose means over 0 and over
    the coin are d(x) and d(x*). From :math:`0 = \mathbb{E}\, e \ge p\, e(0) - (1 - p)` follows :math:`d(x) = e(0) \le \min(1, (1 - p)/p)`,
    and its ratio to q is largest at p = 1/2, where it is :math:`1/(1 - 2^{-1/(n-1)})`. As :math:`(1 - x)/(x^\star - x) = 1/q`, that is the claim.

    If x* < x, then :math:`d(x^\star) \le 0`; the same with q = (x - x*)/(1 - x*) and the means exchanged gives
    :math:`d(x) \le 1 - p \le (n - 1) q`, and :math:`(1 - x) (n - 1) q \le (n - 1) (x - x^\star)`, which is less.
    """
    constant = (game.players - 1) / np.log(2) if linear else exploitability_slope(game.players)
    return _against_distance(game, GRID, factor * constant)


lipschitz_sharp.control("(n - 1)/ln 2", because="a half is missing", linear=True)
lipschitz_sharp.control("one per cent less", because="the first come, first served game attains it", factor=0.99)


@functools.lru_cache(maxsize=16)
def _family(name: str, populations: tuple[int, ...]) -> tuple[tuple[SymmetricGame, ...], tuple[Array, ...]]:
    """The games of these populations, and their symmetric equilibria."""
    games = {"crowding": crowding, "first come": first_come, "shared": shared_road}
    if name == "random":
        chosen = tuple(random_population(players=n, monotone=True, seed=n) for n in populations)
    else:
        chosen = tuple(games[name](players=n) for n in populations)
    return chosen, tuple(symmetric_equilibria(game) for game in chosen)


@claim(
    PAPER,
    "covering",
    r"\max_{n \le n_{max}} \min_j \mathrm{ex}_n(x_j) \le \frac{\mathrm{span}\, \delta}{1 - 2^{-1/(n_{max} - 1)}}, \quad"
    r" \delta = \max_n \min_j |x_j - x^\star_n|; \qquad"
    r" m = \Bigl\lceil \frac{(2 n_{max} - 1)\, \mathrm{span}}{2 \epsilon} \Bigr\rceil \text{ latents suffice for } \epsilon",
    kind="inequality",
    source="derived",
    assumes="any populations of up to n_max; latents at the centres of m equal cells of [0, 1], or the latent 0 for one population alone",
    note="Far too many: for the crowding games up to n = 30 the bound asks for 5,900 latents for 0.01, and 16 suffice, as large"
    " populations have their equilibria close together.",
)
@over(name=("crowding", "first come", "shared", "random"), most=(5, 30), latents=(1, 4, 16, 64, 1024), alone=False)
@over(name=("crowding", "first come"), most=(5, 30), latents=1, alone=True)
def covering(*, name: str, most: int, latents: int, alone: bool, factor: float = 1.0, growing: bool = True) -> Comparison:
    r"""Latents that come near every equilibrium leave little to exploit in any population; so finitely many serve all.

    `meta-population/lipschitz-sharp` for each game and its nearest latent; its constant increases with n. With m equal cells
    :math:`\delta \le 1/(2m)`. A single latent attains it: 0, in the first-come game of a single population.
    """
    games, equilibria = _family(name, (most,) if alone else tuple(range(3, most + 1)))
    policies = np.array([0.0]) if alone else (np.arange(latents) + 0.5) / latents
    delta = max(float(np.abs(policies[:, None] - e).min()) for e in equilibria)
    span = max(game.span for game in games)
    constant = exploitability_slope(most if growing else 3)
    worst = float(served_exploitability(games, policies).max())
    parts = [at_most(worst, factor * constant * span * delta, slack=constant * span * LOCATED)]
    if not alone:
        parts.append(at_most(worst, (2 * most - 1) * span / (2 * latents)))
    return all_of(*parts)


covering.control("one per cent less", because="in first come, first served games the latent 0 attains it", factor=0.99)
covering.control("the constant of three players", because="the largest population counts", growing=False)

CROWDED = tuple(range(3, 31))
CANDIDATES = np.unique(np.concatenate([np.linspace(0.0, 1.0, 201), np.geomspace(0.02, 0.6, 400)]))


@claim(
    PAPER,
    "few-latents",
    r"\varepsilon_m = \min_{|X| = m} \max_{3 \le n \le 30} \min_{x \in X} \mathrm{ex}_n(x) \text{ falls with } m,"
    r" \qquad \varepsilon_{16} < 0.01",
    kind="mechanism",
    source="derived",
    assumes="crowding games; the best sets of 1, 2, 4, 8, 16 latents among 600 candidates; a greedy traversal of the same",
    note="0.255, 0.122, 0.051, 0.0152, 0.0033, 0.0005 for m = 1, 2, 4, 8, 16, 28. A greedy farthest-first choice leaves two to three"
    " times as much: 0.254, 0.125, 0.045, 0.0099 for m = 2, 4, 8, 16.",
)
def few_latents(*, enough: int = 16, evenly: bool = False) -> Comparison:
    """The exploitability that m latents must leave falls quickly with m, and sixteen of them serve populations of 3 to 30.

    Among the candidates the best sets are found exactly: each game accepts an interval of them, and the fewest points that hit all
    intervals are known. Greedy sets never get worse as they grow, and are no better than the best.
    """
    games, _ = _family("crowding", CROWDED)
    sizes = np.array([1, 2, 4, 8, 16])
    best = np.array([best_latents(games, int(m), CANDIDATES).worst for m in sizes])
    found = np.array([latents.worst for latents in greedy_latents(games, 16, CANDIDATES)])
    claimed = best[sizes == enough]
    if evenly:
        claimed = served_exploitability(games, np.linspace(0.0, 0.5, 16)).max()
    return all_of(
        falls=always(np.diff(best) < 0),
        greedy_does_not_rise=always(np.diff(found) <= 0),
        greedy_is_no_better=at_most(best, found[sizes - 1]),
        few=at_most(claimed, 0.01),
    )


few_latents.control("eight latents", because="the best eight leave 0.015", enough=8)
few_latents.control("sixteen spread evenly", because="large populations have their equilibria close to 0", evenly=True)


def _exact_exploitability(game: SymmetricGame, x: Fraction) -> Fraction:
    """ex(x) in rational numbers, for payoffs that are exact in float64."""
    d = [Fraction(float(v)) for v in game.advantages]
    m = game.players - 1
    mean = sum((comb(m, k) * x**k * (1 - x) ** (m - k) * v for k, v in enumerate(d)), Fraction(0))
    return max((1 - x) * mean, -x * mean)


@claim(
    PAPER,
    "unimodal-fails",
    r"\#\{n : \min_j \mathrm{ex}_n(x_j) = 0\} \le m, \qquad \min_x \max_n \mathrm{ex}_n(x) \ge 0.25",
    kind="separation",
    source="derived",
    assumes="crowding games for 3 to 30 players, whose only symmetric equilibria differ; any m latents; any single one",
    note="The least worst exploitability of a single policy is 0.2546 to four digits; populations of 3 to 9 would leave 0.161.",
)
@over(name="crowding", most=30)
def unimodal_fails(*, name: str, most: int, bound: float = 0.25) -> Comparison:
    r"""One policy cannot serve all populations, and m policies are unexploitable in at most m of these games.

    d_n(k) does not increase with k, so that d_n(x) decreases strictly, from 1/2: the one equilibrium is its zero, and no two games
    share it. Left of it ex(x) = (1 - x) d(x) falls, right of it ex(x) = -x d(x) rises. For any c between the zeros of the smallest
    and the largest population, whoever plays x <= c is at least as exploitable as c among few, who plays x >= c as c among many; so
    the smaller of the two is a lower bound for all x. It is evaluated in rational numbers.
    """
    games, zeros = _family(name, tuple(range(3, most + 1)))
    single = always([z.size == 1 and 0 < z[0] < 1 for z in zeros], "a single equilibrium")
    falling = always([(np.diff(game.advantages) <= 0).all() for game in games])
    x = np.array([z[0] for z in zeros])
    table = np.array([exploitability(game, x) for game in games])
    unexploitable = np.count_nonzero(table <= LOCATED * games[-1].players, axis=0)
    low, high = float(x.min()), float(x.max())
    for _ in range(40):  # to where the two are equal
        middle = (low + high) / 2
        left, right = (float(exploitability(game, middle)) for game in (games[0], games[-1]))
        low, high = (middle, high) if left > right else (low, middle)
    c = Fraction(low).limit_denominator(10**6)
    certain = min(_exact_exploitability(game, c) for game in (games[0], games[-1]))
    return all_of(
        single=single,
        falling=falling,
        one_each=at_most(unexploitable, 1),
        worst=at_least(float(certain), bound),
    )


unimodal_fails.control(
    "games that share their equilibrium",
    because="payoffs that depend on the share of the others have the same equilibrium for all n",
    on=domain(name="shared", most=30),
)
unimodal_fails.control("0.26", because="one policy leaves 0.255", bound=0.26)
unimodal_fails.control(
    "populations of 3 to 9", because="their equilibria are less far apart", on=domain(name="crowding", most=9)
)


@claim(
    PAPER,
    "adaptation",
    r"x' = x + \eta\, d_n(x),\; \eta \le \frac{1}{(n - 1) \Delta} \implies \mathrm{ex}_n(x') < \mathrm{ex}_n(x) \text{ or both are } 0,"
    r" \qquad \Delta = \max_k \bigl(d_n(k) - d_n(k + 1)\bigr)",
    kind="inequality",
    source="derived",
    assumes="d_n(k) does not increase with k; one step, from any policy; in the crowding games Delta = 1/2",
    note="From the latents 0.04, 0.09, 0.2, 0.45 steps of 0.005 and 0.02 improve all 28 crowding games; 0.1, above the bound of 0.069,"
    " improves 24 and 0.5 improves 9.",
)
@over(crowding.sweep(players=(3, 5, 10, 20, 30)), start=0.0, step=1.0)
@over(first_come.sweep(players=(2, 3, 10)), start=0.0, step=1.0)
@over(random_population.sweep(players=(2, 3, 6, 12), monotone=True, draws=by_profile(quick=5, full=50)), start=0.0, step=1.0)
@over(
    crowding.sweep(players=(3, 30)),
    start=Range(0.0, 1.0),
    step=Range(0.01, 1.0),
    budget=by_profile(quick=30, full=300),
)
def adaptation(
    game: SymmetricGame, *, start: float, step: float, factor: float = 1.0, absolute: float | None = None
) -> Comparison:
    r"""A small gradient step from a latent policy brings the population nearer to its own equilibrium, and never hurts.

    d'(x) is n - 1 times a mean of d(k + 1) - d(k), so that :math:`-(n-1) \Delta \le d' \le 0`. If d(x) > 0 the step goes up, by at
    most the distance to the zero x* of d (or to 1): d is at most :math:`(n-1) \Delta (x^\star - x)`. There 1 - x and d are both smaller. If
    d(x) < 0 likewise. So a step of size :math:`1/((n_{max} - 1) \Delta)` improves every population that is not at rest.
    """
    eta = factor * step / ((game.players - 1) * float(-np.diff(game.advantages).min()))
    tried = np.append(GRID, [start, 0.04, 0.09, 0.2, 0.45])
    before = exploitability(game, tried)
    after = exploitability(game, gradient_step(game, tried, absolute or eta))
    # a policy within the rounding of an equilibrium has nothing left to gain
    at_rest = before <= LOCATED * game.span
    return all_of(strictly=always((after < before) | at_rest), less=at_most(after, before, slack=LOCATED * game.span))


adaptation.control("a step of 0.5", because="large populations overshoot: their advantage is steep", absolute=0.5)
adaptation.control("a step of 0.1", because="30 players need one below 0.069", absolute=0.1)
adaptation.control("twice the step", because="a steep stretch of d is overshot, to where it is worse", factor=2.0)
