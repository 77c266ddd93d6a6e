"""Hybrid actor-critics: what offline data is worth depends on how it covers one policy, the optimal one."""

import functools

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.optimistic_actor_critic import (
    bait_lock,
    by_point,
    contexts_study,
    lock_study,
    mixed_policy,
)
from experiments.study import run_study
from mdplab.models import EpisodicMDP, episodic_garnet, episodic_lock, hard_contexts
from mdplab.solvers import backward_induction, episodic_occupancy
from paper_checks.optac import PAPER
from theory.claims import (
    Comparison,
    all_of,
    at_least,
    at_most,
    by_profile,
    claim,
    equal,
    less_on_average,
    over,
    slope,
    violation_rate,
)
from theory.coverage import single_policy_concentrability

Floats = NDArray[np.float64]
FAILURE = 0.3  # of an average regret; a run that stays with the bait loses .7 in each episode


@claim(
    PAPER,
    "concentrability",
    r"\sup_g \frac{(E_{d^\star_h} g)^2}{E_{\mu_h} g^2} = \sum_{s,a} \frac{d^\star_h(s,a)^2}{\mu_h(s,a)}, \qquad "
    r"1 \le c_2^\star \le \Bigl\| \frac{d^\star}{\mu} \Bigr\|_\infty",
    kind="identity",
    source="derived",
    assumes="mu_h > 0 wherever d*_h > 0; g over all functions, attained at g = d*/mu; linear g: phibar' Sigma^-1 phibar",
)
@over(episodic_garnet.sweep(S=(2, 5), A=(2, 3), H=4, draws=by_profile(quick=20, full=100)), mixture=(0.05, 0.5))
@over(hard_contexts.sweep(C=3, A=3, H=5, gap=0.2, draws=5), mixture=(0.05, 0.5))
@over(episodic_lock.sweep(A=3, H=6, draws=3), mixture=(0.1, 0.5))
def concentrability(mdp: EpisodicMDP, *, mixture: float, seed: int, kind: str = "chi2", tests: int = 300) -> Comparison:
    r"""What offline data must cover for a Bellman error to carry over is the second moment of d*/mu, not its maximum.

    Cauchy-Schwarz: :math:`E_{d^\star} g = E_\mu[(d^\star/\mu) g] \le (E_\mu (d^\star/\mu)^2)^{1/2} (E_\mu g^2)^{1/2}`, with equality at
    :math:`g = d^\star/\mu`. The two coefficients differ by large factors where d* is spread out: say which is meant.
    """
    rng = np.random.default_rng(seed)
    star = episodic_occupancy(mdp, backward_induction(mdp).policy).pair
    mu = episodic_occupancy(mdp, mixed_policy(mdp, mixture)).pair
    value = single_policy_concentrability(mu, star, "max" if kind == "max" else "chi2")
    H = mdp.horizon
    d, m = star.reshape(H, -1), mu.reshape(H, -1)
    ratio = np.divide(d, m, out=np.zeros_like(d), where=m > 0)
    g = np.concatenate((ratio[None], ratio + rng.normal(size=(tests, *d.shape)) * rng.random((tests, 1, 1))))
    attained = np.einsum("hp,khp->kh", d, g) ** 2 / np.einsum("hp,khp->kh", m, g**2)
    features = np.concatenate((rng.normal(size=(*mdp.R.shape[1:], 2)), np.ones((*mdp.R.shape[1:], 1))), axis=2)
    linear = single_policy_concentrability(mu, star, "linear", features)
    return all_of(
        attained=equal(attained[0].max(), value, tolerance=1e-9),
        never_more=at_most(attained[1:].max(axis=1), value),
        at_least_1=at_least(value, 1.0, slack=1e-12),
        at_most_c_inf=at_most(value, single_policy_concentrability(mu, star, "max")),
        linear_less=at_most(linear, value, slack=1e-7 * value),
        linear_at_least_1=at_least(linear, 1.0, slack=1e-7),
    )


concentrability.control("the maximal ratio is attained", because="the squared mean only sees d*-averages", kind="max")


@functools.lru_cache(maxsize=8)  # a claim and its controls look at the same runs
def _lock(episodes: int, offline: int, mixture: float, covered: bool, seed: int, runs: int) -> Floats:
    """The average regret of each run of the learner without optimism on the lock."""
    study = lock_study((episodes,), seed=seed, runs=runs, offline=(offline,), mixture=mixture, covered=covered)
    return run_study(study)["regret"].to_numpy() / episodes


def _lock_coefficient(mixture: float) -> float:
    """c_2* of the mixture of the optimal and the uniform policy on the lock."""
    mdp = bait_lock()
    star = episodic_occupancy(mdp, backward_induction(mdp).policy).pair
    return single_policy_concentrability(episodic_occupancy(mdp, mixed_policy(mdp, mixture)).pair, star)


@claim(
    PAPER,
    "hybrid-nonoptimistic",
    r"P(\mathrm{failure}) \le 0.1 \text{ with } N_{\mathrm{off}} \ge 8\, c_2^\star",
    kind="high-probability bound",
    source="derived",
    assumes="no optimism; offline data from mix pi* + (1 - mix) uniform on the lock (A = 3, H = 6, bait .1, top .8); failure: average regret > .3",
)
@over(mixture=(0.5, 0.2, 0.1))
def hybrid_nonoptimistic(
    *,
    mixture: float,
    seed: int,
    multiple: float = 8.0,
    counted_at: float | None = None,
    covered: bool = True,
    episodes: int = by_profile(quick=2000, full=20_000),
    runs: int = 300,
) -> Comparison:
    r"""Without optimism, success depends on the offline data through its size divided by its single-policy concentrability.

    The paper asks for :math:`N_{\mathrm{off}} \ge c^\star d H^4/\epsilon^2`, from :math:`-E_{d^\star} \varepsilon_h \le (c_2^\star E_\mu \varepsilon_h^2)^{1/2}`
    (`optac/concentrability`). With that constant the bound on the regret is vacuous at these sizes; what shows is the scale: the
    threshold lies at a few times :math:`c_2^\star`, which is 11, 97 and 244 for the three mixtures (a trajectory of the optimal policy is
    seen with probability :math:`1/c_2^\star`; at 8 times none is seen with probability e^-8).
    """
    coefficient = _lock_coefficient(mixture if counted_at is None else counted_at)
    average = _lock(episodes, round(multiple * coefficient), mixture, covered, seed, runs)
    return violation_rate(average > FAILURE, 0.1)


hybrid_nonoptimistic.control("half of c2*", because="the optimal policy is mostly unseen", multiple=0.5)
hybrid_nonoptimistic.control("as much data as a better mixture needs", because="c2* is 244 at mix = .1, not 11", counted_at=0.5)
hybrid_nonoptimistic.control(
    "data that never takes the first optimal action", because="c2* is infinite: no amount helps", covered=False
)


@claim(
    PAPER,
    "hybrid-coverage-necessary",
    r"P(\mathrm{success}) \le \tfrac12 \text{ at every } N_{\mathrm{off}} \text{ if } c^\star = \infty",
    kind="necessity",
    source="derived",
    assumes="no optimism; offline data that never takes the optimal first action of the lock; success: average regret at most .3",
)
@over(offline=(0, 30, 300, 3000, 10_000))
def hybrid_coverage_necessary(
    *,
    offline: int,
    seed: int,
    covered: bool = False,
    episodes: int = by_profile(quick=2000, full=20_000),
    runs: int = 200,
) -> Comparison:
    """Offline data that misses the optimal policy at one step is worth nothing to a learner without optimism.

    It fails in about three runs of four, with ten thousand trajectories as with none.
    """
    average = _lock(episodes, offline, 0.5, covered, seed, runs)
    return violation_rate(average <= FAILURE, 0.5, alternative=0.75)


hybrid_coverage_necessary.control("data that covers", because="30 trajectories are 2.6 c2*", covered=True)


@functools.lru_cache(maxsize=4)
def _contexts(episodes: tuple[int, ...], seed: int, runs: int, **switches: object) -> pd.DataFrame:
    return run_study(contexts_study(episodes, seed=seed, runs=runs, **switches))  # type: ignore[arg-type]


@claim(
    PAPER,
    "hybrid-rates",
    r"\sup_{\mathrm{gap}} E\,\mathrm{Reg}(T) \propto \sqrt T \text{ without optimism, with } N_{\mathrm{off}} = T",
    kind="regret exponent",
    source="derived",
    assumes="hard contexts C = A = 4, H = 5, gap = m sqrt(C A / T), m in {1/2, 1, 2}; offline data from pi*/2 + uniform/2; beside it: less "
    "than a third of the regret with 50 trajectories",
    tests=2,
)
@over()
def hybrid_rates(
    *,
    seed: int,
    episodes: tuple[int, ...] = by_profile(quick=(500, 2000, 8000), full=(1000, 4000, 16_000, 64_000)),
    runs: int = 128,
    fixed: int = 0,
    share: float = 1.0,
    covered: bool = True,
) -> Comparison:
    """With as many covering offline episodes as online ones, optimism is not needed for a regret of the order root T.

    The offline term of the bound is multiplied by T, so that the data has to grow with T. With a fixed 50 trajectories some
    runs settle on wrong arms for good.
    """
    multiples = (0.5, 1.0, 2.0)
    table = _contexts(
        episodes, seed, runs, multiples=multiples, scale=0.0, offline_share=share, offline_episodes=fixed, covered=covered
    )
    few = _contexts(episodes[-1:], seed, runs, multiples=multiples, scale=0.0, offline_episodes=50)
    samples = np.moveaxis(by_point(table, "regret", "multiple", "episodes"), 1, 2)
    poor = by_point(few, "regret", "multiple")
    worst = int(poor.mean(axis=1).argmax())
    return all_of(
        exponent=slope(episodes, samples, between=(0.25, 0.75), worst_case=True),
        gain=less_on_average(3 * samples[worst, :, -1], poor[worst]),
    )


hybrid_rates.control(
    "data that never takes the best arm", because="it is never tried either", covered=False, episodes=(500, 1000, 2000)
)
hybrid_rates.control("50 trajectories", because="some runs settle on wrong arms", fixed=50, share=0.0)


@claim(
    PAPER,
    "hybrid-gain",
    r"E\,\mathrm{Reg}(T) \text{ decreases in } N_{\mathrm{off}} / T",
    kind="mechanism",
    source="derived",
    assumes="with optimism (c = 1/2), T = 8000, hard contexts C = A = 4, H = 5, gap = 2 sqrt(C A / T); N_off/T = 0, 1/2, 2, 8; pi*/2 + uniform/2",
    tests=4,
)
@over()
def hybrid_gain(
    *, seed: int, shares: tuple[float, ...] = (0.0, 0.5, 2.0, 8.0), runs: int = 64, factor: float = 1.0
) -> Comparison:
    """An optimistic learner gains from every amount of offline data that covers the optimal policy, and ends up with no regret.

    The learner without optimism does better still where there is coverage: that is the price of optimism. What data that
    misses the optimal policy does is another matter (`optac/hybrid-uncovered`).
    """
    found = [_contexts((8000,), seed, runs, multiples=(2.0,), offline_share=share)["regret"].to_numpy() for share in shares]
    steps = [
        less_on_average(more, factor * less, label=f"{y:g} against {x:g}")
        for less, more, x, y in zip(found, found[1:], shares, shares[1:])
    ]
    return all_of(*steps, less_on_average(20 * found[-1], found[0], label="a twentieth"))


hybrid_gain.control("each step halves the regret", because="half as much data leaves most to be explored", factor=0.5)


@claim(
    PAPER,
    "hybrid-uncovered",
    r"\mathrm{Reg}_{c=1/2}(N_{\mathrm{off}} = T/2) < \tfrac12 \mathrm{Reg}_{c=1/2}(0), \qquad "
    r"\mathrm{Reg}_{c=0}(N_{\mathrm{off}} = T/2) > \tfrac32 \mathrm{Reg}_{c=0}(0)",
    kind="separation",
    source="derived",
    assumes="offline data that never takes the best arm; T = 8000, hard contexts C = A = 4, H = 5, gap = 2 sqrt(C A / T)",
    tests=2,
)
@over()
def hybrid_uncovered(*, seed: int, runs: int = 96, covered: bool = False, bold: float = 0.5, shy: float = 0.0) -> Comparison:
    """Data that misses the optimal policy helps a learner with optimism, and harms one without.

    The optimist tries what the data lacks first, and that is the best arm: measured, its regret falls from 880 to 206 with
    T/2 trajectories and to 11 with 2T, further than with data that covers. The learner without optimism believes the best of
    what it was shown: 795 becomes 1870. That uncovered data is worth nothing is true of the second learner only.
    """
    point = {"multiples": (2.0,), "covered": covered}
    helped, alone = (
        _contexts((8000,), seed, runs, scale=bold, offline_share=share, **point)["regret"].to_numpy() for share in (0.5, 0.0)
    )
    harmed, free = (
        _contexts((8000,), seed, runs, scale=shy, offline_share=share, **point)["regret"].to_numpy() for share in (0.5, 0.0)
    )
    return all_of(helps=less_on_average(2 * helped, alone), harms=less_on_average(1.5 * free, harmed))


hybrid_uncovered.control("data that covers", because="it helps both", covered=True)
hybrid_uncovered.control("no learner has optimism", because="it helps neither", bold=0.0)
