"""What a few policies can mix, and what their gap costs (claims protected-nondominated/discovery, finite-class-regret, pointwise-gap).

Left: returns of 60 policies against two attackers. Greedy discovery found the numbered ones, in this order; mixtures of them
dominate all others (grey region). The cross is a policy that it found, and that pruning drops. Right: regret to all policies, mean of
EXP3 runs on the two specialists (1, 0) and (0, 1) when a third policy earns 0.9 against each attacker; the attackers take turns. The set of
the two has the pointwise gap 0 and the mixture gap 0.4: only the bound with the latter holds.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from bandits.adversarial import LossSequence
from bandits.play import simulate
from bandits.weight_policies import EXP3
from games.nondominated import class_gap, greedy_discovery, pointwise_gap, prune
from theory.random_streams import run_seeds

RUNS = _style.sized(200, 4)
EPISODES = _style.sized(3000, 100)
POLICIES = 60


def draw_hull(axes: Axes) -> None:
    """The policies, those found, and what their mixtures dominate."""
    rng = np.random.default_rng(147)
    angle, radius = rng.uniform(0, np.pi / 2, POLICIES), np.sqrt(rng.uniform(0, 1, POLICIES))
    returns = 0.95 * np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    found = greedy_discovery(returns).found
    kept = prune(returns, found)
    hull = returns[sorted(kept, key=lambda i: returns[i, 0])]
    outline = np.vstack([[0, hull[0, 1]], hull, [hull[-1, 0], 0]])
    axes.fill(*np.vstack([outline, [0, 0]]).T, color="black", alpha=0.08, lw=0)
    axes.plot(*outline.T, color="black", lw=1)
    axes.plot(*returns.T, "o", ms=4, color=_style.COLOURS[5], label="policies")
    axes.plot(*returns[list(kept)].T, "o", ms=7, color=_style.COLOURS[0], label="found and kept")
    dropped = [i for i in found if i not in kept]
    axes.plot(*returns[dropped].T, "X", ms=9, color=_style.COLOURS[1], label="found, then dropped")
    for order, i in enumerate(found, start=1):
        axes.annotate(str(order), returns[i], xytext=(5, 4), textcoords="offset points", fontsize=10)
    axes.set(
        xlabel="return against attacker 1", ylabel="return against attacker 2", xlim=(0, 1.05), ylim=(0, 1.05), aspect="equal"
    )
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=9, columnspacing=1.0, handletextpad=0.3)


def draw_regret(axes: Axes) -> None:
    """Regret of EXP3 on the specialists, with the bounds of the two gaps."""
    returns = np.array([[1, 0], [0, 1], [0.9, 0.9]])
    met = np.arange(EPISODES) % 2
    losses = LossSequence(1 - returns[:2, met].T)
    horizons = np.unique(np.linspace(2, EPISODES, 12).astype(int))
    regret = []
    for episodes in horizons:  # EXP3 is tuned for the number of episodes
        found = simulate(EXP3(), losses, int(episodes), run_seeds(0, RUNS))
        earned = episodes - found.pseudo_regret[:, -1] - losses.best_losses[episodes - 1]
        regret.append((returns[:, met[:episodes]].sum(axis=1).max() - earned).mean())
    learning = np.sqrt(4 * horizons * np.log(2))
    mixture, pointwise = class_gap(returns, (0, 1)), pointwise_gap(returns, (0, 1))
    axes.plot(horizons, learning + mixture * horizons, "--", color="black", label=f"bound with the mixture gap, {mixture:.1f}")
    axes.plot(horizons, regret, "o-", ms=5, color=_style.COLOURS[0], label="EXP3 on the two specialists")
    axes.plot(
        horizons,
        learning + pointwise * horizons,
        ":",
        color=_style.COLOURS[1],
        label=f"bound with the pointwise gap, {pointwise:.0f}",
    )
    axes.set(xlabel="episodes T", ylabel="regret to all three policies", xlim=(0, EPISODES), ylim=(0, None))
    axes.legend(loc="upper left", fontsize=9)


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.8))
    draw_hull(left)
    draw_regret(right)
    for path in _style.save(figure, "nondominated_hull"):
        print(path)


if __name__ == "__main__":
    main()
