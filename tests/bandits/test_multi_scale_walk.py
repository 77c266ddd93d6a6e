"""The multi-scale random walk: its shape by brute force, its law by covariances, and what observations tell, in closed form."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bandits.multi_scale_walk import (
    chain_parents,
    clipped_walk_losses,
    cuts,
    depth,
    depths,
    looks,
    multi_scale_parents,
    observation_divergence,
    read_parents,
    sampled_walk,
    star_parents,
    walk_covariance,
    walk_divergence,
    walk_losses,
    width,
)
from theory.bounds.switching_costs import divergence_budget, sharp_divergence_budget, walk_width
from theory.errors import InputError

TREES = st.integers(1, 40).flatmap(lambda T: st.tuples(*(st.integers(0, t) for t in range(T)))).map(lambda p: np.array((0, *p)))


@pytest.mark.parametrize("T", [1, 2, 3, 12, 64, 100])
def test_parents_by_their_definition(T: int) -> None:
    parents = multi_scale_parents(T)
    assert parents.shape == (T + 1,)
    assert parents[0] == 0
    for t in range(1, T + 1):
        power = max(2**i for i in range(T.bit_length()) if t % 2**i == 0)
        assert parents[t] == t - power
    assert width(parents) == walk_width(T)
    assert depth(parents) == max(bin(t).count("1") for t in range(1, T + 1))


@settings(max_examples=60, deadline=None)
@given(tree=TREES)
def test_cuts_depths_and_covariance_by_brute_force(tree: np.ndarray) -> None:
    T = tree.size - 1
    assert cuts(tree).tolist() == [sum(tree[s] < t <= s for s in range(1, T + 1)) for t in range(1, T + 1)]

    def way(t: int) -> set[int]:
        return set() if t == 0 else {t} | way(int(tree[t]))

    assert depths(tree).tolist() == [len(way(t)) for t in range(T + 1)]
    shared = [[len(way(s) & way(t)) for t in range(1, T + 1)] for s in range(1, T + 1)]
    assert np.allclose(walk_covariance(tree, 1.5), 2.25 * np.array(shared))


def test_the_chain_and_the_star() -> None:
    assert (width(chain_parents(9)), depth(chain_parents(9))) == (1, 9)
    assert (width(star_parents(9)), depth(star_parents(9))) == (9, 1)
    steps = np.random.default_rng(0).normal(size=(3, 9))
    assert np.allclose(sampled_walk(chain_parents(9), steps), np.cumsum(steps, axis=-1))
    assert np.array_equal(sampled_walk(star_parents(9), steps), steps)


@settings(max_examples=40, deadline=None)
@given(tree=TREES, seed=st.integers(0, 1000))
def test_a_walk_has_its_steps_and_its_covariance(tree: np.ndarray, seed: int) -> None:
    T = tree.size - 1
    steps = np.random.default_rng(seed).normal(size=(2, T))
    walk = np.concatenate([np.zeros((2, 1)), sampled_walk(tree, steps)], axis=1)
    assert np.allclose(walk[:, 1:] - walk[:, tree[1:]], steps)
    # the walk is linear in its steps: the matrix of that map, times its transpose, is the covariance
    linear = sampled_walk(tree, np.eye(T)).T
    assert np.allclose(linear @ linear.T, walk_covariance(tree))


def test_losses_share_the_walk_and_nothing_else() -> None:
    parents = multi_scale_parents(64)
    plain = walk_losses(parents, 1, arms=3, gap=0.25, seed=4)
    assert np.allclose(plain[:, 0] - plain[:, 1], 0.25)
    assert np.array_equal(plain[:, 0], plain[:, 2])
    assert np.allclose(walk_losses(parents, 1, arms=3, gap=0.25, start=3.0, seed=4), plain + 3)
    assert np.allclose(walk_losses(parents, 1, arms=3, gap=0.25, clip=True, seed=4), np.clip(plain, 0, 1))
    noisy = walk_losses(parents, 1, arms=3, gap=0.25, noise=0.5, seed=4) - plain
    assert stats.kstest(noisy.ravel() / 0.5, "norm").pvalue > 1e-6
    assert np.linalg.matrix_rank(noisy) == 3


def test_the_literature_s_adversary() -> None:
    sequence = clipped_walk_losses(T=1024, K=3, seed=2)
    assert (sequence.rounds, sequence.arms) == (1024, 3)
    gap = (3 / 1024) ** (1 / 3) / 90
    inside = ((sequence.losses > 0) & (sequence.losses < 1)).all(axis=1)
    best = int(np.argmin(sequence.losses.sum(axis=0)))
    others = np.delete(sequence.losses, best, axis=1)
    assert np.allclose(others[inside, 0] - sequence.losses[inside, best], gap)
    assert inside.mean() > 0.9
    assert sequence.key == "clipped_walk_losses(K=3, T=1024, noise=0.0, seed=2)"


@settings(max_examples=40, deadline=None)
@given(T=st.integers(1, 40), seed=st.integers(0, 10**6), noise=st.floats(0.1, 5.0), gap=st.floats(0.01, 1.0))
def test_the_exact_divergence_stays_within_its_bounds(T: int, seed: int, noise: float, gap: float) -> None:
    rng = np.random.default_rng(seed)
    parents, played, extra = multi_scale_parents(T), rng.integers(2, size=T), rng.random(T) < rng.random()
    exact = observation_divergence(parents, played, extra, gap, noise)
    through = float(walk_divergence(parents, looks(played, extra), gap)) + gap**2 * extra.sum() / noise**2
    switches = 1 + int(np.count_nonzero(np.diff(played)))
    assert exact <= through * (1 + 1e-9)
    sharp = sharp_divergence_budget(T, gap, switches, int(extra.sum()), noise)
    assert through <= sharp * (1 + 1e-9)
    assert sharp <= divergence_budget(T, gap, switches, int(extra.sum()), noise) * (1 + 1e-9)
    assert exact == pytest.approx(observation_divergence(parents, 1 - played, extra, gap, noise), rel=1e-9)
    assert observation_divergence(parents, played, extra, 2 * gap, noise) == pytest.approx(4 * exact, rel=1e-9)


@pytest.mark.parametrize("tree", [multi_scale_parents, chain_parents, star_parents])
def test_without_noise_the_divergence_is_that_of_the_steps(tree) -> None:
    rng = np.random.default_rng(1)
    parents, played = tree(30), rng.integers(2, size=30)
    nothing = np.zeros(30, dtype=bool)
    limit = float(walk_divergence(parents, looks(played), 0.3, sigma=2.0))
    assert observation_divergence(parents, played, nothing, 0.3, 1e-5, sigma=2.0) == pytest.approx(limit, rel=1e-7)


def test_divergences_by_hand() -> None:
    parents = multi_scale_parents(2)  # both rounds have the root as their parent
    assert float(walk_divergence(parents, looks([0, 1]), 0.5)) == pytest.approx(0.25)
    # one round, both arms: the difference has the variance 2 s^2 and means that differ by 2 eps
    one = observation_divergence(multi_scale_parents(1), np.array([0]), np.array([True]), 0.5, 0.2)
    assert one == pytest.approx(0.25 / 0.04)
    each = np.array(list(itertools.product((0, 1), repeat=3)))
    assert walk_divergence(multi_scale_parents(3), looks(each), 1.0).shape == (8,)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: multi_scale_parents(0), "at least one round, not 0"),
        (lambda: read_parents([0, 1]), "round 1 has the parent 1"),
        (lambda: read_parents([0, -1]), "round 1 has the parent -1"),
        (lambda: read_parents([1, 0]), "round 0 has the parent 1"),
        (lambda: read_parents([0.0, 0.0]), "whole numbers"),
        (lambda: read_parents([0]), "whole numbers"),
        (lambda: walk_covariance(star_parents(2), -1.0), "at least 0, not -1"),
        (lambda: sampled_walk(star_parents(2), [1.0]), "2 rounds"),
        (lambda: walk_losses(star_parents(2), 2, gap=0.1), "one of 0 .. 1, not 2"),
        (lambda: walk_losses(star_parents(2), 0, gap=-0.1), "the gap is at least 0"),
        (lambda: walk_losses(star_parents(2), 0, gap=0.1, noise=np.nan), "noise of an arm"),
        (lambda: clipped_walk_losses(T=1), "two rounds and two arms"),
        (lambda: looks([0, 2]), "are 0 and 1"),
        (lambda: walk_divergence(star_parents(2), [1.0], 0.1), "2 rounds"),
        (lambda: observation_divergence(star_parents(2), [0, 3], [False, False], 0.1, 1.0), "2 arms 0 and 1"),
        (lambda: observation_divergence(star_parents(2), [0, 1], [False, False], 0.1, 0.0), "positive here, not 0"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
