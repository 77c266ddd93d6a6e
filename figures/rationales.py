"""What a rationale is worth (claims rationales/sample-efficiency, effective-dimension).

Accuracy on fresh pairs against the number of labels, in 20 dimensions of which two matter, with and without rationales that name them.
Points: means of 100 problems. Lines: the leading order of the error.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from bandits.preference.rationales import asymptotic_error, fit_named, ranking_error, sparse_preferences

SIZES = (25, 50, 100, 200, 400, 800, 1600)


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    rng = np.random.default_rng(0)
    problems = _style.sized(100, 10)
    accuracy: dict[str, list[float]] = {"with": [], "without": []}
    everything = np.broadcast_to(np.arange(20), (problems, 20))
    for n in SIZES:
        data = sparse_preferences(problems, n, 20, 2, 2.0, rng)
        for name, named in (("with", data.named), ("without", everything)):
            errors = ranking_error(fit_named(data.differences, named, 1e-3), data.parameter)
            accuracy[name].append(1 - float(errors.mean()))
    figure, axis = plt.subplots()
    grid = np.unique(np.geomspace(20, 2000, 200).round().astype(int))
    for colour, marker, (name, values), k in zip(_style.COLOURS, "os", accuracy.items(), (2, 20)):
        axis.plot(SIZES, values, marker, color=colour, ms=6, label=f"{name} rationales")
        line = np.array([1 - asymptotic_error(k, 2 * np.sqrt(2), int(n)) for n in grid])
        axis.plot(grid, line, color=colour, lw=1.2, ls="--", label=f"leading order, {k} coordinates")
    axis.set(xscale="log", xlabel="labelled pairs n", ylabel="accuracy on fresh pairs", ylim=(0.6, 1.01))
    axis.set_xticks(SIZES, [str(n) for n in SIZES])
    axis.minorticks_off()
    axis.legend(loc="lower right")
    for path in _style.save(figure, "rationales"):
        print(path)


if __name__ == "__main__":
    main()
