r"""The Policy Cliff (Xu 2025): optimal values move continuously with the reward, optimal policies jump where optima are tied.

Notation: R and R' are rewards of one model with :math:`\|R' - R\|_\infty \le \varepsilon`, primes mark what belongs to R', and
:math:`\Delta` is the action gap of R, the smallest positive V*(s) - Q*(s, a). Written d(s, a), the visits that follow a first step
are the expected discounted numbers of times that each pair is taken if a is taken in s and an optimal policy followed then; they
add up to 1 / (1 - gamma).

Ties and near ties are decided in rational arithmetic.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdplab.models import (
    TabularMDP,
    combination_lock,
    delayed_reward_chain,
    dirichlet_mdp,
    fork,
    frozen_lake,
    garnet,
    grid_world,
    model_family,
    river_swim,
    tied_optima,
    two_state,
)
from mdplab.solvers import (
    discounted_occupancy,
    evaluate_policy,
    exact_evaluation,
    exact_policy_iteration,
    policy_iteration,
    rational_twin,
    soft_policy_iteration,
)
from mdplab.solvers.bounds import UNIT_ROUNDOFF
from mdplab.solvers.evaluation import evaluate_policies
from mdplab.solvers.rational import RationalMDP, RationalSolution
from paper_checks.instances import (
    Floats,
    certifiable,
    optimum,
    random_models,
    random_policy,
    real_models,
    small_real_models,
    structured_models,
)
from theory.claims import Comparison, Paper, Range, all_of, always, at_least, at_most, by_profile, claim, domain, equal, over

PAPER = Paper(
    key="policy-cliff",
    title="The Policy Cliff: A Theoretical Analysis of Reward-Policy Maps in Large Language Models",
    authors="Xu",
    year=2025,
    theme="rewards",
    arxiv="2507.20150",
)

DISCOUNTS = (0.0, 0.5, 0.9, 0.99)
DIRECTIONS = ("adverse", "random")


@model_family(A=2)
def lure(A: int = 2, temperature: float = 1.0, margin: float = 0.01, gamma: float = 0.999) -> TabularMDP:
    """State 0 chooses between work, an absorbing state that pays, and play, one with A actions that do not.

    Work pays (1 - ``margin``) ``temperature`` log A a step, just less than the entropy bonus of playing.
    """
    return TabularMDP(
        state_pointer=np.array([0, 2, 3, 3 + A]),
        row_pointer=np.arange(A + 4),
        next_state=np.array([1, 2, 1] + [2] * A, dtype=np.int32),
        probability=np.ones(A + 3),
        reward=np.array([1.0, 0.0, 1.0] + [0.0] * A) * (1 - margin) * temperature * np.log(A),
        gamma=gamma,
    )


def _detour(mdp: TabularMDP, policy: NDArray[np.int64], pair: int) -> Floats:
    """d(s, a) - d(s, policy(s)) of ``pair`` = (s, a), shape (N,)."""
    rows = mdp.transition_matrix()
    difference = np.zeros(mdp.pairs)
    for first, sign in ((pair, 1.0), (int(policy[mdp.pair_state[pair]]), -1.0)):
        later = discounted_occupancy(mdp, policy, start=rows[[first]].toarray()[0], normalised=False)
        difference += sign * mdp.gamma * later.pair
        difference[first] += sign
    return difference


def _direction(
    mdp: TabularMDP, kind: str, policy: NDArray[np.int64], gap: Floats, others: NDArray[np.bool_], rng: np.random.Generator
) -> Floats:
    """Signs in which to change the rewards: all up, at random, or to help the nearest of the ``others`` (bool[N]) most.

    A change D of the rewards lowers the gap of a pair, while ``policy`` stays optimal, by the scalar product of D and the
    pair's detour.
    """
    if kind == "constant":
        return np.ones(mdp.pairs)
    if kind == "random":
        return rng.choice((-1.0, 1.0), size=mdp.pairs)
    return np.sign(_detour(mdp, policy, int(np.argmin(np.where(others, gap, np.inf)))))


def _float_direction(mdp: TabularMDP, kind: str, seed: int) -> Floats:
    """:func:`_direction` for the optimum that policy iteration finds, with all other pairs to choose from."""
    policy = optimum(mdp).policy
    others = np.ones(mdp.pairs, dtype=np.bool_)
    others[policy] = False
    gap = -evaluate_policy(mdp, policy).advantage
    return _direction(mdp, kind, policy, gap, others, np.random.default_rng(seed))


def _gap(twin: RationalMDP, found: RationalSolution) -> NDArray[np.object_]:
    """V*(s) - Q*(s, a), Fractions (N,)."""
    gap: NDArray[np.object_] = np.repeat(found.value, np.diff(twin.state_pointer)) - found.q
    return gap


def _exactly_tied(mdp: TabularMDP) -> RationalMDP:
    """The rational twin with ties that rounding broke restored: gaps below 1e-9 are added to the rewards.

    V* still satisfies Bellman's equation, so that the pairs concerned are optimal exactly.
    """
    twin = rational_twin(mdp)
    gap = _gap(twin, exact_policy_iteration(twin))
    reward = tuple(r + (g if g < 1e-9 else 0) for r, g in zip(twin.reward, gap))
    return dataclasses.replace(twin, reward=reward)


def _moved(twin: RationalMDP, size: Fraction, direction: Iterable[float]) -> RationalMDP:
    """The model with rewards R + size * direction; ``direction`` is made of whole numbers."""
    return dataclasses.replace(twin, reward=tuple(r + size * int(d) for r, d in zip(twin.reward, direction)))


@claim(
    PAPER,
    "value-continuous",
    r"\|V'^\star - V^\star\|_\infty \le \frac{\varepsilon}{1-\gamma}, \qquad "
    r"0 \le V^\star - V^{\pi'} \le \frac{2\varepsilon}{1-\gamma} \;\text{ for every } \pi' \text{ optimal for } R'",
    kind="inequality",
    source="derived",
    assumes="0 <= gamma < 1",
)
@over(fork.sweep(left=1.999, after_left=1.999, gamma=DISCOUNTS), direction=("constant", "adverse"), epsilon=1.0)
@over(
    real_models() | structured_models() | random_models(),
    direction=("constant", "adverse", "random"),
    epsilon=(0.01, 1.0),
)
@over(
    fork.sweep(
        left=Range(-3.0, 3.0), right=Range(-3.0, 3.0), after_left=Range(-3.0, 3.0), after_right=Range(-3.0, 3.0), gamma=0.9
    ),
    direction="adverse",
    epsilon=1.0,
    budget=by_profile(quick=100, full=1000),
)
def value_continuous(
    mdp: TabularMDP,
    *,
    direction: str,
    epsilon: float,
    seed: int,
    value_of: float = 1.0,
    loss_of: float = 2.0,
    horizon: bool = True,
) -> Comparison:
    r"""Optimal values are Lipschitz in the reward, and so is what is lost by optimising the wrong one.

    Every policy's value moves by at most :math:`\varepsilon / (1 - \gamma)`, hence the best one's too; more reward everywhere attains
    it. A policy that is optimal for R' was worth at most that much less under R than it seems, and the old optimum at most that
    much more: attained by two ways of life whose rewards are 2 epsilon apart and change places.
    """
    best = optimum(mdp)
    changed = mdp.replace(reward=mdp.reward + epsilon * _float_direction(mdp, direction, seed))
    # the start saves time, the bracket proves the result
    other = policy_iteration(changed, certifiable(changed), start=best.policy)
    misled = evaluate_policy(mdp, other.policy)
    unit = epsilon / (1 - mdp.gamma) if horizon else epsilon
    return all_of(
        value=at_most(np.abs(other.value - best.value), value_of * unit, slack=best.width + other.width),
        # the policy found is optimal for R' up to the width of its bracket
        loss=at_most(best.value - misled.value, loss_of * unit, slack=best.width + misled.error + other.width),
    )


value_continuous.control("0.95 of the change of values", because="more reward everywhere attains the bound", value_of=0.95)
value_continuous.control("0.95 of the loss", because="the old optimum falls while the new one rises", loss_of=1.9)
value_continuous.control("no horizon", because="the change is earned in every step", horizon=False)


@claim(
    PAPER,
    "gap-radius",
    r"\varepsilon < \frac{1-\gamma}{2}\,\Delta \implies "
    r"\arg\max_a Q'^\star(s, \cdot) \subseteq \arg\max_a Q^\star(s, \cdot) \text{ for all } s",
    kind="inequality",
    source="derived",
    assumes="0 <= gamma < 1; some action is not optimal. A unique optimal policy is then the unique one for R' too",
)
@over(fork.sweep(gamma=DISCOUNTS), direction=DIRECTIONS)
@over(
    dirichlet_mdp.sweep(S=5, A=2, gamma=(0.5, 0.95), concentration=(0.05, 1.0), draws=by_profile(quick=6, full=60))
    | garnet.sweep(S=8, A=3, b=2, ragged=True, rewards="normal", draws=by_profile(quick=6, full=60))
    | tied_optima.sweep(S=4, A=3, draws=by_profile(quick=6, full=60)),
    direction=DIRECTIONS,
)
@over(
    river_swim.sweep(S=6)
    | delayed_reward_chain.sweep(S=6)
    | combination_lock.sweep(A=3, H=4, seed=0)
    | grid_world.sweep(slip=(0.0, 0.2))
    | frozen_lake.sweep(map_name="4x4", gamma=0.99),
    direction=DIRECTIONS,
)
def gap_radius(
    mdp: TabularMDP, *, direction: str, seed: int, inside: float = 0.99, halved: float = 2.0, horizon: bool = True
) -> Comparison:
    r"""Within (1 - gamma) / 2 of the action gap, no other action becomes optimal (in rational arithmetic).

    Q* and V* both move by at most :math:`\varepsilon / (1 - \gamma)`, so that a gap V* - Q* falls by at most twice that. It does
    where an action leads into one half of the model, the optimal one into another, and all rewards move for the one and
    against the other: at a fork. The other models are changed in the direction that lowers their smallest gap fastest.
    """
    twin = _exactly_tied(mdp)  # otherwise the gap of tied models would be that of rounding
    before = exact_policy_iteration(twin)
    assert before.action_gap is not None, "every action is optimal"
    gap = _gap(twin, before)
    radius = before.action_gap * ((1 - twin.gamma) if horizon else 1) / Fraction(halved)
    signs = _direction(mdp, direction, before.policy, gap.astype(float), ~before.optimal, np.random.default_rng(seed))
    size = Fraction(inside) * radius
    changed = _moved(twin, size, signs)
    after = exact_policy_iteration(changed)
    fall = (gap - _gap(changed, after))[~before.optimal]
    return all_of(
        always(before.optimal | ~after.optimal, "an action becomes optimal"),
        gap=at_most(fall.astype(float), float(halved * size / (1 - twin.gamma))),
    )


gap_radius.control("no horizon", because="at a fork the change is earned in every step after it", horizon=False)
gap_radius.control("1.01 of the radius", because="at a fork the two actions change places", inside=1.01)
gap_radius.control("the whole gap in place of half", because="one action gains what the other loses", halved=1.0)


@claim(
    PAPER,
    "exact-radius",
    r"\pi^\star \text{ is optimal for all } R' \text{ with } \|R' - R\|_\infty \le \varepsilon \iff \varepsilon \le r = "
    r"\min_{a \ne \pi^\star(s)} \frac{V^\star(s) - Q^\star(s, a)}{\|d(s, a) - d(s, \pi^\star(s))\|_1}, "
    r"\qquad r \ge \frac{1-\gamma}{2}\,\Delta",
    kind="identity",
    source="derived",
    assumes="0 <= gamma < 1; the optimum is unique",
)
@over(fork.sweep(gamma=DISCOUNTS))
@over(
    dirichlet_mdp.sweep(S=4, A=2, gamma=(0.5, 0.95), concentration=(0.05, 1.0), draws=by_profile(quick=6, full=60))
    | garnet.sweep(S=6, A=3, b=2, ragged=True, rewards="normal", draws=by_profile(quick=6, full=60))
    | two_state.sweep(gamma=(0.5, 0.95))
)
def exact_radius(mdp: TabularMDP, *, seed: int, margin: float = 0.001, norm: str = "sum") -> Comparison:
    r"""How large a change of rewards a unique optimum survives, exactly.

    The policy is optimal for R' if and only if no first step to another action pays: if :math:`Q'^{\pi^\star}(s, a) \le
    V'^{\pi^\star}(s)`. The left side minus the right is :math:`-(V^\star - Q^\star)(s, a) + \langle d(s, a) - d(s, \pi^\star(s)), R' - R\rangle`,
    whose largest value over a box of half-width :math:`\varepsilon` has the 1-norm in it. Both d have mass 1 / (1 - gamma), hence the
    bound. Just inside, no change of one of these worst signs or of random ones unseats the policy; just outside, the worst does.
    """
    twin = rational_twin(mdp)
    before = exact_policy_iteration(mdp)
    assert before.optimal.sum() == mdp.states, "the optimum is not unique"
    assert before.action_gap is not None
    others = np.flatnonzero(~before.optimal)
    detours = np.array([_detour(mdp, before.policy, int(pair)) for pair in others])
    gaps = _gap(twin, before)[others].astype(float)
    least = (1 - mdp.gamma) / 2 * float(before.action_gap)
    sizes = np.abs(detours)
    lengths = {"sum": sizes.sum(axis=1), "maximum": sizes.max(axis=1), "mass": np.full(len(gaps), 2 / (1 - mdp.gamma))}[norm]
    radii = gaps / lengths
    radius = float(radii.min())
    random = np.random.default_rng(seed).choice((-1.0, 1.0), size=(4, mdp.pairs))
    inside = [
        exact_policy_iteration(_moved(twin, Fraction((1 - margin) * radius), signs)).optimal
        for signs in np.concatenate((np.sign(detours), random))
    ]
    worst = np.sign(detours[np.argmin(radii)])
    outside = exact_policy_iteration(_moved(twin, Fraction((1 + margin) * radius), worst)).optimal
    return all_of(
        inside=always([np.array_equal(optimal, before.optimal) for optimal in inside], "the optimum changes"),
        outside=always(not outside[before.policy].all(), "the optimum survives"),
        bound=at_least(radius, least),
    )


exact_radius.control("the bound in place of r", because="detours of random models come back", norm="mass")
exact_radius.control("the largest entry in place of the sum", because="all rewards on a detour may change", norm="maximum")


def _selections(twin: RationalMDP, optimal: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Every deterministic policy of ``optimal`` pairs."""
    pointer = twin.state_pointer
    choices = [np.flatnonzero(optimal[low:high]) + low for low, high in itertools.pairwise(pointer)]
    return [np.array(chosen, dtype=np.int64) for chosen in itertools.product(*choices)]


def _indicator(pairs: int, policy: Sequence[int] | NDArray[np.int64]) -> NDArray[np.bool_]:
    taken = np.zeros(pairs, dtype=np.bool_)
    taken[policy] = True
    return taken


@claim(
    PAPER,
    "selection",
    r"\pi \in \Pi^\star(R) \text{ deterministic},\; \varepsilon > 0,\; R'(s, a) = R(s, a) + \varepsilon\, 1\{a = \pi(s)\} "
    r"\implies \Pi^\star(R') = \{\pi\}",
    kind="necessity",
    source="recalled",
    assumes="0 <= gamma < 1",
    note="In substance the paper's. With gap-radius: the set of optimal actions is continuous in R exactly where the optimum is unique.",
)
@over(
    tied_optima.sweep(S=(2, 4), A=(2, 3), gamma=(0.5, 0.9), draws=by_profile(quick=4, full=40)) | fork.sweep(right=1.0),
    digits=(8, 80),
)
def selection(mdp: TabularMDP, *, digits: int, sign: int = 1, detour: bool = False) -> Comparison:
    r"""Where optima are tied, a change of the reward as small as you like makes any one of them the only one.

    The policy earns epsilon more in each step, so that :math:`V'^\pi = V^\star + \varepsilon / (1 - \gamma)`, and every other action is
    worth less by its old gap and epsilon. Checked for all tied policies (2^S of them), for epsilon = 1e-8 and 1e-80.
    """
    twin = _exactly_tied(mdp)
    optimal = exact_policy_iteration(twin).optimal
    epsilon = Fraction(1, 10**digits)
    worse = np.flatnonzero(~optimal)[: int(detour)]  # instead, in one state, an action that is not optimal
    selected = []
    for policy in _selections(twin, optimal):
        policy[mdp.pair_state[worse]] = worse
        chosen = _indicator(twin.pairs, policy)
        changed = exact_policy_iteration(_moved(twin, sign * epsilon, chosen))
        selected.append(np.array_equal(changed.optimal, chosen))
    return always(selected, "the policy is not the only optimum")


selection.control("taken away in place of added", because="then every other tied policy is better", sign=-1)
selection.control("one action that is not optimal", because="a small change cannot select it", detour=True)


@claim(
    PAPER,
    "true-value-jump",
    r"\forall \varepsilon > 0\; \exists R_1, R_2 \text{ within } \varepsilon \text{ of } R: \quad "
    r"J_T(\pi_{R_1}) - J_T(\pi_{R_2}) = \max_{\pi \in \Pi^\star(R)} J_T(\pi) - \min_{\pi \in \Pi^\star(R)} J_T(\pi) > 0",
    kind="necessity",
    source="derived",
    assumes="optima of R are tied; T, the true reward, is R plus normal noise of size 0.3; pi_R is the optimum of R",
)
@over(
    tied_optima.sweep(S=(2, 4), A=3, gamma=(0.5, 0.9), draws=by_profile(quick=10, full=100)) | fork.sweep(right=1.0),
    digits=(8, 80),
)
def true_value_jump(mdp: TabularMDP, *, digits: int, seed: int, noise: float = 0.3) -> Comparison:
    """What a policy is truly worth jumps by a constant under changes of the learner's reward as small as you like.

    Optima of R are equally good for R but not for T. The best and the worst of them for T are found by dynamic programming among
    tied actions; an epsilon more selects either. The constant, by enumeration, does not depend on epsilon.
    """
    twin = _exactly_tied(mdp)
    optimal = exact_policy_iteration(twin).optimal
    rng = np.random.default_rng(seed)
    truth = dataclasses.replace(
        twin, reward=tuple(r + Fraction(noise * x) for r, x in zip(twin.reward, rng.standard_normal(twin.pairs)))
    )
    start = [Fraction(p) for p in mdp.start_distribution.tolist()]

    tied = np.flatnonzero(optimal)
    among = RationalMDP(  # the tied actions alone
        np.searchsorted(tied, twin.state_pointer),
        tuple(twin.rows[n] for n in tied),
        tuple(truth.reward[n] for n in tied),
        twin.gamma,
    )
    values = []
    for better in (1, -1):
        wanted = exact_policy_iteration(dataclasses.replace(among, reward=tuple(better * r for r in among.reward)))
        learner = _moved(twin, Fraction(1, 10**digits), _indicator(twin.pairs, tied[wanted.policy]))
        values.append(_return(truth, exact_policy_iteration(learner).policy, start))
    every = [_return(truth, policy, start) for policy in _selections(twin, optimal)]
    constant = max(every) - min(every)
    return all_of(
        equal(float(values[0] - values[1]), float(constant), scale=max(float(max(map(abs, every))), 1.0)),
        positive=always(values[0] > values[1], "nothing jumps"),
    )


def _return(twin: RationalMDP, policy: NDArray[np.int64], start: Sequence[Fraction]) -> Fraction:
    value = exact_evaluation(twin, policy).value
    return sum((p * v for p, v in zip(start, value)), Fraction(0))


true_value_jump.control("the learner has the true reward", because="tied policies are then equally good", noise=0.0)
true_value_jump.control(
    "a unique optimum",
    because="a small change does not move it",
    on=domain(dirichlet_mdp.sweep(S=4, A=3, gamma=(0.5, 0.9), draws=4), digits=8),
)


@claim(
    PAPER,
    "entropy-lipschitz",
    r"\max_s \|\pi'_\alpha(\cdot|s) - \pi_\alpha(\cdot|s)\|_1 \le 2 \tanh\frac{\varepsilon}{2\alpha(1-\gamma)} \le \frac{\varepsilon}{\alpha(1-\gamma)}",
    kind="inequality",
    source="derived",
    assumes="pi_alpha maximises return plus alpha times discounted entropy; 0 <= gamma < 1",
)
@over(
    fork.sweep(left=0.5, right=-0.5, after_left=0.5, after_right=-0.5, gamma=DISCOUNTS),
    direction="adverse",
    epsilon=1.0,
    alpha=(0.1, 1.0, 10.0, 1000.0),
)
@over(fork.sweep(left=0.0, gamma=DISCOUNTS), direction="adverse", epsilon=(1e-5, 1e-3), alpha=(0.1, 1.0))
@over(
    small_real_models() | structured_models() | random_models(),
    direction=DIRECTIONS,
    epsilon=(0.001, 0.1),
    alpha=(0.1, 1.0),
)
def entropy_lipschitz(
    mdp: TabularMDP,
    *,
    direction: str,
    epsilon: float,
    alpha: float,
    seed: int,
    constant: float = 1.0,
    horizon: bool = True,
    hard: bool = False,
) -> Comparison:
    r"""Entropy regularisation makes the optimal policy Lipschitz in the reward.

    The soft Q* moves by at most :math:`\varepsilon / (1 - \gamma)`, as the hard one does. If logits move by at most h then log-ratios of two
    probabilities move by at most 2h, and distributions whose log-ratios differ by at most 2h have an L1 distance of at most
    :math:`2 \tanh(h/2)`. At a fork whose sides change places this is attained for every size of the change.
    """
    changed = mdp.replace(reward=mdp.reward + epsilon * _float_direction(mdp, direction, seed))
    policies, errors = [], []
    for model in (mdp, changed):
        if hard:
            policies.append(_indicator(mdp.pairs, policy_iteration(model, certifiable(model)).policy).astype(float))
            errors.append(0.0)
        else:
            found = soft_policy_iteration(model, alpha, tol=1e-11)
            policies.append(found.policy)
            errors.append(float(np.expm1(found.log_policy_error)))
    distance = np.add.reduceat(np.abs(policies[1] - policies[0]), mdp.state_pointer[:-1])
    shift = epsilon / alpha / ((1 - mdp.gamma) if horizon else 1)
    return at_most(distance, 2 * np.tanh(constant * shift / 2), slack=sum(errors))


entropy_lipschitz.control("half the constant", because="a fork attains it", constant=0.5)
entropy_lipschitz.control("0.95 of the constant", because="a fork attains it", constant=0.95)
entropy_lipschitz.control("no horizon", because="at a fork the change is earned in every step after it", horizon=False)
entropy_lipschitz.control("optimal policies without entropy", because="at a tie they jump by 2", hard=True)


@claim(
    PAPER,
    "entropy-cost",
    r"0 \le V^\star - V^{\pi_\alpha} \le \frac{\alpha \log |A|}{1-\gamma}",
    kind="inequality",
    source="derived",
    assumes="pi_alpha maximises return plus alpha times discounted entropy; V is the return without it; 0 <= gamma < 1",
    note="Random models lose about half of it at most; a lure loses 0.99 of it, and all of it in the limit.",
)
@over(lure.sweep(A=(2, 10), temperature=0.1, gamma=(0.9, 0.99, 0.999)), alpha=0.1)
@over(lure.sweep(A=(2, 10), temperature=1.0, gamma=(0.9, 0.99, 0.999)), alpha=1.0)
@over(small_real_models() | structured_models() | random_models(), alpha=(0.01, 0.1, 1.0))
def entropy_cost(mdp: TabularMDP, *, alpha: float, factor: float = 1.0, horizon: bool = True) -> Comparison:
    r"""What stability costs: the regularised optimum loses at most the entropy that it can be paid for.

    Entropy lies between 0 and log |A|, so that :math:`V^{\pi_\alpha} + \alpha \log|A| / (1 - \gamma) \ge V_\alpha^\star \ge V^\star`. Nearly attained
    where a state with many useless actions lures the policy away from work that pays a little less than their entropy does.
    """
    best = optimum(mdp)
    found = soft_policy_iteration(mdp, alpha, tol=1e-11)
    evaluation = evaluate_policy(mdp, found.policy)
    # a policy whose probabilities are off by x in L1 has a value that is off by at most x max|Q| / (1 - gamma)
    off = float(np.expm1(found.log_policy_error)) * float(np.abs(evaluation.q).max()) / (1 - mdp.gamma)
    bound = factor * alpha * np.log(mdp.max_actions) / ((1 - mdp.gamma) if horizon else 1)
    return at_most(best.value - evaluation.value, bound, slack=best.width + evaluation.error + off)


entropy_cost.control("half the bound", because="nearly all of it can be lost", factor=0.5)
entropy_cost.control("0.95 of the bound", because="nearly all of it can be lost", factor=0.95)
entropy_cost.control("no horizon", because="entropy is paid for in every step", horizon=False)


@dataclasses.dataclass(frozen=True, eq=False)
class _Mixture:
    """Domains k with weights p_k, and the model of the mean reward (and, where dynamics differ, the mean dynamics)."""

    domains: list[TabularMDP]
    weights: Floats
    effective: TabularMDP

    def value(self, policy: NDArray[Any]) -> tuple[Floats, float]:
        """sum_k p_k V_k of a policy, shape (S,), and its error."""
        found = [evaluate_policy(mdp, policy) for mdp in self.domains]
        return self.weights @ np.array([f.value for f in found]), float(self.weights @ np.array([f.error for f in found]))


def _mixture(mdp: TabularMDP, count: int, shared: bool, rng: np.random.Generator) -> _Mixture:
    """The model and ``count`` - 1 domains with other rewards; unless ``shared``, domain k ends up k states further on."""
    size = max(float(np.abs(mdp.reward).max()), 1.0)
    domains = [mdp]
    for k in range(1, count):
        following = mdp.next_state if shared else ((mdp.next_state + k) % mdp.states).astype(np.int32)
        domains.append(mdp.replace(reward=size * rng.standard_normal(mdp.pairs), next_state=following, key=None))
    weights = rng.dirichlet(np.ones(count))
    reward = weights @ np.array([d.reward for d in domains])
    if shared:
        return _Mixture(domains, weights, mdp.replace(reward=reward, key=None))
    rows = sum(p * d.transition_matrix() for p, d in zip(weights, domains))
    effective = TabularMDP.from_sparse(rows, reward, mdp.gamma, mdp.pair_state, start=mdp.start)
    return _Mixture(domains, weights, effective)


@claim(
    PAPER,
    "effective-reward",
    r"\sum_k p_k V^\pi_{R_k} = V^\pi_{\bar R}, \qquad \bar R = \sum_k p_k R_k",
    kind="identity",
    source="derived",
    assumes="one model with the rewards R_1, ..., R_K of K domains, which share its dynamics; p a distribution; 0 <= gamma < 1",
    note="The paper speaks of stability governed by an effective reward; that the domains have to share their dynamics is our finding.",
)
@over(small_real_models() | structured_models() | random_models(), count=(2, 5))
def effective_reward(mdp: TabularMDP, *, count: int, seed: int, shared: bool = True, weighted: bool = True) -> Comparison:
    """Learning in several domains at once is learning from one effective reward, if they share their dynamics.

    Values are linear in the reward. All that is said here of ties, gaps and jumps therefore holds of the effective reward,
    in which optima may be tied that are unique in every domain. Were dynamics to differ, their mean would not do: a value is not
    linear in them.
    """
    rng = np.random.default_rng(seed)
    mixture = _mixture(mdp, count, shared, rng)
    policy = random_policy(mdp, rng)
    value, error = mixture.value(policy)
    effective = mixture.effective
    if not weighted:
        effective = effective.replace(reward=np.mean([d.reward for d in mixture.domains], axis=0))
    found = evaluate_policy(effective, policy)
    # the mean reward is rounded count + 1 times, and so are the mean values
    largest = max(float(np.abs(d.reward).max()) for d in mixture.domains)
    rounding = 2 * (count + 2) * UNIT_ROUNDOFF * largest / (1 - mdp.gamma)
    return equal(value, found.value, tolerance=1.0, scale=error + found.error + rounding)


effective_reward.control("domains with dynamics of their own", because="values are not linear in dynamics", shared=False)
effective_reward.control("the unweighted mean", because="domains count by their weights", weighted=False)


@claim(
    PAPER,
    "effective-optimum",
    r"\pi \in \Pi^\star(\bar R) \implies \sum_k p_k J_{R_k}(\pi) = \max_{\pi'} \sum_k p_k J_{R_k}(\pi'), "
    r"\qquad \bar R = \sum_k p_k R_k",
    kind="identity",
    source="derived",
    assumes="as `policy-cliff/effective-reward`: domains share their dynamics",
)
@over(
    dirichlet_mdp.sweep(S=3, A=2, gamma=(0.5, 0.9), draws=by_profile(quick=20, full=200))
    | garnet.sweep(S=4, A=3, b=2, rewards="normal", draws=by_profile(quick=5, full=50)),
    count=(2, 5),
)
def effective_optimum(mdp: TabularMDP, *, count: int, seed: int, shared: bool = True) -> Comparison:
    """A policy that is optimal for the effective reward is optimal for the mixture of domains.

    The best of the mixture is found by enumerating deterministic policies, which is enough for domains with common dynamics. With
    dynamics of their own a stationary policy could do better still, so that the control is refuted on the strict side.
    """
    mixture = _mixture(mdp, count, shared, np.random.default_rng(seed))
    start = mdp.start_distribution
    best = optimum(mixture.effective)
    value, error = mixture.value(best.policy)
    every = np.array(list(itertools.product(*(range(a, b) for a, b in itertools.pairwise(mdp.state_pointer)))))
    found = [evaluate_policies(domain, every) for domain in mixture.domains]
    values = sum(p * f[0] @ start for p, f in zip(mixture.weights, found))
    errors = max(float(f[2].max()) for f in found)
    largest = max(float(np.abs(d.reward).max()) for d in mixture.domains)
    rounding = 2 * (count + 2) * UNIT_ROUNDOFF * largest / (1 - mdp.gamma)
    return equal(float(start @ value), float(np.max(values)), tolerance=1.0, scale=best.width + error + errors + rounding)


effective_optimum.control(
    "domains with dynamics of their own", because="the optimum of the means is not that of the mixture", shared=False
)
