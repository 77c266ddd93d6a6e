"""The sample complexity of optimistic actor-critics: what is exact, deterministic, and visible in compiled runs.

The theorem's text was not at hand; its orders are recalled, every constant here is derived. Where runs are compared, both sides
use the same seeds.
"""

import functools

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.optimistic_actor_critic import (
    HORIZON,
    by_point,
    contexts_study,
    lock_study,
    retuned_gap,
)
from experiments.study import run_study
from mdplab.learning.linear_actor_critic import LinearActorCritic, linear_actor_critic
from mdplab.learning.optimistic_actor_critic import ActorCritic, optimistic_actor_critic, record_critics, ucbvi
from mdplab.learning.q_learning import optimistic_q_learning
from mdplab.learning.version_space import complete_class, version_space_actor_critic
from mdplab.models import (
    EpisodicMDP,
    episodic_cliff_walking,
    episodic_frozen_lake,
    episodic_garnet,
    episodic_lock,
    episodic_taxi,
    hard_contexts,
)
from mdplab.models.linear import LinearMDP, to_linear
from mdplab.models.linear_families import linear_simplex
from mdplab.solvers import backward_induction, episodic_occupancy, evaluate_episodic_policy
from paper_checks.optac import PAPER
from theory.bounds.hard_contexts import regret_lower_bound
from theory.claims import (
    Comparison,
    Range,
    all_of,
    at_least,
    at_most,
    by_profile,
    claim,
    domain,
    equal,
    less_on_average,
    mean_at_most,
    over,
    slope,
    violation_rate,
)
from theory.coverage import bellman_rank, eluder_sequence
from theory.random_streams import run_seeds
from theory.statistics import last_exit

Floats = NDArray[np.float64]
CONTEXTS, ACTIONS = 4, 4
MULTIPLES = (1.0, 2.0, 4.0)


# -- what is exact ----------------------------------------------------------------------------------------------------------


def _drawn(mdp: EpisodicMDP, seed: int) -> tuple[Floats, Floats]:
    """A function f (H+1, S, A), zero last, that has nothing to do with Q*, and a policy (H, S, A)."""
    rng = np.random.default_rng(seed)
    f = np.concatenate((rng.normal(size=mdp.R.shape) * mdp.horizon, np.zeros((1, *mdp.R.shape[1:]))))
    policy = rng.dirichlet(np.full(mdp.actions, 0.3), size=mdp.R.shape[:2])
    return f, policy


def _residual(mdp: EpisodicMDP, f: Floats) -> Floats:
    """f_h - T f_{h+1} (H, S, A), for f (H+1, S, A) and the optimality operator T."""
    return np.asarray(f[:-1] - mdp.R - np.einsum("hsat,ht->hsa", mdp.P, f[1:].max(axis=2)))


@claim(
    PAPER,
    "value-decomposition",
    r"V^\star - V^\pi = \sum_h E_{d^\pi}[\varepsilon_h] - \sum_h E_{d^\star}[\varepsilon_h] + \sum_h E_{d^\pi}[\mathrm{gap}_h] "
    r"- \sum_h E_{d^\star}[\max_a f_h - f_h(s_h, \pi^\star)], \quad \varepsilon_h = f_h - \mathcal{T} f_{h+1}, \; "
    r"\mathrm{gap}_h(s) = \max_a f_h - \langle f_h, \pi_h \rangle",
    kind="identity",
    source="derived",
    assumes="any f with f_H = 0, any policy pi; d* the occupancy of an optimal policy",
)
@over(episodic_garnet.sweep(S=(1, 3, 6), A=(2, 5), H=(1, 4, 8), draws=by_profile(quick=12, full=60)))
@over(episodic_lock.sweep(A=3, H=6, bait=0.1, draws=10))
@over(hard_contexts.sweep(C=3, A=3, H=5, gap=0.2, draws=10))
def value_decomposition(mdp: EpisodicMDP, *, seed: int, target: str = "policy") -> Comparison:
    r"""The loss of any policy splits into the critic's Bellman errors and how far the actor is behind the critic.

    :math:`V_f(s_1) - V^\pi = \sum_h E_{d^\pi}[\varepsilon_h + \mathrm{gap}_h]` by telescoping :math:`\max_a f_h - \langle f_h, \pi_h \rangle +
    f_h - \mathcal{T} f_{h+1}` along the policy, and likewise :math:`V_f(s_1) - V^\star = \sum_h E_{d^\star}[\varepsilon_h + \max_a f_h -
    f_h(s_h, \pi^\star)]`; subtract. A critic that is optimistic through bonuses alone (:math:`\varepsilon \ge 0`) drops the second and
    fourth terms.
    """
    f, policy = _drawn(mdp, seed)
    best = backward_induction(mdp)
    optimal = np.eye(mdp.actions)[best.policy]
    error, top = _residual(mdp, f), f[:-1].max(axis=2)
    own, star = episodic_occupancy(mdp, policy), episodic_occupancy(mdp, optimal)
    gap = top - np.einsum("hsa,hsa->hs", f[:-1], policy)
    behind = top - np.einsum("hsa,hsa->hs", f[:-1], optimal)
    assert mdp.start is not None
    loss = mdp.start @ (best.value[0] - evaluate_episodic_policy(mdp, policy).value[0])
    visited = own if target == "policy" else star
    terms = [(own.pair * error).sum(), -(star.pair * error).sum(), (visited.state * gap).sum(), -(star.state * behind).sum()]
    return equal(loss, sum(terms), tolerance=1e-12, scale=float(np.abs(terms).sum()) + mdp.horizon)


value_decomposition.control(
    "the actor's gap under d*", because="the actor's lag is paid where the actor goes", target="optimal"
)


def _critic(shape: str, A: int, spread: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Values of a critic in one state and how many actions have each; the largest is ``spread``."""
    if shape == "spike":
        return np.array([spread, 0.0]), np.array([1.0, A - 1.0])
    if shape == "near-tied":
        return spread * (1 - np.append(0.0, rng.random(A - 1) * 1e-3)), np.ones(A)
    values = rng.random(A)
    return spread * values / values.max(), np.ones(A)


def _tracking(values: Floats, counts: Floats, step: float, updates: Floats) -> Floats:
    """max f - <f, pi_u> of pi_u ~ exp(step u f), for each of ``updates``."""
    loss = values.max() - values
    weights = counts * np.exp(-step * np.multiply.outer(updates, loss))
    return np.asarray(weights @ loss / weights.sum(axis=-1))


@claim(
    PAPER,
    "actor-tracking",
    r"\max f - \langle f, \pi_u \rangle \le \frac{\ln A}{\eta u}, \qquad "
    r"\sum_{u=1}^{n} \bigl( \max f - \langle f, \pi_u \rangle \bigr) \le \frac{\ln A}{\eta}, \qquad \pi_u \propto e^{\eta u f}",
    kind="deterministic rate",
    source="derived",
    assumes="a critic f that does not change, the actor started at uniform, eta > 0",
)
@over(
    A=(2, 5, 11),
    shape=("uniform", "near-tied", "spike"),
    step=(1e-3, 0.03, 1.0, 10.0),
    spread=(0.1, 1.0, 5.0),
    draw=tuple(range(5)),
)
@over(A=1_000_000, shape="spike", step=Range(1e-3, 10.0, log=True), spread=Range(0.01, 5.0, log=True), draw=0, budget=60)
@over(A=(2, 11), shape="spike", step=Range(1e-3, 1.0, log=True), spread=Range(0.01, 5.0, log=True), draw=0, budget=60)
def actor_tracking(
    *,
    A: int,
    shape: str,
    step: float,
    spread: float,
    draw: int,
    seed: int,
    power: float = 1.0,
    share: float = 1.0,
    pointwise: float = 1.0,
) -> Comparison:
    r"""Against a critic at rest the actor's whole lag is at most ln A / eta, however long it lasts: no term grows with n.

    :math:`\Phi(u) = \eta^{-1} \ln \frac1A \sum_a e^{\eta u f(a)}` is convex with :math:`\Phi(0) = 0`, :math:`\Phi'(u) = \langle f, \pi_u \rangle`,
    and :math:`\Phi(u) \ge u \max f - \ln A / \eta`. So :math:`u \Phi'(u) \ge \Phi(u)` is the first bound and
    :math:`\sum_u \Phi'(u) \ge \Phi(n)` the second. Mirror descent's generic bound has :math:`\eta H^2 n / 8` besides. A small step attains the
    second; the first is attained by one good action among very many.
    """
    values, counts = _critic(shape, A, spread, np.random.default_rng(seed))
    u = np.arange(1.0, 3001.0)
    behind = _tracking(values, counts, step, u)
    rounding = 4e-16 * spread * u  # of the exponents, times the loss
    return all_of(
        each=at_most(behind, pointwise * np.log(A) / (step * u**power), slack=rounding, x=u),
        sum=at_most(np.cumsum(behind), share * np.log(A) / step, slack=np.cumsum(rounding)),
    )


actor_tracking.control("ln A / (eta u^2)", because="the lag falls like 1/u until the spike is found", power=2.0)
actor_tracking.control("half the sum", because="a small step attains the sum", share=0.5)
actor_tracking.control("5% less of the sum", because="a small step attains the sum", share=0.95)
actor_tracking.control("a third less at each u", because="one good action among a million comes nearer", pointwise=2 / 3)


@claim(
    PAPER,
    "tracking-any-states",
    r"\sum_{u=0}^{n-1} \mathrm{gap}(s_u; u) \le H + \frac{\ln A}{\eta} (1 + \ln n)",
    kind="deterministic rate",
    source="derived",
    assumes="one frozen critic with values in [0, H], any sequence of states s_u, the actor started at uniform at u = 0",
)
@over(A=(2, 10, 1_000_000), step=(0.01, 0.2, 1.0, 10.0), H=(1.0, 5.0), n=(10, 1000, 100_000))
def tracking_any_states(*, A: int, step: float, H: float, n: int, log: bool = True, share: float = 1.0) -> Comparison:
    r"""Within an epoch the actor's lag is logarithmic in its length, whichever states are visited.

    At u = 0 the lag is at most H, at u >= 1 at most :math:`\ln A / (\eta u)` in every state (`optac/actor-tracking`), and
    :math:`\sum_{u=1}^{n-1} 1/u \le 1 + \ln n`. The logarithm is real: the adversary here visits at time u a state whose best action leads by the
    amount that loses most just then, :math:`x / (\eta u)` with :math:`x` maximising :math:`x (A-1)/(A-1+e^x)`.
    """
    x = np.linspace(0.01, 30.0, 3000)
    best = float(x[np.argmax(x * (A - 1) / (A - 1 + np.exp(x)))])
    u = np.arange(1.0, n)
    lead = np.minimum(best / (step * u), H)
    behind = np.append(H * (1 - 1 / A), lead * (A - 1) / (A - 1 + np.exp(step * u * lead)))
    length = np.arange(1.0, n + 1)
    bound = H + share * np.log(A) / step * (1 + (np.log(length) if log else 0.0))
    return at_most(np.cumsum(behind), bound, x=length)


tracking_any_states.control(
    "H + 2 ln A / eta, as for one state", because="each state comes when it loses most", log=False, share=2.0
)
tracking_any_states.control("a third less", because="among a million actions the bound is nearly attained", share=2 / 3)


@claim(
    PAPER,
    "reset-necessity",
    r"\sum_{u<n} \mathrm{gap}(f^2; u) \le 2\Bigl(H + \frac{\ln A}{\eta}\Bigr) \text{ with a reset}, \qquad "
    r"\ge H n - \frac{H}{e^{\eta H} - 1} \text{ without}, \qquad f^1 = H e_1, \; f^2 = H e_2",
    kind="separation",
    source="derived",
    assumes="two epochs of n episodes each; the total lag of both epochs with resets, of the second without",
)
@over(n=(1, 10, 100, 1000, 10_000), step=(0.01, 0.1, 0.5, 2.0), H=(1.0, 5.0, 20.0), A=(2, 4, 100))
@over(n=1000, step=Range(1e-3, 5.0, log=True), H=Range(0.5, 20.0, log=True), A=(2, 4, 1000), budget=60)
def reset_necessity(*, n: int, step: float, H: float, A: int, reset: bool = True, share: float = 2.0) -> Comparison:
    r"""An actor that is not reset keeps serving the critic of yesterday: its lag behind the new one is linear.

    With resets each epoch costs at most :math:`\max f - \mathrm{mean} f \le H` at u = 0 and :math:`\ln A/\eta` after it. Without, the actor plays
    :math:`\exp(\eta(n f^1 + u f^2))`: action 2 has at most the probability :math:`1/(1 + e^{\eta H (n-u)})` at u < n, and
    :math:`\sum_{j \ge 1} 1/(1 + e^{\eta H j}) \le 1/(e^{\eta H} - 1)`. Hedge's regret to a fixed action stays small; what breaks is the tracking of
    the greedy policy, which the decomposition needs (`optac/value-decomposition`).
    """
    u = np.arange(float(n))
    spike = np.array([H, 0.0]), np.array([1.0, A - 1.0])
    each = float(_tracking(*spike, step, u).sum())
    # logits step (n H, u H, 0, ...): probability of action 2, exponents taken relative to n H
    first = np.exp(step * H * (u - n))
    probability = first / (1 + first + (A - 2) * np.exp(-step * H * n))
    kept = float((H * (1 - probability)).sum())
    bound = share * (H + np.log(A) / step)
    return all_of(
        reset=at_most(2 * each if reset else kept, bound, slack=1e-13 * H * n),
        no_reset=at_least(kept, H * n - H / np.expm1(step * H), slack=1e-13 * H * n),
    )


reset_necessity.control("no reset", because="the second epoch costs H n", reset=False)
reset_necessity.control("an eighth less", because="a small step among many actions attains both parts", share=1.75)


@claim(
    PAPER,
    "bellman-eluder",
    r"\mathrm{rank}\bigl( E_{d^{\pi_j}}[f_{i,h} - \mathcal{T} f_{i,h+1}] \bigr)_{ij} \le d, \qquad "
    r"n \le \frac{d}{\ln 3/2} \ln\Bigl( 1 + \frac{n B^2}{d \epsilon^2} \Bigr)",
    kind="inequality",
    source="derived",
    assumes="a linear MDP of dimension d and linear f (d = S A for tabular ones); n the length of any eps-independent sequence",
)
@over(linear_simplex.sweep(d=(2, 4), S=8, A=4, H=3, draws=by_profile(quick=10, full=40)), epsilon=(0.02, 0.2))
def bellman_eluder(model: LinearMDP, *, epsilon: float, seed: int, less: int = 0, linear: bool = True) -> Comparison:
    r"""The dimension d of the bound is small for linear MDPs: Bellman errors live in a space of d dimensions.

    For linear f the residual :math:`f_h - \mathcal{T} f_{h+1}` is again linear in the features, so that its expectations form a matrix
    :math:`\langle w_i, \bar\phi_j \rangle` of rank d. If :math:`\bar\phi_n` is :math:`\epsilon`-independent of its predecessors through w, then with
    :math:`\Lambda = \lambda I + \sum_{j<n} \bar\phi_j \bar\phi_j^\top`, :math:`\lambda = \epsilon^2/\|w\|^2`, :math:`\|w\|_\Lambda^2 \le 2\epsilon^2` and so
    :math:`\|\bar\phi_n\|^2_{\Lambda^{-1}} \ge 1/2`: each such distribution multiplies :math:`\det \Lambda` by 3/2 at least, and
    :math:`\det \Lambda \le (\lambda + n/d)^d` with features of norm at most 1. B bounds the norms of w.
    """
    rng = np.random.default_rng(seed)
    mdp, phi, d, h = model.to_episodic(), model.features, model.dimension, 1
    weights = rng.normal(size=(300, d)), rng.normal(size=(300, d))
    now, later = (phi @ w.T for w in weights) if linear else rng.normal(size=(2, *mdp.R.shape[1:], 300))
    residual = (now - mdp.R[h][..., None] - np.einsum("sat,ti->sai", mdp.P[h], later.max(axis=1))).reshape(-1, 300)
    residual /= np.abs(residual).max()
    policies = rng.dirichlet(np.full(mdp.actions, 0.2), size=(60, mdp.horizon, mdp.states))
    visits = np.stack([episodic_occupancy(mdp, policy).pair[h].ravel() for policy in policies])
    matrix = residual.T @ visits.T
    parts = {"rank": at_most(bellman_rank(matrix, 1e-9), d - less)}
    if linear:
        n = eluder_sequence(matrix, epsilon).length
        norm = float(np.linalg.norm(np.linalg.lstsq(phi.reshape(-1, d), residual, rcond=None)[0], axis=0).max())
        parts["sequence"] = at_most(n, d / np.log(1.5) * np.log1p(n * norm**2 / (d * epsilon**2)))
    return all_of(**parts)


bellman_eluder.control("rank d - 1", because="random linear functions fill all d dimensions", less=1)
bellman_eluder.control("functions that are not linear", because="their residuals fill the space of all pairs", linear=False)


# -- compiled runs ----------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=16)  # a claim and its controls look at the same runs
def _contexts(episodes: tuple[int, ...], seed: int, runs: int, **switches: object) -> pd.DataFrame:
    return run_study(contexts_study(episodes, seed=seed, runs=runs, **switches))  # type: ignore[arg-type]


def _worst(table: pd.DataFrame, value: str = "regret") -> Floats:
    """The column over (multiples of the gap, seeds, episodes)."""
    return np.moveaxis(by_point(table, value, "multiple", "episodes"), 1, 2)


def _episodes(table: pd.DataFrame) -> Floats:
    """The numbers of episodes of a study, in its order."""
    return np.asarray(table["episodes"].unique(), dtype=float)


FEW = (2000, 4000, 8000)  # enough for what misses by far
LONG = by_profile(quick=(8000, 32_000, 128_000), full=(8000, 32_000, 128_000, 512_000))


@claim(
    PAPER,
    "regret-exponent",
    r"\sup_{\mathrm{gap}} E\,\mathrm{Reg}(T) = \Theta\bigl( \sqrt{H^4 S A T} \bigr)",
    kind="regret exponent",
    source="recalled",
    assumes="Algorithm A, c = 1/2, eta = 1, hard contexts C = A = 4, H = 5; gap = m sqrt(C A / T), m in {1, 2, 4}; the exponent of T",
    tests=5,
)
@over()
def regret_exponent(
    *,
    seed: int,
    episodes: tuple[int, ...] = LONG,
    runs: int = 48,
    between: tuple[float, float] = (0.42, 0.58),
    gap: float | None = None,
    multiples: tuple[float, ...] = MULTIPLES,
    scale: float = 0.5,
    step: float = 1.0,
    lock: bool = False,
    ceiling: float = 8.0,
) -> Comparison:
    r"""The regret of the optimistic actor-critic grows like the root of the number of episodes, and not faster.

    Only the worst case over gaps that are re-tuned to T shows it: for any fixed gap the regret is logarithmic in the end, and one
    learner's worst gap is not another's. The upper side of Theta is the theorem's order (recalled: :math:`\sqrt{d H^4 T \ln |F|}` for the
    critic, and see `optac/tracking-polylog` for the actor); the lower side is Auer et al.'s bound. At each T the worst mean regret is
    at most 8 times that lower bound at its best gap, :math:`0.14 (H-2) \sqrt{CAT}`. The exponent alone has no teeth: where the gap is
    proportional to :math:`T^{-1/2}` the uniform policy has it too, at a constant above that ceiling (control).
    """
    if lock:
        table = run_study(lock_study(tuple(T // 4 for T in episodes), seed=seed, runs=runs, scale=scale))
        return slope(_episodes(table), by_point(table, "regret", "episodes").T, between=between)
    samples = _worst(_contexts(episodes, seed, runs, multiples=multiples, fixed_gap=gap, scale=scale, step=step))
    if gap is not None:
        return slope(episodes, samples[0], between=between)
    floors = [regret_lower_bound(CONTEXTS, ACTIONS, T, retuned_gap(CONTEXTS, ACTIONS, T, 0.4), HORIZON) for T in episodes]
    worst = samples.mean(axis=1).argmax(axis=0)
    return all_of(
        slope(episodes, samples, between=between, worst_case=True),
        *(
            mean_at_most(samples[m, :, i], ceiling * floor, label=f"T = {T}")
            for i, (T, m, floor) in enumerate(zip(episodes, worst, floors))
        ),
    )


regret_exponent.control("exponent 1/3", because="the lower bound forbids it", between=(0.25, 0.41))
regret_exponent.control("exponent 2/3", because="optimism does better", between=(0.6, 0.75))
regret_exponent.control(
    "an actor that hardly moves",
    because="the uniform policy loses 21 times the bound",
    step=1e-9,
    multiples=(4.0,),
    episodes=FEW,
)
regret_exponent.control(
    "a fixed gap",
    because="once the arms are told apart the regret is logarithmic",
    gap=0.35,
    multiples=(1.0,),
    episodes=(4000, 16_000, 32_000),
)
regret_exponent.control("no optimism", because="on the lock greedy learners stay with the bait", scale=0.0, lock=True)
regret_exponent.control("twice the lower bound", because="the learner's constant is larger", ceiling=2.0)


@claim(
    PAPER,
    "constant-eta-no-worse",
    r"0.8 \le \frac{E\,\mathrm{Reg}(T; \eta = 1)}{E\,\mathrm{Reg}(T; \eta_T)} \le 1.1, \qquad "
    r"\eta_T = \sqrt{SAH \ln T \ln A / (H^2 T)}",
    kind="mechanism",
    source="derived",
    assumes="Algorithm A, c = 1/2, hard contexts C = A = 4, H = 5, the same seeds for both steps",
    tests=2,
)
@over(episodes=by_profile(quick=(4000, 16_000), full=(8000, 32_000, 128_000)), multiple=MULTIPLES)
def constant_eta_no_worse(
    *, episodes: int, multiple: float, seed: int, runs: int = 128, least: float = 0.8, step: float = 1.0
) -> Comparison:
    """A step that does not vanish with T costs no regret: which of the two steps is taken is second order.

    Their ratio was .98 to 1.03 at m = 1, .94 to .96 at m = 2 and .87 to .92 at m = 4 (160 to 60 runs, T = 8 to 128 thousand): the constant
    step is the better one where the gap is large, because it follows each new critic at once. A window from .9 on, which the
    supremum over gaps would bear, does not hold at m = 4.
    """
    constant = _contexts((episodes,), seed, runs, multiples=(multiple,), step=step)["regret"].to_numpy()
    paper = _contexts((episodes,), seed, runs, multiples=(multiple,), vanishing=True)["regret"].to_numpy()
    return all_of(
        less_on_average(constant, 1.1 * paper, label="at most 1.1"),
        less_on_average(least * paper, constant, label=f"at least {least:g}"),
    )


constant_eta_no_worse.control(
    "eta = 1e-5",
    because="the actor never leaves the uniform policy",
    step=1e-5,
    on=domain(episodes=4000, multiple=MULTIPLES),
)
constant_eta_no_worse.control("a ratio above .95", because="at the largest gap the constant step is better", least=0.95)


@claim(
    PAPER,
    "tracking-polylog",
    r"\sum_{t \le T} \sum_h \mathrm{gap}_h(s_h) \le K \Bigl( \frac{H(H+1)}{2} + \frac{H \ln A}{\eta} \bigl( 1 + \ln \tfrac TK \bigr) \Bigr), \quad "
    r"K \le 1 + SAH(1 + \log_2 T)",
    kind="deterministic rate",
    source="derived",
    assumes="the critic is frozen between K switches, the actor reset at each; constant eta; every run, every T",
    note="The actor's term d H^5 ln|A| / eps^2 of the published sample complexity is an artefact of the vanishing step and of mirror "
    "descent's generic bound: wherever the critic is frozen between switches, a constant step makes the actor's part polylogarithmic in T.",
)
@over()
def tracking_polylog(*, seed: int, episodes: tuple[int, ...] = LONG, runs: int = 32, vanishing: bool = False) -> Comparison:
    r"""The actor's share of the regret is polylogarithmic: with a constant step only the critic's term is of the order 1/eps^2.

    In an epoch of length n the lag in any state is at most :math:`\ln A/(\eta u)` after u steps, and at most H - h before the first, so
    that whatever states are visited a step h costs at most :math:`H - h + \frac{\ln A}{\eta}(1 + \ln n)` (`optac/tracking-any-states`). Sum over the
    H steps, and over the K epochs, whose lengths add up to T, by concavity of the logarithm. By `optac/switch-count`
    :math:`K = O(SAH \log T)`, so with :math:`\eta \ge 1/H` the actor costs :math:`O(SAH^3 \log A \log^2 T)` in all, where the generic bound of
    mirror descent with the step :math:`\eta_T \propto T^{-1/2}` gives :math:`\sqrt{d H^5 T \ln A \ln T}`: the term :math:`d H^5 \ln|A|/\epsilon^2` of the
    sample complexity belongs to that step and that bound, not to actor-critics. The lag measured along the runs shows both:
    it grows by about 45 for every fourfold T with eta = 1, and like the root of T with eta_T.

    Checked in every run: the bound, and that the lag's exponent in T is at most .35 (log^2 T has the local exponent 2/ln T).
    """
    table = _contexts(episodes, seed, runs, multiples=(2.0,), vanishing=vanishing)
    lag, T = table["tracking"].to_numpy(), table["episodes"].to_numpy(dtype=float)
    K = table["switches"].to_numpy(dtype=float)
    bound = K * (HORIZON * (HORIZON + 1) / 2 + HORIZON * np.log(ACTIONS) * (1 + np.log(T / K)))
    return all_of(
        bound=at_most(lag, bound),
        exponent=slope(episodes, by_point(table, "tracking", "episodes").T, between=(0.0, 0.35)),
    )


tracking_polylog.control("the vanishing step", because="its lag grows like the root of T", vanishing=True, episodes=FEW)


@claim(
    PAPER,
    "switch-count",
    r"K(T) \le 1 + SAH(1 + \log_2 T)",
    kind="inequality",
    source="derived",
    assumes="Algorithm A; every run, every T",
)
@over(episodes=(2**4 + 1, 2**12 + 1), contexts=0)
@over(episodes=(500, 8000, 64_000), contexts=(2, 4, 8))
def switch_count(*, episodes: int, contexts: int, seed: int, doubling: bool = True, share: float = 1.0) -> Comparison:
    """The critic is computed a logarithmic number of times.

    A switch needs a count that has doubled (from at least 1/2) since the last one; no count exceeds T, so that each of the SAH
    counts doubles at most 1 + log2 T times. With one pair at each step every doubling is a switch, and the bound is attained for
    H = 1. On hard contexts it is far away: counts double together.
    """
    mdp = episodic_garnet(S=1, A=1, H=1) if contexts == 0 else hard_contexts(C=contexts, A=ACTIONS, H=HORIZON, gap=0.1)
    algorithm = ActorCritic(scale=0.5, switching="doubling" if doubling else "every episode")
    marks = np.unique(np.geomspace(1, episodes, 40).astype(int))
    runs = optimistic_actor_critic(mdp, episodes, run_seeds(seed, 16), algorithm, checkpoints=marks)
    bound = 1 + mdp.R.size * (share + np.log2(runs.checkpoints))
    return at_most(runs.switches.max(axis=0), bound, x=runs.checkpoints)


switch_count.control("a switch each episode", because="K = T", doubling=False, on=domain(episodes=(500, 4000), contexts=2))
switch_count.control("SAH log2 T", because="the first visit is a switch as well", share=0.0)


@claim(
    PAPER,
    "switch-growth",
    r"K(T) = O(\log T)",
    kind="deterministic rate",
    source="derived",
    assumes="Algorithm A on hard contexts C = A = 4, H = 5, gap re-tuned to T; the exponent of T",
)
@over()
def switch_growth(*, seed: int, episodes: tuple[int, ...] = LONG, runs: int = 32, switching: str = "doubling") -> Comparison:
    """The number of switches has no power of T in it: about ten more for every fourfold T.

    K = 68, 78, 88 at T = 8, 32, 128 thousand: an exponent of less than .12, and falling.
    """
    table = _contexts(episodes, seed, runs, multiples=(2.0,), switching=switching)
    return slope(_episodes(table), by_point(table, "switches", "episodes").T, between=(0.0, 0.12))


switch_growth.control("a switch each episode", because="K = T", switching="every episode", episodes=FEW)


EARLY = (1000, 4000, 16_000)


@functools.lru_cache(maxsize=4)  # a claim and its controls look at the same runs
def _mended(mdp: EpisodicMDP, seed: int, runs: int, learner: ActorCritic) -> Floats:
    """Pseudo-regret after the :data:`EARLY` episodes, shape (runs, 3)."""
    return optimistic_actor_critic(mdp, EARLY[-1], run_seeds(seed, runs), learner, checkpoints=np.array(EARLY)).pseudo_regret


@claim(
    PAPER,
    "rare-switch-necessity",
    r"E\,\mathrm{Reg}(T) = T (V^\star - V^{\mathrm{uniform}}) \text{ when the critic switches at every episode, with resets}",
    kind="necessity",
    source="derived",
    assumes="Algorithm A with resets; beside it the regret with rare switching has an exponent of at most 3/4 and is less than half",
    tests=3,
)
@over(episodic_garnet.sweep(S=5, A=4, H=4, concentration=0.3, seed=(0, 1)))
@over(hard_contexts.sweep(C=2, A=4, H=5, gap=0.35, seed=0))
def rare_switch_necessity(mdp: EpisodicMDP, *, seed: int, reset: bool = True, rare: bool = False, runs: int = 40) -> Comparison:
    """More frequent critic updates destroy the algorithm: the actor is reset before it has taken a step, and stays uniform.

    The remedy is either to switch rarely or not to reset: without resets the same learner with a critic for each episode has a
    small regret (control). On the regret after T = 1, 4 and 16 thousand episodes.
    """
    frequent = ActorCritic(scale=0.5, switching="doubling" if rare else "every episode", reset=reset)
    often, seldom = (_mended(mdp, seed, runs, learner) for learner in (frequent, ActorCritic(scale=0.5)))
    marks = np.array(EARLY)
    return all_of(
        linear=slope(marks, often, between=(0.98, 1.02)),
        rare=slope(marks, seldom, between=(0.0, 0.75)),
        less=less_on_average(2 * seldom[:, -1], often[:, -1]),
    )


rare_switch_necessity.control("every episode, no reset", because="an actor that is not reset follows", reset=False)
rare_switch_necessity.control("rare switching", because="the frozen critic is followed", rare=True)


@claim(
    PAPER,
    "certificate",
    r"f \ge Q^\star \text{ with probability } 1 - \delta, \qquad "
    r"V^\star - V^{\pi_t} \le \sum_h E_{d^{\pi_t}}[\varepsilon_h + \mathrm{gap}_h], \quad \varepsilon_h \le 2 b_h",
    kind="high-probability bound",
    source="derived",
    assumes="Hoeffding bonuses with c = 1; every critic of the run, the policy of every 200th episode, both computed exactly",
    tests=2,
)
@over(episodic_garnet.sweep(S=4, A=3, H=4, draws=2))
def certificate(
    mdp: EpisodicMDP,
    *,
    seed: int,
    scale: float = 1.0,
    delta: float = 0.1,
    episodes: int = 2000,
    runs: int = 240,
    on_event: bool = True,
) -> Comparison:
    r"""At c = 1 the critic certifies the policy that is being played, in every episode of nearly every run.

    Where :math:`f \ge Q^\star`, the bound follows from `optac/value-decomposition`, whose second and fourth terms then have a sum of at
    most 0. That optimism fails with probability at most delta is Hoeffding's bound, over all pairs and all counts, for
    :math:`\hat r + \hat P V^\star_{h+1}`, and induction. That Bellman errors are at most twice the bonus is not implied (the critic's own
    :math:`V_{h+1}` depends on the data) and is seen. Smaller bonuses look good on average, and lose optimism: then rare runs
    suffer linear regret. Use c >= 1/2 for exponents, c = 1 for statements about probability.
    """
    best = backward_induction(mdp)
    lost, wide, loss, bound = [], [], [0.0], [0.0]
    for number in run_seeds(seed, runs):
        critics = record_critics(mdp, episodes, int(number), ActorCritic(scale=scale))
        f = np.concatenate((critics.f, np.zeros((len(critics.f), 1, *mdp.R.shape[1:]))), axis=1)
        error = f[:, :-1] - mdp.R - np.einsum("hsat,kht->khsa", mdp.P, f[:, 1:].max(axis=3))
        optimistic = np.asarray((critics.f >= best.q - 1e-12).all(axis=(1, 2, 3)))
        lost.append(not optimistic.all())
        wide.append(bool((error > 2 * critics.bonuses + 1e-12).any()))
        for t in range(199, episodes, 200):
            k = int(np.searchsorted(critics.episodes, t, side="right")) - 1
            if on_event and not optimistic[k]:
                continue
            policy = critics.policy(t)
            own = episodic_occupancy(mdp, policy)
            gap = critics.f[k].max(axis=2) - np.einsum("hsa,hsa->hs", critics.f[k], policy)
            # V* - V^pi = sum_h E_{d^pi}[V*_h - Q*_h] (performance difference)
            loss.append(float(-(own.pair * best.advantage).sum()))
            bound.append(float((own.pair * error[k]).sum() + (own.state * gap).sum()))
    return all_of(
        certified=at_most(loss, bound, slack=1e-12),
        optimism=violation_rate(lost, delta, label="optimism lost"),
        errors=violation_rate(wide, delta, label="a Bellman error above twice the bonus"),
    )


certificate.control("c = 0.02", because="optimism is lost at most switches", scale=0.02)
certificate.control(
    "without the event of optimism", because="a critic below Q* certifies nothing", scale=0.02, on_event=False, delta=0.999
)


@claim(
    PAPER,
    "eps-exponent",
    r"\sup_{\mathrm{gap}} E\,N(\epsilon) = O(\epsilon^{-2}), \qquad N(\epsilon) = \min\{ T : \mathrm{Reg}(T')/T' \le \epsilon \; \forall T' \ge T \}",
    kind="complexity",
    source="recalled",
    assumes="Algorithm A, c = 1/2, hard contexts C = A = 4, H = 5; gap = m eps / (H - 2), m in {2, 4}; eps from .2 to .05",
    tests=5,
)
@over()
def eps_exponent(
    *,
    seed: int,
    accuracies: tuple[float, ...] = by_profile(quick=(0.2, 0.1, 0.05), full=(0.2, 0.1, 0.05, 0.025)),
    runs: int = 48,
    between: tuple[float, float] = (1.5, 2.2),
    ceiling: float = 180.0,
    gap: float | None = None,
) -> Comparison:
    r"""The number of episodes to an average regret of epsilon grows like its inverse square.

    N counts the last exit from the region above epsilon, not the first entry. Measured, with m = 3 as well: :math:`N \epsilon^2` falls ever
    more slowly, 190, 129, 111, 95, 92 at epsilon = .4, .2, .1, .05, .025, because the terms of lower order are not yet negligible: the
    exponent is about 1.75 down to .05, and rises towards 2. A gap with m <= 4/3 says nothing: there the uniform policy is good enough.
    """
    multiples = MULTIPLES[1:] if gap is None else (1.0,)
    arrival = np.empty((len(multiples), runs, len(accuracies)))
    for i, epsilon in enumerate(accuracies):
        T = round(300 / epsilon**2)
        for j, multiple in enumerate(multiples):
            here = multiple * epsilon / (HORIZON - 2) if gap is None else gap
            table = _contexts((T,), seed, runs, multiples=(multiple,), fixed_gap=here, checkpoints=600)
            marks = table["episode"].to_numpy()[: len(table) // runs]
            curves = table["regret"].to_numpy().reshape(runs, -1) / marks
            arrival[j, :, i] = [last_exit(marks, curve, epsilon) for curve in curves]
    counts = [
        mean_at_most(arrival[:, :, i].max(axis=0) * e**2, ceiling, label=f"epsilon = {e:g}") for i, e in enumerate(accuracies)
    ]
    return all_of(slope(1 / np.array(accuracies), arrival, between=between, worst_case=True), *counts)


eps_exponent.control("exponent 1", because="a re-tuned gap needs 1/gap^2 visits of each arm", between=(0.8, 1.3))
eps_exponent.control("exponent 3", because="nothing costs so much", between=(2.5, 3.2))
eps_exponent.control("a fixed gap", because="its regret is logarithmic: about 1/epsilon", gap=0.35, accuracies=(0.2, 0.1, 0.07))


@claim(
    PAPER,
    "dimension-scaling",
    r"\sup_{\mathrm{gap}} E\,\mathrm{Reg}(T) \propto \sqrt{C}",
    kind="regret exponent",
    source="derived",
    assumes="Algorithm A, c = 1/2, hard contexts with A = 4, H = 5; gaps m sqrt(4 A / T), m in {1, 2, 4, 8}, the same for every C; the exponent of C",
)
@over()
def dimension_scaling(
    *,
    seed: int,
    episodes: int = by_profile(quick=16_000, full=64_000),
    contexts: tuple[int, ...] = (4, 8, 16, 32),
    runs: int = 40,
    between: tuple[float, float] = (0.35, 0.6),
    step: float = 1.0,
) -> Comparison:
    """At a fixed number of episodes the worst-case regret grows like the root of the number of states.

    The supremum is over one grid of gaps for all C, so that a learner that learns nothing does not pass: it loses most at the
    largest gap, whatever C is.
    """
    samples = []
    for multiple in (*MULTIPLES, 8.0):
        gap = retuned_gap(contexts[0], ACTIONS, episodes, multiple)
        table = _contexts((episodes,), seed, runs, multiples=(multiple,), contexts=contexts, fixed_gap=gap, step=step)
        samples.append(by_point(table, "regret", "contexts").T)
    return slope(np.array(contexts, dtype=float), samples, between=between, worst_case=True)


dimension_scaling.control("linear in the states", because="each context has fewer visits", between=(0.8, 1.2))
dimension_scaling.control(
    "an actor that hardly moves", because="the uniform policy's loss knows no C", step=1e-9, episodes=2000
)


def _regret(learner: str, mdp: EpisodicMDP, episodes: int, seeds: NDArray[np.uint64]) -> Floats:
    """The pseudo-regret of each run of a learner; the oracle's is that of the optimal policy."""
    if learner == "oracle":
        best = backward_induction(mdp)
        loss = best.value[0] - evaluate_episodic_policy(mdp, best.policy).value[0]
        return np.full(seeds.size, episodes * float(loss[0]))  # every episode starts in state 0
    if learner == "q-learning":
        return optimistic_q_learning(mdp, episodes, seeds, scale=0.05).pseudo_regret[:, 0]
    if learner == "ucbvi":
        return ucbvi(mdp, episodes, seeds, bonus="bernstein", scale=0.2).pseudo_regret[:, 0]
    if learner == "linear":
        return linear_actor_critic(to_linear(mdp), episodes, seeds, LinearActorCritic(scale=0.5)).pseudo_regret[:, 0]
    switches = {
        "hoeffding": ActorCritic(scale=0.2),
        "bernstein": ActorCritic("bernstein", scale=0.2),
        "greedy": ActorCritic(scale=0.0),
        "no reset": ActorCritic(scale=0.2, reset=False),
    }
    return optimistic_actor_critic(mdp, episodes, seeds, switches[learner]).pseudo_regret[:, 0]


@claim(
    PAPER,
    "lower-bound",
    r"E\,\mathrm{Reg}(T) \ge g(H-2) \sum_c E\Bigl[ n_c - \frac{n_c}{A} - \frac{n_c}{2} \sqrt{\frac{n_c}{A} \ln \frac{1}{1-4g^2}} \Bigr]^+, \quad n_c \sim \mathrm{Bin}(T, 1/C)",
    kind="lower bound",
    source="recalled",
    assumes="hard contexts C = A = 4, H = 5, gap g = k sqrt(C A / T); on average over the hidden arms; any learner",
)
@over(
    learner=("hoeffding", "bernstein", "greedy", "no reset", "q-learning", "ucbvi", "linear"),
    episodes=by_profile(quick=4000, full=(4000, 16_000)),
    k=(0.25, 0.4),
)
def lower_bound(
    *,
    learner: str,
    episodes: int,
    k: float,
    seed: int,
    hidden: int = by_profile(quick=40, full=120),
    runs: int = 2,
    oracle: bool = False,
) -> Comparison:
    """No learner beats the minimax lower bound, whatever its bonus, its critic or its actor.

    Auer, Cesa-Bianchi, Freund and Schapire's bound, applied to each context, given how often it came up. It is attained up to a
    factor of about 2; at these gaps the uniform policy is itself within a factor 1.5 (k = .25) and 2.2 (k = .4) of it, so that
    nearness to it says little about a learner (`optac/regret-exponent` compares at the learner's own worst gap).
    """
    gap = retuned_gap(CONTEXTS, ACTIONS, episodes, k)
    seeds = run_seeds(seed, hidden * runs).reshape(hidden, runs)
    found = [
        _regret(
            "oracle" if oracle else learner,
            hard_contexts(C=CONTEXTS, A=ACTIONS, H=HORIZON, gap=gap, seed=int(own[0] >> np.uint64(32))),
            episodes,
            own,
        )
        for own in seeds
    ]
    average = np.array(found).mean(axis=1)  # one number for each draw of the hidden arms
    floor = regret_lower_bound(CONTEXTS, ACTIONS, episodes, gap, HORIZON)
    return less_on_average(np.full(hidden, floor), average)


lower_bound.control("an oracle", because="it knows the hidden arms beforehand", oracle=True)


@claim(
    PAPER,
    "version-space",
    r"K(T) = O(\log T), \qquad \mathrm{Reg}(T) = O(\sqrt T) \text{ with rare switching}",
    kind="mechanism",
    source="recalled",
    assumes="Algorithm C with a complete class of 27, 18 and 9 functions, H = 3, radius 2 ln(2HT|F_h||F_{h+1}|/delta)",
    tests=5,
)
@over(episodic_garnet.sweep(S=4, A=3, H=3, draws=2))
def version_space(mdp: EpisodicMDP, *, seed: int, every_episode: bool = False, runs: int = 40) -> Comparison:
    r"""In its general form too the algorithm keeps its critic for long, and lives by it.

    After T = 500, 2000 and 8000 episodes: the mean number of switches is at most :math:`\frac12 \log_2 T` (it is 2 to 4; an exponent says
    little about numbers so small); the exponent of the regret is below .8, and switching at every episode (with resets) costs more
    than twice as much.
    """
    guesses = [episodic_garnet(S=mdp.states, A=mdp.actions, H=mdp.horizon, seed=int(s >> 33)) for s in run_seeds(seed, 7)]
    functions = complete_class(mdp, guesses)
    marks, seeds = np.array([500, 2000, 8000]), run_seeds(seed + 1, runs)
    rare = version_space_actor_critic(mdp, functions, 8000, seeds, every_episode=every_episode, checkpoints=marks)
    often = version_space_actor_critic(mdp, functions, 8000, seeds, every_episode=True, checkpoints=marks)
    return all_of(
        *(mean_at_most(rare.switches[:, i], np.log2(T) / 2, label=f"switches at T = {T}") for i, T in enumerate(marks)),
        regret=slope(marks, rare.pseudo_regret, between=(-0.05, 0.8)),
        less=less_on_average(2 * rare.pseudo_regret[:, -1], often.pseudo_regret[:, -1]),
    )


version_space.control("a switch each episode", because="the actor stays uniform", every_episode=True)


def _pooled(name: str, scale: float, step: float) -> ActorCritic:
    """A learner whose counts are shared by the steps: the optimistic actor-critic, or UCBVI."""
    if name == "ucbvi":
        return ActorCritic("bernstein", scale, np.inf, switching="every episode", reset=False, pooled=True)
    return ActorCritic(scale=scale, step=step, pooled=True)


@claim(
    PAPER,
    "gymnasium",
    r"\mathrm{Reg}(T) - \mathrm{Reg}(3T/4) \le 0.9\, \mathrm{Reg}(T/4)",
    kind="mechanism",
    source="derived",
    assumes="FrozenLake (slippery, H = 20), CliffWalking (H = 20), Taxi (H = 18, its start law) made episodic, rewards on [0, 1]; small bonuses",
)
@over(
    episodic_frozen_lake.sweep(H=20) | episodic_cliff_walking.sweep(H=20),
    learner=("actor-critic", "ucbvi", "q-learning"),
    episodes=by_profile(quick=4000, full=20_000),
)
@over(episodic_taxi.sweep(H=18), learner="actor-critic", episodes=by_profile(quick=1500, full=10_000))
def gymnasium(mdp: EpisodicMDP, *, learner: str, episodes: int, seed: int, runs: int = 16, step: float = 1.0) -> Comparison:
    """On real models too the learners learn: the last quarter of the episodes costs less than the first.

    The regret is measured against the exact optimum. A mechanism, not a bound: with bonuses large enough for proofs nothing would
    be seen at these numbers of episodes. The linear form (68 one-hot features) and the version-space form run on FrozenLake in the
    figure gymnasium_learners; neither has learnt anything to speak of after 2000 episodes.
    """
    marks = np.array([episodes // 4, 3 * episodes // 4, episodes])
    seeds = run_seeds(seed, 4 * runs if learner == "q-learning" else runs)  # its runs are cheap, and vary more
    if learner == "q-learning":
        regret = optimistic_q_learning(mdp, episodes, seeds, scale=0.02, checkpoints=marks).pseudo_regret
    else:
        regret = optimistic_actor_critic(mdp, episodes, seeds, _pooled(learner, 0.05, step), checkpoints=marks).pseudo_regret
    return less_on_average(regret[:, 2] - regret[:, 1], 0.9 * regret[:, 0])


gymnasium.control(
    "an actor that takes no steps",
    because="the uniform policy does not improve",
    step=1e-9,
    on=domain(episodic_frozen_lake.sweep(H=20), learner="actor-critic", episodes=4000),
)
