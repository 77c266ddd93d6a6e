r"""Rates of primal-dual methods for a constrained MDP, max J_r subject to J_c <= d, from exact values.

Natural policy gradient primal-dual with rewards and costs in [0, 1], one constraint with slack xi = d - min_pi J_c, steps
2 log A and 2 (1 - gamma) / sqrt(T), and multipliers in [0, 2 / ((1 - gamma) xi)] (Ding, Zhang, Basar and Jovanovic 2020, Natural
Policy Gradient Primal-Dual Method for Constrained Markov Decision Processes, as recalled): on average over T iterates,

.. math:: J_r^\star - \frac1T \sum_t J_r(\pi_t) \le \frac{7}{(1-\gamma)^2 \sqrt T}, \qquad
          \Bigl[\frac1T \sum_t J_c(\pi_t) - d\Bigr]_+ \le \frac{2/\xi + 4 \xi}{(1-\gamma)^2 \sqrt T} .

The same proof gives more, for any steps eta_1, eta_2, any cap C on the multipliers and lambda_0 = 0. With M = 1 / (1 - gamma),
D = max(d, M - d) and Phi the divergence of an optimal policy from the first one, averaged over its visits,

.. math:: J_r^\star - \frac1T \sum_t J_r(\pi_t) \le
          B = \frac{\Phi}{\eta_1 T} + \frac{M^2}{T} + \eta_2 \Bigl(M^2 (M - d)_+ + \frac{D^2}{2}\Bigr), \qquad
          \Bigl[\frac1T \sum_t J_c(\pi_t) - d\Bigr]_+ \le
          \min_{\lambda^\star < \lambda \le C} \frac{B + \lambda^2 / (2 \eta_2 T)}{\lambda - \lambda^\star} .

Dual descent, lambda <- [lambda + eta (J_c - d)]_+ with best responses and lambda_0 = 0 (Nedic and Ozdaglar 2009, derived here): if
the distance |J_c - d| never exceeds G in Euclidean norm,

.. math:: J_r^\star - \frac1T \sum_t J_r(\pi_t) \le \frac{\eta G^2}{2}, \qquad
          \Bigl\|\Bigl[\frac1T \sum_t J_c(\pi_t) - d\Bigr]_+\Bigr\|
          \le \frac{\|\lambda^\star\| + \sqrt{\|\lambda^\star\|^2 + T \eta^2 G^2}}{\eta T} .
"""

from __future__ import annotations

import numpy as np

from theory.errors import InputError


def npg_gap_bound(discount: float, iterations: int, constant: float = 7.0) -> float:
    """7 / ((1 - gamma)^2 sqrt(T)): how far the average reward of NPG primal-dual falls short of the optimum."""
    _require(discount, iterations)
    return float(constant / ((1 - discount) ** 2 * np.sqrt(iterations)))


def npg_violation_bound(discount: float, iterations: int, slack: float) -> float:
    """(2 / xi + 4 xi) / ((1 - gamma)^2 sqrt(T)): how far its average cost exceeds the threshold."""
    _require(discount, iterations)
    if not slack > 0:
        raise InputError(f"the slack of the constraint is {slack}; it must be positive.")
    return float((2 / slack + 4 * slack) / ((1 - discount) ** 2 * np.sqrt(iterations)))


def npg_sharp_gap_bound(
    discount: float,
    iterations: int,
    threshold: float,
    policy_step: float,
    multiplier_step: float,
    divergence: float,
    improvement: float = 1.0,
) -> float:
    """The bound B above on how far the average reward of NPG primal-dual falls short, for any steps.

    ``improvement`` multiplies the term M^2 / T (in checks of smaller constants).
    """
    _require(discount, iterations)
    if not (policy_step > 0 and multiplier_step >= 0 and divergence >= 0):
        raise InputError(
            f"a step of policies is positive, one of multipliers and a divergence are not negative, unlike {policy_step}, "
            f"{multiplier_step} and {divergence}."
        )
    mass = 1 / (1 - discount)
    distance = max(threshold, mass - threshold)
    first = (divergence / policy_step + improvement * mass**2) / iterations
    return float(first + multiplier_step * (mass**2 * max(mass - threshold, 0.0) + distance**2 / 2))


def npg_sharp_violation_bound(gap: float, iterations: int, multiplier_step: float, multiplier: float, cap: float) -> float:
    """min over lambda in (lambda*, C] of (B + lambda^2 / (2 eta_2 T)) / (lambda - lambda*), with B = ``gap``."""
    if not (multiplier_step > 0 and cap > multiplier >= 0 and iterations >= 1):
        raise InputError(
            f"a step of multipliers is positive and their cap above the optimal one, unlike {multiplier_step}, {cap}, {multiplier}."
        )
    curvature = 1 / (2 * multiplier_step * iterations)
    best = min(multiplier + np.sqrt(multiplier**2 + gap / curvature), cap)
    return float((gap + curvature * best**2) / (best - multiplier))


def multiplier_bound(discount: float, slack: float) -> float:
    """1 / ((1 - gamma) xi): no optimal multiplier is larger, for rewards in [0, 1] and a constraint with slack xi."""
    _require(discount, 1)
    if not slack > 0:
        raise InputError(f"the slack of the constraint is {slack}; it must be positive.")
    return 1 / ((1 - discount) * slack)


def dual_descent_gap_bound(step: float, size: float) -> float:
    """eta G^2 / 2: how far the average reward of dual descent falls short of the optimum."""
    if not (step > 0 and size >= 0):
        raise InputError(f"a step is positive and a size of subgradients is not negative, unlike {step} and {size}.")
    return step * size**2 / 2


def dual_descent_violation_bound(step: float, size: float, iterations: int, multiplier: float) -> float:
    """(|lambda*| + sqrt(|lambda*|^2 + T eta^2 G^2)) / (eta T): the norm of the excess of its average costs."""
    dual_descent_gap_bound(step, size)
    if not (iterations >= 1 and multiplier >= 0):
        raise InputError(f"there is at least one iteration and no negative multiplier, unlike {iterations} and {multiplier}.")
    return float((multiplier + np.sqrt(multiplier**2 + iterations * (step * size) ** 2)) / (step * iterations))


def _require(discount: float, iterations: int) -> None:
    if not 0 <= discount < 1:
        raise InputError(f"the discount is {discount}; it must lie in [0, 1).")
    if iterations < 1:
        raise InputError(f"there is at least one iteration, not {iterations}.")
