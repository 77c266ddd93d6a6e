"""A robust and a nominal policy on a FrozenLake of uncertain slipperiness (claim robust-core/frozen-lake).

The 8x8 lake slips once in a hundred steps, to either side of the move asked for. Each row lies within an L1 distance r of that,
on the same next states; discount 0.99. Left: the worst value from the start, of the robust policy of each radius (the robust
optimum) and of the nominal policy. Right: what they are worth if the lake is as nominal after all, on a narrow scale: the
robust policies give up at most 0.0004 there.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from mdplab.models.robust import RobustBallMDP
from mdplab.models.robust_families import rarely_slippery_lake
from mdplab.solvers import evaluate_policy, policy_iteration
from mdplab.solvers.robust import robust_evaluation, robust_policy_iteration

RADII = np.linspace(0.0, 1.0, _style.sized(41, 5))


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    lake = rarely_slippery_lake()
    nominal = policy_iteration(lake)
    start = int(lake.start_distribution.argmax())
    worst, average = np.empty((2, RADII.size)), np.empty((2, RADII.size))
    for k, radius in enumerate(RADII):
        ball = RobustBallMDP(lake, "l1", radius)
        robust = robust_policy_iteration(ball)
        worst[:, k] = robust.value[start], robust_evaluation(ball, nominal.policy).value[start]
        average[:, k] = evaluate_policy(lake, robust.policy).value[start], nominal.value[start]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.0, 4.0))
    for axes, values in ((left, worst), (right, average)):
        for row, name, dashes in ((0, "robust policy of radius r", "-"), (1, "nominal policy", "--")):
            axes.plot(RADII, values[row], dashes, color=_style.COLOURS[row], label=name)
        axes.set(xlabel="radius r of the L1 balls", xlim=(0, 1))
    left.set(title="in the worst kernel", ylabel="value at the start", ylim=(0, None))
    right.set(title="in the nominal kernel")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    for path in _style.save(figure, "robust_radius"):
        print(path)


if __name__ == "__main__":
    main()
