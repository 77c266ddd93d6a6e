"""How often a safety test returns an unsafe policy, computed exactly.

Claims hc-rlhf/guarantee and student-guarantee. A policy whose mean harm is just above the threshold tau is tested on n harms of
0 or 1 with an upper confidence bound of level delta = 0.05 (dashed). Hoeffding's bound wastes most of the level, Clopper and
Pearson's uses what the whole numbers leave of it, and Student's goes far above it where harms are rare. Dotted: no harm is
seen, (1 - tau)^n.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from theory.certificates import Kind, binomial_upper_bound, exact_binomial_level

DELTA = 0.05
BOUNDS: tuple[tuple[Kind, str, str], ...] = (
    ("student", "Student", _style.COLOURS[1]),
    ("clopper-pearson", "Clopper-Pearson", _style.COLOURS[0]),
    ("hoeffding", "Hoeffding", _style.COLOURS[2]),
)


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, panels = plt.subplots(1, 2, figsize=(9.6, 4.2), sharey=True)
    thresholds = np.geomspace(0.002, 0.5, _style.sized(2400, 200))
    for axes, n in zip(panels, (50, 300)):
        for kind, name, colour in BOUNDS:
            upper = binomial_upper_bound(np.arange(n + 1), n, DELTA, kind)
            level = np.array([exact_binomial_level(lambda _, upper=upper: upper, n, tau) for tau in thresholds])
            # nothing is returned below the bound's value without harm
            axes.plot(thresholds, np.where(level > 0, level, np.nan), color=colour, label=name, lw=1.1)
        axes.plot(thresholds, (1 - thresholds) ** n, color=_style.COLOURS[6], ls=":", lw=1.4, label="no harm seen")
        axes.axhline(DELTA, color="0.35", ls="--", lw=1.2, label="δ = 0.05")
        axes.set(xscale="log", yscale="log", ylim=(2e-4, 1.3), xlabel="threshold τ", title=f"n = {n}")
        ticks = (0.002, 0.01, 0.05, 0.2, 0.5)
        axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
        axes.xaxis.set_minor_locator(plt.NullLocator())
    panels[0].set_ylabel("probability of returning an unsafe policy")
    levels = (0.001, 0.01, 0.05, 0.2, 1.0)
    panels[0].set_yticks(levels, [f"{v:g}" for v in levels])
    panels[0].yaxis.set_minor_locator(plt.NullLocator())
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    for path in _style.save(figure, "false_return"):
        print(path)


if __name__ == "__main__":
    main()
