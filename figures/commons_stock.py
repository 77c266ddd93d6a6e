"""How long a commons lasts: the stock by month if everybody takes c times the share that grows back (govsim/overuse-lifetime).

Five harvesters, a capacity of 100 that doubles what is left, collapse below 5 (shaded); GovSim's numbers. Left: shares of the present
stock, so that it is worn down geometrically. Right: fixed amounts, whose excess over 10 each doubles every month. Crosses mark the
collapse; with c = 2, or with best responses, it comes in the first month (govsim/one-shot-collapse).
"""

from fractions import Fraction

import _style
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from games.commons import Commons, Harvest, fixed_amounts, share_of_stock, simulate

MONTHS = 18


def _draw(axes: Axes, runs: dict[str, Harvest], title: str) -> None:
    for colour, marker, (label, run) in zip(_style.COLOURS, ("o", "s", "^", "D", "v"), runs.items()):
        stocks = [float(h) for h in run.stocks]
        axes.plot(range(len(stocks)), stocks, marker=marker, ms=4, color=colour, label=label)
        if run.stocks[-1] < 5:
            axes.plot(len(stocks) - 1, stocks[-1], "x", color=colour, ms=11, mew=2.5, clip_on=False, zorder=5)
    axes.axhspan(0, 5, color="0.6", alpha=0.35, lw=0)
    axes.set(xlabel="month", ylabel="stock", title=title, ylim=(-3, 106), xlim=(-0.4, MONTHS + 0.4))
    axes.set_xticks(range(0, MONTHS + 1, 3))
    axes.legend(loc=(0.7, 0.56), fontsize=9)


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    commons = Commons()
    months = _style.sized(MONTHS, 12)
    overuse = {"c = 1": 1, "c = 1.05": Fraction(21, 20), "c = 1.2": Fraction(6, 5), "c = 1.5": Fraction(3, 2), "c = 2": 2}
    amounts = {"10 each": 10, "10.01": Fraction(1001, 100), "10.1": Fraction(101, 10), "11": 11, "20": 20}
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 4.0), sharey=True)
    _draw(
        left,
        {k: simulate(commons, share_of_stock(commons, [c] * 5), months) for k, c in overuse.items()},
        "shares of the stock",
    )
    _draw(right, {k: simulate(commons, fixed_amounts([x] * 5), months) for k, x in amounts.items()}, "fixed amounts")
    for path in _style.save(figure, "commons_stock"):
        print(path)


if __name__ == "__main__":
    main()
