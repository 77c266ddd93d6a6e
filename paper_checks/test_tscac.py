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
from mdplab.learning.two_stage_actor_critic import (
    Actor,
    AuxiliaryRewards,
    auxiliary_policies,
    blend,
    closing_gap,
    divergences,
    main_critic,
    multiplier_actor,
    priced_critic,
    random_auxiliary,
    sampled_critic,
    stage_two,
)
from mdplab.models import TabularMDP
from mdplab.solvers import discounted_occupancy, evaluate_policy
from theory.claims import Comparison, Paper, all_of, always, at_least, at_most, by_profile, claim, equal, less_on_average, over
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


LEARNERS = random_auxiliary.sweep(S=(2, 4), gamma=(0.5, 0.9), draws=by_profile(quick=2, full=20))
REGIONS = random_auxiliary.sweep(S=3, gamma=(0.5, 0.9), draws=by_profile(quick=1, full=8))


def _in_regions(mdp: TabularMDP, log_auxiliary: Array, radii: Array, q: Array) -> tuple[Array, Array]:
    """The best policy for q in the trust regions of every state, and an upper bound on its mean of q there, (S,)."""
    policy, upper = np.empty(mdp.pairs), np.empty(mdp.states)
    for s in range(mdp.states):
        pairs = slice(mdp.state_pointer[s], mdp.state_pointer[s + 1])
        found = solve_trust_regions(TrustRegions(q[pairs], log_auxiliary[:, pairs], radii[:, s]))
        policy[pairs], upper[s] = found.log_policy, found.upper
    return policy, upper


@claim(
    PAPER,
    "two-stage",
    r"V^{\pi_{k+1}} \ge V^{\pi_k}, \qquad \mathrm{KL}(\pi_k(\cdot|s)\|\pi_i(\cdot|s)) \le \varepsilon_i(s), \qquad V^\star - V^{\pi_k} \le \gamma^k \|V^\star - V^{\pi_0}\|",
    kind="inequality",
    source="derived",
    assumes=r"\pi_0 in the regions; the actor step is \arg\max_\pi \mathbb{E}_\pi Q^{\pi_k}(s, \cdot) within them; V^\star the best value of a policy in them",
    note="The multipliers must be found anew in every state and step: constant ones are tscac/plain-critic.",
)
@over(REGIONS)
def two_stage(
    problem: AuxiliaryRewards, *, seed: int, one_stage: bool = False, first_multipliers: bool = False, rounds: int = 5
) -> Comparison:
    r"""Stage 2 with a trust region in every state improves the main return everywhere at every step, and never leaves the regions.

    It is policy iteration in the MDP whose actions at s are the policies in the regions of s, a compact set. Since :math:`\pi_k` is one
    of them, the step has :math:`\mathbb{E}_{\pi_{k+1}} Q^{\pi_k} \ge V^{\pi_k}`, and policy improvement follows; so does the contraction. The
    last policy is proved optimal by the dual bounds of one more step.
    """
    mdp = problem.mdp
    auxiliary = auxiliary_policies(problem, step=0.02)
    start = blend(mdp, auxiliary, (0.5, 0.5))
    radii = divergences(mdp, start, auxiliary) + np.random.default_rng(seed).uniform(0.01, 0.2, (2, mdp.states))
    critic = main_critic(mdp)

    def nearby(q: Array) -> Array:
        return _in_regions(mdp, auxiliary, radii, q)[0]

    actor: Actor = nearby
    if one_stage:
        weighted = mdp.replace(reward=mdp.reward + problem.rewards.sum(axis=0))
        critic, actor = main_critic(weighted), multiplier_actor(mdp, auxiliary, (0.05, 0.05))
    if first_multipliers:
        pairs = slice(0, mdp.state_pointer[1])
        first = solve_trust_regions(TrustRegions(critic(start)[pairs], auxiliary[:, pairs], radii[:, 0]))
        actor = multiplier_actor(mdp, auxiliary, first.multipliers)
    run = stage_two(mdp, actor, critic, rounds, start=start)
    values = np.array([evaluate_policy(mdp, np.exp(p)).value for p in run.log_policies])
    last = evaluate_policy(mdp, np.exp(run.log_policies[-1]))
    # the true best value in the regions exceeds the last one by at most the gap
    shortfall = float((_in_regions(mdp, auxiliary, radii, last.q)[1] - last.value).max())
    gap = max(shortfall, 0.0) / (1 - mdp.gamma)
    far = np.array([divergences(mdp, p, auxiliary) for p in run.log_policies])
    size = float(np.ptp(mdp.reward)) / (1 - mdp.gamma)
    lost = (values[-1] + gap - values).max(axis=1)
    return all_of(
        regions=at_most(far, radii, slack=1e-9),
        improves=at_least(values[1:] / size, values[:-1] / size, slack=1e-8),
        rate=at_most(lost[1:], mdp.gamma ** np.arange(1, rounds + 1) * lost[0], slack=gap + 1e-8 * size),
        optimal=always(gap <= 1e-6 * size, "the proof that the last policy is optimal"),
    )


two_stage.control("one stage, the sum of all rewards", because="a mean of rewards knows no regions", one_stage=True)
two_stage.control("the first state's multipliers for all", because="every state has its own", first_multipliers=True)


@claim(
    PAPER,
    "plain-critic",
    r"V^{\pi_{k+1}}(s_0) \ge V^{\pi_k}(s_0) \quad \text{for } \pi_{k+1} \propto \prod_i \pi_i^{\lambda_i/L} e^{Q^{\pi_k}/L}",
    kind="inequality",
    source="derived",
    assumes="constant multipliers, and Q the values of the main reward alone",
    expected="refuted",
    corrected="tscac/two-stage",
    note="Uniform auxiliary policy, L = 0.5: the main return rises from 0.675 to 0.869 and falls to 0.852, where it stays.",
)
@over(closing_gap.sweep(), temperature=(0.3, 0.5, 1.0))
@over(LEARNERS, temperature=(0.1, 1.0))
def plain_critic(problem: AuxiliaryRewards, *, temperature: float, priced: bool = False) -> Comparison:
    r"""It is said that each step of stage 2 improves the main return. With constant multipliers it need not.

    Where the values of two actions come closer together because later states have improved, the same multipliers pull the policy back
    to the auxiliary ones. What does rise is the return less the price of all divergences, if the critic charges later prices, too: this
    is soft policy iteration.
    """
    mdp = problem.mdp
    auxiliary = auxiliary_policies(problem)
    m = len(auxiliary)
    weights = np.full(m, temperature / m)
    critic = priced_critic(mdp, auxiliary, weights) if priced else main_critic(mdp)
    start = blend(mdp, auxiliary, np.full(m, 1 / m))
    run = stage_two(mdp, multiplier_actor(mdp, auxiliary, weights), critic, 6, start=start)
    price = [priced * weights @ divergences(mdp, p, auxiliary) for p in run.log_policies]
    values = [
        evaluate_policy(mdp.replace(reward=mdp.reward - c[mdp.pair_state]), np.exp(p)).value @ mdp.start_distribution
        for p, c in zip(run.log_policies, np.broadcast_to(price, (7, mdp.states)))
    ]
    return at_least(values[1:], values[:-1], slack=1e-9 / (1 - mdp.gamma))


plain_critic.repair("the return less the price, from a critic of both", because="this is soft policy iteration", priced=True)


@claim(
    PAPER,
    "return-gap",
    r"J(\pi_\lambda) - J(p) = \sum_i \lambda_i (D_i(\pi_\lambda) - D_i(p)) + L\, \mathbb{E}_p \sum_t \gamma^t\, \mathrm{KL}(p\|\pi_\lambda)(s_t)",
    kind="identity",
    source="derived",
    assumes=r"any policy p of full support; D_i(p) = \mathbb{E}_p \sum_t \gamma^t \mathrm{KL}(p\|\pi_i)(s_t); \pi_\lambda the limit of stage 2 with a priced critic",
    note="So no policy with discounted divergences as small has a larger main return. In one state this is tscac/duality-gap.",
)
@over(LEARNERS, temperature=(0.2, 2.0))
def return_gap(
    problem: AuxiliaryRewards, *, temperature: float, seed: int, priced: bool = True, own: bool = True
) -> Comparison:
    r"""What a policy gains on the limit of stage 2 it pays for in divergence, and a little more.

    :math:`\pi_\lambda` maximises :math:`\mathbb{E}_\pi Q - \sum_i \lambda_i \mathrm{KL}(\pi\|\pi_i)` in every state, for the priced Q, and p falls short
    of the maximum by :math:`L\, \mathrm{KL}(p\|\pi_\lambda)`; the performance difference lemma adds that up along p.
    """
    mdp = problem.mdp
    auxiliary = auxiliary_policies(problem)
    weights = temperature * np.array([0.3, 0.7])
    critic = priced_critic(mdp, auxiliary, weights) if priced else main_critic(mdp)
    limit = stage_two(mdp, multiplier_actor(mdp, auxiliary, weights), critic, 20).log_policies[-1]
    p = np.log(np.random.default_rng(seed).dirichlet(np.ones(mdp.max_actions), size=mdp.states)).ravel()
    returns, prices, visits = [], [], []
    for policy in (limit, p):
        visited = discounted_occupancy(mdp, np.exp(policy), normalised=False)
        returns.append(float(visited.pair @ mdp.reward))
        prices.append(float(weights @ divergences(mdp, policy, auxiliary) @ visited.state))
        visits.append(visited.state)
    away = float(divergences(mdp, p, limit[None])[0] @ (visits[1] if own else visits[0]))
    size = (1 + abs(prices[1]) * (1 - mdp.gamma)) / (1 - mdp.gamma)
    return equal(returns[0] - returns[1], prices[0] - prices[1] + temperature * away, tolerance=1e-8, scale=size)


return_gap.control("the critic of the main reward alone", because="its limit ignores prices to be paid later", priced=False)
return_gap.control("along the limit's own visits", because="the shortfall is where p goes", own=False)


@claim(
    PAPER,
    "auxiliary-loss",
    r"J_i(\pi_i) - J_i(\pi) \le \mathbb{E}_\pi \sum_t \gamma^t \sqrt{\mathrm{KL}(\pi\|\pi_i)(s_t)/2}\; \operatorname{span} Q_i^{\pi_i}(s_t, \cdot)",
    kind="inequality",
    source="derived",
    assumes=r"any policy \pi; J_i the return of the auxiliary reward i",
    note="This is what a trust region is for: within a radius eps, the auxiliary return falls by at most sqrt(eps/2) spans a step.",
)
@over(LEARNERS, near=(0.01, 1.0))
@over(random_auxiliary.sweep(S=1, A=2, gamma=(0.0, 0.9), draws=by_profile(quick=4, full=40)), near=0.001)
def auxiliary_loss(problem: AuxiliaryRewards, *, near: float, seed: int, share: float = 1.0, power: float = 0.5) -> Comparison:
    r"""A policy close to an auxiliary one keeps most of the auxiliary return.

    By the performance difference lemma the loss is that of :math:`\mathbb{E}_{\pi_i} Q_i - \mathbb{E}_\pi Q_i` along :math:`\pi`, at most total variation
    times span, and Pinsker's inequality bounds the former. With two nearly equal actions and a small step it is attained.
    """
    mdp = problem.mdp
    auxiliary = auxiliary_policies(problem, step=1e-4)
    rng = np.random.default_rng(seed)
    losses, bounds = [], []
    for reward, log_auxiliary in zip(problem.rewards, auxiliary):
        model = mdp.replace(reward=reward)
        own = evaluate_policy(model, np.exp(log_auxiliary))
        policy = multiplier_actor(mdp, log_auxiliary[None], (1.0,))(near * (rng.normal(size=mdp.pairs) - 3 * own.q))
        visited = discounted_occupancy(mdp, np.exp(policy), normalised=False)
        spans = np.ptp(own.q.reshape(mdp.states, -1), axis=1)
        far = np.maximum(divergences(mdp, policy, log_auxiliary[None])[0], 0.0)
        losses.append(float(own.value @ mdp.start_distribution - visited.pair @ reward))
        bounds.append(share * float(visited.state @ ((far / 2) ** power * spans)))
    return at_most(losses, bounds, slack=1e-12 / (1 - mdp.gamma))


auxiliary_loss.control("1% less", because="two nearly equal actions attain it", share=0.99)
auxiliary_loss.control("proportional to the divergence", because="a small step loses its square root", power=1.0)


@claim(
    PAPER,
    "sampled",
    r"\mathbb{E} \|V^\star_\lambda - V^{\hat\pi_K}_\lambda\| \le \tfrac14 \|V^\star_\lambda - V^{\pi_0}_\lambda\|",
    kind="mechanism",
    source="derived",
    assumes=r"20 steps; multipliers 1/4; four next states a pair in each of 5 sweeps, rate 0.2; \pi_0 the uniform policy; means over states",
    note="An instance of the mechanism, not a rate: the noise that is left depends on rate and number of samples.",
)
@over(random_auxiliary.sweep(S=4, draws=by_profile(quick=1, full=4)))
def sampled(
    problem: AuxiliaryRewards, *, seed: int, backwards: bool = False, runs: int = by_profile(quick=40, full=80)
) -> Comparison:
    """A critic that learns from sampled transitions is enough: stage 2 closes most of the gap in the priced return."""
    mdp = problem.mdp
    auxiliary = auxiliary_policies(problem)
    weights = np.array([0.25, 0.25])

    def priced_value(log_policy: Array) -> float:
        price = (weights @ divergences(mdp, log_policy, auxiliary))[mdp.pair_state]
        return float(evaluate_policy(mdp.replace(reward=mdp.reward - price), np.exp(log_policy)).value.mean())

    actor = multiplier_actor(mdp, auxiliary, weights)
    exact = stage_two(mdp, actor, priced_critic(mdp, auxiliary, weights), 20)
    best, first = priced_value(exact.log_policies[-1]), priced_value(exact.log_policies[0])
    left = []
    for run in range(runs):
        rng = np.random.default_rng((seed, run))
        critic = sampled_critic(mdp, auxiliary, weights, samples=4, sweeps=5, rate=0.2, rng=rng)
        found = stage_two(mdp, (lambda q: actor(-q)) if backwards else actor, critic, 20)
        left.append(best - priced_value(found.log_policies[-1]))
    return less_on_average(left, np.full(runs, 0.25 * (best - first)))


sampled.control("the actor goes down the values", because="it then moves to the worst policy of the regions", backwards=True)
