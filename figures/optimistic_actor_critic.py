"""The regret of the optimistic actor-critic: of the order root T at the worst gap, linear for its broken relatives.

Left (claims optac/regret-exponent, lower-bound): the worst mean regret over gaps re-tuned to T on hard contexts (C = A = 4, H = 5),
divided by sqrt(H^4 S A T), is flat between the minimax lower bound at its best gap and 8 times it. Right (optac/rare-switch-necessity,
regret-exponent): on the lock with a bait, against an instance that does not change with T, the learner without optimism and the
one that switches (and resets) at every episode lose the same in every episode. Inset (optac/switch-growth): switches against log T.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from experiments.declared import stored_or_run
from experiments.optimistic_actor_critic import HORIZON, bait_lock, by_point, retuned_gap
from mdplab.learning.optimistic_actor_critic import ActorCritic, optimistic_actor_critic
from theory.bounds.hard_contexts import regret_lower_bound
from theory.random_streams import run_seeds

CONTEXTS, ACTIONS = 4, 4


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    table = stored_or_run("worst-gap", quick=_style.is_quick())
    figure, (left, right) = plt.subplots(1, 2, figsize=(11.0, 4.4))
    T = table["episodes"].unique().astype(float)
    scale = np.sqrt(HORIZON**4 * (CONTEXTS + 3) * ACTIONS * T)
    floor = np.array([regret_lower_bound(CONTEXTS, ACTIONS, t, retuned_gap(CONTEXTS, ACTIONS, t, 0.4), HORIZON) for t in T])
    constant, half = table["step"] == 1, table["scale"] == 0.5
    settings = {"c = 1/2, η = 1": constant & half, "c = 1/2, vanishing η": ~constant, "c = 1, η = 1": ~half}
    for colour, mark, (label, chosen) in zip(_style.COLOURS, "os^", settings.items()):
        samples = by_point(table[chosen], "regret", "multiple", "episodes") / scale[:, None]
        worst = samples.mean(axis=2).argmax(axis=0)
        regret = samples[worst, np.arange(T.size)]
        error = 3 * regret.std(axis=1, ddof=1) / np.sqrt(regret.shape[1])
        left.errorbar(T, regret.mean(axis=1), error, color=colour, marker=mark, ms=5, capsize=3, label=label)
    left.plot(T, floor / scale, color="black", ls="--", lw=1.2, label="minimax lower bound")
    left.plot(T, 8 * floor / scale, color="black", ls=":", lw=1.2, label="8 times it")
    left.set(xscale="log", yscale="log", xlabel="episodes T", ylabel="worst regret / √(H⁴SAT)", ylim=(0.008, 0.4))
    left.legend(fontsize=9, loc="center left", bbox_to_anchor=(0.02, 0.4))

    marks = np.unique(np.geomspace(100, _style.sized(60_000, 600), 25).astype(int))
    lock, seeds = bait_lock(), run_seeds(2, _style.sized(32, 4))
    runs = {
        "optimistic, rare switching": ActorCritic(scale=0.5),
        "no optimism (c = 0)": ActorCritic(scale=0.0),
        "a switch each episode": ActorCritic(scale=0.5, switching="every episode"),
    }
    for colour, dashes, (label, algorithm) in zip(_style.COLOURS, ("-", "--", "-."), runs.items()):
        found = optimistic_actor_critic(lock, int(marks[-1]), seeds, algorithm, checkpoints=marks)
        right.plot(marks, found.pseudo_regret.mean(axis=0), color=colour, ls=dashes, label=label)
        if algorithm.switching == "doubling" and algorithm.scale > 0:
            inset = right.inset_axes((0.62, 0.1, 0.36, 0.34))
            inset.plot(np.log2(marks), found.switches.mean(axis=0), color=colour)
            inset.set_title("switches against log₂ T", fontsize=8)
            inset.tick_params(labelsize=8)
    right.set(xscale="log", yscale="log", xlabel="episodes T", ylabel="mean regret on the lock with a bait")
    right.legend(fontsize=9, loc="upper left")
    for path in _style.save(figure, "optimistic_actor_critic"):
        print(path)


if __name__ == "__main__":
    main()
