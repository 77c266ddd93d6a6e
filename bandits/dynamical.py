r"""Dynamical linear bandits: actions move a hidden linear state, which pays long after them.

.. math:: x_{t+1} = A x_t + B u_t + \epsilon_t, \qquad y_t = \langle\omega, x_t\rangle + \langle\theta, u_t\rangle + \eta_t, \qquad x_1 = 0.

A constant action u earns :math:`\langle h, u\rangle` a round in the long run, with the *Markov parameter*
:math:`h = \theta + B^\top (I - A)^{-\top} \omega`.

Source: Mussi, Metelli and Restelli 2023, Dynamical Linear Bandits, arXiv 2211.08997.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bandits.linear import read_actions
from theory.bounds.linear_bandits import SystemBounds
from theory.claims.families import family
from theory.errors import InputError

Floats = NDArray[np.float64]
LONGEST_TRANSIENT = 5000


@dataclass(frozen=True, eq=False)
class DynamicalLinearBandit:
    r"""The system (A, B, omega, theta) with the actions u, rows of ``actions``.

    Shapes: ``A`` (n, n), ``B`` (n, d), ``omega`` (n,), ``theta`` (d,), ``actions`` (K, d). The spectral radius of A is below 1.
    ``rate`` is a bound on it in (0, 1) that a learner may know: the mean of the spectral radius and 1 if not given. Each coordinate
    of the noise of the state is uniform on :math:`[-\sqrt3\sigma_x, \sqrt3\sigma_x]`, so of standard (and subgaussian) deviation
    ``state_deviation``, and bounded, which the theory asks of the state; that of the reward is normal with ``reward_deviation``.
    ``key`` is the call that rebuilds the instance.

    Raises :class:`InputError` for anything else.
    """

    A: Floats
    B: Floats
    omega: Floats
    theta: Floats
    actions: Floats
    state_deviation: float = 0.0
    reward_deviation: float = 0.0
    rate: float = None  # type: ignore[assignment]  # __post_init__ fills it in
    key: str | None = None

    def __post_init__(self) -> None:
        theta, actions = read_actions(self.theta, self.actions)
        A, B, omega = (np.array(part, dtype=float) for part in (self.A, self.B, self.omega))
        n, d = omega.size, theta.size
        if actions.ndim != 2 or n == 0 or omega.ndim != 1 or A.shape != (n, n) or B.shape != (n, d):
            raise InputError(
                f"a system of {n} states and {d} inputs has A of shape ({n}, {n}), B of shape ({n}, {d}) and a table of actions, not"
                f" {A.shape}, {B.shape} and {actions.shape}."
            )
        if not all(np.isfinite(part).all() for part in (A, B, omega)):
            raise InputError("the matrices of a dynamical bandit are finite.")
        for value in (self.state_deviation, self.reward_deviation):
            if not (0 <= value < math.inf):
                raise InputError(f"the standard deviations of a dynamical bandit are finite and at least 0, not {value}.")
        radius = float(np.abs(np.linalg.eigvals(A)).max())
        if not radius < 1:
            raise InputError(f"a stable system has a spectral radius below 1, not {radius:g}.")
        rate = (1 + radius) / 2 if self.rate is None else float(self.rate)
        if not (0 < rate < 1 and radius <= rate * (1 + 1e-9)):
            raise InputError(f"the rate lies between the spectral radius {radius:g} and 1, and is not 0; it is {rate:g}.")
        for array, name in ((A, "A"), (B, "B"), (omega, "omega"), (theta, "theta"), (actions, "actions")):
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        object.__setattr__(self, "rate", rate)

    @property
    def states(self) -> int:
        """The dimension n of the hidden state."""
        return self.omega.size

    @property
    def dimension(self) -> int:
        """The dimension d of the actions."""
        return self.theta.size

    @cached_property
    def markov_parameter(self) -> Floats:
        r""":math:`h = \theta + B^\top (I - A)^{-\top} \omega`, shape (d,)."""
        return self.theta + self.B.T @ np.linalg.solve(np.eye(self.states) - self.A.T, self.omega)

    def markov_parameters(self, steps: int) -> Floats:
        r""":math:`h^{(m)} = \theta + \sum_{j < m} B^\top (A^\top)^j \omega` for m = 0, ..., ``steps`` - 1, shape (steps, d).

        An action m rounds before the last adds :math:`\langle h^{(m)}, u\rangle` to the expected sum of rewards.
        """
        if steps < 1:
            raise InputError(f"at least one step is needed, not {steps}.")
        found = np.empty((steps, self.dimension))
        found[0] = self.theta
        carried = self.omega
        for m in range(1, steps):
            found[m] = found[m - 1] + self.B.T @ carried
            carried = self.A.T @ carried
        return found

    @cached_property
    def gaps(self) -> Floats:
        """What each action costs a round in the long run, shape (K,)."""
        earned = self.actions @ self.markov_parameter
        return np.asarray(earned.max() - earned)

    @cached_property
    def transient(self) -> float:
        r""":math:`\Phi = \sup_k \|A^k\|_2 / \bar\rho^k \ge 1`, for the rate :math:`\bar\rho`.

        Norms are submultiplicative: once a power K >= 1 has :math:`\|A^K\| \le \bar\rho^K` the supremum is attained below K. Raises
        :class:`InputError` if no power up to 5000 does, as may happen for a rate equal to the spectral radius.
        """
        power, largest = np.eye(self.states), 1.0
        for _ in range(LONGEST_TRANSIENT):
            power = power @ self.A / self.rate
            size = float(np.linalg.norm(power, 2))
            if size <= 1 + 1e-9:
                return largest
            largest = max(largest, size)
        raise InputError(f"the powers of A over those of the rate {self.rate:g} do not fall below 1; take a larger rate.")

    @cached_property
    def bounds(self) -> SystemBounds:
        """The smallest bounds that are true of this system, for its rate."""
        action = float(np.linalg.norm(self.actions, axis=1).max())
        control = float(np.linalg.norm(self.B, 2))
        pushed = float(np.linalg.norm(self.actions @ self.B.T, axis=1).max())
        largest_noise = math.sqrt(3 * self.states) * self.state_deviation
        return SystemBounds(
            rate=self.rate,
            transient=self.transient,
            theta=float(np.linalg.norm(self.theta)),
            omega=float(np.linalg.norm(self.omega)),
            control=control,
            action=action,
            state=self.transient * (pushed + largest_noise) / (1 - self.rate),
            state_deviation=self.state_deviation,
            reward_deviation=self.reward_deviation,
        )

    def __repr__(self) -> str:
        return f"DynamicalLinearBandit({self.key or f'{self.states} states, {self.actions.shape[0]} actions'})"


def best_total(bandit: DynamicalLinearBandit, rounds: int) -> float:
    r"""The largest expected sum of rewards of any policy, closed-loop ones included: :math:`\sum_{m < T} \max_u \langle h^{(m)}, u\rangle`.

    The expected sum is linear in the actions, whatever they depend on: the action of round s adds :math:`\langle h^{(T - s)}, u_s\rangle`.
    ``rounds`` = T >= 1.
    """
    return float((bandit.markov_parameters(rounds) @ bandit.actions.T).max(axis=1).sum())


def mean_rewards(bandit: DynamicalLinearBandit, played: NDArray[np.int64]) -> Floats:
    """Expected rewards of sequences of actions ``played`` (..., T), by their numbers, shape (..., T): the state is followed."""
    inputs = bandit.actions[played]
    state = np.zeros((*inputs.shape[:-2], bandit.states))
    rewards = inputs @ bandit.theta
    for t in range(inputs.shape[-2]):
        rewards[..., t] += state @ bandit.omega
        state = state @ bandit.A.T + inputs[..., t, :] @ bandit.B.T
    return np.asarray(rewards)


@family
def structured_system(noise: float = 0.05) -> DynamicalLinearBandit:
    """Three inputs, of which the first pays through the state, the second at once, and the third a little in both ways.

    The best action is (1, 1/2, 0), for 0.8125 a round; the best at once is (0, 1, 1/2).
    """
    grid = np.stack(np.meshgrid(*[[0.0, 0.5, 1.0]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    actions = grid[(grid.sum(axis=1) > 0) & (grid.sum(axis=1) <= 1.5)]
    A, B = np.diag([0.2, 0.0, 0.1]), np.diag([0.45, 0.0, 0.1])
    return DynamicalLinearBandit(A, B, np.array([1.0, 0.0, 0.1]), np.array([0.0, 0.5, 0.1]), actions, noise, noise, 0.2)


@family
def delayed_effect(rho: float = 0.01, late: float = 1.0, noise: float = 0.0) -> DynamicalLinearBandit:
    """Two actions: one pays 1/2 at once, the other nothing at once and ``late`` / (1 - ``rho``) spread over the rounds that follow."""
    _require_rate(rho)
    return DynamicalLinearBandit(
        np.array([[rho]]), np.array([[0.0, late]]), np.ones(1), np.array([0.5, 0.0]), np.eye(2), noise, noise, rho
    )


@family
def scalar_system(rho: float = 0.5, noise: float = 0.0) -> DynamicalLinearBandit:
    """x' = rho x + u, y = x, with the actions 1 and -1; ``noise`` is the deviation of both noises."""
    _require_rate(rho)
    return DynamicalLinearBandit(
        np.array([[rho]]), np.ones((1, 1)), np.ones(1), np.zeros(1), np.array([[1.0], [-1.0]]), noise, noise, rho
    )


@family(n=1, d=1, K=1)
def random_system(
    n: int = 2, d: int = 2, K: int = 5, rho: float = 0.5, noise: float = 0.1, normal: bool = False, seed: int = 0
) -> DynamicalLinearBandit:
    """Gaussian matrices and actions of norm at most 1; A has the spectral radius ``rho``, and is a normal matrix if ``normal``.

    A normal A has the rate ``rho``, so that its transient constant is 1.
    """
    _require_rate(rho)
    if min(n, d, K) < 1:
        raise InputError(f"a random system needs n, d and K of at least 1, not {n}, {d} and {K}.")
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, n))
    if normal:
        A = A + A.T
    A *= rho / np.abs(np.linalg.eigvals(A)).max()
    actions = rng.standard_normal((K, d))
    actions /= np.maximum(np.linalg.norm(actions, axis=1, keepdims=True), 1.0)
    return DynamicalLinearBandit(
        A,
        rng.standard_normal((n, d)),
        rng.standard_normal(n),
        rng.standard_normal(d),
        actions,
        noise,
        noise,
        rho if normal else None,  # type: ignore[arg-type]
    )


def _require_rate(rho: float) -> None:
    if not 0 < rho < 1:
        raise InputError(f"the spectral radius of a system of this family lies strictly between 0 and 1, not {rho}.")
