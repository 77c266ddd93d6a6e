r"""Feasibility-guided safe offline RL (Zheng et al. 2024): feasible values, hard constraints, and the tilts that respect them.

Notation: the dynamics are deterministic, s' = next(s, a). The violation signal h is -1 on safe states and M > 0 on the others,
unless a claim says that it is graded. The feasible value V_h is the fixed point of the operator T,

.. math:: (T V)(s) = \min_a Q(s, a), \qquad Q(s, a) = (1 - \gamma) h(s) + \gamma \max\{h(s), V(s')\},

Q_h its values of actions. The viability kernel K is the set of states from which some policy never violates. The delay k(s) is the
number of steps for which a violation can be put off from s; it is infinite on K.

Signs of feasible values are decided in rational arithmetic: ties at 0 are ties.
"""

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdplab.models.deterministic import DeterministicMDP, forbidden_prize, random_violations, violation_chain
from mdplab.solvers import policy_iteration, q_values
from mdplab.solvers.bounds import UNIT_ROUNDOFF
from mdplab.solvers.feasibility import (
    constrained_optimum,
    feasible_operator,
    feasible_value,
    masked,
    max_delay,
    safe_actions,
    safe_under,
    viability_kernel,
)
from theory.claims import Comparison, Paper, all_of, always, at_most, by_profile, claim, domain, equal, over
from theory.divergences import kl
from theory.tilts import log_partition, log_tilt

PAPER = Paper(
    key="fisor",
    title="Safe Offline Reinforcement Learning with Feasibility-Guided Diffusion Model",
    authors="Zheng, Li, Yu, Yang, Li, Zhan, Liu",
    year=2024,
    theme="safety",
    arxiv="2401.10700",
    venue="ICLR 2024",
)

Floats = NDArray[np.float64]
DISCOUNTS = (0.5, 0.9, 0.99, 0.9999)
RANDOM = random_violations.sweep(S=(4, 20), reach=(0, 2), magnitude=(1.0, 9.0), draws=by_profile(quick=1, full=15))
CORRIDORS = violation_chain.sweep(S=(2, 8), magnitude=(1.0, 3.0), exits=("none", "gate"))
SMALL = random_violations.sweep(S=(2, 4, 5), reach=(0, 2), gamma=(0.5, 0.9), draws=by_profile(quick=2, full=25))


def _longest(delays: Floats) -> int | None:
    """The largest finite delay, None if there is none."""
    finite = delays[np.isfinite(delays)]
    return int(finite.max()) if finite.size else None


def _reaches(discount: float, steps: int | None, magnitude: float, strict: bool = True) -> bool:
    """Whether a violation ``steps`` steps away is seen: gamma^steps (M + 1) > 1, exactly; True if there is none to see."""
    if steps is None:
        return True
    size = Fraction(discount) ** steps * (Fraction(magnitude) + 1)
    return size > 1 if strict else size >= 1


def _magnitude(model: DeterministicMDP) -> float:
    """M, of a two-valued signal."""
    return float(model.violation.max())


@claim(
    PAPER,
    "contraction",
    r"\|T V - T W\|_\infty \le \gamma \|V - W\|_\infty, \qquad \|T^n V - V_h\|_\infty \le \gamma^n \|V - V_h\|_\infty",
    kind="inequality",
    source="recalled",
    assumes="0 <= gamma < 1; any signal h",
)
@over(
    random_violations.sweep(S=(1, 3, 25), signal=("two-valued", "graded"), draws=by_profile(quick=1, full=20)),
    discount=(0.0, 0.5, 0.9, 0.999),
    pair=("random", "shift"),
)
def contraction(
    model: DeterministicMDP,
    *,
    discount: float,
    pair: str,
    seed: int,
    less: float = 1.0,
    gain: float = 1.0,
    undiscounted: bool = False,
    sweeps: int = 12,
) -> Comparison:
    r"""The feasibility operator contracts at rate gamma, so that its fixed point is unique.

    :math:`\max\{h, \cdot\}` and :math:`\min_a` move no further than what they are applied to. Two vectors above h that differ by a
    constant attain the rate. At gamma = 1 every constant above h is a fixed point.
    """
    rng = np.random.default_rng(seed)
    V = rng.normal(size=model.states)
    W = rng.normal(size=model.states)
    if pair == "shift":
        V = V - V.min() + model.violation.max()
        W = V + rng.exponential()
    rate = less * discount**gain
    at = 1.0 if undiscounted else discount
    size = max(np.abs(V).max(), np.abs(W).max(), np.abs(model.violation).max())
    rounding = 5 * UNIT_ROUNDOFF * float(size)
    image, fixed = V, feasible_value(model, discount)
    distances = [np.abs(V - fixed.value).max()]
    for _ in range(sweeps):
        image = feasible_operator(model, image, at)
        distances.append(np.abs(image - fixed.value).max())
    n = np.arange(sweeps + 1)
    difference = np.abs(feasible_operator(model, V, at) - feasible_operator(model, W, at)).max()
    return all_of(
        pair=at_most(difference, rate * np.abs(V - W).max(), slack=2 * rounding),
        fixed_point=at_most(distances, rate**n * distances[0], slack=2 * fixed.error + n * rounding),
    )


contraction.control("0.95 gamma", because="a constant shift above h attains gamma", less=0.95)
contraction.control("gamma^1.05", because="a constant shift above h attains gamma", gain=1.05)
contraction.control("the undiscounted operator", because="it keeps constant shifts above h", undiscounted=True)


@claim(
    PAPER,
    "finite-sweeps",
    r"V_h = T^{S-1} h, \qquad V_h(s) = \min_\pi \max_\tau \Bigl[ (1-\gamma) \sum_{t<\tau} \gamma^t h(s_t) + \gamma^\tau h(s_\tau) \Bigr]",
    kind="identity",
    source="derived",
    assumes="0 <= gamma <= 1; any signal h; at gamma = 1 V_h is the least fixed point, min over policies of max_t h(s_t)",
)
@over(violation_chain.sweep(S=(2, 3, 6), exits=("none", "gate")), discount=(0.5, 0.9, 1.0))
@over(
    random_violations.sweep(
        S=(3, 5), reach=(0, 1), signal=("two-valued", "graded"), bad=(0.4, 0.8), draws=by_profile(quick=1, full=20)
    ),
    discount=(0.0, 0.3, 0.9, 1.0),
)
def finite_sweeps(
    model: DeterministicMDP, *, discount: float, fewer: int = 0, start: str = "signal", rounds: int = 3
) -> Comparison:
    r"""From V = h, S - 1 sweeps reach the discounted feasible value exactly, and it is the value of a stopping game.

    :math:`T^n h` is the least, over paths, of the largest payoff of a stop at :math:`\tau \le n`, and grows with n. A path of S - 1
    steps closes a loop, now or at its next step. Going round that loop for ever concedes no more: a stop in a later round pays
    what the stop at the largest h of the loop paid in the first, with that number replaced by a mean of numbers of the loop. A
    corridor needs all S - 1 sweeps. The sweeps are made in rational arithmetic; the game is solved by trying every deterministic
    stationary policy and every stop within three rounds through all states.
    """
    S, A = model.next_state.shape
    value: NDArray[Any] = np.array([Fraction(x) for x in model.violation.tolist()], dtype=object)
    if start == "top":
        value = np.full(S, value.max(), dtype=object)
    for _ in range(max(S - 1 - fewer, 0)):
        value = feasible_operator(model, value, discount)
    policies = np.array(list(itertools.product(range(A), repeat=S)))
    state = np.broadcast_to(np.arange(S), policies.shape)
    paid, weight = np.zeros(policies.shape), 1.0
    best = np.full(policies.shape, -np.inf)
    for _ in range(rounds * S if rounds else 1):
        best = np.maximum(best, paid + weight * model.violation[state])
        paid = paid + (1 - discount) * weight * model.violation[state]
        weight *= discount
        state = model.next_state[state, np.take_along_axis(policies, state, axis=1)]
    return all_of(
        fixed=always(feasible_operator(model, value, discount) == value, "a sweep more changes the value of state"),
        solver=always(feasible_value(model, discount, exact=True).value == value, "the solver's value of state"),
        game=equal(value.astype(float), best.min(axis=0), scale=float(np.abs(model.violation).max())),
    )


finite_sweeps.control("one sweep fewer", because="a corridor of S states needs S - 1", fewer=1)
finite_sweeps.control("from the largest h everywhere", because="the error falls as gamma^n only, and at 1 stays", start="top")
finite_sweeps.control("stops at the start only", because="the largest h may lie ahead", rounds=0)


@claim(
    PAPER,
    "feasible-region",
    r"V_h(s) = \gamma^{k(s)} (M + 1) - 1, \qquad K \subseteq \{V_h \le 0\}, \qquad "
    r"\{V_h \le 0\} = K \iff \gamma^{k_{\max}} (M + 1) > 1",
    kind="identity",
    source="derived",
    assumes="0 <= gamma <= 1; h is -1 or M > 0; k_max is the largest finite delay. At gamma = 1 the equality always holds",
    note="The region of the paper is the limit gamma to 1. At a fixed discount it may hold states from which a violation is inevitable.",
)
@over(RANDOM | CORRIDORS, discount=DISCOUNTS)
def feasible_region(
    model: DeterministicMDP,
    *,
    discount: float,
    everywhere: bool = False,
    strict: bool = True,
    sooner: int = 0,
    inside: bool = False,
) -> Comparison:
    r"""A violation that is far enough in the future is not seen: the discounted feasible region is too large, by a known rule.

    On a violating state V = M. Where every action leads to a violation, :math:`V(s) + 1 = \gamma (\min_a V(s') + 1)`: each step of delay
    costs one factor gamma. On the kernel V = -1. So V is positive exactly where :math:`\gamma^{k} (M + 1) > 1`. States of the kernel
    are never excluded; the others are, if the one with the longest finite delay is.
    """
    kernel = viability_kernel(model)
    delay, magnitude = max_delay(model), _magnitude(model)
    found = feasible_value(model, discount, exact=True)
    g, height = Fraction(discount), Fraction(magnitude) + 1
    formula = [Fraction(-1) if np.isinf(k) else g ** max(int(k) - sooner, 0) * height - 1 for k in delay]
    right = bool((found.region == kernel).all())
    contained = kernel | ~found.region if inside else found.region | ~kernel
    return all_of(
        formula=always(found.value == np.array(formula, dtype=object), "the value of state"),
        contains=always(contained, "the judgement of state"),
        criterion=always(right == (everywhere or _reaches(discount, _longest(delay), magnitude, strict)), "the region"),
        undiscounted=always(feasible_value(model, 1.0).region == kernel, "the undiscounted judgement of state"),
    )


feasible_region.control("right at every discount", because="delayed violations look safe at 0.5", everywhere=True)
feasible_region.control("a tie counts as seen", because="gamma (M + 1) = 1 gives V = 0", strict=False)
feasible_region.control("one step less of delay", because="each step costs a factor gamma", sooner=1)
feasible_region.control("inside the kernel in place of around it", because="delayed violations look safe at 0.5", inside=True)


@claim(
    PAPER,
    "delay-horizon",
    r"V_h(s) > 0 \iff k(s) < \frac{\ln(M + 1)}{\ln(1/\gamma)}",
    kind="identity",
    source="derived",
    assumes="0 < gamma < 1; h is -1 or M > 0",
    note="With M = 1 a violation is seen 6, 68 and 692 steps ahead at discount 0.9, 0.99 and 0.999.",
)
@over(violation_chain.sweep(S=720), discount=(0.9, 0.99, 0.999))
@over(violation_chain.sweep(S=60, magnitude=(1.0, 3.0, 9.0, 99.0), exits=("none", "gate")), discount=(0.5, 0.9))
def delay_horizon(model: DeterministicMDP, *, discount: float, height: float = 1.0, strict: bool = True) -> Comparison:
    r"""How far ahead the sign of a discounted feasible value sees, on corridors: ln(M + 1) effective horizons.

    This is :math:`\gamma^k (M + 1) > 1` of `fisor/feasible-region`, solved for k. A tie is not seen.
    """
    delay, magnitude = max_delay(model), _magnitude(model)
    found = feasible_value(model, discount)
    finite = np.isfinite(delay)
    reach = np.log(magnitude + height) / np.log(1 / discount)
    seen = delay < reach if strict else delay <= reach
    formula = np.where(finite, discount ** np.where(finite, delay, 0.0) * (magnitude + 1) - 1, -1.0)
    return all_of(
        value=equal(found.value, formula, tolerance=1e-12),
        seen=always((found.value > 0) == seen, "the judgement of state"),
    )


delay_horizon.control("ln(M + 1.1)", because="at 0.99 and 0.999 that is 5 and 49 steps more", height=1.1)
delay_horizon.control("a tie counts as seen", because="gamma^k (M + 1) = 1 gives V = 0", strict=False)


@claim(
    PAPER,
    "safe-level",
    r"K = \{V_h \le -1\} = \{V_h < \gamma^{S-1} (M + 1) - 1\} \quad \text{for every } 0 < \gamma \le 1",
    kind="identity",
    source="derived",
    assumes="h is -1 or M > 0",
    note="Repairs the level 0, which is right under the condition of feasible-region only.",
)
@over(RANDOM | CORRIDORS, discount=(0.1, 0.5, 0.99, 1.0))
def safe_level(
    model: DeterministicMDP, *, discount: float, zero: bool = False, closed: bool = False, spare: int = 1
) -> Comparison:
    r"""Compared with the level of safe states, -1, in place of 0, the feasible value finds the true region at every discount.

    Finite delays fill the numbers 0, 1, ..., k_max with at least one state each, so that :math:`k_{\max} \le S - 1`, and off the
    kernel :math:`V_h \ge \gamma^{S-1} (M + 1) - 1 > -1`. The first state of a corridor attains it. Whatever level lies between, an
    approximate V_h has that much room for its error.
    """
    found = feasible_value(model, discount, exact=True)
    kernel = viability_kernel(model)
    level = Fraction(discount) ** (model.states - spare) * (Fraction(_magnitude(model)) + 1) - 1
    low = found.region if zero else found.value <= -1
    high = found.value <= level if closed else found.value < level
    return all_of(
        low=always(low.astype(bool) == kernel, "the judgement of state"),
        high=always(high.astype(bool) == kernel, "the judgement of state"),
    )


safe_level.control("level 0", because="delayed violations look safe at 0.5", zero=True)
safe_level.control("the upper end included", because="the first state of a corridor attains it", closed=True)
safe_level.control("S - 2 in place of S - 1", because="a corridor has delays up to S - 1", spare=2)


@claim(
    PAPER,
    "action-mask",
    r"\{a : Q_h(s, a) \le 0\} = \{a : s' \in K\} \text{ for all } s \in K \iff \gamma^{\kappa + 1} (M + 1) > 1, \qquad "
    r"\kappa = \max\{k(s') < \infty : s \in K\}",
    kind="identity",
    source="derived",
    assumes="0 <= gamma <= 1; h is -1 or M > 0. Otherwise some policy of actions with Q_h <= 0 violates from a state of K",
    note="At M = 1 the discount must exceed 1/2 for Q_h to rule out even a step onto a violating state, where V_h = M at any discount.",
)
@over(RANDOM | CORRIDORS, discount=(*DISCOUNTS, 1.0))
def action_mask(
    model: DeterministicMDP, *, discount: float, as_region: bool = False, strict: bool = True, later: int = 1
) -> Comparison:
    r"""The mask on actions looks one step less far than the region of states: an exact region may come with an unsafe mask.

    For s in K and s' off K, :math:`Q_h(s, a) = -(1 - \gamma) + \gamma V_h(s') = \gamma^{k(s') + 1} (M + 1) - 1`, one factor gamma below the
    value of s'. An action that passes the mask and leaves K leads to a violation, whatever follows.
    """
    kernel, delay, magnitude = viability_kernel(model), max_delay(model), _magnitude(model)
    safe = safe_actions(model)
    allowed = kernel[:, None] & (feasible_value(model, discount, exact=True).q <= 0).astype(bool)
    right = bool((allowed == safe).all())
    deepest = _longest(delay[model.next_state[kernel]])
    steps = _longest(delay) if as_region else None if deepest is None else deepest + later
    tempted = np.argmax(np.where((allowed & ~safe).any(axis=1, keepdims=True), allowed & ~safe, allowed), axis=1)
    return all_of(
        kept=always(allowed | ~safe, "the safe pair"),
        criterion=always(right == _reaches(discount, steps, magnitude, strict), "the mask"),
        violated=always(bool(safe_under(model, tempted)[kernel].all()) == right, "what follows from the mask"),
    )


action_mask.control(
    "right wherever the region is", because="at M = 1 and 0.5 a step onto a violation has Q = 0", as_region=True
)
action_mask.control("kappa in place of kappa + 1", because="the step to s' costs a factor gamma", later=0)
action_mask.control("a tie counts as seen", because="Q = 0 passes the mask", strict=False)


@claim(
    PAPER,
    "discount-for-size",
    r"\gamma > (M + 1)^{-1/(S-1)} \implies \{V_h \le 0\} = K \text{ and } \{a : Q_h(s, a) \le 0\} = \{a : s' \in K\} \text{ on } K",
    kind="inequality",
    source="derived",
    assumes="gamma <= 1; h is -1 or M > 0; S >= 2 states. Equivalently M + 1 > gamma^{-(S-1)}: a large enough penalty",
)
@over(
    random_violations.sweep(S=(2, 4, 10), reach=(0, 2), bad=(0.2, 0.4), draws=by_profile(quick=2, full=20))
    | violation_chain.sweep(S=(2, 3, 9, 20), exits=("none", "gate")),
    magnitude=(1.0, 99.0),
)
def discount_for_size(model: DeterministicMDP, *, magnitude: float, margin: float = 0.01, root: int = 1) -> Comparison:
    r"""A discount that is enough for every deterministic model of S states, and for corridors no smaller one is.

    Finite delays are at most S - 1. If K is not empty, they are at most S - 2, since the numbers up to the largest are all taken by
    states off K; so the mask needs no more than the region. A corridor with nothing else attains the one, a corridor behind a
    gate the other.
    """
    scaled = model.replace(violation=np.where(model.violating, magnitude, -1.0))
    discount = min(((1 + margin) / (magnitude + 1)) ** (1 / max(model.states - root, 1)), 1.0)
    found = feasible_value(scaled, discount, exact=True)
    kernel = viability_kernel(scaled)
    allowed = kernel[:, None] & (found.q <= 0).astype(bool)
    return all_of(
        region=always(found.region == kernel, "the judgement of state"),
        mask=always(allowed == safe_actions(scaled), "the judgement of pair"),
    )


discount_for_size.control("just below the bound", because="the first state of a corridor then looks safe", margin=-0.01)
discount_for_size.control("root S - 2", because="a corridor has a delay of S - 1", root=2)


def _policies(model: DeterministicMDP) -> NDArray[np.int64]:
    """Every deterministic policy, int64[A^S, S]."""
    return np.array(list(itertools.product(range(model.actions), repeat=model.states)))


def _values(model: DeterministicMDP, policies: NDArray[np.int64]) -> Floats:
    """The discounted rewards of deterministic policies, float64[n, S], by linear systems."""
    states = np.arange(model.states)
    systems = np.eye(model.states) - model.gamma * np.eye(model.states)[model.next_state[states, policies]]
    return np.asarray(np.linalg.solve(systems, model.reward[states, policies][..., None])[..., 0])


@claim(
    PAPER,
    "hard-constraint-equivalence",
    r"\max_\pi \bigl\{ V_r^\pi(s) : h(s_t) \le 0 \;\forall t \bigr\} = \max_{\pi} \bigl\{ V_r^\pi(s) : Q_h(s_t, a_t) \le 0 \;\forall t \bigr\}, "
    r"\qquad s \in K = \{V_h \le 0\}",
    kind="identity",
    source="recalled",
    assumes="Q_h is that of gamma = 1 (or of a discount for which action-mask holds); 0 <= gamma < 1 for the rewards; any signal h",
)
@over(SMALL)
@over(random_violations.sweep(S=4, A=3, signal="graded", bad=(0.3, 0.6), draws=by_profile(quick=2, full=20)))
@over(forbidden_prize.sweep(modest=(0.1, 0.5), delay=(0, 2), gamma=(0.5, 0.9)))
def hard_constraint_equivalence(model: DeterministicMDP, *, mask: str = "feasible", discount: float = 1.0) -> Comparison:
    r"""The best policy without violations is the best one that takes feasible actions only.

    A policy, of whatever kind, violates for sure once it leaves K, and never does so while its actions keep it in K; and
    :math:`Q_h(s, a) = \max\{h(s), V_h(s')\}` is at most 0 exactly for those actions. So the constraint is a restriction of the
    actions, state by state, and the rest is an ordinary MDP. Compared with the best of all deterministic policies that never violate.
    """
    kernel = viability_kernel(model)
    policies = _policies(model)
    safe = safe_under(model, policies)
    allowed = {
        "feasible": feasible_value(model, discount, exact=True).q <= 0,
        "next state safe": ~model.violating[model.next_state],
        "all": np.ones(model.next_state.shape, dtype=bool),
    }[mask]
    exists = always(safe.any(axis=0) == kernel, "a safe policy for state")
    if not kernel.any():
        return exists
    best = np.where(safe, _values(model, policies), -np.inf).max(axis=0)[kernel]
    restricted = policy_iteration(masked(model, kernel[:, None] & allowed.astype(bool)), 1e-9)
    scale = 1 / (1 - model.gamma)
    parts = {"exists": exists, "value": equal(restricted.value[kernel], best, scale=scale)}
    if mask == "feasible" and discount == 1:
        found = constrained_optimum(model)
        taken = np.where(kernel, found.policy, 0)
        parts["solver"] = equal(found.value[kernel], best, scale=scale)
        parts["policy"] = equal(_values(model, taken[None])[0][kernel], best, scale=scale)
        parts["safe"] = always(safe_under(model, taken)[kernel], "the best policy from state")
    return all_of(**parts)


hard_constraint_equivalence.control("all actions", because="violating pays where the reward is", mask="all")
hard_constraint_equivalence.control(
    "next state safe", because="a safe state may lead to violations only", mask="next state safe"
)
hard_constraint_equivalence.control("Q_h of discount 0.5", because="a step onto a violation has Q_h = 0", discount=0.5)


@claim(
    PAPER,
    "closed-form",
    r"\arg\max_\pi \; \mathbb{E}_\pi A - \tfrac{1}{\alpha} \mathrm{KL}(\pi \| \pi_\beta) = \pi_\beta e^{\alpha A} / Z \;:\quad "
    r"A = A_r \text{ and } Q_h(s, a) \le 0 \text{ on } K, \qquad A = -A_h \text{ off } K",
    kind="identity",
    source="recalled",
    assumes="alpha > 0; per state; Q_h of gamma = 1 on K",
)
@over(violation_chain.sweep(S=(3, 6), exits="trapdoors"), alpha=(0.1, 3.0))
@over(random_violations.sweep(S=(3, 12), A=(2, 4), reach=(0, 2), draws=by_profile(quick=1, full=20)), alpha=(0.1, 3.0))
def closed_form(
    model: DeterministicMDP, *, alpha: float, seed: int, stretch: float = 1.0, masking: bool = True, away: float = -1.0
) -> Comparison:
    r"""Feasible states take the masked tilt by the reward advantage, infeasible ones the tilt away from violations.

    With :math:`Z = \sum_a \pi_\beta(a) e^{\alpha A(a)}` over the actions that may be taken, every policy that takes no others has
    :math:`\mathbb{E}_\pi A - \frac{1}{\alpha} \mathrm{KL}(\pi \| \pi_\beta) = \frac{1}{\alpha} \ln Z - \frac{1}{\alpha} \mathrm{KL}(\pi \| \pi^\star)`.
    Checked for random policies, for ones near the tilt, and for the tilt itself. A_h is that of the discounted feasible value.
    """
    rng = np.random.default_rng(seed)
    allowed, kernel = safe_actions(model), viability_kernel(model)
    best, feasible = constrained_optimum(model), feasible_value(model)
    V = np.where(kernel, best.value, 0.0)
    reward_advantage = model.reward + model.gamma * V[model.next_state] - V[:, None]
    danger = feasible.q - feasible.value[:, None]
    may = allowed | ~kernel[:, None]
    behaviour = rng.dirichlet(np.ones(model.actions), size=model.states)
    log_behaviour = np.where(may, np.log(behaviour), -np.inf)
    A = np.where(kernel[:, None], np.where(allowed, reward_advantage, 0.0), -danger)
    tilted_by = np.where(kernel[:, None], reward_advantage, away * danger)
    tilt = np.exp(log_tilt(log_behaviour if masking else np.log(behaviour), tilted_by, 1 / (stretch * alpha)))
    near = tilt * np.exp(0.1 * rng.normal(size=(10, *tilt.shape)))
    rivals = np.concatenate((rng.exponential(size=(10, *tilt.shape)), near, tilt[None])) * may
    rivals /= rivals.sum(axis=-1, keepdims=True)
    objective = (rivals * A).sum(axis=-1) - kl(rivals, behaviour) / alpha
    optimum = log_partition(log_behaviour, A, 1 / alpha)
    scale = 1 / alpha + 1 / (1 - model.gamma)
    return all_of(
        safe=always(tilt[~may] == 0) if (~may).any() else always(True),
        gap=equal(optimum - objective, kl(rivals, tilt) / alpha, scale=scale),
        best=always(objective <= objective[-1] + 1e-12 * scale, "the rival"),
        optimum=equal(objective[-1], optimum, scale=scale),
    )


closed_form.control("1.05 alpha", because="the tilt of another temperature is not the best", stretch=1.05)
closed_form.control("without the mask", because="a tilt of the behaviour keeps its support", masking=False)
closed_form.control("towards violations off K", because="A_h >= 0 has to be made small", away=1.0)


def _decoupled(model: DeterministicMDP, allowed: NDArray[np.bool_]) -> tuple[NDArray[np.int64], Floats, Floats]:
    """The ``allowed`` actions of largest unconstrained Q; on the kernel, their values and the constrained optimum."""
    kernel = viability_kernel(model)
    mdp = model.tabular()
    q = q_values(mdp, policy_iteration(mdp, 1e-9).value).reshape(model.next_state.shape)
    actions = np.argmax(np.where(allowed, q, -np.inf), axis=1)
    return actions, _values(model, actions[None])[0][kernel], constrained_optimum(model).value[kernel]


@claim(
    PAPER,
    "decoupling-gap",
    r"\pi(s) = \arg\max_{a : s' \in K} Q_r^\star(s, a) \text{ never violates, and loses } V_c^\star(0) - V^\pi(0) = "
    r"\tfrac{\gamma}{1-\gamma}\, m \text{ beside a forbidden prize, though a policy of feasible actions earns it}",
    kind="separation",
    source="derived",
    assumes="Q_r* is that of the unconstrained MDP; from state 0 an income m < 1 for ever, or a state beside a forbidden prize of 1 a step",
    note="Advantages of the reward learnt without the constraint and masked afterwards are safe, but not those of the constrained problem.",
)
@over(forbidden_prize.sweep(modest=(0.01, 0.5, 0.99), gamma=(0.5, 0.9, 0.99)))
def decoupling_gap(model: DeterministicMDP, *, lost: float = 1.0, coupled: bool = False) -> Comparison:
    r"""Masking advantages that were learnt without the constraint can lose everything.

    Unconstrained, state 1 is worth :math:`1 / (1 - \gamma)`, for its prize; so state 0 goes there, and finds the prize masked and no other
    income. State 2 would have paid m in every step. Advantages of the model restricted to safe actions lose nothing.
    """
    actions, value, best = _decoupled(model, safe_actions(model))
    if coupled:
        actions = np.maximum(constrained_optimum(model).policy, 0)
        value = _values(model, actions[None])[0][viability_kernel(model)]
    modest, scale = float(model.reward[2, 0]), 1 / (1 - model.gamma)
    return all_of(
        safe=always(safe_under(model, actions)[viability_kernel(model)], "the policy from state"),
        loss=equal(best[0] - value[0], lost * model.gamma * modest / (1 - model.gamma), scale=scale),
    )


decoupling_gap.control("0.95 of the loss", because="nothing at all is earned", lost=0.95)
decoupling_gap.control("coupled advantages", because="those of the restricted model see that the prize is masked", coupled=True)
decoupling_gap.control(
    "a prize below the income",
    because="then nothing lures state 0 away from the income",
    on=domain(forbidden_prize.sweep(modest=(0.5, 0.9), prize=0.4)),
)


@claim(
    PAPER,
    "decoupling-bound",
    r"\pi(s) = \arg\max_{a : s' \in K} Q_r^\star(s, a) \text{ never violates, and } "
    r"V_c^\star(s) - V^\pi(s) \le \frac{\gamma}{1-\gamma} \text{ for } s \in K",
    kind="inequality",
    source="derived",
    assumes="Q_r* is that of the unconstrained MDP; rewards in [0, 1]; 0 <= gamma < 1",
)
@over(forbidden_prize.sweep(modest=(0.5, 0.999), delay=1, gamma=(0.5, 0.9, 0.99)))
@over(random_violations.sweep(S=(4, 25), A=3, reach=(0, 2), bad=0.3, gamma=(0.5, 0.9), draws=by_profile(quick=1, full=30)))
def decoupling_bound(
    model: DeterministicMDP, *, less: float = 1.0, mask: str = "kernel", low: float = 0.0, horizon: bool = True
) -> Comparison:
    r"""What decoupling loses is at most what is earned after the first step.

    Let a be the decoupled action and b the best safe one. Then :math:`V_c^\star(s) \le Q_r^\star(s, b) \le Q_r^\star(s, a) \le r(s, a) +
    \gamma / (1 - \gamma)`, and :math:`V^\pi(s) \ge r(s, a)` as rewards are not negative. A forbidden prize beside an income just below it
    attains the bound in the limit.
    """
    model = model.replace(reward=low + (1 - low) * model.reward)
    kernel = viability_kernel(model)
    allowed = safe_actions(model) if mask == "kernel" else ~model.violating[model.next_state]
    actions, value, best = _decoupled(model, allowed)
    if not kernel.any():
        return always(True)
    bound = (model.gamma if horizon else 1.0) / (1 - model.gamma if horizon else 1.0)
    return all_of(
        safe=always(safe_under(model, actions)[kernel], "the policy from state"),
        loss=at_most(best - value, less * bound, slack=1e-8),
    )


decoupling_bound.control("0.95 of the bound", because="an income just below the prize attains it", less=0.95)
decoupling_bound.control("a bound of 1", because="the loss lasts for ever", horizon=False)
decoupling_bound.control("rewards in [-1, 1]", because="what follows the first step may then cost as well", low=-1.0)
decoupling_bound.control(
    "next state safe in place of K", because="a safe state may lead to violations only", mask="next state safe"
)
