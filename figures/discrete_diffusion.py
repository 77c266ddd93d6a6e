"""A discrete diffusion model tuned to a reward, from a point and from a spread start (claims drakes/optimal-generator, initial-law).

Laws of the samples: before tuning, under the optimal rates, and the tilt of the pretrained law by the reward. From one start they are
what was wanted; from a spread start each start is tilted on its own. On the right, where h_0 comes from: the value of each start.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from mdplab.models.jump_process import JumpProcess, random_jump_process
from mdplab.solvers.continuous_time import h_transform, process_marginals
from theory.tilts import log_tilt

ALPHA = 0.5


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    spread = random_jump_process(S=5, speed=0.1, point=False, seed=46)
    root = int(np.argmax(spread.start))
    off = spread.rates * (1 - np.eye(spread.states))
    point = JumpProcess(np.eye(spread.states)[root], off, spread.reward)
    figure, axes = plt.subplots(1, 3, figsize=(11.5, 3.9), width_ratios=(1, 1, 0.8))
    places = np.arange(spread.states)
    for axis, process, title in zip(axes, (point, spread), ("start: one state", "start: spread")):
        before = process_marginals(process, [0.0, 1.0])[-1]
        tuned = h_transform(process, ALPHA).marginals[-1]
        tilt = np.exp(log_tilt(np.log(before), process.reward, ALPHA))
        for k, (law, name) in enumerate(((before, "pretrained"), (tuned, "tuned"), (tilt, "target: the tilt"))):
            axis.bar(
                places + 0.27 * (k - 1), law, 0.25, color=_style.COLOURS[k], label=name, hatch=("", "", "//")[k], ec="white"
            )
        distance = 0.5 * np.abs(tuned - tilt).sum()
        shown = "0" if distance < 1e-12 else f"{distance:.2f}"
        axis.set(xlabel="state of the sample", ylabel="probability", title=f"{title}, distance {shown}", ylim=(0, 1))
        axis.set_xticks(places, [f"{x}\nr = {r:.1f}" for x, r in enumerate(process.reward)], fontsize=9)
        axis.grid(axis="x", visible=False)
    values = h_transform(spread, ALPHA).value[0]
    axes[2].bar(places, values, 0.6, color=_style.COLOURS[3])
    axes[2].axhline(0, color="black", lw=0.8)
    axes[2].set(xlabel="start", ylabel="value α ln h", title="what a start is worth")
    axes[2].set_xticks(places)
    axes[2].grid(axis="x", visible=False)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    for path in _style.save(figure, "discrete_diffusion"):
        print(path)


if __name__ == "__main__":
    main()
