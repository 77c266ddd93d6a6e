r"""A bandit whose action is a real number, with a bonus for entropy, and policies that are mixtures of Gaussians.

The reward is :math:`r(a) = \sum_i h_i e^{-\kappa (a - c_i)^2} - \rho a^2`, and a policy with density :math:`\pi` earns

.. math:: J(\pi) = \mathbb{E}_\pi r + \alpha H(\pi) = J^\star - \alpha\, \mathrm{KL}(\pi \| p^\star), \qquad
          p^\star \propto e^{r/\alpha}, \quad J^\star = \alpha \ln \int e^{r(a)/\alpha}\, da .

Expected rewards of Gaussians are closed forms; what has none is a trapezoidal sum, which converges geometrically for such
functions and comes with an error. :func:`best_gaussian` brackets the best single Gaussian by branch and bound over all means
and deviations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from theory.claims.families import family
from theory.errors import InputError

Array = NDArray[np.float64]
LOG_DENSITY_AT_ZERO = 0.5 * math.log(2 * math.pi)
ROUNDING = 1e-13  # of a sum of thousands of terms, relative to the sum of their sizes


@dataclass(frozen=True, eq=False)
class ContinuousBandit:
    """Bumps of ``heights`` h > 0 around ``centres`` c, both (n,), of ``sharpness`` kappa > 0, less ``curvature`` rho > 0
    times a^2.

    ``temperature`` alpha > 0 weighs the entropy. Raises :class:`InputError` for other numbers. ``key`` rebuilds the instance.
    """

    centres: Array
    heights: Array
    sharpness: float
    curvature: float
    temperature: float
    key: str | None = None

    def __post_init__(self) -> None:
        for name in ("centres", "heights"):
            values = np.array(getattr(self, name), dtype=float)
            if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
                raise InputError(f"the {name} of a continuous bandit are a vector of finite numbers.")
            values.setflags(write=False)
            object.__setattr__(self, name, values)
        if self.centres.size != self.heights.size:
            raise InputError(f"{self.centres.size} bumps need as many heights, not {self.heights.size}.")
        if self.heights.min() <= 0:
            raise InputError(f"a bump's height is positive, not {self.heights.min()}.")
        for name in ("sharpness", "curvature", "temperature"):
            if not 0 < getattr(self, name) < np.inf:
                raise InputError(f"the {name} of a continuous bandit is positive, not {getattr(self, name)}.")

    def reward(self, actions: ArrayLike) -> Array:
        """r(a), in the shape of ``actions``."""
        a = np.asarray(actions, dtype=float)
        bumps = np.exp(-self.sharpness * (a[..., None] - self.centres) ** 2) @ self.heights
        return np.asarray(bumps - self.curvature * a**2)

    def expected_reward(self, means: ArrayLike, deviations: ArrayLike) -> Array:
        r"""The expected reward of :math:`\mathcal N(\mu, s^2)`: each bump gives :math:`h e^{-\kappa (\mu - c)^2 / t} / \sqrt t`, :math:`t = 1 + 2 \kappa s^2`."""
        mu, s = np.asarray(means, dtype=float), np.asarray(deviations, dtype=float)
        spread = 1 + 2 * self.sharpness * s**2
        bumps = np.exp(-self.sharpness * (mu[..., None] - self.centres) ** 2 / spread[..., None]) @ self.heights
        return np.asarray(bumps / np.sqrt(spread) - self.curvature * (mu**2 + s**2))

    def gaussian_objective(self, means: ArrayLike, deviations: ArrayLike) -> Array:
        r"""J of single Gaussians, in closed form; the entropy is :math:`\ln (s \sqrt{2 \pi e})`."""
        entropy = np.log(np.asarray(deviations, dtype=float)) + LOG_DENSITY_AT_ZERO + 0.5
        return self.expected_reward(means, deviations) + self.temperature * entropy


@family
def two_bumps(
    separation: float = 1.0, temperature: float = 0.1, drop: float = 0.0, curvature: float = 0.02
) -> ContinuousBandit:
    """Bumps at minus and plus ``separation``, of the heights 1 - ``drop`` and 1 and the sharpness 2."""
    return ContinuousBandit(np.array([-separation, separation]), np.array([1 - drop, 1.0]), 2.0, curvature, temperature)


@dataclass(frozen=True)
class SoftOptimum:
    r"""The optimal objective :math:`J^\star`, within ``width`` of the truth, and :math:`\ln \int e^{r/\alpha}` beside it."""

    value: float
    log_partition: float
    width: float


def soft_optimum(bandit: ContinuousBandit) -> SoftOptimum:
    r"""The optimum by a trapezoidal sum whose error is bounded, not estimated (Trefethen and Weideman 2014, Theorem 5.1).

    :math:`f = e^{r/\alpha}` is entire, and on the strip :math:`|\mathrm{Im}\, a| \le y` its modulus is at most
    :math:`\exp((e^{\kappa y^2} \sum h + \rho y^2 - \rho x^2)/\alpha)`, so that a sum with the step b errs by at most :math:`2
    M / (e^{2 \pi y / b} - 1)` with :math:`M = \sqrt{\pi \alpha / \rho}\, e^{(e^{\kappa y^2} \sum h + \rho y^2)/\alpha}`. What
    lies beyond the grid is at most the tail of a Gaussian. ``width`` adds rounding. Raises :class:`InputError` for a
    temperature so low that the grid would have more than a million points.
    """
    alpha, rho, total = bandit.temperature, bandit.curvature, float(bandit.heights.sum())
    y = 1 / math.sqrt(2 * bandit.sharpness)
    log_modulus = (math.exp(0.5) * total + rho * y**2) / alpha + 0.5 * math.log(math.pi * alpha / rho)
    # so that the bound on the sum's error is about exp(-40) of an integral that is not tiny
    reach = math.sqrt((total + 40 * alpha) / rho)
    step = 2 * math.pi * y / (log_modulus + 40 + bandit.curvature * float((bandit.centres**2).min()) / alpha)
    points = math.ceil(reach / step)
    if points > 500_000:
        raise InputError(f"a temperature of {alpha} needs {2 * points + 1} points to integrate exp(r / temperature).")
    grid = np.arange(-points, points + 1) * step
    exponent = bandit.reward(grid) / alpha
    log_partition = float(special.logsumexp(exponent)) + math.log(step)
    strip = 2 * math.exp(log_modulus - 2 * math.pi * y / step - log_partition)
    z = reach * math.sqrt(rho / alpha)
    tail = math.exp(total / alpha - z**2 - log_partition) * math.sqrt(math.pi * alpha / rho) * float(special.erfcx(z))
    rounding = ROUNDING + 4 * np.finfo(float).eps * float(np.abs(exponent).max())
    return SoftOptimum(alpha * log_partition, log_partition, float(alpha * (2 * strip + 2 * tail + rounding)))


# --- mixtures of Gaussians ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """The policy sum_k w_k N(mu_k, s_k^2): ``weights`` (K,) > 0 that sum to 1, ``means`` (K,) and ``deviations`` (K,) > 0."""

    weights: Array
    means: Array
    deviations: Array

    def __post_init__(self) -> None:
        for name in ("weights", "means", "deviations"):
            values = np.array(getattr(self, name), dtype=float)
            if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
                raise InputError(f"the {name} of a mixture are a vector of finite numbers.")
            values.setflags(write=False)
            object.__setattr__(self, name, values)
        if not self.weights.size == self.means.size == self.deviations.size:
            raise InputError(
                f"a mixture has as many weights as means and deviations, not {self.weights.size}, {self.means.size} and {self.deviations.size}."
            )
        if self.weights.min() <= 0 or abs(self.weights.sum() - 1) > 1e-9:
            raise InputError(f"the weights of a mixture are positive and sum to 1, not to {self.weights.sum():.12g}.")
        if self.deviations.min() <= 0:
            raise InputError(f"a standard deviation is positive, not {self.deviations.min()}.")

    def log_densities(self, actions: ArrayLike) -> Array:
        """The log-densities of the experts, shape (..., K)."""
        z = (np.asarray(actions, dtype=float)[..., None] - self.means) / self.deviations
        return np.asarray(-0.5 * z**2 - np.log(self.deviations) - LOG_DENSITY_AT_ZERO)

    def log_density(self, actions: ArrayLike) -> Array:
        """The log-density of the mixture, in the shape of ``actions``."""
        return np.asarray(special.logsumexp(self.log_densities(actions) + np.log(self.weights), axis=-1))


@dataclass(frozen=True)
class Objective:
    r"""What a mixture earns: ``value`` J, from the closed form of the reward and a sum for the entropy; ``divergence``
    :math:`\mathrm{KL}(\pi \| p^\star)`, from a sum of its own; ``width`` an estimate of the error of either side of
    :math:`J^\star - J = \alpha \mathrm{KL}`."""

    value: float
    entropy: float
    divergence: float
    width: float


def objective(bandit: ContinuousBandit, policy: GaussianMixture, optimum: SoftOptimum | None = None) -> Objective:
    """The exact objective of a mixture. The error of the sums is estimated by that of the same sums with twice the step."""
    optimum = optimum or soft_optimum(bandit)
    grid, step = quadrature_grid(policy)
    log_pi = policy.log_density(grid)
    mass = np.exp(log_pi)
    sums = np.stack([-mass * log_pi, mass * (log_pi - bandit.reward(grid) / bandit.temperature)])
    fine, coarse = sums.sum(axis=1) * step, sums[:, ::2].sum(axis=1) * 2 * step
    value = float(policy.weights @ bandit.expected_reward(policy.means, policy.deviations)) + bandit.temperature * float(
        fine[0]
    )
    error = float(np.abs(fine - coarse).max()) + ROUNDING * (float(np.abs(sums).sum(axis=1).max()) * step + 1)
    divergence = float(fine[1]) + optimum.log_partition
    return Objective(value, float(fine[0]), divergence, bandit.temperature * error + optimum.width)


def quadrature_grid(policy: GaussianMixture, per_deviation: int = 8, reach: float = 9.0) -> tuple[Array, float]:
    """An even grid over all that a mixture covers (``reach`` deviations), and its step, a fraction of the least deviation.

    The sum of a Gaussian over every second point still has a relative error of :math:`2 e^{-2 \\pi^2 16}`.
    """
    step = float(policy.deviations.min()) / per_deviation
    low = float((policy.means - reach * policy.deviations).min())
    high = float((policy.means + reach * policy.deviations).max())
    points = math.ceil((high - low) / step)
    if points > 4_000_000:
        raise InputError(f"deviations between {policy.deviations.min()} and {policy.deviations.max()} need {points} points.")
    return np.asarray(low + step * np.arange(points + 1), dtype=np.float64), step


@dataclass(frozen=True)
class GaussianBracket:
    """The best single Gaussian: ``mean`` and ``deviation`` earn ``lower``, and no Gaussian earns more than ``upper``."""

    lower: float
    upper: float
    mean: float
    deviation: float
    boxes: int


def best_gaussian(bandit: ContinuousBandit, tolerance: float = 1e-4, most: int = 2_000_000) -> GaussianBracket:
    r"""The largest objective of a single Gaussian, bracketed to ``tolerance`` > 0 by branch and bound over all of them.

    On a box of means and of log-deviations each bump's :math:`h t^{-1/2} e^{-\kappa D^2/t}` is at most its value at the mean
    nearest to c and at :math:`t = 2 \kappa D^2` moved into the box (it rises in t up to there), and so are :math:`\rho \mu^2`
    and :math:`\alpha \ln s - \rho s^2` maximised exactly. The sum bounds J from above. Boxes whose bound is below the best
    value found (plus the tolerance) are dropped, the others halved along their longer side. A first box holds every Gaussian
    that is not worse for a plain reason: outside of it :math:`-\rho \mu^2`, or :math:`\alpha \ln s - \rho s^2`, is too small
    even if every bump were met at its top.

    Raises :class:`InputError` for a tolerance that is not positive or needs more than ``most`` boxes.
    """
    if not tolerance > 0:
        raise InputError(f"the tolerance of a bracket is positive, not {tolerance}.")
    alpha, rho, total = bandit.temperature, bandit.curvature, float(bandit.heights.sum())

    def earned(x: Array) -> float:
        return float(bandit.gaussian_objective(x[0], math.exp(x[1])))

    # on the highest bump, and astride all of them
    starts = [
        optimize.minimize(
            lambda x: -earned(x), (mean, math.log(0.2)), method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-13}
        ).x
        for mean in (float(bandit.centres[np.argmax(bandit.heights)]), float(bandit.centres.mean()))
    ]
    best = max(starts, key=earned)
    lower = earned(best)

    crest = 0.5 * math.log(alpha / (2 * rho))  # where alpha log s - rho s^2 is largest, and what it is there
    spare = total + alpha * (LOG_DENSITY_AT_ZERO + 0.5) - lower
    furthest = math.sqrt((spare + alpha * crest - alpha / 2) / rho)
    smallest = -spare / alpha
    largest = crest + 1.0
    while spare + alpha * largest - rho * math.exp(2 * largest) > 0:
        largest += 1.0
    boxes = np.array([[-furthest, furthest, smallest, largest]])
    seen, upper = 0, lower
    while boxes.size:
        seen += len(boxes)
        if seen > most:
            raise InputError(f"a bracket of {tolerance} needs more than {most} boxes.")
        bound = _box_bound(bandit, boxes)
        keep = bound > lower + tolerance
        upper = max(upper, float(bound[~keep].max(initial=lower)))
        boxes = boxes[keep]
        middle = boxes.reshape(-1, 2, 2).mean(axis=2)
        if len(middle):
            values = bandit.gaussian_objective(middle[:, 0], np.exp(middle[:, 1]))
            if values.max() > lower:
                best, lower = middle[np.argmax(values)], float(values.max())
        wide = (boxes[:, 1] - boxes[:, 0] > boxes[:, 3] - boxes[:, 2]).astype(int)
        left, right = boxes.copy(), boxes.copy()
        rows, side = np.arange(len(boxes)), np.where(wide, 0, 2)
        cut = middle[rows, side // 2]
        left[rows, side + 1], right[rows, side] = cut, cut
        boxes = np.concatenate([left, right])
    return GaussianBracket(lower, upper + ROUNDING * (1 + abs(upper)), float(best[0]), math.exp(best[1]), seen)


def _box_bound(bandit: ContinuousBandit, boxes: Array) -> Array:
    """An upper bound of J on boxes of (mean, log-deviation), rows (low, high, low, high)."""
    low, high = boxes[:, 0, None], boxes[:, 1, None]
    distance = np.maximum(np.maximum(low - bandit.centres, bandit.centres - high), 0.0)
    ends = 1 + 2 * bandit.sharpness * np.exp(2 * boxes[:, 2:])
    t = np.clip(2 * bandit.sharpness * distance**2, ends[:, :1], ends[:, 1:])
    bumps = (bandit.heights * np.exp(-bandit.sharpness * distance**2 / t) / np.sqrt(t)).sum(axis=1)
    nearest = np.clip(0.0, boxes[:, 0], boxes[:, 1])
    scale = np.clip(0.5 * math.log(bandit.temperature / (2 * bandit.curvature)), boxes[:, 2], boxes[:, 3])
    entropy = bandit.temperature * (scale + LOG_DENSITY_AT_ZERO + 0.5) - bandit.curvature * np.exp(2 * scale)
    return np.asarray(bumps - bandit.curvature * nearest**2 + entropy)


def fit_mixture(bandit: ContinuousBandit, experts: int, starts: int = 8, seed: int = 0) -> GaussianMixture:
    """The best of ``starts`` local searches for a mixture of ``experts`` >= 1 Gaussians: a witness, not a proved optimum.

    The first search begins with the means spread evenly over the bumps, the others with random ones. Ascent by L-BFGS on
    logits, means and log-deviations, with the exact gradient (:func:`score_gradient`, as a sum over a fixed grid).
    """
    if experts < 1 or starts < 1:
        raise InputError(f"a fit has at least 1 expert and 1 start, not {experts} and {starts}.")
    rng = np.random.default_rng(seed)
    scale = math.sqrt(bandit.temperature / (2 * bandit.sharpness * float(bandit.heights.max())))
    margin = 12 * scale + 1 / math.sqrt(bandit.sharpness)
    low, high = float(bandit.centres.min()), float(bandit.centres.max())
    grid = np.linspace(low - margin, high + margin, max(400, math.ceil((high - low + 2 * margin) / (scale / 5))))
    step, reward = float(grid[1] - grid[0]), bandit.reward(grid)
    K, alpha = experts, bandit.temperature

    def loss(x: Array) -> tuple[float, Array]:
        weights, means, deviations = special.softmax(x[:K]), x[K : 2 * K], np.exp(np.clip(x[2 * K :], -8, 3))
        z = (grid - means[:, None]) / deviations[:, None]
        parts = weights[:, None] * np.exp(-0.5 * z**2 - LOG_DENSITY_AT_ZERO) / deviations[:, None]
        pi = parts.sum(axis=0)
        earned = (reward - alpha * np.log(np.maximum(pi, 1e-300))) * step
        inner = parts @ earned
        gradient = np.concatenate(
            [inner - weights * inner.sum(), (parts * z) @ earned / deviations, (parts * (z**2 - 1)) @ earned]
        )
        return -float(pi @ earned), -gradient

    found, least = np.empty(0), math.inf
    for start in range(starts):
        # the middles of K equal shares of the stretch of bumps, from end to end where there are as many experts as bumps
        means = np.linspace(low, high, K) if K > 1 else np.array([high])
        if start:
            means = rng.uniform(low - scale, high + scale, K)
        jitter = 0.1 * rng.standard_normal(2 * K)
        x0 = np.concatenate([jitter[:K], means + scale * 0.1 * jitter[K:], np.full(K, math.log(scale))])
        result = optimize.minimize(loss, x0, jac=True, method="L-BFGS-B", options={"maxiter": 500, "gtol": 1e-8, "ftol": 1e-13})
        if result.fun < least:
            found, least = result.x, float(result.fun)
    weights = np.maximum(special.softmax(found[:K]), 1e-300)
    order = np.argsort(found[K : 2 * K])
    return GaussianMixture(weights[order], found[K : 2 * K][order], np.exp(np.clip(found[2 * K :], -8, 3))[order])


# --- gradients of the weights ------------------------------------------------------------------------------------------


def expert_values(bandit: ContinuousBandit, policy: GaussianMixture, nodes: int = 801) -> Array:
    r"""The soft value of each expert within the mixture, (K,): :math:`g_k = \mathbb{E}_{N_k}[r - \alpha \ln \pi]`, so
    :math:`J = \sum_k w_k g_k`.

    The reward in closed form, the logarithm by a sum over a grid of its own for every expert. :math:`\partial J/\partial z_k = w_k
    (g_k - J)` for logits z.
    """
    x = np.linspace(-9.0, 9.0, nodes)
    weight = np.exp(-0.5 * x**2) * (x[1] - x[0])
    logs = policy.log_density(policy.means[:, None] + policy.deviations[:, None] * x)
    return np.asarray(
        bandit.expected_reward(policy.means, policy.deviations) - bandit.temperature * logs @ weight / math.sqrt(2 * math.pi)
    )


def weight_gradient(bandit: ContinuousBandit, policy: GaussianMixture) -> Array:
    r"""The exact gradient of J in the logits of the weights, (K,): :math:`w_k (g_k - \sum_j w_j g_j)`, with :func:`expert_values`."""
    values = expert_values(bandit, policy)
    return np.asarray(policy.weights * (values - policy.weights @ values))


def score_gradient(bandit: ContinuousBandit, policy: GaussianMixture, *, entropy: float = 1.0) -> Array:
    r"""What the score-function estimator is on average, (3, K), in the logits, the means and the log-deviations.

    :math:`\mathbb{E}_\pi[(r(a) - \alpha \ln \pi(a)) \nabla \ln \pi(a)]`, as a sum over a grid. The score of the logit k is
    :math:`\rho_k(a) - w_k`, with the responsibility :math:`\rho_k = w_k N_k / \pi`. ``entropy`` multiplies :math:`\alpha \ln
    \pi`.
    """
    grid, step = quadrature_grid(policy)
    log_pi = policy.log_density(grid)
    share = np.exp(policy.log_densities(grid) + np.log(policy.weights) - log_pi[:, None])
    earned = np.exp(log_pi) * (bandit.reward(grid) - entropy * bandit.temperature * log_pi) * step
    z = (grid[:, None] - policy.means) / policy.deviations
    scores = (share - policy.weights, share * z / policy.deviations, share * (z**2 - 1))
    return np.stack([earned @ score for score in scores])


def pathwise_gradient(bandit: ContinuousBandit, policy: GaussianMixture) -> Array:
    r"""What reparametrised samples tell the logits on average if their expert is drawn and its draw is not differentiated,
    (K,).

    The action :math:`\mu_k + s_k \varepsilon` does not move with the weights; what is left is :math:`-\alpha
    \mathbb{E}_\pi[\nabla \ln \pi(a)]`, which is 0 but for the error of the sum.
    """
    grid, step = quadrature_grid(policy)
    log_pi = policy.log_density(grid)
    share = np.exp(policy.log_densities(grid) + np.log(policy.weights) - log_pi[:, None])
    return np.asarray(-bandit.temperature * step * np.exp(log_pi) @ (share - policy.weights))


def best_expert_odds(bandit: ContinuousBandit, policy: GaussianMixture, cells: int = 3000) -> tuple[Array, Array]:
    r"""Lower and upper bounds, (K,) each, of the probability that expert k's action has the largest reward, one action drawn
    from each.

    The line is cut into ``cells`` of even length within 9 deviations of each expert, and what is left between and beyond. On
    a cell of length b the reward is within :math:`b^2 \max |r''| / 8` of its chord, hence between its values at the two ends
    widened by that; in the tails it is anything. With :math:`p_{ki}` the probability of cell i under expert k, the bounds are
    :math:`\sum_i p_{ki} \prod_{j \ne k} P_{ji}`, :math:`P_{ji}` that of a reward of expert j which is surely, or perhaps, smaller.
    """
    if cells < 2:
        raise InputError(f"the line is cut into at least 2 cells, not {cells}.")
    edges = np.unique(policy.means + policy.deviations * np.linspace(-9.0, 9.0, cells + 1)[:, None])
    reward = bandit.reward(edges)
    # the second derivative of exp(-kappa x^2) lies in [-2 kappa, 4 kappa exp(-3/2)]
    bend = (2 * bandit.sharpness * float(bandit.heights.sum()) + 2 * bandit.curvature) * np.diff(edges) ** 2 / 8
    floor = np.concatenate([[-np.inf, -np.inf], np.minimum(reward[:-1], reward[1:]) - bend])
    top = np.concatenate([[np.inf, np.inf], np.maximum(reward[:-1], reward[1:]) + bend])
    tails = special.ndtr((np.array([[edges[0]], [-edges[-1]]]) - np.array([[1], [-1]]) * policy.means) / policy.deviations)
    inner = np.diff(special.ndtr((edges[:, None] - policy.means) / policy.deviations), axis=0)
    p = np.concatenate([tails, inner])

    def below(ends: Array, at: Array) -> Array:
        """The probability, under each expert, of the cells whose end lies below ``at``: (cells, K)."""
        order = np.argsort(ends)
        total = np.concatenate([np.zeros((1, p.shape[1])), np.cumsum(p[order], axis=0)])
        return np.asarray(total[np.searchsorted(ends[order], at)])

    surely, perhaps = below(top, floor), below(floor, top)
    bounds = []
    for factor in (surely, perhaps):
        others = [np.prod(np.delete(factor, k, axis=1), axis=1) for k in range(p.shape[1])]
        bounds.append(np.array([p[:, k] @ others[k] for k in range(p.shape[1])]))
    return np.maximum(bounds[0] - ROUNDING, 0.0), np.minimum(bounds[1] + ROUNDING, 1.0)


def optimal_weight(bandit: ContinuousBandit, policy: GaussianMixture) -> float:
    """The weight of the first of two experts that maximises J, the experts being kept: J is strictly concave in it."""
    if policy.weights.size != 2:
        raise InputError(f"the optimal weight is that of the first of 2 experts, not of {policy.weights.size}.")

    def preference(logit: float) -> float:
        weights = special.expit(np.array([logit, -logit]))
        first, second = expert_values(bandit, GaussianMixture(weights, policy.means, policy.deviations))
        return float(first - second)

    return float(special.expit(optimize.brentq(preference, -30.0, 30.0, xtol=1e-12)))
