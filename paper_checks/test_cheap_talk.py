r"""Adversarial cheap talk (Lu et al. 2023): what a message that is appended to the observation can do to a learner.

Notation: the adversary fixes a map f from states to M messages, and the victim observes (s, f(s)); dynamics and rewards stay as
they are. The tabular victim learns by Q-learning with common random numbers. The linear victim has the features :math:`x(s) =
(\mathbf 1_s, m(s))` with a number m(s) as message, and learns values by :math:`w \leftarrow w + \alpha\, x (v(s) - x^\top w)`.
:math:`\Sigma = \mathbb{E}[x x^\top]`; its expected update multiplies the error by :math:`I - \alpha \Sigma`.

An update *diverges* if the spectral radius of its matrix is above 1. In the direction :math:`(m(1), \ldots, m(S), -1)` no
feature has a component, so that the radius is never below 1.
"""

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdplab.learning.cheap_talk import feature_moment, linear_features, victim_q_learning
from mdplab.models import TabularMDP, dirichlet_mdp
from mdplab.models.cheap_talk import CheapTalkMDP
from mdplab.solvers import policy_iteration, q_values
from theory.claims import (
    Comparison,
    Paper,
    Range,
    all_of,
    always,
    at_least,
    at_most,
    by_profile,
    claim,
    domain,
    equal,
    less_on_average,
    over,
)

PAPER = Paper(
    key="cheap-talk",
    title="Adversarial Cheap Talk",
    authors="Lu, Willi, Letcher, Foerster",
    year=2023,
    theme="safety",
    arxiv="2211.11030",
    venue="ICML 2023",
)

Array = NDArray[np.float64]
VICTIMS = dirichlet_mdp.sweep(S=(2, 4), A=2, gamma=0.9, draws=by_profile(quick=2, full=10))


@claim(
    PAPER,
    "tabular-immune",
    r"(s_t, a_t, r_t)_t \text{ is the same for every } f, \text{ bit by bit}",
    kind="identity",
    source="recalled",
    assumes="a table over (s, m) whose initial values do not depend on m; common random numbers",
)
@over(VICTIMS, step_size=(0.2, 1.0), exploration=(0.0, 0.2))
def tabular_immune(
    mdp: TabularMDP,
    *,
    step_size: float,
    exploration: float,
    seed: int,
    uneven: bool = False,
    redrawn: bool = False,
    messages: int = 3,
    runs: int = 10,
    steps: int = 150,
) -> Comparison:
    r"""A tabular victim does not notice which messages it is sent.

    The pair (s, f(s)) is another name for s: of the rows of a state only one is ever read or written. Under every f the rows in
    use begin with the same numbers, and so the first action, the first update and, by induction, all others are the same.
    """
    rng = np.random.default_rng(seed)
    S, A = mdp.states, mdp.max_actions
    tables = np.broadcast_to(rng.normal(size=(S, 1, A)), (runs, S, messages, A))
    if uneven:
        tables = tables + 1e-2 * rng.normal(size=(S, messages, A))
    maps = rng.integers(messages, size=(runs, S))
    if redrawn:  # f changes half way: the rows in use start afresh
        before = victim_q_learning(
            CheapTalkMDP(mdp, maps, messages), tables, steps, seed, step_size=step_size, exploration=exploration
        )
        keep = rng.random((runs, S, 1)) < 0.5
        tables = np.where(keep, before.rows, tables[:, :, 0])[:, :, None].repeat(messages, axis=2)
    found = victim_q_learning(
        CheapTalkMDP(mdp, maps, messages), tables, steps, seed, step_size=step_size, exploration=exploration
    )
    return all_of(
        states=always(found.states == found.states[:1], "the state visited"),
        rewards=always(found.reward == found.reward[:1], "the reward"),
        rows=always(found.rows == found.rows[:1], "the final value"),
    )


tabular_immune.control("initial values that differ by 0.01", because="the adversary chooses among them", uneven=True)
tabular_immune.control("a map that changes half way", because="what was learnt under another message is lost", redrawn=True)


def _tables(states: int, messages: int, kind: str, rng: np.random.Generator) -> Array:
    """Equally likely initial tables, shape (N, S, M, 2), with two or three possible rows for each state."""
    if kind == "shared":  # one row per message, shifted from state to state: rows of one message depend on each other
        rows = rng.normal(size=(3, states, 1, 2))
        picks = np.array(list(itertools.product(range(3), repeat=messages)))
        return np.asarray(np.concatenate([rows[picks[:, m]] for m in range(messages)], axis=2))
    options = []
    for _ in range(states):
        rows = rng.normal(size=(3, 2))
        if kind == "independent":
            picks = np.array(list(itertools.product(range(3), repeat=messages)))
        else:  # the row of every message is that of the first, moved on in a cycle
            picks = (np.arange(3)[:, None] + np.arange(messages)) % 3
        options.append(rows[picks])
    return np.array([np.stack(table) for table in itertools.product(*options)])


@claim(
    PAPER,
    "tabular-immune-in-law",
    r"\text{the law of } (s_t, a_t, r_t)_t \text{ is the same for every } f",
    kind="identity",
    source="derived",
    assumes="f is chosen without a look at the drawn table; initial rows of different states are independent, and in each state the"
    " rows of all messages have the same law (the rows of one state may depend on each other)",
    note="Independent rows with one law are more than is needed; equal laws of single rows alone do not suffice.",
)
@over(
    dirichlet_mdp.sweep(S=2, A=2, gamma=0.9, draws=by_profile(quick=1, full=10)),
    messages=(2, 3),
    rows=("independent", "cycle"),
    exploration=(0.0, 0.2),
)
@over(dirichlet_mdp.sweep(S=3, A=2, gamma=0.9), messages=2, rows=("independent", "cycle"), exploration=0.2)
def tabular_immune_in_law(
    mdp: TabularMDP, *, messages: int, rows: str, exploration: float, seed: int, looks: bool = False, steps: int = 25
) -> Comparison:
    r"""With random initial values the law of all that happens is the same for every map chosen beforehand.

    Given the random numbers, the run is a function of the rows in use, :math:`(Q_0(s, f(s)))_s`. Under the assumption their joint law
    is the product of the laws of one row of each state, whatever f is. Verified exactly: all equally likely tables are listed,
    and for every f the list of the runs, in sorted order, is the same.
    """
    rng = np.random.default_rng(seed)
    tables = _tables(mdp.states, messages, rows, rng)
    maps = list(itertools.product(range(messages), repeat=mdp.states))
    runs = []
    for f in maps:
        message = np.broadcast_to(np.array(f), tables.shape[:2])
        if looks and f == maps[-1]:
            message = (tables[..., 1] - tables[..., 0]).argmax(axis=2)
        found = victim_q_learning(CheapTalkMDP(mdp, message, messages), tables, steps, seed, exploration=exploration)
        whole = np.concatenate((found.states, found.reward), axis=1)
        runs.append(whole[np.lexsort(whole.T[::-1])])
    return always([np.array_equal(run, runs[0]) for run in runs], "the law under map")


tabular_immune_in_law.control(
    "an adversary who looks at the table", because="it chooses the rows that prefer one action", looks=True
)
tabular_immune_in_law.control(
    "rows that depend on each other across states",
    because="every row has the same law, but maps that mix messages break the dependence",
    on=domain(dirichlet_mdp.sweep(S=2, A=2, gamma=0.9, draws=4), messages=2, rows="shared", exploration=(0.0, 0.2)),
)


@claim(
    PAPER,
    "informed-adversary",
    r"P(\text{the first greedy action in } s \text{ is the worst one}) = 1 - \Bigl(1 - \frac1A\Bigr)^{M}, \text{ in place of } \frac1A",
    kind="identity",
    source="derived",
    assumes="the rows of the M messages are independent, all orders of the A values are alike, no ties; f is chosen with the table"
    " in view",
    note="The assumption that f is chosen without a look at the table is needed. With many messages the victim begins with the"
    " worst policy for sure.",
)
@over(A=(2, 3), M=(1, 2, 3, 4))
@over(A=4, M=(1, 2))
def informed_adversary(*, A: int, M: int, extra: int = 0, uninformed: bool = False) -> Comparison:
    r"""An adversary who knows the initial table makes the victim begin with its worst actions.

    Each row is greedy for the worst action with probability 1/A, and one row that is suffices. All orders are listed.
    """
    orders = np.array(list(itertools.permutations(range(A))))
    greedy_worst = orders.argmax(axis=1) == 0
    tables = np.array(list(itertools.product(greedy_worst, repeat=M)))
    found = tables[:, 0].mean() if uninformed else tables.any(axis=1).mean()
    return equal(found, 1 - (1 - 1 / A) ** (M + extra), tolerance=1e-12)


informed_adversary.control("without a look", because="then one row is as good as another", uninformed=True)
informed_adversary.control("M - 1 messages", because="each message is a chance", extra=-1)


@claim(
    PAPER,
    "informed-harm",
    r"\mathbb{E}\Bigl[\frac1T \sum_{t<T} r_t\Bigr]_{\text{informed}} \le \mathbb{E}\Bigl[\frac1T \sum_{t<T} r_t\Bigr]_{\text{fixed } f}"
    r" - 0.03",
    kind="mechanism",
    source="derived",
    assumes="two MDPs with S = 4 and A = 2; Q-learning with alpha = 0.2, exploration 0.2, T = 150; standard normal initial values,"
    " M = 3 messages",
)
@over(dirichlet_mdp.sweep(S=4, A=2, gamma=0.9, seed=(0, 2)))
def informed_harm(
    mdp: TabularMDP,
    *,
    seed: int,
    looks: bool = True,
    messages: int = 3,
    runs: int = by_profile(quick=500, full=8000),
    steps: int = 150,
) -> Comparison:
    r"""An adversary who knows the initial table costs a tabular victim reward while it learns.

    In each state it sends the message whose row prefers the worse action by most; the better action is that of the optimal
    policy. The reward falls by 0.067 and 0.137 a step.
    """
    rng = np.random.default_rng(seed)
    best = q_values(mdp, policy_iteration(mdp).value).reshape(mdp.states, 2).argmax(axis=1)
    tables = rng.normal(size=(runs, mdp.states, messages, 2))
    s = np.arange(mdp.states)
    preference = tables[:, s, :, 1 - best] - tables[:, s, :, best]  # advanced indices around a slice: (S, N, M)
    maps = preference.argmax(axis=2).T if looks else rng.integers(messages, size=(runs, mdp.states))
    numbers = np.arange(runs) + seed
    fixed = CheapTalkMDP(mdp, np.zeros(mdp.states, dtype=np.int64), messages)
    attacked, free = (victim_q_learning(talk, tables, steps, numbers) for talk in (fixed.replace(message=maps), fixed))
    return less_on_average(attacked.reward.mean(axis=1), free.reward.mean(axis=1), margin=0.03)


informed_harm.control("random messages", because="they are chosen without a look", looks=False)
informed_harm.control("a single message", because="then there is no choice", messages=1)


def _radius(matrix: Array) -> float:
    """The spectral radius of a symmetric matrix."""
    return float(np.abs(np.linalg.eigvalsh(matrix)).max())


@claim(
    PAPER,
    "function-approx-harm",
    r"\lambda_{\max}(\Sigma) = \frac1S + c^2, \qquad \text{expected updates diverge} \iff \alpha \Bigl(\frac1S + c^2\Bigr) > 2",
    kind="identity",
    source="derived",
    assumes="uniform states, the constant message m(s) = c; without a message they diverge iff alpha > 2 S",
)
@over(S=(2, 4, 8), alpha=(0.5, 1.5, 4.0, 20.0), c=(0.0, 0.5, 1.0, 3.0))
@over(S=(1, 3), alpha=Range(0.05, 3.0), c=Range(0.0, 3.0), budget=by_profile(quick=8, full=200))
def function_approx_harm(
    *, S: int, alpha: float, c: float, normalised: bool = False, sampled: bool = False, alone: bool = False
) -> Comparison:
    r"""A message that never changes and says nothing can make a linear victim diverge.

    :math:`\Sigma` maps (u, ..., u, v) to :math:`(u/S + cv/S, \ldots, cu + c^2 v)`, so that its own mean feature :math:`(1/S, \ldots,
    1/S, c)` is an eigenvector with the eigenvalue :math:`1/S + c^2`. The others are 1/S, on vectors that sum to 0 over states,
    and 0. The eigenvector and three updates of an error along it are computed in rational arithmetic.
    """
    step = Fraction(alpha) / (1 + Fraction(c) ** 2) if normalised else Fraction(alpha)
    top = Fraction(0 if alone else 1, 1 if sampled else S) + Fraction(c) ** 2
    moment = feature_moment(linear_features(np.full(S, c)), np.full(S, 1 / S))
    spectrum = np.sort(np.append(np.full(S - 1, 1 / S), (0.0, 1 / S + c * c)))
    mean: NDArray[Any] = np.array([Fraction(1, S)] * S + [Fraction(c)], dtype=object)
    exact: NDArray[Any] = np.array([[Fraction(0)] * (S + 1) for _ in range(S + 1)], dtype=object)
    exact[np.arange(S), np.arange(S)] = Fraction(1, S)
    exact[:S, S] = exact[S, :S] = Fraction(c) / S
    exact[S, S] = Fraction(c) ** 2
    error = mean
    for _ in range(3):
        error = error - step * (exact @ error)
    grown = abs(error[0]) > mean[0]
    return all_of(
        moment=equal(moment, exact.astype(float), tolerance=1e-12),
        spectrum=equal(np.linalg.eigvalsh(moment), spectrum, tolerance=1e-12),
        eigenvector=always(exact @ mean == (Fraction(1, S) + Fraction(c) ** 2) * mean),
        diverges=always(grown == (Fraction(alpha) * top > 2), "the judgement"),
    )


function_approx_harm.control(
    "a step of alpha / |x|^2", because="it converges for alpha < 2, whatever the message", normalised=True
)
function_approx_harm.control("alpha (1 + c^2) > 2", because="the expected update averages over states", sampled=True)
function_approx_harm.control("alpha c^2 > 2", because="the indicators of states share the direction of the message", alone=True)


@claim(
    PAPER,
    "divergence-threshold",
    r"c^2 \sum_s \frac{d(s)}{\lambda - d(s)} = 1 \text{ at } \lambda = \lambda_{\max}(\Sigma), \qquad"
    r" \text{divergence} \iff \alpha \max d \ge 2 \text{ or } c^2 \sum_s \frac{d(s)}{2/\alpha - d(s)} > 1",
    kind="identity",
    source="derived",
    assumes="states with the law d > 0, the constant message c > 0",
)
@over(
    weights=Range(0.05, 1.0, size=5),
    c=Range(0.1, 3.0),
    alpha=Range(0.1, 6.0, log=True),
    budget=by_profile(quick=100, full=2000),
)
@over(weights=[(1.0,) * 4, (1.0, 0.0001), (1.0, 1.0, 8.0)], c=(0.01, 1.0), alpha=(0.5, 1.8, 2.5))
def divergence_threshold(
    *, weights: tuple[float, ...], c: float, alpha: float, uniform: bool = False, either: bool = True
) -> Comparison:
    r"""The exact threshold of divergence for any law of states, with the direction that grows.

    An eigenvector (u, v) of :math:`\Sigma` has :math:`d_s u_s + c d_s v = \lambda u_s` and :math:`c \sum d_s u_s + c^2 v = \lambda v`, so
    :math:`u_s = c d_s v / (\lambda - d_s)`, and what is left is the equation above. Its left side falls from infinity to 0 on
    :math:`\lambda > \max d`, where it has one root, the largest eigenvalue. So :math:`\lambda_{\max} > 2/\alpha` if and only if
    :math:`2/\alpha` lies below max d or the left side is above 1 there. The direction that grows is :math:`u_s = c d_s / (\lambda - d_s)`,
    v = 1.
    """
    d = np.array(weights) / np.sum(weights)
    moment = feature_moment(linear_features(np.full(d.size, c)), d)
    top = float(np.linalg.eigvalsh(moment)[-1])
    law = np.full(d.size, 1 / d.size) if uniform else d
    grows = np.append(c * d / (top - d), 1.0)
    edge = 2 / alpha
    says = (either and edge <= law.max()) or bool(edge > law.max() and c * c * (law / (edge - law)).sum() > 1)
    parts = [
        equal(moment @ grows, top * grows, tolerance=1e-9),
        equal((c * c * d / (top - d)).sum(), 1.0, tolerance=1e-6),
    ]
    if abs(top - edge) > 1e-9:
        parts.append(always((_radius(np.eye(d.size + 1) - alpha * moment) > 1 + 1e-12) == says, "the judgement"))
    return all_of(*parts)


divergence_threshold.control("the uniform law", because="states that come often raise the largest eigenvalue", uniform=True)
divergence_threshold.control("the second condition alone", because="a large step diverges on a frequent state", either=False)


@claim(
    PAPER,
    "constant-is-worst",
    r"\lambda_{\max}(\Sigma_m) \le \lambda_{\max}(\Sigma_c) \text{ for every message with } |m(s)| \le c, \quad"
    r" \text{with equality if } |m(s)| = c",
    kind="inequality",
    source="derived",
    assumes="any law d of states",
    note="No message of bounded size, informative or not, lowers the threshold of divergence further than a constant one.",
)
@over(message=Range(-1.0, 1.0, size=4), c=(0.3, 2.0), law=("uniform", "skewed"), budget=by_profile(quick=60, full=800))
@over(message=[(1.0, 1.0, -1.0, -1.0), (1.0, -1.0, -1.0, -1.0), (0.5, 1.0, 0.0, 1.0)], c=(0.3, 2.0), law=("uniform", "skewed"))
def constant_is_worst(*, message: tuple[float, ...], c: float, law: str, size: float = 1.0, less: float = 1.0) -> Comparison:
    r"""Of all messages of bounded size the constant one is the most harmful to a linear victim, and any signs are as harmful.

    :math:`\lambda_{\max} = \max \sum_s d_s (u_s + m_s v)^2` over unit vectors. Where :math:`m_s` is negative, change the sign of
    :math:`u_s`: only :math:`|m_s|` matters. With all signs positive the maximum is taken at a nonnegative vector, where the sum
    increases with every :math:`m_s`.
    """
    d = np.full(4, 0.25) if law == "uniform" else np.array([0.55, 0.25, 0.15, 0.05])
    m = size * c * np.array(message)
    tops = [np.linalg.eigvalsh(feature_moment(linear_features(x), d))[-1] for x in (m, np.abs(m), np.full(4, c))]
    return all_of(bound=at_most(tops[0], less * tops[2]), signs=equal(tops[0], tops[1], tolerance=1e-12))


constant_is_worst.control("0.98 of it for messages that change", because="signs do not matter", less=0.98)
constant_is_worst.control("messages of size up to 1.05 c", because="a larger constant is worse", size=1.05)


@claim(
    PAPER,
    "sampled-updates",
    r"\mathbb{E}\|e_{t+1}\|^2 = \|e_t\|^2 - \alpha\,(2 - \alpha (1 + c^2))\; e_t^\top \Sigma e_t, \qquad"
    r" \mathbb{E}\|e_t\|^2 \text{ diverges} \iff \alpha (1 + c^2) > 2",
    kind="identity",
    source="derived",
    assumes="one uniformly drawn state for each update, the constant message c; e_t is the error of w",
    note="The threshold of the expected update is too lenient: with alpha = 1.5, c = 1 and S = 4 it converges, while the victim that"
    " learns from single states diverges in mean square.",
)
@over(S=(1, 2, 4, 8), alpha=(0.25, 0.5, 1.0, 1.5, 1.9, 2.1), c=(0.0, 0.5, 1.0, 2.0))
@over(S=3, alpha=Range(0.05, 3.0), c=Range(0.0, 2.0), budget=by_profile(quick=20, full=300))
def sampled_updates(*, S: int, alpha: float, c: float, seed: int, expected: bool = False, square: float = 1.0) -> Comparison:
    r"""Learning from one state at a time diverges far earlier than its expected update, at a threshold without S.

    :math:`\|(I - \alpha x x^\top) e\|^2 = \|e\|^2 - \alpha (2 - \alpha \|x\|^2) (x^\top e)^2`, and :math:`\|x\|^2 = 1 + c^2` in every
    state. Above the threshold the part of the error that features see grows at least by the factor :math:`1 + \alpha (\alpha (1 +
    c^2) - 2) / S`, as the least positive eigenvalue of :math:`\Sigma` is 1/S or more; below it no update lengthens any error. A
    constant message thus moves the largest safe step from 2 to :math:`2 / (1 + c^2)`.
    """
    x = linear_features(np.full(S, c))
    moment = feature_moment(x, np.full(S, 1 / S))
    updates = np.eye(S + 1) - alpha * x[:, :, None] * x[:, None, :]
    e = np.random.default_rng(seed).normal(size=S + 1)
    after = ((updates @ e) ** 2).sum(axis=1).mean()
    size = 1 + square * c * c
    # the second moments E[e e^T] follow a linear recursion
    second = _radius(np.einsum("sab,scd->acbd", updates, updates).reshape((S + 1) ** 2, -1) / S)
    threshold = alpha * (1 / S + c * c if expected else size)
    parts = [equal(after, e @ e - alpha * (2 - alpha * size) * (e @ moment @ e), scale=float(e @ e + after))]
    if abs(threshold - 2) > 1e-9:
        parts.append(always((second > 1 + 1e-9) == (threshold > 2), "the judgement"))
    if alpha * (1 + c * c) > 2:
        parts.append(at_least(second, 1 + alpha * (alpha * size - 2) / S))
    return all_of(*parts)


sampled_updates.control(
    "the threshold of the expected update", because="it is S times as lenient without a message", expected=True
)
sampled_updates.control("1 + 1.05 c^2", because="the energy of an update is known exactly", square=1.05)


def _least_squares_error(features: Array, values: Array, law: Array) -> float:
    """min over w of E (v - x^T w)^2."""
    root = np.sqrt(law)
    w = np.linalg.lstsq(root[:, None] * features, root * values, rcond=None)[0]
    return float(law @ (values - features @ w) ** 2)


@claim(
    PAPER,
    "function-approx-help",
    r"\min_w \mathbb{E}(v - w_0)^2 = \operatorname{Var}(v), \qquad \min_w \mathbb{E}(v - w_0 - w_1 m)^2 ="
    r" \operatorname{Var}(v)\,(1 - \operatorname{Corr}(v, m)^2), \qquad 0 \text{ for } m = v",
    kind="separation",
    source="derived",
    assumes="the victim's own feature is 1 in every state; any law of states; Var(m) > 0",
)
@over(values=Range(-1.0, 1.0, size=5), message=("value", "noisy", "random", "sign"), budget=by_profile(quick=25, full=300))
@over(values=[(0.0, 1.0), (0.0, 1.0, 0.0, 1.0)], message=("value", "noisy", "sign"))
def function_approx_help(
    *, values: tuple[float, ...], message: str, seed: int, power: float = 2.0, skew: bool = False
) -> Comparison:
    r"""A message helps a victim whose features cannot tell states apart, by its squared correlation with the values.

    Least squares on a constant leaves the variance; another feature takes away the part that it explains. With m = v nothing is
    left; with values 0 and 1 the error falls from 1/4 to 0. The sign of :math:`v - \mathbb{E} v` is a message of one bit.
    """
    rng = np.random.default_rng(seed)
    v = np.array(values)
    law = rng.dirichlet(np.ones(v.size))
    m = {
        "value": v,
        "noisy": v + rng.normal(size=v.size),
        "random": rng.normal(size=v.size),
        "sign": np.sign(v - law @ v),
    }[message]
    weight = np.full(v.size, 1 / v.size) if skew else law
    dv, dm = v - weight @ v, m - weight @ m
    spread, own, both = float(weight @ dv**2), float(weight @ dm**2), float(weight @ (dv * dm))
    correlation = abs(both) / np.sqrt(spread * own) if spread * own > 0 else 0.0
    one = np.ones((v.size, 1))
    scale = float(law @ v**2) + 1e-300
    parts = [
        equal(_least_squares_error(one, v, law), spread, scale=scale),
        equal(_least_squares_error(np.column_stack((one, m)), v, law), spread * (1 - correlation**power), scale=scale),
    ]
    if message == "value":
        parts.append(equal(_least_squares_error(np.column_stack((one, m)), v, law), 0.0, scale=scale))
    return all_of(*parts)


function_approx_help.control("the correlation itself", because="errors are squares", power=1.0)
function_approx_help.control("moments under the uniform law", because="the states are visited with another law", skew=True)
