r"""Safe policies from a learned model, with a guardian that keeps them where the data are.

With :math:`\hat d` the normalised occupancy in the learned model, sum 1,

.. math:: \max_\pi \hat d \cdot r \quad \text{subject to} \quad \hat d \cdot c \le \kappa, \quad \hat d(\text{unsupported pairs}) \le o.

The truth (:class:`~mdplab.models.learned.LearnedModel`) may separate from the model with probability e in a step on the support and
at once elsewhere. All normalised returns of rewards (or costs) in [0, 1] are then right up to the share of the time after that,

.. math:: |J - \hat J| \le \frac{\gamma \, (e + (1 - e) \hat o)}{1 - \gamma + \gamma e}, \qquad \hat o = \hat d(\text{unsupported pairs}).

Yan, Shen, Wachi and others (2025), "Offline Guarded Safe Reinforcement Learning for Medical Treatment Optimization Strategies",
arXiv 2505.16242.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models.constrained import ConstrainedMDP
from mdplab.models.errors import ModelError
from mdplab.models.learned import LearnedModel
from mdplab.models.tabular import TabularMDP
from mdplab.solvers.constrained import solve_constrained
from mdplab.solvers.occupancy import discounted_occupancy
from mdplab.solvers.robust import robust_evaluation

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GuardedPolicy:
    """A policy (probabilities, float64[N]) and what the model believes of it, all normalised.

    ``reward`` and ``cost`` are in [0, 1], ``outside`` is the share of time on unsupported pairs. ``guarantee`` bounds the difference
    of each of them from the truth; ``multipliers`` (2,) are the prices of the cost and of the time outside, and ``slack`` is how far
    the solver may have missed a constraint, or the optimum.
    """

    policy: Floats
    reward: float
    cost: float
    outside: float
    guarantee: float
    multipliers: Floats
    slack: float


def return_error(gamma: float, error: float, outside: float = 0.0) -> float:
    """How far normalised returns in a model may be from the truth: g (e + (1 - e) o) / (1 - g + g e), at most 1.

    ``gamma`` in [0, 1), ``error`` and ``outside`` in [0, 1]; ModelError otherwise. Attained, by
    :func:`~mdplab.models.learned.leaking_loop`.
    """
    if not (0 <= gamma < 1 and 0 <= error <= 1 and 0 <= outside <= 1):
        raise ModelError(
            f"the discount lies in [0, 1), the error and the time outside in [0, 1], not {gamma}, {error} and {outside}."
        )
    return min(gamma * (error + (1 - error) * outside) / (1 - gamma + gamma * error), 1.0)


def solve_guarded(model: LearnedModel, budget: float, outside: float = 1.0, tol: float = 1e-9) -> GuardedPolicy:
    """The best policy of the learned model within the ``budget`` of cost and the time ``outside`` the support, both normalised.

    ``outside=1`` is no guardian. Raises ModelError for bounds that are not in [0, 1], and
    :class:`~mdplab.solvers.constrained.InfeasibleError` if no policy meets them in the model.
    """
    if not (0 <= budget <= 1 and 0 <= outside <= 1):
        raise ModelError(f"the budget and the time outside lie between 0 and 1, not {budget} and {outside}.")
    scale = 1 - model.mdp.gamma
    costs = np.stack([model.cost, ~model.supported])
    # a budget of 1 is none, whatever the rounding
    thresholds = np.where(np.array([budget, outside]) < 1, [budget, outside], 2.0) / scale
    found = solve_constrained(ConstrainedMDP(model.mdp, costs, thresholds, ("cost", "time outside")), tol)
    cost, away = np.clip(found.costs * scale, 0.0, 1.0)
    return GuardedPolicy(
        found.policy,
        found.value * scale,
        float(cost),
        float(away),
        return_error(model.mdp.gamma, model.error, float(away)),
        found.multipliers,
        float(scale * (found.violation.max() + found.width + found.cost_errors.max())),
    )


def worst_truth(model: LearnedModel, policy: ArrayLike, objective: ArrayLike) -> TabularMDP:
    """The possible truth in which ``policy`` collects least of ``objective`` float64[N], with the model's rewards."""
    wanted = np.asarray(objective, dtype=float).reshape(model.mdp.pairs)
    return robust_evaluation(model.truths(wanted), policy).worst.replace(reward=model.mdp.reward)


def normalised_return(mdp: TabularMDP, policy: ArrayLike, objective: ArrayLike) -> float:
    """(1 - gamma) E sum_t gamma^t objective(s_t, a_t), for an ``objective`` float64[N]."""
    return float(discounted_occupancy(mdp, policy).pair @ np.asarray(objective, dtype=float).reshape(mdp.pairs))
