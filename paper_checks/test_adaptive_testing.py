r"""Adaptive testing environments with dense reinforcement learning (Yang et al. 2024): mixtures of surrogates, and where to tilt.

Notation: p the law of whole paths of a chain, F the indicator of the event to be measured, mu its probability; q_k the laws of
surrogate chains, q_alpha = sum_k alpha_k q_k their mixture, V(alpha) = sum p^2 F/q_alpha - mu^2 the variance of one weighted sample.
Paths are enumerated, and every expectation is exact.
"""

import numpy as np
from numpy.typing import NDArray

from bandits.importance_mixtures import MixtureProblem, fit_mixture, path_law, weight_second_moment
from mdplab.models.finite_chain import FiniteChain, paths
from theory.claims import Comparison, Paper, Range, all_of, at_most, by_profile, claim, equal, family, over

Array = NDArray[np.float64]

PAPER = Paper(
    key="adaptive-testing",
    title="Adaptive Testing Environment Generation for Connected and Automated Vehicles with Dense Reinforcement Learning",
    authors="Yang, Bai, Ji, Zhang, Hu, Feng",
    year=2024,
    theme="bandits",
    arxiv="2402.19275",
)


def _chain(start: Array, kernels: Array) -> FiniteChain:
    return FiniteChain(start, kernels, np.zeros((len(kernels) + 1, start.size)))


def _random_chain(S: int, H: int, rng: np.random.Generator) -> FiniteChain:
    return _chain(rng.dirichlet(np.ones(S)), rng.dirichlet(np.ones(S), size=(H, S)))


@family(S=2, H=1, K=2)
def surrogates(S: int = 3, H: int = 5, K: int = 4, hits: int = 3, blind: bool = False, seed: int = 0) -> MixtureProblem:
    """A random chain of H steps, K random surrogates, and the event that the last state is visited at least ``hits`` times.

    ``blind`` surrogates never visit that state twice in a row, although the event may ask for it.
    """
    rng = np.random.default_rng(seed)
    natural = _random_chain(S, H, rng)
    there = paths(natural) == S - 1
    laws = np.array([path_law(_random_chain(S, H, rng)) for _ in range(K)])
    if blind:
        laws *= ~(there[:, 1:] & there[:, :-1]).any(axis=1)
        laws /= laws.sum(axis=1, keepdims=True)
    return MixtureProblem(path_law(natural), there.sum(axis=1) >= hits, laws)


@claim(
    PAPER,
    "mixture-convex",
    r"V \text{ is convex on the simplex}, \quad \min_\alpha V(\alpha) \le \min_k V(e_k), \quad"
    r" \mathbb{E}_{q_\alpha}\bigl[\tfrac{p F}{q_\alpha}\bigr] = \mu \text{ for every } \alpha, \quad V = 0 \text{ for } q = p F/\mu",
    kind="inequality",
    source="derived",
    assumes="surrogates draw every path of the event",
    note="Mixing transition matrices in place of laws of paths is convex as well. Of 2400 random surrogates 99.8% are worse than crude sampling.",
)
@over(surrogates.sweep(S=3, H=5, hits=(2, 4), K=(2, 4), draws=by_profile(quick=15, full=150)))
@over(surrogates.sweep(S=2, H=7, hits=5, K=3, draws=by_profile(quick=15, full=150)))
def mixture_convex(problem: MixtureProblem, *, seed: int, uniform: bool = False, of_midpoint: float = 1.0) -> Comparison:
    """A fitted mixture of surrogates is unbiased and never worse than the best of them.

    1/q is convex in q, and q_alpha linear in alpha. A vertex of the simplex is a single surrogate, and it can be the optimum. Each
    path of the event contributes q (p/q) to the mean. What is compared is the variance that the fit attains.
    """
    rng = np.random.default_rng(seed)
    K = problem.proposals.shape[0]
    first, second = rng.dirichlet(np.ones(K), size=(2, 20))
    second[:5] = 0.9 * first[:5] + 0.1 * second[:5]
    weights = np.full(K, 1 / K) if uniform else fit_mixture(problem).weights
    single = problem.variance(np.eye(K))
    ideal = MixtureProblem(problem.p, problem.f, (problem.p * problem.f / problem.mean)[None])
    # variances are differences of a second moment and mu^2, each a sum of positive terms
    rounding = 1e-13 * (float(single.min()) + problem.mean**2)
    ends = (problem.variance(first) + problem.variance(second)) / 2
    return all_of(
        convex=at_most(problem.variance((first + second) / 2), of_midpoint * ends, slack=rounding + 1e-13 * ends),
        fitted=at_most(problem.variance(weights), single.min(), slack=rounding),
        unbiased=equal(problem.expectation(first), problem.mean, tolerance=1e-12),
        ideal=equal(ideal.variance([1.0]), 0.0, tolerance=1e-13, scale=problem.mean**2),
    )


mixture_convex.control("the uniform mixture", because="poor surrogates spoil it", uniform=True)
mixture_convex.control("0.95 of the mean of the ends", because="near each other the three variances agree", of_midpoint=0.95)


def _unbiased(problem: MixtureProblem) -> Comparison:
    """The part of the claim that can be stated of surrogates which leave out paths of the event."""
    K = problem.proposals.shape[0]
    return equal(problem.expectation(np.full(K, 1 / K)), problem.mean, tolerance=1e-12)


mixture_convex.control(
    "surrogates that never stay",
    because="paths that they never draw are missing from the mean",
    on=surrogates.sweep(S=3, H=5, hits=2, K=2, blind=True, draws=3),
    check=_unbiased,
)


@claim(
    PAPER,
    "mixture-certificate",
    r"V(\hat\alpha) - \min_\alpha V(\alpha) \le \max_k \sum_x \frac{c\, q_k}{q_{\hat\alpha}^2} - \sum_x \frac{c}{q_{\hat\alpha}} \le 10^{-6}\, V(\hat\alpha),"
    r" \qquad c = p^2 F",
    kind="inequality",
    source="derived",
    assumes="the fit of a mixture; random weights and weights near the fit as rivals",
)
@over(surrogates.sweep(S=3, H=5, hits=(2, 4), K=(2, 4), draws=by_profile(quick=15, full=150)))
def mixture_certificate(problem: MixtureProblem, *, seed: int, iterations: int = 200) -> Comparison:
    """The fit carries its proof: where all surrogates promise the same slope, no other weights are better.

    A convex function lies above its tangent, whose least value on the simplex is at a vertex.
    """
    rng = np.random.default_rng(seed)
    K = problem.proposals.shape[0]
    fit = fit_mixture(problem, iterations)
    rivals = rng.dirichlet(np.ones(K), size=200)
    rivals[100:] = 0.99 * fit.weights + 0.01 * rivals[100:]
    return all_of(
        rivals=at_most(fit.variance - problem.variance(rivals), fit.gap, slack=1e-13 * (fit.variance + problem.mean**2)),
        small=at_most(fit.gap, 1e-6 * fit.variance),
    )


mixture_certificate.control("a fit of two iterations", because="it has not arrived", iterations=2)


@family(K=2)
def stretched(K: int = 3, S: int = 3, H: int = 4, seed: int = 0) -> MixtureProblem:
    """Surrogates that raise or lower the probability of the event as a whole, and leave its paths in proportion."""
    rng = np.random.default_rng(seed)
    natural = _random_chain(S, H, rng)
    p, event = path_law(natural), (paths(natural) == S - 1).any(axis=1)
    chances = rng.uniform(0.05, 0.95, size=(K, 1))
    return MixtureProblem(p, event, chances * p * event / p[event].sum() + (1 - chances) * p * ~event / p[~event].sum())


@claim(
    PAPER,
    "balance",
    r"M(\alpha) = \sum_x \frac{p^2 F}{q_\alpha} \le \Bigl(\sum_k \frac{\alpha_k}{M(e_k)}\Bigr)^{-1} \le \min_k \frac{M(e_k)}{\alpha_k},"
    r" \qquad \Bigl(\sum_k \frac{\alpha_k}{M(e_k)}\Bigr)^{-1} \le \sum_k \alpha_k M(e_k)",
    kind="inequality",
    source="derived",
    assumes="surrogates draw every path of the event",
    note="The last sum is the second moment of a sample that is weighed by p/q_k of the surrogate that drew it.",
)
@over(surrogates.sweep(S=3, H=5, hits=(2, 4), K=(2, 4), draws=by_profile(quick=8, full=80)))
@over(stretched.sweep(K=(2, 4), draws=by_profile(quick=5, full=50)))
def balance(problem: MixtureProblem, *, seed: int, of_right: float = 1.0, power: float = -1.0) -> Comparison:
    r"""A poor surrogate in a mixture costs no more than its share: the second moment is at most the harmonic mean of the parts'.

    :math:`q \mapsto (\sum_x c_x/q_x)^{-1}` is concave, as a harmonic mean is, and q_alpha is linear in alpha. It is homogeneous as
    well, so that surrogates in proportion to each other on the event attain it. The rest is the order of means. So one should weigh
    by the mixture, and not by the surrogate that happened to draw.
    """
    rng = np.random.default_rng(seed)
    K = problem.proposals.shape[0]
    weights = rng.dirichlet(np.ones(K), size=20)
    square = problem.mean**2
    moments = problem.variance(np.eye(K)) + square
    mean = (weights @ moments**power) ** (1 / power)
    return all_of(
        harmonic=at_most(problem.variance(weights) + square, of_right * mean),
        share=at_most(mean[:, None], moments / weights),
        own=at_most(mean, weights @ moments),
    )


balance.control("0.95 of the harmonic mean", because="surrogates in proportion attain it", of_right=0.95)
balance.control("the power mean of order -1.05", because="it is smaller than the harmonic mean", power=-1.05)


@family(H=1, critical=0)
def tosses(H: int = 10, critical: int = 3, p: float = 0.5, q: float = 0.3) -> tuple[FiniteChain, FiniteChain]:
    """H tosses of a coin of probability p, and a proposal that tosses one of probability q at the first ``critical`` times."""

    def chain(chances: Array) -> FiniteChain:
        rows = np.stack((chances, 1 - chances), axis=1)
        return _chain(np.array([1.0, 0.0]), np.repeat(rows[:, None], 2, axis=1))

    tilted = np.where(np.arange(H) < critical, q, p)
    return chain(np.full(H, p)), chain(tilted)


@claim(
    PAPER,
    "dense",
    r"\mathbb{E}_q[W^2] = \Bigl(\sum_x \frac{p(x)^2}{q(x)}\Bigr)^{\#\text{tilted steps}}",
    kind="identity",
    source="derived",
    assumes="W = p/q of the whole path; steps that are left alone or tilted from p to q, independently of the state",
    note="For p = 1/2 and q = 0.3 the base is 25/21: a second moment of 1.42, 2.39, 5.72, 32.7 for 2, 5, 10, 20 tilted steps.",
)
@over(tosses.sweep(H=(2, 5, 10), critical=(0, 1, 2)))
@over(tosses.sweep(H=10, critical=10))
@over(tosses.sweep(H=8, critical=(1, 3, 8), p=Range(0.05, 0.95), q=Range(0.05, 0.95)), budget=by_profile(quick=15, full=150))
def dense(pair: tuple[FiniteChain, FiniteChain], *, everywhere: bool = False, linear: bool = False) -> Comparison:
    """Tilting every step multiplies the variance of the weights step by step; tilting the critical ones alone does not.

    The weight of a path is a product of independent factors, whose second moments are sum p^2/q where the step is tilted and 1
    where it is not. Against an enumeration of all paths, and the product of matrices p^2/q.
    """
    chain, proposal = pair
    p, q = (path_law(c) for c in pair)
    enumerated = float((p**2 / np.where(p > 0, q, 1.0)).sum())
    tilted = (chain.kernels != proposal.kernels).any(axis=(1, 2))
    base = float((chain.kernels[0, 0] ** 2 / proposal.kernels[0, 0]).sum())
    steps = chain.steps if everywhere else int(tilted.sum())
    closed = 1 + steps * (base - 1) if linear else base**steps
    return all_of(
        enumerated=equal(enumerated, closed, tolerance=1e-12),
        matrices=equal(weight_second_moment(chain, proposal), closed, tolerance=1e-12),
    )


dense.control("as if every step were tilted", because="steps that are left alone have the weight 1", everywhere=True)
dense.control("adding in place of multiplying", because="from two tilted steps on, variances multiply", linear=True)


@family(S=2, H=1)
def critical_states(S: int = 3, H: int = 6, tilt: float = 1.0, seed: int = 0) -> tuple[FiniteChain, FiniteChain]:
    """A random chain of constant rows, and a proposal that tilts the row of state 0 alone, to e^(tilt x) times itself at state x."""
    rng = np.random.default_rng(seed)
    start, rows = rng.dirichlet(np.ones(S)), rng.dirichlet(np.ones(S), size=S)
    changed = rows.copy()
    changed[0] *= np.exp(tilt * np.arange(S))
    changed[0] /= changed[0].sum()
    return _chain(start, np.repeat(rows[None], H, axis=0)), _chain(start, np.repeat(changed[None], H, axis=0))


@claim(
    PAPER,
    "dense-states",
    r"\mathbb{E}_q[W^2] = \mathbb{E}_{\tilde q}\bigl[c^{\,\#\text{visits of the critical state}}\bigr], \qquad"
    r" c = \sum_y \frac{p(y|0)^2}{q(y|0)}, \quad \tilde q(y|0) = \frac{p(y|0)^2}{c\, q(y|0)}",
    kind="identity",
    source="derived",
    assumes=r"only the row of state 0 is tilted; \tilde q = p in the other states; visits before the last step",
)
@over(critical_states.sweep(S=(2, 3), H=(1, 6), tilt=(0.3, 1.0), draws=by_profile(quick=4, full=40)))
def dense_states(pair: tuple[FiniteChain, FiniteChain], *, law: str = "squared") -> Comparison:
    """Where states and not times are critical, the price is paid by visits, counted under a third law.

    Each visit contributes p^2/q = c times a probability. The enumeration of paths on the left, the mean of c^visits on the right.
    """
    chain, proposal = pair
    p, q = (path_law(c) for c in pair)
    row, tilted = chain.kernels[0, 0], proposal.kernels[0, 0]
    c = float((row**2 / tilted).sum())
    kernels = chain.kernels.copy()
    kernels[:, 0] = {"squared": row**2 / tilted / c, "p": row, "q": tilted}[law]
    third = _chain(chain.start, kernels)
    visits = (paths(chain)[:, :-1] == 0).sum(axis=1)
    return all_of(
        enumerated=equal(float((p**2 / q).sum()), float(path_law(third) @ c**visits), tolerance=1e-12),
        matrices=equal(weight_second_moment(chain, proposal), float((p**2 / q).sum()), tolerance=1e-12),
    )


dense_states.control("visits under the chain itself", because="the square of the weight favours other paths", law="p")
dense_states.control("visits under the proposal", because="the square of the weight favours other paths", law="q")
