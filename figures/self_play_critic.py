"""A critic evolved in self-play against one trained on a fixed distribution of errors (claims spc/worst-case-critic, fixed-generator).

Hedge against Hedge on 100 random games of 6 critics and 8 types of error, detection probabilities uniform in [0, 1]; means over the
games. Left: detection of the worst error, less the value of the game. Right: detection of uniformly drawn errors. The critic of
the fixed generator runs the same Hedge against uniform errors, and both averages are shown against the number of rounds.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from games.linear_programming import solve_nash_lp
from games.prox import normalise
from games.zero_sum import ZeroSumGame, detection, hedge_self_play, hedge_steps

ROUNDS = _style.sized(2000, 200)
GAMES = _style.sized(100, 10)
Floats = NDArray[np.float64]


def running_average(log_policies: Floats) -> Floats:
    """The averages of the first 1, 2, ... policies, shape (rounds, m)."""
    return np.cumsum(np.exp(log_policies), axis=0) / np.arange(1, log_policies.shape[0] + 1)[:, None]


def fixed_generator(game: ZeroSumGame) -> Floats:
    """Log-policies of Hedge against uniformly drawn errors, whose gains are the same in every round."""
    step, _ = hedge_steps(game, ROUNDS)
    return normalise(step * np.arange(ROUNDS)[:, None] * game.payoff.mean(axis=1))


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    worst: dict[str, list[Floats]] = {"self-play, average": [], "self-play, last": [], "fixed generator": []}
    mean: dict[str, list[Floats]] = {name: [] for name in worst}
    for seed in range(GAMES):
        game = detection(critics=6, errors=8, seed=seed)
        value = solve_nash_lp(game.payoff).value
        rows = hedge_self_play(game, ROUNDS).log_rows[:-1]
        critics = (running_average(rows), np.exp(rows), running_average(fixed_generator(game)))
        for name, critic in zip(worst, critics):
            detected = critic @ game.payoff
            worst[name].append(detected.min(axis=1) - value)
            mean[name].append(detected.mean(axis=1))

    rounds = np.arange(1, ROUNDS + 1)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.4))
    for axes, curves in ((left, worst), (right, mean)):
        for colour, dashes, (name, values) in zip(_style.COLOURS, ("-", "--", "-."), curves.items()):
            axes.plot(rounds, np.mean(values, axis=0), color=colour, ls=dashes, label=name)
        axes.set(xscale="log", xlabel="round", xlim=(1, ROUNDS))
    radius = np.sqrt(np.log(6) / (2 * ROUNDS)) + np.sqrt(np.log(8) / (2 * ROUNDS))
    left.plot([ROUNDS], [-radius], "v", color="black", ms=7, clip_on=False, label=f"proved for the average, at {ROUNDS}")
    left.axhline(0, color="black", lw=0.8)
    left.set(title="worst error: detection less the value of the game", ylabel="probability")
    right.set(title="uniformly drawn error: detection")
    left.legend(loc="lower left", fontsize=9)
    for path in _style.save(figure, "self_play_critic"):
        print(path)


if __name__ == "__main__":
    main()
