r"""MAMQL (Haynam, Khoja, Kumar, Myers, Biyik 2025): what demonstrations of an equilibrium tell about the players' rewards.

Notation: a general-sum Markov game at a logit equilibrium of the inverse temperature :math:`\lambda`; for player i, whose opponents keep to
their policies, :math:`\bar r_i, \bar P_i` is the marginal model, :math:`\bar Q_i, V_i` its soft optimum and :math:`\pi_i` the demonstrated
policy; rho the start distribution, d the normalised discounted occupancy of the demonstrations; x = Q - gamma P V with V the
log-sum-exp of Q. Everything is exact: the demonstrations are the equilibrium's own policies, not samples of them.
"""

import functools

import numpy as np
from numpy.typing import NDArray

from games.inverse_q import (
    demonstrated_values,
    expert_values,
    inverse_q_objective,
    inverse_q_optimum,
    inverse_soft_bellman,
)
from games.logit_equilibrium import LogitEquilibrium, logit_equilibrium, soft_response
from games.markov import MarkovGame, as_profile, marginal_mdp, marginal_model, markov_game
from mdplab.models import TabularMDP
from mdplab.solvers import discounted_occupancy, soft_policy_iteration
from mdplab.solvers.policy import log_normalise, log_sum_exp, state_max, state_sum
from theory.claims import (
    Comparison,
    Paper,
    all_of,
    always,
    at_least,
    at_most,
    by_profile,
    claim,
    equal,
    less_on_average,
    over,
    slope,
)
from theory.divergences import total_variation

Array = NDArray[np.float64]

PAPER = Paper(
    key="mamql",
    title="Multi-Agent Inverse Q-Learning from Demonstrations",
    authors="Haynam, Khoja, Kumar, Myers, Biyik",
    year=2025,
    theme="multiagent",
    arxiv="2503.04679",
)

# Damped soft policy iteration leaves probabilities off by about 1e-12; values are off by that over the horizon, and rewards
# that are differences of values likewise.
ROUNDING = 1e-10

GAMES = markov_game.sweep(
    S=5,
    actions=[(3, 3), (2, 4)],
    gamma=0.9,
    payoff="own",
    rewards="normal",
    scale=0.3,
    draws=by_profile(quick=5, full=30),
) | markov_game.sweep(
    S=3, actions=[(2, 2, 3)], gamma=(0.0, 0.6), payoff="own", rewards="normal", scale=0.5, draws=by_profile(quick=1, full=10)
)


_equilibria: dict[tuple[str, float], LogitEquilibrium] = {}


def _equilibrium(game: MarkovGame, rate: float) -> LogitEquilibrium:
    """A logit equilibrium with its residual, remembered for the controls, which see the same games."""
    assert game.key is not None
    if (game.key, rate) not in _equilibria:
        found = logit_equilibrium(game, rate, damping=0.8, max_iterations=300)
        if not found.converged:
            found = logit_equilibrium(game, rate, damping=0.2)
        assert found.residual < 1e-9, f"no logit equilibrium of {game} was found: residual {found.residual:.1e}"
        _equilibria[game.key, rate] = found
    return _equilibria[game.key, rate]


def _uniform(game: MarkovGame) -> list[Array]:
    return [np.full((game.states, k), 1 / k) for k in game.actions]


def _random_profile(game: MarkovGame, rng: np.random.Generator) -> list[Array]:
    return [rng.dirichlet(np.ones(k), game.states) for k in game.actions]


def _expert(game: MarkovGame, rate: float) -> tuple[TabularMDP, LogitEquilibrium]:
    """The marginal model of player 0 at the equilibrium, and the equilibrium."""
    found = _equilibrium(game, rate)
    return marginal_mdp(game, 0, found.profile), found


def _joint_soft_q(game: MarkovGame, player: int, profile: list[Array], rate: float) -> tuple[Array, float]:
    """The fixed point of Q(s, a) = r + gamma P V, V(s) = lse of E_{a_-i} Q(s, .), on the table of joint actions, and its error."""
    q = np.zeros((game.states, *game.actions))
    while True:
        mean = q
        for other in reversed(range(game.players)):
            if other != player:
                shape = (game.states, *(1,) * other, -1, *(1,) * (mean.ndim - other - 2))
                mean = (mean * profile[other].reshape(shape)).sum(axis=other + 1)
        value = np.logaddexp.reduce(rate * mean, axis=1) / rate
        following = game.reward[player] + game.gamma * game.transition @ value
        change = float(np.abs(following - q).max())
        q = following
        if change <= 1e-13 * max(1.0, float(np.abs(q).max())):
            return q, change / (1 - game.gamma)


@claim(
    PAPER,
    "marginal-is-single-agent",
    r"\mathbb{E}_{a_{-i} \sim \pi_{-i}} Q_i(s, a) = \bar Q_i(s, a_i), \text{ the soft-optimal Q of } (\bar r_i, \bar P_i)",
    kind="identity",
    source="derived",
    assumes="the opponents keep to any policies, in equilibrium or not",
)
@over(GAMES, opponents=("equilibrium", "random"), rate=2.0)
def marginal_is_single_agent(
    game: MarkovGame, *, opponents: str, rate: float, seed: int, mean_transition: bool = True
) -> Comparison:
    """Averaged over fixed opponents, a player's joint soft values are those of an ordinary decision process.

    The left side is computed on the table of joint actions, where V(s) is the log-sum-exp of the mean over the opponents; its mean
    obeys the soft Bellman equation of the averaged reward and the averaged transitions, whose solution is unique.
    """
    drawn = _random_profile(game, np.random.default_rng([seed, 3]))
    profile = as_profile(game, _equilibrium(game, rate).profile if opponents == "equilibrium" else drawn)
    comparisons = []
    for player in range(game.players):
        joint, error = _joint_soft_q(game, player, profile, rate)
        mean = np.moveaxis(joint, player + 1, 1)
        for other in reversed([k for k in range(game.players) if k != player]):
            mean = np.einsum("s...a,sa->s...", mean, profile[other])
        if mean_transition:
            single = soft_response(game, player, profile, rate)
        else:
            reward, _ = marginal_model(game, player, profile)
            fixed = np.moveaxis(game.transition, player + 1, 1)
            for _ in range(game.players - 1):
                fixed = fixed[:, :, 0]
            single = soft_policy_iteration(TabularMDP.from_dense(fixed, reward, game.gamma), 1 / rate)
        size = max(1.0, float(np.abs(joint).max()))
        comparisons.append(equal(mean.ravel(), single.q, tolerance=error + single.error + 1e-13 * size, scale=1.0))
    return all_of(*comparisons)


marginal_is_single_agent.control(
    "transitions of one fixed opponent action", because="the next state depends on what the opponents do", mean_transition=False
)


@claim(
    PAPER,
    "inverse-operator",
    r"Q_2 = \tfrac{1}{\lambda} \ln \pi_i + V_2, \; r_2 = Q_2 - \gamma \bar P_i V_2: \quad Q_2 \text{ is soft-optimal for } r_2, \text{"
    r" its policy is } \pi_i, \text{ and } r_2 - \bar r_i = \phi - \gamma \bar P_i \phi, \; \phi = V_2 - V_i",
    kind="identity",
    source="derived",
    assumes="any V_2; the marginal transitions are known",
)
@over(GAMES, rate=(1.0, 4.0), level=30.0)
def inverse_operator(
    game: MarkovGame,
    *,
    rate: float,
    level: float,
    seed: int,
    opponents: str = "experts",
    shaped: bool = True,
    sharper: float = 1.0,
) -> Comparison:
    r"""Demonstrations fix the marginal reward up to potential shaping, and nothing else is left open.

    The log-sum-exp of Q_2 is V_2, as :math:`\pi_i` sums to 1, so that Q_2 obeys the soft Bellman equation of r_2. With
    :math:`\bar Q_i = \tfrac{1}{\lambda} \ln \pi_i + V_i` the difference of the rewards is
    :math:`(V_2 - V_i) - \gamma \bar P_i (V_2 - V_i)`; and every reward with this soft-optimal policy is made by some V_2.
    """
    rng = np.random.default_rng([seed, 5])
    found = _equilibrium(game, rate)
    comparisons = []
    for player, response in enumerate(found.responses):
        mdp = marginal_mdp(game, player, found.profile)
        known = mdp if opponents == "experts" else marginal_mdp(game, player, _uniform(game))
        level_values = level * rng.standard_normal(game.states)
        q = demonstrated_values(mdp, response.policy, level_values, sharper * rate)
        reward = inverse_soft_bellman(known, q, sharper * rate)
        again = soft_policy_iteration(known.replace(reward=reward), 1 / rate, tol=1e-13)
        potential = level_values - response.value
        shaping = potential[mdp.pair_state] - mdp.gamma * (mdp.transition_matrix() @ potential)
        scale = max(1.0, float(np.abs(q).max()))
        comparisons += [
            equal(again.q, q, tolerance=ROUNDING, scale=scale),
            equal(again.policy, response.policy, tolerance=ROUNDING, scale=scale),
            equal(reward - mdp.reward, shaping if shaped else 0.0, tolerance=ROUNDING, scale=scale),
        ]
    return all_of(*comparisons)


inverse_operator.control(
    "the transitions of uniform opponents", because="then the reward is off by more than a shaping", opponents="uniform"
)
inverse_operator.control("the reward itself", because="V_2 is free, and shapes it", shaped=False)
inverse_operator.control(
    "a temperature five per cent off",
    because="the policy of the recovered reward is then not the demonstrated one",
    sharper=1.05,
)


@claim(
    PAPER,
    "joint-reward-unidentifiable",
    r"\mathbb{E}_{a_{-i} \sim \pi_{-i}} z(s, a) = 0 \implies r_i + z \text{ has the same marginal game and the same equilibrium as } r_i,"
    r" \text{ however large } z",
    kind="separation",
    source="derived",
    assumes="at least one opponent with two actions",
)
@over(GAMES, rate=(1.0, 4.0), distance=(1.0, 100.0))
def joint_reward_unidentifiable(
    game: MarkovGame, *, rate: float, distance: float, seed: int, centred_by: str = "experts"
) -> Comparison:
    r"""Who sees only equilibrium play cannot learn a player's reward for joint actions, only its mean over the opponents.

    The player's problem depends on r_i through :math:`\bar r_i` alone. The rewards z that cannot be seen have
    :math:`S K_i (\prod_{j \ne i} K_j - 1)` dimensions of :math:`S \prod_j K_j`.
    """
    rng = np.random.default_rng([seed, 9])
    found = _equilibrium(game, rate)
    centre = found.profile if centred_by == "experts" else _uniform(game)
    z = rng.standard_normal((game.states, *game.actions))
    other = MarkovGame(game.transition, np.stack([z, *[np.zeros_like(z)] * (game.players - 1)]), game.gamma)
    mean, _ = marginal_model(other, 0, list(centre))
    z = z - mean.reshape(game.states, -1, *(1,) * (game.players - 1))
    z *= distance / np.abs(z).max()
    reward = game.reward.copy()
    reward[0] += z
    changed = MarkovGame(game.transition, reward, game.gamma, game.start)
    before, after = marginal_mdp(game, 0, found.profile), marginal_mdp(changed, 0, found.profile)
    response = soft_response(changed, 0, found.profile, rate)
    # means of numbers of the size of z, and what they change in values over the horizon
    tolerance = 1e-14 * distance / (1 - game.gamma)
    return all_of(
        marginal=equal(after.reward, before.reward, tolerance=tolerance, scale=1.0),
        demonstrations=equal(
            response.policy, found.profile[0].ravel(), tolerance=ROUNDING + rate * tolerance / (1 - game.gamma), scale=1.0
        ),
        distance=at_least(np.abs(changed.reward[0] - game.reward[0]).max(), distance),
    )


joint_reward_unidentifiable.control(
    "a mean of 0 over uniform opponents",
    because="it is the demonstrated opponents over whom the mean must be 0",
    centred_by="uniform",
)


@claim(
    PAPER,
    "linear-objective-is-bc",
    r"\mathbb{E}_d[Q - \gamma \bar P V] - (1 - \gamma)\, \mathbb{E}_\rho V = \mathbb{E}_d[Q - V] = \tfrac{1}{\lambda}\, \mathbb{E}_d \ln"
    r" \pi_Q \qquad \text{for every } Q",
    kind="identity",
    source="derived",
    assumes="no regulariser; d the expert's normalised occupancy from rho, V the log-sum-exp of Q",
    note="Without its regulariser the inverse soft-Q objective is behaviour cloning; the dynamics enter through the regulariser only.",
)
@over(GAMES, rate=(0.5, 4.0), spread=(1.0, 10.0))
def linear_objective_is_bc(game: MarkovGame, *, rate: float, spread: float, seed: int, start: str = "rho") -> Comparison:
    r"""The inverse soft-Q objective without regulariser is the log-likelihood of the demonstrations, whatever the dynamics.

    The flow equation :math:`d_S = (1 - \gamma) \rho + \gamma P^\top d` turns the two terms in V into :math:`-\mathbb{E}_d V`. It needs
    the occupancy to begin where the objective's second term does.
    """
    rng = np.random.default_rng([seed, 13])
    mdp, found = _expert(game, rate)
    expert = found.responses[0].policy
    begin = mdp.start_distribution if start == "rho" else np.eye(game.states)[0]
    d = discounted_occupancy(mdp, expert, start=begin).pair
    sides = []
    for _ in range(10):
        q = spread * rng.standard_normal(mdp.pairs)
        value = log_sum_exp(mdp, rate * q) / rate
        sides.append(
            (
                inverse_q_objective(mdp, expert, q, rate, start=begin),
                d @ (q - value[mdp.pair_state]),
                d @ log_normalise(mdp, rate * q) / rate,
            )
        )
    objective, difference, cloning = np.array(sides).T
    scale = spread + 1 / rate  # the size of Q and V
    return all_of(
        equal(objective, difference, tolerance=1e-12, scale=scale), equal(difference, cloning, tolerance=1e-12, scale=scale)
    )


linear_objective_is_bc.control(
    "an occupancy from another start",
    because="the terms in V do not cancel if the demonstrations begin elsewhere",
    start="state 0",
)


def _divergence(mdp: TabularMDP, expert: Array, log_policy: Array) -> float:
    """E_d KL(pi_E || pi_Q) in units of reward times lambda: what the policies of Q lose in likelihood."""
    d = discounted_occupancy(mdp, expert).state
    terms = expert * (np.log(expert) - log_policy) - expert + np.exp(log_policy)  # each at least 0, and 0 where they agree
    return float(d @ state_sum(mdp, terms))


@claim(
    PAPER,
    "chi2-bias",
    r"\mathbb{E}_d\, \mathrm{KL}(\pi_i\|\pi_{Q_\alpha}) \le \lambda \alpha\, m, \quad m = \min_{V_2} \mathbb{E}_d (Q_2 - \gamma \bar P_i"
    r" V_2)^2; \qquad \text{the left side increases with } \alpha, \text{ from 0 at } 0",
    kind="inequality",
    source="derived",
    assumes="Q_alpha maximises E_d[x - alpha x^2] - (1 - gamma) E_rho V; the experts are not uniform",
    note="With its chi-square regulariser the inverse soft-Q objective does not recover the demonstrated policy, even with exact"
    " expectations.",
)
@over(GAMES, rate=(1.0, 4.0))
def chi2_bias(game: MarkovGame, *, rate: float, seed: int, factor: float = 1.0, falling: bool = False) -> Comparison:
    r"""The chi-square regulariser biases the policy, by more the larger its weight, and by no more than in proportion to it.

    By `mamql/linear-objective-is-bc` the objective is a constant less :math:`D/\lambda + \alpha P` with D the divergence and
    :math:`P = \mathbb{E}_d x^2`. Compared with the expert's own values (D = 0, P = m) its maximiser has
    :math:`D \le \lambda \alpha (m - P)`; and comparing two maximisers with each other, twice, shows that D rises with alpha while P
    falls. Maximisers are found by Newton's method; each is seen to be a strict local maximum, and to be better than the
    expert's own values.
    """
    mdp, found = _expert(game, rate)
    expert = found.responses[0].policy
    own, m = expert_values(mdp, expert, rate)
    alphas = np.array([0.0, 0.01, 0.05, 0.25, 1.0, 4.0])
    optima = [inverse_q_optimum(mdp, expert, rate, alpha) for alpha in alphas]
    divergences = np.array([_divergence(mdp, expert, o.log_policy) for o in optima])
    gains = [
        inverse_q_objective(mdp, expert, o.q, rate, o.alpha) - inverse_q_objective(mdp, expert, own, rate, o.alpha)
        for o in optima[1:]
    ]
    slack = 1e-13 * (1 + 1 / rate)  # Newton's method leaves a gradient of 1e-13
    order = divergences[::-1] if falling else divergences
    return all_of(
        maxima=always([o.curvature < 0 and gain > 0 for o, gain in zip(optima[1:], gains)]),
        zero=equal(divergences[0], 0.0, tolerance=slack, scale=1.0),
        increasing=at_most(order[:-1], order[1:], slack=slack),
        bounded=at_most(divergences[1:], factor * rate * alphas[1:] * m, slack=slack),
    )


chi2_bias.control("the policy is recovered", because="the regulariser moves it", factor=0.0)
chi2_bias.control("a larger weight biases less", because="the weight is on the other term", falling=True)


@claim(
    PAPER,
    "chi2-first-order",
    r"\max_{s, a} |\pi_{Q_\alpha} - \pi_i| = \Theta(\alpha) \qquad \text{as } \alpha \to 0",
    kind="deterministic rate",
    source="derived",
    assumes="random games; alpha from 0.001 to 0.025",
)
@over(rate=(1.0, 4.0))
def chi2_first_order(
    *,
    rate: float,
    seed: int,
    games: int = by_profile(quick=20, full=100),
    between: tuple[float, float] = (0.9, 1.05),
) -> Comparison:
    r"""The bias is of the first order in the weight of the regulariser.

    At the expert's own values the gradient of the likelihood is 0 and that of :math:`\mathbb{E}_d x^2` in general is not
    (`mamql/chi2-unbiased-only-if-uniform`): the maximiser moves away at a positive speed.
    """
    alphas = (0.001, 0.005, 0.025)
    return slope(alphas, _biases(rate, seed, games, alphas), between=between)


@functools.lru_cache(maxsize=2)
def _biases(rate: float, seed: int, games: int, alphas: tuple[float, ...]) -> Array:
    """The largest change of a probability, shape (games, alphas)."""
    rows = []
    for k in range(games):
        mdp, found = _expert(_drawn(seed + k), rate)
        expert = found.responses[0].policy
        rows.append([np.abs(np.exp(inverse_q_optimum(mdp, expert, rate, a).log_policy) - expert).max() for a in alphas])
    return np.array(rows)


def _drawn(seed: int) -> MarkovGame:
    return markov_game(S=5, actions=(3, 3), payoff="own", rewards="normal", scale=0.3, seed=seed)


chi2_first_order.control(
    "the second order", because="the gradient of the regulariser is not 0 at the expert", between=(1.9, 2.1)
)
chi2_first_order.control("the order 0.8", because="the bias is smooth in the weight", between=(0.75, 0.85))


@claim(
    PAPER,
    "chi2-unbiased-only-if-uniform",
    r"\text{for } \alpha > 0 \text{ some values of the demonstrated policy are stationary} \iff \text{that policy is uniform}",
    kind="necessity",
    source="derived",
    assumes="every state has a positive occupancy and the same number of actions",
)
@over(GAMES, rate=1.0, alpha=0.25)
@over(
    markov_game.sweep(S=4, actions=[(3, 3)], payoff="own", rewards="normal", scale=0.0, draws=by_profile(quick=3, full=20)),
    rate=(0.5, 2.0),
    alpha=0.25,
)
def chi2_unbiased_only_if_uniform(
    game: MarkovGame, *, rate: float, alpha: float, seed: int, expected: str = "uniform"
) -> Comparison:
    r"""The regularised objective recovers the demonstrated policy only if there is nothing to recover.

    Among the values of :math:`\pi` the likelihood's gradient is 0, so a stationary one has
    :math:`d(s, a)\, x(s, a) = \gamma\, \pi(a|s) \sum d\, x\, P(s | \cdot)`: x does not depend on the action, and
    :math:`d_S x = \gamma P_\pi^\top (d_S x)`, hence x = 0. Values with x = 0 are the soft optimum of the reward 0, whose policy is uniform where
    all states have the same number of actions; then Q = gamma V and V = log K / (lambda (1 - gamma)) are such. The gradient is linear
    in V_2; its least size is a least-squares residual. Games without rewards have uniform equilibria.
    """
    mdp, found = _expert(game, rate)
    expert = found.responses[0].policy
    occupancy = discounted_occupancy(mdp, expert)
    d, kernel = occupancy.pair, mdp.transition_matrix().toarray()
    effect = np.eye(mdp.states)[mdp.pair_state] - mdp.gamma * kernel  # x is log pi / rate + effect @ V_2
    flat = np.log(expert) / rate

    def gradient(x: Array) -> Array:
        return np.asarray(-2 * alpha * (d * x - mdp.gamma * expert * (kernel.T @ (d * x))[mdp.pair_state]))

    matrix = np.column_stack([gradient(column) for column in effect.T])
    value = np.linalg.lstsq(matrix, -gradient(flat), rcond=None)[0]
    least = float(np.abs(gradient(flat + effect @ value)).max())
    uniform = float(np.ptp(expert.reshape(mdp.states, -1), axis=1).max()) < 1e-9
    claimed = uniform if expected == "uniform" else not uniform
    # far above rounding where it should not vanish: the policies differ from uniform by 1e-2 and more
    return at_most(least, 1e-13) if claimed else at_least(least, 1e-7)


chi2_unbiased_only_if_uniform.control(
    "the other way round", because="uniform demonstrations are a stationary point and others are not", expected="not uniform"
)


@claim(
    PAPER,
    "wrong-marginal-bound",
    r"|r_2 - \bar r_i|(s, a_i) \le \gamma\, \mathrm{TV}(\pi_{-i}(s), u(s))\, \mathrm{span}(V_i) \qquad \text{with } r_2 = \bar Q_i -"
    r" \gamma \bar P^{u}_i V_i",
    kind="inequality",
    source="derived",
    assumes="the inversion supposes opponents u, and is given the experts' own V_i",
)
@over(GAMES, rate=(1.0, 4.0), supposed=("uniform", "random"))
@over(
    markov_game.sweep(
        S=2,
        actions=[(1, 2)],
        gamma=0.9,
        payoff="own",
        rewards="normal",
        concentration=0.003,
        draws=by_profile(quick=5, full=30),
    ),
    rate=(1.0, 4.0),
    supposed=("uniform", "random"),
)
def wrong_marginal_bound(game: MarkovGame, *, rate: float, supposed: str, seed: int, constant: float = 1.0) -> Comparison:
    r"""To suppose the wrong opponents costs at most the distance of the two suppositions times the spread of the values.

    :math:`r_2 - \bar r_i = \gamma (\bar P_i - \bar P^u_i) V_i`, a difference of the means of :math:`P(\cdot | s, a) V_i` over two laws of
    :math:`a_{-i}`. It is attained where one opponent's two actions lead to the best and to the worst state for sure.
    """
    found = _equilibrium(game, rate)
    others = _uniform(game) if supposed == "uniform" else _random_profile(game, np.random.default_rng([seed, 17]))
    comparisons = []
    for player, response in enumerate(found.responses):
        if np.prod(game.actions) == game.actions[player]:
            continue  # opponents without a choice cannot be supposed wrongly
        right, wrong = marginal_mdp(game, player, found.profile), marginal_mdp(game, player, others)
        error = np.abs(inverse_soft_bellman(wrong, response.q, rate) - right.reward)
        laws = [np.ones((game.states, 1)), np.ones((game.states, 1))]
        for k in (k for k in range(game.players) if k != player):
            laws = [
                (law[:, :, None] * pi[k][:, None, :]).reshape(game.states, -1) for law, pi in zip(laws, (found.profile, others))
            ]
        distance = total_variation(laws[0], laws[1])
        bound = game.gamma * distance * np.ptp(response.value)
        slack = ROUNDING * max(1.0, float(np.abs(response.q).max()))
        comparisons.append(at_most(state_max(right, error), constant * bound, slack=slack))
    return all_of(*comparisons)


wrong_marginal_bound.control("0.95 of the bound", because="it is attained by nearly deterministic transitions", constant=0.95)


@claim(
    PAPER,
    "wrong-marginal",
    r"\mathbb{E}\, \|r_2 - \bar r_i\|_\infty \text{ increases with } \lambda \text{ for } r_2 \text{ inverted with uniform opponents;}"
    r" \quad r_2 = \bar r_i \text{ with the experts' own}",
    kind="mechanism",
    source="derived",
    assumes="random games, lambda = 1, 2, 4",
    tests=2,
)
def wrong_marginal(
    *, seed: int, games: int = by_profile(quick=40, full=200), falling: bool = False, opponents: str = "experts"
) -> Comparison:
    """The further the experts are from uniform, the worse a reward that was inverted with uniform opponents.

    Near lambda = 0 the experts differ from uniform by an amount proportional to lambda, and `mamql/wrong-marginal-bound` is
    proportional to that; from 1 to 4 the error doubles with every doubling, and a little more. With the experts' own marginal
    transitions the inversion returns the marginal reward exactly.
    """
    wrong, right = _reward_errors(seed, games, (1.0, 2.0, 4.0))
    errors = wrong.T[::-1] if falling else wrong.T
    return all_of(
        less_on_average(errors[0], errors[1], label="the first doubling"),
        less_on_average(errors[1], errors[2], label="the second doubling"),
        exact=equal(right if opponents == "experts" else wrong, 0.0, tolerance=ROUNDING, scale=1.0),
    )


@functools.lru_cache(maxsize=1)
def _reward_errors(seed: int, games: int, rates: tuple[float, ...]) -> tuple[Array, Array]:
    """Max-norm errors of player 0's recovered reward with uniform opponents and with the experts', each of shape (games, rates)."""
    wrong, right = np.empty((games, len(rates))), np.empty((games, len(rates)))
    for k in range(games):
        game = _drawn(seed + k)
        for j, rate in enumerate(rates):
            mdp, found = _expert(game, rate)
            q = found.responses[0].q
            uniform = marginal_mdp(game, 0, _uniform(game))
            wrong[k, j] = np.abs(inverse_soft_bellman(uniform, q, rate) - mdp.reward).max()
            right[k, j] = np.abs(inverse_soft_bellman(mdp, q, rate) - mdp.reward).max()
    return wrong, right


wrong_marginal.control("sharper experts do less harm", because="they are further from the uniform opponents", falling=True)
wrong_marginal.control("uniform opponents do no harm", because="their transitions are not the experts'", opponents="uniform")
