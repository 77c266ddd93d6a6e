"""Actions that pay late: DynLin-UCB finds them, whatever the memory of the system, and what looks at the last reward does not.

One action pays 1/2 at once, the other nothing at once and 1.01 spread over the rounds that follow, a share 1 - rho of it in the next. Left: mean
regret by the round, rho = .01 (claim dynamical-linear-bandits/linucb-fails). Right: regret after the last round as rho nears 1, the total effect kept the
same. LinUCB, uniform play and the action that pays at once are blind to the state; LinUCB soon plays that action alone. DynLin-UCB pays for longer epochs and the wider
radius, which grow without bound with 1/(1 - rho). Both learners take the radius as proved; the noise has deviation 0.05.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from bandits.dynamical import delayed_effect
from bandits.dynlin_ucb import dynlin_ucb
from theory.random_streams import run_seeds

EFFECT = 1.01
LEARNERS: tuple[tuple[str, dict[str, object], str], ...] = (
    ("uniform play", {"actions_played": (0, 1), "rule": "one"}, ":"),
    ("what pays at once", {"actions_played": (0,), "rule": "one"}, "-"),
    ("LinUCB", {"rule": "one"}, "-."),
    ("DynLin-UCB", {}, "-"),
)


def regrets(rho: float, marks: NDArray[np.int64], runs: int, options: dict[str, object]) -> NDArray[np.float64]:
    """Mean regret up to the marks, and its standard error, shape (2, marks)."""
    bandit = delayed_effect(rho=rho, late=EFFECT * (1 - rho), noise=0.05)
    found = dynlin_ucb(bandit, int(marks[-1]), run_seeds(1, runs), marks, **options).regret  # type: ignore[arg-type]
    return np.stack([found.mean(axis=0), found.std(axis=0) / np.sqrt(runs)])


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    horizon, runs = _style.sized(40_000, 5000), _style.sized(20, 3)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.0))
    marks = np.unique(np.geomspace(10, horizon, 40).astype(np.int64))
    distances = np.geomspace(0.01, 0.99, _style.sized(12, 5))
    last = np.array([horizon])
    for (label, options, line), colour in zip(LEARNERS, _style.COLOURS[3::-1]):
        mean, error = regrets(0.01, marks, runs, options)
        wide = {"lw": 5.0, "alpha": 0.5} if label == "what pays at once" else {}  # LinUCB's curve lies on it
        left.plot(marks, mean, line, color=colour, label=label, **wide)
        left.fill_between(marks, np.maximum(mean - 3 * error, 1e-9), mean + 3 * error, color=colour, alpha=0.25, lw=0)
        by_rho = np.array([regrets(1 - distance, last, runs, options)[:, 0] for distance in distances])
        right.errorbar(distances, by_rho[:, 0], 3 * by_rho[:, 1], color=colour, ls=line, marker="o", ms=4, **wide)
    left.set(
        xscale="log", yscale="log", xlabel="round T", ylabel="expected regret", title=r"$\rho = 0.01$", ylim=(1, 2.5 * horizon)
    )
    right.set(xscale="log", yscale="log", xlabel=r"$1 - \rho$", ylabel="regret", title=f"after {horizon} rounds")
    right.invert_xaxis()
    left.legend(loc="upper left")
    for path in _style.save(figure, "dynamical_bandits"):
        print(path)


if __name__ == "__main__":
    main()
