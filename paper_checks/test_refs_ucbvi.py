"""UCBVI, the reference of optimistic exploration: its order on the worst gap, and its printed bounds."""

import functools

import numpy as np
from numpy.typing import NDArray

from experiments.optimistic_actor_critic import HORIZON, by_point, contexts_study, retuned_gap
from experiments.study import run_study
from mdplab.learning.optimistic_actor_critic import ActorCritic, record_critics
from mdplab.models import episodic_garnet
from mdplab.solvers import backward_induction
from theory.bounds.hard_contexts import regret_lower_bound
from theory.bounds.ucbvi import regret_bound
from theory.claims import Comparison, Paper, all_of, at_most, by_profile, claim, mean_at_most, over, slope, violation_rate
from theory.random_streams import run_seeds

AZAR = Paper(
    key="refs",
    title="Minimax Regret Bounds for Reinforcement Learning",
    authors="Azar, Osband, Munos",
    year=2017,
    theme="exploration",
    arxiv="1703.05449",
    venue="ICML 2017",
)
CONTEXTS, ACTIONS = 4, 4
CEILING = 8.0  # the uniform policy has the same exponent where the gap is re-tuned, and more than ten times the bound
FEW = (1000, 2000, 4000)  # enough for what misses by far
EPISODES = by_profile(quick=(1000, 4000, 16_000), full=(2000, 8000, 32_000, 128_000))


@functools.lru_cache(maxsize=6)  # a claim and its controls look at the same runs
def _regret(episodes: tuple[int, ...], seed: int, runs: int, bonus: str, scale: float) -> NDArray[np.float64]:
    """Pseudo-regret over (multiples of the gap, seeds, episodes), of UCBVI with counts pooled over the steps."""
    study = contexts_study(
        episodes,
        (1.0, 2.0),
        seed=seed,
        runs=runs,
        bonus=bonus,  # type: ignore[arg-type]
        scale=scale,
        step=float("inf"),
        switching="every episode",
        reset=False,
        pooled=True,
    )
    return np.moveaxis(by_point(run_study(study), "regret", "multiple", "episodes"), 1, 2)


def _printed(episodes: tuple[int, ...], seed: int, bernstein: bool) -> Comparison:
    """The largest regret with the printed bonus, against the printed bound (T as many as the episodes)."""
    bonus = "ucbvi-bf" if bernstein else "ucbvi-ch"
    found = _regret(episodes[:2], seed, 4, bonus, 1.0).max(axis=(0, 1))
    T = np.array(episodes[:2], dtype=float)
    return at_most(found, regret_bound(T, CONTEXTS + 3, ACTIONS, HORIZON, 0.1, bernstein=bernstein))


@functools.lru_cache(maxsize=4)
def _optimism_lost(bonus: str, episodes: int, seed: int, runs: int) -> list[bool]:
    """Whether some critic of a run fell below Q*, with the bonus at scale 1; of a learner that switches rarely, whose critics are few."""
    mdp = episodic_garnet(S=4, A=3, H=4, seed=seed % 2**32)
    best, algorithm = backward_induction(mdp).q, ActorCritic(bonus, scale=1.0)  # type: ignore[arg-type]
    critics = (record_critics(mdp, episodes, int(number), algorithm).f for number in run_seeds(seed, runs))
    return [bool((f < best - 1e-12).any()) for f in critics]


def _order(
    episodes: tuple[int, ...],
    seed: int,
    runs: int,
    bonus: str,
    scale: float,
    between: tuple[float, float],
    *,
    bernstein: bool,
) -> Comparison:
    """The exponent of the worst regret, its size beside the minimax lower bound at the last T, optimism, and the printed bound."""
    samples = _regret(episodes, seed, runs, bonus, scale)
    last = episodes[-1]
    floor = regret_lower_bound(CONTEXTS, ACTIONS, last, retuned_gap(CONTEXTS, ACTIONS, last, 0.4), HORIZON)
    worst = samples[:, :, -1][samples[:, :, -1].mean(axis=1).argmax()]
    return all_of(
        order=slope(episodes, samples, between=between, worst_case=True),
        size=mean_at_most(worst, CEILING * floor, label="8 times the minimax lower bound"),
        optimism=violation_rate(_optimism_lost(bonus, 4000, seed, 240), 0.1, label="optimism lost"),
        printed=_printed(episodes, seed, bernstein),
    )


@claim(
    AZAR,
    "ucbvi-hoeffding",
    r"\mathrm{Reg}(K) \le 20 H^{3/2} L \sqrt{SAK} + 250 H^2 S^2 A L^2, \qquad L = \ln(5SAHK/\delta)",
    kind="regret exponent",
    source="recalled",
    assumes="stationary kernel, counts pooled over the steps; the order is checked with Hoeffding bonuses of scale 1/2 on hard contexts "
    "C = A = 4, H = 5 at the worst of the gaps m sqrt(C A / K), m in {1, 2}",
    note="The printed bound exceeds KH below 1e9 episodes at this size (139 KH at K = 1e6), so that no feasible run can violate "
    "it: that it is not violated is no evidence. The order is what is verified.",
    tests=3,
)
@over()
def ucbvi_hoeffding(
    *,
    seed: int,
    episodes: tuple[int, ...] = EPISODES,
    runs: int = 48,
    bonus: str = "hoeffding",
    scale: float = 0.5,
    between: tuple[float, float] = (0.38, 0.62),
) -> Comparison:
    """UCBVI's worst-case regret grows like the root of the number of episodes, at most 8 times above the minimax lower bound.

    That its critics stay above Q* is checked with the bonus at scale 1 and delta = .1, on a random model, along with a learner that
    keeps its critics longer: optimism belongs to the bonus, not to the actor.
    """
    return _order(episodes, seed, runs, bonus, scale, between, bernstein=False)


ucbvi_hoeffding.control("the bonus 1/n", because="it loses optimism", bonus="fast", episodes=FEW)
ucbvi_hoeffding.control(
    "a bonus that is never used up", because="all actions look alike: the uniform policy", scale=50.0, episodes=FEW
)
ucbvi_hoeffding.control("exponent 2/3", because="optimism does better", between=(0.65, 0.75))


@claim(
    AZAR,
    "ucbvi-bernstein",
    r"\mathrm{Reg}(K) \le 30 H L \sqrt{SAK} + 2500 H^2 S^2 A L^2 + 4 H^{3/2} \sqrt{KL}",
    kind="regret exponent",
    source="recalled",
    assumes="as refs/ucbvi-hoeffding, with Bernstein bonuses of scale 1/2",
    note="As with `refs/ucbvi-hoeffding`, the printed bound is vacuous at every feasible size, and only the order is verified.",
    tests=3,
)
@over()
def ucbvi_bernstein(
    *,
    seed: int,
    episodes: tuple[int, ...] = EPISODES,
    runs: int = 32,
    bonus: str = "bernstein",
    scale: float = 0.5,
    between: tuple[float, float] = (0.2, 0.62),
) -> Comparison:
    """With Bernstein bonuses too: below 1/2 at these sizes, where the lower-order term of the bonus still counts."""
    return _order(episodes, seed, runs, bonus, scale, between, bernstein=True)


ucbvi_bernstein.control("exponent 2/3", because="optimism does better", between=(0.65, 0.75))
ucbvi_bernstein.control("logarithmic", because="the worst gap shrinks with the episodes", between=(-0.1, 0.1))
