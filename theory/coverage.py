r"""How well one distribution covers another: concentrability, divergence of trajectories, and the dimensions of exploration.

Occupancies are arrays whose first axis is the step (a discounted problem has one step: pass ``d[None]``), and whose other axes
are the pairs; every step sums to 1. What is out of its stated range raises InputError.

**Single-policy concentrability**, the price of learning about a policy with occupancy :math:`d` from data of law :math:`\mu`:

* ``"chi2"``: :math:`\max_h \sum_{s,a} d_h(s,a)^2 / \mu_h(s,a) = \max_h \sup_g (E_{d_h} g)^2 / E_{\mu_h} g^2` over all functions g
  (Cauchy-Schwarz; :math:`g = d_h/\mu_h` attains it): one plus the chi-square divergence;
* ``"max"``: :math:`\max_{h,s,a} d_h(s,a) / \mu_h(s,a)`, never smaller;
* ``"linear"``: :math:`\max_h \bar\phi_h^\top \Sigma_h^{+} \bar\phi_h` with :math:`\bar\phi_h = E_{d_h} \phi`,
  :math:`\Sigma_h = E_{\mu_h} \phi\phi^\top`: the supremum over functions linear in the features, never larger than ``"chi2"``.

Each is at least 1 (``"linear"`` if some linear function is constant) and infinite where d goes and no data is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.divergences import kl
from theory.errors import InputError

Array = NDArray[np.float64]
SUM_TOLERANCE = 1e-8
RANK_TOLERANCE = 1e-10  # relative; eigenvalues of a covariance below it are taken for zero


def single_policy_concentrability(
    data: ArrayLike, target: ArrayLike, kind: Literal["chi2", "max", "linear"] = "chi2", features: ArrayLike | None = None
) -> float:
    """The coefficient of ``target`` (H, ...) with respect to ``data`` (H, ...), in one of the three senses, in [0, inf].

    ``features`` float64[..., d] over the pairs, the same at every step, for ``"linear"``.
    """
    mu, d = _occupancies(data, target)
    if kind == "linear":
        if features is None:
            raise InputError("the linear coefficient needs features.")
        phi = np.asarray(features, dtype=np.float64)
        phi = phi.reshape(-1, phi.shape[-1])
        if phi.shape[0] != mu.shape[1]:
            raise InputError(f"there are features of {phi.shape[0]} pairs, and {mu.shape[1]} pairs.")
        return max(_linear_coefficient(m, p, phi) for m, p in zip(mu, d))
    if kind not in ("chi2", "max"):
        raise InputError(f"a concentrability coefficient is of the kind 'chi2', 'max' or 'linear', not {kind!r}.")
    if ((mu == 0) & (d > 0)).any():
        return float("inf")
    ratio = np.divide(d, mu, out=np.zeros_like(d), where=mu > 0)
    return float(ratio.max()) if kind == "max" else float((d * ratio).sum(axis=1).max())


def _linear_coefficient(mu: Array, d: Array, phi: Array) -> float:
    mean = d @ phi
    values, vectors = np.linalg.eigh((phi * mu[:, None]).T @ phi)
    kept = values > RANK_TOLERANCE * max(float(values[-1]), np.finfo(float).tiny)
    coordinates = vectors.T @ mean
    outside = coordinates[~kept]
    if outside.size and np.abs(outside).max() > np.sqrt(RANK_TOLERANCE) * max(float(np.abs(mean).max()), 1e-300):
        return float("inf")
    return float((coordinates[kept] ** 2 / values[kept]).sum())


def trajectory_kl(p: ArrayLike, q: ArrayLike, state_occupancy: ArrayLike, *, log: bool = False) -> float:
    r""":math:`\sum_h E_{s \sim d^p_h} \mathrm{KL}(p_h(\cdot|s) \| q_h(\cdot|s))`, in [0, inf]: the divergence of the laws of trajectories.

    Policies ``p`` and ``q`` (H, S, A) (log-probabilities with ``log``), and ``state_occupancy`` (H, S) of p. States that p does
    not visit do not count.
    """
    visits = np.asarray(state_occupancy, dtype=np.float64)
    first, second = np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64)
    if first.ndim != 3 or first.shape != second.shape or visits.shape != first.shape[:2]:
        raise InputError(
            f"two policies (H, S, A) and visits (H, S) are needed, not {first.shape}, {second.shape} and {visits.shape}."
        )
    if not (visits >= 0).all():
        raise InputError("an occupancy is not negative anywhere.")
    reached = visits > 0
    return float(visits[reached] @ kl(first[reached], second[reached], log=log)) if reached.any() else 0.0


def elliptical_potential(features: ArrayLike, ridge: float = 1.0) -> tuple[float, float]:
    r"""Both sides of the elliptical potential lemma for the sequence ``features`` (n, d), in order.

    .. math:: \sum_t \min(1, \|\phi_t\|^2_{\Lambda_{t-1}^{-1}}) \le 2 \ln \frac{\det \Lambda_n}{\det \Lambda_0}, \qquad
              \Lambda_t = \lambda I + \sum_{i \le t} \phi_i \phi_i^\top,

    since :math:`\min(1, x) \le 2 \ln(1 + x)` and the determinants telescope (Abbasi-Yadkori, Pal and Szepesvari 2011, arXiv
    1102.2670, Lemma 11). ``ridge`` is :math:`\lambda > 0`.
    """
    phi = np.asarray(features, dtype=np.float64)
    if phi.ndim != 2 or not np.isfinite(phi).all():
        raise InputError(f"features are a finite matrix (n, d), not of shape {phi.shape}.")
    if not ridge > 0:
        raise InputError(f"the ridge is positive, not {ridge}.")
    inverse = np.eye(phi.shape[1]) / ridge
    total = log_det = 0.0
    for x in phi:
        along = inverse @ x
        width = float(x @ along)
        total += min(1.0, width)
        log_det += float(np.log1p(width))
        inverse -= np.outer(along, along) / (1 + width)
    return total, 2 * log_det


@dataclass(frozen=True, eq=False)
class EluderSequence:
    """Distributions each of which is ``epsilon``-independent of those before it: their numbers ``order``, in that order."""

    order: NDArray[np.int64]
    epsilon: float

    @property
    def length(self) -> int:
        """A lower bound on the distributional eluder dimension at ``epsilon``."""
        return self.order.size


def bellman_rank(expectations: ArrayLike, tolerance: float = RANK_TOLERANCE) -> int:
    r"""The rank of the matrix :math:`E_{\mu_j} \varepsilon_i`, shape (functions, distributions).

    Singular values below ``tolerance`` times the largest count as 0.

    With Bellman residuals of a class against roll-in distributions it is the Bellman rank (Jiang et al. 2017, arXiv 1610.09512),
    which bounds the Bellman-eluder dimension up to a logarithm (Jin, Liu and Miryoosefi 2021, arXiv 2102.00815).
    """
    values = np.linalg.svd(_matrix(expectations), compute_uv=False)
    return int((values > tolerance * max(float(values[0]), np.finfo(float).tiny)).sum())


def eluder_sequence(expectations: ArrayLike, epsilon: float) -> EluderSequence:
    r"""A long sequence of ``epsilon``-independent distributions, found greedily.

    ``expectations`` holds :math:`E_{\mu_j} \psi_i`, shape (functions, distributions). :math:`\mu` is independent of
    :math:`\mu_1, \ldots, \mu_n` when some :math:`\psi` has :math:`(\sum_i (E_{\mu_i} \psi)^2)^{1/2} \le \epsilon` and
    :math:`|E_\mu \psi| > \epsilon` (Jin, Liu and Miryoosefi 2021). The next distribution is the one that is independent by the
    smallest margin, which spoils the fewest functions for those after it. The longest sequence may be longer.
    """
    matrix = np.abs(_matrix(expectations))
    if not epsilon > 0:
        raise InputError(f"epsilon is positive, not {epsilon}.")
    spent = np.zeros(matrix.shape[0])
    order: list[int] = []
    while True:  # no distribution comes twice: a first visit spends the budget of all its witnesses
        witnesses = (spent <= epsilon**2)[:, None] & (matrix > epsilon)
        candidates = np.flatnonzero(witnesses.any(axis=0))
        if candidates.size == 0:
            return EluderSequence(np.array(order, dtype=np.int64), epsilon)
        usable = np.where(witnesses[:, candidates], matrix[:, candidates], np.inf)
        chosen = int(candidates[np.argmin(usable.min(axis=0))])
        order.append(chosen)
        spent += matrix[:, chosen] ** 2


def _matrix(expectations: ArrayLike) -> Array:
    matrix = np.asarray(expectations, dtype=np.float64)
    if matrix.ndim != 2 or matrix.size == 0 or not np.isfinite(matrix).all():
        raise InputError(f"expectations are a finite matrix (functions, distributions), not of shape {matrix.shape}.")
    return matrix


def _occupancies(data: ArrayLike, target: ArrayLike) -> tuple[Array, Array]:
    mu, d = np.asarray(data, dtype=np.float64), np.asarray(target, dtype=np.float64)
    if mu.shape != d.shape or mu.ndim < 2:
        raise InputError(f"two occupancies of the same shape (steps, pairs) are needed, not {mu.shape} and {d.shape}.")
    mu, d = mu.reshape(mu.shape[0], -1), d.reshape(d.shape[0], -1)
    for name, law in (("data", mu), ("target", d)):
        if not (law >= 0).all() or np.abs(law.sum(axis=1) - 1).max() > SUM_TOLERANCE:
            raise InputError(f"every step of the {name} occupancy is a distribution: entries at least 0 that sum to 1.")
    return mu, d


def largest_ratio(log_policy: ArrayLike, log_reference: ArrayLike) -> Array:
    r""":math:`\max_y \pi(y)/\mu(y)`, shape (...), of log-probabilities (..., K): at least 1, infinite where only the policy goes.

    For policies of one step this is the coefficient of the kind ``"max"``.
    """
    policy, reference = np.asarray(log_policy, dtype=np.float64), np.asarray(log_reference, dtype=np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        ratio = np.where(np.isneginf(policy), -np.inf, policy - reference)
        return np.asarray(np.exp(ratio.max(axis=-1)))[()]


def kl_ball_ratio(reference: ArrayLike, radius: ArrayLike) -> Array:
    r"""The largest :math:`\pi(y)/\mu(y)` of any policy with :math:`\mathrm{KL}(\pi\|\mu) \le e`, for each y: the shape of ``reference``.

    ``reference`` holds probabilities p of single responses, ``radius`` :math:`e \ge 0`; they broadcast. Among the policies that give
    y the probability q the divergence is least when the others keep their proportions, and then it is that of two coins:

    .. math:: q(p) \text{ is the larger root of } \mathrm{kl}(q, p) = q \ln\tfrac{q}{p} + (1 - q) \ln\tfrac{1-q}{1-p} = e,
              \qquad q = 1 \text{ if } \ln\tfrac1p \le e.

    The ratio is q / p; for p = 0 it is 1 (no such policy goes there). The maximum over y is the local coverage constant of Song et
    al. (2024, arXiv 2406.01462). For a radius that is an average over prompts of law rho, a prompt x has the radius e / rho(x).
    """
    p, e = np.broadcast_arrays(np.asarray(reference, dtype=np.float64), np.asarray(radius, dtype=np.float64))
    if not ((p >= 0) & (p <= 1)).all() or not (e >= 0).all():
        raise InputError("local coverage needs probabilities in [0, 1] and a radius of at least 0.")
    inside = (p > 0) & (p < 1)
    coin = np.where(inside, p, 0.5)
    # in the logarithm of the ratio: the root lies between 0 and ln(1/p), and the divergence grows along the way
    low, high = np.zeros(p.shape), -np.log(coin)
    whole = high <= e
    for _ in range(64):  # from an interval of at most ln(1/5e-324) = 745 to the spacing of float64
        middle = (low + high) / 2
        q = np.minimum(coin * np.exp(middle), 1.0)
        divergence = kl(np.stack((q, 1 - q), axis=-1), np.stack((coin, 1 - coin), axis=-1))
        low, high = np.where(divergence <= e, middle, low), np.where(divergence <= e, high, middle)
    ratio = np.where(whole, 1 / coin, np.exp(high))
    return np.where(inside, ratio, 1.0)[()]
