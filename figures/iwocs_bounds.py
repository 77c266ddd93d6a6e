"""Bounds of a sequence of static problems: it closes, it stalls, it is repaired (claims iwocs/sandwich, stall, repair).

Every round adds the worst kernel of the last policy. The upper bound is the optimum that the kernels found so far allow, the
lower one the worst value of the policy; the dashed line is the robust optimum. Left: a random model of six states, where the
bounds close. Middle: three states on which the worst kernel repeats, so that nothing changes any more. Right: the same three
states, where the upper bound belongs to the rectangular hull of the kernels found.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from mdplab.models.robust_families import random_polytope, stalling_loop
from mdplab.solvers.iwocs import static_sequence
from mdplab.solvers.robust import robust_policy_iteration

ROUNDS = 5  # drawn at least; a loop that stalls or has closed stays where it is
CLOSING = 65  # a seed whose loop takes several rounds


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    closing = random_polytope(S=6, A=3, K=6, concentration=0.1, seed=CLOSING)
    cases = (
        ("it closes", closing, False),
        ("it stalls", stalling_loop(), False),
        ("the repair closes", stalling_loop(), True),
    )
    figure, all_axes = plt.subplots(1, 3, figsize=(10.5, 3.8))
    for axes, (title, model, repaired) in zip(all_axes, cases):
        start = np.eye(model.states)[0]
        run = static_sequence(model, start=start, repaired=repaired)
        upper, lower = (np.append(b, [b[-1]] * max(ROUNDS - len(b), 0)) for b in (run.upper, run.lower))
        rounds = np.arange(1, len(upper) + 1)
        made = len(run.upper)
        axes.fill_between(rounds, lower, upper, color=_style.COLOURS[0], alpha=0.12, lw=0)
        axes.plot(rounds, upper, color=_style.COLOURS[0], alpha=0.35)
        axes.plot(rounds, lower, color=_style.COLOURS[1], alpha=0.35)
        axes.plot(rounds[:made], run.upper, "v-", color=_style.COLOURS[0], label="upper bound $V_i(s_0)$")
        axes.plot(rounds[:made], run.lower, "^-", color=_style.COLOURS[1], label="worst value of $\\pi_i$")
        optimum = float(robust_policy_iteration(model).value[0])
        axes.axhline(optimum, color="black", ls="--", lw=1.2, label="robust optimum")
        axes.set(title=title, xlabel="round", xticks=rounds)
    all_axes[0].set_ylabel("value at the start")
    for axes in all_axes[1:]:
        axes.set_ylim(3.9, 6.9)
    handles, labels = all_axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    for path in _style.save(figure, "iwocs_bounds"):
        print(path)


if __name__ == "__main__":
    main()
