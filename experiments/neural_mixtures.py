"""How many modes of a ring of bumps trained mixtures of Gaussian experts cover, by the number of experts and by how their weights learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.study import Study, grid
from mdplab import neural
from theory.random_streams import run_seeds

if TYPE_CHECKING:
    from mdplab.neural.training import Training

PLAIN = {"experts": 4.0, "score": 0.0, "surrogate": 0.0, "gumbel": 0.0, "sees": 1.0, "learning_rate": 0.02}
SETTINGS: dict[str, dict[str, float]] = {
    "1 expert": {"experts": 1.0, "score": 1.0},
    "2 experts": {"experts": 2.0, "score": 1.0},
    "3 experts": {"experts": 3.0, "score": 1.0},
    "score": {"score": 1.0},
    "surrogate": {"surrogate": 1.0},
    "gumbel": {"gumbel": 1.0},
    "held": {},
    "blind": {"score": 1.0, "sees": 0.0},
}


def train_mixtures(
    seeds: NDArray[np.uint64],
    steps: int,
    settings: tuple[str, ...],
    *,
    uneven: float = 0.15,
    device: str = "any",
    lanes: int | None = None,
) -> Training:
    """Mixtures of up to 4 experts (width 32) on rings of 4 bumps with heights in [1 - ``uneven``, 1], under some of the SETTINGS.

    ``steps`` of Adam on 4 contexts with 2 actions of each expert. Every setting meets the same rings and the same draws.
    """
    policies = neural.mixture_policies
    ring = policies.Ring()
    problems = policies.ring_problems(ring, seeds, uneven=uneven)
    hypers = [PLAIN | SETTINGS[name] for name in settings]
    experiment = policies.RingMixture(ring=ring, experts=4, batch=4)
    return neural.training.train(experiment, problems, seeds, steps, hypers=hypers, device=device, lanes=lanes)  # type: ignore[arg-type]


def mixtures_study(runs: int = 96, steps: int = 1000, uneven: tuple[float, ...] = (0.0, 0.15), seed: int = 0) -> Study:
    """The study: for equal and unequal heights, run and setting the ``gap``, the modes ``covered``, the mass near each bump."""
    return Study("neural-mixtures", measure_mixtures, grid(uneven=uneven, steps=steps), run_seeds(seed, runs))


def measure_mixtures(*, seeds: NDArray[np.uint64], uneven: float, steps: int) -> dict[str, NDArray[Any]]:
    """A row for each seed and setting, ``setting`` being its name."""
    names = tuple(SETTINGS)
    training = train_mixtures(seeds, steps, names, uneven=uneven, lanes=128)
    return {"setting": np.tile(np.array(names), seeds.size), **training.columns()}
