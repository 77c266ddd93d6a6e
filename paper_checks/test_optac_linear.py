"""The sample complexity of optimistic actor-critics in linear MDPs: the exponent of the regret, rare switches and their number.

The theorem's text was not at hand; its orders are recalled, every constant here is derived. Where runs are compared, both sides
use the same seeds.
"""

import functools

import numpy as np
from numpy.typing import NDArray

from mdplab.learning.linear_actor_critic import LOG_2, LinearActorCritic, linear_actor_critic
from mdplab.models import LinearMDP, episodic_lock, hypercube_linear, linear_simplex, to_linear
from paper_checks.optac import PAPER
from theory.claims import Comparison, all_of, at_most, by_profile, claim, domain, less_on_average, over, slope
from theory.random_streams import run_seeds

Floats = NDArray[np.float64]
SIGNS = 3  # k of the hypercube: 2^3 actions, d = 6


def _hard_gaps(episodes: NDArray[np.int64]) -> tuple[float, ...]:
    """The gap 2 k / sqrt T of the hypercube, which is about the hardest after T episodes, for all given T."""
    return tuple(float(f"{2 * SIGNS / np.sqrt(T):.6g}") for T in episodes)


def _fourfold(first: int, last: int) -> NDArray[np.int64]:
    """first, 4 first, 16 first, ..., as far as ``last``."""
    return first * 4 ** np.arange(1 + int(np.log(last / first) / np.log(4) + 1e-9))


@functools.lru_cache(maxsize=8)  # a claim and its controls ask for the same runs
def _regrets(H: int, gaps: tuple[float, ...], last: int, runs: int, seed: int, algorithm: LinearActorCritic) -> Floats:
    """Pseudo-regret on hypercubes of these gaps at 8, 32, ... thousand episodes, shape (gaps, runs, checkpoints)."""
    marks, seeds = _fourfold(8000, last), run_seeds(seed, runs)
    models = (hypercube_linear(k=SIGNS, H=H, gap=gap, seed=seed) for gap in gaps)
    return np.array([linear_actor_critic(m, last, seeds, algorithm, checkpoints=marks).pseudo_regret for m in models])


@claim(
    PAPER,
    "regret-exponent-linear",
    r"\sup_g E\,\mathrm{Reg}_g(T) = \tilde\Theta(\sqrt{T})",
    kind="regret exponent",
    source="derived",
    assumes="Algorithm B on the hypercube k = 3, d = 6, H = 2 (full: 3 as well), beta = H, eta = 1; g runs over the gaps 2 k / sqrt T' "
    "for every T' that is looked at",
)
@over(H=by_profile(quick=2, full=(2, 3)))
def regret_exponent_linear(
    *,
    H: int,
    seed: int,
    last: int = by_profile(quick=128_000, full=512_000),
    runs: int = 64,
    gaps: tuple[float, ...] = (),
    scale: float = 1.0,
    step: float = 1.0,
    between: tuple[float, float] = (1 / 3, 2 / 3),
) -> Comparison:
    r"""With function approximation the worst-case regret grows like the root of T too: its exponent lies between 1/3 and 2/3.

    The hypercube's 2^k actions are told apart only through their d = k + 3 features. Its hardest gap is of the order k / sqrt T, so that
    an exponent is one of the supremum over gaps: each fixed gap is in its logarithmic regime before long (control). One grid of gaps serves
    all T; an actor that learns nothing loses g (H - 1) T, whose supremum over the grid is linear (control). The window tells 1/2 from 1/3
    and from the 2/3 of explore-then-commit. The exponent seen is .44 to .48, for H = 2 and 3, from 8 to 128 or 512 thousand episodes: below 1/2, as what the
    learner pays before it knows anything is still seen at the small T.
    """
    marks = _fourfold(8000, last)
    algorithm = LinearActorCritic(scale=scale * H, step=step)
    regret = _regrets(H, gaps or _hard_gaps(marks), last, runs, seed, algorithm)
    return slope(marks, regret, between=between, worst_case=True)


def _without_optimism(*, H: int, seed: int, runs: int = 100) -> Comparison:
    """The exponent of Algorithm B with beta = 0 on the combination lock, whose bait it takes; features are one-hot, d = 6."""
    model = to_linear(episodic_lock(A=3, H=6, bait=0.1, top=0.8, seed=seed))
    marks = _fourfold(1000, 16_000)
    learned = linear_actor_critic(model, 16_000, run_seeds(seed, runs), LinearActorCritic(scale=0.0), checkpoints=marks)
    return slope(marks, learned.pseudo_regret, between=(1 / 3, 2 / 3))


regret_exponent_linear.control("one gap for all T", because="a fixed instance is soon easy", gaps=(0.2,), runs=20)
regret_exponent_linear.control("an actor that hardly moves", because="it stays uniform, and linear", step=1e-12, runs=4)
regret_exponent_linear.control("no optimism, on a lock", because="it takes the bait", check=_without_optimism)
regret_exponent_linear.control("the exponent 2/3", because="that is explore-then-commit's", between=(0.6, 0.75))


@functools.lru_cache(maxsize=4)  # a claim and its controls look at the same runs
def _early(mdp: LinearMDP, seed: int, runs: int, episodes: int, learner: LinearActorCritic) -> Floats:
    """Pseudo-regret after 500, 2000, ... episodes, shape (runs, checkpoints)."""
    return linear_actor_critic(
        mdp, episodes, run_seeds(seed, runs), learner, checkpoints=_fourfold(500, episodes)
    ).pseudo_regret


@claim(
    PAPER,
    "rare-switch-necessity-linear",
    r"E\,\mathrm{Reg}(T) = T (V^\star - V^{\mathrm{uniform}}) \text{ when the critic switches at every episode, with resets}",
    kind="necessity",
    source="derived",
    assumes="Algorithm B with resets; beside it the regret with rare switching has an exponent of at most 3/4 and is less than half",
    tests=3,
)
@over(linear_simplex.sweep(d=4, S=15, A=6, H=5, draws=by_profile(quick=1, full=3)))
def rare_switch_necessity_linear(
    mdp: LinearMDP,
    *,
    seed: int,
    reset: bool = True,
    threshold: float = 0.0,
    episodes: int = by_profile(quick=8000, full=32_000),
    runs: int = 14,
) -> Comparison:
    """In linear MDPs too, a critic for each episode destroys the algorithm: the actor is reset before it has taken a step.

    The policy of the first episode after a switch is the uniform one, whatever the critic; so the regret is exactly that of the uniform policy
    in every episode. Either remedy alone will do: switch when log det has grown by log 2, or do not reset (controls).
    """
    marks, rare = _fourfold(500, episodes), LinearActorCritic(scale=float(mdp.horizon))
    frequent = LinearActorCritic(scale=float(mdp.horizon), threshold=threshold, reset=reset)
    often, seldom = (_early(mdp, seed, runs, episodes, learner) for learner in (frequent, rare))
    return all_of(
        linear=slope(marks, often, between=(0.98, 1.02)),
        rare=slope(marks, seldom, between=(0.0, 0.75)),
        less=less_on_average(2 * seldom[:, -1], often[:, -1]),
    )


rare_switch_necessity_linear.control("every episode, no reset", because="an actor that is not reset follows", reset=False)
rare_switch_necessity_linear.control("rare switching", because="the frozen critic is followed", threshold=LOG_2)


def _reachable_dimensions(mdp: LinearMDP) -> NDArray[np.int64]:
    """d_h (H,): the dimension of the span of the features that step h can meet, whatever the policy."""
    kernel, start = mdp.to_episodic().P, mdp.start
    assert start is not None
    here = start > 0
    dimensions = np.empty(mdp.horizon, dtype=np.int64)
    for h in range(mdp.horizon):
        dimensions[h] = np.linalg.matrix_rank(mdp.features[here].reshape(-1, mdp.dimension))
        here = (kernel[h][here] > 0).any(axis=(0, 1))
    return dimensions


@claim(
    PAPER,
    "switch-count-linear",
    r"K(T) \le 1 + \sum_h \frac{d_h}{\log 2} \log\Bigl(1 + \frac{T L^2}{d_h}\Bigr) "
    r"\le 1 + \frac{dH}{\log 2} \log\Bigl(1 + \frac{T L^2}{d}\Bigr)",
    kind="inequality",
    source="derived",
    assumes="Algorithm B, a switch when some log det Lambda_h has grown by more than log 2; ||phi|| <= L; d_h the dimension of the "
    "features that step h can meet; every run, every T",
)
@over(linear_simplex.sweep(d=1, S=1, A=1, H=(1, 2), seed=0), episodes=(2**10 - 1, 2**16 - 1))
@over(linear_simplex.sweep(d=4, S=15, A=6, H=5), episodes=(500, 16_000))
@over(linear_simplex.sweep(d=(2, 8), S=10, A=3, H=(1, 4)), episodes=8000)
@over(hypercube_linear.sweep(k=(1, 3), H=(2, 5), gap=(0.02, 0.3)), episodes=(500, 16_000))
def switch_count_linear(
    mdp: LinearMDP, *, episodes: int, seed: int, share: float = 1.0, threshold: float = LOG_2, reset: bool = True
) -> Comparison:
    r"""The critic of a linear MDP is computed a logarithmic number of times, and the number counts only dimensions that can be reached.

    Let :math:`D = \sum_h \log\det \Lambda_h`. It starts at 0, never falls, and grows by more than log 2 from one switch to the next, since
    the growth of one step is that much and no other step's is negative. Within the span of the features that step h can meet
    :math:`\Lambda_h` has the trace :math:`d_h + \sum \|\phi\|^2 \le d_h + T L^2`, outside it is the identity; so by the inequality of arithmetic
    and geometric means :math:`\log\det \Lambda_h \le d_h \log(1 + T L^2 / d_h)`. The first switch is made before anything is seen. The sum over
    h is the sharper form; it increases with d_h, which gives the other.

    For d = H = 1 it is attained up to the 1: with one feature of norm 1, :math:`\Lambda` is 1, 3, 7, ... at the switches, and
    :math:`K = \lfloor \log_2(1 + T) \rfloor`. On the hypercube k = 3, H = 5 the sharper form is less than half of the other, and 3.5 times the number seen.
    """
    algorithm = LinearActorCritic(scale=float(mdp.horizon), threshold=threshold, reset=reset)
    marks = np.unique(np.geomspace(1, episodes, 40).astype(int))
    runs = linear_actor_critic(mdp, episodes, run_seeds(seed, 3), algorithm, checkpoints=marks)
    norm, d, d_h = mdp.feature_norm, mdp.dimension, _reachable_dimensions(mdp)[:, None]
    sharp = 1 + share * (d_h / LOG_2 * np.log1p(marks * norm**2 / d_h)).sum(axis=0)
    plain = 1 + share * d * mdp.horizon / LOG_2 * np.log1p(marks * norm**2 / d)
    most = runs.switches.max(axis=0)
    return all_of(reachable=at_most(most, sharp, x=marks), all_dimensions=at_most(most, plain, x=marks))


switch_count_linear.control("a tenth less", because="a single feature attains the bound up to the 1", share=0.9)
switch_count_linear.control(
    "a switch each episode",
    because="K = T",
    threshold=0.0,
    on=domain(hypercube_linear.sweep(k=3, H=2, gap=0.1), episodes=(500, 2000)),
)
switch_count_linear.control("half the growth makes a switch", because="there are up to twice as many", threshold=LOG_2 / 2)


@claim(
    PAPER,
    "switch-growth-linear",
    r"K(T) = O(\log T)",
    kind="deterministic rate",
    source="derived",
    assumes="Algorithm B on a linear MDP d = 4, S = 15, A = 6, H = 5 and on the hypercube k = 3, H = 5; the exponent of T from 2000 on",
)
@over(linear_simplex.sweep(d=4, S=15, A=6, H=5))
@over(hypercube_linear.sweep(k=SIGNS, H=5, gap=0.05))
def switch_growth_linear(
    mdp: LinearMDP, *, seed: int, last: int = by_profile(quick=32_000, full=512_000), runs: int = 20, threshold: float = LOG_2
) -> Comparison:
    r"""The number of switches has no power of T in it: nearly as many more for every fourfold T.

    An exponent of at most 1/5 is what the bound of `optac/switch-count-linear` leaves: :math:`\log(1 + x)` has the local exponent
    :math:`x / ((1 + x) \log(1 + x))`, which is below 1/5 from :math:`x = T/d = 142` on.
    """
    marks = _fourfold(2000, last) if threshold > 0 else np.array([250, 500, 1000])
    algorithm = LinearActorCritic(scale=float(mdp.horizon), threshold=threshold)
    counts = linear_actor_critic(mdp, int(marks[-1]), run_seeds(seed, runs), algorithm, checkpoints=marks).switches
    return slope(marks, counts.astype(float), between=(0.0, 0.2))


switch_growth_linear.control("a switch each episode", because="K = T", threshold=0.0)
