"""When a whole team takes a step of mirror descent at once (claims update-equivalence/md-improves, md-threshold, md-three-players).

Left: two players who are paid for differing, both at the log-odds e; the change of the payoff turns negative at the step
2e / tanh(e/2) (dots), whose infimum is 4. Right: the same game among two to four players, and the worst of 200 random games of two
and of three players, each from a random start; the largest steps proved are 4 for two players and 2 for three.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from games.common_payoff import (
    CommonPayoffGame,
    anti_coordination,
    common_payoff,
    expected_payoff,
    simultaneous_mirror_descent,
)
from games.prox import normalise

STEPS = np.linspace(0.1, 12, _style.sized(70, 15))
GAMES = _style.sized(200, 20)
Floats = NDArray[np.float64]


def changes(game: CommonPayoffGame, start: list[Floats]) -> Floats:
    """U(pi') - U(pi) for each of STEPS."""
    before = expected_payoff(game, start)
    return np.array([expected_payoff(game, simultaneous_mirror_descent(game, start, eta)) - before for eta in STEPS.tolist()])


def worst_of_random(actions: tuple[int, ...]) -> Floats:
    """The smallest change over random games with payoffs in [0, 1] and random policies, for each of STEPS."""
    rng = np.random.default_rng(0)
    rows = []
    for seed in range(GAMES):
        start = [normalise(rng.standard_normal(k)) for k in actions]
        rows.append(changes(common_payoff(actions=actions, seed=seed), start))
    return np.min(rows, axis=0)


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.4))
    pair = anti_coordination(players=2)
    for colour, dashes, e in zip(_style.COLOURS, ("-", "--", "-.", ":"), (0.5, 1.0, 2.0, 4.0)):
        left.plot(STEPS, changes(pair, [normalise([e, 0.0])] * 2), color=colour, ls=dashes, label=f"e = {e:g}")
        threshold = 2 * e / np.tanh(e / 2)
        left.plot([threshold], [0], "o", color=colour, ms=6)
    left.set(title="two players who must differ", ylabel="change of the payoff in one step")

    for colour, dashes, n in zip(_style.COLOURS, ("-", "--", "-."), (2, 3, 4)):
        game = anti_coordination(players=n)
        right.plot(
            STEPS, changes(game, [normalise([0.5, 0.0])] * n), color=colour, ls=dashes, label=f"must differ, {n} players"
        )
    right.plot(STEPS, worst_of_random((3, 3)), color="black", label=f"worst of {GAMES} random, 2 players")
    right.plot(STEPS, worst_of_random((3, 3, 3)), color="black", ls="--", label=f"worst of {GAMES} random, 3 players")
    right.set(title="more players (e = 0.5), and random games")

    for axes in (left, right):
        axes.axhline(0, color="black", lw=0.8)
        axes.axvline(4, color="grey", lw=1.2)
        axes.annotate(
            "η = 4",
            (4, 0.02 if axes is left else 0.95),
            xycoords=("data", "axes fraction"),
            xytext=(4, 0),
            textcoords="offset points",
        )
        axes.set(xlabel="step η", xlim=(0, STEPS[-1]))
        axes.legend(loc="lower left", fontsize=9)
    for path in _style.save(figure, "simultaneous_descent"):
        print(path)


if __name__ == "__main__":
    main()
