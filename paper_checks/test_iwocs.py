r"""Robust MDPs as a sequence of static problems (Zouitine, Geist, Rachelson 2024): when the order of choices does not matter.

Notation: V_T^pi is the value of the policy pi under the kernel T, V*_T the optimal one. A set of kernels is (s,a)-rectangular
if the adversary chooses the row of every pair (s, a) independently, s-rectangular if it chooses jointly for the actions of a
state but independently for each state. *Static* is one kernel for good, *dynamic* a kernel for each step. Sets are given by
their vertices.
"""

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdplab.models.robust import RobustKernelSet, RobustPolytopeMDP, RobustStatePolytopeMDP
from mdplab.models.robust_families import random_kernels, random_polytope, random_state_polytope, stalling_loop
from mdplab.solvers import evaluate_policy, policy_iteration
from mdplab.solvers.iwocs import static_sequence
from mdplab.solvers.robust import robust_evaluation, robust_policy_iteration, static_optimum
from theory.claims import Comparison, Paper, all_of, always, at_least, at_most, by_profile, claim, domain, equal, family, over

PAPER = Paper(
    key="iwocs",
    title="Solving robust MDPs as a sequence of static RL problems",
    authors="Zouitine, Geist, Rachelson",
    year=2024,
    theme="safety",
    arxiv="2410.06212",
)

Floats = NDArray[np.float64]
VertexModel = RobustPolytopeMDP | RobustStatePolytopeMDP | RobustKernelSet
PAIRS = random_polytope.sweep(
    S=(2, 3), A=2, K=2, concentration=(0, 0.3), gamma=(0.5, 0.9), draws=by_profile(quick=3, full=40)
) | random_polytope.sweep(S=2, A=2, K=4, gamma=0.9, draws=by_profile(quick=3, full=40))
STATES = random_state_polytope.sweep(
    S=(2, 4), A=2, K=3, concentration=(0, 0.3), gamma=(0.5, 0.9), draws=by_profile(quick=2, full=40)
)
COUPLED = random_kernels.sweep(S=3, A=2, K=2, gamma=0.9, draws=by_profile(quick=6, full=20))
LOOPS = random_polytope.sweep(S=(3, 4), A=2, K=(2, 3), concentration=0.3, draws=by_profile(quick=2, full=30)) | (
    random_polytope.sweep(S=(3, 5), A=3, K=2, concentration=0, draws=by_profile(quick=6, full=100))
)


def _kernels(model: VertexModel) -> Floats:
    """All kernels made of vertices, float64[M, S, A, S]."""
    if isinstance(model, RobustKernelSet):
        return model.kernels
    if isinstance(model, RobustStatePolytopeMDP):
        choices = np.array(list(itertools.product(range(model.vertices.shape[1]), repeat=model.states)))
        return np.asarray(model.vertices[np.arange(model.states), choices])
    S, A, K, _ = model.vertices.shape
    picks = np.array(list(itertools.product(range(K), repeat=S * A))).reshape(-1, S, A)
    return np.asarray(model.vertices[np.arange(S)[:, None], np.arange(A), picks])


def _least(model: VertexModel, policy: Floats, value: Floats) -> Floats:
    """The least value of a step of the policy, rows chosen afresh: state by state, or pair by pair."""
    if isinstance(model, RobustStatePolytopeMDP):
        steps = model.reward[:, None] + model.gamma * (model.vertices @ value)
        return np.einsum("sa,ska->sk", policy, steps).min(axis=1)
    vertices = model.hull().vertices if isinstance(model, RobustKernelSet) else model.vertices
    return (policy * (model.reward + model.gamma * (vertices @ value).min(axis=2))).sum(axis=1)


def _policies(model: VertexModel) -> Floats:
    """All deterministic policies, float64[A^S, S, A]."""
    return np.eye(model.actions)[np.array(list(itertools.product(range(model.actions), repeat=model.states)))]


def _values(model: VertexModel, policies: Floats) -> Floats:
    """V_T^pi of every policy and kernel, float64[policies, M, S], by dense solves."""
    kernels = _kernels(model)
    chains = np.einsum("psa,ksat->pkst", policies, kernels)
    rewards = (policies * model.reward).sum(axis=2)[:, None, :, None]
    system = np.eye(model.states) - model.gamma * chains
    return np.asarray(np.linalg.solve(system, np.broadcast_to(rewards, (*chains.shape[:3], 1)))[..., 0])


@claim(
    PAPER,
    "static-equals-dynamic",
    r"\min_{T \in U} V_T^\pi(s) = \min_{T_0, T_1, \dots \in U} V_{T_0, T_1, \dots}^\pi(s) \quad \text{for all } s, \text{ with one } T",
    kind="identity",
    source="recalled",
    assumes="infinite horizon, gamma < 1; pi stationary, randomised or not; U (s,a)- or s-rectangular",
)
@over(PAIRS)
@over(STATES)
def static_equals_dynamic(model: VertexModel, *, seed: int, horizon: int | None = None, alternate: bool = False) -> Comparison:
    r"""An adversary who may change the kernel at every step gains nothing over one who chooses once.

    The dynamic value is the fixed point of :math:`(T_\pi V)(s) = \min \sum_a \pi(a|s) [r + \gamma p \cdot V]`, a
    gamma-contraction, and the rows that attain the minimum at the fixed point are one kernel with that value. Static values
    come from enumeration of all kernels made of vertices, which suffices as the value is extreme at extreme points; dynamic
    ones from backward steps.
    """
    rng = np.random.default_rng(seed)
    policies = rng.dirichlet(np.ones(model.actions), size=(2, model.states))
    policies[1] = policies[1] if alternate else policies[0]
    kernels, gamma = _kernels(model), model.gamma
    chains = np.einsum("psa,ksat->pkst", policies, kernels)
    rewards = (policies * model.reward).sum(axis=2)
    steps = horizon or 2 * int(np.ceil(np.log(1e-14 * (1 - gamma)) / np.log(gamma) / 2))
    dynamic = np.zeros(model.states)
    static = np.zeros((len(kernels), model.states))
    for t in range(steps - 1, -1, -1):
        dynamic = _least(model, policies[t % 2], dynamic)
        if horizon:
            static = rewards[t % 2] + gamma * np.einsum("kst,kt->ks", chains[t % 2], static)
    if not horizon:
        twice = np.einsum("kst,ktu->ksu", chains[0], chains[1])
        earned = rewards[0] + gamma * (chains[0] @ rewards[1])
        static = np.linalg.solve(np.eye(model.states) - gamma**2 * twice, earned[..., None])[..., 0]
    parts = {
        "value": equal(static.min(axis=0), dynamic),
        "one kernel": equal(static[static.sum(axis=1).argmin()], static.min(axis=0)),
    }
    if not horizon and not alternate and not isinstance(model, RobustKernelSet):
        found = robust_evaluation(model, policies[0])
        parts["solver from below"] = at_most(found.lower, static.min(axis=0))
        parts["solver from above"] = at_least(found.upper, static.min(axis=0))
    return all_of(**{name.replace(" ", "_"): part for name, part in parts.items()})


static_equals_dynamic.control("horizon 4", because="near the end another row is worst", horizon=4)
static_equals_dynamic.control("a policy that alternates", because="the worst row depends on the phase", alternate=True)
static_equals_dynamic.control("whole kernels", because="the adversary cannot mix their rows", on=COUPLED)


@claim(
    PAPER,
    "no-duality-gap",
    r"\max_\pi \min_{T \in U} V_T^\pi(s) = \min_{T \in U} \max_\pi V_T^\pi(s) = V^\star_{T^\star}(s) \quad \text{for all } s, \text{ with one } T^\star",
    kind="identity",
    source="recalled",
    assumes="gamma < 1; U (s,a)-rectangular; pi deterministic and stationary suffices",
)
@over(PAIRS)
def no_duality_gap(model: VertexModel) -> Comparison:
    r"""Against an (s,a)-rectangular set it does not matter who chooses first, and one kernel is worst in all states.

    The rows that are worst for the robust optimum V make V satisfy the optimality equation of their kernel, hence :math:`V =
    V^\star_{T^\star} \ge \min_T V^\star_T \ge \max_\pi \min_T V_T^\pi = V`. Both sides are enumerated, all policies against all
    kernels, and compared with robust policy iteration and with the optimum of the kernel that it returns.
    """
    values = _values(model, _policies(model))
    first, second = values.min(axis=1).max(axis=0), values.max(axis=0).min(axis=0)
    parts = {"order": equal(first, second)}
    if isinstance(model, RobustPolytopeMDP):
        found = robust_policy_iteration(model)
        parts["solver"] = equal(found.value, first, tolerance=1e-8)
        parts["kernel"] = equal(policy_iteration(found.worst).value, first, tolerance=1e-8)
    return all_of(**parts)


no_duality_gap.control("s-rectangular", because="who sees the joint vertex first has the better reply", on=STATES)
no_duality_gap.control("whole kernels", because="the same, for all states at once", on=COUPLED)


@family
def waiting_room() -> RobustPolytopeMDP:
    """No choices, no discount: 0 pays 1/2 and stays or leads to 1, which pays nothing and leads to 2, which pays 1 for ever."""
    nexts = np.array([[[0, 1]], [[2, 2]], [[2, 2]]])
    return RobustPolytopeMDP(np.eye(3)[nexts], np.array([[0.5], [0.0], [1.0]]), 1.0, start=np.eye(3)[0])


@family
def crossed_roads(gamma: float = 0.9, mixed: bool = False) -> RobustKernelSet:
    """No choices: kernel 0 leads from 0 to 1 and from there to the good end, kernel 1 through 2; the other ways end badly.

    With ``mixed`` the kernels that mix the rows of these two belong to the set, too.
    """
    nexts = np.array([[[1], [3], [4], [3], [4]], [[2], [4], [3], [3], [4]]])
    if mixed:
        nexts = np.array([[[first], *[[3], [4]][:: 1 - 2 * way], [3], [4]] for first in (1, 2) for way in (0, 1)])
    return RobustKernelSet(np.eye(5)[nexts], np.eye(5)[3][:, None], gamma, start=np.eye(5)[0])


@family
def hidden_coin(gamma: float = 0.9, joint: bool = True) -> RobustStatePolytopeMDP:
    """State 0 guesses a coin: the action that equals the vertex leads to state 1, which pays 1 for ever, the other to state 2.

    Unless ``joint`` there are vertices for all combinations of next states, so that the set is (s,a)-rectangular.
    """
    toss = [[1, 2], [2, 1]] if joint else [[1, 2], [2, 1], [1, 1], [2, 2]]
    nexts = np.array([toss, [[1, 1]] * len(toss), [[2, 2]] * len(toss)])
    return RobustStatePolytopeMDP(np.eye(3)[nexts], np.array([[0.0] * 2, [1.0] * 2, [0.0] * 2]), gamma, start=np.eye(3)[0])


def _finite(model: RobustPolytopeMDP, horizon: int) -> tuple[float, float]:
    """Start values of H steps without a choice of actions: one kernel for good, and a kernel for each step."""
    policy = np.full(model.reward.shape, 1.0 / model.actions)
    chains = np.einsum("sa,ksat->kst", policy, _kernels(model))
    static, dynamic = np.zeros(chains.shape[:2]), np.zeros(model.states)
    for _ in range(horizon):
        static = (policy * model.reward).sum(axis=1) + model.gamma * np.einsum("kst,kt->ks", chains, static)
        dynamic = _least(model, policy, dynamic)
    return float(static[:, 0].min()), float(dynamic[0])


@claim(
    PAPER,
    "where-it-fails",
    r"\text{(a) } \min_T V_T^\pi = \min_{T_0, T_1, \dots} V^\pi_{T_0, T_1, \dots} + \tfrac12 \quad \text{(b) } \min_T V_T^\pi = \min_{T \in \mathrm{hull}} V_T^\pi + "
    r"\tfrac{\gamma^2}{1-\gamma} \quad \text{(c) } \max_{\pi\ \mathrm{det.}} \min_T V_T^\pi + \tfrac{\gamma}{2(1-\gamma)} = \max_\pi \min_T V_T^\pi = "
    r"\min_T V^\star_T - \tfrac{\gamma}{2(1-\gamma)}",
    kind="separation",
    source="derived",
    assumes="(a) a finite horizon H >= 3; (b) a set of two whole kernels; (c) an s-rectangular set, T its vertices",
)
@over(waiting_room.sweep(), horizon=(3, 4, 9))
@over(crossed_roads.sweep(gamma=(0.5, 0.9)) | hidden_coin.sweep(gamma=(0.5, 0.9)), horizon=0)
def where_it_fails(model: VertexModel, *, horizon: int) -> Comparison:
    r"""Three ways in which the order of choices matters: a finite horizon, kernels chosen as a whole, actions chosen jointly.

    (a) Waiting pays 1/2 a step, leaving 0 and then 1 a step. The adversary would leave in the last step only, and a single row
    cannot say so. (b) Two roads cross: either kernel leads to the good end, a mixture of their rows to the bad one. (c) The
    player guesses a coin that the adversary lays after seeing the policy: a fair guess is right half of the time, a certain one
    never; who sees the coin first is always right. The value 1/2 needs the convex hull of the vertices on the other side as
    well. In random instances the gaps have the same signs (`iwocs/gap-signs`).
    """
    g = model.gamma
    if isinstance(model, RobustKernelSet):
        coupled = static_optimum(model)
        hull = robust_policy_iteration(model.hull()).value[0]
        return equal(coupled.value - hull, g**2 / (1 - g))
    if isinstance(model, RobustStatePolytopeMDP):
        values = _values(model, _policies(model))[:, :, 0]
        found = robust_policy_iteration(model).value[0]
        gap = g / (2 * (1 - g))
        return all_of(
            deterministic=equal(values.min(axis=1).max() + gap, found), vertices=equal(values.max(axis=0).min() - gap, found)
        )
    static, dynamic = _finite(model, horizon)
    return equal(static, dynamic + 0.5)


where_it_fails.control(
    "two steps", because="there is nothing to change between them", on=domain(waiting_room.sweep(), horizon=2)
)
where_it_fails.control(
    "kernels that mix the rows",
    because="one of them takes the bad road: the set is rectangular",
    on=domain(crossed_roads.sweep(mixed=True), horizon=0),
)
where_it_fails.control(
    "all combinations of next states",
    because="the set is (s,a)-rectangular: a coin that is always wrong",
    on=domain(hidden_coin.sweep(joint=False), horizon=0),
)


@claim(
    PAPER,
    "gap-signs",
    r"\text{(a) } \min_T V_T^\pi \ge \min_{T_0, T_1, \dots} V^\pi_{T_0, T_1, \dots}; \quad \text{(b) } \max_{\pi\ \mathrm{det.}} \min_T V_T^\pi \ge "
    r"\max_\pi \min_{T \in \mathrm{hull}} V_T^\pi; \quad \text{(c) } \max_{\pi\ \mathrm{det.}} \min_T V_T^\pi \le \max_\pi \min_T V_T^\pi \le \min_T V^\star_T",
    kind="inequality",
    source="derived",
    assumes="(a) a finite horizon, here 4; (b) a finite set of whole kernels; (c) an s-rectangular set, T its vertices",
)
@over(random_polytope.sweep(S=3, A=1, K=3, gamma=1.0, draws=by_profile(quick=40, full=400)))
@over(COUPLED)
@over(random_state_polytope.sweep(S=3, A=2, K=3, concentration=(0, 0.3), gamma=(0.5, 0.9), draws=by_profile(quick=2, full=40)))
def gap_signs(model: VertexModel, *, reverse: bool = False) -> Comparison:
    r"""More freedom helps who has it: the adversary to change kernels, or to mix their rows; the player to randomise.

    Each side is an optimum over a larger set than the other. Of random instances with three states and rewards in [0, 1] the
    gap exceeded 1e-6 in 244 of 1000 for (a), up to 0.14; in 807 of 1000 for (b), with a mean of 0.31 and up to 3.2; in 134 of
    300 for either part of (c), up to 1.4 and 2.1.
    """
    if isinstance(model, RobustPolytopeMDP):
        parts = [_finite(model, 4)[::-1]]
    elif isinstance(model, RobustKernelSet):
        parts = [(float(robust_policy_iteration(model.hull()).lower.mean()), static_optimum(model).value)]
    else:
        values = _values(model, _policies(model)).mean(axis=2)
        found = float(robust_policy_iteration(model).value.mean())
        parts = [(float(values.min(axis=1).max()), found), (found, float(values.max(axis=0).min()))]
    return all_of(*(at_least(a, b, slack=1e-8) if reverse else at_most(a, b, slack=1e-8) for a, b in parts))


gap_signs.control("the other way round", because="the gaps are strict in many instances", reverse=True)


@claim(
    PAPER,
    "sandwich",
    r"V_{\mathrm{worst}}^{\pi_i}(s_0) \le V^\star_{\mathrm{rob}}(s_0) \le V_i(s_0), \qquad V_{i+1}(s_0) \le V_i(s_0)",
    kind="inequality",
    source="recalled",
    assumes="U (s,a)-rectangular; Q_i = min_{j <= i} Q*_{T_j}, pi_i greedy for it, V_i = max_a Q_i",
)
@over(LOOPS, start=by_profile(quick=0, full=(0, 1)))
@over(stalling_loop.sweep(gamma=(0.5, 0.9)), start=0)
def sandwich(
    model: RobustPolytopeMDP, *, start: int, newest: bool = False, current: bool = False, own: bool = False
) -> Comparison:
    r"""In every round the loop has bounds on both sides of the robust optimum, and the upper one never rises.

    The worst value of any policy is a lower bound. :math:`Q^\star_{T} \ge Q^\star_{\mathrm{rob}}` for every kernel of U, hence
    so is the minimum over several, and a minimum over more is smaller. So a loop that stops with a gap of epsilon has an
    epsilon-optimal policy.
    """
    law = np.eye(model.states)[start]
    run = static_sequence(model, start=law)
    optimum = robust_policy_iteration(model)
    upper, lower = run.upper, run.lower
    models = [model.kernel(k) for k in run.kernels[:-1]]
    if newest:
        upper = np.array([policy_iteration(each).value[start] for each in models])
    if current:
        lower = np.array([evaluate_policy(each, policy).value[start] for each, policy in zip(models, run.policies)])
    if own:  # the values of pi_i in the kernels found, of which the upper bound would be the least
        values = [
            [evaluate_policy(each, policy).value[start] for each in models[: i + 1]] for i, policy in enumerate(run.policies)
        ]
        upper = np.array([min(row) for row in values])
    return all_of(
        lower=at_most(lower, optimum.upper[start]),
        upper=at_least(upper, optimum.lower[start]),
        monotone=at_most(np.append(upper[1:], upper[-1]), upper, slack=1e-7),
    )


sandwich.control("the newest kernel alone", because="its optimum may be larger than those before", newest=True)
sandwich.control("pi_i in the newest kernel as the lower bound", because="that kernel need not be its worst", current=True)
sandwich.control("the worst of pi_i among the kernels found as the upper bound", because="pi_i need not be optimal", own=True)


@claim(
    PAPER,
    "stall",
    r"V_i(s_0) - V_{\mathrm{worst}}^{\pi_i}(s_0) \to 0",
    kind="separation",
    source="derived",
    assumes="the loop of iwocs/sandwich, with worst kernels made of vertices",
    expected="refuted",
    corrected="iwocs/repair",
    note="Three states, two actions and two deterministic rows a pair suffice (iwocs/stall-exact): the worst kernel repeats while the bounds"
    " are 4.258 and 6.560, and the robust optimum is 5.974. The loop as reconstructed here; the paper's text was not at hand.",
)
@over(stalling_loop.sweep(gamma=0.9), start=0)
@over(LOOPS, start=0)
def stall(model: RobustPolytopeMDP, *, start: int, repaired: bool = False) -> Comparison:
    r"""The bounds of the loop need not close: V_i is tied to the optima of the kernels found, not to pi_i in them.

    The least of several optimal values may be attained by different kernels in different states, so that the policy greedy for
    it is optimal for none, and its worst kernel may be one that is known already: then nothing changes any more. Of 400 random
    models with deterministic rows each, from kernel 0: none stalled at (S, A, K) = (2, 2, 2), 3 at (3, 2, 2), 10 at (4, 2, 2),
    11 at (5, 3, 2), with a loss of up to 3.7; of 120 with Dirichlet rows one at concentration 0.1 and none at 0.3.
    """
    run = static_sequence(model, start=np.eye(model.states)[start], repaired=repaired)
    return always(run.outcome == "closed", f"a gap of {run.gap:.4g} after {len(run.upper)} rounds")


stall.repair("the rectangular hull of the kernels found", because="its optimum is that of a policy in them", repaired=True)


@claim(
    PAPER,
    "stall-exact",
    r"V_{\mathrm{worst}}^{\pi_1} = V_{T_1}^{\pi_1} = \tfrac{809}{190} < V^\star_{\mathrm{rob}} = \tfrac{1619}{271} < V_1 = V_2 = \tfrac{164}{25}, \qquad "
    r"\pi_2 = \pi_1, \quad T_2 = T_1",
    kind="separation",
    source="derived",
    assumes="gamma = 9/10; next states by action and vertex ((0,1),(1,2)), ((2,2),(1,0)), ((2,1),(0,2)), rewards (.5,.8), (.1,0), (.7,.9), s_0 = 0",
)
@over(stalling_loop.sweep(gamma=0.9))
def stall_exact(model: RobustPolytopeMDP, *, vertex: int = 0, hull: bool = False) -> Comparison:
    r"""The smallest stall found, in rational arithmetic: after one round nothing changes, and the policy loses 1.716 of 5.974.

    Every policy is evaluated in every kernel. In T_0 the optimum is (164/25, 32/5, 7), attained by pi_1 = (1, 0, 0). Its worst
    kernel T_1 has the optimum (409/50, 41/5, 9), larger in every state, so that Q_2 = Q_1. The robust policy is (1, 0, 1).
    """
    policies = list(itertools.product(range(2), repeat=3))
    kernels = np.array(list(itertools.product(range(2), repeat=6))).reshape(-1, 3, 2)
    values = {policy: [_exact_value(model, policy, kernel) for kernel in kernels] for policy in policies}
    nexts = model.vertices.argmax(axis=3)
    reward, g = _tenths(model.reward), Fraction(9, 10)

    def value(policy: tuple[int, ...], kernel: NDArray[np.int64]) -> list[Fraction]:
        return values[policy][int((kernel.ravel() * 2 ** np.arange(5, -1, -1)).sum())]

    def q_of(allowed: NDArray[np.int64]) -> NDArray[Any]:
        """Q of the robust optimum over the vertices allowed[s, a, :]; of one kernel that is Q*."""
        inside = [k for k in kernels if (k[..., None] == allowed).any(axis=2).all()]
        optimum = [max(min(value(policy, k)[s] for k in inside) for policy in policies) for s in range(3)]
        worst = [[min(optimum[nexts[s, a, k]] for k in allowed[s, a]) for a in range(2)] for s in range(3)]
        return reward + g * np.array(worst, dtype=object)

    kernel, found = np.full((3, 2), vertex), []
    q, tops, chosen, losses = np.full((3, 2), Fraction(10**6), dtype=object), [], [], []
    for _ in range(2):
        found.append(kernel)
        q = q_of(np.stack(found, axis=2)) if hull else np.minimum(q, q_of(kernel[..., None]))
        policy = tuple(int(q[s, 1] > q[s, 0]) for s in range(3))
        worst = [min(v[s] for v in values[policy]) for s in range(3)]
        kernel = np.array([[int(worst[nexts[s, a, 1]] < worst[nexts[s, a, 0]]) for a in range(2)] for s in range(3)])
        tops.append(max(q[0]))
        chosen.append(policy)
        losses.append((worst[0], value(policy, kernel)[0]))
    robust = max(min(v[0] for v in values[policy]) for policy in policies)
    return all_of(
        upper=always([top == Fraction(164, 25) for top in tops], "V_i in round"),
        lower=always([pair == (Fraction(809, 190), Fraction(809, 190)) for pair in losses], "the worst value in round"),
        optimum=always(robust == Fraction(1619, 271), "the robust optimum"),
        repeats=always(chosen[0] == chosen[1] == (1, 0, 0) and (kernel == found[1]).all(), "the second round"),
    )


def _tenths(numbers: Floats) -> NDArray[Any]:
    """Floats that are meant as tenths, as Fractions."""
    return np.array([Fraction(round(10 * x), 10) for x in numbers.ravel()], dtype=object).reshape(numbers.shape)


def _exact_value(model: RobustPolytopeMDP, policy: tuple[int, ...], kernel: NDArray[np.int64]) -> list[Fraction]:
    """V_T^pi of deterministic rows at discount 9/10: every path ends in a cycle, whose value is a geometric series."""
    nexts, reward, g = model.vertices.argmax(axis=3), _tenths(model.reward), Fraction(9, 10)
    values = []
    for state in range(model.states):
        path: list[int] = []
        while state not in path:
            path.append(state)
            state = int(nexts[state, policy[state], kernel[state, policy[state]]])
        cycle = path[path.index(state) :]
        total = sum((g**k * reward[s, policy[s]] for k, s in enumerate(cycle)), Fraction(0)) / (1 - g ** len(cycle))
        for s in reversed(path[: path.index(state)]):
            total = reward[s, policy[s]] + g * total
        values.append(total)
    return values


stall_exact.control("from the second rows", because="then the first upper bound is another one", vertex=1)
stall_exact.control("the rectangular hull", because="its second policy is the robust one", hull=True)


@claim(
    PAPER,
    "repair",
    r"V_i(s_0) - V_{\mathrm{worst}}^{\pi_i}(s_0) \le \epsilon \quad \text{after at most } S A (K - 1) + 1 \text{ rounds}",
    kind="deterministic rate",
    source="derived",
    assumes="Q_i is the robust optimum over the rows found, chosen pair by pair; U (s,a)-rectangular with K vertices a pair",
)
@over(stalling_loop.sweep(gamma=(0.5, 0.9)), start=(0, 1))
@over(LOOPS, start=0)
def repair(model: RobustPolytopeMDP, *, start: int, repaired: bool = True, rounds: int | None = None) -> Comparison:
    r"""With the rectangular hull of what was found the loop closes, and finds the robust optimum.

    Now pi_i is a policy whose worst value over the rows found is V_i itself. If its worst kernel is made of rows found before,
    its worst value over all of U is V_i, and the bounds meet. Otherwise at least one of the S A (K - 1) other rows is new.
    """
    law = np.eye(model.states)[start]
    run = static_sequence(model, start=law, repaired=repaired)
    optimum = robust_policy_iteration(model)
    S, A, K, _ = model.vertices.shape
    return all_of(
        closed=at_most(run.gap, 1e-6),
        rounds=at_most(len(run.upper), rounds or S * A * (K - 1) + 1),
        lower=at_most(run.lower, optimum.upper[start]),
        upper=at_least(run.upper, optimum.lower[start]),
    )


repair.control("the loop as it was", because="it stalls on the counterexample", repaired=False)
repair.control("one round", because="the first kernel is seldom the worst", rounds=1)
