r"""Critics of the return's law, in tables: what noise does to the maximum over actions, and the updates of DSAC.

Distributional Soft Actor-Critic (Duan, Guan, Li, Ren, Sun and Cheng 2021, arXiv 2001.02811) fits a normal law N(mu, sigma^2)
to the return of each pair; its version with three refinements (Duan et al. 2023, arXiv 2310.05858) (1) replaces the sampled
return Z in the target of the mean by its mean, (2) takes the target from that of two critics whose mean is smaller, and (3)
multiplies the gradient by a running average omega of sigma^2 and clips the target of sigma at three times the running average
of sigma.

A noisy critic q + eps has a larger maximum than q. Here the noise is normal and independent over actions and critics; m
critics are combined by their minimum or their average. Everything but :func:`scaled_critics` is exact: sums, and integrals by
the trapezoidal rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline
from scipy.special import log_ndtr

from mdplab.models import TabularMDP
from mdplab.solvers.policy import Floats, as_probabilities, state_sum
from theory.errors import InputError

Rule = Literal["minimum", "average"]
Spread = Literal["sampled", "substituted"]
REACH = 8.5  # standard deviations, beyond which a normal law has less than 1e-17
FINENESS = 8  # points of a grid in a standard deviation
EULER = float(np.euler_gamma)


# -- what noise does to a maximum -------------------------------------------------------------------------------------------


def noisy_maximum(q: ArrayLike, std: float, *, members: int = 1, rule: Rule = "minimum", temperature: float = 0.0) -> Floats:
    r"""The expectation of :math:`\max_a (q_a + \bar\epsilon_a)` over the last axis, where the noise combines m critics.

    :math:`\bar\epsilon_a = \min_j \epsilon_{aj}`, or their average, with m = ``members`` independent :math:`\epsilon_{aj}
    \sim N(0, std^2)`. With a ``temperature`` :math:`\alpha > 0` it is that of :math:`\alpha \log \sum_a e^{(q_a +
    \bar\epsilon_a)/\alpha}`, which is the expected maximum after Gumbel variables :math:`\alpha (G_a - 0.577)` have been
    added. The error is about 1e-9 of the scale of the noise.

    Raises :class:`InputError` for values that are not finite, a negative standard deviation or temperature, no critic, an
    unknown rule.
    """
    values = np.asarray(q, dtype=np.float64)
    _check_noise(values, std, members, rule, temperature)
    if std == 0 and temperature == 0:
        return np.asarray(values.max(axis=-1))
    if std == 0:
        top = values.max(axis=-1, keepdims=True)
        return np.asarray(top[..., 0] + temperature * np.log(np.exp((values - top) / temperature).sum(axis=-1)))
    return _Noise(std, members, rule, temperature).maximum(values)


def noisy_fixed_point(
    mdp: TabularMDP,
    std: float,
    *,
    members: int = 1,
    rule: Rule = "minimum",
    temperature: float = 0.0,
    tol: float = 1e-9,
) -> Floats:
    r"""The fixed point (S, A) of :math:`Q = r + \gamma P\, M(Q)`, M = :func:`noisy_maximum`: fresh noise in every backup.

    M is monotone and commutes with the addition of constants, so that the operator contracts by gamma, and the smallest and
    the largest change of an iteration bracket what is left (MacQueen); it is iterated until that is below ``tol``. Options
    and errors as for :func:`noisy_maximum`; ModelError for a ragged model; InputError for gamma = 1 or a ``tol`` that is not
    positive.
    """
    P, r = mdp.dense()
    _check_noise(r, std, members, rule, temperature)
    if not (mdp.gamma < 1 and tol > 0):
        raise InputError(f"a discount below 1 and a positive tolerance are needed, not {mdp.gamma} and {tol}.")
    noise = _Noise(std, members, rule, temperature) if std > 0 else None
    q, later = r, mdp.gamma / (1 - mdp.gamma)
    while True:
        value = noisy_maximum(q, 0.0, temperature=temperature) if noise is None else noise.maximum(q)
        following = r + mdp.gamma * P @ value
        change = following - q
        low, high = later * float(change.min()), later * float(change.max())
        q = following + (low + high) / 2
        if (high - low) / 2 <= tol:
            return q


def double_estimate(means: ArrayLike, std: float) -> float:
    r"""The expectation of :math:`q_2(\arg\max q_1)` for two independent critics N(means, std^2): :math:`\sum_a P(a = \arg\max
    q_1)\, \mu_a`.

    van Hasselt's (2010) double estimator. Raises :class:`InputError` unless ``std`` is positive and the means (n,) finite.
    """
    mu = np.asarray(means, dtype=np.float64)
    _check_noise(mu, std, 1, "minimum", 0.0)
    if not std > 0 or mu.ndim != 1:
        raise InputError(f"the double estimator needs means (n,) and noise of a positive standard deviation, not {std}.")
    x = np.arange(mu.min() - REACH * std, mu.max() + REACH * std, std / FINENESS)
    z = (x - mu[:, None]) / std
    below = log_ndtr(z)
    chances = np.exp(below.sum(axis=0) - below - z**2 / 2).sum(axis=1) / (FINENESS * np.sqrt(2 * np.pi))
    return float(chances @ mu)


class _Noise:
    """The law of the combined noise of an action, with the Gumbel variable of a temperature, as a distribution function."""

    def __init__(self, std: float, members: int, rule: Rule, temperature: float):
        self.std = std / np.sqrt(members) if rule == "average" else std
        self.members = 1 if rule == "average" else members
        least = np.sqrt(2 * np.log(self.members)) + REACH
        self.low, self.high = -self.std * least, self.std * REACH
        narrow = self.std / np.sqrt(1 + 2 * np.log(self.members))  # a minimum of many is narrower than one
        self.step = narrow / FINENESS
        self.smooth: CubicSpline | None = None
        if temperature > 0:
            self._add_gumbel(temperature)

    def below(self, x: Floats) -> Floats:
        """P(noise <= x)."""
        if self.smooth is None:
            return np.asarray(-np.expm1(self.members * log_ndtr(-x / self.std)))
        return np.asarray(np.clip(self.smooth(np.clip(x, self.low, self.high)), 0.0, 1.0))

    def maximum(self, q: Floats) -> Floats:
        """E max_a (q_a + noise_a) = top - int_{-inf}^{top} P(max <= x) dx, over the last axis of ``q``."""
        top = q.max(axis=-1)
        actions = q.shape[-1]
        high = self.high + self.step * np.log(actions)
        x = np.arange(self.low, high + self.step, self.step)  # about the largest q; below, the largest one lies surely above
        product = np.ones((*top.shape, x.size))
        for a in range(actions):
            product *= self.below(x + (top - q[..., a])[..., None])
        return np.asarray(top + x[-1] - self.step * (product.sum(axis=-1) - product[..., -1] / 2))

    def _add_gumbel(self, temperature: float) -> None:
        """Replace the law by that of the noise + temperature (G - 0.577): one convolution, kept as a spline.

        The narrower of the two laws enters by its density, the wider one by its distribution function, which is smooth on
        that grid.
        """
        low, high = self.low - temperature * (4 + EULER), self.high + 40 * temperature
        step = max(self.step, temperature / FINENESS) / 2  # for the spline
        x = np.arange(low, high + step, step)
        if temperature > self.step * FINENESS:
            e = np.arange(self.low, self.high, self.step)
            density = np.exp(-((e / self.std) ** 2) / 2 + (self.members - 1) * log_ndtr(-e / self.std))
            wide = np.exp(-np.exp(-((x[:, None] - e) / temperature + EULER)))
        else:
            g = np.arange(-4.0, 40.0, 1 / FINENESS)
            density = np.exp(-g - np.exp(-g))
            wide = self.below(x[:, None] - temperature * (g - EULER))
        self.low, self.high, self.step = float(x[0]), float(x[-1]), step
        self.smooth = CubicSpline(x, wide @ (density / density.sum()))


# -- errors of a mean that follows noisy targets by constant steps ----------------------------------------------------------


def error_std(step: float, noise: float, steps: int | None = None) -> float:
    r"""The standard deviation of e = 0 after ``steps`` (None: in the limit) of :math:`e \leftarrow (1 - b) e + b \epsilon`.

    b = ``step`` in (0, 2), the noise of standard deviation s = ``noise``: :math:`s \sqrt{b (1 - (1-b)^{2t}) / (2 - b)}`. A mean
    that follows its targets from the truth has this error. Raises :class:`InputError` outside these ranges.
    """
    if not (0 < step < 2 and 0 <= noise < np.inf and (steps is None or steps >= 0)):
        raise InputError(f"errors settle for a step in (0, 2) and finite noise; got {step}, {noise} and {steps} steps.")
    settled = 1.0 if steps is None else -np.expm1(2 * steps * np.log(abs(1 - step))) if step != 1 else float(steps > 0)
    return float(noise * np.sqrt(step * settled / (2 - step)))


# -- targets ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class TargetMoments:
    """The mean and the variance of a critic's target at each pair, both (N,)."""

    mean: Floats
    variance: Floats


def target_moments(
    mdp: TabularMDP,
    policy: ArrayLike,
    mu: ArrayLike,
    sigma: ArrayLike,
    reward_variance: float,
    target: Spread = "sampled",
) -> TargetMoments:
    r"""The moments of :math:`r + \gamma Z(s', a')`, or with ``target`` "substituted" those of :math:`r + \gamma \mu(s', a')`.

    s' follows the model, a' the ``policy``, Z(s', a') is N(mu, sigma^2) (``mu``, ``sigma`` (N,)), and the reward has the
    ``reward_variance`` around its mean. By the law of total variance the sampled one has gamma^2 E sigma^2 more. Raises
    ModelError for a policy that is not one of the model; InputError for arrays of another shape, a negative variance, another
    target.
    """
    probabilities = as_probabilities(mdp, policy)
    m, s = np.asarray(mu, dtype=np.float64), np.asarray(sigma, dtype=np.float64)
    if m.shape != (mdp.pairs,) or s.shape != m.shape or not (s >= 0).all() or not np.isfinite(m).all():
        raise InputError(f"mu and sigma are finite numbers for each of {mdp.pairs} pairs, sigma at least 0.")
    if not 0 <= reward_variance < np.inf or target not in ("sampled", "substituted"):
        raise InputError(
            f'a variance at least 0 and a target "sampled" or "substituted" are needed: {reward_variance}, {target!r}.'
        )
    P = mdp.transition_matrix()
    middle = (m.max() + m.min()) / 2

    def following(x: Floats) -> Floats:
        return np.asarray(P @ state_sum(mdp, probabilities * x))

    first = following(m - middle)
    spread = np.maximum(following((m - middle) ** 2) - first**2, 0.0)
    own = following(s**2) if target == "sampled" else 0.0
    return TargetMoments(mdp.reward + mdp.gamma * (first + middle), reward_variance + mdp.gamma**2 * (spread + own))


# -- the recursion under stochastic gradient steps --------------------------------------------------------------------------

Variant = Literal["adjusted", "plain", "fixed clip", "root", "constant", "logarithm", "signs"]
VARIANTS: tuple[Variant, ...] = ("adjusted", "plain", "fixed clip", "root", "constant", "logarithm", "signs")


@np.errstate(over="ignore", invalid="ignore")  # a divergence is told at the end
def scaled_critics(
    mdp: TabularMDP,
    policy: ArrayLike,
    scale: float,
    seed: int,
    *,
    steps: int = 1000,
    rate: float = 0.005,
    averaging: float = 0.02,
    noise: float = 1.0,
    variant: Variant = "adjusted",
) -> tuple[Floats, Floats]:
    r"""Twin critics (mu, sigma) in tables under stochastic gradient steps, divided by a ``scale`` c of the rewards.

    A step draws a pair uniformly, a normal reward of mean c r and standard deviation c ``noise``, s' and a' (from the
    ``policy``), takes the twin of smaller mean at (s', a'), :math:`y = r + \gamma \mu'`, :math:`y_z = r + \gamma (\mu' +
    \sigma' \xi)`, and moves either twin, with b = ``rate``, by

    .. math:: \mu \mathrel{+}= b \omega (y - \mu) / \sigma^2, \ \sigma \mathrel{+}= b \omega (\delta^2 - \sigma^2) / \sigma^3,

    where :math:`\delta` is :math:`y_z - \mu`, clipped at :math:`3 \bar\sigma`, and omega and :math:`\bar\sigma` are running
    averages of sigma^2 and sigma over the batch of one, at the rate ``averaging``. Both begin at mu = 0 and sigma = 2 c. The
    random numbers depend on the seed alone. sigma is kept above a thousandth of its running average.

    The ``variant`` changes one thing: "plain" has omega = 1 and clips at 6, "fixed clip" only the latter, "root" has
    omega an average of sigma, "constant" adds 0.1 to sigma^2 in the denominators, "logarithm" moves log sigma by its own
    gradient, "signs" moves by b c-free signs of the gradients (as Adam does where gradients are steady).

    Returns mu / c and sigma / c after every step, each (steps, 2, N). Raises InputError for a scale, rate or noise out of
    range or another variant; FloatingPointError if the recursion diverges.
    """
    if not (0 < scale < np.inf and 0 < rate < 1 and 0 < averaging < 1 and noise >= 0 and steps >= 1 and variant in VARIANTS):
        raise InputError(
            f"a scale > 0, rates in (0, 1), noise >= 0 and one of {VARIANTS} are needed: {scale}, {rate}, {variant!r}."
        )
    probabilities = as_probabilities(mdp, policy)
    rng = np.random.default_rng(seed)
    N = mdp.pairs
    chain = mdp.transition_matrix().toarray()[:, mdp.pair_state] * probabilities  # (N, N): the next pair
    pairs = rng.integers(N, size=steps)
    cumulative = np.cumsum(chain, axis=1)
    nexts = np.minimum((cumulative[pairs] < rng.random((steps, 1))).sum(axis=1), N - 1)
    rewards = scale * (mdp.reward[pairs] + noise * rng.standard_normal(steps))
    draws = rng.standard_normal(steps)
    mu, sigma = np.zeros((2, N)), np.full((2, N), 2.0 * scale)
    means, spreads = np.empty((steps, 2, N)), np.empty((steps, 2, N))
    omega, average = np.full(2, (2.0 * scale) ** (1 if variant == "root" else 2)), np.full(2, 2.0 * scale)
    for t in range(steps):
        i, j = pairs[t], nexts[t]
        twin = int(np.argmin(mu[:, j]))
        y = rewards[t] + mdp.gamma * mu[twin, j]
        z = y + mdp.gamma * sigma[twin, j] * draws[t]
        m, s = mu[:, i].copy(), sigma[:, i].copy()
        clip = 6.0 if variant in ("plain", "fixed clip") else 3 * average
        weight = 1.0 if variant == "plain" else omega
        square = s**2 + 0.1 if variant == "constant" else s**2
        by_mean = weight * (y - m) / square
        by_spread = weight * (np.clip(z - m, -clip, clip) ** 2 - s**2) / (square * s)
        if variant == "signs":
            by_mean, by_spread = np.sign(by_mean), np.sign(by_spread)
        mu[:, i] = m + rate * by_mean
        if variant == "logarithm":
            sigma[:, i] = s * np.exp(np.clip(rate * s * by_spread, -20, 20))
        else:
            sigma[:, i] = s + rate * by_spread
        sigma[:, i] = np.maximum(sigma[:, i], 1e-3 * average)
        omega += averaging * (sigma[:, i] ** (1 if variant == "root" else 2) - omega)
        average += averaging * (sigma[:, i] - average)
        means[t], spreads[t] = mu, sigma
    if not (np.isfinite(means).all() and np.isfinite(spreads).all()):
        raise FloatingPointError(f"the critics diverged at the scale {scale}.")
    return means / scale, spreads / scale


def _check_noise(q: NDArray[np.float64], std: float, members: int, rule: str, temperature: float) -> None:
    if q.size == 0 or not np.isfinite(q).all():
        raise InputError("the values of the actions must be finite numbers, one or more.")
    if not (0 <= std < np.inf and 0 <= temperature < np.inf):
        raise InputError(f"the noise and the temperature are at least 0 and finite; got {std} and {temperature}.")
    if not (isinstance(members, (int, np.integer)) and members >= 1) or rule not in ("minimum", "average"):
        raise InputError(f'at least one critic and the rule "minimum" or "average" are needed; got {members} and {rule!r}.')
