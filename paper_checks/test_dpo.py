r"""DPO (Rafailov et al. 2023): the reward model that a policy is, and what fitting the policy to comparisons directly does.

Notation: mu the reference, r the reward, :math:`\pi^\star \propto \mu e^{r/\beta}` the optimum of :math:`J(\pi) = \mathbb{E}_\pi r -
\beta\,\mathrm{KL}(\pi\|\mu)`, :math:`r_\pi = \beta \ln(\pi/\mu)` the implicit reward of a policy, w_ij how often i was preferred to j, and
:math:`L(\pi) = -\sum_{ij} w_{ij} \ln\sigma(r_\pi(i) - r_\pi(j))` the DPO loss.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_softmax

from bandits.preference.comparisons import independent_pairs, labelled, sample_counts
from bandits.preference.dpo import dpo_gradient, fit_anchored, fit_dpo, fit_ipo
from bandits.preference.families import kl_bandit, random_kl_bandit
from bandits.preference.kl_bandit import KLBandit, average, kl_gap, kl_objective
from theory.bradley_terry_fit import fit_bradley_terry
from theory.claims import Comparison, Paper, Range, all_of, at_most, by_profile, claim, equal, family, over
from theory.divergences import kl
from theory.errors import InputError
from theory.links import bradley_terry, flipped, plackett_luce
from theory.pair_losses import expected_pair_loss, logistic, squared
from theory.tilts import implicit_reward, log_partition, log_tilt

Array = NDArray[np.float64]

PAPER = Paper(
    key="dpo",
    title="Direct Preference Optimization: Your Language Model is Secretly a Reward Model",
    authors="Rafailov, Sharma, Mitchell, Ermon, Manning, Finn",
    year=2023,
    theme="alignment",
    arxiv="2305.18290",
)

BETAS = (0.1, 0.5, 2.0)
CONCENTRATIONS = (0.1, 1.0, 5.0)


@dataclass(frozen=True, eq=False)
class Labels:
    """Counts of labelled pairs, shape (K, K), with entry (i, j) how often i was preferred to j, and a reference."""

    wins: Array
    log_reference: Array


@family(K=2, n=2)
def connected_labels(K: int = 4, n: int = 400, spread: float = 1.0, seed: int = 0) -> Labels:
    """``n`` uniform pairs with Bradley-Terry labels, drawn anew until their graph is strongly connected; a random reference.

    The rewards are normal with the standard deviation ``spread``.
    """
    rng = np.random.default_rng(seed)
    law = independent_pairs(np.full(K, 1 / K), distinct=True)
    for _ in range(1000):
        wins = sample_counts(labelled(law, bradley_terry(spread * rng.standard_normal(K))), n, rng).astype(float)
        try:
            fit_bradley_terry(wins)
        except InputError:
            continue
        return Labels(wins, log_softmax(2 * rng.standard_normal(K)))
    raise InputError(f"{n} pairs of {K} responses were never strongly connected in 1000 draws.")


@family(K=2)
def ring(K: int = 3, extra: int = 0) -> Labels:
    """Response i was preferred to response i + 1 once, the last to the first; and the first to the second ``extra`` times more."""
    wins = np.roll(np.eye(K), 1, axis=1)
    wins[0, 1] += extra
    return Labels(wins, log_softmax(np.arange(K, dtype=float)))


@claim(
    PAPER,
    "gap-identity",
    r"J(\pi^\star) - J(\pi) = \beta\, \mathrm{KL}(\pi \| \pi^\star), \qquad J(\pi^\star) = \beta \ln \sum_y \mu(y) e^{r(y)/\beta}",
    kind="identity",
    source="paper",
    assumes="any policy, with whatever support inside that of the reference",
)
@over(
    random_kl_bandit.sweep(
        K=(2, 5, 12),
        concentration=CONCENTRATIONS,
        spread=(0.1, 10.0),
        beta=(0.1, 2.0),
        prompts=(0, 3),
        draws=by_profile(quick=1, full=20),
    )
)
def gap_identity(
    bandit: KLBandit, *, seed: int, reverse: bool = False, factor: float = 1.0, reference: bool = False
) -> Comparison:
    r"""What a policy loses is exactly beta times its divergence from the tilt, which is therefore the only optimum.

    :math:`\ln \pi^\star = \ln\mu + r/\beta - \ln Z` turns :math:`J(\pi) = \mathbb{E}_\pi[r - \beta \ln(\pi/\mu)]` into
    :math:`\beta \ln Z - \beta\,\mathbb{E}_\pi \ln(\pi/\pi^\star)`.

    The policies compared are random ones, the reference, the optimum, mixtures of them, and all that always give one response.
    """
    rng = np.random.default_rng(seed)
    shape = bandit.reward.shape
    drawn = [log_softmax(scale * rng.standard_normal(shape), axis=-1) for scale in (0.1, 1.0, 3.0, 10.0)]
    policies = np.array(
        [*drawn, bandit.log_reference, bandit.log_optimum, np.logaddexp(drawn[0], bandit.log_optimum) - np.log(2)]
    )
    if not reverse:  # the divergence of the optimum from a deterministic policy is infinite
        with np.errstate(divide="ignore"):
            points = np.log(np.eye(bandit.responses))
        policies = np.concatenate(
            (policies, np.broadcast_to(points.reshape(-1, *[1] * (len(shape) - 1), shape[-1]), (len(points), *shape)))
        )
    target = bandit.log_reference if reference else bandit.log_optimum
    lost = bandit.optimal_value - kl_objective(bandit, policies)
    first, second = (target, policies) if reverse else (policies, target)
    divergence = bandit.beta * average(bandit, kl(first, second, log=True))
    size = 1 + np.abs(bandit.reward).max() + bandit.beta * np.abs(policies[np.isfinite(policies)]).max()
    return equal(lost, factor * divergence, tolerance=1e-12, scale=float(size))


gap_identity.control("the divergence the other way round", because="KL is not symmetric", reverse=True)
gap_identity.control("one per cent more", because="it is an identity", factor=1.01)
gap_identity.control("the divergence from the reference", because="the optimum is not the reference", reference=True)


@claim(
    PAPER,
    "reparametrisation",
    r"\text{equal Bradley-Terry (Plackett-Luce) laws} \iff r' = r + c(x) \implies \pi_{r'} = \pi_r; \qquad"
    r" r - \beta \ln Z_r = \beta \ln\frac{\pi_r}{\mu} \text{ alone in the class of } r \text{ has } \sum_y \mu(y) e^{r(y)/\beta} = 1",
    kind="identity",
    source="paper",
    assumes="a reference of full support",
)
@over(
    random_kl_bandit.sweep(
        K=(2, 3, 5),
        concentration=(0.1, 1.0),
        spread=(0.1, 10.0),
        beta=(0.1, 2.0),
        prompts=(0, 2),
        draws=by_profile(quick=1, full=8),
    )
)
def reparametrisation(
    bandit: KLBandit, *, seed: int, shift: float = 0.0, with_reference: bool = True, beta_of: float = 1.0
) -> Comparison:
    r"""The rewards that comparisons cannot tell apart form one class, have one optimal policy, and hold one implicit reward.

    A ranking's probability depends on differences of rewards only. Conversely the two rankings that differ in the order of their last
    two responses have probabilities in the ratio :math:`e^{r(i) - r(j)}`, so that the law gives all differences back. A constant cancels
    from the tilt. Adding c to r multiplies :math:`\sum \mu e^{r/\beta}` by :math:`e^{c/\beta}`, so one c makes it 1: minus beta ln Z.

    All K! rankings are summed over; their probabilities also add up to Bradley-Terry's, pair by pair.
    """
    K, beta = bandit.responses, bandit.beta
    rng = np.random.default_rng(seed)
    reward = bandit.reward
    other = reward + 3 * rng.standard_normal((*reward.shape[:-1], 1)) + shift * np.eye(K)[0]
    rankings = np.array(list(itertools.permutations(range(K))))
    law = plackett_luce(reward, rankings)
    ahead = np.argsort(rankings, axis=1)
    earlier = ahead[:, :, None] < ahead[:, None, :]
    pairwise = np.einsum("...n,nij->...ij", np.exp(law), earlier) + 0.5 * np.eye(K)
    # (rest, i, j) against (rest, j, i), for j = 0
    position = {tuple(ranking): n for n, ranking in enumerate(rankings.tolist())}
    recovered = np.zeros_like(reward)
    for i in range(1, K):
        rest = tuple(k for k in range(1, K) if k != i)
        recovered[..., i] = law[..., position[(*rest, i, 0)]] - law[..., position[(*rest, 0, i)]]
    policy = bandit.log_optimum
    implied = implicit_reward(policy, bandit.log_reference, beta_of * beta) if with_reference else beta * policy
    normalised = reward - log_partition(bandit.log_reference, reward, beta)[..., None]
    size = 1 + float(np.abs(other).max() + np.abs(implied).max())
    return all_of(
        rankings=equal(plackett_luce(other, rankings), law, tolerance=1e-13 * K, scale=size),
        pairs=equal(pairwise, bradley_terry(other), tolerance=1e-12, scale=1.0),
        recovered=equal(recovered, reward - reward[..., :1], tolerance=1e-13 * K, scale=size),
        policy=equal(log_tilt(bandit.log_reference, other, beta), policy, tolerance=1e-12, scale=size / beta),
        representative=equal(implied, normalised, tolerance=1e-12, scale=size),
        partition=equal(log_partition(bandit.log_reference, implied, beta), 0.0, tolerance=1e-12, scale=size),
    )


reparametrisation.control("one reward a thousandth higher", because="the law and the policy change with it", shift=1e-3)
reparametrisation.control(
    "beta ln pi in place of beta ln(pi/mu)", because="it leaves out the reference, which is not uniform", with_reference=False
)
reparametrisation.control("five per cent off beta", because="the implicit reward is scaled by it", beta_of=1.05)


def _one_stage(labels: Labels, beta: float, features: Array) -> Array:
    """The minimiser of the DPO loss over the policies mu exp(features u / beta), by descent in u (trust region, from u = 0)."""
    wins = labels.wins / labels.wins.sum()

    def policy(u: Array) -> Array:
        return np.asarray(log_softmax(labels.log_reference + features @ u / beta))

    def loss(u: Array) -> float:
        return float(expected_pair_loss(implicit_reward(policy(u), labels.log_reference, beta), wins, logistic()))

    def gradient(u: Array) -> Array:
        return np.asarray(features.T @ dpo_gradient(policy(u), labels.log_reference, wins, beta) / beta)

    def hessian(u: Array) -> Array:
        scores = implicit_reward(policy(u), labels.log_reference, beta)
        curvature = (wins + wins.T) * expit(scores[:, None] - scores) * expit(scores - scores[:, None])
        return np.asarray(features.T @ (np.diag(curvature.sum(axis=1)) - curvature) @ features)

    start = np.zeros(features.shape[1])
    # the loss ends at its rounding, where the gradient is 1e-8 or so; two Newton steps then end at the gradient's own
    found = minimize(loss, start, jac=gradient, hess=hessian, method="trust-exact", options={"gtol": 1e-8}).x
    for _ in range(2):
        found = found - np.linalg.lstsq(hessian(found), gradient(found), rcond=1e-13)[0]
    return policy(found)


@claim(
    PAPER,
    "one-stage-equals-two-stage",
    r"\arg\min_\pi L(\pi) = \pi_{\hat r}, \qquad \hat r \text{ the Bradley-Terry maximum-likelihood reward}",
    kind="identity",
    source="paper",
    assumes="any data set whose graph of wins is strongly connected, a reference of full support, all policies; every beta",
)
@over(
    connected_labels.sweep(K=(2, 3, 6), n=(30, 400), spread=(0.5, 2.0), draws=by_profile(quick=1, full=10)),
    beta=(0.02, 10.0),
)
@over(ring.sweep(K=(2, 3, 6), extra=(0, 1000)), beta=(0.02, 10.0))
def one_stage_equals_two_stage(
    labels: Labels, *, beta: float, seed: int, beta_of_loss: float = 1.0, missing: int = 0, rule: str = "likelihood"
) -> Comparison:
    r"""Fitting the policy by DPO, and fitting a reward and then tilting the reference by it, give one and the same policy.

    :math:`\pi \mapsto r_\pi` is onto the rewards up to constants (`dpo/reparametrisation`) and L depends on r_pi as the negative
    log-likelihood depends on a reward. So minimisers correspond; the one of the likelihood is unique up to a constant if the graph is
    strongly connected, and there is none otherwise.

    One stage is a descent on the policy's logits from the reference; two stages are a certified maximum-likelihood fit and a tilt.
    """
    K = labels.wins.shape[0]
    features = np.eye(K) if not missing else np.random.default_rng(seed).standard_normal((K, max(K - 1 - missing, 0) or 1))
    direct = _one_stage(labels, beta_of_loss * beta, features)
    if rule == "likelihood":
        fit = fit_dpo(labels.log_reference, labels.wins, beta)
        other, slack = fit.log_policy, fit.error
    else:  # log-odds of each response's share of wins
        share = labels.wins.sum(axis=1) / (labels.wins + labels.wins.T).sum(axis=1)
        other, slack = log_tilt(labels.log_reference, np.log(share) - np.log1p(-share), beta), 0.0
    size = 1 + float(np.abs(other).max())
    return equal(direct, other, tolerance=1e-8 + slack / size, scale=size)


one_stage_equals_two_stage.control(
    "one per cent more beta in the loss", because="then the log-ratios shrink", beta_of_loss=1.01
)
one_stage_equals_two_stage.control("one feature less than K - 1", because="some rewards are then no policy's", missing=1)
one_stage_equals_two_stage.control(
    "log-odds of the share of wins", because="they leave out whom a response was compared with", rule="share"
)


@claim(
    PAPER,
    "gradient-weight",
    r"\nabla_\theta L = -\beta \sum_{ij} w_{ij}\, \sigma\bigl(r_\pi(j) - r_\pi(i)\bigr)\,"
    r" \bigl[\nabla_\theta \ln \pi_\theta(i) - \nabla_\theta \ln \pi_\theta(j)\bigr]",
    kind="identity",
    source="paper",
    assumes="softmax policies of any linear logits",
)
@over(
    random_kl_bandit.sweep(
        K=(2, 4, 8), concentration=1.0, spread=(0.1, 2.0), beta=(*BETAS, 10.0), draws=by_profile(quick=2, full=20)
    ),
    features=(1, 3, 0),
)
def gradient_weight(bandit: KLBandit, *, features: int, seed: int, weight: str = "sigmoid") -> Comparison:
    r"""DPO raises the winner against the loser, the more the implicit reward has the two in the wrong order.

    :math:`-\frac{d}{dh} \ln \sigma(h) = -\sigma(-h)`, and :math:`\nabla r_\pi = \beta \nabla \ln \pi`.

    The derivative of the loss is taken by a complex step, which has no truncation error; its argument is real but for 1e-30 i.
    """
    K, beta = bandit.responses, bandit.beta
    rng = np.random.default_rng(seed)
    phi = rng.standard_normal((K, features)) if features else np.eye(K)
    theta = rng.standard_normal((phi.shape[1],))
    wins = rng.integers(0, 5, (K, K)) * (1.0 - np.eye(K))
    reference = bandit.log_reference

    def loss(parameter: NDArray[np.complex128]) -> complex:
        logits = phi @ parameter
        ratio = beta * (logits - np.log(np.exp(logits).sum()) - reference)
        return complex((wins * np.log(1 + np.exp(-(ratio[:, None] - ratio)))).sum())

    step = 1e-30
    directions = np.eye(theta.size)
    derivative = np.array([loss((theta + 1j * step * e).astype(np.complex128)).imag / step for e in directions])
    log_policy = log_softmax(phi @ theta)
    implicit = implicit_reward(log_policy, reference, beta)
    h = implicit[:, None] - implicit
    factor = {"sigmoid": expit(-h), "one": np.ones((K, K)), "turned": expit(h), "log-ratio": expit(-h / beta)}[weight]
    score = phi - np.exp(log_policy) @ phi  # the gradient of ln pi(y), a row for each y
    formula = -beta * np.einsum("ij,ijd->d", wins * factor, score[:, None] - score)
    size = 1 + beta * float((wins * np.abs(h)).sum() + wins.sum()) * float(np.abs(score).max())
    parts = {"formula": equal(formula, derivative, tolerance=1e-13, scale=size)}
    if weight == "sigmoid":
        library = phi.T @ dpo_gradient(log_policy, reference, wins, beta)
        parts["library"] = equal(library, derivative, tolerance=1e-13, scale=size)
    return all_of(**parts)


gradient_weight.control("all weights 1", because="that is the gradient of the difference of log-probabilities", weight="one")
gradient_weight.control("sigma(r(i) - r(j))", because="it would weigh what is right already", weight="turned")
gradient_weight.control("the log-ratio without beta", because="beta is the slope of the loss", weight="log-ratio")


def _always_wins(K: int, seed: int, flip: float) -> Array:
    """A law of (winner, loser): response 0 beats all others, whose rewards are normal; labels are flipped with ``flip``."""
    P = bradley_terry(np.random.default_rng(seed).standard_normal(K))
    P[0, 1:], P[1:, 0] = 1.0, 0.0
    return labelled(independent_pairs(np.full(K, 1 / K), distinct=True), flipped(P, flip))


@claim(
    PAPER,
    "deterministic-preference",
    r"P(w \succ l) = 1 \;\forall l \implies \max_l h_{\mathrm{DPO}}(l) = M \text{ for every } \beta, \qquad"
    r" h_{\mathrm{IPO}} = \min\Bigl(M, \frac{1}{2\beta}\Bigr) \text{ for two responses}, \quad \max_l h_{\mathrm{IPO}}(l) \le"
    r" \frac{K-1}{K\beta}; \qquad h(l) = \ln\frac{\pi(w)}{\mu(w)} - \ln\frac{\pi(l)}{\mu(l)}, \; |h| \le M",
    kind="separation",
    source="derived",
    assumes="population losses of uniform pairs of distinct responses; w always wins, the others have Bradley-Terry labels",
    note="The argument of Azar et al. (2023) for IPO. With labels of which a share e is flipped beta counts again:"
    " `dpo/noise-restores-beta`.",
)
@over(K=2, beta=(0.01, 0.1, 1.0, 10.0), bound=(0.5, 2.0, 10.0))
@over(K=2, beta=(0.01, 1.0), bound=20.0)
@over(K=(3, 5), beta=(0.01, 0.1, 1.0), bound=(0.5, 2.0, 10.0))
def deterministic_preference(
    *, K: int, beta: float, bound: float, seed: int, flip: float = 0.0, shrink: float = 1.0, ipo_at_bound: bool = False
) -> Comparison:
    r"""Where a response always wins, no KL strength keeps DPO near the reference; IPO stays within (K - 1)/(K beta) of it.

    Raising all of :math:`h(l)` by the same amount lowers the DPO loss strictly, whatever beta, so that the box stops it. IPO's fit is
    :math:`h_w - h_j = \frac{1}{2\beta K}\bigl[(K - 1) - \sum_{k \ne j}(2 P_{jk} - 1)\bigr]` without the box: each sum is at least
    -(K - 1), and is -1 for two responses.
    """
    law = _always_wins(K, seed, flip)
    dpo = fit_anchored(law, logistic(), beta * bound)
    ipo_box = fit_anchored(law, squared(1 / (2 * beta)), bound)
    free = fit_ipo(np.full(K, -np.log(K)), law, beta)
    expected = bound if ipo_at_bound else min(bound, 1 / (2 * beta))
    parts = {
        "dpo": equal((-dpo.scores / beta).max(), bound, tolerance=1e-9),
        "ipo": at_most((free[0] - free).max(), shrink * (K - 1) / (K * beta)),
        "optimality": at_most(max(dpo.residual, ipo_box.residual), 1e-9),  # of conditions that convexity makes sufficient
    }
    if K == 2:
        parts["two_responses"] = equal(-ipo_box.scores[1], expected, tolerance=1e-9)
    return all_of(**parts)


deterministic_preference.control("one label in a hundred flipped", because="then beta h stops at log 99", flip=0.01)
deterministic_preference.control("five per cent less for IPO", because="two responses attain the bound", shrink=0.95)
deterministic_preference.control("IPO at the bound too", because="a quadratic loss has its minimum inside", ipo_at_bound=True)


@claim(
    PAPER,
    "noise-restores-beta",
    r"P(w \succ l) = 1 - e \implies h_{\mathrm{DPO}} = \min\Bigl(M, \frac{1}{\beta} \ln\frac{1-e}{e}\Bigr), \quad"
    r" h_{\mathrm{IPO}} = \min\Bigl(M, \frac{1 - 2e}{2\beta}\Bigr)",
    kind="identity",
    source="derived",
    assumes="two responses, population losses, |h| <= M, 0 < e <= 1/2",
)
@over(flip=(1e-6, 1e-3, 0.1, 0.5), beta=(0.1, 1.0, 10.0), bound=(0.5, 2.0))
@over(flip=Range(1e-4, 0.5, log=True), beta=Range(0.01, 2.0, log=True), bound=10.0, budget=by_profile(quick=15, full=300))
def noise_restores_beta(
    *, flip: float, beta: float, bound: float, seed: int, odds: bool = True, kept: float = 2.0
) -> Comparison:
    r"""A few flipped labels make the KL strength count again, and a single one in ten thousand leaves :math:`9.2/\beta`.

    The derivative of the DPO loss is 0 where :math:`\sigma(\beta h) = 1 - e`; IPO's is 0 at the mean of its targets
    :math:`\pm 1/(2\beta)`.
    """
    law = _always_wins(2, seed, flip)
    dpo, ipo = fit_anchored(law, logistic(), beta * bound), fit_anchored(law, squared(1 / (2 * beta)), bound)
    log_odds = np.log((1 - flip) / flip) if odds else np.log(1 / flip)
    return all_of(
        dpo=equal(-dpo.scores[1] / beta, min(bound, log_odds / beta), tolerance=1e-8, scale=1 / beta),
        ipo=equal(-ipo.scores[1], min(bound, (1 - kept * flip) / (2 * beta)), tolerance=1e-9, scale=1 / beta),
    )


noise_restores_beta.control("log 1/e", because="what is kept is 1 - e of the labels", odds=False)
noise_restores_beta.control("1 - e in place of 1 - 2e", because="a flipped label counts against, not only not for", kept=1.0)


@claim(
    PAPER,
    "worst-gap-of-error",
    r"J(\pi^\star) - J(\pi_{\hat r}) \le \tfrac{1}{8\beta}\, \bigl(\max_y \Delta(y) - \min_y \Delta(y)\bigr)^2, \qquad \Delta = \hat r - r",
    kind="inequality",
    source="derived",
    assumes="any reward estimate, any reference",
)
@over(
    kl_bandit.sweep(logits=Range(-8.0, 8.0, size=2), reward=Range(-1.0, 1.0, size=2), beta=1.0),
    error=Range(0.01, 4.0, log=True),
    budget=by_profile(quick=100, full=1500),
)
@over(
    random_kl_bandit.sweep(
        K=(2, 5, 12), concentration=CONCENTRATIONS, spread=(0.1, 1.0), beta=BETAS, draws=by_profile(quick=1, full=10)
    ),
    error=(0.01, 1.0, 10.0),
)
def worst_gap_of_error(bandit: KLBandit, *, error: float, seed: int, constant: float = 1.0, power: float = 2.0) -> Comparison:
    r"""An error of the reward costs its square over beta, whatever the reference covers: the fit of DPO is safe where its reward is.

    :math:`\mathrm{KL}(\pi_{\hat r}\|\pi^\star) = \int_0^1 s\, \mathrm{Var}_{\pi_s}(\Delta)\,ds/\beta^2` along
    :math:`\pi_s \propto \pi^\star e^{s\Delta/\beta}`, and a variance is at most a quarter of the squared span (Popoviciu). Two responses of
    equal probability attain it as the error falls.
    """
    signs = np.random.default_rng(seed).uniform(-0.5, 0.5, bandit.responses)
    signs[:2] = (0.5, -0.5)
    wrong = log_tilt(bandit.log_reference, bandit.reward + error * signs, bandit.beta)
    return at_most(kl_gap(bandit, wrong), constant * error**power / (8 * bandit.beta))


worst_gap_of_error.control("five per cent less", because="two equally likely responses attain it", constant=0.95)
worst_gap_of_error.control("error to the power 2.1", because="a small error costs its square", power=2.1)
