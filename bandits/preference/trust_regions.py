r"""The best policy near several references at once.

.. math:: \max_\pi\; \mathbb{E}_\pi A \quad \text{s.t.} \quad \mathrm{KL}(\pi\|\pi_i) \le \varepsilon_i, \quad i = 1, \ldots, m.

With multipliers :math:`\lambda_i \ge 0` of the sum L > 0 the Lagrangian is maximised by the *geometric tilt*
:math:`\pi_\lambda \propto \prod_i \pi_i^{\lambda_i/L} e^{A/L}`, and the dual function

.. math:: D(\lambda) = \sum_i \lambda_i \varepsilon_i + L \ln \sum_y \exp\frac{A(y) + \sum_i \lambda_i \ln \pi_i(y)}{L}

is convex, at least the optimum everywhere, and has the gradient :math:`\varepsilon_i - \mathrm{KL}(\pi_\lambda\|\pi_i)`.

Cai, Xue, Zhang and others (2023), "Two-Stage Constrained Actor-Critic for Short Video Recommendation", arXiv 2302.01680, where A
is the advantage of the main response and the references are policies learned for auxiliary ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax, logsumexp

from bandits.preference.soups import disagreement, soup
from theory.claims.families import family
from theory.divergences import NORMALISATION, kl
from theory.errors import InputError
from theory.tilts import log_tilt

Array = NDArray[np.float64]
MOST_STEPS = 1000  # Newton steps in all; some 60 are usual


@dataclass(frozen=True, eq=False)
class TrustRegions:
    """Advantages (K,), references of full support as log-probabilities (m, K), and radii (m,), at least 0 and finite."""

    advantage: Array
    log_references: Array
    radii: Array
    key: str | None = None

    def __post_init__(self) -> None:
        advantage, references, radii = (np.array(x, dtype=float) for x in (self.advantage, self.log_references, self.radii))
        if (
            references.ndim != 2
            or advantage.shape != references.shape[1:]
            or radii.shape != references.shape[:1]
            or not radii.size
        ):
            raise InputError(
                f"advantages (K,), references (m, K) and radii (m,) are needed, not {advantage.shape}, {references.shape} and {radii.shape}."
            )
        if not (np.isfinite(advantage).all() and np.isfinite(references).all()):
            raise InputError("advantages are finite, and references have full support.")
        total = np.exp(references).sum(axis=1)
        if not (np.abs(total - 1) <= NORMALISATION).all():
            raise InputError(f"the probabilities of a reference sum to {total[np.argmax(np.abs(total - 1))]:.12g}, not to 1.")
        if not ((radii >= 0) & (radii < np.inf)).all():
            raise InputError(f"radii are at least 0 and finite, not {radii.min()} to {radii.max()}.")
        for array, name in ((advantage, "advantage"), (references, "log_references"), (radii, "radii")):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def __repr__(self) -> str:
        return f"TrustRegions({self.key or '{} references of {} responses'.format(*self.log_references.shape)})"


@dataclass(frozen=True)
class TrustRegionOptimum:
    """A policy strictly within all regions, log-probabilities (K,), and the multipliers (m,) > 0 whose geometric tilt it is.

    The optimum lies between ``value``, the policy's, and ``upper``, the dual function at the multipliers.
    """

    log_policy: Array
    multipliers: Array
    value: float
    upper: float

    @property
    def width(self) -> float:
        """How far the optimum may lie above the policy's value."""
        return max(self.upper - self.value, 0.0)


@family(K=2, references=1)
def random_trust_regions(
    K: int = 5,
    references: int = 2,
    distance: float = 1.0,
    spread: float = 1.0,
    tightest: float = 0.01,
    widest: float = 0.3,
    seed: int = 0,
) -> TrustRegions:
    """Softmax references of normal logits of deviation ``distance``, normal advantages of deviation ``spread``.

    Each radius exceeds the divergence of the equal soup of references by a uniform number from ``tightest`` to ``widest``.
    """
    rng = np.random.default_rng(seed)
    log_references = log_softmax(distance * rng.standard_normal((references, K)), axis=-1)
    radii = kl(soup(log_references), log_references, log=True) + rng.uniform(tightest, widest, references)
    return TrustRegions(spread * rng.standard_normal(K), log_references, radii)


def geometric_tilt(problem: TrustRegions, multipliers: ArrayLike) -> Array:
    """The policy that maximises the Lagrangian at multipliers (m,) of a positive sum, log-probabilities (K,)."""
    weights = _multipliers(problem, multipliers)
    return log_tilt(soup(problem.log_references, weights / weights.sum()), problem.advantage, weights.sum())


def dual_value(problem: TrustRegions, multipliers: ArrayLike) -> float:
    """The dual function at multipliers (m,) of a positive sum: an upper bound on the value of every policy in the regions."""
    weights = _multipliers(problem, multipliers)
    L = weights.sum()
    return float(weights @ problem.radii + L * logsumexp((problem.advantage + weights @ problem.log_references) / L))


def feasibility_margin(problem: TrustRegions, weights: ArrayLike) -> Array:
    r""":math:`\sum_i w_i \varepsilon_i - \ln(1/B_w)` for weights (m,) of the sum 1, :math:`B_w` the normaliser of their soup.

    It bounds from above the :math:`\min_i (\varepsilon_i - \mathrm{KL}(\pi\|\pi_i))` of every policy; its minimum over w is attained by one.
    """
    return np.asarray(np.asarray(weights, dtype=float) @ problem.radii - disagreement(problem.log_references, weights))[()]


def solve_trust_regions(problem: TrustRegions, tol: float = 1e-10) -> TrustRegionOptimum:
    r"""The optimum up to ``tol`` > 0 times the span of advantages, with its proof.

    Minimises :math:`D(\lambda) - \mu \sum_i \ln \lambda_i` by Newton's method for :math:`\mu \to 0`. The Hessian of D is
    :math:`\tfrac1L \mathrm{Cov}_{\pi_\lambda}(\ln\tfrac{\pi_i}{\pi_\lambda}, \ln\tfrac{\pi_j}{\pi_\lambda})`. At a minimum :math:`\varepsilon_i -
    \mathrm{KL}(\pi_\lambda\|\pi_i) = \mu/\lambda_i > 0`: the policy is strictly feasible, and its value is :math:`m \mu` below the dual's.

    Raises :class:`InputError` if the dual function falls below the least advantage, which proves that no policy lies in all
    regions, or if Newton's method does not come to an end, as where the regions only touch.
    """
    if not tol > 0:
        raise InputError(f"the tolerance is positive, not {tol}.")
    m = problem.radii.size
    size = max(float(np.ptp(problem.advantage)), 1e-300)
    barrier, least = size, tol * size / (2 * m)
    weights = np.full(m, size)
    for _ in range(MOST_STEPS):
        policy = geometric_tilt(problem, weights)
        p = np.exp(policy)
        slack = problem.radii - kl(policy, problem.log_references, log=True)
        value, gap = float(p @ problem.advantage), float(weights @ slack)
        if (slack > 0).all() and gap <= tol * size:
            return TrustRegionOptimum(policy, weights, value, value + gap)
        if value + gap < problem.advantage.min() - 1e-9 * size:
            raise InputError("no policy lies in all trust regions: the dual function falls below the least advantage.")
        if (np.abs(weights * slack - barrier) <= barrier / 2).all():
            barrier = max(barrier / 10, least)
        ratios = problem.log_references - policy
        centred = ratios - (ratios @ p)[:, None]
        gradient = slack - barrier / weights
        # the barrier's own curvature is barrier / weights^2; this one makes weights * slack = barrier linear where it can
        curvature = np.where(slack > 0, slack, barrier / weights) / weights
        step = -np.linalg.solve((centred * p) @ centred.T / weights.sum() + np.diag(curvature), gradient)
        decrement = float(-gradient @ step)
        here = value + gap - barrier * np.log(weights).sum()
        noise = 1e-14 * (abs(here) + float(weights @ np.abs(slack)) + size)
        shrinking = step < 0
        scale = min(1.0, 0.99 * float((weights[shrinking] / -step[shrinking]).min(initial=np.inf)))
        while scale > 1e-12:
            moved = weights + scale * step
            if dual_value(problem, moved) - barrier * np.log(moved).sum() <= here - 0.1 * scale * decrement + noise:
                break
            scale /= 2
        weights = moved
    raise InputError(
        f"no optimum was found in {MOST_STEPS} Newton steps: the trust regions may only touch, or the tolerance be too fine."
    )


def _multipliers(problem: TrustRegions, multipliers: ArrayLike) -> Array:
    weights = np.asarray(multipliers, dtype=float)
    if weights.shape != problem.radii.shape or not (weights >= 0).all() or not 0 < weights.sum() < np.inf:
        raise InputError(
            f"{problem.radii.size} multipliers are at least 0 and have a positive finite sum, not {multipliers!r}."
        )
    return weights
