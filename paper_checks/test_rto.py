r"""DPO meets PPO (Zhong et al. 2024): what feedback on tokens is worth, and pessimism about rewards of tokens.

A response has H tokens out of A; see :mod:`mdplab.models.token_tree`. Rewards of responses are <theta, phi(y)>, S a metric in
which the error of an estimate is at most w, mu the reference, and J(pi) = E_pi R - beta KL(pi||mu) with the maximiser pi*.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.token_feedback import sentence_gaps, token_gaps
from mdplab.learning.token_dpo import token_credit
from mdplab.learning.token_rewards import additive_features, blocks_of, pessimistic_policy, search_queries
from mdplab.models.token_tree import (
    Levels,
    TokenTree,
    leaf_rewards,
    random_token_tree,
    shaped,
    terminal_rewards,
    with_rewards,
)
from mdplab.solvers.token_tree import leaf_log_probabilities, soft_backup, token_policy
from theory.claims import (
    Comparison,
    Paper,
    Range,
    all_of,
    at_most,
    by_profile,
    claim,
    equal,
    family,
    less_on_average,
    over,
    slope,
)
from theory.divergences import kl
from theory.links import bradley_terry
from theory.tilts import log_tilt

Array = NDArray[np.float64]

PAPER = Paper(
    key="rto",
    title="DPO Meets PPO: Reinforced Token Optimization for RLHF",
    authors="Zhong, Shan, Feng, Xiong, Cheng, Zhao, He, Bian, Wang",
    year=2024,
    theme="alignment",
    arxiv="2404.18922",
)

DIGITS = 1e-12  # of sums of a few rewards and logarithms


@family
def additive_tree(A: int = 2, H: int = 6, spread: float = 1.0, additive: bool = True, seed: int = 0) -> TokenTree:
    """A uniform reference, and rewards r_t(a) that are normal with deviation ``spread``, whatever came before.

    Without ``additive`` the responses have independent rewards of the same variance, paid for the last token.
    """
    rng = np.random.default_rng(seed)
    reference = tuple(np.full((A**t, A), -np.log(A)) for t in range(H))
    blank = TokenTree(tuple(np.zeros_like(level) for level in reference), reference)
    if not additive:
        return with_rewards(blank, terminal_rewards(blank, spread * np.sqrt(H) * rng.standard_normal(A**H)))
    return with_rewards(blank, tuple(np.tile(spread * rng.standard_normal(A), (A**t, 1)) for t in range(H)))


@claim(
    PAPER,
    "token-vs-sentence",
    r"\mathbb{E}\,N_{\text{sentence}} = \frac{A^H + 1}{2}, \qquad \mathbb{E}\,N_{\text{token}} = \sum_k \frac{A^{b_k} + 1}{2}, "
    r"\qquad"
    r" \mathbb{E}\,N_{\text{whole}} = 1 + \sum_k \frac{A^{b_k} - 1}{2}, \qquad \frac{A^{b_1} + 1}{2} \le"
    r" \mathbb{E}\,N \le \Bigl\lceil \frac{H}{\xi + 1} \Bigr\rceil \frac{A^{\xi+1} + 1}{2}",
    kind="complexity",
    source="derived",
    assumes="one of the A^H responses is right, each with the same probability; blocks of b_k = xi + 1 tokens, the last may be "
    "shorter; "
    "a query is told how many of its leading blocks are right; no guess is repeated",
    note="The paper's orders are A^H against A^min(xi+1, H). For A = 2, H = 8 and xi = 0..7: 12, 10, 11.5, 17, 21, 35, 66, "
    "128.5 queries of "
    "prefixes; the dip at xi = 1 goes away with queries of whole responses: 5, 7, 9.5, 16, 20, 34, 65, 128.5.",
)
@over(size=by_profile(quick=((2, 1), (2, 6), (3, 3), (7, 2)), full=((2, 1), (2, 8), (3, 5), (4, 4), (16, 2))))
def token_vs_sentence(
    *, size: tuple[int, int], seed: int, half: float = 1.0, repeats: bool = False, linear: bool = False
) -> Comparison:
    r"""Feedback on blocks of tokens finds a hidden response in a sum of powers of A, feedback on sentences in one large power.

    A uniform right answer among n guesses that are tried in any order without repetition takes (n + 1)/2 tries on average, and
    no learner does better, as a wrong answer excludes one guess. Blocks are such searches one after another. A query of a whole
    response that gets a block right is also the first guess for the next, which saves one query a block; a wrong query excludes
    one guess for one block, so that this is the least that any learner needs. Expectations are exact: the search is run for
    every hidden response, with random orders.
    """
    A, H = size
    rng = np.random.default_rng(seed)
    found, predicted, least, most = [], [], [], []
    for xi in range(H):
        blocks = blocks_of(H, xi + 1)
        guesses = [list(itertools.product(range(A), repeat=b)) for b in blocks]
        orders = [[g[i] for i in rng.permutation(len(g))] for g in guesses]
        if repeats:
            orders = [[order[0], *order] for order in orders]
        for whole in (False, True):
            runs = [search_queries(hidden, orders, whole=whole) for hidden in itertools.product(*guesses)]
            found.append(float(np.mean(runs)))
            tries = sum((A**b + half) / 2 for b in blocks)
            predicted.append(H * A if linear and xi + 1 == H else tries - whole * (len(blocks) - 1))
            least.append((A ** blocks[0] + half) / 2)
            most.append(len(blocks) * (A ** (xi + 1) + 1) / 2)
    return all_of(exact=equal(found, predicted, tolerance=1e-12), least=at_most(least, found), most=at_most(found, most))


token_vs_sentence.control("A^H / 2 queries", because="the mean of 1, ..., n is (n + 1)/2", half=0.0)
token_vs_sentence.control("the first guess tried twice", because="a repeated guess is a query lost", repeats=True)
token_vs_sentence.control(
    "H A queries for sentences", because="a sentence's feedback says nothing about its tokens", linear=True
)


@claim(
    PAPER,
    "sample-efficiency",
    r"R(y) = \sum_t r_t(y_t): \qquad \mathbb{E}[J(\pi^\star) - J(\hat\pi_{\text{token}})] = \Theta(n^{-1}) <"
    r" \mathbb{E}[J(\pi^\star) - J(\hat\pi_{\text{sentence}})]",
    kind="mechanism",
    source="derived",
    assumes="A = 2, H = 6, beta = 1/2; n pairs of uniform responses with Bradley-Terry labels; one imagined tie for every "
    "response",
    note="On the tree of seed 0, at n = 250, 1000, 4000, the token fit's gap is .047, .012, .0029 and the sentence fit's .77, "
    ".20, .047 "
    "(`rto/fisher-constant` says by what factor).",
    tests=3,
)
@over(additive_tree.sweep(A=2, H=6, draws=by_profile(quick=1, full=2)))
def sample_efficiency(
    tree: TokenTree,
    *,
    seed: int,
    runs: int = by_profile(quick=200, full=400),
    few: int = by_profile(quick=30, full=40),
    compared: tuple[int, ...] = by_profile(quick=(500,), full=(250, 1000)),
    swapped: bool = False,
) -> Comparison:
    """If rewards are sums over tokens, a fit with a parameter for each token needs far fewer comparisons than one for each
    response.

    Both fit the same number of comparisons by maximum likelihood, and tilt the reference by what they found. The gap is the
    squared error of the reward under pi*, to leading order, and has the order d/n in d parameters: 6 and 63.
    """
    numbers = (1000, 4000, 16000)
    token = np.stack([token_gaps(tree, 0.5, n, runs, seed) for n in numbers], axis=1)
    paired = []
    for n in compared:
        gaps = (token_gaps(tree, 0.5, n, few, seed), sentence_gaps(tree, 0.5, n, few, seed))
        paired.append(less_on_average(gaps[swapped], gaps[1 - swapped], label=f"{n} comparisons"))
    return all_of(slope(numbers, token, between=(-1.2, -0.8), label="token"), *paired)


sample_efficiency.control("the sentence fit is better", because="it has ten times as many parameters", swapped=True)
sample_efficiency.control(
    "independent rewards of responses",
    because="no sum over tokens fits them, however many comparisons there are",
    on=additive_tree.sweep(A=2, H=6, additive=False, spread=0.5),
    compared=(),
)


def _constant(features: Array, laplacian: Array, law: Array, beta: float) -> float:
    """tr(Cov_pi*(phi) I^-1) / (2 beta), I the Fisher information of a comparison about the weights of the features."""
    information = features.T @ laplacian @ features
    centred = features - law @ features
    covariance = (centred * law[:, None]).T @ centred
    return float(np.trace(np.linalg.solve(information, covariance))) / (2 * beta)


@claim(
    PAPER,
    "fisher-constant",
    r"c_{\text{token}} \le c_{\text{sentence}}, \qquad c = \tfrac{1}{2\beta} "
    r"\operatorname{tr}\bigl(\mathrm{Cov}_{\pi^\star}(\phi)\, I^{-1}\bigr)"
    r" = \lim_n n\, \mathbb{E}[J(\pi^\star) - J(\hat\pi_n)]",
    kind="inequality",
    source="derived",
    assumes="additive rewards; I the Fisher information of one comparison in the parameters of tokens or of responses, one of "
    "which is "
    "fixed; the limit by the delta method",
)
@over(additive_tree.sweep(A=(2, 3), H=(1, 2, 4), spread=(0.3, 1.0, 3.0), draws=by_profile(quick=2, full=20)), beta=(0.2, 1.0))
def fisher_constant(tree: TokenTree, *, beta: float, share: float = 1.0) -> Comparison:
    r"""Token by token, the constant of the rate d/n is never larger than response by response, and equal for one token.

    To leading order the gap is :math:`\frac{1}{2\beta} \mathrm{Var}_{\pi^\star}(\hat r - r)`, and the fit of the smaller model
    has the covariance :math:`\Phi (\Phi^\top I \Phi)^{-1} \Phi^\top \preceq I^{-1}` for the information I of the larger and the
    features :math:`\Phi` (Gauss and Markov).
    """
    K, rewards = tree.leaves, leaf_rewards(tree)
    law = np.exp(log_tilt(leaf_log_probabilities(tree.log_reference), rewards, beta))
    wins = bradley_terry(rewards)
    curvature = wins * wins.T / K**2
    laplacian = 2 * (np.diag(curvature.sum(axis=1)) - curvature)
    found = [_constant(phi, laplacian, law, beta) for phi in (additive_features(tree.tokens, tree.horizon), np.eye(K)[:, 1:])]
    return at_most(found[0], share * found[1], slack=1e-9 * found[1])


fisher_constant.control("2% less", because="the two are equal for responses of one token", share=0.98)


@dataclass(frozen=True, eq=False)
class Estimate:
    """Rewards <theta, phi> that are estimated by ``theta + error``; ``error`` has the length ``width`` in the metric S."""

    tree: TokenTree
    features: Array
    theta: Array
    error: Array
    metric: Array
    centre: Array
    width: float
    beta: float


@family(A=2, H=1, d=1)
def drawn_estimate(A: int = 2, H: int = 3, d: int = 3, width: float = 1.0, beta: float = 0.5, seed: int = 0) -> Estimate:
    """Normal features and theta, S the second moment of their differences, nu their mean; the error in a random direction."""
    rng = np.random.default_rng(seed)
    tree = random_token_tree(A=A, H=H, seed=seed)
    features = rng.standard_normal((A**H, d))
    data = features[rng.integers(A**H, size=(50, 2))]
    differences = data[:, 0] - data[:, 1]
    metric = differences.T @ differences / 50 + 0.1 * np.eye(d)
    direction = rng.standard_normal(d)
    error = width * direction / np.sqrt(direction @ metric @ direction)
    return Estimate(tree, features, rng.standard_normal(d), error, metric, features.mean(axis=0), width, beta)


@family
def two_responses(theta: float = 1.0, sign: float = 1.0, beta: float = 0.1) -> Estimate:
    """Two responses of rewards 0 and ``theta``, which is estimated 1 too large (``sign`` 1) or too small (-1)."""
    tree = random_token_tree(A=2, H=1, seed=0)
    even = TokenTree(tree.rewards, (np.log([[0.5, 0.5]]),))
    features = np.array([[0.0], [1.0]])
    return Estimate(even, features, np.array([theta]), np.array([sign]), np.eye(1), np.zeros(1), 1.0, beta)


@claim(
    PAPER,
    "pessimism",
    r"\|\hat\theta - \theta\|_S \le w \implies J(\pi^\star) - J(\hat\pi) \le 2 w \|\mathbb{E}_{\pi^\star} \phi - "
    r"\nu\|_{S^{-1}}, \qquad \hat\pi ="
    r" \arg\max_\pi \mathbb{E}_\pi \langle\phi, \hat\theta\rangle - w \|\mathbb{E}_\pi \phi - \nu\|_{S^{-1}} - "
    r"\beta\,\mathrm{KL}(\pi\|\mu)",
    kind="inequality",
    source="recalled",
    assumes="any centre nu; S positive definite; the paper has it inside a high-probability theorem, for theta in a confidence "
    "set",
)
@over(two_responses.sweep(theta=-0.5, sign=1.0, beta=0.01) | two_responses.sweep(theta=1.97, sign=-1.0, beta=0.004))
@over(drawn_estimate.sweep(A=2, H=(2, 4), d=(1, 3), width=(0.3, 3.0), beta=(0.05, 0.5), draws=by_profile(quick=2, full=20)))
@over(
    two_responses.sweep(theta=Range(-1.2, 3.0), beta=Range(0.004, 1.0, log=True), sign=(-1.0, 1.0)),
    budget=by_profile(quick=60, full=400),
)
def pessimism(problem: Estimate, *, known: float = 1.0, stretch: float = 1.0, careful: float = 1.0) -> Comparison:
    r"""A pessimistic policy pays only for what the data do not say about the optimal one.

    With :math:`\delta = \hat\theta - \theta` the pessimistic value of a policy differs from J by the constant
    :math:`\langle\nu, \delta\rangle` plus
    :math:`\langle\mathbb{E}_\pi\phi - \nu, \delta\rangle - w\|\mathbb{E}_\pi\phi - \nu\|_{S^{-1}}`, which is between
    :math:`-2w\|\cdot\|` and 0. The upper end is used for the policy that maximises it, the lower end for pi*. The maximiser is
    found from the dual over the ellipsoid, and its duality gap is allowed for. With two responses and a small beta the bound is
    attained.
    """
    width = known * problem.width
    found = pessimistic_policy(
        problem.tree,
        problem.features,
        problem.theta + problem.error,
        problem.metric,
        careful * width,
        problem.beta,
        problem.centre,
    )
    best = log_tilt(leaf_log_probabilities(problem.tree.log_reference), problem.features @ problem.theta, problem.beta)
    away = np.exp(best) @ problem.features - problem.centre
    gap = problem.beta * float(kl(leaf_log_probabilities(found.log_policy), best, log=True))
    length = float(np.sqrt(away @ np.linalg.solve(problem.metric, away)))
    return at_most(gap, 2 * stretch * width * length, slack=found.gap)


pessimism.control("a tenth of the width", because="the truth is then outside the set", known=0.1)
pessimism.control("1.9 in place of 2", because="both errors can be w", stretch=0.95)
pessimism.control("no pessimism", because="a policy that the data do not cover can look good", careful=0.0)


def _flat(levels: Levels) -> Array:
    return np.concatenate([np.ravel(level) for level in levels])


@claim(
    PAPER,
    "dpo-reward",
    r"r_t = \beta \ln\frac{\pi(a|s)}{\mu(a|s)}: \quad V \equiv 0,\; \pi^\star_\beta = \pi; \qquad"
    r" \pi^\star_{\beta'}(y) \propto \mu(y) \Bigl(\frac{\pi(y)}{\mu(y)}\Bigr)^{\beta/\beta'}",
    kind="identity",
    source="paper",
    assumes="any policy pi with the support of mu, as DPO may return; deterministic append",
)
@over(
    random_token_tree.sweep(A=(2, 3), H=(1, 3, 5), concentration=(0.3, 1.0), draws=by_profile(quick=2, full=15)),
    beta=(0.1, 0.5, 2.0),
)
def dpo_reward(tree: TokenTree, *, beta: float, seed: int, heat: float = 1.0, stepwise: bool = False) -> Comparison:
    r"""Optimising the rewards of tokens that DPO implies gives DPO's policy back; at another temperature, its power as a law of
    responses.

    This holds for every policy, not for optimal ones only: with these rewards :math:`\mu e^{r/\beta} = \pi`, so that the backup
    finds the value :math:`\beta \ln 1 = 0` at every prefix. It is the member without values of the class of rewards of
    `r-to-q/shaping-class`, whose other members have the same optimum; the check shapes it by a random potential. At
    :math:`\beta'` the exponents of `r-to-q/token-equals-bandit` are a response's log-ratio times :math:`\beta/\beta'`. That is
    not the power taken token by token.
    """
    rng = np.random.default_rng(seed)
    policy = token_policy(np.log(rng.dirichlet(np.ones(tree.leaves))), tree.tokens)
    implied = with_rewards(tree, token_credit(tree, policy, beta))
    potential = tuple(rng.standard_normal(tree.tokens**t) * (t < tree.horizon) for t in range(tree.horizon + 1))
    own = soft_backup(implied, beta * heat)
    moved = soft_backup(shaped(implied, potential), beta * heat)
    other = 1.5 * beta
    ratio = leaf_log_probabilities(policy) - leaf_log_probabilities(tree.log_reference)
    if stepwise:
        powers = [log_tilt(m, p - m, other / beta) for p, m in zip(policy, tree.log_reference)]
        predicted = leaf_log_probabilities(tuple(powers))
    else:
        predicted = log_tilt(leaf_log_probabilities(tree.log_reference), ratio, other / beta)
    size = 1 + 8 / beta + float(np.abs(_flat(policy)).max() + np.abs(_flat(tree.log_reference)).max()) * tree.horizon
    return all_of(
        values=equal(_flat(own.value) / beta, 0.0, tolerance=DIGITS, scale=size),
        policy=equal(_flat(own.log_policy), _flat(policy), tolerance=DIGITS, scale=size),
        shaped=equal(_flat(moved.log_policy), _flat(policy), tolerance=DIGITS, scale=size),
        power=equal(leaf_log_probabilities(soft_backup(implied, other).log_policy), predicted, tolerance=DIGITS, scale=size),
    )


dpo_reward.control("optimised 2% hotter", because="then it is a power of pi", heat=1.02)
dpo_reward.control("the power token by token", because="the normalisers of later tokens are values", stepwise=True)
