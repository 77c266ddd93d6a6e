"""How well a noisy density ratio labels pairs, against the alignment gap (claims cdr/gap-helps, cdr/no-gap).

Left: pairs of fixed reward differences, the law Phi(kappa |d| / 2t), and the average over normal rewards with samples of 20 000 disjoint
pairs. Right: the share of wrong labels on average, which falls only like one over the gap.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from bandits.preference.density_ratio import mean_ranking_accuracy, ranking_accuracy, sample_rankings

NOISE, STRONG, PAIRS = 0.5, 0.05, _style.sized(20_000, 1000)
GAPS = np.geomspace(0.03, 100, _style.sized(60, 15))
SAMPLED = (0.1, 0.3, 1.0, 3.0, 10.0)


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.2))
    for d, dashes in ((0.2, ":"), (1.0, "--"), (3.0, "-.")):
        left.semilogx(GAPS, [ranking_accuracy(d, gap, NOISE) for gap in GAPS], ls=dashes, label=f"|d| = {d:g}")
    average = np.array([mean_ranking_accuracy(gap, NOISE) for gap in GAPS])
    left.semilogx(GAPS, average, color="black", label="average, r ~ N(0, 1)")
    rng = np.random.default_rng(0)
    seen = np.array([sample_rankings(STRONG, 1 / (1 / STRONG - gap), NOISE, PAIRS, rng).mean() for gap in SAMPLED])
    left.semilogx(SAMPLED, seen, "o", color="black", ms=5, label=f"{PAIRS} pairs")
    left.set(xlabel="alignment gap κ", ylabel="share of pairs labelled as by r", title=f"Errors of deviation t = {NOISE:g}")
    left.legend()
    right.loglog(GAPS, 1 - average, color="black", label="average")
    right.loglog(SAMPLED, 1 - seen, "o", color="black", ms=5, label=f"{PAIRS} pairs")
    bound = np.sqrt(2) * NOISE / (np.pi * GAPS)
    right.loglog(GAPS, bound, ls="--", label="√2 t / πκ")
    right.set(xlabel="alignment gap κ", ylabel="share of wrong labels", title="Close pairs stay hard", ylim=(2e-3, 1))
    right.legend()
    for path in _style.save(figure, "density_ratio"):
        print(path)


if __name__ == "__main__":
    main()
