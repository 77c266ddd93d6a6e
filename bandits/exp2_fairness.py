r"""Exponential weights over policies with one-sided feedback and reported pairs (Exp2 as in Bechavod and Roth 2023, 2206.04475).

Weights :math:`w_t(h) \propto e^{-\eta \hat L_{t-1}(h)}`, a policy drawn from them decides about all k people of the round, and

.. math:: \hat\ell_t(h) = \sum_i \Bigl[ h(x_i)\, \frac{\hat y_i (1 - y_i)}{q_t(x_i)} + \frac{1 - h(x_i)}{2} \Bigr]
          + C\, 1\{\text{a pair } (i, j) \text{ is reported}\}\, (1 + h(x_i) - h(x_j)),

with :math:`q_t(x) = \sum_h w_t(h) h(x)` and yhat the decisions. Labels are needed of the accepted only, and the estimate of the
surrogate loss is unbiased. What was reported is seen in full and needs no importance weight; at most one pair a round counts, that
of the largest excess.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bandits import _kernels_fairness
from bandits.one_sided_feedback import Account, OneSidedProblem, error, reported_pairs, require_penalty
from theory.errors import InputError
from theory.random_streams import read_checkpoints, read_seeds

Array = NDArray[np.float64]
MOST_HISTORIES = 1 << 16
NEVER = 1e-300  # the estimates of less likely events may overflow; their probability is left out of the sums


def second_moment_bound(group: int, penalty: float) -> float:
    r""":math:`2.5 k^2 + 8 C^2`, at least the expectation of :math:`\sum_h w_t(h) \hat\ell_t(h)^2` given the past.

    The square of a sum is at most twice the sum of the squares; what is reported costs at most 2C, and for each person
    :math:`E \sum_h w(h) (\cdot)^2 \le (1 - y) + (1 - q)/4 \le 5/4`.
    """
    return 2.5 * group**2 + 8 * penalty**2


def split_moment_bound(group: int, penalty: float) -> float:
    r""":math:`2.5 k^2 + 2 C^2`, which serves as well: see `onesided-fairness/exp2-regret-split`."""
    return 2.5 * group**2 + 2 * penalty**2


def tuned_step(problem: OneSidedProblem, moment: float) -> float:
    r"""The step :math:`\eta = \sqrt{2 \ln N / (T m)}` for ``moment`` m, which balances ln N / eta and eta T m / 2."""
    return math.sqrt(2 * math.log(problem.size) / (problem.rounds * moment))


def exp2_fairness(
    problem: OneSidedProblem,
    penalty: float,
    seeds: ArrayLike,
    *,
    step: float | None = None,
    checkpoints: ArrayLike | None = None,
    weighted: bool = True,
) -> Account:
    """Independent runs, one for each of ``seeds`` (runs,), with the ``penalty`` C >= 0; accounts of shape (runs, checkpoints).

    The account is kept with the mixtures and not with the policies drawn from them. ``step`` is eta > 0, by default
    :func:`tuned_step` of :func:`second_moment_bound`. ``checkpoints`` increase within [1, T]; T alone by default. Without
    ``weighted`` the importance weight 1/q is left out.
    """
    marks, each = read_checkpoints(problem.rounds, checkpoints, "round"), read_seeds(seeds)
    errors, violations, gaps, policy_gaps = _kernels_fairness.exp2(
        problem.policies,
        problem.people,
        problem.labels,
        problem.panel.metric,
        float(problem.panel.alpha),
        float(penalty),
        _step(problem, penalty, step),
        weighted,
        each,
        marks,
    )
    return Account(marks, penalty, errors, violations, gaps, problem.policy_errors[marks - 1], policy_gaps)


def exp2_expectation(problem: OneSidedProblem, penalty: float, *, step: float | None = None) -> tuple[Account, Array]:
    r"""The expected account of :func:`exp2_fairness` after every round, and expected second moments, both exactly.

    All histories of revealed labels are followed; the account's arrays have the shapes (T,) and (T, N). The second result holds
    :math:`E \sum_h w_t(h) a_t(h)^2` for each round, shape (T,), a being the first of the two parts of the estimated loss, that of
    the labels. Raises :class:`InputError` where there can be more than 2^16 histories: one for each subset of the people with the
    label 0.
    """
    eta = _step(problem, penalty, step)
    unknown = int((problem.labels == 0).sum())
    if 2**unknown > MOST_HISTORIES:
        raise InputError(f"{unknown} labels of 0 make 2^{unknown} histories, and at most {MOST_HISTORIES} are followed.")
    T, N = problem.rounds, problem.size
    probability, loss, policy_gap = np.ones(1), np.zeros((1, N)), np.zeros((1, N))
    errors, violations, gaps, moments = np.zeros((4, T))
    policy_gaps = np.zeros((T, N))
    for t, (x, y) in enumerate(zip(problem.people, problem.labels)):
        weights = np.exp(-eta * (loss - loss.min(axis=1, keepdims=True)))
        weights /= weights.sum(axis=1, keepdims=True)
        decisions = problem.policies[:, x]
        q = weights @ decisions
        errors[t] = probability @ error(q, y).sum(axis=1)
        reported, signs = reported_pairs(problem.panel, q, x)
        violations[t] = probability @ reported
        gaps[t] = probability @ (signs * q).sum(axis=1)
        differences = signs @ decisions.T
        policy_gap = policy_gap + differences
        reports = penalty * (reported[:, None] + differences)
        policy_gaps[t] = probability @ policy_gap
        # policies that accept the same people of label 0 reveal the same
        telling, which = np.unique(decisions * (1 - y), axis=0, return_inverse=True)
        following = []
        for n, accepted in enumerate(telling):
            chance = weights[:, which.ravel() == n].sum(axis=1)
            live = chance > NEVER
            cost = accepted / np.where(accepted > 0, q[live], 1.0) @ decisions.T + (1 - decisions).sum(axis=1) / 2
            weight = probability[live] * chance[live]
            moments[t] += weight @ (weights[live] * cost * cost).sum(axis=1)
            following.append((weight, loss[live] + cost + reports[live], policy_gap[live]))
        probability, loss, policy_gap = (np.concatenate(parts) for parts in zip(*following))
    errors, violations, gaps = np.cumsum((errors, violations, gaps), axis=1)
    expected = Account(np.arange(1, T + 1), penalty, errors, violations, gaps, problem.policy_errors, policy_gaps)
    return expected, moments


def _step(problem: OneSidedProblem, penalty: float, step: float | None) -> float:
    require_penalty(penalty)
    eta = tuned_step(problem, second_moment_bound(problem.group, penalty)) if step is None else step
    if not 0 < eta < np.inf and problem.size > 1:
        raise InputError(f"the step of exponential weights is positive, not {eta}.")
    return float(eta)
