"""The rational twin of a small model: the same questions, answered without rounding.

Every float64 is a rational number, but the probabilities of a row hardly ever sum to exactly 1: ten times the float 0.1
is not 1. The twin of a model keeps every number as it is except the largest probability of each row (the first one, if
several are equal), which takes up the difference. With ``defect`` the largest such difference, the values of any policy
in the two models differ by at most

    |V - V~|  <=  gamma defect max|V~| / (1 - gamma (1 + defect)),

since V - V~ = (I - gamma P)^-1 gamma (P - P~) V~. Stochastic policies are treated alike.

Linear systems are scaled to integers and solved by python-flint where it is installed, otherwise by fraction-free
elimination (Bareiss 1968) on Python integers. Policy iteration (Howard 1960) is then exact and stops at the optimum
itself, with every optimal action known as such: ties are ties. Meant for models of up to about 50 states.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models import EpisodicMDP, ModelError, TabularMDP
from mdplab.solvers.evaluation import evaluate_policy
from mdplab.solvers.policy import as_episodic_probabilities, as_probabilities, greedy_policy
from theory.errors import InputError

flint: Any
try:
    import flint
except ImportError:
    flint = None

Exact = NDArray[np.object_]  # arrays of fractions.Fraction
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class RationalMDP:
    """A tabular model in exact arithmetic.

    ``rows[n]`` lists the transitions (next state, probability) of pair n, probabilities positive and summing to exactly
    1; ``reward`` (N,) and ``gamma`` are exact. ``state_pointer`` (S+1,) is as in TabularMDP. ``defect`` is the largest
    sum over a row of |P - P~|, P the float model it was made from.
    """

    state_pointer: Integers
    rows: tuple[tuple[tuple[int, Fraction], ...], ...]
    reward: tuple[Fraction, ...]
    gamma: Fraction
    defect: Fraction = Fraction(0)

    @property
    def states(self) -> int:
        """S."""
        return len(self.state_pointer) - 1

    @property
    def pairs(self) -> int:
        """N."""
        return len(self.rows)


@dataclass(frozen=True, eq=False)
class RationalSolution:
    """The optimum of a rational model: ``value`` (S,) and ``q`` (N,) are arrays of Fractions.

    ``policy`` (S,) holds the first optimal pair of each state, ``optimal`` (N,) says which pairs are optimal.
    ``action_gap`` is the smallest V*(s) - Q*(s, a) over pairs that are not optimal, None if there are none.
    ``float_distance`` bounds |V* - V*_float| in sup norm, V*_float the exact optimum of the float model.
    """

    value: Exact
    q: Exact
    policy: Integers
    optimal: NDArray[np.bool_]
    action_gap: Fraction | None
    float_distance: Fraction
    iterations: int


@dataclass(frozen=True, eq=False)
class RationalEvaluation:
    """The exact ``value`` (S,) and ``q`` (N,) of a policy in a rational model, arrays of Fractions.

    ``float_distance`` bounds |V - V_float| in sup norm (0 for a model that was not made from floats).
    """

    value: Exact
    q: Exact
    float_distance: Fraction


@dataclass(frozen=True, eq=False)
class RationalAverageReward:
    """The exact optimal ``gain``, relative values ``bias`` (S,) with bias[0] = 0, and an optimal policy (S,) of pairs."""

    gain: Fraction
    bias: Exact
    policy: Integers
    iterations: int


@dataclass(frozen=True, eq=False)
class RationalEpisodicSolution:
    """Exact optimal ``q`` (H, S, A) and ``value`` (H+1, S) of an episodic model, arrays of Fractions."""

    q: Exact
    value: Exact
    policy: Integers


def rational_twin(mdp: TabularMDP) -> RationalMDP:
    """The model in exact arithmetic, the largest probability of each row corrected so that the row sums to 1."""
    rows = []
    defect = Fraction(0)
    for pair in range(mdp.pairs):
        entries = slice(mdp.row_pointer[pair], mdp.row_pointer[pair + 1])
        exact, off = normalised_fractions(mdp.probability[entries])
        merged: dict[int, Fraction] = {}
        for state, probability in zip(mdp.next_state[entries].tolist(), exact):
            if probability:
                merged[state] = merged.get(state, Fraction(0)) + probability
        rows.append(tuple(merged.items()))
        defect = max(defect, off)
    reward = tuple(Fraction(x) for x in mdp.reward.tolist())
    return RationalMDP(np.asarray(mdp.state_pointer, dtype=np.int64), tuple(rows), reward, Fraction(mdp.gamma), defect)


def normalised_fractions(probabilities: ArrayLike) -> tuple[list[Fraction], Fraction]:
    """The floats as fractions, the first of the largest changed so that they sum to 1; and by how much it changed."""
    exact = [Fraction(x) for x in np.asarray(probabilities, dtype=np.float64).tolist()]
    off = 1 - sum(exact, Fraction(0))
    largest = max(range(len(exact)), key=exact.__getitem__)
    exact[largest] += off
    if exact[largest] < 0:
        raise ModelError(f"a row of probabilities sums to {float(1 - off)}, too far from 1 to be corrected.")
    return exact, abs(off)


def exact_policy_iteration(model: TabularMDP | RationalMDP, *, max_iterations: int = 10_000) -> RationalSolution:
    """V*, Q*, and all optimal actions, exactly. A TabularMDP is replaced by its :func:`rational_twin`.

    A model of floats is first solved in floats, which leaves few exact steps; the answer does not depend on it. Raises
    ModelError if gamma is not below 1.
    """
    twin = _twin(model)
    _check_discount(twin)
    pointer = twin.state_pointer
    policy = _float_guess(model) if isinstance(model, TabularMDP) else pointer[:-1].copy()
    iterations = 0
    while True:
        iterations += 1
        numerators, denominator = _chain_values(twin, [[(int(pair), Fraction(1))] for pair in policy])
        scaled, scale = _scaled_q(twin, numerators, denominator)
        scaled_value = [n * (scale // denominator) for n in numerators]
        improved = policy.copy()
        for state in range(twin.states):
            best = max(range(pointer[state], pointer[state + 1]), key=scaled.__getitem__)
            if scaled[best] > scaled_value[state]:
                improved[state] = best
        if np.array_equal(improved, policy):
            break
        if iterations == max_iterations:
            raise InputError(f"exact policy iteration did not end within {max_iterations} iterations.")
        policy = improved
    pair_state = np.repeat(np.arange(twin.states), np.diff(pointer))
    optimal = np.array([scaled[n] == scaled_value[s] for n, s in enumerate(pair_state.tolist())])
    first = np.flatnonzero(optimal)
    policy = first[np.searchsorted(first, pointer[:-1])].astype(np.int64)
    value = _fractions(numerators, denominator)
    gaps = [scaled_value[s] - scaled[n] for n, s in enumerate(pair_state.tolist()) if not optimal[n]]
    gap = Fraction(min(gaps), scale) if gaps else None
    return RationalSolution(
        value, _fractions(scaled, scale), policy, optimal, gap, _distance(twin, value, twin.defect), iterations
    )


def exact_evaluation(model: TabularMDP | RationalMDP, policy: ArrayLike | Sequence[Fraction]) -> RationalEvaluation:
    """V^pi and Q^pi exactly, of a policy in any form of floats or integers, or of N Fractions that sum to 1 by state.

    Float probabilities are corrected to sum to 1 as those of the model are. Raises ModelError if gamma is not below 1.
    """
    twin = _twin(model)
    _check_discount(twin)
    choices, defect = _exact_policy(model, twin, policy)
    numerators, denominator = _chain_values(twin, choices)
    scaled, scale = _scaled_q(twin, numerators, denominator)
    value = _fractions(numerators, denominator)
    reward_change = defect * max(map(abs, twin.reward))
    total = (1 + defect) * (1 + twin.defect) - 1
    return RationalEvaluation(value, _fractions(scaled, scale), _distance(twin, value, total, reward_change))


def exact_average_reward(model: TabularMDP | RationalMDP, *, max_iterations: int = 10_000) -> RationalAverageReward:
    """The exact optimal gain of a unichain model, by policy iteration (Howard 1960); the discount is ignored.

    Raises InputError when a policy with several recurrent classes is met.
    """
    twin = _twin(model)
    pointer = twin.state_pointer
    policy = pointer[:-1].copy()
    for iteration in range(1, max_iterations + 1):
        matrix: list[list[Fraction]] = []
        right: list[Fraction] = []
        for pair in policy.tolist():
            state = len(matrix)
            row = [Fraction(0)] * twin.states
            row[state] += 1
            for target, probability in twin.rows[pair]:
                row[target] -= probability
            row[0] = Fraction(1)  # the gain takes the place of h(0) = 0
            matrix.append(row)
            right.append(twin.reward[pair])
        try:
            numerators, denominator = solve_rational(matrix, right)
        except ZeroDivisionError as error:
            raise InputError(
                "this model has a policy with several recurrent classes: its gain depends on the start."
            ) from error
        gain = Fraction(numerators[0], denominator)
        bias = [Fraction(0)] + [Fraction(n, denominator) for n in numerators[1:]]
        improved = policy.copy()
        for state in range(twin.states):
            q = {
                pair: twin.reward[pair] + sum((p * bias[target] for target, p in twin.rows[pair]), Fraction(0))
                for pair in range(pointer[state], pointer[state + 1])
            }
            best = max(q, key=q.__getitem__)
            if q[best] > gain + bias[state]:
                improved[state] = best
        if np.array_equal(improved, policy):
            return RationalAverageReward(gain, _objects(bias), policy, iteration)
        policy = improved
    raise InputError(f"exact policy iteration did not end within {max_iterations} iterations.")


def exact_backward_induction(mdp: EpisodicMDP, policy: ArrayLike | None = None) -> RationalEpisodicSolution:
    """Exact Q and V of the optimum, or of ``policy`` (any episodic form), with rows corrected as in :func:`rational_twin`.

    ``policy`` of the result holds the first greedy action, (H, S).
    """
    horizon, states, actions = mdp.R.shape
    value = _objects([[Fraction(0)] * states for _ in range(horizon + 1)])
    q = _objects([[[Fraction(0)] * actions for _ in range(states)] for _ in range(horizon)])
    greedy = np.zeros((horizon, states), dtype=np.int64)
    given = None if policy is None else as_episodic_probabilities(mdp, policy)
    for step in range(horizon - 1, -1, -1):
        for state in range(states):
            for action in range(actions):
                row, _ = normalised_fractions(mdp.P[step, state, action])
                future = sum((p * v for p, v in zip(row, value[step + 1]) if p), Fraction(0))
                q[step, state, action] = Fraction(float(mdp.R[step, state, action])) + future
            options = list(q[step, state])
            greedy[step, state] = options.index(max(options))
            if given is None:
                value[step, state] = max(options)
            else:
                weights, _ = normalised_fractions(given[step, state])
                value[step, state] = sum((w * x for w, x in zip(weights, options)), Fraction(0))
    return RationalEpisodicSolution(q, value, greedy)


def solve_rational(matrix: Sequence[Sequence[Fraction]], right: Sequence[Fraction]) -> tuple[list[int], int]:
    """The solution of a square rational system as integer numerators and one common positive denominator.

    Raises ZeroDivisionError if the matrix is singular.
    """
    whole, whole_right = [], []
    for row, entry in zip(matrix, right):
        scale = lcm(*(x.denominator for x in row), entry.denominator)
        whole.append([x.numerator * (scale // x.denominator) for x in row])
        whole_right.append(entry.numerator * (scale // entry.denominator))
    return _solve_flint(whole, whole_right) if flint is not None else _solve_integers(whole, whole_right)


def _solve_flint(matrix: list[list[int]], right: list[int]) -> tuple[list[int], int]:
    solution = flint.fmpz_mat(matrix).solve(flint.fmpz_mat([[x] for x in right]))
    numerators, denominator = solution.numer_denom()
    return [int(numerators[i, 0]) for i in range(len(right))], int(denominator)


def _solve_integers(matrix: list[list[int]], right: list[int]) -> tuple[list[int], int]:
    """Fraction-free elimination: after step k every entry is a minor of order k + 1, so that the divisions are exact."""
    size = len(right)
    rows = [[*row, entry] for row, entry in zip(matrix, right)]
    previous = 1
    for k in range(size):
        pivot_row = next((i for i in range(k, size) if rows[i][k]), None)
        if pivot_row is None:
            raise ZeroDivisionError("the matrix is singular.")
        rows[k], rows[pivot_row] = rows[pivot_row], rows[k]
        top, pivot = rows[k], rows[k][k]
        for i in range(size):
            if i != k:
                row, factor = rows[i], rows[i][k]
                rows[i] = [(pivot * row[j] - factor * top[j]) // previous if j > k else 0 for j in range(size + 1)]
                if i < k:
                    rows[i][i] = pivot
        previous = pivot
    sign = 1 if previous > 0 else -1
    return [sign * row[size] for row in rows], sign * previous


def _chain_values(twin: RationalMDP, choices: list[list[tuple[int, Fraction]]]) -> tuple[list[int], int]:
    """V of the policy that takes the pairs ``choices[s]`` with their probabilities: numerators, common denominator."""
    matrix, right = [], []
    for state, choice in enumerate(choices):
        row = [Fraction(0)] * twin.states
        row[state] += 1
        reward = Fraction(0)
        for pair, weight in choice:
            reward += weight * twin.reward[pair]
            for target, probability in twin.rows[pair]:
                row[target] -= twin.gamma * weight * probability
        matrix.append(row)
        right.append(reward)
    return solve_rational(matrix, right)


def _scaled_q(twin: RationalMDP, numerators: list[int], denominator: int) -> tuple[list[int], int]:
    """Q = R + gamma P V as integers over one common denominator, which ``denominator`` divides."""
    denominators = {r.denominator for r in twin.reward} | {p.denominator for row in twin.rows for _, p in row}
    common = lcm(*denominators, 1)
    scale = common * twin.gamma.denominator
    result = []
    for row, reward in zip(twin.rows, twin.reward):
        future = sum(p.numerator * (common // p.denominator) * numerators[target] for target, p in row)
        whole = reward.numerator * (scale // reward.denominator)
        result.append(whole * denominator + twin.gamma.numerator * future)
    return result, scale * denominator


def _exact_policy(
    model: TabularMDP | RationalMDP, twin: RationalMDP, policy: Any
) -> tuple[list[list[tuple[int, Fraction]]], Fraction]:
    pointer = twin.state_pointer
    given = np.asarray(policy)
    defect = Fraction(0)
    if given.dtype == object:
        weights = [Fraction(x) for x in given.tolist()]
        if len(weights) != twin.pairs:
            raise ModelError(f"a policy of this model has {twin.pairs} probabilities, not {len(weights)}.")
        for state in range(twin.states):
            total = sum(weights[pointer[state] : pointer[state + 1]], Fraction(0))
            if total != 1:
                raise ModelError(f"the policy's probabilities in state {state} sum to {total}, not to 1.")
    elif isinstance(model, TabularMDP):
        floats = as_probabilities(model, given)
        weights = []
        for state in range(twin.states):
            exact, off = normalised_fractions(floats[pointer[state] : pointer[state + 1]])
            weights += exact
            defect = max(defect, off)
    elif given.dtype.kind in "iu" and given.shape == (twin.states,):
        if ((given < pointer[:-1]) | (given >= pointer[1:])).any():
            state = int(np.argmax((given < pointer[:-1]) | (given >= pointer[1:])))
            raise ModelError(f"the policy chooses pair {given[state]} in state {state}, which is not one of its pairs.")
        weights = [Fraction(0)] * twin.pairs
        for pair in given.tolist():
            weights[pair] = Fraction(1)
    else:
        raise ModelError("a policy of a rational model is given by pair indices or by Fractions.")
    if min(weights) < 0:
        raise ModelError(f"the policy takes pair {weights.index(min(weights))} with probability {min(weights)}.")
    return [
        [(pair, weights[pair]) for pair in range(pointer[s], pointer[s + 1]) if weights[pair]] for s in range(twin.states)
    ], defect


def _float_guess(mdp: TabularMDP) -> Integers:
    """A good policy by policy iteration in floats; how good does not matter to the exact result."""
    policy = np.asarray(mdp.state_pointer[:-1], dtype=np.int64)
    for _ in range(100):
        improved = greedy_policy(mdp, evaluate_policy(mdp, policy).q)
        if np.array_equal(improved, policy):
            break
        policy = improved
    return policy


def _distance(twin: RationalMDP, value: Exact, defect: Fraction, reward_change: Fraction = Fraction(0)) -> Fraction:
    if not defect:
        return Fraction(0)
    margin = 1 - twin.gamma * (1 + defect)
    if margin <= 0:
        raise ModelError(f"the discount {float(twin.gamma)!r} is too close to 1 for rows that miss 1 by {float(defect)}.")
    return (reward_change + twin.gamma * defect * max(map(abs, value.tolist()))) / margin


def _twin(model: TabularMDP | RationalMDP) -> RationalMDP:
    return rational_twin(model) if isinstance(model, TabularMDP) else model


def _check_discount(twin: RationalMDP) -> None:
    if not twin.gamma < 1:
        raise ModelError(f"a discounted value needs a discount below 1, but this model's is {float(twin.gamma)}.")


def _fractions(numerators: list[int], denominator: int) -> Exact:
    return _objects([Fraction(n, denominator) for n in numerators])


def _objects(values: Any) -> Exact:
    return np.array(values, dtype=object)
