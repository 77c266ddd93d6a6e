"""Partial control: brute force over attacks, the two extreme controls, training against an independent twin, and what is refused."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games.adversarial_training import guaranteed_returns, two_timescale_training
from games.markov import MarkovGame, evaluate_joint, joint_policy, marginal_mdp, markov_game
from games.partial_control import (
    PartialControl,
    attacked_occupancy,
    attacked_value,
    best_attack,
    modified_game,
    most_robust_victim,
    random_control,
    trap,
)
from games.shapley import hoffman_karp
from mdplab.models.random_mdps import dirichlet_rows
from mdplab.solvers import solve
from theory.errors import InputError

seeds = st.integers(0, 10**6)
controls = st.integers(0, 10).map(lambda k: k / 10)


def policies(model: PartialControl, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    victim, attack = (dirichlet_rows(rng, model.game.states, k, 1.0) for k in model.game.actions)
    return victim, attack


def rolled_out(model: PartialControl, victim: np.ndarray, attack: np.ndarray, steps: int) -> np.ndarray:
    """The value of the first ``steps`` steps, by following laws of the state, turn by turn."""
    game = model.game
    law, total = np.eye(game.states), np.zeros(game.states)
    for t in range(steps):
        after = np.zeros_like(law)
        for s, a, b in itertools.product(range(game.states), *map(range, game.actions)):
            for turn, policy in ((model.control, attack), (1 - model.control, model.normal)):
                weight = law[:, s] * victim[s, a] * turn * policy[s, b]
                total += game.gamma**t * weight * game.reward[0, s, a, b]
                after += weight[:, None] * game.transition[s, a, b]
        law = after
    return total


@pytest.mark.parametrize("control", [0.0, 0.3, 1.0])
def test_the_attacked_value_is_that_of_turns_drawn_in_each_step(control: float) -> None:
    model = random_control(S=3, actions=(2, 3), gamma=0.5, control=control, seed=1)
    victim, attack = policies(model, 2)
    found = attacked_value(model, victim, attack)
    np.testing.assert_allclose(found.value, rolled_out(model, victim, attack, 45), atol=1e-11)
    modified = modified_game(model)
    np.testing.assert_allclose(
        evaluate_joint(modified, joint_policy(modified, (victim, attack))).value, found.value, atol=1e-12
    )


@given(seed=seeds, control=controls)
@settings(max_examples=10, deadline=None)
def test_the_best_attack_beats_all_pure_ones_and_a_random_one(seed: int, control: float) -> None:
    model = random_control(S=3, actions=(2, 2), control=control, seed=seed)
    victim, attack = policies(model, seed)
    best = best_attack(model, victim)
    assert set(best.policy.ravel()) <= {0.0, 1.0}
    assert (best.policy.sum(axis=1) == 1).all()
    pure = [attacked_value(model, victim, np.eye(2)[list(choice)]).value for choice in itertools.product(range(2), repeat=3)]
    np.testing.assert_allclose(best.value, np.min(pure, axis=0), atol=1e-8)
    np.testing.assert_allclose(attacked_value(model, victim, best.policy).value, best.value, atol=1e-8)
    assert (attacked_value(model, victim, attack).value >= best.lower - 1e-10).all()


@given(seed=seeds)
@settings(max_examples=10, deadline=None)
def test_without_control_nobody_attacks_and_with_all_of_it_the_game_is_the_game(seed: int) -> None:
    model = random_control(S=3, actions=(3, 2), seed=seed)
    _, attack = policies(model, seed)
    nobody, full = model.with_control(0.0), model.with_control(1.0)
    np.testing.assert_array_equal(nobody.deployed(attack), model.normal)
    np.testing.assert_array_equal(full.deployed(attack), attack)
    alone = solve(marginal_mdp(model.game, 0, (np.empty((3, 0)), model.normal)), 1e-9)
    np.testing.assert_allclose(most_robust_victim(nobody).value, alone.value, atol=1e-7)
    np.testing.assert_array_equal(modified_game(full).reward, model.game.reward)
    np.testing.assert_array_equal(modified_game(full).transition, model.game.transition)
    np.testing.assert_allclose(most_robust_victim(full).value, hoffman_karp(model.game).value, atol=1e-7)


@given(seed=seeds, first=controls, second=controls)
@settings(max_examples=10, deadline=None)
def test_more_control_does_more_harm(seed: int, first: float, second: float) -> None:
    low, high = sorted((first, second))
    model = random_control(S=3, actions=(2, 3), seed=seed)
    victim, _ = policies(model, seed)
    less, more = (best_attack(model.with_control(c), victim) for c in (low, high))
    assert (more.lower <= less.upper + 1e-9).all()
    assert (
        most_robust_victim(model.with_control(high)).lower <= most_robust_victim(model.with_control(low)).upper + 1e-9
    ).all()


@given(seed=seeds)
@settings(max_examples=5, deadline=None)
def test_names_do_not_matter(seed: int) -> None:
    model = random_control(S=3, actions=(2, 3), seed=seed)
    rng = np.random.default_rng(seed)
    s, a, b = (rng.permutation(k) for k in (3, 2, 3))
    game = model.game
    renamed = PartialControl(
        MarkovGame(
            game.transition[np.ix_(s, a, b, s)],
            game.reward[np.ix_(np.arange(2), s, a, b)],
            game.gamma,
            game.start_distribution[s],
        ),
        model.normal[np.ix_(s, b)],
        model.control,
    )
    victim, _ = policies(model, seed)
    np.testing.assert_allclose(best_attack(renamed, victim[np.ix_(s, a)]).value, best_attack(model, victim).value[s], atol=1e-8)
    np.testing.assert_allclose(most_robust_victim(renamed).value, most_robust_victim(model).value[s], atol=1e-7)


@given(seed=seeds, control=controls)
@settings(max_examples=10, deadline=None)
def test_occupancies_price_the_rewards(seed: int, control: float) -> None:
    model = random_control(S=3, actions=(2, 3), control=control, seed=seed)
    victim, attack = policies(model, seed)
    found = attacked_occupancy(model, victim, attack)
    assert (found.pair.sum(), found.state.sum()) == pytest.approx((1, 1))
    np.testing.assert_allclose(found.pair.reshape(3, -1).sum(axis=1), found.state, atol=1e-12)
    expected = model.game.start_distribution @ attacked_value(model, victim, attack).value
    assert found.pair @ model.game.reward[0].reshape(-1) == pytest.approx((1 - model.game.gamma) * expected)


@pytest.mark.parametrize(("gamma", "control"), [(0.5, 0.1), (0.9, 0.5), (0.99, 1.0)])
def test_a_trap_is_worth_what_the_formula_says(gamma: float, control: float) -> None:
    model = trap(gamma=gamma, control=control)
    victim = np.ones((2, 1))
    found = best_attack(model, victim)
    assert found.value[0] == pytest.approx((1 - control) / (1 - gamma * (1 - control)), abs=1e-8)
    np.testing.assert_array_equal(found.policy[0], [0, 1])
    assert model.key == f"trap(control={control}, gamma={gamma})"


def by_hand(game: MarkovGame, steps: int, victim_step: float, attacker_step: float) -> tuple[np.ndarray, np.ndarray]:
    """The twin of the training: numerical gradients, and projections found by bisection."""

    def value(x: np.ndarray, y: np.ndarray) -> float:
        chain = np.einsum("sa,sb,sabt->st", x, y, game.transition)
        reward = np.einsum("sa,sb,sab->s", x, y, game.reward[0])
        return float(game.start_distribution @ np.linalg.solve(np.eye(game.states) - game.gamma * chain, reward))

    def gradient(f: Callable[[np.ndarray], float], at: np.ndarray) -> np.ndarray:
        out = np.zeros_like(at)
        for index in np.ndindex(*at.shape):
            up, down = at.copy(), at.copy()
            up[index] += 1e-6
            down[index] -= 1e-6
            out[index] = (f(up) - f(down)) / 2e-6
        return out

    def project(v: np.ndarray) -> np.ndarray:
        rows = []
        for row in v:
            low, high = row.min() - 1, row.max()
            for _ in range(80):
                middle = (low + high) / 2
                low, high = (middle, high) if np.maximum(row - middle, 0).sum() > 1 else (low, middle)
            rows.append(np.maximum(row - high, 0))
        return np.array(rows)

    x, y = (np.full((game.states, k), 1 / k) for k in game.actions)
    for _ in range(steps):
        up, down = gradient(partial(value, y=y), x), gradient(partial(value, x), y)
        x, y = project(x + victim_step * up), project(y - attacker_step * down)
    return x, y


def test_training_follows_its_twin() -> None:
    games = [markov_game(S=3, actions=(2, 3), gamma=0.8, payoff="zero-sum", seed=k) for k in range(2)]
    run = two_timescale_training(games, 7, victim_step=np.array([[0.05, 0.2]]), attacker_step=0.1, every=3)
    np.testing.assert_array_equal(run.steps, [0, 3, 6, 7])
    for g, game in enumerate(games):
        x, y = by_hand(game, 7, (0.05, 0.2)[g], 0.1)
        np.testing.assert_allclose(run.victims[-1, g], x, atol=1e-6)
        np.testing.assert_allclose(run.attackers[-1, g], y, atol=1e-6)


def test_games_are_trained_side_by_side_as_they_are_alone() -> None:
    games = [markov_game(S=2, actions=(3, 2), gamma=0.7 + 0.1 * k, payoff="zero-sum", seed=k) for k in range(3)]
    for attacker_step in (0.2, None):
        together = two_timescale_training(games, 40, victim_step=0.1 / np.sqrt(np.arange(1, 41)), attacker_step=attacker_step)
        for g, game in enumerate(games):
            alone = two_timescale_training([game], 40, victim_step=0.1 / np.sqrt(np.arange(1, 41)), attacker_step=attacker_step)
            np.testing.assert_allclose(together.victims[:, g], alone.victims[:, 0], atol=1e-12)
            np.testing.assert_allclose(together.attackers[:, g], alone.attackers[:, 0], atol=1e-12)


@given(seed=seeds)
@settings(max_examples=10, deadline=None)
def test_the_guaranteed_return_is_the_certified_one(seed: int) -> None:
    model = random_control(S=4, actions=(2, 3), control=1.0, seed=seed)
    victim, _ = policies(model, seed)
    best = best_attack(model, victim, 1e-10)
    found = guaranteed_returns([model.game], victim[None, None])
    assert found.shape == (1, 1)
    assert found[0, 0] == pytest.approx(model.game.start_distribution @ best.value, abs=1e-8)


def test_the_oracle_is_a_best_response_and_its_victim_comes_near_the_maximin() -> None:
    game = markov_game(S=3, actions=(3, 3), gamma=0.8, payoff="zero-sum", seed=3)
    run = two_timescale_training([game], 400, victim_step=0.1 / np.sqrt(np.arange(1, 401)), attacker_step=None, every=40)
    guaranteed = guaranteed_returns([game], run.victims)[:, 0]
    for x, y, floor in zip(run.victims[:, 0], run.attackers[:, 0], guaranteed):
        value = game.start_distribution @ evaluate_joint(game, joint_policy(game, (x, y))).value
        assert value == pytest.approx(floor, abs=1e-9)
    maximin = game.start_distribution @ hoffman_karp(game).value
    assert (guaranteed <= maximin + 1e-7).all()
    assert maximin - guaranteed.max() < 0.1 * (maximin - guaranteed[0])


def test_steps_of_size_zero_move_nobody() -> None:
    game = markov_game(S=2, actions=(2, 2), payoff="zero-sum")
    run = two_timescale_training([game], 5, victim_step=0.0, attacker_step=0.0)
    assert set(run.victims.ravel()) | set(run.attackers.ravel()) == {0.5}


def test_what_is_refused() -> None:
    game = markov_game(S=2, actions=(2, 3), payoff="zero-sum")
    normal = np.full((2, 3), 1 / 3)
    with pytest.raises(InputError, match=r"control is a probability, not 1\.5"):
        PartialControl(game, normal, 1.5)
    with pytest.raises(InputError, match=r"control is a probability, not nan"):
        PartialControl(game, normal, float("nan"))
    with pytest.raises(InputError, match=r"zero-sum game has two players"):
        PartialControl(markov_game(S=2, actions=(2, 3)), normal, 0.5)
    with pytest.raises(InputError, match=r"policy of player 1 has shape \(2, 3\), not \(2, 2\)"):
        PartialControl(game, np.full((2, 2), 0.5), 0.5)
    model = PartialControl(game, normal, 0.5)
    with pytest.raises(InputError, match=r"sums to 1\.5"):
        model.deployed(np.full((2, 3), 0.5))
    with pytest.raises(InputError, match=r"policy of player 0 has shape"):
        best_attack(model, np.full((2, 3), 1 / 3))
    with pytest.raises(InputError, match=r"concentration of a Dirichlet law is positive and finite, not 0"):
        random_control(concentration=0.0)
    with pytest.raises(InputError, match=r"there is no game to train in"):
        two_timescale_training([], 1, victim_step=0.1, attacker_step=0.1)
    with pytest.raises(InputError, match=r"one shape, not \(2, 2, 3, 2\) and \(3, 2, 3, 3\)"):
        two_timescale_training(
            [game, markov_game(S=3, actions=(2, 3), payoff="zero-sum")], 1, victim_step=0.1, attacker_step=0.1
        )
    with pytest.raises(InputError, match=r"step of the victim is not negative and finite, not -0\.1"):
        two_timescale_training([game], 1, victim_step=-0.1, attacker_step=0.1)
    with pytest.raises(InputError, match=r"steps of the attacker broadcast to the shape \(4, 1\), not \(1, 3\)"):
        two_timescale_training([game], 4, victim_step=0.1, attacker_step=[[0.1, 0.2, 0.3]])
    with pytest.raises(InputError, match=r"victims of these games have the shape \(K, 1, 2, 2\), not \(1, 2, 2\)"):
        guaranteed_returns([game], np.full((1, 2, 2), 0.5))
