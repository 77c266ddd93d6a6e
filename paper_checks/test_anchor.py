"""The classical bandits that every package must reproduce: stochastic, adversarial, Gittins indices and best-arm identification.

Each claim names the paper that it is cited to. Thresholds and constants are recalled; exact laws replace simulation wherever
two arms and a short horizon allow it.
"""

import functools
import math

import numpy as np
from numpy.typing import NDArray

from bandits.adversarial import LossSequence, alternating_losses, cycling_losses, iid_losses, switching_losses, uniform_losses
from bandits.best_arm import (
    characteristic_time,
    elimination_radius,
    elimination_time,
    successive_elimination,
    track_and_stop,
)
from bandits.gittins import gittins_index, index_table, posterior_means, two_armed_value
from bandits.index_policies import KLUCB, UCB1, BetaThompson, ExploreThenCommit
from bandits.play import simulate
from bandits.rules import Policy
from bandits.stochastic import BernoulliBandit, GaussianBandit, bernoulli_arms, two_armed
from bandits.thompson import thompson_two_armed_law
from bandits.ucb1 import ucb1_two_armed_law
from bandits.weight_policies import EXP3, EXP3IX, EXP3P, TsallisINF
from theory.bounds import adversarial_bandits as bounds
from theory.bounds.ucb1 import regret_bound
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
    equal,
    mean_at_most,
    over,
    slope,
    violation_rate,
)
from theory.random_streams import run_seeds

Floats = NDArray[np.float64]


def _paper(title: str, authors: str, year: int, venue: str, arxiv: str | None = None) -> Paper:
    return Paper("anchor", title, authors, year, "bandits", arxiv, venue)


AUER = _paper(
    "Finite-time Analysis of the Multiarmed Bandit Problem", "Auer, Cesa-Bianchi, Fischer", 2002, "Machine Learning 47"
)
LAI = _paper("Asymptotically Efficient Adaptive Allocation Rules", "Lai, Robbins", 1985, "Advances in Applied Mathematics 6")
GARIVIER = _paper(
    "The KL-UCB Algorithm for Bounded Stochastic Bandits and Beyond", "Garivier, Cappe", 2011, "COLT 2011", "1102.2490"
)
KAUFMANN = _paper(
    "Thompson Sampling: An Asymptotically Optimal Finite-Time Analysis", "Kaufmann, Korda, Munos", 2012, "ALT 2012", "1205.4217"
)
RUSSO = _paper(
    "An Information-Theoretic Analysis of Thompson Sampling",
    "Russo, Van Roy",
    2016,
    "Journal of Machine Learning Research 17",
    "1403.5341",
)
BUBECK = _paper(
    "Regret Analysis of Stochastic and Nonstochastic Multi-armed Bandit Problems",
    "Bubeck, Cesa-Bianchi",
    2012,
    "Foundations and Trends in Machine Learning 5",
    "1204.5721",
)
NEU = _paper(
    "Explore No More: Improved High-Probability Regret Bounds for Non-Stochastic Bandits",
    "Neu",
    2015,
    "NeurIPS 2015",
    "1506.03271",
)
ZIMMERT = _paper(
    "Tsallis-INF: An Optimal Algorithm for Stochastic and Adversarial Bandits",
    "Zimmert, Seldin",
    2021,
    "Journal of Machine Learning Research 22",
    "1807.07623",
)
GITTINS = _paper(
    "Bandit Processes and Dynamic Allocation Indices", "Gittins", 1979, "Journal of the Royal Statistical Society B 41"
)
EVENDAR = _paper(
    "Action Elimination and Stopping Conditions for the Multi-Armed Bandit and Reinforcement Learning Problems",
    "Even-Dar, Mannor, Mansour",
    2006,
    "Journal of Machine Learning Research 7",
)
TRACK = _paper("Optimal Best Arm Identification with Fixed Confidence", "Garivier, Kaufmann", 2016, "COLT 2016", "1602.04589")
FOUR = bernoulli_arms.sweep(means=((0.9, 0.8), (0.5, 0.45), (0.9, 0.6, 0.5, 0.4), (0.1, 0.05, 0.05, 0.02)))


def _bernoulli_kl(p: float, q: float) -> float:
    def part(a: float, b: float) -> float:
        return 0.0 if a == 0 else a * math.log(a / b) if b > 0 else math.inf

    return part(p, q) + part(1 - p, 1 - q)


def _lai_robbins_constant(bandit: BernoulliBandit) -> float:
    """sum_a gap_a / kl(mu_a, mu*)."""
    return sum(
        gap / _bernoulli_kl(mean, bandit.optimal_mean)
        for gap, mean in zip(bandit.gaps.tolist(), bandit.means.tolist())
        if gap > 0
    )


@claim(
    AUER,
    "ucb1",
    r"\mathbb{E} R_T \le 8 \sum_a \frac{\ln T}{\Delta_a} + \Bigl(1 + \frac{\pi^2}{3}\Bigr) \sum_a \Delta_a",
    kind="bound in expectation",
    source="recalled",
    assumes="rewards in [0, 1]; index mean + sqrt(2 ln t / n)",
)
@over(FOUR)
@over(bernoulli_arms.sweep(means=((0.1, 0.9),)))
def ucb1(
    bandit: BernoulliBandit, *, seed: int, exploration: float = 2.0, runs: int = by_profile(quick=800, full=4000)
) -> Comparison:
    """UCB1's regret over 5000 rounds on the benchmark's four instances, beside Theorem 1 (the paper ucb1 checks it in depth)."""
    found = simulate(UCB1(exploration), bandit, 5000, run_seeds(seed, runs))
    return mean_at_most(found.pseudo_regret[:, 0], float(regret_bound(5000, bandit.gaps)))


ucb1.control(
    "no exploration",
    because="with means (.1, .9) greedy play never leaves the bad arm if the good one pays nothing at first: chance 1/10",
    exploration=0.0,
)


@functools.lru_cache(maxsize=64)
def _law(policy: str, means: tuple[float, float], horizon: int) -> Floats:
    bandit = BernoulliBandit(np.array(means))
    law = (
        thompson_two_armed_law(bandit, horizon) if policy == "thompson" else ucb1_two_armed_law(bandit, horizon, float(policy))
    )
    return np.asarray(law[horizon])


@claim(
    LAI,
    "lai-robbins",
    r"\mathbb{E}_\mu[N_a]\, \mathrm{kl}(\mu_a, \mu'_a) \ge \mathrm{kl}\bigl(\mathbb{P}_\mu(N_a \ge T/2),\, \mathbb{P}_{\mu'}(N_a \ge T/2)\bigr)",
    kind="inequality",
    source="derived",
    assumes="mu and mu' differ in arm a alone; any policy",
)
@over(
    bernoulli_arms.sweep(means=((0.5, 0.6), (0.2, 0.8), (0.05, 0.3))),
    policy=("thompson", "2.0", "0.2", "0.0"),
    raised=(0.1, 0.3),
)
@over(
    bernoulli_arms.sweep(means=Range(0.02, 0.98, size=2)),
    policy=("thompson", "0.2"),
    raised=0.15,
    budget=by_profile(quick=24, full=300),
)
def lai_robbins(
    bandit: BernoulliBandit,
    *,
    policy: str,
    raised: float,
    horizon: int = 40,
    information: float = 1.0,
    asymptotic: bool = False,
) -> Comparison:
    r"""To tell two bandits apart a policy must pull the arm in which they differ: the form of the lower bound that has no limit in it.

    The divergence of the laws of what is seen is :math:`\mathbb{E}_\mu[N_a]\,\mathrm{kl}(\mu_a, \mu'_a)` (each pull of arm a adds its
    divergence, all else is the same), and no event can be told apart by more (data processing). Arm 0 is raised to ``raised``
    above the other arm, or to .99. Exact: the laws of the pulls of UCB1 (constants 2, .2 and 0, the greedy rule) and of Thompson sampling
    over 40 rounds. With events of chance near 1 and T^-1 this gives the :math:`\ln T / \mathrm{kl}` of Lai and Robbins, for T to infinity
    only: at 10^4 rounds Thompson sampling's regret still grows by .6 to .8 of that constant, which refutes nothing.
    """
    here = tuple(bandit.means.tolist())
    there = (min(max(here) + raised, 0.99), here[1])
    first, second = (_law(policy, means, horizon) for means in (here, there))
    pulls, half = np.arange(horizon + 1), math.ceil(horizon / 2)
    divergence = _bernoulli_kl(here[0], there[0])
    if asymptotic:
        return at_least(float(first @ pulls), math.log(horizon) / divergence, slack=1e-9)
    needed = _bernoulli_kl(min(float(first[half:].sum()), 1.0), min(float(second[half:].sum()), 1.0))
    return at_least(information * float(first @ pulls) * divergence, needed, slack=1e-9)


lai_robbins.control(
    "log T / kl at a finite horizon",
    because="the theorem is about the limit; 40 rounds hold fewer pulls than that",
    asymptotic=True,
)
lai_robbins.control("half the information", because="a pull of the arm tells kl(mu_a, mu'_a) and no more", information=0.5)


def _growth(bandit: BernoulliBandit, policy: Policy, seed: int, runs: int, horizon: int = 10_000) -> Floats:
    """(R(T) - R(T/10)) / ln 10 over the constant of Lai and Robbins, for each run."""
    found = simulate(policy, bandit, horizon, run_seeds(seed, runs), [horizon // 10, horizon]).pseudo_regret
    return (found[:, 1] - found[:, 0]) / math.log(10) / _lai_robbins_constant(bandit)


@claim(
    GARIVIER,
    "kl-ucb",
    r"\frac{\mathbb{E} R(10^4) - \mathbb{E} R(10^3)}{\ln 10} \le 2 \sum_a \frac{\Delta_a}{\mathrm{kl}(\mu_a, \mu^\star)}",
    kind="mechanism",
    source="derived",
    assumes="KL-UCB with c = 0; the limit of the left side is half the right side",
)
@over(FOUR)
def kl_ucb(
    bandit: BernoulliBandit, *, seed: int, policy: Policy | None = None, runs: int = by_profile(quick=200, full=2000)
) -> Comparison:
    """KL-UCB's regret grows by less than twice the Lai-Robbins constant for each unit of ln T, from a thousand rounds on.

    The theorem says that the growth tends to the constant itself; at this horizon it is 1.3 to 1.5 times it. UCB1's is 3 to 12 times it.
    """
    return mean_at_most(_growth(bandit, policy or KLUCB(), seed, runs), 2.0)


kl_ucb.control("UCB1's index", because="Pinsker's inequality loses a factor that the divergence keeps", policy=UCB1())


@claim(
    KAUFMANN,
    "thompson",
    r"\frac{\mathbb{E} R(3000) - \mathbb{E} R(300)}{\ln 10} \le \sum_a \frac{\Delta_a}{\mathrm{kl}(\mu_a, \mu^\star)}",
    kind="mechanism",
    source="derived",
    assumes="Beta(1, 1) priors; the limit of the left side is the right side",
)
@over(FOUR)
def thompson(
    bandit: BernoulliBandit, *, seed: int, policy: Policy | None = None, runs: int = by_profile(quick=3000, full=20_000)
) -> Comparison:
    """Thompson sampling's regret grows by less than the Lai-Robbins constant for each unit of ln T, from 300 rounds to 3000.

    The limit is the constant itself, to which it comes from below: at this horizon the mean growth is .63 to .92 of it. That is no
    contradiction, since the lower bound is about the limit. At 10^4 rounds it is .6 to .85, but there one run in some ten thousands, which
    stays with the wrong arm to the end, weighs 250 times the others, and the mean of a few thousand runs decides nothing.
    """
    return mean_at_most(_growth(bandit, policy or BetaThompson(), seed, runs, horizon=3000), 1.0)


thompson.control("UCB1's index", because="its limit is larger", policy=UCB1())


@claim(
    RUSSO,
    "thompson-bayes",
    r"\mathbb{E}_{\mu \sim U[0,1]^K} \mathbb{E}_\mu R_T \le \sqrt{\tfrac12 K T \ln K}",
    kind="bound in expectation",
    source="recalled",
    assumes="Bernoulli rewards with independent uniform means, which is the prior of the algorithm",
)
@over(arms=(2, 5))
def thompson_bayes(
    *, arms: int, seed: int, policy: Policy | None = None, runs: int = by_profile(quick=600, full=6000)
) -> Comparison:
    r"""The Bayesian regret of Thompson sampling is at most :math:`\sqrt{KT H(A^\star)/2}`, and the best arm has the entropy ln K.

    Each run draws its own bandit from the prior; T = 1000. The information ratio is at most K/2.
    """
    means = np.random.default_rng(seed).random((runs, arms))
    found = [
        simulate(policy or BetaThompson(), BernoulliBandit(mu), 1000, [s]).pseudo_regret[0, 0]
        for mu, s in zip(means, run_seeds(seed, runs))
    ]
    return mean_at_most(np.array(found), math.sqrt(0.5 * arms * 1000 * math.log(arms)))


thompson_bayes.control(
    "one pull each, then for ever", because="it commits to whichever arm paid first", policy=ExploreThenCommit(1)
)


def _adversaries() -> tuple[Sweep, ...]:
    K = (2, 10)
    return (
        iid_losses.sweep(T=2000, K=K, gap=(0.05, 0.5)),
        switching_losses.sweep(T=2000, K=K, gap=(0.1, 0.5), share=0.25),
        alternating_losses.sweep(T=1000, K=K, block=(1, 50)),
        cycling_losses.sweep(T=1000, K=K),
        uniform_losses.sweep(T=1000, K=K),
    )


IID, SWITCHING, ALTERNATING, CYCLING, UNIFORM = _adversaries()


@claim(
    BUBECK,
    "exp3",
    r"\mathbb{E} \sum_t \langle p_t, \ell_t\rangle - \min_a \sum_t \ell_{t,a} \le \sqrt{2 T K \ln K}",
    kind="bound in expectation",
    source="recalled",
    assumes=r"oblivious losses in [0, 1]; eta = sqrt(2 ln K / (TK)), no mixing",
)
@over(IID)
@over(SWITCHING)
@over(ALTERNATING)
@over(CYCLING)
@over(UNIFORM)
def exp3(
    losses: LossSequence,
    *,
    seed: int,
    rate: float | None = None,
    arms_in_bound: int = 0,
    runs: int = by_profile(quick=256, full=1024),
) -> Comparison:
    """EXP3 without mixing: the pseudo-regret is at most sqrt(2 T K ln K).

    The regret of each run is computed with the weights, so that only the draw of the estimates is averaged over. A learning rate
    of 1 is not large enough to break it: it comes to .92 of the bound where losses alternate.
    """
    found = simulate(EXP3(rate), losses, losses.rounds, run_seeds(seed, runs))
    return mean_at_most(found.pseudo_regret[:, 0], float(bounds.exp3(losses.rounds, arms_in_bound or losses.arms)))


exp3.control("a learning rate of 3", because="whoever follows the leader loses when losses alternate", rate=3.0)
exp3.control("no learning", because="uniform play loses the gap in every round", rate=0.0)
exp3.control("the bound of two arms for ten", because="estimates of rarely seen arms vary with K", arms_in_bound=2)


@claim(
    BUBECK,
    "exp3p",
    r"\mathbb{P}\bigl(R_T > 5.15 \sqrt{T K \ln(K/\delta)}\bigr) \le \delta",
    kind="high-probability bound",
    source="recalled",
    assumes="oblivious losses in [0, 1]; beta, eta and gamma of the theorem",
)
@over(SWITCHING)
@over(ALTERNATING)
def exp3p(
    losses: LossSequence, *, seed: int, delta: float = 0.1, constant: float = 1.0, runs: int = by_profile(quick=600, full=2000)
) -> Comparison:
    """EXP3.P bounds the realised regret, not only its mean; by a factor of ten too loosely here."""
    found = simulate(EXP3P(delta), losses, losses.rounds, run_seeds(seed, runs))
    return violation_rate(found.regret[:, 0] > constant * float(bounds.exp3p(losses.rounds, losses.arms, delta)), delta)


exp3p.control("a constant of .2 in place of 5.15", because="that is below the regret of learning at all", constant=0.2 / 5.15)


@claim(
    NEU,
    "exp3-ix",
    r"\mathbb{P}\Bigl(R_T > 2\sqrt{2KT\ln K} + \bigl(\sqrt{2KT/\ln K} + 1\bigr)\ln(2/\delta)\Bigr) \le \delta",
    kind="high-probability bound",
    source="recalled",
    assumes="oblivious losses in [0, 1]; eta = 2 gamma = sqrt(2 ln K / (KT))",
)
@over(SWITCHING)
@over(ALTERNATING)
def exp3_ix(
    losses: LossSequence, *, seed: int, delta: float = 0.1, constant: float = 1.0, runs: int = by_profile(quick=600, full=2000)
) -> Comparison:
    """EXP3-IX bounds the realised regret with implicit exploration alone."""
    found = simulate(EXP3IX(), losses, losses.rounds, run_seeds(seed, runs))
    return violation_rate(found.regret[:, 0] > constant * float(bounds.exp3_ix(losses.rounds, losses.arms, delta)), delta)


exp3_ix.control("a twentieth of the bound", because="that is below the regret of learning at all", constant=0.05)


@claim(
    ZIMMERT,
    "tsallis-inf",
    r"\mathbb{E} \sum_t \langle p_t, \ell_t\rangle - \min_a \sum_t \ell_{t,a} \le 4\sqrt{KT} + 1",
    kind="bound in expectation",
    source="recalled",
    assumes=r"oblivious losses in [0, 1]; eta_t = 2/sqrt(t), importance weights",
)
@over(IID)
@over(SWITCHING)
@over(ALTERNATING)
@over(CYCLING)
@over(UNIFORM)
def tsallis_inf(
    losses: LossSequence, *, seed: int, policy: Policy | None = None, runs: int = by_profile(quick=64, full=512)
) -> Comparison:
    """Tsallis-INF has the minimax rate, without a logarithm, against every sequence of losses."""
    found = simulate(policy or TsallisINF(), losses, losses.rounds, run_seeds(seed, runs))
    return mean_at_most(found.pseudo_regret[:, 0], float(bounds.tsallis_inf(losses.rounds, losses.arms)))


tsallis_inf.control("a policy for stochastic bandits", because="an adversary knows what UCB1 pulls next", policy=UCB1())
tsallis_inf.control(
    "EXP3 with a learning rate of 10", because="whoever follows the leader loses when losses alternate", policy=EXP3(10.0)
)


@claim(
    ZIMMERT,
    "tsallis-logarithmic",
    r"\frac{\mathrm{d}\ln \mathbb{E} R(T)}{\mathrm{d}\ln T} < 0.4 \text{ on } [10^3, 3 \cdot 10^4]",
    kind="regret exponent",
    source="derived",
    assumes="independent losses of fixed gap; the tuning of the adversarial bound",
)
@over(two_armed.sweep(gap=0.5, mean=0.75))
def tsallis_logarithmic(
    bandit: BernoulliBandit, *, seed: int, policy: Policy | None = None, runs: int = by_profile(quick=64, full=256)
) -> Comparison:
    """The same algorithm, unchanged, has a regret of the order log T where the losses are independent: the best of both worlds."""
    horizons = np.geomspace(1e3, 3e4, 5).astype(int)
    found = [simulate(policy or TsallisINF(), bandit, T, run_seeds(seed, runs)).pseudo_regret[:, 0] for T in horizons.tolist()]
    return slope(horizons, np.stack(found, axis=1), between=(0.0, 0.4))


tsallis_logarithmic.control("EXP3", because="its learning rate, tuned to T, makes the regret grow like root T", policy=EXP3())


# four digits of the indices of Beta(a, b): the book's for the discount .9, the specification's for the others
PUBLISHED = {
    0.5: {(1, 1): 0.5590, (1, 2): 0.3758, (2, 1): 0.7060, (2, 2): 0.5359, (1, 3): 0.2802, (3, 1): 0.7772, (3, 3): 0.5258}
    | {(10, 1): 0.9148, (10, 2): 0.8419, (2, 10): 0.1758},
    0.9: {(1, 1): 0.7029, (1, 2): 0.5001, (2, 1): 0.8001, (2, 2): 0.6346, (1, 3): 0.3796, (3, 1): 0.8452, (3, 3): 0.6010}
    | {(10, 1): 0.9342, (10, 2): 0.8695, (2, 10): 0.2116},
    0.95: {(1, 1): 0.7614, (1, 2): 0.5601, (2, 1): 0.8381, (2, 2): 0.6810, (1, 3): 0.4334, (3, 1): 0.8736, (3, 3): 0.6392}
    | {(10, 1): 0.9440, (10, 2): 0.8838, (2, 10): 0.2341},
    0.99: {(1, 1): 0.8699, (1, 2): 0.7005, (2, 1): 0.9102, (2, 2): 0.7844},
}


@claim(
    GITTINS,
    "gittins",
    r"G_\gamma(a, b) = \sup\{\lambda : \sup_\tau \mathbb{E} \sum_{t < \tau} \gamma^t (r_t - \lambda) \ge 0\} \text{ agrees with the tables}",
    kind="identity",
    source="recalled",
    assumes="Bernoulli arm with a Beta(a, b) prior; four published digits",
)
@over(discount=(0.5, 0.9, 0.95, 0.99))
def gittins(*, discount: float, as_if: float | None = None, greedy: bool = False) -> Comparison:
    """Gittins indices by calibration agree with published tables to the last of their four digits.

    Each is computed as an interval: a backward induction that pays nothing after its last pull, and one that pays the best reward for ever.
    """
    table = PUBLISHED[discount]
    found = [gittins_index(a, b, as_if or discount) for a, b in table]
    middle = np.array([(low + high) / 2 for low, high in found])
    width = max(high - low for low, high in found)
    if greedy:
        middle = np.array([a / (a + b) for a, b in table])
    return equal(middle, np.array([*table.values()]), tolerance=0.5e-4 + width, scale=1.0)


gittins.control("the posterior mean", because="it leaves out what is learnt by a pull", greedy=True)
gittins.control("another discount", because="the index grows with the horizon", as_if=0.93)


@functools.lru_cache(maxsize=4)
def _indices(a: float, b: float, pulls: int) -> Floats:
    return index_table(a, b, 0.9, pulls, 100)


@claim(
    GITTINS,
    "gittins-optimal",
    r"V^{\text{index}} = V^\star \text{ (two arms, } \gamma = 0.9)",
    kind="identity",
    source="recalled",
    assumes="independent Beta priors",
)
@over(second=((1, 1), (3, 2), (1, 3)))
def gittins_optimal(*, second: tuple[int, int], pulls: int = 100, score: str = "index") -> Comparison:
    """Pulling the arm of the larger Gittins index is optimal among all policies, by exact dynamic programming over both arms.

    Both values are intervals of width .9^100/(1 - .9) = 2.7e-4, what all pulls after the hundredth can be worth.
    """
    best = two_armed_value((1, 1), second, 0.9, pulls)
    if score == "index":
        scores = np.stack([_indices(1, 1, pulls), _indices(*second, pulls)])
    elif score == "mean":
        scores = np.stack([posterior_means(1, 1, pulls), posterior_means(*second, pulls)])
    else:
        scores = np.stack([np.ones((pulls, pulls)), np.zeros((pulls, pulls))])
    got = two_armed_value((1, 1), second, 0.9, pulls, scores)
    # the same pulls are cut off on both sides, so that the lower ends are compared; what they leave out is the slack
    return at_least(got[0], best[0], slack=best[1] - best[0])


gittins_optimal.control("the posterior mean", because="greedy play does not learn: 6.06 of 6.10", score="mean")
gittins_optimal.control("one arm for ever", because="the other may be better", score="first")


@claim(
    EVENDAR,
    "successive-elimination",
    r"\mathbb{P}(\hat a \ne a^\star \text{ or some radius is broken}) \le \delta,\quad N_a \le \min\{t : 4 r_t \le \Delta_a\} \text{ otherwise}",
    kind="high-probability bound",
    source="recalled",
    assumes=r"rewards in [0, 1]; r_t = sqrt(ln(pi^2 K t^2 / (3 delta)) / (2t))",
)
@over(bernoulli_arms.sweep(means=((0.7, 0.5, 0.4, 0.3), (0.6, 0.45), (0.9, 0.6, 0.6))))
def elimination(
    bandit: BernoulliBandit,
    *,
    seed: int,
    delta: float = 0.1,
    factor: float = math.pi**2 / 3,
    fewer: float = 1.0,
    runs: int = by_profile(quick=300, full=3000),
) -> Comparison:
    """Successive elimination errs with probability at most delta, and samples an arm no longer than 4 radii exceed its gap.

    While no radius is broken the best arm is never dropped, and an arm whose gap is 4 radii lies 2 radii below the best in the averages.
    So the samples are at most the sum over arms of times of the order ln(K/(delta gap))/gap^2, in every such run.
    """
    found = successive_elimination(bandit, delta, run_seeds(seed, runs), factor)
    assert found.broken is not None
    assert found.pulls is not None
    wrong = (found.answers != int(np.argmax(bandit.means))) | found.broken
    gaps = np.where(bandit.gaps > 0, bandit.gaps, np.sort(bandit.gaps)[1])
    most = np.array([elimination_time(float(g), bandit.arms, delta, factor) for g in gaps])
    return all_of(
        violation_rate(wrong, delta),
        at_most(found.pulls[~wrong].max(axis=0), fewer * most) if not wrong.all() else always(np.array([False])),
    )


elimination.control("radii that a union bound over time does not cover", because="the averages then leave them", factor=0.05)
elimination.control("a third of the samples", because="an arm is dropped when its gap is about 3 to 4 radii", fewer=1 / 3)


@claim(
    EVENDAR,
    "elimination-radius",
    r"2 \sum_{t} K e^{-2 t r_t^2} = \delta",
    kind="identity",
    source="derived",
    assumes="Hoeffding's inequality for each arm and each t",
)
@over(arms=(2, 10), delta=(0.01, 0.2))
def radius_level(*, arms: int, delta: float, factor: float = math.pi**2 / 3) -> Comparison:
    """The radii spend exactly delta: the union bound over arms and times sums to it, by the sum of 1/t^2.

    Summed to a million terms; what is left is between the integrals of 1/t^2 from there.
    """
    t = np.arange(1, 1_000_001)
    spent = 2 * arms * np.exp(-2 * t * elimination_radius(t, arms, delta, factor) ** 2)
    tail = 2 * delta / factor / (t[-1] + 0.5)
    return equal(math.fsum(spent) + tail, delta, tolerance=1e-9)


radius_level.control("c = 3", because="pi^2/3 is the sum", factor=3.0)


@claim(
    TRACK,
    "track-and-stop",
    r"T^\star = \frac{2 (1 + \sqrt{K-1})^2}{\Delta^2},\quad w^\star_1 = \frac{1}{1 + \sqrt{K-1}}",
    kind="identity",
    source="derived",
    assumes="K normal arms of unit variance, all gaps equal",
)
@over(arms=(2, 3, 5, 10, 50), gap=(0.1, 0.5, 2.0))
def track_time(*, arms: int, gap: float, root: float = 0.5) -> Comparison:
    r"""The characteristic time of equal gaps in closed form, against the solver's.

    With w on the best arm and (1-w)/(K-1) on each other the worst alternative has the information
    :math:`\frac{w (1-w)}{(K-1) w + 1 - w} \Delta^2/2`, which is largest at :math:`w = 1/(1 + \sqrt{K-1})`.
    """
    time, shares = characteristic_time([gap] + [0.0] * (arms - 1))
    rivals = (arms - 1) ** root
    return equal(np.array([time, shares[0]]), np.array([2 * (1 + rivals) ** 2 / gap**2, 1 / (1 + rivals)]))


track_time.control(
    "uniform sampling's share", because="the best arm is compared with all others, and needs a larger share", root=1.0
)


@claim(
    TRACK,
    "characteristic-time",
    r"\min_{a} \frac{w_1 w_a}{w_1 + w_a} \frac{\Delta_a^2}{2} \le \frac{1}{T^\star} \text{ for every } w, \text{ with equality at } w^\star",
    kind="inequality",
    source="recalled",
    assumes="normal arms of unit variance, the best is unique",
)
@over(gaps=Range(0.05, 2.0, size=3), weights=Range(0.01, 1.0, size=4), budget=by_profile(quick=200, full=2000))
def characteristic(*, gaps: tuple[float, ...], weights: tuple[float, ...], factor: float = 1.0) -> Comparison:
    """No proportions of samples carry more information against the nearest alternative than the optimal ones."""
    time, shares = characteristic_time([0.0, *(-g for g in gaps)])
    w = np.array(weights) / sum(weights)

    def information(v: Floats) -> float:
        return float((v[0] * v[1:] / (v[0] + v[1:]) * np.array(gaps) ** 2 / 2).min())

    return all_of(
        at_most(information(w), factor / time, slack=1e-12),
        equal(information(shares) * time, 1.0),
        at_least(factor / time, information(shares), slack=1e-9),
    )


characteristic.control("1% less", because="the optimal proportions attain 1/T*", factor=0.99)


@claim(
    TRACK,
    "track-and-stop-samples",
    r"\mathbb{E}\,\tau \ge T^\star(\mu)\, \mathrm{kl}(\delta, 1 - \delta) \text{ and } \mathbb{P}(\hat a \ne a^\star) \le \delta",
    kind="lower bound",
    source="recalled",
    assumes="normal arms of unit variance; an algorithm that errs with probability at most delta on every instance",
    tests=2,
)
@over(means=((0.5, 0.0), (1.0, 0.5, 0.5, 0.0)), delta=0.1)
def track_samples(
    *,
    means: tuple[float, ...],
    delta: float,
    seed: int,
    threshold: float | None = None,
    runs: int = by_profile(quick=400, full=2000),
) -> Comparison:
    """Track-and-stop, run: it errs no more often than allowed, and takes no fewer samples than any such algorithm must.

    The lower bound is a change of measure to the nearest alternative. At delta = .1 the proved threshold makes the run some six
    times longer than the bound, which it attains as delta tends to 0 only.
    """
    bandit = GaussianBandit(np.array(means))
    found = track_and_stop(bandit, delta, run_seeds(seed, runs), threshold=threshold)
    least = characteristic_time(means)[0] * _bernoulli_kl(delta, 1 - delta)
    wrong = found.answers != int(np.argmax(bandit.means))
    return all_of(violation_rate(wrong, delta), mean_at_most(-found.samples.astype(float), -least))


track_samples.control(
    "a threshold of .2", because="an algorithm that stops so early errs too often, and the bound is not about it", threshold=0.2
)
