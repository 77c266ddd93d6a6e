"""Anchoring makes the Bellman residual fall as 1/k where plain value iteration stands still (claims anchored-vi/consistency,
optimality-monotone, span-lower-bound).

Discount 0.999, residuals over the distance of the start from the fixed point. Left: a corridor of 200 states, walked to its end, from
the worst start, on which the bound is attained. Right: FrozenLake 8x8 from zero, where plain value iteration is the faster one.
The lower bound is that of the worst model for any method that combines Bellman residuals; on other models one can do better.
"""

from collections.abc import Callable

import _style
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from mdplab.models import TabularMDP, delayed_reward_chain, frozen_lake
from mdplab.solvers import (
    anchored_value_iteration,
    bellman_operator,
    evaluate_policy,
    policy_iteration,
    policy_operator,
)

GAMMA = 0.999
SWEEPS = _style.sized(1000, 100)
Floats = NDArray[np.float64]


def plain_residuals(operator: Callable[[Floats], Floats], start: Floats) -> Floats:
    """||TU^k - U^k|| for k = 0, ..., SWEEPS, with U^{k+1} = TU^k."""
    U, residuals = start, []
    for _ in range(SWEEPS + 1):
        TU = operator(U)
        residuals.append(float(np.abs(TU - U).max()))
        U = TU
    return np.array(residuals)


def corridor() -> tuple[TabularMDP, Floats, Floats, Floats]:
    """A model, a policy, a start and the fixed point: all states err one way, the last one the other way."""
    mdp = delayed_reward_chain(S=200, gamma=GAMMA)
    advance = np.zeros(mdp.pairs)
    advance[mdp.state_pointer[:-1]] = 1.0
    fixed = evaluate_policy(mdp, advance).value
    start = fixed - 1.0
    start[-1] = fixed[-1] + 1.0
    return mdp, advance, start, fixed


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    k = np.arange(SWEEPS + 1)
    power = GAMMA ** (k + 1.0)
    front = (1 / GAMMA - GAMMA) / (1 / power - power)
    least = GAMMA**k / np.cumsum(GAMMA**k)

    mdp, policy, worst, fixed = corridor()
    lake = frozen_lake(map_name="8x8", gamma=GAMMA)
    optimum, zero = policy_iteration(lake, 1e-9).value, np.zeros(lake.states)
    panels = [
        (
            "a corridor of 200 states, worst start",
            plain_residuals(lambda U: policy_operator(mdp, policy, U), worst) / np.abs(worst - fixed).max(),
            anchored_value_iteration(mdp, SWEEPS, start=worst, policy=policy).residuals / np.abs(worst - fixed).max(),
            front * (1 + 2 * GAMMA - power),
        ),
        (
            "FrozenLake 8x8, start 0",
            plain_residuals(lambda U: bellman_operator(lake, U), zero) / np.abs(optimum).max(),
            anchored_value_iteration(lake, SWEEPS, start=zero).residuals / np.abs(optimum).max(),
            front * (1 + GAMMA - power),
        ),
    ]

    figure, all_axes = plt.subplots(1, 2, figsize=(10.0, 4.4), sharey=True)
    for axes, (title, plain, anchored, bound) in zip(all_axes, panels):
        axes.plot(k[1:], plain[1:], color=_style.COLOURS[1], ls="-.", label="value iteration")
        axes.plot(k[1:], anchored[1:], color=_style.COLOURS[0], label="anchored value iteration")
        axes.plot(k[1:], bound[1:], color="black", lw=1.2, ls="--", label="bound for anchored")
        axes.plot(k[1:], least[1:], color="black", lw=1.2, ls=":", label="worst-case lower bound")
        axes.set(xscale="log", yscale="log", xlabel="sweeps k", title=title, xlim=(1, SWEEPS), ylim=(1e-5, 4))
    all_axes[0].set_ylabel("Bellman residual / distance of the start")
    handles, labels = all_axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    for path in _style.save(figure, "anchored_value_iteration"):
        print(path)


if __name__ == "__main__":
    main()
