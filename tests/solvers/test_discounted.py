"""The discounted solvers against brute force, fractions, quantecon and each other; brackets, kernels, invariances, bad input."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import deterministic_policies, discounts, random_mdp, seeds

from mdplab.models import ModelError, TabularMDP, frozen_lake, garnet, inventory, river_swim, slippery_grid, taxi
from mdplab.solvers import _kernels as kernels
from mdplab.solvers import (
    anchor_weights,
    anchored_value_iteration,
    bellman_operator,
    eliminate_actions,
    evaluate_policy,
    exact_policy_iteration,
    linear_programming,
    macqueen_porteus,
    modified_policy_iteration,
    policy_iterates,
    policy_iteration,
    policy_operator,
    q_values,
    solve,
    value_iterates,
    value_iteration,
)
from mdplab.solvers.banded_evaluation import Band
from mdplab.solvers.bellman import BLOCKS, Sweeper

METHODS = ("value-iteration", "gauss-seidel", "policy-iteration", "modified-policy-iteration")


@pytest.mark.parametrize("method", METHODS)
@given(seed=seeds, ragged=st.booleans(), gamma=discounts)
@settings(max_examples=25, deadline=None)
def test_the_bracket_holds_the_exact_value(method: str, seed: int, ragged: bool, gamma: float) -> None:
    mdp = random_mdp(seed, states=4, gamma=gamma, ragged=ragged)
    exact = exact_policy_iteration(mdp)
    found = solve(mdp, 1e-8, method)  # type: ignore[arg-type]
    truth = exact.value.astype(float)
    # the twin's rows sum to exactly 1; float_distance bounds what that changes
    room = float(exact.float_distance) + 1e-15 * (1 + np.abs(truth).max())
    assert (found.lower <= truth + room).all()
    assert (truth <= found.upper + room).all()
    assert found.width <= 1e-8
    assert (found.lower <= found.value).all()
    assert (found.value <= found.upper).all()
    assert (evaluate_policy(mdp, found.policy).upper >= found.lower).all()


@given(seed=seeds, ragged=st.booleans())
@settings(max_examples=10, deadline=None)
def test_the_linear_program_agrees_and_its_gap_closes(seed: int, ragged: bool) -> None:
    mdp = random_mdp(seed, states=5, gamma=0.9, ragged=ragged)
    found = linear_programming(mdp, 1e-6)
    other = policy_iteration(mdp, 1e-9)
    assert (found.lower <= other.upper).all()
    assert (other.lower <= found.upper).all()
    assert found.gap <= 1e-8 * (1 + abs(found.primal_objective))
    assert found.occupancy.sum() == pytest.approx(10.0, rel=1e-8)
    assert found.occupancy @ mdp.reward == pytest.approx(found.dual_objective)


@given(seed=seeds)
@settings(max_examples=15, deadline=None)
def test_no_deterministic_policy_is_better(seed: int) -> None:
    mdp = random_mdp(seed, states=3, actions=2, gamma=0.9, ragged=True)
    best = np.max([evaluate_policy(mdp, p).lower for p in deterministic_policies(mdp)], axis=0)
    found = solve(mdp, 1e-9)
    assert (best <= found.upper).all()
    assert (found.lower <= best + 1e-9).all()


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_relabelling_shaping_scaling_and_monotonicity(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mdp = random_mdp(seed, states=5, gamma=0.9)
    P, R = mdp.dense() if mdp.is_rectangular else (None, None)
    assert P is not None
    assert R is not None
    base = solve(mdp, 1e-10).value
    order = rng.permutation(5)
    relabelled = TabularMDP.from_dense(P[order][:, :, order], R[order], 0.9)
    assert np.allclose(solve(relabelled, 1e-10).value, base[order], atol=1e-9)
    phi = rng.normal(size=5)
    shaped = TabularMDP.from_dense(P, R + 0.9 * P @ phi - phi[:, None], 0.9)
    assert np.allclose(solve(shaped, 1e-10).value, base - phi, atol=1e-9)
    assert np.allclose(solve(mdp.replace(reward=3 * mdp.reward + 0.5), 1e-10).value, 3 * base + 5, atol=1e-8)
    more = solve(mdp.replace(reward=mdp.reward + rng.random(mdp.pairs)), 1e-10)
    assert (more.upper >= base - 1e-9).all()


def test_kernels_equal_their_plain_twins() -> None:
    mdp = garnet(S=37, A=3, b=4, gamma=0.9, ragged=True, seed=5)
    rng = np.random.default_rng(0)
    value = rng.normal(size=mdp.states)
    q = mdp.reward + mdp.gamma * (mdp.transition_matrix() @ value)
    pairs = [range(mdp.state_pointer[s], mdp.state_pointer[s + 1]) for s in range(mdp.states)]
    plain = np.array([max(q[n] for n in own) for own in pairs])
    sweeper = Sweeper(mdp)
    backed = sweeper.backup(value)
    assert np.allclose(backed, plain, rtol=1e-14)
    assert np.array_equal(sweeper.policy, [max(own, key=lambda n: (q[n], -n)) for own in pairs])
    assert sweeper.extremes == ((backed - value).min(), (backed - value).max())
    assert np.allclose(q_values(mdp, value), q, rtol=1e-14)
    # Gauss-Seidel with self-loops solved for, in both directions
    P = mdp.transition_matrix().toarray()
    for forward in (True, False):
        twin, swept = value.copy(), value.copy()
        for s in range(mdp.states) if forward else reversed(range(mdp.states)):
            options = []
            for n in pairs[s]:
                away = P[n] @ twin - P[n, s] * twin[s]
                options.append((mdp.reward[n] + mdp.gamma * away) / (1 - mdp.gamma * P[n, s]))
            twin[s] = max(options)
        sweeper.improve(swept, np.empty_like(swept), forward)
        assert np.allclose(swept, twin, rtol=1e-12)
    sweeper.restrict()
    twin, swept = value.copy(), value.copy()
    for s in range(mdp.states):
        n = sweeper.policy[s]
        away = P[n] @ twin - P[n, s] * twin[s]
        twin[s] = (mdp.reward[n] + mdp.gamma * away) / (1 - mdp.gamma * P[n, s])
    span = sweeper.evaluate(swept, np.empty_like(swept), forward=True)
    assert np.allclose(swept, twin, rtol=1e-12)
    assert span == pytest.approx(np.ptp(twin - value))
    # Jacobi sweeps of the policy: two, then until the span of the change has halved
    once = mdp.reward[sweeper.policy] + mdp.gamma * P[sweeper.policy] @ value
    twice = mdp.reward[sweeper.policy] + mdp.gamma * P[sweeper.policy] @ once
    newest, before, sweeps, first, last = sweeper.follow(value.copy(), np.empty_like(value), 0.0, 2)
    assert sweeps == 2
    assert np.allclose(before, once, rtol=1e-13)
    assert np.allclose(newest, twice, rtol=1e-13)
    assert first == pytest.approx(np.ptp(once - value))
    assert last == pytest.approx(np.ptp(twice - once))
    assert sweeper.follow(value.copy(), np.empty_like(value), 1.0, 9)[2] == 1


@pytest.mark.parametrize(("blocks", "kind"), [(1, "serial"), (4, "parallel")])
def test_kernels_of_anderson_mixing_equal_their_plain_twins(blocks: int, kind: str) -> None:
    rng = np.random.default_rng(0)
    S, depth, slot = 50, 5, 1
    image, value, old_image, old_change = rng.normal(size=(4, S))
    images, changes = rng.normal(size=(2, depth, S))
    change, sums, sizes = np.empty(S), np.empty((blocks, 2 * depth)), np.empty(blocks)
    record, mix = getattr(kernels, f"record_{kind}"), getattr(kernels, f"mix_{kind}")
    record(image, value, old_image, old_change, change, images, changes, slot, 3, sums, sizes)
    assert np.array_equal(change, image - value)
    assert np.array_equal(changes[slot], change - old_change)
    assert np.array_equal(images[slot], image - old_image)
    assert sizes.max() == np.abs(change).max()
    assert np.allclose(sums.sum(axis=0)[:6], [*(changes[:3] @ changes[slot]), *(changes[:3] @ change)])
    weights = rng.normal(size=3)
    mix(image, images, weights, value, blocks)
    assert np.allclose(value, image - weights @ images[:3])


@given(seed=seeds, ragged=st.booleans())
@settings(max_examples=20, deadline=None)
def test_elimination_within_the_band_equals_a_dense_solve(seed: int, ragged: bool) -> None:
    rng = np.random.default_rng(seed)
    for mdp in (random_mdp(seed, states=7, gamma=0.99, ragged=ragged), inventory(capacity=40, gamma=0.999), river_swim(S=9)):
        band = Band.of(mdp)
        assert band is not None
        sweeper = Sweeper(mdp)
        sweeper.policy[:] = rng.integers(mdp.state_pointer[:-1], mdp.state_pointer[1:])
        value = np.empty(mdp.states)
        band.evaluate(sweeper, value)
        P = mdp.transition_matrix().toarray()[sweeper.policy]
        exact = np.linalg.solve(np.eye(mdp.states) - mdp.gamma * P, mdp.reward[sweeper.policy])
        assert np.allclose(value, exact, rtol=1e-9, atol=1e-9)
    assert Band.of(garnet(S=2000, A=3, b=3)) is None


def test_parallel_sweeps_equal_serial_ones_block_by_block() -> None:
    mdp = garnet(S=500, A=3, b=3, gamma=0.95, seed=1)
    value = np.random.default_rng(2).normal(size=500)
    one, many = Sweeper(mdp), Sweeper(mdp)
    many.parallel = True
    many.low, many.high, many.changed = np.empty(BLOCKS), np.empty(BLOCKS), np.empty(BLOCKS, dtype=np.int64)
    assert np.array_equal(one.backup(value), many.backup(value))
    assert np.array_equal(one.policy, many.policy)
    assert one.extremes == many.extremes
    ends = [w.follow(value.copy(), np.empty(500), 0.1, 30) for w in (one, many)]
    assert ends[0][2:] == ends[1][2:]
    assert np.array_equal(ends[0][0], ends[1][0])
    # across blocks the parallel sweep reads old values only: a twin with the same blocks
    swept, twin = value.copy(), value.copy()
    many.improve(swept, np.empty(500), forward=True)
    P = mdp.transition_matrix().toarray()
    for k in range(BLOCKS):
        lo, hi = k * 500 // BLOCKS, (k + 1) * 500 // BLOCKS
        mixed = value.copy()
        for s in range(lo, hi):
            best = -np.inf
            for n in range(mdp.state_pointer[s], mdp.state_pointer[s + 1]):
                away = P[n] @ mixed - P[n, s] * mixed[s]
                best = max(best, (mdp.reward[n] + mdp.gamma * away) / (1 - mdp.gamma * P[n, s]))
            mixed[s] = best
        twin[lo:hi] = mixed[lo:hi]
    assert np.allclose(swept, twin, rtol=1e-12)


@pytest.mark.parametrize("gamma", [0.9, 0.999])
def test_large_models_and_quantecon_agree(gamma: float, quantecon: Any) -> None:
    markov = quantecon.markov
    from scipy.sparse import csr_matrix

    for mdp in (
        garnet(S=300, A=4, b=3, gamma=gamma),
        inventory(capacity=60, gamma=gamma),
        slippery_grid(rows=9, columns=9, gamma=gamma),
    ):
        problem = markov.DiscreteDP(
            mdp.reward, csr_matrix(mdp.transition_matrix()), mdp.gamma, mdp.pair_state.astype(int), mdp.action.astype(int)
        )
        peer = problem.solve(method="policy_iteration")
        found = solve(mdp, 1e-7)
        assert np.allclose(found.value, peer.v, atol=1e-6)


def test_real_models() -> None:
    lake = solve(frozen_lake(map_name="4x4", gamma=0.99), 1e-9)
    assert lake.value[0] == pytest.approx(0.5420259, abs=1e-6)
    for method in METHODS:
        assert solve(taxi(gamma=0.9), 1e-8, method).value.max() == pytest.approx(20.0)  # type: ignore[arg-type]
    swim = solve(river_swim(S=6, gamma=0.95), 1e-9)
    assert (swim.policy % 2 == 1).all()


def test_tables_of_bounds() -> None:
    mdp = garnet(S=20, A=3, b=3, gamma=0.9, seed=3)
    truth = solve(mdp, 1e-11)
    for v in value_iterates(mdp, 12):
        tv = bellman_operator(mdp, v)
        low, high = macqueen_porteus(v, tv, 0.9)
        assert (low <= truth.upper + 1e-12).all()
        assert (truth.lower <= high + 1e-12).all()
        q_high = mdp.reward + 0.9 * (mdp.transition_matrix() @ high)
        gone = eliminate_actions(mdp, q_high, low)
        assert not gone[truth.policy].any()
    assert gone.any()


@pytest.mark.parametrize("sweep", ["jacobi", "gauss-seidel"])
def test_elimination_of_actions_changes_nothing_but_the_work(sweep: str) -> None:
    for mdp in (garnet(S=30, A=12, b=3, gamma=0.99, ragged=True, seed=2), frozen_lake(map_name="4x4", gamma=0.99)):
        found = [value_iteration(mdp, 1e-8, sweep=sweep, eliminate=e) for e in (True, False)]  # type: ignore[arg-type]
        assert found[0].iterations == found[1].iterations
        assert np.allclose(found[0].value, found[1].value, atol=1e-9)
        assert (mdp.pair_state[found[0].policy] == np.arange(mdp.states)).all()
        assert np.abs(evaluate_policy(mdp, found[0].policy).value - found[1].value).max() <= 2e-8


def test_operators_and_iterates() -> None:
    mdp = garnet(S=12, A=2, b=3, gamma=0.9, seed=4)
    values = value_iterates(mdp, 5, start=np.ones(12))
    assert np.array_equal(values[0], np.ones(12))
    assert np.array_equal(values[3], bellman_operator(mdp, values[2]))
    policy = mdp.state_pointer[:-1]
    fixed = evaluate_policy(mdp, policy).value
    assert np.allclose(policy_operator(mdp, policy, fixed), fixed)
    iterates = policy_iterates(mdp)
    assert (np.diff(iterates.values, axis=0) >= -1e-12).all()
    assert np.allclose(iterates.values[-1], solve(mdp, 1e-10).value, atol=1e-9)


def test_anchored_value_iteration_by_hand() -> None:
    weights = anchor_weights(0.5, 3)
    assert np.allclose(weights, [1 / 5, 1 / 21, 1 / 85])
    assert np.allclose(anchor_weights(1.0, 3), [1 / 2, 1 / 3, 1 / 4])
    mdp = garnet(S=4, A=2, b=2, gamma=0.5, seed=1)
    found = anchored_value_iteration(mdp, 3, start=np.ones(4))
    u1 = weights[0] * np.ones(4) + (1 - weights[0]) * bellman_operator(mdp, np.ones(4))
    assert np.allclose(found.values[1], u1)
    assert found.residuals[1] == pytest.approx(np.abs(bellman_operator(mdp, u1) - u1).max())


def test_the_same_numbers_on_any_number_of_threads() -> None:
    import numba

    mdp = garnet(S=60_000, A=3, b=3, gamma=0.99, seed=9)
    assert Sweeper(mdp).parallel
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        one = solve(mdp, 1e-6)
    finally:
        numba.set_num_threads(before)
    assert np.array_equal(one.value, solve(mdp, 1e-6).value)


@pytest.mark.parametrize("method", [*METHODS, "linear-programming"])
def test_bad_input_is_told(method: str) -> None:
    with pytest.raises(ModelError, match="discount below 1"):
        solve(garnet(gamma=1.0), 1e-6, method)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="must be positive"):
        solve(garnet(), 0.0, method)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"float64|linear program"):
        solve(garnet(gamma=0.99), 1e-17, method)  # type: ignore[arg-type]


def test_more_bad_input_is_told() -> None:
    mdp = garnet()
    with pytest.raises(ModelError, match="no method"):
        solve(mdp, 1e-6, "guessing")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="shape"):
        bellman_operator(mdp, np.zeros(3))
    with pytest.raises(ModelError, match="within 2"):
        value_iteration(mdp, 1e-9, max_iterations=2)
    with pytest.raises(ModelError, match="jacobi"):
        value_iteration(mdp, sweep="sideways")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="one step"):
        modified_policy_iteration(mdp, steps=0)
    with pytest.raises(ModelError, match=r"\[0, 1\)"):
        macqueen_porteus([0.0], [1.0], 1.0)
