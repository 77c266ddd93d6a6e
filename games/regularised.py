r"""The equilibrium of a regularised preference game, and how far a policy is from it.

The *smoothed best response* to :math:`\pi` is :math:`b(\pi) \propto \mu \exp(A\pi/\beta)`, and the *exploitability*

.. math:: V_\beta(\pi) = \max_u \bigl[\langle u, A\pi\rangle - \beta\,\mathrm{KL}(u\|\mu)\bigr] + \beta\,\mathrm{KL}(\pi\|\mu)
          = \beta\,\mathrm{KL}(\pi\|b(\pi)) \ge 0

(the second equality because :math:`\langle \pi, A\pi\rangle = 0`); the duality gap of the pair (pi, pi) is twice that.

**Certificate.** For any policy let :math:`c = \beta\,\mathrm{span}(\ln \pi - \ln b(\pi))`, in units of the payoff. As
:math:`\mathrm{KL}(p\|q) \le \mathrm{span}(\ln p - \ln q)^2 / 8` (Hoeffding's lemma for the variable ln(p/q)), and as
:math:`\beta\,\mathrm{KL}(\pi\|\pi^\star) \le V_\beta(\pi)` (play the equilibrium against pi),

.. math:: V_\beta(\pi) \le \frac{c^2}{8\beta}, \qquad \mathrm{KL}(\pi\|\pi^\star) \le \frac{c^2}{8\beta^2}, \qquad
          \|\pi - \pi^\star\|_1 \le \frac{c}{2\beta}, \qquad
          \mathrm{span}(\ln\pi - \ln\pi^\star) \le \frac{c}{\beta} + \frac{c}{2\beta^2},

the last because :math:`\ln \pi - \ln \pi^\star` is :math:`\ln\pi - \ln b(\pi)` plus :math:`A(\pi - \pi^\star)/\beta`, and the
span of :math:`A x` is at most :math:`\|x\|_1`.

What is out of its stated range raises :class:`~theory.errors.InputError`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import lapack

from games.mirror_prox import nash_mirror_prox
from games.newton import damped_newton, follow_temperature
from games.oracle import Oracle, exact_oracle
from games.preference import PreferenceGame
from games.prox import normalise
from theory.divergences import kl, span
from theory.errors import InputError
from theory.tilts import require_temperature

if TYPE_CHECKING:
    from games.factored import LowRankGame

Array = NDArray[np.float64]

EPS = float(np.finfo(float).eps)
# Newton factorises a K x K matrix in each of about seven steps, mirror prox multiplies by one about 70 / ln(1 + 2 beta) times.
# A factorisation costs about K / 5 products (of a matrix that no cache holds): Newton is the faster up to K ln(1 + 2 beta) = 250.
DIRECT = 250
SMALL = 300  # up to this many actions Newton takes some hundredths of a second at any beta
STRETCH = 50  # iterations of mirror prox between two looks at the certificate


def smoothed_best_response(game: PreferenceGame, beta: float, log_policy: ArrayLike) -> Array:
    """The policy proportional to ``reference * exp(A pi / beta)``; log-probabilities, shapes (..., K), ``beta`` > 0."""
    values = np.asarray(log_policy, dtype=float)
    return normalise(game.log_reference + np.exp(values) @ game.A.T / require_temperature(beta))


def exploitability(game: PreferenceGame, beta: float, log_policy: ArrayLike) -> Array:
    """What the best opponent of a policy gains, shape (...) for log-probabilities of shape (..., K); at least 0.

    Computed as ``beta KL(pi || b(pi))``, which keeps its relative accuracy near the equilibrium; for ``beta`` = 0 it is the
    largest entry of ``A pi``.
    """
    if require_temperature(beta, zero=True) == 0:
        return np.asarray((np.exp(np.asarray(log_policy, dtype=float)) @ game.A.T).max(axis=-1))[()]
    return beta * kl(log_policy, smoothed_best_response(game, beta, log_policy), log=True)


@dataclass(frozen=True, eq=False)
class RegularisedNash:
    """A policy that is nearly the equilibrium, and how nearly.

    ``log_policy``, shape (K,); ``certificate`` is the number c of the module's docstring, an upper bound that includes the
    rounding of its evaluation; ``steps`` counts Newton steps (or iterations of mirror prox).
    """

    game: PreferenceGame | LowRankGame
    beta: float
    log_policy: Array
    certificate: float
    method: str
    steps: int

    @property
    def policy(self) -> Array:
        """The probabilities, shape (K,)."""
        return np.exp(self.log_policy)

    @property
    def exploitability_bound(self) -> float:
        """An upper bound on the policy's exploitability."""
        return self.certificate**2 / (8 * self.beta)

    @property
    def distance_bound(self) -> float:
        """An upper bound on the l1 distance from the equilibrium."""
        return self.certificate / (2 * self.beta)

    @property
    def span_bound(self) -> float:
        """An upper bound on the span of the error of the log-probabilities."""
        return self.certificate / self.beta + self.certificate / (2 * self.beta**2)

    def divergence_error(self, log_policy: ArrayLike) -> Array:
        r"""How wrong KL(equilibrium || q) and KL(q || equilibrium) can be when ``log_policy`` of this result stands for the
        equilibrium, and q, shape (..., K), was computed in float64.

        With :math:`\hat\pi` this policy, :math:`\mathrm{KL}(\pi^\star\|q) - \mathrm{KL}(\hat\pi\|q) =
        \langle \pi^\star - \hat\pi, \ln\pi^\star - \ln q\rangle - \mathrm{KL}(\hat\pi\|\pi^\star)`, and likewise
        :math:`\mathrm{KL}(q\|\pi^\star) - \mathrm{KL}(q\|\hat\pi) = \langle q - \hat\pi, \ln\hat\pi - \ln\pi^\star\rangle +
        \mathrm{KL}(\hat\pi\|\pi^\star)`; an inner product of a zero-sum vector with another is at most half the l1 norm of the
        first times the span of the second. Rounding adds a relative error of probabilities to either.
        """
        q = np.asarray(log_policy, dtype=float)
        ratio = span(q - self.log_policy)
        distance = np.abs(np.exp(q) - self.policy).sum(axis=-1)
        # a proximal step rounds numbers of the size of the log-probabilities about four times
        rounding = 8 * EPS * (1 + max(float(np.abs(q).max()), float(np.abs(self.log_policy).max())))
        of_star = self.distance_bound / 2 * (ratio + self.span_bound) + distance / 2 * self.span_bound
        return of_star + rounding * (ratio + distance) + self.certificate**2 / (8 * self.beta**2)


def certificate(game: PreferenceGame, beta: float, log_policy: ArrayLike) -> float:
    """``beta * span(log pi - log mu - A pi / beta)`` with an upper bound on the rounding of its evaluation, for one policy."""
    policy = np.asarray(log_policy, dtype=float)
    residual = policy - game.log_reference - game.A @ np.exp(policy) / beta
    size = max(float(np.abs(policy).max()), float(np.abs(game.log_reference).max()))
    return float(beta * span(residual)) + EPS * ((game.actions + 4) / 2 + 4 * beta * size)


def solve_regularised(
    game: PreferenceGame, beta: float, *, method: Literal["auto", "newton", "mirror-prox"] = "auto"
) -> RegularisedNash:
    r"""The equilibrium of the game regularised at ``beta`` > 0, to the accuracy of float64.

    Newton's method in logits e, with :math:`\pi = \mathrm{softmax}(\ln\mu + e)`, on :math:`G(e) = e - A\pi/\beta`. Its Jacobian
    :math:`I - A(\mathrm{diag}\,\pi - \pi\pi^\top)/\beta` is never singular: the product of a skew and a positive semidefinite
    matrix has imaginary eigenvalues. Steps are halved until the span of G falls; where that fails, the equilibrium is followed
    from a large beta downwards. Games with K > 300 and K ln(1 + 2 beta) > 250 are solved by running Nash mirror prox until it
    stagnates (linear convergence, no factorisation).
    """
    temperature = require_temperature(beta)
    if method not in ("auto", "newton", "mirror-prox"):
        raise InputError(f"the method is 'auto', 'newton' or 'mirror-prox', not {method!r}.")
    iterative = game.actions > SMALL and game.actions * np.log1p(2 * temperature) > DIRECT
    if method == "mirror-prox" or (method == "auto" and iterative):
        policy, _, steps = run_to_stagnation(exact_oracle(game), temperature, functools.partial(certificate, game))
        used = "mirror-prox"
    else:
        logits, steps = follow_temperature(functools.partial(_newton, game), temperature, 1.0, game.actions)
        policy = normalise(game.log_reference + logits)
        used = "newton"
    return RegularisedNash(game, temperature, policy, certificate(game, temperature, policy), used, steps)


def _newton(game: PreferenceGame, beta: float, start: Array) -> tuple[Array, bool, int]:
    """Newton's method from the logits ``start``; says whether it converged, and in how many steps."""

    def residual(logits: Array) -> tuple[Array, float, tuple[Array, Array]]:
        p = np.exp(normalise(game.log_reference + logits))
        gains = game.A @ p
        g = logits - gains / beta
        return g, float(g.max() - g.min()), (p, gains)

    def direction(state: tuple[Array, Array], g: Array) -> Array | None:
        p, gains = state
        # the transpose of the Jacobian, as A^T = -A; LAPACK reads it by columns and factorises it where it stands
        transposed = game.A + gains
        transposed *= (p / beta)[:, None]
        transposed[np.diag_indices_from(transposed)] += 1.0
        *_, step, singular = lapack.dgesv(transposed.T, g, overwrite_a=1)
        return None if singular else np.asarray(step)

    return damped_newton(residual, direction, start, 1e-13 * max(1.0, 1 / beta))


def run_to_stagnation(oracle: Oracle, beta: float, certified: Callable[[float, Array], float]) -> tuple[Array, float, int]:
    """Nash mirror prox from the reference until its certificate, ``certified(beta, log_policy)``, falls no further.

    Returns the policy with the least certificate that was met, in log-probabilities, that certificate, and the iterations made.
    """
    policy = best = oracle.log_reference
    least, steps, idle = certified(beta, best), 0, 0
    # the span shrinks like (1 + 2 beta)^(-k/2) at worst: ten idle stretches of that length mean that rounding has the word
    patience = int(np.ceil(4 / np.log1p(2 * beta) / STRETCH))
    while idle <= patience:
        policy = nash_mirror_prox(oracle, beta, STRETCH, start=policy, every=STRETCH).log_policies[-1]
        steps += STRETCH
        now = certified(beta, policy)
        idle = 0 if now < 0.99 * least else idle + 1
        if now < least:
            best, least = policy, now
    return best, least, steps
