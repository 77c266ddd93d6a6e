r"""AdaCoT (Lou et al. 2025): which queries to think about, and how a skewed stage of training spoils the decision.

Notation: query i has the weight w_i (they add up to 1) and gains g_i in accuracy from thinking; a rule triggers thinking on query i
with probability x_i, at the rate sum_i w_i x_i and with sum_i w_i g_i x_i more accuracy than without thinking. F(rho) is the most that
can be gained at rates up to rho.

In training, the first token of a response is the trigger, p the probability that the policy thinks, and the second token the
answer. Every prefix has logits of its own; gradients are exact.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from mdplab.models.token_tree import TokenTree, leaf_rewards, terminal_rewards
from mdplab.solvers.token_tree import leaf_log_probabilities, logit_gradient
from theory.claims import Comparison, Paper, Range, all_of, always, at_most, by_profile, claim, equal, family, over
from theory.fractional_knapsack import knapsack_fractions, knapsack_front
from theory.pair_losses import expected_pair_gradient, expected_pair_loss, logistic

Array = NDArray[np.float64]
EPS = float(np.finfo(float).eps)

PAPER = Paper(
    key="adacot",
    title="AdaCoT: Pareto-Optimal Adaptive Chain-of-Thought Triggering via Reinforcement Learning",
    authors="Lou et al.",
    year=2025,
    theme="safety",
    arxiv="2505.11896",
)


@dataclass(frozen=True, eq=False)
class Queries:
    """Weights, accuracies without thinking and with it, each of shape (n,)."""

    weights: Array
    plain: Array
    thinking: Array

    @property
    def gains(self) -> Array:
        """What thinking adds, in [-1, 1]."""
        return self.thinking - self.plain


@family(n=1)
def random_queries(n: int = 6, concentration: float = 1.0, seed: int = 0) -> Queries:
    """Uniform accuracies, so that thinking harms some; weights from Dirichlet(``concentration``)."""
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.full(n, concentration)) + 1e-6
    return Queries(weights / weights.sum(), rng.uniform(size=n), rng.uniform(size=n))


@family
def graded_queries(helped: float = 0.5, hopeless: float = 0.05) -> Queries:
    """Easy ones that thinking spoils, middling ones that it helps, two kinds alike, and hard ones that it hardly helps."""
    plain = np.array([0.95, 0.4, 0.3, 0.3, 0.05])
    gains = np.array([-0.05, helped, helped, helped / 2, hopeless])
    return Queries(np.array([0.4, 0.1, 0.1, 0.2, 0.2]), plain, plain + gains)


def _packed(queries: Queries, scores: Array, rates: Array, whole: bool) -> Array:
    """What is gained at ``rates`` by triggering on the queries of largest score first, with the last in part unless ``whole``."""
    order = np.argsort(-scores, kind="stable")
    corners = np.concatenate(([0.0], np.cumsum(queries.weights[order])))
    gained = np.concatenate(([0.0], np.cumsum((queries.weights * queries.gains)[order])))
    if whole:
        return np.asarray(np.maximum.accumulate(gained)[np.searchsorted(corners, rates + 1e-12, side="right") - 1])
    # a concave piece is best at an end: at the rate itself, or at a corner before it
    best_corner = np.maximum.accumulate(gained)[np.searchsorted(corners, rates, side="right") - 1]
    return np.asarray(np.maximum(best_corner, np.interp(rates, corners, gained)))


QUERIES = random_queries.sweep(
    n=(1, 3, 8), concentration=(0.3, 3.0), draws=by_profile(quick=1, full=10)
) | graded_queries.sweep(helped=(0.2, 0.5), hopeless=(0.0, 0.05))


@claim(
    PAPER,
    "threshold-pareto",
    r"1\{g_i > \alpha\} \in \arg\max_x \sum_i w_i (g_i - \alpha) x_i \quad (\alpha \ge 0); \qquad"
    r" F(\rho) = \min_{\alpha \ge 0} \Bigl[ \alpha \rho + \sum_i w_i (g_i - \alpha)_+ \Bigr],"
    r" \text{ attained by thresholds, randomised at one query}",
    kind="identity",
    source="derived",
    assumes="gains are known; the rate is limited from above, and need not be used up",
    note="Which queries to think about depends on the gain alone: not on how difficult they are, nor on how many they are.",
)
@over(QUERIES)
def threshold_pareto(
    queries: Queries, *, seed: int, score: str = "gain", cut: float = 1.0, randomised: bool = True, kept: float = 1.0
) -> Comparison:
    r"""Thinking where its gain exceeds a threshold is optimal for every price of thinking, and traces the whole accuracy/rate front.

    The penalised objective is a sum over queries, each of which is largest at :math:`x_i = 1` if :math:`g_i > \alpha`, at 0 if
    :math:`g_i < \alpha`. The front is a fractional knapsack: filled in falling order of gain until the rate is used up or gains end,
    at most one query in part. Compared: thresholds with all 2^n deterministic rules, the packing by a score with the dual formula
    on a grid of rates and with a linear program at two others.
    """
    w, g = queries.weights, queries.gains
    rules = np.array(list(itertools.product((0.0, 1.0), repeat=w.size)))
    prices = np.concatenate(([0.0, 0.3], 0.99 * g[g > 0], 1.01 * g[g > 0]))
    best = ((g - prices[:, None]) * w @ rules.T).max(axis=1)
    triggered = ((g - prices[:, None]) * w * (g > cut * prices[:, None])).sum(axis=1)

    rates = np.linspace(0.0, 1.0, 41)
    slopes = np.concatenate(([0.0], g[g > 0]))
    dual = np.min(slopes * rates[:, None] + (w * np.maximum(g - slopes[:, None], 0.0)).sum(axis=1), axis=1)
    scores = {"gain": g, "difficulty": -queries.plain, "total gain": w * g}[score]
    some = np.random.default_rng(seed).uniform(size=2)
    programs = [linprog(-w * g, A_ub=w[None, :], b_ub=[kept * rate], bounds=(0, 1)) for rate in some]
    front = knapsack_front(w, g)
    fractions = np.array([knapsack_fractions(w, g, rate) for rate in some])
    return all_of(
        penalty=equal(triggered, best, tolerance=1e-12, scale=1.0),
        ranking=equal(_packed(queries, scores, rates, not randomised), dual, tolerance=1e-12, scale=1.0),
        front=equal(front.value(rates), dual, tolerance=1e-12, scale=1.0),
        program=equal([-program.fun for program in programs], front.value(some), tolerance=1e-9, scale=1.0),
        rule=equal(fractions @ (w * g), front.value(some), tolerance=1e-12, scale=1.0),
        rate=at_most(fractions @ w, some),
        one_in_part=always(((fractions > 0) & (fractions < 1)).sum(axis=1) <= 1, "more than one query in part"),
    )


threshold_pareto.control("by difficulty", because="thinking may not help where answers are worst", score="difficulty")
threshold_pareto.control("by weight times gain", because="a heavy query uses up more of the rate", score="total gain")
threshold_pareto.control("without randomising", because="corners of the front are joined by mixtures", randomised=False)
threshold_pareto.control("a threshold of 1.05 alpha", because="it leaves out queries that pay", cut=1.05)
threshold_pareto.control("99% of the rate", because="the front rises until gains end", kept=0.99)


@claim(
    PAPER,
    "estimated-gain",
    r"|\hat g_i - g_i| \le \varepsilon \implies \sum_i w_i (g_i - \alpha)_+ - \sum_i w_i (g_i - \alpha) 1\{\hat g_i > \alpha\}"
    r" \le \varepsilon \sum_{i:\, |g_i - \alpha| \le \varepsilon} w_i",
    kind="inequality",
    source="derived",
    assumes=r"alpha >= 0; any \hat g within epsilon",
)
@over(gains=Range(-1.0, 1.0, size=3), price=Range(0.0, 1.0), error=Range(0.0, 0.5), budget=by_profile(quick=200, full=2000))
@over(gains=((0.5, 0.5, 0.5), (0.5, 0.1, 0.25)), price=0.25, error=(0.1, 0.25))
def estimated_gain(
    *, gains: tuple[float, ...], price: float, error: float, of_bound: float = 1.0, within: float = 1.0
) -> Comparison:
    r"""A trigger that knows gains only to within epsilon decides wrongly only about queries that hardly matter.

    A wrong decision on query i costs :math:`w_i |g_i - \alpha|`, and needs :math:`|g_i - \alpha| \le \varepsilon`. The worst estimates move
    every gain towards the price by epsilon; a gain of alpha + epsilon attains the bound.
    """
    g, w = np.array(gains), np.array([0.2, 0.3, 0.5])
    difference = g - price
    estimated = difference - error * np.sign(difference)
    lost = w @ np.maximum(difference, 0.0) - w @ (difference * (estimated > 0))
    return at_most(lost, of_bound * error * w[np.abs(difference) <= within * error].sum(), slack=4 * EPS)


estimated_gain.control("0.95 of the bound", because="a gain of alpha + epsilon attains it", of_bound=0.95)
estimated_gain.control("only gains within 0.9 epsilon", because="estimates can turn the others, too", within=0.9)


@family(A=2)
def thinking_pays(A: int = 2, start: float = 0.5, gap: float = 0.2, spread: float = 1.0, seed: int = 0) -> TokenTree:
    """One query: every answer after the last trigger token, thinking, is rewarded by ``gap`` more than any after another.

    Rewards lie in [0, 1]; within branches they are drawn from a share ``spread`` of what is left, without any at 0. The policy
    starts by thinking with probability ``start``, the other triggers equally likely, and with uneven answers.
    """
    rng = np.random.default_rng(seed)
    room = (1 - gap) / 2
    low = np.where(np.arange(A) == A - 1, (1 + gap) / 2, room * (1 - spread))
    rewards = low[:, None] + spread * room * rng.uniform(size=(A, A))
    answers = (rng.dirichlet(np.full(A, 2.0), size=A) + 0.05) / (1 + 0.05 * A)
    trigger = np.where(np.arange(A) == A - 1, start, (1 - start) / (A - 1))
    reference = (np.log(trigger)[None, :], np.log(answers))
    return TokenTree(terminal_rewards(TokenTree((np.zeros((1, A)), rewards), reference), rewards.ravel()), reference)


@dataclass(frozen=True, eq=False)
class Training:
    """After 0 .. k steps: ``objective`` (k+1,), log-probabilities of triggers (k+1, A) and of answers after them (k+1, A, A)."""

    objective: Array
    trigger: Array
    answers: Array

    @property
    def log_odds(self) -> Array:
        """ln p - ln(1 - p) of thinking, shape (k+1,)."""
        return np.asarray(self.trigger[:, -1] - np.logaddexp.reduce(self.trigger[:, :-1], axis=1))


TEMPERATURE = 0.5


def _objective(stage: str, tree: TokenTree, log_leaves: Array, law: Array) -> tuple[float, Array]:
    """What a stage maximises, with its derivatives by the responses' log-probabilities. All its data prefer thinking.

    "imitation": the log-likelihood of answers that follow thinking, by ``law`` (A,). "reward": the expected reward.
    "preference": minus the DPO loss of pairs, whose winner thinks, by ``law``, and whose loser does not.
    """
    A = tree.tokens
    if stage == "imitation":
        data = np.concatenate((np.zeros(A * (A - 1)), law))
        return float(data @ log_leaves), data
    if stage == "reward":
        earned = np.exp(log_leaves) * leaf_rewards(tree)
        return float(earned.sum()), earned
    loser = np.arange(1.0, A * (A - 1) + 1)
    pairs = np.zeros((A * A, A * A))
    pairs[A * (A - 1) :, : A * (A - 1)] = np.outer(law, loser / loser.sum())
    scores = TEMPERATURE * (log_leaves - leaf_log_probabilities(tree.log_reference))
    loss = logistic()
    gradient = expected_pair_gradient(scores, pairs, loss)
    return -float(expected_pair_loss(scores, pairs, loss)), np.asarray(-TEMPERATURE * gradient)


def _train(
    stage: str,
    tree: TokenTree,
    seed: int,
    *,
    step: float,
    steps: int,
    trigger: float = 1.0,
    answers: float = 1.0,
    tied: bool = False,
) -> Training:
    """Exact gradient ascent on a stage; ``trigger`` and ``answers`` multiply the gradients of these tokens, 0 to mask them.

    With ``tied`` each token's logit has a part that is the same after every prefix, as the last layer of a network has.
    """
    law = np.random.default_rng(seed).dirichlet(np.full(tree.tokens, 2.0))
    logits = [np.array(level) for level in tree.log_reference]
    objective, triggers, answered = np.empty(steps + 1), [], []
    for k in range(steps + 1):
        log_policy = tuple(level - np.logaddexp.reduce(level, axis=1, keepdims=True) for level in logits)
        objective[k], by_leaf = _objective(stage, tree, leaf_log_probabilities(log_policy), law)
        triggers.append(log_policy[0][0])
        answered.append(log_policy[1])
        first, second = logit_gradient(log_policy, by_leaf)
        first, second = trigger * first, answers * second
        shared = first.sum(axis=0) + second.sum(axis=0) if tied else 0.0
        logits = [logits[0] + step * (first + shared), logits[1] + step * (second + shared)]
    return Training(objective, np.array(triggers), np.array(answered))


@claim(
    PAPER,
    "selective-loss-mask",
    r"\text{masked trigger: } p_k = p_0 \text{ for all } k, \text{ and the stage's objective rises at every step};"
    r" \qquad \text{unmasked: } \frac{p_{k+1}}{1 - p_{k+1}} > \frac{p_k}{1 - p_k}",
    kind="mechanism",
    source="derived",
    assumes="all data of the stage prefer thinking; the trigger has parameters of its own; two triggers where rewards are maximised",
    note="That the trigger's parameters are its own matters: a masked loss moves a shared bias, and the trigger with it (first control).",
)
@over(
    thinking_pays.sweep(A=2, start=(0.05, 0.5), draws=by_profile(quick=1, full=5)), stage=("imitation", "reward", "preference")
)
@over(thinking_pays.sweep(A=3, start=0.3, draws=by_profile(quick=1, full=5)), stage=("imitation", "preference"))
def selective_loss_mask(
    tree: TokenTree,
    *,
    stage: str,
    seed: int,
    leak: float = 0.0,
    answers: float = 1.0,
    tied: bool = False,
    unmasked: float = 1.0,
) -> Comparison:
    r"""A stage on which thinking is always better teaches to think always; masking the trigger's loss keeps the decision as it was.

    Without the trigger's gradient its logits do not move, whereas each answer's do: the objective is smooth, and steps of 0.4 are
    below 2 over its smoothness. With the gradient, the logit of thinking rises against every other trigger's: by the step times
    :math:`1 - p + p_j` in imitation, :math:`2 p (1-p) (Q_1 - Q_0)` with rewards and two triggers, and, with preferences, by beta times the
    mean of :math:`\sigma(-\text{margin})` on all pairs and once more on the pairs that j lost.
    """
    masked = _train(stage, tree, seed, step=0.4, steps=25, trigger=leak, answers=answers, tied=tied)
    plain = _train(stage, tree, seed, step=0.4, steps=25, trigger=unmasked)
    return all_of(
        constant=equal(masked.trigger, masked.trigger[0], tolerance=1e-14, scale=1.0),
        rises=always(np.diff(masked.objective) >= -8 * EPS * np.abs(masked.objective[1:]), "the objective falls"),
        improves=always(masked.objective[-1] > masked.objective[0], "the answers do not improve"),
        collapses=always(np.diff(plain.log_odds) > 0, "thinking becomes no likelier"),
    )


selective_loss_mask.control(
    "a bias shared by all tokens", because="the answers' loss moves the trigger's logits, too", tied=True
)
selective_loss_mask.control("a thousandth of the trigger's loss", because="it still moves the trigger", leak=0.001)
selective_loss_mask.control("answers masked, too", because="then nothing improves", answers=0.0)
selective_loss_mask.control("never without the mask", because="the mask is what prevents the collapse", unmasked=0.0)


@claim(
    PAPER,
    "trigger-collapse",
    r"z = \ln \frac{p}{1 - p}: \quad \text{imitation: } z_k + e^{z_k} \ge z_0 + e^{z_0} + 2 \eta k, \qquad"
    r" \text{rewards: } e^{z_k} + 2 z_k - e^{-z_k} \ge e^{z_0} + 2 z_0 - e^{-z_0} + 2 \eta e^{-\eta/2} c\, k",
    kind="deterministic rate",
    source="derived",
    assumes=r"unmasked, two triggers, step \eta; rewards in [0, 1], after thinking always at least c higher than without",
    note="So 1 - p falls like 1/(2 eta k) and 1/(2 eta c k): nothing but the length of such a stage limits the collapse.",
)
@over(
    thinking_pays.sweep(A=2, start=(0.05, 0.9), gap=(0.05, 0.5), spread=(0.0, 1.0), draws=by_profile(quick=1, full=5)),
    stage=("imitation", "reward"),
    step=(0.01, 0.4),
)
def trigger_collapse(
    tree: TokenTree, *, stage: str, step: float, seed: int, constant: float = 1.0, gap: str = "least"
) -> Comparison:
    r"""Unmasked, the policy comes to think always, and the odds of not thinking vanish like one over the number of steps.

    A step adds :math:`2 \eta (1 - p)` to z in imitation, :math:`2 \eta p (1 - p)(Q_1 - Q_0)` with rewards, where
    :math:`Q_1 - Q_0 \ge c`. The functions of z on the left sides, f, have :math:`f' = 1 + e^z = 1/(1 - p)` and
    :math:`f' = 2 + e^z + e^{-z} = 1/(p (1 - p))`. The first is convex, so that :math:`f(z + d) \ge f(z) + d f'(z)`. Of the second f' falls
    by a factor of at most e^{-d} over a step d, which is at most eta/2.
    """
    steps = 50
    run = _train(stage, tree, seed, step=step, steps=steps)
    z = run.log_odds
    r = tree.rewards[1]
    c = float(r[1].min() - r[0].max()) if gap == "least" else float(r[1].max() - r[0].min())
    k = np.arange(1, steps + 1)
    if stage == "imitation":
        f, speed = z + np.exp(z), 2 * step
    else:
        f, speed = np.exp(z) + 2 * z - np.exp(-z), 2 * step * np.exp(-step / 2) * c
    return at_most(constant * speed * k, f[1:] - f[0], slack=16 * EPS * np.abs(f).max(), x=k)


trigger_collapse.control("five per cent faster", because="small steps attain the rate", constant=1.05)
trigger_collapse.control("the largest difference of rewards", because="the least one bounds what thinking adds", gap="largest")
