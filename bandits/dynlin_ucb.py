r"""DynLin-UCB: optimism for dynamical linear bandits, in epochs that are long enough for the state to settle.

Epoch m = 1, 2, ... plays :math:`u_m = \arg\max_u \langle\hat h, u\rangle + \beta \|u\|_{V^{-1}}` for 1 + H_m rounds and uses its last reward alone:
:math:`V \mathrel{+}= u_m u_m^\top`, :math:`b \mathrel{+}= u_m y`, :math:`\hat h = V^{-1} b`. What is left of the past in that reward is of the
order :math:`\bar\rho^{H_m}`. LinUCB is the variant with epochs of one round.

Source: Mussi, Metelli and Restelli 2023, arXiv 2211.08997. Their schedule, as far as it could be read, is
:math:`H_m = \lfloor \ln m / \ln(1/\bar\rho)\rfloor`; the default here is the ceiling, for which the radius is proved (claim
dynamical-linear-bandits/epoch-length).
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bandits import _kernels_linear as kernels
from bandits.dynamical import DynamicalLinearBandit
from bandits.linear import LinearRuns, read_script, require_learner
from theory.bounds.linear_bandits import dynlin_radius
from theory.errors import InputError
from theory.random_streams import read_checkpoints, read_seeds

Ints = NDArray[np.int64]
Rule = Literal["ceil", "floor", "one"]
INTEGER = 1e-12  # a quotient of logarithms this near to a whole number is taken for it


def epoch_lengths(epochs: int, rate: float, rule: Rule = "ceil") -> Ints:
    r"""1 + H_m for m = 1, ..., ``epochs``, shape (epochs,): :math:`H_m = \lceil \ln m / \ln(1/\bar\rho)\rceil`, its floor, or 0 ("one").

    ``rate`` in (0, 1). Raises :class:`InputError` for another rate or rule, and for fewer than one epoch.
    """
    if epochs < 1 or not 0 < rate < 1:
        raise InputError(f"epochs are at least 1 and the rate is strictly between 0 and 1, not {epochs} and {rate}.")
    if rule not in ("ceil", "floor", "one"):
        raise InputError(f"the rule of epochs is 'ceil', 'floor' or 'one', not {rule!r}.")
    if rule == "one":
        return np.ones(epochs, dtype=np.int64)
    settled = np.log(np.arange(1, epochs + 1)) / -math.log(rate)
    whole = np.ceil(settled - INTEGER) if rule == "ceil" else np.floor(settled + INTEGER)
    return 1 + whole.astype(np.int64)


def epochs_within(rounds: int, rate: float, rule: Rule = "ceil") -> Ints:
    """The lengths of the epochs that begin within ``rounds`` rounds; the last may end later."""
    lengths = epoch_lengths(rounds, rate, rule)
    return lengths[: int(np.searchsorted(np.cumsum(lengths), rounds)) + 1]


def dynlin_ucb(
    bandit: DynamicalLinearBandit,
    horizon: int,
    seeds: ArrayLike,
    checkpoints: ArrayLike | None = None,
    *,
    rule: Rule = "ceil",
    ridge: float | None = None,
    delta: float | None = None,
    width: float = 1.0,
    bias: float | None = None,
    actions_played: ArrayLike | None = None,
) -> LinearRuns:
    r"""Runs of DynLin-UCB for ``horizon`` rounds, one for each seed, with the radius of the system's own bounds.

    ``ridge`` is ln(horizon) (at least 1) and ``delta`` 1/horizon (at most 1/2) unless given. ``width`` >= 0 multiplies the radius in
    the index, not the one that errors are divided by. ``bias`` >= 0 multiplies the radius's first term, by default 1, or 0
    for epochs of one round: rule "one" is LinUCB, which knows of no state. ``actions_played`` fixes the design instead:
    epoch m plays its entry m - 1 modulo its length.

    The regret of a round is max <h, u> less the mean reward given all actions so far. Raises :class:`InputError` for
    arguments out of range.
    """
    marks, each = read_checkpoints(horizon, checkpoints, "round"), read_seeds(seeds)
    ridge = max(math.log(horizon), 1.0) if ridge is None else ridge
    delta = min(1 / horizon, 0.5) if delta is None else delta
    require_learner(ridge, delta, width)
    factor = float(rule != "one") if bias is None else bias
    if not (0 <= factor < math.inf):
        raise InputError(f"the factor of the bias is finite and at least 0, not {factor}.")
    lengths = epochs_within(horizon, bandit.rate, rule)
    radius = dynlin_radius(np.arange(lengths.size + 1), bandit.dimension, bandit.bounds, ridge=ridge, delta=delta, bias=factor)
    found = kernels.optimistic_runs(
        bandit.A.copy(),
        bandit.B.copy(),
        bandit.omega.copy(),
        bandit.theta.copy(),
        bandit.actions[None].copy(),
        np.array([(bandit.actions @ bandit.markov_parameter).max()]),
        bandit.markov_parameter.copy(),
        math.sqrt(3) * float(bandit.state_deviation),
        float(bandit.reward_deviation),
        lengths,
        radius,
        0.0,
        0.0,
        float(width),
        float(ridge),
        read_script(actions_played, bandit.actions.shape[0]),
        each,
        marks,
    )
    return LinearRuns(marks, each, *found)
