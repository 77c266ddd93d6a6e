r"""DRAKES (Wang et al. 2024): discrete diffusion models tuned to a reward, as controlled Markov jump processes.

Notation: q_t(x, y) are the pretrained rates on [0, 1], r the reward at time 1, alpha the temperature, h_t(x) = E_pre[e^{r(x_1)/alpha} | x_t = x],
and J(u) = E_u r(x_1) - alpha KL(P^u || P^pre) the objective, its divergence one of laws of paths.

The paper optimises by differentiating through sampled paths with straight-through Gumbel-softmax draws. Nothing is proved of that, so
it is not checked here; what is checked is what the optimum is, and what it does.
"""

import numpy as np
from numpy.typing import NDArray

from mdplab.models.jump_process import JumpProcess, masked_diffusion, random_jump_process
from mdplab.solvers.continuous_time import (
    HTransform,
    controlled_rates,
    divergence_rate,
    h_transform,
    objective,
    pretrained_rates,
    process_marginals,
    quadrature,
    transitions,
)
from theory.claims import Comparison, Paper, all_of, at_least, at_most, by_profile, claim, domain, equal, over, slope
from theory.divergences import kl
from theory.tilts import log_tilt

Array = NDArray[np.float64]

PAPER = Paper(
    key="drakes",
    title="Fine-Tuning Discrete Diffusion Models via Reward Optimization with Applications to DNA and Protein Design",
    authors="Wang, Uehara, He, Wang, Biancalani, Lal, Jaakkola, Levine, Wang, Regev",
    year=2024,
    theme="alignment",
    arxiv="2410.13643",
)

ALPHAS = (0.5, 2.0)
POINTS = (
    random_jump_process.sweep(S=(2, 8), pieces=2, speed=(0.15, 2.0), draws=by_profile(quick=1, full=10))
    | random_jump_process.sweep(S=4, pieces=2, sparse=True, draws=by_profile(quick=1, full=10))
    | masked_diffusion.sweep(tokens=2, draws=by_profile(quick=1, full=10))
)
SPREAD = random_jump_process.sweep(S=(2, 4), pieces=2, point=False, speed=(0.15, 0.7), draws=by_profile(quick=1, full=20))


def _at_nodes(process: JumpProcess, alpha: float) -> tuple[HTransform, Array]:
    """The h-transform at 0, the nodes of a quadrature, and 1; and the weights of the nodes."""
    # the tuned rates change within exp(-(range of r) / alpha) of the ends of pieces: the last intervals are shorter
    depth = 5 + int(np.ptp(process.reward) / alpha / np.log(2))
    times, weights = quadrature(process, depth=depth)
    return h_transform(process, alpha, np.concatenate(([0.0], times, [1.0]))), weights


def _tilt(law: Array, reward: Array, alpha: float) -> Array:
    with np.errstate(divide="ignore"):
        return np.exp(log_tilt(np.log(law), reward, alpha))


@claim(
    PAPER,
    "optimal-generator",
    r"u_t(x, y) = q_t(x, y) \frac{h_t(y)}{h_t(x)}: \quad p_t^u = \frac{p_t^{\mathrm{pre}} h_t}{h_0(x_0)}, \quad p_1^u \propto p_1^{\mathrm{pre}}"
    r" e^{r/\alpha}, \quad J(u) = \alpha \ln h_0(x_0), \quad \mathrm{KL}(P^u \| P^{\mathrm{pre}}) = \mathrm{KL}(p_1^u \| p_1^{\mathrm{pre}})",
    kind="identity",
    source="recalled",
    assumes="the start is one state x_0, such as the fully masked one; rates constant on pieces of time",
    note="The assumption on the start is needed: `drakes/initial-law`.",
)
@over(POINTS, alpha=ALPHAS)
def optimal_generator(
    process: JumpProcess, *, alpha: float, cooled: float = 1.0, scaled: float = 1.0, compensated: bool = True
) -> Comparison:
    r"""The optimal rates tilt the law of the samples by the reward, and the marginals at all earlier times by h.

    h solves :math:`\dot h_t = -Q_t h_t`. So :math:`\frac{d}{dt}(p_t h_t)(y) = \sum_x p_t(x) q_t(x, y) h_t(y) - p_t(y) \sum_z q_t(y, z) h_t(z)`, which is what
    the rates u do to :math:`p_t h_t`: that is the second comparison, at the nodes of a quadrature. The law of paths is that of the pretrained process times
    :math:`e^{r(x_1)/\alpha}/h_0(x_0)`, whose logarithm has the mean :math:`\mathbb{E}_u r/\alpha - \ln h_0`, the divergence of paths. It depends on the end
    alone, so that the divergence of the ends is the same.

    The marginals are propagated by the exact kernels of the tuned process; integrals over time are Gauss-Legendre sums, on intervals that
    shrink towards the end, where at low temperatures the rates change fast.
    """
    solved, weights = _at_nodes(process, alpha)
    before = process_marginals(process, solved.times)
    root = int(np.argmax(process.start))
    tilted = before * np.exp((solved.log_h - solved.log_h[0, root]) / cooled)
    h = np.exp(solved.log_h - solved.log_h[0, root])
    inside = slice(1, -1)
    law, h_t = before[inside], h[inside]
    Q = pretrained_rates(process, solved.times[inside])
    u = scaled * controlled_rates(process, solved.log_h[inside], solved.times[inside])
    change = np.einsum("tx,txy->ty", law, Q) * h_t - law * np.einsum("txy,ty->tx", Q, h_t)
    flow = np.einsum("tx,txy->ty", law * h_t, u)
    cost = divergence_rate(u, Q)
    if not compensated:  # the diagonals are minus the rates of leaving
        cost = cost - np.einsum("txx->tx", u) + np.einsum("txx->tx", Q)
    path_kl = float(weights @ (law * h_t * cost).sum(axis=1))
    end = solved.marginals[-1]
    value = alpha * solved.log_h[0, root]
    size = 1 + float(np.abs(process.reward).max())
    return all_of(
        marginals=equal(solved.marginals, tilted, tolerance=1e-11, scale=1.0),
        forward_equation=equal(flow, change, tolerance=1e-11),
        end=equal(end, _tilt(before[-1], process.reward, alpha), tolerance=1e-11, scale=1.0),
        value=equal(end @ process.reward - alpha * path_kl, value, tolerance=1e-10, scale=size),
        ends_tell=equal(path_kl, kl(end, before[-1]), tolerance=1e-10, scale=size / alpha),
    )


optimal_generator.control("marginals at 1.05 of the temperature", because="the exponent is 1/alpha", cooled=1.05)
optimal_generator.control("rates 1% larger", because="then the process runs ahead of its marginals", scaled=1.01)
optimal_generator.control("the divergence without - u + q", because="jumps that do not happen count as well", compensated=False)
optimal_generator.control(
    "a start that is spread", because="the tuned process cannot choose where it begins", on=domain(SPREAD, alpha=ALPHAS)
)


@claim(
    PAPER,
    "value-gap",
    r"J(u) = \alpha\, \mathbb{E} \ln h_0(x_0) - \alpha\, \mathrm{KL}(P^u \| P^\star) \quad \text{for all rates } u",
    kind="identity",
    source="derived",
    assumes="any start law; u vanishes where q does; the rates of P* are q_t(x, y) h_t(y)/h_t(x)",
    note="So the h-transform is optimal among all rates, for every start law, also where it misses the tilt.",
)
@over(POINTS | SPREAD, alpha=ALPHAS, noise=1.0)
def value_gap(
    process: JumpProcess, *, alpha: float, noise: float, seed: int, reverse: bool = False, best: float = 1.0
) -> Comparison:
    r"""What other rates lose is alpha times the divergence of their paths from the optimal paths.

    :math:`\ln \frac{dP^u}{dP^{\mathrm{pre}}} = \ln \frac{dP^u}{dP^\star} + \frac{r(x_1)}{\alpha} - \ln h_0(x_0)` on every path; take the mean under u. Checked
    for the pretrained rates times the exponentials of normal noise, with all divergences as integrals over time.
    """
    solved, weights = _at_nodes(process, alpha)
    rng = np.random.default_rng(seed)
    factors = np.exp(noise * rng.standard_normal(process.rates.shape))
    other = JumpProcess(process.start, np.maximum(process.rates, 0) * factors, process.reward)
    laws = solved.marginals if reverse else process_marginals(other, solved.times)
    star = controlled_rates(process, solved.log_h[1:-1], solved.times[1:-1])
    u = pretrained_rates(other, solved.times[1:-1])
    rate = divergence_rate(star, u) if reverse else divergence_rate(u, star)
    distance = float(weights @ (laws[1:-1] * rate).sum(axis=1))
    top = best * alpha * float(process.start @ solved.log_h[0])
    value = objective(other, process, alpha)
    size = 1 + float(np.abs(process.reward).max()) + alpha * distance
    return all_of(
        identity=equal(value, top - alpha * distance, tolerance=1e-10, scale=size),
        optimal=at_most(value, top, slack=1e-10 * size),
    )


value_gap.control("the divergence the other way round", because="the mean is taken under u", reverse=True)
value_gap.control("a value 2% off", because="the value is the logarithm of h at the start", best=1.02)


@claim(
    PAPER,
    "initial-law",
    r"p_1^u(x) = \sum_{x_0} p_0(x_0) \frac{P^{\mathrm{pre}}(x | x_0)\, e^{r(x)/\alpha}}{h_0(x_0)}, \qquad \|p_1^u - \mathrm{tilt}\|_1 \ge"
    r" \frac{e^{\min r/\alpha}}{\|M^{-1}\|_\infty} \sum_{x_0} p_0(x_0) \Bigl|\frac{1}{h_0(x_0)} - \frac1Z\Bigr|",
    kind="separation",
    source="derived",
    assumes="M(x_0, x) = P_pre(x | x_0), invertible as det M = exp of the integral of tr Q; Z = E h_0(x_0); tilt = p_1^pre e^{r/alpha}/Z",
    note="A finding: from a start that is spread the optimum tilts the samples to the reward only if h_0 is constant on the support, and a"
    " chain that mixes fast hides it. Tilting the start as well, p_0 h_0/Z, repairs it.",
)
@over(SPREAD, alpha=ALPHAS)
@over(random_jump_process.sweep(S=4, speed=(0.15, 2.0), draws=by_profile(quick=1, full=10)), alpha=ALPHAS)
def initial_law(
    process: JumpProcess, *, alpha: float, exact: bool = True, factor: float = 1.0, start: bool = True
) -> Comparison:
    r"""If the start is spread, the tuned process does not sample from the tilt: it cannot choose where it begins.

    Under the tuned rates each start is tilted on its own. The difference from the tilt is :math:`(\mu M)(x) e^{r(x)/\alpha}` with :math:`\mu(x_0) =
    p_0(x_0)(1/h_0(x_0) - 1/Z)`. M is invertible, so the difference vanishes if and only if mu does, and :math:`\|\mu\|_1 \le \|\mu M\|_1
    \|M^{-1}\|_\infty`. Checked beside it: from the start law p_0 h_0/Z the tilt is met, and so it is from a start that is spread over two copies
    of a state, which are worth the same.
    """
    solved = h_transform(process, alpha)
    M = transitions(process, [0.0, 1.0])[0]
    top = process.reward.max() / alpha
    h = np.exp(solved.log_h - top)  # times a constant, which cancels
    Z = process.start @ h[0]
    gain = np.exp(process.reward / alpha - top)
    claimed = ((process.start / h[0]) @ M) * gain
    tilt = _tilt(process.start @ M, process.reward, alpha)
    mu = process.start * (1 / h[0] - 1 / Z)
    inverse = np.linalg.inv(M)
    rounding = 1e-13 * np.linalg.cond(M)
    trace = np.trace(process.rates.sum(axis=0)) / process.pieces
    bound = factor * gain.min() * np.abs(mu).sum() / np.abs(inverse).sum(axis=1).max()
    distance = np.abs(solved.marginals[-1] - tilt).sum()
    if np.count_nonzero(process.start) == 1:
        bound = 0.0
    begun = process.start * h[0] / Z if start else process.start
    again = JumpProcess(begun, process.rates, process.reward)
    copies = _doubled(process)
    copied = h_transform(copies, alpha)
    return all_of(
        law=equal(solved.marginals[-1], claimed if exact else tilt, tolerance=1e-11, scale=1.0),
        distance=at_least(distance, bound, slack=1e-12 + bound * rounding),
        tilted_start=equal(h_transform(again, alpha).marginals[-1], tilt, tolerance=1e-11, scale=1.0),
        copies=equal(
            copied.marginals[-1],
            _tilt(process_marginals(copies, [0.0, 1.0])[-1], copies.reward, alpha),
            tolerance=1e-11,
            scale=1.0,
        ),
        determinant=equal(np.linalg.slogdet(M)[1], trace, tolerance=1.0, scale=rounding),
    )


def _doubled(process: JumpProcess) -> JumpProcess:
    """Two copies of every state, which jump alike and into the first copies, from a start at the two copies of state 0."""
    S = process.states
    rates = np.zeros((process.pieces, 2 * S, 2 * S))
    rates[:, :S, :S] = rates[:, S:, :S] = np.maximum(process.rates, 0)
    start = np.zeros(2 * S)
    start[[0, S]] = 0.3, 0.7
    return JumpProcess(start, rates, np.tile(process.reward, 2))


initial_law.control("the tilt from a spread start too", because="each start is tilted on its own", exact=False)
initial_law.control("the start left as it is", because="the tilt needs its starts tilted by h_0", start=False)
initial_law.control(
    "a tenth more distance",
    because="two states come near the bound",
    on=domain(random_jump_process.sweep(S=2, point=False, speed=2.0, seed=3739221525), alpha=2.0),
    factor=1.1,
)


@claim(
    PAPER,
    "discretisation",
    r"u^{(n)} \text{ constant on } n \text{ steps, } u^{(n)} = q\, \tfrac{h_t(y)}{h_t(x)} \text{ at their beginnings:} \quad \|p_1^{u^{(n)}} -"
    r" \mathrm{tilt}\|_1 \sim n^{-1}, \qquad \alpha \ln h_0 - J(u^{(n)}) \sim n^{-2}",
    kind="deterministic rate",
    source="derived",
    assumes="the start is one state; n a multiple of the number of pieces",
    note="Second order for the objective, as it is at its maximum. The kernels M_k(x, y) h_{k+1}(y)/h_k(x) of the steps have no error at all.",
    tests=2,
)
@over(random_jump_process.sweep(S=3, pieces=2, spread=0.5, draws=by_profile(quick=1, full=4)), alpha=(1.0, 5.0))
def discretisation(
    process: JumpProcess,
    *,
    alpha: float,
    midpoint: bool = False,
    orders: tuple[float, float] = (1.0, 2.0),
) -> Comparison:
    r"""Rates that are held for a step make an error of the order of the step, and a loss of its square.

    The held rates differ from the optimal ones by O(1/n), and so do the laws. The loss is :math:`\alpha\, \mathrm{KL}(P^u \| P^\star)`
    (`drakes/value-gap`), a quadratic form in the difference to leading order. All laws are products of matrix exponentials.
    """
    sizes = np.array([96, 128, 192, 256, 384, 512, 768])
    root = int(np.argmax(process.start))
    errors, losses = [], []
    for n in sizes:
        times = np.arange(2 * n + 1) / (2 * n)
        solved = h_transform(process, alpha, times)
        held = times[1::2] if midpoint else times[:-1:2]
        log_h = solved.log_h[1::2] if midpoint else solved.log_h[:-1:2]
        rates = controlled_rates(process, log_h, held)
        fine = JumpProcess(process.start, np.repeat(process.rates, n // process.pieces, axis=0), process.reward)
        tuned = JumpProcess(process.start, rates, process.reward)
        end = process_marginals(tuned, [0.0, 1.0])[-1]
        errors.append(np.abs(end - solved.marginals[-1]).sum())
        losses.append(alpha * solved.log_h[0, root] - objective(tuned, fine, alpha))
    windows = [(-k - 0.1, -k + 0.1) for k in orders]
    return all_of(
        law=slope(sizes, np.array(errors), between=windows[0], label="law"),
        loss=slope(sizes, np.array(losses), between=windows[1], label="loss"),
    )


discretisation.control("a loss of the order 1/n", because="the objective is at its maximum", orders=(1.0, 1.0))
discretisation.control("rates from the middles of the steps", because="then the law's error is of second order", midpoint=True)
