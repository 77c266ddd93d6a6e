"""The studies that `mdplab study` knows by name, each with what it measures and what it costs.

A study's cost is given in core-seconds of a processor of 2020 or later; over workers it divides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from experiments.optimistic_actor_critic import contexts_study, lock_study
from experiments.study import Study
from experiments.ucb1_regret import ucb1_regret
from theory.errors import InputError


@dataclass(frozen=True)
class Declared:
    """A study by name: ``what`` it measures in one sentence, how to make it, and its cost in core-seconds."""

    what: str
    make: Callable[[], Study]
    seconds: float


STUDIES: dict[str, Declared] = {
    "ucb1-regret": Declared("UCB1's regret over time on two-armed bandits, beside the theorem's bound.", ucb1_regret, 3),
    "regret-of-t": Declared(
        "The optimistic actor-critic's regret on hard contexts at gaps re-tuned to T, up to a million episodes.",
        lambda: contexts_study((8000, 32_000, 128_000, 512_000, 1_024_000), seed=0, runs=128, name="regret-of-t"),
        450,
    ),
    "vanishing-step": Declared(
        "The same with the step that vanishes with T: the actor's lag grows like the root of T.",
        lambda: contexts_study(
            (1000, 4000, 16_000, 64_000, 256_000), (2.0,), seed=0, runs=128, name="vanishing-step", vanishing=True
        ),
        30,
    ),
    "ucbvi-of-t": Declared(
        "UCBVI's regret on hard contexts, a new critic before each episode.",
        lambda: contexts_study(
            (2000, 8000, 32_000, 128_000),
            seed=0,
            runs=128,
            name="ucbvi-of-t",
            step=float("inf"),
            switching="every episode",
            reset=False,
            pooled=True,
        ),
        180,
    ),
    "offline-on-the-lock": Declared(
        "A learner without optimism on the lock with a bait, by the number of offline trajectories.",
        lambda: lock_study(
            (20_000,),
            seed=0,
            runs=400,
            name="offline-on-the-lock",
            offline=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
            mixture=0.2,
        ),
        70,
    ),
}


def declared(name: str) -> Declared:
    """The study of this name. Raises :class:`InputError` for a name that is not declared, with those that are."""
    if name not in STUDIES:
        raise InputError(f"there is no study {name!r}; there are {', '.join(STUDIES)}.")
    return STUDIES[name]
