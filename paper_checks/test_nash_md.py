r"""Nash-MD (Munos et al. 2023): what one step does, the rate of the last iterate, and the bias of a constant step.

Notation: A the centred preference matrix, mu the reference, tau the temperature, pi* the equilibrium regularised at tau, eta_t
the step, q_t the geometric mixture of pi_t and mu with the weight eta_t tau on mu, pi_{t+1} proportional to
q_t exp(eta_t A q_t), and D_t = KL(pi* || pi_t). In the code tau is ``beta``, as in the rest of the library.

The paper's own one-step inequality has 2 eta^2 (from memory) where the claims here have eta^2/8 and, sharp, eta^2/24.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from games.dynamics import Run
from games.generators import (
    rock_paper_scissors,
    tight_pair,
    tilted,
    transitive_tournament,
)
from games.mirror_descent import hedge, nash_mirror_descent
from games.mirror_prox import nash_mirror_prox
from games.preference import PreferenceGame
from games.prox import normalise
from games.regularised import RegularisedNash, solve_regularised
from paper_checks.preference_games import equilibrium, every_family, real_games, temperature
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
    slope,
)
from theory.divergences import kl, span

Array = NDArray[np.float64]

PAPER = Paper(
    key="nash-md",
    title="Nash Learning from Human Feedback",
    authors="Munos, Valko, Calandriello, Azar, Rowland, Guo, Tang, Geist, Mesnard, Michi, Selvi, Girgin, Momchev, Bachem, "
    "Mankowitz, Precup, Piot",
    year=2023,
    theme="games",
    arxiv="2312.00886",
)

BETAS = (0.01, 0.1, 1.0)


GAMES = every_family((2, 5, 30), scale=(0.1, 4.0), draws=by_profile(quick=1, full=6))
TRANSITIVE = transitive_tournament.sweep(K=(3, 10, 100))
REAL = real_games(scale=(0.1, 4.0))
TIGHT_PAIRS = tight_pair.sweep(beta=(0.01, 0.03, 0.1, 0.3))
SEARCHED = tilted.sweep(upper=Range(-0.5, 0.5, size=3), tilt=Range(-1.0, 1.0, size=3), beta=Range(0.01, 1.0, log=True))
SEARCH_BUDGET = by_profile(quick=60, full=600)


def _mixture(game: PreferenceGame, log_policies: Array, share: float) -> Array:
    return normalise((1 - share) * log_policies + share * game.log_reference)


def _start(game: PreferenceGame, seed: int) -> Array:
    """A policy far from the reference, at random."""
    rng = np.random.default_rng(seed)
    return normalise(rng.standard_normal(game.actions) * rng.uniform(0.1, 10))


def _excess(game: PreferenceGame, beta: float, step: float, *, start: Array | None, contraction: float) -> tuple[Array, Array]:
    """D_{t+1} - (1 - eta tau) D_t + eta tau KL(q_t||pi*) along a run, and how far it may be off."""
    nash, share = equilibrium(game, beta), step * beta
    run = nash_mirror_descent(game, beta, 100, step=step, start=start)
    mixtures = _mixture(game, run.log_policies[:-1], share)
    D, error = kl(nash.log_policy, run.log_policies, log=True), nash.divergence_error(run.log_policies)
    reverse = kl(mixtures, nash.log_policy, log=True)
    excess = D[1:] - (1 - contraction * share) * D[:-1] + share * reverse
    return excess, error[1:] + error[:-1] + nash.divergence_error(mixtures)


def _one_step(
    game: PreferenceGame, beta: float | None, step: float, seed: int, constant: float, contraction: float
) -> Comparison:
    beta = temperature(game, beta)
    step = min(step, 1 / beta)
    runs = {"from_the_reference": None, "from_elsewhere": _start(game, seed)}
    parts = {}
    for name, start in runs.items():
        excess, error = _excess(game, beta, step, start=start, contraction=contraction)
        parts[name] = at_most(excess, constant * step**2, slack=error)
    return all_of(**parts)


@claim(
    PAPER,
    "one-step",
    r"\mathrm{KL}(\pi^\star \| \pi_{t+1}) \le (1 - \eta\tau)\, \mathrm{KL}(\pi^\star \| \pi_t)"
    r" - \eta\tau\, \mathrm{KL}(q_t \| \pi^\star) + \frac{\eta^2}{8}",
    kind="inequality",
    source="derived",
    assumes=r"0 < \eta\tau \le 1; any \pi_t",
    note="Loose by a factor 3: see nash-md/one-step-sharp.",
)
@over(GAMES, beta=BETAS, step=(0.1, 3.0))
@over(TRANSITIVE, beta=(0.1, 1.0), step=(0.1, 1.0, 3.0))
@over(REAL, beta=(0.01, 0.1, 1.0), step=(0.1, 3.0))
@over(TIGHT_PAIRS, step=(0.1, 1.0, 100.0))
@over(SEARCHED, step=Range(0.01, 10.0, log=True), budget=SEARCH_BUDGET)
def one_step(
    game: PreferenceGame,
    *,
    beta: float | None = None,
    step: float,
    seed: int,
    constant: float = 1 / 8,
    contraction: float = 1.0,
) -> Comparison:
    r"""What one step does to the divergence from the equilibrium.

    For every u, KL(u||pi_{t+1}) = KL(u||q) - eta <u, A q> + ln E_q[exp(eta A q)]. The normaliser of the mixture cancels from
    KL(u||q) = (1 - eta tau)[KL(u||pi_t) - KL(q||pi_t)] + eta tau [KL(u||mu) - KL(q||mu)]. At u = pi*, skewness and
    A pi* = tau (ln pi* - ln mu) + const give -<pi*, A q> = <q - pi*, A pi*> = tau [KL(q||mu) - KL(q||pi*) - KL(pi*||mu)], so that

    D_{t+1} = (1 - eta tau) [D_t - KL(q||pi_t)] - eta tau KL(q||pi*) + ln E_q[exp(eta A q)],

    and Hoeffding's lemma bounds the last term by eta^2/8, as <q, A q> = 0 and the span of A q is at most 1.

    Compared is what is left of the right-hand side, D_{t+1} - (1 - eta tau) D_t + eta tau KL(q||pi*), with eta^2/8.
    """
    return _one_step(game, beta, step, seed, constant, contraction)


one_step.control("eta^2 / 25", because="large transitive tournaments need eta^2/24", constant=1 / 25)
one_step.control("contraction by 1 - 2 eta tau", because="only one eta tau is gained", contraction=2.0)


@claim(
    PAPER,
    "one-step-sharp",
    r"\mathrm{KL}(\pi^\star \| \pi_{t+1}) \le (1 - \eta\tau)\, \mathrm{KL}(\pi^\star \| \pi_t)"
    r" - \eta\tau\, \mathrm{KL}(q_t \| \pi^\star) + \ln \frac{\sinh(\eta/2)}{\eta/2}, \qquad"
    r" \ln \frac{\sinh(\eta/2)}{\eta/2} \le \frac{\eta^2}{24}",
    kind="inequality",
    source="derived",
    assumes=r"0 < \eta\tau \le 1; any \pi_t",
    note="A finding: win rates against one's own policy are no more spread out than the uniform law on [-1/2, 1/2].",
)
@over(GAMES, beta=BETAS, step=(0.1, 3.0))
@over(TRANSITIVE, beta=(0.1, 1.0), step=(0.1, 1.0, 3.0))
@over(REAL, beta=(0.01, 0.1, 1.0), step=(0.1, 3.0))
@over(TIGHT_PAIRS, step=(0.1, 1.0, 100.0))
@over(SEARCHED, step=Range(0.01, 10.0, log=True), budget=SEARCH_BUDGET)
def one_step_sharp(
    game: PreferenceGame, *, beta: float | None = None, step: float, seed: int, share: float = 1.0
) -> Comparison:
    r"""The sharp error of one step: a third of what Hoeffding's lemma gives.

    In `nash-md/one-step` the last term is ln E[exp(eta X)], X = (A q)_y for y drawn from q. For every set S of actions
    sum_{y in S} q_y (A q)_y = sum_{y in S, z not in S} q_y q_z A_yz <= q(S) (1 - q(S))/2, because what S wins against itself
    cancels. The upper part of mass m of a uniform variable U on [-1/2, 1/2] has exactly that, m (1 - m)/2, and both have mean 0.
    So X precedes U in the convex order (Landau's theorem on the scores of tournaments, with weights), and
    E[exp(eta X)] <= E[exp(eta U)] = sinh(eta/2)/(eta/2).

    Attained in the limit of large transitive tournaments by the first step from a uniform reference.
    """
    beta = temperature(game, beta)
    z = min(step, 1 / beta) / 2
    # ln(sinh(z)/z) without overflow; the series where cancellation would show
    constant = z + np.log(-np.expm1(-2 * z) / (2 * z)) if z > 0.1 else z**2 / 6 - z**4 / 180 + z**6 / 2835
    return _one_step(game, beta, step, seed, share * constant / (4 * z**2), 1.0)


one_step_sharp.control("two per cent less", because="a transitive tournament of 100 actions attains it", share=0.98)


def _rate(game: PreferenceGame, beta: float, seed: int, constant: float, mixture: bool) -> Comparison:
    """Both forms of the rate with ``constant`` eta^2 as the error of one step."""
    nash, start = equilibrium(game, beta), _start(game, seed)

    def run(iterations: int, step: Any) -> Run:
        if mixture:
            return nash_mirror_descent(game, beta, iterations, step=step, start=start)
        return hedge(game, iterations, step=step, start=start)

    T = np.arange(1.0, 401)
    falling = run(400, 2 / (beta * (T + 1))).log_policies[1:]  # t = T - 1 = 0, 1, ...
    D, error = kl(nash.log_policy, falling, log=True), nash.divergence_error(falling)
    parts = {"decreasing": at_most(D, 4 * constant / (beta**2 * (T + 1)), slack=error, x=T)}
    for length in (10, 100, 400):
        step = 2 * np.log(length) / (beta * length)
        ends = run(length, step).log_policies[[0, -1]]
        D, error = kl(nash.log_policy, ends, log=True), nash.divergence_error(ends)
        limit = D[0] / length**2 + 2 * constant * np.log(length) / (beta**2 * length)
        parts[f"constant_{length}"] = at_most(D[1], limit, slack=error.sum())
    return all_of(**parts)


@claim(
    PAPER,
    "rate",
    r"\eta_t = \frac{2}{\tau (t + 2)}: \ \mathrm{KL}(\pi^\star \| \pi_T) \le \frac{1}{2 \tau^2 (T + 1)}; \qquad"
    r" \eta = \frac{2 \ln T}{\tau T}: \ \mathrm{KL}(\pi^\star \| \pi_T) \le \frac{\mathrm{KL}(\pi^\star \| \pi_0)}{T^2}"
    r" + \frac{\ln T}{4 \tau^2 T}",
    kind="deterministic rate",
    source="derived",
    assumes=r"any \pi_0; T \ge 1, and T \ge 2 for the constant step",
)
@over(GAMES, beta=BETAS)
@over(REAL, beta=(0.01, 0.1, 1.0))
@over(TRANSITIVE, beta=(0.1, 0.3, 1.0))
@over(TIGHT_PAIRS)
@over(SEARCHED, budget=SEARCH_BUDGET)
def rate(
    game: PreferenceGame, *, beta: float | None = None, seed: int, constant: float = 1 / 8, mixture: bool = True
) -> Comparison:
    r"""The last iterate converges at the rate 1/(tau^2 T), whatever the game, its size and the start.

    `nash-md/one-step` with the decreasing step reads D_{t+1} <= t/(t+2) D_t + 1/(2 tau^2 (t+2)^2). Multiplied by (t+1)(t+2)
    it telescopes: T (T+1) D_T <= sum_{s=1}^T s/(s+1) / (2 tau^2) <= T/(2 tau^2). The first step has eta tau = 1 and forgets the
    start. With a constant step D_T <= (1 - eta tau)^T D_0 + eta/(8 tau), and (1 - 2 ln T/T)^T <= T^(-2).

    An upper bound only: on most games the divergence falls faster than 1/T.
    """
    return _rate(game, temperature(game, beta), seed, constant, mixture)


rate.control("without the mixture (Hedge)", because="the pull to the reference makes the last iterate converge", mixture=False)
rate.control("a fifth of the error", because="at small temperatures constant steps err by more", constant=1 / 40)


@claim(
    PAPER,
    "rate-sharp",
    r"\eta_t = \frac{2}{\tau (t + 2)}: \ \mathrm{KL}(\pi^\star \| \pi_T) \le \frac{1}{6 \tau^2 (T + 1)}; \qquad"
    r" \eta = \frac{2 \ln T}{\tau T}: \ \mathrm{KL}(\pi^\star \| \pi_T) \le \frac{\mathrm{KL}(\pi^\star \| \pi_0)}{T^2}"
    r" + \frac{\ln T}{12 \tau^2 T}",
    kind="deterministic rate",
    source="derived",
    assumes=r"any \pi_0; T \ge 1, and T \ge 2 for the constant step",
)
@over(GAMES, beta=BETAS)
@over(REAL, beta=(0.01, 0.1, 1.0))
@over(TRANSITIVE, beta=(0.1, 0.3, 1.0))
@over(TIGHT_PAIRS)
@over(SEARCHED, budget=SEARCH_BUDGET)
def rate_sharp(
    game: PreferenceGame, *, beta: float | None = None, seed: int, constant: float = 1 / 24, mixture: bool = True
) -> Comparison:
    """The rate with a third of the constant: `nash-md/rate` with the error eta^2/24 of `nash-md/one-step-sharp`."""
    return _rate(game, temperature(game, beta), seed, constant, mixture)


rate_sharp.control(
    "without the mixture (Hedge)", because="the pull to the reference makes the last iterate converge", mixture=False
)
rate_sharp.control("half of the error", because="at small temperatures constant steps err by more", constant=1 / 48)


def _largest_share(beta: float) -> float:
    """The largest s in (0, 1/2] with s (1 - s) <= 4 beta^2, or 0.9 where all s will do."""
    return 0.9 if 4 * beta >= 1 else (1 - np.sqrt(1 - 16 * beta**2)) / 2


@claim(
    PAPER,
    "bias",
    r"q_t \to q_\infty = \text{the equilibrium at the temperature } \frac{\tau}{1 - \eta\tau}, \quad"
    r" \pi_t \to \pi_\infty \propto \mu \exp(A q_\infty / \tau), \quad"
    r" \mathrm{KL}(q_\infty \| q_t) \le (1 - \eta\tau)^t\, \mathrm{KL}(q_\infty \| q_0)",
    kind="identity",
    source="derived",
    assumes=r"constant \eta with \eta (1 - \eta\tau) \le 4\tau and \eta\tau < 1",
    note="A finding: with a constant step Nash-MD converges linearly, but not to the equilibrium at tau.",
)
@over(every_family((2, 5, 10), scale=(0.1, 4.0), draws=by_profile(quick=1, full=5)), beta=(0.1, 0.3, 1.0), part=(0.3, 1.0))
@over(tight_pair.sweep(beta=(0.05, 0.3)), part=(0.3, 1.0))
def bias(
    game: PreferenceGame, *, beta: float | None = None, part: float, temperature_of_limit: str = "tau / (1 - eta tau)"
) -> Comparison:
    r"""Where Nash-MD with a constant step goes, and how fast.

    Insert pi_{t+1} into the mixture: ln q_{t+1} = (1 - eta tau) ln q_t + eta tau ln mu + eta (1 - eta tau) A q_t + const. That is
    magnetic mirror descent with the step eta in the game at the temperature tau' = tau/(1 - eta tau): its fixed point is the
    equilibrium there, and it contracts KL by 1/(1 + eta tau') = 1 - eta tau for eta <= 4 tau' (`update-equivalence/mmd-rate`).
    A fixed point of Nash-MD itself has eta tau (ln pi - ln mu) = eta A q + const.

    ``part`` is the share eta tau, in units of the largest that the assumption allows.
    """
    beta = temperature(game, beta)
    share = part * _largest_share(beta)
    limit = solve_regularised(game, beta / (1 - share) if temperature_of_limit == "tau / (1 - eta tau)" else beta)
    run = nash_mirror_descent(game, beta, int(np.ceil(60 / -np.log1p(-share))), step=share / beta)
    q = _mixture(game, run.log_policies, share)
    E, error = kl(limit.log_policy, q, log=True), limit.divergence_error(q)
    expected = normalise(game.log_reference + game.A @ limit.policy / beta)
    t = np.arange(E.size)
    t = t[(t == 1) | ((t > 1) & ((1 - share) ** t * E[0] > error))]  # beyond, the divergence is round-off
    # What is left after 60 / share steps is exp(-60) of KL, exp(-30) of a distance, which A / tau turns into log-probabilities.
    # A step rounds log-probabilities of this size some four times, and the later ones contract that distance by sqrt(1 - share).
    size = float(np.abs(expected).max() + np.abs(game.log_reference).max())
    allowed = (1e-12 + 2e-15 * size / share + 2 * limit.distance_bound) / beta
    return all_of(
        limit=equal(span(run.log_policies[-1] - expected), 0.0, tolerance=allowed, scale=1.0),
        linear=at_most(E[t], (1 - share) ** t * E[0], slack=error[t] + error[0], x=t),
    )


bias.control("q tends to the equilibrium at tau", because="its temperature is higher", temperature_of_limit="tau")


@family(K=2)
def balanced_chain(K: int = 10, beta: float = 0.1) -> PreferenceGame:
    """Every action always beats those after it, and the reference makes up for that: the equilibrium at ``beta`` is uniform."""
    A = transitive_tournament(K=K).A
    return PreferenceGame(A, normalise(-A.mean(axis=1) / beta), beta=beta)


def _limits(game: PreferenceGame, beta: float, share: float) -> tuple[RegularisedNash, RegularisedNash, Array]:
    """The equilibrium at tau, the limit of the mixtures, and the limit of the policies."""
    mixed = solve_regularised(game, beta / (1 - share))
    return equilibrium(game, beta), mixed, normalise(game.log_reference + game.A @ mixed.policy / beta)


@claim(
    PAPER,
    "bias-floor",
    r"\mathrm{KL}(\pi^\star \| \pi_\infty) + \mathrm{KL}(q_\infty \| \pi^\star) = \mathrm{KL}(q_\infty \| \pi_\infty)"
    r" \le \frac{\eta^2}{24}",
    kind="inequality",
    source="derived",
    assumes=r"\pi_\infty and q_\infty the limits for the constant step \eta, \eta\tau < 1",
    note="A finding: the floor is at most eta^2/24 whatever the temperature; nash-md/one-step alone gives eta/(8 tau).",
)
@over(GAMES, beta=BETAS, share=(0.01, 0.3, 0.9))
@over(TIGHT_PAIRS, share=(0.01, 0.3, 0.9))
@over(balanced_chain.sweep(K=(3, 10, 100), beta=(0.01, 0.1, 1.0)), share=(0.01, 0.1))
@over(SEARCHED, share=Range(0.01, 0.99), budget=by_profile(quick=100, full=1000))
def bias_floor(
    game: PreferenceGame, *, beta: float | None = None, share: float, constant: float = 1 / 24, mixture: float = 1.0
) -> Comparison:
    r"""How far from the equilibrium Nash-MD with a constant step ends: a theorem of Pythagoras.

    At the fixed point D_{t+1} = D_t, and the identity in `nash-md/one-step` reads
    eta tau [D + KL(q||pi*)] + (1 - eta tau) KL(q||pi_inf) = ln E_q[exp(eta A q)]. As pi_inf is proportional to q exp(eta A q) and
    <q, A q> = 0, the right side is KL(q||pi_inf), which leaves the equality. It is at most ln(sinh(eta/2)/(eta/2)) <= eta^2/24
    by `nash-md/one-step-sharp`.
    """
    beta = temperature(game, beta)
    nash, mixed, limit = _limits(game, beta, share)
    D, E = kl(nash.log_policy, limit, log=True), kl(mixed.log_policy, nash.log_policy, log=True)
    whole = kl(mixed.log_policy, limit, log=True)
    # the limit of the policies is off by what A takes from the error of q, over tau
    shift = mixed.distance_bound / beta
    error = float(nash.divergence_error(limit) + nash.divergence_error(mixed.log_policy) + mixed.divergence_error(limit))
    error += 2 * shift + float(mixed.divergence_error(nash.log_policy))
    return all_of(
        sum=equal(D + mixture * E, whole, tolerance=error + 1e-9 * float(whole), scale=1.0),
        bound=at_most(whole, constant * (share / beta) ** 2, slack=error),
    )


bias_floor.control("eta^2 / 25", because="a balanced chain of ten actions needs more", constant=1 / 25)
bias_floor.control("without KL(q||pi*)", because="the equilibrium lies between the two limits", mixture=0.0)


@claim(
    PAPER,
    "bias-order",
    r"\mathrm{KL}(\pi^\star \| \pi_\infty) = \Theta(\eta^2) \quad \text{on weighted rock-paper-scissors}",
    kind="deterministic rate",
    source="derived",
    assumes=r"uniform reference, weights (0.5, 0.3, 0.2)",
)
@over(beta=(0.1, 0.5))
def bias_order(*, beta: float, between: tuple[float, float] = (1.9, 2.1)) -> Comparison:
    """The floor is of second order in the step, not of first order as the one-step inequality would allow."""
    game = rock_paper_scissors(weights=(0.5, 0.3, 0.2))
    shares, floors = np.geomspace(1e-4, 1e-2, 9), []
    for share in shares.tolist():
        nash, _, limit = _limits(game, beta, share)
        floors.append(float(kl(nash.log_policy, limit, log=True)))
    return slope(shares / beta, np.array(floors), between=between)


bias_order.control(
    "first order", because="the bias of log-probabilities is of first order, and KL is quadratic", between=(0.9, 1.1)
)


@claim(
    PAPER,
    "vs-nash-mp",
    r"\text{queries until } \mathrm{KL} \text{ stays below } \varepsilon:\quad \text{with a constant step } \eta \ge 0.01"
    r" \text{ Nash-MD never stays below } 10^{-8},\quad \text{with the best constant step for each } \varepsilon"
    r" \text{ it needs} \sim \varepsilon^{-1/2},\quad \text{Nash-MP at most } \frac{2 \ln (D_0/\varepsilon)}{\ln(1 + 2\tau)} + 2",
    kind="separation",
    source="derived",
    assumes=r"rock-paper-scissors with the weights (0.5, 0.4, 0.3), \tau = 0.04, \mu = \mathrm{softmax}(1/2, 0, -1/2) = \pi_0",
    note="A run may pass through the neighbourhood on its way: with the step 0.01 it comes as near as 1e-12 and ends at 2.9e-8.",
    tests=1,
)
def vs_nash_mp(
    *,
    beta: float = 0.04,
    smallest: float = by_profile(quick=1e-7, full=1e-9),
    biased: bool = True,
    half_steps: Literal[1, 2] = 2,
) -> Comparison:
    r"""A constant step leaves Nash-MD a floor; Nash-MP has none and needs only logarithmically many queries.

    The floor is of order eta^2 (`nash-md/bias-order`) and the time to reach it of order 1/(eta tau), so that the best step for an
    accuracy epsilon is of order sqrt(epsilon) and needs of order epsilon^(-1/2) queries, but for a logarithm. Runs go on until
    they have converged to their limit, from which they do not depart any more (`nash-md/bias`). The best step is looked for by
    factors of 1.2. For Nash-MP see `nash-mp/kl-contraction`.
    """
    weights, tilt = ((0.5, 0.4, 0.3), (0.5, 0.0, -0.5)) if biased else ((0.5, 0.5, 0.5), (0.0, 0.0, 0.0))
    game, start = rock_paper_scissors(weights=weights, logits=tilt), normalise([0.5, 0.0, -0.5])
    star = equilibrium(game, beta).log_policy
    accuracies = np.geomspace(1e-3, smallest, 21)

    def divergences(step: float) -> Array:
        run = nash_mirror_descent(game, beta, int(np.ceil(45 / (step * beta))), step=step, start=start)
        return kl(star, run.log_policies, log=True)

    # the floor is about 3e-4 eta^2, so that the best step is below 60 sqrt(accuracy)
    steps = 20 * np.sqrt(smallest) * 1.2 ** np.arange(np.ceil(np.log(0.1 / np.sqrt(smallest)) / np.log(1.2)))
    descent = np.min([_settling_times(divergences(step), accuracies) for step in steps.tolist()], axis=0)
    prox = nash_mirror_prox(game, beta, int(2 * np.log(1e10) / np.log1p(2 * beta)), start=start, half_steps=half_steps)
    D = kl(star, prox.log_policies, log=True)
    return all_of(
        never=at_least([divergences(step)[-1] for step in (0.01, 0.1, 1.0)], 1e-8),
        best_step=slope(1 / accuracies, descent, between=(0.4, 0.75)),
        mirror_prox=at_most(
            half_steps * _settling_times(D, accuracies), 2 * np.log(D[0] / accuracies) / np.log1p(2 * beta) + 2
        ),
    )


def _settling_times(curve: Array, levels: Array) -> Array:
    """The first index from which on a curve stays at or below each level; infinite if its last entry is above."""
    later = np.maximum.accumulate(curve[::-1])[::-1]
    times = np.array([np.count_nonzero(later > level) for level in levels], dtype=float)
    return np.where(times < curve.size, times, np.inf)


vs_nash_mp.control(
    "the reference is the equilibrium", because="the temperature does not move it, and there is no bias", biased=False
)
vs_nash_mp.control("Nash-MP without its second step", because="at this temperature its step spirals outwards", half_steps=1)
