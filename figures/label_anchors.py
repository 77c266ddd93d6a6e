"""Labels for samples of a checkpoint (claims seppo/anchor, reward, slower-road, oracle).

Categorical policies of ten responses, winners from a tilt at the temperature 2, means of 40 instances: the accuracy of labels and the
policy's reward by step, from the uniform policy (above) and from a policy better than the data (below).
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from bandits.preference.semi_policy import semi_policy_optimisation, tilted_winners

INSTANCES, EVERY = _style.sized(40, 3), 20


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, axes = plt.subplots(2, 2, figsize=(10.0, 6.4), sharex=True)
    for row, start, title in zip(axes, (0.0, 1.0), ("from the uniform policy", "from a policy better than the data")):
        problems = [tilted_winners(K=10, temperature=2.0, start=start, seed=s) for s in range(INSTANCES)]
        for colour, dashes, rule in zip(_style.COLOURS, ("-", "--", ":"), ("always", "anchor", "oracle")):
            runs = [semi_policy_optimisation(problem, rule, step=0.5, steps=100, every=EVERY) for problem in problems]
            label = {"always": "always a loser", "anchor": "anchor", "oracle": "oracle"}[rule]
            row[0].plot(np.arange(100), np.mean([run.accuracy for run in runs], axis=0), color=colour, ls=dashes, label=label)
            row[1].plot(np.mean([run.reward for run in runs], axis=0), color=colour, ls=dashes, label=label)
        data = np.mean([np.exp(problem.log_winners) @ problem.reward for problem in problems])
        row[1].axhline(float(data), color="black", lw=1.0, alpha=0.6, label="the data's winners")
        row[0].set(title=title, ylabel="accuracy of labels", ylim=(0, 1.05))
        row[1].set(title=title, ylabel="expected reward")
    handles, labels = axes[0, 1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    for axis in axes[1]:
        axis.set_xlabel("gradient steps (a new checkpoint every 20)")
    for path in _style.save(figure, "label_anchors"):
        print(path)


if __name__ == "__main__":
    main()
