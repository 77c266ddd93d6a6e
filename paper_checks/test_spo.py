r"""SPO (Swamy et al. 2024): one policy that plays itself without regret finds a minimax winner.

Notation: A the centred preference matrix, p_t the plays of a learner that is fed its own win rates A p_t, pbar_T the mean of
p_0, ..., p_{T-1}, and V_0(p) = max_i (A p)_i the exploitability, which is 0 exactly at minimax winners. All of it rests on
<p, A p> = 0, which holds because A is skew.

Hedge with the step eta satisfies, for any gains g_t and any action u played from the uniform policy,

    sum_t <u - p_t, g_t> <= log K / eta + (1/eta) sum_t ln E_{p_t} exp(eta (g_t - <p_t, g_t>)),

as ln p_{t+1}(u)/p_t(u) = eta g_t(u) - ln E_{p_t} exp(eta g_t) and p_T(u) <= 1. The claims differ in how they bound the last
sum. The theorems are known here by their order only; constants are proved in the docstrings.
"""

import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from games.dynamics import average_policy
from games.generators import (
    additive,
    bradley_terry,
    cloned,
    cyclic,
    rock_paper_scissors,
    tilted,
    tournament,
    uniform,
    with_condorcet_winner,
)
from games.linear_programming import solve_nash_lp
from games.mirror_descent import hedge
from games.oracle import Oracle, sampled_oracle
from games.preference import PreferenceGame
from games.regularised import exploitability
from games.self_play import projected_gradient_ascent, regret, regret_matching
from paper_checks.preference_games import every_family, real_games
from theory.bradley_terry_fit import borda_scores, fit_bradley_terry
from theory.claims import (
    Comparison,
    Paper,
    Range,
    Sweep,
    all_of,
    always,
    at_least,
    at_most,
    by_profile,
    claim,
    domain,
    equal,
    family,
    over,
    violation_rate,
)

Array = NDArray[np.float64]

PAPER = Paper(
    key="spo",
    title="A Minimaximalist Approach to Reinforcement Learning from Human Feedback",
    authors="Swamy, Dann, Kidambi, Wu, Agarwal",
    year=2024,
    theme="games",
    arxiv="2401.04056",
)


MARGINS = by_profile(quick=(0.05, 0.2, 0.5), full=(0.02, 0.05, 0.1, 0.2, 0.3, 0.5))
# games of three actions, of which a search chooses the preferences; the start is uniform
SEARCHED = tilted.sweep(upper=Range(-0.5, 0.5, size=3), tilt=[(0.0, 0.0, 0.0)], beta=1.0)
SEARCH_BUDGET = by_profile(quick=60, full=600)


@family(K=2)
def condorcet(K: int = 5, margin: float = 0.1, others: str = "uniform", exact: bool = True, seed: int = 0) -> PreferenceGame:
    """Action 0 beats every other by exactly ``margin`` (or by at least that); the ``others`` play a game of that family."""
    games = {"uniform": uniform, "tournament": tournament, "cyclic": cyclic, "additive": additive}
    A = np.zeros((K, K)) if others == "ties" else games[others](K=K, scale=0.0, seed=seed).A.copy()
    if exact:
        A[0] = A[:, 0] = 0.0
    return PreferenceGame(with_condorcet_winner(PreferenceGame(A), margin).A)


def _symmetric(K: int, seed: int) -> Array:
    """A symmetric matrix with entries in [-1/2, 1/2]: what a preference game must not have."""
    drawn = np.random.default_rng(seed).uniform(-0.5, 0.5, (K, K))
    return (drawn + drawn.T) / 2


def _least_so_far(oracle: Oracle, rounds: int) -> Array:
    """A bad learner, with linear regret: it always plays the action that has earned least so far."""
    plays = np.full((rounds, oracle.log_reference.size), -np.inf)
    earned = np.zeros(oracle.log_reference.size)
    for t in range(rounds):
        plays[t, np.argmin(earned)] = 0.0
        earned += oracle.query(plays[t])
    return plays


LEARNERS: dict[str, Callable[[Oracle, int], Array]] = {
    "Hedge": lambda oracle, rounds: hedge(oracle, rounds, step=0.3).log_policies[:-1],
    "projected gradient": lambda oracle, rounds: projected_gradient_ascent(oracle, rounds, step=0.3).log_policies[:-1],
    "regret matching": lambda oracle, rounds: regret_matching(oracle, rounds).log_policies[:-1],
    "least so far": _least_so_far,
}


@claim(
    PAPER,
    "regret-is-exploitability",
    r"\max_i (A \bar p_T)_i = \frac{1}{T} \max_u \sum_{t<T} \langle u - p_t, A p_t \rangle, \qquad"
    r" \text{duality gap of } (\bar p_T, \bar p_T) = \frac{2}{T}\, \mathrm{Regret}_T",
    kind="identity",
    source="derived",
    assumes="any learner that is fed its own win rates, good or bad; any start",
)
@over(every_family((2, 3, 10), scale=(0.0, 2.0), draws=by_profile(quick=1, full=5)), learner=tuple(LEARNERS))
@over(every_family((30,), scale=0.0, draws=by_profile(quick=1, full=5)), learner=tuple(LEARNERS))
def regret_is_exploitability(game: PreferenceGame, *, learner: str, seed: int, symmetric: float = 0.0) -> Comparison:
    """A learner's regret in self-play is how much its average can be exploited: one learner is enough, and no adversary.

    The regret against u is <u, A sum_t p_t> - sum_t <p_t, A p_t>, and the second sum is 0. The gains are those that the learner
    was told. The gap is max_u <u, A pbar> - min_w <pbar, A w>, and -A^T = A makes its two halves equal.
    """
    payoff = game.A + symmetric * _symmetric(game.actions, seed)
    told: list[Array] = []

    def answer(opponent: Array) -> Array:
        told.append(payoff @ opponent)
        return told[-1]

    plays = LEARNERS[learner](Oracle(game.log_reference, answer), 100)
    rounds = np.array([1, 2, 5, 10, 30, 100])
    regrets = regret(np.array(told), plays)[rounds - 1] / rounds
    averages = np.exp([average_policy(plays[:T]) for T in rounds])
    value = (averages @ payoff.T).max(axis=1)
    gap = value - (averages @ payoff).min(axis=1)
    # sums of 100 numbers of at most 1/2, each rounded to a few units of 2^-53 of their size
    return all_of(
        exploitability=equal(value, regrets, tolerance=1e-12, scale=1.0),
        gap=equal(gap, 2 * regrets, tolerance=1e-12, scale=1.0),
    )


regret_is_exploitability.control(
    "a payoff that is not skew", because="a hundredth of a symmetric matrix makes <p, A p> differ from 0", symmetric=0.01
)


@claim(
    PAPER,
    "symmetric-winner",
    r"(x, y) \text{ solves the game} \implies (x, x) \text{ and } (y, y) \text{ solve it}; \qquad \text{its value is } 0",
    kind="identity",
    source="derived",
    assumes="any preference game; also where the solution is not unique",
)
@over(every_family((2, 3, 4, 6, 10, 30), scale=0.0, draws=by_profile(quick=2, full=10)))
@over(real_games(scale=0.0))
@over(cloned.sweep(K=(3, 5), clones=(2, 10), draws=by_profile(quick=2, full=10)))
def symmetric_winner(game: PreferenceGame, *, seed: int, symmetric: float = 0.0) -> Comparison:
    """Either player's half of any solution is a minimax winner, whichever of the solutions a linear programme returns.

    If x guarantees the value v, A^T x >= v, then A x = -A^T x <= -v: as a column it holds the row player to -v, so v <= -v, and
    likewise v >= 0 from y. So v = 0, A x <= 0 and A^T y = -A y >= 0.

    x and y are vertices of the sets of optimal strategies that maximise two random linear functions. What is compared with 0
    is how far x as a column, and y as a row, are from holding the value.
    """
    rng = np.random.default_rng([seed, 1])
    payoff = game.A + symmetric * _symmetric(game.actions, seed)
    solved = solve_nash_lp(payoff)
    x = _optimal_row(payoff, solved.lower, rng.standard_normal(game.actions))
    y = _optimal_row(-payoff.T, -solved.upper, rng.standard_normal(game.actions))
    tolerance = solved.gap + 1e-9  # the linear programmes keep their constraints to 1e-10
    return all_of(
        row_as_column=equal((payoff @ x).max(), solved.value, tolerance=tolerance, scale=1.0),
        column_as_row=equal((payoff.T @ y).min(), solved.value, tolerance=tolerance, scale=1.0),
        value=equal(solved.value if symmetric == 0 else 0.0, 0.0, tolerance=tolerance, scale=1.0),
    )


def _optimal_row(payoff: Array, value: float, objective: Array) -> Array:
    """The strategy that guarantees ``value`` in every column and maximises ``objective`` among those that do."""
    from scipy.optimize import linprog

    found = linprog(
        -objective,
        A_ub=-payoff.T,
        b_ub=np.full(payoff.shape[1], -value),
        A_eq=np.ones((1, objective.size)),
        b_eq=[1.0],
        bounds=(0, None),
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    x = np.clip(found.x, 0.0, None)
    return np.asarray(x / x.sum())


symmetric_winner.control(
    "a payoff that is not skew", because="the row player's optimal strategy is then no column's", symmetric=0.1
)


def _self_play_value(game: PreferenceGame, T: int, step: float, average: bool) -> float:
    policies = hedge(game, T, step=step).log_policies
    return float(exploitability(game, 0.0, average_policy(policies[:-1]) if average else policies[-1]))


@claim(
    PAPER,
    "rate",
    r"V_0(\bar p_T) \le \sqrt{\frac{\ln K}{2T}}",
    kind="inequality",
    source="derived",
    assumes=r"Hedge from the uniform policy with \eta = \sqrt{8 \ln K / T}",
    note="The order is the paper's; the constant is Hedge's classical one. `spo/self-play-constant` is smaller by sqrt(3).",
)
@over(every_family((2, 3, 5, 10, 30), scale=0.0, draws=by_profile(quick=2, full=10)), T=(1, 10, 100, 1000))
@over(real_games(scale=0.0), T=(10, 1000))
@over(tournament.sweep(K=20, scale=0.0, draws=by_profile(quick=3, full=10)), T=(10, 100, 1000, 4000))
@over(condorcet.sweep(K=(2, 3, 10), others="ties", margin=0.5), T=(1, 10, 100, 4000))
@over(SEARCHED, T=(1, 10, 100), budget=SEARCH_BUDGET)
def rate(game: PreferenceGame, *, T: int, average: bool = True, power: float = 0.5, constant: float = 1.0) -> Comparison:
    """The average of Hedge against itself is a minimax winner up to sqrt(log K / 2T).

    By Hoeffding's lemma each term of the last sum above is at most eta^2/8, as gains lie in an interval of length 1. So
    T V_0 = Regret_T <= log K/eta + eta T/8 (`spo/regret-is-exploitability`), which this eta balances.
    """
    size = np.log(game.actions)
    value = _self_play_value(game, T, np.sqrt(8 * size / T), average)
    return at_most(value, constant * np.sqrt(size / 2) * T**-power)


rate.control("the last iterate", because="it circles round the equilibrium, or flees from it", average=False)
rate.control("T^(-0.6)", because="finding a winner costs log K / eta in all", power=0.6)
rate.control("half the constant", because="finding a winner costs more than log K / eta, half the bound", constant=0.5)


@claim(
    PAPER,
    "self-play-constant",
    r"V_0(\bar p_T) \le \frac{\ln K}{\eta T} + \frac{\eta}{24} = \sqrt{\frac{\ln K}{6T}} \quad \text{at } \eta ="
    r" \sqrt{\frac{24 \ln K}{T}}",
    kind="inequality",
    source="derived",
    assumes=r"Hedge from the uniform policy with \eta = \sqrt{24 \ln K / T}",
    note="Win rates against oneself spread less than arbitrary gains: the constant is sqrt(3) below that of `spo/rate`.",
)
@over(every_family((2, 3, 5, 10, 30), scale=0.0, draws=by_profile(quick=2, full=10)), T=(1, 10, 100, 1000))
@over(real_games(scale=0.0), T=(10, 1000))
@over(tournament.sweep(K=20, scale=0.0, draws=by_profile(quick=3, full=10)), T=(10, 100, 1000, 4000))
@over(condorcet.sweep(K=(2, 3, 10), others="ties", margin=0.5), T=(1, 10, 100, 4000))
@over(SEARCHED, T=(1, 10, 100), budget=SEARCH_BUDGET)
def self_play_constant(
    game: PreferenceGame, *, T: int, average: bool = True, power: float = 0.5, constant: float = 1.0
) -> Comparison:
    r"""Against itself Hedge is better than against an adversary: sqrt(log K / 6T), with a step that is sqrt(3) times larger.

    Draw i from p and let m = p(S). Within S skewness cancels, so that

    sum_{i in S} p_i (A p)_i = sum_{i in S, j not in S} p_i A_ij p_j <= m (1 - m)/2,

    which is what the upper part of mass m of the uniform distribution U on [-1/2, 1/2] integrates to. Both have the mean 0. By
    Hardy, Littlewood and Polya the win rates are therefore below U in the convex order: E_p f(A p) <= E f(U) for every convex
    f. With f = exp(eta .) each term of Hedge's sum is at most ln(2 sinh(eta/2)/eta) <= eta^2/24, in place of Hoeffding's
    eta^2/8. A linear order of many actions attains the order's bound.
    """
    size = np.log(game.actions)
    value = _self_play_value(game, T, np.sqrt(24 * size / T), average)
    return at_most(value, constant * np.sqrt(size / 6) * T**-power)


self_play_constant.control("the last iterate", because="it flees from the equilibrium", average=False)
self_play_constant.control("T^(-0.6)", because="finding a winner costs log K / eta in all", power=0.6)
self_play_constant.control("two thirds of the constant", because="three actions and one round need 0.78", constant=2 / 3)


@functools.lru_cache(maxsize=2)
def _sampled_values(game: PreferenceGame, T: int, seed: int, runs: int) -> Array:
    """V_0 of the average of Hedge that sees one comparison of each action a round, for each of ``runs`` runs."""
    oracle = sampled_oracle(game, 1, np.random.default_rng(seed), runs=runs)
    run = hedge(oracle, T, step=np.sqrt(8 * np.log(game.actions) / T))
    return exploitability(game, 0.0, average_policy(run.log_policies[:-1]))


@claim(
    PAPER,
    "sampled",
    r"\Pr\Bigl(V_0(\bar p_T) > \sqrt{\frac{\ln K}{2T}} + \sqrt{\frac{2 \ln (K/\delta)}{T}}\Bigr) \le \delta",
    kind="high-probability bound",
    source="derived",
    assumes=r"each round one opponent is drawn from p_t and compared once with every action; \eta = \sqrt{8 \ln K / T}",
)
@over(
    cyclic.sweep(K=(3, 7), scale=0.0) | tournament.sweep(K=8, scale=0.0) | bradley_terry.sweep(K=8, scale=0.0),
    T=by_profile(quick=(400,), full=(100, 400)),
)
def sampled(
    game: PreferenceGame,
    *,
    T: int,
    seed: int,
    runs: int = by_profile(quick=600, full=1500),
    delta: float = 0.05,
    noise: float = 1.0,
) -> Comparison:
    r"""One opponent and one comparison of each action a round are enough, at a cost of the same order.

    The estimate g_t has the mean A p_t given the past, and entries of size 1/2. Hedge's regret on the estimates is at most
    sqrt(T log K/2), as in `spo/rate`. The rest, sum_t <e_i - p_t, A p_t - g_t>, is a martingale whose increments are
    <e_i - p_t, -g_t> less their mean, with |<e_i - p_t, g_t>| <= |e_i - p_t|_1/2 <= 1: an interval of length 2. By the
    inequality of Hoeffding and Azuma it exceeds sqrt(2 T log(K/delta)) with probability at most delta/K, for each i.
    """
    K = game.actions
    bound = np.sqrt(np.log(K) / (2 * T)) + noise * np.sqrt(2 * np.log(K / delta) / T)
    return violation_rate(_sampled_values(game, T, seed, runs) > bound, delta)


sampled.control("without the second term", because="the noise of single comparisons shows", noise=0.0)
sampled.control("a tenth of the second term", because="on some games one run in seven exceeds it", noise=0.1)


@functools.lru_cache(maxsize=2)
def _hedge_policies(game: PreferenceGame, T: int, step: float) -> Array:
    """The first T plays of Hedge, as probabilities."""
    return np.exp(hedge(game, T, step=step).log_policies[:-1])


def _no_winner(game: PreferenceGame) -> Comparison:
    """The sum of mistakes in a game without a winner, held to the bound with the margin of action 0 over action 1."""
    margin = float(game.A[0, 1])
    policies = _hedge_policies(game, 4000, margin)
    return at_most((1 - policies[:, 0]).sum(), 1.25 * np.log(game.actions) / margin**2)


@family
def four_with_winner(upper: tuple[float, float, float] = (0.5, -0.5, 0.5), margin: float = 0.1) -> PreferenceGame:
    """Action 0 beats three others by exactly ``margin``; ``upper`` are their entries above the diagonal."""
    a, b, c = upper
    A = np.array([[0, 0, 0, 0], [0, 0, a, b], [0, 0, 0, c], [0, 0, 0, 0]], dtype=float)
    A[0, 1:] = margin
    return PreferenceGame(A - A.T)


@claim(
    PAPER,
    "fast-rate",
    r"A_{0j} \ge \Delta \text{ for all } j \implies \sum_{t<T} (1 - p_t(0)) \le \frac{5 \ln K}{4 \Delta^2}, \qquad"
    r" V_0(\bar p_T) \le \frac{5 \ln K}{8 \Delta^2 T} \text{ for all } T",
    kind="deterministic rate",
    source="derived",
    assumes=r"Hedge from the uniform policy with the constant step \eta = \Delta",
    note="The order, 1/T with a gap, is the paper's; the constants are proved here.",
)
@over(
    condorcet.sweep(K=(2, 3, 10, 30), others=("uniform", "tournament", "cyclic", "ties"), exact=(True, False), margin=MARGINS)
)
@over(
    four_with_winner.sweep(upper=Range(-0.5, 0.5, size=3), margin=Range(0.05, 0.5, log=True)),
    budget=by_profile(quick=100, full=1000),
)
@over(condorcet.sweep(K=2, others="ties", margin=Range(0.03, 0.5, log=True)), budget=by_profile(quick=30, full=200))
def fast_rate(game: PreferenceGame, *, believed: float = 1.0, gap_power: float = 2.0) -> Comparison:
    r"""With a winner that beats everything by Delta, constant steps give a rate of 1/T.

    Let q = 1 - p(0) and (A p)_0 = a q, so Delta <= a <= 1/2. With |(A p)_j| <= 1/2 for the others,
    E_p[(A p)^2] <= (1 - q) a^2 q^2 + q/4 <= q (1 + a^2)/4. The function psi(x) = (e^x - 1 - x)/x^2 increases, and
    eta |A p| <= 1/4, so from E_p[A p] = 0

    ln Z = ln E_p exp(eta A p) <= E_p[exp(eta A p) - 1 - eta A p] <= psi(1/4) eta^2 E_p[(A p)^2], psi(1/4) < 0.545,

    and a step lowers -ln p(0) by at least

    eta a q - ln Z >= eta q [a - 0.137 eta (1 + a^2)] >= Delta^2 q [1 - 0.137 (1 + Delta^2)] >= (4/5) Delta^2 q:

    the bracket increases in a for a <= 1/2, and Delta <= 1/2. The sum over t telescopes from log K to at least 0. And
    (A pbar)_0 <= (1/2)(1 - pbar(0)), (A pbar)_j <= sum_{k != 0, j} pbar(k)/2: V_0 is at most half the average of q.
    """
    K, margin = game.actions, float(game.A[0, 1:].min())
    T = int(4 * np.log(K) / margin**2) + 10
    policies = _hedge_policies(game, T, margin)
    rounds = np.arange(1, T + 1)
    mistakes = np.cumsum(policies[:, 1:].sum(axis=1))
    value = (np.cumsum(policies, axis=0) @ game.A.T).max(axis=1)  # T V_0, so that small values keep their meaning
    bound = 1.25 * np.log(K) / (believed * margin) ** gap_power
    return all_of(
        mistakes=at_most(mistakes, bound, x=rounds),
        exploitability=at_most(value, bound / 2, x=rounds),
    )


fast_rate.control("a margin that is a quarter larger", because="the sum is about log K / Delta^2", believed=1.25)
fast_rate.control("1 / Delta in place of 1 / Delta^2", because="small gaps take 1 / Delta^2 rounds", gap_power=1.0)
fast_rate.control(
    "preferences that cycle",
    because="there is no winner to find (the margin is then that of action 0 over its weakest neighbour)",
    on=domain(rock_paper_scissors.sweep(weights=[(0.5, 0.3, 0.5)])),
    check=_no_winner,
)


@family
def decoys(crush: float = 0.45, copies: int = 2, share: float = 0.2) -> PreferenceGame:
    """Action 0 beats all others by a small margin; action 1 loses to it but beats ``copies`` decoys by ``crush``.

    The margin is the ``share`` of copies * crush / (copies + 2), below which action 1 has the larger Borda score.
    """
    K = 2 + copies
    A = np.zeros((K, K))
    A[0, 1:] = share * copies * crush / K
    A[1, 2:] = crush
    return PreferenceGame(A - A.T)


@claim(
    PAPER,
    "reward-model-fails",
    r"\arg\max_i \hat\theta_i \text{ (Bradley-Terry) loses to the Condorcet winner, whose } V_0 = 0",
    kind="separation",
    source="derived",
    assumes=r"P(0 \succ j) = 1/2 + m, P(1 \succ j) = 1/2 + c for n decoys j that tie, (n + 2) m < n c; every pair compared equally often",
)
@over(decoys.sweep(crush=(0.1, 0.45, 0.5), copies=(1, 2, 10, 50), share=(0.01, 2 / 9, 0.5, 0.99)))
@over(decoys.sweep(crush=Range(0.01, 0.5), copies=(1, 2, 5), share=Range(0.01, 0.99)), budget=by_profile(quick=25, full=400))
def reward_model_fails(game: PreferenceGame) -> Comparison:
    """The best action by a fitted reward can lose to an action that beats everything; the minimax winner cannot.

    The fit orders actions as their Borda scores do (`spo/borda-order`). Those of actions 0 and 1 differ by
    [m (n + 1) - (n c - m)]/(n + 1), which is negative when (n + 2) m < n c. Action 1 then wins, and is beaten by m.
    """
    fit = fit_bradley_terry(game.A + 0.5)
    chosen = int(np.argmax(fit.theta))
    solved = solve_nash_lp(game.A)
    return all_of(
        exploited=at_least(game.A[:, chosen].max(), game.A[0, 1:].min()),  # V_0 of the pure policy that the reward picks
        lead=at_least(fit.theta[1] - fit.theta[0], fit.error_bound),
        minimax=equal((game.A @ solved.row).max(), 0.0, tolerance=solved.gap + 1e-15, scale=1.0),
    )


reward_model_fails.control(
    "a larger margin",
    because="(n + 2) m > n c puts the Borda scores right",
    on=decoys.sweep(crush=0.45, copies=(2, 5), share=1.02),
)


@claim(
    PAPER,
    "every-reward-fails",
    r"\min_i V_0(e_i) = \min(a, b, c) > 0, \qquad V_0\bigl((c, b, a)/(a + b + c)\bigr) = 0",
    kind="separation",
    source="derived",
    assumes="rock-paper-scissors with the weights a, b, c > 0: every reward without ties is maximised by a pure policy",
)
@over(rock_paper_scissors.sweep(weights=Range(0.01, 0.5, size=3)), budget=by_profile(quick=60, full=600))
@over(rock_paper_scissors.sweep(weights=[(0.5, 0.5, 0.5), (0.01, 0.5, 0.5), (0.1, 0.2, 0.4)]))
def every_reward_fails(game: PreferenceGame) -> Comparison:
    """Where preferences cycle, whatever is optimal for a reward is exploitable; a mixture is not.

    V_0 of a pure policy is the largest entry of its column. A (c, b, a) = 0, and the policy that a linear programme returns has
    V_0 = 0 as well.
    """
    solved = solve_nash_lp(game.A)
    off_diagonal = game.A[~np.eye(game.actions, dtype=bool)]
    mixture = np.array([game.A[1, 2], -game.A[0, 2], game.A[0, 1]])  # up to its sum
    return all_of(
        mixture=equal(game.A @ mixture, 0.0, tolerance=1e-15, scale=1.0),
        pure=at_least(game.A.max(axis=0).min(), np.abs(off_diagonal).min()),
        solved=equal((game.A @ solved.row).max(), 0.0, tolerance=solved.gap + 1e-15, scale=1.0),
    )


every_reward_fails.control(
    "additive preferences", because="they come from a reward, whose best action nothing beats", on=additive.sweep(K=3, draws=5)
)


@claim(
    PAPER,
    "borda-order",
    r"\hat\theta_i > \hat\theta_j \iff \sum_k P_{ik} > \sum_k P_{jk}, \qquad"
    r" \sum_k P_{ik} = \sum_k \sigma(\hat\theta_i - \hat\theta_k)",
    kind="identity",
    source="derived",
    assumes="every pair is compared equally often; the maximum-likelihood fit exists",
)
@over(
    functools.reduce(
        Sweep.__or__,
        [f.sweep(K=(3, 5, 10, 30), draws=by_profile(quick=3, full=20)) for f in (uniform, bradley_terry, additive)],
    )
)
@over(cyclic.sweep(K=(3, 7)) | cloned.sweep(K=(3, 5), clones=(2, 10), draws=by_profile(quick=3, full=20)))
def borda_order(game: PreferenceGame, *, seed: int, unequal: float = 0.0) -> Comparison:
    """A Bradley-Terry reward knows of preferences only the Borda scores, and puts actions in their order.

    The gradient of the likelihood vanishes where each action's wins are the expected ones, the second display. Its right side is
    an increasing function of theta_i, the same for every i once k = i is counted as 1/2 on both sides.

    Differences within the error bound of the fit, or within 1e-12 in the Borda score, count as ties.
    """
    K = game.actions
    P = game.A + 0.5
    drawn = np.random.default_rng(seed).uniform(-1, 1, (K, K))
    fit = fit_bradley_terry(P, 1 + unequal * (drawn + drawn.T) / 2)
    scores = borda_scores(P)
    more = scores[:, None] - scores
    stronger = fit.theta[:, None] - fit.theta
    expected = (fit.win_probabilities.sum(axis=1) - 0.5) / (K - 1)
    return all_of(
        order=always(np.where(more > 1e-12, stronger > -fit.error_bound, True), "in the order of the scores"),
        ties=always(np.where(np.abs(more) <= 1e-15, np.abs(stronger) <= fit.error_bound + 1e-12, True), "ties stay ties"),
        # the expected share moves by at most a quarter of the error of theta
        shares=equal(expected, scores, tolerance=fit.error_bound + 1e-13, scale=1.0),
    )


borda_order.control("pairs compared a tenth more or less often", because="frequent opponents then count more", unequal=0.1)
