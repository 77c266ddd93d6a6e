"""Studies of the tabular optimistic actor-critic: the regret of hard contexts and of the lock, with and without offline data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from experiments.study import Study, joined
from mdplab.learning.optimistic_actor_critic import (
    ActorCritic,
    Bonus,
    OfflineData,
    Switching,
    optimistic_actor_critic,
    vanishing_step,
)
from mdplab.models import EpisodicMDP, episodic_lock, hard_contexts
from mdplab.solvers import backward_induction, episodic_occupancy
from theory.coverage import single_policy_concentrability
from theory.random_streams import run_seeds

HORIZON = 5
GREATEST_GAP = 0.5
FIXED_GAP = 0.35


def retuned_gap(contexts: int, actions: int, episodes: int, multiple: float) -> float:
    """The gap sqrt(C A / T) times ``multiple``, at most 1/2: of the order at which T episodes just fail to find the best arms."""
    return min(GREATEST_GAP, multiple * float(np.sqrt(contexts * actions / episodes)))


def contexts_study(
    episodes: Sequence[int],
    multiples: Sequence[float] = (1.0, 2.0, 4.0),
    *,
    seed: int,
    runs: int,
    name: str = "hard-contexts",
    contexts: Sequence[int] = (4,),
    actions: int = 4,
    fixed_gap: float | None = None,
    scale: float = 0.5,
    step: float = 1.0,
    vanishing: bool = False,
    bonus: Bonus = "hoeffding",
    switching: Switching = "doubling",
    reset: bool = True,
    pooled: bool = False,
    offline_share: float = 0.0,
    offline_episodes: int = 0,
    mixture: float = 0.5,
    covered: bool = True,
    checkpoints: int = 1,
) -> Study:
    """Runs on hard contexts (H = 5), one point for each number of contexts and episodes and each multiple of the gap.

    The gap is re-tuned to T (:func:`retuned_gap`) unless ``fixed_gap`` is given; ``vanishing`` re-tunes the step as well
    (:func:`~mdplab.learning.optimistic_actor_critic.vanishing_step`). Offline data, ``offline_episodes`` + ``offline_share`` T
    episodes, comes from the optimal policy with probability ``mixture`` in each state, else from a uniform one; unless it is
    ``covered``, from a policy that never takes the best arm. ``checkpoints`` are evenly spaced in log time. Rows: ``seed, episode, regret, switches, tracking``.
    """
    points = []
    for C in contexts:
        for T in episodes:
            for multiple in multiples:
                gap = retuned_gap(C, actions, T, multiple) if fixed_gap is None else fixed_gap
                points.append(
                    {
                        "contexts": C,
                        "actions": actions,
                        "episodes": T,
                        "multiple": float(multiple),
                        "gap": gap,
                        "bonus": bonus,
                        "scale": scale,
                        "step": vanishing_step(hard_contexts(C=C, A=actions, H=HORIZON), T) if vanishing else step,
                        "switching": switching,
                        "reset": reset,
                        "pooled": pooled,
                        "offline": offline_episodes + round(offline_share * T),
                        "mixture": mixture,
                        "covered": covered,
                        "checkpoints": checkpoints,
                    }
                )
    return Study(name, measure_contexts, points, run_seeds(seed, runs), block=32)


def measure_contexts(
    *,
    seeds: NDArray[np.uint64],
    contexts: int,
    actions: int,
    episodes: int,
    multiple: float,
    gap: float,
    bonus: Bonus,
    scale: float,
    step: float,
    switching: Switching,
    reset: bool,
    pooled: bool,
    offline: int,
    mixture: float,
    covered: bool,
    checkpoints: int,
) -> dict[str, ArrayLike]:
    """One point of :func:`contexts_study`. The learner treats all arms alike, so one choice of the hidden arms stands for all."""
    mdp = hard_contexts(C=contexts, A=actions, H=HORIZON, gap=gap)
    behaviour = mixed_policy(mdp, mixture) if covered else without_optimum(mdp, step=1)
    data = OfflineData(behaviour, offline) if offline else None
    algorithm = ActorCritic(bonus, scale, step, switching=switching, reset=reset, pooled=pooled, offline=data)
    return _rows(mdp, episodes, seeds, algorithm, checkpoints)


def lock_study(
    episodes: Sequence[int],
    *,
    seed: int,
    runs: int,
    name: str = "lock",
    scale: float = 0.0,
    offline: Sequence[int] = (0,),
    mixture: float = 0.5,
    covered: bool = True,
    checkpoints: int = 1,
) -> Study:
    """Runs on the lock of 3 actions, 6 steps, bait .1 and top .8, one point for each number of episodes and of offline episodes.

    A greedy learner that has met the bait misses the optimum for good. Offline data comes from the optimal policy with probability
    ``mixture`` at each step, else from a uniform one; unless it is ``covered``, from a policy that never takes the optimal first
    action. Rows as in :func:`contexts_study`.
    """
    points = [
        {
            "episodes": T,
            "scale": scale,
            "offline": number,
            "mixture": mixture,
            "covered": covered,
            "checkpoints": checkpoints,
        }
        for T in episodes
        for number in offline
    ]
    return Study(name, measure_lock, points, run_seeds(seed, runs), block=32)


def measure_lock(
    *,
    seeds: NDArray[np.uint64],
    episodes: int,
    scale: float,
    offline: int,
    mixture: float,
    covered: bool,
    checkpoints: int,
) -> dict[str, ArrayLike]:
    """One point of :func:`lock_study`."""
    mdp = bait_lock()
    behaviour = mixed_policy(mdp, mixture) if covered else without_optimum(mdp, step=0)
    data = OfflineData(behaviour, offline) if offline else None
    return _rows(mdp, episodes, seeds, ActorCritic(scale=scale, offline=data), checkpoints)


def worst_gap_study(episodes: Sequence[int] = (2000, 8000, 32_000, 128_000), *, seed: int, runs: int) -> Study:
    """Regret at re-tuned gaps of the bonus ``scale`` 1/2 with the constant and the vanishing step, and of scale 1."""
    settings: tuple[dict[str, Any], ...] = ({"step": 1.0}, {"vanishing": True}, {"scale": 1.0})
    return joined("worst-gap", [contexts_study(episodes, seed=seed, runs=runs, **setting) for setting in settings])


def actor_step_study(episodes: Sequence[int] = (1000, 4000, 16_000, 64_000, 256_000), *, seed: int, runs: int) -> Study:
    """The actor's lag and the regret at twice the re-tuned gap, with the constant step 1 and with the vanishing one."""
    studies = [contexts_study(episodes, (2.0,), seed=seed, runs=runs, vanishing=vanishing) for vanishing in (False, True)]
    return joined("actor-step", studies)


def accuracy_study(
    accuracies: Sequence[float] = (0.4, 0.2, 0.1, 0.05), *, seed: int, runs: int, checkpoints: int = 600
) -> Study:
    """Regret over 300 / epsilon^2 episodes at the gaps m epsilon / (H - 2), m = 2, 3, 4, and at :data:`FIXED_GAP`."""
    studies = [
        contexts_study((round(300 / epsilon**2),), (1.0,), seed=seed, runs=runs, fixed_gap=gap, checkpoints=checkpoints)
        for epsilon in accuracies
        for gap in (*(min(GREATEST_GAP, m * epsilon / (HORIZON - 2)) for m in (2.0, 3.0, 4.0)), FIXED_GAP)
    ]
    return joined("samples-to-epsilon", studies)


def threshold_study(
    shares: Sequence[float] = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0),
    uncovered: Sequence[int] = (1, 10, 100, 1000, 4000),
    *,
    seed: int,
    runs: int,
    episodes: int = 3000,
) -> Study:
    """Regret on the lock with ``shares`` of c2* offline episodes for three mixtures, and with ``uncovered`` ones that lack the optimum."""
    studies = []
    for mixture in (0.5, 0.2, 0.1):
        sizes = [max(1, round(share * lock_coefficient(mixture))) for share in shares]
        studies.append(lock_study((episodes,), seed=seed, runs=runs, offline=sizes, mixture=mixture))
    studies.append(lock_study((episodes,), seed=seed, runs=runs, offline=uncovered, covered=False))
    return joined("offline-threshold", studies)


def lock_coefficient(mixture: float) -> float:
    """c2* of the optimal policy of the lock with a bait, for data from :func:`mixed_policy`."""
    mdp = bait_lock()
    star = episodic_occupancy(mdp, backward_induction(mdp).policy).pair
    return single_policy_concentrability(episodic_occupancy(mdp, mixed_policy(mdp, mixture)).pair, star)


def bait_lock() -> EpisodicMDP:
    """The lock of :func:`lock_study`."""
    return episodic_lock(A=3, H=6, bait=0.1, top=0.8)


def mixed_policy(mdp: EpisodicMDP, mixture: float) -> NDArray[np.float64]:
    """The policy (H, S, A) that takes the optimal action with probability ``mixture`` in each state, else a uniform one."""
    optimal = np.eye(mdp.actions)[backward_induction(mdp).policy]
    return np.asarray(mixture * optimal + (1 - mixture) / mdp.actions)


def without_optimum(mdp: EpisodicMDP, step: int) -> NDArray[np.float64]:
    """The uniform policy (H, S, A), but that at one ``step`` it never takes the optimal action."""
    policy = np.full(mdp.R.shape, 1 / mdp.actions)
    others = np.arange(mdp.actions) != backward_induction(mdp).policy[step][:, None]
    policy[step] = others / others.sum(axis=1, keepdims=True)
    return policy


def by_point(table: pd.DataFrame, value: str, *axes: str) -> NDArray[np.float64]:
    """The column ``value`` as an array: one axis for each of the parameters ``axes``, in the order of the study, the runs last."""
    levels = [table[axis].unique() for axis in axes]
    index = [pd.Categorical(table[axis], categories=level).codes for axis, level in zip(axes, levels)]
    seeds = table["seed"].unique()
    run = pd.Categorical(table["seed"], categories=seeds).codes
    array = np.full((*(len(level) for level in levels), len(seeds)), np.nan)
    array[(*index, run)] = table[value]
    return array


def _rows(
    mdp: EpisodicMDP, episodes: int, seeds: NDArray[np.uint64], algorithm: ActorCritic, checkpoints: int
) -> dict[str, ArrayLike]:
    marks = np.unique(np.geomspace(min(50, episodes), episodes, checkpoints).round().astype(np.int64))
    marks = marks if checkpoints > 1 else np.array([episodes])
    runs = optimistic_actor_critic(mdp, episodes, seeds, algorithm, checkpoints=marks)
    assert runs.tracking is not None
    return {
        "seed": np.repeat(seeds, marks.size),
        "episode": np.tile(marks, seeds.size),
        "regret": runs.pseudo_regret.ravel(),
        "switches": runs.switches.ravel(),
        "tracking": runs.tracking.ravel(),
    }
