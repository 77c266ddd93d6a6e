"""DynLin-UCB: the kernel against a plain twin, the lengths of epochs, the radius and the bound on the regret, what is refused."""

import math

import numpy as np
import pytest

from bandits.dynamical import DynamicalLinearBandit, delayed_effect, random_system, scalar_system, structured_system
from bandits.dynlin_ucb import Rule, dynlin_ucb, epoch_lengths, epochs_within
from theory.bounds.linear_bandits import SystemBounds, dynlin_radius, dynlin_regret
from theory.errors import InputError
from theory.random_streams import normal, run_seeds, stream, uniform


def plain_dynlin(bandit: DynamicalLinearBandit, horizon: int, seed: int, rule: Rule, ridge: float, delta: float, width: float):
    """The algorithm by the book, on the system as it is defined: one state with its noise, and another without for the regret."""
    reward, state = (np.uint64(stream(np.uint64(seed), np.uint64(k))) for k in (0, 2))
    V, b = ridge * np.eye(bandit.dimension), np.zeros(bandit.dimension)
    x, mean = np.zeros(bandit.states), np.zeros(bandit.states)
    t, m, regret, worst = 0, 0, 0.0, 0.0
    plays = np.zeros(len(bandit.actions), dtype=int)
    best = (bandit.actions @ bandit.markov_parameter).max()
    while True:
        estimate = np.linalg.solve(V, b)
        beta = float(dynlin_radius(m, bandit.dimension, bandit.bounds, ridge=ridge, delta=delta, bias=float(rule != "one")))
        missed = estimate - bandit.markov_parameter
        worst = max(worst, math.sqrt(missed @ V @ missed) / beta)
        widths = np.sqrt(np.einsum("ai,ij,aj->a", bandit.actions, np.linalg.inv(V), bandit.actions))
        arm = int(np.argmax(bandit.actions @ estimate + width * beta * widths))
        u = bandit.actions[arm]
        m += 1
        settled = math.log(m) / -math.log(bandit.rate)
        further = {"ceil": math.ceil(settled - 1e-9), "floor": math.floor(settled + 1e-9), "one": 0}[rule]
        for _ in range(1 + further):
            if t == horizon:
                return regret, worst, plays
            y = bandit.omega @ x + bandit.theta @ u + bandit.reward_deviation * normal(reward, np.uint64(t))
            regret += best - bandit.omega @ mean - bandit.theta @ u
            plays[arm] += 1
            drawn = np.array([uniform(state, np.uint64(t * bandit.states + i)) for i in range(bandit.states)])
            x = bandit.A @ x + bandit.B @ u + math.sqrt(3) * bandit.state_deviation * (2 * drawn - 1)
            mean = bandit.A @ mean + bandit.B @ u
            t += 1
        V += np.outer(u, u)
        b += u * y


@pytest.mark.parametrize("rule", ["ceil", "floor", "one"])
@pytest.mark.parametrize("n", [1, 3])
def test_the_kernel_is_dynlin_ucb(rule: Rule, n: int) -> None:
    bandit = random_system(n=n, d=2, K=4, rho=0.4, noise=0.3, seed=n)
    seeds = run_seeds(3, 2)
    found = dynlin_ucb(bandit, 150, seeds, rule=rule, ridge=0.8, delta=0.1, width=0.3)
    for i, seed in enumerate(seeds):
        regret, worst, plays = plain_dynlin(bandit, 150, int(seed), rule, 0.8, 0.1, 0.3)
        assert found.regret[i, 0] == pytest.approx(regret, abs=1e-9)
        assert found.worst_error[i, 0] == pytest.approx(worst, rel=1e-8)
        assert np.array_equal(found.plays[i, 0], plays)


@pytest.mark.parametrize("rate", [0.001, 0.1, 0.5, 0.9, 0.99])
def test_lengths_of_epochs(rate: float) -> None:
    m = np.arange(1, 2001)
    ceil, floor = (epoch_lengths(2000, rate, rule) - 1 for rule in ("ceil", "floor"))
    assert (rate ** ceil.astype(float) * m <= 1 + 1e-9).all()
    assert (rate ** (ceil - 1.0) * m > 1 - 1e-9).all()
    assert (rate ** floor.astype(float) * m >= 1 - 1e-9).all()
    assert set(np.unique(ceil - floor)) <= {0, 1}
    assert ceil[0] == floor[0] == 0
    assert (epoch_lengths(5, rate, "one") == 1).all()


def test_powers_of_the_rate_are_taken_for_what_they_are() -> None:
    m = 10 ** np.arange(6)
    for rule in ("ceil", "floor"):
        assert (epoch_lengths(100_000, 0.1, rule)[m - 1] == 1 + np.arange(6)).all()


@pytest.mark.parametrize("rounds", [1, 2, 7, 100])
def test_epochs_within_a_horizon(rounds: int) -> None:
    lengths = epochs_within(rounds, 0.5)
    assert lengths[:-1].sum() < rounds <= lengths.sum()


def test_checkpoints_and_seeds() -> None:
    bandit = structured_system(noise=0.1)
    seeds = run_seeds(1, 4)
    together = dynlin_ucb(bandit, 500, seeds, [100, 500])
    assert np.array_equal(together.regret[2:3], dynlin_ucb(bandit, 500, seeds[2:3], [100, 500]).regret)
    assert (together.plays.sum(axis=-1) == [100, 500]).all()
    assert (np.diff(together.log_volume, axis=1) > 0).all()


def test_the_floor_misses_a_delayed_effect_and_the_ceiling_sees_it() -> None:
    bandit = scalar_system(rho=0.001)
    errors = {}
    for rule in ("ceil", "floor"):
        rounds = int(epoch_lengths(1002, 0.001, rule).sum())
        errors[rule] = dynlin_ucb(bandit, rounds, [0], rule=rule, ridge=1.0, actions_played=[0, 1]).worst_error[0, 0]
    assert errors["floor"] == pytest.approx(3.75, abs=0.01)
    assert errors["ceil"] == pytest.approx(1 / 3, abs=0.01)


def test_linucb_is_caught_by_the_delayed_effect() -> None:
    bandit = delayed_effect(rho=0.01, noise=0.02)
    linucb = dynlin_ucb(bandit, 5000, run_seeds(0, 3), rule="one", width=0.3)
    dynlin = dynlin_ucb(bandit, 5000, run_seeds(0, 3), width=0.3)
    assert (linucb.regret > 2500).all()
    assert (dynlin.regret < 100).all()
    assert (linucb.plays[:, 0, 1] < 30).all()


def test_the_formulas_of_the_radius_and_the_bound() -> None:
    system = SystemBounds(0.5, 2.0, 1.0, 3.0, 0.5, 2.0, 4.0, 0.1, 0.2)
    assert system.bias == pytest.approx(2 * 3 * 2 * (2 * 0.5 / 0.5 + 4))
    assert system.norm == pytest.approx(1 + 3 * 0.5 * 2 / 0.5)
    assert system.deviation**2 == pytest.approx(0.04 + 0.01 * 36 / 0.75)
    assert system.truncation == pytest.approx(3 * 0.5 * 2 * 2 / 0.25)
    radius = dynlin_radius([0, 9], 2, system, ridge=4.0, delta=0.1)
    by_hand = [
        system.bias / 2 * math.log(math.e * (m + 1))
        + 2 * system.norm
        + math.sqrt(2 * system.deviation**2 * (math.log(10) + math.log(1 + m * 4 / 8)))
        for m in (0, 9)
    ]
    assert radius == pytest.approx(by_hand)
    bound = dynlin_regret(9, 3, 2, system, largest_gap=1.0, ridge=4.0, delta=0.1)
    widths = math.sqrt(9 * 2 / math.log(2) * math.log(1 + 9 * 4 / 8))
    assert bound == pytest.approx(3 * 2 * by_hand[1] * widths + system.truncation)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: epoch_lengths(0, 0.5), "at least 1"),
        (lambda: epoch_lengths(5, 1.0), "strictly between 0 and 1"),
        (lambda: epoch_lengths(5, 0.5, "round"), "not 'round'"),  # type: ignore[arg-type]
        (lambda: dynlin_ucb(structured_system(), 10, [0], ridge=-1.0), "ridge > 0"),
        (lambda: dynlin_ucb(structured_system(), 10, [0], bias=-1.0), "factor of the bias"),
        (lambda: dynlin_ucb(structured_system(), 10, [0], actions_played=[16]), "0 to 15"),
        (lambda: dynlin_ucb(structured_system(), 10, [0], [20]), "within"),
        (lambda: SystemBounds(1.0, 1.0, 1, 1, 1, 1, 1, 0, 0), "strictly between 0 and 1"),
        (lambda: SystemBounds(0.5, 0.5, 1, 1, 1, 1, 1, 0, 0), "at least 1, not 0.5"),
        (lambda: SystemBounds(0.5, 1.0, 1, -1, 1, 1, 1, 0, 0), "bound on omega"),
        (lambda: dynlin_radius(3, 1, scalar_system().bounds, ridge=0.0, delta=0.1), "positive ridge"),
        (lambda: dynlin_regret(0, 1, 1, scalar_system().bounds, largest_gap=1, ridge=1, delta=0.1), "at least 1"),
    ],
)
def test_bad_input_is_refused(build, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build()
