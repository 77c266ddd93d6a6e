"""The actor's term is an artefact of the step size (claims optac/tracking-polylog, constant-eta-no-worse).

Left: the actor's lag behind its critic, summed along the runs. With a constant step it grows by a constant for every fourfold T; with the
vanishing step of the generic bound like the root of T. Both stay below what is proved for the constant step (dotted). Right: the
regret of the two, at the gap 2 sqrt(C A / T), is the same within a few per cent: the critic's error rules it.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from experiments.declared import stored_or_run
from experiments.optimistic_actor_critic import HORIZON, by_point

ACTIONS = 4


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    table = stored_or_run("actor-step", quick=_style.is_quick())
    T = table["episodes"].unique().astype(float)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.0, 4.2))
    for colour, mark, vanishing, label in (
        (_style.COLOURS[0], "o", False, "η = 1"),
        (_style.COLOURS[1], "s", True, "η ∝ T^(-1/2)"),
    ):
        rows = table[(table["step"] < 1) == vanishing]
        for axes, value in ((left, "tracking"), (right, "regret")):
            samples = by_point(rows, value, "episodes")
            error = 3 * samples.std(axis=1, ddof=1) / np.sqrt(samples.shape[1])
            axes.errorbar(T, samples.mean(axis=1), error, color=colour, marker=mark, ms=5, capsize=3, label=label)
        if not vanishing:
            K = by_point(rows, "switches", "episodes").mean(axis=1)
            bound = K * (HORIZON * (HORIZON + 1) / 2 + HORIZON * np.log(ACTIONS) * (1 + np.log(T / K)))
            left.plot(T, bound, color=colour, ls=":", label="proved for η = 1")
    left.plot(T, 3.0 * np.sqrt(T), color="black", lw=0.9, ls="--", label="slope 1/2")
    left.set(xscale="log", yscale="log", xlabel="episodes T", ylabel="the actor's lag Σ gap")
    right.set(xscale="log", yscale="log", xlabel="episodes T", ylabel="regret")
    left.legend(fontsize=9)
    right.legend(fontsize=9)
    for path in _style.save(figure, "actor_step_size"):
        print(path)


if __name__ == "__main__":
    main()
