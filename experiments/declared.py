"""The studies that `mdplab study` knows by name, each with what it measures and what it costs; those of the figures are among them.

A study's cost is given in core-seconds of a processor of 2020 or later; over workers it divides.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.dataset_resets import resets_study
from experiments.neural_dpo import neural_dpo_study
from experiments.neural_meta import neural_meta_study
from experiments.neural_mixtures import mixtures_study
from experiments.neural_nash import neural_nash_study
from experiments.neural_npg import neural_npg_study
from experiments.neural_overestimation import neural_overestimation_study
from experiments.neural_sac import neural_sac_study
from experiments.neural_tokens import neural_tokens_study
from experiments.optimistic_actor_critic import (
    accuracy_study,
    actor_step_study,
    contexts_study,
    lock_study,
    threshold_study,
    worst_gap_study,
)
from experiments.study import Study, run_study, stored_table
from experiments.token_feedback import feedback_study
from experiments.ucb1_regret import ucb1_regret
from theory.errors import InputError

FOLDER = Path("studies")  # where studies are kept unless another folder is given


@dataclass(frozen=True)
class Declared:
    """A study by name: ``what`` it measures in one sentence, how to make it, and its cost in core-seconds.

    ``quick`` are arguments of ``make`` for a small study of the same kind, which the quick size of a figure shows.
    """

    what: str
    make: Callable[..., Study]
    seconds: float
    quick: Mapping[str, Any] = field(default_factory=dict)


STUDIES: dict[str, Declared] = {
    "ucb1-regret": Declared(
        "UCB1's regret over time on two-armed bandits, beside the theorem's bound.",
        ucb1_regret,
        3,
        {"horizon": 10_000, "runs": 40},
    ),
    "worst-gap": Declared(
        "The optimistic actor-critic's regret on hard contexts at gaps re-tuned to T, for three settings.",
        partial(worst_gap_study, seed=1, runs=24),
        15,
        {"episodes": (250, 1000, 4000), "runs": 4},
    ),
    "actor-step": Declared(
        "The actor's lag and regret with a constant and with a vanishing step.",
        partial(actor_step_study, seed=3, runs=24),
        10,
        {"episodes": (250, 1000, 4000), "runs": 4},
    ),
    "samples-to-epsilon": Declared(
        "Regret until its average stays below epsilon, at gaps re-tuned to epsilon and at a fixed one.",
        partial(accuracy_study, seed=4, runs=16),
        6,
        {"accuracies": (0.4, 0.3, 0.2), "runs": 4, "checkpoints": 100},
    ),
    "offline-threshold": Declared(
        "Regret on the lock with a bait without optimism, by the share of c2* of offline trajectories.",
        partial(threshold_study, seed=5, runs=200),
        12,
        {"shares": (0.1, 0.5, 2.0, 8.0), "uncovered": (1, 30, 1000), "runs": 20, "episodes": 500},
    ),
    "dataset-resets": Declared(
        "Roll-outs until a lock opens, with resets to states of data and without.",
        partial(resets_study, seed=0, runs=40),
        20,
        {"heights": (3, 5, 7), "runs": 4, "most": 30_000},
    ),
    "token-feedback": Declared(
        "Gaps of rewards fitted token by token and response by response to the same comparisons.",
        partial(feedback_study, seed=1, runs=40),
        3,
        {"numbers": (250, 1000, 4000), "runs": 5},
    ),
    "neural-nash": Declared(
        "Networks that learn the equilibria of contextual preference games, by query: Nash-MD, Nash-MP and online IPO.",
        neural_nash_study,
        15,
    ),
    "neural-dpo": Declared(
        "DPO offline and online and HyPO with networks and with tables, as they train, beside where they end exactly.",
        neural_dpo_study,
        35,
    ),
    "neural-meta": Declared(
        "Learned schedules of step sizes at two horizons, and the worst regret of learned update rules by curriculum.",
        neural_meta_study,
        60,
    ),
    "neural-npg": Declared(
        "Natural policy gradient with neural critics of 1 to 64 hidden units, by iteration, beside exact critics.",
        neural_npg_study,
        40,
    ),
    "neural-overestimation": Declared(
        "The bias of trained critics by the noise of rewards and by the number of critics, beside the exact prediction.",
        neural_overestimation_study,
        120,
    ),
    "neural-sac": Declared(
        "Soft Actor-Critic with small networks on random MDPs, by temperature and kind of critic, beside the exact soft optimum.",
        neural_sac_study,
        60,
    ),
    "neural-tokens": Declared(
        "A small transformer on token trees, by training step: exact gradients, REINFORCE, DPO, GRPO and soft-Q regression.",
        neural_tokens_study,
        40,
    ),
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
    "neural-mixtures": Declared(
        "Modes of a ring that trained mixtures of Gaussian experts cover, by experts and by how the weights learn.",
        mixtures_study,
        120,
    ),
}


def declared(name: str) -> Declared:
    """The study of this name. Raises :class:`InputError` for a name that is not declared, with those that are."""
    if name not in STUDIES:
        raise InputError(f"there is no study {name!r}; there are {', '.join(STUDIES)}.")
    return STUDIES[name]


def stored_or_run(name: str, folder: Path | None = None, *, quick: bool = False) -> pd.DataFrame:
    """The table of a declared study: the one kept in ``folder`` if it is finished, whole and of the present code, else a new one.

    Says on standard error which it is, and why. What is computed here is not kept. The ``quick`` study is computed without a word.
    """
    known, folder = declared(name), folder or Path(os.environ.get("MDPLAB_STUDIES", FOLDER))
    if quick:
        return run_study(known.make(**known.quick))
    study = known.make()
    try:
        table = stored_table(study, folder)
    except InputError as error:
        begun = (folder / name).exists()
        why = str(error) if begun else f"it is not kept in {folder}, which `mdplab study run {name}` does."
        print(f"the study {name} is computed (about {known.seconds:.0f} s): {why}", file=sys.stderr)
        return run_study(study)
    print(f"the study {name} is read from {folder / name}.", file=sys.stderr)
    return table
