"""Links: probabilities of preferences and rankings against sums over all rankings and against hand calculations."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theory.errors import InputError
from theory.links import bradley_terry, flipped, plackett_luce

score_lists = st.lists(st.floats(-20, 20), min_size=1, max_size=5)


@given(score_lists, st.floats(-100, 100))
def test_bradley_terry_is_antisymmetric_and_shift_free(scores, shift):
    P = bradley_terry(scores)
    np.testing.assert_allclose(P + P.T, 1.0, rtol=0, atol=1e-15)
    np.testing.assert_allclose(bradley_terry(np.array(scores) + shift), P, rtol=0, atol=1e-13)


def test_bradley_terry_by_hand():
    """Odds 1 : 2 : 6."""
    P = bradley_terry(np.log([1.0, 2.0, 6.0]))
    expected = [[1 / 2, 1 / 3, 1 / 7], [2 / 3, 1 / 2, 1 / 4], [6 / 7, 3 / 4, 1 / 2]]
    np.testing.assert_allclose(P, expected, rtol=1e-15)
    np.testing.assert_array_equal(bradley_terry([[0.0, 800.0]])[0], [[0.5, 0.0], [1.0, 0.5]])


@settings(deadline=None, max_examples=40)
@given(score_lists)
def test_rankings_add_up_to_one_and_to_bradley_terry(scores):
    K = len(scores)
    rankings = np.array(list(itertools.permutations(range(K))))
    law = np.exp(plackett_luce(scores, rankings))
    assert abs(law.sum() - 1) <= 1e-12
    P = bradley_terry(scores)
    for i, j in itertools.permutations(range(K), 2):
        ahead = [list(ranking).index(i) < list(ranking).index(j) for ranking in rankings.tolist()]
        assert abs(law[ahead].sum() - P[i, j]) <= 1e-12
    shifted = plackett_luce(np.array(scores) + 3.5, rankings)
    np.testing.assert_allclose(shifted, np.log(law), rtol=0, atol=1e-11)


def test_plackett_luce_by_drawing_places_one_after_another():
    """With weights 1, 2, 3, 4 the ranking (2, 0, 3, 1) has the probability 3/10 * 1/7 * 4/6 * 2/2."""
    exact = Fraction(3, 10) * Fraction(1, 7) * Fraction(4, 6)
    found = plackett_luce(np.log([1.0, 2.0, 3.0, 4.0]), [[2, 0, 3, 1]])
    assert abs(np.exp(found[0]) - float(exact)) <= 1e-15


def test_plackett_luce_broadcasts_over_scores():
    scores = np.random.default_rng(0).standard_normal((2, 3, 4))
    rankings = np.array([[0, 1, 2, 3], [3, 1, 0, 2]])
    found = plackett_luce(scores, rankings)
    assert found.shape == (2, 3, 2)
    np.testing.assert_allclose(found[1, 2], plackett_luce(scores[1, 2], rankings), rtol=1e-14)


@given(st.floats(0, 1), st.floats(0, 1))
def test_flips_compose(first, second):
    """Two flips at once are one flip at the rate a(1-b) + b(1-a)."""
    P = bradley_terry([0.0, 1.0, -2.0])
    once = flipped(P, first + second - 2 * first * second)
    np.testing.assert_allclose(flipped(flipped(P, first), second), once, rtol=0, atol=1e-14)
    np.testing.assert_allclose(flipped(P, 1.0), P.T, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(flipped(P, 0.0), P)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: bradley_terry([]), "finite vectors"),
        (lambda: bradley_terry(1.0), "finite vectors"),
        (lambda: bradley_terry([0.0, np.nan]), "finite vectors"),
        (lambda: bradley_terry([0.0, np.inf]), "finite vectors"),
        (lambda: flipped([[0.5]], 1.1), "not 1.1"),
        (lambda: flipped([[0.5]], -0.1), "not -0.1"),
        (lambda: flipped([[0.5]], np.nan), "not nan"),
        (lambda: plackett_luce([0.0, 1.0], [[0, 0]]), "permutations of 0 .. 1"),
        (lambda: plackett_luce([0.0, 1.0], [0, 1]), "permutations of 0 .. 1"),
        (lambda: plackett_luce([0.0, 1.0], [[0, 1, 2]]), "permutations of 0 .. 1"),
    ],
)
def test_bad_input_is_refused_with_one_sentence(call, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        call()
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)
