r"""Direct Nash optimization (Rosset et al. 2024): what its regression solves, and against whom its steps improve.

Notation: A the centred preference matrix, r_t = A pi_t the win rates against the current policy (less 1/2), sigma the logistic
function, P(p > q) = 1/2 + <p, A q> the chance that p beats q. A step minimises the cross-entropy of
sigma(eta [ln(pi/pi_t)(y1) - ln(pi/pi_t)(y2)]) against sigma(r_t(y1) - r_t(y2)) for pairs drawn from a sampling policy D.
"""

import functools

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from games.datasets import ranked
from games.direct_nash import direct_nash_optimization, fit_finite_class, pairwise_cross_entropy, squared_preference_error
from games.generators import additive, bradley_terry, cyclic, drawn_reference, rock_paper_scissors, tilted, tournament, uniform
from games.preference import PreferenceGame
from games.prox import normalise
from paper_checks.preference_games import every_family, real_games
from theory.bradley_terry_fit import fit_bradley_terry
from theory.claims import (
    Comparison,
    Paper,
    Range,
    Sweep,
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
    violation_rate,
)
from theory.divergences import kl, span, symmetric_kl

Array = NDArray[np.float64]
EPS = float(np.finfo(float).eps)

PAPER = Paper(
    key="dno",
    title="Direct Nash Optimization: Teaching Language Models to Self-Improve with General Preferences",
    authors="Rosset, Cheng, Mitra, Santacroce, Awadallah, Xie",
    year=2024,
    theme="games",
    arxiv="2404.03715",
)


@family(K=2)
def ordered(K: int = 5, links: int = 3, scale: float = 1.0, seed: int = 0) -> PreferenceGame:
    """Actions on a line, the later the better against everybody: means of ``links`` games g(r_i - r_j) with co-ranked r.

    Each g is odd, bounded by 1/2 and nondecreasing: logistic, linear, cubic, or a step (the better one always wins).
    """
    rng, reference = drawn_reference(K, scale, seed)
    shapes = (lambda x: np.tanh(4 * x) / 2, lambda x: x / 2, lambda x: x**3 / 2, lambda x: np.sign(x) / 2)
    A = np.zeros((K, K))
    for shape in rng.integers(len(shapes), size=links):
        r = np.sort(rng.uniform(size=K))
        A += shapes[shape](r[:, None] - r) / links
    return PreferenceGame(A, reference)


@family(K=3)
def weakly_ordered(K: int = 5, scale: float = 1.0, seed: int = 0) -> PreferenceGame:
    """Actions on a line, the later preferred to the earlier, but by margins drawn independently and uniformly from [0, 1/2]."""
    rng, reference = drawn_reference(K, scale, seed)
    A = np.tril(rng.uniform(0, 0.5, (K, K)), -1)
    return PreferenceGame(A - A.T, reference)


TRANSITIVE = functools.reduce(
    Sweep.__or__,
    [f.sweep(K=(2, 3, 6, 15), scale=(0.1, 4.0), draws=by_profile(quick=1, full=8)) for f in (additive, bradley_terry, ordered)],
)


UNORDERED = functools.reduce(
    Sweep.__or__,
    [f.sweep(K=(3, 5, 10), draws=by_profile(quick=3, full=20)) for f in (uniform, tournament, weakly_ordered)],
    cyclic.sweep(K=(3, 5)),
)


def _sampling(K: int, seed: int) -> Array:
    """A sampling policy of full support, often far from uniform."""
    return np.asarray(np.exp(normalise(1.5 * np.random.default_rng([seed, 7]).standard_normal(K))))


@claim(
    PAPER,
    "minimiser",
    r"\arg\min_\pi \mathbb{E}_{y_1, y_2 \sim D}\, \ell(\pi) = \{\pi_{t+1}\}, \quad \pi_{t+1} \propto \pi_t e^{r_t/\eta}; \qquad"
    r" \mathbb{E}\,\ell(\pi) - \mathbb{E}\,\ell(\pi_{t+1}) ="
    r" \mathbb{E}\,\mathrm{KL}\bigl(\sigma(\Delta r_t) \,\|\, \sigma(\eta \Delta \ln \tfrac{\pi}{\pi_t})\bigr)",
    kind="identity",
    source="derived",
    assumes="all policies; a sampling policy D of full support; exact targets",
    note="So DNO with exact regressions is Hedge against itself with the step 1/eta, and its average has the rate of `spo/rate`.",
)
@over(every_family((2, 3, 10), scale=(0.1, 4.0), draws=by_profile(quick=1, full=4)), eta=(0.1, 1.0, 10.0))
def minimiser(
    game: PreferenceGame, *, eta: float, seed: int, step: float = 1.0, targets: str = "win rates", left_out: int = 0
) -> Comparison:
    r"""Over all policies the regression has one solution, a step of Hedge in self-play.

    The cross-entropy of sigma(x) against sigma(a) exceeds its least value, the entropy of sigma(a), by KL(sigma(a)||sigma(x)),
    which is 0 for x = a only. All pairs attain that together if eta ln(pi/pi_t) = r_t + const, and with full support every other
    policy has a pair that does not.

    The minimiser is also computed without this knowledge: theta = eta ln(pi/pi_t) maximises the likelihood of a Bradley-Terry
    model in which i beats j with the weight D_i D_j sigma(r_i - r_j), and that fit carries a bound on its error.
    """
    rng = np.random.default_rng(seed)
    now = normalise(rng.standard_normal(game.actions))
    following = direct_nash_optimization(game, eta / step, 1, start=now).log_policies[1]
    rates = game.A @ np.exp(now)
    law = _sampling(game.actions, seed)
    wins = expit(rates[:, None] - rates) if targets == "win rates" else game.A + 0.5

    # the policies tried: at spans from 0.01 to 3 in log-probabilities, and single actions moved by 0.1
    noise = rng.uniform(-1, 1, (150, game.actions))
    noise *= (np.geomspace(0.01, 3, 150) / span(noise))[:, None]
    others = normalise(following + np.concatenate([noise, 0.1 * np.eye(game.actions)]))
    if left_out:
        law = np.append(law[:-1], 0.0) / law[:-1].sum()
        fitted = equal(0.0, 0.0)  # there is no unique fit
    else:
        fit = fit_bradley_terry(wins, np.outer(law, law))
        # the step's log-probabilities are rounded to units of their size, and multiplied by eta
        rounding = 8 * EPS * (1 + eta * (np.abs(now).max() + np.abs(following).max()))
        fitted = at_most(span(eta * (following - now) - fit.theta), fit.error_bound + rounding)
    best = pairwise_cross_entropy(following, now, rates, eta, law)
    excess = pairwise_cross_entropy(others, now, rates, eta, law) - best
    a, x = rates[:, None] - rates, others - now
    x = eta * (x[:, :, None] - x[:, None, :])
    targets_and_fits = [
        np.stack([-np.logaddexp(0, -v), -np.logaddexp(0, v)], axis=-1) for v in (a, x)
    ]  # ln sigma(v), ln sigma(-v)
    expected = np.einsum("nij,i,j->n", kl(*targets_and_fits, log=True), law, law)
    return all_of(
        excess=equal(excess, expected, tolerance=1e-12, scale=max(1.0, float(excess.max()))),
        fitted=fitted,
        strict=always(excess > 4 * EPS * best, "larger loss elsewhere"),  # by more than rounding
    )


minimiser.control("one per cent more step", because="the step is 1/eta exactly", step=1.01)
minimiser.control(
    "preferences as targets",
    because="sigma(r_i - r_j) is not P_ij",
    on=domain(uniform.sweep(K=(2, 3, 5, 10), draws=2), eta=(0.1, 1.0, 10.0)),
    targets="preferences",
)
minimiser.control("one action never sampled", because="its probability is then not determined", left_out=1)


@claim(
    PAPER,
    "one-step-improvement",
    r"P(\pi_{t+1} \succ \pi_t) - \tfrac12 = \eta \bigl[\mathrm{KL}(\pi_{t+1}\|\pi_t) + \mathrm{KL}(\pi_t\|\pi_{t+1})\bigr] \ge 0",
    kind="identity",
    source="derived",
    assumes="any preferences, cyclic ones too; exact regressions",
)
@over(every_family((2, 3, 5, 10, 30), scale=(0.1, 1.0, 4.0), draws=by_profile(quick=1, full=5)), eta=(0.1, 1.0, 10.0))
@over(real_games(scale=(0.1, 4.0)), eta=(0.1, 1.0, 10.0))
@over(
    tilted.sweep(upper=Range(-0.5, 0.5, size=3), tilt=Range(-1.0, 1.0, size=3), beta=1.0),
    eta=Range(0.1, 10.0, log=True),
    budget=by_profile(quick=40, full=400),
)
def one_step_improvement(
    game: PreferenceGame, *, eta: float, divergence: str = "symmetric", opponent: str = "current", steps: int = 60
) -> Comparison:
    """Every policy beats the one before it, by eta times the symmetric divergence between the two.

    ln(pi_{t+1}/pi_t) = A pi_t/eta + const, so the symmetric divergence, <pi_{t+1} - pi_t, ln(pi_{t+1}/pi_t)>, is
    <pi_{t+1} - pi_t, A pi_t>/eta, and <pi_t, A pi_t> = 0.

    Compared in absolute terms, as a sum of products of size 1 that is rounded to 1e-15, and in relative terms while it exceeds 1e-5.
    """
    if opponent == "current":
        policies = direct_nash_optimization(game, eta, steps).log_policies
    else:  # the win rates against the first policy throughout
        gain = game.A @ np.exp(game.log_reference)
        policies = normalise(game.log_reference + np.multiply.outer(np.arange(steps + 1), gain) / eta)
    before, after = policies[:-1], policies[1:]
    improvement = np.einsum("ti,ij,tj->t", np.exp(after), game.A, np.exp(before))
    measured = symmetric_kl(after, before, log=True) if divergence == "symmetric" else 2 * kl(after, before, log=True)
    right = eta * measured
    seen = np.maximum(np.abs(right), np.abs(improvement)) > 1e-5
    everywhere = equal(improvement, right, tolerance=1e-13, scale=1.0)
    if not seen.any():
        return everywhere
    return all_of(everywhere, relative=equal(improvement[seen] / right[seen], 1.0, tolerance=1e-8, scale=1.0))


one_step_improvement.control(
    "2 KL in place of the sum", because="the two divergences differ in the third order", divergence="one"
)
one_step_improvement.control(
    "win rates against the first policy", because="the step must answer the policy that it starts from", opponent="first"
)


def _win_rates(game: PreferenceGame, eta: float, steps: int) -> Array:
    """Entry (t, s) is P(pi_t > pi_s) - 1/2."""
    p = np.exp(direct_nash_optimization(game, eta, steps).log_policies)
    return p @ game.A @ p.T


@claim(
    PAPER,
    "monotone-improvement",
    r"P(\pi_t \succ \pi_s) \ge \tfrac12 \quad \text{for all } s < t",
    kind="inequality",
    source="derived",
    assumes='"monotonic improvement across iterations" read as against every earlier policy; any preferences',
    expected="refuted",
    corrected="dno/monotone-only-if-transitive",
    note="In rock-paper-scissors from softmax(1, 0, 0) with step 0.5 every policy beats the one before it, in 200 iterations by 0.007 at"
    " least, and yet one of them loses to an earlier one with a margin of 0.325.",
)
@over(rock_paper_scissors.sweep(logits=[(1.0, 0.0, 0.0)]), eta=2.0)
@over(cyclic.sweep(K=(3, 5, 7)) | uniform.sweep(K=(3, 10)), eta=(1.0, 10.0))
@over(ranked.sweep(dataset=("minneapolis_2021", "formula_one_2012")), eta=(1.0, 10.0))
def monotone_improvement(game: PreferenceGame, *, eta: float) -> Comparison:
    """One might read "monotonic improvement" as against all earlier policies; where preferences cycle it is step by step only.

    Step by step it holds for all preferences (`dno/one-step-improvement`). But who beats the policy that beats me need not beat me.
    """
    margins = _win_rates(game, eta, 200)
    later, earlier = np.tril_indices(margins.shape[0], -1)
    return at_least(0.5 + margins[later, earlier], 0.5, slack=1e-14)


monotone_improvement.repair(
    "actions on a line", because="there improvement is stochastic dominance", on=domain(TRANSITIVE, eta=(0.1, 1.0, 10.0))
)


def _row_violation(game: PreferenceGame) -> tuple[float, int, int, int]:
    """The largest A_ij (A_jk - A_ik) over triples with A_ij > 0, and the triple; at most 0 where better is better for all."""
    A = game.A
    products = np.where(A[:, :, None] > 0, A[:, :, None] * (A[None, :, :] - A[:, None, :]), -np.inf)
    i, j, k = (int(n) for n in np.unravel_index(int(np.argmax(products)), products.shape))
    return float(products[i, j, k]), i, j, k


@claim(
    PAPER,
    "monotone-only-if-transitive",
    r"P(\pi_{t+1} \succ q) \ge P(\pi_t \succ q) \text{ for every } q \text{ and every start} \iff"
    r" \bigl(A_{ij} > 0 \implies A_{ik} \ge A_{jk} \text{ for all } k\bigr)",
    kind="necessity",
    source="derived",
    assumes=r"exact regressions; the \Leftarrow part for games without ties, or of the form A_{ij} = g(r_i - r_j), g nondecreasing, or"
    r" means of such with r ranked alike",
    note="A finding: improvement against every fixed opponent needs strong stochastic transitivity, as under Bradley-Terry.",
)
@over(TRANSITIVE, eta=(0.1, 1.0, 10.0))
@over(UNORDERED, eta=(0.1, 1.0))
def monotone_only_if_transitive(game: PreferenceGame, *, eta: float, seed: int, believed: str = "as it is") -> Comparison:
    r"""Improvement against every fixed opponent holds exactly where the better action is better against everybody.

    If: let actions be ordered so that rows of A increase. Then A q increases along the order for every q, in particular
    A pi_t does, so pi_{t+1}/pi_t increases, and E_{pi_{t+1}} f >= E_{pi_t} f for every increasing f (Chebyshev: the covariance of
    two increasing functions is at least 0), in particular for f = A q.

    Only if: let A_ij > 0 and A_ik < A_jk. From a start with half its mass on each of i and j, up to some epsilon, the gain of i exceeds
    that of j by A_ij, the step moves mass from j to i, and the win rate against k falls.

    Compared are the win rates against all single actions along a run of 60 steps, or after one step from that start.
    """
    worst, i, j, k = _row_violation(game)
    if worst <= 4 * EPS or believed == "transitive":
        rng = np.random.default_rng(seed)
        start = normalise(game.log_reference + rng.standard_normal(game.actions))
        p = np.exp(direct_nash_optimization(game, eta, 60, start=start).log_policies)
        # a win rate is a sum of K products that add up to 1/2 at most
        rates = 0.5 + p @ game.A
        return at_least(rates[1:], rates[:-1], slack=2 * game.actions * EPS)
    epsilon = 1e-3 * worst * np.exp(-1 / eta)  # a step multiplies what is not on i and j by exp(1/eta) at most
    start = np.full(game.actions, epsilon / game.actions)
    start[[i, j]] = (1 - epsilon * (game.actions - 2) / game.actions) / 2
    p = np.exp(direct_nash_optimization(game, eta, 1, start=normalise(np.log(start))).log_policies)
    before, after = p @ game.A[:, k]
    return always(after < before, f"a win rate falls: {before:.6g} to {after:.6g}")


monotone_only_if_transitive.control(
    "any preferences",
    because="where they cycle, the win rate against single actions falls again",
    on=domain(cyclic.sweep(K=(3, 5)), eta=(1.0, 10.0)),
    believed="transitive",
)
monotone_only_if_transitive.control(
    "a ranking is enough",
    because="the better action must be better against everybody, not only against the worse",
    on=domain(weakly_ordered.sweep(K=(3, 5, 10), draws=3), eta=(1.0, 10.0)),
    believed="transitive",
)


@claim(
    PAPER,
    "regression",
    r"P\Bigl(\mathbb{E}_{y_1, y_2 \sim D} \bigl(\sigma(\Delta \hat r) - \sigma(\Delta r_t)\bigr)^2 > \frac{2}{N} \ln\frac{|R|}{\delta}\Bigr)"
    r" \le \delta",
    kind="high-probability bound",
    source="derived",
    assumes=r"\hat r minimises the empirical log-loss over a finite class R that contains r_t; N pairs from D \otimes D with labels of"
    r" mean \sigma(\Delta r_t)",
)
@over(shape="grid", N=(100, 400, 1600, 6400, 25600), delta=0.05)
@over(shape="frame", N=(1600, 25600), delta=(0.05, 0.3))
def regression(
    *,
    shape: str,
    N: int,
    delta: float,
    seed: int,
    runs: int = by_profile(quick=2000, full=20_000),
    constant: float = 2.0,
    contains_truth: bool = True,
    opponent: str = "current",
) -> Comparison:
    r"""The regression behind a step is accurate to log|R|/N, with labels instead of the targets themselves.

    For a fixed r let L = sum over samples of ln(p_r/p_{r_t})(label). E exp(L/2) = (1 - H^2)^N with H^2 = 1 - E sqrt(p_r p_{r_t}) summed
    over labels, so P(L >= 0) <= exp(-N H^2) by Markov's inequality; with probability 1 - delta no r with N H^2 > ln(|R|/delta) is
    chosen. And the squared difference of two Bernoulli means, their total variation squared, is at most H^2 (2 - H^2) for
    each pair, hence at most 2 H^2 on average.

    A grid: 13^3 rewards around r_t, towards the win rates against another opponent and in two random directions, K = 10.
    A frame: r_t and 50 rewards at plus and minus 25 orthogonal directions, K = 26 and D uniform, all at an error 1.01 times the
    bound, so that every mistake is a violation: the hardest class.
    """
    K = 10 if shape == "grid" else 26
    game = bradley_terry(K=K, seed=seed)
    rng = np.random.default_rng([seed, 3])
    now = normalise(rng.standard_normal(K))
    truth = game.A @ np.exp(now) + 0.5
    law = _sampling(K, seed) if shape == "grid" else np.full(K, 1 / K)
    others = game.A.T + 0.5  # row k: the win rates against action k
    wrong = others[np.argmax(squared_preference_error(others, truth, law))]
    if shape == "grid":
        coefficients = np.stack(np.meshgrid(*[np.linspace(-1, 1, 13)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
        if not contains_truth:
            coefficients = coefficients[coefficients[:, 1] >= 0.5]
        candidates = truth + coefficients @ np.vstack([wrong - truth, rng.standard_normal((2, K))])
        bound = constant * np.log(13**3 / delta) / N
    else:
        centred = np.column_stack([np.ones(K), rng.standard_normal((K, K - 1))])
        frame = np.linalg.qr(centred)[0][:, 1:].T
        bound = constant * np.log((2 * (K - 1) + 1) / delta) / N
        directions = np.concatenate([frame, -frame])
        distances = _distances(truth, directions, law, 1.01 * bound)
        candidates = truth + np.concatenate([np.zeros((1, K)), distances[:, None] * directions])
        if not contains_truth:
            candidates = candidates[1:]
    chosen = fit_finite_class(candidates, truth if opponent == "current" else wrong, law, N, rng, runs=runs)
    return violation_rate(squared_preference_error(candidates, truth, law)[chosen] > bound, delta)


def _distances(truth: Array, directions: Array, law: Array, error: float) -> Array:
    """How far along each direction a reward must lie to have this squared preference error, by bisection."""
    low, high = np.zeros(len(directions)), np.full(len(directions), 100.0)
    for _ in range(60):
        middle = (low + high) / 2
        above = squared_preference_error(truth + middle[:, None] * directions, truth, law) > error
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return high


regression.control("half the constant", because="in a frame one of 50 wrong rewards is then often chosen", constant=1.0)
regression.control(
    "the truth is not in the class",
    because="the error has a floor, which the bound passes",
    on=domain(shape="grid", N=25600, delta=0.05),
    contains_truth=False,
)
regression.control(
    "labels against another opponent",
    because="it learns other win rates",
    on=domain(shape="grid", N=25600, delta=0.05),
    opponent="other",
)
