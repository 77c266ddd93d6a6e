r"""Adaptive defence with non-dominated policies (Liu et al. 2024): how many policies to keep, which ones, and what that costs.

Notation: J[i, k] in [0, 1] is what policy i earns against attacker k, one column an attacker. In T episodes the attackers
:math:`\nu_1, \dots, \nu_T` come, and the learner is told what it earned, no more. The regret is against the best of all policies in
hindsight. A learner that keeps the k policies of a set K plays these only; Gap(K) is the mixture gap of :mod:`games.nondominated`.
The hidden code, with :math:`N = 2^H`, is the observation attack of :mod:`games.hidden_code`.
"""

import functools
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from bandits.adversarial import LossSequence
from bandits.play import simulate
from bandits.weight_policies import EXP3
from games.hidden_code import least_regret, memoryless_regret, play_search, search_regret, uninformed_regret
from games.nondominated import class_gap, greedy_discovery, mixture_gap, pointwise_gap, prune
from theory.claims import (
    Comparison,
    Paper,
    all_of,
    always,
    at_least,
    at_most,
    by_profile,
    claim,
    domain,
    family,
    mean_at_most,
    over,
)
from theory.random_streams import run_seeds

PAPER = Paper(
    key="protected-nondominated",
    title="Beyond Worst-case Attacks: Robust RL with Adaptive Defense via Non-dominated Policies",
    authors="Liu, Deng, Sun, Liang, Huang",
    year=2024,
    theme="safety",
    arxiv="2402.12673",
    venue="ICLR 2024",
)

Floats = NDArray[np.float64]
TIED = ((1, 0, 1), (0, 1, 0), (0, 1, 1))  # the second policy enters before the third, which dominates it
TOLERANCE = 1e-9  # what a certified gap may differ from 0


@family
def random_returns(n: int = 30, m: int = 4, levels: int = 0, seed: int = 0) -> Floats:
    """Returns of n policies against m attackers: uniform on [0, 1], or on ``levels`` + 1 equidistant numbers, with many ties."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, levels + 1, size=(n, m)) / levels if levels else rng.random((n, m))


@family
def specialists(m: int = 2, common: float = 0.9) -> Floats:
    """Policy k < m earns 1 against attacker k and nothing against the others; the last earns ``common`` against all of them."""
    return np.vstack([np.eye(m), np.full(m, common)])


@family
def codes(length: int = 3) -> Floats:
    """The hidden code's policies against its attackers: 1 if the code is right, 0 otherwise."""
    return np.eye(1 << length)


@family
def small_integers(rows: tuple[tuple[int, ...], ...] = ((3, 0), (0, 3), (1, 1))) -> Floats:
    """The returns as they are given, divided by the largest."""
    return np.array(rows) / np.max(rows)


@functools.cache
def _searched(length: int, episodes: int) -> Fraction:
    """The regret of the search, played against each code."""
    return Fraction(int(play_search(length, episodes)[:, -1].sum()), 1 << length)


_least = functools.cache(least_regret)


@claim(
    PAPER,
    "hardness",
    r"\mathbb{E}\, \mathrm{Regret}(T) \ge \sum_{t=1}^{T} \Bigl[1 - \frac{t}{2^H}\Bigr]_+ \ge \frac{T - 1}{2} \ (T \le 2^H), "
    r"\qquad \text{attained by search without repetition}",
    kind="lower bound",
    source="derived",
    assumes="all 2^H policies; the code is uniform; the learner sees what the attacker shows, its actions and the reward",
    note="T/2 in place of (T - 1)/2 is not true: at T = 2^H the least regret is (2^H - 1)/2. This instance has no noise, and beyond"
    " 2^H episodes its regret stays there: it proves min(2^H, T) up to constants, and sqrt(2^H T) needs noisy rewards.",
)
@over(length=(1, 2), episodes=(1, 2, 3, 5))
@over(length=3, episodes=by_profile(quick=2, full=(4, 8, 10)))
@over(length=5, episodes=(8, 32, 128))
@over(length=7, episodes=by_profile(quick=128, full=(32, 128, 512)))
def hardness(
    *, length: int, episodes: int, stretch: float = 1.0, less: int = 1, reveal: bool = False, repeat: bool = False
) -> Comparison:
    r"""Against a hidden code no learner has sublinear regret before :math:`2^H` episodes, whatever it does.

    What is shown is uniform for every code, so an episode tells whether one code, shown xor played, is right. In episode t at
    most t codes have been tried, and the reward is 1 with probability at most :math:`t / 2^H`. Search without repetition tries a new one
    each time. It is played here against each code; and up to 3 bits a dynamic programme finds the least regret of all learners,
    who may act on everything they see, bit by bit. Averages over codes are rational, and all numbers exact.
    """
    bound = Fraction(stretch) * search_regret(length, episodes)
    searched = memoryless_regret(length, episodes) if repeat else _searched(length, episodes)
    others = {
        "search": searched,
        "memoryless": memoryless_regret(length, episodes),
        "random": uninformed_regret(length, episodes),
    }
    if length <= 3:
        others["any learner"] = _least(length, episodes, reveal=reveal)
    return all_of(
        attained=always(searched == bound, "the search's regret"),
        linear=always(episodes > 1 << length or 2 * bound >= episodes - less, "half the episodes"),
        **{name.replace(" ", "_"): at_least(float(regret), float(bound)) for name, regret in others.items()},
    )


hardness.control("the bits revealed after each step", because="then one episode tells the code", reveal=True)
hardness.control("search with repetition", because="it tries codes that are known to be wrong", repeat=True)
hardness.control("1.01 times the sum", because="the search attains the sum", stretch=1.01)
hardness.control("T/2 in place of (T - 1)/2", because="at T = 2^H the sum is (2^H - 1)/2", less=0)


def _attackers(J: Floats, kept: tuple[int, ...], kind: str, episodes: int, seed: int) -> NDArray[np.int64]:
    """The attackers of the episodes: drawn from the mixture that K answers worst or from a random one, in blocks, or by turns."""
    rng = np.random.default_rng([seed, 1])
    if kind == "worst":
        gaps = [mixture_gap(row, J[list(kept)]) for row in J]
        return rng.choice(J.shape[1], size=episodes, p=max(gaps, key=lambda gap: gap.value).attackers)
    if kind == "random":
        return rng.choice(J.shape[1], size=episodes, p=rng.dirichlet(np.ones(J.shape[1])))
    length = episodes // 8 if kind == "blocks" else 1
    return np.arange(episodes) // length % J.shape[1]


_regrets: dict[tuple[object, ...], Floats] = {}


def _regret(J: Floats, kept: tuple[int, ...], attackers: str, seed: int, episodes: int, runs: int, learns: bool) -> Floats:
    """The regret of runs of EXP3 on ``kept`` to all policies, shape (runs,); remembered for the controls, which see the same runs."""
    key = (J.tobytes(), kept, attackers, seed, episodes, runs, learns)
    if key not in _regrets:
        met = _attackers(J, kept, attackers, episodes, seed)
        losses = LossSequence(1 - J[np.array(kept)][:, met].T)
        found = simulate(EXP3(None if learns else 0.0), losses, episodes, run_seeds(seed, runs))
        earned = episodes - found.pseudo_regret[:, -1] - losses.best_losses[-1]
        _regrets[key] = J[:, met].sum(axis=1).max() - earned
    return _regrets[key]


@claim(
    PAPER,
    "finite-class-regret",
    r"\mathbb{E}\, \mathrm{Regret}(T) \le \sqrt{2 k T \ln k} + T\, \mathrm{Gap}(K), \qquad \mathrm{Gap}(K) = \max_\pi \min_{w \in \Delta(K)} "
    r"\max_\nu \Bigl[ J(\pi, \nu) - \sum_{j \in K} w_j J(\pi_j, \nu) \Bigr]_+",
    kind="bound in expectation",
    source="derived",
    assumes="returns in [0, 1]; attackers fixed in advance; EXP3 on K with eta = sqrt(2 ln k / (k T))",
)
@over(
    random_returns.sweep(n=30, m=4, draws=by_profile(quick=1, full=10)),
    kept=[(0, 1), (0, 1, 2, 3, 4)],
    attackers=("worst", "random", "blocks", "turns"),
)
@over(specialists.sweep(m=(2, 3), common=(0.2, 0.9)), kept=[(0, 1)], attackers=("worst", "random", "turns"))
def finite_class_regret(
    J: Floats,
    *,
    kept: tuple[int, ...],
    attackers: str,
    seed: int,
    gap: str = "mixture",
    learning: float = 1.0,
    learns: bool = True,
    episodes: int = by_profile(quick=2000, full=20_000),
    runs: int = by_profile(quick=40, full=100),
) -> Comparison:
    r"""EXP3 on a few policies loses to all policies no more than it must learn, and their mixture gap in each episode.

    With the mixture w of the gap of policy :math:`\pi`, :math:`\sum_t J(\pi, \nu_t) \le T\, \mathrm{Gap}(K) + \sum_j w_j \sum_t J(\pi_j, \nu_t)`,
    and no mixture earns more than the best of K, to which EXP3's regret is at most :math:`\sqrt{2 k T \ln k}`. Rewards are averaged over
    the learner's own draw of a policy in each episode. Where the attackers come from the worst mixture, the second term is needed
    (`protected-nondominated/gap-necessity`), and the bound is within a few per cent.
    """
    regret = _regret(J, kept, attackers, seed, episodes, runs, learns)
    price = {"mixture": class_gap(J, kept), "pointwise": pointwise_gap(J, kept), "none": 0.0}[gap]
    return mean_at_most(regret, learning * np.sqrt(2 * len(kept) * episodes * np.log(len(kept))) + episodes * price)


finite_class_regret.control(
    "the pointwise gap", because="two specialists are 0.4 behind a policy that earns 0.9", gap="pointwise"
)
finite_class_regret.control("no gap", because="what K cannot mix, it cannot learn", gap="none")
finite_class_regret.control("EXP3 that never learns", because="it pays for the worse policies for ever", learns=False)


@claim(
    PAPER,
    "pointwise-gap",
    r"\mathbb{E}\, \mathrm{Regret}(T) \le \sqrt{2 k T \ln k} + T \max_{\pi, \nu} \Bigl[ J(\pi, \nu) - \max_{j \in K} J(\pi_j, \nu) \Bigr]_+",
    kind="bound in expectation",
    source="derived",
    assumes="a finite set K that is nearly optimal against each attacker alone; any learner that plays policies of K",
    expected="refuted",
    corrected="protected-nondominated/finite-class-regret",
    note="A set that contains a best policy against each attacker is not enough. J = ((1, 0), (0, 1), (1, 1)), K the first two: the"
    " pointwise gap is 0, but against attackers drawn by tossing a coin every learner in K loses T/2, above the bound from T = 12 on.",
)
@over(specialists.sweep(m=(2, 3, 4), common=(0.9, 1.0)), episodes=(12, 40, 1000))
@over(random_returns.sweep(n=30, m=(2, 4), draws=by_profile(quick=2, full=20)), episodes=1000)
def pointwise_regret(J: Floats, *, episodes: int, gap: str = "pointwise") -> Comparison:
    r"""To have a good answer to each attacker alone does not bound the regret against attackers that vary.

    The attackers are drawn from q, fresh in each episode. A learner in K earns at most :math:`\max_{j \in K} (J q)_j` in expectation,
    whatever it does, and some policy earns :math:`\max_i (J q)_i`; here K has a best policy against each attacker, and q is the mixture
    that it answers worst. So the left side is T times the difference: no sampling, and no particular learner.
    """
    kept = sorted(set(J.argmax(axis=0).tolist()))
    gaps = [mixture_gap(row, J[kept]) for row in J]
    q = max(gaps, key=lambda found: found.value).attackers
    lost = float((J @ q).max() - (J[kept] @ q).max())
    price = pointwise_gap(J, kept) if gap == "pointwise" else class_gap(J, kept)
    learning = np.sqrt(2 * len(kept) * episodes * np.log(len(kept))) if len(kept) > 1 else 0.0
    return at_most(episodes * lost, learning + episodes * price, slack=episodes * TOLERANCE)


pointwise_regret.repair("the mixture gap", because="it is what the worst mixture of attackers takes", gap="mixture")


@claim(
    PAPER,
    "gap-necessity",
    r"\max_{q \in \Delta} \Bigl[ \max_\pi (J q)_\pi - \max_{j \in K} (J q)_j \Bigr] = \mathrm{Gap}(K), \qquad \text{so } \sup_{\nu} "
    r"\mathbb{E}\, \mathrm{Regret}(T) \ge T\, \mathrm{Gap}(K) \text{ for every learner in } K",
    kind="necessity",
    source="derived",
    assumes="attackers may be drawn from q afresh in each episode; the learner plays policies of K only",
    note="With `protected-nondominated/finite-class-regret` the price of keeping K only is Gap(K) an episode, no more and no less.",
)
@over(
    random_returns.sweep(n=20, m=(2, 5), levels=(0, 2), draws=by_profile(quick=2, full=25))
    | specialists.sweep(m=(2, 4))
    | codes.sweep(),
    k=(1, 2, 4),
)
def gap_necessity(J: Floats, *, k: int, spread: bool = True, reach: float = 1.0) -> Comparison:
    r"""No learner that plays policies of K only can avoid the mixture gap.

    The minimax theorem exchanges the mixture of policies and that of attackers. Against attackers drawn from the q of the maximum
    each episode pays a learner in K at most :math:`\max_j (J q)_j`, whatever it knows, and the expectation of a maximum is at least
    the maximum of expectations. Both sides are certified: the gap from above by a mixture of K, from below by q.
    """
    kept = list(range(min(k, len(J) - 1)))
    gaps = [mixture_gap(row, J[kept]) for row in J]
    worst = max(gaps, key=lambda found: found.value)
    q = worst.attackers if spread else np.eye(J.shape[1])[worst.attackers.argmax()]
    taken = max(float((J @ q).max() - (J[kept] @ q).max()), 0.0)
    above = max(float((row - found.weights @ J[kept]).max()) for row, found in zip(J, gaps))
    return at_most([reach * max(above, 0.0), reach * class_gap(J, kept)], taken, slack=TOLERANCE)


gap_necessity.control("the likeliest attacker alone", because="K may have an answer to it", spread=False)
gap_necessity.control("1.01 times the gap", because="finite sets pay no more than the gap", reach=1.01)


def _nondominated(J: Floats) -> list[int]:
    """The policies that are ahead of all mixtures of the others."""
    return [i for i in range(len(J)) if mixture_gap(J[i], np.delete(J, i, axis=0)).value > TOLERANCE]


DISCOVERED = (
    random_returns.sweep(n=(20, 50), m=(2, 3, 5), draws=by_profile(quick=1, full=8))
    | random_returns.sweep(n=20, m=(2, 4), levels=(1, 4), draws=by_profile(quick=1, full=8))
    | specialists.sweep(m=3, common=(0.3, 0.9))
    | codes.sweep(length=(1, 3))
    | small_integers.sweep()
)


@claim(
    PAPER,
    "discovery",
    r"\mathrm{Gap}(K_{i+1}) \le \mathrm{Gap}(K_i), \qquad \mathrm{Gap}(K_{\mathrm{end}}) = 0, \qquad \{\text{non-dominated}\} \subseteq "
    r"K_{\mathrm{end}}, \qquad \mathrm{prune}(K_{\mathrm{end}}) \text{ is minimal}",
    kind="deterministic rate",
    source="derived",
    assumes="finitely many policies and attackers; K_1 is the policy with the largest least return, and each step adds the one with the"
    " largest mixture gap; a policy is non-dominated if it is ahead of all mixtures of the others",
)
@over(DISCOVERED)
def discovery(J: Floats, *, stop: str = "gap", pruned: bool = True) -> Comparison:
    r"""Greedy discovery ends with a set that loses nothing, and pruning makes it the least such set.

    A larger set has more mixtures. A policy of K has no gap, so that each step adds a new one, until none is ahead. A policy that is
    ahead of all mixtures of the others is ahead of those of K if it is not in K. The set :math:`\{z : z \le J^\top w\}` contains no
    line; so it is the convex hull of its vertices, lowered, and each vertex is some policy's. Every set with Gap 0 has these, and they
    are enough: dropping what the rest dominates leaves one policy for each. Without copies these are the non-dominated ones.
    """
    found = greedy_discovery(J)
    kept = found.found
    if stop == "start":
        kept = kept[:1]
    elif stop == "pointwise":
        kept = next(kept[:i] for i in range(1, len(kept) + 1) if pointwise_gap(J, kept[:i]) <= TOLERANCE)
    elif stop == "early":
        kept = kept[: max(len(kept) - 1, 1)]
    distinct = np.unique(J, axis=0)
    least = distinct[_nondominated(distinct)]
    left = J[list(prune(J, kept) if pruned else kept)]
    return all_of(
        monotone=at_most(found.gaps[1:], found.gaps[:-1], slack=TOLERANCE) if found.gaps.size > 1 else always(True),
        ends=always(class_gap(J, kept) <= TOLERANCE, "the last gap"),
        contains=always([(J[list(kept)] == row).all(axis=1).any() for row in least], "non-dominated policy"),
        minimal=always(len(left) == len(least) and {*map(tuple, left)} == {*map(tuple, least)}, "the pruned set"),
    )


discovery.control("the maximin policy alone", because="it is behind against most attackers", stop="start")
discovery.control("stopped at pointwise gap 0", because="mixed attackers still find it behind", stop="pointwise")
discovery.control("stopped one policy early", because="the last one added had a gap", stop="early")
discovery.control("not pruned", because="((3, 0), (0, 3), (1, 1)) starts with the last, which mixtures dominate", pruned=False)


@claim(
    PAPER,
    "best-mean-start",
    r"K_1 = \{\arg\max_\pi \textstyle\sum_\nu J(\pi, \nu)\} \Rightarrow K_{\mathrm{end}} = \{\text{non-dominated}\}, \qquad "
    r"K_1 = \{\pi_1\} \Rightarrow K_{\mathrm{end}} \setminus \{\pi_1\} \subseteq \{\text{non-dominated}\}",
    kind="identity",
    source="derived",
    assumes="no two policies are best against the mixture of attackers at which a gap is largest; any pi_1, here the maximin policy",
    note="So greedy discovery keeps at most one policy too many, its first. The best on average is never superfluous.",
)
@over(
    random_returns.sweep(n=(10, 40), m=(2, 3, 5), draws=by_profile(quick=2, full=20)) | small_integers.sweep() | codes.sweep()
)
def best_mean_start(J: Floats, *, start: str = "mean") -> Comparison:
    r"""Started from the policy with the best mean return, greedy discovery finds the smallest set, without pruning.

    The gap of the policy added is the largest of all :math:`(J q)_i - \max_{j \in K} (J q)_j`, over policies i and mixtures q. At this q
    it is a best policy. If it is the only one, it is ahead of every mixture of the others, against q. The same holds for the first policy if
    q is uniform; the maximin policy need not be a best one against any mixture.
    """
    first = int(J.mean(axis=1).argmax()) if start == "mean" else None
    least = set(_nondominated(J))
    later = greedy_discovery(J).found[1:]
    return all_of(
        found=always(set(greedy_discovery(J, start=first).found) == least, "the set found"),
        later=always(set(later) <= least, "a policy that was added"),
    )


best_mean_start.control("from the maximin policy", because="((3, 0), (0, 3), (1, 1)) starts with the last", start="maximin")
best_mean_start.control("with ties", because="two policies share the largest gap", on=domain(small_integers.sweep(rows=[TIED])))


@claim(
    PAPER,
    "greedy-minimal",
    r"|K_{\mathrm{end}}| = \min \{ |K| : \mathrm{Gap}(K) = 0 \}",
    kind="identity",
    source="derived",
    assumes="greedy discovery from the policy with the largest least return, without pruning",
    expected="refuted",
    corrected="protected-nondominated/best-mean-start",
    note="Greedy discovery may keep what later policies dominate. ((3, 0), (0, 3), (1, 1)) starts with the last and ends with all three;"
    " the first two are enough. Of 60 random matrices with 20 to 60 policies, 49 were discovered without a superfluous one.",
)
@over(
    small_integers.sweep(rows=[((3, 0), (0, 3), (1, 1)), TIED])
    | random_returns.sweep(n=30, m=4, draws=by_profile(quick=4, full=40))
)
def greedy_minimal(J: Floats, *, pruned: bool = False) -> Comparison:
    """The set that greedy discovery finds is not always the smallest with Gap 0.

    The maximin policy may be dominated by a mixture of two that are better on average. The first of the small matrices has no ties, and the
    second entries of 0 and 1 only, where also a tie lets in a policy that another dominates against each attacker.
    """
    found = greedy_discovery(J).found
    return always(len(prune(J, found) if pruned else found) == len(_nondominated(J)), "the number of policies")


greedy_minimal.repair("pruned", because="what the rest dominates is dropped", pruned=True)
