r"""D3PO (Yang et al. 2023): is copying a preference to every denoising step as good as learning the optimal reward model? No.

T steps of denoising are a token tree (:mod:`mdplab.models.token_tree`) with a reward R for the last one. Notation: mu the
reference, V and Q the soft values at the temperature beta, pi* the soft-optimal policy, u_t(s, a) = beta ln(pi(a|s)/mu(a|s))
the implicit reward of a step. D3PO minimises, for each step t on its own, E ln(1 + exp(u_t(loser) - u_t(winner))) over pairs of
responses drawn from mu with Bradley-Terry labels by R. Its losses are computed exactly here, by enumeration of all pairs.

What is copied from a pair to its first step is, on average over how both went on, the chance E sigma(R - R'). The soft values
average exponentials of R over the same completions. The two averages agree for one step only.
"""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from mdplab.learning.stepwise_dpo import fit_stepwise, step_loss, step_weights
from mdplab.learning.token_dpo import population_dpo, preference_law, token_credit
from mdplab.models.token_tree import TokenTree, leaf_rewards, random_token_tree, terminal_rewards, with_rewards
from mdplab.solvers.token_tree import leaf_log_probabilities, policy_value, prefix_sums, soft_backup
from theory.bradley_terry_fit import fit_bradley_terry
from theory.claims import (
    Comparison,
    Paper,
    Range,
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
)
from theory.divergences import kl
from theory.errors import InputError
from theory.links import bradley_terry
from theory.tilts import log_partition

Array = NDArray[np.float64]

PAPER = Paper(
    key="d3po",
    title="Using Human Feedback to Fine-tune Diffusion Models without Any Reward Model",
    authors="Yang, Tao, Lyu, Ge, Chen, Li, Shen, Zhu, Li",
    year=2023,
    theme="alignment",
    arxiv="2311.13231",
)

DIGITS = 1e-12  # of sums of a few rewards and logarithms
FITTED = 1e-6  # what a numerical minimiser is trusted to
CERTIFIED = 1e-5  # a fit of which less is known would hold any identity


def _certified(error: float) -> Comparison:
    return always(error <= CERTIFIED, "the fit is not certified")


def _uniform(tokens: int, steps: int) -> tuple[Array, ...]:
    return tuple(np.full((tokens**t, tokens), -np.log(tokens)) for t in range(steps))


@family
def leaf_odds(odds: tuple[float, ...] = (3.0, 1.0, 1.0, 1.0)) -> TokenTree:
    """Two tokens, a uniform reference, and the reward ln ``odds`` of each response: rational where only exponentials of it
    matter."""
    steps = len(odds).bit_length() - 1
    if len(odds) != 2**steps or steps < 1 or min(odds) <= 0:
        raise InputError(f"the odds of 2, 4, 8, ... responses are positive, not {odds}.")
    blank = TokenTree(tuple(np.zeros((2**t, 2)) for t in range(steps)), _uniform(2, steps))
    return with_rewards(blank, terminal_rewards(blank, np.log(np.array(odds))))


@family
def one_good_response(steps: int = 2, log_odds: float = 3.0) -> TokenTree:
    """Two tokens and a uniform reference; the first response earns ``log_odds``, all others nothing."""
    blank = TokenTree(tuple(np.zeros((2**t, 2)) for t in range(steps)), _uniform(2, steps))
    return with_rewards(blank, terminal_rewards(blank, log_odds * (np.arange(2**steps) == 0)))


@family
def first_token_decides(bad: float = 1.0, rare: float = 0.02) -> TokenTree:
    """Two steps: whatever begins with token 1 earns -``bad``. After it the reference writes token 1 with probability
    ``rare``."""
    blank = TokenTree(
        (np.zeros((1, 2)), np.zeros((2, 2))),
        (np.log([[0.5, 0.5]]), np.array([[np.log(0.5), np.log(0.5)], [np.log1p(-rare), np.log(rare)]])),
    )
    return with_rewards(blank, terminal_rewards(blank, [0.0, 0.0, -bad, -bad]))


@claim(
    PAPER,
    "closed-form",
    r"\pi^\star(a|s) = \frac{\mu(a|s)\, e^{Q(s,a)/\beta}}{Z(s)}, \qquad Q(s, a) = \beta \ln\frac{\pi^\star(a|s)}{\mu(a|s)} + "
    r"\beta \ln Z(s)",
    kind="identity",
    source="paper",
    assumes="deterministic steps; a reward for the last one; pairs for which the normaliser cancels share the state",
)
@over(
    random_token_tree.sweep(A=(2, 3), H=(1, 2, 4), spread=(1.0, 3.0), terminal=True, draws=by_profile(quick=2, full=15)),
    beta=(0.1, 0.5, 2.0),
)
def closed_form(tree: TokenTree, *, beta: float, shared: bool = True, heat: float = 1.0) -> Comparison:
    r"""The step-wise optimal policy determines Q up to the normaliser of the state, which cancels for pairs that share the
    state.

    Q is computed from its definition, the log-mean-exponential of the rewards of the completions, and pi* by the backup. The
    best logistic fit to pairs of actions in one state, labelled by Q, is then Q up to a constant: DPO in that state returns
    pi*(.|s).
    """
    found = soft_backup(tree, beta)
    leaves, rewards = leaf_log_probabilities(tree.log_reference), leaf_rewards(tree)
    size = 1 + float(np.abs(rewards).max()) + beta * float(np.abs(leaves).max())
    values = [
        log_partition((leaves.reshape(p.size, -1) - p[:, None]), rewards.reshape(p.size, -1), beta * heat)
        for p in prefix_sums(tree.log_reference)
    ]
    parts = []
    for t, credit in enumerate(token_credit(tree, found.log_policy, beta)):
        q = values[t + 1].reshape(credit.shape)
        parts.append(equal(q - values[t][:, None], credit, tolerance=DIGITS, scale=size))
        if shared:
            mu = np.exp(tree.log_reference[t][0])
            fit = fit_bradley_terry(2 * np.outer(mu, mu) * bradley_terry(q[0]))
            error = fit.error_bound + DIGITS * size
            parts.append(_certified(error))
            parts.append(equal(fit.theta - fit.theta[0], credit[0] - credit[0, 0], tolerance=1.0, scale=error))
        else:  # from the first action of the first state to all of all states
            parts.append(equal(q - q[0, 0], credit - credit[0, 0], tolerance=DIGITS, scale=size))
    return all_of(*parts)


closed_form.control("pairs from two states", because="Z(s) and Z(s') do not cancel", shared=False)
closed_form.control("2% hotter values", because="log-mean-exponentials depend on the temperature", heat=1.02)


def _root_implicit_reward(tree: TokenTree, beta: float, learner: str, gap: float = 1.0) -> tuple[Array, float]:
    """u_0(a) - u_0(0) of the minimiser for Bradley-Terry labels by ``gap`` times the reward, and its certified error."""
    law = preference_law(tree if gap == 1.0 else with_rewards(tree, tuple(gap * level for level in tree.rewards)))
    if learner == "stepwise":
        fit = fit_bradley_terry(step_weights(law, tree.tokens, 0))
        return fit.theta - fit.theta[0], fit.error_bound
    whole = population_dpo(tree, law, beta)
    credit = token_credit(tree, whole.log_policy, beta)[0][0]
    return credit - credit[0], 2 * whole.error_bound


RANDOM = random_token_tree.sweep(A=(2, 3), H=(2, 3), terminal=True, spread=(1.0, 3.0), draws=by_profile(quick=4, full=25))
SMALLEST = leaf_odds.sweep(odds=[(3.0, 1.0, 1.0, 1.0), (2.0, 1 / 3, 1.0, 1.0)])


@claim(
    PAPER,
    "not-equivalent",
    r"\arg\min_\pi \sum_t \mathbb{E} \ln\bigl(1 + e^{u_t(l) - u_t(w)}\bigr) = \pi^\star",
    kind="separation",
    source="recalled",
    assumes="the population loss; pairs drawn from the reference, Bradley-Terry labels by the reward; T >= 2 steps",
    expected="refuted",
    corrected="d3po/whole-trajectory",
    note="Updating each step by copied preferences is said to be as good as learning the optimal reward model first. One "
    "nonzero reward "
    "suffices against it: R = (ln 3, 0, 0, 0), beta = 1, a uniform reference. The learnt odds at the root are 5/3, the optimal "
    "ones 2. "
    "With two nonzero rewards even the sign is wrong (`d3po/wrong-sign`); of 200 trees with T = A = 2 and rewards "
    "3 N(0, 1) it is on 27, and the mean regret is .30 where 1.71 were to gain.",
)
@over(SMALLEST | RANDOM, beta=(0.5, 1.0))
def not_equivalent(tree: TokenTree, *, beta: float, learner: str = "stepwise") -> Comparison:
    r"""D3PO's loss per step is minimised by the optimal policy: false from two steps on, already at the first.

    At the root winner and loser share the state, so that the minimiser is a Bradley-Terry fit, which is certified. What it fits
    is :math:`\mathbb{E}\,\sigma(R - R')` over completions; see `d3po/root-formula`. The check compares u at the root with Q.
    """
    u, error = _root_implicit_reward(tree, beta, learner)
    q = soft_backup(tree, beta).q[0][0]
    return all_of(_certified(error), equal(u, q - q[0], tolerance=1.0, scale=FITTED + error))


not_equivalent.repair(
    "one step",
    because="there are no completions",
    on=domain(
        random_token_tree.sweep(A=(2, 3, 5), H=1, spread=(1.0, 3.0), draws=by_profile(quick=4, full=25)), beta=(0.5, 1.0)
    ),
)
not_equivalent.repair("whole trajectories", because="the sum of all steps is R - V_0 at pi*", learner="trajectory")


@claim(
    PAPER,
    "one-step",
    r"T = 1: \qquad \arg\min_\pi \mathbb{E} \ln\bigl(1 + e^{u(l) - u(w)}\bigr) = \pi^\star",
    kind="identity",
    source="derived",
    assumes="one step; pairs drawn from the reference, Bradley-Terry labels by the reward",
)
@over(
    random_token_tree.sweep(A=(2, 3, 5), H=1, spread=(1.0, 3.0), draws=by_profile(quick=5, full=40)),
    beta=(0.1, 0.5, 2.0),
)
def one_step(tree: TokenTree, *, beta: float, gap: float = 1.0) -> Comparison:
    """With one step D3PO is DPO and recovers the optimal policy."""
    u, error = _root_implicit_reward(tree, beta, "stepwise", gap)
    reward = leaf_rewards(tree)
    size = 1 + float(np.abs(reward).max())
    return all_of(_certified(error), equal(u, reward - reward[0], tolerance=1.0, scale=error + DIGITS * size))


one_step.control(
    "two steps",
    because="the completions are averaged before the logit is taken",
    on=domain(RANDOM, beta=1.0),
    check=not_equivalent.check,
)
one_step.control("labels by 1.01 R", because="the fit is to the labels", gap=1.01)


@claim(
    PAPER,
    "whole-trajectory",
    r"\arg\min_\pi \mathbb{E} \ln\bigl(1 + e^{\sum_t u_t(l) - \sum_t u_t(w)}\bigr) = \pi^\star",
    kind="identity",
    source="derived",
    assumes="any number of steps; pairs drawn from a full-support reference, Bradley-Terry labels by the reward; no "
    "approximation error",
)
@over(
    random_token_tree.sweep(A=(2, 3), H=(1, 2, 3), terminal=True, spread=(1.0, 3.0), draws=by_profile(quick=2, full=15)),
    beta=(0.5, 1.0),
)
@over(SMALLEST, beta=1.0)
@over(first_token_decides.sweep(bad=(1.0, 3.0), rare=(0.02, 0.2)), beta=(1.0, 2.0))
def whole_trajectory(tree: TokenTree, *, beta: float, learner: str = "trajectory", gap: float = 1.0) -> Comparison:
    r"""DPO of whole responses on the same pairs recovers the optimal policy at every step.

    The sum of a policy's implicit rewards is R - V_0 at pi* (`r-to-q/telescoping`), which has the Bradley-Terry margins of the
    labels. The margins determine the law of responses, and that the policy. The law is compared; its error is certified by the
    fit.
    """
    labels = with_rewards(tree, tuple(gap * level for level in tree.rewards))
    law = preference_law(labels)
    best = leaf_log_probabilities(soft_backup(tree, beta).log_policy)
    if learner == "stepwise":
        found, error = leaf_log_probabilities(fit_stepwise(tree, law, beta).log_policy), FITTED
    else:
        whole = population_dpo(tree, law, beta)
        found, error = leaf_log_probabilities(whole.log_policy), 2 * whole.error_bound / beta
    size = 1 + float(np.abs(best).max())
    return all_of(_certified(error), equal(found, best, tolerance=1.0, scale=error + DIGITS * size))


whole_trajectory.control(
    "step by step", because="that is D3PO, `d3po/not-equivalent`", on=domain(SMALLEST, beta=1.0), learner="stepwise"
)
whole_trajectory.control("labels by 1.01 R", because="the fit is to the labels", gap=1.01)


def _mean_chances(tree: TokenTree, average: str, beta: float) -> Array:
    """E sigma(R - R') over independent completions of two first tokens, shape (A, A); or sigma of a difference of averages."""
    A = tree.tokens
    rewards = leaf_rewards(tree).reshape(A, -1)
    weights = np.exp(leaf_log_probabilities(tree.log_reference)).reshape(A, -1)
    weights = weights / weights.sum(axis=1, keepdims=True)
    if average == "chances":
        return np.asarray(np.einsum("ai,aibj,bj->ab", weights, expit(rewards[:, :, None, None] - rewards), weights))
    means = (weights * rewards).sum(axis=1) if average == "rewards" else soft_backup(tree, beta).q[0][0]
    return bradley_terry(means)


@claim(
    PAPER,
    "root-formula",
    r"\sum_b \mu(b)\, \sigma\bigl(u(a) - u(b)\bigr) = \sum_b \mu(b)\, \mathbb{E}\,\sigma(R_a - R_b) \text{ for all } a; \qquad "
    r"A = 2:\;"
    r" u(0) - u(1) = \operatorname{logit} \mathbb{E}\,\sigma(R_0 - R_1)",
    kind="identity",
    source="derived",
    assumes="R_a the reward of a completion of the first token a by the reference, independent of R_b",
)
@over(SMALLEST | RANDOM)
def root_formula(tree: TokenTree, *, seed: int, average: str = "chances") -> Comparison:
    r"""D3PO's first step learns the logit of a mean chance of winning, not a difference of soft values.

    The loss of the first step is a function of differences of u alone, strictly convex, with the gradient
    :math:`\mu(a) \sum_b \mu(b) [\sigma(u(a) - u(b)) - \mathbb{E}\sigma(R_a - R_b)]`. For two actions it vanishes entry by
    entry. The minimiser is found from the matrix of all pairs of responses, by Newton's method; the right side averages over
    completions, one pair of first tokens at a time. Beta does not occur: the learnt u ignores the temperature, while Q does
    not.
    """
    u, error = _root_implicit_reward(tree, 1.0, "stepwise")
    mu = np.exp(tree.log_reference[0][0])
    learnt = bradley_terry(u) @ mu
    chances = _mean_chances(tree, average, 1.0) @ mu
    return all_of(_certified(error), equal(learnt, chances, tolerance=1.0, scale=error + DIGITS))


root_formula.control("the difference of soft values", because="that is what it should learn", average="soft values")
root_formula.control(
    "the difference of mean rewards", because="a mean of sigmoids is not the sigmoid of a mean", average="rewards"
)


@claim(
    PAPER,
    "wrong-sign",
    r"R = (\ln k, -\ln m, 0, 0),\; 1 < k < m,\; k + \tfrac1m > 2: \qquad"
    r" e^{u(0) - u(1)} = \frac{km + 2k + 1}{km + 2m + 1} < 1 < \frac{k + 1/m}{2} = e^{Q(0) - Q(1)}",
    kind="separation",
    source="derived",
    assumes="T = A = 2; a uniform reference; beta = 1",
    note="The smallest case: R = (ln 2, -ln 3, 0, 0) has the learnt odds 11/13 and the optimal odds 7/6. Two nonzero rewards "
    "are needed: "
    "with one, chances and soft values err on the same side.",
)
@over(pair=((2, 3), (2, 10), (3, 4), (10, 11), (1000, 1001), (1000, 10**6)))
def wrong_sign(*, pair: tuple[int, int]) -> Comparison:
    r"""D3PO's first step can prefer the action that the optimal policy avoids, however much better the other is.

    The completions of the first action win against reward 0 with the chances k/(k+1) and 1/(m+1), whose mean is below 1/2 for k
    < m, while the mean of the exponentials k and 1/m of their rewards is above 1. As k = m - 1 grows, the learnt odds stay
    below 1 and the optimal ones grow without bound. Both sides are rational, and are compared with what the solvers return.
    """
    k, m = pair
    tree = leaf_odds(odds=(float(k), 1 / m, 1.0, 1.0))
    u, error = _root_implicit_reward(tree, 1.0, "stepwise")
    q = soft_backup(tree, 1.0).q[0][0]
    learnt, optimal = Fraction(k * m + 2 * k + 1, k * m + 2 * m + 1), (k + Fraction(1, m)) / 2
    return all_of(
        learnt=equal(-u[1], np.log(float(learnt)), tolerance=1.0, scale=error + DIGITS),
        optimal=equal(q[0] - q[1], np.log(float(optimal)), tolerance=DIGITS, scale=1 + np.log(k * m)),
        sign=always(learnt < 1 < optimal, "the two agree on which action is better"),
    )


wrong_sign.control("k > m", because="the first action then wins more often than not", on=domain(pair=((3, 2), (11, 10))))
wrong_sign.control("k = m", because="the learnt odds are 1", on=domain(pair=((3, 3),)))


@claim(
    PAPER,
    "saturation",
    r"R = x\,[y = y^\star]: \quad e^{u(0) - u(1)} \le \frac{m+1}{m-1} \text{ for every } x, \qquad e^{Q(0) - Q(1)} = 1 + "
    r"\frac{e^x - 1}{m};"
    r" \qquad J(\pi^\star) - J(\pi) \ge \frac{m-1}{2m}(x - \ln m) - \ln 2",
    kind="separation",
    source="derived",
    assumes="A = 2, T >= 2 steps, m = 2^(T-1) completions of each first action; a uniform reference; beta = 1; x >= ln m",
    note="As x grows, J* - J(mu) is x (1 - 1/(2m)) to leading order. So the root alone loses (m-1)/(2m-1) of what there is to "
    "gain: a "
    "third with two steps, almost half with many.",
)
@over(one_good_response.sweep(steps=(2, 3, 4, 6), log_odds=Range(3.5, 35.0)), budget=by_profile(quick=30, full=300))
def saturation(tree: TokenTree, *, ceiling: float = 1.0, share: float = 1.0) -> Comparison:
    r"""Of one good response D3PO learns little, however good it is: a chance of winning is at most 1.

    The good first action wins with the mean chance :math:`q = \sigma(x)/m + (1 - 1/m)/2 < (m + 1)/(2m)`, against odds
    :math:`1 + (e^x - 1)/m` of the optimum, whose first action is the other with a probability below :math:`m e^{-x}`. Whatever
    is learnt later, the regret is at least the divergence at the root (chain rule), and
    :math:`\mathrm{KL}(q\|p) \ge (1 - q) \ln\frac{1}{1-p} - \ln 2`.
    """
    u, error = _root_implicit_reward(tree, 1.0, "stepwise")
    x, m = float(leaf_rewards(tree)[0]), tree.leaves // 2
    q = soft_backup(tree, 1.0).q[0][0]
    learnt = np.array([1.0, np.exp(u[1])]) / (1 + np.exp(u[1]))
    optimal = np.exp(soft_backup(tree, 1.0).log_policy[0][0])
    chance = 1 / (m * (1 + np.exp(-x))) + (1 - 1 / m) / 2
    return all_of(
        chance=equal(learnt[0], chance, tolerance=1.0, scale=error + DIGITS),
        ceiling=at_most(np.exp(-u[1]), ceiling * (m + 1) / (m - 1), slack=4 * error),
        soft=equal(q[0] - q[1], np.log1p(np.expm1(x) / m), tolerance=DIGITS, scale=1 + x),
        regret=at_least(
            kl(learnt, optimal), share * (m - 1) / (2 * m) * (x - np.log(m)) - np.log(2), slack=4 * error * (1 + x)
        ),
    )


saturation.control("a ceiling 2% lower", because="odds of (m + 1)/(m - 1) are approached", ceiling=0.98)
saturation.control("10% more regret in the long run", because="the bound has the right slope in x", share=1.1)


@claim(
    PAPER,
    "later-steps",
    r"\Bigl\langle \nabla_{\theta(s, \cdot)} L_1(\pi^\star), R(s, \cdot) \Bigr\rangle \;\begin{cases} > 0 & V(s) = \max V \\"
    r" < 0 & V(s) = \min V \end{cases}",
    kind="separation",
    source="derived",
    assumes="T = 2; beta <= 1; theta the logits of the second step; not all V equal, and R not constant in these states",
)
@over(
    random_token_tree.sweep(A=(2, 3, 4), H=2, terminal=True, spread=(0.5, 3.0), draws=by_profile(quick=6, full=60)),
    beta=(0.2, 0.5, 1.0),
)
def later_steps(tree: TokenTree, *, beta: float, level: bool = False, sign: float = 1.0) -> Comparison:
    r"""At later steps the optimal policy is no minimum either: good states are pulled to the reference, bad ones are
    exaggerated.

    Winner and loser are in different states, and Z(s) does not cancel. With :math:`\Delta = V(s) - V(s')`, the derivative of
    the loss by u(s, a) at pi* is a sum over (s', a') of positive weights times
    :math:`\sigma(R - R' - \Delta) - \sigma(R - R')`; within a state it vanishes. Divided by pi*(a|s), it is for beta = 1 a
    positive multiple of

    .. math:: e^{-R}[\sigma(R - R' - \Delta) - \sigma(R - R')] = -(e^\Delta - 1) \frac{e^{R'}}{(e^R + e^{R'+\Delta})(e^R + e^{R'})},

    negative and increasing in R for the best state, positive and decreasing for the worst, and the more so for beta < 1. The
    inner product is its covariance with R under pi*(.|s) times beta, and Chebyshev's inequality gives the sign.
    """
    if level:  # all states made equally valuable
        values = soft_backup(tree, beta).value[1]
        tree = with_rewards(tree, (tree.rewards[0], tree.rewards[1] - values[:, None]))
    found = soft_backup(tree, beta)
    weights = step_weights(preference_law(tree), tree.tokens, 1)
    _, gradient = step_loss(found.log_policy[1], tree.log_reference[1], weights, beta)
    slopes = (gradient * tree.rewards[1]).sum(axis=1)
    value = found.value[1]
    return always(
        [sign * slopes[np.argmax(value)] > 0, sign * slopes[np.argmin(value)] < 0],
        "the slope has the other sign in the best or worst state",
    )


later_steps.control("states of equal value", because="the normalisers cancel and pi* is stationary", level=True)
later_steps.control("the other way round", because="good states are flattened, not sharpened", sign=-1.0)


@claim(
    PAPER,
    "first-token-decides",
    r"R(y) = -c\,[y_1 = 1]: \qquad \pi^\star_1 = \mu_1 \text{ and } u^{\mathrm{D3PO}}_0 = u^\star_0, \qquad \text{but} \qquad"
    r" L_1(\pi') < L_1(\pi^\star) = \ln 2 \text{ with } \pi'_1(0|1) = e^{-c/\beta}",
    kind="separation",
    source="derived",
    assumes="T = A = 2; a uniform reference but for token 1 after token 1, which is rare; c > 0",
)
@over(
    first_token_decides.sweep(bad=(0.5, 3.0), rare=(1e-3, 1e-9)),
    beta=(0.5, 2.0),
)
def first_token_decides_all(tree: TokenTree, *, beta: float, harm: float = 0.5) -> Comparison:
    r"""Even if the second step has nothing to decide, D3PO's loss moves it off the reference.

    All u are 0 at pi* there, so that the loss is ln 2. It falls if (1, 0) is made less likely: a common response, and one that
    loses more often than it wins. With its log-ratio at -c nearly all pairs have the margins of their labels. The probability
    has to go somewhere: to the rare token, on which few pairs depend. Nothing is gained by that, and the divergence from the
    reference costs :math:`\beta \pi_0(1) (1 - e^{-c/\beta}) \ln(1/\text{rare})` to leading order, without bound. The check asks
    for half of that of the minimiser.
    """
    c, rare = -float(leaf_rewards(tree)[2]), float(np.exp(tree.log_reference[1][1, 1]))
    found = soft_backup(tree, beta)
    law = preference_law(tree)
    weights = step_weights(law, 2, 1)
    moved = np.array([tree.log_reference[1][0], [-c / beta, np.log(-np.expm1(-c / beta))]])
    here, there = (step_loss(policy, tree.log_reference[1], weights, beta)[0] for policy in (found.log_policy[1], moved))
    u, error = _root_implicit_reward(tree, beta, "stepwise")
    fit = fit_stepwise(tree, law, beta)
    regret = float(found.value[0][0]) - policy_value(tree, fit.log_policy, beta)
    lost = beta * np.exp(found.log_policy[0][0, 1]) * -np.expm1(-c / beta) * -np.log(rare)
    return all_of(
        root=equal(u[1], -c, tolerance=1.0, scale=error + DIGITS * (1 + c)),
        stationary=equal(found.log_policy[1], tree.log_reference[1], tolerance=DIGITS, scale=1 - np.log(rare)),
        loss=equal(here, np.log(2), tolerance=DIGITS, scale=1.0),
        lower=always([there < here - 1e-3, fit.loss[1] <= there + 1e-9], "moving does not pay"),
        regret=at_least(regret, harm * lost, slack=FITTED),
    )


first_token_decides_all.control("all of the leading order", because="the entropy of the move is gained", harm=1.0)
first_token_decides_all.control(
    "a common second token",
    because="as many pairs then depend on the one as on the other",
    on=domain(first_token_decides.sweep(bad=1.0, rare=0.5), beta=1.0),
)


@claim(
    PAPER,
    "improves-reference",
    r"J(\pi^{\mathrm{D3PO}}) \ge J(\mu)",
    kind="separation",
    source="derived",
    assumes="the population loss, minimised; J the expected reward less beta times the divergence from the reference",
    expected="refuted",
    corrected="d3po/whole-trajectory",
    note="With R = -1 for responses that begin with token 1, whose second token is 1 with probability 1/50, and beta = 1, the "
    "minimiser is "
    "worth less than the reference by 2.7 times what there was to gain. So it is on 1 of 200 random trees (T = A = 2, rewards "
    "3 N(0, 1)).",
)
@over(first_token_decides.sweep(bad=(1.0, 3.0), rare=(0.02, 0.001)), beta=(1.0, 2.0))
def improves_reference(tree: TokenTree, *, beta: float, learner: str = "stepwise") -> Comparison:
    r"""What D3PO learns is worth at least as much as the policy that it starts from: false.

    `d3po/first-token-decides` says why. What is compared is the regret of the learnt policy with that of the reference.
    """
    law, best = preference_law(tree), float(soft_backup(tree, beta).value[0][0])
    policy = (fit_stepwise(tree, law, beta) if learner == "stepwise" else population_dpo(tree, law, beta)).log_policy
    regret, headroom = (best - policy_value(tree, p, beta) for p in (policy, tree.log_reference))
    return at_most(regret, headroom, slack=FITTED)


improves_reference.repair("whole trajectories", because="DPO of whole responses finds pi*", learner="trajectory")
