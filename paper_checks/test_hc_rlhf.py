r"""RLHF with high-confidence safety constraints (Chittepu et al. 2025): what a test of mean harm guarantees, exactly.

A policy is unsafe when its mean harm p is above the threshold :math:`\tau`. Candidates are chosen on one half of the data, and
the one chosen is returned if an upper confidence bound U of level :math:`\delta` on its mean harm, from the other half, is at
most :math:`\tau`; otherwise no policy is returned. Harms are 0 or 1 unless said otherwise. Then everything here is a sum of
binomial terms, and nothing is sampled.

Candidates are listed by increasing reward, and candidate i is worth i.
"""

import functools

import numpy as np
from numpy.typing import NDArray
from scipy import special

from theory.certificates import Kind, binomial_upper_bound, exact_binomial_level
from theory.claims import Comparison, Paper, Range, all_of, always, at_least, at_most, by_profile, claim, domain, equal, over
from theory.statistics import clopper_pearson

PAPER = Paper(
    key="hc-rlhf",
    title="Reinforcement Learning from Human Feedback with High-Confidence Safety Constraints",
    authors="Chittepu, Metevier, Schwarzer, Hoag, Niekum, Thomas",
    year=2025,
    theme="safety",
    arxiv="2506.08266",
)

Array = NDArray[np.float64]
VALID: tuple[Kind, ...] = ("hoeffding", "empirical bernstein", "clopper-pearson")
NODES, WEIGHTS = np.polynomial.legendre.leggauss(200)
LADDER = tuple(np.linspace(0.1, 0.3, 10).round(6).tolist())


def _critical(samples: int, count: int, level: float) -> float:
    """The threshold at which Clopper and Pearson's bound just accepts ``count`` harms, so that its level is ``level``."""
    return clopper_pearson(count, samples, level, "upper").high * (1 + 1e-12)


@functools.lru_cache(maxsize=256)
def _bounds(samples: int, level: float, kind: Kind, width: float = 1.0) -> Array:
    """The upper bounds of the counts 0 .. n, shape (n + 1,)."""
    return binomial_upper_bound(np.arange(samples + 1), samples, level, kind, width)


def _level(samples: int, tau: float, level: float, kind: Kind, width: float = 1.0) -> float:
    """The largest probability with which the test returns an unsafe policy."""
    return exact_binomial_level(lambda _: _bounds(samples, level, kind, width), samples, tau)


def _normal_return(samples: int, quantile: float, excess: float = 0.0) -> float:
    r"""P(mean + quantile s / sqrt(n) <= tau) for normal harms with mean tau + ``excess`` standard deviations.

    Given :math:`R = s \sqrt{n-1} / \sigma`, which has the chi law with n - 1 degrees of freedom and is independent of the mean,
    it is :math:`\Phi(-\sqrt n\, \mathrm{excess} - \mathrm{quantile}\, R / \sqrt{n-1})`; averaged over R by Gauss and Legendre's
    quadrature.
    """
    d = samples - 1
    low, high = max(np.sqrt(d) - 10, 0.0), np.sqrt(d) + 10
    r, weights = low + (high - low) * (1 + NODES) / 2, (high - low) * WEIGHTS / 2
    density = np.exp(special.xlogy(d - 1, r) - r * r / 2 + (1 - d / 2) * np.log(2) - special.gammaln(d / 2))
    return float(weights @ (density * special.ndtr(-np.sqrt(samples) * excess - quantile * r / np.sqrt(d))))


def _least(mass: Array) -> Array:
    """P(candidate i has the least count, and it is k), shape (K, n + 1), of independent counts with ``mass`` of that shape.

    The mass of a row may be below 1: the rest is a count that does not compete. Of equal counts the first is the least.
    """
    from_here = np.cumsum(mass[:, ::-1], axis=1)[:, ::-1]
    above = from_here - mass
    ones = np.ones((1, mass.shape[1]))
    earlier = np.concatenate((ones, np.cumprod(above, axis=0)[:-1]))
    later = np.concatenate((np.cumprod(from_here[::-1], axis=0)[::-1][1:], ones))
    return np.asarray(mass * earlier * later)


def _masses(harms: Array, samples: int) -> Array:
    """Binomial probabilities of the counts 0 .. n, shape (K, n + 1)."""
    k = np.arange(samples + 1)
    ways = special.gammaln(samples + 1) - special.gammaln(k + 1) - special.gammaln(samples - k + 1)
    return np.exp(ways + special.xlogy(k, harms[:, None]) + special.xlog1py(samples - k, -harms[:, None]))


def _selected(harms: Array, samples: int, accepted: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Laws of the choice on the first half of the data, shapes (K,) and (K,): among accepted candidates, and if there are none.

    The choice is the last (best rewarded) candidate whose count is ``accepted``, bool[n + 1]. If there is none, it is the
    candidate with the least count.
    """
    mass = _masses(harms, samples)
    chance = mass[:, accepted].sum(axis=1)
    later_fail = np.append(np.cumprod((1 - chance)[::-1])[::-1][1:], 1.0)
    return chance * later_fail, _least(np.where(accepted, 0.0, mass)).sum(axis=1)


def _accepted(samples: int, tau: float, level: float, kind: Kind, width: float = 1.0) -> NDArray[np.bool_]:
    """Which counts 0 .. n the bound accepts, bool[n + 1]."""
    return _bounds(samples, level, kind, width) <= tau


def _passes(harms: Array, accepted: NDArray[np.bool_]) -> Array:
    """The probability that each candidate passes the test, shape (K,)."""
    samples = accepted.size - 1
    return special.bdtr(np.count_nonzero(accepted) - 1, samples, harms) if accepted.any() else np.zeros(harms.size)


@claim(
    PAPER,
    "guarantee",
    r"\sup_{p > \tau} P_p(U \le \tau) \le \delta",
    kind="high-probability bound",
    source="recalled",
    assumes="independent harms of 0 or 1; U is Hoeffding's bound, the empirical Bernstein bound, or Clopper and Pearson's",
)
@over(kind=VALID, n=(50, 100, 200, 1000), tau=(0.01, 0.05, 0.2, 0.4), delta=0.05)
@over(kind=VALID, n=60, tau=tuple(_critical(60, k, 0.05) for k in (0, 1, 7, 30, 58)), delta=0.05)
@over(kind=VALID, n=(20, 200), tau=Range(0.01, 0.99), delta=(0.01, 0.2), budget=by_profile(quick=20, full=400))
def guarantee(*, kind: Kind, n: int, tau: float, delta: float, spent: float = 1.0, width: float = 1.0) -> Comparison:
    r"""A policy whose mean harm is above the threshold is returned with probability at most delta.

    :math:`U \le \tau < p` is an error of the upper confidence bound. The probability falls with p, so the worst policy is just
    unsafe. Clopper and Pearson's bound attains delta at the thresholds that are values of it. Hoeffding's wastes most of the
    level: at most 0.0063 of 0.05 on the first grid; with tau = 0.01 it returns nothing, even after 1000 samples without harm.
    """
    return at_most(_level(n, tau, spent * delta, kind, width), delta)


guarantee.control(
    "a test at 1.02 delta",
    because="Clopper and Pearson's bound spends all of it",
    on=domain(kind=VALID, n=60, tau=tuple(_critical(60, k, 1.02 * 0.05) for k in (0, 1, 7, 30, 58)), delta=0.05),
    spent=1.02,
)
guarantee.control("0.98 of the width", because="Clopper and Pearson's bound has no width to spare", width=0.98)
guarantee.control(
    "0.65 of Hoeffding's width",
    because="for harms of mean 1/2 that is 1.59 standard deviations, and delta needs 1.64",
    on=domain(kind="hoeffding", n=(1000, 1001), tau=(0.5, 0.51), delta=0.05),
    width=0.65,
)


@claim(
    PAPER,
    "student-guarantee",
    r"\sup_{p > \tau} P_p\Bigl(\bar X + t_{n-1}(1-\delta)\, \frac{s}{\sqrt n} \le \tau\Bigr) \le \delta",
    kind="high-probability bound",
    source="recalled",
    assumes="independent harms of 0 or 1; Student's bound is stated for normal harms, and used for others as an approximation",
    expected="refuted",
    corrected="hc-rlhf/student-normal",
    note="Rare harms break Student's bound. With n = 50 and tau = 1/100 an unsafe policy is returned with probability 0.605 at"
    " delta = 0.05; the probability that no harm is seen is (1 - tau)^n, and then mean, deviation and bound are 0.",
)
@over(n=(50, 100, 200, 1000), tau=(0.01, 0.05, 0.2, 0.4), delta=0.05)
def student_guarantee(*, n: int, tau: float, delta: float, kind: Kind = "student", normal: bool = False) -> Comparison:
    r"""Student's bound, with harms that are rare, returns unsafe policies far more often than it says.

    Harms of 0 or 1 with a small mean are skewed to the right: a sample without the rare harms has a small mean and a small
    deviation together. Exact levels for delta = 0.05 at tau = 0.01: 0.605, 0.366, 0.134 and 0.066 with n = 50, 100, 200 and
    1000; at 0.05: 0.077, 0.118, 0.124 and 0.060. At 0.4 they are between 0.047 and 0.062. A bound that is never above the
    threshold when no harm is seen has at least the level :math:`(1-\tau)^n` (`hc-rlhf/least-bound`).
    """
    if normal:
        return at_most(_normal_return(n, -float(special.stdtrit(n - 1, delta))), delta)
    return at_most(_level(n, tau, delta, kind), delta)


student_guarantee.repair("normal harms", because="then the statistic has Student's law", normal=True)
student_guarantee.repair("Clopper and Pearson's bound", because="it inverts the binomial law", kind="clopper-pearson")


@claim(
    PAPER,
    "student-normal",
    r"\sup_{\mu > \tau} P_\mu\Bigl(\bar X + t_{n-1}(1-\delta)\, \frac{s}{\sqrt n} \le \tau\Bigr) = \delta",
    kind="identity",
    source="derived",
    assumes="independent normal harms with any variance",
)
@over(n=(2, 3, 5, 20, 50, 200, 1000), delta=(0.01, 0.05, 0.2), excess=(0.0, 0.01, 0.3))
def student_normal(
    *, n: int, delta: float, excess: float, quantile: str = "student", lost: int = 1, biased: bool = False
) -> Comparison:
    r"""For normal harms Student's bound has exactly its level, whatever the variance.

    At mean tau the event is that Student's statistic with n - 1 degrees of freedom is at most :math:`-t_{n-1}(1-\delta)`. With
    a larger mean it is less likely. The left side is computed without Student's law, from the normal and the chi law.
    """
    z = -float(special.stdtrit(n - lost, delta) if quantile == "student" else special.ndtri(delta))
    returned = _normal_return(n, z * np.sqrt((n - 1) / n) if biased else z, excess)
    return equal(returned, delta, tolerance=1e-9) if excess == 0 else at_most(returned, delta)


student_normal.control("the normal quantile", because="the deviation is estimated", quantile="normal")
student_normal.control("n degrees of freedom", because="the mean is estimated, too", lost=0)
student_normal.control("a deviation divided by n", because="it is too small on average", biased=True)


@claim(
    PAPER,
    "least-bound",
    r"U(k) \ge U_{CP}(k) \text{ for every valid bound } U \text{ that increases with } k, \qquad"
    r" U_{CP}(0) = 1 - \delta^{1/n}",
    kind="necessity",
    source="derived",
    assumes="independent harms of 0 or 1; k of n are 1; U_CP is Clopper and Pearson's bound",
)
@over(kind=VALID, n=(2, 10, 50, 200), delta=(0.01, 0.05, 0.2))
@over(kind="clopper-pearson", n=1000, delta=0.05)
def least_bound(*, kind: Kind, n: int, delta: float, lower: float = 1.0) -> Comparison:
    r"""Clopper and Pearson's bound is the least valid one, so that no policy can be returned with fewer samples.

    Suppose :math:`U(k) \le \tau < U_{CP}(k)`. A bound that increases accepts 0, ..., k at tau, so that its level is at least
    :math:`P_\tau(X \le k) > P_{U_{CP}(k)}(X \le k) = \delta`. For k = 0: to return a policy at all takes
    :math:`n \ge \ln(1/\delta) / \ln(1/(1-\tau))` samples, 299 for tau = 0.01 and delta = 0.05; with Hoeffding's bound it takes
    :math:`\ln(1/\delta) / (2\tau^2)`, 14979.
    """
    k = np.arange(n)
    bound, least = lower * _bounds(n, delta, kind)[k], _bounds(n, delta, "clopper-pearson")[k]
    parts = [at_least(bound, least), at_least(bound[0], -np.expm1(np.log(delta) / n))]
    if kind == "clopper-pearson":
        parts.append(equal(special.bdtr(k, n, bound), delta, tolerance=1e-9))
        # just below the bound the count is still accepted by any bound that is as much lower, and too often
        parts.append(always(special.bdtr(k, n, least * (1 - 1e-4)) > delta))
    return all_of(*parts)


def _student_below(*, kind: Kind, n: int, delta: float) -> Comparison:
    """Student's bound in place of the valid ones."""
    return at_least(_bounds(n, delta, "student")[:n], _bounds(n, delta, "clopper-pearson")[:n])


least_bound.control("0.9999 of the bounds", because="Clopper and Pearson's bound is the least", lower=0.9999)
least_bound.control("Student's bound", because="it is 0 where no harm was seen, and not valid", check=_student_below)


@claim(
    PAPER,
    "two-stages",
    r"P(\text{the policy returned is unsafe}) \le \delta",
    kind="high-probability bound",
    source="recalled",
    assumes="candidates chosen on one half of the data and tested on the other with a valid bound",
)
@over(
    kind=VALID, harms=[(_critical(100, k, 0.05),) * K for k in (5, 30) for K in (2, 5)], tau=None, n=100, width=(0.0, 1.0, 2.0)
)
@over(kind=VALID, harms=[LADDER], tau=0.2, n=200, width=(0.0, 1.0, 2.0))
@over(
    kind=VALID,
    harms=Range(0.0, 0.6, size=4),
    tau=0.2,
    n=(60, 150),
    width=(0.0, 1.0),
    budget=by_profile(quick=6, full=100),
)
def two_stages(
    *, kind: Kind, harms: tuple[float, ...], tau: float | None, n: int, width: float, split: bool = True, spent: float = 1.0
) -> Comparison:
    r"""Choosing the candidate on other data than those of the test keeps the guarantee, however it is chosen.

    Given the first half, the chosen candidate is fixed, and the test on the second half is a valid one: the probability is
    :math:`\sum_{i\,\text{unsafe}} P(\text{i chosen})\, P_{p_i}(U \le \tau)`. Chosen is the last candidate whose mean plus
    ``width`` times the bound's width is at most tau, or else the one with the least mean. delta = 0.05. Without tau the
    threshold is the common harm of the candidates, who are just unsafe.
    """
    p, delta = np.array(harms), 0.05
    threshold = p[0] if tau is None else tau
    unsafe = p >= threshold if tau is None else p > threshold
    test = _accepted(n, threshold, spent * delta, kind)
    if split:
        chosen, fallback = _selected(p, n, _accepted(n, threshold, delta, kind, width))
        returned = (chosen + fallback) * _passes(p, test)
    else:
        returned = _selected(p, n, test)[0]
    return at_most(returned[unsafe].sum(), delta)


two_stages.control("one half for both", because="the best of several is chosen for passing the test", split=False)
two_stages.control(
    "a test at 1.02 delta",
    because="candidates who are just unsafe spend all of it",
    on=domain(
        kind=VALID, harms=[(_critical(100, k, 1.02 * 0.05),) * 3 for k in (5, 30)], tau=None, n=100, width=(0.0, 1.0, 2.0)
    ),
    spent=1.02,
)


@claim(
    PAPER,
    "split-needed",
    r"P(\text{unsafe policy returned}) = 1 - (1 - \delta)^K \text{ on the same data}, \quad = \delta \text{ on other data}",
    kind="separation",
    source="derived",
    assumes="K just unsafe candidates, independent harms; Clopper and Pearson's bound at a threshold where its level is delta",
)
@over(K=(1, 2, 5, 20), count=(5, 50, 120), n=200, delta=(0.05, 0.01), choice=("rewarded", "safest"))
def split_needed(
    *, K: int, count: int, n: int, delta: float, choice: str, power: float = 1.0, union: bool = False, shared: bool = False
) -> Comparison:
    r"""A test on the data that chose the candidate errs whenever one of K tests errs.

    On the same data a policy is returned if any of the K bounds is at most tau, whether the best rewarded one or the safest one
    of those is chosen. On other data the one chosen is tested alone. With delta = 0.05 that is 0.226 for K = 5 and 0.642 for K
    = 20. Candidates who share their harms lose nothing; K delta is always enough.
    """
    tau = _critical(n, count, delta)
    accepted = _accepted(n, tau, delta, "clopper-pearson")
    harms = np.full(K, tau)
    mass = _masses(harms, n)
    safest = _least(mass)
    chosen, fallback = _selected(harms, n, accepted)
    reuse = float(chosen.sum() if choice == "rewarded" else safest[:, accepted].sum())
    law = chosen + fallback if choice == "rewarded" else safest.sum(axis=1)
    if shared:
        reuse = float(_passes(harms, accepted)[0])
    formula = K * delta if union else -np.expm1(power * K * np.log1p(-delta))
    return all_of(
        same_data=equal(reuse, formula, tolerance=1e-9), other_data=equal(law @ _passes(harms, accepted), delta, tolerance=1e-9)
    )


split_needed.control("the exponent 0.999 K", because="it is an identity", power=0.999)
split_needed.control("K delta", because="two candidates may pass together", union=True)
split_needed.control("candidates who share their harms", because="then they pass together", shared=True)


def _outcomes(harms: Array, n: int, tau: float, kind: Kind, width: float, fallback: str) -> Array:
    """P(candidate i is returned), shape (K,), with n samples in each half and delta = 0.05."""
    chosen, other = _selected(harms, n, _accepted(n, tau, 0.05, kind, width))
    if fallback == "first":
        other = np.eye(1, harms.size)[0] * other.sum()
    elif fallback == "none":
        other = np.zeros(harms.size)
    return (chosen + other) * _passes(harms, _accepted(n, tau, 0.05, kind))


@claim(
    PAPER,
    "pessimism-helps",
    r"P(\text{a policy is returned}) \text{ does not fall with the width } c \text{ of the bound that candidates must meet}",
    kind="inequality",
    source="derived",
    assumes="more rewarded candidates are more harmful; if none meets the bound, the one with the least mean, or the least"
    " rewarded one, is tested",
)
@over(harms=[LADDER], kind=VALID, n=200, tau=0.2, fallback=("safest", "first"))
@over(
    harms=Range(0.0, 0.5, size=4),
    kind=VALID,
    n=(30, 150),
    tau=(0.1, 0.3),
    fallback=("safest", "first"),
    budget=by_profile(quick=6, full=100),
)
def pessimism_helps(
    *, harms: tuple[float, ...], kind: Kind, n: int, tau: float, fallback: str, order: str = "sorted", nothing: bool = False
) -> Comparison:
    r"""The more pessimistic the choice of the candidate, the more likely it passes the test.

    On the same data a wider bound accepts fewer candidates, so that the last one accepted is an earlier one, and safer. If it
    accepts none of those that a narrower bound accepted, the candidate with the least mean was one of them, and so not after
    the last. The candidate chosen thus moves down the order with the width, for every sample.

    On the ladder of ten harms from 0.1 to 0.3 with tau = 0.2, n = 200 and Hoeffding's bound, the probability is 0.004, 0.512
    and 0.617 for widths 0, 1 and 2 (0.088, 0.546 and 0.906 with Clopper and Pearson's). Twice Hoeffding's width accepts a
    candidate with probability 4e-5: its gain is that of the candidate tested instead.
    """
    p = np.sort(np.array(harms))
    if order == "swapped":
        p[[-2, -1]] = p[[-1, -2]]
    rate = [_outcomes(p, n, tau, kind, c, "none" if nothing else fallback).sum() for c in (0.0, 0.5, 1.0, 1.5, 2.0)]
    return at_most(rate[:-1], rate[1:], slack=1e-12)


pessimism_helps.control(
    "the two most harmful candidates change places",
    because="then a wider bound may turn to a more harmful one",
    on=domain(harms=[(0.25, 0.25, 0.25, 0.295)], kind="clopper-pearson", n=150, tau=0.3, fallback=("safest", "first")),
    order="swapped",
)
pessimism_helps.control("no candidate instead", because="where none meets the bound, no policy is returned", nothing=True)


@claim(
    PAPER,
    "pessimism-gain",
    r"P_{c=2}(\text{a policy is returned}) \ge 10\, P_{c=0}(\text{a policy is returned})",
    kind="mechanism",
    source="derived",
    assumes="ten candidates worth 0, ..., 9 with harms from 0.1 to 0.3 in equal steps, tau = 0.2, n = 200 in each half; if none"
    " meets the bound, the one with the least mean, or the least rewarded one, is tested",
)
@over(kind=VALID, fallback=("safest", "first"))
def pessimism_gain(*, kind: Kind, fallback: str, times: float = 10.0) -> Comparison:
    """A candidate chosen with twice the width passes far more often than one chosen by the plain mean.

    The best rewarded candidate whose mean is at most tau sits at tau, and a test of the same threshold on fresh data seldom
    passes it: 0.004 with Hoeffding's bound, against 0.617 with twice the width; 0.0008 against 0.377 with the empirical
    Bernstein bound, 0.088 against 0.906 with Clopper and Pearson's. With Hoeffding's bound the gain needs a candidate in
    reserve.
    """
    plain, doubled = (_outcomes(np.array(LADDER), 200, 0.2, kind, c, fallback).sum() for c in (0.0, 2.0))
    return at_least(doubled, times * plain)


pessimism_gain.control("10.5 times", because="Clopper and Pearson's bound passes 0.09 of the plain choices", times=10.5)
pessimism_gain.control(
    "no candidate in reserve", because="twice Hoeffding's width accepts almost none", on=domain(kind=VALID, fallback="none")
)


@claim(
    PAPER,
    "pessimism-price",
    r"\mathbb{E}[\text{reward returned}] \text{ is larger at width 1 than at widths 0 and 2}",
    kind="mechanism",
    source="derived",
    assumes="ten candidates worth 0, ..., 9 with harms from 0.1 to 0.3 in equal steps, tau = 0.2, n = 200 in each half",
)
@over(kind=VALID, fallback=("safest", "first"))
def pessimism_price(*, kind: Kind, fallback: str, width: float = 1.0, narrow: float = 0.0, reverse: bool = False) -> Comparison:
    """Pessimism has a price: twice the width of the bound costs reward, and so does leaving the bound out.

    With the candidate of least mean in reserve, the expected rewards for widths 0, 1 and 2 are 0.012, 0.141 and 0.078 with
    Hoeffding's bound, 0.002, 0.037 and 0.031 with the empirical Bernstein bound, and 0.298, 0.962 and 0.467 with Clopper and
    Pearson's. Half the width is better than the whole with the empirical Bernstein bound. With the least rewarded candidate in
    reserve, twice the width of Hoeffding's bound earns less than 1e-6.
    """
    worth = np.arange(10)[::-1] if reverse else np.arange(10)
    harms = np.array(LADDER)
    rewards = [_outcomes(harms, 200, 0.2, kind, c, fallback) @ worth for c in (narrow, width, 2.0)]
    return at_most([rewards[0], rewards[2]], [rewards[1], rewards[1]])


pessimism_price.control(
    "1.5 times the width", because="if the least rewarded is tested instead, hardly any reward is left", width=1.5
)
pessimism_price.control(
    "half the width in place of none", because="it is better with the empirical Bernstein bound", narrow=0.5
)
pessimism_price.control("the safest candidate is worth most", because="then there is no price to pay", reverse=True)
