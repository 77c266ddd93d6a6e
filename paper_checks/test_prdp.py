r"""PRDP (Deng et al. 2024): diffusion models tuned by predicting the differences of rewards.

Notation: trajectories y with the terminal reward r(y), a reference mu, pi* proportional to mu e^{r/beta}, Delta = beta ln(pi/mu) - r, and
RDP(pi) = E[(Delta(y) - Delta(y'))^2] on pairs from a law nu, mostly mu. J is the expected reward less beta KL(pi || mu), its gap
J(pi*) - J(pi) = beta KL(pi || pi*), and C(pi) = max pi/nu.

Trajectories are responses of a bandit, leaves of a token tree or paths of a finite chain. The paper clips log-ratios near those of
the previous policy; no guarantee is stated for that, and there is no claim about it here.
"""

import numpy as np
from numpy.typing import NDArray

from bandits.preference.comparisons import independent_pairs
from bandits.preference.families import kl_bandit, random_kl_bandit
from bandits.preference.kl_bandit import KLBandit, kl_gap
from bandits.preference.reward_difference import (
    gap_bounds,
    reward_difference_loss,
    reward_error,
    weighted_reward_difference_loss,
)
from mdplab.models.finite_chain import (
    FiniteChain,
    marginals,
    path_log_probabilities,
    paths,
    scored_chain,
    soft_values,
    tilted_target,
    twisted,
)
from mdplab.models.token_tree import TokenTree, leaf_rewards, random_token_tree
from mdplab.solvers.token_tree import leaf_log_probabilities
from theory.claims import Comparison, Paper, Range, all_of, always, at_least, at_most, by_profile, claim, domain, equal, over
from theory.coverage import largest_ratio
from theory.divergences import kl
from theory.tilts import log_tilt

Array = NDArray[np.float64]

PAPER = Paper(
    key="prdp",
    title="PRDP: Proximal Reward Difference Prediction for Large-Scale Reward Finetuning of Diffusion Models",
    authors="Deng, Wang, Wei, Grundmann, Hou",
    year=2024,
    theme="alignment",
    arxiv="2402.08714",
)

BANDITS = random_kl_bandit.sweep(
    K=(2, 12), concentration=(0.1, 1.0), spread=(0.1, 3.0), beta=(0.1, 2.0), draws=by_profile(quick=1, full=10)
)
TREES = random_token_tree.sweep(A=(2, 3), H=3, terminal=True, draws=by_profile(quick=1, full=10))
CHAINS = scored_chain.sweep(S=3, T=(1, 3), point=True, draws=by_profile(quick=1, full=10))


def _bandit(model: KLBandit | TokenTree | FiniteChain, beta: float) -> KLBandit:
    """The trajectories of a tree or a chain as responses; only those that occur."""
    if isinstance(model, KLBandit):
        return model
    if isinstance(model, TokenTree):
        return KLBandit(leaf_rewards(model), leaf_log_probabilities(model.log_reference), beta)
    law = path_log_probabilities(model)
    there = np.isfinite(law)
    return KLBandit(model.reward[paths(model)[there, -1]], law[there], beta)


def _other_policies(bandit: KLBandit, noise: float, rng: np.random.Generator) -> Array:
    """Policies off the optimum: tilts by rewards with normal errors, with one wrong reward, and the reference."""
    K = bandit.responses
    normal = rng.standard_normal((4, K))
    single = np.zeros((2, K))
    single[0, int(np.argmin(bandit.log_reference))] = 3.0
    single[1, int(rng.integers(K))] = -3.0
    errors = noise * bandit.beta * np.concatenate((normal, single))
    return np.concatenate((log_tilt(bandit.log_reference, bandit.reward + errors, bandit.beta), bandit.log_reference[None]))


@claim(
    PAPER,
    "zero-loss-iff-optimal",
    r"\mathrm{RDP}(\pi) = 2\, \mathrm{Var}_\mu(\Delta) = 0 \iff \pi = \pi^\star; \qquad J(\pi^\star) - J(\pi) \le \sqrt{C(\pi^\star) C(\pi)\,"
    r" \mathrm{RDP}(\pi)}, \quad \le \frac{\mathrm{RDP}(\pi)}{4 \beta \min \mu}",
    kind="inequality",
    source="derived",
    assumes=r"pairs drawn independently from \mu, of full support; that the optimum has loss 0 and is unique is the paper's",
    note="The bounds say how near 0 is near enough. Smaller ones: `prdp/sharper-gap`.",
)
@over(BANDITS, beta=0.0, noise=(0.01, 1.0))
@over(TREES | CHAINS, beta=(0.1, 2.0), noise=(0.01, 1.0))
@over(
    kl_bandit.sweep(reward=Range(-2.0, 2.0, size=3), logits=Range(-5.0, 5.0, size=3), beta=Range(0.1, 2.0, log=True)),
    beta=0.0,
    noise=3.0,
    budget=by_profile(quick=60, full=600),
)
def zero_loss_iff_optimal(
    model: KLBandit | TokenTree | FiniteChain,
    *,
    beta: float,
    noise: float,
    seed: int,
    omitted: bool = False,
    covered: bool = True,
    constant: float = 4.0,
) -> Comparison:
    r"""A policy that predicts all differences of rewards is the optimum, and one that nearly does is nearly it.

    Delta is constant exactly if :math:`\pi \propto \mu e^{r/\beta}`. As :math:`\pi` is optimal for its implicit reward, its gap is at most
    :math:`\mathbb{E}_\pi \Delta - \mathbb{E}_{\pi^\star} \Delta`, the mean of :math:`\Delta(y) - \Delta(y')` over :math:`\pi \times \pi^\star`; by Jensen's inequality
    and a change of measure that is at most :math:`\sqrt{C C^\star \mathrm{RDP}}`. Along the tilts :math:`\pi_s` by :math:`r + s \Delta` the gap is
    :math:`\frac1\beta \int_0^1 s\, \mathrm{Var}_{\pi_s}(\Delta)\, ds`, and :math:`\mathrm{Var}_{\pi_s} \le \mathrm{Var}_\mu / \min \mu`.

    The loss is a sum over all pairs of trajectories here, and compared with twice the variance.
    """
    bandit = _bandit(model, beta)
    rng = np.random.default_rng(seed)
    policies = _other_policies(bandit, noise, rng)
    pairs = independent_pairs(bandit.reference)
    if omitted:  # one trajectory is in no pair, and the policies are the optimum but for its probability
        left_out = int(np.argmin(bandit.log_reference))
        pairs[left_out] = pairs[:, left_out] = 0.0
        shift = np.zeros((3, bandit.responses))
        shift[:, left_out] = 0.5, 1.0, 2.0
        policies = log_tilt(bandit.log_optimum, shift, 1.0)
    loss = weighted_reward_difference_loss(bandit, policies, pairs)
    gap = kl_gap(bandit, policies)
    smallest = bandit.reference.min()
    product = largest_ratio(bandit.log_optimum, bandit.log_reference) * (
        largest_ratio(policies, bandit.log_reference) if covered else 1.0
    )
    size = float(np.abs(bandit.reward).max() + bandit.beta * np.abs(policies - bandit.log_reference).max())
    rounding = 1e-15 * size**2
    at_optimum = weighted_reward_difference_loss(bandit, bandit.log_optimum, pairs)
    parts = {
        "optimum": equal(at_optimum, 0.0, tolerance=1e-14, scale=(1 + size) ** 2),
        "pairs": at_most(gap, np.sqrt(product * (loss + rounding))),
        "linear": at_most(gap, (loss + rounding) / (constant * bandit.beta * smallest)),
    }
    if not omitted:
        parts["variance"] = equal(loss, reward_difference_loss(bandit, policies), tolerance=1e-11)
    return all_of(**parts)


zero_loss_iff_optimal.control(
    "pairs that leave one trajectory out", because="no pair tells how likely it should be", omitted=True
)
zero_loss_iff_optimal.control(
    "without the policy's coverage",
    because="an error where nothing was drawn costs nothing in the loss",
    on=domain(random_kl_bandit.sweep(K=12, concentration=0.1, beta=0.1, spread=3.0, seed=(1, 2, 3, 4)), beta=0.0, noise=20.0),
    covered=False,
)
zero_loss_iff_optimal.control(
    "a 2.1 times smaller linear bound",
    because="two equally likely trajectories attain half of it",
    on=domain(kl_bandit.sweep(reward=[(0.0, 0.0)], logits=[(0.0, 0.0)]), beta=0.0, noise=0.01),
    constant=8.4,
)


@claim(
    PAPER,
    "sharper-gap",
    r"J(\pi^\star) - J(\pi) \le \frac{\mathrm{RDP}(\pi)}{8 \beta \min \nu}, \qquad J(\pi^\star) - J(\pi) \le \Bigl(\tfrac12 \max_{y \ne y'}"
    r" [\rho(y) \rho^\star(y') + \rho^\star(y) \rho(y')]\, \mathrm{RDP}(\pi)\Bigr)^{1/2}, \quad \rho = \pi/\nu",
    kind="inequality",
    source="derived",
    assumes=r"pairs drawn independently from any law \nu of full support, not only from \mu",
    note="Half of the constants of `prdp/zero-loss-iff-optimal` (the second under a root). The first is attained by two equally likely trajectories"
    " and small errors; the second comes near the gap where both policies are nearly deterministic and differ.",
)
@over(BANDITS, beta=0.0, noise=(0.01, 1.0), off=(0.0, 1.0))
@over(TREES | CHAINS, beta=(0.1, 2.0), noise=1.0, off=1.0)
@over(kl_bandit.sweep(reward=[(0.0, 0.0)], logits=[(0.0, 0.0)]), beta=0.0, noise=0.01, off=0.0)
@over(
    kl_bandit.sweep(reward=Range(-5.0, 5.0, size=2), logits=Range(-5.0, 5.0, size=2), beta=Range(0.1, 2.0, log=True)),
    beta=0.0,
    noise=Range(0.01, 10.0, log=True),
    off=0.0,
    budget=by_profile(quick=150, full=1500),
)
def sharper_gap(
    model: KLBandit | TokenTree | FiniteChain,
    *,
    beta: float,
    noise: float,
    off: float,
    seed: int,
    linear: float = 1.0,
    pair: float = 1.0,
) -> Comparison:
    r"""The loss bounds the gap with half the constants, whatever law the pairs are drawn from.

    A variance is at most a quarter of the squared range R of Delta. The responses that have the range have under :math:`\nu` a variance of
    at least :math:`\frac{\nu_i \nu_j}{\nu_i + \nu_j} R^2 \ge \tfrac12 R^2 \min \nu` with any others between them. So :math:`\mathrm{Var}_{\pi_s}(\Delta) \le
    \mathrm{Var}_\nu(\Delta)/(2 \min \nu)` for all tilts :math:`\pi_s` in the integral of `prdp/zero-loss-iff-optimal`.

    :math:`(\Delta(y) - \Delta(y'))^2` does not change when y and y' change places and is 0 where they are equal: its mean under
    :math:`\pi \times \pi^\star` is that under the symmetric half-sum, of which only pairs of different trajectories count.
    """
    plain = _bandit(model, beta)
    rng = np.random.default_rng(seed)
    policies = _other_policies(plain, noise, rng)
    if off:  # pairs from another law than the reference
        law = log_tilt(plain.log_reference, off * rng.standard_normal(plain.responses), 1.0)
        plain = KLBandit(plain.reward, plain.log_reference, plain.beta, law)
    bounds = gap_bounds(plain, policies)
    gap = kl_gap(plain, policies)
    size = float(np.abs(reward_error(plain, policies)).max())
    # the error's rounding, by which a loss of 0 may be off
    slack = [1e-15 * size**2 / (plain.beta * np.exp(plain.log_pairs.min())), 1e-12 * (1 + bounds.symmetric)]
    return all_of(
        linear=at_most(gap, linear * bounds.linear, slack=slack[0]),
        pairs=at_most(gap, pair * bounds.symmetric, slack=slack[1]),
    )


sharper_gap.control("two per cent less than the linear bound", because="two equally likely trajectories attain it", linear=0.98)
sharper_gap.control(
    "four fifths of the bound by pairs",
    because="nearly deterministic policies come near it",
    on=domain(
        random_kl_bandit.sweep(K=2, beta=0.1, concentration=0.1, spread=3.0, seed=616920500), beta=0.0, noise=0.01, off=0.0
    ),
    pair=0.8,
)


@claim(
    PAPER,
    "marginal",
    r"\pi^\star(\tau) \propto \mu(\tau) e^{r(x_T)/\beta}: \quad \pi^\star(x_T) \propto \mu(x_T) e^{r(x_T)/\beta}, \quad"
    r" \mathrm{KL}(\pi^\star \| \mu) = \mathrm{KL}(\pi^\star_T \| \mu_T), \qquad \mathrm{KL}(\pi \| \mu) \ge \mathrm{KL}(\pi_T \| \mu_T)",
    kind="identity",
    source="derived",
    assumes="the chain starts in one state; a policy chooses the kernels of the steps",
    note="So the divergence of trajectories that PRDP penalises costs nothing extra at the optimum. With a spread start it does: the optimum is"
    " another (`prdp/start-law`).",
)
@over(scored_chain.sweep(S=(2, 3), T=(2, 3), point=True, draws=by_profile(quick=3, full=20)), beta=(0.1, 1.0))
def marginal(chain: FiniteChain, *, beta: float, seed: int, cooled: float = 1.0, reverse: bool = False) -> Comparison:
    r"""The optimum over trajectories tilts the samples by the reward, and leaves how they are reached alone.

    The tilt of trajectories depends on the last state alone, so that given it they have the reference's law: the divergence of
    trajectories is that of their ends, and for any other policy it is larger by the divergence of the conditional laws. The optimum is a
    Markov chain with the kernels :math:`P_t(y|x) h_t(y)/h_{t-1}(x)`, which is compared with the tilt of all paths.
    """
    tuned = twisted(chain, 1 / beta, start=False)
    rng = np.random.default_rng(seed)
    factors = np.exp(rng.standard_normal(chain.kernels.shape))
    other = FiniteChain(chain.start, _rows(chain.kernels * factors), chain.scores)
    law = path_log_probabilities(chain)
    found = path_log_probabilities(tuned)
    ends = marginals(chain)[-1]
    path_kl, end_kl = kl(found, law, log=True), kl(marginals(tuned)[-1], ends)
    more, less = kl(path_log_probabilities(other), law, log=True), kl(marginals(other)[-1], ends)
    claimed = log_tilt(law, chain.reward[paths(chain)[:, -1]], cooled * beta)
    return all_of(
        trajectories=equal(np.exp(found), np.exp(claimed), tolerance=1e-12, scale=1.0),
        ends=equal(marginals(tuned)[-1], tilted_target(chain, 1 / beta), tolerance=1e-12, scale=1.0),
        divergences=equal(path_kl, end_kl, tolerance=1e-12, scale=1 + float(path_kl)),
        others=at_most(more, less, slack=1e-13) if reverse else at_least(more, less, slack=1e-13),
    )


def _rows(weights: Array) -> Array:
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


marginal.control("1.02 of the temperature", because="the exponent is 1/beta", cooled=1.02)
marginal.control(
    "trajectories tell less than ends", because="a function of the trajectory cannot tell more than it", reverse=True
)
marginal.control(
    "a start that is spread",
    because="the policy cannot choose where a trajectory begins",
    on=domain(scored_chain.sweep(S=3, T=2, draws=3), beta=0.5),
)


@claim(
    PAPER,
    "start-law",
    r"\text{starts of their own: } \mathrm{RDP}(\pi^\star) = 2\, \mathrm{Var}_{p_0}(V_0), \quad \tfrac{d}{d\epsilon}\, \mathrm{RDP}\bigl(\pi^\star"
    r" (1 + \epsilon a)\bigr) = -4 \beta\, \mathbb{E}_{p_0}\bigl[(V_0 - \mathbb{E} V_0)^2\, \chi^2(x_0)\bigr]; \qquad \text{a common start: }"
    r" \mathrm{RDP}(\pi^\star) = 0",
    kind="separation",
    source="derived",
    assumes=r"x_0 \sim p_0 is not chosen by the policy; V_0(x_0) = \beta \ln \mathbb{E}_\mu[e^{r(x_T)/\beta} | x_0]; \pi^\star the best policy;"
    r" \chi^2(x_0) that of the first steps of \mu and \pi^\star; a(x_0, x_1) = (V_0 - \mathbb{E} V_0)(\mu(x_1|x_0)/\pi^\star(x_1|x_0) - 1)",
    note="A finding: both trajectories of a pair have to begin in the same noise. If they do not, the optimum has a positive loss unless V_0 is"
    " constant, and is not even where the loss is stationary: a step down the loss leads away from it.",
)
@over(scored_chain.sweep(S=(2, 3), T=(1, 2), draws=by_profile(quick=3, full=20)), beta=(0.2, 1.0))
def start_law(
    chain: FiniteChain, *, beta: float, common: bool = True, factor: float = 1.0, stationary: bool = False
) -> Comparison:
    r"""Reward differences can be predicted only among trajectories that begin alike.

    Given the start, :math:`\pi^\star = \mu e^{(r - V_0(x_0))/\beta}`: the error Delta is :math:`-V_0(x_0)`, which pairs with a common start do not see.
    With starts of their own the loss is :math:`2 \mathrm{Var}_\mu(\Delta)`. A policy that weighs the first steps of the best one by :math:`1 +
    \epsilon a`, which has the conditional mean 1, changes Delta by :math:`\epsilon \beta a` to first order, and the loss by :math:`-4 \epsilon \beta\,
    \mathrm{Cov}_\mu(V_0, a)`; and :math:`\mathbb{E}_\mu[a | x_0] = (V_0 - \mathbb{E} V_0)\, \chi^2(x_0)`. The covariance is compared with this, and the loss before
    a small step with that after it.
    """
    tuned = twisted(chain, 1 / beta, start=False)
    route, best = paths(chain), path_log_probabilities(tuned)
    bandit = KLBandit(chain.reward[route[:, -1]], path_log_probabilities(chain), beta)
    own = independent_pairs(bandit.reference)
    same = route[:, 0][:, None] == route[:, 0]
    together = np.where(same, own / chain.start[route[:, 0]], 0.0)  # a start, and two trajectories from it
    V = soft_values(chain, 1 / beta)[0]
    off = V - chain.start @ V
    ratio = chain.kernels[0] / tuned.kernels[0]
    chi = (chain.kernels[0] * ratio).sum(axis=1) - 1
    a = (off[:, None] * (ratio - 1))[route[:, 0], route[:, 1]]
    mu, error = bandit.reference, reward_error(bandit, best)
    derivative = 4 * beta * float(mu @ ((error - mu @ error) * a))
    fall = 0.0 if stationary else 4 * beta * float(chain.start @ (off**2 * chi))
    # so small a step that what is of second order in it takes back at most half of the fall
    step = fall / (8 * beta * (beta + np.abs(off).max()) * float(mu @ a**2)) if fall else 0.0
    step = min(step, 0.1 / np.abs(a).max())
    before, after = weighted_reward_difference_loss(bandit, best + np.log1p(np.outer((0.0, step), a)), own)
    size = 2 * float(chain.start @ off**2)
    rounding = 1e-14 * (1 + size)
    return all_of(
        own=equal(before, factor * size, tolerance=1e-11, scale=size + 1),
        common=equal(
            weighted_reward_difference_loss(bandit, best, together if common else own), 0.0, tolerance=1e-11, scale=1.0
        ),
        derivative=equal(-derivative, fall, tolerance=1e-12, scale=4 * beta * float(mu @ np.abs(error * a)) + 1e-14),
        step=always(after <= before - step * fall / 4 + rounding, "a small step does not lower the loss"),
    )


start_law.control(
    "starts of their own for all pairs", because="the optimum's error is minus the value of the start", common=False
)
start_law.control("two per cent more", because="the loss is twice the variance of values", factor=1.02)
start_law.control(
    "a stationary loss at the optimum", because="first steps can make up for starts of different value", stationary=True
)
