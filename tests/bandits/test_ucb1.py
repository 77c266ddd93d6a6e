"""UCB1's simulator against its NumPy twin, an exact enumeration, and itself in other batches."""

import itertools
from fractions import Fraction

import numba
import numpy as np
import pytest
from numpy.typing import ArrayLike
from scipy import stats

from bandits.index_policies import UCB1
from bandits.play import BanditRuns, simulate
from bandits.stochastic import (
    BernoulliBandit,
    bernoulli_arms,
    bernoulli_bandit,
    one_good_arm,
    two_armed,
)
from bandits.ucb1 import ucb1_two_armed_law
from theory.errors import InputError
from theory.random_streams import run_seeds
from theory.statistics import mean_interval

U64 = np.uint64


def ucb1(
    bandit: BernoulliBandit,
    horizon: int,
    seeds: ArrayLike,
    exploration: float = 2.0,
    checkpoints: ArrayLike | None = None,
) -> BanditRuns:
    return simulate(UCB1(exploration), bandit, horizon, seeds, checkpoints)


GOLDEN = U64(0x9E3779B97F4A7C15)


def _mix(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> U64(30))) * U64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> U64(27))) * U64(0x94D049BB133111EB)
    return z ^ (z >> U64(31))


def reward_stack(means: np.ndarray, seeds: np.ndarray, depth: int) -> np.ndarray:
    """Rewards of the first ``depth`` pulls, shape (runs, K, depth)."""
    arm, n = np.arange(1, means.size + 1, dtype=U64), np.arange(1, depth + 1, dtype=U64)
    start = _mix(_mix(seeds + GOLDEN)[:, None] + GOLDEN * arm)
    return (_mix(start[..., None] + GOLDEN * n) >> U64(11)) * 2.0**-53 < means[:, None]


def ucb1_numpy(means: np.ndarray, rewards: np.ndarray, horizon: int, exploration: float) -> np.ndarray:
    """Pulls after every round, shape (runs, horizon, K): the twin of the kernel, one round of all runs at a time."""
    runs, arms, _ = rewards.shape
    count, total = np.zeros((runs, arms), dtype=np.int64), np.zeros((runs, arms))
    history = np.zeros((runs, horizon, arms), dtype=np.int64)
    every = np.arange(runs)
    for t in range(horizon):
        if t < arms:
            chosen = np.full(runs, t)
        else:
            index = total / count + np.sqrt(exploration * np.log(float(t))) * (1 / np.sqrt(count))
            chosen = np.argmax(index, axis=1)
        total[every, chosen] += rewards[every, chosen, count[every, chosen]]
        count[every, chosen] += 1
        history[:, t] = count
    return history


@pytest.mark.parametrize("exploration", [2.0, 0.5, 0.0])
@pytest.mark.parametrize("means", [(0.6, 0.5), (0.0, 1.0), (0.3,), (0.2, 0.9, 0.9, 0.5, 0.1)])
def test_the_kernel_equals_its_numpy_twin(means: tuple[float, ...], exploration: float) -> None:
    bandit, seeds = bernoulli_arms(means=means), run_seeds(3, 40)
    marks = np.array([1, 2, 3, 10, 57, 300])
    runs = ucb1(bandit, 300, seeds, exploration, marks)
    twin = ucb1_numpy(bandit.means, reward_stack(bandit.means, seeds, 300), 300, exploration)
    assert np.array_equal(runs.pulls, twin[:, marks - 1])
    assert np.allclose(runs.pseudo_regret, (runs.pulls * bandit.gaps).sum(axis=-1))


def test_a_run_depends_on_its_seed_alone() -> None:
    bandit, seeds = bernoulli_bandit(K=4, seed=1), run_seeds(8, 33)
    whole = ucb1(bandit, 500, seeds, checkpoints=[100, 500])
    assert np.array_equal(run_seeds(8, 100)[:33], seeds)
    assert np.array_equal(ucb1(bandit, 500, seeds[::-1]).pulls[::-1, -1], whole.pulls[:, -1])
    assert np.array_equal(ucb1(bandit, 500, seeds[7:9]).pulls[:, -1], whole.pulls[7:9, -1])
    assert np.array_equal(ucb1(bandit, 100, seeds).pulls[:, -1], whole.pulls[:, 0])
    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        assert np.array_equal(ucb1(bandit, 500, seeds, checkpoints=[100, 500]).pulls, whole.pulls)
    finally:
        numba.set_num_threads(threads)


def exact_expected_pulls(means: tuple[Fraction, ...], horizon: int, exploration: float) -> np.ndarray:
    """E[N_a(T)] by enumerating the law of the state (pulls and successes of each arm) in rational arithmetic."""
    arms = len(means)
    law: dict[tuple[tuple[int, int], ...], Fraction] = {((0, 0),) * arms: Fraction(1)}
    for t in range(horizon):
        following: dict[tuple[tuple[int, int], ...], Fraction] = {}
        for state, weight in law.items():
            if t < arms:
                chosen = t
            else:
                root = np.sqrt(exploration * np.log(float(t)))
                chosen = int(np.argmax([s / n + root * (1 / np.sqrt(n)) for n, s in state]))
            for reward, chance in ((1, means[chosen]), (0, 1 - means[chosen])):
                n, s = state[chosen]
                after = (*state[:chosen], (n + 1, s + reward), *state[chosen + 1 :])
                following[after] = following.get(after, Fraction(0)) + weight * chance
        law = following
    assert sum(law.values()) == 1
    return np.array([float(sum(w * state[a][0] for state, w in law.items())) for a in range(arms)])


@pytest.mark.parametrize("exploration", [2.0, 0.0])
@pytest.mark.parametrize("means", [("1/4", "3/4"), ("1/2", "9/20"), ("1/5", "1/2", "4/5")])
def test_expected_pulls_agree_with_exact_enumeration(means: tuple[str, ...], exploration: float) -> None:
    law = tuple(Fraction(m) for m in means)
    horizon = 24 if len(law) == 2 else 12
    exact = exact_expected_pulls(law, horizon, exploration)
    runs = ucb1(bernoulli_arms(means=tuple(float(m) for m in law)), horizon, run_seeds(11, 40_000), exploration)
    for a in range(len(law)):
        assert exact[a] in mean_interval(runs.pulls[:, 0, a], 1e-7, (0.0, float(horizon)))


@pytest.mark.parametrize("exploration", [2.0, 0.3, 0.0])
@pytest.mark.parametrize("means", [("1/4", "3/4"), ("1/2", "9/20"), ("0", "1")])
def test_the_law_of_two_arms_agrees_with_exact_enumeration(means: tuple[str, ...], exploration: float) -> None:
    law = tuple(Fraction(m) for m in means)
    table = ucb1_two_armed_law(bernoulli_arms(means=tuple(float(m) for m in law)), 20, exploration)
    assert table.shape == (21, 21)
    assert table.sum(axis=1) == pytest.approx(np.ones(21), rel=1e-14)
    for horizon in (1, 2, 9, 20):
        exact = exact_expected_pulls(law, horizon, exploration)
        assert table[horizon] @ np.arange(21) == pytest.approx(exact[0], rel=1e-13)


def test_the_law_of_two_arms_agrees_with_simulation() -> None:
    """The whole distribution of the pulls after 60 rounds, by a chi-square test at 1e-6."""
    bandit = bernoulli_arms(means=(0.45, 0.6))
    law = ucb1_two_armed_law(bandit, 60)[60]
    seen = np.bincount(ucb1(bandit, 60, run_seeds(4, 30_000)).pulls[:, 0, 0], minlength=61)
    common = law * 30_000 >= 8
    expected = np.append(law[common], law[~common].sum()) * 30_000
    observed = np.append(seen[common], seen[~common].sum())
    assert stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 1e-6


def test_the_streams_are_uniform_and_independent() -> None:
    means = np.array([0.3, 0.3, 0.85])
    rewards = reward_stack(means, run_seeds(0, 4000), 200)
    for arm in range(3):
        flat = rewards[:, arm].ravel()
        assert stats.binomtest(int(flat.sum()), flat.size, means[arm]).pvalue > 1e-6
        # means of runs, and of successive pulls, have the variance that independence gives them
        for axis, size in ((1, 200), (0, 4000)):
            averages = rewards[:, arm].mean(axis=axis)
            score = averages.var(ddof=1) / (means[arm] * (1 - means[arm]) / size) - 1
            assert abs(score) < 6 * np.sqrt(2 / averages.size)
    for a, b in itertools.combinations(range(3), 2):
        assert abs(np.corrcoef(rewards[:, a].ravel(), rewards[:, b].ravel())[0, 1]) < 6 / np.sqrt(rewards[:, a].size)
    lagged = np.corrcoef(rewards[:, 0, :-1].ravel(), rewards[:, 0, 1:].ravel())[0, 1]
    assert abs(lagged) < 6 / np.sqrt(rewards[:, 0].size)


def test_relabelling_arms_relabels_expected_pulls() -> None:
    """Rounds 1..K and ties look at the labels; beyond that the law of the pulls does not."""
    means = np.array([0.2, 0.7, 0.5])
    order = np.array([2, 0, 1])
    pulls = [ucb1(BernoulliBandit(m), 400, run_seeds(s, 6000)).pulls[:, 0] for s, m in ((1, means), (2, means[order]))]
    spread = np.sqrt(pulls[0].var(axis=0)[order] / 6000 + pulls[1].var(axis=0) / 6000)
    assert (np.abs(pulls[0].mean(axis=0)[order] - pulls[1].mean(axis=0)) < 5 * spread + 0.1).all()


def test_bandits_and_their_families() -> None:
    bandit = two_armed(gap=0.2, mean=0.7)
    assert np.allclose(bandit.gaps, [0.2, 0.0])
    assert (bandit.optimal_mean, bandit.arms) == (0.7, 2)
    assert bandit.key == "two_armed(gap=0.2, mean=0.7)"
    assert np.allclose(one_good_arm(K=4, gap=0.1, mean=0.3).gaps, [0.1, 0.1, 0.1, 0.0])
    drawn = bernoulli_bandit(K=6, low=0.2, high=0.4, seed=5)
    assert ((drawn.means >= 0.2) & (drawn.means <= 0.4)).all()
    assert np.array_equal(drawn.means, bernoulli_bandit(K=6, low=0.2, high=0.4, seed=5).means)
    assert not drawn.means.flags.writeable
    assert isinstance(ucb1(drawn, 10, run_seeds(0, 2)), BanditRuns)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: BernoulliBandit(np.array([0.5, 1.2])), "arm 1 of a Bernoulli bandit has the mean 1.2"),
        (lambda: BernoulliBandit(np.array([0.5, np.nan])), "arm 1 .* nan"),
        (lambda: BernoulliBandit(np.zeros((2, 2))), "vector of means"),
        (lambda: two_armed(gap=0.6, mean=0.5), "arm 0"),
        (lambda: two_armed(gap=-0.1), "at least 0"),
        (lambda: bernoulli_bandit(K=0), "at least one arm"),
        (lambda: bernoulli_bandit(low=0.5, high=0.2), "drawn from an interval"),
        (lambda: one_good_arm(K=1), "two arms"),
        (lambda: run_seeds(0, 0), "at least one run"),
        (lambda: ucb1(two_armed(), 0, run_seeds(0, 2)), "at least 1 round"),
        (lambda: ucb1(two_armed(), 10, run_seeds(0, 2), -1.0), "exploration"),
        (lambda: ucb1(two_armed(), 10, run_seeds(0, 2), checkpoints=[5, 11]), "checkpoints"),
        (lambda: ucb1(two_armed(), 10, run_seeds(0, 2), checkpoints=[0.5]), "whole numbers"),
        (lambda: ucb1(two_armed(), 10, [0.5]), "seeds"),
        (lambda: ucb1_two_armed_law(bernoulli_bandit(K=3), 10), "two arms"),
        (lambda: ucb1_two_armed_law(two_armed(), 401), "between 1 and 400"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
