"""Counterfactual regret minimisation: the kernel against its NumPy twin and OpenSpiel's solvers, and what it keeps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games.counterfactual_regret import cfr, cfr_plus, reached_regret, regret_scale
from games.extensive_form import ExtensiveFormGame, Treeplex, open_spiel_game, private_types
from games.poker import kuhn, leduc
from games.sequence_form import best_plan, nash_conv
from theory.errors import InputError


def matching(tree: Treeplex, regrets: np.ndarray) -> np.ndarray:
    """The behaviour that matches the regrets, also at information sets that it does not come to."""
    policy = np.ones(tree.sequences)
    for _, own in tree.blocks():
        positive = np.clip(regrets[own], 0, None)
        policy[own] = positive / positive.sum() if positive.any() else 1 / positive.size
    return policy


def cfr_numpy(game: ExtensiveFormGame, iterations: int, floored: bool, linear: bool, alternating: bool):
    """The algorithm with dense matrices and slices: the twin of the kernel."""
    trees, A = game.players, game.payoff.toarray()
    regrets = [np.zeros(t.sequences) for t in trees]
    plans = [t.plan(np.ones(t.sequences)) for t in trees]
    totals = [np.zeros(t.sequences) for t in trees]

    def move(player: int, opponent: np.ndarray) -> None:
        tree, policy = trees[player], matching(trees[player], regrets[player])
        q = A @ opponent if player == 0 else -(A.T @ opponent)
        for parent, own in reversed(list(tree.blocks())):
            value = policy[own] @ q[own]
            regrets[player][own] += q[own] - value
            q[parent] += value
        if floored:
            regrets[player] = np.clip(regrets[player], 0, None)
        regrets[player][0] = 0
        plans[player] = tree.plan(matching(tree, regrets[player]))

    for t in range(1, iterations + 1):
        if alternating:
            move(0, plans[1])
        x, y = plans
        for player in (0, 1):
            totals[player] += (t if linear else 1) * plans[player]
        if not alternating:
            move(0, y)
        move(1, x)
    return [total / total[0] for total in totals], regrets


GAMES = [kuhn(), private_types(types=2, moves=4, actions=3, seed=1), private_types(types=3, moves=3, actions=3, seed=2)]


@pytest.mark.parametrize("game", GAMES, ids=["kuhn", "private types 2", "private types 3"])
@pytest.mark.parametrize("floored", [False, True])
@pytest.mark.parametrize("averaging", ["uniform", "linear"])
@pytest.mark.parametrize("alternating", [False, True])
def test_the_kernel_equals_its_numpy_twin(game: ExtensiveFormGame, floored: bool, averaging, alternating: bool) -> None:
    run = cfr(game, 40, floored=floored, averaging=averaging, alternating=alternating, checkpoints=[1, 7, 40])
    for c, T in enumerate(run.checkpoints.tolist()):
        averages, regrets = cfr_numpy(game, T, floored, averaging == "linear", alternating)
        for player in (0, 1):
            assert np.allclose(run.averages[player][c], averages[player], rtol=0, atol=1e-10)
            assert np.allclose(run.regrets[player][c], regrets[player], rtol=0, atol=1e-10)
        assert run.nash_conv[c] == pytest.approx(nash_conv(game, *averages), abs=1e-9)


@pytest.mark.parametrize("name", ["kuhn_poker", "leduc_poker(suit_isomorphism=true)", "leduc_poker"])
@pytest.mark.parametrize("plus", [False, True])
def test_openspiel_does_the_same(name: str, plus: bool) -> None:
    """OpenSpiel's solvers walk the tree history by history, with alternating turns; they average the plans before the moves."""
    pyspiel = pytest.importorskip("pyspiel")
    T = 5 if name == "leduc_poker" else 20
    solver = (pyspiel.CFRPlusSolver if plus else pyspiel.CFRSolver)(pyspiel.load_game(name))
    for _ in range(T):
        solver.evaluate_and_update_policy()
    game = open_spiel_game(name)
    averaging = "linear" if plus else "uniform"
    run = cfr(game, T, floored=plus, averaging=averaging, alternating=True, keep_plays=True)
    weights = np.arange(1.0, T + 1) if plus else np.ones(T)
    row = np.vstack([game.row.plan(np.ones(game.row.sequences)), run.plays[0][:-1]])
    theirs = {"current": solver.current_policy(), "average": solver.average_policy()}
    for player, tree in enumerate(game.players):
        plays = row if player == 0 else run.plays[1]
        ours = {
            "current": matching(tree, run.regrets[player][-1]),
            "average": tree.behaviour(weights @ plays / weights.sum()),
        }
        reached = np.repeat((weights @ plays)[tree.parents] > 0, np.diff(tree.starts))
        for kind, policy in theirs.items():
            found = np.array([p for name in tree.names for _, p in policy.get_state_policy(name)])
            keep = reached if kind == "average" else np.ones_like(reached)  # elsewhere an average is not defined
            assert np.allclose(found[keep], ours[kind][1:][keep], rtol=0, atol=1e-9), kind


def test_known_convergence() -> None:
    """NashConv as an implementation in plain Python measured it, to a unit of the last digit noted."""
    marks = [10, 100, 1000, 3000]
    assert np.allclose(cfr(kuhn(), 3000, checkpoints=marks).nash_conv, [0.1924, 0.0514, 0.0145, 0.0084], atol=1e-4)
    assert np.allclose(cfr(leduc(), 600, checkpoints=[10, 100, 600]).nash_conv, [1.854, 0.346, 0.108], atol=1e-3)
    plus = cfr_plus(kuhn(), 1000, alternating=False, checkpoints=marks[:3])
    assert np.allclose(plus.nash_conv, [0.142, 0.0315, 0.0057], atol=5e-4)
    assert np.allclose(
        cfr_plus(leduc(), 300, alternating=False, checkpoints=[10, 100, 300]).nash_conv, [1.55, 0.088, 0.031], atol=1e-3
    )


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), T=st.integers(1, 60), alternating=st.booleans(), floored=st.booleans())
def test_what_a_run_keeps(seed: int, T: int, alternating: bool, floored: bool) -> None:
    game = private_types(types=2, moves=4, actions=3, seed=seed)
    run = cfr(game, T, alternating=alternating, floored=floored, keep_plays=True)
    for player, tree in enumerate(game.players):
        plays, average = run.plays[player], run.averages[player][-1]
        assert plays.shape == (T, tree.sequences)
        assert np.allclose(plays.mean(axis=0), average, rtol=0, atol=1e-13)
        assert np.allclose(tree.constraints() @ plays.T, np.eye(tree.information_sets + 1)[:, :1], rtol=0, atol=1e-12)
        assert run.regrets[player][0, 0] == 0
        if floored:
            assert run.regrets[player].min() >= 0
        best = best_plan(tree, run.regrets[player][-1])[0]
        assert best <= reached_regret(tree, run.regrets[player][-1]) + 1e-12
        assert reached_regret(tree, run.regrets[player][-1]) <= regret_scale(tree) * np.sqrt(T) + 1e-12
    again = cfr(game, T, alternating=alternating, floored=floored, checkpoints=sorted({1, T}))  # in pieces
    assert np.array_equal(again.averages[0][-1], run.averages[0][-1])
    assert again.plays[0].shape[0] == 0


def test_scaled_payoffs_give_the_same_plans() -> None:
    game = private_types(types=2, moves=4, actions=3, seed=5)
    scaled = ExtensiveFormGame(game.row, game.column, 1024 * game.payoff, 1024 * game.payoff_range)
    first, second = cfr(game, 100), cfr(scaled, 100)
    assert np.array_equal(first.averages[0], second.averages[0])
    assert np.array_equal(1024 * first.regrets[1], second.regrets[1])


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="at least 1 iteration, not 0"):
        cfr(kuhn(), 0)
    with pytest.raises(InputError, match=r"increase within \[1, 10\]"):
        cfr(kuhn(), 10, checkpoints=[5, 20])
    with pytest.raises(InputError, match="'uniform' or 'linear', not 'cubic'"):
        cfr(kuhn(), 10, averaging="cubic")  # type: ignore[arg-type]
