"""By how much trained critics overestimate, by the noise of rewards and by the number of critics (claims of dsact).

Beside it stands what the exact fixed point under fresh noise says at the noise that each run shows: the disagreement of its
critics.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.study import Study, grid
from mdplab import neural
from mdplab.learning.distributional_critic import Rule, noisy_fixed_point
from mdplab.models import TabularMDP, dirichlet_mdp
from mdplab.solvers import soft_policy_iteration
from theory.random_streams import run_seeds

if TYPE_CHECKING:
    from mdplab.neural.discrete_sac import SoftProblem

Array = NDArray[np.float64]

TEMPERATURE = 0.2
NOISES = (0.25, 0.5, 1.0, 2.0, 4.0)
ALGORITHMS = ("single SAC", "twin SAC", "DSAC v1", "DSAC-T")
LANES = 100


def instance(seed: int) -> TabularMDP:
    """The model of a run: 8 states, 4 actions, rows from Dirichlet(0.3), mean rewards uniform on [0, 1]."""
    return dirichlet_mdp(S=8, A=4, gamma=0.9, concentration=0.3, seed=seed % 2**32)


def stacked(seeds: NDArray[np.uint64]) -> SoftProblem:
    """The problems of runs, with rewards centred so that the soft optimum's mean value is 0."""
    mdps = [instance(int(seed)) for seed in seeds]
    return neural.distributional_sac.centred(neural.discrete_sac.stack_soft(mdps, [TEMPERATURE]))


def setting(algorithm: str, noise: float, **changes: float) -> dict[str, float]:
    """The hyperparameters of an algorithm, with rewards of standard deviation ``noise``, and what is changed in them."""
    usual = {"noise": noise, "scale": 1.0, "units": 0.0, "substituted": 0.0, "separate": 0.0}
    return usual | neural.distributional_sac.ALGORITHMS[algorithm] | changes


def predicted_bias(mdp: TabularMDP, std: float, members: int, rule: Rule = "minimum") -> float:
    """The mean over pairs of Q_s - Q*, Q_s the fixed point with fresh noise ``std`` of each of the critics in every backup."""
    biased = noisy_fixed_point(mdp, std, members=members, rule=rule, temperature=TEMPERATURE, tol=1e-3)
    return float(biased.mean() - soft_policy_iteration(mdp, TEMPERATURE).q.mean())


def neural_overestimation_study(runs: int = 24, steps: int = 1000, seed: int = 0) -> Study:
    """The study: two ``part`` s, by ``noise`` for the four algorithms, and by the number of critics, the ``members``, at
    noise 4.

    Columns of a run under a setting: ``algorithm``, ``members``, ``average`` (1 where critics are averaged, 0 where their
    minimum is taken), ``separate`` (1 where every critic sees a noise of its own), ``noise``; ``bias`` q - Q* and
    ``own_bias`` q - Q^pi, means over pairs; the ``error`` of a critic, and the disagreement of the ``averaged`` critics, from
    which ``predicted`` follows.
    """
    points = grid(part=("noise", "members"), steps=steps)
    return Study("neural-overestimation", measure_overestimation, points, run_seeds(seed, runs), block=runs)


def measure_overestimation(*, seeds: NDArray[np.uint64], part: str, steps: int) -> dict[str, ArrayLike]:
    """The rows of a part of :func:`neural_overestimation_study`, one for each run and setting."""
    arms: Sequence[tuple[str, dict[str, float]]]
    if part == "noise":
        arms = [(name, setting(name, noise)) for noise in NOISES for name in ALGORITHMS]
        arms += [("twin SAC", setting("twin SAC", noise, separate=1.0)) for noise in NOISES]
    else:
        arms = [
            ("SAC", setting("single SAC", 4.0, members=members, average=average, separate=separate))
            for separate in (0.0, 1.0)
            for average in (0.0, 1.0)
            for members in (1.0, 2.0, 3.0, 4.0)
            if members > 1 or average == 0
        ]
    done = neural.training.train(
        neural.distributional_sac.DistributionalSAC(critics=2 if part == "noise" else 4),
        stacked(seeds),
        seeds,
        steps,
        hypers=[hyper for _, hyper in arms],
        lanes=LANES,
    )
    table: dict[str, ArrayLike] = {"seed": np.repeat(seeds, len(arms))}
    table["algorithm"] = np.tile([name for name, _ in arms], seeds.size)
    for name in ("members", "average", "separate", "noise"):
        table[name] = np.tile([hyper[name] for _, hyper in arms], seeds.size)
    for name in ("bias", "own_bias", "error", "averaged"):  # seven digits are enough for a picture
        table[name] = done.last(name).T.ravel().astype(np.float32)
    table["predicted"] = np.array(
        [
            predicted_bias(
                instance(int(seed)),
                float(done.last("averaged")[arm, run]),
                int(hyper["members"]),
                "average" if hyper["average"] else "minimum",
            )
            for run, seed in enumerate(seeds)
            for arm, (_, hyper) in enumerate(arms)
        ],
        dtype=np.float32,
    )
    return table | done.origin(seeds.size * len(arms))
