"""What behaviour cloning costs: mistakes compound, unless the expert recovers from them, and a sample misses rare states."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mdplab.learning.behaviour_cloning import expected_missing_mass, seen_law, worst_cloned_value
from mdplab.models import EpisodicMDP, model_family
from mdplab.models.episodic_families import episodic_garnet, episodic_lock, episodic_river_swim
from mdplab.solvers import backward_induction, episodic_occupancy, evaluate_episodic_policy
from paper_checks.instances import Floats
from theory.claims import Comparison, Paper, Range, all_of, at_most, by_profile, claim, domain, family, over


def _paper(title: str, authors: str, year: int, venue: str, arxiv: str | None = None) -> Paper:
    return Paper("refs", title, authors, year, "exploration", arxiv, venue)


ROSS_BAGNELL = _paper("Efficient Reductions for Imitation Learning", "Ross, Bagnell", 2010, "AISTATS 2010")
ROSS_GORDON = _paper(
    "A Reduction of Imitation Learning and Structured Prediction to No-Regret Online Learning",
    "Ross, Gordon, Bagnell",
    2011,
    "AISTATS 2011",
    "1011.0686",
)
RAJARAMAN = _paper(
    "Toward the Fundamental Limits of Imitation Learning",
    "Rajaraman, Yang, Jiao, Ramchandran",
    2020,
    "NeurIPS 2020",
    "2009.05990",
)


@model_family(H=1)
def cliff(H: int = 5) -> EpisodicMDP:
    """State 0 is the path, where action 0 earns 1 a step; the other action falls, earning 0 from then on."""
    P, R = np.zeros((2, 2, 2)), np.zeros((2, 2))
    P[0, 0, 0] = P[0, 1, 1] = 1.0
    P[1, :, 1] = 1.0
    R[0, 0] = 1.0
    return EpisodicMDP(P, R, start=np.array([1.0, 0.0]), horizon=H)


@model_family(H=1)
def detour(H: int = 5) -> EpisodicMDP:
    """The cliff with a way back: off the path action 0 returns, the other stays; neither earns anything there."""
    P, R = np.zeros((2, 2, 2)), np.zeros((2, 2))
    P[:, 0, 0] = P[:, 1, 1] = 1.0
    R[0, 0] = 1.0
    return EpisodicMDP(P, R, start=np.array([1.0, 0.0]), horizon=H)


def _learner(expert: NDArray[np.int64], q: Floats, rate: float, pattern: str, off: str, seed: int) -> Floats:
    """A policy (H, S, A) that errs with probability ``rate``: at every step ("even"), at one, or at random.

    Mistakes take the action that is worst by ``q``, or any other in "random". On the path means state 0; elsewhere "right" never
    errs, "wrong" always does, "alike" errs as on the path.
    """
    H, S, A = q.shape
    rng = np.random.default_rng(seed)
    errors = np.zeros((H, S))
    if pattern == "random":
        errors[:] = rate * rng.random((H, S))
    else:
        errors[{"even": slice(None), "first": slice(0, 1), "last": slice(H - 1, H)}[pattern]] = rate
    if off != "alike":
        errors[:, 1:] = float(off == "wrong")
    right = np.eye(A)[expert]
    wrong = np.eye(A)[np.where(right > 0, np.inf, q).argmin(axis=2)]
    if pattern == "random":
        wrong = rng.random((H, S, A)) * (1 - right)
        wrong /= wrong.sum(axis=2, keepdims=True)
    return np.asarray((1 - errors)[:, :, None] * right + errors[:, :, None] * wrong, dtype=np.float64)


def _mistakes(policy: Floats, expert: NDArray[np.int64], visits: Floats) -> Floats:
    """P(the policy's action is not the expert's) at every step, where states have the law ``visits`` (H, S); shape (H,)."""
    agrees = np.take_along_axis(policy, expert[:, :, None], axis=2)[:, :, 0]
    return np.asarray((visits * (1 - agrees)).sum(axis=1), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Cloned:
    """A clone's loss V^E - V, its mistakes (H,) on the expert's states and on its own, and the price u (H,) of a mistake.

    ``error`` bounds that of a value, of a price and of a probability.
    """

    loss: float
    on_expert: Floats
    on_own: Floats
    price: Floats
    error: float


@functools.lru_cache(maxsize=3)  # a claim and its controls ask for the same clone
def _clone(mdp: EpisodicMDP, rate: float, pattern: str, off: str, expert: str, seed: int) -> Cloned:
    if expert == "optimal":
        taken = backward_induction(mdp).policy
    else:
        taken = np.random.default_rng([seed, 1]).integers(mdp.actions, size=(mdp.horizon, mdp.states))
    own = evaluate_episodic_policy(mdp, taken)
    policy = _learner(taken, own.q, rate, pattern, off, seed)
    clone = evaluate_episodic_policy(mdp, policy)
    there, here = episodic_occupancy(mdp, taken), episodic_occupancy(mdp, policy)
    return Cloned(
        loss=float(mdp.start @ (own.value[0] - clone.value[0])),
        on_expert=_mistakes(policy, taken, there.state),
        on_own=_mistakes(policy, taken, here.state),
        price=np.maximum(-own.advantage.min(axis=(1, 2)), 0.0),
        error=own.error + clone.error + there.error + here.error,
    )


@claim(
    ROSS_BAGNELL,
    "bc-compounding",
    r"V^E - V^{\hat\pi} \le \min\Bigl\{\sum_{h=1}^H (H - h + 1)\, e_h,\; H^2 \bar e,\; \frac{H(H+1)}{2} \max_h e_h\Bigr\}, \quad "
    r"e_h = P_{s \sim d^E_h}(\hat\pi_h(s) \ne \pi^E_h(s))",
    kind="inequality",
    source="derived",
    assumes="rewards in [0, 1]; a deterministic expert; mistakes are counted on the expert's states, their mean is \\bar e",
    note="The theorem is H^2 times the mean error (from memory): sharp, for mistakes at the first step only. With the largest error in"
    " its place H^2 is not, but H (H + 1) / 2 is.",
)
@over(cliff.sweep(H=(2, 5, 20, 80)), rate=(1e-4, 0.1, 1.0), pattern=("even", "first", "last"), off="alike", expert="optimal")
@over(detour.sweep(H=(5, 20)), rate=0.01, pattern="even", off=("right", "wrong"), expert="optimal")
@over(
    episodic_garnet.sweep(S=(2, 6), A=(2, 4), H=(3, 8), concentration=(0.1, 1.0), draws=by_profile(quick=2, full=15)),
    rate=(0.02, 1.0),
    pattern=("even", "random"),
    off="alike",
    expert=("optimal", "drawn"),
)
@over(
    episodic_lock.sweep(A=3, H=6, seed=0) | episodic_river_swim.sweep(S=5, H=12),
    rate=(0.02, 0.5),
    pattern=("even", "first"),
    off="alike",
    expert="optimal",
)
@over(cliff.sweep(H=(4, 12)), rate=Range(1e-6, 1.0, log=True), pattern="even", off="alike", expert="optimal", budget=30)
def bc_compounding(
    mdp: EpisodicMDP,
    *,
    rate: float,
    pattern: str,
    off: str,
    expert: str,
    seed: int,
    own_step: float = 1.0,
    weighted: float = 1.0,
    mean: float = 1.0,
    largest: float = 1.0,
    linear: bool = False,
) -> Comparison:
    r"""A clone that errs with probability e at each step may lose H^2 e / 2: mistakes compound.

    Couple clone and expert until the clone's first mistake. That happens at step h with probability at most :math:`e_h`, and costs at
    most the H - h + 1 rewards that are left; the sum is at most either of the other two. On a cliff a mistake costs all that is
    left, so that the sum is attained to the first order in e, :math:`H^2 \bar e` by mistakes at the first step only, and the third
    form by equal errors.
    """
    run = _clone(mdp, rate, pattern, off, expert, seed)
    loss, e, H = run.loss, run.on_expert, mdp.horizon
    slack = (1 + H**2) * run.error
    if linear:
        return at_most(loss, 2 * e.sum(), slack=slack)
    return all_of(
        weighted=at_most(loss, weighted * (H - np.arange(H) - 1 + own_step) @ e, slack=slack),
        mean=at_most(loss, mean * H**2 * e.mean(), slack=slack),
        largest=at_most(loss, largest * H * (H + 1) / 2 * e.max(), slack=slack),
    )


bc_compounding.control("2 H times the mean", because="nobody returns from the foot of a cliff", linear=True)
bc_compounding.control("a mistake costs H - h", because="it costs the reward of its own step too", own_step=0.0)
bc_compounding.control("five per cent less", because="a cliff attains the sum to the first order", weighted=0.95)
bc_compounding.control("0.95 H^2 of the mean", because="a first step that fails loses everything", mean=0.95)
bc_compounding.control("0.95 of half H (H + 1)", because="equal errors on a cliff attain it to the first order", largest=0.95)


@claim(
    ROSS_GORDON,
    "bc-recoverable",
    r"V^E - V^{\hat\pi} \le \sum_h u_h\, P_{s \sim d^{\hat\pi}_h}(\hat\pi_h(s) \ne \pi^E_h(s)), \quad "
    r"u_h = \max_{s, a} \bigl( V^E_h(s) - Q^E_h(s, a) \bigr)",
    kind="inequality",
    source="recalled",
    assumes="a deterministic expert; mistakes are counted on the learner's states",
    note="The theorem has max u_h and the mean error, u H \\bar e. Where one step recovers, u = 2, and the loss is linear in H.",
)
@over(
    detour.sweep(H=(2, 5, 20, 80)), rate=(1e-4, 0.1, 1.0), pattern=("even", "first"), off=("right", "wrong"), expert="optimal"
)
@over(
    episodic_garnet.sweep(S=(2, 6), A=(2, 4), H=(3, 8), concentration=(0.1, 1.0), draws=by_profile(quick=2, full=15)),
    rate=(0.02, 1.0),
    pattern=("even", "random"),
    off="alike",
    expert=("optimal", "drawn"),
)
@over(cliff.sweep(H=(5, 20)), rate=(0.01, 1.0), pattern="even", off="alike", expert="optimal")
def bc_recoverable(
    mdp: EpisodicMDP,
    *,
    rate: float,
    pattern: str,
    off: str,
    expert: str,
    seed: int,
    counted: str = "learner",
    factor: float = 1.0,
    cost: float | None = None,
) -> Comparison:
    r"""Where the expert recovers from a mistake, the loss is linear in the horizon, if mistakes are counted where the clone goes.

    The performance difference :math:`V^E - V^{\hat\pi} = \sum_h E_{d^{\hat\pi}_h} [V^E_h(s) - Q^E_h(s, \hat\pi)]` has terms only where
    the clone errs. On a path that one step returns to, u = 2 (1 at the last step) and a clone that returns attains it.
    """
    run = _clone(mdp, rate, pattern, off, expert, seed)
    u = run.price if cost is None else np.full(mdp.horizon, cost)
    bound = factor * u @ (run.on_own if counted == "learner" else run.on_expert)
    return at_most(run.loss, bound, slack=(1 + 2 * mdp.horizon + float(u.sum())) * run.error)


bc_recoverable.control(
    "mistakes counted on the expert's states",
    because="a clone that stays lost errs where the expert never is",
    counted="expert",
)
bc_recoverable.control("five per cent less", because="a clone that returns at once attains it", factor=0.95)
bc_recoverable.control(
    "u = 2 on the cliff",
    because="there a mistake costs all that is left",
    on=domain(cliff.sweep(H=(5, 20)), rate=0.01, pattern="even", off="right", expert="optimal"),
    cost=2.0,
)


@dataclass(frozen=True, eq=False)
class ContextCliff:
    """H steps; at each a context is drawn afresh, and the one right action in it earns 1 and stays on the path.

    Any other action falls off for good. ``weights`` float64[S] is the law of the contexts.
    """

    weights: Floats
    horizon: int
    demonstrations: int

    def expected_loss(self) -> float:
        """E[V^E - V of the clone] if the clone errs wherever the context was not seen: sum_h (1 - (1 - m)^h).

        Steps are independent, and the clone errs at each with the expected missing mass m.
        """
        m = float(expected_missing_mass(self.weights[None], self.demonstrations)[0])
        with np.errstate(divide="ignore"):
            return float(-np.expm1(np.arange(1, self.horizon + 1) * np.log1p(-m)).sum())


@family(S=1, H=1, N=1)
def context_cliff(S: int = 5, H: int = 5, N: int = 5, rare: float | None = None) -> ContextCliff:
    """S - 1 contexts of probability ``rare`` (1/(N + 1) if not given, but 1/S at the most) and one that has the rest."""
    each = min(1 / (N + 1) if rare is None else rare, 1 / S)
    weights = np.full(S, each)
    weights[0] = 1 - each * (S - 1)
    return ContextCliff(weights, H, N)


@functools.lru_cache(maxsize=3)  # a claim and its controls ask for the same instance
def _missed(instance: EpisodicMDP | ContextCliff, episodes: int) -> tuple[float, float]:
    """The largest expected loss of a clone of ``episodes`` demonstrations, and the rounding in it."""
    if isinstance(instance, ContextCliff):
        return instance.expected_loss(), 0.0
    best, H = backward_induction(instance), instance.horizon
    law = seen_law(instance, best.policy, episodes)
    assert instance.start is not None
    loss = float(instance.start @ best.value[0] - law.probability @ worst_cloned_value(instance, best.policy, law.seen))
    return loss, H * law.error + 2 * best.error


@claim(
    RAJARAMAN,
    "bc-missing-mass",
    r"E[V^E - V^{\hat\pi}] \le \frac{H(H+1)}{2}\, S\, \frac{N^N}{(N+1)^{N+1}} \le \frac{H(H+1)}{2} \cdot \frac{S}{eN}",
    kind="bound in expectation",
    source="derived",
    assumes="N independent demonstrations; a deterministic expert; rewards in [0, 1]; any action off the sample",
)
@over(context_cliff.sweep(S=(5, 20, 1000), H=(1, 5, 20), N=(1, 5, 20, 1000, 1_000_000)), episodes=0)
@over(context_cliff.sweep(S=10, H=5, N=(50, 500), rare=Range(1e-5, 0.1, log=True)), episodes=0, budget=60)
@over(
    episodic_garnet.sweep(S=2, A=2, H=4, concentration=(0.1, 1.0), draws=by_profile(quick=5, full=60))
    | episodic_garnet.sweep(S=3, A=3, H=3, concentration=(0.1, 1.0), draws=by_profile(quick=5, full=60)),
    episodes=(1, 4, 20, 100),
)
@over(cliff.sweep(H=5) | episodic_river_swim.sweep(S=2, H=5), episodes=(1, 20))
def bc_missing_mass(
    instance: EpisodicMDP | ContextCliff, *, episodes: int, factor: float = 1.0, power: float = 1.0, horizons: float = 2.0
) -> Comparison:
    r"""Cloning N demonstrations loses at most S H (H + 1) / (2 e N) on average, whatever is done in states that were not seen.

    The clone errs only where no demonstration was, so that :math:`E e_h = \sum_s d_h(s) (1 - d_h(s))^N`, to which
    `refs/bc-compounding` applies; and :math:`x (1 - x)^N` is largest at x = 1/(N + 1), where it is
    :math:`N^N / (N+1)^{N+1} \le 1/(eN)`. The expectation is exact: over all sets of states that N demonstrations may see, with the
    worst actions off them, or in closed form on cliffs with fresh contexts, where many states of probability 1/(N + 1) come near
    the bound.
    """
    loss, slack = _missed(instance, episodes)
    if isinstance(instance, ContextCliff):
        H, S, N = instance.horizon, instance.weights.size, instance.demonstrations
    else:
        H, S, N = instance.horizon, instance.states, episodes
    total = H * (H + 1) / 2 if horizons == 2 else H**horizons
    largest = factor * total * S * np.exp(N * np.log(N / (N + 1)) - np.log(N + 1))
    return all_of(
        sharp=at_most(loss, largest, slack=slack),
        simple=at_most(loss, factor * total * S / (math.e * N**power), slack=slack),
    )


bc_missing_mass.control("1 / N^2", because="states of probability 1/N are missed with a probability of 1/e", power=2.0)
bc_missing_mass.control("H in place of H (H + 1) / 2", because="what is missed early costs every later step", horizons=1.0)
bc_missing_mass.control("five per cent less", because="a thousand contexts of probability 1/(N + 1) come nearer", factor=0.95)
