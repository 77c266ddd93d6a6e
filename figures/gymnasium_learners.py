"""Learners on real models made episodic: mean regret against the exact optimum (claim optac/gymnasium).

FrozenLake (slippery, H = 20), CliffWalking (H = 20) and Taxi (H = 18), rewards on [0, 1]; counts pooled over the steps. On FrozenLake also
the linear form with one-hot features and the version-space form, whose class is complete and holds two models, slippery and not, for
2000 episodes. Dotted: the regret of the uniform policy.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from mdplab.learning.linear_actor_critic import LinearActorCritic, linear_actor_critic
from mdplab.learning.optimistic_actor_critic import ActorCritic, optimistic_actor_critic, ucbvi
from mdplab.learning.q_learning import optimistic_q_learning
from mdplab.learning.version_space import complete_class, version_space_actor_critic
from mdplab.models import EpisodicMDP, episodic_cliff_walking, episodic_frozen_lake, episodic_taxi, to_linear
from mdplab.solvers import backward_induction, evaluate_episodic_policy
from theory.random_streams import run_seeds


def uniform_loss(mdp: EpisodicMDP) -> float:
    """V* - V of the uniform policy, from the start."""
    uniform = np.full(mdp.R.shape, 1 / mdp.actions)
    assert mdp.start is not None
    return float(mdp.start @ (backward_induction(mdp).value[0] - evaluate_episodic_policy(mdp, uniform).value[0]))


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, all_axes = plt.subplots(1, 3, figsize=(12.0, 4.0))
    models = (
        ("FrozenLake 4x4", episodic_frozen_lake(H=20), _style.sized(8000, 200), _style.sized(8, 2)),
        ("CliffWalking", episodic_cliff_walking(H=20), _style.sized(8000, 200), _style.sized(4, 2)),
        ("Taxi", episodic_taxi(H=18), _style.sized(4000, 40), 2),
    )
    for axes, (title, mdp, episodes, runs) in zip(all_axes, models):
        marks, seeds = np.unique(np.linspace(1, episodes, 60).astype(int)), run_seeds(6, runs)
        found = {
            "actor-critic": optimistic_actor_critic(
                mdp, episodes, seeds, ActorCritic(scale=0.05, pooled=True), checkpoints=marks
            ),
            "UCBVI, Bernstein": ucbvi(mdp, episodes, seeds, bonus="bernstein", scale=0.05, pooled=True, checkpoints=marks),
            "Q-learning": optimistic_q_learning(mdp, episodes, seeds, scale=0.02, checkpoints=marks),
        }
        if title.startswith("FrozenLake"):
            early, first = marks[marks <= _style.sized(2000, 50)], seeds[:2]
            functions = complete_class(mdp, [episodic_frozen_lake(H=20, is_slippery=False)])
            found["linear actor-critic"] = linear_actor_critic(
                to_linear(mdp), int(early[-1]), first, LinearActorCritic(scale=0.2), checkpoints=early
            )
            found["version space"] = version_space_actor_critic(mdp, functions, int(early[-1]), first, checkpoints=early)
        for colour, dashes, (label, run) in zip(_style.COLOURS, ("-", "--", "-.", "-", "--"), found.items()):
            axes.plot(run.checkpoints, run.pseudo_regret.mean(axis=0), color=colour, ls=dashes, label=label)
        axes.plot(marks, uniform_loss(mdp) * marks, color="black", ls=":", lw=1.2, label="uniform policy")
        top = max(float(run.pseudo_regret.mean(axis=0)[-1]) for run in found.values())
        axes.set(title=title, xlabel="episodes", ylim=(0, 1.15 * top))
    all_axes[0].set_ylabel("mean regret")
    all_axes[0].legend(fontsize=9)
    for path in _style.save(figure, "gymnasium_learners"):
        print(path)


if __name__ == "__main__":
    main()
