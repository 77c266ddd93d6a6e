"""What a preference game is and is not; its families and their keys."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from games.generators import (
    additive,
    bradley_terry,
    clone,
    cloned,
    cyclic,
    logistic,
    low_rank,
    rock_paper_scissors,
    tight_pair,
    tilted,
    tournament,
    uniform,
    with_condorcet_winner,
)
from games.preference import PreferenceGame
from theory.claims.families import read_key
from theory.errors import InputError

FAMILIES = {
    f.name: f
    for f in (
        additive,
        bradley_terry,
        cloned,
        cyclic,
        logistic,
        low_rank,
        rock_paper_scissors,
        tight_pair,
        tilted,
        tournament,
        uniform,
    )
}


@pytest.mark.parametrize(
    "game",
    [
        *(
            f(K=K, scale=s, seed=11)
            for f in FAMILIES.values()
            if "scale" in f.signature.parameters
            for K in (1, 2, 7)
            for s in (0.0, 4.0)
        ),
        rock_paper_scissors(weights=(0.1, 0.2, 0.5), logits=(1.0, 0.0, -3.0)),
        tight_pair(beta=0.003),
        tilted(upper=(0.5, -0.1, 0.2), tilt=(0.3, 0.0, -1.0), beta=0.02),
    ],
    ids=str,
)
def test_a_key_rebuilds_its_game(game: PreferenceGame) -> None:
    assert game.key is not None
    (call,) = read_key(game.key)
    again = FAMILIES[call.name](**call.parameters)
    assert again.key == game.key
    assert np.array_equal(again.A, game.A)
    assert np.array_equal(again.log_reference, game.log_reference)
    assert again.beta == game.beta
    assert np.array_equal(game.A, -game.A.T)
    assert np.abs(game.A).max() <= 0.5
    assert np.exp(game.log_reference).sum() == pytest.approx(1)


def test_families_are_what_they_say() -> None:
    assert set(np.unique(np.abs(tournament(K=9, seed=1).A[~np.eye(9, dtype=bool)]))) == {0.5}
    assert np.linalg.matrix_rank(low_rank(K=9, pairs=2, seed=1).A) == 4
    assert np.abs(low_rank(K=9, seed=1).A).max() == pytest.approx(0.5)
    assert np.linalg.matrix_rank(additive(K=9, seed=1).A) == 2
    assert (cyclic(K=5).A.sum(axis=0) == 0).all()
    assert (np.abs(cyclic(K=6).A).sum(axis=0) == 2).all()  # one of the five others is tied
    theta = np.arctanh(2 * bradley_terry(K=5, spread=1.0, seed=2).A[:, 0]) * 2  # theta_i - theta_0
    assert np.allclose(bradley_terry(K=5, spread=1.0, seed=2).A, 1 / (1 + np.exp(theta - theta[:, None])) - 0.5)
    free, turning = (logistic(K=5, scale=0.0, rotating=rotating, seed=3).A for rotating in (False, True))
    assert np.array_equal(np.abs(free), np.abs(turning))
    assert np.array_equal(np.sign(turning), np.sign(cyclic(K=5).A))
    B = np.random.default_rng(3).standard_normal((6, 5))[1:]  # after the reference
    assert np.allclose(free, 1 / (1 + np.exp(-2 * (B - B.T))) - 0.5)
    assert np.array_equal(rock_paper_scissors().A, 0.5 * np.array([[0, 1, -1], [-1, 0, 1], [1, -1, 0]]))
    assert np.allclose(uniform(K=4, scale=0.0).log_reference, -np.log(4))
    odds = tight_pair(beta=0.05).log_reference
    assert odds[0] - odds[1] == pytest.approx(-10)


def test_clones_keep_the_game() -> None:
    game = uniform(K=3, seed=8)
    split, original = clone(game, [2, 1, 3], [1.0, 3.0, 1.0, 1.0, 2.0, 5.0])
    assert original.tolist() == [0, 0, 1, 2, 2, 2]
    assert np.array_equal(split.A[:, 2], game.A[original, 1])
    assert np.bincount(original, weights=np.exp(split.log_reference)) == pytest.approx(np.exp(game.log_reference))
    assert np.exp(split.log_reference[1] - split.log_reference[0]) == pytest.approx(3)
    assert cloned(K=3, clones=7, seed=1).actions == 10


def test_a_condorcet_winner_beats_everyone() -> None:
    game = with_condorcet_winner(uniform(K=5, seed=0), 0.07)
    assert (game.A[0, 1:] >= 0.07).all()


def test_win_probabilities_and_relabelling() -> None:
    game = PreferenceGame.from_win_probabilities([[0.5, 0.9], [0.1, 0.5]], [0.25, 0.75], "pair")
    assert np.allclose(game.A, [[0, 0.4], [-0.4, 0]])
    assert np.allclose(np.exp(game.log_reference), [0.25, 0.75])
    turned = game.relabelled([1, 0])
    assert np.allclose(turned.A, -game.A)
    assert np.allclose(np.exp(turned.log_reference), [0.75, 0.25])
    assert repr(game) == "PreferenceGame(pair)"
    assert not game.A.flags.writeable
    assert not game.log_reference.flags.writeable


def test_opening_the_room_is_quick() -> None:
    code = "import sys, games; games.PreferenceGame; print(sorted({'numba', 'scipy', 'matplotlib'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PreferenceGame(np.zeros((2, 3))), "square matrix"),
        (lambda: PreferenceGame(np.array([[0, 0.6], [-0.6, 0]])), r"entry \(0, 1\) .* is 0.6"),
        (lambda: PreferenceGame(np.array([[0, np.nan], [0, 0]])), r"entry \(0, 1\) .* nan"),
        (lambda: PreferenceGame(np.array([[0, 0.3], [0.2, 0]])), r"entries \(0, 1\) and \(1, 0\) are 0.3 and 0.2"),
        (lambda: PreferenceGame(np.array([[0.1]])), r"entries \(0, 0\)"),
        (lambda: PreferenceGame(np.zeros((2, 2)), np.log([0.5, 0.4])), "sums to 0.9"),
        (lambda: PreferenceGame(np.zeros((2, 2)), np.array([0.0, -np.inf])), "action 1 .* -inf"),
        (lambda: PreferenceGame(np.zeros((2, 2)), np.zeros(3)), r"not the shape \(3,\)"),
        (lambda: PreferenceGame(np.zeros((2, 2)), None, None, -1.0), "not -1.0"),
        (lambda: PreferenceGame.from_win_probabilities(np.full((2, 2), 0.5), [1.0, 0.0]), "action 1 has the probability 0.0"),
        (lambda: uniform(K=3).relabelled([0, 0, 1]), "permutation"),
        (lambda: uniform(K=0), "at least one action"),
        (lambda: uniform(scale=-1.0), "scale"),
        (lambda: low_rank(pairs=0), "pair of features"),
        (lambda: rock_paper_scissors(weights=(0.1, 0.0, 0.1)), "positive"),
        (lambda: rock_paper_scissors(weights=(0.1, 0.7, 0.1)), "0.7"),
        (lambda: tight_pair(beta=0.0), "positive"),
        (lambda: tilted(upper=(0.1,), tilt=(0.0, 0.0, 0.0)), "3 entries"),
        (lambda: cloned(clones=-1), "at least 0"),
        (lambda: clone(uniform(K=2), [1, 0]), "positive whole number"),
        (lambda: clone(uniform(K=2), [1, 2], [1.0, 1.0, 0.0]), "positive weights"),
        (lambda: with_condorcet_winner(uniform(K=2), 0.0), "margin"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
