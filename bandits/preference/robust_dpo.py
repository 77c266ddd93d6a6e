r"""DPO from labels that are flipped now and then: log-linear policies, their fits, and how large the error of a fit is.

A log-linear policy is :math:`\pi_\theta(y|x) \propto \mu(y|x)\, e^{\langle\theta, \phi(x, y)\rangle}`; its implicit reward is
:math:`\beta\langle\theta, \phi\rangle` up to a constant. A pair of responses with :math:`z = \phi(y) - \phi(y')` gets the clean label
"y is better" with the probability :math:`p = \sigma(\beta\langle\theta^\star, z\rangle)`, which is flipped with the probability
:math:`\epsilon`: the label seen is "y" with :math:`q = (1 - \epsilon)p + \epsilon(1 - p)`.

Robust DPO minimises the mean of :math:`\ell_\epsilon(\beta\langle\theta, z\rangle)`, whose mean over the flip is the logistic loss
:math:`\ell`. As :math:`\ell_\epsilon(h) = \ell(h) - \frac{\epsilon}{1 - 2\epsilon} h`, it is convex but may fall without end: along u it
changes at the rate

.. math:: \frac{\beta}{1 - 2\epsilon}\, \mathrm{mean}\bigl[(1 - \epsilon)\langle u, z\rangle_- - \epsilon \langle u, z\rangle_+\bigr]

in the end, z pointing from the loser to the winner. There is a minimiser exactly when in every direction the labels against it hold more than
the share :math:`\epsilon` of all margins.

Chowdhury, Kini and Natarajan (2024), arXiv 2403.00409.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, log_softmax

from bandits.preference.comparisons import independent_pairs
from bandits.preference.kl_bandit import KLBandit
from bandits.preference.log_linear import LogLinearFit, fit_log_linear
from theory.claims.families import family
from theory.errors import InputError
from theory.links import flipped
from theory.pair_losses import PairLoss, robust
from theory.tilts import log_tilt, require_temperature

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
SECANT_STEPS = 100
ROUNDING = 1e-12  # relative, of a rate of recession: below it a tie and a fall are not told apart
SMALLEST_SHARE = 1e-9  # of the multiplier that holds theta at 0: a fit that needs less than this lies inside the ball


@dataclass(frozen=True, eq=False)
class LogLinearBandit:
    """X prompts of equal weight, K responses each, features of dimension d, and the parameter of the true reward.

    ``features`` (X, K, d) and ``theta`` (d,): finite; the reward is beta <theta, phi>. ``beta`` > 0. ``log_reference`` (X, K):
    log-probabilities of the reference, uniform if not given. The two responses of a pair are drawn from the reference,
    independently given that they differ. ``key`` is the call that rebuilds the instance.
    """

    features: Array
    theta: Array
    beta: float = 1.0
    log_reference: Array = None  # type: ignore[assignment]  # __post_init__ fills it in
    key: str | None = None

    def __post_init__(self) -> None:
        features, theta = np.array(self.features, dtype=float), np.array(self.theta, dtype=float)
        if features.ndim != 3 or features.shape[1] < 2 or features.shape[0] == 0 or theta.shape != features.shape[2:]:
            raise InputError(
                f"features (X, K, d) with K >= 2 and a parameter (d,) are needed, not {features.shape} and {theta.shape}."
            )
        if not (np.isfinite(features).all() and np.isfinite(theta).all()):
            raise InputError("the features and the parameter of a log-linear bandit are finite.")
        require_temperature(self.beta)
        X, K = features.shape[:2]
        reference = np.full((X, K), -np.log(K)) if self.log_reference is None else np.array(self.log_reference, dtype=float)
        for array, name in ((features, "features"), (theta, "theta"), (reference, "log_reference")):
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        _ = self.kl_bandit  # refuses a reference that is none

    @property
    def dimension(self) -> int:
        """The number of features d."""
        return self.theta.size

    @property
    def kl_bandit(self) -> KLBandit:
        """The bandit with the rewards beta <theta, phi>, whose optimum is the log-linear policy of theta."""
        return KLBandit(self.beta * self.features @ self.theta, self.log_reference, self.beta)

    @property
    def differences(self) -> Array:
        """z = phi(i) - phi(j) of every pair i < j of every prompt, shape (m, d) with m = X K (K-1)/2."""
        first, second = np.triu_indices(self.features.shape[1], 1)
        return (self.features[:, first] - self.features[:, second]).reshape(-1, self.dimension)

    @property
    def pair_law(self) -> Array:
        """The probabilities (m,) of those pairs."""
        X, K = self.log_reference.shape
        first, second = np.triu_indices(K, 1)
        law = independent_pairs(np.exp(self.log_reference), distinct=True)
        return 2 / X * law[:, first, second].reshape(-1)

    def log_policy(self, theta: ArrayLike) -> Array:
        """The log-probabilities of the log-linear policies of ``theta`` (..., d), shape (..., X, K)."""
        return log_tilt(self.log_reference, np.einsum("xkd,...d->...xk", self.features, np.asarray(theta, dtype=float)), 1.0)

    def __repr__(self) -> str:
        return f"LogLinearBandit({self.key or self.features.shape})"


@family(X=1, K=2, d=1)
def random_log_linear(
    X: int = 20, K: int = 8, d: int = 5, norm: float = 1.5, beta: float = 1.0, concentration: float = np.inf, seed: int = 0
) -> LogLinearBandit:
    """Normal features of mean square 1/d, a parameter of random direction and length ``norm``.

    The reference is drawn from Dirichlet(``concentration``) for each prompt, and uniform for infinity.
    """
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((X, K, d)) / np.sqrt(d)
    theta = rng.standard_normal(d)
    law = np.full((X, K), 1 / K) if np.isinf(concentration) else rng.dirichlet(np.full(K, concentration), size=X)
    law = np.maximum(law, 1e-12)
    law /= law.sum(axis=1, keepdims=True)
    return LogLinearBandit(features, norm * theta / np.linalg.norm(theta), beta, np.log(law))


@family(d=1)
def separate_pairs(d: int = 1, margin: float = 1.0, beta: float = 1.0) -> LogLinearBandit:
    """d prompts with two responses each, and a feature for each prompt that only its first response has; theta = ``margin``.

    The prompts do not help one another: the fit is one log-odds for each of them.
    """
    features = np.zeros((d, 2, d))
    features[np.arange(d), 0, np.arange(d)] = 1.0
    return LogLinearBandit(features, np.full(d, float(margin)), beta)


def label_law(bandit: LogLinearBandit, flip: float) -> Array:
    """How probable it is that each of the m pairs is drawn and its first (second) response preferred, shape (2, m)."""
    wins = flipped(expit(bandit.beta * bandit.differences @ bandit.theta), flip)
    return bandit.pair_law * np.stack((wins, 1 - wins))


def sample_labels(bandit: LogLinearBandit, n: int, flip: float, rng: np.random.Generator, runs: int) -> Integers:
    """How often each pair and label occurs in n labelled pairs, shape (runs, 2, m), as in :func:`label_law`."""
    if n < 1 or runs < 1:
        raise InputError(f"at least one labelled pair and one run are needed, not {n} and {runs}.")
    law = label_law(bandit, flip)
    return np.asarray(rng.multinomial(n, law.ravel() / law.sum(), size=runs).reshape(runs, *law.shape), dtype=np.int64)


def fit_labels(bandit: LogLinearBandit, labels: ArrayLike, loss: PairLoss, *, ridge: ArrayLike = 0.0) -> LogLinearFit:
    """The theta (..., d) that minimise the mean ``loss`` of the margins beta <theta, z>, for labels (..., 2, m).

    ``labels``: counts (:func:`sample_labels`) or probabilities (:func:`label_law`), at least 0. ``ridge``, as in
    :func:`fit_log_linear`. Where there is no minimiser the fit has not converged.
    """
    return fit_log_linear(*_signed(bandit, labels), loss=loss, ridge=ridge)


@dataclass(frozen=True, eq=False)
class BallFit:
    """Minimisers ``theta`` (runs, d) of length at most B, and the multipliers (runs,) of that constraint: 0 inside the ball.

    ``residual`` (runs,): the largest entry of the gradient plus the multiplier times theta.
    """

    theta: Array
    multiplier: Array
    residual: Array


def fit_labels_in_ball(bandit: LogLinearBandit, labels: ArrayLike, loss: PairLoss, radius: float) -> BallFit:
    r"""The theta with :math:`\|\theta\| \le B` = ``radius`` that minimise the mean ``loss``, for labels (runs, 2, m).

    At the boundary they minimise the loss plus :math:`\frac{\lambda}{2}\|\theta\|^2` with the multiplier :math:`\lambda \ge 0` at which the
    length, which falls as the multiplier rises, is B. It is found by the method of false position (Illinois) on the inverse of the
    length, which is nearly linear, between :math:`\lambda = \|\nabla L(0)\|/B`, where the length is at most B, and a billionth of that.
    """
    if not 0 < radius < np.inf:
        raise InputError(f"the radius of the ball is positive and finite, not {radius}.")
    given = np.asarray(labels)
    if given.ndim != 3:
        raise InputError(f"labels of several runs have the shape (runs, 2, m), not {given.shape}.")
    z, w = _signed(bandit, given)
    size = np.linalg.norm((w * loss.slope(np.zeros_like(w))) @ z[0], axis=-1)
    high = np.maximum(size / radius, 1e-300)

    def shortness(multiplier: Array, rows: Integers) -> tuple[LogLinearFit, Array]:
        fit = fit_log_linear(z[rows], w[rows], loss=loss, ridge=multiplier)
        return fit, radius / np.maximum(np.linalg.norm(fit.theta, axis=-1), 1e-300) - 1

    # most of the fits that end at the boundary are told by a hundredth; small multipliers let theta run far away
    low = high / 100
    at_low = shortness(low, np.arange(len(w)))[1]
    maybe = np.flatnonzero(at_low >= 0)
    if maybe.size:
        low[maybe] = SMALLEST_SHARE * high[maybe]
        at_low[maybe] = shortness(low[maybe], maybe)[1]
    theta, multiplier, residual = np.zeros((len(w), bandit.dimension)), np.zeros(len(w)), np.zeros(len(w))
    inside = at_low >= 0
    if inside.any():
        free = fit_log_linear(z[inside], w[inside], loss=loss)
        theta[inside], residual[inside] = free.theta, free.residual
    rows = np.flatnonzero(~inside)
    if rows.size:
        a, b, fa = low[rows], high[rows], at_low[rows]
        fb = np.maximum(shortness(b, rows)[1], 0.0)
        moved = np.full(rows.size, 2)  # which end moved last: 1 the lower one, 0 the upper one
        for _ in range(SECANT_STEPS):
            middle = np.where(fb > fa, (a * fb - b * fa) / np.where(fb > fa, fb - fa, 1.0), b)
            fit, value = shortness(middle, rows)
            theta[rows], multiplier[rows], residual[rows] = fit.theta, middle, fit.residual
            longer = value < 0
            # an end that stays twice has its value halved, so that both ends move
            halved = np.where(moved == longer, 0.5, 1.0)
            fa, fb = np.where(longer, value, halved * fa), np.where(longer, halved * fb, value)
            a, b, moved = np.where(longer, middle, a), np.where(longer, b, middle), longer
            unsettled = (np.abs(value) > 1e-12) & (b - a > 1e-14 * b)
            if not unsettled.any():
                break
            rows, a, b, fa, fb, moved = (array[unsettled] for array in (rows, a, b, fa, fb, moved))
    return BallFit(theta, multiplier, residual)


@dataclass(frozen=True, eq=False)
class Recession:
    """How fast the robust loss falls in the end along the best ``direction`` (d,), whose largest entry is at most 1.

    ``rate``, at most 0, is the change of the mean loss per unit of the max norm of theta: below 0 the loss is unbounded below. At 0
    (up to rounding; the direction is 0 then) it has a minimiser unless the rate of some direction that changes a margin is exactly 0 too.
    """

    rate: float
    direction: Array


def recession(bandit: LogLinearBandit, labels: ArrayLike, flip: float) -> Recession:
    """The direction along which the mean robust loss of ``labels`` (2, m) falls fastest in the end, by a linear programme."""
    from scipy.optimize import linprog

    robust(flip)  # refuses a rate out of range
    z, w = _signed(bandit, np.asarray(labels)[None])
    z, w = z[0][w[0] > 0], w[0][w[0] > 0]
    d = bandit.dimension
    # minimise sum w t - eps/(1-2 eps) <u, sum w z> over t >= max(0, -<u, z>), |u_k| <= 1
    found = linprog(
        np.concatenate((-flip / (1 - 2 * flip) * (w @ z), w)),
        A_ub=np.hstack((-z, -np.eye(w.size))),
        b_ub=np.zeros(w.size),
        bounds=[(-1, 1)] * d + [(0, None)] * w.size,
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    direction = np.asarray(found.x[:d])
    along = z @ direction
    rate = float(w @ np.maximum(-along, 0.0) - flip / (1 - 2 * flip) * (w @ along))
    rounding = ROUNDING / (1 - 2 * flip) * float(w @ np.abs(along))
    return Recession(rate, direction) if rate < -rounding else Recession(0.0, np.zeros(d))


@dataclass(frozen=True, eq=False)
class Sandwich:
    r"""The limit law of :math:`\sqrt n(\hat\theta - \theta^\star)`: normal with the ``covariance`` :math:`H^{-1} S H^{-1}`.

    ``hessian`` H and ``score`` S, shape (d, d): the mean curvature of the loss at the truth, and the covariance of its gradient.
    ``second_moment``: the mean of z z^T.
    """

    hessian: Array
    score: Array
    covariance: Array
    second_moment: Array


def sandwich(bandit: LogLinearBandit, flip: float) -> Sandwich:
    r"""The limit law of the robust fit, :math:`H = \beta^2\,\mathbb{E}[p(1-p) z z^\top]` and
    :math:`S = \beta^2\,\mathbb{E}[q(1-q) z z^\top]/(1-2\epsilon)^2`.

    The two slopes that a pair can contribute differ by :math:`\beta z/(1 - 2\epsilon)`, and the one comes with the probability q.
    """
    robust(flip)  # refuses a rate out of range
    z, law = bandit.differences, bandit.pair_law
    p = expit(bandit.beta * z @ bandit.theta)
    q = flipped(p, flip)
    H = bandit.beta**2 * _moment(z, law * p * (1 - p))
    S = bandit.beta**2 / (1 - 2 * flip) ** 2 * _moment(z, law * q * (1 - q))
    inverse = np.linalg.inv(H)
    return Sandwich(H, S, inverse @ S @ inverse, _moment(z, law))


def fisher_information(bandit: LogLinearBandit) -> Array:
    """F = E_x Cov_pi(phi) at the truth, shape (d, d): KL of two nearby policies is half of <D, F D> for a change D of theta."""
    p = np.exp(log_softmax(bandit.log_reference + bandit.features @ bandit.theta, axis=-1))
    centred = bandit.features - np.einsum("xk,xkd->xd", p, bandit.features)[:, None]
    return _moment(centred.reshape(-1, bandit.dimension), p.ravel() / p.shape[0])


def empirical_second_moment(bandit: LogLinearBandit, labels: ArrayLike) -> Array:
    """The mean of z z^T over the pairs that were drawn, shape (..., d, d), for labels (..., 2, m)."""
    seen = np.asarray(labels, dtype=float).sum(axis=-2)
    z = bandit.differences
    outer = (z[:, :, None] * z[:, None, :]).reshape(len(z), -1)
    return (seen / seen.sum(axis=-1, keepdims=True) @ outer).reshape(*seen.shape[:-1], bandit.dimension, bandit.dimension)


def _moment(z: Array, law: Array) -> Array:
    return np.asarray((z * law[:, None]).T @ z)


def _signed(bandit: LogLinearBandit, labels: ArrayLike) -> tuple[Array, Array]:
    """beta z from the loser to the winner for both labels of each pair, broadcast to (..., 2m, d), and weights (..., 2m)."""
    counts = np.asarray(labels, dtype=float)
    z = bandit.beta * bandit.differences
    if counts.ndim < 2 or counts.shape[-2:] != (2, len(z)):
        raise InputError(f"labels of {len(z)} pairs have the shape (..., 2, {len(z)}), not {counts.shape}.")
    if not ((counts >= 0) & np.isfinite(counts)).all() or not (counts.sum(axis=(-2, -1)) > 0).all():
        raise InputError("counts of labels are finite and at least 0, and some label is there.")
    flat = counts.reshape(*counts.shape[:-2], -1)
    both = np.concatenate((z, -z))
    return np.broadcast_to(both, (*flat.shape, bandit.dimension)), flat / flat.sum(axis=-1, keepdims=True)
