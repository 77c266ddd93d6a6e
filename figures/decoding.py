"""Decoding with a frozen policy (claims transfer-q/vs-cd, vs-cd-share, vas/mean-value, mean-value-share).

Expected reward against the divergence from the reference of controlled decoding and of Transfer Q*, whose baselines (dots) have
the temperatures beta. Left: a random tree of three tokens and five steps on which one response in twenty pays. Middle: the tree
of the counterexample, where a warm baseline judges the first token wrongly. Black: the tilts of whole responses, which no
decoder passes. Right: the share of the possible improvement of J that value augmented sampling obtains with mean values in
place of soft ones, medians and the middle 80% of 100 random trees of two tokens, by steps and beta (standard normal rewards).
"""

import _style
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from mdplab.models.response_trees import bounded_tree, misjudged
from mdplab.models.token_tree import Levels, TokenTree, random_token_tree
from mdplab.solvers.decoding import controlled_decoding, response_divergence, transfer_decoding, value_augmented_sampling
from mdplab.solvers.token_tree import policy_value, soft_backup

ALPHAS = np.geomspace(0.01, 20.0, _style.sized(80, 12))
STEPS = (1, 2, 3, 4, 5, 6)
TREES = _style.sized(100, 5)


def share(tree: TokenTree, beta: float) -> float:
    """(J(pi_1) - J(pi_0)) / (J(pi*) - J(pi_0)) of the decoder pi_1 with mean values."""
    start = policy_value(tree, tree.log_reference)
    earned = policy_value(tree, value_augmented_sampling(tree, beta, "mean"), beta)
    return (earned - start) / (float(soft_backup(tree, beta).value[0][0]) - start)


def compare(axes: Axes, tree: TokenTree, betas: tuple[float, float]) -> None:
    """Both decoders at all temperatures alpha, and the optimal tilts."""

    def curve(policies: list[Levels]) -> np.ndarray:
        return np.array([(response_divergence(tree, p, tree.log_reference)[0], policy_value(tree, p)) for p in policies]).T

    axes.plot(*curve([soft_backup(tree, a).log_policy for a in ALPHAS]), color=_style.COLOURS[6], lw=1.2, label="optimal tilts")
    axes.plot(
        *curve([controlled_decoding(tree, a) for a in ALPHAS]), "--", color=_style.COLOURS[1], label="controlled decoding"
    )
    for beta, colour, style in zip(betas, (_style.COLOURS[0], _style.COLOURS[2]), ("-.", ":")):
        found = [transfer_decoding(tree, beta, a) for a in ALPHAS]
        axes.plot(*curve([f.log_policy for f in found]), style, color=colour, label=f"Transfer Q*, β = {beta:g}")
        axes.plot(*curve([found[0].baseline]), "o", color=colour)
    axes.set(xlabel="divergence from the reference (nats)")


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13.6, 4.4))
    compare(left, bounded_tree(A=3, H=5, rare=0.05, seed=2), (1.0, 0.3))
    left.set(ylabel="expected reward", title="a random tree")
    compare(middle, misjudged(), (0.3, 0.1))
    middle.set(title="the counterexample")
    left.legend(loc="lower right")
    middle.legend(loc="lower right")

    for beta, colour, style in zip((0.1, 0.5, 2.0), _style.COLOURS, ("o-", "s--", "^-.")):
        shares = np.array(
            [[share(random_token_tree(A=2, H=H, terminal=True, seed=k), beta) for k in range(TREES)] for H in STEPS]
        )
        low, median, high = np.quantile(shares, (0.1, 0.5, 0.9), axis=1)
        right.plot(STEPS, median, style, color=colour, label=f"β = {beta:g}")
        right.fill_between(STEPS, low, high, color=colour, alpha=0.15, lw=0)
    right.set(
        xlabel="steps H", ylabel="share of the possible improvement", title="mean values in place of soft ones", ylim=(0, 1.03)
    )
    right.legend(loc="lower left")
    for path in _style.save(figure, "decoding"):
        print(path)


if __name__ == "__main__":
    main()
