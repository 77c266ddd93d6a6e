"""DPO offline and online and HyPO with networks and with tables, as they train (claims ndpo/neural-vs-exact, hypo-repairs)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bandits.preference.contextual import ContextualBandit, contextual_hole_bandit, descended_policy, hypo_policy
from bandits.preference.kl_bandit import average, kl_gap
from experiments.study import Study, grid
from mdplab import neural
from theory.random_streams import run_seeds

if TYPE_CHECKING:
    from mdplab.neural.preference_optimisation import PreferenceProblem

Array = NDArray[np.float64]

# the holes' reward, their mass under the reference and in pairs, and how far they share features
VARIANTS: dict[str, dict[str, float]] = {
    "good": {"hole": 2.0, "delta": 0.25},
    "good, seen": {"hole": 2.0, "delta": 0.25, "weight": 0.25},
    "bad": {"hole": -2.0, "delta": 0.25},
    "bad, seen": {"hole": -2.0, "delta": 0.25, "weight": 0.25},
    "rare": {"hole": -2.0, "delta": 1e-3},
    "shared": {"hole": -2.0, "delta": 1e-3, "shared": 3.0},
    "shared, seen": {"hole": -2.0, "delta": 1e-3, "weight": 0.25, "shared": 3.0},
}
COEFFICIENT = 0.01  # of HyPO's divergence
LEARNING_RATE, TABLE_RATE = 0.003, 0.02  # of Adam for a network and for a table, which no hidden units amplify
LANES = 64


def instance(seed: int, variant: str) -> ContextualBandit:
    """The instance of a run, in one of the variants."""
    return contextual_hole_bandit(seed=seed, **VARIANTS[variant])


def stacked(seeds: NDArray[np.uint64]) -> PreferenceProblem:
    """The problems of runs, an instance for each seed in all VARIANTS."""
    return neural.preference_optimisation.stack_preferences([[fields(instance(int(s), v)) for v in VARIANTS] for s in seeds])


def setting(variant: str, **flags: float) -> dict[str, float]:
    """The hyperparameters of a method on a variant; offline DPO with a network and Adam, except for the ``flags``."""
    usual = {"online": 0.0, "coefficient": 0.0, "table": 0.0, "plain": 0.0, "learning_rate": LEARNING_RATE}
    return {"variant": float(list(VARIANTS).index(variant)), **usual, **flags}


def fields(made: ContextualBandit) -> dict[str, ArrayLike]:
    """The arrays of an instance, by the names of the fields of a problem."""
    bandit = made.bandit
    return {
        "reward": bandit.reward,
        "log_reference": bandit.log_reference,
        "log_pairs": bandit.log_pairs,
        "log_optimum": bandit.log_optimum,
        "weights": np.asarray(bandit.prompts),
        "beta": bandit.beta,
        "contexts": made.contexts,
        "features": made.features,
        "holes": made.holes,
    }


def neural_dpo_study(runs: int = 32, steps: int = 500, checkpoints: int = 24, seed: int = 0) -> Study:
    """The study: for each family of holes, method, policy class, run and checkpoint the ``gap`` and the ``mass`` on the
    holes.

    Families: ``good`` (holes of probability 1/4 and reward 2, with features of their own) and ``shared`` (0.001 and -2, and
    the features of the others). Methods: ``offline`` (no pair shows a hole), ``seen`` (a quarter of the responses in pairs
    are holes), ``online``, ``HyPO`` (pairs as in ``offline``). Policies: a ``network`` or a ``table``. ``exact_gap`` and
    ``exact_mass`` are those of where the exact theory says that the method ends: descent's limit, the optimum, HyPO's
    minimiser. ``device`` trained the networks.
    """
    return Study("neural-dpo", measure_training, grid(steps=steps, checkpoints=checkpoints), run_seeds(seed, runs), block=runs)


def measure_training(*, seeds: NDArray[np.uint64], steps: int, checkpoints: int) -> dict[str, ArrayLike]:
    """The rows of :func:`neural_dpo_study`, one for each run, family, method, policy and checkpoint."""
    flags = {"offline": {}, "seen": {}, "online": {"online": 1.0}, "HyPO": {"coefficient": COEFFICIENT}}
    classes = {"network": {"learning_rate": LEARNING_RATE}, "table": {"table": 1.0, "learning_rate": TABLE_RATE}}
    arms = [(family, method, kind) for family in ("good", "shared") for method in flags for kind in classes]
    marks = np.unique(np.geomspace(1, steps, checkpoints).astype(np.int64))
    done = neural.training.train(
        neural.preference_optimisation.PreferenceOptimisation(),
        stacked(seeds),
        seeds,
        steps,
        hypers=[setting(_variant(family, method), **flags[method], **classes[kind]) for family, method, kind in arms],
        checkpoints=marks,
        lanes=LANES,
    )
    H, K = len(arms), marks.size
    exact = np.array([[_exact(instance(int(s), _variant(f, m)), m) for f, m, _ in arms] for s in seeds])
    table: dict[str, ArrayLike] = {"seed": np.repeat(seeds, H * K)}
    for place, name in enumerate(("family", "method", "policy")):
        table[name] = np.tile(np.repeat([arm[place] for arm in arms], K), seeds.size)
    table["step"] = np.tile(marks, seeds.size * H)
    for name in ("gap", "mass"):  # seven digits are enough for a picture
        table[name] = done.measured[name].transpose(1, 0, 2).ravel().astype(np.float32)
    table["start_gap"] = done.measured["start_gap"].transpose(1, 0, 2).ravel()
    table["best_mass"] = done.measured["best_mass"].transpose(1, 0, 2).ravel()
    for place, name in enumerate(("exact_gap", "exact_mass")):
        table[name] = np.repeat(exact[:, :, place].ravel(), K)
    return table | done.origin(seeds.size * H * K)


def _variant(family: str, method: str) -> str:
    return f"{family}, seen" if method == "seen" else family


def _exact(made: ContextualBandit, method: str) -> tuple[float, float]:
    """The gap, and the mass on the holes, of what the method ends with."""
    bandit = made.bandit
    if method == "HyPO":
        policy = hypo_policy(made, COEFFICIENT)
    else:
        policy = bandit.log_optimum if method == "online" else descended_policy(made)
    return float(kl_gap(bandit, policy)), float(average(bandit, np.exp(policy)[:, made.holes].sum(axis=1)))
