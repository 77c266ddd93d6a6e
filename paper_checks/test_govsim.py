r"""Cooperate or Collapse (GovSim; Piatti et al. 2024): what restraint yields in a commons, and what holds it together.

Notation: N harvesters, stock h, capacity C, growth factor rho, floor F. What is left of the stock in a month is multiplied by rho, up
to C; below F it has collapsed. s = 1 - 1/rho is the share that grows back, f = s C / N what each may take for ever from a full
stock. GovSim has N = 5, C = 100, rho = 2, F = 5, so that f = 10, and T = 12 months. Demands that exceed the stock are rationed in
proportion. Everything is computed in rational numbers.
"""

from fractions import Fraction

import numpy as np

from games.commons import (
    Commons,
    deviation_gain,
    fixed_amounts,
    grim_trigger_threshold,
    max_yield,
    share_of_stock,
    simulate,
    symmetric_play,
)
from theory.claims import Comparison, Paper, Range, all_of, always, at_most, by_profile, claim, domain, equal, over

PAPER = Paper(
    key="govsim",
    title="Cooperate or Collapse: Emergence of Sustainable Cooperation in a Society of LLM Agents",
    authors="Piatti, Jin, Kleiman-Weiner, Schoelkopf, Sachan, Mihalcea",
    year=2024,
    theme="multiagent",
    arxiv="2404.16698",
)
MONTHS = 12


@claim(
    PAPER,
    "max-yield",
    r"\max \text{ total of } T \text{ months} = C + (T - 1)\, s\, C; \qquad \text{in GovSim } 50 (T - 1) + 100 > T N f",
    kind="identity",
    source="derived",
    assumes="start at C; rho divides C",
    note="GovSim's efficiency is measured against T N f = 600, which forgets that the last month needs no restraint: 650 can be taken.",
)
@over(capacity=(12, 60, 100), growth=2, floor=(0, 5), months=(1, 2, 3, MONTHS))
@over(capacity=(12, 120), growth=(3, 4), floor=5, months=(1, 2, MONTHS))
def max_yield_identity(
    *, capacity: int, growth: int, floor: int, months: int, last_grab: bool = True, grown: bool = False
) -> Comparison:
    r"""Restraint for all months but the last, and then everything, is the best that can be done together.

    What is left grows by at most s C a month: from y to :math:`\rho y`, by :math:`(\rho - 1) y \le s C` if :math:`y \le C/\rho`, or to C, by
    :math:`C - y \le s C`. All that is taken in T months was there or has grown in the T - 1 months between. Dynamic programming over
    the stock in whole units finds the same.
    """
    commons = Commons(5, capacity, growth, floor)
    monthly = 1 / Fraction(growth) if grown else commons.yield_share
    total = (months - 1) * monthly * capacity + (capacity if last_grab else commons.yield_share * capacity)
    return equal(max_yield(commons, months)[-1], float(total), tolerance=1e-12)


max_yield_identity.control("T N f", because="the last month needs no restraint", last_grab=False)
max_yield_identity.control("C / rho grows back", because="with rho = 3 two thirds grow back, not one", grown=True)


@claim(
    PAPER,
    "one-shot-collapse",
    r"\text{the only symmetric subgame-perfect play demands } x_i = h \text{ at every } h, \quad V_t(h) = h/N;"
    r" \qquad \frac{T f}{C/N} = s\, T",
    kind="identity",
    source="derived",
    assumes="pure strategies; demands 0, 1, ..., h; N > rho; every stock h >= F that can occur, and every number of months to go",
    note="At T = 12 restraint would give each 120, equilibrium play gives 20: a price of 6, and of 6.5 against the maximal yield.",
)
@over(harvesters=(3, 5, 8), growth=2)
@over(harvesters=5, growth=(3, 4))
def one_shot_collapse(
    *, harvesters: int, growth: int, per_head: int | None = None, months: int = by_profile(quick=4, full=12)
) -> Comparison:
    r"""With an end in sight nobody restrains itself: the finite game's symmetric equilibrium empties the stock in the first month.

    Where everybody demands everything, more than h is demanded whatever one does; a smaller demand is only a smaller share. It is
    the only one: by induction a unit of stock is worth :math:`\rho/N < 1` to each a month later, so that wherever less than h is
    demanded in all, one unit more pays; and where demands are rationed, a larger demand gets a larger share. Backward
    induction over all whole stocks, demands and deviations.
    """
    commons = Commons(harvesters, 100, growth, 5)
    play = symmetric_play(commons, months)
    h = np.arange(5, 101)
    worth = h / (per_head or harvesters)
    full = Fraction(100, harvesters)
    ratio = MONTHS * commons.sustainable_share / full
    return all_of(
        demand=always(play.demand[:, 5:] == h),
        only_one=always(play.equilibria[:, 5:] == 1),
        value=equal(play.value[:, 5:], np.broadcast_to(worth, (months, h.size))),
        price=equal(float(ratio), MONTHS * float(commons.yield_share)),
    )


one_shot_collapse.control("a single owner", because="who owns all the stock saves it", on=domain(harvesters=1, growth=2))
one_shot_collapse.control(
    "two harvesters", because="a unit left is then worth one a month later: there are ties", on=domain(harvesters=2, growth=2)
)
one_shot_collapse.control("a fourth of the stock each", because="the stock is shared by as many as there are", per_head=4)

SIZES = ((2, 2), (3, 2), (5, 2), (8, 2), (50, 2), (5, 3), (5, Fraction(3, 2)))


@claim(
    PAPER,
    "grim-trigger",
    r"\text{sustainable play is an equilibrium} \iff \delta \ge \frac{N}{N + \rho - 1}; \qquad \rho = 2:"
    r" \; \tfrac{2}{3}, \tfrac{3}{4}, \tfrac{5}{6}, \tfrac{8}{9} \text{ for } N = 2, 3, 5, 8",
    kind="separation",
    source="derived",
    assumes="continuous amounts, no last month; after a deviation everybody demands everything; a deviator gets at most what the others"
    " leave; N >= rho",
    note="If a deviator may outbid the others, more patience is needed: `govsim/grim-trigger-rationed`.",
)
@over(case=tuple(range(len(SIZES))))
def grim_trigger(*, case: int, of_harvesters: bool = False, lowered: float = 0.0) -> Comparison:
    r"""Larger societies need more patience: the threshold of the discount tends to 1 like 1 - 1/N.

    A deviator who takes x more than f leaves :math:`\rho x` less for the next month, of which it would get one in N. As
    :math:`\delta \rho / N \le 1` it takes all that is left, :math:`C - (N-1) f`, and nothing comes after. Restraint is better if
    :math:`f/(1 - \delta) \ge C - (N - 1) f`, and :math:`C/f = N \rho / (\rho - 1)`. Checked with 121 deviations in rational numbers:
    none gains at the threshold, one gains a millionth below.
    """
    N, growth = SIZES[case]
    commons = Commons(N, 100, growth, 5)
    threshold = grim_trigger_threshold(commons)
    if of_harvesters:
        threshold = 1 - Fraction(1, N)
    threshold -= Fraction(lowered)
    most = 100 - (N - 1) * commons.sustainable_share
    return _deters(commons, threshold, most)


def _deters(commons: Commons, threshold: Fraction, most: Fraction) -> Comparison:
    """Whether deviations of up to ``most`` gain nothing at the threshold, and one gains something a millionth below."""
    demands = [most * k / 120 for k in range(121)]
    at, below = (
        max(deviation_gain(commons, discount, demand) for demand in demands)
        for discount in (threshold, threshold - Fraction(1, 10**6))
    )
    return all_of(enough=always(at <= 0, "at the threshold"), needed=always(below > 0, "a millionth below"))


grim_trigger.control("1 - 1/N", because="with rho = 2 it is 1 - 1/(N + 1)", of_harvesters=True)
grim_trigger.control("a thousandth less", because="the best deviation then pays", lowered=1e-3)
grim_trigger.control("a thousandth more", because="less would do", lowered=-1e-3)


@claim(
    PAPER,
    "grim-trigger-rationed",
    r"\text{sustainable play is an equilibrium} \iff 1 - \delta \le \frac{s}{N} \Bigl(1 + \frac{N - 1}{N} s\Bigr); \qquad \rho = 2, N = 5:"
    r" \; \delta \ge 0.86 \text{ instead of } \tfrac{5}{6}",
    kind="separation",
    source="derived",
    assumes="as in `govsim/grim-trigger`, but a deviator may demand up to the entire stock, and all are rationed in proportion",
    note="The rationing rule of the commons itself: who demands most gets most, even of what the others had restrained themselves to.",
)
@over(case=tuple(range(len(SIZES))))
def grim_trigger_rationed(*, case: int, outbidding: bool = True, lowered: float = 0.0) -> Comparison:
    r"""Proportional rationing rewards the greedy demand, so that restraint needs more patience than what is left over suggests.

    Demanding d while the others demand f gives :math:`d\, C/(d + (N-1) f)` once that exceeds the stock, which increases in d. At
    d = C it is :math:`C/(1 + (N-1) s/N) > C - (N - 1) f`.
    """
    N, growth = SIZES[case]
    commons = Commons(N, 100, growth, 5)
    threshold = grim_trigger_threshold(commons, outbidding=outbidding) - Fraction(lowered)
    return _deters(commons, threshold, Fraction(100))


grim_trigger_rationed.control("N / (N + rho - 1)", because="that deviator took only what the others left", outbidding=False)
grim_trigger_rationed.control("a thousandth less", because="the greedy demand then pays", lowered=1e-3)


@claim(
    PAPER,
    "overuse-lifetime",
    r"m = \Bigl\lfloor \frac{\ln (F/C)}{\ln (\rho - c (\rho - 1))} \Bigr\rfloor + 1 \text{ if all take } c \text{ times the share of the"
    r" stock}; \qquad m = \Bigl\lfloor \log_\rho \Bigl(1 + \frac{(C - F)(\rho - 1)}{\rho \Delta}\Bigr) \Bigr\rfloor + 1"
    r" \text{ if } N f + \Delta \text{ is taken every month}",
    kind="deterministic rate",
    source="derived",
    assumes=r"1 < c < \rho/(\rho - 1); \Delta > 0; m counts the month of the collapse",
    note="A fixed excess is doubled every month, so that the lifetime is only logarithmic in 1/excess: 10 months for a thousandth (10.01"
    " each), 4 for a tenth. The ceiling in place of floor + 1 is wrong where the stock passes exactly through the floor.",
)
@over(overuse=(1.05, 1.2, 1.5, 1.9), excess=(0.05, 5.0), capacity=100, growth=2)
@over(overuse=1.5, excess=0.25, capacity=80, growth=2)
@over(overuse=1.2, excess=0.5, capacity=120, growth=3)
@over(
    overuse=Range(1.01, 1.99), excess=Range(1e-6, 40.0, log=True), capacity=100, growth=2, budget=by_profile(quick=40, full=400)
)
def overuse_lifetime(
    *, overuse: float, excess: float, capacity: int, growth: int, ceiling: bool = False, doubled: bool = True
) -> Comparison:
    r"""Taking a fixed multiple of one's share of the stock wears it down geometrically, a fixed amount too much ever faster.

    With the share the stock is multiplied by :math:`\rho (1 - c s) = \rho - c (\rho - 1) < 1` every month. With a fixed total
    :math:`N f + \Delta` the distance d = C - h becomes :math:`\rho (d + \Delta)`, so that it is
    :math:`\rho \Delta (\rho^t - 1)/(\rho - 1)` after t months. Without excess the stock stays full for ever.
    """
    commons = Commons(5, capacity, growth, 5)
    f = commons.sustainable_share
    lasting = growth - overuse * (growth - 1)
    exponents = (
        np.log(5 / capacity) / np.log(lasting),
        np.log1p((capacity - 5) * (growth - 1) / (growth * excess)) / np.log(growth)
        if doubled
        else (capacity - 5) / (growth * excess),
    )
    months = [int(np.ceil(x)) if ceiling else int(np.floor(x)) + 1 for x in exponents]
    rules = (
        share_of_stock(commons, [Fraction(overuse)] * 5),
        fixed_amounts([f + Fraction(excess) / 5] * 5),
    )
    lives = [simulate(commons, rule, 2000).survived for rule in rules]
    forever = simulate(commons, fixed_amounts([f] * 5), 60)
    return all_of(
        lifetime=always(np.array(lives) == np.array(months)),
        sustained=always(forever.survived == 60 and set(forever.stocks) == {capacity}),
    )


overuse_lifetime.control("the ceiling", because="80, 40, 20, 10, 5: a stock at the floor has not collapsed yet", ceiling=True)
overuse_lifetime.control("the excess adds up", because="what is missing cannot grow, so that the gap doubles", doubled=False)


@claim(
    PAPER,
    "universalisation",
    r"\arg\max_{x \in \mathbb{Z}} \text{total}(x, \dots, x) = f = \arg\max_x R_1(x, f, \dots, f); \qquad \text{best responses: } m = 1, \text{ efficiency } \tfrac{1}{6};"
    r" \qquad \text{one doubles its share: } \text{total } 300 (1 - 0.8^{12}), \text{ equality } \tfrac{13}{15}",
    kind="mechanism",
    source="derived",
    assumes="GovSim's numbers, whole demands (fish), 12 months; efficiency against T N f = 600",
    note="Over real demands the best is not f but a little more: `govsim/best-constant-demand`.",
)
def universalisation(*, asked_months: int = MONTHS, rule: str = "proportional") -> Comparison:
    r"""Asking "what if everybody took x" finds the sustainable share; best responses empty the stock, and one defector halves the total.

    So does asking what one would get oneself by the same demand in every month, if the others take f: excess comes home within a
    few months. The defector by shares of the stock takes two of six parts of 6/5 of what grows back, so that the stock falls to
    0.8 of itself every month and the total is :math:`60 \sum_{t < 12} 0.8^t`.
    """
    commons = Commons()
    f = commons.sustainable_share
    asked = [simulate(commons, fixed_amounts([x] * 5), asked_months) for x in range(101)]
    alone = [simulate(commons, fixed_amounts([x, f, f, f, f]), asked_months) for x in range(101)]
    best = simulate(commons, fixed_amounts([f] * 5), MONTHS)
    greedy = simulate(commons, lambda stock: [stock] * 5, MONTHS)
    uneven = fixed_amounts([2 * f] + [f] * 4) if rule == "fixed" else share_of_stock(commons, [2, 1, 1, 1, 1])
    defected = simulate(commons, uneven, MONTHS)
    return all_of(
        everybody=equal(float(np.argmax([float(m.total) for m in asked])), float(f)),
        alone=equal(float(np.argmax([float(m.by_harvester[0]) for m in alone])), float(f)),
        restraint=equal([float(best.total), best.survived, float(best.equality)], [600, MONTHS, 1]),
        greed=equal([float(greedy.total), greedy.survived, float(greedy.efficiency(600))], [100, 1, 1 / 6]),
        defection=equal(
            [float(defected.total), float(defected.efficiency(600)), float(defected.equality), defected.survived],
            [300 * (1 - 0.8**12), 0.5 * (1 - 0.8**12), 13 / 15, MONTHS],
        ),
    )


universalisation.control("asked about one month", because="in a single month more is more", asked_months=1)
universalisation.control("fixed amounts", because="a fixed excess of 10 a month empties the stock in four months", rule="fixed")


@claim(
    PAPER,
    "best-constant-demand",
    r"\arg\max_{x \ge 0} \text{total}(x, \dots, x) = \frac{\rho^T}{\rho^T - 1}\, f, \qquad \text{total} = \frac{\rho^T}{\rho^T - 1}\, T N f",
    kind="identity",
    source="derived",
    assumes="the same real amount every month, T months; F at most N f",
    note="For T = 12 in GovSim 10.0024 each, 600.15 in all: the excess grows for T months and is just what the last month can bear.",
)
@over(growth=(2, 3), months=(1, 2, 5, MONTHS))
def best_constant_demand(
    *, growth: int, months: int, sustainable: bool = False, factor: float = 1.0, points: int = by_profile(quick=20, full=200)
) -> Comparison:
    r"""Over a finite horizon the best constant demand exceeds the sustainable share by a fraction of 1/(rho^T - 1).

    With the total :math:`X = N f + \Delta` the stock before month T is :math:`C - \rho \Delta (\rho^{T-1} - 1)/(\rho - 1)`
    (`govsim/overuse-lifetime`), and it bears X if :math:`\Delta \le N f/(\rho^T - 1)`; until then the total T X increases. With more
    every stock is lower, less grows in each month, and no more can be taken than was there and has grown.
    """
    commons = Commons(5, 120, growth, 5)
    f = commons.sustainable_share
    best = f if sustainable else f * Fraction(growth**months, growth**months - 1)
    best *= Fraction(factor)

    def total(x: Fraction) -> Fraction:
        return Fraction(simulate(commons, fixed_amounts([x] * 5), months).total)

    near = [best * (1 + Fraction(k, 10 * points)) for k in range(-points, points + 1)]
    others = [total(x) for x in (*near, f, best + Fraction(1, 10**9), best - Fraction(1, 10**9), 2 * f, Fraction(120))]
    return all_of(
        best=at_most([float(o) for o in others], float(total(best))),
        exact=always([o <= total(best) for o in others]),
        value=equal(float(total(best)), float(5 * months * best)),
    )


best_constant_demand.control("the sustainable share", because="the last month bears a little more", sustainable=True)
best_constant_demand.control("a millionth more", because="the last month does not bear it", factor=1 + 1e-6)
