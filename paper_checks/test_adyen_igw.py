r"""Contextual bandits at Adyen (Vangara and Egg 2024): inverse-gap weighting, its two algorithms, and generations of a model.

The paper is empirical: it deploys SquareCB (Foster and Rakhlin 2020) with regression models that are retrained on their own
logs, and reports that a class which is not realizable makes successive generations oscillate. Checked here is the
mathematics under it.

Notation: :math:`\hat f` are estimates of the mean rewards of K actions, b is the action that looks best and
:math:`\hat\Delta_a = \hat f(b) - \hat f(a)`; inverse-gap weighting plays :math:`p(a) = 1 / (K + \gamma \hat\Delta_a)` for
:math:`a \ne b` and b with what is left. F is a finite class of functions, :math:`f^\star` the means, T the horizon.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from scipy.stats import binom

from bandits.contextual import RegressionProblem, fixed_gap, outvoted, random_class
from bandits.inverse_gap_weighting import (
    PUBLISHED_SCALE,
    Schedule,
    decision_value,
    estimation_bound,
    falcon,
    falcon_epochs,
    inverse_gap_weights,
    normalised_inverse_gap_weights,
    rival_values,
    squarecb,
    squarecb_bound,
    squarecb_expectation,
    squarecb_rate,
)
from bandits.retraining import LinearProblem, alternating, linear_bandit, next_generation, retrain
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
    mean_at_most,
    over,
    slope,
)
from theory.random_streams import run_seeds

Array = NDArray[np.float64]

PAPER = Paper(
    key="adyen-igw",
    title="Contextual Bandits in Payment Processing: Non-uniform Exploration and Supervised Learning at Adyen",
    authors="Vangara, Egg",
    year=2024,
    theme="bandits",
    arxiv="2412.00569",
)
GREEDY = 1e9  # a learning rate at which inverse-gap weighting hardly explores


def _estimates(K: int, scale: float, draws: int, seed: int) -> Array:
    """Rows of K numbers from [0, scale], some with ties and some with one action far ahead, shape (draws, K)."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(0, scale, size=(draws, K))
    values[: draws // 4] = np.round(values[: draws // 4] / scale, 1) * scale
    values[draws // 4 : draws // 2, 0] += scale
    values[0] = 0.0
    return values


def _play(rule: str, estimates: Array, gamma: float) -> Array:
    K = estimates.shape[-1]
    if rule == "epsilon greedy":
        epsilon = min(1.0, K / gamma)
        greedy = np.eye(K)[estimates.argmax(axis=-1)]
        return (1 - epsilon) * greedy + epsilon / K
    if rule == "softmax":
        return softmax(gamma * estimates, axis=-1)
    return {"inverse gap": inverse_gap_weights, "normalised": normalised_inverse_gap_weights}[rule](estimates, gamma)


@claim(
    PAPER,
    "igw-exact",
    r"\sup_{f \in \mathbb{R}^K} \Bigl[\max_a f(a) - \langle p, f \rangle - \frac{\gamma}{4} \sum_a p(a) (\hat f(a) - f(a))^2\Bigr]"
    r" = \frac{K-1}{\gamma} + \sum_a p(a) \hat\Delta_a",
    kind="identity",
    source="derived",
    assumes="p is inverse-gap weighting of the estimates, gamma > 0",
)
@over(K=(2, 3, 6, 11), gamma=(0.1, 3.0, 100.0, 1e4), scale=(1.0, 20.0))
def igw_exact(
    *,
    K: int,
    gamma: float,
    scale: float,
    seed: int,
    draws: int = by_profile(quick=50, full=500),
    penalty: float = 0.25,
    count: float = 1.0,
) -> Comparison:
    r"""Inverse-gap weighting leaves nature indifferent: every rival of the action that looks best attains the same worst case.

    Fix the action a that is to be best and write d = f - :math:`\hat f`. The bracket is concave in d, with the maximiser
    :math:`d_i = -2/\gamma` for :math:`i \ne a` and :math:`d_a = 2 (1 - p(a)) / (\gamma p(a))`, where it is worth
    :math:`\hat f(a) - \langle p, \hat f \rangle + (1 - p(a)) / (\gamma p(a))`. For inverse-gap weighting and :math:`a \ne b` the last
    term is :math:`(K - 1)/\gamma + \hat\Delta_a`, so that a drops out; for a = b it is at most :math:`(K-1)/\gamma` because p(b) is at
    least 1/K. The check puts the maximisers into the bracket itself, and looks at its gradient there.
    """
    estimates = _estimates(K, scale, draws, seed)
    p = inverse_gap_weights(estimates, gamma)
    attained = np.empty((draws, K))
    gradients = np.empty((draws, K, K))
    for a in range(K):
        d = np.full((draws, K), -2 / gamma)
        d[:, a] = 2 * (1 - p[:, a]) / (gamma * p[:, a])
        f = estimates + d
        attained[:, a] = f[:, a] - (p * f).sum(axis=1) - penalty * gamma * (p * d**2).sum(axis=1)
        gradients[:, a] = np.eye(K)[a] - p - gamma / 2 * p * d
    gaps = estimates.max(axis=1, keepdims=True) - estimates
    closed = (K - count) / gamma + (p * gaps).sum(axis=1)
    rivals = np.where(np.arange(K) == estimates.argmax(axis=1)[:, None], closed[:, None], attained)
    size = float(np.abs(closed).max() + scale)  # differences of numbers of this size
    return all_of(
        value=equal(attained.max(axis=1), closed, tolerance=1e-12, scale=size),
        indifference=equal(rivals, np.broadcast_to(closed[:, None], rivals.shape), tolerance=1e-12, scale=size),
        stationary=equal(gradients, np.zeros_like(gradients), tolerance=1e-12, scale=1.0),
        formula=equal(decision_value(estimates, p, gamma), attained.max(axis=1), tolerance=1e-12, scale=size),
    )


igw_exact.control("a penalty of gamma/4.1", because="the worst case pays less for its distance", penalty=1 / 4.1)
igw_exact.control("K/gamma in place of (K-1)/gamma", because="the best action is no rival of itself", count=0.0)


@claim(
    PAPER,
    "igw-range",
    r"\frac{K-1}{\gamma} \le \sup_{f} \Bigl[\max_a f(a) - \langle p, f \rangle - \frac{\gamma}{4} \sum_a p(a) (\hat f(a) - f(a))^2\Bigr]"
    r" \le \frac{2(K-1)}{\gamma}",
    kind="inequality",
    source="derived",
    assumes="p is inverse-gap weighting of the estimates, gamma > 0",
)
@over(K=(2, 3, 11), gamma=(0.1, 10.0, 1e4), scale=(1.0, 100.0))
@over(K=3, gamma=Range(0.1, 1e4, log=True), scale=Range(0.01, 100.0, log=True), budget=by_profile(quick=60, full=600))
def igw_range(
    *,
    K: int,
    gamma: float,
    scale: float,
    seed: int,
    draws: int = by_profile(quick=50, full=500),
    rule: str = "inverse gap",
    share: float = 1.0,
) -> Comparison:
    r"""Regret is paid for by estimation error at the price (K-1)/gamma to 2(K-1)/gamma: both ends are approached.

    By `adyen-igw/igw-exact`, as each of the K - 1 terms :math:`\hat\Delta / (K + \gamma \hat\Delta)` lies in
    :math:`[0, 1/\gamma)`. The lower end is attained by equal estimates, the upper approached as the gaps grow. Foster and Rakhlin
    state 2K/gamma. Neither the bound nor its order survives when exploration is uniform with the same budget (epsilon-greedy with
    :math:`\varepsilon = K/\gamma`) or decays exponentially in the gap (softmax).
    """
    estimates = _estimates(K, scale, draws, seed)
    value = decision_value(estimates, _play(rule, estimates, gamma), gamma)
    rounding = 1e-12 * (scale + K / gamma)
    bound = np.full(draws, (K - 1) / gamma)
    return all_of(
        upper=at_most(value, share * 2 * bound, slack=rounding),
        lower=at_least(value, bound, slack=rounding) if rule == "inverse gap" else always(True),
    )


igw_range.control("five per cent less", because="large gaps approach the bound", share=0.95)
igw_range.control("epsilon-greedy with K/gamma", because="it explores bad actions as much as good ones", rule="epsilon greedy")
igw_range.control("softmax of gamma times the estimates", because="it explores exponentially little", rule="softmax")


@claim(
    PAPER,
    "igw-minimax",
    r"\min_p \sup_{f} \Bigl[\max_a f(a) - \langle p, f \rangle - \frac{\gamma}{4} \sum_a p(a) (\hat f(a) - f(a))^2\Bigr]"
    r" = \frac{K-1}{\gamma} \quad \text{for all estimates, at } p(a) = \frac{1}{\lambda + \gamma \hat\Delta_a}",
    kind="identity",
    source="derived",
    assumes="gamma > 0; lambda in [1, K] makes p add up to 1",
)
@over(K=(2, 3, 11), gamma=(0.1, 10.0, 1e4), scale=(1.0, 100.0))
def igw_minimax(
    *, K: int, gamma: float, scale: float, seed: int, draws: int = by_profile(quick=50, full=500), rule: str = "normalised"
) -> Comparison:
    r"""With the normalising constant in place of K, inverse-gap weighting is exactly minimax, and twice as good at large gaps.

    Then :math:`(1 - p(a)) / (\gamma p(a)) = (\lambda - 1)/\gamma + \hat\Delta_a` for *all* a, b included, so that all rivals attain
    :math:`V = (\lambda - 1)/\gamma + \sum_a p(a) \hat\Delta_a`; as :math:`p(a) \hat\Delta_a = (1 - \lambda p(a))/\gamma`, that is
    :math:`(K-1)/\gamma`. No play does better: if the rival is drawn from p itself, a play q is worth at least
    :math:`\sum_a p(a) [\hat f(a) - \langle q, \hat f \rangle + (1/q(a) - 1)/\gamma]`, which is convex in q, with the gradient
    :math:`-\hat f(a) - p(a)/(\gamma q(a)^2)`; at q = p that is :math:`-\hat f(b) - \lambda/\gamma` in every coordinate, so q = p is its
    minimum. The check compares with other plays, and looks at the values of all rivals.
    """
    rng = np.random.default_rng(seed)
    estimates = _estimates(K, scale, draws, seed)
    p = _play(rule, estimates, gamma)
    rivals = rival_values(estimates, p, gamma)
    size = scale + K / gamma
    near = p * np.exp(0.01 * rng.standard_normal(p.shape))
    others = np.stack(
        [_play("inverse gap", estimates, gamma), near / near.sum(axis=1, keepdims=True), rng.dirichlet(np.ones(K), size=draws)]
    )
    against_p = (p * rival_values(np.broadcast_to(estimates, others.shape), others, gamma)).sum(axis=-1)
    return all_of(
        value=equal(rivals.max(axis=1), np.full(draws, (K - 1) / gamma), tolerance=1e-12, scale=size),
        indifference=equal(rivals, np.full((draws, K), (K - 1) / gamma), tolerance=1e-12, scale=size),
        lower_bound=at_least(against_p, (K - 1) / gamma, slack=1e-12 * size),
    )


igw_minimax.control("K as the normalising constant", because="that is up to twice as much", rule="inverse gap")


@claim(
    PAPER,
    "squarecb-regret",
    r"\mathbb{E} \sum_t \mathbb{E}_{a \sim p_t} (\hat f_t - f^\star)^2 \le 2 \ln F, \qquad"
    r" \mathbb{E}[R(T)] \le 2 \sqrt{(K-1) T \ln F} \ \text{ at } \gamma = \sqrt{4 (K-1) T / \ln F}",
    kind="bound in expectation",
    source="derived",
    assumes="the class contains the truth; rewards in [0, 1]; exponential weights of rate 1/2 in the squared loss",
    tests=2,
)
@over(random_class.sweep(X=4, K=(2, 4), size=(10, 40), draws=by_profile(quick=1, full=3)), horizon=500)
@over(random_class.sweep(X=8, K=10, size=100), horizon=500)
@over(random_class.sweep(X=4, K=3, size=16, low=0.2, high=0.8, two_valued=True), horizon=by_profile(quick=1000, full=4000))
@over(outvoted.sweep(size=(2, 8), truth=(0.7, 1.0)), horizon=100, runs=by_profile(quick=2000, full=20_000))
def squarecb_regret(
    problem: RegressionProblem,
    *,
    horizon: int,
    seed: int,
    runs: int = by_profile(quick=400, full=1000),
    speed: float = 1.0,
) -> Comparison:
    r"""SquareCB with a finite class: regret of order sqrt(K T log F), the constants proved.

    On [0, 1] the squared loss is 1/2-exp-concave, so that the mean under exponential weights of rate 1/2 has a regret of at most
    :math:`2 \ln F` against :math:`f^\star` in every run. In expectation the excess of a prediction's loss over that of
    :math:`f^\star` is :math:`(\hat f_t - f^\star)^2`, which gives the first part. By `adyen-igw/igw-range` a round's regret is at most
    :math:`2(K-1)/\gamma + (\gamma/4)\, \mathbb{E}_{p_t}(\hat f_t - f^\star)^2`; sum, and minimise over gamma. (The usual statement has K
    for K - 1, and in high probability :math:`4 \sqrt{K T \mathrm{Reg}} + 8 \sqrt{K T \ln(2/\delta)}`.) The interval for the regret is
    valid for all laws on [0, T].
    """
    K, F = problem.bandit.actions, problem.size
    simulated = squarecb(problem, horizon, run_seeds(seed, runs), speed * squarecb_rate(K, horizon, F), 1)
    everything = (0.0, float(horizon))
    return all_of(
        estimation=mean_at_most(simulated.estimation_error[:, 0], estimation_bound(F)) if speed == 1.0 else always(True),
        regret=mean_at_most(simulated.pseudo_regret[:, 0], squarecb_bound(K, horizon, F), support=everything),
    )


squarecb_regret.control(
    "greedy play",
    because="an action that is underestimated is never tried",
    on=domain(outvoted.sweep(size=2, truth=0.7), horizon=500),
    speed=GREEDY,
)
squarecb_regret.control(
    "uniform play",
    because="it never uses what it learns",
    on=domain(outvoted.sweep(size=2, truth=1.0), horizon=500),
    speed=0.0,
)
squarecb_regret.control(
    "a class without the truth",
    because="action 1 pays .7, but no function says more than .45 of it",
    on=domain(outvoted.sweep(size=2, truth=0.45, actual=0.7), horizon=500),
)


@claim(
    PAPER,
    "squarecb-two-functions",
    r"\mathbb{E}[R(t)] \le 2 \sqrt{(K-1) T \ln F}, \quad"
    r" \mathbb{E} \sum_{s \le t} \mathbb{E}_{a \sim p_s} (\hat f_s - f^\star)^2 \le 2 \ln F \qquad (K = F = 2,\ t \le T)",
    kind="inequality",
    source="derived",
    assumes="two functions that differ on one action; rewards in {0, 1}; exponential weights of rate 1/2",
)
@over(T=120, common=(0.5, 0.9), truth=(0.0, 0.7, 1.0), rival=(0.0, 1.0))
@over(
    T=120,
    common=Range(0.0, 1.0),
    truth=Range(0.0, 1.0),
    rival=Range(0.0, 1.0),
    budget=by_profile(quick=30, full=300),
)
def squarecb_two_functions(
    *, T: int, common: float, truth: float, rival: float, speed: float = 1.0, rate: float = 0.5, share: float = 1.0
) -> Comparison:
    """The bounds of `adyen-igw/squarecb-regret` with both sides exact, at every round, searched for the worst case.

    With two functions that differ on one action the state is the number of its pulls and successes, and its law is followed from round
    to round. The search finds the estimation error at two fifths of its bound, and regret at more than a third of its own, where a
    rival hides the better action.
    """
    regret, error = squarecb_expectation(common, truth, rival, T, speed * squarecb_rate(2, T, 2), rate)
    rounds = np.arange(T + 1)
    rounding = 1e-12 * T
    estimation = at_most(error, np.full(T + 1, share * estimation_bound(2)), slack=rounding, x=rounds)
    return all_of(
        regret=at_most(regret, np.full(T + 1, share * squarecb_bound(2, T, 2)), slack=rounding, x=rounds),
        estimation=estimation if speed == 1.0 else always(True),
    )


squarecb_two_functions.control("a third of the bounds", because="the search finds the error at two fifths of it", share=1 / 3)
squarecb_two_functions.control("greedy play", because="an action that is underestimated is never tried", speed=GREEDY)
squarecb_two_functions.control("no learning", because="the weights stay equal, so the error is linear in t", rate=0.0)


@claim(
    PAPER,
    "batched-delay",
    r"\mathbb{E} \sum_t \mathbb{E}_{a \sim p_t} (\hat f_t - f^\star)^2 \le E_b = b \ln F \min\Bigl(2, \frac{1}{1 - e^{-3b/8}}\Bigr),"
    r" \qquad \mathbb{E}[R(T)] \le \sqrt{2 (K-1) T E_b} \ \text{ at } \gamma = \sqrt{8 (K-1) T / E_b}",
    kind="bound in expectation",
    source="derived",
    assumes="as in adyen-igw/squarecb-regret, the weights updated every b rounds",
    tests=2,
)
@over(random_class.sweep(X=4, K=3, size=30), horizon=2000, delay=(20, 100, 400))
@over(
    outvoted.sweep(size=(2, 4), truth=0.0, rival=1.0), horizon=40, delay=(2, 10, 40), runs=by_profile(quick=2000, full=20_000)
)
@over(outvoted.sweep(size=2, truth=0.7, rival=0.0), horizon=40, delay=(2, 10), runs=by_profile(quick=2000, full=20_000))
def batched_delay(
    problem: RegressionProblem,
    *,
    horizon: int,
    delay: int,
    seed: int,
    runs: int = by_profile(quick=150, full=600),
    undelayed: bool = False,
) -> Comparison:
    r"""Updating the oracle every b rounds multiplies the estimation error by at most about b / 2, and regret by its square root.

    Let :math:`Z_t(f)` be the excess of f's squared loss over that of :math:`f^\star`, d the difference of the two predictions. Given
    context and action the noise is 1/4-subgaussian, so :math:`\mathbb{E}\, e^{-Z_t/2} \le e^{-(3/8) d_t^2}`. With the weights w of a batch
    fixed, :math:`\mathbb{E}[-\ln \sum_f w_f e^{-\sum_t Z_t/2}] \ge \mathbb{E}[-\ln \sum_f w_f e^{-(3/8) S_f}]`, where
    :math:`S_f = \sum_t d_t^2 \in [0, b]`; by concavity of :math:`1 - e^{-x}` that is at least
    :math:`\sum_f w_f S_f\, (1 - e^{-3b/8})/b`, and :math:`\sum_f w_f S_f` is at least the batch's estimation error. The left sides add up to
    at most :math:`\ln F`. For b = 1 exp-concavity gives the constant 2. So the factor 2b of a batch-wise analysis is about twice too
    large: a long batch costs b ln F. Even that is loose, since the weights are wrong for one batch only: a class of four, three of them
    wrong, reaches a third of it in the first batch. The interval for the regret is valid for all laws on [0, T].
    """
    K, F = problem.bandit.actions, problem.size
    known = 1 if undelayed else delay
    simulated = squarecb(problem, horizon, run_seeds(seed, runs), squarecb_rate(K, horizon, F, known), delay)
    everything = (0.0, float(horizon))
    return all_of(
        estimation=mean_at_most(simulated.estimation_error[:, 0], estimation_bound(F, known)),
        regret=mean_at_most(simulated.pseudo_regret[:, 0], squarecb_bound(K, horizon, F, known), support=everything),
    )


batched_delay.control("the bound without delay", because="a whole batch is played with stale weights", undelayed=True)


@claim(
    PAPER,
    "retuned-gamma",
    r"R_{b, \gamma_1} - R_{1, \gamma_1} < \tfrac12 \bigl(R_{b, \gamma_b} - R_{1, \gamma_1}\bigr) \text{ on average},"
    r" \quad \gamma_b \text{ tuned for delay } b",
    kind="mechanism",
    source="derived",
    assumes="random classes; T = 2000; b = 20 or 100",
)
@over(random_class.sweep(X=4, K=3, size=30, draws=by_profile(quick=2, full=10)), horizon=2000, delay=(20, 100))
def retuned_gamma(
    problem: RegressionProblem,
    *,
    horizon: int,
    delay: int,
    seed: int,
    runs: int = by_profile(quick=150, full=600),
    frozen: bool = False,
) -> Comparison:
    """What a stale model costs is mostly the learning rate that theory retunes for it, not the staleness.

    The bound of `adyen-igw/batched-delay` grows like the square root of b and asks for a learning rate that is smaller by as much, hence
    for more exploration all the time. Leaving the learning rate where it was costs less than half of that, in paired runs.
    """
    K, F = problem.bandit.actions, problem.size
    before, after = squarecb_rate(K, horizon, F), squarecb_rate(K, horizon, F, delay)
    fresh = squarecb(problem, horizon, run_seeds(seed, runs), before, 1).pseudo_regret[:, 0]
    stale = squarecb(problem, horizon, run_seeds(seed, runs), before, horizon if frozen else delay).pseudo_regret[:, 0]
    retuned = squarecb(problem, horizon, run_seeds(seed, runs), after, delay).pseudo_regret[:, 0]
    return less_on_average(stale - fresh, (retuned - fresh) / 2)


retuned_gamma.control("a model that is never updated", because="then staleness is what costs", frozen=True)


HORIZONS = 2 ** np.arange(10, 17)  # every second one where each needs runs of its own


def _falcon_curves(problem: RegressionProblem, schedule: Schedule, scale: float, power: float, runs: int, seed: int) -> Array:
    """Pseudo-regret of independent runs, shape (runs, horizons); one run serves all horizons if its epochs do not depend on them."""
    seeds = run_seeds(seed, runs)
    if schedule == "doubling":
        simulated = falcon(problem, int(HORIZONS[-1]), seeds, scale=scale, power=power, checkpoints=HORIZONS)
        return simulated.pseudo_regret
    each = [falcon(problem, int(T), seeds, schedule, scale, power=power).pseudo_regret[:, 0] for T in HORIZONS[::2]]
    return np.stack(each, axis=1)


@claim(
    PAPER,
    "falcon",
    r"\frac{\mathrm{d} \ln \mathbb{E}[R(T)]}{\mathrm{d} \ln T} \in (0.4, 0.65) \text{ on } [2^{10}, 2^{16}],"
    r" \text{ as } R(T) = O\bigl(\sqrt{K T \ln(F T / \delta)}\bigr)",
    kind="regret exponent",
    source="recalled",
    assumes="gap .3 at every horizon, K = 4, 8 contexts, 100 functions; learning rates with the constant c = 4",
    note="The published constant c = 1/30 shows none of this at such horizons: see adyen-igw/falcon-published-constant.",
)
@over(fixed_gap.sweep(gap=0.3, draws=by_profile(quick=1, full=4)), schedule=("doubling", "log log"))
def falcon_rate(
    problem: RegressionProblem,
    *,
    schedule: Schedule,
    seed: int,
    runs: int = by_profile(quick=100, full=400),
    scale: float = 4.0,
    power: float = 0.5,
) -> Comparison:
    r"""FALCON's regret grows like the square root of the horizon, with refits at doubling rounds or only log log T of them.

    With perfect estimates a round of epoch m costs :math:`\sum_a \Delta_a / (K + \gamma_m \Delta_a) \approx (K-1)/\gamma_m` once
    :math:`\gamma_m` times the gap exceeds K, and :math:`\gamma_m` is proportional to :math:`\sqrt{\tau_{m-1} / \ln(F \tau_{m-1}/\delta)}`. The
    sum over rounds is of the order :math:`\sqrt{T \ln T}`, whose local exponent is .55 here. The gap stays fixed: with gaps that
    shrink like 1/sqrt(T) every policy has the exponent 1/2, uniform play included.
    """
    horizons = HORIZONS if schedule == "doubling" else HORIZONS[::2]
    return slope(horizons, _falcon_curves(problem, schedule, scale, power, runs, seed), between=(0.4, 0.65))


DOUBLING = domain(fixed_gap.sweep(gap=0.3), schedule="doubling")
falcon_rate.control(
    "the published constant 1/30", because="play is still nearly uniform at 2^16 rounds", on=DOUBLING, scale=PUBLISHED_SCALE
)
falcon_rate.control(
    "a cube root in the learning rate", because="it explores too much, for an exponent of 2/3", on=DOUBLING, power=1 / 3
)


@claim(
    PAPER,
    "falcon-published-constant",
    r"\frac{\mathrm{d} \ln \mathbb{E}[R(T)]}{\mathrm{d} \ln T} \ge 0.9 \text{ on } [2^{10}, 2^{16}] \text{ at } c = 1/30",
    kind="mechanism",
    source="derived",
    assumes="gap .3, K = 4, 8 contexts, 100 functions",
    note="FALCON with its published constant plays almost uniformly for the first 65536 rounds; rates are to be tested at c >= 1.",
)
@over(fixed_gap.sweep(gap=0.3, draws=by_profile(quick=1, full=4)))
def falcon_published_constant(
    problem: RegressionProblem, *, seed: int, runs: int = by_profile(quick=50, full=200), scale: float = PUBLISHED_SCALE
) -> Comparison:
    r"""With the published constant FALCON's regret is all but linear at any horizon one can run.

    At T = 2^16 the learning rate is :math:`\gamma = (1/30) \sqrt{4 \cdot 2^{15} / \ln(100 \cdot 2^{15} / .05)} = 2.8`, so that an action of gap .3
    is played with probability :math:`1/(4 + .85)` where uniform play has 1/4. Play leaves the uniform one when :math:`\gamma \Delta > K`, which
    takes more than a million rounds here. The rate holds nevertheless, with the constant 30.
    """
    return slope(HORIZONS, _falcon_curves(problem, "doubling", scale, 0.5, runs, seed), between=(0.9, 1.0))


falcon_published_constant.control("c = 1", because="then the learning rate is 85 at 2^16 rounds", scale=1.0)


@claim(
    PAPER,
    "falcon-refits",
    r"\text{epochs: } \lceil \log_2 T \rceil \text{ for } \tau_m = 2^m, \quad \text{at most } \lceil \log_2 \log_2 T \rceil \text{ for }"
    r" \tau_m = \lceil 2 T^{1 - 2^{-m}} \rceil",
    kind="identity",
    source="recalled",
    assumes="T >= 3; the last epoch ends at T",
)
@over(T=(3, 4, 5, 16, 17, 100, 1000, 1024, 4096, 16384, 65536, 65537, 10**6, 2**32))
def falcon_refits(*, T: int, base: int = 2) -> Comparison:
    r"""FALCON refits logarithmically often, or log log T times if it knows the horizon.

    :math:`2^m \ge T` first for :math:`m = \lceil \log_2 T \rceil`; :math:`2 T^{1 - 2^{-m}} \ge T` if and only if
    :math:`2^m \ge \log_2 T`. The outer ceiling saves an epoch where T is just above a number :math:`2^{2^m}`, such as 5, 17 or 65537.
    With 2^16 rounds there are 16 epochs against 4, so 15 refits against 3. The right sides are computed in integers:
    :math:`2 T^{1 - 2^{-m}} > T - 1` if and only if :math:`2^{2^m} T^{2^m - 1} > (T - 1)^{2^m}`.
    """
    doubling, loglog = falcon_epochs(T, "doubling"), falcon_epochs(T, "log log")
    least = next(m for m in range(1, 10) if base ** (2**m) * T ** (2**m - 1) > (T - 1) ** (2**m))
    ends = [(np.diff(e) > 0).all() and e[-1] == T for e in (doubling, loglog)]
    return all_of(
        doubling=equal(doubling.size, (T - 1).bit_length(), tolerance=0.0),
        loglog=equal(loglog.size, least, tolerance=0.0),
        at_most=at_most(loglog.size, np.ceil(np.log2(np.log2(T)))),
        ends=always(ends),
    )


falcon_refits.control("3 in place of 2", because="a thousand rounds then take three epochs, not four", base=3)


@claim(
    PAPER,
    "realizable-no-oscillation",
    r"f^\star = \langle \phi, \theta^\star \rangle \Longrightarrow \theta_g = \theta^\star \text{ and } \pi_{g+1} = \pi_2"
    r" \text{ for all generations } g \ge 1",
    kind="identity",
    source="derived",
    assumes="linear class with features that determine the coefficients; every action logged in every context",
)
@over(linear_bandit.sweep(X=(1, 3, 8), K=(2, 4), d=(1, 2), draws=by_profile(quick=5, full=50)), gamma=(5.0, 200.0))
def realizable_no_oscillation(
    problem: LinearProblem, *, gamma: float, seed: int, noise: float = 0.0, silent: bool = False
) -> Comparison:
    r"""When the class contains the truth, generations of the model are the same from the first refit, whoever logged the data.

    The population's squared error is 0 at :math:`\theta^\star`, whatever the weights of the pairs; if all pairs have positive weight and
    the features are of full rank it is 0 nowhere else. The first log comes from a random policy.
    """
    rng = np.random.default_rng(seed)
    bandit, phi = problem.bandit, problem.features
    drawn = rng.dirichlet(np.ones(bandit.actions), size=bandit.contexts)
    only_first = np.zeros_like(drawn)
    only_first[:, 0] = 1.0
    means = bandit.means + noise * rng.standard_normal(bandit.means.shape)
    fits, policies = [], [only_first if silent else drawn]
    for _ in range(4):
        theta, policy = next_generation(phi, means, bandit.law, policies[-1], gamma)
        fits.append(phi @ theta)
        policies.append(policy)
    # a fit has the rounding of the means times the condition of the weighted features, and the play gamma times that
    roots = np.sqrt(bandit.law[:, None] * np.array([drawn, *policies[1:-1]]))
    condition = max(float(np.linalg.cond((root[..., None] * phi).reshape(-1, phi.shape[2]))) for root in roots)
    allowed = 1e-14 * condition * float(np.abs(bandit.means).max())
    return all_of(
        fit=equal(np.array(fits), np.broadcast_to(bandit.means, (4, *means.shape)), tolerance=allowed, scale=1.0),
        play=equal(
            np.array(policies[2:]), np.broadcast_to(policies[1], (3, *means.shape)), tolerance=gamma * allowed, scale=1.0
        ),
    )


realizable_no_oscillation.control("means a thousandth off the class", because="then the fit depends on the log", noise=1e-3)
realizable_no_oscillation.control(
    "one action logged in each context",
    because="one pair a context does not determine two coefficients",
    on=domain(linear_bandit.sweep(X=1, K=4, d=2, draws=3), gamma=200.0),
    silent=True,
)


@claim(
    PAPER,
    "oscillation",
    r"J(\pi_{2k}) \ge 0.69, \quad J(\pi_{2k+1}) \le 0.24 \quad \text{for all } k \ge 2",
    kind="separation",
    source="derived",
    assumes="two equiprobable contexts with means (.2, .7), (1, 0) and one feature (1, 1), (-1, -2); gamma = 200; uniform start",
)
@over(alternating.sweep())
def oscillation(
    problem: LinearProblem,
    *,
    gamma: float = 200.0,
    generations: int = by_profile(quick=100, full=2000),
    reweighted: bool = False,
) -> Comparison:
    r"""A misspecified model that is retrained on its own log gets worse with every second generation, for ever.

    Context 0 is played uniformly, as its two actions look alike. In context 1 let q be the probability of action 0, the good one. The
    fit to its log is :math:`\theta = (.45 - q)/(1 + q + 4(1 - q))`, and the next policy prefers action 0 there if and only if
    :math:`\theta > 0`: good logs make the model prefer the bad action, and bad logs the good one. If :math:`q \ge .9`, then
    :math:`|\theta| \ge .45/2.3 \ge .195`, so the next q is at most 1/41; then :math:`\theta \ge (.45 - 1/41)/5 \ge .085`, so the one after
    it is at least 1 - 1/19 > .94. The value is :math:`.225 + q/2`. It tends to a cycle .699, .235. Weighting the log by 1/p makes the target
    of the fit independent of who logged it. Exploration does too: up to gamma = 10 the generations converge, at gamma = 20 they do not.
    """
    values = retrain(problem, gamma, generations, reweighted=reweighted).values
    late = values[4:]
    return all_of(
        good=at_least(late[0::2], 0.69), bad=at_most(late[1::2], 0.24), repeats=equal(late[20:-2], late[22:], tolerance=1e-9)
    )


oscillation.control("the log weighted by 1/p", because="all generations are the same", reweighted=True)
oscillation.control("ten times the exploration", because="at gamma = 20 the two values are .534 and .388", gamma=20.0)


@claim(
    PAPER,
    "oscillation-share",
    r"P(\text{the values of the generations converge}) \le 0.95",
    kind="mechanism",
    source="derived",
    assumes="2 or 3 equiprobable contexts, 2 or 3 actions, uniform means, two Gaussian features; gamma = 200",
)
@over(gamma=200.0)
def oscillation_share(
    *,
    gamma: float,
    seed: int,
    instances: int = by_profile(quick=600, full=4000),
    generations: int = by_profile(quick=100, full=300),
    reweighted: bool = False,
    realizable: bool = False,
) -> Comparison:
    """Retraining fails to converge in one random misspecified problem of six; the values then vary by .13 on average, up to .4.

    With one Gaussian feature in place of two none of 600 problems oscillated: it takes a feature that the two contexts pull in opposite
    directions, as in `adyen-igw/oscillation`. Convergence is judged by the last 20 generations, which differ by less than 0.001.
    """
    rng = np.random.default_rng(seed)
    settled = []
    for X in (2, 3):
        for K in (2, 3):
            phi = rng.standard_normal((instances // 4, X, K, 2))
            means = rng.uniform(size=(instances // 4, X, K))
            if realizable:
                means = phi @ rng.standard_normal(2)
            law, policy = np.full(X, 1 / X), np.full((instances // 4, X, K), 1 / K)
            values = []
            for _ in range(generations):
                _, policy = next_generation(phi, means, law, policy, gamma, reweighted=reweighted)
                values.append((policy * means).sum(axis=2) @ law)
            settled.append(np.ptp(np.array(values)[-20:], axis=0) < 1e-3)
    return mean_at_most(np.concatenate(settled).astype(float), 0.95, support=(0.0, 1.0))


oscillation_share.control("logs weighted by 1/p", because="the target of the fit is then the same for all", reweighted=True)
oscillation_share.control("a realizable class", because="every fit is the truth", realizable=True)


@claim(
    PAPER,
    "imbalance",
    r"\mathbb{E}[N] = \frac{n}{K + \gamma \hat\Delta}, \qquad \frac{1 - (1 - p)^n}{p} \le n\, \mathbb{E}\Bigl[\frac1N \Big| N \ge 1\Bigr]"
    r" \le \frac{1 + 3/(n p)}{p\,(1 - (1-p)^n)}, \quad p = \frac{1}{K + \gamma \hat\Delta}",
    kind="inequality",
    source="derived",
    assumes="n rounds played with fixed estimates; N plays of a suboptimal action of estimated gap Delta",
)
@over(K=(2, 10), gamma=(0.0, 10.0, 1000.0), gap=(0.01, 0.3, 1.0), n=(30, 1000, 20_000))
def imbalance(
    *, K: int, gamma: float, gap: float, n: int, power: float = 1.0, jensen: float = 3.0, low: float = 1.0
) -> Comparison:
    r"""The log of inverse-gap weighting is unbalanced: the mean of a bad action is K + gamma * gap times as uncertain.

    The variance of the mean of N rewards of variance :math:`\sigma^2` is :math:`\sigma^2\, \mathbb{E}[1/N]`, against :math:`\sigma^2/n` for an
    action that is played in every round. N is binomial. Jensen's inequality gives :math:`\mathbb{E}[1/N | N \ge 1] \ge 1 / \mathbb{E}[N | N \ge 1] =
    (1 - (1-p)^n)/(np)`. Above, :math:`1/N \le 1/(N+1) + 3/((N+1)(N+2))` for N >= 1, and :math:`\mathbb{E}[1/(N+1)] \le 1/((n+1)p)`,
    :math:`\mathbb{E}[1/((N+1)(N+2))] \le 1/((n+1)(n+2)p^2)`. So the variance grows by more than 1/p, since the number of plays is random, and
    by exactly that in the limit np to infinity.
    """
    estimates = np.concatenate([np.zeros(1), np.full(K - 1, -gap)])
    p = float(inverse_gap_weights(estimates, gamma)[-1])
    factor = (K + gamma * gap) ** power
    plays = np.arange(1, n + 1)
    law = binom.pmf(plays, n, p)
    some = -np.expm1(n * np.log1p(-p))
    growth = n * float((law / plays).sum()) / some
    # the probabilities of the binomial law keep about ten digits at n = 20000
    return all_of(
        plays=equal(float(law @ plays), n / factor, tolerance=1e-8),
        lower=at_least(growth, low * factor * some, slack=1e-8 * growth),
        upper=at_most(growth, factor * (1 + jensen * factor / n) / some, slack=1e-8 * growth),
    )


imbalance.control("the square root of K + gamma * gap", because="N is proportional to p", power=0.5)
imbalance.control("exactly 1/p", because="a random number of plays is worse than a fixed one", jensen=0.0)
imbalance.control("five per cent more", because="the factor tends to 1/p", low=1.05)
