"""Values of a given policy of a discounted MDP, with a certified error.

The value of a policy pi solves V = r_pi + gamma P_pi V, where r_pi(s) = sum_a pi(a|s) R(s, a) and P_pi likewise. Small
models go to LAPACK's dense solver; larger ones to sparse LU if they are banded, otherwise to BiCGSTAB with refinement.
Whatever found it, the answer is certified afterwards: T_pi is a gamma-contraction in sup norm, hence

    ||V - V^pi|| <= ||T_pi V - V|| / (1 - gamma),

where an upper bound on the rounding in T_pi V - V is added to the right-hand side. Rows of probabilities that sum to
1 + 1e-16 rather than to 1 are taken as they are: V^pi is the value of the float model, gamma is replaced by gamma
times the largest sum of a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg.lapack import dgesv
from scipy.sparse import csr_array, eye_array
from scipy.sparse.linalg import bicgstab, splu

from mdplab.models import ModelError, TabularMDP
from mdplab.solvers.policy import Floats, as_probabilities, state_sum

UNIT_ROUNDOFF = 2.0**-53
DENSE_STATES = 1000  # above, a dense factorisation takes longer than about 0.1 s
DENSE_ENTRIES = 4_000_000  # entries of the dense (N, S) matrix: 32 MB
MIXING_STEPS = 1000  # of a sparse chain, which take less time than a factorisation with fill-in
BAND_OPERATIONS = 10**9  # S times the squared bandwidth, up to which sparse LU takes less than a second


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The value of a policy: V^pi, Q^pi and A^pi = Q^pi - V^pi, and how far they may be from the truth.

    ``value`` is float (S,), ``q`` and ``advantage`` are float (N,). The sup-norm error of ``value`` and of ``q`` is at
    most ``error``, that of ``advantage`` at most ``advantage_error``.
    """

    value: Floats
    q: Floats
    advantage: Floats
    error: float

    @property
    def advantage_error(self) -> float:
        """A bound on the sup-norm error of ``advantage``."""
        return 2 * self.error

    @property
    def lower(self) -> Floats:
        """A lower bound on V^pi, shape (S,)."""
        return np.nextafter(self.value - self.error, -np.inf)

    @property
    def upper(self) -> Floats:
        """An upper bound on V^pi, shape (S,)."""
        return np.nextafter(self.value + self.error, np.inf)


def evaluate_policy(mdp: TabularMDP, policy: ArrayLike) -> Evaluation:
    """V^pi, Q^pi and the advantage of ``policy`` (deterministic int (S,), or stochastic float (N,) or (S, A)).

    Raises ModelError if gamma is not below 1 or the policy is not one of this model.
    """
    return evaluate_rewards(mdp, as_probabilities(mdp, policy), mdp.reward)


def evaluate_rewards(mdp: TabularMDP, probabilities: Floats, reward: Floats) -> Evaluation:
    """As :func:`evaluate_policy`, of validated probabilities (N,), with ``reward`` (N,) in place of the model's own."""
    kernel = transitions(mdp)
    gamma = discount_below_one(mdp)
    value = kernel.solve(probabilities, state_sum(mdp, probabilities * reward), gamma)
    q = reward + gamma * (kernel.matrix @ value)
    state = mdp.pair_state
    residual = state_sum(mdp, probabilities * q) - value
    error = evaluation_error(
        kernel,
        gamma,
        residual=float(np.abs(residual).max()),
        reward_size=float(np.abs(reward).max()),
        value_size=float(np.abs(value).max()),
        policy_mass=float(state_sum(mdp, probabilities).max()),
    )
    return Evaluation(value, q, q - value[state], error)


def evaluate_policies(mdp: TabularMDP, policies: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Values (K, S), q (K, N) and errors (K,) of K policies at once: integers (K, S), or probabilities (K, N).

    Only for models small enough for dense algebra; it saves the overhead of K calls. The errors are in sup norm, for
    values and q alike. Raises ModelError as :func:`evaluate_policy` does.
    """
    kernel = transitions(mdp)
    gamma = discount_below_one(mdp)
    given = np.asarray(policies)
    if not kernel.dense or given.ndim != 2:
        raise ModelError("policies are evaluated together for small models only, and are given one a row.")
    probabilities = np.stack([as_probabilities(mdp, row) for row in given]) if len(given) else np.empty((0, mdp.pairs))
    chains: Floats = np.add.reduceat(probabilities[:, :, None] * kernel.matrix, kernel.starts, axis=1)
    right = state_sum(mdp, probabilities * mdp.reward)
    system = np.eye(mdp.states) - gamma * chains
    values = np.asarray(np.linalg.solve(system, right[:, :, None]), dtype=np.float64)[:, :, 0]
    q = mdp.reward + gamma * (values @ kernel.matrix.T)
    residuals = np.abs(state_sum(mdp, probabilities * q) - values).max(axis=1)
    sizes = np.abs(values).max(axis=1)
    reward_size = float(np.abs(mdp.reward).max())
    masses = state_sum(mdp, probabilities).max(axis=1)
    errors = [
        evaluation_error(kernel, gamma, residual=r, reward_size=reward_size, value_size=v, policy_mass=m)
        for r, v, m in zip(residuals, sizes, masses)
    ]
    return values, q, np.array(errors)


def expected_return(mdp: TabularMDP, policy: ArrayLike, start: ArrayLike | None = None) -> float:
    """sum_s rho(s) V^pi(s), with rho the model's start distribution unless ``start`` (S,) is given."""
    rho = start_vector(mdp, start)
    return float(rho @ evaluate_policy(mdp, policy).value)


def policy_model(mdp: TabularMDP, policy: ArrayLike) -> tuple[Any, Floats]:
    """The Markov chain of a policy: P_pi of shape (S, S) (an array, or SciPy CSR for a large model) and r_pi (S,)."""
    probabilities = as_probabilities(mdp, policy)
    return transitions(mdp).under(probabilities), state_sum(mdp, probabilities * mdp.reward)


def evaluation_error(
    kernel: PairTransitions,
    gamma: float,
    *,
    residual: float,
    reward_size: float,
    value_size: float,
    policy_mass: float,
) -> float:
    """A bound on ||V - V^pi|| and on ||Q - Q^pi||, Q = R + gamma P V, from the computed residual of V.

    ``reward_size`` and ``value_size`` bound |R| and |V|; ``policy_mass`` is the largest sum of a state's probabilities.
    """
    contraction = gamma * kernel.mass * policy_mass
    # Each number behind the residual is a sum of at most `terms` + `actions` products of such sizes.
    size = policy_mass * (reward_size + gamma * kernel.mass * value_size) + value_size
    rounding = accumulated_rounding(kernel.terms + kernel.actions + 6) * size
    return (residual + rounding) / contraction_margin(gamma, contraction, kernel.terms + kernel.actions)


def contraction_margin(gamma: float, contraction: float, terms: int) -> float:
    """A lower bound on 1 - ``contraction``, the latter a product of gamma and computed sums of ``terms`` terms.

    Raises ModelError if gamma is so close to 1 that the bound is not positive.
    """
    margin = 1 - contraction * (1 + accumulated_rounding(terms + 4))
    margin -= 4 * UNIT_ROUNDOFF
    if margin <= 0:
        raise ModelError(f"the discount {gamma!r} is too close to 1: rounding leaves nothing of 1 - gamma to divide by.")
    return margin


def accumulated_rounding(operations: int) -> float:
    """The relative error that ``operations`` successive float64 roundings can add up to, n u / (1 - n u)."""
    return operations * UNIT_ROUNDOFF / (1 - operations * UNIT_ROUNDOFF)


def discount_below_one(mdp: TabularMDP) -> float:
    """gamma; raises ModelError unless it is below 1."""
    if not mdp.gamma < 1:
        raise ModelError(f"a discounted value needs a discount below 1, but this model's is {mdp.gamma}.")
    return mdp.gamma


def start_vector(mdp: TabularMDP, start: ArrayLike | None = None) -> Floats:
    """``start`` as a checked distribution over states, float (S,); the model's start distribution if None."""
    if start is None:
        return np.asarray(mdp.start_distribution, dtype=np.float64)
    rho = np.asarray(start, dtype=np.float64)
    if rho.shape != (mdp.states,):
        raise ModelError(f"a start distribution of this model has shape ({mdp.states},), not {rho.shape}.")
    if not rho.min() >= 0:
        state = int(np.argmax(~(rho >= 0)))
        raise ModelError(f"the start distribution gives state {state} the probability {rho[state]}.")
    if not abs(rho.sum() - 1) <= 1e-9:  # as for policies: decimals typed by hand are refused
        raise ModelError(f"the start distribution sums to {rho.sum()}, not to 1.")
    return rho


# -- the linear systems of a policy ---------------------------------------------------------------------------------


class PairTransitions:
    """The transitions of a model in the form that is fastest for linear algebra.

    ``matrix`` is (N, S): an array where that takes at most 32 MB and S is at most 1000, else SciPy CSR. ``mass`` is
    the largest sum of a row, ``terms`` the largest number of entries of a row, ``incoming`` that of a column, and
    ``actions`` the largest number of pairs of a state.
    """

    def __init__(self, mdp: TabularMDP):
        sparse = mdp.transition_matrix()
        self.states = mdp.states
        self.actions = int(mdp.max_actions)
        self.starts = mdp.state_pointer[:-1]
        self.terms = int(np.diff(mdp.row_pointer).max())
        self.incoming = int(np.bincount(mdp.next_state).max())
        self.dense = mdp.states <= DENSE_STATES and mdp.pairs * mdp.states <= DENSE_ENTRIES
        self.matrix: Any = sparse.toarray() if self.dense else csr_array(sparse)
        self.mass = float(self.matrix.sum(axis=1).max())
        self.cube = self.matrix.reshape(self.states, -1, self.states) if self.dense and mdp.is_rectangular else None

    def under(self, probabilities: Floats) -> Any:
        """P_pi (S, S) of a stochastic policy (N,): an array, or CSR."""
        if self.cube is not None:
            return np.matmul(probabilities.reshape(self.states, 1, -1), self.cube)[:, 0]
        if self.dense:
            return np.add.reduceat(probabilities[:, None] * self.matrix, self.starts, axis=0)
        pointer = np.append(self.starts, probabilities.size)
        choice = csr_array((probabilities, np.arange(probabilities.size), pointer), copy=True)
        choice.eliminate_zeros()
        return choice @ self.matrix

    def solve(self, probabilities: Floats, right: Floats, gamma: float, *, transpose: bool = False) -> Floats:
        """An approximate x with (I - gamma P_pi) x = right, or (I - gamma P_pi)^T x = right; shape as ``right``.

        ``right`` is (S,), and for dense models also (S, K). Raises ModelError if the matrix is singular.
        """
        chain = self.under(probabilities)
        if self.dense:
            return dense_solve(discounted_matrix(chain, gamma), right, transpose=transpose)
        if transpose:
            return discounted_visits(chain, right, gamma)
        return sparse_solve(eye_array(self.states, format="csr") - gamma * chain, right)


_PREPARED: WeakKeyDictionary[TabularMDP, PairTransitions] = WeakKeyDictionary()


def transitions(mdp: TabularMDP) -> PairTransitions:
    """The :class:`PairTransitions` of a model; those of small models are remembered for as long as the model lives."""
    known = _PREPARED.get(mdp)
    if known is None:
        known = PairTransitions(mdp)
        if known.dense:
            _PREPARED[mdp] = known
    return known


def discounted_matrix(chain: Floats, gamma: float) -> Floats:
    """I - gamma ``chain`` for a dense (S, S) chain."""
    matrix = -gamma * chain
    matrix.flat[:: chain.shape[0] + 1] += 1.0
    return matrix


def dense_solve(matrix: Floats, right: Floats, *, transpose: bool = False) -> Floats:
    """Solve a dense system, or the transposed one, by LU; the matrix is overwritten. Raises ModelError if singular."""
    # LAPACK reads columns, NumPy writes rows: the transposed system is the one that needs no copy.
    _, _, solution, info = dgesv(matrix.T if transpose else matrix, right, overwrite_a=1)
    if info > 0:
        raise ModelError("the linear system of this policy is singular: the discount is too close to 1.")
    return solution


def discounted_visits(chain: Any, source: Floats, gamma: float) -> Floats:
    """sum_t gamma^t source P^t for a sparse stochastic (S, S) chain P and a ``source`` (S,): to about the accuracy of the arithmetic.

    The laws source P^t are followed until two of them are alike, or discounted away: then the rest of the sum is that law's. Where
    that takes long, the linear system is solved.
    """
    backward = chain.T
    visits, law, weight = np.zeros_like(source), source, 1.0
    for _ in range(MIXING_STEPS):
        visits += weight * law
        following = backward @ law
        weight *= gamma
        if weight * np.abs(following - law).sum() <= UNIT_ROUNDOFF * np.abs(source).sum():
            return visits + weight / (1 - gamma) * following
        law = following
    return sparse_solve((eye_array(source.size, format="csr") - gamma * chain).T, source)


def sparse_solve(matrix: Any, right: Floats) -> Floats:
    """Solve a sparse system to about the accuracy of the arithmetic.

    Narrow bands (walks, queues, small grids) mix slowly and factorise well: they go to sparse LU at once. The others
    usually mix fast and fill in badly: they are iterated, and only factorised if that stalls.
    """
    entries = matrix.tocoo()
    bandwidth = int(np.abs(entries.coords[0] - entries.coords[1]).max(initial=0))
    if matrix.shape[0] * bandwidth**2 > BAND_OPERATIONS:
        solution = np.zeros_like(right)
        residual = right
        for _ in range(6):
            correction, _ = bicgstab(matrix, residual, rtol=1e-10, atol=0.0, maxiter=400)
            if not np.isfinite(correction).all():
                break
            solution = solution + correction
            residual = right - matrix @ solution
            size = np.abs(right).max() + 2 * np.abs(solution).max()
            if np.abs(residual).max() <= 8 * UNIT_ROUNDOFF * size:  # a few roundings: no more to be had
                return solution
    factors = splu(matrix.tocsc())
    solution = factors.solve(right)
    return solution + factors.solve(right - matrix @ solution)
