"""The simulator of K-armed bandits: round by round and compiled alike, each rule against a plain twin, and bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from bandits import _kernels_play as kernels
from bandits.adversarial import (
    LossSequence,
    alternating_losses,
    cycling_losses,
    iid_losses,
    switching_losses,
    uniform_losses,
)
from bandits.index_policies import KLUCB, MOSS, UCB1, BetaThompson, EpsilonGreedy, ExploreThenCommit, GaussianThompson
from bandits.play import Bandit, BanditRuns, Feedback, Player, Table, play, simulate
from bandits.rules import Policy
from bandits.stochastic import BernoulliBandit, GaussianBandit, ParetoBandit, StochasticBandit, bernoulli_arms
from bandits.weight_policies import EXP3, EXP3IX, EXP3P, TsallisINF
from theory.errors import InputError
from theory.random_streams import normal, run_seeds, stream, uniform

U64 = np.uint64
INDEX: tuple[Policy, ...] = (
    UCB1(),
    UCB1(0.0),
    MOSS(),
    KLUCB(),
    KLUCB(3.0),
    GaussianThompson(0.5),
    EpsilonGreedy(0.2),
    EpsilonGreedy(5.0, decay=1.0),
    ExploreThenCommit(7),
)
WEIGHTS: tuple[Policy, ...] = (EXP3(), EXP3(0.3), EXP3(anytime=True), EXP3P(), EXP3IX(), TsallisINF())
ANY_REWARD = (UCB1, MOSS, GaussianThompson, EpsilonGreedy, ExploreThenCommit)
COINS = bernoulli_arms(means=(0.5, 0.6, 0.2))
BANDITS: tuple[Bandit, ...] = (
    COINS,
    GaussianBandit(np.array([0.1, 0.3, 0.2]), deviation=0.4),
    ParetoBandit(np.array([0.1, 0.3, 0.2])),
    switching_losses(T=150, K=3, gap=0.3, seed=1),
)


@pytest.mark.parametrize("feedback", [Feedback(), Feedback(delay=7), Feedback(batch=11, delay=2)], ids=str)
@pytest.mark.parametrize("policy", [*INDEX, BetaThompson(), BetaThompson(2.0, 3.5), *WEIGHTS], ids=str)
def test_round_by_round_and_compiled_runs_are_the_same_to_the_last_bit(policy: Policy, feedback: Feedback) -> None:
    seeds, marks = run_seeds(5, 3), np.array([1, 2, 10, 150])
    for bandit in BANDITS:
        if not isinstance(bandit, BernoulliBandit | LossSequence) and not isinstance(policy, ANY_REWARD):
            continue
        if isinstance(policy, BetaThompson) and not isinstance(bandit, BernoulliBandit):
            continue
        runs = simulate(policy, bandit, 150, seeds, marks, feedback)
        best = bandit.best_losses[marks - 1] if isinstance(bandit, LossSequence) else 0.0
        for i, seed in enumerate(seeds.tolist()):
            player, table = Player(policy, 3, 150, seed), Table(bandit, 150, seed)
            assert np.array_equal(play(player, table, 150, feedback)[marks - 1] - best, runs.pseudo_regret[i])


def _upper(mean: float, level: float) -> float:
    if mean >= 1:
        return 1.0

    def excess(q: float) -> float:
        kl = (mean * math.log(mean / q) if mean > 0 else 0.0) + (1 - mean) * math.log((1 - mean) / (1 - q))
        return kl - level

    return mean if level == 0 else optimize.brentq(excess, max(mean, 1e-300), 1 - 1e-16, xtol=1e-15)


def _entries(seed: int, number: int, count: int) -> list[float]:
    start = U64(stream(U64(seed), number))
    return [uniform(start, n) for n in range(count)]


def _twin(policy: Policy, bandit: Bandit, horizon: int, seed: int) -> tuple[list[int], float]:
    """The arms that one run pulls and its cost, in plain Python; each rule as its paper writes it."""
    K = bandit.arms
    matrix = bandit.losses if isinstance(bandit, LossSequence) else None
    own = _entries(seed, K, 40 * horizon)
    stacks = [_entries(seed, a, horizon) for a in range(K)]
    starts = [U64(stream(U64(seed), a)) for a in range(K + 1)]
    paid: list[list[float]] = [[] for _ in range(K)]
    pulled: list[int] = []
    draws, cost = 0, 0.0
    estimate = np.zeros(K)
    for t in range(horizon):
        law = None
        n = np.array([len(p) for p in paid])
        mean = np.array([sum(p) / len(p) if p else 0.0 for p in paid])
        match policy:
            case EXP3() | EXP3P() | EXP3IX() | TsallisINF():
                if isinstance(policy, TsallisINF):
                    eta = 2 / math.sqrt(t + 1)
                    low = estimate.min()

                    def excess(x: float, eta: float = eta, losses: np.ndarray = estimate) -> float:
                        return float((4 / (eta * (losses - x)) ** 2).sum()) - 1

                    x = optimize.brentq(excess, low - 2 * math.sqrt(K) / eta - 1e-9, low - 2 / eta + 1e-12, xtol=1e-14)
                    law = 4 / (eta * (estimate - x)) ** 2
                else:
                    root = math.sqrt(math.log(K) / (horizon * K))
                    if isinstance(policy, EXP3) and policy.anytime:
                        eta = math.sqrt(math.log(K) / ((t + 1) * K))
                    elif isinstance(policy, EXP3) and policy.rate is not None:
                        eta = policy.rate
                    else:
                        eta = root * (0.95 if isinstance(policy, EXP3P) else math.sqrt(2))
                    law = np.exp(-eta * (estimate - estimate.min()))
                    law = law / law.sum()
                    if isinstance(policy, EXP3P):
                        mixing = min(1, 1.05 * math.sqrt(K * math.log(K) / horizon))
                        law = (1 - mixing) * law + mixing / K
                law = law / law.sum()
                arm = min(int(np.searchsorted(np.cumsum(law), own[draws], side="right")), K - 1)
                draws += 1
            case ExploreThenCommit(pulls=each):
                arm = t % K if t < each * K else (int(np.argmax(mean)) if t == each * K else pulled[-1])
            case _ if t < K:
                arm = t
            case UCB1(exploration=c):
                arm = int(np.argmax(mean + np.sqrt(c * np.log(float(t))) * (1 / np.sqrt(n))))
            case MOSS():
                arm = int(np.argmax(mean + np.sqrt(np.maximum(np.log(horizon / (K * n)), 0) / n)))
            case KLUCB(loglog=c):
                level = math.log(t) + c * math.log(max(math.log(t), 1))
                arm = int(np.argmax([_upper(p, level / k) for p, k in zip(mean, n)]))
            case GaussianThompson(deviation=s):
                drawn = [normal(starts[K], draws + a) for a in range(K)]
                draws += K
                arm = int(np.argmax(mean + s / np.sqrt(n) * np.array(drawn)))
            case EpsilonGreedy(epsilon=e, decay=d):
                chance, u = min(1, e * max(t, 1) ** -d), own[draws]
                draws += 1
                arm = int(u / chance * K) if u < chance else int(np.argmax(mean))
            case _:
                raise AssertionError(policy)
        match bandit:
            case LossSequence():
                reward = 1 - float(bandit.losses[t, arm])
            case GaussianBandit():
                reward = bandit.means[arm] + bandit.deviation * normal(starts[arm], int(n[arm]))
            case ParetoBandit():
                u = 2 * stacks[arm][n[arm]]
                sign, v = (1, 1 - u) if u < 1 else (-1, 2 - u)
                reward = bandit.means[arm] + sign * bandit.scale * v ** (-1 / bandit.tail)
            case _:
                reward = float(stacks[arm][n[arm]] < bandit.means[arm])
        each_cost = matrix[t] if matrix is not None else bandit.gaps  # type: ignore[union-attr]
        cost += float(each_cost[arm] if law is None else law @ each_cost)
        if law is not None:
            if isinstance(policy, EXP3P):
                beta = math.sqrt(math.log(K / policy.delta) / (horizon * K))
                estimate -= (reward * (np.arange(K) == arm) + beta) / law
            else:
                offset = math.sqrt(math.log(K) / (2 * horizon * K)) if isinstance(policy, EXP3IX) else 0.0
                estimate[arm] += (1 - reward) / (law[arm] + offset)
        paid[arm].append(float(reward))
        pulled.append(arm)
    if isinstance(bandit, LossSequence):
        cost -= float(bandit.losses[:horizon].sum(axis=0).min())
    return pulled, cost


@pytest.mark.parametrize("policy", [*INDEX, *WEIGHTS], ids=str)
def test_the_kernel_equals_a_plain_twin(policy: Policy) -> None:
    for bandit in BANDITS:
        if not isinstance(bandit, BernoulliBandit | LossSequence) and not isinstance(policy, ANY_REWARD):
            continue
        for seed in run_seeds(2, 2).tolist():
            runs = simulate(policy, bandit, 120, np.array([seed], dtype=np.uint64))
            pulled, cost = _twin(policy, bandit, 120, seed)
            assert runs.pulls[0, 0].tolist() == np.bincount(pulled, minlength=3).tolist()
            assert runs.switches[0, 0] == 1 + np.count_nonzero(np.diff(pulled))
            assert runs.pseudo_regret[0, 0] == pytest.approx(cost, abs=1e-8)


@given(st.floats(0, 1), st.floats(1e-9, 20))
@settings(max_examples=200, deadline=None)
def test_the_kl_index_is_the_root(mean: float, level: float) -> None:
    q = kernels.kl_upper(mean, level)
    assert mean <= q <= 1
    if 1e-12 < mean < 1 - 1e-12 and q < 1 - 1e-9:  # nearer to 1 the spacing of floats is felt
        assert kernels.bernoulli_kl(mean, q) == pytest.approx(level, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(("a", "b"), [(1, 1), (1, 4), (6, 1), (2, 2), (2, 9), (40, 3), (500, 700), (1.5, 2.5)])
def test_beta_numbers_have_their_law(a: float, b: float) -> None:
    start, draws = U64(stream(U64(7), 0)), np.zeros(1, dtype=np.int64)
    drawn = [kernels.beta_variate(float(a), float(b), start, draws) for _ in range(4000)]
    assert stats.kstest(drawn, stats.beta(a, b).cdf).pvalue > 1e-5


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=8), st.floats(1e-3, 2))
@settings(max_examples=200, deadline=None)
def test_tsallis_weights_solve_their_equation(losses: list[float], rate: float) -> None:
    state = np.zeros((kernels.ROWS, len(losses)))
    state[kernels.ESTIMATE] = losses
    kernels.tsallis_weights(state, rate)
    weights = state[kernels.WEIGHT]
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    assert (weights > 0).all()
    # 2 / (rate sqrt(w)) - losses is the same number, -x, for every arm
    shift = 2 / (rate * np.sqrt(weights)) - np.array(losses)
    assert np.ptp(shift) <= 1e-7 * (1 + np.abs(shift).max() + max(losses))


def test_a_run_depends_on_its_seed_alone() -> None:
    seeds = run_seeds(8, 20)
    for policy in (BetaThompson(), KLUCB(), EXP3(0.1), TsallisINF()):
        whole = simulate(policy, COINS, 300, seeds, [100, 300])
        assert np.array_equal(simulate(policy, COINS, 300, seeds[::-1]).pseudo_regret[::-1, 0], whole.pseudo_regret[:, 1])
        assert np.array_equal(simulate(policy, COINS, 100, seeds[3:5]).pulls[:, 0], whole.pulls[3:5, 0])


def test_relabelling_the_arms_of_a_sequence_relabels_the_expected_losses() -> None:
    """The law of EXP3 does not see labels: pseudo-regrets agree in the mean, in two different orders of the arms."""
    sequence = switching_losses(T=200, K=3, gap=0.4, seed=4)
    turned = LossSequence(sequence.losses[:, [2, 0, 1]])
    a = simulate(EXP3(), sequence, 200, run_seeds(1, 4000)).pseudo_regret[:, 0]
    b = simulate(EXP3(), turned, 200, run_seeds(2, 4000)).pseudo_regret[:, 0]
    assert abs(a.mean() - b.mean()) < 5 * math.sqrt((a.var() + b.var()) / 4000)


def test_pareto_rewards_have_their_mean_and_tail() -> None:
    bandit = ParetoBandit(np.array([0.7]), tail=1.5, scale=0.2)
    table = Table(bandit, 20_000, 3)
    noise = np.array([table.pull(0) for _ in range(20_000)]) - 0.7
    assert abs(np.count_nonzero(noise > 0) / 20_000 - 0.5) < 0.02
    assert stats.kstest(np.abs(noise) / 0.2, stats.pareto(1.5).cdf).pvalue > 1e-5


def test_feedback_arrives_when_it_should() -> None:
    assert [Feedback(delay=2).seen_after(t) for t in range(3)] == [2, 3, 4]
    assert [Feedback(batch=3).seen_after(t) for t in range(4)] == [2, 2, 2, 5]
    runs = simulate(UCB1(), COINS, 400, run_seeds(0, 200), feedback=Feedback(delay=100))
    prompt = simulate(UCB1(), COINS, 400, run_seeds(0, 200))
    assert runs.pseudo_regret.mean() > prompt.pseudo_regret.mean()
    blind = simulate(EXP3(), COINS, 300, run_seeds(0, 4), feedback=Feedback(batch=1000))
    assert np.allclose(blind.pseudo_regret, 300 * COINS.gaps.mean())  # nothing is ever learnt


def test_families_of_losses() -> None:
    assert alternating_losses(T=4, K=2).losses.tolist() == [[0, 1], [1, 0], [0, 1], [1, 0]]
    assert alternating_losses(T=4, K=2, block=2).best_losses.tolist() == [0, 0, 1, 2]
    assert iid_losses(T=9, K=3, seed=1).losses.shape == (9, 3)
    assert np.array_equal(uniform_losses(seed=3).losses, uniform_losses(seed=3).losses)
    flipped = switching_losses(T=20_000, K=2, gap=0.3, seed=0).losses
    assert flipped[:10_000].mean(axis=0) == pytest.approx([0.2, 0.5], abs=0.03)
    assert flipped[10_000:].mean(axis=0) == pytest.approx([0.5, 0.2], abs=0.03)


def test_cycling_losses_follow_ucb1() -> None:
    runs = simulate(UCB1(), cycling_losses(T=90, K=3), 90, [4])
    assert runs.earned[0, 0] == 0
    assert runs.regret[0, 0] == runs.pseudo_regret[0, 0] == 60


class AlwaysFirst:
    """A user's own policy."""

    def select(self) -> int:
        return 0

    def update(self, arm: int, reward: float) -> None:
        assert arm == 0


def test_a_policy_of_ones_own_plays() -> None:
    assert play(AlwaysFirst(), Table(COINS, 10, 0), 10)[-1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: simulate(BetaThompson(), BANDITS[1], 5, [1]), "rewards of 0 or 1"),
        (lambda: simulate(BetaThompson(0.5), COINS, 5, [1]), "prior's a is at least 1, not 0.5"),
        (lambda: simulate(UCB1(float("nan")), COINS, 5, [1]), "exploration constant is at least 0, not nan"),
        (lambda: simulate(KLUCB(-1), COINS, 5, [1]), "at least 0"),
        (lambda: simulate(KLUCB(), BANDITS[1], 5, [1]), r"rewards in \[0, 1\]"),
        (lambda: simulate(EXP3(), BANDITS[1], 5, [1]), r"rewards in \[0, 1\]"),
        (lambda: simulate(EXP3(-0.1), COINS, 5, [1]), "learning rate"),
        (lambda: simulate(EXP3P(1.5), COINS, 5, [1]), "probability of failure"),
        (lambda: simulate(ExploreThenCommit(0), COINS, 5, [1]), "at least once"),
        (lambda: simulate(EpsilonGreedy(-1), COINS, 5, [1]), "epsilon is at least 0"),
        (lambda: simulate(GaussianThompson(-1), COINS, 5, [1]), "standard deviation"),
        (lambda: simulate(UCB1(), uniform_losses(T=4), 5, [1]), "has 4 rounds, fewer than the horizon 5"),
        (lambda: simulate(UCB1(), StochasticBandit(np.zeros(2)), 5, [1]), "cannot|not a bandit"),
        (lambda: simulate(UCB1(), COINS, 5, [1]).regret, "against a sequence of losses"),
        (lambda: Feedback(delay=-1), "delay of at least 0"),
        (lambda: Feedback(batch=0), "batches of at least 1"),
        (lambda: LossSequence(np.zeros(3)), "shape"),
        (lambda: LossSequence(np.array([[0.0, 0.5], [0.2, 1.5]])), "in round 1 arm 1 has the loss 1.5"),
        (lambda: LossSequence(np.array([[np.nan]])), "loss nan"),
        (lambda: iid_losses(gap=0.7), "between 0 and 1/2"),
        (lambda: switching_losses(K=1), "at least two arms"),
        (lambda: switching_losses(share=1.5), "between 0 and 1, not 1.5"),
        (lambda: uniform_losses(T=0), "at least one round"),
        (lambda: alternating_losses(block=0), "at least one round"),
        (lambda: GaussianBandit(np.zeros(2), deviation=-1), "standard deviation"),
        (lambda: GaussianBandit(np.array([0.0, np.inf])), "arm 1 .* inf"),
        (lambda: ParetoBandit(np.zeros(2), tail=1.0), "tail index"),
        (lambda: ParetoBandit(np.zeros(2), scale=-1.0), "scale"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_a_player_refuses_what_is_not_due() -> None:
    player = Player(UCB1(), 2, 2, 0)
    with pytest.raises(InputError, match="next is of none"):
        player.update(0, 1.0)
    arm = player.select()
    with pytest.raises(InputError, match=f"no reward of arm {1 - arm} is due"):
        player.update(1 - arm, 1.0)
    player.update(arm, 1.0)
    player.select()
    with pytest.raises(InputError, match="made for 2 rounds"):
        player.select()
    assert player.weights is None
    assert isinstance(simulate(UCB1(), COINS, 3, [1]), BanditRuns)
