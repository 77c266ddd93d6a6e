r"""Off-policy evaluation of contextual bandits: what the standard estimators promise, with exact expectations.

Notation: records (x, a, r) of a logging policy :math:`\mu`, a target policy :math:`\pi` of value V, weights
:math:`w = \pi(a|x)/\mu(a|x)`, mean rewards q of variance :math:`\sigma^2`, a model :math:`\hat q` of them, n records. IPS is inverse propensity
scoring, DM the direct method, DR doubly robust, SNIPS self-normalised IPS. Sources: Dudik, Langford and Li 2011; for SNIPS
Swaminathan and Joachims 2015; for switching Wang, Agarwal and Dudik 2017; for the data Saito et al. 2021 (arXiv:2008.07146).

Expectations are sums over all logs of one or two records, to which the estimators themselves are applied.
"""

import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bandits.contextual import ContextualBandit, contextual_bandit
from bandits.logged_data import open_bandit_sample, read_open_bandit
from bandits.off_policy_evaluation import (
    Log,
    OffPolicyEstimate,
    all_logs,
    direct_method,
    doubly_robust,
    exact_direct_method,
    exact_doubly_robust,
    exact_inverse_propensity,
    exact_self_normalised,
    exact_switch_doubly_robust,
    inverse_propensity,
    self_normalised,
    switch_doubly_robust,
)
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
    family,
    over,
)

Array = NDArray[np.float64]
Estimator = Callable[[Log], OffPolicyEstimate]

PAPER = Paper(
    key="off-policy-bandits",
    title="Doubly Robust Policy Evaluation and Learning",
    authors="Dudik, Langford, Li",
    year=2011,
    theme="bandits",
    arxiv="1103.4601",
)

SMALL = contextual_bandit.sweep(X=(1, 2), K=(2, 3), skewed=True, draws=by_profile(quick=2, full=10))
LARGER = contextual_bandit.sweep(X=(1, 5), K=(2, 10), skewed=True, draws=by_profile(quick=10, full=100))


@family
def rare_clicks(rate: float = 0.01) -> ContextualBandit:
    """One context and two actions, both of which pay with probability ``rate``."""
    return ContextualBandit(np.full((1, 2), rate))


@functools.lru_cache(maxsize=6)
def _sample(behaviour: str, campaign: str) -> tuple[Log, Array]:
    """The log of a sample, its contexts the three positions, and uniform play."""
    data = read_open_bandit(open_bandit_sample(behaviour, campaign))
    return data.log(), np.full((3, data.item_count), 1 / data.item_count)


def _policies(bandit: ContextualBandit, seed: int, *, cover: bool = True) -> tuple[Array, Array, Array]:
    """A logging policy, a target policy and a model of the rewards; without ``cover`` action 0 of context 0 is never logged."""
    rng = np.random.default_rng(seed)
    logging, target = rng.dirichlet(np.ones(bandit.actions), size=(2, bandit.contexts))
    logging = 0.95 * logging + 0.05 / bandit.actions
    if not cover:
        logging[0, 0] = 0.0
        logging[0] /= logging[0].sum()
    return logging, target, rng.uniform(size=bandit.means.shape)


def _expectation(bandit: ContextualBandit, logging: Array, size: int, *estimators: Estimator, stated: float = 1.0) -> Array:
    """Mean and variance of each estimator over all logs, shape (estimators, 2); the logs state ``stated`` times the propensities."""
    chances, values = [], []
    for chance, log in all_logs(bandit, logging, size):
        seen = log if stated == 1.0 else Log(log.contexts, log.actions, log.rewards, stated * log.propensities)
        chances.append(chance)
        values.append([estimator(seen).value for estimator in estimators])
    law, table = np.array(chances), np.array(values)
    mean = law @ table
    return np.stack([mean, law @ (table - mean) ** 2], axis=1)


@claim(
    PAPER,
    "unbiased",
    r"\mathbb{E}[\mathrm{IPS}] = \mathbb{E}[\mathrm{DR}] = V \quad \text{for every model } \hat q",
    kind="identity",
    source="recalled",
    assumes="known propensities, positive wherever the target policy plays",
)
@over(SMALL, size=(1, 2))
def unbiased(
    bandit: ContextualBandit, *, size: int, seed: int, clip: float = np.inf, stated: float = 1.0, cover: bool = True
) -> Comparison:
    r"""Inverse propensity scoring and the doubly robust estimator are unbiased, the latter whatever its model says.

    :math:`\mathbb{E}[w g(x, a) | x] = \sum_a \mu\, (\pi/\mu)\, g = \sum_a \pi(a|x)\, g(x, a)` for every g; take g = q, and :math:`g = q - \hat q`.
    """
    logging, target, model = _policies(bandit, seed, cover=cover)
    moments = _expectation(
        bandit,
        logging,
        size,
        lambda log: inverse_propensity(log, target, clip=clip),
        lambda log: doubly_robust(log, target, model),
        stated=stated,
    )
    value = float(bandit.value(target))
    return all_of(
        ips=equal(moments[0, 0], value, tolerance=1e-12, scale=1.0), dr=equal(moments[1, 0], value, tolerance=1e-12, scale=1.0)
    )


unbiased.control("weights clipped at 1.5", because="clipping takes away from the actions that the log has seldom", clip=1.5)
unbiased.control("propensities stated five per cent too small", because="the weights are too large", stated=0.95)
unbiased.control("an action that is never logged", because="nothing in the log tells what it earns", cover=False)


@claim(
    PAPER,
    "variance",
    r"n \mathrm{Var}[\mathrm{DR}] = \mathbb{E}[w^2 \sigma^2] + \mathbb{E}_x \mathrm{Var}_{a \sim \mu}[w (q - \hat q)]"
    r" + \mathrm{Var}_x[V(x)], \qquad \text{IPS: } \hat q = 0",
    kind="identity",
    source="recalled",
    assumes="as in off-policy-bandits/unbiased",
)
@over(SMALL, size=(1, 2))
def variance(bandit: ContextualBandit, *, size: int, seed: int, power: int = 2, context: float = 1.0) -> Comparison:
    r"""The variance of a doubly robust estimate has three parts: noise, the model's error, and the contexts.

    The law of total variance, first given x and a, then given x: the conditional expectation of a term is
    :math:`\hat V(x) + w (q - \hat q)`, whose mean given x is V(x). Checked against the variance over all logs, and against the library's moments.
    """
    logging, target, model = _policies(bandit, seed)
    moments = _expectation(
        bandit, logging, size, lambda log: inverse_propensity(log, target), lambda log: doubly_robust(log, target, model)
    )
    weights, joint = target / logging, bandit.law[:, None] * logging
    of_contexts = bandit.law @ ((target * bandit.means).sum(axis=1) - bandit.value(target)) ** 2
    noise = (joint * weights**power * bandit.variances).sum()
    predicted = []
    for q_hat in (np.zeros_like(model), model):
        error = weights * (bandit.means - q_hat)
        centred = error - (logging * error).sum(axis=1, keepdims=True)
        predicted.append((noise + (joint * centred**2).sum() + context * of_contexts) / size)
    library = [exact_inverse_propensity(bandit, logging, target), exact_doubly_robust(bandit, logging, target, model)]
    largest = float(moments[:, 1].max())
    return all_of(
        formula=equal(moments[:, 1], predicted, tolerance=1e-12, scale=max(1.0, largest)),
        library=equal(moments[:, 1], [m.variance / size for m in library], tolerance=1e-12, scale=max(1.0, largest)),
    )


variance.control("the noise weighted by w", because="a term's noise is w times that of a reward", power=1)
variance.control("without the contexts", because="values differ between contexts", context=0.0)


@claim(
    PAPER,
    "perfect-model",
    r"\mathrm{Var}[\mathrm{DR}] \le \mathrm{Var}[\mathrm{IPS}] \quad \text{for } \hat q = s q,\ 0 \le s \le 2",
    kind="inequality",
    source="derived",
    assumes="as in off-policy-bandits/unbiased; s = 1 is the perfect model",
)
@over(LARGER, scale=(0.5, 1.0, 2.0))
def perfect_model(bandit: ContextualBandit, *, scale: float, seed: int, beyond: float = 0.0) -> Comparison:
    r"""A perfect model never makes a doubly robust estimate worse than inverse propensity scoring, nor does one that is twice too large.

    In `off-policy-bandits/variance` the model's error is :math:`w (q - s q) = (1 - s)\, w q`, so its variance is :math:`(1 - s)^2 \le 1` times
    that for :math:`\hat q = 0`. At s = 2 the two are equal; beyond, the model does harm.
    """
    logging, target, _ = _policies(bandit, seed)
    robust = exact_doubly_robust(bandit, logging, target, (scale + np.sign(scale - 1) * beyond) * bandit.means).variance
    plain = exact_inverse_propensity(bandit, logging, target).variance
    return at_most(robust, plain)


perfect_model.control("a model that is 2.1 times too large", because="(1 - s)^2 is 1.21", beyond=0.1)
perfect_model.control(
    "another model", check=lambda bandit, *, scale, seed: _random_model(bandit, seed), because="a wrong model adds variance"
)


def _random_model(bandit: ContextualBandit, seed: int) -> Comparison:
    logging, target, model = _policies(bandit, seed)
    robust = exact_doubly_robust(bandit, logging, target, model).variance
    return at_most(robust, exact_inverse_propensity(bandit, logging, target).variance)


@claim(
    PAPER,
    "double-robustness",
    r"\mathbb{E}[\mathrm{DR}] - V = \mathbb{E}_x \sum_a \pi(a|x)\, (\hat q - q) \Bigl(1 - \frac{\mu}{\hat\mu}\Bigr)",
    kind="identity",
    source="recalled",
    assumes="propensities stated as mu-hat > 0",
)
@over(SMALL, stated=(0.5, 0.8, 1.0))
def double_robustness(bandit: ContextualBandit, *, stated: float, seed: int, product: bool = True) -> Comparison:
    r"""The bias of the doubly robust estimator is the product of two errors: it is unbiased if the model or the propensities are right.

    Given x, the expectation is :math:`\sum_a \pi \hat q + \sum_a \mu (\pi/\hat\mu)(q - \hat q)`. The direct method is the case
    :math:`\hat\mu = \infty`, inverse propensity scoring that of :math:`\hat q = 0`.
    """
    logging, target, model = _policies(bandit, seed)
    value = float(bandit.value(target))
    wrong, right, direct, plain = _expectation(
        bandit,
        logging,
        1,
        lambda log: doubly_robust(log, target, model),
        lambda log: doubly_robust(log, target, bandit.means),
        lambda log: direct_method(log, target, model),
        lambda log: inverse_propensity(log, target),
        stated=stated,
    )[:, 0]
    error = float(bandit.law @ (target * (model - bandit.means)).sum(axis=1))
    share = 1 - 1 / stated if product else 0.0
    library = exact_doubly_robust(bandit, logging, target, model, propensities=stated * logging)
    return all_of(
        both_wrong=equal(wrong - value, error * share, tolerance=1e-12, scale=1.0),
        model_right=equal(right, value, tolerance=1e-12, scale=1.0),
        direct=equal(direct - value, error, tolerance=1e-12, scale=1.0),
        ips=equal(plain, value / stated, tolerance=1e-12, scale=1.0),
        library=equal(library.mean, wrong, tolerance=1e-12, scale=1.0),
        direct_library=equal(exact_direct_method(bandit, logging, target, model).mean, direct, tolerance=1e-12, scale=1.0),
    )


double_robustness.control("no bias when both are wrong", because="one of the two must be right", product=False)


@claim(
    PAPER,
    "snips-shift",
    r"\mathrm{SNIPS}(r + c) = \mathrm{SNIPS}(r) + c, \qquad \min_i r_i \le \mathrm{SNIPS}(r) \le \max_i r_i \quad \text{on every log}",
    kind="identity",
    source="recalled",
    assumes="some weight is positive",
)
@over(contextual_bandit.sweep(X=(1, 2), K=2, draws=by_profile(quick=2, full=10)), shift=(-3.0, 0.5))
def snips_shift(bandit: ContextualBandit, *, shift: float, seed: int, plain: bool = False) -> Comparison:
    """Dividing by the sum of the weights makes the estimate move with the rewards and stay within their range.

    It is a weighted mean. Inverse propensity scoring moves by c times the mean weight, which is 1 in expectation only: where bad
    rewards are counted as -1 and not as 0 it prefers policies that avoid the log.
    """
    logging, target, _ = _policies(bandit, seed)
    estimator = inverse_propensity if plain else self_normalised
    moved, within = [], []
    for _, log in all_logs(bandit, logging, 2):
        value = estimator(log, target).value
        other = Log(log.contexts, log.actions, log.rewards + shift, log.propensities)
        moved.append(estimator(other, target).value - value)
        within.append(log.rewards.min() - 1e-12 <= value <= log.rewards.max() + 1e-12)
    return all_of(
        shift=equal(moved, np.full(len(moved), shift), tolerance=1e-12, scale=max(1.0, abs(shift))), range=always(within)
    )


snips_shift.control("inverse propensity scoring", because="its weights do not add up to n", plain=True)


@claim(
    PAPER,
    "snips-bias",
    r"n\, (\mathbb{E}[\mathrm{SNIPS}] - V) = -\mathbb{E}[w^2 (r - V)] + O(1/n), \qquad"
    r" n \mathrm{Var}[\mathrm{SNIPS}] \to \mathbb{E}[w^2 (r - V)^2]",
    kind="identity",
    source="derived",
    assumes="one context, two actions, all weights positive",
)
@over(means=[(0.3, 0.6), (0.9, 0.2)], logged=(0.3, 0.5, 0.7), taken=(0.1, 0.8))
def snips_bias(*, means: tuple[float, float], logged: float, taken: float, share: float = 1.0) -> Comparison:
    r"""The self-normalised estimator is biased, by an amount of the order 1/n that a second moment gives.

    It is V plus the quotient of the means A of w (r - V) and W of w, with :math:`\mathbb{E} A = 0`, :math:`\mathbb{E} W = 1`: expand
    :math:`A/W = A - A(W - 1) + A (W - 1)^2 - \dots`; the second term has the mean :math:`-\mathbb{E}[w^2 (r - V)]/n`, the next is of the order
    1/n^2. So n times the bias, and the variance, differ from their limits by remainders that are halved when n is doubled. Both sides are
    exact, for 32 and 64 records; what is left at 64 is to be at most .6 of what is left at 32.
    """
    logging, target = np.array([[logged, 1 - logged]]), np.array([[taken, 1 - taken]])
    bandit = ContextualBandit(np.array([means]))
    value, weights = float(bandit.value(target)), target / logging
    centred = bandit.means - value
    limit = -share * float((logging * weights**2 * centred).sum())
    spread = float((logging * weights**2 * (centred**2 + bandit.variances)).sum())
    exact = np.array([exact_self_normalised(bandit, logging, target, n) for n in (32, 64)])
    sizes = np.array([32, 64])
    bias, variance = np.abs(sizes * (exact[:, 0] - value) - limit), np.abs(sizes * exact[:, 1] - spread)
    # n times the bias is a sum of 64 times some ten thousand probabilities: it keeps twelve digits
    return all_of(
        bias=at_most(bias[1], 0.6 * bias[0], slack=1e-10), variance=at_most(variance[1], 0.6 * variance[0], slack=1e-10)
    )


snips_bias.control("five per cent more", because="the limit is known exactly", share=1.05)
snips_bias.control("no bias", because="n times the bias has a limit other than 0", share=0.0)


@claim(
    PAPER,
    "switch-ends",
    r"\mathrm{SWITCH}_\tau = \mathrm{DM} \text{ for } \tau < \min w, \quad \mathrm{SWITCH}_\tau = \mathrm{DR} \text{ for } \tau \ge \max w, \quad"
    r" \mathbb{E}[\mathrm{SWITCH}_\tau] - V = \mathbb{E}_x \sum_{a : w > \tau} \pi(a|x)\, (\hat q - q)",
    kind="identity",
    source="recalled",
    assumes="as in off-policy-bandits/unbiased",
)
@over(SMALL)
def switch_ends(bandit: ContextualBandit, *, seed: int, short: float = 0.0, missing: bool = False) -> Comparison:
    r"""The switch estimator runs from the direct method to the doubly robust one, and is biased by the model on what it switches off.

    Given x the residual terms have the mean :math:`\sum_{a: w \le \tau} \pi\,(q - \hat q)`, and the model contributes
    :math:`\sum_a \pi \hat q`.
    """
    logging, target, model = _policies(bandit, seed)
    weights = target / logging
    low, high = 0.999 * weights.min(), (1 - short) * weights.max()
    middle = float(np.median(weights))
    ends, bias = [], []
    for tau in (low, middle, high):
        rest = np.where(weights > tau, target * (model - bandit.means), 0.0) if not missing else np.zeros_like(model)
        bias.append(float(bandit.law @ rest.sum(axis=1)))
    means = _expectation(
        bandit,
        logging,
        1,
        *((lambda log, tau=tau: switch_doubly_robust(log, target, model, tau)) for tau in (low, middle, high)),
    )[:, 0]
    for _, log in all_logs(bandit, logging, 1):
        ends.append(switch_doubly_robust(log, target, model, low).value - direct_method(log, target, model).value)
        ends.append(switch_doubly_robust(log, target, model, high).value - doubly_robust(log, target, model).value)
    return all_of(
        ends=equal(ends, np.zeros(len(ends)), tolerance=1e-12, scale=1.0),
        bias=equal(means - bandit.value(target), bias, tolerance=1e-12, scale=1.0),
        library=equal(
            [exact_switch_doubly_robust(bandit, logging, target, model, tau).mean for tau in (low, middle, high)],
            means,
            tolerance=1e-12,
            scale=1.0,
        ),
    )


switch_ends.control("a threshold just below the largest weight", because="that action is then left to the model", short=1e-6)
switch_ends.control("no bias", because="the model is wrong where it is used", missing=True)


@claim(
    PAPER,
    "switch-variance",
    r"\hat q = q: \quad \mathrm{Var}[\mathrm{DM}] \le \mathrm{Var}[\mathrm{SWITCH}_\tau] \le \mathrm{Var}[\mathrm{SWITCH}_{\tau'}] \le"
    r" \mathrm{Var}[\mathrm{DR}] \quad (\tau \le \tau')",
    kind="inequality",
    source="derived",
    assumes="a perfect model",
    note="With a wrong model the variance need not increase with the threshold: switching off one of two errors that cancel adds some.",
)
@over(LARGER)
def switch_variance(bandit: ContextualBandit, *, seed: int, error: float = 0.0) -> Comparison:
    r"""With a perfect model the variance of the switch estimator increases with its threshold, from the direct method's to doubly robust's.

    It is :math:`\mathbb{E}[w^2 \sigma^2 1\{w \le \tau\}] + \mathrm{Var}_x[V(x)]`, and the bias is 0 for every threshold. So with a model that good,
    every weighted reward only adds noise. With a wrong model the part :math:`\mathrm{Var}_a[w 1\{w \le \tau\} (q - \hat q)]` need not increase.
    """
    logging, target, model = _policies(bandit, seed)
    q_hat = (1 - error) * bandit.means + error * model
    thresholds = np.concatenate([[0.0], np.sort((target / logging).ravel())])
    moments = [exact_switch_doubly_robust(bandit, logging, target, q_hat, float(tau)) for tau in thresholds]
    variances = np.array([m.variance for m in moments])
    ends = (
        exact_direct_method(bandit, logging, target, q_hat).variance,
        exact_doubly_robust(bandit, logging, target, q_hat).variance,
    )
    rounding = 1e-13 * ends[1]
    return all_of(
        increasing=at_most(variances[:-1], variances[1:], slack=rounding),
        ends=equal(variances[[0, -1]], ends, tolerance=1e-12),
    )


switch_variance.control(
    "a model that is a fifth wrong", because="switching off one of two errors that cancel adds variance", error=0.2
)


@claim(
    PAPER,
    "clipping",
    r"V - \mathbb{E}[\mathrm{IPS}_c] = \mathbb{E}_x \sum_a (\pi - c \mu)_+\, q, \qquad n \mathrm{Var}[\mathrm{IPS}_c] \le c\, \mathbb{E}[\mathrm{IPS}_c]",
    kind="inequality",
    source="derived",
    assumes="rewards in [0, 1], weights clipped at c > 0",
)
@over(LARGER, clip=(0.5, 1.0, 3.0), alike=(False, True))
@over(rare_clicks.sweep(rate=(0.3, 0.01)), clip=1.0, alike=True)
def clipping(
    bandit: ContextualBandit, *, clip: float, alike: bool, seed: int, share: float = 1.0, kept: float = 1.0
) -> Comparison:
    r"""Clipped weights can only lose value, a computable amount of it, and keep the variance below c times the estimate.

    :math:`\mu \min(w, c) = \pi - (\pi - c\mu)_+`; and :math:`\min(w, c)^2 r^2 \le c \min(w, c)\, r` for rewards in [0, 1], with equality where
    weights are clipped and rewards are 0 or 1. What is missing is the square of the mean, so that rare rewards come near the bound.
    """
    logging, target, _ = _policies(bandit, seed)
    target = logging if alike else target
    moments = exact_inverse_propensity(bandit, logging, target, clip=clip)
    lost = float(bandit.law @ (np.maximum(target - clip * logging, 0.0) * bandit.means).sum(axis=1))
    return all_of(
        variance=at_most(moments.variance, share * clip * moments.mean),
        bias=equal(-moments.bias, kept * lost, tolerance=1e-12, scale=1.0),
    )


clipping.control("five per cent less", because="with one click in a hundred the square of the mean is nothing", share=0.95)
clipping.control("five per cent less bias", because="the loss is known exactly", kept=0.95)


@claim(
    PAPER,
    "open-bandit-uniform",
    r"\mu(a|x) = 1/K \text{ in the random log:} \quad w = 1, \quad \mathrm{IPS} = \mathrm{SNIPS} = \text{click rate} \quad (\pi \text{ uniform})",
    kind="identity",
    source="recalled",
    assumes="the sample of the Open Bandit Dataset (Saito et al. 2021): 10000 records a campaign",
)
@over(campaign=("all", "men", "women"))
def open_bandit_uniform(*, campaign: str, behaviour: str = "random") -> Comparison:
    """Real logs: the random policy's log states what it is said to be, and every estimator agrees on it.

    The click rates are .0038, .0046 and .0046. Skipped where the package obp, which ships the sample, is not installed.
    """
    log, target = _sample(behaviour, campaign)
    model = np.full_like(target, 0.004)
    rate = log.rewards.mean()
    weights = log.weights(target)
    estimates = [
        e.value for e in (inverse_propensity(log, target), self_normalised(log, target), doubly_robust(log, target, model))
    ]
    return all_of(
        weights=equal(weights, np.ones(log.size), tolerance=1e-12),
        estimates=equal(estimates, np.full(3, rate), tolerance=1e-12, scale=1.0),
    )


open_bandit_uniform.control("the log of Thompson sampling", because="it is not uniform", behaviour="bts")


@claim(
    PAPER,
    "open-bandit-effective-size",
    r"\frac{(\sum_i w_i)^2}{\sum_i w_i^2} \le \frac{n}{10} \text{ for } \pi \text{ uniform on the log of Thompson sampling},"
    r" \qquad 0 \le \mathrm{SNIPS} \le 1",
    kind="mechanism",
    source="derived",
    assumes="the sample of the Open Bandit Dataset: n = 10000 records a campaign",
)
@over(campaign=("all", "men", "women"))
def open_bandit_effective_size(*, campaign: str, behaviour: str = "bts") -> Comparison:
    """Real logs: ten thousand records of a policy that has converged are worth few of them to evaluate another.

    Thompson sampling hardly shows some items, with propensities down to 1e-6, and a record of such an item is weighted by the inverse. For
    the uniform policy the effective sizes are 340, 656 and 2.1: in the campaign for women one record of 10000 has 69 per cent of the total weight,
    and plain inverse propensity scoring says .0074 (with a standard error of .0041) where the random log's click rate is .0046. Skipped where the
    package obp is not installed.
    """
    log, target = _sample(behaviour, campaign)
    weights = log.weights(target)
    value = self_normalised(log, target).value
    return all_of(
        effective=at_most(weights.sum() ** 2 / (weights @ weights), log.size / 10),
        range=all_of(at_least(value, 0.0), at_most(value, 1.0)),
    )


open_bandit_effective_size.control("the log of the random policy", because="all its weights are 1", behaviour="random")
