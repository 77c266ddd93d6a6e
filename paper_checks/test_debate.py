r"""Reward Design for Justifiable Sequential Decision-Making (Sukovic, Radanovic 2024): evidence debates before a judge.

Notation: n items of evidence, of which L are disclosed in turn, A first; w(S) is the judge's score of the set S, which A maximises
and B minimises; v_L(S) is the value of a debate in which S has been disclosed so far. An additive judge adds up weights w_i, an
interacting one also a term for every pair. The paper is known here from its abstract; what is checked is proved in the docstrings.
"""

from fractions import Fraction

import numpy as np

from games.debate import (
    Judge,
    JustifiableMDP,
    additive_judge,
    debate_value,
    debate_values,
    debated,
    interacting_judge,
    interacting_scores,
    maximin_evidence,
    myopic_value,
    soon_or_later,
    trade_off,
)
from theory.claims import (
    Comparison,
    Paper,
    Range,
    all_of,
    always,
    at_least,
    at_most,
    by_profile,
    claim,
    domain,
    equal,
    less_on_average,
    over,
    violation_rate,
)

PAPER = Paper(
    key="debate",
    title="Reward Design for Justifiable Sequential Decision-Making",
    authors="Sukovic, Radanovic",
    year=2024,
    theme="multiagent",
    arxiv="2402.15826",
)


def _judges(runs: int, items: int, seed: int, *, mean: float, interaction: float) -> Judge:
    """``runs`` judges at once: weights normal with that mean and deviation 1, interactions normal with deviation ``interaction``."""
    rng = np.random.default_rng(seed)
    weights = mean + rng.standard_normal((runs, items))
    return Judge(interacting_scores(weights, interaction * rng.standard_normal((runs, items, items))))


@claim(
    PAPER,
    "additive-solution",
    r"v_L(S) = w\Bigl(S \cup \bigl\{\text{the } \lceil \tfrac{L - |S|}{2} \rceil \text{ best and the }"
    r" \lfloor \tfrac{L - |S|}{2} \rfloor \text{ worst items left, for the side to move}\bigr\}\Bigr),"
    r" \quad \text{attained by greedy disclosure}",
    kind="identity",
    source="derived",
    assumes=r"w(S) = f(\sum_{i \in S} w_i) with f increasing; every length L <= n, odd ones too",
)
@over(
    additive_judge.sweep(
        weights=[
            (1.0, -1.0),
            (0.0, 0.0, 0.0),
            (2.0, 1.0, -3.0),
            (1.0, 1.0, 1.0, -1.0, -1.0),
            (1.5, 1.0, 0.5, -0.25, -2.0, -2.5),
        ],
        link=("identity", "tanh"),
    )
)
@over(interacting_judge.sweep(items=(5, 6), interaction=0.0, draws=by_profile(quick=12, full=120)))
@over(interacting_judge.sweep(items=8, interaction=0.0, draws=by_profile(quick=2, full=20)))
def additive_solution(judge: Judge, *, seed: int, opener: int = 0, interaction: float = 0.0) -> Comparison:
    r"""Before an additive judge both sides do best to disclose their strongest item, which gives the value in closed form.

    If A discloses the largest item left whenever it is A's turn, then after its k-th turn the k largest items are disclosed,
    whoever disclosed them. The final set so holds the :math:`\lceil L/2 \rceil` largest, and its other
    :math:`\lfloor L/2 \rfloor` items are worth no less than as many smallest. By the same argument for B, who discloses the
    smallest, the sum is no more. A position is such a debate about the items left, so that greedy play is optimal from everywhere.
    An increasing f changes no comparison; tanh turns a sum of log-odds into a judge's confidence.
    """
    n = judge.items
    ascending = np.argsort(judge.score[1 << np.arange(n)])
    pairs = interaction * np.random.default_rng(seed).standard_normal((n, n))
    disturbed = Judge(judge.score + interacting_scores(np.zeros(n), pairs)) if interaction else judge
    solved, greedy, predicted = [], [], []
    for length in range(1, n + 1):
        values = debate_values(disturbed, length)
        positions = np.flatnonzero(np.isfinite(values))
        for position in positions.tolist():
            known = position.bit_count()
            left = [int(1 << i) for i in ascending if not position >> int(i) & 1]
            turns = length - known
            largest = (turns + (known + opener + 1) % 2) // 2  # A's turns
            predicted.append(judge.score[position + sum(left[: turns - largest]) + sum(left[len(left) - largest :])])
        solved.append(values[positions])
        greedy.append((float(myopic_value(disturbed, length)), values[0]))
    attained, optimal = np.array(greedy).T
    return all_of(value=equal(np.concatenate(solved), predicted, scale=1.0), greedy=equal(attained, optimal, scale=1.0))


additive_solution.control("interactions of a tenth", because="items that corroborate each other are no sum", interaction=0.1)
additive_solution.control("B opens", because="in a debate of odd length who opens has a turn more", opener=1)


@claim(
    PAPER,
    "refutation-resilience",
    r"0 \le \max_E \min_R w(E \cup R) - \min_R w(E_0 \cup R) \le w(E_0) - \min_R w(E_0 \cup R),"
    r" \quad E_0 \in \arg\max_E w(E); \qquad \Pr[\text{no gain}] \le \tfrac{1}{2} \text{ before interacting judges}",
    kind="separation",
    source="derived",
    assumes="A commits to two items, then B adds two others; for the upper bound at most two. Probability: six items, weights and "
    "interactions standard normal",
)
@over(items=6, interaction=1.0)
@over(items=8, interaction=1.0)
def refutation_resilience(
    *,
    items: int,
    interaction: float,
    seed: int,
    replies: int = 2,
    share: float = 1.0,
    runs: int = by_profile(quick=10_000, full=50_000),
) -> Comparison:
    r"""Evidence chosen against the best reply is never worse than evidence chosen in isolation, and mostly better.

    The first inequality is the definition of a maximum. For the second let B pass: then
    :math:`\min_R w(E \cup R) \le w(E) \le w(E_0)` for every E, so that foresight gains at most what B's reply takes from the set
    that looked best. It gains something in six draws of ten with interactions as large as the weights, in one of seven with
    interactions of a tenth, and never before an additive judge if n >= 4: B's reply to the two best items is the two worst, and
    B can force those in any case.
    """
    judge = _judges(runs, items, seed, mean=0.0, interaction=interaction)
    free = maximin_evidence(judge, 2, replies, may_pass=True)
    forced = maximin_evidence(judge, 2, replies)
    in_isolation = np.take_along_axis(judge.score, free.isolated[:, None], axis=1)[:, 0]
    gain = forced.value - forced.isolated_value
    return all_of(
        never_worse=at_least(forced.value, forced.isolated_value),
        at_most_the_refutation=at_most(
            free.value - free.isolated_value, share * (in_isolation - free.isolated_value), slack=1e-12
        ),
        mostly_better=violation_rate(gain <= 1e-12, 0.5),  # beyond the rounding of sums of ten numbers
    )


refutation_resilience.control("no reply", because="without a reply what is chosen in isolation is the best", replies=0)
refutation_resilience.control(
    "an additive judge",
    because="there the two best items are also the most resilient",
    on=domain(items=6, interaction=0.0),
)
refutation_resilience.control(
    "95% of the refutation", because="where B's best reply to the best other set is to pass, foresight saves all", share=0.95
)


@claim(
    PAPER,
    "agreement",
    r"\Pr[\mathrm{sgn}\, v_L = \mathrm{sgn}\, w([n])]: \quad L = 2 \;<\; L = 4 \;<\; L = n = 6: 1; \qquad"
    r" L \text{ items at random agree less often}",
    kind="mechanism",
    source="derived",
    assumes="six items, even lengths; weights N(m, 1) with m = 0 or 0.4, interactions N(0, d^2) with d = 0 or 0.5",
    tests=4,
    note="The length has to be even. With one turn more than B, A wins debates that it should lose: at m = 0 the agreement falls from"
    " 0.83 to 0.80 as a third item is disclosed, and is 0.51 with a single one.",
)
@over(mean=(0.0, 0.4), interaction=(0.0, 0.5))
def agreement(
    *,
    mean: float,
    interaction: float,
    seed: int,
    lengths: tuple[int, int] = (2, 4),
    debated_best: bool = True,
    runs: int = by_profile(quick=20_000, full=60_000),
) -> Comparison:
    r"""The longer a debate, the more often its outcome is the verdict on all the evidence; far more often than random evidence.

    That the two agree if everything is disclosed is an identity. The rest is measured: with m = 0.4 and an additive judge a debate
    of two items agrees with probability 0.88, one of four with 0.95, against 0.76 and 0.86 for as many items drawn at random.
    """
    judge = _judges(runs, 6, seed, mean=mean, interaction=interaction)
    verdict = np.sign(judge.verdict)
    order = np.random.default_rng([seed, 1]).permuted(np.tile(1 << np.arange(6), (runs, 1)), axis=1)

    def disagrees(length: int, debate: bool) -> np.ndarray:
        drawn = judge.score[np.arange(runs), order[:, :length].sum(axis=1)]
        return np.asarray(np.sign(debate_value(judge, length) if debate else drawn) != verdict, dtype=float)

    def in_order(debate: np.ndarray, chance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return (debate, chance) if debated_best else (chance, debate)

    short, long = (disagrees(length, True) for length in lengths)
    return all_of(
        everything=always(debate_value(judge, 6) == judge.verdict),
        longer=less_on_average(long, short),
        full=less_on_average(disagrees(6, True), long),
        short_at_random=less_on_average(*in_order(short, disagrees(lengths[0], False))),
        long_at_random=less_on_average(*in_order(long, disagrees(lengths[1], False))),
    )


agreement.control("evidence at random is as good", because="nobody looked for the strongest items", debated_best=False)
agreement.control("a third item", because="A has two turns of the three", lengths=(2, 3))


GRID = tuple(Fraction(k, 10) for k in range(11))


@claim(
    PAPER,
    "scalarisation",
    r"\lambda < \lambda': \quad J_{env}(\pi_{\lambda'}) \le J_{env}(\pi_\lambda), \; J_{deb}(\pi_{\lambda'}) \ge J_{deb}(\pi_\lambda),"
    r" \quad \frac{\lambda}{1 - \lambda}\, \delta_{deb} \le \delta_{env} \le \frac{\lambda'}{1 - \lambda'}\, \delta_{deb}",
    kind="inequality",
    source="derived",
    assumes=r"\pi_\lambda any optimal policy for (1 - \lambda) r_{env} + \lambda r_{debate}; in every state; \delta_{env} what is lost,"
    r" \delta_{deb} what is gained from \lambda to \lambda'",
)
@over(soon_or_later.sweep(soon=(0.5, 1.0, 4.5), later=0.5, argued=(1.0, 4.0)))
@over(debated.sweep(S=(2, 5), A=3, interaction=(0.0, 0.5), draws=by_profile(quick=6, full=60)))
@over(
    soon_or_later.sweep(soon=Range(0.0, 4.4), later=0.5, argued=Range(0.5, 5.0)),
    budget=by_profile(quick=60, full=600),
)
def scalarisation(problem: JustifiableMDP, *, price: float = 1.0, report_at: float | None = None) -> Comparison:
    r"""The more a debate's reward weighs, the less the environment's return, and what a step costs lies between two prices.

    Write e and d for the changes of the two returns from :math:`\pi_\lambda` to :math:`\pi_{\lambda'}`, in one state. As both are
    optimal, :math:`(1-\lambda) e + \lambda d \le 0 \le (1-\lambda') e + \lambda' d`. Eliminating d, or e, leaves
    :math:`(\lambda' - \lambda) e \le 0 \le (\lambda' - \lambda) d`; the two as they stand are the prices. The returns run down a
    concave staircase. Solved in rational arithmetic; steps of 0.1 from 0 to 1.
    """
    found = trade_off(problem, GRID, report_at=report_at)
    lost, gained = -np.diff(found.environment, axis=0), np.diff(found.justifiability, axis=0)
    first, second = (np.array(g, dtype=object)[:, None] for g in (GRID[:-1], GRID[1:]))
    return all_of(
        environment=always(lost >= 0),
        debate=always(gained >= 0),
        dearest=at_most(((1 - second) * lost).astype(float), (second * gained).astype(float) / price),
        cheapest=at_most((first * gained).astype(float) * price, ((1 - first) * lost).astype(float)),
    )


scalarisation.control(
    "returns at another discount",
    because="the policy is patient, the report is not: what it gives up early counts more",
    report_at=0.5,
)
scalarisation.control(
    "prices five per cent nearer", because="a step whose two policies tie at either end attains its price", price=1.05
)
