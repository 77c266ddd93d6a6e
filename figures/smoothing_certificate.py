"""What Gaussian noise on the observations certifies, and what the worst adaptive attack leaves (claims policy-smoothing/adaptive-np,
attained, small-noise).

The run is won if all decisions are right; each is right if the noisy observation is above 0. Left: for one decision the worst
attack leaves exactly the certificate; for more decisions the certificate (dashed) is strictly below. A band encloses the worst of
all attacks; mostly it is thinner than the line. Right: two decisions with noise of different sizes. The agent without noise wins up to the
budget 1 and loses above. Small noise certifies nearly as much, large noise less, but it keeps some of the reward beyond.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from mdplab.models.state_adversary import SmoothedAgent, decision_chain
from mdplab.solvers.smoothed_policy import certified_tails, worst_attack

BUDGETS = np.linspace(0.0, 2.5, _style.sized(41, 8))
PARTS = _style.sized(60, 12)
DECISIONS = (1, 2, 5)
NOISES = (0.15, 0.5, 1.5)


def curves(axes: Axes, agent: SmoothedAgent, colour: str, label: str) -> None:
    """The band of the worst attack, and the certificate, of one agent."""
    worst = [worst_attack(agent, float(budget), PARTS) for budget in BUDGETS]
    low, high = [float(w.tails_low[0]) for w in worst], [float(w.tails[0]) for w in worst]
    axes.fill_between(BUDGETS, low, high, color=colour, alpha=0.35, lw=0)
    axes.plot(BUDGETS, high, color=colour, label=label)
    certificate = [float(certified_tails(agent, float(budget))[0]) for budget in BUDGETS]
    touches = agent.mdp.horizon == 1  # the lines coincide: white dashes on the colour
    axes.plot(BUDGETS, certificate, color="white" if touches else colour, ls="--", lw=0.9 if touches else None)


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.4), sharey=True)
    for colour, H in zip(_style.COLOURS, DECISIONS):
        agent = decision_chain(margins=(1.0,) * H, sigma=0.7)
        curves(left, agent, colour, "1 decision (both coincide)" if H == 1 else f"{H} decisions")
    for colour, sigma in zip(_style.COLOURS[3:], NOISES):
        curves(right, decision_chain(margins=(1.0, 1.0), sigma=sigma), colour, f"σ = {sigma:g}")
    right.step([0.0, 1.0, BUDGETS[-1]], [1.0, 1.0, 0.0], where="pre", color="black", lw=1.2, ls=":", label="no noise")
    left.set(title="margin 1, σ = 0.7", ylabel="probability that the run is won")
    right.set(title="two decisions, margin 1")
    for axes in (left, right):
        axes.set(xlabel="budget B of the attack", xlim=(0, BUDGETS[-1]), ylim=(0, 1.02))
        axes.legend(loc="upper right")
    handles = [
        Line2D([], [], color="black", label="worst attack"),
        Line2D([], [], color="black", ls="--", label="certificate"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    for path in _style.save(figure, "smoothing_certificate"):
        print(path)


if __name__ == "__main__":
    main()
