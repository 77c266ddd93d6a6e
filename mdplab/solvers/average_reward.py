"""Average reward: the best long-run reward per step, whatever the discount of the model (it is ignored).

Let (T v)(s) = max_a [ R(s, a) + sum_s' P(s'|s, a) v(s') ]. For *every* v, and in every model,

    min_s (T v - v)(s)  <=  g*(s)  <=  max_s (T v - v)(s)    for all s

(Odoni 1969; Puterman 1994, theorem 8.5.5), where g* is the optimal gain. Relative value iteration (White 1963) repeats
v <- T v - (T v)(s_0) 1; in a unichain aperiodic model the two ends meet. A model may be made aperiodic by letting every
pair stay where it is with some probability, with the reward reduced in proportion (Schweitzer 1971): that is the
iteration v <- v + (1 - laziness) (T v - v), while the bracket remains that of T itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array, csr_array, eye_array
from scipy.sparse.csgraph import connected_components

from mdplab.models import TabularMDP
from mdplab.solvers.evaluation import PairTransitions, accumulated_rounding, dense_solve, sparse_solve, transitions
from mdplab.solvers.policy import Floats, as_probabilities, greedy_policy, state_max, state_sum
from theory.errors import InputError


@dataclass(frozen=True, eq=False)
class AverageRewardSolution:
    """The optimal gain, in ``lower`` <= g*(s) <= ``upper`` for every state, and a policy that attains ``lower``.

    ``gain`` is the middle of the bracket. ``bias`` (S,) is the relative value, 0 in the reference state: it solves
    g + h = T h up to ``upper - lower``. ``policy`` (S,) holds the pairs greedy for it; its own gain is at least
    ``lower`` in every state. ``q`` (N,) is R + P h.
    """

    gain: float
    lower: float
    upper: float
    bias: Floats
    q: Floats
    policy: NDArray[np.int64]
    iterations: int


@dataclass(frozen=True, eq=False)
class AverageRewardEvaluation:
    """The gain of a policy whose chain has one recurrent class: ``lower`` <= g <= ``upper``, ``gain`` in the middle.

    ``bias`` (S,) solves g + h = r_pi + P_pi h with stationary mean 0; ``stationary`` (S,) is the stationary
    distribution. These two carry no bound of their own.
    """

    gain: float
    lower: float
    upper: float
    bias: Floats
    stationary: Floats


def relative_value_iteration(
    mdp: TabularMDP,
    *,
    tol: float = 1e-9,
    laziness: float = 0.1,
    max_iterations: int = 100_000,
    reference: int = 0,
) -> AverageRewardSolution:
    """The optimal gain to within a bracket of width ``tol``, its relative values and a policy.

    ``laziness`` in [0, 1) is the probability of staying put that makes the model aperiodic; 0 leaves it as it is.
    ``reference`` is the state in which the bias is 0. Raises InputError if the bracket is still wider than ``tol`` after
    ``max_iterations`` sweeps, as happens when the gain differs between states (several recurrent classes), when the
    model is periodic and ``laziness`` is 0, or when ``tol`` is finer than rounding.
    """
    if not 0 <= laziness < 1:
        raise InputError(f"the laziness of an aperiodicity transformation lies in [0, 1), not at {laziness}.")
    if not 0 <= reference < mdp.states:
        raise InputError(f"there is no reference state {reference} among {mdp.states} states.")
    kernel = transitions(mdp)
    defect = _defect(kernel)
    reward_size = float(np.abs(mdp.reward).max())
    bias = np.zeros(mdp.states)
    for iteration in range(1, max_iterations + 1):
        q = mdp.reward + kernel.matrix @ bias
        change = state_max(mdp, q) - bias
        lower, upper = _bracket(kernel, change, bias, reward_size, defect)
        if upper - lower <= tol:
            policy = greedy_policy(mdp, q)
            return AverageRewardSolution((lower + upper) / 2, lower, upper, bias, q, policy, iteration)
        bias = bias + (1 - laziness) * change
        bias -= bias[reference]
    raise InputError(
        f"after {max_iterations} sweeps the optimal gain is only known to lie in [{lower:.6g}, {upper:.6g}], wider than "
        f"tol = {tol:g}: the model may have several recurrent classes"
        + (", may be periodic (set laziness above 0)," if laziness == 0 else ",")
        + " or may mix too slowly."
    )


def average_reward_evaluation(mdp: TabularMDP, policy: ArrayLike) -> AverageRewardEvaluation:
    """Gain, bias and stationary distribution of a policy whose Markov chain has a single recurrent class.

    Raises InputError if the chain has several: the gain then depends on the start.
    """
    kernel = transitions(mdp)
    probabilities = as_probabilities(mdp, policy)
    chain = kernel.under(probabilities)
    classes = _recurrent_classes(chain)
    if classes > 1:
        raise InputError(f"the policy's chain has {classes} recurrent classes, so that its gain depends on the start.")
    reward = state_sum(mdp, probabilities * mdp.reward)
    states = mdp.states
    # I - P + 1 e_0^T is regular for a single class: x = it^-1 r has x(0) = g, and h = x up to a constant.
    if kernel.dense:
        matrix = np.eye(states) - chain
        matrix[:, 0] += 1.0
        relative = dense_solve(matrix.copy(), reward)
        stationary = dense_solve(matrix, np.eye(states)[0], transpose=True)
    else:
        column = csr_array((np.ones(states), (np.arange(states), np.zeros(states, dtype=np.int64))), (states, states))
        sparse = eye_array(states, format="csr") - chain + column
        relative = sparse_solve(sparse, reward)
        stationary = sparse_solve(sparse.T, np.bincount([0], minlength=states).astype(np.float64))
    stationary = np.maximum(stationary, 0.0)
    stationary /= stationary.sum()
    bias = relative - stationary @ relative
    change = state_sum(mdp, probabilities * (mdp.reward + kernel.matrix @ bias)) - bias
    off = float(np.abs(state_sum(mdp, probabilities) - 1).max()) + accumulated_rounding(kernel.actions)
    defect = (1 + off) * (1 + _defect(kernel)) - 1
    reward_size = float(np.abs(mdp.reward).max())
    lower, upper = _bracket(kernel, change, bias, reward_size, defect, reward_defect=off * reward_size)
    return AverageRewardEvaluation((lower + upper) / 2, lower, upper, bias, stationary)


def _defect(kernel: PairTransitions) -> float:
    """The most by which a row can differ from a distribution, its rounding included."""
    sums = np.asarray(kernel.matrix.sum(axis=1)).reshape(-1)
    return float(np.abs(sums - 1).max()) + accumulated_rounding(kernel.terms)


def _bracket(
    kernel: PairTransitions,
    change: Floats,
    bias: Floats,
    reward_size: float,
    defect: float,
    reward_defect: float = 0.0,
) -> tuple[float, float]:
    """(lower, upper) for the gain of the model with rows rescaled to sum to 1, given the computed T v - v."""
    size = float(np.abs(bias).max())
    rounding = accumulated_rounding(kernel.terms + kernel.actions + 6) * (reward_size + 2 * size) + defect * size
    rounding += reward_defect
    return float(change.min()) - rounding, float(change.max()) + rounding


def _recurrent_classes(chain: object) -> int:
    """The number of recurrent classes of a Markov chain (S, S): strong components that no edge leaves."""
    graph = coo_array(chain)
    graph.eliminate_zeros()
    count, component = connected_components(graph, directed=True, connection="strong")
    source, target = graph.coords
    leaving = component[source] != component[target]
    closed = np.ones(count, dtype=bool)
    closed[component[source[leaving]]] = False
    return int(closed.sum())
