"""The studies of the actor-critic: their points, the behaviour policies of their offline data, and their rows."""

import numpy as np

from experiments.optimistic_actor_critic import (
    bait_lock,
    by_point,
    contexts_study,
    lock_coefficient,
    lock_study,
    mixed_policy,
    retuned_gap,
    threshold_study,
    without_optimum,
)
from experiments.study import run_study
from mdplab.learning.optimistic_actor_critic import ActorCritic, optimistic_actor_critic, vanishing_step
from mdplab.models import hard_contexts
from mdplab.solvers import backward_induction
from theory.random_streams import run_seeds


def test_rows_are_those_of_direct_runs() -> None:
    study = contexts_study((100, 400), (1.0, 2.0), seed=3, runs=5, checkpoints=3)
    table = run_study(study)
    assert len(table) == 2 * 2 * 5 * 3
    mdp = hard_contexts(C=4, A=4, H=5, gap=retuned_gap(4, 4, 400, 2.0))
    runs = optimistic_actor_critic(mdp, 400, run_seeds(3, 5), ActorCritic(scale=0.5), checkpoints=[50, 141, 400])
    rows = table[(table["episodes"] == 400) & (table["multiple"] == 2.0)]
    assert rows["episode"].unique().tolist() == [50, 141, 400]
    assert np.array_equal(rows["regret"].to_numpy().reshape(5, 3), runs.pseudo_regret)
    assert np.array_equal(rows["switches"].to_numpy().reshape(5, 3), runs.switches)


def test_by_point_puts_parameters_on_axes() -> None:
    study = contexts_study((100, 200), (1.0, 2.0), seed=0, runs=4)
    table = run_study(study)
    samples = by_point(table, "regret", "multiple", "episodes")
    assert samples.shape == (2, 2, 4)
    chosen = table[(table["multiple"] == 2.0) & (table["episodes"] == 100)]
    assert np.array_equal(samples[1, 0], chosen["regret"].to_numpy())
    assert np.array_equal(by_point(table.sample(frac=1, random_state=1), "episodes", "episodes").shape, (2, 4))


def test_gaps_and_steps_are_retuned() -> None:
    assert retuned_gap(4, 4, 1600, 2.0) == 0.2
    assert retuned_gap(4, 4, 4, 2.0) == 0.5
    point = contexts_study((1000,), (1.0,), seed=0, runs=1, vanishing=True).points[0]
    assert point["step"] == vanishing_step(hard_contexts(C=4, A=4, H=5), 1000)
    assert contexts_study((1000,), (1.0,), seed=0, runs=1, fixed_gap=0.3).points[0]["gap"] == 0.3
    assert contexts_study((1000,), (1.0,), seed=0, runs=1, offline_share=0.5, offline_episodes=7).points[0]["offline"] == 507


def test_behaviour_policies() -> None:
    mdp = bait_lock()
    best = backward_induction(mdp).policy
    mixed = mixed_policy(mdp, 0.4)
    np.testing.assert_allclose(mixed.sum(axis=2), 1)
    assert np.isclose(mixed[2, 0, best[2, 0]], 0.4 + 0.6 / 3)
    without = without_optimum(mdp, step=0)
    np.testing.assert_allclose(without.sum(axis=2), 1)
    assert without[0, 0, best[0, 0]] == 0
    assert (without[1:] == 1 / 3).all()


def test_offline_data_helps_the_learner_of_the_lock_only_if_it_covers() -> None:
    covered, uncovered = (
        by_point(run_study(lock_study((500,), seed=1, runs=60, offline=(300,), covered=c)), "regret", "offline")
        for c in (True, False)
    )
    assert covered.mean() < 0.2 * uncovered.mean()


def test_the_threshold_study_scales_its_data_by_the_coefficient() -> None:
    mdp = bait_lock()
    right = 0.4 + 0.6 / mdp.actions  # the optimal action's chance at each of the steps
    assert np.isclose(lock_coefficient(0.4), right**-mdp.horizon)
    points = threshold_study((0.5, 2.0), (3,), seed=0, runs=1).points
    shares = [p["offline"] / lock_coefficient(p["mixture"]) for p in points if p["covered"]]
    np.testing.assert_allclose(shares, [0.5, 2.0] * 3, rtol=0.1)
    assert [p["offline"] for p in points if not p["covered"]] == [3]
