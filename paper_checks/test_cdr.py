r"""CDR (Xu, Srivastava et al. 2024): the density ratio of a strong and a weak policy as a reward for labelling preferences.

Notation: pi_s and pi_w are tilts of one reference mu by one reward r at the temperatures beta_s < beta_w; kappa = 1/beta_s - 1/beta_w is
the alignment gap, t the deviation of the errors of log-probabilities, d a pair's difference of rewards.
"""

import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray

from bandits.preference.best_of_n import best_of_n
from bandits.preference.density_ratio import (
    alignment_gap,
    density_ratio,
    mean_ranking_accuracy,
    ranking_accuracy,
    sample_rankings,
)
from bandits.preference.families import kl_bandit
from bandits.preference.kl_bandit import KLBandit
from paper_checks.kl_bandits import RANDOM
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
    equal,
    over,
    violation_rate,
)
from theory.divergences import span
from theory.tilts import log_tilt

Array = NDArray[np.float64]

PAPER = Paper(
    key="cdr",
    title="CDR: Customizable Density Ratios of Strong-over-weak LLMs for Preference Annotation",
    authors="Xu, Srivastava, et al.",
    year=2024,
    theme="alignment",
    arxiv="2411.02481",
)

# the bandit's temperature is the strong policy's; the weak one is a multiple of it


def _policies(bandit: KLBandit, ratio: float, mismatch: Array | float = 0.0) -> tuple[Array, Array]:
    """Log-probabilities of the strong and the weak policy; ``mismatch`` is added to the logarithm of the weak one's base."""
    weak = log_tilt(bandit.log_reference + mismatch, bandit.reward, ratio * bandit.beta)
    return bandit.log_optimum, weak


@claim(
    PAPER,
    "identity",
    r"\ln\frac{\pi_s(y)}{\pi_w(y)} = \kappa\, r(y) + \text{const}; \qquad \text{pairs and best-of-}N \text{ are labelled as by } r",
    kind="identity",
    source="derived",
    assumes="both policies are tilts of one reference by one reward, beta_s < beta_w",
)
@over(RANDOM, ratio=(1.5, 1000.0))
@over(
    kl_bandit.sweep(reward=Range(-20.0, 20.0, size=3), logits=Range(-14.0, 14.0, size=3), beta=Range(0.05, 2.0, log=True)),
    ratio=1.1,
    budget=by_profile(quick=60, full=600),
)
def identity(bandit: KLBandit, *, ratio: float, seed: int, bases: float = 0.0, colder: bool = False) -> Comparison:
    """The log-ratio of a strong to a weak policy is the reward itself, up to scale and shift.

    The reference cancels, and with it all that the two policies have in common; the partition functions are the constant. An
    increasing function of the reward picks the same response of any set as the reward does.
    """
    mismatch = bases * np.random.default_rng(seed).standard_normal(bandit.responses)
    strong, weak = _policies(bandit, ratio, mismatch)
    score = density_ratio(weak, strong) if colder else density_ratio(strong, weak)
    gap = alignment_gap(bandit.beta, ratio * bandit.beta)
    size = float(np.abs(strong).max() + np.abs(weak).max() + gap * span(bandit.reward))
    r = bandit.reward
    parts = {"ratio": equal(score - score[0], gap * (r - r[0]), tolerance=1e-13, scale=size)}
    apart = np.abs(r[:, None] - r) * gap > 1e-12 * size  # closer pairs are lost in rounding
    agree = (score[:, None] > score) == (r[:, None] > r)
    parts["pairs"] = always(agree | ~apart, "a pair is labelled otherwise")
    if (apart | np.eye(r.size, dtype=bool)).all():
        best = [np.exp(best_of_n(bandit.log_reference, by, 4)) for by in (score, r)]
        parts["best_of_n"] = equal(best[0], best[1], tolerance=1e-12, scale=1.0)
    return all_of(**parts)


identity.control("two bases that differ by one per cent", because="the bases no longer cancel", bases=0.01)
identity.control("weak over strong", because="the sign is the other one", colder=True)


@claim(
    PAPER,
    "base-mismatch",
    r"\ln\frac{\pi_s}{\pi_w} \text{ ranks every pair with } |d| > \frac{1}{\kappa} \operatorname{span}\Bigl(\ln\frac{\mu_s}{\mu_w}\Bigr)"
    r" \text{ as } r \text{ does}",
    kind="inequality",
    source="derived",
    assumes="the two policies are tilts of two references mu_s and mu_w by one reward",
    note="What the gap buys: the larger it is, the less a difference of the base models matters.",
)
@over(RANDOM, ratio=1.5, bases=(0.1, 1.0, 3.0))
@over(
    kl_bandit.sweep(reward=Range(-3.0, 3.0, size=2), logits=[(0.0, 0.0)], beta=0.5),
    ratio=2.0,
    bases=0.0,
    shift=Range(-3.0, 3.0, size=2),
    budget=by_profile(quick=150, full=1500),
)
def base_mismatch(
    bandit: KLBandit, *, ratio: float, bases: float, seed: int, shift: tuple[float, ...] = (), factor: float = 1.0
) -> Comparison:
    """A ratio of policies with different bases errs on close pairs only.

    The difference of the scores of a pair is kappa d and that of the logarithm of the bases' ratio, which is at most its span.
    The largest |d| of a pair that is ranked wrongly is compared with the bound; a pair that just fails attains it.
    """
    rng = np.random.default_rng(seed)
    mismatch = np.array(shift) if shift else bases * rng.standard_normal(bandit.responses)
    strong, weak = _policies(bandit, ratio, mismatch)
    score = density_ratio(strong, weak)
    r = bandit.reward
    d = r[:, None] - r
    wrong = (score[:, None] - score) * d < 0
    largest = float(np.abs(d[wrong]).max()) if wrong.any() else 0.0
    return at_most(largest, factor * float(span(mismatch)) / alignment_gap(bandit.beta, ratio * bandit.beta), slack=1e-12)


base_mismatch.control("95 per cent of the bound", because="a pair that just fails attains it", factor=0.95)


@claim(
    PAPER,
    "gap-helps",
    r"P(\text{a noisy ratio ranks the pair as } r) = \Phi\Bigl(\frac{\kappa |d|}{2t}\Bigr), \qquad \text{on average }"
    r" \tfrac12 + \tfrac1\pi \arctan\frac{\kappa s}{\sqrt2\, t} \text{ for } r \sim N(0, s^2)",
    kind="identity",
    source="derived",
    assumes="every log-probability has an independent normal error of deviation t",
    tests=2,
    note="The average accuracy is a closed form of kappa alone: a strong and a weak policy must differ for their ratio to say much.",
)
@over(gap=(0.1, 0.3, 1.0, 3.0), noise=0.5)
def gap_helps(
    *,
    gap: float,
    noise: float,
    seed: int,
    pairs: int = by_profile(quick=150_000, full=600_000),
    exchanged: bool = False,
    errors: float = 4.0,
    strong: float = 0.25,
) -> Comparison:
    r"""The accuracy of noisy density ratios is a known, increasing function of the alignment gap.

    The difference of two ratios has the mean :math:`\kappa d` and four errors in it, hence the deviation 2t. Averaged over d, the signs
    of d and of the noisy score agree with the probability 1/2 + arcsin(rho)/pi for their correlation rho (Sheppard). The quadrature
    is over d; the sample has disjoint pairs, of which the share of right ones is tested from both sides, against
    alternatives a hundredth away.
    """
    weak = 1 / (1 / strong - gap)
    if exchanged:
        strong, weak = weak, strong
    right = sample_rankings(strong, weak, noise, pairs, np.random.default_rng(seed))
    accuracy = mean_ranking_accuracy(gap, noise * np.sqrt(errors / 4))
    nodes, weights = leggauss(200)
    x = 5 * (nodes + 1)  # |d| / sqrt(2) in [0, 10], where all but 1e-23 of the normal law is
    average = 5 * weights @ (ranking_accuracy(np.sqrt(2) * x, gap, noise) * np.exp(-(x**2) / 2)) * np.sqrt(2 / np.pi)
    return all_of(
        average=equal(average, mean_ranking_accuracy(gap, noise), tolerance=1e-10),
        not_more=violation_rate(right, accuracy, alternative=accuracy + 0.01),
        not_less=violation_rate(~right, 1 - accuracy, alternative=1 - accuracy + 0.01),
    )


gap_helps.control("strong and weak exchanged", because="the accuracy is then 1 less this", exchanged=True)
gap_helps.control("three errors in place of four", because="each of the four log-probabilities has one", errors=3.0)


@claim(
    PAPER,
    "no-gap",
    r"\kappa \to 0: \quad \text{accuracy} - \tfrac12 \le \frac{\kappa s}{\sqrt2\, \pi\, t}, \qquad \kappa \to \infty: \quad 1 -"
    r" \text{accuracy} \le \frac{\sqrt2\, t}{\pi\, \kappa s}",
    kind="inequality",
    source="derived",
    assumes="as in `cdr/gap-helps`, r ~ N(0, s^2)",
)
@over(gap=Range(1e-3, 1e3, log=True), noise=Range(0.05, 5.0, log=True), budget=by_profile(quick=200, full=2000))
def no_gap(*, gap: float, noise: float, factor: float = 1.0) -> Comparison:
    """Two policies of one temperature tell nothing, and the error falls only like one over the gap.

    arctan x <= x, and pi/2 - arctan x = arctan(1/x) <= 1/x. Most of the error is with close pairs. The average is increasing, as
    the arctangent is: also checked, at a gap one per cent larger.
    """
    accuracy = mean_ranking_accuracy(gap, noise)
    x = gap / (np.sqrt(2) * noise)
    return all_of(
        small=at_most(accuracy - 0.5, factor * x / np.pi, slack=1e-15),
        large=at_most(1 - accuracy, factor / (np.pi * x), slack=1e-15),
        increasing=at_least(mean_ranking_accuracy(1.01 * gap, noise), accuracy, slack=1e-15),
    )


no_gap.control("95 per cent of the bounds", because="both are attained in their limits", factor=0.95)
