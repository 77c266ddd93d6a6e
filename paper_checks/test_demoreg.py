"""Demonstration-regularised reinforcement learning (Tiapkin et al. 2024): what demonstrations cost to clone, and what they save.

Notation: E is the expert, N the number of its demonstrations, BC its clone with add-one smoothing, lambda the temperature, and

    V_lambda^pi = V^pi - lambda KL_traj(pi || BC),    KL_traj(p || q) = sum_h E_{s ~ d^p_h} KL(p_h(.|s) || q_h(.|s)).

pi*_lambda and V*_lambda are the regularised optimum and its value. Rewards are in [0, 1]; n counts samples of every pair.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import digamma, gammaln

from mdplab.learning.behaviour_cloning import behaviour_cloning, expected_cloning_divergence
from mdplab.learning.demonstration_regularised import (
    demonstration_regularised,
    demonstration_temperature,
    two_armed_loss,
    two_armed_regularised_loss,
)
from mdplab.models import EpisodicMDP, model_family
from mdplab.models.episodic_families import episodic_garnet, episodic_lock
from mdplab.sampling.episodes import generative_counts, sample_episodes, visit_counts
from mdplab.solvers import backward_induction, episodic_occupancy, evaluate_episodic_policy
from mdplab.solvers.soft import soft_backward_induction, soft_evaluate_episodic
from paper_checks.instances import Floats
from theory.claims import (
    Comparison,
    Paper,
    Range,
    all_of,
    at_least,
    at_most,
    by_profile,
    claim,
    domain,
    equal,
    less_on_average,
    over,
    slope,
    violation_rate,
)
from theory.claims.families import derive_seed
from theory.coverage import trajectory_kl
from theory.divergences import span

PAPER = Paper(
    key="demoreg",
    arxiv="2310.17303",
    year=2024,
    theme="exploration",
    title="Demonstration-Regularized RL",
    authors="Tiapkin, Belomestny, Calandriello, Moulines, Naumov, Perrault, Valko, Menard",
    venue="ICLR 2024",
)
LARGEST_EXPONENT = 600.0  # a bound with exp(600) in it says nothing, and exp(710) is not a number


@model_family(H=1)
def repeated_arms(H: int = 1, first: float = 1.0, second: float = 0.0) -> EpisodicMDP:
    """One state and two arms, H times."""
    return EpisodicMDP(np.ones((1, 2, 1)), np.array([[first, second]]), start=np.ones(1), horizon=H)


@model_family(H=1)
def second_chances(H: int = 3) -> EpisodicMDP:
    """Action 0, taken once in H steps, is enough to be paid 1 at the last of them."""
    P, R = np.zeros((H, 2, 2, 2)), np.zeros((H, 2, 2))
    P[:, 0, 0, 1] = P[:, 0, 1, 0] = 1.0
    P[:, 1, :, 1] = 1.0
    R[H - 1] = 1.0
    R[H - 1, 0, 1] = 0.0
    return EpisodicMDP(P, R, start=np.array([1.0, 0.0]))


@model_family(S=1, A=2, H=1)
def fresh_contexts(S: int = 4, A: int = 2, H: int = 3) -> EpisodicMDP:
    """States drawn uniformly afresh at every step, whatever is done; action 0 pays 1."""
    R = np.zeros((S, A))
    R[:, 0] = 1.0
    return EpisodicMDP(np.full((S, A, S), 1 / S), R, horizon=H)


def _policy(mdp: EpisodicMDP, kind: str, rng: np.random.Generator) -> Floats:
    """The optimal policy, a softmax of Q* at temperature 0.2, or a random one (a Dirichlet(1/2) draw in each state)."""
    if kind == "drawn":
        return rng.dirichlet(np.full(mdp.actions, 0.5), size=(mdp.horizon, mdp.states))
    best = backward_induction(mdp)
    if kind == "optimal":
        return np.asarray(np.eye(mdp.actions)[best.policy], dtype=np.float64)
    weights = np.exp(best.advantage / 0.2)
    return np.asarray(weights / weights.sum(axis=2, keepdims=True), dtype=np.float64)


def _reference(mdp: EpisodicMDP, reference: str | float, expert: Floats, rng: np.random.Generator) -> Floats:
    """A clone of five demonstrations, a random policy, or one that takes action 0 with probability exp(-x), or 1 - exp(-x).

    The number is x > 0 for the one, and -x for the other.
    """
    if isinstance(reference, str) and reference == "cloned":
        shown = sample_episodes(mdp, expert, 5, rng, noise="none")
        return behaviour_cloning(visit_counts(shown, mdp.states, mdp.actions).pairs, smoothing=1.0)
    if isinstance(reference, str):
        drawn = rng.dirichlet(np.ones(mdp.actions), size=(mdp.horizon, mdp.states))
        return np.asarray(0.999 * drawn + 0.001 / mdp.actions, dtype=np.float64)
    rare = np.exp(-abs(reference))
    row = np.full(mdp.actions, (1 - rare) / (mdp.actions - 1))
    row[0] = rare
    if reference < 0:
        row = np.full(mdp.actions, rare / (mdp.actions - 1))
        row[0] = 1 - rare
    return np.tile(row, (mdp.horizon, mdp.states, 1))


@dataclass(frozen=True, eq=False)
class Learnt:
    """Everything that the decomposition is made of, exactly; ``loss`` is V* - V^pi, divergences are multiplied by lambda.

    ``to_clone`` is lambda KL_traj(E || BC), ``from_clone`` its twin lambda KL_traj(BC || E), ``kept`` lambda KL_traj(pi || BC),
    ``beyond`` lambda KL_traj(E || pi*_lambda), ``beyond_swapped`` lambda KL_traj(pi*_lambda || E).
    ``reward_error_expert`` and ``reward_error_learner`` are E_E and E_pi of the sum of r - rhat, ``reward_gain`` the largest
    E_q[rhat - r] - lambda KL_traj(q || BC) over all policies q. ``error`` bounds the rounding of any sum of these.
    """

    loss: float
    expert_loss: float
    planning_loss: float
    to_clone: float
    from_clone: float
    kept: float
    beyond: float
    beyond_swapped: float
    reward_error_expert: float
    reward_error_learner: float
    reward_gain: float
    error: float


@functools.lru_cache(maxsize=3)  # a claim and its controls ask for the same run
def _learn(
    mdp: EpisodicMDP, temperature: float, expert: str, reference: str | float, plan: str, rewards: str, seed: int
) -> Learnt:
    """Learn and evaluate. ``plan``: the regularised "optimum", or from 2 samples of each pair ("sampled").

    ``rewards`` the learner maximises: the "true" ones, "noisy" ones (clipped to [0, 1]), or "other" ones, drawn at random.
    """
    rng = np.random.default_rng(seed)
    pi_E = _policy(mdp, expert, rng)
    clone = _reference(mdp, reference, pi_E, rng)
    seen = mdp.R
    if rewards == "noisy":
        seen = np.clip(mdp.R + 0.3 * rng.standard_normal(mdp.R.shape), 0.0, 1.0)
    elif rewards == "other":
        seen = rng.random(mdp.R.shape)
    believed = mdp.replace(R=seen)
    optimum = soft_backward_induction(believed, temperature, reference=clone)
    if plan == "optimum":
        log_pi = optimum.log_policy
    else:
        counts = generative_counts(believed, 2, rng)
        log_pi = demonstration_regularised(counts, clone, temperature).plan.log_policy
    pi = np.exp(log_pi)
    best, own_E = backward_induction(mdp), evaluate_episodic_policy(mdp, pi_E)
    own = evaluate_episodic_policy(mdp, pi)
    regularised = soft_evaluate_episodic(believed, log_pi, temperature, reference=clone, log=True)
    by_E, by_clone, by_pi, by_best = (episodic_occupancy(mdp, p) for p in (pi_E, clone, pi, optimum.policy))
    difference = mdp.replace(R=seen - mdp.R)
    gained = soft_backward_induction(difference, temperature, reference=clone)
    start = mdp.start
    assert start is not None

    def charge(p: Floats, q: Floats, state: Floats) -> float:
        return temperature * trajectory_kl(p, q, state)

    errors = (best, own_E, own, regularised, optimum, gained, by_E, by_clone, by_pi, by_best)
    return Learnt(
        loss=float(start @ (best.value[0] - own.value[0])),
        expert_loss=float(start @ (best.value[0] - own_E.value[0])),
        planning_loss=float(start @ (optimum.value[0] - regularised.value[0])),
        to_clone=charge(pi_E, clone, by_E.state),
        from_clone=charge(clone, pi_E, by_clone.state),
        kept=charge(pi, clone, by_pi.state),
        beyond=charge(pi_E, optimum.policy, by_E.state),
        beyond_swapped=charge(optimum.policy, pi_E, by_best.state),
        reward_error_expert=float(-(by_E.pair * difference.R).sum()),
        reward_error_learner=float(-(by_pi.pair * difference.R).sum()),
        reward_gain=float(start @ gained.value[0]),
        error=2 * sum(e.error for e in errors) * mdp.horizon * max(1.0, temperature),
    )


LOCK = episodic_lock.sweep(A=3, H=4, bait=0.2, top=0.7, seed=0)  # its rewards are random, its moves are not
GARNETS = episodic_garnet.sweep(S=(2, 5), A=3, H=(1, 4), concentration=0.3, draws=by_profile(quick=1, full=8))


@claim(
    PAPER,
    "decomposition",
    r"V^\star - V^\pi \le \varepsilon_E + \lambda\, \mathrm{KL}_{\mathrm{traj}}(\pi_E \| \pi_{BC}) + \varepsilon_{RL}, \quad "
    r"\varepsilon_E = V^\star - V^E, \quad \varepsilon_{RL} = V^\star_\lambda - V^\pi_\lambda",
    kind="inequality",
    source="derived",
    assumes="any policies E, BC, pi; the divergence is finite",
)
@over(
    GARNETS,
    temperature=(0.01, 0.3, 10.0),
    expert=("optimal", "soft"),
    reference=("cloned", "drawn"),
    plan=("optimum", "sampled"),
)
@over(repeated_arms.sweep(H=(1, 4)), temperature=0.00168, expert="optimal", reference=600.0, plan="optimum")
@over(
    repeated_arms.sweep(H=(1, 4)),
    temperature=Range(1e-3, 10.0, log=True),
    expert="optimal",
    reference=(5.0, 50.0, 600.0),
    plan="optimum",
    budget=by_profile(quick=30, full=200),
)
def decomposition(
    mdp: EpisodicMDP,
    *,
    temperature: float,
    expert: str,
    reference: str | float,
    plan: str,
    seed: int,
    direction: str = "of the expert",
    charged: float = 1.0,
    factor: float = 1.0,
) -> Comparison:
    r"""A policy that nearly solves the regularised problem loses no more than expert, clone and planning together.

    :math:`V^\pi \ge V^\pi_\lambda = V^\star_\lambda - \varepsilon_{RL} \ge V^E_\lambda - \varepsilon_{RL}`, and :math:`V^E_\lambda` is
    :math:`V^\star - \varepsilon_E - \lambda\, \mathrm{KL}_{\mathrm{traj}}(\pi_E \| \pi_{BC})`. It is attained in the limit of a clone that
    takes the right arm with probability p, at the temperature 1/ln(1/p), from which on the plan prefers the clone; with p = e^-600
    the ratio passes 0.98. What is lost otherwise is in `demoreg/decomposition-identity`.
    """
    run = _learn(mdp, temperature, expert, reference, plan, "true", seed)
    divergence = run.to_clone if direction == "of the expert" else run.from_clone
    bound = run.expert_loss + charged * divergence + run.planning_loss
    return at_most(run.loss, factor * bound, slack=run.error)


decomposition.control(
    "KL of the clone from the expert",
    because="an action that the clone hardly takes is dear to the expert, and costs the clone little",
    on=domain(repeated_arms.sweep(H=(1, 4)), temperature=(0.002, 0.01), expert="soft", reference=(50.0, 600.0), plan="optimum"),
    direction="of the clone",
)
decomposition.control("a quarter of lambda", because="the plan pays for the divergence in full", charged=0.25)
decomposition.control("five per cent less", because="a clone that hardly takes the right arm comes nearer", factor=0.95)


@claim(
    PAPER,
    "decomposition-identity",
    r"V^\star - V^\pi = \varepsilon_E + \varepsilon_{RL} + \lambda \bigl[ \mathrm{KL}_{\mathrm{traj}}(\pi_E \| \pi_{BC}) - "
    r"\mathrm{KL}_{\mathrm{traj}}(\pi \| \pi_{BC}) - \mathrm{KL}_{\mathrm{traj}}(\pi_E \| \pi^\star_\lambda) \bigr]",
    kind="identity",
    source="derived",
    assumes="any policies E, BC, pi; the divergences are finite",
)
@over(
    GARNETS,
    temperature=(0.03, 0.3, 10.0),
    expert=("optimal", "soft"),
    reference=("cloned", "drawn"),
    plan=("optimum", "sampled"),
)
@over(repeated_arms.sweep(H=(1, 4)), temperature=(0.01, 0.1), expert=("optimal", "soft"), reference=(5.0, 50.0), plan="optimum")
def decomposition_identity(
    mdp: EpisodicMDP,
    *,
    temperature: float,
    expert: str,
    reference: str | float,
    plan: str,
    seed: int,
    kept: float = 1.0,
    beyond: str = "of the expert",
) -> Comparison:
    r"""What the decomposition leaves out: the learner's own divergence, and the expert's from the regularised optimum.

    For every policy p, :math:`V^\star_\lambda - V^p_\lambda = \lambda\, \mathrm{KL}_{\mathrm{traj}}(p \| \pi^\star_\lambda)`, since
    :math:`\pi^\star_\lambda \propto \pi_{BC} \exp(Q^\star_\lambda / \lambda)` in each state; take p = E, and spell out
    :math:`V_\lambda`. Hence the loss is smaller than the bound by what the learner itself moves away from the clone.
    """
    run = _learn(mdp, temperature, expert, reference, plan, "true", seed)
    last = run.beyond if beyond == "of the expert" else run.beyond_swapped
    right = run.expert_loss + run.planning_loss + run.to_clone - kept * run.kept - last
    size = max(run.loss, run.expert_loss, run.planning_loss, run.to_clone, run.kept, last)
    return equal(run.loss, right, scale=size)


decomposition_identity.control("without the learner's divergence", because="the learner leaves the clone", kept=0.0)
decomposition_identity.control(
    "the optimum's divergence from the expert",
    because="the two directions differ",
    on=domain(GARNETS, temperature=0.3, expert="soft", reference="cloned", plan="optimum"),
    beyond="of the optimum",
)


@functools.lru_cache(maxsize=6)  # a claim and its controls ask for the same expert
def _divergence(
    mdp: EpisodicMDP, expert: str | float, demonstrations: int, smoothing: float, seed: int
) -> tuple[float, Floats]:
    """E KL_traj(E || clone), and the visits (H, S) of E; a number is the probability with which E takes the second of two actions."""
    if isinstance(expert, str):
        policy = _policy(mdp, expert, np.random.default_rng(seed))
    else:
        policy = np.tile([1 - expert, expert], (mdp.horizon, mdp.states, 1))
    visits = np.minimum(episodic_occupancy(mdp, policy).state, 1.0)
    return expected_cloning_divergence(policy, visits, demonstrations, smoothing=smoothing), visits


@claim(
    PAPER,
    "bc-kl-rate",
    r"E\, \mathrm{KL}_{\mathrm{traj}}(\pi_E \| \pi_{BC}) \le \frac{A - 1}{N + 1} \sum_{h,s} \bigl(1 - (1 - d^E_h(s))^{N+1}\bigr) "
    r"\le \frac{S H (A - 1)}{N + 1}, \quad \pi_{BC}(a|s) = \frac{n_h(s, a) + 1}{n_h(s) + A}",
    kind="bound in expectation",
    source="derived",
    assumes="N independent demonstrations of any policy",
    note="The paper has O~(SAH/N) with high probability (from summaries of it). Deterministic experts attain the constant as N grows;"
    " experts that take every action come near half of it.",
)
@over(
    episodic_garnet.sweep(S=(2, 6), A=(2, 4), H=(1, 5), concentration=0.3, draws=by_profile(quick=2, full=10)),
    expert=("optimal", "soft", "drawn"),
    demonstrations=(1, 10, 100, 1000),
)
@over(fresh_contexts.sweep(S=(1, 5), A=(2, 10), H=3), expert="optimal", demonstrations=(0, 1, 10, 100, 1000, 10_000))
@over(repeated_arms.sweep(H=1), expert=Range(0.0, 0.5), demonstrations=(1, 10, 100), budget=by_profile(quick=20, full=100))
def bc_kl_rate(
    mdp: EpisodicMDP,
    *,
    expert: str | float,
    demonstrations: int,
    seed: int,
    smoothing: float = 1.0,
    power: float = 1.0,
    factor: float = 1.0,
) -> Comparison:
    r"""N demonstrations, cloned with add-one smoothing, leave a divergence of at most S H (A - 1) / (N + 1) on average.

    In a state seen n times, :math:`E[1/(k+1)] \le 1/((n+1)p)` for :math:`k \sim \mathrm{Bin}(n, p)`, so that by Jensen's inequality
    :math:`E\, \mathrm{KL}(p \| \text{add-one}) \le \ln\frac{n+A}{n+1} \le \frac{A-1}{n+1}` for every law p on the actions; and
    :math:`d\, E[1/(n+1)] = (1 - (1-d)^{N+1})/(N+1)` for :math:`n \sim \mathrm{Bin}(N, d)`. For a deterministic expert the first step is
    an equality. Expectations are exact, binomial sums.
    """
    mean, visits = _divergence(mdp, expert, demonstrations, smoothing, seed)
    unit = factor * (mdp.actions - 1) / (demonstrations + 1) ** power
    # the mean is a difference of logarithms of numbers up to N + A
    slack = 1e-14 * mdp.horizon * np.log(demonstrations + mdp.actions + 1)
    reached = float((1 - (1 - visits) ** (demonstrations + 1)).sum())
    return all_of(
        visited=at_most(mean, unit * reached, slack=slack),
        all_states=at_most(mean, unit * mdp.states * mdp.horizon, slack=slack),
    )


bc_kl_rate.control(
    "no smoothing", because="a rare action of a mixed expert that was not seen costs an infinite divergence", smoothing=0.0
)
bc_kl_rate.control("1 / (N + 1)^2", because="deterministic experts attain 1 / N", power=2.0)
bc_kl_rate.control("five per cent less", because="deterministic experts attain the constant", factor=0.95)
bc_kl_rate.control("a tenth of a count", because="it believes a single demonstration too much", smoothing=0.1)


def _bayes_risk(n: int, actions: int) -> float:
    """E KL(p || add-one of n draws from p) for p uniform on the simplex: what no estimator can improve on average.

    k has a beta-binomial law with parameters n, 1, A - 1, and E[p | k] = (k + 1) / (n + A).
    """
    k = np.arange(n + 1)
    mean = (k + 1) / (n + actions)
    law = np.exp(gammaln(n - k + actions - 1) - gammaln(n - k + 1))
    return float(digamma(2) - digamma(actions + 1) - actions * (law / law.sum()) @ (mean * np.log(mean)))


@functools.lru_cache(maxsize=3)
def _worst_divergence(mdp: EpisodicMDP, smoothing: float, demonstrations: int) -> float:
    """The largest E KL_traj(E || clone) of 14 experts, who mix action 0 with action 1, or with all, alike in every state."""
    H, S, A = mdp.R.shape
    others = (np.eye(A)[:2].mean(axis=0), np.full(A, 1 / A))
    mixed = [(1 - w) * np.eye(A)[0] + w * other for w in (0.0, *np.geomspace(1e-3, 1, 6)) for other in others]
    visits = np.full((H, S), 1 / S)
    return max(
        expected_cloning_divergence(np.tile(row, (H, S, 1)), visits, demonstrations, smoothing=smoothing) for row in mixed
    )


@claim(
    PAPER,
    "bc-kl-minimax",
    r"\sup_{\pi_E} E\, \mathrm{KL}_{\mathrm{traj}}(\pi_E \| \hat\pi) \ge H\, E\, B(n), \quad n \sim \mathrm{Bin}(N, 1/S), "
    r"\quad B(n) = E_{p \sim \mathrm{Dir}(1)} E\, \mathrm{KL}(p \| \text{add-one}_n)",
    kind="lower bound",
    source="derived",
    assumes="any estimator (checked: add-c smoothing); S states drawn uniformly at each step; B(n) = (A - 1)/(2n) (1 + o(1))",
    note="The paper has a lower bound of order 1/N. With half a count in place of one the clone comes within a few per cent of this one.",
)
@over(fresh_contexts.sweep(S=(1, 4), A=(2, 3), H=2), smoothing=(0.1, 0.5, 1.0), demonstrations=(1, 10, 100, 1000))
def bc_kl_minimax(
    mdp: EpisodicMDP, *, smoothing: float, demonstrations: int, factor: float = 1.0, oracle: bool = False
) -> Comparison:
    r"""No estimator clones all experts at a better rate than 1/N.

    The worst expert is no better than an average one, and against a uniform prior the posterior mean, which is add-one smoothing,
    has the least expected divergence. The supremum is bounded from below by the largest of 14 experts.
    """
    H, S, A = mdp.R.shape
    worst = 0.0 if oracle else _worst_divergence(mdp, smoothing, demonstrations)
    n = np.arange(demonstrations + 1)
    law = stats.binom.pmf(n, demonstrations, 1 / S)
    risk = sum(float(weight) * _bayes_risk(int(draws), A) for draws, weight in zip(n, law) if weight > 1e-18)
    return at_least(worst, factor * H * risk, slack=1e-13 * H)


bc_kl_minimax.control("five per cent more", because="half a count of smoothing comes nearer than that", factor=1.05)
bc_kl_minimax.control("an estimator that knows the expert", because="it has no risk at all", oracle=True)


@claim(
    PAPER,
    "bc-kl-high-probability",
    r"P\Bigl( \mathrm{KL}_{\mathrm{traj}}(\pi_E \| \pi_{BC}) > \frac{e}{e-1} \Bigl(1 + \ln\frac{SH}{\delta}\Bigr) "
    r"\frac{S H (A-1)}{N} \Bigr) \le \delta",
    kind="high-probability bound",
    source="derived",
    assumes="N independent demonstrations of a deterministic expert",
    note="The paper's rate, O~(SAH/N), with constants. It is loose: the divergence concentrates near its mean, which has no logarithm.",
)
@over(
    fresh_contexts.sweep(S=(1, 6), A=3, H=(1, 4)) | episodic_garnet.sweep(S=4, A=3, H=3, concentration=0.3, draws=2),
    demonstrations=(10, 100),
    delta=0.1,
)
def bc_kl_high_probability(
    mdp: EpisodicMDP,
    *,
    demonstrations: int,
    delta: float,
    seed: int,
    runs: int = by_profile(quick=500, full=5000),
    bound: str = "with its logarithm",
) -> Comparison:
    r"""With high probability too the clone's divergence is of order S H A / N, up to a logarithm.

    :math:`E e^{-n} \le e^{-(1-1/e) N d}` for :math:`n \sim \mathrm{Bin}(N, d)`; by Markov's inequality and a union bound all
    :math:`n_h(s) \ge (1 - 1/e) N d_h(s) - L` with :math:`L = \ln(SH/\delta)`, with probability :math:`1 - \delta`. Then
    :math:`(n + 1)(1 + L) \ge (1 - 1/e) N d`, and the divergence is at most :math:`\sum d\, (A-1)/(n+1)`.
    """
    H, S, A = mdp.R.shape
    best, N = backward_induction(mdp), demonstrations
    visits = episodic_occupancy(mdp, best.policy).state
    shown = sample_episodes(mdp, best.policy, runs * N, seed, noise="none").states[:, :H]
    place = (np.arange(runs).repeat(N)[:, None] * H + np.arange(H)) * S + shown
    n = np.bincount(place.ravel(), minlength=runs * H * S).reshape(runs, H, S)
    divergence = (visits * np.log((n + A) / (n + 1))).sum(axis=(1, 2))
    if bound == "the mean":
        limit = expected_cloning_divergence(np.eye(A)[best.policy], visits, N)
    else:
        limit = math.e / (math.e - 1) * (1 + np.log(S * H / delta)) * S * H * (A - 1) / N
    return violation_rate(divergence > limit, delta)


bc_kl_high_probability.control(
    "the mean",
    because="it is exceeded four times in ten",
    on=domain(fresh_contexts.sweep(S=6, A=2, H=1), demonstrations=300, delta=0.1),
    bound="the mean",
)


def _sharp(width: Floats) -> Floats:
    """K(b) = y - 1 - ln y with y = b / (1 - e^-b), the largest KL of two laws whose log-ratio has the range b; at most b^2 / 8."""
    safe = np.where(width > 0, width, 1.0)
    excess = safe / -np.expm1(-safe) - 1
    return np.where(width > 1e-4, excess - np.log1p(excess), width**2 / 8 - width**4 / 576)


@dataclass(frozen=True, eq=False)
class Planned:
    """A plan from wrong values: its regularised loss, its visits (H, S), and the range over actions and the largest size
    (H, S) of Qhat - Q*_lambda; ``loss`` is V* - V^pi, ``optimum_loss`` that of pi*_lambda, ``cost`` its bound by the expert.
    """

    regularised_loss: float
    visits: Floats
    width: Floats
    size: Floats
    loss: float
    optimum_loss: float
    cost: float
    error: float


@functools.lru_cache(maxsize=3)  # a claim and its controls ask for the same plan
def _plan(mdp: EpisodicMDP, temperature: float, reference: str | float, samples: int, shift: float, seed: int) -> Planned:
    """Plan with Qhat from ``samples`` of each pair, or with Q*_lambda + ``shift`` [a = last] if there are none."""
    rng = np.random.default_rng(seed)
    expert = _policy(mdp, "optimal", rng)
    clone = _reference(mdp, reference, expert, rng)
    optimum = soft_backward_induction(mdp, temperature, reference=clone)
    q = optimum.q + shift * (np.arange(mdp.actions) == mdp.actions - 1)
    if samples:
        q = demonstration_regularised(generative_counts(mdp, samples, rng), clone, temperature).plan.q
    logits = np.log(clone) + q / temperature
    log_pi = logits - np.logaddexp.reduce(logits, axis=2)[:, :, None]
    pi, start = np.exp(log_pi), mdp.start
    assert start is not None
    own = soft_evaluate_episodic(mdp, log_pi, temperature, reference=clone, log=True)
    plain, best_soft = evaluate_episodic_policy(mdp, pi), evaluate_episodic_policy(mdp, optimum.policy)
    best, visits = backward_induction(mdp), episodic_occupancy(mdp, pi)
    divergence = trajectory_kl(expert, clone, episodic_occupancy(mdp, expert).state)
    value = float(start @ best.value[0])
    return Planned(
        regularised_loss=float(start @ (optimum.value[0] - own.value[0])),
        visits=visits.state,
        width=span(q - optimum.q),
        size=np.abs(q - optimum.q).max(axis=2),
        loss=value - float(start @ plain.value[0]),
        optimum_loss=value - float(start @ best_soft.value[0]),
        cost=temperature * divergence,
        error=2 * (optimum.error + own.error + plain.error + best_soft.error + best.error + visits.error),
    )


@claim(
    PAPER,
    "fast-rate",
    r"V^\star_\lambda - V^{\hat\pi}_\lambda \le \frac{1}{8\lambda} \sum_h E_{s \sim d^{\hat\pi}_h} "
    r"\bigl[\mathrm{range}_a(\hat Q_h - Q^\star_{\lambda,h})^2\bigr] \le \frac{1}{2\lambda} \sum_h E_{d^{\hat\pi}_h} "
    r"\bigl[\max_a |\hat Q_h - Q^\star_{\lambda,h}|^2\bigr], \quad \hat\pi \propto \pi_{BC}\, e^{\hat Q / \lambda}",
    kind="inequality",
    source="derived",
    assumes="any numbers Qhat and any reference policy",
)
@over(
    GARNETS | LOCK,
    temperature=(0.03, 0.3, 3.0),
    reference=("cloned", "drawn"),
    samples=(2, 50),
    shift=0.0,
)
@over(
    repeated_arms.sweep(H=(1, 3), first=0.5, second=0.5),
    temperature=1.0,
    reference=Range(0.01, 5.0, log=True),
    samples=0,
    shift=Range(1e-2, 10.0, log=True),
    budget=by_profile(quick=60, full=300),
)
def fast_rate(
    mdp: EpisodicMDP,
    *,
    temperature: float,
    reference: str | float,
    samples: int,
    shift: float,
    seed: int,
    factor: float = 1.0,
    power: float = 2.0,
) -> Comparison:
    r"""Errors of the plan's values cost only their squares, over lambda: why 1/eps^2 samples become 1/(lambda eps).

    :math:`V^\star_\lambda - V^\pi_\lambda = \lambda \sum_h E_{d^\pi_h} \mathrm{KL}(\pi_h \| \pi^\star_{\lambda,h})`, and with
    :math:`\delta = \hat Q - Q^\star_\lambda` the divergence is :math:`\ln E_{\hat\pi}\, e^{-(\delta - E_{\hat\pi} \delta)/\lambda}`, at most
    :math:`\mathrm{range}(\delta)^2 / 8\lambda^2` by Hoeffding's lemma. Small errors between two actions that are equally likely attain
    it. What large errors cost is in `demoreg/fast-rate-sharp`.
    """
    run = _plan(mdp, temperature, reference, samples, shift, seed)
    wide, large = run.width**power, run.size**power
    scale = factor / temperature ** (power - 1)
    return all_of(
        range=at_most(run.regularised_loss, scale / 8 * (run.visits * wide).sum(), slack=run.error),
        largest=at_most(run.regularised_loss, scale / 2 * (run.visits * large).sum(), slack=run.error),
    )


fast_rate.control("1 / (16 lambda)", because="equally likely actions attain 1 / (8 lambda)", factor=0.5)
fast_rate.control("five per cent less", because="equally likely actions attain the constant", factor=0.95)
fast_rate.control("errors to the power 2.2", because="small errors cost their squares", power=2.2)


@claim(
    PAPER,
    "fast-rate-sharp",
    r"V^\star_\lambda - V^{\hat\pi}_\lambda \le \lambda \sum_h E_{s \sim d^{\hat\pi}_h} K\bigl(\tfrac1\lambda "
    r"\mathrm{range}_a(\hat Q_h - Q^\star_{\lambda,h})\bigr), \quad K(b) = y - 1 - \ln y, \; y = \frac{b}{1 - e^{-b}}",
    kind="inequality",
    source="derived",
    assumes="any numbers Qhat and any reference policy",
    note="K(b) <= b^2 / 8, and K(b) < b: errors above 8 lambda cost no more than in proportion. Sharp for every range.",
)
@over(
    GARNETS | LOCK,
    temperature=(0.03, 0.3, 3.0),
    reference=("cloned", "drawn"),
    samples=(2, 50),
    shift=0.0,
)
@over(
    repeated_arms.sweep(H=(1, 3), first=0.5, second=0.5),
    temperature=1.0,
    reference=Range(0.01, 50.0, log=True),
    samples=0,
    shift=(0.1, 3.0, 30.0),
    budget=by_profile(quick=40, full=200),
)
def fast_rate_sharp(
    mdp: EpisodicMDP,
    *,
    temperature: float,
    reference: str | float,
    samples: int,
    shift: float,
    seed: int,
    factor: float = 1.0,
    narrower: float = 1.0,
) -> Comparison:
    r"""The exact price of an error of a given range, between the square of small ones and the size of large ones.

    Of all laws on an interval of length b, :math:`\ln E e^{-(X - EX)}` is largest for one on its two ends, because the exponential
    is convex; with mass :math:`q` on the upper one it is :math:`qb + \ln(1 - q + q e^{-b})`, largest at
    :math:`q = 1/(1 - e^{-b}) - 1/b`, where it is K(b). Two arms and that q attain it.
    """
    run = _plan(mdp, temperature, reference, samples, shift, seed)
    bound = factor * temperature * (run.visits * _sharp(narrower * run.width / temperature)).sum()
    return at_most(run.regularised_loss, bound, slack=run.error)


fast_rate_sharp.control("five per cent less", because="two arms attain it", factor=0.95)
fast_rate_sharp.control("95 per cent of the range", because="two arms attain it", narrower=0.95)


@claim(
    PAPER,
    "multiplicative",
    r"V^\star - V^{\hat\pi} \le e^{\rho/\lambda} (V^\star - V^{\pi^\star_\lambda}) \le e^{\rho/\lambda}\, \lambda\, "
    r"\mathrm{KL}_{\mathrm{traj}}(\pi_E \| \pi_{BC}), \quad \rho = \sum_h \max_s \mathrm{range}_a(\hat Q_h - Q^\star_{\lambda,h})",
    kind="inequality",
    source="derived",
    assumes="an optimal expert for the second inequality; any numbers Qhat",
    note="A finding: values known to within lambda / H are accurate enough, whatever epsilon. That takes of the order of 1/lambda^2"
    " samples, fewer than 1/(lambda epsilon) as soon as lambda > epsilon, which is when demonstrations begin to help.",
)
@over(
    GARNETS | LOCK,
    temperature=(0.1, 0.3, 3.0),
    reference=("cloned", "drawn"),
    samples=(2, 50, 1000),
    shift=0.0,
)
@over(
    second_chances.sweep(H=(1, 3, 5)),
    temperature=1.0,
    reference=Range(-9.0, -0.01),
    samples=0,
    shift=Range(0.5, 5.0, log=True),
    budget=by_profile(quick=60, full=300),
)
def multiplicative(
    mdp: EpisodicMDP,
    *,
    temperature: float,
    reference: str | float,
    samples: int,
    shift: float,
    seed: int,
    factor: float = 1.0,
    steps: str = "all",
) -> Comparison:
    r"""Once values are known to within lambda / H, the plan is within a factor e of the regularised optimum in true loss.

    :math:`\hat\pi / \pi^\star_\lambda` lies between :math:`e^{\pm\mathrm{range}/\lambda}` in every state, so that every path to a pair is
    at most :math:`e^{\rho/\lambda}` times as likely; and :math:`V^\star - V^\pi = \sum_h E_{d^\pi_h} [V^\star_h - Q^\star_h]` adds up terms
    that are not negative. The rest is `demoreg/decomposition` for :math:`\pi^\star_\lambda`. Attained where only a row of H rare
    mistakes costs anything, all of which are overrated.
    """
    run = _plan(mdp, temperature, reference, samples, shift, seed)
    widths = run.width.max(axis=1)
    exponent = factor * (widths.sum() if steps == "all" else widths.max()) / temperature
    growth = float(np.exp(min(exponent, LARGEST_EXPONENT)))
    return all_of(
        optimum=at_most(run.loss, growth * run.optimum_loss, slack=growth * run.error),
        expert=at_most(run.loss, growth * run.cost, slack=growth * run.error),
    )


multiplicative.control("0.95 of the exponent", because="mistakes that are rare and overrated attain it", factor=0.95)
multiplicative.control("the worst step alone", because="errors multiply along a path", steps="worst")


@claim(
    PAPER,
    "fast-rate-samples",
    r"E[V^\star_\lambda - V^{\hat\pi}_\lambda] \le \frac{1}{16 \lambda n}",
    kind="bound in expectation",
    source="derived",
    assumes="two Bernoulli arms, n samples of each, H = 1, any reference policy",
)
@over(
    gap=Range(0.0, 1.0),
    mean=Range(0.0, 1.0),
    log_odds=Range(-5.0, 5.0),
    temperature=(0.01, 0.3, 10.0),
    samples=(1, 10, 200),
    budget=25,
)
@over(gap=0.0, mean=0.5, log_odds=0.0, temperature=(0.3, 10.0), samples=(10, 1000))
def fast_rate_samples(
    *, gap: float, mean: float, log_odds: float, temperature: float, samples: int, factor: float = 1.0, power: float = 1.0
) -> Comparison:
    r"""With n samples of two arms the regularised loss is at most 1 / (16 lambda n), whatever the gap.

    The expected square of the difference of the two errors is the sum of two variances, at most 1 / (2n), and
    `demoreg/fast-rate` divides it by 8 lambda. Equal arms of mean 1/2 attain it at high temperature. Expectations are exact.
    """
    means = (mean + gap * (1 - mean), mean * (1 - gap))
    loss = two_armed_regularised_loss(means, samples, temperature, log_odds)
    return at_most(loss, factor / (16 * temperature * samples**power), slack=1e-14)


fast_rate_samples.control("five per cent less", because="equal arms attain the constant", factor=0.95)
fast_rate_samples.control("1 / n^1.1", because="equal arms attain the rate", power=1.1)


@functools.lru_cache(maxsize=4)
def _exact_curve(setting: str, temperature: float) -> tuple[Floats, Floats]:
    """n and the largest expected loss over gaps: of the regularised problem, or of the plain one, whose gaps shrink like 1/sqrt n."""
    n = np.unique(np.round(np.geomspace(20, 2560, 20)).astype(np.int64))
    gaps: dict[str, tuple[float, ...]] = {"regularised": (0.0, 0.1, 0.3, 0.5), "plain": (0.5, 0.7, 1.0, 1.4)}
    curve = np.empty(n.size)
    for i, samples in enumerate(n.tolist()):
        scale = np.sqrt(samples) if setting == "plain" else 1.0
        means = [(0.5 + g / scale / 2, 0.5 - g / scale / 2) for g in gaps[setting]]
        if setting == "regularised":
            curve[i] = max(two_armed_regularised_loss(m, samples, temperature, 0.0)[0] for m in means)
        else:
            curve[i] = max(two_armed_loss(m, samples, 0.0, 0.0)[0] for m in means)
    return n.astype(np.float64), curve


@claim(
    PAPER,
    "sample-slopes",
    r"\sup_{\text{gap}} E[V^\star_\lambda - V^{\hat\pi}_\lambda] \asymp n^{-1}, \qquad "
    r"\sup_{\text{gap}} E[V^\star - V^{\hat\pi_0}] \asymp n^{-1/2}",
    kind="deterministic rate",
    source="derived",
    assumes="two Bernoulli arms, uniform reference, lambda = 0.3; exact expectations for n = 20, ..., 2560",
)
@over(setting=("regularised", "plain"))
def sample_slopes(*, setting: str, exponents: tuple[float, float] = (-1.0, -0.5)) -> Comparison:
    r"""Planning with a temperature learns at the rate 1/n, planning without one at 1/sqrt n in the worst case.

    Upwards `demoreg/fast-rate-samples`; downwards the second derivative of the soft maximum, which is not 0. Without a temperature a
    gap of 1/sqrt n is not seen, so that half of it is lost on average. The worst gap has to shrink with n.
    """
    n, curve = _exact_curve(setting, 0.3)
    exponent = exponents[setting == "plain"]
    return slope(n, curve, between=(exponent - 0.05, exponent + 0.05))


sample_slopes.control("the two exponents exchanged", because="1/n and 1/sqrt n are not the same", exponents=(-0.5, -1.0))
sample_slopes.control("a tenth more", because="the exponents are 1 and 1/2", exponents=(-1.1, -0.6))


@functools.lru_cache(maxsize=3)
def _planning_curve(mdp: EpisodicMDP, temperature: float, seed: int, runs: int) -> Floats:
    """V*_lambda - V_lambda of plans from n = 20, 40, ..., 1280 samples of each pair; shape (runs, 7)."""
    rng = np.random.default_rng(seed)
    clone = rng.dirichlet(np.ones(mdp.actions), size=(mdp.horizon, mdp.states))
    optimum = soft_backward_induction(mdp, temperature, reference=clone)
    losses = np.empty((runs, 7))
    for run in range(runs):
        for i in range(7):
            plan = demonstration_regularised(generative_counts(mdp, 20 * 2**i, rng), clone, temperature).plan
            own = soft_evaluate_episodic(mdp, plan.log_policy, temperature, reference=clone, log=True)
            losses[run, i] = float(mdp.start @ (optimum.value[0] - own.value[0]))
    return losses


@claim(
    PAPER,
    "sample-slopes-planning",
    r"E[V^\star_\lambda - V^{\hat\pi}_\lambda] \asymp n^{-1}",
    kind="complexity",
    source="derived",
    assumes="random models with S = 4, A = 3, H = 4, lambda = 0.3; n = 20, ..., 1280 samples of every pair",
)
@over(episodic_garnet.sweep(S=4, A=3, H=4, draws=2))
def sample_slopes_planning(
    mdp: EpisodicMDP, *, seed: int, runs: int = by_profile(quick=60, full=400), exponent: float = -1.0
) -> Comparison:
    r"""Planning with a temperature learns at the rate 1/n in several steps, too.

    The errors of Qhat are of the order of 1/sqrt n at every step, and `demoreg/fast-rate` has their squares.
    """
    n = 20.0 * 2 ** np.arange(7)
    return slope(n, _planning_curve(mdp, 0.3, seed, runs), between=(exponent - 0.15, exponent + 0.15))


sample_slopes_planning.control("1 / sqrt n", because="the loss is the square of an error", exponent=-0.5)


def _contextual_loss(gap: float, contexts: int, demonstrations: int, samples: int, temperature: float) -> float:
    """E[V* - V^pi], exactly: ``contexts`` equally likely states, H = 1, two arms of means (1 +- gap) / 2, an optimal expert.

    A state that m ~ Bin(N, 1/S) demonstrations visit has the reference odds m + 1.
    """
    m = np.arange(demonstrations + 1)
    law = stats.binom.pmf(m, demonstrations, 1 / contexts)
    kept = law > 1e-16
    return float(law[kept] @ two_armed_loss(((1 + gap) / 2, (1 - gap) / 2), samples, temperature, np.log(m[kept] + 1.0)))


@functools.lru_cache(maxsize=4)
def _worst_contextual_loss(contexts: int, demonstrations: int, samples: int, temperature: float, least_gap: float) -> float:
    """The largest :func:`_contextual_loss` over 24 gaps, up to 30 times the temperature."""
    gaps = np.unique(np.minimum(np.geomspace(least_gap, 30 * temperature, 24), 1.0))
    return max(_contextual_loss(float(g), contexts, demonstrations, samples, temperature) for g in gaps)


@claim(
    PAPER,
    "tradeoff",
    r"n \ge \frac{3}{32 \lambda \varepsilon} = \frac{9 S}{32\, \varepsilon^2 (N + 1)} \implies "
    r"E[V^\star - V^\pi] \le \varepsilon, \quad \lambda = \frac{\varepsilon (N + 1)}{3 S H (A - 1)}",
    kind="complexity",
    source="derived",
    assumes="H = 1, S equally likely contexts, two Bernoulli arms in each, an optimal expert; n samples of every pair",
    note="The paper's trade of demonstrations for samples, one-sided: 1/(lambda eps) samples are enough. They are not needed:"
    " see demoreg/tradeoff-slope and demoreg/tradeoff-quadratic.",
)
@over(contexts=(1, 4), demonstrations=(0, 3, 10, 30, 100, 300), epsilon=(0.1, 0.03, 0.015))
def tradeoff(
    *, contexts: int, demonstrations: int, epsilon: float, fewer: float = 1.0, fixed: bool = False, demonstrated: bool = True
) -> Comparison:
    r"""N demonstrations divide by N the samples that suffice.

    By `demoreg/decomposition` the loss is at most :math:`\lambda\, \mathrm{KL} + \varepsilon_{RL}`, on average at most
    :math:`\varepsilon / 3` (`demoreg/bc-kl-rate`) and :math:`1/(16 \lambda n)` (`demoreg/fast-rate-samples`). The expected loss is
    exact, the largest over 24 gaps from eps/3 on.
    """
    temperature = demonstration_temperature(epsilon, demonstrations, contexts, 1, 2)
    samples = int(np.ceil(3 / (32 * temperature * epsilon) / fewer))
    if fixed:
        temperature = demonstration_temperature(epsilon, min(demonstrations, 3), contexts, 1, 2)
    shown = demonstrations if demonstrated else 0
    worst = _worst_contextual_loss(contexts, shown, samples, temperature, epsilon / 3)
    return at_most(worst, epsilon)


tradeoff.control("lambda as for three demonstrations", because="the plan then trusts its few samples too much", fixed=True)
tradeoff.control("a fifteenth of the samples", because="about a tenth is needed at N = 10", fewer=15.0)
tradeoff.control(
    "no demonstrations behind that lambda", because="the plan then keeps to a uniform reference", demonstrated=False
)


@functools.lru_cache(maxsize=40)
def _samples_needed(demonstrations: int, epsilon: float, temperature: float) -> int:
    """The least n with a worst expected loss of at most ``epsilon`` in one context, by bisection."""
    high = int(np.ceil(3 / (32 * temperature * epsilon)))
    low = 0
    while high - low > 1:
        middle = (low + high) // 2
        if _worst_contextual_loss(1, demonstrations, middle, temperature, epsilon / 3) <= epsilon:
            high = middle
        else:
            low = middle
    return high


@claim(
    PAPER,
    "tradeoff-slope",
    r"-1.3 \le \frac{\Delta \log n(\varepsilon, N)}{\Delta \log N} \le -0.6, \quad n(\varepsilon, N) \text{ the least } n "
    r"\text{ with } E[V^\star - V^\pi] \le \varepsilon",
    kind="complexity",
    source="derived",
    assumes="as demoreg/tradeoff, one context, eps = 0.005; N from 1 to 100, steps of about half a decade",
    expected="refuted",
    corrected="demoreg/tradeoff-quadratic",
    note="1/(eps^2 N) read as what is needed, not only enough. The slope passes -1 on its way from 0, as long as lambda < eps, that is"
    " N < 3 S H (A - 1), to -2. Between N = 1 and 3 it is -0.35, between 30 and 100 about -1.6.",
)
@over(epsilon=0.005, ends=[(1, 3), (3, 10), (10, 30), (30, 100)])
def tradeoff_slope(*, epsilon: float, ends: tuple[int, int], steepest: float = -1.3, flattest: float = -0.6) -> Comparison:
    r"""One might expect the samples needed to fall in proportion to the demonstrations; they fall slower at first, then faster.

    The bound adds up two losses that do not occur together: the samples matter only where the plan wavers, and there the clone is
    right with odds of N + 1 to 1.
    """
    first, last = ends
    n = [_samples_needed(N, epsilon, demonstration_temperature(epsilon, N, 1, 1, 2)) for N in ends]
    local = float(np.log(n[1] / n[0]) / np.log(last / first))
    return all_of(flattest=at_most(local, flattest), steepest=at_least(local, steepest))


tradeoff_slope.repair("between 0 and -2.1", because="they fall, and like 1/N^2 in the end", steepest=-2.1, flattest=0.0)


@claim(
    PAPER,
    "tradeoff-quadratic",
    r"n \ge \frac{1}{4 \ln(3e)\, \lambda^2} = \frac{9 S^2}{4 \ln(3e)\, \varepsilon^2 (N + 1)^2} \implies "
    r"E[V^\star - V^\pi] \le \varepsilon, \quad \lambda = \frac{\varepsilon (N + 1)}{3 S H (A - 1)}",
    kind="complexity",
    source="derived",
    assumes="as demoreg/tradeoff: H = 1, S equally likely contexts, two Bernoulli arms in each, an optimal expert",
    note="A finding, sharper than 1/(eps^2 N): N demonstrations divide the samples that suffice by N^2, and no smaller constant will do."
    " It is about samples of a generative model and expected losses; the paper explores online.",
)
@over(contexts=1, demonstrations=(1, 10, 100, 1000, 100_000), temperature=(0.01, 0.05, 0.3))
@over(contexts=4, demonstrations=(10, 100, 1000), temperature=(0.02, 0.1))
def tradeoff_quadratic(
    *, contexts: int, demonstrations: int, temperature: float, fewer: float = 1.0, power: float = 2.0
) -> Comparison:
    r"""N demonstrations divide by N^2 the samples that suffice.

    With the odds (m + 1) : 1 of the reference the plan errs with probability at most :math:`e^{-\hat D / \lambda} / (m + 1)`, where
    :math:`\hat D` is the difference of the two means in the sample; since :math:`\hat D` is sub-Gaussian with variance 1/(2n),
    :math:`E e^{-\hat D/\lambda} \le e^{-D/\lambda + 1/(4 n \lambda^2)}`. Finally :math:`E[1/(m + 1)] \le S/(N + 1)` and
    :math:`D e^{-D/\lambda} \le \lambda / e`, so that the loss is at most :math:`\frac{\varepsilon}{3e} e^{1/(4 n \lambda^2)}`. It is
    attained as lambda falls and N grows. Only the worst gap counts; errors of a plan in several steps multiply
    (`demoreg/multiplicative`).
    """
    epsilon = 3 * contexts * temperature / (demonstrations + 1)
    enough = 1 / (4 * np.log(3 * math.e) * temperature**2)
    samples = int(np.ceil(fewer * enough * (demonstrations + 1) ** (2 - power)))
    return at_most(_worst_contextual_loss(contexts, demonstrations, samples, temperature, temperature / 10), epsilon)


tradeoff_quadratic.control("five per cent fewer samples", because="many demonstrations attain the constant", fewer=0.95)
tradeoff_quadratic.control("1 / N^2.1", because="many demonstrations attain the rate", power=2.1)


@claim(
    PAPER,
    "product-rate",
    r"E[V^\star - V^\pi] \le \frac{S}{(N + 1) \sqrt{2 e n}}, \quad \lambda = \frac{1}{\sqrt{2n}}",
    kind="bound in expectation",
    source="derived",
    assumes="as demoreg/tradeoff: H = 1, S equally likely contexts, two Bernoulli arms in each, an optimal expert",
    note="A finding: demonstrations and samples multiply. For many demonstrations the best temperature depends on the"
    " samples alone; it is proportional to eps N only along the samples that eps needs.",
)
@over(contexts=1, demonstrations=(0, 1, 10, 100, 10_000), samples=(1, 10, 100, 1000))
@over(contexts=4, demonstrations=(0, 10, 100, 1000), samples=(10, 100))
def product_rate(
    *,
    contexts: int,
    demonstrations: int,
    samples: int,
    hotter: float = 1.0,
    factor: float = 1.0,
    power: float = 1.0,
) -> Comparison:
    r"""N demonstrations and n samples together leave a loss of the order of 1 / (N sqrt n), and the schedule need not know eps.

    In the proof of `demoreg/tradeoff-quadratic` the loss is at most :math:`\frac{S \lambda}{e (N + 1)} e^{1/(4 n \lambda^2)}`, which is
    smallest for :math:`\lambda^2 = 1/(2n)`. Attained as both numbers grow.
    """
    temperature = hotter / np.sqrt(2 * samples)
    worst = _worst_contextual_loss(contexts, demonstrations, samples, temperature, temperature / 10)
    return at_most(worst, factor * contexts / ((demonstrations + 1) ** power * np.sqrt(2 * math.e * samples)))


product_rate.control("five per cent less", because="many demonstrations and samples attain the constant", factor=0.95)
product_rate.control("1 / N^1.1", because="they attain the rate", power=1.1)
product_rate.control("twice the temperature", because="it holds on to the clone for too long", hotter=2.0)


MOST_SAMPLES = 512  # of a plan that does not get near


@functools.lru_cache(maxsize=6)
def _planning_samples(demonstrations: int, schedule: int, demonstrator: str, runs: int, seed: int) -> Floats:
    """log2 of the samples of each pair, 0 (counted as 1/2), 1, 2, 4, ..., after which V* - V^pi <= 0.1; one for each of ``runs``.

    Random models with S = 4, A = 3, H = 4. lambda is that of the schedule for ``schedule`` demonstrations. The ``demonstrator`` is
    "optimal" or "aimless" (uniform); "ignored" ones are replaced by a uniform reference.
    """
    epsilon = 0.1
    temperature = demonstration_temperature(epsilon, schedule, 4, 4, 3)
    found = np.empty(runs)
    for run in range(runs):
        mdp = episodic_garnet(S=4, A=3, H=4, seed=derive_seed(seed, run))
        showing, rng = np.random.default_rng([seed, run, 0]), np.random.default_rng([seed, run, 1])
        assert mdp.start is not None
        best = backward_induction(mdp)
        shown = best.policy if demonstrator == "optimal" else np.full((4, 3), 1 / 3)
        episodes = sample_episodes(mdp, shown, demonstrations, showing, noise="none")
        clone = behaviour_cloning(visit_counts(episodes, 4, 3).pairs, smoothing=1.0)
        if demonstrator == "ignored":
            clone = np.full(mdp.R.shape, 1 / 3)
        samples = 0
        while samples < MOST_SAMPLES:
            policy = demonstration_regularised(generative_counts(mdp, samples, rng), clone, temperature).policy
            if mdp.start @ (best.value[0] - evaluate_episodic_policy(mdp, policy).value[0]) <= epsilon:
                break
            samples = max(1, 2 * samples)
        found[run] = np.log2(max(samples, 0.5))
    return found


@claim(
    PAPER,
    "tradeoff-planning",
    r"E \log_2 n(\varepsilon, 300) \le E \log_2 n(\varepsilon, 10) - 1",
    kind="mechanism",
    source="derived",
    assumes="random models with S = 4, A = 3, H = 4, an optimal expert, eps = 0.1; n doubles until the loss is at most eps",
)
def tradeoff_planning(*, seed: int, runs: int = by_profile(quick=40, full=200), demonstrator: str = "optimal") -> Comparison:
    """In several steps, too, many demonstrations save most of the samples."""
    few, many = (_planning_samples(N, N, demonstrator, runs, seed) for N in (10, 300))
    return less_on_average(many, few, margin=1.0)


tradeoff_planning.control(
    "an aimless demonstrator", because="its clone draws the plan away from the optimum", demonstrator="aimless"
)


@claim(
    PAPER,
    "tradeoff-credit",
    r"\lambda \text{ as for } N = 3: \quad E \log_2 n(\varepsilon, 300) \ge E \log_2 n(\varepsilon, 10) - 1",
    kind="mechanism",
    source="derived",
    assumes="as demoreg/tradeoff-planning, but with a temperature that does not know of the demonstrations",
    expected="refuted",
    note="A fixed temperature was expected to spoil the gain, and it does in the worst case (a control of demoreg/tradeoff). In random"
    " models it keeps nearly all of it: the clone of 300 demonstrations is mostly good enough alone, without a sample.",
)
def tradeoff_credit(*, seed: int, runs: int = by_profile(quick=40, full=200), demonstrator: str = "optimal") -> Comparison:
    """One might expect that without its schedule of temperatures the learner saves no samples; in random models it does."""
    few, many = (_planning_samples(N, 3, demonstrator, runs, seed) for N in (10, 300))
    return less_on_average(few, many, margin=-1.0)


tradeoff_credit.repair(
    "a uniform reference", because="then nothing at all depends on the demonstrations", demonstrator="ignored"
)


@claim(
    PAPER,
    "rlhf",
    r"V^\star - V^\pi \le \varepsilon_E + \lambda\, \mathrm{KL}_{\mathrm{traj}}(\pi_E \| \pi_{BC}) + \varepsilon_{RL} + "
    r"(E_{\pi_E} - E_\pi)[r - \hat r], \qquad \lambda\, \mathrm{KL}_{\mathrm{traj}}(\pi \| \pi_{BC}) \le H + \varepsilon_{RL}",
    kind="inequality",
    source="derived",
    assumes="rewards and rhat in [0, 1]; pi is eps_RL-optimal for the regularised problem with rhat in place of r",
)
@over(
    GARNETS,
    temperature=(0.03, 0.3),
    expert=("optimal", "soft"),
    reference=("cloned", "drawn"),
    plan=("optimum", "sampled"),
    rewards=("noisy", "other"),
)
@over(repeated_arms.sweep(H=(1, 4)), temperature=0.00163, expert="optimal", reference=600.0, plan="optimum", rewards="true")
@over(
    repeated_arms.sweep(H=(1, 4)),
    temperature=Range(1e-3, 1.0, log=True),
    expert="optimal",
    reference=(50.0, 600.0),
    plan="optimum",
    rewards="true",
    budget=by_profile(quick=30, full=200),
)
def rlhf(
    mdp: EpisodicMDP,
    *,
    temperature: float,
    expert: str,
    reference: str | float,
    plan: str,
    rewards: str,
    seed: int,
    reward_error: str = "of both",
    ball: float = 1.0,
) -> Comparison:
    r"""With a learnt reward the loss grows by the reward's error, on the expert's states and on those of the learner.

    Write :math:`V^E - V^\pi` as the same difference under :math:`\hat r` plus the error, and apply `demoreg/decomposition` to
    :math:`\hat r`. The learner stays near the clone, because leaving it pays at most H:
    :math:`\hat V^\pi - \lambda\, \mathrm{KL} \ge \hat V^{BC} - \varepsilon_{RL} \ge -\varepsilon_{RL}`.
    """
    run = _learn(mdp, temperature, expert, reference, plan, rewards, seed)
    error = {
        "of both": run.reward_error_expert - run.reward_error_learner,
        "of the expert": run.reward_error_expert,
        "none": 0.0,
    }[reward_error]
    return all_of(
        loss=at_most(run.loss, run.expert_loss + run.to_clone + run.planning_loss + error, slack=run.error),
        ball=at_most(run.kept, ball * mdp.horizon + run.planning_loss, slack=run.error),
    )


rlhf.control("no reward error", because="the learner pursues the wrong reward", reward_error="none")
rlhf.control(
    "the error on the expert's states alone", because="the learner goes where rhat is too large", reward_error="of the expert"
)
rlhf.control("0.95 H / lambda", because="a clone that hardly takes the right arm is left at a price of nearly H", ball=0.95)


@claim(
    PAPER,
    "rlhf-no-pessimism",
    r"V^\star - V^\pi \le \varepsilon_E + \lambda\, \mathrm{KL}_{\mathrm{traj}}(\pi_E \| \pi_{BC}) + \varepsilon_{RL} + "
    r"E_{\pi_E}[r - \hat r] + \max_q \bigl\{ E_q[\hat r - r] - \lambda\, \mathrm{KL}_{\mathrm{traj}}(q \| \pi_{BC}) \bigr\}",
    kind="inequality",
    source="derived",
    assumes="as demoreg/rlhf",
    note="No term depends on where the learner goes: the last is at most lambda ln E_BC exp(sum (rhat - r) / lambda), the reward's error"
    " on the clone's own data. That is why the temperature does the work of pessimism.",
)
@over(
    GARNETS,
    temperature=(0.1, 1.0),
    expert=("optimal", "soft"),
    reference=("cloned", "drawn"),
    plan=("optimum", "sampled"),
    rewards=("noisy", "other"),
)
def rlhf_no_pessimism(
    mdp: EpisodicMDP,
    *,
    temperature: float,
    expert: str,
    reference: str | float,
    plan: str,
    rewards: str,
    seed: int,
    gain: float = 1.0,
    charged: float = 1.0,
) -> Comparison:
    r"""How wrong a learnt reward may be depends on the clone's own data only, not on where the learner goes.

    Keep :math:`-\lambda\, \mathrm{KL}_{\mathrm{traj}}(\pi \| \pi_{BC})` in the decomposition (`demoreg/decomposition-identity`): together
    with :math:`E_\pi[\hat r - r]` it is at most its maximum over all policies, a regularised problem in itself.
    """
    run = _learn(mdp, temperature, expert, reference, plan, rewards, seed)
    bound = run.expert_loss + charged * run.to_clone + run.planning_loss + run.reward_error_expert + gain * run.reward_gain
    return at_most(run.loss, bound, slack=run.error)


rlhf_no_pessimism.control("without the last term", because="the learner goes where rhat is too large", gain=0.0)
rlhf_no_pessimism.control(
    "without the clone's divergence", because="the learner need not prefer the expert to the clone", charged=0.0
)
