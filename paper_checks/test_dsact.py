r"""DSAC with three refinements (Duan, Wang et al. 2023): what noise does to critics, exactly, and what networks do.

Notation: n actions, m critics, noise of standard deviation s, independent and normal; e_k is the expectation of the largest
of k standard normal numbers (e_2 = 1/sqrt(pi)), and c(n, m) that of max_{i <= n} min_{j <= m} of n m of them. A critic (mu,
sigma) fits N(mu, sigma^2) to the return.

The paper argues that a critic of the return's law overestimates less, since its mean moves by steps divided by sigma^2; the
exact claims say for how long that is so, and what the third refinement does to it. The claims about networks train them on a
CPU and compare with the exact optimum; those say plainly what was trained.
"""

import functools
import math
from math import comb
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from experiments.neural_overestimation import instance, predicted_bias, setting, stacked
from mdplab import neural
from mdplab.learning.distributional_critic import (
    double_estimate,
    error_std,
    noisy_fixed_point,
    noisy_maximum,
    scaled_critics,
    target_moments,
)
from mdplab.models import TabularMDP, dirichlet_mdp, garnet, model_family, tied_optima, two_state
from mdplab.solvers import evaluate_policy, return_variance, solve
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
    less_on_average,
    over,
    violation_rate,
)
from theory.order_statistics import expected_maximum_of_minima, expected_normal_maximum
from theory.random_streams import run_seeds

if TYPE_CHECKING:
    from mdplab.neural.training import Training

Array = NDArray[np.float64]
Device = Literal["any", "gpu"]

PAPER = Paper(
    key="dsact",
    title="Distributional Soft Actor-Critic with Three Refinements",
    authors="Duan, Wang, Xiao, Gao, Li, Liu, Li",
    year=2023,
    theme="neural",
    arxiv="2310.05858",
)

# The fewest tied actions for which the minimum of m critics overestimates.
FEWEST = {1: 2, 2: 3, 3: 5, 4: 11, 5: 21, 6: 40}


@model_family(S=1, n=1)
def tied_actions(S: int = 3, n: int = 4, gamma: float = 0.9, seed: int = 0) -> TabularMDP:
    """A random Markov reward process whose states have n copies of their one action."""
    chain = dirichlet_mdp(S=S, A=1, gamma=gamma, concentration=0.3, seed=seed)
    P, r = chain.dense()
    return TabularMDP.from_dense(np.repeat(P, n, axis=1), np.repeat(r, n, axis=1), gamma)


def _policy(mdp: TabularMDP, seed: int) -> Array:
    """A random policy, (N,)."""
    weights = np.random.default_rng([seed, 5]).exponential(size=mdp.pairs)
    return np.asarray(weights / np.add.reduceat(weights, mdp.state_pointer[:-1])[mdp.pair_state])


# -- the maximum of noisy critics ---------------------------------------------------------------------------------------------


@claim(
    PAPER,
    "overestimation-exact",
    r"\mathbb{E} \max_{a \le n} \min_{j \le m} s\, \epsilon_{aj} = s \sum_{k=1}^{n} \binom{n}{k} (-1)^k e_{km}, \qquad"
    r" e_2 = \tfrac{1}{\sqrt\pi},\ e_3 = \tfrac{3}{2 \sqrt\pi},\ e_4 = \tfrac{6 \arctan \sqrt 2}{\pi \sqrt\pi}",
    kind="identity",
    source="derived",
    assumes="n actions of the same value; independent normal errors; m = 1 an ordinary critic, m = 2 the twins",
    note="c(n, 2) = -0.5642, -0.0990, 0.1284, 0.2743, 0.5846 for n = 1, 2, 3, 4, 8.",
)
@over(n=(1, 2, 3, 4, 6, 8), m=(1, 2, 3, 4), std=(0.1, 1.0, 5.0))
def overestimation_exact(*, n: int, m: int, std: float, stretch: float = 1.0, naive: float = 0.0, more: int = 0) -> Comparison:
    r"""By how much the maximum over tied actions of the minimum of m noisy critics is biased, three ways.

    The maximum of n numbers is the alternating sum of the minima over all subsets of them, and a minimum over k actions of
    minima of m normal numbers is that of k m of them: :math:`-e_{km}`. The other two ways integrate the density of the
    maximum, and its distribution function. For m = 1, n = 1 and m = n = 2 the constants have closed forms.
    """
    alternating = -sum(comb(n, k) * (-1) ** (k + 1) * expected_normal_maximum(m * k) for k in range(1, n + 1))
    root = math.sqrt(math.pi)
    closed = {1: 0.0, 2: 1 / root, 3: 1.5 / root, 4: 6 * math.atan(math.sqrt(2)) / (math.pi * root)}
    known = closed.get(n) if m == 1 else -closed[m] if n == 1 else closed[4] - 2 * closed[2] if n == m == 2 else None
    bias = stretch * std * expected_maximum_of_minima(n, m + more)
    bias += naive * std * (expected_normal_maximum(n) - expected_normal_maximum(m) - expected_maximum_of_minima(n, m))
    return all_of(
        inclusion=equal(bias, std * alternating, tolerance=1e-11, scale=std),  # 2^8 terms of rounded numbers
        distribution=equal(bias, noisy_maximum(np.zeros(n), std, members=m), tolerance=1e-9, scale=std),
        closed=equal(bias, std * (alternating if known is None else known), tolerance=1e-11, scale=std),
    )


overestimation_exact.control(
    "the gain of the maximum less the loss of the minimum", because="e_n - e_m is right for n = 1 or m = 1 alone", naive=1.0
)
overestimation_exact.control("half a per cent more", because="the constants are exact", stretch=1.005)
overestimation_exact.control("one critic more", because="each further critic lowers the minimum", more=1)


@claim(
    PAPER,
    "twin-sign",
    r"\mathbb{E} \max_{a \le n} \min_{j \le m} \epsilon_{aj} < 0 \text{ for } n \le m, \qquad < 0 \iff n < n_m,"
    r"\quad (n_2, \dots, n_6) = (3, 5, 11, 21, 40)",
    kind="separation",
    source="derived",
    assumes="n actions of the same value; independent normal errors of m critics",
    note="The twin minimum does not always underestimate: with three or more tied actions the maximum over the actions"
    " outweighs it.",
)
@over(m=(2, 3, 4, 5, 6))
def twin_sign(*, m: int, later: int = 0, believed: str = "") -> Comparison:
    r"""The minimum of two critics overestimates as soon as three actions are tied; it takes about 2^m ln 2 of them to
    outweigh m critics.

    For n = m the matrix of errors has the law of minus its transpose, so that the maximum of minima has the law of minus the
    minimum of maxima, and is at most that, surely: its mean is at most 0, and below it as both differ. It grows with n. The
    minimum of m critics has the median 0 with probability :math:`1 - 2^{-m}` below, which n actions outweigh when :math:`(1 -
    2^{-m})^n < 1/2`, nearly.

    The integrals are exact to about 1e-12; the value nearest to 0 is 1.1e-5, at n = 40, m = 6.
    """
    first = FEWEST[m] + later
    values = np.array([expected_maximum_of_minima(n, m) for n in range(1, first + 1)])
    over = values[-1] < 0 if believed == "never" else values[-1] > 1e-9
    return all_of(
        grows=always(np.diff(values) > 0, "in the number of actions"),
        under=always(values[:-1] < -1e-9, "underestimates with fewer actions"),
        over=always(over, "overestimates from then on"),
    )


twin_sign.control("the minimum never overestimates", because="it does with n_m tied actions", believed="never")
twin_sign.control("one action earlier", because="n_m - 1 tied actions are still underestimated", later=-1)
twin_sign.control("one action later", because="n_m tied actions are overestimated already", later=1)


@claim(
    PAPER,
    "bias-fixed-point",
    r"Q_s(s, a) - Q^\star(s, a) = \frac{\gamma\, s\, c(n, m)}{1 - \gamma}, \qquad Q_s = r + \gamma P\, \mathbb{E} \max_a"
    r" \min_j (Q_s + s\, \epsilon_{aj})",
    kind="identity",
    source="derived",
    assumes="n copies of every action; fresh noise in every backup",
    note="gamma = 0.9, s = 0.5, one critic and n = 4: 4.632.",
)
@over(
    tied_actions.sweep(n=(1, 2, 3, 4, 8), gamma=(0.5, 0.9), draws=by_profile(quick=1, full=5)),
    m=(1, 2, 3),
    std=0.5,
)
def bias_fixed_point(mdp: TabularMDP, *, m: int, std: float, power: float = 1.0, fewer: int = 0) -> Comparison:
    """Bootstrapping multiplies the bias of one target by gamma / (1 - gamma): where actions are tied, whatever the kernel.

    The operator commutes with constants: if b is the bias everywhere, a backup makes it gamma (b + s c). The noise enters the
    target alone, so that the first step's bias is gamma s c already, not s c.
    """
    n = mdp.pairs // mdp.states
    plain = evaluate_policy(mdp, np.arange(mdp.states) * n)
    biased = noisy_fixed_point(mdp, std, members=m)
    expected = mdp.gamma**power / (1 - mdp.gamma) * std * expected_maximum_of_minima(max(n - fewer, 1), m)
    slack = (plain.error + 2e-9) / (1 - mdp.gamma)  # the iteration stops at 1e-9
    return equal(biased.ravel() - plain.q, expected, tolerance=slack, scale=1.0)


bias_fixed_point.control("no gamma in the numerator", because="the noise enters the target, which is discounted", power=0.0)
bias_fixed_point.control("one action fewer", because="each action adds to the maximum", fewer=1)


@claim(
    PAPER,
    "bias-range",
    r"-\frac{\gamma\, s\, e_m}{1 - \gamma} \le Q_s - Q^\star \le \frac{\gamma\, s\, c(n, m)}{1 - \gamma}",
    kind="inequality",
    source="derived",
    assumes="any model with n actions in every state; the minimum of m critics with fresh noise in every backup",
    note="With n <= m the right side is negative: on no model does the minimum then overestimate. Ties attain it.",
)
@over(
    dirichlet_mdp.sweep(S=5, A=(2, 4), gamma=0.9, concentration=0.3, draws=by_profile(quick=1, full=20)),
    m=(1, 2, 3),
    std=by_profile(quick=(0.01, 1.0), full=(0.01, 0.3, 1.0, 3.0)),
)
@over(tied_actions.sweep(n=(2, 3, 4)), m=(1, 2, 3), std=(0.3,))
@over(tied_optima.sweep(S=4, A=3, gamma=0.9, draws=by_profile(quick=1, full=20)), m=(1, 2), std=(0.01, 0.1))
@over(
    two_state.sweep(gamma=0.9, stay=Range(0.0, 1.0, size=4), reward=Range(-1.0, 1.0, size=4)),
    m=(1, 2),
    std=Range(0.01, 3.0),
    budget=by_profile(quick=16, full=400),
)
def bias_range(mdp: TabularMDP, *, m: int, std: float, lower: float = 1.0, upper: str = "tied") -> Comparison:
    r"""No model is overestimated by more than one with tied actions, nor underestimated by more than one with a single action.

    For any numbers :math:`\max_a (q_a + u_a) \le \max q + \max u`, and it is at least u at the best action plus max q. So a
    backup at Q* + b is at most Q* + gamma (b + s c(n, m)) and at least Q* + gamma (b - s e_m), and monotone operators keep
    such bounds.
    """
    n = mdp.pairs // mdp.states
    optimum = solve(mdp, tol=1e-10)
    q = mdp.reward + mdp.gamma * mdp.transition_matrix() @ optimum.value
    bias = noisy_fixed_point(mdp, std, members=m).ravel() - q
    later = mdp.gamma / (1 - mdp.gamma) * std
    slack = 2e-9 + optimum.width
    top = 0.0 if upper == "none" and m > 1 else expected_maximum_of_minima(n + (upper == "fewer") * (1 - n), m)
    return all_of(
        upper=at_most(bias, later * top, slack=slack),
        lower=at_most(-bias, lower * later * expected_normal_maximum(m), slack=slack),
    )


bias_range.control("the minimum never overestimates", because="with four actions of close values it does", upper="none")
bias_range.control("the bound of a single action", because="a maximum over several actions gains from the noise", upper="fewer")
bias_range.control("five per cent less below", because="an action that is far better leaves nothing to choose", lower=0.95)


@claim(
    PAPER,
    "double-estimator",
    r"-\sum_a d_a\, \Phi\Bigl(-\frac{d_a}{\sqrt 2\, s}\Bigr) \le \mathbb{E}\, q_2(\arg\max q_1) - \max_a \mu_a \le 0,"
    r"\qquad d_a = \max \mu - \mu_a",
    kind="inequality",
    source="derived",
    assumes="independent normal errors; both sides are 0 for ties, and the left one is attained for two actions",
)
@over(gaps=Range(0.0, 3.0, size=2), std=Range(0.05, 2.0), budget=by_profile(quick=60, full=600))
@over(gaps=[(0.0, 0.0), (0.0, 100.0), (0.5, 100.0), (1.0, 100.0)], std=(0.5, 1.0))
def double_estimator(*, gaps: tuple[float, float], std: float, share: float = 1.0, double: bool = True) -> Comparison:
    r"""Choosing by one critic and evaluating by another is unbiased for ties, and never overestimates.

    The second critic is independent of the choice: the expectation is :math:`\sum_a P(a = \arg\max q_1) \mu_a`, and a is
    chosen only if it beats the best action, whose noisy difference has the standard deviation sqrt(2) s.
    """
    from scipy.special import ndtr

    means = np.array([0.0, -gaps[0], -gaps[1]])
    found = double_estimate(means, std) if double else float(noisy_maximum(means, std))
    loss = -means @ ndtr(means / (math.sqrt(2) * std))
    return all_of(
        never_over=at_most(found, 0.0, slack=1e-10),
        not_far_under=at_most(-found, share * loss, slack=1e-10),
    )


double_estimator.control("one critic for both", because="the maximum of a noisy critic overestimates", double=False)
double_estimator.control("one per cent less loss", because="two actions attain the bound", share=0.99)


# -- steps divided by the variance --------------------------------------------------------------------------------------------


def _follow(step: float, noise: float, steps: int) -> float:
    """The standard deviation of the error of a mean after ``steps`` constant steps from the truth, variance by variance."""
    variance = 0.0
    for _ in range(steps):
        following = (1 - step) ** 2 * variance + step**2 * noise**2
        if following == variance:
            break
        variance = following
    return math.sqrt(variance)


@claim(
    PAPER,
    "one-step-vs-stationary",
    r"\frac{\Delta_{1}^{\sigma}}{\Delta_{1}} = \frac{1}{\sigma^2}, \qquad \frac{\Delta_{\infty}^{\sigma}}{\Delta_{\infty}}"
    r" = \sqrt{\frac{2 - \beta}{\sigma^2 (2 - \beta/\sigma^2)}} \in \Bigl[\frac{\sqrt{1 - \beta/2}}{\sigma},"
    r" \frac1\sigma\Bigr]",
    kind="deterministic rate",
    source="derived",
    assumes=r"means follow targets of standard deviation \sigma \ge 1 by the steps \beta / \sigma^2 (distributional) and"
    r" \beta; n tied actions",
    note="The papers' 1/sigma^2 is that of one step from the truth; at a constant rate it decays to 1/sigma.",
)
@over(sigma=(1.0, 1.5, 2.0, 4.0, 8.0), beta=(0.02, 0.1, 1.0), n=4)
def one_step_vs_stationary(
    *, sigma: float, beta: float, n: int, at_first: float = 2.0, believed: str = "", exact: bool = True
) -> Comparison:
    r"""Dividing the steps by sigma^2 divides the overestimation by sigma^2 after one step, but only by sigma in the long run.

    The error of the mean follows :math:`e \leftarrow (1 - b) e + b \epsilon`, whose variance goes from :math:`b^2 \sigma^2`
    to :math:`b \sigma^2 / (2 - b)`: with b = beta / sigma^2 and b = beta the ratios are :math:`\sigma^{-4}` and the square
    above. Errors are normal, so that the maximum over n tied actions is biased by e_n standard deviations. In between the
    ratio rises: a smaller step also forgets more slowly.
    """
    times = (1, 2, 5, 20, 100, 100_000)
    slow = np.array([float(noisy_maximum(np.zeros(n), _follow(beta / sigma**2, sigma, t))) for t in times])
    fast = np.array([float(noisy_maximum(np.zeros(n), _follow(beta, sigma, t))) for t in times])
    ratio = slow / fast
    limit = math.sqrt((2 - beta) / (sigma**2 * (2 - beta / sigma**2))) if exact else 1 / sigma
    limit = sigma**-2.0 if believed == "square" else limit
    known = [error_std(beta / sigma**2, sigma, t) / error_std(beta, sigma, t) for t in times]
    return all_of(
        one_step=equal(ratio[0], sigma**-at_first, tolerance=1e-8, scale=1.0),
        stationary=equal(ratio[-1], limit, tolerance=1e-6, scale=1.0),  # 10^5 steps of 10^-4 leave e^-20 of the distance
        between=equal(ratio, known, tolerance=1e-8, scale=1.0),
        rises=at_least(np.diff(ratio), 0.0, slack=1e-8),
        above=at_least(ratio[-1], math.sqrt(1 - beta / 2) / sigma, slack=1e-6),
        below=at_most(ratio[-1], 1 / sigma, slack=1e-6),
    )


one_step_vs_stationary.control(
    "1 / sigma^2 at stationarity", because="small steps average over longer times, but forget more slowly", believed="square"
)
one_step_vs_stationary.control("1 / sigma after one step", because="one step from the truth is all noise", at_first=1.0)
one_step_vs_stationary.control("1 / sigma exactly", because="that is the limit of small rates only", exact=False)


@claim(
    PAPER,
    "adjustment-equalises",
    r"\mathrm{Var}\, e_i = \frac{\beta \omega}{2 - \beta \omega / \sigma_i^2}, \qquad"
    r" \frac1N \sum_i \mathrm{Var}\, e_i^{\text{ordinary}} = \frac{\beta \omega}{2 - \beta}, \qquad \omega = \frac1N \sum_i"
    r" \sigma_i^2",
    kind="identity",
    source="derived",
    assumes=r"stationary errors of means that follow targets of standard deviations \sigma_i by the steps \beta \omega /"
    r" \sigma_i^2 (DSAC-T) and \beta",
    note="The third refinement undoes what the first version gains by its small steps: with the same sigma everywhere the"
    " critic is the ordinary one.",
)
@over(sigma=Range(0.5, 5.0, size=4), beta=(0.01, 0.1), budget=by_profile(quick=12, full=300))
@over(sigma=[(3.0, 3.0, 3.0, 3.0), (1.0, 1.0, 1.0, 10.0)], beta=(0.01, 0.02))
def adjustment_equalises(*, sigma: tuple[float, ...], beta: float, adjusted: bool = True, doubled: float = 2.0) -> Comparison:
    r"""Multiplied by omega, the steps divided by the variance spread the same noise evenly over the pairs; they do not lower
    it.

    The step of pair i is :math:`b_i = \beta \omega / \sigma_i^2` and its error has the variance :math:`b_i \sigma_i^2 / (2 -
    b_i)`: nearly the same beta omega / 2 for every pair, which is nearly the average of the ordinary critic's :math:`\beta
    \sigma_i^2 / (2 - \beta)`. Without omega it would be beta / 2, whatever the noise.
    """
    spread = np.array(sigma)
    omega = float((spread**2).mean())
    steps = beta * (omega if adjusted else 1.0) / spread**2
    if steps.max() >= 1.9:  # such a pair does not settle, for which the refinement has no remedy
        spread = np.maximum(spread, spread.max() / 2)
        omega = float((spread**2).mean())
        steps = beta * (omega if adjusted else 1.0) / spread**2
    found = np.array([_follow(b, s, 200_000) for b, s in zip(steps, spread)]) ** 2
    ordinary = np.array([_follow(beta, s, 200_000) for s in spread]) ** 2
    size = beta * omega
    return all_of(
        each=equal(found, size / (doubled - beta * omega / spread**2), tolerance=1e-9, scale=size),
        average=equal(ordinary.mean(), size / (doubled - beta), tolerance=1e-9, scale=size),
    )


adjustment_equalises.control("without omega", because="the first version's error is beta / 2 for every sigma", adjusted=False)
adjustment_equalises.control("two per cent more", because="the variances are exact", doubled=2.04)


# -- rewards multiplied by a constant -----------------------------------------------------------------------------------------


@claim(
    PAPER,
    "scale-equivariance",
    r"\bigl(\mu^{(c)}_t,\ \sigma^{(c)}_t\bigr) = c\, \bigl(\mu^{(1)}_t,\ \sigma^{(1)}_t\bigr) \quad \text{for all } t"
    r" \text{ and } c > 0",
    kind="identity",
    source="derived",
    assumes="tables; stochastic gradient steps on mu and sigma, weighted by omega; a clip in units of the average sigma;"
    " sigma begins in units of c",
    note="Not so for log sigma as the parameter, for Adam's steps, nor with a constant beside sigma^2 in the denominators.",
)
@over(c=(0.01, 0.1, 10.0, 1000.0), gamma=(0.5, 0.9), instance=by_profile(quick=(0, 1), full=tuple(range(10))))
def scale_equivariance(
    *,
    c: float,
    gamma: float,
    instance: int,
    seed: int,
    steps: int = by_profile(quick=300, full=3000),
    variant: str = "adjusted",
) -> Comparison:
    r"""The third refinement makes learning the same in every unit of reward, step by step, if the steps are those of the
    gradient.

    mu and sigma are in units of c. So is :math:`\omega (y - \mu) / \sigma^2`, as omega and sigma^2 are in units of c^2; and
    :math:`\omega (\delta^2 - \sigma^2) / \sigma^3` as well. The first version has omega = 1: its steps are of size 1/c and
    its clip of size 1.

    The gradient in log sigma, :math:`\omega (\delta^2 - \sigma^2)/\sigma^2`, is of size c^2, where the parameter is of size
    1; and a step of Adam has the same size whatever c is.
    """
    mdp = dirichlet_mdp(S=4, A=2, gamma=gamma, concentration=0.3, seed=instance + 100 * seed % 10**6)
    policy = _policy(mdp, seed)
    mean, spread = scaled_critics(mdp, policy, c, seed, steps=steps, variant=variant)  # type: ignore[arg-type]
    reference = scaled_critics(mdp, policy, 1.0, seed, steps=steps, variant=variant)  # type: ignore[arg-type]
    return all_of(mean=equal(mean, reference[0], tolerance=1e-10), spread=equal(spread, reference[1], tolerance=1e-10))


_TENFOLD = domain(c=(10.0,), gamma=0.9, instance=(0,))
scale_equivariance.control(
    "the first version", because="it has no omega, and clips at a fixed distance", variant="plain", on=_TENFOLD
)
scale_equivariance.control(
    "a fixed clip", because="targets of sigma grow with c and are cut off", variant="fixed clip", on=_TENFOLD
)
scale_equivariance.control("omega an average of sigma", because="steps are then of size 1", variant="root", on=_TENFOLD)
scale_equivariance.control(
    "0.1 beside sigma^2", because="the constant against division by zero has a unit", variant="constant", on=_TENFOLD
)
scale_equivariance.control("signs of the gradients", because="steps of a fixed size have a unit", variant="signs", on=_TENFOLD)
scale_equivariance.control(
    "log sigma as the parameter",
    because="its gradient is of size c^2",
    variant="logarithm",
    on=domain(c=(0.1,), gamma=0.9, instance=(0,)),
)


# -- the mean in place of the sampled return ----------------------------------------------------------------------------------


def _mixture_moments(mdp: TabularMDP, policy: Array, mu: Array, sigma: Array, noise: float) -> tuple[Array, Array]:
    """The mean and variance of r + gamma Z(s', a'), by Gauss-Hermite quadrature over Z for each (s', a')."""
    x, weights = np.polynomial.hermite_e.hermegauss(8)
    weights = weights / weights.sum()
    chain = mdp.transition_matrix().toarray()[:, mdp.pair_state] * policy  # (N, N)
    values = mdp.gamma * (mu[:, None] + sigma[:, None] * x)  # (N, 8)
    joint = chain[:, :, None] * weights
    first = np.einsum("ijk,jk->i", joint, values)
    second = (joint * (values - first[:, None, None]) ** 2).sum(axis=(1, 2))
    return mdp.reward + first, noise + second


@claim(
    PAPER,
    "evs-variance",
    r"\mathbb{E} y_z = \mathbb{E} y, \qquad \mathrm{Var}\, y_z - \mathrm{Var}\, y = \gamma^2\, \mathbb{E}_{s',"
    r" a'}[\sigma(s', a')^2]",
    kind="identity",
    source="derived",
    assumes=r"y_z = r + \gamma Z(s', a'),\ Z \sim N(\mu, \sigma^2);\ y = r + \gamma \mu(s', a'); \text{ any model, policy"
    r" and critic}",
)
@over(
    garnet.sweep(S=(2, 6), A=3, b=2, gamma=(0.5, 0.99), draws=by_profile(quick=3, full=20)),
    spread=(0.0, 0.1, 10.0),
)
def evs_variance(mdp: TabularMDP, *, spread: float, seed: int, power: float = 2.0, own: bool = False) -> Comparison:
    """Putting the mean in the place of the sampled return leaves the target's expectation, and takes the critic's own
    variance out of it.

    The law of total variance, given the next pair. Quadrature over the return decides the left sides, sums over pairs the
    right ones.
    """
    rng = np.random.default_rng(seed)
    policy, mu, sigma = _policy(mdp, seed), rng.normal(size=mdp.pairs), spread * rng.exponential(size=mdp.pairs)
    mean, variance = _mixture_moments(mdp, policy, mu, sigma, 0.3)
    substituted = target_moments(mdp, policy, mu, sigma, 0.3, "substituted")
    chain = mdp.transition_matrix().toarray()[:, mdp.pair_state] * policy
    saved = mdp.gamma**power * (sigma**2 if own else chain @ sigma**2)
    size = 1 + float(variance.max())
    return all_of(
        expectation=equal(mean, substituted.mean, tolerance=1e-12, scale=size),
        variance=equal(variance - substituted.variance, saved, tolerance=1e-12, scale=size),
        sampled=equal(variance, target_moments(mdp, policy, mu, sigma, 0.3).variance, tolerance=1e-12, scale=size),
    )


evs_variance.control("gamma in place of gamma^2", because="a variance is quadratic", power=1.0)
evs_variance.control("the pair's own sigma", because="it is the next pair's return that is drawn", own=True)


@claim(
    PAPER,
    "sigma-is-return-variance",
    r"\sigma^2 = \mathrm{Var}_{\sigma}\bigl(r + \gamma Z(s', a')\bigr) \iff \sigma(s, a)^2 = \mathrm{Var}\, G(s, a), \qquad"
    r" \mathrm{Var}\, G = \rho + \gamma^2\, (P \mathrm{Var}' + \mathrm{Var}_P(\text{mean}'))",
    kind="identity",
    source="derived",
    assumes="mu is the policy's exact value; targets of sigma are sampled returns, not clipped; rewards of variance rho",
)
@over(
    dirichlet_mdp.sweep(S=(1, 4), A=2, gamma=(0.5, 0.9), concentration=0.3, draws=by_profile(quick=1, full=20)),
    noise=(0.0, 16.0),
)
@over(garnet.sweep(S=6, A=3, b=2, gamma=0.9, draws=by_profile(quick=2, full=20)), noise=(0.0, 1.0))
def sigma_is_return_variance(
    mdp: TabularMDP, *, noise: float, seed: int, target: str = "sampled", means: float = 1.0
) -> Comparison:
    r"""The critic's variance settles at the exact variance of the return, if its own targets keep the sampled return.

    The map from sigma^2 to the target's variance is a contraction by gamma^2, and its fixed point satisfies the Bellman
    equation of variances. That is why the paper substitutes the mean in the update of mu alone: with y in the update of sigma
    as well, what settles misses :math:`\gamma^2 P \mathrm{Var}'`, which is most of it (a factor 1 - gamma^2 remains if the
    variance is the same everywhere).
    """
    policy = _policy(mdp, seed)
    values = evaluate_policy(mdp, policy)
    exact = return_variance(mdp, policy, noise)
    square = np.zeros(mdp.pairs)
    while True:
        moments = target_moments(mdp, policy, means * values.q, np.sqrt(square), noise, target)  # type: ignore[arg-type]
        change = float(np.abs(moments.variance - square).max())
        square = moments.variance
        if change <= 1e-12 * (1 + square.max()):
            break
    slack = exact.error + change / (1 - mdp.gamma**2) + 1e-10 * (1 + float(exact.pair.max()))
    return equal(square, exact.pair, tolerance=slack, scale=1.0)


sigma_is_return_variance.control(
    "the mean in the update of sigma as well", because="it misses gamma^2 sigma'^2", target="substituted"
)
sigma_is_return_variance.control("means one per cent off", because="their spread over next states counts", means=1.01)


# -- networks -----------------------------------------------------------------------------------------------------------------

TRAINED = (
    "8 states, 4 actions, gamma = 0.9, Dirichlet(0.3) rows, rewards centred so that the optimum's mean is 0, of standard"
    " deviation 4 around their means;"
    " alpha = 0.2; one hidden layer of 32 tanh, Adam 0.003, batches of 64 uniform pairs, averages 0.02; 1000 steps"
)
RUNS = by_profile(quick=20, full=96, gpu=4096)
DEVICE = by_profile(quick="any", full="any", gpu="gpu")
# The settings by name: what they change in the algorithm named first.
SETTINGS: dict[str, tuple[str, dict[str, float]]] = {
    "single SAC": ("single SAC", {}),
    "twin SAC": ("twin SAC", {}),
    "DSAC v1": ("DSAC v1", {}),
    "DSAC-T": ("DSAC-T", {}),
    "substituted sigma": ("DSAC-T", {"substituted": 1.0}),
    "rewards times 8": ("DSAC-T", {"scale": 8.0}),
    "heads times 8": ("DSAC-T", {"scale": 8.0, "units": 1.0}),
    "separate noise": ("twin SAC", {"separate": 1.0}),
}


@functools.lru_cache(maxsize=1)
def _trained(seed: int, runs: int, device: Device) -> "Training":
    """All settings on the same instances, with the same random numbers."""
    seeds = run_seeds(seed, runs)
    hypers = [setting(algorithm, 4.0, **changes) for algorithm, changes in SETTINGS.values()]
    learner = neural.distributional_sac.DistributionalSAC()
    lanes = min(64, runs) * len(hypers) if device == "any" else None
    return neural.training.train(learner, stacked(seeds), seeds, 1000, hypers=hypers, device=device, lanes=lanes)


def _last(name: str, setting: str, seed: int, runs: int, device: Device) -> Array:
    """What was measured at the end of the runs of a setting, (runs,)."""
    found: Array = _trained(seed, runs, device).last(name)[list(SETTINGS).index(setting)]
    return found


@claim(
    PAPER,
    "neural-bias-order",
    r"\mathbb{E}\,|b_{\text{T}}| < \mathbb{E}\,|b_{\text{v1}}|, \qquad b = \operatorname{mean}_{s, a} (q - Q^\star_\alpha)",
    kind="mechanism",
    source="derived",
    assumes=TRAINED,
    expected="refuted",
    corrected="dsact/neural-overestimation",
    note="Expected was single > v1 > T for |b|. Seen is b of about 0.14 (single), -0.09 (twin), 0 (v1) and -0.65 (T).",
    shares="dsact-training",
)
def neural_bias_order(
    *, seed: int, runs: int = RUNS, device: Device = DEVICE, smaller: str = "DSAC-T", larger: str = "DSAC v1"
) -> Comparison:
    """The refinements would bring the critic nearer to the optimum. Trained with Adam, DSAC-T is further away than the first
    version, below it.

    A tolerance claim about trained networks. DSAC-T trades the overestimation of a single critic for an underestimation of
    several times its size. Its critics disagree twice as much as ordinary twins do, of which the exact fixed point makes -0.25;
    the rest was still fading, to about 0.6 of the whole after 2000 steps. With the mean in sigma's target as well, which makes
    sigma small, it is -0.4. Why the rest is there is not known; that sigma's head disturbs the mean, with which it shares a
    layer, is a guess. The first version's bias is near 0 for a bad reason: it overestimates its own policy by 0.9, and that is
    worse by as much.
    """
    return less_on_average(*(np.abs(_last("bias", name, seed, runs, device)) for name in (smaller, larger)))


neural_bias_order.repair(
    "the order that is seen",
    because="the minimum over critics that disagree lowers DSAC-T's",
    smaller="DSAC v1",
    larger="DSAC-T",
)


@claim(
    PAPER,
    "neural-overestimation",
    r"\mathbb{E}\, \operatorname{mean}(q_{\text{single}} - Q^\pi) > 0, \qquad"
    r" \mathbb{E}\, b_{\text{T}} < \mathbb{E}\, b_{\text{twin}} < \mathbb{E}\, b_{\text{single}}",
    kind="mechanism",
    source="derived",
    assumes=TRAINED,
    tests=3,
    shares="dsact-training",
)
def neural_overestimation(
    *,
    seed: int,
    runs: int = RUNS,
    device: Device = DEVICE,
    order: tuple[str, ...] = ("DSAC-T", "twin SAC", "single SAC"),
    measured: str = "single SAC",
) -> Comparison:
    """A single critic overestimates its own policy; the minimum of twins lowers that, and DSAC-T's lowers it further.

    A tolerance claim about trained networks. The differences are paired: the same instances and random numbers.
    """
    bias = [_last("bias", name, seed, runs, device) for name in order]
    own = _last("own_bias", measured, seed, runs, device)
    return all_of(
        over=less_on_average(np.zeros(own.size), own),
        first=less_on_average(bias[0], bias[1]),
        second=less_on_average(bias[1], bias[2]),
    )


neural_overestimation.control(
    "ordinary twins below DSAC-T",
    because="their disagreement is half as large",
    order=("twin SAC", "DSAC-T", "single SAC"),
)
neural_overestimation.control(
    "twins with separate noise overestimate too",
    because="their minimum is below the policy's value",
    measured="separate noise",
)


@claim(
    PAPER,
    "neural-twins-err-together",
    r"P\Bigl(\tfrac{1}{\sqrt 2}\, \mathrm{rms}(q_1 - q_2) > \tfrac13\, \mathrm{std}(q_1 - Q^\pi)\Bigr) \le 0.05, \qquad"
    r" \mathbb{E}\, b_{\text{separate}} + 0.2 \le \mathbb{E}\, b_{\text{twin}}",
    kind="mechanism",
    source="derived",
    assumes=TRAINED + "; separate: each of the twins sees the rewards with a noise of its own",
    note="Twins that learn from the same batches disagree by about a sixth of their error; with separate noise by all of it.",
    tests=2,
    shares="dsact-training",
)
def neural_twins_err_together(
    *, seed: int, runs: int = RUNS, device: Device = DEVICE, together: str = "twin SAC", apart: str = "separate noise"
) -> Comparison:
    """Twin critics share the noise of their batches, so that their minimum takes off a small part of the error.

    A tolerance claim about trained networks. The theory of the minimum takes the errors as independent. What is common to
    both critics passes through the minimum: twins whose rewards have separate noise are biased by about -0.58, as
    `dsact/neural-tabular-prediction` says, twins as they are in practice by about -0.09.
    """
    disagreement = _last("disagreement", together, seed, runs, device) / _last("error", together, seed, runs, device)
    return all_of(
        disagreement=violation_rate(disagreement > 1 / 3, 0.05, alternative=0.9),
        bias=less_on_average(_last("bias", apart, seed, runs, device), _last("bias", together, seed, runs, device), margin=0.2),
    )


neural_twins_err_together.control(
    "separate noise for each critic",
    because="they then disagree by as much as they err",
    together="separate noise",
    apart="DSAC-T",
)
neural_twins_err_together.control(
    "a single critic lower still", because="it overestimates, whatever its noise", apart="single SAC"
)


def _predicted(seed: int, runs: int, device: Device, members: int) -> Array:
    """The mean bias of the fixed point under fresh noise at each run's own disagreement of the averaged critics, (runs,)."""
    noise = _last("averaged", "separate noise", seed, runs, device)
    return np.array([predicted_bias(instance(int(s)), float(std), members) for s, std in zip(run_seeds(seed, runs), noise)])


@claim(
    PAPER,
    "neural-tabular-prediction",
    r"P\Bigl(\tfrac13 \le \frac{b_{\text{separate}}}{\operatorname{mean}(Q_s - Q^\star_\alpha)} \le 3\Bigr) \ge 0.95",
    kind="mechanism",
    source="derived",
    assumes=TRAINED
    + "; twins with separate noise; Q_s the fixed point under fresh noise, s the disagreement of the averaged ones",
    note="On average they agree within a few per cent: -0.57 and -0.57 in the study of 24 runs, and as well at other noises.",
    shares="dsact-training",
)
def neural_tabular_prediction(
    *, seed: int, runs: int = RUNS, device: Device = DEVICE, members: int = 2, backups: bool = True
) -> Comparison:
    r"""The exact fixed point under fresh noise tells the bias of networks whose twins err independently, from their
    disagreement alone.

    A tolerance claim about trained networks. The prediction solves :math:`Q = r + \gamma P M(Q)` on each instance, M being the
    expected soft maximum of the minimum of two critics with normal noise; it takes the noise as fresh in every backup, where
    the networks' lasts for some fifty steps.
    """
    predicted = _predicted(seed, runs, device, members) * (1.0 if backups else 0.1)
    ratio = _last("bias", "separate noise", seed, runs, device) / predicted
    return violation_rate((ratio < 1 / 3) | (ratio > 3), 0.05, alternative=0.9)


neural_tabular_prediction.control("the prediction for one critic", because="that is an overestimation", members=1)
neural_tabular_prediction.control(
    "the bias of a single backup", because="bootstrapping multiplies it by 1 / (1 - gamma)", backups=False
)


@claim(
    PAPER,
    "neural-scale",
    r"\tfrac18\, \mathbb{E}\, \mathrm{gap}_{c = 8} \le \mathbb{E}\, \mathrm{gap}_{c = 1}"
    r" + \tfrac18\, \mathrm{gap}(\text{uniform})",
    kind="mechanism",
    source="derived",
    assumes=TRAINED + "; DSAC-T; rewards, their noise and the temperature multiplied by c",
    expected="refuted",
    corrected="dsact/neural-scale-units",
    note="DSAC-T's gap over c was expected to be flat. It is about 0.4 at c = 1 and 1.3 at c = 8, of 1.5 for the uniform policy.",
    shares="dsact-training",
)
def neural_scale(*, seed: int, runs: int = RUNS, device: Device = DEVICE, scaled: str = "rewards times 8") -> Comparison:
    """The weighted gradient and the proportional clip would make DSAC-T insensitive to the scale of rewards. Where Adam takes the
    steps they do not.

    A tolerance claim about trained networks, against `dsact/scale-equivariance`, which is for gradient steps. A step of Adam
    has the size of its rate whatever the gradient's scale: eight times larger values take eight times as many steps.
    """
    gap = _last("gap", "DSAC-T", seed, runs, device) + _last("uniform", "DSAC-T", seed, runs, device) / 8
    return less_on_average(_last("gap", scaled, seed, runs, device), gap)


neural_scale.repair(
    "the critics' outputs in units of c as well",
    because="then every gradient is multiplied by a constant",
    scaled="heads times 8",
)


@claim(
    PAPER,
    "neural-scale-units",
    r"\bigl(\mathrm{gap},\ b,\ q - Q^\pi,\ q_1 - q_2\bigr)^{(c)}"
    r" = c\, \bigl(\mathrm{gap},\ b,\ q - Q^\pi,\ q_1 - q_2\bigr)^{(1)}",
    kind="identity",
    source="derived",
    assumes=TRAINED + "; DSAC-T with rewards, noise, temperature and the outputs of the critics multiplied by c = 8",
    shares="dsact-training",
)
def neural_scale_units(*, seed: int, runs: int = RUNS, device: Device = DEVICE, scaled: str = "heads times 8") -> Comparison:
    r"""With Adam it is the unit of the outputs that makes learning independent of the scale: mu = c f(s, a), sigma = c g(s, a).

    The loss of DSAC-T is then c^2 times the unscaled one, the actor's c times: every gradient is multiplied by a constant,
    which Adam divides out again. A c that is a power of 2 leaves the roundings alone; what differs is Adam's constant 10^-8
    beside the root of the squared gradient, which training may magnify: 0.02 is allowed, in units of the rewards, and 0.004
    was seen.
    """
    names = ("gap", "bias", "own_bias", "disagreement")
    return equal(
        [_last(name, scaled, seed, runs, device) for name in names],
        [_last(name, "DSAC-T", seed, runs, device) for name in names],
        tolerance=0.02,
        scale=1.0,
    )


neural_scale_units.control("outputs of size 1", because="Adam needs steps in proportion to c", scaled="rewards times 8")


@claim(
    PAPER,
    "neural-variance",
    r"P\Bigl(\mathrm{rms}_{s, a} \bigl(\sigma^2 - \mathrm{Var}\, G^\pi\bigr) > 0.2 \operatorname{mean} \mathrm{Var}\,"
    r" G^\pi\Bigr) \le 0.05",
    kind="mechanism",
    source="derived",
    assumes=TRAINED + "; DSAC-T; G the soft return of the policy at the end, its variance by a linear solve",
    note="The relative error is about 0.07; the average of sigma^2 is 82 where that of the variances is 84.",
    shares="dsact-training",
)
def neural_variance(*, seed: int, runs: int = RUNS, device: Device = DEVICE, learner: str = "DSAC-T") -> Comparison:
    """DSAC-T's sigma^2 is the variance of the return, within 20% over all pairs, in 95% of the runs.

    A tolerance claim about trained networks; `dsact/sigma-is-return-variance` is the exact statement. The first version's
    average of sigma^2 is about 40 by then: its clip at 20 is two standard deviations of the return, and not in units of sigma.
    """
    error = _last("variance_error", learner, seed, runs, device) / _last("true_variance", learner, seed, runs, device)
    return violation_rate(error > 0.2, 0.05, alternative=0.9)


neural_variance.control(
    "the mean in sigma's target as well",
    because="sigma^2 is then about 16, the variance of a reward",
    learner="substituted sigma",
)
neural_variance.control("the first version", because="its sigma^2 is at half of the variance by then", learner="DSAC v1")
