r"""Reinforced token optimisation: what rewards for tokens are good for (Zhong et al. 2024, arXiv 2404.18922).

**Additive rewards.** :func:`additive_features` describes responses whose tokens earn :math:`r_t(a)`, whatever came before.

**Pessimism.** Rewards of responses are :math:`\langle\theta, \phi(y)\rangle`, and the estimate is known to satisfy
:math:`\|\hat\theta - \theta\|_S \le w`. For a centre :math:`\nu` of features the pessimistic value of a policy is

.. math:: \mathbb{E}_\pi \langle\phi, \hat\theta\rangle - w \|\mathbb{E}_\pi \phi - \nu\|_{S^{-1}} - \beta\,\mathrm{KL}(\pi\|\mu)
          = \min_{\|v\|_S \le w} \mathbb{E}_\pi \langle\phi, \hat\theta - v\rangle + \langle\nu, v\rangle - \beta\,\mathrm{KL}(\pi\|\mu).

Maximum and minimum may be exchanged. So its maximiser is the soft-optimal policy for the rewards
:math:`\langle\phi, \hat\theta - v\rangle` where v minimises the dual
:math:`\beta \ln Z(\hat\theta - v) + \langle\nu, v\rangle`, a convex function, over the ellipsoid.

**Search for a hidden response.** One of the A^H responses is right. A query is told how many of its leading blocks of tokens
are right: with blocks of one token that is feedback on tokens, with a single block of H tokens feedback on sentences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from mdplab.models.token_tree import Levels, TokenTree
from mdplab.solvers.token_tree import leaf_log_probabilities, token_policy
from theory.errors import InputError
from theory.tilts import log_partition, log_tilt, require_temperature

Array = NDArray[np.float64]
Block = tuple[int, ...]
NEWTON_STEPS = 500
SMALLEST_MULTIPLIER = 1e-12  # relative to the largest possible one: below it the constraint does not bind


@dataclass(frozen=True, eq=False)
class PessimisticPolicy:
    """The policy with the largest pessimistic value.

    ``log_policy[t]`` (A^t, A); ``shift`` (d,): the v of the dual. ``value``: its pessimistic value, which is within ``gap`` of
    the largest (the duality gap).
    """

    log_policy: Levels
    shift: Array
    value: float
    gap: float


def additive_features(tokens: int, horizon: int) -> Array:
    """Indicators of token a at step t, shape (A^H, H (A - 1)): token 0 has none, as its reward is 0 in every step."""
    if tokens < 2 or horizon < 1:
        raise InputError(f"additive rewards need at least two tokens and one step, not {tokens} and {horizon}.")
    written = np.stack(np.unravel_index(np.arange(tokens**horizon), (tokens,) * horizon), axis=1)
    return np.asarray(written[:, :, None] == np.arange(1, tokens), dtype=float).reshape(tokens**horizon, -1)


def pessimistic_policy(
    tree: TokenTree, features: ArrayLike, estimate: ArrayLike, metric: ArrayLike, width: float, beta: float, centre: ArrayLike
) -> PessimisticPolicy:
    """The maximiser of the pessimistic value (the module's docstring) over the policies of the tree, whose rewards are not
    used.

    ``features`` (A^H, d) phi of each response; ``estimate`` (d,); ``metric`` (d, d) S, symmetric and positive definite;
    ``width`` w >= 0; ``beta`` > 0; ``centre`` (d,) nu.

    With a multiplier m >= 0 of the constraint, the dual's minimiser solves grad + m S v = 0. It is found by Newton's method for
    each m, and m so that v lies on the ellipsoid, unless the unconstrained minimiser lies inside.
    """
    phi, theta, S, nu = (np.asarray(x, dtype=float) for x in (features, estimate, metric, centre))
    d, scale = theta.size, require_temperature(beta)
    if phi.shape != (tree.leaves, d) or theta.shape != (d,) or S.shape != (d, d) or nu.shape != (d,):
        raise InputError(
            f"features ({tree.leaves}, d), an estimate (d,), a metric (d, d) and a centre (d,) are needed, not {phi.shape}, "
            f"{theta.shape}, {S.shape} and {nu.shape}."
        )
    if not all(np.isfinite(x).all() for x in (phi, theta, S, nu)):
        raise InputError("features, estimate, metric and centre are finite.")
    if not 0 <= width < np.inf:
        raise InputError(f"the width of a confidence set is at least 0 and finite, not {width}.")
    if not np.allclose(S, S.T, rtol=1e-12, atol=0.0) or np.linalg.eigvalsh(S)[0] <= 0:
        raise InputError("the metric of a confidence set is symmetric and positive definite.")
    root = np.linalg.cholesky(S)  # v = root^-T x has the S-norm |x|
    log_reference = leaf_log_probabilities(tree.log_reference)
    dual = _Dual(np.linalg.solve(root, (phi - nu).T).T, (phi - nu) @ theta, log_reference, scale)
    x = dual.minimise(float(width))
    shift = np.asarray(np.linalg.solve(root.T, x), dtype=float)
    log_law, mean = dual.law(x)
    gap = float(width * np.linalg.norm(mean) - x @ mean)
    largest = float(log_partition(log_reference, dual.base - dual.plain @ x, scale)) + float(nu @ theta)
    return PessimisticPolicy(token_policy(log_law, tree.tokens), shift, largest - gap, max(gap, 0.0))


@dataclass(frozen=True, eq=False)
class _Dual:
    """beta ln sum_y mu(y) exp((base - plain x) / beta), to be minimised over the ball |x| <= w."""

    plain: Array
    base: Array
    log_reference: Array
    beta: float

    def law(self, x: Array) -> tuple[Array, Array]:
        """The tilt at x, as log-probabilities, and its mean of ``plain``, which is minus the gradient."""
        logs = log_tilt(self.log_reference, self.base - self.plain @ x, self.beta)
        return logs, np.exp(logs) @ self.plain

    def minimise(self, width: float) -> Array:
        steepest = float(np.linalg.norm(self.plain, axis=1).max())
        x = np.zeros(self.plain.shape[1])
        if width == 0 or steepest == 0:
            return x
        # m x = -gradient: |x| < w for this multiplier; from there down, a path on which Newton's method starts well
        high = low = float(np.log(steepest / width)) + 1.0
        while low > high + np.log(SMALLEST_MULTIPLIER):
            before, low = low, low - 2.0
            x = self._penalised(np.exp(low), x)
            if np.linalg.norm(x) > width:
                break
        else:
            return x

        def excess(log_multiplier: float) -> float:
            nonlocal x
            x = self._penalised(np.exp(log_multiplier), x)
            return float(np.linalg.norm(x)) / width - 1

        if excess(before) < 0 < excess(low):  # unless rounding has |x| = w at both ends
            excess(brentq(excess, low, before, xtol=1e-13))
        return x * min(1.0, width / float(np.linalg.norm(x)))

    def _penalised(self, multiplier: float, x: Array) -> Array:
        """The minimiser of the dual plus multiplier |x|^2 / 2: Newton's method, halving steps that do not descend enough."""

        def weights(x: Array) -> tuple[float, Array]:
            exponents = self.log_reference + (self.base - self.plain @ x) / self.beta
            top = exponents.max()
            weights = np.exp(exponents - top)
            total = weights.sum()
            return float(self.beta * (top + np.log(total)) + multiplier * (x @ x) / 2), weights / total

        value, law = weights(x)
        for _ in range(NEWTON_STEPS):
            mean = law @ self.plain
            centred = self.plain - mean
            hessian = (centred.T * law) @ centred / self.beta + multiplier * np.eye(x.size)
            gradient = multiplier * x - mean
            direction = -np.linalg.solve(hessian, gradient)
            descent = float(gradient @ direction)
            if -descent <= 1e-15 * (1 + abs(value)):
                return x + direction  # so near that the value cannot tell
            step = 1.0
            while True:
                moved, moved_law = weights(x + step * direction)
                if moved <= value + step * descent / 4 or step < 1e-40:
                    break
                step /= 2
            x = x + step * direction
            value, law = moved, moved_law
        return x


def blocks_of(horizon: int, size: int) -> tuple[int, ...]:
    """The lengths of consecutive blocks of ``size`` tokens that make up ``horizon`` tokens; the last may be shorter."""
    if not 1 <= size <= horizon:
        raise InputError(f"blocks of a response of {horizon} tokens have between 1 and {horizon} tokens, not {size}.")
    return tuple(min(size, horizon - first) for first in range(0, horizon, size))


def search_queries(hidden: Sequence[Block], orders: Sequence[Sequence[Block]], *, whole: bool = False) -> int:
    """The queries until the response with the blocks ``hidden`` is found, the last one included.

    ``orders[k]`` lists the guesses for block k in the order of trying. Each query is told how many of its leading blocks are
    right. It consists of the blocks that are known and a guess for the next one; with ``whole`` it is a whole response, whose
    later blocks are the first guesses of theirs, so that a query which gets a block right may be right about more.
    """
    if len(hidden) != len(orders) or not all(block in order for block, order in zip(hidden, orders)):
        raise InputError("every block of the hidden response is among the guesses for it.")
    told = _feedback(hidden)
    known: list[Block] = []
    tried = [0] * len(orders)
    queries = 0
    while len(known) < len(orders):
        k = len(known)
        query = [*known, orders[k][tried[k]]]
        tried[k] += 1
        if whole:
            query += [order[0] for order in orders[k + 1 :]]
        right = told(query)
        queries += 1
        if whole and k < right < len(orders):
            tried[right] = 1  # the first wrong block has had its first guess
        known = query[: max(right, k)]
    return queries


def _feedback(hidden: Sequence[Block]) -> Callable[[Sequence[Block]], int]:
    def right(query: Sequence[Block]) -> int:
        return next((k for k, (guess, block) in enumerate(zip(query, hidden)) if guess != block), len(query))

    return right


def expected_queries(tokens: int, horizon: int, size: int, *, whole: bool = False) -> float:
    r"""The expected :func:`search_queries` for a uniform hidden response, blocks of ``size`` tokens and any orders without
    repetition.

    :math:`\sum_k (A^{b_k} + 1)/2` over the blocks of :math:`b_k` tokens, less the number of blocks but one for ``whole``
    responses.
    """
    blocks = blocks_of(horizon, size)
    return sum(tokens**b + 1 for b in blocks) / 2 - (len(blocks) - 1 if whole else 0)
