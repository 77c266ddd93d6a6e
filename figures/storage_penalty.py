"""A penalty that is too small lets training look into the future (claims ts-ddr/penalty-threshold, price-threshold, example).

Storage over three stages with uncertain inflows. Targets for the levels are trained on forward problems that see a whole scenario and
pay the penalty C for each unit by which they miss. Blue: the least expected objective F(C). It rises from the wait-and-see bound to
the multistage optimum, which it reaches at C* = 1, the largest multiplier of non-anticipativity; left of it, training promises
costs that no policy has. Circles: targets trained by dual gradients reach that promise. Orange: what the same targets cost when they
are followed without looking ahead (below C* the best targets are not unique, and this depends on which ones training finds). From
the largest price, 3, on no targets at all can promise less than they cost.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from mdplab.models.scenario_tree import storage
from mdplab.solvers.scenario_tree import (
    exact_penalty,
    extensive_form,
    follow,
    train_targets,
    training_objective,
    training_optimum,
)


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    tree = storage()
    penalties = np.geomspace(0.05, 10.0, _style.sized(81, 15))
    promised = training_optimum(tree, penalties)[0]
    some = np.geomspace(0.0625, 8.0, _style.sized(15, 4))
    runs = []
    for C in some:
        x = np.ones(tree.nodes)
        for size in (0.4, 0.1, 0.02):  # a constant step leaves an error of its own size
            x = train_targets(tree, C, steps=_style.sized(100, 5), size=size / max(C, 0.5), start=x).targets
        runs.append((training_objective(tree, x, C), follow(tree, x).cost))
    figure, axes = plt.subplots()
    optimum, clairvoyant = extensive_form(tree).value, extensive_form(tree, non_anticipative=False).value
    threshold, largest = exact_penalty(tree), float(tree.price.max())
    axes.axhline(optimum, color="black", ls="--", lw=1.2)
    axes.axhline(clairvoyant, color="black", ls=":", lw=1.2)
    axes.text(10.0, optimum - 0.012, f"multistage optimum {optimum:.4f}", ha="right", va="top", fontsize=9.5)
    axes.text(10.0, clairvoyant + 0.012, f"wait and see {clairvoyant:.5f}", ha="right", va="bottom", fontsize=9.5)
    axes.plot(penalties, promised, color=_style.COLOURS[0], label="least training objective F(C)")
    axes.plot(some, [r[0] for r in runs], "o", color=_style.COLOURS[0], ms=5, label="trained targets: objective")
    axes.plot(
        some, [r[1] for r in runs], "s--", color=_style.COLOURS[1], ms=5, lw=1.2, label="trained targets: cost of following"
    )
    for place, name in ((threshold, "C*"), (largest, "largest price")):
        axes.axvline(place, color="grey", lw=1.0)
        axes.text(place * 1.04, 0.98, name, transform=axes.get_xaxis_transform(), fontsize=9.5, va="top")
    axes.set(xscale="log", xlabel="penalty C", ylabel="expected cost")
    axes.set_xticks([0.1, 0.3, 1, 3, 10], ["0.1", "0.3", "1", "3", "10"])
    figure.legend(loc="outside lower center", ncols=2)
    for path in _style.save(figure, "storage_penalty"):
        print(path)


if __name__ == "__main__":
    main()
