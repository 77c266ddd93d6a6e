"""What D3PO learns at the first of two steps, and what it should (claims d3po/not-equivalent, root-formula, wrong-sign,
saturation).

Left: random trees of two actions and two steps, rewards normal with deviation 3 for the last, beta = 1. The learnt log-ratio of
the two first actions against the difference of their soft values; in the shaded quadrants its sign is wrong. Right: one
response in 2m earns x, the others nothing. DPO of whole responses learns the soft values in both.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np
from scipy.special import logit

from mdplab.learning.stepwise_dpo import step_weights
from mdplab.learning.token_dpo import population_dpo, preference_law, token_credit
from mdplab.models.token_tree import random_token_tree
from mdplab.solvers.token_tree import soft_backup
from theory.bradley_terry_fit import fit_bradley_terry

TREES = _style.sized(300, 30)
EDGE = 9.0


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    soft, stepwise, whole = [], [], []
    for seed in range(TREES):
        tree = random_token_tree(A=2, H=2, spread=3.0, terminal=True, seed=seed)
        law = preference_law(tree)
        q = soft_backup(tree, 1.0).q[0][0]
        theta = fit_bradley_terry(step_weights(law, 2, 0)).theta
        credit = token_credit(tree, population_dpo(tree, law, 1.0).log_policy, 1.0)[0][0]
        soft.append(q[0] - q[1])
        stepwise.append(theta[0] - theta[1])
        whole.append(credit[0] - credit[1])
    wrong = np.mean(np.array(soft) * np.array(stepwise) < 0)

    figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.6))
    for x, y in ((-EDGE, 0.0), (0.0, -EDGE)):
        left.add_patch(plt.Rectangle((x, y), EDGE, EDGE, color="black", alpha=0.07, lw=0))
    left.plot(soft, whole, "x", color=_style.COLOURS[0], ms=5, label="DPO of whole responses")
    left.plot(soft, stepwise, "o", color=_style.COLOURS[1], ms=4, alpha=0.7, label=f"D3PO (wrong sign: {wrong:.0%})")
    left.set(xlim=(-EDGE, EDGE), ylim=(-EDGE, EDGE), xlabel="Q(0) − Q(1)", ylabel="learnt u(0) − u(1)", title="random trees")
    left.legend(loc="upper left")

    reward = np.linspace(0, 12, 200)
    for colour, dashes, m in zip(_style.COLOURS[1:], ("-", "--", ":"), (2, 8, 32)):
        chance = 1 / (m * (1 + np.exp(-reward))) + (1 - 1 / m) / 2
        right.plot(reward, np.log1p(np.expm1(reward) / m), color=_style.COLOURS[0], ls=dashes)
        right.plot(reward, logit(chance), color=colour, ls=dashes, label=f"D3PO, m = {m}")
        right.plot([12], [np.log((m + 1) / (m - 1))], "_", color=colour, ms=14, mew=2)
    right.plot([], [], color=_style.COLOURS[0], label="soft values, same m")
    right.set(
        xlabel="reward x of the one good response", ylabel="u(0) − u(1), and Q(0) − Q(1)", title="one good response in 2m"
    )
    right.legend(loc="upper left")
    for path in _style.save(figure, "stepwise_dpo"):
        print(path)


if __name__ == "__main__":
    main()
