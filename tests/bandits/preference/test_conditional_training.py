"""Tags: Bayes' rule in rational arithmetic, rates, refusals."""

from fractions import Fraction

import numpy as np
import pytest

from bandits.preference.conditional_training import (
    TaggedText,
    conditioned_bad_rate,
    given_tag,
    joint_law,
    tagged_text,
)
from theory.errors import InputError


def test_bayes_rule_in_fractions():
    law = [Fraction(1, 2), Fraction(1, 3), Fraction(1, 6)]
    good, e = [False, True, True], Fraction(1, 10)
    text = TaggedText(np.log([float(p) for p in law]), np.array([-1.0, 0.5, 2.0]), 0.0)
    joint = [p * (1 - e if g else e) for p, g in zip(law, good)]
    expected = [float(j / sum(joint)) for j in joint]
    found = joint_law(text, 0.1)
    np.testing.assert_allclose(given_tag(found, 1), expected)
    np.testing.assert_allclose(found.sum(axis=0), [float(p) for p in law])
    assert conditioned_bad_rate(text.bad_rate, 0.1) == pytest.approx(expected[0])


def test_rates():
    assert conditioned_bad_rate(0.3, 0.0) == 0.0
    assert conditioned_bad_rate(0.3, 0.5) == pytest.approx(0.3)
    b = np.linspace(0.0, 0.9, 10)
    odds = conditioned_bad_rate(b, 0.2) / (1 - conditioned_bad_rate(b, 0.2))
    np.testing.assert_allclose(odds, b / (1 - b) / 4)


@pytest.mark.parametrize("bad", [1, 3, 7])
def test_the_family_has_the_bad_texts_it_says(bad):
    text = tagged_text(K=8, bad=bad, seed=4)
    assert np.count_nonzero(~text.good) == bad
    assert text.reward[~text.good].max() < text.reward[text.good].min()
    assert 0 < text.bad_rate < 1


def test_counts_are_laws_too():
    np.testing.assert_allclose(given_tag([[1.0, 0.0], [3.0, 1.0]], 1), [0.75, 0.25])
    np.testing.assert_allclose(given_tag([[1.0, 0.0], [3.0, 1.0]], 0), [1.0, 0.0])


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: TaggedText(np.log([0.5, 0.5]), np.zeros(2), 1.0), "leaves no good text"),
        (lambda: TaggedText(np.log([0.5, 0.4]), np.arange(2.0), 1.0), "sum to 0.9"),
        (lambda: TaggedText(np.log([0.5, 0.5]), np.zeros(3), 1.0), "shapes"),
        (lambda: tagged_text(K=3, bad=3), "between 1 and 2"),
        (lambda: joint_law(tagged_text(), 1.5), "wrong with a probability"),
        (lambda: given_tag(np.zeros((2, 2)), 1), "no text has the tag 1"),
        (lambda: given_tag(np.ones((2, 2)), 2), "no text has the tag 2"),
        (lambda: given_tag(np.ones(2), 1), r"\(2, K\)"),
        (lambda: conditioned_bad_rate(1.0, 0.1), r"\[0, 1\)"),
    ],
)
def test_bad_input_is_refused(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()
