r"""The importance of online data (Song et al. 2024): a perfect preference loss, the policy that it yields, and what repairs it.

Notation: :math:`\mu` the reference, r* the reward, J(pi) = E_pi r* - beta KL(pi || mu) with the optimum pi*, and the gap
J(pi*) - J(pi) = beta KL(pi || pi*). Every policy of full support is the tilt of mu by its implicit reward r_pi = beta ln(pi/mu);
Delta = r_pi - r*, of which constants are immaterial, is its error, and Var Delta the variance under mu: the in-distribution
error of the best constant. C(pi) = max_y pi(y)/mu(y), C_glo = 1/min_y mu(y), and C_loc(e) is the largest C(pi) in the ball
KL(pi || mu) <= e. With several prompts variances are averaged over them, and coverage is that of the worst prompt.

On the *hole family* one response u has the reference probability delta >= 0 and occurs in no labelled pair.
"""

import functools

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, expit, logit, logsumexp

from bandits.preference.bounded_reward import clipped_reward, tilt_radius
from bandits.preference.comparisons import labelled, population_weights
from bandits.preference.families import hole_bandit, kl_bandit, random_kl_bandit
from bandits.preference.gradient_descent import descend
from bandits.preference.hypo import minimise_hypo
from bandits.preference.kl_bandit import KLBandit, average, expected_reward, kl_gap, kl_objective
from bandits.preference.log_linear import fit_log_linear
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
    less_on_average,
    over,
    slope,
    violation_rate,
)
from theory.coverage import kl_ball_ratio, largest_ratio
from theory.divergences import kl
from theory.links import bradley_terry
from theory.pair_losses import expected_pair_gradient, expected_pair_loss, ipo, logistic
from theory.tilts import log_partition, log_tilt

Array = NDArray[np.float64]

PAPER = Paper(
    key="coverage",
    title="The Importance of Online Data: Understanding Preference Fine-tuning via Coverage",
    authors="Song, Swamy, Singh, Bagnell, Sun",
    year=2024,
    theme="alignment",
    arxiv="2406.01462",
)

DRAWS = by_profile(quick=1, full=8)
RANDOM = random_kl_bandit.sweep(
    K=(2, 4, 12), concentration=(0.1, 1.0), spread=(0.1, 1.0, 10.0), beta=(0.1, 0.5, 2.0), draws=DRAWS
) | random_kl_bandit.sweep(K=4, prompts=3, beta=(0.1, 0.5, 2.0), draws=DRAWS)
SEARCH_BUDGET = by_profile(quick=100, full=2000)
ERRORS = 40


def _errors(bandit: KLBandit, seed: int) -> Array:
    """Errors of rewards: of every response, and of one, sizes 1e-3 .. 10; shape (2 ERRORS, ..., K)."""
    rng = np.random.default_rng(seed)
    shape = (ERRORS, *bandit.reward.shape)
    size = 10.0 ** rng.uniform(-3, 1, (ERRORS,) + (1,) * bandit.reward.ndim)
    everywhere = size * rng.standard_normal(shape)
    place = np.eye(bandit.responses)[rng.integers(bandit.responses, size=shape[:-1])]
    return np.concatenate((everywhere, size * place * rng.choice([-1.0, 1.0], shape[:-1])[..., None]))


def _tilted(bandit: KLBandit, error: Array) -> Array:
    """Log-probabilities of the policy whose implicit reward is off by ``error``."""
    return log_tilt(bandit.log_reference, bandit.reward + error, bandit.beta)


def _variance(bandit: KLBandit, error: Array) -> Array:
    mu = bandit.reference
    centred = error - (mu * error).sum(axis=-1, keepdims=True)
    return average(bandit, (mu * centred**2).sum(axis=-1))


def _coverage(bandit: KLBandit, log_policy: Array) -> Array:
    """C(pi) at the worst prompt."""
    ratio = largest_ratio(log_policy, bandit.log_reference)
    return ratio if bandit.prompts is None else ratio.max(axis=-1)


def _rounding(bandit: KLBandit, error: Array, gap: Array) -> Array:
    """How far a gap may be off, from log-probabilities that are off by rho: beta rho (rho + E_pi |ln(pi/pi*)|).

    The expectation is at most KL + sqrt(2 KL).
    """
    size = np.abs(bandit.reward + error).max() / bandit.beta + np.abs(bandit.log_reference).max()
    rho, divergence = 8 * np.finfo(float).eps * (1 + size), gap / bandit.beta
    return np.asarray(bandit.beta * rho * (rho + divergence + np.sqrt(2 * divergence)))


def _global_coverage(bandit: KLBandit) -> float:
    return float(1 / bandit.reference.min())


# --- necessity ---------------------------------------------------------------------------------------------------------

SPOILED = np.array([0.0, 0.1, 0.5, 0.99, 1 - 1e-6])  # the mass a on the hole


def _spoiled(log_covered: Array, mass: Array) -> Array:
    """(1 - a) of the given policy of the covered responses, and a on the hole, which is the last response."""
    a = np.asarray(mass)[..., None]
    with np.errstate(divide="ignore"):
        return np.concatenate((np.log1p(-a) + log_covered, np.log(a)), axis=-1)


def _covered(log_policy: Array) -> Array:
    """A policy conditioned on the covered responses."""
    kept = log_policy[..., :-1]
    return np.asarray(kept - logsumexp(kept, axis=-1, keepdims=True))


def _perfect_policy(bandit: KLBandit, method: str, tau: float) -> Array:
    """What DPO, or IPO, makes of the covered responses with infinitely many pairs: log-probabilities without the hole."""
    if method == "dpo":
        return _covered(bandit.log_optimum)
    q, wins = np.exp(bandit.log_pairs[:-1]), bradley_terry(bandit.reward[:-1])
    return log_tilt(_covered(bandit.log_reference), wins @ q / q.sum(), tau)


def _same_loss(bandit: KLBandit, *, method: str, tau: float, seed: int) -> Comparison:
    """The losses of the spoiled policies are one number, and no other policy has a lower one."""
    reached = np.isfinite(bandit.log_pairs)
    W = population_weights(bandit)[np.ix_(reached, reached)]
    policies = _spoiled(_perfect_policy(bandit, method, tau), SPOILED)
    if reached.all():  # only in a control: then the policy without mass on the hole has an infinite loss
        policies = policies[1:]
    ratios = policies[:, reached] - bandit.log_reference[reached]
    loss, scores = (logistic(), bandit.beta * ratios) if method == "dpo" else (ipo(tau), ratios)
    losses = expected_pair_loss(scores, W, loss)
    rng = np.random.default_rng(seed)
    moved = scores[0] + 10.0 ** rng.uniform(-2, 1, (50, 1)) * rng.standard_normal((50, scores.shape[-1]))
    return all_of(
        # IPO's losses are squares of numbers of the size 1/tau
        one_loss=equal(losses, losses[0], tolerance=1e-12, scale=1 + float(losses[0])),
        stationary=equal(expected_pair_gradient(scores[0], W, loss), 0.0, tolerance=1e-12, scale=1 + float(losses[0])),
        lowest=at_least(expected_pair_loss(moved, W, loss), losses[0]),
    )


@claim(
    PAPER,
    "necessity-perfect-loss",
    r"\mu(u) = 0,\ \pi_a = (1 - a)\,\pi^\star + a\,\mathbf{1}_u:\quad L(\pi_a) = \min L \text{ for every } a,\quad"
    r" J(\pi_a) = -\infty \text{ for } a > 0,\quad \mathbb{E}_{\pi_a} r^\star \to r^\star(u) \text{ as } a \to 1",
    kind="separation",
    source="paper",
    assumes="L the population loss of DPO or of IPO; pairs of covered responses only; u not covered and of any reward",
    note="The comparator is covered, C(pi*) <= exp(range/beta): single-policy coverage does not save an offline loss.",
)
@over(
    hole_bandit.sweep(K=(2, 5, 12), beta=(0.1, 0.5, 2.0), hole=(-3.0, -1e6), draws=by_profile(quick=3, full=30)),
    method=("dpo", "ipo"),
    tau=(0.1, 1.0),
)
def necessity_perfect_loss(bandit: KLBandit, *, method: str, tau: float, seed: int) -> Comparison:
    """A policy with a perfect preference loss may be infinitely bad: offline losses need global coverage.

    Pairs show differences of implicit rewards of covered responses. Mass on u takes the same factor 1 - a from all of them,
    and no difference changes. Both losses are convex in the differences, so that a vanishing gradient makes a minimum global;
    with Bradley-Terry labels it vanishes for DPO at pi*, and for IPO at mu exp(p/tau), p(y) the chance to beat a draw from the pairs.
    """
    spoiled = _spoiled(_perfect_policy(bandit, method, tau), SPOILED)
    clean = float(expected_reward(bandit, spoiled[0]))
    best = bandit.log_optimum
    return all_of(
        loss=_same_loss(bandit, method=method, tau=tau, seed=seed),
        value=always(np.isneginf(kl_objective(bandit, spoiled[1:])), "J is minus infinity"),
        reward=equal(expected_reward(bandit, spoiled), (1 - SPOILED) * clean + SPOILED * bandit.reward[-1]),
        comparator=always(
            np.log(largest_ratio(best, bandit.log_reference)) <= np.ptp(bandit.reward[:-1]) / bandit.beta + 1e-12, "C(pi*)"
        ),
    )


necessity_perfect_loss.control(
    "one pair in fifty shows the hole",
    because="then the loss sees the mass on u",
    on=hole_bandit.sweep(K=(2, 5), delta=1e-3, weight=0.01, draws=3),
    check=functools.partial(_same_loss, method="dpo", tau=1.0, seed=0),
)


def _with_hole_mass(bandit: KLBandit, delta: float) -> KLBandit:
    """The bandit with another mass on the hole, and pairs from its reference."""
    with np.errstate(divide="ignore"):
        reference = np.append(np.log1p(-delta) + _covered(bandit.log_reference), np.log(delta))
    return KLBandit(bandit.reward, reference, bandit.beta)


HOLES = hole_bandit.sweep(K=(2, 5, 12), delta=0.1, beta=(0.1, 0.5, 2.0), hole=(-6.0, -20.0), draws=DRAWS)


@claim(
    PAPER,
    "necessity-quantified",
    r"\mathrm{Var}\,\Delta = \delta (1 - \delta)\, \beta^2 (\mathrm{logit}\, a - \mathrm{logit}\, \pi^\star(u))^2 \to 0,\quad"
    r" L(\pi_a) - \min L \le \tfrac14 \mathrm{Var}\,\Delta,\quad"
    r" J(\pi^\star) - J(\pi_a) \ge a \beta \ln\tfrac1\delta - a (r^\star(u) - \beta \ln Z) - \beta H(a) \to \infty",
    kind="separation",
    source="derived",
    assumes=r"\mu(u) = \delta \to 0, a = 1/2; pairs drawn from \mu, all responses in them; u the worst response",
    note="So no bound gap <= g(error) with a finite g that does not depend on coverage exists. The excess of the loss vanishes too.",
)
@over(HOLES)
def necessity_quantified(bandit: KLBandit, *, mass: float = 0.5, multiple: float = 0.0) -> Comparison:
    r"""With all responses in the data, and an error that goes to 0, the gap can go to infinity.

    The error is constant on covered responses, and :math:`\beta(\mathrm{logit}\,a - \mathrm{logit}\,\pi^\star(u))` more on u; the
    gap is beta times the divergence of two coins, and :math:`\pi^\star(u) = \delta e^{r^\star(u)/\beta}/Z`. A wrong margin off by x
    costs at most :math:`x^2/8` in the loss of one pair, and :math:`E(\Delta_i - \Delta_j)^2 = 2\,\mathrm{Var}\,\Delta`.
    """
    exponents = np.arange(2, 66, 3)
    rows, flat = [], []
    for delta in 10.0**-exponents:
        small = _with_hole_mass(bandit, delta)
        a = multiple * delta if multiple else mass
        best = small.log_optimum
        policy = _spoiled(_covered(best), np.array(a))
        error = bandit.beta * (policy - best)
        hole = bandit.beta * (logit(a) - (best[-1] - np.log1p(-np.exp(best[-1]))))
        # pairs of two covered responses have the right margin, and cost nothing more
        right, wrong = bandit.reward[-1] - bandit.reward[:-1], bandit.reward[-1] - bandit.reward[:-1] + hole
        coins = kl(np.stack((expit(right), expit(-right)), -1), np.stack((expit(wrong), expit(-wrong)), -1))
        excess = 2 * delta * small.reference[:-1] @ coins
        known = float(log_partition(small.log_reference, bandit.reward, bandit.beta)) - bandit.reward[-1]
        terms = np.array([a * bandit.beta * np.log(1 / delta), a * known, -bandit.beta * (entr(a) + entr(1 - a))])
        # the error is one number on covered responses, up to rounding, whose square would hide 1e-60
        flat.append(np.ptp(error[:-1]))
        bounds = (terms.sum(), 1e-14 * np.abs(terms).sum())
        rows.append((error[-1] - error[0], hole, delta * (1 - delta) * hole**2, excess, kl_gap(small, policy), *bounds))
    seen, hole, variance, excess, gap, floor, rounding = np.array(rows).T
    decades = bandit.beta * np.log(10) * (exponents[-1] - exponents[-2])
    return all_of(
        constant=equal(flat, 0.0, tolerance=1e-12, scale=1 + float(np.abs(seen).max())),
        error=equal(seen, hole),
        error_falls=always(np.diff(variance) < 0, "the error falls with delta"),
        loss=at_most(excess, variance / 4),
        gap_grows=always(np.diff(gap) > 0, "the gap grows as delta falls"),
        gap=at_least(gap, floor, slack=rounding, x=exponents, label="gap by -log10 delta"),
        rate=equal((gap[-1] - gap[-2]) / decades, mass),
    )


necessity_quantified.control(
    "a = 10 delta", because="a policy of a bounded density ratio has a gap that goes to 0", multiple=10.0
)


# --- sufficiency -------------------------------------------------------------------------------------------------------

TWO_ARMS = kl_bandit.sweep(reward=Range(-1.0, 1.0, size=2), logits=Range(-5.0, 5.0, size=2), beta=Range(1e-3, 10.0, log=True))
REVERSED = kl_bandit.sweep(reward=[(1.0, -1.0)], logits=[(0.0, 0.0)], beta=(0.001, 0.01, 0.1))


@claim(
    PAPER,
    "sufficiency",
    r"J(\pi^\star) - J(\pi) \le \min\bigl\{(\sqrt{C(\pi^\star)} + \sqrt{C(\pi)}) \sqrt{\mathrm{Var}\,\Delta},\ "
    r"\sqrt{2\, C(\pi^\star)\, C(\pi)\, \mathrm{Var}\,\Delta}\bigr\} \le 2 \sqrt{C_{glo}\, \mathrm{Var}\,\Delta}",
    kind="inequality",
    source="derived",
    assumes="pi any policy with the support of the reference",
    note="The order is the paper's O(C_glo sqrt(error)), with the root of its coverage; `coverage/sufficiency-sharp` has the best constant.",
)
@over(RANDOM)
def sufficiency(bandit: KLBandit, *, seed: int, learner: bool = True, comparator: bool = True) -> Comparison:
    """Under coverage of both policies, a small error of the implicit reward makes a small gap.

    pi maximises its own objective J_{r_pi}, so that the gap is at most E_{pi*}[-Delta] + E_pi[Delta]. Change the measure to
    the reference in each term, or in the mean of Delta(y) - Delta(y') over independent y from pi and y' from pi*.
    """
    error = _errors(bandit, seed)
    policy = _tilted(bandit, error)
    C = _coverage(bandit, policy) if learner else 1.0
    best = _coverage(bandit, bandit.log_optimum) if comparator else 1.0
    variance = _variance(bandit, error)
    bound = np.minimum((np.sqrt(C) + np.sqrt(best)) ** 2, 2 * C * best) * variance
    return all_of(
        gap=at_most(kl_gap(bandit, policy), np.sqrt(bound)),
        global_coverage=always(bound <= 4 * _global_coverage(bandit) * variance * (1 + 1e-12), "within the bound by C_glo"),
    )


sufficiency.control("without the learner's coverage", because="errors on rare responses attract the policy", learner=False)
sufficiency.control("without the comparator's coverage", because="errors may deter it from rare ones", comparator=False)


@claim(
    PAPER,
    "sufficiency-sharp",
    r"J(\pi^\star) - J(\pi) \le \sqrt{(C(\pi) + C(\pi^\star))\, \mathrm{Var}\,\Delta} \le \sqrt{2\, C_{glo}\, \mathrm{Var}\,\Delta}",
    kind="inequality",
    source="derived",
    assumes="pi any policy with the support of the reference",
    note="Never above `coverage/sufficiency`, and tight: two responses, beta -> 0, an error that just turns the preference round.",
)
@over(RANDOM)
@over(REVERSED, error=((-1.01, 1.01), (-1.05, 1.05)))
@over(TWO_ARMS, error=Range(-2.0, 2.0, size=2), budget=SEARCH_BUDGET)
def sufficiency_sharp(
    bandit: KLBandit, *, seed: int, error: tuple[float, ...] | None = None, factor: float = 1.0, learner: bool = True
) -> Comparison:
    r"""What it takes is the sum of the two coverages, and with this constant it can be attained.

    The gap is at most :math:`E_\pi \Delta - E_{\pi^\star} \Delta = E_\mu[\tfrac{\pi - \pi^\star}{\mu} (\Delta - E_\mu \Delta)]`, and by
    Cauchy and Schwarz its square at most :math:`\mathrm{Var}\,\Delta` times :math:`\sum (\pi - \pi^\star)^2/\mu \le \sum (\pi^2 +
    \pi^{\star 2})/\mu \le C(\pi) + C(\pi^\star)`. Because C >= 1, this is at most :math:`2 C(\pi) C(\pi^\star)`.
    """
    errors = _errors(bandit, seed) if error is None else np.array(error)
    policy = _tilted(bandit, errors)
    C = (_coverage(bandit, policy) if learner else 1.0) + _coverage(bandit, bandit.log_optimum)
    gap = kl_gap(bandit, policy)
    return at_most(gap, factor * np.sqrt(C * _variance(bandit, errors)), slack=_rounding(bandit, errors, gap))


sufficiency_sharp.control("0.97 of the bound", because="two responses attain it", factor=0.97)
sufficiency_sharp.control(
    "without the learner's coverage", because="errors on rare responses attract the policy", learner=False
)


# --- the rate ----------------------------------------------------------------------------------------------------------

NODES, WEIGHTS = np.polynomial.legendre.leggauss(64)
NODES, WEIGHTS = (NODES + 1) / 2, WEIGHTS / 2


@claim(
    PAPER,
    "fast-rate",
    r"J(\pi^\star) - J(\pi) = \frac1\beta \int_0^1 s\, \mathrm{Var}_{\pi_s}(\Delta)\, ds \le \frac{C_{glo}}{2\beta}\,"
    r" \mathrm{Var}\,\Delta, \qquad \pi_s \propto \mu\, e^{(r^\star + s \Delta)/\beta}",
    kind="identity",
    source="derived",
    assumes="beta fixed; Delta of range at most 5 beta for the quadrature",
    note="The paper's exponent 1/2 is loose for a fixed temperature: the gap is linear in the error. `coverage/half-power-needed` "
    "has the temperature at which it is not, `coverage/fast-rate-ratios` and `coverage/fast-rate-global` the best constants.",
)
@over(RANDOM)
def fast_rate(bandit: KLBandit, *, seed: int, weight: float = 1.0, covered: bool = True, power: float = 1.0) -> Comparison:
    r"""For a fixed temperature the gap is linear in the error of the implicit reward: one may hope for twice the exponent.

    The gap is :math:`\beta \mathrm{KL}(\pi_1 \| \pi_0)`, and along an exponential family :math:`\mathrm{KL}(\pi_1\|\pi_0) = \int_0^1 s
    \psi''(s) ds` with the cumulant function :math:`\psi`, :math:`\psi''(s) = \mathrm{Var}_{\pi_s}(\Delta/\beta)`. Each variance is at most
    :math:`C(\pi_s) \mathrm{Var}\,\Delta`. The slope is measured along a fixed direction.
    """
    errors = _errors(bandit, seed)
    reach = np.array([0.1, 1.0, 5.0])[np.arange(len(errors)) % 3] * bandit.beta
    errors = errors * (reach / np.ptp(errors.reshape(len(errors), -1), axis=1)).reshape(-1, *[1] * bandit.reward.ndim)
    gap = kl_gap(bandit, _tilted(bandit, errors))
    s = NODES.reshape(-1, *[1] * errors.ndim)
    path = np.exp(log_tilt(bandit.log_reference, bandit.reward + s * errors, bandit.beta))
    centred = errors - (path * errors).sum(axis=-1, keepdims=True)
    variances = average(bandit, (path * centred**2).sum(axis=-1))
    integral = (WEIGHTS * NODES**weight) @ variances / bandit.beta
    variance = _variance(bandit, errors)
    bound = (_global_coverage(bandit) if covered else 1.0) * variance / (2 * bandit.beta)
    # gaps differ by orders of magnitude, so that it is ratios that are compared
    sizes = np.geomspace(1e-4, 1e-2, 9)[:, None] if bandit.prompts is None else np.geomspace(1e-4, 1e-2, 9)[:, None, None]
    direction = errors[0] / np.ptp(errors[0]) * sizes * bandit.beta
    return all_of(
        identity=equal(integral / gap, 1.0, tolerance=1e-6),
        linear=at_most(gap, bound),
        rate=slope(
            _variance(bandit, direction), kl_gap(bandit, _tilted(bandit, direction)), between=(power - 0.03, power + 0.03)
        ),
    )


fast_rate.control("the exponent 1/2", because="it is 1 along every direction", power=0.5)
fast_rate.control("weights 1 in place of s", because="they give the other divergence, KL(pi* || pi), as well", weight=0.0)
fast_rate.control("without coverage", because="the variances are not the reference's", covered=False)


@claim(
    PAPER,
    "fast-rate-ratios",
    r"J(\pi^\star) - J(\pi) \le \frac{\max\{C(\pi), C(\pi^\star)\}}{2\beta}\, \mathrm{Var}\,\Delta",
    kind="inequality",
    source="derived",
    assumes="pi any policy with the support of the reference",
    note="Global coverage is not needed for the fast rate: that of the two policies is enough, with the constant of small errors.",
)
@over(RANDOM)
@over(REVERSED, error=((-1.01, 1.01), (-1e-4, 1e-4)))
@over(TWO_ARMS, error=Range(-2.0, 2.0, size=2), budget=SEARCH_BUDGET)
def fast_rate_ratios(
    bandit: KLBandit, *, seed: int, error: tuple[float, ...] | None = None, factor: float = 1.0, which: str = "both"
) -> Comparison:
    r"""The linear rate needs only that the reference covers the learner and the comparator.

    Write p, q for pi, pi*, :math:`\ell = \ln(p/q) = \Delta/\beta` + const, w = max(p, q) <= max{C(pi), C(pi*)} mu. To prove: KL(p||q)
    :math:`\le \frac12 \sum w (\ell - c)^2` for every c.

    If c <= 0: :math:`\mathrm{KL}(p\|q) \le \sum_y p \ln\frac{p}{q'} - p + q'` with :math:`q' = e^c q`, since :math:`e^c \ge 1 + c`, and
    each term is at most :math:`\frac12 \max(p, q') \ln^2(p/q')`, where max(p, q') <= w.

    If c >= 0: as p and q have one sum, :math:`\mathrm{KL}(p\|q) = \sum_y p \ell - (1 + c)(p - q)`, and each term is at most
    :math:`\frac12 w (\ell - c)^2`. For :math:`\ell \ge 0`, with :math:`u = \ell - c \ge -c`, this reads :math:`(1 + c) e^{-c} e^{-u} \le
    1 - u + u^2/2`; the left side is at most :math:`e^{-u}`, which is enough for u >= 0, and for u < 0 at most 1 - u. For
    :math:`\ell = -x \le 0` it reads :math:`0 \le [\frac{x^2}2 + x e^{-x} - 1 + e^{-x}] + c\,[x - 1 + e^{-x}] + \frac{c^2}2`, a sum of
    terms that are at least 0.
    """
    errors = _errors(bandit, seed) if error is None else np.array(error)
    policy = _tilted(bandit, errors)
    C, best = _coverage(bandit, policy), _coverage(bandit, bandit.log_optimum)
    ratio = {"both": np.maximum(C, best), "learner": C, "comparator": best, "root": np.sqrt(C * best)}[which]
    gap = kl_gap(bandit, policy)
    bound = factor * ratio * _variance(bandit, errors) / (2 * bandit.beta)
    return at_most(gap, bound, slack=_rounding(bandit, errors, gap))


fast_rate_ratios.control("five per cent less", because="small errors under even coverage attain it", factor=0.95)
fast_rate_ratios.control("the learner's coverage alone", because="it may keep away from what is good", which="learner")
fast_rate_ratios.control("the comparator's coverage alone", because="the learner may go elsewhere", which="comparator")
fast_rate_ratios.control("the geometric mean of the two", because="the larger one counts", which="root")


@claim(
    PAPER,
    "fast-rate-global",
    r"J(\pi^\star) - J(\pi) \le \frac{(\max \Delta - \min \Delta)^2}{8 \beta} \le \frac{C_{glo}}{4 \beta}\, \mathrm{Var}\,\Delta",
    kind="inequality",
    source="derived",
    assumes="pi any policy with the support of the reference; one prompt",
    note="Half the constant that the integral suggests, and no smaller one does, at any C_glo >= 2.",
)
@over(random_kl_bandit.sweep(K=(2, 4, 12), spread=(0.1, 10.0), beta=(0.1, 0.5, 2.0), draws=DRAWS))
@over(
    kl_bandit.sweep(reward=[(0.0, -30.0, 0.0)], logits=[(0.0, 0.0, 0.0), (0.0, 5.0, 0.0), (0.0, 20.0, 0.0)], beta=(0.1, 1.0)),
    error=((-0.01, 0.0, 0.01),),
)
@over(TWO_ARMS, error=Range(-2.0, 2.0, size=2), budget=SEARCH_BUDGET)
def fast_rate_global(
    bandit: KLBandit, *, seed: int, error: tuple[float, ...] | None = None, factor: float = 1.0, power: float = 1.0
) -> Comparison:
    r"""Under global coverage the constant of the linear rate is a quarter, not a half.

    A variance is at most a quarter of the squared range (Popoviciu), in the integral of `coverage/fast-rate`. And two
    responses at the ends of the range R have :math:`\mathrm{Var}\,\Delta \ge \min\mu \cdot R^2/2`. Rewards that put pi* on two rare
    responses evenly, and a small error between the two, attain both.
    """
    errors = _errors(bandit, seed) if error is None else np.array(error)
    square, C = np.ptp(errors, axis=-1) ** 2, _global_coverage(bandit)
    bound = C**power * _variance(bandit, errors) / (4 * bandit.beta)
    gap = kl_gap(bandit, _tilted(bandit, errors))
    return all_of(
        range=at_most(gap, factor * square / (8 * bandit.beta), slack=_rounding(bandit, errors, gap)),
        coverage=at_most(square / (8 * bandit.beta), bound),
    )


fast_rate_global.control("five per cent less", because="a small error between two even responses attains it", factor=0.95)
fast_rate_global.control("C_glo^0.95", because="it is attained at every C_glo", power=0.95)


@claim(
    PAPER,
    "half-power-needed",
    r"\sup_{\beta > 0} \bigl(J(\pi^\star) - J(\pi)\bigr) \ge 0.99 \sqrt{2\, C_{glo}\, \varepsilon}, \qquad \varepsilon = \mathrm{Var}\,\Delta",
    kind="lower bound",
    source="derived",
    assumes="two equally likely responses; beta small against sqrt(epsilon), here 1e-4 of it",
    note="Neither rate is wrong: the square root is uniform in the temperature, and linear decay sets in once sqrt(epsilon) << beta.",
)
@over()
def half_power_needed(*, beta: float | None = None, factor: float = 0.99) -> Comparison:
    """The exponent 1/2 cannot be improved by a bound that does not depend on the temperature.

    The rewards h and -h are taken for -h/1000 and h/1000. As beta/h -> 0, both policies are deterministic, and the gap is 2h; the error is
    of variance (1.001 h)^2, and C_glo = 2.
    """
    sizes = np.geomspace(1e-4, 1.0, 9)
    gaps, variances = [], []
    for h in sizes:
        bandit = KLBandit(np.array([h, -h]), np.log([0.5, 0.5]), 1e-4 * h if beta is None else beta)
        error = 1.001 * np.array([-h, h])
        gaps.append(float(kl_gap(bandit, _tilted(bandit, error))))
        variances.append(float(_variance(bandit, error)))
    return all_of(
        level=at_least(gaps, factor * np.sqrt(4 * np.array(variances))),
        exponent=slope(variances, gaps, between=(0.49, 0.51)),
    )


half_power_needed.control("a fixed temperature", because="then the gap is linear in epsilon", beta=1.0)
half_power_needed.control("more than the bound", because="`coverage/sufficiency-sharp` forbids it", factor=1.01)


# --- RLHF --------------------------------------------------------------------------------------------------------------


@claim(
    PAPER,
    "rlhf-ball",
    r"\mathrm{KL}(\pi_{\hat r} \| \mu) \le \min\Bigl\{\frac{w}{\beta}, \frac{w^2}{8 \beta^2}\Bigr\},\quad \frac{\pi_{\hat r}}{\mu} \le"
    r" e^{w/\beta},\quad J(\pi^\star) - J(\pi_{\hat r}) \le 2 \sqrt{e^{R/\beta}\, \mathbb{E}_\mu (\hat r - r^\star)^2}",
    kind="inequality",
    source="derived",
    assumes=r"\hat r of range w; for the gap, \hat r and r* in [0, R]; the KL problem solved exactly",
    note="The first bound is the paper's, O(R'/beta). `coverage/rlhf-ball-sharp` has the best one.",
)
@over(RANDOM)
@over(kl_bandit.sweep(reward=[(0.0, 1.0)], logits=[(194.7, 0.0)], beta=0.005))
@over(
    kl_bandit.sweep(reward=[(0.0, 1.0)], logits=Range(-40.0, 40.0, size=2), beta=Range(0.02, 10.0, log=True)),
    budget=SEARCH_BUDGET,
)
def rlhf_ball(bandit: KLBandit, *, seed: int, first: float = 1.0, second: float = 1.0, ratio: float = 1.0) -> Comparison:
    """RLHF with a bounded reward needs no assumption of coverage: its policy cannot leave a ball about the reference.

    KL(pi || mu) = E_pi[r]/beta - ln Z <= (E_pi[r] - E_mu[r])/beta by Jensen's inequality. The second bound is the range's in
    `coverage/fast-rate-global`, from the reference (the tilt by 0) to the tilt by r. Z lies between exp(min r/beta) and
    exp(max r/beta). The gap is that of `coverage/sufficiency` with this ratio.
    """
    t = np.ptp(bandit.reward, axis=-1) / bandit.beta
    best = bandit.log_optimum
    divergence = kl(best, bandit.log_reference, log=True)
    bounded = KLBandit(bandit.reward / max(float(np.ptp(bandit.reward)), 1.0), bandit.log_reference, bandit.beta)
    low, high = bounded.reward.min(), bounded.reward.max()
    learnt = np.random.default_rng(seed).uniform(low, high, bandit.reward.shape)
    square = average(bounded, (bounded.reference * (learnt - bounded.reward) ** 2).sum(axis=-1))
    gap = kl_gap(bounded, log_tilt(bounded.log_reference, learnt, bounded.beta))
    with np.errstate(over="ignore"):
        return all_of(
            linear=at_most(divergence, first * t),
            quadratic=at_most(divergence, second * t**2 / 8),
            ratio=at_most((best - bandit.log_reference).max(axis=-1), ratio * t),
            gap=at_most(gap, 2 * np.sqrt(np.exp((high - low) / bounded.beta) * square)),
        )


rlhf_ball.control("0.95 of w / beta", because="a rare response of reward w = 200 beta comes closer", first=0.95)
rlhf_ball.control("0.95 of w^2 / (8 beta^2)", because="two even responses attain it as w -> 0", second=0.95)
rlhf_ball.control("e^(0.95 w/beta)", because="a rare response of reward w attains it", ratio=0.95)


@claim(
    PAPER,
    "rlhf-ball-sharp",
    r"\mathrm{KL}(\pi_{\hat r} \| \mu) \le \zeta - 1 - \ln \zeta, \qquad \zeta = \frac{w/\beta}{1 - e^{-w/\beta}}",
    kind="inequality",
    source="derived",
    assumes=r"\hat r of range w",
    note="Attained, for every w/beta, by a reward of two values. It is w/beta - ln(w/beta) - 1 + o(1) for large w/beta, and below both bounds of `coverage/rlhf-ball`.",
)
@over(RANDOM)
@over(
    kl_bandit.sweep(reward=[(0.0, 1.0)], logits=Range(-20.0, 20.0, size=2), beta=Range(0.05, 10.0, log=True)),
    budget=SEARCH_BUDGET,
)
def rlhf_ball_sharp(bandit: KLBandit, *, factor: float = 1.0) -> Comparison:
    r"""The radius of the ball in closed form.

    In units of beta, with :math:`u = e^r \in [1, e^t]`: KL = E_mu[u ln u]/Z - ln Z, Z = E_mu u, and the convex u ln u lies below
    its chord :math:`\zeta (u - 1)`. So KL :math:`\le \zeta (1 - 1/Z) - \ln Z`, which is largest at Z = zeta.
    """
    t = np.ptp(bandit.reward, axis=-1)
    radius = tilt_radius(t, bandit.beta)
    return all_of(
        radius=at_most(kl(bandit.log_optimum, bandit.log_reference, log=True), factor * radius),
        simpler=at_most(radius, np.minimum(t / bandit.beta, (t / bandit.beta) ** 2 / 8)),
    )


rlhf_ball_sharp.control("0.99 of the radius", because="a reward of two values attains it", factor=0.99)


@claim(
    PAPER,
    "rlhf-vs-dpo",
    r"J(\pi^\star) - J(\pi_{\hat r}) \le \frac{e^{w/\beta}}{2\beta}\, \delta\, w^2 \to 0, \qquad J(\pi^\star) - J(\pi_{1/2}) \sim"
    r" \frac{\beta}{2} \ln \frac1\delta \to \infty",
    kind="separation",
    source="derived",
    assumes=r"\mu(u) = \delta; \hat r = r* on covered responses, and \hat r(u) the largest reward: the worst guess in the range w",
)
@over(hole_bandit.sweep(K=(2, 8), delta=0.1, beta=(0.5, 1.0, 2.0), hole=-3.0, spread=0.5, draws=by_profile(quick=2, full=20)))
def rlhf_vs_dpo(bandit: KLBandit, *, swapped: bool = False, power: float = 1.0) -> Comparison:
    """The same data, the same ignorance of one response: two stages lose O(delta), a perfect preference loss can lose ln(1/delta).

    The first bound is `coverage/fast-rate-ratios`: the error is that of u alone, of variance at most delta w^2, and tilts by a
    range w have ratios of at most exp(w/beta). The second is `coverage/necessity-quantified`.
    """
    deltas = 10.0 ** -np.arange(2, 17)
    learnt = bandit.reward.copy()
    learnt[-1] = learnt.max()
    w = float(np.ptp(bandit.reward))
    small = [_with_hole_mass(bandit, delta) for delta in deltas]
    two_stages = np.array([kl_gap(b, log_tilt(b.log_reference, learnt, b.beta)) for b in small])
    member = np.array([kl_gap(b, _spoiled(_covered(b.log_optimum), np.array(0.5))) for b in small])
    if swapped:
        two_stages, member = member, two_stages
    bound = np.exp(w / bandit.beta) * deltas**power * w**2 / (2 * bandit.beta)
    return all_of(
        rlhf=at_most(two_stages, bound),
        rlhf_rate=slope(deltas[-6:], two_stages[-6:], between=(0.97, 1.03)),
        dpo=always(np.diff(member) > 0, "the member's gap grows as delta falls"),
        dpo_rate=equal((member[-1] - member[-2]) / (bandit.beta * np.log(10)), 0.5),
    )


rlhf_vs_dpo.control("the columns exchanged", because="one goes to 0 and the other to infinity", swapped=True)
rlhf_vs_dpo.control("delta^1.1", because="the gap of RLHF is of the order delta, not less", power=1.1)


# --- local coverage ----------------------------------------------------------------------------------------------------


MASSES = 10.0 ** -np.array([1, 2, 4, 8, 16, 32, 64, 128, 300])


@functools.lru_cache(maxsize=2)
def _ball(bandit: KLBandit, radius: float, seed: int, number: int = 60) -> tuple[Array, Array, Array]:
    """Policies on the boundary of the ball (or as far towards it as their direction goes), and the constants of its responses and MASSES."""
    rng = np.random.default_rng(seed)
    mu, K = bandit.reference, bandit.responses
    ends = np.concatenate((np.eye(K), rng.dirichlet(np.full(K, 0.2), number), rng.dirichlet(np.ones(K), number)))
    low, high = np.zeros(len(ends)), np.ones(len(ends))
    for _ in range(50):  # the divergence grows along each segment, by convexity
        s = (low + high) / 2
        inside = kl(mu + s[:, None] * (ends - mu), mu) <= radius
        low, high = np.where(inside, s, low), np.where(inside, high, s)
    constants = kl_ball_ratio(np.concatenate((mu, MASSES)), radius)
    return mu + low[:, None] * (ends - mu), constants[:K], constants[K:]


@claim(
    PAPER,
    "local-constant",
    r"C_{loc}(e) = \max_y \frac{q_e(\mu(y))}{\mu(y)} = \frac{q_e(p)}{p},\ p = \min \mu; \qquad \frac{e}{p \ln\frac1p} \le C_{loc}(e) \le"
    r" \frac{e}{p\, (\ell - 1 - \ln\frac{\ell}{e})},\ \ell = \ln\tfrac1p",
    kind="identity",
    source="derived",
    assumes=r"q_e(p) the larger root of \mathrm{kl}(q, p) = e, or 1 if \ln(1/p) \le e; \ell > e, and \ell - 1 - \ln(\ell/e) > 0 on the right",
    note="A caveat to the paper's separation of local from global coverage: as p -> 0 C_loc diverges as well, only a logarithm slower "
    "than C_glo = 1/p. It is finite in the limit at p = 0 alone. At p = 1e-8 and e = 1, C_loc = 6.8e6 and C_glo = 1e8.",
)
@over(
    random_kl_bandit.sweep(K=(2, 4, 12), concentration=(0.1, 1.0), draws=by_profile(quick=1, full=20)),
    radius=(0.01, 0.3, 3.0),
)
def local_constant(
    bandit: KLBandit, *, radius: float, seed: int, factor: float = 1.0, lower: float = 1.0, finite: bool = False
) -> Comparison:
    r"""Local coverage is nearly as dear as global coverage wherever the reference has small but positive mass.

    Given the mass q of y, the divergence is least if the others keep their proportions, and then it is that of coins. It is convex
    and 0 at (0, 0), so that :math:`\mathrm{kl}(\rho p, p)` grows with p: the rarest response has the largest ratio. From :math:`(1 - q)
    \ln\frac{1-q}{1-p} \in [p - q, 0]`: :math:`q \ln\frac{q}{p} \ge e`, hence :math:`q \ge e/\ell`, and :math:`q (\ln\frac{q}{p} - 1) \le e`,
    where :math:`\ln\frac{q}{p} \ge \ell - \ln\frac{\ell}{e}`.
    """
    mu, p, log = bandit.reference, MASSES, np.log(1 / MASSES)
    policies, constants, local = _ball(bandit, radius, seed)
    if finite:
        local = np.full(p.shape, np.exp(np.exp(radius)))
    low, high = log > radius, log - 1 - np.log(log / radius) > 0
    return all_of(
        # rounding of the policies' divergences, near the boundary of the ball
        ball=at_most(policies / mu, factor * constants, slack=1e-9 * constants),
        rarest=equal(constants.max(), constants[np.argmin(mu)]),
        lower=at_least(local[low] * p[low] * log[low] / radius, lower),
        upper=at_most(
            local[high] * p[high] * log[high] / radius, log[high] / (log[high] - 1 - np.log(log[high] / radius)), slack=1e-12
        ),
    )


local_constant.control("a constant e^e that does not depend on mu", because="it diverges as the mass goes to 0", finite=True)
local_constant.control("0.95 of it", because="the mixture with a point mass attains it", factor=0.95)
local_constant.control("1.1 e / (p ln(1/p))", because="the ratio to it tends to 1 as p -> 0", lower=1.1)


# --- HyPO --------------------------------------------------------------------------------------------------------------

COEFFICIENTS = (1.0, 1e-1, 1e-3, 1e-9, 1e-10)


@functools.lru_cache(maxsize=2)
def _hypo_path(bandit: KLBandit, coefficients: tuple[float, ...]) -> tuple[Array, Array]:
    """HyPO's policies and their losses for several coefficients, with infinitely many pairs."""
    W = population_weights(bandit)
    runs = [minimise_hypo(bandit.log_reference, W, bandit.beta, c) for c in coefficients]
    if not all(bool(run.converged) for run in runs):
        raise ArithmeticError("HyPO's minimiser was not found.")
    return np.array([run.log_policy for run in runs]), np.array([run.loss for run in runs])


@claim(
    PAPER,
    "hypo-selects",
    r"\frac{\pi_\lambda(u)}{1 - \pi_\lambda(u)} = \frac{\delta}{1 - \delta}\, e^{k_\lambda}, \quad k_\lambda = \mathrm{KL}(\bar\pi_\lambda \| q) \le k ="
    r" \mathrm{KL}(\bar\pi^\star \| q), \quad k_\lambda \to k \text{ as } \lambda \to 0; \qquad \frac{\pi_\lambda(u)}{\delta} \le e^k",
    kind="identity",
    source="derived",
    assumes=r"the hole family, pairs of covered responses only; \pi_\lambda minimises L + \lambda KL(\pi\|\mu); \bar\pi is conditioned on covered responses",
    note="The bound on the ratio of u needs no limit. At delta = 0 HyPO puts exactly 0 on u.",
)
@over(hole_bandit.sweep(K=(2, 6), delta=(0.1, 1e-3, 1e-30), beta=(0.2, 1.0), draws=by_profile(quick=1, full=5)))
@over(hole_bandit.sweep(K=3, delta=0.0, beta=(0.2, 1.0), draws=by_profile(quick=2, full=10)))
def hypo_selects(bandit: KLBandit, *, forward: bool = False, factor: float = 1.0) -> Comparison:
    r"""Of all the policies with a perfect loss, HyPO's on-policy term picks the one that is nearest to the reference.

    With mass a on u, KL(pi || mu) = kl(a, delta) + (1 - a) k, and the loss does not depend on a. Its derivative in a vanishes at
    the odds stated, where it is :math:`\varphi(k) = -\ln(\delta + (1 - \delta) e^{-k})`, increasing in k. What is left,
    :math:`L + \lambda \varphi(k)`, is smallest at :math:`\bar\pi_\lambda`; compared with :math:`\bar\pi^\star`, of the smallest L, this
    gives :math:`\varphi(k_\lambda) \le \varphi(k)`, and :math:`L(\bar\pi_\lambda) - \min L \le \lambda \varphi(k)`.
    """
    policies, losses = _hypo_path(bandit, COEFFICIENTS)
    coefficients, W, q = np.array(COEFFICIENTS), population_weights(bandit), bandit.log_pairs[:-1]
    best = _covered(bandit.log_optimum)
    k = factor * float(kl(q, best, log=True) if forward else kl(best, q, log=True))
    own = kl(_covered(policies), q, log=True)
    optimum = expected_pair_loss(bandit.reward[:-1], W[:-1, :-1], logistic())
    cost = -np.logaddexp(bandit.log_reference[-1], np.log1p(-np.exp(bandit.log_reference[-1])) - k)
    parts = {
        "loss": at_most(losses - optimum, coefficients * cost, slack=1e-14),
        "nearer": at_most(own, k, slack=1e-9),
    }
    if np.isneginf(bandit.log_reference[-1]):
        return all_of(hole=always(np.isneginf(policies[:, -1]), "no mass on the hole"), **parts)
    odds = policies[:, -1] - np.log1p(-np.exp(policies[:, -1]))
    prior = bandit.log_reference[-1] - np.log1p(-np.exp(bandit.log_reference[-1]))
    # the error of the limit is linear in lambda, and of the second order in what is extrapolated from the last two
    limit = (10 * (odds - prior)[-1] - (odds - prior)[-2]) / 9
    return all_of(
        odds=equal(odds - prior, own, tolerance=1e-9, scale=1 + k),
        ratio=at_most(policies[:, -1] - bandit.log_reference[-1], k, slack=1e-9),
        limit=equal(limit, k, tolerance=1e-8, scale=1 + k),
        **parts,
    )


hypo_selects.control("0.99 k", because="it is attained as lambda -> 0", factor=0.99)
hypo_selects.control(
    "the other divergence in k", because="the divergence is that of the policy from the reference", forward=True
)


@claim(
    PAPER,
    "hypo-gap",
    r"\mathrm{KL}(\pi\|\mu), \mathrm{KL}(\pi^\star\|\mu) \le e \implies J(\pi^\star) - J(\pi) \le \sqrt{2\, C_{loc}(e)\, \mathrm{Var}\,\Delta}",
    kind="inequality",
    source="derived",
    assumes="pi any policy with the support of the reference; one prompt",
    note="The paper's guarantee of HyPO, O(C_loc sqrt(error)), with the root of its coverage and the best constant.",
)
@over(random_kl_bandit.sweep(K=(2, 4, 12), concentration=(0.1, 1.0), beta=(0.1, 0.5, 2.0), draws=DRAWS))
@over(REVERSED, error=((-1.01, 1.01), (-1.05, 1.05)))
@over(TWO_ARMS, error=Range(-2.0, 2.0, size=2), budget=by_profile(quick=20, full=500))
def hypo_gap(
    bandit: KLBandit, *, seed: int, error: tuple[float, ...] | None = None, factor: float = 1.0, share: float = 1.0
) -> Comparison:
    """In a ball about the reference, coverage of the ball is enough: this is what the on-policy term buys.

    `coverage/sufficiency-sharp`, with C(pi) and C(pi*) at most C_loc(e), which is the rarest response's (`coverage/local-constant`).
    """
    errors = _errors(bandit, seed) if error is None else np.array([error])
    policy = _tilted(bandit, errors)
    radius = np.maximum(kl(policy, bandit.log_reference, log=True), kl(bandit.log_optimum, bandit.log_reference, log=True))
    local = kl_ball_ratio(bandit.reference.min(), share * radius)
    gap = kl_gap(bandit, policy)
    return at_most(gap, factor * np.sqrt(2 * local * _variance(bandit, errors)), slack=_rounding(bandit, errors, gap))


hypo_gap.control("0.97 of the bound", because="two responses attain it", factor=0.97)
hypo_gap.control("a hundredth of the radius", because="the ball must hold both policies", share=0.01)


@claim(
    PAPER,
    "hypo-bias",
    r"J(\pi^\star) - J(\pi_\lambda) = \Theta(\lambda^2) > 0 \text{ for } \lambda > 0, \text{ with infinitely many pairs of all responses}",
    kind="deterministic rate",
    source="derived",
    assumes=r"\pi_\lambda minimises the population loss of DPO plus \lambda KL(\pi\|\mu); pairs from \mu, of full support; r* not constant",
    note="A fixed coefficient biases HyPO where DPO and RLHF are consistent: it has to fall as pairs accumulate.",
)
@over(random_kl_bandit.sweep(K=(2, 8), concentration=5.0, beta=(0.5, 2.0), draws=by_profile(quick=2, full=10)))
def hypo_bias(bandit: KLBandit, *, between: tuple[float, float] = (1.97, 2.03)) -> Comparison:
    """Where coverage is good, the on-policy term does harm: HyPO with a fixed coefficient is not consistent.

    At pi* the loss is stationary and strictly convex in the differences of rewards, and the divergence is not stationary there unless
    pi* = mu. So the minimiser moves in proportion to lambda, and the gap, a divergence from pi*, as lambda^2.
    """
    coefficients = np.geomspace(1e-7, 1e-5, 9)
    policies, _ = _hypo_path(bandit, tuple(coefficients.tolist()))
    return slope(coefficients, kl_gap(bandit, policies), between=between)


hypo_bias.control("linear in lambda", because="the gap is of the second order at its minimum", between=(0.97, 1.03))


@claim(
    PAPER,
    "hypo-jumps",
    r"\lambda \mapsto \pi_\lambda \text{ jumps: on } \mu = (\tfrac12, \tfrac12),\ r^\star = (2, 0),\ \beta = 0.1, \ln\tfrac{\pi_\lambda(1)}{\pi_\lambda(2)}"
    r" \ge 19.99 \text{ for } \lambda \le 0.4, \le 1 \text{ for } \lambda \ge 0.6",
    kind="mechanism",
    source="derived",
    assumes="the population loss; KL(pi || mu) is not convex in the rewards",
    note="Found here: HyPO's objective is not convex and has two local minima, so that a descent from the reference can stop far from the minimiser.",
)
@over()
def hypo_jumps(*, divergence: bool = True) -> Comparison:
    """HyPO's minimiser can jump from the optimum to the reference as its coefficient grows.

    The divergence of a policy that is nearly deterministic does not change any more, and neither does the loss at its own minimum: a
    local minimum stays there, up to very large coefficients. A second one near the reference is the lower of the two from a coefficient
    of about 0.5. Found by evaluating the objective on a grid of log-odds, and by the solver. With a quadratic penalty in place of the
    divergence, which is convex in the rewards, there is no jump (the control).
    """
    beta, odds = 0.1, np.linspace(-5.0, 40.0, 45001)
    wins = expit(2.0)
    loss = wins * np.logaddexp(0.0, -beta * odds) + (1 - wins) * np.logaddexp(0.0, beta * odds)
    mass = np.stack((expit(odds), expit(-odds)), axis=-1)
    penalty = kl(mass, np.array([0.5, 0.5])) if divergence else odds**2 / 1000
    coefficients = np.array([0.1, 0.2, 0.4, 0.6, 0.8])
    objective = loss + coefficients[:, None] * penalty
    inner = objective[:, 1:-1]
    minima = ((inner < objective[:, :-2]) & (inner < objective[:, 2:])).sum(axis=1)
    best = odds[np.argmin(objective, axis=1)]
    W = labelled([[0.0, 1.0], [0.0, 0.0]], [[0.5, wins], [1 - wins, 0.5]])
    reference = np.log([0.5, 0.5])
    solved = [minimise_hypo(reference, W, beta, c).log_policy for c in coefficients] if divergence else []
    found = [float(p[0] - p[1]) for p in solved] or best
    return all_of(
        two_minima=always(minima[1:] == 2, "two local minima"),
        high=at_least(best[coefficients <= 0.4], 19.99),
        low=at_most(best[coefficients >= 0.6], 1.0),
        solver=equal(found, best, tolerance=2e-3, scale=1.0),  # the grid is 1e-3 wide
    )


hypo_jumps.control(
    "a quadratic penalty", because="the objective is convex then, and its minimum moves continuously", divergence=False
)


# --- descent -----------------------------------------------------------------------------------------------------------


@claim(
    PAPER,
    "gd-implicit-bias",
    r"\theta_0 = 0 \implies \pi_{\theta_t} \to \pi_{\hat r}, \quad \hat r = r^\star \text{ on covered responses},\ \hat r(u) = \frac1m \sum_{y \text{ covered}} r^\star(y)",
    kind="identity",
    source="derived",
    assumes="tabular softmax, population loss of DPO, gradient descent with a step of at most 4/beta^2 from the reference; mu(u) = delta > 0",
    note="So tabular DPO that starts at the reference never meets the failure of `coverage/necessity-perfect-loss`: that claim is about "
    "the set of minimisers. It takes another start, or shared features (`coverage/extrapolation`).",
)
@over(
    hole_bandit.sweep(K=(2, 3, 5), delta=(0.1, 1e-6, 1e-30), beta=(0.2, 1.0), concentration=20.0, hole=-50.0, draws=DRAWS),
    share=(1.0, 0.3),
)
def gd_implicit_bias(
    bandit: KLBandit, *, share: float, raised: float = 0.0, weighted: bool = False, steps: int = 40_000
) -> Comparison:
    r"""Gradient descent gives a response that it never sees the plain mean of the rewards that it does see.

    The gradient is 0 on u, and sums to 0 over the covered logits, whose sum therefore stays at its start. The loss is
    convex in them, with a curvature of at most beta^2/4, and strictly convex in their differences: the limit has the differences
    (r*(y) - r*(y'))/beta and the sum 0, while the logit of u is still 0. The mean is not weighted by mu, for logits know nothing of it.
    """
    W = population_weights(bandit)
    start = np.append(np.zeros(bandit.responses - 1), raised)
    run = descend(
        bandit.log_reference, W, bandit.beta, step=share * 4 / bandit.beta**2, steps=steps, start=start, tolerance=1e-15
    )
    q = np.exp(bandit.log_pairs[:-1])
    mean = q @ bandit.reward[:-1] if weighted else bandit.reward[:-1].mean()
    limit = log_tilt(bandit.log_reference, np.append(bandit.reward[:-1], mean), bandit.beta)
    return equal(run.log_policy, limit, tolerance=1e-8, scale=1.0)


gd_implicit_bias.control("a start that raises u by 3", because="nothing ever lowers it", raised=3.0)
gd_implicit_bias.control("the mean weighted by mu", because="logits know nothing of the reference", weighted=True)


@family(K=3)
def featured(K: int = 5, d: int = 3, seed: int = 0) -> Array:
    """Normal features, shape (K, d)."""
    return np.random.default_rng(seed).standard_normal((K, d))


@family
def given_features(values: tuple[float, ...] = (1.0, 0.0, 10.0), d: int = 1) -> Array:
    """These numbers as features, row by row."""
    return np.array(values).reshape(-1, d)


@family(K=2)
def one_hot(K: int = 3) -> Array:
    """Tabular features."""
    return np.eye(K)


def _after_a_step(features: Array, log_reference: Array, step: float, beta: float) -> Array:
    """Log-probabilities after one step of DPO on the pair of responses 0 (preferred) and 1."""
    W = np.zeros((len(features), len(features)))
    W[0, 1] = 1.0
    return descend(log_reference, W, beta, step=step, steps=1, features=features).log_policy


@claim(
    PAPER,
    "extrapolation",
    r"\frac{d}{d\eta} \ln \pi(y) = \tfrac{\beta}{2} \langle \phi_y - \mathbb{E}_\pi \phi,\ \phi_w - \phi_l \rangle; \qquad \langle \phi_w - \mathbb{E}_\pi \phi,"
    r" \phi_w - \phi_l \rangle < 0 \implies \text{a step of DPO of any size lowers } \pi(w) \text{ and } \pi(l), \text{ and raises an unlabelled response}",
    kind="mechanism",
    source="derived",
    assumes="log-linear policies, one preferred pair (w, l), one step from the reference",
)
@over(featured.sweep(K=(3, 6, 20), d=(1, 2, 5), draws=by_profile(quick=20, full=100)))
@over(given_features.sweep(values=[(1.0, 0.0, 10.0)], d=1))
def extrapolation(features: Array, *, seed: int, always_falls: bool = False) -> Comparison:
    """Where responses share features, learning that one is better than another can move the mass of both to a third.

    On its way theta = eta v, v in the direction phi_w - phi_l, every log-probability is concave (linear less a log-partition function): one that falls at
    first falls for ever. The loser's derivative is the winner's less a square. What the two lose, others gain; for
    scalar features (1, 0, 10) and an even reference it is the third response, which ends up with all of the mass.
    """
    rng = np.random.default_rng(seed)
    K = len(features)
    mu = np.full(K, 1 / K) if K == 3 else rng.dirichlet(np.ones(K))
    beta, h = 0.5, 1e-5
    difference = features[0] - features[1]
    predicted = beta / 2 * (features - mu @ features) @ difference  # at theta = 0 the slope of the loss is -1/2
    reference = np.log(mu)
    # theta = eta beta/2 (phi_w - phi_l); the central difference is taken in theta
    ahead, behind = (
        np.log(mu) + s * features @ difference - logsumexp(np.log(mu) + s * features @ difference) for s in (h, -h)
    )
    numeric = beta / 2 * (ahead - behind) / (2 * h)
    steps = (1e-2, 1.0, 100.0)
    after = np.array([_after_a_step(features, reference, step, beta) for step in steps]) - reference
    small = _after_a_step(features, reference, 1e-6, beta) - reference
    parts = {
        # third derivatives are of the size of the cubed range of <phi, difference>
        "derivative": equal(predicted, numeric, tolerance=h**2, scale=1 + float(np.ptp(features @ difference)) ** 3),
        "step": equal(small / 1e-6, predicted, tolerance=1e-6, scale=1 + float(np.ptp(features @ difference)) ** 2),
    }
    if predicted[0] < 0 or always_falls:
        parts["winner"] = always(after[:, 0] < 0, "the preferred response loses mass")
        parts["loser"] = always(after[:, 1] < 0, "the other one loses mass")
        parts["others"] = always((after[:, 2:] > 0).any(axis=1), "an unlabelled response gains mass")
    return all_of(**parts)


extrapolation.control(
    "one-hot features",
    because="without shared features the preferred response rises",
    on=one_hot.sweep(K=(3, 5)),
    always_falls=True,
)
extrapolation.control("whatever the features", because="the sign of one inner product decides", always_falls=True)


@claim(
    PAPER,
    "extrapolation-limit",
    r"\phi = (1, 0, 10),\ \text{arm 1 preferred to arm 2 only}: \quad \pi_{\theta_t} \to \mathbf{1}_{\text{arm 3}}, \quad \mathrm{KL}(\pi_{\theta_t} \| \mu) \to \ln 3",
    kind="mechanism",
    source="derived",
    assumes="log-linear policies, one preferred pair, gradient descent of the loss of DPO from an even reference",
)
@over(step=(0.1, 1.0, 10.0))
def extrapolation_limit(*, step: float, features: tuple[float, ...] = (1.0, 0.0, 10.0)) -> Comparison:
    """Descent of DPO on one pair puts all mass on a response that no pair contains.

    theta grows for ever, as the loss ln(1 + exp(-beta theta)) has no minimum, and like (ln t)/beta; the response of the largest feature
    takes all, and the loss goes to 0: a perfect fit, and as far from the reference as a policy that knows one response only.
    """
    W = np.zeros((3, 3))
    W[0, 1] = 1.0
    reference = np.log(np.full(3, 1 / 3))
    policies, theta = [reference], np.zeros(1)
    for steps in (1, 9, 90, 900, 4000):
        run = descend(reference, W, 1.0, step=step, steps=steps, features=np.array(features)[:, None], start=theta)
        policies.append(run.log_policy)
        theta = run.theta
    mass = np.exp(policies)
    return all_of(
        labelled_fall=always(np.diff(mass[:, :2].sum(axis=1)) < 0, "the labelled responses lose mass"),
        third=at_least(mass[-1, 2], 0.999),
        divergence=at_most(np.log(3) - kl(policies[-1], reference, log=True), 0.01),
    )


extrapolation_limit.control(
    "the third feature lies between the others", because="then the preferred response wins", features=(1.0, 0.0, 0.5)
)


# --- samples -----------------------------------------------------------------------------------------------------------

BETA, COEFFICIENT, WIDTH, RIDGE = 0.2, 0.02, 1.0, 1e-6
RESPONSES, COVERED, DIMENSIONS = 40, 5, 4


@functools.lru_cache(maxsize=4)
def _learners(n: int, seed: int, runs: int, delta: float, scale: float) -> dict[str, dict[str, Array]]:
    """Gap and divergence of DPO, RLHF and HyPO, one instance and one data set for each of ``runs``, shape (runs,) each."""
    rng = np.random.default_rng(seed)
    shape = (runs, RESPONSES)
    features = rng.standard_normal((*shape, DIMENSIONS))
    features[:, :COVERED, 2:] *= scale
    theta = rng.standard_normal((runs, DIMENSIONS, 1))
    reward = (features @ theta)[..., 0]
    reward = (reward - reward.min(axis=1, keepdims=True)) / np.ptp(reward, axis=1)[:, None]
    mu = np.full(RESPONSES, delta / (RESPONSES - COVERED))
    mu[:COVERED] = (1 - delta) / COVERED
    reference = np.log(mu)
    pairs = np.searchsorted(np.cumsum(mu)[:-1], rng.random((runs, n, 2)), side="right")
    row = np.arange(runs)[:, None]
    wins = rng.random((runs, n)) < expit(reward[row, pairs[..., 0]] - reward[row, pairs[..., 1]])
    winner, loser = (np.where(w, pairs[..., 0], pairs[..., 1]) for w in (wins, ~wins))
    fit = fit_log_linear(features[row, winner] - features[row, loser], ridge=RIDGE)
    learnt = (features @ fit.theta[..., None])[..., 0]
    counts = np.zeros((runs, RESPONSES, RESPONSES))
    np.add.at(counts, (row, winner, loser), 1)
    hybrid = minimise_hypo(reference, counts, BETA, COEFFICIENT, features=features)
    if not (fit.converged.all() and hybrid.converged.all()):
        raise ArithmeticError("a fit was not found.")
    policies = {
        "DPO": log_tilt(reference, learnt, BETA),
        "RLHF": log_tilt(reference, clipped_reward(reference, learnt, WIDTH), BETA),
        "HyPO": hybrid.log_policy,
    }
    best = log_tilt(reference, reward, BETA)
    return {
        name: {"gap": BETA * kl(p, best, log=True), "divergence": kl(p, reference, log=True)} for name, p in policies.items()
    }


@claim(
    PAPER,
    "sampled-ordering",
    r"\Pr\bigl(\text{gap of HyPO} \ge \text{gap of DPO}\bigr) \le 0.2,\ \Pr\bigl(\text{gap of RLHF} \ge \text{gap of DPO}\bigr) \le 0.2 \text{ for } n \le 1000; \quad"
    r" 10\, \mathbb{E}\, \mathrm{KL}(\text{HyPO} \| \mu) \le \mathbb{E}\, \mathrm{KL}(\text{DPO} \| \mu) \text{ at } n = 100",
    kind="mechanism",
    source="derived",
    assumes="40 responses with 4 features, 5 of which have 0.999 of the reference and hardly vary in 2 features; rewards linear, in [0, 1]; "
    "beta = 0.2; HyPO's coefficient 0.02; RLHF clips the fitted reward to a range of 1",
    note="Unclipped linear RLHF is DPO here: it is the bounded reward that helps, not the two stages.",
    tests=3,
)
@over(n=by_profile(quick=(100, 1000), full=(100, 300, 1000)))
def sampled_ordering(
    *, n: int, seed: int, runs: int = by_profile(quick=160, full=400), delta: float = 1e-3, scale: float = 0.15
) -> Comparison:
    """With poor coverage and few pairs, bounding the reward or adding the on-policy term beats DPO, by an order.

    The covered responses say little of two features, in which the fit is anyone's guess; DPO follows it to responses that the data
    do not show. Every run has an instance of its own.
    """
    found = _learners(n, seed, runs, delta, scale)
    gaps = {name: values["gap"] for name, values in found.items()}
    parts = {
        "hypo": violation_rate(gaps["HyPO"] >= gaps["DPO"], 0.2),
        "rlhf": violation_rate(gaps["RLHF"] >= gaps["DPO"], 0.2),
    }
    if n == 100:
        parts["divergence"] = less_on_average(10 * found["HyPO"]["divergence"], found["DPO"]["divergence"])
    return all_of(**parts)


sampled_ordering.control(
    "good coverage", because="a fixed coefficient then costs more than the fit's error", on=domain(n=1000), delta=0.5, scale=1.5
)


@claim(
    PAPER,
    "sampled-bias",
    r"\mathbb{E}\,[\text{gap of RLHF}] < \mathbb{E}\,[\text{gap of HyPO}] \text{ at } n = 10^4 \text{ with the coefficient of } n = 100",
    kind="mechanism",
    source="derived",
    assumes="as `coverage/sampled-ordering`",
    note="The sampled face of `coverage/hypo-bias`.",
)
@over(n=10_000)
def sampled_bias(
    *, n: int, seed: int, runs: int = by_profile(quick=60, full=200), first: str = "RLHF", second: str = "HyPO"
) -> Comparison:
    """With many pairs a HyPO whose coefficient has not been lowered loses to RLHF."""
    found = _learners(n, seed, runs, 1e-3, 0.15)
    return less_on_average(found[first]["gap"], found[second]["gap"])


sampled_bias.control("the order reversed", because="the bias is there", first="HyPO", second="RLHF")
