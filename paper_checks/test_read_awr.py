r"""ReAd (Zhang, Yang, Bai et al. 2024): advantage-weighted regression for several agents, one after the other.

Notation: a cooperative Markov game with the behaviour :math:`\mu(a|s)`; V, Q and A = Q - V are those of :math:`\mu`; A_i the sequential
advantages of :mod:`games.advantage_decomposition`; :math:`\pi_J \propto \mu\,e^{A/\beta}` the joint and
:math:`\pi_S = \prod_i \mu_i\,e^{A_i/\beta}/Z_i` the sequential policy, with :math:`Z_i(s, a_{<i}) = \mathbb{E}_\mu[e^{A_i/\beta} | a_{<i}]`.

Everything is exact. By Gibbs' variational principle every joint policy has
:math:`\mathbb{E}_\pi A - \beta\,\mathrm{KL}(\pi\|\mu) = \beta \ln \mathbb{E}_\mu e^{A/\beta} - \beta\,\mathrm{KL}(\pi\|\pi_J)`: what it
loses in the regularised objective is a divergence, which is computed without cancellation.
"""

import functools
import itertools

import numpy as np
from numpy.typing import NDArray

from games.advantage_decomposition import (
    conditionals,
    greedy_refinement,
    joint_awr,
    marginal_advantages,
    prefix_values,
    sequential_advantages,
    sequential_awr,
    simultaneous_awr,
)
from games.markov import MarkovGame, evaluate_joint, joint_mdp, joint_policy, markov_game
from mdplab.solvers.evaluation import evaluate_policies
from theory.claims import (
    Comparison,
    Paper,
    Range,
    all_of,
    at_least,
    at_most,
    by_profile,
    claim,
    equal,
    family,
    over,
    slope,
)
from theory.divergences import kl, span, symmetric_kl
from theory.tilts import log_partition

Array = NDArray[np.float64]

PAPER = Paper(
    key="read-awr",
    title="Towards Efficient LLM Grounding for Embodied Multi-Agent Collaboration",
    authors="Zhang, Yang, Bai, Wu, Li, Wang, Li",
    year=2024,
    theme="multiagent",
    arxiv="2405.14314",
)

BEHAVIOURS = ("independent", "correlated")
TEMPERATURES = (0.05, 0.1, 0.3, 1.0, 3.0, 10.0)
ROUNDING = 1e-12  # sums of at most a hundred products of numbers that are at most a few units large


@family
def one_step(payoff: tuple[float, ...] = (0.0, 1.0, 1.0, -1.0)) -> MarkovGame:
    """A single joint action of two agents with two actions each, and its shared payoff: row by row, agent 0 choosing the row."""
    table = np.reshape(payoff, (1, 2, 2))
    return MarkovGame(np.ones((1, 2, 2, 1)), table, 0.0)


RANDOM = markov_game.sweep(
    S=4, actions=[(3, 3), (3, 3, 3), (2, 4)], gamma=0.9, draws=by_profile(quick=3, full=30)
) | markov_game.sweep(S=3, actions=[(2, 2)], gamma=(0.0, 0.99), draws=by_profile(quick=2, full=20))
# many games of one step at once: with gamma = 0 the states do not see each other
ONE_STEP = markov_game.sweep(S=60, actions=[(2, 2)], gamma=0.0, draws=by_profile(quick=2, full=10))
# nobody's choice alone says that two agents must not take their second action together
CLASH = one_step.sweep(payoff=[(0.0, 1.0, 1.0, -1.0), (1.0, 0.0, 0.0, 1.0)])
SEARCHED = one_step.sweep(payoff=Range(-1.0, 1.0, size=4))


def _behaviour(game: MarkovGame, kind: str, seed: int) -> Array:
    """A positive law of the joint action, (S, K_1, ..., K_n): a product of uniform draws from simplices, one draw, or uniform."""
    rng = np.random.default_rng([seed, 7])
    size = int(np.prod(game.actions))
    if kind == "correlated":
        return rng.dirichlet(np.ones(size), game.states).reshape(game.states, *game.actions)
    if kind == "uniform":
        return np.full((game.states, *game.actions), 1 / size)
    return joint_policy(game, [rng.dirichlet(np.ones(k), game.states) for k in game.actions])


def _advantage(game: MarkovGame, mu: Array) -> Array:
    return evaluate_joint(game, mu).advantage


def _flat(table: Array) -> Array:
    """One row of joint actions for each state, shape (S, K_1 ... K_n)."""
    return table.reshape(table.shape[0], -1)


def _gap(A: Array, mu: Array, beta: float) -> Array:
    """beta KL(pi_S || pi_J), what the sequential policy loses in the regularised objective, shape (S,)."""
    return np.asarray(beta * kl(_flat(sequential_awr(A, mu, beta)), _flat(joint_awr(A, mu, beta))))


@claim(
    PAPER,
    "decomposition",
    r"A(s, a) = \sum_i A_i(s, a_{<i}, a_i), \qquad \mathbb{E}_{a_i \sim \mu(\cdot | s, a_{<i})} A_i(s, a_{<i}, a_i) = 0",
    kind="identity",
    source="derived",
    assumes="any behaviour of full support, correlated or not; every order of the agents",
)
@over(RANDOM, behaviour=BEHAVIOURS)
def decomposition(
    game: MarkovGame, *, behaviour: str, seed: int, sequential: bool = True, prefix_law: str = "behaviour"
) -> Comparison:
    """The joint advantage is a sum over agents, and each agent's part has the mean 0 after every prefix.

    Q_m - Q_{m-1} telescopes from Q_0 = V to Q_n = Q, whatever the order. The mean of Q_i over a_i given the prefix is Q_{i-1} by
    the tower property. Both hold for any law of the joint action, if Q_m conditions on the prefix by that same law.
    """
    mu = _behaviour(game, behaviour, seed)
    found = evaluate_joint(game, mu)
    law = mu if prefix_law == "behaviour" else joint_awr(found.q, mu, 1.0)
    sums, means = [], []
    for order in itertools.permutations(range(1, game.players + 1)):
        axes = (0, *order)
        Q, here, expected = found.q.transpose(axes), mu.transpose(axes), found.advantage.transpose(axes)
        if sequential:
            values = prefix_values(Q, law.transpose(axes))
            values[0] = found.value
            parts = [after - before[..., None] for before, after in itertools.pairwise(values)]
            means += [(own * part).sum(axis=-1).ravel() for own, part in zip(conditionals(here), parts)]
        else:
            parts = marginal_advantages(Q, here)
            parts = [np.expand_dims(part, tuple(range(1, i))) for i, part in enumerate(parts, start=1)]
        total = sum(np.expand_dims(part, tuple(range(part.ndim, Q.ndim))) for part in parts)
        sums.append((total - expected).ravel())
    scale = float(np.abs(found.q).max())
    comparisons = [equal(np.concatenate(sums), 0.0, tolerance=ROUNDING, scale=scale)]
    if means:
        comparisons.append(equal(np.concatenate(means), 0.0, tolerance=ROUNDING, scale=scale))
    return all_of(*comparisons)


decomposition.control(
    "each agent's own advantage",
    because="E[A | a_i] does not see what the others chose, and misses the interaction",
    sequential=False,
)
decomposition.control(
    "prefixes followed by the new policy",
    because="the sum still telescopes, but the mean over the behaviour is no longer 0",
    prefix_law="tilted",
)


@claim(
    PAPER,
    "joint-optimal",
    r"\max_\pi \mathbb{E}_\pi A - \beta\,\mathrm{KL}(\pi\|\mu) = \beta \ln \mathbb{E}_\mu e^{A/\beta}, \text{ attained by } \pi_J",
    kind="identity",
    source="derived",
    assumes="in every state; beta > 0",
)
@over(RANDOM, behaviour=BEHAVIOURS, beta=(0.1, 3.0))
def joint_optimal(
    game: MarkovGame, *, behaviour: str, beta: float, seed: int, policy: str = "joint", warmer: float = 1.0
) -> Comparison:
    """Tilting the behaviour by the joint advantage is what maximises advantage less divergence, state by state.

    Gibbs' variational principle. Besides the maximiser, 100 other joint policies are compared: half drawn at random, half mixtures
    of the maximiser with them.
    """
    rng = np.random.default_rng([seed, 11])
    mu = _behaviour(game, behaviour, seed)
    A = _advantage(game, mu)
    build = joint_awr if policy == "joint" else sequential_awr
    best, law, flat = _flat(build(A, mu, warmer * beta)), _flat(mu), _flat(A)
    drawn = rng.dirichlet(np.ones(law.shape[1]), (50, game.states))
    others = np.concatenate([drawn, best + rng.uniform(size=(50, 1, 1)) * (drawn - best)])

    def objective(pi: Array) -> Array:
        return np.asarray((pi * flat).sum(axis=-1) - beta * kl(pi, law))

    value = log_partition(np.log(law), flat, beta)
    scale = float(np.abs(A).max()) + beta
    return all_of(
        attained=equal(objective(best), value, tolerance=ROUNDING, scale=scale),
        others=at_most(objective(others), value, slack=ROUNDING * scale),
    )


joint_optimal.control("the sequential policy", because="it is not the maximiser, unless n = 1", policy="sequential")
joint_optimal.control("a temperature five per cent higher", because="another tilt is not the maximiser", warmer=1.05)


@claim(
    PAPER,
    "joint-marginal",
    r"\pi_J(a_i | s, a_{<i}) \propto \mu(a_i | s, a_{<i})\, e^{A_i/\beta}\, \mathbb{E}_\mu\Bigl[ e^{\sum_{j>i} A_j/\beta} \Big| a_{\le i}"
    r" \Bigr]",
    kind="identity",
    source="derived",
    assumes="any behaviour of full support; beta > 0",
)
@over(RANDOM, behaviour=BEHAVIOURS, beta=(0.1, 3.0))
def joint_marginal(game: MarkovGame, *, behaviour: str, beta: float, seed: int, later: bool = True) -> Comparison:
    r"""The joint optimum's law of one agent weighs its own tilt by the normalisers of those who come later.

    Sum :math:`\mu \prod_j e^{A_j/\beta}` over :math:`a_{>i}`. For two agents the first one's law is :math:`\mu_1 e^{A_1/\beta} Z_2(a_1)`;
    it is that of :math:`\pi_S` only where Z_2 is the same for every a_1. The last agent's is always.
    """
    mu = _behaviour(game, behaviour, seed)
    A = _advantage(game, mu)
    laws, parts = conditionals(mu), sequential_advantages(A, mu)
    weight = np.ones(mu.shape)  # E[exp(sum of the later advantages / beta) | prefix], from the last agent to the first
    differences = []
    for own, part, exact in reversed(list(zip(laws, parts, conditionals(joint_awr(A, mu, beta))))):
        tilted = own * np.exp(part / beta)
        formula = tilted * weight if later else tilted
        differences.append((formula / formula.sum(axis=-1, keepdims=True) - exact).ravel())
        weight = (tilted * weight).sum(axis=-1)
    return equal(np.concatenate(differences), 0.0, tolerance=ROUNDING, scale=1.0)


joint_marginal.control("without those who come later", because="that is the sequential policy", later=False)


GAP_TEMPERATURES = (3.0, 10.0, 30.0)


@functools.lru_cache(maxsize=4)
def _losses(agents: int, behaviour: str, seed: int, games: int) -> Array:
    """The sequential policy's loss in each game, the mean over states, shape (games, GAP_TEMPERATURES)."""
    losses = np.empty((games, len(GAP_TEMPERATURES)))
    for k in range(games):
        game = markov_game(S=4, actions=(3,) * agents, seed=seed + k)
        mu = _behaviour(game, behaviour, seed + k)
        A = _advantage(game, mu)
        losses[k] = [float(_gap(A, mu, beta).mean()) for beta in GAP_TEMPERATURES]
    return losses


@claim(
    PAPER,
    "sequential-gap",
    r"\max_\pi \bigl( \mathbb{E}_\pi A - \beta\,\mathrm{KL}(\pi\|\mu) \bigr) - \bigl( \mathbb{E}_{\pi_S} A - \beta\,\mathrm{KL}(\pi_S\|\mu)"
    r" \bigr) = \beta\,\mathrm{KL}(\pi_S\|\pi_J) \sim \beta^{-3}",
    kind="inequality",
    source="derived",
    assumes="random games, beta = 3, 10, 30",
    note="The per-agent closed form of multi-agent advantage-weighted regression does not maximise the joint objective.",
)
@over(agents=(2, 3), behaviour=BEHAVIOURS)
def sequential_gap(
    *,
    agents: int,
    behaviour: str,
    seed: int,
    games: int = by_profile(quick=60, full=300),
    between: tuple[float, float] = (-3.1, -2.9),
) -> Comparison:
    r"""Agent by agent the closed form is not the joint optimum; what it loses falls like the third power of the temperature.

    :math:`\ln \pi_S/\pi_J = \ln Z - \sum_j \ln Z_j(a_{<j})` with :math:`\ln Z_j = \mathrm{Var}_\mu(A_j | a_{<j})/(2 \beta^2) + O(\beta^{-3})`,
    and the divergence of two laws is half the variance of their small log-ratio: the loss is
    :math:`\mathrm{Var}_\mu(\sum_j \mathrm{Var}_\mu(A_j | a_{<j}))/(8 \beta^3)` to leading order. `read-awr/sequential-gap-bound`
    bounds it for every temperature.
    """
    return slope(GAP_TEMPERATURES, _losses(agents, behaviour, seed, games), between=between)


def _no_gap(*, agents: int, behaviour: str, seed: int) -> Comparison:
    """The sequential policy is the joint optimum."""
    return equal(_losses(agents, behaviour, seed, 10), 0.0, tolerance=ROUNDING, scale=1.0)


sequential_gap.control(
    "the second power", because="the log-ratio is of the second order, its variance of the fourth", between=(-2.1, -1.9)
)
sequential_gap.control("no gap", because="the later normalisers depend on the prefix", check=_no_gap)


@claim(
    PAPER,
    "sequential-gap-bound",
    r"\beta\,\mathrm{KL}(\pi_S\|\pi_J) \le \frac{R^4}{512\, \beta^3}, \qquad R^2 = \max_a \sum_{j \ge 2} \bigl( \mathrm{span}\,"
    r" A_j(a_{<j}, \cdot) \bigr)^2",
    kind="inequality",
    source="derived",
    assumes="any behaviour of full support; every beta > 0",
)
@over(RANDOM, behaviour=BEHAVIOURS)
@over(one_step.sweep(payoff=[(0.0, 0.0, 1.0, -1.0)]), behaviour="uniform")
@over(SEARCHED, behaviour="uniform", budget=by_profile(quick=40, full=400))
def sequential_gap_bound(
    game: MarkovGame, *, behaviour: str, seed: int, constant: float = 1.0, power: float = 3.0
) -> Comparison:
    r"""What the sequential policy loses is at most the fourth power of the later agents' spread over 512 beta^3: the constant is sharp.

    By Hoeffding's lemma :math:`0 \le \ln Z_j(a_{<j}) \le \mathrm{span}(A_j)^2/(8 \beta^2)`, as A_j has the mean 0. So the span of
    :math:`f = \ln \pi_S/\pi_J` is at most :math:`R^2/(8 \beta^2)`; and
    :math:`0 = \ln \mathbb{E}_{\pi_S} e^{-f} \le -\mathbb{E}_{\pi_S} f + \mathrm{span}(f)^2/8`, the lemma again, bounds
    KL. Both are attained, as beta grows, by a first agent who chooses evenly whether the second plays for nothing or for +-1.
    """
    mu = _behaviour(game, behaviour, seed)
    A = _advantage(game, mu)
    squares = np.zeros(mu.shape[:1])
    for part in sequential_advantages(A, mu)[1:]:  # summed along each prefix
        squares = squares[..., None] + span(part) ** 2 if squares.ndim < part.ndim - 1 else squares + span(part) ** 2
    R4 = squares.reshape(game.states, -1).max(axis=1) ** 2
    betas = np.array([0.1, 0.3, 1.0, 3.0, 10.0, 30.0])[:, None]
    gaps = np.array([_gap(A, mu, float(beta)) for beta in betas[:, 0]])
    # half the variance of a log-ratio that is computed to about 1e-14: its root moves by as much
    slack = betas * 1e-14 * (np.sqrt(2 * gaps / betas) + 1e-14)
    return at_most(gaps, constant * R4 / (512 * betas**power), slack=slack)


sequential_gap_bound.control("0.95 of the constant", because="an even choice between 0 and +-1 attains it", constant=0.95)
sequential_gap_bound.control("the power 3.1", because="the loss is of the third order exactly", power=3.1)


def _values(game: MarkovGame, policies: list[Array]) -> tuple[Array, Array]:
    """The values (K, S) of K joint policies, and their errors (K, 1)."""
    mdp = joint_mdp(game)
    flat = np.stack([p.reshape(-1) for p in policies])
    values, _, errors = evaluate_policies(mdp, flat)
    return values, errors[:, None]


POLICIES = {"joint": joint_awr, "sequential": sequential_awr, "simultaneous": simultaneous_awr}


@claim(
    PAPER,
    "improvement",
    r"J(\pi_J) \ge J(\mu), \qquad J(\pi_S) \ge J(\mu) \qquad \text{in every state}",
    kind="inequality",
    source="derived",
    assumes="any behaviour of full support; every beta > 0; strictly unless A = 0 (`read-awr/improvement-size`)",
    note="The sequential policy often earns more than the joint optimum of the regularised objective: `read-awr/returns-not-ordered`.",
)
@over(RANDOM | ONE_STEP, behaviour=BEHAVIOURS)
@over(CLASH, behaviour="uniform")
def improvement(game: MarkovGame, *, behaviour: str, seed: int, built: tuple[str, ...] = ("joint", "sequential")) -> Comparison:
    """Both policies are at least as good as the behaviour in every state, at every temperature.

    An exponential tilt raises the mean of the function that it tilts by. For pi_S that holds after every prefix, where A_i has the
    mean 0 under mu; so E_pi A >= 0 in every state, and by the performance-difference lemma J(pi) - J(mu) is a sum of such means.
    """
    mu = _behaviour(game, behaviour, seed)
    A = _advantage(game, mu)
    candidates = [POLICIES[name](A, mu, beta) for name in built for beta in TEMPERATURES]
    values, errors = _values(game, [mu, *candidates])
    # advantages are within twice the first error of the truth, and so may a gain be over the horizon
    slack = errors[1:] + errors[0] + 4 * errors[0] / (1 - game.gamma)
    return at_least(values[1:], values[0], slack=slack)


improvement.control(
    "all agents at once, each by its own advantage",
    because="two agents who each do well to change lose if both do",
    built=("simultaneous",),
)


@claim(
    PAPER,
    "improvement-size",
    r"J(\pi) - J(\mu) \ge \beta \sum_i \mathbb{E}_{a_{<i} \sim \pi}\Bigl[ \mathrm{KL}(\pi_i\|\mu_i) + \mathrm{KL}(\mu_i\|\pi_i) \Bigr],"
    r" \qquad \pi = \pi_S; \text{ and for } \pi_J \text{ with its joint law}",
    kind="inequality",
    source="derived",
    assumes="in every state; any behaviour of full support; every beta > 0",
)
@over(RANDOM, behaviour=BEHAVIOURS)
@over(SEARCHED, behaviour="uniform", budget=by_profile(quick=20, full=200))
def improvement_size(game: MarkovGame, *, behaviour: str, seed: int, factor: float = 1.0) -> Comparison:
    r"""The gain is at least the temperature times the divergence moved, both ways: strict unless the policy is the behaviour.

    For a tilt :math:`A/\beta = \ln \pi/\mu + \ln Z`, hence
    :math:`\mathbb{E}_\pi A - \mathbb{E}_\mu A = \beta (\mathrm{KL}(\pi\|\mu) + \mathrm{KL}(\mu\|\pi))`, and the second mean is 0; likewise for
    each agent after each prefix. The first step of the performance-difference lemma earns that much in the state itself, the
    later ones are not negative. Without a later step (gamma = 0) it is an identity.
    """
    mu = _behaviour(game, behaviour, seed)
    A = _advantage(game, mu)
    policies, moved = [], []
    for beta in TEMPERATURES:
        joint, sequential = joint_awr(A, mu, beta), sequential_awr(A, mu, beta)
        policies += [joint, sequential]
        by_agent = np.zeros(game.states)
        prefix = np.ones(game.states)
        tiny = np.finfo(float).tiny  # a prefix that the policy never takes weighs nothing
        for new, old in zip(conditionals(np.maximum(sequential, tiny)), conditionals(mu)):
            by_agent += (prefix * symmetric_kl(new, old)).reshape(game.states, -1).sum(axis=1)
            prefix = prefix[..., None] * new
        moved += [beta * symmetric_kl(_flat(joint), _flat(mu)), beta * by_agent]
    values, errors = _values(game, [mu, *policies])
    slack = errors[1:] + errors[0] + 4 * errors[0] / (1 - game.gamma) + ROUNDING
    return at_most(factor * np.array(moved), values[1:] - values[0], slack=slack)


improvement_size.control("five per cent more", because="in a game of one step the bound is attained", factor=1.05)


@claim(
    PAPER,
    "returns-not-ordered",
    r"J(\pi_S) > J(\pi_J) \iff 2c > \tanh(1/\beta) \qquad \text{for the payoffs } \begin{pmatrix} c & c \\ 1 - c & -1 - c"
    r" \end{pmatrix}",
    kind="separation",
    source="derived",
    assumes="uniform behaviour, one step",
    note="The optimum of the regularised objective does not have the higher return: in random games about one time in three it has the lower.",
)
@over(c=Range(-1.0, 1.0), beta=Range(0.2, 20.0, log=True), budget=by_profile(quick=100, full=1000))
def returns_not_ordered(*, c: float, beta: float, always_joint: bool = False) -> Comparison:
    r"""Which of the two policies earns more depends on the game: the better objective is not the better return.

    The first agent's A_1 is :math:`\pm c`; the second plays for nothing in the first row and for :math:`\pm 1` in the second, which is
    then worth :math:`-c + \tanh(1/\beta)` to either policy. The joint optimum weighs the second row by :math:`Z_2 = \cosh(1/\beta) > 1`,
    hence takes it more often than the sequential policy, rightly or wrongly. In general, to the second order, the
    difference of the returns is :math:`\mathrm{Cov}_\mu(A_1, \mathrm{Var}_\mu(A_2 | a_1))/(2 \beta^2)`.
    """
    game = one_step((c, c, 1 - c, -1 - c))
    mu = _behaviour(game, "uniform", 0)
    A = _advantage(game, mu)
    (sequential, joint), _ = _values(game, [sequential_awr(A, mu, beta), joint_awr(A, mu, beta)])
    x = 1 / beta
    ratio = np.exp(-2 * c * x)  # of the second row's weight to the first one's, in the sequential policy
    share = 1 / (1 + ratio) - 1 / (1 + ratio * np.cosh(x))
    edge = 2 * c - np.tanh(x)
    ahead = 1.0 if always_joint or edge < 0 else -1.0
    return all_of(
        closed_form=equal(sequential - joint, share * edge, tolerance=ROUNDING, scale=1.0),
        sign=at_least(ahead * (joint - sequential), 0.0, slack=ROUNDING),
    )


returns_not_ordered.control(
    "the joint optimum always earns more", because="it pays to take the sure row if 2c > tanh(1/beta)", always_joint=True
)


@claim(
    PAPER,
    "greedy-refinement",
    r"0 \le \sum_i \max_{a_i} A_i(a_{<i}, a_i) \le \max_a A(a), \qquad \text{the second ratio can be as small as } \tfrac{\epsilon}{2 -"
    r" \epsilon} \text{ for every } \epsilon \in (0, 1)",
    kind="separation",
    source="derived",
    assumes="one agent after the other takes its best action given those before it, and supposes the later ones to follow mu",
)
@over(RANDOM, behaviour=BEHAVIOURS)
@over(one_step.sweep(payoff=[(e, e, 1.0, -1.0) for e in (0.5, 0.1, 0.01, 0.001)]), behaviour="uniform")
def greedy_without_coordination(game: MarkovGame, *, behaviour: str, seed: int, coordinated: bool = False) -> Comparison:
    r"""Choosing one after the other never does worse than the behaviour, but it does not coordinate.

    The largest A_i after a prefix is at least its mean 0. With the payoffs (e, e) and (1, -1) and a uniform behaviour the first agent
    prefers the row that is worth e on average to the one worth 0, and e/2 of the 1 - e/2 that could be had is gained: no share
    of the best joint advantage is guaranteed. If the other agent chooses first all of it is gained.
    """
    mu = _behaviour(game, behaviour, seed)
    A = _advantage(game, mu)
    best = _flat(A).max(axis=1)
    chosen, gained = greedy_refinement(A, mu)
    scale = float(np.abs(A).max())
    parts = [
        equal(A[(np.arange(game.states), *chosen.T)], gained, tolerance=ROUNDING, scale=scale),
        at_most(0.0, gained, slack=ROUNDING * scale),
        at_most(best if coordinated else gained, gained if coordinated else best, slack=ROUNDING * scale),
    ]
    payoff = game.reward[0]
    if game.states == 1 and payoff[0, 0, 0] == payoff[0, 0, 1]:
        e = float(payoff[0, 0, 0])
        other = greedy_refinement(A.swapaxes(1, 2), mu.swapaxes(1, 2))[1]
        parts += [
            equal(gained / best, e / (2 - e), tolerance=ROUNDING, scale=1.0),
            equal(other, best, tolerance=ROUNDING, scale=1.0),
        ]
    return all_of(*parts)


greedy_without_coordination.control(
    "one after the other finds the best joint action",
    because="the first agent does not know what the second will do",
    coordinated=True,
)
