r"""HyPO, hybrid preference optimisation: a preference loss on offline pairs, and the KL divergence from the reference on policy.

For labelled pairs with weights :math:`w_{ij}` (how often i was preferred to j), and policies :math:`\pi_\theta \propto
\mu\, e^{\langle\theta, \phi\rangle/\beta}`, HyPO minimises

.. math:: F(\theta) = \sum_{ij} w_{ij}\, \ell(\langle\theta, \phi_i - \phi_j\rangle) + \lambda\, \mathrm{KL}(\pi_\theta \| \mu),

Song, Swamy, Singh, Bagnell and Sun (2024), arXiv 2406.01462. The first term is the loss of DPO, and pairs are all that it
knows. The second is an expectation under the policy itself: an algorithm for language models estimates it from the policy's own
samples, here it is computed exactly. It sees where the policy has gone and no pair is.

F is not convex: the divergence flattens out as the policy concentrates. With a large :math:`\lambda` and a saturated loss it can
have two local minima, one near the reference and one near the minimiser of the loss.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax, logsumexp

from theory.divergences import NORMALISATION
from theory.errors import InputError
from theory.pair_losses import PairLoss, logistic
from theory.tilts import require_temperature

Array = NDArray[np.float64]
NEWTON_STEPS = 200
HALVINGS = 40
SETTLED, SMALL = 1e-11, 1e-7  # of a Newton step, in the logarithms of probabilities
DEFINITE = 1e-10  # the least eigenvalue of a Hessian, scaled to the diagonal 1, that counts as positive
HEAD_START = 1e-3  # the share of the coefficient from whose minimiser the second search sets out


@dataclass(frozen=True, eq=False)
class Hypo:
    """A minimiser ``theta`` (..., d) and its policy ``log_policy`` (..., K).

    ``loss`` and ``divergence`` (...) are the two terms of the objective, the divergence without its coefficient. ``residual``
    (...) is the largest entry of the gradient; ``converged`` (...) is false where Newton's method did not come to rest.
    """

    theta: Array
    log_policy: Array
    loss: Array
    divergence: Array
    residual: Array
    converged: NDArray[np.bool_]


def minimise_hypo(
    log_reference: ArrayLike,
    weights: ArrayLike,
    beta: float,
    coefficient: float,
    *,
    features: ArrayLike | None = None,
    loss: PairLoss | None = None,
) -> Hypo:
    r"""The minimiser of the module's objective, for one data set or several at once.

    ``log_reference`` (..., K): log-probabilities; a policy leaves its support for no coefficient, so that weights must stay
    inside it (with several data sets the support is everything). ``weights`` (..., K, K), at least 0: a population law or
    counts, divided here by their sum. ``coefficient`` is :math:`\lambda > 0`. ``features`` (..., K, d): rewards are linear in
    them; without, every response has a reward of its own (tabular), the most likely one's being 0. ``loss``: the logistic loss
    unless another smooth one is given.

    Newton's method with backtracking; where the Hessian is not positive definite, the Fisher information takes the place of the
    divergence's own. Coordinates are scaled by the diagonal, so that responses of probability 1e-60 find their place as fast as
    others. It sets out from the reference, and again from the minimiser for a thousandth of the coefficient; the better end is
    returned. That finds the global minimum wherever there are no more than these two.
    """
    reference, w = np.asarray(log_reference, dtype=float), np.asarray(weights, dtype=float)
    strength = float(coefficient)
    if not 0 < strength < np.inf:
        raise InputError(f"the coefficient of the divergence is positive and finite, not {coefficient}.")
    K = reference.shape[-1] if reference.ndim else 0
    if K == 0 or w.ndim < 2 or w.shape[-2:] != (K, K):
        raise InputError(f"a reference (..., K) and weights (..., K, K) are needed, not {reference.shape} and {w.shape}.")
    if not (np.abs(logsumexp(reference, axis=-1)) <= NORMALISATION).all():
        raise InputError("the probabilities of the reference do not sum to 1.")
    if not ((w >= 0) & np.isfinite(w)).all() or not (w.sum(axis=(-2, -1)) > 0).all():
        raise InputError("the weights of pairs are finite and at least 0, and some are positive.")
    inside = np.isfinite(reference)
    if not inside.all():
        if reference.ndim > 1:
            raise InputError("the references of several data sets are positive everywhere.")
        if w[..., ~inside, :].any() or w[..., :, ~inside].any():
            raise InputError("a pair has a weight, and one of its responses the probability 0 under the reference.")
    support = np.flatnonzero(inside.reshape(-1, K).all(axis=0))
    reference, w = reference[..., support], w[..., support[:, None], support]
    if features is None:
        if reference.ndim > 1:
            raise InputError("several references need features.")
        phi = np.delete(np.eye(support.size), int(np.argmax(reference)), axis=1)
    else:
        phi = np.asarray(features, dtype=float)
        if phi.ndim < 2 or phi.shape[-2] != K or phi.shape[-1] == 0 or not np.isfinite(phi).all():
            raise InputError(f"features are finite and have the shape ({K}, d) here, not {phi.shape}.")
        phi = phi[..., support, :]
    batch = np.broadcast_shapes(reference.shape[:-1], w.shape[:-2], phi.shape[:-2])
    objective = _Objective(reference, w, require_temperature(beta), phi, logistic() if loss is None else loss, batch)
    start = np.zeros((*batch, phi.shape[-1]))
    near = objective.minimise(start, strength)
    far = objective.minimise(objective.minimise(start, HEAD_START * strength)[0], strength)
    better = objective.value(far[0], strength) < objective.value(near[0], strength)
    theta = np.where(better[..., None], far[0], near[0])
    converged = np.where(better, far[1], near[1])
    policy = np.full((*batch, K), -np.inf)
    policy[..., support] = objective.log_policy(theta)
    data, divergence = objective.terms(theta)
    residual = np.abs(objective.derivatives(theta, strength)[0]).max(axis=-1, initial=0.0)
    return Hypo(theta, policy, data[()], divergence[()], residual[()], converged[()])


class _Objective:
    """F and its derivatives, for a batch of data sets."""

    def __init__(self, reference: Array, w: Array, beta: float, phi: Array, loss: PairLoss, batch: tuple[int, ...]):
        used = (w > 0).reshape(-1, *w.shape[-2:]).any(axis=0) & ~np.eye(w.shape[-1], dtype=bool)
        i, j = np.nonzero(used)
        total = w.sum(axis=(-2, -1))[..., None]
        self.reference, self.phi, self.beta, self.loss, self.batch = reference, phi, beta, loss, batch
        self.w = w[..., i, j] / total
        self.z = phi[..., i, :] - phi[..., j, :]
        # a response that meets itself costs the same at every policy
        self.ties = np.trace(w, axis1=-2, axis2=-1) / total[..., 0] * loss.value(np.zeros(1))[0]

    def log_ratio(self, theta: Array) -> Array:
        """ln (pi / mu) up to a constant, shape (..., K)."""
        return np.asarray((self.phi @ theta[..., None])[..., 0] / self.beta)

    def log_policy(self, theta: Array) -> Array:
        return np.asarray(log_softmax(self.reference + self.log_ratio(theta), axis=-1))

    def terms(self, theta: Array) -> tuple[Array, Array]:
        """The loss on the pairs, and the divergence."""
        u = self.log_ratio(theta)
        h = (self.z @ theta[..., None])[..., 0]
        data = (self.w * self.loss.value(h)).sum(axis=-1) + self.ties
        normaliser = logsumexp(self.reference + u, axis=-1)
        divergence = (np.exp(self.reference + u - normaliser[..., None]) * (u - normaliser[..., None])).sum(axis=-1)
        return np.broadcast_to(data, self.batch), np.broadcast_to(np.maximum(divergence, 0.0), self.batch)

    def value(self, theta: Array, strength: float) -> Array:
        data, divergence = self.terms(theta)
        return np.asarray(data + strength * divergence)

    def derivatives(self, theta: Array, strength: float) -> tuple[Array, Array, Array]:
        """Gradient (..., d), Hessian (..., d, d), and the Hessian with the Fisher information for the divergence's part."""
        u, h = self.log_ratio(theta), (self.z @ theta[..., None])[..., 0]
        policy = np.exp(self.log_policy(theta))
        centred = u - (policy * u).sum(axis=-1, keepdims=True)
        turned, z = np.swapaxes(self.phi, -1, -2), np.swapaxes(self.z, -1, -2)
        # with u = log-ratios: d KL / du_i = p_i (u_i - m), m = <p, u>, and
        # d2 KL / du_i du_j = [i = j] p_i (1 + u_i - m) - p_i p_j (1 + u_i - m + u_j - m); without u - m, the Fisher information
        slope = policy * centred
        moment, mean = (turned @ slope[..., None])[..., 0], (turned @ policy[..., None])[..., 0]
        gradient = (z @ (self.w * self.loss.slope(h))[..., None])[..., 0] + strength / self.beta * moment
        data = (z * (self.w * self.loss.curvature(h))[..., None, :]) @ self.z
        fisher = (turned * policy[..., None, :]) @ self.phi - mean[..., :, None] * mean[..., None, :]
        cross = mean[..., :, None] * moment[..., None, :]
        bent = (turned * slope[..., None, :]) @ self.phi - cross - np.swapaxes(cross, -1, -2)
        scale, square = strength / self.beta**2, (*theta.shape, theta.shape[-1])
        hessian = np.broadcast_to(data + scale * (fisher + bent), square)
        return np.broadcast_to(gradient, theta.shape), hessian, np.broadcast_to(data + scale * fisher, square)

    def direction(self, theta: Array, strength: float) -> tuple[Array, Array]:
        """The gradient, and Newton's direction of descent."""
        gradient, hessian, fisher = self.derivatives(theta, strength)
        exact, _ = _scaled(hessian)
        convex = np.linalg.eigvalsh(exact).min(axis=-1) > DEFINITE
        matrix, size = _scaled(np.where(convex[..., None, None], hessian, fisher))
        # a solve, not an eigenbasis: it keeps apart coordinates of very different size
        solved = np.linalg.solve(matrix + 1e-14 * np.eye(theta.shape[-1]), (gradient / size)[..., None])[..., 0]
        return gradient, -solved / size

    def minimise(self, start: Array, strength: float) -> tuple[Array, NDArray[np.bool_]]:
        """A local minimum, and where Newton's method came to rest."""
        theta = start
        settled = np.zeros(self.batch, dtype=bool)
        smallest = np.full(self.batch, np.inf)
        now = self.value(theta, strength)
        for _ in range(NEWTON_STEPS if theta.shape[-1] else 0):
            gradient, direction = self.direction(theta, strength)
            change = np.abs(self.log_ratio(direction)).max(axis=-1)
            # no longer step than what changes log-probabilities by 5: the quadratic model means nothing beyond
            step = np.minimum(1.0, 5.0 / np.maximum(change, 1e-300))
            promised = -(gradient * direction).sum(axis=-1)
            seen = promised > 1e-13 * (1 + np.abs(now))  # below that, F cannot tell a better point from a worse one
            for _ in range(HALVINGS):
                moved = theta + np.where(settled, 0.0, step)[..., None] * direction
                then = self.value(moved, strength)
                short = seen & ~settled & ~(then <= now - 1e-4 * step * promised)
                if not short.any():
                    break
                step = np.where(short, step / 2, step)
            theta, now = moved, then
            # a step that is tiny, or small and no longer shrinking: rounding has the word
            settled = settled | (change <= SETTLED) | ((change <= SMALL) & (change >= smallest))
            smallest = np.minimum(smallest, change)
            if settled.all():
                break
        return theta, settled if theta.shape[-1] else np.ones(self.batch, dtype=bool)


def _scaled(matrix: Array) -> tuple[Array, Array]:
    """A symmetric matrix (..., d, d) scaled to a diagonal of 1 and -1, and the scale of each coordinate."""
    size = np.sqrt(np.maximum(np.abs(np.diagonal(matrix, axis1=-2, axis2=-1)), 1e-300))
    return matrix / size[..., :, None] / size[..., None, :], size
