"""Accelerating Value Iteration with Anchoring (Lee and Ryu 2023): the Bellman residual falls as 1/k, even at discount 1."""

import numpy as np
from numpy.typing import NDArray

from mdplab.models import TabularMDP, combination_lock, frozen_lake, grid_world, model_family, two_state
from mdplab.solvers import (
    anchored_value_iteration,
    bellman_operator,
    evaluate_policy,
    policy_iteration,
    policy_operator,
    uniform_policy,
)
from paper_checks.instances import (
    Floats,
    certifiable,
    optimum,
    random_models,
    random_policy,
    random_value,
    real_models,
    structured_models,
    sweep_rounding,
)
from theory.claims import Comparison, Paper, Range, at_least, at_most, by_profile, claim, domain, over

PAPER = Paper(
    key="anchored-vi",
    title="Accelerating Value Iteration with Anchoring",
    authors="Lee, Ryu",
    year=2023,
    theme="classical",
    arxiv="2305.16569",
    venue="NeurIPS 2023",
)


@model_family(S=2)
def one_way(S: int = 14, gamma: float = 0.9) -> TabularMDP:
    """A corridor without choices: state s leads to s + 1, the last state absorbs, and only the last step pays, 1."""
    P, R = np.zeros((S, 1, S)), np.zeros((S, 1))
    P[np.arange(S), 0, np.minimum(np.arange(S) + 1, S - 1)] = 1.0
    R[S - 2] = 1.0
    return TabularMDP.from_dense(P, R, gamma)


FREE = two_state.sweep(stay=Range(0.0, 1.0, size=4), reward=Range(-1.0, 1.0, size=4), gamma=Range(0.1, 0.99))
BUDGET = by_profile(quick=150, full=3000)
CORRIDOR = one_way.sweep(gamma=(0.5, 0.9, 0.99))


def _coefficient(gamma: float, k: NDArray[np.int64], surplus: float) -> Floats:
    """(1/gamma - gamma) (1 + surplus gamma - gamma^{k+1}) / (gamma^{-(k+1)} - gamma^{k+1})."""
    power = gamma ** (k + 1.0)
    return (1 / gamma - gamma) * (1 + surplus * gamma - power) / (1 / power - power)


def _residuals(
    mdp: TabularMDP, start: Floats, iterations: int, policy: Floats | None, algorithm: str = "anchored"
) -> tuple[Floats, Floats]:
    """||TU^k - U^k|| for k = 0, ..., K, and how far rounding may put each off."""
    residuals: Floats
    if algorithm == "anchored":
        run = anchored_value_iteration(mdp, iterations, start=start, policy=policy)
        values, residuals = run.values, run.residuals
    else:  # plain value iteration: the residual is the next change
        values = np.empty((iterations + 2, mdp.states))
        values[0] = start
        for k in range(iterations + 1):
            values[k + 1] = bellman_operator(mdp, values[k]) if policy is None else policy_operator(mdp, policy, values[k])
        residuals = np.abs(np.diff(values, axis=0)).max(axis=1)
    return residuals, np.asarray(2 * (np.arange(iterations + 1) + 2) * sweep_rounding(mdp, values), dtype=np.float64)


def _start(mdp: TabularMDP, start: str | tuple[float, ...], near: Floats, rng: np.random.Generator) -> Floats:
    """U^0: an axis' own numbers around ``near``, zero, a draw, or a step away from ``near`` everywhere but at the end.

    "opposite" is 1 below and at the last state 1 above; "low" and "high" are 1 below and above, and right at the last state.
    """
    inner = np.arange(mdp.states) < mdp.states - 1
    if isinstance(start, tuple):
        return near + np.array(start)
    if start == "opposite":
        return near + np.where(inner, -1.0, 1.0)
    if start in ("low", "high"):
        return near + np.where(inner, -1.0 if start == "low" else 1.0, 0.0)
    return np.zeros(mdp.states) if start == "zero" else random_value(mdp, rng)


def _made_monotone(mdp: TabularMDP, U: Floats, policy: Floats | None, side: str) -> Floats:
    """U moved by the constant that makes it satisfy U <= TU ("below") or U >= TU ("above")."""
    change = (bellman_operator(mdp, U) if policy is None else policy_operator(mdp, policy, U)) - U
    least = min(float(change.min()), 0.0) if side == "below" else max(float(change.max()), 0.0)
    # a little more than needed, so that rounding leaves the inequality true
    return U + (1 + 1e-9) * least / (1 - mdp.gamma) + np.sign(least) * sweep_rounding(mdp, U) / (1 - mdp.gamma)


def _pessimum(mdp: TabularMDP) -> tuple[Floats, float]:
    """The fixed point of the anti-optimality operator, which takes the worst action everywhere, and its error."""
    found = policy_iteration(mdp.replace(reward=-mdp.reward), certifiable(mdp))
    return -found.value, found.width


@claim(
    PAPER,
    "consistency",
    r"\|T^\pi U^k - U^k\|_\infty \le \frac{(\gamma^{-1} - \gamma)(1 + 2\gamma - \gamma^{k+1})}"
    r"{\gamma^{-(k+1)} - \gamma^{k+1}}\, \|U^0 - U^\pi\|_\infty",
    kind="deterministic rate",
    source="recalled",
    assumes="Bellman consistency operator of a policy; 0 < gamma < 1",
)
@over(CORRIDOR, start="opposite")
@over(real_models() | structured_models() | random_models(), start=("zero", "random"))
@over(FREE, start=Range(-1.0, 1.0, size=2), budget=BUDGET)
def consistency(
    mdp: TabularMDP,
    *,
    start: str | tuple[float, ...],
    seed: int,
    iterations: int = 24,
    algorithm: str = "anchored",
    surplus: float = 2.0,
) -> Comparison:
    r"""Anchored evaluation of a policy: the accelerated rate of the Bellman residual.

    Since :math:`1 - \beta_j = \beta_j \gamma^{-2} / \beta_{j-1}`, the error is :math:`e^k = \beta_k \sum_{i \le k} \gamma^{-i}
    P^i e^0`, and the residual :math:`(\gamma P - I) e^k = \beta_k [\gamma^{1-k} P^{k+1} - I - (1 - \gamma^2) \sum_{i=1}^k
    \gamma^{-i} P^i]\, e^0`. The absolute coefficients add up to the bound. A corridor whose end errs one way and all other
    states the other way attains it for every k. As gamma tends to 1 the bound becomes 2 / (k + 1).
    """
    rng = np.random.default_rng(seed)
    policy = random_policy(mdp, rng)
    fixed = evaluate_policy(mdp, policy)
    U = _start(mdp, start, fixed.value, rng)
    residuals, rounding = _residuals(mdp, U, iterations, policy, algorithm)
    k = np.arange(iterations + 1)
    bound = _coefficient(mdp.gamma, k, surplus)
    distance = float(np.abs(U - fixed.value).max())
    return at_most(residuals[1:], (bound * distance)[1:], slack=(rounding + bound * fixed.error)[1:], x=k[1:])


consistency.control("plain value iteration", because="its residual falls as gamma^k only", algorithm="plain")
consistency.control("the constant of monotone starts", because="errors of both signs add up", surplus=1.0)


@claim(
    PAPER,
    "consistency-monotone",
    r"U^0 \le T^\pi U^0 \text{ or } U^0 \ge T^\pi U^0 \implies \|T^\pi U^k - U^k\|_\infty \le "
    r"\frac{(\gamma^{-1} - \gamma)(1 + \gamma - \gamma^{k+1})}{\gamma^{-(k+1)} - \gamma^{k+1}}\, \|U^0 - U^\pi\|_\infty",
    kind="deterministic rate",
    source="recalled",
    assumes="Bellman consistency operator of a policy; 0 < gamma < 1",
)
@over(CORRIDOR, side="below", start="low")
@over(CORRIDOR, side="above", start="high")
@over(real_models() | structured_models() | random_models(), side=("below", "above"), start="random")
@over(FREE, side=("below", "above"), start=Range(-1.0, 1.0, size=2), budget=BUDGET)
def consistency_monotone(
    mdp: TabularMDP,
    *,
    side: str,
    start: str | tuple[float, ...],
    seed: int,
    iterations: int = 24,
    surplus: float = 1.0,
    algorithm: str = "anchored",
) -> Comparison:
    r"""Anchored evaluation from a start that the operator moves one way is faster still.

    Then e^0 has one sign, and the positive and the negative coefficients of the residual act against each other: the larger
    sum, :math:`\beta_k (\gamma^{-k} + \gamma^{1-k} - \gamma)`, is the bound. A corridor whose end alone is right from the start attains
    it for every k. As gamma tends to 1 it becomes 1 / (k + 1).
    """
    rng = np.random.default_rng(seed)
    policy = random_policy(mdp, rng, sharpness=20.0)
    fixed = evaluate_policy(mdp, policy)
    U = _made_monotone(mdp, _start(mdp, start, fixed.value, rng), policy, side)
    residuals, rounding = _residuals(mdp, U, iterations, policy, algorithm)
    k = np.arange(iterations + 1)
    bound = _coefficient(mdp.gamma, k, surplus)
    distance = float(np.abs(U - fixed.value).max())
    return at_most(residuals[1:], (bound * distance)[1:], slack=(rounding + bound * fixed.error)[1:], x=k[1:])


consistency_monotone.control("surplus 1/2 in place of 1", because="a corridor attains the constant", surplus=0.5)
consistency_monotone.control("plain value iteration", because="its residual falls as gamma^k only", algorithm="plain")


def _optimality(mdp: TabularMDP, U: Floats, iterations: int, surplus: float, algorithm: str, pessimum: bool) -> Comparison:
    best = optimum(mdp)
    distance, error = float(np.abs(U - best.value).max()), best.width
    if pessimum:
        worst, width = _pessimum(mdp)
        distance, error = max(distance, float(np.abs(U - worst).max())), max(error, width)
    residuals, rounding = _residuals(mdp, U, iterations, None, algorithm)
    k = np.arange(iterations + 1)
    bound = _coefficient(mdp.gamma, k, surplus)
    return at_most(residuals[1:], (bound * distance)[1:], slack=(rounding + bound * error)[1:], x=k[1:])


@claim(
    PAPER,
    "optimality",
    r"\|T U^k - U^k\|_\infty \le \frac{(\gamma^{-1} - \gamma)(1 + 2\gamma - \gamma^{k+1})}{\gamma^{-(k+1)} - \gamma^{k+1}}\, "
    r"\max\{\|U^0 - U^\star\|_\infty, \|U^0 - \hat U^\star\|_\infty\}",
    kind="deterministic rate",
    source="recalled",
    assumes="Bellman optimality operator; U-hat is the fixed point of the operator with the worst action; 0 < gamma < 1",
    note="We know no model that needs the distance to U-hat here: a search over deterministic models of four states stayed "
    "below 1 with the distance to U* alone. Starts from above do need it (optimality-monotone).",
)
@over(CORRIDOR, start="opposite")
@over(real_models() | structured_models() | random_models(), start=("zero", "random"))
@over(FREE, start=Range(-1.0, 1.0, size=2), budget=BUDGET)
def optimality(
    mdp: TabularMDP,
    *,
    start: str | tuple[float, ...],
    seed: int,
    iterations: int = 24,
    surplus: float = 2.0,
    algorithm: str = "anchored",
) -> Comparison:
    """Anchored value iteration: the accelerated rate of the Bellman residual.

    The proof brackets the residual of the optimality operator between those of two policies, one of which may be a bad one;
    hence the distance to the fixed point of the operator that takes the worst action.
    """
    U = _start(mdp, start, optimum(mdp).value, np.random.default_rng(seed))
    return _optimality(mdp, U, iterations, surplus, algorithm, pessimum=True)


optimality.control("plain value iteration", because="its residual falls as gamma^k only", algorithm="plain")
optimality.control("the constant of monotone starts", because="errors of both signs add up", surplus=1.0)


@claim(
    PAPER,
    "optimality-monotone",
    r"\|T U^k - U^k\|_\infty \le \frac{(\gamma^{-1} - \gamma)(1 + \gamma - \gamma^{k+1})}{\gamma^{-(k+1)} - \gamma^{k+1}}\, D, \quad "
    r"D = \begin{cases} \|U^0 - U^\star\|_\infty & U^0 \le T U^0 \\ "
    r"\max\{\|U^0 - U^\star\|_\infty, \|U^0 - \hat U^\star\|_\infty\} & U^0 \ge T U^0 \end{cases}",
    kind="deterministic rate",
    source="recalled",
    assumes="Bellman optimality operator; U-hat is the fixed point of the operator with the worst action; 0 < gamma < 1",
)
@over(CORRIDOR, side="below", start="low")
@over(CORRIDOR, side="above", start="high")
@over(real_models() | structured_models() | random_models(), side=("below", "above"), start="random")
@over(
    two_state.sweep(stay=[(1.0, 0.0, 1.0, 1.0)], reward=[(-0.65, 0.0, 0.0, 0.0)], gamma=0.99), side="above", start=[(1.0, 0.0)]
)
@over(FREE, side=("below", "above"), start=Range(-1.0, 1.0, size=2), budget=BUDGET)
def optimality_monotone(
    mdp: TabularMDP,
    *,
    side: str,
    start: str | tuple[float, ...],
    seed: int,
    iterations: int = 24,
    surplus: float = 1.0,
    algorithm: str = "anchored",
    pessimum: bool = True,
) -> Comparison:
    """Anchored value iteration from a start that the operator moves one way.

    From below the distance to U* is enough. From above it is not: state 0 may stay for the reward -x or leave for an absorbing
    state of value 0, and U^0 is 1 in state 0. Staying looks good from U^0 and bad from U^1, so that U^1 is high and TU^1 low;
    with x = 0.65 and gamma = 0.99 the residual of U^1 is 1.3 times what the distance to U* allows.
    """
    U = _start(mdp, start, optimum(mdp).value, np.random.default_rng(seed))
    U = _made_monotone(mdp, U, None, side)
    return _optimality(mdp, U, iterations, surplus, algorithm, pessimum=pessimum and side == "above")


optimality_monotone.control(
    "the distance to U* alone", because="from above the first greedy policy may be a bad one", pessimum=False
)
optimality_monotone.control("surplus 1/2 in place of 1", because="a corridor attains the constant", surplus=0.5)
optimality_monotone.control("plain value iteration", because="its residual falls as gamma^k only", algorithm="plain")


def _endless_value(mdp: TabularMDP, policy: Floats | None) -> Floats:
    """The limit of value iteration from 0 at discount 1; from below if rewards are not negative."""
    values = np.zeros(mdp.states)
    for _ in range(100_000):
        new = bellman_operator(mdp, values) if policy is None else policy_operator(mdp, policy, values)
        if np.abs(new - values).max() <= 1e-15 * (1 + np.abs(new).max()):
            break
        values = new
    return values


ENDING = (
    frozen_lake.sweep(map_name=("4x4", "8x8"), gamma=1.0)
    | frozen_lake.sweep(map_name="4x4", is_slippery=False, gamma=1.0)
    | combination_lock.sweep(A=3, H=(2, 6), bait=0.1, gamma=1.0)
    | grid_world.sweep(slip=(0.0, 0.2), gamma=1.0)
)
SHORT = two_state.sweep(stay=Range(0.0, 0.9, size=4), reward=[(0.0, 1.0, 0.0, 0.0), (1.0, 0.2, 0.0, 0.0)], gamma=1.0)


@claim(
    PAPER,
    "undiscounted",
    r"\gamma = 1,\; U^0 \le T U^0,\; U^0 \le U^\star \implies \|T U^k - U^k\|_\infty \le \frac{1}{k+1}\, \|U^0 - U^\star\|_\infty",
    kind="deterministic rate",
    source="recalled",
    assumes="Bellman optimality or consistency operator with a fixed point U* above U^0",
)
@over(ENDING, operator=("optimality", "consistency"))
@over(
    two_state.sweep(
        stay=[(0.0, 0.5, 1.0, 1.0), (0.9, 0.2, 1.0, 1.0)], reward=[(0.0, 1.0, 0.0, 0.0), (1.0, 0.2, 0.0, 0.0)], gamma=1.0
    ),
    operator=("optimality", "consistency"),
)
def undiscounted(
    mdp: TabularMDP, *, operator: str, iterations: int = 60, power: float = 1.0, algorithm: str = "anchored"
) -> Comparison:
    r"""Without discounting the residual of anchored value iteration still falls as 1 / (k + 1).

    For a policy, :math:`U^k = \frac{1}{k+1} \sum_{i \le k} T^i U^0` and the residual is :math:`(T^{k+1} U^0 - U^0) / (k+1)`, which lies
    between 0 and :math:`(U^\star - U^0) / (k+1)`. Attained once all reward has been collected. Models end and pay no negative
    reward, U^0 is 0, and U* the limit of value iteration from below, so that the right side errs on the strict side.
    """
    policy = uniform_policy(mdp) if operator == "consistency" else None
    fixed = _endless_value(mdp, policy)
    residuals, rounding = _residuals(mdp, np.zeros(mdp.states), iterations, policy, algorithm)
    k = np.arange(iterations + 1)
    size = float(fixed.max())
    return at_most(residuals[1:], size / (k[1:] + 1.0) ** power, slack=rounding[1:] + 1e-12 * size, x=k[1:])


undiscounted.control("1 / (k + 1)^2", because="the average of k + 1 iterates moves by 1 / (k + 1)", power=2.0)
undiscounted.control("plain value iteration", because="a reward that is k steps away arrives all at once", algorithm="plain")


@claim(
    PAPER,
    "undiscounted-consistency",
    r"\gamma = 1 \implies \|T^\pi U^k - U^k\|_\infty \le \frac{2}{k+1}\, \|U^0 - U^\pi\|_\infty \quad \text{for any fixed point } U^\pi",
    kind="deterministic rate",
    source="derived",
    assumes="Bellman consistency operator with a fixed point; any start",
)
@over(ENDING, start=("opposite", "random"), acting="uniform")
@over(
    grid_world.sweep(map="S...........G", slip=0.0, gamma=1.0) | combination_lock.sweep(A=2, H=12, gamma=1.0),
    start=("opposite", "random"),
    acting="greedy",
)
def undiscounted_consistency(
    mdp: TabularMDP,
    *,
    start: str,
    acting: str,
    seed: int,
    iterations: int = 40,
    factor: float = 2.0,
    algorithm: str = "anchored",
) -> Comparison:
    r"""Without discounting, anchored evaluation from any start: the residual is :math:`(P^{k+1} - I) e^0 / (k + 1)`.

    A corridor whose end errs one way and all other states the other way attains the bound as long as k is below its length.
    """
    rng = np.random.default_rng(seed)
    policy = uniform_policy(mdp)
    if acting == "greedy":  # the policy that is greedy for the values of these deterministic models walks to the end
        q = mdp.reward + mdp.transition_matrix() @ _endless_value(mdp, None)
        owner = mdp.pair_state
        steps = mdp.transition_matrix() @ np.arange(mdp.states)  # ties: towards the end, which has the highest number
        best = np.lexsort((-steps, -np.round(q, 9), owner))
        policy = np.zeros(mdp.pairs)
        policy[best[np.searchsorted(owner[best], np.arange(mdp.states))]] = 1.0
    fixed = _endless_value(mdp, policy)
    U = _start(mdp, start, fixed, rng)
    residuals, rounding = _residuals(mdp, U, iterations, policy, algorithm)
    k = np.arange(iterations + 1)
    distance = float(np.abs(U - fixed).max())
    return at_most(residuals[1:], factor * distance / (k[1:] + 1), slack=rounding[1:] + 1e-12 * distance, x=k[1:])


undiscounted_consistency.control("1 in place of 2", because="errors of both signs add up", factor=1.0)
undiscounted_consistency.control("plain value iteration", because="its residual need not fall at all", algorithm="plain")


def _best_in_span(mdp: TabularMDP, k: int) -> float:
    """The smallest residual of any U in the span of R, (gamma P) R, ..., (gamma P)^{k-1} R: a linear program."""
    from scipy.optimize import linprog

    step = mdp.gamma * mdp.transition_matrix().toarray()
    basis = [mdp.reward.copy()]
    for _ in range(k - 1):
        basis.append(step @ basis[-1])
    columns = (step - np.eye(mdp.states)) @ np.array(basis).T
    ones = np.ones((mdp.states, 1))
    sides = np.block([[columns, -ones], [-columns, -ones]])
    cost = np.append(np.zeros(k), 1.0)
    found = linprog(cost, A_ub=sides, b_ub=np.concatenate((-mdp.reward, mdp.reward)), bounds=(None, None), method="highs")
    return float(found.fun)


@claim(
    PAPER,
    "span-lower-bound",
    r"\exists \text{ MDP}: \|T U^k - U^k\|_\infty \ge \frac{\gamma^k}{\sum_{i=0}^k \gamma^i}\, \|U^0 - U^\star\|_\infty "
    r"\text{ for all } U^k \in U^0 + \mathrm{span}\{T U^0 - U^0, \dots, T U^{k-1} - U^{k-1}\}",
    kind="lower bound",
    source="recalled",
    assumes="at least k + 2 states; 0 < gamma <= 1; U^0 = 0 here",
)
@over(one_way.sweep(S=12, gamma=(0.3, 0.9, 0.99, 1.0)), k=(1, 2, 5, 10), method=("best", "anchored", "plain"))
def span_lower_bound(mdp: TabularMDP, *, k: int, method: str, factor: float = 1.0) -> Comparison:
    r"""No method that combines Bellman residuals beats gamma^k / (1 + ... + gamma^k).

    In a corridor that pays only in its last step, news of the reward travels one state a sweep: U^k is a_1, ..., a_k on the k
    states before the end, counted from there, and 0 elsewhere, and the residuals :math:`1 - a_1, \gamma a_1 - a_2, \dots, \gamma a_k`, weighted with
    :math:`\gamma^k, \gamma^{k-1}, \dots, 1`, add up to :math:`\gamma^k` whatever the a_i are. The best method, found by linear
    programming, attains the bound; U* is at most 1.
    """
    if method == "best":
        # HiGHS solves to 1e-7 in feasibility unless told otherwise, and its objective is as good as that
        residual, slack = _best_in_span(mdp, k), 1e-7
    else:
        found, rounding = _residuals(mdp, np.zeros(mdp.states), k, np.ones(mdp.pairs), method)
        residual, slack = float(found[k]), float(rounding[k])
    return at_least(residual, factor * mdp.gamma**k / float((mdp.gamma ** np.arange(k + 1)).sum()), slack=slack)


span_lower_bound.control("1.05 times the bound", because="the best combination attains it", factor=1.05)
span_lower_bound.control(
    "k + 1 states",
    because="the corridor is then solved exactly",
    on=domain(one_way.sweep(S=5, gamma=(0.9, 1.0)), k=4, method="best"),
)


@claim(
    PAPER,
    "optimal-up-to-4",
    r"\frac{(\gamma^{-1} - \gamma)(1 + \gamma - \gamma^{k+1})}{\gamma^{-(k+1)} - \gamma^{k+1}} \le "
    r"4\, \frac{\gamma^k}{\sum_{i=0}^k \gamma^i}",
    kind="inequality",
    source="recalled",
    assumes="0 < gamma < 1; the upper bound is that for U^0 <= T U^0",
)
@over(gamma=(0.1, 0.5, 0.9, 0.99, 0.999), k=(0, 1, 10, 100, 10_000))
def optimal_up_to_four(*, gamma: float, k: int, factor: float = 4.0) -> Comparison:
    r"""The rate of anchored value iteration is within a factor of four of the best possible.

    Both sides divided by :math:`\gamma^k / \sum_i \gamma^i`, the left is
    :math:`(1+\gamma)(1+\gamma-\gamma^{k+1}) / (1+\gamma^{k+1}) < (1+\gamma)^2`, which tends to 4 as gamma tends to 1 and
    gamma^k to 0.
    """
    power = gamma ** (k + 1.0)
    return at_most((1 + gamma) * (1 + gamma - power) / (1 + power), factor)


optimal_up_to_four.control("a factor of 3", because="near discount 1 the bounds are 4 apart for large k", factor=3.0)
