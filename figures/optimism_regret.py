"""A bonus for values unsticks online preference learning (claims vpo/online-regret, vpo/bonus-unsticks).

Each line is one run of online VPO: the greedy learner (left, alpha = 0) and the optimistic one (right, alpha_t = sqrt t), with the same
random numbers. Above: three responses with the rewards 1, 1, 2. Below: seven from 0.5 to 1.5 and a best one of 3. Black: the mean
of 100 runs; dotted: the slopes 1 and 1/2.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from bandits.preference.optimistic_reward import online_regret
from bandits.preference.reward_games import one_best
from theory.random_streams import run_seeds

RUNS, HORIZON = _style.sized(100, 10), _style.sized(25_600, 800)
ROUNDS = np.unique(np.geomspace(10, HORIZON, 60).astype(int))


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, grid = plt.subplots(2, 2, figsize=(11.5, 7.6), sharex=True, sharey="row")
    instances = {
        "rewards 1, 1, 2, β = 0.1": one_best(others=(1.0, 1.0), best=2.0, beta=0.1),
        "rewards 0.5 … 1.5, 3, β = 0.2": one_best(others=tuple(np.linspace(0.5, 1.5, 7)), best=3.0, beta=0.2),
    }
    learners = {"greedy": 0.0, "with the bonus √t J*": 1.0}
    for row, (instance, bandit) in zip(grid, instances.items()):
        for axes, colour, (learner, c) in zip(row, (_style.COLOURS[1], _style.COLOURS[0]), learners.items()):
            start = np.eye(bandit.responses)[0]
            regret = online_regret(bandit, start, c, (0.0, 3.0), HORIZON, run_seeds(7, RUNS), checkpoints=ROUNDS)
            axes.plot(ROUNDS, regret.T, color=colour, lw=0.5, alpha=0.5)
            axes.plot(ROUNDS, regret.mean(axis=0), color="black", label="mean")
            axes.plot(ROUNDS, 2.5 * ROUNDS, color="black", lw=0.9, ls=":")
            axes.plot(ROUNDS, 25 * np.sqrt(ROUNDS), color="black", lw=0.9, ls=":")
            axes.set(xscale="log", yscale="log", title=f"{learner}: {instance}", ylim=(0.5, None))
            axes.legend(loc="upper left")
        row[0].set_ylabel("regret")
    for axes in grid[1]:
        axes.set_xlabel("round t")
    for path in _style.save(figure, "optimism_regret"):
        print(path)


if __name__ == "__main__":
    main()
