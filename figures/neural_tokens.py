"""A small transformer that writes four tokens out of three, trained in ten ways (claims toktree/learners, grpo, soft-q).

One layer, 16 channels, beta = 0.3; 1000 steps of Adam with rate 0.005 from the reference's weights, 32 responses a step for
learners that sample; 24 runs with instances of their own, on a CPU. Above: the divergence of the law of responses from the
soft-optimal one; lines are medians over runs, bands run from the 10th to the 90th percentile. Right: group-normalised
advantages with the KL penalty. Groups of two go to a fixed point of their own (dotted: the divergence from that), the batch as
one group collapses as if there were no penalty, and does not if the division by the deviation is left out. Below: the
probabilities of the next token after every prefix of up to two tokens in one run, before training, by the dynamic program, and
after training. The exact gradient is right where the policy goes, and not yet after prefixes that it seldom writes.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from pandas import DataFrame

LEFT = {
    "exact": "exact gradient",
    "reinforce": "REINFORCE",
    "online dpo": "online DPO",
    "offline dpo": "offline DPO",
    "soft-q": "soft-Q regression",
    "path": "path consistency",
}
RIGHT = {
    "grpo pairs": "groups of two",
    "grpo batch": "the batch as a group",
    "grpo batch, no deviation": "the same, no deviation",
    "no penalty": "exact, no KL penalty",
}
MAPS = {
    "reference": "reference",
    "optimum": "dynamic program",
    "exact": "exact gradient",
    "offline dpo": "offline DPO",
    "grpo pairs": "groups of two",
    "grpo batch": "batch as a group",
}
TOKENS = "abc"


def curve(axes: Axes, rows: DataFrame, colour: str, label: str, dashes: str = "-") -> None:
    """The median over runs against the step, with a band."""
    found = rows.groupby("step")["value"].quantile([0.1, 0.5, 0.9]).unstack()
    axes.plot(found.index, found[0.5], color=colour, ls=dashes, label=label)
    if dashes != ":":
        axes.fill_between(found.index, found[0.1], found[0.9], color=colour, alpha=0.15, lw=0)


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    table = _style.table("neural-tokens")
    figure = plt.figure(figsize=(10.5, 8.2))
    above, below = figure.subfigures(2, 1, height_ratios=(1, 0.95))
    left, right = above.subplots(1, 2, sharey=True)
    of = dict(list(table.groupby(["learner", "what"])))
    for axes, labels in ((left, LEFT), (right, RIGHT)):
        for colour, (name, label) in zip(_style.COLOURS, labels.items()):
            curve(axes, of[name, "kl"], colour, label)
        axes.set(xscale="log", yscale="log", xlabel="training step", ylim=(1e-4, 10))
    curve(right, of["grpo pairs", "kl pairs"], _style.COLOURS[0], "groups of two, from their own fixed point", ":")
    left.set(ylabel="KL(policy || soft-optimal)", title="learners of the soft-optimal policy")
    right.set(title="group-normalised advantages")
    left.legend(loc="lower left", fontsize=9)
    right.legend(loc="lower left", fontsize=9)

    seed = table["seed"].iloc[0]
    prefixes = ["start", *TOKENS, *(a + b for a in TOKENS for b in TOKENS)]
    shown = _style.sized(MAPS, {name: MAPS[name] for name in ("optimum", "exact")})
    maps = below.subplots(1, len(shown), sharey=True)
    for axes, (name, label) in zip(maps, shown.items()):
        rows = of["reference", "optimum"] if name == "optimum" else of[name, "token"]
        chosen = rows[rows["seed"] == seed].sort_values("index")["value"].to_numpy().reshape(-1, len(TOKENS))
        picture = axes.imshow(chosen, vmin=0, vmax=1, cmap="Blues", aspect="auto")
        for (y, x), p in np.ndenumerate(chosen[: _style.sized(len(chosen), 4)]):
            axes.text(x, y, f"{100 * p:.0f}", ha="center", va="center", fontsize=7, color="white" if p > 0.6 else "black")
        axes.set_title(label, fontsize=10)
        axes.set_xticks(range(len(TOKENS)), list(TOKENS))
        axes.set_yticks(range(len(prefixes)), prefixes)
        axes.tick_params(length=0)
        axes.grid(visible=False)
    maps[0].set_ylabel("prefix")
    below.supxlabel("next token (numbers: probability in per cent)", fontsize=10)
    below.colorbar(picture, ax=maps, shrink=0.8, label="probability")
    for path in _style.save(figure, "neural_tokens"):
        print(path)


if __name__ == "__main__":
    main()
