r"""P3O (Wu et al. 2023): policy gradients from pairs, which a constant added to the rewards does not change.

Notation: r the rewards, o an older policy, w = pi/o, s(y) = e_y - pi the score of a softmax policy, rbar = E_pi r,

    G(y, y') = (r(y) - r(y'))/2 (s(y) - s(y')),    h = ln w(y) - ln w(y').

Rewards r and r + c give the same Bradley-Terry labels, so that preferences cannot tell them apart.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from bandits.preference.comparisons import independent_pairs, population_weights
from bandits.preference.families import kl_bandit, random_kl_bandit
from bandits.preference.kl_bandit import KLBandit
from bandits.preference.pairwise_ppo import (
    clipped_pair_gradients,
    clipped_ppo_gradients,
    moments,
    pair_gradients,
    pairwise_variance,
    policy_gradient_variance,
)
from paper_checks import derivatives
from paper_checks.derivatives import complex_step
from theory.claims import Comparison, Paper, Range, all_of, always, at_least, by_profile, claim, equal, over
from theory.divergences import span
from theory.pair_losses import expected_pair_gradient, logistic

Array = NDArray[np.float64]

PAPER = Paper(
    key="p3o",
    title="Pairwise Proximal Policy Optimization: Harnessing Relative Feedback for LLM Alignment",
    authors="Wu, Zhu, Zhang, Wen, Ramchandran, Jiao",
    year=2023,
    theme="alignment",
    arxiv="2310.00212",
)

CLIP = 0.2
# the bandit's reference is the older policy
RANDOM = random_kl_bandit.sweep(
    K=(2, 4, 10), concentration=(0.1, 1.0, 5.0), spread=(0.1, 1.0, 10.0), draws=by_profile(quick=2, full=20)
)
SEARCHED = kl_bandit.sweep(reward=Range(-30.0, 30.0, size=3), logits=Range(-14.0, 14.0, size=3))
LOGITS = Range(-14.0, 14.0, size=3)
BUDGET = by_profile(quick=60, full=600)


def _policy(bandit: KLBandit, seed: int, logits: tuple[float, ...], noise: float = 0.5) -> Array:
    """Log-probabilities: of ``logits``, or of the older policy with normal noise on its logits."""
    rng = np.random.default_rng(seed)
    return np.asarray(
        log_softmax(np.array(logits) if logits else bandit.log_reference + noise * rng.standard_normal(bandit.responses))
    )


def _gradient(log_policy: Array, reward: Array) -> Array:
    """The gradient of E_pi r in the logits, by a complex step."""

    def value(theta: NDArray[np.complex128]) -> NDArray[np.complex128]:
        return np.asarray((np.exp(derivatives.log_softmax(theta)) * reward).sum(axis=-1))

    return complex_step(value, log_policy)


@claim(
    PAPER,
    "unbiased",
    r"\mathbb{E}_{y, y' \sim \pi}\, G(y, y') = \nabla\, \mathbb{E}_\pi r = \mathbb{E}_{y, y' \sim o}\, w(y) w(y')\, G(y, y')",
    kind="identity",
    source="paper",
    assumes="nothing is clipped",
)
@over(RANDOM)
@over(SEARCHED, logits=LOGITS, budget=BUDGET)
def unbiased(
    bandit: KLBandit,
    *,
    seed: int,
    logits: tuple[float, ...] = (),
    half: float = 0.5,
    weights: bool = True,
    clip: float = np.inf,
) -> Comparison:
    """The pairwise gradient is a policy gradient: its mean is the gradient of the expected reward.

    The four terms of G have the means grad, grad, 0 and 0, times 1/2: a score has the mean 0, and y and y' are independent. Summed
    over all pairs; the expected reward is differentiated by a complex step.
    """
    log_policy = _policy(bandit, seed, logits)
    truth = _gradient(log_policy, bandit.reward)
    own = moments(2 * half * pair_gradients(bandit.reward), independent_pairs(np.exp(log_policy))).mean
    estimates = (
        clipped_pair_gradients(log_policy, bandit.log_reference, bandit.reward, clip)
        if weights
        else pair_gradients(bandit.reward)
    )
    old = moments(estimates, independent_pairs(bandit.reference)).mean
    size = float(np.abs(bandit.reward).max())
    # a ratio is an exponential of a difference of logarithms of up to 28 in the searched instances
    return all_of(
        on_policy=equal(own, truth, tolerance=1e-13, scale=size), older=equal(old, truth, tolerance=1e-12, scale=size)
    )


unbiased.control("0.505 in place of one half", because="the factor is exact", half=0.505)
unbiased.control("an older policy's pairs without weights", because="that is the older policy's gradient", weights=False)
unbiased.control("clipped pairs", because="clipping buys safety with bias", clip=CLIP)


@claim(
    PAPER,
    "invariance",
    r"r \to r + c: \quad G_{\mathrm{P3O}}(y, y'),\; G_{\mathrm{P3O}}^{\mathrm{clip}}(y, y') \text{ and } \nabla \ell_{\mathrm{DPO}}(w, l)"
    r" \text{ do not change for any sample}; \qquad \text{the mean of the unclipped } G_{\mathrm{PPO}} \text{ does not either}",
    kind="identity",
    source="paper",
    assumes="a critic that does not know of c",
    note="What c does to PPO comes in by clipping (`p3o/ppo-shift`), and by the critic's variance (`p3o/variance`).",
)
@over(RANDOM, shift=(-100.0, 5.0))
@over(SEARCHED, logits=LOGITS, shift=5.0, budget=BUDGET)
def invariance(
    bandit: KLBandit, *, shift: float, seed: int, logits: tuple[float, ...] = (), ppo: str = "mean", clip: float = np.inf
) -> Comparison:
    """Methods that see differences of rewards only treat equivalent rewards alike, sample by sample.

    P3O and its clip are functions of r(y) - r(y'). DPO sees labels, whose law depends on differences. For PPO without clipping c is a
    baseline: a score has the mean 0, so that the mean keeps, and single samples do not.
    """
    log_policy = _policy(bandit, seed, logits)
    before, after = bandit, KLBandit(bandit.reward + shift, bandit.log_reference, bandit.beta)
    old = bandit.log_reference
    size = float(np.abs(bandit.reward).max() + abs(shift))

    def pairs(b: KLBandit, width: float) -> Array:
        # weights of clipped pairs are 0, those of others may be large
        return clipped_pair_gradients(log_policy, old, b.reward, width) * independent_pairs(b.reference)[..., None]

    def surrogate(b: KLBandit) -> Array:
        single = clipped_ppo_gradients(log_policy, old, b.reward, clip) * b.reference[:, None]
        return single.sum(axis=0) if ppo == "mean" else single

    def dpo(b: KLBandit) -> Array:
        return expected_pair_gradient(b.beta * (log_policy - old), population_weights(b), logistic())

    return all_of(
        p3o=equal(pair_gradients(before.reward), pair_gradients(after.reward), tolerance=1e-13, scale=size),
        p3o_clipped=equal(pairs(before, CLIP), pairs(after, CLIP), tolerance=1e-13, scale=size),
        dpo=equal(dpo(before), dpo(after), tolerance=1e-13, scale=size),
        ppo=equal(surrogate(before), surrogate(after), tolerance=1e-12, scale=size),
    )


invariance.control("clipped PPO, on average", because="clipping depends on the advantage's sign", clip=CLIP)
invariance.control("unclipped PPO, sample by sample", because="every sample moves by c times its score", ppo="samples")


@claim(
    PAPER,
    "ppo-shift",
    r"r > 0,\; c > 0: \quad \nabla_{r + c} - \nabla_r = c\, k_\pi \pi\, (\pi_k - \pi), \qquad \|\nabla_{r + c} - \nabla_r\|_1"
    r" = 2 c\, k_\pi (1 - k_\pi)",
    kind="separation",
    source="derived",
    assumes=r"\nabla_r the mean gradient of PPO's clipped surrogate without a critic; k_\pi the probability under \pi of w \le 1 +"
    r" \epsilon, \pi_k the policy given that; in the first formula k_\pi \pi_k is \pi on that set and 0 elsewhere",
    note="The change is linear in c without end: a reward model that is off by a constant decides the direction of clipped PPO.",
)
@over(RANDOM, shift=(0.1, 5.0, 100.0))
@over(SEARCHED, logits=LOGITS, shift=5.0, budget=BUDGET)
def ppo_shift(
    bandit: KLBandit,
    *,
    shift: float,
    seed: int,
    logits: tuple[float, ...] = (),
    clip: float = CLIP,
    pairwise: bool = False,
    critic: bool = False,
    constant: float = 1.0,
) -> Comparison:
    r"""Clipped PPO without a critic follows the constant: the mean gradient moves by c times that of the unclipped set's probability.

    With positive advantages a response is clipped if :math:`w > 1 + \epsilon`, before and after the shift. What is left is
    :math:`\sum_{k} \pi(y) (r(y) + c) (e_y - \pi)`, whose part with c is c times the gradient of the probability of the
    unclipped set, held fixed. Its entries are :math:`\pi(y)(1 - k_\pi)` on the set and :math:`-\pi(y) k_\pi` off it. A fixed critic
    shifts the rewards and helps no more.
    """
    log_policy = _policy(bandit, seed, logits, noise=1.0)
    policy, old = np.exp(log_policy), bandit.log_reference
    reward = bandit.reward - bandit.reward.min() + 0.01

    def mean(r: Array) -> Array:
        if pairwise:
            return moments(clipped_pair_gradients(log_policy, old, r, clip), independent_pairs(bandit.reference)).mean
        value = float(bandit.reference @ r) if critic else 0.0
        return moments(clipped_ppo_gradients(log_policy, old, r, clip, value), bandit.reference).mean

    inside = log_policy - old <= np.log1p(CLIP)
    mass = float(policy[inside].sum())
    change = mean(reward + shift) - mean(reward)
    size = float(np.abs(reward).max() + shift)
    return all_of(
        change=equal(change, constant * shift * policy * (inside - mass), tolerance=1e-12, scale=size),
        norm=equal(
            np.abs(change).sum(), constant * 2 * shift * mass * float(policy[~inside].sum()), tolerance=1e-12, scale=size
        ),
    )


ppo_shift.control("no clipping", because="c is then a baseline", clip=np.inf)
ppo_shift.control("P3O", because="it sees differences only", pairwise=True)
ppo_shift.control("a critic that learns the shift", because="advantages are then the same", critic=True)
ppo_shift.control("one per cent more", because="the change is exact", constant=1.01)


@claim(
    PAPER,
    "variance",
    r"\operatorname{tr Cov} = \tfrac12 \bigl(\mathbb{E}\, r^2\|s\|^2 - \|\nabla\|^2 + 2c\, \mathbb{E}\, r \|s\|^2 + c^2\,"
    r" \mathbb{E}\|s\|^2\bigr) \text{ for PG from two samples of } r + c; \qquad \operatorname{Var} r - \|\nabla\|^2 \text{ for P3O}",
    kind="identity",
    source="derived",
    assumes="on policy, expectations under pi, one pair or two single samples a step, no critic",
    note="At c = 0 the plain gradient may be the better one: P3O buys invariance (`p3o/price-of-invariance`).",
)
@over(RANDOM, shift=(0.0, 1.0, 10.0, 100.0))
@over(SEARCHED, logits=LOGITS, shift=1.0, budget=BUDGET)
def variance(
    bandit: KLBandit, *, shift: float, seed: int, logits: tuple[float, ...] = (), power: float = 2.0, samples: int = 2
) -> Comparison:
    r"""The variance of the plain policy gradient grows with the square of the rewards' offset; P3O's has no offset in it.

    :math:`\|s(y)\|^2 = 1 - 2\pi(y) + \|\pi\|^2`, and two unit vectors are :math:`\sqrt2` apart, so that :math:`\mathbb{E}\|G\|^2 = \tfrac12
    \mathbb{E}(r - r')^2 = \operatorname{Var} r`. Both against the covariance summed over all outcomes.
    """
    log_policy = _policy(bandit, seed, logits)
    policy, r = np.exp(log_policy), bandit.reward
    shifted = r + shift
    size = ((np.eye(bandit.responses) - policy) ** 2).sum(axis=1)
    gradient = float((_gradient(log_policy, r) ** 2).sum())
    ppo = moments(clipped_ppo_gradients(log_policy, log_policy, shifted, np.inf), policy).variance / samples
    p3o = moments(pair_gradients(shifted), independent_pairs(policy)).variance
    quadratic = policy @ (r**2 * size) - gradient + 2 * shift * policy @ (r * size) + shift**power * policy @ size
    scale = float(np.abs(shifted).max() ** 2)
    return all_of(
        policy_gradient=equal(ppo, quadratic / 2, tolerance=1e-12, scale=scale),
        pairwise=equal(p3o, policy @ (r - policy @ r) ** 2 - gradient, tolerance=1e-12, scale=scale),
        closed_forms=equal(
            [policy_gradient_variance(log_policy, shifted), pairwise_variance(log_policy, shifted)],
            [ppo * samples / 2, p3o],
            tolerance=1e-12,
            scale=scale,
        ),
    )


variance.control("linear in c", because="the square of the offset is there", power=1.0)
variance.control("c^1.99", because="the power is exact", power=1.99)
variance.control("one sample a step", because="a pair is to be compared with two samples", samples=1)


@claim(
    PAPER,
    "price-of-invariance",
    r"V_{\mathrm{P3O}} = V_{\mathrm{PG}}(\bar r) + \tfrac12 \bigl(\operatorname{Var} r \cdot \mathbb{E}\|s\|^2 + \|\nabla\|^2\bigr)"
    r" \ge V_{\mathrm{PG}}(\bar r) \ge V_{\mathrm{PG}}(b^\star), \qquad b^\star = \frac{\mathbb{E}\, r\|s\|^2}{\mathbb{E}\|s\|^2}",
    kind="identity",
    source="derived",
    assumes="V the trace of the covariance for two samples a step; V_PG(b) that of the policy gradient with the baseline b",
    note="The ratio of the two has no bound: with two responses of equal probability the baseline rbar leaves no variance at all.",
)
@over(RANDOM)
@over(SEARCHED, logits=LOGITS, budget=BUDGET)
def price_of_invariance(
    bandit: KLBandit, *, seed: int, logits: tuple[float, ...] = (), critic: float = 0.0, share: float = 0.5
) -> Comparison:
    r"""P3O pays for not knowing the mean reward: its variance exceeds that with the right baseline by a known amount.

    With :math:`a = r - \bar r`, :math:`G = \tfrac12 (a s + a' s') - \tfrac12 (a s' + a' s)`: the gradient with the baseline
    :math:`\bar r` from both samples, less a term that has the mean 0 and no correlation with it, as a and s have the mean 0. The
    second term's variance is :math:`\tfrac12 (\mathbb{E}a^2\, \mathbb{E}\|s\|^2 + \|\mathbb{E} a s\|^2)`. :math:`b^\star` minimises a
    quadratic.
    """
    log_policy = _policy(bandit, seed, logits)
    policy, r = np.exp(log_policy), bandit.reward
    size = ((np.eye(bandit.responses) - policy) ** 2).sum(axis=1)
    mean, best = float(policy @ r), float(policy @ (r * size) / (policy @ size))
    gradient = float((_gradient(log_policy, r) ** 2).sum())
    excess = share * (policy @ (r - mean) ** 2 * (policy @ size) + gradient)
    known, least = (
        moments(clipped_ppo_gradients(log_policy, log_policy, r, np.inf, b), policy).variance / 2
        for b in (mean + critic * float(span(r)), best)
    )
    p3o = moments(pair_gradients(r), independent_pairs(policy)).variance
    scale = float(np.abs(r).max() ** 2)
    return all_of(
        identity=equal(p3o, known + excess, tolerance=1e-12, scale=scale),
        order=always([p3o >= known - 1e-12 * scale, known >= least - 1e-12 * scale], "the order of the variances"),
    )


price_of_invariance.control("a baseline one per cent of the range off", because="the identity holds at rbar", critic=0.01)
price_of_invariance.control("0.505 in place of one half", because="the factor is exact", share=0.505)


@claim(
    PAPER,
    "crossover",
    r"V_{\mathrm{PG}}(0) \text{ for the rewards } r + c \text{ exceeds } V_{\mathrm{P3O}} \text{ whenever } |c + \bar r| >"
    r" \sqrt{2}\,\sigma_r + 2\, |\bar r - b^\star|",
    kind="inequality",
    source="derived",
    assumes=r"\sigma_r the deviation of r under \pi; b^\star as in `p3o/price-of-invariance`; no critic",
)
@over(RANDOM)
@over(
    kl_bandit.sweep(reward=Range(-3.0, 3.0, size=3), logits=Range(-3.0, 3.0, size=3)),
    logits=Range(-3.0, 3.0, size=3),
    budget=BUDGET,
)
def crossover(bandit: KLBandit, *, seed: int, logits: tuple[float, ...] = (), factor: float = 1.0) -> Comparison:
    r"""Without a critic, pairs are the better estimator as soon as the rewards' offset exceeds a few of their deviations.

    With the rewards r + c and no critic the baseline of r is -c, and :math:`V_{PG}(b) = V_{PG}(b^\star) + \tfrac12 (b - b^\star)^2\,
    \mathbb{E}\|s\|^2`. By `p3o/price-of-invariance`, P3O exceeds :math:`V_{PG}(b^\star)` by :math:`\tfrac12 [(\bar r - b^\star)^2\,
    \mathbb{E}\|s\|^2 + \sigma^2\, \mathbb{E}\|s\|^2 + \|\nabla\|^2]`, and :math:`\|\nabla\|^2 = \|\mathbb{E}as\|^2 \le \sigma^2\, \mathbb{E}\|s\|^2`. So
    :math:`(c + b^\star)^2 > (\bar r - b^\star)^2 + 2\sigma^2` is enough, and with :math:`d = |\bar r - b^\star|` it follows from
    :math:`|c + \bar r| - d > d + \sqrt2\sigma`.
    """
    log_policy = _policy(bandit, seed, logits)
    policy, r = np.exp(log_policy), bandit.reward
    size = ((np.eye(bandit.responses) - policy) ** 2).sum(axis=1)
    mean, best = float(policy @ r), float(policy @ (r * size) / (policy @ size))
    deviation = float(np.sqrt(policy @ (r - mean) ** 2))
    edge = factor * (np.sqrt(2) * deviation + 2 * abs(mean - best))
    plain = [policy_gradient_variance(log_policy, r - mean + sign * edge) for sign in (-1, 1)]
    p3o = pairwise_variance(log_policy, r)
    return at_least(plain, p3o, slack=1e-12 * float(np.abs(r - mean).max() ** 2))


crossover.control("0.9 of the offset", because="two responses attain it", factor=0.9)
