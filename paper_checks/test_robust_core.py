r"""Robust MDPs, the common ground: inner problems, robust value and policy iteration, and what the radius of a ball does.

Notation: q is the nominal row of a pair, U(r) the rows within radius r of it; sigma(r) = min over p in U(r) of p . v. The
robust optimum is V_r = max_pi min_T V_T^pi over kernels T whose rows lie in these balls, pair by pair.
"""

import importlib
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from mdplab.models import TabularMDP, garnet
from mdplab.models.robust import Distance, RobustBallMDP, Support
from mdplab.models.robust_families import random_polytope, rarely_slippery_lake
from mdplab.solvers import policy_iteration
from mdplab.solvers.inner_problems import WorstRows, worst_chi_square, worst_kl, worst_l1
from mdplab.solvers.robust import robust_evaluation, robust_operator, robust_policy_iteration, robust_value_iteration
from theory.claims import Comparison, Paper, all_of, at_least, at_most, by_profile, claim, equal, over

PAPER = Paper(
    key="robust-core",
    title="Robust Dynamic Programming",
    authors="Iyengar",
    year=2005,
    theme="safety",
    venue="Mathematics of Operations Research 30",
)

Floats = NDArray[np.float64]
LAKE_RADII = by_profile(quick=0.4, full=(0.0, 0.05, 0.2, 0.4, 1.0))
BALLS = (("l1", 0.3, "nominal"), ("l1", 0.3, "all"), ("kl", 0.1, "nominal"), ("chi-square", 0.2, "nominal"))


def _rows(B: int, rows: int, seed: int) -> tuple[Floats, Floats]:
    """Random nominal rows and values; the second row is nearly deterministic, the third has equal values."""
    rng = np.random.default_rng(seed)
    q, v = rng.dirichlet(np.full(B, 0.7), size=rows), rng.normal(size=(rows, B))
    q[0] = np.full(B, 1.0 / B)
    q[1 % rows] = np.append(np.full(B - 1, 1e-3 / (B - 1)), 0.999)
    v[2 % rows] = np.append(np.full(B - 1, 1.0), 0.0)
    return np.maximum(q, 1e-9) / np.maximum(q, 1e-9).sum(axis=1, keepdims=True), v


@claim(
    PAPER,
    "inner-l1",
    r"\min_{\|p - q\|_1 \le r} p \cdot v = q \cdot v - \sum_j t_j (v_j - \min v), \qquad t \text{ takes mass } r/2 \text{ from the largest } v",
    kind="identity",
    source="recalled",
    assumes="0 <= r <= 2; p is a distribution",
)
@over(B=(2, 3, 8), radius=(0.0, 0.05, 0.5, 1.3, 2.0), draws=by_profile(quick=1, full=10))
def inner_l1(*, B: int, radius: float, draws: int, seed: int, share: float = 0.5, least: bool = True) -> Comparison:
    r"""The worst row of an L1 ball comes from sorting the values, as the linear program in (p, |p - q|) confirms.

    Half of the radius is mass that leaves, half is mass that arrives: the best place to leave is the largest value, the best to
    arrive the least. At radius 2 all mass arrives there.
    """
    q, v = _rows(B, 4 * draws, seed)
    found = worst_l1(q, v, np.full(len(q), 2 * share * radius))
    answer = (found.lower + found.upper) / 2
    if not least:  # the mass that is taken is spread as the rest
        answer = answer + radius / 2 * ((q * v).sum(axis=1) - v.min(axis=1))
    return equal(answer, [_l1_program(a, b, radius) for a, b in zip(q, v)], tolerance=1e-7, scale=float(np.abs(v).max()))


def _l1_program(q: Floats, v: Floats, radius: float) -> float:
    """The least p . v by linear programming in p and u >= |p - q|."""
    one = np.eye(q.size)
    found = linprog(
        np.append(v, np.zeros(q.size)),
        A_ub=np.block([[one, -one], [-one, -one], [np.zeros(q.size), np.ones(q.size)]]),
        b_ub=np.concatenate((q, -q, [radius])),
        A_eq=np.append(np.ones(q.size), np.zeros(q.size))[None],
        b_eq=[1.0],
        method="highs",
    )
    return float(found.fun)


inner_l1.control("the whole radius leaves", because="the mass that arrives counts as well", share=1.0)
inner_l1.control("45 per cent of the radius leaves", because="half of it may", share=0.45)
inner_l1.control("the mass is spread", because="the least value takes all of it", least=False)


@claim(
    PAPER,
    "inner-duals",
    r"\min_{\mathrm{KL}(p \| q) \le r} p \cdot v = \sup_{\beta > 0} -\frac{\ln \sum q e^{-\beta v} + r}{\beta}, \qquad "
    r"\min_{\chi^2(p \| q) \le r} p \cdot v = \sup_c\, c - \sqrt{(1 + r) \textstyle\sum q (c - v)_+^2}",
    kind="identity",
    source="recalled",
    assumes="r >= 0; p is a distribution on the support of q",
)
@over(distance=("kl", "chi-square"), B=(2, 5), radius=(0.01, 0.3, 2.0), draws=by_profile(quick=1, full=10))
def inner_duals(
    *, distance: str, B: int, radius: float, draws: int, seed: int, inflate: float = 1.0, swap: bool = False
) -> Comparison:
    r"""The one-dimensional duals of the KL and chi-square balls give what a conic solver finds for the primal problem.

    The set is convex and has q inside, so that there is no duality gap. The brackets of the solver are a few units of rounding
    wide; the conic solver (Clarabel) is right to about 1e-7.
    """
    q, v = _rows(B, 4 * draws, seed)
    solve = worst_kl if (distance == "kl") != swap else worst_chi_square
    found: WorstRows = solve(q, v, np.full(len(q), inflate * radius))
    answer = [_conic_program(distance, a, b, radius) for a, b in zip(q, v)]
    scale = float(np.abs(v).max())
    return all_of(
        primal=equal((found.lower + found.upper) / 2, answer, tolerance=1e-6, scale=scale),
        bracket=at_most(found.upper, found.lower, slack=1e-12 * scale),
    )


@cache
def _conic_problem(distance: str, B: int) -> tuple[Any, ...]:
    """A parametrised problem and its parameters: v, the radius, and what stands for q."""
    cvxpy: Any = importlib.import_module("cvxpy")  # takes a second, which only this claim needs
    p, v, radius = cvxpy.Variable(B, nonneg=True), cvxpy.Parameter(B), cvxpy.Parameter(nonneg=True)
    if distance == "kl":
        mark = cvxpy.Parameter(B)  # ln q
        away = -cvxpy.sum(cvxpy.entr(p)) - mark @ p <= radius
    else:
        mark = cvxpy.Parameter(B, nonneg=True)  # 1 / sqrt(q); the sum of squares is 1 + chi-square
        away = cvxpy.norm(cvxpy.multiply(mark, p)) <= radius
    return cvxpy.Problem(cvxpy.Minimize(v @ p), [cvxpy.sum(p) == 1, away]), v, radius, mark


def _conic_program(distance: str, q: Floats, v: Floats, radius: float) -> float:
    """The least p . v of the primal problem, by an interior point method."""
    problem, values, size, mark = _conic_problem(distance, q.size)
    values.value = v
    size.value, mark.value = (radius, np.log(q)) if distance == "kl" else (np.sqrt(1 + radius), 1 / np.sqrt(q))
    return float(problem.solve(solver="CLARABEL"))


inner_duals.control("a radius five per cent larger", because="the answer falls with the radius", inflate=1.05)
inner_duals.control("each in the other's ball", because="KL r and chi-square r are different sets", swap=True)


@claim(
    PAPER,
    "two-algorithms",
    r"T V_r = V_r \text{ for one } V_r: \quad V^{\mathrm{VI}} = V^{\mathrm{PI}} = \min_T V_T^{\pi^{\mathrm{PI}}} = V^\star_{T^\star}",
    kind="identity",
    source="recalled",
    assumes="gamma < 1; (s,a)-rectangular polytopes and balls in L1, KL, chi-square",
)
@over(random_polytope.sweep(S=(2, 6), A=2, K=3, gamma=0.9, draws=by_profile(quick=1, full=20)), ball=None)
@over(
    garnet.sweep(
        S=6,
        A=2,
        b=by_profile(quick=3, full=(1, 3)),
        gamma=by_profile(quick=0.8, full=(0.8, 0.95)),
        draws=by_profile(quick=1, full=10),
    ),
    ball=BALLS,
)
def two_algorithms(
    model: Any, *, ball: tuple[Distance, float, Support] | None, tol: float = 1e-9, stop: int | None = None
) -> Comparison:
    r"""Robust value and policy iteration find the same values, which their policy is worth and their kernel allows.

    T is a gamma-contraction. Both solvers end with a bracket of 1e-9; the worst value of the policy is computed by policy
    iteration of the adversary, the optimum of the worst kernel by policy iteration of the player.
    """
    robust = RobustBallMDP(model, *ball) if ball else model
    first, second = robust_value_iteration(robust, tol), robust_policy_iteration(robust, tol)
    value = first.value
    if stop is not None:  # an iteration that is stopped early
        value = np.zeros(len(value))
        for _ in range(stop):
            value = robust_operator(robust, value)
    scale = float(np.abs(second.value).max())
    return all_of(
        algorithms=equal(value, second.value, tolerance=2e-9, scale=max(scale, 1.0)),
        policy=equal(robust_evaluation(robust, second.policy, tol).value, second.value, tolerance=2e-9, scale=max(scale, 1.0)),
        kernel=equal(policy_iteration(first.worst, tol).value, first.value, tolerance=4e-9, scale=max(scale, 1.0)),
    )


two_algorithms.control("value iteration of 20 sweeps", because="0.8^20 is 0.01", stop=20)


@claim(
    PAPER,
    "radius",
    r"V^\star_{\text{worst case}} = V_{r_{\max}} \le V_{r'} \le V_r \le V_0 = V^\star_{\text{nominal}} \quad (r \le r'), \qquad \sigma\bigl(\tfrac{r + r'}{2}\bigr) \le "
    r"\tfrac12 \sigma(r) + \tfrac12 \sigma(r')",
    kind="inequality",
    source="derived",
    assumes="one ball for each pair; r_max reaches every row on the support (L1: 2; any next state if the support is not restricted)",
)
@over(
    garnet.sweep(S=5, A=2, b=by_profile(quick=3, full=(2, 3)), gamma=0.9, draws=by_profile(quick=1, full=20)),
    ball=(*((d, s) for d, _, s in BALLS),),
)
def radius(mdp: TabularMDP, *, ball: tuple[Distance, Support], concave: bool = False, reverse: bool = False) -> Comparison:
    r"""The robust optimum falls with the radius, from nominal to worst case, and each inner problem is convex in it.

    Larger balls hold more kernels. The ball of the mean radius contains the mean of a row of the one ball and a row of the
    other, as each distance is convex in p. The worst case has a kernel of its own: every pair leads to its least next value.
    """
    distance, support = ball
    reach = {"l1": 2.0, "kl": 60.0, "chi-square": 1e9}[distance]  # the rarest next state of these models has q > 1e-9
    radii = np.append(np.linspace(0.0, 0.6, 4), reach)
    found = np.array([robust_policy_iteration(RobustBallMDP(mdp, distance, r, support)).value for r in radii])
    nominal = policy_iteration(mdp)
    worst = np.zeros(mdp.states)
    for _ in range(400):  # 0.9^400 is 5e-19
        within = np.minimum.reduceat(worst[mdp.next_state], mdp.row_pointer[:-1])
        least = np.full(mdp.pairs, worst.min()) if support == "all" else within
        worst = np.maximum.reduceat(mdp.reward + mdp.gamma * least, mdp.state_pointer[:-1])
    fixed = nominal.value
    curve = np.array(
        [robust_operator(RobustBallMDP(mdp.replace(reward=0 * mdp.reward), distance, r, support), fixed) for r in radii[:-1]]
    )
    pairs = curve[1:-1], (curve[:-2] + curve[2:]) / 2
    return all_of(
        monotone=(at_least if reverse else at_most)(found[1:], found[:-1], slack=2e-8),
        nominal=equal(found[0], nominal.value, tolerance=1e-7),
        worst=equal(found[-1], worst, tolerance=1e-7),
        convex=(at_least if concave else at_most)(*pairs, slack=1e-12),
    )


radius.control("rising with the radius", because="larger sets have worse kernels", reverse=True)
radius.control("concave inner problems", because="the largest values are spent first", concave=True)


@claim(
    PAPER,
    "frozen-lake",
    r"\min_{T \in U(r)} V_T^{\pi^\star_{\text{nominal}}} \le \min_{T \in U(r)} V_T^{\pi_r} = V_r, \qquad V^{\pi_r}_{\text{nominal}} \le V^\star_{\text{nominal}}",
    kind="inequality",
    source="derived",
    assumes="pi_r is the robust policy, certified to 1e-8; balls in L1 on the nominal support",
    note="On the 8x8 lake that slips once in a hundred steps, at discount 0.99 and radius 0.4, the robust policy is worth 0.634 from the start in"
    " its worst kernel and the nominal policy 0.440; in the nominal kernel 0.8707 and 0.8709. On the slippery 4x4 lake at discount 0.95 both"
    " policies are worth the same from the start up to radius 0.4.",
)
@over(
    rarely_slippery_lake.sweep(map_name=("4x4", "8x8"), slip=(0.01, 1.0), gamma=by_profile(quick=0.99, full=(0.95, 0.99))),
    radius=LAKE_RADII,
)
def frozen_lake_radius(mdp: TabularMDP, *, radius: float, swap: bool = False, shrink: float = 1.0) -> Comparison:
    r"""On a lake of uncertain slipperiness the robust policy has the better worst case, the nominal one the better average.

    Each is optimal in its own criterion, whatever the radius. The bracket of the robust optimum closes to 1e-8, and the worst
    value of the robust policy, evaluated on its own, lies in it.
    """
    ball = RobustBallMDP(mdp, "l1", radius)
    robust, nominal = robust_policy_iteration(ball, 1e-8), policy_iteration(mdp, 1e-8)
    worst_robust = robust_evaluation(RobustBallMDP(mdp, "l1", shrink * radius), robust.policy)
    worst_nominal = robust_evaluation(ball, nominal.policy)
    in_nominal = robust_evaluation(RobustBallMDP(mdp, "l1", 0.0), robust.policy)
    pair = (worst_robust.upper, worst_nominal.lower) if swap else (worst_nominal.lower, worst_robust.upper)
    return all_of(
        worst=at_most(*pair, slack=robust.width + worst_robust.width + worst_nominal.width),
        bracket=at_most(robust.width, 1e-8),
        certified=equal(worst_robust.value, robust.value, tolerance=2e-8, scale=1.0),
        nominal=at_most(in_nominal.lower, nominal.upper),
    )


frozen_lake_radius.control("the other way round", because="the robust policy is strictly better in its worst case", swap=True)
frozen_lake_radius.control("the worst value in a ball of 0.9 r", because="it is strictly larger", shrink=0.9)
