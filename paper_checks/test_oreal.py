r"""OREAL (Lyu et al. 2025): best-of-N sampling with a binary outcome reward, and what cloning its successes amounts to.

Notation: one prompt, responses that succeed (R = 1) or fail (R = 0), p = pi_ref(R = 1), and best of N: draw N responses, keep a
success if there is one, at random. A prompt's law of outcomes is all that differs between best of N and the tilts pi_ref
e^{lambda R}/Z, lambda = 1/beta: given the outcome, all of them have the conditional law of pi_ref. On the scale of log-odds,

    logit(tilt) = logit p + lambda,    logit(best of N) = logit p + u_N(p),    u_N(p) = log sum_{j<N} (1-p)^{-j}.

u_N increases from log N at p = 0 without bound.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit

from bandits.preference.best_of_n import (
    best_of_n,
    best_of_n_divergence_bound,
    best_of_n_success,
    matching_inverse_temperature,
)
from bandits.preference.families import kl_bandit, random_kl_bandit
from bandits.preference.kl_bandit import KLBandit
from bandits.preference.outcome_reward import mean_scores, outcome_gradient
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
)
from theory.divergences import kl
from theory.tilts import log_tilt

Array = NDArray[np.float64]

PAPER = Paper(
    key="oreal",
    title="Exploring the Limit of Outcome Reward for Learning Mathematical Reasoning",
    authors="Lyu, Gao, Gu, W. Zhang et al.",
    year=2025,
    theme="alignment",
    arxiv="2502.06781",
)


@family(K=2)
def graded(K: int = 4, p: float = 0.2, concentration: float = 1.0, seed: int = 0) -> KLBandit:
    """Responses that succeed, with the probability ``p`` in all, or fail; both spread by Dirichlet(``concentration``)."""
    rng = np.random.default_rng(seed)
    success = np.arange(K) < rng.integers(1, K)
    shares = np.maximum(rng.dirichlet(np.full(K, concentration)), 1e-12)
    mass = np.where(success, p / shares[success].sum(), (1 - p) / shares[~success].sum())
    return KLBandit(success.astype(float), np.log(shares * mass), beta=1.0)


GRADED = graded.sweep(
    K=(2, 5, 20), p=(1e-9, 0.01, 0.2, 0.5, 0.9, 0.999), concentration=(0.2, 5.0), draws=by_profile(quick=1, full=10)
)


def _success(bandit: KLBandit, log_policy: Array) -> float:
    return float(np.exp(log_policy)[bandit.reward == 1].sum())


@claim(
    PAPER,
    "bon-is-tilt",
    r"\pi_{\mathrm{BoN}} = \frac{\pi_{\mathrm{ref}} e^{R/\beta}}{Z} \text{ at } \frac1\beta = \ln \frac{1 - (1-p)^N}{p"
    r" (1-p)^{N-1}}, \qquad \pi_{\mathrm{BoN}}(\cdot \mid R = 1) = \pi_{\mathrm{ref}}(\cdot \mid R = 1) = \lim_{\beta \to 0}"
    r" \frac{\pi_{\mathrm{ref}} e^{R/\beta}}{Z}",
    kind="identity",
    source="derived",
    assumes="binary rewards; 0 < p < 1; one prompt",
    note="The form of the paper's lemma. Cloning the successes of best of N learns the limit beta -> 0, whatever N is.",
)
@over(GRADED, N=(1, 2, 4, 16, 64))
def bon_is_tilt(bandit: KLBandit, *, N: int, matched: str = "exact", cold: float = 1e-3) -> Comparison:
    r"""Best of N with a binary reward is an exponential tilt; its successes alone are the tilt at temperature 0.

    Best of N and the tilts leave the conditional laws given success and failure as they are, so one number, the odds of
    success, decides. Those of the tilt are :math:`e^{1/\beta} p/(1-p)`, those of best of N :math:`(1-(1-p)^N)/(1-p)^N`.
    """
    p = _success(bandit, bandit.log_reference)
    kept = best_of_n(bandit.log_reference, bandit.reward, N)
    inverse = {
        "exact": np.log(best_of_n_success(p, N)) - np.log(p) - (N - 1) * np.log1p(-p),
        "log N": np.log(N),
        "one draw more": matching_inverse_temperature(p, N + 1),
    }[matched]
    tilt = log_tilt(bandit.log_reference, inverse * bandit.reward, 1.0)
    success = bandit.reward == 1
    cloned = kept[success] - np.logaddexp.reduce(kept[success])
    frozen = log_tilt(bandit.log_reference, bandit.reward, cold)
    scale = 1.0 + float(np.abs(kept).max())
    parts = {
        "tilt": equal(kept, tilt, tolerance=1e-12, scale=scale),
        "successes": equal(cloned, frozen[success], tolerance=1e-12, scale=scale),
    }
    if matched == "exact":
        parts["sum of powers"] = equal(matching_inverse_temperature(p, N), inverse, tolerance=1e-12, scale=scale)
    return all_of(**parts)


bon_is_tilt.control("1/beta = log N", because="it is so only in the limit p -> 0", matched="log N")
bon_is_tilt.control("N + 1 draws", because="one draw more succeeds more often", matched="one draw more")
bon_is_tilt.control("successes alone as the tilt at beta = 0.1", because="no finite 1/beta leaves all failures out", cold=0.1)


def _mismatch(p: Array, N: int, inverse: float) -> Array:
    """Total variation between best of N and the tilt, for each prompt's probability of success."""
    return np.abs(best_of_n_success(p, N) - expit(logit(p) + inverse))


@claim(
    PAPER,
    "beta-per-prompt",
    r"\min_{\lambda} \max_{i=1,2} \mathrm{TV}(\mathrm{BoN}_i, \pi_{\lambda,i}) \ge \frac{u_N(p_2) - u_N(p_1)}{1/m_1 + 1/m_2},"
    r" \qquad m_i = \min_{\lambda \in \{u_N(p_1), u_N(p_2)\}} \pi_{\lambda,i}(R = 1)\, \pi_{\lambda,i}(R = 0)",
    kind="lower bound",
    source="derived",
    assumes=r"two prompts with probabilities of success p_1 < p_2; \pi_{\lambda,i} the tilt at 1/\beta = \lambda, any real"
    r" number",
    note="No temperature matches best of N on two prompts of different difficulty: at N = 4 it is 0.683, 0.571, 0.369 and"
    " 0.198 for p = 0.05, 0.2, 0.5 and 0.8. On log-odds the best common temperature is off by half the difference of the u_N.",
)
@over(first=(0.01, 0.05, 0.5), second=(0.051, 0.2, 0.8, 0.9), N=(2, 4, 16))
@over(first=Range(0.001, 0.9), second=Range(0.002, 0.95), N=(2, 4), budget=by_profile(quick=60, full=600))
def beta_per_prompt(*, first: float, second: float, N: int, constant: float = 1.0, larger: bool = False) -> Comparison:
    r"""One temperature cannot stand for best of N on prompts of different difficulty.

    A tilt's probability of success grows with lambda at the rate of its variance, which on an interval is at least the smaller
    of the variances at its ends (the logistic density has one peak). For lambda between the two :math:`u_N` the errors are so
    at least :math:`m_1 |\lambda - u_N(p_1)|` and :math:`m_2 |\lambda - u_N(p_2)|`, the larger of which is smallest where they
    are equal; outside one of them is larger still. Near each other, prompts attain the bound.
    """
    p = np.sort([first, second])
    u = matching_inverse_temperature(p, N)
    assert isinstance(u, np.ndarray)
    # the first error falls, the second grows between the two: they cross where the larger one is least
    crossing = u[0]
    if u[1] > u[0]:
        crossing = brentq(lambda x: float(np.diff(_mismatch(p, N, x))[0]), u[0], u[1], xtol=1e-14, rtol=1e-14)
    least = float(_mismatch(p, N, crossing).max())
    variance = expit(logit(p)[:, None] + u) * expit(-logit(p)[:, None] - u)
    m = variance.max(axis=1) if larger else variance.min(axis=1)
    # twice the error of the crossing, and the rounding of probabilities
    return at_least(least, constant * (u[1] - u[0]) / (1 / m).sum(), slack=1e-13)


beta_per_prompt.control("1.05 of the bound", because="prompts that are alike attain it", constant=1.05)
beta_per_prompt.control("the larger of the variances", because="the tilts move more slowly at the other end", larger=True)


@claim(
    PAPER,
    "beta-range",
    r"\ln N + \frac{N-1}{2} \ln \frac{1}{1-p} \le \frac{1}{\beta_N(p)} \le \ln N + (N-1) \ln \frac{1}{1-p}, \qquad"
    r" \frac{1}{\beta_N(p)} \text{ increases} \text{ in } p",
    kind="inequality",
    source="derived",
    assumes=r"1/\beta_N(p) = u_N(p), the temperature of `oreal/bon-is-tilt`",
    note="So the matching temperature is at most 1/log N, and 0 in the limit of easy prompts.",
)
@over(p=(1e-6, 0.05, 0.2, 0.5, 0.8, 0.99), N=(1, 2, 4, 16, 256))
@over(p=Range(1e-6, 0.999), N=(2, 4, 16), budget=by_profile(quick=40, full=400))
def beta_range(*, p: float, N: int, low: float = 0.5, high: float = 1.0) -> Comparison:
    """The easier the prompt, the colder the tilt that best of N is.

    The exponential of u_N is the sum of N powers (1-p)^{-j}, j < N: at most N times the largest, and by the inequality of the
    means at least N times the geometric one. Each of them increases.
    """
    found = np.log(best_of_n_success(p, N)) - np.log(p) - (N - 1) * np.log1p(-p)
    stretch = -(N - 1) * np.log1p(-p)
    nearby = matching_inverse_temperature(np.array([0.99 * p, p]), N)
    assert isinstance(nearby, np.ndarray)
    return all_of(
        low=at_most(np.log(N) + low * stretch, found, slack=1e-14),
        high=at_most(found, np.log(N) + high * stretch, slack=1e-14),
        increasing=at_most(nearby[0], nearby[1], slack=1e-14),
    )


beta_range.control("0.55 in place of 1/2", because="to first order in p it is 1/2", low=0.55)
beta_range.control("0.9 in place of 1", because="for easy prompts the largest power dominates", high=0.9)


@claim(
    PAPER,
    "bon-kl",
    r"\mathrm{KL}(\pi_{\mathrm{BoN}} \| \pi_{\mathrm{ref}}) \le \ln N - \frac{N-1}{N}",
    kind="inequality",
    source="recalled",
    assumes="any rewards, binary or not; ties are broken at random",
    note="Equality for continuous rewards. With binary ones the divergence is at most 0.70, 0.75, 0.82 and 0.91 of it at N ="
    " 2, 4, 16 and 1024.",
)
@over(GRADED, N=(2, 4, 16, 64))
@over(random_kl_bandit.sweep(K=(3, 30, 2000), concentration=(1.0, 100.0)), N=(2, 4, 16))
@over(
    kl_bandit.sweep(reward=[(0.0, 1.0, 2.0)], logits=Range(-8.0, 8.0, size=3)), N=(2, 4), budget=by_profile(quick=60, full=600)
)
def bon_kl(bandit: KLBandit, *, N: int, constant: float = 1.0, loss: float | None = None) -> Comparison:
    r"""Best of N departs from the reference by at most log N - (N-1)/N.

    If the reward is continuous, the rank of the response kept has the density N u^{N-1} on [0, 1], whose divergence from the
    uniform one is the right side. Any other reward is a coarser image of one with ties broken at random beforehand, and
    divergences fall with it.
    """
    kept = best_of_n(bandit.log_reference, bandit.reward, N)
    bound = best_of_n_divergence_bound(N) if loss is None else np.log(N) - loss
    return at_most(kl(kept, bandit.log_reference, log=True), constant * bound)


bon_kl.control("log N - 1", because="it is larger by 1/N, and attained", loss=1.0)
bon_kl.control("0.98 of it", because="many responses with different rewards attain it", constant=0.98)


# --- gradients ---------------------------------------------------------------------------------------------------------

# name: weights of a success and of a failure, and the objective whose gradient they follow (on complex numbers too)
SCHEMES: dict[str, tuple[Callable[[float], tuple[float, float]], Callable[[complex], complex]]] = {
    "rewards 0 and 1": (lambda p: (1.0, 0.0), lambda p: p),
    "rewards -1 and 1": (lambda p: (1.0, -1.0), lambda p: 2 * p),
    "centred": (lambda p: (1 - p, -p), lambda p: p),
    "centred and normalised": (
        lambda p: ((1 - p) / np.sqrt(p * (1 - p)), -p / np.sqrt(p * (1 - p))),
        lambda p: 2 * np.arcsin(np.sqrt(p)),
    ),
    "successes cloned": (lambda p: (1 / p, 0.0), np.log),
    "failures pushed away": (lambda p: (0.0, -1 / (1 - p)), lambda p: -np.log(1 - p)),
    "successes cloned, failures reshaped": (lambda p: (1 / p, -1.0), lambda p: np.log(p) + p),
}


@claim(
    PAPER,
    "gradient-consistency",
    r"\nabla p = p E_+ = p(1-p)(E_+ - E_-), \quad E_- = -\frac{p}{1-p} E_+; \qquad p a_+ E_+ + (1-p) a_- E_- = \nabla f(p),"
    r" \quad f' = a_+ - a_-",
    kind="identity",
    source="derived",
    assumes=r"one prompt; responses drawn from the policy \mathrm{softmax}(\theta) itself; weights a_+ of successes, a_- of"
    r" failures; E_\pm the means of \nabla \ln \pi over them",
    note="A finding: on policy and within one prompt no weighting of successes and failures changes the direction, only the"
    " objective f(p): log p for cloning, 2 arcsin sqrt p for centred and normalised rewards. Reweighted failures matter across"
    " prompts, and off policy.",
)
@over(graded.sweep(K=(2, 5, 20), p=(0.01, 0.3, 0.9), draws=by_profile(quick=1, full=10)), scheme=tuple(SCHEMES))
def gradient_consistency(bandit: KLBandit, *, scheme: str, seed: int, off: float = 0.0, objective: str = "") -> Comparison:
    r"""On policy every weighting of successes and failures climbs the probability of success; the weights choose the scale.

    The scores have the mean 0, :math:`p E_+ + (1-p) E_- = 0`, and :math:`\nabla p = \sum_S \nabla \pi = p E_+`. Gradients of
    f(p) are computed independently, by complex steps of theta, which have no cancellation.
    """
    success = bandit.reward == 1
    theta = bandit.log_reference
    p = _success(bandit, theta)
    won, lost = mean_scores(theta, success)
    step = 1e-30
    shifted = np.exp(theta + 1j * step * np.eye(theta.size))
    chance = shifted[:, success].sum(axis=1) / shifted.sum(axis=1)
    slope_p = chance.imag / step
    weights = SCHEMES[scheme][0]
    target = np.array([complex(SCHEMES[objective or scheme][1](c)).imag for c in chance]) / step
    drawn = theta
    if off > 0:
        other = np.random.default_rng(seed).dirichlet(np.ones(theta.size))
        drawn = np.log((1 - off) * np.exp(theta) + off * other)
    found = outcome_gradient(theta, success, weights(p), drawn)
    size = float(max(np.abs(target).max(), 1.0))
    return all_of(
        ascent=equal(p * won, slope_p, tolerance=1e-12, scale=1.0),
        difference=equal(p * (1 - p) * (won - lost), slope_p, tolerance=1e-12, scale=1.0),
        opposite=equal((1 - p) * lost, -p * won, tolerance=1e-12, scale=1.0),
        objective=equal(found, target, tolerance=1e-12, scale=size),
    )


gradient_consistency.control(
    "a tenth of the draws from another law", because="off policy the scores have another mean", off=0.1
)
gradient_consistency.control("log p for every scheme", because="the weights choose the objective", objective="successes cloned")


@claim(
    PAPER,
    "gradient-direction",
    r"\cos(a_+ p E_+ + a_- (1-p) E_-, \nabla p) = 1 \text{ for all } a_+ > a_-; \qquad \text{also for successes of best of } N",
    kind="identity",
    source="derived",
    assumes="on policy, or successes drawn by best of N from the policy",
)
@over(graded.sweep(K=(5, 20), p=(0.01, 0.3, 0.9), draws=by_profile(quick=2, full=10)), N=(1, 4, 16))
def gradient_direction(bandit: KLBandit, *, N: int, seed: int, off: float = 0.0) -> Comparison:
    """Cloning successes of best of N climbs the probability of success; successes of another policy need not.

    Best of N has the policy's law given success. A sampler with another one has E_+ = mu(.|S) - pi, which is not parallel to
    pi(.|S) - pi.
    """
    success = bandit.reward == 1
    pi = bandit.log_reference
    behaviour = best_of_n(pi, bandit.reward, N)
    if off > 0:
        other = np.random.default_rng(seed).dirichlet(np.ones(pi.size))
        behaviour = np.log((1 - off) * np.exp(behaviour) + off * other)
    won = mean_scores(pi, success, behaviour)[0]
    climb = mean_scores(pi, success)[0]
    return equal(won @ climb / np.sqrt((won @ won) * (climb @ climb)), 1.0, tolerance=1e-12)


gradient_direction.control("a tenth of the draws from another law", because="its successes are others", off=0.1)
