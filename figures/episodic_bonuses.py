"""Global and episodic bonuses where the context is fixed and where it varies (claims bonusctx/fixed-goal,
varying-goal, crossing).

Exact. Left: the chance that the fixed goal of 12 corridors has been found, one visit an episode. Middle: the chance of success in each episode
with a new goal every time, 12 visits of cost 0.2. Right: the expected number of episodes before the first success (at most 400) when the goal
moves with probability p before an episode, one visit of cost 0.5 each.
"""

from __future__ import annotations

import _style
import matplotlib.pyplot as plt
import numpy as np

from mdplab.learning.contextual_corridors import BONUSES, corridor_law

N, EPISODES = 12, 400
DASHES = {"global": "-", "episodic": "--", "product": "-.", "sum": ":"}


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, (fixed, varying, between) = plt.subplots(1, 3, figsize=(12.5, 4.0))
    p = np.linspace(0.0, 1.0, 81) ** 2
    for bonus, colour in zip(BONUSES, _style.COLOURS):
        style = {"color": colour, "ls": DASHES[bonus], "label": bonus}
        found = 1 - corridor_law(N, bonus, 40, redraw=0.0).surviving
        fixed.plot(np.arange(1, 41), found, **style)
        varying.plot(corridor_law(N, bonus, 80, visits=N, cost=0.2, redraw=1.0).success, **style)
        between.plot(p, corridor_law(N, bonus, EPISODES, cost=0.5, redraw=p).failures, **style)
    fixed.set(title="fixed goal", xlabel="episode", ylabel="chance that it has been found")
    varying.set(title="a new goal in each episode", xlabel="episode", ylabel="chance of success")
    between.set(
        title="in between", xlabel="chance p that the goal moves", ylabel="episodes before the first success", ylim=(0, None)
    )
    handles, labels = fixed.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    for path in _style.save(figure, "episodic_bonuses"):
        print(path)


if __name__ == "__main__":
    main()
