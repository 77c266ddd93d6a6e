"""Natural policy gradient with neural critics of many widths, beside exact critics (claim nnpg/width-removes-error)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.study import Study, grid
from mdplab import neural
from mdplab.models import TabularMDP, dirichlet_mdp
from theory.random_streams import run_seeds

STATES, ACTIONS, GAMMA = 8, 4, 0.9
STEP = 0.05  # eta
RATE = 0.06  # of Adam, over the root of the number of hidden units
WIDTHS = (1, 2, 4, 8, 16, 32, 64)  # of the study
FITS = 10  # steps of Adam an iteration
LANES = 96


def instance(seed: int) -> TabularMDP:
    """The model of a run: dense and nearly deterministic, with uniform rewards."""
    return dirichlet_mdp(S=STATES, A=ACTIONS, gamma=GAMMA, concentration=0.3, seed=seed)


def critic_settings(widths: Sequence[int]) -> list[dict[str, float]]:
    """Hyperparameters of exact critics, of critics of the ``widths``, and of one that sees pairs of states, as wide as the last; in this order."""
    last = widths[-1]
    return [
        {"eta": STEP, "learning_rate": RATE / units**0.5, "units": units, "aliased": aliased, "exact": exact}
        for units, aliased, exact in ((last, 0, 1), *((units, 0, 0) for units in widths), (last, 1, 0))
    ]


def neural_npg_study(runs: int = 32, steps: int = 1000, checkpoints: int = 20, seed: int = 0) -> Study:
    """The study: for each critic, run and checkpoint the ``gap`` to the optimum and the mean ``error`` so far.

    Critics are ``tabular`` (exact), ``network`` (of one hidden layer of ``units``) and ``pairs`` (a network as wide as the widest, to which
    states look alike in pairs). The ``error`` is E_{d*} <Q - f, pi* - pi_t>, averaged over iterations; ``misfit`` the root mean square of Q - f.
    """
    points = grid(steps=steps, checkpoints=checkpoints)
    return Study("neural-npg", measure_critics, points, run_seeds(seed, runs), block=runs)


def measure_critics(*, seeds: NDArray[np.uint64], steps: int, checkpoints: int) -> dict[str, ArrayLike]:
    """The rows of :func:`neural_npg_study`, one for each run, critic and checkpoint."""
    done = neural.training.train(
        neural.mirror_descent.NeuralNPG(width=WIDTHS[-1], fits=FITS),
        neural.mirror_descent.compared_problems([instance(int(s)) for s in seeds]),
        seeds,
        steps,
        hypers=critic_settings(WIDTHS),
        checkpoints=np.unique(np.geomspace(1, steps, checkpoints).astype(np.int64)),
        lanes=LANES,
    )
    rows = done.columns()
    kind = np.where(rows["exact"] > 0, "tabular", np.where(rows["aliased"] > 0, "pairs", "network"))
    table: dict[str, ArrayLike] = {
        "seed": rows["seed"],
        "critic": kind,
        "units": rows["units"].astype(np.int64),
        "step": rows["step"],
    }
    for name in ("gap", "error", "misfit"):  # seven digits are enough for a picture
        table[name] = rows[name].astype(np.float32)
    return table | done.origin(rows["seed"].size)
