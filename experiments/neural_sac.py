"""Soft Actor-Critic with small networks on random MDPs, for four kinds of critics, beside the exact soft optimum."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.study import Study, grid
from mdplab import neural
from mdplab.models import TabularMDP, dirichlet_mdp
from theory.random_streams import run_seeds

BASE = {"level": 0.0, "pessimism": 1.0, "bonus": 1.0, "automatic": 0.0, "target": 0.5}
CRITICS: dict[str, dict[str, float]] = {
    "minimum": BASE,
    "single": BASE | {"pessimism": 0.0},
    "maximum": BASE | {"pessimism": -1.0},
    "no entropy": BASE | {"bonus": 0.0},
}


def model_of(seed: int) -> TabularMDP:
    """The instance of a run: 8 states, 4 actions, Dirichlet(0.3) rows, discount 0.9."""
    return dirichlet_mdp(S=8, A=4, gamma=0.9, concentration=0.3, seed=seed)


def neural_sac_study(
    temperatures: Sequence[float] = (0.05, 0.1, 0.2, 0.5, 1.0), steps: int = 2000, runs: int = 64, seed: int = 0
) -> Study:
    """The study: for each kind of critic, temperature and run the gaps and biases after training."""
    points = grid(critic=tuple(CRITICS), temperature=temperatures, steps=steps)
    return Study("neural-sac", measure_critics, points, run_seeds(seed, runs))


def measure_critics(*, seeds: NDArray[np.uint64], critic: str, temperature: float, steps: int) -> dict[str, ArrayLike]:
    """Runs of one kind of critic at one temperature, a row each: ``gap``, ``uniform`` (that of the uniform policy), ``bias``.

    They are averages over states and pairs, as :class:`mdplab.neural.discrete_sac.DiscreteSAC` measures them. ``state`` is one
    state of the run, its seed modulo 8, with its ``exact`` soft value and the critics', ``neural``.
    """
    problems = neural.discrete_sac.stack_soft([model_of(int(word)) for word in seeds], [temperature])
    training = neural.training.train(
        neural.discrete_sac.DiscreteSAC(averaging=0.05), problems, seeds, steps, hypers=[CRITICS[critic]], lanes=64
    )
    columns = training.columns()
    state = (seeds % 8).astype(np.int64)
    each = np.arange(seeds.size)
    return {
        **{name: columns[name] for name in ("seed", "gap", "uniform", "bias", "device", "jax")},
        "state": state,
        "exact": training.last("optima")[0, each, state],
        "neural": training.last("values")[0, each, state],
    }
