"""The optimal taxes that a planner finds by trying, against the formulas (ai-economist/flat-optimum, ai-economist/schedule-recovered).

Left: welfare against a flat rate, workers best-responding, for three elasticities; the circle is the maximum by brute force, the dashed
line the formula. Right: the optimal schedule. The line is the general formula for a log-normal law of skills and welfare weights
inverse to skill (ai-economist/continuum-limit), the steps are the eight bracket rates that maximise welfare by brute force, and the
points where 12 planners end who see nothing but a noisy welfare (ai-economist/two-level-recovers), with their mean.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from scipy.optimize import minimize, minimize_scalar

from games.taxation import (
    TaxSchedule,
    economy_of,
    flat,
    log_normal_types,
    mechanism,
    optimal_flat_rate,
    optimal_rates,
    two_point_ascent,
    welfare,
)


def _flat_rates(axes: Axes) -> None:
    rates = np.linspace(0.0, 0.95, 400)
    for colour, elasticity in zip(_style.COLOURS, (0.3, 0.7, 1.5)):
        economy = economy_of(elasticity=elasticity)
        best = minimize_scalar(lambda t: -float(welfare(economy, flat(t))), bounds=(0.0, 0.95), method="bounded")  # noqa: B023
        axes.plot(rates, welfare(economy, flat(rates)), color=colour, label=f"e = {elasticity}")
        axes.plot(best.x, -best.fun, "o", color=colour, mfc="white", ms=7)
        axes.axvline(optimal_flat_rate(economy), color=colour, ls="--", lw=1)
    axes.set(xlabel="flat rate t", ylabel="welfare W", title="one rate: brute force and formula")
    axes.legend(loc="lower left")


def _schedule(axes: Axes) -> None:
    economy = log_normal_types(types=_style.sized(120, 30), spread=0.8, elasticity=0.5)
    plan = mechanism(economy, optimal_rates(economy))
    thresholds = np.array([0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0])

    def of(rates: np.ndarray) -> np.ndarray:
        return welfare(economy, TaxSchedule(rates, thresholds))

    brute = minimize(
        lambda rates: -float(of(rates)),
        np.full(8, 0.4),
        method="Powell",
        bounds=[(0.0, 0.95)] * 8,
        options={"xtol": 1e-4, "ftol": 1e-10, "maxiter": _style.sized(20, 1)},
    ).x
    rng = np.random.default_rng(2)
    runs = 12
    learned = two_point_ascent(
        lambda rates: of(rates) + 0.005 * rng.standard_normal(runs),
        np.full((runs, 8), 0.4),
        _style.sized(2000, 20),
        3,
        step=2.0,
        width=0.05,
        width_decay=0.1,
    )
    edges = np.concatenate([[plan.incomes[0]], thresholds, [plan.incomes[-1]]])
    middle = np.sqrt(edges[:-1] * edges[1:])
    axes.plot(plan.incomes[:-1], plan.rates[:-1], color=_style.COLOURS[0], label="general formula")
    axes.stairs(brute, edges, color=_style.COLOURS[1], lw=1.8, label="brackets, brute force", baseline=None)
    axes.plot(np.tile(middle, runs), learned.ravel(), ".", color=_style.COLOURS[2], ms=4, alpha=0.4)
    axes.plot(middle, learned.mean(axis=0), "D", color=_style.COLOURS[2], mfc="white", label="learned, mean of 12 planners")
    axes.set(xscale="log", xlabel="income z", ylabel="marginal rate", title="the schedule, recovered", ylim=(0, 1))
    axes.set_xticks([0.1, 0.25, 0.5, 1.0, 2.0, 5.0], ["0.1", "0.25", "0.5", "1", "2", "5"])
    axes.minorticks_off()
    axes.legend(loc="lower left")


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.2))
    _flat_rates(left)
    _schedule(right)
    for path in _style.save(figure, "optimal_tax"):
        print(path)


if __name__ == "__main__":
    main()
