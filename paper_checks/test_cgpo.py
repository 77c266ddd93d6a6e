r"""CGPO, a mixture of judges (Xu et al. 2024): pay only what every judge accepts, and what that does to the rest.

Notation: F is the set of responses that all judges accept, :math:`\bar F` the others, R the calibrated reward in [0, 1], :math:`\tilde R = R
1_F` the masked one, and :math:`o(\pi) = \pi(\bar F)/\pi(F)` the odds of a violation. The target at the temperature :math:`\beta` is
:math:`\pi_\beta \propto \mu e^{\tilde R/\beta}`. Everything is derived here from

.. math:: o(\pi_\beta) = o(\mu) / \mathbb{E}_\mu[e^{R/\beta} \mid F].
"""

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.special import expit, log_softmax

from bandits.preference.gradient_flows import follow, on_policy
from bandits.preference.mixture_of_judges import (
    JudgedBandit,
    accepted_mean,
    calibrated_reward,
    critical_temperature,
    judged_bandit,
    masked_reward,
    natural_gradient,
    plateau_path,
    plateau_start,
    random_judged_bandit,
    violation_log_odds,
    violation_speed,
)
from bandits.preference.soups import gini
from theory.claims import Comparison, Paper, Range, all_of, always, at_least, at_most, by_profile, claim, equal, over
from theory.tilts import log_tilt

Array = NDArray[np.float64]

PAPER = Paper(
    key="cgpo",
    title="The Perfect Blend: Redefining RLHF with Mixture of Judges",
    authors="Xu, Helenowski, Sankararaman, Jin, Peng, Han et al.",
    year=2024,
    theme="safety",
    arxiv="2409.20370",
)

RANDOM = random_judged_bandit.sweep(
    K=(2, 5, 12), concentration=(0.1, 1.0), beta=(0.05, 0.5, 5.0), draws=by_profile(quick=3, full=15)
)
SEARCHED = judged_bandit.sweep(
    accepted=Range(0.0, 1.0, size=2),
    rejected=Range(0.0, 1.0, size=1),
    logits=Range(-5.0, 5.0, size=3),
    beta=Range(0.05, 5.0, log=True),
)
# the smallest instance: a rejected response, a mediocre accepted one that is likely, and a good one that is not
MEDIOCRE = judged_bandit.sweep(
    accepted=[(0.1, 1.0)], rejected=[(0.5,)], logits=[tuple(float(x) for x in np.log([0.8, 0.1, 0.1]).round(6))], beta=0.5
)
STEPS = 12
DIRECTIONS = {"natural": natural_gradient, "plain": on_policy}


def _error(judged: JudgedBandit) -> float:
    """The rounding of log-odds of a tilt."""
    return 1e-14 * (
        10 + float(np.abs(judged.bandit.log_reference).max() + np.abs(judged.bandit.reward).max() / judged.bandit.beta)
    )


@claim(
    PAPER,
    "infeasible-mass",
    r"o(\pi_\beta) \le o(\mu)\, e^{-\mathbb{E}_\mu[R|F]/\beta} \le o(\mu), \text{ so that } \pi_\beta(\bar F) \le \mu(\bar F)",
    kind="inequality",
    source="derived",
    assumes=r"R \ge 0 \text{ on } F; \text{ the second inequality is strict unless } R = 0 \text{ on } F",
    note="The first bound is sharper than the specification's and is attained by equal rewards. That the mass falls needs less than R >= 0:"
    " see cgpo/which-rewards.",
)
@over(RANDOM)
@over(SEARCHED, budget=by_profile(quick=60, full=600))
def infeasible_mass(judged: JudgedBandit, *, shift: float = 0.0, mask: bool = True, share: float = 1.0) -> Comparison:
    r"""Masking calibrated rewards lowers the odds of a violation at every temperature, by a factor of at least :math:`e^{-\mathbb{E}[R|F]/\beta}`.

    The masked weights of rejected responses do not change, and those of accepted ones grow by :math:`e^{R/\beta} \ge 1`. Jensen's
    inequality gives the factor.
    """
    b = judged.bandit
    reward = b.reward + shift
    target = log_tilt(b.log_reference, masked_reward(reward, judged.feasible) if mask else reward, b.beta)
    after, before = violation_log_odds(target, judged.feasible), violation_log_odds(b.log_reference, judged.feasible)
    # shares of the odds before, so that the two sides are of order one
    factor = -share * accepted_mean(b.log_reference, reward, judged.feasible) / b.beta
    error = _error(judged)
    return all_of(
        falls=at_most(np.exp(after - before), 1.0, slack=error * np.exp(after - before)),
        factor=at_most(np.exp(after - before - factor), 1.0, slack=error * np.exp(after - before - factor)),
    )


infeasible_mass.control("rewards in [-1, 0]", because="a negative reward makes the unpaid violation attractive", shift=-1.0)
infeasible_mass.control("rewards without a mask", because="rejected responses are paid as well", mask=False)
infeasible_mass.control("5% more in the exponent", because="equal rewards attain the factor", share=1.05)


@claim(
    PAPER,
    "zero-temperature",
    r"1 - \pi_\beta(y^\star) \le \frac{X}{\mu(y^\star) + X}, \quad X = (1 - \mu(y^\star))\, e^{-\Delta/\beta}",
    kind="inequality",
    source="derived",
    assumes=r"y^\star \text{ the best accepted response}, R \ge 0; \Delta > 0 \text{ its lead in the masked reward over all others}",
    note="So the infeasible mass vanishes like exp(-R(y*)/beta), and the accepted rivals like exp(-Delta/beta). Equal rivals attain it.",
)
@over(RANDOM)
@over(SEARCHED, budget=by_profile(quick=60, full=600))
def zero_temperature(judged: JudgedBandit, *, shift: float = 0.0, lead: float = 1.0) -> Comparison:
    """As the temperature falls, the mass goes to the best accepted response, at an exponential rate."""
    b = judged.bandit
    reward = b.reward + shift
    masked = masked_reward(reward, judged.feasible)
    best = int(np.argmax(np.where(judged.feasible, reward, -np.inf)))
    others = np.arange(b.responses) != best
    # with negative rewards, as if a rejected response were paid the least of all
    rivals = np.where(judged.feasible, reward, min(shift, 0.0))[others]
    gap = float(reward[best] - rivals.max())
    target = log_tilt(b.log_reference, masked, b.beta)
    # the odds against the best response, as a share of the bound
    odds = np.logaddexp.reduce(target[others]) - target[best]
    bound = np.logaddexp.reduce(b.log_reference[others]) - b.log_reference[best] - lead * gap / b.beta
    return at_most(np.exp(odds - bound), 1.0, slack=_error(judged) * np.exp(odds - bound))


zero_temperature.control("5% more lead", because="rivals that are all equally good attain the bound", lead=1.05)
zero_temperature.control("rewards in [-1, 0]", because="the unpaid violation is then the best of all", shift=-1.0)

SIGNED = random_judged_bandit.sweep(
    K=(3, 6), low=-1.0, high=(0.0, 0.5, 1.0), concentration=(0.3, 1.0), draws=by_profile(quick=6, full=60)
)


@claim(
    PAPER,
    "which-rewards",
    r"\pi_\beta(\bar F) \le \mu(\bar F) \text{ for all } \beta \iff \mathbb{E}_\mu[R|F] \ge 0; \quad \text{else it rises exactly for }"
    r" \beta > \beta_c, \; \mathbb{E}_\mu[e^{R/\beta_c}|F] = 1 \quad (\beta_c = 0 \text{ if } \max_F R \le 0)",
    kind="identity",
    source="derived",
    assumes="R of any sign, not 0 on all of F",
    note="Rewards that are not negative are enough, not needed: their mean over what the judges accept has to be at least 0. For rewards in"
    " [-1, 0] masked to 0 the violations increase at every temperature.",
)
@over(SIGNED)
@over(
    judged_bandit.sweep(accepted=Range(-1.0, 1.0, size=2), rejected=[(0.0,)], logits=Range(-3.0, 3.0, size=3)),
    budget=by_profile(quick=60, full=600),
)
def which_rewards(judged: JudgedBandit, *, rule: str = "mean", late: float = 1.0) -> Comparison:
    r"""Masking lowers violations at every temperature exactly if accepted responses are worth at least 0 on average.

    The log-odds change by :math:`-\ln \mathbb{E}_\mu[e^{tR}|F]` at t = 1/beta: concave, 0 at t = 0, with the slope :math:`-\mathbb{E}_\mu[R|F]`
    there. So it never passes 0 again, or once, which it does if some accepted reward is positive.
    """
    b = judged.bandit
    critical = critical_temperature(judged)
    if rule == "all":  # the condition R >= 0 taken for a necessary one
        critical = critical if (b.reward[judged.feasible] >= 0).all() else min(critical, 1e3)
    elif rule == "some":
        critical = np.inf if b.reward[judged.feasible].max() > 0 else 0.0
    middle = critical if 0 < critical < np.inf else 1.0
    betas = np.concatenate([[1e4], middle * np.array([0.3, 0.99, 1.01, 3.0])])
    changes = np.array(
        [violation_log_odds(log_tilt(b.log_reference, judged.masked, beta), judged.feasible) for beta in betas]
    ) - violation_log_odds(b.log_reference, judged.feasible)
    # near 0 the sign is not decided: log-odds of order 10 are rounded
    decided = np.abs(changes) > 1e-12
    return always(~decided | ((changes > 0) == (betas > late * critical)), "the sign of the change")


which_rewards.control("R >= 0 is needed", because="a mean of at least 0 is enough at every temperature", rule="all")
which_rewards.control("one positive reward is enough", because="at high temperatures the mean decides", rule="some")
which_rewards.control("2% beyond the critical temperature", because="the sign changes exactly there", late=1.02)


@claim(
    PAPER,
    "monotone-training",
    r"\pi_{t+1} \propto \pi_t^{1 - \eta\beta} \mu^{\eta\beta} e^{\eta \tilde R}, \; \pi_0 = \mu: \quad \pi_{t+1}(\bar F) \le \pi_t(\bar F);"
    r" \qquad o(\pi_{t+1}) \le o(\pi_t)\, e^{-\eta \mathbb{E}_{\pi_t}[R|F]} \text{ without the KL term}",
    kind="inequality",
    source="derived",
    assumes=r"R \ge 0; any step \eta > 0 without the KL term, \eta\beta \le 1 with it",
    note="The KL term needs the start at the reference: from a start with fewer violations than the target they increase.",
)
@over(
    random_judged_bandit.sweep(K=(2, 6), concentration=0.3, beta=(0.05, 0.5, 5.0), draws=by_profile(quick=2, full=30)),
    penalty=(0.0, 1.0),
    step=(0.1, 1.0),
)
@over(SEARCHED, penalty=0.0, step=Range(0.01, 10.0, log=True), budget=by_profile(quick=30, full=300))
@over(MEDIOCRE, penalty=(0.0, 1.0), step=(0.01, 1.0))
def monotone_training(
    judged: JudgedBandit,
    *,
    penalty: float,
    step: float,
    direction: str = "natural",
    shift: float = 0.0,
    away: float = 0.0,
    factor: bool = True,
) -> Comparison:
    r"""Every natural-gradient step on the masked reward lowers the odds of a violation, with a KL term as without.

    The iterates are tilts of :math:`\mu` by :math:`c_t \tilde R` with :math:`c_t = (1 - (1-\eta\beta)^t)/\beta`, or :math:`\eta t`; c grows, and the
    odds fall with it.
    """
    b = judged.bandit
    reward = masked_reward(b.reward + shift, judged.feasible)
    eta = min(step, 1 / b.beta) if penalty else step
    start = log_softmax(b.log_reference + away * judged.feasible)

    def move(policy: Array) -> Array:
        return DIRECTIONS[direction](policy, reward - penalty * b.beta * (policy - b.log_reference))

    path = follow(move, start, eta, STEPS)
    odds = violation_log_odds(path, judged.feasible)
    bound = 0.0 if penalty or not factor else -eta * accepted_mean(path[:-1], reward, judged.feasible)
    excess = np.diff(odds) - bound
    return at_most(np.exp(excess), 1.0, slack=1e-13 * (1 + np.abs(path).max()) * np.exp(excess))


monotone_training.control(
    "plain policy gradient", because="a rejected response can gain on a likely mediocre one", direction="plain", factor=False
)
monotone_training.control("rewards in [-1, 0]", because="each step then moves mass to the unpaid violations", shift=-1.0)
monotone_training.control(
    "a start with fewer violations than the reference has", because="the KL term pulls back to the reference", away=6.0
)


@claim(
    PAPER,
    "vanilla-gradient",
    r"\tfrac{d}{dt} \pi_t(\bar F) \le 0 \text{ along the softmax policy gradient } \dot\theta = \pi (\tilde R - \mathbb{E}_\pi \tilde R)",
    kind="inequality",
    source="derived",
    assumes=r"0 \le R \le 1",
    expected="refuted",
    corrected="cgpo/monotone-training",
    note="Three responses are enough: pi = (.8, .1, .1), R = (.1, 1), the last rejected, where the mass grows at the rate 0.0027. Two accepted"
    " responses of different rewards are needed (cgpo/equal-rewards), and how far it goes is cgpo/plateau.",
)
@over(MEDIOCRE)
@over(RANDOM)
def vanilla_gradient(judged: JudgedBandit, *, direction: str = "plain") -> Comparison:
    r"""It is said that each update lowers violations. Plain softmax policy gradient need not.

    A likely mediocre response falls below the mean reward, and its logit falls fast because it is likely; a rejected response loses as
    much per unit of its smaller probability only, and gains on it.
    """
    policy = judged.bandit.log_reference
    return at_most(violation_speed(policy, DIRECTIONS[direction](policy, judged.masked), judged.feasible), 0.0, slack=1e-15)


vanilla_gradient.repair("the natural gradient", because="its steps multiply the odds by at most 1", direction="natural")


@claim(
    PAPER,
    "equal-rewards",
    r"R = c \text{ on } F \implies \tfrac{d}{dt} \pi_t(\bar F) = -\tfrac1c \|\nabla_\theta J\|^2 \le 0",
    kind="identity",
    source="derived",
    assumes=r"the softmax policy gradient of J = \mathbb{E}_\pi \tilde R, c > 0",
    note="So the plain gradient is monotone where it is paid for nothing but acceptance, or where there is one accepted response.",
)
@over(RANDOM, level=(0.1, 1.0))
def equal_rewards(judged: JudgedBandit, *, level: float, difference: float = 0.0, stretch: float = 1.0) -> Comparison:
    """If all accepted responses are worth the same, the plain policy gradient lowers violations, at the rate of its squared norm.

    J = c (1 - mass), and a gradient flow raises J at that rate.
    """
    policy = judged.bandit.log_reference
    reward = masked_reward(level + difference * judged.bandit.reward, judged.feasible)
    u = on_policy(policy, reward)
    speed = violation_speed(policy, u, judged.feasible)
    # the mean reward is rounded relative to its level, and with it the advantages whose means differ
    scale = level * float(np.exp(policy[~judged.feasible]).sum())
    return equal(speed, -stretch * (u @ u) / level, tolerance=1e-13, scale=scale)


equal_rewards.control("rewards that differ by up to 1/20", because="J then counts more than the mass", difference=0.05)
equal_rewards.control("5% more", because="it is an identity", stretch=1.05)


@claim(
    PAPER,
    "plateau",
    r"\tilde R = (0, 1, 0, \ldots, 0): \quad \text{for every } m_0 > 0 \text{ and } \lambda < 1 \text{ there is } \pi_0(y_2) > 0 \text{ such that the}"
    r" plain gradient flow from } \pi_0(\bar F) = m_0 \text{ reaches } \pi_t(\bar F) \ge \lambda \tfrac{n}{n+1}",
    kind="separation",
    source="derived",
    assumes=r"n rejected responses of equal mass, and an accepted one of reward 0 (or at most a tenth of \pi_0(y_2)) with the rest",
    note="The good response has to start with a mass of the order m_0^2; the mass then never passes n/(n+1). With one rejected response in a million"
    " samples, it comes to 45% of them before the good response takes over. The flow takes a time of the order 1/pi_0(y_2) for it.",
)
@over(
    rejected=by_profile(quick=(1, 5), full=(1, 2, 5)),
    mass=(1e-1, 1e-3, 1e-6),
    mediocre=(0.0, 0.1),
    level=by_profile(quick=0.9, full=(0.5, 0.9)),
)
def plateau(
    *, rejected: int, mass: float, mediocre: float, level: float, direction: str = "plain", power: float = 2.0
) -> Comparison:
    r"""Plain policy gradient may raise rare violations to nearly n/(n+1) of all responses, before it lowers them to 0.

    Along the flow :math:`e^{-\theta_i}` of all unpaid responses grow alike, so that their logits approach each other while the paid one is still
    rare: the rejected responses become as likely as the accepted mediocre one. With :math:`e^a = 1 + t/\rho`, :math:`\rho` the ratio of a rejected
    probability to the first, the ratio is then :math:`(\rho + t)/(1 + t)`, and the paid response has grown against the first by
    :math:`(1 + t/\rho)^2 (1 + t)^n`.
    """
    spare = (1 - level) / 4
    t = 1 / spare
    rho = mass / rejected / (1 - mass)
    best = spare * (1 - mass) / ((1 + t / rho) ** power * (1 + t) ** rejected)
    start = plateau_start(rejected, mass, best)
    reward = np.array([mediocre * best, 1.0] + [0.0] * rejected)
    feasible = np.arange(rejected + 2) < 2
    end = float(np.log1p(t / rho))

    def move(_: float, logits: Array) -> Array:
        """The flow, its time changed so that the first logit falls at the rate 1."""
        policy = logits - np.logaddexp.reduce(logits)
        u = DIRECTIONS[direction](policy, reward)
        return np.asarray(u / abs(u[0]))

    flow = solve_ivp(move, (0.0, end), start, method="DOP853", rtol=1e-9, atol=1e-11)
    path = log_softmax(flow.y.T, axis=-1)
    most = expit(violation_log_odds(path, feasible)).max()
    parts = [at_least(most, level * rejected / (rejected + 1))]
    if mediocre == 0:
        exact = plateau_path(start, np.append(flow.t, end + np.arange(1.0, 40.0)))
        masses = expit(violation_log_odds(exact, feasible))
        parts += [
            equal(path[-1], exact[flow.t.size - 1], tolerance=1e-6, scale=1.0),
            at_most(masses, rejected / (rejected + 1)),
            at_most(masses[-1], mass),
        ]
    return all_of(*parts)


plateau.control("the natural gradient", because="its mass of violations only falls", direction="natural")
plateau.control("a good response of the order of m_0", because="it takes over before the others are equal", power=1.0)


@claim(
    PAPER,
    "calibration-invariance",
    r"\sigma(R(x,a) - R(x,b_x)) \text{ does not change with } R \to R + c(x), \text{ and neither does the masked target}",
    kind="identity",
    source="derived",
    assumes="the baseline response of a prompt is scored by the same reward model",
)
@over(offset=(1e-3, 1.0, 10.0), spread=(0.5, 3.0), prompts=(1, 5), draw=tuple(range(6)))
def calibration_invariance(
    *, offset: float, spread: float, prompts: int, draw: int, seed: int, calibrated: bool = True, rolled: int = 0
) -> Comparison:
    """A calibrated reward does not see what a reward model adds to all responses of a prompt."""
    rng = np.random.default_rng(seed)
    K, beta = 4, 0.5
    scores, shifts = spread * rng.standard_normal((prompts, K)), offset * rng.standard_normal(prompts)
    references = log_softmax(rng.standard_normal((prompts, K)), axis=-1)
    feasible = np.arange(K) < 2

    def target(values: Array) -> Array:
        reward = calibrated_reward(values, np.roll(values[:, 0], rolled)) if calibrated else values
        return log_tilt(references, masked_reward(reward, feasible), beta)

    scale = 10 + np.abs(scores).max() + np.abs(shifts).max()
    return equal(target(scores + shifts[:, None]), target(scores), tolerance=1e-14 / beta, scale=float(scale))


calibration_invariance.control("raw rewards", because="the mask lets the offset through", calibrated=False)
calibration_invariance.control("the baseline of the next prompt", because="offsets of two prompts do not cancel", rolled=1)


@claim(
    PAPER,
    "uncalibrated-offset",
    r"R \to R + c(x) \text{ before the mask}: \quad o(\pi_\beta(\cdot|x)) \to o(\pi_\beta(\cdot|x))\, e^{-c(x)/\beta}",
    kind="identity",
    source="derived",
    assumes="masked raw rewards of any sign",
    note="An arbitrary constant of the reward model thus sets how hard the constraint is enforced, prompt by prompt.",
)
@over(SIGNED, offset=(-2.0, 0.1))
def uncalibrated_offset(judged: JudgedBandit, *, offset: float, mask: bool = True, stretch: float = 1.0) -> Comparison:
    """Without calibration the offset of a prompt multiplies its odds of a violation: a penalty that nobody chose.

    Masked, the offset is paid to accepted responses alone, whose weights it multiplies by :math:`e^{c/\\beta}`.
    """
    b = judged.bandit
    pay = judged.feasible if mask else np.ones_like(judged.feasible)
    odds = [
        violation_log_odds(log_tilt(b.log_reference, np.where(pay, b.reward + c, 0.0), b.beta), judged.feasible)
        for c in (0.0, offset)
    ]
    size = 1 + float(np.abs(b.log_reference).max()) + (1 + abs(offset)) / b.beta
    return equal(odds[1] - odds[0], -stretch * offset / b.beta, tolerance=1e-14, scale=size)


uncalibrated_offset.control("no mask", because="an offset that all responses have cancels", mask=False)
uncalibrated_offset.control("1% more", because="it is an identity", stretch=1.01)


@claim(
    PAPER,
    "pooled-baseline",
    r"\mathbb{E}\, g_c = \mathbb{E}\, g_0, \qquad \tfrac12 \bigl(\mathbb{E}\|g_c\|^2 + \mathbb{E}\|g_{-c}\|^2\bigr) - \mathbb{E}\|g_0\|^2 ="
    r" \sum_x \rho(x) (c(x) - \bar c)^2 \Bigl(1 - \sum_a \pi(a|x)^2\Bigr)",
    kind="identity",
    source="derived",
    assumes=r"g_c = (R + c(x) - b_c)\, \nabla \ln \pi(a|x), x \sim \rho, a \sim \pi; b_c \text{ the mean of } R + c \text{ over all prompts}; tables of logits",
    note="Offsets of prompts under a common baseline leave the exact gradient as it is and cost variance only: pooling does not bias.",
)
@over(prompts=(2, 5), offset=(0.1, 1.0, 10.0), draw=tuple(range(4)))
def pooled_baseline(
    *, prompts: int, offset: float, draw: int, seed: int, own_baseline: bool = False, mask: bool = False
) -> Comparison:
    r"""Uncalibrated prompts pooled with a common baseline: the same gradient, with a variance that grows with the offsets.

    :math:`\mathbb{E}_{a \sim \pi} \nabla \ln \pi = 0` at every prompt removes what depends on the prompt alone from the mean, and
    :math:`\mathbb{E}\|\nabla \ln \pi\|^2 = 1 - \sum_a \pi^2` is what multiplies its square. The mean over the two signs removes the cross term.
    """
    rng = np.random.default_rng(seed)
    K = 4
    reward, shift = rng.random((prompts, K)), offset * rng.standard_normal(prompts)
    rho, logs = rng.dirichlet(np.ones(prompts)), log_softmax(rng.standard_normal((prompts, K)), axis=-1)
    policy = np.exp(logs)
    paid = np.arange(K) < 2 if mask else np.ones(K, dtype=bool)
    scores = np.eye(K) - policy[:, None, :]  # the gradient of ln pi(a|x) in the logits of x, shape (X, a, K)

    def moments(sign: float) -> tuple[Array, float]:
        values = np.where(paid, reward + sign * shift[:, None], 0.0)
        means = (policy * values).sum(axis=1)
        advantage = values - (means if own_baseline else np.full(prompts, rho @ means))[:, None]
        mean = np.einsum("x,xa,xa,xak->xk", rho, policy, advantage, scores)
        return mean, float(np.einsum("x,xa,xa,xak->", rho, policy, advantage**2, scores**2))

    (g, _), (zero, square), above, below = moments(1.0), moments(0.0), moments(1.0)[1], moments(-1.0)[1]
    cost = float(rho @ ((shift - rho @ shift) ** 2 * gini(logs)))
    size = (1 + float(np.abs(shift).max())) ** 2
    return all_of(
        mean=equal(g, zero, tolerance=1e-13, scale=size),
        variance=equal((above + below) / 2 - square, cost, tolerance=1e-13, scale=size),
    )


pooled_baseline.control("each prompt its own baseline", because="then offsets cost nothing", own_baseline=True)
pooled_baseline.control("masked offsets", because="they are no function of the prompt alone, and bias the gradient", mask=True)
