r"""Hyperparameter optimisation for multi-objective RL (Felten, Gareev, Talbi, Danoy 2023): why seeds for tuning are not seeds for testing.

Notation: K configurations with true mean hypervolumes mu_k; x_k the mean of m tuning seeds of configuration k, and
k* = argmax_k x_k the one selected; Z_1 .. Z_K independent standard normal variables. A held-out score is the mean of fresh seeds of k*.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import binom

from theory.claims import Comparison, Paper, Range, all_of, always, at_most, by_profile, claim, equal, over
from theory.order_statistics import expected_normal_maximum

Array = NDArray[np.float64]

PAPER = Paper(
    key="hpo-morl",
    title="Hyperparameter Optimization for Multi-Objective Reinforcement Learning",
    authors="Felten, Gareev, Talbi, Danoy",
    year=2023,
    theme="safety",
    arxiv="2310.16487",
)


def _normal_grid() -> tuple[Array, Array]:
    """Nodes and weights of the trapezoidal rule for expectations under N(0, 1)."""
    nodes = np.linspace(-9.0, 9.0, 121)
    return nodes, (nodes[1] - nodes[0]) * np.exp(-(nodes**2) / 2) / np.sqrt(2 * np.pi)


@claim(
    PAPER,
    "winners-curse",
    r"\mathbb{E}[x_{k^\star} - \mu_{k^\star}] = \frac{1/m}{\sqrt{\tau^2 + 1/m}}\, \mathbb{E} \max_{k \le K} Z_k, \qquad"
    r" \mathbb{E}\, \mu_{k^\star} = \frac{\tau^2}{\sqrt{\tau^2 + 1/m}}\, \mathbb{E} \max_{k \le K} Z_k",
    kind="identity",
    source="derived",
    assumes=r"\mu_k \sim N(0, \tau^2), x_k \sim N(\mu_k, 1/m), all independent",
    note="At K = 30, m = 5, tau = 0.5 the tuning score is 0.609 too high, while the best of 30 is truly 0.761 better than the average.",
)
@over(K=(2, 3, 10, 30, 300), m=(1, 5), tau=(0.0, 0.5, 3.0))
@over(K=10, m=(1, 3), tau=Range(0.0, 5.0), budget=by_profile(quick=20, full=200))
def winners_curse(
    *, K: int, m: int, tau: float, reported: str = "true", fewer: int = 0, rough: bool = False, spread: bool = True
) -> Comparison:
    r"""The tuning score of the configuration selected is too high, by an amount that is known: report fresh seeds.

    Given its score, a configuration is worth :math:`\mathbb{E}[\mu_k | x_k] = \tau^2 x_k / (\tau^2 + 1/m)` on average, and the others'
    scores add nothing to that. The best score has the mean :math:`\sqrt{\tau^2 + 1/m}\, \mathbb{E} \max_k Z_k`. Both sides are found
    independently: the left ones by integrating over mu_k and the noise of x_k, times the probability that the K - 1 others score
    less, times K.
    """
    nodes, weights = _normal_grid()
    deviation = np.sqrt(tau**2 + 1 / m)
    truth, noise = tau * nodes[:, None], nodes[None, :] / np.sqrt(m)
    selected = K * weights[:, None] * weights[None, :] * ndtr((truth + noise) / deviation) ** (K - 1)
    bias = float((selected * noise).sum())
    value = float((selected * truth).sum())
    e = np.sqrt(2 * np.log(K)) if rough else expected_normal_maximum(K - fewer)
    curse = e / m / (deviation if spread else 1 / np.sqrt(m))
    return all_of(
        one_selected=equal(selected.sum(), 1.0, tolerance=1e-10),
        bias=equal(bias, curse if reported == "true" else 0.0, tolerance=1e-10, scale=1.0),
        value=equal(value, tau**2 * e / deviation, tolerance=1e-10, scale=max(1.0, tau)),
    )


winners_curse.control("the tuning score is unbiased", because="selection prefers lucky seeds", reported="tuning")
winners_curse.control("the maximum of K - 1", because="the configuration selected is one of K", fewer=1)
winners_curse.control("sqrt(2 ln K) for the mean of the maximum", because="that is its upper bound", rough=True)
winners_curse.control("without the spread of configurations", because="luck decides less where they differ", spread=False)


def _selection(means: Array, m: int) -> tuple[Array, Array]:
    """The laws of k* (the first of the best), shape (K,), and of m x_{k*} on 0 .. m, shape (m + 1,)."""
    counts = np.arange(m + 1)
    law = binom.pmf(counts, m, means[:, None])
    reached = np.minimum(np.cumsum(law, axis=1), 1.0)
    below = np.concatenate((np.zeros((means.size, 1)), reached[:, :-1]), axis=1)
    ones = np.ones((1, m + 1))
    earlier = np.concatenate((ones, np.cumprod(below, axis=0)[:-1]))  # all earlier ones score less,
    later = np.concatenate((np.cumprod(reached[::-1], axis=0)[::-1][1:], ones))  # no later one scores more
    joint = earlier * law * later
    return joint.sum(axis=1), joint.sum(axis=0)


@claim(
    PAPER,
    "optimism-without-normality",
    r"\mathbb{E}\, \mu_{k^\star} \le \max_k \mu_k \le \mathbb{E}\, x_{k^\star}, \qquad"
    r" \mathbb{E}[x_{k^\star} - \mu_{k^\star}] \le \sqrt{\frac{\ln K}{2 m}}",
    kind="inequality",
    source="derived",
    assumes=r"scores of single seeds in [0, 1], independent; any fixed \mu_k",
    note="The bound is the price of tuning for any law of scores, and is nearly reached by many configurations of equal worth.",
)
@over(K=(2, 10, 1000), m=(1, 100), means=((0.5,), (0.1,), (0.3, 0.5)))
@over(K=3, m=(1, 5, 20), means=Range(0.0, 1.0, size=3), budget=by_profile(quick=60, full=600))
def optimism_without_normality(
    *, K: int, m: int, means: tuple[float, ...], of_bound: float = 1.0, conservative: bool = False, candidates: int = 0
) -> Comparison:
    r"""Whatever the law of scores, the tuning score of the configuration selected is too high on average, and not by much more than
    sqrt(ln K / 2m).

    :math:`\mathbb{E} \max_k x_k \ge \max_k \mathbb{E} x_k`, and no configuration is worth more than the best. On the other side
    :math:`x_{k^\star} - \mu_{k^\star} \le \max_k (x_k - \mu_k)`, a maximum of K sub-Gaussian variables of variance proxy 1/(4m) (Hoeffding's
    lemma). Checked on scores 0 and 1, whose sums are binomial, by summing over all outcomes.
    """
    mu = np.resize(means, K)
    chosen, counts = _selection(mu, m)
    score = float(counts @ np.arange(m + 1)) / m
    truth = float(chosen @ mu)
    best = float(mu.max())
    bound = of_bound * np.sqrt(np.log(candidates or K) / (2 * m))
    return all_of(
        one_selected=equal(chosen.sum(), 1.0, tolerance=1e-10),
        between=always([truth <= best + 1e-12, best <= (truth if conservative else score) + 1e-12], "the best lies between"),
        curse=at_most(score - truth, bound, slack=1e-12),
    )


optimism_without_normality.control(
    "held-out in place of tuning scores", because="fresh seeds score what is selected, not the best", conservative=True
)
optimism_without_normality.control("0.85 of the bound", because="of a thousand equal ones the best is luckier", of_bound=0.85)
optimism_without_normality.control("two configurations for all", because="more candidates find more luck", candidates=2)


@claim(
    PAPER,
    "held-out",
    r"\mathbb{E}\, y_{k^\star} = \mathbb{E}\, \mu_{k^\star} \quad \text{for the mean } y_k \text{ of } n \text{ fresh seeds of configuration } k",
    kind="identity",
    source="derived",
    assumes=r"scores of single seeds are 0 or 1, independent; any fixed \mu_k; fresh seeds are not used for tuning",
)
@over(K=(2, 10, 100), m=(1, 10), means=((0.5,), (0.3, 0.5)), n=(1, 10))
@over(K=3, m=5, n=5, means=Range(0.0, 1.0, size=3), budget=by_profile(quick=30, full=300))
def held_out(*, K: int, m: int, means: tuple[float, ...], n: int, reused: int = 0) -> Comparison:
    r"""Fresh seeds of the configuration selected are unbiased, however it was selected.

    They are independent of k*, so that :math:`\mathbb{E}[y_{k^\star} | k^\star = k] = \mu_k`. If r tuning seeds are counted among the
    n, their share r/n of the curse stays.
    """
    mu = np.resize(means, K)
    chosen, counts = _selection(mu, m)
    tuned = float(counts @ np.arange(m + 1)) / m
    outcomes = np.arange(n + 1) / n
    fresh = float(chosen @ binom.pmf(np.arange(n + 1), n, mu[:, None]) @ outcomes)
    share = reused / n
    return equal(share * tuned + (1 - share) * fresh, float(chosen @ mu), tolerance=1e-11, scale=1.0)


held_out.control("one tuning seed counted", because="its share of the curse stays", reused=1)
