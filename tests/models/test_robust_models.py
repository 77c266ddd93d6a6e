"""Robust models: what they hold, the kernels they contain, and what they refuse, in one sentence."""

import numpy as np
import pytest

from mdplab.models import ModelError, garnet
from mdplab.models.robust import RobustBallMDP, RobustKernelSet, RobustPolytopeMDP, RobustStatePolytopeMDP
from mdplab.models.robust_families import random_kernels, random_polytope, random_state_polytope, stalling_loop

KINDS = {
    "pairs": (RobustPolytopeMDP, (2, 3, 4, 2)),
    "states": (RobustStatePolytopeMDP, (2, 4, 3, 2)),
    "kernels": (RobustKernelSet, (4, 2, 3, 2)),
}


def rows(shape: tuple[int, ...]) -> np.ndarray:
    """Uniform rows."""
    return np.full(shape, 1.0 / shape[-1])


@pytest.mark.parametrize("kind", KINDS)
def test_the_kernel_of_a_choice_has_the_rows_chosen(kind):
    """Vertex k has the row (k / 4, 1 - k / 4), in whatever place it stands."""
    build, shape = KINDS[kind]
    axis = {"pairs": 2, "states": 1, "kernels": 0}[kind]
    ramp = np.arange(4.0).reshape([4 if i == axis else 1 for i in range(4)]) / 4
    first = np.broadcast_to(ramp, (*shape[:3], 1))
    model = build(np.concatenate((first, 1 - first), axis=3), np.zeros((2, 3)), 0.5)
    assert (model.states, model.actions) == (2, 3)
    choice = {"pairs": np.array([[0, 1, 2], [3, 0, 1]]), "states": np.array([2, 3]), "kernels": 1}[kind]
    P, _ = model.kernel(choice).dense()
    expected = {"pairs": choice, "states": np.array([[2] * 3, [3] * 3]), "kernels": np.ones((2, 3))}[kind]
    assert np.array_equal(P[..., 0], expected / 4)


def test_hulls_have_the_rows_of_the_kernels():
    """Vertex k of a pair, or of a state, is kernel k's part."""
    model = random_kernels(S=3, A=2, K=4, seed=1)
    P = [model.kernel(k).dense()[0] for k in range(4)]
    for k in range(4):
        assert np.array_equal(model.hull().kernel(np.full((3, 2), k)).dense()[0], P[k])
        assert np.array_equal(model.state_hull().kernel(np.full(3, k)).dense()[0], P[k])
    mixed = model.hull().kernel([[0, 1], [2, 3], [0, 0]]).dense()[0]
    assert np.array_equal(mixed[0, 1], P[1][0, 1])
    assert np.array_equal(mixed[1, 0], P[2][1, 0])


@pytest.mark.parametrize("generate", [random_polytope, random_state_polytope, random_kernels])
def test_families_are_seeded(generate):
    """The same seed gives the same rows; concentration 0 gives deterministic ones."""
    name = "kernels" if generate is random_kernels else "vertices"
    first, again = (getattr(generate(S=3, A=2, K=2, seed=5), name) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, getattr(generate(S=3, A=2, K=2, seed=6), name))
    assert set(getattr(generate(concentration=0, seed=1), name).ravel()) == {0.0, 1.0}
    with pytest.raises(ModelError, match="the concentration is -1"):
        generate(concentration=-1)
    with pytest.raises(ModelError, match="at least one state, action and vertex"):
        generate(K=0)


def test_arrays_are_read_only():
    """Frozen models cannot be written to."""
    model = stalling_loop()
    for array in (model.vertices, model.reward, model.start):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.0


BAD = {
    "have shape": lambda r, R: (r[..., :1], R, 0.9),
    "the rewards have shape": lambda r, R: (r, R[:1], 0.9),
    "the discount is 1.5": lambda r, R: (r, R, 1.5),
    "sum to 1.2, not to 1": lambda r, R: (r * 1.2, R, 0.9),
    "leads to state 1 with probability nan": lambda r, R: (np.where(np.arange(2) == 1, np.nan, r), R, 0.9),
    "leads to state 0 with probability -0.5": lambda r, R: (np.where(np.arange(2) == 0, -0.5, 1.5) * np.ones(r.shape), R, 0.9),
    "the reward of action 2 in state 1 is inf": lambda r, R: (
        r,
        R + np.where(np.arange(6).reshape(2, 3) == 5, np.inf, 0.0),
        0.9,
    ),
    "start sums to 2": lambda r, R: (r, R, 0.9, np.ones(2)),
    "start has shape": lambda r, R: (r, R, 0.9, np.ones(3) / 3),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sentence", BAD)
def test_models_refuse_bad_arrays(kind, sentence):
    """Each kind of bad array has its own sentence."""
    build, shape = KINDS[kind]
    with pytest.raises(ModelError, match=sentence):
        build(*BAD[sentence](rows(shape), np.zeros((2, 3))))


def test_the_place_of_a_bad_row_is_named():
    """State, action and vertex, in the order of each kind."""
    for kind, words in (
        ("pairs", "vertex 3 of action 2 in state 1"),
        ("states", "action 2 of vertex 3 in state 1"),
        ("kernels", "action 2 in state 1 of kernel 3"),
    ):
        build, shape = KINDS[kind]
        bad = rows(shape)
        bad[{"pairs": (1, 2, 3), "states": (1, 3, 2), "kernels": (3, 1, 2)}[kind]] = [0.5, 0.6]
        with pytest.raises(ModelError, match=f"the probabilities of {words} sum to 1.1, not to 1"):
            build(bad, np.zeros((2, 3)), 0.9)


def test_choices_out_of_range_are_refused():
    """By shape and by number."""
    with pytest.raises(ModelError, match=r"the choice of vertices has shape \(2,\); it must be \(4, 2\)"):
        random_polytope().kernel([0, 1])
    with pytest.raises(ModelError, match="the choice names vertex 3; there are 3"):
        random_state_polytope().kernel([0, 1, 2, 3])
    with pytest.raises(ModelError, match="the choice names vertex -1; there are 2"):
        random_kernels().kernel(-1)


def test_the_radius_of_a_ball_is_one_number_or_one_for_each_pair():
    """Scalars, (N,) and (S, A) are stored as (N,)."""
    mdp = garnet(S=3, A=2, b=2)
    assert RobustBallMDP(mdp, "kl", 0.5).radius.tolist() == [0.5] * 6
    each = np.arange(6) / 10
    assert RobustBallMDP(mdp, "l1", each).radius.tolist() == each.tolist()
    assert RobustBallMDP(mdp, "tv", each.reshape(3, 2), "all").radius.tolist() == each.tolist()
    assert (RobustBallMDP(mdp, "l1", 1.0).states, RobustBallMDP(mdp, "l1", 1.0).gamma) == (3, mdp.gamma)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("l2", 0.1), "the distance is 'l2'; it must be 'l1', 'tv', 'kl' or 'chi-square'"),
        (("l1", 0.1, "some"), "the support is 'some'; it must be 'nominal' or 'all'"),
        (("kl", 0.1, "all"), "a ball in kl has no rows outside the nominal support"),
        (("l1", 2.5), "the radius of action 0 in state 0 is 2.5; in l1 it must be between 0 and 2"),
        (("tv", [0.1] * 5 + [1.5]), "the radius of action 1 in state 2 is 1.5; in tv it must be between 0 and 1"),
        (("kl", -0.1), "the radius of action 0 in state 0 is -0.1; in kl it must be 0 or more, and finite"),
        (("chi-square", np.inf), "is inf; in chi-square it must be 0 or more, and finite"),
        (("l1", np.nan), "is nan; in l1"),
        (("l1", np.zeros(5)), r"the radius has shape \(5,\); it must be one number or one for each of 6 pairs"),
        (("l1", "wide"), "radius must hold real numbers"),
    ],
)
def test_balls_refuse_bad_input(arguments, sentence):
    """Distances, supports and radii out of their range."""
    with pytest.raises(ModelError, match=sentence):
        RobustBallMDP(garnet(S=3, A=2, b=2), *arguments)
