"""The dynamics: kernels against their NumPy twins, closed forms, invariances, and oracles that count."""

from __future__ import annotations

import ast
import inspect
from decimal import Decimal, localcontext
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import games._kernels
from games.dynamics import average_policy, one_query_dynamics
from games.generators import clone, rock_paper_scissors, tight_pair, tilted, tournament, uniform
from games.mirror_descent import hedge, inpo, magnetic_mirror_descent, nash_mirror_descent
from games.mirror_prox import nash_mirror_prox
from games.oracle import exact_oracle, sampled_oracle
from games.preference import PreferenceGame
from games.prox import natural_gradient_prox, normalise, prox
from games.regularised import exploitability, smoothed_best_response, solve_regularised
from theory.divergences import kl, span
from theory.errors import InputError


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def mirror_prox_numpy(game, beta, eta, iterations, start, half_steps, second_centre, second_query, errors):
    """Nash mirror prox in probabilities, as the paper writes it: the twin of the kernel."""
    mu, now, policies, halves = np.exp(game.log_reference), np.exp(start), [np.exp(start)], []
    for k in range(iterations):

        def step(centre, opponent, error):
            exact = mu ** (eta / (1 + eta)) * centre ** (1 / (1 + eta)) * np.exp(eta / beta * (game.A @ opponent) / (1 + eta))
            wrong = exact * np.exp(error)
            return wrong / wrong.sum()

        half = step(now, now, errors[k, 0])
        halves.append(half)
        if half_steps == 2:
            after = step(half if second_centre == "half" else now, now if second_query == "current" else half, errors[k, 1])
        else:
            after = half
        policies.append(after)
        now = after
    return np.array(policies), np.array(halves)


@pytest.mark.parametrize("K", [1, 2, 5, 40])
@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"half_steps": 1},
        {"second_centre": "half"},
        {"second_query": "current"},
        {"second_centre": "half", "second_query": "current"},
    ],
)
@pytest.mark.parametrize("wrong", [False, True])
def test_the_mirror_prox_kernel_equals_its_numpy_twin(K: int, switches: dict, wrong: bool) -> None:
    game, rng = uniform(K=K, scale=1.0, seed=K), np.random.default_rng(K)
    start = normalise(rng.standard_normal(K))
    errors = rng.uniform(-0.1, 0.1, (30, 2, K)) * wrong
    full = {"half_steps": 2, "second_centre": "current", "second_query": "half", **switches}
    for beta, eta in ((0.3, None), (0.05, 0.4)):
        run = nash_mirror_prox(game, beta, 30, eta=eta, start=start, errors=errors if wrong else None, **switches)
        policies, halves = mirror_prox_numpy(game, beta, eta or 2 * beta, 30, start, errors=errors, **full)
        assert np.allclose(np.exp(run.log_policies), policies, rtol=1e-11, atol=0)
        assert np.allclose(np.exp(run.log_half_steps), halves, rtol=1e-11, atol=0)
        assert np.array_equal(run.queries, np.arange(31) * full["half_steps"])
        # the loop that serves inexact oracles and solvers
        loop = nash_mirror_prox(game, beta, 30, eta=eta, start=start, errors=errors if wrong else None, solver=prox, **switches)
        assert np.allclose(loop.log_policies, run.log_policies, rtol=0, atol=1e-12)
        assert np.allclose(loop.log_half_steps, run.log_half_steps, rtol=0, atol=1e-12)
        assert np.array_equal(loop.queries, run.queries)


@pytest.mark.parametrize("K", [1, 2, 5, 40])
def test_the_one_query_kernel_equals_its_numpy_twin(K: int) -> None:
    game, beta, steps = tournament(K=K, seed=K), 0.2, np.linspace(0.1, 2.0, 25)
    mu = np.exp(game.log_reference)
    twins = {
        "mmd": lambda p, g: softmax((np.log(p) + g * beta * np.log(mu) + g * game.A @ p) / (1 + g * beta)),
        "hedge": lambda p, g: softmax(np.log(p) + g * game.A @ p),
        "nash-md": lambda p, g: (lambda q: softmax(np.log(q) + g * game.A @ q))(
            softmax((1 - g * beta) * np.log(p) + g * beta * np.log(mu))
        ),
        "inpo": lambda p, g: softmax((1 - g * beta) * np.log(p) + g * beta * np.log(mu) + g * game.A @ p),
    }
    runs = {
        "mmd": magnetic_mirror_descent(game, beta, 25, step=steps),
        "hedge": hedge(game, 25, step=steps),
        "nash-md": nash_mirror_descent(game, beta, 25, step=steps),
        "inpo": inpo(game, beta, 25, step=steps),
    }
    for name, run in runs.items():
        p = mu
        for k, g in enumerate(steps):
            p = twins[name](p, g)
            assert np.allclose(np.exp(run.log_policies[k + 1]), p, rtol=1e-11, atol=0), name
        assert np.array_equal(run.queries, np.arange(26))


def test_the_loop_of_one_query_dynamics_equals_the_kernel() -> None:
    """A huge sample makes the sampled oracle's answers exact only in the limit; a pretended one makes them exact."""
    game = uniform(K=6, seed=0)
    exact = exact_oracle(game)
    pretended = type(exact)(game.log_reference, lambda q: q @ game.A.T)
    for mixture in (0.0, 0.3):
        runs = [one_query_dynamics(o, 0.1, 0.7, mixture, 40) for o in (exact, pretended)]
        assert np.allclose(runs[0].log_policies, runs[1].log_policies, rtol=0, atol=1e-12)
    assert (exact.queries, pretended.queries) == (80, 80)


def test_inpo_is_magnetic_mirror_descent_with_another_step() -> None:
    game, beta, steps = uniform(K=7, scale=2.0, seed=1), 0.3, np.linspace(0.05, 3.0, 40)
    magnetic = magnetic_mirror_descent(game, beta, 40, step=steps / (1 - steps * beta))
    assert np.allclose(inpo(game, beta, 40, step=steps).log_policies, magnetic.log_policies, rtol=0, atol=1e-12)


def test_inpo_on_two_actions_in_closed_form() -> None:
    """A pi is constant in the difference of two actions: log-odds approach mu's plus d / beta by 1 - step * beta a step."""
    beta, step, d, odds = 0.2, 0.7, 0.3, -1.5
    game = PreferenceGame([[0.0, d], [-d, 0.0]], normalise([odds, 0.0]))
    run = inpo(game, beta, 50, step=step, start=normalise([2.0, 0.0]))
    limit = odds + d / beta
    expected = limit + (2.0 - limit) * (1 - step * beta) ** np.arange(51)
    assert run.log_policies[:, 0] - run.log_policies[:, 1] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("beta", [0.3, 1 / 3, 0.7, 1.0, 49.0])
def test_inpo_with_the_largest_step_plays_the_smoothed_best_response(beta: float) -> None:
    game, start = uniform(K=4, seed=2), normalise([1.0, 0.0, 3.0, -2.0])
    after = inpo(game, beta, 1, step=1 / beta, start=start).log_policies[1]
    assert after == pytest.approx(smoothed_best_response(game, beta, start), abs=1e-13)


def test_inpo_serves_sampled_oracles() -> None:
    game, beta = uniform(K=3, seed=0), 0.5
    noisy = inpo(sampled_oracle(game, 10**6, 0, runs=2), beta, 20, step=0.5)
    assert noisy.log_policies.shape == (21, 2, 3)
    assert np.allclose(noisy.log_policies, inpo(game, beta, 20, step=0.5).log_policies[:, None], rtol=0, atol=0.02)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), K=st.sampled_from([1, 2, 7, 40, 41, 90]), beta=st.floats(0, 3), weight=st.floats(0.01, 3))
def test_the_pieces_of_the_kernels_equal_their_numpy_twins(seed: int, K: int, beta: float, weight: float) -> None:
    rng = np.random.default_rng(seed)
    reference, centre = normalise(5 * rng.standard_normal((2, K)))
    gain, out, policy, counter = rng.uniform(-1, 1, K), np.empty(K), np.empty(K), np.zeros(1, dtype=np.int64)
    games._kernels.step_into(reference, centre, gain, beta, weight, out, policy)
    assert np.allclose(out, prox(reference, centre, gain, beta, weight), rtol=0, atol=1e-12)
    assert np.allclose(policy, np.exp(out), rtol=1e-13, atol=0)
    A = uniform(K=K, seed=seed).A if K > 1 else np.zeros((1, 1))
    games._kernels.ask(A, counter, policy, gain)
    assert np.allclose(gain, A @ policy, rtol=0, atol=1e-15 * K)
    assert counter[0] == 1


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    iterations=st.integers(0, 20),
    every=st.integers(1, 25),
    half_steps=st.sampled_from([1, 2]),
    centre=st.sampled_from(["current", "half"]),
    asked=st.sampled_from(["half", "current"]),
    noisy=st.booleans(),
)
def test_a_thinned_run_is_the_run_with_policies_left_out(seed, iterations, every, half_steps, centre, asked, noisy) -> None:
    game = uniform(K=4, seed=seed)
    rows = np.unique(np.append(np.arange(0, iterations + 1, every), iterations))

    def oracle():
        return sampled_oracle(game, 5, seed, runs=2) if noisy else exact_oracle(game)

    options = {"half_steps": half_steps, "second_centre": centre, "second_query": asked}
    errors = np.random.default_rng(seed).uniform(-0.1, 0.1, (iterations, 2, 4))
    for wrong in (None, errors):
        full, thin = (nash_mirror_prox(oracle(), 0.1, iterations, every=n, errors=wrong, **options) for n in (1, every))
        assert np.array_equal(thin.log_policies, full.log_policies[rows])
        assert np.array_equal(thin.log_half_steps, full.log_half_steps[rows[1:] - 1])
        assert np.array_equal(thin.queries, full.queries[rows])
        assert np.array_equal(full.queries, half_steps * np.arange(iterations + 1))
    for mixture in (0.0, 0.3):
        one, few = (one_query_dynamics(oracle(), 0.1, 0.7, mixture, iterations, every=n) for n in (1, every))
        assert np.array_equal(few.log_policies, one.log_policies[rows])
        assert np.array_equal(few.queries, rows)
        assert np.array_equal(one.queries, np.arange(iterations + 1))


def test_a_thinned_run_is_small() -> None:
    run = nash_mirror_prox(PreferenceGame(np.zeros((50, 50))), 0.1, 10_000, every=10_000)
    assert run.log_policies.shape == (2, 50)
    assert run.log_half_steps.shape == (1, 50)
    assert run.queries.tolist() == [0, 20_000]


# --- proximal steps ----------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), K=st.integers(1, 8), beta=st.floats(0, 3), weight=st.floats(0.01, 3))
def test_a_proximal_step_maximises_its_objective(seed: int, K: int, beta: float, weight: float) -> None:
    rng = np.random.default_rng(seed)
    reference, centre = normalise(2 * rng.standard_normal((2, K)))
    gain = rng.uniform(-1, 1, K)

    def objective(policy: np.ndarray) -> np.ndarray:
        return np.exp(policy) @ gain - beta * kl(policy, reference, log=True) - weight * kl(policy, centre, log=True)

    best = prox(reference, centre, gain, beta, weight)
    others = normalise(best + rng.standard_normal((50, K)) * rng.uniform(1e-3, 2, (50, 1)))
    # strong concavity: the objective falls by (beta + weight) KL(other || best) exactly
    fall = (beta + weight) * kl(others, best, log=True)
    assert np.allclose(objective(best) - objective(others), fall, rtol=1e-9, atol=1e-12)


def test_inner_steps_contract_the_error_by_a_known_factor() -> None:
    rng = np.random.default_rng(2)
    reference, centre = normalise(rng.standard_normal((2, 7)))
    gain, beta, weight, step = rng.uniform(-0.5, 0.5, 7), 0.2, 0.5, 0.9
    exact = prox(reference, centre, gain, beta, weight)
    for steps in range(6):
        found = natural_gradient_prox(reference, centre, gain, beta, weight, step=step, steps=steps)
        assert span(found - exact) == pytest.approx((1 - step * 0.7) ** steps * span(centre - exact), rel=1e-10)

    def solver(*args):
        return natural_gradient_prox(*args, step=1 / (0.1 + 0.5), steps=1)  # one full step is exact

    game = uniform(K=5, seed=3)
    runs = [nash_mirror_prox(game, 0.1, 20, solver=s).log_policies for s in (solver, None)]
    assert np.allclose(*runs, rtol=0, atol=1e-12)


# --- properties of runs ------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), K=st.integers(2, 8), beta=st.floats(0.01, 1.0))
def test_runs_are_relabelled_and_cloned_with_their_game(seed: int, K: int, beta: float) -> None:
    rng = np.random.default_rng(seed)
    game = uniform(K=K, scale=2.0, seed=seed)
    order = rng.permutation(K)
    counts = 1 + rng.integers(0, 4, K)
    split, original = clone(game, counts, rng.uniform(0.1, 1, int(counts.sum())))
    for run in (
        lambda g: nash_mirror_prox(g, beta, 20),
        lambda g: magnetic_mirror_descent(g, beta, 20, step=0.5),
        lambda g: nash_mirror_descent(g, beta, 20, step=0.5),
    ):
        policies = np.exp(run(game).log_policies)
        assert np.allclose(np.exp(run(game.relabelled(order)).log_policies), policies[:, order], rtol=1e-9, atol=1e-14)
        together = np.stack([np.bincount(original, weights=p) for p in np.exp(run(split).log_policies)])
        assert np.allclose(together, policies, rtol=1e-9, atol=1e-13)


def test_mirror_prox_reaches_the_equilibrium() -> None:
    for game, beta in ((rock_paper_scissors(logits=(0.5, 0.0, -0.5)), 0.05), (tight_pair(beta=0.03), 0.03)):
        star = solve_regularised(game, beta)
        run = nash_mirror_prox(game, beta, 1200)
        assert span(run.log_policies[-1] - star.log_policy) <= star.span_bound + 1e-11


def test_no_iterations_and_the_start() -> None:
    game = uniform(K=4, seed=1)
    for run in (nash_mirror_prox(game, 0.1, 0), hedge(game, 0, step=0.1)):
        assert run.log_policies.shape == (1, 4)
        assert np.allclose(run.log_policies[0], game.log_reference, rtol=0, atol=1e-15)
        assert run.queries.tolist() == [0]


def test_the_average_is_arithmetic() -> None:
    policies = normalise(np.random.default_rng(0).standard_normal((9, 5)))
    assert np.allclose(np.exp(average_policy(policies)), np.exp(policies).mean(axis=0), rtol=1e-14)


# --- oracles -----------------------------------------------------------------------------------------------------------


def test_oracles_count_every_query() -> None:
    game = uniform(K=3, seed=0)
    oracle = exact_oracle(game)
    nash_mirror_prox(oracle, 0.1, 7)
    assert oracle.queries == 14
    magnetic_mirror_descent(oracle, 0.1, 5, step=0.1)
    assert oracle.queries == 19
    assert np.allclose(oracle.query(game.log_reference), game.A @ np.exp(game.log_reference))
    assert oracle.queries == 20
    noisy = sampled_oracle(game, 10, 0, runs=3)
    run = nash_mirror_prox(noisy, 0.1, 7)
    assert noisy.queries == 14
    assert run.log_policies.shape == (8, 3, 3)
    assert run.queries[-1] == 14


def test_algorithms_see_the_matrix_through_the_counting_query_only() -> None:
    """No algorithm reads ``.A``; in the kernels the matrix is only handed on, and multiplied in ``ask``, which counts."""
    room = Path(inspect.getfile(games._kernels)).parent
    for name in ("dynamics", "mirror_descent", "mirror_prox", "prox"):
        tree = ast.parse((room / f"{name}.py").read_text(encoding="utf-8"))
        assert not [n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and n.attr in ("A", "_matrix")], name
    kernels = ast.parse((room / "_kernels.py").read_text(encoding="utf-8"))
    for function in (n for n in kernels.body if isinstance(n, ast.FunctionDef) and n.name != "ask"):
        uses = [n for n in ast.walk(function) if isinstance(n, ast.Name) and n.id == "matrix"]
        called = [n for n in ast.walk(function) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
        handed = [
            a
            for n in called
            if n.func.id == "ask"  # type: ignore[attr-defined]
            for a in n.args
            if isinstance(a, ast.Name) and a.id == "matrix"
        ]
        assert len(uses) == len(handed), function.name
        assert "short_product" not in [n.func.id for n in called], function.name  # type: ignore[attr-defined]


@pytest.mark.parametrize("flip", [0.0, 0.2, 1.0])
def test_the_sampled_oracle_has_the_right_mean_and_variance(flip: float) -> None:
    game, q, m, n = uniform(K=4, seed=6), np.array([0.1, 0.2, 0.3, 0.4]), 5, 40_000
    answers = sampled_oracle(game, m, 3, runs=n, flip=flip).query(np.log(np.tile(q, (n, 1))))
    assert answers.min() >= -0.5
    assert answers.max() <= 0.5
    assert np.allclose(answers * m + m / 2, np.round(answers * m + m / 2))
    mean = (1 - 2 * flip) * game.A @ q
    # one comparison is won with probability 1/2 + mean, whatever the opponent's law
    variance = (0.25 - mean**2) / m
    assert (np.abs(answers.mean(axis=0) - mean) < 6 * np.sqrt(variance / n)).all()
    assert answers.var(axis=0) == pytest.approx(variance, rel=6 * np.sqrt(2 / n))


def test_sampling_is_replayable() -> None:
    game = rock_paper_scissors()
    first, second, other = (nash_mirror_prox(sampled_oracle(game, 9, s, runs=4), 0.2, 30).log_policies for s in (1, 1, 2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first[:, 0], first[:, 1])
    alone = nash_mirror_prox(sampled_oracle(game, 9, 1), 0.2, 30)
    assert alone.log_policies.shape == (31, 3)


GAME = rock_paper_scissors()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nash_mirror_prox(GAME, 0.0, 5), "temperature"),
        (lambda: nash_mirror_prox(GAME, 0.1, 5, eta=-1.0), "eta"),
        (lambda: nash_mirror_prox(GAME, 0.1, -1), "iterations"),
        (lambda: nash_mirror_prox(GAME, 0.1, 5, every=0), "not 0"),
        (lambda: one_query_dynamics(exact_oracle(GAME), 0.1, 1.0, 0.0, 5, every=-1), "not -1"),
        (lambda: nash_mirror_prox(GAME, 0.1, 5, half_steps=3), "half_steps"),  # type: ignore[arg-type]
        (lambda: nash_mirror_prox(GAME, 0.1, 5, second_centre="there"), "second_centre"),  # type: ignore[arg-type]
        (lambda: nash_mirror_prox(GAME, 0.1, 5, start=[0.0, 0.0, 0.0]), "sum to probability 1"),
        (lambda: nash_mirror_prox(GAME, 0.1, 5, start=[0.0, 0.0]), r"shape \(2,\)"),
        (lambda: nash_mirror_prox(GAME, 0.1, 5, errors=np.zeros((4, 2, 3))), "do not fit 5 iterations"),
        (lambda: nash_mirror_prox(GAME, 0.1, 5, errors=np.nan), "finite"),
        (lambda: magnetic_mirror_descent(GAME, 0.1, 5, step=0.0), "step sizes"),
        (lambda: nash_mirror_descent(GAME, 0.5, 5, step=3.0), "not 1.5"),
        (lambda: inpo(GAME, 0.5, 5, step=3.0), "not 1.5"),
        (lambda: inpo(GAME, 0.5, 5, step=-1.0), "step sizes"),
        (lambda: inpo(GAME, 0.0, 5, step=1.0), "temperature"),
        (lambda: hedge(GAME, -5, step=1.0), "iterations"),
        (lambda: one_query_dynamics(exact_oracle(GAME), 0.0, 0.0, 0.0, 3), "positive sum"),
        (lambda: one_query_dynamics(exact_oracle(GAME), 0.0, 1.0, 1.5, 3), "mixture"),
        (lambda: prox([0.0], [0.0], [0.0], 0.0, 0.0), "positive sum"),
        (lambda: natural_gradient_prox([0.0], [0.0], [0.0], 0.0, 1.0, step=1.0, steps=-1), "inner steps"),
        (lambda: sampled_oracle(GAME, 0, 0), "at least one comparison"),
        (lambda: sampled_oracle(GAME, 5, 0, flip=1.5), "flipped"),
        (lambda: sampled_oracle(GAME, 5, 0).run_kernel(lambda *_: None), "exact oracle"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_a_game_can_be_large() -> None:
    game = PreferenceGame(np.zeros((300, 300)))
    assert span(nash_mirror_prox(game, 0.1, 3).log_policies).max() <= 1e-12


def test_a_far_reference_costs_no_accuracy() -> None:
    """Log-probabilities down to -75, followed for 300 iterations, against 50 digits: policy and exploitability."""
    beta, game = Decimal("0.01"), tilted(upper=(0.5, -0.5, 0.5), tilt=(-0.5, 0.0, 0.25), beta=0.01)
    half, zero = Decimal("0.5"), Decimal(0)
    A = [[zero, half, -half], [-half, zero, half], [half, -half, zero]]

    def normal(logs: list[Decimal]) -> list[Decimal]:
        total = sum(((x - max(logs)).exp() for x in logs), zero).ln() + max(logs)
        return [x - total for x in logs]

    def gains(logs: list[Decimal]) -> list[Decimal]:
        return [sum((a * x.exp() for a, x in zip(row, logs)), zero) for row in A]

    with localcontext(prec=50):
        mu = normal([-half / beta, zero, half * half / beta])

        def step(centre: list[Decimal], opponent: list[Decimal]) -> list[Decimal]:
            return normal([(2 * beta * m + c + 2 * g) / (1 + 2 * beta) for m, c, g in zip(mu, centre, gains(opponent))])

        policy = mu
        for _ in range(300):
            policy = step(policy, step(policy, policy))
        best = normal([m + g / beta for m, g in zip(mu, gains(policy))])
        value = float(beta * sum((p.exp() * (p - b) for p, b in zip(policy, best)), zero))
    found = nash_mirror_prox(game, 0.01, 300).log_policies[-1]
    assert found == pytest.approx([float(x) for x in policy], rel=1e-11)
    assert exploitability(game, 0.01, found) == pytest.approx(value, rel=1e-9)
