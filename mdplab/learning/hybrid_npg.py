r"""Hybrid actor-critic: natural policy gradient whose critic is fitted to off-policy transitions and on-policy returns together.

Zhou, Sekhari, Song and Sun (2023, arXiv 2311.08384). The actor is :math:`\pi_{t+1} \propto \pi_t \exp(\eta \bar f_t)`; its critic
comes from hybrid fitted policy evaluation (HPE),

.. math:: f_k = \arg\min_{f \in F}\; E_{\text{off}} \bigl(f(s,a) - r - \gamma f_{k-1}(s', \pi)\bigr)^2
          + \lambda\, E_{\text{on}} \bigl(f(s,a) - y\bigr)^2,

with transitions (s, a, r, s') of an offline distribution and unbiased returns y of pairs of :math:`d^\pi`; :math:`\bar f` is the mean
of the last iterates. With :math:`\lambda = 0` it is fitted evaluation, which may diverge where F is not closed under the Bellman
operator; with :math:`\lambda = \infty` it is on-policy regression, which sees only what the policy visits.

Two forms are here. For discounted models F is linear, :math:`f = \Phi\theta`, if need be with bounded coefficients, and either kind of
data is given by its moments: exact ones, or those of samples. For episodic models F is tabular, one backward sweep replaces the
iteration, and everything is sampled in compiled loops.

What is out of its stated range raises InputError; ModelError for models and policies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import lsq_linear

from mdplab.learning.sampled_policy_gradient import roll_outs
from mdplab.models import EpisodicMDP, TabularMDP
from mdplab.sampling.episode_tables import episode_tables
from mdplab.sampling.episodes import Noise, require_noise
from mdplab.solvers.evaluation import discount_below_one, evaluate_policy, transitions
from mdplab.solvers.occupancy import discounted_occupancy
from mdplab.solvers.policy import Floats, as_episodic_probabilities, as_probabilities, log_normalise
from mdplab.solvers.policy_gradient import PolicyTrajectory, follow_updates
from theory.errors import InputError
from theory.random_streams import read_seeds


@dataclass(frozen=True, eq=False)
class OfflineTransitions:
    """What a regression on transitions depends on: ``weight`` (N,), the share of each pair in the data, sums to 1; the mean
    ``reward`` (N,) that it paid; the distribution ``successor`` (N, S) of the states that it led to.
    """

    weight: Floats
    reward: Floats
    successor: Floats


@dataclass(frozen=True, eq=False)
class OnPolicyReturns:
    """What a regression on returns depends on: the share ``weight`` (N,) of each pair, and its ``mean`` return (N,)."""

    weight: Floats
    mean: Floats


@dataclass(frozen=True, eq=False)
class HybridEvaluation:
    """The iterates of HPE: ``coefficients`` (K+1, d) and ``iterates`` f_k (K+1, N) from f_0 on, and their ``average`` (N,).

    The average is over f_{burn_in + 1}, ..., f_K.
    """

    coefficients: Floats
    iterates: Floats
    average: Floats
    burn_in: int

    @property
    def averaged(self) -> Floats:
        """The iterates of which :attr:`average` is the mean, with the one before them first, shape (K - burn_in + 1, N)."""
        return self.iterates[self.burn_in :]


@dataclass(frozen=True, eq=False)
class HybridRuns:
    """Independent runs of the episodic form: the exact ``values`` (runs, T+1) of all policies from the start distribution, and the
    last ``policies`` (runs, H, S, A); run i has the seed ``seeds[i]``.
    """

    values: Floats
    policies: Floats
    seeds: NDArray[np.uint64]

    @property
    def final(self) -> Floats:
        """The value of each run's last policy, shape (runs,)."""
        return self.values[:, -1]


def offline_transitions(
    mdp: TabularMDP, distribution: ArrayLike, *, samples: int | None = None, seed: int | np.random.Generator = 0
) -> OfflineTransitions:
    """Transitions from pairs of law ``distribution`` (N,): their exact moments, or those of ``samples`` draws of ``seed``.

    Rewards are paid at their means.
    """
    law = np.asarray(distribution, dtype=np.float64)
    if law.shape != (mdp.pairs,) or not (law >= 0).all() or abs(law.sum() - 1) > 1e-9:
        raise InputError(f"an offline distribution of this model is {mdp.pairs} probabilities that sum to 1.")
    matrix = np.asarray(mdp.transition_matrix().toarray())
    if samples is None:
        return OfflineTransitions(law, mdp.reward, matrix)
    if samples < 1:
        raise InputError(f"an offline data set has at least 1 sample, not {samples}.")
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(samples, law / law.sum())
    moves = rng.multinomial(counts, matrix / matrix.sum(axis=1, keepdims=True)).astype(np.float64)
    return OfflineTransitions(counts / samples, mdp.reward, moves / np.maximum(counts, 1)[:, None])


def on_policy_returns(
    mdp: TabularMDP, policy: ArrayLike, *, samples: int | None = None, seed: int = 0, number: int = 0
) -> OnPolicyReturns:
    """Returns of ``policy``: exact moments, d^pi and Q^pi, or those of ``samples`` roll-outs with geometric lengths of ``seed``.

    Samples are the roll-outs ``number``, ``number`` + 1, ... of the seed (:func:`~mdplab.learning.sampled_policy_gradient.roll_outs`).
    """
    if samples is None:
        return OnPolicyReturns(discounted_occupancy(mdp, policy).pair, evaluate_policy(mdp, policy).q)
    visits, means = roll_outs(mdp, policy, samples, seed, number=number).table(mdp.pairs)
    return OnPolicyReturns(visits / samples, means)


def hybrid_regression(
    features: ArrayLike,
    off_weight: ArrayLike,
    off_target: ArrayLike,
    on_weight: ArrayLike,
    on_target: ArrayLike,
    lam: float,
    *,
    bound: float = np.inf,
) -> Floats:
    r"""The theta (d,) of least :math:`\sum_n w^{off}_n (\phi_n \theta - y^{off}_n)^2 + \lambda \sum_n w^{on}_n (\phi_n \theta - y^{on}_n)^2`.

    ``features`` is (N, d), weights and targets are (N,). ``lam`` lies in [0, inf]; at inf the first sum is left out. Of several
    minimisers, the shortest. A finite ``bound`` restricts every coefficient to [-bound, bound].
    """
    fit = _HybridFit(features, off_weight, on_weight, on_target, lam, bound)
    return fit.coefficients(np.asarray(off_target, dtype=np.float64))


def hybrid_policy_evaluation(
    mdp: TabularMDP,
    policy: ArrayLike,
    features: ArrayLike,
    offline: OfflineTransitions,
    on_policy: OnPolicyReturns,
    lam: float,
    iterations: int,
    *,
    first: ArrayLike | None = None,
    burn_in: int = 0,
    bound: float = np.inf,
) -> HybridEvaluation:
    """HPE: ``iterations`` K regressions on ``features`` (N, d) from the coefficients ``first`` (d,) (zeros unless given).

    The iterates may diverge; numbers beyond float64 raise InputError. For ``lam`` and ``bound`` see :func:`hybrid_regression`.
    """
    gamma = discount_below_one(mdp)
    probabilities = as_probabilities(mdp, policy)
    phi = np.asarray(features, dtype=np.float64)
    if phi.ndim != 2 or phi.shape[0] != mdp.pairs:
        raise InputError(f"features of this model have {mdp.pairs} rows, not the shape {phi.shape}.")
    if not 0 <= burn_in < iterations:
        raise InputError(f"of {iterations} iterations, at least 1 follows the burn-in of {burn_in}.")
    ahead = np.add.reduceat(probabilities[:, None] * phi, mdp.state_pointer[:-1], axis=0)  # phi(s, pi)
    fit = _HybridFit(phi, offline.weight, on_policy.weight, on_policy.mean, lam, bound)
    theta = np.zeros(phi.shape[1]) if first is None else np.asarray(first, dtype=np.float64)
    if theta.shape != (phi.shape[1],):
        raise InputError(f"{phi.shape[1]} coefficients are needed at first, not the shape {theta.shape}.")
    coefficients = [theta]
    for _ in range(iterations):
        theta = fit.coefficients(offline.reward + gamma * (offline.successor @ (ahead @ theta)))
        coefficients.append(theta)
    found = np.array(coefficients)
    iterates = found @ phi.T
    return HybridEvaluation(found, iterates, iterates[burn_in + 1 :].mean(axis=0), burn_in)


def evaluation_operator(mdp: TabularMDP, policy: ArrayLike, f: ArrayLike) -> Floats:
    """(T^pi f)(s, a) = r(s, a) + gamma sum_s' P(s'|s, a) sum_a' pi(a'|s') f(s', a'), for ``f`` (..., N)."""
    values = np.add.reduceat(as_probabilities(mdp, policy) * np.asarray(f, dtype=np.float64), mdp.state_pointer[:-1], axis=-1)
    return np.asarray(mdp.reward + mdp.gamma * (transitions(mdp).matrix @ values.T).T, dtype=np.float64)


def hybrid_actor_critic(
    mdp: TabularMDP,
    features: ArrayLike,
    offline: OfflineTransitions,
    lam: float,
    step: float,
    iterations: int,
    *,
    evaluation_iterations: int = 20,
    burn_in: int = 0,
    bound: float = np.inf,
    samples: int | None = None,
    seed: int = 0,
) -> PolicyTrajectory:
    """HAC on a discounted model: T = ``iterations`` steps pi_{t+1} ~ pi_t exp(step fbar_t) from the uniform policy, with exact values.

    The critic makes ``evaluation_iterations`` regressions (:func:`hybrid_policy_evaluation`), on exact on-policy moments, or on
    those of ``samples`` fresh roll-outs in each iteration.
    """
    number = 0

    def update(log_policy: Floats, advantage: Floats, size: float) -> Floats:
        nonlocal number
        policy = np.exp(log_policy)
        returns = on_policy_returns(mdp, policy, samples=samples, seed=seed, number=number)
        number += samples or 0
        critic = hybrid_policy_evaluation(
            mdp, policy, features, offline, returns, lam, evaluation_iterations, burn_in=burn_in, bound=bound
        )
        return log_normalise(mdp, log_policy + size * critic.average)

    return follow_updates(mdp, step, iterations, None, False, update=update)


def episodic_hybrid_actor_critic(
    mdp: EpisodicMDP,
    behaviour: ArrayLike,
    offline_episodes: int,
    lam: float,
    step: float,
    iterations: int,
    episodes: int,
    seeds: ArrayLike,
    *,
    noise: Noise = "bernoulli",
) -> HybridRuns:
    r"""Tabular HAC on an episodic model, one run for each of ``seeds``: T = ``iterations`` steps from the uniform policy.

    A run draws ``offline_episodes`` N of the policy ``behaviour`` once, and ``episodes`` M of its own policy in each iteration. With
    n(h, s, a) offline and m(h, s, a) on-policy visits the critic is, backwards from the last step,

    .. math:: f_h(s, a) = \frac{\frac nN (\hat r + \hat P \langle f_{h+1}, \pi \rangle) + \lambda \frac mM \bar y}{\frac nN + \lambda \frac mM},

    and 0 where there are no data. ``lam`` lies in [0, inf]; without offline episodes it is taken for inf.
    """
    _check_lam(lam)
    require_noise(mdp, noise)
    if not (np.isfinite(step) and step > 0):
        raise InputError(f"a step size must be positive and finite, not {step}.")
    for name, number, least in (
        ("offline episodes", offline_episodes, 0),
        ("iterations", iterations, 1),
        ("episodes", episodes, 1),
    ):
        if number < least:
            raise InputError(f"the number of {name} is at least {least}, not {number}.")
    each = read_seeds(seeds)
    from mdplab.learning import _kernels_hybrid

    on_policy_only = np.isinf(lam) or offline_episodes == 0
    values = np.empty((each.size, iterations + 1))
    log_policies = np.empty((each.size, *mdp.R.shape))
    _kernels_hybrid.hybrid_runs(
        episode_tables(mdp, noisy=noise == "bernoulli"),
        np.ascontiguousarray(mdp.P),
        np.ascontiguousarray(mdp.R),
        mdp.start,
        np.array(as_episodic_probabilities(mdp, behaviour), order="C"),  # a copy, writable: one signature
        offline_episodes,
        0.0 if on_policy_only else 1.0 / offline_episodes,
        (1.0 if on_policy_only else lam) / episodes,
        step,
        episodes,
        each,
        values,
        log_policies,
    )
    return HybridRuns(values, np.exp(log_policies), each)


class _HybridFit:
    """A hybrid regression that is asked for several offline targets: checked and factorised once."""

    def __init__(
        self,
        features: ArrayLike,
        off_weight: ArrayLike,
        on_weight: ArrayLike,
        on_target: ArrayLike,
        lam: float,
        bound: float,
    ):
        _check_lam(lam)
        if not bound > 0:
            raise InputError(f"the bound on the coefficients is positive, not {bound}.")
        phi = np.asarray(features, dtype=np.float64)
        if phi.ndim != 2 or phi.shape[1] == 0:
            raise InputError(f"features form a matrix with a column at least, not an array of shape {phi.shape}.")
        self.rows, self.bound = phi.shape[0], bound
        off, on = self._column("offline weights", off_weight), self._column("on-policy weights", on_weight)
        if not np.isfinite(phi).all():
            raise InputError("the features of a regression are finite.")
        if (off < 0).any() or (on < 0).any():
            raise InputError("the weights of a regression are not negative.")
        # at lam = inf the offline rows weigh nothing
        scale = (0.0, 1.0) if np.isinf(lam) else (1.0, lam)
        self.off_root, on_root = np.sqrt(scale[0] * off), np.sqrt(scale[1] * on)
        self.matrix = np.concatenate([self.off_root[:, None] * phi, on_root[:, None] * phi])
        self.on_right = on_root * self._column("on-policy targets", on_target)
        self.inverse = np.linalg.pinv(self.matrix)

    def coefficients(self, off_target: Floats) -> Floats:
        """The shortest minimiser for these offline targets, or the one within the bound."""
        right = np.concatenate([self.off_root * self._column("offline targets", off_target), self.on_right])
        theta = self.inverse @ right
        if np.abs(theta).max() > self.bound:
            theta = lsq_linear(self.matrix, right, bounds=(-self.bound, self.bound), method="bvls", tol=1e-14).x
        return np.asarray(theta, dtype=np.float64)

    def _column(self, name: str, values: ArrayLike) -> Floats:
        column = np.asarray(values, dtype=np.float64)
        if column.shape != (self.rows,):
            raise InputError(f"{self.rows} rows of features need as many {name}, not the shape {column.shape}.")
        if not np.isfinite(column).all():
            raise InputError(f"the {name} of a regression are finite, not {column[~np.isfinite(column)][0]}.")
        return column


def _check_lam(lam: float) -> None:
    if not lam >= 0:
        raise InputError(f"the weight lam of on-policy returns is at least 0, not {lam}.")
