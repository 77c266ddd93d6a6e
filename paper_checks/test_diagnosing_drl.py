r"""Understanding and Diagnosing Deep RL (Korkmaz 2024): the direction to which a policy is most sensitive, and margins of decisions.

Notation: g_i the gradient, by the observation, of the policy's loss -ln pi(a_i|x) at x = x_i; G = (1/n) sum_i g_i g_i^T. Linear values
Q(x) = W x with rows w_b; a the greedy action at x.

That robust training yields directions that are disjoint from the others and more oscillating is the paper's measurement on
trained networks. It has no exact miniature and is not claimed here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from theory.claims import Comparison, Paper, Range, all_of, always, at_most, by_profile, claim, equal, family, over

Array = NDArray[np.float64]

PAPER = Paper(
    key="diagnosing-drl",
    title="Understanding and Diagnosing Deep Reinforcement Learning",
    authors="Korkmaz",
    year=2024,
    theme="safety",
    arxiv="2406.16979",
)


@dataclass(frozen=True, eq=False)
class Policy:
    """pi(.|x) = softmax(B tanh(A x + c)) at the observations x_i, the rows of ``points`` (n, d), and its greedy actions there."""

    A: Array
    c: Array
    B: Array
    points: Array

    def losses(self, x: NDArray[np.inexact], actions: NDArray[np.int64]) -> NDArray[np.inexact]:
        """-ln pi(a_i|x_i), shape (n,), for rows of ``x``, which may be complex."""
        logits = np.tanh(x @ self.A.T + self.c) @ self.B.T
        return np.log(np.exp(logits).sum(axis=1)) - np.take_along_axis(logits, actions[:, None], axis=1)[:, 0]

    def greedy(self) -> NDArray[np.int64]:
        """The most probable actions, shape (n,)."""
        return np.argmax(np.tanh(self.points @ self.A.T + self.c) @ self.B.T, axis=1)

    def gradients(self, actions: NDArray[np.int64]) -> Array:
        """The gradients of the losses by the observations, shape (n, d), by the chain rule."""
        hidden = np.tanh(self.points @ self.A.T + self.c)
        by_logit = softmax(hidden @ self.B.T, axis=1) - np.eye(self.B.shape[0])[actions]
        return np.asarray(((by_logit @ self.B) * (1 - hidden**2)) @ self.A)


@family(d=1, n=1, actions=2)
def tanh_policy(d: int = 4, n: int = 20, actions: int = 3, hidden: int = 8, shift: float = 0.0, seed: int = 0) -> Policy:
    """Normal weights and observations; ``shift`` moves the observations, so that gradients have a common part."""
    rng = np.random.default_rng(seed)
    A, c = rng.standard_normal((hidden, d)) / np.sqrt(d), rng.standard_normal(hidden)
    return Policy(A, c, rng.standard_normal((actions, hidden)), shift + rng.standard_normal((n, d)))


def _mean_square_change(policy: Policy, direction: Array, actions: NDArray[np.int64]) -> float:
    """The mean squared derivative of the losses along a unit direction; by a complex step, which does not cancel."""
    step = 1e-30
    change = policy.losses(policy.points + 1j * step * direction, actions).imag / step
    return float(np.mean(change**2))


POLICIES = tanh_policy.sweep(d=4, n=(3, 20), actions=(2, 5), shift=(0.0, 1.0), draws=by_profile(quick=2, full=20))


@claim(
    PAPER,
    "principal-direction",
    r"\max_{\|v\| = 1} \frac1n \sum_i (g_i \cdot v)^2 = \lambda_{\max}(G), \text{ attained by the top eigenvector}; \qquad"
    r" \frac{\operatorname{tr} G}{d} \le \lambda_{\max}(G) \le \operatorname{tr} G",
    kind="identity",
    source="derived",
    assumes="the loss is differentiable in the observation; lengths and derivatives are Euclidean, to first order",
    note="tr(G)/d is what a random direction gets, so that the principal direction is at most d times as sensitive.",
)
@over(POLICIES, direction=Range(-1.0, 1.0, size=4), budget=by_profile(quick=30, full=100))
@over(tanh_policy.sweep(d=2, n=20, draws=2), direction=Range(-1.0, 1.0, size=2), budget=by_profile(quick=60, full=600))
@over(tanh_policy.sweep(d=(1, 30), n=(1, 20), draws=2), direction=((1.0,),))
def principal_direction(
    policy: Policy, *, direction: tuple[float, ...], centred: bool = False, along: str = "top", of_bound: float = 1.0
) -> Comparison:
    r"""No direction changes the losses more, in mean square, than the top eigenvector of the gradients' second moments.

    The mean square is :math:`v^\top G v`, whose maximum over unit vectors is the largest eigenvalue (Rayleigh). Gradients come from
    the chain rule, the directional derivatives from a complex step through the losses: two independent ways.
    """
    actions = policy.greedy()
    g = policy.gradients(actions)
    G = g.T @ g / len(g)
    vectors = np.linalg.eigh(np.cov(g.T, bias=True).reshape(G.shape) if centred else G).eigenvectors
    top = np.mean(g, axis=0) if along == "mean" else vectors[:, -1]
    v = np.resize(direction, G.shape[0])
    v = v / np.linalg.norm(v) if v.any() else vectors[:, 0]
    largest = float(np.linalg.eigvalsh(G)[-1])
    trace = float(np.trace(G))
    return all_of(
        attained=equal(_mean_square_change(policy, top / np.linalg.norm(top), actions), largest, tolerance=1e-11, scale=trace),
        direction=at_most(_mean_square_change(policy, v, actions), of_bound * largest, slack=1e-13 * trace),
        average=at_most(trace / len(G), of_bound * largest, slack=1e-13 * trace),
        trace=at_most(largest, trace, slack=1e-13 * trace),
    )


principal_direction.control("centred gradients", because="a common part of all gradients changes losses, too", centred=True)
principal_direction.control("the mean gradient", because="gradients of opposite sign cancel in the mean only", along="mean")
principal_direction.control("one per cent less", because="the search comes near the eigenvector", of_bound=0.99)


@dataclass(frozen=True, eq=False)
class LinearValues:
    """Q(x) = W x at one observation; ``W`` (A, d), ``x`` (d,)."""

    W: Array
    x: Array


@family(A=2, d=1)
def linear_values(A: int = 4, d: int = 3, scale: float = 1.0, seed: int = 0) -> LinearValues:
    """Normal rows and a normal observation, times ``scale``."""
    rng = np.random.default_rng(seed)
    return LinearValues(scale * rng.standard_normal((A, d)), rng.standard_normal(d))


@family
def far_runner_up(gap: float = 0.5, slant: float = 3.0) -> LinearValues:
    """Q = (1, 1 - gap/2, 1 - gap) where the runner-up's row is parallel to the best one's and the last one's is not."""
    rows = [[1.0, 0.0, 0.0], [1 - gap / 2, 0.0, 0.0], [1 - gap, slant, 0.0]]
    return LinearValues(np.array(rows), np.array([1.0, 0.0, 0.0]))


@claim(
    PAPER,
    "linear-margin",
    r"\min \{ \|\delta\| : \arg\max_b Q_b(x + \delta) \ne a \} = \min_{b \ne a} \frac{Q_a(x) - Q_b(x)}{\|w_b - w_a\|},"
    r" \text{ along } w_b - w_a",
    kind="identity",
    source="derived",
    assumes="linear values; Euclidean length; the greedy action is unique; a change is a tie or another action",
)
@over(
    linear_values.sweep(A=(2, 5), d=3, draws=by_profile(quick=4, full=20)) | far_runner_up.sweep(gap=(0.1, 0.5)),
    direction=Range(-1.0, 1.0, size=3),
    budget=by_profile(quick=40, full=400),
)
@over(linear_values.sweep(A=(2, 18), d=(2, 30), scale=(0.01, 1.0), draws=by_profile(quick=3, full=30)), direction=((1.0, 0.0),))
def linear_margin(
    values: LinearValues,
    *,
    direction: tuple[float, ...],
    seed: int,
    along: str = "difference",
    nearest: str = "ratio",
    stretch: float = 1.0,
) -> Comparison:
    r"""The nearest observation on which a linear policy decides otherwise lies across the nearest of its hyperplanes.

    Along a unit direction u action b catches up after :math:`(Q_a - Q_b) / ((w_b - w_a) \cdot u)`, if the denominator is positive; by
    Cauchy and Schwarz that is at least :math:`(Q_a - Q_b)/\|w_b - w_a\|`, with equality along w_b - w_a. Decisions are taken just
    inside the radius in 500 random directions and the one searched, and on either side of it along the nearest difference.
    """
    Q = values.W @ values.x
    a = int(np.argmax(Q))
    others = np.delete(np.arange(len(Q)), a)
    gaps, turns = Q[a] - Q[others], values.W[others] - values.W[a]
    radii = gaps / np.linalg.norm(turns, axis=1)
    chosen = int(np.argmin(radii if nearest == "ratio" else gaps))
    radius = stretch * float(radii[chosen])
    toward = turns[chosen] if along == "difference" else values.W[others[chosen]]
    random = np.random.default_rng(seed).standard_normal((500, values.x.size))
    searched = np.resize(direction, values.x.size)
    u = np.vstack([random, searched if searched.any() else random[0]])
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    nearness = np.maximum(u @ turns.T / gaps, 0.0).max(axis=1)  # one over the distance to the first change, 0 for never
    inside = np.argmax((values.x + (1 - 1e-6) * radius * u) @ values.W.T, axis=1)
    across = values.x + np.outer((1 - 1e-6, 1 + 1e-6), radius * toward / np.linalg.norm(toward))
    return all_of(
        distance=at_most(nearness, 1 / radius),
        inside=always(inside == a, "another action inside"),
        attained=always((np.argmax(across @ values.W.T, axis=1) == a) == (True, False), "the decision across the radius"),
    )


linear_margin.control("along the other action's row", because="its own row raises the greedy action, too", along="other")
linear_margin.control("the runner-up's hyperplane", because="it need not be the nearest", nearest="value")
linear_margin.control("0.1 per cent farther", because="the decision has changed before", stretch=1.001)
linear_margin.control("0.1 per cent nearer", because="the decision has not changed yet", stretch=0.999)
