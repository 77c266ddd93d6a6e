"""Dynamics that ask one query an iteration: magnetic mirror descent, Hedge in self-play, Nash-MD."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from games.dynamics import Run, one_query_dynamics
from games.oracle import Oracle, as_oracle
from games.preference import PreferenceGame, require_temperature
from theory.errors import InputError


def magnetic_mirror_descent(
    game: PreferenceGame | Oracle, beta: float, iterations: int, *, step: ArrayLike, start: ArrayLike | None = None
) -> Run:
    r"""Magnetic mirror descent, the reference being the magnet.

    .. math:: \ln \pi_{t+1} = \frac{\ln \pi_t + g \beta \ln \mu + g A \pi_t}{1 + g \beta} + \text{const}

    with the ``step`` g > 0 (a number, or one for each iteration). Sokota, D'Orazio, Kolter, Loizou, Lanctot, Mitliagkas,
    Brown and Kroer (2022), arXiv 2206.05825.
    """
    return one_query_dynamics(as_oracle(game), require_temperature(beta), 1 / _positive(step), 0.0, iterations, start)


def hedge(game: PreferenceGame | Oracle, iterations: int, *, step: ArrayLike, start: ArrayLike | None = None) -> Run:
    r"""Multiplicative weights against itself, :math:`\pi_{t+1} \propto \pi_t \exp(g A \pi_t)`, with the ``step`` g > 0.

    Freund and Schapire (1997); run against itself it is the ideal update of SPO and SPPO.
    """
    return one_query_dynamics(as_oracle(game), 0.0, 1 / _positive(step), 0.0, iterations, start)


def nash_mirror_descent(
    game: PreferenceGame | Oracle, beta: float, iterations: int, *, step: ArrayLike, start: ArrayLike | None = None
) -> Run:
    r"""Nash-MD: :math:`q_t \propto \pi_t^{1-g\beta} \mu^{g\beta}`, then :math:`\pi_{t+1} \propto q_t \exp(g A q_t)`.

    The opponent of the query is the mixture. Needs ``step`` g with 0 < g beta <= 1. Munos et al. (2023), arXiv 2312.00886.
    """
    steps = _positive(step)
    share = steps * require_temperature(beta)
    if (share > 1).any():
        raise InputError(f"Nash-MD needs step * beta <= 1, not {float(np.max(share)):g}.")
    return one_query_dynamics(as_oracle(game), 0.0, 1 / steps, share, iterations, start)


def _positive(step: ArrayLike) -> np.ndarray:
    steps = np.asarray(step, dtype=float)
    if not ((steps > 0) & np.isfinite(steps)).all():
        raise InputError(f"step sizes are positive and finite, not {step!r}.")
    return steps
