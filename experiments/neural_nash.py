"""Networks that learn the equilibria of contextual preference games: Nash-MD, Nash-MP and online IPO."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.study import Study, grid
from games.generators import logistic
from games.preference import PreferenceGame
from games.regularised import solve_regularised
from mdplab import neural
from theory.random_streams import run_seeds

if TYPE_CHECKING:
    from mdplab.neural.nash_learning import ContextualGames
    from mdplab.neural.training import Training

BETA = 0.2
STEP = 0.5  # of Nash-MD
ACTIONS, CONTEXTS, FEATURES = 5, 8, 6
METHODS = (
    "nash-md",
    "nash-mp",
    "online-ipo",
    "nash-mp barely fitted",
    "nash-md with a step of 3",
    "offline ipo",
    "best response",
)


def contextual_games(seed: int) -> list[PreferenceGame]:
    """The games of one run by context: half of them logistic, half rock-paper-scissors of five actions, with random references."""
    seeds = np.random.default_rng([seed, 1]).integers(2**32, size=CONTEXTS).tolist()
    return [logistic(K=ACTIONS, rotating=2 * c >= CONTEXTS, seed=s) for c, s in enumerate(seeds)]


def games_of_runs(seeds: NDArray[np.uint64]) -> ContextualGames:
    """The problems of the runs, each with games of its own, and with standard normal features of the contexts."""
    games = [contextual_games(seed) for seed in seeds.tolist()]
    return neural.nash_learning.stack_games(
        [[game.A for game in row] for row in games],
        [[game.log_reference for game in row] for row in games],
        [[solve_regularised(game, BETA).log_policy for game in row] for row in games],
        [np.random.default_rng([seed, 2]).standard_normal((CONTEXTS, FEATURES)) for seed in seeds.tolist()],
        BETA,
    )


def settings() -> dict[str, dict[str, float]]:
    """The settings that are trained side by side: the three methods, and variants that lack something; keys are :data:`METHODS`."""
    nash = neural.nash_learning
    made = (
        nash.nash_md(STEP),
        nash.nash_mp(),
        nash.online_ipo(),
        nash.nash_mp(rate=0.0003),
        nash.nash_md(3.0),
        nash.online_ipo(own_pairs=False),
        nash.best_response(),
    )
    return dict(zip(METHODS, made, strict=True))


def train_methods(
    problems: ContextualGames,
    seeds: NDArray[np.uint64],
    updates: int,
    *,
    methods: tuple[str, ...] = METHODS,
    width: int = 32,
    device: Literal["any", "gpu"] = "any",
    lanes: int | None = None,
) -> Training:
    """Train networks of the ``width`` by every one of the ``methods``, measured after each update."""
    known = settings()
    return neural.training.train(
        neural.nash_learning.NashLearning(width=width),
        problems,
        seeds,
        updates,
        hypers=[known[name] for name in methods],
        checkpoints=np.arange(1, updates + 1),
        device=device,
        lanes=lanes,
    )


def neural_nash_study(runs: int = 24, updates: int = 60, seed: int = 0) -> Study:
    """The study: for each method, run and update the divergence ``kl`` from the equilibrium and the ``exploitability``."""
    points = grid(method=METHODS[:4], updates=updates)
    return Study("neural-nash", measure_learning, points, run_seeds(seed, runs))


def measure_learning(*, seeds: NDArray[np.uint64], method: str, updates: int) -> dict[str, ArrayLike]:
    """Runs of one method: ``seed, step, kl, exploitability, fit`` (the largest span of a fit's error), a row for each run and
    update; the other two are means over contexts.
    """
    training = train_methods(games_of_runs(seeds), seeds, updates, methods=(method,), lanes=32)
    columns: dict[str, Any] = training.columns()
    by_context = {name: training.measured[name] for name in ("kl", "exploitability", "fit")}
    columns["kl"], columns["exploitability"] = (by_context[name].mean(axis=-1).ravel() for name in ("kl", "exploitability"))
    columns["fit"] = by_context["fit"].max(axis=-1).ravel()
    kept = ("seed", "step", "kl", "exploitability", "fit", "device", "jax")
    return {name: columns[name] for name in kept}
