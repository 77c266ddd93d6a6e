r"""INPO (Zhang et al. 2024): its loss, its average and last iterates, and why its log-ratios are bounded.

Notation: A the centred preference matrix, mu the reference, tau the temperature, pi* the equilibrium regularised at tau, a the
step (the paper's eta is 1/a), and

    ln pi_{t+1} = (1 - a tau) ln pi_t + a tau ln mu + a A pi_t + const,   pi_0 = mu,   D_t = KL(pi* || pi_t).

Put differently pi_{t+1} is proportional to pi_t exp(a g_t) with the gradient g_t = A pi_t - tau ln(pi_t/mu) of the regularised
payoff. In the code tau is ``beta``, as in the rest of the library.
"""

import functools

import numpy as np
from numpy.typing import NDArray

from games.dynamics import Run, average_policy
from games.generators import tight_pair, tilted, transitive_tournament
from games.mirror_descent import hedge, inpo
from games.pairwise_losses import expected_pair_loss, inpo_log_ratios, inpo_loss, inpo_regression_loss
from games.preference import PreferenceGame
from games.prox import normalise
from games.regularised import exploitability
from paper_checks.preference_games import equilibrium, every_family, real_games, temperature
from theory.claims import Comparison, Paper, Range, all_of, at_most, by_profile, claim, domain, equal, over
from theory.divergences import kl, span

Array = NDArray[np.float64]

PAPER = Paper(
    key="inpo",
    title="Iterative Nash Policy Optimization: Aligning LLMs with General Preferences via No-Regret Learning",
    authors="Zhang, Yu, Peng, Song, Tian, Huo, Jiang, Mi, Yu",
    year=2024,
    theme="games",
    arxiv="2407.00617",
)

BETAS = (0.01, 0.1, 1.0)


GAMES = every_family((2, 5, 30), scale=(0.1, 4.0), draws=by_profile(quick=1, full=6))
TRANSITIVE = transitive_tournament.sweep(K=(3, 10, 100))
REAL = real_games(scale=(0.1, 4.0))
TIGHT_PAIRS = tight_pair.sweep(beta=(0.01, 0.03, 0.1, 0.3))
# action 1 has nearly all of the reference and keeps it; action 0 always beats it, action 2 always loses to it
STRETCHED = tilted.sweep(upper=[(0.5, 0.0, 0.5)], tilt=[(-1.0, 0.0, -1.0)], beta=(0.01, 0.03, 0.1))
SEARCHED = tilted.sweep(upper=Range(-0.5, 0.5, size=3), tilt=Range(-1.0, 1.0, size=3), beta=Range(0.01, 1.0, log=True))
SEARCH_BUDGET = by_profile(quick=60, full=600)


def _policies(rng: np.random.Generator, count: int, actions: int) -> Array:
    """Random policies, near to uniform and far from it."""
    return normalise(rng.standard_normal((count, actions)) * rng.uniform(0.1, 5, (count, 1)))


@claim(
    PAPER,
    "loss-equivalence",
    r"\mathbb{E}\bigl[(h(w, l) - \tfrac a2)^2\bigr] - \mathbb{E}\bigl[(h(y, y') - a (P(y \succ \pi_t) - P(y' \succ \pi_t)))^2\bigr]"
    r" = \frac{a^2}{4} - 2 a^2\, \mathrm{Var}_{\pi_t}(A \pi_t)",
    kind="identity",
    source="derived",
    assumes=r"y, y' \sim \pi_t independent, w the winner and l the loser; h(y, y') = f(y) - f(y'),"
    r" f = \ln \pi - a\tau \ln \mu - (1 - a\tau) \ln \pi_t, any \pi",
    note="That the two differ by a constant is the paper's; the constant is computed here.",
)
@over(GAMES, beta=BETAS, share=(0.01, 0.5, 1.0))
@over(TIGHT_PAIRS, share=(0.01, 0.5, 1.0))
def loss_equivalence(
    game: PreferenceGame, *, beta: float | None = None, share: float, seed: int, on_policy: bool = True
) -> Comparison:
    r"""Pairs labelled by a winner teach what win rates would: the latter need never be estimated.

    h is antisymmetric, so E[h(w,l)^2] = E[h(y,y')^2], and E[h(w,l)] = E[(2 P(y>y') - 1) h(y,y')] = 4 E[f(y) A(y,y')] =
    4 <pi_t, f A pi_t>. The cross term with the win rates is -2 a E[h (A pi_t(y) - A pi_t(y'))] = -4 a <pi_t, f A pi_t>, because
    <pi_t, A pi_t> = 0; that of the other loss is -a E[h(w,l)], the same. What remains is a^2/4 and
    a^2 E[(A pi_t(y) - A pi_t(y'))^2] = 2 a^2 Var(A pi_t).

    Both sides are summed exactly over all pairs, at six random pi and a random pi_t.
    """
    beta = temperature(game, beta)
    step, rng = share / beta, np.random.default_rng(seed)
    policies, current = _policies(rng, 6, game.actions), _policies(rng, 1, game.actions)[0]
    sampling = current if on_policy else game.log_reference
    f = inpo_log_ratios(policies, current, game.log_reference, beta=beta, step=step)
    labelled = expected_pair_loss(game, f, sampling, functools.partial(inpo_loss, step=step))
    regression = inpo_regression_loss(game, f, current, step=step, log_sampling=sampling)
    rates, p = game.A @ np.exp(current), np.exp(current)
    constant = step**2 * (0.25 - 2 * float(p @ rates**2))
    # a square rounds f twice over, which is a difference of numbers of this size
    size = max(float(span(v).max()) for v in (policies, current, game.log_reference)) + step
    return equal(labelled - regression, constant, tolerance=1e-14, scale=size**2)


loss_equivalence.control(
    "pairs from the reference",
    because="win rates against pi_t are the mean labels only if opponents come from pi_t",
    on_policy=False,
)


@claim(
    PAPER,
    "loss-minimiser",
    r"\mathbb{E}\bigl[(h(y, y') - a (P(y \succ \pi_t) - P(y' \succ \pi_t)))^2\bigr]"
    r" = 2\, \mathrm{Var}_{\pi_t}\bigl(\ln \pi - \ln \pi_{t+1}\bigr)",
    kind="identity",
    source="derived",
    assumes=r"y, y' \sim \pi_t independent, any \pi; \pi_{t+1} one step of mirror descent from \pi_t",
)
@over(GAMES, beta=BETAS, share=(0.01, 0.5, 1.0))
@over(TIGHT_PAIRS, share=(0.01, 0.5, 1.0))
def loss_minimiser(
    game: PreferenceGame, *, beta: float | None = None, share: float, seed: int, regularised: bool = True
) -> Comparison:
    """The loss is zero at one step of mirror descent and nowhere else, and says how far any other policy is from it.

    f - a A pi_t = ln pi - ln pi_{t+1} + const, and the mean square of a difference of two independent copies is twice the variance.
    """
    beta = temperature(game, beta)
    step, rng = share / beta, np.random.default_rng(seed)
    policies, current = _policies(rng, 6, game.actions), _policies(rng, 1, game.actions)[0]
    run = inpo(game, beta, 1, step=step, start=current) if regularised else hedge(game, 1, step=step, start=current)
    policies = np.concatenate([policies, run.log_policies[1:]])
    f = inpo_log_ratios(policies, current, game.log_reference, beta=beta, step=step)
    # an expectation over pairs that never prefer: the losses of both orders of a pair are its squared residual
    residual = f - step * game.A @ np.exp(current)
    undecided = PreferenceGame(np.zeros_like(game.A))
    left = expected_pair_loss(undecided, residual, current, lambda first, second: (first - second) ** 2)
    p, difference = np.exp(current), policies - run.log_policies[1]
    centred = difference - (difference @ p)[:, None]
    size = max(float(span(v).max()) for v in (policies, current, game.log_reference)) + step
    return equal(left, 2 * centred**2 @ p, tolerance=1e-14, scale=size**2)


loss_minimiser.control("Hedge's step", because="it has no pull to the reference", regularised=False)


@claim(
    PAPER,
    "average",
    r"V_\tau\Bigl(\frac1T \sum_{t<T} \pi_t\Bigr) \le \frac{M}{a T} + \frac a2, \qquad a = \min\Bigl\{\sqrt{\frac{2M}{T}},"
    r" \frac1\tau\Bigr\}, \qquad M = \ln \frac{1}{\min \mu}",
    kind="deterministic rate",
    source="derived",
    assumes=r"\pi_0 = \mu",
)
@over(GAMES, beta=(0.001, 0.1, 1.0))
@over(REAL, beta=(0.001, 0.1, 1.0))
@over(TIGHT_PAIRS)
@over(STRETCHED)
@over(SEARCHED, budget=SEARCH_BUDGET)
def average(game: PreferenceGame, *, beta: float | None = None, last: bool = False, constant: float = 1.0) -> Comparison:
    r"""The mean of the iterates is nearly an equilibrium: a regret bound becomes a bound on exploitability.

    Mirror descent with gradients of span at most 2 (`inpo/bounded-ratios`) has sum_t <u - pi_t, g_t> <= KL(u||mu)/a + a T/2,
    for every u. By concavity <u - pi_t, g_t> = payoff of u less payoff of pi_t against pi_t, plus tau KL(u||pi_t), so that

    <u, A mean> - tau KL(u||mu) + tau mean_t KL(pi_t||mu) <= M/(a T) + a/2,

    as KL(u||mu) <= M and <pi_t, A pi_t> = 0. KL(mean||mu) is at most the mean of KL(pi_t||mu); take the best u.
    """
    beta = temperature(game, beta)
    M = -float(game.log_reference.min())
    parts = {}
    for T in (10, 100, 1000):
        step = min(np.sqrt(2 * M / T), 1 / beta)
        iterates = inpo(game, beta, T - 1, step=step).log_policies
        played = iterates[-1] if last else average_policy(iterates)
        bound = constant * (M / (step * T) + step / 2)
        # exploitability is a relative error of probabilities away from the truth
        parts[f"T_{T}"] = at_most(exploitability(game, beta, played), bound, slack=1e-13 * (1 + beta * M))
    return all_of(**parts)


average.control("the last iterate", because="at small temperatures it circles round the equilibrium", last=True)
average.control("a third of the bound", because="some games with a far reference need more", constant=1 / 3)


def _steps(schedule: str, beta: float, iterations: int) -> Array:
    """Constant steps with a tau = 0.02 or 1/2, or a_t = 2 / (tau (t + 2))."""
    if schedule == "decreasing":
        return 2 / (beta * (np.arange(iterations) + 2.0))
    return np.full(iterations, {"short": 0.02, "long": 0.5}[schedule] / beta)


SCHEDULES = ("short", "long", "decreasing")


@claim(
    PAPER,
    "bounded-ratios",
    r"\tau\, \mathrm{sp}\Bigl(\ln \frac{\pi_t}{\mu}\Bigr) \le 1 - \prod_{s<t} (1 - a_s \tau) \le 1, \qquad"
    r" \mathrm{sp}\Bigl(A \pi_t - \tau \ln \frac{\pi_t}{\mu}\Bigr) \le 2",
    kind="inequality",
    source="derived",
    assumes=r"\pi_0 = \mu; 0 < a_t \tau \le 1",
    note="A finding: the paper assumes bounded log-ratios; the exact update has them by itself.",
)
@over(GAMES, beta=BETAS, schedule=SCHEDULES)
@over(TIGHT_PAIRS, schedule=SCHEDULES)
@over(STRETCHED, schedule=SCHEDULES)
@over(SEARCHED, schedule="short", budget=SEARCH_BUDGET)
def bounded_ratios(
    game: PreferenceGame, *, beta: float | None = None, schedule: str, seed: int, share: float = 1.0, elsewhere: bool = False
) -> Comparison:
    """Log-ratios to the reference stay within 1/tau, for every game, and gradients within a span of 2.

    ln(pi_{t+1}/mu) = (1 - a tau) ln(pi_t/mu) + a A pi_t + const, and the span of A pi_t is at most 1:
    tau s_{t+1} <= (1 - a tau) tau s_t + a tau, from s_0 = 0. The gradient's span is at most 1 + tau s_t.
    """
    beta = temperature(game, beta)
    steps = _steps(schedule, beta, 200)
    start = _policies(np.random.default_rng(seed), 1, game.actions)[0] if elsewhere else None
    policies = inpo(game, beta, 200, step=steps, start=start).log_policies
    ratios = policies - game.log_reference
    bound = 1 - np.cumprod(np.append(1.0, 1 - steps * beta))
    # log-probabilities are rounded in every step, and contracted by the later ones
    rounding = (
        beta
        * 1e-15
        * (1 + np.abs(policies).max() + np.abs(game.log_reference).max())
        * np.minimum(np.arange(bound.size) + 1.0, 1 / (steps.min() * beta))
    )
    t = np.arange(bound.size)
    gradients = np.exp(policies) @ game.A.T - beta * ratios
    return all_of(
        ratios=at_most(beta * span(ratios)[1:], share * bound[1:], slack=rounding[1:], x=t[1:]),
        gradients=at_most(span(gradients), 2.0, slack=rounding),
    )


bounded_ratios.control("five per cent less", because="a reference that keeps its policy attains the bound", share=0.95)
bounded_ratios.control("another start", because="its distance from the reference is forgotten only slowly", elsewhere=True)


@claim(
    PAPER,
    "last-iterate",
    r"\mathrm{KL}(\pi^\star \| \pi_{t+1}) \le (1 - a\tau)\, \mathrm{KL}(\pi^\star \| \pi_t) - a\tau\, \mathrm{KL}(\pi_t \| \pi^\star)"
    r" + \frac{a^2}{2}; \qquad a_t = \frac{2}{\tau(t+2)}: \ \mathrm{KL}(\pi^\star \| \pi_T) \le \frac{2}{\tau^2 (T + 1)}",
    kind="deterministic rate",
    source="derived",
    assumes=r"\pi_0 = \mu; 0 < a_t \tau \le 1; T \ge 1",
)
@over(GAMES, beta=BETAS, schedule=SCHEDULES)
@over(REAL, beta=(0.01, 0.1, 1.0), schedule=SCHEDULES)
@over(TRANSITIVE, beta=(0.1, 1.0), schedule=SCHEDULES)
@over(TIGHT_PAIRS, schedule=SCHEDULES)
@over(STRETCHED, schedule=SCHEDULES)
@over(SEARCHED, schedule=SCHEDULES, budget=SEARCH_BUDGET)
def last_iterate(
    game: PreferenceGame,
    *,
    beta: float | None = None,
    schedule: str,
    constant: float = 0.5,
    contraction: float = 1.0,
    regularised: bool = True,
) -> Comparison:
    r"""The last iterate converges, without any assumption on log-ratios.

    D_{t+1} = D_t - a <pi*, g_t> + ln E_{pi_t}[exp(a g_t)] <= D_t - a <pi* - pi_t, g_t> + a^2 span(g_t)^2/8, and the span is at most
    2 (`inpo/bounded-ratios`). By skewness <pi* - pi_t, A pi_t> = -<pi_t - pi*, A pi*>, and A pi* = tau ln(pi*/mu) + const, which
    makes <pi* - pi_t, g_t> = tau [KL(pi*||pi_t) + KL(pi_t||pi*)]. With the decreasing step, multiplied by (t+1)(t+2), it telescopes:
    T (T+1) D_T <= (2/tau^2) sum_{s=1}^T s/(s+1) <= 2 T/tau^2.

    Compared with a^2/2 is what is left of the right-hand side, D_{t+1} - (1 - a tau) D_t + a tau KL(pi_t||pi*).
    """
    beta = temperature(game, beta)
    nash, steps = equilibrium(game, beta), _steps(schedule, beta, 200)
    run: Run = inpo(game, beta, 200, step=steps) if regularised else hedge(game, 200, step=steps)
    D, error = kl(nash.log_policy, run.log_policies, log=True), nash.divergence_error(run.log_policies)
    share = steps * beta
    excess = D[1:] - (1 - contraction * share) * D[:-1] + share * kl(run.log_policies[:-1], nash.log_policy, log=True)
    parts = {"one_step": at_most(excess, constant * steps**2, slack=error[1:] + 2 * error[:-1])}
    if schedule == "decreasing":
        T = np.arange(1, D.size)
        parts["rate"] = at_most(D[1:], 4 * constant / (beta**2 * (T + 1)), slack=error[1:], x=T)
    return all_of(**parts)


last_iterate.control("without the reference (Hedge)", because="the last iterate is repelled", regularised=False)
last_iterate.control("a^2 / 25", because="some of the games tried need a^2/19 or more", constant=1 / 25)
last_iterate.control("contraction by 1 - 2 a tau", because="only one a tau is gained", contraction=2.0)


@claim(
    PAPER,
    "linear-rate",
    r"a \le \frac{4\tau}{1 + 4\tau^2}: \quad \mathrm{KL}(\pi^\star \| \pi_T) \le (1 - a\tau)^T\, \mathrm{KL}(\pi^\star \| \pi_0)",
    kind="deterministic rate",
    source="derived",
    assumes=r"constant a with a\tau \le 1; any \pi_0",
    note="With a constant step the last iterate converges linearly to the equilibrium itself, unlike that of nash-md/bias.",
)
@over(every_family((2, 5, 10), scale=(0.1, 4.0), draws=by_profile(quick=1, full=6)), beta=(0.03, 0.1, 0.5), part=(0.3, 1.0))
@over(TIGHT_PAIRS, part=(0.3, 1.0))
@over(SEARCHED, part=Range(0.05, 1.0), budget=SEARCH_BUDGET)
def linear_rate(
    game: PreferenceGame, *, beta: float | None = None, part: float, exponent: float = 1.0, step_factor: float = 1.0
) -> Comparison:
    r"""With a constant step the last iterate converges linearly, at the rate of magnetic mirror descent.

    INPO is magnetic mirror descent with the step g = a/(1 - a tau): 1 - a tau = 1/(1 + g tau). One such step p from x satisfies
    (tau + 1/g) KL(pi*||p) = KL(pi*||x)/g - tau KL(p||pi*) - KL(p||x)/g + <p - pi*, A (x - p)>; the last term is at most
    |p - pi*|_1 |x - p|_1/2, and by Pinsker at most the two before it if 4 tau/g >= 1. In terms of a that is the condition.
    """
    beta = temperature(game, beta)
    nash, step = equilibrium(game, beta), step_factor * part * 4 * beta / (1 + 4 * beta**2)
    run = inpo(game, beta, 300, step=min(step, 1 / beta))
    D, error = kl(nash.log_policy, run.log_policies, log=True), nash.divergence_error(run.log_policies)
    T = np.arange(D.size)
    bound = (1 - min(step * beta, 1.0)) ** (exponent * T) * D[0]
    T = T[(T == 1) | ((T > 1) & (bound > error))]  # beyond, the divergence is round-off
    return at_most(D[T], bound[T], slack=error[T] + error[0], x=T)


linear_rate.control("rate (1 - a tau)^(2 T)", because="the tight pair attains T while it is far", exponent=2.0)
linear_rate.control(
    "a = 4 tau",
    because="at tau = 1/2 that step is the best response, which does not reach the equilibrium",
    on=domain(every_family((5,), scale=(0.1, 4.0)), beta=0.5, part=1.0),
    step_factor=2.0,
)
linear_rate.control("eight times the step", because="at small temperatures it spirals outwards", step_factor=8.0)
