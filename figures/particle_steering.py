"""Particles steered by a reward (claims fk/consistency, error-bound, steering-saves, steering-never-hurts).

Left: the root mean squared error of the particles' law on one chain of 6 states and 5 steps whose scores are the expected reward
plus noise. Lines: the leading term of the error, which is exact; all of them fall like N^(-1/2) in the end. Without its last
correction, max goes elsewhere. Right: how many particles a relative error of 10% of Z_hat takes if the reward is the number of
successes among T tosses.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from mdplab.models.finite_chain import counting_chain, log_normaliser, scored_chain, tilted_target
from mdplab.sampling.smc import POTENTIALS, steer
from mdplab.sampling.smc_moments import asymptotic_variance, second_moment
from theory.random_streams import run_seeds

STRENGTH = 1.5
SIZES = 16 * 2 ** np.arange(_style.sized(9, 4))
RUNS = _style.sized(400, 50)
MARKERS = dict(zip(POTENTIALS, "os^D"))


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    chain = scored_chain(seed=1)
    target, scale = tilted_target(chain, STRENGTH), np.exp(-log_normaliser(chain, STRENGTH))
    centred = np.eye(chain.states) - target
    figure, (error, cost) = plt.subplots(1, 2, figsize=(10.2, 4.4))
    for colour, potential in zip(_style.COLOURS, POTENTIALS):
        measured, leading = [], []
        for N in SIZES:
            law = steer(chain, potential, STRENGTH, int(N), run_seeds(int(N), RUNS)).law
            measured.append(np.sqrt(((law - target) ** 2).sum(axis=1).mean()))
            leading.append(scale * np.sqrt(second_moment(chain, potential, STRENGTH, int(N), centred).sum()))
        error.plot(SIZES, leading, color=colour, lw=1.2)
        error.plot(SIZES, measured, ls="none", marker=MARKERS[potential], color=colour, mfc="none", mew=1.5, label=potential)
    wrong = []
    for N in SIZES:
        law = steer(chain, "max", STRENGTH, int(N), run_seeds(int(N), RUNS), corrected=False).law
        wrong.append(np.sqrt(((law - target) ** 2).sum(axis=1).mean()))
    error.plot(SIZES, wrong, color="black", ls=":", marker="x", label="max, not corrected")
    line = np.array([100.0, SIZES[-1]])
    error.plot(line, 0.9 / np.sqrt(line), color="black", lw=1.0, alpha=0.5, ls="--")
    error.annotate("slope −1/2", (700, 0.9 / np.sqrt(700)), (-6, -16), textcoords="offset points", ha="right", fontsize=10)
    error.set(xscale="log", yscale="log", xlabel="particles N", ylabel="root mean squared error", title="law of the particles")
    error.legend(fontsize=9, loc="lower left")

    steps = np.arange(1, _style.sized(16, 6))
    for colour, potential in zip(_style.COLOURS, POTENTIALS[:2]):
        needed = []
        for T in steps:
            tosses = counting_chain(T=int(T), p=0.3)
            variance = asymptotic_variance(tosses, potential, STRENGTH)
            needed.append(100 * float(variance) * np.exp(-2 * log_normaliser(tosses, STRENGTH)))
        cost.plot(steps, needed, color=colour, marker=MARKERS[potential], mfc="none", label=potential)
    cost.set(yscale="log", xlabel="steps T", ylabel="particles", title="for Z to 10%, reward earned bit by bit")
    cost.legend()
    for path in _style.save(figure, "particle_steering"):
        print(path)


if __name__ == "__main__":
    main()
