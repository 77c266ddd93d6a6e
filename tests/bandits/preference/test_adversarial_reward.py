"""The game against an adversarial reward: cvxpy from both sides, closed forms, VPO's form of it, and what it refuses."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandits.preference.adversarial_reward import RewardGame, adversarial_reward, mean_loss, payoff, worst_reward
from bandits.preference.reward_games import lucky_game, one_best, random_game, searched_game
from theory.divergences import kl
from theory.errors import InputError
from theory.pair_losses import expected_pair_loss, logistic
from theory.tilts import implicit_reward, log_partition, log_tilt

seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=60, deadline=None)
@given(seeds, st.sampled_from([2, 4, 9]), st.sampled_from([0.0, 1.0, 30.0]), st.sampled_from([0.01, 0.1, 1.0]))
def test_the_solution_is_a_saddle_point(seed: int, K: int, eta: float, beta: float) -> None:
    game = random_game(K=K, N=40, eta=eta, beta=beta, seed=seed).game
    found = adversarial_reward(game)
    rng = np.random.default_rng(seed)
    value = float(payoff(game, found.log_policy, found.reward))
    assert value == pytest.approx(found.fit.value, abs=1e-12 * (1 + eta))
    assert found.fit.gap < 1e-11 * (1 + eta)
    assert found.fit.residual < 1e-9 * (1 + eta)
    policies = np.log(rng.dirichlet(np.ones(K), size=20))
    rewards = rng.uniform(game.low, game.high, (20, K))
    assert (payoff(game, policies, found.reward) <= value + 1e-12 * (1 + eta)).all()
    assert (payoff(game, np.tile(found.log_policy, (20, 1)), rewards) >= value - found.fit.gap - 1e-12 * (1 + eta)).all()
    worst = worst_reward(game, found.log_policy)
    divergence = game.beta * kl(found.log_policy, game.log_reference, log=True)
    assert worst.value - divergence == pytest.approx(value, abs=worst.gap + found.fit.gap + 1e-12 * (1 + eta))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("beta", [0.05, 0.5])
def test_cvxpy_maximises_the_worst_case_to_the_same_value(seed: int, beta: float) -> None:
    """max over pi of min over r, by the dual of the inner problem: an independent road to the value of the game.

    The minimum over the box of <c, r> + sum_ij w_ij ln(1 + exp(r_j - r_i)) is the maximum over flows 0 <= f_ij <= w_ij of the
    entropies of the shares f_ij/w_ij, weighted by w_ij, plus the minimum of the linear function that is left.
    """
    game = random_game(K=4, N=30, eta=5.0, beta=beta, seed=seed).game
    w = game.eta * game.comparisons
    i, j = np.nonzero(w)
    pi, f = cp.Variable(4), cp.Variable(len(i))
    slopes = pi - game.base
    for n in range(len(i)):
        z = np.zeros(4)
        z[j[n]], z[i[n]] = 1.0, -1.0
        slopes = slopes + f[n] * z
    weight = w[i, j]
    entropy = cp.sum(-cp.rel_entr(f, weight) - cp.rel_entr(weight - f, weight))
    linear = cp.sum(cp.minimum(game.low * slopes, game.high * slopes))
    divergence = cp.sum(cp.rel_entr(pi, np.exp(game.log_reference)))
    problem = cp.Problem(cp.Maximize(linear + entropy - beta * divergence), [pi >= 0, cp.sum(pi) == 1, f >= 0, f <= weight])
    problem.solve(solver=cp.CLARABEL)
    found = adversarial_reward(game)
    assert found.fit.value == pytest.approx(problem.value, abs=1e-5)
    np.testing.assert_allclose(np.exp(found.log_policy), pi.value, atol=2e-3)


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_the_objective_is_a_preference_loss_and_a_supervised_loss(seed: int) -> None:
    game = random_game(K=5, N=25, eta=7.0, beta=0.3, seed=seed).game
    r = np.random.default_rng(seed).uniform(0, 3, 5)
    policy = log_tilt(game.log_reference, r, game.beta)
    direct = game.eta * mean_loss(game, r) + log_partition(game.log_reference, r, game.beta) - game.base @ r
    dpo = expected_pair_loss(implicit_reward(policy, game.log_reference, game.beta), game.comparisons, logistic())
    supervised = game.beta * game.base @ (game.log_reference - policy)
    assert direct == pytest.approx(game.eta * dpo + supervised, abs=1e-11)
    assert payoff(game, policy, r) == pytest.approx(direct, abs=1e-11)


def test_without_data_and_with_a_low_temperature_the_baseline_is_kept() -> None:
    """Any response played more often than the baseline can be the worst one, at no cost to the adversary."""
    base = np.array([0.2, 0.5, 0.3])
    game = RewardGame(np.zeros((3, 3)), np.log(np.full(3, 1 / 3)), base, 1e-3, 1.0, 0.0, 1.0)
    np.testing.assert_allclose(np.exp(adversarial_reward(game).log_policy), base, atol=1e-8)


def test_a_box_too_small_for_the_adversary_by_hand() -> None:
    """Two responses, no data: r^ is at the corner against the reference's side of the baseline, and the policy its tilt."""
    game = RewardGame(np.zeros((2, 2)), np.log([0.5, 0.5]), np.array([0.9, 0.1]), 1.0, 1.0, 0.0, 0.1)
    found = adversarial_reward(game)
    np.testing.assert_allclose(found.reward, [0.1, 0.0], atol=1e-12)
    np.testing.assert_allclose(found.log_policy, log_tilt(np.log([0.5, 0.5]), [0.1, 0.0], 1.0), atol=1e-12)


def test_much_data_gives_the_optimum() -> None:
    known = random_game(K=4, N=0, beta=0.2, seed=3)
    r = known.bandit.reward
    law = 1 / (1 + np.exp(r[None] - r[:, None])) * (1 - np.eye(4))
    game = RewardGame(law, known.game.log_reference, known.game.base, 0.2, 1e7, -1.0, 4.0)
    np.testing.assert_allclose(adversarial_reward(game).log_policy, known.bandit.log_optimum, atol=1e-5)


def test_relabelling_the_responses_relabels_the_policy() -> None:
    game = random_game(K=6, N=50, eta=3.0, beta=0.2, seed=1).game
    order = np.array([3, 1, 5, 0, 2, 4])
    turned = RewardGame(
        game.comparisons[np.ix_(order, order)], game.log_reference[order], game.base[order], 0.2, 3.0, game.low, game.high
    )
    np.testing.assert_allclose(adversarial_reward(turned).log_policy, adversarial_reward(game).log_policy[order], atol=1e-9)


def test_families_and_their_keys() -> None:
    assert random_game(K=3, seed=1).key == "random_game(K=3, N=100, beta=0.5, concentration=1.0, eta=10.0, high=3.0, seed=1)"
    known = searched_game(
        reward=(0.5, 1.0, 0.0), logits=(0.0,) * 3, base=(0.0,) * 3, wins=(1.0, 2.0, 3.0, 4.0, 5.0, 6.0), high=2.0
    )
    np.testing.assert_allclose(known.game.comparisons * 21, [[0, 1, 2], [3, 0, 4], [5, 6, 0]])
    np.testing.assert_allclose(known.bandit.reward, [1.0, 2.0, 0.0])
    lucky = lucky_game(N=100, upsets=3, losers=20)
    assert lucky.game.comparisons.sum() == pytest.approx(1.0)
    assert (lucky.game.comparisons[2:, 1] > 0).sum() == 3
    np.testing.assert_allclose(one_best(others=(0.0, 0.5), best=1.0).reward, [0.0, 0.5, 1.0])
    assert not lucky.game.base.flags.writeable


REFERENCE, BASE = np.log([0.5, 0.5]), np.array([0.5, 0.5])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"comparisons": np.zeros((2, 3))}, "square matrix"),
        ({"comparisons": [[0, -1], [0, 0]]}, "entry .0, 1. of the comparisons is -1"),
        ({"log_reference": np.log([1.0])}, "are vectors"),
        ({"log_reference": np.log([0.5, 0.4])}, "reference policy are at least 0 and sum to 1, not to 0.9"),
        ({"base": [0.5, 0.6]}, "baseline policy .* 1.1"),
        ({"base": [1.5, -0.5]}, "baseline policy"),
        ({"beta": 0.0}, "temperature"),
        ({"eta": -1.0}, "weight eta"),
        ({"eta": np.inf}, "weight eta"),
        ({"low": 2.0}, "low < high"),
    ],
)
def test_bad_input(change: dict, message: str) -> None:
    parts = {"comparisons": np.eye(2)[::-1], "log_reference": REFERENCE, "base": BASE}
    numbers = {"beta": 0.5, "eta": 1.0, "low": 0.0, "high": 1.0}
    with pytest.raises(InputError, match=message):
        RewardGame(**{**parts, **numbers, **change})
