r"""Constrained MDPs (Altman 1999; Ding, Zhang, Basar and Jovanovic 2020): duality, multipliers, certificates, primal-dual rates.

Notation: J_r and J_c are discounted returns from the start distribution, not multiplied by 1 - gamma; M = 1 / (1 - gamma). The
problem is max J_r subject to J_c <= d (constraints J_c >= b are those of -c and -b). Rewards and costs of random models lie in
[0, 1]. The slack xi is the largest number such that some policy has J_c <= d - xi for all costs at once. Thresholds are set
between the costs of a policy that costs least (share 0) and those of one that earns most (share 1), so that they bind.
"""

import functools
import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdplab.models import EpisodicMDP, TabularMDP, cliff_walking, episodic_garnet, taxi, to_tabular
from mdplab.models.constrained import ConstrainedMDP, random_costs
from mdplab.solvers import discounted_occupancy, episodic_occupancy, policy_iteration
from mdplab.solvers.constrained import (
    ConstrainedOptimum,
    DualPoint,
    InfeasibleError,
    between_thresholds,
    constrained_returns,
    deterministic_mixture,
    dual_function,
    infeasibility_margin,
    slater_point,
    solve_constrained,
)
from mdplab.solvers.evaluation import evaluate_policies
from mdplab.solvers.npg_primal_dual import dual_descent, npg_primal_dual
from mdplab.solvers.occupancy import policy_from_occupancy
from mdplab.solvers.policy import uniform_policy
from theory.bounds.primal_dual import (
    dual_descent_gap_bound,
    dual_descent_violation_bound,
    multiplier_bound,
    npg_gap_bound,
    npg_sharp_gap_bound,
    npg_sharp_violation_bound,
    npg_violation_bound,
)
from theory.claims import Comparison, Paper, Range, all_of, always, at_most, by_profile, claim, equal, family, over

PAPER = Paper(
    key="cmdp-core",
    title="Constrained Markov Decision Processes",
    authors="Altman; Ding, Zhang, Basar, Jovanovic",
    year=1999,
    theme="safety",
)

Floats = NDArray[np.float64]
SMALL = random_costs.sweep(S=4, A=(2, 3), gamma=(0.5, 0.9), draws=by_profile(quick=1, full=24))
MORE = random_costs.sweep(S=5, A=3, m=(2, 3), b=2, ragged=True, draws=by_profile(quick=1, full=25))


@family(A=2)
def offers(reward: tuple[float, ...] = (1.0, 0.0), cost: tuple[float, ...] = (1.0, 0.0), gamma: float = 0.0) -> ConstrainedMDP:
    """One state, an action for each pair of a reward and a cost."""
    mdp = TabularMDP.from_dense(np.ones((1, len(reward), 1)), [reward], gamma)
    return ConstrainedMDP(mdp, np.array(cost), np.array([1 / (1 - gamma)]))


@family(A=2)
def one_good_offer(A: int = 50, gamma: float = 0.0) -> ConstrainedMDP:
    """One state; of A actions the first pays 1, and all others cost 1."""
    first = np.eye(A)[0]
    return ConstrainedMDP(TabularMDP.from_dense(np.ones((1, A, 1)), [first], gamma), 1 - first, np.array([1 / (1 - gamma)]))


def tabular(model: ConstrainedMDP) -> TabularMDP:
    """The model's dynamics, which are discounted."""
    assert isinstance(model.mdp, TabularMDP)
    return model.mdp


def with_slack(model: ConstrainedMDP, share: float) -> ConstrainedMDP:
    """The model with thresholds a hundredth of the largest cost above those between frugal and greedy: these may leave no slack."""
    return model.replace(threshold=between_thresholds(model, share).threshold + 0.01 * model.steps)


@functools.lru_cache(maxsize=4)
def deterministic_policies(model: ConstrainedMDP) -> tuple[NDArray[np.int64], Floats]:
    """All deterministic stationary policies of a model (K, S), and their returns (K, m+1): J_r and J_c."""
    mdp = tabular(model)
    ranges = [range(a, b) for a, b in itertools.pairwise(mdp.state_pointer.tolist())]
    policies = np.array(list(itertools.product(*ranges)))
    returns = [
        evaluate_policies(mdp.replace(reward=x), policies)[0] @ mdp.start_distribution for x in (mdp.reward, *model.cost)
    ]
    return policies, np.array(returns).T


def deterministic_value(model: ConstrainedMDP, threshold: Floats) -> float:
    """The best reward of a deterministic stationary policy that meets the thresholds, by trying all; 0 if none does."""
    _, returns = deterministic_policies(model)
    return float(returns[(returns[:, 1:] <= threshold + 1e-9).all(axis=1), 0].max(initial=0.0))


def expected_best(mdp: TabularMDP, reward: Floats) -> float:
    """The largest return of ``reward``."""
    return float(mdp.start_distribution @ policy_iteration(mdp.replace(reward=reward)).value)


def least_dual(model: ConstrainedMDP, high: float) -> DualPoint:
    """The minimum of the dual function on [0, high], one constraint: the function is convex and made of finitely many lines.

    The lines at the two ends meet below it. Where they meet, it is evaluated again; the end on whose side it rises moves there.
    """
    left, right = dual_function(model, 0.0, 1e-9), dual_function(model, high, 1e-9)
    while left.subgradient[0] < 0 < right.subgradient[0]:
        a, b = left.multipliers[0], right.multipliers[0]
        slope_a, slope_b = left.subgradient[0], right.subgradient[0]
        meet = (left.upper - right.upper + slope_b * b - slope_a * a) / (slope_b - slope_a)
        floor = left.upper + slope_a * (meet - a)
        new = dual_function(model, min(max(meet, a), b), 1e-9)
        if new.upper <= floor + 1e-9 * model.steps:
            return new
        left, right = (new, right) if new.subgradient[0] < 0 else (left, new)
    return min(left, right, key=lambda point: point.upper)


@claim(
    PAPER,
    "strong-duality",
    r"\max_{\pi : J_c(\pi) \le d} J_r(\pi) = \min_{\lambda \ge 0} \Bigl[ \max_\pi J_{r - \lambda \cdot c}(\pi) + \lambda \cdot d \Bigr], "
    r"\qquad \sum_i \lambda^\star_i \le \frac{1}{(1 - \gamma)\, \xi}",
    kind="identity",
    source="recalled",
    assumes="rewards in [0, 1]; some policy has J_c <= d - xi, xi > 0; the maximum on the left is over random policies",
)
@over(SMALL, share=0.5)
@over(MORE, share=by_profile(quick=(0.5,), full=(0.3, 0.8)))
@over(offers.sweep(gamma=0.9), share=(0.5, 0.98))
def strong_duality(
    model: ConstrainedMDP,
    *,
    share: float,
    deterministic: bool = False,
    reach: float | None = None,
    bound: float = 1.0,
    tolerance: float = 1e-7,
) -> Comparison:
    r"""The occupancy program and the dual function agree, although J is not concave in the policy; multipliers are bounded.

    In the occupancy both are linear programs, dual to each other. With a policy of slack :math:`\xi`, whose reward is not
    negative, :math:`M \ge J_r^\star = g(\lambda^\star) \ge \sum_i \lambda^\star_i \xi`. Taking an offer or leaving it attains the bound as
    the threshold rises. On the left: the value of the policy that HiGHS's solution is turned into, by a linear solve. On the
    right: the dual function, minimised along its lines (one constraint) or by column generation, which never sees the program.
    """
    cmdp = with_slack(model, share)
    found = solve_constrained(cmdp, method="linear-programming")
    slack = slater_point(cmdp).lower
    value = deterministic_value(model, cmdp.threshold) if deterministic else found.value
    top = multiplier_bound(tabular(model).gamma, slack)
    if cmdp.constraints == 1:
        dual = least_dual(cmdp, top if reach is None else reach * found.multipliers[0])
        upper, multiplier = dual.upper, float(dual.multipliers.sum())
    else:
        columns = solve_constrained(cmdp, method="column-generation")
        upper, multiplier = columns.upper, float(columns.multipliers.sum())
        if reach is not None:
            upper = dual_function(cmdp, reach * columns.multipliers).upper
    return all_of(
        duality=equal(value, upper, tolerance=tolerance, scale=model.steps),
        multiplier=at_most(multiplier, bound * top, slack=1e-6 * top),
    )


strong_duality.control("deterministic policies", because="an optimum that binds randomises in one state", deterministic=True)
strong_duality.control(
    "multipliers up to 0.95 of the optimal one", because="the dual function falls as far as the optimal multiplier", reach=0.95
)
strong_duality.control(
    "0.95 of the bound", because="an offer to be taken or left attains it as the threshold rises", bound=0.95
)


@claim(
    PAPER,
    "multiplier-slopes",
    r"\lambda(d') \cdot (d' - d) \le J^\star(d') - J^\star(d) \le \lambda(d) \cdot (d' - d), \qquad d \le d'",
    kind="inequality",
    source="derived",
    assumes="both thresholds can be met; lambda(d) an optimal multiplier at d",
)
@over(SMALL, direction=0.5)
@over(MORE, direction=by_profile(quick=(0.4,), full=(0.1, 0.7)))
def multiplier_slopes(
    model: ConstrainedMDP, *, direction: float, less: float = 1.0, deterministic: bool = False, points: int = 5
) -> Comparison:
    r"""The optimum is concave in the threshold, and optimal multipliers are its slopes: prices of the constraints.

    :math:`J^\star(d') = g_{d'}(\lambda(d')) \le g_{d'}(\lambda(d)) = g_d(\lambda(d)) + \lambda(d) \cdot (d' - d)`, and the same with the two exchanged. Along a
    line of thresholds the optimum is made of finitely many pieces, and inside a piece both bounds are attained.
    """
    first = between_thresholds(model, 0.2).threshold
    way = model.steps * np.where(np.arange(model.constraints) % 2 == 0, direction, 1 - direction)
    steps = np.linspace(0.0, 0.25, points)
    models = [model.replace(threshold=first + t * way) for t in steps]
    optima = [solve_constrained(m, 1e-9) for m in models]
    values = np.array([deterministic_value(model, m.threshold) for m in models] if deterministic else [o.value for o in optima])
    slopes = less * np.array([o.multipliers @ way for o in optima])
    low, high = np.triu_indices(points, 1)
    rise, run = values[high] - values[low], steps[high] - steps[low]
    slack = 4e-9 * model.steps + 1e-9 * np.abs(slopes).max()
    return all_of(
        above=at_most(rise, slopes[low] * run, slack=slack),
        below=at_most(slopes[high] * run, rise, slack=slack),
    )


multiplier_slopes.control(
    "0.95 of the multipliers", because="inside a piece of the optimum the slope is the multiplier", less=0.95
)
multiplier_slopes.control("1.05 times the multipliers", because="inside a piece the slope is the multiplier", less=1.05)
multiplier_slopes.control(
    "deterministic policies", because="their best value is a staircase, not concave in the threshold", deterministic=True
)


@claim(
    PAPER,
    "randomisations",
    r"\sum_s \bigl( |\{a : \pi(a|s) > 0\}| - 1 \bigr) \le |\{i : J_{c_i}(\pi) = d_i\}| \le m, \qquad \pi \sim \text{at most } m + 1 "
    r"\text{ deterministic policies}",
    kind="inequality",
    source="recalled",
    assumes="pi from a basic solution of the occupancy program; sum over visited states",
)
@over(SMALL, share=0.5)
@over(MORE, share=by_profile(quick=(0.5,), full=(0.3, 0.8)))
@over(random_costs.sweep(S=30, A=4, m=4, b=3, draws=by_profile(quick=1, full=10)), share=0.5)
def randomisations(model: ConstrainedMDP, *, share: float, spare: int = 0, basic: bool = True, same: bool = True) -> Comparison:
    r"""An optimal policy need not randomise more often than constraints bind, and mixes at most m + 1 deterministic policies.

    A basic solution has at most as many positive entries as equations bind: one a visited state, and one a binding constraint.
    Peeling off the largest share of a deterministic policy leaves an occupancy with one pair less. The mixture draws one policy at
    the start; its returns are those of the policy.
    """
    cmdp = between_thresholds(model, share)
    mdp = tabular(cmdp)
    found = solve_constrained(cmdp, method="linear-programming")
    returns, occupancy = np.append(found.value, found.costs), found.occupancy
    if not basic:
        ends = [solve_constrained(between_thresholds(model, s), method="linear-programming").occupancy for s in (0.001, 1.0)]
        occupancy = (1 - share) * ends[0] + share * ends[1]
        returns = occupancy @ np.vstack([mdp.reward, cmdp.cost]).T
    visited = occupancy > 1e-9 * model.steps
    counts = np.bincount(mdp.pair_state[visited], minlength=mdp.states)
    extra = int(np.maximum(counts - 1, 0).sum())
    binding = int((np.abs(returns[1:] - cmdp.threshold) <= 1e-7 * model.steps).sum())
    mixture = deterministic_mixture(cmdp, occupancy)
    single = np.array([constrained_returns(cmdp, p)[0] for p in mixture.policies])
    weights = mixture.weights if same else np.full(mixture.weights.size, 1 / mixture.weights.size)
    return all_of(
        states=at_most(extra, binding - spare),
        policies=at_most(mixture.weights.size, model.constraints + 1 - spare),
        returns=equal(weights @ single, returns, tolerance=1e-8, scale=model.steps),
    )


randomisations.control("one randomisation less", because="each binding constraint asks for one", spare=1)
randomisations.control(
    "any policy that binds", because="a mixture of the frugal and the greedy policy differs in many states", basic=False
)
randomisations.control("equal weights in the mixture", because="the constraints fix the weights", same=False)


@claim(
    PAPER,
    "farkas",
    r"\{\pi : J_c(\pi) \le d\} = \emptyset \iff \exists y \ge 0 : \min_\pi \sum_i y_i (J_{c_i}(\pi) - d_i) > 0",
    kind="identity",
    source="derived",
    assumes="finitely many states and actions",
)
@over(
    random_costs.sweep(S=4, A=by_profile(quick=3, full=(2, 3)), m=(2, 3), draws=by_profile(quick=1, full=12)),
    reach=by_profile(quick=(0.9, 0.999, 1.001), full=(0.0, 0.9, 0.999, 1.001, 1.2)),
)
def farkas(
    model: ConstrainedMDP, *, reach: float, seed: int, certificate: str = "found", method: Any = "linear-programming"
) -> Comparison:
    r"""No policy meets the constraints exactly if a weighing of them costs too much under every policy; the solver returns it.

    Return vectors of random policies form a polytope, the hull of those of deterministic ones; a plane separates it from the
    thresholds' orthant, or they meet. The thresholds lie a share ``reach`` of the way from the least of each cost alone (which no
    policy attains for all costs at once) to the costs of a policy that minimises a random weighing of them: they can be met if the
    share is above 1 and not if it is below. The certificate is checked on all deterministic policies.
    """
    weights = np.random.default_rng(seed).dirichlet(np.ones(model.constraints))
    costs = deterministic_policies(model)[1][:, 1:]
    least, frugal = costs.min(axis=0), costs[np.argmin(costs @ weights)]
    cmdp = model.replace(threshold=least + reach * (frugal - least))
    possible = bool(reach >= 1 or (frugal == least).all())
    try:
        found = solve_constrained(cmdp, method=method)
    except InfeasibleError as error:
        y = {
            "found": error.multipliers,
            "one constraint": np.eye(model.constraints)[int(np.argmax(error.multipliers))],
            "equal weights": np.full(model.constraints, 1 / model.constraints),
        }[certificate]
        margin = infeasibility_margin(cmdp, y)
        over_all = float(((costs - cmdp.threshold) @ y).min())
        return all_of(
            verdict=always(not possible, "refused what can be met"),
            certificate=always(margin > 0 and over_all > 0, "the certificate proves nothing"),
            margin=equal(margin, over_all, tolerance=1e-8, scale=model.steps),
        )
    room = slater_point(cmdp)
    returns, _ = constrained_returns(cmdp, found.policy)
    tried = np.random.default_rng(seed).dirichlet(np.ones(model.constraints), size=20)
    return all_of(
        verdict=always(possible, "accepted what cannot be met"),
        policy=at_most(returns[1:], cmdp.threshold, slack=1e-7 * model.steps),
        weighings=at_most(((costs - cmdp.threshold) @ tried.T).min(axis=0), 0.0),
        room=at_most(0.0, room.lower, slack=1e-9 * model.steps),
    )


farkas.control("one constraint at a time", because="each constraint alone can be met", certificate="one constraint")
farkas.control("equal weights", because="what cannot be met together may be met on average", certificate="equal weights")


@claim(
    PAPER,
    "occupancy-round-trip",
    r"d^{\pi_d} = d, \qquad \pi_d(a|s) = \frac{d(s, a)}{\sum_b d(s, b)}, \qquad d = \sum_k w_k d^{\pi_k}",
    kind="identity",
    source="recalled",
    assumes="w a distribution over policies; discounted or episodic occupancies",
)
@over(SMALL, horizon=0)
@over(random_costs.sweep(S=(3, 6), A=3, concentration=0.05, draws=by_profile(quick=2, full=20)), horizon=(0, 4))
def occupancy_round_trip(model: ConstrainedMDP, *, horizon: int, seed: int, naive: bool = False) -> Comparison:
    r"""A mixture of policies and the one policy with its conditional frequencies visit the same, earn the same, cost the same.

    The flow equations are linear, so d solves them, and with the conditional frequencies put in they have one solution. Averaging
    the policies' probabilities instead does not do it.
    """
    mdp = tabular(model)
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(4))
    if horizon:
        P, R = mdp.dense()
        shape = (horizon, *R.shape)
        episodic = EpisodicMDP(P, R, start=mdp.start, horizon=horizon)
        policies = rng.dirichlet(np.full(R.shape[1], 0.3), size=(4, horizon, R.shape[0]))
        visits = np.array([episodic_occupancy(episodic, p).pair for p in policies])
        mixed = np.tensordot(weights, visits, axes=1)
        total = mixed.sum(axis=-1, keepdims=True)
        uniform = np.full(shape, 1 / R.shape[1])
        one = np.divide(mixed, total, out=uniform, where=total > 0)
        if naive:
            one = np.tensordot(weights, policies, axes=1)
        again = episodic_occupancy(episodic, one).pair
    else:
        logits = 3 * rng.normal(size=(4, mdp.pairs))
        raw = np.exp(logits) / np.add.reduceat(np.exp(logits), mdp.state_pointer[:-1], axis=1)[:, mdp.pair_state]
        visits = np.array([discounted_occupancy(mdp, p, normalised=False).pair for p in raw])
        mixed = weights @ visits
        one = weights @ raw if naive else policy_from_occupancy(mdp, mixed)
        again = discounted_occupancy(mdp, one, normalised=False).pair
    return equal(again, mixed, tolerance=1e-10, scale=model.steps)


occupancy_round_trip.control("averaged probabilities", because="a policy counts where it goes, not where others go", naive=True)


@claim(
    PAPER,
    "episodic",
    r"\max_{\pi : \sum_h E\, c_h \le d} \sum_{h < H} E\, r_h = \min_{\lambda \ge 0} \bigl[ V^{r - \lambda \cdot c}_0(\rho) + \lambda \cdot d \bigr]",
    kind="identity",
    source="derived",
    assumes="Markov policies, which may depend on the step",
)
@over(episodic_garnet.sweep(S=3, A=2, H=(2, 5), draws=by_profile(quick=1, full=10)), m=(1, 2), share=0.5, gamma=0.8)
def episodic(
    mdp: EpisodicMDP, *, m: int, share: float, gamma: float, seed: int, stationary: bool = False, undiscounted: bool = False
) -> Comparison:
    r"""Over a finite horizon the same holds for occupancies of steps, and a discounted model of the expanded states agrees.

    The expanded model has a state for each step and state; with discount gamma its returns are the episodic ones of
    gamma^h r_h and gamma^h c_h. Three answers: the program over steps, column generation by backward induction, and the program of
    the expanded model.
    """
    H, S, A = mdp.R.shape
    cost = np.random.default_rng(seed).random((m, H, S, A))
    steps = gamma ** np.arange(H)[:, None, None]
    scaled = ConstrainedMDP(mdp.replace(R=steps * mdp.R), cost if undiscounted else steps * cost, np.full(m, H))
    cmdp = between_thresholds(scaled, share)
    program = solve_constrained(cmdp, method="linear-programming")
    columns = solve_constrained(cmdp, method="column-generation")
    expanded = to_tabular(mdp, gamma)
    wide = np.concatenate((cost.reshape(m, -1), np.zeros((m, A))), axis=1)
    twin = solve_constrained(ConstrainedMDP(expanded, wide, cmdp.threshold), method="linear-programming")
    policy = program.policy
    if stationary:
        visits = program.occupancy.sum(axis=0)
        policy = np.broadcast_to(visits / np.maximum(visits.sum(axis=1, keepdims=True), 1e-300), policy.shape).copy()
        policy[:, visits.sum(axis=1) == 0] = 1 / A
    returns, _ = constrained_returns(cmdp, policy)
    flows = np.append((program.occupancy * cmdp.reward).sum(), (program.occupancy * cmdp.cost).sum(axis=(1, 2, 3)))
    return all_of(
        duality=equal(program.value, columns.upper, tolerance=1e-7, scale=H),
        expanded=equal(program.value, twin.value, tolerance=1e-7, scale=H),
        returns=equal(returns, flows, tolerance=1e-9, scale=H),
        budgets=at_most(returns[1:], cmdp.threshold, slack=1e-7 * H),
    )


episodic.control("one policy for all steps", because="what is left of the budget depends on the step", stationary=True)
episodic.control("costs without their discounts", because="the expanded model discounts costs as well", undiscounted=True)


# -- primal-dual methods --------------------------------------------------------------------------------------------


@claim(
    PAPER,
    "npg-pd-rate",
    r"J_r^\star - \frac1T \sum_{t<T} J_r(\pi_t) \le \frac{7}{(1-\gamma)^2 \sqrt T}, \qquad "
    r"\Bigl[\frac1T \sum_{t<T} J_c(\pi_t) - d\Bigr]_+ \le \frac{2/\xi + 4\xi}{(1-\gamma)^2 \sqrt T}",
    kind="deterministic rate",
    source="recalled",
    assumes="steps 2 log A and 2 (1 - gamma) / sqrt(T), multipliers in [0, 2 / ((1 - gamma) xi)], exact gradients, uniform start",
)
@over(random_costs.sweep(S=4, A=3, gamma=(0.0, 0.9), draws=by_profile(quick=1, full=10)), share=0.5)
@over(offers.sweep(gamma=(0.0, 0.5)), share=0.5)
def npg_pd_rate(
    model: ConstrainedMDP,
    *,
    share: float,
    average: bool = True,
    frozen: bool = False,
    constant: float = 1.0,
    horizons: tuple[int, ...] = by_profile(quick=(100, 400), full=(100, 400, 1600, 6400)),
) -> Comparison:
    r"""Natural policy gradient primal-dual has the rate 1 / sqrt(T), on average over its iterates.

    The gap may be negative: an average that exceeds the threshold may earn more. With the constants of the paper both bounds are
    loose (`cmdp-core/npg-pd-constants` has better ones). The last iterate is no substitute: policies jump from one side of the threshold
    to the other, by as much at T = 1600 as at T = 100.
    """
    cmdp = with_slack(model, share)
    mdp = tabular(cmdp)
    gamma, slack = mdp.gamma, slater_point(cmdp).lower
    value, gaps, excess = solve_constrained(cmdp).value, [], []
    for T in horizons:
        step = 0.0 if frozen else 2 * (1 - gamma) / np.sqrt(T)
        run = npg_primal_dual(cmdp, 2 * np.log(mdp.max_actions), step, T, cap=2 * multiplier_bound(gamma, slack))
        last = slice(-T // 4, None)
        gaps.append(value - (run.average_rewards[-1] if average else run.rewards[last].min()))
        excess.append((run.average_costs[-1, 0] if average else run.costs[last, 0].max()) - cmdp.threshold[0])
    gap_bounds = [constant * npg_gap_bound(gamma, T) for T in horizons]
    excess_bounds = [constant * npg_violation_bound(gamma, T, slack) for T in horizons]
    slack_of_value = 1e-7 * cmdp.steps
    return all_of(
        gap=at_most(gaps, gap_bounds, slack=slack_of_value, x=horizons, label="gap"),
        violation=at_most(np.maximum(excess, 0.0), excess_bounds, slack=slack_of_value, x=horizons, label="violation"),
    )


npg_pd_rate.control("the last iterate", because="policies jump across the threshold for ever", average=False)
npg_pd_rate.control("multipliers frozen at 0", because="the reward alone exceeds the threshold for ever", frozen=True)


@claim(
    PAPER,
    "npg-pd-constants",
    r"J_r^\star - \frac1T \sum_{t<T} J_r(\pi_t) \le B = \frac{\Phi}{\eta_1 T} + \frac{M^2}{T} + \eta_2 \Bigl(M^2 (M - d)_+ + \frac{D^2}{2}\Bigr), "
    r"\qquad \Bigl[\frac1T \sum_{t<T} J_c(\pi_t) - d\Bigr]_+ \le "
    r"\min_{\lambda^\star < \lambda \le C} \frac{B + \lambda^2 / (2 \eta_2 T)}{\lambda - \lambda^\star}",
    kind="deterministic rate",
    source="derived",
    assumes="any steps, lambda_0 = 0, multipliers in [0, C], D = max(d, M - d), Phi the divergence of an optimal policy from the first",
)
@over(
    one_good_offer.sweep(A=1000),
    level=0.5,
    iterations=(1, 10),
    policy_step=1e3,
    multiplier_step=(1e-4, 0.5),
)
@over(offers.sweep(), level=0.5, iterations=1000, policy_step=1.0, multiplier_step=0.03)
@over(
    offers.sweep(reward=Range(0.0, 1.0, size=3), cost=Range(0.0, 0.9, size=3), gamma=0.0),
    level=Range(0.02, 0.5),
    iterations=30,
    policy_step=Range(0.1, 100.0, log=True),
    multiplier_step=Range(0.01, 10.0, log=True),
    budget=by_profile(quick=8, full=300),
)
@over(
    random_costs.sweep(S=4, A=3, gamma=(0.3, 0.9), draws=by_profile(quick=1, full=10)),
    level=0.2,
    iterations=by_profile(quick=(300,), full=(30, 300, 3000)),
    policy_step=(1.0, 100.0),
    multiplier_step=0.02,
)
def npg_pd_constants(
    model: ConstrainedMDP,
    *,
    level: float,
    iterations: int,
    policy_step: float,
    multiplier_step: float,
    improvement: float = 1.0,
    last: bool = False,
) -> Comparison:
    r"""The proof of `cmdp-core/npg-pd-rate` gives smaller constants, for any steps and any cap.

    With Lagrangian advantages, :math:`J_{L_t}(\pi^\star) - J_{L_t}(\pi_t) = M (\Phi_t - \Phi_{t+1} + E \log Z_t) (1 - \gamma) / \eta_1`, and
    :math:`E \log Z_t` is at most :math:`\eta_1 M` times what the step improves :math:`J_{L_t}` from the visits of the optimal policy. The
    improvements telescope up to the moves of the multiplier, which costs :math:`M^2 + T \eta_2 M^2 (M - d)_+` at most, since only upward moves count;
    projected ascent of the multiplier adds :math:`T \eta_2 D^2 / 2`. Any :math:`\lambda` in place of 0 in the last step gives the violation. With
    steps of the rate's size the gap is at most :math:`4.5 M^2 / \sqrt T` instead of 7. One step from uniform over many offers attains M^2.
    """
    mdp = tabular(model)
    least = float(model.steps - slater_point(model).upper)
    cmdp = model.replace(threshold=least + level * (model.steps - least))
    optimum = solve_constrained(cmdp)
    cap = 2 * multiplier_bound(mdp.gamma, level * (model.steps - least))
    run = npg_primal_dual(cmdp, policy_step, multiplier_step, iterations, cap=cap)
    visits = optimum.occupancy / model.steps
    logs = np.log(np.maximum(optimum.policy, 1e-300) / uniform_policy(mdp))
    distance = max(float(visits @ logs), 0.0)
    threshold = float(cmdp.threshold[0])
    gap = npg_sharp_gap_bound(mdp.gamma, iterations, threshold, policy_step, multiplier_step, distance, improvement)
    violation = npg_sharp_violation_bound(gap, iterations, multiplier_step, float(optimum.multipliers[0]), cap)
    reward, cost = (run.rewards[-1], run.costs[-1, 0]) if last else (run.average_rewards[-1], run.average_costs[-1, 0])
    slack = 2e-7 * model.steps
    return all_of(
        gap=at_most(optimum.value - reward, gap, slack=slack),
        violation=at_most(max(cost - threshold, 0.0), violation, slack=slack),
    )


npg_pd_constants.control("the last iterate", because="it exceeds the threshold by half at every T", last=True)
npg_pd_constants.control("0.9 M^2", because="one step from uniform over many offers attains it", improvement=0.9)


@claim(
    PAPER,
    "dual-descent",
    r"J_r^\star - \frac1T \sum_{t<T} J_r(\pi_t) \le \frac{\eta G^2}{2}, \qquad \Bigl\|\Bigl[\frac1T \sum_{t<T} J_c(\pi_t) - d\Bigr]_+\Bigr\| \le "
    r"\frac{\|\lambda^\star\| + \sqrt{\|\lambda^\star\|^2 + T \eta^2 G^2}}{\eta T}",
    kind="deterministic rate",
    source="derived",
    assumes="best responses, lambda_0 = 0, |J_c - d| <= G for all policies",
)
@over(
    random_costs.sweep(S=4, A=3, draws=by_profile(quick=1, full=12)),
    share=0.5,
    step=0.1,
    iterations=by_profile(quick=(10, 40), full=(10, 40, 400)),
)
@over(
    random_costs.sweep(S=4, A=3, m=2, draws=by_profile(quick=1, full=12)),
    share=0.5,
    step=by_profile(quick=0.1, full=(0.02, 0.5)),
    iterations=30,
)
@over(offers.sweep(reward=((1.0, 0.0), (0.001, 0.0))), share=(0.02, 0.5), step=1.0, iterations=(1, 40))
def dual_descent_rate(
    model: ConstrainedMDP,
    *,
    share: float,
    step: float,
    iterations: int,
    last: bool = False,
    excess_factor: float = 1.0,
) -> Comparison:
    r"""Projected subgradient descent on the dual function: its average policy is nearly optimal and nearly feasible.

    :math:`\|\lambda_{t+1} - \lambda\|^2 \le \|\lambda_t - \lambda\|^2 - 2 \eta (\lambda_t - \lambda) \cdot (d - J_c(\pi_t)) + \eta^2 G^2`. With :math:`\lambda = 0`, summed up, it bounds
    :math:`\sum_t \lambda_t \cdot (d - J_c(\pi_t))`, and :math:`J_r(\pi_t) + \lambda_t \cdot (d - J_c(\pi_t)) = g(\lambda_t) \ge J_r^\star`. The sum of the excesses is at most
    :math:`\lambda_T / \eta`, and with :math:`\lambda = \lambda^\star` the multipliers stay within the root of :math:`\lambda^\star`. A single best response is
    deterministic, and never learns to mix.
    """
    cmdp = between_thresholds(model, share)
    optimum = solve_constrained(cmdp)
    mdp = tabular(cmdp)
    most, least = ([sign * expected_best(mdp, sign * c) for c in cmdp.cost] for sign in (1, -1))
    size = float(np.linalg.norm(np.maximum(most - cmdp.threshold, cmdp.threshold - least)))
    run = dual_descent(cmdp, step, iterations)
    rewards, costs = (run.rewards[-1], run.costs[-1]) if last else (run.average_rewards[-1], run.average_costs[-1])
    excess = float(np.linalg.norm(np.maximum(costs - cmdp.threshold, 0.0)))
    norm = float(np.linalg.norm(optimum.multipliers))
    slack = 4e-7 * model.steps
    return all_of(
        gap=at_most(optimum.value - rewards, dual_descent_gap_bound(step, size), slack=slack),
        violation=at_most(excess, excess_factor * dual_descent_violation_bound(step, size, iterations, norm), slack=slack),
    )


dual_descent_rate.control("0.95 of the excess", because="a first step into a worthless offer attains it", excess_factor=0.95)
dual_descent_rate.control("the last best response", because="best responses jump across the threshold", last=True)


# -- real models ----------------------------------------------------------------------------------------------------


def priced(
    models: list[ConstrainedMDP], optima: list[ConstrainedOptimum], *, less: float = 1.0, uppers: list[float] | None = None
) -> Comparison:
    """Brackets close, the optimum is concave along the first thresholds, and multipliers are its slopes.

    ``less`` multiplies the prices, ``uppers`` replace the optima's upper bounds (in controls).
    """
    scale = models[0].steps * float(np.ptp(models[0].reward))
    values, budgets = np.array([o.value for o in optima]), np.array([m.threshold[0] for m in models])
    prices = less * np.array([o.multipliers[0] for o in optima])
    spent = np.array([o.costs[0] for o in optima])
    rise, run = np.diff(values), np.diff(budgets)
    slack = 2e-7 * scale
    return all_of(
        bracket=equal(uppers or [o.upper for o in optima], values, tolerance=1e-7, scale=scale),
        within=always(spent <= budgets + 1e-7 * models[0].steps, "a budget is exceeded"),
        spent=equal(prices * (budgets - spent), 0.0, tolerance=1e-7, scale=scale),
        above=at_most(rise, prices[:-1] * run, slack=slack),
        below=at_most(prices[1:] * run, rise, slack=slack),
    )


@claim(
    PAPER,
    "cliff-walking",
    r"J^\star(d) = \min_{\lambda \ge 0} g_d(\lambda) \text{ is concave in the budget of falls } d, \qquad \frac{dJ^\star}{dd} = \lambda^\star(d)",
    kind="identity",
    source="derived",
    assumes="Gymnasium's CliffWalking with an actor that takes a random action now and then; cost = expected discounted number of falls",
)
@over(cliff_walking.sweep(gamma=0.95), tremble=by_profile(quick=(0.1,), full=(0.05, 0.1, 0.2)))
def cliff(mdp: TabularMDP, *, tremble: float, less: float = 1.0, risk_free: bool = False) -> Comparison:
    r"""What a fall is worth on the cliff: budgets of risk have prices, which rise as the budget shrinks.

    Each step costs 1. The edge is the short way and the safe one is long; with an action out of ten at random, the budget decides
    how often the edge is taken. At gamma = 0.95 a fall is worth 2.3 discounted steps at most budgets, and 176 near the least
    possible 0.028 falls.
    """
    P, R = mdp.dense()
    falls = (R <= -100).astype(float)
    P = (1 - tremble) * P + tremble * P.mean(axis=1, keepdims=True)
    falls = (1 - tremble) * falls + tremble * falls.mean(axis=1, keepdims=True)
    walk = TabularMDP.from_dense(P, np.where(R < 0, -1.0, 0.0), mdp.gamma, mdp.start)
    model = ConstrainedMDP(walk, falls, np.array([1 / (1 - mdp.gamma)]), ("falls",))
    models = [between_thresholds(model, s) for s in (0.02, 0.1, 0.3, 0.7)]
    uppers = [dual_function(model, 0.0).value] * len(models) if risk_free else None
    return priced(models, [solve_constrained(m) for m in models], less=less, uppers=uppers)


cliff.control("0.95 of the price", because="between two kinks of the curve the price is the slope", less=0.95)
cliff.control("the value without a budget", because="the budget costs steps", risk_free=True)


@functools.cache
def fuelled(gamma: float, fuel: float, complaints: float) -> tuple[ConstrainedMDP, ConstrainedOptimum]:
    """The taxi with budgets of moves and of illegal actions, and its optimum; 20 complaints are as good as any number."""
    mdp = taxi(gamma=gamma)
    assert mdp.action is not None
    moves = ((mdp.action < 4) & (mdp.pair_state < mdp.states - 1)).astype(float)
    illegal = (mdp.reward == -10).astype(float)
    fares = mdp.replace(reward=np.where(mdp.reward == 20, 20.0, 0.0))
    model = ConstrainedMDP(fares, np.stack([moves, illegal]), np.array([fuel, complaints]), ("moves", "illegal actions"))
    return model, solve_constrained(model)


@claim(
    PAPER,
    "taxi",
    r"J^\star(d) = \min_{\lambda \ge 0} g_d(\lambda) \text{ is concave in the budget of fuel } d, \qquad \frac{\partial J^\star}{\partial d_1} = \lambda_1^\star(d)",
    kind="identity",
    source="derived",
    assumes="Gymnasium's Taxi; reward 20 for a delivery; costs = expected discounted numbers of moves and of illegal actions",
)
@over(taxi.sweep(gamma=0.95), complaints=by_profile(quick=(10.0,), full=(8.5, 10.0, 20.0)))
def taxi_fuel(mdp: TabularMDP, *, complaints: float, less: float = 1.0, uncomplaining: bool = False) -> Comparison:
    r"""What fuel is worth to a taxi: with too little of it the far passengers are left standing.

    A delivery earns 20. A move costs a unit of fuel, and who does not want to move has to act illegally, which costs a complaint.
    The best tour needs 8.34 discounted moves. With half of that a unit of fuel is worth 1.15, with a fifth 3.4 (and a complaint
    0.77, since waiting is then short as well).
    """
    solved = [fuelled(mdp.gamma, fuel, complaints) for fuel in (1.7, 4.2, 4.21, 8.0)]
    models, optima = [m for m, _ in solved], [o for _, o in solved]
    uppers = [fuelled(mdp.gamma, 1.7, 20.0)[1].upper, *(o.upper for o in optima[1:])] if uncomplaining else None
    return priced(models, optima, less=less, uppers=uppers)


taxi_fuel.control("0.95 of the price", because="between two kinks of the curve the price is the slope", less=0.95)
taxi_fuel.control(
    "as many complaints as you like",
    because="with little fuel both budgets bind, and waiting is worth something",
    uncomplaining=True,
)
