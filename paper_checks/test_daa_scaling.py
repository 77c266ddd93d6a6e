r"""Overoptimisation in direct alignment (Rafailov et al. 2024): where and why the gold reward turns down.

Notation: r the gold and :math:`\hat r` the proxy reward, :math:`\pi_\eta \propto \mu e^{\eta \hat r}` the policy at the temperature
:math:`1/\eta`, :math:`G(\eta) = \mathbb{E}_{\pi_\eta} r` the gold curve. Tabular DPO at the temperature :math:`\beta` is
:math:`\pi_{1/\beta}` for the rewards that it has implicitly fitted, which do not depend on :math:`\beta`.
"""

import functools

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit

from bandits.preference.comparisons import independent_pairs, labelled
from bandits.preference.overoptimisation import (
    ProxyProblem,
    covariance,
    fit_tabular_reward,
    noisy_proxy,
    overoptimisation_curve,
    proxy_problem,
    tilt_path,
    turning_bound,
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
    equal,
    less_on_average,
    over,
)

Array = NDArray[np.float64]

PAPER = Paper(
    key="daa-scaling",
    title="Scaling Laws for Reward Model Overoptimization in Direct Alignment Algorithms",
    authors="Rafailov, Chittepu, Park, Sikchi, Hejna, Knox, Finn, Niekum",
    year=2024,
    theme="alignment",
    arxiv="2406.02900",
)


@claim(
    PAPER,
    "covariance-law",
    r"\frac{d}{d(1/\beta)} \mathbb{E}_\pi r = \mathrm{Cov}_\pi(r, \hat r), \quad \pi \propto \mu e^{\hat r/\beta}; \qquad"
    r" \mathbb{E}_\pi \hat r \text{ and } \mathrm{KL}(\pi\|\mu) \text{ never fall with } 1/\beta",
    kind="identity",
    source="derived",
)
@over(noisy_proxy.sweep(K=(2, 5, 20), noise=(0.0, 0.5, 1.5, 5.0), concentration=(0.1, 1.0), draws=by_profile(quick=1, full=20)))
@over(proxy_problem.sweep(logits=[(0.0, 0.0, 0.0), (0.0, -9.0, -20.0)]))
def covariance_law(problem: ProxyProblem, *, current: bool = True, power: int = 1) -> Comparison:
    r"""The gold reward turns exactly where its covariance with the proxy, under the current policy, is zero.

    :math:`\pi_\eta(y)` has the logarithmic derivative :math:`\hat r(y) - \mathbb{E}_{\pi_\eta} \hat r`. The derivative of the proxy's own
    expectation is its variance, that of the divergence :math:`\eta` times the variance. Checked in the integrated form

    .. math:: G(b) - G(a) = \int_a^b \mathrm{Cov}_{\pi_\eta}(r, \hat r)\, d\eta

    by Gauss' rule of 64 nodes on ten intervals, and at every zero of the covariance: the gold reward is extreme there.
    """
    scale = 1 / np.ptp(problem.proxy)  # an interval on which the policy changes by a factor of at most e^2
    edges = scale * np.arange(0.0, 21.0, 2.0)
    nodes, weights = np.polynomial.legendre.leggauss(64)
    eta = (edges[:-1, None] + scale * (nodes + 1)).ravel()
    policies = tilt_path(problem.log_reference, problem.proxy, eta)
    under = policies if current else problem.log_reference
    slope = np.broadcast_to(covariance(under, problem.gold, problem.proxy), eta.shape) * eta ** (power - 1)
    integral = scale * (slope.reshape(-1, 64) @ weights)
    curve = overoptimisation_curve(problem.log_reference, problem.gold, problem.proxy, edges)
    parts = [
        equal(np.diff(curve.gold), integral, tolerance=1e-11, scale=1 + np.abs(problem.gold).max()),
        at_least(curve.proxy[1:], curve.proxy[:-1], slack=1e-12 * np.abs(problem.proxy).max(), label="proxy"),
        at_least(curve.kl[1:], curve.kl[:-1], slack=1e-14, label="divergence"),
    ]

    def slope_at(x: float) -> float:
        return float(covariance(tilt_path(problem.log_reference, problem.proxy, [x])[0], problem.gold, problem.proxy))

    slopes = np.array([slope_at(x) for x in edges])
    for k in np.flatnonzero(slopes[:-1] * slopes[1:] < 0):
        zero = brentq(slope_at, edges[k], edges[k + 1], xtol=1e-14)
        near = zero + scale * np.array([-0.01, 0.0, 0.01])
        gold = np.sign(slopes[k]) * overoptimisation_curve(problem.log_reference, problem.gold, problem.proxy, near).gold
        parts.append(at_most(gold[[0, 2]] - gold[1], 0.0, slack=1e-14 * np.abs(problem.gold).max(), label="turn"))
    return all_of(*parts)


covariance_law.control("the covariance under the reference", because="it only gives the slope at the start", current=False)
covariance_law.control("the derivative by ln(1/beta)", because="that has another factor 1/beta", power=2)


@claim(
    PAPER,
    "turning-points",
    r"\#\{\text{turns of } G\} \le \#\{\text{changes of sign of } (r_i - r_j)(\hat r_i - \hat r_j),"
    r" \text{ pairs in the order of } \hat r_i + \hat r_j\}; \qquad"
    r" \mathrm{Cov}_\mu(r, \hat r) > 0 > (r_{(1)} - r_{(2)}) \implies G \text{ has an interior peak}",
    kind="inequality",
    source="derived",
    assumes=r"r_{(1)}, r_{(2)}: the gold rewards of the proxy's best and second best response, which are unique",
    note="Two responses never turn; three are enough. The weights of the reference decide where the gold reward turns, its signs"
    " how often it can.",
)
@over(
    noisy_proxy.sweep(
        K=(2, 3, 4, 6, 20), noise=(0.0, 0.5, 1.5, 5.0), concentration=(0.1, 1.0), draws=by_profile(quick=2, full=30)
    )
)
@over(proxy_problem.sweep(logits=[(0.0, 0.0, 0.0), (0.0, -9.0, -20.0), (0.0, 3.0, -3.0)]))
@over(
    proxy_problem.sweep(
        logits=Range(-8.0, 8.0, size=4), gold=Range(-1.0, 1.0, size=4), proxy=[(0.0, 1.0, 2.1, 4.5), (0.0, 2.5, 3.6, 4.5)]
    ),
    budget=by_profile(quick=30, full=800),
)
def turning_points(problem: ProxyProblem, *, fewer: int = 0, disordered: bool = True) -> Comparison:
    r"""How often the gold reward can turn: as often as the proxy changes between agreeing and disagreeing with it.

    :math:`Z_\eta^2 G'(\eta) = \sum_{i<j} \mu_i \mu_j (r_i - r_j)(\hat r_i - \hat r_j) e^{\eta(\hat r_i + \hat r_j)}` is a sum of exponentials,
    and Descartes' rule bounds its real zeros by the changes of sign of its coefficients in the order of the exponents. A proxy that
    orders all pairs as the gold reward does is never overoptimised, whatever its scale.

    For large :math:`\eta` the largest exponent decides: the pair of the proxy's two best responses. If the proxy has them in the
    wrong order the gold reward ends by falling; if it starts by rising its supremum lies in between. One change of sign makes a hump:
    up to the peak, and down from there.
    """
    order = np.argsort(problem.proxy)
    top = problem.gold[order[-1]] - problem.gold[order[-2]]
    # beyond this the policy can be within 1e-12 of a greedy one, with the rounding of the covariance near
    reach = 27.6 / float(np.ptp(problem.proxy))
    eta = np.linspace(-reach, reach, 801)
    policies = tilt_path(problem.log_reference, problem.proxy, eta)
    slopes = covariance(policies, problem.gold, problem.proxy)
    size = covariance(policies, problem.proxy, problem.proxy) ** 0.5 * covariance(policies, problem.gold, problem.gold) ** 0.5
    clear = np.abs(slopes) > 1e-10 * size
    signs = np.sign(slopes[clear])
    turns = int(np.count_nonzero(signs[1:] != signs[:-1]))
    parts = [at_most(turns, max(turning_bound(problem) - fewer, 0), label="turns")]
    start = float(covariance(problem.log_reference, problem.gold, problem.proxy))
    if start > 0 and (top < 0) == disordered:
        # it rises from its start, and is above its limit, the gold reward of the proxy's best response, where this is positive:
        # the sum of pi(y) (r(y) - limit), over the probability of the second best, which keeps its digits
        behind = problem.proxy[order[-2]] - problem.proxy[order[:-2]]
        late = np.geomspace(1e-3, 60.0 / (behind.min() if behind.size else 1.0), 500)
        log_odds = problem.log_reference[order[:-1]] - problem.log_reference[order[-2]]
        exponents = log_odds - late[:, None] * np.append(behind, 0.0)
        excess = np.exp(exponents) @ (problem.gold[order[:-1]] - problem.gold[order[-1]])
        parts.append(always((excess > 0).any(), "no interior peak"))
    return all_of(*parts)


turning_points.control("one turn fewer", because="three responses turn as often as their signs change", fewer=1)
turning_points.control(
    "a peak though the proxy's two best are in order", because="then the gold reward ends by rising", disordered=False
)


@functools.lru_cache(maxsize=4)
def _fitted(seed: int, runs: int, n: int, exact: bool) -> tuple[Array, Array]:
    """Whether, and by how much, the gold reward of DPO from n pairs ends below its peak, for each of ``runs`` bandits.

    The bandits depend on the seed alone, the labels also on n.
    """
    rng = np.random.default_rng(seed)
    gold, reference = rng.standard_normal((runs, 15)), rng.dirichlet(np.ones(15), size=runs)
    if exact:
        proxy = gold
    else:
        labels = np.random.default_rng([seed, n])
        wins = expit(gold[:, :, None] - gold[:, None, :])
        law = labelled(independent_pairs(reference, distinct=True), wins).reshape(runs, -1)
        counts = np.array([labels.multinomial(n, row / row.sum()) for row in law]).reshape(runs, 15, 15)
        proxy = fit_tabular_reward(counts, ridge=1e-3).theta
    eta = np.concatenate(([0.0], np.geomspace(0.01, 100.0, 60)))
    drop = overoptimisation_curve(np.log(reference), gold, proxy, eta).drop
    return (drop > 1e-3).astype(float), drop


@claim(
    PAPER,
    "dpo-hump",
    r"\Pr(\text{hump} \mid 6000 \text{ pairs}) \le \Pr(\text{hump} \mid 60) - 0.1, \qquad"
    r" \mathbb{E}[\text{drop} \mid 6000] \le \mathbb{E}[\text{drop} \mid 60] - 0.05",
    kind="mechanism",
    source="recalled",
    assumes=r"tabular DPO of 15 responses with a ridge of 10^{-3}; normal rewards, Dirichlet reference; 1/\beta from 0 to 100;"
    r" a hump: the gold reward ends more than 10^{-3} below its peak",
    note="Humps on 44%, 21% and 7% of 2000 bandits for 60, 600 and 6000 pairs, with mean drops of 0.18, 0.03 and 0.002.",
    tests=2,
)
def dpo_hump(
    *,
    seed: int,
    few: int = 60,
    many: int = 6000,
    exact: bool = False,
    runs: int = by_profile(quick=1000, full=4000),
) -> Comparison:
    r"""DPO from few pairs is overoptimised: its gold reward rises and falls as the temperature is lowered; more pairs cure it.

    What a small sample makes of responses that were seldom compared is the error of the proxy; `daa-scaling/turning-points` says
    when that makes a hump. Each bandit is labelled twice.
    """
    humps, drops = _fitted(seed, runs, few, exact)
    humps_later, drops_later = _fitted(seed, runs, many, exact)
    return all_of(humps=less_on_average(humps_later, humps, margin=0.1), drop=less_on_average(drops_later, drops, margin=0.05))


dpo_hump.control("the proxy is the gold reward", because="the gold reward then never falls", exact=True)
dpo_hump.control("6000 pairs against 5999", because="a pair more makes no difference", few=5999)
