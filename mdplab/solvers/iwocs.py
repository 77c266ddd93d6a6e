r"""Robust MDPs as a sequence of static problems (Zouitine, Geist and Rachelson 2024, arXiv 2410.06212), and its repair.

With kernels T_0, ..., T_i found so far, the loop solves each as an ordinary MDP, takes Q_i = min_{j <= i} Q*_{T_j}, the policy
pi_i greedy for it, and for T_{i+1} the kernel worst for pi_i. At the start law rho,

    V_worst^{pi_i}  <=  max_pi min_T V_T^pi  <=  V_i = max_a Q_i(., a).

The bounds close, or else the loop stalls: the worst kernel is one found before, and nothing changes any more. V_i is tied to
the optimal values V*_{T_j}, not to the values of pi_i in T_j. The repair takes for Q_i the robust optimum over the rows found
so far, chosen pair by pair. If the worst kernel of pi_i is made of rows found before, its value is then at least V_i, so that
the loop ends after at most as many rounds as there are rows to find.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models import ModelError
from mdplab.models.robust import RobustPolytopeMDP
from mdplab.models.validation import as_array
from mdplab.solvers.bellman import q_values
from mdplab.solvers.evaluation import start_vector
from mdplab.solvers.inner_problems import worst_vertex
from mdplab.solvers.policy_iteration import policy_iteration
from mdplab.solvers.robust import robust_evaluation, robust_policy_iteration


@dataclass(frozen=True, eq=False)
class StaticSequence:
    """The rounds of a sequence of static problems.

    ``upper`` and ``lower`` float64[R]: V_i and the worst value of pi_i at the start law, each on the safe side of rounding;
    ``policies`` int64[R, S], the pairs of pi_i; ``kernels`` int64[R + 1, S, A], the vertices of T_0, ..., T_R, the last being
    the one that is worst for the last policy. ``outcome`` is "closed" if the last bounds are within the accuracy asked for,
    "stalled" if the worst kernel was found before and they are not.
    """

    upper: NDArray[np.float64]
    lower: NDArray[np.float64]
    policies: NDArray[np.int64]
    kernels: NDArray[np.int64]
    outcome: Literal["closed", "stalled"]

    @property
    def gap(self) -> float:
        """The last upper bound less the last lower bound."""
        return float(self.upper[-1] - self.lower[-1])


def static_sequence(
    model: RobustPolytopeMDP,
    epsilon: float = 1e-6,
    *,
    start: ArrayLike | None = None,
    first: ArrayLike | None = None,
    repaired: bool = False,
    max_rounds: int = 10_000,
) -> StaticSequence:
    """Rounds until the bounds at the start law (``start``, or the model's) are within ``epsilon``, or the worst kernel repeats.

    T_0 has the vertices ``first`` (integers (S, A), the first of each pair by default). With ``repaired`` Q_i belongs to the
    rectangular hull of the kernels found. The static problems are solved to ``epsilon`` / 16. Raises :class:`ModelError` for
    gamma = 1, an epsilon that is not positive or too fine for float64, vertices out of range, and more than ``max_rounds``
    rounds.
    """
    if not epsilon > 0:
        raise ModelError(f"the accuracy asked for is {epsilon}; it must be positive.")
    S, A = model.reward.shape
    choice = np.zeros((S, A), dtype=np.int64) if first is None else as_array("first", first, np.int64)
    frame = model.kernel(choice)
    rho = start_vector(frame, model.start if start is None else start)
    tol = epsilon / 16
    q = np.full(S * A, np.inf)
    upper, lower, policies, kernels = [], [], [], [choice]
    for _ in range(max_rounds):
        if repaired:
            found = np.take_along_axis(model.vertices, np.stack(kernels, axis=2)[..., None], axis=2)
            hull = RobustPolytopeMDP(found, model.reward, model.gamma)
            least, _ = worst_vertex(found, robust_policy_iteration(hull, tol).upper)
            q = (model.reward + model.gamma * least).ravel()
        else:
            static = model.kernel(kernels[-1])
            q = np.minimum(q, q_values(static, policy_iteration(static, tol).upper))
        policy = q.reshape(S, A).argmax(axis=1) + A * np.arange(S)
        worst = robust_evaluation(model, policy, tol)
        _, choice = worst_vertex(model.vertices, worst.value)
        upper.append(float(rho @ q[policy]))
        lower.append(float(rho @ worst.lower))
        policies.append(policy)
        repeats = any(np.array_equal(choice, earlier) for earlier in kernels)
        kernels.append(choice)
        closed = upper[-1] - lower[-1] <= epsilon
        if repeats and repaired and not closed:
            raise ModelError(f"the repaired loop has ended, but float64 cannot bring its bounds within {epsilon:g} here.")
        if closed or repeats:
            outcome: Literal["closed", "stalled"] = "closed" if closed else "stalled"
            return StaticSequence(np.array(upper), np.array(lower), np.array(policies), np.array(kernels), outcome)
    raise ModelError(f"the bounds are not within {epsilon:g} after {max_rounds} rounds.")
