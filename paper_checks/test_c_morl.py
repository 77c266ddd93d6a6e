r"""C-MORL (Liu et al. 2025): the exact Pareto front, what weighted sums miss, and what constrained extension adds.

Notation: m reward functions, J(pi) the vector of the discounted values of pi from the start law, unnormalised. The vectors of all
stationary policies, random ones included, form the polytope K = {R mu : mu an occupancy}. D is the set of the vectors of the
deterministic policies that no other one dominates. H(X) is the hypervolume of X above a fixed reference point below all values,
and H*(X) that of the mixtures of X. Neighbours are consecutive vectors of a nondominated set of two objectives; the box between
two of them has their distances in the two objectives as sides.

Deterministic policies are enumerated and evaluated by dense linear algebra here, independently of the solvers.
"""

import itertools

import numpy as np
from numpy.typing import NDArray

from mdplab.models.multi_objective import (
    DEPTHS,
    TREASURES,
    MultiObjectiveMDP,
    deep_sea_treasure,
    duplicated_action,
    prism_objectives,
    random_objectives,
    trade_off,
)
from mdplab.models.storm import PROGRAMS, storm_constrained_total
from mdplab.solvers.c_morl import barrier_point, constrained_extension, extend_front
from mdplab.solvers.hypervolume import dominated_volume, hypervolume, nondominated, sparsity, upper_hull
from mdplab.solvers.pareto import exact_pareto_vertices, pareto_certificate, pareto_front, weighted_sum
from theory.claims import Comparison, Paper, Range, all_of, always, at_most, by_profile, claim, domain, equal, over

PAPER = Paper(
    key="c-morl",
    title="C-MORL: Multi-Objective Reinforcement Learning through Efficient Discovery of Pareto Front",
    authors="Liu, Pan, Xu, Song, You, Chen, Bian",
    year=2025,
    theme="safety",
    arxiv="2410.02236",
    venue="ICLR 2025",
)

Floats = NDArray[np.float64]
RANDOM = random_objectives.sweep(S=(2, 4), A=2, gamma=(0.5, 0.95), draws=by_profile(quick=1, full=15))
LARGER = random_objectives.sweep(S=4, A=3, draws=by_profile(quick=1, full=15))
LINE = trade_off.sweep(points=(tuple(float(x) for k in range(9) for x in (k / 8, 1 - k / 8)),))
BENT = trade_off.sweep(points=((0.0, 1.0, 0.999, 0.999, 1.0, 0.0), (0.0, 1.0, 0.5, 0.9, 0.9, 0.7, 1.0, 0.0)))
FAN = trade_off.sweep(  # twelve vertices within a few degrees of each other
    points=(tuple(round(float(x), 9) for k in range(12) for x in (np.cos(0.7 + 0.01 * k), np.sin(0.7 + 0.01 * k))),)
)

SIMPLEX = trade_off.sweep(points=((1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),), m=3)
TIES = trade_off.sweep(points=((1.0, 0.0, 1.0, 0.5, 0.5, 1.0, 0.0, 1.0),))


def _deterministic(model: MultiObjectiveMDP) -> Floats:
    """The value vectors of all deterministic policies, (A^S, m)."""
    P, _ = model.mdp.dense()
    S, A, _ = P.shape
    rewards = model.rewards.reshape(-1, S, A)
    policies = np.array(list(itertools.product(range(A), repeat=S)))
    chains = np.eye(S) - model.mdp.gamma * P[np.arange(S), policies]
    earned = rewards[:, np.arange(S), policies].transpose(1, 2, 0)
    return np.asarray(model.mdp.start_distribution @ np.linalg.solve(chains, earned))


def _size(model: MultiObjectiveMDP) -> float:
    """A bound on all values, which rounding is measured against."""
    return float(np.abs(model.rewards).max()) / (1 - model.mdp.gamma)


def _boxes(points: Floats) -> Floats:
    """The areas of the boxes between neighbours among nondominated points (n, 2)."""
    sides = np.abs(np.diff(points[np.argsort(points[:, 0])], axis=0))
    return np.asarray(sides.prod(axis=1))


def _thresholds(vertices: Floats, seed: int, lower: float = 0.0) -> Floats:
    """A random mixture of the vertices, which can therefore be reached, lowered by ``lower`` times the range."""
    mixture = np.random.default_rng(seed).dirichlet(np.ones(len(vertices)))
    return np.asarray(mixture @ vertices - lower * np.ptp(vertices, axis=0))


# -- the front ----------------------------------------------------------------------------------------------------------


@claim(
    PAPER,
    "front-exact",
    r"\max_{v \in K} w \cdot v = \max_{p \in \mathrm{vertices}} w \cdot p \ \text{ for all } w \ge 0, \qquad "
    r"\mathrm{vertices} = \mathrm{vertices\ of\ the\ upper\ hull\ of\ } D",
    kind="identity",
    source="derived",
    assumes="0 <= gamma < 1; two objectives in the second part",
    note="The front is that of random policies: one that mixes deterministic ones at the start has a stationary twin.",
)
@over(RANDOM | LARGER | LINE | BENT | FAN | duplicated_action.sweep(draws=by_profile(quick=1, full=10)))
@over(random_objectives.sweep(S=3, A=2, m=(3, 4), draws=by_profile(quick=1, full=10)))
def front_exact(model: MultiObjectiveMDP, *, preferences: int = 0, unsplit: bool = False) -> Comparison:
    r"""The Pareto front found by splitting chords is that of all policies, and nothing beyond it was missed.

    Every policy's vector is a mixture of those of deterministic policies, as occupancies are. The normal of each face was solved as
    an MDP with a certified bracket, and no value exceeds that of the face: v - (g, ..., g) is dominated by a mixture of the vertices
    for every achievable v, with g the gap reported. For two objectives rational arithmetic gives the same vertices, and the hull of
    all deterministic policies too; for more, the volumes that are dominated agree.
    """
    front = pareto_front(model)
    vertices = front.vertices
    if preferences:
        grid = np.linspace(0.0, 1.0, preferences)
        vertices = upper_hull(np.array([weighted_sum(model, (w, 1 - w)).value for w in grid]))
    if unsplit:
        vertices = vertices[[0, -1]]
    policies, floor = _deterministic(model), model.floor - 1.0
    size = _size(model)
    volume = dominated_volume(policies, floor)
    parts = {
        "volume": equal(dominated_volume(vertices, floor), volume),
        "beyond": equal(np.maximum(front.excess(policies), 0.0), 0.0, tolerance=1e-10, scale=size),
        "gap": equal(front.gap, 0.0, tolerance=1e-9, scale=size),
    }
    if model.objectives == 2:
        hull, exact = upper_hull(policies), np.array(exact_pareto_vertices(model), dtype=float)
        if len(exact) == len(vertices):
            parts["vertices"] = equal(vertices, exact, tolerance=1e-10, scale=size)
        parts["number"] = always(len(vertices) == len(exact), "the number of vertices")
        # rounding may leave points on an edge, or just inside, among the vertices of a hull of floats
        parts["enumerated"] = equal(
            np.abs(hull[None] - exact[:, None]).max(axis=2).min(axis=1), 0.0, tolerance=1e-10, scale=size
        )
    return all_of(**parts)


front_exact.control("eleven preferences", because="a grid of weights steps over vertices", preferences=11, on=domain(FAN))
front_exact.control("the two ends alone", because="most fronts have vertices between", unsplit=True, on=domain(FAN | BENT))


# -- constrained solutions ----------------------------------------------------------------------------------------------


CONSTRAINED = (
    random_objectives.sweep(S=4, m=(2, 3), draws=by_profile(quick=1, full=30))
    | duplicated_action.sweep(m=(2, 3), draws=by_profile(quick=1, full=20))
    | TIES
)


@claim(
    PAPER,
    "pareto",
    r"v \in \arg\max\{v_i : v \in K, v_j \ge b_j\ (j \ne i)\} \implies \nexists\, u \in K : u > v; \qquad"
    r" v \in \arg\max\Bigl\{\sum_{j \ne i} v_j : v_i = v_i^\star\Bigr\} \implies \nexists\, u \in K : u \ge v, u \ne v",
    kind="identity",
    source="recalled",
    assumes="some policy meets the thresholds",
)
@over(CONSTRAINED, lower=(0.0, 1.0))
def pareto(model: MultiObjectiveMDP, *, lower: float, seed: int, any_solution: bool = False) -> Comparison:
    r"""A constrained solution is weakly Pareto-optimal, and Pareto-optimal after a second program for the other objectives.

    What is better in every objective meets the thresholds too, and has more of :math:`v_i`. Among the solutions, what dominates v has
    the same :math:`v_i` and a larger sum of the others. Both are certified: by the largest slack of a linear program, and by an
    optimal value of a weighted sum with the program's multipliers. The first part is checked on the solution that is worst in the
    other objectives.
    """
    objective = seed % model.objectives
    b = _thresholds(pareto_front(model).vertices, seed, lower)
    best = constrained_extension(model, objective, b).value
    worst = constrained_extension(model, objective, b, ties="worst").value
    weakly = pareto_certificate(model, worst, weak=True)
    fully = pareto_certificate(model, worst if any_solution else best)
    size = _size(model)
    return all_of(
        weakly=equal([weakly.slack, weakly.bound], 0.0, tolerance=1e-8, scale=size),
        fully=equal([fully.slack, fully.bound], 0.0, tolerance=1e-8, scale=size),
    )


pareto.control(
    "without the second program",
    because="actions that differ in another objective are tied",
    any_solution=True,
    on=domain(TIES, lower=1.0),
)


@claim(
    PAPER,
    "pareto-if-unique",
    r"\max_{s \ge 0,\ v + s \le u \in K} \sum_j s_j \le \max_{u \in \mathrm{Sol}} \sum_{j \ne i} u_j - \sum_{j \ne i} v_j",
    kind="inequality",
    source="derived",
    assumes=r"v \in Sol, the solutions of the constrained problem; equality for two objectives",
    note="A unique solution is Pareto-optimal without the second program: then the right side is 0.",
)
@over(CONSTRAINED, lower=(0.0, 1.0))
def pareto_if_unique(model: MultiObjectiveMDP, *, lower: float, seed: int, less: float = 1.0) -> Comparison:
    r"""What a constrained solution wastes is at most how far the solutions are spread in the other objectives.

    A vector that dominates v is itself a solution, with the same :math:`v_i`. For two objectives the best solution dominates all
    others, and the bound is attained.
    """
    objective = seed % model.objectives
    b = _thresholds(pareto_front(model).vertices, seed, lower)
    best = constrained_extension(model, objective, b).value
    worst = constrained_extension(model, objective, b, ties="worst").value
    others = np.arange(model.objectives) != objective
    spread = float((best - worst)[others].sum())
    return at_most(pareto_certificate(model, worst).slack, less * spread, slack=1e-8 * _size(model))


pareto_if_unique.control("0.95 of the spread", because="two objectives attain it", less=0.95, on=domain(TIES, lower=1.0))


# -- what weighted sums miss ----------------------------------------------------------------------------------------------


@claim(
    PAPER,
    "scalarisation-vertices",
    r"|\{J(\pi_w) : w > 0\}| \le |\mathrm{vertices}|, \qquad J(\pi_w) \in \mathrm{vertices}",
    kind="identity",
    source="derived",
    assumes="pi_w maximises the weighted sum; w is not orthogonal to a face (almost every w is not)",
)
@over(RANDOM | LARGER | LINE | BENT | FAN, preferences=by_profile(quick=8, full=100))
def scalarisation_vertices(
    model: MultiObjectiveMDP, *, preferences: int, seed: int, orthogonal: bool = False, constrained: bool = False
) -> Comparison:
    r"""Weighted sums find vertices of the front and nothing else, however many preferences are tried.

    A linear function that is not constant on a face has its maximum over a polytope at one vertex. A weight orthogonal to a face
    is also maximised by the mixtures inside it, which no preference can ask for.
    """
    vertices = np.array(exact_pareto_vertices(model), dtype=float)
    rng = np.random.default_rng(seed)
    found = np.array([weighted_sum(model, w / w.sum()).value for w in rng.exponential(size=(preferences, 2))])
    middle = vertices[:-1] / 2 + vertices[1:] / 2
    if orthogonal:  # the middle of each face maximises the sum with the face's normal
        found = np.vstack((found, middle))
    if constrained and len(middle):
        found = np.vstack((found, constrained_extension(model, 0, middle[0]).value))
    distance = np.abs(found[:, None] - vertices[None]).max(axis=2)
    distinct = np.unique(distance.argmin(axis=1)).size
    return all_of(
        vertex=equal(distance.min(axis=1), 0.0, tolerance=1e-9, scale=_size(model)),
        number=at_most(distinct, len(vertices)),
    )


scalarisation_vertices.control(
    "any maximiser", because="the middle of a face maximises its normal", orthogonal=True, on=domain(LINE | BENT, preferences=8)
)
scalarisation_vertices.control(
    "constrained solutions, too", because="they lie inside faces", constrained=True, on=domain(LINE | BENT, preferences=8)
)


@claim(
    PAPER,
    "beyond-scalarisation",
    r"H(D \cup \{v\}) \ge H(D) + \tfrac14 A(D), \qquad H(D) < H^\star(D), \qquad A(D) > 0 \iff \text{the front has a face}",
    kind="separation",
    source="derived",
    assumes="two objectives; v is the constrained solution in the middle of the largest box, of area A, between neighbours in D",
    note="Against all deterministic policies, not only those that weighted sums find, which have no larger hypervolume.",
)
@over(RANDOM | LARGER | LINE | BENT | FAN | duplicated_action.sweep(draws=by_profile(quick=1, full=10)))
@over(
    trade_off.sweep(points=Range(0.0, 1.0, size=8), gamma=0.5),
    budget=by_profile(quick=12, full=300),
)
def beyond_scalarisation(model: MultiObjectiveMDP, *, share: float = 0.25, weighted: bool = False) -> Comparison:
    r"""One constrained step adds hypervolume that no weighted sum and no deterministic policy has.

    Let a and b be the neighbours in D with the largest box. The solution v of max v_1 subject to :math:`v_2 \ge (a_2 + b_2)/2` has
    :math:`v_1 \ge (a_1 + b_1)/2`, as their mixture does. Nothing in D dominates the rectangle between :math:`(b_1, a_2)` and the
    mixture, a quarter of the box. On a straight face between a and b it is no more. With two or more points in D the front has a
    face; with one it has none.
    """
    policies, floor = _deterministic(model), model.floor - 1.0
    D = policies[nondominated(policies)]
    D = np.unique(D, axis=0)
    size = _size(model) ** 2
    hull = upper_hull(policies)
    before, whole = hypervolume(D, floor), dominated_volume(policies, floor)
    parts = {"weighted": at_most(hypervolume(hull, floor), before)}
    if len(hull) == 1:
        return all_of(one=equal(before, whole), **parts)
    boxes = _boxes(D)
    ordered = D[np.argsort(D[:, 0])]
    k = int(boxes.argmax())
    middle = float(ordered[k : k + 2, 1].mean())
    v = constrained_extension(model, 0, [0.0, middle]).value
    if weighted:
        side = np.abs(ordered[k + 1] - ordered[k])[::-1]
        v = weighted_sum(model, side / side.sum()).value
    after = hypervolume(np.vstack((D, v)), floor)
    return all_of(
        gain=at_most(share * boxes[k], after - before, slack=1e-10 * size),
        region=at_most(after, whole),
        **parts,
    )


beyond_scalarisation.control(
    "a weighted sum in place of the constraint", because="it finds a policy of D", weighted=True, on=domain(LINE | BENT)
)
beyond_scalarisation.control("0.27 of the box", because="a straight face gives a quarter", share=0.27, on=domain(LINE))


@claim(
    PAPER,
    "twenty-steps",
    r"H(X_{20}) > H(D) \quad \text{whenever the front has a face}",
    kind="separation",
    source="derived",
    assumes="X_20: the two ends of the front and 20 steps of constrained extension, each in the middle of the largest box",
    expected="refuted",
    corrected="c-morl/extension-rate",
    note="Holds on small random models. Twenty or more deterministic policies at equal distances along a straight face refute it.",
)
@over(RANDOM | LARGER)
@over(trade_off.sweep(points=(tuple(float(x) for k in range(21) for x in (k / 20, 1 - k / 20)),)))
def twenty_steps(model: MultiObjectiveMDP, *, steps: int = 20, enough: bool = False) -> Comparison:
    r"""Twenty steps of constrained extension do not always beat all deterministic policies.

    A face may hold any number of deterministic policies, and more of them leave less room: k + 1 at equal distances leave 1/(2k) of the
    box, 20 steps that halve boxes leave 27/1024. The number of steps must grow with it.
    """
    policies, floor = _deterministic(model), model.floor - 1.0
    front = pareto_front(model)
    if len(front.vertices) == 1:
        return at_most(hypervolume(policies, floor), hypervolume(front.vertices, floor), slack=1e-9 * _size(model))
    if enough:  # 2 a / (n + 2) < the room that D leaves
        room = dominated_volume(policies, floor) - hypervolume(policies, floor)
        steps = int(2 * _boxes(front.vertices[[0, -1]])[0] / room)
    extended = extend_front(model, front.vertices[[0, -1]], steps, front=front)
    return at_most(hypervolume(policies, floor), hypervolume(extended, floor))


twenty_steps.repair("2 a / H*(D) - H(D) steps", because="the rate of extension", enough=True)


@claim(
    PAPER,
    "extension-rate",
    r"H^\star(D) - H(X_n) \le \sum_k a_k \le \frac{2\, a}{n + 2}",
    kind="deterministic rate",
    source="derived",
    assumes="two objectives; X_0 are the ends of the front, a the area of the box between them; each step takes the middle of the "
    "largest of the boxes a_k between neighbours",
    note="A straight face needs a/(2n + 2) of any n points, so that the rate is the best possible. The sum of boxes reached 1.125 a/(n + 1).",
)
@over(RANDOM | LARGER | LINE | BENT | FAN, steps=by_profile(quick=14, full=100))
@over(
    trade_off.sweep(points=Range(0.0, 1.0, size=8), gamma=0.5),
    steps=10,
    budget=by_profile(quick=12, full=300),
)
def extension_rate(
    model: MultiObjectiveMDP, *, steps: int, constant: float = 2.0, power: float = 1.0, shift: float = 2.0
) -> Comparison:
    r"""Constrained extension misses at most 2a/(n + 2) of the hypervolume after n steps, whatever the front.

    The constrained solution x in the middle between p and q (:math:`x_2 = (p_2 + q_2)/2`, :math:`q_1 \le x_1 \le p_1`) leaves two boxes with
    half the area of theirs together. By Cauchy-Schwarz the sum of the roots of the areas does not grow:
    :math:`\sqrt{a'} + \sqrt{a''} \le \sqrt{2(a' + a'')} = \sqrt{a_k}`; it starts at :math:`\sqrt a`. So the sum U of the areas is at
    most :math:`\sqrt{a \max_k a_k}`, and a step on the largest box lowers U by at least :math:`U^2 / (2a)`; hence
    :math:`1/U_{n+1} \ge 1/U_n + 1/(2a)`. What is missed lies in the boxes.
    """
    front = pareto_front(model)
    ends = front.vertices[[0, -1]]
    if len(front.vertices) == 1:
        return equal(dominated_volume(ends[:1], model.floor - 1.0), hypervolume(ends[:1], model.floor - 1.0))
    whole = dominated_volume(front.vertices, model.floor - 1.0)
    a = float(_boxes(ends)[0])
    rounding = 1e-11 * max(_size(model), 1.0) ** 2
    n = np.arange(steps + 1)
    points, missed, boxes = ends, [], []
    for _ in n:
        missed.append(whole - hypervolume(points, model.floor - 1.0))
        boxes.append(float(_boxes(points).sum()))
        points = extend_front(model, points, 1, front=front)
    return all_of(
        inside=at_most(missed, boxes, slack=rounding),
        rate=at_most(boxes, constant * a / (n + shift) ** power, slack=rounding, x=n + 1.0, label="sum of boxes"),
    )


extension_rate.control(
    "a power above 1", because="a straight face loses no more than 1/n", power=1.3, constant=2.0**1.3, on=domain(LINE, steps=14)
)
extension_rate.control(
    "a/(n + 1)",
    because="the boxes of a straight face are unequal between powers of 2",
    constant=1.0,
    shift=1.0,
    on=domain(LINE, steps=14),
)


@claim(
    PAPER,
    "hypervolume-grows",
    r"X \subseteq Y \implies H(X) \le H(Y), \qquad H(X \cup \{p\}) - H(X) \ge H(Y \cup \{p\}) - H(Y)",
    kind="inequality",
    source="derived",
    assumes="one reference point for all sets",
    note="Sparsity has no such property: a point more may raise it. The reference must be fixed beforehand.",
)
@over(m=(2, 3), spread=(1, 4), draw=(0, 1, 2, 3))
@over(m=4, spread=(1, 4), draw=(0, 1))
def hypervolume_grows(
    *, m: int, spread: int, draw: int, seed: int, moving: bool = False, measure: str = "hypervolume", accelerating: bool = False
) -> Comparison:
    r"""Adding points never lowers the hypervolume, and each adds less to a larger set.

    What p adds is the volume that p dominates and the set does not; a larger set dominates more of it. Drawn on a coarse grid,
    so that there are ties, and on a fine one.
    """
    rng = np.random.default_rng((seed, draw))
    points = rng.integers(1, 10**spread, size=(8, m)) / 10.0**spread
    reference = np.zeros(m)
    if measure == "sparsity":
        volumes = [sparsity(x[nondominated(x)]) for x in (points[:n] for n in range(1, 9))]
        return at_most(volumes[1:], volumes[:-1])
    lowest = [x[nondominated(x)].min(axis=0) if moving else reference for x in (points[:n] for n in range(1, 9))]
    volumes = [hypervolume(points[:n], low - 0.1) for n, low in enumerate(lowest, 1)]
    few = points[:3]
    inner = hypervolume(np.vstack((few, points[-1:])), reference) - hypervolume(few, reference)
    outer = hypervolume(points, reference) - hypervolume(points[:-1], reference)
    least, most = (inner, outer) if accelerating else (outer, inner)
    return all_of(grows=at_most(volumes[:-1], volumes[1:], slack=1e-12), adds_less=at_most(least, most, slack=1e-12))


hypervolume_grows.control("sparsity never rises", because="a point more may stretch the ends", measure="sparsity")
hypervolume_grows.control(
    "a reference below the nondominated points at hand", because="it moves up when they are dominated", moving=True
)
hypervolume_grows.control("more points add more", because="they dominate what the new one adds", accelerating=True)


# -- the interior point version ------------------------------------------------------------------------------------------


@claim(
    PAPER,
    "barrier-gap",
    r"0 \le v_i^\star - v_i^t \le \frac{m - 1}{t}, \qquad v^t = \arg\max_{v \in K} v_i + \frac1t \sum_{j \ne i} \log(v_j - b_j)",
    kind="inequality",
    source="recalled",
    assumes="some policy exceeds all thresholds",
    note="Attained wherever the barrier's maximiser lies inside the face of the constrained solution, from some t on.",
)
@over(RANDOM | LINE | BENT, t=(0.5, 50.0))
@over(LARGER, t=(5.0, 500.0))
@over(random_objectives.sweep(S=3, A=2, m=3, draws=by_profile(quick=1, full=12)) | SIMPLEX, t=(5.0, 500.0))
def barrier_gap(
    model: MultiObjectiveMDP,
    *,
    t: float,
    seed: int,
    of_bound: float = 1.0,
    per_constraint: bool = True,
    unconstrained: bool = False,
) -> Comparison:
    r"""The logarithmic barrier loses at most one over its sharpness for each constraint.

    At its maximiser the weights :math:`w_i = 1, w_j = 1/(t(v_j - b_j))` make v optimal for the weighted sum. Every u that meets the
    thresholds has :math:`u_i \le u_i + \sum w_j (u_j - b_j) \le v_i + \sum_j w_j (v_j - b_j) = v_i + (m - 1)/t`. If the face's normal is
    w and v lies inside the face, every inequality is an equality. The problem is solved on the exact front: in closed form for two
    objectives, by Newton's method for more, whose error is bounded by the gap of the weighted sum.
    """
    objective = seed % model.objectives
    vertices = pareto_front(model).vertices
    b = _thresholds(vertices, seed) - 1e-3 * np.ptp(vertices, axis=0) - 1e-6
    found = barrier_point(vertices, objective, b, t)
    if model.objectives == 2:
        order = np.argsort(vertices[:, 1 - objective])
        best = float(np.interp(b[1 - objective], vertices[order, 1 - objective], vertices[order, objective]))
    else:
        best = float(constrained_extension(model, objective, b, ties="any").value[objective])
    if unconstrained:
        best = float(vertices[:, objective].max())
    constraints = model.objectives - 1 if per_constraint else 1
    loss = best - found.value[objective]
    error = 1e-10 * _size(model) + max(found.gap, 0.0)
    return all_of(
        feasible=always(np.delete(found.value - b, objective) > 0),
        loss=at_most(loss, of_bound * constraints / t, slack=error),
        not_better=at_most(-loss, 0.0, slack=error) if loss < -error else always(True),
    )


SHARP = (50.0, 500.0, 5000.0)
barrier_gap.control("1/(2t)", because="the bound is attained inside a face", of_bound=0.5, on=domain(LINE, t=SHARP))
barrier_gap.control("0.95 of it", because="the bound is attained inside a face", of_bound=0.95, on=domain(LINE, t=SHARP))
barrier_gap.control(
    "1/t for any number of constraints", because="each constraint costs 1/t", per_constraint=False, on=domain(SIMPLEX, t=SHARP)
)
barrier_gap.control(
    "against the unconstrained optimum", because="the thresholds cost more", unconstrained=True, on=domain(LINE, t=SHARP)
)


# -- a known front ---------------------------------------------------------------------------------------------------------


@claim(
    PAPER,
    "treasure",
    r"\mathrm{vertices} = \{J(1), J(124)\}, \qquad |D_{\mathrm{treasures}}| = 10, \qquad"
    r" \text{mixtures of the two dominate the eight between}, \qquad |H_{(0, -25)}(D_{\mathrm{treasures}}) - 1155| \le 75000 (1 - \gamma)",
    kind="separation",
    source="derived",
    assumes="deep sea treasure (Vamplew et al. 2011), two objectives, 0.95 <= gamma < 1; J(v) the vector of the shortest way to treasure v",
    note="1155 is the hypervolume of the ten at gamma = 1, as known for this benchmark; the two that weighted sums find have 762.",
)
@over(deep_sea_treasure.sweep(gamma=(0.95, 0.99, 0.99999)), preferences=by_profile(quick=4, full=40))
def treasure(
    model: MultiObjectiveMDP, *, preferences: int, seed: int, scalarised_all: bool = False, eight_on_hull: bool = False
) -> Comparison:
    r"""Of the ten treasures weighted sums find two; the other eight are Pareto-optimal among deterministic policies only.

    Lowering the time by random choice between the two extremes beats the eight: the front of shortest ways lies below the chord.
    A deterministic policy ends at one treasure or never, and a longer way is worse in both objectives, so that the shortest ways
    to the ten are all of D. Discounting moves a treasure's entries by at most 18 * 124 and 171 times 1 - gamma.
    """
    gamma = model.mdp.gamma
    t = np.array([column + depth for column, depth in enumerate(DEPTHS)])
    ten = np.stack((np.array(TREASURES) * gamma ** (t - 1.0), -(1 - gamma**t) / (1 - gamma)), axis=1)
    front = pareto_front(model, tol=1e-10 * _size(model))
    found = [
        weighted_sum(model, (w, 1 - w), 1e-10 * _size(model)).value for w in np.random.default_rng(seed).random(preferences)
    ]
    ends = ten[[0, -1]]
    distance = np.abs(np.array(found)[:, None] - ends[None]).max(axis=2).min(axis=1)
    size = float(TREASURES[-1])
    chord = np.interp(ten[1:-1, 1], ends[::-1, 1], ends[::-1, 0])
    volume = hypervolume(front.vertices if scalarised_all else ten, (0.0, -25.0))
    above = ten[1:-1, 0] >= chord if eight_on_hull else ten[1:-1, 0] < chord
    return all_of(
        vertices=equal(front.vertices, ends, tolerance=1e-9, scale=size)
        if len(front.vertices) == 2
        else always(False, "the number of vertices"),
        weighted=equal(distance, 0.0, tolerance=1e-9, scale=size),
        ten=always(nondominated(ten), "treasure"),
        eight=always(above, "treasure"),
        hypervolume=at_most(abs(volume - 1155.0), 75_000 * (1 - gamma)),
    )


treasure.control("weighted sums find as much", because="they miss eight of ten", scalarised_all=True)
treasure.control("the eight are on the hull", because="they lie below the chord of the two ends", eight_on_hull=True)


@claim(
    PAPER,
    "storm",
    r"\max \{J_1(\pi) : J_2(\pi) \ge b\} \text{ on the exact front} = \text{Storm's answer to } \mathtt{multi}(R_1 \mathtt{max=?}, R_2 \ge b)",
    kind="identity",
    source="derived",
    assumes="the courier, a PRISM program with two reward structures; a stop with probability 1 - gamma stands for the discount",
)
@over(gamma=(0.9, 0.95), share=(0.2, 0.5, 0.9))
def storm(*, gamma: float, share: float, corners: bool = False, later: float = 1.0) -> Comparison:
    """The model checker Storm finds the same constrained optima on a model in its own language, to its precision of 1e-6.

    b lies a share of the way between the second values at the two ends of the front. Storm refines an approximation of the front by
    weighted sums, on totals without a discount; here they are read off the certified front of the discounted model.
    """
    front = pareto_front(prism_objectives(gamma=gamma, constants="stop=0"))
    low, high = front.vertices[[-1, 0], 1]
    floor = float(low + share * (high - low))
    told = storm_constrained_total(
        PROGRAMS / "courier.nm", "parcels", {"ease": floor}, constants=f"stop={(1 - gamma) * later!r}"
    )
    best = front.vertices[front.vertices[:, 1] >= floor, 0].max() if corners else front.best(0, floor)
    return equal(told, best, tolerance=1e-5, scale=float(front.vertices.max()))


storm.control("the best vertex that meets the bound", because="the optimum lies within an edge of the front", corners=True)
storm.control("a stop 1% less likely", because="it stands for another discount", later=0.99)
