"""Learners with switching costs: exact costs by enumeration, kernels by their twins, formulas by simulation."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from bandits.adversarial import LossSequence, iid_losses, uniform_losses
from bandits.multi_scale_walk import chain_parents, multi_scale_parents, star_parents
from bandits.switching_costs import (
    batch_losses,
    batched_exp3,
    commit_by_likelihood,
    dartboard_cost,
    expected_batched_exp3,
    exponential_weights,
    lazy_marginals,
    observed_losses,
    sequential_test,
    shrinking_dartboard,
    two_armed_dartboard,
    worst_dartboard_regret,
)
from theory.bounds.switching_costs import (
    balanced_dartboard_bound,
    balanced_dartboard_step,
    batched_exp3_bound,
    best_batches,
    best_gap,
    dartboard_bound,
    dartboard_budget_bound,
    divergence_budget,
    information_of_looks,
    learner_free_lower_bound,
    many_looks_lower_bound,
    sharp_dartboard_bound,
    sharp_divergence_budget,
    sharp_walk_lower_bound,
    walk_lower_bound,
    walk_width,
)
from theory.errors import InputError
from theory.random_streams import run_seeds
from theory.statistics import mean_interval

U64 = np.uint64
GOLDEN = U64(0x9E3779B97F4A7C15)


def _mix(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> U64(30))) * U64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> U64(27))) * U64(0x94D049BB133111EB)
    return z ^ (z >> U64(31))


def uniforms(seed: np.uint64, number: int, count: int) -> np.ndarray:
    """The first entries of stream ``number`` of a run."""
    with np.errstate(over="ignore"):
        start = _mix(_mix(np.array([seed + GOLDEN])) + GOLDEN * U64(number + 1))
        return (_mix(start + GOLDEN * np.arange(1, count + 1, dtype=U64)) >> U64(11)) * 2.0**-53


def all_losses(batches: int, arms: int) -> np.ndarray:
    return np.array(list(itertools.product((0.0, 1.0), repeat=batches * arms))).reshape(-1, batches, arms)


# the shrinking dartboard


def test_the_lazy_kernel_by_enumeration_of_its_paths() -> None:
    """Law and expected switches of the arm, over all sequences of arms and of decisions to keep or redraw."""
    losses, eta = np.random.default_rng(3).random((4, 3)), 0.8
    weights = exponential_weights(losses, eta)
    law, switches = np.zeros(3), 1.0
    for path in itertools.product(range(3), repeat=4):
        chance = 1 / 3
        changed = 0
        for b in range(3):
            keep = np.exp(-eta * losses[b, path[b]])
            chance *= (1 - keep) * weights[b + 1, path[b + 1]] + keep * (path[b] == path[b + 1])
            changed += path[b] != path[b + 1]
        law[path[3]] += chance
        switches += chance * changed
    assert np.allclose(lazy_marginals(losses, eta)[3], law)
    assert dartboard_cost(losses, losses, 1, eta).switches == pytest.approx(switches)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), arms=st.integers(1, 5), eta=st.floats(0.0, 4.0))
def test_marginals_are_weights_and_arms_have_no_order(seed: int, arms: int, eta: float) -> None:
    rng = np.random.default_rng(seed)
    losses, order = rng.random((2, 6, arms)), rng.permutation(arms)
    assert np.allclose(lazy_marginals(losses, eta), exponential_weights(losses, eta), atol=1e-14)
    one, two = dartboard_cost(losses, losses, 3, eta), dartboard_cost(losses[..., order], losses[..., order], 3, eta)
    assert np.allclose(one.regret, two.regret)
    assert np.allclose(one.switches, two.switches)
    shifted = dartboard_cost(losses, losses + 1, 3, eta)  # what all arms pay is no regret
    assert np.allclose(shifted.regret, one.regret)


@pytest.mark.parametrize(("batches", "tau"), [(1, 1), (2, 3), (3, 1), (5, 2)])
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.2])
def test_the_worst_losses_by_brute_force(batches: int, tau: int, eta: float) -> None:
    each = all_losses(batches, 2)
    assert worst_dartboard_regret(batches, tau, eta) == pytest.approx(dartboard_cost(each, each, tau, eta).regret.max())


@pytest.mark.parametrize("means", [(0.3, 0.6), (0.5, 0.5), (0.0, 1.0), (1.0, 0.2)])
def test_independent_losses_by_enumeration(means: tuple[float, float]) -> None:
    each = all_losses(4, 2)
    chance = np.where(each == 1, means, 1 - np.array(means)).prod(axis=(1, 2))
    cost = dartboard_cost(each, np.broadcast_to(means, each.shape), 3, 0.7)
    exact = two_armed_dartboard(means, 4, 3, 0.7)
    assert exact.loss == pytest.approx(chance @ cost.loss)
    assert exact.switches == pytest.approx(chance @ cost.switches)
    assert exact.best == pytest.approx(12 * min(means))
    swapped = two_armed_dartboard(means[::-1], 4, 3, 0.7)
    assert swapped.regret == pytest.approx(exact.regret)


def test_observations_are_losses_of_their_batch() -> None:
    sequence = uniform_losses(T=24, K=3, seed=1)
    observed = observed_losses(sequence, 4, 500, 0)
    blocks = sequence.losses.reshape(4, 6, 3)
    assert observed.shape == (500, 4, 3)
    assert all((observed[:, b, None] == blocks[b]).all(axis=2).any(axis=1).all() for b in range(4))
    assert np.allclose(batch_losses(sequence, 4), blocks.mean(axis=1))
    assert np.allclose(observed.mean(axis=0), blocks.mean(axis=1), atol=0.1)
    # one round a batch leaves no choice
    whole = shrinking_dartboard(sequence, 24, 0.2, 2, 5).regret
    assert whole[0] == whole[1] == dartboard_cost(sequence.losses, sequence.losses, 1, 0.2).regret


# batched EXP3


def exp3_twin(losses: np.ndarray, draws: int, eta: float, seed: np.uint64) -> tuple[float, float]:
    batches, arms = losses.shape
    choices, coins = uniforms(seed, 0, batches), uniforms(seed, 1, batches * max(draws, 1))
    total, loss, switches, before = np.zeros(arms), 0.0, 1.0, -1
    for b in range(batches):
        w = np.exp(-eta * (total - total.min()))
        w /= w.sum()
        arm = min(int(np.searchsorted(np.cumsum(w), choices[b], side="right")), arms - 1)
        loss += w @ losses[b]
        switches += 0.0 if before < 0 else 1 - w[before]
        seen = losses[b, arm] if draws == 0 else np.mean(coins[b * draws : (b + 1) * draws] < losses[b, arm])
        total[arm] += seen / w[arm]
        before = arm
    return loss, switches


@pytest.mark.parametrize("arms", [1, 2, 5])
@pytest.mark.parametrize("coins", [False, True])
def test_batched_exp3_equals_its_numpy_twin(arms: int, coins: bool) -> None:
    losses, seeds, tau = np.random.default_rng(2).random((3, 40, arms)), run_seeds(5, 9), 7
    cost = batched_exp3(losses, tau, 0.2, seeds, coins=coins)
    twin = np.array([exp3_twin(losses[r % 3], tau if coins else 0, 0.2, s) for r, s in enumerate(seeds)])
    assert np.allclose(cost.loss, tau * twin[:, 0], rtol=1e-12)
    assert np.allclose(cost.switches, twin[:, 1], rtol=1e-12)
    assert np.allclose(cost.best, tau * losses.sum(axis=1).min(axis=1)[np.arange(9) % 3])
    alone = batched_exp3(losses[1], tau, 0.2, seeds[4:5], coins=coins)
    assert np.array_equal(alone.loss, cost.loss[4:5])


def test_expected_batched_exp3_by_simulation_and_by_hand() -> None:
    losses = np.random.default_rng(0).random((6, 2))
    exact, runs = expected_batched_exp3(losses, 5, 0.7), batched_exp3(losses, 5, 0.7, run_seeds(1, 20_000))
    assert float(exact.loss) in mean_interval(runs.loss, 1e-7)
    assert float(exact.switches) in mean_interval(runs.switches, 1e-7)
    # two batches, loss 1 on arm 0 in the first: its weight is then 1 / (1 + e^{2 eta}) if it was played
    two = expected_batched_exp3(np.array([[1.0, 0.0], [1.0, 0.0]]), 1, 0.5)
    fallen = 1 / (1 + np.e)
    assert two.loss == pytest.approx(0.5 + 0.5 * fallen + 0.5 * 0.5)
    assert two.switches == pytest.approx(1 + 0.5 * (1 - fallen) + 0.5 * 0.5)


# learners on the walk


@pytest.mark.parametrize("tree", [multi_scale_parents, chain_parents, star_parents])
def test_committing_by_simulation_of_the_likelihood_ratio(tree) -> None:
    rng = np.random.default_rng(6)
    T, gap, runs = 24, 0.6, 20_000
    parents, pattern = tree(T), np.array([0, 1, 1, 0, 1, 0, 0, 1, 1])
    exact = commit_by_likelihood(parents, pattern, gap)
    regret, switches = np.zeros((2, runs)), np.zeros((2, runs))
    for best in (0, 1):
        walk = np.zeros((runs, T + 1))
        for t in range(1, T + 1):
            walk[:, t] = walk[:, parents[t]] + rng.normal(size=runs)
        seen = walk[:, 1:10] - gap * (pattern == best)
        ratio = np.zeros(runs)
        for t in range(1, 10):
            step = seen[:, t - 1] - (seen[:, parents[t] - 1] if parents[t] else 0.0)
            before = pattern[parents[t] - 1] if parents[t] else -1
            mean = [-gap * (int(pattern[t - 1] == c) - int(before == c)) for c in (0, 1)]
            ratio += (step - mean[1]) ** 2 / 2 - (step - mean[0]) ** 2 / 2
        chosen = np.where(ratio > 0, 0, 1)
        switches[best] = 1 + np.count_nonzero(np.diff(pattern)) + (chosen != pattern[-1])
        regret[best] = gap * (np.count_nonzero(pattern != best) + (T - 9) * (chosen != best)) + switches[best]
    # (a tie, which has probability 0, would go to arm 1)
    assert exact.regret in mean_interval(regret.mean(axis=0), 1e-7)
    means = [mean_interval(s, 1e-7) for s in switches]
    assert min(m.low for m in means) <= exact.switches <= min(m.high for m in means)


def test_committing_learners_by_hand() -> None:
    parents = multi_scale_parents(64)
    constant = commit_by_likelihood(parents, np.zeros(64, dtype=int), 0.3)
    assert (constant.regret, constant.switches) == pytest.approx((0.3 * 32 + 1, 1))
    robin = commit_by_likelihood(parents, np.arange(64) % 2, 0.3)
    assert (robin.regret, robin.switches) == pytest.approx((0.3 * 32 + 64, 64))
    # one look at the plain walk: the better arm from round 2 on, a switch in one game of two
    looked = commit_by_likelihood(parents, [0], 0.3, extra=1, noise=0.0)
    assert looked.regret == pytest.approx(0.3 / 2 + 1.5)
    blind = commit_by_likelihood(parents, [0], 0.3, extra=1, noise=1e9)
    assert blind.regret == pytest.approx(0.3 / 2 + 0.3 * 63 / 2 + 1.5)


def test_the_sequential_test_equals_its_twin() -> None:
    T, gap, block, threshold = 50, 0.4, 3, 1.5
    parents, seeds = multi_scale_parents(T), run_seeds(8, 30)
    runs = sequential_test(parents, gap, seeds, block=block, threshold=threshold)
    for best, r in itertools.product((0, 1), range(30)):
        u = uniforms(seeds[r], 0, 2 * T)
        steps = np.sqrt(-2 * np.log(1 - u[::2])) * np.cos(2 * np.pi * u[1::2])
        walk, played, ratio = np.zeros(T + 1), [], 0.0
        for t in range(1, T + 1):
            walk[t] = walk[parents[t]] + steps[t - 1]
            stopped = abs(ratio) >= threshold
            arm = (0 if ratio > 0 else 1) if stopped else ((t - 1) // block) % 2
            played.append(arm)
            if not stopped:
                before = played[parents[t] - 1] if parents[t] else None
                seen = steps[t - 1] - gap * ((arm == best) - (before == best))
                mean = [-gap * ((arm == c) - (before == c)) for c in (0, 1)]
                ratio += (seen - mean[1]) ** 2 / 2 - (seen - mean[0]) ** 2 / 2
        switches = 1 + np.count_nonzero(np.diff(played))
        assert runs.switches[best, r] == switches
        assert runs.regret[best, r] == pytest.approx(gap * np.count_nonzero(np.array(played) != best) + switches)


# the bounds


@pytest.mark.parametrize(("T", "K", "N"), [(64, 2, 8), (1024, 3, 1024), (4096, 8, 4)])
def test_the_bounds_agree_with_each_other(T: int, K: int, N: int) -> None:
    assert dartboard_budget_bound(T, K, N * K) == pytest.approx(dartboard_bound(T, K, N))
    assert balanced_dartboard_bound(T, K, N) <= sharp_dartboard_bound(T, K, N) <= dartboard_bound(T, K, N)
    eta = balanced_dartboard_step(T, K, N)
    found = optimize.minimize_scalar(lambda x: T * np.log(K) / (N * np.exp(x)) + np.exp(x) * (T / 8 + N) + 1, bracket=(-5, 0))
    assert np.exp(found.x) == pytest.approx(eta, rel=1e-5)
    assert found.fun == pytest.approx(balanced_dartboard_bound(T, K, N))
    best = optimize.minimize_scalar(lambda n: T * np.sqrt(2 * K * np.log(K) / n) + n, bounds=(1, T * K), method="bounded")
    assert best.x == pytest.approx(best_batches(T, K), rel=1e-3)
    assert best.fun == pytest.approx(3 * best_batches(T, K), rel=1e-6)
    assert batched_exp3_bound(T, K, N) >= best.fun * (1 - 1e-9)


@pytest.mark.parametrize("T", [8, 1000, 2**16])
@pytest.mark.parametrize(("extra", "noise"), [(0, np.inf), (4, 1.0)])
def test_the_learner_free_bound_is_the_least_over_switches_at_its_gap(T: int, extra: int, noise: float) -> None:
    def least(gap: float) -> float:
        start = 1 - (walk_width(T) / 4 * (1 + extra) + (extra / (2 * noise**2) if extra else 0.0)) / (walk_width(T) - 1)
        return float(
            optimize.minimize_scalar(
                lambda S: sharp_walk_lower_bound(T, gap, S, extra, noise),
                bounds=(start, T),
                method="bounded",
                options={"xatol": 1e-9},
            ).fun
        )

    assert least(best_gap(T)) == pytest.approx(learner_free_lower_bound(T, extra, noise), rel=1e-6)
    assert least(best_gap(T)) >= max(least(0.9 * best_gap(T)), least(1.1 * best_gap(T)))
    assert sharp_walk_lower_bound(T, 0.1, 3) >= walk_lower_bound(T, 0.1, 3)


def test_many_looks_make_no_switch_the_best() -> None:
    T, B, noise = 4096, 800, 0.5
    gap = 1 / (2 * np.sqrt(information_of_looks(T, B, noise)))
    values = [sharp_walk_lower_bound(T, gap, S, B, noise) for S in (1, 1.01, 2, 5, 50, 1000)]
    assert values[0] == pytest.approx(many_looks_lower_bound(T, B, noise))
    assert np.all(np.diff(values) > 0)


def test_switches_are_all_that_a_learner_pays_for_at_no_gap() -> None:
    assert walk_lower_bound(100, 0.0, 7) == sharp_walk_lower_bound(100, 0.0, 7) == 7
    assert divergence_budget(100, 0.0, 7, 5) == sharp_divergence_budget(100, 0.0, 7, 5) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: batch_losses(iid_losses(T=10), 3), "divides the 10 rounds, which 3 does not"),
        (lambda: observed_losses(LossSequence(np.zeros((4, 2))), 0, 1, 0), "which 0 does not"),
        (lambda: exponential_weights([0.5], 0.1), "shape"),
        (lambda: exponential_weights([[0.5, -0.1]], 0.1), "not negative"),
        (lambda: exponential_weights([[0.5, np.nan]], 0.1), "finite"),
        (lambda: exponential_weights([[0.5, 0.1]], -1.0), "at least 0, not -1"),
        (lambda: dartboard_cost([[0.5, 0.1]], [[0.5, 0.1]], 0, 0.1), "at least one round, not 0"),
        (lambda: worst_dartboard_regret(0, 1, 0.1), "not 0 and 1"),
        (lambda: two_armed_dartboard([0.5, 1.2], 2, 1, 0.1), "between 0 and 1"),
        (lambda: two_armed_dartboard([0.5, 0.2], 2, 0, 0.1), "not 2 and 0"),
        (lambda: batched_exp3(np.zeros((1, 1, 1, 2)), 1, 0.1, run_seeds(0, 1)), "sequences, N, K"),
        (lambda: batched_exp3([[1.5, 0.0]], 1, 0.1, run_seeds(0, 1), coins=True), "lie in"),
        (lambda: batched_exp3([[0.5, 0.0]], 0, 0.1, run_seeds(0, 1)), "at least one round"),
        (lambda: batched_exp3([[0.5, np.inf]], 1, 0.1, run_seeds(0, 1)), "finite"),
        (lambda: expected_batched_exp3(np.zeros((21, 2)), 1, 0.1), "more than a million"),
        (lambda: expected_batched_exp3(np.zeros((2, 2, 2)), 1, 0.1), "shape"),
        (lambda: commit_by_likelihood(multi_scale_parents(3), [0, 1, 0, 1], 0.1), "between 1 and 3 rounds, not 4"),
        (lambda: commit_by_likelihood(multi_scale_parents(3), [0, 2], 0.1), "are 0 and 1"),
        (lambda: commit_by_likelihood(multi_scale_parents(3), [0], -0.1), "the gap is at least 0"),
        (lambda: commit_by_likelihood(multi_scale_parents(3), [0], 0.1, extra=2, noise=1.0), "between 0 and 1 rounds"),
        (lambda: sequential_test(multi_scale_parents(3), 0.1, run_seeds(0, 1), block=0), "length of a block"),
        (lambda: sequential_test(multi_scale_parents(3), 0.1, run_seeds(0, 1), threshold=-1.0), "threshold"),
        (lambda: dartboard_bound(10, 1, 2), "two arms, not 1"),
        (lambda: dartboard_bound(10, 2, 11), "between 1 and the 10 rounds"),
        (lambda: dartboard_budget_bound(10, 2, 21), "between K = 2 and K T = 20"),
        (lambda: walk_width(0), "at least one round"),
        (lambda: walk_lower_bound(10, -0.1, 1), "at least 0, not -0.1"),
        (lambda: sharp_walk_lower_bound(10, 0.1, 1, 11, 1.0), "between 0 and 10 rounds"),
        (lambda: divergence_budget(10, 0.1, 1, 2, 0.0), "noise is positive, not 0"),
        (lambda: best_gap(1), "two rounds, not 1"),
        (lambda: learner_free_lower_bound(1), "two rounds, not 1"),
        (lambda: many_looks_lower_bound(4096, 1, 1.0), "with 1 extra looks A is"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
