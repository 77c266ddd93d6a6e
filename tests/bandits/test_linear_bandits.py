"""Linear bandits and OFUL: the kernel against a plain twin, reproducible runs, the bounds' formulas, what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandits.linear import LinearBandit, linear_bandit, oful, unit_vectors
from theory.bounds.linear_bandits import elliptical_potential_bound, log_volume, oful_radius, oful_regret
from theory.errors import InputError
from theory.random_streams import normal, run_seeds, stream, uniform


def plain_oful(bandit: LinearBandit, horizon: int, seed: int, ridge: float, norm: float, delta: float, width: float):
    """OFUL by the book: the inverse and the determinant are computed anew in every round."""
    word = np.uint64(seed)
    rewards, contexts = (np.uint64(stream(word, np.uint64(k))) for k in (0, 1))
    tables = bandit.actions.reshape(-1, *bandit.actions.shape[-2:])
    V, b = ridge * np.eye(bandit.dimension), np.zeros(bandit.dimension)
    regret, worst, plays = 0.0, 0.0, np.zeros(tables.shape[1], dtype=int)
    for t in range(horizon + 1):
        estimate = np.linalg.solve(V, b)
        volume = np.linalg.slogdet(V / ridge)[1]
        beta = float(oful_radius(volume, deviation=bandit.deviation, ridge=ridge, norm=norm, delta=delta))
        missed = estimate - bandit.theta
        worst = max(worst, math.sqrt(missed @ V @ missed) / beta)
        if t == horizon:
            return regret, worst, volume, plays
        actions = tables[0] if len(tables) == 1 else tables[int(uniform(contexts, np.uint64(t)) * len(tables))]
        widths = np.sqrt(np.einsum("ai,ij,aj->a", actions, np.linalg.inv(V), actions))
        arm = int(np.argmax(actions @ estimate + width * beta * widths))
        means = actions @ bandit.theta
        regret += means.max() - means[arm]
        plays[arm] += 1
        V += np.outer(actions[arm], actions[arm])
        b += actions[arm] * (means[arm] + bandit.deviation * normal(rewards, np.uint64(t)))
    raise AssertionError


@pytest.mark.parametrize(("d", "K", "X", "width"), [(1, 2, 1, 1.0), (3, 6, 1, 0.5), (2, 4, 3, 1.0), (4, 5, 2, 0.1)])
def test_the_kernel_is_oful(d: int, K: int, X: int, width: float) -> None:
    bandit = linear_bandit(d=d, K=K, X=X, norm=0.8, largest=1.5, deviation=0.3, seed=d)
    seeds = run_seeds(7, 3)
    found = oful(bandit, 120, seeds, ridge=0.7, norm=1.0, delta=0.1, width=width)
    for i, seed in enumerate(seeds):
        regret, worst, volume, plays = plain_oful(bandit, 120, int(seed), 0.7, 1.0, 0.1, width)
        assert found.regret[i, 0] == pytest.approx(regret, abs=1e-10)
        assert found.worst_error[i, 0] == pytest.approx(worst, rel=1e-9)
        assert found.log_volume[i, 0] == pytest.approx(volume, rel=1e-9)
        assert np.array_equal(found.plays[i, 0], plays)


def test_a_run_depends_on_its_seed_alone() -> None:
    bandit = linear_bandit(seed=2)
    seeds = run_seeds(1, 5)
    together = oful(bandit, 200, seeds, [50, 100, 200])
    alone = oful(bandit, 200, seeds[3:4])
    assert together.regret[3, -1] == alone.regret[0, 0]
    assert np.array_equal(together.regret[:, 0], oful(bandit, 50, seeds).regret[:, 0])
    assert np.array_equal(together.plays.sum(axis=-1), np.broadcast_to([50, 100, 200], (5, 3)))
    assert np.unique(together.regret[:, -1]).size > 1


def test_without_noise_the_error_is_that_of_the_ridge() -> None:
    bandit = unit_vectors(d=2, size=2.0, norm=1.0, deviation=0.0)
    found = oful(bandit, 10, [0], ridge=1.0, actions_played=[0, 1])
    # the estimate of each coordinate after k plays is 4k/(1 + 4k) of the truth: the error is largest before the first
    assert found.worst_error[0, 0] == pytest.approx(1.0)
    assert found.log_volume[0, 0] == pytest.approx(2 * math.log(21))
    assert found.regret[0, 0] == pytest.approx(0.0, abs=1e-12)


def test_learning_beats_a_fixed_design_and_narrow_beats_wide() -> None:
    bandit = linear_bandit(d=3, K=8, deviation=0.1, seed=4)
    seeds = run_seeds(0, 20)
    uniform_play = oful(bandit, 2000, seeds, actions_played=range(8)).regret.mean()
    assert uniform_play == pytest.approx(2000 * bandit.gaps.mean())
    wide, narrow = (oful(bandit, 2000, seeds, width=w).regret.mean() for w in (1.0, 0.2))
    assert narrow < wide < uniform_play / 5


@given(st.integers(0, 2**32 - 1), st.permutations(range(4)))
@settings(max_examples=10, deadline=None)
def test_a_rotation_changes_nothing(seed: int, order: list[int]) -> None:
    drawn = linear_bandit(d=4, K=6, deviation=0.5, seed=seed % 100)
    actions = drawn.actions * np.linspace(0.5, 1, 6)[:, None]  # of equal lengths the first round's choice would be a rounding
    bandit = LinearBandit(drawn.theta, actions, drawn.deviation)
    turned = LinearBandit(bandit.theta[order], bandit.actions[..., order], bandit.deviation)
    first, second = (oful(b, 40, [seed]) for b in (bandit, turned))
    assert np.array_equal(first.plays, second.plays)
    assert first.worst_error[0, 0] == pytest.approx(second.worst_error[0, 0])


def test_properties_and_families() -> None:
    bandit = linear_bandit(d=3, K=4, X=2, norm=0.5, largest=2.0, seed=1)
    assert bandit.actions.shape == (2, 4, 3)
    assert bandit.norm == pytest.approx(0.5)
    assert bandit.largest_action == pytest.approx(2.0)
    assert bandit.gaps.min(axis=1) == pytest.approx(0.0)
    assert bandit.means == pytest.approx(np.einsum("xai,i->xa", bandit.actions, bandit.theta))
    assert "seed=1" in repr(bandit)
    assert not bandit.theta.flags.writeable


def test_the_formulas_of_the_bounds() -> None:
    assert log_volume(100, 2, 0.5, 3.0) == pytest.approx(2 * math.log(1 + 100 * 9 / 1.0))
    assert elliptical_potential_bound(math.log(8)) == pytest.approx(3.0)
    radius = oful_radius([0.0, 2.0], deviation=0.5, ridge=4.0, norm=3.0, delta=math.exp(-1))
    assert radius == pytest.approx([6 + 0.5 * math.sqrt(2), 7.0])
    bound = oful_regret(100, 2, deviation=1.0, ridge=1.0, norm=1.0, largest=1.0, delta=math.exp(-2))
    assert bound == pytest.approx(4 * math.sqrt(200 * math.log(51)) * (1 + math.sqrt(4 + 2 * math.log(51))))
    assert np.all(np.diff(oful_regret([10, 100, 1000], 3, deviation=1, ridge=1, norm=1, largest=1, delta=0.1)) > 0)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LinearBandit(np.ones(2), np.ones((3, 3))), "of its length"),
        (lambda: LinearBandit(np.ones((1, 2)), np.ones((3, 2))), "a vector theta"),
        (lambda: LinearBandit(np.array([1.0, np.nan]), np.ones((3, 2))), "finite"),
        (lambda: LinearBandit(np.ones(2), np.ones((3, 2)), -1.0), "not -1.0"),
        (lambda: linear_bandit(d=0), "at least 1"),
        (lambda: linear_bandit(norm=-1.0), "at least 0"),
        (lambda: unit_vectors(d=0), "at least 1"),
        (lambda: oful(linear_bandit(), 10, [0], ridge=0.0), "ridge > 0"),
        (lambda: oful(linear_bandit(), 10, [0], delta=1.0), "delta between"),
        (lambda: oful(linear_bandit(), 10, [0], width=-1.0), "width >= 0"),
        (lambda: oful(linear_bandit(), 10, [0], norm=-1.0), "norm of theta"),
        (lambda: oful(linear_bandit(), 0, [0]), "at least 1 round"),
        (lambda: oful(linear_bandit(K=3), 10, [0], actions_played=[3]), "0 to 2"),
        (lambda: oful(linear_bandit(), 10, [0], actions_played=[0.5]), "a vector of their numbers"),
        (lambda: log_volume(-1, 2, 1.0, 1.0), "no negative rounds"),
        (lambda: log_volume(1, 2, 0.0, 1.0), "positive ridge"),
        (lambda: elliptical_potential_bound(-0.1), "at least 0"),
        (lambda: oful_radius(0.0, deviation=1, ridge=1, norm=1, delta=2), "delta between"),
        (lambda: oful_regret(0, 2, deviation=1, ridge=1, norm=1, largest=1, delta=0.1), "at least 1"),
    ],
)
def test_bad_input_is_refused(build, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build()
