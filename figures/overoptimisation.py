"""Overoptimisation of tabular DPO (claims daa-scaling/covariance-law, dpo-hump).

Gold and proxy reward against the square root of the divergence from the reference, as the temperature is lowered: 15 responses,
rewards fitted to 60, 600 and 6000 labelled pairs. Means of 200 bandits at each temperature; the rewards are counted from the reference.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from bandits.preference.comparisons import independent_pairs, labelled
from bandits.preference.overoptimisation import fit_tabular_reward, overoptimisation_curve
from theory.links import bradley_terry

RUNS, K = _style.sized(200, 20), 15


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    rng = np.random.default_rng(0)
    gold, reference = rng.standard_normal((RUNS, K)), rng.dirichlet(np.ones(K), size=RUNS)
    law = labelled(independent_pairs(reference, distinct=True), bradley_terry(gold)).reshape(RUNS, -1)
    eta = np.concatenate(([0.0], np.geomspace(0.02, 100.0, 80)))
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.0, 4.2))
    for colour, dashes, n in zip(_style.COLOURS, ("-", "--", "-."), (60, 600, 6000)):
        counts = np.array([rng.multinomial(n, row / row.sum()) for row in law]).reshape(RUNS, K, K)
        proxy = fit_tabular_reward(counts, ridge=1e-3).theta
        curve = overoptimisation_curve(np.log(reference), gold, proxy, eta)
        distance = np.sqrt(curve.kl).mean(axis=0)
        left.plot(distance, (curve.gold - curve.gold[:, :1]).mean(axis=0), color=colour, ls=dashes, label=f"{n} pairs")
        right.plot(distance, (curve.proxy - curve.proxy[:, :1]).mean(axis=0), color=colour, ls=dashes, label=f"{n} pairs")
    left.set(xlabel=r"mean of $\sqrt{\mathrm{KL}(\pi\|\mu)}$", ylabel="gain over the reference", title="gold reward")
    right.set(xlabel=r"mean of $\sqrt{\mathrm{KL}(\pi\|\mu)}$", title="proxy reward (implicit in DPO)")
    left.legend(loc="lower right")
    for path in _style.save(figure, "overoptimisation"):
        print(path)


if __name__ == "__main__":
    main()
