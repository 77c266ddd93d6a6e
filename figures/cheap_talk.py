"""What a message can do to a learner (claims cheap-talk/tabular-immune, informed-harm, sampled-updates, function-approx-help).

Left: Q-learning on a table over states and messages, from random initial values; reward a step, averaged over runs. A constant
and a random map, chosen without a look at the table, give the same curve up to sampling. An adversary who knows the initial
table sends the message whose values prefer the worse action. Right: a linear victim that learns the values of eight states
from one of them at a time, with step size 0.5; median error. Its features are the indicators of states and the message. A
constant message of size 1 slows it down, and random signs do the same; one of size 1.8 is above the threshold,
alpha (1 + c^2) > 2, and the errors grow without bound. Grey: a victim whose only features are 1 and the message, without and
with the message m(s) = v(s).
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from mdplab.learning.cheap_talk import linear_features, linear_victim, victim_q_learning
from mdplab.models import dirichlet_mdp
from mdplab.models.cheap_talk import CheapTalkMDP
from mdplab.solvers import policy_iteration, q_values

RUNS, STEPS = _style.sized((4000, 150), (100, 40))
UPDATES, LEARNERS = _style.sized((200, 400), (40, 20))
MESSAGES = 3
SMOOTH = 5


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.4))
    rng = np.random.default_rng(0)
    mdp = dirichlet_mdp(S=4, A=2, gamma=0.9, seed=2)
    best = q_values(mdp, policy_iteration(mdp).value).reshape(4, 2).argmax(axis=1)
    tables = rng.normal(size=(RUNS, 4, MESSAGES, 2))
    s = np.arange(4)
    preference = tables[:, s, :, 1 - best] - tables[:, s, :, best]
    maps = {
        "f constant": np.zeros(4, dtype=np.int64),
        "f random": rng.integers(MESSAGES, size=(RUNS, 4)),
        "f chosen with the table in view": preference.argmax(axis=2).T,
    }
    for (name, message), dashes, width in zip(maps.items(), ("-", ":", "-"), (3.2, 1.8, 1.8)):
        runs = victim_q_learning(CheapTalkMDP(mdp, message, MESSAGES), tables, STEPS, np.arange(RUNS))
        curve = np.convolve(runs.reward.mean(axis=0), np.ones(SMOOTH) / SMOOTH, mode="valid")
        left.plot(np.arange(curve.size) + SMOOTH // 2 + 1, curve, ls=dashes, lw=width, label=name)
    left.set(title="table over (state, message)", xlabel="step", ylabel=f"reward a step (mean over {SMOOTH} steps)")
    left.legend(loc="center right", bbox_to_anchor=(1.0, 0.48))

    values = np.array([1.0, -1.0, 0.5, -0.5, 0.8, -0.2, 0.3, -0.9])
    one = np.ones((8, 1))
    victims = (
        ("no message", linear_features(np.zeros(8)), _style.COLOURS[0], "-"),
        ("constant, c = 1", linear_features(np.ones(8)), _style.COLOURS[2], "-"),
        ("random signs, c = 1", linear_features(rng.choice([-1.0, 1.0], size=8)), _style.COLOURS[4], "--"),
        ("constant, c = 1.8", linear_features(np.full(8, 1.8)), _style.COLOURS[1], "-"),
        ("aliased states, no message", one, "0.55", "-"),
        ("aliased states, m = v", np.column_stack((one, values)), "0.35", "--"),
    )
    for name, features, colour, dashes in victims:
        error = linear_victim(features, values, UPDATES, np.arange(LEARNERS), step_size=0.5)
        right.plot(np.median(error, axis=0), color=colour, ls=dashes, label=name)
    right.set(title="linear victim, α = 0.5", xlabel="updates", ylabel="root mean square error", yscale="log", ylim=(1e-6, 1e4))
    right.legend(loc="upper right", fontsize=8.5, ncols=2)
    for path in _style.save(figure, "cheap_talk"):
        print(path)


if __name__ == "__main__":
    main()
