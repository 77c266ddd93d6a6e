r"""Soft Actor-Critic with small networks against the exact soft optimum (claims sac/neural-vs-exact, sac/twin-underestimates).

Networks of one hidden layer of 32 tanh units, 2000 steps with batches of 64 uniform pairs and Bernoulli rewards, on random MDPs
with 8 states, 4 actions and discount 0.9; 64 runs with instances of their own for each temperature and kind of critic, on a
CPU. Left: the soft value that the twins' minimum gives to a random state of each run, over the exact optimum. Middle: the mean
of q - Q*; bars are two standard errors. The three kinds share most of this noise, for their runs are paired: their differences
have a standard error of 0.001. Right, above: the same where the critics' target has no entropy, with the exact value of what it
leaves out, the discounted entropy of later steps under the optimal policy (dotted). Below: the policy's gap, as a share of the
uniform policy's. The policy suffers little, for the bonus that is left out is nearly the same in all states.
"""

from typing import Any

import _style
import matplotlib.pyplot as plt
import numpy as np

from experiments.neural_sac import model_of
from mdplab.solvers import soft_evaluate, soft_policy_iteration

LABELS = {
    "minimum": "minimum of twins",
    "single": "single critic",
    "maximum": "maximum of twins",
    "no entropy": "no entropy in target",
}


def missing_bonus(seed: int, temperature: float) -> float:
    """The mean over pairs of alpha gamma P D, D the discounted entropy of the optimal policy, on the instance of a run."""
    mdp = model_of(seed)
    best = soft_policy_iteration(mdp, temperature)
    later = soft_evaluate(mdp.replace(reward=np.zeros(mdp.pairs)), best.policy, 1.0)
    return temperature * float(later.q.mean())


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    table = _style.table("neural-sac")
    table["share"] = table["gap"] / table["uniform"]
    temperatures = np.sort(table["temperature"].unique())
    seeds = [int(word) for word in table["seed"].unique()[: _style.sized(64, 2)]]

    figure = plt.figure(figsize=(12, 4.4))
    grid = figure.add_gridspec(2, 3, width_ratios=(1.1, 1.1, 1))
    left, middle = figure.add_subplot(grid[:, 0]), figure.add_subplot(grid[:, 1])
    above, below = figure.add_subplot(grid[0, 2]), figure.add_subplot(grid[1, 2])

    rows = table[table["critic"] == "minimum"]
    for colour, marker, temperature in zip(_style.COLOURS, "osD^v", temperatures):
        of = rows[rows["temperature"] == temperature]
        left.plot(
            of["exact"], of["neural"], marker, ms=3.5, mew=0, alpha=0.7, color=colour, label=f"$\\alpha = {temperature:g}$"
        )
    ends = [rows["exact"].min(), rows["exact"].max()]
    left.plot(ends, ends, color="black", lw=0.8)
    left.set(xlabel="exact soft value of a state", ylabel="value by the critics")
    left.legend(markerscale=1.6)

    kinds = dict(zip(LABELS, zip(_style.COLOURS, "osD^")))
    for shift, (critic, (colour, marker)) in zip((0.96, 1.0, 1.04, 1.0), kinds.items()):
        of = table[table["critic"] == critic].groupby("temperature")[["bias", "share"]]
        mean, error = of.mean(), 2 * of.sem()
        style: dict[str, Any] = {"color": colour, "marker": marker, "ms": 5, "label": LABELS[critic]}
        if critic == "no entropy":
            above.plot(temperatures, mean["bias"], **style)
        else:
            middle.errorbar(temperatures * shift, mean["bias"], error["bias"], capsize=2, **style)
        if critic in ("minimum", "no entropy"):
            below.errorbar(temperatures * (2 - shift), 100 * mean["share"], 100 * error["share"], capsize=2, **style)
    middle.axhline(0, color="black", lw=0.8)
    middle.set(xscale="log", xlabel="temperature $\\alpha$", ylabel="mean of $q - Q^*_\\alpha$", ylim=(-0.05, 0.08))
    middle.legend(loc="upper right")
    exact = [-np.mean([missing_bonus(seed, temperature) for seed in seeds]) for temperature in temperatures]
    above.plot(temperatures, exact, color="black", ls=":", label="exact bonus left out")
    above.set(xscale="log", ylabel="mean of $q - Q^*_\\alpha$")
    above.legend(fontsize=9)
    below.set(xscale="log", xlabel="temperature $\\alpha$", ylabel="gap / uniform's (%)", ylim=(0, None))
    below.legend(fontsize=9)
    for path in _style.save(figure, "neural_sac"):
        print(path)


if __name__ == "__main__":
    main()
