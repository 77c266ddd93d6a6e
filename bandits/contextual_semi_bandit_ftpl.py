r"""Context-Semi-Bandit-FTPL (Syrgkanis, Krishnamurthy and Schapire 2016, 1602.02454) for decisions with one-sided feedback.

A *separator* is a set of d members of the pool on which any two policies differ somewhere. In each round Laplace losses, of density
:math:`\tfrac{\varepsilon}{2} e^{-\varepsilon |z|}`, are put on its members, and an oracle is asked for the policy of least
estimated plus perturbed loss, which is played. No probabilities are computed: where an accepted person turns out to have the label
0, the oracle is asked with fresh perturbations until its policy accepts the person again, at most L times, and the number of calls
stands for 1/q (geometric resampling, Neu and Bartok 2013).

The oracle goes through the policies one by one. Auditors are left out: they would look at the mean policy, which this learner does
not know.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

from bandits import _kernels_fairness
from bandits.one_sided_feedback import OneSidedProblem
from theory.errors import InputError
from theory.random_streams import read_checkpoints, read_seeds

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PerturbedLeaderRuns:
    """Independent runs: ``errors`` (runs, m) of the policies played, and the oracle's ``calls`` (runs, m), at ``checkpoints`` (m,).

    ``policy_errors`` (m, N) are those of each policy.
    """

    checkpoints: NDArray[np.int64]
    errors: Array
    calls: NDArray[np.int64]
    policy_errors: Array

    @property
    def regret(self) -> Array:
        """Regret of surrogate loss, half of that in errors, against each policy, shape (runs, m, N)."""
        return (self.errors[..., None] - self.policy_errors) / 2


def contextual_semi_bandit_ftpl(
    problem: OneSidedProblem,
    separator: ArrayLike,
    seeds: ArrayLike,
    *,
    epsilon: float,
    resamples: int,
    checkpoints: ArrayLike | None = None,
) -> PerturbedLeaderRuns:
    """Runs, one for each of ``seeds`` (runs,), with perturbations Laplace(``epsilon``) on the ``separator`` (d,).

    ``resamples`` L >= 1 is the largest number of calls for one estimate. ``checkpoints`` increase within [1, T]; T alone by default.
    Raises :class:`InputError` if two policies agree on the whole separator.
    """
    contexts = read_separator(problem, separator)
    if not 0 < epsilon < np.inf:
        raise InputError(f"the parameter of the Laplace law is positive and finite, not {epsilon}.")
    _require_resamples(resamples)
    marks, each = read_checkpoints(problem.rounds, checkpoints, "round"), read_seeds(seeds)
    errors, calls = _kernels_fairness.perturbed_leader(
        problem.policies, problem.people, problem.labels, contexts, 1 / epsilon, resamples, each, marks
    )
    return PerturbedLeaderRuns(marks, errors, calls, problem.policy_errors[marks - 1])


def read_separator(problem: OneSidedProblem, separator: ArrayLike) -> NDArray[np.int64]:
    """``separator`` as int64[d]; :class:`InputError` unless it lies in the pool and any two policies differ on it."""
    contexts = np.asarray(separator)
    X = problem.panel.people
    if contexts.ndim != 1 or contexts.size == 0 or not np.issubdtype(contexts.dtype, np.integer):
        raise InputError("a separator is a vector of members of the pool.")
    if not ((contexts >= 0) & (contexts < X)).all():
        raise InputError(f"a separator of a pool of {X} people has no member {contexts[(contexts < 0) | (contexts >= X)][0]}.")
    patterns, first = np.unique(problem.policies[:, contexts], axis=0, return_index=True)
    if patterns.shape[0] < problem.size:
        twin = int(np.setdiff1d(np.arange(problem.size), first)[0])
        raise InputError(f"policy {twin} agrees with another one on the whole separator.")
    return contexts.astype(np.int64)


def resampled_weight(probability: ArrayLike, resamples: int) -> Array:
    r"""The mean of geometric resampling, :math:`E \min(J, L) = (1 - (1 - q)^L)/q` for a geometric J; L where q = 0."""
    q = np.asarray(probability, dtype=float)
    if not ((q >= 0) & (q <= 1)).all():
        raise InputError("the probability of an acceptance lies in [0, 1].")
    _require_resamples(resamples)
    certain = q == 1
    never = -np.expm1(resamples * np.log1p(-np.where(certain, 0.0, q)))
    return np.where(q > 0, np.where(certain, 1.0, never) / np.where(q > 0, q, 1.0), float(resamples))


def perturbation_cost(size: int, contexts: int) -> float:
    r"""An upper bound on :math:`\varepsilon\, E \max_h \sum_s z_s h(s)`, for N = ``size`` policies and d = ``contexts``.

    The smaller of d/2, the expectation of the sum of all positive parts, and
    :math:`\min_{0 < s < 2} (\ln N - d \ln(1 - s^2/4))/s`. For the second, subtract :math:`\sum_s z_s/2`, whose mean is 0: each term
    is then :math:`\pm z/2`, with the moment generating function :math:`1/(1 - s^2/4)` at :math:`s \varepsilon`.
    """

    def exponent(s: float) -> float:
        return (math.log(size) - contexts * math.log1p(-(s**2) / 4)) / s

    found = minimize_scalar(exponent, bounds=(1e-6, 2 - 1e-9), method="bounded")
    return min(contexts / 2, float(found.fun))


def regret_bound(problem: OneSidedProblem, contexts: int, epsilon: float, resamples: int) -> float:
    r""":math:`2.75\, \varepsilon d k^2 T + P/\varepsilon + kT/(eL)`, P being :func:`perturbation_cost`.

    Proved in `onesided-fairness/csb-ftpl`, for the expected regret of surrogate loss against each policy.
    """
    k, T = problem.group, problem.rounds
    return (
        2.75 * epsilon * contexts * k**2 * T
        + perturbation_cost(problem.size, contexts) / epsilon
        + k * T / (math.e * resamples)
    )


def tuned_epsilon(problem: OneSidedProblem, contexts: int) -> float:
    """The epsilon that makes :func:`regret_bound` smallest."""
    return math.sqrt(perturbation_cost(problem.size, contexts) / (2.75 * contexts * problem.rounds)) / problem.group


def _require_resamples(resamples: int) -> None:
    if resamples < 1:
        raise InputError(f"geometric resampling asks the oracle at least once, not {resamples} times.")
