"""Dynamics that ask one query an iteration: magnetic mirror descent, Hedge in self-play, Nash-MD, INPO, online IPO.

What is out of its stated range raises :class:`~theory.errors.InputError`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from games.dynamics import Run, one_query_dynamics
from games.oracle import Oracle, as_oracle
from games.preference import PreferenceGame
from games.prox import require_steps
from theory.errors import InputError
from theory.tilts import require_temperature


def magnetic_mirror_descent(
    game: PreferenceGame | Oracle, beta: float, iterations: int, *, step: ArrayLike, start: ArrayLike | None = None
) -> Run:
    r"""Magnetic mirror descent, the reference being the magnet.

    .. math:: \ln \pi_{t+1} = \frac{\ln \pi_t + g \beta \ln \mu + g A \pi_t}{1 + g \beta} + \text{const}

    with the ``step`` g > 0 (a number, or one for each iteration). Sokota, D'Orazio, Kolter, Loizou, Lanctot, Mitliagkas,
    Brown and Kroer (2022), arXiv 2206.05825.
    """
    return one_query_dynamics(as_oracle(game), require_temperature(beta), 1 / require_steps(step), 0.0, iterations, start)


def hedge(game: PreferenceGame | Oracle, iterations: int, *, step: ArrayLike, start: ArrayLike | None = None) -> Run:
    r"""Multiplicative weights against itself, :math:`\pi_{t+1} \propto \pi_t \exp(g A \pi_t)`, with the ``step`` g > 0.

    Freund and Schapire (1997); run against itself it is the ideal update of SPO and SPPO.
    """
    return one_query_dynamics(as_oracle(game), 0.0, 1 / require_steps(step), 0.0, iterations, start)


def nash_mirror_descent(
    game: PreferenceGame | Oracle, beta: float, iterations: int, *, step: ArrayLike, start: ArrayLike | None = None
) -> Run:
    r"""Nash-MD: :math:`q_t \propto \pi_t^{1-g\beta} \mu^{g\beta}`, then :math:`\pi_{t+1} \propto q_t \exp(g A q_t)`.

    The opponent of the query is the mixture. Needs ``step`` g with 0 < g beta <= 1. Munos et al. (2023), arXiv 2312.00886.
    """
    steps = require_steps(step)
    share = steps * require_temperature(beta)
    if (share > 1).any():
        raise InputError(f"Nash-MD needs step * beta <= 1, not {float(np.max(share)):g}.")
    return one_query_dynamics(as_oracle(game), 0.0, 1 / steps, share, iterations, start)


def inpo(
    game: PreferenceGame | Oracle, beta: float, iterations: int, *, step: ArrayLike, start: ArrayLike | None = None
) -> Run:
    r"""Iterative Nash policy optimisation, the policy that minimises INPO's loss exactly in every iteration.

    .. math:: \ln \pi_{t+1} = (1 - g\beta) \ln \pi_t + g\beta \ln \mu + g A \pi_t + \text{const}

    Mirror descent on the regularised payoff; needs ``step`` g (a number, or one for each iteration) with 0 < g beta <= 1. It is
    magnetic mirror descent with the step g / (1 - g beta). Zhang et al. (2024), arXiv 2407.00617, whose tau is beta and whose
    eta is 1/g.
    """
    temperature, steps = require_temperature(beta), require_steps(step)
    share = steps * temperature
    if (share > 1).any():
        raise InputError(f"INPO needs step * beta <= 1, not {float(np.max(share)):g}.")
    # rounding must not turn the weight of the current policy, 1/g - beta, negative where g beta = 1
    return one_query_dynamics(as_oracle(game), temperature, np.maximum(1 / steps - temperature, 0.0), 0.0, iterations, start)


def online_ipo(
    game: PreferenceGame | Oracle, beta: float, iterations: int, *, step: ArrayLike, start: ArrayLike | None = None
) -> Run:
    r"""Natural-gradient descent on the online IPO loss, with the ``step`` g, 0 < 4 g <= 1.

    The expectation of IPO's loss over pairs drawn from p, as a function of :math:`f = \ln \pi - \ln \mu`, is
    :math:`2 \mathrm{Var}_p(f) - \frac{4}{\beta} \langle p, f \circ A p\rangle` plus a constant. Its gradient, with p held
    fixed and then set to :math:`\pi`, has the entries :math:`4 \pi_y (f_y - \langle \pi, f\rangle - (A\pi)_y/\beta)`, which
    is :math:`-4/\beta` times the gradient of the regularised payoff against oneself. It vanishes at the regularised equilibrium
    alone. A natural-gradient step subtracts g times these entries, divided by :math:`\pi_y`, from :math:`\ln \pi_y`, so that
    the run is that of :func:`inpo` with the step :math:`4 g / \beta`. Calandriello et al. (2024), arXiv 2403.08635.
    """
    temperature, share = require_temperature(beta), 4 * require_steps(step)
    if (share > 1).any():
        raise InputError(f"online IPO needs step <= 1/4, not {float(np.max(share)) / 4:g}.")
    return inpo(game, temperature, iterations, step=share / temperature, start=start)
