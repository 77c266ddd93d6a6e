"""Final values of hybrid natural policy gradient against the weight of the on-policy returns (claims hnpg/best-of-both, incomplete-class).

Left: locks with 3 actions and sampled data, mean of 40 runs. Offline data that cover the optimum help at any finite weight; where they lack
its first action, weight 0 fails, and any other does what on-policy learning does. Right: exact moments. Where the class is not
complete fitted evaluation diverges, and the loss falls like 1 / lam (20 regressions for each critic, 400 where it is complete).
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from mdplab.learning.hybrid_npg import episodic_hybrid_actor_critic, hybrid_actor_critic, offline_transitions
from mdplab.models import debt, episodic_lock
from mdplab.solvers import backward_induction
from theory.random_streams import run_seeds

WEIGHTS = np.concatenate(([0.0], np.geomspace(0.01, 1000, _style.sized(16, 4)), [np.inf]))
RUNS = _style.sized(40, 3)
ITERATIONS = _style.sized(60, 10)


def on_lock(H: int, covered: bool) -> list[float]:
    """The mean value of the last policies on a lock of H steps, for every weight."""
    mdp = episodic_lock(A=3, H=H, seed=1)
    best = backward_induction(mdp).policy
    behaviour = np.full(mdp.R.shape, 0.2) + 0.4 * (best[:, :, None] == np.arange(3))
    if not covered:
        behaviour[0, 0, best[0, 0]] = 0.0
        behaviour[0, 0] /= behaviour[0, 0].sum()
    seeds = run_seeds(0, RUNS)
    runs = [episodic_hybrid_actor_critic(mdp, behaviour, 6000, lam, 2.0, 50, ITERATIONS, seeds) for lam in WEIGHTS]
    return [float(r.final.mean()) for r in runs]


def on_debt(features: np.ndarray, regressions: int) -> list[float]:
    """What the last half of the policies loses on average in the model of a debt, whose worst policy loses 0.95, for every weight."""
    mdp = debt(gamma=0.95)
    data = offline_transitions(mdp, [0.25, 0.25, 0.24, 0.02, 0.24])
    runs = [
        hybrid_actor_critic(mdp, features, data, lam, 0.5, ITERATIONS, evaluation_iterations=regressions) for lam in WEIGHTS
    ]
    return [float(-r.values[ITERATIONS // 2 :, 0].mean()) for r in runs]


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    shared = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 2, 0], [0, 0, 0, 1]])
    panels = [
        {
            "covered, 10 steps": on_lock(10, True),
            "not covered, 10 steps": on_lock(10, False),
            "not covered, 7 steps": on_lock(7, False),
        },
        {"covered, class not complete": on_debt(shared, 20), "covered, complete": on_debt(np.eye(5), _style.sized(400, 40))},
    ]
    # 0 and infinity stand beside the logarithmic scale
    x = WEIGHTS.copy()
    x[0], x[-1] = 1e-3, 1e4
    figure, all_axes = plt.subplots(1, 2, figsize=(10.2, 4.4))
    for axes, curves in zip(all_axes, panels):
        for colour, marker, (label, values) in zip(_style.COLOURS, "osD", curves.items()):
            axes.plot(x[1:-1], values[1:-1], color=colour, label=label)
            axes.plot(x[[0, -1]], [values[0], values[-1]], marker, color=colour)
        axes.set_xscale("log")
        axes.set_xticks([1e-3, 1e-2, 1, 100, 1e4], ["0", "0.01", "1", "100", "∞"])
        axes.minorticks_off()
        axes.set_xlabel("weight λ of the on-policy returns")
        axes.legend(loc="best")
    all_axes[0].set(title="locks, sampled", ylabel="value of the last policy", ylim=(-0.05, 1.05))
    all_axes[1].set(title="debt, exact moments", ylabel="loss of the last policies", yscale="log")
    for path in _style.save(figure, "hybrid_npg"):
        print(path)


if __name__ == "__main__":
    main()
