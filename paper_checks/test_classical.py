"""The results that everything else rests on: discounted dynamic programming from Blackwell to the trust region.

Each claim names the source that it is cited to. Where a statement is folklore, or where we state it in a sharper form, its
proof is in the claim's docstring and the claim is marked as derived.
"""

import functools
import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mdplab.models import TabularMDP, chain, two_state
from mdplab.solvers import (
    bellman_operator,
    discounted_occupancy,
    eliminate_actions,
    evaluate_policy,
    exact_policy_iteration,
    flow_residual,
    greedy_policy,
    linear_programming,
    macqueen_porteus,
    policy_iterates,
    policy_iteration,
    policy_operator,
    q_values,
    soft_bellman,
    soft_evaluate,
    soft_policy_iteration,
    uniform_policy,
    value_iterates,
)
from mdplab.solvers.evaluation import accumulated_rounding, policy_model
from mdplab.solvers.policy import as_probabilities, state_max, state_sum
from mdplab.solvers.policy_iteration import PolicyIterates
from mdplab.solvers.soft import SoftSolution
from paper_checks.instances import (
    Floats,
    certifiable,
    optimum,
    random_models,
    random_policy,
    random_value,
    real_models,
    small_real_models,
    structured_models,
    sweep_rounding,
)
from theory.claims import Comparison, Paper, Range, all_of, always, at_most, by_profile, claim, domain, equal, over


def _paper(title: str, authors: str, year: int, venue: str, arxiv: str | None = None) -> Paper:
    return Paper("classical", title, authors, year, "classical", arxiv, venue)


BLACKWELL = _paper("Discounted Dynamic Programming", "Blackwell", 1965, "Annals of Mathematical Statistics 36")
DENARDO = _paper("Contraction Mappings in the Theory Underlying Dynamic Programming", "Denardo", 1967, "SIAM Review 9")
PUTERMAN = _paper("Markov Decision Processes: Discrete Stochastic Dynamic Programming", "Puterman", 1994, "Wiley")
SINGH_YEE = _paper(
    "An Upper Bound on the Loss from Approximate Optimal-Value Functions", "Singh, Yee", 1994, "Machine Learning 16"
)
BERTSEKAS_TSITSIKLIS = _paper("Neuro-Dynamic Programming", "Bertsekas, Tsitsiklis", 1996, "Athena Scientific")
MACQUEEN = _paper(
    "A Modified Dynamic Programming Method for Markovian Decision Problems",
    "MacQueen",
    1966,
    "Journal of Mathematical Analysis and Applications 14",
)
MACQUEEN_TEST = _paper(
    "A Test for Suboptimal Actions in Markovian Decision Problems", "MacQueen", 1967, "Operations Research 15"
)
PORTEUS = _paper("Some Bounds for Discounted Sequential Decision Processes", "Porteus", 1971, "Management Science 18")
HOWARD = _paper("Dynamic Programming and Markov Processes", "Howard", 1960, "MIT Press")
SCHERRER = _paper(
    "Improved and Generalized Upper Bounds on the Complexity of Policy Iteration",
    "Scherrer",
    2013,
    "Mathematics of Operations Research 41 (2016)",
    "1306.0386",
)
PUTERMAN_SHIN = _paper(
    "Modified Policy Iteration Algorithms for Discounted Markov Decision Problems",
    "Puterman, Shin",
    1978,
    "Management Science 24",
)
KAKADE_LANGFORD = _paper("Approximately Optimal Approximate Reinforcement Learning", "Kakade, Langford", 2002, "ICML 2002")
KEARNS_SINGH = _paper("Near-Optimal Reinforcement Learning in Polynomial Time", "Kearns, Singh", 2002, "Machine Learning 49")
DEPENOUX = _paper("A Probabilistic Production and Inventory Problem", "d'Epenoux", 1963, "Management Science 10")
GEIST = _paper(
    "A Theory of Regularized Markov Decision Processes", "Geist, Scherrer, Pietquin", 2019, "ICML 2019", "1901.11275"
)
NACHUM = _paper(
    "Bridging the Gap Between Value and Policy Based Reinforcement Learning",
    "Nachum, Norouzi, Xu, Schuurmans",
    2017,
    "NeurIPS 2017",
    "1702.08892",
)
ACHIAM = _paper("Constrained Policy Optimization", "Achiam, Held, Tamar, Abbeel", 2017, "ICML 2017", "1705.10528")

FREE = two_state.sweep(stay=Range(0.0, 1.0, size=4), reward=Range(-1.0, 1.0, size=4), gamma=Range(0.05, 0.99))
BUDGET = by_profile(quick=150, full=3000)


def _sup(x: Floats) -> float:
    return float(np.abs(x).max())


def _span(x: Floats) -> float:
    return float(x.max() - x.min())


def _vector(choice: str | tuple[float, ...], size: int, rng: np.random.Generator) -> Floats:
    """The vector that an axis stands for: its own numbers, all ones, zeros, or a normal draw."""
    if isinstance(choice, tuple):
        return np.array(choice, dtype=float)
    return rng.standard_normal(size) if choice == "random" else np.full(size, 1.0 if choice == "constant" else 0.0)


# -- Bellman's operators --------------------------------------------------------------------------------------------


def _apply(mdp: TabularMDP, operator: str, x: Floats, policy: Floats) -> Floats:
    if operator == "optimality":
        return bellman_operator(mdp, x)
    if operator == "policy":
        return policy_operator(mdp, policy, x)
    return q_values(mdp, state_max(mdp, x))  # on Q


def _moved(mdp: TabularMDP, operator: str, difference: str | tuple[float, ...], seed: int) -> tuple[Floats, Floats, float]:
    """TU - TV and U - V for vectors V and U = V + difference, and the rounding of the first."""
    rng = np.random.default_rng(seed)
    size = mdp.pairs if operator == "on Q" else mdp.states
    policy = random_policy(mdp, rng)
    D = _vector(difference, size, rng)
    V = np.zeros(size) if isinstance(difference, tuple) else rng.standard_normal(size)
    images = _apply(mdp, operator, V + D, policy) - _apply(mdp, operator, V, policy)
    return images, D, 3 * sweep_rounding(mdp, V, V + D)


@claim(
    DENARDO,
    "bellman-contraction",
    r"\|T U - T V\|_\infty \le \gamma\, \|U - V\|_\infty",
    kind="inequality",
    source="recalled",
    assumes="T is the optimality operator on V or on Q, or the operator of a policy",
)
@over(
    real_models() | structured_models() | random_models(),
    operator=("optimality", "policy", "on Q"),
    difference=("constant", "random"),
)
@over(FREE, operator=("optimality", "policy"), difference=Range(-1.0, 1.0, size=2), budget=BUDGET)
def bellman_contraction(
    mdp: TabularMDP,
    *,
    operator: str,
    difference: str | tuple[float, ...],
    seed: int,
    power: float = 1.0,
    norm: float = math.inf,
) -> Comparison:
    r"""Bellman's operators contract by the discount in the sup norm, and by no more.

    :math:`\max_a x_a - \max_a y_a \le \max_a (x_a - y_a)`, and a row of probabilities averages the differences:
    :math:`|\sum_{s'} P(s'|s,a)(U - V)(s')| \le \|U - V\|_\infty`. Vectors that differ by a constant attain the bound, since
    :math:`T(V + c) = TV + \gamma c`. In the Euclidean norm a column of P may sum to more than 1, and the operators expand.
    """
    images, D, rounding = _moved(mdp, operator, difference, seed)
    sides = np.linalg.norm(images, norm), np.linalg.norm(D, norm)
    return at_most(sides[0], mdp.gamma**power * sides[1], slack=rounding)


bellman_contraction.control("the modulus gamma^2", because="a constant shift shrinks by gamma and no more", power=2.0)
bellman_contraction.control("in the Euclidean norm", because="a column of P may sum to more than 1", norm=2.0)


@claim(
    PUTERMAN,
    "span-contraction",
    r"\mathrm{sp}(T U - T V) \le \gamma\, \mathrm{sp}(U - V), \qquad \mathrm{sp}(x) = \max x - \min x",
    kind="inequality",
    source="recalled",
    assumes="T is the optimality operator on V or on Q, or the operator of a policy",
)
@over(
    real_models() | structured_models() | random_models(),
    operator=("optimality", "policy", "on Q"),
    difference="random",
)
@over(FREE, operator=("optimality", "policy"), difference=Range(-1.0, 1.0, size=2), budget=BUDGET)
def span_contraction(
    mdp: TabularMDP, *, operator: str, difference: str | tuple[float, ...], seed: int, power: float = 1.0, half: bool = False
) -> Comparison:
    r"""Bellman's operators contract by the discount in the span seminorm.

    :math:`TU - TV \le \gamma P_\pi (U - V)` with pi greedy for U, and :math:`\ge \gamma P_{\pi'} (U - V)` with pi' greedy for
    V; averages of U - V lie between its extremes. Mixing only helps; models in which two states stay apart attain the bound.
    """
    images, D, rounding = _moved(mdp, operator, difference, seed)
    right = _sup(D) if half else _span(D)
    return at_most(_span(images), mdp.gamma**power * right, slack=2 * rounding)


span_contraction.control("the modulus gamma^2", because="states that stay apart lose a factor of gamma only", power=2.0)
span_contraction.control("the sup norm on the right", because="the span is up to twice the sup norm", half=True)


# -- value iteration ------------------------------------------------------------------------------------------------


def _iterates(mdp: TabularMDP, start: str | tuple[float, ...], seed: int, iterations: int) -> tuple[NDArray[np.float64], float]:
    """v_0, ..., v_K of value iteration, and how far v_k may be from the true iterate of the computed v_{k-1}."""
    rng = np.random.default_rng(seed)
    first = optimum(mdp).value + 1.0 if start == "above" else _vector(start, mdp.states, rng)
    values = value_iterates(mdp, iterations, first)
    return values, sweep_rounding(mdp, values)


@claim(
    BLACKWELL,
    "value-iteration-error",
    r"\|v_k - V^\star\|_\infty \le \gamma^k\, \|v_0 - V^\star\|_\infty",
    kind="deterministic rate",
    source="recalled",
    assumes="v_{k+1} = T v_k; gamma < 1",
)
@over(real_models() | structured_models() | random_models(), start=("zero", "above", "random"))
@over(FREE, start=Range(-1.0, 1.0, size=2), budget=BUDGET)
def value_iteration_error(
    mdp: TabularMDP,
    *,
    start: str | tuple[float, ...],
    seed: int,
    iterations: int = 60,
    power: float = 1.0,
    ahead: int = 0,
) -> Comparison:
    """The error of value iteration shrinks by the discount in every step.

    V* is a fixed point of a contraction. A start that is V* plus a constant attains the bound for every k.
    """
    best = optimum(mdp)
    values, rounding = _iterates(mdp, start, seed, iterations)
    errors = np.abs(values - best.value).max(axis=1)
    k = np.arange(1, iterations + 1)
    slack = 2 * best.width + rounding / (1 - mdp.gamma)
    return at_most(errors[1:], mdp.gamma ** (power * k + ahead) * errors[0], slack=slack, x=k)


value_iteration_error.control("gamma^(2k)", because="V* plus a constant approaches V* at the rate gamma", power=2.0)
value_iteration_error.control("gamma^(k+1)", because="after one step a constant has shrunk by gamma, not gamma^2", ahead=1)


@claim(
    DENARDO,
    "value-iteration-a-posteriori",
    r"\|v_k - V^\star\|_\infty \le \frac{\gamma}{1 - \gamma}\, \|v_k - v_{k-1}\|_\infty",
    kind="inequality",
    source="recalled",
    assumes="v_k = T v_{k-1}; gamma < 1",
)
@over(real_models() | structured_models() | random_models(), start=("zero", "above", "random"))
@over(FREE, start=Range(-1.0, 1.0, size=2), budget=BUDGET)
def value_iteration_a_posteriori(
    mdp: TabularMDP,
    *,
    start: str | tuple[float, ...],
    seed: int,
    iterations: int = 40,
    power: float = 1.0,
    effective_horizon: bool = True,
) -> Comparison:
    r"""The last change bounds the error of value iteration.

    :math:`\|v_k - V^\star\| \le \gamma \|v_{k-1} - V^\star\| \le \gamma (\|v_{k-1} - v_k\| + \|v_k - V^\star\|)`; solve for the
    last term. Attained when v_0 is V* plus a constant.
    """
    best = optimum(mdp)
    values, rounding = _iterates(mdp, start, seed, iterations)
    factor = mdp.gamma**power / ((1 - mdp.gamma) if effective_horizon else 1.0)
    changes = np.abs(np.diff(values, axis=0)).max(axis=1)
    errors = np.abs(values - best.value).max(axis=1)[1:]
    return at_most(errors, factor * changes, slack=best.width + rounding / (1 - mdp.gamma), x=np.arange(1, iterations + 1))


value_iteration_a_posteriori.control(
    "gamma^2 / (1 - gamma)", because="the error after a step is gamma times that before", power=2.0
)
value_iteration_a_posteriori.control(
    "without 1 / (1 - gamma)", because="the changes that follow add up to more than the last one", effective_horizon=False
)


# -- greedy policies ------------------------------------------------------------------------------------------------


def _worst_policy_value(mdp: TabularMDP, allowed: NDArray[np.bool_]) -> tuple[Floats, float]:
    """The smallest value that a policy can have that takes only ``allowed`` pairs, float64[S], and its error."""
    opposite = TabularMDP.from_sparse(
        mdp.transition_matrix()[allowed], -mdp.reward[allowed], mdp.gamma, state_of_pair=mdp.pair_state[allowed]
    )
    found = policy_iteration(opposite, certifiable(opposite))
    return -found.value, found.width


def _greedy_loss(mdp: TabularMDP, q: Floats, rounding: float) -> tuple[float, float]:
    """max_s V*(s) - V^pi(s) for the worst policy greedy with respect to q (which is known up to ``rounding``), and its error.

    Actions that tie up to rounding count as greedy; that lets a policy lose 2 rounding / (1 - gamma) too much.
    """
    best = optimum(mdp)
    value, error = _worst_policy_value(mdp, q >= state_max(mdp, q)[mdp.pair_state] - 2 * rounding)
    return float((best.value - value).max()), best.width + error + 2 * rounding / (1 - mdp.gamma)


TIED = two_state.sweep(stay=[(1.0, 0.0, 1.0, 1.0)], reward=[(-1.8, 0.0, 0.0, 0.0)], gamma=0.9)


@claim(
    SINGH_YEE,
    "greedy-loss",
    r"\|V - V^\star\|_\infty \le \varepsilon \implies V^\star - V^{\mathrm{greedy}(V)} \le \frac{2 \gamma \varepsilon}{1 - \gamma}",
    kind="inequality",
    source="recalled",
    assumes="any policy greedy with respect to V; gamma < 1",
)
@over(real_models() | structured_models() | random_models(), error="random", size=(0.01, 1.0))
@over(TIED, error=[(1.0, -1.0)])
@over(
    two_state.sweep(stay=[(1.0, 0.0, 1.0, 1.0)], reward=Range(-2.0, 2.0, size=4), gamma=Range(0.1, 0.99)),
    error=Range(-1.0, 1.0, size=2),
    budget=by_profile(quick=300, full=3000),
)
def greedy_loss(
    mdp: TabularMDP,
    *,
    error: str | tuple[float, ...],
    seed: int,
    size: float = 1.0,
    factor: float = 2.0,
    effective_horizon: bool = True,
) -> Comparison:
    r"""Acting greedily on a value function that is off by eps loses at most 2 gamma eps / (1 - gamma).

    For pi greedy with respect to V: :math:`V^\star - T_\pi V^\star \le T V + \gamma\varepsilon - (T_\pi V - \gamma\varepsilon) =
    2\gamma\varepsilon`, and :math:`V^\star - V^\pi = (I - \gamma P_\pi)^{-1} (V^\star - T_\pi V^\star)`. Attained: a state
    that may stay for the reward -2 gamma eps or leave for an absorbing state of value 0, with V = eps and -eps. Both actions
    tie, and the policy that stays loses 2 gamma eps / (1 - gamma).
    """
    best, rng = optimum(mdp), np.random.default_rng(seed)
    V = best.value + size * _vector(error, mdp.states, rng)
    epsilon = _sup(V - best.value)
    loss, slack = _greedy_loss(mdp, q_values(mdp, V), sweep_rounding(mdp, V))
    horizon = 1 / (1 - mdp.gamma) if effective_horizon else 1.0
    return at_most(loss, factor * mdp.gamma * epsilon * horizon, slack=slack + 2 * mdp.gamma * best.width * horizon)


greedy_loss.control("1.9 in place of 2", because="two tied actions lose the full 2", factor=1.9)
greedy_loss.control("1 in place of 2", because="both the taken and the best action may be misjudged by eps", factor=1.0)
greedy_loss.control("without 1 / (1 - gamma)", because="the mistake is made in every step", effective_horizon=False)


@claim(
    SINGH_YEE,
    "greedy-loss-q",
    r"\|Q - Q^\star\|_\infty \le \varepsilon \implies V^\star - V^{\mathrm{greedy}(Q)} \le \frac{2 \varepsilon}{1 - \gamma}",
    kind="inequality",
    source="recalled",
    assumes="any policy greedy with respect to Q; gamma < 1",
)
@over(real_models() | structured_models() | random_models(), error="random", size=(0.01, 1.0))
@over(two_state.sweep(stay=[(1.0, 1.0, 1.0, 1.0)], reward=[(-2.0, 0.0, 0.0, 0.0)], gamma=0.9), error=[(1.0, -1.0, 0.0, 0.0)])
@over(FREE, error=Range(-1.0, 1.0, size=4), budget=by_profile(quick=300, full=3000))
def greedy_loss_q(
    mdp: TabularMDP, *, error: str | tuple[float, ...], seed: int, size: float = 1.0, factor: float = 2.0, power: float = 0.0
) -> Comparison:
    r"""Acting greedily on an action-value function that is off by eps loses at most 2 eps / (1 - gamma).

    As for V, but no transition stands between the error and the choice, so that the factor gamma is gone. Attained by one
    state with the rewards 0 and -2 eps, whose action values are misjudged by eps in opposite directions.
    """
    best, rng = optimum(mdp), np.random.default_rng(seed)
    exact = q_values(mdp, best.value)
    Q = exact + size * _vector(error, mdp.pairs, rng)
    loss, slack = _greedy_loss(mdp, Q, sweep_rounding(mdp, best.value))
    horizon = 1 / (1 - mdp.gamma)
    bound = factor * mdp.gamma**power * _sup(Q - exact) * horizon
    return at_most(loss, bound, slack=slack + 2 * (best.width + sweep_rounding(mdp, best.value)) * horizon)


greedy_loss_q.control("1.9 in place of 2", because="two tied actions lose the full 2", factor=1.9)
greedy_loss_q.control("the bound for V, with gamma", because="errors of Q act before a transition averages them", power=1.0)


@claim(
    BERTSEKAS_TSITSIKLIS,
    "approximate-value-iteration",
    r"\|v_{k+1} - T v_k\|_\infty \le \varepsilon \implies \|V^\star - v_k\|_\infty \le e_k = \gamma^k \|V^\star - v_0\|_\infty "
    r"+ \frac{1 - \gamma^k}{1 - \gamma} \varepsilon, \quad V^\star - V^{\mathrm{greedy}(v_k)} \le \frac{2 \gamma e_k}{1 - \gamma}",
    kind="deterministic rate",
    source="derived",
    assumes="gamma < 1; in the limit the loss is 2 gamma eps / (1 - gamma)^2",
)
@over(small_real_models() | structured_models() | random_models(), error=("constant", "random", "fixed"))
@over(FREE, error=Range(-1.0, 1.0, size=2), budget=by_profile(quick=60, full=2000))
def approximate_value_iteration(
    mdp: TabularMDP,
    *,
    error: str | tuple[float, ...],
    seed: int,
    steps: int = 25,
    effective_horizon: bool = True,
    ahead: int = 0,
) -> Comparison:
    r"""The errors of approximate value iteration add up to an effective horizon's worth, those of its policies to two.

    :math:`\|V^\star - v_{k+1}\| \le \gamma \|V^\star - v_k\| + \varepsilon`, then the greedy loss. An error that is the same constant in
    every state and step attains the first bound.
    """
    best, rng = optimum(mdp), np.random.default_rng(seed)
    kind = "random" if error == "fixed" else error
    noise = [_vector(kind, mdp.states, rng) for _ in range(steps)]
    if error == "fixed":
        noise = [noise[0]] * steps
    values = [best.value - 1.0]
    for e in noise:
        values.append(bellman_operator(mdp, values[-1]) - e)
    epsilon, rounding = max(_sup(e) for e in noise), sweep_rounding(mdp, *values)
    k = np.arange(steps + 1)
    growth = (1 - mdp.gamma ** (k - ahead)) / (1 - mdp.gamma) if effective_horizon else np.minimum(k, 1)
    errors = np.array([_sup(v - best.value) for v in values])
    bounds = mdp.gamma**k * errors[0] + growth * epsilon
    slack = 2 * best.width + 2 * rounding / (1 - mdp.gamma)
    loss, doubt = _greedy_loss(mdp, q_values(mdp, values[-1]), rounding)
    reach = 2 * mdp.gamma / (1 - mdp.gamma)
    return all_of(
        values=at_most(errors[1:], bounds[1:], slack=slack, x=k[1:]),
        policy=at_most(loss, reach * bounds[-1], slack=doubt + reach * slack),
    )


approximate_value_iteration.control("a single error", because="the errors of all steps add up", effective_horizon=False)
approximate_value_iteration.control(
    "(1 - gamma^(k-1)) / (1 - gamma)", because="after one step there is one error already", ahead=1
)


# -- the bounds of MacQueen and Porteus -----------------------------------------------------------------------------


def _brackets(
    mdp: TabularMDP, start: str | tuple[float, ...], seed: int, sweeps: int, power: float = 1.0
) -> tuple[list[tuple[Floats, Floats]], NDArray[np.float64], float]:
    """The bounds after 1, ..., ``sweeps`` sweeps, the iterates, and the rounding of a bound."""
    values, rounding = _iterates(mdp, start, seed, sweeps)
    stretch = mdp.gamma ** (power - 1)  # 1 for the true bounds
    brackets = []
    for v, tv in pairwise(values):
        low, high = macqueen_porteus(v, tv, mdp.gamma)
        brackets.append((tv + stretch * (low - tv), tv + stretch * (high - tv)))
    return brackets, values, 2 * rounding / (1 - mdp.gamma)


@claim(
    MACQUEEN,
    "macqueen-porteus",
    r"T V + \frac{\gamma}{1-\gamma} \min(T V - V) \le V^{\mathrm{greedy}(V)} \le V^\star "
    r"\le T V + \frac{\gamma}{1-\gamma} \max(T V - V)",
    kind="inequality",
    source="recalled",
    assumes="gamma < 1",
)
@over(real_models() | structured_models() | random_models(), start=("zero", "random"))
@over(FREE, start=Range(-1.0, 1.0, size=2), budget=BUDGET)
def macqueen_porteus_bounds(
    mdp: TabularMDP, *, start: str | tuple[float, ...], seed: int, sweeps: int = 3, power: float = 1.0
) -> Comparison:
    r"""One sweep brackets the optimal values, and the greedy policy is as good as the lower end.

    With m = min (TV - V): :math:`T_\pi (V + c) = T_\pi V + \gamma c \ge V + m + \gamma c`, which is V + c for c = m / (1 - gamma).
    Hence :math:`V + c \le T_\pi(V + c) = TV + \gamma m/(1-\gamma) \le V^\pi` for the greedy pi; likewise from above. The ratio
    is the place of V* (or of the greedy policy's value) within the bracket.
    """
    best = optimum(mdp)
    brackets, values, rounding = _brackets(mdp, start, seed, sweeps, power)
    parts = []
    for (low, high), v in zip(brackets, values):
        greedy = evaluate_policy(mdp, greedy_policy(mdp, q_values(mdp, v)))
        # an action chosen because of rounding loses at most that much in every step
        slack = best.width + greedy.error + 2 * rounding
        width = high - low
        parts += [
            at_most(best.value - low, width, slack=slack, label="upper"),
            at_most(high - best.value, width, slack=slack, label="lower"),
            at_most(high - greedy.value, width, slack=slack, label="greedy policy"),
        ]
    return all_of(*parts)


macqueen_porteus_bounds.control("gamma^2 / (1 - gamma)", because="two absorbing states attain both ends", power=2.0)


@claim(
    PORTEUS,
    "macqueen-porteus-nested",
    r"\ell_k \le \ell_{k+1},\quad u_{k+1} \le u_k,\quad \max(u_{k+1} - \ell_{k+1}) \le \gamma \max(u_k - \ell_k)",
    kind="deterministic rate",
    source="recalled",
    assumes="l_k and u_k are the bounds from v_k = T v_{k-1}; gamma < 1",
)
@over(real_models() | structured_models() | random_models(), start=("zero", "random"))
@over(FREE, start=Range(-1.0, 1.0, size=2), budget=BUDGET)
def macqueen_porteus_nested(
    mdp: TabularMDP, *, start: str | tuple[float, ...], seed: int, sweeps: int = 12, power: float = 1.0
) -> Comparison:
    r"""The brackets of value iteration are nested and shrink by the discount in every sweep.

    Write L = V + m / (1 - gamma), so that the lower bound is TL, and L <= TL. The next change TTV - TV is at least gamma m
    (take the policy greedy for V), so the next lower bound is at least T(TL) >= TL. The width is gamma / (1 - gamma) times the
    span of TV - V, and the span contracts.
    """
    brackets, _, rounding = _brackets(mdp, start, seed, sweeps)
    parts = []
    for (low, high), (lower, upper) in pairwise(brackets):
        parts += [
            at_most(high - lower, high - low, slack=2 * rounding, label="lower"),
            at_most(upper - low, high - low, slack=2 * rounding, label="upper"),
        ]
    widths = np.array([float((high - low).max()) for low, high in brackets])
    k = np.arange(2, sweeps + 1)
    return all_of(at_most(widths[1:], mdp.gamma**power * widths[:-1], slack=2 * rounding, x=k, label="width"), *parts)


macqueen_porteus_nested.control("the width shrinks by gamma^2", because="states that stay apart keep their span", power=2.0)


@claim(
    PORTEUS,
    "macqueen-porteus-never-worse",
    r"\frac{\gamma}{1-\gamma}\, \mathrm{sp}(v_k - v_{k-1}) \le \frac{2\gamma}{1-\gamma}\, \|v_k - v_{k-1}\|_\infty",
    kind="inequality",
    source="derived",
    assumes="gamma < 1",
)
@over(real_models() | structured_models() | random_models(), start=("zero", "above", "random"))
@over(FREE, start=Range(-1.0, 1.0, size=2), budget=BUDGET)
def macqueen_porteus_never_worse(
    mdp: TabularMDP, *, start: str | tuple[float, ...], seed: int, sweeps: int = 8, factor: float = 1.0
) -> Comparison:
    r"""The bracket of MacQueen and Porteus lies inside that of the sup norm.

    The norm proves v_k -+ gamma / (1 - gamma) ||v_k - v_{k-1}||, and -||x|| <= min x <= max x <= ||x||. Where all values rise
    by the same amount the bracket of the norm is as wide as ever and that of the span has no width at all.
    """
    brackets, values, rounding = _brackets(mdp, start, seed, sweeps)
    norms = mdp.gamma / (1 - mdp.gamma) * np.abs(np.diff(values, axis=0)).max(axis=1)
    highest = [float((high - v).max()) for (_, high), v in zip(brackets, values[1:])]
    lowest = [float((v - low).max()) for (low, _), v in zip(brackets, values[1:])]
    return all_of(
        at_most(np.array(highest) + lowest, factor * 2 * norms, slack=2 * rounding, label="width"),
        upper=at_most(highest, norms, slack=rounding),
        lower=at_most(lowest, norms, slack=rounding),
    )


macqueen_porteus_never_worse.control(
    "at most half as wide", because="changes of opposite signs give the same width", factor=0.5
)


def _gauss_seidel(mdp: TabularMDP, value: Floats) -> Floats:
    """One forward Gauss-Seidel sweep, state after state (small models)."""
    matrix, new = mdp.transition_matrix().toarray(), value.copy()
    for s in range(mdp.states):
        pairs = slice(mdp.state_pointer[s], mdp.state_pointer[s + 1])
        new[s] = (mdp.reward[pairs] + mdp.gamma * matrix[pairs] @ new).max()
    return new


GAUSS_SEIDEL = r"G V + \frac{\gamma}{1-\gamma} \min(%s) \le V^\star \le G V + \frac{\gamma}{1-\gamma} \max(%s)"


def _gauss_seidel_bounds(
    mdp: TabularMDP, *, start: str | tuple[float, ...], seed: int, sweeps: int = 6, clipped: bool, power: float = 1.0
) -> Comparison:
    best = optimum(mdp)
    v = _vector(start, mdp.states, np.random.default_rng(seed))
    factor = mdp.gamma**power / (1 - mdp.gamma)
    parts = []
    for _ in range(sweeps):
        new = _gauss_seidel(mdp, v)
        change, slack = new - v, best.width + 3 * sweep_rounding(mdp, v, new) / (1 - mdp.gamma) ** 2
        m, M = float(change.min()), float(change.max())
        if clipped:
            m, M = min(m, 0.0), max(M, 0.0)
        width = factor * (M - m)
        parts += [
            at_most(best.value - (new + factor * m), width, slack=slack, label="upper"),
            at_most(new + factor * M - best.value, width, slack=slack, label="lower"),
        ]
        v = new
    return all_of(*parts)


@claim(
    PORTEUS,
    "gauss-seidel-bounds-unclipped",
    GAUSS_SEIDEL % ("G V - V", "G V - V"),
    kind="inequality",
    source="derived",
    assumes="G is a Gauss-Seidel sweep; gamma < 1",
    expected="refuted",
    corrected="classical/gauss-seidel-bounds",
    note="The bounds for a Jacobi sweep do not carry over to a Gauss-Seidel sweep when all values move the same way.",
)
@over(structured_models() | random_models(), start=("zero", "random"))
def gauss_seidel_bounds_unclipped(
    mdp: TabularMDP, *, start: str | tuple[float, ...], seed: int, clipped: bool = False
) -> Comparison:
    """The bounds of MacQueen and Porteus hold for a Gauss-Seidel sweep as they stand: false.

    They need G(V + c) = GV + gamma c. A Gauss-Seidel sweep moves the later states by less, as the earlier ones have
    moved already: for c > 0 only GV <= G(V + c) <= GV + gamma c. If all values rise, the lower bound promises too much.
    """
    return _gauss_seidel_bounds(mdp, start=start, seed=seed, clipped=clipped)


gauss_seidel_bounds_unclipped.repair(
    "extrapolate only outwards", because="then c has the sign for which it holds", clipped=True
)


@claim(
    PORTEUS,
    "gauss-seidel-bounds",
    GAUSS_SEIDEL % ("0, G V - V", "0, G V - V"),
    kind="inequality",
    source="derived",
    assumes="G is a Gauss-Seidel sweep; gamma < 1",
)
@over(structured_models() | random_models(), start=("zero", "random"))
@over(FREE, start=Range(-1.0, 1.0, size=2), budget=BUDGET)
def gauss_seidel_bounds(
    mdp: TabularMDP, *, start: str | tuple[float, ...], seed: int, clipped: bool = True, power: float = 1.0
) -> Comparison:
    r"""A Gauss-Seidel sweep brackets the optimal values if the bracket contains the iterate.

    G is monotone with fixed point V*, and G(V + c) >= GV + gamma c for c <= 0. With c = min(0, min(GV - V)) / (1 - gamma):
    :math:`G(V + c) \ge GV + \gamma c \ge V + (1-\gamma) c + \gamma c = V + c`, hence :math:`V^\star \ge G(V + c) \ge GV + \gamma c`.
    """
    return _gauss_seidel_bounds(mdp, start=start, seed=seed, clipped=clipped, power=power)


gauss_seidel_bounds.control("not clipped at 0", because="a rise of all values is not repeated in full", clipped=False)
gauss_seidel_bounds.control("gamma^2 / (1 - gamma)", because="an absorbing state attains the bound", power=2.0)


@claim(
    MACQUEEN_TEST,
    "action-elimination",
    r"R(s,a) + \gamma \sum_{s'} P(s'|s,a)\, u(s') < \ell(s) \implies a \text{ is not optimal in } s",
    kind="inequality",
    source="recalled",
    assumes="l and u are the bounds of MacQueen and Porteus; gamma < 1",
)
@over(real_models() | structured_models() | random_models(), start=("zero", "random"))
@over(FREE, start=Range(-1.0, 1.0, size=2), budget=BUDGET)
def action_elimination(
    mdp: TabularMDP,
    *,
    start: str | tuple[float, ...],
    seed: int,
    sweeps: int = 6,
    power: float = 1.0,
    extrapolated: bool = True,
) -> Comparison:
    r"""An action that the bounds eliminate is not optimal: it loses at least the margin by which it fails the test.

    :math:`Q^\star(s,a) \le R + \gamma P u` and :math:`V^\star(s) \ge \ell(s)`. The comparison is of the margin with the gap
    :math:`V^\star - Q^\star`; on small models the eliminated actions are also looked up among the optimal ones, ties
    included, of the rational twin.
    """
    best = optimum(mdp)
    gap = best.value[mdp.pair_state] - q_values(mdp, best.value)
    optimal = exact_policy_iteration(mdp).optimal if mdp.states <= 8 and extrapolated and power == 1 else None
    brackets, values, rounding = _brackets(mdp, start, seed, sweeps, power)
    parts = []
    for (low, high), tv in zip(brackets, values[1:]):
        lower = low if extrapolated else tv
        reach = q_values(mdp, high)
        slack = 2 * best.width + 3 * rounding + 2 * sweep_rounding(mdp, high, best.value)
        parts.append(at_most(lower[mdp.pair_state] - reach, gap, slack=slack))
        if optimal is not None:
            gone = eliminate_actions(mdp, reach + slack, lower)
            parts.append(always(~(gone & optimal), "an optimal action is eliminated"))
    return all_of(*parts)


action_elimination.control("bounds with gamma^2 / (1 - gamma)", because="they do not contain V*", power=2.0)
action_elimination.control("the estimate TV as lower bound", because="TV may lie above V*", extrapolated=False)


# -- policy iteration -----------------------------------------------------------------------------------------------


@claim(
    HOWARD,
    "policy-improvement",
    r"V^\pi \le T V^\pi \le V^{\pi'} \quad \text{for } \pi' \text{ greedy with respect to } Q^\pi",
    kind="inequality",
    source="recalled",
    assumes="any stochastic policy pi; gamma < 1",
)
@over(real_models() | structured_models() | random_models(), sharpness=(0.0, 2.0))
@over(FREE, sharpness=2.0, budget=BUDGET)
def policy_improvement(mdp: TabularMDP, *, sharpness: float, seed: int, sweeps: int = 1, sighted: float = 1.0) -> Comparison:
    r"""The greedy policy improves on a policy at least as much as one sweep does, in every state.

    :math:`T_{\pi'} V^\pi = T V^\pi \ge T_\pi V^\pi = V^\pi`; apply the monotone :math:`T_{\pi'}` again and again. Losses against
    V* are compared. The improvement is that of a sweep, not of two, and needs the right discount.
    """
    best, rng = optimum(mdp), np.random.default_rng(seed)
    old = evaluate_policy(mdp, random_policy(mdp, rng, sharpness))
    q = mdp.reward + sighted * (old.q - mdp.reward)
    new = evaluate_policy(mdp, greedy_policy(mdp, q))
    swept = value_iterates(mdp, sweeps, old.value)[-1]
    rounding = 3 * sweep_rounding(mdp, old.value, swept) / (1 - mdp.gamma)
    slack = best.width + old.error + new.error + rounding
    return all_of(
        greedy=at_most(best.value - new.value, best.value - swept, slack=slack),
        sweep=at_most(best.value - swept, best.value - old.value, slack=slack),
    )


policy_improvement.control("as good as two sweeps", because="what improves later is not seen yet", sweeps=2)
policy_improvement.control("greedy for half the discount", because="a shortsighted policy can be worse", sighted=0.5)


@functools.lru_cache(maxsize=2)  # a claim and its controls ask for the same run
def _howard(mdp: TabularMDP, start: str, seed: int) -> PolicyIterates:
    return policy_iterates(mdp, start=_start_policy(mdp, start, seed))


def _start_policy(mdp: TabularMDP, start: str, seed: int) -> NDArray[np.int64]:
    """The first action in every state, or a random one."""
    if start == "first":
        return mdp.state_pointer[:-1].astype(np.int64)
    counts = np.diff(mdp.state_pointer)
    return (mdp.state_pointer[:-1] + np.random.default_rng(seed).integers(counts)).astype(np.int64)


@claim(
    HOWARD,
    "policy-iteration-rate",
    r"V^{\pi_{k+1}} \ge V^{\pi_k}, \qquad \|V^\star - V^{\pi_k}\|_\infty \le \gamma^k\, \|V^\star - V^{\pi_0}\|_\infty",
    kind="deterministic rate",
    source="recalled",
    assumes="Howard's policy iteration; gamma < 1",
)
@over(chain.sweep(S=(3, 12), gamma=(0.5, 0.9)), start="first")
@over(real_models() | structured_models() | random_models(), start=("first", "random"))
@over(FREE, start="first", budget=BUDGET)
def policy_iteration_rate(mdp: TabularMDP, *, start: str, seed: int, power: float = 1.0, ahead: int = 0) -> Comparison:
    r"""Policy iteration never steps back, and converges at least as fast as value iteration.

    :math:`V^{\pi_{k+1}} \ge T V^{\pi_k}`, hence :math:`0 \le V^\star - V^{\pi_{k+1}} \le TV^\star - TV^{\pi_k}`. A corridor whose
    only reward waits at its end attains the rate in every step: news of the reward moves back one state for each policy, because
    until then its actions tie and a tie changes nothing.
    """
    best, run = optimum(mdp), _howard(mdp, start, seed)
    losses, errors = best.value - run.values, best.width + run.errors
    if len(losses) == 1:
        return at_most(0.0, 0.0)  # the first policy is optimal
    k = np.arange(1, len(losses))
    size = losses.max(axis=1)
    rounding = 4 * sweep_rounding(mdp, best.value, run.values) / (1 - mdp.gamma) ** 3  # actions kept for a tie
    return all_of(
        at_most(size[1:], mdp.gamma ** (power * k + ahead) * size[0], slack=errors[1:] + errors[0] + rounding, x=k),
        monotone=at_most(losses[1:], losses[:-1], slack=(errors[1:] + errors[:-1] + rounding)[:, None]),
    )


policy_iteration_rate.control("gamma^(2k)", because="a corridor learns of its reward one state a step", power=2.0)
policy_iteration_rate.control("gamma^(k+1)", because="a corridor learns of its reward one state a step", ahead=1)


@claim(
    PUTERMAN,
    "policy-iteration-above-value-iteration",
    r"V^{\pi_k} \ge T^k V^{\pi_0}",
    kind="inequality",
    source="recalled",
    assumes="both start from the value of pi_0; gamma < 1",
)
@over(chain.sweep(S=(3, 12), gamma=(0.5, 0.9)), start="first")
@over(real_models() | structured_models() | random_models(), start=("first", "random"))
@over(FREE, start="first", budget=BUDGET)
def policy_iteration_above_value_iteration(mdp: TabularMDP, *, start: str, seed: int, ahead: int = 0) -> Comparison:
    r"""After k steps policy iteration is at least as good as k sweeps of value iteration from the same values.

    By induction: :math:`V^{\pi_{k+1}} \ge T V^{\pi_k} \ge T\, T^k V^{\pi_0}`. It need not be as good as k + 1 sweeps.
    """
    best, run = optimum(mdp), _howard(mdp, start, seed)
    if len(run.values) == 1:
        return at_most(0.0, 0.0)  # the first policy is optimal
    swept = value_iterates(mdp, len(run.values) - 1 + ahead, run.values[0])[1 + ahead :]
    rounding = 4 * sweep_rounding(mdp, best.value, run.values) / (1 - mdp.gamma) ** 3  # actions kept for a tie
    slack = best.width + run.errors[1:, None] + run.errors[0] + rounding
    return at_most(best.value - run.values[1:], best.value - swept, slack=slack)


policy_iteration_above_value_iteration.control(
    "k + 1 sweeps", because="a corridor learns of its reward one state a step", ahead=1
)


@claim(
    SCHERRER,
    "policy-iteration-steps",
    r"K \le (N - S) \left\lceil \frac{1}{1-\gamma} \log \frac{1}{1-\gamma} \right\rceil",
    kind="complexity",
    source="recalled",
    assumes="Howard's policy iteration; K steps to an optimal policy of S states and N pairs; 0 < gamma < 1",
    note="The constants are those of Scherrer (2013); Ye (2011) and Hansen, Miltersen, Zwick (2013) have a further log S.",
)
@over(chain.sweep(S=(2, 4, 8), gamma=(0.2, 0.4, 0.9)), start="first")
@over(real_models() | structured_models() | random_models(), start=("first", "random"))
@over(FREE, start="first", budget=BUDGET)
def policy_iteration_steps(mdp: TabularMDP, *, start: str, seed: int, factor: float = 1.0, fewer: int = 0) -> Comparison:
    r"""Howard's policy iteration is strongly polynomial for a fixed discount.

    Let :math:`\delta_k = V^\star - T_{\pi_k} V^\star`. Then :math:`\|\delta_k\| \le \|V^\star - V^{\pi_k}\| \le \gamma^k \|V^\star -
    V^{\pi_0}\| \le \gamma^k \|\delta_0\| / (1 - \gamma)`, which is below :math:`\|\delta_0\|` after the number of steps in
    brackets. From then on the worst action of pi_0 is never taken again; there are at most N - S actions to be lost in this way.
    For gamma up to 0.43 the bracket is 1, and a corridor of S states and 2 S pairs takes all S steps.
    """
    steps = len(_howard(mdp, start, seed).policies) - 1
    horizon = 1 / (1 - mdp.gamma)
    bound = factor * (mdp.pairs - mdp.states) * math.ceil(horizon * math.log(horizon)) - fewer
    return at_most(steps, bound)


policy_iteration_steps.control("half as many", because="a corridor of S states takes S steps", factor=0.5)
policy_iteration_steps.control("one step fewer", because="a corridor of S states takes S steps", fewer=1)
policy_iteration_steps.control(
    "gamma = 0",
    because="the bracket is then 0, but the best reward has still to be found",
    on=domain(chain.sweep(S=4, gamma=0.0), start="first"),
)


@claim(
    PUTERMAN_SHIN,
    "modified-policy-iteration",
    r"v_0 \le T v_0 \implies T^n v_0 \le v_n \le v_{n+1} \le V^\star, \quad "
    r"\|V^\star - v_n\|_\infty \le \gamma^n\, \|V^\star - v_0\|_\infty",
    kind="deterministic rate",
    source="recalled",
    assumes="v_{n+1} = T_pi^m v_n, pi greedy with respect to v_n; gamma < 1",
)
@over(small_real_models() | structured_models() | random_models(), m=(1, 2, 7), start=("lowest", "policy"))
@over(FREE, m=(1, 5), start=("lowest", "policy"), budget=BUDGET)
def modified_policy_iteration_converges(
    mdp: TabularMDP, *, m: int, start: str, seed: int, steps: int = 12, rate: str = "n", ready: bool = True
) -> Comparison:
    r"""From a start that a sweep improves, modified policy iteration rises to V* at least as fast as value iteration.

    :math:`v_n \le T v_n = T_\pi v_n \le T_\pi^m v_n = v_{n+1}` by monotonicity, and :math:`T v_{n+1} \ge T_\pi v_{n+1} =
    T_\pi^m T_\pi v_n \ge v_{n+1}`, so that the assumption is passed on; :math:`v_{n+1} \ge T v_n`. The m sweeps of a policy
    are not worth m sweeps of value iteration: the policy may be a bad one.
    """
    best, rng = optimum(mdp), np.random.default_rng(seed)
    if not ready:
        v = best.value + random_value(mdp, rng)
    elif start == "lowest":
        v = np.full(mdp.states, float(mdp.reward.min()) / (1 - mdp.gamma))
    else:
        v = evaluate_policy(mdp, random_policy(mdp, rng)).value
    values = [v]
    for _ in range(steps):
        policy = as_probabilities(mdp, greedy_policy(mdp, q_values(mdp, values[-1])))
        v = values[-1]
        for _ in range(m):
            v = policy_operator(mdp, policy, v)
        values.append(v)
    losses = best.value - np.array(values)
    slack = best.width + 4 * sweep_rounding(mdp, best.value, *values) / (1 - mdp.gamma) ** 2
    swept = best.value - value_iterates(mdp, steps, values[0])
    n = np.arange(1, steps + 1)
    size = np.abs(losses).max(axis=1)
    return all_of(
        rate=at_most(size[1:], mdp.gamma ** (n * m if rate == "nm" else n) * size[0], slack=2 * slack, x=n),
        monotone=at_most(losses[1:], losses[:-1], slack=slack),
        below_the_optimum=at_most(0.0, losses, slack=slack),
        above_value_iteration=at_most(losses[1:], swept[1:], slack=slack),
    )


modified_policy_iteration_converges.control("the rate gamma^(n m)", because="m sweeps of a bad policy gain little", rate="nm")
modified_policy_iteration_converges.control("any start", because="from above the values fall", ready=False)


# -- two policies, two models ---------------------------------------------------------------------------------------


@claim(
    KAKADE_LANGFORD,
    "performance-difference",
    r"V^{\pi'}(\rho) - V^\pi(\rho) = \frac{1}{1-\gamma} \sum_{s,a} d^{\pi'}_\rho(s,a)\, A^\pi(s,a)",
    kind="identity",
    source="recalled",
    assumes="gamma < 1",
)
@over(real_models() | structured_models() | random_models(), other=("random", "greedy"))
def performance_difference(
    mdp: TabularMDP, *, other: str, seed: int, visited: str = "new", effective_horizon: bool = True
) -> Comparison:
    r"""A new policy gains what its visits find in the advantages of the old one.

    :math:`V^{\pi'} - V^\pi = (I - \gamma P_{\pi'})^{-1} (T_{\pi'} V^\pi - V^\pi)`; multiply by rho from the left. Three linear
    solves are compared, up to the errors that they certify.
    """
    rng = np.random.default_rng(seed)
    old = random_policy(mdp, rng)
    before = evaluate_policy(mdp, old)
    new = random_policy(mdp, rng) if other == "random" else as_probabilities(mdp, greedy_policy(mdp, before.q))
    after, rho = evaluate_policy(mdp, new), mdp.start_distribution
    visits = discounted_occupancy(mdp, new if visited == "new" else old)
    # for the old policy's visits, actions are still the new policy's: the surrogate of conservative policy iteration
    weights = visits.pair if visited == "new" else new * visits.state[mdp.pair_state]
    gain = float(weights @ before.advantage) / ((1 - mdp.gamma) if effective_horizon else 1.0)
    size = _sup(before.advantage)
    dots = accumulated_rounding(mdp.pairs) * (size / (1 - mdp.gamma) + _sup(after.value) + _sup(before.value))
    error = before.error + after.error + (before.advantage_error + visits.error * size) / (1 - mdp.gamma) + dots
    return equal(float(rho @ after.value) - float(rho @ before.value), gain, tolerance=1.0, scale=error)


performance_difference.control(
    "the visits of the old policy", because="the new policy goes elsewhere; this is only its first-order gain", visited="old"
)
performance_difference.control("without 1 / (1 - gamma)", because="occupancies sum to 1", effective_horizon=False)


@claim(
    ACHIAM,
    "trust-region",
    r"\Bigl| J(\pi') - J(\pi) - \frac{1}{1-\gamma} \mathbb{E}_{d^\pi}[\bar A] \Bigr| \le "
    r"\frac{2\gamma\, \max_s |\bar A(s)|}{(1-\gamma)^2}\, \mathbb{E}_{d^\pi}[\mathrm{TV}(\pi', \pi)], "
    r"\quad \bar A(s) = \sum_a \pi'(a|s) A^\pi(s,a)",
    kind="inequality",
    source="recalled",
    assumes="gamma < 1; d^pi sums to 1",
)
@over(real_models() | structured_models() | random_models(), step=(0.1, 1.0))
@over(
    two_state.sweep(stay=[(1.0, 0.0, 1.0, 1.0)], reward=[(0.0, -1.0, 1.0, -1.0)], gamma=(0.5, 0.9, 0.99)),
    step=(0.0001, 0.1),
    logits=[(30.0, 0.0, -30.0, 30.0)],
)
@over(FREE, step=Range(0.01, 1.0), logits=Range(-6.0, 6.0, size=4), budget=by_profile(quick=400, full=4000))
def trust_region(
    mdp: TabularMDP,
    *,
    step: float,
    seed: int,
    logits: tuple[float, ...] | None = None,
    factor: float = 2.0,
    horizons: int = 2,
) -> Comparison:
    r"""The first-order gain of a new policy is wrong by at most the policies' distance times the largest advantage.

    By the performance-difference lemma the error is :math:`\langle d^{\pi'} - d^\pi, \bar A \rangle / (1 - \gamma)`, and
    :math:`d^{\pi'} - d^\pi = \gamma (I - \gamma P_{\pi'}^\top)^{-1} (P_{\pi'} - P_\pi)^\top d^\pi` has L1 norm at most
    :math:`2\gamma\, \mathbb{E}_{d^\pi}[\mathrm{TV}] / (1 - \gamma)`. Attained in the limit of small
    steps at every discount: the old policy stays in state 0, the new one leaves it with a small probability, which costs as much as
    its small change in the absorbing state 1, where the old policy never is, gains there.
    """
    rng = np.random.default_rng(seed)
    if logits is None:
        old, target = random_policy(mdp, rng), random_policy(mdp, rng)
    else:
        first, second = 1 / (1 + np.exp(-np.array(logits))).reshape(2, 2)
        old, target = (np.stack([p, 1 - p], axis=1).ravel() for p in (first, second))
    new = (1 - step) * old + step * target
    before, after = evaluate_policy(mdp, old), evaluate_policy(mdp, new)
    visits, rho, horizon = discounted_occupancy(mdp, old), mdp.start_distribution, 1 / (1 - mdp.gamma)
    average = state_sum(mdp, new * before.advantage)
    distance = float(visits.state @ state_sum(mdp, np.abs(new - old))) / 2
    gain, first_order = float(rho @ (after.value - before.value)), horizon * float(visits.state @ average)
    size = _sup(before.advantage)
    slack = before.error + after.error + horizon * (3 * before.advantage_error + visits.error * size)
    slack += accumulated_rounding(mdp.pairs) * (horizon * size + _sup(after.value) + _sup(before.value))
    bound = factor * mdp.gamma * horizon**horizons * _sup(average) * distance
    return at_most(abs(gain - first_order), bound, slack=slack)


trust_region.control("1.8 in place of 2", because="small steps attain 2", factor=1.8)
trust_region.control("a single effective horizon", because="visits and gains both add up over time", horizons=1)


def _redirected(mdp: TabularMDP, size: float, rng: np.random.Generator) -> TabularMDP:
    """A nearby model: every pair goes to some random state with probability ``size``, and rewards change by about as much."""
    from scipy.sparse import csr_array

    away = csr_array(
        (np.ones(mdp.pairs), rng.integers(mdp.states, size=mdp.pairs), np.arange(mdp.pairs + 1)), shape=(mdp.pairs, mdp.states)
    )
    matrix = (1 - size) * mdp.transition_matrix() + size * away
    reward = mdp.reward + size * rng.standard_normal(mdp.pairs)
    return TabularMDP.from_sparse(matrix, reward, mdp.gamma, state_of_pair=mdp.pair_state)


SHARED = {"stay": Range(0.0, 1.0, size=4), "reward": [(1.0, 1.0, 0.0, 0.0)], "gamma": 0.9}


@claim(
    KEARNS_SINGH,
    "simulation-lemma",
    r"\|V^\pi_M - V^\pi_{M'}\|_\infty \le \frac{1}{1-\gamma} \Bigl( \max_s |r_\pi - r'_\pi|(s) + "
    r"\frac{\gamma}{2} \max_s \|P_\pi - P'_\pi\|_1(s)\; \mathrm{sp}(V^\pi_{M'}) \Bigr)",
    kind="inequality",
    source="derived",
    assumes="the same policy and discount in both models; gamma < 1",
)
@over(real_models() | structured_models() | random_models(), size=(0.01, 0.3))
@over(two_state.sweep(**SHARED), two_state.sweep(**SHARED), budget=by_profile(quick=400, full=4000))
def simulation_lemma(
    mdp: TabularMDP,
    other: TabularMDP | None = None,
    *,
    seed: int,
    size: float = 0.0,
    factor: float = 0.5,
    effective_horizon: bool = True,
    power: float = 1.0,
) -> Comparison:
    r"""Nearby models give a policy nearby values.

    :math:`V - V' = (I - \gamma P_\pi)^{-1} [r_\pi - r'_\pi + \gamma (P_\pi - P'_\pi) V']`; a difference of two distributions
    sees of V' only its span, and half of its own L1 norm. Kearns and Singh state the lemma for finite horizons and with the
    largest value in place of half the span. Attained when all states err alike: rows that are all equal, and that put too much
    weight on the best state. By symmetry sp(V) may stand in place of sp(V').
    """
    rng = np.random.default_rng(seed)
    policy = random_policy(mdp, rng) if other is None else as_probabilities(mdp, _start_policy(mdp, "first", 0))
    near = _redirected(mdp, size, rng) if other is None else other
    here, there = evaluate_policy(mdp, policy), evaluate_policy(near, policy)
    (P, r), (Q, q) = policy_model(mdp, policy), policy_model(near, policy)
    horizon = 1 / (1 - mdp.gamma)
    rows = float(np.asarray(abs(P - Q).sum(axis=1)).max())
    bound = _sup(r - q) + factor * mdp.gamma**power * rows * _span(there.value)
    slack = here.error + there.error * (1 + rows * horizon) + 2 * sweep_rounding(mdp, here.value, there.value) * horizon
    return at_most(_sup(here.value - there.value), bound * (horizon if effective_horizon else 1.0), slack=slack)


simulation_lemma.control("nine tenths of the transition term", because="models with equal rows attain it", factor=0.45)
simulation_lemma.control("gamma^2", because="an error of the first transition costs a discount of gamma", power=2.0)
simulation_lemma.control("without 1 / (1 - gamma)", because="the error is made in every step", effective_horizon=False)


@claim(
    KEARNS_SINGH,
    "simulation-lemma-optimal",
    r"\|V^\star_M - V^\star_{M'}\|_\infty \le \frac{1}{1-\gamma} \Bigl( \max_{s,a} |R - R'| + "
    r"\frac{\gamma}{2} \max_{s,a} \|P - P'\|_1\; \mathrm{sp}(V^\star_{M'}) \Bigr)",
    kind="inequality",
    source="derived",
    assumes="the same states, actions and discount; gamma < 1",
)
@over(small_real_models() | structured_models() | random_models(), size=(0.01, 0.3))
@over(two_state.sweep(**SHARED), two_state.sweep(**SHARED), budget=by_profile(quick=400, full=4000))
def simulation_lemma_optimal(
    mdp: TabularMDP,
    other: TabularMDP | None = None,
    *,
    seed: int,
    size: float = 0.0,
    factor: float = 0.5,
    effective_horizon: bool = True,
) -> Comparison:
    r"""Nearby models have nearby optima.

    :math:`\|V^\star - V'^\star\| \le \|T V^\star - T V'^\star\| + \|T V'^\star - T' V'^\star\|`; the first term is at most
    gamma times the left side, the second the bracket, with the span as for a policy.
    """
    rng = np.random.default_rng(seed)
    near = _redirected(mdp, size, rng) if other is None else other
    here, there = optimum(mdp), optimum(near)
    rows = float(abs(mdp.transition_matrix() - near.transition_matrix()).sum(axis=1).max())
    horizon = 1 / (1 - mdp.gamma)
    bound = _sup(mdp.reward - near.reward) + factor * mdp.gamma * rows * _span(there.value)
    slack = here.width + there.width * (1 + rows * horizon) + 2 * sweep_rounding(mdp, here.value, there.value) * horizon
    return at_most(_sup(here.value - there.value), bound * (horizon if effective_horizon else 1.0), slack=slack)


simulation_lemma_optimal.control("nine tenths of the transition term", because="models with equal rows attain it", factor=0.45)
simulation_lemma_optimal.control("without 1 / (1 - gamma)", because="the error is made in every step", effective_horizon=False)


# -- the linear program and its occupancies -------------------------------------------------------------------------


@claim(
    DEPENOUX,
    "lp-duality",
    r"\min_{V \ge T V} \rho \cdot V = \rho \cdot V^\star = \max_{d \in \mathrm{flows}(\rho)} d \cdot R, \qquad "
    r"d^\star(s,a)\, \bigl(V^\star(s) - Q^\star(s,a)\bigr) = 0",
    kind="identity",
    source="recalled",
    assumes="rho > 0; gamma < 1; flows of mass 1 / (1 - gamma)",
)
@over(real_models() | structured_models() | random_models())
def lp_duality(mdp: TabularMDP, *, mass: float = 0.0, occupancy: str = "optimal") -> Comparison:
    r"""The linear program of a model has the optimal values as its solution, and an optimal policy's visits as its dual.

    V >= TV implies V >= V*, and V* is feasible. For a flow d: :math:`d \cdot R = \rho \cdot V^\star - d \cdot (V^\star -
    Q^\star)`, at most :math:`\rho \cdot V^\star`, with equality exactly when d visits optimal actions only. HiGHS is compared
    with policy iteration; the scale of the residuals is what its infeasibilities can make of the objective.
    """
    best, found = optimum(mdp), linear_programming(mdp)
    rho = 0.999 * mdp.start_distribution + 0.001 / mdp.states
    d, horizon = found.occupancy, 1 / (1 - mdp.gamma)
    residual = float(np.abs(flow_residual(mdp, d, start=rho, normalised=False)).sum())
    infeasible = max(float((bellman_operator(mdp, found.primal) - found.primal).max()), 0.0)
    size = max(_sup(best.value), _sup(mdp.reward))
    rounding = accumulated_rounding(2 * mdp.pairs) * size * horizon
    error = (infeasible + best.width) * horizon + residual * size + rounding
    # HiGHS ends at a vertex whose reduced costs are non-negative up to its tolerance of 1e-10
    error += 1e-10 * horizon * max(1.0, size)
    if occupancy == "uniform":
        d = discounted_occupancy(mdp, uniform_policy(mdp), start=rho, normalised=False).pair
    value = float(rho @ best.value)
    gaps = best.value[mdp.pair_state] - q_values(mdp, best.value)
    return all_of(
        primal=equal(found.primal_objective, value, tolerance=1.0, scale=error),
        dual=equal((1 - mdp.gamma) ** mass * float(d @ mdp.reward), value, tolerance=1.0, scale=error),
        slackness=equal(float(d @ gaps), 0.0, tolerance=1.0, scale=error + 2 * best.width * horizon),
    )


lp_duality.control("flows of mass 1", because="an unnormalised flow has mass 1 / (1 - gamma)", mass=1.0)
lp_duality.control("the visits of the uniform policy", because="they are a flow, but not an optimal one", occupancy="uniform")


@claim(
    DEPENOUX,
    "weak-duality",
    r"V \ge T V,\; d \in \mathrm{flows}(\rho) \implies d \cdot R \le \rho \cdot V",
    kind="inequality",
    source="recalled",
    assumes="gamma < 1; flows of mass 1 / (1 - gamma)",
)
@over(real_models() | structured_models() | random_models(), point=("random", "optimal"))
@over(FREE, point=Range(-1.0, 1.0, size=2), budget=BUDGET)
def weak_duality(mdp: TabularMDP, *, point: str | tuple[float, ...], seed: int, lift: float = 1.0) -> Comparison:
    r"""Every feasible value function bounds every policy.

    The point x is lifted by the smallest constant that makes it feasible, :math:`\max(Tx - x) / (1 - \gamma)`, and compared with
    the greedy policy's return; both are measured from the smallest conceivable return, :math:`\min R / (1 - \gamma)`.
    """
    x = optimum(mdp).value if point == "optimal" else _vector(point, mdp.states, np.random.default_rng(seed))
    policy, horizon = greedy_policy(mdp, q_values(mdp, x)), 1 / (1 - mdp.gamma)
    V = x + horizon**lift * float((bellman_operator(mdp, x) - x).max())
    visits = discounted_occupancy(mdp, policy, normalised=False)
    floor = float(mdp.reward.min()) * horizon
    slack = visits.error * _sup(mdp.reward) + 3 * sweep_rounding(mdp, x, V) * horizon
    slack += accumulated_rounding(mdp.pairs) * horizon * _sup(mdp.reward)
    returned = float(visits.pair @ mdp.reward)
    return at_most(returned - floor, float(mdp.start_distribution @ V) - floor, slack=slack)


weak_duality.control("a smaller lift", because="without 1 / (1 - gamma) the point is not feasible", lift=0.0)


@claim(
    DEPENOUX,
    "occupancy",
    r"\sum_a d(s,a) = (1-\gamma) \rho(s) + \gamma \sum_{s',a'} P(s|s',a')\, d(s',a'), \quad \sum d = 1, \quad "
    r"V^\pi(\rho) = \frac{d \cdot R}{1-\gamma}",
    kind="identity",
    source="recalled",
    assumes="d is the normalised discounted occupancy of pi from rho; gamma < 1",
)
@over(real_models() | structured_models() | random_models(), sharpness=(0.0, 5.0))
def occupancy_identities(
    mdp: TabularMDP, *, sharpness: float, seed: int, source: float = 1.0, effective_horizon: bool = True, steps: int = 30
) -> Comparison:
    r"""Discounted visits flow, sum to one, and price a policy.

    The visits are also summed step by step: after T steps exactly the mass gamma^T is missing, in every state too little.
    """
    rng = np.random.default_rng(seed)
    policy, rho = random_policy(mdp, rng, sharpness), mdp.start_distribution
    visits, value = discounted_occupancy(mdp, policy), evaluate_policy(mdp, policy)
    scale = 1 / (1 - mdp.gamma) if effective_horizon else 1.0
    size, rounding = _sup(mdp.reward), accumulated_rounding(mdp.pairs + 2 * steps)
    chain_, _ = policy_model(mdp, policy)
    here, counted = rho, np.zeros(mdp.states)
    for t in range(steps):
        counted += (1 - mdp.gamma) * mdp.gamma**t * here
        here = chain_.T @ here
    tail = visits.state - counted
    flow = flow_residual(mdp, visits.pair) + (1 - source) * (1 - mdp.gamma) * rho
    price = value.error + (visits.error + rounding) * size / (1 - mdp.gamma) + rounding * _sup(value.value)
    return all_of(
        mass=equal(visits.pair.sum(), 1.0, tolerance=1.0, scale=visits.error + rounding),
        flow=equal(flow, 0.0, tolerance=1.0, scale=2 * visits.error + rounding),
        value=equal(scale * float(visits.pair @ mdp.reward), float(rho @ value.value), tolerance=1.0, scale=price),
        tail=equal(tail.sum(), mdp.gamma**steps, tolerance=1.0, scale=visits.error + rounding),
        too_little=always(tail >= -(visits.error + rounding), "a state was visited more often than d says"),
    )


occupancy_identities.control("a source of rho", because="in normalised flow 1 - gamma of the mass starts anew", source=10.0)
occupancy_identities.control("the value is d . R", because="occupancies sum to 1", effective_horizon=False)


# -- entropy regularisation -----------------------------------------------------------------------------------------


@claim(
    GEIST,
    "soft-contraction",
    r"\|T_\tau U - T_\tau V\|_\infty \le \gamma\, \|U - V\|_\infty, \qquad "
    r"(T_\tau V)(s) = \tau \log \sum_a \mu(a|s)\, e^{(R + \gamma P V)(s,a) / \tau}",
    kind="inequality",
    source="recalled",
    assumes="tau > 0; mu = 1 (entropy) or a policy (relative entropy)",
)
@over(
    real_models() | structured_models() | random_models(),
    tau=(0.05, 1.0),
    reference=("entropy", "policy"),
    difference=("constant", "random"),
)
@over(FREE, tau=Range(0.01, 10.0, log=True), reference="entropy", difference=Range(-1.0, 1.0, size=2), budget=BUDGET)
def soft_contraction(
    mdp: TabularMDP,
    *,
    tau: float,
    reference: str,
    difference: str | tuple[float, ...],
    seed: int,
    power: float = 1.0,
    rescaled: bool = True,
) -> Comparison:
    r"""The soft Bellman operator contracts by the discount in the sup norm, whatever the temperature.

    The gradient of :math:`\tau \log \sum_a \mu_a e^{q_a/\tau}` is a distribution over actions, so that the soft maximum of two
    vectors differs by at most their largest difference. A constant shift attains the bound.
    """
    rng = np.random.default_rng(seed)
    mu = random_policy(mdp, rng) if reference == "policy" else None
    D = _vector(difference, mdp.states, rng)
    V = rng.standard_normal(mdp.states)
    images = soft_bellman(mdp, V + D, tau, reference=mu)[0] - soft_bellman(mdp, V, tau, reference=mu)[0]
    # log-sum-exp adds a few roundings of its largest term and of tau log A
    rounding = 6 * sweep_rounding(mdp, V, V + D) + accumulated_rounding(4 * mdp.max_actions + 40) * tau
    left = _sup(images) / (1.0 if rescaled else tau)
    return at_most(left, mdp.gamma**power * _sup(D), slack=rounding / (1.0 if rescaled else tau))


soft_contraction.control("the modulus gamma^2", because="a constant shift shrinks by gamma and no more", power=2.0)
soft_contraction.control("log-sum-exp not multiplied by tau", because="then it is 1/tau-Lipschitz", rescaled=False)


@functools.lru_cache(maxsize=2)  # a claim and its controls ask for the same optimum
def _soft_optimum(mdp: TabularMDP, tau: float, reference: str, seed: int = 0) -> tuple[SoftSolution, Floats | None]:
    """The optimum with entropy, or with relative entropy to a random ("policy") or the "uniform" policy, and that policy."""
    mu = None
    if reference != "entropy":
        mu = uniform_policy(mdp) if reference == "uniform" else random_policy(mdp, np.random.default_rng(seed))
    return soft_policy_iteration(mdp, tau, reference=mu), mu


ALL_TIED = two_state.sweep(stay=[(0.5, 0.5, 0.5, 0.5)], reward=[(1.0, 1.0, 1.0, 1.0)], gamma=(0.5, 0.9))


@claim(
    GEIST,
    "soft-gap",
    r"0 \le V^\star_\tau - V^\star \le \frac{\tau \log A}{1 - \gamma}",
    kind="inequality",
    source="recalled",
    assumes="entropy regularisation with temperature tau > 0; at most A actions; gamma < 1",
)
@over(real_models() | structured_models() | random_models(), tau=(0.05, 1.0))
@over(ALL_TIED, tau=1.0)
@over(FREE, tau=Range(0.01, 10.0, log=True), budget=BUDGET)
def soft_gap(
    mdp: TabularMDP, *, tau: float, factor: float = 1.0, effective_horizon: bool = True, reference: str = "entropy"
) -> Comparison:
    r"""Entropy raises the optimal value by at most tau log A / (1 - gamma), and never lowers it.

    :math:`\max_a q_a \le \tau \log \sum_a e^{q_a/\tau} \le \max_a q_a + \tau \log A`, and the difference of the fixed points of
    two contractions is at most 1 / (1 - gamma) times that of the operators. Attained where all actions tie. Relative entropy to
    a policy lowers the value instead.
    """
    best, (soft, _) = optimum(mdp), _soft_optimum(mdp, tau, reference)
    horizon = 1 / (1 - mdp.gamma) if effective_horizon else 1.0
    slack = best.width + soft.error
    return all_of(
        upper=at_most(soft.value - best.value, factor * tau * math.log(mdp.max_actions) * horizon, slack=slack),
        lower=at_most(best.value - soft.value, 0.0, slack=slack),
    )


soft_gap.control("nine tenths of log A", because="where all actions tie the entropy is log A", factor=0.9)
soft_gap.control("without 1 / (1 - gamma)", because="entropy is earned in every step", effective_horizon=False)
soft_gap.control("relative entropy", because="a divergence is a cost: the value falls", reference="uniform")


@claim(
    GEIST,
    "soft-policy-loss",
    r"0 \le V^\star - V^{\pi_\tau} \le \frac{\tau \log A}{1 - \gamma}",
    kind="inequality",
    source="recalled",
    assumes="pi_tau is optimal for the entropy-regularised problem; gamma < 1",
)
@over(real_models() | structured_models() | random_models(), tau=(0.05, 1.0))
@over(two_state.sweep(stay=[(1.0, 0.0, 1.0, 1.0)], reward=[(0.67, 0.0, 0.0, 0.0)], gamma=(0.99, 0.999, 0.9999)), tau=1.0)
@over(FREE, tau=Range(0.01, 10.0, log=True), budget=BUDGET)
def soft_policy_loss(mdp: TabularMDP, *, tau: float, factor: float = 1.0, effective_horizon: bool = True) -> Comparison:
    r"""The optimal soft policy loses at most tau log A / (1 - gamma) of the true optimum.

    :math:`V^{\pi_\tau} \ge V_\tau^{\pi_\tau} - \tau \log A / (1-\gamma) = V^\star_\tau - \tau \log A / (1-\gamma)`, and
    :math:`V^\star_\tau \ge V^\star`. Attained in the limit of gamma to 1: a state pays nearly tau log 2 for staying, and leads
    to an absorbing one that pays nothing but the entropy of two tied actions. The soft optimum hardly minds leaving, soon does,
    and loses all that staying pays.
    """
    best, (soft, _) = optimum(mdp), _soft_optimum(mdp, tau, "entropy")
    found = evaluate_policy(mdp, soft.policy / state_sum(mdp, soft.policy)[mdp.pair_state])
    horizon = 1 / (1 - mdp.gamma)
    # a policy whose logarithms are off by e earns within 2 e of its advantages in every step
    slack = best.width + found.error + 2 * soft.log_policy_error * _span(found.advantage) * horizon
    bound = factor * tau * math.log(mdp.max_actions) * (horizon if effective_horizon else 1.0)
    return at_most(best.value - found.value, bound, slack=slack)


soft_policy_loss.control("nine tenths of log A", because="near discount 1 all of it can be lost", factor=0.9)
soft_policy_loss.control("without 1 / (1 - gamma)", because="the policy is random in every step", effective_horizon=False)


@claim(
    NACHUM,
    "soft-log-policy",
    r"\tau \log \frac{\pi^\star_\tau(a|s)}{\mu(a|s)} = Q^\star_\tau(s,a) - V^\star_\tau(s), \qquad "
    r"V_\tau^{\pi} \le V_\tau^{\pi^\star_\tau} = V^\star_\tau",
    kind="identity",
    source="recalled",
    assumes="tau > 0; mu = 1 (entropy) or a policy (relative entropy); gamma < 1",
)
@over(real_models() | structured_models() | random_models(), tau=(0.05, 1.0), reference=("entropy", "policy"))
def soft_log_policy(
    mdp: TabularMDP, *, tau: float, reference: str, seed: int, temperature: float = 1.0, soft_value: bool = True
) -> Comparison:
    r"""The optimal soft policy is the exponential of the soft advantage, and attains the soft optimum.

    :math:`\sum_a \mu_a e^{(Q - V)/\tau} = 1` is the soft Bellman equation. For any policy, :math:`T_\tau V - T_{\tau,\pi} V =
    \tau\, \mathrm{KL}(\pi \| \mu e^{(Q - T_\tau V)/\tau}) \ge 0`. The policy's value comes from a linear solve of its own.
    """
    soft, mu = _soft_optimum(mdp, tau, reference, seed)
    rng = np.random.default_rng([seed, 1])
    log_mu = 0.0 if mu is None else np.log(mu)
    V = soft.value if soft_value else optimum(mdp).value
    rounding = accumulated_rounding(mdp.max_actions + 20) * (_sup(soft.q) + tau * (1 + _sup(soft.log_policy)))
    attained = soft_evaluate(mdp, soft.log_policy, tau, reference=mu, log=True)
    other = soft_evaluate(mdp, random_policy(mdp, rng), tau, reference=mu)
    # the value of a policy whose logarithms are off by e in sup norm is off by (e tau)^2 / tau at most, far below e
    error = soft.error + attained.error + tau * soft.log_policy_error
    return all_of(
        advantage=equal(
            temperature * tau * (soft.log_policy - log_mu),
            soft.q - V[mdp.pair_state],
            tolerance=1.0,
            scale=2 * soft.error + tau * soft.log_policy_error + rounding,
        ),
        attained=equal(attained.value, soft.value, tolerance=1.0, scale=error + rounding / (1 - mdp.gamma)),
        best=always(other.value <= soft.value + soft.error + other.error, "another policy is better"),
    )


soft_log_policy.control("twice the temperature", because="the logarithm is the advantage over tau", temperature=2.0)
soft_log_policy.control("the hard optimum", because="with V* the exponentials do not sum to 1", soft_value=False)
