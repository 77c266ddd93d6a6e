"""The rates of exact policy gradients that the other checks are measured by: natural gradient, mirror descent, entropy.

Each claim names the paper that it is cited to. The algorithms are run with float64 values; that they are not run exactly is
allowed for through :func:`_perturbation`, with the constants of each theorem's inexact version, derived where it is used.
"""

import functools

import numpy as np
from numpy.typing import NDArray

from mdplab.models import (
    TabularMDP,
    chain,
    combination_lock,
    delayed_reward_chain,
    model_family,
    two_state,
)
from mdplab.solvers import (
    Solution,
    discounted_occupancy,
    entropy_regularised_npg,
    evaluate_policy,
    natural_policy_gradient,
    policy_iteration,
    policy_mirror_descent,
    q_values,
    soft_policy_iteration,
)
from mdplab.solvers.bounds import UNIT_ROUNDOFF
from mdplab.solvers.policy import log_softmax_policy, state_max, state_sum
from mdplab.solvers.policy_gradient import LONGEST_STEP, PolicyTrajectory, discount_rate_steps, geometric_steps
from mdplab.solvers.soft import SoftSolution
from paper_checks.instances import Floats, random_models, small_real_models, structured_models, sweep_rounding
from theory.claims import Comparison, Paper, Range, Sweep, all_of, at_least, at_most, by_profile, claim, over


def _paper(title: str, authors: str, year: int, venue: str, arxiv: str) -> Paper:
    return Paper("refs", title, authors, year, "exploration", arxiv, venue)


AGARWAL = _paper(
    "On the Theory of Policy Gradient Methods: Optimality, Approximation, and Distribution Shift",
    "Agarwal, Kakade, Lee, Mahajan",
    2021,
    "Journal of Machine Learning Research 22",
    "1908.00261",
)
XIAO = _paper(
    "On the Convergence Rates of Policy Gradient Methods",
    "Xiao",
    2022,
    "Journal of Machine Learning Research 23",
    "2201.07443",
)
JOHNSON = _paper(
    "Optimal Convergence Rate for Exact Policy Mirror Descent in Discounted Markov Decision Processes",
    "Johnson, Pike-Burke, Rebeschini",
    2023,
    "NeurIPS 2023",
    "2302.11381",
)
CEN = _paper(
    "Fast Global Convergence of Natural Policy Gradient Methods with Entropy Regularization",
    "Cen, Cheng, Chen, Wei, Chi",
    2021,
    "Operations Research 70 (2022)",
    "2007.06558",
)


@model_family(A=2)
def needle(A: int = 100, gap: float = 1.0, gamma: float = 0.5) -> TabularMDP:
    """One state with A arms: the first pays 1, the others 1 - gap. The gain of a step is slow to show when arms are many."""
    R = np.full((1, A), 1.0 - gap)
    R[0, 0] = 1.0
    return TabularMDP.from_dense(np.ones((1, A, 1)), R, gamma)


SMALL: Sweep = small_real_models((0.9, 0.99)) | structured_models() | random_models()
FREE = two_state.sweep(stay=Range(0.0, 1.0, size=4), reward=Range(0.0, 1.0, size=4), gamma=Range(0.05, 0.99))
BUDGET = by_profile(quick=60, full=2000)


@functools.lru_cache(maxsize=3)  # a claim and its controls ask for the same model
def _optimum(mdp: TabularMDP) -> Solution:
    """V* as sharp as float64 allows, since the losses compared shrink geometrically."""
    horizon = 1 / (1 - mdp.gamma)
    floor = 16 * sweep_rounding(mdp, mdp.reward * horizon) * horizon
    return policy_iteration(mdp, max(floor, 1e-14))


def _start(mdp: TabularMDP, start: str, seed: int) -> Floats:
    """The first policy, as log-probabilities: uniform, drawn, or "against" (the worse an action, the likelier)."""
    if start == "uniform":
        return log_softmax_policy(mdp, np.zeros(mdp.pairs))
    if start == "random":
        return log_softmax_policy(mdp, 3.0 * np.random.default_rng(seed).standard_normal(mdp.pairs))
    value = _optimum(mdp).value
    loss = value[mdp.pair_state] - q_values(mdp, value)
    most = state_max(mdp, loss)[mdp.pair_state]
    # 40: an action that is best has a chance of e^-40 at first, too little to matter for any value
    return log_softmax_policy(mdp, 40.0 * np.where(most > 0, loss / np.where(most > 0, most, 1.0), 0.0))


def _perturbation(run: PolicyTrajectory) -> Floats:
    """Numbers e_k (K,) such that exact values Q^k + x_k with |x_k| <= e_k would have led to the very policies of ``run``.

    The errors of the values used, and the rounding of an update of the logarithms, which a change of Q by 1/eta_k undoes.
    """
    sizes = np.abs(run.log_policies).max(axis=1)
    q_size = np.abs(run.q).max(axis=1) + np.abs(run.values).max(axis=1)
    # a product, two sums and the normalisation (shift, exponentials, sum, logarithm, difference) round less than 12 times
    updates = sizes[:-1] + sizes[1:] + np.log(run.log_policies.shape[1]) + run.steps * q_size[:-1]
    return np.asarray(run.errors[:-1] + 12 * UNIT_ROUNDOFF * updates / run.steps, dtype=np.float64)


def _stays_greedy(mdp: TabularMDP, run: PolicyTrajectory) -> NDArray[np.bool_]:
    """Whether policies k and k + 1 both take, with a probability that rounds to 1, a greedy action of Q^k; shape (K,)."""
    q = run.q[:-1]
    sure = np.minimum(run.log_policies[:-1], run.log_policies[1:])
    sure = np.where(q == state_max(mdp, q)[:, mdp.pair_state], sure, -np.inf)
    return np.asarray(state_max(mdp, sure).min(axis=1) == 0.0, dtype=np.bool_)


def _accumulated(losses: Floats, rate: float) -> Floats:
    """The sums of rate^(k-1-j) losses_j over j < k, for k = 1, ..., K: what is left of the losses of earlier steps."""
    sums = np.empty(len(losses))
    total = 0.0
    for k, loss in enumerate(losses):
        total = sums[k] = rate * total + float(loss)
    return sums


@functools.lru_cache(maxsize=3)  # a claim and its controls ask for the same run
def _npg(mdp: TabularMDP, step: float, iterations: int, normalised: bool = True) -> PolicyTrajectory:
    if normalised:
        return natural_policy_gradient(mdp, step, iterations)
    return policy_mirror_descent(mdp, step, iterations)


@claim(
    AGARWAL,
    "npg-rate",
    r"\max_s\, (V^\star - V^{\pi_K})(s) \le \frac{\log A}{\eta K} + \frac{\max r - \min r}{(1-\gamma)^2 K}, \quad "
    r"\pi_{k+1} \propto \pi_k \exp(\eta A^{\pi_k} / (1-\gamma))",
    kind="deterministic rate",
    source="recalled",
    assumes="softmax policies, exact values, uniform start, A the largest number of actions, any step size eta > 0",
)
@over(SMALL, step=(0.01, 1.0, 100.0))
@over(needle.sweep(A=10_000, gamma=0.5), step=(0.03, 0.05))
@over(delayed_reward_chain.sweep(S=(25, 50), gamma=(0.95, 0.98), bait=0.01), step=(1.0, 1e4))
@over(combination_lock.sweep(A=10, H=(20, 40), gamma=(0.5, 0.98)), step=1e4)
@over(FREE, step=Range(1e-3, 1e3, log=True), budget=BUDGET)
def npg_rate(
    mdp: TabularMDP,
    *,
    step: float,
    iterations: int = 200,
    horizons: float = 2.0,
    power: float = 1.0,
    entropy: float = 1.0,
    normalised: bool = True,
) -> Comparison:
    r"""Natural policy gradient converges at the rate 1/K from every state, whatever the step size.

    With :math:`d = d^{\pi^\star}` and :math:`Z_k(s) = \sum_a \pi_k \exp(\eta A_k / (1-\gamma))`, the performance difference is
    :math:`V^\star - V_k = \frac{1}{\eta} E_d [KL(\pi^\star \| \pi_k) - KL(\pi^\star \| \pi_{k+1}) + \log Z_k]`, and
    :math:`\frac{1-\gamma}{\eta} \log Z_k \le V_{k+1} - V_k` (`refs/npg-monotone`). Both sums telescope, and the last iterate is
    the best. Rewards are in [0, 1] in the paper; another range scales the second term only, since it scales A. Many equal
    arms beside a better one come near the first term, a chain with bait near the second.
    """
    best, run = _optimum(mdp), _npg(mdp, step, iterations, normalised)
    k, gamma = np.arange(1, iterations + 1), mdp.gamma
    loss = (best.value - run.values[1:]).max(axis=1)
    span = float(mdp.reward.max() - mdp.reward.min())
    bound = entropy * np.log(mdp.max_actions) / (step * k) + span / ((1 - gamma) ** horizons * k**power)
    # advantages that are off by e = 2 * perturbation cost e at either end of the identity, 2e / (1 - gamma) for each log Z_k,
    # and as much for each step that should not have lost anything
    inexact = 2 * np.maximum.accumulate(_perturbation(run)) * (3 / (1 - gamma) ** 2 + 2 * k / (1 - gamma))
    return at_most(loss, bound, slack=best.width + run.errors[1:] + inexact, x=k)


npg_rate.control(
    "a second term 1 / ((1 - gamma) K^2)", because="news of a reward travels one state a step", horizons=1.0, power=2.0
)
npg_rate.control("one factor 1 / (1 - gamma) less", because="a chain as long as the horizon delays a step's gain", horizons=1.0)
npg_rate.control("half of log A", because="many equal arms come near the first term", entropy=0.5)
npg_rate.control("steps of exp(eta Q), the same bound", because="they are shorter by 1 - gamma", normalised=False)


@functools.lru_cache(maxsize=3)
def _npg_from(mdp: TabularMDP, step: float, iterations: int, sighted: float, start: str, seed: int) -> PolicyTrajectory:
    first = _start(mdp, start, seed)
    near = mdp if sighted == 1 else mdp.replace(gamma=sighted * mdp.gamma)
    return natural_policy_gradient(near, step, iterations, start=first, log=True)


@claim(
    AGARWAL,
    "npg-monotone",
    r"V^{\pi_{k+1}}(s) - V^{\pi_k}(s) \ge \frac{1-\gamma}{\eta} \log Z_k(s) \ge 0, \quad "
    r"Z_k(s) = \sum_a \pi_k(a|s) \exp(\eta A^{\pi_k}(s, a) / (1-\gamma))",
    kind="inequality",
    source="recalled",
    assumes="softmax policies, exact values, any start and any step size eta > 0",
)
@over(SMALL, step=(0.01, 1.0, 100.0), start=("uniform", "against"))
@over(FREE, step=Range(1e-3, 1e3, log=True), start=("uniform", "random"), budget=BUDGET)
def npg_monotone(
    mdp: TabularMDP,
    *,
    step: float,
    start: str,
    seed: int,
    iterations: int = 60,
    factor: float = 1.0,
    sighted: float = 1.0,
) -> Comparison:
    r"""Natural policy gradient improves the value of every state at every step, and by how much.

    The performance difference is :math:`V_{k+1} - V_k = \frac{1}{\eta} E_{d^{k+1}_s} [KL(\pi_{k+1} \| \pi_k) + \log Z_k]`, where
    :math:`d^{k+1}_s(s) \ge 1 - \gamma`, and :math:`\log Z_k \ge 0` by Jensen's inequality. Attained for large steps in states
    that are not seen again, when nothing changes elsewhere.
    """
    run = _npg_from(mdp, step, iterations, sighted, start, seed)
    values, q, errors = run.values, run.q, run.errors
    if sighted != 1:
        evaluations = [evaluate_policy(mdp, p) for p in run.policies]
        values, q = np.array([e.value for e in evaluations]), np.array([e.q for e in evaluations])
        errors = np.array([e.error for e in evaluations])
    exponent = run.steps[:, None] * (q - values[:, mdp.pair_state])[:-1] + run.log_policies[:-1]
    top = state_max(mdp, exponent)
    log_z = top + np.log(state_sum(mdp, np.exp(exponent - top[:, mdp.pair_state])))
    gain = log_z * factor / run.steps[:, None]
    slack = errors[1:] + errors[:-1] + 4 * _perturbation(run) / (1 - mdp.gamma)
    return all_of(
        improvement=at_most(gain, np.diff(values, axis=0), slack=slack[:, None]),
        jensen=at_least(gain, 0.0, slack=slack[:, None]),
    )


npg_monotone.control("five per cent more", because="states that are not seen again attain the bound", factor=1.05)
npg_monotone.control("advantages for half the discount", because="a shortsighted policy gets worse", sighted=0.5, factor=0.0)


def _until_negligible(rate: float, iterations: int) -> int:
    """``iterations``, or fewer if rate^k falls to 1e-12 before: later errors are not told from rounding."""
    return max(1, min(iterations, int(np.log(1e-12) / np.log(rate))))


def _start_law(mdp: TabularMDP, law: str, policy: NDArray[np.int64]) -> Floats:
    """A start distribution without zeros: uniform, or nearly stationary under ``policy``, so that d*/rho is nearly 1."""
    if law == "uniform":
        return np.full(mdp.states, 1 / mdp.states)
    patient = mdp.replace(gamma=1 - 0.01 * (1 - mdp.gamma))
    rho = discounted_occupancy(patient, policy, start=np.full(mdp.states, 1 / mdp.states)).state
    return np.asarray(rho / rho.sum(), dtype=np.float64)


@functools.lru_cache(maxsize=3)
def _geometric(mdp: TabularMDP, first: float, factor: float, iterations: int, start: str, seed: int) -> PolicyTrajectory:
    log_policy = _start(mdp, start, seed)
    return policy_mirror_descent(mdp, geometric_steps(first, factor), iterations, start=log_policy, log=True)


@claim(
    XIAO,
    "pmd-geometric",
    r"V^\star(\rho) - V^k(\rho) \le \Bigl(1 - \frac{1}{\nu}\Bigr)^k \Bigl( V^\star(\rho) - V^0(\rho) + "
    r"\frac{E_{s \sim d^\star_\rho} KL(\pi^\star \| \pi_0)}{\eta_0 (1-\gamma)(\nu - 1)} \Bigr), \quad "
    r"\nu = \frac{1}{1-\gamma} \Bigl\| \frac{d^\star_\rho}{\rho} \Bigr\|_\infty",
    kind="deterministic rate",
    source="derived",
    assumes="pi_{k+1} ~ pi_k exp(eta_k Q_k) with eta_{k+1} = eta_k nu / (nu - 1); rho > 0; d* sums to 1; 0 < gamma < 1",
)
@over(SMALL, first=(0.1, 10.0), start=("uniform", "against"), law=("uniform", "stationary"))
@over(needle.sweep(A=10_000, gap=(0.001, 0.1, 1.0), gamma=(0.7, 0.9)), first=1.0, start="uniform", law="uniform")
@over(FREE, first=Range(1e-2, 1e2, log=True), start="uniform", law=("uniform", "stationary"), budget=BUDGET)
def pmd_geometric(
    mdp: TabularMDP,
    *,
    first: float,
    start: str,
    law: str,
    seed: int,
    iterations: int = by_profile(quick=100, full=400),
    power: float = 1.0,
    growing: bool = True,
    divergence: float = 1.0,
) -> Comparison:
    r"""Policy mirror descent with geometrically growing steps converges linearly, at a rate that depends on the mismatch.

    The three-point inequality gives :math:`\nu (V^\star - V^{k+1}) \le (\nu - 1)(V^\star - V^k) + (D_k - D_{k+1}) / ((1-\gamma) \eta_k)`
    at rho, with :math:`D_k = E_{d^\star} KL(\pi^\star \| \pi_k)`, because :math:`d^\star \le \nu\, d^{\pi_{k+1}}`. Dividing by nu,
    :math:`D_{k+1} / (\nu \eta_k) = D_{k+1} / ((\nu - 1) \eta_{k+1})`. The constant is the paper's, for rewards in place of costs.
    Where the mismatch is large nothing happens in a single step, and the bound is trivially near; many equal arms beside a
    better one come near it after many steps.
    """
    best, gamma = _optimum(mdp), mdp.gamma
    target = best.policy
    rho = _start_law(mdp, law, target)
    d = discounted_occupancy(mdp, target, start=rho)
    nu = float(((d.state + d.error) / rho).max()) / (1 - gamma)  # a larger nu is as good
    iterations = _until_negligible(1 - 1 / nu, iterations)
    run = _geometric(mdp, first, nu / (nu - 1) if growing else 1.0, iterations, start, seed)
    distance = float((d.state + d.error) @ -run.log_policies[0][target])
    k = np.arange(iterations + 1)
    loss = (best.value - run.values) @ rho
    bound = (1 - 1 / nu) ** (power * k) * (loss[0] + divergence * distance / (first * (1 - gamma) * (nu - 1)))
    # values that are off by e add 2e (1 + nu) / (1 - gamma) to the right side of the recursion
    inexact = _accumulated(2 * (1 + nu) / (nu * (1 - gamma)) * _perturbation(run), 1 - 1 / nu)
    return at_most(loss[1:], bound[1:], slack=best.width + run.errors[1:] + run.errors[0] + inexact, x=k[1:])


pmd_geometric.control("(1 - 1/nu)^(2 k)", because="its steps would have to grow twice as fast", power=2.0)
pmd_geometric.control("(1 - 1/nu)^(1.1 k)", because="its steps would have to grow a tenth faster", power=1.1)
pmd_geometric.control("half the divergence from the optimum", because="many equal arms hide the best one", divergence=0.5)
pmd_geometric.control("constant steps", because="nearly equal arms are told apart too slowly", growing=False)


@functools.lru_cache(maxsize=3)
def _adaptive(mdp: TabularMDP, constant: float, iterations: int, start: str, seed: int, growing: bool) -> PolicyTrajectory:
    log_policy = _start(mdp, start, seed)
    rule = discount_rate_steps(mdp, constant)
    if growing:
        return policy_mirror_descent(mdp, rule, iterations, start=log_policy, log=True)
    one = policy_mirror_descent(mdp, rule, 1, start=log_policy, log=True)
    return policy_mirror_descent(mdp, float(one.steps[0]), iterations, start=log_policy, log=True)


@claim(
    JOHNSON,
    "pmd-gamma-rate",
    r"\|V^\star - V^k\|_\infty \le \gamma^k \Bigl( \|V^\star - V^0\|_\infty + \frac{c_0}{1-\gamma} \Bigr)",
    kind="deterministic rate",
    source="recalled",
    assumes="pi_{k+1} ~ pi_k exp(eta_k Q_k) with eta_k = max_s KL(greedy(Q_k) || pi_k) / (c_0 gamma^{2(k+1)}); 0 < gamma < 1",
)
@over(SMALL, constant=(0.01, 1.0), start=("uniform", "against"))
@over(chain.sweep(S=(12, 30), gamma=(0.5, 0.9)), constant=(1e-4, 1.0), start="against")
@over(needle.sweep(A=10_000, gap=(0.001, 0.1), gamma=(0.5, 0.9)), constant=(0.1, 10.0), start="uniform")
@over(FREE, constant=Range(1e-2, 1e2, log=True), start=("uniform", "against"), budget=BUDGET)
def pmd_gamma_rate(
    mdp: TabularMDP,
    *,
    constant: float,
    start: str,
    seed: int,
    iterations: int = by_profile(quick=100, full=400),
    power: float = 1.0,
    growing: bool = True,
    surplus: float = 1.0,
) -> Comparison:
    r"""Policy mirror descent with steps large enough converges like policy iteration, at the rate gamma.

    The greedy policy g obeys :math:`\langle Q_k, g - \pi_{k+1} \rangle \le KL(g \| \pi_k) / \eta_k \le c_0 \gamma^{2(k+1)}`, so that
    :math:`V^{k+1} \ge T_{\pi_{k+1}} V^k \ge T V^k - c_0 \gamma^{2(k+1)}`. Hence the errors obey
    :math:`e_{k+1} \le \gamma e_k + c_0 \gamma^{2(k+1)}` (which gives the constant even with :math:`c_0 \gamma / (1-\gamma)`).
    A corridor attains the rate if the first policy walks away from the reward: each step turns one more state round.
    """
    best, gamma = _optimum(mdp), mdp.gamma
    iterations = _until_negligible(gamma, iterations)
    run = _adaptive(mdp, constant, iterations, start, seed, growing)
    k = np.arange(iterations + 1)
    capped = np.flatnonzero(run.steps >= LONGEST_STEP)
    last = int(capped[0]) if capped.size else iterations  # the policies before the first step that is too short
    error = np.abs(best.value - run.values).max(axis=1)
    bound = gamma ** (power * k) * (error[0] + surplus * constant / (1 - gamma))
    # values that are off by e cost 2e in the greedy step and 2e gamma / (1 - gamma) in monotonicity; summed over the steps.
    # Two policies that are greedy up to a rounding of their probabilities lose no more than a rounding of the values.
    rounding = run.errors[:-1] + sweep_rounding(mdp, run.values)
    off = np.where(_stays_greedy(mdp, run), rounding, _perturbation(run) + rounding)
    inexact = _accumulated(2 * off / (1 - gamma), gamma)
    slack = 2 * best.width + run.errors[1:] + run.errors[0] + inexact
    return at_most(error[1 : last + 1], bound[1 : last + 1], slack=slack[:last], x=k[1 : last + 1])


pmd_gamma_rate.control("without c_0", because="a step with a large c_0 is far from greedy", surplus=0.0)
pmd_gamma_rate.control("gamma^(2 k)", because="a step brings the reward one state nearer", power=2.0)
pmd_gamma_rate.control("gamma^(1.1 k)", because="a step brings the reward one state nearer", power=1.1)
pmd_gamma_rate.control(
    "the first step size for ever", because="far from a reward actions are told apart too slowly", growing=False
)


@functools.lru_cache(maxsize=3)
def _entropy_npg(mdp: TabularMDP, tau: float, step: float, iterations: int, start: str, seed: int) -> PolicyTrajectory:
    return entropy_regularised_npg(mdp, tau, step, iterations, start=_start(mdp, start, seed), log=True)


@functools.lru_cache(maxsize=3)
def _soft_optimum(mdp: TabularMDP, tau: float) -> SoftSolution:
    return soft_policy_iteration(mdp, tau, tol=1e-12)


@claim(
    CEN,
    "npg-entropy-linear",
    r"\|Q^\star_\tau - Q^{k+1}_\tau\|_\infty \le \gamma C_1 (1 - \eta\tau)^k, \quad "
    r"\|\log \pi^\star_\tau - \log \pi_{k+1}\|_\infty \le \frac{2 C_1}{\tau} (1 - \eta\tau)^k, \quad "
    r"C_1 = \|Q^\star_\tau - Q^0_\tau\|_\infty + 2\tau \Bigl(1 - \frac{\eta\tau}{1-\gamma}\Bigr) \|\log \pi^\star_\tau - \log \pi_0\|_\infty",
    kind="deterministic rate",
    source="recalled",
    assumes="pi_{k+1} ~ pi_k^{1 - eta tau/(1-gamma)} exp(eta Q_k/(1-gamma)), 0 < eta <= (1-gamma)/tau, regularised Q_k",
)
@over(SMALL, tau=(0.01, 1.0), share=(0.1, 1.0), start=("uniform", "against"))
@over(chain.sweep(S=30, gamma=(0.5, 0.9)), tau=(0.001, 0.1), share=(0.5, 1.0), start="against")
@over(delayed_reward_chain.sweep(S=20, gamma=(0.5, 0.8), bait=1e-3), tau=1e-5, share=1.0, start="against")
@over(needle.sweep(A=3, gamma=(0.01, 0.5)), tau=(0.1, 1.0), share=(0.1, 0.6, 0.9), start=("uniform", "against"))
@over(FREE, tau=Range(1e-2, 10.0, log=True), share=Range(0.01, 1.0), start="random", budget=BUDGET)
def npg_entropy_linear(
    mdp: TabularMDP,
    *,
    tau: float,
    share: float,
    start: str,
    seed: int,
    iterations: int = 40,
    power: float = 1.0,
    memory: float = 1.0,
) -> Comparison:
    r"""Entropy-regularised natural policy gradient converges linearly, at a rate that no model slows down.

    The step is ``share`` of the largest, :math:`(1-\gamma)/\tau`; at share 1 it is soft policy iteration, and a corridor whose first
    policy walks away from the reward attains the first bound. At small gamma a state forgets its first policy by the factor
    :math:`1 - \eta\tau/(1-\gamma)` a step, hardly faster than the bound on the policies says.
    """
    gamma, step = mdp.gamma, share * (1 - mdp.gamma) / tau
    best = _soft_optimum(mdp, tau)
    run = _entropy_npg(mdp, tau, step, iterations, start, seed)
    q_error = np.abs(best.q - run.q).max(axis=1)
    log_error = np.abs(best.log_policy - run.log_policies).max(axis=1)
    constant = q_error[0] + memory * 2 * tau * (1 - share) * log_error[0]
    k = np.arange(iterations)
    rate = (1 - step * tau) ** (power * k)
    # the paper's Theorem 2: values that are off by e add 2e/(1-gamma) (1 + gamma/(eta tau)) to C_1 (1 - eta tau)^k
    inexact = 2 * np.maximum.accumulate(_perturbation(run)) / (1 - gamma) * (1 + gamma / (step * tau))
    known = best.error + run.errors[0] + 2 * tau * (1 - share) * best.log_policy_error
    q_slack = best.error + run.errors[1:] + gamma * (rate * known + inexact)
    log_slack = best.log_policy_error + 2 / tau * (rate * known + inexact)
    return all_of(
        values=at_most(q_error[1:], gamma * constant * rate, slack=q_slack, x=k + 1),
        policies=at_most(log_error[1:], 2 / tau * constant * rate, slack=log_slack, x=k + 1),
    )


npg_entropy_linear.control(
    "(1 - eta tau)^(2 k)", because="at small gamma a state forgets its first policy no faster", power=2.0
)
npg_entropy_linear.control(
    "(1 - eta tau)^(1.1 k)", because="at small gamma a state forgets its first policy no faster", power=1.1
)
npg_entropy_linear.control(
    "C_1 without the first policy's error", because="at small gamma the values hardly know of it", memory=0.0
)
