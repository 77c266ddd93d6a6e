"""Robust solvers: inner problems against conic and linear programs, values against brute force, properties, bad input."""

import itertools

import cvxpy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import random_mdp, random_policy, seeds
from scipy.optimize import linprog

from mdplab.models import ModelError, TabularMDP, garnet
from mdplab.models.robust import RobustBallMDP, RobustKernelSet, RobustPolytopeMDP, RobustStatePolytopeMDP
from mdplab.models.robust_families import random_kernels, random_polytope, random_state_polytope
from mdplab.solvers import bellman_operator, evaluate_policy, policy_iteration
from mdplab.solvers._kernels_robust import l1_backup
from mdplab.solvers.inner_problems import worst_chi_square, worst_kl, worst_l1, worst_vertex
from mdplab.solvers.policy import as_probabilities
from mdplab.solvers.robust import (
    robust_evaluation,
    robust_operator,
    robust_policy_iteration,
    robust_value_iteration,
    static_optimum,
    worst_kernel,
)

SOLVERS = [robust_value_iteration, robust_policy_iteration]
DISTANCES = {"l1": worst_l1, "kl": worst_kl, "chi-square": worst_chi_square}
balls = st.sampled_from([("l1", "nominal"), ("l1", "all"), ("tv", "nominal"), ("kl", "nominal"), ("chi-square", "nominal")])
radii = st.sampled_from([0.0, 1e-6, 0.05, 0.3, 0.9])


def rows(seed: int, count: int, B: int, concentration: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Nominal rows with a place of probability 0 at the end, and values of quite different sizes."""
    rng = np.random.default_rng(seed)
    q = np.maximum(rng.dirichlet(np.full(B, concentration), size=count), 1e-8)
    q = np.column_stack((q / q.sum(axis=1, keepdims=True), np.zeros(count)))
    return q, rng.normal(size=(count, B + 1)) * rng.choice([1e-3, 1.0, 1e3], size=(count, 1))


def distance(name: str, p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The distance of the rows p from the rows q."""
    inside = q > 0
    safe = np.where(inside, q, 1.0)
    if name == "l1":
        return np.abs(p - q).sum(axis=1)
    if name == "kl":
        return np.where(inside & (p > 0), p * np.log(np.where(p > 0, p, 1.0) / safe), 0.0).sum(axis=1)
    return np.where(inside, (p - q) ** 2 / safe, 0.0).sum(axis=1)


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize("radius", [0.0, 1e-12, 1e-6, 0.01, 0.5, 2.0])
def test_inner_brackets_are_narrow_and_their_rows_feasible(name, radius):
    """The bracket is some units of rounding wide; the row lies in the ball and is worth the upper end."""
    for B in (1, 2, 7, 40):
        q, v = rows(B, 50, B)
        found = DISTANCES[name](q, v, np.full(50, radius))
        size = np.abs(v).max(axis=1)
        assert (found.upper - found.lower <= 2e-13 * size).all()
        assert (found.row >= 0).all()
        assert np.allclose(found.row.sum(axis=1), 1, atol=1e-14)
        assert (found.row[:, -1] == 0).all()
        assert (distance(name, found.row, q) <= radius + 1e-10).all()
        assert (np.abs((found.row * v).sum(axis=1) - found.upper) <= 2e-13 * size).all()
        assert (found.lower <= (q * v).sum(axis=1)).all()


@pytest.mark.parametrize("name", DISTANCES)
def test_inner_problems_against_programs(name):
    """cvxpy solves the primal problem; the answers agree to its accuracy."""
    q, v = rows(4, 6, 4)
    q, v = q[:, :-1], v[:, :-1] / np.abs(v).max(axis=1, keepdims=True)
    for radius in (0.05, 0.6, 1.5):
        found = DISTANCES[name](q, v, np.full(6, radius))
        for k in range(6):
            p = cvxpy.Variable(4, nonneg=True)
            away = {
                "l1": cvxpy.norm1(p - q[k]),
                "kl": cvxpy.sum(cvxpy.rel_entr(p, q[k])),
                "chi-square": cvxpy.sum_squares(cvxpy.multiply(p - q[k], q[k] ** -0.5)),
            }[name]
            problem = cvxpy.Problem(cvxpy.Minimize(v[k] @ p), [cvxpy.sum(p) == 1, away <= radius])
            assert found.lower[k] == pytest.approx(problem.solve(solver="CLARABEL"), abs=3e-6)


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from(list(DISTANCES)), st.sampled_from([1e-6, 0.01, 0.4, 1.9]), st.integers(1, 6))
def test_no_feasible_row_is_below_the_bracket(seed, name, radius, B):
    """Random rows, moved towards q until they are feasible, are worth at least the lower end."""
    rng = np.random.default_rng(seed)
    q, v = rows(seed, 1, B)
    found = DISTANCES[name](q, v, np.array([radius]))
    others = np.column_stack((rng.dirichlet(np.full(B, 0.2), size=200), np.zeros(200)))
    for share in (1.0, 0.3, 0.03, 0.001):
        p = share * others + (1 - share) * q
        feasible = distance(name, p, q) <= radius
        assert (p[feasible] @ v[0] >= found.lower[0] - 1e-12 * np.abs(v).max()).all()


def test_inner_answers_by_hand():
    """Mass 1/4 from 3 to 0; a coin of KL ball ln 2 and of chi-square ball 1 becomes certain; half of that ball."""
    q, v = np.array([[0.5, 0.5]]), np.array([[0.0, 3.0]])
    assert worst_l1(q, v, np.array([0.5])).upper[0] == pytest.approx(0.75, abs=1e-12)
    assert worst_kl(q, v, np.array([np.log(2)])).upper[0] == pytest.approx(0.0, abs=1e-12)
    assert worst_chi_square(q, v, np.array([1.0])).upper[0] == pytest.approx(0.0, abs=1e-12)
    assert worst_chi_square(q, v, np.array([0.25])).upper[0] == pytest.approx(0.75, abs=1e-12)
    found = worst_l1(np.array([[1.0, 0.0]]), np.array([[3.0, 1.0]]), np.array([1.0]), anywhere=True)
    assert found.row.tolist() == [[0.5, 0.5]]


def test_worst_vertices():
    """The first vertex of least value."""
    least, choice = worst_vertex(np.array([[[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]]), np.array([2.0, 1.0]))
    assert (least.tolist(), choice.tolist()) == ([1.0], [1])


@settings(max_examples=25, deadline=None)
@given(seeds, st.floats(0, 2), st.booleans())
def test_the_compiled_sweep_equals_its_twin(seed, radius, anywhere):
    """The twin sorts the values of each row."""
    mdp = random_mdp(seed, states=6, ragged=True)
    value = np.round(np.random.default_rng(seed).normal(size=6), 1)  # with ties
    floor = value.min() if anywhere else np.inf
    out, policy = np.empty(6), np.empty(6, dtype=np.int64)
    pointers = mdp.state_pointer.view(np.uint64), mdp.row_pointer.view(np.uint64), mdp.next_state.view(np.uint32)
    half = np.full(mdp.pairs, radius / 2)
    ends = l1_backup(*pointers, mdp.probability, mdp.reward, mdp.gamma, half, floor, value, out, policy)
    q = []
    for n in range(mdp.pairs):
        part = slice(mdp.row_pointer[n], mdp.row_pointer[n + 1])
        p, v = mdp.probability[part].copy(), value[mdp.next_state[part]]
        left = radius / 2
        for j in np.argsort(-v):
            taken = min(p[j], left)
            p[j], left = p[j] - taken, left - taken
        q.append(mdp.reward[n] + mdp.gamma * (p @ v + (radius / 2 - left) * min(v.min(), floor)))
    expected = np.maximum.reduceat(q, mdp.state_pointer[:-1])
    assert np.allclose(out, expected, atol=1e-13)
    assert np.allclose(np.array(q)[policy], expected, atol=1e-13)
    assert ends == (min(out - value), max(out - value))


def all_values(model: RobustPolytopeMDP | RobustStatePolytopeMDP) -> np.ndarray:
    """V_T^pi of every deterministic policy and every kernel of vertices, float (policies, kernels, S)."""
    S, A = model.reward.shape
    shape, K = ((S, A), model.vertices.shape[2]) if isinstance(model, RobustPolytopeMDP) else ((S,), model.vertices.shape[1])
    kernels = [model.kernel(np.reshape(c, shape)) for c in itertools.product(range(K), repeat=int(np.prod(shape)))]
    policies = [np.arange(S) * A + np.array(c) for c in itertools.product(range(A), repeat=S)]
    return np.array([[evaluate_policy(kernel, policy).value for kernel in kernels] for policy in policies])


@pytest.mark.parametrize("solver", SOLVERS)
def test_polytopes_against_brute_force(solver):
    """Every policy against every kernel: the robust optimum, its policy, its worst kernel."""
    for seed in range(3):
        model = random_polytope(S=2, A=2, K=2, gamma=0.8, seed=seed)
        values = all_values(model)
        expected = values.min(axis=1).max(axis=0)
        found = solver(model, 1e-10)
        assert found.width <= 1e-10
        assert (found.lower <= expected).all()
        assert (expected <= found.upper).all()
        assert np.allclose(robust_evaluation(model, found.policy).value, expected, atol=1e-8)
        assert np.allclose(policy_iteration(found.worst).value, expected, atol=1e-8)


def test_state_polytopes_against_a_grid_of_policies():
    """The best of 51 x 51 randomised policies against all joint vertices comes close from below, never above."""
    model = random_state_polytope(S=2, A=2, K=3, gamma=0.8, concentration=0.0, seed=9)
    found = robust_policy_iteration(model, 1e-9)
    grid = np.linspace(0, 1, 51)
    policies = np.array([[[x, 1 - x], [y, 1 - y]] for x in grid for y in grid])
    rows_of = np.array([[model.vertices[s, c[s]] for s in range(2)] for c in itertools.product(range(3), repeat=2)])
    chains = np.einsum("psa,ksat->pkst", policies, rows_of)
    earned = np.broadcast_to((policies * model.reward).sum(axis=2)[:, None, :, None], (*chains.shape[:3], 1))
    values = np.linalg.solve(np.eye(2) - 0.8 * chains, earned)[..., 0].min(axis=1)
    assert (values <= found.upper + 1e-12).all()
    assert np.allclose(values.max(axis=0), found.value, atol=0.02)
    assert (values.max(axis=0) > all_values(model).min(axis=1).max(axis=0) + 0.2).any()  # randomising helps here
    assert np.allclose(robust_value_iteration(model, 1e-6).value, found.value, atol=1e-6)
    assert np.allclose(robust_evaluation(model, found.policy).value, found.value, atol=1e-8)


def test_state_steps_against_another_program():
    """One backward step is a matrix game in each state: the adversary's linear program has the same value."""
    model = random_state_polytope(S=3, A=3, K=4, seed=2)
    value = np.arange(3.0)
    for s, found in enumerate(robust_operator(model, value)):
        game = model.reward[s] + model.gamma * (model.vertices[s] @ value)  # (K, A), the adversary mixes rows
        program = linprog(
            np.append(np.zeros(4), 1.0),
            A_ub=np.column_stack((game.T, -np.ones(3))),
            b_ub=np.zeros(3),
            A_eq=[[1.0] * 4 + [0.0]],
            b_eq=[1.0],
            bounds=[(0, None)] * 4 + [(None, None)],
        )
        assert found == pytest.approx(program.fun, abs=1e-9)


@settings(max_examples=15, deadline=None)
@given(seeds, balls, radii)
def test_both_algorithms_agree_on_balls(seed, ball, radius):
    """The brackets of value and policy iteration meet, and the policy is worth its bracket."""
    model = RobustBallMDP(random_mdp(seed, states=4, gamma=0.7, ragged=True), ball[0], radius, ball[1])
    first, second = robust_value_iteration(model, 1e-8), robust_policy_iteration(model, 1e-8)
    assert (first.lower <= second.upper).all()
    assert (second.lower <= first.upper).all()
    worst = robust_evaluation(model, first.policy)
    assert (worst.upper >= first.lower).all()
    assert np.allclose(policy_iteration(second.worst).value, second.value, atol=1e-7)


@settings(max_examples=15, deadline=None)
@given(seeds, balls)
def test_radius_zero_is_the_nominal_model(seed, ball):
    """Optimum and value of a policy."""
    mdp = random_mdp(seed, states=4, gamma=0.8, ragged=True)
    model = RobustBallMDP(mdp, ball[0], 0.0, ball[1])
    assert np.allclose(robust_policy_iteration(model).value, policy_iteration(mdp).value, atol=1e-7)
    policy = random_policy(mdp, seed)
    assert np.allclose(robust_evaluation(model, policy).value, evaluate_policy(mdp, policy).value, atol=1e-7)
    value = np.random.default_rng(seed).normal(size=4)
    assert np.allclose(robust_operator(model, value), bellman_operator(mdp, value), atol=1e-12)


@pytest.mark.parametrize("support", ["nominal", "all"])
def test_radius_two_reaches_every_next_state(support):
    """An L1 ball of radius 2 leads to the least next value: of the row's support, or of all states."""
    mdp = random_mdp(5, states=6, gamma=0.8)
    worst = np.zeros(6)
    for _ in range(200):
        within = np.minimum.reduceat(worst[mdp.next_state], mdp.row_pointer[:-1])
        least = within if support == "nominal" else np.full(mdp.pairs, worst.min())
        worst = np.maximum.reduceat(mdp.reward + 0.8 * least, mdp.state_pointer[:-1])
    for name, radius in (("l1", 2.0), ("tv", 1.0)):
        assert np.allclose(robust_value_iteration(RobustBallMDP(mdp, name, radius, support)).value, worst, atol=1e-7)


@settings(max_examples=15, deadline=None)
@given(seeds, balls, st.integers(1, 20), st.integers(-5, 5))
def test_rewards_scale_and_shift(seed, ball, factor, shift):
    """V of factor R + shift is factor V + shift / (1 - gamma)."""
    mdp = random_mdp(seed, states=4, gamma=0.5)
    moved = mdp.replace(reward=factor * mdp.reward + shift)
    first, second = (robust_policy_iteration(RobustBallMDP(m, ball[0], 0.2, ball[1]), 1e-7).value for m in (mdp, moved))
    assert np.allclose(second, factor * first + 2 * shift, atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(seeds, st.permutations(range(4)), st.permutations(range(3)))
def test_relabelling(seed, states, vertices):
    """Renaming states and vertices renames the values."""
    model = random_polytope(S=4, A=2, K=3, gamma=0.7, seed=seed)
    order = np.array(states)
    renamed = RobustPolytopeMDP(model.vertices[order][:, :, list(vertices)][..., order], model.reward[order], 0.7)
    assert np.allclose(robust_policy_iteration(renamed).value, robust_policy_iteration(model).value[order], atol=1e-7)


@settings(max_examples=15, deadline=None)
@given(seeds, balls, st.sampled_from([0.01, 0.1, 0.4]), st.sampled_from([1.0, 1.1, 2.0]))
def test_larger_balls_are_worse(seed, ball, radius, factor):
    """Values fall with the radius, and with the support."""
    mdp = random_mdp(seed, states=4, gamma=0.7)
    small = robust_policy_iteration(RobustBallMDP(mdp, ball[0], radius, ball[1]))
    large = robust_policy_iteration(RobustBallMDP(mdp, ball[0], factor * radius, ball[1]))
    assert (large.lower <= small.upper).all()
    if ball[1] == "all":
        inside = robust_policy_iteration(RobustBallMDP(mdp, ball[0], radius))
        assert (small.lower <= inside.upper).all()


def test_the_four_kinds_of_sets_agree_where_they_are_the_same():
    """One kernel; and an L1 ball around a row of two places, whose vertices can be written down."""
    kernels = random_kernels(S=3, A=2, K=1, gamma=0.8, seed=4)
    expected = policy_iteration(kernels.kernel(0)).value
    for model in (kernels.hull(), kernels.state_hull(), RobustBallMDP(kernels.kernel(0), "l1", 0.0)):
        assert np.allclose(robust_policy_iteration(model).value, expected, atol=1e-7)
    assert static_optimum(kernels).value == pytest.approx(expected.mean(), abs=1e-7)
    mdp = random_mdp(1, states=2, gamma=0.8)
    P, R = mdp.dense()
    moved = np.clip(P[..., :1] + np.array([-0.1, 0.1]), 0, 1)
    inside = np.where((P[..., :1] == 0) | (P[..., :1] == 1), P[..., :1], moved)  # the support is the nominal one
    polytope = RobustPolytopeMDP(np.stack((inside, 1 - inside), axis=-1), R, 0.8)
    ball = RobustBallMDP(mdp, "l1", 0.2)
    assert np.allclose(robust_policy_iteration(polytope).value, robust_policy_iteration(ball).value, atol=1e-7)


def test_worst_kernels():
    """The rows that are worst for a value, with and without a policy."""
    model = random_polytope(S=3, A=2, K=4, seed=8)
    value = np.array([1.0, 0.0, 2.0])
    P, _ = worst_kernel(model, value).dense()
    assert np.array_equal(P @ value, (model.vertices @ value).min(axis=2))
    joint = random_state_polytope(S=3, A=2, K=4, seed=8)
    P, _ = worst_kernel(joint, value, [0, 2, 4]).dense()
    assert np.array_equal(P[:, 0] @ value, (joint.vertices[:, :, 0] @ value).min(axis=1))
    ball = RobustBallMDP(garnet(S=20, A=2, b=4, seed=3), "l1", 0.4, "all")
    worst = worst_kernel(ball, np.arange(20.0))
    apart = np.abs((worst.transition_matrix() - ball.mdp.transition_matrix()).toarray()).sum(axis=1)
    assert (apart <= 0.4 + 1e-12).all()
    assert np.allclose(bellman_operator(worst, np.arange(20.0)), robust_operator(ball, np.arange(20.0)), atol=1e-12)


def test_static_optimum_against_loops():
    """Every policy in every kernel, one at a time, with a start law."""
    model = random_kernels(S=3, A=2, K=3, gamma=0.8, seed=6)
    law = np.array([0.2, 0.5, 0.3])
    best = -np.inf
    for actions in itertools.product(range(2), repeat=3):
        policy = 2 * np.arange(3) + np.array(actions)
        best = max(best, min(law @ evaluate_policy(model.kernel(k), policy).value for k in range(3)))
    found = static_optimum(model, law)
    assert found.value == pytest.approx(best, abs=1e-12)
    assert found.value == found.values.min()
    assert found.error <= 1e-12
    given = RobustKernelSet(model.kernels, model.reward, 0.8, law)
    assert static_optimum(given).value == found.value


def test_long_rows_are_sorted_and_short_rows_compiled():
    """Dense rows of more than 64 places take the other path; the two agree on rows of 64."""
    mdp = garnet(S=80, A=2, b=60, gamma=0.8, seed=2)
    P, R = mdp.dense()
    full = TabularMDP.from_dense(0.999999 * P + 0.000001 / 80, R, 0.8)
    value = np.random.default_rng(0).normal(size=80)
    short, long = (robust_operator(RobustBallMDP(m, "l1", 0.7, "all"), value) for m in (mdp, full))
    assert np.allclose(short, long, atol=1e-4)
    q, v = P.reshape(160, 80), np.broadcast_to(value, (160, 80))
    found = worst_l1(q, v, np.full(160, 0.7), anywhere=True)
    expected = np.maximum.reduceat(R.ravel() + 0.8 * found.upper, np.arange(0, 160, 2))
    assert np.allclose(short, expected, atol=1e-12)


def test_policies_as_pairs_or_probabilities():
    """The same policy in all forms is worth the same."""
    model = random_polytope(S=3, A=2, K=2, seed=1)
    frame = model.kernel(np.zeros((3, 2), dtype=int))
    pairs = np.array([1, 2, 4])
    first = robust_evaluation(model, pairs)
    for other in (as_probabilities(frame, pairs), as_probabilities(frame, pairs).reshape(3, 2)):
        assert np.array_equal(robust_evaluation(model, other).value, first.value)
    assert np.allclose(evaluate_policy(first.worst, pairs).value, first.value, atol=1e-8)
    assert first.width <= 1e-8


@pytest.mark.parametrize("solver", SOLVERS)
def test_solvers_refuse_what_they_cannot_do(solver):
    """One sentence each."""
    model = random_polytope(S=2, A=2, K=2)
    with pytest.raises(ModelError, match=r"a discounted solver needs a discount below 1, but this model's is 1\.0"):
        solver(random_polytope(gamma=1.0))
    with pytest.raises(ModelError, match="the tolerance is 0; it must be positive"):
        solver(model, 0)
    with pytest.raises(ModelError, match="float64 can"):
        solver(model, 1e-17)
    with pytest.raises(ModelError, match="a robust solver needs a rectangular model, not a RobustKernelSet"):
        solver(random_kernels())
    with pytest.raises(ModelError, match="did not reach a bracket of 1e-08 within 1"):
        solver(random_polytope(S=6, A=3, gamma=0.99, seed=3), max_iterations=1)


def test_operators_refuse_what_does_not_fit():
    """Values, policies, too many policies."""
    model = random_polytope(S=2, A=2, K=2)
    with pytest.raises(ModelError, match=r"a value of this model has shape \(2,\), not \(3,\)"):
        robust_operator(model, np.zeros(3))
    with pytest.raises(ModelError, match=r"a value of this model has shape \(2,\), not \(3,\)"):
        robust_value_iteration(model, start=np.zeros(3))
    with pytest.raises(ModelError, match="a deterministic policy of this model has shape"):
        robust_evaluation(model, [0])
    with pytest.raises(ModelError, match="the worst kernel of an s-rectangular set depends on the policy"):
        worst_kernel(random_state_polytope(), np.zeros(4))
    with pytest.raises(ModelError, match=r"2\^18 deterministic policies are too many to try"):
        static_optimum(random_kernels(S=18))
    with pytest.raises(ModelError, match="float64 can"):
        robust_evaluation(model, [0, 2], 1e-17)
