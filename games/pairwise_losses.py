r"""Losses over pairs of responses, of which one is preferred: DPO, IPO, SPPO and INPO, and their exact expectations.

A *pair loss* is a function of two numbers, the log-ratios :math:`r_w, r_l` of the winner and of the loser. With
:math:`r = \ln \pi - \ln \mu` it is DPO's or IPO's, with :math:`r = \ln \pi - \ln \pi_t` SPPO's, with
:func:`inpo_log_ratios` INPO's. Log-ratios need not come from normalised policies.

Their expectations are over two responses drawn independently from a sampling policy p, the winner being drawn from the
preferences: i and j meet, and i wins, with probability :math:`2 p_i p_j P_{ij}` in total over both orders. For the two square
losses the expectation is, up to a constant, a least-squares problem in which the win rates :math:`A p` are the targets
(:func:`sppo_regression_loss`, :func:`inpo_regression_loss`): win rates are learnt without being estimated.

What is out of its stated range raises :class:`~theory.errors.InputError`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from games.preference import PreferenceGame
from games.prox import require_step
from theory.divergences import NORMALISATION
from theory.errors import InputError
from theory.tilts import require_temperature

Array = NDArray[np.float64]
PairLoss = Callable[[Array, Array], Array]


def dpo_loss(winner: ArrayLike, loser: ArrayLike, *, beta: float) -> Array:
    r"""Direct preference optimisation: :math:`-\ln \sigma(\beta (r_w - r_l))`, at least 0.

    ``winner`` and ``loser`` hold log-ratios and broadcast. Rafailov et al. (2023), arXiv 2305.18290.
    """
    difference = np.asarray(winner, dtype=float) - np.asarray(loser, dtype=float)
    return np.asarray(np.logaddexp(0.0, -require_temperature(beta) * difference))


def ipo_loss(winner: ArrayLike, loser: ArrayLike, *, beta: float) -> Array:
    r"""Identity preference optimisation: :math:`(r_w - r_l - \frac{1}{2\beta})^2`.

    ``winner`` and ``loser`` hold log-ratios and broadcast. Azar et al. (2023), arXiv 2310.12036.
    """
    difference = np.asarray(winner, dtype=float) - np.asarray(loser, dtype=float)
    return np.asarray((difference - 1 / (2 * require_temperature(beta))) ** 2)


def sppo_loss(winner: ArrayLike, loser: ArrayLike, *, step: float) -> Array:
    r"""Self-play preference optimisation: :math:`(r_w - g/2)^2 + (r_l + g/2)^2` with the ``step`` g > 0.

    Each log-ratio has a target of its own, so that the loss is not invariant to adding the same number to both.
    ``winner`` and ``loser`` hold log-ratios and broadcast. Wu et al. (2024), arXiv 2405.00675.
    """
    half = require_step(step) / 2
    return np.asarray((np.asarray(winner, dtype=float) - half) ** 2 + (np.asarray(loser, dtype=float) + half) ** 2)


def inpo_loss(winner: ArrayLike, loser: ArrayLike, *, step: float) -> Array:
    r"""Iterative Nash policy optimisation: :math:`(f_w - f_l - g/2)^2` with the ``step`` g > 0.

    ``winner`` and ``loser`` hold entries of f, see :func:`inpo_log_ratios`, and broadcast. It is IPO's loss at the temperature
    1/g, of other log-ratios. Zhang et al. (2024), arXiv 2407.00617, whose eta is 1/g.
    """
    return ipo_loss(winner, loser, beta=1 / require_step(step))


def inpo_log_ratios(
    log_policy: ArrayLike, log_current: ArrayLike, log_reference: ArrayLike, *, beta: float, step: float
) -> Array:
    r""":math:`f = \ln \pi - g\beta \ln \mu - (1 - g\beta) \ln \pi_t`, shape (..., K): what INPO regresses on.

    Needs ``step`` g with 0 < g beta <= 1. The arguments are log-probabilities of shape (..., K) and broadcast.
    """
    share = require_step(step) * require_temperature(beta)
    if share > 1:
        raise InputError(f"INPO needs step * beta <= 1, not {share:g}.")
    policy, current, reference = (np.asarray(v, dtype=float) for v in (log_policy, log_current, log_reference))
    return np.asarray(policy - share * reference - (1 - share) * current)


def expected_pair_loss(game: PreferenceGame, log_ratios: ArrayLike, log_sampling: ArrayLike, loss: PairLoss) -> Array:
    r"""The exact expectation :math:`\sum_{ij} 2 p_i p_j P_{ij}\, \ell(r_i, r_j)` of a pair loss.

    ``log_ratios``, shape (..., K); ``log_sampling``, shape (K,), the log-probabilities of p; ``loss(winner, loser)`` any of the
    losses above with its parameter bound, called once with arrays of shape (..., K, 1) and (..., 1, K). The result has shape
    (...). Time and memory are of order K^2 for each vector of log-ratios.
    """
    ratios = _vectors(game, log_ratios, "log-ratios")
    p = _sampling(game, log_sampling)
    weights = np.outer(p, p) * (1 + 2 * game.A)
    return np.asarray((weights * loss(ratios[..., :, None], ratios[..., None, :])).sum(axis=(-2, -1)))[()]


def sppo_regression_loss(game: PreferenceGame, log_ratios: ArrayLike, log_current: ArrayLike, *, step: float) -> Array:
    r"""SPPO's least-squares loss :math:`\mathbb{E}_{y \sim \pi_t} (r_y - g (A\pi_t)_y)^2`, shape (...) for ratios (..., K).

    The expectation of :func:`sppo_loss` over pairs from :math:`\pi_t` is twice this plus a number that does not depend on r.
    """
    ratios, p = _vectors(game, log_ratios, "log-ratios"), _sampling(game, log_current)
    return np.asarray((p * (ratios - require_step(step) * (game.A @ p)) ** 2).sum(axis=-1))[()]


def inpo_regression_loss(
    game: PreferenceGame, f: ArrayLike, log_current: ArrayLike, *, step: float, log_sampling: ArrayLike | None = None
) -> Array:
    r"""INPO's loss with win rates, :math:`\mathbb{E}_{y, y' \sim p} (f_y - f_{y'} - g ((A\pi_t)_y - (A\pi_t)_{y'}))^2`.

    ``f``, shape (..., K), from :func:`inpo_log_ratios`; ``log_current``, shape (K,), the policy :math:`\pi_t`, which is also
    the sampling policy p unless ``log_sampling`` names another. It is twice the variance of f - g A pi_t under p.
    """
    values = _vectors(game, f, "log-ratios")
    p = _sampling(game, log_current if log_sampling is None else log_sampling)
    residual = values - require_step(step) * (game.A @ _sampling(game, log_current))
    centred = residual - (p * residual).sum(axis=-1, keepdims=True)
    return np.asarray(2 * (p * centred**2).sum(axis=-1))[()]


def _vectors(game: PreferenceGame, values: ArrayLike, what: str) -> Array:
    array = np.asarray(values, dtype=float)
    if array.ndim == 0 or array.shape[-1] != game.actions:
        raise InputError(f"a game with {game.actions} actions has as many {what}, not an array of shape {array.shape}.")
    if not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise InputError(f"entry {place} of the {what} is {array[place]}, which is not finite.")
    return array


def _sampling(game: PreferenceGame, log_policy: ArrayLike) -> Array:
    """The probabilities of a policy given by log-probabilities; -inf stands for probability 0."""
    logs = np.asarray(log_policy, dtype=float)
    if logs.shape != (game.actions,):
        raise InputError(f"a policy of {game.actions} actions has the shape ({game.actions},), not {logs.shape}.")
    p = np.exp(logs)
    total = float(p.sum())
    if not abs(total - 1) <= NORMALISATION:
        raise InputError(f"the policy that pairs are drawn from sums to {total:.12g}, not to 1.")
    return p
