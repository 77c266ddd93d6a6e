r"""Two-stage constrained actor-critic (Cai et al. 2023): the best policy for the main response near the auxiliary ones' policies.

Notation: A is the advantage of the main response, :math:`\pi_1, \ldots, \pi_m` the policies learned for the auxiliary ones,
:math:`\varepsilon_i` the radii, :math:`\lambda_i \ge 0` the multipliers with the sum L and the shares :math:`w_i = \lambda_i / L`.
"""

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray

from bandits.preference.soups import soup
from bandits.preference.trust_regions import (
    TrustRegions,
    dual_value,
    feasibility_margin,
    geometric_tilt,
    random_trust_regions,
    solve_trust_regions,
)
from theory.claims import Comparison, Paper, all_of, at_least, at_most, by_profile, claim, equal, over
from theory.divergences import kl

Array = NDArray[np.float64]

PAPER = Paper(
    key="tscac",
    title="Two-Stage Constrained Actor-Critic for Short Video Recommendation",
    authors="Cai, Xue, Zhang, Zheng et al.",
    year=2023,
    theme="safety",
    arxiv="2302.01680",
)

PROBLEMS = random_trust_regions.sweep(
    K=5, references=(1, 2, 3), distance=(0.3, 1.0), spread=(0.1, 1.0), draws=by_profile(quick=1, full=5)
)
PAIRS = random_trust_regions.sweep(K=5, references=2, distance=(0.3, 1.0), spread=(0.1, 1.0), draws=by_profile(quick=1, full=5))


def _direct(problem: TrustRegions) -> Array:
    """A policy that a conic solver finds on the probabilities themselves, pulled into the regions."""
    inside = np.exp(soup(problem.log_references))
    size = float(np.ptp(problem.advantage))
    p = cp.Variable(inside.size)
    total = p @ np.ones(inside.size)
    within = [
        np.ones(inside.size) @ cp.rel_entr(p, np.exp(r)) <= radius  # type: ignore[attr-defined]
        for r, radius in zip(problem.log_references, problem.radii)
    ]
    cp.Problem(cp.Maximize(p @ (problem.advantage / size)), [total == 1, *within]).solve(
        solver=cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10
    )
    found = np.maximum(np.asarray(p.value, dtype=float), 1e-12)
    found /= found.sum()
    references = np.exp(problem.log_references)
    if (kl(found, references) <= problem.radii).all():
        return np.asarray(found)
    low, high = 0.0, 1.0  # how far towards the inside: divergences are convex
    for _ in range(60):
        pull = (low + high) / 2
        low, high = (low, pull) if (kl((1 - pull) * found + pull * inside, references) <= problem.radii).all() else (pull, high)
    return np.asarray((1 - high) * found + high * inside)


def _with_shares(problem: TrustRegions, shares: Array) -> Array:
    """The geometric tilt of these shares whose temperature is the least that keeps it in the regions, or the largest tried."""
    low, high = -30.0, 30.0
    for _ in range(50):
        middle = (low + high) / 2
        inside = (kl(geometric_tilt(problem, np.exp(middle) * shares), problem.log_references, log=True) <= problem.radii).all()
        low, high = (low, middle) if inside else (middle, high)
    return geometric_tilt(problem, np.exp(high) * shares)


@claim(
    PAPER,
    "closed-form",
    r"\pi^\star \propto \prod_i \pi_i^{\lambda_i/L} e^{A/L}, \qquad \lambda \in \arg\min_{\lambda \ge 0} \sum_i \lambda_i \varepsilon_i + L \ln \sum_y"
    r" \exp \tfrac{A + \sum_i \lambda_i \ln \pi_i}{L}",
    kind="identity",
    source="recalled",
    assumes=r"a policy strictly within all regions; L = 0, where the best response itself lies in all regions, is a limit",
    note="A constraint that is not active has the multiplier 0. Known before the problem is solved are the form and the dual, not the shares.",
)
@over(PROBLEMS)
def closed_form(problem: TrustRegions, *, equal_shares: bool = False, cooler: float = 1.0) -> Comparison:
    r"""The best policy within several trust regions is a geometric tilt, with the multipliers that minimise the dual.

    A policy p has :math:`D(\lambda) - \mathbb{E}_p A = \sum_i \lambda_i (\varepsilon_i - \mathrm{KL}(p\|\pi_i)) + L\, \mathrm{KL}(p\|\pi_\lambda)`: the dual bounds
    every policy in the regions, and at its minimum complementary slackness makes both terms 0 for the geometric tilt. Compared with
    a conic solver, which knows nothing of either.
    """
    optimum = solve_trust_regions(problem)
    policy = geometric_tilt(problem, optimum.multipliers / cooler)
    if equal_shares:
        policy = _with_shares(problem, np.full(problem.radii.size, 1 / problem.radii.size))
    size = float(np.ptp(problem.advantage))
    value = float(np.exp(policy) @ problem.advantage)
    direct = float(_direct(problem) @ problem.advantage)
    far = kl(policy, problem.log_references, log=True)
    return all_of(
        feasible=at_most(far, problem.radii),
        dual=equal(value, optimum.upper, tolerance=1e-9, scale=size),
        # the accuracy of the conic solver
        direct=equal(value, direct, tolerance=1e-6, scale=size),
        none_better=at_most((direct - optimum.upper) / size + 1.0, 1.0),
    )


closed_form.control("equal exponents", because="the shares follow from the radii", equal_shares=True)
closed_form.control("1% cooler", because="the policy then leaves an active region", cooler=1.01)


@claim(
    PAPER,
    "duality-gap",
    r"D(\lambda) - \mathbb{E}_p A = \sum_i \lambda_i (\varepsilon_i - \mathrm{KL}(p\|\pi_i)) + L\, \mathrm{KL}(p\|\pi_\lambda)",
    kind="identity",
    source="derived",
    assumes=r"any policy p and any \lambda \ge 0 with L > 0",
    note="So a policy in the regions whose value is near a dual value is near the geometric tilt: L KL is at most the gap.",
)
@over(PROBLEMS, scale=(0.1, 10.0))
def duality_gap(problem: TrustRegions, *, scale: float, seed: int, reverse: bool = False, tilted: bool = True) -> Comparison:
    """What a policy loses against the dual bound is unused divergence, at its price, and its distance from the geometric tilt."""
    rng = np.random.default_rng(seed)
    weights = scale * rng.exponential(size=problem.radii.size)
    p = np.log(rng.dirichlet(np.ones(problem.advantage.size)))
    tilt = geometric_tilt(problem, weights)
    away = float(kl(tilt, p, log=True) if reverse else kl(p, tilt, log=True))
    unused = float(weights @ (problem.radii - kl(p, problem.log_references, log=True)))
    gap = dual_value(problem, weights) - float(np.exp(p) @ problem.advantage)
    size = float(weights.sum()) * (1 + float(np.abs(problem.log_references).max())) + float(np.abs(problem.advantage).max())
    return equal(gap, unused + tilted * float(weights.sum()) * away, tolerance=1e-13, scale=size)


duality_gap.control("the divergence the other way round", because="the policy comes first", reverse=True)
duality_gap.control("unused divergence alone", because="it is complete only for the geometric tilt", tilted=False)


@claim(
    PAPER,
    "price",
    r"V(\varepsilon') \le V(\varepsilon) + \sum_i \lambda_i (\varepsilon'_i - \varepsilon_i)",
    kind="inequality",
    source="derived",
    assumes=r"V the optimum as a function of the radii, \lambda its multipliers at \varepsilon, both radii feasible",
    note="A multiplier is the price of a radius: what the main response gains at most by one more nat of freedom from that auxiliary policy.",
)
@over(PAIRS, change=(1e-4, 0.5))
def price(problem: TrustRegions, *, change: float, seed: int, share: float = 1.0) -> Comparison:
    r"""The multipliers are prices: the optimum is concave in the radii, with the multipliers for a supergradient.

    :math:`V(\varepsilon') \le D_{\varepsilon'}(\lambda) = D_\varepsilon(\lambda) + \lambda \cdot (\varepsilon' - \varepsilon)`, by weak duality at the other radii.
    """
    optimum = solve_trust_regions(problem)
    size = float(np.ptp(problem.advantage))
    step = change * np.random.default_rng(seed).random(problem.radii.size)
    other = solve_trust_regions(TrustRegions(problem.advantage, problem.log_references, problem.radii + step))
    gain = (other.value - optimum.value) / size
    return at_most(gain, share * float(optimum.multipliers @ step) / size, slack=(optimum.width + other.width) / size)


price.control("5% less", because="a small change gains nearly its price", share=0.95)


@claim(
    PAPER,
    "feasible",
    r"\min_{w \in \Delta} \Bigl[\sum_i w_i \varepsilon_i - \ln\tfrac{1}{B_w}\Bigr] = \max_\pi \min_i (\varepsilon_i - \mathrm{KL}(\pi\|\pi_i)), \qquad B_w = \sum_y \prod_i"
    r" \pi_i(y)^{w_i}",
    kind="identity",
    source="derived",
    assumes="two references of full support",
    note="So the dual is bounded exactly if no soup of the references disagrees by more than the same mean of the radii.",
)
@over(PAIRS, less=(0.0, 0.2))
def feasible(problem: TrustRegions, *, less: float, equal_weights: bool = False) -> Comparison:
    r"""Trust regions have a policy in common exactly if every soup of their centres allows it.

    :math:`\min_\pi \sum_i w_i \mathrm{KL}(\pi\|\pi_i) = \ln(1/B_w)`, attained by the soup; minimum and maximum may be exchanged, since the
    divergences are convex. The soup whose slacks are equal, or an end, is a saddle point: found by bisection, it proves itself.
    """
    radii = np.maximum(problem.radii - less * np.array([1.0, 0.5]), 0.0)
    moved = TrustRegions(problem.advantage, problem.log_references, radii)

    def slacks(w: float) -> Array:
        return np.asarray(radii - kl(soup(problem.log_references, (w, 1 - w)), problem.log_references, log=True))

    low, high = 0.0, 1.0
    for _ in range(60):  # more weight on the first reference leaves it more slack
        middle = (low + high) / 2
        first, second = slacks(middle)
        low, high = (middle, high) if first < second else (low, middle)
    w = 0.5 if equal_weights else (low + high) / 2
    grid = np.linspace(0, 1, 11)
    bound = float(feasibility_margin(moved, (w, 1 - w)))
    others = np.array([feasibility_margin(moved, (v, 1 - v)) for v in grid])
    scale = 1 + float(np.abs(problem.log_references).max())
    best = float(slacks((low + high) / 2).min())
    return all_of(saddle=equal(bound, best, tolerance=1e-12, scale=scale), least=at_least(others, bound, slack=1e-12))


feasible.control("equal weights", because="the soup that decides depends on the radii", equal_weights=True)
