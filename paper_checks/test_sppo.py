r"""SPPO (Wu et al. 2024): self-play by regression on win rates. Its mixture converges, its last iterate need not.

Notation: A the centred preference matrix, P = A + 1/2; the ideal update is Hedge, pi_{t+1} = pi_t exp(eta P(. > pi_t)) / Z_t
with P(. > pi) = A pi + 1/2, so that ln Z_t - eta/2 = ln E_{pi_t} exp(eta A pi_t). The implemented one regresses
ln pi(y)/pi_t(y) on eta (P(y > pi_t) - 1/2), which puts the constant eta/2 in the place of ln Z_t. V_0(p) = max_i (A p)_i is the
exploitability and 2 V_0 the duality gap of the pair (p, p); var_p(g) is the variance of g(y) for y drawn from p.

The theorem's order is the paper's, the constants are proved in the docstrings.
"""

import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from games.dynamics import average_policy
from games.generators import (
    cyclic,
    rock_paper_scissors,
    tilted,
    tournament,
    transitive_tournament,
)
from games.mirror_descent import hedge, magnetic_mirror_descent
from games.pairwise_losses import dpo_loss, expected_pair_loss, ipo_loss, sppo_loss
from games.preference import PreferenceGame
from games.prox import normalise
from paper_checks.preference_games import every_family, interior_equilibrium
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
)
from theory.divergences import kl

Array = NDArray[np.float64]

PAPER = Paper(
    key="sppo",
    title="Self-Play Preference Optimization for Language Model Alignment",
    authors="Wu, Sun, Yuan, Ji, Yang, Gu",
    year=2024,
    theme="games",
    arxiv="2405.00675",
)


# three actions of which a search chooses the preferences and the start, with logits in [-10, 10]
SEARCHED = tilted.sweep(upper=Range(-0.5, 0.5, size=3), tilt=Range(-1.0, 1.0, size=3), beta=0.1)
SEARCH_BUDGET = by_profile(quick=60, full=600)
FAR_PAIRS = tilted.sweep(upper=[(0.5,)], tilt=[(0.0, 0.0), (-0.5, 0.5), (-1.0, 1.0), (0.5, -0.5)], beta=0.1)


@claim(
    PAPER,
    "rate",
    r"\text{duality gap of } \tfrac{1}{T} \sum_{t<T} \pi_t \le 2 \Bigl[\frac{\ln (1/\min \pi_0)}{\eta T} + \frac{\eta}{8}\Bigr],"
    r" \quad = \sqrt{\frac{2 \ln K}{T}} \text{ from uniform, tuned}",
    kind="inequality",
    source="derived",
    assumes="the ideal update, any start with full support, any step eta > 0",
    note="The order is the paper's, the constants those of Hedge's classical bound; with eta/24 it holds too (`spo/self-play-constant`).",
)
@over(
    every_family((2, 3, 10, 30), scale=(0.0, 1.0, 4.0), draws=by_profile(quick=1, full=5)),
    eta=(0.03, 0.3, 2.0, None),
    T=(10, 300),
)
@over(tournament.sweep(K=20, scale=0.0, draws=by_profile(quick=2, full=10)), eta=None, T=(100, 1000, 4000))
@over(FAR_PAIRS, eta=(0.03, 0.3), T=(10, 100, 1000))
@over(SEARCHED, eta=Range(0.01, 4.0, log=True), T=(3, 30, 300), budget=SEARCH_BUDGET)
def rate(
    game: PreferenceGame,
    *,
    eta: float | None,
    T: int,
    average: bool = True,
    second: float = 1.0,
    power: float = 0.5,
) -> Comparison:
    r"""The mixture of the iterates is a minimax winner up to a gap of order 1/sqrt(T).

    From ln pi_{t+1}(u)/pi_t(u) = eta (A pi_t)_u - ln E_{pi_t} exp(eta A pi_t) and Hoeffding's lemma (the entries of A pi_t lie in
    an interval of length 1 and have the mean 0 under pi_t), sum_t (A pi_t)_u <= ln(1/pi_0(u))/eta + eta T/8. The gap is
    max_u <u, A pbar> - min_w <pbar, A w>, two equal halves. Without a step the tuned one, sqrt(8 ln(1/min pi_0)/T), is taken:
    then the bound is sqrt(2 ln(1/min pi_0)/T).
    """
    start = -float(game.log_reference.min())
    step = float(np.sqrt(8 * start / T)) if eta is None else eta
    policies = hedge(game, T, step=step).log_policies
    mixture = np.exp(average_policy(policies[:-1]) if average else policies[-1])
    gap = (game.A @ mixture).max() - (mixture @ game.A).min()
    bound = 2 * (start / (step * T) + second * step / 8)
    return at_most(gap, bound * T ** (0.5 - power))


rate.control("the last iterate", because="it circles round the equilibrium, or flees from it", average=False)
rate.control("without eta/8", because="rounds are discrete: a pair overshoots by 1/4", second=0.0)
rate.control("the bound times T^(-0.1)", because="a far start costs ln(1/pi_0)/(eta T) in full", power=0.6)


def _log_partition(game: PreferenceGame, eta: float, log_policies: Array) -> Array:
    """ln Z_t, as the update defines it."""
    return np.asarray(np.logaddexp.reduce(log_policies + eta * (0.5 + np.exp(log_policies) @ game.A.T), axis=-1))


def _policies(game: PreferenceGame, eta: float, seed: int) -> Array:
    """Policies of several kinds: random ones, concentrated ones, and those of a run."""
    rng = np.random.default_rng(seed)
    drawn = normalise(rng.standard_normal((40, game.actions)) * rng.uniform(0.1, 10, (40, 1)))
    return np.concatenate([drawn, hedge(game, 60, step=eta).log_policies, np.zeros((1, game.actions)) - np.log(game.actions)])


@claim(
    PAPER,
    "logz",
    r"0 \le \ln Z_t - \frac{\eta}{2} \le \frac{\eta^2}{8}",
    kind="inequality",
    source="derived",
    assumes=r"any policy \pi_t, any \eta > 0",
    note="`sppo/logz-sharp` has the best constant, eta^2/24.",
)
@over(
    every_family((2, 3, 10, 30), scale=(0.0, 4.0), draws=by_profile(quick=1, full=5))
    | transitive_tournament.sweep(K=(2, 10, 100)),
    eta=(0.01, 0.1, 1.0, 5.0),
)
@over(SEARCHED, eta=(0.1, 1.0), budget=SEARCH_BUDGET)
def logz(game: PreferenceGame, *, eta: float, seed: int, upper: float = 1 / 8, lower: float = 0.0) -> Comparison:
    """The constant eta/2 that the implemented loss puts in the place of ln Z_t is right to the second order in eta.

    ln Z_t - eta/2 = ln E_{pi_t} exp(eta A pi_t), where A pi_t has the mean 0 under pi_t: Jensen's inequality below, Hoeffding's
    lemma for an interval of length 1 above.
    """
    error = _log_partition(game, eta, _policies(game, eta, seed)) - eta / 2
    # the logarithm of a sum of K terms, each rounded to a few units of 2^-53 of its exponent
    slack = 2.0**-53 * (game.actions + 8) * (1 + eta) * 4
    return all_of(
        above=at_most(error, upper * eta**2, slack=slack),
        below=at_least(error, lower * eta**2, slack=slack),
    )


logz.control("error at most eta^2/25", because="on a long ranking it is about eta^2/24", upper=1 / 25)
logz.control("error at least eta^2/1000", because="a point mass has Z_t = exp(eta/2)", lower=1e-3)


@claim(
    PAPER,
    "logz-sharp",
    r"\ln Z_t - \frac{\eta}{2} \le \ln \frac{2 \sinh(\eta/2)}{\eta} \le \frac{\eta^2}{24}",
    kind="inequality",
    source="derived",
    assumes=r"any policy \pi_t, any \eta > 0",
    note="A finding: a third of `sppo/logz`, and attained in the limit by the uniform policy on a long ranking.",
)
@over(
    every_family((2, 3, 10, 30), scale=(0.0, 4.0), draws=by_profile(quick=1, full=5))
    | transitive_tournament.sweep(K=(2, 10, 100, 1000)),
    eta=(0.1, 1.0, 5.0),
)
@over(SEARCHED, eta=(0.1, 1.0), budget=SEARCH_BUDGET)
def logz_sharp(game: PreferenceGame, *, eta: float, seed: int, share: float = 1.0) -> Comparison:
    r"""No policy of any preference game puts the normaliser further from eta/2 than the uniform policy on a long ranking.

    Draw i from pi. For a set S of actions of mass m, sum_{i in S} pi_i (A pi)_i = sum_{i in S, j not in S} pi_i A_ij pi_j
    <= m (1 - m)/2, because A is skew within S; the uniform distribution U on [-1/2, 1/2] has this integral over its upper part
    of mass m. Both have the mean 0, so (A pi)_i is below U in the convex order (Hardy, Littlewood and Polya), and
    E exp(eta A pi) <= E exp(eta U) = 2 sinh(eta/2)/eta. Last, sinh x <= x exp(x^2/6).
    """
    error = _log_partition(game, eta, _policies(game, eta, seed)) - eta / 2
    bound = np.log(2 * np.sinh(eta / 2) / eta)
    slack = 2.0**-53 * (game.actions + 8) * (1 + eta) * 4
    return all_of(
        sharp=at_most(error, share * bound, slack=slack),
        quadratic=at_most(bound, eta**2 / 24),
    )


logz_sharp.control("one per cent less", because="a ranking of a thousand actions attains it", share=0.99)


@family(K=3)
def interior(K: int = 3, scale: float = 1.0, seed: int = 0) -> PreferenceGame:
    """A random game of an odd number of actions with an equilibrium of full support, and a reference with normal logits.

    B - B^T seen through the projection 1 - 1 p^T along the equilibrium p, which makes A p = 0.
    """
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(K, 2.0))
    B = rng.standard_normal((K, K))
    through = np.eye(K) - np.outer(p, np.ones(K))
    A = through.T @ (B - B.T) @ through
    return PreferenceGame(A / (2 * np.abs(A).max()), normalise(scale * rng.standard_normal(K)))


@claim(
    PAPER,
    "last-iterate-repelled",
    r"\mathrm{KL}(\pi^\star \| \pi_{t+1}) - \mathrm{KL}(\pi^\star \| \pi_t) = \ln \sum_y \pi_t(y) e^{\eta (A \pi_t)_y}"
    r" \ge \frac{\eta^2}{2} \Bigl(1 - \frac{\eta}{5}\Bigr) \mathrm{var}_{\pi_t}(A \pi_t)",
    kind="identity",
    source="derived",
    assumes=r"an equilibrium \pi^\star of full support; the lower bound for \eta \le 1",
)
@over(
    rock_paper_scissors.sweep(weights=[(0.5, 0.5, 0.5), (0.1, 0.3, 0.5)], logits=[(0.5, 0.0, -0.5), (0.01, 0.0, 0.0)])
    | cyclic.sweep(K=(3, 5, 9), scale=(0.01, 1.0))
    | interior.sweep(K=(3, 5, 9), scale=(0.1, 1.0), draws=by_profile(quick=2, full=10)),
    eta=(0.03, 0.1, 1.0),
)
def last_iterate_repelled(game: PreferenceGame, *, eta: float, temperature: float = 0.0) -> Comparison:
    r"""The last iterate moves away from an interior equilibrium in every step: only the mixture is guaranteed.

    A pi* = 0, so <pi*, A pi_t> = -<pi_t, A pi*> = 0 and KL changes by the logarithm of the normaliser alone, which is at least 0
    by Jensen's inequality. With x = eta A pi_t, of the mean 0 and |x| <= eta/2, e^x - 1 - x >= (x^2/2)(1 + x/3), so
    y = E[e^x] - 1 >= (1 - eta/6) eta^2 var/2; by `sppo/logz-sharp` y <= 1.02 eta^2/24, and ln(1 + y) >= y (1 - y/2).

    With a ``temperature`` the update is magnetic mirror descent, whose magnet here is the equilibrium itself.
    """
    star = interior_equilibrium(game)
    if temperature > 0:
        attracted = PreferenceGame(game.A, star)
        policies = magnetic_mirror_descent(attracted, temperature, 2000, step=eta, start=game.log_reference).log_policies
    else:
        policies = hedge(game, 2000, step=eta).log_policies
    D = kl(star, policies, log=True)
    increase = np.diff(D)
    gains = np.exp(policies[:-1]) @ game.A.T
    normaliser = _log_partition(game, eta, policies[:-1]) - eta / 2
    variance = (np.exp(policies[:-1]) * gains**2).sum(axis=1)
    # a step rounds numbers of the size of the log-probabilities a few times, and D sums K of them
    slack = 2.0**-53 * (game.actions + 8) * 4 * (1 + np.abs(policies).max(axis=1))
    slack = slack[1:] + slack[:-1]
    return all_of(
        identity=equal(increase / slack, normaliser / slack, tolerance=1.0, scale=1.0),
        repelled=at_least(increase, eta**2 / 2 * (1 - eta / 5) * variance, slack=slack),
    )


last_iterate_repelled.control(
    "regularised towards the equilibrium", because="the magnet draws the iterates in", temperature=0.05
)


def _second_difference(loss: Callable[[Array, Array], Array], point: Array, direction: Array) -> float:
    """The second derivative of a pair loss at ``point`` along ``direction``, by a central difference of step 1/2,
    which is exact for quadratic functions and for constant ones.
    """
    ends = [loss(*(point + h * direction)) for h in (-0.5, 0.0, 0.5)]
    return float((ends[0] - 2 * ends[1] + ends[2]) / 0.25)


@claim(
    PAPER,
    "absolute-targets",
    r"L_{\mathrm{SPPO}}(r) - L_{\mathrm{SPPO}}(\eta A \pi_t) = 2 \sum_y \pi_t(y) (r_y - \eta (A \pi_t)_y)^2, \qquad"
    r" L_{\mathrm{DPO}}(r + c) = L_{\mathrm{DPO}}(r), \quad L_{\mathrm{IPO}}(r + c) = L_{\mathrm{IPO}}(r)",
    kind="identity",
    source="derived",
    assumes=r"r any log-ratios, not those of a normalised policy; pairs drawn from \pi_t; c any number",
)
@over(every_family((2, 3, 10), scale=(0.0, 2.0), draws=by_profile(quick=1, full=5)), eta=(0.1, 1.0, 10.0))
def absolute_targets(game: PreferenceGame, *, eta: float, seed: int, absolute: str = "SPPO", centre: float = 0.5) -> Comparison:
    r"""SPPO gives every response a target of its own; DPO and IPO only see the difference between winner and loser.

    On a pair the SPPO loss is (r_w - eta/2)^2 + (r_l + eta/2)^2: Hessian 2 I, least at eta/2 for a sure winner and -eta/2 for a
    sure loser. DPO's and IPO's are functions of r_w - r_l, so that (1, 1) is a null direction. In expectation over pairs from
    pi_t every y wins with probability (A pi_t)_y + 1/2, and y contributes
    2 pi_t(y) [P_y (r_y - eta/2)^2 + (1 - P_y)(r_y + eta/2)^2] = 2 pi_t(y) (r_y - eta (P_y - 1/2))^2 + const.
    """
    rng = np.random.default_rng(seed)
    losses = {
        "SPPO": functools.partial(sppo_loss, step=eta),
        "DPO": functools.partial(dpo_loss, beta=1 / eta),
        "IPO": functools.partial(ipo_loss, beta=1 / eta),
    }
    pi = game.log_reference
    p = np.exp(pi)
    target = eta * (game.A @ p + 0.5 - centre)
    moves = eta * rng.standard_normal((20, game.actions))
    loss = losses[absolute]
    excess = expected_pair_loss(game, target + moves, pi, loss) - expected_pair_loss(game, target, pi, loss)
    ratios, shifts = moves[:5], rng.uniform(-5, 5, (20, 1, 1))
    point = rng.standard_normal(2)
    both = np.ones(2) / np.sqrt(2)
    curvatures = [_second_difference(losses[name], point, both) for name in (absolute, "DPO", "IPO")]
    invariant = {
        name: equal(
            expected_pair_loss(game, ratios + shifts, pi, losses[name]),
            np.broadcast_to(expected_pair_loss(game, ratios, pi, losses[name]), (20, 5)),
            tolerance=1e-12,
        )
        for name in ("DPO", "IPO")
    }
    sure = np.array([eta / 2, -eta / 2])
    beside = rng.standard_normal((2, 20))
    return all_of(
        excess=equal(excess, 2 * (p * moves**2).sum(axis=1), tolerance=1e-12, scale=20 * eta**2),
        sure_pair=equal(
            losses[absolute](*(sure[:, None] + beside)) - losses[absolute](*sure),
            (beside**2).sum(axis=0),
            tolerance=1e-12,
            scale=10 + eta**2,
        ),
        curvature=equal(curvatures, [2.0, 0.0, 0.0], tolerance=1e-12, scale=1 + eta**2),
        **invariant,
    )


absolute_targets.control("IPO's loss in the place of SPPO's", because="it does not see a common shift", absolute="IPO")
absolute_targets.control("win rates that are not centred", because="the targets are eta (P - 1/2)", centre=0.0)
