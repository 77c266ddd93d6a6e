r"""From r to Q* (Rafailov et al. 2024): on a token tree the optimal policy of the bandit of whole responses is that of the
token MDP.

Notation: mu the reference, r_t(s, a) the reward of token a after prefix s, R(y) their sum along a response, V_t and Q_t the
soft values at the temperature beta, pi* the soft-optimal policy, u_t(s, a) = beta ln(pi*(a|s)/mu(a|s)) the implicit reward of a
token.

Everything here rests on the append being deterministic: the next prefix is the old one and the token. Where chance chooses some
of the tokens, as the control "chance appends" lets it do at every second step, a policy cannot tilt the law of responses
freely, and all three identities fail.
"""

import numpy as np
from numpy.typing import NDArray

from mdplab.learning.token_dpo import (
    beam_search,
    dpo_gradient_descent,
    preference_law,
    prefix_beam,
    response_scores,
    token_credit,
)
from mdplab.models.token_tree import Levels, TokenTree, leaf_rewards, random_token_tree, shaped, with_rewards
from mdplab.solvers.token_tree import SoftTokenSolution, leaf_log_probabilities, prefix_sums, soft_backup, token_policy
from theory.claims import Comparison, Paper, all_of, always, by_profile, claim, equal, over
from theory.divergences import kl
from theory.tilts import log_partition, log_tilt

Array = NDArray[np.float64]

PAPER = Paper(
    key="r-to-q",
    title="From r to Q*: Your Language Model is Secretly a Q-Function",
    authors="Rafailov, Hejna, Park, Finn",
    year=2024,
    theme="alignment",
    arxiv="2404.12358",
)

TREES = random_token_tree.sweep(
    A=(2, 3),
    H=(1, 3, 5),
    spread=(1.0, 10.0),
    concentration=(0.1, 1.0),
    terminal=(False, True),
    draws=by_profile(quick=1, full=8),
)
BETAS = (0.1, 0.5, 2.0)
DIGITS = 1e-12  # sums of at most five rewards and logarithms, relative to the largest of them


def _solved(tree: TokenTree, beta: float, chance: bool) -> SoftTokenSolution:
    """The soft backup; with ``chance`` the tokens of steps 1, 3, ... are drawn from the reference, whatever the policy."""
    if not chance:
        return soft_backup(tree, beta)
    q: list[Array] = []
    policy: list[Array] = []
    value: list[Array] = [np.zeros(tree.leaves)]
    for t in reversed(range(tree.horizon)):
        reference = tree.log_reference[t]
        q.append(tree.rewards[t] + value[-1].reshape(reference.shape))
        policy.append(reference if t % 2 else log_tilt(reference, q[-1], beta))
        value.append((np.exp(reference) * q[-1]).sum(axis=1) if t % 2 else log_partition(reference, q[-1], beta))
    return SoftTokenSolution(tuple(reversed(q)), tuple(reversed(value)), tuple(reversed(policy)))


def _flat(levels: Levels) -> Array:
    return np.concatenate([np.ravel(level) for level in levels])


def _size(tree: TokenTree, beta: float) -> float:
    """The largest log-weight that the identities add up: of a response's reward over beta, or of its reference."""
    most = sum(float(np.abs(level).max()) for level in tree.rewards)
    return 1 + most / beta + float(np.abs(leaf_log_probabilities(tree.log_reference)).max())


@claim(
    PAPER,
    "token-equals-bandit",
    r"\prod_t \pi^\star(y_t|y_{<t}) = \frac{\mu(y)\, e^{R(y)/\beta}}{Z}, \qquad V_0 = \beta \ln Z, \qquad"
    r" Z = \sum_y \mu(y)\, e^{R(y)/\beta}",
    kind="identity",
    source="paper",
    assumes="deterministic append; any rewards of tokens; beta > 0",
)
@over(TREES, beta=BETAS)
def token_equals_bandit(tree: TokenTree, *, beta: float, chance: bool = False, heat: float = 1.0) -> Comparison:
    r"""The soft-optimal policy of the token MDP writes responses with the law of the optimal policy of the bandit.

    Along a response the exponents :math:`(Q_t - V_t)/\beta = (r_t + V_{t+1} - V_t)/\beta` telescope to
    :math:`(R(y) - V_0)/\beta`, as :math:`V_H = 0`. What multiplies :math:`\mu(y)` sums to 1 over responses, so that
    :math:`V_0 = \beta \ln Z`.
    """
    found = _solved(tree, beta, chance)
    reference, rewards = leaf_log_probabilities(tree.log_reference), leaf_rewards(tree)
    size = _size(tree, beta)
    return all_of(
        law=equal(
            leaf_log_probabilities(found.log_policy), log_tilt(reference, rewards, beta * heat), tolerance=DIGITS, scale=size
        ),
        value=equal(
            found.value[0][0] / beta, log_partition(reference, rewards, beta * heat) / beta, tolerance=DIGITS, scale=size
        ),
    )


token_equals_bandit.control("chance appends", because="outcomes are then not chosen by the tilt but drawn", chance=True)
token_equals_bandit.control("2% hotter", because="the law depends on the temperature", heat=1.02)


@claim(
    PAPER,
    "telescoping",
    r"\beta \ln \frac{\pi^\star(y_{1:t})}{\mu(y_{1:t})} = \sum_{i \le t} r_i + V_t(y_{1:t}) - V_0",
    kind="identity",
    source="paper",
    assumes="as `r-to-q/token-equals-bandit`; beams break ties in the same order",
)
@over(TREES, beta=BETAS)
def telescoping(
    tree: TokenTree, *, beta: float, chance: bool = False, guide: str = "reward and value", scores: str = "ratio"
) -> Comparison:
    r"""Ranking prefixes by the log-ratio of the optimal policy is ranking them by their reward so far plus their soft value.

    The sum of `r-to-q/token-equals-bandit`, stopped at t; at a leaf it is R(y) - V_0. A beam search by log-ratios therefore
    keeps, at every width and every step, the prefixes that value-guided search keeps; at full width it returns the response of
    the largest reward. By likelihoods, at full width, it returns that of the largest :math:`R + \beta \ln\mu`.
    """
    found = _solved(tree, beta, chance)
    credit = token_credit(tree, found.log_policy, beta)
    earned = prefix_sums(tree.rewards)
    ranks = tuple(r + v for r, v in zip(earned, found.value))
    followed = ranks if guide == "reward and value" else earned
    widths = (1, 2, 5, tree.leaves)
    beams = [
        all(np.array_equal(a, b) for a, b in zip(beam_search(credit, w).prefixes, prefix_beam(followed, w).prefixes))
        for w in widths
    ]
    rewards = leaf_rewards(tree)
    best = beam_search(credit if scores == "ratio" else found.log_policy, tree.leaves).response
    likeliest = beam_search(found.log_policy, tree.leaves).response
    size = beta * _size(tree, beta)
    return all_of(
        prefixes=equal(_flat(prefix_sums(credit)), _flat(ranks) - found.value[0][0], tolerance=DIGITS, scale=size),
        beams=always(beams, "a beam keeps other prefixes"),
        best=always(best == np.argmax(rewards), "the full beam misses the best response"),
        likeliest=always(likeliest == np.argmax(rewards + beta * leaf_log_probabilities(tree.log_reference))),
    )


telescoping.control("chance appends", because="the log-ratio of a token that chance chose is 0", chance=True)
telescoping.control("reward so far, no value", because="then a beam keeps prefixes that lead nowhere", guide="reward")
telescoping.control("a likelihood beam for the best reward", because="it also follows the reference", scores="likelihood")


@claim(
    PAPER,
    "shaping-class",
    r"r'_t = r_t + \Phi(s') - \Phi(s),\; \Phi(\text{leaves}) = 0 \implies \pi'^\star = \pi^\star; \qquad"
    r" \beta \ln\frac{\pi^\star}{\mu} = r_t + V_{t+1} - V_t \text{ is the member with } V' \equiv 0",
    kind="identity",
    source="paper",
    assumes="deterministic append; any potential of prefixes that is 0 at leaves",
)
@over(TREES, beta=BETAS)
def shaping_class(tree: TokenTree, *, beta: float, seed: int, at_leaves: float = 0.0, chance: bool = False) -> Comparison:
    r"""Rewards that differ by a potential have one optimal policy, and its implicit reward is the one of them without values.

    Shaping adds :math:`\Phi(\text{leaf}) - \Phi(\text{root})` to every response: a constant, if potentials of leaves are 0,
    which no tilt notices, and V' = V - Phi. With Phi = V, which is 0 at leaves, the shaped reward is Q - V, the implicit reward
    of pi*, and its soft values are 0. So a soft backup of the implicit reward returns pi*.
    """
    rng = np.random.default_rng(seed)
    found = _solved(tree, beta, chance)
    potential = [rng.standard_normal(tree.tokens**t) for t in range(tree.horizon + 1)]
    potential[-1] *= at_leaves
    other = _solved(shaped(tree, tuple(potential)), beta, chance)
    credit = token_credit(tree, found.log_policy, beta)
    again = _solved(with_rewards(tree, credit), beta, chance)
    size = _size(tree, beta) + 8 / beta
    return all_of(
        policy=equal(_flat(other.log_policy), _flat(found.log_policy), tolerance=DIGITS, scale=size),
        values=equal(
            _flat(other.value[:-1]) / beta,
            (_flat(found.value[:-1]) - _flat(tuple(potential[:-1]))) / beta,
            tolerance=DIGITS,
            scale=size,
        ),
        member=equal(_flat(credit) / beta, _flat(shaped(tree, found.value).rewards) / beta, tolerance=DIGITS, scale=size),
        no_values=equal(_flat(again.value) / beta, 0.0, tolerance=DIGITS, scale=size),
        again=equal(_flat(again.log_policy), _flat(found.log_policy), tolerance=DIGITS, scale=size),
    )


shaping_class.control("a potential of a hundredth at leaves", because="it is a reward, which the tilt follows", at_leaves=0.01)
shaping_class.control("chance appends", because="the implicit reward of a token that chance chose is 0", chance=True)


@claim(
    PAPER,
    "implicit-reward-declines",
    r"\mu = p_w \implies \mathbb{E}_{y \sim p_w}\, \beta \ln\frac{\pi(y)}{\mu(y)} = -\beta\,\mathrm{KL}(p_w \| \pi) \le 0; "
    r"\qquad"
    r" L_{\mathrm{DPO}}(\pi) < \ln 2 \implies \mathbb{E}[s_\pi(y_w) - s_\pi(y_l)] > 0",
    kind="identity",
    source="paper",
    assumes="p_w is the law of preferred responses, and the reference was fitted to it before DPO",
)
@over(
    random_token_tree.sweep(A=(2, 3), H=(1, 2, 3), spread=(1.0, 3.0), terminal=True, draws=by_profile(quick=1, full=6)),
    beta=BETAS,
)
def implicit_reward_declines(
    tree: TokenTree, *, beta: float, seed: int, fitted: bool = True, reverse: bool = False
) -> Comparison:
    r"""After supervised fitting to preferred responses, their implicit reward can only fall, while the margin grows.

    The first is the definition of the divergence. For the second, the loss is the mean of a convex function of the margin, so
    that by Jensen :math:`\ln(1 + e^{-\mathbb{E} h}) \le L < \ln 2`: whatever descends from the reference, where the loss is ln
    2, has a positive mean margin. Both responses lose implicit reward then, the rejected ones more. On the way of gradient
    descent over logits of tokens it is so after every step. Pairs are drawn from the tree's own law; the reference is that of
    their winners.
    """
    law = preference_law(tree)
    winners = law.sum(axis=1)
    tuned = TokenTree(tree.rewards, token_policy(np.log(winners), tree.tokens))
    run = dpo_gradient_descent(tuned if fitted else tree, law, beta, step=0.5 / beta, steps=40)
    drawn = np.log(np.random.default_rng(seed).dirichlet(np.ones(tree.leaves)))
    sides = []
    for policy in (token_policy(drawn, tree.tokens), run.log_policy):
        leaves = leaf_log_probabilities(policy)
        divergence = kl(leaves, np.log(winners), log=True) if reverse else kl(np.log(winners), leaves, log=True)
        sides.append((winners @ response_scores(tuned, policy, beta), -beta * divergence))
    size = beta * (1 + float(np.abs(drawn).max()) + float(np.abs(np.log(winners)).max()))
    left, right = np.array(sides).T
    return all_of(
        divergence=equal(left, right, tolerance=DIGITS, scale=size),
        descends=always(run.loss[1:] < np.log(2), "the loss is not below ln 2"),
        chosen=always(run.chosen[1:] < 0, "the implicit reward of preferred responses is positive after step"),
        margin=always(run.chosen[1:] > run.rejected[1:], "the mean margin is not positive after step"),
    )


implicit_reward_declines.control(
    "the reference is the law of all responses", because="preferred ones then gain at first", fitted=False
)
implicit_reward_declines.control("the divergence of pi from p_w", because="the mean is over preferred responses", reverse=True)
