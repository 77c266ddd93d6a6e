r"""Policy smoothing (Kumar, Levine and Feizi 2022): what Gaussian noise on observations certifies against adaptive attacks.

Notation: the agent sees :math:`o(s_t) + z_t + e_t` with :math:`z_t \sim N(0, \sigma^2)` and acts by a step function of it. The
adversary chooses :math:`e_t` knowing all that happened before, but not :math:`z_t`, with :math:`\sum_t e_t^2 \le B^2`. R is the
total reward, a whole number in 0, ..., R_max, and :math:`p_k = P(R \ge k)` its clean tails. We write
:math:`g_b(p) = \Phi(\Phi^{-1}(p) - b)`; its derivative :math:`e^{bx - b^2/2}` at :math:`x = \Phi^{-1}(p)` increases with p, so that it is
convex.

Clean laws are sums, and worst attacks come from dynamic programming. An adversary who may spend whole parts of the budget only
is a feasible one: what is proved for all adversaries holds for it without any allowance for the grid.
"""

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from mdplab.models import EpisodicMDP
from mdplab.models.families import require
from mdplab.models.state_adversary import (
    SmoothedAgent,
    decision_chain,
    noisy_accumulator,
    one_decision,
    random_smoothed_agent,
)
from mdplab.solvers.smoothed_policy import (
    certified_tails,
    clean_tails,
    loss_distance,
    win_probabilities,
    worst_attack,
)
from theory.certificates import gaussian_certificate, reward_certificate, sampled_reward_certificate
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
from theory.statistics import clopper_pearson

PAPER = Paper(
    key="policy-smoothing",
    title="Policy Smoothing for Provably Robust Reinforcement Learning",
    authors="Kumar, Levine, Feizi",
    year=2022,
    theme="safety",
    arxiv="2106.11420",
    venue="ICLR 2022",
)

Array = NDArray[np.float64]
ROUNDING = 1e-13  # sums of a few hundred products of probabilities
RANDOM = random_smoothed_agent.sweep(
    S=(2, 4), H=(1, 4), M=(1, 3), sigma=(0.3, 1.5), mixed=(0.0, 1.0), draws=by_profile(quick=1, full=6)
)
SUMS = noisy_accumulator.sweep(H=(1, 2, 3), levels=(2, 15), share=(0.3, 0.6))
ONE = one_decision.sweep(cuts=[(0.0,), (-1.0, 0.5, 2.0)], observation=(-0.5, 1.0), sigma=(0.5, 2.0))
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(100)


@claim(
    PAPER,
    "adaptive-np",
    r"P_{\text{attack}}(A) \ge \Phi\Bigl(\Phi^{-1}(p) - \frac{B}{\sigma}\Bigr), \qquad p = P_{\text{clean}}(A)",
    kind="inequality",
    source="recalled",
    assumes="every event A of the run; adaptive shifts of total square at most B^2, chosen without seeing the present noise",
)
@over(ONE, spend=(0.5, 2.0))
@over(SUMS, spend=(0.5, 1.5))
@over(RANDOM, spend=by_profile(quick=(1.0,), full=(0.2, 1.0, 2.0)))
@over(
    decision_chain.sweep(margins=Range(-1.0, 2.0, size=3), spare=(0, 1, 2), sigma=Range(0.3, 1.5)),
    spend=Range(0.2, 2.0),
    budget=by_profile(quick=15, full=400),
)
def adaptive_np(
    agent: SmoothedAgent, *, spend: float, less: float = 1.0, parts: int = 12, per_step: bool = False, sees_noise: bool = False
) -> Comparison:
    r"""Noise on the observations certifies every event against adaptive shifts, as if they were fixed in advance.

    Backwards in time: suppose that with the budget b' left the event keeps at least :math:`g_{b'/\sigma}(q)`, q its clean
    probability given the past. After a shift e it keeps at least the expectation of :math:`g_{b'/\sigma}(q(z))` at the shifted
    noise. That is the probability that :math:`u \le \Phi^{-1}(q(z))` for a normal u moved by b', an event of two normal numbers moved by
    (e, b'), whose length is b. By Neyman and Pearson's lemma it is at least :math:`g_{b/\sigma}(\mathbb{E}\, q)`. The events here
    are :math:`R \ge k`.
    """
    worst = worst_attack(agent, spend, parts, bracket=False, per_step=per_step, sees_noise=sees_noise)
    return at_most(certified_tails(agent, less * spend), worst.tails, slack=ROUNDING)


adaptive_np.control("half the shift", because="a half-line of one observation attains the whole", less=0.5)
adaptive_np.control(
    "0.99 of the shift, on runs of three steps",
    because="a sum of rounded noise nearly attains it",
    on=domain(noisy_accumulator.sweep(H=3, levels=31, share=0.5), spend=1.0),
    less=0.99,
)
adaptive_np.control(
    "a budget for each step",
    because="two decisions, both of which must be right, are then attacked twice",
    on=domain(decision_chain.sweep(margins=[(1.0, 1.0)]), spend=1.0),
    per_step=True,
)
adaptive_np.control(
    "an adversary who sees the noise",
    because="it spends only where a decision can be turned: both stay right with probability 1/4, not 0.325",
    on=domain(decision_chain.sweep(margins=[(1.0, 1.0)]), spend=1.0),
    sees_noise=True,
)


@claim(
    PAPER,
    "tightness",
    r"\min_{\text{attack}} P\Bigl(\sum_t w_t x_t \le c\Bigr) = \Phi\Bigl(\Phi^{-1}(p) - \frac{B}{\sigma}\Bigr), \qquad"
    r" e_t = \frac{B\, w_t}{\|w\|}",
    kind="identity",
    source="derived",
    assumes="x_t = z_t + e_t; any weights w and number c",
)
@over(
    weights=[(1.0,), (1.0, 1.0), (1.0,) * 3, (1.0,) * 5, (2.0, 1.0), (1.0, 2.0, 1.5), (0.5, -1.0, 1.0, 1.5)],
    sigma=0.5,
    spend=(0.3, 2.0),
    c=(-0.7, 1.0),
)
def tightness(
    *, weights: tuple[float, ...], sigma: float, spend: float, c: float, schedule: str = "proportional", bold: float = 1.0
) -> Comparison:
    r"""Half-spaces of the observations attain the certificate for every horizon, and adaptivity does not help.

    Let :math:`W_t = \|(w_t, \ldots, w_{H-1})\|`. With the gap x to c and the budget b left before step t, the function
    :math:`V_t(x, b) = \Phi((x - b W_t) / (\sigma W_t))` solves the adversary's Bellman equation: after a shift e the expectation of
    :math:`V_{t+1}` is :math:`\Phi((x - w_t e - \sqrt{b^2 - e^2}\, W_{t+1}) / (\sigma W_t))`, and
    :math:`w_t e + \sqrt{b^2 - e^2}\, W_{t+1} \le b W_t` by Cauchy and Schwarz, with equality for :math:`e = b w_t / W_t` only. At
    t = 0 it is the certificate. The expectation is taken by Gauss and Hermite's quadrature, for 21 shifts between -b and b and
    several gaps; the final step is a normal probability.
    """
    w = np.array(weights)
    W = np.append(np.sqrt(np.cumsum(w[::-1] ** 2)[::-1]), 0.0)
    noise = sigma * NODES
    parts = []
    left = spend
    for t in range(w.size):
        e_best = left * w[t] / W[t]
        shifts = np.append(np.linspace(-left, left, 21), {"proportional": e_best, "evenly": spend / np.sqrt(w.size)}[schedule])
        shifts = np.clip(shifts, -left, left)
        for x in (c, c + W[t], c - W[t]):
            rest = np.sqrt(np.maximum(left**2 - shifts**2, 0.0))
            if t == w.size - 1:
                kept = special.ndtr((x - w[t] * shifts) / (sigma * abs(w[t])))
            else:
                gap = x - w[t] * (shifts[:, None] + noise)
                after = special.ndtr((gap - rest[:, None] * W[t + 1]) / (sigma * W[t + 1]))
                kept = after @ WEIGHTS / np.sqrt(2 * np.pi)
            value = special.ndtr((x - bold * left * W[t]) / (sigma * W[t]))
            parts += [at_least(kept, value, slack=1e-10), equal(kept[-1], value, tolerance=1e-9, scale=1.0)]
        left = float(np.sqrt(max(left**2 - e_best**2, 0.0)))
    clean = special.ndtr(c / (sigma * W[0]))
    value = special.ndtr((c - spend * W[0]) / (sigma * W[0]))
    return all_of(*parts, equal(gaussian_certificate(clean, bold * spend / sigma), value, tolerance=1e-12))


tightness.control("the same shift at each step", because="heavier observations deserve more of it", schedule="evenly")
tightness.control("1 per cent more of the shift", because="no adversary attains that", bold=1.01)


@claim(
    PAPER,
    "total-reward",
    r"\min_{\text{attack}} \mathbb{E} R \ge \sum_{k=1}^{R_{\max}} \Phi\Bigl(\Phi^{-1}(p_k) - \frac{B}{\sigma}\Bigr)",
    kind="inequality",
    source="recalled",
    assumes="R is a whole number in 0, ..., R_max; the attacks of adaptive-np",
)
@over(ONE, spend=(0.5, 2.0))
@over(SUMS, spend=(0.5, 1.5))
@over(RANDOM, spend=by_profile(quick=(1.0,), full=(0.2, 1.0, 2.0)))
def total_reward(
    agent: SmoothedAgent, *, spend: float, less: float = 1.0, parts: int = 12, per_step: bool = False, sees_noise: bool = False
) -> Comparison:
    r"""The certificates of the tails add up to a certificate of the expected total reward.

    :math:`\mathbb{E} R = \sum_k P(R \ge k)`, and the same attack cannot leave less to any tail than its certificate. A single
    decision whose rewards rise with the observation attains it: one shift is the worst for all tails.
    """
    worst = worst_attack(agent, spend, parts, bracket=False, per_step=per_step, sees_noise=sees_noise)
    return at_most(certified_tails(agent, less * spend).sum(), worst.reward, slack=ROUNDING * agent.mdp.horizon)


total_reward.control("half the shift", because="a single decision attains the whole", less=0.5)
total_reward.control("0.99 of the shift", because="a single decision attains it", less=0.99)
total_reward.control(
    "a budget for each step",
    because="each of several decisions is then attacked",
    on=domain(RANDOM, spend=2.0),
    per_step=True,
)
total_reward.control(
    "an adversary who sees the noise",
    because="it turns decisions that the noise nearly turned",
    on=domain(decision_chain.sweep(margins=[(1.0, 1.0)]), spend=1.0),
    sees_noise=True,
)


@claim(
    PAPER,
    "tails-or-mean",
    r"R_{\max}\, g_b\Bigl(\frac{\mathbb{E} R}{R_{\max}}\Bigr) \le \sum_{k=1}^{R_{\max}} g_b(p_k)",
    kind="inequality",
    source="derived",
    assumes="b = B / sigma >= 0; the left side is the certificate of R / R_max as an outcome in [0, 1]",
)
@over(RANDOM, b=(0.2, 1.0, 4.0))
@over(ONE, b=(0.2, 1.0, 4.0))
@over(random_smoothed_agent.sweep(S=2, H=1, M=0, largest=1), b=1.0)
def tails_or_mean(agent: SmoothedAgent, *, b: float, per_mean: float = 1.0, most: bool = False) -> Comparison:
    r"""To certify the tails one by one is never worse than to certify the mean as a number in [0, 1].

    The function :math:`g_b` is convex, and the mean of the :math:`p_k` is :math:`\mathbb{E} R / R_{\max}` (Jensen). Equal tails attain
    it: a total that is 0 or R_max.
    """
    tails = clean_tails(agent)
    mean = float(np.minimum(tails.mean(), 1.0)) if tails.size else 0.0
    sides = tails.size * gaussian_certificate(min(per_mean * mean, 1.0), b), reward_certificate(tails, b)
    return at_most(*(sides[::-1] if most else sides), slack=ROUNDING * max(tails.size, 1))


tails_or_mean.control("1.01 of the mean", because="a total that is 0 or R_max attains it", per_mean=1.01)
tails_or_mean.control("never better either", because="tails that differ gain from convexity", most=True)


@claim(
    PAPER,
    "known-start",
    r"\Phi\Bigl(\Phi^{-1}(p) - \frac{B}{\sigma}\Bigr) \le \sum_s \rho(s)\, \Phi\Bigl(\Phi^{-1}(p(s)) - \frac{B}{\sigma}\Bigr)"
    r" \le \min_{\text{attack}} P(A)",
    kind="inequality",
    source="derived",
    assumes="p(s) is the clean probability of A from the start state s, which has the law rho",
    note="Sharper than the certificate of p wherever clean probabilities differ between start states.",
)
@over(
    random_smoothed_agent.sweep(
        S=(2, 4), H=(1, 3), M=(1, 3), sigma=(0.3, 1.5), start="random", draws=by_profile(quick=1, full=12)
    ),
    spend=(0.2, 1.0, 2.0),
)
def known_start(
    agent: SmoothedAgent, *, spend: float, less: float = 1.0, first_action: bool = False, parts: int = 12
) -> Comparison:
    r"""Certificates from each start state, averaged, are sharper than the certificate of the average, and still valid.

    From each start state `policy-smoothing/adaptive-np` holds, as the adversary has the whole budget in each. The average is the
    larger one because :math:`g_b` is convex. The same goes for all randomness that does not depend on observations. At one
    step with rewards that rise with the observation, the right inequality is an equality; no such average over the first
    action is valid, because the attack changes its law.
    """
    refined = certified_tails(agent, less * spend, known_start=True)
    if first_action:
        mdp, policy, ahead = agent.mdp, agent.action_probabilities(), win_probabilities(agent)
        assert mdp.start is not None
        refined = np.zeros(refined.size)
        for s, a in np.ndindex(mdp.states, mdp.actions):
            left = np.maximum(np.arange(1, refined.size + 1) - int(mdp.R[0, s, a]), 0)
            after = np.minimum((mdp.P[0, s, a] @ ahead[1])[left], 1.0)
            refined += mdp.start[s] * policy[s, a] * gaussian_certificate(after, spend / agent.sigma)
    return all_of(
        sharper=at_most(certified_tails(agent, less * spend), refined, slack=ROUNDING),
        valid=at_most(refined, worst_attack(agent, spend, parts, bracket=False).tails, slack=ROUNDING),
    )


known_start.control("0.98 of the shift", because="one step with two actions attains it", less=0.98)
known_start.control("the first action known as well", because="the attack changes its law", first_action=True)


@family(H=1)
def single_decision(
    H: int = 3, margins: tuple[float, ...] = (0.5,), at: str = "random", inside: float = 0.0, sigma: float = 1.0
) -> SmoothedAgent:
    """A run of which one observation decides, at the "first", the "last" or a "random" step, with one of ``margins`` at random.

    Before, the observation is 1, and the action does not matter. The decision is right above 0, or with a positive ``inside``
    within that distance of 0.
    """
    require(at in ("first", "last", "random"), f"the decision comes at the 'first', the 'last' or a 'random' step, not {at!r}.")
    D = len(margins)
    wait, won, lost = 0, D + 1, D + 2
    P, R = np.zeros((H, D + 3, 3, D + 3)), np.zeros((H, D + 3, 3))
    right = np.array([0, 1, 0]) if inside else np.array([0, 1, 1])
    P[:, won, :, won] = P[:, lost, :, lost] = 1.0
    P[:, 1 : D + 1, :, won] = right
    P[:, 1 : D + 1, :, lost] = 1 - right
    P[:, wait, :, wait] = 0.5
    P[:, wait, :, 1 : D + 1] = 0.5 / D
    P[H - 2 :, wait] = np.append(0.0, np.append(np.full(D, 1.0 / D), np.zeros(2)))  # the last call
    if at == "last":
        P[: max(H - 2, 0), wait] = np.eye(D + 3)[wait]
    R[H - 1, won] = 1.0
    R[H - 1, 1 : D + 1] = right
    start = np.eye(D + 3)[wait] if at != "first" and H > 1 else np.append(0.0, np.append(np.full(D, 1.0 / D), np.zeros(2)))
    cuts = np.array([-inside, inside]) if inside else np.array([0.0, 1.0])
    return SmoothedAgent(
        EpisodicMDP(P, R, start=start), np.concatenate(([1.0], margins, [0.0, 0.0])), cuts, np.arange(3), sigma
    )


def _decides(agent: SmoothedAgent, k: int, one_start: bool = True) -> bool:
    """Whether R >= k is decided by a half-line of one observation, before which its clean probability never changes."""
    ahead = win_probabilities(agent)
    mdp, near = agent.mdp, 1e-12
    assert mdp.start is not None
    starts = np.flatnonzero(mdp.start).tolist()
    if one_start and np.ptp(ahead[0, starts, k]) > near:
        return False
    nodes = {(0, s, k) for s in starts}
    while nodes:
        after: set[tuple[int, int, int]] = set()
        for t, s, y in nodes:
            now = ahead[t, s, y]
            if min(now, 1 - now) < near:
                continue
            # by interval of the observation, the places and the probabilities that may follow
            follow = [
                [(t + 1, to, max(y - int(mdp.R[t, s, a]), 0)) for to in np.flatnonzero(mdp.P[t, s, a]).tolist()]
                for a in agent.choice.tolist()
            ]
            chance = [[ahead[place] for place in places] for places in follow]
            if all(abs(q - now) < near for row in chance for q in row):
                after.update(place for places in follow for place in places)
                continue
            rows = np.array([[min(row), max(row)] for row in chance])
            certain = (rows < near).all(axis=1) | (rows > 1 - near).all(axis=1)
            if not certain.all() or np.count_nonzero(np.diff(rows[:, 0] > 0.5)) > 1:
                return False
        nodes = after
    return True


@claim(
    PAPER,
    "attained",
    r"\inf_{\text{attack}} P(R \ge k) = \Phi\Bigl(\Phi^{-1}(p_k) - \frac{B}{\sigma}\Bigr) \iff"
    r" \text{one observation of the run decides } R \ge k, \text{ by a half-line}",
    kind="identity",
    source="derived",
    assumes="finitely many actions; 0 < p_k < 1 and B > 0",
    note="With finitely many actions a run of several decisions never attains the certificate; it can come near it.",
)
@over(single_decision.sweep(H=(1, 4), margins=[(0.5,), (-0.3,)], at=("first", "last", "random")), spend=(0.5, 1.5))
@over(single_decision.sweep(H=(1, 3), margins=[(1.0, -0.5)], at=("first", "random")), spend=(0.5, 1.5))
@over(single_decision.sweep(H=(1, 3), margins=[(0.2,), (0.0,)], at=("first", "random"), inside=1.0), spend=(0.5, 1.5))
@over(ONE, spend=(0.5, 1.5))
@over(decision_chain.sweep(margins=[(1.0, 1.0), (0.0, 0.3, 0.6)], spare=(0, 1)), spend=(0.5, 1.5))
@over(noisy_accumulator.sweep(H=2, levels=(2, 3), share=0.5), spend=1.0)
def attained(agent: SmoothedAgent, *, spend: float, one_start: bool = True, never: bool = False, parts: int = 12) -> Comparison:
    r"""The certificate is attained exactly where one observation decides everything, by a half-line.

    In the step of `policy-smoothing/adaptive-np` Neyman and Pearson's bound is an equality only if the event
    :math:`u \le \Phi^{-1}(q(z))` is a half-plane. With finitely many actions q takes finitely many values, so that it is one only
    if q is constant (this observation does not matter; then e = 0 is best), or if q is the indicator of a half-line, and all
    of the budget is spent here. A random transition that changes q makes the bound strict, as :math:`g_b` is strictly convex.
    "Not attained" is verified by the lower bound on all adversaries of :mod:`mdplab.solvers.smoothed_policy`.
    """
    worst = worst_attack(agent, spend, parts)
    certificate, clean = certified_tails(agent, spend), clean_tails(agent)
    checks = []
    for k in np.flatnonzero((clean > 1e-9) & (clean < 1 - 1e-9)).tolist():
        if not never and _decides(agent, k + 1, one_start):
            checks.append(equal(worst.tails[k], certificate[k], tolerance=1e-12, scale=1.0))
        else:
            checks.append(always(worst.tails_low[k] > certificate[k] + 1e-9, "the certificate is attained"))
    return all_of(*checks)


attained.control("never", because="one decision attains it", never=True)
attained.control("start states may differ", because="the certificate is strictly convex in p", one_start=False)


@claim(
    PAPER,
    "small-noise",
    r"\Pi \le 1 - p \le \binom{H}{j+1}\, \Pi, \qquad \Pi = \prod_{i=0}^{j} \Phi\Bigl(-\frac{m_{(i)}}{\sigma}\Bigr), \qquad"
    r" \lim_{\sigma \to 0} \sigma\, \Phi^{-1}(p) = d = \Bigl(\sum_{i=0}^{j} m_{(i)}^2\Bigr)^{1/2}",
    kind="inequality",
    source="derived",
    assumes="H decisions with margins m_(0) <= m_(1) <= ..., positive, of which j may be wrong; the run is won with probability p",
    note="In the limit of small noise the certified radius is the budget with which the agent without noise is defeated.",
)
@over(
    decision_chain.sweep(
        margins=[(1.0, 1.0), (0.5, 1.5), (0.4, 0.9, 1.3), (1.0,) * 5, (0.3, 0.6, 0.9, 1.2)],
        spare=(0, 1),
        sigma=(0.05, 0.1, 0.3, 1.0),
    )
)
def small_noise(agent: SmoothedAgent, *, more: float = 1.0, less: float = 1.0, first: bool = False) -> Comparison:
    r"""The certified radius tends to the least shift that defeats the agent without noise, as the noise gets smaller.

    The radius :math:`\sigma \Phi^{-1}(p)` is the budget at which the certificate falls to 1/2. The run is lost if the j + 1
    decisions with the least margins are all wrong, and only if some j + 1 of them are: there are that many sets, each with a
    probability of at most :math:`\Pi`. Without noise, the cheapest way to lose costs d. As :math:`\ln \Phi(-x)` is
    :math:`-x^2/2 \cdot (1 + o(1))`, both ends have the same limit. If no decision may be wrong, the left side says that noise never
    certifies more than d; otherwise it may. Equal margins attain the right side in the limit.
    """
    margins = np.sort(agent.observation.reshape(agent.mdp.horizon, -1)[:, 0])
    spare = agent.mdp.states // agent.mdp.horizon - 2
    turned = margins[:1].repeat(spare + 1) if first else margins[: spare + 1]
    lost = float(clean_tails(agent, losses=True)[0])
    product = float(special.ndtr(-turned / agent.sigma).prod())
    d = float(np.sqrt((turned**2).sum()))
    ways = special.comb(margins.size, spare + 1)
    # both ends of the radius, by -ln(1 - p) in place of 1 - p
    radius, low, high = (-agent.sigma * special.ndtri(q) for q in (lost, min(less * ways * product, 1.0), more * product))
    return all_of(
        cheapest=equal(loss_distance(agent), d, tolerance=1e-12),
        low=at_most(more * product, lost, slack=1e-12 * lost),
        high=at_most(lost, less * ways * product, slack=1e-12 * lost),
        radius=at_most([low, radius], [radius, high], slack=1e-9),
        no_gain=at_most(radius, d, slack=1e-9) if spare == 0 else at_most(low, d, slack=1e-9 + agent.sigma),
    )


small_noise.control("1.05 of the product", because="unequal margins attain the left side", more=1.05)
small_noise.control("0.95 of the right side", because="equal margins attain it", less=0.95)
small_noise.control("the least margin for every decision", because="each decision that is turned costs its own", first=True)


def _counts(samples: int, outcomes: int) -> NDArray[np.int64]:
    """All ways in which ``samples`` roll-outs fall on outcomes 0 .. outcomes - 1, shape (ways, outcomes)."""
    bars = np.array(list(itertools.combinations(range(samples + outcomes - 1), outcomes - 1)), dtype=np.int64)
    bars = bars.reshape(-1, outcomes - 1)
    padded = np.pad(bars, ((0, 0), (1, 1)), constant_values=-1)
    padded[:, -1] = samples + outcomes - 1
    return np.diff(padded, axis=1) - 1


@claim(
    PAPER,
    "sampled-total-reward",
    r"P\Bigl(\sum_{k=1}^{R_{\max}} \Phi\Bigl(\Phi^{-1}\bigl(\hat p_k - \sqrt{\tfrac{1}{2N} \ln \tfrac{c}{\delta}}\bigr) - \frac{B}{\sigma}"
    r"\Bigr) > \min_{\text{attack}} \mathbb{E} R\Bigr) \le \delta",
    kind="high-probability bound",
    source="recalled",
    assumes="N independent clean roll-outs; c = 2 as recalled from the paper, c = 1 suffices; tails below 0 count as 0",
    note="The statement holds with ln(1/delta) in place of ln(2/delta): only one side of the inequality of Dvoretzky, Kiefer and"
    " Wolfowitz is used.",
)
@over(
    tails=[(0.8,), (0.5,), (0.05,)],
    rollouts=by_profile(quick=(200,), full=(200, 1000)),
    b=(0.5, 2.0),
    delta=(0.05, 0.5),
    sides=(1, 2),
)
@over(tails=[(0.8, 0.5), (0.95, 0.05), (0.5, 0.5)], rollouts=80, b=(0.0, 0.5, 2.0), delta=(0.05, 0.5), sides=(1, 2))
@over(tails=[(0.75, 0.5, 0.25), (0.5, 0.5, 0.5), (0.9, 0.6, 0.01)], rollouts=30, b=(0.0, 0.5), delta=(0.05, 0.5), sides=(1, 2))
def sampled_total_reward(
    *, tails: tuple[float, ...], rollouts: int, b: float, delta: float, sides: int, width: float = 1.0
) -> Comparison:
    r"""A certificate from roll-outs is too high with probability at most delta, computed exactly.

    With probability :math:`1 - \delta` all tails lie above their lower bounds at once (Massart 1990), and certificates increase
    with the tails. The worst expectation is the certificate of the true tails, as a single decision attains it
    (`policy-smoothing/total-reward`). The probability is the sum over all outcomes of the N roll-outs. For p = 0.8, B / sigma =
    0.5, N = 200 and delta = 0.05 it is 1e-4, and 0.46 for the plain shares of the roll-outs.
    """
    p = np.array(tails)
    law = -np.diff(p, prepend=1.0, append=0.0)
    counts = _counts(rollouts, p.size + 1)
    if width:
        rewards = np.repeat(np.tile(np.arange(p.size + 1), len(counts)), counts.ravel()).reshape(len(counts), rollouts)
        found = sampled_reward_certificate(rewards, p.size, b, (delta / sides) ** width**2)
    else:
        found = reward_certificate(np.cumsum(counts[:, ::-1], axis=1)[:, ::-1][:, 1:] / rollouts, b)
    logs = special.gammaln(rollouts + 1) - special.gammaln(counts + 1).sum(axis=1) + special.xlogy(counts, law).sum(axis=1)
    too_high = found > reward_certificate(p, b) * (1 + 1e-12)
    return at_most(np.exp(logs)[too_high].sum(), delta, slack=1e-11)


sampled_total_reward.control("the plain shares", because="they are too high about half of the time", width=0.0)
sampled_total_reward.control(
    "0.65 of the width",
    because="that is 1.59 standard deviations of shares near 1/2, and delta needs 1.64",
    on=domain(tails=[(0.5,)], rollouts=(1000, 1001), b=0.5, delta=0.05, sides=1),
    width=0.65,
)


@claim(
    PAPER,
    "sampled-event",
    r"P\Bigl(\Phi\Bigl(\Phi^{-1}(L) - \frac{B}{\sigma}\Bigr) > \min_{\text{attack}} P(A)\Bigr) \le \delta, \qquad"
    r" L \le \delta^{1/N}, \qquad \text{radius} \le \sigma\, \Phi^{-1}(\delta^{1/N})",
    kind="high-probability bound",
    source="derived",
    assumes="L is Clopper and Pearson's lower bound of level delta on P(A), from N independent clean roll-outs",
    note="With N = 1000 roll-outs, all of them won, and delta = 0.05 a radius of 2.75 sigma is certified;"
    " the width of sampled-total-reward, with c = 2, certifies 1.72 sigma.",
)
@over(rollouts=(2, 20, 200), share=(0.3, 0.8, 1.0), b=(0.5, 2.0), delta=(0.01, 0.05, 0.2))
def sampled_event(
    *, rollouts: int, share: float, b: float, delta: float, spent: float = 1.0, width: float = 1.0, plain: bool = False
) -> Comparison:
    r"""For a single event the exact binomial bound spends all of delta, and no valid bound certifies a larger radius.

    The certificate increases with L, so that it is too high exactly if L > P(A), where a half-line attains it. The worst P(A) is
    just below the bound of some count: here that of a given share of the roll-outs. If all roll-outs are won, L is
    :math:`\delta^{1/N}`. A larger number would be too high with probability above delta when P(A) lies in between.
    """
    low = np.array([clopper_pearson(k, rollouts, spent * delta, "lower").low for k in range(rollouts + 1)])
    found = np.arange(rollouts + 1) / rollouts if plain else width * low + (1 - width) * np.arange(rollouts + 1) / rollouts
    count = max(round(share * rollouts), 1)
    p = low[count] * (1 - 1e-9)
    worst = float(gaussian_certificate(p, b))
    too_high = gaussian_certificate(found, b) > worst
    chance = stats.binom.pmf(np.arange(rollouts + 1), rollouts, p)[too_high].sum()
    return all_of(
        level=at_most(chance, delta),
        most=at_most(found[-1], delta ** (1 / rollouts), slack=1e-12),
    )


sampled_event.control("a bound at 1.02 delta", because="the exact bound spends all of delta", spent=1.02)
sampled_event.control("0.98 of the width", because="there is no width to spare", width=0.98)
sampled_event.control("the plain share", because="it is too high about half of the time", plain=True)
