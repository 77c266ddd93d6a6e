"""Adversarial training comes near the most robust victim if the attacker is faster (claim adversarial-policies/timescale-separation).

Exploitability of the victim, the maximin return less what its best attack leaves, against steps of projected gradients: means over random
games of 3 states and 3 by 3 actions at discount 0.9, where the attacker moves the other player always (left) or in half of the
turns (right). Steps of victim and attacker: slow victim 0.002 and 0.2, both slow 0.002, equal 0.2, swapped 0.2 and 0.002; the oracle is
an exact best attack in each step, and its victim's k-th step is 0.1 over the root of k. Last iterates, averaged over windows of 100 steps.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from games.adversarial_training import guaranteed_returns, two_timescale_training
from games.partial_control import modified_game, random_control
from games.shapley import hoffman_karp

GAMES = _style.sized(40, 2)
STEPS = _style.sized(3000, 100)
WINDOW = _style.sized(100, 20)
SCHEDULES = {"both slow": (0.002, 0.002), "slow victim": (0.002, 0.2), "equal": (0.2, 0.2), "swapped": (0.2, 0.002)}
Floats = NDArray[np.float64]


def exploitability(control: float) -> dict[str, Floats]:
    """Of each schedule the mean over games and windows of steps, shape (windows,)."""
    games = [modified_game(random_control(S=3, actions=(3, 3), control=control, seed=seed)) for seed in range(GAMES)]
    maximin = np.array([hoffman_karp(game).value @ game.start_distribution for game in games])
    victim, attacker = np.repeat(np.array(list(SCHEDULES.values())).T, GAMES, axis=1)[:, None]
    every = WINDOW // 5
    oracle_step = 0.1 / np.sqrt(np.arange(1, STEPS + 1))
    oracle = two_timescale_training(games, STEPS, victim_step=oracle_step, attacker_step=None, every=every)
    run = two_timescale_training(games * len(SCHEDULES), STEPS, victim_step=victim, attacker_step=attacker, every=every)
    curves = dict(zip(SCHEDULES, np.moveaxis(run.victims[1:].reshape(-1, len(SCHEDULES), *oracle.victims.shape[1:]), 1, 0)))
    curves["oracle"] = oracle.victims[1:]
    return {
        name: (maximin - guaranteed_returns(games, victims)).mean(axis=1).reshape(-1, 5).mean(axis=1)
        for name, victims in curves.items()
    }


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, panels = plt.subplots(1, 2, figsize=(10.5, 4.4), sharey=True)
    steps = (np.arange(STEPS // WINDOW) + 0.5) * WINDOW
    looks = {
        "equal": ("-", 1),
        "swapped": ("--", 4),
        "both slow": (":", 3),
        "slow victim": ("-", 0),
        "oracle": ("-.", 2),
    }
    for axes, control, title in zip(panels, (1.0, 0.5), ("control 1", "control 1/2")):
        curves = exploitability(control)
        for name, (dashes, colour) in looks.items():
            axes.plot(steps, curves[name], ls=dashes, color=_style.COLOURS[colour], label=name)
        axes.set(yscale="log", xlabel="step", title=title, xlim=(0, STEPS))
    panels[0].set_ylabel("exploitability of the victim")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    for path in _style.save(figure, "adversarial_timescales"):
        print(path)


if __name__ == "__main__":
    main()
