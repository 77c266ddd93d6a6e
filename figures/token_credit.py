"""Where a reward for the whole response is earned, token by token (claims r-to-q/telescoping, shaping-class).

A tree of two tokens and three steps, with rewards for whole responses alone (below the leaves) and a random reference. Edges
carry the implicit reward beta log(pi*/mu) of their token, at beta = 1: along a path they add up to the response's reward less V
at the root. Prefixes carry their soft value V. Orange edges are credited, purple ones debited; the wider, the likelier pi*
takes them.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from mdplab.learning.token_dpo import token_credit
from mdplab.models.token_tree import leaf_rewards, random_token_tree
from mdplab.solvers.token_tree import soft_backup

BETA = 1.0
SEED = 2


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    tree = random_token_tree(A=2, H=3, spread=2.0, terminal=True, seed=SEED)
    found = soft_backup(tree, BETA)
    credit = token_credit(tree, found.log_policy, BETA)
    rewards = leaf_rewards(tree)
    largest = max(float(np.abs(level).max()) for level in credit)

    figure, axes = plt.subplots(figsize=(11.0, 5.0))
    colours = plt.get_cmap("PuOr")
    places = [(np.arange(2**t) + 0.5) * 2.0 ** (tree.horizon - t) for t in range(tree.horizon + 1)]
    for t, level in enumerate(credit):
        for s, a in np.ndindex(*level.shape):
            x, y = (places[t][s], places[t + 1][2 * s + a]), (-t, -t - 1)
            strength = np.sqrt(abs(level[s, a]) / largest)
            shade = colours(0.5 - np.sign(level[s, a]) * (0.1 + 0.35 * strength))
            width = 0.8 + 7 * float(np.exp(found.log_policy[t][s, a]))
            axes.plot(x, y, color=shade, lw=width, solid_capstyle="round", zorder=1)
            label = f"{level[s, a]:+.2f}".replace("-", "−")
            box = {"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.9}
            axes.text(np.mean(x), np.mean(y), label, ha="center", va="center", fontsize=10, bbox=box, zorder=3)
        for s, value in enumerate(found.value[t]):
            text = f"V = {value:.2f}".replace("-", "−")
            box = {"boxstyle": "round,pad=0.3", "fc": "white", "ec": "black", "lw": 0.8}
            axes.text(places[t][s], -t, text, ha="center", va="center", fontsize=10, bbox=box, zorder=4)
    for y, x in enumerate(places[-1]):
        word = "".join("ab"[int(bit)] for bit in f"{y:0{tree.horizon}b}")
        axes.text(
            x, -tree.horizon - 0.06, f"{word}\nR = {rewards[y]:.2f}".replace("-", "−"), ha="center", va="top", fontsize=10
        )
    axes.set(xlim=(0, 2**tree.horizon), ylim=(-tree.horizon - 0.45, 0.25))
    axes.set_title(r"credit $\beta\,\log(\pi^\star/\mu)$ of each token, and the soft value of each prefix")
    axes.axis("off")
    for path in _style.save(figure, "token_credit"):
        print(path)


if __name__ == "__main__":
    main()
