"""Conditional training with noisy tags (claims conditional-pretraining/conditional, tag-noise-is-temperature).

Left: the bad rate of samples under the good tag against the rate e of wrong tags, for three bad rates of the data. Right: the
temperature of the KL-regularised reinforcement learning that it amounts to.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from bandits.preference.conditional_training import conditioned_bad_rate


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.0, 4.0))
    errors = np.linspace(0.0, 0.5, 201)
    for colour, dashes, b in zip(_style.COLOURS, ("-", "--", "-."), (0.1, 0.441, 0.8)):
        left.plot(errors, conditioned_bad_rate(b, errors), color=colour, ls=dashes, label=f"data: b = {b:g}")
        left.plot([0.5], [b], "o", color=colour, ms=5, clip_on=False)
    left.set(xlabel="rate of wrong tags e", ylabel="bad rate given the good tag", xlim=(0, 0.5), ylim=(0, 1))
    left.legend(loc="upper left")
    inside = np.geomspace(1e-6, 0.49, 300)
    right.plot(inside, 1 / np.log((1 - inside) / inside), color="black")
    right.set(xscale="log", yscale="log", xlabel="rate of wrong tags e")
    right.set_ylabel(r"temperature $\beta = 1 / \ln((1 - e) / e)$")
    for path in _style.save(figure, "conditional_training"):
        print(path)


if __name__ == "__main__":
    main()
