"""Online VPO: its fits against a search of the whole box, its simulator against a plain twin, and its streams."""

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from bandits.preference.adversarial_reward import RewardGame, adversarial_reward
from bandits.preference.kl_bandit import KLBandit, kl_gap
from bandits.preference.optimistic_reward import online_regret, optimistic_reward, refit_rounds, search_starts
from bandits.preference.reward_games import one_best
from theory.errors import InputError
from theory.random_streams import run_seeds

U64 = np.uint64
GOLDEN = U64(0x9E3779B97F4A7C15)


def objective(r: np.ndarray, n: np.ndarray, log_mu: np.ndarray, b: np.ndarray, beta: float, alpha: float) -> float:
    """Loss less alpha times the calibrated value, as the module's docstring has it."""
    loss = (n * np.logaddexp(0, r[None] - r[:, None])).sum()
    return float(loss - alpha * (beta * logsumexp(log_mu + r / beta) - b @ r))


def problem(seed: int, K: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    n = rng.integers(0, 12, (K, K)) * (1 - np.eye(K)) * (rng.random((K, K)) < 0.7)
    return n, np.log(rng.dirichlet(np.ones(K))), np.eye(K)[0]


@pytest.mark.parametrize("seed", range(5))
def test_no_point_of_a_grid_is_better(seed: int) -> None:
    """Three responses: a grid of the box, each of its best points polished by another optimiser."""
    n, log_mu, b = problem(seed)
    alpha = float(np.random.default_rng(seed).choice([0.5, 3.0, 20.0]))
    found = optimistic_reward(n, log_mu, b, 0.2, alpha, 0.0, 3.0)
    assert found.value == pytest.approx(objective(found.reward, n, log_mu, b, 0.2, alpha), abs=1e-9)
    assert found.value == found.starts.min()
    grid = sorted(
        itertools.product(np.linspace(0, 3, 7), repeat=3), key=lambda r: objective(np.array(r), n, log_mu, b, 0.2, alpha)
    )
    for start in grid[:5]:
        local = minimize(objective, np.array(start), args=(n, log_mu, b, 0.2, alpha), bounds=[(0, 3)] * 3)
        assert found.value <= local.fun + 1e-6


@pytest.mark.parametrize("seed", range(5))
def test_below_zero_it_is_the_pessimistic_fit(seed: int) -> None:
    """alpha < 0 is offline VPO: the game with eta = N/|alpha|, up to the factor |alpha|."""
    n, log_mu, b = problem(seed, 4)
    found = optimistic_reward(n, log_mu, b, 0.3, -2.0, 0.0, 2.0)
    game = RewardGame(n, log_mu, b, 0.3, n.sum() / 2.0, 0.0, 2.0)
    solved = adversarial_reward(game)
    assert found.value == pytest.approx(2 * solved.fit.value, abs=1e-9)
    assert np.ptp(found.starts) < 1e-9
    assert found.gap < 1e-9


def test_without_data_the_bonus_takes_the_calibrated_response_to_the_bottom() -> None:
    found = optimistic_reward(np.zeros((3, 3)), np.log(np.full(3, 1 / 3)), np.eye(3)[0], 0.2, 1.0, 0.0, 3.0)
    np.testing.assert_allclose(found.reward, [0.0, 3.0, 3.0], atol=1e-9)


def test_starts_and_rounds() -> None:
    np.testing.assert_allclose(search_starts(2, 1.0, 3.0), [[2, 2], [3, 1], [1, 3]])
    assert refit_rounds(12, 0.5).tolist() == [0, 1, 2, 3, 5, 8]
    assert refit_rounds(5, 0.0).tolist() == [0, 1, 2, 3, 4]


def _mix(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> U64(30))) * U64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> U64(27))) * U64(0x94D049BB133111EB)
    return z ^ (z >> U64(31))


def uniforms(seed: np.uint64, length: int) -> np.ndarray:
    """The first entries of the three streams of a run, shape (3, length)."""
    with np.errstate(over="ignore"):
        start = _mix(_mix(np.array([seed]) + GOLDEN) + GOLDEN * np.arange(1, 4, dtype=U64))
        return (_mix(start[:, None] + GOLDEN * np.arange(1, length + 1, dtype=U64)) >> U64(11)) * 2.0**-53


def regret_twin(bandit: KLBandit, c: float, high: float, horizon: int, growth: float, seed: np.uint64) -> np.ndarray:
    """The plain twin of the simulator: the regret after each round of one run."""
    K = bandit.responses
    draws, counts, total, curve = uniforms(seed, horizon), np.zeros((K, K)), 0.0, []
    refits = set(refit_rounds(horizon, growth).tolist())
    for t in range(horizon):
        if t in refits:
            fit = optimistic_reward(counts, bandit.log_reference, np.eye(K)[0], bandit.beta, c * np.sqrt(t + 1), 0.0, high)
            log_policy = np.log(softmax(bandit.log_reference + fit.reward / bandit.beta))
            edges = np.cumsum(np.exp(log_policy))
        one, other = (min(int(np.searchsorted(edges, u * edges[-1], side="right")), K - 1) for u in draws[:2, t])
        wins = draws[2, t] * (1 + np.exp(bandit.reward[other] - bandit.reward[one])) < 1
        counts[(one, other) if wins else (other, one)] += 1
        total += float(kl_gap(bandit, log_policy))
        curve.append(total)
    return np.array(curve)


@pytest.mark.parametrize("c", [-0.1, 0.0, 1.0])
@pytest.mark.parametrize("growth", [0.0, 0.3])
def test_the_simulator_equals_its_plain_twin(c: float, growth: float) -> None:
    bandit = one_best(others=(1.0, 1.0), best=2.0, beta=0.3)
    seeds = run_seeds(5, 3)
    runs = online_regret(bandit, np.eye(3)[0], c, (0.0, 3.0), 25, seeds, checkpoints=np.arange(1, 26), growth=growth)
    for run, seed in zip(runs, seeds):
        # the simulation stops its fits at a gap of 1e-6, the twin at rounding
        np.testing.assert_allclose(run, regret_twin(bandit, c, 3.0, 25, growth, seed), atol=0.02)


def test_a_run_depends_on_its_seed_alone() -> None:
    bandit, b, seeds = one_best(), np.eye(3)[0], run_seeds(1, 6)
    whole = online_regret(bandit, b, 1.0, (0.0, 3.0), 300, seeds, checkpoints=[100, 300])
    np.testing.assert_array_equal(online_regret(bandit, b, 1.0, (0.0, 3.0), 300, seeds[::-1])[::-1, 0], whole[:, 1])
    np.testing.assert_array_equal(online_regret(bandit, b, 1.0, (0.0, 3.0), 100, seeds[2:3])[0, 0], whole[2, 0])
    assert (np.diff(whole, axis=1) >= 0).all()


BANDIT = one_best()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: optimistic_reward(np.zeros((2, 2)), np.log([0.5, 0.5]), [0.5, 0.6], 0.5, 1.0, 0, 1), "calibration policy"),
        (lambda: optimistic_reward(np.zeros((2, 2)), np.log([1.0]), [1.0, 0.0], 0.5, 1.0, 0, 1), "as many log-prob"),
        (lambda: optimistic_reward(np.zeros((2, 2)), np.log([0.5, 0.5]), [1.0, 0.0], 0.5, np.inf, 0, 1), "alpha"),
        (lambda: optimistic_reward(np.zeros((2, 2)), np.log([0.5, 0.5]), [1.0, 0.0], 0.0, 1.0, 0, 1), "temperature"),
        (lambda: optimistic_reward(np.zeros((2, 2)), np.log([0.5, 0.5]), [1.0, 0.0], 0.5, 1.0, 2, 1), "low < high"),
        (lambda: online_regret(BANDIT, [1.0, 0.0], 1.0, (0, 3), 10, [1]), "calibration policy has 3"),
        (lambda: online_regret(BANDIT, [1.0, 0, 0], np.nan, (0, 3), 10, [1]), "coefficient"),
        (lambda: online_regret(BANDIT, [1.0, 0, 0], 1.0, (0, 3), 10, [1], growth=-0.1), "share of new rounds"),
        (lambda: online_regret(BANDIT, [1.0, 0, 0], 1.0, (0, 3), 10, [1], checkpoints=[11]), "checkpoints"),
        (lambda: online_regret(BANDIT, [1.0, 0, 0], 1.0, (0, 3), 10, [0.5]), "seeds"),
        (
            lambda: online_regret(
                KLBandit(np.zeros((2, 3)), np.full((2, 3), -np.log(3)), 0.5), [1.0, 0, 0], 1.0, (0, 3), 10, [1]
            ),
            "without a prompt axis",
        ),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
