r"""Direct Nash optimization (DNO): self-play by regression on pairs of responses.

Against the current policy an action has the win rate :math:`r_t(y) = P(y \succ \pi_t)`. The next policy minimises the
cross-entropy of :math:`\sigma(\eta[\ln\tfrac{\pi}{\pi_t}(y_1) - \ln\tfrac{\pi}{\pi_t}(y_2)])` against the targets
:math:`\sigma(r_t(y_1) - r_t(y_2))`, where :math:`\sigma(x) = 1/(1 + e^{-x})` and both responses are drawn from a sampling policy
D. Over all policies the minimiser is :math:`\pi_{t+1} \propto \pi_t \exp(r_t/\eta)`, Hedge against itself with the step
:math:`1/\eta`. Rosset, Cheng, Mitra, Santacroce, Awadallah and Xie (2024), arXiv 2404.03715.

What is out of its stated range raises :class:`~theory.errors.InputError`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from games.dynamics import Run
from games.mirror_descent import hedge
from games.oracle import Oracle
from games.preference import PreferenceGame
from theory.divergences import NORMALISATION
from theory.errors import InputError
from theory.tilts import require_temperature

Array = NDArray[np.float64]


def direct_nash_optimization(
    game: PreferenceGame | Oracle, eta: float, iterations: int, *, start: ArrayLike | None = None
) -> Run:
    r"""DNO with exact regressions over all policies: Hedge in self-play with the step 1 / ``eta``, one query an iteration.

    ``eta`` > 0; ``start`` are log-probabilities, shape (K,), the reference unless given.
    """
    return hedge(game, iterations, step=1 / require_temperature(eta), start=start)


def pairwise_cross_entropy(
    log_policies: ArrayLike, log_current: ArrayLike, win_rates: ArrayLike, eta: float, sampling: ArrayLike
) -> Array:
    r"""The population loss of one DNO step at ``log_policies``, shape (..., K); one number for each policy, in nats, at least 0.

    .. math:: -\mathbb{E}_{y_1, y_2 \sim D}\bigl[\sigma(\Delta r) \ln\sigma(\eta\Delta) + \sigma(-\Delta r) \ln\sigma(-\eta\Delta)\bigr],
              \quad \Delta = \ln\tfrac{\pi}{\pi_t}(y_1) - \ln\tfrac{\pi}{\pi_t}(y_2),
              \quad \Delta r = r_t(y_1) - r_t(y_2),

    exactly, as a sum over all K^2 pairs. ``log_current`` holds :math:`\ln \pi_t`, shape (K,); ``win_rates`` holds
    :math:`r_t` (only differences matter, so centred win rates do as well); ``sampling`` the probabilities D, shape (K,), entries
    at least 0. Raises :class:`InputError` for shapes that do not fit or a sampling policy that is none.
    """
    current, rates = np.asarray(log_current, dtype=float), np.asarray(win_rates, dtype=float)
    policies = np.asarray(log_policies, dtype=float)
    law = _sampling(sampling, rates.size)
    if policies.shape[-1:] != rates.shape or current.shape != rates.shape:
        raise InputError(
            f"policies of shape {policies.shape}, a current policy of shape {current.shape} and win rates of shape "
            f"{rates.shape} are not about the same actions."
        )
    margins = require_temperature(eta) * _differences(policies - current)
    # both halves of the loss are equal by symmetry; -ln sigma(x) = ln(1 + exp(-x))
    weights = 2 * np.outer(law, law) * expit(_differences(rates))
    return np.asarray((weights * np.logaddexp(0.0, -margins)).sum(axis=(-2, -1)))[()]


def squared_preference_error(rewards: ArrayLike, truth: ArrayLike, sampling: ArrayLike) -> Array:
    r""":math:`\mathbb{E}_{y_1, y_2 \sim D}[(\sigma(\Delta r) - \sigma(\Delta r^\star))^2]` for each of ``rewards``, in [0, 1].

    ``rewards`` has shape (..., K), ``truth`` and the probabilities ``sampling`` have shape (K,).
    """
    right = np.asarray(truth, dtype=float)
    law = _sampling(sampling, right.size)
    given = np.asarray(rewards, dtype=float)
    if given.shape[-1:] != right.shape:
        raise InputError(f"rewards of shape {given.shape} and a truth of shape {right.shape} are not about the same actions.")
    residual = expit(_differences(given)) - expit(_differences(right))
    return np.asarray(np.einsum("...ij,i,j->...", residual**2, law, law))[()]


def fit_finite_class(
    candidates: ArrayLike,
    truth: ArrayLike,
    sampling: ArrayLike,
    samples: int,
    seed: int | np.random.Generator,
    *,
    runs: int = 1,
) -> NDArray[np.int64]:
    r"""Which of finitely many rewards has the least empirical log-loss, in each of ``runs`` independent data sets; shape (runs,).

    A data set holds ``samples`` pairs drawn from the policy ``sampling`` (probabilities, shape (K,)), each with a label: the
    first is preferred with probability :math:`\sigma(r^\star(y_1) - r^\star(y_2))`, r* being ``truth``, shape (K,).
    ``candidates``, shape (n, K), need not contain it. Of equally good candidates the first is taken.

    The data enter only through how often each unordered pair came up and how often its first member won, so these are drawn
    (multinomial, then binomial) instead of single comparisons.
    """
    rewards, right = np.asarray(candidates, dtype=float), np.asarray(truth, dtype=float)
    if rewards.ndim != 2 or rewards.shape[1:] != right.shape or rewards.shape[0] == 0:
        raise InputError(f"candidates of shape {rewards.shape} are no rewards for the {right.size} actions of the truth.")
    if samples < 1 or runs < 1:
        raise InputError(f"a regression needs at least one sample and one run, not {samples} and {runs}.")
    law = _sampling(sampling, right.size)
    rng = np.random.default_rng(seed)
    first, second = np.triu_indices(right.size, 1)
    frequencies = 2 * law[first] * law[second]
    met = rng.multinomial(samples, np.append(frequencies, max(0.0, 1 - frequencies.sum())), size=runs)[:, :-1]
    won = rng.binomial(met, expit(right[first] - right[second]))
    margins = rewards[:, first] - rewards[:, second]
    # sum of won ln sigma(m) + lost ln sigma(-m), with ln sigma(m) = m + ln sigma(-m)
    likelihood = won @ margins.T - met @ np.logaddexp(0.0, margins).T
    return np.asarray(likelihood.argmax(axis=1), dtype=np.int64)


def _differences(values: Array) -> Array:
    """Entry (i, j) of the last two axes is values_i - values_j."""
    return values[..., :, None] - values[..., None, :]


def _sampling(values: ArrayLike, actions: int) -> Array:
    law = np.asarray(values, dtype=float)
    if law.shape != (actions,) or not (law >= 0).all():
        raise InputError(
            f"a sampling policy has {actions} probabilities of at least 0, not the shape {law.shape} or a negative entry."
        )
    if abs(float(law.sum()) - 1) > NORMALISATION:
        raise InputError(f"the sampling policy sums to {float(law.sum()):.12g}, not to 1.")
    return law
